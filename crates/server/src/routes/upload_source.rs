//! `POST /v1/registries/{registry}/sources`

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use model::{Digest, SourceId};
use sha2::{Digest as _, Sha256};

use super::lookup::find_registry;
use crate::App;
use crate::api::SourceUpload;
use crate::http::extract::PathOf;
use crate::http::kind;
use crate::http::problem::Problem;

/// Bytes of a piece in the database.
const PIECE: usize = 1024 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Upload a folder as tar.gz.
///
/// Its id is then the `source` of a run. An upload that no run uses is removed after a while.
#[utoipa::path(
    post, path = "/v1/registries/{registry}/sources", tag = "sources", operation_id = "uploadSource",
    params(("registry" = String, Path, example = "local")),
    request_body(content = crate::api::SourceArchive, content_type = "application/gzip", description = "A tar.gz, at most 256 MiB"),
    responses(
        (status = 201, description = "Stored", body = SourceUpload),
        (status = 413, description = "`body_too_large`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`source_not_gzip`", body = crate::api::ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn upload_source(
    State(app): State<App>,
    PathOf(registry): PathOf<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<SourceUpload>), Problem> {
    let registry = find_registry(&app, &registry).await?;
    refuse_known_length(&app, &headers)?;
    let id = app.database.create_source(&registry.name).await?;
    let mut upload =
        Upload { app: &app, id, sequence: 0, size: 0, hash: Sha256::new(), pending: BytesMut::new() };
    upload.receive(body.into_data_stream()).await?;
    let sealed = upload.seal().await?;
    tracing::info!(source = %sealed.id, size = sealed.size, "source uploaded");
    app.metrics.uploaded(sealed.size);
    Ok((StatusCode::CREATED, Json(sealed)))
}

/// A client that says beforehand that it has too much is spared the sending.
fn refuse_known_length(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > app.config().source_limit => Err(too_large(app)),
        _ => Ok(()),
    }
}

fn too_large(app: &App) -> Problem {
    Problem::new(
        &kind::BODY_TOO_LARGE,
        format!("A source archive has at most {} MiB.", app.config().source_limit / (1024 * 1024)),
        "Leave out what the build does not need with a .dockerignore, or build from git.",
    )
}

/// One upload on its way into the database, never more than two pieces in memory.
struct Upload<'a> {
    app: &'a App,
    id: SourceId,
    sequence: i32,
    size: u64,
    hash: Sha256,
    pending: BytesMut,
}

impl Upload<'_> {
    async fn receive(&mut self, mut body: BodyDataStream) -> Result<(), Problem> {
        loop {
            let next = tokio::time::timeout(self.app.config().upload_pause, body.next()).await;
            match next {
                Ok(Some(Ok(bytes))) => self.take(&bytes).await?,
                Ok(None) => return self.flush().await,
                Ok(Some(Err(error))) => return Err(broken(&format!("The upload broke off: {error}."))),
                Err(_) => return Err(broken("The upload paused for too long.")),
            }
        }
    }

    async fn take(&mut self, bytes: &Bytes) -> Result<(), Problem> {
        self.size += bytes.len() as u64;
        if self.size > self.app.config().source_limit {
            return Err(too_large(self.app));
        }
        self.pending.extend_from_slice(bytes);
        if self.sequence == 0 && self.pending.len() >= GZIP_MAGIC.len() {
            self.check_magic()?;
        }
        while self.pending.len() >= PIECE {
            let piece = self.pending.split_to(PIECE);
            self.store(&piece).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Problem> {
        if self.sequence == 0 {
            self.check_magic()?;
        }
        let rest = self.pending.split();
        if rest.is_empty() { Ok(()) } else { self.store(&rest).await }
    }

    async fn store(&mut self, piece: &[u8]) -> Result<(), Problem> {
        self.hash.update(piece);
        self.app.database.append_source(self.id, self.sequence, piece).await?;
        self.sequence += 1;
        Ok(())
    }

    fn check_magic(&self) -> Result<(), Problem> {
        match self.pending.starts_with(&GZIP_MAGIC) {
            true => Ok(()),
            false => Err(Problem::new(
                &kind::SOURCE_NOT_GZIP,
                "The upload does not begin as a gzip file does.",
                "Send what `tar -cz -C FOLDER .` writes.",
            )),
        }
    }

    async fn seal(self) -> Result<SourceUpload, Problem> {
        let digest = Digest::from_sha256(self.hash.finalize().into());
        self.app.database.seal_source(self.id, self.size, &digest).await?;
        Ok(SourceUpload { id: self.id, size: self.size, digest })
    }
}

fn broken(detail: &str) -> Problem {
    Problem::new(&kind::BODY_BROKEN, detail, "Nothing was kept; send it again.")
}
