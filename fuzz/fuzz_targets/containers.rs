//! A disk comes back out of every container, and any range of one is a slice of the whole.
#![no_main]

use std::io::{Read, copy};

use factory_formats::testing::{MemoryBlobs, layout_of};
use factory_formats::{LayoutBuilder, qcow2, tar, vhd, vmdk};
use factory_fuzz::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let mut blobs = MemoryBlobs::new();
    let kind = source.byte() % 4;
    let cluster = 512 << (source.byte() % 8);
    let mut disk = LayoutBuilder::new();
    disk.append(&layout_of(&source.recipe(), &mut blobs, 1)).align(512);
    let disk = disk.build();
    let plain = disk.to_vec(&blobs).unwrap();
    let made = match kind {
        0 => qcow2::image(&disk, cluster).unwrap(),
        1 => vhd::fixed(&disk, 0).unwrap(),
        2 => vmdk::stream_optimized(&disk).unwrap(),
        _ => tar::sparse_disk(&disk, 0),
    };
    let whole = made.to_vec(&blobs).unwrap();
    let unpacked = match kind {
        0 => from_qcow2(&whole),
        1 => whole[..whole.len() - 512].to_vec(),
        2 => from_vmdk(&whole),
        _ => from_tar(&whole),
    };
    assert!(unpacked == plain);
    let (a, b) = (source.position(made.len()), source.position(made.len()));
    let (start, end) = (a.min(b), a.max(b));
    let mut range = vec![0xAA; (end - start) as usize];
    made.read_exact_at(&blobs, start, &mut range).unwrap();
    assert!(range == whole[start as usize..end as usize]);
});

fn be64(bytes: &[u8], at: usize) -> usize {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn le32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn from_qcow2(bytes: &[u8]) -> Vec<u8> {
    let cluster = 1 << bytes[23];
    let (size, l1) = (be64(bytes, 24), be64(bytes, 40));
    let target = |at| be64(bytes, at) & !(1 << 63);
    let mut disk = vec![0; size.next_multiple_of(cluster)];
    for (k, out) in disk.chunks_mut(cluster).enumerate() {
        let table = target(l1 + k / (cluster / 8) * 8);
        let at = if table == 0 { 0 } else { target(table + k % (cluster / 8) * 8) };
        if at != 0 {
            out.copy_from_slice(&bytes[at..at + cluster]);
        }
    }
    disk.truncate(size);
    disk
}

fn from_vmdk(bytes: &[u8]) -> Vec<u8> {
    let (sectors, directory) = (le32(bytes, 12), le32(bytes, 56) * 512);
    let mut disk = Vec::new();
    for grain in 0..sectors.div_ceil(128) {
        let table = le32(bytes, directory + grain / 512 * 4) * 512;
        let at = le32(bytes, table + grain % 512 * 4) * 512;
        if at == 0 {
            disk.resize(disk.len() + 65536, 0);
        } else {
            let packed = &bytes[at + 12..at + 12 + le32(bytes, at + 8)];
            copy(&mut flate2::read::ZlibDecoder::new(packed), &mut disk).unwrap();
        }
    }
    disk.truncate(sectors * 512);
    disk
}

fn from_tar(bytes: &[u8]) -> Vec<u8> {
    let mut disk = Vec::new();
    let mut archive = ::tar::Archive::new(bytes);
    let mut entries = archive.entries().unwrap();
    entries.next().unwrap().unwrap().read_to_end(&mut disk).unwrap();
    assert!(entries.next().is_none());
    disk
}
