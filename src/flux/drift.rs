//! How an object of a cluster differs from what would be applied, as Flux compares them.
//!
//! Labels and annotations that are added or changed count; those that are gone do not, for others add some.
//! Of the rest everything counts but `metadata` and `status`, and but what rules say to ignore.
//!
//! Source: fluxcd/pkg `ssa/jsondiff`.

use serde_json::{Map, Value as Json, json};

use super::api::IgnoreRule;
use super::normalize;
use crate::error::Result;
use crate::kustomization;
use crate::limits::Limits;
use crate::resource::{Gvk, Resource};
use crate::selector::Matcher;

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// A JSON pointer.
    pub path: String,
    /// What is there; nothing where it is added.
    pub before: Option<Json>,
    /// What it becomes; nothing where it is removed.
    pub after: Option<Json>,
}

/// Stands for a secret value, and for one that changes.
const HIDDEN: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

impl Change {
    /// As an operation of a JSON patch, with the value before.
    #[must_use]
    pub fn operation(&self) -> Json {
        let mut operation = self.bare();
        if let Some(before) = &self.before {
            operation["oldValue"] = before.clone();
        }
        operation
    }

    fn bare(&self) -> Json {
        match (&self.before, &self.after) {
            (Some(_), None) => json!({ "op": "remove", "path": self.path }),
            (None, Some(after)) => json!({ "op": "add", "path": self.path, "value": after }),
            (_, after) => json!({ "op": "replace", "path": self.path, "value": after }),
        }
    }

    /// Reads an operation.
    #[must_use]
    pub fn read(operation: &Json) -> Self {
        let value = |field: &str| operation.get(field).cloned();
        let path = operation["path"].as_str().unwrap_or_default().to_owned();
        Self { path, before: value("oldValue"), after: value("value") }
    }
}

/// Rules on what may drift, compiled.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    rules: Vec<(Option<Matcher>, Vec<String>)>,
}

impl Ignored {
    /// Compiles rules.
    ///
    /// # Errors
    /// Where a selector breaks its syntax.
    pub fn new(rules: &[IgnoreRule], limits: &Limits) -> Result<Self> {
        let compile = |rule: &IgnoreRule| {
            let target = rule.target.as_ref().map(|one| kustomization::Selector {
                gvk: Gvk {
                    group: one.group.as_str().into(),
                    version: one.version.as_str().into(),
                    kind: one.kind.as_str().into(),
                },
                name: one.name.as_str().into(),
                namespace: one.namespace.as_str().into(),
                label_selector: one.label_selector.as_str().into(),
                annotation_selector: one.annotation_selector.as_str().into(),
            });
            let matcher = target.map(|one| Matcher::within(&one, limits)).transpose()?;
            Ok((matcher, rule.paths.iter().map(ToString::to_string).collect()))
        };
        Ok(Self { rules: rules.iter().map(compile).collect::<Result<_>>()? })
    }

    /// The pointers that are ignored in an object.
    pub fn paths<'i>(&'i self, resource: &'i Resource) -> impl Iterator<Item = &'i str> {
        let is_for = |matcher: &Option<Matcher>| {
            matcher.as_ref().is_none_or(|matcher| matcher.matches(resource))
        };
        let rules = self.rules.iter().filter(move |(matcher, _)| is_for(matcher));
        rules.flat_map(|(_, paths)| paths.iter().map(String::as_str))
    }
}

/// What differs between an object and what it would become.
///
/// Where `joined`, many small changes are told as one of what holds them, if that is shorter.
#[must_use]
pub fn changes(live: &Json, merged: &Json, ignored: &[&str], joined: bool) -> Vec<Change> {
    let (mut live, mut merged) = (live.clone(), merged.clone());
    for path in ignored {
        remove(&mut live, path);
        remove(&mut merged, path);
    }
    let mut changes = Vec::new();
    compare(&noted(&live), &noted(&merged), "", joined, &mut changes);
    // The name is there so that no patch replaces all metadata.
    changes.retain(|change| change.after.is_some() && change.path != "/metadata/name");
    compare(&rest(&live), &rest(&merged), "", joined, &mut changes);
    changes
}

