//! An image, read back from the registry without the proxy and without our own client: every blob's digest and size,
//! and whether a secret is in one.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// How many blobs it has.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn image(
    registry: &str,
    repository: &str,
    digest: &str,
    secret: &str,
) -> Result<usize, String> {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: String| {
        let request = http.get(format!("http://{registry}/v2/{repository}/{path}"));
        let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
        let answer = request.header("accept", accept).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("{repository}/{path}: {status}"));
        }
        answer.bytes().await.map_err(|error| format!("{repository}/{path}: {error}"))
    };
    let manifest = get(format!("manifests/{digest}")).await?;
    check(&manifest, digest, None)?;
    let manifest: Value = serde_json::from_slice(&manifest).map_err(|error| error.to_string())?;
    let layers = manifest["layers"].as_array().ok_or("no layers")?;
    let blobs: Vec<&Value> = std::iter::once(&manifest["config"]).chain(layers).collect();
    for blob in &blobs {
        let digest = blob["digest"].as_str().ok_or("a blob without a digest")?;
        let bytes = get(format!("blobs/{digest}")).await?;
        check(&bytes, digest, blob["size"].as_u64())?;
        let mut plain = Vec::new();
        if GzDecoder::new(&bytes[..]).read_to_end(&mut plain).is_err() {
            plain = bytes.to_vec();
        }
        if plain.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            return Err(format!("the secret is in {digest}"));
        }
    }
    Ok(blobs.len())
}

fn check(bytes: &[u8], digest: &str, size: Option<u64>) -> Result<(), String> {
    let found = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    if found != digest {
        return Err(format!("{digest} is {found} when it is read back"));
    }
    match size {
        Some(size) if size != bytes.len() as u64 => {
            Err(format!("{digest} has {} bytes, not {size}", bytes.len()))
        }
        _ => Ok(()),
    }
}

/// Manifest, configuration and names in the layers, for people.
pub(crate) async fn shown(registry: &str, repository: &str, digest: &str) -> String {
    let get = async |path: &str| {
        let request = crate::support::client("").get(format!("http://{registry}/v2/{repository}/{path}"));
        let answer = request.header("accept", "application/vnd.oci.image.manifest.v1+json").send().await;
        answer.expect("the registry answers").bytes().await.expect("all of it")
    };
    let manifest = get(&format!("manifests/{digest}")).await;
    let mut text = String::from_utf8_lossy(&manifest).into_owned();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
    let config = manifest["config"]["digest"].as_str().unwrap_or_default();
    text.push_str(&String::from_utf8_lossy(&get(&format!("blobs/{config}")).await));
    for layer in manifest["layers"].as_array().into_iter().flatten().skip(1) {
        let bytes = get(&format!("blobs/{}", layer["digest"].as_str().unwrap_or_default())).await;
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        for entry in archive.entries().into_iter().flatten().flatten() {
            let header = entry.header();
            text.push_str(&format!("\n    {:?} {:?}", entry.path().unwrap_or_default(), header));
        }
    }
    text
}
