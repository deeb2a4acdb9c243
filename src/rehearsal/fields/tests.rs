//! What a real server said to the same bodies.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::schema::kubernetes;

fn minor() -> &'static Minor {
    kubernetes::minor(kubernetes::MEASURED).unwrap()
}

fn deployment() -> Kind {
    Kind::new("apps/v1", "Deployment")
}

/// A step that was recorded, with keys in the order of the text.
struct Step {
    place: String,
    request: Raw,
    response: Raw,
}

impl Step {
    fn request(&self, key: &str) -> &str {
        self.request.get(key).and_then(Raw::as_str).unwrap_or_default()
    }

    fn body(&self) -> Option<String> {
        match self.request.get("bodyText") {
            Some(text) => text.as_str().map(String::from),
            None => self.request.get("body").map(written),
        }
    }

    fn status(&self) -> u64 {
        self.response.get("status").map(Raw::to_value).and_then(|v| v.as_u64()).unwrap()
    }

    fn answer(&self) -> Value {
        self.response.get("body").map(Raw::to_value).unwrap_or_default()
    }

    /// The resource that the path names, with its subresource.
    fn kind(&self) -> Option<(Kind, String)> {
        let path = self.request("path").split('?').next()?.trim_start_matches('/');
        let mut parts: Vec<_> = path.split('/').collect();
        let (group, version) = match *parts.first()? {
            "api" => ("", *parts.get(1)?),
            _ => (*parts.get(1)?, *parts.get(2)?),
        };
        parts.drain(..if group.is_empty() { 2 } else { 3 });
        if parts.first() == Some(&"namespaces") && parts.len() > 2 {
            parts.drain(..2);
        }
        let resource = minor().resource(group, version, parts.first()?)?;
        let of = resource.object();
        let kind =
            Kind { group: of.group.into(), version: of.version.into(), kind: of.kind.into() };
        Some((kind, parts.get(2).copied().unwrap_or_default().into()))
    }

    fn validation(&self) -> Validation {
        let path = self.request("path");
        match () {
            () if path.contains("fieldValidation=Strict") => Validation::Strict,
            () if path.contains("fieldValidation=Ignore") => Validation::Ignore,
            () => Validation::Warn,
        }
    }

    fn warnings(&self) -> Vec<String> {
        let headers = self.response.get("headers").map(Raw::to_value).unwrap_or_default();
        let texts = headers["Warning"].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts
            .filter_map(|text| serde_json::from_str(text.strip_prefix("299 - ")?).ok())
            .filter(|text: &String| {
                text.starts_with("unknown field") || text.starts_with("duplicate field")
            })
            .collect()
    }
}

/// JSON in the order of its keys.
fn written(raw: &Raw) -> String {
    match raw {
        Raw::List(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(",")),
        Raw::Map(entries) => {
            let entry = |(key, value): &(String, Raw)| format!("{}:{}", json!(key), written(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
        Raw::Number(text) => text.clone(),
        other => other.to_value().to_string(),
    }
}

/// The steps of all scenarios; none, loudly, where there is no recording.
#[expect(clippy::disallowed_methods, reason = "a test reads what was recorded")]
fn steps() -> Vec<Step> {
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
    let root = given.unwrap_or_else(beside).join("apiserver");
    let Ok(groups) = std::fs::read_dir(&root) else {
        assert!(std::env::var_os("CI").is_none(), "no recording in {}", root.display());
        eprintln!("skipped: no recording in {}", root.display());
        return Vec::new();
    };
    let mut steps = Vec::new();
    for group in groups.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()) {
            let scenario = Raw::read(&std::fs::read(&file).unwrap()).unwrap();
            let Some(Raw::List(list)) = scenario.get("steps") else { panic!("{}", file.display()) };
            for (at, step) in list.iter().enumerate() {
                let part = |key| step.get(key).cloned().unwrap();
                let place = format!("{} {at}", file.display());
                steps.push(Step { place, request: part("request"), response: part("response") });
            }
        }
    }
    steps
}

/// Values that stand for times and numbers that the server gave.
fn without_placeholders(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("{TIME") => *text = "2026-01-01T00:00:00Z".into(),
        Value::String(text) if text.starts_with("{PORT") => *value = 30000.into(),
        Value::Array(list) => list.iter_mut().for_each(without_placeholders),
        Value::Object(object) => object.values_mut().for_each(without_placeholders),
        _ => {}
    }
}

/// With values in place of those that the server gave.
fn filled(mut text: String) -> String {
    for (name, close, value) in [("{TIME", "}", "2026-01-01T00:00:00Z"), ("\"{PORT", "\"", "30000")]
    {
        while let Some(at) = text.find(name) {
            let inner = at + name.len();
            let end = inner + text[inner..].find(close).unwrap() + close.len();
            text.replace_range(at..end, value);
        }
    }
    text
}

