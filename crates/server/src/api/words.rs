//! The words of `model`'s enums for the OpenAPI document, for `model` knows nothing of it. A test
//! holds them equal.

use utoipa::ToSchema;

/// Where a run stands. `succeeded`, `failed`, `cancelled` and `timed_out` are ends.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = RunStatus, rename_all = "snake_case")]
pub enum StatusWord {
    Queued,
    Started,
    Publishing,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

/// What started a run.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = CauseType, rename_all = "snake_case")]
pub enum CauseWord {
    Manual,
    Commit,
    PullRequest,
}

/// How an attempt ended. `lost`: its worker gave no sign of life any more.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = AttemptOutcome, rename_all = "snake_case")]
pub enum AttemptOutcomeWord {
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Lost,
}

/// Whether a worker's runs have limits. `none`: its host gave it no cgroup; `missing`: likewise, and as it was to
/// have one, it leases no run.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = WorkerLimits, rename_all = "snake_case")]
pub enum WorkerLimitsWord {
    Enforced,
    None,
    Missing,
}

/// What a step does.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = StepKind, rename_all = "snake_case")]
pub enum StepKindWord {
    Build,
    Push,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = StepStatus, rename_all = "snake_case")]
pub enum StepStatusWord {
    Started,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

/// What became of a vertex. `interrupted`: it was ended before it was done, by a cancel, a limit, a lost
/// worker, or because another one failed.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = VertexResult, rename_all = "snake_case")]
pub enum VertexResultWord {
    Running,
    Cached,
    Executed,
    Failed,
    Interrupted,
}

/// Who has to act.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = Blame, rename_all = "snake_case")]
pub enum BlameWord {
    User,
    Limits,
    Service,
}

/// Whether a run may see secrets and the registry's cache.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = Trust, rename_all = "snake_case")]
pub enum TrustWord {
    Trusted,
    Untrusted,
}

/// What a token may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
pub enum RoleWord {
    Reader,
    Submitter,
    Contributor,
    Administrator,
}

/// What a credential is for.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = CredentialKind, rename_all = "snake_case")]
pub enum CredentialKindWord {
    Git,
    Registry,
    Webhook,
    Build,
}

/// Who sends a hook's deliveries.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = GitHost, rename_all = "snake_case")]
pub enum GitHostWord {
    Github,
    Gitea,
    Gitlab,
    AzureDevops,
    Standard,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = DeliveryStatus, rename_all = "snake_case")]
pub enum DeliveryStatusWord {
    Received,
    Matched,
    Ignored,
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;
    use utoipa::PartialSchema;

    #[test]
    fn the_words_are_those_of_the_model() {
        let statuses: Vec<_> = model::RunStatus::ALL.iter().map(|status| status.as_str()).collect();
        let schema = serde_json::to_value(StatusWord::schema()).expect("a schema is JSON");
        assert_eq!(schema["enum"], serde_json::json!(statuses));
        let blames =
            [model::Blame::User, model::Blame::Limits, model::Blame::Service].map(model::Blame::as_str);
        let schema = serde_json::to_value(BlameWord::schema()).expect("a schema is JSON");
        assert_eq!(schema["enum"], serde_json::json!(blames));
        let words = |schema: utoipa::openapi::RefOr<utoipa::openapi::Schema>| {
            serde_json::to_value(schema).expect("a schema is JSON")["enum"].clone()
        };
        assert_eq!(words(CauseWord::schema()), serde_json::json!(model::Cause::WORDS));
        let outcomes: Vec<_> = model::AttemptOutcome::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(AttemptOutcomeWord::schema()), serde_json::json!(outcomes));
        let kinds: Vec<_> = model::StepKind::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(StepKindWord::schema()), serde_json::json!(kinds));
        let steps: Vec<_> = model::StepStatus::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(StepStatusWord::schema()), serde_json::json!(steps));
        let results: Vec<_> = model::VertexResult::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(VertexResultWord::schema()), serde_json::json!(results));
        let limits: Vec<_> = model::WorkerLimits::ALL.iter().map(|word| word.as_str()).collect();
        assert_eq!(words(WorkerLimitsWord::schema()), serde_json::json!(limits));
        let roles = model::Role::ALL.map(model::Role::as_str);
        assert_eq!(words(RoleWord::schema()), serde_json::json!(roles));
        let kinds = model::CredentialKind::ALL.map(model::CredentialKind::as_str);
        assert_eq!(words(CredentialKindWord::schema()), serde_json::json!(kinds));
        let hosts = model::GitHost::ALL.map(model::GitHost::as_str);
        assert_eq!(words(GitHostWord::schema()), serde_json::json!(hosts));
    }
}
