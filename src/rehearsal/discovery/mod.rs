//! What a server tells of itself: its version, its health, its groups and resources in all forms
//! that clients ask for, and the OpenAPI of each group.
//!
//! [`Site::page`] answers a path with bytes; everything is a function of the minor and the custom
//! resources, nothing is kept.
//!
//! | path | form |
//! |---|---|
//! | `/version`, `/healthz`, `/livez`, `/readyz`, `/` | as measured of 1.36 |
//! | `/api`, `/apis` | aggregated where `Accept` asks for it, in `v2`, up to 1.32 in `v2beta1` too |
//! | `/api`, `/api/v1`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION` | one document each |
//! | `/openapi/v3`, `/openapi/v3/apis/GROUP/VERSION` | an index, and one document for each version |
//!
//! `/openapi/v2` is not there: kubectl asks for it before 1.29 only.

mod health;
mod openapi;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::rehearsal::Failure;
use crate::schema::kubernetes::{Minor, Resource, Type};

/// Last minor that answers aggregated discovery in `v2beta1`. Source: the feature gate
/// `AggregatedDiscoveryRemoveBetaType`.
const LAST_BETA: u32 = 32;

/// First minor that answers it in `v2`. Source: Kubernetes 1.30 change log.
const FIRST_AGGREGATED: u32 = 30;

/// What a server knows of itself.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The minor that it is.
    pub minor: &'static Minor,
    /// The versions of custom resources that it serves.
    pub custom: &'a [CustomResource],
    /// Host and port, e.g. `127.0.0.1:6443`.
    pub address: &'a str,
}

/// One served version of a custom resource, in the words of its CustomResourceDefinition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomResource {
    /// `spec.group`
    pub group: String,
    /// The version.
    pub version: String,
    /// The version in which objects are stored.
    pub stored_version: String,
    /// `spec.names.plural`
    pub plural: String,
    /// `spec.names.singular`
    pub singular: String,
    /// `spec.names.kind`
    pub kind: String,
    /// `spec.names.listKind`
    pub list_kind: String,
    /// `spec.names.shortNames`
    pub short_names: Vec<String>,
    /// `spec.names.categories`
    pub categories: Vec<String>,
    /// Whether `spec.scope` is `Namespaced`.
    pub namespaced: bool,
    /// Whether it has a status subresource.
    pub status: bool,
    /// Whether it has a scale subresource.
    pub scale: bool,
    /// `spec.versions[].schema.openAPIV3Schema`, if there is one.
    pub schema: Option<Value>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The HTTP status code.
    pub code: u16,
    /// The type of the body; empty for none.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A resource of either origin, as discovery shows it.
struct Entry<'a> {
    name: &'a str,
    singular: &'a str,
    kind: &'a str,
    /// Group and version of the kind where they are not those of the resource.
    elsewhere: Option<(&'a str, &'a str)>,
    namespaced: bool,
    verbs: Vec<&'a str>,
    short_names: Vec<&'a str>,
    categories: Vec<&'a str>,
    storage_hash: String,
    /// Name, kind and verbs of each.
    parts: Vec<Self>,
}

/// One group with its served versions, the preferred one first.
struct Group<'a> {
    name: &'a str,
    versions: Vec<Version<'a>>,
}

struct Version<'a> {
    name: &'a str,
    entries: Vec<Entry<'a>>,
}

/// Which form of discovery is wanted.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Plain,
    V2,
    V2Beta1,
}

impl Page {
    fn json(value: &Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { code: 200, content_type: JSON, body }
    }

    fn text(code: u16, text: impl Into<String>) -> Self {
        Self { code, content_type: TEXT, body: text.into().into_bytes() }
    }

    fn refused(failure: &Failure) -> Self {
        Self { code: failure.code, ..Self::json(&failure.to_value()) }
    }

    fn not_found() -> Self {
        Self::text(404, "404 page not found\n")
    }
}

