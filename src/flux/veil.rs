//! Values that come from secrets and end up in other objects: a person sees that they differ, and not what
//! they are.
//!
//! Such values are found by comparison: an object is rendered a second time with [stand-ins](stand_in) for
//! all values of Secrets, and what becomes different by that is secret. Of a list all entries count alike,
//! since a server may have them in another order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::inventory::ObjectId;
use crate::error::Result;
use crate::json;
use crate::resource::Resource;
use crate::review;

/// Stands for a secret value that both sides have, for one before a change, and for one after it.
const HIDDEN: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// How stand-ins begin, and how what SOPS has encrypted does.
const STAND_IN: &str = "__SECRET_";
const ENCRYPTED: &str = "ENC[";

/// Stands for any entry of a list.
const ENTRY: &str = "*";

/// Stands in for a secret value: two of them are the same where the values are, and tell nothing of them.
///
/// What is made of it stays plain YAML wherever it is put.
#[must_use]
pub fn stand_in(value: &[u8]) -> String {
    let digest = Sha256::digest(value);
    let digits: String = digest.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
    format!("{STAND_IN}{digits}__")
}

/// Whether SOPS has encrypted a text.
#[must_use]
pub fn is_encrypted(text: &str) -> bool {
    text.starts_with(ENCRYPTED)
}

/// What is secret of some objects that were rendered together.
#[derive(Debug, Default)]
pub struct Veils<'a> {
    /// The objects rendered with stand-ins; nothing where none of them holds a secret.
    stood_in: Option<BTreeMap<ObjectId, &'a Resource>>,
}

impl<'a> Veils<'a> {
    /// Of objects that were rendered with stand-ins too; nothing is secret where they were not. Of an object that is
    /// not among these, all is secret but its names.
    pub fn new(stood_in: Option<impl IntoIterator<Item = &'a Resource>>) -> Self {
        let by_id = |resource: &'a Resource| (ObjectId::of(resource), resource);
        Self { stood_in: stood_in.map(|resources| resources.into_iter().map(by_id).collect()) }
    }

    /// What is secret of one of them.
    ///
    /// # Errors
    /// Where it has no JSON.
    pub fn of(&self, resource: &Resource) -> Result<Veil> {
        let Some(stood_in) = &self.stood_in else { return Ok(Veil::default()) };
        let veiled = stood_in.get(&ObjectId::of(resource));
        let veiled = veiled.map(|other| json::to_json(&other.value)).transpose()?;
        Ok(Veil::new(&json::to_json(&resource.value)?, veiled.as_ref()))
    }
}

/// Which values of an object are secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Veil(BTreeSet<Vec<String>>);

impl Veil {
    /// Compares an object with what it is with stand-ins; all of it is secret where there is no such object.
    #[must_use]
    pub fn new(real: &Json, veiled: Option<&Json>) -> Self {
        let mut paths = BTreeSet::new();
        let nothing = Json::Null;
        compare(real, veiled.unwrap_or(&nothing), &mut Vec::new(), &mut paths);
        if veiled.is_none() {
            let is_named = |path: &Vec<String>| match path.first().map(String::as_str) {
                Some("apiVersion" | "kind") => true,
                Some("metadata") => path.get(1).is_some_and(|f| f == "name" || f == "namespace"),
                _ => false,
            };
            paths.retain(|path| !is_named(path));
        }
        Self(paths)
    }

    /// What is secret by this or by the other.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn covers(&self, path: &[String]) -> bool {
        self.0.contains(path)
    }

    /// A text about an object, such as a refusal that repeats a value, without what is secret in the object.
    #[must_use]
    pub fn hide_in(&self, text: &str, object: &Json) -> String {
        let mut secrets = Vec::new();
        self.collect(object, &mut Vec::new(), &mut secrets);
        // A longer one may hold a shorter one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN))
    }

    fn collect(&self, value: &Json, path: &mut Vec<String>, out: &mut Vec<String>) {
        match value {
            Json::Object(map) => {
                for (key, value) in map {
                    path.push(key.clone());
                    self.collect(value, path, out);
                    path.pop();
                }
            }
            Json::Array(list) => {
                path.push(ENTRY.to_owned());
                list.iter().for_each(|value| self.collect(value, path, out));
                path.pop();
            }
            Json::String(text) if !text.is_empty() && self.covers(path) => out.push(text.clone()),
            _ => {}
        }
    }
}

/// All leaves of `real` that differ.
fn compare(real: &Json, veiled: &Json, path: &mut Vec<String>, out: &mut BTreeSet<Vec<String>>) {
    let nothing = Json::Null;
    match real {
        Json::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                compare(value, veiled.get(key).unwrap_or(&nothing), path, out);
                path.pop();
            }
        }
        Json::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                path.push(ENTRY.to_owned());
                compare(value, veiled.get(index).unwrap_or(&nothing), path, out);
                path.pop();
            }
        }
        leaf if leaf != veiled => {
            out.insert(path.clone());
        }
        _ => {}
    }
}

