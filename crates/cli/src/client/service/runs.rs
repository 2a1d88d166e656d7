//! Questions about runs, their logs and sources.

use model::RunId;
use reqwest::{Method, Response};
use server::api::{NewRun, NewTaskRun, Run, RunPage, RunSteps, SourceUpload};

use super::Service;
use crate::client::error::ClientError;

impl Service {
    /// Starts a run. It is asked again under the same key, so that a lost answer makes no second run.
    pub(crate) async fn create_run(&self, new: &NewRun) -> Result<Run, ClientError> {
        let key = uuid::Uuid::new_v4().to_string();
        self.patiently(|| async {
            let request = self.quick(Method::POST, &["runs"]).header("idempotency-key", &key).json(new);
            self.json(request).await
        })
        .await
    }

    /// Starts a run of a task; asked again as above.
    pub(crate) async fn run_task(&self, task: &str, new: &NewTaskRun) -> Result<Run, ClientError> {
        let key = uuid::Uuid::new_v4().to_string();
        self.patiently(|| async {
            let request = self.quick(Method::POST, &["tasks", task, "runs"]);
            self.json(request.header("idempotency-key", &key).json(new)).await
        })
        .await
    }

    pub(crate) async fn get_run(&self, run: RunId) -> Result<Run, ClientError> {
        let run = run.to_string();
        self.json(self.quick(Method::GET, &["runs", &run])).await
    }

    pub(crate) async fn run_steps(&self, run: RunId) -> Result<RunSteps, ClientError> {
        let run = run.to_string();
        self.json(self.quick(Method::GET, &["runs", &run, "steps"])).await
    }

    /// A page of runs, newest first.
    pub(crate) async fn list_runs(
        &self,
        filters: &[(&str, Option<String>)],
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<RunPage, ClientError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(filters.iter().filter_map(|(name, value)| Some((*name, value.clone()?))));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.json(self.quick(Method::GET, &["runs"]).query(&query)).await
    }

    /// Does a run once more; asked again as above.
    pub(crate) async fn rerun(&self, run: RunId) -> Result<Run, ClientError> {
        let (key, run) = (uuid::Uuid::new_v4().to_string(), run.to_string());
        self.patiently(|| async {
            let request = self.quick(Method::POST, &["runs", &run, "rerun"]);
            self.json(request.header("idempotency-key", &key)).await
        })
        .await
    }

    pub(crate) async fn cancel(&self, run: RunId) -> Result<Run, ClientError> {
        let run = run.to_string();
        self.patiently(|| async { self.json(self.quick(Method::POST, &["runs", &run, "cancel"])).await })
            .await
    }

    pub(crate) async fn upload(&self, body: reqwest::Body) -> Result<SourceUpload, ClientError> {
        let request = self.request(Method::POST, &["sources"]).header("content-type", "application/gzip");
        self.json(request.body(body)).await
    }

    /// A piece of the log as it is now, and where the next begins.
    pub(crate) async fn log_text(
        &self,
        run: RunId,
        attempt: Option<i32>,
        offset: u64,
    ) -> Result<(bytes::Bytes, u64), ClientError> {
        let run = run.to_string();
        let mut query = vec![("offset", offset.to_string())];
        query.extend(attempt.map(|attempt| ("attempt", attempt.to_string())));
        let request = self.quick(Method::GET, &["runs", &run, "logs"]).query(&query);
        let response = self.send(request).await?;
        let next =
            response.headers().get("x-log-next-offset").and_then(|next| next.to_str().ok()?.parse().ok());
        let next = next.ok_or_else(|| self.not_slipway("a log came without X-Log-Next-Offset"))?;
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((bytes, next))
    }

    /// The log as server-sent events, from behind `last` on.
    pub(crate) async fn log_events(&self, run: RunId, last: Option<&str>) -> Result<Response, ClientError> {
        let run = run.to_string();
        let mut request =
            self.request(Method::GET, &["runs", &run, "logs"]).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.send(request).await
    }
}
