//! Flux's own objects as they are written in a repository: read from YAML with everything that the API
//! server would refuse, each with its line.
//!
//! Source: the Go types with their validation markers in kustomize-controller `api/v1`, source-controller
//! `api/v1` and helm-controller `api/v2`, as of Flux 2.9.

mod checked;
mod helm;
mod kustomization;
mod source;

use ecow::EcoString;

pub use checked::{Duration, MOST};
pub use helm::{
    Chart, ChartRef, Crds, HelmChart, HelmRelease, HelmRepository, Install, PostRenderStrategy,
    PostRenderer, ValuesReference,
};
pub use kustomization::{
    CommonMetadata, Decryption, DeletionPolicy, Dependency, HealthCheckExpr, IgnoreRule,
    KubeConfig, Kustomization, ObjectRef, SourceRef, Version,
};
pub use source::{
    Bucket, ExternalArtifact, GitReference, GitRepository, Include, OciReference, OciRepository,
};

use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::kustomization::node::{Decode, Node, Rules, decode_into};
use crate::limits::Limits;
use crate::value::Value;
use crate::yaml::{self, Step};

/// The group of Kustomizations, and of the labels and annotations that go with them.
pub const GROUP: &str = "kustomize.toolkit.fluxcd.io";
/// The group of sources.
pub const SOURCE_GROUP: &str = "source.toolkit.fluxcd.io";
/// The group of HelmReleases.
pub const HELM_GROUP: &str = "helm.toolkit.fluxcd.io";

/// An object of Flux.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Object {
    /// What is built and applied.
    Kustomization(Box<Kustomization>),
    /// A Git repository.
    GitRepository(Box<GitRepository>),
    /// A repository of OCI artifacts.
    OciRepository(Box<OciRepository>),
    /// A bucket of an object store.
    Bucket(Box<Bucket>),
    /// An artifact that somebody else provides.
    ExternalArtifact(Box<ExternalArtifact>),
    /// A release of a chart.
    HelmRelease(Box<HelmRelease>),
    /// A repository of charts.
    HelmRepository(Box<HelmRepository>),
    /// A chart of a repository.
    HelmChart(Box<HelmChart>),
}

/// What all objects have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Meta {
    /// As written.
    pub api_version: EcoString,
    /// The name.
    pub name: EcoString,
    /// The namespace, empty where it is left to whoever applies the object.
    pub namespace: EcoString,
    /// Sorted by key.
    pub labels: Vec<(EcoString, EcoString)>,
    /// Sorted by key.
    pub annotations: Vec<(EcoString, EcoString)>,
    /// Where the object stands.
    pub place: Option<Place>,
}

/// How much is asked of an object.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reading {
    /// What the API server asks: a problem is an error.
    #[default]
    Strict,
    /// The same of what is there; that something is missing is a warning, as others may add to it.
    Partial,
    /// That it can be read at all, as `flux build --kustomization-file` does: everything else is a warning.
    Lenient,
}

