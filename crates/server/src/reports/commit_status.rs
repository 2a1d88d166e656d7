//! The state of a run at its commit: GitHub's and Gitea's `statuses`, GitLab's `statuses`. The first two replace
//! the state of the same context, GitLab refuses one that it has: telling it twice does no harm.

use database::RunRow;
use mask::Mask;
use model::{Cause, CredentialKind, GitHost, RunStatus, SourceSpec, Trust};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::json;
use time::OffsetDateTime;

use super::{NotSent, Opened, open, page_of, unreachable, wait_of};
use crate::App;

/// So much of an answer is read: a secret that is cut in two would not be found.
const WORDS: usize = 16 << 10;

/// The request for where a run stands now, and a mask of what it shows the host.
pub(crate) async fn request(
    app: &App,
    http: &egress::Client,
    run: &RunRow,
) -> Result<(RequestBuilder, Mask), NotSent> {
    let never = |why: &str| NotSent::Never(why.to_owned());
    let event = run.cause.event().ok_or_else(|| never("no git host started the run"))?;
    let commit = event.commit.as_deref().ok_or_else(|| never("the commit is not known"))?;
    let SourceSpec::Git { url, .. } = &run.spec.source else {
        return Err(never("the source is no repository"));
    };
    let Some(name) = &run.spec.source_credential else {
        return Err(never("the task has no source credential to write commit statuses with"));
    };
    let (origin, path) =
        split(url).ok_or_else(|| never("the source's address is none of the web, and its key no token"))?;
    let credential = open(app, &run.registry, name, CredentialKind::Git).await?;
    let context = context(run);
    let (text, page) = (description(run), page_of(app, run));
    let request = match event.host {
        GitHost::Gitlab => {
            let project = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
            let body = json!({ "state": gitlab_state(run.status), "name": context, "description": text, "target_url": page });
            http.request(Method::POST, format!("{origin}/api/v4/projects/{project}/statuses/{commit}"))
                .header("private-token", credential.secret.expose())
                .json(&body)
        }
        host => {
            let api = match host {
                GitHost::Gitea => format!("{origin}/api/v1"),
                _ if origin == "https://github.com" => "https://api.github.com".to_owned(),
                _ => format!("{origin}/api/v3"),
            };
            let body = json!({ "state": github_state(run), "context": context, "description": text, "target_url": page });
            authorized(
                http.request(Method::POST, format!("{api}/repos/{path}/statuses/{commit}")),
                host,
                &credential,
            )
            .header("accept", "application/vnd.github+json, application/json")
            .json(&body)
        }
    };
    Ok((request, credential.mask()))
}

/// Sends it, also to where a renamed repository is now: at the same host, for nobody else may have the credential.
pub(crate) async fn follow(http: &egress::Client, request: RequestBuilder) -> Result<Response, NotSent> {
    let request = request.build().map_err(|error| unreachable(&egress::Error::Http(error)))?;
    let again = request.try_clone();
    let answer = http.execute(request).await.map_err(|error| unreachable(&error))?;
    let moved = matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
    let location = location.filter(|_| moved).and_then(|location| answer.url().join(location).ok());
    match (location.filter(|there| there.origin() == answer.url().origin()), again) {
        (Some(there), Some(mut again)) => {
            *again.url_mut() = there;
            http.execute(again).await.map_err(|error| unreachable(&error))
        }
        _ => Ok(answer),
    }
}

/// What the answer means. Some hosts repeat what they were sent: its mask takes that out.
pub(crate) async fn heard(answer: Response, sent: &Mask, now: OffsetDateTime) -> Result<(), NotSent> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let wait = wait_of(answer.headers(), now);
    let why = format!("it answered {status}: {}", beginning(answer, sent).await);
    match status {
        // docs.gitlab.com, "Set commit pipeline status": it has this state, or a later one.
        StatusCode::BAD_REQUEST if why.contains("Cannot transition status") => Ok(()),
        // GitHub answers 403 as well when there were too many requests.
        StatusCode::FORBIDDEN if wait.is_some() => Err(NotSent::Later { why, wait }),
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::UNPROCESSABLE_ENTITY => {
            Err(NotSent::Never(format!("{why} (may the task's source credential write commit statuses?)")))
        }
        _ => Err(NotSent::Later { why, wait }),
    }
}

/// The host's own words, masked, then cut.
async fn beginning(mut answer: Response, sent: &Mask) -> String {
    let mut said = Vec::new();
    while said.len() < WORDS
        && let Ok(Some(part)) = answer.chunk().await
    {
        said.extend_from_slice(&part);
    }
    sent.text(&String::from_utf8_lossy(&said)).chars().filter(|c| !c.is_control()).take(200).collect()
}

