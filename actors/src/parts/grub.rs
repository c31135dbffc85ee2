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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use factory_adapters::testing::MemoryStore;
    use factory_domain::ports::{BlobKind, BlobRef, GrubError, GrubImages};
    use factory_domain::recipe::{GrubMedium, GrubPlatform};

    use super::*;
    use crate::parts::tests;

    /// Makes images that tell what they were made of.
    struct Teller;

    impl GrubImages for Teller {
        fn tool(&self) -> Result<String, GrubError> {
            Ok("teller 1".to_owned())
        }

        fn core_image(&self, image: &CoreImage<'_>) -> Result<Vec<u8>, GrubError> {
            if !image.directory.contains_key("kernel.img") {
                return Err(GrubError::Failed { tool: "teller".to_owned(), reason: "no kernel".to_owned() });
            }
            Ok(format!("{} {} {}", image.format, image.prefix, image.directory.len()).into_bytes())
        }
    }

    fn bench() -> Bench {
        Bench { grub: Arc::new(Teller), ..tests::bench(&MemoryStore::new()) }
    }

    /// A release's directory of GRUB, where each file holds its own name.
    struct Release {
        bench: Bench,
        directory: BTreeMap<String, SourceFile>,
        _held: Vec<BlobRef>,
    }

    impl Release {
        fn with(names: &[&str]) -> Self {
            let (mut directory, mut held) = (BTreeMap::new(), Vec::new());
            let bench = bench();
            for name in names {
                let mut writer = bench.store.create(BlobKind::Source).unwrap();
                writer.write_all(name.as_bytes()).unwrap();
                let blob = writer.commit().unwrap();
                let file = SourceFile { digest: blob.info.digest, size: blob.info.size };
                directory.insert((*name).to_owned(), file);
                held.push(blob);
            }
            Self { bench, directory, _held: held }
        }

        fn spec(&self, core: GrubCore) -> GrubSpec {
            GrubSpec { core, directory: self.directory.clone(), tool: "teller 1".to_owned() }
        }

        fn build(&self, core: GrubCore) -> Result<Built<GrubPart>, PartError> {
            Grub::build(&self.spec(core), &self.bench)
        }

        fn read(&self, piece: Piece) -> String {
            String::from_utf8(piece.read(&*self.bench.store, 100).unwrap()).unwrap()
        }
    }

    const BIOS: GrubCore = GrubCore { platform: GrubPlatform::I386Pc, medium: GrubMedium::Disk };
    const EFI: GrubCore = GrubCore { platform: GrubPlatform::X64Efi, medium: GrubMedium::Iso };

    #[test]
    fn an_image_and_what_starts_it() {
        let release = Release::with(&["kernel.img", "boot.img", "xfs.mod"]);
        let bios = release.build(BIOS).unwrap();
        assert_eq!(release.read(bios.value.core), "i386-pc (,gpt3)/grub 3");
        assert_eq!(release.read(bios.value.boot_sector.unwrap()), "boot.img", "as it is in the release");
        let efi = release.build(EFI).unwrap();
        assert_eq!(release.read(efi.value.core), "x86_64-efi ()/boot/grub 3");
        assert_eq!(efi.value.boot_sector, None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let fails = |names: &[&str]| Release::with(names).build(BIOS).err().unwrap().to_string();
        assert_eq!(fails(&["boot.img"]), "teller failed: no kernel");
        assert_eq!(fails(&["kernel.img"]), "GRUB as i386-pc cannot be used: the release has no boot.img");
    }

    #[test]
    fn everything_that_an_image_depends_on_is_in_its_key() {
        let first = Release::with(&["kernel.img", "boot.img"]).spec(BIOS);
        let mut subjects = vec![Grub::subject(&first)];
        assert_eq!(subjects[0], Grub::subject(&first.clone()));
        let mut change = |change: &dyn Fn(&mut GrubSpec)| {
            let mut other = first.clone();
            change(&mut other);
            subjects.push(Grub::subject(&other));
        };
        change(&|spec| spec.core.medium = GrubMedium::Iso);
        change(&|spec| spec.core.platform = GrubPlatform::Aa64Efi);
        change(&|spec| spec.tool = "teller 2".to_owned());
        change(&|spec| spec.directory.retain(|name, _| name != "boot.img"));
        change(&|spec| {
            for file in spec.directory.values_mut() {
                file.digest = Digest::of(b"another kernel");
            }
        });
        subjects.sort();
        subjects.dedup();
        assert_eq!(subjects.len(), 6);
    }
}
