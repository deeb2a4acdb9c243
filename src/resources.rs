//! The ordered set of objects that a build works on.

use std::hash::{BuildHasher, Hash};

use ecow::EcoString;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::resource::{Id, Resource};
use crate::threads::Threads;

/// Objects in the order in which they were accumulated; no two share an id when they are added.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    list: Vec<Resource>,
    /// Where each present id is; dropped as soon as somebody may have changed one.
    by_id: Option<ByKey>,
    /// Where each present or former name is, dropped in the same way.
    by_name: Option<FxHashMap<EcoString, Vec<usize>>>,
    threads: Threads,
}

/// Where each key of a list is. What is compared stands in the objects themselves, and is looked at where
/// hashes are equal.
#[derive(Clone, Debug, Default)]
struct ByKey(HashTable<Position>);

#[derive(Clone, Copy, Debug)]
struct Position {
    hash: Hashed,
    at: usize,
}

/// What an object is compared by, as a hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hashed(u64);

impl Hashed {
    /// That of the id that an object has now.
    pub(crate) fn id(resource: &Resource) -> Self {
        Self::of(resource.key())
    }

    fn of(key: impl Hash) -> Self {
        Self(FxBuildHasher.hash_one(key))
    }
}

impl ByKey {
    /// Those of a list that has these hashes, and the first two in it that are the same.
    fn of(
        hashes: &[Hashed],
        is_same: impl Fn(usize, usize) -> bool,
    ) -> (Self, Option<(usize, usize)>) {
        let mut positions = Self(HashTable::with_capacity(hashes.len()));
        let mut doubled = None;
        for (at, hash) in hashes.iter().enumerate() {
            let first = positions.note(*hash, at, |other| is_same(other, at));
            doubled = doubled.or(first.map(|first| (first, at)));
        }
        (positions, doubled)
    }

    /// Notes that an object is to be at `at`, unless there is one already that is the same: where that is.
    fn note(&mut self, hash: Hashed, at: usize, is_same: impl Fn(usize) -> bool) -> Option<usize> {
        let is_it = |other: &Position| other.hash == hash && is_same(other.at);
        match self.0.entry(hash.0, is_it, |other| other.hash.0) {
            Entry::Occupied(first) => Some(first.get().at),
            Entry::Vacant(free) => {
                free.insert(Position { hash, at });
                None
            }
        }
    }
}

fn note_names(index: &mut FxHashMap<EcoString, Vec<usize>>, at: usize, resource: &Resource) {
    for id in resource.ids() {
        let places = index.entry(id.name).or_default();
        if places.last() != Some(&at) {
            places.push(at);
        }
    }
}

impl Resources {
    /// Has steps that look at one object at a time work on these threads.
    pub fn work_on(&mut self, threads: &Threads) {
        self.threads = threads.clone();
    }

    /// The threads that steps work on.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Lets `step` change the objects, in runs that several threads may share.
    ///
    /// # Errors
    /// The first that `step` gives.
    pub fn change<E: Send>(
        &mut self,
        step: impl Fn(&mut [Resource]) -> Result<(), E> + Sync + Send,
    ) -> Result<(), E> {
        self.forget_positions();
        self.threads.change_runs(&mut self.list, step)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Resource> {
        self.list.iter()
    }

    /// All of them for writing.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Resource> {
        self.forget_positions();
        self.list.iter_mut()
    }

    /// As a slice, for look-ups by position.
    #[must_use]
    pub fn as_slice(&self) -> &[Resource] {
        &self.list
    }

    /// The vector itself, for steps that drop or reorder.
    pub fn as_mut_vec(&mut self) -> &mut Vec<Resource> {
        self.forget_positions();
        &mut self.list
    }

    fn forget_positions(&mut self) {
        self.by_id = None;
        self.by_name = None;
    }

    /// Where the objects are that have or had this id.
    pub fn positions_ever(&mut self, id: &Id) -> Vec<usize> {
        let list = &self.list;
        let index = self.by_name.get_or_insert_with(|| {
            let mut index = FxHashMap::default();
            list.iter().enumerate().for_each(|(at, one)| note_names(&mut index, at, one));
            index
        });
        let named = index.get(&id.name).into_iter().flatten();
        named.copied().filter(|at| list[*at].ids().any(|one| one.is_same(id))).collect()
    }

    /// Puts another object in the place of one.
    pub fn replace(&mut self, at: usize, resource: Resource) {
        let old = &self.list[at];
        if old.id() != resource.id() || old.former != resource.former {
            self.forget_positions();
        }
        self.list[at] = resource;
    }

