//! What holds for the metadata of every kind.
//!
//! Source: apimachinery `pkg/api/validation/objectmeta.go`, apiserver `pkg/registry/rest`.

use serde_json::Value;

use super::check::{At, Check};
use super::{go, names};
use crate::rehearsal::Kind;

/// How a kind wants to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Labels with dots between: most kinds.
    Subdomain,
    /// One label.
    Label,
    /// Whatever fits into a URL: the kinds of RBAC.
    Segment,
}

/// The bytes that all annotations together may have.
const ANNOTATIONS_SIZE: usize = 256 * 1024;

/// The bytes that the name of a field manager may have.
const LONGEST_MANAGER: usize = 128;

/// How objects of a kind are named, and whether they live in a namespace.
pub(super) fn naming(kind: &Kind) -> (Naming, bool) {
    match kind.pair() {
        ("rbac.authorization.k8s.io", name) => (Naming::Segment, !name.starts_with("Cluster")),
        ("", "Namespace") => (Naming::Label, false),
        ("", "Service") => (Naming::Label, true),
        ("apps", "StatefulSet") => (Naming::Label, true),
        ("", "PersistentVolume" | "Node") => (Naming::Subdomain, false),
        (
            "admissionregistration.k8s.io"
            | "apiextensions.k8s.io"
            | "apiregistration.k8s.io"
            | "scheduling.k8s.io"
            | "node.k8s.io"
            | "flowcontrol.apiserver.k8s.io",
            _,
        ) => (Naming::Subdomain, false),
        ("networking.k8s.io", "IngressClass" | "IPAddress" | "ServiceCIDR") => {
            (Naming::Subdomain, false)
        }
        ("storage.k8s.io", name) => (Naming::Subdomain, name == "CSIStorageCapacity"),
        _ => (Naming::Subdomain, true),
    }
}

/// Whether the server looks a second time at finalizers, at their names among Kubernetes' own.
fn knows_finalizers(kind: &Kind) -> bool {
    !matches!(
        kind.pair(),
        (
            "coordination.k8s.io"
                | "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "apiregistration.k8s.io",
            _
        )
    )
}

fn name_rule(naming: Naming, name: &str) -> Vec<String> {
    match naming {
        Naming::Subdomain => names::dns_subdomain(name),
        Naming::Label => names::dns_label(name),
        Naming::Segment => names::path_segment(name),
    }
}

/// The metadata of a new object, or of a template that has metadata of its own.
pub(super) fn validate(check: &mut Check, kind: &Kind, metadata: &At<'_>) {
    let (naming, namespaced) = naming(kind);
    named(check, naming, namespaced, metadata);
    if knows_finalizers(kind) {
        kube_finalizers(check, metadata);
    }
}

fn named(check: &mut Check, naming: Naming, namespaced: bool, metadata: &At<'_>) {
    let prefix = metadata.get("generateName");
    if !prefix.text().is_empty() {
        let wrong = match naming {
            Naming::Segment => names::path_segment(prefix.text()),
            _ => name_rule(naming, &names::mask_trailing_dash(prefix.text())),
        };
        check.all(&prefix, wrong);
    }
    let name = metadata.get("name");
    if name.text().is_empty() {
        check.required(name.path, "name or generateName is required");
    } else {
        check.all(&name, name_rule(naming, name.text()));
    }
    common(check, namespaced, metadata);
}

fn common(check: &mut Check, namespaced: bool, metadata: &At<'_>) {
    let namespace = metadata.get("namespace");
    match (namespaced, namespace.text()) {
        (true, "") => check.required(namespace.path, ""),
        (true, name) => check.all(&namespace, names::dns_label(name)),
        (false, "") => {}
        (false, _) => check.forbidden(namespace.path, "not allowed on this type"),
    }
    labels(check, &metadata.get("labels"));
    annotations(check, &metadata.get("annotations"));
    owners(check, &metadata.get("ownerReferences"));
    finalizers(check, &metadata.get("finalizers"));
    managers(check, &metadata.get("managedFields"));
}

/// The metadata of a new object, as all kinds are looked at.
pub(super) fn validate_any(check: &mut Check, kind: &Kind, metadata: &At<'_>) {
    named(check, Naming::Segment, naming(kind).1, metadata);
}

/// What holds for any change of any kind: it comes before the kind's own rules.
pub(super) fn validate_any_update(check: &mut Check, kind: &Kind, new: &Value, old: &Value) {
    let (_, namespaced) = naming(kind);
    let metadata = At::root(new).get("metadata");
    named(check, Naming::Segment, namespaced, &metadata);
    changed(check, &metadata, &old["metadata"]);
}

/// The metadata of a changed object, by the kind's own rules.
pub(super) fn validate_update(check: &mut Check, kind: &Kind, new: &Value, old: &Value) {
    let metadata = At::root(new).get("metadata");
    changed(check, &metadata, &old["metadata"]);
    if knows_finalizers(kind) {
        kube_finalizers(check, &metadata);
    }
}

fn changed(check: &mut Check, new: &At<'_>, old: &Value) {
    if !old["deletionTimestamp"].is_null() {
        no_new_finalizers(check, &new.get("finalizers"), &old["finalizers"]);
    }
    if new.text_of("resourceVersion").is_empty() {
        check.invalid_text(&new.get("resourceVersion"), "must be specified for an update");
    }
    for key in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let value = new.get(key);
        let is_unset = value.value.is_null() || *value.value == "";
        if *value.value != old[key] && !(is_unset && old[key].is_null()) {
            check.invalid(&value, "field is immutable");
        }
    }
    labels(check, &new.get("labels"));
    annotations(check, &new.get("annotations"));
    owners(check, &new.get("ownerReferences"));
    managers(check, &new.get("managedFields"));
}

