//! Taking a system extension apart: what goes into the initramfs itself and what becomes a layer.
//!
//! An extension image holds `manifest.yaml` and `rootfs/`. Out of the root file system come the processor
//! microcode, which the kernel wants uncompressed in front of everything, and the firmware tree, which has
//! to be there before any layer is mounted. What is left becomes a squashfs. Modules stay in it; they are
//! listed, so that indexes over all extensions can be made.

mod directories;
mod microcode;
mod modules;

pub use directories::SystemDirectories;
pub use microcode::Microcode;
pub use modules::{ExtensionModules, ForeignKernel, ModuleFile};

use serde::{Deserialize, Serialize};

use crate::file_tree::{Attributes, DEFAULT_DIRECTORY_MODE, FileTree, Node, NodeKind, TreePath};

/// The parts of an extension. `C` says where contents are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension<C> {
    /// `manifest.yaml`.
    pub manifest: C,
    /// Processor microcode.
    pub microcode: Microcode<C>,
    /// Firmware at its full path (`usr/lib/firmware/…`), with the directories above it.
    pub firmware: FileTree<C>,
    /// Kernel modules, when there is a directory for them.
    pub modules: Option<ExtensionModules<C>>,
    /// What becomes the layer, modules included. The root directory has mode 0755.
    pub rootfs: FileTree<C>,
}

/// An image that is no extension.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// Something beside the manifest and the root file system.
    #[error("unexpected file {0:?}")]
    Unexpected(TreePath),
    /// There is no file `manifest.yaml`.
    #[error("extension manifest is missing")]
    NoManifest,
    /// There is no directory `rootfs`.
    #[error("extension rootfs is missing")]
    NoRootfs,
}

impl<C: Clone> Extension<C> {
    /// Takes the file system of an extension image apart.
    ///
    /// # Errors
    /// [`ExtensionError`] when it holds anything but `manifest.yaml` and `rootfs`.
    pub fn split(image: FileTree<C>, directories: SystemDirectories) -> Result<Self, ExtensionError> {
        let (manifest_path, rootfs_path) = (TreePath::known("manifest.yaml"), TreePath::known("rootfs"));
        let is_unexpected = |path: &&TreePath| **path != manifest_path && !path.is_within(&rootfs_path);
        if let Some(path) = image.iter().map(|(path, _)| path).find(is_unexpected) {
            return Err(ExtensionError::Unexpected(path.clone()));
        }
        let manifest = match image.get(&manifest_path).map(|node| &node.kind) {
            Some(NodeKind::File(content)) => content.clone(),
            Some(_) => return Err(ExtensionError::Unexpected(manifest_path)),
            None => return Err(ExtensionError::NoManifest),
        };
        let mut rootfs = match image.get(&rootfs_path).map(Node::is_directory) {
            Some(true) => image.into_subtree(&rootfs_path).ok_or(ExtensionError::NoRootfs)?,
            Some(false) => return Err(ExtensionError::Unexpected(rootfs_path)),
            None => return Err(ExtensionError::NoRootfs),
        };
        rootfs.set_root(Attributes { mode: DEFAULT_DIRECTORY_MODE, ..rootfs.root().clone() });
        rootfs.map_modes(|kind, mode| match kind {
            // The owner can always look into a directory, and nothing is sticky.
            NodeKind::Directory => mode & 0o777 | 0o700,
            NodeKind::File(_) | NodeKind::Symlink(_) => mode,
        });
        let modules = ExtensionModules::list(&rootfs, &directories.modules());
        let microcode = Microcode::take(&mut rootfs, &directories.firmware());
        let firmware = take_firmware(&mut rootfs, &directories.firmware());
        Ok(Self { manifest, microcode, firmware, modules, rootfs })
    }
}

/// Moves the firmware directory out of a root file system.
fn take_firmware<C>(rootfs: &mut FileTree<C>, directory: &TreePath) -> FileTree<C> {
    let mut firmware = FileTree::new();
    if rootfs.get(directory).is_some_and(Node::is_directory) {
        for (path, mut node) in rootfs.take(directory) {
            node.attributes = match node.kind {
                NodeKind::Directory => Attributes::mode(DEFAULT_DIRECTORY_MODE),
                NodeKind::File(_) => Attributes::mode(node.attributes.mode & 0o777),
                NodeKind::Symlink(_) => Attributes::mode(0o777),
            };
            firmware.put(path, node);
        }
    }
    firmware
}

#[cfg(test)]
mod tests;
