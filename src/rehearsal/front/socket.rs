//! A rehearsal behind a socket: HTTP/1.1 and HTTP/2 over TLS, with a token.
//!
//! The certificate is its own. Without encryption kubectl would not show the token.
//! It is meant for this machine alone; who binds it elsewhere decides so.

use std::net::SocketAddr;
use std::pin::pin;
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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::activity::Activity;
use super::patient::Patient;
use super::wire::{self, Wire};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::rehearsal::refusals::too_many_requests;
use crate::rehearsal::{Failure, Rehearsal, User};

/// How many connections may be open; more wait.
const CONNECTIONS: usize = 1_000;

/// How many requests may be on their way in at the same time; more wait. Each may have a body of 3 MB.
const REQUESTS: usize = 64;

/// How long a request waits for its turn. Source: apiserver `pkg/server/config.go`, a quarter of the minute
/// that a request may take.
const QUEUE: Duration = Duration::from_secs(15);

/// How long a connection stays open on which nothing is asked. Source: apiserver `pkg/server/secure_serving.go`.
const IDLE: Duration = Duration::from_secs(90);

/// How long a client may take to send a request; and how long an HTTP/2 connection is silent before the client is
/// asked for a sign of life.
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

/// What all connections share.
#[derive(Clone)]
struct House {
    api: Rehearsal,
    token: Arc<str>,
    tls: TlsAcceptor,
    requests: Arc<Semaphore>,
}

/// Serves `api` on `listener`, as `front` says, until the future is dropped.
pub async fn serve(api: Rehearsal, listener: TcpListener, front: Front) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let house = House::new(api, front);
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No more files, for example: what is open may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let house = house.clone();
        tokio::spawn(async move {
            house.receive(stream).await;
            drop(permit);
        });
    }
}

impl House {
    fn new(api: Rehearsal, front: Front) -> Self {
        let requests = Arc::new(Semaphore::new(REQUESTS));
        Self { api, token: front.token, tls: front.tls, requests }
    }

    /// Serves one connection to its end.
    async fn receive(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let stream = Patient::new(stream, PATIENCE);
        let Ok(Ok(stream)) = timeout(HANDSHAKE, self.tls.accept(stream)).await else { return };
        let activity = Activity::default();
        let asking = activity.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let (house, asked) = (self.clone(), asking.ask());
            async move {
                let answer = house.take_turn(request).await;
                Ok::<_, std::convert::Infallible>(answer.map(|wire| wire.holding(asked)))
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
        builder.http1().max_buf_size(BUFFER);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(REQUEST);
        builder.http2().max_send_buf_size(BUFFER);
        let service = TowerToHyperService::new(service);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // A client that goes away is no failure.
            _ = connection.as_mut() => return,
            () = activity.is_idle_for(IDLE) => connection.as_mut().graceful_shutdown(),
        }
        let _ = timeout(PATIENCE, connection).await;
    }

    async fn take_turn(&self, request: Request<Incoming>) -> Response<Wire> {
        match timeout(QUEUE, self.requests.acquire()).await {
            Ok(_turn) => ask(&self.api, &self.token, request).await,
            Err(_) => wire::whole(too_many_requests().send(false, &[])),
        }
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
            let answer = timeout(REQUEST, wire::answer(api, request)).await;
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
    use http_body_util::BodyExt;
    use hyper::client::conn::http2;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::rehearsal::Options;

    /// A rehearsal, and one connection to it that speaks HTTP/2.
    struct Visit {
        token: Arc<str>,
        requests: Arc<Semaphore>,
        stream: TlsStream<DuplexStream>,
        received: JoinHandle<()>,
    }

    impl Visit {
        async fn new() -> Self {
            let api = Rehearsal::new(&Options::default()).expect("the default minor is known");
            let front = Front::new(([127, 0, 0, 1], 1).into()).expect("there is randomness");
            let mut roots = RootCertStore::empty();
            let certificate = CertificateDer::from_pem_slice(front.certificate.as_bytes());
            roots.add(certificate.expect("a certificate")).expect("it is an authority");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map(|config| config.with_root_certificates(roots).with_no_client_auth());
            let mut config = config.expect("versions are known");
            config.alpn_protocols = vec![b"h2".to_vec()];
            let house = House::new(api, front);
            let (token, requests) = (Arc::clone(&house.token), Arc::clone(&house.requests));
            let (near, far) = tokio::io::duplex(64 << 10);
            let received = tokio::spawn(house.receive(near));
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TlsConnector::from(Arc::new(config)).connect(name, far).await;
            Self { token, requests, stream: stream.expect("a connection"), received }
        }
    }

    /// Of a client that has shaken hands over HTTP/2.
    type Sender = http2::SendRequest<Empty<Bytes>>;

    async fn shake_hands(stream: TlsStream<DuplexStream>) -> Sender {
        let hands = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = hands.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }

    async fn get(sender: &mut Sender, token: &str, path: &str) -> Response<Incoming> {
        let request = Request::get(path).header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = sender.send_request(request.body(Empty::new()).expect("a request")).await;
        answer.expect("an answer")
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_its_turn_but_not_for_ever() {
        let Visit { token, requests, stream, .. } = Visit::new().await;
        let mut sender = shake_hands(stream).await;
        let turns = u32::try_from(REQUESTS).expect("it is small");
        let busy = requests.acquire_many(turns).await.expect("it is open");
        let begin = Instant::now();
        let answer = get(&mut sender, &token, "/version").await;
        assert_eq!((answer.status().as_u16(), begin.elapsed()), (429, QUEUE));
        assert_eq!(answer.headers()["retry-after"], "1");
        let release = async {
            tokio::time::sleep(QUEUE / 2).await;
            drop(busy);
        };
        let (answer, ()) = tokio::join!(get(&mut sender, &token, "/version"), release);
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_asked_ends() {
        let Visit { token, stream, received, .. } = Visit::new().await;
        let mut sender = shake_hands(stream).await;
        let begin = Instant::now();
        // A watch is something that is asked, for as long as it lasts.
        let watch = "/api/v1/namespaces?watch=1&timeoutSeconds=300";
        let watched = get(&mut sender, &token, watch).await;
        watched.into_body().collect().await.expect("events");
        assert_eq!(begin.elapsed().as_secs(), 300);
        tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
        assert_eq!(get(&mut sender, &token, "/version").await.status(), 200);
        let idle = Instant::now();
        received.await.expect("it ends");
        assert_eq!(idle.elapsed().as_secs(), IDLE.as_secs());
        assert!(sender.ready().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_gives_no_sign_of_life_loses_the_connection() {
        let Visit { mut stream, received, .. } = Visit::new().await;
        // The preface, and no settings. What is asked of it stays unanswered.
        let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(hello).await.expect("it is read");
        let begin = Instant::now();
        received.await.expect("it ends");
        let took = begin.elapsed();
        assert!(took > REQUEST && took < IDLE, "{took:?}");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }

    #[test]
    fn a_token_is_compared_as_a_whole() {
        assert!(is_token(b"Bearer abc", "abc"));
        for other in ["Bearer ab", "Bearer abcd", "Bearer abd", "abc", "Basic abc"] {
            assert!(!is_token(other.as_bytes(), "abc"), "{other}");
        }
    }
}
