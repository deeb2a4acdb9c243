//! The built-in kinds of Kubernetes 1.29 to 1.37: their schemas, and what a server of each minor
//! tells of them.
//!
//! ```
//! # use overlay::schema::kubernetes;
//! let minor = kubernetes::minor(36).expect("1.36 is there");
//! let deployment = minor.kind("apps", "v1", "Deployment").expect("a built-in kind");
//! let spec = minor.follow(&deployment.property("spec").expect("a field").node);
//! assert!(spec.and_then(|spec| spec.property("replicas")).is_some());
//! let (schema, root) = minor.schema("apps", "v1", "Deployment").expect("a built-in kind");
//! assert!(schema.atom(root).map.is_some());
//! let resource = minor.resource_of("apps", "v1", "Deployment").expect("a resource");
//! assert_eq!((resource.name, resource.namespaced), ("deployments", true));
//! ```
//!
//! Everything lies in one compressed file in the binary, 40 KB, that `generate.py` beside it writes.
//! It is inflated once, when the first minor is asked for; a definition is read when it is used.
//!
//! # Where it comes from
//!
//! The definitions and their lists: the OpenAPI of each minor, as the package `kubernetes-validate`
//! carries it. Defaults, enumerations and Go's tags (which fields are pointers, which are left out
//! when empty): Kubernetes 1.36, looked up by name, for definitions that 1.36 does not have in another
//! version of the same kind.
//!
//! Discovery of 1.36 is a server's own. That of other minors is inferred: a resource is there
//! where the minor defines its kind; its names, verbs and subresources are those of 1.36, of the same
//! version or of another one of the kind. A stable version is served unasked, an alpha or a beta
//! is not, but for `flowcontrol.apiserver.k8s.io/v1beta3`, which began before that rule. The order of
//! groups is that of 1.36. Kinds that 1.36 does not have get the usual verbs and a plural by rule.
//!
//! Compared with the files that Kubernetes 1.31 has of itself, every resource agrees, with its verbs,
//! names and subresources, and of 2,585 fields three have another default.

mod decode;
pub mod numbers;
mod typed;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock, OnceLock};

use crate::ssa;
use crate::ssa::schema::TypeId;
use decode::{Packed, TABLES};

/// The minors that are known, of Kubernetes 1.
pub const MINORS: RangeInclusive<u32> = 29..=37;

/// The minor whose answers were measured.
pub const MEASURED: u32 = 36;

/// One minor of Kubernetes: its definitions, kinds and resources.
pub struct Minor {
    /// E.g. 36.
    pub number: u32,
    /// Its bit in masks.
    bit: u16,
    /// The definition of each name, `None` for names of other minors.
    definitions: Vec<Option<&'static Packed>>,
    /// In order of their types.
    kinds: Vec<Kind>,
    /// In the order of discovery.
    resources: Vec<&'static Resource>,
}

struct Kind {
    of: Type,
    packed: &'static Packed,
    schema: OnceLock<(Arc<ssa::Schema>, TypeId)>,
}

/// Group, version and kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    /// Empty for the core group.
    pub group: &'static str,
    /// E.g. `v1`.
    pub version: &'static str,
    /// E.g. `Deployment`.
    pub kind: &'static str,
}

/// One definition of the OpenAPI, e.g. `io.k8s.api.core.v1.PodSpec`.
#[derive(Debug)]
pub struct Definition {
    /// E.g. `io.k8s.api.core.v1.PodSpec`.
    pub name: &'static str,
    /// The kinds that it defines; none for parts of kinds.
    pub kinds: Vec<Type>,
    /// What it is: an object with the properties, or something else, e.g. a string that is a time.
    pub node: Node,
    /// In order of name.
    pub properties: Vec<Property>,
}

/// A field of an object.
#[derive(Debug)]
pub struct Property {
    /// E.g. `replicas`.
    pub name: &'static str,
    /// Its place among the fields of the Go struct, from 0.
    pub order: usize,
    /// What it holds.
    pub node: Node,
}

/// What a schema says about one place.
#[derive(Debug)]
pub struct Node {
    /// Which values there may be.
    pub shape: Shape,
    /// E.g. `int32`, `date-time`, `int-or-string`; empty for none.
    pub format: &'static str,
    /// `x-kubernetes-list-type` and `x-kubernetes-map-type`.
    pub topology: Option<Topology>,
    /// How a strategic merge patch treats it.
    pub patch: Patch,
    /// The default as JSON, e.g. `"TCP"` or `{}`; empty for none.
    pub default: &'static str,
    /// All values that there may be; empty where any is.
    pub choices: Vec<&'static str>,
    /// Whether the field must be there.
    pub required: bool,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub keeps_unknown: bool,
    /// How Go holds the field.
    pub go: Go,
}

