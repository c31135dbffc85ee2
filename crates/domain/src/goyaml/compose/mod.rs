//! Tokens to nodes: the grammar of YAML.
//!
//! The grammar is a stack of open collections. Each step looks at the innermost one and at the next
//! token, and either begins a node in it or closes it. Nothing recurses, so depth is bounded by the
//! scanner alone.

mod grammar;

use std::collections::HashMap;

use super::Limits;
use super::error::{Error, Mark, Stage};
use super::node::{Document, Kind, Node, NodeId};
use super::scanner::{BlockIndent, Scanner};
use super::token::{Style, Token, TokenKind};
use grammar::{Glance, unexpected};

/// A collection that is not complete, and what its grammar expects next.
#[derive(Debug)]
struct Open {
    node: NodeId,
    /// Where its first token began, for messages.
    start: Mark,
    expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    BlockEntry,
    /// An entry of a sequence that is indented no further than its key.
    UnindentedEntry,
    BlockKey,
    BlockValue,
    FirstFlowEntry,
    FlowEntry,
    FirstFlowKey,
    FlowKey,
    FlowValue,
    /// The value of a key in `{}` that has none.
    NoFlowValue,
    /// The key of a pair that stands alone in `[]`.
    PairKey,
    PairValue,
    PairEnd,
}

/// In which context a node is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    /// As [`Block`](Self::Block), and entries of a sequence may stand at the column of the key.
    BlockInMapping,
    Flow,
}

/// Reads documents one after the other.
#[derive(Debug)]
pub(super) struct Composer<'a> {
    scanner: Scanner<'a>,
    max_nodes: usize,
    /// Documents read.
    documents: usize,
    tag_handles: Vec<(String, String)>,
    nodes: Vec<Node>,
    anchors: HashMap<String, NodeId>,
    open: Vec<Open>,
}

impl<'a> Composer<'a> {
    pub fn new(bytes: &'a [u8], block_indent: BlockIndent, limits: &Limits) -> Self {
        Self {
            max_nodes: limits.nodes,
            documents: 0,
            scanner: Scanner::new(bytes, block_indent, limits),
            tag_handles: Vec::new(),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
        }
    }

