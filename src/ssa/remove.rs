//! A value without some of its fields, or with no others.
//!
//! Source: structured-merge-diff `typed/remove.go`, `typed/typed.go`, `ExtractItems`.

use serde_json::Value;

use super::path::{Path, PathElement};
use super::schema::{Relationship, TypeRef};
use super::set::FieldSet;
use super::typed::{Handled, Type};

impl Type<'_> {
    /// Takes the fields of `set` out of the value. A list or map that loses its last part becomes
    /// null, as does a whole of which a part should go.
    pub fn remove(&self, value: &mut Value, set: &FieldSet) {
        if !set.is_empty() {
            self.take(value, set, Some(self.root));
        }
    }

    fn take(&self, value: &mut Value, set: &FieldSet, at: Option<TypeRef>) {
        let shape = self.shape(at).map(|shape| shape.narrowed(Some(value)));
        let handled = shape.map_or(Handled::Nothing, |shape| shape.handled());
        let left = match (handled, &mut *value) {
            (Handled::Scalar(_), _) => true,
            (Handled::Map(map, Relationship::Granular), Value::Object(fields)) => {
                for node in set.nodes() {
                    let PathElement::Field(name) = &node.element else { continue };
                    if node.member {
                        fields.remove(&**name);
                    } else if let Some(field) = fields.get_mut(&**name) {
                        self.take(field, &node.children, map.kind_of(name));
                    }
                }
                !fields.is_empty()
            }
            (Handled::List(list, Relationship::Granular), Value::Array(items)) => {
                items.retain_mut(|item| {
                    let element = self.element(list, item);
                    let Some(node) = element.ok().and_then(|element| set.node(&element)) else {
                        return true;
                    };
                    if !node.member {
                        self.take(item, &node.children, Some(list.element));
                    }
                    !node.member
                });
                !items.is_empty()
            }
            _ => false,
        };
        if !left {
            *value = Value::Null;
        }
    }

    /// What the fields of `set` hold, and nothing else.
    pub fn extract(&self, value: &Value, set: &FieldSet) -> Value {
        self.pick(value, set, Some(self.root))
    }

    /// As [`extract`](Self::extract), with the fields that name the elements of lists.
    pub fn extract_with_keys(&self, value: &Value, set: &FieldSet) -> Value {
        let Ok(present) = self.field_set(value) else { return self.extract(value, set) };
        let mut keys = FieldSet::default();
        set.each(&mut |path| {
            let path = Path(path.to_vec());
            if !present.has(&path) {
                return;
            }
            for (at, element) in path.0.iter().enumerate() {
                let PathElement::Key(fields) = element else { continue };
                for (name, _) in fields.iter() {
                    let mut key = Path(path.0[..=at].to_vec());
                    key.0.push(PathElement::Field(name.clone()));
                    keys.insert(&key);
                }
            }
        });
        self.extract(value, &set.union(&keys))
    }

    fn pick(&self, value: &Value, set: &FieldSet, at: Option<TypeRef>) -> Value {
        let shape = self.shape(at).map(|shape| shape.narrowed(Some(value)));
        match (shape.map_or(Handled::Nothing, |shape| shape.handled()), value) {
            (Handled::Scalar(_), _) => value.clone(),
            (Handled::Map(map, relationship), Value::Object(fields)) => {
                if fields.is_empty() || relationship == Relationship::Atomic {
                    return value.clone();
                }
                let mut out = serde_json::Map::new();
                for (name, field) in fields {
                    let Some(node) = set.node(&PathElement::field(&**name)) else { continue };
                    // A field that is picked itself is searched with its own siblings' names:
                    // so the reference has it, and leaves are all that it is asked for.
                    let below = if node.member { set } else { &node.children };
                    out.insert(name.clone(), self.pick(field, below, map.kind_of(name)));
                }
                if out.is_empty() { Value::Null } else { out.into() }
            }
            (Handled::List(list, relationship), Value::Array(items)) => {
                if items.is_empty() || relationship == Relationship::Atomic {
                    return value.clone();
                }
                let items = items.iter().filter_map(|item| {
                    let node = set.node(&self.element(list, item).ok()?)?;
                    if node.children.is_empty() {
                        return Some(item.clone());
                    }
                    Some(self.pick(item, &node.children, Some(list.element)))
                });
                match items.collect::<Vec<_>>() {
                    none if none.is_empty() => Value::Null,
                    items => items.into(),
                }
            }
            _ => Value::Null,
        }
    }
}
