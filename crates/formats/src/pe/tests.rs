use bytes::Bytes;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::Layout;
use crate::oracle;
use crate::record::Record;
use crate::testing::{MemoryBlobs, noise};

/// The stub of specification 31, 9.
pub(crate) fn toy_stub() -> Bytes {
    let mut stub = Record::zeroed(1536);
    stub.put(0, b"MZ").le32(0x3C, 0x40).put(0x40, b"PE\0\0");
    stub.le16(0x44, 0x8664).le16(0x46, 2).le32(0x48, 0x1122_3344).le16(0x54, 240).le16(0x56, 0x022E);
    let o = 0x58;
    stub.le16(o, 0x20B).u8(o + 2, 2).u8(o + 3, 40).le32(o + 4, 0x200).le32(o + 8, 0x200);
    stub.le32(o + 16, 0x1000).le32(o + 20, 0x1000);
    stub.le64(o + 24, 0x1000_0000).le32(o + 32, 0x1000).le32(o + 36, 0x200);
    stub.le16(o + 44, 1).le16(o + 46, 1).le16(o + 48, 2);
    stub.le32(o + 56, 0x3000).le32(o + 60, 0x200).le32(o + 64, 0xDEAD_BEEF);
    stub.le16(o + 68, 10).le16(o + 70, 0x160).le32(o + 108, 16);
    let text = o + 240;
    stub.put(text, b".text").le32(text + 8, 0x123).le32(text + 12, 0x1000);
    stub.le32(text + 16, 0x200).le32(text + 20, 0x200).le32(text + 36, 0x6000_0020);
    let sbat = o + 280;
    stub.put(sbat, b".sbat").le32(sbat + 8, 47).le32(sbat + 12, 0x2000);
    stub.le32(sbat + 16, 0x200).le32(sbat + 20, 0x400).le32(sbat + 36, 0x4000_0040);
    stub.put(0x200, &[0xC3; 0x123]).put(0x400, b"sbat,1,SBAT Version,sbat,1,https://example.org\n");
    stub.into_vec().into()
}

const OPTIONS: AppendOptions = AppendOptions { timestamp: 1_559_424_892 };

fn new(name: &str, content: Layout) -> NewSection {
    NewSection { name: SectionName::of(name), content, align: 1 }
}

fn toy_sections(blobs: &mut MemoryBlobs) -> Vec<NewSection> {
    let text = |name, text: &'static str| new(name, Layout::from_bytes(text));
    vec![
        text(".osrel", "NAME=\"Talos\"\nID=talos\n"),
        text(".cmdline", "console=ttyS0"),
        new(".linux", blobs.layout(vec![b'A'; 5000])),
        new(".initrd", blobs.layout(vec![b'B'; 4096])),
        text(".profile", "ID=main"),
        text(".profile", "ID=reset\nTITLE=Reset system disk"),
        text(".cmdline", "console=ttyS0 talos.experimental.wipe=system"),
    ]
}

/// The program of specification 31, 9.
pub(crate) fn toy_program(blobs: &mut MemoryBlobs) -> Layout {
    append_sections(&toy_stub(), &toy_sections(blobs), OPTIONS).unwrap().layout
}

#[test]
fn the_toy_vector() {
    let stub = toy_stub();
    let digest = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    assert_eq!(digest(&stub), "0bafe2c6ee16f49b4d88436a6dd88f74c138012fd02039c2b2efb78bee2fc78d");
    let mut blobs = MemoryBlobs::new();
    let plan = append_sections(&stub, &toy_sections(&mut blobs), OPTIONS).unwrap();
    let bytes = plan.layout.to_vec(&blobs).unwrap();
    assert_eq!(bytes.len(), 13824);
    assert_eq!(digest(&bytes), "96a38e0d8325bc58ed11b9ce5b95c2caa2644fe65c91506a13feaf1df4ff36e4");
    let linux = plan.sections[4];
    assert_eq!(
        (linux.virtual_size, linux.virtual_address, linux.raw_size, linux.raw_offset),
        (5000, 0x5000, 5120, 0xC00)
    );
    let read = Pe::of_layout(&plan.layout, &blobs).unwrap();
    assert_eq!(read.sections(), &plan.sections[..]);
    assert_eq!((read.header_size(), read.machine(), read.certificate_table()), (0x400, 0x8664, None));
    assert_eq!(plan.layout.blobs().len(), 2, "payload must stay a reference");
}

#[test]
fn payload_can_be_aligned_for_sharing() {
    let mut blobs = MemoryBlobs::new();
    let mut sections = toy_sections(&mut blobs);
    sections.insert(2, new(".uname", Layout::default()));
    for section in &mut sections {
        section.align = if [".linux", ".initrd"].contains(&&*section.name.to_string()) { 4096 } else { 1 };
    }
    let plan = append_sections(&toy_stub(), &sections, OPTIONS).unwrap();
    let bytes = plan.layout.to_vec(&blobs).unwrap();
    let pe = Pe::parse(&bytes, bytes.len() as u64).unwrap();
    let mut end = pe.header_size();
    for section in pe.sections() {
        assert_eq!(section.raw_offset, end, "a gap in front of {}", section.name);
        end += section.raw_size;
    }
    assert_eq!(u64::from(end), plan.layout.len());
    for (name, content) in [(".linux", vec![b'A'; 5000]), (".initrd", vec![b'B'; 4096])] {
        let section = pe.section(SectionName::of(name)).unwrap();
        assert!(section.raw_offset.is_multiple_of(4096));
        let range = section.content();
        assert!(bytes[range.start as usize..range.end as usize] == content);
    }
}

