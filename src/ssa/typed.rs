//! Values of a type: whether they fit it, and which fields they set.
//!
//! Source: structured-merge-diff `typed/helpers.go`, `typed/validate.go`, `typed/tofieldset.go`,
//! `typed/reconcile_schema.go`.

use std::collections::BTreeSet;
use std::fmt;

use ecow::EcoVec;
use serde_json::Value;

use super::fields_v1::MAX_DEPTH;
use super::path::PathElement;
use super::schema::{Atom, List, Map, Relationship, Scalar, Schema, TypeId, TypeRef};
use super::set::{FieldSet, Node};
use super::shown;

/// A type within its schema.
#[derive(Clone, Copy, Debug)]
pub struct Type<'s> {
    /// Where it and the types it refers to are defined.
    pub schema: &'s Schema,
    /// The type.
    pub root: TypeRef,
}

/// What a type allows at one place, with what that place says of ownership.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'s> {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<(&'s List, Relationship)>,
    pub(super) map: Option<(&'s Map, Relationship)>,
}

/// What is wrong with a value, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors(Vec<(String, String)>);

impl Errors {
    pub(super) fn one(message: impl Into<String>) -> Self {
        Self(vec![(String::new(), message.into())])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Says under which step the errors are.
    pub(super) fn under(mut self, element: &PathElement) -> Self {
        for (path, _) in &mut self.0 {
            path.insert_str(0, &element.to_string());
        }
        self
    }

    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |(path, message): &(String, String)| match &**path {
            "" => message.clone(),
            path => format!("{path}: {message}"),
        };
        match &*self.0 {
            [one] => f.write_str(&show(one)),
            many => {
                f.write_str("errors:")?;
                many.iter().try_for_each(|error| write!(f, "\n  {}", show(error)))
            }
        }
    }
}

/// Whether a list may hold two elements of one key. What a client applies may not, what a server
/// has may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// They are an error.
    Refused,
    /// They stay.
    Allowed,
}

impl<'s> Type<'s> {
    /// A type of a schema.
    pub fn new(schema: &'s Schema, id: TypeId) -> Self {
        Self { schema, root: id.into() }
    }

