//! The node, its scheduler and its kubelet: pods are bound, run, complete and end.

use serde_json::{Value, json};

use super::NODE;
use super::ask::{Ask, is_ending, path, plain_condition, text};
use crate::rehearsal::clock;

/// Pods that go wrong.
#[derive(Clone, Debug)]
pub struct PodFault {
    /// Their namespace; empty for all.
    pub namespace: String,
    /// What their names begin with.
    pub prefix: String,
    /// What happens to them.
    pub trouble: Trouble,
}

/// What happens to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Their containers start and fail, again and again.
    CrashLoop,
    /// Their images cannot be had.
    ImagePull,
    /// No node has room for them.
    Unschedulable,
    /// They take this many seconds to become ready.
    Slow(u64),
}

/// Seconds from a pod's start to its being ready, and to the end of one of a Job.
const START: u64 = 1;

/// The troubles of a pod.
fn troubles<'a>(pod: &Value, faults: &'a [PodFault]) -> impl Iterator<Item = Trouble> + use<'a> {
    let (namespace, name) = (&pod["metadata"]["namespace"], &pod["metadata"]["name"]);
    let (namespace, name) = (text(namespace).to_owned(), text(name).to_owned());
    let meant = faults.iter().filter(move |fault| {
        (fault.namespace.is_empty() || fault.namespace == namespace)
            && name.starts_with(&fault.prefix)
    });
    meant.map(|fault| fault.trouble)
}

/// Makes the node that pods run on.
pub(super) fn make_node(ask: &Ask<'_>) {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
    });
    let Some(node) = ask.create("/api/v1/nodes", &node) else { return };
    let now = ask.api.now();
    let ready = plain_condition(&node, &now, "Ready", true, "KubeletReady", "nothing runs here");
    let status = json!({
        "conditions": [ready],
        "capacity": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
        "allocatable": {"cpu": "64", "memory": "256Gi", "pods": "1000"},
        "addresses": [{"type": "Hostname", "address": NODE}],
        "nodeInfo": {
            "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "linux",
            "osImage": "", "systemUUID": "",
        },
    });
    ask.status(&format!("/api/v1/nodes/{NODE}"), &node, &status);
}

/// Binds a pod that has no node.
pub(super) fn schedule(ask: &Ask<'_>, pod: &Value, faults: &[PodFault]) {
    let is_free = pod["spec"]["nodeName"].is_null() && !is_ending(pod);
    let is_gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|all| !all.is_empty());
    if !is_free || is_gated {
        return;
    }
    let place = path("v1", "pods", pod);
    if troubles(pod, faults).any(|trouble| trouble == Trouble::Unschedulable) {
        let (now, why) = (ask.api.now(), "0/1 nodes are available: 1 Insufficient cpu.");
        let condition = plain_condition(pod, &now, "PodScheduled", false, "Unschedulable", why);
        let mut status = pod["status"].clone();
        status["conditions"] = json!([condition]);
        ask.status(&place, pod, &status);
        return;
    }
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"]},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    });
    ask.create(&format!("{place}/binding"), &binding);
}

/// Goes on with a pod that is bound; when to look again, if nothing happens. `number` makes its address.
pub(super) fn run(ask: &Ask<'_>, pod: &Value, number: usize, faults: &[PodFault]) -> Option<u64> {
    let place = path("v1", "pods", pod);
    if is_ending(pod) {
        // Nothing runs, so nothing needs the time that it is given.
        ask.kill(&place);
        return None;
    }
    // What ran on the nodes of a cluster that this is a copy of goes on as it was.
    if pod["spec"]["nodeName"] != NODE {
        return None;
    }
    let now = ask.api.now();
    ask.status(&place, pod, &status(pod, &now, number, faults));
    let started = clock::read(text(&pod["status"]["startTime"]))?;
    let ready = started.saturating_add(needs(pod, faults));
    match state(pod, &now, faults) {
        State::Starting => Some(ready),
        State::Running if ends(pod) => Some(ready.saturating_add(1)),
        _ => None,
    }
}

/// What a pod has become.
#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Starting,
    Running,
    Crashing,
    WithoutImage,
    Done,
    Failed,
}

/// Whether a pod is done some time.
fn ends(pod: &Value) -> bool {
    pod["spec"]["restartPolicy"] != "Always"
}

/// Seconds that a pod takes to become ready.
fn needs(pod: &Value, faults: &[PodFault]) -> u64 {
    let slow = troubles(pod, faults).filter_map(|trouble| match trouble {
        Trouble::Slow(seconds) => Some(seconds),
        _ => None,
    });
    slow.fold(START, u64::max)
}

