//! The life of CustomResourceDefinitions: their kinds are served as soon as their names are
//! accepted, and go with their objects.
//!
//! What the server's own controllers do a moment later is done at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::crd::{self, Definition};
use crate::rehearsal::delete::{self, Deleting, Outcome};
use crate::rehearsal::discovery::CustomResource;
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::server::State;
use crate::rehearsal::store::{Key, Table};
use crate::rehearsal::{Kind, list};

/// Whether objects of this resource are definitions.
pub(super) fn defines(resource: &Resource) -> bool {
    resource.kind.pair() == ("apiextensions.k8s.io", "CustomResourceDefinition")
}

/// After a definition was written: accepts names, and serves what is new.
pub(super) fn refresh(state: &mut State, resource: &Arc<Resource>) {
    let all: Vec<(Key, Value)> = state
        .store
        .list(&resource.table, "")
        .map(|(key, stored)| (key.clone(), list::tree(resource, stored)))
        .collect();
    let now = state.now();
    for (at, (key, old)) in all.iter().enumerate() {
        let others: Vec<&Value> = all
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .map(|(_, (_, crd))| crd)
            .collect();
        let mut new = old.clone();
        if crd::object::settle(&mut new, &others, &now) {
            // The write comes back here, with the next definition.
            write_status(state, resource, key, old, new);
            return;
        }
    }
    serve(state, &all);
}

fn write_status(
    state: &mut State,
    resource: &Arc<Resource>,
    key: &Key,
    old: &Value,
    mut new: Value,
) {
    let owners = Owners::of(state, resource, Some("status"));
    owners.updated(Some(old), &mut new, &Writing::of_server());
    state.write(resource, key.clone(), &mut new);
}

/// Brings the catalogue in line with the definitions.
fn serve(state: &mut State, all: &[(Key, Value)]) {
    let before: BTreeSet<Table> = state.catalogue.custom_tables().into_iter().collect();
    state.catalogue.remove_custom();
    for (_, crd) in all {
        let Ok(definition) = Definition::parse(crd) else { continue };
        if !definition.established {
            continue;
        }
        let table = table_of(&definition);
        if !before.contains(&table) {
            state.store.begin(table.clone());
        }
        let definition = Arc::new(definition);
        for version in definition.versions.iter().filter(|version| version.served) {
            state.catalogue.add(resource_of(&definition, version, &table));
        }
    }
    let after: BTreeSet<Table> = state.catalogue.custom_tables().into_iter().collect();
    // Their watches end.
    before.difference(&after).for_each(|gone| state.waiting.wake(gone));
}

fn table_of(definition: &Definition) -> Table {
    Table { group: (*definition.group).into(), resource: (*definition.names.plural).into() }
}

fn resource_of(definition: &Arc<Definition>, version: &crd::Version, table: &Table) -> Resource {
    let names = &definition.names;
    let owned = |verbs: &[&str]| verbs.iter().map(|&verb| verb.to_owned()).collect::<Vec<_>>();
    let verbs: &[&str] =
        &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    let parts = [("status", version.status), ("scale", version.scale.is_some())];
    let parts = parts.into_iter().filter(|(_, served)| *served);
    Resource {
        kind: Kind {
            group: definition.group.clone(),
            version: version.name.clone(),
            kind: names.kind.clone(),
        },
        plural: Arc::clone(&table.resource),
        list_kind: names.list_kind.clone(),
        namespaced: definition.namespaced,
        verbs: owned(verbs),
        subresources: parts
            .map(|(name, _)| (name.to_owned(), owned(&["get", "patch", "update"])))
            .collect(),
        table: table.clone(),
        stored: (*definition.stored().name).into(),
        custom: true,
        definition: Some(Arc::clone(definition)),
    }
}

/// What discovery shows of custom resources, in the order of their definitions.
pub(super) fn shown(state: &State) -> Vec<CustomResource> {
    let table = Table {
        group: "apiextensions.k8s.io".into(),
        resource: "customresourcedefinitions".into(),
    };
    let mut all = Vec::new();
    for (_, stored) in state.store.list(&table, "") {
        let crd = stored.value();
        let Some(definition) = Definition::parse(&crd).ok().filter(|found| found.established)
        else {
            continue;
        };
        let names = &definition.names;
        for version in definition.versions.iter().filter(|version| version.served) {
            let mut listed = crd["spec"]["versions"].as_array().into_iter().flatten();
            let schema = listed
                .find(|listed| listed["name"] == *version.name)
                .map(|listed| listed["schema"]["openAPIV3Schema"].clone())
                .filter(|schema| !schema.is_null());
            all.push(CustomResource {
                group: definition.group.clone(),
                version: version.name.clone(),
                stored_version: definition.stored().name.clone(),
                plural: names.plural.clone(),
                singular: names.singular.clone(),
                kind: names.kind.clone(),
                list_kind: names.list_kind.clone(),
                short_names: names.short_names.clone(),
                categories: names.categories.clone(),
                namespaced: definition.namespaced,
                status: version.status,
                scale: version.scale.is_some(),
                schema,
            });
        }
    }
    all
}

/// A DELETE of a definition.
pub(super) fn delete(
    state: &mut State,
    resource: &Arc<Resource>,
    key: &Key,
    mut object: Value,
    deleting: &Deleting,
) -> Outcome {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Outcome::Kept(object);
    }
    crd::object::mark_deleted(&mut object, &state.now());
    if deleting.dry_run {
        return Outcome::Kept(object);
    }
    state.write(resource, key.clone(), &mut object);
    let mut marked = object.clone();
    if crd::object::mark_deleting(&mut marked, &state.now()) {
        write_status(state, resource, key, &object, marked);
    }
    empty(state, &object);
    finish(state, resource, key);
    Outcome::Kept(object)
}

/// Deletes the objects of a kind.
fn empty(state: &mut State, crd: &Value) {
    let Ok(definition) = Definition::parse(crd) else { return };
    let table = table_of(&definition);
    let Some(resource) = state.catalogue.of_table(&table).cloned() else { return };
    let keys: Vec<Key> = state.store.list(&table, "").map(|(key, _)| key.clone()).collect();
    for key in keys {
        // Nothing refuses a delete without preconditions.
        let _ = delete::remove(state, &resource, &key, &Deleting::default());
    }
}

/// Lets go of a definition that is being deleted, if its objects are gone.
fn finish(state: &mut State, resource: &Arc<Resource>, key: &Key) {
    let Some(stored) = state.store.get(&resource.table, key) else { return };
    let mut crd = list::tree(resource, stored);
    let Ok(definition) = Definition::parse(&crd) else { return };
    let deleting = !crd["metadata"]["deletionTimestamp"].is_null();
    if !deleting || state.store.list(&table_of(&definition), "").next().is_some() {
        return;
    }
    if crd::object::release(&mut crd, &state.now()) {
        state.erase(resource, key);
    } else {
        state.write(resource, key.clone(), &mut crd);
    }
}

/// After an object of a custom kind was removed: the definition may be waiting for that.
pub(super) fn after_removal(state: &mut State, removed: &Resource) {
    let Some(definition) = removed.definition.as_ref().filter(|of| of.terminating) else { return };
    let name = format!("{}.{}", definition.names.plural, definition.group);
    let found = state.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let Some(resource) = found.cloned() else { return };
    finish(state, &resource, &Key::new("", &name));
}
