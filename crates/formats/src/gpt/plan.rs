//! Where the partitions of a fresh disk lie.

use super::Guid;
use super::table::{ENTRIES_LEN, GptError, Partition, Table};
use crate::sector::SectorSize;

/// Partitions begin at multiples of this.
const ALIGNMENT: u64 = 1 << 20;

/// A disk to be partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskGeometry {
    /// Length in bytes, a multiple of the sector size.
    pub size: u64,
    /// Sector size.
    pub sector: SectorSize,
    /// Sectors between the header and the entry array that are left to a board's boot loader.
    pub skip: u64,
}

/// How long a partition is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionSize {
    /// Exactly so many bytes, a multiple of the sector size.
    Bytes(u64),
    /// All that is left up to the last alignment boundary; only the last partition can be so.
    Rest,
}

/// A partition that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRequest {
    /// Name; the unique GUID is made from it.
    pub name: String,
    /// What it is for.
    pub type_guid: Guid,
    /// Attribute bits.
    pub attributes: u64,
    /// Length.
    pub size: PartitionSize,
}

/// Lays the partitions out in order, each at the next 1 MiB boundary (specification 41, 3.1).
///
/// # Errors
/// See [`GptError`].
pub fn plan(disk: DiskGeometry, disk_guid: Guid, requests: &[PartitionRequest]) -> Result<Table, GptError> {
    let sector = disk.sector.bytes();
    let bad_disk = || GptError::DiskSize { size: disk.size, sector };
    if requests.len() > 128 {
        return Err(GptError::Count(requests.len()));
    }
    if !disk.size.is_multiple_of(sector) {
        return Err(bad_disk());
    }
    let align = ALIGNMENT / sector;
    let array = ENTRIES_LEN / sector;
    let last_lba = (disk.size / sector).checked_sub(1).ok_or_else(bad_disk)?;
    let entries_lba = disk.skip.checked_add(2).ok_or_else(bad_disk)?;
    let first_usable = entries_lba
        .checked_add(array)
        .and_then(|lba| lba.checked_next_multiple_of(align))
        .ok_or_else(bad_disk)?;
    let last_usable =
        last_lba.checked_sub(array + 1).filter(|last| *last >= first_usable).ok_or_else(bad_disk)?;

    let mut partitions = Vec::with_capacity(requests.len());
    let mut next = first_usable;
    for request in requests {
        if request.name.encode_utf16().count() > 36 {
            return Err(GptError::Name(request.name.clone()));
        }
        let end = match request.size {
            PartitionSize::Bytes(size) if size > 0 && size.is_multiple_of(sector) => {
                next.saturating_add(size / sector)
            }
            PartitionSize::Bytes(size) => {
                return Err(GptError::PartitionSize { name: request.name.clone(), size, sector });
            }
            // The last usable sector itself is counted out before rounding, as the reference does.
            PartitionSize::Rest => last_usable / align * align,
        };
        let no_room = || GptError::NoRoom { name: request.name.clone(), end, last_usable };
        let last =
            end.checked_sub(1).filter(|last| *last >= next && *last <= last_usable).ok_or_else(no_room)?;
        partitions.push(Partition {
            type_guid: request.type_guid,
            unique_guid: Guid::of_label(&request.name),
            name: request.name.clone(),
            first_lba: next,
            last_lba: last,
            attributes: request.attributes,
        });
        next = end.next_multiple_of(align);
    }
    Ok(Table { sector: disk.sector, disk_guid, last_lba, entries_lba, first_usable, last_usable, partitions })
}
