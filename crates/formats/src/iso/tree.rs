//! Directories in the order of their identifiers, which is what the format sorts by.

use std::collections::BTreeSet;

use super::names::identifier;
use crate::tree::{Child, Directory};

/// A directory of the ISO 9660 hierarchy.
pub(super) struct IsoDirectory<'a> {
    /// Index of the directory that holds it; the root holds itself.
    pub parent: usize,
    /// Identifier, empty for the root.
    pub identifier: String,
    /// What it holds, sorted by identifier.
    pub entries: Vec<IsoEntry<'a>>,
}

/// An entry of a directory.
pub(super) struct IsoEntry<'a> {
    pub identifier: String,
    /// The real name.
    pub name: &'a str,
    pub kind: IsoKind,
}

#[derive(Clone, Copy)]
pub(super) enum IsoKind {
    /// Index of a directory.
    Directory(usize),
    /// Index of a file.
    File(usize),
}

impl IsoDirectory<'_> {
    pub fn subdirectories(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.kind, IsoKind::Directory(_))).count()
    }
}

/// Numbers the directories level by level, each level in order of parents and then of identifiers, as
/// path tables want it (ECMA-119, 6.9.1).
pub(super) fn arrange<'a>(directories: &[Directory<'a, usize>]) -> Vec<IsoDirectory<'a>> {
    // Pairs of the index in `directories` and that of the parent in the result.
    let mut queue = vec![(0, 0, String::new())];
    let mut out = Vec::new();
    let mut done = 0;
    while let Some((source, parent, own)) = queue.get(done).cloned() {
        let mut used = BTreeSet::new();
        let mut entries = Vec::new();
        for (name, child) in directories.get(source).map(|d| d.entries.as_slice()).unwrap_or_default() {
            let (is_directory, kind) = match child {
                Child::Directory(index) => (true, IsoKind::Directory(*index)),
                Child::File(index) => (false, IsoKind::File(**index)),
            };
            entries.push(IsoEntry { identifier: identifier(name, is_directory, &mut used), name, kind });
        }
        entries.sort_by(|a, b| a.identifier.cmp(&b.identifier));
        for entry in &mut entries {
            if let IsoKind::Directory(index) = &mut entry.kind {
                queue.push((*index, done, entry.identifier.clone()));
                *index = queue.len() - 1;
            }
        }
        out.push(IsoDirectory { parent, identifier: own, entries });
        done += 1;
    }
    out
}
