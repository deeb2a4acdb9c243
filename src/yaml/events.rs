//! From tokens to the beginnings, leaves and ends of one document.
//!
//! Source: the behaviour of go-yaml v3, `parserc.go`.

use std::borrow::Cow;

use super::scan::{self, Form, Malformed, Scanned, Scanner, Token};
use crate::value::Tag;

/// A part of a document.
#[derive(Debug)]
pub(super) enum Event<'a> {
    Scalar {
        text: Cow<'a, str>,
        form: Form,
        tag: Option<Tag>,
        anchor: Option<&'a str>,
    },
    Alias(&'a str),
    List(Opening<'a>),
    Map(Opening<'a>),
    /// The end of a list or mapping.
    End,
    /// The end of the document.
    DocumentEnd,
}

/// An event with the bytes before it.
pub(super) type Found<'a> = (Event<'a>, usize);

/// The beginning of a list or mapping.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) anchor: Option<&'a str>,
    /// Whether it stands in brackets.
    pub(super) flow: bool,
}

/// Reads the first document of a text.
pub(super) struct Events<'a> {
    scanner: Scanner<'a>,
    /// What is expected within each open collection, the innermost last.
    states: Vec<State>,
    begun: bool,
    /// `%TAG`: what a handle stands for.
    handles: Vec<(&'a str, &'a str)>,
    /// How many tokens behind the document have to be well-formed.
    tokens_behind: usize,
}

/// What is expected next.
#[derive(Clone, Copy, Debug)]
enum State {
    BlockEntry,
    /// An entry of a list that stands no deeper than the key that holds it.
    LooseEntry,
    BlockKey,
    BlockValue,
    /// The value of a key whose colon is taken.
    BlockRest,
    FlowEntry {
        first: bool,
    },
    /// Key, value, value behind a colon that is taken, and end of `[key: value]`.
    PairKey,
    PairValue,
    PairRest,
    PairEnd,
    FlowKey {
        first: bool,
    },
    FlowValue,
    FlowRest,
    /// The value of a key without a colon.
    NoValue,
}

impl<'a> Events<'a> {
    /// go-yaml v3 looks at two or three tokens behind the document, v2 at one.
    pub(super) fn new(text: &'a str, tokens_behind: usize) -> Self {
        Self {
            scanner: Scanner::new(text),
            states: Vec::new(),
            begun: false,
            handles: Vec::new(),
            tokens_behind,
        }
    }

    /// As [`Scanner::comments`].
    #[cfg(feature = "sops")]
    pub(super) fn comments(&mut self) -> Vec<usize> {
        self.scanner.comments()
    }

