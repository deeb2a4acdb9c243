//! The program itself: how it starts, ends, and what it never says.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::fixture::{Artifacts, Behaviour, Cluster, archive, creation, digest, write_pair};

fn kubeconfig(directory: &Path, cluster: &Cluster) -> PathBuf {
    let path = directory.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{ "name": "x", "cluster": { "server": format!("http://{}", cluster.address) } }],
        "users": [{ "name": "x", "user": {} }],
        "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn program(directory: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overlay-webhook"));
    command
        .env("KUBECONFIG", kubeconfig)
        .args(["--listen=127.0.0.1:0", "--listen-plain=127.0.0.1:0"]);
    command.args(["--tls-mode=files", "--drain-delay=0"]).arg("--tls-dir").arg(directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Everything that a process says on standard error, while it runs.
struct Said(Arc<Mutex<String>>, std::thread::JoinHandle<()>);

/// Waits until it listens, and returns where with TLS.
fn listening(process: &mut Child) -> (SocketAddr, Said) {
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let line: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(line["msg"], "listening", "{first}");
    let said = Arc::new(Mutex::new(first.clone()));
    let also = said.clone();
    let thread = std::thread::spawn(move || {
        lines.map_while(Result::ok).for_each(|line| also.lock().unwrap().push_str(&line));
    });
    (line["tls"].as_str().unwrap().parse().unwrap(), Said(said, thread))
}

/// Sends a review over HTTP/1.1, by hand.
async fn send(address: SocketAddr, directory: &Path, review: &Value) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let config = crate::fixture::client_config(directory, &["http/1.1"]);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
    let body = review.to_string();
    let request = format!(
        "POST /validate?timeout=10s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn secrets_are_said_to_nobody() {
    const CANARY: &str = "hunter2-canary";
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path());
    let (cluster, artifacts) = (Cluster::start().await, Artifacts::start().await);
    let kubeconfig = kubeconfig(directory.path(), &cluster);
    let host = artifacts.address.to_string();
    let mut process =
        program(directory.path(), &kubeconfig).args(["--artifact-host", &host]).spawn().unwrap();
    let (address, said) = listening(&mut process);

    let generator = format!("secretGenerator: [{{name: s, literals: ['password={CANARY}']}}]\n");
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{password: {CANARY}}}\n"
    );
    let broken = format!("{generator}resources: [missing.yaml]\n");
    let nameless = secret.replace("{name: s}", "{}");
    let torn = secret.replace("stringData", "  stringData");
    let cases: [&[(&str, &str)]; 5] = [
        &[("deploy/kustomization.yaml", &generator)],
        &[("deploy/kustomization.yaml", &broken)],
        &[("deploy/kustomization.yaml", "resources: [s.yaml]"), ("deploy/s.yaml", &secret)],
        &[("deploy/kustomization.yaml", "resources: [s.yaml]"), ("deploy/s.yaml", &nameless)],
        &[("deploy/kustomization.yaml", "resources: [s.yaml]"), ("deploy/s.yaml", &torn)],
    ];
    let mut allowed = 0;
    for (index, files) in cases.iter().enumerate() {
        let content = archive(files);
        let url = artifacts.set(&format!("/{index}"), Behaviour::Content(content.clone()));
        cluster.publish(&url, &digest(&content));
        let patch = format!("kind: Secret\nmetadata: {{name: s}}\nstringData: {{more: {CANARY}}}");
        for spec in [
            json!({ "path": "deploy" }),
            json!({ "path": "deploy", "patches": [{ "patch": patch }] }),
        ] {
            let answer = send(address, directory.path(), &creation(spec)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!answer.contains(CANARY), "{answer}");
            allowed += usize::from(answer.contains("\"allowed\":true"));
        }
    }
    assert!(allowed >= 2, "{allowed}");
    let torn = creation(json!({ "x": CANARY })).to_string().replace("\"spec\"", "\"spec");
    let answer = send(address, directory.path(), &Value::String(torn)).await;
    assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains(CANARY), "{answer}");

    terminate(&process);
    assert_eq!(process.wait().unwrap().code(), Some(0));
    let Said(said, thread) = said;
    thread.join().unwrap();
    let said = said.lock().unwrap();
    assert!(said.contains("\"verdict\":\"denied\"") && said.contains("stopped"), "{said}");
    assert!(!said.contains(CANARY), "{said}");
}

fn terminate(process: &Child) {
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_ends_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start().await;
    let kubeconfig = kubeconfig(directory.path(), &cluster);
    let output = program(directory.path(), &kubeconfig).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot start") && said.contains("tls.crt"), "{said}");
    assert!(output.stdout.is_empty());

    write_pair(directory.path());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let output = program(directory.path(), &kubeconfig).arg(listen).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen on 127.0.0.1:"));
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let run = |argument: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overlay-webhook"));
        let mut process =
            command.arg(argument).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut text = String::new();
        process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (process.wait().unwrap().code(), text)
    };
    assert_eq!(run("--nonsense").0, Some(2));
    let (code, help) = run("--help");
    assert_eq!(code, Some(0));
    assert!(help.contains("Exit codes:") && help.contains("--artifact-host"), "{help}");
}
