//! Stream-optimised VMDKs (`42-output-formats.md` §7.3; VMware's "Virtual Disk Format 5.0").
//!
//! Tables stand in front, then the grains that hold data, each as a zlib stream of stored blocks; other
//! grains are left out and read as zeros. What is in a grain is compressed already or a few headers, so a
//! compressor would gain nothing, and the length of the file is arithmetic.

use std::iter::once;

use crate::gpt::Guid;
use crate::layout::{GRAIN_LEN, GRAIN_STRIDE, NumberForm, Numbers, Run};
use crate::occupied::{Occupied, append_table};
use crate::record::Record;
use crate::{Layout, LayoutBuilder};

/// Why there is no VMDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VmdkError {
    /// Disks consist of sectors of 512 bytes.
    #[error("a disk of {0} bytes cannot be put into a VMDK: use a multiple of 512")]
    Sectors(u64),
    /// Its tables count sectors of the file in 32 bits.
    #[error("a disk of {0} bytes does not fit into a VMDK")]
    TooLarge(u64),
}

/// Bytes of a sector, whatever the disk's own sectors have.
const SECTOR: u64 = 512;
/// Sectors of the text that describes the disk.
const DESCRIPTOR_SECTORS: u64 = 20;
/// Sector of the grain directory.
const DIRECTORY_AT: u64 = 1 + DESCRIPTOR_SECTORS;
/// Entries of a grain table.
const TABLE_ENTRIES: u64 = 512;
/// Bytes of an entry of either table.
const ENTRY: u64 = 4;
/// Sectors of a grain table.
const TABLE_SECTORS: u64 = TABLE_ENTRIES * ENTRY / SECTOR;
/// A newline test is in the header, grains are compressed, and markers stand in front of them.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
/// Bytes that a transfer as text would change.
const NEWLINE_TEST: &[u8; 4] = b"\n \r\n";
/// Grains are zlib streams.
const DEFLATE: u16 = 1;

/// Where everything is, in sectors.
struct Plan {
    /// Of the disk.
    capacity: u64,
    tables: u64,
    first_table: u64,
    first_grain: u64,
}

impl Plan {
    fn new(size: u64) -> Self {
        let tables = size.div_ceil(GRAIN_LEN).div_ceil(TABLE_ENTRIES);
        let first_table = DIRECTORY_AT + (tables * ENTRY).div_ceil(SECTOR);
        let first_grain = first_table + tables * TABLE_SECTORS;
        Self { capacity: size / SECTOR, tables, first_table, first_grain }
    }
}

/// A disk as a stream-optimised VMDK.
///
/// # Errors
/// See [`VmdkError`].
pub fn stream_optimized(disk: &Layout) -> Result<Layout, VmdkError> {
    let size = disk.len();
    if !size.is_multiple_of(SECTOR) {
        return Err(VmdkError::Sectors(size));
    }
    let data = Occupied::of(disk, GRAIN_LEN);
    let plan = Plan::new(size);
    // The mark at the end is one more sector, and nothing points at what is behind it.
    if plan.first_grain + data.count() * (GRAIN_STRIDE / SECTOR) > u64::from(u32::MAX) {
        return Err(VmdkError::TooLarge(size));
    }
    let entries = |first, step| Numbers { first, step, form: NumberForm::Le32 };

    let mut out = LayoutBuilder::new();
    out.slice(&header(&plan)).bytes(descriptor(&plan, disk)).pad_to(DIRECTORY_AT * SECTOR);
    append_table(&mut out, once(0..plan.tables), entries(plan.first_table, TABLE_SECTORS));
    out.pad_to(plan.first_table * SECTOR);
    let grains = entries(plan.first_grain, GRAIN_STRIDE / SECTOR);
    append_table(&mut out, data.ranges().iter().cloned(), grains);
    out.pad_to(plan.first_grain * SECTOR);
    for range in data.ranges() {
        let grains = disk.slice(range.start * GRAIN_LEN, range.end * GRAIN_LEN);
        out.run(Run::grains(&grains, range.start));
    }
    // The mark of the end.
    out.zero(SECTOR);
    Ok(out.build())
}

fn header(plan: &Plan) -> Vec<u8> {
    let mut header = Record::zeroed(SECTOR as usize);
    header.put(0, b"KDMV").le32(4, 3).le32(8, FLAGS);
    header.le64(12, plan.capacity).le64(20, GRAIN_LEN / SECTOR);
    header.le64(28, 1).le64(36, DESCRIPTOR_SECTORS).le32(44, TABLE_ENTRIES as u32);
    header.le64(56, DIRECTORY_AT).le64(64, plan.first_grain);
    header.put(73, NEWLINE_TEST).le16(77, DEFLATE);
    header.into_vec()
}

fn descriptor(plan: &Plan, disk: &Layout) -> Vec<u8> {
    let mut id = *Guid::of_label(&format!("vmdk {}", disk.fingerprint())).as_bytes();
    // The last four bytes are the short id, two values of which mean something else: both have this bit.
    id[12] &= 0x7F;
    let long = hex::encode(id);
    let short = &long[24..];
    let sectors = plan.capacity;
    let cylinders = sectors.div_ceil(255 * 63).min(65535);
    format!(
        "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID={short}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n\
         # Extent description\nRW {sectors} SPARSE \"disk\"\n\n\
         # The Disk Data Base\n#DDB\n\n\
         ddb.longContentID = \"{long}\"\nddb.virtualHWVersion = \"4\"\n\
         ddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\nddb.adapterType = \"lsilogic\"\n\
         ddb.toolsInstallType = \"4\"\nddb.toolsVersion = \"2147483647\"\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests;
