//! Deletes what the overlay no longer has.

use std::time::Duration;

use futures::StreamExt;
use http::Method;
use serde_json::{Value as Json, json};

use super::discovery::Kinds;
use super::explain::{self, Asked};
use super::request::{AT_ONCE, Call, Failure, Server};
use super::{Event, Listener};
use crate::error::Error;
use crate::inventory::Key;
use crate::plan::{Action, Fate, Prune, is_custom, rank};

/// How long a controller gets to clean up behind its objects before it may be deleted itself.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// The pause between two looks at an object that is being deleted.
const LOOK: Duration = Duration::from_millis(500);

/// Deletes rank by rank. Returns the members to forget, with `None`, and those that failed.
///
/// Those that are kept are in neither, and stay in the inventory.
pub(super) async fn prune(
    server: &Server,
    kinds: &Kinds,
    prunes: &[Prune],
    listener: &Listener<'_>,
) -> Vec<(Key, Option<Error>)> {
    let mut outcomes = Vec::new();
    for group in prunes.chunk_by(|a, b| rank_of(a) == rank_of(b)) {
        let work: Vec<_> =
            group.iter().map(|one| prune_one(server, kinds, one, listener)).collect();
        let done: Vec<_> = futures::stream::iter(work).buffered(AT_ONCE).collect().await;
        outcomes.extend(done.into_iter().flatten());
        let custom = group.iter().filter(|one| is_custom(&one.key.group));
        let deleted: Vec<_> = custom.filter(|one| matches!(one.fate, Fate::Deleted(_))).collect();
        let keys: Vec<_> =
            deleted.iter().map(|one| (&one.key, one.member.version.as_str())).collect();
        let _ = gone(server, kinds, &keys, CLEAN_UP).await;
    }
    outcomes
}

fn rank_of(prune: &Prune) -> (usize, usize) {
    rank(&prune.key.group, &prune.key.kind)
}

async fn prune_one(
    server: &Server,
    kinds: &Kinds,
    prune: &Prune,
    listener: &Listener<'_>,
) -> Option<(Key, Option<Error>)> {
    let key = prune.key.clone();
    match &prune.fate {
        Fate::Gone => Some((key, None)),
        Fate::Released(reason) => {
            listener(Event::Stays(key.clone(), reason.clone()));
            Some((key, None))
        }
        Fate::Kept(reason) => {
            listener(Event::Stays(key, reason.clone()));
            None
        }
        Fate::Deleted(live) => match delete(server, kinds, prune, live).await {
            Ok(()) => {
                listener(Event::Done(key.clone(), Action::Pruned));
                Some((key, None))
            }
            Err(error) => {
                listener(Event::Failed(key.clone(), error.clone()));
                Some((key, Some(error)))
            }
        },
    }
}

/// Deletes exactly the object that was looked at: its UID is a condition.
async fn delete(server: &Server, kinds: &Kinds, prune: &Prune, live: &Json) -> Result<(), Error> {
    let Some(kind) = kinds.near(&prune.key.group, &prune.member.version, &prune.key.kind) else {
        return Ok(());
    };
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
        "preconditions": { "uid": live["metadata"]["uid"] },
    });
    let call = Call::send(Method::DELETE, kind.path(&prune.key), &options);
    match server.call(&call).await {
        Ok(_) => Ok(()),
        // Somebody was faster; and after a lost answer it was ourselves.
        Err(Failure::Status(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(failure) => {
            let resource = kind.resource();
            let key = &prune.key;
            let asked = Asked { verb: "delete", resource: &resource, key, place: None };
            Err(explain::object(&failure, server, &asked))
        }
    }
}

/// Waits until the objects are gone; those that are still there when the time is over.
pub(super) async fn gone(
    server: &Server,
    kinds: &Kinds,
    keys: &[(&Key, &str)],
    limit: Duration,
) -> Vec<Key> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut left: Vec<_> = keys.to_vec();
    loop {
        let mut still = Vec::new();
        for (key, version) in left {
            let kind = kinds.near(&key.group, version, &key.kind);
            let Some(kind) = kind else { continue };
            if !matches!(server.find(&kind.path(key)).await, Ok(None)) {
                still.push((key, version));
            }
        }
        if still.is_empty() || tokio::time::Instant::now() >= deadline {
            return still.into_iter().map(|(key, _)| key.clone()).collect();
        }
        left = still;
        tokio::time::sleep(LOOK).await;
    }
}
