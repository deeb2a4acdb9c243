//! ReplicaSets and ReplicationControllers: as many pods as they ask for.

use serde_json::{Value, json};

use super::ask::{Ask, PODS, collection, controller, is_ending, number, path, text};
use super::pods::{is_ready, of_template, ready};

/// Looks after a ReplicaSet.
pub(super) fn look(ask: &Ask<'_>, set: &Value) -> Option<u64> {
    keep(ask, set, "apps/v1", "replicasets", "ReplicaSet");
    None
}

/// Looks after a ReplicationController.
pub(super) fn look_at_old(ask: &Ask<'_>, set: &Value) -> Option<u64> {
    keep(ask, set, "v1", "replicationcontrollers", "ReplicationController");
    None
}

fn keep(ask: &Ask<'_>, set: &Value, version: &str, plural: &str, kind: &str) {
    if is_ending(set) {
        return;
    }
    let pods = collection("v1", "pods", text(&set["metadata"]["namespace"]));
    let mut own = ask.controlled(set, PODS);
    own.retain(|pod| !is_ending(pod) && !is_over(pod));
    let wanted = number(&set["spec"]["replicas"]);
    let have = i64::try_from(own.len()).unwrap_or(i64::MAX);
    for _ in have..wanted {
        let owners = controller(version, kind, set);
        let mut pod = of_template(&set["spec"]["template"], owners);
        pod["metadata"]["generateName"] = format!("{}-", text(&set["metadata"]["name"])).into();
        let Some(pod) = ask.create(&pods, &pod) else { break };
        own.push(pod);
    }
    // Those that are not ready go first.
    own.sort_by_key(|pod| !is_ready(pod));
    for _ in wanted..have {
        if let Some(pod) = own.pop() {
            ask.delete(&path("v1", "pods", &pod), "Background");
        }
    }
    ask.status(&path(version, plural, set), set, &status(set, &own));
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
