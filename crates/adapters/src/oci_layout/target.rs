//! Writing a directory of layouts, so that it can be carried to where no registry is.
//!
//! ```text
//! .mirror/lock              held as long as somebody writes
//! .mirror/<number>          blobs being written; worthless to anyone else
//! <repository>/oci-layout
//! <repository>/index.json   replaced as a whole, after everything that it names
//! <repository>/blobs/sha256/<hex>
//! ```
//!
//! A blob has its name only when it is whole, checked and on the disk. So whoever is killed leaves a directory
//! that is right in all it says, and whoever comes again finds what is there already.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::mirror::OCI_INDEX;
use factory_domain::ports::{BlobStream, ImageTarget, Reference, Repository, SourceError};
use factory_formats::Digest;
use factory_formats::expected::{Expected, Unexpected};
use futures_util::StreamExt as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::listing::Entry;

/// Ours alone: the name of no repository begins with a dot.
const WORK: &str = ".mirror";

/// What is thought of blobs that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// They are what their names say: that was checked when they were written.
    Trusted,
    /// They are read again, and replaced where the medium has damaged them.
    Checked,
}

/// A directory of OCI image layouts that can be written to.
#[derive(Clone)]
pub struct LayoutTarget {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    root: PathBuf,
    present: Present,
    next: AtomicU64,
    /// Where blobs lie, whatever the repository. One that is needed in another too is linked there.
    known: Mutex<HashMap<Digest, PathBuf>>,
    /// Held by whoever changes an index.
    indexing: Mutex<()>,
    _lock: File,
}

impl LayoutTarget {
    /// Takes the directory into use, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be written to, or another process does so.
    pub fn open(root: &Path, present: Present) -> io::Result<Self> {
        let work = root.join(WORK);
        fs::create_dir_all(&work)?;
        let lock_path = work.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process writes to it"),
            TryLockError::Error(error) => error,
        })?;
        for entry in fs::read_dir(&work)? {
            let path = entry?.path();
            if path != lock_path {
                fs::remove_file(path)?;
            }
        }
        let mut known = HashMap::new();
        find_blobs(root, &mut known)?;
        Ok(Self {
            shared: Arc::new(Shared {
                name: format!("OCI layouts in {}", root.display()),
                root: root.to_owned(),
                present,
                next: AtomicU64::new(0),
                known: Mutex::new(known),
                indexing: Mutex::default(),
                _lock: lock,
            }),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(io::Error::other).and_then(|done| done).map_err(|error| self.shared.failed(what, &error))
    }
}

impl Shared {
    /// A full disk or a directory that cannot be written to is no better the next time.
    fn failed(&self, what: String, error: &io::Error) -> SourceError {
        let source_name = self.name.clone();
        SourceError::Invalid { what, source_name, reason: format!("it cannot be written: {error}") }
    }

    fn layout(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.as_str())
    }

    fn blob_path(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.layout(repository).join("blobs/sha256").join(digest.hex())
    }

    fn temporary(&self) -> PathBuf {
        self.root.join(WORK).join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn has_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<bool> {
        let path = self.blob_path(repository, digest);
        if path.is_file() {
            if self.present == Present::Trusted || digest_of(&path)? == *digest {
                return Ok(true);
            }
            tracing::warn!(blob = %path.display(), "a blob is damaged and is copied again");
            // Its links in other repositories are damaged like itself.
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
            fs::remove_file(&path)?;
            return Ok(false);
        }
        let elsewhere = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        let Some(elsewhere) = elsewhere else { return Ok(false) };
        if self.present == Present::Checked && digest_of(&elsewhere)? != *digest {
            return Ok(false);
        }
        self.prepare(repository)?;
        match fs::hard_link(&elsewhere, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                // Not every file system has links; then there are two copies.
                tracing::debug!(%digest, %error, "a blob cannot be linked");
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Makes a repository's directory, which holds no image yet.
    fn prepare(&self, repository: &Repository) -> io::Result<()> {
        let layout = self.layout(repository);
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        let marker = layout.join("oci-layout");
        if !marker.is_file() {
            self.replace(&marker, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(())
    }

    /// Writes a file as a whole, durably.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.temporary();
        let mut file = File::create_new(&temporary)?;
        file.write_all(bytes)?;
        self.publish(&file, &temporary, path)
    }

    fn publish(&self, file: &File, temporary: &Path, path: &Path) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(temporary, path)?;
        match path.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    fn keep_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        file: &File,
        from: &Path,
    ) -> io::Result<()> {
        self.prepare(repository)?;
        let path = self.blob_path(repository, digest);
        self.publish(file, from, &path)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, path);
        Ok(())
    }

    fn put_manifest(
        &self,
        repository: &Repository,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> io::Result<()> {
        let digest = Digest::of(bytes);
        self.prepare(repository)?;
        let path = self.blob_path(repository, &digest);
        // They are short: comparing costs nothing.
        if fs::read(&path).ok().as_deref() != Some(bytes) {
            self.replace(&path, bytes)?;
        }
        let _indexing = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let index_path = self.layout(repository).join("index.json");
        let mut index = match fs::read(&index_path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", index_path.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})
            }
            Err(error) => return Err(error),
        };
        let entry = Entry { digest: &digest, media_type, bytes, tag };
        if !entry.enter(&mut index) {
            return Ok(());
        }
        self.replace(&index_path, &serde_json::to_vec_pretty(&index).map_err(io::Error::other)?)
    }
}

/// Notes where blobs lie below a directory. Links are not followed.
fn find_blobs(directory: &Path, known: &mut HashMap<Digest, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            find_blobs(&path, known)?;
        } else if kind.is_file()
            && directory.ends_with("blobs/sha256")
            && let Some(digest) = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok())
        {
            known.insert(digest, path);
        }
    }
    Ok(())
}

