//! Who owns the fields of an object: what an API server keeps in `metadata.managedFields`.
//!
//! ```text
//! let subject = Subject { kind, subresource, versions, filters, blank };
//! created or updated:  ownership::updated(&subject, live, &mut new, manager, now)
//! applied:             new = ownership::applied(&subject, live, &patch, manager, now, force, settle)?
//! after admission:     ownership::keep_times(live, &mut new)
//! ```
//!
//! Objects are given and returned in the version of the request, `live` as it is stored, with its
//! managed fields. An object that is new has no `live`; [`blank()`] makes what stands for it.
//!
//! | where | what |
//! |---|---|
//! | [`updated`] | POST, PUT and all patches but apply, after defaults, before admission; after admission again where that changed the object. Never fails, as in the server: what cannot be tracked has no managed fields |
//! | [`applied`] | the patch laid over the live object, with managed fields; `settle` decodes it as the kind and sets defaults. Where nothing changes, `settle` is not asked |
//! | [`keep_times`] | an update that would change nothing but times changes nothing; after admission, before fields that may not be set are reset |
//! | [`Scale`] | the entries as the scale subresource sees them, and back |
//! | [`reset_fields`] | what a resource or a subresource cannot set, and so nobody owns by it |
//!
//! Source: apimachinery `pkg/util/managedfields`, apiserver
//! `pkg/endpoints/handlers/fieldmanager/equality.go`.

mod blank;
mod entries;
mod reset;
mod scale;

use std::collections::BTreeMap;

use ecow::EcoString;
use serde_json::{Map, Value};

pub use blank::blank;
pub use entries::validate;
pub use reset::{reset_fields, reset_fields_of_custom};
pub use scale::Scale;

use crate::json;
use crate::rehearsal::{Failure, Kind};
use crate::ssa::path::same;
use crate::ssa::{Conflict, Duplicates, FieldSet, Filter, Path, Refused, Type, Updater, Versions};
use entries::{Entry, Managed};

/// What a request is about.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The kind in the version of the request; for `scale` it is `autoscaling/v1, Kind=Scale`.
    pub kind: &'a Kind,
    /// E.g. `status`; empty for the resource itself.
    pub subresource: &'a str,
    /// The types of the kind in its versions, and how it is converted.
    pub versions: &'a dyn Versions,
    /// Which fields the endpoint tracks, by version. See [`reset_fields`].
    pub filters: &'a Filters,
    /// A new object of the kind of which nothing is set. See [`blank()`].
    pub blank: &'a Value,
}

/// Which fields are tracked, by version, e.g. `apps/v1`; all where there is none.
pub type Filters = BTreeMap<EcoString, Filter>;

