use std::sync::Arc;

use super::*;

fn read_text(text: &str, reading: Reading) -> Warned<Result<Vec<(usize, Object)>>> {
    let file: Arc<str> = "ks.yaml".into();
    read_file(text.as_bytes(), &file, reading, &Limits::WEBHOOK)
}

fn kustomization(text: &str) -> Kustomization {
    let objects = read_text(text, Reading::Strict).output.expect("valid");
    match objects.into_iter().next() {
        Some((_, Object::Kustomization(one))) => *one,
        other => panic!("{other:?}"),
    }
}

const HEAD: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n\
                    metadata: {name: app, namespace: flux-system}\n";
const LEAST: &str =
    "  interval: 10m\n  prune: true\n  sourceRef: {kind: GitRepository, name: app}\n";

fn problems(spec: &str) -> String {
    let text = format!("{HEAD}spec:\n{LEAST}{spec}");
    read_text(&text, Reading::Strict).output.expect_err("refused").to_string()
}

#[test]
fn every_field_of_v1_is_read() {
    let text = format!(
        "{HEAD}spec:
  interval: 1h30m
  retryInterval: 2m
  timeout: 90s
  prune: true
  deletionPolicy: WaitForTermination
  sourceRef: {{apiVersion: source.toolkit.fluxcd.io/v1, kind: OCIRepository, name: app, namespace: src}}
  path: ./deploy
  targetNamespace: apps
  namePrefix: a-
  nameSuffix: -b
  patches: [{{patch: 'x: 1', target: {{kind: Deployment, labelSelector: a=b}}}}]
  images: [{{name: app, newName: other, newTag: v1, digest: 'sha256:a'}}]
  components: [../c]
  ignoreMissingComponents: true
  buildMetadata: [originAnnotations]
  commonMetadata: {{labels: {{a: b}}, annotations: {{c: d}}}}
  postBuild:
    substituteStrategy: Always
    substitute: {{x: '1'}}
    substituteFrom: [{{kind: Secret, name: vars, optional: true}}]
  decryption: {{provider: sops, secretRef: {{name: keys}}, serviceAccountName: kms}}
  dependsOn: [{{name: infra, namespace: other, readyExpr: 'true'}}]
  wait: true
  healthCheckExprs: [{{apiVersion: a/v1, kind: B, current: 'true', failed: 'false', inProgress: 'false'}}]
  force: true
  ignore: [{{paths: [/spec/replicas], target: {{kind: Deployment}}}}]
  suspend: true
  serviceAccountName: deployer
  kubeConfig: {{secretRef: {{name: remote, key: value}}}}
"
    );
    let ks = kustomization(&text);
    assert_eq!(ks.interval, Some(Duration(std::time::Duration::from_secs(5400))));
    assert_eq!(ks.budget(), std::time::Duration::from_secs(90));
    assert_eq!(ks.deletion_policy, DeletionPolicy::WaitForTermination);
    assert_eq!((ks.source().namespace.as_str(), ks.spec.path.as_str()), ("src", "./deploy"));
    assert_eq!(ks.spec.patches[0].target.as_ref().map(|one| one.kind.as_str()), Some("Deployment"));
    assert_eq!((ks.spec.images[0].new_tag.as_str(), ks.spec.components.len()), ("v1", 1));
    let post_build = ks.post_build.expect("there");
    assert_eq!(post_build.substitute, [("x".into(), "1".into())]);
    assert!(post_build.substitute_from[0].optional);
    assert_eq!(
        post_build.substitute_from[0].place.as_ref().and_then(|place| place.at),
        Some((24, 22))
    );
    assert_eq!(ks.decryption.and_then(|one| one.secret_ref).as_deref(), Some("keys"));
    assert_eq!(
        ks.kube_config.and_then(|one| one.secret_ref),
        Some(("remote".into(), "value".into()))
    );
    assert_eq!(ks.ignore[0].paths, ["/spec/replicas"]);
    assert_eq!(ks.depends_on[0].ready_expr, "true");
}

