use std::io::{Cursor, Write};
use std::path::PathBuf;

use base64::Engine as _;
use proptest::prelude::*;

use super::*;
use crate::testing::noise;

fn of(image: &[u8]) -> Result<String, KernelError> {
    release(&mut Cursor::new(image))
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

fn x86_image(pointer: u16, text: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 0x2000];
    put(&mut image, 0x200 + usize::from(pointer), text);
    put(&mut image, 0x1F1, &[8]);
    put(&mut image, 0x202, b"HdrS");
    put(&mut image, 0x20E, &pointer.to_le_bytes());
    image
}

/// Bytes of a kernel with its banner `at`, behind a format string that looks alike.
fn text_of_a_kernel(at: usize) -> Vec<u8> {
    let mut text = noise(at + 5000, 7);
    put(&mut text, 100, b"Linux version %s (%s)\0");
    put(&mut text, at, b"Linux version 6.18.45-talos (root@buildkitsandbox) #1 SMP\n\0");
    text
}

fn arm64_image(at: usize) -> Vec<u8> {
    let mut image = text_of_a_kernel(at);
    put(&mut image, 0, b"MZ\0\0\0\0\0\0");
    put(&mut image, 56, b"ARM\x64");
    image
}

fn zboot_image(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 0x1000];
    put(&mut image, 0, b"MZ\0\0zimg");
    put(&mut image, 8, &0x1000_u32.to_le_bytes());
    put(&mut image, 12, &(payload.len() as u32).to_le_bytes());
    put(&mut image, 24, name.as_bytes());
    [&image[..], payload, &[0xAA; 300]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lzma(bytes: &[u8], xz: bool) -> Vec<u8> {
    let stream = if xz {
        xz2::stream::Stream::new_easy_encoder(0, xz2::stream::Check::Crc32)
    } else {
        let options = xz2::stream::LzmaOptions::new_preset(0).unwrap();
        xz2::stream::Stream::new_lzma_encoder(&options)
    };
    let mut out = Vec::new();
    xz2::read::XzEncoder::new_stream(bytes, stream.unwrap()).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn x86_images_say_it_in_their_header() {
    assert_eq!(of(&x86_image(0x300, b"6.1.58-talos (x@y) #1 SMP\0")).unwrap(), "6.1.58-talos");
    assert_eq!(of(&x86_image(0x300, b"6.1.58\0 x")).unwrap(), "6.1.58");
    for (pointer, text) in [(0, &b"6.1 "[..]), (0x1001, b"6.1 "), (0x300, b" (x@y)"), (0x300, b"")] {
        assert!(
            matches!(of(&x86_image(pointer, text)), Err(KernelError::NoRelease)),
            "{pointer:#x} {text:?}"
        );
    }
    let long = [&b"7"[..], &[b'x'; 300]].concat();
    assert_eq!(of(&x86_image(0x300, &long)).unwrap().len(), 256);
}

#[test]
fn arm64_images_are_searched() {
    // Also with the banner in two windows.
    for at in [2000, (256 << 10) - 20, (256 << 10) - 5, 700_000] {
        assert_eq!(of(&arm64_image(at)).unwrap(), "6.18.45-talos", "{at}");
        assert_eq!(of(&gzip(&arm64_image(at))).unwrap(), "6.18.45-talos", "{at}");
    }
    let mut silent = noise(300_000, 7);
    put(&mut silent, 0, b"MZ\0\0\0\0\0\0");
    put(&mut silent, 56, b"ARM\x64");
    assert!(matches!(of(&silent), Err(KernelError::NoRelease)));
}

#[test]
fn images_that_unpack_themselves_are_unpacked() {
    let kernel = text_of_a_kernel(400_000);
    let zstd = zstd::bulk::compress(&kernel, 1).unwrap();
    for (name, payload) in [
        ("gzip", gzip(&kernel)),
        ("zstd", zstd.clone()),
        ("zstd22", zstd.clone()),
        ("xz", lzma(&kernel, true)),
        ("xzkern", lzma(&kernel, true)),
        ("lzma", lzma(&kernel, false)),
    ] {
        assert_eq!(of(&zboot_image(name, &payload)).unwrap(), "6.18.45-talos", "{name}");
    }
    let unknown = of(&zboot_image("lz4", b"")).unwrap_err().to_string();
    assert_eq!(unknown, "kernel image is compressed with \"lz4\"");
    assert!(matches!(of(&zboot_image("zstd", &zstd[..1000])), Err(KernelError::Read(_))));
}

#[test]
fn other_files_are_no_kernels() {
    for bytes in [&b""[..], b"MZ", b"hello", &[b'x'; 2000], &x86_image(0x300, b"6.1 ")[..0x203]] {
        assert!(matches!(of(bytes), Err(KernelError::Unknown)), "{} bytes", bytes.len());
    }
}

#[test]
fn golden_kernel_versions() {
    let directory = std::env::var_os("GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(directory.join("uki.jsonl")) else {
        println!("skipped: no uki.jsonl in {}", directory.display());
        return;
    };
    let mut compared = 0;
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = case["case"].as_str().unwrap();
        if !name.starts_with("uki/kernel-version/") {
            continue;
        }
        let image = case["input"]["base64"].as_str().unwrap();
        let image = base64::engine::general_purpose::STANDARD.decode(image).unwrap();
        match (of(&image), case["error"].as_str()) {
            (Ok(release), None) => assert_eq!(Some(release.as_str()), case["output"].as_str(), "{name}"),
            (Err(error), Some(want)) => assert_eq!(error.to_string(), want, "{name}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
        compared += 1;
    }
    println!("{compared} lines compared");
}

proptest! {
    #[test]
    fn hostile_images_are_errors_and_not_panics(
        kind in 0usize..3,
        changes in prop::collection::vec((0usize..0x400, any::<u8>()), 0..10),
        cut in 0usize..6000,
    ) {
        let payload = gzip(&text_of_a_kernel(1000));
        let mut image = [x86_image(0x300, b"6.1 "), arm64_image(1000), zboot_image("gzip", &payload)][kind].clone();
        for (at, value) in changes {
            image[at] = value;
        }
        image.truncate(cut);
        let _ = of(&image);
    }
}
