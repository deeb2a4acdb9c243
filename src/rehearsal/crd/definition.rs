//! A CustomResourceDefinition as the server serves it: its kinds, and what happens to their objects.
//!
//! Source: apiextensions-apiserver `pkg/registry/customresource/{strategy,status_strategy,
//! validator,etcd}.go`, `pkg/apiserver/customresource_{handler,discovery_controller}.go`.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::columns::{self, Column};
use super::correlation::Correlation;
use super::prune::Nulls;
use super::rules::Rules;
use super::structure::Structure;
use super::text::{child, go_json, invalid, quote};
use super::{embedded, lists, object, prune, schema, values};
use crate::rehearsal::{Cause, Failure};
use crate::ssa::Schema;
use crate::ssa::schema::TypeId;

/// A definition, read once for all requests to its kinds.
#[derive(Debug)]
pub struct Definition {
    /// The API group.
    pub group: String,
    /// What the kind is called.
    pub names: Names,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// All versions, in the definition's order, served or not.
    pub versions: Vec<Version>,
    /// The place of the version in which objects are stored.
    pub storage: usize,
    /// Whether the kind is served: its names were accepted once.
    pub established: bool,
    /// Whether the definition is being deleted, so that nothing new may be created.
    pub terminating: bool,
}

/// What a kind is called; those that were accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// In paths, e.g. `widgets`.
    pub plural: String,
    /// E.g. `widget`.
    pub singular: String,
    /// E.g. `Widget`.
    pub kind: String,
    /// E.g. `WidgetList`.
    pub list_kind: String,
    /// E.g. `wd`.
    pub short_names: Vec<String>,
    /// E.g. `all`.
    pub categories: Vec<String>,
}

/// One version of a kind.
#[derive(Debug)]
pub struct Version {
    /// E.g. `v1beta1`.
    pub name: String,
    /// Whether requests may name it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// What a `Warning` header says to each request, where the version is deprecated.
    pub warning: Option<String>,
    /// Whether `/status` is served.
    pub status: bool,
    /// What `/scale` reads and writes, where it is served.
    pub scale: Option<Scale>,
    /// The columns of tables after the name.
    pub columns: Vec<Column>,
    /// What field selectors may name beside the metadata, without the dot before it.
    pub selectable: Vec<String>,
    /// Whether `x-kubernetes-preserve-unknown-fields` keeps unknown fields at the root.
    pub preserves: bool,
    group: String,
    kind: String,
    structure: Arc<Structure>,
    stored: Arc<Stored>,
    schema: (Schema, TypeId),
    rules: Rules,
}

/// The version in which objects are stored.
#[derive(Debug)]
struct Stored {
    name: String,
    structure: Arc<Structure>,
}

/// Where the parts of a Scale are.
#[derive(Clone, Debug)]
pub struct Scale {
    /// E.g. `.spec.replicas`.
    pub spec_replicas: String,
    /// E.g. `.status.replicas`.
    pub status_replicas: String,
    /// E.g. `.status.selector`.
    pub selector: Option<String>,
}

/// What a check of a changed object found.
#[derive(Debug, Default, PartialEq)]
pub struct Checked {
    /// What is wrong, in the server's order; 422 where there are any.
    pub causes: Vec<Cause>,
    /// What is wrong but was so before: texts of `Warning` headers.
    pub warnings: Vec<String>,
}

/// Stands for replicas that are not there, while a Scale is patched.
const NO_REPLICAS: i64 = i32::MIN as i64;

const MOST_REPLICAS: i64 = i32::MAX as i64;

