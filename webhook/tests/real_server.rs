//! The webhook between a real kube-apiserver, the real kubectl and the real Flux.

#![expect(clippy::print_stderr, clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use control_plane::{ControlPlane, GitServer, LONGEST, Result, condition, shared};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const GOOD: &[(&str, &str)] = &[
    ("good/kustomization.yaml", "resources:\n- map.yaml\n"),
    ("good/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\n"),
    ("broken/kustomization.yaml", "resources:\n- missing.yaml\n"),
];

/// A program that `tests/peers.sh` brings.
fn program(name: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let caches = ["overlay-test-peers", "overlay-peers/bin"];
    let cached = cache.iter().flat_map(|cache| caches.map(|name| cache.join(name)));
    let mut programs = std::env::split_paths(&path).chain(cached).map(|folder| folder.join(name));
    let found = programs.find(|program| program.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is needed: run tests/peers.sh");
        eprintln!("SKIPPED: there is no {name} (tests/peers.sh brings it)");
    }
    found
}

/// The webhook as a process, registered with the API server for one namespace.
struct Hook<'a> {
    plane: &'a ControlPlane,
    kubectl: PathBuf,
    name: String,
    process: Child,
    metrics: SocketAddr,
}

impl<'a> Hook<'a> {
    fn start(
        plane: &'a ControlPlane,
        kubectl: PathBuf,
        namespace: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let name = format!("webhook-{namespace}");
        plane.apply(
            "/api/v1/namespaces/overlay-system",
            json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "overlay-system" },
            })
            .to_string(),
        )?;
        let listen = free_address();
        plane.apply(
            &configuration_path(&name),
            configuration(&name, namespace, listen).to_string(),
        )?;
        let mut process = Command::new(env!("CARGO_BIN_EXE_overlay-webhook"))
            .env("KUBECONFIG", plane.kubeconfig())
            .args([
                "--tls-mode=self",
                "--dns-name=127.0.0.1",
                "--drain-delay=0",
                "--namespace=overlay-system",
            ])
            .args(["--listen-plain=127.0.0.1:0", &format!("--listen={listen}")])
            .arg(format!("--webhook-configuration={name}"))
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let metrics = metrics_address(&mut process);
        Ok(Self { plane, kubectl, name, process, metrics })
    }

    fn kubectl(&self, arguments: &[&str], input: &Value) -> Output {
        let mut kubectl = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.plane.kubeconfig())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        kubectl.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        kubectl.wait_with_output().unwrap()
    }

    /// What the server says against it, or nothing.
    fn refusal(&self, arguments: &[&str], input: &Value) -> Option<String> {
        let output = self.kubectl(arguments, input);
        (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
    }

    fn apply(&self, object: &Value) -> Option<String> {
        self.refusal(&["apply", "-f", "-"], object)
    }

    /// The API server hears of a new configuration some time after it was written.
    fn until_asked(&self, broken: &Value) {
        let deadline = Instant::now() + LONGEST;
        while self.refusal(&["create", "--dry-run=server", "-f", "-"], broken).is_none() {
            assert!(Instant::now() < deadline, "the webhook is never asked");
        }
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// Stops it as the kubelet does, and returns how it ended.
    fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Hook<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Others must not be asked about by a webhook that is gone.
        let _ = self.plane.delete(&configuration_path(&self.name));
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Where the process says that it listens without TLS; what it says afterwards goes nowhere.
fn metrics_address(process: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    for line in lines.by_ref().map(|line| line.unwrap()) {
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if said["msg"] == "listening" {
            std::thread::spawn(move || lines.for_each(drop));
            return said["plain"].as_str().unwrap().parse().unwrap();
        }
        seen.push_str(&line);
    }
    panic!("the webhook did not start: {seen}");
}

fn configuration_path(name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}")
}

/// Without a `caBundle`: the webhook brings its own.
fn configuration(name: &str, namespace: &str, listen: SocketAddr) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": name },
        "webhooks": [{
            "name": "kustomizations.overlay-webhook.dev",
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "url": format!("https://{listen}/validate") },
            "failurePolicy": "Fail",
            "timeoutSeconds": 10,
            "sideEffects": "None",
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
            // Everything, also what the chart leaves out.
            "rules": [{
                "apiGroups": ["kustomize.toolkit.fluxcd.io"],
                "apiVersions": ["*"],
                "resources": ["kustomizations", "kustomizations/status"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
            }],
        }],
    })
}

