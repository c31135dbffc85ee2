//! Installers beyond this factory: what factories of one site agree on, and images in a registry.
//!
//! What all of them show is the same but for signatures, which are random by nature. So the first edition of an
//! image that is written down where all look is the one that all show.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use factory_domain::asset::InstallerName;
use factory_domain::ports::{BlobStream, ImageTarget, Reference, Repository, SharedRecords, SourceError};
use factory_formats::Digest;
use factory_formats::oci_image::{Document, referrers};
use futures_util::StreamExt as _;

use super::edition::Edition;
use super::published::Published;
use super::{InstallerRepository, ManifestRef, PublishError, State};
use crate::flights::Flights;
use crate::lock::lock;
use crate::stream::{Buffers, LayoutStream};
use crate::workers::Workers;

/// Images remembered as pushed.
const MAX_PUSHED: usize = 10_000;

/// Where images are pushed to.
#[derive(Clone)]
pub struct InstallerRegistry {
    /// The registry.
    pub target: Arc<dyn ImageTarget>,
    /// Path in front of `<image>/<schematic>`.
    pub prefix: Option<Repository>,
}

/// Places beside the store.
#[derive(Clone, Default)]
pub struct Elsewhere {
    /// Where the factories of a site agree on editions.
    pub records: Option<Arc<dyn SharedRecords>>,
    /// Where images are pushed to.
    pub registry: Option<InstallerRegistry>,
}

type Pushed = (InstallerRepository, Digest);

/// What is known of those places.
pub(super) struct Abroad {
    places: Elsewhere,
    pushed: Mutex<HashSet<Pushed>>,
    pushes: Flights<Pushed, (), PublishError>,
    buffers: Buffers,
    /// What the last answers were, when they were none: of the records, of the registry.
    troubles: Mutex<[Option<String>; 2]>,
}

const RECORDS: usize = 0;
const REGISTRY: usize = 1;

impl Abroad {
    pub fn new(places: Elsewhere, workers: Workers) -> Self {
        Self {
            places,
            pushed: Mutex::default(),
            pushes: Flights::new(workers),
            buffers: Buffers::default(),
            troubles: Mutex::default(),
        }
    }

    pub fn has_registry(&self) -> bool {
        self.places.registry.is_some()
    }

    fn note<T, E: std::fmt::Display>(&self, place: usize, answer: Result<T, E>) -> Option<T> {
        let trouble = answer.as_ref().err().map(ToString::to_string);
        if let Some(trouble) = &trouble {
            metrics::counter!("image_factory_installer_place_errors_total").increment(1);
            tracing::warn!(error = trouble, "installers are served by this factory alone");
        }
        if let Some(known) = lock(&self.troubles).get_mut(place) {
            *known = trouble;
        }
        answer.ok()
    }
}

impl State {
    /// What keeps places for installers from answering, one line for each.
    pub fn troubles(&self) -> Vec<String> {
        lock(&self.abroad.troubles).iter().flatten().cloned().collect()
    }

    /// The edition of an image that all factories show, when there is one that says the same as `index`.
    pub(super) async fn shared_edition(
        &self,
        repository: &InstallerRepository,
        index: &Digest,
    ) -> Option<Edition> {
        let records = self.abroad.places.records.as_ref()?;
        let found = records.get(&repository.to_string(), &index.hex()).await;
        let found = self.abroad.note(RECORDS, found)??;
        serde_json::from_slice(&found).ok()
    }

    /// Writes an edition down where all look, and gives the one that is there afterwards.
    pub(super) async fn share(&self, repository: &InstallerRepository, edition: &Edition) -> Option<Edition> {
        let records = self.abroad.places.records.as_ref()?;
        let value = Bytes::from(serde_json::to_vec(edition).unwrap_or_default());
        let there = records.put_new(&repository.to_string(), &edition.index.digest.hex(), value).await;
        serde_json::from_slice(&self.abroad.note(RECORDS, there)?).ok()
    }

    /// Pushes an image unless that was done. Tells whether it is there.
    pub(super) async fn ensure_pushed(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        published: &Arc<Published>,
    ) -> bool {
        let key = (repository.clone(), published.index.digest);
        if lock(&self.abroad.pushed).contains(&key) {
            return true;
        }
        let (state, name, published) = (Arc::clone(self), name.clone(), Arc::clone(published));
        let what = format!("pushing {repository}");
        let flight = self.abroad.pushes.join(key.clone(), &what, move || async move {
            state.push(&key.0, &name, &published).await?;
            tracing::info!(repository = %key.0, version = published.version.tag(), "pushed");
            let mut pushed = lock(&state.abroad.pushed);
            if pushed.len() >= MAX_PUSHED {
                pushed.clear();
            }
            pushed.insert(key);
            Ok(())
        });
        self.abroad.note(REGISTRY, flight.await).is_some()
    }

