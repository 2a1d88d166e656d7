//! What a registry was asked, in order.

use std::sync::Mutex;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::message::Request;
use super::{NOBODY, RegistryFault};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asked {
    BlobHead,
    BlobPost,
    BlobPatch,
    BlobPut,
    BlobGet,
    /// Under its digest.
    ManifestPut,
    TagPut,
    /// Or whether there is one.
    ManifestGet,
    Other,
}

impl Asked {
    pub(super) fn of(method: &str, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        match method {
            "POST" if path.contains("/blobs/uploads") => Self::BlobPost,
            "PATCH" => Self::BlobPatch,
            "PUT" if path.contains("/blobs/uploads") => Self::BlobPut,
            "HEAD" if path.contains("/blobs/") => Self::BlobHead,
            "GET" if path.contains("/blobs/sha256:") => Self::BlobGet,
            "PUT" if path.contains("/manifests/sha256:") => Self::ManifestPut,
            "PUT" if path.contains("/manifests/") => Self::TagPut,
            "GET" | "HEAD" if path.contains("/manifests/") => Self::ManifestGet,
            _ => Self::Other,
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Entry {
    pub at: SystemTime,
    pub asked: Asked,
    pub method: String,
    pub path: String,
    /// Of the body of a manifest.
    pub digest: Option<String>,
    pub fault: Option<RegistryFault>,
    /// Of the answer, when it came, and when that was.
    pub status: Option<(u16, SystemTime)>,
}

#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<Vec<Entry>>);

impl Journal {
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.0.lock().expect(NOBODY).clone()
    }

    /// Its number.
    pub(super) fn asked(&self, asked: Asked, request: &Request, fault: Option<RegistryFault>) -> usize {
        let is_manifest = matches!(asked, Asked::ManifestPut | Asked::TagPut);
        let digest = is_manifest.then(|| format!("sha256:{}", hex::encode(Sha256::digest(&request.body))));
        let (method, path) = (request.method.clone(), request.path.clone());
        let mut entries = self.0.lock().expect(NOBODY);
        entries.push(Entry { at: SystemTime::now(), asked, method, path, digest, fault, status: None });
        entries.len() - 1
    }

    pub(super) fn answered(&self, number: usize, answer: Option<&[u8]>) {
        let status = answer.and_then(|answer| std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok());
        self.0.lock().expect(NOBODY)[number].status = status.map(|status| (status, SystemTime::now()));
    }
}
