//! The ways to a rehearsal for clients of a real API: [`client()`] within the process, [`serve()`]
//! over a socket.
//!
//! Both hand whole requests to [`Rehearsal::handle`]; what is asynchronous is here alone.

mod activity;
mod patient;
mod socket;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::client::Body as Asked;

use crate::rehearsal::Rehearsal;

pub use socket::{Front, serve};
pub use wire::Wire;

/// A client of `api` that needs no socket and has all rights.
#[must_use]
pub fn client(api: &Rehearsal, namespace: &str) -> kube::Client {
    kube::Client::new(InProcess(api.clone()), namespace)
}

/// Answers the requests of a client where they are made.
#[derive(Clone, Debug)]
struct InProcess(Rehearsal);

impl tower::Service<Request<Asked>> for InProcess {
    type Response = Response<Wire>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Asked>) -> Self::Future {
        let api = self.0.clone();
        Box::pin(async move { Ok(wire::answer(&api, request).await) })
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use http::Request;
    use serde_json::{Value, json};

    use super::*;
    use crate::rehearsal::Options;

    fn api() -> Rehearsal {
        Rehearsal::new(&Options::default()).expect("the default minor is known")
    }

    fn post(name: &str) -> Request<Vec<u8>> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"},
        });
        let request = Request::post("/api/v1/namespaces/default/configmaps")
            .header("content-type", "application/json");
        request.body(object.to_string().into_bytes()).expect("a request")
    }

    #[tokio::test]
    async fn a_client_writes_and_reads_within_the_process() {
        let client = client(&api(), "default");
        let made: Value = client.request(post("one")).await.expect("created");
        assert_eq!(made["metadata"]["namespace"], "default");
        let get = Request::get("/api/v1/namespaces/default/configmaps/one");
        let read: Value =
            client.request(get.body(Vec::new()).expect("a request")).await.expect("read");
        assert_eq!(read, made);
    }

    #[tokio::test]
    async fn a_watch_tells_what_happens_later() {
        let client = client(&api(), "default");
        let watch = Request::get("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0");
        let watch = watch.body(Vec::new()).expect("a request");
        let events =
            client.request_events::<kube::api::DynamicObject>(watch).await.expect("a watch");
        let mut events = std::pin::pin!(events);
        let later = async {
            tokio::task::yield_now().await;
            client.request::<Value>(post("later")).await.expect("created");
        };
        let next = async {
            loop {
                if let Some(kube::core::WatchEvent::Added(object)) =
                    events.try_next().await.expect("no failure")
                {
                    return object.metadata.name;
                }
            }
        };
        let (name, ()) = tokio::join!(next, later);
        assert_eq!(name.as_deref(), Some("later"));
    }
}
