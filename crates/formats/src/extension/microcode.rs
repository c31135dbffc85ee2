//! Processor microcode.

use serde::{Deserialize, Serialize};

use crate::file_tree::{FileTree, NodeKind, TreePath};

/// Most links that are followed to a file.
const MAX_LINKS: usize = 8;

/// Microcode files by vendor, in the order in which they are put behind each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Microcode<C> {
    /// For `GenuineIntel.bin`.
    pub intel: Vec<C>,
    /// For `AuthenticAMD.bin`.
    pub amd: Vec<C>,
}

impl<C> Default for Microcode<C> {
    fn default() -> Self {
        Self { intel: Vec::new(), amd: Vec::new() }
    }
}

impl<C> Microcode<C> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.intel.is_empty() && self.amd.is_empty()
    }
}

impl<C: Clone> Microcode<C> {
    /// Takes the microcode out of a root file system; its directories stay.
    pub(super) fn take(rootfs: &mut FileTree<C>, firmware: &TreePath) -> Self {
        let intel = firmware.join(&TreePath::known("intel-ucode"));
        let amd = firmware.join(&TreePath::known("amd-ucode"));
        Self {
            intel: take_files(rootfs, &intel, |_| true),
            amd: take_files(rootfs, &amd, |name| {
                name.len() >= "microcode_amd.bin".len()
                    && name.starts_with("microcode_amd")
                    && name.ends_with(".bin")
            }),
        }
    }
}

/// Takes the files directly in a directory whose names are wanted, in the order of their names.
fn take_files<C: Clone>(
    rootfs: &mut FileTree<C>,
    directory: &TreePath,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<C> {
    let in_directory = |path: &TreePath| path.parent().as_ref() == Some(directory) && is_wanted(path.name());
    let found: Vec<(TreePath, C)> = rootfs
        .within(directory)
        .filter(|(path, _)| in_directory(path))
        .filter_map(|(path, _)| Some((path.clone(), content_of(rootfs, path)?)))
        .collect();
    for (path, _) in &found {
        rootfs.take(path);
    }
    found.into_iter().map(|(_, content)| content).collect()
}

/// The content of a file, or of the one that a link leads to; `None` for directories and dead links,
/// which stay where they are.
fn content_of<C: Clone>(rootfs: &FileTree<C>, path: &TreePath) -> Option<C> {
    let mut at = path.clone();
    for _ in 0..=MAX_LINKS {
        match &rootfs.get(&at)?.kind {
            NodeKind::File(content) => return Some(content.clone()),
            NodeKind::Symlink(target) => at = at.resolve_link(target).ok()??,
            NodeKind::Directory => return None,
        }
    }
    None
}
