//! HelmReleases, rendered by the real Helm from charts that the tests make.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use overlay::build::Options;
use overlay::error::Warned;
use overlay::flux::api::HelmRepository;
use overlay::flux::discover::{Asked, Beyond, Charts, Found, Request, discover};
use overlay::flux::helm::Earlier;
use overlay::flux::sources::Source;
use overlay::flux::sources::charts::Charts as Repositories;
use overlay::flux::sources::elsewhere::Elsewhere;
use overlay::flux::substitute::{Kind, Lookup};
use overlay::flux::{Rendered, Renderer, Untouched};
use overlay::remote::Remote;
use overlay::resource::Resource;
use overlay::store::Store;
use overlay::tools::Helm;
use overlay::{Limits, Memory, Result, archive, json};

use super::digest;
use super::server::{Answer, serve};

const LIMITS: Limits = Limits::WEBHOOK;
const ARCHIVES: archive::Limits = archive::Limits { bytes: 8 << 20, ..archive::Limits::WEBHOOK };

/// The real Helm, of PATH or of `tests/peers.sh`.
fn helm() -> Option<Helm> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cache.join("overlay-test-peers")]);
    let found = folders.map(|folder| folder.join("helm")).find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "helm is needed: run tests/peers.sh");
        eprintln!("SKIPPED: there is no helm (tests/peers.sh brings it)");
    }
    Some(Helm {
        command: found?,
        kube_version: String::new(),
        api_versions: Vec::new(),
        debug: false,
    })
}

const ROOT: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1m
  prune: true
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
";

/// A repository with one Kustomization over `apps/`.
fn repository(files: &[(&str, &str)]) -> Source {
    let mut memory = Memory::default();
    memory.insert("clusters/apps.yaml", ROOT);
    for (path, text) in files {
        memory.insert(path, text.to_string());
    }
    Source::new(Arc::new(memory), PathBuf::from("/"), String::new())
}

fn found_in(source: &Source, helm: &Helm) -> Found {
    let store = Store::default();
    let options = Options { limits: LIMITS, ..Options::default() };
    let render = |asked: &Asked<'_>| -> Warned<Result<Rendered>> {
        let Asked { object, source, known: _ } = *asked;
        let renderer = Renderer {
            files: &*source.files,
            root: &source.root,
            store: &store,
            options: &options,
            decrypt: &Untouched,
            lookup: None,
            strict: true,
            hidden: None,
        };
        renderer.render(object)
    };
    let cache = tempfile::tempdir().unwrap();
    let remote = Remote::new(cache.path().to_owned(), false);
    let charts = Repositories::default();
    let elsewhere = Elsewhere { remote: Some(&remote), charts: &charts, limits: ARCHIVES };
    let pull = |repository: &HelmRepository, name: &str, version: &str, secrets: &Lookup<'_>| {
        elsewhere.pull(repository, name, version, secrets)
    };
    let nowhere = |_: Kind, _: &str, _: &str| Ok(None);
    let charts = Charts {
        helm,
        fetch: &|object, secrets| elsewhere.fetch(object, secrets),
        pull: &pull,
        values: &nowhere,
        credentials: &nowhere,
        is_complete: false,
        is_masked: &|text| text == "**SOPS**",
        veils: false,
        earlier: &Earlier::default(),
    };
    let entry = source.root.join("clusters");
    let request = Request {
        repository: source,
        entry: &entry,
        local: &[],
        remotes: &[],
        limits: &LIMITS,
        render: &render,
        beyond: Beyond { charts: Some(&charts), sources: None },
    };
    discover(&request).unwrap()
}

/// The objects of the only release.
fn rendered(files: &[(&str, &str)]) -> Option<Vec<Resource>> {
    let helm = helm()?;
    let mut found = found_in(&repository(files), &helm);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert_eq!(found.releases.len(), 1);
    Some(found.releases.remove(0).outcome.unwrap())
}

/// Why the only release does not render.
fn refused(files: &[(&str, &str)]) -> Option<String> {
    let helm = helm()?;
    let mut found = found_in(&repository(files), &helm);
    let error = found.releases.remove(0).outcome.unwrap_err().to_string();
    assert!(found.problems.iter().any(|problem| problem.to_string() == error));
    Some(error)
}

