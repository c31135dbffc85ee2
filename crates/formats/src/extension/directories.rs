//! Where a Talos version has firmware and modules.

use serde::{Deserialize, Serialize};

use crate::file_tree::TreePath;

/// Layout of the root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemDirectories {
    /// Everything is below `/usr`: Talos 1.10 and later.
    UsrMerged,
    /// `/lib` is a directory of its own: before Talos 1.10.
    Separate,
}

impl SystemDirectories {
    /// The directory of firmware.
    pub fn firmware(self) -> TreePath {
        TreePath::known(match self {
            Self::UsrMerged => "usr/lib/firmware",
            Self::Separate => "lib/firmware",
        })
    }

    /// The directory of kernel modules, which has one directory for each kernel release.
    pub fn modules(self) -> TreePath {
        TreePath::known(match self {
            Self::UsrMerged => "usr/lib/modules",
            Self::Separate => "lib/modules",
        })
    }
}
