//! The part of a repository that `spec.sparseCheckout` of a GitRepository names: nothing else is checked out.
//!
//! A path is taken at its word: `apps` takes `apps-old/a.yaml` too, and `apps/` does not.
//!
//! Source: source-controller 1.9 `internal/controller/gitrepository_controller.go`, `validateSparseCheckoutPaths`;
//! go-git 5.19 `plumbing/format/index/index.go`, `SkipUnless`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::partial::{Absence, Partial};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files};
use crate::flux::rooted::joined;

/// The paths that are checked out.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// As they are written.
    pub paths: Vec<String>,
    /// Where that is declared.
    pub place: Place,
}

impl Sparse {
    /// Those of a list; nothing where it is empty, and everything is checked out.
    #[must_use]
    pub fn of(paths: Vec<String>, place: impl FnOnce() -> Place) -> Option<Self> {
        (!paths.is_empty()).then(|| Self { paths, place: place() })
    }

    fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path.strip_prefix("./").unwrap_or(path))
    }

    /// Whether a file is checked out.
    #[must_use]
    pub fn takes(&self, file: &str) -> bool {
        self.prefixes().any(|prefix| file.starts_with(prefix))
    }

    /// Whether a directory is there, as something in it may be checked out.
    #[must_use]
    pub fn enters(&self, directory: &str) -> bool {
        let below = format!("{directory}/");
        self.prefixes().any(|prefix| below.starts_with(prefix) || prefix.starts_with(&below))
    }

    /// Refuses what is not there once the rest is gone.
    ///
    /// # Errors
    /// Names the path.
    pub(super) fn check(&self, is_there: impl Fn(&Path) -> bool) -> Result<()> {
        let missing = |path: &&String| !is_there(&joined(Path::new("/"), Path::new(path)));
        let Some(path) = self.paths.iter().find(missing) else { return Ok(()) };
        let message = format!(
            "sparse checkout dir '{path}' does not exist in repository, and Flux makes no artifact of it"
        );
        Err(Error::new(ErrorKind::Missing, self.place.clone(), message))
    }

    /// Of the files below `root` those that are checked out.
    ///
    /// # Errors
    /// Where a path is not there.
    pub(super) fn of_files(
        &self,
        files: Arc<dyn Files + Send>,
        root: &Path,
    ) -> Result<Arc<dyn Files + Send>> {
        let files = Partial(Part { files, root: root.to_path_buf(), sparse: self.clone() });
        let is_there = |path: &Path| {
            let below = path.strip_prefix("/").unwrap_or(path);
            files.kind(&root.join(below)) != FileKind::Missing
        };
        self.check(is_there)?;
        Ok(Arc::new(files))
    }
}

/// Files without those that are not checked out.
struct Part {
    files: Arc<dyn Files + Send>,
    root: PathBuf,
    sparse: Sparse,
}

impl Absence for Part {
    type Why = ();

    fn files(&self) -> &dyn Files {
        &*self.files
    }

    fn absent(&self, path: &Path) -> Option<()> {
        let below = path.strip_prefix(&self.root).ok()?.to_string_lossy();
        let is_there = below.is_empty()
            || match self.files.kind(path) {
                FileKind::Missing => true,
                FileKind::Directory => self.sparse.enters(&below),
                _ => self.sparse.takes(&below),
            };
        (!is_there).then_some(())
    }

    fn hint(&self, (): ()) -> String {
        let declared = &self.sparse.place;
        format!("the file is there, but spec.sparseCheckout leaves it out: {declared}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn part(paths: &[&str]) -> Result<Vec<String>> {
        let mut files = Memory::default();
        for file in ["apps/a/x", "apps/b/x", "apps-old/x", "top", ".hidden"] {
            files.insert(file, "");
        }
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let place = || Place::new("source.yaml", 7, 3);
        let files: Arc<dyn Files + Send> = Arc::new(files);
        let root = Path::new("/");
        let files = match Sparse::of(paths, place) {
            Some(sparse) => sparse.of_files(files, root)?,
            None => files,
        };
        let (mut queue, mut found) = (vec![root.to_path_buf()], Vec::new());
        while let Some(directory) = queue.pop() {
            for path in files.list(&directory)?.into_iter().map(|name| directory.join(name)) {
                match files.kind(&path) {
                    FileKind::Directory => queue.push(path),
                    _ => found.push(path.to_string_lossy().trim_start_matches('/').to_owned()),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    #[test]
    fn paths_are_taken_at_their_word() {
        let all = [".hidden", "apps-old/x", "apps/a/x", "apps/b/x", "top"];
        for (paths, wanted) in [
            (&[][..], &all[..]),
            (&["apps"], &["apps-old/x", "apps/a/x", "apps/b/x"]),
            (&["./apps/"], &["apps/a/x", "apps/b/x"]),
            (&["apps/b", "top"], &["apps/b/x", "top"]),
            (&["."], &[".hidden"]),
            (&[""], &all),
        ] {
            assert_eq!(part(paths).expect("all there"), wanted, "{paths:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for paths in [&["missing"][..], &["apps/", "/apps-old"], &["apps/a/../b"]] {
            let error = part(paths).expect_err("refused");
            let path = paths.last().expect("one");
            let wanted = format!("sparse checkout dir '{path}' does not exist in repository");
            assert!(error.message().starts_with(&wanted), "{error}");
            assert!(error.to_string().starts_with("source.yaml:7:3: "), "{error}");
        }
    }
}
