use proptest::prelude::*;

use super::*;
use crate::testing::{MemoryBlobs, layout_of};

/// The same bytes, made the slow way: one byte at a time.
fn slowly(layout: &Layout, blobs: &MemoryBlobs) -> Vec<u8> {
    let mut out = Vec::new();
    for extent in layout.extents() {
        match extent {
            Extent::Zero(len) => out.resize(out.len() + *len as usize, 0),
            Extent::Bytes(bytes) => out.extend_from_slice(bytes),
            Extent::Blob(r) => {
                let blob = blobs.get(&r.digest).unwrap();
                out.extend_from_slice(&blob[r.offset as usize..(r.offset + r.len) as usize]);
            }
            Extent::Run(run) => {
                let all: Vec<u8> = match run.source() {
                    RunSource::Repeat(p) => {
                        p.iter().copied().cycle().take((run.start() + run.len()) as usize).collect()
                    }
                    RunSource::Numbers(numbers) => slow_numbers(*numbers, run.start() + run.len()),
                    RunSource::Grains { inner, first } => slowly(inner, blobs)
                        .chunks(GRAIN_LEN as usize)
                        .zip(*first..)
                        .flat_map(|(payload, number)| slow_grain(payload, number))
                        .collect(),
                    RunSource::Framed { inner, framing } => slowly(inner, blobs)
                        .chunks(framing.chunk_len() as usize)
                        .enumerate()
                        .flat_map(|(i, chunk)| {
                            let (header, n) = framing.header(i as u64, chunk.len() as u64);
                            [&header[..n], chunk].concat()
                        })
                        .collect(),
                };
                out.extend_from_slice(&all[run.start() as usize..(run.start() + run.len()) as usize]);
            }
        }
    }
    out
}

fn slow_numbers(numbers: Numbers, len: u64) -> Vec<u8> {
    let values = (0..len).map(|i| numbers.first + i * numbers.step);
    match numbers.form {
        NumberForm::Le32 => {
            values.take(len.div_ceil(4) as usize).flat_map(|n| (n as u32).to_le_bytes()).collect()
        }
        NumberForm::Be64 => values.take(len.div_ceil(8) as usize).flat_map(u64::to_be_bytes).collect(),
    }
}

