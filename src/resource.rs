//! One Kubernetes object on its way through a build, with what the steps need to remember about it.
//!
//! Kustomize keeps that memory in annotations of the object. Here it is in fields, so the user's
//! object holds only what the user wrote; see [`Resource::settle_annotations`] for the one trace
//! that kustomize's habit leaves in its output.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use ecow::{EcoString, EcoVec};
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use crate::error::Place;
use crate::schema::Comments;
use crate::twins::{self, Twins};
use crate::value::{Map, Scalar, Value};
use crate::yaml::{self, Step, plain_key};

/// Group, version and kind.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Gvk {
    /// Empty for the core group.
    pub group: EcoString,
    /// Empty where `apiVersion` is missing.
    pub version: EcoString,
    /// As written.
    pub kind: EcoString,
}

/// Group, version and kind where they are written; see [`Gvk`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Kind<'a> {
    /// Empty for the core group.
    pub group: &'a str,
    /// Empty where `apiVersion` is missing.
    pub version: &'a str,
    /// As written.
    pub kind: &'a str,
}

/// What an object is addressed by.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// `metadata.name`.
    pub name: EcoString,
    /// `metadata.namespace` as written; see [`Id::effective_namespace`].
    pub namespace: EcoString,
}

/// Where an object comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The file as the user would type it; for generated objects the kustomization file.
    pub file: Arc<str>,
    /// Which document of the file, from 0.
    pub document: usize,
}

/// How a generated ConfigMap or Secret meets one that is there already.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Behavior {
    /// It is an error if there is one.
    #[default]
    Create,
    /// Its keys win over those that are there.
    Merge,
    /// Its keys replace those that are there.
    Replace,
}

/// How kustomize holds an object, which shows where a part of it is copied into a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Written {
    /// As a step made it.
    #[default]
    Made,
    /// As a document of its file.
    Document,
    /// As this item of the list that a document is.
    Item(usize),
    /// As JSON: it was taken out of a list of its own kind.
    Json,
    /// As YAML that a program writes: it went through a JSON patch.
    Encoded,
}

/// One object, its origin and its history.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The object itself.
    pub value: Value,
    /// Where it was written, for messages and `originAnnotations`.
    pub origin: Origin,
    /// The text of its file, for the lines in messages; generated objects have none.
    pub text: Option<Bytes>,
    /// The ids it had before, oldest first.
    pub former: EcoVec<Id>,
    /// The non-empty name prefixes it got, innermost layer first.
    pub prefixes: EcoVec<EcoString>,
    /// The non-empty name suffixes it got, innermost layer first.
    pub suffixes: EcoVec<EcoString>,
    /// Labels and annotations that are set together, whichever of them is set.
    pub twins: EcoVec<Twins>,
    /// For generated objects: how it meets one of the same id.
    pub behavior: Option<Behavior>,
    /// Whether its name gets the hash of its content at the end.
    pub needs_hash: bool,
    /// Whether a strategic merge patch may rename it.
    pub may_change_name: bool,
    /// Whether a strategic merge patch may change its kind.
    pub may_change_kind: bool,
    /// Whether kustomize prints it in brackets on the way, where a blank is a text: it was read from
    /// JSON, or taken out of a list of its own kind.
    pub in_brackets: bool,
    /// How kustomize holds it.
    pub written: Written,
    /// Whether a comment stands below it that adds a line break to the block before, once it is printed;
    /// see [`Resource::settle_end`].
    pub has_comment_below: bool,
    /// Whether a Helm chart made it (its namespace is left alone).
    pub from_helm: bool,
    /// Names of the vars that take their value from it.
    pub named_by: EcoVec<EcoString>,
    /// What `buildMetadata: [originAnnotations]` prints, where it was asked for.
    pub origin_annotation: Option<EcoString>,
    /// One entry for each transformer that changed it, where `transformerAnnotations` asked for them.
    pub transformations: EcoVec<EcoString>,
    /// The schemas that its file has beside fields, for strategic merge patches.
    pub comments: Option<Arc<Comments>>,
}

