//! Deleting: at once, after a grace period, or when the finalizers are gone.
//!
//! Source: apiserver `pkg/registry/rest/delete.go`, `pkg/registry/generic/registry/store.go`;
//! Kubernetes `pkg/registry/core/namespace/storage/storage.go`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::clock;
use crate::rehearsal::list::{self, Filter};
use crate::rehearsal::refusals::{Named, bad_options, bad_request};
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::store::Key;
use crate::rehearsal::{Cause, Failure, body, create, custom, options};
use crate::schema::go::int64;

/// Finalizers that the garbage collector takes away.
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How something is deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct Deleting {
    pub(super) dry_run: bool,
    pub(super) grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    orphan: Option<bool>,
    pub(super) propagation: Option<String>,
}

impl Deleting {
    fn read(call: &Call) -> Result<Self, Failure> {
        let options = if call.body.is_empty() { from_query(call)? } else { from_body(call)? };
        Self::of(&options)
    }

    /// From a `DeleteOptions`.
    pub(super) fn of(options: &Value) -> Result<Self, Failure> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let orphan = options["orphanDependents"].as_bool();
        let propagation = text(&options["propagationPolicy"]);
        let dry: Vec<&str> =
            options["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut causes = Vec::new();
        if let Some(policy) = &propagation {
            let shown = format!("{policy:?}");
            if orphan.is_some() {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                causes.push(Cause::invalid("propagationPolicy", &shown, why));
            }
            if !matches!(&**policy, "Foreground" | "Background" | "Orphan") {
                let supported = &["Foreground", "Background", "Orphan", "nil"];
                causes.push(Cause::not_supported("propagationPolicy", &shown, supported));
            }
        }
        causes.extend(options::dry_run(&dry));
        if !causes.is_empty() {
            return Err(bad_options("DeleteOptions", &causes));
        }
        Ok(Self {
            dry_run: !dry.is_empty(),
            grace: options["gracePeriodSeconds"].as_i64(),
            uid: text(&options["preconditions"]["uid"]),
            version: text(&options["preconditions"]["resourceVersion"]),
            orphan,
            propagation,
        })
    }
}

fn from_query(call: &Call) -> Result<Value, Failure> {
    let parameters = &call.parameters;
    let mut options = json!({});
    if parameters.has("propagationPolicy") {
        options["propagationPolicy"] = parameters.get("propagationPolicy").into();
    }
    if parameters.has("gracePeriodSeconds") {
        let text = parameters.get("gracePeriodSeconds");
        let seconds = int64(text).map_err(bad_request)?;
        options["gracePeriodSeconds"] = seconds.into();
    }
    if parameters.has("orphanDependents") {
        options["orphanDependents"] = parameters.is_on("orphanDependents").into();
    }
    let dry: Vec<_> = parameters.all("dryRun").collect();
    options["dryRun"] = dry.into();
    Ok(options)
}

fn from_body(call: &Call) -> Result<Value, Failure> {
    let options = body::tree(&call.body, call.content_type.as_deref()).map_err(|why| {
        bad_request(format!("couldn't get version/kind; json parse error: {why}"))
    })?;
    let version = options["apiVersion"].as_str().unwrap_or("v1");
    match options["kind"].as_str() {
        None | Some("" | "DeleteOptions") => Ok(options),
        Some(kind) => Err(bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"pkg/apis/meta/internalversion/scheme/register.go:27\""
        ))),
    }
}

/// A DELETE of one object.
pub(super) fn delete(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let deleting = Deleting::read(call)?;
    warn_of_orphans(call, &deleting);
    protect(call)?;
    let key = Key::new(&call.spot.namespace, &call.spot.name);
    let outcome = remove(state, &call.resource.clone(), &key, &deleting)?
        .ok_or_else(|| call.named().not_found())?;
    Ok(match outcome {
        Outcome::Gone(object) if returns_object(&call.resource) => shown(state, call, 200, object),
        Outcome::Gone(object) => Answer::ok(success(&call.resource, &object)),
        Outcome::Kept(object) => shown(state, call, 200, object),
    })
}

/// Namespaces that no one may delete.
fn protect(call: &Call) -> Result<(), Failure> {
    let is_namespace = call.resource.kind.pair() == ("", "Namespace");
    if is_namespace && matches!(&*call.spot.name, "default" | "kube-system" | "kube-public") {
        return Err(call.named().forbidden("this namespace may not be deleted"));
    }
    Ok(())
}

/// Jobs are the only kind that leaves what it made.
fn orphans_by_default(resource: &Resource) -> bool {
    matches!(resource.kind.pair(), ("batch", "Job") | ("", "ReplicationController"))
}

/// Warns who deletes Jobs without saying what becomes of their Pods.
///
/// Source: Kubernetes `pkg/registry/batch/job/storage/storage.go`.
fn warn_of_orphans(call: &mut Call, deleting: &Deleting) {
    let is_said = deleting.propagation.is_some() || deleting.orphan.is_some();
    if call.resource.kind.pair() == ("batch", "Job") && !is_said {
        call.warnings.push(
            "child pods are preserved by default when jobs are deleted; set \
             propagationPolicy=Background to remove them or set propagationPolicy=Orphan to \
             suppress this warning"
                .into(),
        );
    }
}

