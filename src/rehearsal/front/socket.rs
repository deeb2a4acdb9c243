//! A rehearsal behind a socket: HTTP/1.1 and HTTP/2 over TLS, with a token.
//!
//! The certificate is its own. Without encryption kubectl would not show the token.
//! It is meant for this machine alone; who binds it elsewhere decides so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::*;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::patient::Patient;
use super::wire::{self, Wire};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::rehearsal::{Failure, Rehearsal, User};

/// How many connections may be open; more wait.
const CONNECTIONS: usize = 1_000;

/// How many requests may be on their way in at the same time; more wait. Each may have a body of 3 MB.
const REQUESTS: usize = 64;

/// How long a client may take to send a request.
const REQUEST: Duration = Duration::from_secs(30);

/// How long a client may take to read what it asked for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is kept ready to be sent on a connection, in bytes.
const BUFFER: usize = 64 << 10;

/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(10);

/// How long a client may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The place of a rehearsal, and what a client needs to know of it.
#[derive(Clone)]
pub struct Front {
    /// Where it listens.
    pub address: SocketAddr,
    /// What clients show; whoever has none is told no.
    token: Arc<str>,
    /// Its certificate, which is its own authority, in PEM.
    certificate: String,
    tls: TlsAcceptor,
}

impl Front {
    /// One at `address`, with a token and a certificate of its own.
    ///
    /// # Errors
    /// Where the machine has no randomness to give.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let failed = |why: String| Error::new(ErrorKind::Io, Place::file("this machine"), why);
        let names = vec!["localhost".to_owned(), address.ip().to_string()];
        let made = rcgen::generate_simple_self_signed(names);
        let rcgen::CertifiedKey { cert, signing_key } =
            made.map_err(|error| failed(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|config| config.with_no_client_auth())
            .and_then(|config| config.with_single_cert(vec![cert.der().clone()], key.into()));
        let mut config = config.map_err(|error| failed(error.to_string()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(config));
        Ok(Self { address, token: token()?.into(), certificate: cert.pem(), tls })
    }
}

/// Serves `api` on `listener`, as `front` says, until the future is dropped.
pub async fn serve(api: Rehearsal, listener: TcpListener, front: Front) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let requests = Arc::new(Semaphore::new(REQUESTS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No more files, for example: what is open may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (api, token, tls) = (api.clone(), Arc::clone(&front.token), front.tls.clone());
        let requests = Arc::clone(&requests);
        let stream = Patient::new(stream, PATIENCE);
        tokio::spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else {
                return;
            };
            let service = tower::service_fn(move |request: Request<Incoming>| {
                let (api, token) = (api.clone(), Arc::clone(&token));
                let requests = Arc::clone(&requests);
                async move {
                    let _turn = requests.acquire().await;
                    Ok::<_, std::convert::Infallible>(ask(&api, &token, request).await)
                }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
            builder.http1().max_buf_size(BUFFER);
            builder.http2().timer(TokioTimer::new()).keep_alive_interval(REQUEST);
            builder.http2().max_send_buf_size(BUFFER);
            let service = TowerToHyperService::new(service);
            // A client that goes away is no failure.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

async fn ask(api: &Rehearsal, token: &str, mut request: Request<Incoming>) -> Response<Wire> {
    let shown = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    match shown {
        // Of who shows nothing, nothing is read.
        None => {
            request.extensions_mut().insert(User::anonymous());
            wire::answer(api, request.map(|_| Empty::new())).await
        }
        Some(shown) if is_token(shown, token) => {
            request.extensions_mut().insert(User::admin());
            let answer = tokio::time::timeout(REQUEST, wire::answer(api, request)).await;
            answer
                .unwrap_or_else(|_| refuse(408, "Timeout", "the request took too long to come in"))
        }
        Some(_) => refuse(401, "Unauthorized", "Unauthorized"),
    }
}

fn refuse(code: u16, reason: &'static str, why: &str) -> Response<Wire> {
    wire::whole(Failure::new(code, reason, why).send(false, &[]))
}

/// A token that nobody can guess.
///
/// # Errors
/// Where the machine has no randomness to give.
fn token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Io, Place::file("this machine"), error.to_string())
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_token(shown: &[u8], token: &str) -> bool {
    let Some(given) = shown.strip_prefix(b"Bearer ") else { return false };
    // Every byte is looked at, so that the time tells nothing of how many are right.
    let differ = given.iter().zip(token.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    given.len() == token.len() && differ == 0
}

impl Front {
    /// A kubeconfig for it, as JSON, which is YAML too.
    #[must_use]
    pub fn kubeconfig(&self, namespace: &str) -> Bytes {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "rehearsal",
            "clusters": [{"name": "rehearsal", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": BASE64_STANDARD.encode(&self.certificate),
            }}],
            "users": [{"name": "rehearsal", "user": {"token": &*self.token}}],
            "contexts": [{
                "name": "rehearsal",
                "context": {"cluster": "rehearsal", "user": "rehearsal", "namespace": namespace},
            }],
        });
        format!("{config:#}\n").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_as_a_whole() {
        assert!(is_token(b"Bearer abc", "abc"));
        for other in ["Bearer ab", "Bearer abcd", "Bearer abd", "abc", "Basic abc"] {
            assert!(!is_token(other.as_bytes(), "abc"), "{other}");
        }
    }
}
