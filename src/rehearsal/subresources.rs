//! Parts of objects that have paths of their own: `status`, `scale`, `finalize` …
//!
//! Source: Kubernetes `pkg/registry/core/pod/storage`; refusals are measured.

use serde_json::{Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::delete::{self, Deleting};
use crate::rehearsal::options::Writing;
use crate::rehearsal::refusals::{Named, no_such_resource};
use crate::rehearsal::selectors::Labels;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::store::Key;
use crate::rehearsal::{Failure, admission, body, clock, create, list, patch, scale, update};

/// A request to a part of an object.
pub(super) fn answer(state: &mut State, call: &mut Call, verb: &str) -> Result<Answer, Failure> {
    match (&*call.spot.subresource, verb) {
        ("scale", _) => scale::answer(state, call, verb),
        ("log", "get") => {
            list::current(state, call)?;
            Ok(Answer::text(200, ""))
        }
        ("binding", "create") => bind(state, call),
        ("eviction", "create") => evict(state, call),
        ("token", "create") => token(state, call),
        (_, "get") => list::get(state, call),
        (_, "patch") => patch::patch(state, call),
        (_, "update") => update::update(state, call),
        _ => Err(no_such_resource()),
    }
}

fn success() -> Answer {
    Answer::created(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    }))
}

fn read(call: &Call) -> Result<Value, Failure> {
    body::tree(&call.body, call.content_type.as_deref())
        .map_err(|why| super::refusals::bad_request(format!("error decoding body: {why}")))
}

/// Says on which node a Pod runs.
fn bind(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let writing = Writing::read(call, "CreateOptions", false)?;
    let binding = read(call)?;
    let Some(mut pod) = update::live(state, call) else { return Err(call.named().not_found()) };
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        let name = &*call.spot.name;
        let why = format!("pod {name} is already assigned to node {node:?}");
        let named = Named { group: "", resource: "pods/binding", name };
        return Err(named.conflict(&why));
    }
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    let scheduled = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null,
        "lastTransitionTime": state.now(),
    });
    put_condition(&mut pod, scheduled);
    if !writing.dry_run {
        let key = Key::new(&call.spot.namespace, &call.spot.name);
        state.write(&call.resource.clone(), key, &mut pod);
    }
    Ok(success())
}

/// Puts a condition in the place of the one of its type.
pub(super) fn put_condition(object: &mut Value, condition: Value) {
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    if !object["status"]["conditions"].is_array() {
        object["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = object["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|old| old["type"] == condition["type"]) {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Deletes a Pod if no PodDisruptionBudget forbids it.
fn evict(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let writing = Writing::read(call, "CreateOptions", false)?;
    let eviction = read(call)?;
    let Some(pod) = update::live(state, call) else { return Err(call.named().not_found()) };
    let mut deleting = Deleting::of(&eviction["deleteOptions"])?;
    deleting.dry_run |= writing.dry_run;
    for budget in admission::objects(state, "policy", "poddisruptionbudgets", &call.spot.namespace)
    {
        let selector = scale::selector_text(&budget["spec"]["selector"]);
        let meant = Labels::read(&selector)?.matches(&pod["metadata"]["labels"]);
        if meant && budget["status"]["disruptionsAllowed"].as_i64().unwrap_or_default() <= 0 {
            return Err(budget_refusal(&budget));
        }
    }
    let key = Key::new(&call.spot.namespace, &call.spot.name);
    delete::remove(state, &call.resource.clone(), &key, &deleting)?;
    Ok(success())
}

fn budget_refusal(budget: &Value) -> Failure {
    let name = budget["metadata"]["name"].as_str().unwrap_or_default();
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let why = format!(
        "The disruption budget {name} needs {} healthy pods and has {} currently",
        number(&budget["status"]["desiredHealthy"]),
        number(&budget["status"]["currentHealthy"])
    );
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
    Failure { details: Some(details), ..Failure::new(429, "TooManyRequests", message) }
}

/// Issues a token for a service account; it opens nothing.
fn token(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let mut request = read(call)?;
    let Some(account) = update::live(state, call) else { return Err(call.named().not_found()) };
    let seconds = request["spec"]["expirationSeconds"].as_u64().unwrap_or(3600);
    let expires = clock::text(state.seconds().saturating_add(seconds));
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    let now = state.now();
    let metadata = create::metadata(&mut request);
    for key in ["name", "namespace"] {
        metadata.insert(key.into(), account["metadata"][key].clone());
    }
    metadata.insert("creationTimestamp".into(), now.into());
    request["status"] = json!({"token": state.chance.uid(), "expirationTimestamp": expires});
    Ok(Answer::created(request))
}
