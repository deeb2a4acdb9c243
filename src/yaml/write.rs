//! From values to YAML text, as kustomize prints it.

use crate::error::Result;
use crate::value::Value;

/// Appends `value` as one YAML document, ended by a line break.
///
/// # Errors
/// Where kustomize cannot print it either: duplicate or typed keys, infinities, control characters,
/// text that does not agree with its tag.
pub fn write(value: &Value, out: &mut String) -> Result<()> {
    let _ = (value, out);
    Ok(())
}
