//! What takes commit statuses at GitHub and GitLab, as their documentation has it, and a webhook's receiver. In:
//! requests over HTTP. Out: answers, the states that a commit came to have, every request as it came. Absent:
//! everything else that a git host does.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::GitRequest;

/// A status and headers.
type Prepared = (u16, Vec<(&'static str, String)>);
type Answer = (StatusCode, Value);

/// A git host, or something that listens to webhooks; it ends when it is dropped.
#[derive(Debug)]
pub struct FakeGitHost {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    kind: Kind,
    /// Good for every repository `team/…`.
    token: String,
    requests: Mutex<Vec<GitRequest>>,
    prepared: Mutex<VecDeque<Prepared>>,
    states: Mutex<Vec<GitState>>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Github,
    Gitlab,
    Receiver,
}

/// A state that a commit was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitState {
    pub commit: String,
    pub context: String,
    pub state: String,
    pub description: String,
    pub target_url: String,
}

impl FakeGitHost {
    /// docs.github.com, "REST API endpoints for commit statuses", of GitHub Enterprise Server (`/api/v3`).
    ///
    /// # Panics
    /// There is no port.
    pub async fn github(token: &str) -> Self {
        Self::start(Kind::Github, token).await
    }

    /// docs.gitlab.com, "Commits API", "Set commit pipeline status".
    ///
    /// # Panics
    /// There is no port.
    pub async fn gitlab(token: &str) -> Self {
        Self::start(Kind::Gitlab, token).await
    }

    /// Takes whatever is posted.
    ///
    /// # Panics
    /// There is no port.
    pub async fn receiver() -> Self {
        Self::start(Kind::Receiver, "").await
    }

    async fn start(kind: Kind, token: &str) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("the port's number");
        let token = token.to_owned();
        let (requests, prepared, states) = (Mutex::default(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { kind, token, requests, prepared, states });
        let answering = Arc::clone(&shared);
        let router =
            Router::new().fallback(async move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                answering.answer(&method, &uri, &headers, &body)
            });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, shared, serving }
    }

    /// Below it, without a `/` at the beginning.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How the next request is answered, whatever it is, and the ones after it.
    pub fn prepare(&self, answers: impl IntoIterator<Item = Prepared>) {
        self.shared.prepared.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<GitRequest> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was taken, in that order.
    #[must_use]
    pub fn states(&self) -> Vec<GitState> {
        self.shared.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeGitHost {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
        let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let request = GitRequest {
            method: method.to_string(),
            target: uri.to_string(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: body.to_vec(),
        };
        let prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let answer = match (prepared, self.kind) {
            (Some((status, extra)), _) => {
                let status = StatusCode::from_u16(status).expect("a status");
                // As some hosts do, to help.
                let sent = ["authorization", "private-token"].iter().find_map(|name| headers.get(*name));
                let mut response =
                    (status, format!("you sent {}", sent.map(text).unwrap_or_default())).into_response();
                for (name, value) in extra {
                    response.headers_mut().insert(name, value.parse().expect("a header"));
                }
                response
            }
            (None, Kind::Receiver) => StatusCode::NO_CONTENT.into_response(),
            (None, Kind::Github) => with_body(self.github(&request)),
            (None, Kind::Gitlab) => with_body(self.gitlab(&request)),
        };
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        answer
    }

    fn github(&self, request: &GitRequest) -> Answer {
        let said = |status: StatusCode, message: &str| (status, json!({ "message": message }));
        if request.header("user-agent").is_none() {
            return said(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.");
        }
        if request.header("authorization") != Some(&*format!("Bearer {}", self.token)) {
            return said(StatusCode::UNAUTHORIZED, "Bad credentials");
        }
        let path: Vec<_> = request.target.trim_start_matches('/').split('/').collect();
        let ["api", "v3", "repos", "team", _, "statuses", commit] = path[..] else {
            return said(StatusCode::NOT_FOUND, "Not Found");
        };
        let Some(state) = state_of(request, commit, "context") else {
            return said(StatusCode::BAD_REQUEST, "Problems parsing JSON");
        };
        if !["error", "failure", "pending", "success"].contains(&&*state.state) {
            return said(StatusCode::UNPROCESSABLE_ENTITY, "GitState is not included in the list");
        }
        if state.description.chars().count() > 140 {
            return said(
                StatusCode::UNPROCESSABLE_ENTITY,
                "description is too long (maximum is 140 characters)",
            );
        }
        if !is_commit(commit) {
            return said(StatusCode::UNPROCESSABLE_ENTITY, &format!("No commit found for SHA: {commit}"));
        }
        self.take(state)
    }

    fn gitlab(&self, request: &GitRequest) -> Answer {
        let said = |status: StatusCode, message: String| (status, json!({ "message": message }));
        if request.header("private-token") != Some(&self.token) {
            return said(StatusCode::UNAUTHORIZED, "401 Unauthorized".to_owned());
        }
        let path: Vec<_> = request.target.trim_start_matches('/').split('/').collect();
        let ["api", "v4", "projects", project, "statuses", commit] = path[..] else {
            return said(StatusCode::NOT_FOUND, "404 Not Found".to_owned());
        };
        // The project's path in one piece, or its number.
        if !project.starts_with("team%2F") {
            return said(StatusCode::NOT_FOUND, "404 Project Not Found".to_owned());
        }
        let Some(state) = state_of(request, commit, "name").filter(|_| is_commit(commit)) else {
            return said(StatusCode::NOT_FOUND, "404 Commit Not Found".to_owned());
        };
        let known =
            self.states().into_iter().rfind(|s| (&s.commit, &s.context) == (&state.commit, &state.context));
        let before = known.map_or("created".to_owned(), |known| known.state);
        // A state that has ended is followed by a new one.
        let allowed: &[&str] = match before.as_str() {
            "pending" => &["running", "success", "failed", "canceled", "skipped"],
            "running" => &["success", "failed", "canceled", "skipped"],
            _ => &["pending", "running", "success", "failed", "canceled", "skipped"],
        };
        let deed = match state.state.as_str() {
            "pending" => "enqueue",
            "running" => "run",
            "success" => "succeed",
            "failed" => "drop",
            "canceled" => "cancel",
            "skipped" => "skip",
            _ => return (StatusCode::BAD_REQUEST, json!({ "error": "state does not have a valid value" })),
        };
        if !allowed.contains(&state.state.as_str()) {
            let reason = format!("Status cannot transition via \"{deed}\"");
            let message =
                format!("Cannot transition status via :{deed} from :{before} (Reason(s): {reason})");
            return said(StatusCode::BAD_REQUEST, message);
        }
        self.take(state)
    }

    fn states(&self) -> Vec<GitState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, state: GitState) -> Answer {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        (StatusCode::CREATED, json!({}))
    }
}

/// `context`: the field that names who tells.
fn state_of(request: &GitRequest, commit: &str, context: &str) -> Option<GitState> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Some(GitState {
        commit: commit.to_owned(),
        context: text(context),
        state: text("state"),
        description: text("description"),
        target_url: text("target_url"),
    })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0')
}

fn with_body((status, body): Answer) -> Response {
    (status, axum::Json(body)).into_response()
}
