//! The cpio archives that an initramfs is made of: the "new ASCII" format without checksums (newc).

mod read;
mod write;

pub use read::{Entry, ReadError, Reader};
pub use write::{Builder, WriteError};

/// Bytes in front of the name of every record.
const HEADER_LEN: usize = 110;
/// What every record begins with.
const MAGIC: &[u8; 6] = b"070701";
/// Name of the record that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// Names and contents begin and end at multiples of this.
const ALIGN: u64 = 4;

/// Type bits of a mode.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;

#[cfg(test)]
mod tests;
