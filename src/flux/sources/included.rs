//! Parts of other sources in a source, as `spec.include` of a GitRepository has them moved in.
//!
//! Source: source-controller `internal/controller/gitrepository_controller.go`, `reconcileInclude`; fluxcd/pkg
//! `artifact/storage/filesystem.go`, `CopyToPath`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Moved, Source};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, clean};
use crate::flux::rooted::joined;

/// A part of another source.
#[derive(Clone, Debug)]
pub struct Included {
    /// `GitRepository/namespace/name`
    pub name: String,
    /// Its files; nothing where they are elsewhere, which matters only to who reads them.
    pub source: Option<Source>,
    /// A file or directory of it.
    pub from: String,
    /// Where that goes to.
    pub to: String,
    /// Where it is declared.
    pub place: Place,
}

impl Included {
    fn error(&self, kind: ErrorKind, message: &str) -> Error {
        Error::new(kind, self.place.clone(), format!("includes {}: {message}", self.name))
    }
}

/// `files` with parts of others in them, a later one upon an earlier one.
///
/// # Errors
/// Where there is nothing to move in, or something in its way.
pub(super) fn including<'a>(
    mut files: Arc<dyn Files + Send>,
    root: &Path,
    parts: impl Iterator<Item = &'a Included>,
) -> Result<Arc<dyn Files + Send>> {
    for part in parts {
        let at = joined(root, Path::new(&part.to));
        let (within, from): (Arc<dyn Files + Send>, _) = match &part.source {
            Some(source) => (source.files.clone(), joined(&source.root, Path::new(&part.from))),
            None => (Arc::new(Elsewhere { at: at.clone(), error: elsewhere(part) }), at.clone()),
        };
        check(part, within.kind(&from), &*files, root, &at)?;
        files = Arc::new(Including { files, moved: Moved { files: within, from, at } });
    }
    Ok(files)
}

fn elsewhere(part: &Included) -> Error {
    let hint = format!("--local-source {}=PATH has a directory stand for it", part.name);
    part.error(ErrorKind::Missing, "its files are elsewhere").hint(hint)
}

/// Nothing is moved over a directory, and only a file over a file.
fn check(part: &Included, kind: FileKind, files: &dyn Files, root: &Path, at: &Path) -> Result<()> {
    if kind == FileKind::Missing {
        let message = format!("there is no \"{}\" in it", part.from);
        return Err(part.error(ErrorKind::Missing, &message));
    }
    let is_in_the_way = match files.kind(at) {
        FileKind::Missing => false,
        FileKind::File => kind != FileKind::File,
        FileKind::Directory | FileKind::Other => true,
    };
    if is_in_the_way {
        let message = format!("there is a \"{}\" already, which Flux does not replace", part.to);
        return Err(part.error(ErrorKind::Invalid, &message));
    }
    let mut above = at.ancestors().skip(1).take_while(|path| path.starts_with(root));
    match above.any(|path| files.kind(path) == FileKind::File) {
        true => {
            let message = format!("\"{}\" would lie below a file", part.to);
            Err(part.error(ErrorKind::Invalid, &message))
        }
        false => Ok(()),
    }
}

/// Files, and others at some place among them.
struct Including {
    files: Arc<dyn Files + Send>,
    moved: Moved,
}

impl Including {
    /// The name in a directory that leads to the others.
    fn next(&self, directory: &Path) -> Option<PathBuf> {
        let below = self.moved.at.strip_prefix(directory).ok()?;
        below.components().next().map(|name| PathBuf::from(name.as_os_str()))
    }
}

impl Files for Including {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        match self.moved.inside(path) {
            Some(inside) => self.moved.files.read(&inside, limit),
            None => self.files.read(path, limit),
        }
    }

    fn kind(&self, path: &Path) -> FileKind {
        if let Some(inside) = self.moved.inside(path) {
            return self.moved.files.kind(&inside);
        }
        match self.files.kind(path) {
            FileKind::Missing if self.next(path).is_some() => FileKind::Directory,
            kind => kind,
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        if let Some(inside) = self.moved.inside(dir) {
            return self.moved.files.list(&inside);
        }
        let Some(next) = self.next(dir) else { return self.files.list(dir) };
        let mut names = match self.files.kind(dir) {
            FileKind::Missing => Vec::new(),
            _ => self.files.list(dir)?,
        };
        if let Err(place) = names.binary_search(&next) {
            names.insert(place, next);
        }
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let Some(inside) = self.moved.inside(path) else {
            let made = || self.next(path).map(|_| clean(path));
            return self.files.canonical(path).or_else(made);
        };
        self.moved.canonical(&inside)
    }

    fn is_plain(&self, path: &Path) -> bool {
        let inside = self.moved.inside(path);
        inside
            .map_or_else(|| self.files.is_plain(path), |inside| self.moved.files.is_plain(&inside))
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        let inside = self.moved.inside(path);
        inside.map_or_else(|| self.files.shown(path), |inside| self.moved.files.shown(&inside))
    }
}

/// Files that are not here: whoever wants one of them is told so.
struct Elsewhere {
    at: PathBuf,
    error: Error,
}

impl Files for Elsewhere {
    fn read(&self, _path: &Path, _limit: usize) -> Result<Bytes> {
        Err(self.error.clone())
    }

    fn kind(&self, path: &Path) -> FileKind {
        match path.file_name().and_then(|name| name.to_str()) {
            _ if path == self.at => FileKind::Directory,
            // A directory has one of the files of kustomize, and reading that says what is wrong.
            Some("kustomization.yml" | "Kustomization") => FileKind::Missing,
            _ => FileKind::File,
        }
    }

    fn list(&self, _dir: &Path) -> Result<Vec<PathBuf>> {
        Err(self.error.clone())
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        Some(clean(path))
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        path.to_string_lossy().into()
    }
}
