//! A task in words: what it builds, and what starts it.

use std::ops::Deref;

use model::{SourceSpec, Trigger};

use super::source::short_repository;
use super::task_address;
use crate::api::Task;

/// A task with its words.
#[derive(Debug)]
pub(crate) struct TaskView(pub(crate) Task);

impl Deref for TaskView {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.0
    }
}

impl TaskView {
    pub(crate) fn address(&self) -> String {
        task_address(&self.registry, &self.name)
    }

    pub(crate) fn source(&self) -> String {
        match &self.build.source.0 {
            SourceSpec::Git { url, reference, subdirectory } => {
                let mut text = short_repository(url).to_owned();
                text.extend(reference.iter().map(|name| format!("#{name}")));
                text.extend(subdirectory.iter().map(|folder| format!(":{folder}")));
                text
            }
            SourceSpec::Upload { .. } => "an upload".to_owned(),
        }
    }

    pub(crate) fn started_by(&self) -> Vec<String> {
        self.triggers.iter().map(trigger).collect()
    }

    pub(crate) fn build_text(&self) -> String {
        serde_json::to_string_pretty(&self.build).unwrap_or_default()
    }
}

/// `push to main, release/*; of tags v*; only src/**; not docs/**`
fn trigger(trigger: &Trigger) -> String {
    let (mut text, paths) = match trigger {
        Trigger::Commit { branches, tags, paths } => {
            let text = match (branches.is_empty(), tags.is_empty()) {
                (true, true) => "push to its branch".to_owned(),
                (false, true) => format!("push to {}", branches.join(", ")),
                (true, false) => format!("tag {}", tags.join(", ")),
                (false, false) => format!("push to {}; tag {}", branches.join(", "), tags.join(", ")),
            };
            (text, paths)
        }
        Trigger::PullRequest { branches, paths } if branches.is_empty() => ("pull request".to_owned(), paths),
        Trigger::PullRequest { branches, paths } => {
            (format!("pull request to {}", branches.join(", ")), paths)
        }
    };
    for (word, patterns) in [("only", &paths.paths), ("not", &paths.ignore_paths)] {
        if !patterns.is_empty() {
            text = format!("{text}; {word} {}", patterns.join(", "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_said_with_its_filters() {
        let text = r#"{"type":"commit","branches":["main"],"tags":["v*"],"paths":["src/**"],"ignore_paths":["docs/**"]}"#;
        let spec: Trigger = serde_json::from_str(text).expect("it is right");
        assert_eq!(trigger(&spec), "push to main; tag v*; only src/**; not docs/**");
    }
}
