//! From values to YAML text, as kustomize prints it.
//!
//! Kustomize prints a document as YAML, reads it into Go values, prints those as JSON, reads that as
//! YAML and prints it with go-yaml v2. What all this does to a value is computed here directly.
//!
//! Source: go-yaml v2 `encode.go`, `emitterc.go`, `sorter.go`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::LazyLock;

use regex::Regex;

use super::scalar::{self, Meaning};
use super::unprintable::{Printed, Unprintable};
use crate::error::Result;
use crate::find;
use crate::value::{Key, Map, Scalar, Style, Tag, Value, is_same};

/// Column after which a space becomes a line break, in characters.
/// Source: go-yaml v2, `best_width`.
const WIDTH: usize = 80;

/// Longest key in bytes that stands on one line with its value.
/// Source: go-yaml v2, `yaml_emitter_check_simple_key`.
const SIMPLE_KEY_BYTES: usize = 128;

/// Longest key in characters, quotes and escapes included, that go-yaml v2 finds the colon of.
/// Source: YAML 1.1, 9.1.3, and go-yaml v2, `yaml_parser_stale_simple_keys`.
const JSON_KEY_CHARACTERS: usize = 1024;

/// Appends `value` as one YAML document, ended by a line break.
///
/// # Errors
/// Where kustomize cannot print it either: duplicate or typed keys, infinities, control characters,
/// text that does not agree with its tag.
pub fn write(value: &Value, out: &mut String) -> Result<()> {
    Ok(print(value, out)?)
}

/// As [`write`], with an error that can tell the place.
pub(crate) fn print(value: &Value, out: &mut String) -> Printed<()> {
    let mut writer = Writer { out, fresh: true, entries: Vec::with_capacity(ENTRIES) };
    writer.node(value, Position { indent: 0, after: After::Start })?;
    writer.end_line();
    Ok(())
}

/// Appends a string as go-yaml v3 prints it on one line; not where it makes a literal block of it, and says so.
///
/// Unlike the rest here, this is what v3 does with a Go string, and nothing folds lines.
#[cfg(feature = "sops")]
pub(crate) fn write_line_v3(text: &str, key: bool, out: &mut String) -> bool {
    let shape = Shape::of(text);
    if text.contains('\n') && stays_block(text) && !key {
        return false;
    }
    let single = shape.allows_single_quotes();
    let plain = shape.allows_plain();
    let mut writer = Writer { out, fresh: false, entries: Vec::new() };
    // The base 60 numbers and the booleans of YAML 1.1 are quoted for older readers.
    let is_text = scalar::resolve(text) == Tag::Str && reads_as_text(text);
    if text.contains('\n') || !is_text || !single || key && shape.line_breaks {
        writer.double(text, None);
    } else if plain {
        writer.out.push_str(text);
    } else {
        writer.single(text, None);
    }
    true
}

/// Appends a text in double quotes, on one line.
pub(crate) fn write_double_quoted(text: &str, out: &mut String) {
    Writer { out, fresh: false, entries: Vec::new() }.double(text, None);
}

/// Whether go-yaml v3 keeps a text that was read from a block as a block.
pub(super) fn stays_block(text: &str) -> bool {
    Shape::of(text).allows_block(text)
}

/// Whether go-yaml v3 writes a text as a block that it cannot read again: it takes a tab at the
/// beginning for indentation.
pub(crate) fn is_lost_as_block(text: &str) -> bool {
    text.starts_with('\t') && stays_block(text)
}

/// A line break, and what stands before the entries of most collections.
const BREAK_AND_SPACES: &str = "\n                                                                ";

/// How many entries the open mappings of most objects have together.
const ENTRIES: usize = 32;

struct Writer<'o, 'v> {
    out: &'o mut String,
    /// Whether a line has just been ended, so that the next one needs no break.
    fresh: bool,
    /// The entries of all open mappings in the order in which they are printed, the innermost last.
    entries: Vec<(&'v Key, &'v Value)>,
}

/// Where a node goes.
#[derive(Clone, Copy)]
struct Position {
    /// Spaces before the entries of the collection that holds the node.
    indent: usize,
    after: After,
}

