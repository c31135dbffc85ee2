//! Records of inodes and of directories.

use super::BLOCK_SIZE;
use super::data::FileData;
use super::metadata::Position;
use super::xattr;

/// Most entries behind one header of a directory.
const RUN_ENTRIES: usize = 256;
/// Bytes that a directory's size counts for `.` and `..`.
const DOTS: u32 = 3;
/// Index of a file's fragment when it has none.
const NO_FRAGMENT: u32 = u32::MAX;

/// What the records of all inodes share.
pub(super) struct Common {
    pub(super) mode: u16,
    pub(super) time: u32,
    pub(super) number: u32,
    /// Number of its attributes, or [`xattr::NONE`].
    pub(super) xattr: u32,
}

/// Type of an inode in directories; records with more fields have a type 7 higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InodeType {
    Directory = 1,
    File = 2,
    Symlink = 3,
}

const EXTENDED: u16 = 7;

impl Common {
    fn header(&self, inode_type: InodeType, extended: bool) -> Vec<u8> {
        let inode_type = inode_type as u16 + if extended { EXTENDED } else { 0 };
        let mut out = Vec::with_capacity(64);
        // Owner and group are the first entry of the table of ids.
        for half in [inode_type, self.mode, 0, 0] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        words(&mut out, &[self.time, self.number]);
        out
    }

    fn is_extended(&self) -> bool {
        self.xattr != xattr::NONE
    }

    /// The record of a regular file.
    pub(super) fn file(&self, data: &FileData) -> Vec<u8> {
        let (fragment, offset) = data.fragment.unwrap_or((NO_FRAGMENT, 0));
        let start = data.start.unwrap_or(0);
        let small = u32::try_from(start).ok().zip(u32::try_from(data.size).ok());
        let mut out;
        match small.filter(|_| !self.is_extended() && data.sparse == 0) {
            Some((start, size)) => {
                out = self.header(InodeType::File, false);
                words(&mut out, &[start, fragment, offset, size]);
            }
            None => {
                out = self.header(InodeType::File, true);
                for long in [start, data.size, data.sparse] {
                    out.extend_from_slice(&long.to_le_bytes());
                }
                words(&mut out, &[1, fragment, offset, self.xattr]);
            }
        }
        words(&mut out, &data.blocks);
        out
    }

    /// The record of a symbolic link.
    pub(super) fn symlink(&self, target: &str) -> Vec<u8> {
        let mut out = self.header(InodeType::Symlink, self.is_extended());
        words(&mut out, &[1, target.len() as u32]);
        out.extend_from_slice(target.as_bytes());
        if self.is_extended() {
            words(&mut out, &[self.xattr]);
        }
        out
    }

    /// The record of a directory.
    pub(super) fn directory(&self, listing: &Listing) -> Vec<u8> {
        let size = listing.len + DOTS;
        let Position { block, offset } = listing.position;
        match u16::try_from(size).ok().filter(|_| !self.is_extended()) {
            Some(size) => {
                let mut out = self.header(InodeType::Directory, false);
                words(&mut out, &[block, listing.links]);
                out.extend_from_slice(&size.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                words(&mut out, &[listing.parent]);
                out
            }
            None => {
                let mut out = self.header(InodeType::Directory, true);
                words(&mut out, &[listing.links, size, block, listing.parent]);
                // No index: a linear search is what small directories get anyway.
                out.extend_from_slice(&0u16.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                words(&mut out, &[self.xattr]);
                out
            }
        }
    }
}

/// Where the entries of a directory are.
pub(super) struct Listing {
    pub(super) position: Position,
    /// Bytes of the entries.
    pub(super) len: u32,
    /// Itself, its entry above, and one for each directory in it.
    pub(super) links: u32,
    /// Number of the directory above.
    pub(super) parent: u32,
}

/// An entry of a directory.
pub(super) struct DirectoryEntry {
    pub(super) name: String,
    pub(super) inode_type: InodeType,
    pub(super) number: u32,
    pub(super) position: Position,
}

/// The entries of a directory, which come sorted by name.
pub(super) fn listing(entries: &[DirectoryEntry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let fits = |entry: &DirectoryEntry| {
            entry.position.block == first.position.block && delta(entry, first).is_some()
        };
        let run = rest.iter().take(RUN_ENTRIES).take_while(|entry| fits(entry)).count();
        let (now, later) = rest.split_at(run.max(1));
        words(&mut out, &[now.len() as u32 - 1, first.position.block, first.number]);
        for entry in now {
            out.extend_from_slice(&entry.position.offset.to_le_bytes());
            out.extend_from_slice(&delta(entry, first).unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&(entry.inode_type as u16).to_le_bytes());
            out.extend_from_slice(&(entry.name.len() as u16 - 1).to_le_bytes());
            out.extend_from_slice(entry.name.as_bytes());
        }
        rest = later;
    }
    out
}

fn delta(entry: &DirectoryEntry, first: &DirectoryEntry) -> Option<i16> {
    i16::try_from(i64::from(entry.number) - i64::from(first.number)).ok()
}

/// Number of whole blocks of a file and length of its tail.
pub(super) fn blocks_of(size: u64) -> (u64, usize) {
    (size / BLOCK_SIZE as u64, (size % BLOCK_SIZE as u64) as usize)
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
