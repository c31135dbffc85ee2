//! What a release offers besides itself: extensions, overlays and `talosctl`.
//!
//! The lists come from catalogue images of the release. An entry has two names: its **identity**, the
//! repository path that users write, and the **pull reference**, where this server gets it from.

mod alias;
mod extensions;
mod overlays;
mod reference;
mod talosctl;

pub use extensions::{Extension, ExtensionCatalog, ExtensionInfo, ExtensionRef, Origin};
pub use overlays::{OverlayCatalog, OverlayInfo, OverlayRef};
pub use reference::{InvalidReference, PullReference, SourceRegistry, TaggedReference};
pub use talosctl::{InvalidTalosctl, Talosctl, talosctl_files, talosctl_urls};

use factory_formats::digest::InvalidDigest;

use crate::asset::quoted;

/// Largest catalogue file that is read, in bytes. Real ones have a few ten thousand.
const MAX_FILE: usize = 4 << 20;

/// Why a catalogue cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCatalog {
    /// The file lists nothing.
    #[error("failed to find {0} file")]
    Empty(&'static str),
    /// The file is out of proportion.
    #[error("{0} is longer than {MAX_FILE} bytes")]
    TooLarge(&'static str),
    /// The file is no text, or no YAML of the expected form.
    #[error("{file} cannot be read: {reason}")]
    Syntax {
        /// Name of the file.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An entry's image has no name and tag.
    #[error("{file}: {source}")]
    Reference {
        /// Name of the file.
        file: &'static str,
        /// What is wrong.
        source: InvalidReference,
    },
    /// An entry has no digest that could be checked.
    #[error("{file}, entry {}: {source}", quoted(entry))]
    Digest {
        /// Name of the file.
        file: &'static str,
        /// The entry.
        entry: String,
        /// What is wrong.
        source: InvalidDigest,
    },
    /// Two entries have the same name, so one of them could not be reached.
    #[error("{file} lists {} twice", quoted(entry))]
    Duplicate {
        /// Name of the file.
        file: &'static str,
        /// The name.
        entry: String,
    },
}

fn text<'a>(file: &'static str, bytes: &'a [u8]) -> Result<&'a str, InvalidCatalog> {
    if bytes.len() > MAX_FILE {
        return Err(InvalidCatalog::TooLarge(file));
    }
    std::str::from_utf8(bytes).map_err(|error| InvalidCatalog::Syntax { file, reason: error.to_string() })
}
