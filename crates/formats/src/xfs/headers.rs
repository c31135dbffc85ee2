//! Superblock, headers and tree roots of an allocation group, first record of the log.

use super::format::{BLOCK, CHUNK, GROUPS, INODE, LOG_BLOCKS, NULL, seal};
use super::geometry::{Geometry, Stretch};
use crate::gpt::Guid;
use crate::record::Record;
use crate::sector::SectorSize;

/// What the headers count.
pub(super) struct Totals {
    pub uuid: Guid,
    /// Label, at most 12 bytes.
    pub label: Vec<u8>,
    /// Inodes in use.
    pub used_inodes: u64,
    /// Free space by group, one stretch each.
    pub free: [Stretch; GROUPS as usize],
}

impl Totals {
    fn free_inodes(&self) -> u64 {
        CHUNK - self.used_inodes
    }
}

/// Everything in front of a group's data: headers, roots of the trees. The free list's blocks stay zero.
pub(super) fn group_head(geometry: &Geometry, totals: &Totals, free: &Stretch) -> Vec<u8> {
    let sector = geometry.sector.bytes() as usize;
    let mut out = Vec::with_capacity(geometry.data_start() as usize * BLOCK as usize);
    out.extend(superblock(geometry, totals, sector));
    out.extend(free_space_header(geometry, totals, free, sector));
    out.extend(inode_header(geometry, totals, free.group, sector));
    out.extend(free_list(geometry, totals, free.group, sector));
    out.resize((geometry.roots() * BLOCK) as usize, 0);

    let mut record = Record::zeroed(8);
    record.be32(0, free.start as u32).be32(4, free.blocks as u32);
    let records: &[&[u8]] = if free.blocks > 0 { &[record.as_slice()] } else { &[] };
    out.extend(root(geometry, totals, b"AB3B", free.group, 0, records));
    out.extend(root(geometry, totals, b"AB3C", free.group, 1, records));

    let mut chunk = Record::zeroed(16);
    chunk.be32(0, geometry.root_inode() as u32).be32(4, totals.free_inodes() as u32);
    // One bit for each free inode; all 64 may be in use.
    chunk.be64(8, u64::MAX.checked_shl(totals.used_inodes as u32).unwrap_or(0));
    let chunks: &[&[u8]] = if free.group == 0 { &[chunk.as_slice()] } else { &[] };
    out.extend(root(geometry, totals, b"IAB3", free.group, 2, chunks));
    out
}

fn superblock(geometry: &Geometry, totals: &Totals, sector: usize) -> Vec<u8> {
    /// Aligned inodes, directories of version 2, extended flags, 32-bit project numbers and so on:
    /// what every version 5 file system says.
    const FEATURES2: u32 = 0x18A;
    /// File types in directories, times beyond 2038.
    const INCOMPAT: u32 = 0x1 | 0x8;
    let big_sectors = geometry.sector == SectorSize::B4096;
    let sector_log = sector.trailing_zeros() as u8;
    let free_list = geometry.free_list().count() as u64;
    let free: u64 = totals.free.iter().map(|free| free.blocks + free_list).sum();
    let inode = geometry.root_inode();

    let mut sb = Record::zeroed(sector);
    sb.put(0, b"XFSB").be32(4, BLOCK as u32).be64(8, geometry.blocks).put(32, totals.uuid.as_bytes());
    sb.be64(48, geometry.log_start()).be64(56, inode).be64(64, inode + 1).be64(72, inode + 2);
    sb.be32(80, 1).be32(84, geometry.group_blocks as u32).be32(88, GROUPS as u32).be32(96, LOG_BLOCKS as u32);
    sb.be16(100, if big_sectors { 0xBCA5 } else { 0xB4A5 });
    sb.be16(102, sector as u16).be16(104, INODE as u16).be16(106, (BLOCK as usize / INODE) as u16);
    sb.put(108, &totals.label);
    sb.put(120, &[12, sector_log, 9, 3, geometry.group_log() as u8, 0, 0, 25]);
    sb.be64(128, CHUNK).be64(136, totals.free_inodes()).be64(144, free);
    sb.be32(180, 4);
    if big_sectors {
        sb.u8(193, sector_log).be16(194, sector as u16).be32(196, sector as u32);
    } else {
        sb.be32(196, 1);
    }
    sb.be32(200, FEATURES2).be32(204, FEATURES2).be32(216, INCOMPAT);
    seal(sb, 224)
}

