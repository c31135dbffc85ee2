//! Twins in memory of everything behind the ports, for tests of this crate and of those above it. They
//! count what they are asked, and fail when they are told to.

mod clock;
mod source;
mod store;

pub use clock::HandClock;
pub use source::{MemorySource, SourceCall};
pub use store::MemoryStore;
