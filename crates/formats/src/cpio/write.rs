//! Archives as layouts: headers inline, contents as they come.

use super::{ALIGN, HEADER_LEN, MAGIC, TRAILER, TYPE_DIRECTORY, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK};
use crate::file_tree::TreePath;
use crate::{Layout, LayoutBuilder};

/// Time of every entry: the release's source epoch, 2019-06-01T21:34:52Z.
const MTIME: u32 = 1_559_424_892;

/// Archives are filled up with zeros to a multiple of this, as cpio does.
const BLOCK: u64 = 512;

/// Something that newc cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A content of 4 GiB or more.
    #[error("{path} has {size} bytes; a cpio archive takes files below 4 GiB")]
    TooBig {
        /// The file.
        path: TreePath,
        /// Its length in bytes.
        size: u64,
    },
}

/// Appends entries in the order they are given; the caller sees to it that parents come first.
pub struct Builder {
    out: LayoutBuilder,
    ino: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An archive without entries.
    pub fn new() -> Self {
        Self { out: LayoutBuilder::new(), ino: 0 }
    }

    /// Appends a directory with these permission bits.
    pub fn directory(&mut self, path: &TreePath, mode: u16) {
        self.record(path.as_str(), TYPE_DIRECTORY | u32::from(mode), 2, 0);
    }

    /// Appends a regular file with these permission bits.
    ///
    /// # Errors
    /// [`WriteError::TooBig`] from 4 GiB on.
    pub fn file(&mut self, path: &TreePath, mode: u16, content: &Layout) -> Result<(), WriteError> {
        let size = u32::try_from(content.len())
            .map_err(|_| WriteError::TooBig { path: path.clone(), size: content.len() })?;
        self.record(path.as_str(), TYPE_FILE | u32::from(mode), 1, size);
        self.out.append(content).align(ALIGN);
        Ok(())
    }

    /// Appends a symbolic link.
    ///
    /// # Errors
    /// [`WriteError::TooBig`] for a target of 4 GiB or more.
    pub fn symlink(&mut self, path: &TreePath, target: &str) -> Result<(), WriteError> {
        let size = u32::try_from(target.len())
            .map_err(|_| WriteError::TooBig { path: path.clone(), size: target.len() as u64 })?;
        self.record(path.as_str(), TYPE_SYMLINK | 0o777, 1, size);
        self.out.slice(target.as_bytes()).align(ALIGN);
        Ok(())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Layout {
        self.header(TRAILER, [0, 0, 0, 0, 1, 0, 0]);
        self.out.align(BLOCK);
        self.out.build()
    }

    fn record(&mut self, name: &str, mode: u32, nlink: u32, size: u32) {
        let permissions = mode & (TYPE_MASK | 0o7777);
        self.header(name, [self.ino, permissions, 0, 0, nlink, MTIME, size]);
        self.ino += 1;
    }

    /// `fields` are inode, mode, owner, group, links, time and size; devices and checksum are 0.
    fn header(&mut self, name: &str, fields: [u32; 7]) {
        let mut bytes = Vec::with_capacity(HEADER_LEN + name.len() + 4);
        bytes.extend_from_slice(MAGIC);
        let name_len = name.len() as u32 + 1;
        for field in fields.into_iter().chain([0, 0, 0, 0, name_len, 0]) {
            bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(ALIGN as usize), 0);
        self.out.slice(&bytes);
    }
}
