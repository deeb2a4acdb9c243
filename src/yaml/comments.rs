//! Schemas that stand in comments: `list: # {"type":"array","x-kubernetes-patch-strategy":"merge"}`.
//!
//! Source: kustomize `kyaml/fieldmeta/fieldmeta.go`, `FieldMeta.Read`.

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use super::events::{Event, Events};
use super::pieces::{decode, pieces};
use super::scalar;
use super::scan::Form;
use crate::limits::Limits;
use crate::value::Tag;

/// The JSON in comments behind keys of a document, each with the keys and indices that lead there.
///
/// `document` counts as for [`locate`](super::locate). A text without such comments costs a search.
#[must_use]
pub fn schema_comments(text: &[u8], document: usize) -> Vec<(Vec<EcoString>, String)> {
    if memchr::memmem::find(text, b"# {").is_none() {
        return Vec::new();
    }
    let Ok(text) = decode(text, &Arc::from(""), &Limits::PERSON) else { return Vec::new() };
    let full = |text: &str| {
        let first = Events::new(text, 1).next().ok().flatten();
        first.is_some_and(|(event, _)| !is_null(&event))
    };
    let piece = pieces(&text).flatten().filter(|piece| full(piece.text())).nth(document);
    piece.map(|piece| found(piece.text())).unwrap_or_default()
}

fn is_null(event: &Event<'_>) -> bool {
    matches!(event, Event::Scalar { text, form: Form::Plain, tag: None, .. }
        if scalar::resolve(text) == Tag::Null)
}

fn found(text: &str) -> Vec<(Vec<EcoString>, String)> {
    let mut events = Events::new(text, 1);
    events.scanner().want_comments();
    let mut keys: Vec<(usize, Vec<EcoString>)> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut line = Line::default();
    while let Ok(Some((event, at))) = events.next() {
        if let Event::Scalar { text: key, .. } = &event
            && let Some(Open::Map { key: last, value_next: false }) = open.last_mut()
        {
            *last = EcoString::from(key.as_ref());
            if line.at(text, at).wanted {
                // A comment ends its line, so only the last key of a line can have one.
                keys.pop_if(|(before, _)| *before >= line.start);
                keys.push((at, open.iter().map(Open::step).collect()));
            }
        }
        match event {
            Event::DocumentEnd => break,
            Event::End => {
                open.pop();
                advance(&mut open);
            }
            Event::Map(_) => open.push(Open::Map { key: EcoString::new(), value_next: false }),
            Event::List(_) => open.push(Open::List { index: 0 }),
            Event::Scalar { .. } | Event::Alias(_) => advance(&mut open),
        }
    }
    let comments = events.scanner().comments().iter();
    comments.filter_map(|at| schema(text, *at, &keys)).collect()
}

/// The line that one is on.
#[derive(Default)]
struct Line {
    start: usize,
    end: usize,
    /// Whether it may have a comment with a schema.
    wanted: bool,
}

impl Line {
    fn at(&mut self, text: &str, at: usize) -> &Self {
        if at >= self.end {
            let start = text[..at].rfind('\n').map_or(0, |before| before + 1);
            let end = text[at..].find('\n').map_or(text.len(), |length| at + length + 1);
            *self = Self { start, end, wanted: text[start..end].contains("# {") };
        }
        self
    }
}

/// A collection that is open, and where in it one is.
enum Open {
    List { index: usize },
    Map { key: EcoString, value_next: bool },
}

impl Open {
    fn step(&self) -> EcoString {
        match self {
            Self::List { index } => eco_format!("{index}"),
            Self::Map { key, .. } => key.clone(),
        }
    }
}

/// Goes on after a node.
fn advance(open: &mut [Open]) {
    match open.last_mut() {
        Some(Open::List { index }) => *index += 1,
        Some(Open::Map { value_next, .. }) => *value_next = !*value_next,
        None => {}
    }
}

/// The schema in the comment at `at`, with the path of the last key before it on its line.
fn schema(
    text: &str,
    at: usize,
    keys: &[(usize, Vec<EcoString>)],
) -> Option<(Vec<EcoString>, String)> {
    let json = text[at..].lines().next()?.strip_prefix('#')?.trim();
    let before = keys.partition_point(|(key, _)| *key < at).checked_sub(1)?;
    let (key, path) = &keys[before];
    let same_line = *key >= text[..at].rfind('\n').map_or(0, |before| before + 1);
    (json.starts_with('{') && same_line).then(|| (path.clone(), json.to_owned()))
}
