//! What a real server said to the same bodies.

use serde_json::{Value, json};

use super::recorded::{filled, minor, steps, without_placeholders};
use super::*;
use crate::schema::kubernetes;

fn deployment() -> Kind {
    Kind::new("apps/v1", "Deployment")
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