/// The names of those who own fields.
fn managers(check: &mut Check, at: &At<'_>) {
    for (number, entry) in at.value.as_array().into_iter().flatten().enumerate() {
        if entry["manager"].as_str().is_some_and(|manager| manager.len() > LONGEST_MANAGER) {
            check.too_long(format!("{}[{number}].manager", at.path), LONGEST_MANAGER);
        }
    }
}

/// Labels, of an object, a selector or a template.
pub(super) fn labels(check: &mut Check, at: &At<'_>) {
    for (key, value) in at.entries() {
        label_key(check, &at.path, key);
        for message in names::label_value(value.as_str().unwrap_or_default()) {
            check.invalid_as(&*at.path, go::show(value), message);
        }
    }
}

/// The key of a label, shown as the value of the place where it stands.
pub(super) fn label_key(check: &mut Check, path: &str, key: &str) {
    for message in names::qualified_name(key) {
        check.invalid_as(path, go::quote(key), message);
    }
}

pub(super) fn annotations(check: &mut Check, at: &At<'_>) {
    let mut size = 0;
    for (key, value) in at.entries() {
        for message in names::qualified_name(&key.to_lowercase()) {
            check.invalid_as(&*at.path, go::quote(key), message);
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_SIZE {
        check.too_long(&*at.path, ANNOTATIONS_SIZE);
    }
}

fn owners(check: &mut Check, at: &At<'_>) {
    let mut controller: Option<String> = None;
    for owner in at.value.as_array().into_iter().flatten() {
        let text = |key: &str| owner[key].as_str().unwrap_or_default();
        let mut wrong = |key: &str, detail: &str| {
            check.invalid_as(at.child(key), go::quote(text(key)), detail);
        };
        let version = text("apiVersion").rsplit('/').next().unwrap_or_default();
        if version.is_empty() || text("apiVersion").matches('/').count() > 1 {
            wrong("apiVersion", "version must not be empty");
        }
        for key in ["kind", "name", "uid"] {
            if text(key).is_empty() {
                wrong(key, "must not be empty");
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            let shown = go::show_owners(&Value::Array(vec![owner.clone()]));
            let shown = &shown[1..shown.len() - 1];
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            check.invalid_as(&*at.path, shown, detail);
        }
        if owner["controller"] == Value::Bool(true) {
            let name = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {name}"
                    );
                    check.invalid_as(&*at.path, go::show_owners(at.value), detail);
                }
                None => controller = Some(name),
            }
        }
    }
}

fn finalizers(check: &mut Check, at: &At<'_>) {
    let list: Vec<_> =
        at.value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for name in &list {
        for message in names::qualified_name(name) {
            check.invalid_as(&*at.path, go::quote(name), message);
        }
    }
    if list.contains(&"orphan") && list.contains(&"foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        check.invalid(at, detail);
    }
}

fn kube_finalizers(check: &mut Check, metadata: &At<'_>) {
    for finalizer in metadata.get("finalizers").items() {
        kube_finalizer(check, &finalizer);
    }
}

/// A finalizer without a domain must be one that Kubernetes knows.
pub(super) fn kube_finalizer(check: &mut Check, finalizer: &At<'_>) {
    let name = finalizer.text();
    let known = ["kubernetes", "orphan", "foregroundDeletion"];
    if !name.contains('/') && !known.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        check.invalid_text(finalizer, detail);
    }
}

fn no_new_finalizers(check: &mut Check, new: &At<'_>, old: &Value) {
    let old: Vec<_> = old.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut extra: Vec<_> = new
        .value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !old.contains(name))
        .map(go::quote)
        .collect();
    extra.sort_unstable();
    extra.dedup();
    if !extra.is_empty() {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers \
             []string{{{}}}",
            extra.join(", ")
        );
        check.forbidden(&*new.path, detail);
    }
}

/// A label selector.
pub(super) fn selector(check: &mut Check, at: &At<'_>) {
    if !at.is_there() {
        return;
    }
    labels(check, &at.get("matchLabels"));
    for entry in at.get("matchExpressions").items() {
        let values = entry.get("values");
        match entry.text_of("operator") {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                check.required(&*values.path, detail);
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                check.forbidden(&*values.path, detail);
            }
            "Exists" | "DoesNotExist" => {}
            _ => check.invalid_text(&entry.get("operator"), "not a valid selector operator"),
        }
        label_key(check, &entry.child("key"), entry.text_of("key"));
        for value in values.items() {
            check.all(&value, names::label_value(value.text()));
        }
    }
}

/// Whether a selector can be used at all; `None` stands for "no".
///
/// Source: apimachinery `pkg/apis/meta/v1/helpers.go`, `LabelSelectorAsSelector`.
pub(super) fn matches(selector: &Value, labels: &Value) -> Option<bool> {
    if selector.is_null() {
        return Some(false);
    }
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let mut all = true;
    for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        if !names::qualified_name(key).is_empty() || !names::label_value(value).is_empty() {
            return None;
        }
        all &= label(key) == Some(value);
    }
    for entry in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = entry["key"].as_str().unwrap_or_default();
        let values: Vec<_> = entry["values"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| value.as_str().unwrap_or_default())
            .collect();
        let wrong = |value: &&str| !names::label_value(value).is_empty();
        if !names::qualified_name(key).is_empty() || values.iter().any(wrong) {
            return None;
        }
        let there = label(key);
        let one_of = there.is_some_and(|value| values.contains(&value));
        all &= match entry["operator"].as_str().unwrap_or_default() {
            "In" if !values.is_empty() => one_of,
            "NotIn" if !values.is_empty() => !one_of,
            "Exists" if values.is_empty() => there.is_some(),
            "DoesNotExist" if values.is_empty() => there.is_none(),
            _ => return None,
        };
    }
    Some(all)
}
