//! Release images from a directory of OCI image layouts, one layout for each repository:
//! `<root>/<repository>/{oci-layout,index.json,blobs/…}`. This is how images get to where no registry is.
//!
//! Tags are `org.opencontainers.image.ref.name` annotations in `index.json`. Signatures and other
//! referrers are found like in a registry: by tag, or as entries whose manifest names a `subject`.

mod directory;
mod listing;
mod target;

use std::collections::HashMap;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::ports::{
    BlobStream, Descriptor, RawManifest, Reference, ReleaseSource, Repository, SourceError,
};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::documents::{
    MANIFEST_TYPES, MAX_MANIFEST_BYTES, Referrer, index_entries, is_tag, manifest_type, referrers_tag,
};
use directory::LayoutRoot;

pub use target::{LayoutTarget, Present};

/// Annotation of an entry of `index.json` that holds its tag (OCI image specification, "Annotations").
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Bytes of a blob read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// A directory of OCI image layouts.
#[derive(Clone)]
pub struct OciLayouts {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    root: LayoutRoot,
    /// Who refers to whom in a repository, by the digest of the `index.json` that this was read from.
    referrers: Mutex<HashMap<Repository, (Digest, Arc<Subjects>)>>,
}

/// Referrers by what they refer to.
type Subjects = HashMap<Digest, Vec<Descriptor>>;

/// The parsed `index.json` of a repository.
struct Index {
    digest: Digest,
    entries: Vec<Descriptor>,
}

impl OciLayouts {
    /// Uses the layouts below `root`. Repositories may come and go while it is used.
    ///
    /// # Errors
    /// When `root` is no directory that can be read.
    pub fn open(root: &Path) -> io::Result<Self> {
        let name = format!("OCI layouts in {}", root.display());
        let root = LayoutRoot::open(root)?;
        Ok(Self { shared: Arc::new(Shared { name, root, referrers: Mutex::default() }) })
    }

    /// Runs `work`, which waits for a disk, where that disturbs nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce(&Shared, &str) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let shared = Arc::clone(&self.shared);
        let source_name = shared.name.clone();
        let failed_what = what.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared, &what)).await;
        done.unwrap_or_else(|error| {
            Err(SourceError::Unavailable { what: failed_what, source_name, reason: error.to_string() })
        })
    }
}

impl Shared {
    fn not_found(&self, what: &str) -> SourceError {
        SourceError::NotFound { what: what.to_owned(), source_name: self.name.clone() }
    }

    fn invalid(&self, what: &str, reason: impl ToString) -> SourceError {
        let (what, source_name) = (what.to_owned(), self.name.clone());
        SourceError::Invalid { what, source_name, reason: reason.to_string() }
    }

    fn failed(&self, what: &str, error: &io::Error) -> SourceError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => self.not_found(what),
            io::ErrorKind::InvalidData => self.invalid(what, error),
            _ => SourceError::Unavailable {
                what: what.to_owned(),
                source_name: self.name.clone(),
                reason: error.to_string(),
            },
        }
    }

    fn index(&self, repository: &Repository, what: &str) -> Result<Index, SourceError> {
        let bytes = self.root.read_index(repository).map_err(|error| self.failed(what, &error))?;
        let entries = index_entries(&bytes)
            .map_err(|error| self.invalid(&format!("index.json of {repository}"), error))?;
        Ok(Index { digest: Digest::of(&bytes), entries })
    }

    fn tagged(&self, repository: &Repository, tag: &str, what: &str) -> Result<Descriptor, SourceError> {
        let index = self.index(repository, what)?;
        index.tagged(tag).cloned().ok_or_else(|| self.not_found(what))
    }

    fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        declared: Option<&str>,
        what: &str,
    ) -> Result<RawManifest, SourceError> {
        let bytes = self
            .root
            .read_blob(repository, digest, MAX_MANIFEST_BYTES)
            .map_err(|error| self.failed(what, &error))?;
        let got = Digest::of(&bytes);
        if got != *digest {
            return Err(self.invalid(what, format!("its bytes have the digest {got}")));
        }
        let media_type = manifest_type(declared, &bytes);
        Ok(RawManifest { digest: *digest, media_type, bytes: bytes.into() })
    }

    fn subjects(&self, repository: &Repository, index: &Index) -> Arc<Subjects> {
        let mut known = self.referrers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((digest, subjects)) = known.get(repository)
            && *digest == index.digest
        {
            return Arc::clone(subjects);
        }
        let mut subjects = Subjects::new();
        let mut seen = std::collections::HashSet::new();
        let manifests = index.entries.iter().filter(|entry| {
            MANIFEST_TYPES.contains(&entry.media_type.as_str()) && entry.size <= MAX_MANIFEST_BYTES as u64
        });
        for entry in manifests.filter(|entry| seen.insert(entry.digest)) {
            let Ok(manifest) = self.manifest(repository, &entry.digest, Some(&entry.media_type), "") else {
                // A copy may be partial: what is not there refers to nothing.
                continue;
            };
            if let Some(referrer) = Referrer::read(entry.digest, manifest.media_type, &manifest.bytes) {
                subjects.entry(referrer.subject).or_default().push(referrer.descriptor);
            }
        }
        let subjects = Arc::new(subjects);
        known.insert(repository.clone(), (index.digest, Arc::clone(&subjects)));
        subjects
    }
}

