//! A tree made of any bytes becomes an image that reads back; an image of any bytes is read or refused.
#![no_main]

use std::io::{BufReader, Cursor};
use std::num::NonZeroUsize;

use factory_formats::file_tree::{Attributes, InlineTree, NodeKind, TreePath};
use factory_formats::squashfs::{Compressor, Options, Reader, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    read(data);

    let mut tree = InlineTree::new();
    for line in data.split(|&byte| byte == b'\n') {
        let (name, content) = line.split_at(line.len().min(20));
        let Some(path) = std::str::from_utf8(name).ok().and_then(|name| name.parse::<TreePath>().ok()) else {
            continue;
        };
        let label = content.first().filter(|&&byte| byte > 200).map(|byte| format!("label-{byte}"));
        let repeat = content.last().map_or(1, |&byte| usize::from(byte));
        tree.file(path, Attributes { mode: 0o644, label }, &content.repeat(repeat));
    }
    let options = Options { compressor: Compressor::Gzip, threads: NonZeroUsize::MIN };
    let mut image = Cursor::new(Vec::new());
    if write(tree.tree(), &mut tree.spool(), &options, &mut image).is_err() {
        return;
    }
    let image = image.into_inner();
    let reader = Reader::open(BufReader::new(Cursor::new(&image))).expect("own images can be read");
    for (path, node) in tree.tree().iter() {
        let (NodeKind::File(span), Some(parent)) = (&node.kind, path.parent()) else { continue };
        let files = reader.files_below(&parent).expect("own names can be read");
        let file = files.iter().find(|file| file.path == *path).expect("every file is in the image");
        let content = span.read(&mut tree.spool(), u64::MAX).expect("the spool is in memory");
        assert!(reader.read(file, u64::MAX).expect("own files can be read") == content);
    }
});

fn read(image: &[u8]) {
    let Ok(reader) = Reader::open(BufReader::new(Cursor::new(image))) else { return };
    let Ok(directory) = "usr/lib/modules".parse() else { return };
    let _ = reader.directories_in(&directory);
    for file in reader.files_below(&directory).unwrap_or_default() {
        let _ = reader.read(&file, 1 << 20);
    }
}
