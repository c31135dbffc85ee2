//! The modules of a base system's root file system.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde::{Deserialize, Serialize};

use super::facts::{FactsError, MAX_MODULE, ModuleFacts};
use crate::file_tree::TreePath;
use crate::squashfs;

/// Largest index file that is taken over.
const MAX_INDEX: u64 = 64 << 20;

/// The modules of one kernel release and the files beside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseModules {
    /// The kernel release, which is the name of the directory with the modules.
    pub release: String,
    /// What the modules say, in no particular order.
    pub modules: Vec<ModuleFacts>,
    /// The files `modules.*` of that directory.
    #[serde(with = "hex_files")]
    pub files: BTreeMap<String, Vec<u8>>,
}

/// A root file system whose modules cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// Not one directory of a kernel release.
    #[error("invalid kernel modules path: {directory} holds {} directories ({}) instead of one", .found.len(), .found.join(", "))]
    Releases {
        /// The directory of all releases.
        directory: TreePath,
        /// The directories in it.
        found: Vec<String>,
    },
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] squashfs::ReadError),
    /// A module cannot be read.
    #[error(transparent)]
    Module(#[from] FactsError),
}

impl BaseModules {
    /// Reads all modules below `directory` (`usr/lib/modules` or `lib/modules`) of a root file system.
    ///
    /// # Errors
    /// [`BaseError`] when there is not exactly one kernel release, or something cannot be read.
    pub fn read(image: &squashfs::Reader<'_>, directory: &TreePath) -> Result<Self, BaseError> {
        let found = image.directories_in(directory)?;
        let [release] = found.as_slice() else {
            return Err(BaseError::Releases { directory: directory.clone(), found });
        };
        let mut base = Self { release: release.clone(), modules: Vec::new(), files: BTreeMap::new() };
        for file in image.files_below(directory)? {
            let below = file.path.below(directory).and_then(|path| {
                let mut parts = path.as_str().splitn(2, '/');
                parts.nth(1).and_then(|rest| rest.parse::<TreePath>().ok())
            });
            let Some(path) = below else { continue };
            if ModuleFacts::is_module(&path) {
                let bytes = image.read(&file, MAX_MODULE)?;
                base.modules.push(ModuleFacts::read(path, Cursor::new(bytes))?);
            } else if path.parent().is_none() && path.name().starts_with("modules.") {
                base.files.insert(path.to_string(), image.read(&file, MAX_INDEX)?);
            }
        }
        Ok(base)
    }
}

/// Files as hexadecimal text: some are neither text nor short enough for lists of numbers.
mod hex_files {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        files: &BTreeMap<String, Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text: BTreeMap<&str, String> = files.iter().map(|(k, v)| (k.as_str(), hex::encode(v))).collect();
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let text = BTreeMap::<String, String>::deserialize(deserializer)?;
        let decode = |(name, text): (String, String)| Ok((name, hex::decode(text)?));
        let files: Result<_, hex::FromHexError> = text.into_iter().map(decode).collect();
        files.map_err(serde::de::Error::custom)
    }
}
