//! The META partition of a disk image.
//!
//! Two stores share it: Talos' own at the start, twice, and an older one in the last 1024 bytes, which
//! stays zero in new images. All integers of Talos' store are big-endian (`23-meta.md` §2).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{Layout, LayoutBuilder};

/// Bytes of the partition in all images.
pub const PARTITION_SIZE: u64 = 1 << 20;

/// Bytes of one copy of the store.
pub const COPY_SIZE: usize = 256 << 10;

/// Bytes that all records of a store may have together, headers included.
pub const RECORD_ROOM: usize = CHECKSUM_AT - MAGIC.len();

/// Bytes of a record before its value: tag and length.
pub const RECORD_HEADER: usize = 8;

/// At the start of a copy.
const MAGIC: [u8; 4] = [0x5a, 0x4b, 0x3c, 0x2d];

/// At the end of a copy.
const END_MAGIC: [u8; 4] = [0xa5, 0xb4, 0xc3, 0xd2];

const CHECKSUM_LEN: usize = 32;
const CHECKSUM_AT: usize = COPY_SIZE - END_MAGIC.len() - CHECKSUM_LEN;

/// Values that do not fit the partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("META values need {needed} bytes and there is room for {room}")]
pub struct MetaTooLarge {
    /// Bytes of all records, or of the stores.
    pub needed: u64,
    /// Bytes there are.
    pub room: u64,
}

/// A copy of the store that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStore {
    /// It has another length than [`COPY_SIZE`].
    #[error("a copy of the META store has {0} bytes instead of {COPY_SIZE}")]
    Length(usize),
    /// One of its ends is not what it must be.
    #[error("the META store has a wrong magic number")]
    Magic,
    /// Its bytes are not those that were written.
    #[error("the META store has a wrong checksum")]
    Checksum,
    /// A record is longer than what is left.
    #[error("a record of the META store is longer than the store")]
    Record,
}

/// The partition with these records, by ascending tag. Without records it is all zero: a machine then
/// makes its own store. Tag 0 is written as given although it hides the records behind it.
///
/// # Errors
/// [`MetaTooLarge`] when the records do not fit, or `size` has no room for the stores.
pub fn layout(records: &BTreeMap<u8, Vec<u8>>, size: u64) -> Result<Layout, MetaTooLarge> {
    let mut builder = LayoutBuilder::new();
    if !records.is_empty() {
        let store = store(records)?;
        builder.append(&store).append(&store);
    }
    if size < builder.len() {
        return Err(MetaTooLarge { needed: builder.len(), room: size });
    }
    builder.pad_to(size);
    Ok(builder.build())
}

/// One copy of the store with these records.
///
/// # Errors
/// [`MetaTooLarge`] when they do not fit.
pub fn store(records: &BTreeMap<u8, Vec<u8>>) -> Result<Layout, MetaTooLarge> {
    let needed: usize = records.values().map(|value| RECORD_HEADER + value.len()).sum();
    if needed > RECORD_ROOM {
        return Err(MetaTooLarge { needed: needed as u64, room: RECORD_ROOM as u64 });
    }
    let mut head = MAGIC.to_vec();
    for (&tag, value) in records {
        head.extend_from_slice(&u32::from(tag).to_be_bytes());
        // Fits: it is no longer than the store.
        head.extend_from_slice(&(value.len() as u32).to_be_bytes());
        head.extend_from_slice(value);
    }
    let zeros = CHECKSUM_AT - head.len();
    let checksum = checksum(&head, zeros);
    let mut builder = LayoutBuilder::new();
    builder.bytes(head).zero(zeros as u64).slice(&checksum).slice(&END_MAGIC);
    Ok(builder.build())
}

/// SHA-256 over a copy whose checksum is zero.
fn checksum(head: &[u8], zeros: usize) -> [u8; CHECKSUM_LEN] {
    let mut hash = Sha256::new();
    hash.update(head);
    hash.update(vec![0; zeros + CHECKSUM_LEN]);
    hash.update(END_MAGIC);
    hash.finalize().into()
}

