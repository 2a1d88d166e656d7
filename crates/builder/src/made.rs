//! From a step's folder to its layer: the diff id at once, for the next steps' keys; the compressed blob
//! on a thread of its own while they run.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, OnceLock};

use content::{LayerDigests, LayerWriter};
use model::{Descriptor, Digest, Failure, MediaType};
use port::{BlobReady, CacheKey, CacheLayer, CacheRecord, NewBlob, Outside};
use sha2::{Digest as _, Sha256};
use snapshot::{Diff, DiffStats, LayerDir, Snapshots};

use crate::error::io_failure;
use crate::layers::{LayerRef, Origin};

/// A step's folder and what it lies on.
pub(crate) struct Made {
    pub(crate) upper: LayerDir,
    pub(crate) lowers: Vec<LayerDir>,
    pub(crate) epoch: Option<i64>,
    /// COPY sets all times to the epoch, RUN only lowers later ones.
    pub(crate) set_times: bool,
}

/// What to tell the world when the blob is there.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) announce: bool,
    pub(crate) keys: Vec<CacheKey>,
    pub(crate) description: String,
    /// In seconds since 1970.
    pub(crate) made_at: i64,
}

impl Made {
    /// The layer without its blob; none when the step changed nothing.
    ///
    /// # Errors
    /// The folder can't be read or indexed.
    pub(crate) fn layer(&self, snapshots: &Snapshots) -> Result<Option<Arc<LayerRef>>, Failure> {
        let mut hash = Hash(Sha256::new());
        let stats = self.write(&mut hash)?;
        if stats.entries == 0 {
            return Ok(None);
        }
        let diff_id = Digest::from_sha256(hash.0.finalize().into());
        snapshots.name(&self.upper, &diff_id).map_err(|error| error.failure())?;
        let from = Origin::Made(self.upper.clone());
        Ok(Some(Arc::new(LayerRef { diff_id, from, blob: OnceLock::new() })))
    }

    /// Writes the blob, tells the world, and completes `layer`.
    ///
    /// # Errors
    /// The disk is full, or the world refuses the blob.
    pub(crate) fn compress(
        &self,
        layer: &LayerRef,
        outside: &dyn Outside,
        purpose: Purpose,
    ) -> Result<(), Failure> {
        let NewBlob { id, file } = outside.new_blob()?;
        let mut writer = LayerWriter::new(BufWriter::with_capacity(1 << 17, file));
        self.write(&mut writer)?;
        let failed = |e: io::Error| io_failure(&e, format!("A layer can't be written: {e}"));
        let (LayerDigests { diff_id, digest, size }, mut out) = writer.finish().map_err(failed)?;
        out.flush().map_err(failed)?;
        drop(out);
        if diff_id != layer.diff_id {
            let message =
                format!("A layer changed while it was compressed: {} became {diff_id}.", layer.diff_id);
            return Err(Failure::service("layer_changed", message, "Start the run again."));
        }
        let blob = Descriptor { media_type: MediaType::OCI_LAYER_GZIP.to_owned(), digest, size };
        let _ = layer.blob.set(blob.clone());
        let cached = CacheLayer { diff_id, blob: blob.clone() };
        outside.blob_ready(BlobReady {
            id: Some(id),
            blob: Some(blob),
            announce: purpose.announce,
            cache: Some(purpose.record(Some(cached))),
        })
    }

    fn write(&self, out: &mut dyn Write) -> Result<DiffStats, Failure> {
        let options = Diff { epoch: self.epoch, set_times: self.set_times };
        snapshot::write_diff(&self.upper, &self.lowers, &options, out).map_err(|error| error.failure())
    }
}

impl Purpose {
    pub(crate) fn record(self, layer: Option<CacheLayer>) -> CacheRecord {
        CacheRecord { keys: self.keys, layer, description: self.description, made_at: self.made_at }
    }
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