impl Definition {
    /// Reads a definition that the server has accepted.
    ///
    /// # Errors
    /// Where it has no version in which to store objects.
    pub fn parse(crd: &Value) -> Result<Self, String> {
        let spec = &crd["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let group = text(&spec["group"]);
        let accepted = &crd["status"]["acceptedNames"];
        let is_accepted = accepted["plural"].as_str().is_some_and(|plural| !plural.is_empty());
        let names = Names::parse(if is_accepted { accepted } else { &spec["names"] });
        let kind = text(&spec["names"]["kind"]);
        let listed = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let storage = listed
            .iter()
            .position(|version| version["storage"] == true)
            .ok_or_else(|| "no version is the storage version".to_owned())?;
        let structures: Vec<_> = listed
            .iter()
            .map(|version| Arc::new(Structure::parse(&version["schema"]["openAPIV3Schema"])))
            .collect();
        let stored = Arc::new(Stored {
            name: text(&listed[storage]["name"]),
            structure: Arc::clone(&structures[storage]),
        });
        let versions: Vec<_> = (listed.iter().zip(structures))
            .map(|(version, structure)| {
                let warning = deprecation(version, &group, &kind, listed);
                let place = (&*group, &*kind, Arc::clone(&stored));
                Version::parse(version, structure, warning, place)
            })
            .collect();
        let condition = |name| object::is_condition_true(crd, name);
        Ok(Self {
            group,
            names,
            namespaced: spec["scope"] == "Namespaced",
            storage,
            versions,
            established: condition("Established") || condition("NamesAccepted"),
            terminating: condition("Terminating")
                || !crd["metadata"]["deletionTimestamp"].is_null(),
        })
    }

    /// A version that is served.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.served && version.name == name)
    }

    /// The version in which objects are stored.
    pub fn stored(&self) -> &Version {
        &self.versions[self.storage]
    }

    /// What a create gets while the definition is being deleted.
    pub fn refuse_create(&self, name: &str) -> Failure {
        let (plural, group) = (&self.names.plural, &self.group);
        let message = format!(
            "{plural}.{group} {name:?} is forbidden: \
             create not allowed while custom resource definition is terminating"
        );
        let details = json!({"name": name, "group": group, "kind": plural});
        Failure { details: Some(details), ..Failure::new(403, "Forbidden", message) }
    }

    /// The versions that are served, as discovery has them: the most stable and newest first.
    pub fn served(&self) -> Vec<&str> {
        let served = self.versions.iter().filter(|version| version.served);
        let mut names: Vec<_> = served.map(|version| &*version.name).collect();
        names.sort_by(|a, b| compare_versions(b, a));
        names
    }

    /// The kind and its subresources as `APIResource`, for `/apis/GROUP/VERSION`.
    pub fn resources(&self, version: &Version) -> Vec<Value> {
        let names = &self.names;
        let mut own = json!({
            "name": names.plural, "singularName": names.singular, "namespaced": self.namespaced,
            "kind": names.kind, "verbs": self.verbs(),
            "storageVersionHash": storage_hash(&self.group, &self.stored().name, &names.kind),
        });
        for (key, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
            if !list.is_empty() {
                own[key] = json!(list);
            }
        }
        let verbs = ["get", "patch", "update"];
        let mut resources = vec![own];
        if version.status {
            resources.push(json!({
                "name": format!("{}/status", names.plural), "singularName": "",
                "namespaced": self.namespaced, "kind": names.kind, "verbs": verbs,
            }));
        }
        if version.scale.is_some() {
            resources.push(json!({
                "name": format!("{}/scale", names.plural), "singularName": "",
                "namespaced": self.namespaced, "group": "autoscaling", "version": "v1",
                "kind": "Scale", "verbs": verbs,
            }));
        }
        resources
    }

    /// The kind as `APIResourceDiscovery`, for aggregated discovery.
    pub fn aggregated(&self, version: &Version) -> Value {
        let names = &self.names;
        let own = json!({"group": self.group, "version": version.name, "kind": names.kind});
        let mut resource = json!({
            "resource": names.plural, "responseKind": own.clone(),
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": names.singular, "verbs": self.verbs(),
        });
        for (key, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
            if !list.is_empty() {
                resource[key] = json!(list);
            }
        }
        let mut below = Vec::new();
        let verbs = ["get", "patch", "update"];
        if version.status {
            below.push(json!({"subresource": "status", "responseKind": own, "verbs": verbs}));
        }
        if version.scale.is_some() {
            let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
            below.push(json!({"subresource": "scale", "responseKind": scale, "verbs": verbs}));
        }
        if !below.is_empty() {
            resource["subresources"] = below.into();
        }
        resource
    }

