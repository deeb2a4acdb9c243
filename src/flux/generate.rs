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
use crate::value::Value;
use crate::yaml;

/// The namespace that keeps a kustomization without anything else from being refused as empty.
const PLACEHOLDER: &str = "_placeholder";

/// What is hidden from a build.
///
/// Only Flux's command line hides anything here; what a cluster gets is what its source has not hidden.
#[derive(Clone, Copy)]
pub struct Hidden<'a> {
    /// Says whether a file or directory is: its path, and whether it is a directory.
    pub hides: &'a (dyn Fn(&Path, bool) -> bool + Sync + 'a),
    /// Whether that counts too where a directory has no kustomization file; entries of one it counts for always.
    pub in_walks: bool,
}

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
    hidden: Option<&Hidden<'_>>,
    warnings: &mut Vec<Warning>,
) -> Result<Edited> {
    let reader = Reader::new(files, *limits, true);
    let mut edited = if has_kustomization(files, directory) {
        read(&reader, directory, warnings)?
    } else {
        make_up(&reader, store, directory, hidden)?
    };
    if let Some(hidden) = hidden {
        let Kustomization { resources, components, crds, .. } = &mut edited.kustomization;
        for (entries, has_urls) in [(resources, true), (components, true), (crds, false)] {
            hide(files, directory, entries, has_urls, hidden)?;
        }
    }
    let components = components(files, directory, spec)?;
    merge(&mut edited.kustomization, spec, components);
    Ok(edited)
}

/// Takes out the entries that name something hidden.
///
/// Source: fluxcd/pkg `kustomize/filters.go`, `filterSlice`.
fn hide(
    files: &dyn Files,
    directory: &Path,
    entries: &mut Vec<EcoString>,
    has_urls: bool,
    hidden: &Hidden<'_>,
) -> Result<()> {
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries.drain(..) {
        if !(has_urls && has_scheme(&entry)) {
            let path = clean(&directory.join(&entry));
            let kind = files.kind(&path);
            if kind == FileKind::Missing {
                let place = Place::file(files.shown(&path));
                return Err(Error::new(ErrorKind::Missing, place, "no such file or directory"));
            }
            if (hidden.hides)(&path, kind == FileKind::Directory) {
                continue;
            }
        }
        kept.push(entry);
    }
    *entries = kept;
    Ok(())
}

/// Whether Go's parser finds a scheme.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && scheme.bytes().all(is_letter)
        && !rest.is_empty()
}

/// The file of a directory, read less strictly than kustomize does.
fn read(reader: &Reader<'_>, directory: &Path, warnings: &mut Vec<Warning>) -> Result<Edited> {
    let (source, _) = reader.kustomization(&reader.top(directory)?)?;
    let mut kustomization = kustomization::decode_leniently(&source, &reader.limits)?;
    warnings.extend(kustomization.deprecations(&source));
    let names_no_resources = no_resources(&kustomization, &source, &reader.limits);
    if names_no_resources {
        kustomization.build_metadata = vec!["originAnnotations".into()];
    }
    if let Err(error) = kustomization::decode(&source, &reader.limits)
        && !(names_no_resources && error.message() == kustomization::EMPTY)
    {
        // Flux drops what it does not know; whoever builds the file by hand is refused.
        let place = error.places()[0].clone();
        let message = format!("kustomize refuses it, Flux does not: {}", error.message());
        warnings.push(Warning { place, message });
    }
    Ok(Edited { kustomization, source })
}

/// Whether the field `resources` itself has no entry: Flux does not look at the deprecated `bases`.
fn no_resources(kustomization: &Kustomization, source: &Source, limits: &Limits) -> bool {
    if kustomization.resources.is_empty() {
        return true;
    }
    let has_bases = kustomization.deprecated.iter().any(|(field, _)| *field == "bases");
    has_bases
        && yaml::read_first(&source.text, &source.file, limits).is_ok_and(|file| {
            file.get("resources").and_then(Value::as_list).is_none_or(|list| list.is_empty())
        })
}

