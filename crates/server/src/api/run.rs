//! A run as the API shows it.

use model::{Cause, RunId, RunStatus, SourceId, Trust};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{BlameWord, Build, StatusWord, TrustWord};

/// One execution of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Sorts by time of creation.
    #[schema(value_type = Uuid)]
    pub id: RunId,
    /// The registry it was asked for.
    #[schema(example = "local")]
    pub registry: String,
    #[schema(value_type = StatusWord)]
    pub status: RunStatus,
    /// From 1; goes up when the service, not the user, is to blame for an end.
    pub attempt: i32,
    /// At this many attempts the run fails.
    pub max_attempts: i32,
    /// What was asked for; it never changes.
    pub spec: Build,
    /// The task it is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What started it.
    #[schema(value_type = CauseSchema)]
    pub cause: Cause,
    #[schema(value_type = TrustWord)]
    pub trust: Trust,
    /// Whether somebody asked for it to be cancelled.
    pub cancel_requested: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When a worker took the present attempt.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<OffsetDateTime>,
    /// When its log was removed: a service keeps logs for so long, and so much of them.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub log_removed_at: Option<OffsetDateTime>,
    /// The commit that was built; absent for an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// What was pushed, or will be; nothing of a stranger's pull request.
    pub images: Vec<Image>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Who was told of it, and who did not hear; for a month. Only in the answer about one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<Report>,
}

/// Something that somebody was to be told of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// `commit_status` or `webhook`.
    #[schema(example = "commit_status")]
    pub kind: String,
    /// `run.queued`, `run.started` or `run.finished`; of a commit's status, the last one.
    #[schema(example = "run.finished")]
    pub event: String,
    /// `host[:port]` that is told; never the whole address.
    #[schema(example = "git.example.com")]
    pub host: String,
    /// `waiting`, `sent` or `given_up`.
    #[schema(example = "given_up")]
    pub state: String,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it was not heard, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<OffsetDateTime>,
}

impl Report {
    /// What is told, in words.
    #[must_use]
    pub fn what(&self) -> &'static str {
        if self.kind == "webhook" { "Webhook" } else { "Commit status" }
    }

    /// What became of it, in words.
    #[must_use]
    pub fn became(&self) -> String {
        let tries = if self.attempts == 1 { "1 try".to_owned() } else { format!("{} tries", self.attempts) };
        match self.state.as_str() {
            "sent" => "heard".to_owned(),
            "waiting" if self.attempts == 0 => "waits to be sent".to_owned(),
            "waiting" => format!("not heard in {tries}, tried again"),
            _ => format!("given up after {tries}"),
        }
    }
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// 40 hexadecimal digits.
    #[schema(example = "3f786850e387550fdab836ed7e6dc881de23001b")]
    pub commit: String,
    /// The committer's time, in seconds since 1970.
    pub committed_at: i64,
}

/// One name of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// With the registry's address.
    #[schema(example = "127.0.0.1:5000/team/app:1")]
    pub reference: String,
    /// Of the manifest, as read back from the registry; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub digest: Option<model::Digest>,
    /// Why the tag does not name this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_skipped: Option<TagSkipped>,
}

/// The tag was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TagSkipped {
    /// The run of the same task whose source is newer, or which is trusted where this one is not.
    #[schema(value_type = Uuid)]
    pub superseded_by: RunId,
}

/// What started a run.
#[derive(ToSchema)]
#[schema(as = Cause)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) enum CauseSchema {
    /// Somebody asked for it.
    Manual {
        /// Name of the token.
        by: Option<String>,
        rerun: Option<RerunSchema>,
    },
    /// A push.
    Commit {
        hook: String,
        host: super::GitHostWord,
        delivery: Uuid,
        commit: Option<String>,
        /// Why it started this task.
        reason: String,
        #[serde(rename = "ref")]
        reference: String,
        pusher: Option<String>,
        rerun: Option<RerunSchema>,
    },
    PullRequest {
        hook: String,
        host: super::GitHostWord,
        delivery: Uuid,
        commit: Option<String>,
        reason: String,
        number: u64,
        source_branch: String,
        target_branch: String,
        is_fork: bool,
        author: Option<String>,
        rerun: Option<RerunSchema>,
    },
}

/// Somebody had a run done once more.
#[derive(ToSchema)]
#[schema(as = Rerun)]
#[expect(dead_code, reason = "it exists for its schema")]
pub(super) struct RerunSchema {
    /// The run that it repeats.
    of: Uuid,
    /// Name of the token it was asked with.
    by: String,
}

/// Why a run did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// Stable name.
    #[schema(example = "command_failed")]
    pub kind: String,
    #[schema(value_type = BlameWord)]
    pub blame: model::Blame,
    /// What happened, as a sentence.
    pub message: String,
    /// What to do about it; may be empty.
    #[serde(default)]
    pub hint: String,
    /// The user's own line, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

/// A place in a file the user wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Path within the context.
    #[schema(example = "Dockerfile")]
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// That line as written.
    pub text: String,
    /// First marked column, counted from 1; 0 marks the whole line.
    #[serde(default)]
    pub column: u32,
    /// How many characters are marked.
    #[serde(default)]
    pub width: u32,
}

/// Where the files of a build come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Source {
    /// A git repository over https, http or ssh.
    Git {
        /// `https://host/path`, `ssh://[user@]host[:port]/path` or `user@host:path`; never with a password. Over
        /// ssh it needs a credential that holds a private key and host keys.
        url: String,
        /// Branch, tag, full commit id or `refs/…`; the remote's HEAD when absent.
        #[serde(rename = "ref")]
        reference: Option<String>,
        /// Folder within the repository.
        subdirectory: Option<String>,
    },
    /// An uploaded tar.gz.
    Upload {
        /// As `POST …/sources` answered it.
        id: Uuid,
    },
}

/// Runs, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    pub runs: Vec<Run>,
    /// Give it as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// For the document only: the bytes of an upload.
#[derive(Debug, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct SourceArchive(#[expect(dead_code, reason = "the document's shape of a body")] Vec<u8>);

/// An uploaded source archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceUpload {
    /// For `source` of a new run: `{"type":"upload","id":…}`.
    #[schema(value_type = Uuid)]
    pub id: SourceId,
    /// Bytes.
    pub size: u64,
    /// Of the archive as it was sent.
    #[schema(value_type = String)]
    pub digest: model::Digest,
}

impl From<model::Failure> for Failure {
    fn from(failure: model::Failure) -> Self {
        let model::Failure { kind, blame, message, hint, location } = failure;
        Self { kind, blame, message, hint, location: location.map(|location| (*location).into()) }
    }
}

impl From<model::Location> for Location {
    fn from(location: model::Location) -> Self {
        let model::Location { file, line, text, column, width } = location;
        Self { file, line, text, column, width }
    }
}

impl From<Failure> for model::Failure {
    fn from(failure: Failure) -> Self {
        let Failure { kind, blame, message, hint, location } = failure;
        let location = location.map(|l| {
            let Location { file, line, text, column, width } = l;
            Box::new(model::Location { file, line, text, column, width })
        });
        Self { kind, blame, message, hint, location }
    }
}
