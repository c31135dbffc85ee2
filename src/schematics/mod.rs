//! Schematics in files: those of a directory that is watched, and those that a command is given.

mod apply;
mod watch;

pub use apply::apply;
pub use watch::DirectoryWatch;

use bytes::Bytes;
use factory_domain::schematic::{Schematic, SchematicError, SchematicId};

/// A schematic as it is stored, and its id.
///
/// # Errors
/// When the text is no schematic that this factory takes.
pub fn canonical(yaml: &[u8]) -> Result<(SchematicId, Bytes), SchematicError> {
    let schematic = Schematic::parse(yaml)?;
    schematic.check_without_users()?;
    Ok((schematic.id(), Bytes::from(schematic.canonical())))
}
