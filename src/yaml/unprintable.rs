//! Why a value cannot be printed, and where in it.

use super::Step;
use crate::error::{Error, ErrorKind, Place};

/// A value that neither YAML nor JSON can be made of, as kustomize has it.
#[derive(Debug)]
pub(crate) struct Unprintable {
    message: String,
    hint: Option<String>,
    /// The way to the value, innermost first.
    path: Vec<Segment>,
    /// The key of the value that is meant, where it is a mapping.
    key: Option<String>,
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

/// How much of a key a message shows.
const KEY_CHARACTERS: usize = 80;

/// An outcome of printing a part.
pub(crate) type Printed<T> = std::result::Result<T, Box<Unprintable>>;

impl Unprintable {
    pub(crate) fn new(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { message: message.into(), hint: None, path: Vec::new(), key: None })
    }

    pub(crate) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// Points to a key of the value, a mapping.
    pub(crate) fn at_key(mut self: Box<Self>, key: &str) -> Box<Self> {
        self.key = Some(key.to_owned());
        self
    }

    /// Adds the key of the mapping that the value stands in.
    pub(crate) fn under(mut self: Box<Self>, key: &str) -> Box<Self> {
        self.path.push(Segment::Key(key.to_owned()));
        self
    }

    /// Adds the position in the list that the value stands in.
    pub(crate) fn element(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.path.push(Segment::Index(index));
        self
    }

    /// The error, at the place that `locate` gives for the way to the value.
    pub(crate) fn located(self, locate: impl FnOnce(&[Step<'_>]) -> Place) -> Error {
        let key = self.key.as_deref().map(Step::Key);
        let path: Vec<Step<'_>> = self.path.iter().rev().map(Segment::step).chain(key).collect();
        let place = locate(&path);
        Error::from(Box::new(self)).at(place)
    }
}

impl Segment {
    fn step(&self) -> Step<'_> {
        match self {
            Self::Key(key) => Step::Key(key),
            Self::Index(index) => Step::Index(*index),
        }
    }

    /// As in a path: `.name`, `["a.b"]` or `[0]`.
    fn shown(&self) -> String {
        let key = match self {
            Self::Index(index) => return format!("[{index}]"),
            Self::Key(key) => key.as_str(),
        };
        let end = key.char_indices().nth(KEY_CHARACTERS).map_or(key.len(), |(at, _)| at);
        let key = &key[..end];
        let plain = !key.is_empty() && !key.contains(['.', '[', '"', ' ']);
        if plain { format!(".{key}") } else { format!("[{key:?}]") }
    }
}

impl From<Box<Unprintable>> for Error {
    fn from(unprintable: Box<Unprintable>) -> Self {
        let Unprintable { message, hint, path, key: _ } = *unprintable;
        let path: String = path.iter().rev().map(Segment::shown).collect();
        let message = match path.strip_prefix('.').unwrap_or(&path) {
            "" => message,
            path => format!("{path}: {message}"),
        };
        let error = Self::new(ErrorKind::Invalid, Place::file("output"), message);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
