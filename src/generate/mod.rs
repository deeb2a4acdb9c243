//! Objects that a kustomization makes instead of reading them.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::yaml::Step;

mod absorb;
mod config_map;
pub mod hash;
pub mod helm;
mod iam_policy;
mod pairs;
mod secret;

pub use absorb::absorb;
pub use config_map::config_map;
pub use iam_policy::iam_policy;
pub use secret::secret;

/// What a generator sees besides its own entry.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The kustomization file.
    pub file: &'a Arc<str>,
    /// Reads a file by its path as it is written in the entry.
    pub read: &'a dyn Fn(&str) -> Result<Bytes>,
    /// Where something of the entry stands in the kustomization file.
    pub place: &'a dyn Fn(&[Step<'_>]) -> Place,
}

impl Inputs<'_> {
    fn invalid(&self, path: &[Step<'_>], message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, (self.place)(path), message)
    }
}