    fn verbs(&self) -> &'static [&'static str] {
        if self.terminating {
            &["delete", "deletecollection", "get", "list", "watch"]
        } else {
            &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
        }
    }
}

/// A value that differs where the version of storage differs.
fn storage_hash(group: &str, version: &str, kind: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(format!("{group}/{version}/{kind}"));
    base64::engine::general_purpose::STANDARD.encode(&hash[..8])
}

impl Names {
    fn parse(names: &Value) -> Self {
        let text = |key: &str| names[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| -> Vec<String> {
            let list = names[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            plural: text("plural"),
            singular: text("singular"),
            kind: text("kind"),
            list_kind: text("listKind"),
            short_names: list("shortNames"),
            categories: list("categories"),
        }
    }
}

/// Orders versions: `v2` before `v1` before `v1beta2` before `v1alpha1` before any other, which go
/// by the alphabet. Source: apimachinery `pkg/version/helpers.go`.
pub(super) fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse_version(a), parse_version(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Greater,
        (None, Some(_)) => Ordering::Less,
        (None, None) => b.cmp(a),
    }
}

/// Stability, then the numbers.
fn parse_version(text: &str) -> Option<(u8, u64, u64)> {
    let number = |text: &str| -> Option<u64> {
        let plain = text.starts_with(|c: char| ('1'..='9').contains(&c));
        plain.then(|| text.parse().ok())?
    };
    let text = text.strip_prefix('v')?;
    for (word, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some((major, minor)) = text.split_once(word) {
            return Some((stability, number(major)?, number(minor)?));
        }
    }
    Some((2, number(text)?, 0))
}

impl Version {
    fn parse(
        version: &Value,
        structure: Arc<Structure>,
        warning: Option<String>,
        (group, kind, stored): (&str, &str, Arc<Stored>),
    ) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let scale = &version["subresources"]["scale"];
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        Self {
            name: text(&version["name"]).unwrap_or_default(),
            served: version["served"] == true,
            storage: version["storage"] == true,
            warning,
            status: version["subresources"]["status"].is_object(),
            scale: scale.is_object().then(|| Scale {
                spec_replicas: text(&scale["specReplicasPath"]).unwrap_or_default(),
                status_replicas: text(&scale["statusReplicasPath"]).unwrap_or_default(),
                selector: text(&scale["labelSelectorPath"]),
            }),
            columns: columns::parse(&version["additionalPrinterColumns"]),
            selectable: selectable
                .filter_map(|field| field["jsonPath"].as_str())
                .map(|path| path.strip_prefix('.').unwrap_or(path).to_owned())
                .collect(),
            preserves: structure.preserve,
            group: group.to_owned(),
            kind: kind.to_owned(),
            schema: schema::build(&structure),
            rules: Rules::compile(&structure),
            structure,
            stored,
        }
    }

    /// As manifests write group and version.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// The schema as ownership sees it, and the type of the object within it.
    pub fn schema(&self) -> (&Schema, TypeId) {
        (&self.schema.0, self.schema.1)
    }

    /// Gives a decoded object the form in which the server goes on with it: what the schema does
    /// not know is dropped. Returns the paths of that, e.g. `spec.bogus`, in the server's order.
    ///
    /// # Errors
    /// 400 where metadata cannot be read.
    pub fn decode(&self, object: &mut Value, nulls: Nulls) -> Result<Vec<String>, Failure> {
        prune::coerce(object, &self.structure, nulls).map_err(|error| {
            let (kind, version) = (&self.kind, &self.name);
            let message =
                format!("{kind} in version {version:?} cannot be handled as a {kind}: {error}");
            Failure::new(400, "BadRequest", message)
        })
    }

