//! The few requests that the launcher makes itself, and waiting.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::error::{Doing, Error, Result};

/// Pause between two looks at something awaited.
const PAUSE: Duration = Duration::from_millis(50);

/// What the server says of a kind whose definition has just changed: it is to be asked again.
const REINITIALIZING: &str = "storage is (re)initializing";

/// Longest that a kind is waited for.
const REINITIALIZED: Duration = Duration::from_secs(30);

/// Calls `look` until it returns something, but no longer than `limit`.
///
/// # Errors
/// What `look` fails with, which ends the wait; or after the limit, with `what` was awaited.
pub(crate) fn wait<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Error::new(format!("{what} did not come about in {} s", limit.as_secs())));
        }
        std::thread::sleep(PAUSE);
    }
}

/// A client that blocks, usable from tests with and without a runtime of their own.
pub(crate) struct Requests {
    client: Client,
}

impl Requests {
    pub(crate) fn new(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).doing("read the kubeconfig")?;
        let client = block_on(async {
            let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .doing("read the kubeconfig")?;
            // The server is on this machine, whatever the environment says of proxies.
            config.proxy_url = None;
            config.read_timeout = Some(Duration::from_secs(10));
            // What the server refuses is an answer too.
            config.default_retry = false;
            Client::try_from(config).doing("make a client")
        })?;
        Ok(Self { client })
    }

    /// Reads an object, a list or any other JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        self.send("GET", path, "", Vec::new())
    }

    /// Creates or completes an object given as YAML or JSON, by server-side apply.
    pub(crate) fn apply(&self, path: &str, object: impl Into<Vec<u8>>) -> Result<Value> {
        let path = format!("{path}?fieldManager=control-plane&force=true");
        self.send("PATCH", &path, "application/apply-patch+yaml", object.into())
    }

    /// Sends a request and returns what comes back, whatever its status.
    pub(crate) fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Bytes>> {
        let what = format!("{} {}", request.method(), request.uri());
        let client = self.client.clone();
        block_on(async move {
            let response = client.send(request.map(Body::from)).await.doing(&what)?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.doing(&what)?;
            Ok(http::Response::from_parts(parts, body.to_bytes()))
        })
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Result<Value> {
        let what = format!("{method} {path}");
        let text = wait(&what, REINITIALIZED, || {
            let request = http::Request::builder()
                .method(method)
                .uri(path)
                .header(http::header::CONTENT_TYPE, content_type)
                .body(body.clone())
                .doing(&what)?;
            let client = self.client.clone();
            match block_on(async move { client.request_text(request).await }) {
                Err(kube::Error::Api(status)) if status.message == REINITIALIZING => Ok(None),
                answer => answer.doing(&what).map(Some),
            }
        })?;
        // The probes answer with a word that is not JSON.
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// The runtime of everything asynchronous here; it is never dropped, as a test's own runtime would not allow that.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let make = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("only a system out of threads or files refuses one")
    };
    RUNTIME.get_or_init(make)
}

/// Blocks this thread until the work is done, even if the thread belongs to another runtime.
pub(crate) fn block_on<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    runtime().spawn(async move { sender.send(work.await) });
    receiver.recv().expect("the work returns, as nothing ends it before")
}
