//! Changing what is there: PUT, and what follows every patch.
//!
//! Source: apiserver `pkg/endpoints/handlers/update.go`, `pkg/registry/rest/update.go`,
//! `pkg/registry/generic/registry/store.go`.

use std::sync::Arc;

use serde_json::Value;

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::refusals::{Named, bad_request};
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::store::Key;
use crate::rehearsal::{Cause, Failure, admission, create, custom, decode, list, ownership, rules};

/// A PUT.
pub(super) fn update(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let writing = Writing::read(call, "UpdateOptions", false)?;
    let mut new = decode::body(state, call, &call.resource.clone(), &writing)?;
    check_name(call, &new)?;
    create::settle_namespace(call, &mut new)?;
    let owners = Owners::of(state, &call.resource, call.subresource());
    let Some(old) = live(state, call) else {
        if !creates_on_update(&call.resource) {
            return Err(call.named().not_found());
        }
        owners.updated(None, &mut new, &writing);
        let object = create::insert(state, call, new, &writing)?;
        return Ok(shown(state, call, 201, object));
    };
    check_uid(call, &new, &old, writing.dry_run)?;
    owners.updated(Some(&old), &mut new, &writing);
    let object = change(state, call, new, &old, &writing)?;
    Ok(shown(state, call, 200, object))
}

/// The object that a request names, in the version that it speaks.
pub(super) fn live(state: &State, call: &Call) -> Option<Value> {
    let key = Key::new(&call.spot.namespace, &call.spot.name);
    let stored = state.store.get(&call.resource.table, &key)?;
    Some(list::tree(&call.resource, stored))
}

/// Refuses a body that names another object than the path.
pub(super) fn check_name(call: &Call, object: &Value) -> Result<(), Failure> {
    let url = &call.spot.name;
    match object["metadata"]["name"].as_str().unwrap_or_default() {
        "" => Err(bad_request(format!(
            "the name of the object ({url} based on URL) was undeterminable: name must be provided"
        ))),
        name if name != url => Err(bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({url})"
        ))),
        _ => Ok(()),
    }
}

/// A PUT with the uid of an object that is gone meant that object.
fn check_uid(call: &Call, new: &Value, old: &Value, dry_run: bool) -> Result<(), Failure> {
    let uid = |object: &Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let (given, found) = (uid(new), uid(old));
    if given.is_empty() || given == found {
        return Ok(());
    }
    let key = storage_key(&call.resource, &call.spot.namespace, &call.spot.name);
    // A dry run does not come as far as to etcd, where everything is below this.
    let root = if dry_run { "" } else { "/registry" };
    Err(call.named().conflict(&format!(
        "StorageError: invalid object, Code: 4, Key: {root}{key}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object \
         meta: {found}"
    )))
}

/// Where etcd would have the object; messages say so.
fn storage_key(resource: &Resource, namespace: &str, name: &str) -> String {
    let folder = match (&*resource.kind.group, &*resource.plural) {
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        ("", "services") => "services/specs".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", plural)
        | (
            "apps"
            | "batch"
            | "autoscaling"
            | "policy"
            | "rbac.authorization.k8s.io"
            | "storage.k8s.io"
            | "scheduling.k8s.io"
            | "networking.k8s.io"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "admissionregistration.k8s.io"
            | "certificates.k8s.io",
            plural,
        ) => plural.to_owned(),
        (group, plural) => format!("{group}/{plural}"),
    };
    match namespace {
        "" => format!("/{folder}/{name}"),
        namespace => format!("/{folder}/{namespace}/{name}"),
    }
}

/// Kinds that a PUT creates where they are not there.
///
/// Source: the `AllowCreateOnUpdate` of Kubernetes' strategies.
pub(super) fn creates_on_update(resource: &Resource) -> bool {
    matches!(
        resource.kind.pair(),
        ("coordination.k8s.io", "Lease")
            | ("" | "events.k8s.io", "Event")
            | ("", "Endpoints" | "LimitRange" | "Service")
            | (
                "rbac.authorization.k8s.io",
                "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding"
            )
    )
}

