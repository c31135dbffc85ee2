//! The table of extended attributes: one SELinux label for each id.

use std::collections::BTreeMap;
use std::io;

use super::compress::Worker;
use super::metadata::Stream;

/// Number of an inode that has no attributes.
pub(super) const NONE: u32 = u32::MAX;

/// Type of names that begin with `security.`.
const SECURITY: u16 = 2;
const FULL_NAME: &str = "security.selinux";
const NAME: &str = "selinux";

/// The labels of an image, numbered in order.
pub(super) struct Labels<'a>(BTreeMap<&'a str, u32>);

impl<'a> Labels<'a> {
    pub(super) fn new(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut all: BTreeMap<&str, u32> = labels.map(|label| (label, 0)).collect();
        all.values_mut().zip(0..).for_each(|(id, number)| *id = number);
        Self(all)
    }

    /// Number of a label; [`NONE`] for no label.
    pub(super) fn id(&self, label: Option<&str>) -> u32 {
        label.and_then(|label| self.0.get(label)).copied().unwrap_or(NONE)
    }

    /// The table, to be put at `at` in the image, and the offset that the superblock points to. `None`
    /// when there are no labels.
    pub(super) fn table(&self, at: u64, worker: &mut Worker) -> io::Result<Option<(Vec<u8>, u64)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut pairs = Stream::default();
        let mut ids = Stream::default();
        for label in self.0.keys() {
            let position = pairs.position();
            let mut pair = Vec::new();
            pair.extend_from_slice(&SECURITY.to_le_bytes());
            pair.extend_from_slice(&(NAME.len() as u16).to_le_bytes());
            pair.extend_from_slice(NAME.as_bytes());
            pair.extend_from_slice(&(label.len() as u32).to_le_bytes());
            pair.extend_from_slice(label.as_bytes());
            pairs.push(&pair, worker)?;

            let mut id = position.reference().to_le_bytes().to_vec();
            id.extend_from_slice(&1u32.to_le_bytes());
            // Name with NUL and value, as mksquashfs counts.
            let size = FULL_NAME.len() + 1 + label.len();
            id.extend_from_slice(&(size as u32).to_le_bytes());
            ids.push(&id, worker)?;
        }
        let (mut bytes, _) = pairs.finish(worker)?;
        let ids_at = at + bytes.len() as u64;
        let (id_blocks, starts) = ids.finish(worker)?;
        bytes.extend_from_slice(&id_blocks);
        let locator = at + bytes.len() as u64;
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend(starts.iter().flat_map(|start| (ids_at + start).to_le_bytes()));
        Ok(Some((bytes, locator)))
    }
}
