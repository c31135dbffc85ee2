//! The workshop: every byte format of the factory, as pure functions.
//!
//! A format turns options and references into a [`Layout`]: the exact bytes of a file as a list of
//! extents, most of which point into immutable blobs. Nothing here opens a file, looks at a clock or
//! talks to a network; blob contents come through [`ReadBlob`].

pub mod authenticode;
pub mod calendar;
pub mod canvas;
pub mod certificate;
pub mod checksum;
pub mod cpio;
pub mod decompress;
pub mod depmod;
pub mod digest;
pub mod disk;
pub mod efi_signatures;
pub mod encode;
pub mod esp;
pub mod expected;
pub mod extension;
pub mod fat;
pub mod file_tree;
#[cfg(test)]
mod golden;
pub mod gpt;
pub mod grub;
pub mod hash;
pub mod initramfs;
pub mod iso;
pub mod kernel;
pub mod layout;
pub mod meta_partition;
mod occupied;
pub mod oci_image;
pub mod oci_layers;
#[cfg(test)]
mod oracle;
pub mod ova;
pub mod pe;
pub mod pem;
pub mod qcow2;
mod record;
pub mod sector;
pub mod signed_data;
pub mod squashfs;
pub mod tar;
pub mod tar_layer;
pub mod testing;
pub mod tree;
pub mod uki;
pub mod vhd;
pub mod vmdk;
pub mod xfs;

pub use digest::Digest;
pub(crate) use digest::Digester;
pub use layout::{Extent, Layout, LayoutBuilder, ReadBlob};