    /// Blobs, then manifests by digest, then what shows who signed them, and only then the tag.
    async fn push(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        name: &InstallerName,
        published: &Published,
    ) -> Result<(), PublishError> {
        let Some(place) = &self.abroad.places.registry else { return Ok(()) };
        let path = place_of(repository, place.prefix.as_ref())?;
        for digest in published.blobs.keys() {
            if place.target.has_blob(&path, digest).await? {
                continue;
            }
            let blob = self.blob(repository, name, published, digest).await?;
            let size = blob.layout.len();
            let (store, workers) = (Arc::clone(&self.store), self.workers.clone());
            let buffers = self.abroad.buffers.clone();
            let bytes = LayoutStream::new(&blob.layout, 0, size, store, blob.lease, workers, buffers);
            place.target.push_blob(&path, digest, size, as_blob(bytes, digest)).await?;
        }
        let put = async |reference: Reference, document: &Document| {
            let bytes = document.bytes.clone();
            place.target.push_manifest(&path, &reference, document.media_type, bytes).await
        };
        let index = &published.index;
        for document in published.manifests.values().filter(|document| document.digest != index.digest) {
            put(Reference::Digest(document.digest), document).await?;
        }
        put(Reference::Digest(index.digest), index).await?;
        for (subject, list) in &published.referrers {
            // Registries without an API for referrers have them under a tag.
            put(Reference::Tag(format!("sha256-{}", subject.hex())), &referrers(list)).await?;
        }
        for (subject, image) in &published.signatures {
            put(Reference::Tag(format!("sha256-{}.sig", subject.hex())), image).await?;
        }
        Ok(put(Reference::Tag(published.version.tag()), index).await?)
    }

    /// Where a pull goes on in the registry that images are pushed to, below the image's repository there; `None`
    /// when this factory has to answer itself.
    pub(super) async fn forward(
        self: &Arc<Self>,
        repository: &InstallerRepository,
        resource: &Forwarded,
    ) -> Result<Option<String>, PublishError> {
        let name = self.check(repository).await?;
        let (published, tail) = match resource {
            Forwarded::Manifest(ManifestRef::Tag(tag)) if !tag.starts_with("sha256-") => {
                let version = self.version_tagged(tag).await?;
                let published = self.published(repository, &name, &version).await?;
                let tail = format!("manifests/{}", published.index.digest);
                (Some(published), tail)
            }
            Forwarded::Manifest(ManifestRef::Tag(tag)) => {
                let subject = tag.trim_start_matches("sha256-").trim_end_matches(".sig");
                let unknown = |_| PublishError::NoManifest(tag.clone());
                let subject = Digest::from_hex(subject).map_err(unknown)?;
                (self.find(repository, &name, &subject).await?, format!("manifests/{tag}"))
            }
            Forwarded::Manifest(ManifestRef::Digest(digest)) => {
                (self.find(repository, &name, digest).await?, format!("manifests/{digest}"))
            }
            Forwarded::Blob(digest) => {
                (self.find(repository, &name, digest).await?, format!("blobs/{digest}"))
            }
        };
        match published {
            Some(published) if !self.ensure_pushed(repository, &name, &published).await => Ok(None),
            // What this factory does not know, the registry may.
            Some(_) | None => Ok(Some(tail)),
        }
    }
}

/// What of an image a client pulls.
#[derive(Clone, Debug)]
pub enum Forwarded {
    /// A manifest.
    Manifest(ManifestRef),
    /// A blob.
    Blob(Digest),
}

fn place_of(
    repository: &InstallerRepository,
    prefix: Option<&Repository>,
) -> Result<Repository, PublishError> {
    let invalid = |_| PublishError::NoImage(repository.image.clone());
    let path: Repository = repository.to_string().parse().map_err(invalid)?;
    path.under(prefix.map_or("", Repository::as_str)).map_err(invalid)
}

fn as_blob(bytes: LayoutStream, digest: &Digest) -> BlobStream {
    let what = format!("blob {digest}");
    let told = move |error: std::io::Error| SourceError::Unavailable {
        what: what.clone(),
        source_name: "the store".to_owned(),
        reason: error.to_string(),
    };
    bytes.map(move |piece| piece.map_err(&told)).boxed()
}
