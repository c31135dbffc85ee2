//! Installer images: layers of a base image, and one or two of our own (52-installer-images.md, 2).

use std::sync::Arc;

use factory_domain::asset::Target;
use factory_domain::ports::Reference;
use factory_domain::provenance::Material;
use factory_domain::recipe::{InstallerFile, InstallerRecipe, Recipe, ReleaseFile};
use factory_domain::schematic::SchematicId;
use factory_domain::{TalosVersion, asset};
use factory_formats::Layout;
use factory_formats::file_tree::FileTree;
use factory_formats::hash::HashFunction;
use factory_formats::oci_image::{
    Annotations, BaseConfig, Image, ImageOptions, Layer, LayerType, docker_archive,
};
use factory_formats::tar_layer::{TarEntry, archive, entries_of};
use factory_formats::uki::PayloadAlign;
use futures_util::future::{try_join_all, try_join3};

use super::gather::Gathered;
use super::{EPOCH, Options, PlanError, State};
use crate::parts::{BuildPart, HashSpec};
use crate::schematics::Stored;
use crate::sources::{FetchBase, ImageRef, SourceBase};

const WHAT: &str = "the installer";

/// An installer as a container image for one platform.
#[derive(Clone, Debug)]
pub struct InstallerImage {
    /// Its documents.
    pub image: Image,
    /// The bytes of its layers as transported, in the order of the image's layers.
    pub contents: Vec<Layout>,
    /// What it is made from.
    pub materials: Vec<Material>,
}

impl InstallerImage {
    /// The archive that `docker load` reads; there the image gets this name.
    pub(super) fn archive(&self, name: String) -> Result<Layout, PlanError> {
        docker_archive(&self.image, &self.contents, &[name])
            .map_err(|error| PlanError::unmakable(WHAT, error))
    }
}

/// Directories that an overlay layer implies and does not list.
const OVERLAY_ROOTS: [&str; 2] = ["overlay/artifacts", "overlay/installers"];

/// The layer of an overlay, whose files lie below `overlay/` (52-installer-images.md, 2.2): `artifacts`,
/// `installers/default` and `extra-options`, by ascending path.
fn overlay_entries(files: &FileTree<Layout>) -> Vec<TarEntry> {
    let mut entries = entries_of("overlay", files);
    entries.retain(|entry| !OVERLAY_ROOTS.contains(&entry.path.as_str()));
    entries
}

impl Options {
    /// The full name of an installer image, as clients pull it.
    pub(super) fn image_name(
        &self,
        target: &Target,
        schematic: &SchematicId,
        version: &TalosVersion,
    ) -> String {
        let name =
            asset::InstallerName { platform: target.platform.clone(), secure_boot: target.secure_boot };
        format!("{}/{name}/{schematic}:{}", self.external_host, version.tag())
    }
}

impl State {
    /// The image of a recipe. The first time, its own layers are read once for their digests.
    pub(super) async fn installer(
        self: &Arc<Self>,
        recipe: &Recipe,
        installer: &InstallerRecipe,
        stored: &Arc<Stored>,
    ) -> Result<InstallerImage, PlanError> {
        let gathered = self.gather_signed(recipe, stored);
        let (base, gathered, overlay) =
            try_join3(self.installer_base(recipe), gathered, self.overlay_files(recipe)).await?;
        let (state, work, files, schematic) =
            (Arc::clone(self), recipe.clone(), installer.clone(), Arc::clone(stored));
        let config_file = base.config;
        let (config, own) = self
            .workers
            .run("planning an installer", move || {
                let json = Layout::from_blob(config_file.digest, config_file.size);
                let json = json.to_vec(&*state.store).map_err(|error| {
                    state.missing(&json).unwrap_or_else(|| PlanError::unmakable(WHAT, error))
                })?;
                let config = BaseConfig::read(&json).map_err(|error| PlanError::unmakable(WHAT, error))?;
                let own = state.own_layers(&work, &files, &gathered, overlay.as_ref(), &schematic)?;
                Ok::<_, PlanError>((config, own))
            })
            .await??;
        let hashed = try_join_all(own.iter().map(|layout| async {
            let name = format!("a layer of installer {} {}", recipe.version.tag(), recipe.arch);
            let spec = HashSpec { name, layout: layout.clone(), function: HashFunction::Sha256 };
            let part = self.peers.hashes.ask(BuildPart { spec }).await?;
            let digest = part.digest()?;
            Ok::<_, PlanError>(Layer { kind: LayerType::Tar, digest, size: part.size, diff_id: digest })
        }))
        .await?;
        let below = base.layers.iter().map(|layer| Layer {
            kind: layer.kind,
            digest: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
        });
        let contents = base.layers.iter().map(|layer| Layout::from_blob(layer.digest, layer.size)).chain(own);
        let options = ImageOptions {
            architecture: recipe.arch.as_str(),
            created: EPOCH,
            base: &config,
            annotations: &annotations(&recipe.version, &stored.id, &config),
        };
        let image = Image::new(&options, below.chain(hashed).collect());
        let materials = self.materials(recipe, base.image).await?;
        Ok(InstallerImage { image, contents: contents.collect(), materials })
    }