fn release(spec: &str) -> String {
    format!(
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n\
         metadata: {{name: app, namespace: shop}}\nspec:\n  interval: 1m\n{spec}"
    )
}

const LOCAL: &str = "  chart:
    spec:
      chart: ./charts/app
      sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}
";

const CHART: &str = "apiVersion: v2\nname: app\nversion: 1.2.3\n";

/// Prints what it is given.
const SHOWS: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: {helm.sh/chart: '{{ .Chart.Name }}-{{ .Chart.Version | replace \"+\" \"_\" }}'}
data:
  namespace: {{ .Release.Namespace }}
  values: {{ .Values | toJson | quote }}
";

fn named<'r>(resources: &'r [Resource], kind: &str, name: &str) -> &'r Resource {
    let is_it = |one: &&Resource| one.kind() == kind && one.name() == name;
    resources.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The values that [`SHOWS`] was given.
fn values(resources: &[Resource], name: &str) -> serde_json::Value {
    let shown = named(resources, "ConfigMap", name).value.text_at(&["data", "values"]).unwrap();
    serde_json::from_str(shown).unwrap()
}

#[test]
fn a_release_is_rendered_from_the_repository_with_all_its_values() {
    let object = release(&format!(
        "{LOCAL}  targetNamespace: target
  valuesFrom:
  - {{kind: ConfigMap, name: defaults}}
  - {{kind: Secret, name: secret, valuesKey: password, targetPath: auth.password}}
  - {{kind: Secret, name: absent, optional: true}}
  values: {{own: 1, text: \"yes\", zip: \"0123\", date: \"2020-01-01\", none: null}}
"
    ));
    let Some(resources) = rendered(&[
        ("apps/release.yaml", &object),
        (
            "apps/defaults.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: defaults, namespace: shop}\n\
             data:\n  values.yaml: |\n    own: 0\n    word: yes\n    deep: {a: 1}\n",
        ),
        (
            "apps/secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: secret, namespace: shop}\n\
             stringData: {password: '\"12345\"'}\n",
        ),
        ("charts/app/Chart.yaml", CHART),
        ("charts/app/values.yaml", "deep: {b: 2}\nnone: kept\n"),
        ("charts/app/templates/shows.yaml", SHOWS),
    ]) else {
        return;
    };
    let shown = named(&resources, "ConfigMap", "target-app");
    assert_eq!(shown.namespace(), "target");
    assert_eq!(shown.value.text_at(&["data", "namespace"]), Some("target"));
    let wanted = serde_json::json!({
        "own": 1, "text": "yes", "zip": "0123", "date": "2020-01-01", "word": true,
        "deep": {"a": 1, "b": 2}, "auth": {"password": "12345"},
    });
    assert_eq!(values(&resources, "target-app"), wanted);
    let metadata = json::to_json(shown.value.get("metadata").unwrap()).unwrap();
    assert_eq!(
        metadata["labels"],
        serde_json::json!({
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": "app-1.2.3",
            "helm.toolkit.fluxcd.io/name": "app",
            "helm.toolkit.fluxcd.io/namespace": "shop",
        })
    );
    assert_eq!(
        metadata["annotations"],
        serde_json::json!({
            "meta.helm.sh/release-name": "target-app",
            "meta.helm.sh/release-namespace": "target",
        })
    );
}

#[test]
fn post_renderers_definitions_and_hooks_are_as_flux_has_them() {
    let object = release(&format!(
        "{LOCAL}  install: {{createNamespace: true}}
  commonMetadata: {{labels: {{team: shop}}}}
  postRenderers:
  - kustomize:
      images: [{{name: web, newTag: '2'}}]
      patches:
      - target: {{kind: Deployment}}
        patch: |
          - op: add
            path: /spec/replicas
            value: 3
"
    ));
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    \
                      spec: {containers: [{name: web, image: 'web:1'}]}\n";
    let crd = |scope: &str, kind: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {kind}s.x.io}}\n\
             spec: {{group: x.io, scope: {scope}, names: {{kind: {kind}}}}}\n"
        )
    };
    let custom =
        |kind: &str| format!("apiVersion: x.io/v1\nkind: {kind}\nmetadata: {{name: one}}\n");
    let hook = |name: &str, hook: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: {hook}}}}}\n\
                 spec: {{containers: [{{name: c, image: 'web:1'}}]}}\n"
        )
    };
    let Some(resources) = rendered(&[
        ("apps/release.yaml", &object),
        ("charts/app/Chart.yaml", CHART),
        ("charts/app/crds/wide.yaml", &crd("Cluster", "Wide")),
        ("charts/app/crds/narrow.yaml", &crd("Namespaced", "Narrow")),
        ("charts/app/templates/web.yaml", deployment),
        ("charts/app/templates/wide.yaml", &custom("Wide")),
        ("charts/app/templates/narrow.yaml", &custom("Narrow")),
        (
            "charts/app/templates/role.yaml",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\n",
        ),
        ("charts/app/templates/before.yaml", &hook("before", "pre-install")),
        ("charts/app/templates/after.yaml", &hook("after", "post-upgrade")),
        ("charts/app/templates/check.yaml", &hook("check", "test")),
    ]) else {
        return;
    };
    let shown: Vec<_> = resources
        .iter()
        .map(|one| format!("{} {}/{}", one.kind(), one.namespace(), one.name()))
        .collect();
    assert_eq!(
        shown,
        [
            "CustomResourceDefinition /Narrows.x.io",
            "CustomResourceDefinition /Wides.x.io",
            "ClusterRole /r",
            "Deployment shop/web",
            "Narrow shop/one",
            "Wide /one",
            "Pod shop/before",
        ]
    );
    let web = &named(&resources, "Deployment", "web").value;
    assert_eq!(web.text_at(&["spec", "replicas"]), Some("3"));
    assert_eq!(web.text_at(&["metadata", "labels", "team"]), Some("shop"));
    let image = |one: &Resource| {
        let text = json::to_json(&one.value).unwrap().to_string();
        text.contains("web:2") && !text.contains("web:1")
    };
    let hook = named(&resources, "Pod", "before");
    assert!(image(named(&resources, "Deployment", "web")) && image(hook));
    let managed = &["metadata", "labels", "app.kubernetes.io/managed-by"];
    assert_eq!(hook.value.text_at(managed), None);
    assert_eq!(resources[0].value.text_at(managed), None);
    let origin = &["metadata", "labels", "helm.toolkit.fluxcd.io/name"];
    assert!(resources.iter().all(|one| one.value.text_at(origin) == Some("app")), "{shown:?}");
}

