//! From a body to an object as the server holds it, with its defaults.

use serde_json::{Value, json};

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::crd::Nulls;
use crate::rehearsal::fields::{self, Decoded, Form, Opened, Validation};
use crate::rehearsal::options::Writing;
use crate::rehearsal::refusals::bad_request;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::{Failure, Kind, body, create, media, rules};

/// The object in the body of a POST or a PUT.
pub(super) fn body(
    state: &State,
    call: &mut Call,
    resource: &Resource,
    writing: &Writing,
) -> Result<Value, Failure> {
    let content_type = call.content_type.as_deref();
    media::check_object(content_type)?;
    let form = match media::plain(content_type) {
        "application/yaml" => Form::Yaml,
        _ => Form::Json,
    };
    let own;
    let kind = match resource.custom {
        true => {
            own = own_kind(call, resource)?;
            &own
        }
        false => &resource.kind,
    };
    let mut read = fields::read(&call.body, form, state.minor, kind, writing.validation)?;
    prune(resource, &mut read, Nulls::Dropped)?;
    if writing.validation == Validation::Strict
        && let Some(why) = read.strict_error()
    {
        return Err(fields::cannot_be_handled(kind, kind, &why));
    }
    complain(call, writing, &read);
    call.hollow = read.hollow;
    let mut object = read.object;
    rules::default(resource, &mut object)
        .map_err(|why| fields::cannot_be_handled(kind, kind, &why))?;
    if memchr::memmem::find(&call.body, b"managedFields").is_some() {
        let given = body::tree(&call.body, call.content_type.as_deref());
        forget_owners(&given.unwrap_or_default(), &mut object);
    }
    Ok(object)
}

/// An empty list of managed fields says that all are to be forgotten: it is kept, as no empty list
/// is.
fn forget_owners(given: &Value, object: &mut Value) {
    if given["metadata"]["managedFields"].as_array().is_some_and(Vec::is_empty) {
        create::metadata(object).insert("managedFields".into(), json!([]));
    }
}

/// The kind that a body says it is, which for custom resources may be another one at first.
///
/// Source: apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `schemaCoercingDecoder`.
fn own_kind(call: &Call, resource: &Resource) -> Result<Kind, Failure> {
    let mut own = resource.kind.clone();
    // What cannot be read is refused later, in other words.
    let Ok(object) = body::tree(&call.body, call.content_type.as_deref()) else { return Ok(own) };
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    if text("kind").is_empty() {
        let body = String::from_utf8_lossy(&call.body);
        return Err(bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in \
             '{body}' ({body})",
            own.kind
        )));
    }
    own.kind = text("kind").to_owned();
    if text("apiVersion") != own.api_version() {
        return Err(bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            text("apiVersion"),
            own.api_version()
        )));
    }
    Ok(own)
}

/// What is known of a JSON patch or a merge patch beside what it has given.
pub(super) struct Patched {
    /// What it went into.
    pub(super) opened: Opened,
    /// Its double keys.
    pub(super) complaints: Vec<String>,
}

/// The object that a JSON patch or a merge patch has given.
pub(super) fn patched(
    state: &State,
    call: &mut Call,
    resource: &Resource,
    object: &Value,
    how: &Patched,
    writing: &Writing,
) -> Result<Value, Failure> {
    let kind = resource.kind.clone();
    let shown = || fields::patched_text(object, &how.opened, state.minor, &kind);
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (version, given) = (text("apiVersion"), text("kind"));
    if (version, given) != (&*kind.api_version(), &*kind.kind) {
        let why = format!(
            "no kind {given:?} is registered for version {version:?} in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        );
        return Err(bad_patch(&shown(), &why));
    }
    let mut read =
        fields::decode(object, state.minor, &kind).map_err(|why| bad_patch(&shown(), &why))?;
    prune(resource, &mut read, Nulls::Dropped).map_err(|failure| {
        match failure.message.split_once(" cannot be handled as a ") {
            Some((_, why)) => bad_patch(&shown(), why.split_once(": ").map_or(why, |(_, why)| why)),
            None => failure,
        }
    })?;
    read.complaints.splice(..0, how.complaints.iter().cloned());
    if writing.validation == Validation::Strict
        && let Some(why) = read.strict_error()
    {
        return Err(bad_patch(&shown(), &why));
    }
    complain(call, writing, &read);
    call.hollow = read.hollow;
    let mut decoded = read.object;
    rules::default(resource, &mut decoded).map_err(|why| bad_patch(&shown(), &why))?;
    forget_owners(object, &mut decoded);
    Ok(decoded)
}

/// The object that an apply or a strategic merge patch has given.
pub(super) fn merged(
    state: &State,
    resource: &Resource,
    object: &Value,
) -> Result<Decoded, String> {
    let mut read = fields::convert(object, state.minor, &resource.kind)?;
    prune(resource, &mut read, Nulls::Kept).map_err(|failure| failure.message)?;
    rules::default(resource, &mut read.object)?;
    Ok(read)
}

/// Drops what the schema of a custom kind does not know, and complains of it.
fn prune(resource: &Resource, read: &mut Decoded, nulls: Nulls) -> Result<(), Failure> {
    let Some(version) = resource.version() else { return Ok(()) };
    let dropped = version.decode(&mut read.object, nulls)?;
    read.complaints.extend(dropped.iter().map(|path| format!("unknown field {path:?}")));
    Ok(())
}

/// Warns of unknown and double fields.
pub(super) fn complain(call: &mut Call, writing: &Writing, read: &Decoded) {
    if writing.validation == Validation::Warn {
        call.warnings.extend(read.complaints.iter().cloned());
    }
}

/// What was patched is no object of the kind.
///
/// Source: apiserver `pkg/endpoints/handlers/patch.go`; the text is measured.
pub(super) fn bad_patch(shown: &str, why: &str) -> Failure {
    let shown = format!("{shown:?}");
    let cause = crate::rehearsal::Cause::invalid("patch", &shown, why);
    Failure {
        code: 422,
        reason: "Invalid",
        message: format!(" \"\" is invalid: patch: {}", cause.message),
        details: Some(json!({"causes": [cause.to_value()]})),
    }
}