/// What stands before a node on its line.
#[derive(Clone, Copy, Eq, PartialEq)]
enum After {
    /// Nothing: the whole document.
    Start,
    /// `key:`
    Colon,
    /// `-`, or the `:` of a key that stands on lines of its own.
    Dash,
}

impl<'v> Writer<'_, 'v> {
    fn node(&mut self, value: &'v Value, at: Position) -> Printed<()> {
        match value {
            Value::Null => self.word("null", at),
            Value::Scalar(scalar) => return self.scalar(scalar, at),
            Value::List(list) if list.is_empty() => self.word("[]", at),
            Value::Map(map) if map.is_empty() => self.word("{}", at),
            Value::List(list) => return self.list(list, at),
            Value::Map(map) => return self.map(map, at),
        }
        Ok(())
    }

    fn list(&mut self, list: &'v [Value], at: Position) -> Printed<()> {
        let indent = match at.after {
            After::Start | After::Colon => at.indent,
            After::Dash => at.indent + 2,
        };
        let mut inline = at.after == After::Dash;
        for (index, value) in list.iter().enumerate() {
            self.begin(indent, inline);
            inline = false;
            self.out.push('-');
            self.node(value, Position { indent, after: After::Dash })
                .map_err(|error| error.element(index))?;
        }
        Ok(())
    }

    fn map(&mut self, map: &'v Map, at: Position) -> Printed<()> {
        let indent = match at.after {
            After::Start => 0,
            After::Colon | After::Dash => at.indent + 2,
        };
        let mut inline = at.after == After::Dash;
        let from = self.entries.len();
        self.entries.extend(map.iter());
        if !is_in_order(&self.entries[from..]) {
            sort_entries(&mut self.entries[from..])?;
        }
        for index in from..from + map.len() {
            let (key, value) = self.entries[index];
            self.begin(indent, inline);
            inline = false;
            check_key(key, at.after == After::Start)?;
            self.entry(key, value, Position { indent, after: at.after })
                .map_err(|error| error.under(&key.text))?;
        }
        self.entries.truncate(from);
        Ok(())
    }

    /// `at` is where the entry stands, behind what the whole mapping stands.
    fn entry(&mut self, key: &Key, value: &'v Value, at: Position) -> Printed<()> {
        let indent = at.indent;
        if is_plain_word(&key.text) && key.text.len() <= SIMPLE_KEY_BYTES {
            self.out.push_str(&key.text);
            self.out.push(':');
            return self.node(value, Position { indent, after: After::Colon });
        }
        let text = key_through_json(key)?;
        let shape = Shape::of(&text);
        if shape.line_breaks || text.len() > SIMPLE_KEY_BYTES {
            self.out.push('?');
            self.text(&text, Position { indent, after: After::Dash });
            self.begin(indent, false);
            self.out.push(':');
            return self.node(value, Position { indent, after: After::Dash });
        }
        match shape.style(&text, true) {
            Look::Plain => self.out.push_str(&text),
            Look::Single => self.single(&text, None),
            Look::Double | Look::Literal => self.double(&text, None),
        }
        self.out.push(':');
        self.node(value, Position { indent, after: After::Colon })
    }

    fn scalar(&mut self, scalar: &Scalar, at: Position) -> Printed<()> {
        let (text, is_short) = (&scalar.text, scalar.text.len() <= SIMPLE_KEY_BYTES);
        let is_word = match scalar.style {
            Style::Plain | Style::Bare => is_plain_word(text) || scalar::is_plain_integer(text),
            Style::Tagged(Tag::Int) => scalar::is_plain_integer(text),
            Style::Quoted | Style::Tagged(Tag::Str) => is_plain_word(text),
            _ => false,
        };
        if is_word && is_short {
            self.word(text, at);
            return Ok(());
        }
        let meaning = scalar::meaning(scalar).map_err(Unprintable::new)?;
        match meaning {
            Meaning::Null => self.word("null", at),
            Meaning::Bool(true) => self.word("true", at),
            Meaning::Bool(false) => self.word("false", at),
            Meaning::Int(int) => self.display(int, at),
            Meaning::Uint(int) => self.display(int, at),
            Meaning::Float(float) => return self.float(float, at),
            Meaning::Text(text) if is_plain_word(&text) && text.len() <= SIMPLE_KEY_BYTES => {
                self.word(&text, at);
            }
            Meaning::Text(text) => self.text(&through_json(&text)?, at),
        }
        Ok(())
    }

    fn display(&mut self, number: impl std::fmt::Display, at: Position) {
        self.gap(at);
        let _ = write!(self.out, "{number}");
    }

    /// JSON prints integral floats without a point, and YAML then reads them as integers.
    fn float(&mut self, float: f64, at: Position) -> Printed<()> {
        if !float.is_finite() {
            return Err(Unprintable::new("infinities and NaN have no JSON"));
        }
        self.gap(at);
        let mut json = String::new();
        scalar::write_json_float(float, &mut json);
        match scalar::meaning_v2(&json) {
            Meaning::Int(int) => {
                let _ = write!(self.out, "{int}");
            }
            Meaning::Uint(int) => {
                let _ = write!(self.out, "{int}");
            }
            _ => scalar::write_float(float, self.out),
        }
        Ok(())
    }

    fn text(&mut self, text: &str, at: Position) {
        let indent = at.indent + 2;
        self.gap(at);
        match Shape::of(text).style(text, false) {
            Look::Plain => self.plain(text, indent),
            Look::Single => self.single(text, Some(indent)),
            Look::Double => self.double(text, Some(indent)),
            Look::Literal => self.literal(text, indent),
        }
    }

    /// Text that needs no quotes and no folding.
    fn word(&mut self, text: &str, at: Position) {
        self.gap(at);
        self.out.push_str(text);
    }

    fn gap(&mut self, at: Position) {
        if at.after != After::Start {
            self.out.push(' ');
        }
        self.fresh = false;
    }

    /// Begins an entry of a collection: behind a dash, or on a line of its own.
    fn begin(&mut self, indent: usize, inline: bool) {
        if inline {
            self.out.push(' ');
        } else if !self.fresh && indent < BREAK_AND_SPACES.len() {
            self.out.push_str(&BREAK_AND_SPACES[..=indent]);
        } else {
            self.end_line();
            self.spaces(indent);
        }
        self.fresh = false;
    }

    fn end_line(&mut self) {
        if !self.fresh {
            self.out.push('\n');
        }
        self.fresh = true;
    }

    fn spaces(&mut self, mut count: usize) {
        const SPACES: &str = BREAK_AND_SPACES.split_at(1).1;
        while count > 0 {
            let now = count.min(SPACES.len());
            self.out.push_str(&SPACES[..now]);
            count -= now;
        }
    }

    /// What stands on the current line.
    fn line(&self) -> &str {
        let line = find::last_byte(b'\n', self.out.as_bytes()).map_or(0, |at| at + 1);
        &self.out[line..]
    }

    /// Characters on the current line.
    fn column(&self) -> usize {
        self.line().chars().count()
    }
}

