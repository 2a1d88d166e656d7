//! Configuration and manifest of the finished image.

use std::io::Write;

use model::{
    BuildGraph, BuiltImage, Descriptor, Failure, History, ImageConfig, Layer, Manifest, MediaType, Op,
    VertexId,
};
use port::{BlobReady, NewBlob, Outside};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::io_failure;

/// Tools know by this comment how to read `created_by`.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// As many layers as overlay mounts and other builders take.
const MAX_LAYERS: usize = 127;

/// Writes configuration and manifest as blobs. `changed` says whether a vertex made a layer; `created` is
/// in seconds since 1970.
///
/// # Errors
/// Too many layers, or a blob can't be written.
pub(crate) fn assemble(
    graph: &BuildGraph,
    layers: Vec<Layer>,
    changed: &dyn Fn(VertexId) -> bool,
    created: i64,
    outside: &dyn Outside,
) -> Result<BuiltImage, Failure> {
    if layers.len() > MAX_LAYERS {
        return Err(Failure::user(
            "too_many_layers",
            format!("The image would have {} layers; {MAX_LAYERS} are possible.", layers.len()),
            "Join RUN instructions with `&&`.",
        ));
    }
    let config = configuration(graph, &layers, changed, created);
    let config = write(outside, MediaType::OCI_CONFIG, &config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MediaType::OCI_MANIFEST.to_owned(),
        config: config.clone(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
    };
    let manifest = write(outside, MediaType::OCI_MANIFEST, &manifest)?;
    Ok(BuiltImage { manifest, config, layers })
}

/// The plan's configuration with what only the build knows.
pub(crate) fn configuration(
    graph: &BuildGraph,
    layers: &[Layer],
    changed: &dyn Fn(VertexId) -> bool,
    created: i64,
) -> ImageConfig {
    let mut config = graph.output.config.clone();
    let created = rfc3339(created);
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    config.history = base_history(graph);
    config.history.extend(graph.output.history.iter().map(|entry| History {
        created: Some(created.clone()),
        created_by: Some(entry.created_by.clone()),
        author: None,
        comment: Some(COMMENT.to_owned()),
        empty_layer: !entry.layer.is_some_and(changed),
    }));
    config.created = Some(created);
    config
}

/// The base's own history, made to fit its number of layers: readers count the two against each other.
fn base_history(graph: &BuildGraph) -> Vec<History> {
    let mut id = graph.output.root;
    while let Some(parent) = graph.vertex(id).op.parent() {
        id = parent;
    }
    let Op::Image(image) = &graph.vertex(id).op else { return Vec::new() };
    let mut history = image.config.history.clone();
    let layers = image.config.rootfs.diff_ids.len();
    let mut told = history.iter().filter(|entry| !entry.empty_layer).count();
    while told > layers {
        if let Some(entry) = history.iter_mut().rev().find(|entry| !entry.empty_layer) {
            entry.empty_layer = true;
        }
        told -= 1;
    }
    let unknown =
        History { comment: Some("history is missing in the base image".to_owned()), ..History::default() };
    history.extend(std::iter::repeat_n(unknown, layers - told));
    history
}

/// `1970-01-01T00:00:00Z`; years beyond 9999 can't be written and become that.
fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}

fn write(
    outside: &dyn Outside,
    media_type: &str,
    value: &impl serde::Serialize,
) -> Result<Descriptor, Failure> {
    let bytes = serde_json::to_vec(value).map_err(|e| {
        Failure::service("internal", format!("A document can't be written: {e}"), "Report this.")
    })?;
    // The manifest is no blob to a registry: it is pushed last, under the tag.
    let announce = media_type == MediaType::OCI_CONFIG;
    let NewBlob { id, mut file } = outside.new_blob()?;
    file.write_all(&bytes).map_err(|e| io_failure(&e, format!("A blob can't be written: {e}")))?;
    drop(file);
    let digest = content::digest_of(&bytes);
    let blob = Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 };
    outside.blob_ready(BlobReady { id: Some(id), blob: Some(blob.clone()), announce, cache: None })?;
    Ok(blob)
}
