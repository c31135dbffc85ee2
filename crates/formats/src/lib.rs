//! The workshop: every byte format of the factory, as pure functions.
//!
//! A format turns options and references into a [`Layout`]: the exact bytes of a file as a list of
//! extents, most of which point into immutable blobs. Nothing here opens a file, looks at a clock or
//! talks to a network; blob contents come through [`ReadBlob`].

pub mod calendar;
pub mod canvas;
pub mod checksum;
pub mod cpio;
pub mod decompress;
pub mod depmod;
pub mod digest;
pub mod disk;
pub mod esp;
pub mod fat;
#[cfg(test)]
mod golden;
pub mod gpt;
pub mod grub;
pub mod iso;
pub mod encode;
pub mod layout;
pub mod meta_partition;
#[cfg(test)]
mod oracle;
pub mod pe;
mod record;
pub mod sector;
pub mod extension;
pub mod file_tree;
pub mod initramfs;
pub mod kernel;
pub mod layout;
pub mod oci_layers;
pub mod squashfs;
pub mod testing;
pub mod tree;
pub mod uki;
pub mod xfs;

pub use digest::Digest;
pub use layout::{Extent, Layout, LayoutBuilder, ReadBlob};
