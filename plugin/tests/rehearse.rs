//! Syncs without a cluster: `sync --rehearse`, `rehearse`, `try`.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

mod support;

use std::path::Path;

use kubectl_overlay::settings::Settings;
use support::Recorder;

/// Exit code, and what is shown on both streams.
fn run(directory: &Path, words: &[&str]) -> (u8, String) {
    let shown = Recorder::default();
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    let words = ["kubectl-overlay"].iter().chain(words);
    let code = support::run(words, &settings, shown.stream(""), shown.stream(""));
    (code, shown.text())
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: web:1
";

fn overlay(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn web() -> tempfile::TempDir {
    overlay(&[
        ("kustomization.yaml", "resources: [web.yaml]\n"),
        ("web.yaml", DEPLOYMENT),
        ("before/web.yaml", &DEPLOYMENT.replace("replicas: 2", "replicas: 1")),
    ])
}

#[test]
fn a_sync_is_rehearsed_up_to_health() {
    let (code, shown) = run(web().path(), &["sync", "--rehearse"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("  + create     Deployment shop/web\n1 to create\n"), "{shown}");
    assert!(shown.contains("  ready      Deployment shop/web\n"), "{shown}");
    assert!(
        shown.contains("rehearsed 1 of 1 objects exactly, as Kubernetes 1.36 would"),
        "{shown}"
    );
}

#[test]
fn what_is_there_before_has_owners() {
    let web = web();
    let words = ["sync", "--rehearse", "--from", "before"];
    let (code, shown) = run(web.path(), &words);
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains(".spec.replicas is owned by \"before\""), "{shown}");
    let (code, shown) = run(web.path(), &[&words[..], &["--force-conflicts"]].concat());
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("      spec.replicas: 1 -> 2\n"), "{shown}");
}

#[test]
fn a_directory_is_read_without_those_below_it() {
    let web = web();
    let state = |name: &str, text: &str| {
        let path = web.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    // One that could not be applied, were it read.
    state(
        "before/deeper/wrong.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: 1\n",
    );
    let (code, shown) = run(web.path(), &["sync", "--rehearse", "--from", "before"]);
    assert_eq!(code, 3, "{shown}");
    // What holds nothing is no beginning, but a mistake.
    state("above/before/web.yaml", DEPLOYMENT);
    let (code, shown) = run(web.path(), &["sync", "--rehearse", "--from", "above"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("above: there is no file .json, .yaml or .yml"), "{shown}");
    assert!(shown.contains("files below its directories are not read"), "{shown}");
}

fn git(directory: &Path, words: &[&str]) {
    let mut command = std::process::Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_revision_of_git_is_what_is_there_before() {
    let one = DEPLOYMENT.replace("replicas: 2", "replicas: 1");
    let tree = overlay(&[
        ("production/kustomization.yaml", "resources: [../base]\nnamespace: shop\n"),
        ("base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("base/web.yaml", &one),
    ]);
    git(tree.path(), &["init", "--quiet"]);
    git(tree.path(), &["add", "."]);
    git(tree.path(), &["commit", "--quiet", "--message", "one"]);
    git(tree.path(), &["tag", "first"]);
    std::fs::write(tree.path().join("base/web.yaml"), DEPLOYMENT).unwrap();
    git(tree.path(), &["commit", "--quiet", "--all", "--message", "two"]);
    // What is not committed is what is synced.
    std::fs::write(tree.path().join("base/web.yaml"), DEPLOYMENT.replace("web:1", "web:2"))
        .unwrap();

    let sync = |from: &str| {
        run(tree.path(), &["sync", "production", "--rehearse", "--force-conflicts", "--from", from])
    };
    for (from, changes) in [
        ("production@git:first", "      spec.replicas: 1 -> 2\n"),
        ("production@git:HEAD~1", "      spec.replicas: 1 -> 2\n"),
        ("production@git:HEAD", "containers[0].image: web:1 -> web:2\n"),
    ] {
        let (code, shown) = sync(from);
        assert_eq!(code, 0, "{shown}");
        assert!(shown.contains(changes), "{from}: {shown}");
    }
    let (code, shown) = sync("production@git:nowhere");
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("nowhere"), "{shown}");
}

#[test]
fn the_server_refuses_what_a_server_refuses() {
    let wrong = DEPLOYMENT.replace("      app: web\n  template", "      app: wbe\n  template");
    let web = overlay(&[("kustomization.yaml", "resources: [web.yaml]\n"), ("web.yaml", &wrong)]);
    let (code, shown) = run(web.path(), &["sync", "--rehearse"]);
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("`selector` does not match template `labels`"), "{shown}");
    assert!(shown.contains("nothing was written"), "{shown}");
}

#[test]
fn strict_refuses_what_is_not_exact() {
    let thing = "apiVersion: example.org/v1\nkind: Thing\nmetadata:\n  name: a\n";
    let tree = overlay(&[("kustomization.yaml", "resources: [a.yaml]\n"), ("a.yaml", thing)]);
    let (code, shown) = run(tree.path(), &["sync", "--rehearse", "--strict"]);
    assert_eq!(code, 4, "{shown}");
    assert!(shown.contains("Thing a is rehearsed as unknown only"), "{shown}");
}

#[test]
fn pods_go_wrong_on_demand() {
    let web = web();
    let words = ["sync", "--rehearse", "--fault", "crash-loop:pod=shop/web"];
    let (code, shown) = run(web.path(), &words);
    assert_eq!(code, 5, "{shown}");
    assert!(shown.contains("  failed     Deployment shop/web"), "{shown}");
    let words = ["sync", "--rehearse", "--fault", "slow:pod=web,seconds=30"];
    let (code, shown) = run(web.path(), &words);
    assert_eq!(code, 0, "{shown}");
    let words = ["sync", "--rehearse", "--fault", "crash-loop:pod=other"];
    assert_eq!(run(web.path(), &words).0, 0);
}

#[test]
fn requests_go_wrong_on_demand() {
    let web = web();
    let sync = |fault: &str| run(web.path(), &["sync", "--rehearse", "--fault", fault]);
    let (code, shown) = sync("429:method=PATCH,times=2");
    assert_eq!(code, 0, "{shown}");
    let (code, shown) = sync("500:path=/deployments/,times=1000");
    assert_eq!(code, 1, "{shown}");
    assert!(shown.contains("etcdserver: request timed out"), "{shown}");
    let (code, shown) = sync("503:after=3,times=100000");
    assert_eq!(code, 1, "{shown}");
    let (code, shown) = sync("418");
    assert_eq!(code, 2, "{shown}");
    assert!(shown.contains("known are crash-loop"), "{shown}");
}

#[test]
fn versions_that_are_not_known_are_refused_with_those_that_are() {
    let (code, shown) = run(web().path(), &["sync", "--rehearse", "--kubernetes", "1.12"]);
    assert_eq!(code, 1);
    assert!(shown.contains("known are 1.29 to 1.37"), "{shown}");
    let (code, shown) = run(web().path(), &["sync", "--rehearse", "--kubernetes", "1.29"]);
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn a_command_gets_a_kubeconfig_and_gives_its_code() {
    let words =
        ["rehearse", "--", "sh", "-c", "grep -q certificate-authority-data $KUBECONFIG && exit 7"];
    assert_eq!(run(web().path(), &words).0, 7);
    // It is on this machine alone, and so is who may read the token.
    let script = r#"grep -q '"server": "https://127.0.0.1:' $KUBECONFIG && grep -q token $KUBECONFIG &&
        [ "$(ls -l $KUBECONFIG | cut -c1-10)" = -rw------- ] && exit 8"#;
    assert_eq!(run(web().path(), &["rehearse", "--", "sh", "-c", script]).0, 8);
}

#[test]
fn the_example_is_shown_and_kept_only_where_nothing_is() {
    let directory = tempfile::tempdir().unwrap();
    let (code, shown) = run(directory.path(), &["try", "--into", "example"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("$ kubectl overlay sync production --rehearse"), "{shown}");
    assert!(directory.path().join("example/base/deployment.yaml").is_file());
    assert_eq!(run(directory.path(), &["try", "--into", "example"]).0, 4);
}
