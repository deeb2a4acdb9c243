//! `commonAnnotations`.

use ecow::EcoString;

use crate::error::Result;
use crate::kustomization::FieldSpec;
use crate::resources::Resources;
use crate::transform::labels;

/// Sets `pairs` in the annotations of every object and of the templates in it.
///
/// # Errors
/// Where a field of `specs` is no map.
pub fn apply(
    resources: &mut Resources,
    pairs: &[(EcoString, EcoString)],
    specs: &[FieldSpec],
) -> Result<()> {
    labels::set(resources, pairs, specs)
}
