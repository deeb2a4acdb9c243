//! The tokens of a document, and its comments with the token that each belongs to.
//!
//! A comment on the line of a token is behind it. One on lines of its own is below what comes before
//! it, if a blank line follows and none comes before, or if it stands to the left of what is open;
//! otherwise it is above what comes next. There is more to it, and all of it shows: what is written
//! here follows the order of decisions in `scannerc.go`, `yaml_parser_scan_comments`.

use crate::find;
use crate::yaml::scan::{Form, Scanned, Scanner, Token};

/// A text in pieces.
pub(super) struct Scan<'a> {
    pub(super) text: &'a str,
    /// The tokens up to the end of the first document and a little beyond, with the bytes before each.
    pub(super) tokens: Vec<(Token<'a>, usize)>,
    /// Whether something stopped the reading before.
    pub(super) is_cut_off: bool,
    pub(super) remarks: Vec<Remark>,
    /// `%TAG`: what a handle stands for.
    pub(super) handles: Vec<(&'a str, &'a str)>,
    pub(super) has_directives: bool,
}

/// A comment.
pub(super) struct Remark {
    pub(super) side: Side,
    pub(super) text: String,
    /// It belongs to the token that begins there, or the next one behind.
    pub(super) token: usize,
    /// Where it begins, and its column from 1.
    start: usize,
    column: isize,
    /// Where it ends; those behind a token end nowhere.
    end: usize,
    /// Where what was looked through for it begins.
    scan: usize,
}

/// Where a comment stands, seen from its token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Above,
    Behind,
    Below,
}

/// How far blanks are looked through.
///
/// Source: go-yaml v3, `yaml_parser_scan_comments` and `yaml_parser_scan_line_comment`.
const PEEK: usize = 512;

/// How many tokens behind a document have to be well-formed.
const BEHIND: usize = 3;

/// Reads the tokens of the first document, as far as they are some and nest no deeper than `depth`.
pub(super) fn scan(text: &str, depth: usize) -> Scan<'_> {
    let (tokens, remarks, handles) = (Vec::new(), Vec::new(), Vec::new());
    let out = Scan { text, tokens, is_cut_off: false, remarks, handles, has_directives: false };
    let lines = Lines { at: 0, line: 0 };
    let scanner = Scanner::new(text).with_any_key();
    let mut reader = Reader { out, scanner, at: 0, lines, depth, brackets: Vec::new() };
    reader.out.is_cut_off = !matches!(reader.read(), Ok(Some(())));
    reader.out
}

struct Reader<'a> {
    out: Scan<'a>,
    scanner: Scanner<'a>,
    /// Bytes before what is to be looked at next; the scanner may be behind a comment.
    at: usize,
    lines: Lines,
    /// How many blocks and brackets may be open.
    depth: usize,
    brackets: Vec<Bracket>,
}

/// A bracket that is open.
struct Bracket {
    /// Its token.
    token: usize,
    /// Whether what it begins may be a key, or has to be.
    may_be_key: bool,
    has_to_be_key: bool,
}

/// Counts lines from the beginning to the end.
struct Lines {
    at: usize,
    line: isize,
}

impl Lines {
    /// The line of `at`, from 0; it may only grow.
    fn of(&mut self, text: &str, at: usize) -> isize {
        let between = text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += index(find::count(b'\n', between));
        self.at = self.at.max(at);
        self.line
    }
}

/// A run of comments that is being read.
struct Run {
    text: String,
    /// Byte, line and column of its beginning, the column from 1.
    start: usize,
    line: isize,
    column: isize,
    token: usize,
    scan: usize,
}

impl<'a> Reader<'a> {
    /// `None` where too many blocks are open.
    fn read(&mut self) -> Scanned<Option<()>> {
        self.comments_before();
        self.out.has_directives = self.scanner.directives(&mut self.out.handles)?;
        self.at = self.at.max(self.scanner.at());
        let mut behind = None;
        loop {
            self.token()?;
            let is_deep = self.scanner.indents().len() + self.brackets.len() > self.depth;
            if is_deep || !self.bracket() {
                return Ok(None);
            }
            let (last, _) = &self.out.tokens[self.out.tokens.len() - 1];
            let is_first = self.out.tokens.len() == 1;
            let ends = match last {
                Token::End => return Ok(Some(())),
                Token::DocumentStart => !is_first,
                Token::DocumentEnd => true,
                _ => false,
            };
            if ends && behind.is_none() {
                behind = Some(self.out.tokens.len() + BEHIND - 1);
            }
            if behind.is_some_and(|end| self.out.tokens.len() >= end) {
                return Ok(Some(()));
            }
        }
    }

    /// Reads a token, with the ends of blocks before it and the comments around it.
    fn token(&mut self) -> Scanned<()> {
        let scan = self.at;
        self.comments_before();
        let indents = self.scanner.indents().to_vec();
        let in_flow = self.scanner.in_flow();
        let last = self.out.tokens.last().map(|(_, at)| *at);
        let before = self.out.tokens.len();
        self.scanner.fetch_into(&mut self.out.tokens)?;
        self.at = self.at.max(self.scanner.at());
        let ends = self.split_key();
        self.place_ends(before, &indents, scan);
        if !ends {
            self.comment_behind(before, in_flow, last);
        }
        Ok(())
    }

