//! What holds when nobody chose (`20-profiles.md` §4.1 to §4.3).

use super::model::{DiskFormat, ImageOptions, Kind, Profile};
use crate::arch::Arch;
use crate::schematic::Bootloader;
use crate::version::Quirks;

/// The boot loader that an image gets.
///
/// Secure Boot allows systemd-boot only. Else the choice counts, and without one the newest that
/// version and architecture know.
pub fn effective_bootloader(asked: Bootloader, arch: Arch, secure_boot: bool, quirks: Quirks) -> Bootloader {
    match asked {
        _ if secure_boot => Bootloader::SdBoot,
        Bootloader::None if !quirks.boots_uefi_with_sd_boot() => Bootloader::Grub,
        Bootloader::None if arch == Arch::Arm64 => Bootloader::SdBoot,
        Bootloader::None => Bootloader::DualBoot,
        chosen => chosen,
    }
}

/// Settles the boot loader of disk images, and of ISO images where it can be chosen.
pub fn fill_defaults(profile: &mut Profile) {
    let quirks = profile.version.quirks();
    let (arch, secure_boot) = (profile.arch, profile.secure_boot.is_some());
    let settle = |asked: &mut Bootloader| *asked = effective_bootloader(*asked, arch, secure_boot, quirks);
    match profile.output.kind {
        Kind::Image => settle(&mut profile.output.image.get_or_insert_default().bootloader),
        Kind::Iso if quirks.has_iso_bootloader_choice() => {
            settle(&mut profile.output.iso.get_or_insert_default().bootloader);
        }
        _ => {}
    }
}

/// Bytes of a disk image whose boot loader is settled. The base size allows for a boot partition of
/// 1000 MiB; larger and further partitions come on top.
pub fn disk_size(options: &ImageOptions, quirks: Quirks) -> u64 {
    const BOOT_IN_BASE: u64 = 1000 << 20;
    let sizes = quirks.partition_sizes();
    let more = sizes.boot - BOOT_IN_BASE;
    let second = if options.bootloader == Bootloader::DualBoot { sizes.bios + sizes.boot } else { 0 };
    options.base_size.saturating_add(more + second)
}

/// The name of the file inside a packed one, such as `metal-amd64.raw`; gzip records it.
pub fn inner_file_name(profile: &Profile) -> String {
    let Profile { platform, arch, .. } = profile;
    let signed = if profile.secure_boot.is_some() { "-secureboot" } else { "" };
    match profile.output.kind {
        Kind::Kernel => format!("kernel-{arch}{signed}"),
        Kind::Initramfs => format!("initramfs-{platform}-{arch}{signed}.xz"),
        Kind::Cmdline => format!("cmdline-{platform}-{arch}{signed}"),
        Kind::Uki => format!("{platform}-{arch}{signed}-uki.efi"),
        Kind::Iso => format!("{platform}-{arch}{signed}.iso"),
        Kind::Installer => format!("installer-{arch}{signed}.tar"),
        Kind::Image => {
            let format = profile.output.image.as_ref().and_then(|image| image.format);
            format!("{platform}-{arch}{signed}.{}", format.unwrap_or(DiskFormat::Raw).as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asset::AssetPath;
    use crate::version::TalosVersion;

    fn filled(path: &str, version: &str, asked: Bootloader) -> Profile {
        let request = AssetPath::parse(path).unwrap().request();
        let mut profile = Profile::plain(request, TalosVersion::parse(version).unwrap());
        if let Some(image) = &mut profile.output.image {
            image.bootloader = asked;
        }
        fill_defaults(&mut profile);
        profile
    }

    #[test]
    fn boot_loaders_of_images() {
        use Bootloader::{DualBoot, Grub, None, SdBoot};
        for (path, version, asked, expected) in [
            ("metal-amd64.raw", "1.9.5", None, Grub),
            ("metal-arm64.raw", "1.9.5", None, Grub),
            ("metal-amd64.raw", "1.10.0-alpha.0", None, DualBoot),
            ("metal-arm64.raw", "1.10.0", None, SdBoot),
            ("metal-amd64.raw", "1.10.0", Grub, Grub),
            ("metal-amd64.raw", "1.7.0", SdBoot, SdBoot),
            ("metal-amd64-secureboot.raw", "1.7.0", Grub, SdBoot),
            ("metal-amd64-secureboot.raw", "1.12.0", DualBoot, SdBoot),
        ] {
            let image = filled(path, version, asked).output.image.unwrap();
            assert_eq!(image.bootloader, expected, "{path} {version} {asked:?}");
        }
    }

    #[test]
    fn iso_options_appear_where_they_count() {
        let of = |version| filled("metal-arm64.iso", version, Bootloader::None).output.iso;
        assert_eq!(of("1.11.9"), None);
        assert_eq!(of("1.12.0").unwrap().bootloader, Bootloader::SdBoot);
    }

    #[test]
    fn disk_sizes() {
        let of = |path, version, asked| {
            let profile = filled(path, version, asked);
            disk_size(&profile.output.image.unwrap(), profile.version.quirks())
        };
        let none = Bootloader::None;
        assert_eq!(of("metal-amd64.raw", "1.9.0", none), 1_306_525_696);
        assert_eq!(of("metal-amd64.raw", "1.10.0", none), 2_356_150_272);
        assert_eq!(of("metal-amd64.raw", "1.13.0", none), 4_453_302_272);
        assert_eq!(of("aws-arm64.raw", "1.13.0", none), 9_638_510_592);
        assert_eq!(of("exoscale-amd64.qcow2", "1.13.0", Bootloader::Grub), 11_785_994_240);
    }

    #[test]
    fn names_inside_packed_files() {
        for (path, name) in [
            ("metal-amd64-secureboot.raw.gz", "metal-amd64-secureboot.raw"),
            ("azure-arm64.vhd.xz", "azure-arm64.vhd"),
            ("initramfs-amd64.xz", "initramfs-metal-amd64.xz"),
            ("aws-installer-amd64.tar", "installer-amd64.tar"),
            ("kernel-arm64", "kernel-arm64"),
            ("aws-amd64-uki.efi", "aws-amd64-uki.efi"),
        ] {
            assert_eq!(inner_file_name(&filled(path, "1.13.0", Bootloader::None)), name);
        }
    }
}
