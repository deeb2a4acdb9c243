//! A file as text: its encoding, and the pieces between its `---` lines.
//!
//! Kustomize splits with a regular expression before any YAML is read, so a `---` at the beginning of
//! a line splits even within a block scalar.
//!
//! Source: kustomize `kyaml/kio/byteio_reader.go`, `splitDocuments`.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;

use super::scan::Mark;
use crate::error::{Error, ErrorKind, Place, Result};
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
    Ok(match memmem::find(text.as_bytes(), b"\r\n") {
        Some(_) => text.replace("\r\n", "\n").into(),
        None => text.into(),
    })
}

/// Line and column numbers beyond four milliards are no more than a hint.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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
        let odd_breaks = memchr::memchr(b'\r', text.as_bytes()).is_some()
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

    /// Where a mark of this piece is in the file.
    pub(super) fn place(&self, file: &Arc<str>, mark: Mark) -> Place {
        let column = self.text[mark.line_start..mark.offset].chars().count() + 1;
        Place::new(file.clone(), count(self.lines_before + mark.lines + 1), count(column))
    }

    /// The first character that go-yaml refuses anywhere, even in a comment.
    pub(super) fn control_character(&self) -> Option<Mark> {
        let bytes = self.text.as_bytes();
        let ascii = |b: &u8| *b < b' ' && !matches!(b, b'\t' | b'\n') || *b == 0x7f;
        let offset = match bytes.is_ascii() {
            true => bytes.iter().position(ascii),
            false => self.text.find(|c: char| {
                c.is_control() && !matches!(c, '\t' | '\n') || matches!(c, '\u{fffe}' | '\u{ffff}')
            }),
        }?;
        let before = &bytes[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        Some(Mark { offset, line_start, lines: lines(&self.text[..offset]) })
    }
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
    let end = memmem::find(text.as_bytes(), b"\n---")?;
    let next = memchr::memchr(b'\n', &text.as_bytes()[end + 1..])?;
    Some((end, end + 1 + next + 1))
}

fn lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}
