//! Width, cluster size and the regions of a volume.

use super::volume::FILE_ALIGNMENT;
use crate::sector::SectorSize;

/// Bits of an entry of the allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// Up to 4084 clusters.
    Fat12,
    /// Up to 65524 clusters.
    Fat16,
    /// More clusters than that.
    Fat32,
}

/// Where everything lies, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub width: Width,
    pub sector: SectorSize,
    pub sectors_per_cluster: u64,
    pub total_sectors: u64,
    pub reserved: u64,
    pub fat_sectors: u64,
    /// Sectors of the fixed root directory; 0 for FAT32, where it is a chain of clusters.
    pub root_sectors: u64,
    pub clusters: u64,
}

/// Entries of the fixed root directory of FAT12 and FAT16.
pub(super) const ROOT_ENTRIES: u64 = 512;
/// First cluster number (FAT specification: entries 0 and 1 of the table mean other things).
pub(super) const FIRST_CLUSTER: u64 = 2;

/// Clusters per width, with a distance to the limits (4085, 65525) because some implementations
/// are off by a few. The lower limit of FAT32 is the reference's (specification 40, 4.1), before
/// tables and reserved sectors are taken off.
const FAT12_CLUSTERS: std::ops::RangeInclusive<u64> = 1..=4068;
const FAT16_CLUSTERS: std::ops::RangeInclusive<u64> = 4101..=65508;
const FAT32_NOMINAL_MIN: u64 = 65525 + 2048;
const FAT32_MAX: u64 = 0x0FFF_FFF5;

impl Width {
    fn bits(self) -> u64 {
        match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        }
    }

    /// Reserved sectors that the boot sector, FSInfo and their copies need.
    fn min_reserved(self) -> u64 {
        match self {
            Self::Fat12 | Self::Fat16 => 1,
            Self::Fat32 => 32,
        }
    }
}

impl Geometry {
    /// The geometry for a volume of `size` bytes, or `None` when no width fits: the biggest clusters
    /// up to 4 KiB that make a FAT32, else a FAT16, else a FAT12.
    pub fn choose(size: u64, sector: SectorSize) -> Option<Self> {
        if !size.is_multiple_of(sector.bytes()) {
            return None;
        }
        let sizes = |list: &'static [u64]| list.iter().filter(move |bytes| **bytes >= sector.bytes());
        let fat32 = sizes(&[4096, 2048, 1024, 512])
            .filter(|bytes| size / **bytes >= FAT32_NOMINAL_MIN && size / **bytes <= FAT32_MAX)
            .find_map(|bytes| Self::solve(size, sector, Width::Fat32, *bytes));
        let fat16 = || {
            sizes(&[4096, 2048, 1024, 512, 8192, 16384])
                .filter_map(|bytes| Self::solve(size, sector, Width::Fat16, *bytes))
                .find(|found| FAT16_CLUSTERS.contains(&found.clusters))
        };
        let fat12 = || {
            sizes(&[512, 1024, 2048, 4096, 8192, 16384])
                .filter_map(|bytes| Self::solve(size, sector, Width::Fat12, *bytes))
                .find(|found| FAT12_CLUSTERS.contains(&found.clusters))
        };
        fat32.or_else(fat16).or_else(fat12).filter(|found| u32::try_from(found.total_sectors).is_ok())
    }

    /// The regions for a given width and cluster size; `None` when nothing is left for data.
    fn solve(size: u64, sector: SectorSize, width: Width, cluster_bytes: u64) -> Option<Self> {
        let bytes = sector.bytes();
        let total_sectors = size / bytes;
        let sectors_per_cluster = cluster_bytes / bytes;
        let root_sectors = match width {
            Width::Fat32 => 0,
            Width::Fat12 | Width::Fat16 => ROOT_ENTRIES * 32 / bytes,
        };
        let needed = |clusters: u64| ((clusters + FIRST_CLUSTER) * width.bits()).div_ceil(8).div_ceil(bytes);
        let with_table = |fat_sectors: u64| {
            let behind = 2 * fat_sectors + root_sectors;
            // Raising the reserved sectors puts the data area at an aligned place.
            let data = (width.min_reserved() + behind).next_multiple_of(FILE_ALIGNMENT / bytes);
            let clusters = total_sectors.checked_sub(data)? / sectors_per_cluster;
            Some((data - behind, clusters))
        };
        // A table for all sectors is too big by a little; what fits without it is then enough.
        let mut fat_sectors = needed(total_sectors / sectors_per_cluster);
        let (mut reserved, mut clusters) = with_table(fat_sectors)?;
        loop {
            let smaller = needed(clusters);
            let Some((less_reserved, more_clusters)) = with_table(smaller) else { break };
            if smaller >= fat_sectors || needed(more_clusters) > smaller {
                break;
            }
            (fat_sectors, reserved, clusters) = (smaller, less_reserved, more_clusters);
        }
        (clusters > 0).then_some(Self {
            width,
            sector,
            sectors_per_cluster,
            total_sectors,
            reserved,
            fat_sectors,
            root_sectors,
            clusters,
        })
    }

