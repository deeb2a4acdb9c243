//! A build: kustomize's order of steps.

use std::path::Path;

use crate::error::{Result, Warned};
use crate::files::Files;
use crate::limits::Limits;
use crate::resources::Resources;
use crate::store::Store;

/// In which order objects are returned.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// As `sortOptions` of the top kustomization says, the legacy order without them.
    #[default]
    AsSpecified,
    /// By kind, always.
    Legacy,
    /// As they were accumulated, always; this is what Flux applies.
    None,
}

/// What a caller decides about a build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Upper bounds of everything.
    pub limits: Limits,
    /// Whether files outside the directory of their kustomization may be read
    /// (`--load-restrictor LoadRestrictionsNone`).
    pub unrestricted: bool,
    /// The order of the result.
    pub order: Order,
    /// Whether URLs may be fetched; the webhook never does.
    pub remote: bool,
}

/// Renders the kustomization in the directory `root`.
///
/// Warnings come with failures too.
pub fn build(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    root: &Path,
) -> Warned<Result<Resources>> {
    let _ = (files, store, options, root);
    Warned { output: Ok(Resources::default()), warnings: Vec::new() }
}

/// The documents of a build as kustomize prints them, separated by `---`.
///
/// # Errors
/// Where an object cannot be printed, or all together exceed the limit.
pub fn print(resources: &Resources, limits: &Limits) -> Result<String> {
    let _ = limits;
    let mut out = String::new();
    for (index, resource) in resources.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        crate::yaml::write(&resource.value, &mut out)?;
    }
    Ok(out)
}
