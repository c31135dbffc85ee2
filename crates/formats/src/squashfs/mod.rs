//! Squashfs 4.0 images: the layers that Talos puts over its root file system.
//!
//! [`write()`] makes an image of a [`crate::file_tree::FileTree`]: everything belongs to root, all times are
//! the release's source epoch, SELinux labels become `security.selinux` attributes. Equal trees give equal
//! bytes, however many threads compress. [`Reader`] lists and extracts files of existing images.

mod compress;
mod data;
mod inode;
mod metadata;
mod read;
mod superblock;
mod write;
mod xattr;

pub use read::{ImageFile, ReadError, Reader};
pub use write::{Options, WriteError, write};

use serde::{Deserialize, Serialize};

/// Bytes of a data block, the default of mksquashfs.
const BLOCK_SIZE: usize = 128 << 10;

/// How the blocks of an image are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compressor {
    /// Zstandard at level 18, which Talos uses from 1.8 on.
    Zstd,
    /// xz with a dictionary as big as a block, which Talos used before.
    Xz,
    /// zlib at level 9.
    Gzip,
}

#[cfg(test)]
mod tests;
