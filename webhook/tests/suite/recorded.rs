//! Reviews as a kube-apiserver 1.36 sent them.

use std::path::PathBuf;

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use crate::fixture::{BROKEN, GOOD, Hook, read};

/// A folder of the recorded data, or nothing where it does not stand beside the checkout.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance");
    let given = std::env::var_os("OVERLAY_CONFORMANCE").map(PathBuf::from);
    let directory = given.unwrap_or_else(|| PathBuf::from(beside)).join(folder);
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("SKIPPED: there is no {}", directory.display());
    None
}

fn recorded() -> Vec<(String, Value)> {
    let Some(directory) = shared("admission") else { return Vec::new() };
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    };
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(read)
        .collect()
}

/// The request as it stood on the wire.
fn replay(record: &Value) -> Request<Full<bytes::Bytes>> {
    let uri = record["requestLine"].as_str().unwrap().trim_start_matches("POST /rec");
    let mut request = Request::post(format!("/validate{uri}"));
    for (name, value) in record["headers"].as_object().unwrap() {
        if name != "Content-Length" {
            request = request.header(name, value.as_str().unwrap());
        }
    }
    request.body(Full::from(record["body"].to_string())).unwrap()
}

async fn verdicts(hook: &Hook) -> Vec<(String, Value)> {
    let mut verdicts = Vec::new();
    for (name, record) in recorded() {
        let (status, body) = hook.send(replay(&record)).await;
        assert_eq!(status, StatusCode::OK, "{name}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["uid"], record["body"]["request"]["uid"], "{name}");
        verdicts.push((name, answer["response"].clone()));
    }
    verdicts
}

#[tokio::test]
async fn all_are_admitted_where_the_overlay_builds() {
    let hook = Hook::start().await;
    hook.publish(GOOD);
    for (name, verdict) in verdicts(&hook).await {
        assert_eq!(verdict["allowed"], true, "{name}: {verdict}");
        assert!(verdict.get("warnings").is_none(), "{name}: {verdict}");
    }
}

#[tokio::test]
async fn only_new_specs_are_denied_where_it_does_not() {
    let hook = Hook::start().await;
    hook.publish(BROKEN);
    for (name, verdict) in verdicts(&hook).await {
        let new_spec = ["02-", "03-", "04-"].iter().any(|number| name.starts_with(number));
        assert_eq!(verdict["allowed"], !new_spec, "{name}: {verdict}");
        if new_spec {
            let message = verdict["status"]["message"].as_str().unwrap();
            assert!(message.contains("deploy/kustomization.yaml:3:3"), "{name}: {message}");
        }
    }
}

#[tokio::test]
async fn http2_gets_the_same_answers() {
    let hook = Hook::start().await;
    hook.publish(GOOD);
    let mut sender = hook.http2().await;
    for (name, record) in recorded() {
        let mut request = replay(&record);
        request.headers_mut().remove("host");
        *request.uri_mut() = format!("https://localhost{}", request.uri()).parse().unwrap();
        *request.version_mut() = http::Version::HTTP_2;
        let (status, body) = read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["response"]["allowed"], true, "{name}: {body}");
    }
}
