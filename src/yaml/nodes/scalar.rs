//! What a leaf is and how it can be written.
//!
//! Source: go-yaml v3, `resolve.go`; `emitterc.go`, `yaml_emitter_analyze_scalar`.

use crate::value::Tag;
use crate::yaml::write::is_printable;
use crate::yaml::{is_break, scalar};

/// The tag of a plain text, in short form.
pub(super) fn tag_of(text: &str) -> &'static str {
    if text == "<<" { "!!merge" } else { tag(scalar::resolve(text)) }
}

/// The tag that a plain text has wherever it stands.
pub(super) fn plain_tag(text: &str) -> &'static str {
    tag(scalar::resolve(text))
}

/// The short form of a tag.
pub(super) fn tag(tag: Tag) -> &'static str {
    match tag {
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Str => "!!str",
        Tag::Timestamp => "!!timestamp",
        Tag::Binary => "!!binary",
        Tag::Merge => "!!merge",
    }
}

/// The ways in which a text can be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Over several lines.
    pub(super) is_multiline: bool,
    /// Without quotes, outside and between brackets.
    pub(super) is_plain: bool,
    pub(super) is_flow_plain: bool,
    /// In single quotes.
    pub(super) is_single: bool,
    /// As a block.
    pub(super) is_block: bool,
}

impl Shape {
    pub(super) fn of(text: &str) -> Self {
        let Some(first) = text.chars().next() else {
            return Self {
                is_multiline: false,
                is_plain: true,
                is_flow_plain: false,
                is_single: true,
                is_block: false,
            };
        };
        let (mut in_block, mut in_flow) = indicators(text, first);
        let (mut has_tab, mut is_special, mut is_multiline) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before = None;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let blank_follows = matches!(chars.peek(), None | Some(' ' | '\t'));
            let is_after_blank =
                before.is_none_or(|b: char| matches!(b, ' ' | '\t') || is_break(b));
            in_flow |= matches!(c, ',' | '?' | '[' | ']' | '{' | '}' | ':');
            let indicates = c == ':' && blank_follows || c == '#' && is_after_blank;
            (in_block, in_flow) = (in_block || indicates, in_flow || indicates);
            has_tab |= c == '\t';
            is_special |= c != '\t' && !is_printable(c);
            if is_break(c) {
                is_multiline = true;
                space_break |= before == Some(' ');
            }
            break_space |= c == ' ' && before.is_some_and(is_break);
            before = Some(c);
        }
        let is_end = |c: char| c == ' ' || is_break(c);
        let has_blank_end = text.starts_with(is_end) || text.ends_with(is_end);
        let is_single = !(break_space || space_break || has_tab || is_special);
        let is_one_piece = is_single && !has_blank_end && !is_multiline;
        Self {
            is_multiline,
            is_plain: is_one_piece && !in_block,
            is_flow_plain: is_one_piece && !in_flow,
            is_single,
            is_block: !(text.ends_with(' ') || space_break || is_special),
        }
    }
}

/// Whether a text begins with what means something else, outside and between brackets.
fn indicators(text: &str, first: char) -> (bool, bool) {
    let second = text[first.len_utf8()..].chars().next();
    let blank_follows = matches!(second, None | Some(' ' | '\t'));
    let is_marker = text.starts_with("---") || text.starts_with("...");
    let is_sign = matches!(
        first,
        '#' | ','
            | '['
            | ']'
            | '{'
            | '}'
            | '&'
            | '*'
            | '!'
            | '|'
            | '>'
            | '\''
            | '"'
            | '%'
            | '@'
            | '`'
    );
    let is_dash = first == '-' && blank_follows;
    let is_mark = matches!(first, '?' | ':');
    let everywhere = is_marker || is_sign || is_dash;
    (everywhere || is_mark && blank_follows, everywhere || is_mark)
}