impl<'a> Site<'a> {
    /// The answer to a GET; `path` with its query, `accept` as the header has it or empty. `None`
    /// where this is no path of discovery, but one of a resource or of nothing.
    pub fn page(&self, path: &str, accept: &str) -> Option<Page> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let trimmed = path.trim_matches('/');
        let parts: Vec<&str> = trimmed.split('/').collect();
        match *parts {
            [""] => Some(Page::json(&self.root())),
            ["version"] => Some(Page::json(&self.version())),
            ["healthz" | "livez" | "readyz", ref rest @ ..] => {
                Some(health::page(parts[0], &rest.join("/"), query))
            }
            ["openapi", "v3"] => {
                let body = openapi::index(self).to_string().into_bytes();
                // As a server has it, though it is JSON.
                Some(Page { code: 200, content_type: TEXT, body })
            }
            ["openapi", "v3", ref rest @ ..] => {
                Some(match openapi::document(self, &rest.join("/")) {
                    Some(document) => Page::json(&document),
                    None => Page { code: 404, content_type: "", body: Vec::new() },
                })
            }
            ["openapi", ..] => Some(Page::not_found()),
            ["api"] => Some(self.choose(accept, true)),
            ["apis"] => Some(self.choose(accept, false)),
            ["api", version] => Some(self.resources("", version)),
            ["apis", group] => Some(self.group(group)),
            ["apis", group, version] => Some(self.resources(group, version)),
            _ => None,
        }
    }

    fn version(&self) -> Value {
        let minor = self.minor.number;
        let mut version = json!({
            "major": "1",
            "minor": minor.to_string(),
            "gitVersion": format!("v1.{minor}.0"),
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "",
        });
        // Source: Kubernetes 1.34 change log, KEP-4330.
        if minor >= 34 {
            version["emulationMajor"] = "1".into();
            version["emulationMinor"] = minor.to_string().into();
            version["minCompatibilityMajor"] = "1".into();
            version["minCompatibilityMinor"] = (minor - 1).to_string().into();
        }
        version
    }

    /// Every path that the server answers.
    fn root(&self) -> Value {
        let mut paths: Vec<String> =
            ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
                .map(String::from)
                .into();
        for group in self.groups().iter().filter(|group| !group.name.is_empty()) {
            paths.push(format!("/apis/{}", group.name));
            let path = |version: &Version<'_>| format!("/apis/{}/{}", group.name, version.name);
            paths.extend(group.versions.iter().map(path));
        }
        paths.extend(health::paths());
        let others = [
            "/flagz",
            "/metrics",
            "/metrics/slis",
            "/openapi/v2",
            "/openapi/v3",
            "/openapi/v3/",
            "/openid/v1/jwks",
            "/statusz",
            "/version",
        ];
        paths.extend(others.map(String::from));
        paths.sort();
        json!({ "paths": paths })
    }

    /// `/api` or `/apis`, aggregated or not.
    fn choose(&self, accept: &str, core: bool) -> Page {
        match self.wanted(accept) {
            Some(Wanted::Plain) if core => Page::json(&json!({
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": self.address},
                ],
            })),
            Some(Wanted::Plain) => {
                let groups = self.groups();
                let others = groups.iter().filter(|group| !group.name.is_empty());
                let list: Vec<_> = others.map(Group::to_value).collect();
                Page::json(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": list}))
            }
            Some(form) => self.aggregated(core, form),
            None => {
                let message = "only the following media types are accepted: application/json, \
                               application/yaml, application/vnd.kubernetes.protobuf";
                Page::refused(&Failure::new(406, "NotAcceptable", message))
            }
        }
    }

    /// The first form in an `Accept` header that this minor has; `None` where it has none of them.
    fn wanted(&self, accept: &str) -> Option<Wanted> {
        if accept.trim().is_empty() {
            return Some(Wanted::Plain);
        }
        accept.split(',').find_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(media, "application/json" | "application/*" | "*/*") {
                return None;
            }
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let get = |name| parameters.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
            match (get("g"), get("v"), get("as")) {
                (None, None, None) => Some(Wanted::Plain),
                (Some("apidiscovery.k8s.io"), Some("v2"), Some("APIGroupDiscoveryList"))
                    if self.minor.number >= FIRST_AGGREGATED =>
                {
                    Some(Wanted::V2)
                }
                (Some("apidiscovery.k8s.io"), Some("v2beta1"), Some("APIGroupDiscoveryList"))
                    if self.minor.number <= LAST_BETA =>
                {
                    Some(Wanted::V2Beta1)
                }
                _ => None,
            }
        })
    }

    fn aggregated(&self, core: bool, form: Wanted) -> Page {
        let (version, content_type) = match form {
            Wanted::V2Beta1 => (
                "apidiscovery.k8s.io/v2beta1",
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            ),
            _ => (
                "apidiscovery.k8s.io/v2",
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            ),
        };
        let groups = self.groups();
        let wanted = groups.iter().filter(|group| group.name.is_empty() == core);
        let items: Vec<_> = wanted.map(Group::to_aggregated).collect();
        let list = json!({
            "kind": "APIGroupDiscoveryList", "apiVersion": version, "metadata": {}, "items": items,
        });
        Page { content_type, ..Page::json(&list) }
    }

    fn group(&self, name: &str) -> Page {
        match self.groups().iter().find(|group| group.name == name && !name.is_empty()) {
            Some(group) => {
                let mut value = group.to_value();
                value["kind"] = "APIGroup".into();
                value["apiVersion"] = "v1".into();
                Page::json(&value)
            }
            None => Page::not_found(),
        }
    }

    /// The resources of one version.
    fn resources(&self, group: &str, version: &str) -> Page {
        let groups = self.groups();
        let Some(found) = groups.iter().find(|known| known.name == group) else {
            return Page::not_found();
        };
        let Some(found) = found.versions.iter().find(|known| known.name == version) else {
            let failure = Failure {
                details: Some(json!({})),
                ..Failure::new(404, "NotFound", "the server could not find the requested resource")
            };
            return Page::refused(&failure);
        };
        let mut list = Vec::new();
        for entry in &found.entries {
            list.push(entry.to_value(entry.name.into(), entry.namespaced));
            let part = |part: &Entry<'_>| {
                part.to_value(format!("{}/{}", entry.name, part.name), entry.namespaced)
            };
            list.extend(entry.parts.iter().map(part));
        }
        let group_version =
            if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let mut value =
            json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": list});
        if !group.is_empty() {
            value["apiVersion"] = "v1".into();
        }
        Page::json(&value)
    }

    /// All groups, the core group first, in the order of discovery: custom ones come last, by name.
    fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for resource in self.minor.served() {
            let entry = self.built_in(resource);
            add(&mut groups, resource.group, resource.version, entry);
        }
        let mut custom: Vec<Group<'a>> = Vec::new();
        for resource in self.custom {
            let at = match groups.iter().any(|group| group.name == resource.group) {
                true => &mut groups,
                false => &mut custom,
            };
            add(at, &resource.group, &resource.version, resource.entry());
        }
        custom.sort_by_key(|group| group.name);
        for group in &mut custom {
            group.versions.sort_by_key(|version| priority(version.name));
            for version in &mut group.versions {
                version.entries.sort_by_key(|entry| entry.name);
            }
        }
        groups.append(&mut custom);
        groups
    }

    fn built_in(&self, resource: &'static Resource) -> Entry<'a> {
        let parts = self.minor.subresources(resource).map(|part| Entry {
            name: part.name,
            singular: "",
            kind: part.kind.kind,
            elsewhere: elsewhere(part.kind),
            namespaced: resource.namespaced,
            verbs: part.verbs.clone(),
            short_names: Vec::new(),
            categories: Vec::new(),
            storage_hash: String::new(),
            parts: Vec::new(),
        });
        Entry {
            name: resource.name,
            singular: resource.singular,
            kind: resource.kind.kind,
            elsewhere: elsewhere(resource.kind),
            namespaced: resource.namespaced,
            verbs: resource.verbs.clone(),
            short_names: resource.short_names.clone(),
            categories: resource.categories.clone(),
            storage_hash: resource.storage_hash.into(),
            parts: parts.collect(),
        }
    }
}

