//! Which kinds the server knows, and where they are served.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;

use super::request::{Call, Failure, Server};
use crate::inventory::Key;

/// Everything in two requests.
/// Source: KEP-3352, aggregated discovery; the older version of it for servers before 1.30.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,\
                          application/json";

/// A kind and where it is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    /// The resource's name in paths.
    pub(super) plural: String,
    pub(super) is_namespaced: bool,
}

/// The kinds that a server knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds {
    /// By group and kind, the version that the server prefers first.
    known: BTreeMap<(String, String), Vec<Kind>>,
}

impl Kinds {
    /// Asks the server.
    pub(super) async fn discover(server: &Server) -> Result<Self, Failure> {
        let call = |path: &str| Call { accept: AGGREGATED, ..Call::get(path) };
        let (old, new) = (call("/api"), call("/apis"));
        let (core, groups) = futures::try_join!(server.call(&old), server.call(&new))?;
        let mut kinds = Self::default();
        for list in [&core, &groups] {
            if list["kind"] != "APIGroupDiscoveryList" {
                return Err(Failure::Garbled(
                    "it has no aggregated discovery, as Kubernetes has since 1.27".into(),
                ));
            }
            list["items"].as_array().into_iter().flatten().for_each(|group| kinds.add_group(group));
        }
        Ok(kinds)
    }

    fn add_group(&mut self, group: &Json) {
        let name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            for resource in version["resources"].as_array().into_iter().flatten() {
                self.add_resource(name, version["version"].as_str().unwrap_or_default(), resource);
            }
        }
    }

    fn add_resource(&mut self, group: &str, version: &str, resource: &Json) {
        let answers = &resource["responseKind"];
        let (Some(kind), Some(plural)) = (answers["kind"].as_str(), resource["resource"].as_str())
        else {
            return;
        };
        let is_namespaced = resource["scope"] == "Namespaced";
        self.add(
            kind,
            Kind {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: plural.to_owned(),
                is_namespaced,
            },
        );
    }

    fn add(&mut self, name: &str, kind: Kind) {
        let versions = self.known.entry((kind.group.clone(), name.to_owned())).or_default();
        // Some resources answer with a kind that has a resource of its own (an eviction, a scale);
        // its own comes first.
        if versions.iter().all(|one| one.version != kind.version) {
            versions.push(kind);
        }
    }

    /// Every kind by its name, in the version that the server prefers.
    pub(super) fn preferred(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.known.iter().filter_map(|((_, name), versions)| Some((&**name, versions.first()?)))
    }

    /// The kind in exactly this version.
    pub(super) fn find(&self, group: &str, version: &str, kind: &str) -> Option<&Kind> {
        self.versions(group, kind).iter().find(|one| one.version == version)
    }

    /// The kind in this version, or in the one that the server prefers.
    pub(super) fn near(&self, group: &str, version: &str, kind: &str) -> Option<&Kind> {
        self.find(group, version, kind).or_else(|| self.versions(group, kind).first())
    }

    /// The versions in which the kind is served.
    pub(super) fn versions(&self, group: &str, kind: &str) -> &[Kind] {
        self.known.get(&(group.to_owned(), kind.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The groups that have a kind of this name.
    pub(super) fn groups(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.known.keys().filter(move |(_, name)| name == kind).map(|(group, _)| group.as_str())
    }

    /// The names of all kinds of a group.
    pub(super) fn names(&self, group: &str) -> impl Iterator<Item = &str> {
        self.known.keys().filter(move |(name, _)| name == group).map(|(_, kind)| kind.as_str())
    }
}

impl Kind {
    /// The kind that a definition brings, in `version`; `None` where it does not serve that version.
    pub(super) fn of_definition(definition: &Json, version: &str) -> Option<Self> {
        let spec = &definition["spec"];
        let mut versions = spec["versions"].as_array()?.iter();
        versions.find(|one| one["name"] == version && one["served"] != false)?;
        Some(Self {
            group: spec["group"].as_str()?.to_owned(),
            version: version.to_owned(),
            plural: spec["names"]["plural"].as_str()?.to_owned(),
            is_namespaced: spec["scope"] == "Namespaced",
        })
    }

    /// `apps/v1`, or `v1`.
    pub(super) fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `deployments.apps`, or `configmaps`.
    pub(super) fn resource(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// The path of all objects of this kind in `namespace`, or of all where it is empty.
    pub(super) fn list_path(&self, namespace: &str) -> String {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if self.is_namespaced && !namespace.is_empty() {
            let _ = write!(path, "/namespaces/{}", escape(namespace));
        }
        let _ = write!(path, "/{}", self.plural);
        path
    }

    /// The path of one object.
    pub(super) fn path(&self, key: &Key) -> String {
        format!("{}/{}", self.list_path(&key.namespace), escape(&key.name))
    }
}

/// A segment of a path, or a value of a query.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds() -> Kinds {
        let resource = |plural: &str, kind: &str, scope: &str| json!({ "resource": plural, "scope": scope, "responseKind": { "kind": kind } });
        let mut kinds = Kinds::default();
        kinds.add_group(&json!({ "metadata": {}, "versions": [
            { "version": "v1", "resources": [resource("namespaces", "Namespace", "Cluster")] },
        ] }));
        kinds.add_group(&json!({ "metadata": { "name": "apps" }, "versions": [
            { "version": "v1", "resources": [resource("deployments", "Deployment", "Namespaced")] },
            { "version": "v1beta1", "resources": [resource("deployments", "Deployment", "Namespaced")] },
        ] }));
        kinds
    }

    #[test]
    fn a_version_that_is_gone_is_replaced_by_the_preferred_one() {
        let kinds = kinds();
        let version = |wanted: &str| {
            kinds.near("apps", wanted, "Deployment").map(|kind| kind.version.clone())
        };
        assert_eq!(version("v1beta1").as_deref(), Some("v1beta1"));
        assert_eq!(version("v1alpha1").as_deref(), Some("v1"));
        assert!(kinds.near("", "v1", "Deployment").is_none());
    }

    #[test]
    fn paths_are_those_of_the_server() {
        let kinds = kinds();
        let key = |namespace: &str, name: &str| Key {
            namespace: namespace.into(),
            name: name.into(),
            ..Key::default()
        };
        let deployment = kinds.near("apps", "v1", "Deployment").expect("known");
        assert_eq!(
            deployment.path(&key("shop", "we/b?")),
            "/apis/apps/v1/namespaces/shop/deployments/we%2Fb%3F"
        );
        let namespace = kinds.near("", "v1", "Namespace").expect("known");
        assert_eq!(namespace.path(&key("", "shop")), "/api/v1/namespaces/shop");
    }
}
