//! Which of the advertised refs a person meant. Pure: names and ids in, a decision out.

use crate::error::Error;
use crate::near::{did_you_mean, near};

/// A ref as the repository advertises it; an annotated tag has a second one, `refs/tags/x^{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) name: String,
    /// 40 hexadecimal digits.
    pub(crate) id: String,
}

/// What to ask the repository for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This advertised ref, which points to `id`.
    Ref(Advertised),
    /// A commit that no advertised ref points to.
    Commit(String),
}

/// Decides by git's own order (gitrevisions(7)): the name itself, then below `refs/`, `refs/tags/`
/// and `refs/heads/`. A full commit id is taken as one. Absent is the repository's HEAD.
pub(crate) fn choose(reference: Option<&str>, refs: &[Advertised]) -> Result<Wanted, Error> {
    let Some(reference) = reference else { return head(refs) };
    if is_commit_id(reference) {
        let commit = reference.to_ascii_lowercase();
        let tip = refs.iter().find(|r| r.id == commit);
        return Ok(match tip {
            // A peeled entry is no ref of its own: its tag is.
            Some(tip) => Wanted::Ref(Advertised { name: unpeeled(&tip.name).to_owned(), id: commit }),
            None => Wanted::Commit(commit),
        });
    }
    let candidates = ["", "refs/", "refs/tags/", "refs/heads/"].map(|prefix| format!("{prefix}{reference}"));
    candidates
        .iter()
        .find_map(|name| refs.iter().find(|r| r.name == *name))
        .map(|found| Wanted::Ref(found.clone()))
        .ok_or_else(|| not_found(reference, refs))
}

/// Where HEAD, or else the first branch, points to: for a person whose commit is gone.
pub(crate) fn tip(refs: &[Advertised]) -> String {
    let head = refs.iter().find(|r| r.name == "HEAD");
    let branch =
        refs.iter().find(|r| r.name.starts_with("refs/heads/") && head.is_none_or(|head| head.id == r.id));
    match (branch, head) {
        (Some(branch), _) => format!("; its branch `{}` points to {}", short(&branch.name), branch.id),
        (None, Some(head)) => format!("; its HEAD points to {}", head.id),
        (None, None) => String::new(),
    }
}

fn head(refs: &[Advertised]) -> Result<Wanted, Error> {
    match refs.iter().find(|r| r.name == "HEAD") {
        Some(head) => Ok(Wanted::Ref(head.clone())),
        None if refs.is_empty() => Err(Error::RepositoryEmpty),
        None => Err(Error::RefNotFound {
            reference: "HEAD".into(),
            hint: format!("Its HEAD names a branch that is not there. Name one that is: {}.", some(refs)),
        }),
    }
}

fn not_found(reference: &str, refs: &[Advertised]) -> Error {
    if refs.is_empty() {
        return Error::RepositoryEmpty;
    }
    let hex = reference.len() >= 4 && reference.bytes().all(|b| b.is_ascii_hexdigit());
    let hint = if hex {
        "If it is a shortened commit id, write all 40 digits.".to_owned()
    } else {
        let names = refs.iter().map(|r| short(&r.name));
        did_you_mean(&near(reference, names), format!("It has {}.", some(refs)))
    };
    Error::RefNotFound { reference: reference.to_owned(), hint }
}

/// A few branches and tags, for a hint.
fn some(refs: &[Advertised]) -> String {
    let named = |r: &&Advertised| r.name.starts_with("refs/heads/") || r.name.starts_with("refs/tags/");
    let whole = |r: &&Advertised| !r.name.ends_with("^{}");
    let names: Vec<String> =
        refs.iter().filter(named).filter(whole).take(5).map(|r| format!("`{}`", short(&r.name))).collect();
    if names.is_empty() { "no branches or tags".to_owned() } else { names.join(", ") }
}

fn short(name: &str) -> &str {
    let name = unpeeled(name);
    name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/")).unwrap_or(name)
}

fn unpeeled(name: &str) -> &str {
    name.strip_suffix("^{}").unwrap_or(name)
}

fn is_commit_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs() -> Vec<Advertised> {
        let one = |name: &str, digit: &str| Advertised { name: name.into(), id: digit.repeat(40) };
        vec![
            one("HEAD", "a"),
            one("refs/heads/main", "a"),
            one("refs/heads/both", "b"),
            one("refs/pull/7/head", "c"),
            one("refs/tags/both", "d"),
            one("refs/tags/v1", "e"),
            one("refs/tags/v1^{}", "f"),
        ]
    }

    fn name(reference: Option<&str>) -> String {
        match choose(reference, &refs()) {
            Ok(Wanted::Ref(found)) => found.name,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn resolves_names_in_gits_own_order() {
        assert_eq!(name(None), "HEAD");
        assert_eq!(name(Some("main")), "refs/heads/main");
        assert_eq!(name(Some("heads/both")), "refs/heads/both");
        assert_eq!(name(Some("both")), "refs/tags/both");
        assert_eq!(name(Some("refs/pull/7/head")), "refs/pull/7/head");
        assert_eq!(name(Some("pull/7/head")), "refs/pull/7/head");
    }

    #[test]
    fn a_commit_that_a_ref_points_to_is_fetched_by_that_ref() {
        assert_eq!(name(Some(&"C".repeat(40))), "refs/pull/7/head");
        assert_eq!(name(Some(&"f".repeat(40))), "refs/tags/v1");
        assert_eq!(choose(Some(&"9".repeat(40)), &refs()).ok(), Some(Wanted::Commit("9".repeat(40))));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let hint = |reference: &str| match choose(Some(reference), &refs()) {
            Err(Error::RefNotFound { hint, .. }) => hint,
            other => format!("{other:?}"),
        };
        assert_eq!(hint("mian"), "Did you mean `main`?");
        assert_eq!(hint("abcdef1"), "If it is a shortened commit id, write all 40 digits.");
        assert_eq!(hint("feature/x-y-z"), "It has `main`, `both`, `both`, `v1`.");
        assert!(matches!(choose(None, &[]), Err(Error::RepositoryEmpty)));
        assert_eq!(tip(&refs()), format!("; its branch `main` points to {}", "a".repeat(40)));
    }
}
