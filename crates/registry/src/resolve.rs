//! From a reference to a manifest and a configuration for one platform. Every byte is checked against
//! the digest it was asked for by.

use bytes::Bytes;
use model::{Descriptor, Digest, ImageConfig, ImageReference, MediaType, Platform, ResolvedImage};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::get::read_limited;
use crate::{Client, Error};

/// As most registries limit manifests.
pub(crate) const MANIFEST_LIMIT: usize = 4 << 20;
const CONFIG_LIMIT: usize = 8 << 20;
/// As many as overlayfs stacks and other builders take.
const MOST_LAYERS: usize = 127;
/// What a manifest says of its layers' sizes bounds what is later downloaded for it.
const MOST_BYTES: u64 = 64 << 30;
/// An index may name indexes; nobody nests them deeper.
const INDEXES: usize = 3;

const LAYERS: [&str; 4] = [
    MediaType::OCI_LAYER_TAR,
    MediaType::OCI_LAYER_GZIP,
    MediaType::OCI_LAYER_ZSTD,
    MediaType::DOCKER_LAYER_GZIP,
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<IndexEntry>>,
}

#[derive(Deserialize)]
struct IndexEntry {
    #[serde(flatten)]
    descriptor: Descriptor,
    platform: Option<EntryPlatform>,
}

#[derive(Deserialize)]
struct EntryPlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl EntryPlatform {
    fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().unwrap_or_default(),
        }
    }
}

impl Client {
    /// Looks an image up for a platform: its manifest and configuration, no layer yet.
    ///
    /// # Errors
    /// The registry is unreachable or refuses, has no such image or none for the platform, or what it
    /// has can't be built upon.
    pub async fn resolve(&self, image: &ImageReference, platform: &Platform) -> Result<ResolvedImage, Error> {
        let mut name = image.manifest_name().to_owned();
        let mut wanted = image.digest.clone();
        for _ in 0..INDEXES {
            let (document, digest) = self.document(image, &name, wanted.as_ref()).await?;
            match document.manifests {
                Some(entries) => {
                    let entry = choose(image, platform, &entries)?;
                    name = entry.to_string();
                    wanted = Some(entry);
                }
                None => return self.image(image, platform, document, digest).await,
            }
        }
        Err(unsupported(image, "its indexes name each other"))
    }

    async fn document(
        &self,
        image: &ImageReference,
        name: &str,
        wanted: Option<&Digest>,
    ) -> Result<(Document, Digest), Error> {
        let response = self.get(image, &format!("manifests/{name}"), Some(&accept())).await?;
        let header = response.headers().get(CONTENT_TYPE).and_then(|header| header.to_str().ok());
        let header = header.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let body = read_limited(response, MANIFEST_LIMIT, &image.registry).await?;
        let digest = checked(&body, wanted, || format!("the manifest of {image}"))?;
        let document: Document = serde_json::from_slice(&body)
            .map_err(|error| unsupported(image, &format!("its manifest: {error}")))?;
        let kind = document.media_type.clone().unwrap_or(header);
        let index = matches!(kind.as_str(), MediaType::OCI_INDEX | MediaType::DOCKER_INDEX);
        let manifest = matches!(kind.as_str(), MediaType::OCI_MANIFEST | MediaType::DOCKER_MANIFEST);
        // A document that could be read as both would be read differently by others.
        if (index && document.manifests.is_some() && document.layers.is_none())
            || (manifest && document.manifests.is_none())
        {
            return Ok((document, digest));
        }
        Err(unsupported(image, &format!("its manifest is of the type `{kind}`")))
    }

    async fn image(
        &self,
        image: &ImageReference,
        platform: &Platform,
        document: Document,
        digest: Digest,
    ) -> Result<ResolvedImage, Error> {
        let (Some(config), Some(layers)) = (document.config, document.layers) else {
            return Err(unsupported(image, "its manifest names no configuration or no layers"));
        };
        if layers.len() > MOST_LAYERS {
            let (image, layers) = (Box::new(image.clone()), layers.len());
            return Err(Error::TooManyLayers { image, layers, most: MOST_LAYERS });
        }
        if layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size)) > MOST_BYTES {
            return Err(Error::ImageTooLarge { image: Box::new(image.clone()), most: MOST_BYTES });
        }
        if !matches!(config.media_type.as_str(), MediaType::OCI_CONFIG | MediaType::DOCKER_CONFIG) {
            return Err(unsupported(image, &format!("it is no image, but `{}`", config.media_type)));
        }
        if let Some(layer) = layers.iter().find(|layer| !LAYERS.contains(&layer.media_type.as_str())) {
            return Err(unsupported(image, &format!("a layer is of the type `{}`", layer.media_type)));
        }
        let response = self.get(image, &format!("blobs/{}", config.digest), None).await?;
        let body = read_limited(response, CONFIG_LIMIT, &image.registry).await?;
        checked(&body, Some(&config.digest), || format!("the configuration of {image}"))?;
        let config: ImageConfig = serde_json::from_slice(&body)
            .map_err(|error| unsupported(image, &format!("its configuration: {error}")))?;
        if config.rootfs.diff_ids.len() != layers.len() {
            return Err(unsupported(
                image,
                "its configuration and its manifest differ in the number of layers",
            ));
        }
        let found = Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone().unwrap_or_default(),
        };
        if !fits(platform, &found) {
            let (image, wanted) = (Box::new(image.clone()), Box::new(platform.clone()));
            return Err(Error::PlatformMissing { image, wanted, found: vec![found] });
        }
        Ok(ResolvedImage { reference: image.clone(), digest, platform: platform.clone(), config, layers })
    }
}

/// The kinds of manifest that we know.
pub(crate) fn accept() -> String {
    let index = [MediaType::OCI_INDEX, MediaType::DOCKER_INDEX];
    [index, [MediaType::OCI_MANIFEST, MediaType::DOCKER_MANIFEST]].concat().join(", ")
}

/// The entry for a platform: with its very variant, else any that fits.
fn choose(image: &ImageReference, wanted: &Platform, entries: &[IndexEntry]) -> Result<Digest, Error> {
    let candidates: Vec<(Platform, &Digest)> = entries
        .iter()
        .filter_map(|entry| Some((entry.platform.as_ref()?.platform(), &entry.descriptor.digest)))
        // Attestations are listed as for `unknown/unknown`.
        .filter(|(platform, _)| platform.os != "unknown")
        .collect();
    let exact = candidates.iter().find(|(platform, _)| platform == wanted);
    let chosen = exact.or_else(|| candidates.iter().find(|(platform, _)| fits(wanted, platform)));
    match chosen {
        Some((_, digest)) => Ok((*digest).clone()),
        None => Err(Error::PlatformMissing {
            image: Box::new(image.clone()),
            wanted: Box::new(wanted.clone()),
            found: candidates.into_iter().map(|(platform, _)| platform).collect(),
        }),
    }
}

fn fits(wanted: &Platform, found: &Platform) -> bool {
    wanted.os == found.os
        && wanted.architecture == found.architecture
        && (wanted.variant.is_empty() || found.variant.is_empty() || wanted.variant == found.variant)
}

fn checked(body: &Bytes, wanted: Option<&Digest>, what: impl FnOnce() -> String) -> Result<Digest, Error> {
    let digest = Digest::from_sha256(Sha256::digest(body).into());
    match wanted {
        Some(wanted) if *wanted != digest => Err(Error::DigestMismatch { what: what() }),
        _ => Ok(digest),
    }
}

fn unsupported(image: &ImageReference, reason: &str) -> Error {
    Error::Unsupported { image: Box::new(image.clone()), reason: reason.to_owned() }
}