    /// What a type allows; `None` stands for a field that the schema does not know.
    pub(super) fn shape(&self, at: Option<TypeRef>) -> Result<Shape<'s>, Errors> {
        let Some(at) = at else { return Ok(Shape { scalar: None, list: None, map: None }) };
        let Atom { scalar, list, map } = self.schema.atom(at.id);
        let list = list.as_ref().map(|list| (list, list.relationship));
        let map = map.as_ref().map(|map| (map, map.relationship));
        let Some(relationship) = at.relationship else {
            return Ok(Shape { scalar: *scalar, list, map });
        };
        match (map, list) {
            (Some((map, _)), list) => {
                Ok(Shape { scalar: *scalar, list, map: Some((map, relationship)) })
            }
            (None, Some((list, _))) => {
                Ok(Shape { scalar: *scalar, list: Some((list, relationship)), map: None })
            }
            (None, None) => Err(Errors::one("schema error: no type found matching: inlined type")),
        }
    }

    /// Whether the value fits the type.
    ///
    /// # Errors
    /// Where it does not, in the words of the server.
    pub fn validate(&self, value: &Value, duplicates: Duplicates) -> Result<(), Errors> {
        let mut errors = Errors::default();
        self.check(value, Some(self.root), duplicates, 0, &mut errors);
        errors.or(())
    }

    fn check(
        &self,
        value: &Value,
        at: Option<TypeRef>,
        duplicates: Duplicates,
        depth: usize,
        errors: &mut Errors,
    ) {
        if depth > MAX_DEPTH {
            return errors.add(Errors::one("exceeded max depth"));
        }
        let shape = match self.shape(at) {
            Ok(shape) => shape.narrowed(Some(value)),
            Err(error) => return errors.add(error),
        };
        match shape.handled() {
            Handled::Map(map, _) => self.check_map(value, map, duplicates, depth, errors),
            Handled::Scalar(scalar) => {
                if let Err(error) = check_scalar(scalar, Some(value), "") {
                    errors.add(error);
                }
            }
            Handled::List(list, relationship) => match value {
                Value::Null => {}
                Value::Array(items) => {
                    let keyed = (list, relationship == Relationship::Granular);
                    self.check_items(items, keyed, duplicates, depth, errors);
                }
                _ => errors.add(Errors::one(format!("expected list, got {}", shown::plain(value)))),
            },
            Handled::Nothing => errors.add(invalid_atom()),
        }
    }

    fn check_map(
        &self,
        value: &Value,
        map: &Map,
        duplicates: Duplicates,
        depth: usize,
        errors: &mut Errors,
    ) {
        let fields = match value {
            Value::Null => return,
            Value::Object(fields) => fields,
            _ => {
                let message = format!("expected map, got {}", shown::plain(value));
                return errors.add(Errors::one(message));
            }
        };
        for (name, value) in fields {
            let kind = map.kind_of(name);
            if kind.is_none() {
                let error = Errors::one("field not declared in schema");
                return errors.add(error.under(&PathElement::field(&**name)));
            }
            let before = errors.0.len();
            self.check(value, kind, duplicates, depth + 1, errors);
            prefix(errors, before, || PathElement::field(&**name));
        }
    }

    fn check_items(
        &self,
        items: &[Value],
        (list, keyed): (&List, bool),
        duplicates: Duplicates,
        depth: usize,
        errors: &mut Errors,
    ) {
        let mut seen = BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            let element = if keyed {
                match self.element(list, item) {
                    Ok(element) => {
                        if !seen.insert(element.clone()) && duplicates == Duplicates::Refused {
                            let message = format!("duplicate entries for key {element}");
                            errors.add(Errors::one(message));
                        }
                        element
                    }
                    Err(error) => {
                        return errors.add(Errors::one(format!("element {at}: {error}")));
                    }
                }
            } else {
                PathElement::Index(at.try_into().unwrap_or(i64::MAX))
            };
            let before = errors.0.len();
            self.check(item, Some(list.element), duplicates, depth + 1, errors);
            prefix(errors, before, || element);
        }
    }

    /// How an element of a list with keys, or of a set, is named.
    pub(super) fn element(&self, list: &List, item: &Value) -> Result<PathElement, String> {
        if list.keys.is_empty() { set_element(item) } else { self.keyed_element(list, item) }
    }

    fn keyed_element(&self, list: &List, item: &Value) -> Result<PathElement, String> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => {
                return Err("associative list with keys may not have a null element".into());
            }
            _ => return Err("associative list with keys may not have non-map elements".into()),
        };
        let mut key = Vec::with_capacity(list.keys.len());
        for name in &list.keys {
            let value = match fields.get(name) {
                Some(value) => Some(value),
                None => self
                    .default_of(list, name)
                    .map_err(|error| format!("couldn't find default value for {name}: {error}"))?,
            };
            key.extend(value.map(|value| (name.as_str(), value.clone())));
        }
        if key.is_empty() {
            let names: Vec<_> = list.keys.iter().map(|name| shown::quoted(name)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] \
                 (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(PathElement::key(key))
    }

    fn default_of(&self, list: &List, name: &str) -> Result<Option<&'s Value>, &'static str> {
        let shape = self.shape(Some(list.element)).map_err(|_| "invalid elementType for list")?;
        let (map, _) = shape.map.ok_or("associative list may not have non-map types")?;
        Ok(map.field(name).and_then(|field| field.default.as_ref()))
    }

    /// The fields that a value sets: leaves, elements of lists, keys of maps.
    ///
    /// # Errors
    /// Where the value has fields that the type does not know.
    pub fn field_set(&self, value: &Value) -> Result<FieldSet, Errors> {
        let mut errors = Errors::default();
        let (_, set) = self.fields_of(value, Some(self.root), &mut errors);
        errors.or(set)
    }

    /// Whether the value is itself a leaf, and the fields beneath it.
    fn fields_of(
        &self,
        value: &Value,
        at: Option<TypeRef>,
        errors: &mut Errors,
    ) -> (bool, FieldSet) {
        let shape = match self.shape(at) {
            Ok(shape) => shape.narrowed(Some(value)),
            Err(error) => {
                errors.add(error);
                return (false, FieldSet::default());
            }
        };
        match (shape.handled(), value) {
            (Handled::Scalar(_), _)
            | (Handled::Map(_, Relationship::Atomic) | Handled::List(_, Relationship::Atomic), _) => {
                (true, FieldSet::default())
            }
            (Handled::Map(map, _), Value::Object(fields)) => {
                let nodes = fields.iter().filter_map(|(name, value)| {
                    let (leaf, children) = self.fields_of(value, map.kind_of(name), errors);
                    let empty = match value {
                        Value::Null => true,
                        Value::Object(fields) => fields.is_empty(),
                        _ => false,
                    };
                    let member = leaf || empty || map.field(name).is_none();
                    let node = Node { element: PathElement::field(&**name), member, children };
                    (!node.is_empty()).then_some(node)
                });
                (false, FieldSet::from_nodes(nodes.collect()))
            }
            (Handled::List(list, _), Value::Array(items)) => {
                (false, self.fields_of_items(list, items, errors))
            }
            (Handled::Map(..) | Handled::List(..), _) => (false, FieldSet::default()),
            (Handled::Nothing, _) => {
                errors.add(invalid_atom());
                (false, FieldSet::default())
            }
        }
    }

    /// Of an element that is there twice, only its being there has an owner.
    fn fields_of_items(&self, list: &List, items: &[Value], errors: &mut Errors) -> FieldSet {
        let index = Index::of(self, list, items);
        let mut nodes = EcoVec::with_capacity(index.elements.len());
        for (at, element) in &index.elements {
            let children = match index.count(element) {
                1 => self.fields_of(&items[*at], Some(list.element), errors).1,
                _ => FieldSet::default(),
            };
            nodes.push(Node { element: element.clone(), member: true, children });
        }
        FieldSet::from_nodes(nodes)
    }

    /// What a set, written when the schema was another, is in the schema of today: where a list or
    /// a map has become atomic, an owner of a part owns the whole. `None` where nothing changes.
    ///
    /// # Errors
    /// Where the schema does not say what a type is.
    pub fn reconcile(&self, set: &FieldSet) -> Result<Option<FieldSet>, Errors> {
        let mut errors = Errors::default();
        let (_, wholes) = self.wholes(Some(set), Some(self.root), false, &mut errors);
        if !errors.is_empty() {
            return Err(Errors::one(format!("errors reconciling field set with schema: {errors}")));
        }
        let changed =
            (!wholes.is_empty()).then(|| set.recursive_difference(&wholes).union(&wholes));
        Ok(changed)
    }

    /// Whether this place has become a whole, and the places beneath that have. `owned` says that
    /// the set has the place itself and nothing beneath it.
    fn wholes(
        &self,
        set: Option<&FieldSet>,
        at: Option<TypeRef>,
        owned: bool,
        errors: &mut Errors,
    ) -> (bool, FieldSet) {
        let nothing = (false, FieldSet::default());
        let shape = match self.shape(at) {
            Ok(shape) => shape,
            Err(error) => {
                errors.add(error);
                return nothing;
            }
        };
        match shape.handled() {
            Handled::Scalar(_) => nothing,
            Handled::Nothing => {
                errors.add(invalid_atom());
                nothing
            }
            Handled::Map(map, _) if self.is_deduced(map) => nothing,
            Handled::Map(_, Relationship::Atomic) => {
                (!owned && set.is_some_and(|set| !set.is_empty()), FieldSet::default())
            }
            Handled::List(_, Relationship::Atomic) => (!owned, FieldSet::default()),
            Handled::Map(map, _) => {
                let kind = |element: &PathElement| match element {
                    PathElement::Field(name) => map.kind_of(name),
                    _ => map.element,
                };
                (false, self.wholes_beneath(set, kind, errors))
            }
            Handled::List(list, _) => {
                (false, self.wholes_beneath(set, |_| Some(list.element), errors))
            }
        }
    }

    fn wholes_beneath(
        &self,
        set: Option<&FieldSet>,
        kind: impl Fn(&PathElement) -> Option<TypeRef>,
        errors: &mut Errors,
    ) -> FieldSet {
        let nodes = set.map(FieldSet::nodes).unwrap_or_default();
        let nodes = nodes.iter().filter_map(|node| {
            let kind = kind(&node.element)?;
            let below = (!node.children.is_empty()).then_some(&node.children);
            let owned = node.member && below.is_none();
            let (member, children) = self.wholes(below, Some(kind), owned, errors);
            let node = Node { element: node.element.clone(), member, children };
            (!node.is_empty()).then_some(node)
        });
        FieldSet::from_nodes(nodes.collect())
    }

    /// A map of which nothing is known.
    fn is_deduced(&self, map: &Map) -> bool {
        let Some(element) = map.element else { return false };
        let untyped = self.schema.atom(element.id).scalar == Some(Scalar::Untyped);
        map.fields.is_empty() && untyped && self.schema.find(ATOMIC) != Some(element.id)
    }
}

