//! What a render has asked of its files, so that it need not be done again where others answer the same.
//!
//! A build is a function of its files: where every answer is the same, so is the result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::error::Result;
use crate::files::{FileKind, Files};

/// Files that note what they are asked.
pub struct Traced<'a> {
    files: &'a dyn Files,
    asked: Mutex<BTreeMap<Question, Answer>>,
}

/// All that was asked, and the answers.
#[derive(Clone, Debug, Default)]
pub struct Trace(BTreeMap<Question, Answer>);

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Question {
    Read(PathBuf, usize),
    Kind(PathBuf),
    List(PathBuf),
    Canonical(PathBuf),
    Plain(PathBuf),
}

/// Nothing stands for any failure: its text is told to whoever asked.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Answer {
    Content(Option<Bytes>),
    Kind(FileKind),
    Names(Option<Vec<PathBuf>>),
    Path(Option<PathBuf>),
    Plain(bool),
}

impl<'a> Traced<'a> {
    /// `files`, and nothing was asked yet.
    #[must_use]
    pub fn new(files: &'a dyn Files) -> Self {
        Self { files, asked: Mutex::default() }
    }

    /// What was asked up to now.
    #[must_use]
    pub fn trace(self) -> Trace {
        Trace(self.asked.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, question: Question, answer: Answer) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer);
    }
}

impl Trace {
    /// Whether other files give the same answers.
    #[must_use]
    pub fn holds(&self, files: &dyn Files) -> bool {
        self.0.iter().all(|(question, answer)| question.ask(files) == *answer)
    }
}

impl Question {
    fn ask(&self, files: &dyn Files) -> Answer {
        match self {
            Self::Read(path, limit) => Answer::Content(files.read(path, *limit).ok()),
            Self::Kind(path) => Answer::Kind(files.kind(path)),
            Self::List(path) => Answer::Names(files.list(path).ok()),
            Self::Canonical(path) => Answer::Path(files.canonical(path)),
            Self::Plain(path) => Answer::Plain(files.is_plain(path)),
        }
    }
}

impl Files for Traced<'_> {
    fn read(&self, path: &Path, limit: usize) -> Result<Bytes> {
        let content = self.files.read(path, limit);
        let answer = Answer::Content(content.as_ref().ok().cloned());
        self.note(Question::Read(path.to_path_buf(), limit), answer);
        content
    }

    fn kind(&self, path: &Path) -> FileKind {
        let kind = self.files.kind(path);
        self.note(Question::Kind(path.to_path_buf()), Answer::Kind(kind));
        kind
    }

    fn list(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let names = self.files.list(dir);
        let answer = Answer::Names(names.as_ref().ok().cloned());
        self.note(Question::List(dir.to_path_buf()), answer);
        names
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        let real = self.files.canonical(path);
        self.note(Question::Canonical(path.to_path_buf()), Answer::Path(real.clone()));
        real
    }

    fn is_plain(&self, path: &Path) -> bool {
        let plain = self.files.is_plain(path);
        self.note(Question::Plain(path.to_path_buf()), Answer::Plain(plain));
        plain
    }

    fn shown(&self, path: &Path) -> Arc<str> {
        self.files.shown(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    fn files(a: &str, b: &str) -> Memory {
        let mut files = Memory::default();
        files.insert("a", a.to_owned());
        files.insert("sub/b", b.to_owned());
        files
    }

    #[test]
    fn only_what_was_asked_counts() {
        let before = files("1", "1");
        let traced = Traced::new(&before);
        let _ = traced.read(Path::new("/a"), 10);
        let _ = traced.read(Path::new("/missing"), 10);
        let trace = traced.trace();
        assert!(trace.holds(&files("1", "2")));
        assert!(!trace.holds(&files("2", "1")));
        let mut more = files("1", "1");
        more.insert("missing", "");
        assert!(!trace.holds(&more));
    }

    #[test]
    fn names_of_a_directory_count_and_not_what_is_in_its_files() {
        let before = files("1", "1");
        let traced = Traced::new(&before);
        let _ = traced.list(Path::new("/sub"));
        let trace = traced.trace();
        assert!(trace.holds(&files("2", "2")));
        let mut more = files("1", "1");
        more.insert("sub/c", "");
        assert!(!trace.holds(&more));
    }
}