    /// Fills in what is absent and has a default.
    pub fn default(&self, object: &mut Value) {
        prune::default(object, &self.structure);
    }

    /// Brings a checked object into the version in which it is stored: conversion changes only what
    /// the version names, and drops what its schema does not know.
    pub fn store(&self, object: &mut Value) {
        convert(object, &self.group, &self.stored.name, &self.stored.structure);
    }

    /// Brings an object out of the store into this version, also for the answer to a write. Defaults
    /// are those of the version in which it is stored.
    pub fn read(&self, object: &mut Value) {
        prune::default(object, &self.stored.structure);
        convert(object, &self.group, &self.name, &self.structure);
    }

    /// What is left of a checked object once it was stored and read again in this version.
    pub fn settle(&self, object: &mut Value) {
        if !self.storage {
            self.store(object);
            self.read(object);
        }
    }

    /// Resets what a new object may not bring.
    pub fn prepare_create(&self, object: &mut Value) {
        if let Some(map) = object.as_object_mut().filter(|_| self.status) {
            map.remove("status");
        }
        object["metadata"]["generation"] = 1.into();
    }

    /// Resets what an update may not change, and counts the generation.
    pub fn prepare_update(&self, object: &mut Value, old: &Value) {
        if let Some(map) = object.as_object_mut().filter(|_| self.status) {
            match old.get("status") {
                Some(status) => map.insert("status".into(), status.clone()),
                None => map.remove("status"),
            };
        }
        object["metadata"]["generation"] = old["metadata"]["generation"].clone();
        if !same_but_metadata(object, old) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
            object["metadata"]["generation"] = (generation + 1).into();
        }
        drop_null(&mut object["metadata"], "generation");
    }

    /// Resets what an update of the status may not change: everything else.
    pub fn prepare_status(&self, object: &mut Value, old: &Value) {
        let status = object.get("status").cloned();
        let managed = object["metadata"].get("managedFields").cloned();
        *object = old.clone();
        let places = [(None, "status", status), (Some("metadata"), "managedFields", managed)];
        for (within, name, value) in places {
            let place = match within {
                Some(within) => &mut object[within],
                None => &mut *object,
            };
            let Some(map) = place.as_object_mut() else { continue };
            match value {
                Some(value) => map.insert(name.into(), value),
                None => map.remove(name),
            };
        }
    }

    /// What is wrong with a new object. `metadata` is what is wrong with its metadata.
    pub fn validate(&self, object: &Value, metadata: Vec<Cause>) -> Vec<Cause> {
        let mut causes = self.type_causes(object);
        if causes.is_empty() {
            causes = metadata;
            causes.extend(values::validate("", object, &self.structure));
            causes.extend(self.scale_spec(object));
            causes.extend(self.scale_status(object));
        }
        embedded::validate("", object, &self.structure, false, &mut causes);
        causes.extend(lists::validate("", object, &self.structure));
        let mut checked = Checked { causes, warnings: Vec::new() };
        self.check_rules(object, None, &mut checked);
        checked.causes
    }

    /// What is wrong with a changed object. `old` is the object before, in this version.
    pub fn validate_update(&self, object: &Value, old: &Value, metadata: Vec<Cause>) -> Checked {
        let correlation = Correlation::new(object, Some(old), &self.structure);
        let mut causes = self.type_causes(object);
        if causes.is_empty() {
            causes = metadata;
            causes.extend(values::validate_update("", &self.structure, &correlation));
            causes.extend(self.scale_spec(object));
            causes.extend(self.scale_status(object));
        }
        embedded::validate("", object, &self.structure, false, &mut causes);
        if lists::validate("", old, &self.structure).is_empty() {
            causes.extend(lists::validate("", object, &self.structure));
        }
        let mut checked = Checked { causes, warnings: Vec::new() };
        self.check_rules(object, Some(old), &mut checked);
        checked
    }

    /// What is wrong with an object whose status changed.
    pub fn validate_status_update(
        &self,
        object: &Value,
        old: &Value,
        metadata: Vec<Cause>,
    ) -> Checked {
        let mut causes = self.type_causes(object);
        if causes.is_empty() {
            causes = metadata;
            if let (Some(status), Some(structure)) =
                (object.get("status"), self.structure.field("status"))
            {
                let before = old.get("status");
                let correlation = Correlation::new(status, before, structure);
                causes.extend(values::validate_update("status", structure, &correlation));
            }
            causes.extend(self.scale_status(object));
        }
        let doubles = lists::validate("", object, &self.structure);
        if !doubles.is_empty() && lists::validate("", old, &self.structure).is_empty() {
            causes.extend(doubles);
        }
        let mut checked = Checked { causes, warnings: Vec::new() };
        self.check_rules(object, Some(old), &mut checked);
        checked
    }

    /// The rules are looked at where nothing else makes their values doubtful.
    fn check_rules(&self, object: &Value, old: Option<&Value>, checked: &mut Checked) {
        if self.rules.is_empty() {
            return;
        }
        let blocking = [
            "FieldValueNotSupported",
            "FieldValueRequired",
            "FieldValueTooLong",
            "FieldValueTooMany",
            "FieldValueTypeInvalid",
        ];
        if checked.causes.iter().any(|cause| blocking.contains(&cause.reason)) {
            let text = "some validation rules were not checked because the object was invalid; \
                correct the existing errors to complete validation";
            checked.causes.push(invalid("", &Value::Null, text));
            return;
        }
        self.rules.check(&self.structure, object, old, checked);
    }

    /// Texts of `Warning` headers: finalizers that are new and have no domain.
    pub fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        let finalizers = |object: &Value| -> Vec<String> {
            let list = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let known = old.map(&finalizers).unwrap_or_default();
        let mut new: Vec<_> =
            finalizers(object).into_iter().filter(|name| !known.contains(name)).collect();
        new.sort();
        new.dedup();
        new.iter().filter_map(|name| finalizer_warning(name)).collect()
    }

    /// The `columnDefinitions` of tables.
    pub fn column_definitions(&self) -> Vec<Value> {
        columns::definitions(&self.columns)
    }

    /// The cells of an object, its name first; `now` is in seconds since 1970.
    pub fn cells(&self, object: &Value, now: i64) -> Vec<Value> {
        let name = object["metadata"]["name"].clone();
        let cells = columns::cells(&self.columns, object, now);
        std::iter::once(name).chain(cells).collect()
    }

    /// What field selectors see of an object beside its metadata.
    pub fn fields(&self, object: &Value) -> Vec<(String, String)> {
        let select = |path: &String| (path.clone(), columns::select(object, &format!(".{path}")));
        self.selectable.iter().map(select).collect()
    }

    fn type_causes(&self, object: &Value) -> Vec<Cause> {
        let mut causes = Vec::new();
        let api_version = self.api_version();
        for (field, expected) in [("kind", &self.kind), ("apiVersion", &api_version)] {
            if object[field].as_str() != Some(expected) {
                let found = object[field].as_str().unwrap_or_default();
                causes.push(invalid(field, &found.into(), &format!("must be {expected}")));
            }
        }
        causes
    }

    fn scale_spec(&self, object: &Value) -> Vec<Cause> {
        let path = self.scale.as_ref().map(|scale| &*scale.spec_replicas);
        path.and_then(|path| replicas_cause(object, path)).into_iter().collect()
    }

    fn scale_status(&self, object: &Value) -> Vec<Cause> {
        let Some(scale) = &self.scale else { return Vec::new() };
        let mut causes: Vec<_> =
            replicas_cause(object, &scale.status_replicas).into_iter().collect();
        if let Some(path) = &scale.selector
            && let Err(error) = nested(object, path, "string", Value::is_string)
        {
            causes.push(Cause::invalid(path, "\"\"", &error));
        }
        causes
    }

    /// The object's `Scale`, and whether it has a number of replicas: without one a GET is answered
    /// by [`no_replicas`](Self::no_replicas). [`set_scale`](Self::set_scale) takes it back.
    ///
    /// # Errors
    /// 500 where the fields have other types.
    pub fn scale_of(&self, object: &Value) -> Result<(Value, bool), Failure> {
        let Some(scale) = &self.scale else { return Ok((Value::Null, false)) };
        let integer = |path: &str| nested(object, path, "int64", |value| value.as_i64().is_some());
        let internal = |error: String| {
            let message = format!("Internal error occurred: {error}");
            let details = json!({"causes": [{"message": error}]});
            Failure { details: Some(details), ..Failure::new(500, "InternalError", message) }
        };
        let replicas = integer(&scale.spec_replicas).map_err(internal)?;
        let current = integer(&scale.status_replicas).map_err(internal)?;
        let selector = match &scale.selector {
            Some(path) => nested(object, path, "string", Value::is_string).map_err(internal)?,
            None => None,
        };
        let metadata: Map<_, _> =
            ["creationTimestamp", "name", "namespace", "resourceVersion", "uid"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), object["metadata"].get(name)?.clone())))
                .collect();
        let mut out = json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
            "spec": {}, "status": {"replicas": current.and_then(Value::as_i64).unwrap_or_default()},
        });
        match replicas.map(|value| value.as_i64().unwrap_or_default()) {
            Some(0) => {}
            Some(count) => out["spec"]["replicas"] = count.into(),
            None => out["spec"]["replicas"] = NO_REPLICAS.into(),
        }
        if let Some(selector) = selector.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            out["status"]["selector"] = selector.into();
        }
        Ok((out, replicas.is_some()))
    }

    /// What a GET of the Scale gets where the object has no number of replicas.
    pub fn no_replicas(&self) -> Failure {
        let path = self.scale.as_ref().map_or("", |scale| &*scale.spec_replicas);
        let error = format!("the spec replicas field {path:?} does not exist");
        let message = format!("Internal error occurred: {error}");
        let details = json!({"causes": [{"message": error}]});
        Failure { details: Some(details), ..Failure::new(500, "InternalError", message) }
    }

    /// Writes a Scale back into the object. The check of the object comes after.
    ///
    /// # Errors
    /// 400 where there was no number of replicas and none was given.
    pub fn set_scale(&self, object: &mut Value, scale: &Value) -> Result<(), Failure> {
        let Some(paths) = &self.scale else { return Ok(()) };
        let count = scale["spec"]["replicas"].as_i64().unwrap_or_default();
        let path = &paths.spec_replicas;
        if count == NO_REPLICAS {
            let message = format!("the spec replicas field {path:?} cannot be empty");
            return Err(Failure::new(400, "BadRequest", message));
        }
        let mut place = object;
        for step in path.trim_start_matches('.').split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[step];
        }
        *place = count.into();
        Ok(())
    }

    /// The document of `/openapi/v3/apis/GROUP/VERSION`, as far as clients look at it: the schema
    /// of the kind.
    pub fn openapi_schema(&self, crd: &Value) -> Value {
        let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
        let mut found = versions.filter(|version| version["name"] == self.name.as_str());
        let mut schema =
            found.next().map_or(json!({}), |version| version["schema"]["openAPIV3Schema"].clone());
        if !schema.is_object() {
            schema = json!({"type": "object"});
        }
        let metadata = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        schema["properties"]["apiVersion"] = json!({"type": "string"});
        schema["properties"]["kind"] = json!({"type": "string"});
        schema["properties"]["metadata"] = json!({"allOf": [{"$ref": metadata}], "default": {}});
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": self.group, "version": self.name, "kind": self.kind}]);
        schema
    }
}

