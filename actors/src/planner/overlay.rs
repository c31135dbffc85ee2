//! What an overlay has a say in: the profile, the command line, and disks (`20-profiles.md` §9,
//! `41-disk-images.md` §8).

use std::sync::Arc;

use factory_domain::Arch;
use factory_domain::asset::AssetPath;
use factory_domain::catalog::OverlayRef;
use factory_domain::goyaml::Mapping;
use factory_domain::overlay_program::{OverlayOptions, options_yaml};
use factory_domain::ports::Reference;
use factory_domain::profile::{Kind, OverlayProfile};
use factory_domain::recipe::{OutputRecipe, Recipe};
use factory_domain::schematic::Schematic;
use factory_formats::Layout;
use factory_formats::disk::RawWrite;
use factory_formats::fat::FatFile;
use factory_formats::file_tree::{FileTree, Node, NodeKind, TreePath};

use super::{PlanError, State};
use crate::parts::{
    BuildPart, OverlayAnswerSpec, OverlayImage, OverlayInstallPart, OverlayInstallSpec, PartError, Piece,
};
use crate::sources::{FetchFiles, FetchLayers, ImageRef, Selection};

/// Longest profile of an overlay, in bytes. Known ones have a few hundred.
const MAX_PROFILE: u64 = 1 << 20;

/// What an overlay wants of an asset.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// From its image.
    pub profile: OverlayProfile,
    /// From its program.
    pub options: Arc<OverlayOptions>,
}

/// Which wishes matter to an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Say {
    /// None.
    Nothing,
    /// Those of its profile: the asset has no command line.
    Profile,
    /// All.
    Everything,
}

impl Say {
    fn of(path: &AssetPath) -> Self {
        match path.request().output.kind {
            Kind::Kernel => Self::Nothing,
            Kind::Initramfs => Self::Profile,
            _ => Self::Everything,
        }
    }
}

/// What a board needs on a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    /// Sectors between the header of the partition table and its entries.
    pub skip: u64,
    files: Arc<OverlayInstallPart>,
}

impl Board {
    /// Its data outside of partitions.
    pub fn raw_writes(&self) -> Vec<RawWrite> {
        let write = |(offset, piece): &(u64, Piece)| RawWrite { offset: *offset, content: piece.layout() };
        self.files.writes.iter().map(write).collect()
    }

    /// Adds its files to those of the EFI system partition. A file of the board takes the place of one with
    /// the same name, which FAT compares without case: its program was there last.
    pub fn add_to_esp(&self, esp: &mut Vec<FatFile>) {
        for (path, node) in self.files.esp.iter() {
            let NodeKind::File(piece) = &node.kind else { continue };
            esp.retain(|file| !same_name(&file.path, path.as_str()));
            esp.push(FatFile::new(path.as_str(), piece.layout()));
        }
    }
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

impl State {
    /// What the overlay of a schematic wants of an asset.
    pub(super) async fn wishes(
        &self,
        overlay: &OverlayRef,
        schematic: &Schematic,
        path: &AssetPath,
    ) -> Result<Wishes, PlanError> {
        let say = Say::of(path);
        if say == Say::Nothing {
            return Ok(Wishes::default());
        }
        let profile = self.overlay_profile(overlay, path.request().arch).await?;
        let options = match say {
            Say::Everything => self.overlay_options(overlay, &schematic.overlay.options).await?,
            _ => Arc::default(),
        };
        Ok(Wishes { profile, options })
    }

    async fn overlay_profile(&self, overlay: &OverlayRef, arch: Arch) -> Result<OverlayProfile, PlanError> {
        let want = FetchFiles {
            image: self.overlay_reference(overlay)?,
            arch,
            selection: Selection::Below("profiles/"),
        };
        let found = self.peers.sources.ask(want).await?;
        let path = format!("profiles/{}.yaml", overlay.name);
        let Some(file) = found.files.get(&path) else { return Ok(OverlayProfile::default()) };
        let piece = Piece { blob: file.digest, offset: 0, len: file.size };
        let (store, name) = (Arc::clone(&self.store), overlay.name.clone());
        let read = self.workers.run("reading the profile of an overlay", move || {
            let yaml = piece.read(&*store, MAX_PROFILE)?;
            OverlayProfile::parse(&name, &yaml)
                .map_err(|error| PartError::input(format!("overlay {name}"), error))
        });
        Ok(read.await??)
    }

