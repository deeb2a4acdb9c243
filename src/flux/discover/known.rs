//! The ConfigMaps and Secrets that are known without asking a cluster: what was rendered so far, and what
//! stands in files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{Request, read};
use crate::flux::substitute::Kind;
use crate::resource::Resource;
use crate::value::Value;
use crate::yaml;

/// A ConfigMap or Secret.
#[derive(Clone, Debug)]
pub struct Known {
    /// The object.
    pub value: Value,
    /// The file that it comes from, as it is shown.
    pub file: Arc<str>,
    /// Whether a Kustomization renders it, so that what is encrypted in it was seen to already.
    pub is_rendered: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Store {
    /// By the root of the Kustomization that renders them: each root is a cluster of its own.
    rendered: BTreeMap<usize, Vec<Entry>>,
    /// The files that may hold some.
    files: Vec<PathBuf>,
    /// What they hold, read when it is first asked for.
    written: OnceLock<Vec<(PathBuf, Entry)>>,
}

struct Entry {
    kind: Kind,
    known: Known,
}

impl Entry {
    fn of(value: &Value, file: &Arc<str>, is_rendered: bool) -> Option<Self> {
        if value.text_at(&["apiVersion"]) != Some("v1") {
            return None;
        }
        let kind = match value.text_at(&["kind"])? {
            "ConfigMap" => Kind::ConfigMap,
            "Secret" => Kind::Secret,
            _ => return None,
        };
        Some(Self { kind, known: Known { value: value.clone(), file: file.clone(), is_rendered } })
    }

    fn namespace(&self) -> &str {
        self.known.value.text_at(&["metadata", "namespace"]).unwrap_or_default()
    }

    fn is(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let own = self.namespace();
        self.kind == kind
            && self.known.value.text_at(&["metadata", "name"]) == Some(name)
            && (own == namespace || own.is_empty())
    }
}

impl Store {
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, ..Self::default() }
    }

    /// Takes in what a Kustomization below `root` has rendered.
    pub(super) fn add<'r>(&mut self, root: usize, resources: impl Iterator<Item = &'r Resource>) {
        let entries = resources.filter_map(|one| Entry::of(&one.value, &one.origin.file, true));
        self.rendered.entry(root).or_default().extend(entries);
    }

    /// What was rendered below `root`, of several the last.
    pub(super) fn rendered(
        &self,
        root: Option<usize>,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Option<&Known> {
        let entries = self.rendered.get(&root?)?;
        let found = entries.iter().rev().find(|entry| entry.is(kind, namespace, name));
        found.map(|entry| &entry.known)
    }

    /// What stands in a file. A repository of several clusters has one of the same name for each: the nearest
    /// to `near` counts.
    pub(super) fn written(
        &self,
        request: &Request<'_>,
        near: Option<&Path>,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Option<&Known> {
        let written = self.written.get_or_init(|| read_all(request, &self.files));
        let named = written.iter().filter(|(_, entry)| entry.is(kind, namespace, name));
        let closeness = |path: &Path| near.map_or(0, |near| common(path, near));
        let rank =
            |(path, entry): &&(PathBuf, Entry)| (entry.namespace() == namespace, closeness(path));
        named.max_by_key(rank).map(|(_, entry)| &entry.known)
    }
}

/// How many folders two files have in common.
fn common(one: &Path, other: &Path) -> usize {
    one.components().zip(other.components()).take_while(|(one, other)| one == other).count()
}

/// What cannot be read is for whoever builds it to report.
fn read_all(request: &Request<'_>, files: &[PathBuf]) -> Vec<(PathBuf, Entry)> {
    let mut found = Vec::new();
    for path in files {
        let Ok((text, file)) = read(request, path) else { continue };
        let holds = |word: &str| memchr::memmem::find(&text, word.as_bytes()).is_some();
        if !holds("ConfigMap") && !holds("Secret") {
            continue;
        }
        let Ok(documents) = yaml::read(&text, &file, request.limits) else { continue };
        let entries = documents.iter().filter_map(|one| Entry::of(one, &file, false));
        found.extend(entries.map(|entry| (path.clone(), entry)));
    }
    found
}
