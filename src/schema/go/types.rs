//! What the types are: which of them read their content by a method, what they hold when nothing is set, and
//! what Go calls them.

use serde_json::{Map, Value};

use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// What Go reads by a method of the type instead of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// E.g. `100m`.
    Quantity,
    /// E.g. `80` or `http`.
    IntOrString,
    /// To the second.
    Time,
    /// To the microsecond.
    MicroTime,
    /// JSON of any kind, kept as it is.
    Anything,
    /// A schema of a custom resource, or in its place a boolean or a list.
    SchemaOr,
}

/// Whether the type has a method of its own.
pub fn special(definition: &Definition) -> Option<Special> {
    let (package, name) = definition.name.rsplit_once('.')?;
    Some(match name {
        "Quantity" => Special::Quantity,
        "IntOrString" => Special::IntOrString,
        "Time" => Special::Time,
        "MicroTime" => Special::MicroTime,
        "RawExtension" | "FieldsV1" => Special::Anything,
        "JSON" if package.ends_with("apiextensions.v1") => Special::Anything,
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            Special::SchemaOr
        }
        _ => return None,
    })
}

/// The name of the definition that [`Special::SchemaOr`] may hold.
pub const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// What Go holds where an element or a value of a map is null.
pub fn zero(minor: &Minor, node: &Node) -> Value {
    match &node.shape {
        Shape::String if node.format == "byte" => Value::Null,
        Shape::String => "".into(),
        Shape::Integer | Shape::Number => 0.into(),
        Shape::Boolean => false.into(),
        Shape::Reference(name) => match minor.named(*name) {
            Some(definition) if special(definition).is_none() => Map::new().into(),
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

/// What Go's JSON calls a value.
pub fn json_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A struct's type as errors print it, e.g. `v1.PodSpec`.
pub fn short_type(definition: &Definition) -> String {
    let mut parts = definition.name.rsplit('.');
    let (name, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{package}.{name}")
}

/// The type of a node as errors print it; `inner` is its name where a list or a map around it has
/// given it one.
pub fn go_name(minor: &Minor, node: &Node, inner: &str) -> String {
    if !node.go.name.is_empty() {
        return node.go.name.replace("[]byte", "[]uint8");
    }
    if !inner.is_empty() {
        return inner.into();
    }
    match &node.shape {
        Shape::Reference(name) => minor.named(*name).map(short_type).unwrap_or_default(),
        Shape::List(element) => format!("[]{}", go_name(minor, element, "")),
        Shape::Object(Some(values)) => format!("map[string]{}", go_name(minor, values, "")),
        Shape::String if node.format == "byte" => "[]uint8".into(),
        Shape::String => "string".into(),
        Shape::Integer if node.format.is_empty() => "int".into(),
        Shape::Integer => node.format.into(),
        Shape::Number => "float64".into(),
        Shape::Boolean => "bool".into(),
        Shape::Object(None) | Shape::Any => "interface {}".into(),
    }
}
