//! The grammar: what an open collection makes of the next token.

use super::super::error::{Error, Mark, Stage};
use super::super::node::Kind;
use super::super::token::TokenKind;
use super::{Composer, Context, Expect, Open};

/// The tokens that separate nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glance {
    BlockEntry,
    BlockEnd,
    FlowEntry,
    FlowSequenceEnd,
    FlowMappingEnd,
    Key,
    Value,
    Other,
}

/// Where messages say that a node without text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptyAt {
    IndicatorStart,
    IndicatorEnd,
    Next,
}

impl Composer<'_> {
    /// Whether the next token is an indicator that ends what came before it, and where it is.
    pub(super) fn glance(&mut self) -> Result<(Glance, Mark), Error> {
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
    pub(super) fn step(&mut self, start: Mark, expect: Expect) -> Result<(), Error> {
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
}

pub(super) fn unexpected(doing: &'static str, start: Mark, at: Mark, wanted: &str) -> Error {
    Error::load(Stage::Parser, Some((doing, start)), Some(at), format!("did not find expected {wanted}"))
}
