//! What `kubectl get` prints of the built-in kinds: columns and cells.
//!
//! The names, types and order of columns and the forms of cells are the server's. The prose that
//! a server adds to a column, and kubectl does not show, is left out.
//!
//! Source: Kubernetes `pkg/printers/internalversion/printers.go`.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::rehearsal::scale::selector_text;

/// One column: name, type and priority; 1 is for `-o wide`.
type Column = (&'static str, &'static str, u8);

const NONE: &str = "<none>";

/// The columns of a kind after its name.
pub(super) fn columns(kind: (&str, &str)) -> &'static [Column] {
    const S: &str = "string";
    const I: &str = "integer";
    const B: &str = "boolean";
    const AGE: Column = ("Age", S, 0);
    match kind {
        ("", "ConfigMap") => &[("Data", S, 0), AGE],
        ("", "Secret") => &[("Type", S, 0), ("Data", S, 0), AGE],
        ("", "Namespace") => &[("Status", S, 0), AGE],
        ("", "Pod") => &[
            ("Ready", S, 0),
            ("Status", S, 0),
            ("Restarts", S, 0),
            AGE,
            ("IP", S, 1),
            ("Node", S, 1),
            ("Nominated Node", S, 1),
            ("Readiness Gates", S, 1),
        ],
        ("", "Node") => &[
            ("Status", S, 0),
            ("Roles", S, 0),
            AGE,
            ("Version", S, 0),
            ("Internal-IP", S, 1),
            ("External-IP", S, 1),
            ("OS-Image", S, 1),
            ("Kernel-Version", S, 1),
            ("Container-Runtime", S, 1),
        ],
        ("", "PodTemplate") => &[("Containers", S, 0), ("Images", S, 0), ("Pod Labels", S, 0)],
        ("", "Service") => &[
            ("Type", S, 0),
            ("Cluster-IP", S, 0),
            ("External-IP", S, 0),
            ("Port(s)", S, 0),
            AGE,
            ("Selector", S, 1),
        ],
        ("", "Endpoints") => &[("Endpoints", S, 0), AGE],
        ("", "ResourceQuota") => &[("Request", S, 0), ("Limit", S, 0), AGE],
        ("", "PersistentVolume") => &[
            ("Capacity", S, 0),
            ("Access Modes", S, 0),
            ("Reclaim Policy", S, 0),
            ("Status", S, 0),
            ("Claim", S, 0),
            ("StorageClass", S, 0),
            ("VolumeAttributesClass", S, 0),
            ("Reason", S, 0),
            AGE,
            ("VolumeMode", S, 1),
        ],
        ("", "PersistentVolumeClaim") => &[
            ("Status", S, 0),
            ("Volume", S, 0),
            ("Capacity", S, 0),
            ("Access Modes", S, 0),
            ("StorageClass", S, 0),
            ("VolumeAttributesClass", S, 0),
            AGE,
            ("VolumeMode", S, 1),
        ],
        ("apps", "Deployment") => &[
            ("Ready", S, 0),
            ("Up-to-date", S, 0),
            ("Available", S, 0),
            AGE,
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("apps", "ReplicaSet") | ("", "ReplicationController") => &[
            ("Desired", I, 0),
            ("Current", I, 0),
            ("Ready", I, 0),
            AGE,
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("apps", "StatefulSet") => &[("Ready", S, 0), AGE, ("Containers", S, 1), ("Images", S, 1)],
        ("apps", "DaemonSet") => &[
            ("Desired", I, 0),
            ("Current", I, 0),
            ("Ready", I, 0),
            ("Up-to-date", I, 0),
            ("Available", I, 0),
            ("Node Selector", S, 0),
            AGE,
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("batch", "Job") => &[
            ("Status", S, 0),
            ("Completions", S, 0),
            ("Duration", S, 0),
            AGE,
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("batch", "CronJob") => &[
            ("Schedule", S, 0),
            ("Timezone", S, 0),
            ("Suspend", B, 0),
            ("Active", I, 0),
            ("Last Schedule", S, 0),
            AGE,
            ("Containers", S, 1),
            ("Images", S, 1),
            ("Selector", S, 1),
        ],
        ("autoscaling", "HorizontalPodAutoscaler") => &[
            ("Reference", S, 0),
            ("Targets", S, 0),
            ("MinPods", S, 0),
            ("MaxPods", S, 0),
            ("Replicas", S, 0),
            AGE,
        ],
        ("networking.k8s.io", "Ingress") => {
            &[("Class", S, 0), ("Hosts", S, 0), ("Address", S, 0), ("Ports", S, 0), AGE]
        }
        ("networking.k8s.io", "IngressClass") => &[("Controller", S, 0), ("Parameters", S, 0), AGE],
        ("networking.k8s.io", "NetworkPolicy") => &[("Pod-Selector", S, 0), AGE],
        ("policy", "PodDisruptionBudget") => &[
            ("Min Available", S, 0),
            ("Max Unavailable", S, 0),
            ("Allowed Disruptions", I, 0),
            AGE,
        ],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            &[("Role", S, 0), AGE, ("Users", S, 1), ("Groups", S, 1), ("ServiceAccounts", S, 1)]
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole")
        | ("", "LimitRange")
        | ("apiextensions.k8s.io", "CustomResourceDefinition") => &[("Created At", "date", 0)],
        ("scheduling.k8s.io", "PriorityClass") => {
            &[("Value", I, 0), ("Global-Default", B, 0), AGE, ("PreemptionPolicy", S, 0)]
        }
        ("storage.k8s.io", "StorageClass") => &[
            ("Provisioner", S, 0),
            ("ReclaimPolicy", S, 0),
            ("VolumeBindingMode", S, 0),
            ("AllowVolumeExpansion", S, 0),
            AGE,
        ],
        ("discovery.k8s.io", "EndpointSlice") => {
            &[("AddressType", S, 0), ("Ports", S, 0), ("Endpoints", S, 0), AGE]
        }
        ("coordination.k8s.io", "Lease") => &[("Holder", S, 0), AGE],
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => &[("Webhooks", I, 0), AGE],
        _ => &[AGE],
    }
}

/// The cells of an object after its name, in the order of [`columns`].
/// `now` is in seconds since 1970.
pub(super) fn cells(kind: (&str, &str), object: &Value, age: &str, now: u64) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let age = Value::from(age);
    let template = &spec["template"]["spec"];
    match kind {
        ("", "ConfigMap") => {
            vec![(size(&object["data"]) + size(&object["binaryData"])).into(), age]
        }
        ("", "Secret") => vec![object["type"].clone(), size(&object["data"]).into(), age],
        ("", "Namespace") => vec![status["phase"].clone(), age],
        ("", "Pod") => pod(object, age),
        ("", "Node") => node(object, age),
        ("", "PodTemplate") => {
            let template = &object["template"];
            let [names, images] = containers(&template["spec"]);
            vec![names, images, selector(&template["metadata"]["labels"])]
        }
        ("", "Service") => service(object, age),
        ("", "Endpoints") => vec![endpoints(object).into(), age],
        ("", "ResourceQuota") => {
            let [requests, limits] = quota(status);
            vec![requests.into(), limits.into(), age]
        }
        ("", "PersistentVolume") => volume(object, age),
        ("", "PersistentVolumeClaim") => claim(object, age),
        ("apps", "Deployment") => {
            let [names, images] = containers(template);
            let ready = format!("{}/{}", count(status, "readyReplicas"), count(spec, "replicas"));
            vec![
                ready.into(),
                count(status, "updatedReplicas").into(),
                count(status, "availableReplicas").into(),
                age,
                names,
                images,
                selector(&spec["selector"]),
            ]
        }
        ("apps", "ReplicaSet") | ("", "ReplicationController") => {
            let [names, images] = containers(template);
            let ready = count(status, "readyReplicas");
            let counts = [count(spec, "replicas"), count(status, "replicas"), ready];
            let mut cells: Vec<Value> = counts.into_iter().map(Value::from).collect();
            cells.extend([age, names, images, selector(&spec["selector"])]);
            cells
        }
        ("apps", "StatefulSet") => {
            let [names, images] = containers(template);
            let ready = format!("{}/{}", count(status, "readyReplicas"), count(spec, "replicas"));
            vec![ready.into(), age, names, images]
        }
        ("apps", "DaemonSet") => {
            let [names, images] = containers(template);
            let counts = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
                "updatedNumberScheduled",
                "numberAvailable",
            ];
            let mut cells: Vec<Value> =
                counts.into_iter().map(|key| count(status, key).into()).collect();
            cells.push(selector(&template["nodeSelector"]));
            cells.extend([age, names, images, selector(&spec["selector"])]);
            cells
        }
        ("batch", "Job") => job(object, age, now),
        ("batch", "CronJob") => {
            let [names, images] = containers(&spec["jobTemplate"]["spec"]["template"]["spec"]);
            let suspend = if spec["suspend"] == true { "True" } else { "False" };
            let active = status["active"].as_array().map_or(0, Vec::len);
            vec![
                spec["schedule"].clone(),
                text_or(&spec["timeZone"], NONE),
                suspend.into(),
                active.into(),
                since(&status["lastScheduleTime"], now),
                age,
                names,
                images,
                selector(&spec["jobTemplate"]["spec"]["selector"]),
            ]
        }
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object, age),
        ("networking.k8s.io", "Ingress") => ingress(object, age),
        ("networking.k8s.io", "IngressClass") => {
            let to = &spec["parameters"];
            let parameters = match to.is_null() {
                true => NONE.to_owned(),
                false => {
                    let kind = [&to["kind"], &to["apiGroup"]];
                    let kind: Vec<_> = kind.iter().filter_map(|part| part.as_str()).collect();
                    format!("{}/{}", kind.join("."), plain(&to["name"]))
                }
            };
            vec![text_or(&spec["controller"], ""), parameters.into(), age]
        }
        ("networking.k8s.io", "NetworkPolicy") => vec![selector(&spec["podSelector"]), age],
        ("policy", "PodDisruptionBudget") => vec![
            or_not_available(&spec["minAvailable"]),
            or_not_available(&spec["maxUnavailable"]),
            count(status, "disruptionsAllowed").into(),
            age,
        ],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            let role = &object["roleRef"];
            let role = format!("{}/{}", plain(&role["kind"]), plain(&role["name"]));
            let [users, groups, accounts] = subjects(&object["subjects"]);
            vec![role.into(), age, users.into(), groups.into(), accounts.into()]
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole")
        | ("", "LimitRange")
        | ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            vec![object["metadata"]["creationTimestamp"].clone()]
        }
        ("scheduling.k8s.io", "PriorityClass") => vec![
            object["value"].clone(),
            (object["globalDefault"] == true).into(),
            age,
            text_or(&object["preemptionPolicy"], NONE),
        ],
        ("storage.k8s.io", "StorageClass") => vec![
            object["provisioner"].clone(),
            text_or(&object["reclaimPolicy"], "Delete"),
            text_or(&object["volumeBindingMode"], "Immediate"),
            (object["allowVolumeExpansion"] == true).into(),
            age,
        ],
        ("discovery.k8s.io", "EndpointSlice") => vec![
            object["addressType"].clone(),
            some_of(list(&object["ports"]).map(|port| shown(&port["port"], "*")), "<unset>"),
            some_of(
                list(&object["endpoints"])
                    .flat_map(|endpoint| list(&endpoint["addresses"]))
                    .map(|address| plain(address).to_owned()),
                "<unset>",
            ),
            age,
        ],
        ("coordination.k8s.io", "Lease") => vec![text_or(&spec["holderIdentity"], ""), age],
        ("admissionregistration.k8s.io", _) if object.get("webhooks").is_some() => {
            vec![list(&object["webhooks"]).count().into(), age]
        }
        ("admissionregistration.k8s.io", kind) if kind.ends_with("WebhookConfiguration") => {
            vec![0.into(), age]
        }
        _ => vec![age],
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

fn count(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or_default()
}

fn text_or(value: &Value, other: &str) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(other).into()
}

