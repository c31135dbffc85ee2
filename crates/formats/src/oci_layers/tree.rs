//! The whole file system of an image, with contents in a spool.

use std::io::Write;

use super::flatten::{Sink, flatten};
use super::stream::Content;
use super::{Layers, LayersError, Limits, Note};
use crate::file_tree::{Attributes, FileTree, Node, NodeKind, Span, TreePath};

/// An image's file system.
#[derive(Debug)]
pub struct Flattened {
    /// The tree. Modes are as in the layers; spans count from the first byte written to the spool.
    pub tree: FileTree<Span>,
    /// Bytes written to the spool.
    pub spooled: u64,
    /// What was left out on the way.
    pub notes: Vec<Note>,
}

/// Unpacks the layers of an image: the tree to memory, the contents of files one after the other to
/// `spool`. Every layer is read to its end, so that its digest can be checked by the reader beneath.
///
/// # Errors
/// [`LayersError`] when the layers hold what no image may hold, exceed the limits or cannot be read, and
/// when the spool fails. Devices, fifos and entries below links are errors too.
pub fn flatten_tree(
    layers: &dyn Layers,
    limits: &Limits,
    spool: &mut dyn Write,
) -> Result<Flattened, LayersError> {
    let mut sink = TreeSink { tree: FileTree::new(), spool, spooled: 0 };
    let notes = flatten(layers, limits, &mut sink)?;
    Ok(Flattened { tree: sink.tree, spooled: sink.spooled, notes })
}

struct TreeSink<'a> {
    tree: FileTree<Span>,
    spool: &'a mut dyn Write,
    spooled: u64,
}

impl TreeSink<'_> {
    fn put(&mut self, paths: &[TreePath], node: &Node<Span>) {
        for path in paths {
            self.tree.put(path.clone(), node.clone());
        }
    }
}

impl Sink for TreeSink<'_> {
    fn wants(&self, _: &TreePath) -> bool {
        true
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn file(
        &mut self,
        paths: &[TreePath],
        attributes: Attributes,
        size: u64,
        content: &mut Content<'_>,
    ) -> Result<(), LayersError> {
        let span = Span { offset: self.spooled, len: size };
        content.for_each(|bytes| self.spool.write_all(bytes).map_err(LayersError::Spool))?;
        self.spooled += size;
        self.put(paths, &Node { attributes, kind: NodeKind::File(span) });
        Ok(())
    }

    fn symlink(&mut self, paths: &[TreePath], attributes: Attributes, target: &str) {
        let attributes = Attributes { mode: 0o777, ..attributes };
        self.put(paths, &Node { attributes, kind: NodeKind::Symlink(target.to_owned()) });
    }

    fn directory(&mut self, path: Option<&TreePath>, attributes: Attributes) {
        match path {
            Some(path) => self.tree.put(path.clone(), Node { attributes, kind: NodeKind::Directory }),
            None => self.tree.set_root(attributes),
        }
    }

    fn link(&mut self, path: &TreePath, target: &TreePath) -> bool {
        let Some(node) = self.tree.get(target).cloned() else { return false };
        self.tree.put(path.clone(), node);
        true
    }
}
