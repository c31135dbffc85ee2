//! UKIs, ISO images and disks of a recipe.

mod disk;
mod esp;
mod iso;
pub(super) mod uki;

use factory_domain::recipe::{OutputRecipe, Recipe, ReleaseFile};
use factory_formats::Layout;

pub(super) use self::iso::payload_align;
use super::gather::Gathered;
use super::{PlanError, State};
use crate::schematics::Stored;

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
    /// The asset without its compression, a disk without its format. Runs on a worker thread.
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
        let uki = recipe
            .uki
            .as_ref()
            .map(|uki| self.uki(uki, &gathered, initramfs.clone(), payload_align(&recipe.output)));
        let uki = uki.transpose()?;
        match &recipe.output {
            OutputRecipe::Initramfs => Ok(initramfs),
            OutputRecipe::Uki => match uki {
                Some(uki) => Ok(uki.layout),
                None => Err(PlanError::unmakable("the UKI", "the recipe has none")),
            },
            OutputRecipe::Iso(iso) => self.iso_image(recipe, iso, &gathered, initramfs, uki),
            OutputRecipe::Disk(disk) => self.disk_image(recipe, disk, &gathered, initramfs, uki),
            OutputRecipe::Kernel | OutputRecipe::Cmdline(_) | OutputRecipe::Installer(_) => {
                Err(PlanError::unmakable("the asset", "it is made elsewhere"))
            }
        }
    }
}