fn kustomization(namespace: &str, name: &str, path: &str) -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "interval": "1h",
            "path": path,
            "prune": true,
            "sourceRef": { "kind": "GitRepository", "name": "app" },
            "targetNamespace": namespace,
        },
    })
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Serves the content to whoever asks, for the rest of the program.
fn serve(content: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content));
        }
    });
    address
}

/// The GitRepository `app` with an artifact of these files, served by nobody of Flux; returns where.
fn publish(plane: &ControlPlane, namespace: &str, files: &[(&str, &str)]) -> Result<SocketAddr> {
    let content = archive(files);
    let hash = Sha256::digest(&content);
    let digest: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let address = serve(content);
    publish_at(plane, namespace, "app", address, &digest)?;
    Ok(address)
}

fn publish_at(
    plane: &ControlPlane,
    namespace: &str,
    name: &str,
    address: SocketAddr,
    digest: &str,
) -> Result<()> {
    let path =
        format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories/{name}");
    let object = |more: Value| {
        let mut object = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": { "name": name },
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object.to_string()
    };
    let spec = json!({ "interval": "1h", "url": "https://git.example/app", "suspend": true });
    plane.apply(&path, object(json!({ "spec": spec })))?;
    let artifact = json!({
        "url": format!("http://{address}/app.tar.gz"),
        "path": "app.tar.gz",
        "digest": format!("sha256:{digest}"),
        "revision": "main@sha1:5c9b3ad",
        "lastUpdateTime": "2026-01-01T00:00:00Z",
    });
    let status = object(json!({ "status": { "artifact": artifact } }));
    plane.apply(&format!("{path}/status"), status)?;
    Ok(())
}

/// Broken ones are denied with the place, good ones admitted, and nothing else is held up.
fn is_judged(protocol: &str, arguments: &[&str]) -> Result<()> {
    let (Some(plane), Some(kubectl)) = (shared(), program("kubectl")) else { return Ok(()) };
    plane.install_flux_definitions()?;
    let namespace = plane.namespace("webhook")?;
    let artifacts = publish(plane, &namespace, GOOD)?.to_string();
    let arguments = [&["--artifact-host", &artifacts], arguments].concat();
    let hook = Hook::start(plane, kubectl, &namespace, &arguments)?;
    let broken = kustomization(&namespace, "broken", "./broken");
    hook.until_asked(&broken);

    let refusal = hook.apply(&broken).expect("a broken one is denied");
    let said = "The Kustomization \"broken\" is invalid: spec.path: \"./broken\" of GitRepository/";
    assert!(refusal.starts_with(said), "{refusal}");
    assert!(refusal.contains("broken/missing.yaml: no such file or directory"), "{refusal}");
    assert!(refusal.contains("broken/kustomization.yaml:2:3"), "{refusal}");

    let good = kustomization(&namespace, "good", "./good");
    assert_eq!(hook.apply(&good), None);
    let changed = kustomization(&namespace, "good", "./broken");
    assert!(hook.apply(&changed).is_some(), "a change for the worse is denied");
    let target = ["kustomization/good", "-n", &namespace];
    let annotate =
        [&["annotate"], target.as_slice(), &["reconcile.fluxcd.io/requestedAt=now"]].concat();
    assert_eq!(hook.refusal(&annotate, &Value::Null), None);
    let status = r#"{"status":{"lastAttemptedRevision":"x"}}"#;
    let patch =
        [&["patch"], target.as_slice(), &["--subresource=status", "--type=merge", "-p", status]]
            .concat();
    assert_eq!(hook.refusal(&patch, &Value::Null), None);
    // Also one that does not build any more can be deleted: what it says of itself is not asked.
    let delete = [&["delete"], target.as_slice()].concat();
    assert_eq!(hook.refusal(&delete, &Value::Null), None);

    let metrics = hook.metrics();
    let asked = format!("overlay_webhook_requests_total{{protocol=\"{protocol}\"}}");
    assert!(metrics.contains(&asked), "{metrics}");
    assert!(
        metrics.contains("overlay_webhook_reviews_total{verdict=\"allowed\",reason=\"deletion\"}"),
        "{metrics}"
    );
    assert_eq!(hook.stop(), Some(0));
    Ok(())
}