/// Update managers beyond this many are merged. Source: `DefaultMaxUpdateManagers`.
const MOST_UPDATERS: usize = 10;
/// Who owns what was updated long ago.
const ANCIENT: &str = "ancient-changes";
/// Who owns what was there before anybody's fields were tracked.
const BEFORE: &str = "before-first-apply";
/// The name of a manager while its update is compared.
const CURRENT: &str = "current-operation";
/// The manager whose client-side applies turn into server-side ones.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Bytes of all annotations, at most.
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// Fields of the metadata that nobody owns.
const UNTRACKED: [&[&str]; 12] = [
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Notes in `new` who owns what after `manager` has made it of `live`.
///
/// Managed fields that the request itself brings are taken as they are, but not through a
/// subresource; a list that is empty, or of one empty entry, forgets all. `now` is e.g.
/// `2026-01-01T00:00:00Z`.
pub fn updated(
    subject: &Subject<'_>,
    live: Option<&Value>,
    new: &mut Value,
    manager: &str,
    now: &str,
) {
    let managed = decode_live_or_new(subject, live, new);
    take_managed_fields(new);
    let live = without_managed_fields(live.unwrap_or(subject.blank));
    let encoded = subject.track(&live, new, managed, manager, now).map(|managed| managed.encode());
    set_managed_fields(new, encoded.unwrap_or_default());
}

/// Lays `patch` over `live` as `manager`, and notes who owns what.
///
/// `settle` makes of the merged JSON what the server would keep: it drops nulls, sets defaults and
/// refuses what the kind cannot hold.
///
/// # Errors
/// 409 where others own what would change, 400 where the patch is of another kind or brings managed
/// fields, 500 where it does not fit the schema, and those of `settle`.
pub fn applied(
    subject: &Subject<'_>,
    live: Option<&Value>,
    patch: &Value,
    manager: &str,
    now: &str,
    force: bool,
    settle: &dyn Fn(&mut Value) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let kind = kind_of(patch);
    if kind != *subject.kind {
        return Err(bad_request(format!("invalid object type: {}", in_full(&kind))));
    }
    let live = live.unwrap_or(subject.blank);
    let managed = Managed::decode(managed_fields(live))
        .map_err(|error| internal(format!("failed to decode managed fields: {error}")))?;
    let live = without_managed_fields(live);
    let mut managed = managed;
    if managed.owners.is_empty() {
        managed =
            subject.track_as(subject.blank, &live, managed, BEFORE, now).map_err(|error| {
                internal(format!("failed to create manager for existing fields: {error}"))
            })?;
    }
    let merging = Merging { subject, live: &live, patch, managed: &managed, manager, now, settle };
    let outcome = match merging.apply(force) {
        Err(Refusal::Conflicts(conflicts)) if manager == KUBECTL => merging.adopt(conflicts),
        outcome => outcome,
    };
    let (mut object, managed) = outcome.map_err(|refusal| match refusal {
        Refusal::Failure(failure) => failure,
        Refusal::Conflicts(conflicts) => conflict(&managed, &conflicts),
    })?;
    if manager == KUBECTL {
        sync_last_applied(&mut object, patch);
    }
    set_managed_fields(&mut object, managed.encode());
    Ok(object)
}

/// Takes the times of `live` where nothing else is new, so that nothing is.
pub fn keep_times(live: &Value, new: &mut Value) {
    let (old, entries) = (managed_fields(live), managed_fields(new));
    let alike = old.len() == entries.len()
        && old.iter().zip(entries).all(|(old, new)| {
            let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
            let but_time = |name: &&String| name.as_str() != "time";
            old.keys().filter(but_time).count() == new.keys().filter(but_time).count()
                && old.iter().all(|(name, value)| name == "time" || new.get(name) == Some(value))
        });
    if old.is_empty() || !alike || !same_but_managed_fields(live, new) {
        return;
    }
    let old = old.to_vec();
    set_managed_fields(new, old);
}

fn same_but_managed_fields(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return false };
    let same_metadata = |a: &Value, b: &Value| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => {
            a.len() == b.len()
                && a.iter().all(|(name, value)| {
                    let other = b.get(name);
                    other.is_some_and(|other| name == "managedFields" || same(value, other))
                })
        }
        _ => same(a, b),
    };
    a.len() == b.len()
        && a.iter().all(|(name, value)| match b.get(name) {
            Some(other) if name == "metadata" => same_metadata(value, other),
            Some(other) => same(value, other),
            None => false,
        })
}

/// Why a merge has no object.
enum Refusal {
    Conflicts(Vec<Conflict>),
    Failure(Failure),
}

/// One apply, once or twice over.
struct Merging<'a> {
    subject: &'a Subject<'a>,
    live: &'a Value,
    patch: &'a Value,
    managed: &'a Managed,
    manager: &'a str,
    now: &'a str,
    settle: &'a dyn Fn(&mut Value) -> Result<(), Failure>,
}

