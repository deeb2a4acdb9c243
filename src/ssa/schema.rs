//! The shape that values have, as far as ownership depends on it: which lists are sets or have
//! keys, which maps and lists change only as a whole.
//!
//! Source: structured-merge-diff `schema/elements.go`.

use rustc_hash::FxHashMap;
use serde_json::Value;

/// Types that refer to one another.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    atoms: Vec<Atom>,
    names: FxHashMap<Box<str>, TypeId>,
}

/// The place of a type within its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(u32);

/// What a value may be. More than one where the type allows several, none where it allows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Atom {
    /// A number, a string, a boolean.
    pub scalar: Option<Scalar>,
    /// A list.
    pub list: Option<List>,
    /// A map, or an object with fields.
    pub map: Option<Map>,
}

/// Which scalars are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// An integer or a float.
    Numeric,
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// Any of them.
    Untyped,
}

/// A list and how its elements are told apart.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// The type of each element.
    pub element: TypeRef,
    /// Whether the list has one owner, or each element its own.
    pub relationship: Relationship,
    /// The fields that name an element; empty where the element names itself, as in a set.
    pub keys: Vec<String>,
}

/// An object: known fields, and the type of all others where they are allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    /// The known fields, in order of name.
    pub fields: Vec<Field>,
    /// The type of fields that are not known; `None` where none is allowed.
    pub element: Option<TypeRef>,
    /// Whether the map has one owner, or each field its own.
    pub relationship: Relationship,
}

/// One known field of a [`Map`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// What it holds.
    pub kind: TypeRef,
    /// What it is taken to hold where it names an element of a list and is absent, e.g. `TCP`.
    pub default: Option<Value>,
}

/// A type, with what the place that refers to it says of its ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef {
    /// The type.
    pub id: TypeId,
    /// Stands before what the type itself says.
    pub relationship: Option<Relationship>,
}

/// Whether the parts of a list or a map have owners of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Relationship {
    /// `associative` for lists, `separable` for maps: each part has its own owners.
    #[default]
    Granular,
    /// The whole changes at once.
    Atomic,
}

impl Schema {
    /// Adds a type without a name.
    ///
    /// # Panics
    /// Where there are more than 2^32 types; no document within [`Limits`](crate::Limits) has them.
    pub fn add(&mut self, atom: Atom) -> TypeId {
        let id =
            TypeId(u32::try_from(self.atoms.len()).expect("a schema has fewer than 2^32 types"));
        self.atoms.push(atom);
        id
    }

    /// The type of that name, to be [defined](Self::define) before or after: types may refer to
    /// themselves. Until then it allows nothing.
    pub fn named(&mut self, name: &str) -> TypeId {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let id = self.add(Atom::default());
        self.names.insert(name.into(), id);
        id
    }

    /// Says what a type is.
    pub fn define(&mut self, id: TypeId, atom: Atom) {
        self.atoms[id.0 as usize] = atom;
    }

    /// The type of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// What a type allows.
    pub fn atom(&self, id: TypeId) -> &Atom {
        &self.atoms[id.0 as usize]
    }
}

impl From<TypeId> for TypeRef {
    fn from(id: TypeId) -> Self {
        Self { id, relationship: None }
    }
}

impl Map {
    /// The known field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|field| (*field.name).cmp(name)).ok()?;
        self.fields.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_may_refer_to_itself_before_it_is_defined() {
        let mut schema = Schema::default();
        let tree = schema.named("tree");
        let map = Map { element: Some(tree.into()), ..Map::default() };
        schema.define(tree, Atom { map: Some(map.clone()), ..Atom::default() });
        assert_eq!(schema.find("tree"), Some(tree));
        assert_eq!(schema.atom(tree).map.as_ref(), Some(&map));
    }
}
