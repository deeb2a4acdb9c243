//! What requests to a subresource may say.
//!
//! Source: Kubernetes 1.36 `pkg/apis/*/validation/validation.go`, `…StatusUpdate`.

use serde_json::Value;

use super::check::{At, Check};
use super::{config, job_status, metadata, names, pod_status};
use crate::rehearsal::Kind;

/// Asks the rules of a kind for one of its subresources.
pub(super) fn validate(
    check: &mut Check,
    kind: &Kind,
    subresource: &str,
    new: &Value,
    old: &Value,
) {
    let root = At::root(new);
    let status = root.get("status");
    if subresource == "finalize" {
        metadata::validate_update(check, kind, new, old);
        for finalizer in root.get("spec").get("finalizers").items() {
            config::namespace_finalizer(check, &finalizer);
        }
        return;
    }
    if subresource != "status" {
        return;
    }
    match kind.pair() {
        ("policy", "PodDisruptionBudget") => {
            for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                check.not_negative(&status.get(key));
            }
            return;
        }
        ("batch", "CronJob") => return,
        _ => metadata::validate_update(check, kind, new, old),
    }
    match kind.pair() {
        ("apps", name) | ("", name @ "ReplicationController") => {
            workload(check, name, &status, old);
        }
        ("", "Namespace") => phase(check, new),
        ("", "ResourceQuota") => {
            config::quota_amounts(check, &status.get("hard"));
            config::quota_amounts(check, &status.get("used"));
        }
        ("", "Pod") => pod_status::validate(check, new, old),
        ("", "Service") => {
            let balancer = status.get("loadBalancer").get("ingress");
            if root.get("spec").text_of("type") == "LoadBalancer" {
                balancer.items().for_each(|ingress| load_balancer(check, &ingress, true));
            } else if !balancer.is_empty() {
                let detail = "may only be used when `spec.type` is 'LoadBalancer'";
                check.forbidden(&*balancer.path, detail);
            }
        }
        ("networking.k8s.io", "Ingress") => {
            for ingress in status.get("loadBalancer").get("ingress").items() {
                load_balancer(check, &ingress, false);
            }
        }
        ("autoscaling", _) => {
            for key in ["currentReplicas", "desiredReplicas"] {
                check.not_negative(&status.get(key));
            }
        }
        ("batch", "Job") => job_status::validate(check, new, old),
        _ => {}
    }
}

/// One address of a load balancer.
fn load_balancer(check: &mut Check, at: &At<'_>, has_mode: bool) {
    let (ip, mode, host) = (at.get("ip"), at.get("ipMode"), at.get("hostname"));
    if !ip.text().is_empty() {
        check.address(&ip);
    }
    if has_mode {
        match (mode.is_there(), ip.text().is_empty()) {
            (false, false) => check.required(&*mode.path, "must be specified when `ip` is set"),
            (true, true) => {
                check.forbidden(&*mode.path, "may not be specified when `ip` is not set");
            }
            (true, false) => check.one_of(&mode, &["Proxy", "VIP"]),
            (false, true) => {}
        }
    }
    if !host.text().is_empty() {
        check.all(&host, names::dns_subdomain(host.text()));
        if names::is_ip(host.text()) {
            check.invalid(&host, "must be a DNS name, not an IP address");
        }
    }
}

fn phase(check: &mut Check, new: &Value) {
    let phase = &new["status"]["phase"];
    let at = At::new("status.Phase", phase);
    let deleted = !new["metadata"]["deletionTimestamp"].is_null();
    match (deleted, phase.as_str().unwrap_or_default()) {
        (false, "Active") | (true, "Terminating") => {}
        (false, _) => {
            check.invalid_text(&at, "may only be 'Active' if `deletionTimestamp` is empty");
        }
        (true, _) => {
            check
                .invalid_text(&at, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
    }
}

fn workload(check: &mut Check, kind: &str, status: &At<'_>, old: &Value) {
    let fields: &[&str] = match kind {
        "Deployment" => &[
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ],
        "StatefulSet" => &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ],
        "ReplicaSet" | "ReplicationController" => &[
            "replicas",
            "fullyLabeledReplicas",
            "readyReplicas",
            "availableReplicas",
            "observedGeneration",
        ],
        "DaemonSet" => &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
            "collisionCount",
        ],
        _ => return,
    };
    for key in fields {
        check.not_negative(&status.get(key));
    }
    let replicas = status.get("replicas").number();
    let ready = status.get("readyReplicas").number();
    let bounded: &[&str] = match kind {
        "Deployment" => &["updatedReplicas", "readyReplicas", "availableReplicas"],
        "StatefulSet" => {
            &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"]
        }
        "ReplicaSet" | "ReplicationController" => {
            &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]
        }
        _ => &[],
    };
    for key in bounded {
        let count = status.get(key);
        if count.number() > replicas {
            check.invalid(&count, "cannot be greater than status.replicas");
        }
    }
    let available = status.get("availableReplicas");
    if kind != "DaemonSet" && available.number() > ready {
        let what = match kind {
            "Deployment" | "ReplicaSet" | "ReplicationController" => "readyReplicas",
            _ => "status.readyReplicas",
        };
        check.invalid(&available, format!("cannot be greater than {what}"));
    }
    let collisions = status.get("collisionCount");
    if collisions.number() < old["status"]["collisionCount"].as_i64().unwrap_or(0) {
        let shown = collisions.number().to_string();
        check.invalid_as(&*collisions.path, shown, "cannot be decremented");
    }
}
