//! The payload of senders that have no format of their own:
//! `{"repository": "https://…/a.git", "ref": "refs/heads/main", "commit": "…", "before"?, "changed"?}`.
//!
//! Whoever writes one by hand gets a sentence about the field that is wrong. Absent: pull requests.

use model::SourceSpec;

use crate::fields::Field;
use crate::{Event, Push, Repository, Unreadable};

const FIELDS: [&str; 5] = ["repository", "ref", "commit", "before", "changed"];

pub(super) fn read(root: &Field<'_>) -> Result<Event, Unreadable> {
    refuse_unknown(root)?;
    let reference = root.reference("ref")?;
    if !reference.starts_with("refs/heads/") && !reference.starts_with("refs/tags/") {
        return Err(root.need("ref")?.wrong("begins with neither `refs/heads/` nor `refs/tags/`"));
    }
    let before = root.get("before").map(|_| root.commit("before")).transpose()?;
    Ok(Event::Push(Push {
        repository: repository(root)?,
        reference: reference.to_owned(),
        before: before.flatten(),
        commit: root.commit("commit")?,
        changed: changed(root)?,
        pushed_at: None,
        pusher: None,
        is_hint: false,
    }))
}

fn refuse_unknown(root: &Field<'_>) -> Result<(), Unreadable> {
    let Some(object) = root.value.as_object() else { return root.text(FIELDS[0]).map(|_| ()) };
    match object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        Some(key) => Err(Unreadable::unknown(key, &FIELDS)),
        None => Ok(()),
    }
}

fn repository(root: &Field<'_>) -> Result<Repository, Unreadable> {
    let url = root.short_text("repository")?;
    let source = SourceSpec::Git { url: url.to_owned(), reference: None, subdirectory: None };
    if source.validate().is_err() {
        return Err(root.need("repository")?.wrong("is not an http or https address without user"));
    }
    let path = url.splitn(4, '/').nth(3).unwrap_or(url).trim_end_matches('/');
    let full_name = path.strip_suffix(".git").unwrap_or(path).to_owned();
    let addresses = vec![url.to_owned()];
    Ok(Repository { addresses, full_name, default_branch: None, web_url: None })
}

fn changed(root: &Field<'_>) -> Result<Option<Vec<String>>, Unreadable> {
    if root.get("changed").is_none() {
        return Ok(None);
    }
    let path = |item: Field<'_>| match item.value.as_str() {
        Some(text) if text.contains('\0') => Err(item.wrong("holds the character NUL")),
        Some(text) => Ok(text.to_owned()),
        None => Err(item.wrong("is not text")),
    };
    root.items("changed")?.into_iter().map(path).collect::<Result<_, _>>().map(Some)
}
