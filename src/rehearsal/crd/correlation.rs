//! Which old value a new one stands for, so that what was wrong before may stay.
//!
//! Source: apiserver `pkg/cel/common/equality.go`.

use serde_json::Value;

use super::structure::Structure;

/// A new value, the old one in its place, and their schema.
#[derive(Clone, Copy)]
pub(super) struct Correlation<'a> {
    /// The value after the change.
    pub new: &'a Value,
    /// The value before it; `None` where there was none.
    pub old: Option<&'a Value>,
    schema: &'a Structure,
}

impl<'a> Correlation<'a> {
    /// Of a whole object.
    pub(super) fn new(new: &'a Value, old: Option<&'a Value>, schema: &'a Structure) -> Self {
        Self { new, old, schema }
    }

    /// Whether nothing changed here.
    pub(super) fn is_unchanged(&self) -> bool {
        match self.old {
            Some(old) => old == self.new,
            None => self.new.is_null(),
        }
    }

    /// Of a field that the schema knows.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let (old, new) = (self.old?.as_object()?.get(name), self.new.as_object()?.get(name));
        let schema = self.schema.field(name)?;
        Some(Self { new: new.or(old)?, old, schema })
    }

    /// Of an element: only those of a list with keys can be told apart.
    pub(super) fn index(&self, index: usize) -> Option<Self> {
        let old = self.old?.as_array()?;
        let new = self.new.as_array()?.get(index)?;
        let old = find_by_keys(self.schema, old, new)?;
        Some(Self { new, old: Some(old), schema: self.schema.items.as_deref()? })
    }
}

/// The element of a list with keys that has the keys of another.
pub(super) fn find_by_keys<'a>(
    schema: &Structure,
    list: &'a [Value],
    like: &Value,
) -> Option<&'a Value> {
    if !schema.is_map_list() || !like.is_object() {
        return None;
    }
    let keys = &schema.list_keys;
    list.iter().rfind(|element| {
        element.is_object() && keys.iter().all(|key| element.get(key) == like.get(key))
    })
}
