//! Strategic merge patches: a patch that knows by which keys the lists of a kind merge.
//!
//! Beside what it says in the object's own fields, a patch may give directives: `$patch` (`delete`,
//! `replace`, `merge`), `$retainKeys`, `$setElementOrder/LIST`, `$deleteFromPrimitiveList/LIST`.
//!
//! Source: apimachinery `pkg/util/strategicpatch/patch.go`, `mergeMap`, as the API server calls it.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};

use crate::rehearsal::{Failure, Kind};
use crate::schema::kubernetes::{Definition, Minor, Node, Patch, Shape};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Merges a patch into an object of a built-in kind. What comes out may hold fields that the kind
/// does not know: [`convert`](super::fields::convert) is next.
///
/// # Errors
/// 400, 422 or 500 where the patch cannot be merged, with the server's message.
pub fn merge(
    original: &Value,
    patch: &Value,
    minor: &Minor,
    kind: &Kind,
) -> Result<Value, Failure> {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        return Err(failed("expected a map[string]interface {}, but received something else"));
    };
    let place = match minor.kind(&kind.group, &kind.version, &kind.kind) {
        Some(definition) => Place::Struct(definition),
        None => Place::Unknown,
    };
    Merger { minor }.maps(original.clone(), patch.clone(), &place).map(Value::Object)
}

/// What a map is to Go.
enum Place<'a> {
    Struct(&'static Definition),
    /// A map, with the node of its values.
    Map(&'a Node),
    Unknown,
}

/// How the list under a key merges, and what its elements are.
struct Elements<'a> {
    patch: Patch,
    place: Place<'a>,
}

struct Merger<'a> {
    minor: &'a Minor,
}

type Object = Map<String, Value>;

