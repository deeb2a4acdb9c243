//! The embedded schemas against the OpenAPI documents and the discovery of a real server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::ssa::schema::{Relationship, Scalar};

/// A file recorded from a kube-apiserver 1.36; `None`, loudly, where there is none.
#[expect(clippy::disallowed_methods, reason = "a test reads what was recorded")]
fn recorded(name: &str) -> Option<Value> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let path = given.unwrap_or_else(beside).join("apiserver").join(name);
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", path.display());
            eprintln!("skipped: {}: {error}", path.display());
            None
        }
    }
}

fn measured() -> &'static Minor {
    minor(MEASURED).unwrap()
}

/// What a document says, in the words of a node.
fn described(schema: &Value) -> String {
    let mut out = String::new();
    let reference = schema.pointer("/allOf/0/$ref").or(schema.get("$ref")).and_then(Value::as_str);
    let kind = schema["type"].as_str().unwrap_or_default();
    match (reference, kind) {
        (Some(reference), _) => out += reference.trim_start_matches("#/components/schemas/"),
        (_, "array") => out += &format!("[{}]", described(&schema["items"])),
        (_, "object") if schema.get("additionalProperties").is_some() => {
            out += &format!("map of {}", described(&schema["additionalProperties"]));
        }
        (_, kind) => out += kind,
    }
    for key in ["format", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        out += &schema[key].as_str().map(|text| format!(" {text}")).unwrap_or_default();
    }
    if let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() {
        out += &format!(" {}", keys.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+"));
    }
    if let Some(patch) = schema["x-kubernetes-patch-strategy"].as_str() {
        let key = schema["x-kubernetes-patch-merge-key"].as_str().unwrap_or_default();
        out += &format!(" patch {patch} {key}");
    }
    if let Some(default) = schema.get("default") {
        out += &format!(" default {default}");
    }
    if let Some(choices) = schema["enum"].as_array() {
        out += &format!(
            " of {}",
            choices.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|")
        );
    }
    out
}

fn said(node: &Node, minor: &Minor) -> String {
    let mut out = match &node.shape {
        Shape::Any => String::new(),
        Shape::Object(Some(values)) => format!("map of {}", said(values, minor)),
        Shape::Object(None) => "object".into(),
        Shape::List(element) => format!("[{}]", said(element, minor)),
        Shape::String => "string".into(),
        Shape::Integer => "integer".into(),
        Shape::Number => "number".into(),
        Shape::Boolean => "boolean".into(),
        Shape::Reference(name) => minor.named(*name).unwrap().name.into(),
    };
    if !node.format.is_empty() {
        out += &format!(" {}", node.format);
    }
    match &node.topology {
        Some(Topology::AtomicList | Topology::AtomicMap) => out += " atomic",
        Some(Topology::Set) => out += " set",
        Some(Topology::Keyed(keys)) => out += &format!(" map {}", keys.join("+")),
        Some(Topology::GranularMap) => out += " granular",
        None => {}
    }
    let patch = &node.patch;
    let strategy = match (patch.merge, patch.retain_keys, patch.replace) {
        (true, true, _) => " patch merge,retainKeys",
        (true, false, _) => " patch merge",
        (false, true, _) => " patch retainKeys",
        (_, _, true) => " patch replace",
        _ => "",
    };
    if !strategy.is_empty() {
        out += &format!("{strategy} {}", patch.key.unwrap_or_default());
    }
    if !node.default.is_empty() {
        out += &format!(" default {}", node.default);
    }
    if !node.choices.is_empty() {
        out += &format!(" of {}", node.choices.join("|"));
    }
    out
}

/// The definitions of all documents.
fn definitions(documents: &Value) -> BTreeMap<&str, &Value> {
    let documents = documents.as_object().unwrap().values();
    documents
        .filter_map(|document| document.pointer("/components/schemas")?.as_object())
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
        .collect()
}

#[test]
fn definitions_are_those_of_the_server() {
    let Some(documents) = recorded("openapi-1.36.json") else { return };
    let mut wrong = Vec::new();
    let all = definitions(&documents);
    for (name, schema) in &all {
        let Some(definition) = measured().definition(name) else {
            wrong.push(format!("{name} is missing"));
            continue;
        };
        let (want, have) = (described(schema), said(&definition.node, measured()));
        if want != have {
            wrong.push(format!("{name}: {want:?}, not {have:?}"));
        }
        let none = serde_json::Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let names: Vec<_> = definition.properties.iter().map(|property| property.name).collect();
        if names != properties.keys().collect::<Vec<_>>() {
            wrong.push(format!("{name}: has {names:?}"));
        }
        for (key, schema) in properties {
            let Some(property) = definition.property(key) else { continue };
            let (want, have) = (described(schema), said(&property.node, measured()));
            if want != have {
                wrong.push(format!("{name} {key}: {want:?}, not {have:?}"));
            }
        }
        let required: Vec<_> = definition
            .properties
            .iter()
            .filter(|property| property.node.required)
            .map(|property| property.name)
            .collect();
        let mut wanted: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        wanted.sort_unstable();
        if required != wanted {
            wrong.push(format!("{name}: requires {wanted:?}, not {required:?}"));
        }
    }
    assert!(all.len() > 500, "{} definitions", all.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A default of zero says that Go holds a value and always writes it, one of `{}` that it holds a
/// struct.
#[test]
fn go_tags_agree_with_the_defaults_of_the_server() {
    let Some(documents) = recorded("openapi-1.36.json") else { return };
    let mut wrong = Vec::new();
    for name in definitions(&documents).keys() {
        for property in measured().definition(name).into_iter().flat_map(|found| &found.properties)
        {
            let (node, go) = (&property.node, &property.node.go);
            let of_struct = |name| !measured().named(name).unwrap().properties.is_empty();
            let always = match node.shape {
                Shape::Reference(name) => !go.pointer && of_struct(name),
                Shape::String if node.format == "byte" => false,
                Shape::List(_) | Shape::Object(_) | Shape::Any => false,
                _ => !go.pointer && !go.omit_empty,
            };
            let set = !node.default.is_empty();
            // Scalars may have a default that is written down.
            let written = set && !matches!(node.shape, Shape::Reference(_));
            if always != set && !written {
                wrong.push(format!("{name} {}: {go:?}, default {}", property.name, node.default));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_minor_can_be_read_to_the_last_definition() {
    for number in MINORS {
        let minor = minor(number).unwrap();
        let mut count = 0;
        for packed in minor.definitions.iter().flatten() {
            let definition = packed.get();
            assert!(definition.properties.is_sorted_by_key(|property| property.name));
            count += 1;
        }
        assert!(count > 550, "1.{number} has {count} definitions");
        for resource in minor.served() {
            let of = resource.object();
            let (schema, root) = minor.schema(of.group, of.version, of.kind).unwrap();
            assert!(schema.atom(root).map.is_some(), "{of:?}");
        }
    }
    assert!(minor(28).is_none());
    assert!(minor(38).is_none());
}

#[test]
fn a_port_has_two_keys_and_a_default_protocol() {
    let (schema, root) = measured().schema("", "v1", "Pod").unwrap();
    let field = |id, name: &str| schema.atom(id).map.as_ref().unwrap().field(name).unwrap().clone();
    let element = |id| schema.atom(id).list.as_ref().unwrap().element.id;
    let containers = field(field(root, "spec").kind.id, "containers").kind.id;
    let ports = field(element(containers), "ports").kind.id;
    let list = schema.atom(ports).list.as_ref().unwrap();
    assert_eq!(list.keys, ["containerPort", "protocol"]);
    assert_eq!(list.relationship, Relationship::Granular);
    let protocol = field(list.element.id, "protocol");
    assert_eq!(protocol.default, Some("TCP".into()));
    assert_eq!(schema.atom(protocol.kind.id).scalar, Some(Scalar::String));
}

#[test]
fn a_kind_that_refers_to_itself_has_a_schema() {
    let found = measured().schema("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    assert!(found.is_some());
}

#[test]
fn unknown_kinds_have_none() {
    assert!(measured().kind("example.com", "v1", "Deployment").is_none());
    assert!(minor(29).unwrap().kind("resource.k8s.io", "v1", "ResourceClaim").is_none());
    assert!(measured().kind("resource.k8s.io", "v1", "ResourceClaim").is_some());
}
