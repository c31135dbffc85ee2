//! The ISO image of a recipe.

use factory_domain::recipe::{IsoKind, IsoRecipe, OutputRecipe, Recipe, ReleaseFile};
use factory_formats::Layout;
use factory_formats::fat::FatError;
use factory_formats::iso::{GrubMenu, IsoError, Media, MediaError, MediaOptions, media};
use factory_formats::pe::PePlan;
use factory_formats::uki::PayloadAlign;

use super::esp;
use crate::planner::gather::Gathered;
use crate::planner::{EPOCH, PlanError, State};

const WHAT: &str = "the ISO image";

/// Where in the UKI of an output the kernel begins. A hybrid ISO image points GRUB at the kernel inside of
/// the UKI, so that it needs no second copy; that takes the start of a block.
pub(in crate::planner) fn payload_align(output: &OutputRecipe) -> PayloadAlign {
    match output {
        OutputRecipe::Iso(IsoRecipe { kind: IsoKind::Hybrid, .. }) => PayloadAlign::Page,
        _ => PayloadAlign::File,
    }
}

impl State {
    /// The ISO image of a recipe. `uki` is what the recipe says of one.
    pub(super) fn iso_image(
        &self,
        recipe: &Recipe,
        iso: &IsoRecipe,
        gathered: &Gathered,
        initramfs: Layout,
        uki: Option<PePlan>,
    ) -> Result<Layout, PlanError> {
        let bios = self.bios_of_iso(recipe, gathered)?;
        let config = || iso.grub_cfg.clone().unwrap_or_default();
        let medium = match (&iso.esp, uki, bios) {
            (Some(esp), Some(uki), Some(bios)) => Media::Hybrid {
                esp: esp::systemd_boot(esp, gathered, &uki)?,
                uki_path: esp.uki_path.clone(),
                sections: uki.sections,
                config: config(),
                bios,
            },
            (Some(esp), Some(uki), None) => Media::Uefi { esp: esp::systemd_boot(esp, gathered, &uki)? },
            (Some(_), None, _) => return Err(PlanError::unmakable(WHAT, "the recipe has no UKI")),
            (None, _, bios) => Media::Grub {
                esp: esp::grub(recipe, iso.grub_efi_path.as_deref(), gathered)?,
                menu: GrubMenu { config: config(), kernel: gathered.file(ReleaseFile::Kernel)?, initramfs },
                bios,
            },
        };
        let options = MediaOptions {
            volume_id: iso.volume_id.clone(),
            volume_set_id: iso.volume_set_id.clone(),
            epoch: EPOCH,
            guid_label: format!("talos-iso-{}-{}", recipe.version.tag(), recipe.arch),
            scheme: medium.usual_scheme(),
        };
        let image = media(&options, &medium).map_err(|error| match error {
            MediaError::Esp(FatError::FileSize { .. }) | MediaError::Iso(IsoError::FileSize { .. }) => {
                PlanError::TooLarge { what: WHAT, reason: error.to_string() }
            }
            other => PlanError::unmakable(WHAT, other),
        })?;
        Ok(image.layout)
    }
}
