//! A whole disk.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::name;
use super::partitions::{
    Bootloader, DISK_GUID_LABEL, DualBootOnArm, PartitionSizes, StatePartitions, partitions,
};
use crate::Layout;
use crate::canvas::{Canvas, CanvasError};
use crate::esp::{LABEL, Machine, SERIAL};
use crate::fat::{self, FatError, FatFile, FatOptions};
use crate::gpt::{self, DiskGeometry, GptError, Guid, Partition, Table};
use crate::grub::{BOOT_CODE_LEN, GrubImageError, core_image, disk_boot_code};
use crate::xfs::{self, XfsError, XfsFile, XfsOptions};

/// Properties of a disk.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// Size, sector size and the room for a board's boot loader.
    pub geometry: DiskGeometry,
    /// Machine.
    pub machine: Machine,
    /// What boots it.
    pub bootloader: Bootloader,
    /// Lengths of the partitions.
    pub sizes: PartitionSizes,
    /// Whether STATE and EPHEMERAL are there.
    pub state: StatePartitions,
    /// All times, in seconds since 1970.
    pub epoch: u64,
}

/// GRUB's images for BIOS machines.
#[derive(Clone, Debug)]
pub struct BiosImages {
    /// `boot.img`.
    pub boot: Bytes,
    /// `core.img`, made for a prefix on the third partition.
    pub core: Bytes,
}

/// Files of the BOOT partition.
#[derive(Clone, Debug)]
pub struct BootVolume {
    /// `grub.cfg`.
    pub config: String,
    /// Kernel.
    pub kernel: Layout,
    /// Initramfs.
    pub initramfs: Layout,
}

/// Bytes that a board's boot loader needs at a fixed place in front of the first partition.
#[derive(Clone, Debug)]
pub struct RawWrite {
    /// Offset from the start of the disk.
    pub offset: u64,
    /// What is written there.
    pub content: Layout,
}

/// What stands on a disk.
#[derive(Clone, Debug, Default)]
pub struct DiskParts {
    /// Files of the EFI system partition.
    pub esp: Vec<FatFile>,
    /// Files of BOOT; of no effect with systemd-boot alone.
    pub boot: Option<BootVolume>,
    /// Boot on BIOS machines; of no effect with systemd-boot alone.
    pub bios: Option<BiosImages>,
    /// Content of META; zero without it.
    pub meta: Layout,
    /// What a board needs in front of the partitions.
    pub raw: Vec<RawWrite>,
}

/// A finished disk.
#[derive(Clone, Debug)]
pub struct DiskImage {
    /// The bytes.
    pub layout: Layout,
    /// The partition table.
    pub table: Table,
}

