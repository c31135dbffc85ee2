//! Schematics outside of the embedded store, where several factories find them.

mod registry;
mod shared;

pub use registry::RegistrySchematics;
pub use shared::SharedSchematics;
