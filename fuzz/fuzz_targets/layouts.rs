//! Ranges, slices and CRCs of any layout agree with its bytes.
#![no_main]

use factory_formats::LayoutBuilder;
use factory_formats::checksum::{GrainChecks, cheap_cut, crc32, crc64};
use factory_formats::layout::Piece;
use factory_formats::testing::{MemoryBlobs, layout_of};
use factory_fuzz::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut source = Source(data);
    let mut blobs = MemoryBlobs::new();
    let layout = layout_of(&source.recipe(), &mut blobs, 2);
    let whole = layout.to_vec(&blobs).unwrap();
    assert_eq!(whole.len() as u64, layout.len());

    let (a, b) = (source.position(layout.len()), source.position(layout.len()));
    let (start, end) = (a.min(b), a.max(b));
    let want = &whole[start as usize..end as usize];
    assert!(layout.slice(start, end).to_vec(&blobs).unwrap() == want);

    let mut streamed = Vec::new();
    let mut buf = vec![0xAA; source.size() as usize + 1];
    let mut cursor = layout.cursor(start, end);
    loop {
        match cursor.next(&blobs, &mut buf).unwrap() {
            Piece::Data(n) => streamed.extend_from_slice(&buf[..n]),
            Piece::Zeros(n) => streamed.resize(streamed.len() + n as usize, 0),
            Piece::End => break,
        }
    }
    assert!(streamed == want);

    let mut joined = LayoutBuilder::new();
    joined.append(&layout.slice(0, start)).append(&layout.slice(start, u64::MAX));
    assert!(joined.build().to_vec(&blobs).unwrap() == whole);

    let checks = GrainChecks::of(want);
    assert_eq!(crc32(&layout, start, end, &blobs).unwrap(), checks.crc32);
    assert_eq!(crc64(&layout, start, end, &blobs).unwrap(), checks.crc64);
    if start < end {
        let cut = cheap_cut(&layout, start, end);
        assert!(start < cut && cut <= end);
    }
});
