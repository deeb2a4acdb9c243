//! Waits for health by watching: the server tells, nobody asks again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use serde_json::Value as Json;

use super::discovery::Kind;
use super::marked::{self, Marked};
use super::request::{Failure, Server};
use super::{Event, Listener};
use crate::health::{Health, health};
use crate::inventory::Key;

/// An object to wait for.
pub(super) struct Awaited {
    pub(super) key: Key,
    pub(super) kind: Kind,
    /// As it was when it was applied.
    pub(super) health: Health,
}

/// The pause before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_secs(1);

/// The pause between two looks where the user may read objects but not watch them.
const LOOK: Duration = Duration::from_secs(2);

/// Waits until all objects are current or have failed, or the time is over. Returns those that are
/// not current.
pub(super) async fn wait(
    server: &Server,
    id: &str,
    awaited: Vec<Awaited>,
    limit: Duration,
    listener: &Listener<'_>,
) -> Vec<(Key, Health)> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for one in awaited {
        let path = one.kind.list_path(&one.key.namespace);
        listener(Event::Health(one.key.clone(), one.health.clone()));
        let group = groups.entry(path.clone()).or_insert_with(|| Group::new(path, &one));
        group.paths.insert(one.key.name.clone(), one.kind.path(&one.key));
        group.state().insert(one.key.name.clone(), (one.key, one.health));
    }
    let waits = groups.values().map(|group| group.settle(server, id, listener));
    // Those that are late are found in the groups.
    let _ = tokio::time::timeout(limit, futures::future::join_all(waits)).await;
    groups.values().flat_map(Group::late).collect()
}

/// The objects of one kind in one namespace: one watch.
struct Group {
    path: String,
    kind: Kind,
    /// What the kind is called.
    name: String,
    /// By name.
    paths: BTreeMap<String, String>,
    /// By name.
    state: Mutex<BTreeMap<String, (Key, Health)>>,
}

impl Group {
    fn new(path: String, one: &Awaited) -> Self {
        Self {
            path,
            kind: one.kind.clone(),
            name: one.key.kind.clone(),
            paths: BTreeMap::new(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Key, Health)>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> Vec<(Key, Health)> {
        let is_late =
            |(_, health): &&(Key, Health)| health.status != crate::health::Status::Current;
        self.state().values().filter(is_late).cloned().collect()
    }

    fn is_settled(&self) -> bool {
        self.state().values().all(|(_, health)| health.status.is_final())
    }

    async fn settle(&self, server: &Server, id: &str, listener: &Listener<'_>) {
        while !self.is_settled() {
            match self.follow(server, id, listener).await {
                Err(Failure::Status(status)) if matches!(status.code, 401 | 403) => {
                    return self.look(server, listener).await;
                }
                _ if self.is_settled() => return,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Lists and watches until all is settled or the watch ends.
    async fn follow(
        &self,
        server: &Server,
        id: &str,
        listener: &Listener<'_>,
    ) -> Result<(), Failure> {
        let marked = Marked::list(server, &self.path, &self.kind, &self.name, id).await?;
        marked.items.iter().for_each(|item| self.see(item, listener));
        self.miss(&marked.items, listener);
        if self.is_settled() {
            return Ok(());
        }
        let path = marked.watch_path(&self.path, id);
        let events = server.watch(path).await?;
        pin_mut!(events);
        while let Some(event) = events.next().await {
            let event = event?;
            match event["type"].as_str() {
                Some("DELETED") => self.lose(&event["object"], listener),
                Some("ADDED" | "MODIFIED") => self.see(&event["object"], listener),
                // `410 Gone` among others: what was missed is in the next list.
                Some("ERROR") => return Ok(()),
                _ => {}
            }
            if self.is_settled() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes those that are in no list any more.
    fn miss(&self, items: &[Json], listener: &Listener<'_>) {
        let listed: BTreeSet<_> = items.iter().map(marked::name).collect();
        let names: Vec<_> =
            self.paths.keys().filter(|name| !listed.contains(name.as_str())).collect();
        for name in names {
            let gone = serde_json::json!({ "metadata": { "name": name } });
            self.note(&gone, Health::missing(), listener);
        }
    }

    /// Looks at each object in turn: for those who may not list.
    async fn look(&self, server: &Server, listener: &Listener<'_>) {
        while !self.is_settled() {
            for path in self.paths.values() {
                if let Ok(Some(object)) = server.find(path).await {
                    self.see(&object, listener);
                }
            }
            if !self.is_settled() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    fn see(&self, object: &Json, listener: &Listener<'_>) {
        self.note(object, health(object), listener);
    }

    /// A Job that is deleted after its time to live is done.
    fn lose(&self, object: &Json, listener: &Listener<'_>) {
        let now = health(object);
        let is_done = object["kind"] == "Job" && now.status.is_final();
        self.note(object, if is_done { now } else { Health::missing() }, listener);
    }

    fn note(&self, object: &Json, now: Health, listener: &Listener<'_>) {
        let mut state = self.state();
        let Some((key, health)) = state.get_mut(marked::name(object)) else {
            return;
        };
        if *health != now {
            *health = now.clone();
            let key = key.clone();
            drop(state);
            listener(Event::Health(key, now));
        }
    }
}
