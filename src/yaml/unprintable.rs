//! Why a value cannot be printed, and where in it.

use crate::error::{Error, ErrorKind, Place};

/// A value that neither YAML nor JSON can be made of, as kustomize has it.
#[derive(Debug)]
pub(crate) struct Unprintable {
    message: String,
    hint: Option<String>,
    /// The way to the value, innermost first: `.name` and `[0]`.
    path: Vec<String>,
}

/// How much of a key a message shows.
const KEY_CHARACTERS: usize = 80;

/// An outcome of printing a part.
pub(crate) type Printed<T> = std::result::Result<T, Box<Unprintable>>;

impl Unprintable {
    pub(crate) fn new(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { message: message.into(), hint: None, path: Vec::new() })
    }

    pub(crate) fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the key of the mapping that the value stands in.
    pub(crate) fn under(mut self: Box<Self>, key: &str) -> Box<Self> {
        let end = key.char_indices().nth(KEY_CHARACTERS).map_or(key.len(), |(at, _)| at);
        let key = &key[..end];
        let plain = !key.is_empty() && !key.contains(['.', '[', '"', ' ']);
        self.path.push(if plain { format!(".{key}") } else { format!("[{key:?}]") });
        self
    }

    /// Adds the position in the list that the value stands in.
    pub(crate) fn element(mut self: Box<Self>, index: usize) -> Box<Self> {
        self.path.push(format!("[{index}]"));
        self
    }
}

impl From<Box<Unprintable>> for Error {
    fn from(unprintable: Box<Unprintable>) -> Self {
        let Unprintable { message, hint, path } = *unprintable;
        let path: String = path.into_iter().rev().collect();
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
