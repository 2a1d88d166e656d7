//! The layers of a build: where each one's files and blob are, fetched and unpacked when some vertex
//! really needs the files, and then once. Those of base images that anybody may have are unpacked elsewhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use content::VerifyingReader;
use model::{Descriptor, Digest, Failure, ImageReference, Layer, LayerSource, MediaType, ResolvedImage};
use port::{BaseLayer, CacheLayer, Outside};
use snapshot::{LayerDir, Snapshots};

use crate::error::io_failure;

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerRef {
    pub(crate) diff_id: Digest,
    pub(crate) from: Origin,
    /// Known from the start, but for a layer that is still being compressed.
    pub(crate) blob: OnceLock<Descriptor>,
}

/// Where a layer's files come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A base image: fetched when needed.
    Image(ImageReference),
    /// A cached result in the store.
    Store,
    /// Made by this build.
    Made(LayerDir),
}

/// A file system: layers, lowest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack(pub(crate) Vec<Arc<LayerRef>>);

impl LayerRef {
    pub(crate) fn cached(layer: &CacheLayer) -> Self {
        Self { diff_id: layer.diff_id.clone(), from: Origin::Store, blob: OnceLock::from(layer.blob.clone()) }
    }

    /// What to ask for, of a base image's layer.
    fn of_base(&self) -> Option<BaseLayer> {
        let Origin::Image(image) = &self.from else { return None };
        let blob = self.blob.get()?.clone();
        Some(BaseLayer { image: image.clone(), blob, diff_id: self.diff_id.clone() })
    }

    /// As the image lists it; none while it is being compressed.
    pub(crate) fn finished(&self) -> Option<Layer> {
        let source = match &self.from {
            Origin::Image(image) => LayerSource::Registry {
                registry: image.registry.clone(),
                repository: image.repository.clone(),
            },
            Origin::Store | Origin::Made(_) => LayerSource::Store,
        };
        let descriptor = self.blob.get()?.clone();
        Some(Layer { diff_id: self.diff_id.clone(), descriptor, source })
    }
}

impl Stack {
    /// A base image's layers.
    ///
    /// # Errors
    /// Its configuration and manifest differ in the number of layers.
    pub(crate) fn of_image(image: &ResolvedImage) -> Result<Self, Failure> {
        let diff_ids = &image.config.rootfs.diff_ids;
        if diff_ids.len() != image.layers.len() {
            return Err(Failure::user(
                "base_image_invalid",
                format!(
                    "{} lists {} layers in its manifest and {} in its configuration.",
                    image.reference,
                    image.layers.len(),
                    diff_ids.len()
                ),
                "Build or push the base image again.",
            ));
        }
        let layers = diff_ids.iter().zip(&image.layers).map(|(diff_id, blob)| {
            let blob = Descriptor { media_type: oci_media_type(&blob.media_type), ..blob.clone() };
            let from = Origin::Image(image.reference.clone());
            Arc::new(LayerRef { diff_id: diff_id.clone(), from, blob: OnceLock::from(blob) })
        });
        Ok(Self(layers.collect()))
    }

    pub(crate) fn diff_ids(&self) -> Vec<Digest> {
        self.0.iter().map(|layer| layer.diff_id.clone()).collect()
    }

    /// This stack with one more layer on top, if there is one.
    pub(crate) fn with(&self, layer: Option<Arc<LayerRef>>) -> Self {
        Self(self.0.iter().cloned().chain(layer).collect())
    }
}

/// The manifest that is written is an OCI one; the bytes of a layer are the same in both worlds.
fn oci_media_type(media_type: &str) -> String {
    let oci = match media_type {
        MediaType::DOCKER_LAYER_GZIP => MediaType::OCI_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar" => MediaType::OCI_LAYER_TAR,
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => MediaType::OCI_LAYER_ZSTD,
        other => other,
    };
    oci.to_owned()
}

