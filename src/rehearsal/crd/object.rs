//! The CustomResourceDefinition itself as an object of the API: defaults, status, life cycle.
//!
//! Source: apiextensions-apiserver `pkg/apis/apiextensions/v1/{defaults,conversion}.go`,
//! `pkg/registry/customresourcedefinition/{strategy,etcd}.go`,
//! `pkg/controller/{status,establish,finalizer}`.

use rustc_hash::FxHashSet;
use serde_json::{Map, Value, json};

use super::text::quote;

pub use super::check::{validate, validate_status, warnings};

/// Held until all custom resources are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Gives a decoded definition its defaults and the form in which the server writes it: what is
/// empty in a schema is left out.
pub fn complete(crd: &mut Value) {
    let Some(spec) = crd.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    if spec["names"].is_object() {
        let is_empty = |value: &Value| value.as_str().unwrap_or_default().is_empty();
        if is_empty(&spec["names"]["singular"]) && !kind.is_empty() {
            spec["names"]["singular"] = kind.to_lowercase().into();
        }
        if is_empty(&spec["names"]["listKind"]) && !kind.is_empty() {
            spec["names"]["listKind"] = format!("{kind}List").into();
        }
        drop_nulls(&mut spec["names"]);
        drop_empty(&mut spec["names"], &["categories", "shortNames"]);
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let service = spec.pointer_mut("/conversion/webhook/clientConfig/service");
    if let Some(service) = service.filter(|service| service.is_object())
        && service["port"].is_null()
    {
        service["port"] = 443.into();
    }
    if spec["preserveUnknownFields"] == false || spec["preserveUnknownFields"].is_null() {
        remove(spec, "preserveUnknownFields");
    }
    for version in spec["versions"].as_array_mut().into_iter().flatten() {
        complete_version(version);
    }
    let stored = crd["spec"]["versions"].as_array().into_iter().flatten();
    let stored =
        stored.filter(|version| version["storage"] == true).map(|version| version["name"].clone());
    let stored: Vec<_> = stored.take(1).collect();
    if crd["status"].is_object()
        && crd["status"]["storedVersions"].as_array().is_none_or(Vec::is_empty)
    {
        crd["status"]["storedVersions"] = stored.into();
    }
}

fn complete_version(version: &mut Value) {
    drop_nulls(version);
    drop_empty(version, &["additionalPrinterColumns", "selectableFields"]);
    if version["deprecated"] == false || version["deprecated"].is_null() {
        remove(version, "deprecated");
    }
    if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
        tidy(schema);
    }
    for column in version["additionalPrinterColumns"].as_array_mut().into_iter().flatten() {
        drop_nulls(column);
        drop_empty(column, &["description", "format"]);
        if column["priority"] == 0 || column["priority"].is_null() {
            remove(column, "priority");
        }
    }
    for name in ["additionalPrinterColumns", "selectableFields"] {
        if version[name].is_null() {
            remove(version, name);
        }
    }
}

fn remove(value: &mut Value, name: &str) {
    if let Some(map) = value.as_object_mut() {
        map.remove(name);
    }
}

fn drop_nulls(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
}

fn drop_empty(value: &mut Value, names: &[&str]) {
    let Some(map) = value.as_object_mut() else { return };
    map.retain(|name, value| !names.contains(&&**name) || !is_empty(value));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    }
}

/// Drops what a struct of Go leaves out of its JSON. Values that are not schemas stay as they are.
fn tidy(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    map.retain(|name, value| match &**name {
        // These are pointers: empty is not absent.
        "additionalItems"
        | "additionalProperties"
        | "default"
        | "example"
        | "items"
        | "not"
        | "x-kubernetes-preserve-unknown-fields"
        | "x-kubernetes-list-type"
        | "x-kubernetes-map-type"
        | "externalDocs"
        | "$ref" => !value.is_null(),
        _ => !is_empty(value),
    });
    for (name, value) in map {
        match (&**name, value) {
            ("properties" | "definitions" | "patternProperties", Value::Object(map)) => {
                map.values_mut().for_each(tidy);
            }
            ("items" | "not" | "additionalProperties" | "additionalItems", value) => tidy(value),
            ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => list.iter_mut().for_each(tidy),
            ("x-kubernetes-validations", Value::Array(list)) => {
                for rule in list {
                    drop_nulls(rule);
                    drop_empty(rule, &["message", "messageExpression", "fieldPath"]);
                }
            }
            _ => {}
        }
    }
}

/// Resets what a new definition may not bring.
pub fn prepare_create(crd: &mut Value) {
    crd["status"] = json!({
        "conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": [],
    });
    crd["metadata"]["generation"] = 1.into();
    remember_storage(crd);
}

