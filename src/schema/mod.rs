//! What is known about kinds: scopes, and how their lists merge.
//!
//! Kustomize carries the OpenAPI of Kubernetes v1.21.2 and knows no newer kinds, whatever the cluster
//! runs; so do we. The little of it that changes an output is in [`table`], which is searched as it
//! lies in the binary. A schema that the user names (`openapi.path`) takes its place as a whole.

mod table;

use std::borrow::Cow;
use std::sync::Arc;

use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::resource::Gvk;
use crate::value::Value;

/// Longest chain of `$ref`; a longer one is a circle.
const MAX_REFERENCES: usize = 64;

/// How the lists of all kinds merge: as built in, or as the user's own file says.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    custom: Option<Arc<Custom>>,
}

/// The definitions of a user's OpenAPI file.
#[derive(Debug, Default)]
struct Custom {
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

/// What a schema says about one place in a document.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a>(Place<'a>);

#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Known { keys: Option<&'static [&'static str]>, node: u16 },
    Custom { custom: &'a Custom, schema: &'a Value },
}

/// Whether kustomize knows the kind to live outside namespaces.
#[must_use]
pub fn is_cluster_scoped(gvk: &Gvk) -> bool {
    search(table::CLUSTER_SCOPED, |&(kind, version)| (kind, version), gvk).is_some()
}

/// The entry of a kind in a table that is sorted by kind and `apiVersion`.
fn search<T>(
    table: &'static [T],
    key: impl Fn(&T) -> (&'static str, &'static str),
    gvk: &Gvk,
) -> Option<&'static T> {
    let at = table.binary_search_by(|entry| {
        let (kind, version) = key(entry);
        kind.cmp(&gvk.kind).then_with(|| compare_version(version, gvk))
    });
    at.ok().map(|index| &table[index])
}

/// Compares a written `apiVersion` with that of `gvk`, without building it.
fn compare_version(written: &str, gvk: &Gvk) -> std::cmp::Ordering {
    let slash = if gvk.group.is_empty() { "" } else { "/" };
    let parts = [gvk.group.as_str(), slash, gvk.version.as_str()];
    written.bytes().cmp(parts.into_iter().flat_map(str::bytes))
}

impl Schema {
    /// The one that kustomize carries.
    #[must_use]
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The one of an OpenAPI v2 document, which takes the place of the built-in one: kinds that it
    /// does not define have no lists that merge.
    ///
    /// Source: kustomize `kyaml/openapi/openapi.go`, `parse`.
    #[must_use]
    pub fn from_openapi(document: &Value) -> Self {
        let definitions = document.get("definitions").cloned().unwrap_or_default();
        let kinds = kinds_of(&definitions);
        let cluster_scoped = document.get("paths").map(scopes_of).unwrap_or_default();
        Self { custom: Some(Arc::new(Custom { definitions, kinds, cluster_scoped })) }
    }

    /// Whether the kind is known to live outside namespaces; the built-in kinds keep their scope
    /// under a custom schema.
    #[must_use]
    pub fn is_cluster_scoped(&self, gvk: &Gvk) -> bool {
        let custom = || {
            let custom = self.custom.as_ref()?;
            let key = (gvk.kind.clone(), gvk.api_version());
            search(table::KINDS, |&(kind, version, _)| (kind, version), gvk)
                .is_none()
                .then(|| custom.cluster_scoped.get(&key).copied().unwrap_or(false))
        };
        is_cluster_scoped(gvk) || custom().unwrap_or(false)
    }

    /// What is known about objects of a kind.
    #[must_use]
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Type<'_>> {
        let Some(custom) = &self.custom else {
            let gvk = Gvk::new(api_version, kind);
            let entry = search(table::KINDS, |&(kind, version, _)| (kind, version), &gvk)?;
            return Some(Type(Place::Known { keys: None, node: entry.2 }));
        };
        let name = custom.kinds.get(&(kind.into(), api_version.into()))?;
        let schema = custom.definitions.get(name)?;
        Some(Type(Place::Custom { custom, schema }))
    }
}

impl<'a> Type<'a> {
    /// What is known about a field.
    ///
    /// For built-in kinds every field counts as known, so that nothing below looks for a kind of its own.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Self> {
        match self.0 {
            Place::Known { keys: Some(_), .. } => None,
            Place::Known { keys: None, node } => Some(Self(known_field(node, name))),
            Place::Custom { custom, schema } => {
                let properties = schema.get("properties").and_then(|all| all.get(name));
                let extra = || schema.get("additionalProperties").filter(|v| v.as_map().is_some());
                custom.resolve(properties.or_else(extra)?)
            }
        }
    }

    /// What is known about the elements of a list.
    #[must_use]
    pub fn elements(self) -> Option<Self> {
        match self.0 {
            Place::Known { keys, node } => keys.map(|_| Self(Place::Known { keys: None, node })),
            Place::Custom { custom, schema } => {
                let is_list = schema.text_at(&["type"]) == Some("array");
                custom.resolve(schema.get("items").filter(|_| is_list)?)
            }
        }
    }

    /// The keys by which the elements of a list are told apart, none for a set of scalars; `None`
    /// where the list is replaced as a whole.
    ///
    /// Source: kustomize `kyaml/openapi/openapi.go`, `PatchStrategyAndKeyList`.
    #[must_use]
    pub fn merge_keys(self) -> Option<Cow<'a, [&'a str]>> {
        match self.0 {
            Place::Known { keys, .. } => keys.map(Cow::Borrowed),
            Place::Custom { schema, .. } => custom_keys(schema).map(Cow::Owned),
        }
    }

    /// Whether no list below merges.
    #[must_use]
    pub fn is_plain(self) -> bool {
        matches!(self.0, Place::Known { keys: None, node: 0 })
    }
}

fn known_field(node: u16, name: &str) -> Place<'static> {
    let fields = table::NODES.get(usize::from(node)).copied().unwrap_or_default();
    let find = |name: &str| fields.binary_search_by(|field| field.name.cmp(name)).ok();
    match find(name).or_else(|| find("*")) {
        Some(at) => Place::Known { keys: fields[at].keys, node: fields[at].node },
        None => Place::Known { keys: None, node: 0 },
    }
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

impl Custom {
    /// Follows `$ref`.
    fn resolve<'a>(&'a self, mut schema: &'a Value) -> Option<Type<'a>> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = schema.text_at(&["$ref"]) else {
                return Some(Type(Place::Custom { custom: self, schema }));
            };
            schema = self.definitions.get(reference.strip_prefix("#/definitions/")?)?;
        }
        None
    }
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
            "[]" => place.elements().expect("a list that merges"),
            name => place.field(name).expect("a known field"),
        })
    }

    #[test]
    fn tables_are_sorted() {
        assert!(table::CLUSTER_SCOPED.is_sorted());
        assert!(table::KINDS.is_sorted());
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
        let ports = list.elements().and_then(|one| one.field("ports")).expect("ports");
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
    fn a_circle_of_references_is_nothing_known() {
        let mut document = Value::map();
        document.set(
            &["definitions", "a", "properties", "b", "$ref"],
            Value::string("#/definitions/c"),
        );
        document.set(&["definitions", "c", "$ref"], Value::string("#/definitions/c"));
        let schema = Schema::from_openapi(&document);
        let custom = schema.custom.as_deref().expect("custom");
        let a = custom.definitions.get("a").expect("defined");
        assert!(Type(Place::Custom { custom, schema: a }).field("b").is_none());
    }
}
