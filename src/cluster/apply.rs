//! Does what the plan says.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value as Json;

use super::ask::{Review, apply, is_fatal};
use super::prepare::Prepared;
use super::request::{AT_ONCE, Failure, Server};
use super::wait::{Awaited, wait};
use super::{Event, Listener, Locate, Options, explain, prune};
use crate::error::{Error, Result};
use crate::health::{Health, health};
use crate::inventory::{Key, Member};
use crate::plan::{Action, Change, Fate, Prune};

/// The longest wait for a definition to be served, where the user does not wait for health.
const ESTABLISH: Duration = Duration::from_secs(60);

/// How often, and how long apart, an object is tried whose definition is established but not served
/// yet: the server's own watch has to catch up.
const SERVED: (usize, Duration) = (40, Duration::from_millis(250));

/// What came of a sync.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How many objects met what.
    pub counts: BTreeMap<Action, usize>,
    /// What went wrong. Where there is anything, the inventory holds all that was there before and
    /// all that was wanted, and the next sync finishes the work.
    pub failures: Vec<Error>,
    /// What is not healthy, after the wait.
    pub unhealthy: Vec<(Key, Health)>,
}

impl Outcome {
    pub(super) fn count(&mut self, action: Action) {
        *self.counts.entry(action).or_default() += 1;
    }
}

/// Carries out what [`review`](super::review) found.
///
/// # Errors
/// Where the inventory cannot be written; all else is in the outcome.
pub async fn carry_out(
    server: &Server,
    review: Review,
    options: &Options,
    locate: &Locate<'_>,
    listener: &Listener<'_>,
) -> Result<Outcome> {
    let mut run = Run {
        server,
        review,
        options,
        locate,
        listener,
        applied: BTreeMap::new(),
        outcome: Outcome::default(),
    };
    run.remember();
    run.make_home().await?;
    run.review.ledger.write(server).await?;
    let is_applied = run.apply_all().await;
    let (late, early) = run.take_prunes();
    if is_applied {
        run.prune(&early).await;
    }
    run.settle().await?;
    if is_applied {
        run.finish(&late).await?;
    }
    Ok(run.outcome)
}

struct Run<'a> {
    server: &'a Server,
    review: Review,
    options: &'a Options,
    locate: &'a Locate<'a>,
    listener: &'a Listener<'a>,
    /// The objects as the server returned them, by their position.
    applied: BTreeMap<usize, Json>,
    outcome: Outcome,
}