impl Merger<'_> {
    /// The node under a key.
    fn field<'n>(&self, place: &Place<'n>, key: &str) -> Option<&'n Node> {
        match place {
            Place::Struct(definition) => Some(&definition.property(key)?.node),
            Place::Map(values) => Some(values),
            Place::Unknown => None,
        }
    }

    fn place<'n>(&self, node: &'n Node) -> Place<'n> {
        match &node.shape {
            Shape::Reference(name) => self.minor.named(*name).map_or(Place::Unknown, Place::Struct),
            Shape::Object(Some(values)) => Place::Map(values),
            _ => Place::Unknown,
        }
    }

    fn elements<'n>(&self, place: &Place<'n>, key: &str) -> Elements<'n> {
        let Some(node) = self.field(place, key) else {
            return Elements { patch: Patch::default(), place: Place::Unknown };
        };
        let place = match &node.shape {
            Shape::List(element) => self.place(element),
            _ => Place::Unknown,
        };
        Elements { patch: node.patch, place }
    }

    fn maps(
        &self,
        mut original: Object,
        mut patch: Object,
        place: &Place<'_>,
    ) -> Result<Object, Failure> {
        match patch.get(DIRECTIVE).map(Value::as_str) {
            Some(Some("replace")) => {
                patch.remove(DIRECTIVE);
                return Ok(patch);
            }
            Some(Some("delete")) => return Ok(Map::new()),
            Some(_) => return Err(unknown_directive(&patch)),
            None => {}
        }
        retain_keys(&mut original, &mut patch)?;
        self.ordered(&mut original, &mut patch, place)?;
        for (key, value) in patch {
            let (key, deletes) = match key.strip_prefix(DELETE_FROM) {
                Some(list) => (list.to_owned(), true),
                None => (key, false),
            };
            if value.is_null() {
                original.remove(&key);
                continue;
            }
            let merged = match (original.remove(&key), value) {
                (Some(Value::Object(before)), Value::Object(value)) => {
                    Some(self.field_maps(before, value, place, &key)?.into())
                }
                (Some(Value::Array(before)), Value::Array(value)) => {
                    let elements = self.elements(place, &key);
                    Some(self.lists(before, value, &elements, deletes)?.into())
                }
                (before, _) if deletes => before,
                (_, value) => without_directives(without_nulls(value)),
            };
            if let Some(merged) = merged {
                original.insert(key, merged);
            }
        }
        Ok(original)
    }

    fn field_maps(
        &self,
        before: Object,
        value: Object,
        place: &Place<'_>,
        key: &str,
    ) -> Result<Object, Failure> {
        match self.field(place, key) {
            Some(node) if node.patch.replace => Ok(value),
            Some(node) => self.maps(before, value, &self.place(node)),
            None => self.maps(before, value, &Place::Unknown),
        }
    }

    /// Merges the lists whose order the patch gives, and takes them out of the patch.
    fn ordered(
        &self,
        original: &mut Object,
        patch: &mut Object,
        place: &Place<'_>,
    ) -> Result<(), Failure> {
        let keys: Vec<String> =
            patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
        for key in keys {
            let order = patch.remove(&key).unwrap_or_default();
            let Value::Array(order) = order else {
                return Err(bad_argument("[]interface {}", &order));
            };
            let name = &key[ELEMENT_ORDER.len()..];
            let elements = self.elements(place, name);
            let before = list(original.get(name))?;
            let given = list(patch.get(name))?;
            if let Some(given) = &given {
                check_order(given, &order, elements.patch.key)?;
            }
            patch.remove(name);
            let merged = match (before.clone(), given) {
                (Some(before), None) => before,
                (None, Some(given)) => given.into_iter().filter_map(without_directives).collect(),
                (Some(before), Some(given)) => self.lists(before, given, &elements, false)?,
                (None, None) => continue,
            };
            let sorted = sort(merged, &order, &before.unwrap_or_default(), elements.patch.key)?;
            original.insert(name.into(), sorted.into());
        }
        Ok(())
    }

    fn lists(
        &self,
        original: Vec<Value>,
        patch: Vec<Value>,
        elements: &Elements<'_>,
        deletes: bool,
    ) -> Result<Vec<Value>, Failure> {
        if !elements.patch.merge && !deletes {
            return Ok(patch);
        }
        let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
        let wanted = std::mem::discriminant(first);
        if first.is_array() {
            return Err(no_lists_of_lists());
        }
        if original.iter().chain(&patch).any(|value| std::mem::discriminant(value) != wanted) {
            let shown = format!("{} {}", shown(&original.into()), shown(&patch.into()));
            return Err(failed(format!("list element types are not identical: [{shown}]")));
        }
        if !first.is_object() {
            if deletes {
                let gone: FxHashSet<String> = patch.iter().map(Value::to_string).collect();
                let stays = |value: &Value| !gone.contains(&value.to_string());
                return Ok(original.into_iter().filter(stays).collect());
            }
            let mut seen = FxHashSet::default();
            let both = original.iter().chain(&patch).cloned();
            let merged = both.filter(|value| seen.insert(value.to_string())).collect();
            return sort(merged, &patch, &original, None);
        }
        let Some(key) = elements.patch.key else {
            return Err(failed("cannot merge lists without merge key for "));
        };
        self.keyed(original, patch, key, elements)
    }

    /// Merges lists of maps.
    fn keyed(
        &self,
        mut original: Vec<Value>,
        patch: Vec<Value>,
        key: &str,
        elements: &Elements<'_>,
    ) -> Result<Vec<Value>, Failure> {
        let mut plain = Vec::new();
        let mut replaces = false;
        for element in patch {
            match element.get(DIRECTIVE) {
                None => plain.push(element),
                Some(Value::String(text)) if text == "delete" => {
                    let gone = name(&element, key)?.clone();
                    original.retain(|element| element.get(key) != Some(&gone));
                }
                Some(Value::String(text)) if text == "replace" => replaces = true,
                Some(Value::String(text)) if text == "merge" => {
                    return Err(failed("merging lists cannot yet be specified in the patch"));
                }
                Some(_) => {
                    return Err(unknown_directive(element.as_object().unwrap_or(&Map::new())));
                }
            }
        }
        if replaces {
            // What is left of the patch takes the place of the list, and nothing is merged.
            (original, plain) = (plain, Vec::new());
        }
        let order = original.clone();
        let mut places: FxHashMap<String, usize> = FxHashMap::default();
        for (at, element) in original.iter().enumerate() {
            if let Some(name) = element.get(key) {
                places.entry(name.to_string()).or_insert(at);
            }
        }
        for element in &plain {
            let name = name(element, key)?.to_string();
            match places.get(&name) {
                Some(&at) => {
                    let (Value::Object(before), Value::Object(element)) =
                        (std::mem::take(&mut original[at]), element.clone())
                    else {
                        continue;
                    };
                    original[at] = self.maps(before, element, &elements.place)?.into();
                }
                None => {
                    places.insert(name, original.len());
                    original.push(element.clone());
                }
            }
        }
        sort(original, &plain, &order, Some(key))
    }
}