/// An object before and after a change, as a person may see them: as [`review::pair`], and without what the veil covers,
/// what is encrypted, and what stands in for a secret.
#[must_use]
pub fn pair(
    before: Option<&Json>,
    after: Option<&Json>,
    veil: &Veil,
) -> (Option<Json>, Option<Json>) {
    let (mut before, mut after) = match (before, after) {
        (None, Some(after)) => (None, Some(review::single(after))),
        (before, after) => review::pair(before, after),
    };
    for object in [&mut before, &mut after].into_iter().flatten() {
        if let Some(map) = object.as_object_mut() {
            map.remove("sops");
        }
    }
    let (one, other) = (before.clone(), after.clone());
    if let Some(before) = &mut before {
        hide(before, other.as_ref(), BEFORE, veil, &mut Vec::new());
    }
    if let Some(after) = &mut after {
        hide(after, one.as_ref(), AFTER, veil, &mut Vec::new());
    }
    (before, after)
}

fn hide(
    value: &mut Json,
    other: Option<&Json>,
    changed: &str,
    veil: &Veil,
    path: &mut Vec<String>,
) {
    match value {
        Json::Object(map) => {
            for (key, value) in map {
                path.push(key.clone());
                hide(value, other.and_then(|other| other.get(key)), changed, veil, path);
                path.pop();
            }
        }
        Json::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                path.push(ENTRY.to_owned());
                hide(value, other.and_then(|other| other.get(index)), changed, veil, path);
                path.pop();
            }
        }
        leaf if is_marked(leaf) || veil.covers(path) => {
            let differs = other.is_some_and(|other| other != leaf);
            *leaf = if differs { changed } else { HIDDEN }.into();
        }
        _ => {}
    }
}

fn is_marked(leaf: &Json) -> bool {
    let has = |text: &str| text.contains(STAND_IN) || text.contains(ENCRYPTED);
    leaf.as_str().is_some_and(has)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stand_ins_change_is_hidden_on_both_sides() {
        let real = json!({ "spec": { "host": "a.canary.example", "list": ["x", "canary"] } });
        let veiled = json!({ "spec": { "host": format!("a.{}", stand_in(b"canary.example")),
            "list": ["x", stand_in(b"canary")] } });
        let veil = Veil::new(&real, Some(&veiled));
        let live = json!({ "spec": { "host": "a.old-canary.example", "list": ["canary", "x"], "port": 1 } });
        let (before, after) = pair(Some(&live), Some(&real), &veil);
        let (before, after) = (before.expect("given"), after.expect("given"));
        assert!(!format!("{before}{after}").contains("canary"), "{before} {after}");
        assert_eq!(before["spec"]["host"], "*** (before)");
        assert_eq!(after["spec"]["host"], "*** (after)");
        assert_eq!(before["spec"]["port"], 1);
    }

    #[test]
    fn a_refusal_does_not_repeat_a_secret() {
        let real = json!({ "spec": { "host": "canary", "port": "x" } });
        let veiled = json!({ "spec": { "host": "", "port": "x" } });
        let veil = Veil::new(&real, Some(&veiled));
        let said = "spec.host: Invalid value: \"canary\": x";
        assert_eq!(veil.hide_in(said, &real), "spec.host: Invalid value: \"***\": x");
    }

    #[test]
    fn without_a_counterpart_only_names_are_shown() {
        let real =
            json!({ "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "canary" } });
        let (before, _) = pair(Some(&real), None, &Veil::new(&real, None));
        assert_eq!(
            before.expect("given"),
            json!({ "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "***" } })
        );
    }

    #[test]
    fn what_is_encrypted_differs_without_being_shown() {
        let object = |text: &str| json!({ "kind": "Thing", "a": text, "sops": { "mac": text } });
        let (one, other) = (object("ENC[AES256_GCM,data:a]"), object("ENC[AES256_GCM,data:b]"));
        let (before, after) = pair(Some(&one), Some(&other), &Veil::default());
        assert_eq!(before.expect("given"), json!({ "kind": "Thing", "a": "*** (before)" }));
        assert_eq!(after.expect("given"), json!({ "kind": "Thing", "a": "*** (after)" }));
    }

    #[test]
    fn stand_ins_are_the_same_where_values_are() {
        assert_eq!(stand_in(b"a"), stand_in(b"a"));
        assert_ne!(stand_in(b"a"), stand_in(b"b"));
    }
}
