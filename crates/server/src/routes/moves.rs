//! Which runs move, as server-sent events: hints for whoever shows a list, passed on as the database tells
//! them. Absent: what moved; the reader asks for that.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

use crate::App;
use crate::http::auth::Caller;

/// Until the reader goes, its token ends or the server stops.
pub(crate) fn stream(app: &App, caller: Caller) -> Response {
    let end = end(app.clone(), caller.clone());
    let hints = BroadcastStream::new(app.changes.moves());
    let events = hints.filter_map(move |hint| match hint {
        Ok(Some(moved)) if caller.sees(&moved.registry) => {
            let data = json!({ "registry": moved.registry, "run": moved.run, "status": moved.status });
            Some(Ok::<_, Infallible>(Event::default().event("run").data(data.to_string())))
        }
        Ok(Some(_)) => None,
        // The connection to the database was lost for a while, or this reader was slow.
        Ok(None) | Err(_) => Some(Ok(Event::default().event("missed").data("{}"))),
    });
    Sse::new(futures_util::StreamExt::take_until(events, end))
        .keep_alive(KeepAlive::new().interval(app.config().ping).text("ping"))
        .into_response()
}

async fn end(app: App, caller: Caller) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(app.config().ping) => {}
            () = app.stop.cancelled() => return,
        }
        if !caller.is_still_good(&app).await {
            return;
        }
    }
}
