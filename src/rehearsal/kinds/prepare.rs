//! What a request may not set, and what the server sets instead.
//!
//! Source: Kubernetes 1.36 `pkg/registry/*/strategy.go`.

use serde_json::{Map, Value, json};

use super::{resources, same};
use crate::rehearsal::Kind;

type Object = Map<String, Value>;

/// Which part of an object its generation counts the changes of; `None` where it has no generation.
fn counted(kind: &Kind) -> Option<&'static [&'static str]> {
    Some(match kind.pair() {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job" | "CronJob")
        | ("", "Pod" | "ReplicationController")
        | ("networking.k8s.io", "Ingress" | "IngressClass" | "NetworkPolicy")
        | ("policy", "PodDisruptionBudget")
        | ("apiextensions.k8s.io", "CustomResourceDefinition")
        | ("flowcontrol.apiserver.k8s.io", _) => &["spec"],
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => &["webhooks"],
        ("admissionregistration.k8s.io", _) => &["spec"],
        ("", "PodTemplate") => &["template"],
        ("discovery.k8s.io", "EndpointSlice") => &["addressType", "endpoints", "ports"],
        ("scheduling.k8s.io", "PriorityClass") => &[],
        _ => return None,
    })
}

/// Whether a kind has a `status` that only its subresource writes.
fn has_status(kind: &Kind) -> bool {
    match kind.pair() {
        ("apps" | "batch", _) => !matches!(&*kind.kind, "ControllerRevision"),
        (
            "",
            "Pod"
            | "Service"
            | "Namespace"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "ResourceQuota"
            | "ReplicationController"
            | "Node",
        ) => true,
        (
            "autoscaling" | "policy" | "flowcontrol.apiserver.k8s.io" | "apiregistration.k8s.io",
            _,
        ) => true,
        ("networking.k8s.io", "Ingress" | "ServiceCIDR") => true,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => true,
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => true,
        ("storage.k8s.io", "VolumeAttachment") => true,
        _ => false,
    }
}

