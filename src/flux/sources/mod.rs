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
mod included;
#[cfg(feature = "remote")]
pub mod oci;
mod partial;
mod sparse;
mod version;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::ignore::Rules;
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{Disk, FileKind, Files, clean};
use crate::remote::Remote;

pub use address::address;
pub use committed::{committed, merge_base};
pub use git::git;
pub use included::Included;
use partial::{Absence, Partial};
pub use sparse::Sparse;

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
    /// Makes another artifact of what it comes from.
    remade: Option<Arc<Remake>>,
}

/// What the object that declares a source says of its artifact.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// `spec.ignore`
    pub ignore: Option<String>,
    /// `spec.include`
    pub included: Vec<Included>,
    /// `spec.sparseCheckout`, where there is any.
    pub sparse: Option<Sparse>,
}

impl Content {
    fn ignoring(ignore: Option<&str>) -> Self {
        Self { ignore: ignore.map(str::to_owned), ..Self::default() }
    }

    /// What is included whose files are here.
    fn here(&self) -> impl Iterator<Item = &Included> {
        self.included.iter().filter(|part| part.source.is_some())
    }

    fn elsewhere(&self) -> impl Iterator<Item = &Included> {
        self.included.iter().filter(|part| part.source.is_none())
    }
}

type Remake = dyn Fn(&Content) -> Result<Source> + Send + Sync;

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { files: _, root, revision, remade: _ } = self;
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
    tree(directory, shown_from, &Content::ignoring(ignore))
}

fn tree(directory: &Path, shown_from: &Path, content: &Content) -> Result<Source> {
    let disk = Disk::new(shown_from.to_path_buf());
    let place = || Place::file(disk.shown(directory));
    let Some(root) = disk.canonical(directory) else {
        return Err(Error::new(ErrorKind::Missing, place(), "no such directory"));
    };
    if disk.kind(&root) != FileKind::Directory {
        return Err(Error::new(ErrorKind::Invalid, place(), "is no directory"));
    }
    let source = Source::new(Arc::new(disk), root, String::new()).into_artifact(content)?;
    let (directory, shown_from) = (directory.to_path_buf(), shown_from.to_path_buf());
    let remade = move |content: &Content| tree(&directory, &shown_from, content);
    Ok(Source { remade: Some(Arc::new(remade)), ..source })
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
    Ok(Source::new(Arc::new(files), PathBuf::from("/"), digest.to_string()))
}

impl Source {
    /// Files as they are.
    #[must_use]
    pub fn new(files: Arc<dyn Files + Send>, root: PathBuf, revision: String) -> Self {
        Self { files, root, revision, remade: None }
    }

    /// The same, made into an artifact as its declaration says; what has come as an artifact is one already.
    ///
    /// # Errors
    /// Where it cannot be read, or what is included does not fit in.
    pub fn declared(&self, content: &Content) -> Result<Self> {
        self.remade.as_ref().map_or_else(|| Ok(self.clone()), |remade| remade(content))
    }

    /// What Flux makes of its files.
    fn into_artifact(self, content: &Content) -> Result<Self> {
        let Self { files, root, revision, remade } = self;
        let files = match &content.sparse {
            Some(sparse) => sparse.of_files(files, &root)?,
            None => files,
        };
        let files = included::including(files, &root, content.here())?;
        let rules = Rules::of_artifact(&*files, &root, content.ignore.as_deref())?;
        let files = included::including(files, &root, content.elsewhere())?;
        let files =
            Arc::new(Partial(Tree { files, root: root.clone(), rules, kept: Mutex::default() }));
        Ok(Self { files, root, revision, remade })
    }

    /// The same files where a directory of this machine is, so that both are called alike; what lies outside it is
    /// on the disk.
    #[must_use]
    pub fn mounted(self, directory: &Path, shown_from: &Path) -> Self {
        let disk = Disk::new(shown_from.to_path_buf());
        let at = disk.canonical(directory).unwrap_or_else(|| directory.to_path_buf());
        let Self { files, root, revision, remade } = self;
        let moved = Moved { files, from: root, at: at.clone() };
        let files = Arc::new(Mounted { moved, disk });
        let remade = remade.map(|remade| {
            let (directory, shown_from) = (directory.to_path_buf(), shown_from.to_path_buf());
            let mounted =
                move |content: &Content| Ok(remade(content)?.mounted(&directory, &shown_from));
            Arc::new(mounted) as Arc<Remake>
        });
        Self { files, root: at, revision, remade }
    }
}

/// Files at another place than their own.
struct Moved {
    files: Arc<dyn Files + Send>,
    /// Where they are of themselves.
    from: PathBuf,
    /// Where they appear.
    at: PathBuf,
}

