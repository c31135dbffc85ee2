//! GRUB's images: made of a release's modules by GRUB's own tool.

use std::collections::BTreeMap;

use factory_domain::ports::CoreImage;
use factory_domain::recipe::GrubCore;
use factory_formats::Digest;
use serde::{Deserialize, Serialize};

use super::piece::{Bundle, Piece};
use super::{Bench, Built, PartError, PartKind};
use crate::sources::SourceFile;

/// GRUB's images.
pub struct Grub;

/// Which image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrubSpec {
    /// The image.
    pub core: GrubCore,
    /// GRUB's directory for its platform: file names and where their contents are.
    pub directory: BTreeMap<String, SourceFile>,
    /// Name and version of the tool that makes it.
    pub tool: String,
}

/// An image of GRUB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrubPart {
    /// The image.
    pub core: Piece,
    /// What goes into the medium's first sector to start it. Only for BIOS.
    pub boot_sector: Option<Piece>,
}

/// Most bytes that GRUB's directory is believed to have. Real ones have three million.
const MAX_DIRECTORY: u64 = 64 << 20;

impl PartKind for Grub {
    const NAME: &'static str = "grub/v1";
    type Spec = GrubSpec;
    type Value = GrubPart;

    fn subject(spec: &GrubSpec) -> String {
        let GrubSpec { core, directory, tool } = spec;
        let files: Vec<String> =
            directory.iter().map(|(name, file)| format!("{name:?} {}", file.digest)).collect();
        let (format, prefix, modules) = (core.format(), core.prefix(), core.modules().join(" "));
        format!("{tool:?} {format} {prefix} {modules} {:?} {}", core.boot_sector(), files.join(" "))
    }

    fn label(spec: &GrubSpec) -> String {
        format!("GRUB as {}", spec.core.format())
    }

    fn inputs(spec: &GrubSpec) -> Vec<Digest> {
        spec.directory.values().map(|file| file.digest).collect()
    }

    fn build(spec: &GrubSpec, bench: &Bench) -> Result<Built<GrubPart>, PartError> {
        let size = spec.directory.values().fold(0u64, |sum, file| sum.saturating_add(file.size));
        if size > MAX_DIRECTORY {
            return Err(PartError::input(Self::label(spec), format!("its modules have {size} bytes")));
        }
        let mut directory = BTreeMap::new();
        for (name, file) in &spec.directory {
            let all = Piece { blob: file.digest, offset: 0, len: file.size };
            directory.insert(name.clone(), all.read(&*bench.store, MAX_DIRECTORY)?);
        }
        let core = bench.grub.core_image(&CoreImage {
            format: spec.core.format(),
            prefix: spec.core.prefix(),
            modules: &spec.core.modules(),
            directory: &directory,
        })?;
        let mut bundle = Bundle::new(&*bench.store)?;
        let core = bundle.append(&mut core.as_slice())?;
        let boot_sector = match spec.core.boot_sector() {
            Some(name) => {
                let content = directory.get(name);
                let content = content.ok_or_else(|| {
                    PartError::input(Self::label(spec), format!("the release has no {name}"))
                })?;
                Some(bundle.append(&mut content.as_slice())?)
            }
            None => None,
        };
        let Some(blob) = bundle.finish()? else {
            return Err(PartError::input(Self::label(spec), "the image is empty"));
        };
        let named = |piece: super::piece::Unnamed| piece.named(blob.info.digest);
        let part = GrubPart { core: named(core), boot_sector: boot_sector.map(named) };
        Ok(Built { value: part, blobs: vec![blob] })
    }
}
