//! Layers of base images: which a run may have, where they are kept, and who unpacks them. In: what the cell
//! names. Out: a blob's file; layers unpacked where all scopes share them.

use std::fs::File;

use model::{Descriptor, Failure, ImageReference};
use port::{Answer, BaseLayer};

use super::{Answers, Reply, out_of_order};
use crate::pull::{Pull, SHARED};

impl Answers {
    /// The blob of a layer that a look at a registry named.
    pub(super) async fn image_blob(
        &self,
        image: &ImageReference,
        blob: &Descriptor,
    ) -> Result<File, Failure> {
        if !self.resolved.names(&image.registry, &image.repository, blob) {
            return Err(out_of_order());
        }
        let (store, scope) = (&self.means.store, self.scope_of(image));
        let pull =
            Pull { store, hold: &self.hold, scope, registry: &self.registry, share: &self.means.asker.share };
        self.means.pulls.blob(pull, image, blob).await
    }

    /// Only what anybody may have lies where all scopes see it.
    pub(super) async fn unpacked(&self, mut layers: Vec<BaseLayer>) -> Result<Reply, Failure> {
        let named = |layer: &BaseLayer| {
            self.resolved.names(&layer.image.registry, &layer.image.repository, &layer.blob)
        };
        if !layers.iter().all(named) {
            return Err(out_of_order());
        }
        layers.retain(|layer| self.scope_of(&layer.image) == SHARED);
        let diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
        if !layers.is_empty() {
            let fetch = |layer: BaseLayer| async move { self.image_blob(&layer.image, &layer.blob).await };
            self.means.unpacker.unpack(&self.means.asker, layers, fetch, &self.ended).await?;
        }
        Ok((Answer::Unpacked { diff_ids }, Vec::new()))
    }

    /// Where an image's layers are kept. Only the run's own registry is asked with a right of ours: what comes from
    /// there is kept from other scopes. Everything else can be had by anybody.
    fn scope_of(&self, image: &ImageReference) -> &str {
        if image.registry == self.leased.registry_address { &self.leased.scope } else { SHARED }
    }
}
