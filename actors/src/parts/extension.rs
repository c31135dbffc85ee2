//! Extensions: taken apart and squashed, once for each image and way of packing.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use factory_domain::extension::Manifest;
use factory_domain::ports::{BlobKind, BlobRef, ScratchFile};
use factory_formats::Digest;
use factory_formats::depmod::ModuleFacts;
use factory_formats::extension::{self, Microcode, SystemDirectories};
use factory_formats::file_tree::{FileTree, Span};
use factory_formats::oci_layers::{Limits, flatten_tree};
use factory_formats::squashfs::{self, Compressor};
use serde::{Deserialize, Serialize};

use super::piece::{Bundle, Piece, Unnamed, disk, keep};
use super::{Bench, Built, PartError, PartKind};
use crate::sources::{SourceLayer, StoredLayers};

/// Extensions.
pub struct Extension;

/// Which extension, and how it is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionSpec {
    /// For people: `siderolabs/drbd amd64`.
    pub name: String,
    /// The layers of its image, bottom first.
    pub layers: Vec<SourceLayer>,
    /// Where the Talos version has firmware and modules.
    pub directories: SystemDirectories,
    /// What the Talos version compresses layers with.
    pub compressor: Compressor,
}

/// An extension, taken apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtensionPart {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The squashfs image.
    pub layer: Piece,
    /// Firmware for the initramfs itself.
    pub firmware: FileTree<Piece>,
    /// Processor microcode.
    pub microcode: Microcode<Piece>,
    /// What its kernel modules say, as JSON of [`ModulesByRelease`]. None without a directory of modules.
    pub modules: Option<Piece>,
}

/// Kernel releases and what the modules for them say.
pub(super) type ModulesByRelease = BTreeMap<String, Vec<ModuleFacts>>;

/// Longest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 1 << 20;

impl PartKind for Extension {
    const NAME: &'static str = "extension/v1";
    type Spec = ExtensionSpec;
    type Value = ExtensionPart;

    fn subject(spec: &ExtensionSpec) -> String {
        let layers: Vec<_> = spec.layers.iter().map(|layer| layer.digest.to_string()).collect();
        format!("{:?} {:?} {}", spec.directories, spec.compressor, layers.join(" "))
    }

    fn label(spec: &ExtensionSpec) -> String {
        format!("extension {}", spec.name)
    }

    fn inputs(spec: &ExtensionSpec) -> Vec<Digest> {
        spec.layers.iter().map(|layer| layer.digest).collect()
    }

    fn build(spec: &ExtensionSpec, bench: &Bench) -> Result<Built<ExtensionPart>, PartError> {
        let wrong = |error: &dyn std::fmt::Display| PartError::input(Self::label(spec), error);
        let layers = spec.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let layers = StoredLayers::new(Arc::clone(&bench.store), layers);
        let mut spool = BufWriter::new(bench.scratch.file().map_err(|error| disk(&error))?);
        let flat = flatten_tree(&layers, &Limits::default(), &mut spool).map_err(|error| wrong(&error))?;
        for note in &flat.notes {
            tracing::debug!(extension = spec.name, ?note, "left out");
        }
        let mut spool = spool.into_inner().map_err(|error| disk(error.error()))?;
        let parts =
            extension::Extension::split(flat.tree, spec.directories).map_err(|error| wrong(&error))?;
        let manifest = parts.manifest.read(&mut spool, MAX_MANIFEST).map_err(|error| wrong(&error))?;
        let manifest = Manifest::parse(&manifest).map_err(|error| wrong(&error))?;

        let mut blobs = Vec::new();
        let modules = match &parts.modules {
            Some(modules) => {
                let mut facts = ModulesByRelease::new();
                for (release, files) in modules.releases() {
                    let known = facts.entry(release.to_owned()).or_default();
                    for file in files {
                        let content = file.content.open(&mut spool).map_err(|error| disk(&error))?;
                        known.push(
                            ModuleFacts::read(file.path.clone(), content).map_err(|error| wrong(&error))?,
                        );
                    }
                }
                let json = serde_json::to_vec(&facts).map_err(|error| wrong(&error))?;
                let blob = keep(&*bench.store, &json)?;
                let piece = Piece::whole(&blob);
                blobs.push(blob);
                Some(piece)
            }
            None => None,
        };
        let (firmware, microcode) = bundle(&parts.firmware, &parts.microcode, &mut spool, bench, &mut blobs)?;
        let layer = squash(&parts.rootfs, &mut spool, spec.compressor, bench)?;
        let part = ExtensionPart { manifest, layer: Piece::whole(&layer), firmware, microcode, modules };
        blobs.push(layer);
        Ok(Built { value: part, blobs })
    }
}

/// Keeps firmware and microcode in one blob.
fn bundle(
    firmware: &FileTree<Span>,
    microcode: &Microcode<Span>,
    spool: &mut Box<dyn ScratchFile>,
    bench: &Bench,
    blobs: &mut Vec<BlobRef>,
) -> Result<(FileTree<Piece>, Microcode<Piece>), PartError> {
    let mut bundle = Bundle::new(&*bench.store)?;
    let mut append = |span: Span| {
        let mut content = span.open(spool).map_err(|error| disk(&error))?;
        bundle.append(&mut content)
    };
    let firmware = firmware.clone().try_map(|_, span| append(span))?;
    let mut all = |spans: &[Span]| spans.iter().map(|span| append(*span)).collect::<Result<Vec<_>, _>>();
    let (intel, amd) = (all(&microcode.intel)?, all(&microcode.amd)?);
    // Without a byte in it there is no blob; pieces of no bytes then point nowhere, and are never read.
    let blob = bundle.finish()?;
    let digest = blob.as_ref().map_or(Digest::of(b""), |blob| blob.info.digest);
    blobs.extend(blob);
    let named = |piece: Unnamed| piece.named(digest);
    let firmware = firmware.try_map(|_, piece| Ok::<_, PartError>(named(piece)))?;
    let name_all = |pieces: Vec<Unnamed>| pieces.into_iter().map(named).collect();
    Ok((firmware, Microcode { intel: name_all(intel), amd: name_all(amd) }))
}

/// Squashes a tree into a blob. The image is made in scratch space, for its first bytes are known last.
pub(super) fn squash(
    tree: &FileTree<Span>,
    spool: &mut (impl Read + Seek),
    compressor: Compressor,
    bench: &Bench,
) -> Result<BlobRef, PartError> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = squashfs::Options { compressor, threads };
    let mut image = BufWriter::new(bench.scratch.file().map_err(|error| disk(&error))?);
    squashfs::write(tree, spool, &options, &mut image).map_err(|error| match error {
        squashfs::WriteError::Io(error) => disk(&error),
        other => PartError::input("a layer", other),
    })?;
    image.flush().map_err(|error| disk(&error))?;
    let mut image = image.into_inner().map_err(|error| disk(error.error()))?;
    image.seek(SeekFrom::Start(0)).map_err(|error| disk(&error))?;
    let mut blob = bench.store.create(BlobKind::Part)?;
    io::copy(&mut image, &mut blob).map_err(|error| disk(&error))?;
    Ok(blob.commit()?)
}
