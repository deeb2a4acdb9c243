//! Deployments: a ReplicaSet for each template, the newest taking over from the others.

use serde_json::{Value, json};

use super::ask::{Ask, collection, condition, controller, hash, is_ending, number, path, text};
use crate::rehearsal::clock;

const VERSION: &str = "apps/v1";
const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// Looks after a Deployment; when to look again, if nothing happens.
pub(super) fn look(ask: &Ask<'_>, deployment: &Value) -> Option<u64> {
    if is_ending(deployment) {
        return None;
    }
    let mut sets = ask.controlled(deployment, ("apps", "replicasets"));
    sets.retain(|set| !is_ending(set));
    let newest = hash(&deployment["spec"]["template"]);
    let at = sets.iter().position(|set| is_of(set, deployment));
    let is_paused = deployment["spec"]["paused"] == true;
    let new = match at {
        Some(at) => Some(sets.remove(at)),
        None if is_paused => None,
        None => make(ask, deployment, &newest, &sets),
    };
    if let Some(new) = &new {
        note_revision(ask, deployment, new);
        if !is_paused {
            roll(ask, deployment, new, &sets);
        }
    }
    let status = status(ask, deployment, new.as_ref(), &sets);
    let place = path(VERSION, "deployments", deployment);
    // Its revision may have been noted just now.
    if let Some(current) = ask.get(&place) {
        ask.status(&place, &current, &status);
    }
    deadline(deployment, &status)
}

/// Whether a set has the template of a Deployment, whoever has named it.
fn is_of(set: &Value, deployment: &Value) -> bool {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
    }
    template == deployment["spec"]["template"]
}

fn make(ask: &Ask<'_>, deployment: &Value, hash: &str, others: &[Value]) -> Option<Value> {
    let metadata = &deployment["metadata"];
    let revision = others.iter().map(revision).max().unwrap_or_default() + 1;
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"][HASH] = hash.into();
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"][HASH] = hash.into();
    let set = json!({
        "apiVersion": VERSION, "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", text(&metadata["name"])),
            "labels": template["metadata"]["labels"],
            "annotations": {REVISION: revision.to_string()},
            "ownerReferences": controller(VERSION, "Deployment", deployment),
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    });
    ask.create(&collection(VERSION, "replicasets", text(&metadata["namespace"])), &set)
}

fn revision(set: &Value) -> u64 {
    text(&set["metadata"]["annotations"][REVISION]).parse().unwrap_or_default()
}

fn note_revision(ask: &Ask<'_>, deployment: &Value, new: &Value) {
    let revision = &new["metadata"]["annotations"][REVISION];
    if deployment["metadata"]["annotations"][REVISION] == *revision {
        return;
    }
    let mut deployment = deployment.clone();
    deployment["metadata"]["annotations"][REVISION] = revision.clone();
    ask.put(&path(VERSION, "deployments", &deployment), &deployment);
}

/// Moves replicas from the old sets to the new one, as far as the strategy lets it.
fn roll(ask: &Ask<'_>, deployment: &Value, new: &Value, old: &[Value]) {
    let spec = &deployment["spec"];
    let wanted = number(&spec["replicas"]);
    let old_count: i64 = old.iter().map(|set| number(&set["spec"]["replicas"])).sum();
    if spec["strategy"]["type"] == "Recreate" {
        old.iter().for_each(|set| scale(ask, set, 0));
        let are_gone = old.iter().all(|set| number(&set["status"]["replicas"]) == 0);
        if are_gone {
            scale(ask, new, wanted);
        }
        return;
    }
    let (surge, unavailable) = slack(&spec["strategy"]["rollingUpdate"], wanted);
    let now = number(&new["spec"]["replicas"]);
    let room = wanted + surge - old_count - now;
    scale(ask, new, (now + room.max(0)).min(wanted));
    let available = |set: &Value| number(&set["status"]["availableReplicas"]);
    let all: i64 = old.iter().map(available).sum::<i64>() + available(new);
    let mut spare = all - (wanted - unavailable);
    for set in old {
        let have = number(&set["spec"]["replicas"]);
        // Pods that never became available are no loss.
        let useless = have - available(set).min(have);
        let less = (useless + spare.max(0)).min(have);
        spare -= less - useless.min(less);
        scale(ask, set, have - less);
    }
}

