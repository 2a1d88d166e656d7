//! `created_by` of what makes a layer, as BuildKit writes it, so that the same tools can read it.

/// `RUN |1 VERSION=2 /bin/sh -c make # buildkit`; the arguments are those that the command sees.
pub(super) fn run(args: &[String], given: &[(String, String)]) -> String {
    let mut said = String::from("RUN ");
    if !given.is_empty() {
        said.push_str(&format!("|{} ", given.len()));
        for (name, value) in given {
            said.push_str(&format!("{name}={value} "));
        }
    }
    format!("{said}{} # buildkit", args.join(" "))
}

/// `COPY --chown=app src /app # buildkit`
pub(super) fn transfer(instruction: &str, sources: &[String], dest: &str, chown: Option<&str>) -> String {
    let chown = chown.map(|chown| format!("--chown={chown} ")).unwrap_or_default();
    format!("{instruction} {chown}{} {dest} # buildkit", sources.join(" "))
}
