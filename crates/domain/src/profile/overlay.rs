//! The profile that an overlay image brings along, `profiles/<name>.yaml` (`20-profiles.md` §9.2).

use serde::Deserialize;

use super::model::{EnrollKeys, ImageOptions, IsoOptions, Kind, Profile};
use crate::asset::quoted;
use crate::schematic::{Bootloader, MetaValue};

/// What an overlay adds to every profile that uses it. All the rest of its file is of no account:
/// architecture, platform, version, format and size come from the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OverlayProfile {
    extra_kernel_args: Vec<String>,
    meta: Vec<MetaValue>,
    embedded_machine_configuration: String,
    image: Option<Choices>,
    iso: Option<Choices>,
}

/// Choices for an image; the default of each says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Choices {
    bootloader: Bootloader,
    enroll_keys: EnrollKeys,
    sector_size: u64,
}

/// An overlay's profile that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the profile of overlay {} cannot be read: {reason}", quoted(overlay))]
pub struct InvalidOverlayProfile {
    overlay: String,
    reason: String,
}

/// Largest file that is read, in bytes. Known ones have a few hundred.
const MAX_FILE: usize = 1 << 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    customization: Option<CustomizationBlock>,
    output: Option<OutputBlock>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct CustomizationBlock {
    extra_kernel_args: Option<Vec<String>>,
    meta_contents: Option<Vec<MetaBlock>>,
    embedded_machine_configuration: Option<String>,
}

