//! What planning and streaming a packed disk image costs: `cargo bench -p factory-formats --bench encode`.
//!
//! The disk is 4.2 GiB long and holds 200 MiB of payload, a third of it inside the stored Zstandard frame
//! that is appended to an initramfs. Throughput counts that payload; compare it with `copy_payload`, which
//! does nothing but copy it.
#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::BytesCount;
use factory_formats::checksum::{ReadChecks, crc32, crc64};
use factory_formats::encode::{Codec, CompressedBlobs, EncodeOptions, encode, zstd_stored};
use factory_formats::layout::{Piece, Run};
use factory_formats::testing::{MemoryBlobs, noise};
use factory_formats::{Layout, LayoutBuilder, ReadBlob};

const MIB: usize = 1 << 20;
const PAYLOAD: u64 = 200 << 20;

struct Disk {
    layout: Layout,
    blobs: MemoryBlobs,
}

static DISK: LazyLock<Disk> = LazyLock::new(|| {
    let mut blobs = MemoryBlobs::new();
    let kernel = blobs.layout(noise(20 * MIB, 1));
    let initramfs = blobs.layout(noise(113 * MIB, 2));
    let mut archive = LayoutBuilder::new();
    for (seed, size) in [(3, 40 * MIB), (4, 20 * MIB), (5, 7 * MIB)] {
        archive.slice(&[b'0'; 118]).append(&blobs.layout(noise(size, seed))).align(4);
    }
    let mut disk = LayoutBuilder::new();
    disk.slice(b"EFI PART").align(MIB as u64);
    // A FAT volume: tables and a few directories, then the files.
    for _ in 0..2 {
        disk.run(Run::counter(3, 52_000)).align(1 << 19);
    }
    for seed in 0..30 {
        disk.bytes(noise(600, seed)).align(4096);
    }
    disk.append(&kernel).align(512).append(&initramfs).align(4);
    disk.append(&zstd_stored(&archive.build())).align(MIB as u64);
    disk.pad_to(4246 * MIB as u64).bytes(noise(16_896, 6)).align(MIB as u64);
    let layout = disk.build();
    for digest in layout.blobs() {
        blobs.checks(&digest).unwrap();
    }
    Disk { layout, blobs }
});

const CODECS: [Codec; 3] = [Codec::Xz, Codec::Zstd, Codec::Gzip];

fn plan(codec: Codec) -> Layout {
    encode(&DISK.layout, codec, &EncodeOptions::default(), &CompressedBlobs::new(), &DISK.blobs).unwrap()
}

#[divan::bench(args = CODECS)]
fn plan_disk(bencher: Bencher, codec: Codec) {
    plan(codec);
    bencher.bench(|| plan(codec));
}

#[divan::bench]
fn crc32_of_disk(bencher: Bencher) {
    bencher.bench(|| crc32(&DISK.layout, 0, u64::MAX, &DISK.blobs).unwrap());
}

#[divan::bench]
fn crc64_of_disk(bencher: Bencher) {
    bencher.bench(|| crc64(&DISK.layout, 0, u64::MAX, &DISK.blobs).unwrap());
}

fn stream(bencher: Bencher, layout: &Layout) {
    let mut buf = vec![0; 256 << 10];
    bencher.counter(BytesCount::new(PAYLOAD)).bench_local(|| {
        let mut cursor = layout.cursor(0, u64::MAX);
        while !matches!(cursor.next(&DISK.blobs, divan::black_box(&mut buf)).unwrap(), Piece::End) {}
    });
}

#[divan::bench]
fn stream_raw(bencher: Bencher) {
    stream(bencher, &DISK.layout);
}

#[divan::bench(args = CODECS)]
fn stream_packed(bencher: Bencher, codec: Codec) {
    stream(bencher, &plan(codec));
}

#[divan::bench]
fn copy_payload(bencher: Bencher) {
    let blobs: Vec<_> = DISK.layout.blobs();
    let mut buf = vec![0; 256 << 10];
    bencher.counter(BytesCount::new(PAYLOAD)).bench_local(|| {
        for digest in &blobs {
            let size = DISK.blobs.get(digest).unwrap().len() as u64;
            for offset in (0..size).step_by(256 << 10) {
                let len = (size - offset).min(256 << 10) as usize;
                DISK.blobs.read_exact_at(digest, offset, divan::black_box(&mut buf[..len])).unwrap();
            }
        }
    });
}

fn main() {
    divan::main();
}