/// The name of the type of all that is not known and changes as a whole.
const ATOMIC: &str = "__untyped_atomic_";
/// The name of the type of all that is not known, whose maps have an owner for each field.
const DEDUCED: &str = "__untyped_deduced_";

impl Schema {
    /// The type of what no schema describes: a map has an owner for each field, a list one owner.
    pub fn deduced(&mut self) -> TypeId {
        let atomic = self.untyped_atomic();
        let id = self.named(DEDUCED);
        self.define(id, untyped(atomic, id, Relationship::Granular));
        id
    }

    /// The type of what no schema describes and has one owner.
    pub fn untyped_atomic(&mut self) -> TypeId {
        let id = self.named(ATOMIC);
        self.define(id, untyped(id, id, Relationship::Atomic));
        id
    }
}

fn untyped(list: TypeId, map: TypeId, relationship: Relationship) -> Atom {
    Atom {
        scalar: Some(Scalar::Untyped),
        list: Some(List { element: list.into(), relationship: Relationship::Atomic, keys: vec![] }),
        map: Some(Map { fields: vec![], element: Some(map.into()), relationship }),
    }
}

impl Map {
    /// The type of a field, known or not; `None` where it may not be there.
    pub(super) fn kind_of(&self, name: &str) -> Option<TypeRef> {
        self.field(name).map_or(self.element, |field| Some(field.kind))
    }
}

