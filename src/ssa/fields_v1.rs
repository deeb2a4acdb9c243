//! Field sets as `managedFields` carry them, e.g. `{"f:spec":{"f:replicas":{}}}`.
//!
//! Source: structured-merge-diff `fieldpath/serialize.go`, `fieldpath/serialize-pe.go`.

use std::fmt::{self, Write};

use ecow::{EcoString, EcoVec};
use serde_json::Value;

use super::path::PathElement;
use super::set::{FieldSet, Node};
use super::shown::write_json_number;

/// Steps from the root of an object to its deepest field, at most. JSON and YAML are read to a lesser
/// depth.
pub(super) const MAX_DEPTH: usize = 200;

/// Why a value is no set of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FieldSet {
    /// The text of the set, as the server writes it to the byte.
    pub fn to_text(&self) -> String {
        let mut out = String::from("{");
        self.write_into(&mut out);
        out.push('}');
        out
    }

    fn write_into(&self, out: &mut String) {
        for (at, node) in self.nodes().iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_text(&node.element.to_key(), false, out);
            out.push_str(":{");
            if node.member && !node.children.is_empty() {
                out.push_str("\".\":{},");
            }
            node.children.write_into(out);
            out.push('}');
        }
    }

    /// The set as JSON.
    pub fn to_json(&self) -> Value {
        let empty = || Value::Object(serde_json::Map::new());
        let mut map = serde_json::Map::new();
        for node in self.nodes() {
            let mut value = node.children.to_json();
            if node.member && !node.children.is_empty() {
                let mut with_self = serde_json::Map::new();
                with_self.insert(".".into(), empty());
                if let Value::Object(children) = value {
                    with_self.extend(children);
                }
                value = with_self.into();
            }
            map.insert(node.element.to_key(), value);
        }
        map.into()
    }

    /// Reads a set. Kinds of steps that are not known are left out with all beneath them.
    ///
    /// # Errors
    /// Where a step cannot be read, or the set is too deep.
    pub fn from_json(value: &Value) -> Result<Self, Malformed> {
        Ok(read(value, 0)?.0)
    }
}

/// The set, and whether the step that leads to it is a member of its parent.
fn read(value: &Value, depth: usize) -> Result<(FieldSet, bool), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed("exceeded max depth".into()));
    }
    let map = match value {
        Value::Object(map) => map,
        Value::Null => return Ok((FieldSet::default(), true)),
        _ => return Err(Malformed("ReadMapCB: expect { or n".into())),
    };
    let mut member = false;
    let mut nodes = EcoVec::with_capacity(map.len());
    for (key, value) in map {
        if key == "." {
            member = true;
            continue;
        }
        let Some(element) = PathElement::from_key(key)? else { continue };
        let (children, member) = read(value, depth + 1)?;
        nodes.push(Node { element, member, children });
    }
    let leaf = nodes.is_empty();
    Ok((FieldSet::from_nodes(nodes), member || leaf))
}

impl PathElement {
    /// As a key of `FieldsV1`: `f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`.
    pub fn to_key(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Field(name) => {
                out.push_str("f:");
                out.push_str(name);
            }
            Self::Key(fields) => {
                out.push_str("k:{");
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(name, false, &mut out);
                    out.push(':');
                    write_value(value, &mut out);
                }
                out.push('}');
            }
            Self::Value(value) => {
                out.push_str("v:");
                write_value(value, &mut out);
            }
            Self::Index(at) => {
                let _ = write!(out, "i:{at}");
            }
        }
        out
    }

    /// Reads a key of `FieldsV1`; `None` where its kind is not known.
    ///
    /// # Errors
    /// Where it is no step.
    pub fn from_key(key: &str) -> Result<Option<Self>, Malformed> {
        if key.len() < 2 {
            return Err(Malformed("key must be 2 characters long:".into()));
        }
        let (kind, rest) = match key.as_bytes() {
            [kind, b':', ..] => (*kind, &key[2..]),
            _ => return Err(Malformed(format!("missing colon: {key}"))),
        };
        Ok(Some(match kind {
            b'f' => Self::Field(rest.into()),
            b'v' => Self::Value(read_json(rest)?.into()),
            b'k' => match read_json(rest)? {
                Value::Object(map) => Self::key(map),
                Value::Null => Self::key::<EcoString>([]),
                _ => return Err(Malformed("ReadObjectCB: expect { or n".into())),
            },
            b'i' => Self::Index(rest.parse().map_err(|_| {
                Malformed(format!("strconv.Atoi: parsing {rest:?}: invalid syntax"))
            })?),
            _ => return Ok(None),
        }))
    }
}

fn read_json(text: &str) -> Result<Value, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed(error.to_string()))
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_json_number(number, out),
        Value::String(text) => write_text(text, true, out),
        Value::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(value, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|pair| pair.0);
            out.push('{');
            for (at, (name, value)) in pairs.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(name, true, out);
                out.push(':');
                write_value(value, out);
            }
            out.push('}');
        }
    }
}

/// The server's JSON writer knows no `\b` and `\f`, and is safe for HTML within values alone.
fn write_text(text: &str, html: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if html => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ssa::path::Path;

    #[test]
    fn a_set_is_read_and_written_to_the_byte() {
        let text = concat!(
            r#"{"f:a":{},"f:b":{".":{},"k:{\"name\":\"x\",\"port\":80}":{".":{},"f:image":{}},"#,
            r#""v:1.5":{},"v:\"\\u003c\"":{},"i:0":{}}}"#
        );
        let set = FieldSet::from_json(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(set.to_text(), text);
        assert_eq!(set.to_json(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(set.len(), 7);
    }

    #[test]
    fn elements_stand_by_value_not_by_text() {
        let ports = [8080, 443, 80].map(|port| Path(vec![PathElement::key([("p", json!(port))])]));
        let text = r#"{"k:{\"p\":80}":{},"k:{\"p\":443}":{},"k:{\"p\":8080}":{}}"#;
        assert_eq!(FieldSet::of(ports).to_text(), text);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let set = FieldSet::from_json(&json!({"x:new": {"f:a": {}}, "f:b": {"x:new": {}}}));
        assert_eq!(set.unwrap().to_text(), r#"{"f:b":{}}"#);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bad in [
            json!([]),
            json!({"a": {}}),
            json!({"f:a": 1}),
            json!({"k:[]": {}}),
            json!({"i:x": {}}),
        ] {
            assert!(FieldSet::from_json(&bad).is_err(), "{bad}");
        }
        let mut deep = json!({});
        for _ in 0..=MAX_DEPTH {
            deep = json!({ "f:a": deep });
        }
        assert!(FieldSet::from_json(&deep).is_err());
    }
}
