//! Tokens to nodes: the grammar of YAML.
//!
//! The grammar is a stack of open collections. Each step looks at the innermost one and at the next
//! token, and either begins a node in it or closes it. Nothing recurses, so depth is bounded by the
//! scanner alone.

use std::collections::HashMap;

use super::Limits;
use super::error::{Error, Mark, Stage};
use super::node::{Document, Kind, Node, NodeId};
use super::scanner::{BlockIndent, Scanner};
use super::token::{Style, Token, TokenKind};

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

/// Where messages say that a node without text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptyAt {
    IndicatorStart,
    IndicatorEnd,
    Next,
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

    /// Whether the next token is an indicator that ends what came before it, and where it is.
    fn glance(&mut self) -> Result<(Glance, Mark), Error> {
        let token = self.scanner.peek()?;
        let glance = match token.kind {
            TokenKind::BlockEntry => Glance::BlockEntry,
            TokenKind::BlockEnd => Glance::BlockEnd,
            TokenKind::FlowEntry => Glance::FlowEntry,
            TokenKind::FlowSequenceEnd => Glance::FlowSequenceEnd,
            TokenKind::FlowMappingEnd => Glance::FlowMappingEnd,
            TokenKind::Key => Glance::Key,
            TokenKind::Value => Glance::Value,
            _ => Glance::Other,
        };
        Ok((glance, token.start))
    }

    fn expect(&mut self, next: Expect) {
        if let Some(open) = self.open.last_mut() {
            open.expect = next;
        }
    }

    /// Lets the innermost open collection look at the next token.
    fn step(&mut self, start: Mark, expect: Expect) -> Result<(), Error> {
        match expect {
            Expect::BlockEntry | Expect::UnindentedEntry | Expect::BlockKey | Expect::BlockValue => {
                self.step_in_block(start, expect)
            }
            Expect::FirstFlowEntry | Expect::FlowEntry => self.step_in_flow_sequence(start, expect),
            Expect::PairKey | Expect::PairValue | Expect::PairEnd => self.step_in_pair(expect),
            _ => self.step_in_flow_mapping(start, expect),
        }
    }

    fn step_in_block(&mut self, start: Mark, expect: Expect) -> Result<(), Error> {
        use Glance::{BlockEnd, BlockEntry, Key, Value};
        let (next, at) = self.glance()?;
        match (expect, next) {
            (Expect::BlockEntry, BlockEntry) => {
                self.begin_after(Context::Block, &[BlockEntry, BlockEnd], EmptyAt::IndicatorEnd)
            }
            (Expect::BlockEntry | Expect::BlockKey, BlockEnd) => self.close_with_token(),
            (Expect::BlockEntry, _) => {
                Err(unexpected("while parsing a block collection", start, at, "'-' indicator"))
            }
            (Expect::UnindentedEntry, BlockEntry) => {
                self.begin_after(Context::Block, &[BlockEntry, Key, Value, BlockEnd], EmptyAt::IndicatorEnd)
            }
            (Expect::UnindentedEntry, _) => {
                self.close();
                Ok(())
            }
            (Expect::BlockKey, Key) => {
                self.expect(Expect::BlockValue);
                self.begin_after(Context::BlockInMapping, &[Key, Value, BlockEnd], EmptyAt::IndicatorEnd)
            }
            (Expect::BlockKey, _) => Err(unexpected("while parsing a block mapping", start, at, "key")),
            (_, Value) => {
                self.expect(Expect::BlockKey);
                self.begin_after(Context::BlockInMapping, &[Key, Value, BlockEnd], EmptyAt::IndicatorEnd)
            }
            (_, _) => {
                self.expect(Expect::BlockKey);
                self.add_empty(at);
                Ok(())
            }
        }
    }

    /// Consumes the comma between two entries of a flow collection; gives what comes then.
    fn pass_comma(&mut self, is_first: bool) -> Result<Option<Glance>, Error> {
        match self.glance()?.0 {
            next if is_first => Ok(Some(next)),
            Glance::FlowEntry => {
                self.scanner.take()?;
                Ok(Some(self.glance()?.0))
            }
            _ => Ok(None),
        }
    }

    fn step_in_flow_sequence(&mut self, start: Mark, expect: Expect) -> Result<(), Error> {
        let (next, at) = self.glance()?;
        if next == Glance::FlowSequenceEnd {
            return self.close_with_token();
        }
        let Some(next) = self.pass_comma(expect == Expect::FirstFlowEntry)? else {
            return Err(unexpected("while parsing a flow sequence", start, at, "',' or ']'"));
        };
        self.expect(Expect::FlowEntry);
        match next {
            Glance::Key => self.begin_pair(),
            // A comma before the bracket; the next step closes.
            Glance::FlowSequenceEnd => Ok(()),
            _ => self.begin_node(Context::Flow),
        }
    }

    fn step_in_pair(&mut self, expect: Expect) -> Result<(), Error> {
        use Glance::{FlowEntry, FlowSequenceEnd, Value};
        let (next, at) = self.glance()?;
        match (expect, next) {
            (Expect::PairKey, Value | FlowEntry | FlowSequenceEnd) => {
                self.expect(Expect::PairValue);
                // The reference loses this token, so that `[? : a]` is refused.
                let lost = self.scanner.take()?;
                self.add_empty(lost.end);
                Ok(())
            }
            (Expect::PairKey, _) => {
                self.expect(Expect::PairValue);
                self.begin_node(Context::Flow)
            }
            (Expect::PairValue, Value) => {
                self.expect(Expect::PairEnd);
                self.begin_after(Context::Flow, &[FlowEntry, FlowSequenceEnd], EmptyAt::IndicatorStart)
            }
            (Expect::PairValue, _) => {
                self.expect(Expect::PairEnd);
                self.add_empty(at);
                Ok(())
            }
            (_, _) => {
                self.close();
                Ok(())
            }
        }
    }

    fn step_in_flow_mapping(&mut self, start: Mark, expect: Expect) -> Result<(), Error> {
        use Glance::{FlowEntry, FlowMappingEnd, Key, Value};
        let (next, at) = self.glance()?;
        if matches!(expect, Expect::FlowValue | Expect::NoFlowValue) {
            self.expect(Expect::FlowKey);
            if expect == Expect::FlowValue && next == Value {
                return self.begin_after(Context::Flow, &[FlowEntry, FlowMappingEnd], EmptyAt::Next);
            }
            self.add_empty(at);
            return Ok(());
        }
        if next == FlowMappingEnd {
            return self.close_with_token();
        }
        let Some(next) = self.pass_comma(expect == Expect::FirstFlowKey)? else {
            return Err(unexpected("while parsing a flow mapping", start, at, "',' or '}'"));
        };
        match next {
            Key => {
                self.expect(Expect::FlowValue);
                self.begin_after(Context::Flow, &[Value, FlowEntry, FlowMappingEnd], EmptyAt::Next)
            }
            FlowMappingEnd => {
                self.expect(Expect::FlowKey);
                Ok(())
            }
            _ => {
                self.expect(Expect::NoFlowValue);
                self.begin_node(Context::Flow)
            }
        }
    }

    /// Consumes an indicator and begins the node behind it, or an empty one if what follows is one of
    /// `ends`.
    fn begin_after(&mut self, context: Context, ends: &[Glance], empty: EmptyAt) -> Result<(), Error> {
        let indicator = self.scanner.take()?;
        let (next, at) = self.glance()?;
        if !ends.contains(&next) {
            return self.begin_node(context);
        }
        self.add_empty(match empty {
            EmptyAt::IndicatorStart => indicator.start,
            EmptyAt::IndicatorEnd => indicator.end,
            EmptyAt::Next => at,
        });
        Ok(())
    }

    fn begin_pair(&mut self) -> Result<(), Error> {
        let key = self.scanner.take()?;
        let node = self.add(Kind::Mapping(Vec::new()), None, key.start);
        self.open.push(Open { node, start: key.start, expect: Expect::PairKey });
        Ok(())
    }

    fn close_with_token(&mut self) -> Result<(), Error> {
        self.scanner.take()?;
        self.close();
        Ok(())
    }

    fn close(&mut self) {
        self.open.pop();
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

/// The tokens that separate nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glance {
    BlockEntry,
    BlockEnd,
    FlowEntry,
    FlowSequenceEnd,
    FlowMappingEnd,
    Key,
    Value,
    Other,
}

fn unexpected(doing: &'static str, start: Mark, at: Mark, wanted: &str) -> Error {
    Error::load(Stage::Parser, Some((doing, start)), Some(at), format!("did not find expected {wanted}"))
}
