//! What of a custom resource is dropped, and what is filled in.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/pruning/algorithm.go`,
//! `schema/defaulting/{algorithm,prunenulls}.go`, `schema/objectmeta/algorithm.go` and
//! `customresource_handler.go`, `unstructuredSchemaCoercer`.

use serde_json::{Map, Value};

use super::meta;
use super::structure::{Additional, Structure};
use super::text::{child, index, key, show};

/// Fields that every object has and no schema need name.
const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What becomes of nulls that a schema does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// They are as if they were not there: so bodies and patches are read.
    Dropped,
    /// They are there, and are refused: so what an apply has merged is read. Measured.
    Kept,
}

/// Drops what the schema does not know, and maybe nulls that it does not allow, and gives metadata its
/// form. Returns the paths of what was dropped, in the server's order.
///
/// # Errors
/// Where metadata, the object's own or that of an object within it, cannot be read; the text is
/// what the server's decoder says.
pub(super) fn coerce(
    object: &mut Value,
    schema: &Structure,
    nulls: Nulls,
) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    if let Some(metadata) = object.get("metadata") {
        let (metadata, paths) = meta::decode(metadata)?;
        unknown.extend(paths.into_iter().map(|path| format!("metadata.{path}")));
        object["metadata"] = metadata;
    }
    unknown.extend(prune(object, schema));
    if nulls == Nulls::Dropped {
        prune_nulls(object, Some(schema));
    }
    let mut paths = Vec::new();
    coerce_embedded("", object, Some(schema), &mut paths)?;
    paths.sort();
    unknown.extend(paths);
    Ok(unknown)
}

/// Drops the fields that the schema does not know, and returns their paths in order.
pub(super) fn prune(object: &mut Value, schema: &Structure) -> Vec<String> {
    let mut unknown = Vec::new();
    Pruner { unknown: &mut unknown }.object("", object, Some(schema), true);
    unknown.sort();
    unknown
}

/// The same for a value that is not the resource itself.
pub(super) fn prune_value(value: &mut Value, schema: &Structure) -> Vec<String> {
    let mut unknown = Vec::new();
    Pruner { unknown: &mut unknown }.object("", value, Some(schema), schema.embedded);
    unknown.sort();
    unknown
}

struct Pruner<'a> {
    unknown: &'a mut Vec<String>,
}

impl Pruner<'_> {
    fn value(&mut self, path: &str, value: &mut Value, schema: Option<&Structure>) {
        self.object(path, value, schema, schema.is_some_and(|schema| schema.embedded));
    }

    /// `embedded` says whether the value has the fields of every object beside those of its schema.
    fn object(
        &mut self,
        path: &str,
        value: &mut Value,
        schema: Option<&Structure>,
        embedded: bool,
    ) {
        if let Some(schema) = schema.filter(|schema| schema.preserve) {
            return self.preserved(path, value, schema, embedded);
        }
        match value {
            Value::Object(map) => map.retain(|name, value| {
                let path = child(path, name);
                let Some(schema) = schema else {
                    self.unknown.push(path);
                    return false;
                };
                if embedded && META_FIELDS.contains(&&**name) {
                    return true;
                }
                if let Some(field) = schema.properties.get(name) {
                    self.value(&path, value, Some(field));
                    return true;
                }
                match &schema.additional {
                    Some(Additional::Schema(field)) => self.value(&path, value, Some(field)),
                    Some(Additional::Any(_)) => self.value(&path, value, None),
                    None => self.unknown.push(path),
                }
                schema.additional.is_some()
            }),
            Value::Array(list) => {
                let items = schema.and_then(|schema| schema.items.as_deref());
                for (at, value) in list.iter_mut().enumerate() {
                    self.value(&index(path, at), value, items);
                }
            }
            _ => {}
        }
    }

    /// What is not known is kept, what is known is looked into.
    fn preserved(&mut self, path: &str, value: &mut Value, schema: &Structure, embedded: bool) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    if embedded && META_FIELDS.contains(&&**name) {
                        continue;
                    }
                    let path = child(path, name);
                    match (schema.properties.get(name), &schema.additional) {
                        (Some(field), _) => self.value(&path, value, Some(field)),
                        (None, Some(Additional::Schema(field))) => {
                            self.value(&path, value, Some(field));
                        }
                        (None, Some(Additional::Any(_))) => self.value(&path, value, None),
                        (None, None) => {}
                    }
                }
            }
            Value::Array(list) => {
                let Some(items) = schema.items.as_deref() else { return };
                for (at, value) in list.iter_mut().enumerate() {
                    self.preserved(&index(path, at), value, items, items.embedded);
                }
            }
            _ => {}
        }
    }
}

