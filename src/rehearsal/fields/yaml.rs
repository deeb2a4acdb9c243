//! Bodies in YAML, as the server turns them into JSON before it reads them.
//!
//! Source: sigs.k8s.io/yaml `yaml.go`, over go-yaml v2.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::raw::Raw;
use crate::Limits;
use crate::value::{Key, Map, Scalar, Style, Value};
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::{self, KeyLine};

/// What a text holds, and which keys it has twice: `line 6: key "a" already set in map`.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) raw: Raw,
    pub(super) doubles: Vec<String>,
}

/// Reads the first document of a text.
///
/// # Errors
/// Where it is no YAML, in the words of sigs.k8s.io/yaml.
pub(super) fn read(text: &[u8]) -> Result<Document, String> {
    let file: Arc<str> = Arc::from("body");
    let value = yaml::read_first(text, &file, &Limits::PERSON)
        .map_err(|error| format!("error converting YAML to JSON: yaml: {}", words(&error)))?;
    let raw = raw(&value)?;
    let doubles = if has_doubles(&raw) { doubles(text) } else { Vec::new() };
    Ok(Document { raw, doubles })
}

/// go-yaml's words for a common mistake, ours for the others, with the line but for the first.
fn words(error: &crate::Error) -> String {
    let message = match error.message() {
        "a \": \" cannot stand here" => "mapping values are not allowed in this context",
        other => other,
    };
    match error.places().first().and_then(|place| place.at) {
        Some((line, _)) if line > 1 => format!("line {line}: {message}"),
        _ => message.into(),
    }
}

fn raw(value: &Value) -> Result<Raw, String> {
    Ok(match value {
        Value::Null => Raw::Null,
        Value::List(list) => Raw::List(list.iter().map(raw).collect::<Result<_, _>>()?),
        Value::Map(map) => Raw::Map(entries(map)?),
        Value::Scalar(scalar) => meant(&meaning(scalar)?),
    })
}

/// What a scalar means to YAML 1.1.
fn meaning(scalar: &Scalar) -> Result<Meaning<'_>, String> {
    match scalar.style {
        Style::Plain => Ok(scalar::meaning_v2(&scalar.text)),
        _ => scalar::meaning(scalar)
            .map_err(|error| format!("error converting YAML to JSON: yaml: {error}")),
    }
}

fn meant(meaning: &Meaning<'_>) -> Raw {
    match meaning {
        Meaning::Null => Raw::Null,
        Meaning::Bool(value) => Raw::Bool(*value),
        Meaning::Int(int) => Raw::Number(int.to_string()),
        Meaning::Uint(int) => Raw::Number(int.to_string()),
        Meaning::Float(float) => {
            let mut text = String::new();
            scalar::write_json_float(*float, &mut text);
            Raw::Number(text)
        }
        Meaning::Text(text) => Raw::String(text.as_ref().into()),
    }
}

fn entries(map: &Map) -> Result<Vec<(String, Raw)>, String> {
    map.iter().map(|(key, value)| Ok((key_text(key), raw(value)?))).collect()
}

/// JSON has keys of text only: `1` becomes `"1"`, and `y` becomes `"true"`.
fn key_text(key: &Key) -> String {
    match (key.typed, scalar::meaning_v2(&key.text)) {
        (true, Meaning::Bool(value)) => value.to_string(),
        (true, Meaning::Int(int)) => int.to_string(),
        _ => key.text.to_string(),
    }
}

pub(super) fn has_doubles(raw: &Raw) -> bool {
    match raw {
        Raw::List(list) => list.iter().any(has_doubles),
        Raw::Map(entries) => {
            let mut seen = FxHashSet::default();
            entries.iter().any(|(key, value)| !seen.insert(key) || has_doubles(value))
        }
        _ => false,
    }
}

/// The keys that are there twice, where they are there again. Within lists the lines are not known.
fn doubles(text: &[u8]) -> Vec<String> {
    let mut seen = FxHashSet::default();
    let lines = yaml::key_lines(text);
    let again = |key: &&KeyLine| key.document == 0 && !seen.insert(key.path.clone());
    let again: Vec<_> = lines.iter().filter(again).collect();
    again
        .iter()
        .filter_map(|key| {
            Some(format!("line {}: key {:?} already set in map", key.line, key.path.last()?))
        })
        .collect()
}