fn elsewhere(kind: Type) -> Option<(&'static str, &'static str)> {
    (!kind.version.is_empty()).then_some((kind.group, kind.version))
}

fn add<'a>(groups: &mut Vec<Group<'a>>, group: &'a str, version: &'a str, entry: Entry<'a>) {
    let at = groups.iter().position(|known| known.name == group).unwrap_or_else(|| {
        groups.push(Group { name: group, versions: Vec::new() });
        groups.len() - 1
    });
    let versions = &mut groups[at].versions;
    let at = versions.iter().position(|known| known.name == version).unwrap_or_else(|| {
        versions.push(Version { name: version, entries: Vec::new() });
        versions.len() - 1
    });
    versions[at].entries.push(entry);
}

/// Stable versions before betas before alphas, the newest first; other names come last, in order.
///
/// Source: apimachinery `pkg/version/helpers.go`, `CompareKubeAwareVersionStrings`.
fn priority(version: &str) -> (u8, i64, i64, &str) {
    let parsed = || -> Option<(u8, i64, i64)> {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major: i64 = rest[..end].parse().ok()?;
        let (rank, minor) = match &rest[end..] {
            "" => (0, 0),
            word => match (word.strip_prefix("beta"), word.strip_prefix("alpha")) {
                (Some(minor), _) => (1, minor.parse().ok()?),
                (_, Some(minor)) => (2, minor.parse().ok()?),
                _ => return None,
            },
        };
        Some((rank, -major, -minor))
    };
    match parsed() {
        Some((rank, major, minor)) => (rank, major, minor, ""),
        None => (3, 0, 0, version),
    }
}

