//! Copying one image: its blobs, its manifests, what says that it is genuine, and at last its tags.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use factory_domain::mirror::{
    ATTACHED_SUFFIXES, Links, OCI_INDEX, Platforms, attached_tag, index_of, is_index_type, referrers_tag,
};
use factory_domain::ports::{
    Amount, BlobStream, Descriptor, RawManifest, Reference, Repository, SourceError,
};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use tokio::sync::{OnceCell, Semaphore};

use super::plan::Wanted;
use super::{Mirror, MirrorError, Report};
use crate::lock::lock;

/// Attempts for one blob.
const ATTEMPTS: u32 = 4;

/// Wait before the second attempt; doubled for each further one.
const PAUSE: Duration = Duration::from_secs(1);

/// Indexes within indexes.
const MAX_DEPTH: usize = 4;

/// Whether a blob was sent, or was there.
type Blobs = HashMap<(Repository, Digest), Arc<OnceCell<()>>>;

/// Copies images, each blob once.
pub(super) struct Copier<'a> {
    mirror: &'a Mirror,
    transfers: Semaphore,
    /// Images share blobs, and are copied at the same time.
    blobs: Mutex<Blobs>,
    copied: Counter,
    skipped: Counter,
    manifests: AtomicU64,
    images: AtomicU64,
}

