//! From the layers of extension images to an initramfs and back, the way a build goes.

// The lint knows functions marked as tests, not the helpers between them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, BufReader, Cursor, Read};
use std::num::NonZeroUsize;

use factory_formats::decompress::Compression;
use factory_formats::depmod::{BaseModules, ModuleFacts, Search, index_layer, write_indexes};
use factory_formats::extension::{Extension, Microcode, SystemDirectories};
use factory_formats::file_tree::{Attributes, FileTree, InlineTree, Span, TreePath};
use factory_formats::initramfs::{self, Ingredients};
use factory_formats::layout::{Framing, Run};
use factory_formats::oci_layers::{Layers, Limits, flatten_tree};
use factory_formats::squashfs::{self, Compressor, Options};
use factory_formats::testing::{MemoryBlobs, noise};
use factory_formats::{Layout, LayoutBuilder, cpio};

const RELEASE: &str = "6.18.45-talos";

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

struct Image(Vec<Vec<u8>>);

impl Layers for Image {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn open(&self, index: usize) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&self.0[index][..]))
    }
}

/// One layer with these files, compressed.
fn layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    zstd::bulk::compress(&archive.into_inner().unwrap(), 1).unwrap()
}

/// The smallest file that is taken for a module: an ELF header without sections.
fn module() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    elf[16] = 1;
    elf[18] = 62;
    elf[20] = 1;
    elf[52] = 64;
    elf[58] = 64;
    elf
}

fn squash(tree: &FileTree<Span>, spool: &mut Cursor<&[u8]>, blobs: &mut MemoryBlobs) -> Layout {
    let options = Options { compressor: Compressor::Zstd, threads: NonZeroUsize::MIN };
    let mut image = Cursor::new(Vec::new());
    squashfs::write(tree, spool, &options, &mut image).unwrap();
    blobs.layout(image.into_inner())
}

/// A frame of stored blocks.
fn zstd_frame(content: &Layout) -> Layout {
    let mut out = LayoutBuilder::new();
    out.slice(&[0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38]);
    out.run(Run::framed(content.clone(), Framing::ZstdRaw));
    out.slice(&[1, 0, 0]);
    out.build()
}

/// A base initramfs whose root file system has one module.
fn base(blobs: &mut MemoryBlobs) -> Layout {
    let mut rootfs = InlineTree::new();
    let directory = format!("usr/lib/modules/{RELEASE}");
    rootfs.file(path(&format!("{directory}/kernel/mlxfw.ko")), Attributes::mode(0o644), &module());
    rootfs.file(path(&format!("{directory}/modules.order")), Attributes::mode(0o644), b"kernel/mlxfw.ko\n");
    let rootfs = squash(rootfs.tree(), &mut rootfs.spool(), blobs);
    let mut archive = cpio::Builder::new();
    archive.file(&path(initramfs::ROOTFS), 0o644, &rootfs).unwrap();
    let bytes = zstd_frame(&archive.finish()).to_vec(blobs).unwrap();
    blobs.layout(bytes)
}

