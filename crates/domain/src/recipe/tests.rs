use super::*;
use crate::asset::AssetPath;
use crate::profile::Compression;
use crate::schematic::{Bootloader, MetaValue};

fn recipe_of(path: &str, version: &str, change: impl FnOnce(&mut Profile)) -> Result<Recipe, RecipeError> {
    let request = AssetPath::parse(path).unwrap().request();
    let mut profile = Profile::plain(request, TalosVersion::parse(version).unwrap());
    change(&mut profile);
    Recipe::of(profile, &[])
}

fn recipe(path: &str, version: &str) -> Recipe {
    recipe_of(path, version, |_| {}).unwrap()
}

fn files(recipe: &Recipe) -> String {
    recipe.release_files.iter().map(|file| file.name()).collect::<Vec<_>>().join(" ")
}

fn iso(path: &str, version: &str, bootloader: Bootloader) -> IsoRecipe {
    let made = recipe_of(path, version, |profile| {
        profile.output.iso.get_or_insert_default().bootloader = bootloader;
    });
    match made.unwrap().output {
        OutputRecipe::Iso(iso) => iso,
        other => panic!("{other:?}"),
    }
}

fn disk(path: &str, version: &str, bootloader: Bootloader) -> (Recipe, DiskRecipe) {
    let made = recipe_of(path, version, |profile| {
        profile.output.image.get_or_insert_default().bootloader = bootloader;
    });
    let made = made.unwrap();
    match made.output.clone() {
        OutputRecipe::Disk(disk) => (made, disk),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_is_needed_is_fetched() {
    for (path, version, expected) in [
        ("kernel-amd64", "1.13.0", "vmlinuz"),
        ("cmdline-metal-amd64", "1.13.0", ""),
        ("initramfs-arm64.xz", "1.13.0", "initramfs.xz"),
        ("metal-amd64-uki.efi", "1.13.0", "vmlinuz initramfs.xz systemd-stub.efi"),
        ("metal-amd64.iso", "1.9.5", "vmlinuz initramfs.xz"),
        ("metal-amd64.iso", "1.13.0", "vmlinuz initramfs.xz systemd-boot.efi systemd-stub.efi"),
        ("metal-amd64.raw", "1.9.5", "vmlinuz initramfs.xz"),
        ("metal-arm64.raw", "1.13.0", "vmlinuz initramfs.xz systemd-boot.efi systemd-stub.efi"),
        ("installer-amd64.tar", "1.9.5", "vmlinuz initramfs.xz"),
        ("installer-amd64-secureboot.tar", "1.9.5", "vmlinuz initramfs.xz systemd-boot.efi systemd-stub.efi"),
    ] {
        assert_eq!(files(&recipe(path, version)), expected, "{path} {version}");
    }
    assert_eq!(ReleaseFile::SdStub.path(Arch::Arm64), "usr/install/arm64/systemd-stub.efi");
}

#[test]
fn iso_kinds() {
    use Bootloader::{DualBoot, Grub, None, SdBoot};
    for (path, version, asked, kind) in [
        ("metal-amd64.iso", "1.9.5", SdBoot, IsoKind::Grub),
        ("metal-arm64.iso", "1.10.0", None, IsoKind::Hybrid),
        ("metal-amd64.iso", "1.11.0", Grub, IsoKind::Hybrid),
        ("metal-amd64.iso", "1.12.0", None, IsoKind::Hybrid),
        ("metal-arm64.iso", "1.12.0", None, IsoKind::Uefi),
        ("metal-arm64.iso", "1.12.0", DualBoot, IsoKind::Hybrid),
        ("metal-amd64.iso", "1.12.0", SdBoot, IsoKind::Uefi),
        ("metal-amd64.iso", "1.12.0", Grub, IsoKind::Grub),
        ("metal-amd64-secureboot.iso", "1.5.0", Grub, IsoKind::Uefi),
        ("metal-amd64-secureboot.iso", "1.13.0", DualBoot, IsoKind::Uefi),
    ] {
        let made = iso(path, version, asked);
        assert_eq!(made.kind, kind, "{path} {version} {asked:?}");
        assert_eq!(made.grub_cfg.is_some(), kind != IsoKind::Uefi);
        assert_eq!(made.esp.is_some(), kind != IsoKind::Grub);
    }
}

#[test]
fn iso_labels() {
    let old = iso("metal-amd64.iso", "1.7.0", Bootloader::None);
    assert_eq!((old.volume_id.as_str(), old.volume_set_id.as_str()), ("ISOIMAGE", ""));
    let new = iso("metal-amd64-secureboot.iso", "1.14.0-beta.1", Bootloader::None);
    assert_eq!(
        (new.volume_id.as_str(), new.volume_set_id.as_str()),
        ("TALOS_V1_14_0_BETA_1", "Talos-v1.14.0-beta.1")
    );
}

#[test]
fn iso_reset_entry() {
    let has_reset = |version| {
        iso("metal-amd64.iso", version, Bootloader::None)
            .grub_cfg
            .unwrap()
            .contains("Reset Talos installation")
    };
    assert!(!has_reset("1.3.7"));
    assert!(has_reset("1.4.0"));
}

#[test]
fn efi_partitions() {
    let esp = iso("metal-arm64.iso", "1.13.0", Bootloader::None).esp.unwrap();
    assert_eq!(esp.sd_boot_path, "EFI/BOOT/BOOTAA64.EFI");
    assert_eq!(esp.uki_path, "EFI/Linux/Talos-v1.13.0.efi");
    assert!(esp.loader_conf.ends_with("secure-boot-enroll off\n"));
    assert_eq!((esp.random_seed, esp.enrollment), (RandomSeed::Zeros, None));

    let esp = disk("metal-amd64.raw", "1.13.0", Bootloader::None).1.esp.unwrap();
    assert_eq!(esp.sd_boot_path, "EFI/boot/BOOTX64.efi");
    assert!(esp.loader_conf.ends_with("timeout 10\n"));
    assert_eq!((esp.random_seed, esp.enrollment), (RandomSeed::Absent, None));
}

#[test]
fn secure_boot_keys() {
    for (path, choice, auth_files, certificate, conf) in [
        ("metal-amd64-secureboot.iso", EnrollKeys::Off, true, true, "secure-boot-enroll off\n"),
        ("metal-amd64-secureboot.iso", EnrollKeys::IfSafe, true, true, "secure-boot-enroll if-safe\n"),
        ("metal-amd64-secureboot.raw", EnrollKeys::Force, true, false, "secure-boot-enroll force\n"),
        ("metal-amd64-secureboot.raw", EnrollKeys::Off, false, false, "timeout 10\n"),
    ] {
        let made = recipe_of(path, "1.13.0", |profile| {
            if let Some(image) = &mut profile.output.image {
                image.enroll_keys = choice;
            } else {
                profile.output.iso.get_or_insert_default().enroll_keys = choice;
            }
            profile.secure_boot.as_mut().unwrap().include_well_known_certificates = true;
        })
        .unwrap();
        let esp = match made.output {
            OutputRecipe::Iso(iso) => iso.esp,
            OutputRecipe::Disk(disk) => disk.esp,
            other => panic!("{other:?}"),
        };
        let esp = esp.unwrap();
        let expected = Enrollment { auth_files, certificate, include_well_known_certificates: true };
        assert_eq!(esp.enrollment, Some(expected), "{path} {choice:?}");
        assert!(esp.loader_conf.ends_with(conf), "{path} {choice:?}");
        assert_eq!(made.uki.unwrap().signing, Signing::SecureBoot);
    }
}

#[test]
fn disks() {
    let (made, grub) = disk("metal-amd64.raw.zst", "1.9.5", Bootloader::None);
    assert_eq!((grub.layout, grub.size, made.uki), (DiskLayout::Grub, 1_306_525_696, None));
    assert_eq!(grub.grub_efi_path.as_deref(), Some("EFI/boot/BOOTX64.efi"));
    assert_eq!((grub.esp, grub.meta), (None, vec![]));
    assert_eq!((grub.data_partitions, grub.compression), (DataPartitions::Absent, Compression::Zst));

    let (_, dual) = disk("metal-amd64.qcow2", "1.13.0", Bootloader::None);
    assert_eq!((dual.layout, dual.size, dual.sector_size), (DiskLayout::DualBoot, 4_453_302_272, 512));
    assert_eq!(dual.meta, [MetaValue { key: 17, value: "dual-boot".into() }]);
    assert_eq!((dual.grub_efi_path, dual.encoding), (None, DiskEncoding::Qcow2 { cluster_size: 8192 }));
    assert!(dual.grub_cfg.unwrap().contains("A - Talos v1.13.0"));

    let (made, sd_boot) = disk("azure-arm64.vhd.xz", "1.13.0", Bootloader::None);
    assert_eq!((sd_boot.layout, sd_boot.encoding), (DiskLayout::SdBoot, DiskEncoding::FixedVhd));
    assert_eq!((sd_boot.grub_cfg, sd_boot.meta), (None, vec![]));
    assert_eq!(made.inner_file_name, "azure-arm64.vhd");

    let (_, old) = disk("metal-amd64.raw", "1.3.0", Bootloader::None);
    assert_eq!(old.data_partitions, DataPartitions::Unformatted);
    assert!(!old.grub_cfg.unwrap().contains("Reset"), "before 1.4");

    // The note for the node belongs to versions that read it.
    let (_, early) = disk("metal-amd64.raw", "1.9.0", Bootloader::DualBoot);
    assert_eq!((early.layout, early.meta), (DiskLayout::DualBoot, vec![]));
}

#[test]
fn installers() {
    for (path, version, base, expected) in [
        ("installer-amd64.tar", "1.13.0", "siderolabs/installer-base", ["systemd-boot.efi", "vmlinuz.efi"]),
        (
            "installer-amd64-secureboot.tar",
            "1.13.0",
            "siderolabs/installer-base",
            ["systemd-boot.efi", "vmlinuz.efi"],
        ),
        (
            "installer-amd64-secureboot.tar",
            "1.9.0",
            "siderolabs/installer",
            ["systemd-boot.efi", "vmlinuz.efi.signed"],
        ),
        ("installer-amd64.tar", "1.9.0", "siderolabs/installer", ["initramfs.xz", "vmlinuz"]),
    ] {
        let made = recipe(path, version);
        let OutputRecipe::Installer(installer) = &made.output else { panic!("{made:?}") };
        assert_eq!(installer.base_repository, base);
        let paths: Vec<&str> = installer.files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, expected.map(|name| format!("usr/install/amd64/{name}")), "{path} {version}");
    }
}

#[test]
fn ukis() {
    let uki = recipe("metal-amd64-uki.efi", "1.10.0").uki.unwrap();
    assert_eq!(uki.profiles, Some(vec![]), "the main profile only");
    assert!(uki.os_release.contains("VERSION_ID=v1.10.0\n"));
    assert_eq!(uki.signing, Signing::Unsigned);
    assert_eq!(recipe("metal-amd64-uki.efi", "1.9.0").uki.unwrap().profiles, None);
    let profiles = recipe("installer-amd64.tar", "1.13.0").uki.unwrap().profiles.unwrap();
    assert_eq!(profiles[0].id, "reset-maintenance");
    assert!(profiles[0].cmdline.starts_with("talos.platform=metal "));
}

#[test]
fn what_cannot_be_made() {
    let text = |made: Result<Recipe, RecipeError>| made.unwrap_err().to_string();
    let old = "a UKI is not possible for Talos version v1.4.0: use 1.5.0 or later";
    assert_eq!(text(recipe_of("metal-amd64-uki.efi", "1.4.0", |_| {})), old);
    let sd_boot = recipe_of("metal-amd64.raw", "1.4.0", |profile| {
        profile.output.image.as_mut().unwrap().bootloader = Bootloader::SdBoot;
    });
    assert_eq!(text(sd_boot), old);
    let signed = recipe_of("metal-amd64-secureboot.raw", "1.4.0", |_| {});
    assert_eq!(text(signed), "profile is invalid: secureboot is not supported for Talos version \"v1.4.0\"");
    assert_eq!(text(recipe_of("nosuch-amd64.iso", "1.13.0", |_| {})), "unknown platform: \"nosuch\"");
    let args = |arg: String| {
        recipe_of("cmdline-metal-amd64", "1.13.0", |profile| profile.extra_kernel_args = vec![arg])
    };
    assert!(matches!(args("x".repeat(3000)), Err(RecipeError::LineTooLong(_))));
    assert!(matches!(args("a=\u{1b}b".into()), Err(RecipeError::ControlCharacter(_))));
    let split = recipe_of("metal-amd64.iso", "1.13.0", |profile| {
        profile.meta = vec![MetaValue { key: 10, value: "a;b".into() }];
    });
    assert!(matches!(split, Err(RecipeError::Refused(Refusal::Meta(_)))));
}

#[test]
fn a_repeated_extension_is_added_once() {
    let official = |name: &str| {
        ExtensionInput::Official(crate::catalog::ExtensionRef {
            repository: name.parse().unwrap(),
            tag: "1".into(),
            digest: factory_formats::Digest::of(name.as_bytes()),
            origin: crate::catalog::Origin::Official,
        })
    };
    let made = recipe_of("initramfs-amd64.xz", "1.13.0", |profile| {
        profile.extensions =
            vec![official("b"), official("a"), official("b"), ExtensionInput::EmbeddedConfig];
    });
    let expected = vec![official("b"), official("a"), ExtensionInput::EmbeddedConfig];
    assert_eq!(made.unwrap().extensions, expected);
}

#[test]
fn a_recipe_is_the_same_every_time() {
    for path in ["metal-amd64.iso", "metal-amd64.raw.zst", "installer-arm64.tar"] {
        let print = || format!("{:#?}", recipe(path, "1.13.0"));
        assert_eq!(print(), print());
    }
}

#[test]
fn grub_is_where_something_starts_with_it() {
    use Bootloader::{DualBoot, Grub, None, SdBoot};
    for (path, version, asked, expected) in [
        ("metal-amd64.iso", "1.9.5", None, "i386-pc-eltorito x86_64-efi"),
        ("metal-arm64.iso", "1.9.5", None, "arm64-efi"),
        ("metal-amd64.iso", "1.10.0", None, "i386-pc-eltorito"),
        ("metal-arm64.iso", "1.10.0", None, "i386-pc-eltorito"),
        ("metal-amd64.iso", "1.12.0", None, "i386-pc-eltorito"),
        ("metal-arm64.iso", "1.12.0", None, ""),
        ("metal-arm64.iso", "1.12.0", Grub, "arm64-efi"),
        ("metal-amd64.iso", "1.12.0", SdBoot, ""),
        ("metal-amd64-secureboot.iso", "1.12.0", DualBoot, ""),
        ("metal-amd64.raw", "1.7.0", None, "i386-pc x86_64-efi"),
        ("metal-arm64.raw", "1.7.0", None, "arm64-efi"),
        ("metal-amd64.raw", "1.12.0", None, "i386-pc"),
        ("metal-amd64.raw", "1.12.0", SdBoot, ""),
        ("metal-arm64.raw", "1.12.0", Grub, "arm64-efi"),
        ("metal-amd64-uki.efi", "1.12.0", None, ""),
        ("installer-amd64.tar", "1.12.0", None, ""),
    ] {
        let made = recipe_of(path, version, |profile| match profile.output.kind {
            Kind::Iso => profile.output.iso.get_or_insert_default().bootloader = asked,
            Kind::Image => profile.output.image.get_or_insert_default().bootloader = asked,
            _ => {}
        });
        let formats: Vec<_> = made.unwrap().grub.iter().map(GrubCore::format).collect();
        assert_eq!(formats.join(" "), expected, "{path} {version} {asked:?}");
    }
}

#[test]
fn grub_finds_its_files_on_the_medium_that_it_started_from() {
    let core = |platform, medium| GrubCore { platform, medium };
    let disk = core(GrubPlatform::I386Pc, GrubMedium::Disk);
    assert_eq!((disk.prefix(), disk.boot_sector()), ("(,gpt3)/grub", Some("boot.img")));
    for module in ["xfs", "part_gpt", "biosdisk", "linux"] {
        assert!(disk.modules().contains(&module), "{module}");
    }
    let cd = core(GrubPlatform::Aa64Efi, GrubMedium::Iso);
    assert_eq!((cd.prefix(), cd.boot_sector()), ("()/boot/grub", None));
    assert!(cd.modules().contains(&"iso9660") && !cd.modules().contains(&"biosdisk"));
}
