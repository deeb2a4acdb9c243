//! Where the keys of a document stand, for what is written beside them.

use std::sync::Arc;

use ecow::EcoString;

use super::events::{Event, Events};
use super::pieces::{Piece, decode, pieces};
use super::scalar;
use super::scan::Form;
use crate::limits::Limits;
use crate::value::Tag;

/// A key of a mapping with those that lead to it from the root of its document; keys within lists
/// are left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyLine {
    /// Counted from 0 in what [`read`](super::read) gives, so empty documents do not count.
    pub document: usize,
    /// From 1.
    pub line: u32,
    /// From the root to the key itself.
    pub path: Vec<EcoString>,
}

/// The keys of a file in their order, as far as it is YAML.
#[must_use]
pub fn key_lines(text: &[u8]) -> Vec<KeyLine> {
    let file: Arc<str> = Arc::from("");
    let Ok(text) = decode(text, &file, &Limits::PERSON) else { return Vec::new() };
    let filled = pieces(&text).map_while(Result::ok).filter(|piece| !is_empty(piece));
    let mut keys = Vec::new();
    for (document, piece) in filled.enumerate() {
        collect(document, &piece, &mut keys);
    }
    keys
}

fn is_empty(piece: &Piece<'_>) -> bool {
    match Events::new(piece.text(), 1).next() {
        Ok(Some((Event::Scalar { text, form: Form::Plain, tag: None, .. }, _))) => {
            scalar::resolve(&text) == Tag::Null
        }
        Ok(first) => first.is_none(),
        Err(_) => false,
    }
}

/// What is open while keys are collected.
enum Open {
    /// A mapping with the key that was read last, `None` before each key.
    Map(Option<EcoString>),
    List,
}

fn collect(document: usize, piece: &Piece<'_>, keys: &mut Vec<KeyLine>) {
    let mut events = Events::new(piece.text(), 1);
    let mut open: Vec<Open> = Vec::new();
    let mut lists = 0_usize;
    let mut lines = piece.lines();
    while let Ok(Some((event, mark))) = events.next() {
        if let (Some(Open::Map(key @ None)), Event::Scalar { text, .. }) = (open.last_mut(), &event)
        {
            *key = Some(EcoString::from(&**text));
            if lists == 0 {
                let line = lines.at(mark);
                keys.push(KeyLine { document, line, path: path(&open) });
            }
            continue;
        }
        match event {
            Event::Map(_) => open.push(Open::Map(None)),
            Event::List(_) => {
                lists += 1;
                open.push(Open::List);
            }
            Event::End => {
                lists -= usize::from(matches!(open.pop(), Some(Open::List)));
                value_ends(&mut open);
            }
            Event::Scalar { .. } | Event::Alias(_) => value_ends(&mut open),
            Event::DocumentEnd => return,
        }
    }
}

fn path(open: &[Open]) -> Vec<EcoString> {
    let key = |one: &Open| match one {
        Open::Map(key) => key.clone(),
        Open::List => None,
    };
    open.iter().filter_map(key).collect()
}

fn value_ends(open: &mut [Open]) {
    if let Some(Open::Map(key)) = open.last_mut() {
        *key = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_keys_outside_lists() {
        let text = "# none\n---\na:\n  b: [{x: 1}]\n  c: |\n    d: 1\ne: {f: 1}\n---\ng: 1\n";
        let lines = key_lines(text.as_bytes());
        let shown = |key: &KeyLine| format!("{}:{}:{}", key.document, key.line, key.path.join("."));
        let keys: Vec<_> = lines.iter().map(shown).collect();
        assert_eq!(keys, ["0:3:a", "0:4:a.b", "0:5:a.c", "0:7:e", "0:7:e.f", "1:9:g"]);
    }
}
