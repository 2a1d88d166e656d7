//! Every kind of problem that the API answers with: its name, its status and its title. The names are
//! stable; the page `/problems` lists them.

use axum::http::StatusCode;

/// One kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
}

macro_rules! kinds {
    ($($constant:ident $name:literal $status:ident $title:literal)+) => {
        $(pub(crate) const $constant: Kind =
            Kind { name: $name, status: StatusCode::$status, title: $title };)+

        /// All of them, for the page and its test.
        pub(crate) const ALL: &[&Kind] = &[$(&$constant),+];
    };
}

kinds! {
    JSON_INVALID "json_invalid" BAD_REQUEST "The body is not the JSON that was expected"
    PARAMETER_INVALID "parameter_invalid" BAD_REQUEST "A parameter can't be read"
    CHARACTER_REFUSED "character_refused" BAD_REQUEST "A character can't be stored"
    HEADER_INVALID "header_invalid" BAD_REQUEST "A header can't be read"
    BODY_BROKEN "body_broken" BAD_REQUEST "The body broke off"
    REQUEST_INVALID "request_invalid" BAD_REQUEST "The request can't be read"
    DELIVERY_UNUSABLE "delivery_unusable" BAD_REQUEST "The delivery lacks what its host sends"
    SOURCE_NOT_GZIP "source_not_gzip" UNPROCESSABLE_ENTITY "The upload is not a tar.gz"
    ORIGIN_REFUSED "origin_refused" FORBIDDEN "Pages of other sites may not call this service"
    UNAUTHENTICATED "unauthenticated" UNAUTHORIZED "An access token is needed"
    SIGNATURE_REFUSED "signature_refused" UNAUTHORIZED "The delivery is not signed by whom it should be"
    ROLE_TOO_SMALL "role_too_small" FORBIDDEN "The token's role does not allow that"
    OTHER_REGISTRY "other_registry" FORBIDDEN "The token is for another registry"
    ROUTE_NOT_FOUND "route_not_found" NOT_FOUND "There is nothing at this address"
    REGISTRY_NOT_FOUND "registry_not_found" NOT_FOUND "Unknown registry"
    RUN_NOT_FOUND "run_not_found" NOT_FOUND "Unknown run"
    CREDENTIAL_NOT_FOUND "credential_not_found" NOT_FOUND "Unknown credential"
    TASK_NOT_FOUND "task_not_found" NOT_FOUND "Unknown task"
    HOOK_NOT_FOUND "hook_not_found" NOT_FOUND "Unknown hook"
    DELIVERY_NOT_FOUND "delivery_not_found" NOT_FOUND "Unknown delivery"
    TOKEN_NOT_FOUND "token_not_found" NOT_FOUND "Unknown token"
    ATTEMPT_NOT_FOUND "attempt_not_found" NOT_FOUND "Unknown attempt"
    METHOD_NOT_ALLOWED "method_not_allowed" METHOD_NOT_ALLOWED "This address does not take that method"
    REQUEST_TIMEOUT "request_timeout" REQUEST_TIMEOUT "The request took too long"
    RUN_FINISHED "run_finished" CONFLICT "The run has ended"
    CANCEL_TOO_LATE "cancel_too_late" CONFLICT "The image is being published already"
    ALREADY_EXISTS "already_exists" CONFLICT "The name is taken"
    IN_USE "in_use" CONFLICT "Something else names it"
    REGISTRY_IN_USE "registry_in_use" CONFLICT "The registry is not empty"
    OUTDATED "outdated" PRECONDITION_FAILED "Somebody else changed it first"
    BODY_TOO_LARGE "body_too_large" PAYLOAD_TOO_LARGE "The body is too large"
    MEDIA_TYPE_UNSUPPORTED "media_type_unsupported" UNSUPPORTED_MEDIA_TYPE "This media type is not taken here"
    ADDRESS_TOO_LONG "address_too_long" URI_TOO_LONG "The address is too long"
    HEADERS_TOO_LARGE "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The headers are too large"
    LOG_REMOVED "log_removed" GONE "The log was removed"
    OFFSET_BEYOND_LOG "offset_beyond_log" RANGE_NOT_SATISFIABLE "The log is not that long"
    HOST_REFUSED "host_refused" MISDIRECTED_REQUEST "This service does not go by that name"
    PLATFORM_UNAVAILABLE "platform_unavailable" UNPROCESSABLE_ENTITY "No worker builds for that platform"
    SPEC_INVALID "spec_invalid" UNPROCESSABLE_ENTITY "The build can't be done as asked for"
    NAME_INVALID "name_invalid" UNPROCESSABLE_ENTITY "The name is not possible"
    REGISTRY_INVALID "registry_invalid" UNPROCESSABLE_ENTITY "The registry can't be used as described"
    CREDENTIAL_INVALID "credential_invalid" UNPROCESSABLE_ENTITY "The credential can't be used as given"
    TASK_INVALID "task_invalid" UNPROCESSABLE_ENTITY "The task can't be run as described"
    HOOK_INVALID "hook_invalid" UNPROCESSABLE_ENTITY "The hook can't be used as described"
    TOKEN_INVALID "token_invalid" UNPROCESSABLE_ENTITY "The token can't be made as described"
    DELIVERY_INVALID "delivery_invalid" UNPROCESSABLE_ENTITY "The delivery can't be read"
    SOURCE_NOT_FOUND "source_not_found" UNPROCESSABLE_ENTITY "Unknown source upload"
    IDEMPOTENCY_KEY_REUSED "idempotency_key_reused" UNPROCESSABLE_ENTITY "The idempotency key belongs to another request"
    TOO_MANY_REQUESTS "too_many_requests" TOO_MANY_REQUESTS "Too many requests"
    INTERNAL "internal" INTERNAL_SERVER_ERROR "Slipway failed"
    DISK_FULL "disk_full" INSUFFICIENT_STORAGE "The database's disk is full"
    DATABASE_UNAVAILABLE "database_unavailable" SERVICE_UNAVAILABLE "The database can't be reached"
    BUSY "busy" SERVICE_UNAVAILABLE "Too much came at once"
    NOT_READY "not_ready" SERVICE_UNAVAILABLE "The service can't take work yet"
}

/// The kind for an answer that a library gave, not one of our handlers.
pub(crate) fn of_status(status: StatusCode) -> &'static Kind {
    match status {
        StatusCode::NOT_FOUND => &ROUTE_NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT => &REQUEST_TIMEOUT,
        StatusCode::PAYLOAD_TOO_LARGE => &BODY_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &MEDIA_TYPE_UNSUPPORTED,
        other if other.is_client_error() => &REQUEST_INVALID,
        _ => &INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_statuses_are_errors() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|kind| kind.status.is_client_error() || kind.status.is_server_error()));
    }
}
