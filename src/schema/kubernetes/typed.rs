//! From an OpenAPI definition to the types of server-side apply.
//!
//! Source: kube-openapi `pkg/schemaconv/{openapi,smd}.go`.

use std::sync::Arc;

use super::{Definition, Minor, Name, Node, Property, Shape, Topology};
use crate::ssa::Schema;
use crate::ssa::schema::{Atom, Field, List, Map, Relationship, Scalar, TypeId, TypeRef};

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// The types that a definition needs, and which of them it is.
pub(super) fn convert(minor: &Minor, definition: &Definition, name: Name) -> (Arc<Schema>, TypeId) {
    let mut schema = Schema::default();
    let untyped = schema.named("__untyped_atomic_");
    let deduced = schema.named("__untyped_deduced_");
    schema.define(untyped, anything(untyped, untyped, Relationship::Atomic));
    schema.define(deduced, anything(untyped, deduced, Relationship::Granular));
    let mut converter = Converter { minor, schema, untyped, deduced, waiting: vec![name] };
    let root = converter.schema.named(definition.name);
    // Types refer to one another, themselves included: each is defined once, from a list.
    while let Some(name) = converter.waiting.pop() {
        if let Some(definition) = minor.named(name) {
            let id = converter.schema.named(definition.name);
            let atom = converter.definition(definition);
            converter.schema.define(id, atom);
        }
    }
    (Arc::new(converter.schema), root)
}

/// A value whose type nothing is known of.
fn anything(element: TypeId, value: TypeId, relationship: Relationship) -> Atom {
    let list =
        List { element: element.into(), relationship: Relationship::Atomic, keys: Vec::new() };
    let map = Map { element: Some(value.into()), relationship, ..Map::default() };
    Atom { scalar: Some(Scalar::Untyped), list: Some(list), map: Some(map) }
}

struct Converter<'a> {
    minor: &'a Minor,
    schema: Schema,
    untyped: TypeId,
    deduced: TypeId,
    /// Definitions that were referred to.
    waiting: Vec<Name>,
}

impl Converter<'_> {
    fn definition(&mut self, definition: &Definition) -> Atom {
        match definition.name {
            QUANTITY => scalar(Scalar::Untyped),
            RAW_EXTENSION => self.schema.atom(self.untyped).clone(),
            _ => self.atom(&definition.node, &definition.properties),
        }
    }

    fn atom(&mut self, node: &Node, properties: &[Property]) -> Atom {
        match &node.shape {
            Shape::Any | Shape::Reference(_) => {
                let (list, map) = (self.list(node, None), self.map(node, properties, None));
                Atom { scalar: Some(Scalar::Untyped), list: Some(list), map: Some(map) }
            }
            Shape::Object(values) => {
                let map = self.map(node, properties, values.as_deref());
                Atom { map: Some(map), ..Atom::default() }
            }
            Shape::List(element) => {
                let list = self.list(node, Some(element));
                Atom { list: Some(list), ..Atom::default() }
            }
            Shape::Integer | Shape::Number => scalar(Scalar::Numeric),
            Shape::Boolean => scalar(Scalar::Boolean),
            Shape::String if matches!(node.format, "" | "byte") => scalar(Scalar::String),
            Shape::String => scalar(Scalar::Untyped),
        }
    }

    fn list(&mut self, node: &Node, element: Option<&Node>) -> List {
        let (relationship, keys) = list_relationship(node);
        let element = match element {
            Some(element) => self.reference(element),
            None => self.untyped.into(),
        };
        List { element, relationship, keys }
    }

    fn map(&mut self, node: &Node, properties: &[Property], values: Option<&Node>) -> Map {
        let fields = properties
            .iter()
            .map(|property| Field {
                name: property.name.into(),
                kind: self.reference(&property.node),
                default: property.node.default_value(),
            })
            .collect();
        let element = match values {
            Some(values) => Some(self.reference(values)),
            None if properties.is_empty() || node.keeps_unknown => Some(self.deduced.into()),
            None => None,
        };
        Map { fields, element, relationship: map_relationship(node).unwrap_or_default() }
    }

    fn reference(&mut self, node: &Node) -> TypeRef {
        let Shape::Reference(name) = node.shape else {
            let atom = self.atom(node, &[]);
            return self.schema.add(atom).into();
        };
        let Some(definition) = self.minor.named(name) else { return self.deduced.into() };
        let id = match self.schema.find(definition.name) {
            Some(id) => id,
            None => {
                self.waiting.push(name);
                self.schema.named(definition.name)
            }
        };
        TypeRef { id, relationship: map_relationship(node) }
    }
}

fn scalar(scalar: Scalar) -> Atom {
    Atom { scalar: Some(scalar), ..Atom::default() }
}

/// Old types say only how a patch treats the list, which then decides.
fn list_relationship(node: &Node) -> (Relationship, Vec<String>) {
    match &node.topology {
        Some(Topology::Set) => (Relationship::Granular, Vec::new()),
        Some(Topology::Keyed(keys)) => {
            (Relationship::Granular, keys.iter().map(|&key| key.into()).collect())
        }
        Some(Topology::AtomicList) => (Relationship::Atomic, Vec::new()),
        _ if node.patch.merge => {
            (Relationship::Granular, node.patch.key.into_iter().map(String::from).collect())
        }
        _ => (Relationship::Atomic, Vec::new()),
    }
}

fn map_relationship(node: &Node) -> Option<Relationship> {
    match node.topology {
        Some(Topology::AtomicMap) => Some(Relationship::Atomic),
        Some(Topology::GranularMap) => Some(Relationship::Granular),
        _ => None,
    }
}