impl CustomResource {
    fn entry(&self) -> Entry<'_> {
        const VERBS: [&str; 8] =
            ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
        const PART: [&str; 3] = ["get", "patch", "update"];
        let part = |name, kind, elsewhere| Entry {
            name,
            singular: "",
            kind,
            elsewhere,
            namespaced: self.namespaced,
            verbs: PART.into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            storage_hash: String::new(),
            parts: Vec::new(),
        };
        let status = self.status.then(|| part("status", self.kind.as_str(), None));
        let scale = self.scale.then(|| part("scale", "Scale", Some(("autoscaling", "v1"))));
        Entry {
            name: &self.plural,
            singular: &self.singular,
            kind: &self.kind,
            elsewhere: None,
            namespaced: self.namespaced,
            verbs: VERBS.into(),
            short_names: self.short_names.iter().map(String::as_str).collect(),
            categories: self.categories.iter().map(String::as_str).collect(),
            storage_hash: storage_hash(&self.group, &self.stored_version, &self.kind),
            parts: status.into_iter().chain(scale).collect(),
        }
    }
}

/// What discovery says of the version that objects are stored in.
///
/// Source: apiserver `pkg/endpoints/discovery/storageversionhash.go`.
fn storage_hash(group: &str, version: &str, kind: &str) -> String {
    let hash = Sha256::digest(format!("{group}/{version}/{kind}"));
    STANDARD.encode(&hash[..8])
}

impl Group<'_> {
    fn to_value(&self) -> Value {
        let version = |version: &Version<'_>| {
            json!({
                "groupVersion": format!("{}/{}", self.name, version.name),
                "version": version.name,
            })
        };
        let versions: Vec<_> = self.versions.iter().map(version).collect();
        json!({"name": self.name, "versions": versions, "preferredVersion": versions.first()})
    }

    fn to_aggregated(&self) -> Value {
        let versions: Vec<_> = self
            .versions
            .iter()
            .map(|version| {
                let resources: Vec<_> = version
                    .entries
                    .iter()
                    .map(|entry| entry.to_aggregated(self.name, version.name))
                    .collect();
                json!({"version": version.name, "resources": resources, "freshness": "Current"})
            })
            .collect();
        let metadata = match self.name {
            "" => json!({}),
            name => json!({ "name": name }),
        };
        json!({"metadata": metadata, "versions": versions})
    }
}

impl Entry<'_> {
    /// One entry of an `APIResourceList`.
    fn to_value(&self, name: String, namespaced: bool) -> Value {
        let mut value = json!({
            "name": name,
            "singularName": self.singular,
            "namespaced": namespaced,
            "kind": self.kind,
            "verbs": self.verbs,
        });
        if let Some((group, version)) = self.elsewhere {
            value["group"] = group.into();
            value["version"] = version.into();
        }
        self.add_names(&mut value);
        if !self.storage_hash.is_empty() {
            value["storageVersionHash"] = self.storage_hash.as_str().into();
        }
        value
    }

    fn to_aggregated(&self, group: &str, version: &str) -> Value {
        let mut value = json!({
            "resource": self.name,
            "responseKind": self.response_kind(),
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": self.singular,
            "verbs": self.verbs,
        });
        self.add_names(&mut value);
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| {
                json!({
                    "subresource": part.name,
                    "responseKind": part.response_kind(),
                    "verbs": part.verbs,
                })
            })
            .collect();
        if !parts.is_empty() {
            value["subresources"] = parts.into();
        }
        let _ = (group, version);
        value
    }

    fn response_kind(&self) -> Value {
        let (group, version) = self.elsewhere.unwrap_or_default();
        json!({"group": group, "version": version, "kind": self.kind})
    }

    fn add_names(&self, value: &mut Value) {
        if !self.short_names.is_empty() {
            value["shortNames"] = json!(self.short_names);
        }
        if !self.categories.is_empty() {
            value["categories"] = json!(self.categories);
        }
    }
}

/// An object with one entry.
fn single(key: &str, value: Value) -> Value {
    Map::from_iter([(key.to_owned(), value)]).into()
}

#[cfg(test)]
mod tests;
