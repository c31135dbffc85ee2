//! The initramfs of an image: early microcode, the base initramfs as it is, and what was added.
//!
//! ```text
//! cpio with kernel/x86/microcode/*, only if there is any      uncompressed
//! base initramfs                                              byte for byte
//! cpio with layers, extensions.yaml, modules.dep, firmware    compressed like the base
//! ```
//!
//! The result is a layout; what is compressed here is compressed already, so stored blocks will do.

mod base;

pub use base::{BaseError, base_compression, copy_file};

use std::error::Error;

use bytes::Bytes;

use crate::cpio;
use crate::decompress::Compression;
use crate::extension::Microcode;
use crate::file_tree::{DEFAULT_DIRECTORY_MODE, FileTree, NodeKind, TreePath};
use crate::{Layout, LayoutBuilder};

/// Name of the root file system in a base initramfs.
pub const ROOTFS: &str = "rootfs.sqsh";
/// Name of the layer with the module indexes.
pub const MODULES_DEP: &str = "modules.dep.sqsh";
/// Name of the file that lists the layers.
pub const EXTENSIONS_YAML: &str = "extensions.yaml";

/// Permission bits of files that are made here.
const FILE_MODE: u16 = 0o644;

/// The name of the layer of an extension by its place: `0.sqsh`, `1.sqsh`, …
pub fn layer_name(place: usize) -> TreePath {
    TreePath::numbered(place, ".sqsh")
}

/// What an initramfs is made of.
#[derive(Clone, Debug)]
pub struct Ingredients {
    /// The initramfs of the release.
    pub base: Layout,
    /// How the base is compressed, see [`base_compression`].
    pub compression: Compression,
    /// Microcode of all extensions in their order.
    pub microcode: Microcode<Layout>,
    /// The squashfs images of all extensions in their order.
    pub layers: Vec<Layout>,
    /// The squashfs image with the module indexes.
    pub modules_dep: Option<Layout>,
    /// The list of the layers.
    pub extensions_yaml: Bytes,
    /// Firmware of all extensions, later ones put over earlier ones.
    pub firmware: FileTree<Layout>,
}

/// Ingredients that do not make an initramfs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError<E: Error + 'static> {
    /// One of them does not fit into a cpio archive.
    #[error(transparent)]
    Cpio(#[from] cpio::WriteError),
    /// The added part cannot be compressed.
    #[error("the added part of the initramfs cannot be compressed: {0}")]
    Compress(#[source] E),
}

impl Ingredients {
    /// Puts the initramfs together. `compress` wraps the added archive in the compression of the base: a
    /// zstd frame or an xz stream with CRC-32, both of which may consist of stored blocks.
    ///
    /// # Errors
    /// [`AssembleError`] for files of 4 GiB and more, and what `compress` gives.
    pub fn assemble<E: Error + 'static>(
        &self,
        compress: impl FnOnce(Compression, &Layout) -> Result<Layout, E>,
    ) -> Result<Layout, AssembleError<E>> {
        let added = compress(self.compression, &self.added()?).map_err(AssembleError::Compress)?;
        let mut out = LayoutBuilder::new();
        if !self.microcode.is_empty() {
            out.append(&self.early()?);
        }
        out.append(&self.base).append(&added);
        Ok(out.build())
    }

    /// The archive in front: the kernel looks for microcode before it can decompress anything.
    fn early(&self) -> Result<Layout, cpio::WriteError> {
        let mut archive = cpio::Builder::new();
        for directory in ["kernel", "kernel/x86", "kernel/x86/microcode"] {
            archive.directory(&TreePath::known(directory), DEFAULT_DIRECTORY_MODE);
        }
        for (name, parts) in [
            ("kernel/x86/microcode/AuthenticAMD.bin", &self.microcode.amd),
            ("kernel/x86/microcode/GenuineIntel.bin", &self.microcode.intel),
        ] {
            if !parts.is_empty() {
                let mut content = LayoutBuilder::new();
                parts.iter().for_each(|part| _ = content.append(part));
                archive.file(&TreePath::known(name), FILE_MODE, &content.build())?;
            }
        }
        Ok(archive.finish())
    }

    /// The archive behind: layers by number, then everything else in the order of its name.
    fn added(&self) -> Result<Layout, cpio::WriteError> {
        let mut archive = cpio::Builder::new();
        for (place, layer) in self.layers.iter().enumerate() {
            archive.file(&layer_name(place), FILE_MODE, layer)?;
        }
        let list = Layout::from_bytes(self.extensions_yaml.clone());
        archive.file(&TreePath::known(EXTENSIONS_YAML), FILE_MODE, &list)?;
        if let Some(layer) = &self.modules_dep {
            archive.file(&TreePath::known(MODULES_DEP), FILE_MODE, layer)?;
        }
        for (path, node) in self.firmware.iter() {
            match &node.kind {
                NodeKind::Directory => archive.directory(path, node.attributes.mode),
                NodeKind::File(content) => archive.file(path, node.attributes.mode, content)?,
                NodeKind::Symlink(target) => archive.symlink(path, target)?,
            }
        }
        Ok(archive.finish())
    }
}

#[cfg(test)]
mod tests;
