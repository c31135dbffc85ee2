//! Layers of any bytes are flattened or refused, and what comes out is a tree within the limits.
#![no_main]

use std::io::{self, Read};

use factory_formats::file_tree::NodeKind;
use factory_formats::oci_layers::{Layers, Limits, flatten_tree};
use libfuzzer_sys::fuzz_target;

struct Halves<'a>([&'a [u8]; 2]);

impl Layers for Halves<'_> {
    fn count(&self) -> usize {
        2
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.0[index]))
    }
}

fuzz_target!(|data: &[u8]| {
    // Tar blocks stay whole when the cut is at a multiple of their size.
    let cut = data.first().map_or(0, |&blocks| usize::from(blocks) * 512).min(data.len());
    let data = data.get(1..).unwrap_or_default();
    let (bottom, top) = data.split_at(cut.min(data.len()));
    let limits = Limits { unpacked_bytes: 1 << 20, metadata_bytes: 1 << 20, ..Limits::default() };
    let mut spool = Vec::new();
    let Ok(flat) = flatten_tree(&Halves([bottom, top]), &limits, &mut spool) else { return };
    assert_eq!(flat.spooled, spool.len() as u64);
    assert!(flat.spooled <= limits.unpacked_bytes);
    for (path, node) in flat.tree.iter() {
        assert!(path.ancestors().all(|above| flat.tree.get(&above).is_some_and(|node| node.is_directory())));
        assert!(path.components().all(|part| !part.is_empty() && part != "." && part != ".."));
        if let NodeKind::File(span) = node.kind {
            assert!(span.offset + span.len <= flat.spooled);
        }
    }
});
