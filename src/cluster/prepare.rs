//! Rendered resources become objects to send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::Locate;
use super::discovery::{Kind, Kinds};
use crate::error::{Error, ErrorKind, Result};
use crate::inventory::{Key, PART_OF};
use crate::nearest::nearest;
use crate::plan::Object;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::yaml::Step;
use crate::{build, json, limits::Limits};

/// What is the same for all objects of a sync.
pub(super) struct Context<'a> {
    pub(super) kinds: &'a Kinds,
    /// The namespace of objects that name none.
    pub(super) namespace: &'a str,
    /// Marks members.
    pub(super) id: &'a str,
    pub(super) locate: &'a Locate<'a>,
}

/// An object to send, and where to.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) object: Object,
    pub(super) kind: Kind,
    /// Whether the server knows its kind already.
    pub(super) is_known: bool,
}

/// The digest of a rendered overlay.
///
/// # Errors
/// Where it cannot be printed.
pub fn digest(resources: &Resources) -> Result<String> {
    Ok(sha256(build::print(resources, &Limits::PERSON)?.as_bytes()))
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// All objects, in the order in which they were rendered.
pub(super) fn prepare(resources: &Resources, context: &Context<'_>) -> Result<Vec<Prepared>> {
    let definitions = definitions(resources);
    let mut prepared: Vec<Prepared> = Vec::with_capacity(resources.len());
    let mut seen = std::collections::BTreeMap::new();
    for resource in resources {
        let one = one(resource, &definitions, context)?;
        if let Some(before) = seen.insert(one.object.key.clone(), prepared.len()) {
            let other = (context.locate)(&prepared[before].object.origin, &[]);
            let place = (context.locate)(&resource.origin, &[]);
            let message = format!("{} is there already, in {other}", one.object.key);
            return Err(Error::new(ErrorKind::Invalid, place, message));
        }
        prepared.push(one);
    }
    Ok(prepared)
}

fn one(resource: &Resource, definitions: &[Json], context: &Context<'_>) -> Result<Prepared> {
    let wrong = |path: &[Step<'_>], message: String| {
        Error::new(ErrorKind::Invalid, (context.locate)(&resource.origin, path), message)
    };
    let (gvk, name) = (resource.gvk(), resource.name());
    let step = [Step::Key("metadata"), Step::Key("name")];
    if name.is_empty() {
        return Err(wrong(&step[..1], format!("{} has no name", gvk.kind))
            .hint("objects that are applied need metadata.name; generateName does not do"));
    }
    if matches!(name, "." | "..") || name.contains(['/', '%']) {
        return Err(wrong(&step, format!("\"{name}\" cannot be a name")));
    }
    let known = context.kinds.find(&gvk.group, &gvk.version, &gvk.kind);
    let kind = known.cloned().or_else(|| defined(&gvk, definitions));
    let kind = kind.ok_or_else(|| unknown(resource, context))?;
    let namespace = match (kind.is_namespaced, resource.namespace()) {
        (false, _) => "",
        (true, "") => context.namespace,
        (true, namespace) => namespace,
    };
    let body = json::to_json(&resource.value)?;
    let body = dress(body, namespace, context.id)
        .map_err(|message| wrong(&[Step::Key("metadata")], format!("{} {message}", gvk.kind)))?;
    let key = Key {
        group: gvk.group.to_string(),
        kind: gvk.kind.to_string(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let fields = sha256(body.to_string().as_bytes());
    let (version, origin) = (gvk.version.to_string(), resource.origin.clone());
    let object = Object { key, version, body, origin, fields };
    Ok(Prepared { object, kind, is_known: known.is_some() })
}

/// The custom resource definitions among the resources.
fn definitions(resources: &Resources) -> Vec<Json> {
    let definitions = resources.iter().filter(|one| {
        one.kind() == "CustomResourceDefinition" && one.gvk().group == "apiextensions.k8s.io"
    });
    definitions.filter_map(|one| json::to_json(&one.value).ok()).collect()
}

fn defined(gvk: &crate::resource::Gvk, definitions: &[Json]) -> Option<Kind> {
    let of = |one: &&Json| {
        one["spec"]["group"] == *gvk.group && one["spec"]["names"]["kind"] == *gvk.kind
    };
    definitions.iter().find(of).and_then(|one| Kind::of_definition(one, &gvk.version))
}

fn unknown(resource: &Resource, context: &Context<'_>) -> Error {
    let gvk = resource.gvk();
    let field = if gvk.group.is_empty() { "kind" } else { "apiVersion" };
    let place = (context.locate)(&resource.origin, &[Step::Key(field)]);
    let (api_version, kind) = (gvk.api_version(), &gvk.kind);
    let message = format!("the server knows no {kind} of {api_version}");
    let error = Error::new(ErrorKind::Missing, place, message);
    let versions = context.kinds.versions(&gvk.group, kind);
    if let Some(other) = versions.first() {
        return error.hint(format!("it knows {kind} of {}/{}", other.group, other.version));
    }
    if let Some(near) = nearest(kind, context.kinds.names(&gvk.group)) {
        return error.hint(format!("did you mean {near}?"));
    }
    if let Some(group) = context.kinds.groups(kind).next() {
        return error.hint(format!("there is one of the group \"{group}\""));
    }
    error.hint("install its CustomResourceDefinition first, or put it into the overlay")
}

/// Makes of a rendered object what is sent: with its namespace and our mark, and without what only
/// the server writes.
fn dress(mut body: Json, namespace: &str, id: &str) -> std::result::Result<Json, &'static str> {
    let Some(metadata) = body.get_mut("metadata").and_then(Json::as_object_mut) else {
        return Err("has no metadata");
    };
    for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
        metadata.remove(field);
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".into(), namespace.into());
    }
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    let labels = labels.as_object_mut().ok_or("has labels that are no mapping")?;
    match labels.insert(PART_OF.into(), id.into()) {
        Some(other) if other != id => return Err("carries the mark of another set of objects"),
        _ => {}
    }
    encode_strings(&mut body);
    Ok(body)
}

/// Moves a Secret's `stringData` into `data`.
///
/// The server does so too, but then the sender owns fields of `stringData`, and a key that is dropped
/// later stays in `data` for ever. Source: kubernetes/kubernetes#108008, seen on 1.36.
fn encode_strings(body: &mut Json) {
    if body["kind"] != "Secret" || body["apiVersion"] != "v1" {
        return;
    }
    let Some(Json::Object(strings)) = body.as_object_mut().and_then(|b| b.remove("stringData"))
    else {
        return;
    };
    if !body["data"].is_object() {
        body["data"] = json!({});
    }
    for (key, value) in strings {
        if let Some(text) = value.as_str() {
            body["data"][key] = STANDARD.encode(text).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_server_writes_is_not_sent() {
        let body = json!({ "kind": "ConfigMap", "metadata": {
            "name": "a", "uid": "1", "resourceVersion": "2", "managedFields": [{}] } });
        let sent = dress(body, "shop", "id").expect("has metadata");
        assert_eq!(
            sent,
            json!({ "kind": "ConfigMap", "metadata": {
                "name": "a", "namespace": "shop", "labels": { PART_OF: "id" } } })
        );
    }

    #[test]
    fn the_mark_of_another_set_is_refused() {
        let body = json!({ "metadata": { "labels": { PART_OF: "other" } } });
        assert!(dress(body.clone(), "", "id").is_err());
        assert!(dress(body, "", "other").is_ok());
    }

    #[test]
    fn strings_of_secrets_are_sent_as_data() {
        let body = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": {},
            "data": { "a": "eA==" }, "stringData": { "a": "y", "b": "z" } });
        let sent = dress(body, "", "id").expect("has metadata");
        assert_eq!(sent["data"], json!({ "a": "eQ==", "b": "eg==" }));
        assert!(sent.get("stringData").is_none());
    }
}
