//! The rules of single kinds.

use serde_json::Value as Json;

use super::{Condition, Health};

/// What the rules of its kind say; `None` for kinds that have none.
pub(super) fn health(object: &Json) -> Option<Health> {
    let group = object["apiVersion"].as_str()?.rsplit_once('/').map_or("", |(group, _)| group);
    let rule = match (group, object["kind"].as_str()?) {
        ("apps" | "extensions", "Deployment") => deployment,
        ("apps" | "extensions", "ReplicaSet") => replica_set,
        ("apps" | "extensions", "DaemonSet") => daemon_set,
        ("apps", "StatefulSet") => stateful_set,
        ("batch", "Job") => job,
        ("", "Pod") => pod,
        ("", "PersistentVolumeClaim") => claim,
        ("", "Service") => service,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition,
        ("", "ConfigMap" | "Secret" | "Namespace")
        | ("batch", "CronJob")
        | ("policy", "PodDisruptionBudget") => |_: &Json| Health::current(),
        _ => return None,
    };
    Some(rule(object))
}

/// A number, 0 where it is missing.
fn number(value: &Json) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// `spec.replicas`, 1 where it is missing.
fn replicas(object: &Json) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// The first of `counts` (what it is about, how many there are, how many there should be) that is
/// too low.
fn lacking(counts: &[(&str, i64, i64)]) -> Option<Health> {
    let (what, has, wants) = counts.iter().find(|(_, has, wants)| has < wants)?;
    Some(Health::in_progress(format!("{has} of {wants} replicas are {what}")))
}

fn deployment(object: &Json) -> Health {
    let status = &object["status"];
    let progressing = Condition::find(object, "Progressing");
    if let Some(condition) = &progressing
        && condition.reason() == "ProgressDeadlineExceeded"
    {
        return Health::failed(condition.says());
    }
    let wants = replicas(object);
    let updated = number(&status["updatedReplicas"]);
    let all = number(&status["replicas"]);
    let available = number(&status["availableReplicas"]);
    if let Some(health) = lacking(&[("created", all, wants), ("updated", updated, wants)]) {
        return health;
    }
    if all > wants {
        return Health::in_progress(format!("{} old replicas are still there", all - wants));
    }
    let ready = number(&status["readyReplicas"]);
    if let Some(health) = lacking(&[("available", available, updated), ("ready", ready, wants)]) {
        return health;
    }
    // Without a deadline the controller writes no such condition.
    let has_deadline = !object["spec"]["progressDeadlineSeconds"].is_null()
        && object["spec"]["progressDeadlineSeconds"] != i64::from(i32::MAX);
    let is_through =
        progressing.is_some_and(|c| c.is_true() && c.reason() == "NewReplicaSetAvailable");
    if has_deadline && !is_through {
        return Health::in_progress("its new replica set is not available yet");
    }
    if !Condition::find(object, "Available").is_some_and(|c| c.is_true()) {
        return Health::in_progress("is not available yet");
    }
    Health::current()
}

fn replica_set(object: &Json) -> Health {
    let failure = Condition::find(object, "ReplicaFailure").filter(Condition::is_true);
    if let Some(condition) = failure {
        return Health::in_progress(condition.says());
    }
    let (status, wants) = (&object["status"], replicas(object));
    let all = number(&status["replicas"]);
    let counts = [
        ("labelled", number(&status["fullyLabeledReplicas"]), wants),
        ("available", number(&status["availableReplicas"]), wants),
        ("ready", number(&status["readyReplicas"]), wants),
    ];
    if all > wants {
        return Health::in_progress(format!("{} replicas too many", all - wants));
    }
    lacking(&counts).unwrap_or_else(Health::current)
}

fn daemon_set(object: &Json) -> Health {
    let status = &object["status"];
    if status["observedGeneration"].is_null() {
        return Health::in_progress("no controller has seen it yet");
    }
    if status["desiredNumberScheduled"].is_null() {
        return Health::in_progress("nobody has counted its nodes yet");
    }
    let wants = number(&status["desiredNumberScheduled"]);
    let counts = [
        ("scheduled", number(&status["currentNumberScheduled"]), wants),
        ("updated", number(&status["updatedNumberScheduled"]), wants),
        ("available", number(&status["numberAvailable"]), wants),
        ("ready", number(&status["numberReady"]), wants),
    ];
    lacking(&counts).unwrap_or_else(Health::current)
}

