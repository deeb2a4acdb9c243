//! A file as text: its encoding, and the pieces between its `---` lines.
//!
//! Kustomize splits with a regular expression before any YAML is read, so a `---` at the beginning of
//! a line splits even within a block scalar.
//!
//! Source: kustomize `kyaml/kio/byteio_reader.go`, `splitDocuments`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::find;
use crate::limits::Limits;

/// The text with the line breaks that kustomize gives it.
pub(super) fn decode<'a>(text: &'a [u8], file: &Arc<str>, limits: &Limits) -> Result<Cow<'a, str>> {
    if text.len() > limits.file_bytes {
        let message = format!("larger than {} bytes", limits.file_bytes);
        return Err(Error::new(ErrorKind::Limit, Place::file(file.clone()), message));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let valid = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        let line = count(valid.matches('\n').count() + 1);
        let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count());
        let place = Place::new(file.clone(), line, count(column + 1));
        Error::new(ErrorKind::Invalid, place, "not UTF-8")
    })?;
    Ok(match find::part(b"\r\n", text.as_bytes()) {
        Some(_) => text.replace("\r\n", "\n").into(),
        None => text.into(),
    })
}

/// Line and column numbers beyond four milliards are no more than a hint.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Whether nothing separates a text into several pieces.
#[must_use]
pub fn is_one_piece(text: &[u8]) -> bool {
    let decoded = decode(text, &Arc::from(""), &Limits::PERSON);
    decoded.is_ok_and(|text| pieces(&text).count() == 1)
}

/// A part of a file between two separators.
pub(super) struct Piece<'a> {
    text: Cow<'a, str>,
    lines_before: usize,
}

/// A whole file, not split.
pub(super) fn whole(text: &str) -> Piece<'_> {
    Piece::new(text, 0)
}

impl<'a> Piece<'a> {
    fn new(text: &'a str, lines_before: usize) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // To YAML 1.1 both are line breaks like any other.
        let odd_breaks = find::byte(b'\r', text.as_bytes()).is_some()
            || !text.is_ascii() && text.contains('\u{85}');
        let text = match odd_breaks {
            true => text.replace(['\r', '\u{85}'], "\n").into(),
            false => text.into(),
        };
        Self { text, lines_before }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The place in the file of what has `offset` bytes before it in this piece.
    pub(super) fn place(&self, file: &Arc<str>, offset: usize) -> Place {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count() + 1;
        Place::new(file.clone(), count(self.lines_before + lines(before) + 1), count(column))
    }

    /// Counts lines for who goes through the piece from its beginning to its end.
    pub(super) fn lines(&self) -> Lines<'_> {
        Lines { text: &self.text, offset: 0, line: self.lines_before + 1 }
    }

    /// Bytes before the first character that go-yaml refuses anywhere, even in a comment.
    pub(super) fn control_character(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        // Those beyond ASCII begin with one of two bytes.
        let wide = find::each_of([0xc2, 0xef], bytes).find(|at| {
            matches!(bytes[*at..], [0xc2, 0x80..=0x9f, ..] | [0xef, 0xbf, 0xbe | 0xbf, ..])
        });
        [ascii_control(bytes), wide].into_iter().flatten().min()
    }
}

/// Line numbers of a piece, in linear time.
pub(super) struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line in the file, from 1, of what has `offset` bytes before it; offsets may only grow.
    pub(super) fn at(&mut self, offset: usize) -> u32 {
        if let Some(between) = self.text.get(self.offset..offset) {
            self.line += lines(between);
            self.offset = offset;
        }
        count(self.line)
    }
}

fn ascii_control(bytes: &[u8]) -> Option<usize> {
    let control = |b: &u8| *b < b' ' && *b != b'\t' && *b != b'\n' || *b == 0x7f;
    // Without an early way out of the inner loop it runs on many bytes at once.
    let clean = |chunk: &&[u8]| !chunk.iter().fold(false, |found, b| found | control(b));
    let before: usize = bytes.chunks(256).take_while(clean).map(<[u8]>::len).sum();
    bytes[before..].iter().position(control).map(|at| before + at)
}

/// A line that begins with `---` and goes on with something other than a comment.
pub(super) struct BadSeparator {
    line: usize,
    text: String,
}

impl BadSeparator {
    pub(super) fn error(self, file: &Arc<str>) -> Error {
        let place = Place::new(file.clone(), count(self.line), 1);
        let message = format!("invalid document separator: {}", self.text);
        Error::new(ErrorKind::Invalid, place, message)
            .hint("let the document begin on the line after \"---\"")
    }
}

/// Splits at the pattern `\n---.*\n`, even within block scalars, as kustomize does.
pub(super) fn pieces(
    text: &str,
) -> impl Iterator<Item = std::result::Result<Piece<'_>, BadSeparator>> {
    let mut rest = Some(text);
    let mut lines_before = 0;
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((end, next)) = separator(text) else {
            return Some(Ok(Piece::new(text, lines_before)));
        };
        let piece = Piece::new(&text[..=end], lines_before);
        lines_before += lines(&text[..=end]) + 1;
        let behind = text[end + 4..next].trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            let text = text[end..next].trim().to_owned();
            return Some(Err(BadSeparator { line: lines_before, text }));
        }
        rest = Some(&text[next..]);
        Some(Ok(piece))
    })
}

/// Where the line before the next separator ends and where the line after it begins.
fn separator(text: &str) -> Option<(usize, usize)> {
    let end = find::part(b"\n---", text.as_bytes())?;
    let next = find::byte(b'\n', &text.as_bytes()[end + 1..])?;
    Some((end, end + 1 + next + 1))
}

fn lines(text: &str) -> usize {
    find::count(b'\n', text.as_bytes())
}