impl Run<'_> {
    /// Adds everything that is wanted to the inventory, before any of it exists: what is interrupted
    /// now is found again.
    fn remember(&mut self) {
        let members = &mut self.review.ledger.inventory.members;
        for change in self.review.plan.changes() {
            let object = &self.review.prepared[change.object].object;
            let uid = change.live.as_ref().and_then(uid);
            let (version, fields) = (object.version.clone(), Some(object.fields.clone()));
            members.insert(object.key.clone(), Member { version, uid, fields });
        }
    }

    /// Makes the namespace that the inventory is kept in, where it is one of the overlay's own: nothing
    /// can be written into it before.
    async fn make_home(&self) -> Result<()> {
        let home = &self.review.ledger.location.namespace;
        let is_home = |change: &&Change| {
            let key = &self.review.prepared[change.object].object.key;
            change.action == Action::Created
                && key.group.is_empty()
                && key.kind == "Namespace"
                && key.name == *home
        };
        if let Some(change) = self.review.plan.changes().find(is_home) {
            self.apply_object(&self.review.prepared[change.object]).await?;
        }
        Ok(())
    }

    /// Applies stage by stage; false where something failed, and later stages were left.
    async fn apply_all(&mut self) -> bool {
        for stage in 0..self.review.plan.stages.len() {
            self.apply_stage(stage).await;
            if !self.outcome.failures.is_empty() {
                return false;
            }
            if stage == 0 && !self.establish().await {
                return false;
            }
        }
        true
    }

    async fn apply_stage(&mut self, stage: usize) {
        let changes = &self.review.plan.stages[stage];
        let work: Vec<_> = changes.iter().map(|change| self.apply_change(change)).collect();
        let mut done = futures::stream::iter(work).buffer_unordered(AT_ONCE);
        let mut finished = Vec::new();
        while let Some((change, outcome)) = done.next().await {
            // The others would only repeat that the server is gone.
            let is_over = outcome.as_ref().is_err_and(is_fatal);
            finished.push((change.object, change.action, outcome));
            if is_over {
                break;
            }
        }
        drop(done);
        for (object, action, outcome) in finished {
            self.note(object, action, outcome);
        }
    }

    async fn apply_change<'c>(&self, change: &'c Change) -> (&'c Change, Result<Json>) {
        let one = &self.review.prepared[change.object];
        let outcome = match change.action {
            Action::Unchanged => Ok(change.live.clone().unwrap_or_default()),
            _ => self.apply_object(one).await,
        };
        let key = one.object.key.clone();
        (self.listener)(match &outcome {
            Ok(_) => Event::Done(key, change.action),
            Err(error) => Event::Failed(key, error.clone()),
        });
        (change, outcome)
    }

    async fn apply_object(&self, one: &Prepared) -> Result<Json> {
        let call = apply(one, self.options, false);
        let mut attempt = 0;
        loop {
            match self.server.call(&call).await {
                Ok(json) => return Ok(json),
                Err(failure) if !one.is_known && is_unserved(&failure) && attempt < SERVED.0 => {
                    attempt += 1;
                    tokio::time::sleep(SERVED.1).await;
                }
                Err(failure) => {
                    let (server, resource) = (self.server, one.kind.resource());
                    let sent = &one.object;
                    return Err(explain::resource(
                        &failure,
                        server,
                        "patch",
                        &resource,
                        sent,
                        self.locate,
                    ));
                }
            }
        }
    }

    fn note(&mut self, object: usize, action: Action, outcome: Result<Json>) {
        match outcome {
            Ok(json) => {
                let key = &self.review.prepared[object].object.key;
                if let Some(member) = self.review.ledger.inventory.members.get_mut(key) {
                    member.uid = uid(&json);
                }
                self.applied.insert(object, json);
                self.outcome.count(action);
            }
            Err(error) => self.outcome.failures.push(error),
        }
    }

    /// Waits until the definitions of this sync are served.
    async fn establish(&mut self) -> bool {
        let definitions = self.awaited(|one| one.object.key.kind == "CustomResourceDefinition");
        let limit = self.options.wait.unwrap_or(ESTABLISH);
        let id = self.review.ledger.location.id();
        let late = wait(self.server, &id, definitions, limit, self.listener).await;
        let is_done = late.is_empty();
        self.outcome.unhealthy.extend(late);
        is_done
    }

    /// What is deleted after the wait, and what before it. Old pods read their configuration until the
    /// new ones have taken over, and a generated name with a hash is a new object each time.
    fn take_prunes(&mut self) -> (Vec<Prune>, Vec<Prune>) {
        let prunes = std::mem::take(&mut self.review.plan.prunes);
        let is_late = |prune: &Prune| {
            prune.key.group.is_empty()
                && matches!(prune.key.kind.as_str(), "ConfigMap" | "Secret")
                && matches!(prune.fate, Fate::Deleted(_))
        };
        prunes.into_iter().partition(is_late)
    }

    async fn prune(&mut self, prunes: &[Prune]) {
        let pruned = prune::prune(self.server, &self.review.kinds, prunes, self.listener).await;
        let members = &mut self.review.ledger.inventory.members;
        for (key, error) in pruned {
            match error {
                None => drop(members.remove(&key)),
                Some(error) => self.outcome.failures.push(error),
            }
        }
        let deleted = prunes.iter().filter(|prune| matches!(prune.fate, Fate::Deleted(_)));
        let count = deleted.filter(|prune| !members.contains_key(&prune.key)).count();
        if count > 0 {
            *self.outcome.counts.entry(Action::Pruned).or_default() += count;
        }
    }

    /// Waits for health, and then deletes what had to stay until then.
    async fn finish(&mut self, late: &[Prune]) -> Result<()> {
        if let Some(limit) = self.options.wait {
            self.wait(limit).await;
        }
        if self.outcome.unhealthy.is_empty() {
            self.prune(late).await;
            return self.settle().await;
        }
        for prune in late {
            let reason = "stays until everything is healthy".to_owned();
            (self.listener)(Event::Stays(prune.key.clone(), reason));
        }
        Ok(())
    }

    /// Writes what is there now into the inventory. After a failure that is worth a try only.
    async fn settle(&mut self) -> Result<()> {
        let written = self.review.ledger.write(self.server).await;
        if self.outcome.failures.is_empty() { written } else { Ok(()) }
    }

    async fn wait(&mut self, limit: Duration) {
        let awaited = self.awaited(|_| true);
        let id = self.review.ledger.location.id();
        self.outcome.unhealthy = wait(self.server, &id, awaited, limit, self.listener).await;
    }

    /// The applied objects that are not healthy yet.
    fn awaited(&self, is_meant: impl Fn(&Prepared) -> bool) -> Vec<Awaited> {
        let applied = self.applied.iter().map(|(at, json)| (&self.review.prepared[*at], json));
        let meant = applied.filter(|(one, _)| is_meant(one));
        let awaited = meant.map(|(one, json)| Awaited {
            key: one.object.key.clone(),
            kind: one.kind.clone(),
            health: health(json),
        });
        awaited.collect()
    }
}

fn uid(object: &Json) -> Option<String> {
    object["metadata"]["uid"].as_str().map(str::to_owned)
}

/// Whether there is no such path, rather than no such object or namespace.
fn is_unserved(failure: &Failure) -> bool {
    failure.status().is_some_and(|status| status.code == 404 && status.kind != "namespaces")
}
