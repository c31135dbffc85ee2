//! Compressed parts of any bytes are spliced in well, and a record of one that lies is no catastrophe.
#![no_main]

use factory_formats::LayoutBuilder;
use factory_formats::encode::{CompressedBlobs, compress_blob, encode};
use factory_formats::testing::MemoryBlobs;
use factory_fuzz::{Source, kinds, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let (codec, options) = kinds()[usize::from(source.byte()) % 5].clone();
    let copies = source.byte() as usize * 64 + 1;
    let mut blobs = MemoryBlobs::new();

    // Bytes of the fuzzer's own, repeated so that there is something to gain.
    let bytes = source.0.repeat(copies.min((6 << 20) / source.0.len().max(1)));
    let layout = blobs.layout(bytes.clone());
    let digest = factory_formats::Digest::of(&bytes);
    let mut part = Vec::new();
    let record = compress_blob(codec, bytes.len() as u64, &mut &bytes[..], &mut part).unwrap();
    blobs.add(part);

    let mut disk = LayoutBuilder::new();
    disk.slice(b"head").append(&layout).zero(9000).append(&layout);
    let disk = disk.build();
    let plain = disk.to_vec(&blobs).unwrap();
    let parts = CompressedBlobs::from([(digest, record.clone())]);
    let packed = encode(&disk, codec, &options, &parts, &blobs).unwrap().to_vec(&blobs).unwrap();
    assert!(unpack(codec, &packed) == plain);

    let mut lie = record;
    lie.codec = kinds()[usize::from(source.byte()) % 5].0;
    lie.part_len = lie.part_len.wrapping_add(source.size()).wrapping_sub(64);
    if let Some(block) = lie.blocks.get_mut(usize::from(source.byte() % 2)) {
        block.unpadded = block.unpadded.wrapping_add(source.size()).wrapping_sub(64);
        block.uncompressed = block.uncompressed.wrapping_mul(u64::from(source.byte()) + 1);
    }
    let parts = CompressedBlobs::from([(digest, lie)]);
    for (codec, options) in kinds() {
        let _ = encode(&disk, codec, &options, &parts, &blobs);
    }
});
