//! The schema of a kind as ownership sees it: which lists are sets or have keys, what changes as a
//! whole.
//!
//! Source: apiextensions-apiserver `pkg/controller/openapi/builder/builder.go`, `buildKubeNative`,
//! and kube-openapi `pkg/schemaconv/{openapi,smd}.go`; metadata from apimachinery
//! `pkg/apis/meta/v1/types.go`.

use super::structure::{Additional, Structure};
use crate::ssa::schema::{Atom, Field, List, Map, Relationship, Scalar, Schema, TypeId, TypeRef};

/// Builds the schema of one version of a kind, and says which of its types is the object.
pub(super) fn build(structure: &Structure) -> (Schema, TypeId) {
    let mut builder = Builder::new();
    let root = builder.object(structure, structure.preserve, true);
    let root = builder.schema.add(Atom { map: Some(root), ..Atom::default() });
    (builder.schema, root)
}

struct Builder {
    schema: Schema,
    /// Any value, owned as a whole.
    untyped: TypeId,
    /// Any value, whose shape tells what is owned: maps by field, lists as a whole.
    deduced: TypeId,
    metadata: TypeId,
    text: TypeId,
}

impl Builder {
    fn new() -> Self {
        let mut schema = Schema::default();
        let untyped = schema.named("__untyped_atomic_");
        let deduced = schema.named("__untyped_deduced_");
        let any = |list, map, relationship| Atom {
            scalar: Some(Scalar::Untyped),
            list: Some(List {
                element: TypeRef::from(list),
                relationship: Relationship::Atomic,
                keys: Vec::new(),
            }),
            map: Some(Map { fields: Vec::new(), element: Some(TypeRef::from(map)), relationship }),
        };
        schema.define(untyped, any(untyped, untyped, Relationship::Atomic));
        schema.define(deduced, any(untyped, deduced, Relationship::Granular));
        let text = schema.add(scalar(Scalar::String));
        let mut builder = Self { schema, untyped, deduced, metadata: untyped, text };
        builder.metadata = builder.object_meta();
        builder
    }

    fn of(&mut self, structure: &Structure, preserve: bool) -> TypeRef {
        let preserve = preserve || structure.preserve;
        let atom = match &*structure.type_name {
            "object" => {
                Atom { map: Some(self.object(structure, preserve, false)), ..Atom::default() }
            }
            "array" => Atom { list: Some(self.list(structure, preserve)), ..Atom::default() },
            "integer" | "number" => scalar(Scalar::Numeric),
            "boolean" => scalar(Scalar::Boolean),
            "string" => match &*structure.limits.format {
                "" | "byte" => return self.text.into(),
                _ => scalar(Scalar::Untyped),
            },
            "" => Atom {
                scalar: Some(Scalar::Untyped),
                list: Some(self.list(structure, preserve)),
                map: Some(self.object(structure, preserve, false)),
            },
            _ => scalar(Scalar::Untyped),
        };
        self.schema.add(atom).into()
    }

    fn list(&mut self, structure: &Structure, preserve: bool) -> List {
        let element = match structure.items.as_deref() {
            Some(items) => self.of(items, preserve),
            None => self.untyped.into(),
        };
        let (relationship, keys) = match structure.list_type.as_deref() {
            Some("set") => (Relationship::Granular, Vec::new()),
            Some("map") => (Relationship::Granular, structure.list_keys.clone()),
            _ => (Relationship::Atomic, Vec::new()),
        };
        List { element, relationship, keys }
    }

