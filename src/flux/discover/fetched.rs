//! Sources that are declared but not at hand, fetched where that is asked for.

use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError};

use super::releases::Fetch;
use super::{Charts, Search};
use crate::error::Result;
use crate::flux::api::{self, Reading, SourceRef};
use crate::flux::sources::Source;
use crate::flux::substitute::{Found, Kind, Lookup, Objects};
use crate::flux::veil::is_encrypted;
use crate::yaml::Step;

/// What may be had from other places than the repository.
#[derive(Clone, Copy, Default)]
pub struct Beyond<'a> {
    /// How the sources of Kustomizations are fetched, where they are.
    pub sources: Option<Fetching<'a>>,
    /// How HelmReleases are rendered, where they are.
    pub charts: Option<&'a Charts<'a>>,
}

/// How sources are fetched.
#[derive(Clone, Copy)]
pub struct Fetching<'a> {
    /// Fetches one.
    pub fetch: &'a Fetch<'a>,
    /// Finds Secrets to sign in with that stand in no file.
    pub credentials: &'a Lookup<'a>,
}

/// What was fetched, once for all who need it; nothing where it is of a kind that nobody fetches.
pub(super) type Once = Arc<OnceLock<Result<Option<Source>>>>;

impl Search<'_> {
    /// The files of a source that is declared, for what stands in `file`; `above` include it.
    pub(super) fn fetched(
        &self,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Option<Source>> {
        let Some(fetching) = self.request.beyond.sources else { return Ok(None) };
        let Some(index) = self.nearest(wanted, file, |_| true) else { return Ok(None) };
        let key = (index, wanted.namespace.to_string());
        let once = {
            let mut all = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
            Once::clone(all.entry(key).or_default())
        };
        let source = once.get_or_init(|| self.fetch(fetching, index, wanted, file)).clone()?;
        source.map(|source| self.artifact_of(index, &source, wanted, file, above)).transpose()
    }

    fn fetch(
        &self,
        fetching: Fetching<'_>,
        index: usize,
        wanted: &SourceRef,
        file: Option<&Path>,
    ) -> Result<Option<Source>> {
        let declared = &self.sources[index];
        let at = |path: &[Step<'_>]| self.place(declared, path);
        let Some(object) = api::read(&declared.value, Reading::Strict, &at).output? else {
            return Ok(None);
        };
        let secrets = |kind: Kind, namespace: &str, name: &str| {
            let namespace = if namespace.is_empty() { &*wanted.namespace } else { namespace };
            match self.written(kind, namespace, name, file)? {
                None => (fetching.credentials)(kind, namespace, name),
                found => Ok(found),
            }
        };
        (fetching.fetch)(&object, &secrets).map_err(|error| error.within(self.place(declared, &[])))
    }

    /// What stands in a file, unless it is encrypted there.
    fn written(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        file: Option<&Path>,
    ) -> Result<Option<Found>> {
        let Some(known) = self.known.written(self.request, file, kind, namespace, name) else {
            return Ok(None);
        };
        let mut objects = Objects::default();
        objects.add(&known.value, &known.file);
        let found = objects.find(kind, namespace, name)?;
        let is_plain = |found: &Found| {
            found.values().all(|value| !std::str::from_utf8(value).is_ok_and(is_encrypted))
        };
        Ok(found.filter(is_plain))
    }
}