/// Elements that the patch has come in its order, the others in that of the list; where both were in
/// the list, in that as well as it goes.
fn sort(
    merged: Vec<Value>,
    patch: &[Value],
    server: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, Failure> {
    let positions = |list: &[Value]| -> Result<FxHashMap<String, usize>, Failure> {
        let mut positions = FxHashMap::default();
        for (at, value) in list.iter().enumerate() {
            positions.entry(identity(value, key)?).or_insert(at);
        }
        Ok(positions)
    };
    let (patch, server) = (positions(patch)?, positions(server)?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for value in merged {
        let id = identity(&value, key)?;
        match patch.get(&id) {
            Some(&at) => ours.push((at, id, value)),
            None => theirs.push((server.get(&id).copied().unwrap_or(usize::MAX), id, value)),
        }
    }
    ours.sort_by_key(|(at, ..)| *at);
    theirs.sort_by_key(|(at, ..)| *at);
    let mut out = Vec::with_capacity(ours.len() + theirs.len());
    let (mut ours, mut theirs) = (ours.into_iter().peekable(), theirs.into_iter().peekable());
    loop {
        let first = match (theirs.peek(), ours.peek()) {
            (Some((_, left, _)), Some((_, right, _))) => {
                matches!((server.get(left), server.get(right)), (Some(l), Some(r)) if l < r)
            }
            (left, _) => left.is_some(),
        };
        match if first { theirs.next() } else { ours.next() } {
            Some((_, _, value)) => out.push(value),
            None => return Ok(out),
        }
    }
}

/// What tells an element from others.
fn identity(value: &Value, key: Option<&str>) -> Result<String, Failure> {
    match (key, value) {
        (Some(key), value) => Ok(name(value, key)?.to_string()),
        (None, value) => Ok(value.to_string()),
    }
}

/// The value of the merge key.
fn name<'v>(element: &'v Value, key: &str) -> Result<&'v Value, Failure> {
    match element {
        Value::Object(object) => object.get(key).ok_or_else(|| no_merge_key(element, key)),
        _ => Err(bad_argument("map[string]interface {}", element)),
    }
}

/// Each element of the patch must be in the order that it gives, and the orders must agree.
fn check_order(given: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Failure> {
    if given.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut left = order.iter();
    for value in given.iter().filter(|value| value.get(DIRECTIVE).is_none()) {
        let id = identity(value, key)?;
        let mut found = false;
        for candidate in left.by_ref() {
            if identity(candidate, key)? == id {
                found = true;
                break;
            }
        }
        if !found {
            return Err(failed(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                shown(&given.to_vec().into()),
                shown(&order.to_vec().into())
            )));
        }
    }
    Ok(())
}

