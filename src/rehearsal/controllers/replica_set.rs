//! ReplicaSets and ReplicationControllers: as many pods as they ask for.

use serde_json::{Value, json};

use super::ask::{Ask, collection, controller, is_controlled, is_ending, number, path, text};
use super::pods::{is_ready, of_template, ready};

pub(super) fn step(ask: &Ask<'_>) {
    keep(ask, "apps/v1", "replicasets", "ReplicaSet");
    keep(ask, "v1", "replicationcontrollers", "ReplicationController");
}

fn keep(ask: &Ask<'_>, version: &str, plural: &str, kind: &str) {
    let root = if version == "v1" { "/api" } else { "/apis" };
    for set in ask.list(&format!("{root}/{version}/{plural}")) {
        if is_ending(&set) {
            continue;
        }
        let namespace = text(&set["metadata"]["namespace"]);
        let pods = collection("v1", "pods", namespace);
        let mut own = ask.list(&pods);
        own.retain(|pod| is_controlled(pod, &set) && !is_ending(pod) && !is_over(pod));
        let wanted = number(&set["spec"]["replicas"]);
        let have = i64::try_from(own.len()).unwrap_or(i64::MAX);
        for _ in have..wanted {
            let owners = controller(version, kind, &set);
            let mut pod = of_template(&set["spec"]["template"], owners);
            pod["metadata"]["generateName"] = format!("{}-", text(&set["metadata"]["name"])).into();
            own.extend(ask.create(&pods, &pod));
        }
        // Those that are not ready go first.
        own.sort_by_key(|pod| !is_ready(pod));
        for _ in wanted..have {
            if let Some(pod) = own.pop() {
                ask.delete(&path("v1", "pods", &pod), "Background");
            }
        }
        ask.status(&path(version, plural, &set), &set, &status(&set, &own));
    }
}

fn is_over(pod: &Value) -> bool {
    matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed")
}

fn status(set: &Value, pods: &[Value]) -> Value {
    let ready = ready(pods);
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "replicas": pods.len(), "fullyLabeledReplicas": pods.len(),
        "readyReplicas": ready, "availableReplicas": ready,
    });
    if let Some(counts) = status.as_object_mut() {
        counts.retain(|key, value| key == "replicas" || *value != 0);
    }
    status
}
