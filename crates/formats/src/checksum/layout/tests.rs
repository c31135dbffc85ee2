use proptest::prelude::*;

use super::*;
use crate::LayoutBuilder;
use crate::testing::{MemoryBlobs, layout_of, noise};

/// Blobs that count the bytes read from them.
struct Counting<'a> {
    blobs: &'a MemoryBlobs,
    read: std::cell::Cell<u64>,
}

impl<'a> Counting<'a> {
    fn new(blobs: &'a MemoryBlobs) -> Self {
        Self { blobs, read: std::cell::Cell::new(0) }
    }
}

impl ReadBlob for Counting<'_> {
    fn read_exact_at(&self, digest: &Digest, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.read.set(self.read.get() + buf.len() as u64);
        self.blobs.read_exact_at(digest, offset, buf)
    }
}

impl ReadChecks for Counting<'_> {
    fn checks(&self, digest: &Digest) -> io::Result<Arc<BlobChecks>> {
        self.blobs.checks(digest)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ranges_have_the_values_of_their_bytes(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let layout = layout_of(&recipe, &mut blobs, 2);
        let whole = layout.to_vec(&blobs).unwrap();
        let start = (cut.0.min(cut.1) * whole.len() as f64) as usize;
        let end = (cut.0.max(cut.1) * whole.len() as f64) as usize;
        let want = GrainChecks::of(&whole[start..end]);
        prop_assert_eq!(crc32(&layout, start as u64, end as u64, &blobs).unwrap(), want.crc32);
        prop_assert_eq!(crc64(&layout, start as u64, end as u64, &blobs).unwrap(), want.crc64);
        prop_assert_eq!(crc64(&layout, 0, u64::MAX, &blobs).unwrap(), GrainChecks::of(&whole).crc64);
    }

    #[test]
    fn cheap_cuts_stay_inside_their_bounds(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 1..8),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
    ) {
        let mut blobs = MemoryBlobs::new();
        let layout = layout_of(&recipe, &mut blobs, 2);
        let after = (cut.0.min(cut.1) * layout.len() as f64) as u64;
        let until = (cut.0.max(cut.1) * layout.len() as f64) as u64;
        prop_assume!(after < until);
        let found = cheap_cut(&layout, after, until);
        prop_assert!(after < found && found <= until, "{} not in {}..={}", found, after, until);
    }
}

#[test]
fn whole_blobs_cost_no_read_and_cuts_inside_them_can_be_free() {
    let mut blobs = MemoryBlobs::new();
    let mut inner = LayoutBuilder::new();
    inner.append(&blobs.layout(noise(5 * GRAIN as usize + 99, 1)));
    let mut builder = LayoutBuilder::new();
    builder.slice(b"head").append(&blobs.layout(noise(9 * GRAIN as usize + 5, 2)));
    builder.run(Run::framed(inner.build(), Framing::ZstdRaw)).zero(1 << 40);
    let layout = builder.build();

    let counting = Counting::new(&blobs);
    let mut checks = LayoutChecks::new(&counting);
    checks.crc64(&layout, 0, layout.len()).unwrap();
    let framed_at = 4 + 9 * GRAIN + 5;
    let mut start = 0;
    let untils =
        [4 * GRAIN - 17, 8 * GRAIN, framed_at + 10, framed_at + 2 * GRAIN + 9, framed_at + 5 * GRAIN];
    for until in untils {
        let end = cheap_cut(&layout, start, until);
        assert!(until - end <= GRAIN + 3, "{until} {end}");
        checks.crc32(&layout, start, end).unwrap();
        start = end;
    }
    assert_eq!(counting.read.get(), 0);

    let torn = crc32(&layout, 4 + 10, 4 + GRAIN, &counting).unwrap();
    assert_eq!(torn, GrainChecks::of(&layout.slice(14, 4 + GRAIN).to_vec(&blobs).unwrap()).crc32);
    assert_eq!(counting.read.get(), GRAIN - 10);
}

#[test]
fn a_blob_shorter_than_the_layout_says_is_an_error() {
    let mut blobs = MemoryBlobs::new();
    let digest = blobs.add(&b"short"[..]);
    let error = crc32(&Layout::from_blob(digest, 6), 0, 6, &blobs).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(&digest.to_string()), "{error}");
}
