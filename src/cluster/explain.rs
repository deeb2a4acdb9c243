//! What the server's no means for the user: one message, where it belongs, and what mends it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::Locate;
use super::request::{Failure, Server, Status};
use crate::error::{Error, ErrorKind, Place};
use crate::inventory::Key;
use crate::plan::{Conflict, Object};
use crate::yaml::Step;

/// What was asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// `patch`, `get`, `delete`: the verb of its permission.
    pub(super) verb: &'a str,
    /// The resource of its permission, `deployments.apps`.
    pub(super) resource: &'a str,
    /// Which object.
    pub(super) key: &'a Key,
    /// Where it stands in the user's files, where it does.
    pub(super) place: Option<&'a Place>,
}

impl Asked<'_> {
    fn place(&self) -> Place {
        self.place.cloned().unwrap_or_else(|| Place::file(self.key.to_string()))
    }

    /// An error about the object; it says which one, where its place is only a file.
    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        match self.place {
            Some(place) => Error::new(kind, place.clone(), format!("{}: {message}", self.key)),
            None => Error::new(kind, self.place(), message),
        }
    }
}

/// Why an object could not be read, written or deleted.
pub(super) fn object(failure: &Failure, server: &Server, asked: &Asked<'_>) -> Error {
    let Failure::Status(status) = failure else {
        return connection(failure, &server.address, server.context.as_deref());
    };
    match status.code {
        401 => connection(failure, &server.address, server.context.as_deref()),
        403 => forbidden(status, asked),
        404 => missing(status, asked),
        409 => conflict(status, asked),
        422 => invalid(status, asked),
        500 if status.message.contains(UNTYPED) => untyped(status, asked),
        _ => asked.error(ErrorKind::External, &without_subject(status, asked)),
    }
}

/// As [`object`], with the line of the field that the server complains about, where it is one.
pub(super) fn resource(
    failure: &Failure,
    server: &Server,
    verb: &str,
    plural: &str,
    sent: &Object,
    locate: &Locate<'_>,
) -> Error {
    let path = failure.status().map(blamed).unwrap_or_default();
    let place = place_of(sent, &path, locate);
    let asked = Asked { verb, resource: plural, key: &sent.key, place: Some(&place) };
    object(failure, server, &asked).hiding(&secrets(sent))
}

/// The texts of a Secret, as they are sent and decoded: a server may repeat what it refuses.
fn secrets(sent: &Object) -> Vec<String> {
    if sent.key.kind != "Secret" || !sent.key.group.is_empty() {
        return Vec::new();
    }
    let mut texts = Vec::new();
    for field in ["data", "stringData"] {
        sent.body.get(field).into_iter().for_each(|value| collect(value, &mut texts));
    }
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    texts
}

fn collect(value: &Json, into: &mut Vec<String>) {
    match value {
        Json::Array(list) => list.iter().for_each(|one| collect(one, into)),
        Json::Object(map) => map.values().for_each(|one| collect(one, into)),
        Json::String(text) => {
            into.extend(STANDARD.decode(text).ok().and_then(|text| String::from_utf8(text).ok()));
            into.push(text.clone());
        }
        Json::Null => {}
        other => into.push(other.to_string()),
    }
}

/// The place of the longest beginning of `path` that stands in the object's own file: what a patch
/// has added is not there.
pub(super) fn place_of(sent: &Object, path: &str, locate: &Locate<'_>) -> Place {
    let names = split(path);
    let steps: Vec<_> = names.iter().map(Part::step).collect();
    (0..=steps.len())
        .rev()
        .map(|length| locate(&sent.origin, &steps[..length]))
        .find(|place| place.at.is_some())
        .unwrap_or_else(|| Place::file(sent.origin.file.clone()))
}

/// Why the server cannot be asked at all.
pub(super) fn connection(failure: &Failure, address: &str, context: Option<&str>) -> Error {
    let place = Place::file(address);
    let context = context.map_or_else(String::new, |name| format!(" of the context \"{name}\""));
    match failure {
        Failure::Transport(reason) => Error::new(
            ErrorKind::Unreachable,
            place,
            format!("cannot reach the API server: {reason}"),
        )
        .hint(format!("check that it runs, and the address{context}")),
        Failure::Timeout(limit) => Error::new(
            ErrorKind::Unreachable,
            place,
            format!("the API server did not answer within {}s", limit.as_secs_f64()),
        )
        .hint("allow for more with --request-timeout"),
        Failure::Credentials(reason) => {
            Error::new(ErrorKind::Unknown, place, reason).hint(format!("check the user{context}"))
        }
        Failure::Garbled(reason) => Error::new(
            ErrorKind::External,
            place,
            format!("this is no answer of an API server: {reason}"),
        )
        .hint(format!("check the address{context}")),
        Failure::Status(status) if status.code == 401 => {
            let message = "the API server does not accept the credentials (401)";
            let hint = format!("log in again, or check the user{context}");
            Error::new(ErrorKind::Unknown, place, message).hint(hint)
        }
        Failure::Status(status) => {
            let message = format!("{} ({})", status.message, status.code);
            Error::new(ErrorKind::External, place, message)
        }
    }
}

