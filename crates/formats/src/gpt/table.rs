//! The bytes of a table: protective MBR, headers, entries.

use crc_fast::{CrcAlgorithm, checksum};

use super::Guid;
use crate::record::Record;
use crate::sector::SectorSize;

/// Entries of a table and bytes of each (UEFI specification, 5.3.2 and 5.3.3).
const ENTRIES: u32 = 128;
const ENTRY_LEN: u32 = 128;
/// Bytes of the entry array.
pub const ENTRIES_LEN: u64 = (ENTRIES * ENTRY_LEN) as u64;
/// UTF-16 units of a name.
const NAME_UNITS: usize = 36;
const HEADER_LEN: usize = 92;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What it is for.
    pub type_guid: Guid,
    /// Its own GUID.
    pub unique_guid: Guid,
    /// Name, at most 36 UTF-16 units.
    pub name: String,
    /// First sector.
    pub first_lba: u64,
    /// Last sector, which still belongs to it.
    pub last_lba: u64,
    /// Attribute bits.
    pub attributes: u64,
}

impl Partition {
    /// Offset of the first byte.
    pub fn offset(&self, sector: SectorSize) -> u64 {
        self.first_lba * sector.bytes()
    }

    /// Length in bytes.
    pub fn len(&self, sector: SectorSize) -> u64 {
        (self.last_lba + 1 - self.first_lba) * sector.bytes()
    }
}

/// A table with everything that its two headers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Sector size of the disk.
    pub sector: SectorSize,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// Last sector of the disk, where the backup header is.
    pub last_lba: u64,
    /// First sector of the primary entry array; 2 unless a boot loader needs the room.
    pub entries_lba: u64,
    /// First sector that partitions may use.
    pub first_usable: u64,
    /// Last sector that partitions may use.
    pub last_usable: u64,
    /// The partitions in order.
    pub partitions: Vec<Partition>,
}

/// A table that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GptError {
    /// The disk does not end with a sector, or has no room for two tables.
    #[error("a disk of {size} bytes cannot hold a partition table with sectors of {sector} bytes")]
    DiskSize {
        /// Bytes of the disk.
        size: u64,
        /// Bytes of a sector.
        sector: u64,
    },
    /// A partition's length is no multiple of the sector size, or zero.
    #[error("partition {name} has {size} bytes, which is not a positive multiple of {sector}")]
    PartitionSize {
        /// Its name.
        name: String,
        /// Its length.
        size: u64,
        /// Bytes of a sector.
        sector: u64,
    },
    /// The partitions need more than the disk has.
    #[error(
        "partition {name} does not fit: it would end at sector {end}, the last usable one is {last_usable}"
    )]
    NoRoom {
        /// Name of the first one that does not fit.
        name: String,
        /// Where it would end.
        end: u64,
        /// Where it has to end.
        last_usable: u64,
    },
    /// The name has more than 36 UTF-16 units.
    #[error("partition name {0:?} is longer than 36 characters")]
    Name(String),
    /// More than 128 partitions.
    #[error("{0} partitions are more than the 128 of a table")]
    Count(usize),
}

impl Table {
    /// Bytes `0..512`: see [`protective_mbr`].
    pub fn protective_mbr(&self) -> [u8; 512] {
        protective_mbr(self.last_lba)
    }

    /// First sector of the backup entry array.
    pub fn backup_entries_lba(&self) -> u64 {
        self.last_lba - ENTRIES_LEN / self.sector.bytes()
    }

    /// The entry array, the same for both places.
    pub fn entries(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRIES_LEN as usize);
        for partition in &self.partitions {
            let mut entry = Record::zeroed(ENTRY_LEN as usize);
            entry.put(0, &partition.type_guid.mixed_endian());
            entry.put(16, &partition.unique_guid.mixed_endian());
            entry.le64(32, partition.first_lba).le64(40, partition.last_lba);
            entry.le64(48, partition.attributes);
            for (i, unit) in partition.name.encode_utf16().take(NAME_UNITS).enumerate() {
                entry.le16(56 + 2 * i, unit);
            }
            out.extend_from_slice(entry.as_slice());
        }
        out.resize(ENTRIES_LEN as usize, 0);
        out
    }

    /// The header at sector 1, 92 bytes.
    pub fn primary_header(&self) -> Vec<u8> {
        self.header(1, self.last_lba, self.entries_lba)
    }

    /// The header in the last sector, 92 bytes.
    pub fn backup_header(&self) -> Vec<u8> {
        self.header(self.last_lba, 1, self.backup_entries_lba())
    }

    fn header(&self, own: u64, other: u64, entries_lba: u64) -> Vec<u8> {
        let mut header = Record::zeroed(HEADER_LEN);
        header.put(0, b"EFI PART").le32(8, 0x0001_0000).le32(12, HEADER_LEN as u32);
        header.le64(24, own).le64(32, other).le64(40, self.first_usable).le64(48, self.last_usable);
        header.put(56, &self.disk_guid.mixed_endian());
        header.le64(72, entries_lba).le32(80, ENTRIES).le32(84, ENTRY_LEN);
        header.le32(88, crc32(&self.entries()));
        let crc = crc32(header.as_slice());
        header.le32(16, crc);
        header.into_vec()
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    checksum(CrcAlgorithm::Crc32IsoHdlc, bytes) as u32
}

/// A master boot record without code that shows the whole disk as taken by a GPT
/// (UEFI specification, 5.2.3).
pub fn protective_mbr(last_lba: u64) -> [u8; 512] {
    let mut mbr = [0; 512];
    let count = u32::try_from(last_lba).unwrap_or(u32::MAX);
    mbr[446..454].copy_from_slice(&[0x00, 0x00, 0x02, 0x00, 0xEE, 0xFF, 0xFF, 0xFF]);
    mbr[454..458].copy_from_slice(&1u32.to_le_bytes());
    mbr[458..462].copy_from_slice(&count.to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    mbr
}
