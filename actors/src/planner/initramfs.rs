//! The initramfs of a recipe.

use std::io::Cursor;
use std::num::NonZeroUsize;

use bytes::Bytes;
use factory_domain::extension::{
    Edition, EntryKind, GeneratedExtension, Layer, Metadata, SchematicInfo, embedded_config, layers_yaml,
    schematic,
};
use factory_domain::profile::ExtensionInput;
use factory_domain::recipe::{Recipe, ReleaseFile};
use factory_formats::Layout;
use factory_formats::decompress::Compression;
use factory_formats::encode::{
    Codec, CompressedBlobs, EncodeError, EncodeOptions, XzCheck, encode, zstd_stored,
};
use factory_formats::extension::Microcode;
use factory_formats::file_tree::{Attributes, FileTree, InlineTree, TreePath};
use factory_formats::initramfs::{Ingredients, MODULES_DEP, base_compression, layer_name};
use factory_formats::squashfs::{self, Compressor};

use super::gather::{Gathered, compressor};
use super::{PlanError, State};
use crate::parts::Piece;
use crate::schematics::Stored;

const WHAT: &str = "the initramfs";

impl State {
    /// Base, microcode, layers, firmware. Runs on a worker thread.
    pub(super) fn initramfs(
        &self,
        recipe: &Recipe,
        gathered: &Gathered,
        stored: &Stored,
    ) -> Result<Layout, PlanError> {
        let base = gathered.file(ReleaseFile::Initramfs)?;
        let compression = base_compression(&base, &*self.store)
            .map_err(|error| self.missing(&base).unwrap_or_else(|| PlanError::unmakable(WHAT, error)))?;
        let (mut layers, mut list) = (Vec::new(), Vec::new());
        let (mut microcode, mut firmware) = (Microcode::default(), FileTree::new());
        for (place, input) in recipe.extensions.iter().enumerate() {
            let (layer, metadata) = match (input, gathered.extensions.get(&place)) {
                (ExtensionInput::Official(_), Some(part)) => {
                    microcode.intel.extend(part.microcode.intel.iter().map(Piece::layout));
                    microcode.amd.extend(part.microcode.amd.iter().map(Piece::layout));
                    let files =
                        part.firmware.clone().try_map(|_, piece| Ok::<_, PlanError>(piece.layout()))?;
                    firmware.overlay(files);
                    (part.layer.layout(), part.manifest.metadata.clone())
                }
                (ExtensionInput::Official(reference), None) => {
                    return Err(PlanError::unmakable(
                        WHAT,
                        format!("{} was not gathered", reference.repository),
                    ));
                }
                (ExtensionInput::Schematic { with_text, .. }, _) => {
                    let text = String::from_utf8_lossy(&stored.canonical);
                    let info = if *with_text { SchematicInfo::Text(&text) } else { SchematicInfo::Id };
                    let made = schematic(&stored.id, info, Edition::Open, &self.options.external_url);
                    (generated(&made, compressor(&recipe.version))?, made.manifest.metadata)
                }
                (ExtensionInput::EmbeddedConfig, _) => {
                    let made = embedded_config(&recipe.embedded_machine_configuration);
                    (generated(&made, compressor(&recipe.version))?, made.manifest.metadata)
                }
            };
            list.push(Layer { image: layer_name(place).to_string(), metadata });
            layers.push(layer);
        }
        if let Some(indexes) = &gathered.indexes {
            list.push(Layer { image: MODULES_DEP.to_owned(), metadata: modules_dep(&indexes.release) });
        }
        let ingredients = Ingredients {
            base,
            compression,
            microcode,
            layers,
            modules_dep: gathered.indexes.as_ref().map(|indexes| indexes.layer.layout()),
            extensions_yaml: Bytes::from(layers_yaml(&list)),
            firmware,
        };
        ingredients
            .assemble(|compression, added| self.compress_added(compression, added))
            .map_err(|error| PlanError::unmakable(WHAT, error))
    }

    /// Stored blocks in the compression of the base: what is added is compressed already.
    fn compress_added(&self, compression: Compression, added: &Layout) -> Result<Layout, EncodeError> {
        match compression {
            Compression::Xz => {
                let options = EncodeOptions { xz_check: XzCheck::Crc32, ..EncodeOptions::default() };
                encode(added, Codec::Xz, &options, &CompressedBlobs::new(), &*self.store)
            }
            _ => Ok(zstd_stored(added)),
        }
    }

    /// The error for a blob of `layout` that is not in the store any more.
    pub(super) fn missing(&self, layout: &Layout) -> Option<PlanError> {
        self.store.lease(&layout.blobs()).err().map(PlanError::Store)
    }
}

/// What `extensions.yaml` says about the layer of module indexes.
fn modules_dep(release: &str) -> Metadata {
    Metadata {
        name: "modules.dep".to_owned(),
        version: release.to_owned(),
        author: "Talos Machinery".to_owned(),
        description: "Combined modules.dep for all extensions".to_owned(),
        ..Metadata::default()
    }
}

/// A generated extension as a squashfs image. They are tiny and belong to one schematic, so they are made
/// here and kept nowhere.
fn generated(extension: &GeneratedExtension, compressor: Compressor) -> Result<Layout, PlanError> {
    let fault = |error: &dyn std::fmt::Display| PlanError::unmakable("a generated extension", error);
    let mut tree = InlineTree::new();
    for entry in &extension.entries {
        let Some(path) = entry.rootfs_path() else { continue };
        let Some(path) = TreePath::clean(path).map_err(|error| fault(&error))? else { continue };
        let attributes =
            Attributes { label: entry.selinux_label.map(str::to_owned), ..Attributes::mode(entry.mode) };
        match &entry.kind {
            EntryKind::Directory => tree.directory(path, entry.mode),
            EntryKind::File(content) => tree.file(path, attributes, content),
        };
    }
    let options = squashfs::Options { compressor, threads: NonZeroUsize::MIN };
    let mut image = Cursor::new(Vec::new());
    squashfs::write(tree.tree(), &mut tree.spool(), &options, &mut image).map_err(|error| fault(&error))?;
    Ok(Layout::from_bytes(image.into_inner()))
}
