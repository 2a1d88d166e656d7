//! `/`: what this is, and what can be asked.

use axum::response::Html;

/// For whoever opens the address in a browser.
pub(crate) async fn front() -> Html<&'static str> {
    Html(PAGE)
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Slipway</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark }
  td { padding: .15rem 1.5rem .15rem 0; vertical-align: top } code { white-space: nowrap }
</style>
<h1>Slipway</h1>
<p>A build service for container images. It takes a git repository or an uploaded folder, builds its
Dockerfile in a sandbox, and pushes the image.</p>
<p>From a terminal: <code>slipway build . -t hello</code></p>
<table>
<tr><td><a href="/v1/registries/local/runs"><code>GET /v1/registries/local/runs</code></a><td>the runs, newest first
<tr><td><code>POST /v1/registries/{registry}/runs</code><td>start one
<tr><td><code>GET /v1/registries/{registry}/runs/{run}</code><td>one run; <code>Prefer: wait=60</code> waits for its end
<tr><td><code>GET …/runs/{run}/logs</code><td>its log; as <code>text/event-stream</code> it follows
<tr><td><code>POST …/runs/{run}/cancel</code><td>cancel it
<tr><td><code>POST /v1/registries/{registry}/sources</code><td>upload a tar.gz to build
<tr><td><a href="/openapi.json"><code>GET /openapi.json</code></a><td>all of it as OpenAPI
<tr><td><a href="/problems"><code>GET /problems</code></a><td>every kind of error
<tr><td><a href="/healthz"><code>/healthz</code></a> <a href="/readyz"><code>/readyz</code></a> <a href="/metrics"><code>/metrics</code></a><td>for operators
</table>
</html>
"#;