#[test]
fn another_reader_agrees() {
    let mut blobs = MemoryBlobs::new();
    let plan = append_sections(&toy_stub(), &toy_sections(&mut blobs), OPTIONS).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("toy.efi");
    oracle::write_sparse(&plan.layout, &blobs, &path);
    let said = oracle::success("objdump", "binutils", &["-h", oracle::text(&path)]);
    let found: Vec<Vec<&str>> = said
        .lines()
        .map(|line| line.split_whitespace().collect())
        .filter(|l: &Vec<&str>| l.len() == 7)
        .collect();
    let found: Vec<String> =
        found.iter().map(|line| format!("{} {} {} {}", line[1], line[2], line[3], line[5])).collect();
    let want: Vec<String> = plan
        .sections
        .iter()
        .map(|s| {
            let address = 0x1000_0000 + u64::from(s.virtual_address);
            format!("{} {:08x} {address:016x} {:08x}", s.name, s.virtual_size, s.raw_offset)
        })
        .collect();
    assert_eq!(found, want, "{said}");
}

#[test]
fn symbols_and_a_certificate_of_the_stub_are_dropped() {
    let mut stub = toy_stub().to_vec();
    stub[0x4C..0x54].fill(1);
    stub[0x58 + 144..0x58 + 152].copy_from_slice(&[0, 6, 0, 0, 8, 0, 0, 0]);
    let pe = Pe::parse(&stub, 1536).unwrap();
    assert!(pe.has_symbols());
    assert_eq!(pe.certificate_table(), Some((0x600, 8)));
    let plan = append_sections(&stub.clone().into(), &[], OPTIONS).unwrap();
    let read = Pe::of_layout(&plan.layout, &MemoryBlobs::new()).unwrap();
    assert!(!read.has_symbols());
    assert_eq!(read.certificate_table(), None);

    stub[0x58 + 240..0x58 + 248].copy_from_slice(b"/12\0\0\0\0\0");
    let error = append_sections(&stub.into(), &[], OPTIONS).unwrap_err();
    assert!(matches!(error, PeError::Section { .. }), "{error}");
}

#[test]
fn malformed_stubs_are_refused() {
    let parse = |bytes: &[u8]| Pe::parse(bytes, bytes.len() as u64).unwrap_err();
    assert_eq!(parse(b"hello"), PeError::Truncated("DOS header"));
    assert_eq!(parse(&[0; 64]), PeError::Magic("MZ header"));
    let change = |at: usize, bytes: &[u8]| {
        let mut stub = toy_stub().to_vec();
        stub[at..at + bytes.len()].copy_from_slice(bytes);
        append_sections(&stub.into(), &[], OPTIONS).unwrap_err()
    };
    assert_eq!(change(0x3C, &[0xFF; 4]), PeError::Truncated("PE header"));
    assert_eq!(change(0x40, b"NE"), PeError::Magic("PE header"));
    assert!(matches!(change(0x58, &[0x0B, 1]), PeError::Unsupported(_)));
    assert!(matches!(change(0x54, &[224]), PeError::Unsupported(_)));
    assert_eq!(change(0x46, &[0]), PeError::SectionCount(0));
    assert_eq!(change(0x46, &[97]), PeError::SectionCount(97));
    assert!(matches!(change(0x58 + 36, &[3, 0]), PeError::Alignment { .. }));
    assert!(matches!(change(0x58 + 36, &[8, 0]), PeError::Alignment { file: 8, .. }));
    let raw_size = 0x58 + 240 + 16;
    assert!(matches!(change(raw_size, &[0, 8]), PeError::Section { .. }));
    assert!(matches!(change(raw_size, &[1]), PeError::Section { .. }));
    assert!(matches!(change(0x58 + 240 + 12, &[0xFF; 4]), PeError::Section { .. }));

    let mut big = crate::LayoutBuilder::new();
    big.zero(0xFFFF_F000);
    let big = new(".initrd", big.build());
    assert_eq!(append_sections(&toy_stub(), &[big], OPTIONS).unwrap_err(), PeError::TooBig);
    let many = vec![new(".x", Layout::default()); 95];
    assert_eq!(append_sections(&toy_stub(), &many, OPTIONS).unwrap_err(), PeError::SectionCount(97));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_stubs_never_panic(
        damage in prop::collection::vec((0usize..600, any::<u8>()), 1..12),
        cut in 0usize..=1536,
        align in 0u32..14,
    ) {
        let mut stub = toy_stub().to_vec();
        for (at, byte) in damage {
            stub[at] = byte;
        }
        stub.truncate(cut.max(cut % 7 * 300));
        let section = NewSection { align: 1 << align, ..new(".x", Layout::from_bytes(noise(700, 1))) };
        if let Ok(plan) = append_sections(&stub.into(), &[section.clone(), section], OPTIONS) {
            let blobs = MemoryBlobs::new();
            let read = Pe::of_layout(&plan.layout, &blobs).unwrap();
            prop_assert_eq!(read.sections(), &plan.sections[..]);
            let bytes = plan.layout.to_vec(&blobs).unwrap();
            let last = plan.sections.last().unwrap().content();
            prop_assert!(bytes[last.start as usize..last.end as usize] == noise(700, 1));
        }
    }
}
