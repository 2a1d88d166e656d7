//! What happened at the git host, in the same words for every host.
//!
//! Absent: the author of a commit. Anybody can write any name there, so nothing here may depend on it.

use std::fmt;

use time::OffsetDateTime;

/// What a delivery tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A branch or a tag was made, moved or deleted.
    Push(Push),
    /// Something happened to a pull (merge) request.
    PullRequest(PullRequest),
    /// The host tries whether anybody listens.
    Ping,
    /// Anything else.
    Other {
        /// Why it starts nothing, as the beginning of a sentence: "a `star` event starts nothing".
        what: String,
    },
}

/// A branch or a tag was made, moved or deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Push {
    /// Where.
    pub repository: Repository,
    /// `refs/heads/…` or `refs/tags/…`, byte for byte as sent.
    pub reference: String,
    /// What it pointed at before; absent when it is new.
    pub before: Option<String>,
    /// The commit it points at now (of an annotated tag: the commit, where the host tells it); absent
    /// when it was deleted.
    pub commit: Option<String>,
    /// Every file that changed; absent when the host does not tell them in full.
    pub changed: Option<Vec<String>>,
    /// By the host's clock, where it tells.
    pub pushed_at: Option<OffsetDateTime>,
    /// Who is logged in at the host, for people to read.
    pub pusher: Option<String>,
    /// Whether the claim is unsigned, so that the ref has to be read again before anything is built.
    pub is_hint: bool,
}

/// Something happened to a pull (merge) request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PullRequest {
    /// The one it goes to.
    pub repository: Repository,
    /// As people of that repository call it.
    pub number: u64,
    /// The host's word for what happened.
    pub action: String,
    /// The branch it comes from, without `refs/heads/`.
    pub source_branch: String,
    /// The branch it goes to, without `refs/heads/`.
    pub target_branch: String,
    /// The last commit of the branch it comes from.
    pub commit: String,
    /// What to fetch from [`PullRequest::repository`].
    pub reference: String,
    /// Whether it comes from another repository, or from one that is unknown or gone.
    pub is_fork: bool,
    /// Whether its author says that it is not ready.
    pub is_draft: bool,
    /// Whether its commits may be new: it was opened, reopened, made ready or pushed to.
    pub starts_runs: bool,
    /// Who opened it, by the host's account, for people to read.
    pub author: Option<String>,
    /// As [`Push::is_hint`].
    pub is_hint: bool,
}

/// A repository as the payload names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    /// Every address of it: to clone over http and ssh, and for a browser.
    pub addresses: Vec<String>,
    /// With its owner, for people to read.
    pub full_name: String,
    /// Without `refs/heads/`.
    pub default_branch: Option<String>,
    /// For a browser.
    pub web_url: Option<String>,
}

impl Event {
    /// That a kind of event is known and ignored. The name comes from the sender, so it is cut.
    pub(crate) fn ignored(kind: &str) -> Self {
        let kind: String = kind.chars().take(100).collect();
        Self::Other { what: format!("a `{kind}` event starts nothing") }
    }
}

impl Event {
    /// The repository it happened in; none where nothing can start.
    #[must_use]
    pub fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Push(push) => Some(&push.repository),
            Self::PullRequest(request) => Some(&request.repository),
            Self::Ping | Self::Other { .. } => None,
        }
    }
}

impl fmt::Display for Event {
    /// As the beginning of a sentence: "push of 1a2b3c4d to refs/heads/main of team/app".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |commit: &str| commit.chars().take(8).collect::<String>();
        match self {
            Self::Push(push) => match &push.commit {
                Some(commit) => {
                    write!(
                        f,
                        "push of {} to {} of {}",
                        short(commit),
                        push.reference,
                        push.repository.full_name
                    )
                }
                None => write!(f, "deletion of {} of {}", push.reference, push.repository.full_name),
            },
            Self::PullRequest(request) => write!(
                f,
                "pull request {} of {} ({}) at {}",
                request.number,
                request.repository.full_name,
                request.action,
                short(&request.commit)
            ),
            Self::Ping => f.write_str("ping: the git host reaches this hook"),
            Self::Other { what } => f.write_str(what),
        }
    }
}
