//! Reading: one object, a list, a page of a list, a list as it was.
//!
//! Source: apiserver `pkg/endpoints/handlers/get.go`, `pkg/storage/etcd3/store.go`,
//! apimachinery `pkg/apis/meta/internalversion/validation`; refusals are measured.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::rehearsal::answer::{Answer, Body, Content};
use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::fields::raw::Raw;
use crate::rehearsal::media::Form;
use crate::rehearsal::refusals::{
    bad_options, bad_request, continue_expired, internal, not_acceptable_form, too_large,
};
use crate::rehearsal::selectors::{Fields, Labels};
use crate::rehearsal::server::{Call, State, shown};
use crate::rehearsal::store::{Key, Stored};
use crate::rehearsal::{Cause, Failure, convert, kinds, table};
use crate::schema::go::int64;

/// Which objects of a collection are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) fields: Fields,
}

impl Filter {
    pub(super) fn read(call: &Call) -> Result<Self, Failure> {
        let labels = Labels::read(call.parameters.get("labelSelector"))?;
        let fields = Fields::read(call.parameters.get("fieldSelector"))?;
        for path in fields.paths() {
            check_field(&call.resource, path)?;
        }
        // The old watch paths name one object.
        let mut fields = fields;
        if call.spot.watch && !call.spot.name.is_empty() {
            fields = Fields::read(&format!("metadata.name={}", call.spot.name))?;
        }
        Ok(Self { namespace: call.spot.namespace.clone(), labels, fields })
    }

    /// Whether an object is meant; it is read only where that is needed.
    pub(super) fn admits(&self, key: &Key, stored: &Stored) -> bool {
        if !self.namespace.is_empty() && *self.namespace != *key.namespace {
            return false;
        }
        if self.labels.is_empty() && self.fields.is_empty() {
            return true;
        }
        let object = stored.value();
        self.labels.matches(&object["metadata"]["labels"]) && self.fields.matches(&object)
    }
}

/// The fields that a field selector of a kind may name.
fn check_field(resource: &Resource, path: &str) -> Result<(), Failure> {
    let more: &[&str] = match (&*resource.kind.group, &*resource.kind.kind) {
        ("", "Pod") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "Secret") => &["type"],
        ("", "Namespace") => &["status.phase"],
        ("", "Node") => &["spec.unschedulable"],
        ("", "Service") => &["spec.clusterIP", "spec.type"],
        ("", "ReplicationController") => &["status.replicas"],
        ("batch", "Job") => &["status.successful"],
        ("certificates.k8s.io", "CertificateSigningRequest") => &["spec.signerName"],
        ("" | "events.k8s.io", "Event") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    };
    let selectable = resource
        .version()
        .is_some_and(|version| version.selectable.iter().any(|known| known == path));
    if matches!(path, "metadata.name" | "metadata.namespace") || more.contains(&path) || selectable
    {
        return Ok(());
    }
    let message = if resource.custom {
        format!("field label not supported: {path}")
    } else if resource.kind.pair() == ("batch", "Job") {
        format!("field label {path:?} not supported for Job")
    } else if more.is_empty() {
        format!(
            "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {path}")
    };
    Err(bad_request(message))
}

/// One object.
pub(super) fn get(state: &State, call: &Call) -> Result<Answer, Failure> {
    let object = current(state, call)?;
    if call.wanted.form == Form::MetadataList {
        let what = go_type(&call.resource, &call.resource.kind.kind);
        return Err(wrong_form("PartialObjectMetadataList", &format!("not a list ({what})")));
    }
    Ok(shown(state, call, 200, object))
}

/// The object that a request names, in the version that it asks for.
pub(super) fn current(state: &State, call: &Call) -> Result<Value, Failure> {
    if let Some(revision) = revision(call).map_err(internal)?
        && revision > state.store.revision()
    {
        return Err(too_large(revision, state.store.revision(), true));
    }
    let key = Key::new(&call.spot.namespace, &call.spot.name);
    let stored = state.store.get(&call.resource.table, &key);
    stored.map(|stored| tree(&call.resource, stored)).ok_or_else(|| call.named().not_found())
}

/// The type that the server has for a kind, as Go prints it: that of its internal version.
fn go_type(resource: &Resource, kind: &str) -> String {
    let package = match resource.kind.group.split('.').next() {
        _ if resource.custom => return "*unstructured.UnstructuredList".into(),
        None | Some("") => "core",
        Some(package) => package,
    };
    format!("*{package}.{kind}")
}

/// Source: apiserver `pkg/endpoints/handlers/response.go`.
fn wrong_form(asked: &str, is: &str) -> Failure {
    not_acceptable_form(format!("you requested {asked}, but the requested object is {is}"))
}

