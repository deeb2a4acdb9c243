//! What is known about kinds: scopes, and how their lists merge.
//!
//! Kustomize carries the OpenAPI of Kubernetes v1.21.2 and knows no newer kinds, whatever the cluster
//! runs; so do we. The little of it that changes an output is in `table`, which is searched as it
//! lies in the binary. A schema that the user names (`openapi.path`) takes its place as a whole, or
//! joins it, see [`Relation`].

pub mod go;
pub mod kubernetes;

mod comments;
mod table;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::resource::{Gvk, Kind};
use crate::value::Value;

pub use comments::Comments;

/// Longest chain of `$ref`; a longer one is a circle.
const MAX_REFERENCES: usize = 64;

/// The version of Kubernetes that the built-in schema is of, as `openapi.version` names it.
pub const VERSION: &str = "v1.21.2";

/// How the lists of all kinds merge: as built in, or as the user's own file says.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    custom: Option<Arc<Custom>>,
}

/// How a custom schema stands to the built-in one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Relation {
    /// It takes its place.
    Instead,
    /// It is asked first.
    Over,
    /// It is asked for what the built-in one does not know.
    Under,
}

/// The definitions of a user's OpenAPI file.
#[derive(Debug)]
struct Custom {
    relation: Relation,
    definitions: Value,
    /// Kind and `apiVersion` to the name of the definition.
    kinds: FxHashMap<(EcoString, EcoString), EcoString>,
    /// Kind and `apiVersion` of what has a path, but none within a namespace.
    cluster_scoped: FxHashMap<(EcoString, EcoString), bool>,
}

/// One field of the built-in table that leads to lists with a merge strategy.
#[derive(Debug)]
struct Field {
    /// `*` stands for every key of a mapping.
    name: &'static str,
    /// For lists that merge: the keys that tell the elements apart, none for a set of scalars.
    keys: Option<&'static [&'static str]>,
    /// The node of the field, or of the elements of the list.
    node: u16,
}

/// What a schema, and what comments in the document say about one place in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Type<'a> {
    place: Option<Place<'a>>,
    comments: Option<&'a Comments>,
}

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Known {
        keys: Option<&'static [&'static str]>,
        node: u16,
    },
    /// Without a custom schema where a comment says it.
    Custom {
        custom: Option<&'a Custom>,
        schema: &'a Value,
    },
}

/// Whether kustomize knows the kind to live outside namespaces.
#[must_use]
pub fn is_cluster_scoped<'a>(kind: impl Into<Kind<'a>>) -> bool {
    static KINDS: LazyLock<FxHashSet<&str>> =
        LazyLock::new(|| table::CLUSTER_SCOPED.iter().map(|(kind, _)| *kind).collect());
    let kind = kind.into();
    // Nearly all objects are of other kinds, and this is asked of each of them in most steps.
    KINDS.contains(kind.kind)
        && search(table::CLUSTER_SCOPED, |&(kind, version)| (kind, version), kind).is_some()
}

/// Whether the built-in schema knows the scope of a kind.
#[must_use]
pub fn has_scope<'a>(kind: impl Into<Kind<'a>>) -> bool {
    builtin_kind(kind.into()).is_some()
}

fn builtin_kind(kind: Kind<'_>) -> Option<Place<'static>> {
    let entry = search(table::KINDS, |&(kind, version, _)| (kind, version), kind)?;
    Some(Place::Known { keys: None, node: entry.2 })
}

fn builtin_definition(name: &str) -> Option<Place<'static>> {
    let at = table::DEFINITIONS.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    Some(Place::Known { keys: None, node: table::DEFINITIONS[at].1 })
}

/// The entry of a kind in a table that is sorted by kind and `apiVersion`.
fn search<T>(
    table: &'static [T],
    key: impl Fn(&T) -> (&'static str, &'static str),
    wanted: Kind<'_>,
) -> Option<&'static T> {
    let at = table.binary_search_by(|entry| {
        let (kind, version) = key(entry);
        kind.cmp(wanted.kind).then_with(|| compare_version(version, wanted))
    });
    at.ok().map(|index| &table[index])
}

