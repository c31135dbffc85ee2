//! Why a document cannot be read, in the words clients of the reference know.

use std::fmt;

/// A place in the text. Lines and columns count from zero here and from one in messages; columns
/// count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Characters before this place.
    pub index: usize,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}.C{}", self.line.saturating_add(1), self.column.saturating_add(1))
    }
}

/// The stage of loading that gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Reader,
    Scanner,
    Parser,
    Composer,
    Resolver,
    Constructor,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Scanner => "scanner",
            Self::Parser => "parser",
            Self::Composer => "composer",
            Self::Resolver => "resolver",
            Self::Constructor => "constructor",
        })
    }
}

/// A document that cannot be loaded at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    pub(super) stage: Stage,
    /// What was being read, and where that began.
    pub(super) context: Option<(&'static str, Mark)>,
    /// Where it went wrong.
    pub(super) at: Option<Mark>,
    pub(super) message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "go-yaml load error in {}", self.stage)?;
        if let Some((doing, _)) = self.context {
            write!(f, " ({doing})")?;
        }
        match (self.context, self.at) {
            (_, None) => f.write_str(" at <unknown position>")?,
            (Some((_, from)), Some(to)) if (from.line, from.column) != (to.line, to.column) => {
                if from.line == to.line {
                    write!(f, " at {from}-C{}", to.column.saturating_add(1))?;
                } else {
                    write!(f, " at {from}-{to}")?;
                }
            }
            (_, Some(to)) => write!(f, " at {to}")?,
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a document was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no document: the text is empty, or holds only comments.
    #[error("EOF")]
    Empty,
    /// The text is not YAML, or cannot be made into values.
    #[error("{0}")]
    Load(LoadError),
    /// The document is YAML, but not of the wanted shape. The mismatches in the order of reading: all
    /// of them, unless their messages are longer than anyone reads.
    #[error("yaml: construct errors: {}", .0.join("; "))]
    Construct(Vec<String>),
    /// The text is longer than allowed.
    #[error("the document has {len} bytes; at most {max} are allowed")]
    TooLong {
        /// Bytes of the text.
        len: usize,
        /// [`Limits::bytes`](super::Limits::bytes).
        max: usize,
    },
    /// There are more values than allowed, aliases followed.
    #[error("line {line}: the document has more than {max} values")]
    TooMany {
        /// Line of the value, from one.
        line: u32,
        /// [`Limits::nodes`](super::Limits::nodes).
        max: usize,
    },
    /// Values are nested deeper than allowed.
    #[error("line {line}: values are nested more than {max} levels deep")]
    TooDeep {
        /// Line of the value, from one.
        line: u32,
        /// [`Limits::depth`](super::Limits::depth).
        max: usize,
    },
    /// The values, aliases followed, would take more room than allowed.
    #[error("line {line}: the document grows beyond {max} bytes when its values are written out")]
    TooLarge {
        /// Line of the value, from one.
        line: u32,
        /// [`Limits::expanded_bytes`](super::Limits::expanded_bytes).
        max: usize,
    },
}

impl Error {
    pub(super) fn load(
        stage: Stage,
        context: Option<(&'static str, Mark)>,
        at: Option<Mark>,
        message: impl Into<String>,
    ) -> Self {
        Self::Load(LoadError { stage, context, at, message: message.into() })
    }
}