/// A stored object as a tree in the version of a resource.
pub(super) fn tree(resource: &Resource, stored: &Stored) -> Value {
    let mut object = stored.value();
    object["kind"] = (*resource.kind.kind).into();
    object["apiVersion"] = resource.kind.api_version().into();
    match resource.version() {
        Some(version) => version.read(&mut object),
        None => convert::from_stored(resource, &mut object),
    }
    object
}

/// A stored object as an item of a list in the version of a resource.
fn item<'a>(resource: &Resource, stored: &'a Stored) -> Cow<'a, str> {
    if resource.custom || convert::is_needed(resource) {
        let mut object = tree(resource, stored);
        if !resource.custom
            && let Some(map) = object.as_object_mut()
        {
            // Items of built-in lists do not repeat what the list says.
            map.remove("kind");
            map.remove("apiVersion");
        }
        return Cow::Owned(object.to_string());
    }
    Cow::Borrowed(&stored.json)
}

/// The `resourceVersion` of a request: `None` for any, also for 0.
pub(super) fn revision(call: &Call) -> Result<Option<u64>, String> {
    match call.parameters.get("resourceVersion") {
        "" | "0" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            format!(
                "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
                 invalid syntax"
            )
        }),
    }
}

/// A list, or a page of it.
pub(super) fn list(state: &State, call: &Call) -> Result<Answer, Failure> {
    let limit = limit(call)?;
    check_options(call, false)?;
    let filter = Filter::read(call)?;
    let page = page(state, call, &filter, limit)?;
    let resource = &call.resource;
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if resource.custom && call.wanted.form == Form::Object {
        metadata["continue"] = "".into();
    }
    if let Some(next) = page.next {
        metadata["continue"] = next.into();
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let trees = || page.items.iter().map(|(_, stored)| tree(resource, stored)).collect::<Vec<_>>();
    Ok(match call.wanted.form {
        Form::Object => {
            let items: Vec<_> =
                page.items.iter().map(|(_, stored)| item(resource, stored)).collect();
            let text = format!(
                r#"{{"kind":"{}","apiVersion":"{}","metadata":{metadata},"items":[{}]}}"#,
                resource.list_kind,
                resource.kind.api_version(),
                items.join(",")
            );
            Answer { code: 200, content: Content::Json(text) }
        }
        Form::Metadata => {
            let what = go_type(resource, &resource.list_kind);
            return Err(wrong_form("PartialObjectMetadata", &format!("a list ({what})")));
        }
        Form::MetadataList => {
            let items: Vec<_> = trees().iter().map(metadata_only).collect();
            // Go writes the empty list as it began: not there.
            let items = if items.is_empty() { Value::Null } else { items.into() };
            Answer::ok(json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata, "items": items,
            }))
        }
        Form::Table => Answer::ok(table::table(state, call, trees(), Some(metadata))),
    })
}

/// Only the `metadata` of an object.
pub(super) fn metadata_only(object: &Value) -> Value {
    let mut metadata = object["metadata"].clone();
    if object["kind"] == "DaemonSet" {
        // The server takes the metadata of its own type, which has a field in the place of this.
        take_annotation(&mut metadata, kinds::TEMPLATE_GENERATION);
    }
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
    })
}

fn take_annotation(metadata: &mut Value, name: &str) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.remove(name);
    if annotations.is_empty()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.remove("annotations");
    }
}

/// A part of a list.
struct Page {
    items: Vec<(Key, Stored)>,
    /// The version that the whole list is of.
    revision: u64,
    /// Where the next page begins.
    next: Option<String>,
    remaining: Option<usize>,
}

