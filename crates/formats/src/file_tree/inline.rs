//! Small trees whose contents are in memory: virtual extensions, module indexes.

use std::io::Cursor;

use super::{Attributes, FileTree, Node, NodeKind, Span, TreePath};

/// A tree together with its spool in memory.
#[derive(Clone, Debug, Default)]
pub struct InlineTree {
    tree: FileTree<Span>,
    spool: Vec<u8>,
}

impl InlineTree {
    /// A root directory with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a directory.
    pub fn directory(&mut self, path: TreePath, mode: u16) -> &mut Self {
        self.tree.put(path, Node::directory(mode));
        self
    }

    /// Puts a file.
    pub fn file(&mut self, path: TreePath, attributes: Attributes, content: &[u8]) -> &mut Self {
        let span = Span { offset: self.spool.len() as u64, len: content.len() as u64 };
        self.spool.extend_from_slice(content);
        self.tree.put(path, Node { attributes, kind: NodeKind::File(span) });
        self
    }

    /// Puts a symbolic link.
    pub fn symlink(&mut self, path: TreePath, target: &str) -> &mut Self {
        self.tree.put(path, Node::symlink(target));
        self
    }

    /// The tree.
    pub fn tree(&self) -> &FileTree<Span> {
        &self.tree
    }

    /// The spool that the tree's spans point into.
    pub fn spool(&self) -> Cursor<&[u8]> {
        Cursor::new(&self.spool)
    }
}