/// A grain as RFC 1950 and the table in section 7.3 of the specification say it.
fn slow_grain(payload: &[u8], number: u64) -> Vec<u8> {
    let (mut a, mut b) = (1_u32, 0_u32);
    for &byte in payload {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    let mut out = (number * 128).to_le_bytes().to_vec();
    out.extend_from_slice(&65552_u32.to_le_bytes());
    out.extend_from_slice(&[0x78, 1, 0, 0xFF, 0xFF, 0, 0]);
    out.extend_from_slice(&payload[..65535]);
    out.extend_from_slice(&[1, 1, 0, 0xFE, 0xFF, payload[65535]]);
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
    out.resize(129 * 512, 0);
    out
}

fn streamed(layout: &Layout, blobs: &MemoryBlobs, start: u64, end: u64, step: usize) -> Vec<u8> {
    let mut cursor = layout.cursor(start, end);
    let (mut out, mut buf) = (Vec::new(), vec![0xAA; step]);
    loop {
        match cursor.next(blobs, &mut buf).unwrap() {
            Piece::Data(n) => out.extend_from_slice(&buf[..n]),
            Piece::Zeros(n) => out.resize(out.len() + n as usize, 0),
            Piece::End => return out,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_way_of_reading_gives_the_same_bytes(
        recipe in prop::collection::vec((any::<u8>(), 0u64..200_000), 0..8),
        cut in (0.0f64..=1.0, 0.0f64..=1.0),
        step in 1usize..200_000,
    ) {
        let mut blobs = MemoryBlobs::new();
        let layout = layout_of(&recipe, &mut blobs, 2);
        let whole = slowly(&layout, &blobs);
        prop_assert_eq!(layout.len(), whole.len() as u64);
        prop_assert!(layout.to_vec(&blobs).unwrap() == whole);

        let (a, b) = (cut.0.min(cut.1), cut.0.max(cut.1));
        let start = (a * whole.len() as f64) as usize;
        let end = (b * whole.len() as f64) as usize;
        prop_assert!(streamed(&layout, &blobs, start as u64, end as u64, step) == whole[start..end]);

        let slice = layout.slice(start as u64, end as u64);
        prop_assert!(slice.to_vec(&blobs).unwrap() == whole[start..end]);

        let mut joined = LayoutBuilder::new();
        joined.append(&layout.slice(0, start as u64)).append(&layout.slice(start as u64, u64::MAX));
        prop_assert!(joined.build().to_vec(&blobs).unwrap() == whole);
    }
}

#[test]
fn neighbours_become_one_extent() {
    let mut builder = LayoutBuilder::new();
    builder.zero(100).zero(28).slice(b"ab").bytes(&b"cd"[..]).zero(3).slice(b"ef").zero(0).align(256);
    let layout = builder.build();
    assert_eq!(layout.len(), 256);
    assert_eq!(format!("{:?}", layout.extents()), "[Zero(0x80), Bytes(0x9), Zero(0x77)]");
}

#[test]
fn stretches_of_a_blob_are_joined_only_when_they_continue_each_other() {
    let part = |name: &[u8], offset, len| BlobRange { digest: Digest::of(name), offset, len };
    let mut builder = LayoutBuilder::new();
    builder.blob(part(b"a", 5, 10)).blob(part(b"a", 15, 1)).blob(part(b"a", 17, 0)).blob(part(b"a", 17, 2));
    builder.blob(part(b"b", 19, 1)).slice(b"x").blob(part(b"b", 20, 1));
    let layout = builder.build();
    let found: Vec<_> = layout
        .extents()
        .iter()
        .map(|extent| match extent {
            Extent::Blob(range) => (range.offset, range.len),
            other => (0, other.len()),
        })
        .collect();
    assert_eq!(found, [(5, 11), (17, 2), (19, 1), (0, 1), (20, 1)]);
    assert_eq!(layout.len(), 16);
}

#[test]
fn the_end_is_an_error_and_a_missing_blob_too() {
    let blobs = MemoryBlobs::new();
    let layout = Layout::from_blob(Digest::of(b"x"), 1);
    let mut buf = [0; 2];
    let missing = layout.read_exact_at(&blobs, 0, &mut buf[..1]).unwrap_err();
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    let short = Layout::from_bytes(&b"x"[..]).read_exact_at(&blobs, 0, &mut buf).unwrap_err();
    assert_eq!(short.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn fingerprints_tell_layouts_apart() {
    let blob = |offset| {
        let mut b = LayoutBuilder::new();
        b.blob(BlobRange { digest: Digest::of(b"x"), offset, len: 5 });
        b.build().fingerprint()
    };
    let run = |run| {
        let mut b = LayoutBuilder::new();
        b.run(run);
        b.build().fingerprint()
    };
    let framed = |framing| run(Run::framed(Layout::from_bytes(&b"hello"[..]), framing));
    let numbers = |step, form| Numbers { first: 7, step, form };
    let all = [
        Layout::default().fingerprint(),
        Layout::from_bytes(&b"hello"[..]).fingerprint(),
        blob(0),
        blob(1),
        framed(Framing::Lzma2),
        framed(Framing::Lzma2First),
        framed(Framing::ZstdRaw),
        run(Run::grains(&Layout::from_bytes(&b"hello"[..]), 0)),
        run(Run::grains(&Layout::from_bytes(&b"hello"[..]), 1)),
        run(Run::numbers(numbers(1, NumberForm::Le32), 6)),
        run(Run::numbers(numbers(2, NumberForm::Le32), 6)),
        run(Run::numbers(numbers(1, NumberForm::Be64), 3)),
    ];
    for (i, a) in all.iter().enumerate() {
        assert!(!all[i + 1..].contains(a), "{i}");
    }
    assert_eq!(blob(1), blob(1));
}

#[test]
fn names_its_blobs_once_and_through_frames() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let mut builder = LayoutBuilder::new();
    builder.append(&Layout::from_blob(a, 1)).append(&Layout::from_blob(a, 1));
    builder.run(Run::framed(Layout::from_blob(b, 9), Framing::ZstdRaw));
    let mut want = vec![a, b];
    want.sort_unstable();
    assert_eq!(builder.build().blobs(), want);
}
