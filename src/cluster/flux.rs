//! What a render by Flux's rules may need of a cluster: Kustomizations, and what their variables stand for.

use std::sync::Arc;

use serde_json::Value as Json;

use super::explain::{self, Asked};
use super::request::Server;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::flux::api::{self, Kustomization, Object, Reading};
use crate::flux::substitute::{Found, Kind, Objects};
use crate::inventory::Key;
use crate::json;
use crate::yaml::Step;

/// The Kustomization of that name; `None` where there is none.
///
/// # Errors
/// Where the server cannot be asked, or its answer cannot be read.
pub async fn kustomization(
    server: &Server,
    namespace: &str,
    name: &str,
) -> Result<Option<Kustomization>> {
    let group = api::GROUP;
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/kustomizations/{name}");
    let key = Key {
        group: group.to_owned(),
        kind: "Kustomization".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let resource = format!("kustomizations.{group}");
    let Some(answer) = get(server, &path, &resource, &key).await? else { return Ok(None) };
    let place = |_: &[Step<'_>]| Place::file(format!("Kustomization/{namespace}/{name}"));
    let read = api::read(&json::from_json(&answer), Reading::Lenient, &place);
    Ok(match read.output? {
        Some(Object::Kustomization(one)) => Some(*one),
        _ => None,
    })
}

/// The data of a ConfigMap or Secret; `None` where there is none.
///
/// # Errors
/// Where the server cannot be asked, or the user may not read it.
pub async fn variables(
    server: &Server,
    kind: Kind,
    namespace: &str,
    name: &str,
) -> Result<Option<Found>> {
    let plural = match kind {
        Kind::ConfigMap => "configmaps",
        Kind::Secret => "secrets",
    };
    let path = format!("/api/v1/namespaces/{namespace}/{plural}/{name}");
    let key = Key {
        group: String::new(),
        kind: kind.name().to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let Some(mut answer) = get(server, &path, plural, &key).await? else { return Ok(None) };
    answer["apiVersion"] = "v1".into();
    answer["kind"] = kind.name().into();
    let mut objects = Objects::default();
    let file: Arc<str> = format!("{}/{namespace}/{name}", kind.name()).into();
    objects.add(&json::from_json(&answer), &file);
    objects.find(kind, namespace, name)
}

async fn get(server: &Server, path: &str, resource: &str, key: &Key) -> Result<Option<Json>> {
    // They become parts of a path: nothing but names may.
    let is_name = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    if !is_name(&key.namespace) || !is_name(&key.name) {
        let message = format!("\"{}/{}\" is no namespace and name", key.namespace, key.name);
        return Err(Error::new(ErrorKind::Invalid, Place::file("the cluster"), message));
    }
    let answer = server.find(path).await;
    answer.map_err(|failure| {
        explain::object(&failure, server, &Asked { verb: "get", resource, key, place: None })
    })
}
