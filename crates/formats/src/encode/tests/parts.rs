//! Blobs that were compressed ahead.

use super::*;

/// Compresses the blobs that should be, and keeps the parts.
fn compress_all(layout: &Layout, codec: Codec, blobs: &mut MemoryBlobs) -> CompressedBlobs {
    let size = |digest: &Digest| {
        let bytes = blobs.get(digest)?;
        let pays = compression_pays(bytes.len() as u64, |offset, buf| {
            buf.copy_from_slice(&bytes[offset as usize..offset as usize + buf.len()]);
            Ok(())
        });
        pays.unwrap().then_some(bytes.len() as u64)
    };
    let digests = compressible_blobs(layout, size);
    let mut parts = CompressedBlobs::new();
    for digest in digests {
        let bytes = blobs.get(&digest).unwrap().clone();
        let mut part = Vec::new();
        let compressed = compress_blob(codec, bytes.len() as u64, &mut &bytes[..], &mut part).unwrap();
        assert_eq!((compressed.part, compressed.part_len), (Digest::of(&part), part.len() as u64));
        blobs.add(part);
        parts.insert(digest, compressed);
    }
    parts
}

/// A disk with a board's firmware twice, a device tree too small to bother, and a kernel.
fn board(blobs: &mut MemoryBlobs) -> Layout {
    let firmware = blobs.layout(plain_text(5_000_011, 1));
    let mut builder = LayoutBuilder::new();
    builder.zero(32 << 10).append(&firmware).zero(100_000).append(&blobs.layout(noise(300_000, 2)));
    builder.append(&blobs.layout(plain_text(20_000, 3))).append(&firmware);
    builder.append(&blobs.layout(plain_text(70_000, 4))).slice(b"end");
    builder.build()
}

#[test]
fn parts_are_spliced_in_and_unpack_to_the_same_bytes() {
    let mut blobs = MemoryBlobs::new();
    let layout = board(&mut blobs);
    let plain = layout.to_vec(&blobs).unwrap();
    for (codec, options) in all_kinds() {
        let parts = compress_all(&layout, codec, &mut blobs);
        assert_eq!(parts.len(), 2);
        let packed = encode(&layout, codec, &options, &parts, &blobs).unwrap();
        let bytes = packed.to_vec(&blobs).unwrap();
        assert!(unpack(codec, &bytes) == plain, "{codec}");
        if options.xz_check == XzCheck::Crc64 {
            assert!(packed.len() < layout.len() / 2, "{codec} {}", packed.len());
        } else {
            assert!(parts.values().all(|part| !packed.blobs().contains(&part.part)));
        }
        let (start, end) = (packed.len() / 3, packed.len() - 7);
        assert!(streamed(&packed, &blobs, start, end) == bytes[start as usize..end as usize], "{codec}");
    }
}

#[test]
fn records_survive_json_and_bytes_do_not_depend_on_the_reader() {
    /// Gives a few bytes at a time.
    struct Dripping<'a>(&'a [u8]);
    impl Read for Dripping<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let take = buf.len().min(self.0.len()).min(1013);
            buf[..take].copy_from_slice(&self.0[..take]);
            self.0 = &self.0[take..];
            Ok(take)
        }
    }
    let bytes = plain_text(4_500_000, 5);
    for codec in [Codec::Xz, Codec::Zstd, Codec::Gzip] {
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        let len = bytes.len() as u64;
        let record = compress_blob(codec, len, &mut &bytes[..], &mut once).unwrap();
        assert_eq!(compress_blob(codec, len, &mut Dripping(&bytes), &mut twice).unwrap(), record);
        assert!(once == twice, "{codec}");
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<CompressedBlob>(&json).unwrap(), record);
    }
}

/// Replicas share parts by their subject. When a library's new version makes other bytes, raise the version
/// in `Codec::part_subject` together with these digests.
#[test]
fn parts_have_the_bytes_that_their_subject_stands_for() {
    let bytes = plain_text(4_500_000, 6);
    let found = [Codec::Xz, Codec::Zstd, Codec::Gzip].map(|codec| {
        let record = compress_blob(codec, bytes.len() as u64, &mut &bytes[..], &mut io::sink()).unwrap();
        record.part.hex()[..16].to_owned()
    });
    assert_eq!(found, ["2cb82fb7c2ee3c8d", "0eb01cd290f96237", "7bc9a30ba57552f7"]);
}

#[test]
fn a_blob_of_another_length_is_refused() {
    for codec in [Codec::Xz, Codec::Zstd, Codec::Gzip] {
        for (said, found) in [(99, 100), (101, 100), (u64::MAX, 100), (0, 1)] {
            let error = compress_blob(codec, said, &mut &[7; 100][..], &mut Vec::new()).unwrap_err();
            assert!(
                matches!(error, CompressError::Length { expected, found: got } if (expected, got) == (said, found)),
                "{codec} {error}"
            );
        }
    }
}

#[test]
fn whatever_is_not_the_right_part_is_not_used() {
    let mut blobs = MemoryBlobs::new();
    let layout = board(&mut blobs);
    let options = EncodeOptions::default();
    let parts = compress_all(&layout, Codec::Zstd, &mut blobs);
    let plain = stored(&layout, Codec::Gzip, &options, &blobs).fingerprint();
    assert_eq!(encode(&layout, Codec::Gzip, &options, &parts, &blobs).unwrap().fingerprint(), plain);

    let useless: CompressedBlobs =
        parts.iter().map(|(d, p)| (*d, CompressedBlob { part_len: p.len, ..p.clone() })).collect();
    let plain = stored(&layout, Codec::Zstd, &options, &blobs).fingerprint();
    assert_eq!(encode(&layout, Codec::Zstd, &options, &useless, &blobs).unwrap().fingerprint(), plain);

    let foreign: CompressedBlobs =
        parts.iter().map(|(d, p)| (*d, CompressedBlob { codec: Codec::Xz, ..p.clone() })).collect();
    let error = encode(&layout, Codec::Xz, &options, &foreign, &blobs).unwrap_err();
    assert!(
        matches!(error, EncodeError::Part { reason: InvalidPart::Blocks { count: 0, .. }, .. }),
        "{error}"
    );
}

#[test]
fn only_whole_long_blobs_outside_frames_are_named() {
    let mut blobs = MemoryBlobs::new();
    let whole = blobs.layout(plain_text(100_000, 1));
    let cut = blobs.layout(plain_text(100_001, 2)).slice(0, 100_000);
    let short = blobs.layout(plain_text(COMPRESS_FROM as usize - 1, 3));
    let framed = zstd_stored(&blobs.layout(plain_text(100_002, 4)));
    let mut builder = LayoutBuilder::new();
    builder.append(&whole).append(&cut).append(&short).append(&framed).append(&whole);
    let size = |digest: &Digest| blobs.get(digest).map(|bytes| bytes.len() as u64);
    assert_eq!(compressible_blobs(&builder.build(), size), whole.blobs());
}

#[test]
fn a_part_is_named_for_what_it_depends_on() {
    let blob = Digest::of(b"");
    let subjects = [Codec::Xz, Codec::Zstd, Codec::Gzip].map(|codec| codec.part_subject(&blob));
    assert_eq!(subjects[1], format!("compressed/v1 zstd level=12 {blob}"));
    assert!(subjects[0] != subjects[1] && subjects[1] != subjects[2]);
}
