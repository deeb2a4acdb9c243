//! What Go writes of an object that it holds: empty fields left out or written as its tags say.
//!
//! Source: Go `encoding/json/encode.go`, `isEmptyValue`; apimachinery `pkg/runtime/converter.go`, `ToUnstructured`.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::types::{SCHEMA, Special, special};
use crate::schema::kubernetes::{Definition, Minor, Node, Property, Shape};

/// The first minor whose metadata leave out a `creationTimestamp` that is not set. Source: `omitzero`
/// in apimachinery 0.34.
const OMITS_CREATION: u32 = 34;

/// Where an object is written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// Into a document, which keeps empty lists and maps that are not left out.
    Document,
    /// Into the memory of a server, which keeps those too, until it is worked out who owns what.
    Memory,
    /// Into a server's store and out of it again. Most groups are stored as protobuf, which has no empty lists and
    /// maps.
    Store,
}

/// Makes an object what Go would write of it, and says whether its spec, or its webhooks, has or had empty lists, maps
/// or bytes: Go tells them from those that are not there.
pub fn encode(
    object: &mut Value,
    minor: &Minor,
    definition: &'static Definition,
    target: Target,
) -> bool {
    // The groups whose objects are stored as JSON, which keeps empty lists.
    let group = definition.kinds.first().map_or("", |kind| kind.group);
    let is_json = matches!(group, "apiextensions.k8s.io" | "apiregistration.k8s.io");
    let keeps_empty = is_json || target != Target::Store;
    let encoder = Encoder { minor, target, keeps_empty, hollow: Cell::new(false) };
    let mut is_hollow = false;
    if let Value::Object(object) = object {
        for property in &definition.properties {
            encoder.hollow.set(false);
            encoder.property(object, property, definition, 0);
            is_hollow |= matches!(property.name, "spec" | "webhooks") && encoder.hollow.get();
        }
    }
    is_hollow
}

struct Encoder<'a> {
    minor: &'a Minor,
    target: Target,
    keeps_empty: bool,
    /// Whether there was an empty list or map, or bytes of which there are none.
    hollow: Cell<bool>,
}

impl Encoder<'_> {
    fn object(
        &self,
        object: &mut Map<String, Value>,
        definition: &'static Definition,
        depth: usize,
    ) {
        for property in &definition.properties {
            self.property(object, property, definition, depth);
        }
    }

    fn property(
        &self,
        object: &mut Map<String, Value>,
        property: &Property,
        definition: &'static Definition,
        depth: usize,
    ) {
        let written = match object.get_mut(property.name) {
            None | Some(Value::Null) => {
                let empty = self.unset(property, definition, depth);
                if let Some(empty) = empty {
                    object.insert(property.name.into(), empty);
                    return;
                }
                false
            }
            Some(value) => match self.value(value, &property.node, depth + 1) {
                true => true,
                // For the server no policies are not the same as none given, and are refused.
                false if self.target != Target::Document && is_policies(property, definition) => {
                    true
                }
                // What is set to nothing, in a field that is always written.
                false if always(&property.node) => {
                    *value = Value::Null;
                    true
                }
                false => false,
            },
        };
        if !written {
            object.remove(property.name);
        }
    }

    /// What is written of a field that is not set.
    fn unset(
        &self,
        property: &Property,
        definition: &'static Definition,
        depth: usize,
    ) -> Option<Value> {
        let (node, go) = (&property.node, property.node.go);
        if go.omit_zero {
            let nested = depth > 1 && definition.short_name() == "ObjectMeta";
            let old = self.minor.number < OMITS_CREATION;
            return (nested && old && property.name == "creationTimestamp").then_some(Value::Null);
        }
        if go.pointer {
            return always(node).then_some(Value::Null);
        }
        if let Shape::Reference(name) = node.shape {
            return self.zero(self.minor.named(name)?, go.omit_empty, depth);
        }
        if go.omit_empty {
            return None;
        }
        Some(match node.shape {
            Shape::String if node.format != "byte" => "".into(),
            Shape::Integer | Shape::Number => 0.into(),
            Shape::Boolean => false.into(),
            _ => Value::Null,
        })
    }

    /// A struct that is not set, or what stands for it.
    fn zero(&self, definition: &'static Definition, omit: bool, depth: usize) -> Option<Value> {
        match special(definition) {
            Some(Special::Quantity) => Some("0".into()),
            Some(Special::IntOrString) => Some(0.into()),
            Some(_) => Some(Value::Null),
            None if matches!(definition.node.shape, Shape::Object(None)) => {
                let mut object = Map::new();
                self.object(&mut object, definition, depth + 1);
                Some(object.into())
            }
            None => (!omit).then(|| match definition.node.shape {
                Shape::String => "".into(),
                _ => Value::Null,
            }),
        }
    }

    /// Whether anything is left to write.
    fn value(&self, value: &mut Value, node: &Node, depth: usize) -> bool {
        let omits = node.go.omit_empty && !node.go.pointer;
        match (&node.shape, &mut *value) {
            (Shape::Reference(name), _) => {
                if let Some(definition) = self.minor.named(*name) {
                    self.defined(value, definition, depth);
                }
                let empty = value.as_object().is_some_and(Map::is_empty);
                !(node.go.omit_zero && !node.go.pointer && empty)
            }
            (Shape::List(element), Value::Array(list)) => {
                for value in list.iter_mut() {
                    self.value(value, element, depth);
                }
                !(list.is_empty() && self.leaves_out(omits))
            }
            (Shape::Object(Some(values)), Value::Object(object)) => {
                for (_, value) in object.iter_mut() {
                    self.value(value, values, depth);
                    // What is stored has no bytes that are not there.
                    if value.is_null() && values.format == "byte" && !self.keeps_empty {
                        *value = "".into();
                    }
                }
                !(object.is_empty() && self.leaves_out(omits))
            }
            (Shape::String, Value::String(text)) => {
                let is_hollow = node.format == "byte" && text.is_empty();
                self.hollow.set(self.hollow.get() || is_hollow);
                !(omits && text.is_empty())
            }
            (Shape::Integer | Shape::Number, Value::Number(number)) => {
                !(omits && number.as_f64() == Some(0.0))
            }
            (Shape::Boolean, Value::Bool(set)) => !omits || *set,
            _ => true,
        }
    }

    /// Whether an empty list or map is left out.
    fn leaves_out(&self, omits: bool) -> bool {
        self.hollow.set(true);
        omits || !self.keeps_empty
    }

    fn defined(&self, value: &mut Value, definition: &'static Definition, depth: usize) {
        match special(definition) {
            Some(Special::SchemaOr) => self.schema_or(value, depth),
            Some(Special::Quantity) if value.is_null() => *value = "0".into(),
            Some(_) => {}
            None => {
                if let Value::Object(object) = value {
                    self.object(object, definition, depth);
                }
            }
        }
    }

    fn schema_or(&self, value: &mut Value, depth: usize) {
        let Some(schema) = self.minor.definition(SCHEMA) else { return };
        match value {
            Value::Object(object) => self.object(object, schema, depth),
            Value::Array(list) => {
                for value in list.iter_mut().filter_map(Value::as_object_mut) {
                    self.object(value, schema, depth);
                }
            }
            _ => {}
        }
    }
}

/// Whether it is the policies of how a HorizontalPodAutoscaler scales.
fn is_policies(property: &Property, definition: &Definition) -> bool {
    property.name == "policies" && definition.short_name() == "HPAScalingRules"
}

/// Whether the field is written even where it is nothing.
fn always(node: &Node) -> bool {
    !node.go.omit_empty && !node.go.omit_zero
}
