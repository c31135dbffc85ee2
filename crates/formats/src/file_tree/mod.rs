//! A file system as data: paths with modes and labels, and where the contents of the files are.
//!
//! What image layers unpack to, what an extension is split into, what a squashfs is written from and what
//! goes into an initramfs are all trees. `C` says where the content of a file is: a [`Span`] of a spool, a
//! blob, a [`crate::Layout`].

mod inline;
mod path;
mod span;

pub use inline::InlineTree;
pub use path::{InvalidPath, TreePath};
pub use span::Span;

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

/// Permission bits, and a SELinux label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The low twelve bits of the mode.
    pub mode: u16,
    /// Value of `security.selinux`, without a closing NUL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Attributes {
    /// A mode and no label. Bits above the low twelve are cut.
    pub fn mode(mode: u16) -> Self {
        Self { mode: mode & 0o7777, label: None }
    }
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind<C> {
    /// A directory.
    Directory,
    /// A regular file and its content.
    File(C),
    /// A symbolic link and its target.
    Symlink(String),
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node<C> {
    /// Mode and label.
    #[serde(flatten)]
    pub attributes: Attributes,
    /// What it is.
    pub kind: NodeKind<C>,
}

impl<C> Node<C> {
    /// A directory.
    pub fn directory(mode: u16) -> Self {
        Self { attributes: Attributes::mode(mode), kind: NodeKind::Directory }
    }

    /// A regular file.
    pub fn file(mode: u16, content: C) -> Self {
        Self { attributes: Attributes::mode(mode), kind: NodeKind::File(content) }
    }

    /// A symbolic link, whose mode is always 0777.
    pub fn symlink(target: impl Into<String>) -> Self {
        Self { attributes: Attributes::mode(0o777), kind: NodeKind::Symlink(target.into()) }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory)
    }
}

/// Mode of directories that nobody described.
pub const DEFAULT_DIRECTORY_MODE: u16 = 0o755;

/// A file system. Whatever is put into it, every node but the root lies in a directory of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredTree<C>", bound(deserialize = "C: Deserialize<'de>"))]
pub struct FileTree<C> {
    root: Attributes,
    nodes: BTreeMap<TreePath, Node<C>>,
}

impl<C> Default for FileTree<C> {
    fn default() -> Self {
        Self { root: Attributes::mode(DEFAULT_DIRECTORY_MODE), nodes: BTreeMap::new() }
    }
}

impl<C> FileTree<C> {
    /// A root directory of mode 0755 with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Mode and label of the root directory.
    pub fn root(&self) -> &Attributes {
        &self.root
    }

    /// Sets mode and label of the root directory.
    pub fn set_root(&mut self, attributes: Attributes) {
        self.root = attributes;
    }

    /// Number of nodes without the root.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is at a path.
    pub fn get(&self, path: &TreePath) -> Option<&Node<C>> {
        self.nodes.get(path)
    }

    /// The nodes in the order of [`TreePath`]: parents first, siblings byte-wise.
    pub fn iter(&self) -> btree_map::Iter<'_, TreePath, Node<C>> {
        self.nodes.iter()
    }

    /// `directory`, if it is there, and everything below it.
    pub fn within<'a>(
        &'a self,
        directory: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Node<C>)> + 'a {
        self.nodes.range(directory.clone()..).take_while(move |(path, _)| path.is_within(directory))
    }

    /// Puts a node at a path. The last one wins: what is in the way goes, be it a file where a directory
    /// is needed or a directory with all its contents where a file comes. A directory that meets a
    /// directory only changes its attributes. Missing directories above appear with mode 0755.
    pub fn put(&mut self, path: TreePath, node: Node<C>) {
        for ancestor in path.ancestors() {
            match self.nodes.get(&ancestor) {
                Some(node) if node.is_directory() => break,
                _ => self.nodes.insert(ancestor, Node::directory(DEFAULT_DIRECTORY_MODE)),
            };
        }
        if !node.is_directory() && self.nodes.get(&path).is_some_and(Node::is_directory) {
            self.take(&path);
        }
        self.nodes.insert(path, node);
    }

    /// Puts all nodes of another tree over this one, as [`Self::put`] does with each. The root stays.
    pub fn overlay(&mut self, other: Self) {
        for (path, node) in other.nodes {
            self.put(path, node);
        }
    }

    /// Takes a node with everything below it out. Paths stay as they are; the list is in order.
    pub fn take(&mut self, path: &TreePath) -> Vec<(TreePath, Node<C>)> {
        let range = (Bound::Included(path.clone()), Bound::Unbounded);
        let paths: Vec<_> =
            self.nodes.range(range).map(|(p, _)| p).take_while(|p| p.is_within(path)).cloned().collect();
        paths.into_iter().filter_map(|path| self.nodes.remove_entry(&path)).collect()
    }

    /// The tree below a directory as a tree of its own, whose root has the directory's attributes.
    /// `None` when there is no such directory.
    pub fn into_subtree(mut self, directory: &TreePath) -> Option<Self> {
        if !self.get(directory)?.is_directory() {
            return None;
        }
        let mut subtree = Self::new();
        for (path, node) in self.take(directory) {
            match path.below(directory) {
                Some(path) => {
                    subtree.nodes.insert(path, node);
                }
                None => subtree.root = node.attributes,
            }
        }
        Some(subtree)
    }

    /// The same tree with other contents.
    ///
    /// # Errors
    /// The first one that `convert` gives.
    pub fn try_map<D, E>(
        self,
        mut convert: impl FnMut(&TreePath, C) -> Result<D, E>,
    ) -> Result<FileTree<D>, E> {
        let mut nodes = BTreeMap::new();
        for (path, node) in self.nodes {
            let kind = match node.kind {
                NodeKind::Directory => NodeKind::Directory,
                NodeKind::Symlink(target) => NodeKind::Symlink(target),
                NodeKind::File(content) => NodeKind::File(convert(&path, content)?),
            };
            nodes.insert(path, Node { attributes: node.attributes, kind });
        }
        Ok(FileTree { root: self.root, nodes })
    }

    /// Changes the mode of every node.
    pub fn map_modes(&mut self, mut mode: impl FnMut(&NodeKind<C>, u16) -> u16) {
        for node in self.nodes.values_mut() {
            node.attributes.mode = mode(&node.kind, node.attributes.mode) & 0o7777;
        }
    }
}

/// A tree as it comes out of storage, where a node may lie in no directory.
#[derive(Deserialize)]
struct StoredTree<C> {
    root: Attributes,
    nodes: BTreeMap<TreePath, Node<C>>,
}

/// A stored tree with a node that lies in no directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("in a stored file tree {0} lies in no directory")]
pub struct Orphan(pub TreePath);

impl<C> TryFrom<StoredTree<C>> for FileTree<C> {
    type Error = Orphan;

    fn try_from(stored: StoredTree<C>) -> Result<Self, Orphan> {
        let StoredTree { root, nodes } = stored;
        let is_orphan = |path: &&TreePath| {
            path.parent().is_some_and(|parent| !nodes.get(&parent).is_some_and(Node::is_directory))
        };
        match nodes.keys().find(is_orphan) {
            Some(path) => Err(Orphan(path.clone())),
            None => Ok(Self { root, nodes }),
        }
    }
}

#[cfg(test)]
mod tests;
