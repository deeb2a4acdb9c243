//! One kustomization on the way down, and which files it may see.
//!
//! Files have to lie in or below the directory of their kustomization, symbolic links resolved;
//! directories may lie anywhere but above a layer that is being built (that would be a cycle).
//!
//! Source: kustomize `api/internal/loader/{fileloader,loadrestrictions}.go`.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, clean};
use crate::kustomization::Source;
use crate::limits::Limits;
use crate::remote::{self, Address, Fetched, Remote, Repository};

/// The names of a kustomization file, in kustomize's order.
pub const FILE_NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether a directory has a kustomization file.
#[must_use]
pub fn has_kustomization(files: &dyn Files, directory: &Path) -> bool {
    FILE_NAMES.iter().any(|name| files.kind(&directory.join(name)) == FileKind::File)
}

/// The files of one build, read within its limits.
pub struct Reader<'a> {
    /// Where they come from.
    pub files: &'a dyn Files,
    /// How much of them is read.
    pub limits: Limits,
    /// Whether a file may lie outside the directory of its kustomization.
    pub unrestricted: bool,
    /// Where URLs are fetched, if they are.
    pub remote: Option<Arc<Remote>>,
    bytes_left: AtomicUsize,
    /// How many bytes may be read again.
    again_left: AtomicUsize,
    files_left: AtomicUsize,
    /// What was read: a file is the same throughout a build, whatever becomes of it meanwhile.
    known: Mutex<FxHashMap<OsString, Bytes>>,
}

/// How many times over the files of a build may be read, on an average.
const AGAIN: usize = 16;

/// A directory with a kustomization, and who referred to it.
#[derive(Debug)]
pub struct Layer<'a> {
    /// The directory, symbolic links resolved.
    pub directory: PathBuf,
    /// The directory as the entries on the way spell it, from the top; for `originAnnotations`.
    pub origin: PathBuf,
    /// The layer that refers to this one.
    pub parent: Option<&'a Self>,
    /// The clone that nothing may leave, for remote bases.
    pub jail: Option<PathBuf>,
    /// The repository that the clone is of.
    pub repository: Option<Arc<Repository>>,
}

fn address(entry: &str) -> Result<Option<Address>> {
    remote::read(entry).map_err(|why| Error::new(ErrorKind::Invalid, Place::file(entry), why))
}

/// Whether an entry is the name of a file or a directory and nothing else.
fn is_name(entry: &str) -> bool {
    let mut parts = Path::new(entry).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == entry)
}

/// Whether a file has to be downloaded.
fn is_url(entry: &str) -> bool {
    entry.starts_with("http://") || entry.starts_with("https://")
}

impl<'a> Reader<'a> {
    /// Reads from `files` within `limits`.
    #[must_use]
    pub fn new(files: &'a dyn Files, limits: Limits, unrestricted: bool) -> Self {
        Self {
            files,
            limits,
            unrestricted,
            remote: None,
            bytes_left: AtomicUsize::new(limits.total_bytes),
            again_left: AtomicUsize::new(limits.total_bytes.saturating_mul(AGAIN)),
            known: Mutex::default(),
            files_left: AtomicUsize::new(limits.files),
        }
    }

    /// A path as the user would type it; one in a clone by the repository's URL.
    fn shown(&self, path: &Path) -> Arc<str> {
        let remote = self.remote.as_ref().and_then(|remote| remote.shown(path));
        remote.unwrap_or_else(|| self.files.shown(path))
    }

