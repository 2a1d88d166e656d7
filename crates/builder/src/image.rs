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

/// What became of an instruction's vertex.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// Whether it made a layer.
    pub(crate) changed: bool,
    /// In seconds since 1970.
    pub(crate) made_at: i64,
}

/// Writes configuration and manifest as blobs. `steps` tells what became of a vertex; with an `epoch`, in seconds
/// since 1970, everything was made then.
///
/// # Errors
/// Too many layers, or a blob can't be written.
pub(crate) fn assemble(
    graph: &BuildGraph,
    layers: Vec<Layer>,
    steps: &dyn Fn(VertexId) -> Option<Step>,
    epoch: Option<i64>,
    outside: &dyn Outside,
) -> Result<BuiltImage, Failure> {
    if layers.len() > MAX_LAYERS {
        return Err(Failure::user(
            "too_many_layers",
            format!("The image would have {} layers; {MAX_LAYERS} are possible.", layers.len()),
            "Join RUN instructions with `&&`.",
        ));
    }
    let config = configuration(graph, &layers, steps, epoch);
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

/// The plan's configuration with what only the build knows. An instruction without a layer is as old as the one
/// before it, and the image as its newest instruction: what comes out of the cache alone is the same again.
pub(crate) fn configuration(
    graph: &BuildGraph,
    layers: &[Layer],
    steps: &dyn Fn(VertexId) -> Option<Step>,
    epoch: Option<i64>,
) -> ImageConfig {
    let mut config = graph.output.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let base_made_at = base_config(graph).and_then(|base| seconds(base.created.as_deref()?)).unwrap_or(0);
    let mut created = epoch.unwrap_or(base_made_at);
    config.history = base_history(graph);
    for entry in &graph.output.history {
        let step = entry.layer.and_then(steps);
        if let (Some(step), None) = (step, epoch) {
            created = created.max(step.made_at);
        }
        config.history.push(History {
            created: Some(rfc3339(created)),
            created_by: Some(entry.created_by.clone()),
            author: None,
            comment: Some(COMMENT.to_owned()),
            empty_layer: !step.is_some_and(|step| step.changed),
        });
    }
    config.created = Some(rfc3339(created));
    config
}

fn base_config(graph: &BuildGraph) -> Option<&ImageConfig> {
    let mut id = graph.output.root;
    while let Some(parent) = graph.vertex(id).op.parent() {
        id = parent;
    }
    match &graph.vertex(id).op {
        Op::Image(image) => Some(&image.config),
        _ => None,
    }
}

/// The base's own history, made to fit its number of layers: readers count the two against each other.
fn base_history(graph: &BuildGraph) -> Vec<History> {
    let Some(base) = base_config(graph) else { return Vec::new() };
    let mut history = base.history.clone();
    let layers = base.rootfs.diff_ids.len();
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

fn seconds(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
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
