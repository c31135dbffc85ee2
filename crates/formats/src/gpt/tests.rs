use proptest::prelude::*;

use super::*;
use crate::canvas::Canvas;
use crate::oracle;
use crate::sector::SectorSize;
use crate::testing::MemoryBlobs;
use crate::{Layout, ReadBlob};

fn request(name: &str, size: PartitionSize) -> PartitionRequest {
    PartitionRequest { name: name.to_owned(), type_guid: types::LINUX_DATA, attributes: 4, size }
}

fn disk(size: u64, sector: SectorSize, skip: u64) -> DiskGeometry {
    DiskGeometry { size, sector, skip }
}

/// An otherwise empty disk with this table.
fn image(table: &Table) -> Layout {
    let sector = table.sector.bytes();
    let mut canvas = Canvas::new((table.last_lba + 1) * sector);
    canvas.put(0, "MBR", Layout::from_bytes(table.protective_mbr().to_vec()));
    canvas.put(sector, "header", Layout::from_bytes(table.primary_header()));
    canvas.put(table.entries_lba * sector, "entries", Layout::from_bytes(table.entries()));
    canvas.put(table.backup_entries_lba() * sector, "entries", Layout::from_bytes(table.entries()));
    canvas.put(table.last_lba * sector, "header", Layout::from_bytes(table.backup_header()));
    canvas.build().unwrap()
}

const MIB: u64 = 1 << 20;

#[test]
fn boards_move_the_entry_array() {
    let requests = [request("EFI", PartitionSize::Bytes(100 * MIB)), request("DATA", PartitionSize::Rest)];
    let guid = Guid::of_label("talos-image-disk");
    let rockchip = plan(disk(300 * MIB, SectorSize::B512, 20480), guid, &requests).unwrap();
    assert_eq!((rockchip.entries_lba, rockchip.first_usable), (20482, 22528));
    let allwinner = plan(disk(300 * MIB, SectorSize::B512, 2048), guid, &requests).unwrap();
    assert_eq!((allwinner.entries_lba, allwinner.first_usable), (2050, 4096));
}

#[test]
fn what_cannot_be_is_refused() {
    let guid = Guid::of_label("d");
    let try_plan = |geometry, requests: &[PartitionRequest]| plan(geometry, guid, requests).unwrap_err();
    let small = disk(MIB, SectorSize::B512, 0);
    assert!(matches!(try_plan(small, &[]), GptError::DiskSize { .. }));
    assert!(matches!(try_plan(disk(0, SectorSize::B4096, 0), &[]), GptError::DiskSize { .. }));
    assert!(matches!(try_plan(disk(3 * MIB + 1, SectorSize::B512, 0), &[]), GptError::DiskSize { .. }));
    assert!(matches!(try_plan(disk(3 * MIB, SectorSize::B512, u64::MAX), &[]), GptError::DiskSize { .. }));
    let disk = disk(4 * MIB, SectorSize::B4096, 0);
    let big = request("A", PartitionSize::Bytes(3 * MIB));
    assert!(
        matches!(try_plan(disk, std::slice::from_ref(&big)), GptError::NoRoom { name, .. } if name == "A")
    );
    let rest = [request("A", PartitionSize::Bytes(2 * MIB)), request("B", PartitionSize::Rest)];
    assert!(matches!(try_plan(disk, &rest), GptError::NoRoom { name, .. } if name == "B"));
    let odd = request("A", PartitionSize::Bytes(512));
    assert!(matches!(try_plan(disk, &[odd]), GptError::PartitionSize { .. }));
    let long = request(&"n".repeat(37), PartitionSize::Bytes(MIB));
    assert!(matches!(try_plan(disk, &[long]), GptError::Name(_)));
    assert_eq!(try_plan(disk, &vec![big; 129]), GptError::Count(129));
}

#[test]
fn sgdisk_and_sfdisk_find_no_fault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    let requests = [request("EFI", PartitionSize::Bytes(5 * MIB)), request("Ünï", PartitionSize::Rest)];
    for skip in [0, 20480] {
        let table = plan(disk(40 * MIB, SectorSize::B512, skip), Guid::of_label("disk"), &requests).unwrap();
        oracle::write_sparse(&image(&table), &MemoryBlobs::new(), &path);
        let said = oracle::success("sgdisk", "gdisk", &["-v", oracle::text(&path)]);
        assert!(said.contains("No problems found"), "{said}");
        let said = oracle::success("sfdisk", "fdisk", &["-V", oracle::text(&path)]);
        assert!(said.contains("No errors detected"), "{said}");
    }
}

/// A layout as a seekable stream, for the reader of the `gpt` crate.
fn stream(layout: &Layout) -> std::io::Cursor<Vec<u8>> {
    struct Nothing;
    impl ReadBlob for Nothing {
        fn read_exact_at(&self, _: &crate::Digest, _: u64, _: &mut [u8]) -> std::io::Result<()> {
            unreachable!("a table needs no blob")
        }
    }
    std::io::Cursor::new(layout.to_vec(&Nothing).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn another_reader_sees_the_same_table(
        sizes in prop::collection::vec(1u64..4, 0..6),
        rest in any::<bool>(),
        big_sectors in any::<bool>(),
        skip in 0u64..1000,
    ) {
        let sector = if big_sectors { SectorSize::B4096 } else { SectorSize::B512 };
        let mut requests: Vec<_> = sizes.iter().enumerate()
            .map(|(i, mib)| request(&format!("P{i}"), PartitionSize::Bytes(mib * MIB))).collect();
        if rest {
            requests.push(request("REST", PartitionSize::Rest));
        }
        let disk_guid = Guid::of_label("disk");
        let table = plan(disk(32 * MIB, sector, skip), disk_guid, &requests).unwrap();
        let block = if big_sectors { gpt::disk::LogicalBlockSize::Lb4096 } else { gpt::disk::LogicalBlockSize::Lb512 };
        for only_backup in [false, true] {
            let mut bytes = stream(&image(&table));
            if only_backup {
                let start = sector.bytes() as usize;
                bytes.get_mut()[start..start + 92].fill(0);
            }
            let read = gpt::GptConfig::new().logical_block_size(block).writable(false).open_from_device(bytes).unwrap();
            prop_assert_eq!(read.guid().to_string(), disk_guid.to_string());
            let found: Vec<_> = read.partitions().values().map(|p| {
                (p.name.clone(), p.part_guid.to_string(), p.first_lba, p.last_lba, p.flags)
            }).collect();
            let want: Vec<_> = table.partitions.iter().map(|p| {
                (p.name.clone(), p.unique_guid.to_string(), p.first_lba, p.last_lba, p.attributes)
            }).collect();
            prop_assert_eq!(found, want);
        }
    }
}
