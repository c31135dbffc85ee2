//! YAML as the reference reads and writes it.
//!
//! The identity of a schematic is the digest of its canonical text, and clients compare the texts of
//! errors. Both are those of one release of a YAML library, which follows YAML 1.1 in the main and
//! neither version in full. So this module has its own reader and writer:
//!
//! * [`read`] turns the first document of a text into nodes with lines;
//! * [`Decoder`] turns nodes into typed values and collects all mismatches;
//! * [`emit`] writes a [`Value`] canonically.
//!
//! Everything is bounded by [`Limits`]: hostile texts are errors in time and memory proportional to
//! the limits.

mod compose;
mod decode;
mod emit;
mod error;
mod input;
mod node;
mod number;
mod resolve;
mod scanner;
mod style;
mod timestamp;
mod token;
mod value;

use compose::Composer;
use scanner::BlockIndent;

pub use decode::{Decoder, Field, UnknownKeys};
pub use emit::emit;
pub use error::{Error, LoadError};
pub use node::{Document, NodeId};
pub use value::{Mapping, Value};

/// How much a document may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Keys and values, as written and with aliases followed.
    pub nodes: usize,
    /// Levels of nesting of a free-form value.
    pub depth: usize,
    /// Bytes that all values together take when they are written out, aliases followed and lines
    /// indented.
    pub expanded_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, nodes: 100_000, depth: 1000, expanded_bytes: 16 << 20 }
    }
}

/// Reads the first document of a text.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Empty`] when there is no document, and [`Error::Load`].
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Document, Error> {
    read_as(bytes, limits, BlockIndent::Standard)
}

/// Reads a text that [`emit`], or the reference, wrote. Some of their block scalars are not what the
/// standard makes of them; everything else is as with [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_emitted(bytes: &[u8], limits: &Limits) -> Result<Document, Error> {
    read_as(bytes, limits, BlockIndent::Emitted)
}

fn read_as(bytes: &[u8], limits: &Limits, block_indent: BlockIndent) -> Result<Document, Error> {
    check_length(bytes, limits)?;
    Composer::new(bytes, block_indent, limits).next_document()?.ok_or(Error::Empty)
}

/// Checks that every document of a text can be read, aliases followed, within the limits. For texts
/// that another YAML reader takes apart afterwards.
///
/// # Errors
/// Those of [`read`] and of [`Decoder`]; an empty text is fine.
pub fn check_bounds(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    check_length(bytes, limits)?;
    let mut composer = Composer::new(bytes, BlockIndent::Standard, limits);
    while let Some(document) = composer.next_document()? {
        let mut decoder = Decoder::new(&document, limits, UnknownKeys::Ignore);
        decoder.value(document.root(), &mut Value::Null)?;
        decoder.finish()?;
    }
    Ok(())
}

fn check_length(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.len() > limits.bytes {
        return Err(Error::TooLong { len: bytes.len(), max: limits.bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