/// Which values there may be.
#[derive(Debug)]
pub enum Shape {
    /// Anything, e.g. JSON, a quantity, a number or a string.
    Any,
    /// An object; with the node of its values where its keys are free.
    Object(Option<Box<Node>>),
    /// A list, with the node of its elements.
    List(Box<Node>),
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// What the definition of that name says.
    Reference(Name),
}

/// The name of a definition, for [`Minor::named`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(u16);

/// How the parts of a list or a map are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// The list has one owner.
    AtomicList,
    /// Each element names itself.
    Set,
    /// Elements are named by these fields.
    Keyed(Vec<&'static str>),
    /// The map has one owner.
    AtomicMap,
    /// Each key has an owner.
    GranularMap,
}

/// `x-kubernetes-patch-strategy` and `x-kubernetes-patch-merge-key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Elements are merged.
    pub merge: bool,
    /// Only keys that the patch names stay.
    pub retain_keys: bool,
    /// The whole is replaced.
    pub replace: bool,
    /// The field that tells elements apart; `None` for scalars.
    pub key: Option<&'static str>,
}

/// How a field is held and written by Go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Go {
    /// The type where it does not follow from the schema, e.g. `v1.Protocol`, without a `*` in
    /// front; empty where it does.
    pub name: &'static str,
    /// Whether it is a pointer: a zero is kept, absence is not zero.
    pub pointer: bool,
    /// `omitempty`: a zero is left out, a struct is not.
    pub omit_empty: bool,
    /// `omitzero`: a zero is left out, a struct too.
    pub omit_zero: bool,
}

/// What discovery says about a resource.
#[derive(Debug)]
pub struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    /// E.g. `v1`.
    pub version: &'static str,
    /// E.g. `deployments`.
    pub name: &'static str,
    /// E.g. `deployment`.
    pub singular: &'static str,
    /// Group and version are empty where they are those of the resource.
    pub kind: Type,
    /// Whether it lives in namespaces.
    pub namespaced: bool,
    /// In order of name.
    pub verbs: Vec<&'static str>,
    /// E.g. `deploy`.
    pub short_names: Vec<&'static str>,
    /// E.g. `all`.
    pub categories: Vec<&'static str>,
    /// Of the version it is stored in; empty where not known.
    pub storage_hash: &'static str,
    /// E.g. `status`; [`Minor::subresources`] leaves out those that came later.
    pub subresources: Vec<Subresource>,
    minors: u16,
    served: u16,
}

/// A part of a resource with verbs of its own.
#[derive(Debug)]
pub struct Subresource {
    /// E.g. `scale`.
    pub name: &'static str,
    /// Group and version are empty where they are those of the resource.
    pub kind: Type,
    /// In order of name.
    pub verbs: Vec<&'static str>,
    minors: u16,
}

/// The minor of that number, e.g. 36; `None` where it is not one of [`MINORS`].
pub fn minor(number: u32) -> Option<&'static Minor> {
    static ALL: LazyLock<Vec<OnceLock<Minor>>> =
        LazyLock::new(|| MINORS.map(|_| OnceLock::new()).collect());
    let at = number.checked_sub(*MINORS.start())? as usize;
    Some(ALL.get(at)?.get_or_init(|| Minor::read(number, 1 << at)))
}

impl Minor {
    fn read(number: u32, bit: u16) -> Self {
        let tables = &*TABLES;
        let mut definitions = vec![None; tables.names.len()];
        let mut kinds = Vec::new();
        for packed in tables.definitions.iter().filter(|packed| packed.minors & bit != 0) {
            definitions[packed.name.place()] = Some(packed);
            let own = packed.kinds(tables).into_iter();
            kinds.extend(own.map(|of| Kind { of, packed, schema: OnceLock::new() }));
        }
        kinds.sort_by_key(|kind| kind.of);
        let of_minor = |resource: &&Resource| resource.minors & bit != 0;
        let resources = tables.resources.iter().filter(of_minor).collect();
        Self { number, bit, definitions, kinds, resources }
    }

