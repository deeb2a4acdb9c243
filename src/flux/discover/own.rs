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

use super::declared::Declared;
use super::{Request, directory};
use crate::flux::api::{Kustomization, SourceRef};

/// The source that stands for the repository itself. Source: `flux bootstrap`, which calls it so.
const OWN_SOURCE: &str = "flux-system";

/// Whether a source is the repository itself, as far as its name and its URL tell.
pub(super) fn is_own(
    request: &Request<'_>,
    declared: &[Declared],
    wanted: &SourceRef,
) -> Option<bool> {
    if !matches!(wanted.kind.as_str(), "GitRepository" | "OCIRepository" | "Bucket") {
        return Some(false);
    }
    if wanted.name == OWN_SOURCE {
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
