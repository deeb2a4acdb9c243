//! Real kubectls against the API in memory, as `rehearse` serves it: one test a version.
//!
//! `tests/peers.sh` brings them. Where it cannot, a test says so and is left out, but with `CI=true`.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kubectl_overlay::args::Beginning;
use kubectl_overlay::settings::Settings;
use kubectl_overlay::stage::Stage;
use overlay::rehearsal::front::{self, Front};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: web
        image: web:1
        ports:
        - {name: http, containerPort: 8080}
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: http}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data: {mode: fast}
";

/// One kubectl and a server for it.
struct Site {
    kubectl: PathBuf,
    folder: TempDir,
    _stage: Stage,
    _runtime: Runtime,
}

/// What a call came to.
struct Run {
    code: i32,
    out: String,
    err: String,
}

/// The program of a minor, e.g. `1.29`; nothing where it cannot be had.
fn program(minor: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers.sh");
    let mut command = Command::new(script);
    if minor != "1.37" {
        command.args(["--kubectl", minor]);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let folder = String::from_utf8(output.stdout).unwrap();
    let program = Path::new(folder.trim()).join("kubectl");
    if output.status.success() && program.is_file() {
        return Some(program);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no kubectl {minor}");
    // Past what a test's own output goes through.
    let _ = writeln!(
        std::io::stderr(),
        "\n*** SKIPPED: no kubectl {minor}; tests/peers.sh brings it\n"
    );
    None
}

impl Site {
    fn new(kubectl: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let beginning =
            Beginning { kubernetes: "1.36".into(), from: Vec::new(), faults: Vec::new() };
        let stage = Stage::set(&beginning, &Settings::default(), "default").unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let front = Front::new(listener.local_addr().unwrap()).unwrap();
        std::fs::write(folder.path().join("kubeconfig"), front.kubeconfig("shop")).unwrap();
        runtime.spawn(front::serve(stage.api.clone(), listener, front));
        let site = Self { kubectl, folder, _stage: stage, _runtime: runtime };
        site.write("web.yaml", WEB);
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .env("KUBECTL_APPLYSET", "true")
            .env_remove("HTTPS_PROXY");
        command
    }

    fn run(&self, words: &str) -> Run {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        Run { code: output.status.code().unwrap_or(-1), out, err }
    }

    /// Runs what has to succeed, and returns what it prints.
    fn good(&self, words: &str) -> String {
        let Run { code, out, err } = self.run(words);
        assert_eq!(code, 0, "kubectl {words}\n{out}{err}");
        out
    }

    /// Runs what has to print all of `wanted`.
    fn says(&self, words: &str, wanted: &[&str]) {
        let out = self.good(words);
        for text in wanted {
            assert!(out.contains(text), "kubectl {words}: no {text:?} in\n{out}");
        }
    }

    /// Runs what has to fail, with `wanted` in what it says.
    fn fails(&self, words: &str, code: i32, wanted: &str) {
        let run = self.run(words);
        let shown = run.out + &run.err;
        assert_eq!(run.code, code, "kubectl {words}\n{shown}");
        assert!(shown.contains(wanted), "kubectl {words}: no {wanted:?} in\n{shown}");
    }
}

fn session(minor: &str) {
    let Some(kubectl) = program(minor) else { return };
    let site = Site::new(kubectl);
    site.says("create namespace shop", &["namespace/shop created"]);
    applies(&site);
    reads(&site);
    changes(&site);
    watches(&site);
    prunes(&site);
    discovers(&site);
    deletes(&site);
}

fn applies(site: &Site) {
    let applied = ["deployment.apps/web serverside-applied", "configmap/web serverside-applied"];
    site.says("apply --server-side -f web.yaml", &applied);
    site.says(
        "apply --server-side -f web.yaml --dry-run=server",
        &["web serverside-applied (server dry run)"],
    );
    site.says("rollout status deployment/web --timeout=60s", &["successfully rolled out"]);
    site.says("wait --for=condition=Available deployment/web --timeout=60s", &["condition met"]);
    site.good("diff --server-side -f web.yaml");
    site.write("more.yaml", &WEB.replace("replicas: 2", "replicas: 3"));
    site.fails("diff --server-side -f more.yaml", 1, "+  replicas: 3");
    let other = "apply --server-side --field-manager=other -f more.yaml";
    site.fails(other, 1, "conflict with \"kubectl\": .spec.replicas");
    site.good(&format!("{other} --force-conflicts"));
    site.write("wrong.yaml", &WEB.replace("replicas: 2", "replica: 2"));
    site.fails(
        "apply --server-side -f wrong.yaml",
        1,
        ".spec.replica: field not declared in schema",
    );
    site.fails("apply --validate=true -f wrong.yaml", 1, "unknown field \"spec.replica\"");
    // As it was before there was server-side apply.
    site.write(
        "old.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {a: '1'}\n",
    );
    site.says("apply -f old.yaml", &["configmap/old created"]);
    site.says("apply -f old.yaml", &["configmap/old unchanged"]);
    site.write(
        "old.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: old}\ndata: {b: '2'}\n",
    );
    site.says("apply -f old.yaml", &["configmap/old configured"]);
    assert_eq!(site.good("get configmap old -o jsonpath={.data}"), "{\"b\":\"2\"}");
}

fn reads(site: &Site) {
    site.says(
        "get deployment web -o yaml --show-managed-fields",
        &["kind: Deployment", "operation: Apply"],
    );
    site.says("get deployments -o wide", &["CONTAINERS", "web:1", "3/3"]);
    site.says(
        "get all",
        &["deployment.apps/web", "service/web", "replicaset.apps/web-", "pod/web-"],
    );
    site.says("get pods -l app=web --field-selector status.phase=Running -o name", &["pod/web-"]);
    site.says("get deployments -A --sort-by=.metadata.name --no-headers", &["shop", "web"]);
    site.says("get deploy web -o custom-columns=N:.metadata.name", &["web"]);
    site.says("get configmaps --chunk-size=1", &["old", "web"]);
    site.says("get secrets", &[]);
    site.fails(
        "get configmap none",
        1,
        "Error from server (NotFound): configmaps \"none\" not found",
    );
    site.says("describe deployment web", &["Replicas:", "3 desired", "Available"]);
    site.says("describe service web", &["Selector:", "app=web"]);
    site.says("describe pods -l app=web", &["Node:", "Running"]);
    site.says("describe namespace shop", &["Active"]);
    site.says("rollout history deployment/web", &["REVISION"]);
    site.says("get events", &[]);
    site.says("auth can-i create deployments", &["yes"]);
}

fn changes(site: &Site) {
    site.says("scale deployment web --replicas=1", &["deployment.apps/web scaled"]);
    site.says("patch configmap web -p {\"data\":{\"x\":\"1\"}}", &["configmap/web patched"]);
    site.says(
        "patch configmap web --type=merge -p {\"data\":{\"y\":\"2\"}}",
        &["configmap/web patched"],
    );
    let operations = r#"[{"op":"remove","path":"/data/y"}]"#;
    site.says(
        &format!("patch configmap web --type=json -p {operations}"),
        &["configmap/web patched"],
    );
    let scale =
        "patch deployment web --subresource=scale --type=merge -p {\"spec\":{\"replicas\":2}}";
    site.good(scale);
    site.says("label configmap web tier=front", &["configmap/web labeled"]);
    site.fails("label configmap web tier=back", 1, "--overwrite is false");
    site.says("annotate configmap web note=yes", &["configmap/web annotated"]);
    site.says("set image deployment/web web=web:2", &["image updated"]);
    site.says("set env deployment/web A=1", &["env updated"]);
    site.says("rollout restart deployment/web", &["restarted"]);
    site.says("rollout status deployment/web --timeout=60s", &["successfully rolled out"]);
    site.says("rollout undo deployment/web", &["rolled back"]);
    site.says("create configmap made --from-literal=a=1", &["configmap/made created"]);
    site.fails("create configmap made", 1, "already exists");
    site.says("create secret generic hidden --from-literal=a=1", &["secret/hidden created"]);
    site.says("expose deployment web --name=again --port=80", &["service/again exposed"]);
    site.says("autoscale deployment web --max=3 --min=1", &["web autoscaled"]);
    site.write(
        "made.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {b: '2'}\n",
    );
    site.says("replace -f made.yaml", &["configmap/made replaced"]);
    assert_eq!(site.good("get configmap made -o jsonpath={.data.b}"), "2");
    site.says("run lone --image=lone:1", &["pod/lone created"]);
    site.says("wait --for=condition=Ready pod/lone --timeout=60s", &["condition met"]);
}

/// What happens is seen by who watches, and a table has its columns.
fn watches(site: &Site) {
    let words = "get configmaps --watch --output-watch-events --request-timeout=60s";
    let mut child =
        site.command(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("EVENT") && first.contains("DATA"), "{first}");
    let mut until = |wanted: [&str; 2]| {
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| wanted.iter().all(|w| line.contains(w)));
        assert!(found.is_some(), "no {wanted:?}");
    };
    until(["ADDED", "made"]);
    site.good("create configmap later");
    until(["ADDED", "later"]);
    site.good("label configmap later seen=yes");
    until(["MODIFIED", "later"]);
    site.good("delete configmap later");
    until(["DELETED", "later"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// An ApplySet takes along what is no longer in it.
fn prunes(site: &Site) {
    let map =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n---\n");
    site.write("set.yaml", &(map("set-a") + &map("set-b")));
    let apply = "apply -n shop --server-side --prune --applyset=configmaps/members -f set.yaml";
    site.says(apply, &["configmap/set-a serverside-applied", "configmap/set-b serverside-applied"]);
    site.write("set.yaml", &map("set-a"));
    site.says(apply, &["configmap/set-a serverside-applied", "configmap/set-b pruned"]);
    site.fails("get configmap set-b", 1, "NotFound");
    site.says(
        "get configmap members -o yaml",
        &["applyset.kubernetes.io/id: applyset-", "contains-group-kinds: ConfigMap"],
    );
}

fn discovers(site: &Site) {
    site.says("explain deployment.spec.replicas", &["FIELD: replicas <integer>"]);
    site.says("explain pods --recursive", &["containers", "imagePullPolicy"]);
    site.says("api-resources", &["deployments", "apps/v1", "configmaps"]);
    site.says(
        "api-resources --namespaced=false -o name",
        &["namespaces", "clusterroles.rbac.authorization.k8s.io"],
    );
    site.says("api-versions", &["apps/v1", "batch/v1", "networking.k8s.io/v1"]);
    site.says("version", &["Server Version: v1.36"]);
    site.says("get --raw /readyz", &["ok"]);
    site.says("get nodes", &["Ready"]);
    site.says("cluster-info", &["control plane"]);
}

fn deletes(site: &Site) {
    site.says("delete pod lone --now", &["pod \"lone\""]);
    site.says("delete configmaps -l tier=front", &["configmap \"web\""]);
    site.says(
        "delete -f web.yaml --ignore-not-found --cascade=foreground --timeout=60s",
        &["deployment.apps \"web\""],
    );
    site.says("wait --for=delete deployment/web --timeout=60s", &[]);
    site.says("delete namespace shop --timeout=60s", &["namespace \"shop\" deleted"]);
    site.fails("get namespace shop", 1, "NotFound");
}

#[test]
fn kubectl_1_29_works() {
    session("1.29");
}

#[test]
fn kubectl_1_30_works() {
    session("1.30");
}

#[test]
fn kubectl_1_31_works() {
    session("1.31");
}

#[test]
fn kubectl_1_32_works() {
    session("1.32");
}

#[test]
fn kubectl_1_33_works() {
    session("1.33");
}

#[test]
fn kubectl_1_37_works() {
    session("1.37");
}
