//! Changes to a document: small ones that a person might make, and wild ones that a server has to refuse.

use serde_json::{Map, Value, json};

use crate::chance::Chance;

/// How far from what is valid a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    Mild,
    Wild,
}

/// One step into a document.
#[derive(Clone, Debug)]
enum Part {
    Key(String),
    At(usize),
}

/// Changes one place of a document.
pub(crate) fn change(document: &mut Value, temper: Temper, chance: &mut Chance) {
    let mut places = Vec::new();
    collect(document, &mut Vec::new(), &mut places);
    if places.is_empty() {
        return;
    }
    let place = &places[chance.below(places.len())];
    let Some((last, parents)) = place.split_last() else { return };
    let parent = parents.iter().try_fold(document, |value, part| step(value, part));
    if let Some(parent) = parent {
        alter(parent, last, temper, chance);
    }
}

/// The places below a document, but for what servers write themselves and what says which object it is.
fn collect(value: &Value, path: &mut Vec<Part>, places: &mut Vec<Vec<Part>>) {
    let mut visit = |part: Part, value: &Value| {
        path.push(part);
        places.push(path.clone());
        collect(value, path, places);
        path.pop();
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let own = ["managedFields", "uid", "resourceVersion", "creationTimestamp"];
                let identity = ["apiVersion", "kind", "name", "namespace", "metadata"];
                let names = identity.contains(&&**key) && value.is_string();
                if names || own.contains(&&**key) {
                    continue;
                }
                visit(Part::Key(key.clone()), value);
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| visit(Part::At(at), value));
        }
        _ => {}
    }
}

fn step<'a>(value: &'a mut Value, part: &Part) -> Option<&'a mut Value> {
    match part {
        Part::Key(key) => value.get_mut(key),
        Part::At(at) => value.get_mut(*at),
    }
}

fn alter(parent: &mut Value, part: &Part, temper: Temper, chance: &mut Chance) {
    let is_metadata = matches!(part, Part::Key(key) if key == "metadata" || key == "spec");
    if chance.percent(if temper == Temper::Mild { 12 } else { 8 }) && !is_metadata {
        match (parent, part) {
            (Value::Object(map), Part::Key(key)) => {
                map.remove(key);
            }
            (Value::Array(list), Part::At(at)) => {
                list.remove(*at);
            }
            _ => {}
        }
        return;
    }
    let Some(value) = step(parent, part) else { return };
    let wild = temper == Temper::Wild;
    *value = match value {
        Value::Object(map) => altered_map(map, wild, chance),
        Value::Array(list) => altered_list(list, wild, chance),
        Value::String(text) if wild => {
            let long = "x".repeat(300);
            let odd = [
                json!(""),
                json!("Not Valid!"),
                json!(long),
                json!(7),
                json!(true),
                json!(null),
                json!(["a"]),
                json!({"a": "b"}),
                json!("-1"),
                json!(format!("{text}/../x")),
                json!("ünï"),
                json!("a_b"),
            ];
            odd[chance.below(odd.len())].clone()
        }
        Value::String(text) => {
            // Whether an address with another digit is one hangs on which one the server gave.
            let more = if text.parse::<std::net::IpAddr>().is_ok() { "x" } else { "2" };
            let plain =
                [json!(format!("{text}{more}")), json!("other"), json!("1"), json!("Always")];
            plain[chance.below(plain.len())].clone()
        }
        Value::Number(number) if wild => {
            let odd = [
                json!(-1),
                json!(0),
                json!(70_000),
                json!(4_000_000_000_u64),
                json!(1.5),
                json!(number.to_string()),
                json!("x"),
                json!(null),
                json!([1]),
            ];
            odd[chance.below(odd.len())].clone()
        }
        // Whether the next port is free hangs on which ones the server gave.
        Value::Number(number) if (30_000..32_768).contains(&number.as_i64().unwrap_or(0)) => {
            json!(20_000)
        }
        Value::Number(number) => json!(number.as_i64().unwrap_or_default() + 1),
        Value::Bool(_) if wild => {
            let odd = [json!("true"), json!(0), json!(null), json!({})];
            odd[chance.below(odd.len())].clone()
        }
        Value::Bool(on) => json!(!*on),
        Value::Null => json!("was null"),
    };
}

