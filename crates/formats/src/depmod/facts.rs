//! What a kernel module says about itself.

use std::io::{self, Read};

use object::{Object, ObjectSection, ObjectSymbol};
use serde::{Deserialize, Serialize};

use crate::decompress;
use crate::file_tree::TreePath;

/// Largest module that is accepted, in uncompressed bytes.
pub const MAX_MODULE: u64 = 512 << 20;

/// Ends of the names of kernel modules.
const SUFFIXES: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];

/// Prefix of symbols that carry the checksum of an exported symbol (kernels with versioned symbols).
const CRC_PREFIX: &[u8] = b"__crc_";
/// Prefix of symbols that name the table entry of an exported symbol.
const EXPORT_PREFIX: &[u8] = b"__ksymtab_";
/// The names of exported symbols, and of symbol namespaces, in modules without a symbol table.
const EXPORT_STRINGS: &str = "__ksymtab_strings";

/// A module's place and what the indexes need to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// Path below the directory of the kernel release: `kernel/fs/xfs/xfs.ko`.
    pub path: TreePath,
    /// Values of `alias=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Values of `softdep=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub softdeps: Vec<String>,
    /// Values of `weakdep=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weakdeps: Vec<String>,
    /// Names of symbols that other modules may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<String>,
    /// Names of symbols that it needs, in the order of its symbol table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<String>,
}

/// A file that is no kernel module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// It cannot be read or decompressed, or is too big.
    #[error("kernel module {path} cannot be read: {source}")]
    Read {
        /// The module.
        path: TreePath,
        /// What went wrong.
        source: io::Error,
    },
    /// It is no ELF object.
    #[error("kernel module {path} is no ELF object: {source}")]
    Object {
        /// The module.
        path: TreePath,
        /// What is wrong.
        source: object::Error,
    },
}

impl ModuleFacts {
    /// Whether a file of this name is taken for a module.
    pub fn is_module(path: &TreePath) -> bool {
        SUFFIXES.iter().any(|suffix| path.name().strip_suffix(suffix).is_some_and(|stem| !stem.is_empty()))
    }

    /// Reads a module, plain or compressed with gzip, xz or zstd.
    ///
    /// # Errors
    /// [`FactsError`] when it cannot be read, unpacks to more than [`MAX_MODULE`] or is no ELF object.
    pub fn read(path: TreePath, content: impl Read) -> Result<Self, FactsError> {
        match uncompressed(content) {
            Ok(bytes) => Self::parse(path, &bytes),
            Err(source) => Err(FactsError::Read { path, source }),
        }
    }

    fn parse(path: TreePath, bytes: &[u8]) -> Result<Self, FactsError> {
        let file = match object::File::parse(bytes) {
            Ok(file) => file,
            Err(source) => return Err(FactsError::Object { path, source }),
        };
        let mut facts = Self {
            path,
            aliases: Vec::new(),
            softdeps: Vec::new(),
            weakdeps: Vec::new(),
            exports: Vec::new(),
            imports: Vec::new(),
        };
        for entry in strings(section(&file, ".modinfo")) {
            match entry.split_once('=') {
                Some(("alias", value)) => facts.aliases.push(value.to_owned()),
                Some(("softdep", value)) => facts.softdeps.push(value.to_owned()),
                Some(("weakdep", value)) => facts.weakdeps.push(value.to_owned()),
                _ => {}
            }
        }
        let (mut versioned, mut exported) = (Vec::new(), Vec::new());
        for symbol in file.symbols() {
            let Ok(name) = symbol.name_bytes() else { continue };
            if let Some(name) = name.strip_prefix(CRC_PREFIX) {
                versioned.push(text(name));
            } else if symbol.is_undefined() {
                facts.imports.push(text(name));
            } else if let Some(name) = name.strip_prefix(EXPORT_PREFIX) {
                exported.push(text(name));
            }
        }
        facts.imports.retain(|name| !name.is_empty());
        facts.exports = match (versioned.is_empty(), exported.is_empty()) {
            (false, _) => versioned,
            (true, false) => exported,
            (true, true) => strings(section(&file, EXPORT_STRINGS)),
        };
        Ok(facts)
    }

    /// The module's name: its file name up to the first dot, with dashes as underscores.
    pub fn name(&self) -> String {
        module_name(self.path.as_str())
    }

    /// The path without the suffix of a compression, as `modules.order` lists it.
    pub(super) fn plain_path(&self) -> &str {
        let path = self.path.as_str();
        [".gz", ".xz", ".zst"].iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path)
    }
}

/// The name of the module at a path.
pub(super) fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn uncompressed(content: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let decoder = decompress::sniffing_decoder(io::BufReader::new(content))?;
    decoder.take(MAX_MODULE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MODULE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too big"));
    }
    Ok(bytes)
}

fn section<'d>(file: &object::File<'d>, name: &str) -> &'d [u8] {
    file.section_by_name(name).and_then(|section| section.data().ok()).unwrap_or_default()
}

/// Texts between NULs. (Modules are built from ASCII sources; what is not UTF-8 is replaced, and a name
/// with a replacement matches nothing.)
fn strings(bytes: &[u8]) -> Vec<String> {
    bytes.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()).map(text).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