#[test]
fn all_problems_of_a_document_are_told_at_once_with_their_places() {
    let error = problems("  timeout: 1d\n  target: x\n  force: 3\n  namePrefix: ''\n");
    let wanted = [
        "ks.yaml:8:3: \"1d\" is no duration (a day is 24h: \"24h\")",
        "ks.yaml:9:3: unknown field \"target\"",
        "ks.yaml:10:3: \"force\" takes true or false, not the number 3",
        "ks.yaml:11:3: may not be empty (leave it out)",
    ];
    for line in wanted {
        assert!(error.contains(line), "{line}\n{error}");
    }
}

#[test]
fn what_has_to_be_there_is_asked_for() {
    let error =
        read_text(&format!("{HEAD}spec: {{}}\n"), Reading::Strict).output.expect_err("refused");
    for field in ["interval", "prune", "sourceRef"] {
        assert!(error.to_string().contains(&format!("\"{field}\" is missing")), "{error}");
    }
    let lenient = read_text(&format!("{HEAD}spec: {{}}\n"), Reading::Lenient);
    assert_eq!(lenient.output.expect("readable").len(), 1);
    assert!(lenient.warnings[0].message.contains("the API server refuses it"));
}

#[test]
fn fields_that_exclude_each_other_are_refused() {
    let error = problems("  kubeConfig: {secretRef: {name: a}, configMapRef: {name: b}}\n");
    assert!(
        error.contains("ks.yaml:8:16: \"secretRef\" and \"configMapRef\" exclude each other"),
        "{error}"
    );
    assert!(problems("  kubeConfig: {}\n").contains("needs \"secretRef\" or \"configMapRef\""));
}

#[cfg(feature = "rehearsal")]
#[test]
fn expressions_are_read() {
    for (spec, said) in [
        (
            "  healthCheckExprs: [{apiVersion: v1, kind: A, current: 'a +'}]\n",
            "ks.yaml:8:48: failed to parse the CEL expression 'a +'",
        ),
        (
            "  dependsOn: [{name: a, readyExpr: 'dep.'}]\n",
            "ks.yaml:8:25: failed to parse the CEL expression 'dep.'",
        ),
    ] {
        let error = problems(spec);
        assert!(error.contains(said), "{spec}{error}");
    }
    let good = "  dependsOn: [{name: a, readyExpr: 'dep.status.x == self.metadata.name'}]\n";
    assert!(read_text(&format!("{HEAD}spec:\n{LEAST}{good}"), Reading::Strict).output.is_ok());
}

#[test]
fn lengths_words_and_names_are_checked() {
    let long = "a".repeat(201);
    for (spec, said) in [
        (format!("  namePrefix: {long}\n"), "has 201 characters, 200 are allowed"),
        (format!("  targetNamespace: {}\n", &long[..64]), "has 64 characters, 63 are allowed"),
        ("  targetNamespace: My_NS\n".into(), "is no name for a namespace"),
        ("  deletionPolicy: orphan\n".into(), "did you mean \"Orphan\"?"),
        ("  buildMetadata: [managedByLabel]\n".into(), "is not allowed here"),
        ("  decryption: {provider: vault}\n".into(), "one of sops"),
        (
            "  ignore: [{paths: [spec.replicas]}]\n".into(),
            "begin it with a slash: \"/spec/replicas\"",
        ),
        (
            "  postBuild: {substituteFrom: [{kind: ConfigMap, name: ''}]}\n".into(),
            "may not be empty",
        ),
        ("  postBuild: {substitute: {a: 1}}\n".into(), "put it in quotes: \"1\""),
        ("  sourceref: {}\n".into(), "did you mean \"sourceRef\"?"),
        ("  patchesJson6902: []\n".into(), "unknown field \"patchesJson6902\""),
    ] {
        let error = problems(&spec);
        assert!(error.contains(said), "{spec}{error}");
    }
    let text =
        format!("{HEAD}spec:\n{LEAST}").replace("name: app, namespace", "name: App, namespace");
    assert!(read_text(&text, Reading::Strict).output.is_err());
}

