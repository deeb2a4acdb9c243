//! The fields that Go's types know: what else is in an object of a built-in kind never reaches the server, for
//! Flux reads such objects into these types and writes them again.
//!
//! Source: apimachinery `pkg/runtime/converter.go`; fluxcd/pkg `ssa/normalize/normalize.go`, `FromUnstructured`.

use serde_json::{Map, Value as Json};

use crate::schema::kubernetes::{self, Definition, Minor, Node, Shape};

/// The minor whose types the controller has. Source: kustomize-controller 1.9 `go.mod`, `k8s.io/api`.
const MINOR: u32 = 36;

/// Groups whose kinds its client does not know. Source: client-go `kubernetes/scheme`.
const FOREIGN: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// Most levels of an object. Built-in kinds that are not foreign have fewer.
const DEPTH: usize = 64;

/// The object with the fields alone that its kind has; nothing where the kind is not known, or a value is of another
/// type than its field: then Flux leaves the object as it is, and the server refuses it.
pub(super) fn known(object: &Json) -> Option<Json> {
    let text = |field: &str| object.get(field).and_then(Json::as_str);
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if FOREIGN.contains(&group) {
        return None;
    }
    let minor = kubernetes::minor(MINOR)?;
    defined(minor, object, minor.kind(group, version, kind)?, 0)
}

fn defined(minor: &Minor, value: &Json, definition: &Definition, depth: usize) -> Option<Json> {
    // What has no fields is read by a method of its type.
    if definition.properties.is_empty() || value.is_null() {
        return Some(value.clone());
    }
    let mut kept = Map::new();
    for (name, value) in value.as_object()? {
        let property = definition.properties.binary_search_by(|one| one.name.cmp(name)).ok();
        if let Some(property) = property.map(|at| &definition.properties[at]) {
            kept.insert(name.clone(), typed(minor, value, &property.node, depth + 1)?);
        }
    }
    Some(Json::Object(kept))
}

fn typed(minor: &Minor, value: &Json, node: &Node, depth: usize) -> Option<Json> {
    if depth > DEPTH {
        return None;
    }
    let within = |value: &Json, node: &Node| typed(minor, value, node, depth + 1);
    match (&node.shape, value) {
        (Shape::Reference(name), value) => defined(minor, value, minor.named(*name)?, depth),
        (Shape::Object(Some(of)), Json::Object(map)) => {
            let entries = map.iter().map(|(key, value)| Some((key.clone(), within(value, of)?)));
            entries.collect::<Option<Map<_, _>>>().map(Json::Object)
        }
        (Shape::List(of), Json::Array(list)) => {
            let entries = list.iter().map(|value| within(value, of));
            entries.collect::<Option<Vec<_>>>().map(Json::Array)
        }
        (Shape::Any | Shape::Object(None), _)
        | (_, Json::Null)
        | (Shape::String, Json::String(_))
        | (Shape::Integer | Shape::Number, Json::Number(_))
        | (Shape::Boolean, Json::Bool(_)) => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_go_does_not_know_are_lost() {
        let deployment = |more: Json| {
            let mut object = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "a", "labels": { "any": "x" } },
                "spec": { "strategy": { "rollingUpdate": { "maxSurge": "25%" } }, "template": { "spec": {
                    "containers": [{ "name": "c", "resources": { "limits": { "cpu": 1 } } }] } } } });
            let places = ["/metadata", "/spec", "/spec/template/spec/containers/0"];
            if more.is_number() {
                places.into_iter().for_each(|place| {
                    object.pointer_mut(place).expect("there")["misspelt"] = more.clone();
                });
            }
            object
        };
        assert_eq!(known(&deployment(1.into())), Some(deployment(Json::Null)));
    }

    #[test]
    fn what_is_of_another_type_stays_and_so_does_what_is_foreign() {
        let service =
            json!({ "apiVersion": "v1", "kind": "Service", "x": 1, "spec": { "ports": "80" } });
        assert_eq!(known(&service), None);
        for api_version in ["example.org/v1", "apiextensions.k8s.io/v1"] {
            let kind = "CustomResourceDefinition";
            assert_eq!(known(&json!({ "apiVersion": api_version, "kind": kind, "x": 1 })), None);
        }
        let ingress = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "x": 1,
            "spec": { "rules": [{ "http": { "paths": [{ "pathTyp": "Exact", "path": "/" }] } }] } });
        let kept = known(&ingress).expect("a built-in kind");
        assert_eq!(kept["spec"]["rules"][0]["http"]["paths"], json!([{ "path": "/" }]));
        let data = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "any": "x", "none": null } });
        assert_eq!(known(&data), Some(data));
    }

    #[test]
    fn no_kind_goes_deeper_than_the_limit() {
        let mut value = json!({});
        for _ in 0..DEPTH + 1 {
            value = json!({ "raw": value });
        }
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "x": value.clone() }, "data": { "a": value } });
        assert_eq!(known(&object), None);
    }
}