    /// Opens the directory that a build starts from.
    ///
    /// # Errors
    /// Where it is missing or is no directory.
    pub fn top(&self, path: &Path) -> Result<Layer<'static>> {
        let directory = self.directory(path)?;
        Ok(Layer { directory, origin: PathBuf::new(), parent: None, jail: None, repository: None })
    }

    fn directory(&self, path: &Path) -> Result<PathBuf> {
        let shown = || Place::file(self.shown(path));
        match self.files.kind(path) {
            FileKind::Directory => {}
            FileKind::Missing => {
                return Err(Error::new(ErrorKind::Missing, shown(), "no such directory"));
            }
            FileKind::File | FileKind::Other => {
                return Err(Error::new(ErrorKind::Invalid, shown(), "is a file, not a directory"));
            }
        }
        let missing = || Error::new(ErrorKind::Missing, shown(), "no such directory");
        self.files.canonical(path).ok_or_else(missing)
    }

    /// Opens the directory `entry` of a layer.
    ///
    /// # Errors
    /// Where it is missing, absolute, above a layer that refers to it, or outside its clone.
    pub fn descend<'l>(&self, layer: &'l Layer<'_>, entry: &str) -> Result<Layer<'l>> {
        if let Some(Address::Repository(one) | Address::Either(_, one)) = address(entry)? {
            return self.enter(layer, one);
        }
        let path = clean(&layer.directory.join(entry));
        let place = || Place::file(self.shown(&path));
        if Path::new(entry).is_absolute() {
            let error =
                Error::new(ErrorKind::Forbidden, place(), "a base cannot be an absolute path");
            return Err(error.hint("write it relative to the kustomization"));
        }
        let directory = self.directory(&path)?;
        self.forbid_cycle(layer, &directory)?;
        if layer.jail.as_ref().is_some_and(|jail| !directory.starts_with(jail)) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                place(),
                "base lies outside its repository",
            ));
        }
        self.forbid_depth(layer, place)?;
        let origin = clean(&layer.origin.join(entry));
        let (jail, repository) = (layer.jail.clone(), layer.repository.clone());
        Ok(Layer { directory, origin, parent: Some(layer), jail, repository })
    }

    /// Opens a directory of a repository, which is fetched where it is not there.
    fn enter<'l>(&self, layer: &'l Layer<'_>, repository: Repository) -> Result<Layer<'l>> {
        let place = || Place::file(repository.entry.as_str());
        let mut above = layer.upwards().filter_map(|one| one.repository.as_ref());
        if above.any(|one| repository.is_cycle_of(one)) {
            let message = "cycle of bases: the repository is on the way to itself";
            return Err(Error::new(ErrorKind::Invalid, place(), message));
        }
        self.forbid_depth(layer, place)?;
        let root = self.outside(&repository.entry)?.checkout(&repository)?;
        let directory = root.join(&repository.path);
        let canonical = |path: &Path| self.files.canonical(path);
        let (Some(jail), Some(directory)) = (canonical(&root), canonical(&directory)) else {
            let message = format!("repository has no directory \"{}\"", repository.path);
            return Err(Error::new(ErrorKind::Missing, place(), message));
        };
        if !directory.starts_with(&jail) {
            let message = "base lies outside its repository";
            return Err(Error::new(ErrorKind::Forbidden, place(), message));
        }
        let origin = PathBuf::from(repository.noted_path());
        let (jail, repository) = (Some(jail), Some(Arc::new(repository)));
        Ok(Layer { directory, origin, parent: Some(layer), jail, repository })
    }

    fn forbid_depth(&self, layer: &Layer<'_>, place: impl Fn() -> Place) -> Result<()> {
        if layer.depth() < self.limits.layers {
            return Ok(());
        }
        let message = format!("more than {} layers of bases", self.limits.layers);
        Err(Error::new(ErrorKind::Limit, place(), message))
    }

    /// What fetches `entry`.
    fn outside(&self, entry: &str) -> Result<&Remote> {
        self.remote.as_deref().ok_or_else(|| {
            let message = "is a URL, and this build fetches nothing";
            Error::new(ErrorKind::Forbidden, Place::file(entry), message)
        })
    }

    /// Whether an entry that is no path names a repository; `None` for paths.
    ///
    /// # Errors
    /// Where only its server can tell and cannot be asked.
    pub fn is_repository(&self, layer: &Layer<'_>, entry: &str) -> Result<Option<bool>> {
        let is_file = || self.files.kind(&clean(&layer.directory.join(entry))) == FileKind::File;
        let Some(address) = address(entry)?.filter(|_| !is_file()) else { return Ok(None) };
        let fetched = match &address {
            Address::File(_) => return Ok(Some(false)),
            Address::Repository(_) => return Ok(Some(true)),
            Address::Either(..) => self.outside(entry)?.fetch(&address, self.limits.file_bytes)?,
        };
        Ok(Some(matches!(fetched, Fetched::Checkout(_))))
    }

    /// Whether an entry can only be read by asking somebody outside.
    #[must_use]
    pub fn is_remote(&self, layer: &Layer<'_>, entry: &str) -> bool {
        let is_file = || self.files.kind(&clean(&layer.directory.join(entry))) == FileKind::File;
        matches!(address(entry), Ok(Some(_))) && (is_url(entry) || !is_file())
    }

    /// A base may neither be nor hold a directory that is on the way to it.
    fn forbid_cycle(&self, layer: &Layer<'_>, directory: &Path) -> Result<()> {
        let Some(visited) = layer.upwards().find(|one| one.directory.starts_with(directory)) else {
            return Ok(());
        };
        let mut way: Vec<Arc<str>> = Vec::new();
        for one in layer.upwards() {
            way.push(self.shown(&one.directory));
            if std::ptr::eq(one, visited) {
                break;
            }
        }
        way.reverse();
        let shown = self.shown(directory);
        let cycle = way.join(" → ");
        let message = if visited.directory == directory {
            format!("cycle of bases: {cycle} → {shown}")
        } else {
            format!("a base cannot be above its overlay: {cycle} → {shown}")
        };
        Err(Error::new(ErrorKind::Invalid, Place::file(shown), message))
    }

    /// The kustomization file of a layer.
    ///
    /// # Errors
    /// Where there is none, more than one, or it cannot be read.
    pub fn kustomization(&self, layer: &Layer<'_>) -> Result<(Source, &'static str)> {
        let is_file = |name: &&str| self.files.kind(&layer.directory.join(name)) == FileKind::File;
        let found: Vec<&'static str> = FILE_NAMES.into_iter().filter(is_file).collect();
        let place = || Place::file(self.shown(&layer.directory));
        match found[..] {
            [name] => {
                let path = layer.directory.join(name);
                let file = self.shown(&path);
                let text = match self.read_plain(&path, &file)? {
                    Some(text) => text,
                    None => self.read(&path)?,
                };
                Ok((Source { file, text }, name))
            }
            [] => {
                let message = "no kustomization file in this directory";
                let error = Error::new(ErrorKind::Missing, place(), message);
                Err(match self.nearest_kustomization(&layer.directory) {
                    Some(shown) => error.hint(format!("there is one in \"{shown}\"")),
                    None => error.hint(
                        "it is called kustomization.yaml, kustomization.yml or Kustomization",
                    ),
                })
            }
            _ => {
                let message = format!("more than one kustomization file: {}", found.join(", "));
                Err(Error::new(ErrorKind::Invalid, place(), message).hint("keep one of them"))
            }
        }
    }

    /// A directory right below that has a kustomization file.
    fn nearest_kustomization(&self, directory: &Path) -> Option<Arc<str>> {
        let names = self.files.list(directory).ok()?;
        let mut paths = names.iter().take(1_000).map(|name| directory.join(name));
        let found = paths.find(|path| has_kustomization(self.files, path));
        found.map(|path| self.shown(&path))
    }

    /// A file that a layer names, with its path as the user would type it.
    ///
    /// # Errors
    /// Where it is missing, no regular file, too large, or outside of where the layer may look.
    pub fn file(&self, layer: &Layer<'_>, entry: &str) -> Result<(Bytes, Arc<str>)> {
        if is_url(entry) {
            let text = self.outside(entry)?.file(entry, self.limits.file_bytes)?;
            return Ok((self.counted(entry, text)?, entry.into()));
        }
        if let Some(read) = self.near_file(layer, entry)? {
            return Ok(read);
        }
        let path = clean(&layer.directory.join(entry));
        let shown = self.shown(&path);
        if self.files.kind(&path) == FileKind::Missing {
            return Err(self.no_such_file(&path, shown));
        }
        self.forbid_escape(layer, &path)?;
        Ok((self.read(&path)?, shown))
    }

    /// As [`file`](Self::file), where the entry is a regular file right in the directory of its layer and
    /// no link to one: nothing more has to be asked then.
    ///
    /// # Errors
    /// Where it exceeds a limit, changes while it is read, or cannot be read.
    pub fn near_file(&self, layer: &Layer<'_>, entry: &str) -> Result<Option<(Bytes, Arc<str>)>> {
        // The directory of a layer is one without links.
        let mut path = layer.directory.join(entry);
        if !is_name(entry) {
            path = clean(&path);
            if is_url(entry) || path.parent() != Some(&layer.directory) {
                return Ok(None);
            }
        }
        let shown = self.shown(&path);
        let text = self.read_plain(&path, &shown)?;
        Ok(text.map(|text| (text, shown)))
    }

    fn no_such_file(&self, path: &Path, shown: Arc<str>) -> Error {
        let error = Error::new(ErrorKind::Missing, Place::file(shown), "no such file or directory");
        match self.similar(path) {
            Some(name) => error.hint(format!("there is \"{name}\" in that directory")),
            None => error,
        }
    }

    /// A sibling whose name is a slip of the keyboard away.
    fn similar(&self, path: &Path) -> Option<String> {
        let name = path.file_name()?.to_str()?;
        let siblings = self.files.list(path.parent()?).ok()?;
        let siblings = siblings.iter().take(1_000).filter_map(|one| one.to_str());
        crate::nearest::nearest(name, siblings).map(str::to_owned)
    }

    fn forbid_escape(&self, layer: &Layer<'_>, path: &Path) -> Result<()> {
        // Lifting the rule is for the user's own tree, not for what was fetched.
        if self.unrestricted && layer.jail.is_none() {
            return Ok(());
        }
        let confined = &layer.directory;
        let real = self.files.canonical(path);
        if real.as_ref().is_some_and(|real| real.starts_with(confined)) {
            return Ok(());
        }
        let place = Place::file(self.shown(path));
        let message = format!(
            "file is not in or below the directory of its kustomization, \"{}\"",
            self.shown(confined)
        );
        let hint = "move it there, make its directory a base, \
                    or allow it with --load-restrictor LoadRestrictionsNone";
        Err(Error::new(ErrorKind::Forbidden, place, message).hint(hint))
    }

    /// A file, wherever it lies, counted against the limits.
    ///
    /// # Errors
    /// Where it is missing, no regular file, or exceeds a limit.
    pub fn read(&self, path: &Path) -> Result<Bytes> {
        let shown = self.shown(path);
        let read = |path: &Path, limit| self.files.read(path, limit).map(Some);
        // There is always one where it is no error.
        Ok(self.read_with(path, &shown, read)?.unwrap_or_default())
    }

    /// A file that stands at this very path, counted alike; nothing where it does not.
    fn read_plain(&self, path: &Path, shown: &str) -> Result<Option<Bytes>> {
        self.read_with(path, shown, |path, limit| self.files.read_plain(path, limit))
    }

    fn read_with(
        &self,
        path: &Path,
        shown: &str,
        read: impl FnOnce(&Path, usize) -> Result<Option<Bytes>>,
    ) -> Result<Option<Bytes>> {
        let known = self.known().get(path.as_os_str()).cloned();
        if let Some(bytes) = known {
            self.take_file(shown)?;
            self.take_bytes(&self.again_left, bytes.len(), shown)?;
            return Ok(Some(bytes));
        }
        let Some(bytes) = read(path, self.limits.file_bytes)? else { return Ok(None) };
        let bytes = self.counted(shown, bytes)?;
        self.known().insert(path.into(), bytes.clone());
        Ok(Some(bytes))
    }

    fn known(&self) -> MutexGuard<'_, FxHashMap<OsString, Bytes>> {
        // A panic while it was held left at worst an entry out: the map is whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file from what is left for this build.
    fn counted(&self, shown: &str, bytes: Bytes) -> Result<Bytes> {
        self.take_file(shown)?;
        self.take_bytes(&self.bytes_left, bytes.len(), shown)?;
        Ok(bytes)
    }

    fn take_file(&self, shown: &str) -> Result<()> {
        if take(&self.files_left, 1) {
            return Ok(());
        }
        let message = format!("build reads more than {} files", self.limits.files);
        Err(Error::new(ErrorKind::Limit, Place::file(shown), message))
    }

    fn take_bytes(&self, left: &AtomicUsize, bytes: usize, shown: &str) -> Result<()> {
        if take(left, bytes) {
            return Ok(());
        }
        let message = format!("build reads more than {} bytes", self.limits.total_bytes);
        Err(Error::new(ErrorKind::Limit, Place::file(shown), message))
    }

    /// How much may still be read: files, bytes, bytes once more.
    #[must_use]
    pub fn left(&self) -> [usize; 3] {
        [&self.files_left, &self.bytes_left, &self.again_left]
            .map(|left| left.load(Ordering::Relaxed))
    }

    /// Forgets what was read since [`left`](Self::left) said so.
    pub fn go_back(&self, [files, bytes, again]: [usize; 3]) {
        self.known().clear();
        self.files_left.store(files, Ordering::Relaxed);
        self.bytes_left.store(bytes, Ordering::Relaxed);
        self.again_left.store(again, Ordering::Relaxed);
    }
}

