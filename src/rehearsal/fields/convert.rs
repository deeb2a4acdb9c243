//! From a merged object to Go's types: what an apply and a strategic merge patch go through, which
//! is laxer than the reading of a body, and words its refusals otherwise.
//!
//! Source: apimachinery `pkg/runtime/converter.go`, `FromUnstructuredWithValidation`.

use serde_json::{Map, Value};

use super::decode::{Read, SCHEMA, Special, go_name, special, zero};
use super::scalars;
use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// Takes an object over, dropping what its kind does not know; these complaints are sorted.
///
/// # Errors
/// The first value that cannot be taken over, e.g. `cannot convert float64 to int32`.
pub(super) fn convert(
    object: &Value,
    minor: &Minor,
    definition: &'static Definition,
) -> Result<Read, String> {
    let mut converter = Converter { minor, path: String::new(), complaints: Vec::new(), quiet: 0 };
    let value = converter.object(object, definition)?;
    converter.complaints.sort();
    Ok(Read { value, complaints: converter.complaints })
}

struct Converter<'a> {
    minor: &'a Minor,
    path: String,
    complaints: Vec<String>,
    quiet: usize,
}

type Outcome = Result<Value, String>;

impl Converter<'_> {
    fn value(&mut self, value: &Value, node: &Node, name: &str) -> Outcome {
        if value.is_null() {
            return Ok(Value::Null);
        }
        match &node.shape {
            Shape::Reference(reference) => match self.minor.named(*reference) {
                Some(definition) => self.defined(value, definition),
                None => Ok(value.clone()),
            },
            Shape::List(element) => {
                let inner = go_name(self.minor, node, name);
                self.list(value, element, inner.strip_prefix("[]").unwrap_or_default())
            }
            Shape::Object(Some(values)) => self.map(value, values),
            Shape::Object(None) | Shape::Any => Ok(value.clone()),
            Shape::String if node.format == "byte" => bytes(value),
            _ => scalar(value, node, &go_name(self.minor, node, name)),
        }
    }

    fn defined(&mut self, value: &Value, definition: &'static Definition) -> Outcome {
        let wrong = |wanted: &str| {
            format!("json: cannot unmarshal {} into Go value of type {wanted}", json_type(value))
        };
        match special(definition) {
            None => match &definition.node.shape {
                Shape::Object(None) if definition.properties.is_empty() => Ok(value.clone()),
                Shape::Object(None) => self.object(value, definition),
                _ => self.value(value, &definition.node, definition.short_name()),
            },
            Some(Special::Quantity) => {
                let text = match value {
                    Value::String(text) => text.trim().into(),
                    value => value.to_string(),
                };
                Ok(scalars::quantity(&text)?.into())
            }
            Some(Special::IntOrString) => match value {
                Value::String(_) => Ok(value.clone()),
                Value::Number(number) => match number.as_i64().map(i32::try_from) {
                    Some(Ok(_)) => Ok(value.clone()),
                    _ => Err(format!(
                        "json: cannot unmarshal number {number} into Go value of type int32"
                    )),
                },
                _ => Err(wrong("int32")),
            },
            Some(Special::Time) => text_of(value, scalars::time).unwrap_or(Err(wrong("string"))),
            Some(Special::MicroTime) => {
                text_of(value, scalars::micro_time).unwrap_or(Err(wrong("string")))
            }
            Some(Special::Anything) => Ok(value.clone()),
            Some(Special::SchemaOr) => self.schema_or(value),
        }
    }

    fn object(&mut self, value: &Value, definition: &'static Definition) -> Outcome {
        let Value::Object(object) = value else {
            return Err(format!("cannot restore struct from: {}", go_kind(value)));
        };
        let length = self.path.len();
        let mut out = Map::new();
        for (key, value) in object {
            self.enter(key);
            match definition.property(key) {
                Some(property) => {
                    let value = self.value(value, &property.node, "")?;
                    if !value.is_null() {
                        out.insert(key.clone(), value);
                    }
                }
                None if self.quiet == 0 => {
                    self.complaints.push(format!("unknown field \"{}\"", self.path));
                }
                None => {}
            }
            self.path.truncate(length);
        }
        Ok(out.into())
    }

    fn list(&mut self, value: &Value, element: &Node, name: &str) -> Outcome {
        let Value::Array(list) = value else {
            return Err(format!("cannot restore slice from {}", go_kind(value)));
        };
        let length = self.path.len();
        let mut out = Vec::with_capacity(list.len());
        for (at, value) in list.iter().enumerate() {
            self.path.push_str(&format!("[{at}]"));
            let value = self.value(value, element, name)?;
            out.push(if value.is_null() { zero(self.minor, element) } else { value });
            self.path.truncate(length);
        }
        Ok(out.into())
    }

    fn map(&mut self, value: &Value, values: &Node) -> Outcome {
        let Value::Object(object) = value else {
            return Err(format!("cannot restore map from {}", go_kind(value)));
        };
        // The path of what is within a map does not have its key.
        let mut out = Map::new();
        for (key, value) in object {
            let value = self.value(value, values, "")?;
            let value = if value.is_null() { zero(self.minor, values) } else { value };
            out.insert(key.clone(), value);
        }
        Ok(out.into())
    }

    fn schema_or(&mut self, value: &Value) -> Outcome {
        let Some(schema) = self.minor.definition(SCHEMA) else { return Ok(value.clone()) };
        self.quiet += 1;
        let out = match value {
            Value::Object(_) => self.object(value, schema)?,
            Value::Array(list) if list.iter().any(Value::is_object) => {
                list.iter().map(|value| self.object(value, schema)).collect::<Result<_, _>>()?
            }
            _ => value.clone(),
        };
        self.quiet -= 1;
        Ok(out)
    }

    fn enter(&mut self, key: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
    }
}

fn text_of(value: &Value, read: fn(&str) -> Result<String, String>) -> Option<Outcome> {
    Some(read(value.as_str()?).map(Value::String))
}

fn bytes(value: &Value) -> Outcome {
    match value {
        Value::String(text) => match scalars::base64(text) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(format!("error decoding from json: {error}")),
        },
        _ => Err(format!("cannot restore slice from {}", go_kind(value))),
    }
}

/// Go converts between numbers, but no float that has a fraction to an integer; what is too great
/// for 32 bits loses its upper ones.
#[expect(clippy::cast_possible_truncation, reason = "as Go converts integers")]
fn scalar(value: &Value, node: &Node, name: &str) -> Outcome {
    let kind = match node.shape {
        Shape::Integer if node.format.is_empty() => "int",
        Shape::Integer => node.format,
        Shape::Number => "float64",
        Shape::Boolean => "bool",
        _ => "string",
    };
    match (&node.shape, value) {
        (Shape::String, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(value.clone()),
        (Shape::Number, Value::Number(_)) => Ok(value.clone()),
        (Shape::Integer, Value::Number(number)) => {
            let whole = number.as_i64().or_else(|| {
                let float = number.as_f64()?;
                (float.fract() == 0.0).then_some(float as i64)
            });
            match whole {
                Some(int) if kind == "int32" => Ok((int as i32).into()),
                Some(int) => Ok(int.into()),
                None => Err(format!("cannot convert float64 to {name}")),
            }
        }
        (Shape::String, Value::Number(number)) if number.is_i64() => {
            Err(format!("cannot convert int64 to {name}"))
        }
        _ => Err(format!("unrecognized type: {kind}")),
    }
}

/// The kind of Go's value.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
