//! `flux build` and `flux diff` with `--with-helm`, by the real Helm: what is printed of releases, what differs in them, and
//! how often Helm is run for it.
#![expect(clippy::disallowed_methods, reason = "tests write their cases to the disk")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "support/outcome.rs"]
mod outcome;
#[path = "support/peers.rs"]
mod peers;
mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use kubectl_overlay::settings::Settings;
use outcome::Run;
use peers::peer;
use serde_json::Value as Json;
use support::Recorder;

/// A repository, and a Helm that counts its runs.
struct Site {
    folder: tempfile::TempDir,
}

const KUSTOMIZATION: &str = "apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 1m
  prune: true
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
";

const RELEASES: &str = "apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: web, namespace: shop}
spec:
  interval: 1m
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  valuesFrom: [{kind: Secret, name: hidden}]
  values: {colour: blue}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: other, namespace: shop}
spec:
  interval: 1m
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: flux-system, namespace: flux-system}}}
  values: {colour: red, password: none}
";

const SECRET: &str = "apiVersion: v1
kind: Secret
metadata: {name: hidden, namespace: shop}
stringData: {values.yaml: 'password: canary-one'}
";

const TEMPLATE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: '{{ .Release.Name }}', labels: {chart: '{{ .Chart.Version }}'}}
data:
  colour: {{ .Values.colour }}
  url: 'https://user:{{ .Values.password }}@database'
  sum: {{ sha256sum .Values.password }}
";

impl Site {
    fn new() -> Option<Self> {
        let helm = peer("helm")?;
        let site = Self { folder: tempfile::tempdir().unwrap() };
        site.write("clusters/apps.yaml", KUSTOMIZATION);
        site.write("apps/releases.yaml", RELEASES);
        site.write("apps/secret.yaml", SECRET);
        site.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
        site.write("charts/web/templates/web.yaml", TEMPLATE);
        let script = format!("#!/bin/sh\necho run >> \"$0.log\"\nexec {} \"$@\"\n", helm.display());
        site.write(".git/helm", &script);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(site.helm(), executable).unwrap();
        site.git("init -q -b main");
        site.commit();
        Some(site)
    }

    fn helm(&self) -> PathBuf {
        self.folder.path().join(".git/helm")
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    fn git(&self, line: &str) {
        let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        let mut command = Command::new("git");
        command.args(name).args(line.split(' ')).current_dir(self.folder.path());
        assert!(command.status().unwrap().success(), "{line}");
    }

    fn commit(&self) {
        self.git("add .");
        self.git("commit -q -m x");
    }

    fn run(&self, line: &str) -> Run {
        let (out, err) = (Recorder::default(), Recorder::default());
        let directory = self.folder.path().to_path_buf();
        let settings =
            Settings { directory, kubeconfig: Some("kubeconfig".into()), ..Settings::default() };
        let _ = std::fs::remove_file(self.log());
        let helm = self.helm();
        let more = ["--with-helm", "--helm-command", helm.to_str().unwrap()];
        let words = ["kubectl-overlay", "flux"].into_iter().chain(line.split(' ')).chain(more);
        let code = support::run(words, &settings, out.stream(""), err.stream(""));
        Run { code, out: out.text(), err: err.text() }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join(".git/helm.log")
    }

    /// How often the last run has run Helm.
    fn helm_runs(&self) -> usize {
        std::fs::read_to_string(self.log()).unwrap_or_default().lines().count()
    }
}

impl Run {
    #[track_caller]
    fn hides(self, text: &str) -> Self {
        let all = format!("{}\n{}", self.out, self.err);
        assert!(!all.contains(text), "{text:?} is in:\n{all}");
        self
    }

    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap()
    }
}

#[test]
fn the_objects_of_releases_come_after_those_of_their_kustomization() {
    let Some(site) = Site::new() else { return };
    let run = site.run("build clusters").ends_with(0);
    assert_eq!(site.helm_runs(), 2);
    let at = |text: &str| run.out.find(text).unwrap_or_else(|| panic!("no {text}:\n{}", run.out));
    let web = at("---\n# HelmRelease/shop/web\napiVersion: v1\n");
    assert!(at("# Kustomization/flux-system/apps\n") < web);
    assert!(at("kind: HelmRelease\n") < web && web < at("url: https://user:canary-one@database"));
    // As it is printed for somebody who reads it, and for a program.
    let yaml = site.run("build apps clusters -o yaml").ends_with(0);
    assert_eq!(yaml.out, run.out);
    let json = site.run("build apps clusters -o json").ends_with(0).json();
    let apps = &json["kustomizations"][0];
    let releases = apps["helmReleases"].as_array().unwrap();
    let mut names: Vec<_> = releases.iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["other", "web"]);
    let web = releases.iter().find(|one| one["name"] == "web").unwrap();
    assert_eq!(web["namespace"], "shop");
    assert_eq!(web["objects"][0]["data"]["colour"], "blue");
    assert_eq!(json["problems"], Json::Array(Vec::new()));
}

