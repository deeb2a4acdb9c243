//! What Flux decrypts after a build: whole objects, and entries of Secrets that are encrypted files.
//!
//! Source: kustomize-controller `internal/decryptor`, `DecryptResource`, `IsEncryptedSecret`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::mask::{self, decoded};
use super::tree::{Node, Part, entries};
use super::{DEPTH, Fault, Format, Integrity, Keys, Recipient, Step, metadata, open};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::value::{Key, Map, Value};
use crate::yaml::scalar::{self, Meaning};

/// The annotation by which an object stays as it is.
const OPT_OUT: &str = "kustomize.toolkit.fluxcd.io/decrypt";

/// Whether an object asks to be left alone.
#[must_use]
pub fn opts_out(object: &Value) -> bool {
    let asked = object.text_at(&["metadata", "annotations", OPT_OUT]);
    asked.is_some_and(|value| value.eq_ignore_ascii_case("disabled"))
}

/// Whether there is anything in an object that Flux decrypts.
#[must_use]
pub fn is_encrypted(object: &Value) -> bool {
    mask::is_encrypted(object) || !encrypted_entries(object).is_empty()
}

/// Whether Flux takes an object for a Secret that is still encrypted, and refuses to apply it.
#[must_use]
pub fn is_encrypted_secret(object: &Value) -> bool {
    object.text_at(&["kind"]) == Some("Secret")
        && object.text_at(&["apiVersion"]) == Some("v1")
        && object.get("sops").is_some()
}

/// Refuses a Secret that is still encrypted.
///
/// # Errors
/// Where it is one and does not ask to be left alone.
pub fn check(object: &Value, file: &Arc<str>) -> Result<()> {
    if !is_encrypted_secret(object) || opts_out(object) {
        return Ok(());
    }
    let message = format!(
        "{} is SOPS encrypted, configuring decryption is required for this secret to be reconciled",
        subject(object)
    );
    let error = Error::new(ErrorKind::Invalid, Place::file(file.clone()), message);
    Err(error.hint("set spec.decryption of the Kustomization"))
}

/// Decrypts what is encrypted in an object and says whether there was anything.
///
/// # Errors
/// Where it does not decrypt.
pub fn decrypt(object: &mut Value, keys: &Keys, file: &Arc<str>) -> Result<bool> {
    if opts_out(object) {
        return Ok(false);
    }
    if mask::is_encrypted(object) {
        *object = whole(object, keys).map_err(|fault| fault.about(object).at(file))?;
        return Ok(true);
    }
    let found = encrypted_entries(object);
    for (name, content, format) in &found {
        let plain = super::decrypt(
            content,
            *format,
            Format::for_path(name),
            keys,
            Integrity::Ignored,
            file,
        );
        let plain = plain.map_err(|error| entry_failed(object, name, &error))?;
        if let Some(entry) = object.get_mut("data").and_then(|data| data.get_mut(name)) {
            *entry = Value::string(&*Zeroizing::new(STANDARD.encode(&*plain)));
        }
    }
    Ok(!found.is_empty())
}

/// Says whether [`decrypt`] would work, and leaves the object as it is; `None` where nothing is encrypted.
#[must_use]
pub fn probe(object: &Value, keys: &Keys, file: &Arc<str>) -> Option<Result<()>> {
    if opts_out(object) || !is_encrypted(object) {
        return None;
    }
    Some(decrypt(&mut object.clone(), keys, file).map(|_| ()))
}

/// Who can decrypt what is encrypted in an object.
pub(super) fn recipients(object: &Value, file: &Arc<str>) -> Vec<Recipient> {
    if mask::is_encrypted(object) {
        let metadata = node(object, 0).and_then(|node| metadata::take(&mut [node], Format::Json));
        let groups = metadata.map(|metadata| metadata.groups).unwrap_or_default();
        return groups.into_iter().flatten().map(|sealed| sealed.recipient).collect();
    }
    let entries = encrypted_entries(object).into_iter();
    entries
        .flat_map(|(_, content, format)| {
            super::recipients(&content, format, file).unwrap_or_default()
        })
        .collect()
}

