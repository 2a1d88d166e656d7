//! How large a request's head may be. What is larger still than a connection's buffer is refused by hyper; see `bare`.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::kind;
use super::problem::Problem;

/// Bytes of a connection's buffer; a head has to fit.
pub(crate) const BUFFER: usize = 64 * 1024;
/// Bytes of all headers of a request.
const HEADERS: usize = 32 * 1024;
/// Bytes of a request's path and query.
const ADDRESS: usize = 16 * 1024;

/// Refuses a head that is larger than anybody needs.
pub(crate) async fn refuse_large(request: Request, next: Next) -> Response {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > ADDRESS {
        return address_too_long().into_response();
    }
    if size(request.headers()) > HEADERS {
        return too_large().into_response();
    }
    next.run(request).await
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

pub(crate) fn too_large() -> Problem {
    let detail = format!("A request's headers have at most {} KiB.", HEADERS / 1024);
    Problem::new(&kind::HEADERS_TOO_LARGE, detail, "Look for a cookie or a token that has grown.")
}

pub(crate) fn address_too_long() -> Problem {
    let detail = format!("A request's address has at most {} KiB.", ADDRESS / 1024);
    Problem::new(&kind::ADDRESS_TOO_LONG, detail, "GET /openapi.json shows what belongs into an address.")
}
