//! The files of an EFI system partition.

use factory_domain::recipe::{EspRecipe, RandomSeed, Recipe};
use factory_formats::Layout;
use factory_formats::fat::FatFile;
use factory_formats::pe::PePlan;

use crate::planner::PlanError;
use crate::planner::gather::Gathered;

/// systemd-boot, its configuration and a UKI.
pub(super) fn systemd_boot(
    recipe: &EspRecipe,
    gathered: &Gathered,
    uki: &PePlan,
) -> Result<Vec<FatFile>, PlanError> {
    let mut files = vec![
        FatFile::new(recipe.sd_boot_path.as_str(), gathered.sd_boot()?),
        FatFile::new(recipe.uki_path.as_str(), uki.layout.clone()),
        FatFile::new("loader/loader.conf", Layout::from_bytes(recipe.loader_conf.clone().into_bytes())),
    ];
    if recipe.random_seed == RandomSeed::Zeros {
        // systemd-boot makes the file where it is missing, and firmware may crash on a write to a CD.
        let mut seed = FatFile::new("loader/random-seed", Layout::from_bytes(vec![0; 32]));
        seed.read_only = true;
        files.push(seed);
    }
    files.extend(gathered.enrollment_files());
    Ok(files)
}

/// GRUB, which has everything else in another place.
pub(super) fn grub(
    recipe: &Recipe,
    path: Option<&str>,
    gathered: &Gathered,
) -> Result<Vec<FatFile>, PlanError> {
    let image = gathered.grub_efi(recipe)?;
    Ok(path.zip(image).map(|(path, image)| FatFile::new(path, image)).into_iter().collect())
}
