//! Names of images with fields of the run in them: `app:{{.Run.ID}}`. The fields are those of ACR Tasks'
//! run variables; nothing of Go's template language besides them is understood.

use std::collections::BTreeMap;

/// The one field that is known only when the source has been fetched.
pub const COMMIT: &str = "{{.Run.Commit}}";

/// Every field, as it is written behind `.Run.`.
const FIELDS: [&str; 12] = [
    "ID",
    "Registry",
    "RegistryName",
    "Date",
    "OS",
    "Architecture",
    "TaskName",
    "Commit",
    "Branch",
    "GitTag",
    "Repository",
    "TriggeredBy",
];

/// Text that can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    #[error("`{{{{` in `{0}` is not closed")]
    Open(String),
    #[error("`{{{{{0}}}}}` is not a field of a run")]
    Unknown(String),
    #[error("`{{{{.Run.{field}}}}}` is empty for this run")]
    Empty { field: String },
}

impl InvalidTemplate {
    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty { .. } => {
                "An upload has no branch, tag, commit or repository; a run that no hook started knows no tag, and the \
                 branch only where its source names it."
                    .to_owned()
            }
            _ => format!("The fields are .Run.{}.", FIELDS.join(", .Run.")),
        }
    }
}

/// What is known of a run: values by the name behind `.Run.`.
#[derive(Debug, Clone, Default)]
pub struct RunFields {
    values: BTreeMap<&'static str, String>,
    commit_follows: bool,
}

impl RunFields {
    /// Adds one; a name that is no field is a mistake of the caller.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Into<String>) -> Self {
        debug_assert!(FIELDS.contains(&field), "{field}");
        self.values.insert(field, value.into());
        self
    }

    /// The commit is not known before the source has been fetched, and then it is.
    #[must_use]
    pub fn with_commit_to_follow(mut self) -> Self {
        self.commit_follows = true;
        self
    }
}

/// Fills in an image's name. Characters that a tag can't hold become `-`; a commit that is to follow
/// stays as it is written.
///
/// # Errors
/// A field that does not exist, or that this run has not.
pub fn fill(text: &str, fields: &RunFields) -> Result<String, InvalidTemplate> {
    replace(text, |field| match fields.values.get(field).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value.chars().map(tag_character).collect()),
        None if field == "Commit" && fields.commit_follows => Ok(COMMIT.to_owned()),
        None => Err(InvalidTemplate::Empty { field: field.to_owned() }),
    })
}

/// The text with an example for every field: what it looks like when it is filled in.
///
/// # Errors
/// A field that does not exist.
pub fn example(text: &str) -> Result<String, InvalidTemplate> {
    replace(text, |_| Ok("x".to_owned()))
}

/// Whether the commit stands in the repository, before the tag's `:`.
#[must_use]
pub fn names_repository_by_commit(image: &str) -> bool {
    let marked = replace(image, |field| Ok(if field == "Commit" { COMMIT } else { "x" }.to_owned()));
    marked.is_ok_and(|name| name.split(':').next().is_some_and(|repository| repository.contains(COMMIT)))
}

fn replace(
    text: &str,
    mut value: impl FnMut(&str) -> Result<String, InvalidTemplate>,
) -> Result<String, InvalidTemplate> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        let (inside, after) =
            behind.split_once("}}").ok_or_else(|| InvalidTemplate::Open(text.to_owned()))?;
        let field = inside.trim().strip_prefix(".Run.").filter(|field| FIELDS.contains(field));
        let field = field.ok_or_else(|| InvalidTemplate::Unknown(inside.to_owned()))?;
        filled.push_str(before);
        filled.push_str(&value(field)?);
        rest = after;
    }
    Ok(filled + rest)
}

fn tag_character(c: char) -> char {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => c,
        _ => '-',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_filled_in_and_a_tag_stays_one() {
        let fields = RunFields::default().with("ID", "7").with("Branch", "feature/größe");
        assert_eq!(fill("app:{{.Run.ID}}-{{ .Run.Branch }}", &fields), Ok("app:7-feature-gr--e".to_owned()));
        let without = fill("app:{{.Run.Commit}}", &fields);
        assert_eq!(
            without,
            Err(InvalidTemplate::Empty { field: "Commit".to_owned() }),
            "an upload never has one"
        );
        let fields = fields.with_commit_to_follow();
        assert_eq!(fill("app:{{.Run.Commit}}", &fields), Ok("app:{{.Run.Commit}}".to_owned()));
        assert_eq!(fill("app:1", &fields), Ok("app:1".to_owned()));
    }

    #[test]
    fn a_commit_may_stand_in_the_tag_alone() {
        for (image, is_repository) in [
            ("app:{{.Run.Commit}}", false),
            ("{{.Run.TaskName}}:{{ .Run.Commit }}-1", false),
            ("app-{{.Run.Commit}}:1", true),
            ("team/{{ .Run.Commit }}", true),
            ("{{.Run.ID}}", false),
        ] {
            assert_eq!(names_repository_by_commit(image), is_repository, "{image}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused_with_those_there_are() {
        let refused = |text: &str| fill(text, &RunFields::default()).expect_err(text);
        assert_eq!(refused("a:{{.Run.Id}}"), InvalidTemplate::Unknown(".Run.Id".to_owned()));
        assert!(refused("a:{{.Values.x}}").hint().contains(".Run.ID, .Run.Registry"));
        assert_eq!(refused("a:{{.Run.ID"), InvalidTemplate::Open("a:{{.Run.ID".to_owned()));
        assert_eq!(refused("a:{{.Run.GitTag}}"), InvalidTemplate::Empty { field: "GitTag".to_owned() });
    }
}
