//! `buildMetadata`: notes on where an object comes from and what changed it.
//!
//! Kustomize takes its notes in annotations of the objects; here they are fields of [`Resource`],
//! which [`finish`] writes out where they were asked for. Their texts are YAML.
//!
//! Source: kustomize `api/resource/origin.go`, `api/krusty/kustomizer.go`.

use std::path::{Path, PathBuf};

use ecow::EcoString;

use super::labels;
use crate::error::Result;
use crate::files::clean;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::value::Value;
use crate::yaml::nodes;

/// The annotation for [`Resource::origin_annotation`].
pub(super) const ORIGIN: &str = "config.kubernetes.io/origin";

/// The annotation for [`Resource::transformations`].
pub(super) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// The label of `managedByLabel`.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// What the label of `managedByLabel` says: the version of kustomize whose output this is.
const VERSION: &str = "v5.8.1";

/// Where a layer stands, as notes have it.
#[derive(Clone, Debug)]
pub struct Notes {
    /// The way from the directory of the build, as entries spell it; in a repository from its root.
    pub directory: PathBuf,
    /// The name of the kustomization file.
    pub file_name: &'static str,
    /// The repository and the reference, for layers of a clone.
    pub repository: Option<(EcoString, EcoString)>,
}

/// What made or changed an object.
#[derive(Clone, Copy, Debug, Default)]
pub struct By<'a> {
    /// `builtin` for fields of the kustomization.
    pub api_version: &'a str,
    /// Such as `PrefixTransformer`.
    pub kind: &'a str,
    /// For configurations in files.
    pub name: &'a str,
    /// For configurations in files.
    pub namespace: &'a str,
}

impl<'a> By<'a> {
    /// A field of the kustomization, by the name of its transformer or generator.
    #[must_use]
    pub fn field(kind: &'a str) -> Self {
        Self { api_version: "builtin", kind, ..Self::default() }
    }

    fn lines(self, text: &mut String) {
        text.push_str("configuredBy:\n");
        let Self { api_version, kind, name, namespace } = self;
        for (key, value) in
            [("apiVersion", api_version), ("kind", kind), ("name", name), ("namespace", namespace)]
        {
            line(text, &format!("  {key}"), value);
        }
    }
}

impl Notes {
    /// The note on an object that a file of this layer holds.
    #[must_use]
    pub fn file(&self, entry: &str) -> EcoString {
        let mut text = String::new();
        line(&mut text, "path", &joined(&self.directory, entry));
        self.repository_lines(&mut text);
        text.into()
    }

    /// The note on what a field of this layer's kustomization makes or changes.
    #[must_use]
    pub fn field(&self, kind: &str) -> EcoString {
        self.configured(self.file_name, By::field(kind))
    }

    /// The note on what a configuration in the file `entry` makes or changes.
    #[must_use]
    pub fn configured(&self, entry: &str, by: By<'_>) -> EcoString {
        let mut text = String::new();
        self.repository_lines(&mut text);
        line(&mut text, "configuredIn", &joined(&self.directory, entry));
        by.lines(&mut text);
        text.into()
    }

    fn repository_lines(&self, text: &mut String) {
        if let Some((repository, reference)) = &self.repository {
            line(text, "repo", repository);
            line(text, "ref", reference);
        }
    }
}

/// The note on what a configuration makes or changes, from the note on where it comes from itself.
#[must_use]
pub fn configured_by(origin: &str, by: By<'_>) -> EcoString {
    let (path, repository): (Vec<&str>, _) =
        origin.split_inclusive('\n').partition(|line| line.starts_with("path: "));
    let mut text = repository.concat();
    for line in path {
        text.push_str(&line.replacen("path: ", "configuredIn: ", 1));
    }
    by.lines(&mut text);
    text.into()
}

/// Blank values are left out.
fn line(text: &mut String, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    text.push_str(key);
    text.push_str(": ");
    text.push_str(&nodes::one_line(value));
    text.push('\n');
}

fn joined(directory: &Path, entry: &str) -> String {
    clean(&directory.join(entry)).to_string_lossy().into_owned()
}

/// Notes who made the objects, where that is not known yet.
pub fn note_generator<'r>(resources: impl IntoIterator<Item = &'r mut Resource>, note: &EcoString) {
    for resource in resources {
        resource.origin_annotation.get_or_insert_with(|| note.clone());
    }
}

