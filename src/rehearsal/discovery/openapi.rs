//! OpenAPI v3: an index, and a document for each group and version, written from the embedded
//! schemas and from those of custom resources.
//!
//! The documents are those of a server as far as clients read them: schemas with all that server-side
//! apply and `kubectl explain` look at, and the operations on objects with their parameters and
//! kinds. Descriptions, and paths that watch or connect, are left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{CustomResource, Entry, Group, Site, Version, single};
use crate::schema::kubernetes::{Definition, Minor, Node, Property, Shape, Topology};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// `/openapi/v3`
pub(super) fn index(site: &Site<'_>) -> Value {
    let mut paths: Vec<String> =
        [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"]
            .map(String::from)
            .into();
    for group in site.groups() {
        if !group.name.is_empty() {
            paths.push(format!("apis/{}", group.name));
        }
        paths.extend(group.versions.iter().map(|version| root(group.name, version.name)));
    }
    paths.sort();
    let entries: Map<_, _> = paths
        .into_iter()
        .map(|path| {
            let url = format!("/openapi/v3/{path}?hash={}", hash(site, &path));
            (path, json!({ "serverRelativeURL": url }))
        })
        .collect();
    json!({ "paths": entries })
}

/// Changes whenever the document may change.
fn hash(site: &Site<'_>, path: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{} 1.{} {path}", env!("CARGO_PKG_VERSION"), site.minor.number));
    for custom in site.custom.iter().filter(|custom| path.contains(&custom.group)) {
        digest.update(format!("{custom:?}"));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// `api/v1`, `apis/apps/v1`
fn root(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// The document of a path of the index.
pub(super) fn document(site: &Site<'_>, path: &str) -> Option<Value> {
    let groups = site.groups();
    for group in &groups {
        for version in &group.versions {
            if root(group.name, version.name) == path {
                return Some(of_version(site, group, version));
            }
        }
        if !group.name.is_empty() && format!("apis/{}", group.name) == path {
            return Some(of_question(site, path, "getAPIGroup", &format!("{META}.APIGroup")));
        }
    }
    match path {
        "api" => {
            Some(of_question(site, path, "getCoreAPIVersions", &format!("{META}.APIVersions")))
        }
        "apis" => Some(of_question(site, path, "getAPIVersions", &format!("{META}.APIGroupList"))),
        "version" => {
            let info = "io.k8s.apimachinery.pkg.version.Info";
            Some(of_question(site, path, "getCodeVersion", info))
        }
        ".well-known/openid-configuration" | "openid/v1/jwks" => {
            let paths = single(&format!("/{path}/"), json!({"get": {"responses": {"401": {}}}}));
            Some(whole(site, paths, Map::new()))
        }
        _ => None,
    }
}

fn whole(site: &Site<'_>, paths: Value, schemas: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": format!("1.{}", site.minor.number)},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"},
            },
        },
    })
}

/// A document with one path that is only read.
fn of_question(site: &Site<'_>, path: &str, id: &str, schema: &str) -> Value {
    let get = json!({"operationId": id, "responses": responses(&["200"], schema)});
    let mut schemas = Schemas::new(site.minor, "", "");
    schemas.add(schema);
    whole(site, single(&format!("/{path}/"), json!({ "get": get })), schemas.finish())
}