/// Compares a written `apiVersion` with that of `kind`, without building it.
fn compare_version(written: &str, kind: Kind<'_>) -> std::cmp::Ordering {
    let slash = if kind.group.is_empty() { "" } else { "/" };
    let parts = [kind.group, slash, kind.version];
    written.bytes().cmp(parts.into_iter().flat_map(str::bytes))
}

impl Schema {
    /// The one that kustomize carries.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The one of an OpenAPI v2 document.
    ///
    /// Source: kustomize `kyaml/openapi/openapi.go`, `parse`.
    #[must_use]
    pub fn from_openapi(document: &Value, relation: Relation) -> Self {
        let definitions = document.get("definitions").cloned().unwrap_or_default();
        let kinds = kinds_of(&definitions);
        let cluster_scoped = document.get("paths").map(scopes_of).unwrap_or_default();
        let custom = Custom { relation, definitions, kinds, cluster_scoped };
        Self { custom: Some(Arc::new(custom)) }
    }

    /// Whether the kind is known to live outside namespaces; the built-in kinds keep their scope
    /// under a custom schema.
    #[must_use]
    pub fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        let by_custom = |custom: &Arc<Custom>| {
            let key = (gvk.kind.clone(), gvk.api_version());
            !has_scope(gvk) && custom.cluster_scoped.get(&key).copied().unwrap_or(false)
        };
        is_cluster_scoped(gvk) || self.custom.as_ref().is_some_and(by_custom)
    }

    /// What is known about objects of a kind.
    #[must_use]
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Type<'_>> {
        let builtin = || builtin_kind(Kind::new(api_version, kind));
        let Some(custom) = &self.custom else { return builtin().map(Type::from) };
        let own = || {
            let name = custom.kinds.get(&(kind.into(), api_version.into()))?;
            let schema = custom.definitions.get(name)?;
            Some(Place::Custom { custom: Some(custom), schema })
        };
        custom.relation.choose(own, builtin).map(Type::from)
    }
}

impl Relation {
    fn choose<T>(
        self,
        custom: impl FnOnce() -> Option<T>,
        builtin: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        match self {
            Self::Instead => custom(),
            Self::Over => custom().or_else(builtin),
            Self::Under => builtin().or_else(custom),
        }
    }
}

impl<'a> Type<'a> {
    /// Nothing but what comments say.
    #[must_use]
    pub fn commented(comments: &'a Comments) -> Self {
        Self { place: None, comments: Some(comments) }
    }

    /// The same with what is found otherwise where the place itself is not known.
    #[must_use]
    pub fn or(self, other: impl FnOnce() -> Option<Self>) -> Self {
        Self { place: self.place.or_else(|| other()?.place), ..self }
    }

    /// What is known about a field; of built-in kinds those that lead to lists that merge.
    #[must_use]
    pub fn field(self, name: &str) -> Self {
        let comments = self.comments.and_then(|comments| comments.fields.get(name));
        let schema = comments.and_then(|comments| comments.schema.as_ref());
        let place = match schema {
            // Where its reference leads nowhere, the comment itself is the schema.
            Some(schema) => resolve(None, schema).or(Some(Place::Custom { custom: None, schema })),
            None => self.place.and_then(|place| place.field(name)),
        };
        Self { place, comments }
    }

    /// What is known about the elements of a list.
    #[must_use]
    pub fn elements(self) -> Self {
        Self { place: self.place.and_then(Place::elements), comments: None }
    }

    /// The keys by which the elements of a list are told apart, none for a set of scalars; `None`
    /// where the list is replaced as a whole.
    ///
    /// Source: kustomize `kyaml/openapi/openapi.go`, `PatchStrategyAndKeyList`.
    #[must_use]
    pub fn merge_keys(self) -> Option<Cow<'a, [&'a str]>> {
        match self.place? {
            Place::Known { keys, .. } => keys.map(Cow::Borrowed),
            Place::Custom { schema, .. } => custom_keys(schema).map(Cow::Owned),
        }
    }
}

impl<'a> From<Place<'a>> for Type<'a> {
    fn from(place: Place<'a>) -> Self {
        Self { place: Some(place), comments: None }
    }
}

