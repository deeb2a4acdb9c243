//! The files of a source, wherever it is: a working tree, a commit of it, a Git or OCI repository, a bucket, an
//! archive.
//!
//! Whatever it comes from, a build sees what Flux's artifact of it would hold: neither what [`ignore`](super::ignore)
//! tells to leave out nor symbolic links.
//!
//! Source: source-controller 1.9; fluxcd/pkg `artifact/storage`.

mod address;
#[cfg(feature = "sops-cloud")]
pub mod bucket;
#[cfg(feature = "remote")]
pub mod charts;
mod committed;
pub mod digest;
#[cfg(feature = "remote")]
pub mod elsewhere;
mod git;
#[cfg(feature = "remote")]
pub mod oci;
mod version;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::ignore::Rules;
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{Disk, FileKind, Files, clean};
use crate::remote::Remote;

pub use address::address;
pub use committed::{committed, merge_base};
pub use git::git;

/// Most bytes of an archive as it comes over the network.
pub const ARCHIVE_BYTES: usize = 256 << 20;

/// The files of a source.
#[derive(Clone)]
pub struct Source {
    /// What a build may see.
    pub files: Arc<dyn Files + Send>,
    /// Where the source begins in it.
    pub root: PathBuf,
    /// Which state of the source it is, as Flux writes it: `main@sha1:…`; empty for a working tree.
    pub revision: String,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files: _, root, revision } = self;
        f.debug_struct("Source")
            .field("root", root)
            .field("revision", revision)
            .finish_non_exhaustive()
    }
}

/// A directory of this machine as it is; paths are shown relative to `shown_from`.
///
/// `ignore` is the `spec.ignore` of the source that it stands for.
///
/// # Errors
/// Where it is no directory or cannot be read.
pub fn working_tree(directory: &Path, shown_from: &Path, ignore: Option<&str>) -> Result<Source> {
    let disk = Disk::new(shown_from.to_path_buf());
    let place = || Place::file(disk.shown(directory));
    let Some(root) = disk.canonical(directory) else {
        return Err(Error::new(ErrorKind::Missing, place(), "no such directory"));
    };
    if disk.kind(&root) != FileKind::Directory {
        return Err(Error::new(ErrorKind::Invalid, place(), "is no directory"));
    }
    let rules = Rules::of_artifact(&disk, &root, ignore)?;
    let files = Arc::new(Tree { disk, root: root.clone(), rules });
    Ok(Source { files, root, revision: String::new() })
}

/// An archive by its URL, as sources publish it, with the digest that it has to have.
///
/// # Errors
/// Where it cannot be fetched, has another digest, or is no archive that Flux would unpack.
pub fn artifact(
    remote: &Remote,
    url: &str,
    digest: &str,
    limits: &archive::Limits,
) -> Result<Source> {
    let digest = digest::Digest::parse(digest, url)?;
    let content = remote.file(url, ARCHIVE_BYTES)?;
    unpacked(&content, &digest, url, limits)
}

/// The files of an archive that has to have a digest; `shown` is where it comes from.
///
/// # Errors
/// As [`artifact`].
pub fn unpacked(
    content: &[u8],
    digest: &digest::Digest,
    shown: &str,
    limits: &archive::Limits,
) -> Result<Source> {
    digest.check(content, shown)?;
    let files =
        archive::unpack(content, limits).map_err(|error| error.within(Place::file(shown)))?;
    Ok(Source { files: Arc::new(files), root: PathBuf::from("/"), revision: digest.to_string() })
}

impl Source {
    /// The same files where a directory of this machine is, so that both are called alike; what lies outside it is
    /// on the disk.
    #[must_use]
    pub fn mounted(self, directory: &Path, shown_from: &Path) -> Self {
        let disk = Disk::new(shown_from.to_path_buf());
        let at = disk.canonical(directory).unwrap_or_else(|| directory.to_path_buf());
        let Self { files, root, revision } = self;
        Self { files: Arc::new(Mounted { files, root, at: at.clone(), disk }), root: at, revision }
    }
}

impl Source {
    /// The same files without those that a `spec.ignore` leaves out; nothing comes back that is left out already.
    #[must_use]
    pub fn ignoring(&self, patterns: &str) -> Self {
        let mut rules = Rules::default();
        rules.add(patterns, &[]);
        let thinned = Thinned { files: self.files.clone(), root: self.root.clone(), rules };
        Self { files: Arc::new(thinned), ..self.clone() }
    }
}

/// Files without some.
struct Thinned {
    files: Arc<dyn Files + Send>,
    root: PathBuf,
    rules: Rules,
}

