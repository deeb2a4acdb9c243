//! The requests of a controller.

use std::cell::Cell;

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::sight::Sight;
use crate::rehearsal::Rehearsal;
use crate::rehearsal::faults::Within;
use crate::rehearsal::strategic::without_nulls;

/// A client with a name of its own, which sees who owns whom.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) api: &'a Rehearsal,
    pub(super) sight: &'a Sight,
    agent: &'static str,
    /// Whether something was refused that it wanted to write.
    refused: Cell<bool>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(api: &'a Rehearsal, sight: &'a Sight, agent: &'static str) -> Self {
        Self { api, sight, agent, refused: Cell::new(false) }
    }

    /// Whether something was refused that it wanted to write, and is to be tried again.
    pub(super) fn was_refused(&self) -> bool {
        self.refused.get()
    }

    /// The answer, where it is no refusal.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Value> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("user-agent", self.agent)
            .header("content-type", "application/json")
            .extension(Within)
            .body(body)
            .ok()?;
        let response = self.api.handle(request);
        let is_success = response.status().is_success();
        // What is there already, or gone already, is as it should be.
        let is_settled = is_success || matches!(response.status().as_u16(), 404 | 409);
        self.refused.set(self.refused.get() || method != Method::GET && !is_settled);
        let body = response.into_body().into_bytes();
        is_success.then(|| serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.ask(Method::GET, path, None)
    }

    /// The items of a collection.
    #[cfg(test)]
    pub(super) fn list(&self, path: &str) -> Vec<Value> {
        let items = self.get(path).map(|mut list| list["items"].take());
        items.and_then(|items| items.as_array().cloned()).unwrap_or_default()
    }

    /// The objects of a resource that `owner` controls.
    pub(super) fn controlled(&self, owner: &Value, resource: (&str, &str)) -> Vec<Value> {
        let places = self.sight.dependents(owner).filter(|place| place.is_of(resource));
        let objects = places.filter_map(|place| self.api.read(place));
        objects.filter(|object| is_controlled(object, owner)).collect()
    }

    pub(super) fn create(&self, path: &str, object: &Value) -> Option<Value> {
        self.ask(Method::POST, path, Some(object))
    }

    pub(super) fn put(&self, path: &str, object: &Value) -> bool {
        self.ask(Method::PUT, path, Some(object)).is_some()
    }

    pub(super) fn delete(&self, path: &str, propagation: &str) {
        let options = json!({"propagationPolicy": propagation});
        self.ask(Method::DELETE, path, Some(&options));
    }

    /// Ends what would end gracefully.
    pub(super) fn kill(&self, path: &str) {
        self.ask(Method::DELETE, path, Some(&json!({"gracePeriodSeconds": 0})));
    }

    /// Writes the status of an object where it is another one than it has.
    pub(super) fn status(&self, path: &str, object: &Value, status: &Value) {
        if object["status"] == *status {
            return;
        }
        let mut object = object.clone();
        object["status"] = status.clone();
        self.put(&format!("{path}/status"), &object);
    }
}

/// The path of an object of a namespace.
pub(super) fn path(group_version: &str, plural: &str, object: &Value) -> String {
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    format!("{}/{name}", collection(group_version, plural, namespace))
}

/// The path of a collection of a namespace.
pub(super) fn collection(group_version: &str, plural: &str, namespace: &str) -> String {
    let root = if group_version == "v1" { "/api" } else { "/apis" };
    format!("{root}/{group_version}/namespaces/{namespace}/{plural}")
}

/// Text, empty where there is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A number, 0 where there is none.
pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// Whether an object is on its way out.
pub(super) fn is_ending(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The resource of pods, as they are owned.
pub(super) const PODS: (&str, &str) = ("", "pods");

/// Whether `owner` controls `object`.
fn is_controlled(object: &Value, owner: &Value) -> bool {
    let uid = &owner["metadata"]["uid"];
    object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| {
        owners.iter().any(|one| one["uid"] == *uid && one["controller"] == true)
    })
}

/// A reference to the object that controls another.
pub(super) fn controller(api_version: &str, kind: &str, owner: &Value) -> Value {
    json!([{
        "apiVersion": api_version, "kind": kind, "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A condition; its times are those of the one that is there, as long as that says the same.
pub(super) fn condition(
    object: &Value,
    now: &str,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> Value {
    let status = if status { "True" } else { "False" };
    let old = object["status"]["conditions"].as_array().into_iter().flatten();
    let old = old.into_iter().find(|condition| condition["type"] == kind);
    let kept = old.filter(|condition| condition["status"] == status);
    let since = kept.map_or(now, |condition| text(&condition["lastTransitionTime"]));
    let says = old.filter(|one| one["reason"] == reason && one["message"] == message);
    let updated = says.map(|one| text(&one["lastUpdateTime"])).filter(|time| !time.is_empty());
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since, "lastUpdateTime": updated.unwrap_or(now),
    })
}

/// A condition of a kind that does not say when it was last looked at.
pub(super) fn plain_condition(
    object: &Value,
    now: &str,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> Value {
    let mut condition = condition(object, now, kind, status, reason, message);
    if let Some(condition) = condition.as_object_mut() {
        condition.remove("lastUpdateTime");
        condition.retain(|_, value| value != "");
    }
    condition
}

/// What a real controller has noted of the template that a set has, in a copy of a cluster.
pub(super) fn revision(ask: &Ask<'_>, set: &Value) -> Option<Value> {
    let noted = ask.controlled(set, ("apps", "controllerrevisions"));
    noted.into_iter().find(|revision| {
        let mut template = revision["data"]["spec"]["template"].clone();
        if let Some(template) = template.as_object_mut() {
            template.remove("$patch");
        }
        without_nulls(template) == without_nulls(set["spec"]["template"].clone())
    })
}

/// A short name for a template: the same for the same text.
///
/// It is not the hash that Kubernetes has, which depends on how Go prints its types.
pub(super) fn hash(template: &Value) -> String {
    use std::hash::Hasher;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(template.to_string().as_bytes());
    // Kubernetes leaves out vowels and what looks like them, so that no word forms.
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut left = hasher.finish();
    let letters = (0..10).map(|_| {
        let letter = LETTERS[usize::try_from(left % LETTERS.len() as u64).unwrap_or_default()];
        left /= LETTERS.len() as u64;
        char::from(letter)
    });
    letters.collect()
}