fn state(pod: &Value, now: &str, faults: &[PodFault]) -> State {
    for trouble in troubles(pod, faults) {
        match trouble {
            Trouble::CrashLoop if pod["spec"]["restartPolicy"] == "Never" => return State::Failed,
            Trouble::CrashLoop => return State::Crashing,
            Trouble::ImagePull => return State::WithoutImage,
            Trouble::Slow(_) | Trouble::Unschedulable => {}
        }
    }
    let started = clock::read(text(&pod["status"]["startTime"]));
    let age = started.map(|start| clock::read(now).unwrap_or_default().saturating_sub(start));
    let needs = needs(pod, faults);
    match age {
        Some(age) if ends(pod) && age > needs => State::Done,
        Some(age) if age >= needs => State::Running,
        _ => State::Starting,
    }
}

/// The whole status of a pod. `number` makes its address.
fn status(pod: &Value, now: &str, number: usize, faults: &[PodFault]) -> Value {
    let old = &pod["status"];
    if matches!(text(&old["phase"]), "Succeeded" | "Failed") {
        return old.clone();
    }
    let state = state(pod, now, faults);
    let ready = state == State::Running;
    let why = if matches!(state, State::Done | State::Failed) {
        "PodCompleted"
    } else {
        "ContainersNotReady"
    };
    let why = if ready { "" } else { why };
    let condition = |kind, holds, reason| plain_condition(pod, now, kind, holds, reason, "");
    let mut status = old.clone();
    status["phase"] = match state {
        State::Starting | State::WithoutImage => "Pending",
        State::Running | State::Crashing => "Running",
        State::Done => "Succeeded",
        State::Failed => "Failed",
    }
    .into();
    status["conditions"] = json!([
        condition("PodReadyToStartContainers", true, ""),
        condition("Initialized", true, if state == State::Done { "PodCompleted" } else { "" }),
        condition("Ready", ready, why),
        condition("ContainersReady", ready, why),
        condition("PodScheduled", true, ""),
    ]);
    let containers = pod["spec"]["containers"].as_array();
    let containers = containers.into_iter().flatten().map(|one| container(one, old, now, state));
    status["containerStatuses"] = containers.collect();
    if old["startTime"].is_null() {
        let address = format!("10.244.{}.{}", number / 250 % 250, number % 250 + 2);
        status["startTime"] = now.into();
        status["hostIP"] = "192.0.2.1".into();
        status["podIPs"] = json!([{"ip": address}]);
        status["podIP"] = address.into();
    }
    status
}

fn container(spec: &Value, old: &Value, now: &str, state: State) -> Value {
    let before = old["containerStatuses"].as_array().into_iter().flatten();
    let before = before.into_iter().find(|one| one["name"] == spec["name"]);
    let started =
        before.map(|one| &one["state"]["running"]["startedAt"]).filter(|at| at.is_string());
    let started = started.cloned().unwrap_or_else(|| now.into());
    let ended = json!({
        "exitCode": i32::from(state != State::Done), "startedAt": started, "finishedAt": now,
        "reason": if state == State::Done { "Completed" } else { "Error" },
    });
    let shown = match state {
        State::Starting => json!({"waiting": {"reason": "ContainerCreating"}}),
        State::WithoutImage => json!({"waiting": {"reason": "ImagePullBackOff"}}),
        State::Crashing => json!({"waiting": {
            "reason": "CrashLoopBackOff",
            "message": "back-off 10s restarting failed container",
        }}),
        State::Running => json!({"running": {"startedAt": started}}),
        State::Done | State::Failed => json!({"terminated": ended}),
    };
    let restarts = i32::from(state == State::Crashing);
    json!({
        "name": spec["name"], "image": spec["image"], "imageID": "", "ready": state == State::Running,
        "started": state == State::Running, "restartCount": restarts, "state": shown, "lastState": {},
    })
}

/// How many of `pods` are ready.
pub(super) fn ready<'a>(pods: impl IntoIterator<Item = &'a Value>) -> i64 {
    let is_ready = |pod: &&Value| is_ready(pod);
    i64::try_from(pods.into_iter().filter(is_ready).count()).unwrap_or(i64::MAX)
}

/// Whether a pod is ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// A pod made from the template of `owner`.
pub(super) fn of_template(template: &Value, owners: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"],
    });
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    pod["metadata"]["ownerReferences"] = owners;
    pod
}