#[test]
fn older_versions_are_read_with_a_word_on_what_is_gone() {
    let head = HEAD.replace("/v1", "/v1beta2");
    let spec = "  validation: client\n  patchesStrategicMerge: [{kind: Deployment}]\n  \
                patchesJson6902: [{patch: [{op: remove, path: /a}], target: {kind: Deployment}}]\n";
    let read = read_text(&format!("{head}spec:\n{LEAST}{spec}"), Reading::Strict);
    let objects = read.output.expect("readable");
    let (_, Object::Kustomization(ks)) = &objects[0] else { panic!("{objects:?}") };
    assert_eq!((ks.version, ks.spec.patches_json6902.len()), (Version::V1Beta2, 1));
    let said: Vec<String> =
        read.warnings.iter().map(|one| format!("{}: {}", one.place, one.message)).collect();
    assert!(said[0].starts_with("ks.yaml:1:1: v1beta2 is gone since Flux 2.8"), "{said:?}");
    assert!(said[1].starts_with("ks.yaml:10:3: v1 has no \"patchesJson6902\""), "{said:?}");
    assert_eq!(said.len(), 4, "{said:?}");
    let unknown =
        read_text(&format!("{}spec:\n{LEAST}", HEAD.replace("/v1", "/v2")), Reading::Strict);
    assert!(unknown.output.is_err());
}

#[test]
fn sources_are_known() {
    let text = "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: a}\n\
                spec: {interval: 1m, url: 'ssh://git@x/y', ref: {semver: '>1'}, ignore: '/*', timeout: 20s}\n---\n\
                apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {name: a}\n\
                spec: {interval: 1m, url: 'oci://x/y', ref: {tag: latest}}\n---\n\
                apiVersion: source.toolkit.fluxcd.io/v1\nkind: Bucket\nmetadata: {name: a}\n\
                spec: {interval: 1m, endpoint: x, bucketName: b}\n---\n\
                apiVersion: source.toolkit.fluxcd.io/v1\nkind: ExternalArtifact\nmetadata: {name: a}\n\
                spec: {sourceRef: {kind: A, name: b, apiVersion: c/v1}}\n---\n\
                apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let objects = read_text(text, Reading::Strict).output.expect("valid");
    let kinds: Vec<_> = objects.iter().map(|(_, object)| object.kind()).collect();
    assert_eq!(kinds, ["GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"]);
    let wrong = text.replace("ssh://git@x/y", "git@x:y").replace("timeout: 20s", "timeout: 1h");
    let error = read_text(&wrong, Reading::Strict).output.expect_err("refused").to_string();
    assert!(error.contains("schemes are https, http, ssh"), "{error}");
    assert!(error.contains("\"1h\" is no duration"), "{error}");
}

#[test]
fn releases_of_charts_are_known() {
    let text = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\nspec:\n  interval: 1m\n  \
                chart: {spec: {chart: x, version: '1.x', sourceRef: {kind: HelmRepository, name: r}}}\n  \
                values: {replicas: 2}\n  valuesFrom: [{kind: Secret, name: v, targetPath: a.b}]\n  \
                install: {crds: CreateReplace, createNamespace: true, remediation: {retries: 3}}\n";
    let objects = read_text(text, Reading::Strict).output.expect("valid");
    let (_, Object::HelmRelease(release)) = &objects[0] else { panic!("{objects:?}") };
    assert_eq!(release.chart.as_ref().map(|one| one.source_ref.name.as_str()), Some("r"));
    assert_eq!(release.values, Some(serde_json::json!({"replicas": 2})));
    assert_eq!(
        (release.install.crds, release.install.create_namespace),
        (Crds::CreateReplace, true)
    );
    let both = format!("{text}  chartRef: {{kind: OCIRepository, name: x}}\n");
    let error = read_text(&both, Reading::Strict).output.expect_err("refused").to_string();
    assert!(
        error.contains("ks.yaml:10:3: \"chart\" and \"chartRef\" exclude each other"),
        "{error}"
    );
}
