//! Directory entries.

use super::names::{ShortName, UNITS_PER_ENTRY, checksum};
use crate::calendar::Civil;
use crate::record::Record;

/// Bytes of an entry.
pub(super) const ENTRY_LEN: u64 = 32;

/// Attributes of an entry.
pub(super) mod attribute {
    pub const READ_ONLY: u8 = 0x01;
    pub const VOLUME_LABEL: u8 = 0x08;
    pub const DIRECTORY: u8 = 0x10;
    pub const ARCHIVE: u8 = 0x20;
    pub const LONG_NAME: u8 = 0x0F;
}

/// Date and time as FAT keeps them.
#[derive(Clone, Copy)]
pub(super) struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    /// From seconds since 1970; FAT begins in 1980.
    pub fn of(epoch: u64) -> Self {
        let at = Civil::from_epoch(epoch);
        let Some(year) = at.year.checked_sub(1980) else { return Self { date: 1 << 5 | 1, time: 0 } };
        let date = (year as u16) << 9 | u16::from(at.month) << 5 | u16::from(at.day);
        let time = u16::from(at.hour) << 11 | u16::from(at.minute) << 5 | u16::from(at.second / 2);
        Self { date, time }
    }
}

/// One directory under construction.
pub(super) struct Entries {
    bytes: Vec<u8>,
    stamp: Stamp,
}

impl Entries {
    pub fn new(stamp: Stamp) -> Self {
        Self { bytes: Vec::new(), stamp }
    }

    /// The short entry: eleven bytes of name, attribute, first cluster (0 for none), size.
    pub fn short(&mut self, name: &ShortName, attribute: u8, cluster: u32, size: u32) {
        let Stamp { date, time } = self.stamp;
        let mut entry = Record::zeroed(ENTRY_LEN as usize);
        entry.put(0, name).u8(11, attribute);
        entry.le16(14, time).le16(16, date).le16(18, date).le16(22, time).le16(24, date);
        entry.le16(20, (cluster >> 16) as u16).le16(26, cluster as u16).le32(28, size);
        self.bytes.extend_from_slice(entry.as_slice());
    }

    /// The entries with the long name, which stand in front of their short entry.
    pub fn long(&mut self, name: &str, short: &ShortName) {
        let units: Vec<u16> = name.encode_utf16().collect();
        let sum = checksum(short);
        let count = units.len().div_ceil(UNITS_PER_ENTRY);
        for (index, part) in units.chunks(UNITS_PER_ENTRY).enumerate().rev() {
            // A name that does not fill its last entry ends with 0000, then FFFF.
            let mut padded = [0xFFFF; UNITS_PER_ENTRY];
            for (to, from) in padded.iter_mut().zip(part.iter().copied().chain([0])) {
                *to = from;
            }
            let last = if index + 1 == count { 0x40 } else { 0 };
            let mut entry = Record::zeroed(ENTRY_LEN as usize);
            entry.u8(0, (index + 1) as u8 | last).u8(11, attribute::LONG_NAME).u8(13, sum);
            let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
            for (place, unit) in places.into_iter().zip(padded) {
                entry.le16(place, unit);
            }
            self.bytes.extend_from_slice(entry.as_slice());
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Entries that a name takes.
pub(super) fn entries_of(name: &str, is_long: bool) -> u64 {
    1 + if is_long { name.encode_utf16().count().div_ceil(UNITS_PER_ENTRY) as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_date_in_fat_form() {
        let stamp = Stamp::of(1_559_424_892);
        assert_eq!((stamp.date, stamp.time), (0x4EC1, 0xAC5A));
        let early = Stamp::of(0);
        assert_eq!((early.date, early.time), (0x0021, 0));
    }

    #[test]
    fn a_long_name_is_stored_last_part_first() {
        let mut entries = Entries::new(Stamp::of(0));
        entries.long("Talos-v1.14.0.efi", b"TALOS-~1EFI");
        let bytes = entries.into_bytes();
        assert_eq!(bytes.len(), 64);
        assert_eq!((bytes[0], bytes[32]), (0x42, 1));
        assert_eq!(&bytes[1..11], b".\0e\0f\0i\0\0\0");
        assert_eq!(&bytes[14..26], [0xFF; 12]);
        assert_eq!(&bytes[33..43], b"T\0a\0l\0o\0s\0");
        assert_eq!(bytes[13], bytes[45]);
    }

    #[test]
    fn a_name_that_fills_its_entry_has_no_end_mark() {
        let mut entries = Entries::new(Stamp::of(0));
        entries.long("thirteen_char", b"THIRTE~1   ");
        let bytes = entries.into_bytes();
        assert_eq!((bytes.len(), bytes[0]), (32, 0x41));
        assert_eq!(&bytes[28..32], b"a\0r\0");
    }
}
