//! Elements of sets, and keys of lists with keys, that are there twice.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/listtype/validation.go`.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::structure::Structure;
use super::text::{child, duplicate, go_json, index, invalid, key};
use crate::rehearsal::Cause;

/// The doubles in all lists of a value.
pub(super) fn validate(path: &str, value: &Value, schema: &Structure) -> Vec<Cause> {
    let mut causes = Vec::new();
    visit(path, value, schema, &mut causes);
    causes
}

fn visit(path: &str, value: &Value, schema: &Structure, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            if let Some(field) = schema.additional_schema() {
                for (name, value) in map {
                    visit(&key(path, name), value, field, causes);
                }
            }
            for (name, value) in map {
                if let Some(field) = schema.properties.get(name) {
                    visit(&child(path, name), value, field, causes);
                }
            }
        }
        Value::Array(list) => {
            match schema.list_type.as_deref() {
                Some("set") => {
                    let doubles = doubles(list);
                    causes.extend(
                        doubles.into_iter().map(|at| duplicate(&index(path, at), &list[at])),
                    );
                }
                Some("map") => keys(path, list, schema, causes),
                _ => {}
            }
            if let Some(items) = schema.items.as_deref() {
                for (at, value) in list.iter().enumerate() {
                    visit(&index(path, at), value, items, causes);
                }
            }
        }
        _ => {}
    }
}

fn keys(path: &str, list: &[Value], schema: &Structure, causes: &mut Vec<Cause>) {
    let stranger = list.iter().position(|value| !value.is_null() && !value.is_object());
    if let Some(at) = stranger {
        let text = "must be an object for an array of list-type map";
        causes.push(invalid(&index(path, at), &list[at], text));
        return;
    }
    let keys: Vec<Value> = list.iter().map(|element| keys_of(element, schema)).collect();
    for at in doubles(&keys) {
        causes.push(duplicate(&index(path, at), &keys[at]));
    }
}

/// The fields that name an element; absent ones are left out.
fn keys_of(element: &Value, schema: &Structure) -> Value {
    let fields = schema.list_keys.iter();
    let keys = fields.filter_map(|key| Some((key.clone(), element.get(key)?.clone())));
    keys.collect::<Map<_, _>>().into()
}

/// Where values stand for the second time.
fn doubles(values: &[Value]) -> Vec<usize> {
    let mut seen: FxHashMap<String, usize> = FxHashMap::default();
    let mut doubles = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let times = seen.entry(go_json(value)).or_default();
        *times += 1;
        if *times == 2 {
            doubles.push(at);
        }
    }
    doubles
}
