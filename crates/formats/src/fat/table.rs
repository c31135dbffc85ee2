//! The allocation table of files that are all contiguous.

use bytes::Bytes;

use super::geometry::{FIRST_CLUSTER, Geometry, Width};
use crate::layout::Run;
use crate::{Layout, LayoutBuilder};

/// A file or directory: its first cluster and how many follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub first: u64,
    pub clusters: u64,
}

/// Chains shorter than this are cheaper as bytes than as a run.
const RUN_FROM: u64 = 256;

/// One copy of the table, padded to its sectors. The chains are in ascending order.
pub(super) fn table(geometry: &Geometry, chains: &[Chain]) -> Layout {
    let mut builder = LayoutBuilder::new();
    match geometry.width {
        Width::Fat32 => wide(&mut builder, chains),
        Width::Fat16 => {
            builder.bytes(narrow(chains).flat_map(u16::to_le_bytes).collect::<Bytes>());
        }
        Width::Fat12 => {
            let entries: Vec<u16> = narrow(chains).map(|entry| entry & 0x0FFF).collect();
            for pair in entries.chunks(2) {
                let (low, high) = (pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0));
                let [a, b, c, _] = (u32::from(low) | u32::from(high) << 12).to_le_bytes();
                builder.slice(&[a, b, c]);
            }
        }
    }
    builder.pad_to(geometry.fat_sectors * geometry.sector.bytes());
    builder.build()
}

fn wide(builder: &mut LayoutBuilder, chains: &[Chain]) {
    const END: u32 = 0x0FFF_FFFF;
    builder.slice(&0x0FFF_FFF8u32.to_le_bytes()).slice(&END.to_le_bytes());
    for chain in chains {
        builder.pad_to(chain.first * 4);
        let (next, count) = (chain.first as u32 + 1, chain.clusters - 1);
        if count >= RUN_FROM {
            builder.run(Run::counter(next, count));
        } else {
            for entry in next..next + count as u32 {
                builder.slice(&entry.to_le_bytes());
            }
        }
        builder.slice(&END.to_le_bytes());
    }
}

/// All entries up to the last used one, for the widths whose whole table is small.
fn narrow(chains: &[Chain]) -> impl Iterator<Item = u16> {
    let mut entries = vec![0xFFF8, 0xFFFF];
    debug_assert_eq!(entries.len() as u64, FIRST_CLUSTER);
    for chain in chains {
        entries.resize(chain.first as usize, 0);
        entries.extend((chain.first + 1..chain.first + chain.clusters).map(|entry| entry as u16));
        entries.push(0xFFFF);
    }
    entries.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::SectorSize;

    #[test]
    fn runs_and_bytes_say_the_same() {
        let geometry = Geometry::choose(64 << 20, SectorSize::B512).unwrap();
        let chains = [
            Chain { first: 2, clusters: 1 },
            Chain { first: 8, clusters: 3 },
            Chain { first: 16, clusters: 2 + RUN_FROM },
        ];
        let bytes = table(&geometry, &chains).inline_bytes().unwrap();
        assert_eq!(bytes.len() as u64, geometry.fat_sectors * 512);
        let entries: Vec<u32> =
            bytes.as_chunks::<4>().0.iter().map(|entry| u32::from_le_bytes(*entry)).collect();
        let end = 0x0FFF_FFFF;
        assert_eq!(entries[..12], [0x0FFF_FFF8, end, end, 0, 0, 0, 0, 0, 9, 10, end, 0]);
        assert_eq!(entries[16..18], [17, 18]);
        assert_eq!(entries[16 + RUN_FROM as usize..][..3], [17 + RUN_FROM as u32, end, 0]);
        assert!(entries[20 + RUN_FROM as usize..].iter().all(|entry| *entry == 0));
    }

    #[test]
    fn twelve_bits_are_packed_in_pairs() {
        let geometry = Geometry::choose(1 << 20, SectorSize::B512).unwrap();
        let bytes = table(&geometry, &[Chain { first: 2, clusters: 2 }, Chain { first: 8, clusters: 1 }]);
        let bytes = bytes.inline_bytes().unwrap();
        assert_eq!(hex::encode(&bytes[..15]), "f8ffff03f0ff000000000000ff0f00");
    }
}