/// Resets what a new object may not bring, and sets what the server decides.
pub fn prepare_create(kind: &Kind, new: &mut Value) {
    let Value::Object(object) = new else { return };
    if has_status(kind) {
        object.remove("status");
    }
    let metadata = child(object, "metadata");
    metadata.remove("generation");
    if counted(kind).is_some() {
        metadata.insert("generation".into(), 1.into());
    }
    match kind.pair() {
        ("", "Pod") => {
            let quality = resources::quality(&object["spec"]);
            let mut status = json!({"phase": "Pending", "qosClass": quality});
            let gates = &object["spec"]["schedulingGates"];
            if gates.as_array().is_some_and(|gates| !gates.is_empty()) {
                status["conditions"] = json!([{
                    "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                    "message": "Scheduling is blocked due to non-empty scheduling gates",
                    "lastProbeTime": null, "lastTransitionTime": null, "observedGeneration": 1,
                }]);
            }
            object.insert("status".into(), status);
        }
        ("", "Namespace") => {
            object.insert("status".into(), json!({"phase": "Active"}));
            let finalizers = list(child(object, "spec"), "finalizers");
            if !finalizers.iter().any(|name| name == "kubernetes") {
                finalizers.push("kubernetes".into());
            }
        }
        ("", "PersistentVolume") => {
            let now = object["metadata"].get("creationTimestamp").cloned();
            let mut status = json!({"phase": "Pending"});
            if let Some(now) = now {
                status["lastPhaseTransitionTime"] = now;
            }
            object.insert("status".into(), status);
        }
        ("", "PersistentVolumeClaim") => {
            object.insert("status".into(), json!({"phase": "Pending"}));
            data_sources(child(object, "spec"), false);
        }
        ("", "ServiceAccount") => only_names(object),
        ("batch", "Job") => select_job(object),
        ("apps", "DaemonSet") => {
            let stated = template_generation(object);
            set_template_generation(object, stated.max(1));
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => store_version(object),
        _ => {}
    }
}

/// Resets what a request to this endpoint may not change, and counts the generation.
pub fn prepare_update(kind: &Kind, subresource: Option<&str>, new: &mut Value, old: &Value) {
    let Value::Object(object) = new else { return };
    keep(child(object, "metadata"), &old["metadata"], "generation");
    if kind.pair() == ("batch", "Job") && object.contains_key("spec") {
        adopt_job_labels(object);
    }
    match subresource {
        None => prepare_object(kind, object, old),
        Some("status") => prepare_status(kind, object, old),
        Some("finalize") => keep(object, old, "status"),
        _ => {}
    }
    // An update neither sets nor removes these; the uid may be left out.
    let metadata = child(object, "metadata");
    let before = &old["metadata"];
    if metadata.get("uid").is_none_or(|uid| uid.is_null() || uid == "") {
        keep(metadata, before, "uid");
    }
    if !before["creationTimestamp"].is_null() {
        keep(metadata, before, "creationTimestamp");
    }
    if !before["deletionTimestamp"].is_null() {
        keep(metadata, before, "deletionTimestamp");
    }
    let grace = "deletionGracePeriodSeconds";
    if !before[grace].is_null() && metadata.get(grace).is_none_or(Value::is_null) {
        keep(metadata, before, grace);
    }
}

fn prepare_object(kind: &Kind, object: &mut Object, old: &Value) {
    if has_status(kind) {
        keep(object, old, "status");
    }
    match kind.pair() {
        ("", "Namespace") => keep(child(object, "spec"), &old["spec"], "finalizers"),
        ("", "Secret") => {
            let is_blank = object.get("type").is_none_or(|held| held.is_null() || held == "");
            if is_blank {
                keep(object, old, "type");
            }
        }
        ("", "PersistentVolumeClaim") => {
            let spec = &old["spec"];
            let used = !spec["dataSource"].is_null() || !spec["dataSourceRef"].is_null();
            data_sources(child(object, "spec"), used);
        }
        ("", "ServiceAccount") => only_names(object),
        ("", "Service") => super::addresses::drop_what_the_type_has_not(object, old),
        ("apps", "DaemonSet") => {
            let before = old["metadata"]["annotations"][TEMPLATE_GENERATION]
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            let changed = !same(&object["spec"]["template"], &old["spec"]["template"]);
            set_template_generation(object, before + i64::from(changed));
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => store_version(object),
        _ => {}
    }
    let Some(parts) = counted(kind) else { return };
    let absent = Value::Null;
    let part = |key: &str| object.get(key).unwrap_or(&absent);
    let mut changed = parts.iter().any(|key| !is_copy(part(key), &old[*key]));
    let metadata = &object["metadata"];
    match kind.pair() {
        // A Deployment's annotations are copied to its ReplicaSets.
        ("apps", "Deployment") => {
            changed |= !same(&metadata["annotations"], &old["metadata"]["annotations"]);
        }
        ("discovery.k8s.io", _) => {
            changed |= !same(&metadata["labels"], &old["metadata"]["labels"]);
        }
        _ => {}
    }
    if changed {
        let before = old["metadata"]["generation"].as_i64().unwrap_or(0);
        child(object, "metadata").insert("generation".into(), (before + 1).into());
    }
}

/// Whether two parts are the same to Go: a struct that is empty is not one that is not there. Empty lists
/// and maps are gone by now.
fn is_copy(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let absent = Value::Null;
            let mut keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.all(|key| is_copy(a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_copy(a, b))
        }
        (a, b) => a == b,
    }
}

fn prepare_status(kind: &Kind, object: &mut Object, old: &Value) {
    keep(object, old, "spec");
    match kind.pair() {
        ("", "Pod") => {
            let metadata = child(object, "metadata");
            metadata.remove("deletionTimestamp");
            keep(metadata, &old["metadata"], "ownerReferences");
            let status = child(object, "status");
            if status.get("qosClass").is_none_or(|class| class.is_null() || class == "") {
                keep(status, &old["status"], "qosClass");
            }
        }
        ("", "PersistentVolume") => {
            let status = child(object, "status");
            if status.get("phase") == old["status"].get("phase")
                && status.get("lastPhaseTransitionTime").is_none_or(Value::is_null)
            {
                keep(status, &old["status"], "lastPhaseTransitionTime");
            }
        }
        ("apps", "Deployment") => keep(child(object, "metadata"), &old["metadata"], "labels"),
        ("apps", "DaemonSet") => {
            // The count of templates is part of the spec, whatever the annotation says.
            let annotations = &old["metadata"]["annotations"];
            if let Some(count) = annotations.get(TEMPLATE_GENERATION) {
                let count = count.clone();
                child(child(object, "metadata"), "annotations")
                    .insert(TEMPLATE_GENERATION.into(), count);
            }
        }
        ("admissionregistration.k8s.io" | "flowcontrol.apiserver.k8s.io", _) => {
            let metadata = child(object, "metadata");
            for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
                keep(metadata, &old["metadata"], key);
            }
        }
        _ => {}
    }
}

