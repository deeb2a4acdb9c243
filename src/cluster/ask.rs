//! Asks the server what a sync would do, and writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use serde_json::Value as Json;

use super::discovery::Kinds;
use super::explain::{self, Asked};
use super::ledger::Ledger;
use super::marked::{self, Marked};
use super::prepare::{Context, Prepared, prepare};
use super::request::{Call, Failure, Server};
use super::{Locate, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::inventory::{Key, Location, Member, Owner};
use crate::plan::{self, Action, Answer, Object, Plan};
use crate::resources::Resources;

/// What is wanted of a cluster.
pub struct Wanted<'a> {
    /// The objects.
    pub resources: &'a Resources,
    /// The digest of all of them.
    pub source: &'a str,
    /// Whose they are.
    pub owner: &'a Owner,
    /// Where to remember them.
    pub location: &'a Location,
    /// Finds lines for messages.
    pub locate: &'a Locate<'a>,
}

/// What a sync would do, and what it would take.
pub struct Review {
    /// What it would do.
    pub plan: Plan,
    /// What the server would refuse; with these nothing is written.
    pub failures: Vec<Error>,
    /// One for each object with fields that somebody else owns.
    pub conflicts: Vec<Error>,
    pub(super) prepared: Vec<Prepared>,
    pub(super) ledger: Ledger,
    pub(super) kinds: Kinds,
}

impl Review {
    /// The object that a change is about.
    #[must_use]
    pub fn object(&self, change: &plan::Change) -> &Object {
        &self.prepared[change.object].object
    }

    /// The key of the object that a change is about.
    #[must_use]
    pub fn key(&self, change: &plan::Change) -> &Key {
        &self.object(change).key
    }

    /// How many objects the last sync has left.
    #[must_use]
    pub fn members(&self) -> usize {
        self.ledger.inventory.members.len()
    }
}

/// One error for each object with fields that somebody else owns.
fn conflicts(plan: &Plan, prepared: &[Prepared], locate: &Locate<'_>) -> Vec<Error> {
    let owned = plan.changes().filter(|change| change.action == Action::Conflict);
    let error = |change: &plan::Change| {
        let one = &prepared[change.object];
        let (resource, key) = (one.kind.resource(), &one.object.key);
        let field = change.conflicts.first().map_or("", |conflict| conflict.field.as_str());
        let place = explain::place_of(&one.object, field, locate);
        let asked = Asked { verb: "patch", resource: &resource, key, place: Some(&place) };
        explain::owned(&change.conflicts, &asked)
    };
    owned.map(error).collect()
}

/// Asks the server what a sync would do.
///
/// # Errors
/// Where the server cannot be asked at all, an object is of an unknown kind, or the sync is refused:
/// the inventory belongs to another overlay, or nothing was rendered and everything would be deleted.
pub async fn review(server: &Server, wanted: &Wanted<'_>, options: &Options) -> Result<Review> {
    let lost = |failure: &Failure| {
        explain::connection(failure, &server.address, server.context.as_deref())
    };
    let kinds = Kinds::discover(server).await.map_err(|failure| lost(&failure))?;
    let ledger = Ledger::read(server, wanted.location.clone()).await?;
    check_owner(&ledger, wanted.owner)?;
    check_empty(&ledger, wanted, options)?;
    let id = wanted.location.id();
    let (namespace, locate) = (server.namespace.as_str(), wanted.locate);
    let context = Context { kinds: &kinds, namespace, id: &id, locate };
    let prepared = prepare(wanted.resources, &context)?;
    let known = known(server, &prepared, &id).await;
    let asking = Asking { server, options, prepared: &prepared, known, locate };
    let (answers, failures) = asking.all().await?;
    let remains = match options.prune {
        true => remains(server, &ledger, &prepared, &kinds).await?,
        false => BTreeMap::new(),
    };
    let objects: Vec<_> = prepared.iter().map(|one| one.object.clone()).collect();
    let mut plan = plan::plan(&objects, answers, &ledger.inventory, &remains, &id);
    if !options.prune {
        plan.prunes.clear();
    }
    let conflicts = conflicts(&plan, &prepared, locate);
    let mut review = Review { plan, failures, conflicts, prepared, ledger, kinds };
    review.ledger.inventory.source = wanted.source.to_owned();
    review.ledger.inventory.owner = wanted.owner.clone();
    Ok(review)
}

