//! The four types of patches.
//!
//! Source: apiserver `pkg/endpoints/handlers/patch.go`; the texts are measured.

use std::cell::Cell;
use std::sync::Arc;

use json_patch::{AddOperation, PatchOperation, ReplaceOperation};
use serde_json::{Value, json};

use crate::rehearsal::answer::Answer;
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::decode::{Patched, bad_patch};
use crate::rehearsal::fields::{Decoded, Opened, Validation};
use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::refusals::{LARGEST_BODY, bad_request, internal, unknown_format};
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::{Failure, create, decode, fields, media, strategic, update};
use crate::schema::go::json_word;

/// Most operations of a JSON patch. Source: apiserver `maxJSONPatchOperations`.
const MOST_OPERATIONS: usize = 10_000;

/// The types of patches that custom resources take.
const CUSTOM_TYPES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Type {
    pub(super) fn read(call: &Call) -> Result<Self, Failure> {
        match media::plain(call.content_type.as_deref()) {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            media::STRATEGIC if call.resource.custom => Err(unknown_format(CUSTOM_TYPES)),
            media::STRATEGIC => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if call.resource.custom => Err(unknown_format(CUSTOM_TYPES)),
            _ => Err(Failure {
                details: Some(json!({})),
                ..Failure::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            }),
        }
    }
}

/// A PATCH.
pub(super) fn patch(state: &mut State, call: &mut Call) -> Result<Answer, Failure> {
    let kind = Type::read(call).inspect_err(|_| {
        // What is refused before the resource is asked has none of its warnings.
        if !call.resource.custom {
            call.warnings.clear();
        }
    })?;
    let writing = Writing::read(call, "PatchOptions", kind == Type::Apply)?;
    if kind == Type::Apply {
        return apply(state, call, &writing);
    }
    let Some(old) = update::live(state, call) else {
        return Err(call.named().not_found());
    };
    let resource = Arc::clone(&call.resource);
    let mut new = patched(state, call, &resource, &old, kind, &writing)?;
    update::check_name(call, &new)?;
    create::settle_namespace(call, &mut new)?;
    let owners = Owners::of(state, &call.resource, call.subresource());
    owners.updated(Some(&old), &mut new, &writing);
    let object = update::change(state, call, new, &old, &writing)?;
    Ok(shown(state, call, 200, object))
}

fn read_patch(call: &Call) -> Result<Decoded, Failure> {
    fields::read_patch(&call.body)
}

/// What a patch that is no apply makes of an object, decoded.
pub(super) fn patched(
    state: &State,
    call: &mut Call,
    resource: &Resource,
    old: &Value,
    kind: Type,
    writing: &Writing,
) -> Result<Value, Failure> {
    let read = read_patch(call).map_err(|mut failure| {
        // A strategic merge patch is read elsewhere, where nothing is said of decoding.
        if kind == Type::Strategic {
            failure.message = failure.message.replacen("error decoding patch: ", "", 1);
        }
        failure
    });
    let Decoded { object: read, complaints, .. } = read?;
    let (patched, opened) = match kind {
        Type::Json => (json_patch(old, &read)?, Opened::by_json_patch(&read)),
        Type::Strategic => {
            let merged = strategic::merge(old, &read, state.minor, &resource.kind)?;
            let read = Decoded { object: read, complaints, hollow: false };
            return strategically(state, call, resource, &merged, &read, writing);
        }
        _ => (merge_patch(old, &read)?, Opened::by_merge(&read)),
    };
    let how = Patched { opened, complaints };
    decode::patched(state, call, resource, &patched, &how, writing)
}

fn strategically(
    state: &State,
    call: &mut Call,
    resource: &Resource,
    merged: &Value,
    patch: &Decoded,
    writing: &Writing,
) -> Result<Value, Failure> {
    // It is the patch itself that is shown, as Go prints its maps.
    let shown = crate::ssa::go_text(&patch.object);
    let mut read =
        decode::merged(state, resource, merged).map_err(|why| bad_patch(&shown, &why))?;
    read.complaints.splice(..0, patch.complaints.iter().cloned());
    if writing.validation == Validation::Strict
        && let Some(why) = read.strict_error()
    {
        return Err(bad_patch(&shown, &why));
    }
    decode::complain(call, writing, &read);
    call.hollow = read.hollow;
    Ok(read.object)
}