/// How many pods there may be too many, and too few.
///
/// Source: Kubernetes `pkg/controller/deployment/util`, `ResolveFenceposts`.
fn slack(rolling: &Value, wanted: i64) -> (i64, i64) {
    let part = |value: &Value, up: bool| match value {
        Value::Number(count) => count.as_i64().unwrap_or_default(),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or_default();
            (wanted.saturating_mul(percent) + if up { 99 } else { 0 }) / 100
        }
        _ => 0,
    };
    let (surge, unavailable) =
        (part(&rolling["maxSurge"], true), part(&rolling["maxUnavailable"], false));
    (surge, if surge == 0 && unavailable == 0 { 1 } else { unavailable })
}

fn scale(ask: &Ask<'_>, set: &Value, replicas: i64) {
    if number(&set["spec"]["replicas"]) == replicas {
        return;
    }
    let mut set = set.clone();
    set["spec"]["replicas"] = replicas.into();
    ask.put(&path(VERSION, "replicasets", &set), &set);
}

fn status(ask: &Ask<'_>, deployment: &Value, new: Option<&Value>, old: &[Value]) -> Value {
    let wanted = number(&deployment["spec"]["replicas"]);
    let count =
        |key: &str| old.iter().chain(new).map(|set| number(&set["status"][key])).sum::<i64>();
    let updated = new.map_or(0, |set| number(&set["status"]["replicas"]));
    let (all, available) = (count("replicas"), count("availableReplicas"));
    let mut status = json!({
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": all, "updatedReplicas": updated, "readyReplicas": count("readyReplicas"),
        "availableReplicas": available, "unavailableReplicas": (wanted.max(all) - available).max(0),
    });
    if let Some(counts) = status.as_object_mut() {
        counts.retain(|_, value| *value != 0);
    }
    let name = new.map_or("", |set| text(&set["metadata"]["name"]));
    let is_complete = updated == wanted && all == wanted && available == wanted;
    status["conditions"] = conditions(ask, deployment, available, is_complete, name, updated);
    status
}

fn conditions(
    ask: &Ask<'_>,
    deployment: &Value,
    available: i64,
    is_complete: bool,
    set: &str,
    updated: i64,
) -> Value {
    let now = ask.api.now();
    let wanted = number(&deployment["spec"]["replicas"]);
    let (_, unavailable) = slack(&deployment["spec"]["strategy"]["rollingUpdate"], wanted);
    let enough = available >= wanted - unavailable;
    let minimum = match enough {
        true => ("MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    let minimum = condition(deployment, &now, "Available", enough, minimum.0, minimum.1);
    // The deadline counts from the last progress, which changes this message.
    let message = match is_complete {
        true => format!("ReplicaSet \"{set}\" has successfully progressed."),
        false => format!(
            "ReplicaSet \"{set}\" is progressing: {updated} updated, {available} available."
        ),
    };
    let reason = if is_complete { "NewReplicaSetAvailable" } else { "ReplicaSetUpdated" };
    let progress = condition(deployment, &now, "Progressing", true, reason, &message);
    let deadline = seconds_to_progress(deployment);
    let since = last_progress(deployment, &progress);
    let is_late = !is_complete && seconds(&now).saturating_sub(seconds(&since)) > deadline;
    if !is_late {
        return json!([minimum, progress]);
    }
    let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
    let late =
        condition(deployment, &now, "Progressing", false, "ProgressDeadlineExceeded", &message);
    json!([minimum, late])
}

/// The time at which a rollout that goes on will be late.
fn deadline(deployment: &Value, status: &Value) -> Option<u64> {
    let conditions = status["conditions"].as_array()?;
    let goes_on = conditions.iter().find(|one| one["reason"] == "ReplicaSetUpdated")?;
    let since = seconds(text(&goes_on["lastUpdateTime"]));
    Some(since.saturating_add(seconds_to_progress(deployment)).saturating_add(1))
}

fn seconds_to_progress(deployment: &Value) -> u64 {
    deployment["spec"]["progressDeadlineSeconds"].as_u64().unwrap_or(600)
}

fn seconds(time: &str) -> u64 {
    clock::read(time).unwrap_or_default()
}

/// When the rollout last went on. Once it is late, that was when it was found to be.
fn last_progress(deployment: &Value, progress: &Value) -> String {
    let conditions = deployment["status"]["conditions"].as_array();
    let late =
        conditions.into_iter().flatten().any(|one| one["reason"] == "ProgressDeadlineExceeded");
    let generation = &deployment["metadata"]["generation"];
    if late && deployment["status"]["observedGeneration"] == *generation {
        return String::new();
    }
    text(&progress["lastUpdateTime"]).to_owned()
}