impl Merging<'_> {
    fn apply(&self, force: bool) -> Result<(Value, Managed), Refusal> {
        let Self { subject, live, patch, .. } = self;
        if self.patch["metadata"]["managedFields"].is_array() {
            let failure = bad_request("metadata.managedFields must be nil".into());
            return Err(Refusal::Failure(failure));
        }
        let failed = |message: String| Refusal::Failure(internal(message));
        let version = subject.kind.api_version();
        let kind = subject.type_of(&version).map_err(failed)?;
        kind.validate(patch, Duplicates::Refused).map_err(|error| {
            let what = describe(patch, subject.kind);
            failed(format!("failed to create typed patch object ({what}): {error}"))
        })?;
        kind.validate(live, Duplicates::Allowed).map_err(|error| {
            let what = describe(live, subject.kind);
            failed(format!("failed to create typed live object ({what}): {error}"))
        })?;
        let mut managed = self.managed.clone();
        let entry = Entry::apply(self.manager, subject.subresource);
        let identity = managed.know(entry);
        let owners = std::mem::take(&mut managed.owners);
        let (new, owners) = subject
            .updater()
            .apply(live, patch, &version, owners, &identity, force)
            .map_err(|refused| match refused {
                Refused::Conflicts(conflicts) => Refusal::Conflicts(conflicts),
                Refused::Invalid(message) => failed(message),
            })?;
        managed.owners = owners;
        managed.strip(&identity);
        let object = match new {
            Some(mut new) => {
                (self.settle)(&mut new).map_err(Refusal::Failure)?;
                managed.set_time(&identity, self.now);
                new
            }
            None => Value::clone(live),
        };
        Ok((object, managed))
    }

    /// Takes what a client-side apply of the same values has left, and what its annotation names.
    /// Other conflicts stay. Source: `lastappliedmanager.go`.
    fn adopt(&self, conflicts: Vec<Conflict>) -> Result<(Value, Managed), Refusal> {
        let Some(allowed) = self.last_applied_fields() else {
            return Err(Refusal::Conflicts(conflicts));
        };
        let left: Vec<_> =
            conflicts.into_iter().filter(|conflict| !allowed.has(&conflict.path)).collect();
        if left.is_empty() { self.apply(true) } else { Err(Refusal::Conflicts(left)) }
    }

    /// The fields of the last client-side apply that still are as it set them.
    fn last_applied_fields(&self) -> Option<FieldSet> {
        let text = last_applied(self.live)?;
        let last: Value = serde_json::from_str(text).ok()?;
        let version = self.subject.kind.api_version();
        if last["apiVersion"] != *version {
            return None;
        }
        let kind = self.subject.type_of(&version).ok()?;
        kind.validate(self.live, Duplicates::Refused).ok()?;
        kind.validate(&last, Duplicates::Refused).ok()?;
        let compared = kind.compare(&last, self.live).ok()?;
        let fields = kind.field_set(&last).ok()?;
        let fields = fields.difference(&compared.modified).difference(&compared.added);
        Some(fields.difference(&compared.removed))
    }
}

impl Subject<'_> {
    fn type_of(&self, version: &str) -> Result<Type<'_>, String> {
        let kind = self.versions.type_of(version);
        kind.ok_or_else(|| format!("no corresponding type for {}", in_full(self.kind)))
    }

    fn updater(&self) -> Updater<'_> {
        Updater { versions: self.versions, filters: self.filters, return_unchanged: false }
    }

    /// As [`track_as`](Self::track_as), but what nobody has tracked so far stays so.
    fn track(
        &self,
        live: &Value,
        new: &Value,
        managed: Managed,
        manager: &str,
        now: &str,
    ) -> Result<Managed, String> {
        let exists = live["metadata"]["uid"].as_str().is_some_and(|uid| !uid.is_empty());
        if managed.owners.is_empty() && exists {
            return Ok(managed);
        }
        self.track_as(live, new, managed, manager, now)
    }

    /// Who owns what after an update by `manager`.
    fn track_as(
        &self,
        live: &Value,
        new: &Value,
        mut managed: Managed,
        manager: &str,
        now: &str,
    ) -> Result<Managed, String> {
        let version = self.kind.api_version();
        let kind = self.type_of(&version)?;
        for object in [live, new] {
            kind.validate(object, Duplicates::Allowed).map_err(|error| error.to_string())?;
        }
        let owners = std::mem::take(&mut managed.owners);
        let owners = self.updater().update(live, new, &version, owners, CURRENT);
        managed.owners = owners.map_err(|refused| refused.to_string())?;
        managed.strip(CURRENT);
        if let Some(mut current) = managed.owners.remove(CURRENT) {
            let identity = managed.know(Entry::update(manager, &version, self.subresource));
            if let Some(before) = managed.owners.get(&identity) {
                current.fields = current.fields.union(&before.fields);
            }
            managed.owners.insert(identity.clone(), current);
            managed.set_time(&identity, now);
        }
        managed.cap();
        Ok(managed)
    }
}