fn json_patch(old: &Value, patch: &Value) -> Result<Value, Failure> {
    if !patch.is_array() {
        return Err(bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type \
             []handlers.jsonPatchOp",
            json_word(patch)
        )));
    }
    let rejected = || Failure {
        details: Some(json!({})),
        ..Failure::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    };
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(|_| rejected())?;
    if patch.0.len() > MOST_OPERATIONS {
        let count = patch.0.len();
        return Err(Failure::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is \
                 {MOST_OPERATIONS}, got {count}"
            ),
        ));
    }
    let mut new = old.clone();
    let mut copied = 0;
    for operation in patch.0 {
        let operation = lenient(operation, &new);
        if let PatchOperation::Copy(copy) = &operation {
            // What is copied again and again doubles each time.
            copied += new.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > LARGEST_BODY {
                return Err(rejected());
            }
        }
        json_patch::patch(&mut new, &[operation]).map_err(|_| rejected())?;
    }
    Ok(new)
}

/// What the server does where a map does not have what an operation is about: it replaces it all the
/// same, and copies null.
///
/// Source: evanphx/json-patch 4 `patch.go`, where `partialDoc.get` never fails; measured.
fn lenient(operation: PatchOperation, document: &Value) -> PatchOperation {
    let misses = |pointer: &str| {
        let parent = pointer.rsplit_once('/').and_then(|(parent, _)| document.pointer(parent));
        parent.is_some_and(Value::is_object) && document.pointer(pointer).is_none()
    };
    match operation {
        PatchOperation::Replace(ReplaceOperation { path, value }) if misses(path.as_str()) => {
            PatchOperation::Add(AddOperation { path, value })
        }
        PatchOperation::Copy(copy) if misses(copy.from.as_str()) => {
            PatchOperation::Add(AddOperation { path: copy.path, value: Value::Null })
        }
        other => other,
    }
}

fn merge_patch(old: &Value, patch: &Value) -> Result<Value, Failure> {
    if !patch.is_object() {
        return Err(bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type \
             map[string]interface {{}}",
            json_word(patch)
        )));
    }
    let mut new = old.clone();
    json_patch::merge(&mut new, patch);
    Ok(new)
}

/// What an apply gave is no object of the kind.
///
/// Source: apimachinery `pkg/util/managedfields/internal/structuredmerge.go`, `Apply`.
fn not_converted(resource: &Resource, wanted: &Value, why: &str) -> String {
    let text = |key: &str| wanted["metadata"][key].as_str().unwrap_or_default();
    let of = &resource.kind;
    let kind = format!("{}/{}, Kind={}", of.group, of.version, of.kind);
    format!(
        "failed to convert new object ({}/{}; {kind}) to proper version: unable to convert \
         unstructured object to {kind}: {why}",
        text("namespace"),
        text("name")
    )
}

fn apply(state: &mut State, call: &mut Call, writing: &Writing) -> Result<Answer, Failure> {
    let read = fields::read_apply(&call.body, writing.validation)?;
    decode::complain(call, writing, &read);
    let wanted = read.object;
    let owners = Owners::of(state, &call.resource, call.subresource());
    let resource = Arc::clone(&call.resource);
    let hollow = Cell::new(false);
    let settle = |object: &mut Value| {
        let merged = decode::merged(state, &resource, object);
        let merged = merged.map_err(|why| internal(not_converted(&resource, &wanted, &why)))?;
        hollow.set(merged.hollow);
        *object = merged.object;
        Ok(())
    };
    let old = update::live(state, call);
    let Some(old) = old else {
        if call.subresource().is_some() && !update::creates_on_update(&call.resource) {
            return Err(call.named().not_found());
        }
        let uid = wanted["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut object = owners.applied(None, &wanted, writing, &settle)?;
        update::check_name(call, &object)?;
        if !uid.is_empty() {
            return Err(call.named().conflict(&format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            )));
        }
        create::settle_namespace(call, &mut object)?;
        create::metadata(&mut object).remove("resourceVersion");
        let object = create::insert(state, call, object, writing)?;
        return Ok(shown(state, call, 201, object));
    };
    let mut new = owners.applied(Some(&old), &wanted, writing, &settle)?;
    call.hollow = hollow.get();
    update::check_name(call, &new)?;
    create::settle_namespace(call, &mut new)?;
    let object = update::change(state, call, new, &old, writing)?;
    Ok(shown(state, call, 200, object))
}