/// Adds extensions to a base and gives the bytes of the result.
fn build(images: &[Image]) -> Vec<u8> {
    let mut blobs = MemoryBlobs::new();
    let directories = SystemDirectories::UsrMerged;
    let base = base(&mut blobs);
    let compression = initramfs::base_compression(&base, &blobs).unwrap();

    let mut rootfs = Vec::new();
    let base_bytes = base.to_vec(&blobs).unwrap();
    initramfs::copy_file(&base_bytes[..], initramfs::ROOTFS, 1 << 20, &mut rootfs).unwrap();
    let rootfs = squashfs::Reader::open(BufReader::new(Cursor::new(rootfs))).unwrap();
    let base_modules = BaseModules::read(&rootfs, &directories.modules()).unwrap();
    assert_eq!(base_modules.release, RELEASE);

    let mut ingredients = Ingredients {
        base,
        compression,
        microcode: Microcode::default(),
        layers: Vec::new(),
        modules_dep: None,
        extensions_yaml: "layers: []\n".into(),
        firmware: FileTree::new(),
    };
    let mut facts = Vec::new();
    for image in images {
        let mut spool = Vec::new();
        let flat = flatten_tree(image, &Limits::default(), &mut spool).unwrap();
        assert_eq!(flat.notes, []);
        let mut spool = Cursor::new(&spool[..]);
        let extension = Extension::split(flat.tree, directories).unwrap();
        ingredients.layers.push(squash(&extension.rootfs, &mut spool, &mut blobs));
        for part in extension.microcode.intel {
            ingredients.microcode.intel.push(blobs.layout(part.read(&mut spool, 1 << 20).unwrap()));
        }
        let keep = |_: &TreePath, part: Span| Ok(blobs.layout(part.read(&mut spool, 1 << 20)?));
        let firmware: io::Result<_> = extension.firmware.try_map(keep);
        ingredients.firmware.overlay(firmware.unwrap());
        if let Some(modules) = extension.modules {
            let files = modules.for_kernel(RELEASE, "drivers").unwrap().iter();
            let read = |content: Span, spool: &mut Cursor<&[u8]>| content.read(spool, 1 << 20).unwrap();
            let read =
                files.map(|f| ModuleFacts::read(f.path.clone(), &read(f.content, &mut spool)[..]).unwrap());
            facts.push(read.collect::<Vec<_>>());
        }
    }
    let sources: Vec<&[ModuleFacts]> = facts.iter().map(Vec::as_slice).collect();
    let indexes = write_indexes(&base_modules, &sources, Search::Updates).unwrap();
    let tree = index_layer(&directories.modules(), RELEASE, &indexes).unwrap();
    ingredients.modules_dep = Some(squash(tree.tree(), &mut tree.spool(), &mut blobs));
    let compress = |_, content: &Layout| Ok::<_, Infallible>(zstd_frame(content));
    ingredients.assemble(compress).unwrap().to_vec(&blobs).unwrap()
}

fn extensions() -> [Image; 2] {
    let manifest = b"version: v1alpha1\n";
    let tools = layer(&[
        ("rootfs/usr/local/bin/tool", &noise(200_000, 1)),
        ("rootfs/usr/lib/firmware/intel-ucode/06-02-02", b"second"),
        ("rootfs/usr/lib/firmware/intel-ucode/06-01-01", b"first,"),
        ("rootfs/usr/lib/firmware/card.bin", b"old"),
    ]);
    let module_path = format!("rootfs/usr/lib/modules/{RELEASE}/extras/drbd.ko");
    let drivers = layer(&[
        ("manifest.yaml", manifest),
        (&module_path, &module()),
        ("rootfs/usr/lib/firmware/card.bin", b"new"),
    ]);
    [Image(vec![layer(&[("manifest.yaml", manifest)]), tools]), Image(vec![drivers])]
}

#[test]
fn extensions_become_part_of_an_initramfs() {
    let bytes = build(&extensions());
    let mut early = BTreeMap::new();
    let mut reader = cpio::Reader::new(&bytes[..]);
    while let Some(mut entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        early.insert(entry.name, content);
    }
    assert_eq!(early["kernel/x86/microcode/GenuineIntel.bin"], b"first,second");

    // What comes behind the archive in front is one stream, whatever it was put together from.
    let start = bytes.windows(4).position(|four| four == [0x28, 0xB5, 0x2F, 0xFD]).unwrap();
    let added = &bytes[start..];
    assert_eq!(Compression::sniff(added), Compression::Zstd);
    let copy = |name: &str| {
        let mut content = Vec::new();
        initramfs::copy_file(added, name, 1 << 20, &mut content).unwrap();
        content
    };
    assert_eq!(copy("usr/lib/firmware/card.bin"), b"new");
    let image = |name: &str| squashfs::Reader::open(BufReader::new(Cursor::new(copy(name)))).unwrap();
    let file = |name: &str, at: &str| {
        let image = image(name);
        let files = image.files_below(&path("usr")).unwrap();
        files.iter().find(|file| file.path == path(at)).map(|file| image.read(file, 1 << 20).unwrap())
    };
    assert!(file("0.sqsh", "usr/local/bin/tool").unwrap() == noise(200_000, 1));
    assert_eq!(file("0.sqsh", "usr/lib/firmware/card.bin"), None);
    let dep = file("modules.dep.sqsh", &format!("usr/lib/modules/{RELEASE}/modules.dep")).unwrap();
    assert_eq!(dep, b"kernel/mlxfw.ko:\nextras/drbd.ko:\n");
}

#[test]
fn equal_inputs_give_equal_bytes() {
    assert!(build(&extensions()) == build(&extensions()));
}