/// The managed fields that an update starts from.
fn decode_live_or_new(subject: &Subject<'_>, live: Option<&Value>, new: &Value) -> Managed {
    let of_live =
        || live.and_then(|live| Managed::decode(managed_fields(live)).ok()).unwrap_or_default();
    if !subject.subresource.is_empty() {
        return of_live();
    }
    let given = managed_fields(new);
    let is_reset = match given {
        [] => new["metadata"]["managedFields"].is_array(),
        [one] => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    };
    if is_reset {
        return Managed::default();
    }
    match Managed::decode(given) {
        Ok(managed) if !managed.owners.is_empty() => managed,
        _ => of_live(),
    }
}

impl Managed {
    /// Takes from a manager what nobody owns.
    fn strip(&mut self, identity: &str) {
        let Some(owned) = self.owners.get_mut(identity) else { return };
        let untracked = FieldSet::of(UNTRACKED.iter().map(|names| Path::of_fields(names)));
        owned.fields = owned.fields.difference(&untracked);
        if owned.fields.is_empty() {
            self.owners.remove(identity);
        }
    }

    /// Merges the oldest updates of each version until few enough are left. Source:
    /// `capmanagers.go`.
    fn cap(&mut self) {
        let mut updaters: Vec<_> = self.owners.iter().filter(|(_, owned)| !owned.applied).collect();
        let mut left = updaters.len();
        if left <= MOST_UPDATERS {
            return;
        }
        updaters.sort_by_key(|(identity, _)| (self.seconds(identity), *identity));
        let updaters: Vec<_> = updaters.into_iter().map(|(identity, _)| identity.clone()).collect();
        let mut first_of_version: BTreeMap<EcoString, String> = BTreeMap::new();
        for identity in updaters {
            if left <= MOST_UPDATERS {
                break;
            }
            let Some(owned) = self.owners.get(&identity).cloned() else { continue };
            let Some(first) = first_of_version.get(&owned.version) else {
                first_of_version.insert(owned.version, identity);
                continue;
            };
            let bucket = self.know(Entry::update(ANCIENT, &owned.version, ""));
            if !self.owners.contains_key(&bucket)
                && let Some(first) = self.owners.remove(first)
            {
                self.owners.insert(bucket.clone(), first);
            }
            if let Some(merged) = self.owners.get_mut(&bucket) {
                merged.fields = owned.fields.union(&merged.fields);
            }
            self.owners.remove(&identity);
            self.copy_time(&identity, &bucket);
            left -= 1;
        }
    }
}

/// 409, with a cause for each field. Source: `conflict.go`.
fn conflict(managed: &Managed, conflicts: &[Conflict]) -> Failure {
    let causes: Vec<_> = conflicts
        .iter()
        .map(|Conflict { manager, path }| {
            serde_json::json!({
                "reason": "FieldManagerConflict",
                "message": format!("conflict with {}", managed.describe(manager)),
                "field": path.to_string(),
            })
        })
        .collect();
    let message = match conflicts {
        [Conflict { manager, path }] => {
            let manager = managed.describe(manager);
            format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
        }
        conflicts => {
            let mut lines = Vec::new();
            let mut last = None;
            for Conflict { manager, path } in conflicts {
                if last.replace(manager) != Some(manager) {
                    lines.push(format!("conflicts with {}:", managed.describe(manager)));
                }
                lines.push(format!("- {path}"));
            }
            format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
        }
    };
    let mut failure = Failure::new(409, "Conflict", message);
    failure.details = Some(serde_json::json!({ "causes": causes }));
    failure
}