    /// Notes a bracket that opens, and makes a key of what one closes; false where a key is due and none is
    /// there.
    fn bracket(&mut self) -> bool {
        let tokens = &mut self.out.tokens;
        match tokens.last() {
            Some((Token::FlowListStart | Token::FlowMapStart, _)) => {
                let before = tokens.iter().rev().skip(1);
                let properties =
                    before.take_while(|(one, _)| matches!(one, Token::Anchor(_) | Token::Tag(_)));
                let token = tokens.len() - 1 - properties.count();
                let (may_be_key, has_to_be_key) = self.scanner.bracket(tokens[token].1);
                self.brackets.push(Bracket { token, may_be_key, has_to_be_key });
                true
            }
            Some((Token::FlowListEnd | Token::FlowMapEnd, _)) => {
                let Some(open) = self.brackets.pop() else { return true };
                let is_key = open.may_be_key && self.scanner.key_in_brackets(tokens, open.token);
                self.at = self.at.max(self.scanner.at());
                if is_key {
                    self.comment_behind(0, self.scanner.in_flow(), None);
                }
                is_key || !open.has_to_be_key
            }
            _ => true,
        }
    }

    /// Makes three tokens of a key with its colon, and says whether the document ends here.
    fn split_key(&mut self) -> bool {
        let tokens = &mut self.out.tokens;
        match tokens.pop() {
            Some((Token::SimpleKey { text, form }, at)) => {
                let colon = self.scanner.at() - 1;
                tokens.extend([
                    (Token::Key, at),
                    (Token::Scalar { text, form }, at),
                    (Token::Value, colon),
                ]);
                false
            }
            Some(token) => {
                let ends =
                    matches!(token.0, Token::End | Token::DocumentStart | Token::DocumentEnd);
                tokens.push(token);
                ends
            }
            None => true,
        }
    }

    /// Moves the ends of blocks before the comments that stand no deeper than they.
    ///
    /// Source: go-yaml v3, `yaml_parser_unroll_indent`.
    fn place_ends(&mut self, before: usize, indents: &[usize], scan: usize) {
        let tokens = &mut self.out.tokens[before..];
        if !matches!(tokens.first(), Some((Token::BlockEnd, _))) {
            return;
        }
        let Some(next) = tokens.iter().find(|(token, _)| !matches!(token, Token::BlockEnd)) else {
            return;
        };
        let here = next.1;
        let column = here - line_start(self.out.text, here);
        let mut open = indents.iter().rev().map(|indent| index(*indent));
        let mut mark = before_of(scan);
        let mut is_deeper = true;
        for (_, at) in tokens.iter_mut().take_while(|(token, _)| matches!(token, Token::BlockEnd)) {
            let Some(indent) = open.next() else { return };
            if is_deeper && indent <= index(column) {
                // The document ends, and with it what is left.
                is_deeper = false;
                mark = before_of(here);
            }
            let mut stop = mark;
            for remark in self.out.remarks.iter().rev() {
                if index(remark.end) < stop {
                    break;
                }
                if remark.column == indent + 1 {
                    mark = index(remark.start);
                }
                stop = index(remark.scan);
            }
            *at = usize::try_from(mark).unwrap_or(0);
        }
    }

    /// The comment on the line of what was just read.
    fn comment_behind(&mut self, before: usize, in_flow: bool, last: Option<usize>) {
        let tokens = &self.out.tokens;
        let Some((token, at)) = tokens.last() else { return };
        let at = *at;
        let target = match token {
            // It is above what comes next.
            Token::Entry => return,
            Token::Scalar { form: Form::Literal | Form::Folded, .. } => {
                self.comment_of_block(at);
                at
            }
            Token::Value if !in_flow && tokens.len() > before + 1 => tokens[tokens.len() - 2].1,
            Token::Value if !in_flow => last.unwrap_or(at),
            Token::Comma => last.unwrap_or(at),
            _ => at,
        };
        if breaks_before(self.out.text, self.at) > 0 {
            return;
        }
        let rest = &self.out.text.as_bytes()[self.at..];
        let blanks = rest.iter().take(PEEK).take_while(|byte| is_blank(**byte)).count();
        if blanks < PEEK && rest.get(blanks) == Some(&b'#') {
            self.push_behind(self.at + blanks, target);
        }
    }

    /// The comment behind the sign of a block.
    fn comment_of_block(&mut self, at: usize) {
        let header = self.out.text[at..].split('\n').next().unwrap_or_default();
        if let Some(hash) = header.find('#') {
            let behind = self.at;
            self.push_behind(at + hash, at);
            self.at = behind;
        }
    }

