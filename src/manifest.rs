//! From the documents of a file to the objects they hold.
//!
//! Source: kustomize `kyaml/kio/byteio_reader.go` (a file that is one `List`), `api/resource/factory.go`
//! (any kind that ends in `List`, and what every object needs).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::resource::{Origin, Resource, Written};
use crate::transform::patches::json6902::{check_keys, null};
use crate::value::{Key, Scalar, Style, Tag, Value};
use crate::yaml;
use crate::yaml::scalar::{self, Meaning};

/// The objects of a file in the order in which kustomize accumulates them, lists unwrapped.
///
/// `text` is what the documents were read from; `place` tells where the document of a given position
/// starts.
///
/// # Errors
/// Where a document is no object, or has no kind or no name.
pub fn resources(
    documents: &[Value],
    text: &[u8],
    file: &Arc<str>,
    place: &dyn Fn(usize) -> Place,
) -> Result<Vec<Resource>> {
    // JSON is one document in brackets.
    let is_json = documents.len() == 1 && text.trim_ascii_start().starts_with(b"{");
    let comments = yaml::blocks_above_comments(text, documents);
    let mut queue = VecDeque::with_capacity(documents.len());
    for ((document, value), has_comment_below) in documents.iter().enumerate().zip(comments) {
        // What stands between two separators counts, be it no more than a comment.
        let unwrapped = items_of_a_single_list(value)
            .filter(|_| documents.len() == 1 && yaml::is_one_piece(text));
        match unwrapped {
            Some(items) => {
                let entry = |(at, item): (usize, &Value)| {
                    let written = Written::Item(at);
                    Entry { written, ..Entry::part(document, item.clone(), is_json) }
                };
                queue.extend(items.iter().enumerate().map(entry));
            }
            None => {
                let entry = Entry::part(document, value.clone(), is_json);
                let written = Written::Document;
                queue.push_back(Entry { has_comment_below, written, ..entry });
            }
        }
    }
    let mut resources = Vec::with_capacity(queue.len());
    while let Some(entry) = queue.pop_front() {
        let Entry { document, value, in_brackets, written, has_comment_below } = entry;
        if is_blank(&value) {
            continue;
        }
        check(&value, || place(document))?;
        match list_items(&value, || place(document))? {
            // Its items come after everything else in the file.
            Some(items) => {
                let invalid = |message| Error::new(ErrorKind::Invalid, place(document), message);
                check_collection(&value).map_err(invalid)?;
                for item in items {
                    let item = through_json(item).map_err(invalid)?;
                    queue.push_back(Entry::part(document, item, true));
                }
            }
            None => {
                let resource = resource(value, file, document);
                let notes = Resource { in_brackets, written, has_comment_below, ..resource };
                resources.push(notes);
            }
        }
    }
    Ok(resources)
}

/// What may be an object, or a list of them.
struct Entry {
    document: usize,
    value: Value,
    /// See [`Resource::in_brackets`].
    in_brackets: bool,
    /// See [`Resource::written`].
    written: Written,
    /// See [`Resource::has_comment_below`].
    has_comment_below: bool,
}

impl Entry {
    /// A part of a document, below which no comment stands.
    fn part(document: usize, value: Value, in_brackets: bool) -> Self {
        let written = Written::Json;
        Self { document, value, in_brackets, written, has_comment_below: false }
    }
}

fn items_of_a_single_list(value: &Value) -> Option<&[Value]> {
    if !matches!(value.text_at(&["kind"]), Some("List" | "ResourceList")) {
        return None;
    }
    match value.get("items") {
        Some(items) => Some(items.as_list().map_or(&[], |list| list.as_slice())),
        None => value.get("functionConfig").map(|_| &[][..]),
    }
}

/// The items of a collection; `None` where the object is none.
fn list_items(value: &Value, place: impl FnOnce() -> Place) -> Result<Option<&[Value]>> {
    if !value.text_at(&["kind"]).is_some_and(|kind| kind.ends_with("List")) {
        return Ok(None);
    }
    match value.get("items") {
        None => Ok(None),
        Some(items) if items.is_null() => Ok(Some(&[])),
        Some(Value::List(items)) => Ok(Some(items.as_slice())),
        Some(other) => {
            let message = format!("\"items\" of a list is a {}, not a list", other.kind_name());
            Err(Error::new(ErrorKind::Invalid, place(), message))
        }
    }
}

/// kustomize reads a collection whole, also what stands beside its items.
fn check_collection(value: &Value) -> std::result::Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Scalar(scalar) => scalar::meaning(scalar).map(drop),
        Value::List(list) => list.iter().try_for_each(check_collection),
        Value::Map(map) => {
            // kustomize copies an entry whose key is null, and has it twice then.
            let is_null = |key: &Key| key.typed && scalar::resolve(&key.text) == Tag::Null;
            if let Some((key, _)) = map.iter().find(|(key, _)| is_null(key)) {
                return Err(format!("key {} is no string", key.text));
            }
            if let Some(key) = map.twice() {
                return Err(format!("key \"{}\" is there twice", key.text));
            }
            map.iter().try_for_each(|(_, value)| check_collection(value))
        }
    }
}

