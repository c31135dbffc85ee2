mod parts;
mod planning;
mod ranges;
mod tools;

use std::io::Read;

use super::*;
use crate::LayoutBuilder;
use crate::layout::{Piece, Run};
use crate::testing::{MemoryBlobs, noise};

/// Every codec with every option that changes its bytes.
fn all_kinds() -> Vec<(Codec, EncodeOptions)> {
    let named = EncodeOptions { file_name: Some("metal-amd64.raw".to_owned()), ..Default::default() };
    let kernel = EncodeOptions { xz_check: XzCheck::Crc32, ..Default::default() };
    vec![
        (Codec::Xz, EncodeOptions::default()),
        (Codec::Xz, kernel),
        (Codec::Zstd, EncodeOptions::default()),
        (Codec::Gzip, EncodeOptions::default()),
        (Codec::Gzip, named),
    ]
}

fn stored(layout: &Layout, codec: Codec, options: &EncodeOptions, blobs: &MemoryBlobs) -> Layout {
    encode(layout, codec, options, &CompressedBlobs::new(), blobs).unwrap()
}

/// The packed bytes as the codec's library unpacks them, all input used up.
fn unpack(codec: Codec, packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = packed;
    match codec {
        Codec::Xz => {
            let stream = xz2::stream::Stream::new_stream_decoder(u64::MAX, 0).unwrap();
            xz2::bufread::XzDecoder::new_stream(&mut rest, stream).read_to_end(&mut out).unwrap();
        }
        Codec::Zstd => {
            ::zstd::Decoder::with_buffer(&mut rest).unwrap().read_to_end(&mut out).unwrap();
        }
        Codec::Gzip => {
            flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut out).unwrap();
        }
    }
    assert!(rest.is_empty(), "{codec} leaves {} bytes", rest.len());
    out
}

fn streamed(layout: &Layout, blobs: &MemoryBlobs, start: u64, end: u64) -> Vec<u8> {
    let mut cursor = layout.cursor(start, end);
    let (mut out, mut buf) = (Vec::new(), vec![0xAA; 50_000]);
    loop {
        match cursor.next(blobs, &mut buf).unwrap() {
            Piece::Data(n) => out.extend_from_slice(&buf[..n]),
            Piece::Zeros(n) => out.resize(out.len() + n as usize, 0),
            Piece::End => return out,
        }
    }
}

/// Repetitive bytes that look like a device tree or firmware: compressible, not trivially so.
fn plain_text(len: usize, seed: u64) -> Vec<u8> {
    let words = noise(len / 4 + 1, seed);
    let mut out = Vec::with_capacity(len + 16);
    for word in words {
        out.extend_from_slice(format!("node-{:x} ", word & 0x3F).as_bytes());
        if out.len() >= len {
            break;
        }
    }
    out.resize(len, b'.');
    out
}

/// Metadata, zeros and blobs as on a disk image.
fn disk(blobs: &mut MemoryBlobs) -> Layout {
    let mut builder = LayoutBuilder::new();
    builder.slice(b"EFI PART").zero(1 << 20).bytes(noise(40_000, 1)).zero(70_000);
    builder.append(&blobs.layout(noise(9_300_017, 2))).align(4096).run(Run::counter(3, 20_000));
    builder.zero(40 << 20).slice(b"middle").zero(3000).append(&blobs.layout(noise(700_001, 3)));
    builder.zero(17 << 20).zero(4095).slice(b"backup EFI PART");
    builder.build()
}
