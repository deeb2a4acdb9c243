use std::sync::Arc;

use super::api::{Object, Reading};
use super::substitute::Objects;
use super::*;
use crate::files::{Disk, Memory};
use crate::json;

const KUSTOMIZATION: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: flux-system}
spec:
  interval: 10m
  prune: true
  sourceRef: {kind: GitRepository, name: app}
  path: ./deploy
  targetNamespace: shop
  commonMetadata: {labels: {team: web}}
  postBuild:
    substitute: {tier: front}
    substituteFrom:
    - {kind: Secret, name: vars}
";
const SECRET: &str = "apiVersion: v1
kind: Secret
metadata: {name: vars, namespace: flux-system}
stringData: {password: canary-4711, replicas: '3'}
";
const OBJECTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  tier: ${tier}
  replicas: \"${replicas}\"
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
";

fn kustomization(text: &str) -> Kustomization {
    let file: Arc<str> = "clusters/app.yaml".into();
    let read = api::read_file(text.as_bytes(), &file, Reading::Strict, &Limits::WEBHOOK);
    match read.output.expect("valid").into_iter().next() {
        Some((_, Object::Kustomization(one))) => *one,
        other => panic!("{other:?}"),
    }
}

fn render(files: &Memory, text: &str) -> Warned<Result<Rendered>> {
    let mut objects = Objects::default();
    let file: Arc<str> = "vars.yaml".into();
    for document in yaml::read(SECRET.as_bytes(), &file, &Limits::WEBHOOK).expect("YAML") {
        objects.add(&document, &file);
    }
    let lookup = |kind, namespace: &str, name: &str| objects.find(kind, namespace, name);
    let options = Options { limits: Limits::WEBHOOK, ..Options::default() };
    let renderer = Renderer {
        files,
        root: Path::new("/"),
        store: &Store::default(),
        options: &options,
        decrypt: &Untouched,
        lookup: Some(&lookup),
        strict: true,
        hidden: None,
    };
    renderer.render(&kustomization(text))
}

fn files(objects: &str) -> Memory {
    let mut files = Memory::default();
    files.insert("deploy/objects.yaml", objects.as_bytes().to_vec());
    files
}

#[test]
fn a_kustomization_becomes_what_the_controller_applies() {
    let rendered = render(&files(OBJECTS), KUSTOMIZATION).output.expect("builds");
    let objects: Vec<_> =
        rendered.resources.iter().map(|one| json::to_json(&one.value).expect("JSON")).collect();
    let labels = serde_json::json!({
        "team": "web",
        "kustomize.toolkit.fluxcd.io/name": "app",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    });
    assert_eq!(objects[0]["metadata"]["labels"], labels);
    assert_eq!(objects[0]["metadata"]["namespace"], "shop");
    assert_eq!(objects[0]["data"], serde_json::json!({ "tier": "front", "replicas": 3 }));
    let ids: Vec<String> = rendered.inventory.iter().map(|entry| entry.id.to_string()).collect();
    let wanted = [
        "_things.example.com_apiextensions.k8s.io_CustomResourceDefinition",
        "shop_settings__ConfigMap",
    ];
    assert_eq!(ids, wanted);
}

#[test]
fn an_unset_variable_is_found_in_its_file() {
    let objects = OBJECTS.replace("tier: ${tier}", "tier: ${teir}");
    let error = render(&files(&objects), KUSTOMIZATION).output.expect_err("not set");
    let text = error.to_string();
    assert!(text.starts_with("deploy/objects.yaml:5:9: ConfigMap \"settings\""), "{text}");
    assert!(text.contains("from clusters/app.yaml:1:1"), "{text}");
    assert!(text.contains("there is a variable \"tier\""), "{text}");
}

#[test]
fn labels_that_flux_drops_are_told() {
    let open = KUSTOMIZATION.split("    substituteFrom").next().unwrap_or_default();
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n";
    let own = serde_json::json!({
        "team": "web",
        "kustomize.toolkit.fluxcd.io/name": "app",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    });
    for (labels, kustomization, at, told) in [
        (
            "    app = b\n",
            KUSTOMIZATION,
            "5:3",
            "labels of an object are a scalar and no map: Flux drops them",
        ),
        (
            "    app = b\n",
            open,
            "5:3",
            "labels of ConfigMap \"a\" are a scalar and no map: Flux drops them",
        ),
        (
            "    a: b\n    c: 1\n",
            open,
            "7:5",
            "a label of ConfigMap \"a\" is no string: Flux drops all of its labels; put it in quotes",
        ),
    ] {
        let rendered = render(&files(&format!("{object}{labels}")), kustomization);
        let said: Vec<_> = rendered.warnings.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(said, [told]);
        assert_eq!(rendered.warnings[0].place.to_string(), format!("deploy/objects.yaml:{at}"));
        let rendered = rendered.output.expect("builds");
        let first = rendered.resources.iter().next().expect("an object");
        assert_eq!(json::to_json(&first.value).expect("JSON")["metadata"]["labels"], own);
    }
}

#[test]
fn a_label_without_a_value_is_blank() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {b: , c: d}}\n";
    let rendered = render(&files(object), KUSTOMIZATION);
    assert!(rendered.warnings.is_empty());
    let rendered = rendered.output.expect("builds");
    let first = rendered.resources.iter().next().expect("an object");
    assert_eq!(first.value.text_at(&["metadata", "labels", "b"]), Some(""));
}

/// Whatever breaks, the value of a secret variable is not said.
#[test]
fn no_secret_is_in_any_message() {
    let broken = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: '${password}', b: '${missing}'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: '*${password}'\n  b: '${password'\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '${password}'}\ndata: {a: '${missing}'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: ${replicas/3/*canary}\n",
        "apiVersion: v1\nkind: '${password}'\nmetadata: {name: a}\n",
    ];
    for objects in broken {
        let rendered = render(&files(objects), KUSTOMIZATION);
        let said = match rendered.output {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(!said.contains("canary-4711"), "{said}");
        assert!(rendered.warnings.iter().all(|one| !one.message.contains("canary-4711")));
    }
}

#[test]
fn a_path_that_is_not_there_is_named_with_who_asks_for_it() {
    let text = KUSTOMIZATION.replace("./deploy", "../../deplyo");
    let error = render(&files(OBJECTS), &text).output.expect_err("missing");
    assert!(error.to_string().starts_with("deplyo: kustomization path not found"), "{error}");
    assert!(error.to_string().contains("from clusters/app.yaml:1:1"), "{error}");
}

/// On a disk the root of the source is a directory like others.
#[test]
fn nothing_beside_the_source_is_built() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().canonicalize().expect("it exists");
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    write("outside/a.yaml", OBJECTS);
    write("source/deploy/kustomization.yaml", "resources: [../../outside/a.yaml]\n");
    write("source/fine/kustomization.yaml", "resources: [../base/a.yaml]\n");
    write("source/base/a.yaml", OBJECTS);
    let disk = Disk::new(root.clone());
    let source = root.join("source");
    let options = Options::default();
    let renderer = Renderer {
        files: &disk,
        root: &source,
        store: &Store::default(),
        options: &options,
        decrypt: &Untouched,
        lookup: None,
        strict: false,
        hidden: None,
    };
    let mut one = kustomization(KUSTOMIZATION);
    let error = renderer.render(&one).output.expect_err("outside");
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
    one.spec.path = "fine".into();
    assert_eq!(renderer.render(&one).output.expect("builds").resources.len(), 2);
}