/// The ways to write a text.
impl Writer<'_, '_> {
    fn plain(&mut self, text: &str, indent: usize) {
        let line = self.line();
        // No character has less than a byte.
        if line.len() + text.len() <= WIDTH {
            self.out.push_str(text);
            return;
        }
        let mut column = line.chars().count();
        let mut after_space = false;
        for (at, c) in text.char_indices() {
            let next_is_space = || text.as_bytes().get(at + 1) == Some(&b' ');
            if c == ' ' && !after_space && column > WIDTH && !next_is_space() {
                column = self.fold(indent);
            } else {
                self.out.push(c);
                column += 1;
            }
            after_space = c == ' ';
        }
    }

    /// `indent` is that of folded lines; keys are not folded.
    fn single(&mut self, text: &str, indent: Option<usize>) {
        self.out.push('\'');
        let mut column = self.column();
        let (mut after_space, mut after_break) = (false, false);
        for (at, c) in text.char_indices() {
            if c == ' ' {
                let next_is_space = text.as_bytes().get(at + 1) == Some(&b' ');
                let inside = at > 0 && at + 1 < text.len();
                match indent {
                    Some(indent) if !after_space && column > WIDTH && inside && !next_is_space => {
                        column = self.fold(indent);
                    }
                    _ => {
                        self.out.push(' ');
                        column += 1;
                    }
                }
                after_space = true;
            } else if is_break(c) {
                self.out.push(c);
                column = 0;
                after_break = true;
            } else {
                if after_break {
                    let indent = indent.unwrap_or_default();
                    self.spaces(indent.saturating_sub(column));
                    column = column.max(indent);
                }
                if c == '\'' {
                    self.out.push('\'');
                    column += 1;
                }
                self.out.push(c);
                column += 1;
                (after_space, after_break) = (false, false);
            }
        }
        self.out.push('\'');
    }