fn altered_map(map: &Map<String, Value>, wild: bool, chance: &mut Chance) -> Value {
    let mut map = map.clone();
    if !wild {
        map.insert("added".into(), json!("yes"));
        return map.into();
    }
    let odd = [json!(null), json!([]), json!("text"), json!(1), json!({})];
    match chance.below(8) {
        at @ 0..=4 => odd[at].clone(),
        5 => {
            map.insert("Un known/!".into(), json!("x"));
            map.into()
        }
        6 => {
            map.insert("unknownField".into(), json!({"a": 1}));
            map.into()
        }
        _ => {
            let keys: Vec<_> = map.keys().cloned().collect();
            if let Some(key) = keys.get(chance.below(keys.len())) {
                map.insert(key.clone(), Value::Null);
            }
            map.into()
        }
    }
}

fn altered_list(list: &[Value], wild: bool, chance: &mut Chance) -> Value {
    let mut list = list.to_vec();
    let odd = [json!(null), json!("text"), json!({}), json!([null]), json!([1]), json!([[]])];
    match (wild, chance.below(6)) {
        (true, at @ 0..=5) if chance.percent(60) => return odd[at].clone(),
        (true, _) | (false, 0) => {
            // Twice the same, which most lists do not allow.
            let item = list.get(chance.below(list.len())).cloned();
            list.extend(item);
        }
        (false, 1) => list.reverse(),
        (false, 2) => list.clear(),
        _ => {
            let item = list.get(chance.below(list.len())).cloned();
            if let Some(mut item) = item {
                rename(&mut item);
                list.push(item);
            }
        }
    }
    list.into()
}

/// Makes an item of a list another one.
fn rename(item: &mut Value) {
    match item {
        Value::String(text) => text.push_str("-more"),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (&**key, value) {
                    ("name" | "path" | "key" | "mountPath", Value::String(text)) => {
                        text.push_str("-more");
                    }
                    ("port" | "containerPort" | "hostPort", Value::Number(number)) => {
                        *number = (number.as_i64().unwrap_or_default() + 11).into();
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Some of a document: what says which object and which item it is, and half of the rest.
pub(crate) fn part_of(value: &Value, chance: &mut Chance) -> Value {
    match value {
        Value::Object(map) => {
            let keep = |key: &str, value: &Value, chance: &mut Chance| {
                let identity = ["apiVersion", "kind", "metadata", "name", "namespace"];
                let keys = ["containerPort", "protocol", "port", "mountPath", "key", "ip", "path"];
                identity.contains(&key)
                    || keys.contains(&key) && !value.is_object()
                    || chance.percent(55)
            };
            let mut kept = Map::new();
            for (key, value) in map {
                if keep(key, value, chance) {
                    kept.insert(key.clone(), part_of(value, chance));
                }
            }
            kept.into()
        }
        Value::Array(list) => {
            let kept: Vec<_> = list.iter().filter(|_| chance.percent(80)).collect();
            kept.into_iter().map(|item| part_of(item, chance)).collect()
        }
        other => other.clone(),
    }
}

/// Operations of a JSON patch on places of a document.
pub(crate) fn operations(document: &Value, chance: &mut Chance) -> Value {
    let mut places = Vec::new();
    collect(document, &mut Vec::new(), &mut places);
    let count = 1 + chance.below(3);
    let mut operations = Vec::new();
    for _ in 0..count {
        if places.is_empty() {
            break;
        }
        let place = &places[chance.below(places.len())];
        let part = |part: &Part| match part {
            Part::Key(key) => key.replace('~', "~0").replace('/', "~1"),
            Part::At(at) => at.to_string(),
        };
        let pointer: String = place.iter().map(|one| format!("/{}", part(one))).collect();
        let value = document.pointer(&pointer).cloned().unwrap_or_default();
        let mut changed = json!({"value": value});
        change(&mut changed, Temper::Mild, chance);
        let changed = changed["value"].take();
        operations.push(match chance.below(8) {
            0..=2 => json!({"op": "replace", "path": pointer, "value": changed}),
            3 => json!({"op": "remove", "path": pointer}),
            4 => json!({"op": "add", "path": pointer, "value": changed}),
            5 => json!({"op": "test", "path": pointer, "value": value}),
            6 => json!({"op": "add", "path": "/metadata/annotations", "value": {"patched": "yes"}}),
            _ => json!({"op": "copy", "from": pointer, "path": "/metadata/annotations/copied"}),
        });
    }
    operations.into()
}
