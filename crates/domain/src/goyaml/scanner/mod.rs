//! Characters to tokens.
//!
//! YAML is read from the left but understood from the right: only at a `:` is it known that what
//! stood before was a key. Whatever may turn out to be a key is remembered as a [`Candidate`]; when
//! its `:` comes, a key token, and perhaps the start of a mapping, are put in front of it. Tokens are
//! handed out as late as this allows, and three at least are read ahead, so that errors far behind
//! are found exactly when clients of the reference expect them.

mod names;
mod scalars;

use std::collections::{BTreeMap, VecDeque};

use super::Limits;
use super::error::{Error, Mark, Stage};
use super::input::{END, Input};
use super::token::{Token, TokenKind, is_break, is_break_or_end, is_gap};

/// Nesting of flow collections and of block indentation, each.
const MAX_DEPTH: usize = 10_000;
/// Tokens a node may be written with: a comma, the marks of a key and a value, brackets, properties.
const TOKENS_PER_NODE: usize = 4;
/// Tokens kept ready beyond the one asked for.
const LOOK_AHEAD: usize = 2;

/// A place where a key without `?` may have begun.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Nothing but a key can stand here: the indentation says so.
    required: bool,
    /// Number of the token, counted from the start of the text.
    token: usize,
    mark: Mark,
}

/// Where the next character stands, as far as its meaning depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Where an entry of a flow collection begins: a colon may be its first character.
    FlowEntry,
    /// Behind the dash of a block sequence.
    BlockEntry,
    Other,
}

/// How far the lines of a block scalar are indented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockIndent {
    /// As far as the digit in its head says, or the first line that is not empty.
    Standard,
    /// As far as the emitter indents them. It always writes the digit 4 for a text that begins with a
    /// blank, and none for one that begins with a tab or an empty line, so that some of its texts are
    /// not what the standard makes of them.
    Emitted,
}

