//! The first 32 KiB, which ISO 9660 leaves alone: boot code and partition tables.

use super::BLOCK;
use crate::Layout;
use crate::canvas::Canvas;
use crate::gpt::{Guid, Partition, Table, protective_mbr, types};
use crate::grub::BOOT_CODE_LEN;
use crate::sector::SectorSize;

const SECTOR: u64 = 512;
/// Sector where the stretch with ISO 9660 begins as a partition: behind the system area.
const ISO_START: u64 = 64;
const GPT_FIRST_USABLE: u64 = 34;

/// How the image looks when it is a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionScheme {
    /// GUID partition table.
    #[default]
    Gpt,
    /// Master boot record only, with a partition for ISO 9660 and one for EFI.
    Mbr,
}

/// Where things are, in blocks of the image.
#[derive(Clone, Copy)]
pub(super) struct Extents {
    pub esp_start: u64,
    pub esp_end: u64,
    pub total: u64,
}

impl Extents {
    fn sectors(self) -> Self {
        let factor = BLOCK / SECTOR;
        Self {
            esp_start: self.esp_start * factor,
            esp_end: self.esp_end * factor,
            total: self.total * factor,
        }
    }
}

/// Puts tables and boot code. The tail behind the EFI system partition has room for the backup table.
pub(super) fn put(
    canvas: &mut Canvas,
    extents: Extents,
    scheme: PartitionScheme,
    guid_label: &str,
    boot_code: Option<[u8; BOOT_CODE_LEN]>,
) {
    let extents = extents.sectors();
    let mut mbr = match scheme {
        PartitionScheme::Gpt => protective_mbr(extents.total - 1),
        PartitionScheme::Mbr => plain_mbr(extents),
    };
    if let Some(code) = boot_code {
        mbr[..BOOT_CODE_LEN].copy_from_slice(&code);
    }
    canvas.put(0, "master boot record", Layout::from_bytes(mbr.to_vec()));
    if scheme == PartitionScheme::Mbr {
        return;
    }
    let table = gpt(extents, guid_label);
    let entries = Layout::from_bytes(table.entries());
    canvas.put(SECTOR, "GPT header", Layout::from_bytes(table.primary_header()));
    canvas.put(table.entries_lba * SECTOR, "GPT entries", entries.clone());
    canvas.put(table.backup_entries_lba() * SECTOR, "backup GPT entries", entries);
    canvas.put(table.last_lba * SECTOR, "backup GPT header", Layout::from_bytes(table.backup_header()));
}

fn gpt(sectors: Extents, guid_label: &str) -> Table {
    /// Not to be written to, and needed by the platform.
    const READ_ONLY: u64 = 1 << 60 | 1;
    let partition =
        |number: u32, name: &str, type_guid: Guid, first: u64, end: u64, attributes: u64| Partition {
            type_guid,
            unique_guid: Guid::of_label(&format!("{guid_label}-{number}")),
            name: name.to_owned(),
            first_lba: first,
            last_lba: end - 1,
            attributes,
        };
    Table {
        sector: SectorSize::B512,
        disk_guid: Guid::of_label(guid_label),
        last_lba: sectors.total - 1,
        entries_lba: 2,
        first_usable: GPT_FIRST_USABLE,
        last_usable: sectors.total - GPT_FIRST_USABLE,
        partitions: vec![
            partition(1, "ISO9660", types::BASIC_DATA, ISO_START, sectors.esp_start, READ_ONLY),
            partition(2, "EFI", types::EFI_SYSTEM, sectors.esp_start, sectors.esp_end, 0),
        ],
    }
}

fn plain_mbr(sectors: Extents) -> [u8; 512] {
    const LINUX: u8 = 0x83;
    const EFI_SYSTEM: u8 = 0xEF;
    let mut mbr = [0; 512];
    let parts = [(LINUX, ISO_START, sectors.esp_start), (EFI_SYSTEM, sectors.esp_start, sectors.esp_end)];
    for (place, (kind, start, end)) in mbr[BOOT_CODE_LEN..].as_chunks_mut::<16>().0.iter_mut().zip(parts) {
        // Cylinders and heads are long out of use; this value says so.
        let unused = [0xFE, 0xFF, 0xFF];
        let entry = [&[0], &unused[..], &[kind], &unused, &le32(start), &le32(end - start)].concat();
        place.copy_from_slice(&entry);
    }
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    mbr
}

fn le32(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}