fn page(state: &State, call: &Call, filter: &Filter, limit: usize) -> Result<Page, Failure> {
    let store = &state.store;
    let (table, namespace) = (&call.resource.table, &*filter.namespace);
    let token = match call.parameters.get("continue") {
        "" => None,
        token => Some(read_token(token).map_err(bad_request)?),
    };
    let asked =
        revision(call).map_err(|why| bad_request(format!("invalid resource version: {why}")))?;
    let exact = call.parameters.get("resourceVersionMatch") == "Exact";
    let current = store.revision();
    if let Some(asked) = asked
        && asked > current
    {
        if exact {
            return Err(too_large(asked, current, false));
        }
        if call.parameters.has("timeoutSeconds") {
            return Err(too_large(asked, current, true));
        }
        return Err(Failure {
            details: Some(json!({})),
            ..Failure::new(
                504,
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            )
        });
    }
    let at = match (&token, asked) {
        (Some(token), _) => Some(token.revision),
        (None, Some(asked)) if exact => Some(asked),
        _ => None,
    };
    let start = token.as_ref().map(|token| Key::new(&token.namespace, &token.name));
    let after_start = |key: &Key| start.as_ref().is_none_or(|start| key > start);
    let earlier;
    let all: Box<dyn Iterator<Item = (&Key, &Stored)>> = match at {
        Some(at) if at < current => {
            earlier = store.list_at(table, namespace, at).ok_or_else(continue_expired)?;
            Box::new(earlier.iter())
        }
        _ => Box::new(store.list(table, namespace)),
    };
    let mut meant =
        all.filter(|(key, _)| after_start(key)).filter(|(key, stored)| filter.admits(key, stored));
    let revision = at.unwrap_or(current);
    let mut items: Vec<(Key, Stored)> = Vec::new();
    for (key, stored) in meant.by_ref() {
        items.push((key.clone(), stored.clone()));
        if items.len() == limit {
            break;
        }
    }
    let left = meant.count();
    let (mut next, mut remaining) = (None, None);
    if left > 0
        && let Some((key, _)) = items.last()
    {
        next = Some(write_token(revision, key));
        // How many more match a selector the server does not count.
        remaining = (filter.labels.is_empty() && filter.fields.is_empty()).then_some(left);
    }
    Ok(Page { items, revision, next, remaining })
}

struct Token {
    revision: u64,
    namespace: String,
    name: String,
}

fn write_token(revision: u64, last: &Key) -> String {
    let start = format!("{}/{}\0", last.namespace, last.name);
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_token(token: &str) -> Result<Token, String> {
    let invalid = |why: String| format!("invalid continue token: continue key is not valid: {why}");
    let bytes =
        URL_SAFE_NO_PAD.decode(token).or_else(|_| URL_SAFE.decode(token)).map_err(|_| {
            // Go looks at four characters at a time.
            invalid(format!("illegal base64 data at input byte {}", token.len() / 4 * 4))
        })?;
    let value = Raw::read(&bytes).map_err(invalid)?.to_value();
    let start = value["start"].as_str().unwrap_or_default().trim_end_matches('\0');
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    let revision = value["rv"].as_u64().unwrap_or_default();
    Ok(Token { revision, namespace: namespace.into(), name: name.into() })
}

/// How many items a page has; 0 for all.
fn limit(call: &Call) -> Result<usize, Failure> {
    let text = call.parameters.get("limit");
    let limit = if text.is_empty() { 0 } else { int64(text).map_err(bad_request)? };
    // What comes from the cache, which 0 asks for, comes whole.
    let whole = call.parameters.get("resourceVersion") == "0";
    Ok(if whole { 0 } else { usize::try_from(limit).unwrap_or_default() })
}

/// Refuses combinations of parameters that mean nothing.
pub(super) fn check_options(call: &Call, watch: bool) -> Result<(), Failure> {
    let parameters = &call.parameters;
    let matching = parameters.get("resourceVersionMatch");
    let revision = parameters.get("resourceVersion");
    let initial = parameters.has("sendInitialEvents");
    let mut causes = Vec::new();
    let mut forbid = |field: &str, why: &str| causes.push(Cause::forbidden(field, why));
    if watch {
        if initial && matching != "NotOlderThan" {
            forbid(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        } else if !initial && !matching.is_empty() {
            forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
    } else {
        if initial {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if !matching.is_empty() {
            if revision.is_empty() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                );
            } else if !parameters.get("continue").is_empty() {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch is forbidden when continue is provided",
                );
            } else if !matches!(matching, "Exact" | "NotOlderThan") {
                let supported = &["Exact", "NotOlderThan", ""];
                causes.push(Cause::not_supported(
                    "resourceVersionMatch",
                    &format!("{matching:?}"),
                    supported,
                ));
            } else if matching == "Exact" && revision == "0" {
                forbid(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                );
            }
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(bad_options("ListOptions", &causes)) }
}

/// A list that was waited for in vain is answered by another part of the server, which does not say
/// that it is JSON.
pub(super) fn timed_out(call: &Call, response: &mut http::Response<Body>) {
    let list = call.spot.name.is_empty();
    let exact = call.parameters.get("resourceVersionMatch") == "Exact";
    let waited = call.parameters.has("timeoutSeconds");
    if response.status().as_u16() == 504 && list && !exact && !waited {
        if let Body::Whole(bytes) = response.body_mut()
            && let Ok(Value::Object(mut status)) = serde_json::from_slice(bytes)
        {
            status.remove("kind");
            status.remove("apiVersion");
            *bytes = Value::from(status).to_string().into();
        }
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
}
