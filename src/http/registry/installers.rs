//! Installer images: manifests, blobs, referrers, tags.

use std::future::Future;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use factory_actors::ask::AskError;
use factory_actors::publisher::{
    ForwardPull, Forwarded, GetBlob, InstallerRepository, ListReferrers, ListTags, ManifestRef, PublishError,
    ResolveManifest,
};
use factory_formats::oci_image::referrers;

use super::answers::{IMMUTABLE, TAGGED, blob, digest, manifest, wanted_type, with_filter};
use super::error::RegistryError;
use super::route::Resource;
use super::tags;
use crate::http::Site;
use crate::http::errors::schematic_id;

/// How long a request waits for an image that is made the first time. Nodes give up much earlier; their next
/// attempt finds it made.
const LONGEST_WAIT: Duration = Duration::from_secs(20 * 60);

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
    if let Some(response) = forward(site, &repository, resource).await? {
        return Ok(response);
    }
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
            Ok(manifest(request, document, caching))
        }
        Resource::Blob(text) => {
            let digest = digest(text, "BLOB_UNKNOWN", StatusCode::BAD_REQUEST)?;
            let found = wait(publisher.ask(GetBlob { repository, digest })).await?;
            Ok(blob(request, site, &found.layout, found.lease, &digest))
        }
        Resource::Referrers(text) => {
            let subject = digest(text, "MANIFEST_UNKNOWN", StatusCode::NOT_FOUND)?;
            let wanted = wanted_type(request);
            let mut list = wait(publisher.ask(ListReferrers { repository, subject })).await?;
            if let Some(wanted) = &wanted {
                list.retain(|referrer| referrer.artifact_type == wanted);
            }
            let response = manifest(request, referrers(&list), TAGGED);
            Ok(with_filter(response, wanted.as_deref()))
        }
        Resource::Tags => {
            let name = repository.to_string();
            let all = wait(publisher.ask(ListTags { repository })).await?;
            tags::answer(request, &name, &all)
        }
    }
}

/// Sends a pull to the registry that images are pushed to, when that is wished for and possible. Referrers and tags
/// are for the factory to tell (52-installer-images.md, 7.3 and 7.4).
async fn forward(
    site: &Site,
    repository: &InstallerRepository,
    resource: Resource<'_>,
) -> Result<Option<HttpResponse>, RegistryError> {
    let Some(base) = &site.installers else { return Ok(None) };
    let resource = match resource {
        Resource::Manifest(text) if text.contains(':') => {
            let digest = digest(text, "MANIFEST_UNKNOWN", StatusCode::BAD_REQUEST)?;
            Forwarded::Manifest(ManifestRef::Digest(digest))
        }
        Resource::Manifest(text) => Forwarded::Manifest(ManifestRef::Tag(text.to_owned())),
        Resource::Blob(text) => Forwarded::Blob(digest(text, "BLOB_UNKNOWN", StatusCode::BAD_REQUEST)?),
        Resource::Referrers(_) | Resource::Tags => return Ok(None),
    };
    let ask = ForwardPull { repository: repository.clone(), resource };
    let tail = wait(site.factory.publisher.ask(ask)).await?;
    Ok(tail.map(|tail| {
        let location = format!("{base}{repository}/{tail}");
        HttpResponse::TemporaryRedirect().insert_header((header::LOCATION, location)).finish()
    }))
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