impl Place<'_> {
    fn field(self, name: &str) -> Option<Self> {
        match self {
            Place::Known { keys: Some(_), .. } => None,
            Place::Known { keys: None, node } => known_field(node, name),
            Place::Custom { custom, schema } => {
                let properties = schema.get("properties").and_then(|all| all.get(name));
                let extra = || schema.get("additionalProperties").filter(|v| v.as_map().is_some());
                resolve(custom, properties.or_else(extra)?)
            }
        }
    }

    fn elements(self) -> Option<Self> {
        match self {
            Place::Known { keys, node } => keys.map(|_| Place::Known { keys: None, node }),
            Place::Custom { custom, schema } => {
                let is_list = schema.text_at(&["type"]) == Some("array");
                resolve(custom, schema.get("items").filter(|_| is_list)?)
            }
        }
    }
}

fn known_field(node: u16, name: &str) -> Option<Place<'static>> {
    let fields = *table::NODES.get(usize::from(node))?;
    let find = |name: &str| fields.binary_search_by(|field| field.name.cmp(name)).ok();
    let field = &fields[find(name).or_else(|| find("*"))?];
    Some(Place::Known { keys: field.keys, node: field.node })
}

fn custom_keys(schema: &Value) -> Option<Vec<&str>> {
    let strategy = schema.text_at(&["x-kubernetes-patch-strategy"])?;
    if !strategy.split(',').any(|part| part == "merge") {
        return None;
    }
    if let Some(keys) = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_list) {
        return Some(keys.iter().filter_map(Value::as_text).collect());
    }
    Some(schema.text_at(&["x-kubernetes-patch-merge-key"]).into_iter().collect())
}

/// Follows `$ref`.
fn resolve<'a>(custom: Option<&'a Custom>, mut schema: &'a Value) -> Option<Place<'a>> {
    for _ in 0..MAX_REFERENCES {
        let Some(reference) = schema.text_at(&["$ref"]) else {
            return Some(Place::Custom { custom, schema });
        };
        let name = reference.strip_prefix("#/definitions/")?;
        let builtin = || builtin_definition(name);
        let found = match custom {
            None => builtin(),
            Some(own) => {
                let schema = || own.definitions.get(name);
                own.relation.choose(|| Some(Place::Custom { custom, schema: schema()? }), builtin)
            }
        };
        match found? {
            Place::Custom { schema: next, .. } => schema = next,
            known @ Place::Known { .. } => return Some(known),
        }
    }
    None
}

/// Which definition describes which kind.
fn kinds_of(definitions: &Value) -> FxHashMap<(EcoString, EcoString), EcoString> {
    let mut kinds = FxHashMap::default();
    for (name, schema) in definitions.as_map().into_iter().flat_map(|map| map.iter()) {
        let named = schema.get("x-kubernetes-group-version-kind").and_then(Value::as_list);
        for key in named.into_iter().flatten().filter_map(type_of) {
            kinds.insert(key, name.text.clone());
        }
    }
    kinds
}

/// Which kinds have paths, and whether none of these is within a namespace.
fn scopes_of(paths: &Value) -> FxHashMap<(EcoString, EcoString), bool> {
    let mut scopes = FxHashMap::default();
    for (path, item) in paths.as_map().into_iter().flat_map(|map| map.iter()) {
        let Some(key) = item.at(&["get", "x-kubernetes-group-version-kind"]).and_then(type_of)
        else {
            continue;
        };
        let outside = !path.text.contains("namespaces/{namespace}");
        scopes.entry(key).and_modify(|all| *all &= outside).or_insert(outside);
    }
    scopes
}

