//! The `scale` of what has replicas: a small object of its own, with its own managed fields.
//!
//! Source: Kubernetes `pkg/registry/apps/deployment/storage/storage.go`, `scaleUpdatedObjectInfo`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::fields;
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::ownership::Scale;
use crate::rehearsal::patch::{self, Type};
use crate::rehearsal::refusals::internal;
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::{Cause, Failure, Kind, create, decode, update};
use crate::ssa::Path;

/// A request to the scale of an object.
pub(super) fn answer(state: &mut State, call: &mut Call, verb: &str) -> Result<Answer, Failure> {
    let Some(old) = update::live(state, call) else { return Err(call.named().not_found()) };
    let before = scale_of(&call.resource, &old)?;
    if verb == "get" {
        if let Some(version) = call.resource.version()
            && !version.scale_of(&old)?.1
        {
            return Err(version.no_replicas());
        }
        return Ok(shown(state, call, 200, before));
    }
    let kind = if verb == "patch" { Some(Type::read(call)?) } else { None };
    let apply = kind == Some(Type::Apply);
    let options = if kind.is_some() { "PatchOptions" } else { "UpdateOptions" };
    let writing = Writing::read(call, options, apply)?;
    let resource = as_scale(&call.resource);
    let versions = state.catalogue.versions(&call.resource);
    let tracked = Scale {
        replicas: versions.map(|version| (version.kind.api_version(), path_of(version))).collect(),
    };
    let mut live = before.clone();
    let entries = old["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let scaled = tracked.from_resource(&entries).map_err(internal)?;
    let is_tracked = !scaled.is_empty();
    set_entries(&mut live, scaled);
    let owners = Owners::of_scale(state, &resource);
    let mut new = match kind {
        None => decode::body(state, call, &resource, &writing)?,
        Some(Type::Apply) if call.resource.custom => {
            let read = fields::read_apply(&call.body, writing.validation)?;
            // So the server ends, whatever is applied, unless that changes nothing.
            let failed = |what: &str, place: &str| {
                internal(format!(
                    "{what} ({place}; autoscaling/v1, Kind=Scale) to proper version: request to \
                     convert CR to an invalid group/version: autoscaling/v1"
                ))
            };
            if !is_tracked {
                let what =
                    "failed to create manager for existing fields: failed to convert live object";
                return Err(failed(what, "/"));
            }
            let place = format!("{}/{}", call.spot.namespace, call.spot.name);
            let settle = |_: &mut Value| Err(failed("failed to convert new object", &place));
            owners.applied(Some(&live), &read.object, &writing, &settle)?
        }
        Some(Type::Apply) => {
            let read = fields::read_apply(&call.body, writing.validation)?;
            update::check_name(call, &read.object)?;
            let settle = |object: &mut Value| {
                *object = decode::merged(state, &resource, object).map_err(internal)?.object;
                Ok(())
            };
            owners.applied(Some(&live), &read.object, &writing, &settle)?
        }
        Some(kind) => patch::patched(state, call, &resource, &live, kind, &writing)?,
    };
    update::check_name(call, &new)?;
    create::settle_namespace(call, &mut new)?;
    if !apply {
        owners.updated(Some(&live), &mut new, &writing);
    }
    let replicas = new["spec"]["replicas"].as_i64().unwrap_or_default();
    // Where the replicas of a custom resource are, its definition says.
    if replicas < 0 && !call.resource.custom {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &replicas.to_string(), why);
        return Err(Failure::invalid("autoscaling", "Scale", &call.spot.name, &[cause]));
    }
    let mut object = old.clone();
    match call.resource.version() {
        Some(version) => version.set_scale(&mut object, &new)?,
        None => object["spec"]["replicas"] = replicas.into(),
    }
    let version = &new["metadata"]["resourceVersion"];
    if version.as_str().is_some_and(|version| !version.is_empty()) {
        create::metadata(&mut object).insert("resourceVersion".into(), version.clone());
    }
    let scaled = new["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let own = call.resource.kind.api_version();
    let entries = tracked.to_resource(&entries, &scaled, &own).map_err(internal)?;
    set_entries(&mut object, entries);
    let object = update::change(state, call, object, &old, &writing)?;
    Ok(shown(state, call, 200, scale_of(&call.resource, &object)?))
}

fn set_entries(object: &mut Value, entries: Vec<Value>) {
    let metadata = create::metadata(object);
    match entries.is_empty() {
        true => metadata.remove("managedFields"),
        false => metadata.insert("managedFields".into(), entries.into()),
    };
}

/// The resource, as its scale is decoded and tracked.
fn as_scale(resource: &Resource) -> Arc<Resource> {
    let kind = Kind::new("autoscaling/v1", "Scale");
    let stored = "v1".into();
    Arc::new(Resource { kind, stored, custom: false, definition: None, ..resource.clone() })
}

/// Where a resource has its replicas.
fn path_of(resource: &Resource) -> Option<Path> {
    match resource.version() {
        Some(version) => {
            let path = version.scale.as_ref()?.spec_replicas.trim_start_matches('.');
            Some(Path::of_fields(&path.split('.').collect::<Vec<_>>()))
        }
        None => Some(Path::of_fields(&["spec", "replicas"])),
    }
}

/// The scale of an object.
fn scale_of(resource: &Resource, object: &Value) -> Result<Value, Failure> {
    if let Some(version) = resource.version() {
        return Ok(version.scale_of(object)?.0);
    }
    let metadata = &object["metadata"];
    let mut own = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !metadata[key].is_null() {
            own[key] = metadata[key].clone();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|count| *count != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": object["status"]["replicas"].as_i64().unwrap_or_default()});
    let selector = selector_text(&object["spec"]["selector"]);
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    Ok(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": own, "spec": spec,
        "status": status,
    }))
}

/// A label selector as text, e.g. `app=web,tier in (a,b)`.
///
/// Source: apimachinery `pkg/apis/meta/v1/helpers.go`, `LabelSelectorAsSelector`.
pub(super) fn selector_text(selector: &Value) -> String {
    let structured =
        selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let labels = if structured { &selector["matchLabels"] } else { selector };
    let mut terms: Vec<(String, String)> = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        terms.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().into_iter().flatten();
        let mut values: Vec<_> = values.filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let term = match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        terms.push((key.to_owned(), term));
    }
    terms.sort();
    terms.into_iter().map(|(_, term)| term).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_written_by_key() {
        let selector = json!({
            "matchLabels": {"b": "1"},
            "matchExpressions": [{"key": "a", "operator": "In", "values": ["y", "x"]}],
        });
        assert_eq!(selector_text(&selector), "a in (x,y),b=1");
        assert_eq!(selector_text(&json!({"app": "web"})), "app=web");
    }
}
