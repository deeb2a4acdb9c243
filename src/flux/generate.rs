//! The kustomization that Flux builds: the file at `spec.path`, or one made up where there is none, with
//! the object's spec merged in.
//!
//! Flux edits the file itself and does not wrap it: `spec.patches` see objects before the file's own prefix
//! does. So it happens here too, though in memory only.
//!
//! Source: fluxcd/pkg `kustomize/kustomize_generator.go`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;

use super::{Image, Selector, Spec};
use crate::build::Edited;
use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::files::{FileKind, Files, clean};
use crate::kustomization::{self, Kustomization, Patch, Source};
use crate::layer::{FILE_NAMES, Reader, has_kustomization};
use crate::limits::Limits;
use crate::manifest;
use crate::resource::Gvk;
use crate::store::Store;
use crate::yaml;

/// The namespace that keeps a kustomization without anything else from being refused as empty.
const PLACEHOLDER: &str = "_placeholder";

/// What Flux builds in `directory`.
///
/// # Errors
/// Where the kustomization file cannot be read; where there is none, and a file below the directory holds
/// something else than objects; where a component of the spec is no relative path.
pub fn edited(
    files: &dyn Files,
    store: &Store,
    limits: &Limits,
    directory: &Path,
    spec: &Spec,
    warnings: &mut Vec<Warning>,
) -> Result<Edited> {
    let reader = Reader::new(files, *limits, true);
    let mut edited = if has_kustomization(files, directory) {
        read(&reader, directory, warnings)?
    } else {
        make_up(&reader, store, directory)?
    };
    let components = components(files, directory, spec)?;
    merge(&mut edited.kustomization, spec, components);
    Ok(edited)
}

/// The file of a directory, read less strictly than kustomize does.
fn read(reader: &Reader<'_>, directory: &Path, warnings: &mut Vec<Warning>) -> Result<Edited> {
    let (source, _) = reader.kustomization(&reader.top(directory)?)?;
    let mut kustomization = kustomization::decode_leniently(&source, &reader.limits)?;
    warnings.extend(kustomization.deprecations(&source));
    if kustomization.resources.is_empty() && kustomization.build_metadata.is_empty() {
        kustomization.build_metadata.push("originAnnotations".into());
    } else if let Err(error) = kustomization::decode(&source, &reader.limits) {
        // Flux drops what it does not know; whoever builds the file by hand is refused.
        let place = error.places()[0].clone();
        let message = format!("Flux ignores it, kustomize does not: {}", error.message());
        warnings.push(Warning { place, message });
    }
    Ok(Edited { kustomization, source })
}

/// A kustomization of all that lies in a directory.
fn make_up(reader: &Reader<'_>, store: &Store, directory: &Path) -> Result<Edited> {
    let mut found = Vec::new();
    scan(reader, store, directory, Path::new("."), &mut found)?;
    let file = reader.files.shown(&directory.join(FILE_NAMES[0]));
    let source = Source { file: format!("{file} (made up by Flux)").into(), text: Bytes::new() };
    let mut kustomization = Kustomization { resources: found, ..Kustomization::default() };
    if kustomization.resources.is_empty() {
        kustomization.namespace = PLACEHOLDER.into();
    }
    Ok(Edited { kustomization, source })
}

