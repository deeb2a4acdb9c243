//! What becomes of a text when a comment ends the document behind it.
//!
//! Kustomize prints an object with its comments and reads it again. A comment at the end of a document
//! has a blank line before it, and where the last value is a block that keeps its line breaks, that
//! blank line is one of them.
//!
//! Source: go-yaml v3 `emitterc.go`, `yaml_emitter_process_foot_comment`.

use super::write;
use crate::value::{Scalar, Value};

/// Adds the line break to what ends the object now, if that is still such a block.
pub fn add_break(object: &mut Value) {
    if last_block(object).is_some()
        && let Some(scalar) = last_mut(object)
    {
        scalar.text.push('\n');
    }
}

/// The block that keeps its line breaks and is written last.
pub(super) fn last_block(value: &Value) -> Option<&Scalar> {
    last(value).filter(|scalar| keeps_breaks(scalar))
}

/// Whether the text of a block would be printed with `+`.
fn keeps_breaks(scalar: &Scalar) -> bool {
    let text = scalar.text.as_str();
    (text.ends_with("\n\n") || text == "\n") && scalar.style.is_quoted() && write::stays_block(text)
}

/// Whether comments follow the block that the scalar was read from, the first of them not indented
/// deeper than the others.
pub(super) fn has_comment(scalar: &Scalar, text: &str) -> bool {
    let block = scalar.text.trim_end_matches('\n');
    let own = block.rsplit('\n').next().unwrap_or_default().trim();
    let mut comments = Vec::new();
    for line in text.lines().rev() {
        let content = line.trim();
        match content {
            "" | "..." => {}
            _ if content.starts_with('#') && !own.ends_with(content) => comments.push(line),
            // Text in quotes ends otherwise.
            _ if own.is_empty() => break,
            _ if own.ends_with(content) => break,
            _ => return false,
        }
    }
    let column = |line: &str| line.len() - line.trim_start().len();
    comments.last().is_some_and(|first| comments.iter().all(|one| column(first) <= column(one)))
}

/// The leaf that is written last.
fn last(mut value: &Value) -> Option<&Scalar> {
    loop {
        value = match value {
            Value::Scalar(scalar) => return Some(scalar),
            Value::List(list) => list.last()?,
            Value::Map(map) => map.iter().next_back()?.1,
            Value::Null => return None,
        }
    }
}

fn last_mut(mut value: &mut Value) -> Option<&mut Scalar> {
    loop {
        value = match value {
            Value::Scalar(scalar) => return Some(scalar),
            Value::List(list) => list.make_mut().last_mut()?,
            Value::Map(map) => map.iter_mut().last()?.1,
            Value::Null => return None,
        }
    }
}
