//! Blobs in memory, for tests of this crate and of those above it.

mod recipe;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

pub use recipe::{Ingredient, layout_of};

use crate::checksum::{BlobChecks, ChecksBuilder, ReadChecks};
use crate::{Digest, Layout, ReadBlob};

/// A set of blobs held in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    blobs: BTreeMap<Digest, MemoryBlob>,
}

/// A blob and, once somebody asked, its table of checks.
#[derive(Clone, Debug)]
struct MemoryBlob {
    bytes: Bytes,
    checks: OnceLock<Arc<BlobChecks>>,
}

impl MemoryBlobs {
    /// No blobs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `bytes` and says how they are called.
    pub fn add(&mut self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, MemoryBlob { bytes, checks: OnceLock::new() });
        digest
    }

    /// Keeps `bytes` and gives them back as a layout of one blob.
    pub fn layout(&mut self, bytes: impl Into<Bytes>) -> Layout {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Layout::from_blob(self.add(bytes), len)
    }

    /// A blob's bytes.
    pub fn get(&self, digest: &Digest) -> Option<&Bytes> {
        self.blobs.get(digest).map(|blob| &blob.bytes)
    }
}

impl ReadChecks for MemoryBlobs {
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        let blob = self.blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
        let checks = blob.checks.get_or_init(|| {
            let mut builder = ChecksBuilder::new();
            builder.update(&blob.bytes);
            Arc::new(builder.finish())
        });
        Ok(Arc::clone(checks))
    }
}

impl ReadBlob for MemoryBlobs {
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let blob = self.blobs.get(digest).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = start
            .checked_add(buf.len())
            .and_then(|end| blob.bytes.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

/// `len` bytes that look random and are the same for the same `seed`.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    // xorshift64*: enough to be incompressible, and no dependency.
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(len);
    out
}
