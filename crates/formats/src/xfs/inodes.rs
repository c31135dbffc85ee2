//! Inodes, directories inside them, extents.

use super::format::{INODE, NULL, seal};
use crate::gpt::Guid;
use crate::record::Record;

/// Bytes of an inode's data fork.
const FORK: usize = INODE - FORK_AT;
const FORK_AT: usize = 176;
/// Extents of 16 bytes in a fork.
pub(super) const MAX_EXTENTS: usize = FORK / 16;

/// How an inode's data fork is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Local = 1,
    Extents = 2,
}

/// An inode in use.
pub(super) struct Inode<'a> {
    pub number: u64,
    /// Type and permissions.
    pub mode: u16,
    pub format: Format,
    pub links: u32,
    pub size: u64,
    pub blocks: u64,
    pub extents: u32,
    /// Flags of the old kind: 4 marks the realtime bitmap.
    pub flags: u16,
    pub fork: &'a [u8],
}

/// A run of blocks of a file.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub file_block: u64,
    pub block: u64,
    pub len: u64,
}

impl Extent {
    pub fn to_bytes(self) -> [u8; 16] {
        let bits = u128::from(self.file_block) << 73 | u128::from(self.block) << 21 | u128::from(self.len);
        bits.to_be_bytes()
    }
}

/// Seconds as a "big" time stamp: nanoseconds since 1901.
fn big_time(epoch: u64) -> u64 {
    epoch.saturating_add(1 << 31).saturating_mul(1_000_000_000)
}

impl Inode<'_> {
    pub fn to_bytes(&self, uuid: Guid, epoch: u64) -> Vec<u8> {
        const BIG_TIME: u64 = 8;
        let time = big_time(epoch);
        let mut core = common(self.number, uuid);
        core.be16(2, self.mode).u8(5, self.format as u8).be32(16, self.links);
        core.be64(32, time).be64(40, time).be64(48, time).be64(144, time);
        core.be64(56, self.size).be64(64, self.blocks).be32(76, self.extents).u8(83, 2);
        core.be16(90, self.flags).be64(120, BIG_TIME).put(FORK_AT, self.fork);
        seal(core, 100)
    }
}

/// An inode that is not in use.
pub(super) fn free_inode(number: u64, uuid: Guid) -> Vec<u8> {
    seal(common(number, uuid), 100)
}

fn common(number: u64, uuid: Guid) -> Record {
    let mut core = Record::zeroed(INODE);
    core.put(0, b"IN").u8(4, 3).be32(96, NULL).be64(152, number).put(160, uuid.as_bytes());
    core
}

/// An entry of a directory.
pub(super) struct Entry<'a> {
    pub name: &'a str,
    pub is_directory: bool,
    pub inode: u64,
}

/// The fork of a directory that fits into its inode, or `None`.
pub(super) fn directory_fork(parent: u64, entries: &[Entry<'_>]) -> Option<Vec<u8>> {
    /// Offsets that entries would have in a directory block, behind `.` and `..`; they serve as
    /// positions for `readdir`.
    const FIRST_OFFSET: u16 = 0x60;
    let mut fork = vec![u8::try_from(entries.len()).ok()?, 0];
    fork.extend(u32::try_from(parent).ok()?.to_be_bytes());
    let mut offset = FIRST_OFFSET;
    for entry in entries {
        let len = u8::try_from(entry.name.len()).ok()?;
        fork.push(len);
        fork.extend(offset.to_be_bytes());
        fork.extend(entry.name.as_bytes());
        fork.push(if entry.is_directory { 2 } else { 1 });
        fork.extend(u32::try_from(entry.inode).ok()?.to_be_bytes());
        offset += (12 + u16::from(len)).next_multiple_of(8);
    }
    (fork.len() <= FORK).then_some(fork)
}
