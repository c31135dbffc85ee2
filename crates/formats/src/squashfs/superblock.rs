//! The superblock and the compressor's options behind it.

use super::compress::ZSTD_LEVEL;
use super::{BLOCK_SIZE, Compressor};

/// Length of the superblock in bytes.
pub(super) const LEN: u64 = 96;
/// Offset of a table that the image does not have.
pub(super) const NO_TABLE: u64 = u64::MAX;

const MAGIC: u32 = 0x7371_7368;
/// Tails of long files are in fragments too.
const ALWAYS_FRAGMENTS: u16 = 0x0020;
const DUPLICATES_REMOVED: u16 = 0x0040;
const EXPORTABLE: u16 = 0x0080;
const NO_XATTRS: u16 = 0x0200;
const COMPRESSOR_OPTIONS: u16 = 0x0400;

/// The numbers of an image.
pub(super) struct Superblock {
    pub(super) compressor: Compressor,
    pub(super) inodes: u32,
    pub(super) fragments: u32,
    /// Reference of the root directory's inode.
    pub(super) root: u64,
    /// Length of the image without padding.
    pub(super) bytes_used: u64,
    pub(super) ids: u64,
    pub(super) xattrs: u64,
    pub(super) inode_table: u64,
    pub(super) directory_table: u64,
    pub(super) fragment_table: u64,
    pub(super) export_table: u64,
}

impl Superblock {
    pub(super) fn bytes(&self, time: u32) -> Vec<u8> {
        let mut flags = ALWAYS_FRAGMENTS | DUPLICATES_REMOVED | EXPORTABLE;
        if self.xattrs == NO_TABLE {
            flags |= NO_XATTRS;
        }
        if !options(self.compressor).is_empty() {
            flags |= COMPRESSOR_OPTIONS;
        }
        let compressor: u16 = match self.compressor {
            Compressor::Gzip => 1,
            Compressor::Xz => 4,
            Compressor::Zstd => 6,
        };
        let mut out = Vec::with_capacity(LEN as usize);
        for word in [MAGIC, self.inodes, time, BLOCK_SIZE as u32, self.fragments] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        // One entry in the table of owners; version 4.0.
        for half in [compressor, BLOCK_SIZE.ilog2() as u16, flags, 1, 4, 0] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        let tables = [
            self.root,
            self.bytes_used,
            self.ids,
            self.xattrs,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ];
        out.extend(tables.iter().flat_map(|table| table.to_le_bytes()));
        out
    }
}

/// The metadata block with the compressor's options; empty when they are the defaults.
pub(super) fn options(compressor: Compressor) -> Vec<u8> {
    match compressor {
        // A stored block of four bytes.
        Compressor::Zstd => [&0x8004_u16.to_le_bytes()[..], &ZSTD_LEVEL.to_le_bytes()].concat(),
        Compressor::Xz | Compressor::Gzip => Vec::new(),
    }
}