/// The one of a shape's alternatives by which a value is handled.
pub(super) enum Handled<'s> {
    Map(&'s Map, Relationship),
    Scalar(Scalar),
    List(&'s List, Relationship),
    Nothing,
}

impl<'s> Shape<'s> {
    /// Only the alternative that the value takes, or all where it takes none.
    pub(super) fn narrowed(self, value: Option<&Value>) -> Self {
        let none = Self { scalar: None, list: None, map: None };
        match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if self.scalar.is_some() => {
                Self { scalar: self.scalar, ..none }
            }
            Some(Value::Array(_)) if self.list.is_some() => Self { list: self.list, ..none },
            Some(Value::Object(_)) if self.map.is_some() => Self { map: self.map, ..none },
            _ => self,
        }
    }

    pub(super) fn handled(&self) -> Handled<'s> {
        match (self.map, self.scalar, self.list) {
            (Some((map, relationship)), ..) => Handled::Map(map, relationship),
            (None, Some(scalar), _) => Handled::Scalar(scalar),
            (None, None, Some((list, relationship))) => Handled::List(list, relationship),
            (None, None, None) => Handled::Nothing,
        }
    }

    /// Whether two narrowings of one shape are the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.map.is_some() == other.map.is_some()
    }
}

pub(super) fn invalid_atom() -> Errors {
    Errors::one("schema error: invalid atom: inlined")
}

/// An absent value and null are any scalar.
pub(super) fn check_scalar(kind: Scalar, value: Option<&Value>, side: &str) -> Result<(), Errors> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
    let fits = match kind {
        Scalar::Numeric => value.is_number(),
        Scalar::String => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Untyped => value.is_number() || value.is_string() || value.is_boolean(),
    };
    if fits {
        return Ok(());
    }
    Err(Errors::one(match kind {
        Scalar::Numeric => {
            format!("{side}expected numeric (int or float), got {}", shown::type_name(value))
        }
        Scalar::String => format!("{side}expected string, got {}", shown::as_go(value)),
        Scalar::Boolean => format!("{side}expected boolean, got {}", shown::plain(value)),
        Scalar::Untyped => format!("{side}expected any scalar, got {}", shown::plain(value)),
    }))
}

fn set_element(item: &Value) -> Result<PathElement, String> {
    let message = match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null => "associative list without keys has an element that's an explicit null",
        _ => return Ok(PathElement::Value(item.clone().into())),
    };
    Err(message.into())
}

/// Puts a step before the errors from `start` on.
fn prefix(errors: &mut Errors, start: usize, element: impl FnOnce() -> PathElement) {
    if errors.0.len() > start {
        let element = element().to_string();
        for (path, _) in &mut errors.0[start..] {
            path.insert_str(0, &element);
        }
    }
}

/// The elements of a list by name.
pub(super) struct Index {
    /// Each element that has a name, with its place, in the list's order.
    pub(super) elements: Vec<(usize, PathElement)>,
    /// Positions in `elements`, by name and place.
    order: Vec<usize>,
    /// What is wrong with the elements that have none.
    pub(super) errors: Errors,
}

impl Index {
    pub(super) fn of(kind: &Type<'_>, list: &List, items: &[Value]) -> Self {
        let mut errors = Errors::default();
        let mut elements = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match kind.element(list, item) {
                Ok(element) => elements.push((at, element)),
                Err(error) => errors.add(Errors::one(format!("element {at}: {error}"))),
            }
        }
        let mut order: Vec<_> = (0..elements.len()).collect();
        order.sort_by(|a, b| elements[*a].1.cmp(&elements[*b].1));
        Self { elements, order, errors }
    }

    /// The positions of the elements of that name.
    fn range(&self, element: &PathElement) -> &[usize] {
        let start = self.order.partition_point(|at| self.elements[*at].1 < *element);
        let rest = self.order.get(start..).unwrap_or_default();
        let length = rest.partition_point(|at| self.elements[*at].1 == *element);
        rest.get(..length).unwrap_or_default()
    }

    pub(super) fn count(&self, element: &PathElement) -> usize {
        self.range(element).len()
    }

    /// The places in the list of the elements of that name.
    pub(super) fn places(&self, element: &PathElement) -> impl Iterator<Item = usize> {
        self.range(element).iter().map(|at| self.elements[*at].0)
    }
}