/// Unpacks layers, each at most once at a time in this build.
pub(crate) struct Layers<'a> {
    pub(crate) snapshots: &'a Snapshots,
    pub(crate) outside: &'a dyn Outside,
    pub(crate) cores: usize,
    /// One lock a diff id, held while it is unpacked.
    busy: Mutex<HashMap<Digest, Arc<Mutex<()>>>>,
    /// Held while others unpack for this build.
    asking: Mutex<()>,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(snapshots: &'a Snapshots, outside: &'a dyn Outside, cores: usize) -> Self {
        Self { snapshots, outside, cores: cores.max(1), busy: Mutex::default(), asking: Mutex::default() }
    }

    /// The folders of a stack, lowest first; what is missing is fetched and unpacked side by side.
    ///
    /// # Errors
    /// A blob can't be had, is not what its digest says, or can't be unpacked.
    pub(crate) fn folders(&self, stack: &Stack) -> Result<Vec<LayerDir>, Failure> {
        self.ask(stack)?;
        let next = std::sync::atomic::AtomicUsize::new(0);
        let found: Vec<OnceLock<Result<LayerDir, Failure>>> =
            stack.0.iter().map(|_| OnceLock::new()).collect();
        let work = || {
            loop {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let (Some(layer), Some(slot)) = (stack.0.get(index), found.get(index)) else { return };
                let _ = slot.set(self.folder(layer));
            }
        };
        let missing = stack.0.iter().filter(|layer| self.ready(layer).is_none()).count();
        std::thread::scope(|scope| {
            for _ in 1..missing.min(self.cores.max(2)) {
                scope.spawn(work);
            }
            work();
        });
        found.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// Has the missing layers of base images unpacked where all builds share them, all at once.
    fn ask(&self, stack: &Stack) -> Result<(), Failure> {
        let missing = || -> Vec<BaseLayer> {
            let missing = stack.0.iter().filter(|layer| self.ready(layer).is_none());
            missing.filter_map(|layer| layer.of_base()).collect()
        };
        if missing().is_empty() {
            return Ok(());
        }
        let _alone = locked(&self.asking);
        match missing() {
            layers if layers.is_empty() => Ok(()),
            layers => self.outside.unpacked(&layers).map(drop),
        }
    }

    fn ready(&self, layer: &LayerRef) -> Option<LayerDir> {
        match &layer.from {
            Origin::Made(folder) => Some(folder.clone()),
            Origin::Image(_) | Origin::Store => self.snapshots.get(&layer.diff_id),
        }
    }

    fn folder(&self, layer: &LayerRef) -> Result<LayerDir, Failure> {
        if let Some(folder) = self.ready(layer) {
            return Ok(folder);
        }
        let lock = Arc::clone(locked(&self.busy).entry(layer.diff_id.clone()).or_default());
        let _alone = locked(&lock);
        match self.ready(layer) {
            Some(folder) => Ok(folder),
            None => self.unpack(layer),
        }
    }

    fn unpack(&self, layer: &LayerRef) -> Result<LayerDir, Failure> {
        let blob = layer.blob.get().ok_or_else(|| unfinished(&layer.diff_id))?;
        let file = match &layer.from {
            Origin::Image(image) => self.outside.image_blob(image, blob)?,
            Origin::Store | Origin::Made(_) => self.outside.stored_blob(&blob.digest)?,
        };
        unpack(self.snapshots, file, blob, &layer.diff_id)
    }
}

fn verifying(file: File, blob: &Descriptor) -> VerifyingReader<File> {
    VerifyingReader::new(file, blob.digest.clone(), Some(blob.size))
}

/// The worker looks itself when it hears this, and removes what is damaged.
fn damaged(blob: &Descriptor) -> Failure {
    Failure::service(
        Failure::BLOB_DAMAGED,
        format!("The store's blob {} is not what it was when it was written.", blob.digest),
        "It is fetched or built again; check the disk of the worker's store.",
    )
}

/// Unpacks a blob below `snapshots`, under the name of its diff id.
///
/// # Errors
/// The blob is not what its digest says, the archive not what `diff_id` says, or it can't be unpacked.
pub fn unpack(
    snapshots: &Snapshots,
    file: File,
    blob: &Descriptor,
    diff_id: &Digest,
) -> Result<LayerDir, Failure> {
    let again = file.try_clone();
    // Whatever the archive seemed to be: bytes that are not the blob's say nothing of it.
    match unpack_from(snapshots, file, blob, diff_id) {
        Err(_) if again.is_ok_and(|file| is_damaged(file, blob)) => Err(damaged(blob)),
        unpacked => unpacked,
    }
}

fn unpack_from(
    snapshots: &Snapshots,
    file: File,
    blob: &Descriptor,
    diff_id: &Digest,
) -> Result<LayerDir, Failure> {
    let verified = BufReader::with_capacity(1 << 17, verifying(file, blob));
    let failed = |e: std::io::Error| io_failure(&e, format!("The layer {} can't be read: {e}", blob.digest));
    let tar = content::decompress(verified).map_err(failed)?;
    snapshots.unpack(diff_id, tar).map_err(|error| error.failure())
}

fn is_damaged(mut file: File, blob: &Descriptor) -> bool {
    use std::io::Seek;
    file.rewind().is_ok() && std::io::copy(&mut verifying(file, blob), &mut std::io::sink()).is_err()
}

pub(crate) fn unfinished(diff_id: &Digest) -> Failure {
    Failure::service(
        "internal",
        format!("The layer {diff_id} was used before it was finished."),
        "Report this.",
    )
}

/// What a panicking thread left behind is still consistent: each value is replaced as a whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
