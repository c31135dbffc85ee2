use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;

use super::*;
use crate::oracle;

/// Boot images made by the distribution's GRUB with the modules of specification 40, 9 and 41, 7.2.
pub(crate) struct Images {
    pub boot: Bytes,
    pub boot_hybrid: Bytes,
    pub disk_core: Bytes,
    pub eltorito: Bytes,
    pub disk_efi: Bytes,
    pub iso_efi: Bytes,
}

const COMMON: &str = "part_gpt fat normal configfile linux boot search search_label search_fs_uuid \
    search_fs_file ls cat echo test help reboot halt all_video";

fn make(format: &str, prefix: &str, modules: &str, out: &Path) -> Bytes {
    let names: Vec<&str> = COMMON.split_whitespace().chain(modules.split_whitespace()).collect();
    let args = [&["-O", format, "-p", prefix, "-o", oracle::text(out)], &names[..]].concat();
    oracle::success("grub-mkimage", "grub-common, grub-pc-bin and grub-efi-amd64-bin", &args);
    std::fs::read(out).unwrap().into()
}

pub(crate) fn images() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("image");
        let modules = PathBuf::from("/usr/lib/grub/i386-pc");
        let copy = |name: &str| -> Bytes {
            let read = std::fs::read(modules.join(name));
            read.unwrap_or_else(|e| panic!("{name}: {e}: install the Debian package grub-pc-bin")).into()
        };
        let disk = "(hd0,gpt3)/grub";
        Images {
            boot: copy("boot.img"),
            boot_hybrid: copy("boot_hybrid.img"),
            disk_core: make("i386-pc", disk, "ext2 xfs biosdisk part_msdos", &out),
            eltorito: make("i386-pc-eltorito", "/boot/grub", "iso9660 part_msdos biosdisk", &out),
            disk_efi: make("x86_64-efi", disk, "ext2 xfs", &out),
            iso_efi: make("x86_64-efi", "()/boot/grub", "iso9660 part_msdos", &out),
        }
    })
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn disk_images_know_their_sectors() {
    let images = images();
    let code = disk_boot_code(&images.boot, 0x0012_3456_789A).unwrap();
    assert_eq!((le64(&code, 0x5C), &code[0x66..0x68]), (0x0012_3456_789A, &[0x90, 0x90][..]));
    assert_eq!(code[..0x5C], images.boot[..0x5C]);
    let core = core_image(&images.disk_core, 206_848).unwrap().inline_bytes().unwrap();
    assert_eq!((core.len(), le64(&core, 0x1F4)), (images.disk_core.len(), 206_849));
    assert!(core[..0x1F4] == images.disk_core[..0x1F4] && core[0x1FC..] == images.disk_core[0x1FC..]);
}

#[test]
fn cd_images_know_their_blocks() {
    let images = images();
    let patched = eltorito_image(&images.eltorito, 100).unwrap().inline_bytes().unwrap();
    assert_eq!(patched.len(), images.eltorito.len());
    assert_eq!((le32(&patched, 8), le32(&patched, 12), le32(&patched, 16)), (16, 100, patched.len() as u32));
    assert_eq!(le64(&patched, 2548), 405);
    assert!(patched[24..64].iter().all(|byte| *byte == 0));
    let mut padded = patched[64..].to_vec();
    padded.resize(padded.len().next_multiple_of(4), 0);
    let sum = padded.chunks(4).fold(0u32, |sum, word| sum.wrapping_add(le32(word, 0)));
    assert_eq!(le32(&patched, 20), sum);
    let code = hybrid_boot_code(&images.boot_hybrid, 100).unwrap();
    assert_eq!(le64(&code, 0x1B0), 404);
}

#[test]
fn images_of_other_lengths_are_refused() {
    let short = Bytes::from_static(&[0; 512]);
    assert_eq!(
        core_image(&short, 1).unwrap_err().to_string(),
        "core.img has 512 bytes, expected more than 512"
    );
    assert!(eltorito_image(&short, 1).is_err());
    assert!(disk_boot_code(&short[..511], 1).is_err());
    assert!(hybrid_boot_code(&[], 1).is_err());
}