    fn double(&mut self, text: &str, indent: Option<usize>) {
        self.out.push('"');
        let mut column = self.column();
        let mut after_space = false;
        // go-yaml asks of each character whether the whole text begins with a byte order mark.
        let marked = text.starts_with('\u{feff}');
        for (at, c) in text.char_indices() {
            if c == '"' || c == '\\' || !is_printable(c) || is_break(c) || marked {
                column += self.escape(c);
                after_space = false;
                continue;
            }
            let inside = at > 0 && at + 1 < text.len();
            match indent {
                Some(indent) if c == ' ' && !after_space && column > WIDTH && inside => {
                    column = self.fold(indent);
                    if text.as_bytes().get(at + 1) == Some(&b' ') {
                        self.out.push('\\');
                        column += 1;
                    }
                }
                _ => {
                    self.out.push(c);
                    column += 1;
                }
            }
            after_space = c == ' ';
        }
        self.out.push('"');
    }

    /// Writes an escape and says how many characters it took.
    fn escape(&mut self, c: char) -> usize {
        let letter = match c {
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0b' => 'v',
            '\x0c' => 'f',
            '\r' => 'r',
            '\x1b' => 'e',
            '"' => '"',
            '\\' => '\\',
            '\u{85}' => 'N',
            '\u{a0}' => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ => return self.escape_number(u32::from(c)),
        };
        self.out.push('\\');
        self.out.push(letter);
        2
    }

    fn escape_number(&mut self, number: u32) -> usize {
        let (letter, digits) = match number {
            0..=0xff => ('x', 2),
            0x100..=0xffff => ('u', 4),
            _ => ('U', 8),
        };
        let _ = write!(self.out, "\\{letter}{number:0digits$X}");
        2 + digits
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n', '\u{2028}', '\u{2029}']) {
            self.out.push('2');
        }
        let mut from_end = text.chars().rev().map(is_break);
        match (from_end.next(), from_end.next()) {
            (Some(true), Some(false)) => {}
            (Some(true), _) => self.out.push('+'),
            _ => self.out.push('-'),
        }
        self.out.push('\n');
        for line in text.split_inclusive(is_break) {
            if !line.starts_with(is_break) {
                self.spaces(indent);
            }
            self.out.push_str(line);
        }
        self.fresh = text.ends_with(is_break);
    }

    fn fold(&mut self, indent: usize) -> usize {
        self.out.push('\n');
        self.spaces(indent);
        indent
    }
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Look {
    Plain,
    Single,
    Double,
    Literal,
}

/// What a text has in it, as far as it decides on the way to write it.
///
/// Source: go-yaml v2, `yaml_emitter_analyze_scalar`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    indicators: bool,
    pub(super) line_breaks: bool,
    special: bool,
    special_but_tabs: bool,
    /// A space or line break at either end.
    blank_end: bool,
    trailing_space: bool,
    break_space: bool,
    space_break: bool,
}