/// A disk that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// Dual boot on arm64.
    #[error(transparent)]
    Bootloader(#[from] DualBootOnArm),
    /// The partitions do not fit.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// The EFI system partition cannot be.
    #[error("the EFI partition: {0}")]
    Esp(#[from] FatError),
    /// The BOOT partition cannot be.
    #[error("the BOOT partition: {0}")]
    Boot(#[from] XfsError),
    /// GRUB's images are not what they should be.
    #[error(transparent)]
    Grub(#[from] GrubImageError),
    /// A partition's content is longer than the partition.
    #[error("the content of partition {name} has {size} bytes, the partition {room}")]
    Content {
        /// The partition.
        name: String,
        /// Length of the content.
        size: u64,
        /// Length of the partition.
        room: u64,
    },
    /// A board's raw write reaches into the first partition.
    #[error(
        "raw data of the board at bytes {start} to {end} reaches into partition {name} at byte {partition}"
    )]
    RawWrite {
        /// First byte.
        start: u64,
        /// Byte behind the last.
        end: u64,
        /// The first partition.
        name: String,
        /// Its first byte.
        partition: u64,
    },
    /// A board's raw write lies on the partition table, or two writes lie on each other.
    #[error(transparent)]
    Canvas(#[from] CanvasError),
}

/// Makes the disk.
///
/// # Errors
/// See [`DiskError`].
pub fn image(options: &DiskOptions, parts: &DiskParts) -> Result<DiskImage, DiskError> {
    let requests = partitions(options.machine, options.bootloader, options.sizes, options.state)?;
    let table = gpt::plan(options.geometry, Guid::of_label(DISK_GUID_LABEL), &requests)?;
    let sector = options.geometry.sector;
    let mut canvas = Canvas::new(options.geometry.size);

    let bios = table.partitions.iter().find(|partition| partition.name == name::BIOS);
    let mut code = None;
    for partition in &table.partitions {
        let room = partition.len(sector);
        let content = match partition.name.as_str() {
            name::EFI => esp(options, parts, room)?,
            name::BOOT => boot(options, parts, room)?,
            name::META => parts.meta.clone(),
            _ => Layout::default(),
        };
        fits(partition, content.len(), room)?;
        canvas.put(partition.offset(sector), format!("partition {}", partition.name), content);
    }
    if let (Some(images), Some(partition)) = (&parts.bios, bios) {
        // GRUB counts in sectors of 512 bytes whatever the disk says.
        let lba = partition.offset(sector) / 512;
        let core = core_image(&images.core, lba)?;
        fits(partition, core.len(), partition.len(sector))?;
        canvas.put(partition.offset(sector), "GRUB's core image", core);
        code = Some(disk_boot_code(&images.boot, lba)?);
    }
    put_table(&mut canvas, &table, code);
    for write in &parts.raw {
        in_front(&table, write)?;
        canvas.put(write.offset, "raw data of the board", write.content.clone());
    }
    Ok(DiskImage { layout: canvas.build()?, table })
}

fn fits(partition: &Partition, size: u64, room: u64) -> Result<(), DiskError> {
    if size > room {
        return Err(DiskError::Content { name: partition.name.clone(), size, room });
    }
    Ok(())
}

fn in_front(table: &Table, write: &RawWrite) -> Result<(), DiskError> {
    let Some(first) = table.partitions.first() else { return Ok(()) };
    let (start, partition) = (write.offset, first.offset(table.sector));
    let end = start.saturating_add(write.content.len());
    if end > partition {
        return Err(DiskError::RawWrite { start, end, name: first.name.clone(), partition });
    }
    Ok(())
}

/// Both copies of the table. The first two sectors are taken as a whole, so that raw data cannot hide
/// in the rest of them.
fn put_table(canvas: &mut Canvas, table: &Table, code: Option<[u8; BOOT_CODE_LEN]>) {
    let sector = table.sector.bytes();
    let whole = |mut bytes: Vec<u8>| {
        bytes.resize(sector as usize, 0);
        Layout::from_bytes(bytes)
    };
    let mut mbr = table.protective_mbr().to_vec();
    if let Some(code) = code {
        mbr[..BOOT_CODE_LEN].copy_from_slice(&code);
    }
    let entries = Layout::from_bytes(table.entries());
    canvas.put(0, "the master boot record", whole(mbr));
    canvas.put(sector, "the GPT header", whole(table.primary_header()));
    canvas.put(table.entries_lba * sector, "the GPT entries", entries.clone());
    canvas.put(table.backup_entries_lba() * sector, "the backup GPT entries", entries);
    canvas.put(table.last_lba * sector, "the backup GPT header", whole(table.backup_header()));
}

fn esp(options: &DiskOptions, parts: &DiskParts, size: u64) -> Result<Layout, FatError> {
    let volume = FatOptions {
        size,
        sector: options.geometry.sector,
        label: LABEL.to_owned(),
        serial: SERIAL,
        epoch: options.epoch,
    };
    Ok(fat::volume(&volume, &parts.esp)?.layout)
}

/// The BOOT partition; without files it is an empty volume.
fn boot(options: &DiskOptions, parts: &DiskParts, size: u64) -> Result<Layout, XfsError> {
    let volume = XfsOptions {
        size,
        sector: options.geometry.sector,
        label: name::BOOT.to_owned(),
        uuid: Guid::of_label(name::BOOT),
        epoch: options.epoch,
        directory_modes: BTreeMap::from([("grub".to_owned(), 0o700)]),
    };
    let file = |path: &str, mode, content: &Layout| XfsFile {
        path: path.to_owned(),
        mode,
        content: content.clone(),
    };
    let files = parts.boot.iter().flat_map(|boot| {
        let config = Layout::from_bytes(boot.config.clone().into_bytes());
        [
            file("A/vmlinuz", 0o644, &boot.kernel),
            file("A/initramfs.xz", 0o644, &boot.initramfs),
            file("grub/grub.cfg", 0o600, &config),
        ]
    });
    xfs::volume(&volume, &files.collect::<Vec<_>>())
}
