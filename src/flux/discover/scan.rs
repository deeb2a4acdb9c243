//! The objects of Flux that stand in files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::artifacts::Generator;
use super::declared::Declared;
use super::{Candidate, Request, read};
use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::files::FileKind;
use crate::flux::api::{self, Object, Reading};
use crate::value::Value;
use crate::yaml::{self, Step};

/// What a file has in it, if it has anything for us: the groups of Flux.
const MARK: &str = "toolkit.fluxcd.io/";
const EXTENSIONS_MARK: &str = "source.extensions.fluxcd.io/";

/// What files hold.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) candidates: Vec<Candidate>,
    pub(super) generators: Vec<Generator>,
    pub(super) sources: Vec<Declared>,
    /// All of them.
    pub(super) files: Vec<PathBuf>,
    pub(super) problems: Vec<Error>,
    pub(super) warnings: Vec<Warning>,
    /// Sources.
    pub(super) objects: Vec<Standing>,
}

/// What is the matter with an object as it stands in a file.
pub(super) struct Standing {
    /// The file as it is shown, and the document.
    pub(super) at: (Arc<str>, usize),
    pub(super) refused: Option<Error>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads all files in and below the entry, in the order of their paths; hidden folders are left out.
pub(super) fn scan(request: &Request<'_>) -> Result<Scanned> {
    let mut scanned = Scanned::default();
    let files = paths(request)?;
    for path in &files {
        file(request, path, &mut scanned)?;
    }
    Ok(Scanned { files, ..scanned })
}

fn paths(request: &Request<'_>) -> Result<Vec<PathBuf>> {
    let files = &request.repository.files;
    let mut found = BTreeSet::new();
    let mut queue = match files.kind(request.entry) {
        FileKind::File => return Ok(vec![request.entry.to_path_buf()]),
        FileKind::Directory => vec![request.entry.to_path_buf()],
        _ => {
            let place = Place::file(files.shown(request.entry));
            return Err(Error::new(ErrorKind::Missing, place, "no such file or directory"));
        }
    };
    let mut seen = BTreeSet::new();
    while let Some(directory) = queue.pop() {
        // Symbolic links may lead back to where we were.
        if !files.canonical(&directory).is_some_and(|real| seen.insert(real)) {
            continue;
        }
        if seen.len() + found.len() > request.limits.files {
            let place = Place::file(files.shown(request.entry));
            let message = format!("more than {} files", request.limits.files);
            return Err(Error::new(ErrorKind::Limit, place, message));
        }
        for name in files.list(&directory)? {
            let path = directory.join(&name);
            let hidden = name.to_string_lossy().starts_with('.');
            match files.kind(&path) {
                FileKind::Directory if !hidden => queue.push(path),
                FileKind::File if is_yaml(&path) => {
                    found.insert(path);
                }
                _ => {}
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn file(request: &Request<'_>, path: &Path, scanned: &mut Scanned) -> Result<()> {
    let (text, file) = read(request, path)?;
    let holds = |mark: &str| memchr::memmem::find(&text, mark.as_bytes()).is_some();
    if !holds(MARK) && !holds(EXTENSIONS_MARK) {
        return Ok(());
    }
    let documents = match yaml::read(&text, &file, request.limits) {
        Ok(documents) => documents,
        Err(error) => {
            // It may be a template; if somebody renders it, that fails.
            let place = error.places()[0].clone();
            let message = format!("passed over, since it is no YAML: {}", error.message());
            scanned.warnings.push(Warning { place, message });
            return Ok(());
        }
    };
    for (document, value) in documents.iter().enumerate() {
        let place = |path: &[Step<'_>]| Place {
            file: file.clone(),
            at: yaml::locate(&text, document, path),
        };
        scanned.generators.extend(Generator::read(value, &file));
        scanned.sources.extend(Declared::read(value, &file, document));
        if !is_kustomization(value) {
            // Releases in files are patches of others as often as not, and variables may come from elsewhere.
            if group(value) != Some(api::SOURCE_GROUP) || holds("${") || holds("$patch") {
                continue;
            }
            let read = api::read(value, Reading::Partial, &place);
            let (refused, warnings) = (read.output.err(), read.warnings);
            if refused.is_some() || !warnings.is_empty() {
                scanned.objects.push(Standing { at: (file.clone(), document), refused, warnings });
            }
            continue;
        }
        // What is in a file may get its last fields from whoever renders it.
        let standing = api::read(value, Reading::Partial, &place);
        let (read, refused) = match standing.output {
            Err(refused) => (api::read(value, Reading::Lenient, &place).output, Some(refused)),
            read => (read, None),
        };
        match read {
            Ok(Some(Object::Kustomization(mut object))) => {
                object.meta.place.get_or_insert_with(|| place(&[]));
                let path = path.to_path_buf();
                scanned.candidates.push(Candidate {
                    object: *object,
                    path,
                    document,
                    covered: false,
                    refused,
                    warnings: standing.warnings,
                });
            }
            Ok(_) => {}
            Err(error) => scanned.problems.push(error),
        }
    }
    Ok(())
}

fn is_kustomization(value: &Value) -> bool {
    group(value) == Some(api::GROUP) && value.text_at(&["kind"]) == Some("Kustomization")
}

fn group(value: &Value) -> Option<&str> {
    value.text_at(&["apiVersion"])?.split('/').next()
}