#[test]
fn a_namespace_is_made_unless_the_repository_has_it() {
    let object = release(&format!(
        "{LOCAL}  targetNamespace: target\n  install: {{createNamespace: true}}\n"
    ));
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: target}\n";
    let files = [
        ("apps/release.yaml", object.as_str()),
        ("charts/app/Chart.yaml", CHART),
        ("charts/app/templates/shows.yaml", SHOWS),
    ];
    let Some(made) = rendered(&files) else { return };
    assert_eq!(made[0].kind(), "Namespace");
    assert_eq!(made[0].name(), "target");
    let there = rendered(&[&files[..], &[("apps/namespace.yaml", namespace)]].concat()).unwrap();
    assert!(there.iter().all(|one| one.kind() != "Namespace"));
}

#[test]
fn files_of_values_and_dependencies_of_the_repository_are_packed() {
    let spec = LOCAL.replace(
        "      sourceRef",
        "      valuesFiles: [charts/app/values.yaml, ./env/prod.yaml, env/none.yaml]\n      \
         ignoreMissingValuesFiles: true\n      sourceRef",
    );
    let chart = format!(
        "{CHART}dependencies:\n- {{name: lib, version: 0.x, repository: 'file://../lib'}}\n"
    );
    let files = [
        ("apps/release.yaml", release(&spec)),
        ("env/prod.yaml", "env: prod\nlib: {size: 2}\n".to_owned()),
        ("charts/app/Chart.yaml", chart.clone()),
        ("charts/app/values.yaml", "env: dev\nkept: 1\n".to_owned()),
        ("charts/app/templates/shows.yaml", SHOWS.to_owned()),
        ("charts/lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 0.1.0\n".to_owned()),
        ("charts/lib/values.yaml", "size: 1\n".to_owned()),
        (
            "charts/lib/templates/lib.yaml",
            SHOWS.replace(".Release.Name }}", ".Release.Name }}-lib"),
        ),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let Some(resources) = rendered(&files) else { return };
    let values_of = values(&resources, "app");
    assert_eq!((&values_of["env"], &values_of["kept"]), (&"prod".into(), &1.into()));
    assert_eq!(values(&resources, "app-lib")["size"], 2);
    // As Flux writes the generation of its chart there.
    let label = &["metadata", "labels", "helm.sh/chart"];
    assert_eq!(named(&resources, "ConfigMap", "app").value.text_at(label), Some("app-1.2.3_1"));

    let strict = files.iter().map(|(path, text)| {
        (*path, text.replace("ignoreMissingValuesFiles: true", "ignoreMissingValuesFiles: false"))
    });
    let strict: Vec<_> = strict.collect();
    let strict: Vec<_> = strict.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let error = refused(&strict).unwrap();
    assert!(error.starts_with("env/none.yaml: no file with values here"), "{error}");
    let outside = chart.replace("file://../lib", "file://../../../lib");
    let outside: Vec<_> = files
        .iter()
        .map(|(path, text)| {
            (*path, if *path == "charts/app/Chart.yaml" { outside.as_str() } else { text })
        })
        .collect();
    let error = refused(&outside).unwrap();
    assert!(
        error.contains("there is no chart") || error.contains("leads out of its source"),
        "{error}"
    );
}

/// A packed chart.
fn packed(name: &str, version: &str) -> Vec<u8> {
    let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let paths = [format!("{name}/Chart.yaml"), format!("{name}/templates/shows.yaml")];
    super::archive(&[(&paths[0], chart.as_bytes()), (&paths[1], SHOWS.as_bytes())])
}

const BASIC: &str = "Basic dXNlcjpodW50ZXIyaHVudGVyMg==";

/// A repository of charts that asks for a password, with what it was asked for.
fn charts(claimed: Option<&str>) -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let claimed = claimed.map(str::to_owned);
    let address = serve(move |request| {
        noted.lock().unwrap().push(request.path.clone());
        if request.header("authorization") != Some(BASIC) {
            return Answer::status(401);
        }
        let entry = |version: &str| {
            let own = digest(&packed("app", version));
            let own = claimed.as_deref().unwrap_or(own.trim_start_matches("sha256:"));
            format!("  - {{version: {version}, urls: [files/app-{version}.tgz], digest: {own}}}\n")
        };
        match request.path.as_str() {
            "/charts/index.yaml" => {
                let versions = ["1.0.0", "1.9.0", "2.0.0"].map(entry).concat();
                Answer::ok(format!("apiVersion: v1\nentries:\n  app:\n{versions}"))
            }
            path => {
                match path.strip_prefix("/charts/files/app-").and_then(|p| p.strip_suffix(".tgz")) {
                    Some(version) => Answer::ok(packed("app", version)),
                    None => Answer::status(404),
                }
            }
        }
    });
    (format!("http://{address}/charts"), seen)
}

