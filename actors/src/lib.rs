//! The actor graph: who owns which state, who asks whom, and what happens when one dies.
//!
//! Actors own state and concurrency; pure code (domain, formats) owns decisions and bytes; the world is
//! behind ports. A message carries ids, digests and handles, never image bytes.

pub mod ask;
mod blob_reader;
pub mod catalog;
pub mod depot;
mod factory;
pub mod flights;
pub mod keeper;
mod lock;
pub mod mirror;
pub mod parts;
pub mod planner;
pub mod publisher;
pub mod schematics;
pub mod sources;
pub mod stream;
pub mod verifier;
pub mod workers;

pub use factory::{Factory, FactoryOptions, Ports};
