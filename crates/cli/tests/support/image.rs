//! A pushed image, read as whoever pulls it does: every blob to its end, with its digest computed.

use serde_json::Value;

use super::World;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl World {
    /// The digests of its layers, lowest first; every blob of it was read.
    pub(crate) async fn pull(&self, repository: &str, tag: &str) -> Vec<String> {
        let of = |kind: &str, name: &str| format!("http://{}/v2/{repository}/{kind}/{name}", self.registry);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let read = async |address: String| {
            let answer =
                client.get(&address).header("accept", MANIFEST).send().await.expect("the registry answers");
            let status = answer.status();
            let bytes = answer.bytes().await.unwrap_or_else(|error| panic!("{address}: {error}"));
            assert!(status.is_success(), "{address}: {status}");
            bytes
        };
        let manifest: Value = serde_json::from_slice(&read(of("manifests", tag)).await).expect("a manifest");
        let layers = manifest["layers"].as_array().expect("layers");
        let digest = |blob: &Value| blob["digest"].as_str().expect("a digest").to_owned();
        for blob in layers.iter().chain([&manifest["config"]]) {
            let bytes = read(of("blobs", &digest(blob))).await;
            assert_eq!(content::digest_of(&bytes).as_str(), digest(blob), "{repository}:{tag}");
        }
        layers.iter().map(digest).collect()
    }

    /// A number that a role (`worker`, `publisher`) counts; 0 where it does not say.
    pub(crate) async fn counted(&self, role: &str, series: &str) -> f64 {
        let ready = std::fs::read_to_string(self.data.with_extension("ready")).expect("the ready file");
        let ready: Value = serde_json::from_str(&ready).expect("JSON");
        let address = ready[format!("{role}_metrics")].as_str().expect("an address").to_owned();
        let answer =
            self.http.get(format!("http://{address}/metrics")).send().await.expect("it serves metrics");
        let text = answer.text().await.expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse().expect("a number"))
    }
}
