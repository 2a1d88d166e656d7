//! What this run's looks at registries named. In: resolved images. Out: whether a layer of an image is one of them.
//! Without it a cell could ask for any blob that some other run has fetched, by its digest alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::{BuiltImage, Descriptor, Digest, LayerSource, ResolvedImage};

/// Layers of all the images of a build; the largest images have some hundred.
const LAYERS: usize = 100_000;

/// Size of each layer, by registry, repository and digest.
#[derive(Debug, Default)]
pub(crate) struct Resolved(Mutex<HashMap<(String, String, Digest), u64>>);

impl Resolved {
    /// Remembers what an image consists of. False: there are more layers than a build has.
    #[must_use]
    pub(crate) fn remember(&self, image: &ResolvedImage) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for layer in &image.layers {
            let (registry, repository) =
                (image.reference.registry.clone(), image.reference.repository.clone());
            known.insert((registry, repository, layer.digest.clone()), layer.size);
        }
        known.len() <= LAYERS
    }

    /// Whether an image of that repository was looked at and has this layer.
    pub(crate) fn names(&self, registry: &str, repository: &str, layer: &Descriptor) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (registry.to_owned(), repository.to_owned(), layer.digest.clone());
        known.get(&key) == Some(&layer.size)
    }

    /// Whether every layer that the publisher shall find in a registry was named there.
    pub(crate) fn names_all_of(&self, image: &BuiltImage) -> bool {
        image.layers.iter().all(|layer| match &layer.source {
            LayerSource::Store => true,
            LayerSource::Registry { registry, repository } => {
                self.names(registry, repository, &layer.descriptor)
            }
        })
    }
}
