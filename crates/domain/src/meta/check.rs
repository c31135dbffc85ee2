//! Values that META cannot carry. The functions that write values take all of them, as the reference
//! does; these checks come before and say what to change.

use std::collections::BTreeSet;

use super::key;
use crate::schematic::MetaValue;

/// Bytes for records in one copy of the store (`23-meta.md` §2).
pub const STORE_ROOM: usize = 262_104;

/// Bytes of a record besides its value.
pub const RECORD_HEADER: usize = 8;

/// Why values cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaRefusal {
    /// Key 0 ends the store and hides what comes behind it.
    #[error("META key 0 ends the list of values: use a key from 1 to 255")]
    KeyZero,
    /// Only one value of a key counts.
    #[error("META key {0} is given twice: keep one value")]
    Duplicate(u8),
    /// The values do not fit the partition.
    #[error("META values need {needed} bytes and there is room for {STORE_ROOM}: shorten them")]
    TooLarge {
        /// Bytes of all records.
        needed: usize,
    },
    /// The kernel argument has no way to write this sign.
    #[error(
        "the value of META key {0} contains \";\", which cannot be passed as a kernel argument: \
         write it without \";\" or use a disk image"
    )]
    Separator(u8),
    /// Talos or the factory writes this key itself.
    #[error("META key {0} belongs to Talos and is overwritten or misread: use another key")]
    Reserved(u8),
}

/// Checks what holds for values in every output.
///
/// # Errors
/// [`MetaRefusal`] for key 0, a key given twice, and values that do not fit the partition.
pub fn check_values(values: &[MetaValue]) -> Result<(), MetaRefusal> {
    let mut seen = BTreeSet::new();
    for value in values {
        if value.key == key::TERMINATOR {
            return Err(MetaRefusal::KeyZero);
        }
        if !seen.insert(value.key) {
            return Err(MetaRefusal::Duplicate(value.key));
        }
    }
    let needed = values.iter().map(|value| RECORD_HEADER + value.value.len()).sum();
    if needed > STORE_ROOM { Err(MetaRefusal::TooLarge { needed }) } else { Ok(()) }
}

/// Checks values that go into a kernel argument.
///
/// # Errors
/// [`MetaRefusal::Separator`] for a value that the node would split.
pub fn check_argument(values: &[MetaValue]) -> Result<(), MetaRefusal> {
    match values.iter().find(|value| value.value.contains(';')) {
        Some(value) => Err(MetaRefusal::Separator(value.key)),
        None => Ok(()),
    }
}

/// Every value whose key belongs to Talos or to the factory. They work, so these are warnings unless
/// an operator wants them refused.
pub fn reserved(values: &[MetaValue]) -> impl Iterator<Item = MetaRefusal> {
    values
        .iter()
        .map(|value| value.key)
        .filter(|&key| (1..=key::STATE_ENCRYPTION).contains(&key) || key == key::DISK_IMAGE_BOOTLOADER)
        .map(MetaRefusal::Reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(u8, &str)]) -> Vec<MetaValue> {
        list.iter().map(|(key, value)| MetaValue { key: *key, value: (*value).to_owned() }).collect()
    }

    #[test]
    fn keys() {
        assert_eq!(check_values(&values(&[(10, "a"), (12, "b")])), Ok(()));
        assert_eq!(check_values(&values(&[(10, "a"), (0, "b")])), Err(MetaRefusal::KeyZero));
        assert_eq!(check_values(&values(&[(10, "a"), (10, "a")])), Err(MetaRefusal::Duplicate(10)));
        let keys: Vec<_> = reserved(&values(&[(1, ""), (9, ""), (10, ""), (17, ""), (255, "")])).collect();
        assert_eq!(keys, [1, 9, 17].map(MetaRefusal::Reserved));
    }

    #[test]
    fn the_limit_is_what_really_fits() {
        let room = STORE_ROOM - RECORD_HEADER;
        assert_eq!(room, 262_096);
        assert_eq!(check_values(&values(&[(10, &"x".repeat(room))])), Ok(()));
        let refused = check_values(&values(&[(10, &"x".repeat(room + 1))]));
        assert_eq!(refused, Err(MetaRefusal::TooLarge { needed: STORE_ROOM + 1 }));
    }

    #[test]
    fn semicolons_cannot_be_arguments() {
        assert_eq!(check_argument(&values(&[(10, "a=b c")])), Ok(()));
        assert_eq!(check_argument(&values(&[(10, "a"), (12, "b;c")])), Err(MetaRefusal::Separator(12)));
    }
}
