//! What a decoded object leaves out and the server sets.
//!
//! A text that is empty and a number that is 0 count as left out where Go has no pointer for them.
//!
//! Source: Kubernetes 1.36 `pkg/apis/*/v1/{defaults,zz_generated.defaults}.go`.

use serde_json::{Map, Value, json};

use crate::rehearsal::Kind;

type Object = Map<String, Value>;

/// The group of Roles and of Users and Groups as subjects.
const RBAC: &str = "rbac.authorization.k8s.io";

/// Sets what a decoded object leaves out and the server has defaults for.
pub fn default(kind: &Kind, object: &mut Value) {
    let Value::Object(object) = object else { return };
    match kind.pair() {
        ("", "Pod") => {
            pod(object);
            if let Some(Value::Object(status)) = object.get_mut("status") {
                pod_addresses(status);
            }
        }
        ("", "PodTemplate") => pod_template(object),
        ("", "ReplicationController") => replication_controller(object),
        ("apps", "Deployment") => deployment(child(object, "spec")),
        ("apps", "DaemonSet") => daemon_set(child(object, "spec")),
        ("apps", "StatefulSet") => stateful_set(child(object, "spec")),
        ("apps", "ReplicaSet") => {
            let spec = child(object, "spec");
            pod_template(spec);
            set(spec, "replicas", 1);
        }
        ("batch", "Job") => {
            job_spec(child(object, "spec"));
            // Those of a new one come with `prepare_create`, which adds some of its own.
            let is_there = object.get("metadata").is_some_and(|held| held["uid"].is_string());
            if is_there {
                let labels = object["spec"]["template"]["metadata"].get("labels").cloned();
                adopt_labels(object, labels);
            }
        }
        ("batch", "CronJob") => cron_job(child(object, "spec")),
        ("", "Service") => service(object),
        ("", "Endpoints") => {
            for subset in items(object, "subsets") {
                for port in items(subset, "ports") {
                    set_text(port, "protocol", "TCP");
                }
            }
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            for port in items(object, "ports") {
                set(port, "name", "");
                set(port, "protocol", "TCP");
            }
        }
        ("", "Secret") => secret(object),
        ("", "Namespace") => namespace(object),
        ("", "PersistentVolume") => {
            set_text(child(object, "status"), "phase", "Pending");
            let spec = child(object, "spec");
            set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
            set(spec, "volumeMode", "Filesystem");
            volume_source(spec);
        }
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "LimitRange") => {
            for item in items(child(object, "spec"), "limits") {
                limit_range_item(item);
            }
        }
        ("networking.k8s.io", "NetworkPolicy") => network_policy(child(object, "spec")),
        ("networking.k8s.io", "IngressClass") => {
            if let Some(parameters) = there(child(object, "spec"), "parameters") {
                set(parameters, "scope", "Cluster");
            }
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            autoscaler(&kind.version, child(object, "spec"));
        }
        (RBAC, "RoleBinding" | "ClusterRoleBinding") => {
            set_text(child(object, "roleRef"), "apiGroup", RBAC);
            for subject in items(object, "subjects") {
                if matches!(text(subject, "kind"), "User" | "Group") {
                    set_text(subject, "apiGroup", RBAC);
                }
            }
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            set(object, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("storage.k8s.io", "StorageClass") => {
            set(object, "reclaimPolicy", "Delete");
            set(object, "volumeBindingMode", "Immediate");
        }
        ("storage.k8s.io", "CSIDriver") => csi_driver(child(object, "spec")),
        ("admissionregistration.k8s.io", name) => admission(name, object),
        ("apiregistration.k8s.io", "APIService") => {
            if let Some(service) = there(child(object, "spec"), "service") {
                set(service, "port", 443);
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("flowcontrol.apiserver.k8s.io", name) => flow_control(name, child(object, "spec")),
        _ => {}
    }
}

// What follows is small words for maps.

/// The object under a key that Go always has, because it is no pointer.
fn child<'a>(object: &'a mut Object, key: &str) -> &'a mut Object {
    let value = object.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object above")
}

/// The object under a key, where it is.
fn there<'a>(object: &'a mut Object, key: &str) -> Option<&'a mut Object> {
    object.get_mut(key)?.as_object_mut()
}

