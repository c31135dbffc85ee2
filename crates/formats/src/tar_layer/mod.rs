//! Tar archives as layouts: headers inline, contents referenced. Layers of container images are such
//! archives, and so is the archive that `docker load` reads (52-installer-images.md, 2.3 and 3).
//!
//! Nothing in an archive depends on a clock or on who runs the factory: owner and group are 0 and have no
//! names, times are 0. Entries are written as POSIX ustar; what does not fit is told in a PAX header.

mod header;

use crate::file_tree::{FileTree, NodeKind};
use crate::layout::{Layout, LayoutBuilder};

/// Bytes of a header, and what contents are padded to.
pub const BLOCK: u64 = 512;

/// Bytes of zeros at the end of an archive: two blocks.
const TRAILER: u64 = 2 * BLOCK;

/// Access rights of a file that nobody described.
pub const FILE_MODE: u16 = 0o644;

/// What is at a path of an archive.
#[derive(Clone, Debug)]
pub enum TarKind {
    /// A regular file and its bytes.
    File(Layout),
    /// A directory. Readers make those above an entry by themselves, so few archives need one.
    Directory,
    /// A symbolic link and its target.
    Symlink(String),
}

/// One entry of an archive.
#[derive(Clone, Debug)]
pub struct TarEntry {
    /// Relative path without `.` and `..`.
    pub path: String,
    /// The low twelve bits of the mode.
    pub mode: u16,
    /// What it is.
    pub kind: TarKind,
}

/// An entry that no archive can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// Not a relative path, or one with a NUL.
    #[error("{0:?} cannot be a path in a tar archive")]
    Path(String),
    /// A link without a target, or with a NUL in it.
    #[error("the link {path:?} cannot have the target {target:?}")]
    Target {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
}

impl TarEntry {
    /// A regular file that everybody may read.
    pub fn file(path: impl Into<String>, content: Layout) -> Self {
        Self { path: path.into(), mode: FILE_MODE, kind: TarKind::File(content) }
    }
}

/// The nodes of a tree as entries below `prefix`, in the tree's order. The directory `prefix` itself is
/// none of them.
pub fn entries_of(prefix: &str, tree: &FileTree<Layout>) -> Vec<TarEntry> {
    let entries = tree.iter().map(|(path, node)| TarEntry {
        path: format!("{prefix}/{}", path.as_str()),
        mode: node.attributes.mode,
        kind: match &node.kind {
            NodeKind::Directory => TarKind::Directory,
            NodeKind::File(content) => TarKind::File(content.clone()),
            NodeKind::Symlink(target) => TarKind::Symlink(target.clone()),
        },
    });
    entries.collect()
}

/// The archive of these entries, in the order given.
///
/// # Errors
/// [`TarError`] for names that cannot be written, or would lead out of where the archive is unpacked.
pub fn archive(entries: &[TarEntry]) -> Result<Layout, TarError> {
    let mut builder = LayoutBuilder::new();
    for entry in entries {
        header::write(&mut builder, entry)?;
        if let TarKind::File(content) = &entry.kind {
            builder.append(content).align(BLOCK);
        }
    }
    builder.zero(TRAILER);
    Ok(builder.build())
}

#[cfg(test)]
mod tests;