    /// The next document, or nothing at the end of the text.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn next_document(&mut self) -> Result<Option<Document>, Error> {
        if !self.begin_document()? {
            return Ok(None);
        }
        let (_, at) = self.glance()?;
        match self.scanner.peek()?.kind {
            TokenKind::Version(..)
            | TokenKind::TagHandle { .. }
            | TokenKind::DocumentStart
            | TokenKind::DocumentEnd
            | TokenKind::StreamEnd => self.add_empty(at),
            _ => self.begin_node(Context::Block)?,
        }
        while let Some(open) = self.open.last() {
            let (start, expect) = (open.start, open.expect);
            self.step(start, expect)?;
            if self.nodes.len() > self.max_nodes {
                let line = self.nodes.last().map_or(1, Node::line);
                return Err(Error::TooMany { line, max: self.max_nodes });
            }
        }
        // Text behind the root that belongs to no document counts for the next one only.
        self.scanner.peek()?;
        self.documents += 1;
        self.anchors.clear();
        Ok(Some(Document { nodes: std::mem::take(&mut self.nodes), root: NodeId(0) }))
    }

    fn begin_document(&mut self) -> Result<bool, Error> {
        loop {
            match self.scanner.peek()?.kind {
                TokenKind::StreamStart | TokenKind::DocumentEnd => self.scanner.take()?,
                TokenKind::StreamEnd => return Ok(false),
                _ => break,
            };
        }
        self.tag_handles.clear();
        let mut version_seen = false;
        // Only the first document may begin without a marker.
        let mut explicit = self.documents > 0;
        loop {
            let start = self.scanner.peek()?.start;
            match &self.scanner.peek()?.kind {
                TokenKind::Version(major, minor) => {
                    if version_seen {
                        return Err(self.error_at(start, "found duplicate %YAML directive"));
                    }
                    if (*major, *minor) != (1, 1) {
                        return Err(self.error_at(start, "found incompatible YAML document"));
                    }
                    version_seen = true;
                }
                TokenKind::TagHandle { handle, prefix } => {
                    let (handle, prefix) = (handle.clone(), prefix.clone());
                    if self.tag_handles.iter().any(|(known, _)| *known == handle) {
                        return Err(self.error_at(start, "found duplicate %TAG directive"));
                    }
                    self.tag_handles.push((handle, prefix));
                }
                TokenKind::DocumentStart => {
                    self.scanner.take()?;
                    return Ok(true);
                }
                _ if explicit => {
                    return Err(self.error_at(start, "did not find expected <document start>"));
                }
                _ => return Ok(true),
            }
            explicit = true;
            self.scanner.take()?;
        }
    }

    fn error_at(&self, at: Mark, message: &str) -> Error {
        Error::load(Stage::Parser, None, Some(at), message)
    }

    /// Reads properties and content of a node; a collection is left open.
    fn begin_node(&mut self, context: Context) -> Result<(), Error> {
        let first = self.scanner.peek()?;
        let start = first.start;
        if let TokenKind::Alias(name) = &first.kind {
            let name = name.clone();
            self.scanner.take()?;
            let Some(target) = self.anchors.get(&name).copied() else {
                let message = format!("unknown anchor '{name}' referenced");
                return Err(Error::load(Stage::Composer, None, Some(start), message));
            };
            self.add(Kind::Alias { name, target }, None, start);
            return Ok(());
        }
        let (anchor, tag) = self.properties(start)?;
        let has_properties = anchor.is_some() || tag.is_some();
        let (next, at) = self.glance()?;
        if context == Context::BlockInMapping && next == Glance::BlockEntry {
            let node = self.add_anchored(Kind::Sequence(Vec::new()), anchor, tag, start);
            self.open.push(Open { node, start: at, expect: Expect::UnindentedEntry });
            return Ok(());
        }
        let (kind, expect) = match &self.scanner.peek()?.kind {
            TokenKind::Scalar { .. } => {
                let Token { kind: TokenKind::Scalar { text, style }, .. } = self.scanner.take()? else {
                    return Ok(());
                };
                let plain = style == Style::Plain;
                self.add_anchored(Kind::Scalar { text, plain }, anchor, tag, start);
                return Ok(());
            }
            TokenKind::FlowSequenceStart => (Kind::Sequence(Vec::new()), Expect::FirstFlowEntry),
            TokenKind::FlowMappingStart => (Kind::Mapping(Vec::new()), Expect::FirstFlowKey),
            TokenKind::BlockSequenceStart if context != Context::Flow => {
                (Kind::Sequence(Vec::new()), Expect::BlockEntry)
            }
            TokenKind::BlockMappingStart if context != Context::Flow => {
                (Kind::Mapping(Vec::new()), Expect::BlockKey)
            }
            _ if has_properties => {
                let kind = Kind::Scalar { text: String::new(), plain: true };
                self.add_anchored(kind, anchor, tag, start);
                return Ok(());
            }
            _ => {
                let flow = context == Context::Flow;
                let doing = if flow { "while parsing a flow node" } else { "while parsing a block node" };
                return Err(unexpected(doing, start, at, "node content"));
            }
        };
        self.scanner.take()?;
        let node = self.add_anchored(kind, anchor, tag, start);
        self.open.push(Open { node, start: at, expect });
        Ok(())
    }

    /// An anchor and a tag, in either order.
    fn properties(&mut self, start: Mark) -> Result<(Option<String>, Option<String>), Error> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            let token = self.scanner.peek()?;
            match &token.kind {
                TokenKind::Anchor(name) if anchor.is_none() => anchor = Some(name.clone()),
                TokenKind::Tag { handle, suffix } if tag.is_none() => {
                    let (handle, suffix, at) = (handle.clone(), suffix.clone(), token.start);
                    let Some(whole) = self.whole_tag(&handle, &suffix) else {
                        let doing = Some(("while parsing a node", start));
                        return Err(Error::load(
                            Stage::Parser,
                            doing,
                            Some(at),
                            "found undefined tag handle",
                        ));
                    };
                    tag = Some(whole);
                }
                _ => return Ok((anchor, tag)),
            }
            self.scanner.take()?;
        }
    }

    fn whole_tag(&self, handle: &str, suffix: &str) -> Option<String> {
        let declared = self.tag_handles.iter().find(|(known, _)| known == handle);
        let prefix = match (declared, handle) {
            (_, "") => "",
            (Some((_, prefix)), _) => prefix,
            (None, "!") => "!",
            (None, "!!") => super::resolve::CORE_PREFIX,
            (None, _) => return None,
        };
        Some(format!("{prefix}{suffix}"))
    }

    /// A plain scalar without text.
    fn add_empty(&mut self, at: Mark) {
        self.add(Kind::Scalar { text: String::new(), plain: true }, None, at);
    }

    fn add_anchored(
        &mut self,
        kind: Kind,
        anchor: Option<String>,
        tag: Option<String>,
        mark: Mark,
    ) -> NodeId {
        let node = self.add(kind, tag, mark);
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, node);
        }
        node
    }

    /// Adds a node to the innermost open collection.
    fn add(&mut self, kind: Kind, tag: Option<String>, mark: Mark) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node { kind, tag, mark });
        let parent = self.open.last().and_then(|open| self.nodes.get_mut(open.node.0));
        if let Some(Node { kind: Kind::Sequence(children) | Kind::Mapping(children), .. }) = parent {
            children.push(id);
        }
        id
    }
}
