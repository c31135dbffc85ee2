//! Looking into a base initramfs.

use std::io::{self, BufRead, Read, Write};

use crate::cpio;
use crate::decompress::{self, Compression, MAGIC_LEN};
use crate::{Layout, ReadBlob};

/// A base initramfs that cannot be worked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// It cannot be read or decompressed.
    #[error("the base initramfs cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is compressed in a way that Talos does not use.
    #[error("the base initramfs begins with {0}, which is neither a zstd frame nor an xz stream")]
    Compression(String),
    /// It holds something else than a cpio archive.
    #[error("the base initramfs is damaged: {0}")]
    Archive(#[from] cpio::ReadError),
    /// It does not hold a file.
    #[error("the base initramfs holds no {0}")]
    Missing(String),
    /// A file is bigger than accepted.
    #[error("{name} of the base initramfs has {size} bytes, {limit} are accepted")]
    TooBig {
        /// The file.
        name: String,
        /// Its length in bytes.
        size: u64,
        /// Bytes that were asked for at most.
        limit: u64,
    },
    /// The place that it is copied to failed.
    #[error("a file of the base initramfs cannot be stored: {0}")]
    Write(#[source] io::Error),
}

/// How a base initramfs is compressed, by its first bytes: the added part must be compressed the same
/// way, as tools read both as one stream.
///
/// # Errors
/// [`BaseError::Compression`] when it is neither zstd nor xz.
pub fn base_compression(base: &Layout, blobs: &dyn ReadBlob) -> Result<Compression, BaseError> {
    let mut head = vec![0; base.len().min(MAGIC_LEN as u64) as usize];
    base.read_exact_at(blobs, 0, &mut head).map_err(BaseError::Read)?;
    accepted(&head)
}

fn accepted(head: &[u8]) -> Result<Compression, BaseError> {
    match Compression::sniff(head) {
        compression @ (Compression::Zstd | Compression::Xz) => Ok(compression),
        _ => Err(BaseError::Compression(hex::encode(head))),
    }
}

/// Copies a regular file out of a base initramfs, whose bytes are `base`, and gives its length.
///
/// # Errors
/// [`BaseError`] when it is no initramfs, does not hold the file, or the file has more than `limit` bytes.
pub fn copy_file(base: impl BufRead, name: &str, limit: u64, out: &mut dyn Write) -> Result<u64, BaseError> {
    let decoder = decompress::sniffing_decoder(base).map_err(BaseError::Read)?;
    let mut archive = cpio::Reader::new(io::BufReader::new(decoder));
    loop {
        while let Some(mut entry) = archive.next_entry()? {
            if entry.name != name || !entry.is_file() {
                continue;
            }
            if entry.size > limit {
                return Err(BaseError::TooBig { name: name.to_owned(), size: entry.size, limit });
            }
            return copy(&mut entry, out);
        }
        if !archive.next_archive()? {
            return Err(BaseError::Missing(name.to_owned()));
        }
    }
}

fn copy(from: &mut impl Read, to: &mut dyn Write) -> Result<u64, BaseError> {
    let mut buf = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        match from.read(&mut buf) {
            Ok(0) => return Ok(copied),
            Ok(n) => {
                to.write_all(&buf[..n]).map_err(BaseError::Write)?;
                copied += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(BaseError::Read(e)),
        }
    }
}
