//! What Flux does to an object on its way to the server, and to the server's answer.
//!
//! Objects of built-in kinds go through Go's types: what these do not know is dropped, and what they print even when it
//! is empty becomes part of what Flux applies, and so of what it owns.
//!
//! Source: fluxcd/pkg `ssa/normalize/normalize.go`, `ssa/utils/cert_validation.go`, `ssa/errors/immutable.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::schema::go::{self, Converted, Target, Unknown};
use crate::schema::kubernetes::{self, Definition, Minor};

/// The minor whose types the controller has. Source: kustomize-controller 1.9 `go.mod`, `k8s.io/api`.
const MINOR: u32 = 36;

/// Groups of built-in kinds that its client does not know. Source: client-go `kubernetes/scheme`.
const FOREIGN: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// Where the Pods are that a kind is or makes.
const PODS: [(&str, &str, &str); 7] = [
    ("v1", "Pod", "/spec"),
    ("apps/v1", "Deployment", "/spec/template/spec"),
    ("apps/v1", "StatefulSet", "/spec/template/spec"),
    ("apps/v1", "DaemonSet", "/spec/template/spec"),
    ("apps/v1", "ReplicaSet", "/spec/template/spec"),
    ("batch/v1", "Job", "/spec/template/spec"),
    ("batch/v1", "CronJob", "/spec/jobTemplate/spec/template/spec"),
];

/// A kind of which the controller has Go's types.
struct Typed<'o> {
    api_version: &'o str,
    kind: &'o str,
    minor: &'static Minor,
    definition: &'static Definition,
}

impl<'o> Typed<'o> {
    fn of(object: &'o Json) -> Option<Self> {
        let text = |field: &str| object.get(field).and_then(Json::as_str);
        Self::named(text("apiVersion")?, text("kind")?)
    }

    fn named(api_version: &'o str, kind: &'o str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let minor = kubernetes::minor(MINOR).filter(|_| !FOREIGN.contains(&group))?;
        Some(Self { api_version, kind, minor, definition: minor.kind(group, version, kind)? })
    }

    /// What the types hold of an object; nothing where a value is of another type than its field.
    fn read<'v>(&self, object: &'v Json) -> Option<Converted<'v>> {
        go::convert(object, self.minor, self.definition).ok()
    }

    fn write(&self, mut value: Json) -> Json {
        go::encode(&mut value, self.minor, self.definition, Target::Document);
        value
    }

    /// Fills in what the server's own defaults would not.
    fn complete(&self, value: &mut Json) {
        let place = PODS.iter().find(|one| (one.0, one.1) == (self.api_version, self.kind));
        if let Some(spec) = place.and_then(|(_, _, path)| value.pointer_mut(path)) {
            // Ports of other containers are for information.
            entries(spec, "containers").for_each(default_protocols);
        }
        match (self.api_version, self.kind) {
            ("v1", "Service") => value.get_mut("spec").into_iter().for_each(default_protocols),
            ("v1", "Secret") => secret(value),
            _ => {}
        }
    }
}

/// The elements of a list of an object.
fn entries<'o>(object: &'o mut Json, field: &str) -> impl Iterator<Item = &'o mut Json> {
    object.get_mut(field).and_then(Json::as_array_mut).into_iter().flatten()
}

/// Brings an object into the form in which Flux applies it.
pub fn object(object: &mut Json) {
    if is_left(object) || !object.is_object() {
        return;
    }
    if let Some(typed) = Typed::of(object)
        && let Some(Converted { mut value, .. }) = typed.read(object)
    {
        typed.complete(&mut value);
        *object = typed.write(value);
    }
    if let Some(metadata) = made(object, "metadata") {
        metadata.insert("creationTimestamp".to_owned(), Json::Null);
    }
    let is_definition = is_definition(object);
    if let Some(map) = object.as_object_mut().filter(|_| !is_definition) {
        map.remove("status");
    }
}

/// Whether the controller has Go's types of a kind.
#[must_use]
pub fn is_typed(api_version: &str, kind: &str) -> bool {
    Typed::named(api_version, kind).is_some()
}