/// Notes what ran over the objects, changed or not; those of unknown origin count as its work.
pub fn note_transformer<'r>(
    resources: impl IntoIterator<Item = &'r mut Resource>,
    note: &EcoString,
) {
    for resource in resources {
        match resource.origin_annotation {
            Some(_) => resource.transformations.push(note.clone()),
            None => resource.origin_annotation = Some(note.clone()),
        }
    }
}

/// Writes out the notes that `build_metadata` asks for, and the label that either asks for; all other annotations of kustomize's own
/// are gone afterwards.
///
/// The label says `version`, or where there is none that of the kustomize that this follows.
///
/// # Errors
/// Where the label is asked for and an object's labels are no map.
pub fn finish(
    resources: &mut Resources,
    build_metadata: &[EcoString],
    managed_by_label: bool,
    version: Option<&str>,
) -> Result<()> {
    let asked = |name: &str| build_metadata.iter().any(|one| one == name);
    let (origin, transformations) = (asked("originAnnotations"), asked("transformerAnnotations"));
    if managed_by_label || asked("managedByLabel") {
        let label = format!("kustomize-{}", version.unwrap_or(VERSION)).into();
        labels::set(resources, &[(MANAGED_BY.into(), label)], &[labels::own()])?;
    }
    for resource in resources.iter_mut() {
        resource.settle_annotations(&[]);
        let origin_note = resource.origin_annotation.clone().filter(|_| origin);
        annotate(resource, ORIGIN, origin_note);
        let steps = transformation_list(resource).filter(|_| transformations);
        annotate(resource, TRANSFORMATIONS, steps);
        resource.settle_end();
    }
    Ok(())
}

fn annotate(resource: &mut Resource, key: &str, note: Option<EcoString>) {
    if let Some(note) = note {
        resource.value.set(&["metadata", "annotations", key], Value::string(note));
    }
}

/// All notes on transformers as one list.
pub(super) fn transformation_list(resource: &Resource) -> Option<EcoString> {
    if resource.transformations.is_empty() {
        return None;
    }
    let mut list = EcoString::new();
    for note in &resource.transformations {
        for (index, line) in note.lines().enumerate() {
            list.push_str(if index == 0 { "- " } else { "  " });
            list.push_str(line);
            list.push('\n');
        }
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;

    fn notes(directory: &str) -> Notes {
        let (directory, file_name) = (directory.into(), "kustomization.yaml");
        Notes { directory, file_name, repository: None }
    }

    #[test]
    fn a_file_is_noted_from_the_directory_of_the_build() {
        assert_eq!(notes("../base").file("./a.yaml"), "path: ../base/a.yaml\n");
    }

    #[test]
    fn a_clone_is_noted_with_its_reference() {
        let repository = Some(("https://github.com/o/r".into(), "1.0".into()));
        let notes = Notes { repository, ..notes("dir") };
        assert_eq!(
            notes.file("a.yaml"),
            "path: dir/a.yaml\nrepo: https://github.com/o/r\nref: \"1.0\"\n"
        );
    }

    #[test]
    fn transformers_are_noted_in_turn() {
        let mut value = Value::map();
        value.set(&["metadata", "annotations", "config.k8s.io/id"], Value::plain("1"));
        let mut resource = Resource::new(value, Origin { file: "a.yaml".into(), document: 0 });
        let notes = notes("");
        note_generator([&mut resource], &notes.file("a.yaml"));
        note_transformer([&mut resource], &notes.field("PrefixTransformer"));
        note_transformer([&mut resource], &notes.field("ImageTagTransformer"));
        let mut resources = Resources::from(vec![resource]);
        finish(&mut resources, &["transformerAnnotations".into()], false, None).expect("finishes");
        let annotations = resources.as_slice()[0].annotations().expect("annotations");
        assert_eq!(annotations.len(), 1);
        assert_eq!(
            annotations.get(TRANSFORMATIONS).and_then(Value::as_text),
            Some(
                "- configuredIn: kustomization.yaml\n  configuredBy:\n    apiVersion: builtin\n    \
                 kind: PrefixTransformer\n- configuredIn: kustomization.yaml\n  configuredBy:\n    \
                 apiVersion: builtin\n    kind: ImageTagTransformer\n"
            )
        );
    }
}