    /// What the overlay's program answers. Asked once for each set of options.
    async fn overlay_options(
        &self,
        overlay: &OverlayRef,
        options: &Mapping,
    ) -> Result<Arc<OverlayOptions>, PlanError> {
        let host = self.overlay_image(overlay, self.options.host_arch).await?;
        let spec = OverlayAnswerSpec { host, options: options.clone() };
        Ok(self.peers.overlay_answers.ask(BuildPart { spec }).await?)
    }

    /// What the overlay's program puts on a disk. Run once for each set of options. Empty without an overlay,
    /// and for everything that is no disk.
    pub(super) async fn board(&self, recipe: &Recipe) -> Result<Board, PlanError> {
        let (OutputRecipe::Disk(_), Some(overlay)) = (&recipe.output, &recipe.overlay) else {
            return Ok(Board::default());
        };
        let options = self.overlay_options(overlay, &recipe.overlay_options).await?;
        let spec = OverlayInstallSpec {
            host: self.overlay_image(overlay, self.options.host_arch).await?,
            target: self.overlay_image(overlay, recipe.arch).await?,
            options: recipe.overlay_options.clone(),
        };
        let files = self.peers.overlay_installs.ask(BuildPart { spec }).await?;
        Ok(Board { skip: options.partition_offset, files })
    }

    /// What an installer carries of its overlay, below `overlay/` (`52-installer-images.md` §3).
    pub(super) async fn overlay_files(&self, recipe: &Recipe) -> Result<Option<FileTree<Layout>>, PlanError> {
        let Some(overlay) = &recipe.overlay else { return Ok(None) };
        let spec = self.overlay_image(overlay, recipe.arch).await?;
        let part = self.peers.overlay_layers.ask(BuildPart { spec }).await?;
        let mut files = part.files.clone().try_map(|_, piece| Ok::<_, PlanError>(piece.layout()))?;
        let options = options_yaml(&recipe.overlay_options);
        let path = TreePath::clean("extra-options").ok().flatten();
        let path = path.ok_or_else(|| PlanError::unmakable("the overlay of an installer", "no path"))?;
        files.put(path, Node::file(0o644, Layout::from_bytes(options.into_bytes())));
        Ok(Some(files))
    }

    async fn overlay_image(&self, overlay: &OverlayRef, arch: Arch) -> Result<OverlayImage, PlanError> {
        let want = FetchLayers { image: self.overlay_reference(overlay)?, arch };
        let layers = self.peers.sources.ask(want).await?;
        Ok(OverlayImage { name: overlay.name.clone(), layers: layers.layers.clone() })
    }

    fn overlay_reference(&self, overlay: &OverlayRef) -> Result<ImageRef, PlanError> {
        self.image(&overlay.image.repository, Reference::Digest(overlay.digest))
    }
}

#[cfg(test)]
mod tests {
    use factory_formats::Digest;

    use super::*;

    fn board(files: &[&str]) -> Board {
        let piece = Piece { blob: Digest::of(b"x"), offset: 0, len: 1 };
        let mut esp = FileTree::new();
        for path in files {
            esp.put(path.parse().unwrap(), Node::file(0o644, piece));
        }
        Board { skip: 0, files: Arc::new(OverlayInstallPart { writes: vec![(512, piece)], esp }) }
    }

    #[test]
    fn files_of_a_board_join_and_replace() {
        let mut esp = vec![
            FatFile::new("EFI/boot/BOOTAA64.efi", Layout::from_bytes(vec![1, 2])),
            FatFile::new("loader/loader.conf", Layout::default()),
        ];
        board(&["efi/BOOT/bootaa64.EFI", "dtb/x.dtb"]).add_to_esp(&mut esp);
        let paths: Vec<_> = esp.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["loader/loader.conf", "dtb/x.dtb", "efi/BOOT/bootaa64.EFI"]);
        assert_eq!(board(&[]).raw_writes().len(), 1);
    }

    #[test]
    fn overlays_have_a_say_where_there_is_a_command_line() {
        let say = |path: &str| Say::of(&AssetPath::parse(path).unwrap());
        for path in [
            "metal-arm64.raw",
            "metal-arm64.iso",
            "metal-arm64-uki.efi",
            "installer-arm64.tar",
            "cmdline-metal-arm64",
        ] {
            assert_eq!(say(path), Say::Everything, "{path}");
        }
        assert_eq!(say("initramfs-arm64.xz"), Say::Profile);
        assert_eq!(say("kernel-arm64"), Say::Nothing);
    }
}
