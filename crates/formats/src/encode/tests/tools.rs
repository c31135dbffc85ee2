//! What the field's own tools say to packed files.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use super::*;

/// Program and the Debian package that has it.
const PACKAGES: [(&str, &str); 7] = [
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("gzip", "gzip"),
    ("pigz", "pigz"),
    ("busybox", "busybox"),
    ("bsdcat", "libarchive-tools"),
    ("python3", "python3"),
];

/// Feeds `packed` to a command and compares what comes out with `plain`; `None` wants nothing out.
fn run(command: &str, packed: &Layout, plain: Option<&Layout>, blobs: &MemoryBlobs) {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    let package = PACKAGES.iter().find(|(name, _)| *name == program).unwrap().1;
    let mut child = Command::new(program)
        .args(words.map(|word| word.replace('~', " ")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; install the Debian package {package}"));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut cursor = packed.cursor(0, u64::MAX);
            let mut buf = vec![0; 1 << 18];
            loop {
                // A tool that gives up closes its end; its exit code tells.
                let written = match cursor.next(blobs, &mut buf).unwrap() {
                    Piece::Data(n) => stdin.write_all(&buf[..n]),
                    Piece::Zeros(n) => std::io::copy(&mut std::io::repeat(0).take(n), &mut stdin).map(|_| ()),
                    Piece::End => break,
                };
                if written.is_err() {
                    break;
                }
            }
        });
        let mut found = vec![0; 1 << 18];
        let mut want = vec![0; 1 << 18];
        let mut at = 0;
        loop {
            let n = stdout.read(&mut found).unwrap();
            if n == 0 {
                break;
            }
            let plain = plain.unwrap_or_else(|| panic!("{command} says something"));
            plain.read_exact_at(blobs, at, &mut want[..n]).unwrap();
            assert!(found[..n] == want[..n], "{command} differs in the {n} bytes from {at} on");
            at += n as u64;
        }
        assert_eq!(at, plain.map_or(0, Layout::len), "{command} gives another length");
    });
    assert!(child.wait().unwrap().success(), "{command} fails");
}

/// Commands that only judge, and commands that unpack.
fn commands(codec: Codec) -> (&'static [&'static str], &'static [&'static str]) {
    match codec {
        Codec::Xz => (
            &["xz -t"],
            &[
                "xz -dc",
                "xz -dc -T2",
                "busybox xzcat",
                "bsdcat",
                "python3 -c import~sys,lzma,shutil;shutil.copyfileobj(lzma.open(sys.stdin.buffer),sys.stdout.buffer)",
            ],
        ),
        Codec::Zstd => (&["zstd -qt"], &["zstd -qdc", "bsdcat"]),
        Codec::Gzip => (
            &["gzip -t", "pigz -t"],
            &[
                "gzip -dc",
                "pigz -dc",
                "busybox zcat",
                "bsdcat",
                "python3 -c import~sys,gzip,shutil;shutil.copyfileobj(gzip.open(sys.stdin.buffer),sys.stdout.buffer)",
            ],
        ),
    }
}

fn judged_by_all(layout: &Layout, blobs: &MemoryBlobs) {
    for (codec, options) in all_kinds() {
        let packed = stored(layout, codec, &options, blobs);
        let (judges, unpackers) = commands(codec);
        for command in judges {
            run(command, &packed, None, blobs);
        }
        for command in unpackers {
            run(command, &packed, Some(layout), blobs);
        }
    }
}

#[test]
fn empty_and_tiny_files() {
    let blobs = MemoryBlobs::new();
    judged_by_all(&Layout::default(), &blobs);
    judged_by_all(&Layout::from_bytes(&b"x"[..]), &blobs);
}

#[test]
fn exact_multiples_of_blocks_and_chunks() {
    let mut blobs = MemoryBlobs::new();
    let mut builder = LayoutBuilder::new();
    builder
        .append(&blobs.layout(noise(8 << 20, 1)))
        .zero(16 << 20)
        .append(&blobs.layout(noise(65_535 * 2, 2)));
    builder.zero(4096).append(&blobs.layout(noise(128 << 10, 3))).zero(1 << 20);
    judged_by_all(&builder.build(), &blobs);
}

#[test]
fn a_disk_of_payload_and_zeros() {
    let mut blobs = MemoryBlobs::new();
    let layout = disk(&mut blobs);
    judged_by_all(&layout, &blobs);
}

/// Sizes beyond 32 bits, judged by the tools that are quick about it.
#[test]
fn more_than_four_gibibytes() {
    let mut blobs = MemoryBlobs::new();
    let mut builder = LayoutBuilder::new();
    builder.append(&disk(&mut blobs)).zero((4 << 30) + 5000).append(&blobs.layout(noise(200_000, 4)));
    let layout = builder.build();
    let packed = |codec| stored(&layout, codec, &EncodeOptions::default(), &blobs);
    run("zstd -qt", &packed(Codec::Zstd), None, &blobs);
    run("pigz -t", &packed(Codec::Gzip), None, &blobs);

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&packed(Codec::Xz).to_vec(&blobs).unwrap()).unwrap();
    let listed = Command::new("xz").args(["--robot", "-l"]).arg(file.path()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let totals = listed.lines().find_map(|line| line.strip_prefix("totals\t")).unwrap();
    assert_eq!(totals.split('\t').nth(3).unwrap(), layout.len().to_string(), "{listed}");
}
