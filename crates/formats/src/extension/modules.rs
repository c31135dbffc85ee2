//! The kernel modules of an extension.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::depmod::ModuleFacts;
use crate::file_tree::{FileTree, Node, NodeKind, TreePath};

/// Modules by kernel release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionModules<C> {
    releases: BTreeMap<String, Vec<ModuleFile<C>>>,
}

/// A file that is taken for a kernel module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFile<C> {
    /// Path below the directory of its kernel release.
    pub path: TreePath,
    /// Its content.
    pub content: C,
}

/// An extension made for another kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "extension {extension} has modules for kernel {}, the Talos version runs kernel {wanted}",
    if .found.is_empty() { "(none)".to_owned() } else { .found.join(", ") }
)]
pub struct ForeignKernel {
    /// Name of the extension.
    pub extension: String,
    /// The kernel releases that it has modules for.
    pub found: Vec<String>,
    /// The kernel release of the Talos version.
    pub wanted: String,
}

impl<C: Clone> ExtensionModules<C> {
    /// Lists the modules of a root file system; `None` when it has no directory for them.
    pub(super) fn list(rootfs: &FileTree<C>, directory: &TreePath) -> Option<Self> {
        rootfs.get(directory).filter(|node| node.is_directory())?;
        let mut releases: BTreeMap<String, Vec<ModuleFile<C>>> = BTreeMap::new();
        for (path, node) in rootfs.within(directory) {
            let Some(below) = path.below(directory) else { continue };
            let (release, file) = match below.as_str().split_once('/') {
                Some((release, file)) => (release, file.parse::<TreePath>().ok()),
                None if node.is_directory() => (below.as_str(), None),
                None => continue,
            };
            let files = releases.entry(release.to_owned()).or_default();
            if let (Some(path), Node { kind: NodeKind::File(content), .. }) = (file, node)
                && ModuleFacts::is_module(&path)
            {
                files.push(ModuleFile { path, content: content.clone() });
            }
        }
        Some(Self { releases })
    }
}

impl<C> ExtensionModules<C> {
    /// Kernel releases and their modules, sorted.
    pub fn releases(&self) -> impl Iterator<Item = (&str, &[ModuleFile<C>])> {
        self.releases.iter().map(|(release, files)| (release.as_str(), files.as_slice()))
    }

    /// The modules for the kernel of a Talos version.
    ///
    /// # Errors
    /// [`ForeignKernel`] when the extension has none for it: it was built for another version.
    pub fn for_kernel(&self, wanted: &str, extension: &str) -> Result<&[ModuleFile<C>], ForeignKernel> {
        self.releases.get(wanted).map(Vec::as_slice).ok_or_else(|| ForeignKernel {
            extension: extension.to_owned(),
            found: self.releases.keys().cloned().collect(),
            wanted: wanted.to_owned(),
        })
    }
}