/// Drops what the patch does not name as to be kept.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Failure> {
    const WRONG: &str = "invalid patch format of retainKeys";
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else { return Err(bad_request(WRONG)) };
    let kept: FxHashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    for (key, value) in patch.iter() {
        let directive = key.starts_with(DELETE_FROM) || key.starts_with(ELEMENT_ORDER);
        if !value.is_null() && !directive && !kept.contains(key.as_str()) {
            return Err(bad_request(WRONG));
        }
    }
    original.retain(|key, _| kept.contains(key.as_str()));
    Ok(())
}

fn list(value: Option<&Value>) -> Result<Option<Vec<Value>>, Failure> {
    match value {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(other) => Err(bad_argument("[]interface {}", other)),
    }
}

/// What is added loses its nulls.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries = object.into_iter().filter(|(_, value)| !value.is_null());
            entries.map(|(key, value)| (key, without_nulls(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// What is added loses what only a patch has; `None` where nothing else is there.
fn without_directives(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(object) => {
            if object.contains_key(DIRECTIVE) {
                return None;
            }
            let entries = object.into_iter();
            entries.filter_map(|(key, value)| Some((key, without_directives(value)?))).collect()
        }
        Value::Array(list) => list.into_iter().filter_map(without_directives).collect(),
        other => other,
    })
}

/// A failure that the server has no status for.
fn failed(message: impl Into<String>) -> Failure {
    Failure::new(500, "", message)
}

fn bad_request(message: &str) -> Failure {
    Failure::new(400, "BadRequest", message)
}

fn no_lists_of_lists() -> Failure {
    let message = "the server rejected our request due to an error in our request";
    Failure::new(422, "Invalid", message)
}

fn no_merge_key(element: &Value, key: &str) -> Failure {
    failed(format!("map: {} does not contain declared merge key: {key}", shown(element)))
}

fn unknown_directive(patch: &Object) -> Failure {
    let directive = patch.get(DIRECTIVE).map(shown).unwrap_or_default();
    let patch = shown(&Value::Object(patch.clone()));
    failed(format!("unknown patch type: {directive} in map: {patch}"))
}

fn bad_argument(wanted: &str, found: &Value) -> Failure {
    let found = match found {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    failed(format!("expected a {wanted}, but received a {found}"))
}

/// A value as Go's `%v` prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entry = |(key, value): (&String, &Value)| format!("{key}:{}", shown(value));
            format!("map[{}]", entries.into_iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rehearsal::fields::recorded::{filled, minor, steps, without_placeholders};
    use crate::rehearsal::fields::{Raw, convert};
    use crate::rehearsal::kinds;

    fn pod(original: Value, patch: Value) -> Result<Value, String> {
        let (original, patch) = (json!({"spec": original}), json!({"spec": patch}));
        let merged = merge(&original, &patch, minor(), &Kind::new("v1", "Pod"));
        merged.map(|object| object["spec"].clone()).map_err(|failure| failure.message)
    }

    #[test]
    fn containers_merge_by_name_and_those_of_the_patch_come_first() {
        let original = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]});
        let patch =
            json!({"containers": [{"name": "c"}, {"name": "a", "tty": true, "image": null}]});
        let merged = pod(original, patch).unwrap();
        assert_eq!(
            merged,
            json!({"containers": [{"name": "c"}, {"name": "a", "tty": true}, {"name": "b"}]})
        );
    }

    #[test]
    fn directives_delete_replace_and_retain() {
        let original =
            json!({"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"x": "1"}});
        let gone = json!({"containers": [{"$patch": "delete", "name": "a"}], "nodeSelector": {"$patch": "delete"}});
        assert_eq!(
            pod(original.clone(), gone).unwrap(),
            json!({"containers": [{"name": "b"}], "nodeSelector": {}})
        );
        let all = json!({"containers": [{"$patch": "replace"}, {"name": "n"}]});
        assert_eq!(pod(original.clone(), all).unwrap()["containers"], json!([{"name": "n"}]));
        let unknown = json!({"nodeSelector": {"$patch": "frob"}});
        assert_eq!(
            pod(original, unknown).unwrap_err(),
            "unknown patch type: frob in map: map[$patch:frob]"
        );
        let volumes = json!({"volumes": [{"name": "v", "emptyDir": {}}]});
        let other =
            json!({"volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {}}]});
        assert_eq!(
            pod(volumes.clone(), other).unwrap()["volumes"],
            json!([{"name": "v", "secret": {}}])
        );
        let wrong = json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "secret": {}}]});
        assert_eq!(pod(volumes, wrong).unwrap_err(), "invalid patch format of retainKeys");
    }

    #[test]
    fn an_order_is_kept_around_what_only_the_server_has() {
        let named = |names: &str| -> Value {
            names.chars().map(|name| json!({"name": name.to_string()})).collect()
        };
        let order = json!({"$setElementOrder/containers": named("da"), "containers": named("d")});
        let merged = pod(json!({"containers": named("abc")}), order).unwrap();
        assert_eq!(merged, json!({"containers": named("dabc")}));
        let wrong = json!({"$setElementOrder/containers": named("a"), "containers": named("d")});
        let error = pod(json!({"containers": named("abc")}), wrong).unwrap_err();
        assert!(error.starts_with("The order in patch list:\n[map[name:d]]\n"), "{error}");
    }

    #[test]
    fn lists_without_a_strategy_are_replaced() {
        let merged =
            pod(json!({"tolerations": [{"key": "a"}]}), json!({"tolerations": [{"key": "b"}]}));
        assert_eq!(merged.unwrap(), json!({"tolerations": [{"key": "b"}]}));
    }

    #[test]
    fn an_element_without_its_key_is_an_error() {
        let merged = pod(
            json!({"containers": [{"name": "c"}]}),
            json!({"containers": [{"image": "nokey"}]}),
        );
        assert_eq!(
            merged.unwrap_err(),
            "map: map[image:nokey] does not contain declared merge key: name"
        );
    }

    /// What the server does not decide by the patch alone.
    fn bare(mut object: Value) -> Value {
        without_placeholders(&mut object);
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for key in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(key);
            }
        }
        object
    }

    #[test]
    fn patches_give_what_the_server_gave() {
        let mut live: FxHashMap<(String, String), Value> = FxHashMap::default();
        let (mut wrong, mut count) = (Vec::new(), 0);
        for step in steps() {
            let Some((kind, subresource)) = step.kind() else { continue };
            let answer = step.answer();
            let name = answer["metadata"]["name"].as_str().unwrap_or_default();
            let path = step.request("path").split('?').next().unwrap_or_default();
            let path = path.strip_suffix(name).unwrap_or(path).trim_end_matches('/').to_owned();
            let at = (step.file.clone(), format!("{path}/{name}"));
            let stored = !step.request("path").contains("dryRun");
            if step.request("contentType") == "application/strategic-merge-patch+json"
                && subresource.is_empty()
                && let (Some(before), Some(body)) = (live.get(&at), step.body())
                && step.status() == 200
            {
                count += 1;
                let patch = Raw::read(filled(body).as_bytes()).unwrap().to_value();
                let merged = merge(&bare(before.clone()), &patch, minor(), &kind)
                    .map_err(|failure| failure.message)
                    .and_then(|merged| convert(&merged, minor(), &kind));
                match merged {
                    Ok(mut decoded) => {
                        kinds::default(&kind, &mut decoded.object);
                        let (have, want) = (bare(decoded.object), bare(answer.clone()));
                        if have != want {
                            wrong.push(format!("{}:\n  {have}\n  not {want}", step.place));
                        }
                    }
                    Err(error) => wrong.push(format!("{}: {error}", step.place)),
                }
            }
            if step.status() < 300 && stored && answer["kind"] == *kind.kind {
                live.insert(at, answer);
            }
        }
        eprintln!("{count} patches");
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    }
}
