//! What the API bears: connections, watches, bytes, and clients that mean no good.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, future};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams, WatchEvent};
use overlay::rehearsal::{Body, Options, Rehearsal, Watcher};
use serde_json::{Value, json};

use crate::site::Site;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn api() -> Rehearsal {
    Rehearsal::new(&Options::default()).unwrap()
}

fn create(api: &Rehearsal, name: &str, data: &str) -> u16 {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": data},
    });
    let request = http::Request::post(MAPS).header("content-type", "application/json");
    api.handle(request.body(object.to_string().into()).unwrap()).status().as_u16()
}

fn watch(api: &Rehearsal, query: &str) -> Result<Watcher, u16> {
    let request = http::Request::get(format!("{MAPS}?watch=1{query}"));
    let answer = api.handle(request.body(bytes::Bytes::new()).unwrap());
    let code = answer.status().as_u16();
    match answer.into_body() {
        Body::Watch(watcher) => Ok(watcher),
        Body::Whole(_) => Err(code),
    }
}

/// Takes this process as many files as it may have: a connection within it takes two.
fn raise_limit_of_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_watch_and_the_next_one_waits() {
    raise_limit_of_files();
    let site = Site::new(&Options::default()).await;
    let client = site.client();
    let open = (0..1_000).map(|_| {
        let watch = http::Request::get(format!("{MAPS}?watch=1&resourceVersion=0"));
        let client = client.clone();
        async move { client.request_events::<ConfigMap>(watch.body(Vec::new()).unwrap()).await }
    });
    let watches: Vec<_> =
        futures::stream::iter(open).buffer_unordered(50).try_collect().await.unwrap();
    let mut watches: Vec<_> = watches.into_iter().map(Box::pin).collect();
    assert_eq!(create(&site.api, "one", "b"), 201);
    let events = future::join_all(watches.iter_mut().map(|watch| watch.try_next())).await;
    let is_added = |event: &Result<_, _>| matches!(event, Ok(Some(WatchEvent::Added(_))));
    assert_eq!(events.iter().filter(|event| is_added(event)).count(), 1_000);

    let maps: Api<ConfigMap> = Api::default_namespaced(site.client());
    let (all, nothing) = (ListParams::default(), Duration::from_millis(300));
    assert!(tokio::time::timeout(nothing, maps.list(&all)).await.is_err());
    watches.truncate(900);
    let long = Duration::from_secs(60);
    let listed = tokio::time::timeout(long, maps.list(&all)).await.unwrap().unwrap();
    assert_eq!(listed.items.len(), 1);
}

#[test]
fn watches_are_bounded_and_end_with_their_readers() {
    let api = api();
    let all: Vec<_> = (0..10_000).map(|_| watch(&api, "").unwrap()).collect();
    assert_eq!(watch(&api, "").map(|_| ()), Err(429));
    drop(all);
    assert!(watch(&api, "").is_ok());
    // What nobody reads any more leaves nothing behind, whether or not anything happens.
    for _ in 0..20_000 {
        let mut watcher = watch(&api, "&resourceVersion=0").unwrap();
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(watcher.poll_event(&mut context), Poll::Pending));
    }
}

#[test]
fn a_watch_that_is_read_late_has_missed_nothing() {
    let api = api();
    let mut watcher = watch(&api, "&resourceVersion=0").unwrap();
    for number in 0..100 {
        assert_eq!(create(&api, &format!("map-{number:03}"), "b"), 201);
    }
    let mut late = watch(&api, "").unwrap();
    for watcher in [&mut watcher, &mut late] {
        for number in 0..100 {
            let event: Value = serde_json::from_slice(&watcher.next_event().unwrap()).unwrap();
            assert_eq!(event["type"], "ADDED");
            assert_eq!(event["object"]["metadata"]["name"], format!("map-{number:03}"));
        }
        assert!(watcher.next_event().is_none());
    }
}

#[test]
fn a_server_that_is_full_takes_nothing_more() {
    let api = Rehearsal::new(&Options { bytes: 100_000, ..Options::default() }).unwrap();
    assert_eq!(create(&api, "a", &"x".repeat(60_000)), 201);
    assert_eq!(create(&api, "b", &"x".repeat(60_000)), 201);
    assert_eq!(create(&api, "c", ""), 500);
    let delete = http::Request::delete(format!("{MAPS}/a")).body(bytes::Bytes::new()).unwrap();
    assert_eq!(api.handle(delete).status(), 200);
    assert_eq!(create(&api, "c", ""), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_token() {
    let site = Site::new(&Options::default()).await;
    assert!(site.config.cluster_url.host().unwrap().starts_with("127."));
    let code = |token: Option<&str>| {
        let mut config = site.config.clone();
        config.auth_info.token = token.map(|token| token.to_owned().into());
        async move {
            let client = kube::Client::try_from(config).unwrap();
            let maps: Api<ConfigMap> = Api::default_namespaced(client);
            let object = json!({"metadata": {"name": "a"}, "data": {"a": "b"}});
            let object = serde_json::from_value(object).unwrap();
            match maps.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) => status.code,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(code(None).await, 403);
    assert_eq!(code(Some("guess")).await, 401);
}