    fn object(&mut self, structure: &Structure, preserve: bool, root: bool) -> Map {
        let mut fields = Vec::with_capacity(structure.properties.len() + 3);
        for (name, property) in &structure.properties {
            let kind = self.of(property, preserve);
            fields.push(Field {
                name: name.as_str().into(),
                kind,
                default: property.default.clone(),
            });
        }
        if root || structure.embedded {
            let own = [("apiVersion", self.text), ("kind", self.text), ("metadata", self.metadata)];
            fields.retain(|field| !own.iter().any(|(name, _)| *name == &*field.name));
            fields.extend(own.map(|(name, kind)| field(name, kind)));
            fields.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let element = match &structure.additional {
            Some(Additional::Schema(schema)) => Some(self.of(schema, preserve)),
            Some(Additional::Any(any)) => any.then(|| self.deduced.into()),
            None => (preserve || fields.is_empty()).then(|| self.deduced.into()),
        };
        let relationship = match structure.map_type.as_deref() {
            Some("atomic") => Relationship::Atomic,
            _ => Relationship::Granular,
        };
        Map { fields, element, relationship }
    }

    fn object_meta(&mut self) -> TypeId {
        let text = self.text;
        let integer = self.schema.add(scalar(Scalar::Numeric));
        let flag = self.schema.add(scalar(Scalar::Boolean));
        let time = self.schema.add(scalar(Scalar::Untyped));
        let texts = self.map_of(text);
        let finalizers = self.list_of(text, Relationship::Granular, &[]);
        let owner = self.structure(
            Relationship::Atomic,
            &[
                ("apiVersion", text),
                ("blockOwnerDeletion", flag),
                ("controller", flag),
                ("kind", text),
                ("name", text),
                ("uid", text),
            ],
        );
        let owners = self.list_of(owner, Relationship::Granular, &["uid"]);
        let fields = self.map_of(self.deduced);
        let entry = self.structure(
            Relationship::Granular,
            &[
                ("apiVersion", text),
                ("fieldsType", text),
                ("fieldsV1", fields),
                ("manager", text),
                ("operation", text),
                ("subresource", text),
                ("time", time),
            ],
        );
        let managed = self.list_of(entry, Relationship::Atomic, &[]);
        self.structure(
            Relationship::Granular,
            &[
                ("annotations", texts),
                ("creationTimestamp", time),
                ("deletionGracePeriodSeconds", integer),
                ("deletionTimestamp", time),
                ("finalizers", finalizers),
                ("generateName", text),
                ("generation", integer),
                ("labels", texts),
                ("managedFields", managed),
                ("name", text),
                ("namespace", text),
                ("ownerReferences", owners),
                ("resourceVersion", text),
                ("selfLink", text),
                ("uid", text),
            ],
        )
    }

    fn structure(&mut self, relationship: Relationship, fields: &[(&str, TypeId)]) -> TypeId {
        let fields = fields.iter().map(|(name, kind)| field(name, *kind)).collect();
        let map = Map { fields, element: None, relationship };
        self.schema.add(Atom { map: Some(map), ..Atom::default() })
    }

    fn map_of(&mut self, element: TypeId) -> TypeId {
        let map = Map { element: Some(element.into()), ..Map::default() };
        self.schema.add(Atom { map: Some(map), ..Atom::default() })
    }

    fn list_of(&mut self, element: TypeId, relationship: Relationship, keys: &[&str]) -> TypeId {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let list = List { element: element.into(), relationship, keys };
        self.schema.add(Atom { list: Some(list), ..Atom::default() })
    }
}

fn scalar(scalar: Scalar) -> Atom {
    Atom { scalar: Some(scalar), ..Atom::default() }
}

fn field(name: &str, kind: TypeId) -> Field {
    Field { name: name.into(), kind: kind.into(), default: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_has_metadata_and_its_lists_their_keys() {
        let structure = Structure::parse(&json!({
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": {
                "ports": {"type": "array", "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port"],
                    "items": {"type": "object", "properties": {
                        "port": {"type": "integer"},
                        "protocol": {"type": "string", "default": "TCP"}}}},
            }}},
        }));
        let (schema, root) = build(&structure);
        let root = schema.atom(root).map.as_ref().unwrap();
        assert!(root.field("metadata").is_some() && root.element.is_none());
        let spec = schema.atom(root.field("spec").unwrap().kind.id).map.as_ref().unwrap();
        let ports = schema.atom(spec.field("ports").unwrap().kind.id).list.as_ref().unwrap();
        assert_eq!(
            (ports.relationship, &*ports.keys),
            (Relationship::Granular, &["port".to_owned()][..])
        );
        let item = schema.atom(ports.element.id).map.as_ref().unwrap();
        assert_eq!(item.field("protocol").unwrap().default, Some(json!("TCP")));
    }
}
