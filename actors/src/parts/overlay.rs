//! Overlays: what a board's own program wants and writes, and what of its image goes into installers.
//!
//! Programs are run in a sandbox, once for each image and set of options, whatever they are asked.

use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::sync::Arc;

use factory_domain::goyaml::Mapping;
use factory_domain::overlay_program::{GET_OPTIONS, INSTALL, OverlayOptions, install_yaml, options_yaml};
use factory_domain::ports::{SandboxJob, SandboxOutcome, ScratchFile};
use factory_formats::Digest;
use factory_formats::file_tree::{FileTree, Node, NodeKind, Span, TreePath};
use factory_formats::oci_layers::{Limits, flatten_tree};
use serde::{Deserialize, Serialize};

use super::piece::{Bundle, Piece, Unnamed, disk};
use super::{Bench, Built, PartError, PartKind};
use crate::sources::{SourceLayer, StoredLayers};

/// What the images of overlays may hold. Known ones have some ten megabytes.
const LIMITS: Limits = Limits {
    unpacked_bytes: 2 << 30,
    entries: 50_000,
    metadata_bytes: 8 << 20,
    depth: 64,
    path_len: 4096,
    header_bytes: 1 << 20,
};

/// An overlay's image for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayImage {
    /// Name of the overlay; an image may have several.
    pub name: String,
    /// Layers of the image, bottom first.
    pub layers: Vec<SourceLayer>,
}

impl OverlayImage {
    fn subject(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(|layer| layer.digest.to_string()).collect();
        format!("{:?} {}", self.name, layers.join(" "))
    }

    fn inputs(&self) -> impl Iterator<Item = Digest> {
        self.layers.iter().map(|layer| layer.digest)
    }

    /// Everything in the image; contents go to the end of the spool.
    fn unpack(&self, spool: &mut Spool, bench: &Bench) -> Result<FileTree<Span>, PartError> {
        let wrong = |error: &dyn std::fmt::Display| PartError::input(format!("overlay {}", self.name), error);
        let layers = self.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let layers = StoredLayers::new(Arc::clone(&bench.store), layers);
        spool.file.seek(SeekFrom::End(0)).map_err(|error| disk(&error))?;
        let mut writer = BufWriter::new(&mut spool.file);
        let flat = flatten_tree(&layers, &LIMITS, &mut writer).map_err(|error| wrong(&error))?;
        writer.into_inner().map_err(|error| disk(error.error()))?;
        let start = spool.len;
        spool.len += flat.spooled;
        flat.tree.try_map(|_, span| Ok(Span { offset: span.offset + start, ..span }))
    }

    fn program(&self) -> Result<TreePath, PartError> {
        let path = TreePath::clean(&format!("installers/{}", self.name)).ok().flatten();
        path.ok_or_else(|| PartError::input(format!("overlay {}", self.name), "its name is no file name"))
    }
}

/// Unpacked contents.
struct Spool {
    file: Box<dyn ScratchFile>,
    len: u64,
}

impl Spool {
    fn new(bench: &Bench) -> Result<Self, PartError> {
        Ok(Self { file: bench.scratch.file().map_err(|error| disk(&error))?, len: 0 })
    }
}

/// Puts what is at `from`, with everything below it, at `to`.
fn graft<C: Clone>(tree: &FileTree<C>, from: &TreePath, to: &TreePath, into: &mut FileTree<C>) {
    for (path, node) in tree.within(from) {
        let path = path.below(from).map_or(to.clone(), |path| to.join(&path));
        into.put(path, node.clone());
    }
}

fn known(path: &str) -> Result<TreePath, PartError> {
    let clean = TreePath::clean(path).ok().flatten();
    clean.ok_or_else(|| PartError::input(path, "it is no path"))
}

/// Answers to `get-options`.
pub struct OverlayAnswer;

/// Who is asked, and with which options.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayAnswerSpec {
    /// The image for this machine's architecture.
    pub host: OverlayImage,
    /// The options of the schematic.
    pub options: Mapping,
}

impl PartKind for OverlayAnswer {
    const NAME: &'static str = "overlay-options/v1";
    type Spec = OverlayAnswerSpec;
    type Value = OverlayOptions;

    fn subject(spec: &OverlayAnswerSpec) -> String {
        format!("{}\n{}", spec.host.subject(), options_yaml(&spec.options))
    }

    fn label(spec: &OverlayAnswerSpec) -> String {
        format!("options of overlay {}", spec.host.name)
    }

    fn inputs(spec: &OverlayAnswerSpec) -> Vec<Digest> {
        spec.host.inputs().collect()
    }

