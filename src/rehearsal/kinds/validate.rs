//! Which rules are asked of which kind, in the server's order.
//!
//! Source: Kubernetes 1.36 `pkg/registry/*/strategy.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::{
    config, diff, go, metadata, network, pod, policy, same, service, status, storage, webhooks,
    workload,
};
use crate::rehearsal::{Cause, Kind};

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// What is wrong with a new object, in the server's order; empty where it is valid.
///
/// Custom resource definitions and custom resources are not looked at here.
pub fn validate_create(kind: &Kind, new: &Value) -> Vec<Cause> {
    let mut check = Check::default();
    if kind.pair() != ("policy", "PodDisruptionBudget") {
        let own = as_it_came(kind, new);
        metadata::validate(&mut check, kind, &At::new("metadata", &own));
        object(&mut check, kind, new, None);
        if kind.pair() == ("", "Pod") {
            pod::validate_create(&mut check, new);
        }
        return check.causes;
    }
    // This kind leaves its metadata to what looks at all kinds, when the rest is in order.
    object(&mut check, kind, new, None);
    if check.causes.is_empty() {
        metadata::validate_any(&mut check, kind, &At::root(new).get("metadata"));
    }
    check.causes
}

/// The metadata before the server gave a Job the labels of its template, which it does when the Job
/// is stored already.
fn as_it_came(kind: &Kind, new: &Value) -> Value {
    let mut metadata = new["metadata"].clone();
    let generated = kind.pair() == ("batch", "Job")
        && metadata["labels"] == new["spec"]["template"]["metadata"]["labels"];
    if let (true, Value::Object(metadata)) = (generated, &mut metadata) {
        metadata.remove("labels");
    }
    metadata
}

/// The rules of a kind for the object without its metadata.
fn object(check: &mut Check, kind: &Kind, new: &Value, old: Option<&Value>) {
    match kind.pair() {
        ("", "ConfigMap") => config::config_map(check, new),
        ("", "Secret") => config::secret(check, new),
        ("", "Namespace") => config::namespace(check, new),
        ("", "Pod") => {
            pod::validate(check, new);
        }
        ("", "PodTemplate") => pod::template(check, &At::root(new).get("template")),
        ("", "ReplicationController") => workload::replication_controller(check, new),
        ("", "Service") => service::validate(check, new, old),
        ("", "Endpoints") => network::endpoints(check, new, old),
        ("", "PersistentVolume") => storage::volume(check, new),
        ("", "PersistentVolumeClaim") => {
            storage::claim(check, new, old);
        }
        ("", "LimitRange") => config::limit_range(check, new),
        ("", "ResourceQuota") => config::quota(check, new),
        ("apps", "Deployment") => workload::deployment(check, new),
        ("apps", "DaemonSet") => workload::daemon_set(check, new),
        ("apps", "StatefulSet") => workload::stateful_set(check, new, old),
        ("apps", "ReplicaSet") => workload::replica_set(check, new),
        ("batch", "Job") => workload::job(check, new),
        ("batch", "CronJob") => workload::cron_job(check, new, old),
        ("autoscaling", "HorizontalPodAutoscaler") => policy::autoscaler(check, new),
        ("policy", "PodDisruptionBudget") => policy::disruption_budget(check, new),
        (RBAC, "Role") => policy::role(check, new, true),
        (RBAC, "ClusterRole") => policy::role(check, new, false),
        (RBAC, "RoleBinding") => policy::role_binding(check, new, true),
        (RBAC, "ClusterRoleBinding") => policy::role_binding(check, new, false),
        ("networking.k8s.io", "Ingress") => network::ingress(check, new, old),
        ("networking.k8s.io", "IngressClass") => network::ingress_class(check, new),
        ("networking.k8s.io", "NetworkPolicy") => network::network_policy(check, new),
        ("discovery.k8s.io", "EndpointSlice") => network::endpoint_slice(check, new, old),
        ("coordination.k8s.io", "Lease") => config::lease(check, new),
        ("scheduling.k8s.io", "PriorityClass") => config::priority_class(check, new),
        ("storage.k8s.io", "StorageClass") => storage::class(check, new),
        (ADMISSION, "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            webhooks::configuration(check, new);
        }
        (ADMISSION, "ValidatingAdmissionPolicy") => webhooks::policy(check, new),
        (ADMISSION, "ValidatingAdmissionPolicyBinding") => webhooks::binding(check, new),
        _ => {}
    }
}

