//! The raw disk of a recipe.

use factory_domain::Arch;
use factory_domain::meta::records;
use factory_domain::recipe::{DataPartitions, DiskLayout, DiskRecipe, Recipe, ReleaseFile};
use factory_formats::disk::{
    self, BootVolume, Bootloader, DiskError, DiskOptions, DiskParts, PartitionSizes, StatePartitions,
};
use factory_formats::esp::Machine;
use factory_formats::fat::FatError;
use factory_formats::gpt::DiskGeometry;
use factory_formats::pe::PePlan;
use factory_formats::sector::SectorSize;
use factory_formats::xfs::XfsError;
use factory_formats::{Layout, meta_partition};

use super::esp;
use crate::planner::gather::Gathered;
use crate::planner::{EPOCH, PlanError, State};

const WHAT: &str = "the disk image";

impl State {
    /// The disk of a recipe without the format of its file. `uki` is what the recipe says of one.
    pub(super) fn disk_image(
        &self,
        recipe: &Recipe,
        disk: &DiskRecipe,
        gathered: &Gathered,
        initramfs: Layout,
        uki: Option<PePlan>,
    ) -> Result<Layout, PlanError> {
        let fault = |error: &dyn std::fmt::Display| PlanError::unmakable(WHAT, error);
        let meta = meta_partition::layout(&records(&disk.meta), meta_partition::PARTITION_SIZE);
        let mut esp = match (&disk.esp, uki) {
            (Some(esp), Some(uki)) => esp::systemd_boot(esp, gathered, &uki)?,
            (Some(_), None) => return Err(PlanError::unmakable(WHAT, "the recipe has no UKI")),
            (None, _) => esp::grub(recipe, disk.grub_efi_path.as_deref(), gathered)?,
        };
        gathered.board.add_to_esp(&mut esp);
        let boot = match &disk.grub_cfg {
            Some(config) => {
                let kernel = gathered.file(ReleaseFile::Kernel)?;
                Some(BootVolume { config: config.clone(), kernel, initramfs })
            }
            None => None,
        };
        let parts = DiskParts {
            esp,
            boot,
            bios: self.bios_of_disk(recipe, gathered)?,
            meta: meta.map_err(|error| fault(&error))?,
            raw: gathered.board.raw_writes(),
        };
        let image =
            disk::image(&options(recipe, disk, gathered.board.skip)?, &parts).map_err(
                |error| match error {
                    DiskError::Esp(FatError::NoRoom { .. } | FatError::FileSize { .. })
                    | DiskError::Boot(XfsError::NoRoom { .. }) => {
                        PlanError::TooLarge { what: WHAT, reason: error.to_string() }
                    }
                    other => fault(&other),
                },
            )?;
        Ok(image.layout)
    }
}

fn options(recipe: &Recipe, disk: &DiskRecipe, skip: u64) -> Result<DiskOptions, PlanError> {
    let sizes = recipe.version.quirks().partition_sizes();
    let (bootloader, esp) = match disk.layout {
        DiskLayout::Grub => (Bootloader::Grub, sizes.grub_efi),
        DiskLayout::SdBoot => (Bootloader::SystemdBoot, sizes.uki_efi),
        DiskLayout::DualBoot => (Bootloader::DualBoot, sizes.uki_efi),
    };
    let sector = SectorSize::try_from(disk.sector_size);
    Ok(DiskOptions {
        geometry: DiskGeometry {
            size: disk.size,
            sector: sector.map_err(|error| PlanError::unmakable(WHAT, error))?,
            skip,
        },
        machine: match recipe.arch {
            Arch::Amd64 => Machine::X64,
            Arch::Arm64 => Machine::Aa64,
        },
        bootloader,
        sizes: PartitionSizes { esp, boot: sizes.boot },
        state: match disk.data_partitions {
            DataPartitions::Absent => StatePartitions::Absent,
            DataPartitions::Unformatted => StatePartitions::Empty,
        },
        epoch: EPOCH,
    })
}
