//! Files below one root: nothing outside is read, whichever way a path or a link leads there.
//!
//! Within its artifact Flux lets a build read everything (a kustomization may use `../base`), and nothing
//! beyond it. So it is here, for a working tree as for an artifact.
//!
//! Source: fluxcd/pkg `kustomize/filesys/fs_secure.go`; CVE-2022-24877 is what it guards against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{Disk, FileKind, Files, clean};

/// The files below a root, and below the clones that a build makes.
pub struct Rooted<'a> {
    files: &'a dyn Files,
    /// Links resolved, where it exists.
    root: PathBuf,
    /// What the paths of other places that may be read begin with, as text.
    also: Vec<PathBuf>,
    /// What is cloned lies on this machine, wherever the files are.
    clones: Option<(Disk, PathBuf)>,
    /// Which path was shown as which text.
    shown: Mutex<BTreeMap<Arc<str>, PathBuf>>,
}

/// A path of the user's below `root`, by name alone: `..` leads no higher than there, and a path that
/// already lies below the root stays.
#[must_use]
pub fn joined(root: &Path, path: &Path) -> PathBuf {
    let root = clean(root);
    let path = path.strip_prefix(&root).unwrap_or(path);
    let below = clean(&Path::new("/").join(path));
    clean(&root.join(below.strip_prefix("/").unwrap_or(&below)))
}

impl<'a> Rooted<'a> {
    /// The files below `root`.
    #[must_use]
    pub fn new(files: &'a dyn Files, root: &Path) -> Self {
        let root = files.canonical(root).unwrap_or_else(|| clean(root));
        Self { files, root, also: Vec::new(), clones: None, shown: Mutex::default() }
    }

    /// Those too whose path begins with a text.
    #[must_use]
    pub fn and(mut self, prefix: PathBuf) -> Self {
        self.also.push(prefix);
        self
    }

    /// Those too of this machine that lie below the directory of what is cloned.
    #[must_use]
    pub fn with_clones(mut self, directory: &Path) -> Self {
        let disk = Disk::new(PathBuf::from("/"));
        let directory = disk.canonical(directory).unwrap_or_else(|| directory.to_path_buf());
        self.clones = Some((disk, directory));
        self
    }

    /// The disk, where it is a path of what is cloned.
    fn disk(&self, path: &Path) -> Option<&Disk> {
        self.clones.as_ref().filter(|(_, clones)| path.starts_with(clones)).map(|(disk, _)| disk)
    }

    /// Where a path is looked up.
    fn place_of(&self, path: &Path) -> &dyn Files {
        match self.disk(path) {
            Some(disk) => disk,
            None => self.files,
        }
    }

    /// Whether a path may be read, links followed as far as there are any.
    #[must_use]
    pub fn allows(&self, path: &Path) -> bool {
        let path = clean(&self.root.join(path));
        let is_allowed = |path: &Path| {
            path.starts_with(&self.root) || self.is_named(path) || self.disk(path).is_some()
        };
        // Of what does not exist, the nearest directory that does counts.
        let existing = path.ancestors().find_map(|one| self.canonical(one));
        is_allowed(&path) && existing.is_some_and(|real| is_allowed(&real))
    }

    /// Whether a path begins with one of the texts of [`Rooted::and`].
    #[must_use]
    pub fn is_named(&self, path: &Path) -> bool {
        let text = path.as_os_str().as_encoded_bytes();
        let begins = |prefix: &PathBuf| text.starts_with(prefix.as_os_str().as_encoded_bytes());
        self.also.iter().any(begins)
    }

    fn check(&self, path: &Path) -> Result<()> {
        if self.allows(path) {
            return Ok(());
        }
        let root = self.files.shown(&self.root);
        let place = Place::file(self.files.shown(path));
        let message = format!("is not in or below \"{root}\", the root of its source");
        Err(Error::new(ErrorKind::Forbidden, place, message))
    }

    /// The file that was shown as this text.
    #[must_use]
    pub fn path_of(&self, shown: &str) -> Option<PathBuf> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).get(shown).cloned()
    }
}

impl Files for Rooted<'_> {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        self.check(path)?;
        self.place_of(path).read(path, limit)
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.place_of(path).kind(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.check(dir)?;
        self.place_of(dir).list(dir)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        self.place_of(path).canonical(path)
    }

    fn is_plain(&self, path: &Path) -> bool {
        self.place_of(path).is_plain(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        let shown = self.files.shown(path);
        let mut known = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&shown) {
            known.insert(shown.clone(), path.to_path_buf());
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    #[test]
    fn a_path_cannot_leave_its_root() {
        for (root, path, wanted) in [
            ("/tree", "./foo", "/tree/foo"),
            ("/tree/foo", "../../bar", "/tree/foo/bar"),
            ("/tree/", "/tree/foo/", "/tree/foo"),
            ("/tree", "/etc", "/tree/etc"),
            ("/", "a/../../b", "/b"),
            ("/tree", "", "/tree"),
        ] {
            assert_eq!(
                joined(Path::new(root), Path::new(path)),
                Path::new(wanted),
                "{root} {path}"
            );
        }
    }

    #[test]
    fn clones_lie_on_the_disk_also_where_the_files_do_not() {
        let clones = tempfile::tempdir().expect("a directory");
        let clone = clones.path().canonicalize().expect("a path").join("a.yaml");
        std::fs::write(&clone, "a").expect("a file");
        let files = Memory::default();
        let rooted = Rooted::new(&files, Path::new("/"));
        assert!(rooted.read(&clone, 9).is_err());
        let rooted = rooted.with_clones(clones.path());
        assert_eq!(rooted.read(&clone, 9).expect("a file").as_ref(), b"a");
        assert_eq!(rooted.kind(&clone), FileKind::File);
    }

    #[test]
    fn what_lies_beside_the_root_is_forbidden() {
        let mut files = Memory::default();
        files.insert("tree/a.yaml", "a");
        files.insert("workshop/b.yaml", "b");
        let rooted = Rooted::new(&files, Path::new("/tree"));
        assert!(rooted.read(Path::new("/tree/a.yaml"), 9).is_ok());
        let error = rooted.read(Path::new("/treeshop/b.yaml"), 9).expect_err("beside");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        assert_eq!(
            rooted.path_of(&rooted.shown(Path::new("/tree/a.yaml"))),
            Some("/tree/a.yaml".into())
        );
    }
}
