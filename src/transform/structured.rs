//! Fields inside texts: JSON or YAML that a field of a resource holds, as ConfigMaps often do.
//!
//! Kustomize reads such a text, sets the field and writes the text anew: JSON with sorted keys, YAML
//! with the quotes, flow collections and comments that it had but indented by two spaces.
//!
//! Source: kustomize `api/filters/replacement/replacement.go`, `setValueInStructuredData`.

use std::sync::Arc;

use ecow::EcoString;

use super::patches::json6902::check_keys;
use crate::field_path::{self, Found, Make};
use crate::json;
use crate::limits::Limits;
use crate::value::{Scalar, Style, Value};
use crate::yaml::nodes::{self, Content, Document, Node};

/// Sets the fields at the end of `path` where the way there leads through a text; `None`, with
/// nothing changed, where it does not or there is no such field.
pub(super) fn set<'n>(
    object: &mut Value,
    path: &[EcoString],
    make: Make,
    new: impl FnOnce() -> &'n Node,
) -> Option<Found> {
    let (outer, inner) = path.split_at(text_depth(object, path)?);
    let Ok(Some(Value::Scalar(field))) = field_path::find_mut(object, outer) else { return None };
    let (text, found) = edited(&field.text, inner, make, new())?;
    let style = match field.style {
        Style::Plain => Style::Tagged(field.tag()),
        style => style,
    };
    *field = Scalar { text: text.into(), style };
    Some(found)
}

/// How many parts of the path lead to a scalar.
fn text_depth(object: &Value, path: &[EcoString]) -> Option<usize> {
    (1..path.len()).find(|depth| {
        matches!(field_path::find(object, &path[..*depth]), Ok(Some(Value::Scalar(_))))
    })
}

/// The text with the field set; `None` where it holds no such field or cannot be written again.
fn edited(text: &str, path: &[EcoString], make: Make, new: &Node) -> Option<(String, Found)> {
    let mut document = nodes::read(text, Limits::WEBHOOK.depth)?;
    let found = field_path::visit(&mut document.root, path, make, &mut |field| {
        put(field, new);
        Ok(())
    });
    let found = found.ok().filter(|found| found.values > 0)?;
    let text = match text.trim_start().starts_with(['{', '[']) {
        true => json_text(&document, text)?,
        false => document.write(),
    };
    Some((text, found))
}

/// A scalar keeps its type; options do not count inside texts.
fn put(field: &mut Node, new: &Node) {
    match &mut field.content {
        Content::Scalar(text, _) => *text = new.text().cloned().unwrap_or_default(),
        Content::Alias(_) | Content::List(..) | Content::Map(..) => *field = new.clone(),
    }
}

/// JSON over several lines stays so, all other on one line.
fn json_text(document: &Document, before: &str) -> Option<String> {
    let written = document.write();
    let values = crate::yaml::read(written.as_bytes(), &Arc::from(""), &Limits::WEBHOOK).ok()?;
    let value = values.first()?;
    if !has_json(value) {
        return None;
    }
    let mut compact = String::new();
    json::write(value, &mut compact).ok()?;
    let is_pretty = before.contains('\n') && before.contains("  ");
    Some(if is_pretty { indented(&compact) } else { compact })
}

/// Whether all keys are strings that are there once.
fn has_json(value: &Value) -> bool {
    match value {
        Value::Null | Value::Scalar(_) => true,
        Value::List(list) => list.iter().all(has_json),
        Value::Map(map) => check_keys(map).is_ok() && map.iter().all(|(_, value)| has_json(value)),
    }
}