    fn build(spec: &OverlayAnswerSpec, bench: &Bench) -> Result<Built<OverlayOptions>, PartError> {
        let mut spool = Spool::new(bench)?;
        let image = spec.host.unpack(&mut spool, bench)?;
        let program = spec.host.program()?;
        let mut files = FileTree::new();
        graft(&image, &program, &program, &mut files);
        let input = options_yaml(&spec.options);
        let outcome = run(&spec.host.name, GET_OPTIONS, &files, &mut spool, &|_, _, _| input.clone(), bench)?;
        let options = OverlayOptions::parse(&spec.host.name, &outcome.output)
            .map_err(|error| PartError::input(format!("overlay {}", spec.host.name), error))?;
        Ok(Built { value: options, blobs: Vec::new() })
    }
}

/// What `install` leaves behind.
pub struct OverlayInstall;

/// Who installs what.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayInstallSpec {
    /// The image for this machine's architecture, whose program is run.
    pub host: OverlayImage,
    /// The image for the architecture of the disk, whose artifacts are used.
    pub target: OverlayImage,
    /// The options of the schematic.
    pub options: Mapping,
}

/// What a board needs on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayInstallPart {
    /// Data outside of partitions: offsets from the start of the disk in bytes, and what is there.
    pub writes: Vec<(u64, Piece)>,
    /// Files of the EFI system partition.
    pub esp: FileTree<Piece>,
}

impl PartKind for OverlayInstall {
    const NAME: &'static str = "overlay-install/v1";
    type Spec = OverlayInstallSpec;
    type Value = OverlayInstallPart;

    fn subject(spec: &OverlayInstallSpec) -> String {
        format!("{}\n{}\n{}", spec.host.subject(), spec.target.subject(), options_yaml(&spec.options))
    }

    fn label(spec: &OverlayInstallSpec) -> String {
        format!("boot files of overlay {}", spec.target.name)
    }

    fn inputs(spec: &OverlayInstallSpec) -> Vec<Digest> {
        spec.host.inputs().chain(spec.target.inputs()).collect()
    }

    fn build(spec: &OverlayInstallSpec, bench: &Bench) -> Result<Built<OverlayInstallPart>, PartError> {
        let mut spool = Spool::new(bench)?;
        let host = spec.host.unpack(&mut spool, bench)?;
        let target = spec.target.unpack(&mut spool, bench)?;
        let (program, artifacts) = (spec.host.program()?, known("artifacts")?);
        let mut files = FileTree::new();
        files.put(artifacts.clone(), Node::directory(0o755));
        graft(&target, &artifacts, &artifacts, &mut files);
        graft(&host, &program, &program, &mut files);
        let input = |disk: &str, tree: &str, files: &str| {
            install_yaml(disk, tree, &format!("{files}/artifacts"), &spec.options)
        };
        let mut outcome = run(&spec.host.name, INSTALL, &files, &mut spool, &input, bench)?;
        let esp = boot_files(&spec.host.name, &outcome.tree)?;

        let mut bundle = Bundle::new(&*bench.store)?;
        let mut writes = Vec::new();
        for write in &outcome.writes {
            writes.push((write.offset, append(&mut bundle, write.content, &mut outcome.contents)?));
        }
        let esp = esp.try_map(|_, span| append(&mut bundle, span, &mut outcome.contents))?;
        // Without a byte in it there is no blob; pieces of no bytes then point nowhere, and are never read.
        let blob = bundle.finish()?;
        let digest = blob.as_ref().map_or(Digest::of(b""), |blob| blob.info.digest);
        let part = OverlayInstallPart {
            writes: writes.into_iter().map(|(offset, piece)| (offset, piece.named(digest))).collect(),
            esp: esp.try_map(|_, piece| Ok::<_, PartError>(piece.named(digest)))?,
        };
        Ok(Built { value: part, blobs: blob.into_iter().collect() })
    }
}

fn append(
    bundle: &mut Bundle,
    span: Span,
    contents: &mut Box<dyn ScratchFile>,
) -> Result<Unnamed, PartError> {
    let mut content = span.open(contents).map_err(|error| disk(&error))?;
    bundle.append(&mut content)
}

fn run(
    overlay: &str,
    argument: &str,
    files: &FileTree<Span>,
    spool: &mut Spool,
    input: &dyn Fn(&str, &str, &str) -> String,
    bench: &Bench,
) -> Result<SandboxOutcome, PartError> {
    let program = known(&format!("installers/{overlay}"))?;
    if !matches!(files.get(&program), Some(Node { kind: NodeKind::File(_), .. })) {
        return Err(PartError::input(
            format!("overlay {overlay}"),
            format!("its image has no file {program}"),
        ));
    }
    let outcome = bench.sandbox.run(SandboxJob {
        name: &format!("{argument} of overlay {overlay}"),
        files,
        contents: &mut *spool.file,
        program: &program,
        argument,
        input: &|places| input(&places.disk, &places.tree, &places.files),
    })?;
    Ok(outcome)
}

