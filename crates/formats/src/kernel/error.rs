//! Why the release of a kernel stays unknown.

use std::io;

/// A kernel image that does not tell its release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// It cannot be read or unpacked.
    #[error("kernel image cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is neither an x86 nor an arm64 image.
    #[error("invalid kernel image")]
    Unknown,
    /// It is a kernel image without a release.
    #[error("no kernel version")]
    NoRelease,
    /// It unpacks itself from a format that is not known here.
    #[error("kernel image is compressed with {0:?}")]
    Compression(String),
}