#[test]
fn a_release_that_does_not_render_is_named_and_the_others_are_printed() {
    let Some(site) = Site::new() else { return };
    site.write(
        "apps/bad.yaml",
        &RELEASES
            .split("---\n")
            .next()
            .unwrap()
            .replace("charts/web", "charts/none")
            .replace("name: web", "name: bad"),
    );
    let run = site.run("build apps clusters").ends_with(1);
    let run = run.shows("# HelmRelease/shop/other\n").says("charts/none: no chart here");
    let run = run.says("from apps/bad.yaml:1:1");
    drop(run);
    let run = site.run("diff clusters").ends_with(2).says("charts/none: no chart here");
    run.shows("► HelmRelease/shop/bad created");
}

#[test]
fn a_change_of_values_shows_in_the_objects_of_the_release() {
    let Some(site) = Site::new() else { return };
    let same = site.run("diff clusters").ends_with(0);
    let same = same.says("no changes in 1 Kustomization and 2 HelmReleases\n");
    // Once for each release and once more for what is secret of one; the other side is the same.
    assert_eq!((site.helm_runs(), same.out.as_str()), (3, ""));
    site.write("apps/releases.yaml", &RELEASES.replace("colour: blue", "colour: green"));
    let run = site.run("diff clusters").ends_with(1).hides("canary");
    assert_eq!(site.helm_runs(), 5);
    let run =
        run.shows("📁 Kustomization/flux-system/apps changed\n► HelmRelease/shop/web changed\n");
    let run = run.shows(
        "📁 HelmRelease/shop/web changed\n► ConfigMap/shop/web changed\n--- HEAD/ConfigMap/shop/web\n+++ working tree/ConfigMap/shop/web\n",
    );
    let run = run.shows("-  colour: blue\n+  colour: green\n").shows("  sum: '***'\n");
    run.says("1 of 1 Kustomization and 1 of 2 HelmReleases differ; objects: 2 changed\n");
    let json = site.run("diff clusters -o json").ends_with(1).hides("canary").json();
    let release = &json["helmReleases"][0];
    assert_eq!((&release["name"], &release["change"]), (&"web".into(), &"changed".into()));
    assert_eq!(release["objects"][0]["differences"][0]["path"], "/data/colour");
    assert_eq!(json["helmReleases"].as_array().unwrap().len(), 1);
}

#[test]
fn a_change_of_a_chart_shows_although_no_kustomization_differs() {
    let Some(site) = Site::new() else { return };
    site.write("charts/web/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.1.0\n");
    let run = site.run("diff apps clusters").ends_with(1).hides("canary");
    let run =
        run.shows("📁 HelmRelease/shop/web changed\n").shows("📁 HelmRelease/shop/other changed\n");
    let run = run.shows("-    chart: 1.0.0\n+    chart: 1.1.0\n").hides("📁 Kustomization");
    run.says("0 of 1 Kustomization and 2 of 2 HelmReleases differ; objects: 2 changed\n");
    site.commit();
    site.write("apps/releases.yaml", RELEASES.split("---\n").next().unwrap());
    let run = site.run("diff clusters").ends_with(1);
    run.shows("📁 HelmRelease/shop/other deleted\n► ConfigMap/shop/other deleted\n");
}

#[test]
fn a_secret_value_that_changes_is_seen_to_change_and_not_seen() {
    let Some(site) = Site::new() else { return };
    site.write("apps/secret.yaml", &SECRET.replace("canary-one", "canary-two"));
    let run = site.run("diff clusters").ends_with(1).hides("canary");
    let run = run.shows("-  sum: '*** (before)'\n-  url: '*** (before)'\n");
    run.shows("+  sum: '*** (after)'\n+  url: '*** (after)'\n");
    // A chart that fails with anything else in its place: nothing of its objects is shown.
    let picky = "{{ if not (hasPrefix \"canary\" .Values.password) }}{{ fail \"no\" }}{{ end }}";
    site.write("apps/releases.yaml", RELEASES.split("---\n").next().unwrap());
    site.write("charts/web/templates/web.yaml", &format!("{picky}\n{TEMPLATE}"));
    site.commit();
    site.write("apps/secret.yaml", SECRET);
    let run = site.run("diff clusters").ends_with(1).hides("canary").hides("blue");
    run.shows("► ConfigMap/shop/web changed\n").shows("+  url: '*** (after)'\n");
}
