//! The boot catalog (El Torito 1.0, with the section headers that UEFI uses).

use super::BLOCK;
use crate::record::Record;

const PLATFORM_BIOS: u8 = 0x00;
const PLATFORM_EFI: u8 = 0xEF;
const BOOTABLE: u8 = 0x88;
/// A section header with none behind it.
const LAST_SECTION: u8 = 0x91;
/// Sectors of 512 bytes that a BIOS loads of GRUB's image: its loader for CDs.
const BIOS_SECTORS: u16 = 4;

/// The catalog's block. The UEFI entry has the sector count 0, because 16 bits cannot hold that of a
/// whole partition; firmware takes it for "all of it".
pub(super) fn catalog(bios: Option<u32>, efi: u32) -> Vec<u8> {
    let mut out = Record::zeroed(BLOCK as usize);
    let mut validation = Record::zeroed(32);
    validation
        .u8(0, 1)
        .u8(1, if bios.is_some() { PLATFORM_BIOS } else { PLATFORM_EFI })
        .put(30, &[0x55, 0xAA]);
    let sum = validation.as_slice().as_chunks::<2>().0.iter();
    let sum = sum.fold(0u16, |sum, word| sum.wrapping_add(u16::from_le_bytes(*word)));
    validation.le16(28, sum.wrapping_neg());
    out.put(0, validation.as_slice());

    let mut entry = |at: usize, sectors: u16, block: u32| {
        out.u8(at, BOOTABLE).le16(at + 6, sectors).le32(at + 8, block);
    };
    match bios {
        None => entry(32, 0, efi),
        Some(block) => {
            entry(32, BIOS_SECTORS, block);
            entry(96, 0, efi);
            out.u8(64, LAST_SECTION).u8(65, PLATFORM_EFI).le16(66, 1);
        }
    }
    out.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_known_ones() {
        let hybrid = catalog(Some(30), 512);
        assert_eq!(
            hex::encode(&hybrid[..44]),
            format!("01{}aa5555aa8800000000000400{}", "00".repeat(27), "1e000000")
        );
        assert_eq!(hex::encode(&hybrid[64..68]), "91ef0100");
        assert_eq!(hex::encode(&hybrid[96..108]), "880000000000000000020000");
        let efi = catalog(None, 512);
        assert_eq!(
            hex::encode(&efi[..44]),
            format!("01ef{}aa6655aa880000000000000000020000", "00".repeat(26))
        );
        assert!(efi[44..].iter().all(|byte| *byte == 0));
    }
}