impl Moved {
    /// The path that a path among them has of itself.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.at).ok().map(|below| clean(&self.from.join(below)))
    }

    /// Where what has this path of itself really is, as it appears.
    fn canonical(&self, inside: &Path) -> Option<PathBuf> {
        let real = self.files.canonical(inside)?;
        Some(clean(&self.at.join(real.strip_prefix(&self.from).ok()?)))
    }
}

/// Files in the place of a directory of this machine.
struct Mounted {
    moved: Moved,
    disk: Disk,
}

impl Files for Mounted {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        match self.moved.inside(path) {
            // An error names the file by the name that it has here.
            Some(inside) => {
                let here = || Place::file(self.shown(path));
                self.moved.files.read(&inside, limit).map_err(|error| error.at(here()))
            }
            None => self.disk.read(path, limit),
        }
    }

    fn kind(&self, path: &Path) -> FileKind {
        let Moved { files, .. } = &self.moved;
        let inside = self.moved.inside(path);
        inside.map_or_else(|| self.disk.kind(path), |inside| files.kind(&inside))
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let Moved { files, .. } = &self.moved;
        let inside = self.moved.inside(dir);
        inside.map_or_else(|| self.disk.list(dir), |inside| files.list(&inside))
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let inside = self.moved.inside(path);
        inside.map_or_else(|| self.disk.canonical(path), |inside| self.moved.canonical(&inside))
    }

    fn is_plain(&self, path: &Path) -> bool {
        let Moved { files, .. } = &self.moved;
        let inside = self.moved.inside(path);
        inside.map_or_else(|| self.disk.is_plain(path), |inside| files.is_plain(&inside))
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.disk.shown(path)
    }
}

/// Files without what its artifact would not hold.
struct Tree {
    files: Arc<dyn Files + Send>,
    root: PathBuf,
    rules: Rules,
    /// Whether directories that are left out hold something that is not, so that they are there after all.
    kept: Mutex<BTreeMap<PathBuf, bool>>,
}

/// Why something of a tree is not in its artifact.
enum Absent {
    Ignored,
    Link,
}

impl Absence for Tree {
    type Why = Absent;

    fn files(&self) -> &dyn Files {
        &*self.files
    }

    fn absent(&self, path: &Path) -> Option<Absent> {
        let below = path.strip_prefix(&self.root).ok()?;
        if below.as_os_str().is_empty() {
            return None;
        }
        let kind = self.files.kind(path);
        if kind == FileKind::Missing {
            return None;
        }
        if self.is_excluded(path, kind) && !(kind == FileKind::Directory && self.is_kept(path)) {
            return Some(Absent::Ignored);
        }
        self.is_link(path).then_some(Absent::Link)
    }

    fn hint(&self, why: Absent) -> String {
        let why = match why {
            Absent::Ignored => {
                "the file is there, but .sourceignore, spec.ignore or Flux itself leaves it out of the artifact"
            }
            Absent::Link => "the file is there, but an artifact holds no symbolic links",
        };
        why.to_owned()
    }
}

impl Tree {
    fn is_excluded(&self, path: &Path, kind: FileKind) -> bool {
        let below = path.strip_prefix(&self.root);
        below.is_ok_and(|below| self.rules.excludes(below, kind == FileKind::Directory))
    }

    fn is_link(&self, path: &Path) -> bool {
        let plain = self.files.is_plain(path) && self.parent_is_plain(path);
        !plain && self.files.canonical(path).is_none_or(|real| real != path)
    }

    /// Whether a directory holds something that a later pattern brings back.
    fn is_kept(&self, directory: &Path) -> bool {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.rules.brings_back() {
            return false;
        }
        if let Some(known) = kept().get(directory) {
            return *known;
        }
        let is_kept = self.finds_kept(directory);
        kept().insert(directory.to_path_buf(), is_kept);
        is_kept
    }

    fn finds_kept(&self, directory: &Path) -> bool {
        let mut queue = vec![directory.to_path_buf()];
        while let Some(directory) = queue.pop() {
            if self.is_link(&directory) {
                continue;
            }
            for name in self.files.list(&directory).unwrap_or_default() {
                let path = directory.join(name);
                match self.files.kind(&path) {
                    kind if !self.is_excluded(&path, kind) && !self.is_link(&path) => return true,
                    FileKind::Directory => queue.push(path),
                    _ => {}
                }
            }
        }
        false
    }

    fn parent_is_plain(&self, path: &Path) -> bool {
        let parent = path.parent();
        parent.is_some_and(|parent| self.files.canonical(parent).is_some_and(|real| real == parent))
    }
}
