//! Which sources are the repository itself.
//!
//! | a source | why it counts |
//! |---|---|
//! | that a directory is given for | the directory counts |
//! | of the name `flux-system` | `flux bootstrap` calls the repository so |
//! | that is declared with the URL of a remote of this checkout | it is a clone of it |
//! | of a Kustomization whose file lies below its own `spec.path` | it is found in what it renders |
//!
//! What is declared with a URL that is none of the remotes does not count by the last rule, and what is held
//! at a tag, a version or a commit not by the one before: the checkout has other files than that.

use std::path::Path;

use super::{Request, directory};
use crate::flux::api::{self, Kustomization, SourceRef};
use crate::flux::sources::{Source, address};
use crate::value::Value;

/// The source that stands for the repository itself. Source: `flux bootstrap`, which calls it so.
const OWN_SOURCE: &str = "flux-system";

/// A source that stands in a file, or is rendered.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    kind: String,
    namespace: String,
    name: String,
    /// Of its repository; empty for other kinds.
    address: String,
    /// What it is held at, where that is no branch.
    held: Option<String>,
    /// Patterns of files that its artifact leaves out.
    ignore: String,
}

impl Declared {
    /// Reads one, if it is one.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let group = value.text_at(&["apiVersion"])?.split('/').next()?;
        if group != api::SOURCE_GROUP {
            return None;
        }
        let text = |path: &[&str]| value.text_at(path).unwrap_or_default().to_owned();
        let kind = text(&["kind"]);
        let url = text(&["spec", "url"]);
        let address = if kind == "GitRepository" { address(&url) } else { String::new() };
        let held = ["commit", "name", "semver", "tag"].into_iter().find_map(|field| {
            let held = value.text_at(&["spec", "ref", field]).filter(|held| !held.is_empty())?;
            (!held.starts_with("refs/heads/")).then(|| format!("{field} {held}"))
        });
        let (namespace, name) = (text(&["metadata", "namespace"]), text(&["metadata", "name"]));
        let ignore = text(&["spec", "ignore"]);
        Some(Self { kind, namespace, name, address, held, ignore })
    }

    /// Whether it is the source that somebody refers to.
    pub(super) fn is(&self, wanted: &SourceRef) -> bool {
        self.kind == wanted.kind
            && self.name == wanted.name
            && (self.namespace.is_empty() || self.namespace == wanted.namespace)
    }

    /// Whether it is the repository of this checkout.
    fn is_here(&self, request: &Request<'_>) -> bool {
        !self.address.is_empty() && request.remotes.contains(&self.address)
    }

    /// What it is held at, where it is this repository, but not as it is here.
    pub(super) fn held(&self, request: &Request<'_>) -> Option<&str> {
        self.held.as_deref().filter(|_| self.is_here(request))
    }
}

/// The files of the repository as the artifact of a source has them.
pub(super) fn artifact(request: &Request<'_>, declared: &[Declared], wanted: &SourceRef) -> Source {
    let mut ignored = declared.iter().filter(|one| one.is(wanted)).map(|one| one.ignore.as_str());
    match ignored.find(|patterns| !patterns.is_empty()) {
        Some(patterns) => request.repository.ignoring(patterns),
        None => request.repository.clone(),
    }
}

/// Whether a source of this name is the repository itself.
pub(super) fn is_named_own(name: &str) -> bool {
    name == OWN_SOURCE
}

/// Whether a source is the repository itself, as far as its name and its URL tell.
pub(super) fn is_own(
    request: &Request<'_>,
    declared: &[Declared],
    wanted: &SourceRef,
) -> Option<bool> {
    if !matches!(wanted.kind.as_str(), "GitRepository" | "OCIRepository" | "Bucket") {
        return Some(false);
    }
    if is_named_own(&wanted.name) {
        return Some(true);
    }
    let named = || declared.iter().filter(|one| one.is(wanted));
    if !request.remotes.is_empty() && named().any(|one| !one.address.is_empty()) {
        return Some(named().any(|one| one.is_here(request) && one.held.is_none()));
    }
    named().any(|one| one.held.is_some()).then_some(false)
}

/// Whether a Kustomization is found in what it renders, were it rendered from the repository.
pub(super) fn holds(request: &Request<'_>, object: &Kustomization, written: Option<&Path>) -> bool {
    let rendered = directory(request.repository, object);
    rendered != request.repository.root && written.is_some_and(|file| file.starts_with(&rendered))
}
