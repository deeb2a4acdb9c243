//! What the tests stand on: an API server and an artifact server that do as they are told, the webhook
//! between them, and clients over HTTP/1.1 and HTTP/2.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use overlay_webhook::config::Config;
use overlay_webhook::run::{End, Webhook};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An API server that keeps objects by path.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) requests: Vec<String>,
    /// Answered to everything.
    pub(crate) refuse: Option<u16>,
    version: u64,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = cluster.state.clone();
        serve(listener, move |request, body| {
            let state = state.clone();
            async move { state.lock().unwrap().answer(&request, &body) }
        });
        cluster
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        self.state.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    pub(crate) fn asked(&self, path: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|request| request.contains(path)).count()
    }

    /// A GitRepository `default/app` with an artifact.
    pub(crate) fn publish(&self, url: &str, digest: &str) {
        let artifact = json!({ "url": url, "digest": digest, "revision": "main@sha1:abc" });
        self.put(SOURCE, json!({ "status": { "artifact": artifact } }));
    }

    pub(crate) fn client(&self) -> kube::Client {
        let uri = format!("http://{}", self.address).parse().unwrap();
        let mut config = kube::Config::new(uri);
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }
}

/// The path of the source that the recorded reviews name.
pub(crate) const SOURCE: &str =
    "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/gitrepositories/app";

impl State {
    fn answer(&mut self, request: &Request<()>, body: &[u8]) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        self.requests.push(format!("{} {path}", request.method()));
        if let Some(code) = self.refuse {
            return status(code, "refused");
        }
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match *request.method() {
            Method::GET => match self.objects.get(&path) {
                Some(object) => reply(200, object),
                None => status(404, "not found"),
            },
            Method::POST => {
                let path = format!("{path}/{}", sent["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&path) {
                    return status(409, "already exists");
                }
                self.write(path, sent)
            }
            Method::PUT => {
                let old =
                    self.objects.get(&path).map(|old| old["metadata"]["resourceVersion"].clone());
                if old.is_some_and(|old| old != sent["metadata"]["resourceVersion"]) {
                    return status(409, "changed in the meantime");
                }
                self.write(path, sent)
            }
            Method::PATCH => {
                assert_eq!(request.headers()["content-type"], "application/apply-patch+yaml");
                let mut object = self.objects[&path].clone();
                for patched in sent["webhooks"].as_array().unwrap() {
                    for webhook in object["webhooks"].as_array_mut().unwrap() {
                        if webhook["name"] == patched["name"] {
                            webhook["clientConfig"]["caBundle"] =
                                patched["clientConfig"]["caBundle"].clone();
                        }
                    }
                }
                self.write(path, object)
            }
            _ => status(405, "no"),
        }
    }

    fn write(&mut self, path: String, mut object: Value) -> Response<Full<Bytes>> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path, object.clone());
        reply(200, &object)
    }
}

fn status(code: u16, message: &str) -> Response<Full<Bytes>> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": "x", "code": code,
    });
    reply(code, &status)
}

fn reply(code: u16, body: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

fn serve<F, R>(listener: TcpListener, answer: F)
where
    F: Fn(Request<()>, Bytes) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    Ok::<_, Infallible>(answer(Request::from_parts(parts, ()), body).await)
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
}

/// What the artifact server does when asked for a path.
#[derive(Clone)]
pub(crate) enum Behaviour {
    Content(Vec<u8>),
    /// After a pause.
    Late(Duration, Vec<u8>),
    Redirect(String),
    Status(u16),
}

/// An artifact server.
#[derive(Clone)]
pub(crate) struct Artifacts {
    pub(crate) address: SocketAddr,
    paths: Arc<Mutex<BTreeMap<String, Behaviour>>>,
    served: Arc<AtomicUsize>,
}

