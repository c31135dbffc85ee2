//! A minimal XFS of version 5, written once with all its files (specification 41, 9).
//!
//! It holds what a boot loader reads: a handful of files in a few directories. There are four
//! allocation groups, one chunk of inodes, directories inside their inodes, and files in one extent
//! per allocation group. The log is clean, so Linux mounts it and goes on from there.

mod format;
mod geometry;
mod headers;
mod inodes;
mod volume;

pub use volume::{XfsError, XfsFile, XfsOptions, volume};

#[cfg(test)]
mod tests;
