//! Jobs: pods that end, until enough of them have.

use serde_json::{Value, json};

use super::ask::{Ask, PODS, collection, controller, is_ending, path, plain_condition, text};
use super::pods::{of_template, ready};

const VERSION: &str = "batch/v1";

/// Looks after a Job.
pub(super) fn look(ask: &Ask<'_>, job: &Value) -> Option<u64> {
    let is_over =
        job["status"]["conditions"].as_array().into_iter().flatten().any(|one| {
            matches!(text(&one["type"]), "Complete" | "Failed") && one["status"] == "True"
        });
    if is_ending(job) || is_over {
        return None;
    }
    let spec = &job["spec"];
    let pods = collection("v1", "pods", text(&job["metadata"]["namespace"]));
    let own = ask.controlled(job, PODS);
    let count = |phase: &str| {
        let is_in = |pod: &&Value| pod["status"]["phase"] == phase;
        i64::try_from(own.iter().filter(is_in).count()).unwrap_or(i64::MAX)
    };
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active = i64::try_from(own.len()).unwrap_or(i64::MAX) - succeeded - failed;
    let completions = spec["completions"].as_i64().unwrap_or(1);
    let is_suspended = spec["suspend"] == true;
    let is_failed = failed > spec["backoffLimit"].as_i64().unwrap_or(6);
    let is_complete = succeeded >= completions;
    let mut missing = 0;
    if !is_suspended && !is_failed && !is_complete {
        let at_once = spec["parallelism"].as_i64().unwrap_or(1);
        missing = (completions - succeeded).min(at_once) - active;
        for _ in 0..missing {
            let mut pod = of_template(&spec["template"], controller(VERSION, "Job", job));
            pod["metadata"]["generateName"] = format!("{}-", text(&job["metadata"]["name"])).into();
            ask.create(&pods, &pod);
        }
    }
    let now = ask.api.now();
    let mut status = json!({
        "active": active + missing.max(0), "succeeded": succeeded, "failed": failed, "ready": ready(&own),
        "terminating": 0, "uncountedTerminatedPods": {},
    });
    if !is_suspended {
        let started = &job["status"]["startTime"];
        status["startTime"] =
            if started.is_string() { started.clone() } else { now.clone().into() };
    }
    let says = |kind, reason, message| plain_condition(job, &now, kind, true, reason, message);
    if is_complete {
        let (reason, message) = ("CompletionsReached", "Reached expected number of succeeded pods");
        status["conditions"] =
            json!([says("SuccessCriteriaMet", reason, message), says("Complete", reason, message)]);
        status["completionTime"] = now.clone().into();
    } else if is_failed {
        let (reason, message) =
            ("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        status["conditions"] =
            json!([says("FailureTarget", reason, message), says("Failed", reason, message)]);
    } else if is_suspended {
        status["conditions"] = json!([says("Suspended", "JobSuspended", "Job suspended")]);
    }
    if let Some(counts) = status.as_object_mut() {
        let may_be_left_out = ["active", "succeeded", "failed"];
        counts.retain(|key, value| !may_be_left_out.contains(&key.as_str()) || *value != 0);
    }
    ask.status(&path(VERSION, "jobs", job), job, &status);
    None
}
