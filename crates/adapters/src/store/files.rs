//! The store's directory: where things lie, and how they get there so that no interruption shows.
//!
//! ```text
//! lock                      held as long as the store is open
//! index.redb                see `index`
//! blobs/sha256/ab/<hex>     finished blobs, read-only
//! tmp/<number>              blobs being written; worthless after a restart
//! partial/<hex>             blobs being written that can be gone on with
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use factory_domain::ports::{Amount, StoreError};
use factory_formats::Digest;

/// Access rights of a finished blob: nobody writes to it again.
const BLOB_MODE: u32 = 0o444;

/// Access rights of everything that is still written to.
const WORK_MODE: u32 = 0o600;

/// Access rights of directories: blobs hold the machine configurations that users embed.
const DIRECTORY_MODE: u32 = 0o700;

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("another process uses it")]
    InUse,
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// The directory of one open store.
pub(crate) struct Directory {
    root: PathBuf,
    next_temporary: AtomicU64,
    _lock: File,
}

impl Directory {
    /// Takes the directory into use and makes what is missing.
    pub fn open(root: &Path) -> Result<Self, DirectoryError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| DirectoryError::Io { path, source }
        };
        make_directory(root).map_err(at(root))?;
        let lock_path = root.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(WORK_MODE)
            .open(&lock_path)
            .map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DirectoryError::InUse),
            Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        let directory = Self { root: root.to_owned(), next_temporary: AtomicU64::new(0), _lock: lock };
        for path in [directory.temporaries(), directory.partials(), directory.blobs()] {
            make_directory(&path).map_err(at(&path))?;
        }
        for shard in 0..=u8::MAX {
            let path = directory.blobs().join(hex_byte(shard));
            make_directory(&path).map_err(at(&path))?;
        }
        for path in [directory.blobs(), directory.root.clone()] {
            sync_directory(&path).map_err(at(&path))?;
        }
        Ok(directory)
    }

    /// Files that were being written when an earlier process ended. Nothing writes yet.
    pub fn temporary_files(&self) -> io::Result<Amount> {
        let mut found = Amount::default();
        for entry in fs::read_dir(self.temporaries())? {
            found.items += 1;
            found.bytes += entry?.metadata()?.len();
        }
        Ok(found)
    }

    /// Removes them.
    pub fn remove_temporary_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.temporaries())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    pub fn index_path(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let [first, ..] = digest.as_bytes();
        self.blobs().join(hex_byte(*first)).join(digest.hex())
    }

    pub fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.partials().join(digest.hex())
    }

    /// A new file that nothing else knows about.
    pub fn create_temporary(&self) -> io::Result<(PathBuf, File)> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let path = self.temporaries().join(number.to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(WORK_MODE).open(&path)?;
        Ok((path, file))
    }

    /// The partial file of a blob, made when there is none. Its contents are whatever they are.
    pub fn open_partial(&self, digest: &Digest) -> io::Result<(PathBuf, File)> {
        let path = self.partial_path(digest);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(WORK_MODE);
        let file = options.open(&path)?;
        Ok((path, file))
    }

    /// Gives a finished and synced file its name as a blob, durably.
    pub fn publish(&self, from: &Path, file: &File, digest: &Digest) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(BLOB_MODE))?;
        let to = self.blob_path(digest);
        fs::rename(from, &to)?;
        match to.parent() {
            Some(parent) => sync_directory(parent),
            None => Ok(()),
        }
    }

    /// Removes a blob's file. None is no error.
    pub fn remove_blob(&self, digest: &Digest) -> io::Result<()> {
        remove_if_there(&self.blob_path(digest))
    }

    /// Calls `visit` with each finished blob's digest and length.
    pub fn each_blob(&self, mut visit: impl FnMut(Digest, u64)) -> io::Result<()> {
        for shard in 0..=u8::MAX {
            each_named_by_digest(&self.blobs().join(hex_byte(shard)), |digest, metadata| {
                visit(digest, metadata.len());
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with each partial blob's digest and what is known about its file.
    pub fn each_partial(&self, visit: impl FnMut(Digest, fs::Metadata)) -> io::Result<()> {
        each_named_by_digest(&self.partials(), visit)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn temporaries(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn partials(&self) -> PathBuf {
        self.root.join("partial")
    }
}

/// A failure of the store where the formats want one of reading. The store's own error is inside.
pub(crate) fn as_io(error: StoreError) -> io::Error {
    let kind = match &error {
        StoreError::Missing(_) => io::ErrorKind::NotFound,
        StoreError::Damaged { .. } => io::ErrorKind::InvalidData,
        StoreError::Full { .. } => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The error for failed input or output while doing `what`.
pub(crate) fn storage_failed(what: &str, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { reason: format!("{what}: {error}") }
        }
        _ => StoreError::Failed { what: what.to_owned(), reason: error.to_string() },
    }
}

/// Removes a file. None is no error.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn each_named_by_digest(path: &Path, mut visit: impl FnMut(Digest, fs::Metadata)) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // Files with other names are not ours: they stay.
        if let Some(digest) = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok()) {
            visit(digest, entry.metadata()?);
        }
    }
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn hex_byte(byte: u8) -> String {
    format!("{byte:02x}")
}
