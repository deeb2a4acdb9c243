//! What controllers know of a rehearsal: who owns whom, kept up by reading each change once.
//!
//! Objects themselves are read where they are, when they are looked after; what is kept of them here is
//! what one object says of others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::ask::{is_ending, text};
use crate::rehearsal::Rehearsal;
use crate::rehearsal::store::{Change, Key, Stored, Table};

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) table: Table,
    pub(super) key: Key,
}

impl Place {
    fn new(group: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let table = Table { group: group.into(), resource: resource.into() };
        Self { table, key: Key::new(namespace, name) }
    }

    /// Whether it is one of this resource, e.g. `("apps", "deployments")`.
    pub(super) fn is_of(&self, (group, resource): (&str, &str)) -> bool {
        (&*self.table.group, &*self.table.resource) == (group, resource)
    }
}

/// What an object says of others.
#[derive(Debug)]
struct Known {
    uid: Arc<str>,
    owners: BTreeSet<Arc<str>>,
    /// The claims that a pod uses.
    claims: Vec<Place>,
    ending: bool,
}

/// What some changes may concern.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// The objects that have changed, and those that look after them.
    pub(super) places: BTreeSet<Place>,
    /// Those that have lost an owner. Who names one that never was here, as in a copy of a part of a
    /// cluster, has lost none.
    pub(super) orphans: BTreeSet<Place>,
}

/// All objects, as far as they say something of each other.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// The version up to which changes are known.
    seen: u64,
    known: BTreeMap<Place, Known>,
    homes: HashMap<Arc<str>, Place>,
    owned: HashMap<Arc<str>, BTreeSet<Place>>,
    users: BTreeMap<Place, BTreeSet<Place>>,
}

impl Sight {
    /// Takes in what has changed, and says what this may concern.
    pub(super) fn follow(&mut self, api: &Rehearsal) -> Touched {
        let (revision, news) = api.news(self.seen);
        self.seen = revision;
        let mut touched = Touched::default();
        match news {
            News::Changes(changes) => {
                for change in changes {
                    let place = Place { table: change.table, key: change.key };
                    self.note(place, change.after.as_ref(), &mut touched);
                }
            }
            News::Everything(objects) => {
                let gone: Vec<_> = self
                    .known
                    .keys()
                    .filter(|place| !objects.contains_key(place))
                    .cloned()
                    .collect();
                for place in gone {
                    self.note(place, None, &mut touched);
                }
                for (place, stored) in objects {
                    self.note(place, Some(&stored), &mut touched);
                }
            }
        }
        touched
    }

    fn note(&mut self, place: Place, after: Option<&Stored>, touched: &mut Touched) {
        let before = self.known.remove(&place);
        if let Some(before) = &before {
            self.unlink(&place, before);
            touched.places.extend(self.homes_of(&before.owners));
        }
        match after {
            Some(stored) => {
                let known = Known::read(&place, &stored.value());
                touched.places.extend(self.homes_of(&known.owners));
                self.link(&place, &known);
                self.known.insert(place.clone(), known);
            }
            None => {
                if let Some(before) = before {
                    let owned = self.owned.get(&before.uid);
                    touched.orphans.extend(owned.into_iter().flatten().cloned());
                    touched.places.extend(before.claims);
                }
                if !place.key.namespace.is_empty() {
                    touched.places.insert(Place::new("", "namespaces", "", &place.key.namespace));
                }
            }
        }
        touched.places.insert(place);
    }

    fn link(&mut self, place: &Place, known: &Known) {
        self.homes.insert(Arc::clone(&known.uid), place.clone());
        for owner in &known.owners {
            self.owned.entry(Arc::clone(owner)).or_default().insert(place.clone());
        }
        for claim in &known.claims {
            self.users.entry(claim.clone()).or_default().insert(place.clone());
        }
    }

    fn unlink(&mut self, place: &Place, known: &Known) {
        self.homes.remove(&known.uid);
        for owner in &known.owners {
            if let Some(owned) = self.owned.get_mut(owner) {
                owned.remove(place);
                if owned.is_empty() {
                    self.owned.remove(owner);
                }
            }
        }
        for claim in &known.claims {
            if let Some(users) = self.users.get_mut(claim) {
                users.remove(place);
                if users.is_empty() {
                    self.users.remove(claim);
                }
            }
        }
    }

