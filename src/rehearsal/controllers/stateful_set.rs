//! StatefulSets: numbered pods, one after the other, each with its claims.

use serde_json::{Value, json};

use super::ask::{
    Ask, PODS, collection, controller, hash, is_ending, number, path, revision, text,
};
use super::pods::{is_ready, of_template, ready};

const VERSION: &str = "apps/v1";
const REVISION: &str = "controller-revision-hash";

/// Looks after a StatefulSet.
pub(super) fn look(ask: &Ask<'_>, set: &Value) -> Option<u64> {
    if is_ending(set) {
        return None;
    }
    let name = text(&set["metadata"]["name"]);
    let revision = match revision(ask, set) {
        Some(noted) => text(&noted["metadata"]["name"]).to_owned(),
        None => format!("{name}-{}", hash(&set["spec"]["template"])),
    };
    let pods = ask.controlled(set, PODS);
    let wanted = number(&set["spec"]["replicas"]);
    change(ask, set, &pods, wanted, &revision);
    let place = path(VERSION, "statefulsets", set);
    ask.status(&place, set, &status(set, &pods, wanted, &revision));
    None
}

/// Makes or deletes pods: one at a time, or all at once with `podManagementPolicy: Parallel`.
fn change(ask: &Ask<'_>, set: &Value, pods: &[Value], wanted: i64, revision: &str) {
    let is_parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    let first = number(&set["spec"]["ordinals"]["start"]);
    let find = |ordinal: i64| {
        let name = format!("{}-{ordinal}", text(&set["metadata"]["name"]));
        pods.iter().find(move |pod| pod["metadata"]["name"] == *name)
    };
    for ordinal in first..first + wanted {
        match find(ordinal) {
            None => make(ask, set, ordinal, revision),
            Some(pod) if is_ready(pod) && !is_ending(pod) => continue,
            Some(_) => {}
        }
        if !is_parallel {
            return;
        }
    }
    // Those too many go from the last on, then those of an older template.
    let number_of = |pod: &Value| {
        let name = text(&pod["metadata"]["name"]);
        name.rsplit('-').next().and_then(|end| end.parse::<i64>().ok()).unwrap_or_default()
    };
    let mut own: Vec<_> = pods.iter().filter(|pod| !is_ending(pod)).collect();
    own.sort_by_key(|pod| -number_of(pod));
    let on_delete = set["spec"]["updateStrategy"]["type"] == "OnDelete";
    let partition = number(&set["spec"]["updateStrategy"]["rollingUpdate"]["partition"]);
    let goes = |pod: &&&Value| {
        let is_old = pod["metadata"]["labels"][REVISION] != *revision;
        number_of(pod) >= first + wanted
            || is_old && !on_delete && number_of(pod) >= first + partition
    };
    for pod in own.iter().filter(goes).take(if is_parallel { usize::MAX } else { 1 }) {
        ask.delete(&path("v1", "pods", pod), "Background");
    }
}

fn make(ask: &Ask<'_>, set: &Value, ordinal: i64, revision: &str) {
    let namespace = text(&set["metadata"]["namespace"]);
    let name = format!("{}-{ordinal}", text(&set["metadata"]["name"]));
    let mut pod = of_template(&set["spec"]["template"], controller(VERSION, "StatefulSet", set));
    pod["metadata"]["name"] = name.clone().into();
    pod["metadata"]["labels"][REVISION] = revision.into();
    pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = name.clone().into();
    pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
    pod["spec"]["hostname"] = name.clone().into();
    pod["spec"]["subdomain"] = set["spec"]["serviceName"].clone();
    let mut volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = &template["metadata"]["name"];
        let claim = format!("{}-{name}", text(volume));
        let object = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "labels": set["spec"]["selector"]["matchLabels"]},
            "spec": template["spec"],
        });
        // One of an earlier pod of that number is used again.
        ask.create(&collection("v1", "persistentvolumeclaims", namespace), &object);
        volumes.retain(|one| one["name"] != *volume);
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}));
    }
    if !volumes.is_empty() {
        pod["spec"]["volumes"] = volumes.into();
    }
    ask.create(&collection("v1", "pods", namespace), &pod);
}

fn status(set: &Value, pods: &[Value], wanted: i64, revision: &str) -> Value {
    let is_new = |pod: &&Value| pod["metadata"]["labels"][REVISION] == *revision;
    let updated = pods.iter().filter(is_new).count();
    let ready = ready(pods);
    let whole = i64::try_from(updated).is_ok_and(|updated| updated == wanted && ready == wanted);
    let current = match &set["status"]["currentRevision"] {
        Value::String(current) if !whole => current.clone(),
        _ => revision.to_owned(),
    };
    let is_current = |pod: &&Value| pod["metadata"]["labels"][REVISION] == *current;
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"], "collisionCount": 0,
        "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
        "currentReplicas": pods.iter().filter(is_current).count(), "updatedReplicas": updated,
        "currentRevision": current, "updateRevision": revision,
    });
    if let Some(counts) = status.as_object_mut() {
        let stays = ["replicas", "availableReplicas", "collisionCount"];
        counts.retain(|key, value| stays.contains(&key.as_str()) || *value != 0);
    }
    status
}