/// What is wrong with a changed object, or may not change, in the server's order.
pub fn validate_update(
    kind: &Kind,
    subresource: Option<&str>,
    new: &Value,
    old: &Value,
) -> Vec<Cause> {
    let mut check = Check::default();
    metadata::validate_any_update(&mut check, kind, new, old);
    match subresource {
        None => update(&mut check, kind, new, old),
        Some(name) => status::validate(&mut check, kind, name, new, old),
    }
    check.causes
}

fn update(check: &mut Check, kind: &Kind, new: &Value, old: &Value) {
    let own = |check: &mut Check| {
        metadata::validate(check, kind, &At::root(new).get("metadata"));
    };
    let changed = |check: &mut Check| metadata::validate_update(check, kind, new, old);
    match kind.pair() {
        ("", "Pod") => {
            changed(check);
            own(check);
            pod::validate(check, new);
            pod_changed(check, new, old);
        }
        ("", "ConfigMap") => {
            changed(check);
            config::fixed_data(check, new, old, &["data", "binaryData"]);
            own(check);
            config::config_map(check, new);
        }
        ("", "Secret") => {
            changed(check);
            config::fixed_type(check, new, old);
            config::fixed_data(check, new, old, &["data"]);
            own(check);
            config::secret(check, new);
        }
        ("", "Service") => {
            changed(check);
            service::validate_update(check, new, old);
        }
        ("", "Namespace") => {
            own(check);
            config::namespace(check, new);
            changed(check);
        }
        ("", "PersistentVolume") => {
            own(check);
            storage::volume(check, new);
            own(check);
            storage::volume(check, new);
            storage::volume_changed(check, new, old);
        }
        ("", "PersistentVolumeClaim") => {
            changed(check);
            own(check);
            object(check, kind, new, Some(old));
            storage::claim_changed(check, new, old);
        }
        ("", "LimitRange") => {
            own(check);
            config::limit_range(check, new);
        }
        ("", "ResourceQuota") => {
            changed(check);
            config::quota(check, new);
            config::fixed_scopes(check, new, old);
        }
        ("", "ServiceAccount" | "Endpoints") => {
            changed(check);
            own(check);
            object(check, kind, new, Some(old));
        }
        ("apps", "Deployment" | "ReplicaSet") => {
            changed(check);
            object(check, kind, new, Some(old));
            workload::fixed_selector(check, new, old);
        }
        ("apps", "DaemonSet") => {
            changed(check);
            workload::fixed_selector(check, new, old);
            workload::daemon_set(check, new);
        }
        ("apps", "StatefulSet") => {
            changed(check);
            workload::stateful_set(check, new, Some(old));
            workload::stateful_set_changed(check, new, old);
        }
        ("batch", "Job") => {
            own(check);
            workload::job(check, new);
            changed(check);
            workload::job_changed(check, new, old);
        }
        ("policy", "PodDisruptionBudget") => policy::disruption_budget(check, new),
        (RBAC, "Role" | "ClusterRole") => {
            own(check);
            object(check, kind, new, Some(old));
            changed(check);
        }
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            own(check);
            object(check, kind, new, Some(old));
            changed(check);
            policy::fixed_role(check, new, old);
        }
        ("networking.k8s.io", "Ingress") => {
            changed(check);
            own(check);
            network::ingress(check, new, Some(old));
        }
        ("networking.k8s.io", "IngressClass") => {
            changed(check);
            network::fixed_controller(check, new, old);
            own(check);
            network::ingress_class(check, new);
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            own(check);
            network::endpoint_slice(check, new, Some(old));
            network::fixed_address_type(check, new, old);
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            changed(check);
            config::fixed_priority(check, new, old);
        }
        ("storage.k8s.io", "StorageClass") => {
            own(check);
            storage::class(check, new);
            changed(check);
            storage::class_changed(check, new, old);
        }
        (ADMISSION, _) => {
            own(check);
            object(check, kind, new, Some(old));
        }
        _ => {
            changed(check);
            object(check, kind, new, Some(old));
        }
    }
}