fn items<'a>(object: &'a mut Object, key: &str) -> impl Iterator<Item = &'a mut Object> {
    let list = object.get_mut(key).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn absent(object: &Object, key: &str) -> bool {
    object.get(key).is_none_or(Value::is_null)
}

fn empty(object: &Object, key: &str) -> bool {
    match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

/// Where Go has a pointer: only what is not there is set.
fn set(object: &mut Object, key: &str, value: impl Into<Value>) {
    if absent(object, key) {
        object.insert(key.into(), value.into());
    }
}

/// Where Go has a string: the empty one is set too.
fn set_text(object: &mut Object, key: &str, value: &str) {
    if absent(object, key) || object[key].as_str() == Some("") {
        object.insert(key.into(), value.into());
    }
}

/// Where Go has a number: 0 is set too.
fn set_number(object: &mut Object, key: &str, value: i64) {
    if absent(object, key) || object[key].as_i64() == Some(0) {
        object.insert(key.into(), value.into());
    }
}

pub(super) fn adopt_labels(object: &mut Object, labels: Option<Value>) {
    if let Some(labels @ Value::Object(_)) = labels {
        let metadata = child(object, "metadata");
        if empty(metadata, "labels") {
            metadata.insert("labels".into(), labels);
        }
    }
}

// Pods and what holds a template of them.

/// The first of the addresses of a Pod is its address: where they differ, the single one counts.
///
/// Source: Kubernetes `pkg/apis/core/v1/conversion.go`.
fn pod_addresses(status: &mut Object) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let single = text(status.get("podIP"));
    let first = status.get("podIPs").and_then(|list| list.get(0));
    let (has_list, first) = (first.is_some(), text(first.and_then(|one| one.get("ip"))));
    if has_list && single.is_empty() {
        status.insert("podIP".into(), first.into());
    } else if !single.is_empty() && single != first {
        status.insert("podIPs".into(), json!([{"ip": single}]));
    }
}

fn pod(object: &mut Object) {
    let spec = child(object, "spec");
    pod_spec(spec);
    for list in ["containers", "initContainers"] {
        for container in items(spec, list) {
            request_what_is_limited(container);
        }
    }
    if spec.get("resources").is_some_and(Value::is_object) {
        super::resources::default_pod_level(spec);
    }
    set(spec, "enableServiceLinks", true);
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        for list in ["containers", "initContainers"] {
            for container in items(spec, list) {
                for port in items(container, "ports") {
                    let number = port.get("containerPort").and_then(Value::as_i64).unwrap_or(0);
                    set_number(port, "hostPort", number);
                }
            }
        }
    }
    set_text(child(object, "status"), "phase", "Pending");
}

fn request_what_is_limited(container: &mut Object) {
    let Some(resources) = there(container, "resources") else { return };
    let Some(Value::Object(limits)) = resources.get("limits").cloned() else { return };
    let requests = child(resources, "requests");
    for (name, limit) in limits {
        requests.entry(name).or_insert(limit);
    }
}

fn pod_template(holder: &mut Object) {
    let template = child(holder, "template");
    child(template, "metadata");
    pod_spec(child(template, "spec"));
}

fn pod_spec(spec: &mut Object) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set(spec, "securityContext", json!({}));
    set(spec, "terminationGracePeriodSeconds", 30);
    set_text(spec, "schedulerName", "default-scheduler");
    // The deprecated name is an alias: the server fills in both.
    match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
        ("", "") => {}
        ("", old) => {
            let name = old.to_owned();
            spec.insert("serviceAccountName".into(), name.into());
        }
        (name, _) => {
            let name = name.to_owned();
            spec.insert("serviceAccount".into(), name.into());
        }
    }
    for volume in items(spec, "volumes") {
        if volume.iter().all(|(key, value)| key == "name" || value.is_null()) {
            volume.insert("emptyDir".into(), json!({}));
        }
        volume_source(volume);
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec, list) {
            default_container(container);
        }
    }
}

