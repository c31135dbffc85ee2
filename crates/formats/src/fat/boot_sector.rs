//! Boot sector and FSInfo (specification 42, 9).

use super::geometry::{Geometry, ROOT_ENTRIES, Width};
use super::names::ShortName;
use crate::record::Record;

/// Sector of FSInfo, and of the copies of both sectors; FAT32 only.
pub(super) const FS_INFO_SECTOR: u64 = 1;
pub(super) const BACKUP_SECTOR: u64 = 6;

/// The boot sector, 512 bytes whatever the sector size.
pub(super) fn boot_sector(geometry: &Geometry, serial: u32, label: &ShortName) -> Vec<u8> {
    let mut sector = Record::zeroed(512);
    let is_fat32 = geometry.width == Width::Fat32;
    sector.put(0, if is_fat32 { &[0xEB, 0x58, 0x90] } else { &[0xEB, 0x3C, 0x90] });
    sector.put(3, b"mkfs.fat");
    sector.le16(11, geometry.sector.bytes() as u16).u8(13, geometry.sectors_per_cluster as u8);
    sector.le16(14, geometry.reserved as u16).u8(16, 2);
    sector.u8(21, 0xF8).le16(24, 63).le16(26, 255);
    // The 16-bit count is for small volumes without a 32-bit table.
    let small = u16::try_from(geometry.total_sectors).ok().filter(|_| !is_fat32);
    match small {
        Some(total) => sector.le16(19, total),
        None => sector.le32(32, geometry.total_sectors as u32),
    };
    let extended = if is_fat32 {
        sector.le32(36, geometry.fat_sectors as u32).le32(44, 2);
        sector.le16(48, FS_INFO_SECTOR as u16).le16(50, BACKUP_SECTOR as u16);
        64
    } else {
        sector.le16(17, ROOT_ENTRIES as u16).le16(22, geometry.fat_sectors as u16);
        36
    };
    sector.u8(extended, 0x80).u8(extended + 2, 0x29).le32(extended + 3, serial).put(extended + 7, label);
    sector.put(
        extended + 18,
        match geometry.width {
            Width::Fat12 => b"FAT12   ",
            Width::Fat16 => b"FAT16   ",
            Width::Fat32 => b"FAT32   ",
        },
    );
    sector.put(510, &[0x55, 0xAA]);
    sector.into_vec()
}

/// The FSInfo sector of a FAT32: free clusters and where to look for the next one.
pub(super) fn fs_info(free: u64, next: u64) -> Vec<u8> {
    let mut sector = Record::zeroed(512);
    sector.put(0, b"RRaA").put(484, b"rrAa");
    sector.le32(488, free as u32).le32(492, next as u32).put(510, &[0x55, 0xAA]);
    sector.into_vec()
}