#[test]
fn kustomizations_are_judged_over_http2() -> Result<()> {
    is_judged("h2", &[])
}

#[test]
fn kustomizations_are_judged_over_http1() -> Result<()> {
    is_judged("http/1.1", &["--no-http2"])
}

#[test]
fn the_api_server_comes_back_where_there_is_too_much_to_do() -> Result<()> {
    let (Some(plane), Some(kubectl)) = (shared(), program("kubectl")) else { return Ok(()) };
    plane.install_flux_definitions()?;
    let namespace = plane.namespace("busy")?;
    let artifacts = publish(plane, &namespace, GOOD)?.to_string();
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    publish_at(plane, &namespace, "silent", address, &"0".repeat(64))?;
    let hosts = format!("{artifacts},{address}");
    let arguments = ["--artifact-host", &hosts, "--renders=1", "--timeout=2"];
    let hook = Hook::start(plane, kubectl, &namespace, &arguments)?;
    hook.until_asked(&kustomization(&namespace, "broken", "./broken"));

    let mut waiting = kustomization(&namespace, "waiting", "./good");
    waiting["spec"]["sourceRef"]["name"] = "silent".into();
    let path = |name: &str| {
        format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/{name}")
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| plane.apply(&path("waiting"), waiting.to_string()));
        let held = silent.accept().unwrap();
        // The only place is taken: this one is told to come back, and does.
        plane.apply(&path("good"), kustomization(&namespace, "good", "./good").to_string())?;
        drop(held);
        first.join().unwrap()
    })?;
    let metrics = hook.metrics();
    assert!(metrics.contains("refused_requests_total{reason=\"overload\"}"), "{metrics}");
    assert!(metrics.contains("reviews_total{verdict=\"allowed\",reason=\"built\"} 1"), "{metrics}");
    Ok(())
}