impl Gvk {
    /// Splits `apiVersion` at its first slash.
    #[must_use]
    pub fn new(api_version: &str, kind: &str) -> Self {
        Kind::new(api_version, kind).into()
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_kind(&self) -> Kind<'_> {
        Kind { group: &self.group, version: &self.version, kind: &self.kind }
    }

    /// `group/version`, or the version alone for the core group.
    #[must_use]
    pub fn api_version(&self) -> EcoString {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            ecow::eco_format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether `pattern` names this one; its blank parts match anything.
    #[must_use]
    pub fn is_selected(&self, pattern: &Self) -> bool {
        self.as_kind().is_selected(pattern)
    }
}

impl<'a> Kind<'a> {
    /// Splits `apiVersion` at its first slash.
    #[must_use]
    pub fn new(api_version: &'a str, kind: &'a str) -> Self {
        let slash = api_version.bytes().position(|byte| byte == b'/');
        let (group, version) = match slash {
            Some(at) => (&api_version[..at], &api_version[at + 1..]),
            None => ("", api_version),
        };
        Self { group, version, kind }
    }

    /// Whether `pattern` names this one; its blank parts match anything.
    #[must_use]
    pub fn is_selected(self, pattern: &Gvk) -> bool {
        (pattern.group.is_empty() || pattern.group == self.group)
            && (pattern.version.is_empty() || pattern.version == self.version)
            && (pattern.kind.is_empty() || pattern.kind == self.kind)
    }
}

impl<'a> From<&'a Gvk> for Kind<'a> {
    fn from(gvk: &'a Gvk) -> Self {
        gvk.as_kind()
    }
}

impl From<Kind<'_>> for Gvk {
    fn from(kind: Kind<'_>) -> Self {
        let Kind { group, version, kind } = kind;
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }
}

/// What is found out once for each kind.
#[derive(Debug)]
pub(crate) struct ByKind<T>(HashTable<(Gvk, T)>);

impl<T> ByKind<T> {
    /// What is known of `kind`, or else what `make` finds out.
    pub(crate) fn of(&mut self, kind: Kind<'_>, make: impl FnOnce() -> T) -> &mut T {
        let hash = |kind: Kind<'_>| FxBuildHasher.hash_one(kind);
        let is_same = |known: &(Gvk, T)| known.0.as_kind() == kind;
        let entry = self.0.entry(hash(kind), is_same, |known| hash(known.0.as_kind()));
        &mut entry.or_insert_with(|| (kind.into(), make())).into_mut().1
    }
}

impl<T> Default for ByKind<T> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl Id {
    /// The namespace with `default` for a blank one, and nothing for kinds known to be cluster-scoped.
    #[must_use]
    pub fn effective_namespace(&self) -> &str {
        effective_namespace(self.gvk.as_kind(), &self.namespace)
    }

    /// Whether both address the same object.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.gvk == other.gvk
            && self.name == other.name
            && self.effective_namespace() == other.effective_namespace()
    }
}

fn effective_namespace<'a>(kind: Kind<'_>, namespace: &'a str) -> &'a str {
    if crate::schema::is_cluster_scoped(kind) {
        // One pseudo namespace for all of them; no real one can be spelt so.
        "_cluster_"
    } else if namespace.is_empty() {
        "default"
    } else {
        namespace
    }
}

