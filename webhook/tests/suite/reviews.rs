//! What is decided of a review, and bodies that are none.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use crate::fixture::{
    BROKEN, Behaviour, GOOD, Hook, archive, creation, digest, read, request, request_to,
};

fn message(response: &Value) -> &str {
    response["status"]["message"].as_str().unwrap_or_default()
}

fn warning(response: &Value) -> &str {
    response["warnings"][0].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_denial_says_file_line_and_column() {
    let hook = Hook::start().await;
    hook.publish(BROKEN);
    let response = hook.review(&creation(json!({ "path": "./deploy" }))).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 422);
    assert_eq!(response["status"]["reason"], "Invalid");
    let said = message(&response);
    assert!(said.contains("GitRepository/default/app"), "{said}");
    assert!(said.contains("main@sha1:abc"), "{said}");
    assert!(said.contains("deploy/kustomization.yaml:3:3"), "{said}");
    let cause = &response["status"]["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.path");
}

#[tokio::test]
async fn what_builds_is_admitted_and_the_audit_log_says_what_was_built() {
    let hook = Hook::start().await;
    hook.publish(GOOD);
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["allowed"], true, "{response}");
    assert_eq!(response["auditAnnotations"]["verdict"], "allowed: built");
    assert_eq!(response["auditAnnotations"]["revision"], "main@sha1:abc");
    assert_eq!(response["auditAnnotations"]["objects"], "1");
}

#[tokio::test]
async fn a_path_that_is_not_there_is_denied_and_none_leaves_the_artifact() {
    let hook = Hook::start().await;
    hook.publish(GOOD);
    for path in ["nowhere", "../../etc", "deploy/map.yaml", "/etc"] {
        let response = hook.review(&creation(json!({ "path": path }))).await;
        assert_eq!(response["allowed"], false, "{path}");
        assert!(message(&response).contains("no such directory"), "{path}: {response}");
    }
}

#[tokio::test]
async fn a_source_that_is_not_there_yet_is_a_warning() {
    let hook = Hook::start().await;
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["allowed"], true);
    assert!(
        warning(&response).contains("GitRepository/default/app does not exist yet"),
        "{response}"
    );
    hook.cluster.put(crate::fixture::SOURCE, json!({ "status": { "observedGeneration": -1 } }));
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["allowed"], true);
    assert!(warning(&response).contains("has no artifact yet"), "{response}");
}

#[tokio::test]
async fn sources_of_other_namespaces_can_be_refused() {
    let reference = json!({ "kind": "Bucket", "name": "b", "namespace": "other" });
    let review = creation(json!({ "sourceRef": reference }));
    let hook = Hook::with(&["--no-cross-namespace-refs"]).await;
    let response = hook.review(&review).await;
    assert_eq!(response["allowed"], false);
    assert!(message(&response).contains("cross-namespace references have been blocked"));
    // Whether it exists is not even asked.
    assert_eq!(hook.cluster.asked("buckets"), 0);
    let hook = Hook::start().await;
    assert_eq!(hook.review(&review).await["allowed"], true);
    assert_eq!(hook.cluster.asked("/namespaces/other/buckets/b"), 1);
}

