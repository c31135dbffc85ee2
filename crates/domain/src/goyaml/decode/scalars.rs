//! Typed scalars.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::super::error::Error;
use super::super::node::{Kind, Node, NodeId};
use super::super::resolve::{Resolved, resolve, short_tag};
use super::{Decoder, collection_tag, constructor};

/// Padding is needed; bits behind the last byte are not looked at.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl<'d> Decoder<'d> {
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
}

/// Whether no tag of its own keeps a scalar from being what it looks like.
fn is_untyped(node: &Node) -> bool {
    node.tag.as_deref().is_none_or(|tag| short_tag(tag).starts_with("!!"))
}

pub(super) fn decode_binary(node: &Node, text: &str) -> Result<String, Error> {
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = BASE64
        .decode(compact)
        .map_err(|_| constructor(node, "!!binary value contains invalid base64 data"))?;
    // Nothing a schematic or a manifest holds is binary, and a text that is not UTF-8 has no place.
    String::from_utf8(bytes).map_err(|_| constructor(node, "!!binary value is not UTF-8 text"))
}