/// Reads one copy of the store as a machine does: its records in the order in which they stand.
///
/// # Errors
/// [`InvalidStore`] says what is damaged.
pub fn read_store(copy: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, InvalidStore> {
    let length = InvalidStore::Length(copy.len());
    if copy.len() != COPY_SIZE {
        return Err(length);
    }
    let (head, tail) = copy.split_at_checked(CHECKSUM_AT).ok_or(length.clone())?;
    let (sum, end) = tail.split_at_checked(CHECKSUM_LEN).ok_or(length)?;
    let mut rest = head.strip_prefix(&MAGIC).filter(|_| end == END_MAGIC).ok_or(InvalidStore::Magic)?;
    if checksum(head, 0) != sum {
        return Err(InvalidStore::Checksum);
    }
    let mut records = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<RECORD_HEADER>() {
        let [a, b, c, d, size @ ..] = *header;
        let tag = u32::from_be_bytes([a, b, c, d]);
        if tag == 0 {
            break;
        }
        let (value, next) =
            behind.split_at_checked(u32::from_be_bytes(size) as usize).ok_or(InvalidStore::Record)?;
        records.push((tag as u8, value.to_vec()));
        rest = next;
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::testing::MemoryBlobs;
    use proptest::prelude::*;

    fn records(list: &[(u8, &str)]) -> BTreeMap<u8, Vec<u8>> {
        list.iter().map(|(tag, value)| (*tag, value.as_bytes().to_vec())).collect()
    }

    fn bytes(layout: &Layout) -> Vec<u8> {
        layout.to_vec(&MemoryBlobs::new()).unwrap()
    }

    fn sha256(bytes: &[u8]) -> String {
        crate::Digest::of(bytes).hex()
    }

    #[test]
    fn known_stores() {
        for (list, tail, pair) in [
            (
                &[][..],
                "e7a327df2cfb2c3010ac1a387e9573d46ea52cac7f25db80ad8fbb41aceabf70a5b4c3d2",
                Some("953fd0a895d7c59e2f15b9dd7edccab926df18b468792bd7f0b572fb0cdec872"),
            ),
            (
                &[(10, "foo")],
                "0974af06e9457710d1abb21c12a59893c13f6918b114be059da051b0f40ffd6ba5b4c3d2",
                Some("aa8b339db58ea0108ef2ebfb7ca3d49f7bb58d71a4f5cf5a23f4dbd9dbff5a59"),
            ),
            (
                &[(17, "dual-boot")],
                "6d0596ed48c85c53cc78720a976e9a7b4bcd961008c286c98c08b1d37df47c89a5b4c3d2",
                None,
            ),
        ] {
            let copy = bytes(&store(&records(list)).unwrap());
            assert_eq!(copy.len(), COPY_SIZE);
            assert_eq!(hex::encode(&copy[COPY_SIZE - 36..]), tail);
            if let Some(pair) = pair {
                assert_eq!(sha256(&copy.repeat(2)), pair);
            }
        }
    }

    #[test]
    fn known_partitions() {
        let partition = |list: &[(u8, &str)]| layout(&records(list), PARTITION_SIZE).unwrap();
        for (list, digest) in [
            (&[(10, "foo")], "b2257bb93d338c539bb75e3f6ee0dd97520287c3c5f3720096d4df945cf207ac"),
            (&[(17, "dual-boot")], "06e3d2ed4b42cb23159b6dd3a8ef54020b78207138a62f366fdb1465ab138438"),
        ] {
            assert_eq!(sha256(&bytes(&partition(list))), digest);
        }
        assert_eq!(partition(&[]).extents().len(), 1, "nothing but zeros");
        assert_eq!(partition(&[]).len(), PARTITION_SIZE);
        let inline: u64 = partition(&[(10, "foo")])
            .extents()
            .iter()
            .filter(|extent| matches!(extent, crate::Extent::Bytes(_)))
            .map(crate::Extent::len)
            .sum();
        assert!(inline < 200, "{inline} bytes are not zeros");
    }

    #[test]
    fn the_room_is_used_to_the_last_byte() {
        let of = |len: usize| BTreeMap::from([(10, vec![b'x'; len])]);
        assert_eq!(RECORD_ROOM, 262_104);
        let full = bytes(&store(&of(262_096)).unwrap());
        assert_eq!(read_store(&full).unwrap(), [(10, vec![b'x'; 262_096])]);
        assert_eq!(store(&of(262_097)).unwrap_err(), MetaTooLarge { needed: 262_105, room: 262_104 });
        assert!(layout(&of(1), 2 * COPY_SIZE as u64 - 1).is_err());
        assert!(layout(&of(1), 2 * COPY_SIZE as u64).is_ok());
    }

    #[test]
    fn damage_is_noticed() {
        let good = bytes(&store(&records(&[(10, "foo"), (12, "bar")])).unwrap());
        for range in [0..2, 30..1030, 8..42, COPY_SIZE - 4..COPY_SIZE, COPY_SIZE - 36..COPY_SIZE - 30] {
            let mut bad = good.clone();
            bad[range.clone()].iter_mut().for_each(|byte| *byte ^= 0x55);
            assert!(read_store(&bad).is_err(), "{range:?}");
        }
        assert_eq!(read_store(&good[1..]), Err(InvalidStore::Length(COPY_SIZE - 1)));
        assert_eq!(read_store(&vec![0; COPY_SIZE]), Err(InvalidStore::Magic));
    }

    #[test]
    fn tag_zero_hides_what_follows() {
        let hidden = bytes(&store(&records(&[(0, "a"), (10, "foo")])).unwrap());
        assert_eq!(read_store(&hidden), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(list in prop::collection::btree_map(1u8.., prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let copy = bytes(&store(&list).unwrap());
            prop_assert_eq!(read_store(&copy).unwrap(), list.into_iter().collect::<Vec<_>>());
        }
    }

    fn golden(name: &str) -> Option<String> {
        let fixed = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden"));
        let path = std::env::var_os("GOLDEN_DIR").map_or(fixed, PathBuf::from).join(name);
        let text = std::fs::read_to_string(&path).ok();
        if text.is_none() {
            println!("skipped: {} is not there", path.display());
        }
        text
    }

    /// The bytes of a golden line; stretches of which only hash and length are known stay zero and are
    /// told apart by the second value.
    fn expected(output: &serde_json::Value) -> (Vec<u8>, bool) {
        let mut bytes = vec![0; output["size"].as_u64().unwrap() as usize];
        let mut complete = true;
        for stretch in output["nonzero"].as_array().unwrap() {
            let at = stretch["offset"].as_u64().unwrap() as usize;
            match stretch["hex"].as_str() {
                Some(text) => {
                    let part = hex::decode(text).unwrap();
                    bytes[at..at + part.len()].copy_from_slice(&part);
                }
                None => complete = false,
            }
        }
        (bytes, complete)
    }

    /// Rules for comparing, with the reasons:
    ///
    /// * The reference writes two and more records in random order, we by ascending tag. Such stores are
    ///   read and compared as sets, and by length where the line does not show all bytes.
    /// * It counts a value's length without its header, accepts what does not fit and then fails; we
    ///   refuse the value. Lines with an error are compared by that.
    /// * A store that was made and never filled has magic numbers; an image gets none, see [`layout`].
    #[test]
    fn golden_partitions() {
        let Some(text) = golden("meta-partition.jsonl") else { return };
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let case = line["case"].as_str().unwrap();
            let size = line["input"]["partition_size"].as_u64().unwrap();
            let mut stored = BTreeMap::new();
            let mut accepted = Vec::new();
            for value in line["input"]["values"].as_array().unwrap() {
                let mut next = stored.clone();
                let tag = value["key"].as_u64().unwrap() as u8;
                next.insert(tag, value["value"].as_str().unwrap().as_bytes().to_vec());
                accepted.push(store(&next).is_ok());
                if accepted.last() == Some(&true) {
                    stored = next;
                }
            }
            let output = &line["output"];
            if output.is_null() {
                assert!(accepted.contains(&false), "{case}");
                continue;
            }
            assert_eq!(output["set_ok"], serde_json::json!(accepted), "{case}");
            let made = bytes(&layout(&stored, size).unwrap());
            let (expected, complete) = expected(output);
            assert_eq!(made.len(), expected.len(), "{case}");
            if stored.len() >= 2 {
                if !complete {
                    continue;
                }
                let (copy, rest) = expected.split_at(COPY_SIZE);
                let read: BTreeMap<_, _> = read_store(copy).unwrap().into_iter().collect();
                let hidden = stored.contains_key(&0);
                assert!(hidden || read == stored, "{case}");
                assert_eq!(copy, &rest[..COPY_SIZE], "{case}: both copies are the same");
            } else if stored.is_empty() && expected.iter().any(|&byte| byte != 0) {
                assert_eq!(bytes(&store(&stored).unwrap()).repeat(2), expected[..2 * COPY_SIZE], "{case}");
            } else {
                assert_eq!(sha256(&made), output["sha256"].as_str().unwrap(), "{case}");
            }
        }
    }
}
