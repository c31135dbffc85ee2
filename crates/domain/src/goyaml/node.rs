//! A document as it was written: nodes with their lines, aliases not followed.

/// Number of a node in its [`Document`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

/// One document. Nodes live in one list and name each other by number, so that neither depth nor
/// cycles of aliases cost anything.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    /// The tag as written, handles replaced by their prefixes.
    pub tag: Option<String>,
    pub mark: super::error::Mark,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar {
        text: String,
        /// Written without quotes and not as a block.
        plain: bool,
    },
    Sequence(Vec<NodeId>),
    /// Keys and values by turns.
    Mapping(Vec<NodeId>),
    Alias {
        name: String,
        target: NodeId,
    },
}

/// What an id that does not belong to the document stands for.
static NOTHING: Node = Node {
    kind: Kind::Scalar { text: String::new(), plain: true },
    tag: None,
    mark: super::error::Mark { index: 0, line: 0, column: 0 },
};

impl Document {
    /// The node that holds all others.
    pub fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.0).unwrap_or(&NOTHING)
    }

    /// The node itself, or the one an alias stands for.
    pub(super) fn target(&self, id: NodeId) -> &Node {
        let mut node = self.node(id);
        while let Kind::Alias { target, .. } = node.kind {
            // An alias cannot name an alias, so this ends.
            node = self.node(target);
        }
        node
    }
}

impl Node {
    /// Line for messages, from one.
    pub fn line(&self) -> u32 {
        self.mark.line.saturating_add(1)
    }
}

/// A mapping's children as pairs.
pub(super) fn pairs(children: &[NodeId]) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
    children.chunks_exact(2).filter_map(|pair| match pair {
        [key, value] => Some((*key, *value)),
        _ => None,
    })
}
