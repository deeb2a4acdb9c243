//! Questions that are answered and not kept: who am I, may I.

use serde_json::{Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::rights::User;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::{Cause, Failure, create, decode};

/// Whether a resource is a question.
pub(super) fn answers(resource: &Resource) -> bool {
    matches!(&*resource.kind.group, "authorization.k8s.io" | "authentication.k8s.io")
}

/// Answers a question.
pub(super) fn review(state: &State, call: &mut Call) -> Result<Answer, Failure> {
    let kind = call.resource.kind.kind.clone();
    let writing = Writing::read(call, "CreateOptions", false)?;
    let mut object = decode::body(state, call, &call.resource.clone(), &writing)?;
    if kind != "SelfSubjectReview" {
        Owners::of(state, &call.resource, None).updated(None, &mut object, &writing);
    }
    match &*kind {
        "SelfSubjectReview" => {
            create::metadata(&mut object).insert("creationTimestamp".into(), state.now().into());
            let mut info = json!({"username": call.user.name, "groups": call.user.groups});
            if !call.user.uid.is_empty() {
                info["uid"] = (*call.user.uid).into();
            }
            object["status"] = json!({"userInfo": info});
        }
        "SelfSubjectRulesReview" => {
            let (resources, others) = match call.user.is_master() {
                true => (
                    json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]),
                    json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]),
                ),
                false => (json!([]), json!([])),
            };
            object["status"] = json!({"resourceRules": resources, "nonResourceRules": others, "incomplete": false});
        }
        "TokenReview" => object["status"] = json!({"user": {}}),
        _ => access(call, &mut object)?,
    }
    Ok(Answer::created(object))
}

fn access(call: &Call, object: &mut Value) -> Result<(), Failure> {
    let spec = &object["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_null() == path.is_null() {
        let cause = Cause::invalid(
            "spec.resourceAttributes",
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        );
        let mut failure = Failure::invalid("authorization.k8s.io", "", "", &[cause]);
        if let Some(Value::Object(details)) = &mut failure.details {
            details.remove("name");
            details.remove("kind");
        }
        return Err(failure);
    }
    let asked = match spec["user"].as_str() {
        None => call.user.clone(),
        Some(name) => {
            let groups = spec["groups"].as_array().into_iter().flatten();
            let groups = groups.filter_map(|group| group.as_str().map(str::to_owned)).collect();
            User { name: name.into(), uid: String::new(), groups }
        }
    };
    object["status"] = if asked.is_master() {
        json!({"allowed": true})
    } else if asked.is_known() && path["verb"] == "get" && is_discovery(&path["path"]) {
        let reason = "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \
                      \"system:discovery\" to Group \"system:authenticated\"";
        json!({"allowed": true, "reason": reason})
    } else {
        json!({"allowed": false})
    };
    Ok(())
}

/// Paths that everybody may read.
fn is_discovery(path: &Value) -> bool {
    let path = path.as_str().unwrap_or_default();
    ["/api", "/apis", "/healthz", "/livez", "/openapi", "/readyz", "/version"].iter().any(|known| {
        path == *known || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'))
    })
}
