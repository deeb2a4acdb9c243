//! The suffix of a generated name: a hash of the content, so that a changed content is a new name.
//!
//! Source: kustomize `api/hasher/hasher.go`.

use ecow::EcoString;
use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::fields::rename;
use crate::json;
use crate::resources::Resources;
use crate::value::{Scalar, Style, Tag, Value};
use crate::yaml::scalar::{self, Meaning};

/// Renames every object that asks for a hash, and lets it remember what it was called.
///
/// # Errors
/// Where the content of one cannot be written as JSON.
pub fn append(resources: &mut Resources) -> Result<()> {
    if !resources.iter().any(|resource| resource.needs_hash) {
        return Ok(());
    }
    for resource in resources.iter_mut().filter(|resource| resource.needs_hash) {
        let place = || Place::file(resource.origin.file.clone());
        let suffix = suffix(&resource.value).map_err(|error| error.at(place()))?;
        let name = ecow::eco_format!("{}-{suffix}", resource.name());
        resource.remember_id();
        if let Some(old) = resource.value.make(&["metadata", "name"]) {
            rename(old, &name);
        }
    }
    Ok(())
}

/// The suffix for an object, e.g. `64b2md8tth`.
///
/// It covers kind, data and, for Secrets, the type. The name would count too, but kustomize looks it
/// up under the single key `metadata/name` and never finds it: equal data has an equal suffix.
///
/// # Errors
/// Where the data cannot be written as JSON, or the object is neither ConfigMap nor Secret:
/// kustomize hashes its own memory of the source text then, lines and columns included.
pub fn suffix(value: &Value) -> Result<EcoString> {
    let (optional, with_type) = match value.text_at(&["kind"]) {
        Some("ConfigMap") => ("binaryData", false),
        Some("Secret") => ("stringData", true),
        kind => {
            let kind = kind.unwrap_or("object without kind");
            let message = format!("{kind} cannot have a hash in its name");
            let error = Error::new(ErrorKind::Invalid, Place::file(""), message);
            return Err(error.hint("only ConfigMaps and Secrets can"));
        }
    };
    let mut hashed = Value::map();
    hashed.set(&["kind"], Value::string(value.text_at(&["kind"]).unwrap_or_default()));
    hashed.set(&["name"], Value::string(""));
    hashed.set(&["data"], content(value.get("data")));
    if with_type {
        hashed.set(&["type"], content(value.get("type")));
    }
    if let Some(content @ (Value::Map(_) | Value::Null)) =
        value.get(optional).map(|v| content(Some(v)))
    {
        hashed.set(&[optional], content);
    }
    let mut text = String::new();
    json::write(&hashed, &mut text)?;
    Ok(encoded(text.as_bytes()))
}

/// A field as it is hashed: nothing is an empty text, scalars are their text, a written null too;
/// lists are null.
fn content(field: Option<&Value>) -> Value {
    match field {
        Some(map @ Value::Map(_)) => {
            let mut map = map.clone();
            settle_numbers(&mut map);
            map
        }
        Some(Value::List(_)) => Value::Null,
        Some(Value::Scalar(scalar)) => Value::string(scalar.text.clone()),
        Some(Value::Null) | None => Value::string(""),
    }
}

/// Makes integers that no float holds the nearest float: kustomize reads the JSON of the data again.
fn settle_numbers(value: &mut Value) {
    match value {
        Value::Map(map) if map.iter().any(|(_, value)| may_have_integers(value)) => {
            map.iter_mut().for_each(|(_, value)| settle_numbers(value));
        }
        Value::List(list) if list.iter().any(may_have_integers) => {
            list.make_mut().iter_mut().for_each(settle_numbers);
        }
        Value::Scalar(scalar) => match scalar::meaning(scalar) {
            Ok(Meaning::Int(int)) => *value = float(int as f64),
            Ok(Meaning::Uint(int)) => *value = float(int as f64),
            _ => {}
        },
        Value::Null | Value::Map(_) | Value::List(_) => {}
    }
}

/// Whether there may be integers in a value.
fn may_have_integers(value: &Value) -> bool {
    !matches!(value.as_scalar().map(Scalar::tag), Some(Tag::Str | Tag::Null))
}

fn float(number: f64) -> Value {
    Value::Scalar(Scalar {
        text: ecow::eco_format!("{number:e}"),
        style: Style::Tagged(Tag::Float),
    })
}

/// The first ten hexadecimal digits, five of which are replaced so that no word forms.
fn encoded(text: &[u8]) -> EcoString {
    const DIGITS: [char; 16] =
        ['g', 'h', '2', 'k', '4', '5', '6', '7', '8', '9', 'm', 'b', 'c', 'd', 't', 'f'];
    let digest = Sha256::digest(text);
    let digits = digest.iter().take(5).flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: &str, data: &[(&str, &str)]) -> Value {
        let mut value = Value::map();
        value.set(&["kind"], Value::string(kind));
        for (key, text) in data {
            value.set(&["data", key], Value::string(*text));
        }
        value
    }

    #[test]
    fn suffixes_are_those_of_kustomize() {
        // Recorded from kustomize 5.8.1 for `literals: [a=b]`, no data at all, and an empty Secret.
        assert_eq!(suffix(&value("ConfigMap", &[("a", "b")])).expect("valid"), "4h2mbtbbt6");
        assert_eq!(suffix(&value("ConfigMap", &[])).expect("valid"), "6ct58987ht");
        let mut secret = value("Secret", &[]);
        secret.set(&["type"], Value::string("Opaque"));
        assert_eq!(suffix(&secret).expect("valid"), "8226t8dd99");
    }

    #[test]
    fn only_config_maps_and_secrets_have_a_suffix() {
        assert!(suffix(&value("Deployment", &[])).is_err());
    }
}