impl Resource {
    /// A resource as it was read.
    #[must_use]
    pub fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            text: None,
            former: EcoVec::new(),
            prefixes: EcoVec::new(),
            suffixes: EcoVec::new(),
            twins: EcoVec::new(),
            behavior: None,
            needs_hash: false,
            may_change_name: false,
            may_change_kind: false,
            in_brackets: false,
            written: Written::Made,
            has_comment_below: false,
            from_helm: false,
            named_by: EcoVec::new(),
            origin_annotation: None,
            transformations: EcoVec::new(),
            comments: None,
        }
    }

    /// Where the value at the end of `path` stands in its file, or as much as is known of that.
    #[must_use]
    pub fn place(&self, path: &[Step<'_>]) -> Place {
        let text = self.text.as_ref();
        let at = text.and_then(|text| yaml::locate(text, self.origin.document, path));
        Place { file: self.origin.file.clone(), at }
    }

    /// Whether nothing is left of the object.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.value.is_null() || self.value.as_map().is_some_and(Map::is_empty)
    }

    /// `apiVersion` as written, empty where it is missing.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.value.text_of(["apiVersion"]).unwrap_or_default()
    }

    /// `kind`, empty where it is missing.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.value.text_of(["kind"]).unwrap_or_default()
    }

    /// `metadata.name`, empty where it is missing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.value.text_of(["metadata", "name"]).unwrap_or_default()
    }

    /// `metadata.namespace`, empty where it is missing.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.value.text_of(["metadata", "namespace"]).unwrap_or_default()
    }

    /// Group, version and kind as they are now.
    #[must_use]
    pub fn gvk(&self) -> Gvk {
        self.as_kind().into()
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_kind(&self) -> Kind<'_> {
        Kind::new(self.api_version(), self.kind())
    }

    /// The id it has now.
    #[must_use]
    pub fn id(&self) -> Id {
        let text = |key| {
            let value = self.value.at(&["metadata", key]).filter(|value| !value.is_null());
            // A clone of a long text is a count, where a copy is an allocation.
            value.and_then(Value::as_scalar).map(|scalar| scalar.text.clone()).unwrap_or_default()
        };
        Id { gvk: self.gvk(), name: text("name"), namespace: text("namespace") }
    }

    /// What its id is compared by: group, version and kind, effective namespace and name.
    pub(crate) fn key(&self) -> (Kind<'_>, &str, &str) {
        let kind = self.as_kind();
        (kind, effective_namespace(kind, self.namespace()), self.name())
    }

    /// The first id it had: before any step renamed it.
    #[must_use]
    pub fn original_id(&self) -> Id {
        self.former.first().cloned().unwrap_or_else(|| self.id())
    }

    /// Group, version and kind before any step changed the kind.
    #[must_use]
    pub fn original_kind(&self) -> Kind<'_> {
        let kind = self.as_kind();
        self.former.first().map_or(kind, |id| Kind { kind: &id.gvk.kind, ..kind })
    }

    /// Group, version and kind that go with a former id: kustomize remembers the kind alone.
    ///
    /// Source: kustomize `api/internal/utils/makeResIds.go`.
    #[must_use]
    pub fn former_gvk(&self, id: &Id) -> Gvk {
        Gvk { kind: id.gvk.kind.clone(), ..self.gvk() }
    }

    /// Whether this is or was its name.
    #[must_use]
    pub fn has_or_had_name(&self, name: &str) -> bool {
        self.name() == name || self.former.iter().any(|id| id.name == name)
    }

    /// Every id it had and has, oldest first, as patches and replacements may name it.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        self.former.iter().cloned().chain(std::iter::once(self.id()))
    }

    /// Remembers the present id before a step changes it.
    ///
    /// Kustomize stores the effective namespace.
    pub fn remember_id(&mut self) {
        let mut id = self.id();
        id.namespace = id.effective_namespace().into();
        if self.former.is_empty() {
            self.former.reserve(RENAMED);
        }
        self.former.push(id);
        self.make_room_for_notes();
    }

    /// Takes annotations away that are no mapping: kustomize begins a new one for its notes.
    fn make_room_for_notes(&mut self) {
        if self.value.at(&["metadata", "annotations"]).is_none() {
            return;
        }
        self.drop_blank_annotations();
        if !matches!(self.value.at(&["metadata", "annotations"]), Some(Value::Scalar(_))) {
            return;
        }
        if let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_map_mut) {
            metadata.remove("annotations");
        }
    }

    /// Makes annotations that are there twice one mapping, as kustomize does when it writes its notes:
    /// what the first says is set in the last.
    fn unite_annotations(&mut self) {
        self.drop_blank_annotations();
        if !self.has_annotations_twice() {
            return;
        }
        let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_map_mut) else {
            return;
        };
        while count_annotations(metadata) > 1 {
            let Some(Value::Map(_)) = metadata.get("annotations") else { return };
            let first = settled(metadata.remove("annotations").as_ref(), &NOTES);
            let Some(Value::Map(second)) = metadata.get_mut("annotations") else { return };
            for (key, value) in first.iter() {
                second.insert(&key.text, value.clone());
            }
        }
    }

    /// Of annotations that are there twice those without entries go first.
    fn drop_blank_annotations(&mut self) {
        if !self.has_annotations_twice() {
            return;
        }
        let is_blank = |value: &Value| match value {
            Value::Map(map) => map.is_empty(),
            value => value.is_null(),
        };
        if let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_map_mut) {
            metadata.retain(|key, value| key.text != "annotations" || !is_blank(value));
        }
    }

    fn has_annotations_twice(&self) -> bool {
        self.value
            .get("metadata")
            .and_then(Value::as_map)
            .is_some_and(|map| count_annotations(map) > 1)
    }

    /// Brings twins in line after a step that may have set one of them; gives the paths of those back
    /// that were set along with it.
    pub fn settle_twins(&mut self) -> Vec<String> {
        twins::settle(&mut self.twins, &mut self.value, &|_, _| twins::Said::Nothing)
    }

    /// The same after `patch` was merged.
    pub fn settle_twins_after(&mut self, patch: &Value) -> Vec<String> {
        let said = |way: &[twins::Step], key: &str| twins::said_by(patch, way, key);
        twins::settle(&mut self.twins, &mut self.value, &said)
    }

    /// The labels, where there are any.
    #[must_use]
    pub fn labels(&self) -> Option<&Map> {
        self.value.at(&["metadata", "labels"])?.as_map()
    }

    /// The annotations, where there are any.
    #[must_use]
    pub fn annotations(&self) -> Option<&Map> {
        self.value.at(&["metadata", "annotations"])?.as_map()
    }

    /// Takes over what the user wrote in kustomize's own annotations.
    ///
    /// Only marks that change what is rendered count; [`Resource::settle_annotations`] drops them all.
    pub fn adopt_notes(&mut self) {
        let Some(annotations) = self.annotations() else { return };
        if !annotations.iter().any(|(key, _)| key.text.starts_with("internal.")) {
            return;
        }
        let enabled = |key: &str| annotations.get(key).and_then(Value::as_text) == Some("enabled");
        let (hash, name, kind) = (enabled(NEEDS_HASH), enabled(ALLOW_NAME), enabled(ALLOW_KIND));
        let former = noted_ids(annotations, &self.gvk());
        (self.needs_hash, self.may_change_name, self.may_change_kind) = (hash, name, kind);
        self.former.extend(former);
    }

    /// Prints the object as kustomize does, with its comments, and reads it again without them.
    pub fn settle_end(&mut self) {
        if std::mem::take(&mut self.has_comment_below) {
            yaml::add_break(&mut self.value);
        }
    }

    /// Leaves `metadata` as kustomize does, which keeps its notes in the annotations: its own are
    /// gone, the others are strings, and an empty mapping is gone.
    ///
    /// `kept` names the notes that were asked for.
    pub fn settle_annotations(&mut self, kept: &[&str]) {
        self.unite_annotations();
        if self.value.get("metadata").is_none_or(Value::is_null) {
            self.value.set(&["metadata"], Value::map());
        }
        let Some(metadata) = self.value.get_mut("metadata").and_then(Value::as_map_mut) else {
            return;
        };
        match metadata.get("annotations") {
            None => return,
            Some(annotations) if is_settled(annotations) => return,
            Some(_) => {}
        }
        let left = settled(metadata.get("annotations"), kept);
        if left.is_empty() {
            metadata.remove("annotations");
        } else {
            metadata.insert("annotations", Value::Map(left));
        }
    }
}

