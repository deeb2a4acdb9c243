//! What differs between two values of a type.
//!
//! Source: structured-merge-diff `typed/compare.go`.

use ecow::EcoVec;
use serde_json::Value;

use super::path::{PathElement, same};
use super::schema::{List, Map, Relationship, TypeRef};
use super::set::{FieldSet, Filter, Node};
use super::typed::{Errors, Handled, Index, Shape, Type, check_scalar, invalid_atom};

/// The fields that differ; each is in one of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Only the first value has them.
    pub removed: FieldSet,
    /// Both have them, with other values.
    pub modified: FieldSet,
    /// Only the second value has them.
    pub added: FieldSet,
}

impl Comparison {
    /// The values are the same.
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Without what a filter takes out.
    #[must_use]
    pub fn filtered(self, filter: Option<&Filter>) -> Self {
        let Some(filter) = filter else { return self };
        Self {
            removed: self.removed.filtered(filter),
            modified: self.modified.filtered(filter),
            added: self.added.filtered(filter),
        }
    }
}

/// What differs at one place: the place itself, and fields beneath it.
#[derive(Default)]
struct Difference {
    here: [bool; 3],
    beneath: [EcoVec<Node>; 3],
}

const REMOVED: usize = 0;
const MODIFIED: usize = 1;
const ADDED: usize = 2;

impl Difference {
    /// A place that is compared as a whole.
    fn of_leaf(left: Option<&Value>, right: Option<&Value>) -> Self {
        let mut difference = Self::default();
        match (left, right) {
            (None, _) => difference.here[ADDED] = true,
            (_, None) => difference.here[REMOVED] = true,
            (Some(left), Some(right)) => difference.here[MODIFIED] = !same(left, right),
        }
        difference
    }

    fn push(&mut self, element: &PathElement, part: Self) {
        let parts = part.here.into_iter().zip(part.beneath);
        for (nodes, (member, children)) in self.beneath.iter_mut().zip(parts) {
            if member || !children.is_empty() {
                let children = FieldSet::from_nodes(children);
                nodes.push(Node { element: element.clone(), member, children });
            }
        }
    }

    /// Adds a step to one of the sets, beside what is already beneath it.
    fn mark(&mut self, element: &PathElement, which: usize) {
        let mut part = Self::default();
        part.here[which] = true;
        self.push(element, part);
    }

    fn joined(self, other: Self) -> Self {
        let mut here = self.here;
        here.iter_mut().zip(other.here).for_each(|(here, other)| *here |= other);
        let mut pairs = self.beneath.into_iter().zip(other.beneath);
        let beneath = std::array::from_fn(|_| {
            let (a, b) = pairs.next().unwrap_or_default();
            match (a.is_empty(), b.is_empty()) {
                (true, _) => b,
                (_, true) => a,
                _ => FieldSet::from_nodes(a).union(&FieldSet::from_nodes(b)).nodes().into(),
            }
        });
        Self { here, beneath }
    }
}

