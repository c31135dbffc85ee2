//! Images of the release, handed on to clients that reach no other registry (10-http-api.md, 8.5).

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use factory_actors::sources::{
    ListSourceReferrers, ListSourceTags, PullSourceBlob, ReadSourceManifest, StatSourceBlob,
};
use factory_domain::ports::{Descriptor, Reference};
use factory_formats::oci_image::media_type;
use factory_formats::{Digest, Layout};
use serde::Serialize;

use super::answers::{IMMUTABLE, Manifest, TAGGED, blob, digest, manifest, wanted_type, with_filter};
use super::error::RegistryError;
use super::route::Resource;
use super::tags;
use crate::http::Site;

/// A list of referrers that came from elsewhere.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Descriptor],
}

pub(super) async fn answer(
    request: &HttpRequest,
    site: &Site,
    name: &str,
    resource: Resource<'_>,
) -> Result<HttpResponse, RegistryError> {
    let unknown = || RegistryError::no_image(name);
    let repository = site.factory.source_repository(name).ok_or_else(unknown)?;
    let sources = &site.factory.sources;
    match resource {
        Resource::Manifest(text) => {
            let (reference, caching) = match text.contains(':') {
                true => {
                    let digest = digest(text, "MANIFEST_UNKNOWN", StatusCode::BAD_REQUEST)?;
                    (Reference::Digest(digest), IMMUTABLE)
                }
                false => (Reference::Tag(text.to_owned()), TAGGED),
            };
            let found = sources.ask(ReadSourceManifest { repository, reference }).await;
            let found = found.map_err(|error| RegistryError::of_source(error, "MANIFEST_UNKNOWN"))?;
            let document =
                Manifest { media_type: found.media_type, bytes: found.bytes, digest: found.digest };
            Ok(manifest(request, document, caching))
        }
        Resource::Blob(text) => {
            let digest = digest(text, "BLOB_UNKNOWN", StatusCode::BAD_REQUEST)?;
            let told = |error| RegistryError::of_source(error, "BLOB_UNKNOWN");
            if request.method() == Method::HEAD {
                let size = sources.ask(StatSourceBlob { repository, digest }).await.map_err(told)?;
                // Nothing of it is sent, so nothing of it is held.
                let lease = site.factory.hold(&Layout::default()).map_err(RegistryError::of_store)?;
                return Ok(blob(request, site, &Layout::from_blob(digest, size), lease, &digest));
            }
            let found = sources.ask(PullSourceBlob { repository, digest }).await.map_err(told)?;
            let layout = Layout::from_blob(digest, found.info.size);
            Ok(blob(request, site, &layout, found.lease, &digest))
        }
        Resource::Referrers(text) => {
            let subject = digest(text, "MANIFEST_UNKNOWN", StatusCode::NOT_FOUND)?;
            let found = sources.ask(ListSourceReferrers { repository, subject }).await;
            let mut list = found.map_err(|error| RegistryError::of_source(error, "MANIFEST_UNKNOWN"))?;
            let wanted = wanted_type(request);
            if let Some(wanted) = &wanted {
                list.retain(|referrer| referrer.artifact_type.as_ref() == Some(wanted));
            }
            let index = Index { schema_version: 2, media_type: media_type::INDEX, manifests: &list };
            let bytes = Bytes::from(serde_json::to_vec(&index).unwrap_or_default());
            let (media_type, digest) = (media_type::INDEX.to_owned(), Digest::of(&bytes));
            let response = manifest(request, Manifest { media_type, bytes, digest }, TAGGED);
            Ok(with_filter(response, wanted.as_deref()))
        }
        Resource::Tags => {
            let found = sources.ask(ListSourceTags { repository }).await;
            let all = found.map_err(|error| RegistryError::of_source(error, "NAME_UNKNOWN"))?;
            tags::answer(request, &format!("siderolabs/{name}"), &all)
        }
    }
}
