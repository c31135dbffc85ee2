//! Encoders: `.xz`, `.zst` and `.gz` files as layouts over the layout that they pack.
//!
//! An encoder never runs a compressor over a file. Zeros become precomputed runs; inline bytes and blobs
//! that are compressed already are *stored* in the codec's own way, their bytes still references; a blob
//! that a compressor would make smaller is compressed once, ahead, into a *part* (see [`compress_blob`])
//! that is spliced in. So the encoded file is a [`Layout`] again: its size is arithmetic, any range of it
//! can be read, and planning it reads no payload.
//!
//! 1. [`compressible_blobs`] names the blobs that should be compressed first.
//! 2. [`compress_blob`] makes a part of each, with any two runs giving the same bytes.
//! 3. [`encode`] plans the file.

mod compress;
mod gzip;
mod probe;
mod segments;
mod xz;
mod zeros;
mod zstd;

use std::io;

use serde::{Deserialize, Serialize};

pub use compress::{CompressError, CompressedBlob, CompressedBlobs, InvalidPart, XzBlock, compress_blob};
pub use probe::compression_pays;
pub use segments::{COMPRESS_FROM, compressible_blobs};
pub use xz::XzCheck;
pub use zstd::zstd_stored;

use crate::checksum::ReadChecks;
use crate::{Digest, Layout};

/// A compressed file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// `.xz`: one stream of independent blocks, with an index.
    Xz,
    /// `.zst`: one frame; several only where compressed parts are spliced in.
    Zstd,
    /// `.gz`: one member.
    Gzip,
}

impl Codec {
    /// What the codec is called in keys and messages, and as JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What can be chosen about an encoded file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Name of the packed file inside a gzip header; none when absent. Other codecs have no place for it.
    pub file_name: Option<String>,
    /// The check of `.xz` blocks.
    pub xz_check: XzCheck,
}

/// What kept an encoder from planning a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A blob or its table of checks could not be read.
    #[error("cannot plan the {codec} file: {source}")]
    Read {
        /// The codec asked for.
        codec: Codec,
        /// The cause.
        source: io::Error,
    },
    /// A gzip header holds Latin-1 characters other than NUL only.
    #[error("{0:?} cannot be the name in a gzip header: use Latin-1 characters without NUL")]
    FileName(String),
    /// The description of a compressed blob contradicts itself: build the part anew.
    #[error("the {codec} part of blob {blob} cannot be used: {reason}")]
    Part {
        /// The codec asked for.
        codec: Codec,
        /// The blob that was compressed.
        blob: Digest,
        /// What is wrong.
        reason: InvalidPart,
    },
}

/// Packs a layout.
///
/// `parts` holds the blobs that were compressed ahead with the same codec; those of other codecs, and
/// blobs that became no smaller, are stored. An `.xz` file with [`XzCheck::Crc32`] uses no parts, since
/// their blocks carry the other check.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(
    layout: &Layout,
    codec: Codec,
    options: &EncodeOptions,
    parts: &CompressedBlobs,
    blobs: &dyn ReadChecks,
) -> Result<Layout, EncodeError> {
    let none = CompressedBlobs::new();
    let parts = if codec == Codec::Xz && options.xz_check == XzCheck::Crc32 { &none } else { parts };
    for (blob, part) in parts.iter().filter(|(_, part)| part.codec == codec) {
        part.check().map_err(|reason| EncodeError::Part { codec, blob: *blob, reason })?;
    }
    let segments = segments::cut(layout, codec, parts);
    let read = |source| EncodeError::Read { codec, source };
    match codec {
        Codec::Xz => xz::encode(layout, &segments, options.xz_check, blobs).map_err(read),
        Codec::Zstd => Ok(zstd::encode(layout, &segments)),
        Codec::Gzip => {
            let header = gzip::header(options.file_name.as_deref())?;
            gzip::encode(layout, &segments, header, blobs).map_err(read)
        }
    }
}

#[cfg(test)]
mod tests;
