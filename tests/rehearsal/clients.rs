//! kube's own client over the socket: lists, watches, patches, waits, and what it makes of a server that
//! has forgotten what it asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, reflector};
use overlay::rehearsal::controllers::Controllers;
use overlay::rehearsal::{Options, Rehearsal};
use serde_json::{Value, json};

use crate::site::Site;

fn map(name: &str, data: &Value) -> ConfigMap {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data,
    });
    serde_json::from_value(object).unwrap()
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "web:1"}]},
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_writes_reads_and_pages() {
    let site = Site::new(&Options::default()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.client());
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &map(name, &json!({"k": name}))).await.unwrap();
    }
    let again = maps.create(&PostParams::default(), &map("a", &json!({}))).await.unwrap_err();
    assert!(matches!(again, kube::Error::Api(status) if status.is_already_exists()));
    let page = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((page.items.len(), page.metadata.remaining_item_count), (2, Some(1)));
    let token = page.metadata.continue_.unwrap();
    let rest = maps.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(rest.items.len(), 1);

    let merge = Patch::Merge(json!({"data": {"k": null, "m": "1"}}));
    let merged = maps.patch("a", &PatchParams::default(), &merge).await.unwrap();
    assert_eq!(merged.data.unwrap().into_keys().collect::<Vec<_>>(), ["m"]);
    let applied = Patch::Apply(map("a", &json!({"m": "2"})));
    let conflict = maps.patch("a", &PatchParams::apply("kube"), &applied).await.unwrap_err();
    assert!(matches!(conflict, kube::Error::Api(status) if status.is_conflict()));
    let forced = maps.patch("a", &PatchParams::apply("kube").force(), &applied).await.unwrap();
    assert_eq!(forced.data.unwrap()["m"], "2");
    let strategic = Patch::Strategic(json!({"metadata": {"labels": {"tier": "front"}}}));
    maps.patch("a", &PatchParams::default(), &strategic).await.unwrap();
    let found = maps.list(&ListParams::default().labels("tier=front")).await.unwrap();
    assert_eq!(found.items.len(), 1);

    let mut stale = maps.get("a").await.unwrap();
    stale.metadata.resource_version = Some("1".into());
    let refused = maps.replace("a", &PostParams::default(), &stale).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_conflict()));
    maps.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_waits_until_a_deployment_is_there_and_gone() {
    let site = Site::new(&Options::default()).await;
    let ends = Arc::new(AtomicBool::new(false));
    let (mut controllers, end) = (Controllers::new(&site.api), Arc::clone(&ends));
    let running = std::thread::spawn(move || controllers.run(Duration::from_millis(1), &end));
    let deployments: Api<Deployment> = Api::default_namespaced(site.client());
    let applied = Patch::Apply(deployment());
    deployments.patch("web", &PatchParams::apply("kube"), &applied).await.unwrap();
    let is_complete = conditions::is_deployment_completed();
    await_condition(deployments.clone(), "web", is_complete).await.unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    let has_three = |found: Option<&Deployment>| {
        let status = found.and_then(|found| found.status.as_ref());
        status.and_then(|status| status.ready_replicas) == Some(3)
    };
    await_condition(deployments.clone(), "web", has_three).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(site.client());
    assert_eq!(pods.list(&ListParams::default().labels("app=web")).await.unwrap().items.len(), 3);
    let uid = deployments.get("web").await.unwrap().metadata.uid.unwrap();
    deployments.delete("web", &DeleteParams::foreground()).await.unwrap();
    await_condition(deployments.clone(), "web", conditions::is_deleted(&uid)).await.unwrap();
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    ends.store(true, Ordering::Relaxed);
    running.thread().unpark();
    running.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_follows_with_watch_lists_too() {
    let site = Site::new(&Options::default()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(site.client());
    maps.create(&PostParams::default(), &map("first", &json!({}))).await.unwrap();
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let (reader, writer) = reflector::store::<ConfigMap>();
        let stream = watcher::watcher(maps.clone(), config).reflect(writer).applied_objects();
        let mut stream = Box::pin(stream);
        assert_eq!(stream.try_next().await.unwrap().unwrap().metadata.name.unwrap(), "first");
        maps.create(&PostParams::default(), &map("later", &json!({}))).await.unwrap();
        assert_eq!(stream.try_next().await.unwrap().unwrap().metadata.name.unwrap(), "later");
        assert_eq!(reader.state().len(), 2);
        maps.delete("later", &DeleteParams::default()).await.unwrap();
    }
}

/// More than the log of the API holds, in pieces that a ConfigMap takes.
const CHANGES: usize = 90;

fn change(api: &Rehearsal, number: usize) {
    let data = json!({"number": number.to_string(), "filler": "x".repeat(900_000)});
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "busy"}, "data": data,
    });
    let request = http::Request::patch(
        "/api/v1/namespaces/default/configmaps/busy?fieldManager=busy&force=true",
    );
    let request = request.header("content-type", "application/apply-patch+yaml");
    let answer = api.handle(request.body(object.to_string().into()).unwrap());
    assert!(answer.status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_told_that_it_is_late_and_begins_anew() {
    let site = Site::new(&Options::default()).await;
    change(&site.api, 0);
    let maps: Api<ConfigMap> = Api::default_namespaced(site.client());
    let mut events = Box::pin(watcher::watcher(maps.clone(), watcher::Config::default()));
    while !matches!(events.try_next().await.unwrap(), Some(Event::InitDone)) {}
    for number in 1..=CHANGES {
        change(&site.api, number);
    }
    let (mut late, mut begun) = (false, false);
    loop {
        match events.next().await.unwrap() {
            Err(watcher::Error::WatchError(status)) => late |= status.code == 410,
            Err(why) => panic!("{why}"),
            Ok(Event::Init) => begun = true,
            Ok(Event::InitApply(map) | Event::Apply(map)) => {
                if map.data.unwrap()["number"] == CHANGES.to_string() {
                    break;
                }
            }
            Ok(_) => {}
        }
    }
    assert!(late && begun, "late: {late}, begun anew: {begun}");
    // From the beginning there is nothing to be had either.
    let watch =
        http::Request::get("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=1");
    let watch = watch.body(Vec::new()).unwrap();
    let events = site.client().request_events::<ConfigMap>(watch).await.unwrap();
    let first = std::pin::pin!(events).try_next().await.unwrap();
    assert!(matches!(first, Some(kube::api::WatchEvent::Error(status)) if status.code == 410));
}