fn of_version(site: &Site<'_>, group: &Group<'_>, version: &Version<'_>) -> Value {
    let base = format!("/{}", root(group.name, version.name));
    let mut schemas = Schemas::new(site.minor, group.name, version.name);
    let list = format!("{META}.APIResourceList");
    schemas.add(&list);
    let mut paths = Map::new();
    let get = json!({"operationId": "getAPIResources", "responses": responses(&["200"], &list)});
    paths.insert(format!("{base}/"), json!({ "get": get }));
    for entry in &version.entries {
        let custom = site.custom.iter().find(|custom| {
            (&*custom.group, &*custom.version, &*custom.plural)
                == (group.name, version.name, entry.name)
        });
        let (schema, list) = match custom {
            Some(custom) => schemas.add_custom(custom),
            None => {
                let (of, at) = entry.elsewhere.unwrap_or((group.name, version.name));
                let name = |kind: &str| {
                    site.minor.kind(of, at, kind).map(|definition| definition.name.to_owned())
                };
                (name(entry.kind), name(&format!("{}List", entry.kind)))
            }
        };
        let Some(schema) = schema else { continue };
        let resource = Operations {
            site,
            group: group.name,
            version: version.name,
            entry,
            custom: custom.is_some(),
            schema: &schema,
            list: list.as_deref().unwrap_or(&schema),
        };
        resource.write(&base, &mut paths);
        for name in [&schema, resource.list] {
            schemas.add(name);
        }
        for part in &entry.parts {
            let (of, at) = part.elsewhere.unwrap_or((group.name, version.name));
            if let Some(definition) = site.minor.kind(of, at, part.kind) {
                schemas.add(definition.name);
            }
        }
    }
    let kept = |entry: &Entry<'_>| entry.verbs.iter().any(|verb| *verb != "create");
    if version.entries.iter().any(kept) {
        for name in ["DeleteOptions", "Status", "Patch", "WatchEvent"] {
            schemas.add(&format!("{META}.{name}"));
        }
    }
    whole(site, paths.into(), schemas.finish())
}

/// The operations on one resource.
struct Operations<'s, 'a> {
    site: &'s Site<'a>,
    group: &'s str,
    version: &'s str,
    entry: &'s Entry<'a>,
    custom: bool,
    schema: &'s str,
    list: &'s str,
}