/// Kind and `apiVersion` of an `x-kubernetes-group-version-kind`.
fn type_of(value: &Value) -> Option<(EcoString, EcoString)> {
    let gvk = Gvk {
        group: value.text_at(&["group"]).unwrap_or_default().into(),
        version: value.text_at(&["version"])?.into(),
        kind: value.text_at(&["kind"])?.into(),
    };
    Some((gvk.kind.clone(), gvk.api_version()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path<'a>(schema: &'a Schema, version: &str, kind: &str, path: &[&str]) -> Type<'a> {
        let root = schema.kind(version, kind).expect("a known kind");
        path.iter().fold(root, |place, name| match *name {
            "[]" => place.elements(),
            name => place.field(name),
        })
    }

    #[test]
    fn tables_are_sorted() {
        assert!(table::CLUSTER_SCOPED.is_sorted());
        assert!(table::KINDS.is_sorted());
        assert!(table::DEFINITIONS.is_sorted());
        for node in table::NODES {
            assert!(node.is_sorted_by_key(|field| field.name));
            assert!(node.iter().all(|field| usize::from(field.node) < table::NODES.len()));
        }
    }

    #[test]
    fn knows_the_scopes_of_kubernetes_1_21() {
        assert!(is_cluster_scoped(&Gvk::new("v1", "Namespace")));
        assert!(is_cluster_scoped(&Gvk::new("rbac.authorization.k8s.io/v1", "ClusterRole")));
        assert!(!is_cluster_scoped(&Gvk::new("v1", "ConfigMap")));
        assert!(!is_cluster_scoped(&Gvk::new("example.com/v1", "Namespace")));
        assert!(!is_cluster_scoped(&Gvk::new("gateway.networking.k8s.io/v1", "GatewayClass")));
        assert_eq!(table::CLUSTER_SCOPED.len(), 36);
    }

    #[test]
    fn containers_merge_by_name_and_ports_by_two_keys() {
        let schema = Schema::builtin();
        let containers = ["spec", "template", "spec", "containers"];
        let list = path(&schema, "apps/v1", "Deployment", &containers);
        assert_eq!(list.merge_keys().as_deref(), Some(["name"].as_slice()));
        let ports = list.elements().field("ports");
        assert_eq!(ports.merge_keys().as_deref(), Some(["containerPort", "protocol"].as_slice()));
    }

    #[test]
    fn finalizers_are_a_set_and_tolerations_are_replaced() {
        let schema = Schema::builtin();
        let finalizers = path(&schema, "v1", "ConfigMap", &["metadata", "finalizers"]);
        assert_eq!(finalizers.merge_keys().as_deref(), Some([].as_slice()));
        let tolerations = path(&schema, "v1", "Pod", &["spec", "tolerations"]);
        assert_eq!(tolerations.merge_keys(), None);
    }

    #[test]
    fn a_custom_schema_refers_to_the_built_in_one_only_where_it_joins_it() {
        let mut document = Value::map();
        let kind = ["definitions", "a.Foo", "x-kubernetes-group-version-kind"];
        let mut gvk = Value::map();
        for (key, text) in [("group", "a"), ("version", "v1"), ("kind", "Foo")] {
            gvk.set(&[key], Value::string(text));
        }
        document.set(&kind, Value::List([gvk].into_iter().collect()));
        let reference = Value::string("#/definitions/io.k8s.api.core.v1.PodSpec");
        document.set(&["definitions", "a.Foo", "properties", "pod", "$ref"], reference);
        let known = |relation| {
            let schema = Schema::from_openapi(&document, relation);
            let containers = path(&schema, "a/v1", "Foo", &["pod", "containers"]);
            (containers.merge_keys().is_some(), schema.kind("v1", "Pod").is_some())
        };
        assert_eq!(known(Relation::Instead), (false, false));
        assert_eq!(known(Relation::Over), (true, true));
        assert_eq!(known(Relation::Under), (true, true));
    }

    #[test]
    fn a_circle_of_references_is_nothing_known() {
        let mut document = Value::map();
        document.set(
            &["definitions", "a", "properties", "b", "$ref"],
            Value::string("#/definitions/c"),
        );
        document.set(&["definitions", "c", "$ref"], Value::string("#/definitions/c"));
        let schema = Schema::from_openapi(&document, Relation::Instead);
        let custom = schema.custom.as_deref().expect("custom");
        let a = custom.definitions.get("a").expect("defined");
        assert!(Place::Custom { custom: Some(custom), schema: a }.field("b").is_none());
    }
}