    fn homes_of<'a>(&'a self, uids: &'a BTreeSet<Arc<str>>) -> impl Iterator<Item = Place> + 'a {
        uids.iter().filter_map(|uid| self.homes.get(uid)).cloned()
    }

    /// Whether an object with this uid is there.
    pub(super) fn is_there(&self, uid: &str) -> bool {
        self.homes.contains_key(uid)
    }

    /// The places of the objects that name `owner` as an owner of theirs.
    pub(super) fn dependents(&self, owner: &Value) -> impl Iterator<Item = &Place> {
        self.owned.get(text(&owner["metadata"]["uid"])).into_iter().flatten()
    }

    /// Whether a pod uses a claim.
    pub(super) fn is_used(&self, claim: &Value) -> bool {
        let metadata = &claim["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        self.users.contains_key(&Place::new("", "persistentvolumeclaims", namespace, name))
    }

    /// The version up to which changes are known.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether an object is on its way out, as far as is known.
    pub(super) fn is_ending(&self, place: &Place) -> bool {
        self.known.get(place).is_some_and(|known| known.ending)
    }
}

impl Known {
    fn read(place: &Place, object: &Value) -> Self {
        let metadata = &object["metadata"];
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let claims = match place.is_of(("", "pods")) {
            true => object["spec"]["volumes"].as_array(),
            false => None,
        };
        let claims = claims.into_iter().flatten();
        let claims = claims.filter_map(|one| one["persistentVolumeClaim"]["claimName"].as_str());
        Self {
            uid: text(&metadata["uid"]).into(),
            owners: owners.map(|owner| text(&owner["uid"]).into()).collect(),
            claims: claims
                .map(|name| Place::new("", "persistentvolumeclaims", &place.key.namespace, name))
                .collect(),
            ending: is_ending(object),
        }
    }
}

/// What there is to know since a version.
enum News {
    /// Each change, in order.
    Changes(Vec<Change>),
    /// All objects: so much has happened that the changes are forgotten.
    Everything(BTreeMap<Place, Stored>),
}

impl Rehearsal {
    /// The version of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.state().store.revision()
    }

    /// Now, as the API writes times.
    pub(super) fn now(&self) -> String {
        self.state().now()
    }

    /// Now, in seconds since 1970.
    pub(super) fn time(&self) -> u64 {
        self.state().seconds()
    }

    /// An object without `kind` and `apiVersion`, in the version in which it is kept.
    pub(super) fn read(&self, place: &Place) -> Option<Value> {
        let stored = self.state().store.get(&place.table, &place.key).cloned();
        stored.map(|stored| stored.value())
    }

    /// The path of an object; `None` where its kind is no longer served.
    pub(super) fn path(&self, place: &Place) -> Option<String> {
        let state = self.state();
        let resource = state.catalogue.of_table(&place.table)?;
        let root = if resource.kind.group.is_empty() { "/api" } else { "/apis" };
        let (version, plural) = (resource.kind.api_version(), &resource.plural);
        let Key { namespace, name } = &place.key;
        Some(match resource.namespaced {
            true => format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"),
            false => format!("{root}/{version}/{plural}/{name}"),
        })
    }

    /// The objects of a resource.
    pub(super) fn places(&self, (group, resource): (&str, &str)) -> Vec<Place> {
        let table = Table { group: group.into(), resource: resource.into() };
        let state = self.state();
        let keys = state.store.list(&table, "").map(|(key, _)| key.clone());
        keys.map(|key| Place { table: table.clone(), key }).collect()
    }

    /// The objects of a namespace.
    pub(super) fn contents(&self, namespace: &str) -> Vec<Place> {
        let state = self.state();
        let tables = state.store.tables();
        let places = tables.flat_map(|table| {
            let keys = state.store.list(table, namespace).map(|(key, _)| key);
            keys.map(|key| Place { table: table.clone(), key: key.clone() })
        });
        places.collect()
    }

    /// What happened after a version, and up to which one that is.
    fn news(&self, seen: u64) -> (u64, News) {
        let state = self.state();
        let store = &state.store;
        let news = match seen < store.forgotten() {
            false => News::Changes(store.changes(seen).cloned().collect()),
            true => {
                let tables = store.tables();
                let all = tables.flat_map(|table| {
                    let objects = store.list(table, "");
                    objects.map(|(key, stored)| {
                        (Place { table: table.clone(), key: key.clone() }, stored.clone())
                    })
                });
                News::Everything(all.collect())
            }
        };
        (store.revision(), news)
    }
}
