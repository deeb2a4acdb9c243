//! What a leaf is.
//!
//! Source: go-yaml v3, `resolve.go`.

use crate::yaml::scalar;
pub(super) use crate::yaml::scalar::tag_name as tag;

/// The tag of a plain text, in short form.
pub(super) fn tag_of(text: &str) -> &'static str {
    if text == "<<" { "!!merge" } else { tag(scalar::resolve(text)) }
}

/// The tag that a plain text has wherever it stands.
pub(super) fn plain_tag(text: &str) -> &'static str {
    tag(scalar::resolve(text))
}