/// The fields that Flux drops from an object, as its kind does not have them.
#[must_use]
pub fn dropped(object: &Json) -> Vec<Unknown<'_>> {
    let typed = Typed::of(object).filter(|_| !is_left(object));
    typed.and_then(|typed| typed.read(object)).map(|read| read.unknown).unwrap_or_default()
}

/// Whether an object is sent as it is: rules would be lost.
/// See <https://github.com/fluxcd/kustomize-controller/issues/1041>.
fn is_left(object: &Json) -> bool {
    object["apiVersion"] == "rbac.authorization.k8s.io/v1"
        && (object["kind"] == "Role" || object["kind"] == "ClusterRole")
}

fn is_definition(object: &Json) -> bool {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    text("kind").eq_ignore_ascii_case("CustomResourceDefinition")
        && text("apiVersion").starts_with("apiextensions.k8s.io/")
}

fn made<'o>(object: &'o mut Json, field: &str) -> Option<&'o mut Map<String, Json>> {
    let value = object.as_object_mut()?.entry(field.to_owned()).or_insert_with(|| json!({}));
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

fn default_protocols(owner: &mut Json) {
    for port in entries(owner, "ports").filter_map(Json::as_object_mut) {
        let protocol = port.entry("protocol").or_insert_with(|| "".into());
        if protocol == "" {
            *protocol = "TCP".into();
        }
    }
}

fn secret(object: &mut Json) {
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Json::Object(texts)) = texts else { return };
    let Some(data) = made(object, "data") else { return };
    for (key, text) in texts {
        let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
        data.insert(key, encoded.into());
    }
}

/// Mends what some servers answer to a dry run: metrics that appear twice, and empty ones.
pub fn answer(object: &mut Json) {
    if object["kind"] != "HorizontalPodAutoscaler" {
        return;
    }
    let Some(typed) = Typed::of(object) else { return };
    let Some(Converted { mut value, .. }) = typed.read(object) else { return };
    if typed.api_version == "autoscaling/v2"
        && let Some(metrics) = value.pointer_mut("/spec/metrics").and_then(Json::as_array_mut)
    {
        let mut kept: Vec<Json> = Vec::new();
        for metric in metrics.drain(..) {
            let has_type = metric["type"].as_str().is_some_and(|kind| !kind.is_empty());
            if has_type && !kept.contains(&metric) {
                kept.push(metric);
            }
        }
        *metrics = kept;
    }
    *object = typed.write(value);
}

/// Takes a bundle of certificates out of a definition that the server would refuse it for.
pub fn drop_broken_bundle(object: &mut Json) {
    let is_definition = is_definition(object);
    let config = object.pointer_mut("/spec/conversion/webhook/clientConfig");
    let Some(config) = config.and_then(Json::as_object_mut).filter(|_| is_definition) else {
        return;
    };
    let bundle = config.get("caBundle").and_then(Json::as_str).unwrap_or_default();
    let is_broken = !bundle.is_empty()
        && !STANDARD.decode(bundle).is_ok_and(|pem| pem.is_empty() || has_certificate(&pem));
    if is_broken {
        config.remove("caBundle");
    }
}

/// Whether there is at least one block with what may be a certificate: DER of a length that fits.
fn has_certificate(pem: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(pem) else { return false };
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    text.split(begin).skip(1).filter_map(|block| block.split(end).next()).any(|block| {
        let block: String = block.split_whitespace().collect();
        STANDARD.decode(block).is_ok_and(|der| is_sequence(&der))
    })
}

fn is_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else { return false };
    let (length, header) = match first {
        0x81..=0x84 => {
            let bytes = usize::from(first - 0x80);
            let Some(head) = rest.get(..bytes) else { return false };
            (head.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte)), 2 + bytes)
        }
        short => (usize::from(*short), 2),
    };
    length > 0 && der.len() == header + length
}

