//! Which texts kustomize puts quotes around when it sets a field.
//!
//! Source: kustomize `kyaml/yaml/fns.go` (`FieldSetter`), `kyaml/yaml/compatibility.go`.

use super::{read_first, scalar};
use crate::limits::Limits;
use crate::value::{Key, Scalar, Style, Tag, Value};

/// A string as kustomize sets it: quotes outlive the text, so that a later text is a string too.
#[must_use]
pub fn set_string(text: &str) -> Value {
    let style = if is_no_text(text) { Style::Quoted } else { Style::Tagged(Tag::Str) };
    Value::Scalar(Scalar { text: text.into(), style })
}

/// A key as kustomize makes one: without quotes, so that `1` or `true` is none and is refused when
/// the object is printed.
#[must_use]
pub fn plain_key(text: &str) -> Key {
    Key { text: text.into(), typed: scalar::resolve(text) != Tag::Str }
}

/// Whether YAML 1.1 reads something else than text: a number, but also a mapping, as in `a: b`.
#[must_use]
pub fn is_no_text(text: &str) -> bool {
    if text.is_empty() || text.contains('\n') {
        return false;
    }
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    if text.bytes().all(is_word) {
        return is_typed(text);
    }
    if is_plainly_text(text) {
        return false;
    }
    let read = read_first(text.as_bytes(), &"".into(), &Limits::WEBHOOK);
    read.is_ok_and(|value| match value {
        Value::Scalar(Scalar { text, style: Style::Plain }) => is_typed(&text),
        Value::Scalar(scalar) => scalar.tag() != Tag::Str,
        Value::Null | Value::List(_) | Value::Map(_) => true,
    })
}

/// Sees without reading it that a text of several words is no more than that.
fn is_plainly_text(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.contains(' ')
        && text.bytes().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b':' | b'#'))
        && !text.ends_with(' ')
}

fn is_typed(text: &str) -> bool {
    !matches!(scalar::resolve_v2(text), Tag::Str | Tag::Timestamp | Tag::Merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_told_from_what_is() {
        for text in ["1", "0x1F", "yes", "~", "a: b", "[a]", "true # x", "- a", "{}", "1 # b"] {
            assert!(is_no_text(text), "{text}");
        }
        for text in ["", "a", "a b", "a b #c", "a:b", "1 2", "2001-01-01", "@x", "*x", "1\n2"] {
            assert!(!is_no_text(text), "{text}");
        }
    }
}
