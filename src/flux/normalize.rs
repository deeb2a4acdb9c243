//! What Flux does to an object on its way to the server, and to the server's answer.
//!
//! Objects of built-in kinds go through Go's types: what those print even when it is empty becomes part of
//! what Flux applies, and so of what it owns.
//!
//! Source: fluxcd/pkg `ssa/normalize/normalize.go`, `ssa/utils/cert_validation.go`, `ssa/errors/immutable.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::known::known;

/// Where the template of pods is in kinds that have one.
const TEMPLATES: [(&str, &str, &str); 6] = [
    ("apps", "Deployment", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
];

/// What Go prints of a spec, whether or not somebody has set it.
fn empty_fields(kind: &str) -> Json {
    match kind {
        "Deployment" => json!({ "selector": null, "strategy": {}, "template": {} }),
        "StatefulSet" => {
            json!({ "selector": null, "serviceName": "", "template": {}, "updateStrategy": {} })
        }
        "DaemonSet" => json!({ "selector": null, "template": {}, "updateStrategy": {} }),
        "ReplicaSet" => json!({ "selector": null }),
        "Job" => json!({ "template": {} }),
        "CronJob" => json!({ "schedule": "", "jobTemplate": {} }),
        _ => json!({}),
    }
}

/// Brings an object into the form in which Flux applies it.
pub fn object(object: &mut Json) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    // Its rules would be lost: <https://github.com/fluxcd/kustomize-controller/issues/1041>.
    let is_role = api_version == "rbac.authorization.k8s.io/v1";
    if is_role && matches!(kind.as_str(), "Role" | "ClusterRole") || !object.is_object() {
        return;
    }
    if let Some(known) = known(object) {
        *object = known;
    }
    typed(object, &api_version, &kind);
    let metadata = make(object, "metadata");
    if let Some(metadata) = metadata {
        metadata.insert("creationTimestamp".to_owned(), Json::Null);
    }
    let is_definition = kind.eq_ignore_ascii_case("CustomResourceDefinition")
        && api_version.starts_with("apiextensions.k8s.io/");
    if let Some(map) = object.as_object_mut().filter(|_| !is_definition) {
        map.remove("status");
    }
}

fn typed(object: &mut Json, api_version: &str, kind: &str) {
    let group = api_version.strip_suffix("/v1").unwrap_or_default();
    if let Some((_, _, path)) = TEMPLATES.iter().find(|(g, k, _)| *g == group && *k == kind) {
        let Some(spec) = make(object, "spec") else { return };
        fill(spec, &empty_fields(kind));
        if kind == "CronJob"
            && let Some(template) = spec.get_mut("jobTemplate").and_then(Json::as_object_mut)
        {
            fill(template, &json!({ "metadata": {}, "spec": {} }));
            if let Some(job) = template.get_mut("spec").and_then(Json::as_object_mut) {
                fill(job, &json!({ "template": {} }));
            }
        }
        if let Some(template) = object.pointer_mut(path).and_then(Json::as_object_mut) {
            fill(template, &json!({ "metadata": {}, "spec": {} }));
            template.get_mut("metadata").map(drop_null_time);
            template.get_mut("spec").map(pod);
        }
    }
    match (api_version, kind) {
        ("v1", "Pod") => {
            make(object, "spec");
            object.get_mut("spec").map(pod);
        }
        ("v1", "Service") => {
            let ports = object.pointer_mut("/spec/ports").and_then(Json::as_array_mut);
            for port in ports.into_iter().flatten().filter_map(Json::as_object_mut) {
                default_protocol(port);
                fill(port, &json!({ "port": 0, "targetPort": 0 }));
            }
        }
        ("v1", "Namespace") => {
            make(object, "spec");
        }
        ("v1", "Secret") => secret(object),
        _ => {}
    }
}

fn make<'o>(object: &'o mut Json, field: &str) -> Option<&'o mut Map<String, Json>> {
    let value = object.as_object_mut()?.entry(field.to_owned()).or_insert_with(|| json!({}));
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// Adds what is missing.
fn fill(map: &mut Map<String, Json>, fields: &Json) {
    for (field, empty) in fields.as_object().into_iter().flatten() {
        match map.get_mut(field) {
            Some(value) if value.is_null() && !empty.is_null() => *value = empty.clone(),
            Some(_) => {}
            None => {
                map.insert(field.clone(), empty.clone());
            }
        }
    }
}

fn drop_null_time(metadata: &mut Json) {
    if metadata["creationTimestamp"].is_null()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.remove("creationTimestamp");
    }
}

fn pod(spec: &mut Json) {
    let Some(spec) = spec.as_object_mut() else { return };
    fill(spec, &json!({ "containers": null }));
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = spec.get_mut(field).and_then(Json::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Json::as_object_mut) {
            fill(container, &json!({ "name": "", "resources": {} }));
            // Only those have the default: the others' ports are for information.
            let ports = container.get_mut("ports").and_then(Json::as_array_mut);
            for port in ports.into_iter().flatten().filter_map(Json::as_object_mut) {
                if field == "containers" {
                    default_protocol(port);
                }
            }
        }
    }
}

fn default_protocol(port: &mut Map<String, Json>) {
    let protocol = port.entry("protocol").or_insert_with(|| "".into());
    if protocol.is_null() || protocol == "" {
        *protocol = "TCP".into();
    }
}

fn secret(object: &mut Json) {
    let Some(texts) = object.get("stringData").and_then(Json::as_object).cloned() else { return };
    if texts.is_empty() || !texts.values().all(Json::is_string) {
        return;
    }
    let Some(data) = make(object, "data") else { return };
    for (key, text) in texts {
        let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
        data.insert(key, encoded.into());
    }
    if let Some(map) = object.as_object_mut() {
        map.remove("stringData");
    }
}

/// Mends what some servers answer to a dry run: metrics that appear twice, and empty ones.
pub fn answer(object: &mut Json) {
    if object["kind"] != "HorizontalPodAutoscaler" || object["apiVersion"] != "autoscaling/v2" {
        return;
    }
    make(object, "metadata");
    if let Some(spec) = make(object, "spec") {
        fill(spec, &json!({ "maxReplicas": 0, "scaleTargetRef": { "kind": "", "name": "" } }));
        if let Some(metrics) = spec.get_mut("metrics").and_then(Json::as_array_mut) {
            let mut kept: Vec<Json> = Vec::new();
            for metric in metrics.drain(..) {
                let has_type = metric["type"].as_str().is_some_and(|kind| !kind.is_empty());
                if has_type && !kept.contains(&metric) {
                    kept.push(metric);
                }
            }
            *metrics = kept;
        }
    }
    if let Some(status) = make(object, "status") {
        fill(status, &json!({ "currentMetrics": null, "desiredReplicas": 0 }));
    }
}

/// Takes a bundle of certificates out of a definition that the server would refuse it for.
pub fn drop_broken_bundle(object: &mut Json) {
    let is_definition = object["kind"] == "CustomResourceDefinition"
        && object["apiVersion"]
            .as_str()
            .is_some_and(|one| one.starts_with("apiextensions.k8s.io/"));
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