impl Artifacts {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let artifacts = Self {
            address: listener.local_addr().unwrap(),
            paths: Arc::default(),
            served: Arc::default(),
        };
        let this = artifacts.clone();
        serve(listener, move |request, _| {
            let this = this.clone();
            async move {
                this.served.fetch_add(1, Ordering::SeqCst);
                let behaviour = this.paths.lock().unwrap().get(request.uri().path()).cloned();
                let response = Response::builder();
                match behaviour {
                    Some(Behaviour::Content(content)) => response.body(Full::from(content)),
                    Some(Behaviour::Late(pause, content)) => {
                        tokio::time::sleep(pause).await;
                        response.body(Full::from(content))
                    }
                    Some(Behaviour::Redirect(to)) => {
                        response.status(302).header("location", to).body(Full::default())
                    }
                    Some(Behaviour::Status(code)) => response.status(code).body(Full::default()),
                    None => response.status(404).body(Full::default()),
                }
                .unwrap()
            }
        });
        artifacts
    }

    pub(crate) fn set(&self, path: &str, behaviour: Behaviour) -> String {
        self.paths.lock().unwrap().insert(path.to_owned(), behaviour);
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

/// A gzip-compressed tar archive.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
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

pub(crate) fn digest(content: &[u8]) -> String {
    use std::fmt::Write;
    let hash = Sha256::digest(content);
    hash.iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Files whose `deploy` builds.
pub(crate) const GOOD: &[(&str, &str)] = &[
    ("deploy/kustomization.yaml", "resources: [map.yaml]\n"),
    ("deploy/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
];

/// Files whose `deploy` does not.
pub(crate) const BROKEN: &[(&str, &str)] = &[
    ("deploy/kustomization.yaml", "resources:\n- map.yaml\n- missing.yaml\n"),
    ("deploy/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
];

/// A webhook that runs, with what it depends on.
pub(crate) struct Hook {
    pub(crate) cluster: Cluster,
    pub(crate) artifacts: Artifacts,
    pub(crate) address: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) directory: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<End>,
}

impl Hook {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(arguments: &[&str]) -> Self {
        let (cluster, artifacts) = (Cluster::start().await, Artifacts::start().await);
        let directory = tempfile::tempdir().unwrap();
        write_pair(directory.path());
        let (dir, host) =
            (directory.path().to_str().unwrap().to_owned(), artifacts.address.to_string());
        let mut line = vec![
            "overlay-webhook",
            "--listen=127.0.0.1:0",
            "--listen-plain=127.0.0.1:0",
            "--tls-mode=files",
            "--tls-dir",
            &dir,
            "--artifact-host",
            &host,
            "--drain-delay=0",
        ];
        line.extend(arguments);
        let webhook = Webhook::start(
            &Config::parse_from(line),
            cluster.client(),
            env!("CARGO_BIN_EXE_overlay-webhook").into(),
        )
        .await
        .unwrap();
        let (address, plain) = webhook.addresses();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(webhook.serve(async move {
            let _ = stopped.await;
        }));
        Self {
            cluster,
            artifacts,
            address: address.unwrap(),
            plain: plain.unwrap(),
            directory,
            stop: Some(stop),
            running,
        }
    }

    /// Publishes an archive as the artifact of the source.
    pub(crate) fn publish(&self, files: &[(&str, &str)]) {
        let content = archive(files);
        let digest = digest(&content);
        let path = format!("/{}.tar.gz", &digest[7..23]);
        let url = self.artifacts.set(&path, Behaviour::Content(content));
        self.cluster.publish(&url, &digest);
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub(crate) async fn end(self) -> End {
        self.running.await.unwrap()
    }

    pub(crate) async fn tls(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(client_config(self.directory.path(), protocols))
            .connect(name, stream)
            .await
            .unwrap()
    }

    pub(crate) async fn http1(&self) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
        let stream = self.tls(&["http/1.1"]).await;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(crate) async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
        let stream = self.tls(&["h2"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends a review over HTTP/1.1.
    pub(crate) async fn review(&self, review: &Value) -> Value {
        let (status, body) = self.send(request(review.to_string())).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["response"]["uid"], review["request"]["uid"]);
        answer["response"].clone()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, String) {
        let response = self.http1().await.send_request(request).await.unwrap();
        read(response).await
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get_plain("/metrics").await.1
    }

    pub(crate) async fn get_plain(&self, path: &str) -> (StatusCode, String) {
        let stream = TcpStream::connect(self.plain).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request =
            Request::get(path).header("host", "x").body(Full::<Bytes>::default()).unwrap();
        read(sender.send_request(request).await.unwrap()).await
    }
}

pub(crate) async fn read(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// A request as the API server sends it.
pub(crate) fn request(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    request_to("/validate?timeout=10s", body)
}

pub(crate) fn request_to(uri: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header("host", "localhost")
        .header("user-agent", "kube-apiserver-admission")
        .header("content-type", "application/json")
        .header("accept", "application/json, */*")
        .header("accept-encoding", "gzip")
        .body(Full::new(body.into()))
        .unwrap()
}

/// The creation of a Kustomization with this spec, whose `sourceRef` is filled in.
pub(crate) fn creation(mut spec: Value) -> Value {
    if spec.get("sourceRef").is_none() {
        spec["sourceRef"] = json!({ "kind": "GitRepository", "name": "app" });
    }
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "kustomize.toolkit.fluxcd.io", "version": "v1", "kind": "Kustomization" },
            "resource": { "group": "kustomize.toolkit.fluxcd.io", "version": "v1", "resource": "kustomizations" },
            "name": "app",
            "namespace": "default",
            "operation": "CREATE",
            "object": {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": { "name": "app", "namespace": "default" },
                "spec": spec,
            },
            "oldObject": null,
            "dryRun": false,
        },
    })
}

/// Writes a certificate for `localhost` and its key.
pub(crate) fn write_pair(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("tls.crt"), made.cert.pem()).unwrap();
}

/// A client that trusts the certificate in `directory`.
pub(crate) fn client_config(directory: &Path, protocols: &[&str]) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(directory.join("tls.crt")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let mut config =
        rustls::ClientConfig::builder_with_provider(overlay_webhook::certs::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}