fn free_space_header(geometry: &Geometry, totals: &Totals, free: &Stretch, sector: usize) -> Vec<u8> {
    let list = geometry.free_list().count() as u32;
    let mut agf = Record::zeroed(sector);
    agf.put(0, b"XAGF").be32(4, 1).be32(8, free.group as u32).be32(12, geometry.blocks_of(free.group) as u32);
    agf.be32(16, geometry.roots() as u32).be32(20, geometry.roots() as u32 + 1).be32(28, 1).be32(32, 1);
    agf.be32(40, 1).be32(44, list).be32(48, list);
    agf.be32(52, free.blocks as u32).be32(56, free.blocks as u32).put(64, totals.uuid.as_bytes());
    seal(agf, 216)
}

fn inode_header(geometry: &Geometry, totals: &Totals, group: u64, sector: usize) -> Vec<u8> {
    let has_chunk = group == 0;
    let mut agi = Record::zeroed(sector);
    agi.put(0, b"XAGI").be32(4, 1).be32(8, group as u32).be32(12, geometry.blocks_of(group) as u32);
    agi.be32(16, if has_chunk { CHUNK as u32 } else { 0 }).be32(20, geometry.roots() as u32 + 2).be32(24, 1);
    agi.be32(28, if has_chunk { totals.free_inodes() as u32 } else { 0 });
    agi.be32(32, if has_chunk { geometry.root_inode() as u32 } else { NULL }).be32(36, NULL);
    agi.put(40, &[0xFF; 256]).put(296, totals.uuid.as_bytes());
    seal(agi, 312)
}

/// Blocks set aside for growing the trees: slots from 1 on, slot 0 stays empty.
fn free_list(geometry: &Geometry, totals: &Totals, group: u64, sector: usize) -> Vec<u8> {
    let mut agfl = Record::filled(sector, 0xFF);
    agfl.put(0, b"XAFL").be32(4, group as u32).put(8, totals.uuid.as_bytes()).put(24, &[0; 12]);
    for (slot, block) in geometry.free_list().enumerate() {
        agfl.be32(40 + 4 * slot, block as u32);
    }
    seal(agfl, 32)
}

/// A tree of one block; `index` counts the roots of a group.
fn root(
    geometry: &Geometry,
    totals: &Totals,
    magic: &[u8; 4],
    group: u64,
    index: u64,
    records: &[&[u8]],
) -> Vec<u8> {
    let mut block = Record::zeroed(BLOCK as usize);
    block.put(0, magic).be16(6, records.len() as u16).be32(8, NULL).be32(12, NULL);
    block.be64(16, geometry.offset(group, geometry.roots() + index) / 512);
    block.put(32, totals.uuid.as_bytes()).be32(48, group as u32);
    let mut at = 56;
    for record in records {
        block.put(at, record);
        at += record.len();
    }
    seal(block, 52)
}

/// The log record of a clean unmount; the rest of the log is zero.
pub(super) fn log_record(geometry: &Geometry, uuid: Guid) -> Vec<u8> {
    /// Cycle 1, block 0.
    const FIRST: u64 = 1 << 32;
    let len = match geometry.sector {
        SectorSize::B512 => 1024,
        SectorSize::B4096 => 4096,
    };
    let mut record = Record::zeroed(len);
    record.be32(0, 0xFEED_BABE).be32(4, 1).be32(8, 2).be32(12, len as u32 - 512);
    record.be64(16, FIRST).be64(24, FIRST).be32(36, NULL).be32(40, 1).be32(44, 0xB0C0_D0D0);
    record.be32(0x12C, 1).put(0x130, uuid.as_bytes()).be32(0x140, 0x8000);
    // Every sector of a record's body begins with the cycle; the words that stood there are kept in
    // the header, where the operation's transaction number B0C0D0D0 is one of them.
    for sector in (512..len).step_by(512) {
        record.be32(sector, 1);
    }
    record.be32(516, 8).put(520, &[0xAA, 0x20, 0, 0]).put(524, b"nU");
    // No checksum: the record is not replayed, and readers take a zero for "none".
    record.into_vec()
}
