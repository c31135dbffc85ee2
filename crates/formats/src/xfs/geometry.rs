//! Where things lie in the allocation groups.

use super::format::{BLOCK, CHUNK, GROUPS, INODES_PER_BLOCK_LOG, LOG_BLOCKS, LOG_GROUP};
use crate::sector::SectorSize;

/// Sizes of a volume and places inside every allocation group, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub sector: SectorSize,
    pub blocks: u64,
    /// Blocks of a group; the last one may be shorter.
    pub group_blocks: u64,
}

/// A stretch of blocks inside a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub group: u64,
    pub start: u64,
    pub blocks: u64,
}

impl Geometry {
    /// The geometry for so many bytes; `None` when the log leaves no room for files, or a group would
    /// be too big for 32-bit block numbers.
    pub fn choose(size: u64, sector: SectorSize) -> Option<Self> {
        if !size.is_multiple_of(BLOCK) {
            return None;
        }
        let blocks = size / BLOCK;
        let group_blocks = blocks.div_ceil(GROUPS);
        let found = Self { sector, blocks, group_blocks };
        let log_fits = group_blocks > found.data_start() + LOG_BLOCKS;
        let last_is_whole = blocks > (GROUPS - 1) * group_blocks + found.data_start();
        (log_fits && last_is_whole && group_blocks < 1 << 28).then_some(found)
    }

    /// Bits of a block number inside a group.
    pub fn group_log(&self) -> u32 {
        u64::BITS - (self.group_blocks - 1).leading_zeros()
    }

    /// Blocks of one group.
    pub fn blocks_of(&self, group: u64) -> u64 {
        self.group_blocks.min(self.blocks - group * self.group_blocks)
    }

    /// Block of the by-start free space tree; the by-size one and the inode tree follow.
    pub fn roots(&self) -> u64 {
        match self.sector {
            SectorSize::B512 => 1,
            SectorSize::B4096 => 4,
        }
    }

    /// The blocks of the free list, which are all between the roots and the data.
    pub fn free_list(&self) -> std::ops::Range<u64> {
        self.roots() + 3..self.data_start()
    }

    /// First block behind the group's own structures: inodes, log or data. A multiple of the inode
    /// alignment.
    pub fn data_start(&self) -> u64 {
        match self.sector {
            SectorSize::B512 => 8,
            SectorSize::B4096 => 12,
        }
    }

    /// Blocks of the inode chunk, in group 0.
    pub fn chunk_blocks(&self) -> u64 {
        CHUNK >> INODES_PER_BLOCK_LOG
    }

    /// Number of the root directory's inode, the first of the chunk.
    pub fn root_inode(&self) -> u64 {
        self.data_start() << INODES_PER_BLOCK_LOG
    }

    /// First block of the log as a file system block number.
    pub fn log_start(&self) -> u64 {
        self.block_number(LOG_GROUP, self.data_start())
    }

    /// File system block number: the group above the block inside it.
    pub fn block_number(&self, group: u64, block: u64) -> u64 {
        group << self.group_log() | block
    }

    /// Offset of a block in the volume.
    pub fn offset(&self, group: u64, block: u64) -> u64 {
        (group * self.group_blocks + block) * BLOCK
    }

    /// What each group has free before any file is there, by group.
    pub fn free(&self) -> [Stretch; GROUPS as usize] {
        std::array::from_fn(|group| {
            let group = group as u64;
            let taken = match group {
                0 => self.chunk_blocks(),
                LOG_GROUP => LOG_BLOCKS,
                _ => 0,
            };
            let start = self.data_start() + taken;
            Stretch { group, start, blocks: self.blocks_of(group).saturating_sub(start) }
        })
    }
}