/// The entries of a Secret that have a marker, with their content and its format.
fn encrypted_entries(object: &Value) -> Vec<(String, Vec<u8>, Format)> {
    if object.text_at(&["kind"]) != Some("Secret") {
        return Vec::new();
    }
    let data = object.get("data").and_then(Value::as_map);
    let entries = data.into_iter().flat_map(Map::iter);
    entries
        .filter_map(|(key, value)| {
            // What is no base64 is for the API server to refuse.
            let content = decoded(value.as_text()?);
            let format = Format::detect(&content)?;
            Some((key.text.to_string(), content, format))
        })
        .collect()
}

fn whole(object: &Value, keys: &Keys) -> Step<Value> {
    let mut documents = vec![node(object, 0)?];
    let metadata = metadata::take(&mut documents, Format::Json)?;
    open(&mut documents, &metadata, keys, Integrity::Ignored)?;
    Ok(documents.pop().map(|document| value(&document)).unwrap_or_default())
}

/// Kind, namespace and name, as Flux writes them.
pub(super) fn subject(object: &Value) -> String {
    let text = |path: &[&str]| object.text_at(path).unwrap_or_default();
    let (kind, name) = (text(&["kind"]), text(&["metadata", "name"]));
    match text(&["metadata", "namespace"]) {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    }
}

impl Fault {
    fn about(self, object: &Value) -> Self {
        let message = format!("decryption failed for '{}': {}", subject(object), self.message);
        Self { message, ..self }
    }
}

fn entry_failed(object: &Value, name: &str, error: &Error) -> Error {
    let message = format!(
        "decryption failed for '{}', entry \"{name}\": {}",
        subject(object),
        error.message()
    );
    error.clone().retold(message)
}

fn node(value: &Value, depth: usize) -> Step<Node> {
    if depth > DEPTH {
        let message = format!("nested deeper than {DEPTH} levels");
        return Err(Fault::new(ErrorKind::Limit, message));
    }
    Ok(match value {
        Value::Null => Node::Null,
        Value::Scalar(scalar) => match scalar::meaning(scalar).map_err(Fault::invalid)? {
            Meaning::Null => Node::Null,
            Meaning::Bool(bool) => Node::Bool(bool),
            Meaning::Int(int) => Node::Int(int),
            Meaning::Uint(int) => Node::text(int.to_string()),
            Meaning::Float(float) => Node::Float(float),
            Meaning::Text(text) => Node::text(text),
        },
        Value::List(list) => {
            let part =
                |value| Ok(Part::Entry { key: String::new(), value: node(value, depth + 1)? });
            Node::List(list.iter().map(part).collect::<Step<_>>()?)
        }
        Value::Map(map) => {
            let part = |(key, value): (&Key, &Value)| {
                Ok(Part::Entry { key: key.text.to_string(), value: node(value, depth + 1)? })
            };
            Node::Map(map.iter().map(part).collect::<Step<_>>()?)
        }
    })
}

fn value(node: &Node) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(bool) => Value::bool(*bool),
        Node::Int(int) => Value::int(*int),
        Node::Float(float) => {
            let mut text = String::new();
            scalar::write_float(*float, &mut text);
            Value::plain(text)
        }
        Node::Text(text) | Node::Time(text) | Node::Comment(text) => Value::string(text.as_str()),
        Node::Bytes(bytes) => Value::string(STANDARD.encode(&**bytes)),
        Node::Raw(bytes) => Value::string(&*String::from_utf8_lossy(bytes)),
        Node::List(parts) => Value::List(entries(parts).map(|(_, item)| value(item)).collect()),
        Node::Map(parts) => {
            let mut map = Map::default();
            for (key, item) in entries(parts) {
                map.insert(key, value(item));
            }
            Value::Map(map)
        }
    }
}
