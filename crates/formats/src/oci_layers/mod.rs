//! Flattening the layers of a container image into one file system.
//!
//! Layers are read topmost first: what was seen once hides whatever lies below it, so contents that do
//! not survive are never written. There are two uses: [`pick_files`] streams a few files to their
//! destinations, [`flatten_tree`] unpacks everything into a [`crate::file_tree::FileTree`] and a spool.
//!
//! Layers are foreign input, even after their signature was checked: names are cleaned, and bytes, entries,
//! names and headers are limited. Nothing is ever created on a file system here.

mod entry;
mod error;
mod flatten;
mod pax;
mod pick;
mod shade;
mod stream;
mod tree;

pub use error::{EntryFault, LayersError};
pub use pick::{Picked, Picker, pick_files};
pub use tree::{Flattened, flatten_tree};

use std::io::{self, Read};

use crate::file_tree::TreePath;

/// The layers of one image as they were transported: tar archives, plain or compressed with gzip, zstd or
/// xz, whatever their media type says.
pub trait Layers {
    /// How many there are.
    fn count(&self) -> usize;

    /// The bytes of one from its start; number 0 is the bottom one. Most are opened once; a hard link
    /// whose target was hidden or is not yet known may need a second time.
    ///
    /// # Errors
    /// When the layer is not to be had.
    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>>;
}

/// What an image may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers after decompression.
    pub unpacked_bytes: u64,
    /// Entries of all layers, hidden ones and headers included.
    pub entries: u64,
    /// Bytes of names, link targets and labels that have to be remembered.
    pub metadata_bytes: u64,
    /// Components of a path.
    pub depth: usize,
    /// Bytes of a path or a link target.
    pub path_len: usize,
    /// Bytes of the extended headers of one entry.
    pub header_bytes: u64,
}

impl Default for Limits {
    /// Room for the largest published extension several times over.
    fn default() -> Self {
        Self {
            unpacked_bytes: 8 << 30,
            entries: 500_000,
            metadata_bytes: 64 << 20,
            depth: 64,
            path_len: 4096,
            header_bytes: 1 << 20,
        }
    }
}

/// Something in an image that was left out without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A link whose target leaves the file system, or names nothing.
    LinkDropped {
        /// The link.
        path: TreePath,
        /// Its target as written.
        target: String,
    },
    /// Extended attributes other than the SELinux label.
    AttributesDropped {
        /// Whose.
        path: TreePath,
        /// Their names.
        names: Vec<String>,
    },
}

#[cfg(test)]
mod tests;
