//! What failed, where, and how to mend it.
//!
//! The engine has one error type, so `?` never converts and a caller has one
//! thing to print. Programs branch on [`Error::kind`]; people read the rest.

use std::fmt;
use std::sync::Arc;

/// Something that a build does as the reference does, although its author hardly meant it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Warning {
    /// The file, and the line where it is known.
    pub place: Place,
    /// One line, lower case.
    pub message: String,
}

/// An output with the warnings that came up on the way to it.
#[derive(Clone, Debug)]
pub struct Warned<T> {
    /// The output.
    pub output: T,
    /// In the order in which they came up.
    pub warnings: Vec<Warning>,
}

/// The outcome of a step that may fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Shortest text that is hidden, in bytes: shorter ones are part of every message.
const SECRET_LENGTH: usize = 4;

/// A failed step, with the chain of files that led to it.
#[derive(Clone, Debug)]
pub struct Error {
    // Boxed, so that a `Result` stays as small as its success.
    inner: Box<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    /// Innermost first: the place of the failure, then who referred to it.
    places: Vec<Place>,
    hint: Option<String>,
    /// What else is wrong, each with the places that led to it.
    others: Vec<Error>,
}

/// How many failures are told at once.
pub(crate) const MOST_AT_ONCE: usize = 20;

/// The failures that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or directory does not exist.
    Missing,
    /// The input breaks a rule of its format.
    Invalid,
    /// A path leaves the directory that a build is confined to, or a feature is switched off.
    Forbidden,
    /// The input is larger, deeper or longer than its limit.
    Limit,
    /// The operating system refused to read or write.
    Io,
    /// Something outside (a Git server, `helm`, a function) failed.
    External,
    /// The API server cannot be reached, or went away.
    Unreachable,
    /// The API server does not know who asks.
    Unknown,
    /// The user may not do it.
    Denied,
    /// Somebody else owns a field, or wrote at the same time.
    Conflict,
    /// It could be done, but must not: it would take something that is not ours.
    Refused,
    /// Everything is written, but not everything became healthy in time.
    Unhealthy,
    /// The user said no, or interrupted.
    Cancelled,
}

/// A position in a source file; lines and columns count from 1.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// The path as the user would type it, from the root of the build.
    pub file: Arc<str>,
    /// The line and column, where the failure has them.
    pub at: Option<(u32, u32)>,
}

impl Error {
    /// Reports that `message` went wrong at `place`.
    pub fn new(kind: ErrorKind, place: Place, message: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            message: message.into(),
            places: vec![place],
            hint: None,
            others: Vec::new(),
        };
        Self { inner: Box::new(inner) }
    }

    /// Adds the place that referred to the failed one.
    #[must_use]
    pub fn within(mut self, place: Place) -> Self {
        for other in std::mem::take(&mut self.inner.others) {
            self.inner.others.push(other.within(place.clone()));
        }
        self.inner.places.push(place);
        self
    }

    /// Tells another failure along with this one; kind, message and hint stay those of this one.
    #[must_use]
    pub fn and(mut self, mut other: Self) -> Self {
        let further = std::mem::take(&mut other.inner.others);
        self.inner.others.push(other);
        self.inner.others.extend(further);
        self.inner.others.truncate(MOST_AT_ONCE - 1);
        self
    }

    /// Whether this one tells what the other one does: the same message, at the same place.
    #[must_use]
    pub fn tells(&self, other: &Self) -> bool {
        let is_same =
            |one: &Self| one.message() == other.message() && one.places() == other.places();
        is_same(self) || self.others().iter().any(is_same)
    }

    /// The failures that are told along with this one.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.inner.others
    }

    /// Says how to mend it: an imperative, where one is certain.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Replaces the innermost place, where a caller knows it better: a reader that has only text
    /// reports lines, and its caller knows the file.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.inner.places[0] = place;
        self
    }

    /// The same error with `**` in place of texts that are secret; the longest have to come first.
    #[must_use]
    pub fn hiding(self, secrets: &[String]) -> Self {
        self.reworded(&|text| hidden(text, secrets))
    }

    /// The same error, and all that is told with it, with what `reword` makes of messages and hints.
    #[must_use]
    pub fn reworded(mut self, reword: &dyn Fn(&str) -> String) -> Self {
        self.inner.message = reword(&self.inner.message);
        self.inner.hint = self.inner.hint.map(|hint| reword(&hint));
        let others = std::mem::take(&mut self.inner.others).into_iter();
        self.inner.others = others.map(|other| other.reworded(reword)).collect();
        self
    }

    /// The same error, told in other words.
    #[must_use]
    pub fn retold(mut self, message: impl Into<String>) -> Self {
        self.inner.message = message.into();
        self
    }

    /// The innermost place first, then who referred to it.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.inner.places
    }

    /// What went wrong, without places and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What mends it, where that is certain.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// What a program may branch on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }
}

fn hidden(text: &str, secrets: &[String]) -> String {
    let secrets = secrets.iter().filter(|secret| secret.len() >= SECRET_LENGTH);
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "**"))
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), at: None }
    }

    /// A line and column of a file, both from 1.
    pub fn new(file: impl Into<Arc<str>>, line: u32, column: u32) -> Self {
        Self { file: file.into(), at: Some((line, column)) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind: _, message, places, hint, others } = &*self.inner;
        write!(f, "{}: {message}", places[0])?;
        for place in &places[1..] {
            write!(f, "\n  from {place}")?;
        }
        if let Some(hint) = hint {
            write!(f, "\nhint: {hint}")?;
        }
        others.iter().try_for_each(|other| write!(f, "\nerror: {other}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "{}:{line}:{column}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, at: Option<(u32, u32)>) -> Place {
        Place { file: file.into(), at }
    }

    #[test]
    fn secrets_are_hidden_in_message_and_hint() {
        let error =
            Error::new(ErrorKind::External, place("a", None), "no hunter2: abc is no hunter");
        let secrets = ["hunter2", "hunter", "abc"].map(str::to_owned);
        let other = Error::new(ErrorKind::Invalid, place("c", None), "hunter2 too");
        let error = error.within(place("b", None)).hint("not hunter2").and(other);
        let shown = error.hiding(&secrets).to_string();
        assert_eq!(shown, "a: no **: abc is no **\n  from b\nhint: not **\nerror: c: ** too");
    }

    #[test]
    fn reads_from_the_failure_outwards() {
        let error = Error::new(
            ErrorKind::Invalid,
            place("base/kustomization.yaml", Some((7, 3))),
            "patch matches no resource: Deployment \"web\" in namespace \"shop\"",
        )
        .within(place("prod/kustomization.yaml", Some((4, 5))))
        .hint("base/deployment.yaml:4:9 names it \"webapp\"");
        assert_eq!(
            error.to_string(),
            "base/kustomization.yaml:7:3: patch matches no resource: \
             Deployment \"web\" in namespace \"shop\"\n  \
             from prod/kustomization.yaml:4:5\n\
             hint: base/deployment.yaml:4:9 names it \"webapp\""
        );
    }

    #[test]
    fn tells_what_else_is_wrong() {
        let missing = |file| Error::new(ErrorKind::Missing, place(file, None), "no such file");
        let error =
            missing("a.yaml").and(missing("b.yaml").hint("look")).within(place("k.yaml", None));
        assert_eq!(
            error.to_string(),
            "a.yaml: no such file\n  from k.yaml\nerror: b.yaml: no such file\n  from k.yaml\nhint: look"
        );
        let many = (0..99).fold(missing("0"), |error, _| error.and(missing("n")));
        assert_eq!(many.others().len(), 19);
    }
}
