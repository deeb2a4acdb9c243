//! The objects of a rehearsal and the log of their changes.
//!
//! An object is kept as the JSON text that is sent, without `kind` and `apiVersion`: about a third
//! of what the same object takes as a tree, and lists are copied together without being read.
//! Every change keeps the text from before, as long as the log is long: so a list can be given as
//! it was at an earlier version, and a watch can be continued.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

/// Changes that the log holds; older ones are gone for watches (`410 Gone`).
const LOG_CHANGES: usize = 16_384;

/// Bytes of objects that only the log still holds.
const LOG_BYTES: usize = 64 << 20;

/// Which table an object is in: its group and the plural of its kind, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Table {
    pub(super) group: Arc<str>,
    pub(super) resource: Arc<str>,
}

/// Namespace and name, in the order in which lists are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// One object at one version.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Without `kind` and `apiVersion`, with its `metadata.resourceVersion`.
    pub(super) json: Arc<str>,
    /// The version of its last change.
    pub(super) revision: u64,
    /// Whether it was never changed since it was created.
    pub(super) untouched: bool,
}

impl Stored {
    /// The object as a tree, without `kind` and `apiVersion`.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

/// One change: before is `None` for a new object, after for a deleted one.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) table: Table,
    pub(super) key: Key,
    pub(super) before: Option<Stored>,
    pub(super) after: Option<Stored>,
}

/// All objects.
#[derive(Debug, Default)]
pub(super) struct Store {
    revision: u64,
    tables: BTreeMap<Table, BTreeMap<Key, Stored>>,
    /// Version before which a table was not served.
    since: BTreeMap<Table, u64>,
    /// Bytes of the objects that are there.
    bytes: usize,
    log: VecDeque<Change>,
    log_bytes: usize,
    /// The version of the last change that the log forgot.
    forgotten: u64,
}

impl Store {
    /// The version of the last change.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// How many bytes the objects have that are there.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, table: &Table, key: &Key) -> Option<&Stored> {
        self.tables.get(table)?.get(key)
    }

    /// The objects of one namespace, or of all where it is empty, in order.
    pub(super) fn list<'a>(
        &'a self,
        table: &Table,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Stored)> {
        let start = Key::new(namespace, "");
        self.tables
            .get(table)
            .into_iter()
            .flat_map(move |objects| objects.range(start.clone()..))
            .take_while(move |(key, _)| namespace.is_empty() || *key.namespace == *namespace)
    }

    /// The same, as it was at an earlier version; `None` where the log does not reach back.
    pub(super) fn list_at(
        &self,
        table: &Table,
        namespace: &str,
        revision: u64,
    ) -> Option<BTreeMap<Key, Stored>> {
        if revision < self.oldest(table) {
            return None;
        }
        let mut objects: BTreeMap<Key, Stored> = self
            .list(table, namespace)
            .map(|(key, stored)| (key.clone(), stored.clone()))
            .collect();
        let later = self.log.iter().rev().take_while(|change| change.revision > revision);
        for change in later.filter(|change| change.table == *table) {
            if !namespace.is_empty() && *change.key.namespace != *namespace {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        Some(objects)
    }

    /// The oldest version from which the changes of a table are known.
    pub(super) fn oldest(&self, table: &Table) -> u64 {
        self.since.get(table).copied().unwrap_or_default().max(self.forgotten)
    }

    /// The last version whose change is forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Says that a table is served from now on.
    pub(super) fn begin(&mut self, table: Table) {
        self.since.insert(table, self.revision);
    }

    /// The changes after a version.
    pub(super) fn changes(&self, after: u64) -> impl Iterator<Item = &Change> {
        let start = self.log.partition_point(|change| change.revision <= after);
        self.log.range(start..)
    }

    /// Tables with anything in them.
    pub(super) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|(_, objects)| !objects.is_empty()).map(|(table, _)| table)
    }

    /// Writes an object under the next version, which becomes its `metadata.resourceVersion`.
    /// `kind` and `apiVersion` are left out.
    pub(super) fn put(&mut self, table: &Table, key: Key, object: &mut Value) -> u64 {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let objects = self.tables.entry(table.clone()).or_default();
        let untouched = !objects.contains_key(&key);
        let stored = Stored { json: text(object), revision: self.revision, untouched };
        let before = objects.insert(key.clone(), stored.clone());
        self.note(Change {
            revision: self.revision,
            table: table.clone(),
            key,
            before,
            after: Some(stored),
        });
        self.revision
    }

    /// Removes an object; that is a version too.
    pub(super) fn remove(&mut self, table: &Table, key: &Key) -> Option<Stored> {
        let before = self.tables.get_mut(table)?.remove(key)?;
        self.revision += 1;
        let before_too = Some(before.clone());
        self.note(Change {
            revision: self.revision,
            table: table.clone(),
            key: key.clone(),
            before: before_too,
            after: None,
        });
        Some(before)
    }

    fn note(&mut self, change: Change) {
        let bytes = |stored: &Option<Stored>| stored.as_ref().map_or(0, |stored| stored.json.len());
        self.bytes += bytes(&change.after);
        self.bytes -= bytes(&change.before);
        self.log_bytes += bytes(&change.before);
        self.log.push_back(change);
        while self.log.len() > LOG_CHANGES || self.log_bytes > LOG_BYTES {
            let Some(gone) = self.log.pop_front() else { break };
            self.log_bytes -= bytes(&gone.before);
            self.forgotten = gone.revision;
        }
    }
}