/// A kustomization of all that lies in a directory.
fn make_up(
    reader: &Reader<'_>,
    store: &Store,
    directory: &Path,
    hidden: Option<&Hidden<'_>>,
) -> Result<Edited> {
    let mut found = Vec::new();
    let mut scan = Scan { reader, store, hidden, found: &mut found };
    scan.directory(directory, Path::new("."), 0)?;
    let file = reader.files.shown(&directory.join(FILE_NAMES[0]));
    let source = Source { file: format!("{file} (made up by Flux)").into(), text: Bytes::new() };
    let mut kustomization = Kustomization { resources: found, ..Kustomization::default() };
    if kustomization.resources.is_empty() {
        kustomization.namespace = PLACEHOLDER.into();
    }
    Ok(Edited { kustomization, source })
}

/// A walk through a directory without a kustomization file.
struct Scan<'s, 'r> {
    reader: &'s Reader<'r>,
    store: &'s Store,
    hidden: Option<&'s Hidden<'s>>,
    found: &'s mut Vec<EcoString>,
}

impl Scan<'_, '_> {
    /// Everything below `directory` that is YAML, in the order of names; directories with a kustomization
    /// are taken whole.
    fn directory(&mut self, directory: &Path, relative: &Path, depth: usize) -> Result<()> {
        let (files, limits) = (self.reader.files, self.reader.limits);
        for name in files.list(directory)? {
            let (path, relative) = (directory.join(&name), relative.join(&name));
            if self.found.len() >= limits.files || depth >= limits.layers {
                let message = format!("more than {} files, or too deep", limits.files);
                let place = Place::file(files.shown(directory));
                return Err(Error::new(ErrorKind::Limit, place, message));
            }
            match files.kind(&path) {
                // A link to a directory is not entered: it may lead upwards.
                FileKind::Directory if is_link(files, directory, &path) => {}
                FileKind::Directory => {
                    if has_kustomization(files, &path) {
                        self.found.push(text(&relative));
                    } else {
                        self.directory(&path, &relative, depth + 1)?;
                    }
                }
                FileKind::File if is_yaml(&path) && !self.hides(&path) => {
                    check(self.reader, self.store, &path)?;
                    self.found.push(text(&relative));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn hides(&self, path: &Path) -> bool {
        self.hidden.is_some_and(|hidden| hidden.in_walks && (hidden.hides)(path, false))
    }
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
    manifest::resources(&documents, &text, &file, &place).map_err(|error| error.hint(hint))?;
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

/// What kustomize takes for the address of a repository.
///
/// Source: fluxcd/pkg `kustomize/kustomize_generator.go`, `IsLocalRelativePath`.
const ADDRESSES: [&str; 8] =
    ["git::", "gh:", "ssh://", "https://", "http://", "git@", "github.com:", "github.com/"];

/// Whether it is a path relative to the kustomization, and no URL.
#[must_use]
pub fn is_local(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let is_address = |start: &&str| lower.len() > start.len() && lower.starts_with(*start);
    let bare = lower.strip_prefix("file://").unwrap_or(&lower);
    !ADDRESSES.iter().any(is_address) && !bare.starts_with('/')
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
        edited(&memory, &Store::default(), &Limits::WEBHOOK, directory, spec, None, &mut warnings)
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
    fn a_number_is_text_where_text_is_due() {
        let files = [(
            "app/kustomization.yaml",
            "resources: [a.yaml]\nimages: [{name: a, newTag: 1.10}]\n",
        )];
        let (made, warnings) = made(&files, &Spec::default()).unwrap();
        assert_eq!(made.images[0].new_tag, "1.1");
        assert!(
            warnings[0].message.contains("takes a string, not the number 1.10"),
            "{warnings:?}"
        );
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
            ("GITHUB.com/owner/repo", false),
            ("a:b", true),
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