    pub fn cluster_bytes(&self) -> u64 {
        self.sectors_per_cluster * self.sector.bytes()
    }

    /// Offset of one of the two tables.
    pub fn fat_offset(&self, copy: u64) -> u64 {
        (self.reserved + copy * self.fat_sectors) * self.sector.bytes()
    }

    /// Offset of the fixed root directory.
    pub fn root_offset(&self) -> u64 {
        self.fat_offset(2)
    }

    /// Offset of a cluster's data.
    pub fn cluster_offset(&self, cluster: u64) -> u64 {
        let data = self.root_offset() + self.root_sectors * self.sector.bytes();
        data + (cluster - FIRST_CLUSTER) * self.cluster_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_width_follows_the_number_of_clusters() {
        use SectorSize::{B512, B4096};
        use Width::{Fat12, Fat16, Fat32};
        for (mib, sector, width, cluster) in [
            (1, B512, Fat12, 512),
            (2, B512, Fat12, 512),
            (8, B512, Fat16, 1024),
            (25, B512, Fat16, 4096),
            (33, B512, Fat32, 512),
            (100, B512, Fat32, 1024),
            (1101, B512, Fat32, 4096),
            (2101, B512, Fat32, 4096),
            (1, B4096, Fat12, 4096),
            (8, B4096, Fat12, 4096),
            (16, B4096, Fat12, 8192),
            (100, B4096, Fat16, 4096),
            (260, B4096, Fat16, 8192),
            (1101, B4096, Fat32, 4096),
            (2101, B4096, Fat32, 4096),
        ] {
            let found = Geometry::choose(mib * MIB, sector).unwrap();
            assert_eq!((found.width, found.cluster_bytes()), (width, cluster), "{mib} MiB, {sector:?}");
        }
    }

    #[test]
    fn every_size_has_a_consistent_geometry() {
        for sector in [SectorSize::B512, SectorSize::B4096] {
            for step in 0..3000 {
                let size = (1 << 16) + step * 90_112;
                let found = Geometry::choose(size, sector).unwrap_or_else(|| panic!("{size} {sector:?}"));
                let range = match found.width {
                    Width::Fat12 => 1..=4084,
                    Width::Fat16 => 4085..=65524,
                    Width::Fat32 => 65525..=FAT32_MAX,
                };
                assert!(range.contains(&found.clusters), "{found:?}");
                let table = found.fat_sectors * sector.bytes() * 8 / found.width.bits();
                assert!(table >= found.clusters + 2, "{found:?}");
                assert!(found.cluster_offset(2).is_multiple_of(FILE_ALIGNMENT));
                assert!(found.cluster_offset(found.clusters + 2) <= size, "{found:?}");
                assert!(found.cluster_offset(found.clusters + 3) > size, "{found:?}");
                assert!(found.reserved < 1 << 16);
            }
        }
    }

    #[test]
    fn hopeless_sizes_have_none() {
        assert_eq!(Geometry::choose(0, SectorSize::B512), None);
        assert_eq!(Geometry::choose(16384, SectorSize::B512), None);
        assert_eq!(Geometry::choose(MIB + 1, SectorSize::B512), None);
        assert_eq!(Geometry::choose(u64::MAX - 4095, SectorSize::B4096), None);
        assert_eq!(Geometry::choose(4096 << 30, SectorSize::B512), None);
    }
}
