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

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use factory_domain::mirror::is_index_type;
use factory_domain::ports::{BlobStream, ImageTarget, Reference, Repository, SourceError};
use factory_formats::Digest;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::REF_NAME;
use crate::documents::index_entries;

/// Ours alone: the name of no repository begins with a dot.
const WORK: &str = ".mirror";

/// A directory of OCI image layouts that can be written to.
#[derive(Clone)]
pub struct LayoutTarget {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    root: PathBuf,
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
    pub fn open(root: &Path) -> io::Result<Self> {
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
            return Ok(true);
        }
        let elsewhere = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        let Some(elsewhere) = elsewhere else { return Ok(false) };
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
        if !path.is_file() {
            self.replace(&path, bytes)?;
        }
        let _indexing = self.indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let index_path = self.layout(repository).join("index.json");
        let mut index = match fs::read(&index_path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", index_path.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                json!({"schemaVersion": 2, "mediaType": factory_domain::mirror::OCI_INDEX, "manifests": []})
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

/// A manifest that an index gets.
struct Entry<'a> {
    digest: &'a Digest,
    media_type: &'a str,
    bytes: &'a [u8],
    tag: Option<&'a str>,
}

impl Entry<'_> {
    /// Puts it into an index; says whether that changed anything. Entries of others stay as they are.
    fn enter(&self, index: &mut Value) -> bool {
        if !index.get("manifests").is_some_and(Value::is_array) {
            index["manifests"] = json!([]);
        }
        let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return false };
        let before = entries.clone();
        let digest = self.digest.to_string();
        let is = |entry: &Value| entry.get("digest").and_then(Value::as_str) == Some(&digest);
        if let Some(tag) = self.tag {
            // What names it moves on; whoever wants the other by its digest still finds it.
            for entry in entries.iter_mut().filter(|entry| tag_of(entry) == Some(tag) && !is(entry)) {
                if let Some(annotations) = entry.get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.remove(REF_NAME);
                }
            }
            entries.retain(|entry| tag_of(entry).is_some() || !is(entry));
        }
        // Parts of an index are found through it.
        if is_index_type(self.media_type) {
            let parts: HashSet<String> = index_entries(self.bytes)
                .unwrap_or_default()
                .iter()
                .filter(|part| part.artifact_type.is_none())
                .map(|part| part.digest.to_string())
                .collect();
            entries.retain(|entry| {
                let is_part = entry.get("digest").and_then(Value::as_str).is_some_and(|d| parts.contains(d));
                tag_of(entry).is_some() || !is_part
            });
        }
        let is_known =
            entries.iter().any(|entry| is(entry) && self.tag.is_none_or(|tag| tag_of(entry) == Some(tag)));
        if !is_known {
            let mut entry = json!({"mediaType": self.media_type, "digest": digest, "size": self.bytes.len()});
            if let Some(tag) = self.tag {
                entry["annotations"] = json!({REF_NAME: tag});
            }
            entries.push(entry);
        }
        *entries != before
    }
}

fn tag_of(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
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
        let mut hash = Sha256::new();
        let mut at = 0_u64;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            at = at.saturating_add(piece.len() as u64);
            if at > size {
                break;
            }
            let work = move |_: &Shared| {
                hash.update(&piece);
                file.write_all(&piece).map(|()| (file, hash))
            };
            (file, hash) = self.blocking(what.clone(), work).await?;
        }
        let found = Digest::from_bytes(hash.finalize().into());
        let wrong = |reason: String| {
            let source_name = "the origin of a copy".to_owned();
            SourceError::Invalid { what: what.clone(), source_name, reason }
        };
        if at != size {
            let reason = if at > size {
                format!("it has more than {size} bytes")
            } else {
                format!("it has {at} bytes, not {size}")
            };
            return Err(wrong(reason));
        }
        if found != digest {
            return Err(wrong(format!("its bytes have the digest {found}")));
        }
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

    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn entry<'a>(digest: &'a Digest, bytes: &'a [u8], tag: Option<&'a str>) -> Entry<'a> {
        Entry { digest, media_type: IMAGE, bytes, tag }
    }

    fn shown(index: &Value) -> Vec<(String, Option<&str>)> {
        let entries = index["manifests"].as_array().unwrap().iter();
        entries.map(|entry| (entry["digest"].as_str().unwrap().to_owned(), tag_of(entry))).collect()
    }

    #[test]
    fn a_tag_moves_on_and_the_other_stays() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut index = json!({"manifests": [], "more": 1});
        assert!(entry(&one, b"1", None).enter(&mut index));
        assert!(entry(&one, b"1", Some("v1")).enter(&mut index));
        assert_eq!(shown(&index), [(one.to_string(), Some("v1"))], "once, with its tag");
        assert!(!entry(&one, b"1", Some("v1")).enter(&mut index), "nothing new");
        assert!(!entry(&one, b"1", None).enter(&mut index));
        assert!(entry(&one, b"1", Some("v1.0")).enter(&mut index));
        assert!(entry(&two, b"2", Some("v1")).enter(&mut index));
        assert_eq!(shown(&index).len(), 3);
        assert!(shown(&index).contains(&(two.to_string(), Some("v1"))));
        assert!(shown(&index).contains(&(one.to_string(), None)), "by digest still");
        assert_eq!(index["more"], 1, "what others wrote stays");
    }

    #[test]
    fn parts_of_an_index_are_not_listed_and_referrers_are() {
        let (part, referrer) = (Digest::of(b"part"), Digest::of(b"referrer"));
        let mut index = json!({"manifests": []});
        entry(&part, b"part", None).enter(&mut index);
        entry(&referrer, b"referrer", None).enter(&mut index);
        let parts = format!(
            r#"{{"manifests":[{{"mediaType":"m","digest":"{part}","size":4}},
                {{"mediaType":"m","digest":"{referrer}","size":8,"artifactType":"a"}}]}}"#
        );
        let whole = Digest::of(parts.as_bytes());
        let list = Entry {
            digest: &whole,
            media_type: factory_domain::mirror::OCI_INDEX,
            bytes: parts.as_bytes(),
            tag: Some("v1"),
        };
        list.enter(&mut index);
        assert_eq!(shown(&index), [(referrer.to_string(), None), (whole.to_string(), Some("v1"))]);
    }

    #[test]
    fn an_index_without_a_list_gets_one() {
        let mut index = json!({"schemaVersion": 2});
        assert!(entry(&Digest::of(b"1"), b"1", Some("t")).enter(&mut index));
        assert_eq!(shown(&index).len(), 1);
    }

    #[test]
    fn one_process_at_a_time_and_no_leftovers() {
        let directory = tempfile::tempdir().unwrap();
        let first = LayoutTarget::open(directory.path()).unwrap();
        assert!(LayoutTarget::open(directory.path()).is_err());
        drop(first);
        fs::write(directory.path().join(".mirror/7"), b"half").unwrap();
        let _again = LayoutTarget::open(directory.path()).unwrap();
        assert!(!directory.path().join(".mirror/7").exists());
    }
}