/// Puts a changed object in the place of the old one: all that follows once it is decoded and has
/// its defaults and managed fields. Both are in the version of the request.
pub(super) fn change(
    state: &mut State,
    call: &mut Call,
    mut new: Value,
    old: &Value,
    writing: &Writing,
) -> Result<Value, Failure> {
    let resource = Arc::clone(&call.resource);
    let kind = &resource.kind;
    let subresource = call.subresource().map(str::to_owned);
    let subresource = subresource.as_deref();
    admission::admit(state, call, subresource, &mut new, Some(old))?;
    ownership::keep_times(old, &mut new);
    check_version(call, &mut new, old)?;
    keep_system_fields(&mut new, old);
    let name = call.spot.name.clone();
    let invalid = |causes: &[Cause]| Failure::invalid(&kind.group, &kind.kind, &name, causes);
    let addresses = match subresource {
        None => create::allocate(state, kind, &mut new, Some(old), writing)?,
        Some(_) => None,
    };
    // A scale changes the object itself.
    let part = subresource.filter(|part| *part != "scale");
    rules::prepare_update(state, &resource, part, &mut new, old);
    if call.hollow && part.is_none() {
        rules::settle_hollow(&resource, &mut new, old);
    }
    let (causes, warnings) = rules::validate_update(&resource, part, &new, old);
    if !causes.is_empty() {
        return Err(invalid(&causes));
    }
    call.warnings.extend(warnings);
    call.warnings.extend(rules::warnings(&resource, &new, Some(old)));
    admission::check(state, call, &new, Some(old), writing.dry_run)?;
    if let Some(version) = resource.version() {
        version.settle(&mut new);
    }
    let key = Key::new(&call.spot.namespace, &name);
    if is_done(&new) {
        if !writing.dry_run {
            state.erase(&resource, &key);
        }
        return Ok(new);
    }
    let untouched = state.store.get(&resource.table, &key).is_some_and(|stored| stored.untouched);
    let rewritten = untouched && is_kept_otherwise(&resource, old);
    if (new != *old || rewritten) && !writing.dry_run {
        state.hold(addresses);
        state.write(&resource, key, &mut new);
    }
    Ok(new)
}

/// Kinds that a server keeps a little differently from how it answered their create, so that the
/// first write after it is a new version even where nothing changes. Measured.
fn is_kept_otherwise(resource: &Resource, object: &Value) -> bool {
    match resource.kind.pair() {
        // One that was given no labels has those of its template.
        ("batch", "Job") => {
            object["metadata"]["labels"]["batch.kubernetes.io/controller-uid"].is_string()
        }
        pair => pair == ("", "PersistentVolumeClaim"),
    }
}

/// Refuses a change that was made to another version than the one that is there.
fn check_version(call: &Call, new: &mut Value, old: &Value) -> Result<(), Failure> {
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    };
    let (given, found) = (version(new), version(old));
    if given.is_empty() || given == "0" {
        if rules::needs_version(&call.resource) {
            let cause =
                Cause::invalid("metadata.resourceVersion", "0", "must be specified for an update");
            let Named { group, resource, name } = call.named();
            return Err(Failure::invalid(group, resource, name, &[cause]));
        }
        create::metadata(new).insert("resourceVersion".into(), found.into());
        return Ok(());
    }
    if given == found { Ok(()) } else { Err(call.named().stale()) }
}

/// What a request cannot change, or need not repeat.
fn keep_system_fields(new: &mut Value, old: &Value) {
    let old = &old["metadata"];
    let new = create::metadata(new);
    new.remove("selfLink");
    for key in ["uid", "creationTimestamp"] {
        if new.get(key).is_none_or(|value| value.is_null() || value == "") {
            new.insert(key.into(), old[key].clone());
        }
    }
    let grace = "deletionGracePeriodSeconds";
    if new.get(grace).is_none_or(Value::is_null) && !old[grace].is_null() {
        new.insert(grace.into(), old[grace].clone());
    }
    let fixed: &[&str] = match old["deletionTimestamp"].is_null() {
        true => &["generation"],
        false => &["generation", "deletionTimestamp"],
    };
    for key in fixed {
        match old[key].clone() {
            Value::Null => new.remove(*key),
            value => new.insert((*key).into(), value),
        };
    }
}

/// Whether nothing keeps an object that is being deleted.
fn is_done(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let none = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    let grace = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
    let namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let own_finalizers = namespace && !none(&object["spec"]["finalizers"]);
    let held = own_finalizers || !none(&metadata["finalizers"]);
    grace == 0 && !held && !metadata["deletionTimestamp"].is_null()
}

impl State {
    /// Forgets an object.
    pub(super) fn erase(&mut self, resource: &Arc<Resource>, key: &Key) {
        let Some(gone) = self.store.remove(&resource.table, key) else { return };
        self.waiting.wake(&resource.table);
        if resource.kind.pair() == ("", "Service") {
            self.addresses.release(&gone.value());
        }
        if custom::defines(resource) {
            custom::refresh(self, resource);
        }
        custom::after_removal(self, resource);
    }
}
