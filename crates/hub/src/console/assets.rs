//! Style, scripts and icon, embedded in the binary and addressed by the hash of their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    /// First 12 hex digits of the content's SHA-256.
    hash: String,
}

macro_rules! assets {
    ($($name:literal, $media:literal, $path:literal;)*) => {
        [$(($name, $media, include_bytes!(concat!("../../assets/", $path)).as_slice())),*]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    assets![
        "console.css", "text/css; charset=utf-8", "console.css";
        "console.js", "text/javascript; charset=utf-8", "console.js";
        "icon.svg", "image/svg+xml", "icon.svg";
        "htmx.min.js", "text/javascript; charset=utf-8", "vendor/htmx.min.js";
        "hx-csp.min.js", "text/javascript; charset=utf-8", "vendor/hx-csp.min.js";
        "hx-sse.min.js", "text/javascript; charset=utf-8", "vendor/hx-sse.min.js";
        "uPlot.iife.min.js", "text/javascript; charset=utf-8", "vendor/uPlot.iife.min.js";
        "uPlot.min.css", "text/css; charset=utf-8", "vendor/uPlot.min.css";
    ]
    .into_iter()
    .map(|(name, media_type, content)| {
        let hash: String = hex::encode(Sha256::digest(content))
            .chars()
            .take(12)
            .collect();
        Asset {
            name,
            media_type,
            content,
            hash,
        }
    })
    .collect()
});

/// The address under which an asset is served; an unknown name gives an address that answers 404.
pub(crate) fn address(name: &str) -> String {
    let hash = ASSETS
        .iter()
        .find(|asset| asset.name == name)
        .map_or("none", |asset| &asset.hash);
    format!("/console/assets/{hash}/{name}")
}

/// `GET /console/assets/{hash}/{name}`; a wrong hash is 404, so that a cache never keeps the wrong content.
pub(crate) async fn serve(Path((hash, name)): Path<(String, String)>) -> Response {
    match ASSETS
        .iter()
        .find(|asset| asset.name == name && asset.hash == hash)
    {
        Some(asset) => (
            [
                (header::CONTENT_TYPE, asset.media_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.content,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
