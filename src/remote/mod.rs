//! Bases and files from elsewhere: Git repositories and URLs.
//!
//! What is fetched stays in a directory that the caller chooses, so that a commit is fetched once:
//!
//! - `git/HASH/COMMIT`: a checkout, where `HASH` is of the URL; with submodules it is called
//!   `COMMIT+submodules`,
//! - `git/HASH/refs/HASH`: the commit that a branch or tag led to last, for builds offline,
//! - `http/HASH`: a file as it was last, for builds offline.
//!
//! A branch is asked for in each build, so one that moved is seen; a full commit is not. Within one
//! [`Remote`] everything is asked for once.

mod address;
pub(crate) mod escapes;
mod git;
#[cfg(feature = "remote")]
pub(crate) mod http;
#[cfg(feature = "sops-cloud")]
pub(crate) mod signature;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Place, Result};

pub use address::{Address, Repository, read};

/// The outside as builds may see it.
#[derive(Debug)]
pub struct Remote {
    cache: PathBuf,
    offline: bool,
    /// By URL, reference and whether submodules are wanted; symbolic links are resolved.
    checkouts: Mutex<HashMap<(String, String, bool), PathBuf>>,
    answers: Mutex<HashMap<String, Answer>>,
}

/// What was fetched.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// The content of a file.
    File(Bytes),
    /// The directory of a repository's root.
    Checkout(PathBuf),
}

/// What a server says.
#[derive(Clone, Debug)]
enum Answer {
    Content(Bytes),
    /// A refusal, such as `404 Not Found`.
    #[cfg_attr(not(feature = "remote"), expect(dead_code, reason = "nothing is downloaded"))]
    Status(String),
}

impl Remote {
    /// Fetches into the directory `cache`; nothing is fetched where `offline` is set.
    #[must_use]
    pub fn new(cache: PathBuf, offline: bool) -> Self {
        Self { cache, offline, checkouts: Mutex::default(), answers: Mutex::default() }
    }

    /// The directory that holds all checkouts.
    #[must_use]
    pub fn clones(&self) -> &Path {
        &self.cache
    }

    /// The directory of a checkout: the root of the repository.
    ///
    /// # Errors
    /// Where Git fails or takes too long, or the build is offline and the commit is not there.
    pub fn checkout(&self, repository: &Repository) -> Result<PathBuf> {
        let Repository { url, reference, submodules, .. } = repository;
        let key = (url.clone(), reference.clone(), *submodules);
        // Held while it is fetched: whoever wants the same waits for it.
        let mut checkouts = lock(&self.checkouts);
        if let Some(directory) = checkouts.get(&key) {
            return Ok(directory.clone());
        }
        let directory = self.cache.join("git").join(hash(url));
        let directory = git::checkout(&directory, repository, self.offline)?;
        let directory = directory.canonicalize().map_err(|error| unwritable(&directory, &error))?;
        checkouts.insert(key, directory.clone());
        Ok(directory)
    }

    /// A path in a checkout as an entry would name it, `None` for all other paths.
    #[must_use]
    pub fn shown(&self, path: &Path) -> Option<Arc<str>> {
        let checkouts = lock(&self.checkouts);
        let found = checkouts.iter().filter_map(|((url, reference, _), directory)| {
            let rest = path.strip_prefix(directory).ok()?.to_string_lossy();
            let query = if reference.is_empty() { "" } else { "?ref=" };
            Some(format!("{url}//{rest}{query}{reference}"))
        });
        // Several references may lead to one commit: the least is as good as any.
        found.min().map(Arc::from)
    }

    /// What an address names, a file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Remote::checkout`] and [`Remote::file`].
    pub fn fetch(&self, address: &Address, limit: usize) -> Result<Fetched> {
        match address {
            Address::File(url) => self.file(url, limit).map(Fetched::File),
            Address::Repository(repository) => self.checkout(repository).map(Fetched::Checkout),
            Address::Either(url, repository) => match self.answer(url, limit)? {
                // A forge shows a page for a repository.
                Answer::Content(content) if !is_page(&content) => Ok(Fetched::File(content)),
                _ => self.checkout(repository).map(Fetched::Checkout),
            },
        }
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses, or the build is offline and the file is not
    /// there.
    pub fn file(&self, url: &str, limit: usize) -> Result<Bytes> {
        match self.answer(url, limit)? {
            Answer::Content(content) => Ok(content),
            Answer::Status(status) => Err(external(url, format!("server answers {status}"))),
        }
    }

    fn answer(&self, url: &str, limit: usize) -> Result<Answer> {
        let mut answers = lock(&self.answers);
        if let Some(answer) = answers.get(url) {
            return Ok(answer.clone());
        }
        let kept = self.cache.join("http").join(hash(url));
        let answer = match self.offline {
            true => Answer::Content(kept_file(&kept, url)?),
            false => download(url, limit)?,
        };
        if let (Answer::Content(content), false) = (&answer, self.offline) {
            keep(&kept, content).map_err(|error| unwritable(&kept, &error))?;
        }
        answers.insert(url.to_owned(), answer.clone());
        Ok(answer)
    }
}

/// Whether a content is HTML, which no manifest begins as.
fn is_page(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"<")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while it was held left at worst an entry out: the map is whole.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The name of a thing in the cache: long enough that no two collide.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn external(shown: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::External, Place::file(shown), message)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    let place = Place::file(path.to_string_lossy().as_ref());
    Error::new(ErrorKind::Io, place, format!("cannot keep what was fetched: {error}"))
}

/// Writes beside and moves, so that no reader sees half a file.
fn keep(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)?;
    let part = path.with_extension(format!("part-{}", std::process::id()));
    std::fs::File::create(&part)?.write_all(content)?;
    std::fs::rename(part, path)
}

#[expect(clippy::disallowed_methods, reason = "the cache is ours and no part of the tree")]
fn kept(path: &Path) -> Option<Bytes> {
    std::fs::read(path).ok().map(Bytes::from)
}

fn kept_file(path: &Path, url: &str) -> Result<Bytes> {
    let error = || external(url, "not fetched before, and the build is offline");
    kept(path).ok_or_else(error)
}

#[cfg(feature = "remote")]
fn download(url: &str, limit: usize) -> Result<Answer> {
    http::get(url, limit)
}

#[cfg(not(feature = "remote"))]
fn download(url: &str, limit: usize) -> Result<Answer> {
    let _ = limit;
    let place = Place::file(url);
    Err(Error::new(ErrorKind::Forbidden, place, "this program does not download files"))
}
