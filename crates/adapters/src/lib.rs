//! The world behind the ports: registries, signatures, stores, keys.

pub mod bucket;
pub mod clock;
pub mod cosign;
mod documents;
mod envelope;
pub mod grub;
pub mod keys;
pub mod oci_layout;
pub mod records;
pub mod registry;
pub mod registry_cache;
pub mod remote_factory;
pub mod sandbox;
pub mod schematic_files;
pub mod schematics;
pub mod scratch;
pub mod store;
pub mod testing;
pub mod trust_root;
