//! Files of which some are as if they were not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files};

/// What decides on that.
pub(super) trait Absence: Send + Sync {
    /// Why something is not there.
    type Why;

    /// All files.
    fn files(&self) -> &dyn Files;

    /// Why a path is as if it were not there; nothing where it is there, and where it is not there at all.
    fn absent(&self, path: &Path) -> Option<Self::Why>;

    /// The same for who looks for it.
    fn hint(&self, why: Self::Why) -> String;
}

/// The files that are left.
pub(super) struct Partial<A>(pub(super) A);

impl<A: Absence> Partial<A> {
    fn is_absent(&self, path: &Path) -> bool {
        self.0.absent(path).is_some()
    }
}

impl<A: Absence> Files for Partial<A> {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        let Some(why) = self.0.absent(path) else { return self.0.files().read(path, limit) };
        let place = Place::file(self.shown(path));
        Err(Error::new(ErrorKind::Missing, place, "no such file").hint(self.0.hint(why)))
    }

    fn kind(&self, path: &Path) -> FileKind {
        if self.is_absent(path) { FileKind::Missing } else { self.0.files().kind(path) }
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut names = self.0.files().list(dir)?;
        names.retain(|name| !self.is_absent(&dir.join(name)));
        Ok(names)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        if self.is_absent(path) { None } else { self.0.files().canonical(path) }
    }

    fn is_plain(&self, path: &Path) -> bool {
        self.0.files().is_plain(path) && !self.is_absent(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.0.files().shown(path)
    }
}
