//! What Flux decrypts before a build: the files that kustomizations name as Secret generators' sources and as patches.
//!
//! Flux writes the plain text over the files of its copy. Here it lies beside them in memory, and whoever reads such
//! a file through [`Decrypted`] gets it; so a ConfigMap that names the same file has the plain text too, as with Flux.
//!
//! Source: kustomize-controller `internal/decryptor`, `DecryptSources`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{FILE_BYTES, Format, Integrity, Keys};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Files, clean};
use crate::layer::FILE_NAMES;
use crate::limits::Limits;
use crate::value::Value;
use crate::yaml;

/// Files of which some are decrypted. What is read from it must not be kept by any cache.
pub struct Decrypted<'a> {
    files: &'a dyn Files,
    /// Overwritten when the last reader lets go of it.
    plain: BTreeMap<PathBuf, Bytes>,
}

/// An encrypted file that a kustomization names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Encrypted {
    /// Its path.
    pub path: PathBuf,
    /// How it is encrypted, and how it is printed.
    pub format: Format,
}

/// Whether a directory has a kustomization file; Flux makes one up where not, and that names nothing.
pub(super) fn has_kustomization(files: &dyn Files, directory: &Path) -> bool {
    FILE_NAMES.iter().any(|name| files.kind(&directory.join(name)) == FileKind::File)
}

/// Finds the encrypted files that the kustomization in `directory` and those that it reaches name, each once.
///
/// # Errors
/// Where a directory has two kustomization files, or none though another names it, or a file is too large.
pub fn find(files: &dyn Files, limits: &Limits, directory: &Path) -> Result<Vec<Encrypted>> {
    if files.kind(directory) != FileKind::Directory {
        let place = Place::file(files.shown(directory));
        return Err(Error::new(ErrorKind::Missing, place, "not a directory"));
    }
    let mut walk = Walk { files, limits, seen: BTreeSet::new(), found: Vec::new() };
    walk.directory(directory, 0)?;
    Ok(walk.found)
}

/// The files with what [`find`] finds decrypted.
///
/// # Errors
/// As [`find`], and where a file does not decrypt.
pub fn decrypt<'a>(
    files: &'a dyn Files,
    limits: &Limits,
    directory: &Path,
    keys: &Keys,
) -> Result<Decrypted<'a>> {
    let mut plain = BTreeMap::new();
    for Encrypted { path, format } in find(files, limits, directory)? {
        let content = files.read(&path, FILE_BYTES)?;
        let file = files.shown(&path);
        let text = super::decrypt(&content, format, format, keys, Integrity::Ignored, &file)?;
        plain.insert(path, Bytes::from_owner(text));
    }
    Ok(Decrypted { files, plain })
}

impl Decrypted<'_> {
    /// The files that were decrypted.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.plain.keys().map(PathBuf::as_path)
    }
}

impl Files for Decrypted<'_> {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        let canonical = || self.files.canonical(path).and_then(|path| self.plain.get(&path));
        match self.plain.get(path).or_else(canonical) {
            Some(plain) if plain.len() > limit => {
                let message = format!("file is larger than {limit} bytes");
                Err(Error::new(ErrorKind::Limit, Place::file(self.shown(path)), message))
            }
            Some(plain) => Ok(plain.clone()),
            None => self.files.read(path, limit),
        }
    }

    fn kind(&self, path: &Path) -> FileKind {
        self.files.kind(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        self.files.list(dir)
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        self.files.canonical(path)
    }

    fn is_plain(&self, path: &Path) -> bool {
        self.files.is_plain(path)
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.files.shown(path)
    }
}

struct Walk<'a> {
    files: &'a dyn Files,
    limits: &'a Limits,
    seen: BTreeSet<PathBuf>,
    found: Vec<Encrypted>,
}

impl Walk<'_> {
    /// The kustomization of a directory, and all that it reaches.
    fn directory(&mut self, directory: &Path, depth: usize) -> Result<()> {
        let Some(directory) = self.files.canonical(directory) else { return Ok(()) };
        if self.files.kind(&directory) != FileKind::Directory
            || !self.seen.insert(directory.clone())
        {
            return Ok(());
        }
        if depth > self.limits.layers || self.seen.len() > self.limits.files {
            return Err(self.refused(
                ErrorKind::Limit,
                &directory,
                "too many kustomizations to look through",
            ));
        }
        let file = self.kustomization(&directory)?;
        let text = self.files.read(&file, self.limits.file_bytes)?;
        let kustomization = yaml::read_first(&text, &self.files.shown(&file), self.limits)?;
        self.sources(&directory, &kustomization)?;
        let nested = texts(&kustomization, "resources").chain(texts(&kustomization, "components"));
        for reference in nested {
            // What is no directory is a file or an address.
            self.directory(&clean(&directory.join(reference)), depth + 1)?;
        }
        Ok(())
    }

    fn kustomization(&self, directory: &Path) -> Result<PathBuf> {
        let there = |name: &&str| self.files.kind(&directory.join(name)) == FileKind::File;
        let mut names = FILE_NAMES.iter().copied().filter(there);
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(directory.join(name)),
            (Some(_), Some(_)) => Err(self.refused(
                ErrorKind::Invalid,
                directory,
                "found multiple kustomization files",
            )),
            (None, _) => {
                Err(self.refused(ErrorKind::Missing, directory, "no kustomization file found"))
            }
        }
    }

    fn sources(&mut self, directory: &Path, kustomization: &Value) -> Result<()> {
        for generator in list(kustomization, "secretGenerator") {
            for source in texts(generator, "files") {
                let (key, path) = source.split_once('=').unwrap_or((source, source));
                self.file(directory, path, Format::for_path(key))?;
            }
            for source in texts(generator, "envs") {
                let format = match Format::for_path(source) {
                    Format::Binary => Format::Dotenv,
                    format => format,
                };
                self.file(directory, source, format)?;
            }
        }
        for patch in list(kustomization, "patches") {
            if let Some(path) = patch.text_at(&["path"]).filter(|path| !path.contains("://")) {
                self.file(directory, path, Format::for_path(path))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &Path, path: &str, format: Format) -> Result<()> {
        // A file that is not there is for the build to report: it knows the line.
        let Some(path) = self.files.canonical(&clean(&directory.join(path))) else { return Ok(()) };
        if self.files.kind(&path) != FileKind::File
            || self.found.iter().any(|found| found.path == path)
        {
            return Ok(());
        }
        let content = match self.files.read(&path, FILE_BYTES) {
            Err(error) if error.kind() == ErrorKind::Limit => {
                let message = format!("cannot decrypt a file of more than {FILE_BYTES} bytes");
                return Err(self.refused(ErrorKind::Limit, &path, &message));
            }
            content => content?,
        };
        if format.marks(&content) {
            self.found.push(Encrypted { path, format });
        }
        Ok(())
    }

    fn refused(&self, kind: ErrorKind, path: &Path, message: &str) -> Error {
        Error::new(kind, Place::file(self.files.shown(path)), message)
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_list).into_iter().flatten()
}

fn texts<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    list(value, name).filter_map(Value::as_text).filter(|text| !text.is_empty())
}
