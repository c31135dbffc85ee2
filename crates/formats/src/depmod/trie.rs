//! The binary indexes: tries that libkmod looks keys up in.
//!
//! Big-endian. A header of magic, version and the root's reference; then nodes, children before parents.
//! A reference is an offset with flags for what the node has: a prefix that continues the key, children by
//! next byte, values with priorities.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;

const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
/// Offsets have so many bits left.
const MAX_OFFSET: usize = 0x0FFF_FFFF;
/// Longest key, in bytes: several times what a kernel can ask for, and a bound for recursion.
const MAX_KEY: usize = 1024;

/// A trie under construction. Keys are ASCII and not too long; others are left out, as nobody can ask
/// for them.
#[derive(Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    /// Priority and text, lowest priority first.
    values: Vec<(u32, String)>,
}

/// An index that outgrows its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a module index is bigger than 256 MiB")]
pub struct IndexTooBig;

impl Trie {
    /// Adds a value. Values of a key are found lowest priority first, the last added first among equals.
    pub(super) fn insert(&mut self, key: &str, value: &str, priority: u32) {
        if key.is_ascii() && !key.contains('\0') && key.len() <= MAX_KEY {
            self.root.insert(key.as_bytes(), value, priority);
        }
    }

    /// The index as it stands in a file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, IndexTooBig> {
        let mut out = Vec::new();
        for word in [MAGIC, VERSION, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        let root = self.root.write(&mut out)?;
        out.splice(8..12, root.to_be_bytes());
        Ok(out)
    }
}

impl Node {
    fn insert(&mut self, key: &[u8], value: &str, priority: u32) {
        let common = self.prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common < self.prefix.len() {
            self.split(common);
        }
        match key.get(common..).and_then(<[u8]>::split_first) {
            Some((&next, rest)) => {
                let child = self
                    .children
                    .entry(next)
                    .or_insert_with(|| Node { prefix: rest.to_vec(), ..Node::default() });
                child.insert(rest, value, priority);
            }
            None => {
                let at = self.values.partition_point(|(other, _)| *other < priority);
                self.values.insert(at, (priority, value.to_owned()));
            }
        }
    }

    /// Moves everything behind the first `at` bytes of the prefix into a child.
    fn split(&mut self, at: usize) {
        let mut rest = self.prefix.split_off(at);
        let next = rest.remove(0);
        let child = Node {
            prefix: rest,
            children: std::mem::take(&mut self.children),
            values: std::mem::take(&mut self.values),
        };
        self.children.insert(next, child);
    }

    /// Appends the node with all below it and gives its reference.
    fn write(&self, out: &mut Vec<u8>) -> Result<u32, IndexTooBig> {
        let mut table = Vec::new();
        if let (Some((&first, _)), Some((&last, _))) =
            (self.children.first_key_value(), self.children.last_key_value())
        {
            table.extend_from_slice(&[first, last]);
            for next in first..=last {
                let reference = match self.children.get(&next) {
                    Some(child) => child.write(out)?,
                    None => 0,
                };
                table.extend_from_slice(&reference.to_be_bytes());
            }
        }
        if out.len() > MAX_OFFSET {
            return Err(IndexTooBig);
        }
        let mut reference = out.len() as u32;
        if !self.prefix.is_empty() {
            out.extend_from_slice(&self.prefix);
            out.push(0);
            reference |= HAS_PREFIX;
        }
        if !table.is_empty() {
            out.extend_from_slice(&table);
            reference |= HAS_CHILDREN;
        }
        if !self.values.is_empty() {
            out.extend_from_slice(&(self.values.len() as u32).to_be_bytes());
            for (priority, value) in &self.values {
                out.extend_from_slice(&priority.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(0);
            }
            reference |= HAS_VALUES;
        }
        Ok(reference)
    }
}
