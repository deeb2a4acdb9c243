//! A Git repository by its URL, at a branch, a tag, a version or a commit.
//!
//! Source: source-controller `internal/controller/gitrepository_controller.go`; fluxcd/pkg `git/gogit/clone.go`.

use std::path::Path;
use std::time::Duration;

use super::super::api::{GitReference, GitRepository};
use super::version::{Range, Version};
use super::{Content, Source, Sparse, committed, tree};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::remote::{Remote, Repository};

/// What one Git command may take. Source: the default of `spec.timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The files that a GitRepository leads to.
///
/// # Errors
/// Where Git fails, there is nothing of that name, or no tag is in the range.
pub fn git(remote: &Remote, object: &GitRepository) -> Result<Source> {
    let url = object.url.as_str();
    let (reference, shown) = reference(url, &object.reference)?;
    let repository = Repository {
        url: url.to_owned(),
        path: String::new(),
        reference,
        timeout: TIMEOUT,
        submodules: object.recurse_submodules,
        entry: url.to_owned(),
    };
    let checkout = remote.checkout(&repository)?;
    let paths = object.sparse_checkout.iter().map(ToString::to_string).collect();
    let place = || object.meta.place.clone().unwrap_or_else(|| Place::file(url));
    let content = Content {
        ignore: object.ignore.as_ref().map(ToString::to_string),
        sparse: Sparse::of(paths, place),
        ..Content::default()
    };
    let source = tree(&checkout, &checkout, &content)?;
    let name = checkout.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let commit = name.strip_suffix("+submodules").unwrap_or(&name);
    Ok(Source { revision: format!("{shown}sha1:{commit}"), ..source })
}

/// What Git is asked for, and how a revision begins.
fn reference(url: &str, wanted: &GitReference) -> Result<(String, String)> {
    let GitReference { branch, tag, semver, name, commit } = wanted;
    Ok(if !commit.is_empty() {
        let shown = if branch.is_empty() { String::new() } else { format!("{branch}@") };
        (commit.to_string(), shown)
    } else if !name.is_empty() {
        (name.to_string(), format!("{name}@"))
    } else if !semver.is_empty() {
        let tag = newest(url, semver)?;
        (format!("refs/tags/{tag}"), format!("{tag}@"))
    } else if !tag.is_empty() {
        (format!("refs/tags/{tag}"), format!("{tag}@"))
    } else {
        let branch = if branch.is_empty() { "master" } else { branch };
        (format!("refs/heads/{branch}"), format!("{branch}@"))
    })
}

/// The tag with the highest version in a range.
fn newest(url: &str, semver: &str) -> Result<String> {
    let refused = |message: String| Error::new(ErrorKind::Invalid, Place::file(url), message);
    let range = Range::parse(semver)
        .ok_or_else(|| refused(format!("\"{}\" is no range of versions", semver.escape_debug())))?;
    let ask = ["ls-remote", "--tags", "--refs", "--", url];
    let listed = committed::output(Path::new("."), &ask, None);
    // It has nothing to do with the working directory.
    let listed = listed.map_err(|error| error.at(Place::file(url)))?;
    let listed = String::from_utf8_lossy(&listed);
    let tags = listed.lines().filter_map(|line| line.split_once("refs/tags/").map(|(_, tag)| tag));
    let versions = tags.filter_map(|tag| Some((Version::parse(tag)?, tag)));
    let within = versions.filter(|(version, _)| range.contains(version));
    let newest = within.max_by(|a, b| a.0.cmp(&b.0));
    newest
        .map(|(_, tag)| tag.to_owned())
        .ok_or_else(|| refused(format!("no tag is a version in the range \"{semver}\"")))
}