/// An item as kustomize takes it out of a collection: by JSON text, in which all strings are quoted.
/// What is put before or behind a quoted name later cannot make it a number.
fn through_json(value: &Value) -> std::result::Result<Value, String> {
    Ok(match value {
        value if value.is_null() => null(),
        Value::Null => null(),
        Value::Scalar(scalar) => {
            let mut text = String::new();
            match scalar::meaning(scalar)? {
                // Taken as it is read: nothing is printed on the way.
                Meaning::Text(_) if scalar.style == Style::Folded => {
                    let style = Style::Quoted;
                    return Ok(Value::Scalar(Scalar { style, ..scalar.clone() }));
                }
                Meaning::Null => return Ok(null()),
                Meaning::Text(text) => {
                    let (text, style) = (text.as_ref().into(), Style::Quoted);
                    return Ok(Value::Scalar(Scalar { text, style }));
                }
                Meaning::Bool(value) => return Ok(Value::bool(value)),
                Meaning::Int(int) => text = int.to_string(),
                Meaning::Uint(int) => text = int.to_string(),
                Meaning::Float(float) if float.is_finite() => {
                    scalar::write_json_float(float, &mut text);
                }
                Meaning::Float(_) => return Err("infinities and NaN have no JSON".to_owned()),
            }
            Value::plain(text)
        }
        Value::List(list) => {
            Value::List(list.iter().map(through_json).collect::<std::result::Result<_, _>>()?)
        }
        Value::Map(map) => {
            check_keys(map)?;
            let entry = |(key, value): (&Key, &Value)| Ok((key.clone(), through_json(value)?));
            Value::Map(map.iter().map(entry).collect::<std::result::Result<_, String>>()?)
        }
    })
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Scalar(_) => false,
        Value::Null => true,
    }
}

/// What kustomize asks of every object: a mapping with a kind and, unless it is a list, a name.
fn check(value: &Value, place: impl FnOnce() -> Place) -> Result<()> {
    let invalid = |message: &str, hint: &str, place: Place| {
        Err(Error::new(ErrorKind::Invalid, place, message).hint(hint))
    };
    if value.as_map().is_none() {
        let message = format!("document is a {}, not a Kubernetes object", value.kind_name());
        return Err(Error::new(ErrorKind::Invalid, place(), message));
    }
    let kind = value.text_at(&["kind"]).unwrap_or_default();
    if kind.is_empty() {
        return invalid(
            "object has no kind",
            "add \"kind:\", or move the file out of \"resources\"",
            place(),
        );
    }
    if let Some(metadata) = value.get("metadata")
        && !metadata.is_null()
        && metadata.as_map().is_none()
    {
        let message = format!("\"metadata\" is a {}, not a map", metadata.kind_name());
        return Err(Error::new(ErrorKind::Invalid, place(), message));
    }
    let name = value.text_at(&["metadata", "name"]).unwrap_or_default();
    if name.is_empty() && !kind.ends_with("List") {
        let message = format!("{kind} has no name");
        return invalid(&message, "add \"metadata.name\"; \"generateName\" is not enough", place());
    }
    Ok(())
}

fn resource(value: Value, file: &Arc<str>, document: usize) -> Resource {
    let mut resource = Resource::new(value, Origin { file: file.clone(), document });
    resource.adopt_notes();
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn names(text: &str) -> Result<Vec<String>> {
        let file: Arc<str> = "r.yaml".into();
        let documents = crate::yaml::read(text.as_bytes(), &file, &Limits::PERSON)?;
        let place = |_| Place::file(file.clone());
        let list = resources(&documents, text.as_bytes(), &file, &place)?;
        Ok(list.iter().map(|one| one.name().to_owned()).collect())
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";

    #[test]
    fn items_of_a_typed_list_come_last() {
        let list = "apiVersion: v1\nkind: ConfigMapList\nitems:\n\
                    - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n";
        assert_eq!(names(&format!("{list}---\n{MAP}")).expect("valid"), ["b", "a"]);
    }

    #[test]
    fn a_list_without_items_is_an_object() {
        assert_eq!(names("kind: AllowList\nspec: {}\n").expect("valid"), [""]);
    }

    #[test]
    fn an_object_needs_a_kind_and_a_name() {
        assert!(names("metadata: {name: a}\n").is_err());
        assert!(names("kind: ConfigMap\nmetadata: {generateName: a-}\n").is_err());
    }
}