impl Index {
    fn tags(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        let named = self.entries.iter().filter_map(|entry| Some((entry.annotations.get(REF_NAME)?, entry)));
        named.map(|(tag, entry)| (tag.as_str(), entry)).filter(|(tag, _)| is_tag(tag))
    }

    fn tagged(&self, tag: &str) -> Option<&Descriptor> {
        // Tools that add without replacing add at the end.
        self.tags().filter(|(name, _)| *name == tag).last().map(|(_, entry)| entry)
    }
}

#[async_trait]
impl ReleaseSource for OciLayouts {
    fn name(&self) -> &str {
        &self.shared.name
    }

    async fn list_tags(&self, repository: &Repository) -> Result<Vec<String>, SourceError> {
        let repository = repository.clone();
        self.blocking(format!("repository {repository}"), move |shared, what| {
            let index = shared.index(&repository, what)?;
            let mut tags: Vec<String> = index.tags().map(|(tag, _)| tag.to_owned()).collect();
            tags.sort_unstable();
            tags.dedup();
            Ok(tags)
        })
        .await
    }

    async fn resolve_tag(&self, repository: &Repository, tag: &str) -> Result<Digest, SourceError> {
        let (repository, tag) = (repository.clone(), tag.to_owned());
        self.blocking(format!("{repository}:{tag}"), move |shared, what| {
            Ok(shared.tagged(&repository, &tag, what)?.digest)
        })
        .await
    }

    async fn fetch_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, SourceError> {
        let repository = repository.clone();
        match reference.clone() {
            Reference::Tag(tag) => {
                self.blocking(format!("{repository}:{tag}"), move |shared, what| {
                    let entry = shared.tagged(&repository, &tag, what)?;
                    shared.manifest(&repository, &entry.digest, Some(&entry.media_type), what)
                })
                .await
            }
            Reference::Digest(digest) => {
                self.blocking(format!("{repository}@{digest}"), move |shared, what| {
                    let index = shared.index(&repository, what)?;
                    let entry = index.entries.iter().find(|entry| entry.digest == digest);
                    shared.manifest(&repository, &digest, entry.map(|entry| entry.media_type.as_str()), what)
                })
                .await
            }
        }
    }

    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<u64, SourceError> {
        let (repository, digest) = (repository.clone(), *digest);
        self.blocking(format!("blob {digest} of {repository}"), move |shared, what| {
            let opened = shared.root.open_blob(&repository, &digest);
            Ok(opened.map_err(|error| shared.failed(what, &error))?.1)
        })
        .await
    }

    async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, SourceError> {
        let (repository, digest) = (repository.clone(), *digest);
        let file = self
            .blocking(format!("blob {digest} of {repository}"), move |shared, what| {
                let (mut file, len) = shared
                    .root
                    .open_blob(&repository, &digest)
                    .map_err(|error| shared.failed(what, &error))?;
                if len != size || offset > size {
                    return Err(shared.invalid(what, format!("it has {len} bytes, not {size}")));
                }
                file.seek(SeekFrom::Start(offset)).map_err(|error| shared.failed(what, &error))?;
                Ok(file.take(size - offset))
            })
            .await?;
        let source = self.clone();
        let pieces = stream::try_unfold((source, file), move |(source, mut file)| async move {
            let piece = source
                .blocking(format!("blob {digest}"), move |shared, what| {
                    let mut piece =
                        vec![0; PIECE_BYTES.min(usize::try_from(file.limit()).unwrap_or(PIECE_BYTES))];
                    let read = file.read(&mut piece).map_err(|error| shared.failed(what, &error))?;
                    piece.truncate(read);
                    if read == 0 && file.limit() > 0 {
                        return Err(shared.invalid(what, "it became shorter while it was read"));
                    }
                    Ok((Bytes::from(piece), file))
                })
                .await?;
            let (piece, file) = piece;
            Ok((!piece.is_empty()).then_some((piece, (source, file))))
        });
        Ok(pieces.boxed())
    }

    async fn list_referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, SourceError> {
        let (repository, subject) = (repository.clone(), *subject);
        self.blocking(format!("referrers of {repository}@{subject}"), move |shared, what| {
            let index = match shared.index(&repository, what) {
                Err(SourceError::NotFound { .. }) => return Ok(Vec::new()),
                index => index?,
            };
            let mut found = shared.subjects(&repository, &index).get(&subject).cloned().unwrap_or_default();
            if let Some(entry) = index.tagged(&referrers_tag(&subject)) {
                let list = shared.manifest(&repository, &entry.digest, Some(&entry.media_type), what)?;
                let listed = index_entries(&list.bytes).unwrap_or_default();
                found.extend(listed);
                found.sort_by_key(|descriptor| descriptor.digest);
                found.dedup_by_key(|descriptor| descriptor.digest);
            }
            Ok(found)
        })
        .await
    }
}
