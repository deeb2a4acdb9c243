//! What is declared of sources: who they are, and what their artifacts leave out and take in.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::{Request, Search, located};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::flux::api::{self, SourceRef};
use crate::flux::sources::{Content, Included, Source, Sparse, address};
use crate::value::Value;
use crate::yaml::Step;

/// A source that stands in a file, or is rendered.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// Its file as it is shown, and the document in it.
    file: Arc<str>,
    document: usize,
    kind: String,
    namespace: String,
    name: String,
    /// Of its repository; empty for other kinds.
    pub(super) address: String,
    /// What it is held at, where that is no branch.
    pub(super) held: Option<String>,
    ignore: Option<String>,
    include: Vec<Include>,
    /// `spec.sparseCheckout`
    sparse: Vec<String>,
    /// The whole object.
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
struct Include {
    name: String,
    from: String,
    to: String,
}

impl Declared {
    /// Reads one, if it is one.
    pub(super) fn read(value: &Value, file: &Arc<str>, document: usize) -> Option<Self> {
        let group = value.text_at(&["apiVersion"])?.split('/').next()?;
        if group != api::SOURCE_GROUP {
            return None;
        }
        let kind = text(value, &["kind"]);
        let is_git = kind == "GitRepository";
        let held = ["commit", "name", "semver", "tag"].into_iter().find_map(|field| {
            let held = value.text_at(&["spec", "ref", field]).filter(|held| !held.is_empty())?;
            (!held.starts_with("refs/heads/")).then(|| format!("{field} {held}"))
        });
        let list = |field: &str| {
            let list = value.at(&["spec", field]).and_then(Value::as_list).filter(|_| is_git);
            list.into_iter().flatten()
        };
        Some(Self {
            file: file.clone(),
            document,
            namespace: text(value, &["metadata", "namespace"]),
            name: text(value, &["metadata", "name"]),
            address: if is_git { address(&text(value, &["spec", "url"])) } else { String::new() },
            held,
            ignore: value.text_at(&["spec", "ignore"]).map(str::to_owned),
            include: list("include").map(Include::read).collect(),
            sparse: list("sparseCheckout")
                .filter_map(|path| path.as_text().map(str::to_owned))
                .collect(),
            kind,
            value: value.clone(),
        })
    }

    /// Whether it is the source that somebody refers to.
    pub(super) fn is(&self, wanted: &SourceRef) -> bool {
        self.kind == wanted.kind
            && self.name == wanted.name
            && (self.namespace.is_empty() || self.namespace == wanted.namespace)
    }

    /// Whether it is the repository of this checkout.
    pub(super) fn is_here(&self, request: &Request<'_>) -> bool {
        !self.address.is_empty() && request.remotes.contains(&self.address)
    }

    /// What it is held at, where it is this repository, but not as it is here.
    pub(super) fn held(&self, request: &Request<'_>) -> Option<&str> {
        self.held.as_deref().filter(|_| self.is_here(request))
    }
}

impl Include {
    fn read(value: &Value) -> Self {
        let name = text(value, &["repository", "name"]);
        let to = Some(text(value, &["toPath"])).filter(|to| !to.is_empty());
        Self { from: text(value, &["fromPath"]), to: to.unwrap_or_else(|| name.clone()), name }
    }
}

