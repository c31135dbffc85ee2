use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use super::*;
use crate::encode::{Codec, CompressedBlobs, EncodeOptions, encode};
use crate::testing::{MemoryBlobs, noise};
use crate::{LayoutBuilder, golden, oracle, vmdk};

const MIB: u64 = 1 << 20;
const OPTIONS: OvaOptions = OvaOptions { capacity: 9193 * MIB, epoch: 1_559_424_892 };

fn disk(blobs: &mut MemoryBlobs) -> Layout {
    let mut disk = LayoutBuilder::new();
    disk.slice(b"EFI PART").zero(MIB).append(&blobs.layout(noise(3_000_001, 1))).align(512);
    disk.pad_to(OPTIONS.capacity - 8).slice(b"the end.");
    disk.build()
}

fn made(blobs: &mut MemoryBlobs) -> (Layout, Layout) {
    let vmdk = vmdk::stream_optimized(&disk(blobs)).unwrap();
    let digest = Digest::of(&vmdk.to_vec(blobs).unwrap());
    (archive(&OPTIONS, &vmdk, &digest), vmdk)
}

fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        let facts = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        assert_eq!((facts, header.mtime().unwrap()), ((0o644, 0, 0), OPTIONS.epoch));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    });
    entries.collect()
}

/// What `facts.py` says of a document.
fn facts(document: &[u8]) -> Vec<String> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("facts.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 cannot be run: install the Debian package python3");
    python.stdin.take().unwrap().write_all(document).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn members_come_in_order_and_the_manifest_is_true() {
    let mut blobs = MemoryBlobs::new();
    let (ova, vmdk) = made(&mut blobs);
    let members = members(&ova.to_vec(&blobs).unwrap());
    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["disk.ovf", "disk.mf", "disk.vmdk"]);
    let contents: BTreeMap<_, _> = members.iter().map(|(name, content)| (name.as_str(), content)).collect();
    let mut listed = Vec::new();
    for line in String::from_utf8(contents["disk.mf"].clone()).unwrap().lines() {
        let (name, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
        assert_eq!(Digest::of(contents[name]).hex(), digest, "{name}");
        listed.push(name.to_owned());
    }
    assert_eq!(listed, ["disk.vmdk", "disk.ovf"]);
    let ovf = std::str::from_utf8(contents["disk.ovf"]).unwrap();
    assert!(ovf.contains(&format!("ovf:size=\"{}\"", vmdk.len())), "{ovf}");
    assert!(ovf.contains("ovf:capacity=\"9193\""), "{ovf}");
}

#[test]
fn qemu_finds_the_same_disk_in_what_was_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let mut blobs = MemoryBlobs::new();
    let (ova, _) = made(&mut blobs);
    oracle::write_sparse(&disk(&mut blobs), &blobs, &file("raw"));
    oracle::write_sparse(&ova, &blobs, &file("ova"));
    let (raw, ova) = (file("raw"), file("ova"));
    let directory = oracle::text(directory.path());
    oracle::success("tar", "tar", &["-xf", oracle::text(&ova), "-C", directory]);
    let vmdk = file("disk.vmdk");
    let compare = ["compare", "-f", "raw", "-F", "vmdk", oracle::text(&raw), oracle::text(&vmdk)];
    oracle::success("qemu-img", "qemu-utils", &compare);
}

#[test]
fn golden_descriptors_say_the_same() {
    let Some(lines) = golden::lines("assets.jsonl") else { return };
    let mut seen = 0;
    for line in lines {
        let Some(entries) = line["structure"]["entries"].as_array() else { continue };
        if line["structure"]["kind"] != "ova" {
            continue;
        }
        seen += 1;
        let names: Vec<_> = entries.iter().map(|entry| golden::text(&entry["name"])).collect();
        assert_eq!(names, ["disk.ovf", "disk.mf", "disk.vmdk"]);
        let theirs = golden::text(&entries[0]["text"]);
        let capacity = theirs.split("ovf:capacity=\"").nth(1).unwrap().split('"').next().unwrap();
        let ours = ovf::descriptor(capacity.parse::<u64>().unwrap() * MIB, 1);
        assert_eq!(facts(ours.as_bytes()), facts(theirs.as_bytes()), "{}", line["case"]);
        let manifest = golden::text(&entries[1]["text"]);
        let vmdk = manifest.split("disk.vmdk)= ").nth(1).unwrap().lines().next().unwrap();
        let own = Digest::of(theirs.as_bytes()).hex();
        assert_eq!(manifest, format!("SHA256(disk.vmdk)= {vmdk}\nSHA256(disk.ovf)= {own}\n"));
    }
    assert!(seen > 0, "assets.jsonl has no OVA");
}

#[test]
fn an_ova_can_be_packed_once_more() {
    let mut blobs = MemoryBlobs::new();
    let (ova, _) = made(&mut blobs);
    let plain = ova.to_vec(&blobs).unwrap();
    for codec in [Codec::Xz, Codec::Zstd, Codec::Gzip] {
        let parts = CompressedBlobs::new();
        let packed = encode(&ova, codec, &EncodeOptions::default(), &parts, &blobs).unwrap();
        assert!(packed.inline_len() < 100_000, "{codec} {}", packed.inline_len());
        let packed = packed.to_vec(&blobs).unwrap();
        let mut found = Vec::new();
        match codec {
            Codec::Xz => xz2::read::XzDecoder::new(&packed[..]).read_to_end(&mut found),
            Codec::Zstd => ::zstd::Decoder::new(&packed[..]).unwrap().read_to_end(&mut found),
            Codec::Gzip => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut found),
        }
        .unwrap();
        assert!(found == plain, "{codec}");
    }
}
