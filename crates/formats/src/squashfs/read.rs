//! Listing and extracting files of an image: a small front to the crate `backhand`.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use backhand::{FilesystemReader, InnerNode, Node, SquashfsFileReader};

use super::superblock;
use crate::file_tree::TreePath;

/// Most inodes that an image may have; a base image has a few thousand.
const MAX_INODES: u32 = 1_000_000;
/// Most bytes that its tables may take, compressed.
const MAX_METADATA: u64 = 64 << 20;
/// Offsets of what is looked at before anything is read: number of inodes, used bytes, inode table.
const INODES_AT: usize = 4;
const BYTES_USED_AT: usize = 40;
const INODE_TABLE_AT: usize = 64;

/// An image that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is no squashfs image, is damaged, or its bytes are not to be had.
    #[error("squashfs image cannot be read: {0}")]
    Image(String),
    /// It holds more than is accepted.
    #[error("squashfs image has {inodes} inodes and {metadata} bytes of tables, which is too much")]
    TooBig {
        /// Number of inodes.
        inodes: u32,
        /// Compressed bytes of its tables.
        metadata: u64,
    },
    /// A file in it cannot be read.
    #[error("{path} in the squashfs image cannot be read: {source}")]
    File {
        /// The file.
        path: TreePath,
        /// What went wrong.
        source: io::Error,
    },
}

/// An open image. Its list of files is in memory, contents are read when asked for.
pub struct Reader<'r> {
    image: FilesystemReader<'r>,
}

/// A regular file of an image.
pub struct ImageFile<'a> {
    /// Its path.
    pub path: TreePath,
    /// The low twelve bits of its mode.
    pub mode: u16,
    /// Length in bytes.
    pub size: u64,
    content: &'a SquashfsFileReader,
}

impl<'r> Reader<'r> {
    /// Opens an image that begins at the reader's start.
    ///
    /// # Errors
    /// [`ReadError`] when it is no image, is damaged or too big.
    pub fn open(mut image: impl BufRead + Seek + Send + 'r) -> Result<Self, ReadError> {
        check(&mut image)?;
        let image = FilesystemReader::from_reader(image).map_err(|e| ReadError::Image(e.to_string()))?;
        Ok(Self { image })
    }

    /// Regular files below a directory, in no particular order.
    ///
    /// # Errors
    /// [`ReadError::Image`] when a name is not UTF-8.
    pub fn files_below(&self, directory: &TreePath) -> Result<Vec<ImageFile<'_>>, ReadError> {
        let mut files = Vec::new();
        for node in self.image.files() {
            let InnerNode::File(content) = &node.inner else { continue };
            let Some(path) = path_of(node)?.filter(|path| path.below(directory).is_some()) else { continue };
            let mode = node.header.permissions & 0o7777;
            files.push(ImageFile { path, mode, size: content.file_len() as u64, content });
        }
        Ok(files)
    }

    /// Names of the directories in a directory, sorted; none when there is no such directory.
    ///
    /// # Errors
    /// [`ReadError::Image`] when a name is not UTF-8.
    pub fn directories_in(&self, directory: &TreePath) -> Result<Vec<String>, ReadError> {
        let mut names = Vec::new();
        for node in self.image.files() {
            if matches!(node.inner, InnerNode::Dir(_))
                && let Some(path) = path_of(node)?
                && path.parent().as_ref() == Some(directory)
            {
                names.push(path.name().to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ReadError::File`] when it is longer or cannot be read.
    pub fn read(&self, file: &ImageFile<'_>, limit: u64) -> Result<Vec<u8>, ReadError> {
        let failed = |source| ReadError::File { path: file.path.clone(), source };
        if file.size > limit {
            let text = format!("it has {} bytes where at most {limit} are accepted", file.size);
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let reader = self.image.file(file.content).reader_checked();
        let reader = reader.map_err(|e| failed(io::Error::new(io::ErrorKind::InvalidData, e.to_string())))?;
        let mut bytes = Vec::new();
        reader.take(file.size.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != file.size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }
}

/// Refuses images that would take too much memory before their tables are read.
fn check(image: &mut (impl Read + Seek)) -> Result<(), ReadError> {
    let failed = |e: io::Error| ReadError::Image(e.to_string());
    let mut head = [0; superblock::LEN as usize];
    image.read_exact(&mut head).map_err(failed)?;
    image.seek(SeekFrom::Start(0)).map_err(failed)?;
    let long = |at: usize| head.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let inodes = head.get(INODES_AT..INODES_AT + 4).and_then(|b| b.try_into().ok());
    let inodes = inodes.map_or(0, u32::from_le_bytes);
    let metadata = long(BYTES_USED_AT).saturating_sub(long(INODE_TABLE_AT));
    if inodes > MAX_INODES || metadata > MAX_METADATA {
        return Err(ReadError::TooBig { inodes, metadata });
    }
    Ok(())
}

/// Path of a node; `None` for the root.
fn path_of<T>(node: &Node<T>) -> Result<Option<TreePath>, ReadError> {
    let invalid = || ReadError::Image(format!("{:?} is no name", node.fullpath));
    let text = node.fullpath.to_str().ok_or_else(invalid)?;
    TreePath::clean(text.trim_start_matches('/')).map_err(|_| invalid())
}