    /// The definition of a kind, whether or not it is served unasked.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&'static Definition> {
        Some(self.entry(group, version, kind)?.packed.get())
    }

    /// All kinds, in order of group, version and kind; lists and parameters are among them.
    pub fn kinds(&self) -> impl Iterator<Item = (Type, &'static Definition)> + '_ {
        self.kinds.iter().map(|kind| (kind.of, kind.packed.get()))
    }

    /// The types of a kind as server-side apply sees them, and which of them the kind is; read once
    /// and kept.
    ///
    /// Source: kube-openapi `pkg/schemaconv/openapi.go`, `ToSchemaFromOpenAPI`, as a kube-apiserver
    /// calls it for its own kinds.
    pub fn schema(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Option<(Arc<ssa::Schema>, TypeId)> {
        let kind = self.entry(group, version, kind)?;
        let (schema, root) =
            kind.schema.get_or_init(|| typed::convert(self, kind.packed.get(), kind.packed.name));
        Some((Arc::clone(schema), *root))
    }

    fn entry(&self, group: &str, version: &str, kind: &str) -> Option<&Kind> {
        let wanted = (group, version, kind);
        let at = self
            .kinds
            .binary_search_by(|kind| (kind.of.group, kind.of.version, kind.of.kind).cmp(&wanted));
        self.kinds.get(at.ok()?)
    }

    /// The definition of that name in this minor, e.g. `io.k8s.api.core.v1.PodSpec`.
    pub fn definition(&self, name: &str) -> Option<&'static Definition> {
        let at = TABLES.names.binary_search_by(|known| (**known).cmp(name)).ok()?;
        Some((*self.definitions.get(at)?)?.get())
    }

    /// What a [`Shape::Reference`] leads to.
    pub fn named(&self, name: Name) -> Option<&'static Definition> {
        Some((*self.definitions.get(name.place())?)?.get())
    }

    /// The definition that a node refers to; `None` where it says itself what it is.
    pub fn follow(&self, node: &Node) -> Option<&'static Definition> {
        match node.shape {
            Shape::Reference(name) => self.named(name),
            _ => None,
        }
    }

    /// All resources, in the order of discovery: groups, then versions with the preferred one
    /// first, then names.
    pub fn resources(&self) -> impl Iterator<Item = &'static Resource> + '_ {
        self.resources.iter().copied()
    }

    /// The resources that a server serves unless it is told otherwise.
    pub fn served(&self) -> impl Iterator<Item = &'static Resource> + '_ {
        self.resources().filter(|resource| self.serves(resource))
    }

    /// Whether a server serves it unless it is told otherwise.
    pub fn serves(&self, resource: &Resource) -> bool {
        resource.served & self.bit != 0
    }

    /// The resource that holds objects of a kind, served or not.
    pub fn resource_of(&self, group: &str, version: &str, kind: &str) -> Option<&'static Resource> {
        let wanted = (group, version, kind);
        let find =
            |resource: &&Resource| (resource.group, resource.version, resource.kind.kind) == wanted;
        self.resources().find(find)
    }

    /// The resource of that name, e.g. `apps`, `v1`, `deployments`, served or not.
    pub fn resource(&self, group: &str, version: &str, name: &str) -> Option<&'static Resource> {
        let wanted = (group, version, name);
        self.resources()
            .find(|resource| (resource.group, resource.version, resource.name) == wanted)
    }

    /// The subresources that this minor has of a resource.
    pub fn subresources(
        &self,
        resource: &'static Resource,
    ) -> impl Iterator<Item = &'static Subresource> + '_ {
        resource.subresources.iter().filter(|part| part.minors & self.bit != 0)
    }
}

impl Definition {
    /// The field of that name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        let at = self.properties.binary_search_by(|property| property.name.cmp(name)).ok()?;
        self.properties.get(at)
    }

    /// The name without its package, as Go's is, e.g. `PodSpec`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit_once('.').map_or(self.name, |(_, name)| name)
    }
}

impl Node {
    /// The default, if there is one.
    pub fn default_value(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.default).ok()
    }
}

impl Name {
    fn place(self) -> usize {
        usize::from(self.0)
    }
}

impl Resource {
    /// Group, version and kind of its objects.
    pub fn object(&self) -> Type {
        self.kind.within(self)
    }
}

impl Subresource {
    /// Group, version and kind of what it takes and gives, e.g. `autoscaling/v1, Scale`.
    pub fn object(&self, resource: &Resource) -> Type {
        self.kind.within(resource)
    }
}

impl Type {
    /// With group and version of the resource where it has none of its own.
    fn within(self, resource: &Resource) -> Self {
        if self.version.is_empty() {
            Self { group: resource.group, version: resource.version, kind: self.kind }
        } else {
            self
        }
    }
}

impl fmt::Debug for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minor").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