    /// The first two that have one id.
    #[must_use]
    pub fn doubled(&self) -> Option<(usize, usize)> {
        match &self.by_id {
            // As many ids as objects.
            Some(positions) if positions.0.len() == self.list.len() => None,
            _ => self.doubled_by(Resource::key),
        }
    }

    /// The first two that have one key.
    pub(crate) fn doubled_by<'a, K: Hash + Eq>(
        &'a self,
        key: impl Fn(&'a Resource) -> K + Sync + Send,
    ) -> Option<(usize, usize)> {
        let list = self.list.as_slice();
        let hashes = self.threads.map(list, 1, |one| Hashed::of(key(one)));
        ByKey::of(&hashes, |one, other| key(&list[one]) == key(&list[other])).1
    }

    /// Takes all of `others` in one piece, where there are none yet and no two of them share an id.
    ///
    /// # Errors
    /// With `others` where they have to be added one by one.
    pub fn adopt(&mut self, others: Self) -> Result<(), Self> {
        if !self.list.is_empty() || others.doubled().is_some() {
            return Err(others);
        }
        (self.list, self.by_id, self.by_name) = (others.list, others.by_id, others.by_name);
        Ok(())
    }

    /// Makes room for that many more.
    pub fn reserve(&mut self, more: usize) {
        self.list.reserve(more);
        let (_, positions) = self.positions();
        positions.0.reserve(more, |other| other.hash.0);
    }

    /// The objects, and where each id is.
    fn positions(&mut self) -> (&[Resource], &mut ByKey) {
        let (list, threads) = (self.list.as_slice(), &self.threads);
        let positions = self.by_id.get_or_insert_with(|| {
            let ids = threads.map(list, 1, Hashed::id);
            ByKey::of(&ids, |one, other| list[one].key() == list[other].key()).0
        });
        (list, positions)
    }

    /// Adds an object, or gives it back with the position of the one that has its id.
    ///
    /// # Errors
    /// Where an object of the same id is there already.
    pub fn append(&mut self, resource: Resource) -> Result<(), (Box<Resource>, usize)> {
        let id = Hashed::id(&resource);
        self.append_hashed(resource, id)
    }

    /// As [`append`](Self::append), where the hash of the id is known.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(crate) fn append_hashed(
        &mut self,
        resource: Resource,
        id: Hashed,
    ) -> Result<(), (Box<Resource>, usize)> {
        let (list, positions) = self.positions();
        let at = list.len();
        let first = positions.note(id, at, |other| list[other].key() == resource.key());
        if let Some(first) = first {
            return Err((Box::new(resource), first));
        }
        if let Some(index) = &mut self.by_name {
            note_names(index, at, &resource);
        }
        self.list.push(resource);
        Ok(())
    }
}

impl IntoIterator for Resources {
    type Item = Resource;
    type IntoIter = std::vec::IntoIter<Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Resources {
    type Item = &'a Resource;
    type IntoIter = std::slice::Iter<'a, Resource>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Resource>> for Resources {
    fn from(list: Vec<Resource>) -> Self {
        Self { list, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::value::Value;

    fn config_map(name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain("v1"));
        value.set(&["kind"], Value::plain("ConfigMap"));
        value.set(&["metadata", "name"], Value::plain(name));
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    #[test]
    fn ids_are_the_same_however_the_core_group_is_written() {
        let mut other = config_map("a");
        other.value.set(&["apiVersion"], Value::plain("/v1"));
        let resources = Resources::from(vec![config_map("a"), other]);
        assert_eq!(resources.doubled(), Some((0, 1)));
    }

    #[test]
    fn doubles_are_found_after_others_are_added() {
        let mut resources =
            Resources::from(vec![config_map("a"), config_map("a"), config_map("b")]);
        assert!(resources.append(config_map("c")).is_ok());
        assert!(resources.append(config_map("b")).is_err());
        assert_eq!(resources.doubled(), Some((0, 1)));
    }

    #[test]
    fn former_names_are_found_after_every_change() {
        let mut resources = Resources::default();
        assert!(resources.append(config_map("a")).is_ok());
        let id = config_map("a").id();
        assert_eq!(resources.positions_ever(&id), [0]);
        assert!(resources.append(config_map("b")).is_ok());
        assert_eq!(resources.positions_ever(&config_map("b").id()), [1]);
        for resource in resources.iter_mut() {
            resource.remember_id();
            resource.value.set(&["metadata", "name"], Value::plain("c"));
        }
        assert_eq!(resources.positions_ever(&id), [0]);
        assert_eq!(resources.positions_ever(&config_map("c").id()), [0, 1]);
        resources.replace(0, config_map("d"));
        assert!(resources.positions_ever(&id).is_empty());
    }
}