impl Shape {
    pub(super) fn of(text: &str) -> Self {
        let mut shape = Self {
            indicators: text.starts_with("---") || text.starts_with("..."),
            blank_end: text.starts_with(|c| c == ' ' || is_break(c))
                || text.ends_with(|c| c == ' ' || is_break(c)),
            trailing_space: text.ends_with(' '),
            ..Self::default()
        };
        for (at, byte) in text.bytes().enumerate() {
            // Inside of a text, letters and the like have no say.
            let has_no_say = at > 0 && byte.is_ascii_graphic() && !matches!(byte, b'#' | b':');
            if !has_no_say && let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
                let before = text[..at].chars().next_back();
                shape.look_at(c, before, &text.as_bytes()[at + c.len_utf8()..]);
            }
        }
        shape
    }

    fn look_at(&mut self, c: char, before: Option<char>, rest: &[u8]) {
        let blank_follows = matches!(rest.first(), None | Some(b' ' | b'\t'));
        let blank_before =
            before.is_none_or(|b| matches!(b, ' ' | '\t' | '\0' | '\r') || is_break(b));
        self.indicators |= match c {
            '#' => blank_before,
            ':' => blank_follows,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => before.is_none(),
            '?' | '-' => before.is_none() && blank_follows,
            _ => false,
        };
        self.special |= !is_printable(c);
        self.special_but_tabs |= !is_printable(c) && c != '\t';
        if is_break(c) {
            self.line_breaks = true;
            self.space_break |= before == Some(' ');
        } else if c == ' ' {
            self.break_space |= before.is_some_and(is_break);
        }
    }

    pub(super) fn allows_single_quotes(&self) -> bool {
        !(self.space_break || self.special || self.break_space)
    }

    /// Outside of brackets.
    pub(super) fn allows_plain(&self) -> bool {
        self.allows_single_quotes() && !(self.indicators || self.blank_end || self.line_breaks)
    }

    /// As go-yaml v3 has it.
    pub(super) fn allows_block(&self, text: &str) -> bool {
        !text.is_empty() && !self.trailing_space && !self.space_break && !self.special_but_tabs
    }

    fn style(self, text: &str, key: bool) -> Look {
        if text.is_empty() {
            return Look::Double;
        }
        let single = self.allows_single_quotes();
        if find::byte(b'\n', text.as_bytes()).is_some() {
            let literal = !(self.space_break || self.special || self.trailing_space || key);
            return if literal { Look::Literal } else { Look::Double };
        }
        if key && self.line_breaks || !reads_as_text(text) {
            return Look::Double;
        }
        match (self.indicators || self.blank_end || self.line_breaks, single) {
            (false, true) => Look::Plain,
            (true, true) => Look::Single,
            (_, false) => Look::Double,
        }
    }
}

pub(crate) fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml v2 takes for printable; nothing beyond the first plane, so emoji are escaped.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}') && c != '\u{feff}'
}

/// Whether plain text is a string for YAML 1.1 too.
pub(super) fn reads_as_text(text: &str) -> bool {
    // The decoder of v2 knows `<<` only as a key, so `resolve_v2` calls it a string, as it should.
    scalar::resolve_v2(text) == Tag::Str && !is_base_60(text)
}

/// Numbers such as `12:30:45`: `^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) || !unsigned.contains(':') {
        return false;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let mut parts = whole.split(':');
    digits(fraction)
        && parts.next().is_some_and(digits)
        && parts.all(|part| match part.as_bytes() {
            [ones] => ones.is_ascii_digit(),
            [tens, ones] => (b'0'..=b'5').contains(tens) && ones.is_ascii_digit(),
            _ => false,
        })
}

/// Whether text is a word that stands plainly and means text in every YAML: most keys and values.
fn is_plain_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return false };
    // Short words may be booleans; `=` and the like are left to the full look.
    let begins = match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' => {
            bytes.len() > 5 || scalar::resolve_v2(text) == Tag::Str
        }
        b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'_' => true,
        b'1'..=b'9' => is_quantity(bytes),
        _ => false,
    };
    begins && bytes.iter().all(|byte| WORD[usize::from(*byte)])
}

/// Whether text that begins with a digit, but no 0, has a letter that no number has: `100m`, `128Mi`. Times
/// have letters too.
fn is_quantity(bytes: &[u8]) -> bool {
    let is_of_no_number = |byte: &u8| byte.is_ascii_alphabetic() && !matches!(byte, b'e' | b'E');
    bytes.iter().any(is_of_no_number) && bytes.get(4) != Some(&b'-')
}

/// What plain words are made of.
pub(super) const WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_letter = (byte as u8).is_ascii_alphanumeric();
        word[byte] = is_letter || matches!(byte as u8, b'-' | b'_' | b'.' | b'/');
        byte += 1;
    }
    word
};

