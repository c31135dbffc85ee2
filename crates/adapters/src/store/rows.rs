//! How blobs and records are written into the index. Every row starts with the number of its form, so
//! that a later version can change it.

use factory_domain::ports::{BlobInfo, BlobKind, Record, RecordKey, RecordKind};
use factory_formats::Digest;

/// Form of blob rows: kind, flags, size.
const BLOB_FORM: u8 = 1;

/// Form of record rows: label, blobs, value.
const RECORD_FORM: u8 = 1;

/// Set in the flags of a blob row when compression pays.
const COMPRESSIBLE: u8 = 1;

/// Length of [`record_key`].
pub(crate) const RECORD_KEY_LEN: usize = 33;

/// A row that this version cannot read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index holds a row that cannot be read: {0}")]
pub(crate) struct InvalidRow(&'static str);

/// A blob's row.
pub(crate) fn blob_row(info: &BlobInfo) -> [u8; 11] {
    let mut row = [0; 11];
    row[0] = BLOB_FORM;
    row[1] = match info.kind {
        BlobKind::Source => 0,
        BlobKind::Part => 1,
    };
    row[2] = if info.compressible { COMPRESSIBLE } else { 0 };
    row[3..].copy_from_slice(&info.size.to_le_bytes());
    row
}

/// Reads [`blob_row`].
pub(crate) fn read_blob_row(digest: Digest, row: &[u8]) -> Result<BlobInfo, InvalidRow> {
    let &[BLOB_FORM, kind, flags, ref size @ ..] = row else {
        return Err(InvalidRow("a blob of an unknown form"));
    };
    let kind = match kind {
        0 => BlobKind::Source,
        1 => BlobKind::Part,
        _ => return Err(InvalidRow("a blob of an unknown kind")),
    };
    let size = size.try_into().map_err(|_| InvalidRow("a blob without a size"))?;
    Ok(BlobInfo { digest, size: u64::from_le_bytes(size), kind, compressible: flags & COMPRESSIBLE != 0 })
}

/// A record's key: its kind, then its digest.
pub(crate) fn record_key(key: &RecordKey) -> [u8; RECORD_KEY_LEN] {
    let mut bytes = [0; RECORD_KEY_LEN];
    bytes[0] = match key.kind {
        RecordKind::Source => 0,
        RecordKind::Part => 1,
        RecordKind::Memory => 2,
    };
    bytes[1..].copy_from_slice(key.key.as_bytes());
    bytes
}

/// Reads [`record_key`].
pub(crate) fn read_record_key(bytes: &[u8; RECORD_KEY_LEN]) -> Result<RecordKey, InvalidRow> {
    let (kind, digest) = bytes.split_at(1);
    let kind = match kind {
        [0] => RecordKind::Source,
        [1] => RecordKind::Part,
        [2] => RecordKind::Memory,
        _ => return Err(InvalidRow("a record of an unknown kind")),
    };
    let digest = digest.try_into().map_err(|_| InvalidRow("a record without a digest"))?;
    Ok(RecordKey { kind, key: Digest::from_bytes(digest) })
}

/// A record's row: the lengths of label and list, then label, blobs and value.
pub(crate) fn record_row(record: &Record) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + record.label.len() + 32 * record.blobs.len() + record.value.len());
    row.push(RECORD_FORM);
    row.extend_from_slice(&(record.label.len() as u32).to_le_bytes());
    row.extend_from_slice(&(record.blobs.len() as u32).to_le_bytes());
    row.extend_from_slice(record.label.as_bytes());
    for blob in &record.blobs {
        row.extend_from_slice(blob.as_bytes());
    }
    row.extend_from_slice(record.value.as_bytes());
    row
}

/// Reads [`record_row`].
pub(crate) fn read_record_row(key: RecordKey, row: &[u8]) -> Result<Record, InvalidRow> {
    const CUT: InvalidRow = InvalidRow("a record that is cut off");
    const TEXT: InvalidRow = InvalidRow("a record that is not UTF-8");
    let Some((&RECORD_FORM, rest)) = row.split_first() else {
        return Err(InvalidRow("a record of an unknown form"));
    };
    let (label_len, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let (blob_count, rest) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let (label, rest) = rest.split_at_checked(u32::from_le_bytes(*label_len) as usize).ok_or(CUT)?;
    let list_len = (u32::from_le_bytes(*blob_count) as usize).checked_mul(32).ok_or(CUT)?;
    let (list, value) = rest.split_at_checked(list_len).ok_or(CUT)?;
    Ok(Record {
        key,
        label: String::from_utf8(label.to_vec()).map_err(|_| TEXT)?,
        value: String::from_utf8(value.to_vec()).map_err(|_| TEXT)?,
        blobs: list.as_chunks::<32>().0.iter().copied().map(Digest::from_bytes).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blobs_come_back() {
        let digest = Digest::of(b"x");
        for kind in [BlobKind::Source, BlobKind::Part] {
            for compressible in [false, true] {
                let info = BlobInfo { digest, size: 0x0102_0304_0506_0708, kind, compressible };
                assert_eq!(read_blob_row(digest, &blob_row(&info)), Ok(info));
            }
        }
        let mut row = blob_row(&BlobInfo { digest, size: 1, kind: BlobKind::Part, compressible: true });
        assert!(read_blob_row(digest, &row[..10]).is_err());
        row[1] = 9;
        assert!(read_blob_row(digest, &row).is_err());
        row[0] = 9;
        assert!(read_blob_row(digest, &row).is_err());
    }

    #[test]
    fn keys_come_back() {
        for kind in [RecordKind::Source, RecordKind::Part, RecordKind::Memory] {
            let key = RecordKey::new(kind, "subject");
            assert_eq!(read_record_key(&record_key(&key)), Ok(key));
        }
        assert!(read_record_key(&[7; RECORD_KEY_LEN]).is_err());
    }

    proptest! {
        #[test]
        fn records_come_back(label in ".{0,20}", value in ".{0,200}", count in 0usize..5) {
            let blobs = (0..count).map(|n| Digest::of(&[n as u8])).collect();
            let key = RecordKey::new(RecordKind::Part, &label);
            let record = Record { key, label, value, blobs };
            let row = record_row(&record);
            prop_assert_eq!(read_record_row(key, &row), Ok(record.clone()));
            // Whatever is left of a row that lost its end, it is an error or another record, no panic.
            for end in 0..row.len() {
                prop_assert_ne!(read_record_row(key, &row[..end]).ok(), Some(record.clone()));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(row in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_record_row(RecordKey::new(RecordKind::Part, ""), &row);
            let _ = read_blob_row(Digest::of(b""), &row);
        }
    }
}
