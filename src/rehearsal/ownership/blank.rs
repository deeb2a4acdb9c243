//! A new object of which nothing is set.
//!
//! What a server compares a new object with is not nothing: Go writes structs that are no pointers
//! even where they are empty. Their fields are owned, they themselves are not.

use serde_json::{Map, Value};

use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// The object that `creater.New` makes of a built-in kind, as JSON.
pub fn blank(minor: &Minor, api_version: &str, kind: &str) -> Value {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let mut object = match minor.kind(group, version, kind) {
        Some(definition) => fields(minor, definition),
        None => Map::new(),
    };
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    object.into()
}

fn fields(minor: &Minor, definition: &Definition) -> Map<String, Value> {
    let mut out = Map::new();
    for property in &definition.properties {
        if let Some(value) = unset(minor, &property.node) {
            out.insert(property.name.into(), value);
        }
    }
    out
}

/// What Go writes of a field that is not set; `None` where it leaves it out.
fn unset(minor: &Minor, node: &Node) -> Option<Value> {
    let go = &node.go;
    if go.omit_zero {
        return None;
    }
    if go.pointer {
        return (!go.omit_empty).then_some(Value::Null);
    }
    let definition = minor.follow(node);
    let shape = definition.map_or(&node.shape, |definition| &definition.node.shape);
    match (shape, definition) {
        // A struct without a pointer cannot hold itself, so this ends.
        (Shape::Object(None), Some(definition)) => Some(fields(minor, definition).into()),
        _ if go.omit_empty => None,
        (Shape::Boolean, _) => Some(false.into()),
        (Shape::Integer | Shape::Number, _) => Some(0.into()),
        (Shape::String, None) => Some("".into()),
        _ => Some(Value::Null),
    }
}
