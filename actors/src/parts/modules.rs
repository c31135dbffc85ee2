//! Kernel modules: what those of the base system say, and indexes over base and extensions.

use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};

use factory_formats::Digest;
use factory_formats::depmod::{BaseModules, ModuleFacts, Search, index_layer, write_indexes};
use factory_formats::extension::{ForeignKernel, SystemDirectories};
use factory_formats::initramfs::{ROOTFS, copy_file};
use factory_formats::squashfs::{self, Compressor};
use serde::{Deserialize, Serialize};

use super::extension::{ModulesByRelease, squash};
use super::piece::{Piece, disk, keep};
use super::{Bench, Built, PartError, PartKind};
use crate::blob_reader::BlobReader;

/// Modules of base systems.
pub struct Modules;

/// Which base system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModulesSpec {
    /// For people: `v1.12.4 amd64`.
    pub name: String,
    /// The initramfs of the release.
    pub initramfs: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Where the Talos version has modules.
    pub directories: SystemDirectories,
}

/// The modules of a base system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulesPart {
    /// Kernel release.
    pub release: String,
    /// What the modules say, as JSON of [`BaseModules`].
    pub facts: Piece,
}

/// Largest root file system that is unpacked, in bytes.
const MAX_ROOTFS: u64 = 4 << 30;

/// Largest description of modules that is read into memory, in bytes.
const MAX_FACTS: u64 = 256 << 20;

impl PartKind for Modules {
    const NAME: &'static str = "base-modules/v1";
    type Spec = ModulesSpec;
    type Value = ModulesPart;

    fn subject(spec: &ModulesSpec) -> String {
        format!("{:?} {}", spec.directories, spec.initramfs)
    }

    fn label(spec: &ModulesSpec) -> String {
        format!("modules of {}", spec.name)
    }

    fn inputs(spec: &ModulesSpec) -> Vec<Digest> {
        vec![spec.initramfs]
    }

    fn build(spec: &ModulesSpec, bench: &Bench) -> Result<Built<ModulesPart>, PartError> {
        let wrong = |error: &dyn std::fmt::Display| PartError::input(Self::label(spec), error);
        let base = BufReader::new(BlobReader::new(&*bench.store, spec.initramfs, spec.size));
        let mut image = BufWriter::new(bench.scratch.file().map_err(|error| disk(&error))?);
        copy_file(base, ROOTFS, MAX_ROOTFS, &mut image).map_err(|error| wrong(&error))?;
        image.flush().map_err(|error| disk(&error))?;
        let mut image = image.into_inner().map_err(|error| disk(error.error()))?;
        image.seek(SeekFrom::Start(0)).map_err(|error| disk(&error))?;
        let image = squashfs::Reader::open(BufReader::new(image)).map_err(|error| wrong(&error))?;
        let modules =
            BaseModules::read(&image, &spec.directories.modules()).map_err(|error| wrong(&error))?;
        let json = serde_json::to_vec(&modules).map_err(|error| wrong(&error))?;
        let blob = keep(&*bench.store, &json)?;
        let part = ModulesPart { release: modules.release, facts: Piece::whole(&blob) };
        Ok(Built { value: part, blobs: vec![blob] })
    }
}

/// Module indexes.
pub struct Indexes;

/// What the indexes are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexesSpec {
    /// For people: `v1.12.4 amd64`.
    pub name: String,
    /// The base system.
    pub base: ModulesPart,
    /// Names of extensions and what their modules say, in their order.
    pub extensions: Vec<(String, Piece)>,
    /// Where the Talos version has modules.
    pub directories: SystemDirectories,
    /// What the Talos version compresses layers with.
    pub compressor: Compressor,
}

/// A layer of module indexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexesPart {
    /// Kernel release.
    pub release: String,
    /// The squashfs image.
    pub layer: Piece,
}

impl PartKind for Indexes {
    const NAME: &'static str = "module-indexes/v1";
    type Spec = IndexesSpec;
    type Value = IndexesPart;

    fn subject(spec: &IndexesSpec) -> String {
        let extensions: Vec<_> = spec.extensions.iter().map(|(_, facts)| facts.blob.to_string()).collect();
        format!(
            "{:?} {:?} {} {}",
            spec.directories,
            spec.compressor,
            spec.base.facts.blob,
            extensions.join(" ")
        )
    }

    fn label(spec: &IndexesSpec) -> String {
        let names: Vec<_> = spec.extensions.iter().map(|(name, _)| name.as_str()).collect();
        format!("module indexes of {} with {}", spec.name, names.join(", "))
    }

    fn inputs(spec: &IndexesSpec) -> Vec<Digest> {
        let extensions = spec.extensions.iter().map(|(_, facts)| facts.blob);
        std::iter::once(spec.base.facts.blob).chain(extensions).collect()
    }

    fn build(spec: &IndexesSpec, bench: &Bench) -> Result<Built<IndexesPart>, PartError> {
        let wrong = |error: &dyn std::fmt::Display| PartError::input(Self::label(spec), error);
        let base = spec.base.facts.read(&*bench.store, MAX_FACTS)?;
        let base: BaseModules = serde_json::from_slice(&base).map_err(|error| wrong(&error))?;
        let mut extensions = Vec::new();
        for (name, facts) in &spec.extensions {
            let facts = facts.read(&*bench.store, MAX_FACTS)?;
            let by_release: ModulesByRelease =
                serde_json::from_slice(&facts).map_err(|error| wrong(&error))?;
            extensions.push(for_kernel(by_release, name, &base.release)?);
        }
        let slices: Vec<&[ModuleFacts]> = extensions.iter().map(Vec::as_slice).collect();
        let files = write_indexes(&base, &slices, Search::Updates).map_err(|error| wrong(&error))?;
        let tree =
            index_layer(&spec.directories.modules(), &base.release, &files).map_err(|error| wrong(&error))?;
        let layer = squash(tree.tree(), &mut tree.spool(), spec.compressor, bench)?;
        let part = IndexesPart { release: base.release, layer: Piece::whole(&layer) };
        Ok(Built { value: part, blobs: vec![layer] })
    }
}

/// The modules of an extension for the kernel of the base system.
fn for_kernel(
    mut modules: ModulesByRelease,
    name: &str,
    wanted: &str,
) -> Result<Vec<ModuleFacts>, PartError> {
    modules.remove(wanted).ok_or_else(|| {
        let found = modules.into_keys().collect();
        let error = ForeignKernel { extension: name.to_owned(), found, wanted: wanted.to_owned() };
        PartError::input(format!("extension {name}"), error)
    })
}
