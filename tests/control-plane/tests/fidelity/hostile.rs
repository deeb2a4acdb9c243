//! Requests that mean no good: huge, deep, endless, stale.

use serde_json::{Value, json};

use crate::exchange::Question;

/// A little more than a body may have.
const HUGE: usize = (3 << 20) + 1024;

const MAPS: &str = "/api/v1/namespaces/fidelity-hostile/configmaps";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

fn patch(content_type: &'static str, body: String) -> Question {
    let path = format!("{MAPS}/map?fieldManager=hostile");
    Question {
        method: "PATCH",
        path,
        content_type: Some(content_type),
        body,
        ..Question::default()
    }
}

/// All of them; the first makes the object that the others are about.
pub(crate) fn questions() -> Vec<Question> {
    let mut huge = map("huge");
    huge["data"]["a"] = "x".repeat(HUGE).into();
    let mut large = map("large");
    // Less than a body may have, and more than the data of an object.
    large["data"]["a"] = "x".repeat(1_100_000).into();
    let deep = |count: usize| format!("{{\"data\": {}1{}}}", "[".repeat(count), "]".repeat(count));
    let nested = |count: usize| "{\"a\":".repeat(count) + "1" + &"}".repeat(count);
    let operation = json!({"op": "add", "path": "/data/c", "value": "d"});
    let operations = |count: usize| Value::from(vec![operation.clone(); count]).to_string();
    let doubling: Vec<_> = (0..40)
        .map(|at| json!({"op": "copy", "from": "/data", "path": format!("/data/x{at}")}))
        .collect();
    let json_patch = "application/json-patch+json";
    let merge_patch = "application/merge-patch+json";
    let list = |query: &str| Question::get(format!("{MAPS}?{query}"));
    let labels = vec!["a!=b"; 2000].join(",");
    vec![
        Question::send("POST", MAPS, &map("map")),
        Question::send("POST", MAPS, &huge),
        Question::send("PUT", format!("{MAPS}/map"), &huge),
        patch("application/apply-patch+yaml", huge.to_string()),
        patch(merge_patch, huge.to_string()),
        Question::send("DELETE", format!("{MAPS}/map"), &huge),
        Question::send("POST", MAPS, &large),
        patch(merge_patch, deep(500)),
        patch(merge_patch, deep(20_000)),
        patch(merge_patch, nested(20_000)),
        patch(json_patch, deep(20_000)),
        patch("application/strategic-merge-patch+json", nested(20_000)),
        patch(json_patch, operations(9_000)),
        patch(json_patch, operations(10_001)),
        patch(json_patch, Value::from(doubling).to_string()),
        list("resourceVersion=999999999999&timeoutSeconds=1"),
        list("resourceVersion=-1"),
        list("resourceVersion=1&resourceVersionMatch=Exact"),
        list("limit=-1"),
        list("limit=99999999999999999999"),
        list("continue=AAAA"),
        list("watch=1&resourceVersion=x&timeoutSeconds=1"),
        list("watch=1&resourceVersion=1&timeoutSeconds=1&labelSelector=none%3Dnone"),
        list("watch=maybe&timeoutSeconds=1&resourceVersion=0&labelSelector=none%3Dnone"),
        list(&format!("labelSelector={labels}")),
        list("labelSelector=a,,b"),
        list("fieldSelector=metadata.name"),
        list("unknownParameter=1"),
        Question { method: "TRACE", path: MAPS.into(), ..Question::default() },
        Question { method: "OPTIONS", path: MAPS.into(), ..Question::default() },
        Question::get("/api/v1/namespaces/fidelity-hostile/configmaps/map/../map"),
        Question::get("/api/v1/namespaces/fidelity-hostile/configmaps/%2e%2e"),
        Question::get("/api/v1//namespaces//fidelity-hostile//configmaps"),
        Question::get("/apis/apps"),
        Question::get("/apis/nothing.example.org/v1/things"),
        Question::get("/nothing"),
    ]
}