const WRITING: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];
const DELETING: [&str; 5] = [
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
const LISTING: [&str; 11] = [
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
];

impl Operations<'_, '_> {
    fn write(&self, base: &str, paths: &mut Map<String, Value>) {
        let namespaces = if self.entry.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{base}{namespaces}/{}", self.entry.name);
        let mut outer = Map::new();
        self.add(&mut outer, "get", "list", "list");
        self.add(&mut outer, "post", "create", "post");
        self.add(&mut outer, "delete", "deletecollection", "deletecollection");
        self.insert(paths, &collection, outer, &[]);
        let mut inner = Map::new();
        self.add(&mut inner, "get", "get", "get");
        self.add(&mut inner, "put", "update", "put");
        self.add(&mut inner, "patch", "patch", "patch");
        self.add(&mut inner, "delete", "delete", "delete");
        self.insert(paths, &format!("{collection}/{{name}}"), inner, &["name"]);
        if self.entry.namespaced && self.has("list") {
            let list = self.operation("list", "list", self.schema, self.entry.kind, None);
            let path = format!("{base}/{}", self.entry.name);
            paths.insert(path, json!({"get": list, "parameters": parameters(&["pretty"])}));
        }
        for part in &self.entry.parts {
            self.part(&format!("{collection}/{{name}}/{}", part.name), part, paths);
        }
    }

    /// Whether a deletion is answered with the object, as it is for some old kinds.
    ///
    /// Source: Kubernetes `pkg/registry/*/storage`, `ReturnDeletedObject`; measured of 1.36.
    fn answers_deletion(&self) -> bool {
        let name = self.entry.name;
        match self.group {
            "" => matches!(
                name,
                "persistentvolumeclaims"
                    | "persistentvolumes"
                    | "pods"
                    | "podtemplates"
                    | "resourcequotas"
                    | "serviceaccounts"
                    | "services"
            ),
            "resource.k8s.io" => true,
            "storage.k8s.io" => name != "csistoragecapacities",
            _ => false,
        }
    }

    fn part(&self, path: &str, part: &Entry<'_>, paths: &mut Map<String, Value>) {
        let (group, version) = part.elsewhere.unwrap_or((self.group, self.version));
        let known = self.site.minor.kind(group, version, part.kind);
        let schema = match (known, self.custom) {
            (Some(definition), _) => definition.name,
            (None, true) => self.schema,
            // What is connected to: streams have no schema.
            (None, false) => return,
        };
        let mut operations = Map::new();
        for (method, verb, action) in [
            ("get", "get", "get"),
            ("put", "update", "put"),
            ("patch", "patch", "patch"),
            ("post", "create", "post"),
        ] {
            if part.verbs.contains(&verb) {
                let operation = self.operation(verb, action, schema, part.kind, part.elsewhere);
                operations.insert(method.into(), operation);
            }
        }
        self.insert(paths, path, operations, &["name"]);
    }

    fn has(&self, verb: &str) -> bool {
        self.entry.verbs.contains(&verb)
    }

    fn add(&self, to: &mut Map<String, Value>, method: &str, verb: &str, action: &str) {
        if self.has(verb) {
            let operation =
                self.operation(verb, action, self.schema, self.entry.kind, self.entry.elsewhere);
            to.insert(method.into(), operation);
        }
    }

    fn insert(
        &self,
        paths: &mut Map<String, Value>,
        path: &str,
        mut operations: Map<String, Value>,
        own: &[&str],
    ) {
        if operations.is_empty() {
            return;
        }
        let mut names: Vec<_> = own.to_vec();
        if self.entry.namespaced {
            names.push("namespace");
        }
        names.push("pretty");
        operations.insert("parameters".into(), parameters(&names));
        paths.insert(path.into(), operations.into());
    }

    fn operation(
        &self,
        verb: &str,
        action: &str,
        schema: &str,
        kind: &str,
        elsewhere: Option<(&str, &str)>,
    ) -> Value {
        let status = format!("{META}.Status");
        let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
        let body = |name: &str| json!({"content": {"*/*": {"schema": reference(name)}}});
        let (names, request, codes, answer): (Vec<&str>, _, &[&str], _) = match verb {
            "list" => (LISTING.into(), None, &["200"], self.list),
            "create" => (WRITING.into(), Some(body(schema)), &["200", "201", "202"], schema),
            "update" => (WRITING.into(), Some(body(schema)), &["200", "201"], schema),
            "patch" => {
                let names = [&WRITING[..], &["force"]].concat();
                let mut types = vec!["apply-patch+yaml", "json-patch+json", "merge-patch+json"];
                if !self.custom {
                    types.push("strategic-merge-patch+json");
                }
                let patch = reference(&format!("{META}.Patch"));
                let entry = |name| (format!("application/{name}"), json!({ "schema": patch }));
                let content: Map<_, _> = types.into_iter().map(entry).collect();
                let codes: &[&str] = if self.custom { &["200"] } else { &["200", "201"] };
                (names, Some(json!({ "content": content })), codes, schema)
            }
            "delete" => {
                let options = body(&format!("{META}.DeleteOptions"));
                let answer = if self.answers_deletion() { schema } else { &*status };
                (DELETING.into(), Some(options), &["200", "202"], answer)
            }
            "deletecollection" => {
                let listing = LISTING
                    .iter()
                    .filter(|name| !matches!(**name, "allowWatchBookmarks" | "watch"));
                let mut names: Vec<_> = listing.chain(&DELETING).copied().collect();
                names.sort_unstable();
                let options = body(&format!("{META}.DeleteOptions"));
                (names, Some(options), &["200"], &*status)
            }
            _ => (Vec::new(), None, &["200"], schema),
        };
        let (group, version) = elsewhere.unwrap_or((self.group, self.version));
        let mut operation = json!({
            "responses": responses(codes, answer),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        });
        if !names.is_empty() {
            operation["parameters"] = parameters(&names);
        }
        if let Some(mut request) = request {
            if matches!(verb, "create" | "update" | "patch") {
                request["required"] = true.into();
            }
            operation["requestBody"] = request;
        }
        operation
    }
}

fn parameters(names: &[&str]) -> Value {
    names
        .iter()
        .map(|&name| {
            let kind = match name {
                "allowWatchBookmarks"
                | "force"
                | "ignoreStoreReadErrorWithClusterBreakingPotential"
                | "orphanDependents"
                | "sendInitialEvents"
                | "watch" => "boolean",
                "gracePeriodSeconds" | "limit" | "timeoutSeconds" => "integer",
                _ => "string",
            };
            let schema = json!({"type": kind, "uniqueItems": true});
            if matches!(name, "name" | "namespace") {
                json!({"name": name, "in": "path", "required": true, "schema": schema})
            } else {
                json!({"name": name, "in": "query", "schema": schema})
            }
        })
        .collect()
}

fn responses(codes: &[&str], schema: &str) -> Value {
    let content = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
    let mut responses: Map<_, _> = codes
        .iter()
        .map(|&code| {
            let content = json!({"application/json": content, "application/yaml": content});
            (code.to_owned(), json!({ "content": content }))
        })
        .collect();
    responses.insert("401".into(), json!({}));
    responses.into()
}

/// The schemas of a document, with all that they refer to.
struct Schemas<'a> {
    minor: &'static Minor,
    /// Group and version of the document, for the kinds that every group has.
    group: &'a str,
    version: &'a str,
    found: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    fn new(minor: &'static Minor, group: &'a str, version: &'a str) -> Self {
        Self { minor, group, version, found: BTreeMap::new() }
    }

    fn finish(self) -> Map<String, Value> {
        self.found.into_iter().collect()
    }

    fn add(&mut self, name: &str) {
        let mut waiting: Vec<&'static Definition> =
            self.minor.definition(name).into_iter().collect();
        while let Some(definition) = waiting.pop() {
            if self.found.contains_key(definition.name) {
                continue;
            }
            let schema = self.definition(definition);
            self.found.insert(definition.name.into(), schema);
            let nodes = definition.properties.iter().map(|property| &property.node);
            for node in nodes.chain([&definition.node]) {
                self.references(node, &mut waiting);
            }
        }
    }

    fn references(&self, node: &Node, waiting: &mut Vec<&'static Definition>) {
        match &node.shape {
            Shape::Reference(name) => waiting.extend(self.minor.named(*name)),
            Shape::List(inner) | Shape::Object(Some(inner)) => self.references(inner, waiting),
            _ => {}
        }
    }

    fn definition(&self, definition: &Definition) -> Value {
        let mut schema = self.node(&definition.node);
        if !definition.properties.is_empty() {
            let property = |property: &Property| {
                (property.name.to_owned(), property_schema(self.node(&property.node)))
            };
            let properties: Map<_, _> = definition.properties.iter().map(property).collect();
            schema["properties"] = properties.into();
            let required: Vec<_> = definition
                .properties
                .iter()
                .filter(|property| property.node.required)
                .map(|property| property.name)
                .collect();
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
        }
        if definition.name == QUANTITY {
            schema["oneOf"] = json!([{"type": "string"}, {"type": "number"}]);
        }
        let mut kinds: Vec<_> = definition
            .kinds
            .iter()
            .map(|of| json!({"group": of.group, "kind": of.kind, "version": of.version}))
            .collect();
        let name = definition.short_name();
        if matches!(name, "DeleteOptions" | "WatchEvent") && definition.name.starts_with(META) {
            kinds.push(json!({"group": "", "kind": name, "version": "v1"}));
            if !self.group.is_empty() {
                kinds.push(json!({"group": self.group, "kind": name, "version": self.version}));
            }
        }
        if !kinds.is_empty() {
            schema["x-kubernetes-group-version-kind"] = kinds.into();
        }
        schema
    }

    fn node(&self, node: &Node) -> Value {
        let mut schema = json!({});
        match &node.shape {
            Shape::Any => {}
            Shape::Object(values) => {
                schema["type"] = "object".into();
                if let Some(values) = values {
                    schema["additionalProperties"] = self.node(values);
                }
            }
            Shape::List(element) => {
                schema["type"] = "array".into();
                schema["items"] = self.node(element);
            }
            Shape::String => schema["type"] = "string".into(),
            Shape::Integer => schema["type"] = "integer".into(),
            Shape::Number => schema["type"] = "number".into(),
            Shape::Boolean => schema["type"] = "boolean".into(),
            Shape::Reference(name) => {
                let name = self.minor.named(*name).map_or("", |definition| definition.name);
                schema["$ref"] = format!("#/components/schemas/{name}").into();
            }
        }
        if !node.format.is_empty() {
            schema["format"] = node.format.into();
        }
        if node.format == "int-or-string" {
            schema["oneOf"] = json!([{"type": "integer"}, {"type": "string"}]);
        }
        match &node.topology {
            Some(Topology::AtomicList) => schema["x-kubernetes-list-type"] = "atomic".into(),
            Some(Topology::Set) => schema["x-kubernetes-list-type"] = "set".into(),
            Some(Topology::Keyed(keys)) => {
                schema["x-kubernetes-list-type"] = "map".into();
                schema["x-kubernetes-list-map-keys"] = json!(keys);
            }
            Some(Topology::AtomicMap) => schema["x-kubernetes-map-type"] = "atomic".into(),
            Some(Topology::GranularMap) => schema["x-kubernetes-map-type"] = "granular".into(),
            None => {}
        }
        let strategy = match (node.patch.merge, node.patch.retain_keys, node.patch.replace) {
            (true, true, _) => "merge,retainKeys",
            (true, false, _) => "merge",
            (false, true, _) => "retainKeys",
            (_, _, true) => "replace",
            _ => "",
        };
        if !strategy.is_empty() {
            schema["x-kubernetes-patch-strategy"] = strategy.into();
        }
        if let Some(key) = node.patch.key {
            schema["x-kubernetes-patch-merge-key"] = key.into();
        }
        if let Some(default) = node.default_value() {
            schema["default"] = default;
        }
        if !node.choices.is_empty() {
            schema["enum"] = json!(node.choices);
        }
        if node.keeps_unknown {
            schema["x-kubernetes-preserve-unknown-fields"] = true.into();
        }
        schema
    }

    /// The schemas of a custom resource and of its list, and their names.
    fn add_custom(&mut self, custom: &CustomResource) -> (Option<String>, Option<String>) {
        let mut prefix: Vec<_> = custom.group.rsplit('.').collect();
        prefix.push(&custom.version);
        let prefix = prefix.join(".");
        let (name, list) =
            (format!("{prefix}.{}", custom.kind), format!("{prefix}.{}", custom.list_kind));
        let gvk =
            |kind: &str| json!([{"group": custom.group, "kind": kind, "version": custom.version}]);
        let text = json!({"type": "string"});
        let meta = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{META}.{name}")}]});
        let mut schema = match &custom.schema {
            Some(schema @ Value::Object(_)) => schema.clone(),
            _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        };
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        schema["properties"]["apiVersion"] = text.clone();
        schema["properties"]["kind"] = text.clone();
        schema["properties"]["metadata"] = meta("ObjectMeta");
        schema["x-kubernetes-group-version-kind"] = gvk(&custom.kind);
        self.found.insert(name.clone(), schema);
        let items = json!({"$ref": format!("#/components/schemas/{name}")});
        let list_schema = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": text,
                "items": {"type": "array", "items": items},
                "kind": text,
                "metadata": meta("ListMeta"),
            },
            "x-kubernetes-group-version-kind": gvk(&custom.list_kind),
        });
        self.found.insert(list.clone(), list_schema);
        self.add(&format!("{META}.ObjectMeta"));
        self.add(&format!("{META}.ListMeta"));
        (Some(name), Some(list))
    }
}

/// References of properties stand in an `allOf`, so that something may stand beside them.
fn property_schema(mut schema: Value) -> Value {
    if let Some(reference) = schema.as_object_mut().and_then(|object| object.remove("$ref")) {
        schema["allOf"] = json!([{ "$ref": reference }]);
    }
    schema
}
