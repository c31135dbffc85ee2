//! Everything that a recipe needs, out of the store: fetched or built where it is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use factory_domain::catalog::ExtensionRef;
use factory_domain::extension::Manifest;
use factory_domain::ports::{Reference, SourceError};
use factory_domain::profile::ExtensionInput;
use factory_domain::recipe::{GrubCore, Recipe, ReleaseFile};
use factory_domain::{Arch, TalosVersion};
use factory_formats::extension::SystemDirectories;
use factory_formats::squashfs::Compressor;
use futures_util::future::try_join_all;
use semver::Version;

use super::overlay::Board;
use super::secure_boot::SignedBoot;
use super::{PlanError, State};
use crate::parts::{
    BuildPart, ExtensionPart, ExtensionSpec, GrubPart, IndexesPart, IndexesSpec, KernelFacts, KernelSpec,
    ModulesSpec,
};
use crate::sources::{FetchError, FetchFiles, FetchLayers, ImageRef, Selection, SourceFile};

/// What was gathered for a recipe.
pub(super) struct Gathered {
    /// Files of the release.
    pub files: BTreeMap<ReleaseFile, SourceFile>,
    /// Published extensions, by their place among all extensions of the recipe.
    pub extensions: BTreeMap<usize, Arc<ExtensionPart>>,
    /// Indexes over base and extension modules.
    pub indexes: Option<Arc<IndexesPart>>,
    /// GRUB's images.
    pub grub: BTreeMap<GrubCore, Arc<GrubPart>>,
    /// Boot files with signatures, once they are made; only for Secure Boot.
    pub signed: Option<SignedBoot>,
    /// What the kernel says of itself; only when a UKI is made.
    pub kernel: Option<Arc<KernelFacts>>,
    /// What a board needs on a disk; empty without an overlay and for everything else.
    pub board: Board,
}

/// Where a version has firmware and modules.
pub(super) fn directories(version: &TalosVersion) -> SystemDirectories {
    match version.quirks().kernel_modules_path() {
        "/lib/modules" => SystemDirectories::Separate,
        _ => SystemDirectories::UsrMerged,
    }
}

/// What a version compresses layers with.
pub(super) fn compressor(version: &TalosVersion) -> Compressor {
    if version.quirks().uses_zstd() { Compressor::Zstd } else { Compressor::Xz }
}

impl State {
    pub(super) async fn gather(&self, recipe: &Recipe) -> Result<Gathered, PlanError> {
        let files = self.release_files(recipe).await?;
        let extensions = self.extensions(recipe).await?;
        let with_modules: Vec<_> = extensions
            .values()
            .filter_map(|part| Some((part.manifest.metadata.name.clone(), part.modules?)))
            .collect();
        let indexes = match files.get(&ReleaseFile::Initramfs) {
            Some(initramfs) if !with_modules.is_empty() => {
                let name = format!("{} {}", recipe.version.tag(), recipe.arch);
                let directories = directories(&recipe.version);
                let spec = ModulesSpec {
                    name: name.clone(),
                    initramfs: initramfs.digest,
                    size: initramfs.size,
                    directories,
                };
                let base = self.peers.modules.ask(BuildPart { spec }).await?;
                let spec = IndexesSpec {
                    name,
                    base: (*base).clone(),
                    extensions: with_modules,
                    directories,
                    compressor: compressor(&recipe.version),
                };
                Some(self.peers.indexes.ask(BuildPart { spec }).await?)
            }
            _ => None,
        };
        let kernel = match files.get(&ReleaseFile::Kernel) {
            Some(image) if recipe.uki.is_some() => {
                let spec = KernelSpec { image: image.digest, size: image.size };
                Some(self.peers.kernels.ask(BuildPart { spec }).await?)
            }
            _ => None,
        };
        let grub = self.grub(recipe).await?;
        let board = self.board(recipe).await?;
        Ok(Gathered { files, extensions, indexes, grub, signed: None, kernel, board })
    }

    async fn release_files(&self, recipe: &Recipe) -> Result<BTreeMap<ReleaseFile, SourceFile>, PlanError> {
        let image = self.image(&self.options.components.imager, Reference::Tag(recipe.version.tag()))?;
        // One image holds the files of all architectures.
        let want = FetchFiles { image, arch: Arch::Amd64, selection: Selection::Below("usr/install/") };
        let release = self.peers.sources.ask(want).await?;
        let find = |file: ReleaseFile| {
            let path = file.path(recipe.arch);
            let found = release.files.get(&path).copied();
            found
                .map(|found| (file, found))
                .ok_or(PlanError::NoReleaseFile { version: recipe.version.tag(), path })
        };
        recipe.release_files.iter().map(|file| find(*file)).collect()
    }

    async fn extensions(&self, recipe: &Recipe) -> Result<BTreeMap<usize, Arc<ExtensionPart>>, PlanError> {
        let official = recipe.extensions.iter().enumerate().filter_map(|(place, input)| match input {
            ExtensionInput::Official(reference) => Some((place, reference)),
            ExtensionInput::Schematic { .. } | ExtensionInput::EmbeddedConfig => None,
        });
        let parts = try_join_all(official.map(|(place, reference)| async move {
            Ok::<_, PlanError>((place, self.extension(recipe, reference).await?))
        }));
        Ok(parts.await?.into_iter().collect())
    }

    async fn extension(
        &self,
        recipe: &Recipe,
        reference: &ExtensionRef,
    ) -> Result<Arc<ExtensionPart>, PlanError> {
        let image = self.image(&reference.repository, Reference::Digest(reference.digest))?;
        let layers = self.peers.sources.ask(FetchLayers { image, arch: recipe.arch }).await?;
        let spec = ExtensionSpec {
            name: format!("{} {}", reference.repository, recipe.arch),
            layers: layers.layers.clone(),
            directories: directories(&recipe.version),
            compressor: compressor(&recipe.version),
        };
        let part = self.peers.extensions.ask(BuildPart { spec }).await?;
        check_compatible(&part.manifest, &recipe.version)?;
        Ok(part)
    }

    pub(super) fn image(
        &self,
        repository: &factory_domain::ports::Repository,
        reference: Reference,
    ) -> Result<ImageRef, PlanError> {
        let repository = repository.under(&self.options.registry.namespace).map_err(|error| {
            PlanError::Fetch(FetchError::Source(SourceError::Invalid {
                what: "artifacts.core.namespace".to_owned(),
                source_name: "the configuration".to_owned(),
                reason: error.to_string(),
            }))
        })?;
        Ok(ImageRef { repository, reference })
    }
}

fn check_compatible(manifest: &Manifest, version: &TalosVersion) -> Result<(), PlanError> {
    let (major, minor, patch) = version.core();
    manifest.check_talos(&Version::new(major, minor, patch))?;
    Ok(())
}
