//! Whether an object has become what its spec asks for.
//!
//! The rules are kstatus', which Flux, kpt and Helm wait by: what the object says about itself in
//! well-known conditions first, then a table per kind, then `Ready`, and an object that says nothing
//! is fine. Two kinds differ on purpose: a Job is done when it has completed, as for Flux, and a Pod
//! that has failed has failed.
//!
//! Source: fluxcd/cli-utils `pkg/kstatus/status/{generic,core}.go`.

#[cfg(feature = "rehearsal")]
pub mod expressions;
mod kinds;

use serde_json::Value as Json;

/// How far an object is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Status {
    /// It is as its spec says.
    Current,
    /// It is on its way.
    InProgress,
    /// It is being deleted.
    Terminating,
    /// It does not get any further by itself.
    Failed,
    /// There is no such object.
    Missing,
}

/// How far an object is, and what says so.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// How far.
    pub status: Status,
    /// What says so, for people: `2 of 3 replicas are ready`. Empty where nothing is to be said.
    pub message: String,
}

impl Status {
    /// The name that kstatus has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress => "InProgress",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
            Self::Missing => "NotFound",
        }
    }

    /// Whether waiting changes nothing any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Current | Self::Failed)
    }
}

impl Health {
    fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn current() -> Self {
        Self::new(Status::Current, "")
    }

    fn in_progress(message: impl Into<String>) -> Self {
        Self::new(Status::InProgress, message)
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    /// What is said of an object that is not there.
    #[must_use]
    pub fn missing() -> Self {
        Self::new(Status::Missing, "there is no such object")
    }
}

/// How far `object` is, as the server returned it.
#[must_use]
pub fn health(object: &Json) -> Health {
    early(object).or_else(|| kinds::health(object)).unwrap_or_else(|| by_ready(object))
}

/// What holds for every kind before its own rules are asked.
fn early(object: &Json) -> Option<Health> {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Some(Health::new(Status::Terminating, "is being deleted"));
    }
    let generation = &object["metadata"]["generation"];
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && !generation.is_null() && observed != generation {
        return Some(Health::in_progress(format!(
            "generation {generation} is not observed yet, only {observed}"
        )));
    }
    if let Some(condition) = Condition::find(object, "Reconciling").filter(Condition::is_true) {
        return Some(Health::in_progress(condition.says()));
    }
    let stalled = Condition::find(object, "Stalled").filter(Condition::is_true);
    stalled.map(|condition| Health::failed(condition.says()))
}

/// By the `Ready` condition; without one all is well.
fn by_ready(object: &Json) -> Health {
    match Condition::find(object, "Ready") {
        Some(ready) if ready.is_true() => Health::current(),
        Some(ready) => Health::in_progress(ready.says()),
        None if is_flux(object) && object["status"].is_null() => {
            Health::in_progress("no controller has seen it yet")
        }
        None => Health::current(),
    }
}

/// Flux's controllers report on each of their objects, so one without a status is not ready, only new.
fn is_flux(object: &Json) -> bool {
    object["apiVersion"].as_str().is_some_and(|version| version.contains(".toolkit.fluxcd.io/"))
}

/// One entry of `status.conditions`.
struct Condition<'a>(&'a Json);

impl<'a> Condition<'a> {
    fn find(object: &'a Json, kind: &str) -> Option<Self> {
        let conditions = object["status"]["conditions"].as_array()?;
        conditions.iter().find(|condition| condition["type"] == kind).map(Self)
    }

    fn is_true(&self) -> bool {
        self.0["status"] == "True"
    }

    fn is_false(&self) -> bool {
        self.0["status"] == "False"
    }

    fn reason(&self) -> &'a str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    /// The message, or the reason where there is none.
    fn says(&self) -> String {
        let message = self.0["message"].as_str().filter(|message| !message.is_empty());
        message.unwrap_or_else(|| self.reason()).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(object: &Json) -> Status {
        health(object).status
    }

    #[test]
    fn deletion_comes_before_everything() {
        let object = json!({
            "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "generation": 2 },
            "status": { "observedGeneration": 1 },
        });
        assert_eq!(status(&object), Status::Terminating);
    }

    #[test]
    fn a_generation_nobody_observed_is_in_progress() {
        let mut object = json!({
            "metadata": { "generation": 2 },
            "status": { "observedGeneration": 1, "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        assert_eq!(status(&object), Status::InProgress);
        object["status"]["observedGeneration"] = json!(2);
        assert_eq!(status(&object), Status::Current);
    }

    #[test]
    fn stalled_has_failed_and_says_why() {
        let object = json!({ "status": { "conditions": [
            { "type": "Stalled", "status": "True", "reason": "Broken", "message": "no such path" },
        ] } });
        assert_eq!(health(&object), Health::failed("no such path"));
    }

    #[test]
    fn ready_decides_for_kinds_without_rules() {
        let with = |ready: &str| {
            status(&json!({ "apiVersion": "example.org/v1", "kind": "Thing",
                "status": { "conditions": [{ "type": "Ready", "status": ready }] } }))
        };
        assert_eq!(with("True"), Status::Current);
        assert_eq!(with("False"), Status::InProgress);
        assert_eq!(with("Unknown"), Status::InProgress);
    }

    #[test]
    fn an_object_that_says_nothing_is_current() {
        assert_eq!(status(&json!({ "kind": "ConfigMap", "apiVersion": "v1" })), Status::Current);
        assert_eq!(status(&json!({})), Status::Current);
        assert_eq!(status(&json!(null)), Status::Current);
    }

    #[test]
    fn a_flux_object_without_status_is_new() {
        let object =
            json!({ "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization" });
        assert_eq!(status(&object), Status::InProgress);
    }
}
