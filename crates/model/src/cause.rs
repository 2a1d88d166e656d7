//! What started a run, kept with it for good.

use serde::{Deserialize, Serialize};

use crate::{DeliveryId, GitHost, RunId};

/// What started a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    Manual {
        /// Name of the token it was asked with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun: Option<Rerun>,
    },
    /// A push.
    Commit {
        #[serde(flatten)]
        event: HookEvent,
        /// The pushed ref, whole: `refs/heads/main`.
        #[serde(rename = "ref")]
        reference: String,
        /// Who pushed, as the host says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pusher: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun: Option<Rerun>,
    },
    /// A pull (merge) request.
    PullRequest {
        #[serde(flatten)]
        event: HookEvent,
        number: u64,
        source_branch: String,
        target_branch: String,
        /// Whether its commits come from another repository, or may.
        is_fork: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        author: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun: Option<Rerun>,
    },
}

/// Somebody had a run done once more. What started that one started this one as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rerun {
    /// The run that it repeats.
    pub of: RunId,
    /// Name of the token it was asked with.
    pub by: String,
}

/// What an event of a hook left behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HookEvent {
    /// The hook's name.
    pub hook: String,
    pub host: GitHost,
    pub delivery: DeliveryId,
    /// What the event says; absent where it is only a hint and the ref is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Why it started this task.
    pub reason: String,
}

impl Cause {
    /// The words of all of them.
    pub const WORDS: [&str; 3] = ["manual", "commit", "pull_request"];

    /// Somebody asked for it, with the token of that name.
    #[must_use]
    pub fn asked(by: &str) -> Self {
        Self::Manual { by: Some(by.to_owned()), rerun: None }
    }

    /// The hook's part, where a hook started it.
    #[must_use]
    pub fn event(&self) -> Option<&HookEvent> {
        match self {
            Self::Manual { .. } => None,
            Self::Commit { event, .. } | Self::PullRequest { event, .. } => Some(event),
        }
    }

    /// Which run it repeats, where it is a re-run.
    #[must_use]
    pub fn rerun(&self) -> Option<&Rerun> {
        match self {
            Self::Manual { rerun, .. } | Self::Commit { rerun, .. } | Self::PullRequest { rerun, .. } => {
                rerun.as_ref()
            }
        }
    }

    /// The cause of a run that repeats one with this cause.
    #[must_use]
    pub fn again(&self, again: Rerun) -> Self {
        let mut cause = self.clone();
        match &mut cause {
            Self::Manual { rerun, .. } | Self::Commit { rerun, .. } | Self::PullRequest { rerun, .. } => {
                *rerun = Some(again);
            }
        }
        cause
    }

    /// `manual`, `commit` or `pull_request`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Manual { .. } => "manual",
            Self::Commit { .. } => "commit",
            Self::PullRequest { .. } => "pull_request",
        }
    }

    /// Of a branch that was pushed, or that a pull request comes from. A fork's has none: a stranger names it.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        match self {
            Self::Commit { reference, .. } => reference.strip_prefix("refs/heads/"),
            Self::PullRequest { source_branch, is_fork: false, .. } => Some(source_branch),
            Self::PullRequest { .. } | Self::Manual { .. } => None,
        }
    }

    /// Whether a stranger's commits came by a trigger: then the run is untrusted, and what it builds is pushed
    /// nowhere.
    #[must_use]
    pub fn is_strangers(&self) -> bool {
        matches!(self, Self::PullRequest { is_fork: true, .. })
    }

    /// Of a tag that was pushed.
    #[must_use]
    pub fn git_tag(&self) -> Option<&str> {
        match self {
            Self::Commit { reference, .. } => reference.strip_prefix("refs/tags/"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_reads_back() {
        let text = r#"{"type":"commit","hook":"h","host":"github","delivery":"018f0000-0000-7000-8000-000000000000","commit":"abc","reason":"branch main","ref":"refs/heads/main"}"#;
        let cause: Cause = serde_json::from_str(text).expect("it is right");
        assert_eq!(cause.branch(), Some("main"));
        assert_eq!(serde_json::to_string(&cause).expect("JSON"), text);
    }

    #[test]
    fn a_stranger_names_no_branch() {
        let request = |is_fork: bool| {
            let text = format!(
                r#"{{"type":"pull_request","hook":"h","host":"github","delivery":"018f0000-0000-7000-8000-000000000000",
                "reason":"","number":1,"source_branch":"main","target_branch":"main","is_fork":{is_fork}}}"#
            );
            serde_json::from_str::<Cause>(&text).expect("it is right")
        };
        assert_eq!((request(false).branch(), request(false).is_strangers()), (Some("main"), false));
        assert_eq!((request(true).branch(), request(true).is_strangers()), (None, true));
    }
}
