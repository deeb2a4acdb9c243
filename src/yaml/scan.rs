//! From text to tokens, by the rules of libyaml, from which go-yaml descends.
//!
//! A scanner of our own, because what a file means and whether it is refused has to agree with
//! kustomize, and because reading is most of a build. It works on bytes, borrows scalars that need no
//! unescaping, and decides at once whether a scalar is a key, so that no token waits for another.
//!
//! Two things of YAML are left out, since kustomize refuses them later: collections as keys, and
//! more than one anchor or tag on a node.
//!
//! Source: the behaviour of go-yaml v3, `scannerc.go`.

use std::borrow::Cow;

use crate::find;

/// Characters between the beginning of a key and its colon.
/// Source: YAML 1.2, 7.4.2, "Implicit keys are restricted to a single line and 1024 characters".
const KEY_CHARACTERS: usize = 1024;

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct Malformed {
    /// Bytes before the mistake.
    pub(super) at: usize,
    pub(super) message: Cow<'static, str>,
    pub(super) hint: Option<&'static str>,
}

/// An outcome of scanning.
pub(super) type Scanned<T> = std::result::Result<T, Box<Malformed>>;

/// A unit of the text.
#[derive(Debug)]
pub(super) enum Token<'a> {
    End,
    DocumentStart,
    DocumentEnd,
    /// The beginning of a block sequence, a block mapping, and the end of either.
    ListStart,
    MapStart,
    BlockEnd,
    /// `-`, `?` or a scalar that is a key, and `:`.
    Entry,
    Key,
    Value,
    /// `[` or `{`, `]`, `}` and `,`.
    FlowListStart,
    FlowMapStart,
    FlowListEnd,
    FlowMapEnd,
    Comma,
    Anchor(&'a str),
    Tag(Tag<'a>),
    Alias(&'a str),
    Scalar {
        text: Cow<'a, str>,
        form: Form,
    },
    /// `Key`, `Scalar` and `Value` in one: a scalar that is a key, with its colon.
    SimpleKey {
        text: Cow<'a, str>,
        form: Form,
    },
}

/// How a scalar is written, as far as it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Plain,
    /// In quotes.
    Quoted,
    /// As a block that begins with `|`.
    Literal,
    /// As a block that begins with `>`.
    Folded,
}

/// A tag as it is written.
#[derive(Clone, Debug)]
pub(super) struct Tag<'a> {
    /// `!`, `!!` or `!name!`; empty for `!<whole>`.
    pub(super) handle: &'a str,
    pub(super) suffix: &'a str,
}

/// What the tags of YAML itself begin with.
pub(super) const YAML: &str = "tag:yaml.org,2002:";

impl Tag<'_> {
    /// What it stands for; `None` where nothing declares its handle. `handles` is what `%TAG` declares.
    pub(super) fn whole(&self, handles: &[(&str, &str)]) -> Option<String> {
        let prefix = match (handles.iter().find(|(handle, _)| *handle == self.handle), self.handle)
        {
            (Some((_, prefix)), _) => prefix,
            (None, "!!") => YAML,
            (None, handle @ ("" | "!")) => handle,
            (None, _) => return None,
        };
        Some(format!("{prefix}{}", self.suffix))
    }
}

/// Reads tokens off a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Bytes before the next character.
    at: usize,
    /// Bytes before the line that it is on.
    line_start: usize,
    /// Tokens that are found and not taken yet, with the bytes before them; the first is at `taken`.
    queue: Vec<(Token<'a>, usize)>,
    taken: usize,
    /// Columns of the block collections that are open, the innermost last.
    indents: Vec<usize>,
    /// Open `[` and `{`.
    flow: usize,
    /// Whether a key may begin here.
    key_allowed: bool,
    /// Whether a collection in brackets may be a key, which no object has; who asks for it makes the key.
    takes_any_key: bool,
    /// Whether a key was allowed where the last bracket was opened, and where the anchor or tag before the
    /// next one stands.
    key_allowed_at_bracket: bool,
    key_allowed_before_bracket: bool,
    /// Bytes before each comment that was passed, for who asked.
    comments: Option<Vec<usize>>,
}

/// Bit of the bytes that may end a plain scalar.
const BLOCK: u8 = 1;
/// Bit of the bytes that may end one between brackets.
const FLOW: u8 = 2;

/// Bytes at which a plain scalar may end.
static STOPS: [u8; 256] = {
    let mut stops = [0; 256];
    let everywhere = b": \t\n\xe2";
    let mut i = 0;
    while i < everywhere.len() {
        stops[everywhere[i] as usize] = BLOCK | FLOW;
        i += 1;
    }
    let between_brackets = b",?[]{}";
    i = 0;
    while i < between_brackets.len() {
        stops[between_brackets[i] as usize] = FLOW;
        i += 1;
    }
    stops
};

