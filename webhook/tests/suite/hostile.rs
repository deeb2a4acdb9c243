//! Overlays that somebody wrote to hurt.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Hook, creation};

/// The longest that a build which is refused may take here, where nothing is optimized.
const SOON: Duration = Duration::from_secs(9);

async fn verdict(hook: &Hook, files: &[(&str, &str)]) -> Value {
    hook.publish(files);
    let started = Instant::now();
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert!(started.elapsed() < SOON, "{:?} for {response}", started.elapsed());
    let metrics = hook.metrics().await;
    assert!(metrics.contains("overlay_webhook_render_crashes_total 0\n"), "{response}");
    response
}

/// Denied, and the reason has all the words.
async fn denied(files: &[(&str, &str)], words: &[&str]) {
    let response = verdict(&Hook::start().await, files).await;
    let message = response["status"]["message"].as_str().unwrap_or_default();
    assert_eq!(response["allowed"], false, "{response}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message}");
    }
}

/// Not judged, as it exceeds a limit.
async fn exceeds(files: &[(&str, &str)], word: &str) {
    let response = verdict(&Hook::start().await, files).await;
    let warning = response["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("exceeds a limit") && warning.contains(word), "{response}");
}

fn kustomization(text: &str) -> [(&str, &str); 1] {
    [("deploy/kustomization.yaml", text)]
}

#[tokio::test]
async fn cycles_are_printed() {
    let cycle = [
        ("deploy/kustomization.yaml", "resources: [../base]"),
        ("base/kustomization.yaml", "resources: [../deploy]"),
    ];
    denied(&cycle, &["cycle", "deploy", "base"]).await;
    denied(&kustomization("resources: [.]"), &["cycle"]).await;
}

#[tokio::test]
async fn a_chain_of_bases_ends_somewhere() {
    let paths: Vec<(String, String)> = (0..1000)
        .map(|i| (format!("b{i}/kustomization.yaml"), format!("resources: [../b{}]", i + 1)))
        .collect();
    let mut files: Vec<(&str, &str)> =
        paths.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files.push(("deploy/kustomization.yaml", "resources: [../b0]"));
    exceeds(&files, "layers").await;
}

#[tokio::test]
async fn nothing_outside_the_artifact_is_there() {
    for path in ["../../../../etc/passwd", "/etc/passwd", "../../proc/self/environ"] {
        let text = format!("resources: [{path}]");
        let response = verdict(&Hook::start().await, &kustomization(&text)).await;
        assert_eq!(response["allowed"], false, "{path}");
        let message = response["status"]["message"].as_str().unwrap();
        assert!(!message.contains("root:"), "{message}");
        let generator = format!("configMapGenerator: [{{name: a, files: [\"x={path}\"]}}]");
        denied(&kustomization(&generator), &["deploy/kustomization.yaml"]).await;
    }
}

#[tokio::test]
async fn nothing_is_fetched_and_nothing_is_run() {
    for text in [
        "resources: [https://example.com/x.yaml]",
        "resources: ['git::https://example.com/x.git']",
        "resources: [github.com/owner/repo]",
        "helmCharts: [{name: a, repo: https://example.com}]",
        "openapi: {path: https://example.com/x.json}",
        "components: [https://example.com/x]",
        "crds: [https://example.com/x]",
        "patches: [{path: https://example.com/x}]",
    ] {
        let response = verdict(&Hook::start().await, &kustomization(text)).await;
        assert_eq!(response["allowed"], false, "{text}: {response}");
    }
    let exec = "apiVersion: x/v1\nkind: X\nmetadata:\n  name: x\n  annotations:\n    \
                config.kubernetes.io/function: 'exec: {path: ./run.sh}'\n";
    for field in ["generators", "transformers", "validators"] {
        let text = format!("{field}: [x.yaml]");
        denied(&[("deploy/kustomization.yaml", &text), ("deploy/x.yaml", exec)], &["deploy"]).await;
    }
}

#[tokio::test]
async fn laughs_by_the_billion_are_cut_short() {
    let mut laughs =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\na: &a [x,x,x,x,x,x,x,x,x]\n"
            .to_owned();
    for (one, next) in "abcdefghijk".chars().zip("bcdefghijkl".chars()) {
        let list = vec![format!("*{one}"); 9].join(",");
        laughs.push_str(&format!("{next}: &{next} [{list}]\n"));
    }
    let files = [("deploy/kustomization.yaml", "resources: [x.yaml]"), ("deploy/x.yaml", &laughs)];
    exceeds(&files, "aliases").await;
}

#[tokio::test]
async fn depth_and_length_have_bounds() {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let deep = format!("{head}x: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let blocks: String = (0..2_000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    let many = format!("{head}---\n").repeat(30_000);
    let long = format!("{head}x: {}\n", "y".repeat(9 << 20));
    for (text, word) in [(deep, "deep"), (blocks, "deep"), (many, "documents"), (long, "bytes")] {
        let files =
            [("deploy/kustomization.yaml", "resources: [x.yaml]"), ("deploy/x.yaml", &text)];
        exceeds(&files, word).await;
    }
}

#[tokio::test]
async fn patches_cannot_reach_too_far() {
    let map =
        ("deploy/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n");
    for operation in [
        "{op: move, from: /data, path: /data/x/y}",
        "{op: add, path: /list/99999999999999999999, value: 1}",
        "{op: replace, path: /data/-1, value: 1}",
        "{op: copy, from: /nowhere, path: /data/z}",
        "{op: test, path: /data/x, value: z}",
    ] {
        let text = format!(
            "resources: [map.yaml]\npatches: [{{target: {{kind: ConfigMap}}, patch: '[{operation}]'}}]"
        );
        denied(&[("deploy/kustomization.yaml", &text), map], &["deploy"]).await;
    }
    // Copies of copies double each time.
    let copies: String = (0..60).map(|_| "{op: copy, from: /data, path: /data/x},").collect();
    let text = format!(
        "resources: [map.yaml]\npatches: [{{target: {{kind: ConfigMap}}, patch: '[{copies}]'}}]"
    );
    let _ = verdict(&Hook::start().await, &[("deploy/kustomization.yaml", &text), map]).await;
    let expression = format!("({}){{1000}}", "a{1000}".repeat(10));
    let text = format!(
        "resources: [map.yaml]\npatches: [{{target: {{name: '{expression}'}}, patch: '[]'}}]"
    );
    let _ = verdict(&Hook::start().await, &[("deploy/kustomization.yaml", &text), map]).await;
}

#[tokio::test]
async fn replacements_cannot_reach_too_far() {
    let map =
        ("deploy/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: y}\n");
    for options in
        ["{delimiter: '/', index: 999999999, create: true}", "{delimiter: '', index: -999999999}"]
    {
        let text = format!(
            "resources: [map.yaml]\nreplacements: [{{source: {{kind: ConfigMap, fieldPath: data.x}}, \
             targets: [{{select: {{kind: ConfigMap}}, fieldPaths: [data.x], options: {options}}}]}}]"
        );
        let _ = verdict(&Hook::start().await, &[("deploy/kustomization.yaml", &text), map]).await;
    }
}

#[tokio::test]
async fn what_flux_adds_is_judged_too() {
    let hook = Hook::start().await;
    hook.publish(crate::fixture::GOOD);
    for spec in [
        json!({ "path": "deploy", "components": ["https://example.com/x"] }),
        json!({ "path": "deploy", "components": ["missing"] }),
        json!({ "path": "deploy", "patches": [{ "patch": "nonsense" }] }),
        json!({ "path": "deploy", "patches": [{ "patch": "{", "target": { "kind": "ConfigMap" } }] }),
        json!({ "path": "deploy", "patches": "x" }),
    ] {
        let response = hook.review(&creation(spec.clone())).await;
        assert_eq!(response["allowed"], false, "{spec}");
    }
    let added =
        json!({ "path": "deploy", "components": ["missing"], "ignoreMissingComponents": true });
    assert_eq!(hook.review(&creation(added)).await["allowed"], true);
}

/// Thousands of targets, each of which is looked for among thousands of objects.
fn endless() -> (String, String) {
    let maps: String = (0..5_000)
        .map(|i| {
            format!(
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{i}}}\ndata: {{x: y}}\n"
            )
        })
        .collect();
    let target = "  - select: {name: '.*(a|b|c)?.*nothing'}\n    fieldPaths: [data.x]\n";
    let text = format!(
        "resources: [maps.yaml]\nreplacements:\n- source: {{name: m0, fieldPath: data.x}}\n  targets:\n{}",
        target.repeat(20_000)
    );
    (text, maps)
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_killed_and_makes_room() {
    let (text, maps) = endless();
    let hook = Hook::with(&["--renders=1", "--timeout=2.5"]).await;
    hook.publish(&[("deploy/kustomization.yaml", &text), ("deploy/maps.yaml", &maps)]);
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    let warning = response["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("took longer"), "{response}");
    hook.publish(crate::fixture::GOOD);
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["auditAnnotations"]["verdict"], "allowed: built", "{response}");
}

#[tokio::test]
async fn a_build_that_takes_too_much_memory_ends_alone() {
    let hook = Hook::with(&["--render-memory=44040192"]).await;
    let list =
        format!("apiVersion: v1\nkind: A\nmetadata: {{name: a}}\nx: [{}]\n", "1,".repeat(600_000));
    hook.publish(&[("deploy/kustomization.yaml", "resources: [x.yaml]"), ("deploy/x.yaml", &list)]);
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    let warning = response["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("ran out of memory"), "{response}");
    assert!(hook.metrics().await.contains("overlay_webhook_render_crashes_total 1\n"));
    hook.publish(crate::fixture::GOOD);
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    assert_eq!(response["auditAnnotations"]["verdict"], "allowed: built", "{response}");
}
