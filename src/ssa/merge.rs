//! One value laid over another.
//!
//! Source: structured-merge-diff `typed/merge.go`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::compare::{fields, is_bare, items};
use super::path::PathElement;
use super::schema::{List, Map, Relationship, TypeRef};
use super::typed::{Errors, Handled, Index, Shape, Type, check_scalar, invalid_atom};

impl Type<'_> {
    /// Lays `config` over `live`: of a leaf that both have, `config`'s stays; nothing is removed.
    /// Lists stand in the order of `live`, unless `config` orders what they share otherwise.
    ///
    /// # Errors
    /// Where a value does not fit the type, or `config` has an element twice.
    pub fn merge(&self, live: &Value, config: &Value) -> Result<Value, Errors> {
        let mut errors = Errors::default();
        let merged = self.lay(Some(live), Some(config), Some(self.root), &mut errors);
        errors.or(merged.unwrap_or(Value::Null))
    }

    fn lay(
        &self,
        left: Option<&Value>,
        right: Option<&Value>,
        at: Option<TypeRef>,
        errors: &mut Errors,
    ) -> Option<Value> {
        let shape = match self.shape(at) {
            Ok(shape) => shape,
            Err(error) => {
                errors.add(error);
                return None;
            }
        };
        let (of_left, of_right) = (shape.narrowed(left), shape.narrowed(right));
        match (left, right) {
            (_, None) => self.lay_as(of_left, left, right, errors),
            (None, _) => self.lay_as(of_right, left, right, errors),
            _ => {
                // Where the type of the value has changed, the old reading must make sense too.
                if !of_left.is_like(&of_right) {
                    self.lay_as(of_left, left, right, errors);
                }
                self.lay_as(of_right, left, right, errors)
            }
        }
    }

    fn lay_as(
        &self,
        shape: Shape<'_>,
        left: Option<&Value>,
        right: Option<&Value>,
        errors: &mut Errors,
    ) -> Option<Value> {
        let leaf = || right.or(left).cloned();
        match shape.handled() {
            Handled::Scalar(kind) => {
                let checks =
                    (check_scalar(kind, left, "lhs: "), check_scalar(kind, right, "rhs: "));
                if let (Err(left), Err(right)) = checks {
                    errors.add(left);
                    errors.add(right);
                    return None;
                }
                leaf()
            }
            Handled::Map(_, Relationship::Atomic) | Handled::List(_, Relationship::Atomic) => {
                leaf()
            }
            Handled::Map(map, _) => match (fields(left), fields(right)) {
                (l, r) if is_bare(l) && is_bare(r) => leaf(),
                (l, r) => self.lay_fields(map, l, r, errors),
            },
            Handled::List(list, _) => match (items(left), items(right)) {
                ([], []) => leaf(),
                (l, r) => self.lay_items(list, l, r, errors),
            },
            Handled::Nothing => {
                errors.add(invalid_atom());
                None
            }
        }
    }

    fn lay_fields(
        &self,
        map: &Map,
        left: Option<&Object>,
        right: Option<&Object>,
        errors: &mut Errors,
    ) -> Option<Value> {
        let mut out = Object::new();
        let mut visit = |name: &String, l: Option<&Value>, r: Option<&Value>| {
            let mut inner = Errors::default();
            if let Some(value) = self.lay(l, r, map.kind_of(name), &mut inner) {
                out.insert(name.clone(), value);
            }
            if !inner.is_empty() {
                errors.add(inner.under(&PathElement::field(&**name)));
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
        (!out.is_empty()).then(|| out.into())
    }

    fn lay_items(
        &self,
        list: &List,
        left: &[Value],
        right: &[Value],
        errors: &mut Errors,
    ) -> Option<Value> {
        let (l, r) = (Index::of(self, list, left), Index::of(self, list, right));
        let before = errors.len();
        errors.add(r.errors.clone());
        for (at, element) in &r.elements {
            if r.places(element).next() != Some(*at) {
                errors.add(Errors::one(format!("duplicate entries for key {element}")));
            }
        }
        errors.add(l.errors.clone());
        if errors.len() > before {
            return None;
        }
        // What goes wrong within an element goes unsaid, as in the reference.
        let lay = |l: Option<&Value>, r: Option<&Value>| {
            self.lay(l, r, Some(list.element), &mut Errors::default())
        };
        let mut out = Vec::with_capacity(left.len().max(right.len()));
        for (l, r) in Order::of(&l, &r) {
            // An element that is in `live` twice is replaced, not merged.
            let l = match l {
                None => None,
                Some(Left::One(at)) => left.get(at),
                Some(Left::Twice) => Some(&Value::Null),
            };
            out.extend(lay(l, r.and_then(|at| right.get(at))));
        }
        (!out.is_empty()).then(|| out.into())
    }
}

type Object = serde_json::Map<String, Value>;

/// The element of `live` that one of `config` is laid over.
#[derive(Clone, Copy)]
enum Left {
    One(usize),
    Twice,
}

/// The order in which the elements of two lists stand in their union.
struct Order<'a> {
    left: &'a Index,
    right: &'a Index,
    at: (usize, usize),
    /// The elements of the right that the left has too, not yet passed.
    shared: std::vec::IntoIter<&'a PathElement>,
    next_shared: Option<&'a PathElement>,
    merged: BTreeSet<&'a PathElement>,
}

impl<'a> Order<'a> {
    /// Places in the left list and the right list, in order.
    fn of(left: &'a Index, right: &'a Index) -> Vec<(Option<Left>, Option<usize>)> {
        let shared: Vec<_> = right
            .elements
            .iter()
            .map(|(_, element)| element)
            .filter(|element| left.count(element) > 0)
            .collect();
        let mut shared = shared.into_iter();
        let next_shared = shared.next();
        let mut order =
            Self { left, right, at: (0, 0), shared, next_shared, merged: BTreeSet::new() };
        let mut out = Vec::with_capacity(left.elements.len().max(right.elements.len()));
        while order.at.0 < left.elements.len() || order.at.1 < right.elements.len() {
            order.step(&mut out);
        }
        out
    }

    fn step(&mut self, out: &mut Vec<(Option<Left>, Option<usize>)>) {
        let l = self.left.elements.get(self.at.0);
        let r = self.right.elements.get(self.at.1);
        if let (Some((_, l)), Some((place, r))) = (l, r) {
            if l == r {
                out.push((self.counterpart(r), Some(*place)));
                self.merged.insert(r);
                self.at = (self.at.0 + 1, self.at.1 + 1);
                self.next_shared = self.shared.next();
                return;
            }
            let out_of_turn = self.next_shared.is_some_and(|next| next != l);
            if out_of_turn && self.right.count(l) > 0 {
                self.at.0 += 1;
                return;
            }
        }
        if let Some((place, l)) = l {
            if self.right.count(l) == 0 {
                out.push((Some(Left::One(*place)), None));
                self.at.0 += 1;
                return;
            }
            if self.merged.contains(l) {
                self.at.0 += 1;
            }
        }
        if let Some((place, r)) = r {
            out.push((self.counterpart(r), Some(*place)));
            self.merged.insert(r);
            self.at.1 += 1;
            if self.next_shared == Some(r) {
                self.next_shared = self.shared.next();
            }
        }
    }

    fn counterpart(&self, element: &PathElement) -> Option<Left> {
        let mut places = self.left.places(element);
        match (places.next(), places.next()) {
            (Some(_), Some(_)) => Some(Left::Twice),
            (Some(at), None) => Some(Left::One(at)),
            _ => None,
        }
    }
}