/// Resets what an update may not change, and counts the generation.
pub fn prepare_update(crd: &mut Value, old: &Value) {
    crd["status"] = old["status"].clone();
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
    let changed = crd["spec"] != old["spec"];
    crd["metadata"]["generation"] = (generation + i64::from(changed)).into();
    remember_storage(crd);
}

/// Resets what an update of the status may not change.
pub fn prepare_status(crd: &mut Value, old: &Value) {
    let managed = crd["metadata"].get("managedFields").cloned();
    crd["spec"] = old["spec"].clone();
    crd["metadata"] = old["metadata"].clone();
    match managed {
        Some(managed) => crd["metadata"]["managedFields"] = managed,
        None => remove(&mut crd["metadata"], "managedFields"),
    }
}

/// The storage version is one in which objects may be stored from now on.
fn remember_storage(crd: &mut Value) {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    let mut storage = versions.filter(|version| version["storage"] == true);
    let Some(name) = storage.next().map(|version| version["name"].clone()) else { return };
    if !crd["status"]["storedVersions"].is_array() {
        crd["status"]["storedVersions"] = json!([]);
    }
    if let Some(stored) = crd["status"]["storedVersions"].as_array_mut()
        && !stored.contains(&name)
    {
        stored.push(name);
    }
}

/// Whether a condition is there and true.
pub fn is_condition_true(crd: &Value, name: &str) -> bool {
    let conditions = crd["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == name && condition["status"] == "True")
}

fn set_condition(
    crd: &mut Value,
    name: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) {
    let mut condition = json!({
        "type": name, "status": status, "lastTransitionTime": now, "reason": reason,
        "message": message,
    });
    if !crd["status"]["conditions"].is_array() {
        crd["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = crd["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|condition| condition["type"] == name) {
        Some(old) => {
            if old["status"] == status {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

/// Does what the server's controllers do after a write: names are accepted where no other
/// definition of the group, of `others`, has them, and then the kind is established.
///
/// Returns whether anything changed, which is stored as an update of the status. Names that became
/// free are for the other definitions of the group to take: call this for them too.
pub fn settle(crd: &mut Value, others: &[&Value], now: &str) -> bool {
    let requested = crd["spec"]["names"].clone();
    let accepted = crd["status"]["acceptedNames"].clone();
    if requested == accepted {
        return false;
    }
    let group = &crd["spec"]["group"];
    let own = crd["metadata"]["name"].clone();
    let mut resources: FxHashSet<String> = FxHashSet::default();
    let mut kinds: FxHashSet<String> = FxHashSet::default();
    let same_group = others
        .iter()
        .filter(|other| other["spec"]["group"] == *group && other["metadata"]["name"] != own);
    for names in same_group.map(|other| &other["status"]["acceptedNames"]).chain([&accepted]) {
        let text = |key: &str| names[key].as_str().unwrap_or_default().to_owned();
        resources.extend([text("plural"), text("singular")]);
        resources.extend(texts(&names["shortNames"]));
        kinds.extend([text("kind"), text("listKind")]);
    }
    let mut names = accepted.as_object().cloned().unwrap_or_default();
    let mut conflict: Option<(&str, String)> = None;
    let fields = [
        ("plural", "PluralConflict", &resources),
        ("singular", "SingularConflict", &resources),
        ("shortNames", "ShortNamesConflict", &resources),
        ("kind", "KindConflict", &kinds),
        ("listKind", "ListKindConflict", &kinds),
    ];
    for (field, reason, used) in fields {
        let found = if field == "shortNames" {
            short_names_conflict(&requested[field], &accepted[field], used)
        } else {
            let asked = requested[field].as_str().unwrap_or_default();
            let own = accepted[field].as_str().unwrap_or_default();
            (asked != own && used.contains(asked)).then(|| in_use(asked))
        };
        match found {
            Some(message) => conflict = Some((reason, message)),
            None => put(&mut names, field, &requested[field]),
        }
    }
    put(&mut names, "categories", &requested["categories"]);
    for field in ["plural", "kind"] {
        names.entry(field).or_insert_with(|| "".into());
    }
    let before = crd["status"].clone();
    crd["status"]["acceptedNames"] = names.into();
    match &conflict {
        Some((reason, message)) => {
            set_condition(crd, "NamesAccepted", "False", reason, message, now);
        }
        None => {
            set_condition(crd, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now);
        }
    }
    if !is_condition_true(crd, "Established") {
        if conflict.is_some() {
            let message = "not all names are accepted";
            set_condition(crd, "Established", "False", "NotAccepted", message, now);
        } else {
            let message = "the initial names have been accepted";
            set_condition(crd, "Established", "True", "InitialNamesAccepted", message, now);
        }
    }
    before != crd["status"]
}

fn texts(list: &Value) -> impl Iterator<Item = String> + '_ {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

fn in_use(name: &str) -> String {
    format!("{} is already in use", quote(name))
}

fn short_names_conflict(
    requested: &Value,
    accepted: &Value,
    used: &FxHashSet<String>,
) -> Option<String> {
    let own: Vec<_> = texts(accepted).collect();
    let taken: Vec<_> = texts(requested)
        .filter(|name| !own.contains(name) && used.contains(name))
        .map(|name| in_use(&name))
        .collect();
    match &*taken {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(format!("[{}]", several.join(", "))),
    }
}

fn put(names: &mut Map<String, Value>, field: &str, value: &Value) {
    if is_empty(value) {
        names.remove(field);
    } else {
        names.insert(field.to_owned(), value.clone());
    }
}

/// A DELETE of a definition that is not being deleted yet: it stays until its objects are gone.
/// The server does not count this as a change of fields.
pub fn mark_deleted(crd: &mut Value, now: &str) {
    crd["metadata"]["deletionTimestamp"] = now.into();
    let metadata = &mut crd["metadata"];
    if !metadata["finalizers"].is_array() {
        metadata["finalizers"] = json!([]);
    }
    if let Some(finalizers) = metadata["finalizers"].as_array_mut()
        && !finalizers.iter().any(|name| name == FINALIZER)
    {
        finalizers.push(FINALIZER.into());
    }
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will \
        begin soon";
    set_condition(crd, "Terminating", "True", "InstanceDeletionPending", message, now);
}

/// What the finalizer's controller says while it deletes the custom resources, as an update of the
/// status. Returns whether anything changed.
pub fn mark_deleting(crd: &mut Value, now: &str) -> bool {
    let before = crd["status"].clone();
    let message = "CustomResource deletion is in progress";
    set_condition(crd, "Terminating", "True", "InstanceDeletionInProgress", message, now);
    before != crd["status"]
}

/// Lets go of a definition whose custom resources are gone. Returns whether nothing else holds it,
/// so that it is to be removed.
pub fn release(crd: &mut Value, now: &str) -> bool {
    let (reason, message) = if is_condition_true(crd, "Established") {
        ("InstanceDeletionCompleted", "removed all instances")
    } else {
        ("NeverEstablished", "resource was never established")
    };
    set_condition(crd, "Terminating", "False", reason, message, now);
    let Some(finalizers) = crd["metadata"]["finalizers"].as_array_mut() else { return true };
    finalizers.retain(|name| name != FINALIZER);
    if !finalizers.is_empty() {
        return false;
    }
    remove(&mut crd["metadata"], "finalizers");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(plural: &str, kind: &str) -> Value {
        let mut crd = json!({
            "metadata": {"name": format!("{plural}.example.com")},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                    "openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "properties": {}}}}}}]},
        });
        complete(&mut crd);
        prepare_create(&mut crd);
        crd
    }

    #[test]
    fn a_definition_is_completed_and_its_names_are_accepted() {
        let mut first = crd("widgets", "Widget");
        assert_eq!(first["spec"]["names"]["singular"], "widget");
        assert_eq!(first["spec"]["names"]["listKind"], "WidgetList");
        let spec = &first["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert_eq!(*spec, json!({"type": "object"}));
        assert_eq!(first["status"]["storedVersions"], json!(["v1"]));
        assert!(settle(&mut first, &[], "2020-01-01T00:00:00Z"));
        assert!(is_condition_true(&first, "Established"));
        assert!(!settle(&mut first, &[], "2020-01-01T00:00:01Z"));

        let mut second = crd("gadgets", "Widget");
        assert!(settle(&mut second, &[&first], "2020-01-01T00:00:00Z"));
        assert!(!is_condition_true(&second, "Established"));
        assert_eq!(
            second["status"]["conditions"][0]["message"],
            "\"WidgetList\" is already in use"
        );
        assert_eq!(second["status"]["acceptedNames"], json!({"plural": "gadgets", "kind": ""}));
    }

    #[test]
    fn a_definition_stays_until_its_objects_are_gone() {
        let mut crd = crd("widgets", "Widget");
        mark_deleted(&mut crd, "2020-01-01T00:00:00Z");
        assert_eq!(crd["metadata"]["finalizers"], json!([FINALIZER]));
        assert!(is_condition_true(&crd, "Terminating"));
        assert!(mark_deleting(&mut crd, "2020-01-01T00:00:01Z"));
        assert!(release(&mut crd, "2020-01-01T00:00:02Z"));
    }
}
