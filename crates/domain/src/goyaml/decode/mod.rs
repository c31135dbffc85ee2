//! Nodes to typed values.
//!
//! A document of the wrong shape is refused with all its mismatches, not only the first. What cannot
//! be understood at all, or grows too large, stops at once.

mod mappings;
mod scalars;

use std::collections::HashSet;

use super::Limits;
use super::error::{Error, Stage};
use super::node::{Document, Kind, Node, NodeId, pairs};
use super::resolve::{Resolved, resolve, short_tag};
use super::value::Value;
use mappings::{Entries, KeyId, Keys};
use scalars::decode_binary;

/// Bytes of messages that are collected; a hostile document could ask for gigabytes of them.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes of a scalar that a message quotes.
const MAX_QUOTED: usize = 10;
/// What a value costs beyond its text: the dash or colon, the line break, the quotes.
const VALUE_OVERHEAD: usize = 8;
/// Columns a level of nesting is indented by.
const INDENT: usize = 4;

/// What happens to keys that a structure does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeys {
    /// They are mismatches.
    Refuse,
    /// They are passed over.
    Ignore,
}

/// Whether a structure has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// It has, and its value was read.
    Known,
    /// It has not.
    Unknown,
}

/// Reads typed values out of a document.
///
/// Every method says whether there was a value: not for null, and not for what was put on the list of
/// mismatches. The target is left as it was then.
#[derive(Debug)]
pub struct Decoder<'d> {
    document: &'d Document,
    limits: Limits,
    unknown_keys: UnknownKeys,
    mismatches: Vec<String>,
    mismatch_bytes: usize,
    /// Aliases being followed.
    following: HashSet<NodeId>,
    decoded: usize,
    decoded_by_alias: usize,
    expanded: usize,
    depth: usize,
    /// While a merged mapping is read: the keys that are taken.
    taken: Option<HashSet<KeyId>>,
}

impl<'d> Decoder<'d> {
    /// A decoder for a document.
    pub fn new(document: &'d Document, limits: &Limits, unknown_keys: UnknownKeys) -> Self {
        Self {
            document,
            limits: *limits,
            unknown_keys,
            mismatches: Vec::new(),
            mismatch_bytes: 0,
            following: HashSet::new(),
            // The document itself counts.
            decoded: 1,
            decoded_by_alias: 0,
            expanded: 0,
            depth: 0,
            taken: None,
        }
    }

    /// Ends the decoding.
    ///
    /// # Errors
    /// [`Error::Construct`] when there were mismatches.
    pub fn finish(self) -> Result<(), Error> {
        if self.mismatches.is_empty() { Ok(()) } else { Err(Error::Construct(self.mismatches)) }
    }

    /// A sequence; `item` reads each element.
    pub fn sequence(
        &mut self,
        id: NodeId,
        type_name: &'static str,
        item: &mut dyn FnMut(&mut Self, NodeId) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.visit(id, |this, node| match &node.kind {
            Kind::Sequence(children) => {
                for child in children {
                    item(this, *child)?;
                }
                Ok(true)
            }
            _ => this.not_a_collection(node, type_name),
        })
    }

    /// A free-form value.
    pub fn value(&mut self, id: NodeId, out: &mut Value) -> Result<bool, Error> {
        self.visit(id, |this, node| {
            if this.depth >= this.limits.depth {
                return Err(Error::TooDeep { line: node.line(), max: this.limits.depth });
            }
            this.depth += 1;
            let found = this.untyped(node, out);
            this.depth -= 1;
            found
        })
    }

    fn untyped(&mut self, node: &'d Node, out: &mut Value) -> Result<bool, Error> {
        *out = match &node.kind {
            Kind::Scalar { text, plain } => {
                self.charge(node, text.len())?;
                match resolve(node.tag.as_deref(), text, *plain)? {
                    Resolved::Null => Value::Null,
                    Resolved::Bool(value) => Value::Bool(value),
                    Resolved::Int(value) => Value::Int(value),
                    Resolved::Uint(value) => Value::Uint(value),
                    Resolved::Float(value) => Value::Float(value),
                    Resolved::Timestamp(moment) => Value::Timestamp(moment),
                    Resolved::String => Value::String(text.clone()),
                    Resolved::Binary => Value::String(decode_binary(node, text)?),
                    Resolved::Merge => return Ok(false),
                }
            }
            Kind::Sequence(children) => {
                self.charge(node, 0)?;
                let mut items = Vec::new();
                for child in children {
                    let mut item = Value::Null;
                    if self.value(*child, &mut item)? {
                        items.push(item);
                    }
                }
                Value::Sequence(items)
            }
            Kind::Mapping(children) => {
                self.charge(node, 0)?;
                let all_texts = pairs(children).all(|(key, _)| self.is_text_key(key));
                let mut entries = Entries::new(if all_texts { Keys::Texts } else { Keys::Values });
                if !self.entries(children, &mut entries)? {
                    return Ok(false);
                }
                Value::Mapping(entries.into_mapping())
            }
            Kind::Alias { .. } => return Ok(false),
        };
        Ok(true)
    }