fn default_container(container: &mut Object) {
    let policy = pull_policy(text(container, "image"));
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    for port in items(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for env in items(container, "env") {
        if let Some(from) = there(env, "valueFrom") {
            downward(from);
            if let Some(key) = there(from, "fileKeyRef") {
                set(key, "optional", false);
            }
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = there(container, probe) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = there(container, "lifecycle") {
        for handler in ["postStart", "preStop"] {
            if let Some(handler) = there(lifecycle, handler) {
                handler_action(handler);
            }
        }
    }
}

/// What is pulled again each time: what may have changed under the same name.
fn pull_policy(image: &str) -> &'static str {
    match image_tag(image) {
        Some("latest") => "Always",
        _ => "IfNotPresent",
    }
}

/// The most bytes that the name of an image may have.
const NAME: usize = 255;

/// The tag of an image; `latest` where it has neither tag nor digest, `None` where the reference
/// does not parse or has a digest alone.
fn image_tag(image: &str) -> Option<&str> {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let valid = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        && !name[last..].is_empty();
    if !valid {
        return None;
    }
    // Letters of the repository are lower case; the host before the first slash may have others.
    let tag_at = name[last..].find(':').map(|colon| last + colon);
    let path = &name[..tag_at.unwrap_or(name.len())];
    let repository = match path.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => path,
    };
    let is_component = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().next_back()];
        ends.into_iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
    };
    let spelled = repository.split('/').all(is_component)
        && !repository.bytes().any(|b| b.is_ascii_uppercase());
    if !spelled || path.len() > NAME {
        return None;
    }
    match tag_at {
        Some(colon) => Some(&name[colon + 1..]),
        None if digest => None,
        None => Some("latest"),
    }
}

fn default_probe(probe: &mut Object) {
    set_number(probe, "timeoutSeconds", 1);
    set_number(probe, "periodSeconds", 10);
    set_number(probe, "successThreshold", 1);
    set_number(probe, "failureThreshold", 3);
    handler_action(probe);
    if let Some(grpc) = there(probe, "grpc") {
        set(grpc, "service", "");
    }
}

fn handler_action(handler: &mut Object) {
    if let Some(get) = there(handler, "httpGet") {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
}

fn downward(item: &mut Object) {
    if let Some(field) = there(item, "fieldRef") {
        set_text(field, "apiVersion", "v1");
    }
    if let Some(resource) = there(item, "resourceFieldRef") {
        set(resource, "divisor", "0");
    }
}

/// The source of a Pod's volume or of a PersistentVolume: some kinds of source stand in both.
fn volume_source(holder: &mut Object) {
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = there(holder, name) {
            set(source, "defaultMode", 420);
        }
    }
    if let Some(source) = there(holder, "downwardAPI") {
        items(source, "items").for_each(downward);
    }
    if let Some(source) = there(holder, "projected") {
        for source in items(source, "sources") {
            if let Some(token) = there(source, "serviceAccountToken") {
                set(token, "expirationSeconds", 3600);
            }
            if let Some(api) = there(source, "downwardAPI") {
                items(api, "items").for_each(downward);
            }
        }
    }
    if let Some(path) = there(holder, "hostPath") {
        set(path, "type", "");
    }
    if let Some(source) = there(holder, "ephemeral")
        && let Some(template) = there(source, "volumeClaimTemplate")
    {
        set(child(template, "spec"), "volumeMode", "Filesystem");
    }
    if let Some(image) = there(holder, "image") {
        let policy = pull_policy(text(image, "reference"));
        set_text(image, "pullPolicy", policy);
    }
    if let Some(disk) = there(holder, "azureDisk") {
        set(disk, "cachingMode", "ReadWrite");
        set(disk, "fsType", "ext4");
        set(disk, "readOnly", false);
        set(disk, "kind", "Shared");
    }
    if let Some(iscsi) = there(holder, "iscsi") {
        set_text(iscsi, "iscsiInterface", "default");
    }
    if let Some(rbd) = there(holder, "rbd") {
        set_text(rbd, "pool", "rbd");
        set_text(rbd, "user", "admin");
        set_text(rbd, "keyring", "/etc/ceph/keyring");
    }
    if let Some(io) = there(holder, "scaleIO") {
        set_text(io, "storageMode", "ThinProvisioned");
        set_text(io, "fsType", "xfs");
    }
}