impl Type<'_> {
    /// Which fields differ.
    ///
    /// # Errors
    /// Where a value does not fit the type.
    pub fn compare(&self, left: &Value, right: &Value) -> Result<Comparison, Errors> {
        let mut errors = Errors::default();
        let difference = self.differ(Some(left), Some(right), Some(self.root), &mut errors);
        let [removed, modified, added] = difference.beneath.map(FieldSet::from_nodes);
        errors.or(Comparison { removed, modified, added })
    }

    fn differ(
        &self,
        left: Option<&Value>,
        right: Option<&Value>,
        at: Option<TypeRef>,
        errors: &mut Errors,
    ) -> Difference {
        let shape = match self.shape(at) {
            Ok(shape) => shape,
            Err(error) => {
                errors.add(error);
                return Difference::default();
            }
        };
        let (of_left, of_right) = (shape.narrowed(left), shape.narrowed(right));
        match (left, right) {
            (Some(_), None) => {
                let mut all = self.differ_as(of_left, left, right, errors);
                all.0.here[REMOVED] |= !all.1;
                all.0
            }
            (None, _) => {
                let mut all = self.differ_as(of_right, left, right, errors);
                all.0.here[ADDED] |= !all.1;
                all.0
            }
            _ if of_left.is_like(&of_right) => self.differ_as(of_right, left, right, errors).0,
            // The type of the value has changed: both of its readings count.
            _ => {
                let first = self.differ_as(of_left, left, right, errors).0;
                first.joined(self.differ_as(of_right, left, right, errors).0)
            }
        }
    }

    /// The difference, and whether the values are leaves.
    fn differ_as(
        &self,
        shape: Shape<'_>,
        left: Option<&Value>,
        right: Option<&Value>,
        errors: &mut Errors,
    ) -> (Difference, bool) {
        let whole = |relationship| relationship == Relationship::Atomic;
        match shape.handled() {
            Handled::Scalar(kind) => {
                let checks =
                    (check_scalar(kind, left, "lhs: "), check_scalar(kind, right, "rhs: "));
                if let (Err(left), Err(right)) = checks {
                    errors.add(left);
                    errors.add(right);
                    return (Difference::default(), false);
                }
                (Difference::of_leaf(left, right), true)
            }
            Handled::Map(map, relationship) => {
                let fields = (fields(left), fields(right));
                if whole(relationship) || (is_bare(fields.0) && is_bare(fields.1)) {
                    return (Difference::of_leaf(left, right), true);
                }
                (self.differ_in_fields(map, fields.0, fields.1, errors), false)
            }
            Handled::List(list, relationship) => {
                let (l, r) = (items(left), items(right));
                if whole(relationship) || (l.is_empty() && r.is_empty()) {
                    return (Difference::of_leaf(left, right), true);
                }
                // Naming the elements costs more than comparing them.
                if l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r)) {
                    return (Difference::default(), false);
                }
                (self.differ_in_items(list, l, r, errors), false)
            }
            Handled::Nothing => {
                errors.add(invalid_atom());
                (Difference::default(), false)
            }
        }
    }

    fn differ_in_fields(
        &self,
        map: &Map,
        left: Option<&Object>,
        right: Option<&Object>,
        errors: &mut Errors,
    ) -> Difference {
        let mut all = Difference::default();
        let mut visit = |name: &str, l: Option<&Value>, r: Option<&Value>| {
            let mut inner = Errors::default();
            let part = self.differ(l, r, map.kind_of(name), &mut inner);
            if part.here != [false; 3] || part.beneath.iter().any(|nodes| !nodes.is_empty()) {
                all.push(&PathElement::field(name), part);
            }
            if !inner.is_empty() {
                errors.add(inner.under(&PathElement::field(name)));
            }
        };
        for (name, l) in left.into_iter().flatten() {
            visit(name, Some(l), right.and_then(|right| right.get(name)));
        }
        for (name, r) in right.into_iter().flatten() {
            if left.is_none_or(|left| !left.contains_key(name)) {
                visit(name, None, Some(r));
            }
        }
        all
    }

    fn differ_in_items(
        &self,
        list: &List,
        left: &[Value],
        right: &[Value],
        errors: &mut Errors,
    ) -> Difference {
        let (l, r) = (Index::of(self, list, left), Index::of(self, list, right));
        let mut all = Difference::default();
        let first_of = |index: &Index, at: usize, element: &PathElement| {
            index.places(element).next() == Some(at)
        };
        let of_left = l.elements.iter().filter(|(at, element)| first_of(&l, *at, element));
        let of_right = r
            .elements
            .iter()
            .filter(|(at, element)| l.count(element) == 0 && first_of(&r, *at, element));
        for (_, element) in of_left.chain(of_right) {
            let mut differ = |a: Option<&Value>, b: Option<&Value>| {
                let mut inner = Errors::default();
                let part = self.differ(a, b, Some(list.element), &mut inner);
                if !inner.is_empty() {
                    errors.add(inner.under(element));
                }
                part
            };
            let mut ls = l.places(element).filter_map(|at| left.get(at));
            let mut rs = r.places(element).filter_map(|at| right.get(at));
            match (l.count(element), r.count(element)) {
                (0 | 1, 0 | 1) => all.push(element, differ(ls.next(), rs.next())),
                // Elements that are there more than once are compared as one.
                (2.., 2..) => {
                    if l.count(element) != r.count(element) || !ls.zip(rs).all(|(a, b)| same(a, b))
                    {
                        all.mark(element, MODIFIED);
                    }
                }
                (2.., _) => {
                    let mut part = match rs.next() {
                        Some(right) => differ(None, Some(right)),
                        None => Difference::default(),
                    };
                    part.here[REMOVED] = true;
                    all.push(element, part);
                }
                (_, 2..) => {
                    let mut part = match ls.next() {
                        Some(left) => differ(Some(left), None),
                        None => Difference::default(),
                    };
                    part.here[ADDED] = true;
                    all.push(element, part);
                }
            }
        }
        errors.add(l.errors);
        errors.add(r.errors);
        all
    }
}

type Object = serde_json::Map<String, Value>;

pub(super) fn fields(value: Option<&Value>) -> Option<&Object> {
    value.and_then(Value::as_object)
}

pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn is_bare(fields: Option<&Object>) -> bool {
    fields.is_none_or(Object::is_empty)
}
