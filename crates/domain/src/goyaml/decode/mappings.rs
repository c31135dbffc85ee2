//! Mappings: known keys, free keys, keys that occur twice, and merged mappings.

use std::collections::{HashMap, HashSet};

use super::super::error::Error;
use super::super::node::{Kind, Node, NodeId, pairs};
use super::super::resolve::{Resolved, resolve_plain, short_tag};
use super::super::value::{Mapping, Shown, Value, quote};
use super::{Decoder, Field, MAX_MESSAGE_BYTES, UnknownKeys, constructor};

/// Identity of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum KeyId {
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

/// How the keys of a mapping are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    /// As texts: `1` is the text "1".
    Texts,
    /// As what they are.
    Values,
}

/// The entries of a mapping while it is read: a later one takes the place of an earlier one.
pub(super) struct Entries {
    keys: Keys,
    places: HashMap<KeyId, usize>,
    entries: Vec<(Value, Value)>,
}

impl Entries {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, places: HashMap::new(), entries: Vec::new() }
    }

    fn set(&mut self, id: KeyId, key: Value, value: Value) {
        if let Some(entry) = self.places.get(&id).and_then(|place| self.entries.get_mut(*place)) {
            entry.1 = value;
            return;
        }
        self.places.insert(id, self.entries.len());
        self.entries.push((key, value));
    }

    pub(super) fn into_mapping(self) -> Mapping {
        let mut mapping = Mapping::new();
        for (key, value) in self.entries {
            mapping.push(key, value);
        }
        mapping.sort();
        mapping
    }
}

impl<'d> Decoder<'d> {
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
        let mut entries = Entries::new(Keys::Texts);
        let found = self.visit(id, |this, node| match &node.kind {
            Kind::Mapping(children) => this.entries(children, &mut entries),
            _ => this.not_a_collection(node, type_name),
        })?;
        if found {
            *out = entries.into_mapping();
        }
        Ok(found)
    }

    /// Reads the entries of a mapping, merged ones included.
    pub(super) fn entries(&mut self, children: &'d [NodeId], out: &mut Entries) -> Result<bool, Error> {
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
            let found = if out.keys == Keys::Texts {
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

    pub(super) fn is_text_key(&self, key: NodeId) -> bool {
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
    pub(super) fn keys_are_unique(&mut self, children: &'d [NodeId]) -> bool {
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
}