/// Whether applying has changed an object: its labels, its annotations, or anything but `metadata` and `status`.
///
/// Source: fluxcd/pkg `ssa/manager_diff.go`, `hasDrifted`.
#[must_use]
pub fn has_drifted(live: &Json, merged: &Json, ignored: &[&str]) -> bool {
    let compared = |object: &Json| {
        let mut object = object.clone();
        ignored.iter().for_each(|path| remove(&mut object, path));
        normalize::answer(&mut object);
        let of = |field: &str| object["metadata"][field].as_object().cloned().unwrap_or_default();
        (of("labels"), of("annotations"), rest(&object))
    };
    compared(live) != compared(merged)
}

/// All differences between two values, each with its JSON pointer.
#[must_use]
pub fn differences(before: &Json, after: &Json) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(before, after, "", false, &mut changes);
    changes
}

/// Takes out what a pointer leads to, if anything.
pub fn remove(object: &mut Json, path: &str) {
    let Some((parent, last)) = path.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Json::Object(map)) => {
            map.remove(&last);
        }
        Some(Json::Array(list)) => {
            if let Some(index) = last.parse().ok().filter(|index| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

/// The name, the labels and the annotations.
fn noted(object: &Json) -> Json {
    let mut metadata = Map::new();
    for field in ["name", "annotations", "labels"] {
        if let Some(value) = object["metadata"].get(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    if metadata.is_empty() { json!({}) } else { json!({ "metadata": metadata }) }
}

fn rest(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("metadata");
        map.remove("status");
    }
    object
}

fn compare(before: &Json, after: &Json, path: &str, joined: bool, changes: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let from = changes.len();
    let change = |path: String, before: Option<&Json>, after: Option<&Json>| Change {
        path,
        before: before.cloned(),
        after: after.cloned(),
    };
    match (before, after) {
        (Json::Object(one), Json::Object(other)) => {
            for (key, value) in one {
                let path = format!("{path}/{}", escaped(key));
                match other.get(key) {
                    Some(new) => compare(value, new, &path, joined, changes),
                    None => changes.push(change(path, Some(value), None)),
                }
            }
            for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                changes.push(change(format!("{path}/{}", escaped(key)), None, Some(value)));
            }
        }
        (Json::Array(one), Json::Array(other)) => {
            for (index, (value, new)) in one.iter().zip(other).enumerate() {
                compare(value, new, &format!("{path}/{index}"), joined, changes);
            }
            for (index, value) in one.iter().enumerate().skip(other.len()).rev() {
                changes.push(change(format!("{path}/{index}"), Some(value), None));
            }
            for value in other.iter().skip(one.len()) {
                changes.push(change(format!("{path}/-"), None, Some(value)));
            }
        }
        _ => {
            changes.push(Change {
                path: path.to_owned(),
                before: Some(before.clone()),
                after: Some(after.clone()),
            });
            return;
        }
    }
    if joined {
        let whole = Change {
            path: path.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        };
        let length = |change: &Change| change.bare().to_string().len();
        // The brackets around the operations, and the commas between them.
        let parts: usize = changes[from..].iter().map(|change| length(change) + 1).sum();
        if parts > length(&whole) + 1 {
            changes.truncate(from);
            changes.push(whole);
        }
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Hides the values of a Secret in its changes; those that change can still be told apart.
pub fn mask(changes: &mut [Change]) {
    for change in changes {
        let is_within = |field: &str| change.path.starts_with(field);
        if change.path == "/data" || change.path == "/stringData" {
            mask_maps(change);
        } else if is_within("/data/") || is_within("/stringData/") {
            let is_replaced = change.before.is_some() && change.after.is_some();
            let (before, after) = if is_replaced { (BEFORE, AFTER) } else { (HIDDEN, HIDDEN) };
            change.before = change.before.as_ref().map(|_| before.into());
            change.after = change.after.as_ref().map(|_| after.into());
        }
    }
}

fn mask_maps(change: &mut Change) {
    let map = |side: &Option<Json>| side.as_ref().and_then(Json::as_object).cloned();
    let (before, after) = (map(&change.before), map(&change.after));
    let masked = |own: &Map<String, Json>, other: Option<&Map<String, Json>>, changed: &str| {
        let one = |(key, value): (&String, &Json)| {
            let differs =
                other.and_then(|other| other.get(key)).is_some_and(|other| other != value);
            (key.clone(), Json::from(if differs { changed } else { HIDDEN }))
        };
        Json::Object(own.iter().map(one).collect())
    };
    if let Some(own) = &before {
        change.before = Some(masked(own, after.as_ref(), BEFORE));
    }
    if let Some(own) = &after {
        change.after = Some(masked(own, before.as_ref(), AFTER));
    }
}