    /// The next event and where it begins; `None` at first where there is no document.
    pub(super) fn next(&mut self) -> Scanned<Option<Found<'a>>> {
        if !self.begun {
            self.begun = true;
            return self.document();
        }
        let Some(state) = self.states.last().copied() else {
            // What comes behind is not read, but a mistake right there is reported.
            let at = self.scanner.look_ahead(self.tokens_behind)?;
            return Ok(Some((Event::DocumentEnd, at)));
        };
        self.step(state).map(Some)
    }

    fn document(&mut self) -> Scanned<Option<Found<'a>>> {
        let directives = self.scanner.directives(&mut self.handles)?;
        let (token, at) = self.scanner.peek()?;
        let at = *at;
        match token {
            Token::DocumentStart => {
                self.scanner.next()?;
                let at = self.scanner.mark()?;
                if self.follows(|token| {
                    matches!(token, Token::DocumentStart | Token::DocumentEnd | Token::End)
                })? {
                    return Ok(Some(empty(at)));
                }
            }
            _ if directives => {
                return Err(Malformed::new(at, "a \"%\" line has to be followed by \"---\""));
            }
            Token::End => return Ok(None),
            _ => {}
        }
        self.node(true, false).map(Some)
    }

    fn step(&mut self, state: State) -> Scanned<Found<'a>> {
        match state {
            State::BlockEntry => self.block_entry(),
            State::LooseEntry => self.loose_entry(),
            State::BlockKey => self.block_key(),
            State::BlockValue => self.block_value(),
            State::BlockRest => {
                self.become_state(State::BlockKey);
                self.node_unless(is_block_mark, true, true)
            }
            State::FlowEntry { first } => self.flow_entry(first),
            State::PairKey => match self.simple_key(State::PairRest)? {
                Some(found) => Ok(found),
                None => {
                    self.become_state(State::PairValue);
                    self.node_unless(is_flow_end, false, false)
                }
            },
            State::PairRest => self.flow_rest(State::PairEnd),
            State::PairValue => self.flow_value(State::PairEnd),
            State::PairEnd => {
                let at = self.scanner.mark()?;
                self.states.pop();
                Ok((Event::End, at))
            }
            State::FlowKey { first } => self.flow_key(first),
            State::FlowRest => self.flow_rest(State::FlowKey { first: false }),
            State::FlowValue => self.flow_value(State::FlowKey { first: false }),
            State::NoValue => {
                self.become_state(State::FlowKey { first: false });
                Ok(empty(self.scanner.mark()?))
            }
        }
    }

    fn block_entry(&mut self) -> Scanned<Found<'a>> {
        match self.scanner.peek()? {
            (Token::Entry, _) => {
                self.scanner.next()?;
                self.node_unless(|t| matches!(t, Token::Entry | Token::BlockEnd), true, false)
            }
            (Token::BlockEnd, _) => self.end(),
            (_, at) => Err(Malformed::new(*at, "the list around this goes on with \"-\" only")
                .hint("check the indentation of this line and of those above it")),
        }
    }

    fn loose_entry(&mut self) -> Scanned<Found<'a>> {
        let (token, at) = self.scanner.peek()?;
        if !matches!(token, Token::Entry) {
            let at = *at;
            self.states.pop();
            return Ok((Event::End, at));
        }
        self.scanner.next()?;
        self.node_unless(|t| matches!(t, Token::Entry) || is_block_mark(t), true, false)
    }

    /// Takes a key that is one token with its colon, where one is next.
    fn simple_key(&mut self, after: State) -> Scanned<Option<Found<'a>>> {
        if !self.follows(|token| matches!(token, Token::SimpleKey { .. }))? {
            return Ok(None);
        }
        self.become_state(after);
        let (Token::SimpleKey { text, form }, at) = self.scanner.next()? else { return Ok(None) };
        Ok(Some((Event::Scalar { text, form, tag: None, anchor: None }, at)))
    }

    fn block_key(&mut self) -> Scanned<Found<'a>> {
        if let Some(found) = self.simple_key(State::BlockRest)? {
            return Ok(found);
        }
        match self.scanner.peek()? {
            (Token::Key, _) => {
                self.scanner.next()?;
                self.become_state(State::BlockValue);
                self.node_unless(is_block_mark, true, true)
            }
            (Token::BlockEnd, _) => self.end(),
            (token, at) => Err(Malformed::new(
                *at,
                match token {
                    Token::Entry => "a list entry where a key is due",
                    _ => "the mapping around this goes on with a key only",
                },
            )
            .hint("check the indentation of this line and of those above it")),
        }
    }

    fn block_value(&mut self) -> Scanned<Found<'a>> {
        self.become_state(State::BlockKey);
        let (token, at) = self.scanner.peek()?;
        if !matches!(token, Token::Value) {
            return Ok(empty(*at));
        }
        self.scanner.next()?;
        self.node_unless(is_block_mark, true, true)
    }

    fn flow_entry(&mut self, first: bool) -> Scanned<Found<'a>> {
        self.become_state(State::FlowEntry { first: false });
        self.comma(first, |token| matches!(token, Token::FlowListEnd), "[")?;
        match self.scanner.peek()? {
            (Token::FlowListEnd, _) => self.end(),
            (Token::Key | Token::SimpleKey { .. }, at) => {
                let at = *at;
                if self.follows(|token| matches!(token, Token::Key))? {
                    self.scanner.next()?;
                }
                self.states.push(State::PairKey);
                Ok((Event::Map(Opening { anchor: None, flow: true }), at))
            }
            _ => self.node(false, false),
        }
    }

    fn flow_key(&mut self, first: bool) -> Scanned<Found<'a>> {
        self.become_state(State::FlowKey { first: false });
        self.comma(first, |token| matches!(token, Token::FlowMapEnd), "{")?;
        if let Some(found) = self.simple_key(State::FlowRest)? {
            return Ok(found);
        }
        match self.scanner.peek()? {
            (Token::FlowMapEnd, _) => self.end(),
            (Token::Key, _) => {
                self.scanner.next()?;
                self.become_state(State::FlowValue);
                self.node_unless(is_flow_end, false, false)
            }
            _ => {
                self.become_state(State::NoValue);
                self.node(false, false)
            }
        }
    }

    fn flow_value(&mut self, after: State) -> Scanned<Found<'a>> {
        self.become_state(after);
        let (token, at) = self.scanner.peek()?;
        if !matches!(token, Token::Value) {
            return Ok(empty(*at));
        }
        self.scanner.next()?;
        self.node_unless(is_flow_end, false, false)
    }

    fn flow_rest(&mut self, after: State) -> Scanned<Found<'a>> {
        self.become_state(after);
        self.node_unless(is_flow_end, false, false)
    }

    /// Takes the comma between two entries.
    fn comma(&mut self, first: bool, ends: fn(&Token<'_>) -> bool, bracket: &str) -> Scanned<()> {
        let (token, at) = self.scanner.peek()?;
        if first || ends(token) {
            return Ok(());
        }
        if matches!(token, Token::Comma) {
            self.scanner.next()?;
            return Ok(());
        }
        Err(Malformed::new(*at, format!("a comma or the end of \"{bracket}\" is due"))
            .hint("put a value that begins with a bracket in quotes, if it is text"))
    }

    /// A node, or an empty one where `absent` holds for the next token.
    fn node_unless(
        &mut self,
        absent: fn(&Token<'_>) -> bool,
        block: bool,
        loose: bool,
    ) -> Scanned<Found<'a>> {
        let at = self.scanner.mark()?;
        if self.follows(absent)? { Ok(empty(at)) } else { self.node(block, loose) }
    }

    /// A node; `loose` allows a list that stands no deeper than its key.
    fn node(&mut self, block: bool, loose: bool) -> Scanned<Found<'a>> {
        let start = self.scanner.mark()?;
        let (anchor, tag) = self.properties()?;
        let opening = |flow| Opening { anchor, flow };
        let (token, at) = self.scanner.peek()?;
        let (state, event) = match token {
            Token::Entry if loose => {
                self.states.push(State::LooseEntry);
                return Ok((Event::List(opening(false)), start));
            }
            Token::Alias(_) | Token::Scalar { .. } => return self.leaf(anchor, tag, start),
            Token::FlowListStart => (State::FlowEntry { first: true }, Event::List(opening(true))),
            Token::FlowMapStart => (State::FlowKey { first: true }, Event::Map(opening(true))),
            Token::ListStart if block => (State::BlockEntry, Event::List(opening(false))),
            Token::MapStart if block => (State::BlockKey, Event::Map(opening(false))),
            _ if anchor.is_some() || tag.is_some() => {
                let text = Cow::Borrowed("");
                let tag = tag.flatten();
                return Ok((Event::Scalar { text, form: Form::Plain, tag, anchor }, start));
            }
            token => return Err(no_value(token, *at)),
        };
        self.scanner.next()?;
        self.states.push(state);
        Ok((event, start))
    }

    fn leaf(
        &mut self,
        anchor: Option<&'a str>,
        tag: Option<Option<Tag>>,
        start: usize,
    ) -> Scanned<Found<'a>> {
        match self.scanner.next()? {
            (Token::Scalar { text, form }, _) => {
                Ok((Event::Scalar { text, form, tag: tag.flatten(), anchor }, start))
            }
            (Token::Alias(name), _) if anchor.is_none() && tag.is_none() => {
                Ok((Event::Alias(name), start))
            }
            (_, at) => Err(Malformed::new(at, "an alias has neither anchor nor tag of its own")),
        }
    }

    /// The anchor and the tag before a node; the tag `!` says nothing.
    fn properties(&mut self) -> Scanned<(Option<&'a str>, Option<Option<Tag>>)> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            match self.scanner.peek()? {
                (Token::Anchor(name), _) if anchor.is_none() => anchor = Some(*name),
                (Token::Tag(found), at) if tag.is_none() => {
                    tag = Some(resolve(found, &self.handles, *at)?);
                }
                _ => return Ok((anchor, tag)),
            }
            self.scanner.next()?;
        }
    }

    fn end(&mut self) -> Scanned<Found<'a>> {
        let (_, at) = self.scanner.next()?;
        self.states.pop();
        Ok((Event::End, at))
    }

    fn become_state(&mut self, state: State) {
        if let Some(top) = self.states.last_mut() {
            *top = state;
        }
    }

    fn follows(&mut self, is: impl Fn(&Token<'_>) -> bool) -> Scanned<bool> {
        Ok(is(&self.scanner.peek()?.0))
    }
}

