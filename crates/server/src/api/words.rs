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

/// Who has to act.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(as = Blame, rename_all = "snake_case")]
pub enum BlameWord {
    User,
    Limits,
    Service,
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
    }
}
