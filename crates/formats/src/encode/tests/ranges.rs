//! Packed layouts unpack to what they pack, and any range of them is a slice of the whole.

use proptest::prelude::*;

use super::*;
use crate::testing::layout_of;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_codec_gives_the_bytes_back_and_serves_ranges(
        recipe in prop::collection::vec((any::<u8>(), 0u64..600_000), 0..9),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let layout = layout_of(&recipe, &mut blobs, 2);
        let plain = layout.to_vec(&blobs).unwrap();
        for (codec, options) in all_kinds() {
            let packed = stored(&layout, codec, &options, &blobs);
            let whole = packed.to_vec(&blobs).unwrap();
            prop_assert_eq!(whole.len() as u64, packed.len());
            prop_assert!(unpack(codec, &whole) == plain, "{} {:?}", codec, options);

            let start = (cut.0.min(cut.1) * whole.len() as f64) as usize;
            let end = (cut.0.max(cut.1) * whole.len() as f64) as usize;
            prop_assert!(streamed(&packed, &blobs, start as u64, end as u64) == whole[start..end]);
        }
        let frame = zstd_stored(&layout).to_vec(&blobs).unwrap();
        prop_assert!(unpack(Codec::Zstd, &frame) == plain);
    }
}

#[test]
fn packing_what_is_packed_gives_it_back_twice() {
    let mut blobs = MemoryBlobs::new();
    let mut builder = LayoutBuilder::new();
    builder.bytes(noise(500, 1)).append(&blobs.layout(noise(5 << 20, 2))).zero(100_000);
    let inner = builder.build();
    let plain = inner.to_vec(&blobs).unwrap();
    for (inner_codec, inner_options) in all_kinds() {
        let once = stored(&inner, inner_codec, &inner_options, &blobs);
        for (codec, options) in all_kinds() {
            let twice = stored(&once, codec, &options, &blobs).to_vec(&blobs).unwrap();
            assert!(unpack(inner_codec, &unpack(codec, &twice)) == plain, "{inner_codec} in {codec}");
        }
    }
}

#[test]
fn a_disk_shrinks_to_its_payload() {
    let mut blobs = MemoryBlobs::new();
    let layout = disk(&mut blobs);
    let plain = layout.to_vec(&blobs).unwrap();
    let payload = 10_000_018 + 120_015;
    for (codec, options) in all_kinds() {
        let packed = stored(&layout, codec, &options, &blobs);
        let zeros = if codec == Codec::Gzip { 75_000 } else { 24_000 };
        assert!(packed.len() < payload + zeros + payload / 5000, "{codec} {}", packed.len());
        assert!(unpack(codec, &packed.to_vec(&blobs).unwrap()) == plain, "{codec}");
    }
}