fn of_repository(url: &str, version: &str, kind: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "apps/release.yaml",
            release(&format!(
                "  chart: {{spec: {{chart: app, version: '{version}', sourceRef: {{kind: HelmRepository, name: charts}}}}}}\n"
            )),
        ),
        (
            "apps/repository.yaml",
            format!(
                "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmRepository\n\
                 metadata: {{name: charts, namespace: shop}}\n\
                 spec: {{url: '{url}', type: {kind}, insecure: true, interval: 1m, secretRef: {{name: login}}}}\n"
            ),
        ),
        (
            "apps/login.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: login, namespace: shop}\n\
             stringData: {username: user, password: hunter2hunter2}\n"
                .to_owned(),
        ),
    ]
}

fn borrowed<'a>(files: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    files.iter().map(|(path, text)| (*path, text.as_str())).collect()
}

#[test]
fn charts_come_from_a_repository_that_asks_for_a_password() {
    let (url, seen) = charts(None);
    let files = of_repository(&url, "1.x", "default");
    let Some(resources) = rendered(&borrowed(&files)) else { return };
    let label = &["metadata", "labels", "helm.sh/chart"];
    assert_eq!(named(&resources, "ConfigMap", "app").value.text_at(label), Some("app-1.9.0"));
    assert_eq!(*seen.lock().unwrap(), ["/charts/index.yaml", "/charts/files/app-1.9.0.tgz"]);
    let error = refused(&borrowed(&of_repository(&url, "7.x", "default"))).unwrap();
    assert!(error.contains("has no version of app in the range \"7.x\""), "{error}");
    let wrong: Vec<_> = of_repository(&url, "1.x", "default")
        .into_iter()
        .map(|(path, text)| (path, text.replace("hunter2", "wrong2")))
        .collect();
    let error = refused(&borrowed(&wrong)).unwrap();
    assert!(error.contains("server answers 401") && !error.contains("wrong2"), "{error}");
}