/// Two overlays with one inventory would delete each other's objects in turn.
fn check_owner(ledger: &Ledger, owner: &Owner) -> Result<()> {
    let recorded = &ledger.inventory.owner;
    let is_other =
        |recorded: &str, now: &str| !recorded.is_empty() && !now.is_empty() && recorded != now;
    if !is_other(&recorded.repository, &owner.repository) && !is_other(&recorded.path, &owner.path)
    {
        return Ok(());
    }
    let whose = format!("{} {}", recorded.repository, recorded.path);
    let message = format!("is the inventory of another overlay: {}", whose.trim());
    Err(Error::new(ErrorKind::Refused, ledger.location.place(), message)
        .hint("give this overlay an inventory of its own with --inventory"))
}

/// A render that went wrong quietly must not empty the cluster.
fn check_empty(ledger: &Ledger, wanted: &Wanted<'_>, options: &Options) -> Result<()> {
    let members = ledger.inventory.members.len();
    if !wanted.resources.is_empty() || members == 0 || !options.prune || options.allow_empty {
        return Ok(());
    }
    let message =
        format!("the overlay renders to nothing, so all {members} objects would be deleted");
    Err(Error::new(ErrorKind::Refused, ledger.location.place(), message)
        .hint("if that is meant, say --allow-empty, or use `delete`"))
}

/// The members that the overlay no longer has, as they are now.
async fn remains(
    server: &Server,
    ledger: &Ledger,
    prepared: &[Prepared],
    kinds: &Kinds,
) -> Result<BTreeMap<Key, Json>> {
    let wanted: BTreeSet<_> = prepared.iter().map(|one| &one.object.key).collect();
    let members = ledger.inventory.members.iter();
    let dropped = members.filter(|(key, _)| !wanted.contains(key));
    present(server, kinds, dropped).await
}

/// Those of `members` that the server has, as they are now.
pub(super) async fn present<'a>(
    server: &Server,
    kinds: &Kinds,
    members: impl Iterator<Item = (&'a Key, &'a Member)>,
) -> Result<BTreeMap<Key, Json>> {
    let ask = |(key, member): (&'a Key, &'a Member)| async move {
        // Where its kind is gone, so is the object.
        let Some(kind) = kinds.near(&key.group, &member.version, &key.kind) else {
            return Ok(None);
        };
        let live = server.find(&kind.path(key)).await.map_err(|failure| {
            let resource = kind.resource();
            let asked = Asked { verb: "get", resource: &resource, key, place: None };
            explain::object(&failure, server, &asked)
        })?;
        Ok::<_, Error>(live.map(|live| (key.clone(), live)))
    };
    let asked: Vec<_> = members.map(ask).collect();
    let answers = futures::stream::iter(asked).buffered(super::request::AT_ONCE);
    let answers: Vec<_> = answers.try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// From how many objects of one kind and namespace on they are listed and not read one by one.
const MANY: usize = 4;

/// Those of the objects that are marked as ours already, by one list for each kind and namespace.
///
/// One list costs the server a thirtieth of reading a thousand objects one by one.
async fn known(server: &Server, prepared: &[Prepared], id: &str) -> BTreeMap<Key, Json> {
    let mut groups: BTreeMap<String, Vec<&Prepared>> = BTreeMap::new();
    for one in prepared.iter().filter(|one| one.is_known) {
        groups.entry(one.kind.list_path(&one.object.key.namespace)).or_default().push(one);
    }
    groups.retain(|_, members| members.len() >= MANY);
    let lists = groups.into_iter().map(|(path, members)| async move {
        let (kind, name) = (&members[0].kind, &members[0].object.key.kind);
        let marked = Marked::list(server, &path, kind, name, id).await;
        // Who may read objects but not list them has them read one by one.
        (members, marked.unwrap_or_default())
    });
    let lists: Vec<_> = lists.collect();
    let mut lists = futures::stream::iter(lists).buffered(super::request::AT_ONCE);
    let mut known = BTreeMap::new();
    while let Some((members, marked)) = lists.next().await {
        let items = marked.items.into_iter();
        let mut items: BTreeMap<_, _> =
            items.map(|item| (marked::name(&item).to_owned(), item)).collect();
        for key in members.iter().map(|one| &one.object.key) {
            if let Some(live) = items.remove(&key.name) {
                known.insert(key.clone(), live);
            }
        }
    }
    known
}

struct Asking<'a> {
    server: &'a Server,
    options: &'a Options,
    prepared: &'a [Prepared],
    known: BTreeMap<Key, Json>,
    locate: &'a Locate<'a>,
}