/// Takes from what is left, where it is enough.
fn take(left: &AtomicUsize, amount: usize) -> bool {
    let less = |left: usize| left.checked_sub(amount);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
}

impl Layer<'_> {
    /// This layer, the one that refers to it, and so on up to the top.
    pub fn upwards(&self) -> impl Iterator<Item = &Layer<'_>> {
        std::iter::successors(Some(self), |layer| layer.parent)
    }

    fn depth(&self) -> usize {
        self.upwards().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn files(paths: &[&str]) -> Memory {
        let mut files = Memory::default();
        for path in paths {
            files.insert(path, "x");
        }
        files
    }

    #[test]
    fn a_base_may_not_hold_its_overlay() {
        let files = files(&["a/b/kustomization.yaml"]);
        let reader = Reader::new(&files, Limits::PERSON, false);
        let top = reader.top(Path::new("/a/b")).expect("a directory");
        let error = reader.descend(&top, "..").expect_err("above");
        assert_eq!(error.message(), "a base cannot be above its overlay: a/b → a");
        assert!(reader.descend(&top, ".").is_err());
    }

    #[test]
    fn a_file_lies_below_its_kustomization() {
        let files = files(&["a/x.yaml", "b/y.yaml"]);
        let reader = Reader::new(&files, Limits::PERSON, false);
        let top = reader.top(Path::new("/a")).expect("a directory");
        assert!(reader.file(&top, "x.yaml").is_ok());
        let error = reader.file(&top, "../b/y.yaml").expect_err("outside");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        let reader = Reader::new(&files, Limits::PERSON, true);
        assert!(reader.file(&top, "../b/y.yaml").is_ok());
    }

    #[test]
    fn a_missing_file_is_told_from_a_misspelt_one() {
        let files = files(&["a/deployment.yaml"]);
        let reader = Reader::new(&files, Limits::PERSON, false);
        let top = reader.top(Path::new("/a")).expect("a directory");
        let error = reader.file(&top, "deploymnet.yaml").expect_err("missing");
        assert_eq!(error.remedy(), Some("there is \"deployment.yaml\" in that directory"));
    }

    #[test]
    fn reads_no_more_than_its_limits() {
        let files = files(&["a/x.yaml", "a/y.yaml"]);
        let limits = Limits { total_bytes: 1, ..Limits::PERSON };
        let reader = Reader::new(&files, limits, false);
        let top = reader.top(Path::new("/a")).expect("a directory");
        assert!(reader.file(&top, "x.yaml").is_ok());
        assert_eq!(reader.file(&top, "y.yaml").expect_err("too much").kind(), ErrorKind::Limit);
    }
}