/// Reads an object, or nothing where it is none of Flux's.
///
/// `place` says where in the user's file a path within the object leads to. Warnings tell of versions that
/// are gone and what has taken the place of their fields.
pub fn read(
    value: &Value,
    reading: Reading,
    place: &dyn Fn(&[Step<'_>]) -> Place,
) -> Warned<Result<Option<Object>>> {
    let mut warnings = Vec::new();
    let output = read_with(value, reading, place, &mut warnings);
    Warned { output, warnings }
}

/// Reads all objects of Flux in a file, each with the number of its document.
///
/// All of them are read before the first error is reported, and all problems of a document are in one.
pub fn read_file(
    text: &[u8],
    file: &std::sync::Arc<str>,
    reading: Reading,
    limits: &Limits,
) -> Warned<Result<Vec<(usize, Object)>>> {
    let mut warnings = Vec::new();
    let documents = match yaml::read(text, file, limits) {
        Ok(documents) => documents,
        Err(error) => return Warned { output: Err(error), warnings },
    };
    let mut objects = Vec::new();
    let mut failed = None;
    for (document, value) in documents.iter().enumerate() {
        let place = |path: &[Step<'_>]| Place {
            file: file.clone(),
            at: yaml::locate(text, document, path),
        };
        match read_with(value, reading, &place, &mut warnings) {
            Ok(Some(object)) => objects.push((document, object)),
            Ok(None) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let output = match failed {
        Some(error) => Err(error),
        None => Ok(objects),
    };
    Warned { output, warnings }
}

/// Finds the Kustomization of a name and namespace in a file, as `--kustomization-file` does: documents
/// before it have to be objects, and one without a namespace is in any.
///
/// # Errors
/// Where there is none, or the file cannot be read up to there.
pub fn find_kustomization(
    text: &[u8],
    file: &std::sync::Arc<str>,
    (name, namespace): (&str, &str),
    limits: &Limits,
) -> Warned<Result<Kustomization>> {
    let mut warnings = Vec::new();
    let found = (|| {
        for (document, value) in yaml::read(text, file, limits)?.iter().enumerate() {
            let is_it = value.text_at(&["metadata", "name"]) == Some(name)
                && value.text_at(&["kind"]) == Some("Kustomization")
                && matches!(value.text_at(&["metadata", "namespace"]), None | Some(""))
                    | (value.text_at(&["metadata", "namespace"]) == Some(namespace));
            if !is_it {
                continue;
            }
            let place = |path: &[Step<'_>]| Place {
                file: file.clone(),
                at: yaml::locate(text, document, path),
            };
            let read = read_with(value, Reading::Lenient, &place, &mut warnings)?;
            if let Some(Object::Kustomization(one)) = read {
                return Ok(*one);
            }
        }
        // In the words of the program itself, which people search for.
        let message = format!(
            "failed find kustomization with name '{name}' and namespace '{namespace}' in file '{file}'"
        );
        Err(Error::new(ErrorKind::Missing, Place::file(file.clone()), message))
    })();
    Warned { output: found, warnings }
}

fn read_with(
    value: &Value,
    reading: Reading,
    place: &dyn Fn(&[Step<'_>]) -> Place,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Object>> {
    let api_version = value.text_at(&["apiVersion"]).unwrap_or_default();
    let Some((group, version)) = api_version.split_once('/') else { return Ok(None) };
    let kind = value.text_at(&["kind"]).unwrap_or_default();
    let mut reader = Reader { value, reading, place, warnings };
    match (group, kind) {
        (GROUP, "Kustomization") => {
            let Some(version) = Version::parse(version) else {
                return Err(reader.unknown_version(&["v1", "v1beta2", "v1beta1"]));
            };
            let object = reader.decode(Kustomization::of(version))?;
            reader.warnings.extend(object.complaints(value, place));
            Ok(Some(Object::Kustomization(Box::new(object))))
        }
        (SOURCE_GROUP, kind) => {
            let object = match kind {
                "GitRepository" => {
                    Object::GitRepository(Box::new(reader.decode(GitRepository::default())?))
                }
                "OCIRepository" => {
                    Object::OciRepository(Box::new(reader.decode(OciRepository::default())?))
                }
                "Bucket" => Object::Bucket(Box::new(reader.decode(Bucket::default())?)),
                "ExternalArtifact" => {
                    Object::ExternalArtifact(Box::new(reader.decode(ExternalArtifact::default())?))
                }
                "HelmRepository" => {
                    Object::HelmRepository(Box::new(reader.decode(HelmRepository::default())?))
                }
                "HelmChart" => Object::HelmChart(Box::new(reader.decode(HelmChart::default())?)),
                _ => return Ok(None),
            };
            reader.removed(version, "v1", &["v1beta1", "v1beta2"]);
            Ok(Some(object))
        }
        (HELM_GROUP, "HelmRelease") => {
            let object = reader.decode(HelmRelease::default())?;
            reader.removed(version, "v2", &["v2beta1", "v2beta2"]);
            Ok(Some(Object::HelmRelease(Box::new(object))))
        }
        _ => Ok(None),
    }
}

struct Reader<'r> {
    value: &'r Value,
    reading: Reading,
    place: &'r dyn Fn(&[Step<'_>]) -> Place,
    warnings: &'r mut Vec<Warning>,
}

impl Reader<'_> {
    fn decode<T: Decode + Clone>(&mut self, blank: T) -> Result<T> {
        let error = match self.decode_by(blank.clone(), Rules::OBJECT) {
            Ok(decoded) => return Ok(decoded),
            Err(error) => error,
        };
        let rules = match self.reading {
            Reading::Strict => return Err(error),
            Reading::Partial => Rules { is_partial: true, ..Rules::OBJECT },
            Reading::Lenient => Rules { refuses_unknown: false, ..Rules::OBJECT },
        };
        let decoded = self.decode_by(blank, rules)?;
        let place = error.places()[0].clone();
        let problem = error.message().lines().next().unwrap_or_default();
        let message = format!("the API server refuses it: {problem}");
        self.warnings.push(Warning { place, message });
        Ok(decoded)
    }

    fn decode_by<T: Decode>(&self, mut blank: T, rules: Rules) -> Result<T> {
        decode_into(self.value, rules, self.place, |node| blank.decode(node))?;
        Ok(blank)
    }

    fn unknown_version(&self, known: &[&str]) -> Error {
        let place = (self.place)(&[Step::Key("apiVersion")]);
        let version = self.value.text_at(&["apiVersion"]).unwrap_or_default();
        let message = format!("there is no \"{version}\" of this kind");
        Error::new(ErrorKind::Invalid, place, message)
            .hint(format!("versions are {}", known.join(", ")))
    }

    /// Warns of versions that Flux does not serve any more, and of such that it never did.
    fn removed(&mut self, version: &str, current: &str, old: &[&str]) {
        if version == current {
            return;
        }
        let place = (self.place)(&[Step::Key("apiVersion")]);
        let message = if old.contains(&version) {
            format!("version {version} is not served any more, {current} has taken its place")
        } else {
            format!("version {version} is unknown, it is read as {current}")
        };
        self.warnings.push(Warning { place, message });
    }
}

impl Object {
    /// The kind as it is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kustomization(_) => "Kustomization",
            Self::GitRepository(_) => "GitRepository",
            Self::OciRepository(_) => "OCIRepository",
            Self::Bucket(_) => "Bucket",
            Self::ExternalArtifact(_) => "ExternalArtifact",
            Self::HelmRelease(_) => "HelmRelease",
            Self::HelmRepository(_) => "HelmRepository",
            Self::HelmChart(_) => "HelmChart",
        }
    }

    /// Name, namespace and so on.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Kustomization(one) => &one.meta,
            Self::GitRepository(one) => &one.meta,
            Self::OciRepository(one) => &one.meta,
            Self::Bucket(one) => &one.meta,
            Self::ExternalArtifact(one) => &one.meta,
            Self::HelmRelease(one) => &one.meta,
            Self::HelmRepository(one) => &one.meta,
            Self::HelmChart(one) => &one.meta,
        }
    }
}

