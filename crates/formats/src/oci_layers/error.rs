//! What can be wrong with the layers of an image.

use std::io;

use crate::file_tree::{InvalidPath, TreePath};

/// Layers that cannot be flattened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayersError {
    /// A layer cannot be opened, read or decompressed, or is no tar archive.
    #[error("image layer {layer} cannot be read: {source}")]
    Read {
        /// Number of the layer; the bottom one is 0.
        layer: usize,
        /// What went wrong.
        source: io::Error,
    },
    /// An entry that must not be in an image.
    #[error("image layer {layer}: entry {name:?} {fault}")]
    Entry {
        /// Number of the layer; the bottom one is 0.
        layer: usize,
        /// Name of the entry as far as it is known, shortened.
        name: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// More bytes than [`super::Limits::unpacked_bytes`].
    #[error("the image unpacks to more than {0} bytes")]
    TooManyBytes(u64),
    /// More entries than [`super::Limits::entries`].
    #[error("the image has more than {0} entries")]
    TooManyEntries(u64),
    /// More names, link targets and labels than [`super::Limits::metadata_bytes`].
    #[error("names and links of the image take more than {0} bytes")]
    TooMuchMetadata(u64),
    /// A hard link to nothing.
    #[error("hard link {link} of the image leads to {target}, which is no file of it")]
    DeadLink {
        /// The link.
        link: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// The spool failed; the image is not at fault.
    #[error("unpacked contents cannot be spooled: {0}")]
    Spool(#[source] io::Error),
    /// The destination of a picked file failed; the image is not at fault.
    #[error("content of {path} cannot be written: {source}")]
    Write {
        /// The file.
        path: TreePath,
        /// What went wrong.
        source: io::Error,
    },
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// Its name is no path of a tree.
    #[error("{0}")]
    Path(#[from] InvalidPath),
    /// Its name, link target or label is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Its name or link target is longer than [`super::Limits::path_len`].
    #[error("has too long a name or link target")]
    TooLong,
    /// It lies deeper than [`super::Limits::depth`].
    #[error("lies too deep")]
    TooDeep,
    /// Its extended headers are bigger than [`super::Limits::header_bytes`].
    #[error("has too big an extended header")]
    HeaderTooBig,
    /// Its extended header does not parse.
    #[error("has a malformed extended header")]
    BadHeader,
    /// Header and extended header give different sizes.
    #[error("has two sizes")]
    TwoSizes,
    /// It is a device, a fifo or of an unknown type.
    #[error("is a {0}, which images may not hold")]
    Special(&'static str),
    /// A directory above it is a symbolic link or a file of the same layer.
    #[error("lies below something that is no directory")]
    BelowNonDirectory,
    /// The layer ends inside of it.
    #[error("is cut short")]
    Truncated,
}
