//! Whatever is packed unpacks to the same bytes, and any range of it is a slice of the whole.
#![no_main]

use factory_formats::encode::{CompressedBlobs, encode, zstd_stored};
use factory_formats::testing::{MemoryBlobs, layout_of};
use factory_fuzz::{Source, kinds, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let mut blobs = MemoryBlobs::new();
    let (codec, options) = kinds()[usize::from(source.byte()) % 5].clone();
    let nest = source.byte() % 2 == 1;
    let mut layout = layout_of(&source.recipe(), &mut blobs, 1);
    if nest {
        layout = zstd_stored(&layout);
    }
    let plain = layout.to_vec(&blobs).unwrap();
    let packed = encode(&layout, codec, &options, &CompressedBlobs::new(), &blobs).unwrap();
    let whole = packed.to_vec(&blobs).unwrap();
    assert_eq!(whole.len() as u64, packed.len());
    assert!(unpack(codec, &whole) == plain);
    let (a, b) = (source.position(packed.len()), source.position(packed.len()));
    let (start, end) = (a.min(b), a.max(b));
    assert!(packed.slice(start, end).to_vec(&blobs).unwrap() == whole[start as usize..end as usize]);
});
