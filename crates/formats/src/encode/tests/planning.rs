//! Planning reads no payload, is repeatable, and refuses what it cannot do.

use std::cell::Cell;
use std::sync::Arc;

use super::*;
use crate::ReadBlob;
use crate::checksum::BlobChecks;

/// Blobs that count the bytes read from them.
struct Counting<'a>(&'a MemoryBlobs, Cell<u64>);

impl ReadBlob for Counting<'_> {
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.1.set(self.1.get() + buf.len() as u64);
        self.0.read_exact_at(digest, offset, buf)
    }
}

impl ReadChecks for Counting<'_> {
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        self.0.checks(digest)
    }
}

/// A disk with blobs inside stored streams, as the kernels of new and of old releases unpack them.
fn nested(blobs: &mut MemoryBlobs) -> Layout {
    let mut archive = LayoutBuilder::new();
    for i in 0..3 {
        archive.slice(&[b'7'; 110]).append(&blobs.layout(noise(6_000_001, i))).align(4);
    }
    let mut disk = LayoutBuilder::new();
    disk.slice(b"head").zero(5 << 20).append(&blobs.layout(noise(9_000_003, 9))).align(4);
    let archive = archive.build();
    let kernel = EncodeOptions { xz_check: XzCheck::Crc32, ..Default::default() };
    disk.append(&zstd_stored(&archive)).align(4).append(&stored(&archive, Codec::Xz, &kernel, blobs));
    disk.zero(1 << 30).slice(b"tail");
    disk.build()
}

#[test]
fn planning_reads_no_payload_not_even_of_nested_streams() {
    let mut blobs = MemoryBlobs::new();
    let layout = nested(&mut blobs);
    for (codec, options) in all_kinds() {
        let counting = Counting(&blobs, Cell::new(0));
        encode(&layout, codec, &options, &CompressedBlobs::new(), &counting).unwrap();
        assert_eq!(counting.1.get(), 0, "{codec}");
    }
}

#[test]
fn two_plans_are_the_same_plan() {
    let mut blobs = MemoryBlobs::new();
    let layout = nested(&mut blobs);
    for (codec, options) in all_kinds() {
        let plan = || stored(&layout, codec, &options, &blobs).fingerprint();
        assert_eq!(plan(), plan(), "{codec}");
    }
}

/// Files of one release must not change when the factory is renewed; if a change is meant, it belongs
/// into the release notes.
#[test]
fn packed_files_have_the_bytes_they_always_had() {
    let mut blobs = MemoryBlobs::new();
    let layout = disk(&mut blobs);
    let found: Vec<String> = all_kinds()
        .into_iter()
        .map(|(codec, options)| {
            Digest::of(&stored(&layout, codec, &options, &blobs).to_vec(&blobs).unwrap()).hex()[..16]
                .to_owned()
        })
        .collect();
    assert_eq!(
        found,
        ["eb53d44add4bc9ca", "a33b320adc0a06e6", "a234263fadbe84d4", "7d5213381a036091", "e1a0dea7f5bd48a9"]
    );
}

#[test]
fn plans_stay_small() {
    let mut builder = LayoutBuilder::new();
    builder.zero(1 << 42);
    let layout = builder.build();
    for (codec, options) in all_kinds() {
        let packed = stored(&layout, codec, &options, &MemoryBlobs::new());
        assert!(packed.extents().len() < 6, "{codec} {}", packed.extents().len());
    }
}

#[test]
fn gzip_names_are_latin_1_without_nul() {
    let encode = |name: &str| {
        let options = EncodeOptions { file_name: Some(name.to_owned()), ..Default::default() };
        let blobs = MemoryBlobs::new();
        encode(&Layout::default(), Codec::Gzip, &options, &CompressedBlobs::new(), &blobs)
            .map(|packed| packed.to_vec(&blobs).unwrap())
    };
    assert!(matches!(encode("a\0b"), Err(EncodeError::FileName(name)) if name == "a\0b"));
    assert!(matches!(encode("диск.raw"), Err(EncodeError::FileName(_))));
    assert_eq!(encode("é.raw").unwrap()[10..16], *b"\xE9.raw\0");
}

#[test]
fn a_blob_without_a_table_is_an_error_that_names_the_codec() {
    let layout = Layout::from_blob(Digest::of(b"gone"), 10);
    let parts = CompressedBlobs::new();
    for codec in [Codec::Xz, Codec::Gzip] {
        let error =
            encode(&layout, codec, &EncodeOptions::default(), &parts, &MemoryBlobs::new()).unwrap_err();
        assert!(error.to_string().contains(&format!("{codec} file")), "{error}");
    }
}
