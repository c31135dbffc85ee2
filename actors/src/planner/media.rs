//! UKIs, ISO images and disks of a recipe.

use bytes::Bytes;
use factory_domain::Arch;
use factory_domain::meta::records;
use factory_domain::recipe::{
    DataPartitions, DiskEncoding, DiskLayout, DiskRecipe, EspRecipe, IsoKind, IsoRecipe, OutputRecipe,
    RandomSeed, Recipe, ReleaseFile, UkiRecipe,
};
use factory_formats::disk::{self, Bootloader, DiskOptions, DiskParts, PartitionSizes, StatePartitions};
use factory_formats::esp::Machine;
use factory_formats::fat::FatFile;
use factory_formats::gpt::DiskGeometry;
use factory_formats::iso::{Media, MediaOptions, media};
use factory_formats::pe::PePlan;
use factory_formats::sector::SectorSize;
use factory_formats::uki::{PayloadAlign, Profile, Profiles, Uki, UkiOptions, UkiParts};
use factory_formats::{Layout, meta_partition};

use super::gather::Gathered;
use super::{EPOCH, PlanError, State};
use crate::schematics::Stored;

/// Longest UKI stub, in bytes. It is read whole, because its headers are rewritten.
const MAX_STUB: u64 = 16 << 20;

/// Refuses what this version cannot make, before anything is fetched.
pub(super) fn check_makable(output: &OutputRecipe) -> Result<(), PlanError> {
    match output {
        OutputRecipe::Iso(iso) if iso.kind != IsoKind::Uefi => Err(PlanError::NotYet("media with GRUB")),
        OutputRecipe::Disk(disk) if disk.layout != DiskLayout::SdBoot => {
            Err(PlanError::NotYet("media with GRUB"))
        }
        OutputRecipe::Disk(disk) if disk.encoding != DiskEncoding::Raw => {
            Err(PlanError::NotYet("disk formats other than raw"))
        }
        _ => Ok(()),
    }
}

impl Gathered {
    /// A file of the release.
    pub(super) fn file(&self, file: ReleaseFile) -> Result<Layout, PlanError> {
        let found = self.files.get(&file);
        let found = found
            .ok_or_else(|| PlanError::unmakable("the asset", format!("{} was not gathered", file.name())))?;
        Ok(Layout::from_blob(found.digest, found.size))
    }
}

impl State {
    /// The asset without its compression. Runs on a worker thread.
    pub(super) fn assemble(
        &self,
        recipe: &Recipe,
        gathered: Gathered,
        stored: &Stored,
    ) -> Result<Layout, PlanError> {
        if let OutputRecipe::Kernel = recipe.output {
            return gathered.file(ReleaseFile::Kernel);
        }
        let initramfs = self.initramfs(recipe, &gathered, stored)?;
        let uki = |align| match &recipe.uki {
            Some(uki) => self.uki(uki, &gathered, initramfs.clone(), align),
            None => Err(PlanError::unmakable("the UKI", "the recipe has none")),
        };
        match &recipe.output {
            OutputRecipe::Initramfs => Ok(initramfs),
            OutputRecipe::Uki => Ok(uki(PayloadAlign::File)?.layout),
            OutputRecipe::Iso(iso) => iso_image(recipe, iso, &gathered, uki(PayloadAlign::File)?),
            OutputRecipe::Disk(disk) => disk_image(recipe, disk, &gathered, uki(PayloadAlign::File)?),
            OutputRecipe::Kernel | OutputRecipe::Cmdline(_) | OutputRecipe::Installer(_) => {
                Err(PlanError::unmakable("the asset", "it is made elsewhere"))
            }
        }
    }

    pub(super) fn uki(
        &self,
        recipe: &UkiRecipe,
        gathered: &Gathered,
        initramfs: Layout,
        payload_align: PayloadAlign,
    ) -> Result<PePlan, PlanError> {
        const WHAT: &str = "the UKI";
        let stub = gathered.file(ReleaseFile::SdStub)?;
        if stub.len() > MAX_STUB {
            return Err(PlanError::unmakable(WHAT, format!("its stub has {} bytes", stub.len())));
        }
        let stub = stub
            .to_vec(&*self.store)
            .map_err(|error| self.missing(&stub).unwrap_or_else(|| PlanError::unmakable(WHAT, error)))?;
        let profile = |profile: &factory_domain::cmdline::BootProfile| Profile {
            id: profile.id.to_owned(),
            title: profile.title.to_owned(),
            cmdline: profile.cmdline.clone(),
        };
        let uki = Uki::new(UkiParts {
            stub: Bytes::from(stub),
            os_release: recipe.os_release.clone(),
            cmdline: recipe.cmdline.clone(),
            kernel_release: gathered.kernel.as_ref().and_then(|kernel| kernel.release.clone()),
            splash: None,
            pcr_public_key: None,
            kernel: gathered.file(ReleaseFile::Kernel)?,
            initramfs,
            profiles: match &recipe.profiles {
                Some(profiles) => Profiles::Main(profiles.iter().map(profile).collect()),
                None => Profiles::Unsupported,
            },
        });
        let options = UkiOptions { epoch: EPOCH as u32, payload_align };
        uki.and_then(|uki| uki.assemble(&[], options)).map_err(|error| PlanError::unmakable(WHAT, error))
    }
}

/// Files of an EFI system partition with systemd-boot.
fn esp_files(recipe: &EspRecipe, gathered: &Gathered, uki: &PePlan) -> Result<Vec<FatFile>, PlanError> {
    let mut files = vec![
        FatFile::new(recipe.sd_boot_path.as_str(), gathered.file(ReleaseFile::SdBoot)?),
        FatFile::new(recipe.uki_path.as_str(), uki.layout.clone()),
        FatFile::new("loader/loader.conf", Layout::from_bytes(recipe.loader_conf.clone().into_bytes())),
    ];
    if recipe.random_seed == RandomSeed::Zeros {
        // systemd-boot makes the file where it is missing, and firmware may crash on a write to a CD.
        let mut seed = FatFile::new("loader/random-seed", Layout::from_bytes(vec![0; 32]));
        seed.read_only = true;
        files.push(seed);
    }
    Ok(files)
}

fn iso_image(
    recipe: &Recipe,
    iso: &IsoRecipe,
    gathered: &Gathered,
    uki: PePlan,
) -> Result<Layout, PlanError> {
    let Some(esp) = &iso.esp else { return Err(PlanError::NotYet("media with GRUB")) };
    let medium = Media::Uefi { esp: esp_files(esp, gathered, &uki)? };
    let options = MediaOptions {
        volume_id: iso.volume_id.clone(),
        volume_set_id: iso.volume_set_id.clone(),
        epoch: EPOCH,
        guid_label: format!("talos-iso-{}-{}", recipe.version.tag(), recipe.arch),
        scheme: medium.usual_scheme(),
    };
    let image = media(&options, &medium).map_err(|error| PlanError::unmakable("the ISO image", error))?;
    Ok(image.layout)
}

fn disk_image(
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