    fn push_behind(&mut self, start: usize, token: usize) {
        let end = line_end(self.out.text, start);
        let text = self.out.text[start..end].to_owned();
        let side = Side::Behind;
        self.out.remarks.push(Remark { side, text, token, start, column: 0, end: 0, scan: 0 });
        self.at = end;
    }

    /// Goes over blanks and comments to the next token.
    fn comments_before(&mut self) {
        let scan = self.at;
        let bytes = self.out.text.as_bytes();
        let mut tabs = self.scanner.allows_tabs();
        loop {
            while matches!(bytes.get(self.at), Some(b' '))
                || tabs && bytes.get(self.at) == Some(&b'\t')
            {
                self.at += 1;
            }
            if bytes.get(self.at) == Some(&b'#') {
                self.comments(scan);
            }
            if bytes.get(self.at) != Some(&b'\n') {
                return;
            }
            self.at += 1;
            tabs &= self.scanner.in_flow();
        }
    }

    /// Comments from here on, with nothing but blanks between them.
    fn comments(&mut self, scan: usize) {
        let text = self.out.text;
        let bytes = text.as_bytes();
        let in_flow = self.scanner.in_flow();
        let indent = self.scanner.indents().last().map_or(0, |indent| index(*indent));
        let (is_value, token) = self.token_before();
        let newlines = breaks_before(text, self.at);
        let mut mark = self.at;
        let mut line = self.lines.of(text, mark);
        let mut column = index(mark - line_start(text, mark));
        let foot_line = match text[..scan].contains('\n') {
            false => -1,
            true => line - index(newlines) + 1 + isize::from(newlines == 0 && column > 1),
        };
        let (mut is_recent_blank, mut is_first_blank) = (false, newlines <= 1);
        let mut run = Run { text: String::new(), start: 0, line: 0, column: 0, token, scan };
        let mut peek = 0;
        while peek < PEEK {
            column += 1;
            let byte = bytes.get(mark + peek).copied();
            if byte.is_some_and(is_blank) {
                peek += 1;
                continue;
            }
            let closes = in_flow && matches!(byte, Some(b']' | b'}'));
            if closes || matches!(byte, None | Some(b'\n')) {
                let is_left = run.column - 1 < indent;
                let is_right_below = run.line == foot_line && !is_value;
                let is_below = closes || is_first_blank && (is_right_below || is_left);
                if run.text.is_empty() || is_recent_blank && !closes {
                    // There is nothing that could end here.
                } else if is_below {
                    run.token = if is_left { run.start } else { run.token };
                    self.below(&mut run, mark + peek);
                } else if byte.is_some() {
                    run.text.push('\n');
                }
                if byte != Some(b'\n') {
                    break;
                }
                (is_first_blank, is_recent_blank) = (false, true);
                column = 0;
                line += 1;
                peek += 1;
                continue;
            }
            if !run.text.is_empty() && column - 1 < indent && column != run.column {
                self.below(&mut run, mark + peek);
            }
            if byte != Some(b'#') {
                break;
            }
            if run.text.is_empty() {
                (run.start, run.line, run.column) = (mark + peek, line, column);
            } else {
                run.text.push('\n');
            }
            is_recent_blank = false;
            let end = line_end(text, mark + peek);
            run.text.push_str(&text[mark + peek..end]);
            mark = end;
            line = self.lines.of(text, mark);
            column = 0;
            peek = 1;
        }
        self.at = mark;
        if !run.text.is_empty() {
            run.token = run.start;
            self.push(Side::Above, &mut run, mark + peek - 1);
        }
    }

    /// What was read so far of a run is below what comes before it.
    fn below(&mut self, run: &mut Run, end: usize) {
        self.push(Side::Below, run, end);
        (run.scan, run.token) = (end, end);
    }

    fn push(&mut self, side: Side, run: &mut Run, end: usize) {
        let text = std::mem::take(&mut run.text);
        let Run { token, start, column, scan, .. } = *run;
        self.out.remarks.push(Remark { side, text, token, start, column, end, scan });
    }

    /// Whether the token before is a colon, and where it begins; a comma does not count.
    fn token_before(&self) -> (bool, usize) {
        let mut tokens = self.out.tokens.iter().rev();
        let is_comma = matches!(self.out.tokens.last(), Some((Token::Comma, _)));
        if is_comma && self.out.tokens.len() > 1 {
            tokens.next();
        }
        tokens.next().map_or((false, 0), |(token, at)| (matches!(token, Token::Value), *at))
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn index(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

fn before_of(at: usize) -> isize {
    index(at) - 1
}

fn line_start(text: &str, at: usize) -> usize {
    find::last_byte(b'\n', &text.as_bytes()[..at]).map_or(0, |line_break| line_break + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    find::byte(b'\n', &text.as_bytes()[at..]).map_or(text.len(), |length| at + length)
}

/// How many line breaks there are between here and what is no blank before.
fn breaks_before(text: &str, at: usize) -> usize {
    let blanks = text.as_bytes()[..at].iter().rev();
    blanks.take_while(|byte| is_blank(**byte) || **byte == b'\n').filter(|b| **b == b'\n').count()
}
