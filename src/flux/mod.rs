//! Flux: what a `Kustomization` object says about a render.
//!
//! Source: the API `kustomize.toolkit.fluxcd.io/v1` of kustomize-controller 1.9, and of the versions
//! before it the two fields that its generator still honours.

pub mod api;
pub mod generate;
pub mod substitute;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::build::{self, Options};
use crate::error::{Error, ErrorKind, Place, Result, Warned};
use crate::files::{FileKind, Files, clean};
use crate::resources::Resources;
use crate::store::Store;

/// Renders what a Kustomization with this spec applies, from the files of its source.
///
/// That is everything up to the decryption and substitution of what was built. Paths are those of `files`, whose root
/// is that of the artifact; the path of the spec cannot leave it.
pub fn render(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    spec: &Spec,
) -> Warned<Result<Resources>> {
    let directory = clean(&Path::new("/").join(spec.path.trim_start_matches('/')));
    if files.kind(&directory) != FileKind::Directory {
        let place = Place::file(files.shown(&directory));
        let error = Error::new(ErrorKind::Missing, place, "no such directory in the artifact");
        return Warned { output: Err(error), warnings: Vec::new() };
    }
    let mut warnings = Vec::new();
    let limits = &options.limits;
    let edited = match generate::edited(files, store, limits, &directory, spec, &mut warnings) {
        Ok(edited) => edited,
        Err(error) => return Warned { output: Err(error), warnings },
    };
    let built = build::build_edited(files, store, options, &directory, edited);
    warnings.extend(built.warnings);
    Warned { output: built.output.and_then(checked), warnings }
}

/// What kustomize lets pass and Flux cannot apply.
///
/// Source: fluxcd/pkg `ssa/utils`, `ReadObjects`.
fn checked(resources: Resources) -> Result<Resources> {
    for resource in resources.iter() {
        let text = |path: &[&str]| resource.value.text_at(path).unwrap_or_default();
        let (version, kind) = (text(&["apiVersion"]), text(&["kind"]));
        let refused = |message: String| {
            let place = Place::file(resource.origin.file.clone());
            Error::new(ErrorKind::Invalid, place, message)
        };
        if version.is_empty() {
            let name = text(&["metadata", "name"]);
            return Err(refused(format!("{kind} \"{name}\" has no apiVersion")));
        }
        if !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let error = refused("the kind of an object is not a word".to_owned());
            return Err(error.hint("SOPS must not encrypt apiVersion, kind and metadata"));
        }
    }
    Ok(resources)
}

/// The part of a Kustomization's `spec` that decides what it renders to.
///
/// Serialized it is a key: two equal texts render equal trees to equal objects.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The directory in the artifact; empty for its root.
    pub path: String,
    /// Becomes the file's `namespace`.
    pub target_namespace: String,
    /// Becomes the file's `namePrefix`.
    pub name_prefix: String,
    /// Becomes the file's `nameSuffix`.
    pub name_suffix: String,
    /// Appended to the file's `patches`.
    pub patches: Vec<Patch>,
    /// Appended to the file's field of this name; gone from the API since v1.
    pub patches_strategic_merge: Vec<serde_json::Value>,
    /// Appended to the file's field of this name; gone from the API since v1.
    pub patches_json6902: Vec<Json6902Patch>,
    /// Merged into the file's `images` by name.
    pub images: Vec<Image>,
    /// Appended to the file's `components`.
    pub components: Vec<String>,
    /// Whether components that do not exist are left out.
    pub ignore_missing_components: bool,
    /// Replaces the file's `buildMetadata`.
    pub build_metadata: Vec<String>,
}

/// One entry of `patches`: a strategic merge patch or a JSON patch, which its content decides.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Patch {
    /// The patch itself.
    pub patch: String,
    /// What it is applied to; may be left out where the patch names its object.
    pub target: Option<Selector>,
}

/// One entry of `patchesJson6902`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Json6902Patch {
    /// The operations.
    pub patch: Vec<serde_json::Value>,
    /// What they are applied to.
    pub target: Selector,
}

/// Which objects: expressions anchored at both ends, and label selectors.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// The API group.
    pub group: String,
    /// The API version.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// Over labels.
    pub label_selector: String,
    /// Over annotations.
    pub annotation_selector: String,
}

/// One entry of `images`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Image {
    /// The name that is replaced.
    pub name: String,
    /// What replaces it.
    pub new_name: String,
    /// The tag that replaces the original one.
    pub new_tag: String,
    /// The digest that replaces the tag.
    pub digest: String,
}