#[test]
fn a_chart_that_is_not_what_the_index_says_is_refused() {
    let (url, _) = charts(Some(digest(b"other").trim_start_matches("sha256:")));
    let Some(error) = refused(&borrowed(&of_repository(&url, "", "default"))) else { return };
    assert!(error.contains("it is damaged or another artifact"), "{error}");
    assert!(error.contains("app-2.0.0.tgz"), "{error}");
}

/// A registry with one chart.
fn registry() -> String {
    let layer = packed("app", "1.2.3");
    let layer_digest = digest(&layer);
    let manifest = format!(
        r#"{{"layers": [{{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": "{layer_digest}"}}]}}"#
    );
    let address = serve(move |request| {
        if request.header("authorization") != Some(BASIC) {
            return Answer::status(401).with("www-authenticate", "Basic realm=\"r\"");
        }
        match request.path.strip_prefix("/v2/org/app/").unwrap_or_default() {
            path if path.starts_with("tags/") => Answer::ok(r#"{"tags": ["1.2.3", "0.9.0"]}"#),
            "manifests/1.2.3" => Answer::ok(manifest.clone()),
            path if path.starts_with("blobs/") => Answer::ok(layer.clone()),
            _ => Answer::status(404),
        }
    });
    format!("oci://{address}/org")
}

#[test]
fn charts_come_from_a_registry_by_either_kind_of_source() {
    let url = registry();
    let files = of_repository(&url, ">=1", "oci");
    let Some(resources) = rendered(&borrowed(&files)) else { return };
    let label = &["metadata", "labels", "helm.sh/chart"];
    assert_eq!(named(&resources, "ConfigMap", "app").value.text_at(label), Some("app-1.2.3"));

    let mut files = of_repository(&url, "", "oci");
    files[0].1 = release("  chartRef: {kind: OCIRepository, name: chart}\n");
    files[1].1 = format!(
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: OCIRepository\nmetadata: {{name: chart, namespace: shop}}\n\
         spec: {{url: '{url}/app', ref: {{tag: 1.2.3}}, insecure: true, interval: 1m, secretRef: {{name: login}}}}\n"
    );
    let resources = rendered(&borrowed(&files)).unwrap();
    let shown = named(&resources, "ConfigMap", "app").value.text_at(label).unwrap();
    assert_eq!(shown.len(), "app-1.2.3_0123456789ab".len(), "{shown}");
}

#[test]
fn what_a_chart_says_of_a_secret_is_hidden() {
    let object = release(&format!("{LOCAL}  valuesFrom: [{{kind: Secret, name: secret}}]\n"));
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: secret, namespace: shop}\n\
                  stringData: {values.yaml: 'password: hunter2hunter2'}\n";
    for template in
        ["{{ fail .Values.password }}", "a: [{{ .Values.password }}", "{{ .Values.password }}"]
    {
        let Some(error) = refused(&[
            ("apps/release.yaml", &object),
            ("apps/secret.yaml", secret),
            ("charts/app/Chart.yaml", CHART),
            ("charts/app/templates/fails.yaml", template),
        ]) else {
            return;
        };
        assert!(!error.contains("hunter2"), "{template}: {error}");
        assert!(error.contains("apps/release.yaml:1:1"), "{template}: {error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let local = LOCAL.replace("charts/app", "charts/none");
    let none = release(
        &LOCAL.replace("kind: GitRepository, name: flux-system", "kind: Bucket, name: none"),
    );
    for (object, wanted) in [
        (
            release(&local),
            "charts/none: no chart here: \"./charts/none\" of GitRepository/flux-system/flux-system",
        ),
        (none, "there is no Bucket/flux-system/none, or its files are elsewhere"),
        (release(LOCAL), "charts/app: is no chart: it has no Chart.yaml"),
        (
            release(&format!(
                "{LOCAL}  valuesFrom: [{{kind: ConfigMap, name: a, valuesKey: b}}]\n"
            )),
            "has no key \"b\"",
        ),
    ] {
        let config =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\ndata: {c: d}\n";
        let files =
            [("apps/release.yaml", object.as_str()), ("apps/a.yaml", config), ("charts/app/x", "")];
        let Some(error) = refused(&files) else { return };
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains("apps/release.yaml:"), "{error}");
    }
}

/// A repository of charts with one, which nobody has to sign in for.
fn serving(archive: Vec<u8>) -> Vec<(&'static str, String)> {
    let claimed = digest(&archive).trim_start_matches("sha256:").to_owned();
    let address = serve(move |request| match request.path.as_str() {
        "/index.yaml" => Answer::ok(format!(
            "entries: {{app: [{{version: 1.0.0, urls: [app.tgz], digest: {claimed}}}]}}\n"
        )),
        _ => Answer::ok(archive.clone()),
    });
    of_repository(&format!("http://{address}"), "", "default")
}

#[test]
fn hostile_charts_are_refused() {
    let chart: (&str, &[u8]) = ("app/Chart.yaml", CHART.as_bytes());
    let zeros = vec![0; 9 << 20];
    let large = vec![b'#'; 6 << 20];
    for (files, wanted) in [
        (vec![chart, ("app/../../escaped", b"x")], "leaves the archive"),
        (vec![chart, ("/app/absolute", b"x")], "absolute"),
        (vec![chart, ("app/zeros", &zeros)], "unpacks to more than"),
        (vec![chart, ("app/large", &large)], "file is larger than 5242880 bytes"),
        (vec![("app/templates/a.yaml", b"x")], "there is no Chart.yaml in it"),
        (vec![chart, ("other/Chart.yaml", b"name: other")], "holds more than one chart"),
    ] {
        let Some(error) = refused(&borrowed(&serving(super::archive(&files)))) else { return };
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains("apps/release.yaml:"), "{error}");
    }
    let error = refused(&borrowed(&serving(b"no archive".to_vec()))).unwrap();
    assert!(error.contains("/app.tgz"), "{error}");
}

#[test]
fn a_million_lines_of_values_are_refused_and_named() {
    let spec = LOCAL
        .replace("      sourceRef", "      valuesFiles: [one.yaml, two.yaml]\n      sourceRef");
    let object = release(&spec);
    let million = "k: 1\n# 12345\n".repeat(1_000_000);
    let wide = |from: usize| -> String {
        (from..from + 3_000).map(|n| format!("k{n}: {}\n", "x".repeat(1_000))).collect()
    };
    let (one, two) = (wide(0), wide(3_000));
    for (one, two, wanted) in [
        (&million, &two, "one.yaml: file is larger than"),
        (&one, &two, "files with values come to more than 5242880 bytes"),
    ] {
        let Some(error) = refused(&[
            ("apps/release.yaml", &object),
            ("charts/app/Chart.yaml", CHART),
            ("one.yaml", one),
            ("two.yaml", two),
        ]) else {
            return;
        };
        assert!(error.contains(wanted) && error.contains("apps/release.yaml:"), "{error}");
    }
}
