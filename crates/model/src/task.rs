//! Saved definitions: what a task builds, and what starts it.

use serde::{Deserialize, Serialize};

use crate::BuildSpec;

/// A saved definition. The names of its images are templates.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// What a run of it builds, unless the run says otherwise.
    pub build: BuildSpec,
    /// Whether triggers start it. A person still can.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What starts it besides a person.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// Who is told how its runs go, besides the git host.
    #[serde(default)]
    pub notify: Vec<Notify>,
}

fn yes() -> bool {
    true
}

/// What starts a task. Events come from hooks of the task's registry whose repository is the task's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A push to a branch, or of a tag. With neither `branches` nor `tags`: to the branch that the task's
    /// source names, or else to the repository's default branch.
    Commit {
        /// Names or patterns, of which one has to match.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        branches: Vec<String>,
        /// Names or patterns, of which one has to match.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tags: Vec<String>,
        #[serde(flatten)]
        paths: PathFilter,
    },
    /// A pull (merge) request that was opened or got new commits.
    PullRequest {
        /// Names or patterns of the branch it goes to; any when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        branches: Vec<String>,
        #[serde(flatten)]
        paths: PathFilter,
    },
}

/// Which changed files count. A change that the git host does not tell in full counts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PathFilter {
    /// Patterns; one changed file has to match one of them. Any file when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Patterns; files that match are not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_paths: Vec<String>,
}

/// An outgoing webhook, signed as Standard Webhooks has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// http or https, without user and password.
    pub url: String,
    /// Name of a credential of kind `webhook`: what it is signed with.
    pub credential: String,
    /// Which events; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<RunEvent>,
}

/// What can be told of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RunEvent {
    #[serde(rename = "run.queued")]
    Queued,
    #[serde(rename = "run.started")]
    Started,
    #[serde(rename = "run.finished")]
    Finished,
}

/// Who sends a hook's deliveries, and so how they are signed and what they say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitHost {
    Github,
    /// Gitea and Forgejo.
    Gitea,
    Gitlab,
    AzureDevops,
    /// Any other sender that signs as Standard Webhooks has it.
    Standard,
}

impl GitHost {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Github, Self::Gitea, Self::Gitlab, Self::AzureDevops, Self::Standard];

    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitea => "gitea",
            Self::Gitlab => "gitlab",
            Self::AzureDevops => "azure_devops",
            Self::Standard => "standard",
        }
    }
}

impl std::str::FromStr for GitHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|host| host.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no git host"))
    }
}

/// Whether a run may see secrets and the cache of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    Trusted,
    /// What a stranger proposed, such as a fork's pull request: no secrets, and a cache of its own.
    Untrusted,
}

impl Trust {
    /// The word used in SQL and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

impl std::str::FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "trusted" => Ok(Self::Trusted),
            "untrusted" => Ok(Self::Untrusted),
            other => Err(format!("`{other}` is no trust")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_of_a_trigger_is_refused() {
        let right = r#"{"type":"commit","branches":["main"],"paths":["src/**"]}"#;
        let trigger: Trigger = serde_json::from_str(right).expect("it is right");
        assert_eq!(serde_json::to_string(&trigger).expect("JSON"), right);
        let wrong = serde_json::from_str::<Trigger>(r#"{"type":"commit","branch":["main"]}"#);
        assert!(wrong.is_err(), "{wrong:?}");
    }
}
