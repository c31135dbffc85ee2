//! Constants and checksums of the format. Numbers are big-endian, checksums are not.

use crc_fast::{CrcAlgorithm, checksum};

use crate::record::Record;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// Bytes of an inode.
pub(super) const INODE: usize = 512;
/// Inodes in a block, as a power of two.
pub(super) const INODES_PER_BLOCK_LOG: u32 = 3;
/// Inodes of a chunk, which is all there are.
pub(super) const CHUNK: u64 = 64;
/// Blocks of the log: 64 MiB.
pub(super) const LOG_BLOCKS: u64 = 16_384;
/// Allocation groups, and the one that holds the log.
pub(super) const GROUPS: u64 = 4;
pub(super) const LOG_GROUP: u64 = 2;
/// Longest extent: its length has 21 bits.
pub(super) const MAX_EXTENT: u64 = (1 << 21) - 1;
/// "No such block", "no such inode".
pub(super) const NULL: u32 = u32::MAX;

/// Puts the CRC-32C of the record, which has zeros there, at `at`.
pub(super) fn seal(mut record: Record, at: usize) -> Vec<u8> {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, record.as_slice()) as u32;
    record.le32(at, crc);
    record.into_vec()
}