impl<'a> Scanner<'a> {
    /// A scanner of `text`, which has neither carriage returns nor U+0085.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            line_start: 0,
            queue: Vec::with_capacity(8),
            taken: 0,
            indents: Vec::new(),
            flow: 0,
            key_allowed: true,
            takes_any_key: false,
            key_allowed_at_bracket: true,
            key_allowed_before_bracket: false,
            comments: None,
        }
    }

    /// Notes from now on where comments are, and gives the notes taken so far.
    #[cfg(feature = "sops")]
    pub(super) fn comments(&mut self) -> Vec<usize> {
        self.comments.replace(Vec::new()).unwrap_or_default()
    }

    fn note_comment(&mut self) {
        if let Some(comments) = &mut self.comments {
            comments.push(self.at);
        }
    }

    /// Allows collections in brackets as keys; see [`Scanner::key_in_brackets`].
    pub(super) fn with_any_key(mut self) -> Self {
        self.takes_any_key = true;
        self
    }

    /// Whether what begins with the bracket that was just opened may be a key, and whether it has to be.
    pub(super) fn bracket(&self, at: usize) -> (bool, bool) {
        let column = at - self.line_start;
        let is_due = self.flow == 1 && self.indents.last() == Some(&column);
        (self.key_allowed_at_bracket, self.key_allowed_at_bracket && is_due)
    }

    /// Makes a key of the collection whose brackets have just closed, if a colon follows; `tokens` has its
    /// tokens from `first` on.
    pub(super) fn key_in_brackets(
        &mut self,
        tokens: &mut Vec<(Token<'a>, usize)>,
        first: usize,
    ) -> bool {
        let start = tokens[first].1;
        if !self.colon_follows(start) {
            return false;
        }
        let column = start - self.line_start;
        tokens.insert(first, (Token::Key, start));
        if self.flow == 0 && self.indents.last().is_none_or(|&indent| indent < column) {
            self.indents.push(column);
            tokens.insert(first, (Token::MapStart, start));
        }
        tokens.push((Token::Value, self.at));
        self.skip(1);
        true
    }

    /// Reads the next tokens off the text and moves all that are there to `tokens`.
    pub(super) fn fetch_into(&mut self, tokens: &mut Vec<(Token<'a>, usize)>) -> Scanned<()> {
        self.peek()?;
        tokens.extend(self.queue.drain(self.taken..));
        Ok(())
    }

    /// Bytes before what is read next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Columns of the block collections that are open, the innermost last.
    pub(super) fn indents(&self) -> &[usize] {
        &self.indents
    }

    /// Whether a bracket is open.
    pub(super) fn in_flow(&self) -> bool {
        self.flow > 0
    }

    /// Whether tabs count as blanks here.
    pub(super) fn allows_tabs(&self) -> bool {
        self.flow > 0 || !self.key_allowed
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Scanned<&(Token<'a>, usize)> {
        while self.taken == self.queue.len() {
            self.queue.clear();
            self.taken = 0;
            self.fetch()?;
        }
        Ok(&self.queue[self.taken])
    }

    /// Takes the next token away.
    pub(super) fn next(&mut self) -> Scanned<(Token<'a>, usize)> {
        self.peek()?;
        let token = std::mem::replace(&mut self.queue[self.taken], (Token::End, self.at));
        self.taken += 1;
        Ok(token)
    }

    /// Looks at the next tokens, up to the end, and gives the place of the first.
    pub(super) fn look_ahead(&mut self, tokens: usize) -> Scanned<usize> {
        while self.queue.len() < self.taken + tokens
            && !matches!(self.queue.last(), Some((Token::End, _)))
        {
            self.fetch()?;
        }
        self.mark()
    }

    /// Where the next token begins, once it is peeked at.
    pub(super) fn mark(&mut self) -> Scanned<usize> {
        Ok(self.peek()?.1)
    }

    /// Reads the `%` lines before a document, and says whether there are any.
    ///
    /// `handles` takes what `%TAG` declares.
    pub(super) fn directives(&mut self, handles: &mut Vec<(&'a str, &'a str)>) -> Scanned<bool> {
        let mut found = false;
        loop {
            self.skip_to_token();
            if self.column() != 0 || self.byte(0) != Some(b'%') {
                return Ok(found);
            }
            found = true;
            let at = self.at;
            let line = self.line().split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next(), words.next(), words.next()) {
                (Some("%YAML"), Some("1.1"), None, None) => {}
                (Some("%YAML"), ..) => {
                    return Err(
                        Malformed::new(at, "kustomize reads YAML 1.1 only").hint("remove the line")
                    );
                }
                (Some("%TAG"), Some(handle), Some(prefix), None) => handles.push((handle, prefix)),
                _ => return Err(Malformed::new(at, "unknown directive").hint("remove the line")),
            }
        }
    }

    fn fetch(&mut self) -> Scanned<()> {
        self.skip_to_token();
        self.close_blocks(Some(self.column()));
        let Some(first) = self.byte(0) else { return self.end() };
        if self.column() == 0 {
            if self.document_indicator(b"---") {
                return self.document(Token::DocumentStart);
            }
            if self.document_indicator(b"...") {
                return self.document(Token::DocumentEnd);
            }
            // They belong to the next document, which nobody reads.
            let rest = &self.text[self.at..];
            if rest.starts_with("%YAML ") || rest.starts_with("%TAG ") {
                return match is_directive(rest.split(is_break).next().unwrap_or_default()) {
                    true => self.end(),
                    false => Err(Malformed::new(self.at, "unknown directive")
                        .hint("put the value in quotes, if it is none")),
                };
            }
        }
        let blank_follows = self.blank_follows(1);
        let in_flow = self.flow > 0;
        match first {
            b'[' => self.flow_start(Token::FlowListStart),
            b'{' => self.flow_start(Token::FlowMapStart),
            b']' => self.flow_end(Token::FlowListEnd),
            b'}' => self.flow_end(Token::FlowMapEnd),
            b',' => self.comma(),
            b'-' if blank_follows => self.entry(),
            b'?' if in_flow || blank_follows => self.key(),
            b':' if in_flow || blank_follows => self.value(),
            b'|' | b'>' if !in_flow => self.block_scalar(first == b'|'),
            b'*' | b'&' | b'!' | b'\'' | b'"' => self.node(),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => Err(self.no_token(first)),
            _ => self.node(),
        }
    }

    fn no_token(&self, first: u8) -> Box<Malformed> {
        let c = char::from(first);
        match first {
            b'\t' => {
                Malformed::new(self.at, "a tab is used as indentation").hint("indent with spaces")
            }
            _ => Malformed::new(self.at, format!("a value cannot begin with \"{c}\""))
                .hint("put the value in quotes"),
        }
    }

    /// Bytes before here on this line; where it counts, all of them are spaces and indicators.
    fn column(&self) -> usize {
        self.at - self.line_start
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn push(&mut self, token: Token<'a>, at: usize) {
        self.queue.push((token, at));
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Goes over a line break of `bytes`.
    fn skip_break(&mut self, bytes: usize) {
        self.at += bytes;
        self.line_start = self.at;
    }

    /// Bytes of the line break that stands `ahead`, 0 for none.
    fn break_at(&self, ahead: usize) -> usize {
        break_length(&self.bytes[(self.at + ahead).min(self.bytes.len())..])
    }

    fn break_follows(&self, ahead: usize) -> bool {
        self.break_at(ahead) > 0
    }

    /// Whether a space, tab, line break or the end stands `ahead`.
    fn blank_follows(&self, ahead: usize) -> bool {
        match self.byte(ahead) {
            None | Some(b' ' | b'\t' | b'\n') => true,
            Some(0xe2) => self.break_follows(ahead),
            Some(_) => false,
        }
    }

    fn skip_to_token(&mut self) {
        loop {
            let tabs = self.flow > 0 || !self.key_allowed;
            while matches!(self.byte(0), Some(b' ')) || tabs && self.byte(0) == Some(b'\t') {
                self.skip(1);
            }
            if self.byte(0) == Some(b'#') {
                self.skip_comments();
            }
            match self.break_at(0) {
                0 => return,
                length => self.skip_break(length),
            }
            if self.flow == 0 {
                self.key_allowed = true;
            }
        }
    }

    /// Goes over a comment; where it stands on a line of its own, over those that follow it too,
    /// for which go-yaml v3 allows tabs as indentation.
    fn skip_comments(&mut self) {
        let before = &self.bytes[self.line_start..self.at];
        let own_line = before.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'-'));
        self.note_comment();
        self.skip_line();
        while own_line && let Some(next) = self.next_comment() {
            self.at = next;
            self.note_comment();
            self.skip_line();
        }
    }

    /// Where the next comment begins, if nothing but blanks and line breaks comes before it.
    fn next_comment(&mut self) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n')).count();
        let line_break = find::last_byte(b'\n', &rest[..blanks])?;
        if rest.get(blanks) != Some(&b'#') {
            return None;
        }
        self.line_start = self.at + line_break + 1;
        // As at every line break.
        self.key_allowed |= self.flow == 0;
        Some(self.at + blanks)
    }

    /// Goes to the end of the line.
    fn skip_line(&mut self) {
        loop {
            let rest = &self.bytes[self.at..];
            let Some(next) = find::either([b'\n', 0xe2], rest) else {
                self.at = self.bytes.len();
                return;
            };
            self.skip(next);
            if self.break_follows(0) {
                return;
            }
            self.skip(1);
        }
    }

    fn document_indicator(&self, indicator: &[u8; 3]) -> bool {
        self.bytes[self.at..].starts_with(indicator) && self.blank_follows(3)
    }

    fn document(&mut self, token: Token<'a>) -> Scanned<()> {
        self.close_blocks(None);
        self.key_allowed = false;
        self.push(token, self.at);
        self.skip(3);
        Ok(())
    }

    fn end(&mut self) -> Scanned<()> {
        self.close_blocks(None);
        self.key_allowed = false;
        self.push(Token::End, self.at);
        Ok(())
    }

    /// Ends the block collections that stand deeper than `column`; all of them for `None`.
    fn close_blocks(&mut self, column: Option<usize>) {
        if self.flow > 0 {
            return;
        }
        while self.indents.last().is_some_and(|&indent| column.is_none_or(|column| indent > column))
        {
            self.indents.pop();
            self.push(Token::BlockEnd, self.at);
        }
    }

    /// Begins a block collection where `at` stands deeper than the one that is open.
    fn open_block(&mut self, token: Token<'a>, at: usize) {
        let column = at - self.line_start;
        if self.flow == 0 && self.indents.last().is_none_or(|&indent| indent < column) {
            self.indents.push(column);
            self.push(token, at);
        }
    }

    fn flow_start(&mut self, token: Token<'a>) -> Scanned<()> {
        // Here a key is due, and a collection is none.
        let is_key_due =
            self.key_allowed && self.flow == 0 && self.indents.last() == Some(&self.column());
        if is_key_due && !self.takes_any_key {
            return Err(Malformed::new(self.at, "a bracket where a key is due")
                .hint("indent it deeper than the key it belongs to"));
        }
        self.key_allowed_at_bracket =
            std::mem::take(&mut self.key_allowed_before_bracket) || self.key_allowed;
        self.push(token, self.at);
        self.flow += 1;
        self.key_allowed = true;
        self.skip(1);
        Ok(())
    }

    fn flow_end(&mut self, token: Token<'a>) -> Scanned<()> {
        self.flow = self.flow.saturating_sub(1);
        self.key_allowed = false;
        self.push(token, self.at);
        self.skip(1);
        Ok(())
    }

    fn comma(&mut self) -> Scanned<()> {
        self.key_allowed = true;
        self.push(Token::Comma, self.at);
        self.skip(1);
        Ok(())
    }

    fn entry(&mut self) -> Scanned<()> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Err(Malformed::new(self.at, "a list cannot begin here")
                    .hint("let it begin on a line of its own"));
            }
            self.open_block(Token::ListStart, self.at);
        }
        self.key_allowed = true;
        self.push(Token::Entry, self.at);
        self.skip(1);
        Ok(())
    }

    fn key(&mut self) -> Scanned<()> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Err(Malformed::new(self.at, "a key cannot begin here"));
            }
            self.open_block(Token::MapStart, self.at);
        }
        self.key_allowed = self.flow == 0;
        self.push(Token::Key, self.at);
        self.skip(1);
        Ok(())
    }

    /// A colon that follows no scalar on its line.
    fn value(&mut self) -> Scanned<()> {
        if self.flow == 0 {
            if !self.key_allowed {
                return Err(Malformed::new(self.at, "a \": \" cannot stand here")
                    .hint("put the value in quotes, or let the mapping begin on the next line"));
            }
            self.open_block(Token::MapStart, self.at);
        }
        self.key_allowed = self.flow == 0;
        self.push(Token::Value, self.at);
        self.skip(1);
        Ok(())
    }

    /// A scalar or alias with what stands before it on its line, which together may be a key.
    fn node(&mut self) -> Scanned<()> {
        let start = self.at;
        let may_be_key = self.key_allowed;
        let required = may_be_key && self.flow == 0 && self.indents.last() == Some(&self.column());
        self.key_allowed = false;
        let first = self.queue.len();
        let whole = self.properties()?;
        if may_be_key && (whole || self.queue.len() > first) && self.colon_follows(start) {
            self.make_key(first, start);
        } else if self.takes_any_key && !whole && matches!(self.byte(0), Some(b'[' | b'{')) {
            self.key_allowed_before_bracket = may_be_key;
        } else if required {
            return Err(Malformed::new(start, "a key without \":\""));
        }
        Ok(())
    }

    /// Reads anchors and tags and then a scalar or alias; false where there is none on this line.
    fn properties(&mut self) -> Scanned<bool> {
        // One of each is allowed. With a third the events find the mistake.
        for _ in 0..2 {
            let at = self.at;
            let token = match self.byte(0) {
                Some(b'&') => Token::Anchor(self.name()?),
                Some(b'!') => Token::Tag(self.tag()?),
                _ => break,
            };
            self.push(token, at);
            while matches!(self.byte(0), Some(b' ' | b'\t')) {
                self.skip(1);
            }
        }
        let at = self.at;
        let blank_follows = self.blank_follows(1);
        let in_flow = self.flow > 0;
        let token = match self.byte(0) {
            Some(b'&' | b'!') => return Ok(false),
            Some(b'*') => Token::Alias(self.name()?),
            Some(b'\'') => Token::Scalar { text: self.quoted(b'\'')?, form: Form::Quoted },
            Some(b'"') => Token::Scalar { text: self.quoted(b'"')?, form: Form::Quoted },
            // Whatever else is not the beginning of a plain scalar is a token of its own.
            _ if self.blank_follows(0) => return Ok(false),
            Some(b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`') => {
                return Ok(false);
            }
            Some(b'-') if blank_follows => return Ok(false),
            Some(b'?' | b':') if in_flow || blank_follows => return Ok(false),
            _ => Token::Scalar { text: self.plain()?, form: Form::Plain },
        };
        self.push(token, at);
        Ok(true)
    }

    /// Whether what began at `start` is a key: on its line, within 1024 characters, comes a colon.
    fn colon_follows(&mut self, start: usize) -> bool {
        if start < self.line_start {
            return false;
        }
        while matches!(self.byte(0), Some(b' ' | b'\t')) {
            self.skip(1);
        }
        let length = self.at - start;
        self.byte(0) == Some(b':')
            && (self.flow > 0 || self.blank_follows(1))
            && (length <= KEY_CHARACTERS
                || self.text[start..self.at].chars().count() <= KEY_CHARACTERS)
    }

    /// Makes a key of the tokens from `first` on, and takes the colon.
    fn make_key(&mut self, first: usize, start: usize) {
        let column = start - self.line_start;
        let opens = self.flow == 0 && self.indents.last().is_none_or(|&indent| indent < column);
        if self.queue.len() == first + 1
            && let Some((token @ Token::Scalar { .. }, _)) = self.queue.last_mut()
            && let Token::Scalar { text, form } = std::mem::replace(token, Token::Comma)
        {
            *token = Token::SimpleKey { text, form };
        } else {
            self.queue.insert(first, (Token::Key, start));
            self.push(Token::Value, self.at);
        }
        if opens {
            self.indents.push(column);
            self.queue.insert(first, (Token::MapStart, start));
        }
        self.skip(1);
    }

    /// The name of an anchor or alias.
    fn name(&mut self) -> Scanned<&'a str> {
        let start = self.at;
        self.skip(1);
        let from = self.at;
        while self.byte(0).is_some_and(is_word) {
            self.skip(1);
        }
        let name = &self.text[from..self.at];
        let ends = self.blank_follows(0)
            || matches!(self.byte(0), Some(b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'));
        if name.is_empty() || !ends {
            let what = if self.bytes[start] == b'*' { "alias" } else { "anchor" };
            return Err(Malformed::new(
                start,
                format!("the name of an {what} is made of letters, digits, \"-\" and \"_\""),
            )
            .hint("put the value in quotes, if it is none"));
        }
        Ok(name)
    }

    fn tag(&mut self) -> Scanned<Tag<'a>> {
        let start = self.at;
        let rest = &self.text[start..];
        let tag = if let Some(verbatim) = rest.strip_prefix("!<") {
            let length = uri_length(verbatim);
            if length == 0 || !verbatim[length..].starts_with('>') {
                return Err(Malformed::new(start, "a tag in \"!<\" lacks its \">\""));
            }
            self.skip(length + 3);
            Tag { handle: "", suffix: &verbatim[..length] }
        } else {
            let word = rest[1..].bytes().take_while(|b| is_word(*b)).count();
            let handle = if rest[1 + word..].starts_with('!') { word + 2 } else { 1 };
            let length = uri_length(&rest[handle..]);
            self.skip(handle + length);
            Tag { handle: &rest[..handle], suffix: &rest[handle..handle + length] }
        };
        if !self.blank_follows(0) {
            return Err(Malformed::new(start, "a tag has to be followed by a space")
                .hint("put the value in quotes, if it is no tag"));
        }
        if tag.handle.len() > 1 && tag.suffix.is_empty() {
            return Err(Malformed::new(start, "a tag without a name"));
        }
        Ok(tag)
    }
}

/// What becomes of a folded text that go-yaml v3 prints and reads again, as kustomize has it do.
///
/// It should become itself. But when the printer decides whether a line break has to be doubled, it
/// looks at the beginning of the text and not at the next line, so lines that are indented deeper,
/// and several line breaks at the end, become one line break more.
///
/// Source: go-yaml v3 `emitterc.go`, `yaml_emitter_write_folded_scalar`.
pub(super) fn fold_again(text: &str) -> Option<String> {
    let mut block = String::from(">");
    block.push_str(if text.starts_with([' ', '\n']) { "2" } else { "" });
    block.push_str(match text.trim_end_matches(is_break).len() {
        length if length == text.len() => "-",
        length if length + 1 == text.len() && length > 0 => "",
        _ => "+",
    });
    block.push('\n');
    push_folded(text, 2, &mut block);
    match Scanner::new(&block).next() {
        Ok((Token::Scalar { text, .. }, _)) => Some(text.into_owned()),
        _ => None,
    }
}

/// Appends the lines of a folded block as go-yaml v3 writes them where no line is too long. A line break
/// is doubled; not behind a line that begins with a blank, and nowhere if the text does.
///
/// Source: go-yaml v3 `emitterc.go`, `yaml_emitter_write_folded_scalar`.
pub(super) fn push_folded(text: &str, indent: usize, out: &mut String) {
    let doubles = !text.trim_start_matches(is_break).starts_with([' ', '\t']);
    let (mut at_break, mut indented) = (true, true);
    for c in text.chars() {
        if is_break(c) {
            if !at_break && !indented && c == '\n' && doubles {
                out.push('\n');
            }
        } else if at_break {
            out.extend(std::iter::repeat_n(' ', indent));
            indented = matches!(c, ' ' | '\t');
        }
        at_break = is_break(c);
        out.push(c);
    }
}

/// Scalars.
impl<'a> Scanner<'a> {
    fn plain(&mut self) -> Scanned<Cow<'a, str>> {
        let least_column = self.indents.last().map_or(0, |indent| indent + 1);
        let mut folded: Option<String> = None;
        let (mut from, mut end) = (self.at, self.at);
        let mut broken = false;
        loop {
            let run = self.at;
            self.plain_run();
            if self.at == run {
                break;
            }
            if broken {
                let text = folded.get_or_insert_default();
                text.push_str(&self.text[from..end]);
                fold(&self.text[end..run], text);
                from = run;
            }
            end = self.at;
            broken = self.gap(Some(least_column))?;
            let outside = self.flow == 0 && self.column() < least_column;
            let ended = broken && (outside || self.document_boundary());
            if ended || self.byte(0) == Some(b'#') || self.at == end {
                break;
            }
        }
        // Nothing of the kind begins a plain scalar, but an endless loop would be worse.
        if end == from && folded.is_none() {
            return Err(self.no_token(self.byte(0).unwrap_or(b' ')));
        }
        self.key_allowed |= broken;
        Ok(match folded {
            Some(text) => (text + &self.text[from..end]).into(),
            None => self.text[from..end].into(),
        })
    }

    /// Goes over what a plain scalar has without spaces.
    fn plain_run(&mut self) {
        let stop = if self.flow > 0 { FLOW } else { BLOCK };
        loop {
            let rest = &self.bytes[self.at..];
            let run = rest.iter().position(|byte| STOPS[usize::from(*byte)] & stop != 0);
            self.at += run.unwrap_or(rest.len());
            let ends = match self.byte(0) {
                Some(b':') => self.blank_follows(1),
                Some(0xe2) => self.break_follows(0),
                _ => true,
            };
            if ends {
                return;
            }
            self.skip(1);
        }
    }

    /// Goes over spaces, tabs and line breaks, and says whether there was a line break.
    ///
    /// With `least_column`, a tab before that column of a new line is an error.
    fn gap(&mut self, least_column: Option<usize>) -> Scanned<bool> {
        let mut broken = false;
        loop {
            match self.byte(0) {
                Some(b' ') => self.skip(1),
                Some(b'\t') => {
                    if broken && least_column.is_some_and(|least| self.column() < least) {
                        return Err(self.no_token(b'\t'));
                    }
                    self.skip(1);
                }
                _ => match self.break_at(0) {
                    0 => return Ok(broken),
                    length => {
                        self.skip_break(length);
                        broken = true;
                    }
                },
            }
        }
    }

    fn document_boundary(&self) -> bool {
        self.column() == 0 && (self.document_indicator(b"---") || self.document_indicator(b"..."))
    }

    fn quoted(&mut self, quote: u8) -> Scanned<Cow<'a, str>> {
        let rest = &self.bytes[self.at + 1..];
        let simple =
            if quote == b'"' { find::any(*b"\"\\\n", rest) } else { find::either(*b"'\n", rest) };
        if let Some(length) = simple
            && rest[length] == quote
            && !(quote == b'\'' && rest.get(length + 1) == Some(&b'\''))
        {
            let text = &self.text[self.at + 1..self.at + 1 + length];
            if !text.contains(['\u{2028}', '\u{2029}']) {
                self.skip(length + 2);
                return Ok(text.into());
            }
        }
        self.quoted_with_escapes(quote).map(Cow::Owned)
    }

    fn quoted_with_escapes(&mut self, quote: u8) -> Scanned<String> {
        let start = self.at;
        self.skip(1);
        let mut text = String::new();
        loop {
            if self.document_boundary() {
                return Err(Malformed::new(
                    start,
                    "a quote is not closed before the document ends",
                ));
            }
            let from = self.at;
            match self.byte(0) {
                None => return Err(Malformed::new(start, "a quote is not closed")),
                Some(b'\'') if quote == b'\'' && self.byte(1) == Some(b'\'') => {
                    text.push('\'');
                    self.skip(2);
                }
                Some(byte) if byte == quote => {
                    self.skip(1);
                    return Ok(text);
                }
                Some(b'\\') if quote == b'"' => self.escape(&mut text)?,
                _ if self.blank_follows(0) => {
                    if self.gap(None)? {
                        fold(&self.text[from..self.at], &mut text);
                    } else {
                        text.push_str(&self.text[from..self.at]);
                    }
                }
                Some(_) => {
                    self.quoted_run(quote);
                    text.push_str(&self.text[from..self.at]);
                }
            }
        }
    }

    fn quoted_run(&mut self, quote: u8) {
        loop {
            self.skip(1);
            match self.byte(0) {
                Some(b'\\') if quote == b'"' => return,
                Some(byte) if byte == quote => return,
                _ if self.blank_follows(0) => return,
                _ => {}
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Scanned<()> {
        let at = self.at;
        let length = self.break_at(1);
        if length > 0 {
            self.skip(1);
            self.skip_break(length);
            let from = self.at;
            self.gap(None)?;
            text.extend(self.text[from..self.at].chars().filter(|c| is_break(*c)));
            return Ok(());
        }
        let c = match self.byte(1) {
            Some(b'0') => '\0',
            Some(b'a') => '\x07',
            Some(b'b') => '\x08',
            Some(b't' | b'\t') => '\t',
            Some(b'n') => '\n',
            Some(b'v') => '\x0b',
            Some(b'f') => '\x0c',
            Some(b'r') => '\r',
            Some(b'e') => '\x1b',
            Some(plain @ (b' ' | b'"' | b'\'' | b'\\')) => char::from(plain),
            Some(b'/') => return Err(unknown_escape(at, '/')),
            Some(b'N') => '\u{85}',
            Some(b'_') => '\u{a0}',
            Some(b'L') => '\u{2028}',
            Some(b'P') => '\u{2029}',
            Some(b'x') => return self.code(2, text),
            Some(b'u') => return self.code(4, text),
            Some(b'U') => return self.code(8, text),
            _ => {
                let c = self.text[at + 1..].chars().next();
                return Err(c.map_or_else(
                    || Malformed::new(at, "a quote is not closed"),
                    |c| unknown_escape(at, c),
                ));
            }
        };
        text.push(c);
        self.skip(2);
        Ok(())
    }

    fn code(&mut self, digits: usize, text: &mut String) -> Scanned<()> {
        let from = self.at + 2;
        let code = self.bytes.get(from..from + digits).unwrap_or_default();
        let number = code.iter().try_fold(0u32, |number, byte| {
            let digit = char::from(*byte).to_digit(16)?;
            number.checked_mul(16)?.checked_add(digit)
        });
        let c = number.filter(|_| !code.is_empty()).and_then(char::from_u32).ok_or_else(|| {
            Malformed::new(
                self.at,
                format!("an escape that is no character: {digits} hexadecimal digits are due"),
            )
        })?;
        text.push(c);
        self.skip(2 + digits);
        Ok(())
    }

    fn block_scalar(&mut self, literal: bool) -> Scanned<()> {
        let start = self.at;
        self.key_allowed = true;
        self.skip(1);
        let (chomping, increment) = self.block_header(start)?;
        let mut block = Block {
            indent: increment.map(|n| self.indents.last().map_or(0, |indent| *indent) + n),
            blank_before: false,
            line_break: "",
            breaks: "",
        };
        let mut text = String::new();
        self.block_breaks(&mut block)?;
        while Some(self.column()) == block.indent && self.byte(0).is_some() {
            let blank = matches!(self.byte(0), Some(b' ' | b'\t'));
            let joined = !literal && !block.blank_before && !blank && block.line_break == "\n";
            if !joined {
                text.push_str(block.line_break);
            } else if block.breaks.is_empty() {
                text.push(' ');
            }
            push_breaks(block.breaks, &mut text);
            block.blank_before = blank;
            text.push_str(self.line());
            block.line_break = self.take_break();
            self.block_breaks(&mut block)?;
        }
        if chomping != Chomping::Strip {
            text.push_str(block.line_break);
        }
        if chomping == Chomping::Keep {
            push_breaks(block.breaks, &mut text);
        }
        let form = if literal { Form::Literal } else { Form::Folded };
        self.push(Token::Scalar { text: text.into(), form }, start);
        Ok(())
    }

    /// Reads `|2-` up to the end of its line.
    fn block_header(&mut self, start: usize) -> Scanned<(Chomping, Option<usize>)> {
        let mut chomping = Chomping::Clip;
        let mut increment = None;
        for _ in 0..2 {
            match self.byte(0) {
                Some(b'-') if chomping == Chomping::Clip => chomping = Chomping::Strip,
                Some(b'+') if chomping == Chomping::Clip => chomping = Chomping::Keep,
                Some(digit @ b'1'..=b'9') if increment.is_none() => {
                    increment = Some(usize::from(digit - b'0'));
                }
                _ => break,
            }
            self.skip(1);
        }
        while matches!(self.byte(0), Some(b' ' | b'\t')) {
            self.skip(1);
        }
        if self.byte(0) == Some(b'#') {
            self.skip_line();
        }
        if !self.blank_follows(0) {
            return Err(Malformed::new(
                start,
                "text of a block has to begin on the line after \"|\" or \">\"",
            )
            .hint("put the value in quotes, if it is on one line"));
        }
        self.take_break();
        Ok((chomping, increment))
    }

    /// Goes over the empty lines before a line of a block, and over its indentation.
    fn block_breaks(&mut self, block: &mut Block<'a>) -> Scanned<()> {
        let from = self.at;
        let mut deepest = 0;
        let mut end;
        loop {
            end = self.at;
            let within = |column: usize| block.indent.is_none_or(|indent| column < indent);
            while within(self.column()) && self.byte(0) == Some(b' ') {
                self.skip(1);
            }
            deepest = deepest.max(self.column());
            if within(self.column()) && self.byte(0) == Some(b'\t') {
                return Err(self.no_token(b'\t'));
            }
            match self.break_at(0) {
                0 => break,
                length => self.skip_break(length),
            }
        }
        block.breaks = &self.text[from..end];
        if block.indent.is_none() {
            let least = self.indents.last().map_or(0, |indent| indent + 1).max(1);
            block.indent = Some(deepest.max(least));
        }
        Ok(())
    }

    /// Goes over the rest of a line.
    fn line(&mut self) -> &'a str {
        let from = self.at;
        self.skip_line();
        &self.text[from..self.at]
    }

    fn take_break(&mut self) -> &'a str {
        let from = self.at;
        let length = self.break_at(0);
        if length > 0 {
            self.skip_break(length);
        }
        &self.text[from..self.at]
    }
}

/// What is known of a block scalar while it is read.
struct Block<'a> {
    /// Spaces before its lines, once they are known.
    indent: Option<usize>,
    /// Whether the line before began with a space or tab.
    blank_before: bool,
    /// The line break after the line before.
    line_break: &'a str,
    /// The empty lines since.
    breaks: &'a str,
}

/// What becomes of the line breaks at the end of a block scalar.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Chomping {
    Strip,
    Clip,
    Keep,
}

impl Malformed {
    pub(super) fn new(at: usize, message: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { at, message: message.into(), hint: None })
    }

    pub(super) fn hint(mut self: Box<Self>, hint: &'static str) -> Box<Self> {
        self.hint = Some(hint);
        self
    }
}

fn unknown_escape(at: usize, c: char) -> Box<Malformed> {
    Malformed::new(at, format!("unknown escape \"\\{c}\""))
        .hint("write \"\\\\\" for a backslash, or use single quotes")
}

/// Bytes of the line break at the beginning, 0 for none.
fn break_length(bytes: &[u8]) -> usize {
    match bytes {
        [b'\n', ..] => 1,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{2028}' | '\u{2029}')
}

fn push_breaks(gap: &str, text: &mut String) {
    text.extend(gap.chars().filter(|c| is_break(*c)));
}

/// Appends what a gap with line breaks means within a scalar: one line break is a space.
fn fold(gap: &str, text: &mut String) {
    let mut breaks = gap.chars().filter(|c| is_break(*c)).peekable();
    if breaks.next_if_eq(&'\n').is_some() && breaks.peek().is_none() {
        text.push(' ');
    }
    text.extend(breaks);
}

/// Whether a line has the form of a directive, whatever it says.
fn is_directive(line: &str) -> bool {
    let line = line.split(" #").next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let is_number =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("%YAML"), Some(version), None, None) => version
            .split_once('.')
            .is_some_and(|(major, minor)| is_number(major) && is_number(minor)),
        (Some("%TAG"), Some(handle), Some(_), None) => handle.starts_with('!'),
        _ => false,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Bytes of the characters that may stand in a tag.
fn uri_length(text: &str) -> usize {
    let in_uri = |b: &u8| is_word(*b) || b";/?:@&=+$,.!~*'()[]%".contains(b);
    text.as_bytes().iter().take_while(|b| in_uri(b)).count()
}
