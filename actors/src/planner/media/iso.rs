//! The ISO image of a recipe.

use factory_domain::recipe::{IsoRecipe, Recipe};
use factory_formats::Layout;
use factory_formats::iso::{Media, MediaOptions, media};
use factory_formats::pe::PePlan;

use super::esp::esp_files;
use crate::planner::gather::Gathered;
use crate::planner::{EPOCH, PlanError};

pub(super) fn iso_image(
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
