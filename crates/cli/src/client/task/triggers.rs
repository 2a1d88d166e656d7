//! What starts a task, as arguments and as words.

use clap::Args;
use model::{PathFilter, Trigger};

use crate::client::error::ClientError;

#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    /// A push to the branch that the source names, or else to the default branch, starts it
    #[arg(long)]
    on_commit: bool,
    /// A push to a branch of that name or pattern starts it; may be repeated
    #[arg(long, value_name = "BRANCH")]
    on_push: Vec<String>,
    /// A pushed tag of that name or pattern starts it; may be repeated
    #[arg(long, value_name = "TAG")]
    on_tag: Vec<String>,
    /// A pull (merge) request to a branch of that name or pattern starts it; may be repeated
    #[arg(long, value_name = "BRANCH")]
    on_pull_request: Vec<String>,
    /// A push counts only where a changed file matches this pattern; may be repeated. Where the host does not tell the
    /// files (a new branch, a forced push, a tag, 20 commits or more), it counts
    #[arg(long = "path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// A push's changed files that match this pattern do not count; may be repeated
    #[arg(long = "ignore-path", value_name = "PATTERN")]
    ignore_paths: Vec<String>,
}

impl TriggerArgs {
    /// None where nothing was said.
    ///
    /// # Errors
    /// Paths without anything they could narrow.
    pub(crate) fn read(&self) -> Result<Option<Vec<Trigger>>, ClientError> {
        let filter = PathFilter { paths: self.paths.clone(), ignore_paths: self.ignore_paths.clone() };
        let commit = |branches: &[String], tags: &[String]| Trigger::Commit {
            branches: branches.to_vec(),
            tags: tags.to_vec(),
            paths: filter.clone(),
        };
        let mut triggers = Vec::new();
        if self.on_commit {
            triggers.push(commit(&[], &[]));
        }
        if !self.on_push.is_empty() || !self.on_tag.is_empty() {
            triggers.push(commit(&self.on_push, &self.on_tag));
        }
        if triggers.is_empty() && filter != PathFilter::default() {
            return Err(ClientError::usage(
                "--path and --ignore-path narrow pushes, and none was given.",
                "Repeat it: --on-commit, --on-push or --on-tag. No git host tells which files a pull request changes.",
            ));
        }
        if !self.on_pull_request.is_empty() {
            let (branches, paths) = (self.on_pull_request.clone(), PathFilter::default());
            triggers.push(Trigger::PullRequest { branches, paths });
        }
        Ok((!triggers.is_empty()).then_some(triggers))
    }
}

/// A line for each.
pub(crate) fn words(triggers: &[Trigger]) -> String {
    triggers.iter().map(word).collect::<Vec<_>>().join("\n")
}

fn word(trigger: &Trigger) -> String {
    let (what, filter) = match trigger {
        Trigger::Commit { branches, tags, paths } => {
            let branches = (!branches.is_empty()).then(|| format!("push to {}", branches.join(", ")));
            let tags = (!tags.is_empty()).then(|| format!("tag {}", tags.join(", ")));
            let what: Vec<_> = branches.into_iter().chain(tags).collect();
            (if what.is_empty() { "push".to_owned() } else { what.join(", ") }, paths)
        }
        Trigger::PullRequest { branches, paths } if branches.is_empty() => ("pull request".to_owned(), paths),
        Trigger::PullRequest { branches, paths } => {
            (format!("pull request to {}", branches.join(", ")), paths)
        }
    };
    let paths = (!filter.paths.is_empty()).then(|| format!(" in {}", filter.paths.join(", ")));
    let ignored =
        (!filter.ignore_paths.is_empty()).then(|| format!(" outside {}", filter.ignore_paths.join(", ")));
    format!("{what}{}{}", paths.unwrap_or_default(), ignored.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        triggers: TriggerArgs,
    }

    fn read(line: &str) -> Result<Option<Vec<Trigger>>, ClientError> {
        Line::parse_from(line.split(' ')).triggers.read()
    }

    #[test]
    fn paths_narrow_pushes_alone() {
        let both =
            read("x --on-push main --on-pull-request main --path src/**").expect("read").expect("some");
        assert_eq!(words(&both), "push to main in src/**\npull request to main");
        assert!(read("x --on-pull-request main --path src/**").is_err());
        assert_eq!(read("x").expect("read"), None);
    }
}