// Workloads.

fn replication_controller(object: &mut Object) {
    let spec = child(object, "spec");
    set(spec, "replicas", 1);
    let mut labels = None;
    if spec.get("template").is_some_and(Value::is_object) {
        pod_template(spec);
        labels = spec["template"]["metadata"].get("labels").cloned();
    }
    if let Some(labels @ Value::Object(_)) = &labels
        && empty(spec, "selector")
    {
        spec.insert("selector".into(), labels.clone());
    }
    adopt_labels(object, labels);
}

fn deployment(spec: &mut Object) {
    pod_template(spec);
    set(spec, "replicas", 1);
    let strategy = child(spec, "strategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", "25%");
        set(rolling, "maxSurge", "25%");
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
}

fn daemon_set(spec: &mut Object) {
    pod_template(spec);
    let strategy = child(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = child(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", 1);
        set(rolling, "maxSurge", 0);
    }
    set(spec, "revisionHistoryLimit", 10);
}

fn stateful_set(spec: &mut Object) {
    pod_template(spec);
    set_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = child(spec, "updateStrategy");
    if text(strategy, "type").is_empty() {
        strategy.insert("type".into(), "RollingUpdate".into());
        child(strategy, "rollingUpdate");
    }
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = there(strategy, "rollingUpdate")
    {
        set(rolling, "partition", 0);
    }
    let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    for template in items(spec, "volumeClaimTemplates") {
        set_text(template, "apiVersion", "v1");
        set_text(template, "kind", "PersistentVolumeClaim");
        claim(template);
    }
}

fn job_spec(spec: &mut Object) {
    pod_template(spec);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let tries = if absent(spec, "backoffLimitPerIndex") { 6 } else { i32::MAX };
    set(spec, "backoffLimit", tries);
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    let replace = match absent(spec, "podFailurePolicy") {
        true => "TerminatingOrFailed",
        false => "Failed",
    };
    set(spec, "podReplacementPolicy", replace);
    set(spec, "manualSelector", false);
    if let Some(policy) = there(spec, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            for pattern in items(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
}

fn cron_job(spec: &mut Object) {
    // The server defaults the Pod of a template, not the Job around it.
    let template = child(spec, "jobTemplate");
    child(template, "metadata");
    let job = child(template, "spec");
    pod_template(job);
    if let Some(policy) = there(job, "podFailurePolicy") {
        for rule in items(policy, "rules") {
            for pattern in items(rule, "onPodConditions") {
                set_text(pattern, "status", "True");
            }
        }
    }
    set_text(spec, "concurrencyPolicy", "Allow");
    set(spec, "suspend", false);
    set(spec, "successfulJobsHistoryLimit", 3);
    set(spec, "failedJobsHistoryLimit", 1);
}

fn autoscaler(version: &str, spec: &mut Object) {
    set(spec, "minReplicas", 1);
    if version == "v1" {
        return;
    }
    if empty(spec, "metrics") {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        spec.insert("metrics".into(), json!([metric]));
    }
    if let Some(behavior) = there(spec, "behavior") {
        let up = child(behavior, "scaleUp");
        set(up, "stabilizationWindowSeconds", 0);
        set(up, "selectPolicy", "Max");
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        set(up, "policies", json!([pods, percent]));
        let down = child(behavior, "scaleDown");
        set(down, "selectPolicy", "Max");
        set(down, "policies", json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}

// Network.

fn service(object: &mut Object) {
    let spec = child(object, "spec");
    set_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let client = child(child(spec, "sessionAffinityConfig"), "clientIP");
            set(client, "timeoutSeconds", 10800);
        }
        _ => {}
    }
    set_text(spec, "type", "ClusterIP");
    for port in items(spec, "ports") {
        set_text(port, "protocol", "TCP");
        let unset = absent(port, "targetPort")
            || port["targetPort"].as_i64() == Some(0)
            || port["targetPort"].as_str() == Some("");
        if unset {
            let number = port.get("port").cloned().unwrap_or_else(|| 0.into());
            port.insert("targetPort".into(), number);
        }
    }
    let kind = text(spec, "type").to_owned();
    let open = matches!(&*kind, "LoadBalancer" | "NodePort")
        || (kind == "ClusterIP" && !empty(spec, "externalIPs"));
    if open {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(&*kind, "NodePort" | "LoadBalancer" | "ClusterIP") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        let status = child(child(object, "status"), "loadBalancer");
        for ingress in items(status, "ingress") {
            if !text(ingress, "ip").is_empty() {
                set(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn network_policy(spec: &mut Object) {
    if empty(spec, "policyTypes") {
        let types = match empty(spec, "egress") {
            true => json!(["Ingress"]),
            false => json!(["Ingress", "Egress"]),
        };
        spec.insert("policyTypes".into(), types);
    }
    for rules in ["ingress", "egress"] {
        for rule in items(spec, rules) {
            for port in items(rule, "ports") {
                set(port, "protocol", "TCP");
            }
        }
    }
}

// Storage and configuration.

fn claim(object: &mut Object) {
    set_text(child(object, "status"), "phase", "Pending");
    set(child(object, "spec"), "volumeMode", "Filesystem");
}

/// `stringData` is written over `data`, and is no more.
fn secret(object: &mut Object) {
    use base64::Engine;
    set_text(object, "type", "Opaque");
    let Some(plain) = object.remove("stringData") else { return };
    let Value::Object(plain) = plain else { return };
    if plain.is_empty() {
        return;
    }
    let data = child(object, "data");
    for (key, value) in plain {
        let bytes = value.as_str().unwrap_or_default();
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        data.insert(key, encoded.into());
    }
}

fn namespace(object: &mut Object) {
    set_text(child(object, "status"), "phase", "Active");
    let metadata = child(object, "metadata");
    let name = text(metadata, "name").to_owned();
    if !name.is_empty() {
        child(metadata, "labels").insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

fn limit_range_item(item: &mut Object) {
    if text(item, "type") != "Container" {
        return;
    }
    let copied = |item: &Object, from: &str| match item.get(from) {
        Some(Value::Object(map)) => map.clone(),
        _ => Map::new(),
    };
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")]
    {
        let source = copied(item, from);
        let target = child(item, to);
        for (name, quantity) in source {
            target.entry(name).or_insert(quantity);
        }
    }
    for key in ["default", "defaultRequest"] {
        if empty(item, key) {
            item.remove(key);
        }
    }
}

fn csi_driver(spec: &mut Object) {
    set(spec, "attachRequired", true);
    set(spec, "podInfoOnMount", false);
    set(spec, "storageCapacity", false);
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if empty(spec, "volumeLifecycleModes") {
        spec.insert("volumeLifecycleModes".into(), json!(["Persistent"]));
    }
    set(spec, "requiresRepublish", false);
    set(spec, "seLinuxMount", false);
}

// The server's own kinds.

fn admission(kind: &str, object: &mut Object) {
    match kind {
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            for webhook in items(object, "webhooks") {
                set(webhook, "failurePolicy", "Fail");
                matching(webhook);
                set(webhook, "timeoutSeconds", 10);
                if kind.starts_with('M') {
                    set(webhook, "reinvocationPolicy", "Never");
                }
                if let Some(service) = there(child(webhook, "clientConfig"), "service") {
                    set(service, "port", 443);
                }
                for rule in items(webhook, "rules") {
                    set(rule, "scope", "*");
                }
            }
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            let spec = child(object, "spec");
            set(spec, "failurePolicy", "Fail");
            if let Some(constraints) = there(spec, "matchConstraints") {
                match_resources(constraints);
            }
        }
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            if let Some(resources) = there(child(object, "spec"), "matchResources") {
                match_resources(resources);
            }
        }
        _ => {}
    }
}

fn matching(object: &mut Object) {
    set(object, "matchPolicy", "Equivalent");
    set(object, "namespaceSelector", json!({}));
    set(object, "objectSelector", json!({}));
}

fn match_resources(resources: &mut Object) {
    matching(resources);
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items(resources, list) {
            set(rule, "scope", "*");
        }
    }
}

fn definition(object: &mut Object) {
    let spec = child(object, "spec");
    let names = child(spec, "names");
    let kind = text(names, "kind").to_owned();
    set_text(names, "singular", &kind.to_lowercase());
    if !kind.is_empty() {
        set_text(names, "listKind", &format!("{kind}List"));
    }
    set(spec, "conversion", json!({"strategy": "None"}));
    if let Some(hook) = there(child(spec, "conversion"), "webhook")
        && let Some(client) = there(hook, "clientConfig")
        && let Some(service) = there(client, "service")
    {
        set(service, "port", 443);
    }
    let stored = items(spec, "versions")
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| text(version, "name").to_owned());
    let status = child(object, "status");
    if let Some(name) = stored
        && empty(status, "storedVersions")
    {
        status.insert("storedVersions".into(), json!([name]));
    }
}

fn flow_control(kind: &str, spec: &mut Object) {
    if kind == "FlowSchema" {
        set_number(spec, "matchingPrecedence", 1000);
        return;
    }
    if let Some(exempt) = there(spec, "exempt") {
        set(exempt, "nominalConcurrencyShares", 0);
        set(exempt, "lendablePercent", 0);
    }
    if let Some(limited) = there(spec, "limited") {
        set(limited, "nominalConcurrencyShares", 30);
        set(limited, "lendablePercent", 0);
        if let Some(response) = there(limited, "limitResponse")
            && let Some(queuing) = there(response, "queuing")
        {
            set_number(queuing, "handSize", 8);
            set_number(queuing, "queues", 64);
            set_number(queuing, "queueLengthLimit", 50);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaulted(api_version: &str, kind: &str, mut object: Value) -> Value {
        default(&Kind::new(api_version, kind), &mut object);
        object
    }

    #[test]
    fn an_image_is_pulled_again_where_its_tag_may_move() {
        for (image, policy) in [
            ("a", "Always"),
            ("a:latest", "Always"),
            ("-1", "IfNotPresent"),
            ("a:1", "IfNotPresent"),
            ("r.example.com:5000/a", "Always"),
            ("r.example.com:5000/a:2", "IfNotPresent"),
            ("a@sha256:00", "IfNotPresent"),
            ("", "IfNotPresent"),
            ("Upper", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn string_data_is_written_over_data() {
        let secret = json!({"data": {"a": "b2xk", "b": "Yg=="}, "stringData": {"a": "new"}});
        assert_eq!(
            defaulted("v1", "Secret", secret),
            json!({"type": "Opaque", "data": {"a": "bmV3", "b": "Yg=="}})
        );
    }

    #[test]
    fn a_recreated_deployment_has_no_rolling_update() {
        let object = json!({"spec": {"strategy": {"type": "Recreate"}}});
        let object = defaulted("apps/v1", "Deployment", object);
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    }
}
