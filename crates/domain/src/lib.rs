//! The words and decisions of the factory: what a schematic is, what a path asks for, what a version
//! can do, which inputs an asset needs. All of it is pure; the world stands behind [`ports`].

pub mod extension;
pub mod goyaml;
pub mod ports;
pub mod schematic;
