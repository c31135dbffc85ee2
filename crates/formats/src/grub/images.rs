//! Sector numbers inside of `boot.img`, `core.img`, `boot_hybrid.img` and the El Torito image
//! (specification 40, 8.4 and 8.5; 41, 7.1).

use bytes::Bytes;

use crate::record::Record;
use crate::{Layout, LayoutBuilder};

/// Bytes of a master boot record in front of its partition table.
pub const BOOT_CODE_LEN: usize = 446;
const SECTOR: usize = 512;
/// Sectors of 512 bytes in a block of a CD.
const SECTORS_PER_BLOCK: u64 = 4;

/// An image that is none of GRUB's, or of a GRUB that is built differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{image} has {found} bytes, expected {expected}")]
pub struct GrubImageError {
    /// Name of the image.
    image: &'static str,
    /// Its length.
    found: usize,
    /// The length it should have.
    expected: &'static str,
}

fn check(
    image: &'static str,
    bytes: &[u8],
    fits: bool,
    expected: &'static str,
) -> Result<(), GrubImageError> {
    if fits { Ok(()) } else { Err(GrubImageError { image, found: bytes.len(), expected }) }
}

fn boot_code(image: &'static str, bytes: &[u8]) -> Result<[u8; BOOT_CODE_LEN], GrubImageError> {
    check(image, bytes, bytes.len() == SECTOR, "512")?;
    let code = bytes.first_chunk().copied();
    code.ok_or(GrubImageError { image, found: bytes.len(), expected: "512" })
}

/// The boot code of a disk out of `boot.img`; `core_lba` is the 512-byte sector at which the core image
/// begins.
///
/// # Errors
/// When the image does not have 512 bytes.
pub fn disk_boot_code(boot_img: &[u8], core_lba: u64) -> Result<[u8; BOOT_CODE_LEN], GrubImageError> {
    const CORE_SECTOR: usize = 0x5C;
    const DRIVE_CHECK: usize = 0x66;
    let mut code = boot_code("boot.img", boot_img)?;
    code[CORE_SECTOR..CORE_SECTOR + 8].copy_from_slice(&core_lba.to_le_bytes());
    // Two NOPs instead of a jump: the code then also works when the BIOS passes a wrong drive number.
    code[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    Ok(code)
}

/// The core image for the 512-byte sector `core_lba`: its first sector says where the rest is.
///
/// # Errors
/// When the image is shorter than two sectors.
pub fn core_image(core_img: &Bytes, core_lba: u64) -> Result<Layout, GrubImageError> {
    const NEXT_SECTOR: usize = 0x1F4;
    check("core.img", core_img, core_img.len() > SECTOR, "more than 512")?;
    let mut first = Record::from_slice(&core_img[..SECTOR]);
    first.le64(NEXT_SECTOR, core_lba + 1);
    let mut builder = LayoutBuilder::new();
    builder.bytes(first.into_vec()).bytes(core_img.slice(SECTOR..));
    Ok(builder.build())
}

/// The El Torito image for its place on a CD, given as a block of 2048 bytes.
///
/// # Errors
/// When the image is too short for GRUB's loader of 2048 bytes and a core image behind it.
pub fn eltorito_image(image: &Bytes, block: u32) -> Result<Layout, GrubImageError> {
    /// Boot information table (xorriso's `-boot-info-table`), filled by whoever writes the CD.
    const INFO_TABLE: usize = 8;
    const INFO_TABLE_END: usize = 64;
    const VOLUME_DESCRIPTOR: u32 = 16;
    /// Where the core image has the number of its second sector.
    const NEXT_SECTOR: usize = 2548;
    const HEAD: usize = NEXT_SECTOR + 8;
    check("the GRUB El Torito image", image, image.len() > HEAD, "more than 2556")?;
    let mut head = Record::from_slice(&image[..HEAD]);
    head.le64(NEXT_SECTOR, u64::from(block) * SECTORS_PER_BLOCK + 5);
    head.put(INFO_TABLE, &[0; INFO_TABLE_END - INFO_TABLE]);
    head.le32(INFO_TABLE, VOLUME_DESCRIPTOR).le32(INFO_TABLE + 4, block);
    head.le32(INFO_TABLE + 8, image.len() as u32);
    let sum = word_sum(&head.as_slice()[INFO_TABLE_END..]).wrapping_add(word_sum(&image[HEAD..]));
    head.le32(INFO_TABLE + 12, sum);
    let mut builder = LayoutBuilder::new();
    builder.bytes(head.into_vec()).bytes(image.slice(HEAD..));
    Ok(builder.build())
}

/// Sum of all 32-bit words, the last one padded with zeros.
fn word_sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]);
    words.fold(0, |sum: u32, word| sum.wrapping_add(u32::from_le_bytes(*word)))
}

/// The boot code of an ISO image that is used as a disk, out of `boot_hybrid.img`; it loads the El Torito
/// image without the loader for CDs in front.
///
/// # Errors
/// When the image does not have 512 bytes.
pub fn hybrid_boot_code(
    boot_hybrid_img: &[u8],
    eltorito_block: u32,
) -> Result<[u8; BOOT_CODE_LEN], GrubImageError> {
    const CORE_SECTOR: usize = 0x1B0;
    let mut code = boot_code("boot_hybrid.img", boot_hybrid_img)?;
    let sector = u64::from(eltorito_block) * SECTORS_PER_BLOCK + 4;
    code[CORE_SECTOR..CORE_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    Ok(code)
}
