//! Creating: POST, and an apply of what is not there.
//!
//! Source: apiserver `pkg/endpoints/handlers/create.go`, `pkg/registry/rest/create.go`,
//! `pkg/registry/generic/registry/store.go`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::kinds::{self, Addresses};
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::refusals::{bad_request, internal};
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::store::Key;
use crate::rehearsal::{Cause, Failure, Kind, admission, convert, custom, decode, rules};

/// A POST to a collection.
pub(super) fn create(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let writing = Writing::read(call, "CreateOptions", false)?;
    let mut object = decode::body(state, call, &call.resource.clone(), &writing)?;
    settle_namespace(call, &mut object)?;
    Owners::of(state, &call.resource, None).updated(None, &mut object, &writing);
    let object = insert(state, call, object, &writing)?;
    Ok(shown(state, call, 201, object))
}

/// Puts a new object in its place: all that follows once it is decoded, has its defaults and its
/// managed fields.
pub(super) fn insert(
    state: &mut State,
    call: &mut Call,
    mut object: Value,
    writing: &Writing,
) -> Result<Value, Failure> {
    let resource = Arc::clone(&call.resource);
    let kind = &resource.kind;
    generate_name(state, kind.pair(), &mut object);
    if let Some(definition) = resource.definition.as_ref().filter(|of| of.terminating) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return Err(definition.refuse_create(name));
    }
    admission::admit(state, call, None, &mut object, None)?;
    let given_version =
        object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    system_fields(state, &mut object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    // Of a custom resource even the kind may be wrong.
    let called = object["kind"].as_str().unwrap_or_default().to_owned();
    let invalid = |causes: &[Cause]| Failure::invalid(&kind.group, &called, &name, causes);
    let addresses = allocate(state, kind, &mut object, None, writing)?;
    rules::prepare_create(state, &resource, &mut object);
    let causes = rules::validate_create(&resource, &object);
    if !causes.is_empty() {
        return Err(invalid(&causes));
    }
    call.warnings.extend(rules::warnings(&resource, &object, None));
    if !given_version.is_empty() {
        return Err(internal("resourceVersion should not be set on objects to be created"));
    }
    let key = Key::new(object["metadata"]["namespace"].as_str().unwrap_or_default(), &name);
    if let Some(existing) = state.store.get(&resource.table, &key) {
        let mut failure = call.named_as(&name).already_exists();
        if !existing.value()["metadata"]["deletionTimestamp"].is_null() {
            failure.message = format!("object is being deleted: {}", failure.message);
        }
        return Err(failure);
    }
    admission::check(state, call, &object, None, writing.dry_run)?;
    if let Some(version) = resource.version() {
        version.settle(&mut object);
    }
    if !writing.dry_run {
        state.hold(addresses);
        state.write(&resource, key, &mut object);
    }
    Ok(object)
}

/// Gives an object the namespace of the path, and refuses another one.
pub(super) fn settle_namespace(call: &Call, object: &mut Value) -> Result<(), Failure> {
    check_namespace(call, object)?;
    let metadata = metadata(object);
    match call.resource.namespaced {
        true => metadata.insert("namespace".into(), call.spot.namespace.as_str().into()),
        false => metadata.remove("namespace"),
    };
    Ok(())
}

/// Refuses a body that is in another namespace than the path.
pub(super) fn check_namespace(call: &Call, object: &Value) -> Result<(), Failure> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if call.resource.namespaced && !given.is_empty() && given != call.spot.namespace {
        return Err(bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// The `metadata` of an object, made where it is not there.
pub(super) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    metadata.as_object_mut().expect("it was just made an object")
}

fn generate_name(state: &mut State, kind: (&str, &str), object: &mut Value) {
    let metadata = metadata(object);
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    if kind == ("", "LimitRange") && text("name").is_empty() && text("generateName").is_empty() {
        // The only kind that may go without a name.
        let name = state.chance.uid();
        metadata.insert("name".into(), name.into());
        return;
    }
    if text("name").is_empty() && !text("generateName").is_empty() {
        let name = state.chance.name(text("generateName"));
        if kind == ("", "Namespace") {
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert("kubernetes.io/metadata.name".into(), (*name).into());
            }
        }
        metadata.insert("name".into(), name.into());
    }
}

fn system_fields(state: &mut State, object: &mut Value) {
    let (uid, now) = (state.chance.uid(), state.now());
    let metadata = metadata(object);
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), uid.into());
    metadata.insert("creationTimestamp".into(), now.into());
}

/// A namespace that is there from the beginning.
pub(super) fn namespace(state: &mut State, name: &str) {
    let Some(resource) = state.catalogue.find("", "v1", "namespaces").cloned() else { return };
    let mut object = json!({
        "kind": "Namespace", "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    });
    system_fields(state, &mut object);
    state.write(&resource, Key::new("", name), &mut object);
}

/// Gives a Service its addresses; what is free after that is to be held when the write is done.
pub(super) fn allocate(
    state: &State,
    kind: &Kind,
    new: &mut Value,
    old: Option<&Value>,
    writing: &Writing,
) -> Result<Option<Addresses>, Failure> {
    if kind.pair() != ("", "Service") {
        return Ok(None);
    }
    let mut addresses = Addresses { dry_run: writing.dry_run, ..state.addresses.clone() };
    kinds::allocate(kind, new, old, &mut addresses)?;
    addresses.dry_run = false;
    Ok(Some(addresses))
}

impl State {
    /// Remembers which addresses are taken.
    pub(super) fn hold(&mut self, addresses: Option<Addresses>) {
        if let Some(addresses) = addresses {
            self.addresses = addresses;
        }
    }

    /// Keeps an object, which gets its version, and tells the watches.
    pub(super) fn write(&mut self, resource: &Arc<Resource>, key: Key, object: &mut Value) {
        let mut stored = object.clone();
        convert::to_stored(resource, &mut stored);
        let revision = self.store.put(&resource.table, key, &mut stored);
        metadata(object).insert("resourceVersion".into(), revision.to_string().into());
        self.waiting.wake(&resource.table);
        if custom::defines(resource) {
            custom::refresh(self, resource);
        }
    }
}