fn bad_request(message: String) -> Failure {
    Failure::new(400, "BadRequest", message)
}

/// An error that the server does not classify has no reason.
fn internal(message: String) -> Failure {
    Failure::new(500, "", message)
}

fn kind_of(object: &Value) -> Kind {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    Kind::new(text("apiVersion"), text("kind"))
}

/// E.g. `ns/name; apps/v1, Kind=Deployment`.
fn describe(object: &Value, kind: &Kind) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    format!("{}/{}; {}", text("namespace"), text("name"), in_full(kind))
}

/// With the slash that the core group has in some messages: `/v1, Kind=Pod`.
fn in_full(kind: &Kind) -> String {
    format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind)
}

fn managed_fields(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn without_managed_fields(object: &Value) -> Value {
    let Some(fields) = object.as_object() else { return object.clone() };
    let pairs = fields.iter().map(|(name, value)| match value {
        Value::Object(metadata) if name == "metadata" => {
            let metadata = metadata.iter().filter(|(name, _)| *name != "managedFields");
            let metadata = metadata.map(|(name, value)| (name.clone(), value.clone()));
            (name.clone(), Value::Object(metadata.collect()))
        }
        value => (name.clone(), value.clone()),
    });
    Value::Object(pairs.collect())
}

fn take_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn set_managed_fields(object: &mut Value, entries: Vec<Value>) {
    take_managed_fields(object);
    let Some(object) = object.as_object_mut().filter(|_| !entries.is_empty()) else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Map::new().into());
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("managedFields".into(), entries.into());
    }
}

fn last_applied(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][LAST_APPLIED].as_str().filter(|text| !text.is_empty())
}