/// Whether the server's message says that a field cannot be changed, so that only a new object would do.
///
/// Requests that the server calls invalid or conflicting count as such too, whatever they say.
#[must_use]
pub fn is_immutable(message: &str) -> bool {
    let has = |one: &str, other: &str| {
        message.match_indices(one).any(|(at, _)| {
            let after = &message[at + one.len()..];
            after.starts_with(char::is_whitespace)
                && after.trim_start_matches(char::is_whitespace).starts_with(other)
        })
    };
    has("is", "immutable") || has("immutable", "field")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(mut value: Json) -> Json {
        object(&mut value);
        value
    }

    fn deployment(spec: Json) -> Json {
        let mut spec = spec;
        let template = json!({ "metadata": { "labels": { "any": "x" } }, "spec": { "containers": [
            { "name": "c", "resources": {} }] } });
        let whole = [("selector", Json::Null), ("strategy", json!({})), ("template", template)];
        for (field, value) in whole {
            spec.as_object_mut().expect("a spec").entry(field).or_insert(value);
        }
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec,
            "metadata": { "name": "a", "creationTimestamp": null } })
    }

    #[test]
    fn fields_that_go_does_not_know_are_lost_and_told() {
        let mut odd = deployment(json!({}));
        for place in ["/metadata", "/spec", "/spec/template/spec/containers/0"] {
            odd.pointer_mut(place).expect("there")["misspelt"] = 1.into();
        }
        let lost: Vec<_> = dropped(&odd).iter().map(Unknown::shown).collect();
        let below = "spec.template.spec.containers[0].misspelt";
        assert_eq!(lost, ["metadata.misspelt", "spec.misspelt", below]);
        assert_eq!(sent(odd), deployment(json!({})));
    }

    #[test]
    fn what_go_prints_otherwise_is_printed_as_by_go() {
        let odd = json!({ "replicas": 1.0, "paused": false, "minReadySeconds": 0, "strategy": null,
            "revisionHistoryLimit": 0 });
        let normal = json!({ "replicas": 1, "revisionHistoryLimit": 0 });
        assert_eq!(sent(deployment(odd)), deployment(normal));
        let claim = |storage: Json| {
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": { "name": "a", "creationTimestamp": null },
                "spec": { "resources": { "requests": { "storage": storage } } } })
        };
        for (odd, normal) in [(json!(0.5), "500m"), (json!("1000m"), "1"), (json!(1000), "1k")] {
            assert_eq!(sent(claim(odd)), claim(normal.into()));
        }
        let policy = |ports: Json| {
            let ingress = [("ports", ports)].into_iter().filter(|one| !one.1.is_null());
            let ingress: Json = ingress.map(|(key, value)| (key.to_owned(), value)).collect();
            json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": { "name": "a", "creationTimestamp": null },
                "spec": { "podSelector": {}, "ingress": [ingress] } })
        };
        assert_eq!(sent(policy(json!([]))), policy(Json::Null));
    }

    #[test]
    fn what_is_of_another_type_stays_and_so_does_what_is_foreign() {
        let as_it_is = |mut value: Json| {
            value["metadata"] = json!({ "creationTimestamp": null });
            assert!(dropped(&value).is_empty());
            assert_eq!(sent(value.clone()), value);
        };
        let ports = json!({ "ports": "80" });
        as_it_is(json!({ "apiVersion": "v1", "kind": "Service", "x": 1, "spec": ports }));
        let rules = json!([{ "x": 1 }]);
        let group = "rbac.authorization.k8s.io/v1";
        as_it_is(json!({ "apiVersion": group, "kind": "Role", "rules": rules }));
        for api_version in ["example.org/v1", "apiextensions.k8s.io/v1"] {
            let kind = "CustomResourceDefinition";
            as_it_is(json!({ "apiVersion": api_version, "kind": kind, "x": 1 }));
        }
    }

    #[test]
    fn texts_of_secrets_become_bytes_and_bytes_canonical() {
        let secret = |more: Json| {
            let mut object = json!({ "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": "a", "creationTimestamp": null } });
            let fields = more.as_object().expect("fields").clone();
            object.as_object_mut().expect("an object").extend(fields);
            object
        };
        let odd = json!({ "data": { "a": "AR==", "b": "AQ==" }, "stringData": { "b": "new" } });
        let normal = json!({ "data": { "a": "AQ==", "b": "bmV3" } });
        assert_eq!(sent(secret(odd)), secret(normal));
        assert_eq!(sent(secret(json!({ "stringData": {} }))), secret(json!({})));
    }
}