/// Kinds for which the answer to a delete is the object.
///
/// Source: `ReturnDeletedObject` in Kubernetes' registries; measured.
fn returns_object(resource: &Resource) -> bool {
    matches!(
        resource.kind.pair(),
        (
            "",
            "Pod"
                | "PodTemplate"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "ResourceQuota"
                | "Service"
                | "ServiceAccount"
        ) | ("storage.k8s.io", "StorageClass")
    )
}

fn success(resource: &Resource, object: &Value) -> Value {
    let mut details = json!({"name": object["metadata"]["name"], "kind": &*resource.plural, "uid": object["metadata"]["uid"]});
    if !resource.kind.group.is_empty() {
        details["group"] = (*resource.kind.group).into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is no longer there.
    Gone(Value),
    /// It is marked, and stays until its finalizers or its grace period are over.
    Kept(Value),
}

/// Deletes one object; `None` where it is not there.
pub(super) fn remove(
    state: &mut State,
    resource: &Arc<Resource>,
    key: &Key,
    deleting: &Deleting,
) -> Result<Option<Outcome>, Failure> {
    let Some(stored) = state.store.get(&resource.table, key) else { return Ok(None) };
    let mut object = list::tree(resource, stored);
    check_preconditions(resource, &object, deleting)?;
    if custom::defines(resource) {
        return Ok(Some(custom::delete(state, resource, key, object, deleting)));
    }
    if resource.kind.pair() == ("", "Namespace") && is_kept_namespace(state, &mut object, deleting)
    {
        return Ok(Some(keep(state, resource, key, object, deleting)));
    }
    let before = object.clone();
    let graceful = match grace(state, resource, &mut object, deleting) {
        Grace::Pending => return Ok(Some(Outcome::Kept(object))),
        Grace::Set(seconds) => Some(seconds),
        Grace::None => None,
    };
    let finalizers = finalizers(resource, &object, deleting);
    let pending = !finalizers.is_empty();
    set_finalizers(&mut object, finalizers);
    if graceful.is_none() && pending {
        mark(state, &mut object);
    }
    if pending || graceful.is_some_and(|seconds| seconds > 0) {
        return Ok(Some(if object == before {
            Outcome::Kept(object)
        } else {
            keep(state, resource, key, object, deleting)
        }));
    }
    if !deleting.dry_run {
        // What ends gracefully is seen to end first.
        if graceful.is_some() {
            state.write(resource, key.clone(), &mut object);
        }
        state.erase(resource, key);
        // A delete is a version too.
        let revision = state.store.revision().to_string();
        create::metadata(&mut object).insert("resourceVersion".into(), revision.into());
        // What is returned is what was stored.
        set_finalizers(&mut object, names(&before["metadata"]["finalizers"]));
    }
    Ok(Some(Outcome::Gone(object)))
}

fn keep(
    state: &mut State,
    resource: &Arc<Resource>,
    key: &Key,
    mut object: Value,
    deleting: &Deleting,
) -> Outcome {
    let changed = state.store.get(&resource.table, key).map(|stored| list::tree(resource, stored));
    if !deleting.dry_run && changed.as_ref() != Some(&object) {
        state.write(resource, key.clone(), &mut object);
    }
    Outcome::Kept(object)
}

fn check_preconditions(
    resource: &Resource,
    object: &Value,
    deleting: &Deleting,
) -> Result<(), Failure> {
    let metadata = &object["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default();
    let name = text("name");
    // Namespaces are looked after by other code, which has other words.
    let is_namespace = resource.kind.pair() == ("", "Namespace");
    let called = if is_namespace { &*resource.plural } else { &*resource.kind.kind };
    let named = Named { group: &resource.kind.group, resource: called, name };
    let differs = |what: &str, given: &str, found: &str| {
        named.conflict(&format!(
            "Precondition failed: {what} in precondition: {given}, {what} in object meta: {found}"
        ))
    };
    if is_namespace {
        for (what, given, found) in [
            ("UID", &deleting.uid, text("uid")),
            ("ResourceVersion", &deleting.version, text("resourceVersion")),
        ] {
            if let Some(given) = given.as_deref().filter(|given| *given != found) {
                return Err(differs(what, given, found));
            }
        }
        return Ok(());
    }
    if let Some(uid) = deleting.uid.as_deref().filter(|uid| *uid != text("uid")) {
        return Err(named.conflict(&format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object \
             might have been deleted and then recreated",
            text("uid")
        )));
    }
    let found = text("resourceVersion");
    if let Some(version) = deleting.version.as_deref().filter(|version| *version != found) {
        return Err(named.conflict(&format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion \
             in record ({found}). The object might have been modified"
        )));
    }
    Ok(())
}