/// How often most objects are renamed: by a namespace and a prefix.
const RENAMED: usize = 2;

fn count_annotations(metadata: &Map) -> usize {
    metadata.iter().filter(|(key, _)| key.text == "annotations").count()
}

/// The former ids of an object whose notes tell names, namespaces and kinds in parallel.
fn noted_ids(annotations: &Map, gvk: &Gvk) -> Vec<Id> {
    let list = |key: &str| -> Vec<EcoString> {
        let text = annotations.get(key).and_then(Value::as_text);
        text.into_iter().flat_map(|text| text.split(',')).map(EcoString::from).collect()
    };
    let (names, namespaces, kinds) =
        (list(FORMER_NAMES), list(FORMER_NAMESPACES), list(FORMER_KINDS));
    if names.len() != namespaces.len() || names.len() != kinds.len() {
        return Vec::new();
    }
    let parts = names.into_iter().zip(namespaces).zip(kinds);
    let id = |((name, namespace), kind)| Id { gvk: Gvk { kind, ..gvk.clone() }, name, namespace };
    parts.map(id).collect()
}

const FORMER_KINDS: &str = "internal.config.kubernetes.io/previousKinds";
const FORMER_NAMES: &str = "internal.config.kubernetes.io/previousNames";
const FORMER_NAMESPACES: &str = "internal.config.kubernetes.io/previousNamespaces";
const NEEDS_HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";
const ALLOW_NAME: &str = "internal.config.kubernetes.io/allowNameChange";
const ALLOW_KIND: &str = "internal.config.kubernetes.io/allowKindChange";