fn stateful_set(object: &Json) -> Health {
    let (status, strategy) = (&object["status"], &object["spec"]["updateStrategy"]);
    // With `OnDelete` a person deletes the old pods, and nobody else waits for that.
    if strategy["type"] == "OnDelete" {
        return Health::current();
    }
    let wants = replicas(object);
    let all = number(&status["replicas"]);
    let counts = [("created", all, wants), ("ready", number(&status["readyReplicas"]), wants)];
    if let Some(health) = lacking(&counts) {
        return health;
    }
    if all > wants {
        return Health::in_progress(format!("{} replicas too many", all - wants));
    }
    let updated = number(&status["updatedReplicas"]);
    if let Some(partition) = strategy["rollingUpdate"]["partition"].as_i64().filter(|at| *at > 0) {
        return lacking(&[("updated", updated, wants - partition)]).unwrap_or_else(Health::current);
    }
    let current = number(&status["currentReplicas"]);
    if let Some(health) = lacking(&[("current", current, wants)]) {
        return health;
    }
    if status["currentRevision"] != status["updateRevision"] {
        return Health::in_progress("its revision is still rolled out");
    }
    Health::current()
}

/// Source of "complete, not only started": Flux's status reader for jobs,
/// fluxcd/pkg `runtime/statusreaders/job.go`.
fn job(object: &Json) -> Health {
    if let Some(condition) = Condition::find(object, "Failed").filter(Condition::is_true) {
        return Health::failed(condition.says());
    }
    if Condition::find(object, "Complete").is_some_and(|condition| condition.is_true()) {
        return Health::current();
    }
    if object["spec"]["suspend"] == true {
        return Health::current();
    }
    let wants = object["spec"]["completions"].as_i64().unwrap_or(1);
    let done = number(&object["status"]["succeeded"]);
    Health::in_progress(format!("{done} of {wants} completions"))
}

fn pod(object: &Json) -> Health {
    let status = &object["status"];
    match status["phase"].as_str() {
        Some("Succeeded") => Health::current(),
        Some("Failed") => Health::failed(text(&status["message"], "has failed")),
        Some("Running") => match crash_loop(status) {
            Some(health) => health,
            None if Condition::find(object, "Ready").is_some_and(|c| c.is_true()) => {
                Health::current()
            }
            None => Health::in_progress("its containers are not ready"),
        },
        Some("Pending") => {
            crash_loop(status).unwrap_or_else(|| Health::in_progress(pending(object)))
        }
        _ => Health::in_progress("no node has seen it yet"),
    }
}

fn text(value: &Json, otherwise: &str) -> String {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
}

fn pending(object: &Json) -> String {
    let scheduled = Condition::find(object, "PodScheduled").filter(Condition::is_false);
    scheduled.map_or_else(|| "is pending".to_owned(), |condition| condition.says())
}

fn crash_loop(status: &Json) -> Option<Health> {
    let lists = [&status["initContainerStatuses"], &status["containerStatuses"]];
    let mut containers = lists.into_iter().filter_map(Json::as_array).flatten();
    let looping = containers.find(|c| c["state"]["waiting"]["reason"] == "CrashLoopBackOff")?;
    let name = looping["name"].as_str().unwrap_or_default();
    Some(Health::failed(format!("container \"{name}\" crashes again and again")))
}

fn claim(object: &Json) -> Health {
    match object["status"]["phase"].as_str() {
        Some("Bound") => Health::current(),
        phase => Health::in_progress(format!("is {}, not bound", phase.unwrap_or("new"))),
    }
}

/// A load balancer only needs its cluster address: clusters without a provider would wait for ever.
fn service(object: &Json) -> Health {
    let spec = &object["spec"];
    let is_new =
        spec["type"] == "LoadBalancer" && spec["clusterIP"].as_str().is_none_or(str::is_empty);
    if is_new { Health::in_progress("has no cluster address yet") } else { Health::current() }
}

