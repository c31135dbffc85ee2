//! What tests of the whole program share: a fixture release, a registry that serves it, the factory itself, a
//! client, and the field's tools.
//!
//! Both test binaries include this folder and none uses all of it.
#![allow(dead_code, unused_imports)]

pub mod bucket;
pub mod client;
pub mod fixture;
pub mod process;
pub mod registry;
#[path = "../../crates/adapters/tests/adapters/sources/scripted.rs"]
pub mod scripted;
pub mod server;
pub mod tools;

pub use bucket::{Bucket, Cdn, Unconditional};
pub use client::{Answer, Client};
pub use fixture::Fixture;
pub use registry::Registry;
pub use server::{Config, Server};
