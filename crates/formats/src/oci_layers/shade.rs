//! Which entries of a lower layer the layers above it leave visible.

use std::collections::{BTreeMap, BTreeSet};

use crate::file_tree::TreePath;

/// Prefix of names that delete (OCI image specification, "Whiteouts").
const WHITEOUT: &str = ".wh.";
/// Name that empties the directory it is in.
const OPAQUE: &str = ".wh..wh..opq";
/// Prefix of names that the specification reserves and nobody should see.
const RESERVED: &str = ".wh..wh.";

/// Bytes that a remembered path takes besides its text, roughly.
const PATH_COST: u64 = 96;

/// What a name in a layer means.
pub(super) enum Meaning {
    /// An entry of the file system.
    Entry,
    /// Deletes a path from the layers below.
    Whiteout(TreePath),
    /// Empties a directory of the layers below; `None` is the root.
    Opaque(Option<TreePath>),
    /// Bookkeeping of a storage driver.
    Reserved,
}

/// What a path means.
pub(super) fn meaning(path: &TreePath) -> Meaning {
    let name = path.name();
    if name == OPAQUE {
        return Meaning::Opaque(path.parent());
    }
    if path.components().any(|part| part.starts_with(RESERVED)) {
        return Meaning::Reserved;
    }
    match name.strip_prefix(WHITEOUT).map(str::parse::<TreePath>) {
        Some(Ok(hidden)) => Meaning::Whiteout(match path.parent() {
            Some(parent) => parent.join(&hidden),
            None => hidden,
        }),
        Some(Err(_)) => Meaning::Reserved,
        None => Meaning::Entry,
    }
}

/// What was seen at a path so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A directory that only follows from what is in it.
    Implied,
    Directory,
    /// Anything else, in the layer of this number.
    Leaf(usize),
}

/// Whether an entry is part of the file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Visible,
    Hidden,
    /// Something of the same layer that is no directory lies above it.
    BelowNonDirectory,
}

/// What was seen, from the topmost layer down.
#[derive(Default)]
pub(super) struct Shade {
    seen: BTreeMap<TreePath, Seen>,
    whiteouts: BTreeSet<TreePath>,
    opaque: BTreeSet<TreePath>,
    all_hidden: bool,
    /// Of the layer at hand; they only count below it.
    pending: Vec<Meaning>,
    cost: u64,
}

impl Shade {
    /// Judges an entry of the layer at hand and remembers it if it is visible.
    pub(super) fn judge(&mut self, path: &TreePath, is_directory: bool, layer: usize) -> Verdict {
        match self.seen.get(path) {
            Some(Seen::Implied) if is_directory => {}
            Some(Seen::Implied | Seen::Directory) if !is_directory => {
                // The directory above stays, but what this layer's file hides must not show through it.
                self.delete(path, Meaning::Opaque(Some(path.clone())));
                return Verdict::Hidden;
            }
            Some(_) => return Verdict::Hidden,
            None => {}
        }
        if self.all_hidden || self.whiteouts.contains(path) {
            return Verdict::Hidden;
        }
        for ancestor in path.ancestors() {
            if self.whiteouts.contains(&ancestor) || self.opaque.contains(&ancestor) {
                return Verdict::Hidden;
            }
            match self.seen.get(&ancestor) {
                Some(Seen::Leaf(of)) if *of == layer => return Verdict::BelowNonDirectory,
                Some(Seen::Leaf(_)) => return Verdict::Hidden,
                _ => {}
            }
        }
        for ancestor in path.ancestors() {
            if !self.seen.contains_key(&ancestor) {
                self.remember(ancestor, Seen::Implied);
            }
        }
        self.remember(path.clone(), if is_directory { Seen::Directory } else { Seen::Leaf(layer) });
        Verdict::Visible
    }

    fn remember(&mut self, path: TreePath, seen: Seen) {
        self.cost += path.as_str().len() as u64 + PATH_COST;
        self.seen.insert(path, seen);
    }

    /// Bytes that all of this takes in memory, roughly.
    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    /// Whether the visible entry at `path` came from this layer and is no directory.
    pub(super) fn is_leaf_of(&self, path: &TreePath, layer: usize) -> bool {
        self.seen.get(path) == Some(&Seen::Leaf(layer))
    }

    /// Remembers what the entry at `path` deletes. It takes effect with [`Self::next_layer`].
    pub(super) fn delete(&mut self, path: &TreePath, meaning: Meaning) {
        self.cost += path.as_str().len() as u64 + PATH_COST;
        self.pending.push(meaning);
    }

    /// Goes down to the next layer.
    pub(super) fn next_layer(&mut self) {
        for meaning in self.pending.drain(..) {
            match meaning {
                Meaning::Whiteout(path) => {
                    self.whiteouts.insert(path);
                }
                Meaning::Opaque(Some(path)) => {
                    self.opaque.insert(path);
                }
                Meaning::Opaque(None) => self.all_hidden = true,
                Meaning::Entry | Meaning::Reserved => {}
            }
        }
    }
}