impl Asking<'_> {
    /// All answers, and what the server would refuse. A server that is gone ends it.
    async fn all(&self) -> Result<(Vec<Answer>, Vec<Error>)> {
        let made = Made::of(self.prepared);
        let asked: Vec<_> = self.prepared.iter().map(|one| self.one(one, &made)).collect();
        let mut outcomes = futures::stream::iter(asked).buffered(super::request::AT_ONCE);
        let (mut answers, mut failures) = (Vec::new(), Vec::new());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(answer) => answers.push(answer),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => {
                    failures.push(error);
                    answers.push(Answer::Absent { merged: None });
                }
            }
        }
        Ok((answers, failures))
    }

    async fn one(&self, one: &Prepared, made: &Made<'_>) -> Result<Answer> {
        if !one.is_known {
            return Ok(Answer::Absent { merged: None });
        }
        match self.server.call(&apply(one, self.options, true)).await {
            // What would only be made has no version yet.
            Ok(merged) if merged["metadata"]["resourceVersion"].is_null() => {
                Ok(Answer::Absent { merged: Some(merged) })
            }
            Ok(merged) => Ok(match self.live(one).await? {
                Some(live) => Answer::Present { live, merged: Some(merged) },
                None => Answer::Absent { merged: Some(merged) },
            }),
            Err(failure) => {
                // Where there is no server, the object cannot be asked for either.
                let live = match failure.status() {
                    Some(status) if status.code != 401 => self.live(one).await,
                    _ => Ok(None),
                };
                self.refused(one, live.unwrap_or_default(), &failure, made)
            }
        }
    }

    /// The object as it is.
    async fn live(&self, one: &Prepared) -> Result<Option<Json>> {
        if let Some(live) = self.known.get(&one.object.key) {
            return Ok(Some(live.clone()));
        }
        let live = self.server.find(&one.kind.path(&one.object.key)).await;
        live.map_err(|failure| self.explain(&failure, one, "get"))
    }

    fn refused(
        &self,
        one: &Prepared,
        live: Option<Json>,
        failure: &Failure,
        made: &Made<'_>,
    ) -> Result<Answer> {
        let conflicts = failure.status().map(|status| status.conflicts()).unwrap_or_default();
        let (key, status) = (&one.object.key, failure.status());
        match live {
            Some(live) if !conflicts.is_empty() => Ok(Answer::Owned { live, conflicts }),
            None if made.namespaces.contains(key.namespace.as_str())
                && status.is_some_and(|status| status.kind == "namespaces") =>
            {
                Ok(Answer::Absent { merged: None })
            }
            // The definition that does not fit is about to be replaced.
            live if made.kinds.contains(&(key.group.as_str(), key.kind.as_str()))
                && status.is_some_and(|status| matches!(status.code, 422 | 500)) =>
            {
                Ok(match live {
                    Some(live) => Answer::Present { live, merged: None },
                    None => Answer::Absent { merged: None },
                })
            }
            _ => Err(self.explain(failure, one, "patch")),
        }
    }

    fn explain(&self, failure: &Failure, one: &Prepared, verb: &str) -> Error {
        let resource = one.kind.resource();
        explain::resource(failure, self.server, verb, &resource, &one.object, self.locate)
    }
}

/// Whether asking for the next object makes no sense either.
pub(super) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Unknown)
}

/// What the same sync makes or changes first.
#[derive(Default)]
struct Made<'a> {
    namespaces: BTreeSet<&'a str>,
    /// Groups and kinds.
    kinds: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Made<'a> {
    fn of(prepared: &'a [Prepared]) -> Self {
        let mut made = Self::default();
        for Prepared { object, .. } in prepared {
            let key = &object.key;
            match (key.group.as_str(), key.kind.as_str()) {
                ("", "Namespace") => {
                    made.namespaces.insert(&key.name);
                }
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    let spec = &object.body["spec"];
                    let group = spec["group"].as_str().unwrap_or_default();
                    let kind = spec["names"]["kind"].as_str().unwrap_or_default();
                    made.kinds.insert((group, kind));
                }
                _ => {}
            }
        }
        made
    }
}

/// The request that applies an object, or only pretends to.
pub(super) fn apply(one: &Prepared, options: &Options, is_pretence: bool) -> Call {
    let manager = super::discovery::escape(&options.manager);
    let mut path = format!(
        "{}?fieldManager={manager}&fieldValidation=Strict&force={}",
        one.kind.path(&one.object.key),
        options.force
    );
    if is_pretence {
        path.push_str("&dryRun=All");
    }
    Call::apply(path, &one.object.body)
}
