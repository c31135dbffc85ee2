//! The identity of a schematic.

use std::fmt;
use std::str::FromStr;

use factory_formats::Digest;

/// Identity of a schematic: the SHA-256 of its canonical YAML, written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchematicId(Digest);

/// A text that cannot be a schematic id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schematic ID {0:?} not found")]
pub struct InvalidSchematicId(pub String);

impl SchematicId {
    /// The id of canonical bytes.
    pub fn of(canonical: &[u8]) -> Self {
        Self(Digest::of(canonical))
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

impl FromStr for SchematicId {
    type Err = InvalidSchematicId;

    fn from_str(text: &str) -> Result<Self, InvalidSchematicId> {
        Digest::from_hex(text).map(Self).map_err(|_| InvalidSchematicId(text.chars().take(100).collect()))
    }
}

impl fmt::Display for SchematicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.hex())
    }
}

impl fmt::Debug for SchematicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
