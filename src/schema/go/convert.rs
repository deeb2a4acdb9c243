//! From plain JSON to Go's types: what an apply, a strategic merge patch and Flux's objects go through. That is
//! laxer than the reading of a body, and words its refusals otherwise.
//!
//! Source: apimachinery `pkg/runtime/converter.go`, `FromUnstructuredWithValidation`.

use base64::prelude::*;
use serde_json::{Map, Number, Value};

use super::scalars;
use super::types::{SCHEMA, Special, go_name, json_word, special, zero};
use crate::schema::kubernetes::{Definition, Minor, Node, Shape};

/// An object as Go's types hold it; [`encode`](super::encode) makes of it what they write.
#[derive(Debug, Default)]
pub struct Converted<'v> {
    /// What is held.
    pub value: Value,
    /// The fields that were dropped, as its type does not have them.
    pub unknown: Vec<Unknown<'v>>,
}

/// A field that its type does not have.
#[derive(Clone, Debug)]
pub struct Unknown<'v> {
    /// The way to it.
    pub path: Vec<Step<'v>>,
    /// The type.
    pub within: &'static Definition,
}

/// A step into an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'v> {
    /// To a field of a struct.
    Field(&'v str),
    /// To an entry of a map, whose keys are free.
    Key(&'v str),
    /// To an element of a list.
    Index(usize),
}

impl Unknown<'_> {
    /// The way to it in Go's words, which leave the keys of maps out, e.g. `spec.ports[0].prot`.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if out.is_empty() => out.push_str(name),
                Step::Field(name) => out.extend([".", name]),
                Step::Key(_) => {}
                Step::Index(at) => out.push_str(&format!("[{at}]")),
            }
        }
        out
    }
}

/// Takes an object over, dropping what its kind does not know.
///
/// # Errors
/// The first value that cannot be taken over, e.g. `cannot convert float64 to int32`.
pub fn convert<'v>(
    object: &'v Value,
    minor: &Minor,
    definition: &'static Definition,
) -> Result<Converted<'v>, String> {
    let mut converter = Converter { minor, path: Vec::new(), unknown: Vec::new(), quiet: 0 };
    let value = converter.object(object, definition)?;
    Ok(Converted { value, unknown: converter.unknown })
}

struct Converter<'a, 'v> {
    minor: &'a Minor,
    path: Vec<Step<'v>>,
    unknown: Vec<Unknown<'v>>,
    /// How many types around this one read their content by a method, which complains of nothing.
    quiet: usize,
}

type Outcome = Result<Value, String>;

