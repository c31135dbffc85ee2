//! The raw disk of a recipe.

use factory_domain::Arch;
use factory_domain::meta::records;
use factory_domain::recipe::{DataPartitions, DiskRecipe, Recipe};
use factory_formats::disk::{self, Bootloader, DiskOptions, DiskParts, PartitionSizes, StatePartitions};
use factory_formats::esp::Machine;
use factory_formats::gpt::DiskGeometry;
use factory_formats::pe::PePlan;
use factory_formats::sector::SectorSize;
use factory_formats::{Layout, meta_partition};

use super::esp::esp_files;
use crate::planner::gather::Gathered;
use crate::planner::{EPOCH, PlanError};

pub(super) fn disk_image(
    recipe: &Recipe,
    disk: &DiskRecipe,
    gathered: &Gathered,
    uki: PePlan,
) -> Result<Layout, PlanError> {
    const WHAT: &str = "the disk image";
    let Some(esp) = &disk.esp else { return Err(PlanError::NotYet("media with GRUB")) };
    let fault = |error: &dyn std::fmt::Display| PlanError::unmakable(WHAT, error);
    let sizes = recipe.version.quirks().partition_sizes();
    let options = DiskOptions {
        geometry: DiskGeometry {
            size: disk.size,
            sector: SectorSize::try_from(disk.sector_size).map_err(|error| fault(&error))?,
            skip: 0,
        },
        machine: match recipe.arch {
            Arch::Amd64 => Machine::X64,
            Arch::Arm64 => Machine::Aa64,
        },
        bootloader: Bootloader::SystemdBoot,
        sizes: PartitionSizes { esp: sizes.uki_efi, boot: sizes.boot },
        state: match disk.data_partitions {
            DataPartitions::Absent => StatePartitions::Absent,
            DataPartitions::Unformatted => StatePartitions::Empty,
        },
        epoch: EPOCH,
    };
    let meta = meta_partition::layout(&records(&disk.meta), meta_partition::PARTITION_SIZE);
    let parts = DiskParts {
        esp: esp_files(esp, gathered, &uki)?,
        meta: meta.map_err(|error| fault(&error))?,
        ..DiskParts::default()
    };
    let image = disk::image(&options, &parts).map_err(|error| fault(&error))?;
    Ok(image.layout)
}
