//! CRC-32 and CRC-64 of blobs and of layouts, without reading payload.
//!
//! `.gz` wants the CRC-32 of the whole file and `.xz` a CRC-64 of every block. CRCs combine: with the
//! values of each 64 KiB of every blob at hand, those of any file made of these blobs are arithmetic.
//! [`ChecksBuilder`] makes the table of a blob when it is written, [`LayoutChecks`] uses the tables.

mod field;
mod grains;
mod layout;

pub use grains::{BlobChecks, ChecksBuilder, GRAIN, GrainChecks, InvalidChecks};
pub use layout::{LayoutChecks, ReadChecks, cheap_cut, crc32, crc64};