/// The annotations that kustomize takes for its own notes and removes from its output.
///
/// Source: kustomize `api/resource/resource.go`, `BuildAnnotations`.
const NOTES: [&str; 21] = [
    "alpha.config.kubernetes.io/transformations",
    "config.k8s.io/id",
    "config.kubernetes.io/index",
    "config.kubernetes.io/origin",
    "config.kubernetes.io/path",
    ALLOW_KIND,
    ALLOW_NAME,
    "internal.config.kubernetes.io/annotations-migration-resource-id",
    "internal.config.kubernetes.io/generatorBehavior",
    "internal.config.kubernetes.io/helm-generated",
    "internal.config.kubernetes.io/id",
    "internal.config.kubernetes.io/index",
    NEEDS_HASH,
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/prefixes",
    FORMER_KINDS,
    FORMER_NAMES,
    FORMER_NAMESPACES,
    "internal.config.kubernetes.io/refBy",
    "internal.config.kubernetes.io/seqindent",
    "internal.config.kubernetes.io/suffixes",
];

fn is_settled(annotations: &Value) -> bool {
    let Value::Map(map) = annotations else { return false };
    !map.is_empty()
        && map.twice().is_none()
        && map.iter().all(|(key, value)| {
            let is_string = value.as_scalar().is_some_and(Scalar::is_as_set);
            is_string && !plain_key(&key.text).typed && !NOTES.contains(&key.text.as_str())
        })
}

/// The annotations as kustomize writes them: of a key that is there twice the last.
fn settled(annotations: Option<&Value>, kept: &[&str]) -> Map {
    let Some(Value::Map(annotations)) = annotations else { return Map::default() };
    let stays = |key: &str| kept.contains(&key) || !NOTES.contains(&key);
    let text = |value: &Value| Value::string(value.as_text().unwrap_or_default());
    let kept = annotations.iter().filter(|(key, _)| stays(&key.text));
    if annotations.twice().is_none() {
        return kept.map(|(key, value)| (plain_key(&key.text), text(value))).collect();
    }
    let last: BTreeMap<_, _> = kept.map(|(key, value)| (&key.text, text(value))).collect();
    last.into_iter().map(|(key, value)| (plain_key(key), value)).collect()
}