fn authorized(request: RequestBuilder, host: GitHost, credential: &Opened) -> RequestBuilder {
    let secret = credential.secret.expose();
    match (host, &credential.username) {
        // Gitea takes a password as well as a token by basic auth.
        (GitHost::Gitea, Some(user)) => request.basic_auth(user, Some(secret)),
        (GitHost::Gitea, None) => request.header("authorization", format!("token {secret}")),
        _ => request.bearer_auth(secret),
    }
}

/// `https://host[:port]` and `owner/repository`.
fn split(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
    let (host, path) = rest.split_once('/')?;
    let path = path.trim_matches('/');
    Some((format!("{scheme}://{host}"), path.strip_suffix(".git").unwrap_or(path).to_owned()))
}

/// What the state is of. A host keeps the last one of each context at a commit: a pull request says nothing of the
/// push of its commit, and a stranger's nothing of any other.
fn context(run: &RunRow) -> String {
    let task = run.task.as_deref().unwrap_or("build");
    match &run.cause {
        Cause::PullRequest { number, .. } if run.trust == Trust::Untrusted => {
            format!("slipway/{task} (pull request {number})")
        }
        Cause::PullRequest { .. } => format!("slipway/{task} (pull request)"),
        Cause::Manual { .. } | Cause::Commit { .. } => format!("slipway/{task}"),
    }
}

/// GitHub: `error`, `failure`, `pending`, `success`; Gitea the same.
fn github_state(run: &RunRow) -> &'static str {
    match run.status {
        RunStatus::Queued | RunStatus::Started | RunStatus::Publishing => "pending",
        RunStatus::Succeeded => "success",
        RunStatus::Cancelled => "error",
        RunStatus::Failed | RunStatus::TimedOut => {
            let ours = run.failure.as_ref().is_some_and(|failure| failure.blame == model::Blame::Service);
            if ours { "error" } else { "failure" }
        }
    }
}

/// GitLab: `pending`, `running`, `success`, `failed`, `canceled`.
fn gitlab_state(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "pending",
        RunStatus::Started | RunStatus::Publishing => "running",
        RunStatus::Succeeded => "success",
        RunStatus::Failed | RunStatus::TimedOut => "failed",
        RunStatus::Cancelled => "canceled",
    }
}

/// GitHub cuts at 140 characters.
fn description(run: &RunRow) -> String {
    let text = match (&run.failure, run.status) {
        (Some(failure), _) => failure.message.clone(),
        (None, RunStatus::Queued) => "The build waits for a worker.".to_owned(),
        (None, RunStatus::Succeeded) if run.images.is_empty() => {
            "The image is built; it is pushed nowhere.".to_owned()
        }
        (None, RunStatus::Succeeded) => pushed(run),
        (None, RunStatus::Cancelled) => "The build was cancelled.".to_owned(),
        (None, _) => "The image is being built.".to_owned(),
    };
    without_middle(&text, 139)
}

fn pushed(run: &RunRow) -> String {
    match (run.skipped.len(), run.images.len()) {
        (0, _) => "The image is built and pushed.".to_owned(),
        (skipped, all) if skipped < all => {
            format!("The image is built and pushed; a newer run has {skipped} of its {all} tags.")
        }
        (1, _) => "The image is built; a newer run has the tag.".to_owned(),
        _ => "The image is built; a newer run has the tags.".to_owned(),
    }
}

/// Of a long command, the beginning; of what became of it, the end: `ended with exit code 2.`
fn without_middle(text: &str, longest: usize) -> String {
    const END: usize = 40;
    let count = text.chars().count();
    if count <= longest {
        return text.to_owned();
    }
    let beginning = text.chars().take(longest - END - 1);
    beginning.chain(['…']).chain(text.chars().skip(count - END)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_cut_and_its_exit_code_stays() {
        let said = format!("The command `{}` ended with exit code 137.", "make ".repeat(100));
        let cut = without_middle(&said, 139);
        assert_eq!(cut.chars().count(), 139);
        assert!(cut.starts_with("The command `make ") && cut.ends_with("ended with exit code 137."), "{cut}");
    }

    #[test]
    fn an_address_is_split_into_origin_and_path() {
        let parts = split("https://git.example:3000/team/app.git/");
        assert_eq!(parts, Some(("https://git.example:3000".to_owned(), "team/app".to_owned())));
        assert_eq!(split("git@host:team/app"), None);
    }
}
