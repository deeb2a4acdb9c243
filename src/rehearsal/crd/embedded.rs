//! Objects within custom resources: they need a version and a kind.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/objectmeta/validation.go`.

use serde_json::Value;

use super::meta;
use super::structure::Structure;
use super::text::{child, dns_1035_label, index, invalid, key, required};
use crate::rehearsal::Cause;

/// What is wrong with version, kind and metadata of embedded objects. `root` says whether the value
/// itself is one, whatever its schema says.
pub(super) fn validate(
    path: &str,
    value: &Value,
    schema: &Structure,
    root: bool,
    causes: &mut Vec<Cause>,
) {
    match value {
        Value::Object(map) => {
            if root || schema.embedded {
                object(path, value, causes);
            }
            for (name, value) in map {
                if let Some(field) = schema.properties.get(name) {
                    validate(&child(path, name), value, field, false, causes);
                } else if let Some(field) = schema.additional_schema() {
                    validate(&key(path, name), value, field, false, causes);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.items.as_deref() else { return };
            for (at, value) in list.iter().enumerate() {
                validate(&index(path, at), value, items, false, causes);
            }
        }
        _ => {}
    }
}

fn object(path: &str, object: &Value, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        if object.get(name).is_none() {
            causes.push(required(&child(path, name), ""));
        }
    }
    if let Some(value) = object.get("apiVersion") {
        let fault = match value.as_str() {
            None => Some("must be a string".to_owned()),
            Some("") => Some("must not be empty".to_owned()),
            Some(text) if text.matches('/').count() > 1 => {
                Some(format!("unexpected GroupVersion string: {text}"))
            }
            Some(_) => None,
        };
        causes.extend(fault.map(|text| invalid(&child(path, "apiVersion"), value, &text)));
    }
    if let Some(value) = object.get("kind") {
        let fault = match value.as_str() {
            None => Some("must be a string".to_owned()),
            Some("") => Some("must not be empty".to_owned()),
            Some(text) => dns_1035_label(&text.to_lowercase())
                .map(|fault| format!("may have mixed case, but should otherwise match: {fault}")),
        };
        causes.extend(fault.map(|text| invalid(&child(path, "kind"), value, &text)));
    }
    if let Some(metadata) = object.get("metadata") {
        let path = child(path, "metadata");
        match meta::decode(metadata) {
            Err(error) => causes.push(invalid(&path, metadata, &error)),
            Ok(_) => names(&path, metadata, causes),
        }
    }
}

/// Names need only be fit for a path.
fn names(path: &str, metadata: &Value, causes: &mut Vec<Cause>) {
    for field in ["generateName", "name"] {
        let Some(name) = metadata[field].as_str() else { continue };
        let path = child(path, field);
        if field == "name" && matches!(name, "." | "..") {
            causes.push(invalid(&path, &name.into(), &format!("may not be '{name}'")));
        }
        for part in ["/", "%"] {
            if name.contains(part) {
                causes.push(invalid(&path, &name.into(), &format!("may not contain '{part}'")));
            }
        }
    }
}
