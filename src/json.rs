//! The JSON that is hashed, patched and sent.

use std::fmt::Write;
use std::sync::Arc;

use ecow::EcoString;
use serde_json::{Map as Object, Number, Value as Json};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::{Printed, Unprintable, check_key, duplicate_key};

/// Reads the text of a file that is JSON.
///
/// # Errors
/// Where it is none, with the line and the column.
pub(crate) fn read(text: &[u8], file: &Arc<str>) -> Result<Json> {
    serde_json::from_slice(text).map_err(|error| {
        let line = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let place = Place::new(file.clone(), line(error.line()), line(error.column()));
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Error::new(ErrorKind::Invalid, place, format!("no JSON: {message}"))
    })
}

/// Appends the canonical JSON of `value` as Go prints it: sorted keys, no spaces, `<`, `>` and `&` escaped.
///
/// # Errors
/// As [`crate::yaml::write`].
pub fn write(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::Map(map) => write_map(map, true, out)?,
        value => write_inner(value, out)?,
    }
    Ok(())
}

fn write_inner(value: &Value, out: &mut String) -> Printed<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Scalar(scalar) => return write_scalar(scalar, out),
        Value::List(list) => return write_list(list, out),
        Value::Map(map) => return write_map(map, false, out),
    }
    Ok(())
}

fn write_list(list: &[Value], out: &mut String) -> Printed<()> {
    out.push('[');
    for (index, value) in list.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_inner(value, out).map_err(|error| error.element(index))?;
    }
    out.push(']');
    Ok(())
}

fn write_map(map: &Map, root: bool, out: &mut String) -> Printed<()> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|a, b| a.0.text.cmp(&b.0.text));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0.text == pair[1].0.text) {
        return Err(duplicate_key(pair[0].0));
    }
    out.push('{');
    for (index, (key, value)) in entries.iter().enumerate() {
        check_key(key, root)?;
        if index > 0 {
            out.push(',');
        }
        write_string(&key.text, out);
        out.push(':');
        write_inner(value, out).map_err(|error| error.under(&key.text))?;
    }
    out.push('}');
    Ok(())
}

fn write_scalar(scalar: &Scalar, out: &mut String) -> Printed<()> {
    match scalar::meaning(scalar).map_err(Unprintable::new)? {
        Meaning::Null => out.push_str("null"),
        Meaning::Bool(true) => out.push_str("true"),
        Meaning::Bool(false) => out.push_str("false"),
        Meaning::Int(int) => {
            let _ = write!(out, "{int}");
        }
        Meaning::Uint(int) => {
            let _ = write!(out, "{int}");
        }
        Meaning::Float(float) if float.is_finite() => scalar::write_json_float(float, out),
        Meaning::Float(_) => return Err(Unprintable::new("infinities and NaN have no JSON")),
        Meaning::Text(text) => write_string(&text, out),
    }
    Ok(())
}

/// Appends `text` in quotes as Go's `encoding/json` does, safe for HTML.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, c) in text.char_indices() {
        let short = match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\r' => Some("\\r"),
            '\t' => Some("\\t"),
            '\x08' => Some("\\b"),
            '\x0c' => Some("\\f"),
            '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => None,
            _ => continue,
        };
        out.push_str(&text[done..at]);
        match short {
            Some(escape) => out.push_str(escape),
            None => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
        done = at + c.len_utf8();
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// A value of the JSON that a server or a schema sent.
#[must_use]
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::bool(*value),
        Json::Number(number) => from_number(number),
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(list) => Value::List(list.iter().map(from_json).collect()),
        Json::Object(object) => Value::Map(
            object.iter().map(|(key, value)| (Key::from(key.as_str()), from_json(value))).collect(),
        ),
    }
}

fn from_number(number: &Number) -> Value {
    let tag = if number.is_f64() { Tag::Float } else { Tag::Int };
    let text: EcoString = number.to_string().into();
    Value::Scalar(Scalar { text, style: Style::Tagged(tag) })
}

/// The JSON of a value, to be sent to a server or given to a JSON patch.
///
/// # Errors
/// As [`crate::yaml::write`].
pub fn to_json(value: &Value) -> Result<Json> {
    Ok(match value {
        Value::Map(map) => map_to_json(map, true)?,
        value => inner_to_json(value)?,
    })
}

fn inner_to_json(value: &Value) -> Printed<Json> {
    match value {
        Value::Null => Ok(Json::Null),
        Value::Scalar(scalar) => scalar_to_json(scalar),
        Value::List(list) => {
            let element = |(index, value)| {
                inner_to_json(value).map_err(|error: Box<Unprintable>| error.element(index))
            };
            list.iter().enumerate().map(element).collect::<Printed<_>>().map(Json::Array)
        }
        Value::Map(map) => map_to_json(map, false),
    }
}

fn map_to_json(map: &Map, root: bool) -> Printed<Json> {
    let mut object = Object::new();
    for (key, value) in map.iter() {
        check_key(key, root)?;
        let value = inner_to_json(value).map_err(|error| error.under(&key.text))?;
        if object.insert(key.text.to_string(), value).is_some() {
            return Err(duplicate_key(key));
        }
    }
    Ok(Json::Object(object))
}

fn scalar_to_json(scalar: &Scalar) -> Printed<Json> {
    Ok(match scalar::meaning(scalar).map_err(Unprintable::new)? {
        Meaning::Null => Json::Null,
        Meaning::Bool(value) => Json::Bool(value),
        Meaning::Int(int) => Json::from(int),
        Meaning::Uint(int) => Json::from(int),
        Meaning::Float(float) => float_to_json(float)?,
        Meaning::Text(text) => Json::String(text.into_owned()),
    })
}

/// An integral float is sent as an integer, as Go's JSON prints it.
fn float_to_json(float: f64) -> Printed<Json> {
    match scalar::through_json(float) {
        Meaning::Int(int) => Ok(Json::from(int)),
        Meaning::Uint(int) => Ok(Json::from(int)),
        _ => Number::from_f64(float)
            .map(Json::Number)
            .ok_or_else(|| Unprintable::new("infinities and NaN have no JSON")),
    }
}