/// Declares which field of a mapping goes where, and which have to be there.
macro_rules! fields {
    ($type:ty { $($name:literal: $($field:ident).+),+ $(,)? }
     $(needs $($needed:literal),+)?) => {
        impl Decode for $type {
            fn decode(&mut self, node: &Node<'_>) {
                let needed = [$($($needed),+)?];
                $crate::flux::api::each(node, &[$($name),+], &needed, |name, node| match name {
                    $($name => self.$($field).+.decode(node),)+
                    _ => {}
                });
            }
        }
    };
}
use fields;

/// Declares an enumeration of words.
macro_rules! choice {
    ($type:ty { $($word:literal => $variant:ident),+ $(,)? }) => {
        impl Decode for $type {
            fn decode(&mut self, node: &Node<'_>) {
                let Some(text) = node.text() else { return };
                match text.as_str() {
                    $($word => *self = Self::$variant,)+
                    _ => $crate::flux::api::checked::not_one_of(node, &text, &[$($word),+]),
                }
            }
        }
    };
}
use choice;

/// Reports the fields of a mapping that have to be there and are not.
fn need(node: &Node<'_>, present: &[&str], needed: &[&str]) {
    if !node.is_strict() || node.is_partial() || node.value.as_map().is_none() {
        return;
    }
    for field in needed.iter().filter(|field| !present.contains(*field)) {
        node.problem(format!("\"{field}\" is missing"), None);
    }
}

/// Declares an object of its `meta`, a spec that is read by its `decode_spec`, and its `status`.
macro_rules! object {
    ($type:ty) => {
        impl Decode for $type {
            fn decode(&mut self, node: &Node<'_>) {
                let mut meta = std::mem::take(&mut self.meta);
                $crate::flux::api::decode_object(&mut meta, node, |name, node| match name {
                    "spec" => self.decode_spec(node),
                    _ => self.status.decode(node),
                });
                self.meta = meta;
            }
        }
    };
}
use object;

/// Reads the fields of a mapping, checks those that have to be there, and gives each to `field`.
fn each(
    node: &Node<'_>,
    names: &[&'static str],
    needed: &[&str],
    mut field: impl FnMut(&'static str, &Node<'_>),
) -> Vec<&'static str> {
    let mut present = Vec::new();
    node.record(names, |name, node| {
        if !node.is_null() {
            present.push(name);
        }
        field(name, node);
    });
    need(node, &present, needed);
    present
}

/// The fields that every object has beside its own; `spec` and `status` are taken by `own`.
fn decode_object(meta: &mut Meta, node: &Node<'_>, mut own: impl FnMut(&'static str, &Node<'_>)) {
    meta.place = Some(node.place());
    let names = ["apiVersion", "kind", "metadata", "spec", "status"];
    each(node, &names, &["metadata", "spec"], |name, node| match name {
        "apiVersion" => meta.api_version.decode(node),
        "metadata" => decode_metadata(meta, node),
        "spec" | "status" => own(name, node),
        _ => {}
    });
}

const METADATA: [&str; 15] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
    "managedFields",
];

fn decode_metadata(meta: &mut Meta, node: &Node<'_>) {
    let mut has_name = false;
    node.record(&METADATA, |name, node| match name {
        "name" => {
            has_name = !node.is_null();
            meta.name.decode(node);
            checked::name(node, &meta.name);
        }
        "generateName" => has_name = true,
        "namespace" => {
            meta.namespace.decode(node);
            checked::namespace(node, &meta.namespace);
        }
        "labels" => meta.labels.decode(node),
        "annotations" => meta.annotations.decode(node),
        _ => {}
    });
    if !has_name {
        need(node, &[], &["name"]);
    }
}

#[cfg(test)]
mod tests;