#[test]
fn a_turn_of_gitops_with_flux() -> Result<()> {
    let (Some(plane), Some(kubectl)) = (shared(), program("kubectl")) else { return Ok(()) };
    plane.start_flux()?;
    let namespace = plane.namespace("gitops")?;
    let git = GitServer::start()?;
    git.commit("app", GOOD)?;
    let source =
        format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories/app");
    plane.apply(
        &source,
        json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": { "name": "app" },
            "spec": { "interval": "1s", "url": git.url("app"), "ref": { "branch": "main" } },
        })
        .to_string(),
    )?;
    let repository = plane.wait_for(&source, |o| o["status"]["artifact"].is_object())?;
    let url = repository["status"]["artifact"]["url"].as_str().unwrap().to_owned();
    let host = url.trim_start_matches("http://").split('/').next().unwrap();
    let hook = Hook::start(plane, kubectl, &namespace, &["--artifact-host", host])?;
    hook.until_asked(&kustomization(&namespace, "broken", "./broken"));

    // source-controller's artifact, our verdict, kustomize-controller's apply.
    let refusal =
        hook.apply(&kustomization(&namespace, "app", "./broken")).expect("it does not build");
    assert!(refusal.contains("broken/missing.yaml"), "{refusal}");
    assert_eq!(hook.apply(&kustomization(&namespace, "app", "./good")), None);
    let path =
        format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/app");
    plane.wait_for(&path, |object| condition(object, "Ready"))?;
    plane.get(&format!("/api/v1/namespaces/{namespace}/configmaps/greeting"))?;

    // A commit that mends the other directory is judged by its own artifact.
    let map =
        ("broken/missing.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: mended\n");
    git.commit("app", &[GOOD, &[map]].concat())?;
    plane.wait_for(&source, |o| o["status"]["artifact"]["url"].as_str() != Some(&url))?;
    assert_eq!(hook.apply(&kustomization(&namespace, "app", "./broken")), None);
    plane.wait_for(&format!("/api/v1/namespaces/{namespace}/configmaps/mended"), |_| true)?;
    // kustomize-controller removes its finalizer, which is an update like any other.
    plane.delete(&path)?;
    let deadline = Instant::now() + LONGEST;
    while plane.get(&path).is_ok() {
        assert!(Instant::now() < deadline, "the finalizer stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What the chart renders to for a namespace.
fn chart(helm: &PathBuf, namespace: &str, values: &[&str]) -> Vec<u8> {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/overlay-webhook");
    let mut command = Command::new(helm);
    command.args(["template", namespace, chart, "-n", namespace, "--kube-version=1.36.0"]);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    let rendered = command.output().unwrap();
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    rendered.stdout
}

fn apply_all(
    plane: &ControlPlane,
    kubectl: &PathBuf,
    objects: &[u8],
    arguments: &[&str],
) -> String {
    let mut apply = Command::new(kubectl)
        .arg("--kubeconfig")
        .arg(plane.kubeconfig())
        .args(["apply", "--server-side", "--validate=strict", "-f", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    apply.stdin.take().unwrap().write_all(objects).unwrap();
    let applied = apply.wait_with_output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    String::from_utf8(applied.stdout).unwrap()
}

/// The command line that the chart gives the container.
fn container_arguments(objects: &[u8]) -> Vec<String> {
    use serde::Deserialize;
    let documents = serde_yaml::Deserializer::from_slice(objects);
    let deployment = documents
        .map(|document| Value::deserialize(document).unwrap())
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    arguments.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_rights_of_the_chart_are_enough_and_no_more() -> Result<()> {
    let programs = (program("kubectl"), program("helm"));
    let (Some(plane), (Some(kubectl), Some(helm))) = (shared(), programs) else { return Ok(()) };
    plane.install_flux_definitions()?;
    let namespace = plane.namespace("rights")?;
    // Nobody answers at its Service: it is not to be asked about anything.
    let nowhere = "webhook.namespaceSelector.matchLabels.nobody=has-this";
    let objects = chart(&helm, &namespace, &[nowhere]);
    apply_all(plane, &kubectl, &objects, &[]);
    let name = format!("{namespace}-overlay-webhook");
    let group = "/apis/rbac.authorization.k8s.io/v1";
    for (path, kind, role) in [
        (format!("{group}/clusterrolebindings/{namespace}"), "ClusterRoleBinding", "ClusterRole"),
        (format!("{group}/namespaces/{namespace}/rolebindings/guest"), "RoleBinding", "Role"),
    ] {
        let bound = path.rsplit('/').next().unwrap();
        plane.apply(&path, json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": { "name": bound },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest" }],
        }).to_string())?;
    }
    publish(plane, &namespace, GOOD)?;
    let sources =
        format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories");
    let guest = |path: &str| plane.get_with_token(plane.guest_token(), path);
    let deadline = Instant::now() + LONGEST;
    while let Err(error) = guest(&format!("{sources}/app")) {
        assert!(Instant::now() < deadline, "{error}");
    }

    let mut process = Command::new(env!("CARGO_BIN_EXE_overlay-webhook"))
        .env("KUBECONFIG", plane.guest_kubeconfig())
        .env("POD_NAMESPACE", &namespace)
        .args(container_arguments(&objects))
        .args(["--listen=127.0.0.1:0", "--listen-plain=127.0.0.1:0", "--drain-delay=0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    metrics_address(&mut process);
    process.kill().unwrap();
    process.wait().unwrap();
    let configuration = plane.get(&configuration_path(&name))?;
    assert!(configuration["webhooks"][0]["clientConfig"]["caBundle"].is_string());
    plane.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}-ca"))?;

    for path in [sources, format!("/api/v1/namespaces/{namespace}/secrets"), "/api/v1/pods".into()]
    {
        assert!(guest(&path).unwrap_err().to_string().contains("forbidden"), "{path}");
    }
    plane.delete(&configuration_path(&name))?;
    Ok(())
}

#[test]
fn the_chart_is_accepted() -> Result<()> {
    let programs = (program("kubectl"), program("helm"));
    let (Some(plane), (Some(kubectl), Some(helm))) = (shared(), programs) else { return Ok(()) };
    let namespace = plane.namespace("chart")?;
    let objects = chart(&helm, &namespace, &[]);
    // Without trace: its webhook would be asked, and nobody would answer.
    let applied = apply_all(plane, &kubectl, &objects, &["--dry-run=server"]);
    let count = applied.lines().count();
    assert_eq!(count, 10, "{applied}");
    Ok(())
}
