//! Installer images: manifests, blobs, referrers, tags.

use std::future::Future;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::ask::AskError;
use factory_actors::publisher::{
    GetBlob, InstallerRepository, ListReferrers, ListTags, ManifestRef, PublishError, ResolveManifest,
};
use factory_formats::Digest;
use factory_formats::oci_image::{Document, referrers};
use serde::Deserialize;

use super::error::RegistryError;
use super::route::Resource;
use super::tags;
use crate::http::Site;
use crate::http::assets::{Download, deliver};
use crate::http::conditional::{Delivery, decide};
use crate::http::errors::schematic_id;

/// How long a request waits for an image that is made the first time. Nodes give up much earlier; their next
/// attempt finds it made.
const LONGEST_WAIT: Duration = Duration::from_secs(20 * 60);

/// What a digest names never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// A tag names the same for long, but a new release changes `latest`.
const TAGGED: &str = "public, max-age=60";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

pub(super) async fn answer(
    request: &HttpRequest,
    site: &Site,
    image: &str,
    schematic: &str,
    resource: Resource<'_>,
) -> Result<HttpResponse, RegistryError> {
    let schematic = schematic_id(schematic).map_err(RegistryError::no_schematic)?;
    let repository = InstallerRepository { image: image.to_owned(), schematic };
    let publisher = &site.factory.publisher;
    match resource {
        Resource::Manifest(text) => {
            let (reference, caching) = match text.contains(':') {
                true => {
                    let digest = digest(text, "MANIFEST_UNKNOWN", StatusCode::BAD_REQUEST)?;
                    (ManifestRef::Digest(digest), IMMUTABLE)
                }
                false => (ManifestRef::Tag(text.to_owned()), TAGGED),
            };
            let document = wait(publisher.ask(ResolveManifest { repository, reference })).await?;
            Ok(manifest(request, &document, caching))
        }
        Resource::Blob(text) => {
            let digest = digest(text, "BLOB_UNKNOWN", StatusCode::BAD_REQUEST)?;
            let blob = wait(publisher.ask(GetBlob { repository, digest })).await?;
            let download = Download {
                layout: &blob.layout,
                lease: blob.lease,
                etag: format!("\"{digest}\""),
                content_type: "application/octet-stream",
                disposition: String::new(),
            };
            let mut response = deliver(request, site, download);
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_DISPOSITION);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
            put(headers, CONTENT_DIGEST, &digest.to_string());
            Ok(response)
        }
        Resource::Referrers(text) => {
            let subject = digest(text, "MANIFEST_UNKNOWN", StatusCode::NOT_FOUND)?;
            let wanted = query::<ReferrersQuery>(request).artifact_type.filter(|text| !text.is_empty());
            let mut list = wait(publisher.ask(ListReferrers { repository, subject })).await?;
            if let Some(wanted) = &wanted {
                list.retain(|referrer| referrer.artifact_type == wanted);
            }
            let mut response = manifest(request, &referrers(&list), TAGGED);
            if wanted.is_some() {
                response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
            }
            Ok(response)
        }
        Resource::Tags => {
            let name = repository.to_string();
            let all = wait(publisher.ask(ListTags { repository })).await?;
            tags::answer(request, &name, &all)
        }
    }
}

#[derive(Default, Deserialize)]
struct ReferrersQuery {
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
}

/// The query of a request; what cannot be read is as good as none.
pub(super) fn query<T: Default + for<'de> Deserialize<'de>>(request: &HttpRequest) -> T {
    Query::from_query(request.query_string()).map(Query::into_inner).unwrap_or_default()
}

/// An answer, or that it takes too long. Work that was begun goes on.
async fn wait<T>(
    answer: impl Future<Output = Result<T, AskError<PublishError>>>,
) -> Result<T, RegistryError> {
    match tokio::time::timeout(LONGEST_WAIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RegistryError::still_working()),
    }
}

/// Reads a digest. Of another algorithm than ours there is nothing, which is told with `code`.
fn digest(text: &str, code: &'static str, status: StatusCode) -> Result<Digest, RegistryError> {
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
pub(super) fn manifest(request: &HttpRequest, document: &Document, caching: &'static str) -> HttpResponse {
    let etag = format!("\"{}\"", document.digest);
    let delivery = decide(request.headers(), false, &etag, document.size());
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
        _ => response.content_type(document.media_type).body(document.bytes.clone()),
    }
}

/// Sets a header to text made here.
fn put(headers: &mut header::HeaderMap, name: HeaderName, text: &str) {
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