    async fn installer_base(&self, recipe: &Recipe) -> Result<Arc<SourceBase>, PlanError> {
        let image = self.base_image(recipe)?;
        Ok(self.peers.sources.ask(FetchBase { image, arch: recipe.arch }).await?)
    }

    /// What an installer is built on.
    pub(super) fn base_image(&self, recipe: &Recipe) -> Result<ImageRef, PlanError> {
        let components = &self.options.components;
        let repository = match recipe.version.quirks().has_unified_installer() {
            true => &components.installer_base,
            false => &components.installer,
        };
        self.image(repository, Reference::Tag(recipe.version.tag()))
    }

    /// Our own layers, bottom first. Runs on a worker thread.
    fn own_layers(
        &self,
        recipe: &Recipe,
        installer: &InstallerRecipe,
        gathered: &Gathered,
        overlay: Option<&FileTree<Layout>>,
        stored: &Stored,
    ) -> Result<Vec<Layout>, PlanError> {
        let initramfs = self.initramfs(recipe, gathered, stored)?;
        let content = |file: InstallerFile| match (file, &recipe.uki) {
            (InstallerFile::Kernel, _) => gathered.file(ReleaseFile::Kernel),
            (InstallerFile::Initramfs, _) => Ok(initramfs.clone()),
            (InstallerFile::SdBoot, _) => gathered.sd_boot(),
            (InstallerFile::Uki, Some(uki)) => {
                Ok(self.uki(uki, gathered, initramfs.clone(), PayloadAlign::File)?.layout)
            }
            (InstallerFile::Uki, None) => Err(PlanError::unmakable(WHAT, "the recipe has no UKI")),
        };
        let files =
            installer.files.iter().map(|(path, file)| Ok(TarEntry::file(path.clone(), content(*file)?)));
        let mut layers = vec![files.collect::<Result<Vec<_>, PlanError>>()?];
        layers.extend(overlay.map(overlay_entries));
        let layers = layers.iter().map(|entries| archive(entries));
        layers.collect::<Result<_, _>>().map_err(|error| PlanError::unmakable(WHAT, error))
    }
}

/// Label of a base image that says where it comes from, which an image built on it repeats.
const SOURCE: &str = "org.opencontainers.image.source";

/// Notes in the manifest of an installer.
fn annotations(version: &TalosVersion, schematic: &SchematicId, base: &BaseConfig) -> Annotations {
    let mut annotations = version_annotations(version, schematic);
    annotations.extend(base.label(SOURCE).map(|source| (SOURCE.to_owned(), source.to_owned())));
    annotations
}

/// Notes that the manifests of an installer and the index over them share.
pub(crate) fn version_annotations(version: &TalosVersion, schematic: &SchematicId) -> Annotations {
    let notes = [
        ("dev.talos.factory.schematic", schematic.to_string()),
        ("dev.talos.factory.talos-version", version.tag()),
        ("org.opencontainers.image.version", version.tag()),
    ];
    notes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use factory_formats::file_tree::{Node, TreePath};

    use super::*;

    #[test]
    fn an_overlay_layer_has_what_the_installer_looks_for() {
        let mut files = FileTree::new();
        let mut put = |path: &str, mode| {
            let path = TreePath::clean(path).unwrap().unwrap();
            files.put(path, Node::file(mode, Layout::from_bytes("x")));
        };
        put("installers/default", 0o755);
        put("extra-options", 0o644);
        put("artifacts/arm64/u-boot/rpi/u-boot.bin", 0o644);
        let entries: Vec<_> =
            overlay_entries(&files).into_iter().map(|entry| (entry.path, entry.mode)).collect();
        let expected = [
            ("overlay/artifacts/arm64", 0o755),
            ("overlay/artifacts/arm64/u-boot", 0o755),
            ("overlay/artifacts/arm64/u-boot/rpi", 0o755),
            ("overlay/artifacts/arm64/u-boot/rpi/u-boot.bin", 0o644),
            ("overlay/extra-options", 0o644),
            ("overlay/installers/default", 0o755),
        ];
        assert_eq!(entries, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
