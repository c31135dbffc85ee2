//! Volume descriptors (ECMA-119, 8).

use super::BLOCK;
use super::directory::{Place, date, root_record};
use crate::calendar::Civil;
use crate::record::Record;

/// What the primary descriptor says.
pub(super) struct Primary<'a> {
    pub volume_id: &'a str,
    pub volume_set_id: &'a str,
    /// Blocks of the whole image.
    pub blocks: u32,
    /// Bytes of a path table.
    pub path_table_len: u32,
    pub path_table_little: u32,
    pub path_table_big: u32,
    pub root: Place,
    pub epoch: u64,
}

fn descriptor(kind: u8) -> Record {
    let mut descriptor = Record::zeroed(BLOCK as usize);
    descriptor.u8(0, kind).put(1, b"CD001").u8(6, 1);
    descriptor
}

impl Primary<'_> {
    /// The descriptor's block. The texts are not longer than their fields.
    pub fn to_bytes(&self) -> Vec<u8> {
        let at = Civil::from_epoch(self.epoch);
        let Civil { year, month, day, hour, minute, second } = at;
        let created = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00\0");
        let never = format!("{}\0", "0".repeat(16));

        let mut out = descriptor(1);
        // System id and volume id; later all texts from the volume set id on.
        out.put(8, &[b' '; 64]).put(40, self.volume_id.as_bytes());
        out.both32(80, self.blocks).both16(120, 1).both16(124, 1).both16(128, BLOCK as u16);
        out.both32(132, self.path_table_len);
        out.le32(140, self.path_table_little).be32(148, self.path_table_big);
        out.put(156, &root_record(self.root, &date(self.epoch)));
        out.put(190, &[b' '; 623]).put(190, self.volume_set_id.as_bytes());
        for place in [813, 830] {
            out.put(place, created.as_bytes());
        }
        for place in [847, 864] {
            out.put(place, never.as_bytes());
        }
        out.u8(881, 1);
        out.into_vec()
    }
}

/// The El Torito boot record, which points at the catalog.
pub(super) fn boot_record(catalog: u32) -> Vec<u8> {
    let mut out = descriptor(0);
    out.put(7, b"EL TORITO SPECIFICATION").le32(71, catalog);
    out.into_vec()
}

/// The descriptor that ends the list.
pub(super) fn terminator() -> Vec<u8> {
    descriptor(255).into_vec()
}
