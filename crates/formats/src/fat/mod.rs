//! FAT volumes (12, 16 and 32 bits wide), written once with all their files.
//!
//! Firmware derives the width from the number of clusters, so the writer does too. Every file is one
//! contiguous run whose first byte lies at a multiple of 4 KiB of the volume; an ISO image can
//! therefore point into the volume instead of holding a second copy (specification 40, 10).

mod boot_sector;
mod directory;
mod geometry;
mod names;
mod table;
mod volume;

pub use geometry::Width;
pub use volume::{FILE_ALIGNMENT, FatError, FatFile, FatOptions, FatVolume, FileSpan, MAX_FILE_LEN, volume};

#[cfg(test)]
mod tests;