/// Drops nulls where a value is neither nullable nor has a default.
pub(super) fn prune_nulls(value: &mut Value, schema: Option<&Structure>) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let field = schema.and_then(|schema| schema.field(name));
            let refused = field.is_some_and(|field| !field.nullable && field.default.is_none());
            if value.is_null() && refused {
                return false;
            }
            prune_nulls(value, field);
            true
        }),
        Value::Array(list) => {
            let items = schema.and_then(|schema| schema.items.as_deref());
            for value in list {
                prune_nulls(value, items);
            }
        }
        _ => {}
    }
}

/// Fills in what is absent, or null where that is no value, and has a default.
pub(super) fn default(value: &mut Value, schema: &Structure) {
    match value {
        Value::Object(map) => {
            default_fields(map, schema);
            for (name, value) in map.iter_mut() {
                if let Some(field) = schema.properties.get(name) {
                    default(value, field);
                } else if let Some(field) = schema.additional_schema() {
                    replace_null(value, field);
                    default(value, field);
                }
            }
        }
        Value::Array(list) => {
            let Some(items) = schema.items.as_deref() else { return };
            for value in list {
                replace_null(value, items);
                default(value, items);
            }
        }
        _ => {}
    }
}

fn default_fields(map: &mut Map<String, Value>, schema: &Structure) {
    for (name, field) in &schema.properties {
        let Some(default) = &field.default else { continue };
        let absent = map.get(name).is_none_or(|value| value.is_null() && !field.nullable);
        if absent {
            map.insert(name.clone(), default.clone());
        }
    }
}

fn replace_null(value: &mut Value, schema: &Structure) {
    if value.is_null() && !schema.nullable {
        *value = schema.default.clone().unwrap_or_default();
    }
}

/// Gives the metadata of objects within the object its form.
fn coerce_embedded(
    path: &str,
    value: &mut Value,
    schema: Option<&Structure>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Some(schema) = schema else { return Ok(()) };
    match value {
        Value::Object(map) => {
            if schema.embedded {
                coerce_meta_fields(path, map, unknown)?;
            }
            for (name, value) in map {
                if let Some(field) = schema.properties.get(name) {
                    coerce_embedded(&child(path, name), value, Some(field), unknown)?;
                } else if let Some(field) = schema.additional_schema() {
                    coerce_embedded(&key(path, name), value, Some(field), unknown)?;
                }
            }
            Ok(())
        }
        Value::Array(list) => (list.iter_mut().enumerate()).try_for_each(|(at, value)| {
            coerce_embedded(&index(path, at), value, schema.items.as_deref(), unknown)
        }),
        _ => Ok(()),
    }
}

fn coerce_meta_fields(
    path: &str,
    map: &mut Map<String, Value>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    for name in ["apiVersion", "kind"] {
        if let Some(value) = map.get(name).filter(|value| !value.is_string()) {
            let path = child(path, name);
            return Err(format!("{path}: Invalid value: {}: must be a string", show(value)));
        }
    }
    let Some(metadata) = map.get_mut("metadata") else { return Ok(()) };
    let path = child(path, "metadata");
    match meta::decode(metadata) {
        Ok((decoded, paths)) => {
            unknown.extend(paths.into_iter().map(|below| format!("{path}.{below}")));
            *metadata = decoded;
            Ok(())
        }
        Err(error) => Err(format!("{path}: Invalid value: {}: {error}", show(metadata))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Structure {
        Structure::parse(&json!({
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": {
                "a": {"type": "string", "default": "x"},
                "n": {"type": "string", "nullable": true, "default": "y"},
                "list": {"type": "array", "items": {"type": "object", "properties": {
                    "k": {"type": "string"}}}},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object"}}},
            }}},
        }))
    }

    #[test]
    fn unknown_fields_go_but_for_those_that_are_preserved() {
        let mut object = json!({"kind": "K", "top": 1, "spec": {
            "b": 1, "list": [{"k": "1", "z": 2}], "free": {"q": 1, "known": {"w": 1}}}});
        let paths = coerce(&mut object, &schema(), Nulls::Dropped).unwrap();
        assert_eq!(paths, ["spec.b", "spec.free.known.w", "spec.list[0].z", "top"]);
        let kept = json!({"kind": "K", "spec": {
            "list": [{"k": "1"}], "free": {"q": 1, "known": {}}}});
        assert_eq!(object, kept);
    }

    #[test]
    fn null_is_a_value_only_where_it_is_allowed() {
        let mut object = json!({"spec": {"a": null, "n": null, "list": null}});
        coerce(&mut object, &schema(), Nulls::Dropped).unwrap();
        default(&mut object, &schema());
        assert_eq!(object, json!({"spec": {"a": "x", "n": null}}));
    }
}