#[test]
fn bodies_are_refused_in_the_servers_words() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for step in steps() {
        let writes = matches!(step.request("method"), "POST" | "PUT");
        let Some((kind, subresource)) = step.kind().filter(|_| writes) else { continue };
        let Some(body) = step.body().filter(|_| subresource.is_empty()) else { continue };
        let form = match step.request("contentType") {
            "" | "application/json" => Form::Json,
            "application/yaml" => Form::Yaml,
            _ => continue,
        };
        let answer = step.answer();
        let message = answer["message"].as_str().unwrap_or_default();
        let expected = (step.status() == 400
            && (message.contains("cannot be handled as") || message.contains("is unrecognized")))
        .then(|| message.to_owned());
        let body = filled(body);
        count += 1;
        match read(body.as_bytes(), form, minor(), &kind, step.validation()) {
            Ok(decoded) => {
                if let Some(expected) = expected {
                    wrong.push(format!("{}: accepted, not {expected}", step.place));
                } else if step.status() < 300 && decoded.complaints != step.warnings() {
                    wrong.push(format!("{}: warns of {:?}", step.place, decoded.complaints));
                }
            }
            Err(failure) if Some(&failure.message) == expected.as_ref() => {}
            Err(failure) => {
                wrong.push(format!("{}: {}\n  not {expected:?}", step.place, failure.message));
            }
        }
    }
    eprintln!("{count} bodies");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_the_server_gives_is_normal() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for step in steps() {
        let answer = step.answer();
        let (Some(version), Some(kind)) = (answer["apiVersion"].as_str(), answer["kind"].as_str())
        else {
            continue;
        };
        let kind = Kind::new(version, kind);
        let (Some(definition), 200..300) = (definition(minor(), &kind), step.status()) else {
            continue;
        };
        // Lists are not stored, so that empty ones stay.
        if definition.name.starts_with("io.k8s.apimachinery") || kind.kind.ends_with("List") {
            continue;
        }
        count += 1;
        let mut answer = answer.clone();
        without_placeholders(&mut answer);
        for (how, result) in [
            ("decode", decode(&answer, minor(), &kind)),
            ("convert", convert(&answer, minor(), &kind)),
        ] {
            match result {
                Ok(decoded) if decoded.object == answer && decoded.complaints.is_empty() => {}
                Ok(decoded) => wrong.push(format!(
                    "{} {how}: {:?} {}\n  not {answer}",
                    step.place, decoded.complaints, decoded.object
                )),
                Err(error) => wrong.push(format!("{} {how}: {error}", step.place)),
            }
        }
    }
    eprintln!("{count} objects");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn doubles_merge_as_go_merges_them() {
    let body = br#"{"metadata":{"name":"a","labels":{"x":"1"}},"metadata":{"labels":{"y":"2"}},
        "spec":{"replicas":1,"replicas":null},"spec":{"paused":true}}"#;
    let decoded = read(body, Form::Json, minor(), &deployment(), Validation::Warn).unwrap();
    assert_eq!(decoded.object["metadata"], json!({"name": "a", "labels": {"x": "1", "y": "2"}}));
    assert_eq!(decoded.object["spec"]["paused"], true);
    assert_eq!(decoded.object["spec"].get("replicas"), None);
    assert_eq!(
        decoded.complaints,
        [
            "duplicate field \"metadata\"",
            "duplicate field \"spec.replicas\"",
            "duplicate field \"spec\""
        ]
    );
}

#[test]
fn older_minors_print_times_that_are_not_set() {
    let kind = deployment();
    let creation = |number| {
        let minor = kubernetes::minor(number).unwrap();
        let object = json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}});
        let mut object = decode(&object, minor, &kind).unwrap().object;
        object["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("creationTimestamp")
    };
    assert_eq!(creation(33), Some(Value::Null));
    assert_eq!(creation(34), None);
}

#[test]
fn yaml_has_the_types_of_yaml_1_1() {
    let decoded = read_apply(b"kind: x\na: yes\nb: 012\nc: 1.0\n", Validation::Warn).unwrap();
    assert_eq!(decoded.object, json!({"kind": "x", "a": true, "b": 10, "c": 1}));
    let double = b"apiVersion: v1\ndata:\n  a: \"1\"\n  a: \"2\"\n";
    let decoded = read_apply(double, Validation::Warn).unwrap();
    assert_eq!(decoded.object["data"]["a"], "2");
    assert_eq!(decoded.complaints, ["line 4: key \"a\" already set in map"]);
    assert!(read_apply(double, Validation::Strict).unwrap_err().message.contains("line 4"));
    let message = |body: &[u8]| read_apply(body, Validation::Warn).unwrap_err().message;
    assert!(
        message(b"[]")
            .ends_with("cannot unmarshal array into Go value of type map[string]interface {}")
    );
    assert_eq!(
        message(b"a: b: c"),
        "error decoding YAML: error converting YAML to JSON: yaml: mapping values are not allowed in this context"
    );
    assert_eq!(read_apply(b" ", Validation::Warn).unwrap().object, json!({}));
}