#[derive(Default)]
struct Counter {
    blobs: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    fn add(&self, bytes: u64) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn amount(&self) -> Amount {
        Amount { items: self.blobs.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

impl<'a> Copier<'a> {
    pub fn new(mirror: &'a Mirror) -> Self {
        Self {
            mirror,
            transfers: Semaphore::new(mirror.options.transfers.max(1)),
            blobs: Mutex::default(),
            copied: Counter::default(),
            skipped: Counter::default(),
            manifests: AtomicU64::new(0),
            images: AtomicU64::new(0),
        }
    }

    /// Adds what was done to a report.
    pub fn tell(&self, report: &mut Report) {
        report.copied = self.copied.amount();
        report.skipped = self.skipped.amount();
        report.manifests = self.manifests.load(Ordering::Relaxed);
        report.images = usize::try_from(self.images.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
    }

    /// Copies an image with everything that belongs to it.
    pub async fn copy_image(&self, image: &Wanted) -> Result<(), MirrorError> {
        let at = self.mirror.at_source(&image.repository)?;
        self.mirror.check.verify(&at, &image.digest).await?;
        let manifest = self.mirror.source.fetch_manifest(&at, &Reference::Digest(image.digest)).await?;
        let to = Place { at: &at, repository: &image.repository };
        self.copy_needs(to, &manifest, &image.platforms, 0).await?;
        self.copy_attached(to, &image.digest).await?;
        self.copy_referrers(to, &image.digest).await?;
        if image.tags.is_empty() {
            self.push(to, &Reference::Digest(image.digest), &manifest.media_type, manifest.bytes).await?;
        } else {
            for tag in &image.tags {
                let (tag, bytes) = (Reference::Tag(tag.clone()), manifest.bytes.clone());
                self.push(to, &tag, &manifest.media_type, bytes).await?;
            }
        }
        self.images.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Everything that a manifest names, but not itself.
    fn copy_needs<'b>(
        &'b self,
        to: Place<'b>,
        manifest: &'b RawManifest,
        platforms: &'b Platforms,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<(), MirrorError>> + Send + 'b>> {
        Box::pin(async move {
            let image = || format!("{}@{}", to.repository, manifest.digest);
            if depth >= MAX_DEPTH {
                let reason = "indexes lie within indexes without end".to_owned();
                return Err(self.wrong(image(), reason).into());
            }
            let links =
                Links::of(manifest).map_err(|source| MirrorError::Manifest { image: image(), source })?;
            let children = links.manifests.iter().filter(|entry| platforms.wants(entry));
            try_join_all(children.map(|entry| self.copy_manifest(to, entry.digest, platforms, depth + 1)))
                .await?;
            try_join_all(links.blobs.iter().map(|blob| self.copy_blob(to, blob))).await?;
            Ok(())
        })
    }

    async fn copy_manifest(
        &self,
        to: Place<'_>,
        digest: Digest,
        platforms: &Platforms,
        depth: usize,
    ) -> Result<Descriptor, MirrorError> {
        let reference = Reference::Digest(digest);
        let manifest = self.mirror.source.fetch_manifest(to.at, &reference).await?;
        self.copy_needs(to, &manifest, platforms, depth).await?;
        let size = manifest.bytes.len() as u64;
        let media_type = manifest.media_type.clone();
        self.push(to, &reference, &manifest.media_type, manifest.bytes).await?;
        let annotations = BTreeMap::new();
        Ok(Descriptor { media_type, digest, size, platform: None, artifact_type: None, annotations })
    }

    /// What lies beside an image under tags named for its digest.
    async fn copy_attached(&self, to: Place<'_>, image: &Digest) -> Result<(), MirrorError> {
        for suffix in ATTACHED_SUFFIXES {
            let tag = Reference::Tag(attached_tag(image, suffix));
            let Some(manifest) = found(self.mirror.source.fetch_manifest(to.at, &tag).await)? else {
                continue;
            };
            self.copy_needs(to, &manifest, &Platforms::ALL, 0).await?;
            self.push(to, &tag, &manifest.media_type, manifest.bytes).await?;
        }
        Ok(())
    }

    /// What names an image as its subject, and the tag that tells of it where there is no API for that. The
    /// target gets this tag in any case: nobody knows who will read it.
    async fn copy_referrers(&self, to: Place<'_>, image: &Digest) -> Result<(), MirrorError> {
        let tag = Reference::Tag(referrers_tag(image));
        let mut listed = self.mirror.source.list_referrers(to.at, image).await?;
        let known = found(self.mirror.source.fetch_manifest(to.at, &tag).await)?;
        // Something else under that tag says nothing about referrers.
        let known = known.filter(|known| is_index_type(&known.media_type));
        let by_tag = known.as_ref().and_then(|known| Links::of(known).ok()).unwrap_or_default().manifests;
        let is_complete = listed.iter().all(|entry| by_tag.iter().any(|other| other.digest == entry.digest));
        listed.extend(by_tag);
        listed.sort_by_key(|entry| entry.digest);
        listed.dedup_by_key(|entry| entry.digest);
        let mut copied = Vec::new();
        for entry in &listed {
            // A list may name what was deleted since.
            if found(self.copy_manifest(to, entry.digest, &Platforms::ALL, 0).await)?.is_some() {
                copied.push(entry.clone());
            }
        }
        match known {
            Some(known) if is_complete && copied.len() == listed.len() => {
                self.push(to, &tag, &known.media_type, known.bytes).await
            }
            _ if copied.is_empty() => Ok(()),
            _ => self.push(to, &tag, OCI_INDEX, index_of(copied).into()).await,
        }
    }

    async fn push(
        &self,
        to: Place<'_>,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), MirrorError> {
        if !self.mirror.options.dry_run {
            let target = &self.mirror.target;
            again(|| target.push_manifest(to.repository, reference, media_type, bytes.clone())).await?;
        }
        self.manifests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn copy_blob(&self, to: Place<'_>, blob: &Descriptor) -> Result<(), MirrorError> {
        let key = (to.repository.clone(), blob.digest);
        let cell = {
            let mut blobs = lock(&self.blobs);
            Arc::clone(blobs.entry(key).or_default())
        };
        cell.get_or_try_init(|| self.send_blob(to, blob)).await?;
        Ok(())
    }

    async fn send_blob(&self, to: Place<'_>, blob: &Descriptor) -> Result<(), MirrorError> {
        // The semaphore is never closed.
        let _transfer = self.transfers.acquire().await;
        let Mirror { source, target, progress, options, .. } = self.mirror;
        if again(|| target.has_blob(to.repository, &blob.digest)).await? {
            self.skipped.add(blob.size);
            progress.blob_skipped(blob.size);
            return Ok(());
        }
        if !options.dry_run {
            progress.blob_begins(to.repository.as_str(), blob.size);
            again(|| async {
                let stream = source.open_blob(to.at, &blob.digest, blob.size, 0).await?;
                target.push_blob(to.repository, &blob.digest, blob.size, self.watched(stream)).await
            })
            .await?;
        }
        self.copied.add(blob.size);
        Ok(())
    }

    fn watched(&self, stream: BlobStream) -> BlobStream {
        let progress = Arc::clone(&self.mirror.progress);
        stream
            .inspect(move |piece| {
                if let Ok(bytes) = piece {
                    progress.bytes_sent(bytes.len() as u64);
                }
            })
            .boxed()
    }

    fn wrong(&self, what: String, reason: String) -> SourceError {
        SourceError::Invalid { what, source_name: self.mirror.source.name().to_owned(), reason }
    }
}

/// A repository here and there.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// At the source.
    at: &'a Repository,
    /// At the target.
    repository: &'a Repository,
}

/// What is there, or nothing.
fn found<T, E: Into<MirrorError>>(outcome: Result<T, E>) -> Result<Option<T>, MirrorError> {
    match outcome.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(MirrorError::Source(SourceError::NotFound { .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tries again what may go better the next time.
async fn again<T, F>(mut work: impl FnMut() -> F) -> Result<T, SourceError>
where
    F: Future<Output = Result<T, SourceError>>,
{
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(error @ (SourceError::Unavailable { .. } | SourceError::RateLimited { .. })) => {
                let asked = match &error {
                    SourceError::RateLimited { retry_after, .. } => *retry_after,
                    _ => None,
                };
                tracing::debug!(%error, "trying again");
                tokio::time::sleep(asked.unwrap_or(pause).min(Duration::from_secs(60))).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    work().await
}