/// Marks a namespace as terminating, which stays until its own finalizers are gone.
fn is_kept_namespace(state: &State, object: &mut Value, deleting: &Deleting) -> bool {
    let now = state.now();
    let metadata = create::metadata(object);
    if metadata.get("deletionTimestamp").is_none() {
        metadata.insert("deletionTimestamp".into(), now.into());
        object["status"]["phase"] = "Terminating".into();
        let policy = deleting.propagation.as_deref();
        let wanted = match policy {
            Some("Orphan") => Some(ORPHAN),
            Some("Foreground") => Some(FOREGROUND),
            _ if deleting.orphan == Some(true) => Some(ORPHAN),
            _ => None,
        };
        if wanted.is_some() || policy.is_some() || deleting.orphan.is_some() {
            let mut finalizers = names(&object["metadata"]["finalizers"]);
            finalizers.retain(|name| name != ORPHAN && name != FOREGROUND);
            finalizers.extend(wanted.map(str::to_owned));
            set_finalizers(object, finalizers);
        }
        return true;
    }
    object["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// How a kind that ends gracefully takes a delete.
enum Grace {
    /// It ends already.
    Pending,
    /// It ends in so many seconds.
    Set(i64),
    /// It does not end gracefully.
    None,
}

fn grace(state: &State, resource: &Resource, object: &mut Value, deleting: &Deleting) -> Grace {
    if resource.kind.pair() != ("", "Pod") {
        return Grace::None;
    }
    let metadata = &object["metadata"];
    if let Some(stamp) = metadata["deletionTimestamp"].as_str().and_then(clock::read) {
        let current = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
        if current == 0 {
            return Grace::None;
        }
        // It may only be made shorter.
        return match deleting.grace.map(|seconds| seconds.max(0)) {
            Some(seconds) if seconds < current => {
                let begun = stamp.saturating_sub(current.unsigned_abs());
                end_at(object, begun + seconds.unsigned_abs(), seconds);
                Grace::Set(seconds)
            }
            _ => Grace::Pending,
        };
    }
    let given = deleting.grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64());
    let unscheduled = object["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    let over = matches!(object["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    let seconds = match given.unwrap_or_default() {
        _ if unscheduled || over => 0,
        seconds if seconds < 0 => 1,
        seconds => seconds,
    };
    end_at(object, state.seconds().saturating_add(seconds.unsigned_abs()), seconds);
    count_generation(object);
    Grace::Set(seconds)
}

fn end_at(object: &mut Value, time: u64, seconds: i64) {
    let metadata = create::metadata(object);
    metadata.insert("deletionTimestamp".into(), clock::text(time).into());
    metadata.insert("deletionGracePeriodSeconds".into(), seconds.into());
}

fn count_generation(object: &mut Value) {
    let metadata = create::metadata(object);
    if let Some(generation) = metadata.get("generation").and_then(Value::as_i64)
        && generation > 0
    {
        metadata.insert("generation".into(), (generation + 1).into());
    }
}

/// Marks an object that does not end gracefully.
fn mark(state: &State, object: &mut Value) {
    let now = state.now();
    let metadata = create::metadata(object);
    let first = metadata.get("deletionGracePeriodSeconds").is_none();
    metadata.entry("deletionTimestamp").or_insert_with(|| now.into());
    metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
    if first {
        count_generation(object);
    }
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn set_finalizers(object: &mut Value, finalizers: Vec<String>) {
    let metadata = create::metadata(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.into());
    }
}

/// The finalizers that an object has from now on, with those of the garbage collector.
fn finalizers(resource: &Resource, object: &Value, deleting: &Deleting) -> Vec<String> {
    let old = names(&object["metadata"]["finalizers"]);
    let has = |name: &str| old.iter().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (deleting.orphan, deleting.propagation.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (_, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        _ if has(ORPHAN) => (true, false),
        _ if has(FOREGROUND) => (false, true),
        _ => (orphans_by_default(resource), false),
    };
    // Events have no dependents.
    let collected = resource.kind.kind != "Event";
    let mut new: Vec<String> =
        old.iter().filter(|name| *name != ORPHAN && *name != FOREGROUND).cloned().collect();
    if orphan && collected {
        new.push(ORPHAN.into());
    }
    if foreground && collected {
        new.push(FOREGROUND.into());
    }
    let same =
        new.iter().all(|name| old.contains(name)) && old.iter().all(|name| new.contains(name));
    if same { old } else { new }
}

/// A DELETE of a collection.
pub(super) fn collection(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let deleting = Deleting::read(call)?;
    list::check_options(call, false)?;
    let filter = Filter::read(call)?;
    let answer = list::list(state, call)?;
    warn_of_orphans(call, &deleting);
    let meant: Vec<Key> = state
        .store
        .list(&call.resource.table, &filter.namespace)
        .filter(|(key, stored)| filter.admits(key, stored))
        .map(|(key, _)| key.clone())
        .collect();
    for key in meant {
        remove(state, &call.resource.clone(), &key, &deleting)?;
    }
    Ok(answer)
}
