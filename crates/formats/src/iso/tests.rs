use std::path::Path;

use super::*;
use crate::fat::FatFile;
use crate::grub::tests::images;
use crate::oracle;
use crate::pe::tests::toy_stub;
use crate::testing::{MemoryBlobs, noise};
use crate::uki::{PayloadAlign, Profiles, Uki, UkiOptions, UkiParts};
use crate::{Extent, Layout};

const EPOCH: u64 = 1_559_424_892;

fn options(scheme: PartitionScheme) -> MediaOptions {
    MediaOptions {
        volume_id: "TALOS_V1_14_0".to_owned(),
        volume_set_id: "Talos-v1.14.0".to_owned(),
        epoch: EPOCH,
        guid_label: "talos-iso-v1.14.0-amd64".to_owned(),
        scheme,
    }
}

const LOADER: &str = "EFI/BOOT/BOOTX64.EFI";
const UKI: &str = "EFI/Linux/Talos-v1.14.0.efi";

struct Parts {
    kernel: Layout,
    initramfs: Layout,
    esp: Vec<FatFile>,
    sections: Vec<crate::pe::Section>,
}

fn parts(blobs: &mut MemoryBlobs, payload_align: PayloadAlign) -> Parts {
    let kernel = blobs.layout(noise(1_500_001, 1));
    let initramfs = blobs.layout(noise(4_200_123, 2));
    let uki = Uki::new(UkiParts {
        stub: toy_stub(),
        os_release: "ID=talos\n".to_owned(),
        cmdline: "console=ttyS0".to_owned(),
        kernel_release: None,
        splash: None,
        pcr_public_key: None,
        kernel: kernel.clone(),
        initramfs: initramfs.clone(),
        profiles: Profiles::Unsupported,
    });
    let plan = uki.unwrap().assemble(&[], UkiOptions { epoch: EPOCH as u32, payload_align }).unwrap();
    let esp = vec![
        FatFile::new(LOADER, blobs.layout(noise(120_000, 3))),
        FatFile::new(UKI, plan.layout),
        FatFile { read_only: true, ..FatFile::new("loader/random-seed", Layout::from_bytes(vec![0; 32])) },
    ];
    Parts { kernel, initramfs, esp, sections: plan.sections }
}

fn bios() -> BiosBoot {
    BiosBoot { eltorito: images().eltorito.clone(), boot_hybrid: images().boot_hybrid.clone() }
}

const CONFIG: &str = "set default=0\n";

/// Blob bytes of the layout, shared ones counted as often as they are there.
fn payload(layout: &Layout) -> u64 {
    layout.extents().iter().map(|extent| if let Extent::Blob(range) = extent { range.len } else { 0 }).sum()
}

fn xorriso(image: &Path, commands: &[&str]) -> String {
    let args = [&["-abort_on", "WARNING", "-indev", oracle::text(image)], commands].concat();
    let output = oracle::run("xorriso", "xorriso", &args);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    for word in ["WARNING", "SORRY", "FAILURE", "FATAL"] {
        assert!(!said.contains(word), "{said}");
    }
    said
}