impl Search<'_> {
    /// The artifact that the declaration of a source has made of its files, for what stands in `file`.
    ///
    /// `above` are the names of the sources that include it.
    pub(super) fn artifact(
        &self,
        files: &Source,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Source> {
        match self.declaration(wanted, file) {
            Some(index) => self.artifact_of(index, files, wanted, file, above),
            None => Ok(files.clone()),
        }
    }

    /// The same of one that is known by its index.
    pub(super) fn artifact_of(
        &self,
        index: usize,
        files: &Source,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Source> {
        let declared = &self.sources[index];
        if declared.ignore.is_none() && declared.include.is_empty() && declared.sparse.is_empty() {
            return Ok(files.clone());
        }
        let key = (index, wanted.namespace.to_string());
        let artifacts = || self.artifacts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(artifact) = artifacts().get(&key) {
            return artifact.clone();
        }
        let artifact = self.included(declared, wanted, file, above).and_then(|included| {
            let (ignore, sparse) = (declared.ignore.clone(), self.sparse(declared));
            files.declared(&Content { ignore, included, sparse })
        });
        artifacts().insert(key, artifact.clone());
        artifact
    }

    fn sparse(&self, declared: &Declared) -> Option<Sparse> {
        let path = [Step::Key("spec"), Step::Key("sparseCheckout")];
        Sparse::of(declared.sparse.clone(), || self.place(declared, &path))
    }

    /// The `spec.sparseCheckout` that leaves a directory out of a source, as one may tell.
    pub(super) fn leaves_out(
        &self,
        wanted: &SourceRef,
        file: Option<&Path>,
        directory: &Path,
    ) -> Option<String> {
        let declared = &self.sources[self.declaration(wanted, file)?];
        let sparse = self.sparse(declared)?;
        (!sparse.enters(&directory.to_string_lossy())).then(|| {
            let (name, place) = (&declared.name, &sparse.place);
            format!("spec.sparseCheckout of GitRepository \"{name}\" leaves it out: {place}")
        })
    }

    /// The declaration that counts for what is at hand.
    fn declaration(&self, wanted: &SourceRef, file: Option<&Path>) -> Option<usize> {
        self.nearest(wanted, file, |declared| declared.held(self.request).is_none())
    }

    /// Of several clusters in a repository, each has its own declaration.
    pub(super) fn nearest(
        &self,
        wanted: &SourceRef,
        file: Option<&Path>,
        counts: impl Fn(&Declared) -> bool,
    ) -> Option<usize> {
        let shown = file.map(|path| self.request.repository.files.shown(path));
        let nearness = |one: &Declared| {
            let shown = shown.as_deref().unwrap_or_default();
            let both = Path::new(&*one.file).components().zip(Path::new(shown).components());
            both.take_while(|(one, other)| one == other).count()
        };
        let named = self.sources.iter().enumerate().filter(|(_, one)| one.is(wanted));
        // Of those that are equally near the last: what is rendered comes after what stands in files.
        named
            .filter(|(_, one)| counts(one))
            .max_by_key(|(_, one)| nearness(one))
            .map(|(index, _)| index)
    }

    fn included(
        &self,
        declared: &Declared,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Vec<Included>> {
        let name = |name: &str| format!("{}/{}/{name}", wanted.kind, wanted.namespace);
        let own = name(&declared.name);
        if above.contains(&own) {
            let way = above.join(" -> ");
            let message = format!("includes itself, so that it is never there: {way} -> {own}");
            return Err(Error::new(ErrorKind::Invalid, self.place(declared, &[]), message));
        }
        above.push(own);
        let part = |(at, include): (usize, &Include)| {
            let path = [Step::Key("spec"), Step::Key("include"), Step::Index(at)];
            let other = SourceRef { name: include.name.as_str().into(), ..wanted.clone() };
            Ok(Included {
                name: name(&include.name),
                source: self.files_within(&other, file, above)?,
                from: include.from.clone(),
                to: include.to.clone(),
                place: self.place(declared, &path),
            })
        };
        let parts = declared.include.iter().enumerate().map(part).collect();
        above.pop();
        parts
    }

    pub(super) fn place(&self, declared: &Declared, path: &[Step<'_>]) -> Place {
        let written: PathBuf = self.request.repository.root.join(&*declared.file);
        let is_it = self.request.repository.files.shown(&written) == declared.file;
        let place = || located(self.request, &(written, declared.document), path);
        is_it.then(place).flatten().unwrap_or_else(|| Place::file(declared.file.clone()))
    }
}

fn text(value: &Value, path: &[&str]) -> String {
    value.text_at(path).unwrap_or_default().to_owned()
}