    /// A node where a collection of another kind was wanted.
    fn not_a_collection(&mut self, node: &'d Node, type_name: &str) -> Result<bool, Error> {
        match &node.kind {
            Kind::Scalar { text, plain } => match resolve(node.tag.as_deref(), text, *plain)? {
                Resolved::Null | Resolved::Merge => Ok(false),
                Resolved::Binary => {
                    decode_binary(node, text)?;
                    Ok(self.mismatch(node, Resolved::Binary.tag(), type_name))
                }
                resolved => Ok(self.mismatch(node, resolved.tag(), type_name)),
            },
            Kind::Mapping(children) if !self.keys_are_unique(children) => Ok(false),
            _ => Ok(self.mismatch(node, collection_tag(node), type_name)),
        }
    }

    /// Reads a node, or the one its alias stands for.
    fn visit<T>(
        &mut self,
        id: NodeId,
        read: impl FnOnce(&mut Self, &'d Node) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let node = self.document.node(id);
        self.count(node)?;
        let Kind::Alias { name, target } = &node.kind else { return read(self, node) };
        if !self.following.insert(id) {
            let message = format!("anchor '{name}' value contains itself");
            return Err(Error::load(Stage::Composer, None, Some(node.mark), message));
        }
        let target = self.document.node(*target);
        self.count(target)?;
        let result = read(self, target);
        self.following.remove(&id);
        result
    }

    /// Counts a node read, and refuses documents that consist of aliases in the main.
    fn count(&mut self, node: &Node) -> Result<(), Error> {
        /// The figures of the reference for documents of this size.
        const MIN_DECODED: usize = 1000;
        const MIN_BY_ALIAS: usize = 100;
        const MAX_SHARE: f64 = 0.99;
        self.decoded += 1;
        if self.decoded > self.limits.nodes {
            return Err(Error::TooMany { line: node.line(), max: self.limits.nodes });
        }
        if self.following.is_empty() {
            return Ok(());
        }
        self.decoded_by_alias += 1;
        let share = self.decoded_by_alias as f64 / self.decoded as f64;
        if self.decoded_by_alias > MIN_BY_ALIAS && self.decoded > MIN_DECODED && share > MAX_SHARE {
            return Err(constructor(node, "document contains excessive aliasing"));
        }
        Ok(())
    }

    /// Accounts for the room a value takes when it is written out.
    fn charge(&mut self, node: &Node, text: usize) -> Result<(), Error> {
        self.expanded += text + VALUE_OVERHEAD + self.depth * INDENT;
        if self.expanded > self.limits.expanded_bytes {
            return Err(Error::TooLarge { line: node.line(), max: self.limits.expanded_bytes });
        }
        Ok(())
    }

    fn refuse(&mut self, node: &Node, message: String) -> bool {
        let message = format!("line {}: {message}", node.line());
        if self.mismatch_bytes <= MAX_MESSAGE_BYTES {
            self.mismatch_bytes += message.len();
            self.mismatches.push(message);
        }
        false
    }

    fn mismatch(&mut self, node: &Node, tag: &str, type_name: &str) -> bool {
        let tag = node.tag.as_deref().map_or_else(|| tag.to_owned(), short_tag);
        let text = match &node.kind {
            Kind::Scalar { text, .. } => text.as_str(),
            _ => "",
        };
        let shown = if tag == "!!seq" || tag == "!!map" {
            String::new()
        } else if text.len() > MAX_QUOTED {
            let start = text.as_bytes().get(..MAX_QUOTED - 3).unwrap_or_default();
            format!(" `{}...`", String::from_utf8_lossy(start))
        } else {
            format!(" `{text}`")
        };
        self.refuse(node, format!("cannot construct {tag}{shown} into {type_name}"))
    }
}

fn collection_tag(node: &Node) -> &'static str {
    if matches!(node.kind, Kind::Mapping(_)) { "!!map" } else { "!!seq" }
}

fn constructor(node: &Node, message: impl Into<String>) -> Error {
    Error::load(Stage::Constructor, None, Some(node.mark), message)
}