/// Extracts everything and compares; gives what xorriso says of boot entries and partitions.
fn check(made: &IsoImage, blobs: &MemoryBlobs, expected: &[(&str, &Layout)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("iso");
    oracle::write_sparse(&made.layout, blobs, &image);
    assert!(made.layout.len().is_multiple_of(1 << 20));

    let said = xorriso(&image, &["-report_el_torito", "plain", "-report_system_area", "plain", "-find", "/"]);
    let root = directory.path().join("root");
    oracle::success(
        "xorriso",
        "xorriso",
        &["-osirrox", "on", "-indev", oracle::text(&image), "-extract", "/", oracle::text(&root)],
    );
    for (path, content) in expected {
        let found = std::fs::read(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}\n{said}"));
        assert!(found == content.to_vec(blobs).unwrap(), "{path} differs");
    }
    let esp = directory.path().join("esp");
    let partition = made.layout.slice(made.esp_offset, made.layout.len() - (32 << 10));
    oracle::write_sparse(&partition, blobs, &esp);
    oracle::success("fsck.vfat", "dosfstools", &["-n", oracle::text(&esp)]);
    said
}

#[test]
fn uefi_media_share_their_files() {
    let mut blobs = MemoryBlobs::new();
    let parts = parts(&mut blobs, PayloadAlign::Page);
    for scheme in [PartitionScheme::Gpt, PartitionScheme::Mbr] {
        let made = media(&options(scheme), &Media::Uefi { esp: parts.esp.clone() }).unwrap();
        assert_eq!(payload(&made.layout), 120_000 + 1_500_001 + 4_200_123);
        let seed = Layout::from_bytes(vec![0; 32]);
        let said = check(
            &made,
            &blobs,
            &[(LOADER, &parts.esp[0].content), (UKI, &parts.esp[1].content), ("loader/random-seed", &seed)],
        );
        assert!(said.contains("Volume id    : 'TALOS_V1_14_0'"), "{said}");
        assert!(said.contains("UEFI  y   none"), "{said}");
        let marks = match scheme {
            PartitionScheme::Gpt => ["protective-msdos-label", "GPT partition name"],
            PartitionScheme::Mbr => {
                ["MBR partition      :   1   0x00  0x83", "MBR partition      :   2   0x00  0xef"]
            }
        };
        for mark in marks {
            assert!(said.contains(mark), "{said}");
        }
        assert!(!said.contains("BIOS"), "{said}");
    }
}

#[test]
fn hybrid_media_hold_everything_once() {
    let mut blobs = MemoryBlobs::new();
    for payload_align in [PayloadAlign::Page, PayloadAlign::File] {
        let parts = parts(&mut blobs, payload_align);
        let hybrid = Media::Hybrid {
            esp: parts.esp.clone(),
            uki_path: UKI.to_owned(),
            sections: parts.sections,
            config: CONFIG.to_owned(),
            bios: bios(),
        };
        let made = media(&options(PartitionScheme::Gpt), &hybrid).unwrap();
        let once = 120_000 + 1_500_001 + 4_200_123;
        // Without alignment it depends on the lengths which files need a copy; here it is the kernel.
        let copied = if payload_align == PayloadAlign::Page { 0 } else { 1_500_001 };
        assert_eq!(payload(&made.layout), once + copied);
        let config = Layout::from_bytes(CONFIG);
        let said = check(
            &made,
            &blobs,
            &[
                (UKI, &parts.esp[1].content),
                ("boot/vmlinuz", &parts.kernel),
                ("boot/initramfs.xz", &parts.initramfs),
                ("boot/grub/grub.cfg", &config),
            ],
        );
        for mark in ["BIOS  y   none", "UEFI  y   none", "grub2-mbr", "boot-info-table grub2-boot-info"] {
            assert!(said.contains(mark), "{mark} in {said}");
        }
        let again = media(&options(PartitionScheme::Gpt), &hybrid).unwrap();
        assert_eq!(made.layout.fingerprint(), again.layout.fingerprint());
    }
}

#[test]
fn grub_media_boot_on_both_firmwares() {
    let mut blobs = MemoryBlobs::new();
    let parts = parts(&mut blobs, PayloadAlign::File);
    let core = blobs.layout(images().iso_efi.clone());
    let grub = |bios| Media::Grub {
        esp: vec![FatFile::new(LOADER, core.clone())],
        menu: GrubMenu {
            config: CONFIG.to_owned(),
            kernel: parts.kernel.clone(),
            initramfs: parts.initramfs.clone(),
        },
        bios,
    };
    let made = media(&options(PartitionScheme::Gpt), &grub(Some(bios()))).unwrap();
    let expected = [("boot/vmlinuz", &parts.kernel), ("EFI/BOOT/BOOTX64.EFI", &core)];
    let said = check(&made, &blobs, &expected);
    assert!(said.contains("BIOS  y   none") && said.contains("UEFI  y   none"), "{said}");
    let made = media(&options(PartitionScheme::Gpt), &grub(None)).unwrap();
    let said = check(&made, &blobs, &expected);
    assert!(!said.contains("BIOS") && said.contains("UEFI  y   none"), "{said}");
}

#[test]
fn partition_tools_and_grub_agree() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("iso");
    let mut blobs = MemoryBlobs::new();
    let parts = parts(&mut blobs, PayloadAlign::Page);
    let hybrid = Media::Hybrid {
        esp: parts.esp,
        uki_path: UKI.to_owned(),
        sections: parts.sections,
        config: CONFIG.to_owned(),
        bios: bios(),
    };
    let made = media(&options(PartitionScheme::Gpt), &hybrid).unwrap();
    oracle::write_sparse(&made.layout, &blobs, &path);
    let said = oracle::success("sgdisk", "gdisk", &["-v", oracle::text(&path)]);
    assert!(said.contains("No problems found"), "{said}");
    let said = oracle::success("sfdisk", "fdisk", &["-V", oracle::text(&path)]);
    assert!(said.contains("No errors detected"), "{said}");
    let said = oracle::success("sfdisk", "fdisk", &["-d", oracle::text(&path)]);
    assert!(said.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B") && said.contains("name=\"EFI\""), "{said}");
    let kernel = directory.path().join("kernel");
    oracle::write_sparse(&parts.kernel, &blobs, &kernel);
    oracle::success(
        "grub-fstest",
        "grub-common",
        &[oracle::text(&path), "cmp", "(loop0)/boot/vmlinuz", oracle::text(&kernel)],
    );
}

