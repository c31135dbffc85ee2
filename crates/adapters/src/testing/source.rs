//! A source of release images in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{
    BlobStream, Descriptor, RawManifest, Reference, ReleaseSource, Repository, SourceError,
};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::watch;

use crate::documents::{Referrer, index_entries, referrers_tag};

/// Bytes handed out at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a source can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceCall {
    /// [`ReleaseSource::list_tags`].
    ListTags,
    /// [`ReleaseSource::resolve_tag`].
    ResolveTag,
    /// [`ReleaseSource::fetch_manifest`].
    FetchManifest,
    /// [`ReleaseSource::blob_size`].
    BlobSize,
    /// [`ReleaseSource::open_blob`].
    OpenBlob,
    /// [`ReleaseSource::list_referrers`].
    ListReferrers,
}

/// A source of release images in memory. Clones share the contents, counters and switches.
#[derive(Clone)]
pub struct MemorySource {
    name: Arc<str>,
    inner: Arc<Mutex<Inner>>,
    paused: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Inner {
    repositories: BTreeMap<Repository, Contents>,
    calls: BTreeMap<SourceCall, usize>,
    failures: BTreeMap<SourceCall, VecDeque<SourceError>>,
    down: bool,
    blob_bytes: u64,
    cut_blobs_after: Option<u64>,
}

#[derive(Default)]
struct Contents {
    tags: BTreeMap<String, Digest>,
    manifests: BTreeMap<Digest, (String, Bytes)>,
    blobs: BTreeMap<Digest, Bytes>,
    referrers: BTreeMap<Digest, Vec<Descriptor>>,
}

impl Default for MemorySource {
    fn default() -> Self {
        Self::new("images in memory")
    }
}

impl MemorySource {
    /// An empty source that calls itself this.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), inner: Arc::default(), paused: Arc::new(watch::Sender::new(false)) }
    }

    /// Adds a blob.
    pub fn add_blob(&self, repository: &Repository, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.contents(repository, |contents| contents.blobs.insert(digest, bytes));
        digest
    }

    /// Adds a manifest or index; one with a `subject` shows up among the referrers of that.
    pub fn add_manifest(&self, repository: &Repository, media_type: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.contents(repository, |contents| {
            if let Some(referrer) = Referrer::read(digest, media_type.to_owned(), &bytes) {
                contents.referrers.entry(referrer.subject).or_default().push(referrer.descriptor);
            }
            contents.manifests.insert(digest, (media_type.to_owned(), bytes))
        });
        digest
    }

    /// Lets a tag stand for a manifest.
    pub fn tag(&self, repository: &Repository, tag: &str, digest: Digest) {
        self.contents(repository, |contents| contents.tags.insert(tag.to_owned(), digest));
    }

    /// Takes a tag away.
    pub fn untag(&self, repository: &Repository, tag: &str) {
        self.contents(repository, |contents| contents.tags.remove(tag));
    }

    /// Lets the next call of this kind fail; several failures are used up one after the other.
    pub fn fail_next(&self, call: SourceCall, error: SourceError) {
        self.inner().failures.entry(call).or_default().push_back(error);
    }

    /// Takes the whole source off the network, or back.
    pub fn set_down(&self, down: bool) {
        self.inner().down = down;
    }

    /// Lets every call wait until this is called with `false`.
    pub fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Ends blobs with an error after so many bytes of a stream; `None` ends that.
    pub fn cut_blobs_after(&self, bytes: Option<u64>) {
        self.inner().cut_blobs_after = bytes;
    }

    /// How often this was asked, failures included.
    pub fn calls(&self, call: SourceCall) -> usize {
        self.inner().calls.get(&call).copied().unwrap_or(0)
    }

    /// How often anything was asked.
    pub fn all_calls(&self) -> usize {
        self.inner().calls.values().sum()
    }

