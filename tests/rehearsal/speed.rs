//! How fast the API in memory is and how much an object takes.
//!
//! `cargo test --release --test rehearsal speed -- --ignored --nocapture`

use std::time::Instant;

use bytes::Bytes;
use overlay::rehearsal::{Options, Rehearsal};
use serde_json::{Value, json};

const COUNT: usize = 1000;

fn deployment(number: usize) -> Value {
    let labels = json!({"app.kubernetes.io/name": format!("web-{number}"), "team": "shop"});
    let container = json!({
        "name": "web", "image": "registry.example.com/web:1.2.3",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "LOG", "value": "info"}, {"name": "REGION", "value": "eu"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("web-{number}"), "labels": labels},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
}

fn apply(api: &Rehearsal, number: usize, object: &Value) -> u16 {
    let path =
        format!("/apis/apps/v1/namespaces/default/deployments/web-{number}?fieldManager=speed");
    let request = http::Request::patch(path)
        .header("content-type", "application/apply-patch+yaml")
        .body(Bytes::from(object.to_string()));
    api.handle(request.unwrap()).status().as_u16()
}

/// Kilobytes that the process holds.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
#[ignore = "a measurement, for a release build"]
fn speed() {
    let begin = Instant::now();
    let first = Rehearsal::new(&Options::default()).unwrap();
    println!("ready, first: {:?}", begin.elapsed());
    drop(first);
    let begin = Instant::now();
    let api = Rehearsal::new(&Options::default()).unwrap();
    println!("ready, again: {:?}", begin.elapsed());
    assert_eq!(apply(&api, COUNT, &deployment(COUNT)), 201);

    let mut objects: Vec<_> = (0..COUNT).map(deployment).collect();
    let before = resident();
    let timed = |what: &str, objects: &[Value], code: u16| {
        let begin = Instant::now();
        for (number, object) in objects.iter().enumerate() {
            assert_eq!(apply(&api, number, object), code);
        }
        println!("{COUNT} applies, {what}: {:?}", begin.elapsed());
    };
    timed("new", &objects, 201);
    let after = resident();
    timed("the same again", &objects, 200);
    for object in &mut objects {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2".into();
    }
    timed("changed", &objects, 200);
    if let (Some(before), Some(after)) = (before, after) {
        println!("memory of an object: {} bytes", (after - before) * 1024 / COUNT);
    }
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let begin = Instant::now();
    let list = api.handle(http::Request::get(path).body(Bytes::new()).unwrap());
    let bytes = list.into_body().into_bytes();
    println!("a list of {COUNT}: {:?}, {} bytes each", begin.elapsed(), bytes.len() / COUNT);
}
