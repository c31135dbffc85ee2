//! Fixed VHDs: the disk, and a footer behind it (`42-output-formats.md` §7.1).

use crate::gpt::Guid;
use crate::record::Record;
use crate::{Layout, LayoutBuilder};

/// A length that no disk of a VHD has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a disk of {0} bytes cannot be put into a VHD: use a multiple of 512")]
pub struct UnevenDisk(pub u64);

/// Length of the footer in bytes.
pub const FOOTER_LEN: u64 = 512;

/// The year 2000, from which footers count, in seconds since 1970.
const YEAR_2000: u64 = 946_684_800;

/// Creator, with which qemu believes the stated size instead of the geometry.
const CREATOR: &[u8; 4] = b"qem2";

/// A disk as a fixed VHD whose virtual size is exactly the disk's. `epoch` is the time in the footer, in
/// seconds since 1970.
///
/// # Errors
/// [`UnevenDisk`] when the length is not a whole number of sectors.
pub fn fixed(disk: &Layout, epoch: u64) -> Result<Layout, UnevenDisk> {
    if !disk.len().is_multiple_of(512) {
        return Err(UnevenDisk(disk.len()));
    }
    let id = Guid::of_label(&format!("vhd {}", disk.fingerprint()));
    let mut out = LayoutBuilder::new();
    out.append(disk).bytes(footer(disk.len(), epoch, id));
    Ok(out.build())
}

fn footer(size: u64, epoch: u64, id: Guid) -> Vec<u8> {
    let mut footer = Record::zeroed(FOOTER_LEN as usize);
    // Features: the reserved bit that is always set. Version 1.0. No further header.
    footer.put(0, b"conectix").be32(8, 2).be32(12, 0x0001_0000).be64(16, u64::MAX);
    let seconds = u32::try_from(epoch.saturating_sub(YEAR_2000)).unwrap_or(u32::MAX);
    footer.be32(24, seconds).put(28, CREATOR).be32(32, 0x0005_0003).put(36, b"Wi2k");
    footer.be64(40, size).be64(48, size);
    // The largest geometry there is: readers then go by the size.
    footer.be16(56, 65535).u8(58, 16).u8(59, 255);
    // Type: fixed.
    footer.be32(60, 2).put(68, id.as_bytes());
    let sum: u32 = footer.as_slice().iter().map(|&byte| u32::from(byte)).sum();
    footer.be32(64, !sum);
    footer.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{self, text};
    use crate::testing::{MemoryBlobs, noise};

    const MIB: u64 = 1 << 20;

    #[test]
    fn qemu_reads_the_exact_size_and_the_same_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let (raw, vhd) = (directory.path().join("raw"), directory.path().join("vhd"));
        let mut blobs = MemoryBlobs::new();
        // The second size is none that any geometry has.
        for size in [2247 * MIB, 40 * MIB + 512, 9193 * MIB] {
            let mut disk = LayoutBuilder::new();
            disk.slice(b"head").zero(MIB).append(&blobs.layout(noise(3_000_000, size)));
            disk.pad_to(size - 4).slice(b"tail");
            let disk = disk.build();
            oracle::write_sparse(&disk, &blobs, &raw);
            oracle::write_sparse(&fixed(&disk, 1_559_424_892).unwrap(), &blobs, &vhd);
            assert_eq!(std::fs::metadata(&vhd).unwrap().len(), size + FOOTER_LEN);
            oracle::success(
                "qemu-img",
                "qemu-utils",
                &["compare", "-f", "raw", "-F", "vpc", text(&raw), text(&vhd)],
            );
            let info = oracle::success(
                "qemu-img",
                "qemu-utils",
                &["info", "--output=json", "-f", "vpc", text(&vhd)],
            );
            let info: serde_json::Value = serde_json::from_str(&info).unwrap();
            assert_eq!(info["virtual-size"], size);
        }
    }

    #[test]
    fn the_footer_has_the_fields_of_its_table() {
        let disk = Layout::from_bytes(vec![7; 1024]);
        let bytes = fixed(&disk, 1_559_424_892).unwrap().inline_bytes().unwrap();
        let (data, footer) = bytes.split_at(1024);
        assert!(data.iter().all(|&byte| byte == 7));
        assert_eq!(footer[24..28], 612_740_092_u32.to_be_bytes());
        assert_eq!(&footer[28..32], b"qem2");
        assert_eq!((footer[74] >> 4, footer[76] >> 6), (8, 2), "no UUID of version 8");
        let sum: u32 = footer.iter().map(|&byte| u32::from(byte)).sum();
        let stored = u32::from_be_bytes(footer[64..68].try_into().unwrap());
        let own: u32 = footer[64..68].iter().map(|&byte| u32::from(byte)).sum();
        assert_eq!(!(sum - own), stored);

        let other = fixed(&Layout::from_bytes(vec![8; 1024]), 0).unwrap().inline_bytes().unwrap();
        assert_ne!(other[1024 + 68..1024 + 84], footer[68..84]);
        assert_eq!(other[1024 + 24..1024 + 28], [0; 4]);
    }

    #[test]
    fn half_a_sector_is_refused() {
        assert_eq!(fixed(&Layout::from_bytes(vec![1; 700]), 0).unwrap_err(), UnevenDisk(700));
    }
}