/// What the server says when it lacks a right, and not when an admission step says no.
const NO_RIGHT: &str = " cannot ";

/// What it says when one may not ask in the place of another.
const IMPERSONATION: &str = " cannot impersonate ";

fn forbidden(status: &Status, asked: &Asked<'_>) -> Error {
    let is_right =
        status.message.contains("is forbidden: User ") && status.message.contains(NO_RIGHT);
    if !is_right {
        return asked.error(ErrorKind::Denied, &without_subject(status, asked));
    }
    if status.message.contains(IMPERSONATION) {
        return asked
            .error(ErrorKind::Denied, &status.message)
            .hint("ask for the right to impersonate, or ask as yourself with --impersonate=false");
    }
    let user = status.message.split("User ").nth(1).and_then(|rest| rest.split('"').nth(1));
    let user = user.unwrap_or("this user");
    let place = match asked.key.namespace.as_str() {
        "" => String::new(),
        namespace => format!(" in the namespace \"{namespace}\""),
    };
    let (verb, resource) = (asked.verb, asked.resource);
    let flag = if asked.key.namespace.is_empty() {
        String::new()
    } else {
        format!(" -n {}", asked.key.namespace)
    };
    asked
        .error(ErrorKind::Denied, &format!("\"{user}\" may not {verb} {resource}{place}"))
        .hint(format!("ask for the right; check with: kubectl auth can-i {verb} {resource}{flag}"))
}

fn missing(status: &Status, asked: &Asked<'_>) -> Error {
    if status.kind == "namespaces" && asked.resource != "namespaces" {
        let name = &asked.key.namespace;
        return asked
            .error(ErrorKind::Missing, &format!("there is no namespace \"{name}\""))
            .hint(format!("put it into the overlay, or: kubectl create namespace {name}"));
    }
    asked.error(ErrorKind::Missing, &without_subject(status, asked))
}

fn conflict(status: &Status, asked: &Asked<'_>) -> Error {
    let conflicts = status.conflicts();
    if conflicts.is_empty() {
        return asked
            .error(ErrorKind::Conflict, &without_subject(status, asked))
            .hint("somebody else wrote at the same time; run it again");
    }
    owned(&conflicts, asked)
}

/// The error about fields that somebody else owns.
pub(super) fn owned(conflicts: &[Conflict], asked: &Asked<'_>) -> Error {
    let lines: Vec<_> = conflicts
        .iter()
        .map(|Conflict { field, manager, detail }| {
            let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
            format!("{field} is owned by \"{manager}\"{detail}")
        })
        .collect();
    asked
        .error(ErrorKind::Conflict, &lines.join("\n  "))
        .hint("leave the field out of the overlay, or take it over with --force-conflicts")
}

/// How the server says that a field cannot be changed.
const IMMUTABLE: &[&str] = &[
    "field is immutable",
    "updates to statefulset spec for fields other than",
    "may not change once set",
];

fn invalid(status: &Status, asked: &Asked<'_>) -> Error {
    // The message repeats the causes, with the whole value of the field; the causes are enough.
    let mut lines: Vec<_> = status.causes.iter().map(|cause| reason(cause, asked)).collect();
    lines.dedup();
    let is_immutable = |text: &str| IMMUTABLE.iter().any(|said| text.contains(said));
    let message =
        if lines.is_empty() { without_subject(status, asked) } else { lines.join("\n  ") };
    let error = asked.error(ErrorKind::Invalid, &message);
    if !is_immutable(&status.message) {
        return error;
    }
    let Key { kind, name, namespace, group: _ } = asked.key;
    let flag = if namespace.is_empty() { String::new() } else { format!(" -n {namespace}") };
    error.hint(format!(
        "it cannot be changed in place: give it another name, or delete it first: \
         kubectl delete {}{flag} {name}",
        kind.to_lowercase()
    ))
}

/// A cause without the value of the field, which may be long, or secret.
fn reason(cause: &super::request::Cause, asked: &Asked<'_>) -> String {
    let message = match cause.message.strip_prefix("Invalid value: ") {
        Some(rest) if asked.key.kind == "Secret" || rest.len() > 120 => {
            rest.rsplit_once(": ").map_or("invalid value", |(_, reason)| reason)
        }
        _ => &cause.message,
    };
    format!("{}: {message}", cause.field)
}

/// How the server, with code 500, says that the object does not fit its schema.
const UNTYPED: &str = "failed to create typed patch object";

/// `failed to create typed patch object (/u; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema`
fn untyped(status: &Status, asked: &Asked<'_>) -> Error {
    let message = status.message.split_once("): ").map_or(status.message.as_str(), |(_, m)| m);
    let message = message.strip_prefix("errors:").unwrap_or(message);
    let lines: Vec<_> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    asked.error(ErrorKind::Invalid, &lines.join("\n  "))
}

