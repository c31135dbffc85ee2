//! System extensions: what they say about themselves, and those the factory makes.

mod constraint;
mod generated;
mod layers;
mod manifest;

pub use constraint::{Constraint, InvalidConstraint};
pub use generated::{
    Edition, Entry, EntryKind, GeneratedExtension, SchematicInfo, embedded_config, schematic,
};
pub use layers::{Layer, layers_yaml};
pub use manifest::{IncompatibleExtension, MANIFEST_PATH, Manifest, ManifestError, Metadata};