fn is_block_mark(token: &Token<'_>) -> bool {
    matches!(token, Token::Key | Token::SimpleKey { .. } | Token::Value | Token::BlockEnd)
}

fn is_flow_end(token: &Token<'_>) -> bool {
    matches!(token, Token::Value | Token::Comma | Token::FlowMapEnd | Token::FlowListEnd)
}

fn empty<'a>(at: usize) -> Found<'a> {
    (Event::Scalar { text: Cow::Borrowed(""), form: Form::Plain, tag: None, anchor: None }, at)
}

fn no_value(token: &Token<'_>, at: usize) -> Box<Malformed> {
    let message = match token {
        Token::End => "the text ends where a value is due",
        Token::Comma => "a comma where a value is due",
        Token::Value => "a colon where a value is due",
        Token::FlowListEnd | Token::FlowMapEnd => "a closing bracket that was not opened",
        Token::Entry => "a list entry between brackets",
        _ => "a value is due here",
    };
    Malformed::new(at, message)
}

/// The type that a tag names: that of YAML's own tags, and text for all others.
fn resolve(tag: &scan::Tag<'_>, handles: &[(&str, &str)], at: usize) -> Scanned<Option<Tag>> {
    let Some(whole) = tag.whole(handles) else {
        let message = format!("tag handle \"{}\" is not declared", tag.handle);
        return Err(Malformed::new(at, message).hint("put the value in quotes, if it is no tag"));
    };
    if whole == "!" {
        return Ok(None);
    }
    Ok(Some(match whole.strip_prefix(scan::YAML) {
        Some("null") => Tag::Null,
        Some("bool") => Tag::Bool,
        Some("int") => Tag::Int,
        Some("float") => Tag::Float,
        Some("timestamp") => Tag::Timestamp,
        Some("binary") => Tag::Binary,
        Some("merge") => Tag::Merge,
        _ => Tag::Str,
    }))
}
