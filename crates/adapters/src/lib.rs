//! The world behind the ports: registries, signatures, stores, keys.

pub mod clock;
mod documents;
pub mod oci_layout;
pub mod registry;
pub mod store;
pub mod testing;
