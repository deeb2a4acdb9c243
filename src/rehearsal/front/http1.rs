//! A rehearsal behind a socket: HTTP/1.1 and HTTP/2 without encryption, with a token.
//!
//! It is meant for this machine alone; who binds it elsewhere decides so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::wire::{self, Wire};
use crate::rehearsal::{Failure, Rehearsal, User};

/// How many connections may be open; more wait.
const CONNECTIONS: usize = 1_000;

/// How long a client may take to send its headers.
const HEADERS: Duration = Duration::from_secs(10);

/// What a client needs to know.
#[derive(Clone)]
pub struct Front {
    /// Where the API listens.
    pub address: SocketAddr,
    /// What clients show; whoever has none is told no.
    pub token: String,
}

/// Serves `api` on `listener` until the future is dropped.
pub async fn serve(api: Rehearsal, listener: TcpListener, token: String) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let token: Arc<str> = token.into();
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No more files, for example: what is open may end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (api, token) = (api.clone(), Arc::clone(&token));
        tokio::spawn(async move {
            let service = tower::service_fn(move |request: Request<Incoming>| {
                let (api, token) = (api.clone(), Arc::clone(&token));
                async move { Ok::<_, std::convert::Infallible>(ask(&api, &token, request).await) }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
            let service = TowerToHyperService::new(service);
            // A client that goes away is no failure.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(permit);
        });
    }
}

async fn ask(api: &Rehearsal, token: &str, mut request: Request<Incoming>) -> Response<Wire> {
    let shown = request.headers().get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let user = match shown {
        None => User::anonymous(),
        Some(shown) if is_token(shown, token) => User::admin(),
        Some(_) => {
            let failure = Failure::new(401, "Unauthorized", "Unauthorized");
            return wire::whole(failure.send(false, &[]));
        }
    };
    request.extensions_mut().insert(user);
    wire::answer(api, request).await
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
            "clusters": [{"name": "rehearsal", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "rehearsal", "user": {"token": self.token}}],
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
