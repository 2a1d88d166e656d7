//! The script, the stylesheet and the icon, built into the program. Their addresses hold their digest: a browser
//! asks once for each version.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::refusal::not_found;

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    /// `/assets/page-0123456789abcdef.js`
    pub(crate) address: String,
    etag: HeaderValue,
    media_type: &'static str,
    text: &'static str,
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../../assets/style.css"))
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    // One script of one scope, in the order in which it is read.
    let text = concat!(
        include_str!("../../assets/script/times.js"),
        include_str!("../../assets/script/live.js"),
        include_str!("../../assets/script/colours.js"),
        include_str!("../../assets/script/log.js"),
        include_str!("../../assets/script/page.js"),
    );
    Asset::new("page", "js", "text/javascript; charset=utf-8", text)
});
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset {
    address: "/assets/icon.svg".to_owned(),
    ..Asset::new("icon", "svg", "image/svg+xml", include_str!("../../assets/icon.svg"))
});

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let etag =
            HeaderValue::from_str(&format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"0\""));
        Self { address: format!("/assets/{name}-{digest}.{extension}"), etag, media_type, text }
    }
}

/// `GET /assets/{name}`. Needs no token, for the form to sign in looks like the rest.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let assets = [&STYLE, &SCRIPT, &ICON];
    let found = assets.into_iter().find(|asset| asset.address.strip_prefix("/assets/") == Some(&name));
    let Some(asset) = found else { return not_found().into_response() };
    let caching = match asset.address == ICON.address {
        true => HeaderValue::from_static("public, max-age=3600"),
        false => HeaderValue::from_static("public, max-age=31536000, immutable"),
    };
    let caching = [(header::ETAG, asset.etag.clone()), (header::CACHE_CONTROL, caching)];
    let seen = headers.get(header::IF_NONE_MATCH).and_then(|seen| seen.to_str().ok()).unwrap_or_default();
    let own = asset.etag.to_str().unwrap_or_default();
    if seen.split(',').any(|tag| tag.trim().trim_start_matches("W/") == own) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, asset.media_type)], asset.text).into_response()
}