#[tokio::test]
async fn a_source_that_is_none_is_denied_without_a_look() {
    let hook = Hook::start().await;
    for reference in [
        json!({ "kind": "Secret", "name": "x" }),
        json!({ "kind": "GitRepository", "name": "../../secrets/x" }),
        json!({ "kind": "GitRepository", "name": "x", "namespace": "a/b" }),
        json!({ "kind": "GitRepository", "name": "x", "apiVersion": "v1" }),
        json!({ "kind": "GitRepository" }),
        json!("x"),
    ] {
        let response = hook.review(&creation(json!({ "sourceRef": reference }))).await;
        assert_eq!(response["allowed"], false, "{reference}");
        assert!(
            response["status"]["details"]["causes"][0]["field"]
                .as_str()
                .unwrap()
                .starts_with("spec.sourceRef")
        );
    }
    assert!(hook.cluster.state.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn deletion_status_and_suspension_are_always_admitted() {
    let hook = Hook::start().await;
    hook.publish(BROKEN);
    let mut deletion = creation(json!({ "path": "deploy" }));
    deletion["request"]["operation"] = "DELETE".into();
    deletion["request"]["oldObject"] = deletion["request"]["object"].take();
    let mut going = creation(json!({ "path": "deploy" }));
    going["request"]["object"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let mut status = creation(json!({ "path": "deploy" }));
    status["request"]["subResource"] = "status".into();
    let mut unchanged = creation(json!({ "path": "deploy" }));
    unchanged["request"]["operation"] = "UPDATE".into();
    unchanged["request"]["oldObject"] = unchanged["request"]["object"].clone();
    unchanged["request"]["object"]["metadata"]["finalizers"] = json!(["x"]);
    let suspended = creation(json!({ "path": "deploy", "suspend": true }));
    for review in [deletion, going, status, unchanged, suspended] {
        let response = hook.review(&review).await;
        assert_eq!(response["allowed"], true, "{review}");
        assert!(response.get("warnings").is_none(), "{response}");
    }
    assert_eq!(hook.artifacts.served(), 0);
}

#[tokio::test]
async fn resuming_and_changing_the_spec_are_judged() {
    let hook = Hook::start().await;
    hook.publish(BROKEN);
    let mut review = creation(json!({ "path": "deploy" }));
    review["request"]["operation"] = "UPDATE".into();
    review["request"]["oldObject"] = review["request"]["object"].clone();
    review["request"]["oldObject"]["spec"]["suspend"] = true.into();
    assert_eq!(hook.review(&review).await["allowed"], false);
}

#[tokio::test]
async fn rules_that_are_too_wide_block_nothing() {
    let hook = Hook::start().await;
    let mut pod = creation(json!({}));
    pod["request"]["kind"] = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let mut scale = creation(json!({}));
    scale["request"]["subResource"] = "scale".into();
    let mut connect = creation(json!({}));
    connect["request"]["operation"] = "CONNECT".into();
    for review in [pod, scale, connect] {
        let response = hook.review(&review).await;
        assert_eq!(response["allowed"], true);
        assert!(warning(&response).starts_with("overlay-webhook judges no "), "{response}");
    }
    assert!(hook.metrics().await.contains("reason=\"unknown-kind\"} 1"));
}

#[tokio::test]
async fn warnings_are_single_lines() {
    let hook = Hook::start().await;
    let mut review = creation(json!({}));
    review["request"]["kind"]["kind"] = format!("A\n\t{}", "x".repeat(1000)).into();
    let response = hook.review(&review).await;
    assert!(!warning(&response).contains(['\n', '\t']));
    assert!(warning(&response).chars().count() <= 256);
}

#[tokio::test]
async fn deep_nesting_in_an_object_of_another_kind_is_no_concern_of_ours() {
    let hook = Hook::start().await;
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let review = creation(json!({})).to_string();
    let other = review
        .replace("\"kind\":\"Kustomization\",\"version\"", "\"kind\":\"Other\",\"version\"")
        .replace("\"oldObject\":null", &format!("\"oldObject\":{deep}"));
    assert_eq!(hook.send(request(other)).await.0, StatusCode::OK);
    let ours = review.replace("\"spec\":{", &format!("\"spec\":{{\"x\":{deep},"));
    assert_eq!(hook.send(request(ours)).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_no_review_gets_a_400() {
    let hook = Hook::start().await;
    let valid = creation(json!({ "path": "deploy" }));
    let mut bodies = vec![String::new(), "{".into(), "[]".into(), "null".into(), "{}".into()];
    for (path, value) in [
        ("/apiVersion", json!("admission.k8s.io/v1beta1")),
        ("/kind", json!("ConversionReview")),
        ("/request", Value::Null),
        ("/request/uid", json!("")),
        ("/request/uid", json!(7)),
        ("/request/object", Value::Null),
        ("/request/object", json!("x")),
    ] {
        let mut review = valid.clone();
        *review.pointer_mut(path).unwrap() = value;
        bodies.push(review.to_string());
    }
    // Two readers could take different ones of two keys.
    bodies.push(
        valid.to_string().replace("\"operation\":", "\"operation\":\"DELETE\",\"operation\":"),
    );
    bodies.push("[".repeat(100_000));
    for body in bodies {
        let (status, text) = hook.send(request(body.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {text}");
    }
    assert!(hook.metrics().await.contains("refused_requests_total{reason=\"malformed\"}"));
}

#[tokio::test]
async fn the_budget_is_what_the_api_server_says_within_bounds() {
    let hook = Hook::with(&["--timeout=3"]).await;
    let content = archive(GOOD);
    let late = Behaviour::Late(Duration::from_secs(60), content.clone());
    hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
    let review = creation(json!({ "path": "deploy" })).to_string();
    // Answered before the API server gives up, whatever it says; a nonsense is as good as nothing.
    for (timeout, most) in
        [("?timeout=1s", 1.0), ("?timeout=0", 1.0), ("?timeout=1e9s", 3.0), ("", 3.0)]
    {
        let started = Instant::now();
        let uri = format!("/validate{timeout}");
        let (status, body) = hook.send(request_to(&uri, review.clone())).await;
        assert_eq!(status, StatusCode::OK);
        assert!(started.elapsed().as_secs_f64() < most, "{timeout} took {:?}", started.elapsed());
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["allowed"], true, "{body}");
        assert!(warning(&answer["response"]).contains("took longer"), "{body}");
    }
}

#[tokio::test]
async fn many_reviews_of_one_artifact_fetch_it_once() {
    let hook = Hook::start().await;
    let content = archive(GOOD);
    let late = Behaviour::Late(Duration::from_millis(200), content.clone());
    hook.cluster.publish(&hook.artifacts.set("/a", late), &digest(&content));
    let sender = hook.http2().await;
    let review = creation(json!({ "path": "deploy" })).to_string();
    let mut all = Vec::new();
    for _ in 0..100 {
        let (mut sender, mut request) = (sender.clone(), request(review.clone()));
        request.headers_mut().remove("host");
        *request.uri_mut() = "https://localhost/validate?timeout=10s".parse().unwrap();
        all.push(tokio::spawn(
            async move { read(sender.send_request(request).await.unwrap()).await },
        ));
    }
    for one in all {
        let (status, body) = one.await.unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("\"allowed\":true"), "{body}");
    }
    assert_eq!(hook.artifacts.served(), 1);
    assert!(hook.metrics().await.contains("overlay_webhook_render_seconds_count 1\n"));
    // The same again, as after a retry of the API server: known already. Another interval changes nothing.
    hook.review(&creation(json!({ "path": "deploy", "interval": "5m" }))).await;
    assert!(hook.metrics().await.contains("overlay_webhook_render_seconds_count 1\n"));
    // Another spec over the same artifact is built, but not fetched.
    hook.review(&creation(json!({ "path": "deploy", "namePrefix": "x-" }))).await;
    assert_eq!(hook.artifacts.served(), 1);
    assert!(hook.metrics().await.contains("overlay_webhook_render_seconds_count 2\n"));
}

#[tokio::test]
async fn too_much_to_do_is_told_with_a_time_to_come_back() {
    let hook = Hook::with(&["--renders=1", "--timeout=2"]).await;
    let content = archive(GOOD);
    let late = Behaviour::Late(Duration::from_secs(60), content.clone());
    hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
    let mut first = hook.http1().await;
    let review = creation(json!({ "path": "deploy" })).to_string();
    let busy =
        tokio::spawn(async move { first.send_request(request(review)).await.map(|r| r.status()) });
    while hook.artifacts.served() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hook.publish(&[GOOD, &[("other", "")]].concat());
    let response = hook
        .http1()
        .await
        .send_request(request(creation(json!({ "path": "deploy" })).to_string()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(busy.await.unwrap().unwrap(), StatusCode::OK);
    assert!(hook.metrics().await.contains("refused_requests_total{reason=\"overload\"} 1"));
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place() {
    let hook = Hook::with(&["--renders=1"]).await;
    let content = archive(GOOD);
    let late = Behaviour::Late(Duration::from_secs(60), content.clone());
    hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
    let mut sender = hook.http1().await;
    let review = creation(json!({ "path": "deploy" })).to_string();
    let waiting =
        tokio::spawn(async move { sender.send_request(request(review)).await.map(|_| ()) });
    while hook.artifacts.served() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    waiting.abort();
    hook.publish(&[GOOD, &[("other", "")]].concat());
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["auditAnnotations"]["verdict"], "allowed: built", "{response}");
}