/// What of a Pod may change: images, and little else.
fn pod_changed(check: &mut Check, new: &Value, old: &Value) {
    let spec = At::root(new).get("spec");
    let before = &old["spec"];
    for list in ["containers", "initContainers"] {
        let containers = spec.get(list);
        if containers.len() != before[list].as_array().map_or(0, Vec::len) {
            let detail = "pod updates may not add or remove containers";
            return check.forbidden(&*containers.path, detail);
        }
        for container in containers.items() {
            let image = container.get("image");
            if image.text().is_empty() {
                check.required(&*image.path, "");
            }
            if image.text().trim().len() != image.text().len() {
                check.invalid(&image, "must not have leading or trailing whitespace");
            }
        }
    }
    let deadline = spec.get("activeDeadlineSeconds");
    let was = before["activeDeadlineSeconds"].as_i64();
    match (deadline.is_there(), was) {
        (true, _) if !(0..=i64::from(i32::MAX)).contains(&deadline.number()) => {
            let detail = "must be between 0 and 2147483647, inclusive";
            return check.invalid(&deadline, detail);
        }
        (true, Some(was)) if was < deadline.number() => {
            let detail = "must be less than or equal to previous value";
            return check.invalid(&deadline, detail);
        }
        (false, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            check.invalid(&deadline, detail);
        }
        _ => {}
    }
    tolerations_changed(check, &spec, before);
    let gates = |spec: &Value| {
        let list = spec["schedulingGates"].as_array().into_iter().flatten();
        list.filter_map(|gate| gate["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let had = gates(before);
    for (at, gate) in gates(spec.value).iter().enumerate().filter(|(_, gate)| !had.contains(gate)) {
        let detail = format!("only deletion is allowed, but found new scheduling gate '{gate}'");
        check.forbidden(format!("spec.schedulingGates[{at}]"), detail);
    }
    if same(spec.value, before) {
        return;
    }
    let mut munged = spec.value.clone();
    for list in ["containers", "initContainers"] {
        let held = munged.get_mut(list).and_then(Value::as_array_mut);
        for (at, container) in held.into_iter().flatten().enumerate() {
            container["image"] = before[list][at]["image"].clone();
        }
    }
    for key in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        munged[key] = before[key].clone();
    }
    let grace = "terminationGracePeriodSeconds";
    if before[grace].as_i64().is_some_and(|was| was < 0) && munged[grace] == 1 {
        munged[grace] = before[grace].clone();
    }
    if !had.is_empty() {
        // A Pod that is not scheduled yet may be told where to go.
        munged["nodeSelector"] = before["nodeSelector"].clone();
        munged["affinity"] = before["affinity"].clone();
    }
    if !same(&munged, before) {
        let difference = diff::unified(
            &go::pretty_struct("PodSpec", before),
            &go::pretty_struct("PodSpec", &munged),
        );
        let detail = format!(
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
             additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to \
             be set to 1 if it was previously negative)\n{difference}"
        );
        check.forbidden("spec", detail);
    }
}

fn tolerations_changed(check: &mut Check, spec: &At<'_>, before: &Value) {
    let list = spec.get("tolerations");
    let without_time = |toleration: &Value| {
        let mut toleration = toleration.clone();
        if let Value::Object(toleration) = &mut toleration {
            toleration.remove("tolerationSeconds");
        }
        toleration
    };
    for old in before["tolerations"].as_array().into_iter().flatten() {
        let old = without_time(old);
        if !list.items().any(|new| without_time(new.value) == old) {
            let detail = "existing toleration can not be modified except its tolerationSeconds";
            return check.forbidden(&*list.path, detail);
        }
    }
    pod::tolerations(check, &list);
}

/// Whether defaults and validation of a kind are ported, so that a rehearsal may be called exact.
///
/// Not among them: kinds whose validation is only begun, as that of admission policies, whose
/// expressions are not compiled here.
pub fn ported(kind: &Kind) -> bool {
    matches!(
        (kind.pair(), &*kind.version),
        (
            (
                "",
                "ConfigMap"
                    | "Secret"
                    | "Namespace"
                    | "Pod"
                    | "PodTemplate"
                    | "Service"
                    | "ServiceAccount"
                    | "PersistentVolumeClaim"
                    | "LimitRange"
                    | "ResourceQuota"
                    | "Endpoints"
                    | "ReplicationController"
            ),
            "v1"
        ) | (("", "PersistentVolume"), "v1")
            | (("apps", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet"), "v1")
            | (("batch", "Job" | "CronJob"), "v1")
            | (("autoscaling", "HorizontalPodAutoscaler"), "v2")
            | (("policy", "PodDisruptionBudget"), "v1")
            | ((RBAC, "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding"), "v1")
            | (("networking.k8s.io", "Ingress" | "IngressClass" | "NetworkPolicy"), "v1")
            | (("discovery.k8s.io", "EndpointSlice"), "v1")
            | (("coordination.k8s.io", "Lease"), "v1")
            | (("scheduling.k8s.io", "PriorityClass"), "v1")
            | (("storage.k8s.io", "StorageClass"), "v1")
            | (
                (ADMISSION, "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration"),
                "v1"
            )
    )
}