fn definition(object: &Json) -> Health {
    if let Some(condition) = Condition::find(object, "NamesAccepted").filter(Condition::is_false) {
        return Health::failed(condition.says());
    }
    match Condition::find(object, "Established") {
        Some(condition) if condition.is_true() => Health::current(),
        // `Installing` is the reason while it is on its way, any other one is an obstacle.
        Some(condition) if condition.is_false() && condition.reason() != "Installing" => {
            Health::failed(condition.says())
        }
        _ => Health::in_progress("is not established yet"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Status, health};
    use super::*;

    fn rolled_out() -> Json {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "generation": 1 },
            "spec": { "replicas": 3, "progressDeadlineSeconds": 600 },
            "status": {
                "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3,
                "readyReplicas": 3, "availableReplicas": 3,
                "conditions": [
                    { "type": "Available", "status": "True" },
                    { "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" },
                ],
            },
        })
    }

    #[test]
    fn a_deployment_is_current_when_all_replicas_are_new_and_available() {
        assert_eq!(health(&rolled_out()), Health::current());
    }

    #[test]
    fn a_deployment_says_what_it_waits_for() {
        let says = |key: &str, value: i64| {
            let mut object = rolled_out();
            object["status"][key] = json!(value);
            health(&object).message
        };
        assert_eq!(says("replicas", 2), "2 of 3 replicas are created");
        assert_eq!(says("updatedReplicas", 1), "1 of 3 replicas are updated");
        assert_eq!(says("replicas", 4), "1 old replicas are still there");
        assert_eq!(says("availableReplicas", 0), "0 of 3 replicas are available");
        assert_eq!(says("readyReplicas", 2), "2 of 3 replicas are ready");
    }

    #[test]
    fn a_deployment_past_its_deadline_has_failed() {
        let mut object = rolled_out();
        object["status"]["conditions"][1] = json!({
            "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "timed out",
        });
        assert_eq!(health(&object), Health::failed("timed out"));
    }

    #[test]
    fn a_new_deployment_is_in_progress() {
        let object = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": {} });
        assert_eq!(health(&object).status, Status::InProgress);
    }

    #[test]
    fn a_deployment_scaled_to_nothing_is_current() {
        let mut object = rolled_out();
        object["spec"] = json!({ "replicas": 0 });
        object["status"] = json!({ "observedGeneration": 1, "conditions": [
            { "type": "Available", "status": "True" },
        ] });
        assert_eq!(health(&object), Health::current());
    }

    #[test]
    fn a_stateful_set_with_a_partition_waits_for_the_rest_only() {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "spec": { "replicas": 3, "updateStrategy": { "type": "RollingUpdate",
                "rollingUpdate": { "partition": 2 } } },
            "status": { "replicas": 3, "readyReplicas": 3, "updatedReplicas": 0 },
        });
        assert_eq!(health(&object).message, "0 of 1 replicas are updated");
        object["status"]["updatedReplicas"] = json!(1);
        assert_eq!(health(&object), Health::current());
    }

    #[test]
    fn a_job_is_current_when_it_is_complete() {
        let mut object = json!({ "apiVersion": "batch/v1", "kind": "Job", "spec": {},
            "status": { "active": 1, "startTime": "2026-01-01T00:00:00Z" } });
        assert_eq!(health(&object).message, "0 of 1 completions");
        object["status"]["conditions"] = json!([{ "type": "Complete", "status": "True" }]);
        assert_eq!(health(&object), Health::current());
        object["status"]["conditions"] =
            json!([{ "type": "Failed", "status": "True", "message": "BackoffLimitExceeded" }]);
        assert_eq!(health(&object), Health::failed("BackoffLimitExceeded"));
    }

    #[test]
    fn a_pod_in_a_crash_loop_has_failed() {
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "status": { "phase": "Running",
            "containerStatuses": [{ "name": "web",
                "state": { "waiting": { "reason": "CrashLoopBackOff" } } }] } });
        assert_eq!(health(&object), Health::failed("container \"web\" crashes again and again"));
    }

    #[test]
    fn a_definition_is_current_when_it_is_established() {
        let with = |conditions: Json| {
            health(&json!({ "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition", "status": { "conditions": conditions } }))
            .status
        };
        assert_eq!(with(json!([])), Status::InProgress);
        assert_eq!(with(json!([{ "type": "Established", "status": "True" }])), Status::Current);
        assert_eq!(with(json!([{ "type": "NamesAccepted", "status": "False" }])), Status::Failed);
    }

    #[test]
    fn a_kind_of_the_same_name_in_another_group_has_no_rules() {
        let object = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "spec": { "type": "LoadBalancer" } });
        assert_eq!(health(&object), Health::current());
    }
}
