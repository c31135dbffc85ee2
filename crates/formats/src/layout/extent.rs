//! One stretch of a layout.

use bytes::Bytes;

use super::run::Run;
use crate::Digest;

/// A stretch of a blob. `offset + len` never exceeds the blob's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRange {
    /// The blob.
    pub digest: Digest,
    /// First byte, counted from the blob's start.
    pub offset: u64,
    /// Length in bytes, at least 1.
    pub len: u64,
}

/// A stretch of bytes, described.
#[derive(Clone)]
pub enum Extent {
    /// So many zero bytes, at least 1.
    Zero(u64),
    /// These very bytes; never empty.
    Bytes(Bytes),
    /// Bytes of a blob.
    Blob(BlobRange),
    /// Bytes made by a rule, see [`Run`].
    Run(Run),
}

impl Extent {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Zero(len) => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blob(range) => range.len,
            Self::Run(run) => run.len(),
        }
    }

    /// Whether there is no byte; a layout holds no such extent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `len` bytes from `start` on; the caller keeps both inside.
    pub(super) fn slice(&self, start: u64, len: u64) -> Self {
        debug_assert!(start + len <= self.len());
        match self {
            Self::Zero(_) => Self::Zero(len),
            Self::Bytes(bytes) => Self::Bytes(bytes.slice(start as usize..(start + len) as usize)),
            Self::Blob(range) => {
                Self::Blob(BlobRange { digest: range.digest, offset: range.offset + start, len })
            }
            Self::Run(run) => Self::Run(run.slice(start, len)),
        }
    }
}

impl std::fmt::Debug for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Zero(len) => write!(f, "Zero({len:#x})"),
            Self::Bytes(bytes) => write!(f, "Bytes({:#x})", bytes.len()),
            Self::Blob(r) => {
                write!(f, "Blob({}+{:#x}, {:#x})", &r.digest.hex()[..12], r.offset, r.len)
            }
            Self::Run(run) => run.fmt(f),
        }
    }
}