/// Compact JSON over several lines, two spaces a level.
fn indented(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut rest = compact.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            in_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            continue;
        }
        match c {
            '{' | '[' if matches!(rest.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(rest.next());
            }
            '{' | '[' => {
                out.push(c);
                depth += 1;
                break_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_in(text: &str, path: &str, new: &str) -> Option<String> {
        edited(text, &field_path::split(path), Make::Nothing, &Node::of(&Value::plain(new)))
            .map(|(text, _)| text)
    }

    #[test]
    fn json_keeps_its_lines_and_sorts_its_keys() {
        assert_eq!(
            set_in(r#"{"b": {"p": 1}, "a": "<x>"}"#, "b.p", "2").as_deref(),
            Some(r#"{"a":"\u003cx\u003e","b":{"p":2}}"#)
        );
        assert_eq!(
            set_in("{\n  \"b\": [1, {}],\n  \"a\": \"q:\\\"\"\n}", "b.0", "2").as_deref(),
            Some("{\n  \"a\": \"q:\\\"\",\n  \"b\": [\n    2,\n    {}\n  ]\n}")
        );
    }

    #[test]
    fn json_refuses_a_text_for_a_number() {
        assert_eq!(set_in(r#"{"a": 1}"#, "a", "x"), None);
    }

    #[test]
    fn yaml_keeps_quotes_flow_and_comments() {
        let text = "# top\n\nx:   # of x\n    y: old # of y\n    z: 'a'  \n    # end of x\n\n\
                    # list\nl:\n  - \"q\"\n  # second\n  -   - {a:  1}\ne:\nn: ~\n# last\n";
        assert_eq!(
            set_in(text, "x.y", "new").as_deref(),
            Some(
                "# top\n\nx: # of x\n  y: new # of y\n  z: 'a'\n  # end of x\n\
             # list\nl:\n- \"q\"\n# second\n- - {a: 1}\ne:\nn: ~\n# last"
            )
        );
    }

    #[test]
    fn yaml_keeps_blocks() {
        let text = "a: |\n  x # no comment\n\n   y\nb: >-\n  one\n  two\n\n  three\nc: 1\n";
        assert_eq!(
            set_in(text, "c", "2").as_deref(),
            Some("a: |\n  x # no comment\n\n   y\nb: >-\n  one two\n\n  three\nc: 2")
        );
    }

    #[test]
    fn yaml_keeps_anchors_and_tags() {
        let text = "base: &b {a: 1, b: [x, y]} # one\nmore: # two\n  <<: *b\n  c: &s text\n  d: *s\n\
                    e: &t\n- &y\n  b: c\n- f: &u |\n    text\n- &n\n- *y\n&k g: !!str 5\nh: !x {i: &v \"q\"}\n\
                    j: !!map &z\n  x: y\n";
        assert_eq!(
            set_in(text, "more.c", "new").as_deref(),
            Some(
                "base: &b {a: 1, b: [x, y]} # one\nmore: # two\n  !!merge <<: *b\n  c: &s new\n  d: *s\n\
                 e: &t\n- &y\n  b: c\n- f: &u |\n    text\n- &n\n- *y\n&k g: !!str 5\nh: !x {i: &v \"q\"}\n\
                 j: &z !!map\n  x: y"
            )
        );
        assert_eq!(
            set_in(text, "g", "6").as_deref().map(|text| text.contains("g: !!str 6")),
            Some(true)
        );
        assert_eq!(set_in("a: &x 1\nb: *x", "b", "2").as_deref(), Some("a: &x 1\nb: 2"));
        assert_eq!(set_in("a: &x {c: 1}\nb: *x", "b.c", "2"), None);
        let nothing = "a: &x # of a\nb: 1 # of b\n";
        assert_eq!(set_in(nothing, "b", "2").as_deref(), Some("a: &x\nb: 2 # of b"));
    }

    #[test]
    fn comments_behind_anchors_go_to_what_comes_next() {
        let set = |text: &str| {
            let whole = set_in(&format!("x: old\n{text}"), "x", "new");
            whole.map(|whole| whole.trim_start_matches("x: new\n").to_owned()).unwrap_or_default()
        };
        assert_eq!(set("m: &c # c\n  k: v\n  l: w"), "m: &c\n  k: v # c\n  l: w");
        assert_eq!(set("m: &c # c\n  k: v # own\n  l: w"), "m: &c\n  k: v # own\n  l: w # c");
        assert_eq!(set("m: &c # c\n  k:\n    l: w"), "m: &c\n  k: # c\n    l: w");
        assert_eq!(set("m: !x # c\n- [a]\n- b"), "m: !x\n- [a]\n- b");
        assert_eq!(set("m: &c # c\n- a: b # own\n  d: e"), "m: &c\n- a: b # own\n  d: e # c");
        assert_eq!(set("m: &c # c\n- a # own\n- b"), "m: &c\n- a # c\n\n# own\n- b");
    }

    #[test]
    fn comments_behind_dashes_and_the_signs_of_blocks_stay() {
        let text = "x: old\nl: # c\n- # d\n  k: v # e\n- # f\n  - # g\n    # h\n    k: v\n- # i\n  a\n\
                    - | # j\n  # text\n- &a | # k\n  # text\nlonger: &b >- # l\n  # text\n# m\nn: 1";
        assert_eq!(
            set_in(text, "x", "new").as_deref(),
            Some(
                "x: new\nl: # c\n- # d\n  k: v # e\n- # f\n  - # g\n    # h\n    k: v\n# i\n- a\n\
                 - | # j\n  # text\n- &a | # k\n  # text\nlonger: &b >- # l\n  # text\n# m\nn: 1"
            )
        );
    }

    #[test]
    fn yaml_scalars_keep_their_type() {
        assert_eq!(set_in("a: x\nb: 1", "a", "5").as_deref(), Some("a: \"5\"\nb: 1"));
        assert_eq!(set_in("a: x\nb: 1", "b", "y").as_deref(), Some("a: x\nb: !!int y"));
        assert_eq!(set_in("a: x\nb: |\n  t", "a", "y").as_deref(), Some("a: y\nb: |-\n  t"));
        assert_eq!(set_in("a: x", "a", "git:").as_deref(), Some("a: 'git:'"));
    }

    #[test]
    fn a_text_without_the_field_is_left_alone() {
        assert_eq!(set_in("a: 1", "b", "x"), None);
        assert_eq!(set_in("just text", "b", "x"), None);
        assert_eq!(set_in("a: [", "a", "x"), None);
    }
}