/// The files of the EFI system partition out of everything that a program left. Boards of different ages know
/// that partition as `boot/EFI` or `EFI`; there is no other partition whose files a board may add to.
fn boot_files(overlay: &str, tree: &FileTree<Span>) -> Result<FileTree<Span>, PartError> {
    let mounts = [known("boot/EFI")?, known("EFI")?];
    let mut esp = FileTree::new();
    for (path, node) in tree.iter() {
        match mounts.iter().find(|mount| path.is_within(mount)) {
            Some(mount) => {
                if let Some(path) = path.below(mount) {
                    esp.put(path, node.clone());
                }
            }
            None if node.is_directory() => {}
            None => {
                let reason = format!("it left {path}, but only boot/EFI and EFI are on a partition");
                return Err(PartError::input(format!("overlay {overlay}"), reason));
            }
        }
    }
    Ok(esp)
}

/// What installers carry of overlays.
pub struct OverlayLayer;

/// A tree for installers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverlayLayerPart {
    /// `artifacts/…` and `installers/default`, with the modes of the image. They go below `overlay/`.
    pub files: FileTree<Piece>,
}

impl PartKind for OverlayLayer {
    const NAME: &'static str = "overlay-layer/v1";
    /// The image for the installer's architecture.
    type Spec = OverlayImage;
    type Value = OverlayLayerPart;

    fn subject(spec: &OverlayImage) -> String {
        spec.subject()
    }

    fn label(spec: &OverlayImage) -> String {
        format!("overlay {} for installers", spec.name)
    }

    fn inputs(spec: &OverlayImage) -> Vec<Digest> {
        spec.inputs().collect()
    }

    fn build(spec: &OverlayImage, bench: &Bench) -> Result<Built<OverlayLayerPart>, PartError> {
        let mut spool = Spool::new(bench)?;
        let image = spec.unpack(&mut spool, bench)?;
        let (program, artifacts) = (spec.program()?, known("artifacts")?);
        if !matches!(image.get(&program), Some(Node { kind: NodeKind::File(_), .. })) {
            return Err(PartError::input(Self::label(spec), format!("its image has no file {program}")));
        }
        let mut files = FileTree::new();
        graft(&image, &artifacts, &artifacts, &mut files);
        graft(&image, &program, &known("installers/default")?, &mut files);
        let mut bundle = Bundle::new(&*bench.store)?;
        let files = files.try_map(|_, span: Span| {
            let mut content = span.open(&mut spool.file).map_err(|error| disk(&error))?;
            bundle.append(&mut content as &mut dyn Read)
        })?;
        let blob = bundle.finish()?;
        let digest = blob.as_ref().map_or(Digest::of(b""), |blob| blob.info.digest);
        let files = files.try_map(|_, piece| Ok::<_, PartError>(piece.named(digest)))?;
        Ok(Built { value: OverlayLayerPart { files }, blobs: blob.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> FileTree<Span> {
        let mut tree = FileTree::new();
        for (number, path) in paths.iter().enumerate() {
            tree.put(path.parse().unwrap(), Node::file(0o644, Span { offset: number as u64, len: 1 }));
        }
        tree
    }

    #[test]
    fn both_mounts_of_the_partition_are_its_root() {
        let esp =
            boot_files("x", &tree(&["boot/EFI/dtb/a.dtb", "EFI/config.txt", "boot/EFI/config.txt"])).unwrap();
        let files: Vec<_> = esp
            .iter()
            .filter_map(|(path, node)| match node.kind {
                NodeKind::File(span) => Some((path.as_str(), span.offset)),
                _ => None,
            })
            .collect();
        assert_eq!(files.len(), 2);
        assert!(files.contains(&("dtb/a.dtb", 0)));
    }

    #[test]
    fn other_places_are_told() {
        for path in ["boot/grub/grub.cfg", "etc/passwd", "EFI2/x", "x"] {
            let error = boot_files("rock64", &tree(&[path])).unwrap_err().to_string();
            assert!(error.contains("overlay rock64") && error.contains(path), "{error}");
        }
        let mut empty = FileTree::new();
        empty.put("boot/grub".parse().unwrap(), Node::directory(0o755));
        assert!(boot_files("x", &empty).unwrap().is_empty());
    }

    #[test]
    fn grafts_move_a_file_or_a_directory() {
        let source = tree(&["artifacts/arm64/x", "installers/rock64", "installers/other"]);
        let mut out = FileTree::new();
        graft(
            &source,
            &"installers/rock64".parse().unwrap(),
            &"installers/default".parse().unwrap(),
            &mut out,
        );
        graft(&source, &"artifacts".parse().unwrap(), &"artifacts".parse().unwrap(), &mut out);
        let paths: Vec<_> = out.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            ["artifacts", "artifacts/arm64", "artifacts/arm64/x", "installers", "installers/default"]
        );
    }
}
