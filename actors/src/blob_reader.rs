//! A blob as a stream that can be repositioned.

use std::io::{self, Read, Seek, SeekFrom};

use factory_domain::ports::BlobStore;
use factory_formats::Digest;

/// Reads a blob of the store from its start. Somebody holds the blob meanwhile.
pub(crate) struct BlobReader<'a> {
    store: &'a dyn BlobStore,
    digest: Digest,
    size: u64,
    at: u64,
}

impl<'a> BlobReader<'a> {
    /// A reader of the blob `digest`, which has `size` bytes.
    pub fn new(store: &'a dyn BlobStore, digest: Digest, size: u64) -> Self {
        Self { store, digest, size, at: 0 }
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.size.saturating_sub(self.at).min(buf.len() as u64) as usize;
        self.store.read_exact_at(&self.digest, self.at, &mut buf[..len])?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for BlobReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