impl Thinned {
    fn is_absent(&self, path: &Path) -> bool {
        path.strip_prefix(&self.root).is_ok_and(|below| {
            let directory = self.files.kind(path) == FileKind::Directory;
            self.rules.excludes(below, directory) && !(directory && self.rules.brings_back())
        })
    }
}

impl Files for Thinned {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        if self.is_absent(path) {
            let error =
                Error::new(ErrorKind::Missing, Place::file(self.shown(path)), "no such file");
            return Err(
                error.hint("the file is there, but spec.ignore leaves it out of the artifact")
            );
        }
        self.files.read(path, limit)
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.is_absent(path) { FileKind::Missing } else { self.files.kind(path) }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut names = self.files.list(dir)?;
        names.retain(|name| !self.is_absent(&dir.join(name)));
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        if self.is_absent(path) { None } else { self.files.canonical(path) }
    }

    fn is_plain(&self, path: &Path) -> bool {
        !self.is_absent(path) && self.files.is_plain(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.files.shown(path)
    }
}

/// Files at another place than their own.
struct Mounted {
    files: Arc<dyn Files + Send>,
    /// Where they are of themselves.
    root: PathBuf,
    /// Where they appear.
    at: PathBuf,
    disk: Disk,
}

impl Mounted {
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.at).ok().map(|below| clean(&self.root.join(below)))
    }
}

impl Files for Mounted {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        match self.inside(path) {
            // An error names the file by the name that it has here.
            Some(inside) => {
                let here = || Place::file(self.shown(path));
                self.files.read(&inside, limit).map_err(|error| error.at(here()))
            }
            None => self.disk.read(path, limit),
        }
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.inside(path).map_or_else(|| self.disk.kind(path), |inside| self.files.kind(&inside))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.inside(dir).map_or_else(|| self.disk.list(dir), |inside| self.files.list(&inside))
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let Some(inside) = self.inside(path) else { return self.disk.canonical(path) };
        let real = self.files.canonical(&inside)?;
        Some(clean(&self.at.join(real.strip_prefix(&self.root).ok()?)))
    }

    fn is_plain(&self, path: &Path) -> bool {
        self.inside(path)
            .map_or_else(|| self.disk.is_plain(path), |inside| self.files.is_plain(&inside))
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.disk.shown(path)
    }
}

/// A directory without what its artifact would not hold.
#[derive(Debug)]
struct Tree {
    disk: Disk,
    root: PathBuf,
    rules: Rules,
}

/// Why something of a tree is not in its artifact.
enum Absent {
    Ignored,
    Link,
}

impl Tree {
    fn absent(&self, path: &Path) -> Option<Absent> {
        let below = path.strip_prefix(&self.root).ok()?;
        if below.as_os_str().is_empty() {
            return None;
        }
        let kind = self.disk.kind(path);
        if kind == FileKind::Missing {
            return None;
        }
        let directory = kind == FileKind::Directory;
        // A directory may hold something that a later pattern brings back.
        if self.rules.excludes(below, directory) && !(directory && self.rules.brings_back()) {
            return Some(Absent::Ignored);
        }
        let plain = self.disk.is_plain(path) && self.parent_is_plain(path);
        let is_link = !plain && self.disk.canonical(path).is_none_or(|real| real != path);
        is_link.then_some(Absent::Link)
    }

    fn parent_is_plain(&self, path: &Path) -> bool {
        let parent = path.parent();
        parent.is_some_and(|parent| self.disk.canonical(parent).is_some_and(|real| real == parent))
    }

    fn is_absent(&self, path: &Path) -> bool {
        self.absent(path).is_some()
    }
}

impl Files for Tree {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        let hint = match self.absent(path) {
            None => return self.disk.read(path, limit),
            Some(Absent::Ignored) => {
                "the file is there, but .sourceignore, spec.ignore or Flux itself leaves it out of the artifact"
            }
            Some(Absent::Link) => "the file is there, but an artifact holds no symbolic links",
        };
        let place = Place::file(self.shown(path));
        Err(Error::new(ErrorKind::Missing, place, "no such file").hint(hint))
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.is_absent(path) { FileKind::Missing } else { self.disk.kind(path) }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut names = self.disk.list(dir)?;
        names.retain(|name| !self.is_absent(&dir.join(name)));
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        if self.is_absent(path) { None } else { self.disk.canonical(path) }
    }

    fn is_plain(&self, path: &Path) -> bool {
        self.disk.is_plain(path) && !self.is_absent(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.disk.shown(path)
    }
}