/// The text of an object without `kind` and `apiVersion`.
fn text(object: &mut Value) -> Arc<str> {
    let Some(map) = object.as_object_mut() else { return "{}".into() };
    let (kind, version) = (map.remove("kind"), map.remove("apiVersion"));
    let text = serde_json::to_string(&map).unwrap_or_default();
    for (key, value) in [("kind", kind), ("apiVersion", version)] {
        if let Some(value) = value {
            map.insert(key.into(), value);
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        Table { group: "".into(), resource: "configmaps".into() }
    }

    fn put(store: &mut Store, name: &str, data: &str) -> u64 {
        let mut object = json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        store.put(&table(), Key::new("a", name), &mut object)
    }

    #[test]
    fn lists_can_be_had_as_they_were() {
        let mut store = Store::default();
        let first = put(&mut store, "x", "1");
        put(&mut store, "y", "1");
        put(&mut store, "x", "2");
        store.remove(&table(), &Key::new("a", "x"));
        let names = |objects: BTreeMap<Key, Stored>| -> Vec<_> {
            objects
                .into_iter()
                .map(|(key, stored)| (key.name, stored.value()["data"].clone()))
                .collect()
        };
        assert_eq!(names(store.list_at(&table(), "a", first).unwrap()), [("x".into(), json!("1"))]);
        assert_eq!(names(store.list_at(&table(), "", 3).unwrap()).len(), 2);
        assert_eq!(names(store.list_at(&table(), "a", 4).unwrap()), [("y".into(), json!("1"))]);
    }

    #[test]
    fn the_log_forgets_its_beginning() {
        let mut store = Store::default();
        for turn in 0..LOG_CHANGES + 10 {
            put(&mut store, "x", &turn.to_string());
        }
        assert_eq!(store.oldest(&table()), 10);
        assert!(store.list_at(&table(), "a", 9).is_none());
        assert!(store.list_at(&table(), "a", 10).is_some());
        assert_eq!(store.changes(store.revision() - 1).count(), 1);
    }

    #[test]
    fn namespaces_are_listed_apart() {
        let mut store = Store::default();
        put(&mut store, "x", "1");
        let mut other = json!({"metadata": {"name": "x"}});
        store.put(&table(), Key::new("ab", "x"), &mut other);
        assert_eq!(store.list(&table(), "a").count(), 1);
        assert_eq!(store.list(&table(), "").count(), 2);
    }
}
