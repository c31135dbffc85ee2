//! The words and decisions of the factory: what a schematic is, what a path asks for, what a version
//! can do, which inputs an asset needs. All of it is pure; the world stands behind [`ports`].

pub mod arch;
pub mod asset;
pub mod catalog;
pub mod cmdline;
pub mod extension;
pub mod goyaml;
pub mod meta;
pub mod mirror;
pub mod overlay_program;
pub mod platform;
pub mod ports;
pub mod profile;
pub mod provenance;
pub mod pxe;
pub mod recipe;
pub mod sbom;
pub mod schematic;
pub mod version;

pub use arch::Arch;
pub use version::TalosVersion;