/// An object of any version in one version.
fn convert(object: &mut Value, group: &str, version: &str, structure: &Structure) {
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), format!("{group}/{version}").into());
    }
    prune::prune(object, structure);
    prune::prune_nulls(object, Some(structure));
}

fn drop_null(value: &mut Value, name: &str) {
    if value[name].is_null()
        && let Some(map) = value.as_object_mut()
    {
        map.remove(name);
    }
}

fn same_but_metadata(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let rest =
        |map: &Map<String, Value>| map.iter().filter(|(name, _)| *name != "metadata").count();
    rest(a) == rest(b)
        && a.iter()
            .filter(|(name, _)| *name != "metadata")
            .all(|(name, value)| b.get(name) == Some(value))
}

/// Where a version is deprecated, what is said of it.
fn deprecation(version: &Value, group: &str, kind: &str, all: &[Value]) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(own) = version["deprecationWarning"].as_str() {
        return Some(own.to_owned());
    }
    let name = version["name"].as_str().unwrap_or_default();
    let better = all
        .iter()
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .filter_map(|other| other["name"].as_str())
        .filter(|other| compare_versions(name, other).is_lt())
        .max_by(|a, b| compare_versions(a, b));
    let told = format!("{group}/{name} {kind} is deprecated");
    Some(match better {
        Some(better) => format!("{told}; use {group}/{better} {kind}"),
        None => told,
    })
}

