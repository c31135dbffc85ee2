//! The workshop: every byte format of the factory, as pure functions.
//!
//! A format turns options and references into a [`Layout`]: the exact bytes of a file as a list of
//! extents, most of which point into immutable blobs. Nothing here opens a file, looks at a clock or
//! talks to a network; blob contents come through [`ReadBlob`].

pub mod checksum;
pub mod digest;
pub mod encode;
pub mod layout;
pub mod testing;

pub use digest::Digest;
pub use layout::{Extent, Layout, LayoutBuilder, ReadBlob};