/// What text becomes when JSON carries it to go-yaml v2.
fn through_json(text: &str) -> Printed<Cow<'_, str>> {
    if text.bytes().fold(true, |is_clean, byte| is_clean & (byte < 0x7f)) {
        return Ok(Cow::Borrowed(text));
    }
    let control = |c: char| matches!(c, '\x7f' | '\u{80}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    if let Some(c) = text.chars().find(|&c| control(c)) {
        return Err(Unprintable::new(format!(
            "control character U+{:04X} is not allowed",
            u32::from(c)
        ))
        .hint("remove the character"));
    }
    Ok(if text.contains('\u{85}') { fold_next_lines(text).into() } else { text.into() })
}

/// What a key becomes on that way, which go-yaml v2 takes only on one line and not too long.
fn key_through_json(key: &Key) -> Printed<Cow<'_, str>> {
    if key.text.contains('\u{85}') {
        return Err(Unprintable::new("a key with the line break U+0085"));
    }
    // No character takes more than six bytes there.
    if key.text.len() > JSON_KEY_CHARACTERS / 6 - 2 {
        let mut json = String::new();
        crate::json::write_string(&key.text, &mut json);
        if json.chars().count() > JSON_KEY_CHARACTERS {
            return Err(Unprintable::new(format!(
                "a key of more than {JSON_KEY_CHARACTERS} characters"
            )));
        }
    }
    through_json(&key.text)
}

/// JSON leaves U+0085 as it is, and to YAML it is a line break within quotes, which folds.
pub(crate) fn fold_next_lines(text: &str) -> String {
    let blank = |c: char| c == ' ' || c == '\u{85}';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{85}') {
        out.push_str(rest[..at].trim_end_matches(' '));
        let after = rest[at..].trim_start_matches(blank);
        let run = &rest[at..rest.len() - after.len()];
        match run.matches('\u{85}').count() {
            1 => out.push(' '),
            breaks => out.extend(std::iter::repeat_n('\n', breaks - 1)),
        }
        rest = after;
    }
    out + rest
}

/// Refuses a key that was written as something other than a string; at the root of an object Go takes
/// its text, unless it is null.
///
/// # Errors
/// The error that a printer gives.
pub(crate) fn check_key(key: &Key, root: bool) -> Printed<()> {
    if !key.typed || root && scalar::resolve(&key.text) != Tag::Null {
        return Ok(());
    }
    Err(Unprintable::new(format!("key {} is no string", key.text))
        .hint(format!("put it in quotes: \"{}\"", key.text))
        .at_key(&key.text))
}

pub(crate) fn duplicate_key(key: &Key) -> Box<Unprintable> {
    Unprintable::new(format!("key \"{}\" is there twice", key.text))
        .hint("remove one of the two")
        .at_key(&key.text)
}

/// Whether the entries of a mapping stand in the order in which go-yaml v2 prints them, none twice.
fn is_in_order(entries: &[(&Key, &Value)]) -> bool {
    entries.windows(2).all(|pair| order(&pair[0].0.text, &pair[1].0.text) == Ordering::Less)
}

/// Brings the entries of a mapping in the order in which go-yaml v2 prints them.
pub(super) fn sort_entries(entries: &mut [(&Key, &Value)]) -> Printed<()> {
    let ordered = |a: &(&Key, &Value), b: &(&Key, &Value)| order(&a.0.text, &b.0.text);
    // The order is not quite transitive, so no sort of the standard library may be trusted with it.
    sort(entries, &ordered);
    match entries.windows(2).find(|pair| is_same(&pair[0].0.text, &pair[1].0.text)) {
        Some(pair) => Err(duplicate_key(pair[0].0)),
        None => Ok(()),
    }
}

/// A merge sort that no inconsistent order can derail.
fn sort<T: Copy>(entries: &mut [T], order: &impl Fn(&T, &T) -> Ordering) {
    if entries.len() <= 12 {
        insertion_sort(entries, order);
        return;
    }
    let (left, right) = entries.split_at_mut(entries.len() / 2);
    sort(left, order);
    sort(right, order);
    let (left, right) = (left.to_vec(), right.to_vec());
    let (mut l, mut r) = (left.iter().peekable(), right.iter().peekable());
    for entry in entries {
        let from_left = match (l.peek(), r.peek()) {
            (Some(a), Some(b)) => order(a, b) != Ordering::Greater,
            (left, _) => left.is_some(),
        };
        let next = if from_left { l.next() } else { r.next() };
        *entry = *next.expect("the two halves hold as many entries as the whole");
    }
}