fn finalizer_warning(name: &str) -> Option<String> {
    let standard = ["orphan", "foregroundDeletion", "kubernetes"];
    if name.contains('/') || standard.contains(&name) {
        return None;
    }
    let path = if name.contains('.') { " including a path (/)" } else { "" };
    Some(format!(
        "metadata.finalizers: {}: prefer a domain-qualified finalizer name{path} to avoid \
         accidental conflicts with other finalizer writers",
        quote(name)
    ))
}

/// The value at a path of plain fields, and how Go complains where it has another type; below null there is none.
///
/// Source: apimachinery `pkg/apis/meta/v1/unstructured/helpers.go`, `NestedFieldNoCopy`.
fn nested<'a>(
    object: &'a Value,
    path: &str,
    type_name: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Option<&'a Value>, String> {
    let steps: Vec<_> = path.trim_start_matches('.').split('.').collect();
    let mut value = object;
    for (at, step) in steps.iter().enumerate() {
        if value.is_null() {
            return Ok(None);
        }
        let Some(map) = value.as_object() else {
            // The path up to here and one step on, as the server has it.
            let shown = steps[..=at].iter().fold(String::new(), |path, step| child(&path, step));
            return Err(accessor_error(&shown, value, "map[string]interface{}"));
        };
        match map.get(*step) {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    if fits(value) {
        return Ok(Some(value));
    }
    Err(accessor_error(&steps.join("."), value, type_name))
}

fn accessor_error(path: &str, value: &Value, expected: &str) -> String {
    let (shown, found) = match value {
        Value::Null => ("<nil>".to_owned(), "<nil>"),
        Value::Bool(flag) => (flag.to_string(), "bool"),
        Value::String(text) => (text.clone(), "string"),
        Value::Number(number) if number.is_f64() => (go_json(value), "float64"),
        Value::Number(number) => (number.to_string(), "int64"),
        Value::Array(_) => (go_json(value), "[]interface {}"),
        Value::Object(_) => (go_json(value), "map[string]interface {}"),
    };
    format!(".{path} accessor error: {shown} is of the type {found}, expected {expected}")
}

fn replicas_cause(object: &Value, path: &str) -> Option<Cause> {
    match nested(object, path, "int64", |value| value.as_i64().is_some()) {
        Err(error) => Some(Cause::invalid(path, "0", &error)),
        Ok(value) => match value.and_then(Value::as_i64).unwrap_or_default() {
            count if count < 0 => {
                Some(Cause::invalid(path, &count.to_string(), "should be a non-negative integer"))
            }
            count if count > MOST_REPLICAS => {
                let text = format!("should be less than or equal to {MOST_REPLICAS}");
                Some(Cause::invalid(path, &count.to_string(), &text))
            }
            _ => None,
        },
    }
}