/// The first path that the server complains about; empty where it complains about none.
fn blamed(status: &Status) -> String {
    if let Some(cause) = status.causes.first() {
        return cause.field.clone();
    }
    let Some((_, rest)) = status.message.split_once(UNTYPED).and_then(|(_, r)| r.split_once("): "))
    else {
        return String::new();
    };
    let rest = rest.trim_start_matches("errors:").trim_start();
    rest.lines()
        .next()
        .and_then(|line| line.split_once(": "))
        .map_or("", |(path, _)| path)
        .to_owned()
}

/// The message without its beginning, `deployments.apps "web" is `, where the object is named anyway.
fn without_subject(status: &Status, asked: &Asked<'_>) -> String {
    let subject = format!("\"{}\" ", asked.key.name);
    let message = match status.message.split_once(&subject) {
        Some((before, rest)) if !before.trim_end().contains(' ') && !before.is_empty() => rest,
        _ => &status.message,
    };
    message.to_owned()
}

/// One step of a path as the server prints it.
enum Part {
    Key(String),
    Index(usize),
}

impl Part {
    fn step(&self) -> Step<'_> {
        match self {
            Self::Key(key) => Step::Key(key),
            Self::Index(index) => Step::Index(*index),
        }
    }
}

/// Splits `.spec.template.spec.containers[0].image` and `spec.containers[name="web"]`.
///
/// What is selected by its value ends the path: where it stands in the list is not known here.
fn split(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    for piece in path.split('.').filter(|piece| !piece.is_empty()) {
        let (key, rest) =
            piece.split_once('[').map_or((piece, None), |(key, rest)| (key, Some(rest)));
        if !key.is_empty() {
            parts.push(Part::Key(key.to_owned()));
        }
        let Some(rest) = rest else { continue };
        match rest.trim_end_matches(']').parse() {
            Ok(index) => parts.push(Part::Index(index)),
            Err(_) => break,
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::request::Cause;
    use super::*;

    fn key() -> Key {
        Key {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    fn explained(status: Status) -> String {
        let key = key();
        let place = Place::new("web.yaml", 3, 1);
        let asked =
            Asked { verb: "patch", resource: "deployments.apps", key: &key, place: Some(&place) };
        let error = match status.code {
            403 => forbidden(&status, &asked),
            404 => missing(&status, &asked),
            409 => conflict(&status, &asked),
            422 => invalid(&status, &asked),
            _ => untyped(&status, &asked),
        };
        error.to_string()
    }

    fn status(code: u16, message: &str) -> Status {
        Status { code, message: message.into(), ..Status::default() }
    }

    #[test]
    fn a_missing_right_names_verb_and_resource() {
        let message = "deployments.apps \"web\" is forbidden: User \"jane\" cannot patch resource \
                       \"deployments\" in API group \"apps\" in the namespace \"shop\"";
        assert_eq!(
            explained(status(403, message)),
            "web.yaml:3:1: Deployment shop/web: \"jane\" may not patch deployments.apps in the \
             namespace \"shop\"\nhint: ask for the right; check with: \
             kubectl auth can-i patch deployments.apps -n shop"
        );
    }

    #[test]
    fn an_admission_step_that_says_no_is_quoted() {
        let message = "deployments.apps \"web\" is forbidden: exceeded quota: small";
        assert_eq!(
            explained(status(403, message)),
            "web.yaml:3:1: Deployment shop/web: is forbidden: exceeded quota: small"
        );
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let status =
            Status { kind: "namespaces".into(), ..status(404, "namespaces \"shop\" not found") };
        assert_eq!(
            explained(status),
            "web.yaml:3:1: Deployment shop/web: there is no namespace \"shop\"\n\
             hint: put it into the overlay, or: kubectl create namespace shop"
        );
    }

    #[test]
    fn an_immutable_field_says_what_to_do() {
        let cause = Cause {
            reason: "FieldValueInvalid".into(),
            message: format!("Invalid value: {}: field is immutable", "x".repeat(200)),
            field: "spec.selector".into(),
        };
        let message = "Deployment.apps \"web\" is invalid: spec.selector: … field is immutable";
        let status = Status { causes: vec![cause], ..status(422, message) };
        assert_eq!(
            explained(status),
            "web.yaml:3:1: Deployment shop/web: spec.selector: field is immutable\nhint: it cannot \
             be changed in place: give it another name, or delete it first: \
             kubectl delete deployment -n shop web"
        );
    }

    #[test]
    fn a_field_that_is_unknown_is_the_users_error() {
        let message = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): \
                       .spec.foo: field not declared in schema";
        assert_eq!(
            explained(status(500, message)),
            "web.yaml:3:1: Deployment shop/web: .spec.foo: field not declared in schema"
        );
        assert_eq!(blamed(&status(500, message)), ".spec.foo");
    }

    #[test]
    fn paths_are_split_as_far_as_they_are_known() {
        let shown = |path: &str| -> Vec<String> {
            let part = |part: &Part| match part {
                Part::Key(key) => key.clone(),
                Part::Index(index) => index.to_string(),
            };
            split(path).iter().map(part).collect()
        };
        assert_eq!(shown(".spec.list[2].image"), ["spec", "list", "2", "image"]);
        assert_eq!(shown("spec.containers[name=\"a.b\"].image"), ["spec", "containers"]);
        assert!(shown("").is_empty());
    }
}
