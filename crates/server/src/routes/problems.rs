//! `/problems`: where the `type` of every problem leads.

use std::fmt::Write as _;

use axum::response::Html;

use crate::http::kind;

/// Every kind with its status and title.
pub(crate) async fn problems() -> Html<String> {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Slipway: problems</title>\n\
         <h1>Problems</h1>\n<p>Every error is <code>application/problem+json</code> (RFC 9457); its \
         <code>kind</code> is one of these and stays.</p>\n<dl>\n",
    );
    for kind in kind::ALL {
        let _ = writeln!(
            page,
            "<dt id=\"{0}\"><code>{0}</code> ({1})<dd>{2}",
            kind.name,
            kind.status.as_u16(),
            kind.title
        );
    }
    page.push_str("</dl>\n</html>\n");
    Html(page)
}