/// Splits a text into tokens on demand.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    input: Input<'a>,
    max_nodes: usize,
    block_indent: BlockIndent,
    /// Tokens read and not handed out.
    queue: VecDeque<Token>,
    /// Tokens handed out.
    taken: usize,
    position: Position,
    /// Column of the innermost block collection, -1 outside of all.
    indent: i64,
    outer_indents: Vec<i64>,
    /// The candidate of every flow level; the first is that of block context.
    candidates: Vec<Option<Candidate>>,
    /// Flow levels of the candidates by the numbers of their tokens.
    candidate_levels: BTreeMap<usize, usize>,
    key_allowed: bool,
    started: bool,
    ended: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8], block_indent: BlockIndent, limits: &Limits) -> Self {
        Self {
            max_nodes: limits.nodes,
            input: Input::new(bytes),
            block_indent,
            queue: VecDeque::new(),
            taken: 0,
            position: Position::Other,
            indent: -1,
            outer_indents: Vec::new(),
            candidates: vec![None],
            candidate_levels: BTreeMap::new(),
            key_allowed: true,
            started: false,
            ended: false,
        }
    }

    /// The next token; `StreamEnd` for ever after the last.
    ///
    /// # Errors
    /// [`Error::Load`] for text that is not YAML.
    pub fn peek(&mut self) -> Result<&Token, Error> {
        while !self.ended && (self.queue.len() <= LOOK_AHEAD || self.head_may_be_key()) {
            self.read_token()?;
            // A flow collection may be a key until its line ends, and waits for that as a whole.
            if self.queue.len() > self.max_nodes.saturating_mul(TOKENS_PER_NODE) {
                let line = self.input.mark().line.saturating_add(1);
                return Err(Error::TooMany { line, max: self.max_nodes });
            }
        }
        if self.queue.is_empty() {
            self.push(TokenKind::StreamEnd, self.input.mark());
        }
        self.queue.front().ok_or(Error::Empty)
    }

    /// Consumes the next token.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn take(&mut self) -> Result<Token, Error> {
        self.peek()?;
        self.taken += 1;
        self.queue.pop_front().ok_or(Error::Empty)
    }

    fn in_flow(&self) -> bool {
        self.candidates.len() > 1
    }

    /// Whether the first token of the queue is a candidate. It may even be one whose `:` can no longer
    /// come; the reference waits all the same until another takes its place.
    fn head_may_be_key(&self) -> bool {
        self.candidate_levels.contains_key(&self.taken)
    }

    /// The candidate of a flow level, unless its `:` can no longer come: both are on one line. YAML also
    /// wants them near each other; the reference does not.
    fn live_candidate(&self, level: usize) -> Option<Candidate> {
        let candidate = self.candidates.get(level).copied().flatten()?;
        (candidate.mark.line == self.input.mark().line).then_some(candidate)
    }

    fn drop_candidate(&mut self, level: usize) -> Result<(), Error> {
        let Some(candidate) = self.candidates.get_mut(level).and_then(Option::take) else { return Ok(()) };
        self.candidate_levels.remove(&candidate.token);
        if candidate.required {
            return Err(self.error(
                "while scanning a simple key",
                candidate.mark,
                "could not find expected ':'",
            ));
        }
        Ok(())
    }

    fn drop_own_candidate(&mut self) -> Result<(), Error> {
        self.drop_candidate(self.candidates.len() - 1)
    }

    /// What comes next may be a key.
    fn note_candidate(&mut self) -> Result<(), Error> {
        if !self.key_allowed {
            return Ok(());
        }
        self.drop_own_candidate()?;
        let mark = self.input.mark();
        let level = self.candidates.len() - 1;
        let candidate = Candidate {
            required: level == 0 && self.indent == i64::from(mark.column),
            token: self.taken + self.queue.len(),
            mark,
        };
        self.candidate_levels.insert(candidate.token, level);
        if let Some(own) = self.candidates.last_mut() {
            *own = Some(candidate);
        }
        Ok(())
    }

    fn error(&self, doing: &'static str, from: Mark, message: impl Into<String>) -> Error {
        Error::load(Stage::Scanner, Some((doing, from)), Some(self.input.mark()), message)
    }

    fn error_here(&self, message: &str) -> Error {
        Error::load(Stage::Scanner, None, Some(self.input.mark()), message)
    }

    /// Adds a token that begins at `start` and ends here.
    fn push(&mut self, kind: TokenKind, start: Mark) {
        self.position = match kind {
            TokenKind::FlowSequenceStart | TokenKind::FlowEntry => Position::FlowEntry,
            TokenKind::BlockEntry => Position::BlockEntry,
            _ => Position::Other,
        };
        self.queue.push_back(Token { kind, start, end: self.input.mark() });
    }

    /// Consumes `length` characters and adds them as a token.
    fn push_indicator(&mut self, kind: TokenKind, length: usize) {
        let start = self.input.mark();
        self.input.skip_many(length);
        self.push(kind, start);
    }

    fn read_token(&mut self) -> Result<(), Error> {
        if !self.started {
            self.started = true;
            self.push(TokenKind::StreamStart, self.input.mark());
            return Ok(());
        }
        let behind_last = self.input.mark();
        self.skip_to_token()?;
        let mark = self.input.mark();
        self.close_blocks(i64::from(mark.column), behind_last);
        let c = self.input.peek(0)?;
        if c == END {
            return self.read_end();
        }
        if mark.column == 0 {
            if c == '%' {
                self.leave_document()?;
                return self.read_directive();
            }
            if let Some(kind) = self.document_marker()? {
                self.leave_document()?;
                self.push_indicator(kind, 3);
                return Ok(());
            }
        }
        let next = self.input.peek(1)?;
        match c {
            '[' => self.open_flow(TokenKind::FlowSequenceStart),
            '{' => self.open_flow(TokenKind::FlowMappingStart),
            ']' => self.close_flow(TokenKind::FlowSequenceEnd),
            '}' => self.close_flow(TokenKind::FlowMappingEnd),
            ',' => {
                self.drop_own_candidate()?;
                self.key_allowed = true;
                self.push_indicator(TokenKind::FlowEntry, 1);
                Ok(())
            }
            '-' if is_gap(next) => self.read_block_entry(),
            '?' if is_gap(next) => self.read_key(),
            ':' if is_gap(next) || self.in_flow() && self.position != Position::FlowEntry => {
                self.read_value()
            }
            '*' | '&' => {
                self.note_candidate()?;
                self.key_allowed = false;
                self.read_anchor(c)
            }
            '!' => {
                self.note_candidate()?;
                self.key_allowed = false;
                self.read_tag()
            }
            '|' | '>' if !self.in_flow() => {
                self.drop_own_candidate()?;
                self.key_allowed = true;
                self.read_block_scalar(c)
            }
            '\'' | '"' => {
                self.note_candidate()?;
                self.key_allowed = false;
                self.read_quoted(c)
            }
            '-' | '?' | ':' => self.begin_plain(),
            '#' | '|' | '>' | '%' | '@' | '`' | '\t' => Err(self.error(
                "while scanning for the next token",
                mark,
                "found character that cannot start any token",
            )),
            _ => self.begin_plain(),
        }
    }

    fn begin_plain(&mut self) -> Result<(), Error> {
        self.note_candidate()?;
        self.key_allowed = false;
        self.read_plain()
    }

    /// Skips blanks, comments and line breaks.
    fn skip_to_token(&mut self) -> Result<(), Error> {
        loop {
            loop {
                match self.input.peek(0)? {
                    ' ' => self.input.skip(),
                    // A tab is no indentation.
                    '\t' if self.in_flow() || !self.key_allowed => self.input.skip(),
                    _ => break,
                }
            }
            if self.input.peek(0)? == '#' {
                while !is_break_or_end(self.input.peek(0)?) {
                    self.input.skip();
                }
            }
            if !is_break(self.input.peek(0)?) {
                return Ok(());
            }
            self.input.take_break()?;
            if !self.in_flow() {
                self.key_allowed = true;
            }
        }
    }

    /// `---` or `...` at the start of a line.
    fn document_marker(&mut self) -> Result<Option<TokenKind>, Error> {
        if self.input.mark().column != 0 || !is_gap(self.input.peek(3)?) {
            return Ok(None);
        }
        Ok(match [self.input.peek(0)?, self.input.peek(1)?, self.input.peek(2)?] {
            ['-', '-', '-'] => Some(TokenKind::DocumentStart),
            ['.', '.', '.'] => Some(TokenKind::DocumentEnd),
            _ => None,
        })
    }

    fn leave_document(&mut self) -> Result<(), Error> {
        self.close_blocks(-1, self.input.mark());
        self.drop_own_candidate()?;
        self.key_allowed = false;
        Ok(())
    }

    fn read_end(&mut self) -> Result<(), Error> {
        // The text ends as if with a line break; error messages count that line.
        if self.input.mark().column != 0 {
            self.input.end_line();
        }
        self.leave_document()?;
        self.ended = true;
        self.push(TokenKind::StreamEnd, self.input.mark());
        Ok(())
    }

    fn open_flow(&mut self, kind: TokenKind) -> Result<(), Error> {
        self.note_candidate()?;
        if self.candidates.len() > MAX_DEPTH {
            return Err(self.too_deep("while increasing flow level"));
        }
        self.candidates.push(None);
        self.key_allowed = true;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn close_flow(&mut self, kind: TokenKind) -> Result<(), Error> {
        self.drop_own_candidate()?;
        if self.in_flow() {
            self.candidates.pop();
        }
        self.key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn read_block_entry(&mut self) -> Result<(), Error> {
        if !self.in_flow() {
            if !self.key_allowed {
                return Err(self.error_here("block sequence entries are not allowed in this context"));
            }
            self.open_block(self.input.mark(), None, TokenKind::BlockSequenceStart)?;
        }
        self.drop_own_candidate()?;
        self.key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry, 1);
        Ok(())
    }

    fn read_key(&mut self) -> Result<(), Error> {
        if !self.in_flow() {
            if !self.key_allowed {
                return Err(self.error_here("mapping keys are not allowed in this context"));
            }
            self.open_block(self.input.mark(), None, TokenKind::BlockMappingStart)?;
        }
        self.drop_own_candidate()?;
        self.key_allowed = !self.in_flow();
        self.push_indicator(TokenKind::Key, 1);
        Ok(())
    }

    fn read_value(&mut self) -> Result<(), Error> {
        let level = self.candidates.len() - 1;
        if let Some(candidate) = self.live_candidate(level) {
            let place = candidate.token.saturating_sub(self.taken);
            let key = Token { kind: TokenKind::Key, start: candidate.mark, end: candidate.mark };
            self.queue.insert(place.min(self.queue.len()), key);
            self.open_block(candidate.mark, Some(place), TokenKind::BlockMappingStart)?;
            self.candidate_levels.remove(&candidate.token);
            if let Some(own) = self.candidates.last_mut() {
                *own = None;
            }
            self.key_allowed = false;
        } else {
            if !self.in_flow() {
                if !self.key_allowed {
                    return Err(self.error_here("mapping values are not allowed in this context"));
                }
                self.open_block(self.input.mark(), None, TokenKind::BlockMappingStart)?;
            }
            self.key_allowed = !self.in_flow();
        }
        self.push_indicator(TokenKind::Value, 1);
        Ok(())
    }

    /// Begins a block collection at `mark` if it is indented further than the one around it. The token
    /// goes to `place` of the queue, or to its end.
    fn open_block(&mut self, mark: Mark, place: Option<usize>, kind: TokenKind) -> Result<(), Error> {
        let column = i64::from(mark.column);
        if self.in_flow() || self.indent >= column {
            return Ok(());
        }
        self.outer_indents.push(self.indent);
        self.indent = column;
        if self.outer_indents.len() > MAX_DEPTH {
            return Err(self.too_deep("while increasing indent level"));
        }
        let token = Token { kind, start: mark, end: mark };
        self.queue.insert(place.unwrap_or(usize::MAX).min(self.queue.len()), token);
        Ok(())
    }

    /// Ends the block collections that are indented further than `column`; `at` is where messages say
    /// they end.
    fn close_blocks(&mut self, column: i64, at: Mark) {
        if self.in_flow() {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, at);
            self.indent = self.outer_indents.pop().unwrap_or(-1);
        }
    }

    fn too_deep(&self, doing: &'static str) -> Error {
        self.error(doing, self.input.mark(), format!("exceeded max depth of {MAX_DEPTH}"))
    }
}
