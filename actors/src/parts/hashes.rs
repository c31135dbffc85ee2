//! Digests of layouts that do not combine from those of their blobs: one pass, kept.

use factory_formats::Digest;
use factory_formats::Layout;
use factory_formats::hash::{HashFunction, hash_layout};
use serde::{Deserialize, Serialize};

use super::piece::disk;
use super::{Bench, Built, PartError, PartKind};

/// Digests of layouts.
pub struct Hashes;

/// What to hash.
#[derive(Clone, Debug)]
pub struct HashSpec {
    /// For people: `disk.vmdk`.
    pub name: String,
    /// The bytes.
    pub layout: Layout,
    /// With what.
    pub function: HashFunction,
}

/// A digest of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashPart {
    /// Lower-case hex digits.
    pub hex: String,
    /// Length of what was hashed, in bytes.
    pub size: u64,
}

impl HashPart {
    /// The digest as the name of a blob.
    ///
    /// # Errors
    /// [`PartError::Input`] when it is no SHA-256.
    pub fn digest(&self) -> Result<Digest, PartError> {
        Digest::from_hex(&self.hex).map_err(|error| PartError::input("a digest", error))
    }
}

impl PartKind for Hashes {
    const NAME: &'static str = "hash/v1";
    type Spec = HashSpec;
    type Value = HashPart;

    fn subject(spec: &HashSpec) -> String {
        format!("{} {}", spec.function, spec.layout.fingerprint())
    }

    fn label(spec: &HashSpec) -> String {
        format!("{} of {}", spec.function, spec.name)
    }

    fn inputs(spec: &HashSpec) -> Vec<Digest> {
        spec.layout.blobs()
    }

    fn build(spec: &HashSpec, bench: &Bench) -> Result<Built<HashPart>, PartError> {
        let bytes = hash_layout(&spec.layout, spec.function, &*bench.store).map_err(|error| disk(&error))?;
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Built { value: HashPart { hex, size: spec.layout.len() }, blobs: Vec::new() })
    }
}
