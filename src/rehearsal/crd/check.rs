//! What the server refuses in a CustomResourceDefinition.

use serde_json::Value;

use crate::rehearsal::Cause;

/// What is wrong with a new or a changed definition, after its general metadata.
pub fn validate(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let _ = (crd, old);
    Vec::new()
}

/// What is wrong with a definition whose status changed.
pub fn validate_status(crd: &Value) -> Vec<Cause> {
    let _ = crd;
    Vec::new()
}

/// Texts of `Warning` headers.
pub fn warnings(crd: &Value, old: Option<&Value>) -> Vec<String> {
    let _ = (crd, old);
    Vec::new()
}
