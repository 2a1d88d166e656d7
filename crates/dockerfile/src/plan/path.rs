//! Paths within the image. In: a working directory and a path as written. Out: an absolute one.
//! Deliberately absent: links, which only the builder sees.

/// `path` seen from `base`: absolute, without `.`, `..` and doubled slashes; a `/` at the end stays where
/// it says that this is a folder.
pub(super) fn resolve(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let folder =
        path.ends_with('/') || path == "." || path == ".." || path.ends_with("/.") || path.ends_with("/..");
    let end = if folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}
