//! Files of a directory of layouts, and nothing outside of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use factory_domain::ports::Repository;
use factory_formats::Digest;

/// Longest `index.json`: some thirty thousand entries.
const MAX_INDEX_BYTES: usize = 16 << 20;

/// The directory that holds the layouts.
pub(super) struct LayoutRoot {
    /// Without symbolic links, so that other paths can be compared with it.
    root: PathBuf,
}

impl LayoutRoot {
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root })
    }

    /// The bytes of a repository's `index.json`.
    pub fn read_index(&self, repository: &Repository) -> io::Result<Vec<u8>> {
        let (file, len) = self.open_inside(&self.layout(repository).join("index.json"))?;
        read_all(file, len, MAX_INDEX_BYTES)
    }

    /// The bytes of a short blob.
    pub fn read_blob(&self, repository: &Repository, digest: &Digest, limit: usize) -> io::Result<Vec<u8>> {
        let (file, len) = self.open_blob(repository, digest)?;
        read_all(file, len, limit)
    }

    /// A blob's file and its length.
    pub fn open_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<(File, u64)> {
        self.open_inside(&self.layout(repository).join("blobs/sha256").join(digest.hex()))
    }

    /// Parts of a repository's path start with a letter or digit, so that it cannot lead upwards.
    fn layout(&self, repository: &Repository) -> PathBuf {
        self.root.join(repository.as_str())
    }

    /// Opens a regular file. A link that leads out of the root is refused: who made the directory may
    /// not be who may read the rest of the disk. So is a pipe or device, which could wait for ever.
    fn open_inside(&self, path: &Path) -> io::Result<(File, u64)> {
        let real = path.canonicalize()?;
        let metadata = real.metadata()?;
        if !real.starts_with(&self.root) {
            let reason = format!("{} leads out of the directory", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if !metadata.is_file() {
            let reason = format!("{} is no regular file", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok((File::open(real)?, metadata.len()))
    }
}

fn read_all(file: File, len: u64, limit: usize) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {limit} bytes"));
    let len = usize::try_from(len).ok().filter(|&len| len <= limit).ok_or_else(too_long)?;
    let mut bytes = Vec::with_capacity(len);
    // It may have grown since its length was asked for.
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(too_long()) } else { Ok(bytes) }
}
