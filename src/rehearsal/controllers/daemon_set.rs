//! DaemonSets: a pod on the only node.

use serde_json::{Value, json};

use super::NODE;
use super::ask::{
    Ask, PODS, collection, controller, hash, is_ending, number, path, revision, text,
};
use super::pods::{of_template, ready};

const VERSION: &str = "apps/v1";
const REVISION: &str = "controller-revision-hash";

/// Looks after a DaemonSet.
pub(super) fn look(ask: &Ask<'_>, set: &Value) -> Option<u64> {
    if is_ending(set) {
        return None;
    }
    let pods = collection("v1", "pods", text(&set["metadata"]["namespace"]));
    let mut own = ask.controlled(set, PODS);
    own.retain(|pod| !is_ending(pod));
    let revision = match revision(ask, set) {
        Some(noted) => text(&noted["metadata"]["labels"][REVISION]).to_owned(),
        None => hash(&set["spec"]["template"]),
    };
    let selector = set["spec"]["template"]["spec"]["nodeSelector"].as_object();
    // The node has no labels but those that every node has.
    let fits = selector.is_none_or(|labels| {
        labels.iter().all(|(key, value)| match key.as_str() {
            "kubernetes.io/os" => value == "linux",
            "kubernetes.io/hostname" => value == NODE,
            _ => false,
        })
    });
    // In a copy of a cluster there were other nodes, as many as there are pods.
    let before = number(&set["status"]["desiredNumberScheduled"]);
    let is_observed = set["status"]["observedGeneration"] == set["metadata"]["generation"];
    let fits = if is_observed { before > 0 } else { fits };
    let wanted = if fits { before.max(1) } else { 0 };
    let is_new = |pod: &Value| pod["metadata"]["labels"][REVISION] == *revision;
    let on_delete = set["spec"]["updateStrategy"]["type"] == "OnDelete";
    for pod in &own {
        if !fits || !is_new(pod) && !on_delete {
            ask.delete(&path("v1", "pods", pod), "Background");
        }
    }
    own.retain(|pod| fits && (is_new(pod) || on_delete));
    for _ in i64::try_from(own.len()).unwrap_or(i64::MAX)..wanted {
        let mut pod = of_template(&set["spec"]["template"], controller(VERSION, "DaemonSet", set));
        pod["metadata"]["generateName"] = format!("{}-", text(&set["metadata"]["name"])).into();
        pod["metadata"]["labels"][REVISION] = revision.clone().into();
        let Some(pod) = ask.create(&pods, &pod) else { break };
        own.push(pod);
    }
    let ready = ready(&own);
    let mut status = json!({
        "observedGeneration": set["metadata"]["generation"],
        "desiredNumberScheduled": wanted, "currentNumberScheduled": own.len(), "numberMisscheduled": 0,
        "numberReady": ready, "numberAvailable": ready, "numberUnavailable": wanted - ready,
        "updatedNumberScheduled": own.iter().filter(|pod| is_new(pod)).count(),
    });
    if let Some(counts) = status.as_object_mut() {
        let may_be_left_out = ["numberAvailable", "numberUnavailable", "updatedNumberScheduled"];
        counts.retain(|key, value| !may_be_left_out.contains(&key.as_str()) || *value != 0);
    }
    ask.status(&path(VERSION, "daemonsets", set), set, &status);
    None
}
