//! Directory records with Rock Ridge entries (ECMA-119, 9.1; IEEE P1282), and path tables.

use super::BLOCK;
use super::tree::{IsoDirectory, IsoKind};
use crate::calendar::Civil;
use crate::record::Record;

/// Longest record: its length is one byte and even.
const MAX_RECORD: usize = 254;
const IDENTIFIER_AT: usize = 33;
const MODE_DIRECTORY: u32 = 0o040_555;
const MODE_FILE: u32 = 0o100_444;

/// The seven bytes of a date in a record.
pub(super) fn date(epoch: u64) -> [u8; 7] {
    let at = Civil::from_epoch(epoch);
    [(at.year - 1900) as u8, at.month, at.day, at.hour, at.minute, at.second, 0]
}

/// First block and length in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub block: u32,
    pub size: u32,
}

/// Where everything is that records point at.
pub(super) struct Places<'a> {
    pub directories: &'a [Place],
    pub files: &'a [Place],
    /// Block of the continuation area.
    pub continuation: u32,
    pub date: [u8; 7],
}

/// What kind of record it is, beside what it points at.
struct Described<'a> {
    identifier: &'a [u8],
    /// Rock Ridge name; `.` and `..` have none.
    name: Option<&'a str>,
    is_directory: bool,
    links: u32,
    /// Entries that only the root's own record has.
    extra: &'a [u8],
}

impl Described<'_> {
    fn len(&self) -> usize {
        let name = self.name.map_or(0, |name| 5 + name.len());
        let identifier = (IDENTIFIER_AT + self.identifier.len()).next_multiple_of(2);
        (identifier + self.extra.len() + 36 + 26 + name).next_multiple_of(2)
    }

    fn to_bytes(&self, place: Place, date: &[u8; 7]) -> Vec<u8> {
        let mut record = Record::zeroed(self.len());
        record.u8(0, self.len() as u8).both32(2, place.block).both32(10, place.size).put(18, date);
        record.u8(25, if self.is_directory { 2 } else { 0 }).both16(28, 1);
        record.u8(32, self.identifier.len() as u8).put(IDENTIFIER_AT, self.identifier);
        let mut at = (IDENTIFIER_AT + self.identifier.len()).next_multiple_of(2);
        record.put(at, self.extra);
        at += self.extra.len();
        record.put(at, b"PX").u8(at + 2, 36).u8(at + 3, 1);
        record.both32(at + 4, if self.is_directory { MODE_DIRECTORY } else { MODE_FILE });
        record.both32(at + 12, self.links);
        at += 36;
        // Dates of modification, access and attributes.
        record.put(at, b"TF").u8(at + 2, 26).u8(at + 3, 1).u8(at + 4, 0x0E);
        record.put(at + 5, date).put(at + 12, date).put(at + 19, date);
        at += 26;
        if let Some(name) = self.name {
            record.put(at, b"NM").u8(at + 2, 5 + name.len() as u8).u8(at + 3, 1).put(at + 5, name.as_bytes());
        }
        record.into_vec()
    }
}

/// Where to find the announcement of Rock Ridge, in the root's own record.
fn root_extra(continuation: u32) -> Vec<u8> {
    let mut extra = Record::zeroed(7 + 28);
    extra.put(0, b"SP").put(2, &[7, 1, 0xBE, 0xEF, 0]);
    extra.put(7, b"CE").u8(9, 28).u8(10, 1).both32(11, continuation);
    extra.both32(27, announcement().len() as u32);
    extra.into_vec()
}

/// The continuation area: which extension is in use, in its registered words.
pub(super) fn announcement() -> Vec<u8> {
    const ID: &[u8] = b"RRIP_1991A";
    const DESCRIPTION: &[u8] =
        b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    const SOURCE: &[u8] =
        b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN \
        PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let len = 8 + ID.len() + DESCRIPTION.len() + SOURCE.len();
    let lengths = [len, 1, ID.len(), DESCRIPTION.len(), SOURCE.len(), 1].map(|value| value as u8);
    [b"ER", &lengths[..], ID, DESCRIPTION, SOURCE].concat()
}

/// Whether a name fits into a record beside an identifier of the usual length.
pub(super) fn name_fits(name: &str, identifier: &str) -> bool {
    let described = Described {
        identifier: identifier.as_bytes(),
        name: Some(name),
        is_directory: false,
        links: 1,
        extra: &[],
    };
    described.len() <= MAX_RECORD
}

/// The records of a directory with what each points at.
fn records<'a>(
    index: usize,
    all: &'a [IsoDirectory<'a>],
    places: &Places<'_>,
    extra: &'a [u8],
) -> Vec<(Described<'a>, Place)> {
    let links = |index: usize| all.get(index).map_or(2, |found| 2 + found.subdirectories() as u32);
    let place = |index: usize| places.directories.get(index).copied().unwrap_or_default();
    let own = |identifier: &'static [u8], of: usize, extra: &'a [u8]| {
        (Described { identifier, name: None, is_directory: true, links: links(of), extra }, place(of))
    };
    let Some(directory) = all.get(index) else { return Vec::new() };
    let mut out = vec![own(&[0], index, extra), own(&[1], directory.parent, &[])];
    for entry in &directory.entries {
        let (is_directory, links, place) = match entry.kind {
            IsoKind::Directory(inner) => (true, links(inner), place(inner)),
            IsoKind::File(file) => (false, 1, places.files.get(file).copied().unwrap_or_default()),
        };
        let identifier = entry.identifier.as_bytes();
        let described = Described { identifier, name: Some(entry.name), is_directory, links, extra: &[] };
        out.push((described, place));
    }
    out
}

/// The bytes of a directory, in whole blocks. The length does not depend on the places.
pub(super) fn directory(index: usize, all: &[IsoDirectory<'_>], places: &Places<'_>) -> Vec<u8> {
    let extra = if index == 0 { root_extra(places.continuation) } else { Vec::new() };
    let mut out: Vec<u8> = Vec::new();
    for (described, place) in records(index, all, places, &extra) {
        // A record never crosses a block.
        let room = BLOCK as usize - out.len() % BLOCK as usize;
        if described.len() > room {
            out.resize(out.len() + room, 0);
        }
        out.extend(described.to_bytes(place, &places.date));
    }
    out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
    out
}

/// The root's record in the volume descriptor, without Rock Ridge.
pub(super) fn root_record(place: Place, date: &[u8; 7]) -> Vec<u8> {
    let mut record = Record::zeroed(34);
    record.u8(0, 34).both32(2, place.block).both32(10, place.size).put(18, date);
    record.u8(25, 2).both16(28, 1).u8(32, 1);
    record.into_vec()
}

/// Byte order of a path table.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Little,
    Big,
}

/// A path table (ECMA-119, 9.4). Directory numbers begin at 1.
pub(super) fn path_table(all: &[IsoDirectory<'_>], places: &[Place], order: Order) -> Vec<u8> {
    let mut out = Vec::new();
    for (directory, place) in all.iter().zip(places) {
        let root: &[u8] = &[0];
        let identifier = if out.is_empty() { root } else { directory.identifier.as_bytes() };
        let parent = directory.parent as u16 + 1;
        out.extend([identifier.len() as u8, 0]);
        match order {
            Order::Little => {
                out.extend(place.block.to_le_bytes());
                out.extend(parent.to_le_bytes());
            }
            Order::Big => {
                out.extend(place.block.to_be_bytes());
                out.extend(parent.to_be_bytes());
            }
        }
        out.extend(identifier);
        out.resize(out.len().next_multiple_of(2), 0);
    }
    out
}