/// Writes what was applied where a client-side apply would look for it, as long as it looks.
fn sync_last_applied(object: &mut Value, patch: &Value) {
    if last_applied(object).is_none() {
        return;
    }
    let mut patch = patch.clone();
    if let Some(annotations) =
        patch["metadata"].get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    let mut text = String::new();
    if json::write(&json::from_json(&patch), &mut text).is_err() {
        return;
    }
    text.push('\n');
    let annotations = object["metadata"]["annotations"].as_object_mut();
    let Some(annotations) = annotations else { return };
    annotations.insert(LAST_APPLIED.into(), text.into());
    let sizes =
        annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len));
    if sizes.sum::<usize>() > MOST_ANNOTATIONS {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ssa::{Schema, Unversioned};

    const TODAY: &str = "2026-01-01T00:00:00Z";

    /// Calls `with` for a kind of which no schema is known.
    fn with_subject<T>(with: impl FnOnce(&Subject<'_>) -> T) -> T {
        let mut schema = Schema::default();
        let deduced = schema.deduced();
        let versions = Unversioned(Type::new(&schema, deduced));
        let kind = Kind::new("v1", "Thing");
        let blank = json!({"apiVersion": "v1", "kind": "Thing"});
        with(&Subject {
            kind: &kind,
            subresource: "",
            versions: &versions,
            filters: &Filters::new(),
            blank: &blank,
        })
    }

    fn thing(fields: Value) -> Value {
        let mut thing =
            json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "uid": "1"}});
        for (name, value) in fields.as_object().expect("fields") {
            thing[name] = value.clone();
        }
        thing
    }

    fn managers(object: &Value) -> Vec<(&str, &str)> {
        managed_fields(object)
            .iter()
            .map(|entry| {
                let text = |name: &str| entry[name].as_str().unwrap_or_default();
                (text("manager"), text("operation"))
            })
            .collect()
    }

    #[test]
    fn who_was_there_before_the_first_apply_owns_what_was_there() {
        with_subject(|subject| {
            let live = thing(json!({"a": 1}));
            let patch =
                json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"}, "b": 1});
            let settle = |_: &mut Value| Ok(());
            let apply =
                |patch, force| applied(subject, Some(&live), patch, "one", TODAY, force, &settle);
            let new = apply(&patch, false).expect("no conflict");
            assert_eq!(managers(&new), [("one", "Apply"), (BEFORE, "Update")]);
            let mut taking = patch.clone();
            taking["a"] = 2.into();
            let failure = apply(&taking, false).expect_err("a conflict");
            let message =
                "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .a";
            assert_eq!((failure.code, &*failure.message), (409, message));
            let new = apply(&taking, true).expect("force");
            assert_eq!(managers(&new), [("one", "Apply")]);
        });
    }

    #[test]
    fn the_oldest_of_eleven_updates_are_merged() {
        with_subject(|subject| {
            let mut live = thing(json!({"a0": 1}));
            updated(subject, None, &mut live, "m0", "2026-01-01T00:00:00Z");
            for n in 1..11 {
                let mut new = live.clone();
                new[format!("a{n}")] = 1.into();
                let time = format!("2026-01-01T00:00:{n:02}Z");
                updated(subject, Some(&live), &mut new, &format!("m{n}"), &time);
                live = new;
            }
            let entries = managed_fields(&live);
            assert_eq!((entries.len(), &entries[0]["manager"]), (10, &json!(ANCIENT)));
            assert_eq!(entries[0]["fieldsV1"], json!({"f:a0": {}, "f:a1": {}}));
            assert_eq!(entries[0]["time"], "2026-01-01T00:00:01Z");
        });
    }

    #[test]
    fn an_empty_entry_forgets_all_and_a_malformed_one_nothing() {
        with_subject(|subject| {
            let mut live = thing(json!({"a": 1}));
            updated(subject, None, &mut live, "one", TODAY);
            let update = |entries: Value| {
                let mut new = live.clone();
                new["metadata"]["managedFields"] = entries;
                updated(subject, Some(&live), &mut new, "two", TODAY);
                managed_fields(&new).len()
            };
            assert_eq!(update(json!([{}])), 0);
            assert_eq!(update(json!([])), 0);
            assert_eq!(update(json!([{"manager": "x", "operation": "Nope"}])), 1);
            assert_eq!(update(Value::Null), 1);
        });
    }

    #[test]
    fn an_update_that_changes_nothing_keeps_its_time() {
        with_subject(|subject| {
            let mut live = thing(json!({"a": 1}));
            updated(subject, None, &mut live, "one", TODAY);
            let mut new = live.clone();
            new["metadata"]["managedFields"][0]["time"] = "2027-01-01T00:00:00Z".into();
            let mut other = new.clone();
            other["a"] = 2.into();
            keep_times(&live, &mut new);
            assert_eq!(new, live);
            keep_times(&live, &mut other);
            assert_eq!(other["metadata"]["managedFields"][0]["time"], "2027-01-01T00:00:00Z");
        });
    }

    #[test]
    fn kubectl_takes_over_what_its_annotation_names() {
        with_subject(|subject| {
            let last = r#"{"apiVersion":"v1","kind":"Thing","metadata":{"name":"a"},"a":1,"b":1}"#;
            let mut live = thing(json!({"a": 1, "b": 2}));
            live["metadata"]["annotations"] = json!({ LAST_APPLIED: last });
            updated(subject, None, &mut live, "kubectl-client-side-apply", TODAY);
            let apply = |field: &str| {
                let mut patch =
                    json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a"}});
                patch[field] = 3.into();
                applied(subject, Some(&live), &patch, KUBECTL, TODAY, false, &|_| Ok(()))
            };
            let new = apply("a").expect("it was applied as it is");
            let text = "{\"a\":3,\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"a\"}}\n";
            assert_eq!(last_applied(&new), Some(text));
            assert_eq!(apply("b").expect_err("it was changed since").code, 409);
        });
    }
}