fn insertion_sort<T: Copy>(entries: &mut [T], order: &impl Fn(&T, &T) -> Ordering) {
    for end in 1..entries.len() {
        let mut at = end;
        while at > 0 && order(&entries[at - 1], &entries[at]) == Ordering::Greater {
            entries.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// How go-yaml v2 orders keys: non-letters before letters, digits by their number.
fn order(a: &str, b: &str) -> Ordering {
    if let (Some(left), Some(right)) = (a.as_bytes().first(), b.as_bytes().first())
        && left != right
        && left.is_ascii_alphabetic()
        && right.is_ascii_alphabetic()
    {
        return left.cmp(right);
    }
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    if same == a.len() || same == b.len() {
        return a.len().cmp(&b.len());
    }
    match (a.as_bytes()[same], b.as_bytes()[same]) {
        (left, right) if left.is_ascii_alphabetic() && right.is_ascii_alphabetic() => {
            left.cmp(&right)
        }
        _ => order_runes(a, b),
    }
}

fn order_runes(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = (0..a.len().min(b.len())).find(|&i| a[i] != b[i]) else {
        return a.len().cmp(&b.len());
    };
    match (is_letter(a[at]), is_letter(b[at])) {
        (true, true) => a[at].cmp(&b[at]),
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => order_numbers(&a, &b, at),
    }
}

/// `at` is the first place where the two differ, and neither has a letter there.
fn order_numbers(a: &[char], b: &[char], at: usize) -> Ordering {
    let zero = a[at] == '0' || b[at] == '0';
    // A zero counts where it follows other digits of its number, and not at the beginning of one.
    let inside_number =
        zero && a[..at].iter().rev().take_while(|c| is_digit(**c)).any(|c| *c != '0');
    let number = |text: &[char]| {
        let digits = text[at..].iter().take_while(|c| is_digit(**c));
        digits.fold((i64::from(inside_number), 0), |(number, length), c| {
            let digit = i64::from(u32::from(*c)) - i64::from(b'0');
            (number.wrapping_mul(10).wrapping_add(digit), length + 1)
        })
    };
    number(a).cmp(&number(b)).then(a[at].cmp(&b[at]))
}

fn is_letter(c: char) -> bool {
    static LETTER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\p{L}").expect("the pattern is well-formed"));
    if c.is_ascii() { c.is_ascii_alphabetic() } else { LETTER.is_match(c.encode_utf8(&mut [0; 4])) }
}

fn is_digit(c: char) -> bool {
    static DIGIT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\p{Nd}").expect("the pattern is well-formed"));
    if c.is_ascii() { c.is_ascii_digit() } else { DIGIT.is_match(c.encode_utf8(&mut [0; 4])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of up to four characters that begin or end words, numbers and times.
    fn texts() -> impl Iterator<Item = String> {
        let letters =
            ["", "0", "1", "9", "e", "E", "x", "m", "y", "n", "o", ".", "-", "_", "/", ":", "+"];
        let count = letters.len();
        (0..count.pow(4)).map(move |number| {
            (0..4).map(|place| letters[number / count.pow(place) % count]).collect()
        })
    }

    #[test]
    fn what_is_seen_to_be_a_word_is_printed_as_it_is() {
        for text in texts().filter(|text| is_plain_word(text)) {
            assert_eq!(scalar::resolve(&text), Tag::Str, "{text}");
            assert_eq!(Shape::of(&text).style(&text, false), Look::Plain, "{text}");
            assert_eq!(Shape::of(&text).style(&text, true), Look::Plain, "{text}");
        }
        for time in ["2001-1-2", "2001-12-14t21:59:43Z", "1001-x"] {
            assert!(!is_plain_word(time), "{time}");
        }
    }

    #[test]
    fn what_is_seen_to_be_an_integer_is_printed_as_it_is() {
        for text in texts().filter(|text| scalar::is_plain_integer(text)) {
            let scalar = Scalar { text: text.as_str().into(), style: Style::Plain };
            let printed = match scalar::meaning(&scalar) {
                Ok(Meaning::Int(int)) => int.to_string(),
                other => format!("{other:?}"),
            };
            assert_eq!(printed, text);
        }
    }
}
