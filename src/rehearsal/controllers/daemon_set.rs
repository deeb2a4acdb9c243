//! DaemonSets: a pod on the only node.

use serde_json::{Value, json};

use super::NODE;
use super::ask::{Ask, collection, controller, hash, is_controlled, is_ending, path, text};
use super::pods::{of_template, ready};

const VERSION: &str = "apps/v1";
const REVISION: &str = "controller-revision-hash";

pub(super) fn step(ask: &Ask<'_>) {
    for set in ask.list("/apis/apps/v1/daemonsets") {
        if !is_ending(&set) {
            look_after(ask, &set);
        }
    }
}

fn look_after(ask: &Ask<'_>, set: &Value) {
    let pods = collection("v1", "pods", text(&set["metadata"]["namespace"]));
    let mut own = ask.list(&pods);
    own.retain(|pod| is_controlled(pod, set) && !is_ending(pod));
    let revision = hash(&set["spec"]["template"]);
    let selector = set["spec"]["template"]["spec"]["nodeSelector"].as_object();
    // The node has no labels but those that every node has.
    let fits = selector.is_none_or(|labels| {
        labels.iter().all(|(key, value)| match key.as_str() {
            "kubernetes.io/os" => value == "linux",
            "kubernetes.io/hostname" => value == NODE,
            _ => false,
        })
    });
    let is_new = |pod: &Value| pod["metadata"]["labels"][REVISION] == *revision;
    let on_delete = set["spec"]["updateStrategy"]["type"] == "OnDelete";
    for pod in &own {
        if !fits || !is_new(pod) && !on_delete {
            ask.delete(&path("v1", "pods", pod), "Background");
        }
    }
    own.retain(|pod| fits && (is_new(pod) || on_delete));
    if fits && own.is_empty() {
        let mut pod = of_template(&set["spec"]["template"], controller(VERSION, "DaemonSet", set));
        pod["metadata"]["generateName"] = format!("{}-", text(&set["metadata"]["name"])).into();
        pod["metadata"]["labels"][REVISION] = revision.clone().into();
        own.extend(ask.create(&pods, &pod));
    }
    let (wanted, ready) = (i64::from(fits), ready(&own));
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
}
