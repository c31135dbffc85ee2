//! Nodes to typed values.
//!
//! A document of the wrong shape is refused with all its mismatches, not only the first. What cannot
//! be understood at all, or grows too large, stops at once.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::Limits;
use super::error::{Error, Stage};
use super::node::{Document, Kind, Node, NodeId, pairs};
use super::resolve::{Resolved, resolve, resolve_plain, short_tag};
use super::value::{Mapping, Shown, Value, quote};

/// Bytes of messages that are collected; a hostile document could ask for gigabytes of them.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Bytes of a scalar that a message quotes.
const MAX_QUOTED: usize = 10;
/// What a value costs beyond its text: the dash or colon, the line break, the quotes.
const VALUE_OVERHEAD: usize = 8;
/// Columns a level of nesting is indented by.
const INDENT: usize = 4;
/// The reference refuses texts longer than an `i32` can count only; padding is needed, bits behind the
/// last byte are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

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

/// Identity of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum KeyId {
    Text(String),
    /// Anything else, as a message shows it.
    Other(String),
}

impl KeyId {
    fn of(key: &Value) -> Self {
        match key {
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Other(format!("{other:?}")),
        }
    }
}

type Fields<'f, 'd> = dyn FnMut(&mut Decoder<'d>, &str, NodeId) -> Result<Field, Error> + 'f;

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

    /// A text. Numbers and truth values count as the text they were written with.
    ///
    /// # Errors
    /// Those that end the decoding; so for all methods.
    pub fn string(&mut self, id: NodeId, out: &mut String) -> Result<bool, Error> {
        self.scalar(id, "string", |this, node, text, resolved| match resolved {
            Resolved::Timestamp(_) => Ok(this.mismatch(node, resolved.tag(), "string")),
            Resolved::Binary => {
                *out = decode_binary(node, text)?;
                Ok(true)
            }
            _ => {
                *out = text.to_owned();
                Ok(true)
            }
        })
    }

    /// A truth value, also in the words of YAML 1.1.
    pub fn boolean(&mut self, id: NodeId, out: &mut bool) -> Result<bool, Error> {
        self.scalar(id, "bool", |this, node, text, resolved| {
            let value = match (resolved, text) {
                (Resolved::Merge, _) => return Ok(false),
                (Resolved::Bool(value), _) => Some(*value),
                (Resolved::String, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON") => Some(true),
                (Resolved::String, "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF") => Some(false),
                _ => None,
            };
            match value {
                Some(value) if is_untyped(node) => {
                    *out = value;
                    Ok(true)
                }
                _ => Ok(this.mismatch(node, resolved.tag(), "bool")),
            }
        })
    }

    /// An integer from 0 to `max`; `type_name` is what messages call it.
    pub fn unsigned(
        &mut self,
        id: NodeId,
        type_name: &'static str,
        max: u64,
        out: &mut u64,
    ) -> Result<bool, Error> {
        /// The first double that is too large for 64 bits.
        const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
        self.scalar(id, type_name, |this, node, _, resolved| {
            let value = match resolved {
                Resolved::Merge => return Ok(false),
                Resolved::Int(n) => u64::try_from(*n).ok(),
                Resolved::Uint(n) => Some(*n),
                Resolved::Float(x) if *x >= 0.0 && *x < TOO_LARGE && x.trunc() == *x => Some(*x as u64),
                _ => None,
            };
            match value {
                Some(value) if value <= max => {
                    *out = value;
                    Ok(true)
                }
                _ => Ok(this.mismatch(node, resolved.tag(), type_name)),
            }
        })
    }

    /// A value that reads itself from the text of any scalar; `parse` gives it or says what is wrong.
    pub fn text<T>(
        &mut self,
        id: NodeId,
        type_name: &'static str,
        out: &mut T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<bool, Error> {
        self.visit(id, |this, node| {
            let Kind::Scalar { text, plain } = &node.kind else {
                let type_name = format!("{type_name} (TextUnmarshaler)");
                return Ok(this.mismatch(node, collection_tag(node), &type_name));
            };
            let decoded;
            let text = match resolve(node.tag.as_deref(), text, *plain)? {
                Resolved::Null => return Ok(false),
                Resolved::Binary => {
                    decoded = decode_binary(node, text)?;
                    &decoded
                }
                _ => text,
            };
            this.charge(node, text.len())?;
            match parse(text) {
                Ok(value) => {
                    *out = value;
                    Ok(true)
                }
                Err(message) => Ok(this.refuse(node, message)),
            }
        })
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

    /// A mapping with known keys; `field` reads the value of one, or says that it is not known.
    pub fn structure(
        &mut self,
        id: NodeId,
        type_name: &'static str,
        field: &mut Fields<'_, 'd>,
    ) -> Result<bool, Error> {
        self.visit(id, |this, node| {
            let Kind::Mapping(children) = &node.kind else { return this.not_a_collection(node, type_name) };
            if !this.keys_are_unique(children) {
                return Ok(false);
            }
            let mut taken = this.taken.take();
            let mut merged = None;
            for (key, value) in pairs(children) {
                if this.is_merge(key) {
                    merged = Some(value);
                    continue;
                }
                let mut name = String::new();
                if !this.string(key, &mut name)? {
                    continue;
                }
                if let Some(taken) = &mut taken
                    && !taken.insert(KeyId::Text(name.clone()))
                {
                    continue;
                }
                if field(this, &name, value)? == Field::Unknown && this.unknown_keys == UnknownKeys::Refuse {
                    let name: String = name.chars().take(MAX_MESSAGE_BYTES).collect();
                    let key = this.document.node(key);
                    this.refuse(key, format!("field {name} not found in type {type_name}"));
                }
            }
            this.taken = taken;
            if let Some(merged) = merged {
                this.merge(children, merged, &mut |this, part| this.structure(part, type_name, field))?;
            }
            Ok(true)
        })
    }

    /// A mapping from texts to free-form values, in canonical order.
    pub fn free_mapping(
        &mut self,
        id: NodeId,
        type_name: &'static str,
        out: &mut Mapping,
    ) -> Result<bool, Error> {
        let mut entries = Entries { text_keys: true, ..Entries::default() };
        let found = self.visit(id, |this, node| match &node.kind {
            Kind::Mapping(children) => this.entries(children, &mut entries),
            _ => this.not_a_collection(node, type_name),
        })?;
        if found {
            *out = entries.into_mapping();
        }
        Ok(found)
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
                let text_keys = pairs(children).all(|(key, _)| self.is_text_key(key));
                let mut entries = Entries { text_keys, ..Entries::default() };
                if !self.entries(children, &mut entries)? {
                    return Ok(false);
                }
                Value::Mapping(entries.into_mapping())
            }
            Kind::Alias { .. } => return Ok(false),
        };
        Ok(true)
    }

    /// Reads the entries of a mapping, merged ones included.
    fn entries(&mut self, children: &'d [NodeId], out: &mut Entries) -> Result<bool, Error> {
        if !self.keys_are_unique(children) {
            return Ok(false);
        }
        let mut taken = self.taken.take();
        let mut merged = None;
        for (key_id, value_id) in pairs(children) {
            if self.is_merge(key_id) {
                merged = Some(value_id);
                continue;
            }
            let mut key = Value::Null;
            let found = if out.text_keys {
                let mut text = String::new();
                let found = self.string(key_id, &mut text)?;
                key = Value::String(text);
                found
            } else {
                self.value(key_id, &mut key)?
            };
            if !found {
                continue;
            }
            if matches!(key, Value::Sequence(_) | Value::Mapping(_)) {
                let message =
                    format!("cannot use '{}' as a map key; try decoding into yaml.Node", Shown(&key));
                return Err(constructor(self.document.node(key_id), message));
            }
            let id = KeyId::of(&key);
            if let Some(taken) = &mut taken
                && !taken.insert(id.clone())
            {
                continue;
            }
            let mut value = Value::Null;
            if self.value(value_id, &mut value)? {
                out.set(id, key, value);
            }
        }
        self.taken = taken;
        if let Some(merged) = merged {
            self.merge(children, merged, &mut |this, part| {
                this.visit(part, |this, node| match &node.kind {
                    Kind::Mapping(children) => this.entries(children, out),
                    _ => Ok(false),
                })
            })?;
        }
        Ok(true)
    }

    /// Reads the mappings named by a merge key with `read`; the keys of `parent` and those of earlier
    /// mappings win over later ones.
    fn merge(
        &mut self,
        parent: &'d [NodeId],
        merged: NodeId,
        read: &mut dyn FnMut(&mut Self, NodeId) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let is_outermost = self.taken.is_none();
        if is_outermost {
            let mut taken = HashSet::new();
            for (key, _) in pairs(parent) {
                let mut value = Value::Null;
                if self.value(key, &mut value)? {
                    taken.insert(KeyId::of(&value));
                }
            }
            self.taken = Some(taken);
        }
        let node = self.document.node(merged);
        let parts = match &node.kind {
            Kind::Sequence(parts) => parts.as_slice(),
            _ => std::slice::from_ref(&merged),
        };
        for part in parts {
            let target = self.document.target(*part);
            if !matches!(target.kind, Kind::Mapping(_)) {
                return Err(constructor(target, "map merge requires map or sequence of maps as the value"));
            }
            read(self, *part)?;
        }
        if is_outermost {
            self.taken = None;
        }
        Ok(())
    }

    fn is_merge(&self, key: NodeId) -> bool {
        let node = self.document.node(key);
        match &node.kind {
            Kind::Scalar { text, plain } => match node.tag.as_deref().map(short_tag) {
                Some(tag) => tag == Resolved::Merge.tag(),
                None => *plain && text == "<<",
            },
            _ => false,
        }
    }

    fn is_text_key(&self, key: NodeId) -> bool {
        let node = self.document.target(key);
        match (node.tag.as_deref().map(short_tag), &node.kind) {
            (Some(tag), _) => tag == Resolved::String.tag() || tag == Resolved::Merge.tag(),
            (None, Kind::Scalar { text, plain }) => {
                !*plain || matches!(resolve_plain(text), Resolved::String | Resolved::Merge)
            }
            _ => false,
        }
    }

    /// Puts keys that occur twice on the list of mismatches.
    fn keys_are_unique(&mut self, children: &'d [NodeId]) -> bool {
        let mut seen: HashMap<(u8, &str), Vec<usize>> = HashMap::new();
        let keys: Vec<&Node> = pairs(children).map(|(key, _)| self.document.node(key)).collect();
        let identity = |node: &'d Node| match &node.kind {
            Kind::Scalar { text, .. } => (0, text.as_str()),
            Kind::Alias { name, .. } => (1, name.as_str()),
            Kind::Sequence(_) => (2, ""),
            Kind::Mapping(_) => (3, ""),
        };
        for (i, key) in keys.iter().enumerate() {
            seen.entry(identity(key)).or_default().push(i);
        }
        if seen.len() == keys.len() {
            return true;
        }
        for (i, key) in keys.iter().enumerate() {
            let same = seen.get(&identity(key)).map(Vec::as_slice).unwrap_or_default();
            let later = same.get(same.partition_point(|j| *j <= i)..).unwrap_or_default();
            for again in later.iter().filter_map(|j| keys.get(*j)) {
                let name = quote(identity(again).1);
                let name: String = name.chars().take(MAX_MESSAGE_BYTES).collect();
                let message = format!("mapping key {name} already defined at line {}", key.line());
                self.refuse(again, message);
                if self.mismatch_bytes > MAX_MESSAGE_BYTES {
                    return false;
                }
            }
        }
        false
    }

    /// Reads a scalar; null is no value, and collections are mismatches.
    fn scalar(
        &mut self,
        id: NodeId,
        type_name: &str,
        read: impl FnOnce(&mut Self, &'d Node, &'d str, &Resolved) -> Result<bool, Error>,
    ) -> Result<bool, Error> {
        self.visit(id, |this, node| match &node.kind {
            Kind::Scalar { text, plain } => {
                this.charge(node, text.len())?;
                match resolve(node.tag.as_deref(), text, *plain)? {
                    Resolved::Null => Ok(false),
                    resolved => read(this, node, text, &resolved),
                }
            }
            Kind::Mapping(children) if !this.keys_are_unique(children) => Ok(false),
            _ => Ok(this.mismatch(node, collection_tag(node), type_name)),
        })
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

/// The entries of a mapping while it is read: a later one takes the place of an earlier one.
#[derive(Default)]
struct Entries {
    /// All keys are read as texts.
    text_keys: bool,
    places: HashMap<KeyId, usize>,
    entries: Vec<(Value, Value)>,
}

impl Entries {
    fn set(&mut self, id: KeyId, key: Value, value: Value) {
        if let Some(entry) = self.places.get(&id).and_then(|place| self.entries.get_mut(*place)) {
            entry.1 = value;
            return;
        }
        self.places.insert(id, self.entries.len());
        self.entries.push((key, value));
    }

    fn into_mapping(self) -> Mapping {
        let mut mapping = Mapping::new();
        for (key, value) in self.entries {
            mapping.push(key, value);
        }
        mapping.sort();
        mapping
    }
}

fn collection_tag(node: &Node) -> &'static str {
    if matches!(node.kind, Kind::Mapping(_)) { "!!map" } else { "!!seq" }
}

/// Whether no tag of its own keeps a scalar from being what it looks like.
fn is_untyped(node: &Node) -> bool {
    node.tag.as_deref().is_none_or(|tag| short_tag(tag).starts_with("!!"))
}

fn constructor(node: &Node, message: impl Into<String>) -> Error {
    Error::load(Stage::Constructor, None, Some(node.mark), message)
}

fn decode_binary(node: &Node, text: &str) -> Result<String, Error> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = BASE64
        .decode(compact)
        .map_err(|_| constructor(node, "!!binary value contains invalid base64 data"))?;
    // Nothing a schematic or a manifest holds is binary, and a text that is not UTF-8 has no place.
    String::from_utf8(bytes).map_err(|_| constructor(node, "!!binary value is not UTF-8 text"))
}