    /// Bytes of blobs that were handed out.
    pub fn blob_bytes(&self) -> u64 {
        self.inner().blob_bytes
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contents<T>(&self, repository: &Repository, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(self.inner().repositories.entry(repository.clone()).or_default())
    }

    /// Counts the call, waits while paused, fails as told, and then looks into the repository.
    async fn ask<T>(
        &self,
        call: SourceCall,
        repository: &Repository,
        what: &str,
        answer: impl FnOnce(&Contents) -> Option<T> + Send,
    ) -> Result<T, SourceError> {
        *self.inner().calls.entry(call).or_default() += 1;
        // The sender is one of ours: waiting cannot fail.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
        let mut inner = self.inner();
        if let Some(error) = inner.failures.get_mut(&call).and_then(VecDeque::pop_front) {
            return Err(error);
        }
        let (what, source_name) = (what.to_owned(), self.name.to_string());
        if inner.down {
            let reason = "the source was taken down".to_owned();
            return Err(SourceError::Unavailable { what, source_name, reason });
        }
        let found = inner.repositories.get(repository).and_then(answer);
        found.ok_or(SourceError::NotFound { what, source_name })
    }
}

#[async_trait]
impl ReleaseSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<String>, SourceError> {
        let tags = |contents: &Contents| Some(contents.tags.keys().cloned().collect());
        self.ask(SourceCall::ListTags, repository, &format!("repository {repository}"), tags).await
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Digest, SourceError> {
        let digest = |contents: &Contents| contents.tags.get(tag).copied();
        self.ask(SourceCall::ResolveTag, repository, &format!("{repository}:{tag}"), digest).await
    }

    async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, SourceError> {
        let manifest = |contents: &Contents| {
            let digest = match reference {
                Reference::Tag(tag) => *contents.tags.get(tag)?,
                Reference::Digest(digest) => *digest,
            };
            let (media_type, bytes) = contents.manifests.get(&digest)?.clone();
            Some(RawManifest { digest, media_type, bytes })
        };
        let what = format!("{repository} {reference}");
        self.ask(SourceCall::FetchManifest, repository, &what, manifest).await
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, SourceError> {
        let what = format!("blob {digest} of {repository}");
        let size = |contents: &Contents| contents.blobs.get(digest).map(|blob| blob.len() as u64);
        self.ask(SourceCall::BlobSize, repository, &what, size).await
    }

    async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, SourceError> {
        let what = format!("blob {digest} of {repository}");
        let source_name = self.name.to_string();
        let blob = |contents: &Contents| contents.blobs.get(digest).cloned();
        let blob = self.ask(SourceCall::OpenBlob, repository, &what, blob).await?;
        if blob.len() as u64 != size || offset > size {
            let reason = format!("it has {} bytes, not {size}", blob.len());
            return Err(SourceError::Invalid { what, source_name, reason });
        }
        let mut rest = blob.slice(usize::try_from(offset).unwrap_or(blob.len())..);
        let mut pieces = Vec::new();
        let cut = self.inner().cut_blobs_after.and_then(|bytes| usize::try_from(bytes).ok());
        let cut = cut.filter(|&bytes| bytes < rest.len());
        rest.truncate(cut.unwrap_or(rest.len()));
        while !rest.is_empty() {
            pieces.push(Ok(rest.split_to(PIECE_BYTES.min(rest.len()))));
        }
        if cut.is_some() {
            let reason = "the connection was cut".to_owned();
            pieces.push(Err(SourceError::Unavailable { what, source_name, reason }));
        }
        let source = self.clone();
        let counted = stream::iter(pieces).inspect(move |piece| {
            source.inner().blob_bytes += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
        });
        Ok(counted.boxed())
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, SourceError> {
        let referrers = |contents: &Contents| {
            let mut found = contents.referrers.get(subject).cloned().unwrap_or_default();
            let listed = contents.tags.get(&referrers_tag(subject)).and_then(|d| contents.manifests.get(d));
            let listed = listed.and_then(|(_, bytes)| index_entries(bytes).ok()).unwrap_or_default();
            found.extend(listed);
            Some(found)
        };
        let what = format!("referrers of {repository}@{subject}");
        match self.ask(SourceCall::ListReferrers, repository, &what, referrers).await {
            Err(SourceError::NotFound { .. }) => Ok(Vec::new()),
            done => done,
        }
    }
}
