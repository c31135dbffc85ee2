//! A file of known length that pieces are put into; what no piece covers is zero.

use std::borrow::Cow;

use crate::{Layout, LayoutBuilder};

/// Collects pieces with their offsets, in any order.
#[derive(Debug)]
pub struct Canvas {
    len: u64,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    offset: u64,
    what: Cow<'static, str>,
    layout: Layout,
}

/// Pieces that cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanvasError {
    /// Two pieces claim the same bytes.
    #[error("{second} at byte {offset} lies on top of {first}, which ends at byte {first_end}")]
    Overlap {
        /// The piece in front.
        first: String,
        /// Where that piece ends.
        first_end: u64,
        /// The piece that begins too early.
        second: String,
        /// Where it begins.
        offset: u64,
    },
    /// A piece reaches beyond the end of the file.
    #[error("{what} at byte {offset} has {size} bytes, the file ends at byte {len}")]
    Outside {
        /// The piece.
        what: String,
        /// Where it begins.
        offset: u64,
        /// Its length.
        size: u64,
        /// Length of the file.
        len: u64,
    },
}

impl Canvas {
    /// A file of `len` zero bytes.
    pub fn new(len: u64) -> Self {
        Self { len, pieces: Vec::new() }
    }

    /// Puts a piece at an offset; `what` names it in errors.
    pub fn put(&mut self, offset: u64, what: impl Into<Cow<'static, str>>, layout: Layout) -> &mut Self {
        if !layout.is_empty() {
            self.pieces.push(Piece { offset, what: what.into(), layout });
        }
        self
    }

    /// The whole file.
    ///
    /// # Errors
    /// When pieces overlap or reach beyond the end.
    pub fn build(mut self) -> Result<Layout, CanvasError> {
        self.pieces.sort_by_key(|piece| piece.offset);
        let mut builder = LayoutBuilder::new();
        let mut last = "";
        for Piece { offset, what, layout } in &self.pieces {
            if *offset < builder.len() {
                return Err(CanvasError::Overlap {
                    first: last.to_owned(),
                    first_end: builder.len(),
                    second: what.to_string(),
                    offset: *offset,
                });
            }
            if offset.checked_add(layout.len()).is_none_or(|end| end > self.len) {
                return Err(CanvasError::Outside {
                    what: what.to_string(),
                    offset: *offset,
                    size: layout.len(),
                    len: self.len,
                });
            }
            builder.pad_to(*offset).append(layout);
            last = what;
        }
        builder.pad_to(self.len);
        Ok(builder.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Layout {
        Layout::from_bytes(text)
    }

    #[test]
    fn pieces_come_in_any_order() {
        let mut canvas = Canvas::new(10);
        canvas.put(5, "b", bytes("bb")).put(1, "a", bytes("a")).put(7, "c", bytes("c"));
        assert_eq!(canvas.build().unwrap().inline_bytes().unwrap(), b"\0a\0\0\0bbc\0\0");
    }

    #[test]
    fn overlaps_and_overhangs_are_named() {
        let mut canvas = Canvas::new(10);
        canvas.put(4, "boot loader", bytes("xx")).put(2, "table", bytes("xxx"));
        let error = canvas.build().unwrap_err().to_string();
        assert_eq!(error, "boot loader at byte 4 lies on top of table, which ends at byte 5");
        let mut canvas = Canvas::new(4);
        canvas.put(3, "tail", bytes("xx"));
        assert_eq!(
            canvas.build().unwrap_err().to_string(),
            "tail at byte 3 has 2 bytes, the file ends at byte 4"
        );
        let mut canvas = Canvas::new(4);
        canvas.put(u64::MAX, "tail", bytes("xx"));
        assert!(canvas.build().is_err());
    }
}