#[test]
fn trees_of_any_shape_come_back() {
    let mut blobs = MemoryBlobs::new();
    let mut files = Vec::new();
    for i in 0..120 {
        let path = format!("dir{}/{}/a name that is rather long, number {i}.with.dots", i % 3, i % 40);
        files.push((path, blobs.layout(noise(i * 37, i as u64))));
    }
    files.push(("Empty".to_owned(), Layout::default()));
    files.push(("ünï cödé".to_owned(), Layout::from_bytes("x")));
    let iso_files = files
        .iter()
        .map(|(path, content)| IsoFile { path: path.clone(), content: IsoContent::Own(content.clone()) });
    let parts = IsoParts { files: iso_files.collect(), esp: esp_of_a_mebibyte(), bios: None };
    let made = image(&options(PartitionScheme::Gpt), &parts).unwrap();
    let expected: Vec<(&str, &Layout)> =
        files.iter().map(|(path, content)| (path.as_str(), content)).collect();
    check(&made, &blobs, &expected);
}

fn esp_of_a_mebibyte() -> Layout {
    let options = crate::fat::FatOptions {
        size: 1 << 20,
        sector: crate::sector::SectorSize::B512,
        label: "EFI".to_owned(),
        serial: 1,
        epoch: EPOCH,
    };
    crate::fat::volume(&options, &[]).unwrap().layout
}

#[test]
fn what_cannot_be_is_refused() {
    let with = |path: &str, content: IsoContent, options: IsoOptions| {
        let files = vec![IsoFile { path: path.to_owned(), content }];
        image(&options, &IsoParts { files, esp: esp_of_a_mebibyte(), bios: None }).unwrap_err()
    };
    let own = |len: u64| {
        let mut zeros = crate::LayoutBuilder::new();
        zeros.zero(len);
        IsoContent::Own(zeros.build())
    };
    let fine = options(PartitionScheme::Gpt);
    assert!(matches!(with(&"n".repeat(200), own(1), fine.clone()), IsoError::Name(_)));
    assert!(matches!(with("big", own(1 << 32), fine.clone()), IsoError::FileSize { .. }));
    assert!(matches!(with("../x", own(1), fine.clone()), IsoError::Path(_)));
    let outside = IsoContent::InEsp { offset: (1 << 20) - 2, len: 3 };
    assert!(matches!(with("x", outside, fine.clone()), IsoError::OutsideEsp(_)));
    let far = IsoContent::InEsp { offset: u64::MAX, len: 3 };
    assert!(matches!(with("x", far, fine.clone()), IsoError::OutsideEsp(_)));
    let long = IsoOptions { volume_id: "X".repeat(33), ..fine.clone() };
    assert!(matches!(with("x", own(1), long), IsoError::VolumeId(_)));
    let short = Media::Grub {
        esp: vec![FatFile::new(LOADER, Layout::from_bytes("x"))],
        menu: GrubMenu { config: String::new(), kernel: Layout::default(), initramfs: Layout::default() },
        bios: Some(BiosBoot { eltorito: "x".into(), boot_hybrid: "x".into() }),
    };
    assert!(matches!(media(&fine, &short), Err(MediaError::Iso(IsoError::Grub(_)))));
}