#[derive(Deserialize)]
struct MetaBlock {
    key: u8,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OutputBlock {
    image_options: Option<OptionsBlock>,
    iso_options: Option<OptionsBlock>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct OptionsBlock {
    bootloader: Option<String>,
    sd_boot_enroll_keys: Option<String>,
    disk_sector_size: Option<u64>,
}

impl OverlayProfile {
    /// Reads the file of the overlay called `name`.
    ///
    /// # Errors
    /// [`InvalidOverlayProfile`] when it is no profile.
    pub fn parse(name: &str, yaml: &[u8]) -> Result<Self, InvalidOverlayProfile> {
        let invalid = |reason: String| InvalidOverlayProfile { overlay: name.to_owned(), reason };
        if yaml.len() > MAX_FILE {
            return Err(invalid(format!("it is longer than {MAX_FILE} bytes")));
        }
        let file: Option<File> = serde_yaml::from_slice(yaml).map_err(|error| invalid(error.to_string()))?;
        let File { customization, output } = file.unwrap_or_default();
        let customization = customization.unwrap_or_default();
        let output = output.unwrap_or_default();
        let meta = customization.meta_contents.unwrap_or_default().into_iter();
        let choices =
            |block: Option<OptionsBlock>| block.map(OptionsBlock::choices).transpose().map_err(&invalid);
        Ok(Self {
            extra_kernel_args: customization.extra_kernel_args.unwrap_or_default(),
            meta: meta.map(|MetaBlock { key, value }| MetaValue { key, value }).collect(),
            embedded_machine_configuration: customization.embedded_machine_configuration.unwrap_or_default(),
            image: choices(output.image_options)?,
            iso: choices(output.iso_options)?,
        })
    }

    /// Adds it to a profile: lists go behind what is there, choices replace what is there.
    pub fn merge_into(&self, profile: &mut Profile) {
        profile.extra_kernel_args.extend_from_slice(&self.extra_kernel_args);
        profile.meta.extend_from_slice(&self.meta);
        if !self.embedded_machine_configuration.is_empty() {
            profile.embedded_machine_configuration.clone_from(&self.embedded_machine_configuration);
        }
        if let Some(choices) = self.image {
            let image: &mut ImageOptions = profile.output.image.get_or_insert_default();
            choices.apply(&mut image.bootloader, &mut image.enroll_keys);
            if choices.sector_size != 0 {
                image.sector_size = choices.sector_size;
            }
        }
        if let Some(choices) = self.iso {
            let iso: &mut IsoOptions = profile.output.iso.get_or_insert_default();
            choices.apply(&mut iso.bootloader, &mut iso.enroll_keys);
        }
    }

    /// Puts its kernel arguments before those of a command line profile, which the merge leaves out: a
    /// board that boots over the network needs them as well.
    pub fn add_args_to_cmdline(&self, profile: &mut Profile) {
        if profile.output.kind == Kind::Cmdline {
            profile.extra_kernel_args.splice(0..0, self.extra_kernel_args.iter().cloned());
        }
    }
}

/// Takes out what an overlay brought along although this kind of output cannot carry it, so that the
/// output is made without it instead of not at all.
pub(super) fn drop_unusable(profile: &mut Profile) {
    let kind = profile.output.kind;
    if matches!(kind, Kind::Kernel | Kind::Initramfs) {
        profile.extra_kernel_args.clear();
    }
    if matches!(kind, Kind::Kernel | Kind::Initramfs | Kind::Installer) {
        profile.meta.clear();
    }
}

impl Choices {
    fn apply(self, bootloader: &mut Bootloader, enroll_keys: &mut EnrollKeys) {
        if self.bootloader != Bootloader::None {
            *bootloader = self.bootloader;
        }
        if self.enroll_keys != EnrollKeys::default() {
            *enroll_keys = self.enroll_keys;
        }
    }
}

impl OptionsBlock {
    fn choices(self) -> Result<Choices, String> {
        let bootloader = match self.bootloader.unwrap_or_default().to_ascii_lowercase().as_str() {
            "" | "none" => Bootloader::None,
            "dual-boot" => Bootloader::DualBoot,
            "sd-boot" => Bootloader::SdBoot,
            "grub" => Bootloader::Grub,
            other => return Err(format!("unknown boot loader {}", quoted(other))),
        };
        let enroll_keys = match self.sd_boot_enroll_keys.as_deref() {
            None | Some("") => EnrollKeys::default(),
            Some(text) => text.parse::<EnrollKeys>().map_err(|error| error.to_string())?,
        };
        Ok(Choices { bootloader, enroll_keys, sector_size: self.disk_sector_size.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;
    use crate::version::TalosVersion;

    const RASPBERRY_PI: &[u8] = b"\
arch: arm64
platform: metal
secureboot: false
output:
  kind: image
  outFormat: .xz
  imageOptions:
    diskSize: 1306525696
    diskFormat: raw
    bootloader: grub
";

    fn profile(path: &str) -> Profile {
        let request = AssetPath::parse(path).unwrap().request();
        Profile::plain(request, TalosVersion::parse("1.13.0").unwrap())
    }

    #[test]
    fn a_board_chooses_its_boot_loader_and_nothing_else() {
        let overlay = OverlayProfile::parse("rpi_generic", RASPBERRY_PI).unwrap();
        let mut disk = profile("metal-amd64.raw.zst");
        let before = disk.clone();
        overlay.merge_into(&mut disk);
        assert_eq!(disk.output.image.as_ref().unwrap().bootloader, Bootloader::Grub);
        disk.output.image.as_mut().unwrap().bootloader = Bootloader::None;
        assert_eq!(disk, before);

        let mut installer = profile("installer-arm64.tar");
        overlay.merge_into(&mut installer);
        let image = installer.output.image.unwrap();
        assert_eq!((image.base_size, image.bootloader), (0, Bootloader::Grub));
    }

    #[test]
    fn lists_are_appended_and_choices_replace() {
        let yaml = b"\
customization:
  extraKernelArgs: [a=1, console=ttyS9]
  metaContents: [{key: 0xc, value: x}, {key: 13}]
  embeddedMachineConfiguration: overlay
output:
  imageOptions: {diskSectorSize: 4096, sdBootEnrollKeys: FORCE, bootloader: none}
  isoOptions: {bootloader: SD-Boot}
";
        let overlay = OverlayProfile::parse("x", yaml).unwrap();
        let mut merged = profile("metal-arm64.raw");
        merged.extra_kernel_args = vec!["first".into()];
        merged.embedded_machine_configuration = "schematic".into();
        merged.output.image.as_mut().unwrap().bootloader = Bootloader::Grub;
        overlay.merge_into(&mut merged);
        assert_eq!(merged.extra_kernel_args, ["first", "a=1", "console=ttyS9"]);
        assert_eq!(merged.meta.iter().map(|meta| meta.key).collect::<Vec<_>>(), [12, 13]);
        assert_eq!(merged.embedded_machine_configuration, "overlay");
        let image = merged.output.image.as_ref().unwrap();
        assert_eq!(
            (image.sector_size, image.enroll_keys, image.bootloader),
            (4096, EnrollKeys::Force, Bootloader::Grub)
        );
        assert_eq!(merged.output.iso.unwrap().bootloader, Bootloader::SdBoot);

        let mut cmdline = profile("cmdline-metal-arm64");
        cmdline.extra_kernel_args = vec!["last".into()];
        overlay.add_args_to_cmdline(&mut cmdline);
        assert_eq!(cmdline.extra_kernel_args, ["a=1", "console=ttyS9", "last"]);
        overlay.add_args_to_cmdline(&mut merged);
        assert_eq!(merged.extra_kernel_args.len(), 3, "the merge did it");
    }

    #[test]
    fn what_a_kind_cannot_carry_is_dropped() {
        for (path, args, meta) in [
            ("initramfs-arm64.xz", 0, 0),
            ("installer-arm64.tar", 1, 0),
            ("metal-arm64-uki.efi", 1, 1),
            ("metal-arm64.raw", 1, 1),
        ] {
            let mut profile = profile(path);
            profile.extra_kernel_args = vec!["a".into()];
            profile.meta = vec![MetaValue { key: 10, value: String::new() }];
            drop_unusable(&mut profile);
            assert_eq!((profile.extra_kernel_args.len(), profile.meta.len()), (args, meta), "{path}");
        }
    }

    #[test]
    fn empty_and_wrong_files() {
        for yaml in ["", "{}", "# nothing\n", "output: {}\n", "customization:\n"] {
            assert_eq!(
                OverlayProfile::parse("x", yaml.as_bytes()),
                Ok(OverlayProfile::default()),
                "{yaml:?}"
            );
        }
        for yaml in [
            "[]",
            "output: 3",
            "output: {imageOptions: {bootloader: lilo}}",
            "customization: {metaContents: [{key: 256}]}",
            "a: [",
            "\u{0}",
        ] {
            let error = OverlayProfile::parse("x", yaml.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("the profile of overlay \"x\" cannot be read: "), "{error}");
        }
        assert!(OverlayProfile::parse("x", &vec![b' '; MAX_FILE + 1]).is_err());
    }
}
