//! What answers about manifests, blobs and referrers have in common.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use factory_domain::ports::Lease;
use factory_formats::oci_image::Document;
use factory_formats::{Digest, Layout};
use serde::Deserialize;

use super::error::RegistryError;
use crate::http::Site;
use crate::http::assets::{Download, deliver};
use crate::http::conditional::{Delivery, decide};

/// What a digest names never changes.
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A tag names the same for long, but a new release changes `latest`.
pub(super) const TAGGED: &str = "public, max-age=60";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// A manifest as it is sent.
pub(super) struct Manifest {
    pub media_type: String,
    pub bytes: Bytes,
    pub digest: Digest,
}

impl From<Document> for Manifest {
    fn from(document: Document) -> Self {
        let Document { media_type, bytes, digest } = document;
        Self { media_type: media_type.to_owned(), bytes, digest }
    }
}

#[derive(Default, Deserialize)]
struct ReferrersQuery {
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
}

/// The kind of referrers that a request wants; all when it does not say.
pub(super) fn wanted_type(request: &HttpRequest) -> Option<String> {
    query::<ReferrersQuery>(request).artifact_type.filter(|text| !text.is_empty())
}

/// Says that a list of referrers was filtered, when it was.
pub(super) fn with_filter(mut response: HttpResponse, wanted: Option<&str>) -> HttpResponse {
    if wanted.is_some() {
        response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    response
}

/// The query of a request; what cannot be read is as good as none.
pub(super) fn query<T: Default + for<'de> Deserialize<'de>>(request: &HttpRequest) -> T {
    Query::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default()
}

/// Reads a digest. Of another algorithm than ours there is nothing, which is told with `code`.
pub(super) fn digest(text: &str, code: &'static str, status: StatusCode) -> Result<Digest, RegistryError> {
    text.parse().map_err(|_| match is_foreign(text) {
        true => RegistryError::other_algorithm(code, text),
        false => RegistryError::no_digest(text, status),
    })
}

/// Whether this is a digest of the OCI image specification, "Digests", but no SHA-256.
fn is_foreign(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let is_name =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_encoded = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-');
    algorithm != "sha256"
        && algorithm.split(['+', '.', '_', '-']).all(is_name)
        && !encoded.is_empty()
        && encoded.bytes().all(is_encoded)
}

/// Answers with a manifest. Its digest is its entity tag.
pub(super) fn manifest(
    request: &HttpRequest,
    document: impl Into<Manifest>,
    caching: &'static str,
) -> HttpResponse {
    let document: Manifest = document.into();
    let etag = format!("\"{}\"", document.digest);
    let delivery = decide(request.headers(), false, &etag, document.bytes.len() as u64);
    let mut response = match delivery {
        Delivery::NotModified => HttpResponse::NotModified(),
        Delivery::PreconditionFailed => HttpResponse::PreconditionFailed(),
        _ => HttpResponse::Ok(),
    };
    response.insert_header((header::ETAG, etag));
    response.insert_header((CONTENT_DIGEST, document.digest.to_string()));
    response.insert_header((header::CACHE_CONTROL, caching));
    match delivery {
        Delivery::NotModified | Delivery::PreconditionFailed => response.finish(),
        _ => response.content_type(document.media_type).body(document.bytes),
    }
}

/// Answers with a blob, whole or in part.
pub(super) fn blob(
    request: &HttpRequest,
    site: &Site,
    layout: &Layout,
    lease: Lease,
    digest: &Digest,
) -> HttpResponse {
    let download = Download {
        layout,
        lease,
        etag: format!("\"{digest}\""),
        content_type: "application/octet-stream",
        disposition: String::new(),
    };
    let mut response = deliver(request, site, download);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_DISPOSITION);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    put(headers, CONTENT_DIGEST, &digest.to_string());
    response
}

/// Sets a header to text made here.
fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_other_algorithms_are_told_from_nonsense() {
        for text in ["sha512:00ff", "multihash+base58:QmRZ_", "a.b-c:x="] {
            assert!(is_foreign(text), "{text}");
        }
        for text in ["sha256:zz", "sha256:", "x", ":", "a:", "A:b", "a+:b", "a:b/c", "totally wrong:x"] {
            assert!(!is_foreign(text), "{text}");
        }
    }
}
