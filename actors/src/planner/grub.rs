//! GRUB's images for a recipe.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use factory_domain::Arch;
use factory_domain::ports::Reference;
use factory_domain::recipe::{GrubCore, Recipe};
use factory_formats::Layout;
use factory_formats::disk::BiosImages;
use factory_formats::iso::BiosBoot;
use futures_util::future::try_join_all;

use super::gather::Gathered;
use super::{PlanError, State};
use crate::parts::{BuildPart, GrubPart, GrubSpec, Piece};
use crate::sources::{FetchFiles, Selection, SourceFile};

/// Longest image for BIOS, in bytes. It is read whole, because it is told where on the medium it lies.
const MAX_BIOS_IMAGE: u64 = 1 << 20;

/// The file without which a directory of GRUB is none.
const KERNEL: &str = "kernel.img";

impl State {
    /// GRUB's images of a recipe, made where they are missing.
    pub(super) async fn grub(&self, recipe: &Recipe) -> Result<BTreeMap<GrubCore, Arc<GrubPart>>, PlanError> {
        let parts = try_join_all(recipe.grub.iter().map(|core| async move {
            let directory = self.grub_directory(recipe, core).await?;
            let spec = GrubSpec { core, directory, tool: self.options.grub_tool.clone() };
            Ok::<_, PlanError>((core, self.peers.grub.ask(BuildPart { spec }).await?))
        }));
        Ok(parts.await?.into_iter().collect())
    }

    /// The release's GRUB for a platform. Its image for amd64 has all platforms; where it does not, the one
    /// for the machine at hand does.
    async fn grub_directory(
        &self,
        recipe: &Recipe,
        core: GrubCore,
    ) -> Result<BTreeMap<String, SourceFile>, PlanError> {
        let folder = core.platform.directory();
        let image = self.image(&self.options.components.imager, Reference::Tag(recipe.version.tag()))?;
        let mut images = vec![Arch::Amd64, recipe.arch];
        images.dedup();
        for arch in images {
            let want = FetchFiles { image: image.clone(), arch, selection: Selection::Grub(folder) };
            let found = self.peers.sources.ask(want).await?;
            let names = found
                .files
                .iter()
                .filter_map(|(path, file)| Some((path.strip_prefix(folder)?.to_owned(), *file)));
            let directory: BTreeMap<_, _> = names.collect();
            if directory.contains_key(KERNEL) {
                return Ok(directory);
            }
        }
        Err(PlanError::NoReleaseFile { version: recipe.version.tag(), path: format!("{folder}{KERNEL}") })
    }

    /// The half for BIOS of a disk, when the recipe has one.
    pub(super) fn bios_of_disk(
        &self,
        recipe: &Recipe,
        gathered: &Gathered,
    ) -> Result<Option<BiosImages>, PlanError> {
        let Some(core) = recipe.grub.bios else { return Ok(None) };
        let (core, boot) = self.bios_images(gathered.grub(core)?)?;
        Ok(Some(BiosImages { boot, core }))
    }

    /// The half for BIOS of an ISO image, when the recipe has one.
    pub(super) fn bios_of_iso(
        &self,
        recipe: &Recipe,
        gathered: &Gathered,
    ) -> Result<Option<BiosBoot>, PlanError> {
        let Some(core) = recipe.grub.bios else { return Ok(None) };
        let (eltorito, boot_hybrid) = self.bios_images(gathered.grub(core)?)?;
        Ok(Some(BiosBoot { eltorito, boot_hybrid }))
    }

    fn bios_images(&self, part: &GrubPart) -> Result<(Bytes, Bytes), PlanError> {
        let read = |piece: &Piece| Ok::<_, PlanError>(piece.read(&*self.store, MAX_BIOS_IMAGE)?.into());
        let boot = part.boot_sector.as_ref();
        let boot = boot.ok_or_else(|| PlanError::unmakable("GRUB", "it has no boot sector"))?;
        Ok((read(&part.core)?, read(boot)?))
    }
}

impl Gathered {
    fn grub(&self, core: GrubCore) -> Result<&GrubPart, PlanError> {
        let found = self.grub.get(&core);
        let part =
            found.ok_or_else(|| PlanError::unmakable("the asset", format!("{core:?} was not gathered")))?;
        Ok(part)
    }

    /// GRUB for UEFI, when the recipe has it.
    pub(super) fn grub_efi(&self, recipe: &Recipe) -> Result<Option<Layout>, PlanError> {
        recipe.grub.efi.map(|core| Ok(self.grub(core)?.core.layout())).transpose()
    }
}