fn digest_of(path: &Path) -> io::Result<Digest> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(Digest::from_bytes(hash.finalize().into()));
        };
        hash.update(bytes);
    }
}

/// A file that goes away unless it was kept.
struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // What stays is removed when the directory is taken into use again.
            let _ = fs::remove_file(path);
        }
    }
}

#[async_trait]
impl ImageTarget for LayoutTarget {
    fn name(&self) -> &str {
        &self.shared.name
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, SourceError> {
        let (repository, digest) = (repository.clone(), *digest);
        let what = format!("blob {digest} of {repository}");
        self.blocking(what, move |shared| shared.has_blob(&repository, &digest)).await
    }

    async fn push_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        mut bytes: BlobStream,
    ) -> Result<(), SourceError> {
        let (repository, digest) = (repository.clone(), *digest);
        let what = format!("blob {digest} of {repository}");
        let path = self.shared.temporary();
        let mut temporary = Temporary(Some(path.clone()));
        let made = path.clone();
        let mut file = self.blocking(what.clone(), move |_| File::create_new(&made)).await?;
        let wrong = |reason: Unexpected| {
            let source_name = "the origin of a copy".to_owned();
            SourceError::Invalid { what: what.clone(), source_name, reason: reason.to_string() }
        };
        let mut expected = Expected::new(digest, size);
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            let work = move |_: &Shared| match expected.take(&piece) {
                Ok(()) => file.write_all(&piece).map(|()| Ok((file, expected))),
                Err(reason) => Ok(Err(reason)),
            };
            (file, expected) = self.blocking(what.clone(), work).await?.map_err(wrong)?;
        }
        expected.finish().map_err(wrong)?;
        self.blocking(what, move |shared| shared.keep_blob(&repository, &digest, &file, &path)).await?;
        temporary.0 = None;
        Ok(())
    }

    async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), SourceError> {
        let what = format!("{repository}, {reference}");
        let tag = match reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(digest) if Digest::of(&bytes) == *digest => None,
            Reference::Digest(_) => {
                let source_name = "the origin of a copy".to_owned();
                let reason = format!("its bytes have the digest {}", Digest::of(&bytes));
                return Err(SourceError::Invalid { what, source_name, reason });
            }
        };
        let (repository, media_type) = (repository.clone(), media_type.to_owned());
        self.blocking(what, move |shared| {
            shared.put_manifest(&repository, tag.as_deref(), &media_type, &bytes)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_no_leftovers() {
        let directory = tempfile::tempdir().unwrap();
        let first = LayoutTarget::open(directory.path(), Present::Trusted).unwrap();
        assert!(LayoutTarget::open(directory.path(), Present::Trusted).is_err());
        drop(first);
        fs::write(directory.path().join(".mirror/7"), b"half").unwrap();
        let _again = LayoutTarget::open(directory.path(), Present::Trusted).unwrap();
        assert!(!directory.path().join(".mirror/7").exists());
    }
}