/// A number or a text as text.
fn shown(value: &Value, other: &str) -> String {
    match value {
        Value::Null => other.to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn or_not_available(value: &Value) -> Value {
    shown(value, "N/A").into()
}

fn selector(value: &Value) -> Value {
    match selector_text(value) {
        text if text.is_empty() => NONE.into(),
        text => text.into(),
    }
}

/// The first three, and how many more there are.
fn some_of(values: impl Iterator<Item = String>, none: &str) -> Value {
    let values: Vec<_> = values.collect();
    if values.is_empty() {
        return none.into();
    }
    let mut text = values.iter().take(3).cloned().collect::<Vec<_>>().join(",");
    if values.len() > 3 {
        let _ = write!(text, " + {} more...", values.len() - 3);
    }
    text.into()
}

/// Names and images of the containers of a Pod's spec.
fn containers(spec: &Value) -> [Value; 2] {
    ["name", "image"].map(|key| {
        let parts: Vec<_> =
            list(&spec["containers"]).map(|container| plain(&container[key])).collect();
        parts.join(",").into()
    })
}

fn pod(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let states: Vec<_> = list(&status["containerStatuses"]).collect();
    let ready = states.iter().filter(|state| state["ready"] == true).count();
    let restarts: i64 = states.iter().map(|state| count(state, "restartCount")).sum();
    let waiting = states.iter().find_map(|state| state["state"]["waiting"]["reason"].as_str());
    let ended = states.iter().find_map(|state| state["state"]["terminated"]["reason"].as_str());
    let phase = plain(&status["phase"]);
    let reason = status["reason"].as_str().or(waiting).or(ended).unwrap_or(phase);
    let reason = match object["metadata"]["deletionTimestamp"].is_null() {
        true => reason,
        false => "Terminating",
    };
    let total = list(&spec["containers"]).count();
    vec![
        format!("{ready}/{total}").into(),
        reason.into(),
        restarts.to_string().into(),
        age,
        text_or(&status["podIP"], NONE),
        text_or(&spec["nodeName"], NONE),
        text_or(&status["nominatedNodeName"], NONE),
        NONE.into(),
    ]
}

fn service(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let kind = plain(&spec["type"]);
    let mut outside: Vec<String> =
        list(&spec["externalIPs"]).map(|ip| plain(ip).to_owned()).collect();
    if kind == "LoadBalancer" {
        let points = list(&status["loadBalancer"]["ingress"]);
        let point = |point: &Value| {
            point["ip"].as_str().or(point["hostname"].as_str()).unwrap_or_default().to_owned()
        };
        outside.splice(..0, points.map(point));
    }
    let outside = match (kind, outside.is_empty()) {
        ("ExternalName", _) => plain(&spec["externalName"]).to_owned(),
        ("LoadBalancer", true) => "<pending>".to_owned(),
        (_, true) => NONE.to_owned(),
        _ => outside.join(","),
    };
    let port = |port: &Value| {
        let node = match count(port, "nodePort") {
            0 => String::new(),
            node => format!(":{node}"),
        };
        format!("{}{node}/{}", count(port, "port"), plain(&port["protocol"]))
    };
    let ports: Vec<_> = list(&spec["ports"]).map(port).collect();
    vec![
        kind.into(),
        text_or(&spec["clusterIP"], NONE),
        outside.into(),
        if ports.is_empty() { NONE.into() } else { ports.join(",").into() },
        age,
        selector(&spec["selector"]),
    ]
}

/// What is used of what there is, requests and limits apart.
fn quota(status: &Value) -> [String; 2] {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (name, hard) in status["hard"].as_object().into_iter().flatten() {
        let used = status["used"].get(name).map_or("0".to_owned(), |used| shown(used, "0"));
        let part = format!("{name}: {used}/{}", shown(hard, "0"));
        if name.starts_with("limits") { limits.push(part) } else { requests.push(part) }
    }
    [requests.join(", "), limits.join(", ")]
}

fn modes(value: &Value) -> String {
    let short = |mode: &Value| match plain(mode) {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    list(value).map(short).filter(|mode| !mode.is_empty()).collect::<Vec<_>>().join(",")
}

fn volume(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let claim = &spec["claimRef"];
    let claim = match claim.is_null() {
        true => String::new(),
        false => format!("{}/{}", plain(&claim["namespace"]), plain(&claim["name"])),
    };
    vec![
        shown(&spec["capacity"]["storage"], "").into(),
        modes(&spec["accessModes"]).into(),
        text_or(&spec["persistentVolumeReclaimPolicy"], ""),
        phase(object),
        claim.into(),
        text_or(&spec["storageClassName"], ""),
        text_or(&spec["volumeAttributesClassName"], "<unset>"),
        text_or(&status["reason"], ""),
        age,
        text_or(&spec["volumeMode"], "<unset>"),
    ]
}

fn claim(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !plain(&spec["volumeName"]).is_empty();
    let (capacity, modes) = match bound {
        true => (shown(&status["capacity"]["storage"], ""), modes(&status["accessModes"])),
        false => (String::new(), String::new()),
    };
    vec![
        phase(object),
        text_or(&spec["volumeName"], ""),
        capacity.into(),
        modes.into(),
        text_or(&spec["storageClassName"], ""),
        text_or(&spec["volumeAttributesClassName"], "<unset>"),
        age,
        text_or(&spec["volumeMode"], "<unset>"),
    ]
}

/// How long ago a time was.
fn since(time: &Value, now: u64) -> Value {
    match time.as_str().and_then(super::clock::read) {
        Some(time) => super::table::duration(now.saturating_sub(time)).into(),
        None => NONE.into(),
    }
}

/// What a volume or a claim is in, unless it is on its way out.
fn phase(object: &Value) -> Value {
    match object["metadata"]["deletionTimestamp"].is_null() {
        true => text_or(&object["status"]["phase"], ""),
        false => "Terminating".into(),
    }
}

/// The first three addresses, with how many more there are.
///
/// Source: `formatEndpoints`.
fn endpoints(object: &Value) -> String {
    const SHOWN: usize = 3;
    let of_subset = |subset: &Value| -> Vec<String> {
        let ports: Vec<_> = list(&subset["ports"]).map(|port| count(port, "port")).collect();
        let of_address = |address: &Value| -> Vec<String> {
            let ip = plain(&address["ip"]);
            match ports.is_empty() {
                true => vec![ip.to_owned()],
                false => ports.iter().map(|port| format!("{ip}:{port}")).collect(),
            }
        };
        list(&subset["addresses"]).flat_map(of_address).collect()
    };
    let all: Vec<String> = list(&object["subsets"]).flat_map(of_subset).collect();
    match all.len() {
        0 => NONE.to_owned(),
        count if count > SHOWN => {
            format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN)
        }
        _ => all.join(","),
    }
}

fn job(object: &Value, age: Value, now: u64) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]["spec"]);
    let is = |kind: &str| {
        list(&status["conditions"]).any(|one| one["type"] == kind && one["status"] == "True")
    };
    let state = match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if !object["metadata"]["deletionTimestamp"].is_null() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let done = count(status, "succeeded");
    let completions = match spec["completions"].as_i64() {
        Some(wanted) => format!("{done}/{wanted}"),
        None => match count(spec, "parallelism") {
            parallelism if parallelism > 1 => format!("{done}/1 of {parallelism}"),
            _ => format!("{done}/1"),
        },
    };
    let times = [&status["startTime"], &status["completionTime"]];
    let times = times.map(|time| time.as_str().and_then(super::clock::read));
    let duration = match times {
        [Some(start), end] => super::table::duration(end.unwrap_or(now).saturating_sub(start)),
        [None, _] => String::new(),
    };
    vec![
        state.into(),
        completions.into(),
        duration.into(),
        age,
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn autoscaler(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let to = &spec["scaleTargetRef"];
    let reference = format!("{}/{}", plain(&to["kind"]), plain(&to["name"]));
    let targets: Vec<_> = match spec["targetCPUUtilizationPercentage"].as_i64() {
        Some(percent) => vec![format!("cpu: <unknown>/{percent}%")],
        None => list(&spec["metrics"]).map(metric_target).collect(),
    };
    let targets = match targets.len() {
        0 => NONE.to_owned(),
        count if count > 2 => format!("{} + {} more...", targets[..2].join(", "), count - 2),
        _ => targets.join(", "),
    };
    vec![
        reference.into(),
        targets.into(),
        shown(&spec["minReplicas"], "<unset>").into(),
        spec["maxReplicas"].clone(),
        count(status, "currentReplicas").into(),
        age,
    ]
}

/// Source: `printNode`.
fn node(object: &Value, age: Value) -> Vec<Value> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let (status, info) = (&object["status"], &object["status"]["nodeInfo"]);
    let ready = list(&status["conditions"]).find(|condition| condition["type"] == "Ready");
    let mut states = vec![match ready.map(|condition| &condition["status"]) {
        Some(status) if status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if object["spec"]["unschedulable"] == true {
        states.push("SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let mut roles: Vec<String> = Vec::new();
    for (key, value) in labels {
        let role = match key.strip_prefix(ROLE) {
            Some(role) => role,
            None if key == "kubernetes.io/role" => plain(value),
            None => "",
        };
        if !role.is_empty() {
            roles.push(role.to_owned());
        }
    }
    let address = |kind: &str| {
        let mut addresses = list(&status["addresses"]);
        text_or(&addresses.find(|one| one["type"] == kind).unwrap_or(&Value::Null)["address"], NONE)
    };
    let unknown = |key: &str| match plain(&info[key]) {
        "" => "<unknown>".into(),
        text => Value::from(text),
    };
    vec![
        states.join(",").into(),
        some_of(roles.into_iter(), NONE),
        age,
        text_or(&info["kubeletVersion"], ""),
        address("InternalIP"),
        address("ExternalIP"),
        unknown("osImage"),
        unknown("kernelVersion"),
        unknown("containerRuntimeVersion"),
    ]
}

/// What an autoscaler aims at; nothing measures what there is.
///
/// Source: `formatHPAMetrics`.
fn metric_target(metric: &Value) -> String {
    let of = |key: &str| &metric[key]["target"];
    let average = |target: &Value| shown(&target["averageValue"], "<auto>");
    let value_or_average = |target: &Value| match target["averageValue"].is_null() {
        true => format!("<unknown>/{}", shown(&target["value"], "<auto>")),
        false => format!("<unknown>/{} (avg)", average(target)),
    };
    match plain(&metric["type"]) {
        "Pods" => format!("<unknown>/{}", average(of("pods"))),
        "Object" => value_or_average(of("object")),
        "External" => value_or_average(of("external")),
        kind => {
            let key = if kind == "ContainerResource" { "containerResource" } else { "resource" };
            let (name, target) = (plain(&metric[key]["name"]), of(key));
            match target["averageUtilization"].as_i64() {
                Some(percent) => format!("{name}: <unknown>/{percent}%"),
                None => format!("{name}: <unknown>/{}", average(target)),
            }
        }
    }
}

fn ingress(object: &Value, age: Value) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let hosts = list(&spec["rules"]).map(|rule| plain(&rule["host"]).to_owned());
    let hosts: Vec<_> = hosts.filter(|host| !host.is_empty()).collect();
    let point = |point: &Value| {
        point["ip"].as_str().or(point["hostname"].as_str()).unwrap_or_default().to_owned()
    };
    let points: Vec<_> = list(&status["loadBalancer"]["ingress"]).map(point).collect();
    let ports = if list(&spec["tls"]).next().is_some() { "80, 443" } else { "80" };
    vec![
        text_or(&spec["ingressClassName"], NONE),
        some_of(hosts.into_iter(), "*"),
        points.join(",").into(),
        ports.into(),
        age,
    ]
}

/// Users, groups and service accounts of a binding.
fn subjects(subjects: &Value) -> [String; 3] {
    ["User", "Group", "ServiceAccount"].map(|kind| {
        let of_kind = list(subjects).filter(|subject| subject["kind"] == kind);
        let name = |subject: &Value| match kind {
            "ServiceAccount" => {
                format!("{}/{}", plain(&subject["namespace"]), plain(&subject["name"]))
            }
            _ => plain(&subject["name"]).to_owned(),
        };
        of_kind.map(name).collect::<Vec<_>>().join(", ")
    })
}

/// A column as the API has it.
pub(super) fn definition((name, kind, priority): Column) -> Value {
    let format = if name == "Name" { "name" } else { "" };
    json!({"name": name, "type": kind, "format": format, "description": "", "priority": priority})
}