/// Everything below `directory` that is YAML, in the order of names; directories with a kustomization are taken whole.
fn scan(
    reader: &Reader<'_>,
    store: &Store,
    directory: &Path,
    relative: &Path,
    found: &mut Vec<EcoString>,
) -> Result<()> {
    for name in reader.files.list(directory)? {
        let (path, relative) = (directory.join(&name), relative.join(&name));
        if found.len() >= reader.limits.files {
            let message = format!("more than {} files", reader.limits.files);
            let place = Place::file(reader.files.shown(directory));
            return Err(Error::new(ErrorKind::Limit, place, message));
        }
        match reader.files.kind(&path) {
            // A link to a directory is not entered: it may lead upwards.
            FileKind::Directory if is_link(reader.files, directory, &path) => {}
            FileKind::Directory => {
                if has_kustomization(reader.files, &path) {
                    found.push(text(&relative));
                } else {
                    scan(reader, store, &path, &relative, found)?;
                }
            }
            FileKind::File if is_yaml(&path) => {
                check(reader, store, &path)?;
                found.push(text(&relative));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_link(files: &dyn Files, directory: &Path, path: &Path) -> bool {
    let direct = files.canonical(directory).zip(path.file_name()).map(|(dir, name)| dir.join(name));
    files.canonical(path) != direct
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn text(path: &Path) -> EcoString {
    path.to_string_lossy().into()
}

/// Every such file has to hold objects: Flux refuses the whole directory otherwise.
fn check(reader: &Reader<'_>, store: &Store, path: &Path) -> Result<()> {
    let text = reader.read(path)?;
    let file: Arc<str> = reader.files.shown(path);
    let hint = "without a kustomization file, Flux takes every .yaml and .yml file below the path for objects";
    let documents =
        store.documents(&text, &file, &reader.limits).map_err(|error| error.hint(hint))?;
    let place = |document| Place { file: file.clone(), at: yaml::locate(&text, document, &[]) };
    manifest::resources(&documents, &file, &place).map_err(|error| error.hint(hint))?;
    Ok(())
}

/// The components of the spec, without those that may be missing and are.
fn components(files: &dyn Files, directory: &Path, spec: &Spec) -> Result<Vec<EcoString>> {
    let mut kept = Vec::new();
    for (index, component) in spec.components.iter().enumerate() {
        if !is_local(component) {
            let place = Place::file(format!("spec.components[{index}]"));
            let message = format!("\"{component}\" is not a relative path");
            return Err(Error::new(ErrorKind::Forbidden, place, message));
        }
        let path: PathBuf = clean(&directory.join(component));
        if spec.ignore_missing_components && files.kind(&path) == FileKind::Missing {
            continue;
        }
        kept.push(component.as_str().into());
    }
    Ok(kept)
}

/// Whether it is a path below or beside the kustomization, and no URL.
fn is_local(path: &str) -> bool {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let first = path.split('/').next().unwrap_or_default();
    !path.is_empty() && !path.starts_with('/') && !first.contains(':') && first != "github.com"
}

/// Writes the spec over what the file says.
fn merge(kustomization: &mut Kustomization, spec: &Spec, components: Vec<EcoString>) {
    let replace = |field: &mut EcoString, value: &str| {
        if !value.is_empty() {
            *field = value.into();
        }
    };
    replace(&mut kustomization.namespace, &spec.target_namespace);
    replace(&mut kustomization.name_prefix, &spec.name_prefix);
    replace(&mut kustomization.name_suffix, &spec.name_suffix);
    kustomization.patches.extend(spec.patches.iter().map(|patch| Patch {
        patch: patch.patch.as_str().into(),
        target: patch.target.as_ref().map(selector),
        ..Patch::default()
    }));
    let texts = spec.patches_strategic_merge.iter().map(|patch| patch.to_string().into());
    kustomization.patches_strategic_merge.extend(texts);
    kustomization.patches_json6902.extend(spec.patches_json6902.iter().map(|patch| Patch {
        patch: serde_json::Value::from(patch.patch.clone()).to_string().into(),
        target: Some(selector(&patch.target)),
        ..Patch::default()
    }));
    kustomization.components.extend(components);
    for image in &spec.images {
        merge_image(&mut kustomization.images, image);
    }
    if !spec.build_metadata.is_empty() {
        kustomization.build_metadata =
            spec.build_metadata.iter().map(|s| s.as_str().into()).collect();
    }
}

fn selector(selector: &Selector) -> kustomization::Selector {
    kustomization::Selector {
        gvk: Gvk {
            group: selector.group.as_str().into(),
            version: selector.version.as_str().into(),
            kind: selector.kind.as_str().into(),
        },
        name: selector.name.as_str().into(),
        namespace: selector.namespace.as_str().into(),
        label_selector: selector.label_selector.as_str().into(),
        annotation_selector: selector.annotation_selector.as_str().into(),
    }
}

/// Tag and digest are one unit: setting either clears the other, unless both are given.
fn merge_image(images: &mut Vec<kustomization::Image>, image: &Image) {
    let Some(known) = images.iter_mut().find(|known| known.name == image.name) else {
        images.push(kustomization::Image {
            name: image.name.as_str().into(),
            new_name: image.new_name.as_str().into(),
            new_tag: image.new_tag.as_str().into(),
            digest: image.digest.as_str().into(),
            ..kustomization::Image::default()
        });
        return;
    };
    if !image.new_name.is_empty() {
        known.new_name = image.new_name.as_str().into();
    }
    if !image.new_tag.is_empty() || !image.digest.is_empty() {
        known.new_tag = image.new_tag.as_str().into();
        known.digest = image.digest.as_str().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn made(files: &[(&str, &str)], spec: &Spec) -> Result<(Kustomization, Vec<Warning>)> {
        let mut memory = Memory::default();
        memory.insert_directory("/app");
        for (path, content) in files {
            memory.insert(path, content.as_bytes().to_vec());
        }
        let mut warnings = Vec::new();
        let directory = Path::new("/app");
        edited(&memory, &Store::default(), &Limits::WEBHOOK, directory, spec, &mut warnings)
            .map(|edited| (edited.kustomization, warnings))
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";

    #[test]
    fn takes_every_yaml_file_where_there_is_no_kustomization() {
        let files = [
            ("app/b.yaml", MAP),
            ("app/a.yml", MAP),
            ("app/README.md", "# no"),
            ("app/sub/c.yaml", MAP),
            ("app/base/kustomization.yml", "resources: [x.yaml]"),
            ("app/base/x.yaml", "not an object"),
        ];
        let (made, _) = made(&files, &Spec::default()).unwrap();
        assert_eq!(made.resources, ["./a.yml", "./b.yaml", "./base", "./sub/c.yaml"]);
    }

    #[test]
    fn refuses_a_directory_with_yaml_that_is_no_object() {
        let files = [("app/a.yaml", MAP), ("app/values.yaml", "replicas: 3\n")];
        let error = made(&files, &Spec::default()).unwrap_err();
        assert!(error.to_string().starts_with("app/values.yaml"), "{error}");
        assert!(error.remedy().unwrap().contains("every .yaml"));
    }

    #[test]
    fn an_empty_directory_builds_to_nothing() {
        let (made, _) = made(&[], &Spec::default()).unwrap();
        assert_eq!(made.namespace, PLACEHOLDER);
    }

    #[test]
    fn unknown_fields_are_a_warning() {
        let files = [("app/kustomization.yaml", "resources: [a.yaml]\nresuorces: []\n")];
        let (made, warnings) = made(&files, &Spec::default()).unwrap();
        assert_eq!(made.resources, ["a.yaml"]);
        assert!(warnings[0].message.contains("unknown field \"resuorces\""), "{warnings:?}");
    }

    #[test]
    fn a_file_without_resources_is_not_empty_for_flux() {
        let (made, warnings) =
            made(&[("app/kustomization.yaml", "resources: []\n")], &Spec::default()).unwrap();
        assert_eq!(made.build_metadata, ["originAnnotations"]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn the_spec_is_written_over_the_file() {
        let file = "namespace: a\nnamePrefix: b-\npatches: [{path: p.yaml}]\nresources: [r.yaml]\n";
        let spec = Spec {
            target_namespace: "c".into(),
            name_suffix: "-d".into(),
            patches: vec![super::super::Patch { patch: "p".into(), target: None }],
            components: vec!["../missing".into(), "../comp".into()],
            ignore_missing_components: true,
            ..Spec::default()
        };
        let files =
            [("app/kustomization.yaml", file), ("comp/kustomization.yaml", "kind: Component")];
        let (made, _) = made(&files, &spec).unwrap();
        assert_eq!((made.namespace.as_str(), made.name_prefix.as_str()), ("c", "b-"));
        assert_eq!(made.name_suffix, "-d");
        assert_eq!(made.patches.len(), 2);
        assert_eq!(made.components, ["../comp"]);
    }

    #[test]
    fn components_are_relative_paths() {
        for (path, local) in [
            ("foobar.yaml", true),
            ("./foobar.yaml", true),
            ("../x", true),
            ("file://foobar.yaml", true),
            ("file:///foobar.yaml", false),
            ("/foobar.yaml", false),
            ("https://github.com/owner/repo", false),
            ("git@github.com:owner/repo", false),
            ("ssh://git@github.com/owner/repo", false),
            ("github.com/owner/repo", false),
            ("", false),
        ] {
            assert_eq!(is_local(path), local, "{path}");
        }
    }

    #[test]
    fn tag_and_digest_of_an_image_are_one_unit() {
        let known = |tag: &str, digest: &str| kustomization::Image {
            name: "app".into(),
            new_name: "old".into(),
            new_tag: tag.into(),
            digest: digest.into(),
            ..kustomization::Image::default()
        };
        let merged = |mut images: Vec<kustomization::Image>, tag: &str, digest: &str| {
            let image = Image {
                name: "app".into(),
                new_tag: tag.into(),
                digest: digest.into(),
                ..Image::default()
            };
            merge_image(&mut images, &image);
            let image = images.remove(0);
            (image.new_name.to_string(), image.new_tag.to_string(), image.digest.to_string())
        };
        let expect = |name: &str, tag: &str, digest: &str| {
            (name.to_owned(), tag.to_owned(), digest.to_owned())
        };
        assert_eq!(merged(vec![known("1", "")], "", ""), expect("old", "1", ""));
        assert_eq!(merged(vec![known("", "sha256:a")], "2", ""), expect("old", "2", ""));
        assert_eq!(merged(vec![known("1", "")], "", "sha256:b"), expect("old", "", "sha256:b"));
        assert_eq!(merged(vec![known("1", "")], "2", "sha256:b"), expect("old", "2", "sha256:b"));
        assert_eq!(merged(vec![], "2", ""), expect("", "2", ""));
    }
}