/// Whether an update without a `resourceVersion` is allowed; elsewhere it is refused with
/// `metadata.resourceVersion: Invalid value: 0: must be specified for an update`.
pub fn updates_unconditionally(kind: &Kind) -> bool {
    !matches!(
        kind.pair(),
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _)
            | ("coordination.k8s.io", _)
            | ("policy", "PodDisruptionBudget")
            | ("node.k8s.io", "RuntimeClass")
            | (
                "storage.k8s.io",
                "CSIDriver" | "CSINode" | "CSIStorageCapacity" | "VolumeAttachment"
            )
    )
}

fn child<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let value = object.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object above")
}

fn list<'a>(object: &'a mut Object, key: &str) -> &'a mut Vec<Value> {
    let value = object.entry(key).or_insert_with(|| json!([]));
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it was made a list above")
}

/// Takes a field as it was, even where it was not there.
fn keep(object: &mut Object, old: &Value, key: &str) {
    match old.get(key) {
        Some(value) => {
            object.insert(key.into(), value.clone());
        }
        None => {
            object.remove(key);
        }
    }
}

/// How the API that once had this field still shows it.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn template_generation(object: &Object) -> i64 {
    let stated = object["metadata"]["annotations"][TEMPLATE_GENERATION].as_str();
    stated.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut Object, count: i64) {
    let annotations = child(child(object, "metadata"), "annotations");
    annotations.insert(TEMPLATE_GENERATION.into(), count.to_string().into());
}

/// References to secrets are names: the rest of an object reference is dropped.
fn only_names(object: &mut Object) {
    for secret in object.get_mut("secrets").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(secret) = secret {
            secret.retain(|key, _| key == "name");
        }
    }
}

/// A claim's two fields for its source say the same.
fn data_sources(spec: &mut Object, used: bool) {
    let held = |key: &str| spec.get(key).filter(|value| !value.is_null()).cloned();
    // Before there was the other field, sources of other kinds were passed over.
    if let (Some(source), None) = (held("dataSource"), held("dataSourceRef")) {
        let group = source["apiGroup"].as_str().unwrap_or_default();
        let known = match source["kind"].as_str() {
            Some("PersistentVolumeClaim") => group.is_empty(),
            Some("VolumeSnapshot") => group == "snapshot.storage.k8s.io",
            _ => false,
        };
        if !known && !used {
            spec.remove("dataSource");
            return;
        }
    }
    match (held("dataSource"), held("dataSourceRef")) {
        (Some(source), None) => {
            spec.insert("dataSourceRef".into(), source);
        }
        (None, Some(source)) if source["namespace"].is_null() || source["namespace"] == "" => {
            spec.insert("dataSource".into(), source);
        }
        _ => {}
    }
}

/// A Job finds its Pods by its own uid, unless it selects them by hand.
fn select_job(object: &mut Object) {
    if object["spec"]["manualSelector"] == Value::Bool(true) {
        return adopt_job_labels(object);
    }
    let uid = object["metadata"].get("uid").cloned().unwrap_or_else(|| "".into());
    let name = object["metadata"].get("name").cloned().unwrap_or_else(|| "".into());
    let spec = child(object, "spec");
    let labels = child(child(child(spec, "template"), "metadata"), "labels");
    for (key, value) in [
        ("job-name", &name),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("batch.kubernetes.io/controller-uid", &uid),
    ] {
        labels.entry(key).or_insert_with(|| value.clone());
    }
    let selector = child(child(spec, "selector"), "matchLabels");
    selector.entry("batch.kubernetes.io/controller-uid").or_insert(uid);
    // The server's defaults let both be one map, so what was generated is in both.
    adopt_job_labels(object);
}

/// A Job without labels takes its template's.
fn adopt_job_labels(object: &mut Object) {
    let labels = object["spec"]["template"]["metadata"].get("labels").cloned();
    super::defaults::adopt_labels(object, labels);
}

/// The version that is stored is among those that were.
fn store_version(object: &mut Object) {
    let versions = object.get("spec").and_then(|spec| spec["versions"].as_array());
    let stored = versions.into_iter().flatten().find(|version| version["storage"] == true);
    let Some(name) = stored.map(|version| version["name"].clone()) else { return };
    let versions = list(child(object, "status"), "storedVersions");
    if !versions.contains(&name) {
        versions.push(name);
    }
}