impl<'v> Converter<'_, 'v> {
    fn value(&mut self, value: &'v Value, node: &Node, name: &str) -> Outcome {
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

    fn defined(&mut self, value: &'v Value, definition: &'static Definition) -> Outcome {
        let wrong = |wanted: &str| {
            format!("json: cannot unmarshal {} into Go value of type {wanted}", json_word(value))
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
                Value::Number(number) => match whole(number).map(i32::try_from) {
                    Some(Ok(int)) => Ok(int.into()),
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

    fn object(&mut self, value: &'v Value, definition: &'static Definition) -> Outcome {
        let Value::Object(object) = value else {
            return Err(format!("cannot restore struct from: {}", go_kind(value)));
        };
        let mut out = Map::new();
        for (key, value) in object {
            self.path.push(Step::Field(key));
            match definition.property(key) {
                Some(property) => {
                    let value = self.value(value, &property.node, "")?;
                    if !value.is_null() {
                        out.insert(key.clone(), value);
                    }
                }
                None if self.quiet == 0 => {
                    self.unknown.push(Unknown { path: self.path.clone(), within: definition });
                }
                None => {}
            }
            self.path.pop();
        }
        Ok(out.into())
    }

    fn list(&mut self, value: &'v Value, element: &Node, name: &str) -> Outcome {
        let Value::Array(list) = value else {
            return Err(format!("cannot restore slice from {}", go_kind(value)));
        };
        let mut out = Vec::with_capacity(list.len());
        for (at, value) in list.iter().enumerate() {
            self.path.push(Step::Index(at));
            let value = self.value(value, element, name)?;
            out.push(if value.is_null() { zero(self.minor, element) } else { value });
            self.path.pop();
        }
        Ok(out.into())
    }

    fn map(&mut self, value: &'v Value, values: &Node) -> Outcome {
        let Value::Object(object) = value else {
            return Err(format!("cannot restore map from {}", go_kind(value)));
        };
        let mut out = Map::new();
        for (key, value) in object {
            self.path.push(Step::Key(key));
            let value = self.value(value, values, "")?;
            self.path.pop();
            let value = if value.is_null() { zero(self.minor, values) } else { value };
            out.insert(key.clone(), value);
        }
        Ok(out.into())
    }

    fn schema_or(&mut self, value: &'v Value) -> Outcome {
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
        // What is a list in Go's type as well, which has no text for it.
        Value::Array(list) => list
            .iter()
            .map(byte)
            .collect::<Result<Vec<u8>, _>>()
            .map(|bytes| Value::from(BASE64_STANDARD.encode(bytes))),
        _ => Err(format!("cannot restore slice from {}", go_kind(value))),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Go converts integers"
)]
fn byte(value: &Value) -> Result<u8, String> {
    match value {
        Value::Null => Ok(0),
        Value::Number(number) => match whole(number) {
            Some(int) => Ok(int as u8),
            None => Err("cannot convert float64 to uint8".into()),
        },
        _ => Err("unrecognized type: uint8".into()),
    }
}

/// A number that has no fraction.
#[expect(clippy::cast_possible_truncation, reason = "as Go converts integers")]
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0).then_some(float as i64)
    })
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
        (Shape::Integer, Value::Number(number)) => match whole(number) {
            Some(int) if kind == "int32" => Ok((int as i32).into()),
            Some(int) => Ok(int.into()),
            None => Err(format!("cannot convert float64 to {name}")),
        },
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::kubernetes::minor;

    fn converted(kind: (&str, &str, &str), object: &Value) -> Result<Value, String> {
        let minor = minor(36).expect("there");
        let definition = minor.kind(kind.0, kind.1, kind.2).expect("a built-in kind");
        convert(object, minor, definition).map(|converted| converted.value)
    }

    #[test]
    fn numbers_without_a_fraction_are_whole() {
        let update = |value: Value| json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": value } } } });
        let kind = ("apps", "v1", "Deployment");
        assert_eq!(converted(kind, &update(json!(2.0))), Ok(update(json!(2))));
        let error = converted(kind, &update(json!(2.5))).expect_err("refused");
        assert_eq!(error, "json: cannot unmarshal number 2.5 into Go value of type int32");
    }

    #[test]
    fn lists_of_numbers_are_bytes() {
        let secret = |value: Value| json!({ "data": { "a": value } });
        let kind = ("", "v1", "Secret");
        assert_eq!(converted(kind, &secret(json!([1, null, 257]))), Ok(secret(json!("AQAB"))));
        assert!(converted(kind, &secret(json!(["a"]))).is_err());
    }

    #[test]
    fn unknown_fields_are_told_with_the_way_to_them() {
        let kind = ("apps", "v1", "Deployment");
        let minor = minor(36).expect("there");
        let definition = minor.kind(kind.0, kind.1, kind.2).expect("a built-in kind");
        let containers = json!([{ "resources": { "limits": { "cpu": 1 }, "x": 1 } }]);
        let object =
            json!({ "spec": { "template": { "spec": { "containers": containers } } }, "y": 1 });
        let converted = convert(&object, minor, definition).expect("convertible");
        let shown: Vec<_> = converted.unknown.iter().map(Unknown::shown).collect();
        assert_eq!(shown, ["spec.template.spec.containers[0].resources.x", "y"]);
        assert_eq!(converted.unknown[0].within.short_name(), "ResourceRequirements");
        assert_eq!(converted.unknown[1].path, [Step::Field("y")]);
    }
}
