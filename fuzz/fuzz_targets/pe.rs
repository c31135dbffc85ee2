//! EFI programs come out of images that others publish: reading them must never panic, and what can be
//! read as a stub must give a program that reads back.

#![no_main]

use std::io;

use factory_formats::pe::{AppendOptions, NewSection, Pe, SectionName, append_sections};
use factory_formats::{Digest, Layout, ReadBlob, uki};
use libfuzzer_sys::fuzz_target;

struct NoBlobs;

impl ReadBlob for NoBlobs {
    fn read_exact_at(&self, _: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fuzz_target!(|data: &[u8]| {
    let whole = Layout::from_bytes(data.to_vec());
    let _ = uki::read(&whole, &NoBlobs);
    let section = |name, align| NewSection {
        name: SectionName::of(name),
        content: Layout::from_bytes(vec![0x5A; 700]),
        align,
    };
    let new = [section(".cmdline", 1), section(".linux", 4096)];
    let Ok(plan) = append_sections(&data.to_vec().into(), &new, AppendOptions { timestamp: 1 }) else { return };
    // Alignments up to 1 MiB are legal and make big headers; the table itself is always in front.
    let Ok(read) = Pe::of_layout(&plan.layout, &NoBlobs) else { panic!("the result cannot be read") };
    assert_eq!(read.sections(), &plan.sections[..]);
    assert_eq!(read.certificate_table(), None);
});
