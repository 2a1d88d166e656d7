//! The OpenAPI document: what the routes say about themselves, and what holds for all of them.

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Info, OpenApi as Document, Ref, RefOr, ResponseBuilder};

use crate::api;
use crate::router;

#[derive(OpenApi)]
#[openapi(
    info(title = "Slipway", description = "A self-hosted cloud build service for container images.", version = "1"),
    components(schemas(api::ProblemBody, api::CauseWord)),
    tags(
        (name = "registries", description = "Where images are pushed."),
        (name = "tasks", description = "Saved definitions, and what starts them."),
        (name = "runs", description = "Builds: start, watch, cancel."),
        (name = "credentials", description = "Secrets: kept, never shown."),
        (name = "hooks", description = "What git hosts deliver, and what became of it."),
        (name = "tokens", description = "Who may do what."),
        (name = "workers", description = "Who builds."),
        (name = "sources", description = "Upload a folder to build."),
        (name = "operation", description = "For those who run the service."),
    )
)]
struct Base;

/// The document of REST v1, as `/openapi.json` answers it.
#[must_use]
pub fn document() -> Document {
    let (_, document) = router::documented(&crate::Config::default(), None).split_for_parts();
    finish(document)
}

/// What holds for every operation: any error is a problem, and the request has an id.
pub(crate) fn finish(mut document: Document) -> Document {
    let mut base = Base::openapi();
    base.merge(std::mem::take(&mut document));
    base.info = Info::builder()
        .title("Slipway")
        .description(Some("A self-hosted cloud build service for container images."))
        .version("1")
        .build();
    for item in base.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), RefOr::T(problem()));
        }
    }
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token, `sw_…`."))
        .build();
    base.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(token));
    base.security = Some(vec![SecurityRequirement::new("token", [] as [&str; 0])]);
    base
}

fn problem() -> utoipa::openapi::Response {
    let schema = Ref::from_schema_name("ProblemBody");
    ResponseBuilder::new()
        .description("Any error, as RFC 9457 has it. `kind` is stable; `/problems` lists the kinds.")
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build()
}
