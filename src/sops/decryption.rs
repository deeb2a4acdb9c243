//! How a render of Flux meets encrypted values: it decrypts them, or it masks them and says whether decrypting
//! would have worked.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{FILE_BYTES, Keys, Recipient, mask, objects, recipients, sources};
use crate::error::{Error, Result};
use crate::files::Files;
use crate::flux::Decrypt;
use crate::limits::Limits;
use crate::resource::Resource;

/// Decrypts what a Kustomization's `spec.decryption` lets Flux decrypt.
#[derive(Clone, Copy, Debug)]
pub struct Revealing<'a> {
    /// What opens files; of an object without `spec.decryption` nothing is opened.
    pub keys: Option<&'a Keys>,
}

/// Masks encrypted values, and tries the keys on them for [`Masking::findings`].
#[derive(Debug)]
pub struct Masking<'a> {
    keys: Option<&'a Keys>,
    findings: Mutex<Vec<Finding>>,
}

/// Something encrypted that a render came across.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The file, or kind, namespace and name of the object.
    pub what: Arc<str>,
    /// Who can decrypt it, as far as it says.
    pub recipients: Vec<Recipient>,
    /// Whether it decrypts.
    pub outcome: Outcome,
}

/// Whether something decrypts.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// With the keys at hand.
    Decrypts,
    /// It does not: no key is for it, it was changed, or no decryption is configured.
    Fails(Error),
    /// There are no keys to try.
    NoKeys,
}

impl Decrypt for Revealing<'_> {
    fn sources<'a>(
        &self,
        files: &'a dyn Files,
        limits: &Limits,
        directory: &Path,
    ) -> Result<Option<Box<dyn Files + 'a>>> {
        let Some(keys) = self.keys else { return Ok(None) };
        if !sources::has_kustomization(files, directory) {
            return Ok(None);
        }
        let decrypted = sources::decrypt(files, limits, directory, keys)?;
        let any = decrypted.paths().next().is_some();
        Ok(any.then(|| Box::new(decrypted) as Box<dyn Files + 'a>))
    }

    fn built(&self, resource: &mut Resource) -> Result<()> {
        let Some(keys) = self.keys else { return Ok(()) };
        let file = resource.origin.file.clone();
        objects::decrypt(&mut resource.value, keys, &file).map(|_| ())
    }

    fn rendered(&self, resource: &mut Resource) -> Result<()> {
        objects::check(&resource.value, &resource.origin.file)
    }
}

impl<'a> Masking<'a> {
    /// Tries `keys`, where decryption is configured.
    #[must_use]
    pub fn new(keys: Option<&'a Keys>) -> Self {
        Self { keys, findings: Mutex::default() }
    }

    /// What was encrypted, in the order in which it came up.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(
        &self,
        what: Arc<str>,
        recipients: Vec<Recipient>,
        tried: impl FnOnce(&Keys) -> Result<()>,
    ) {
        let outcome = match self.keys {
            Some(keys) if !keys.is_empty() => match tried(keys) {
                Ok(()) => Outcome::Decrypts,
                Err(error) => Outcome::Fails(error),
            },
            _ => Outcome::NoKeys,
        };
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.push(Finding { what, recipients, outcome });
    }
}

impl Decrypt for Masking<'_> {
    fn sources<'a>(
        &self,
        files: &'a dyn Files,
        limits: &Limits,
        directory: &Path,
    ) -> Result<Option<Box<dyn Files + 'a>>> {
        if !sources::has_kustomization(files, directory) {
            return Ok(None);
        }
        for sources::Encrypted { path, format } in sources::find(files, limits, directory)? {
            let file = files.shown(&path);
            let content = files.read(&path, FILE_BYTES)?;
            let recipients = recipients(&content, format, &file).unwrap_or_default();
            self.note(file.clone(), recipients, |keys| super::probe(&content, format, keys, &file));
        }
        Ok(None)
    }

    fn built(&self, resource: &mut Resource) -> Result<()> {
        let (object, file) = (&resource.value, &resource.origin.file);
        if !objects::opts_out(object) && objects::is_encrypted(object) {
            let recipients = objects::recipients(object, file);
            self.note(objects::subject(object).into(), recipients, |keys| {
                objects::probe(object, keys, file).unwrap_or(Ok(()))
            });
        }
        Ok(())
    }

    fn rendered(&self, resource: &mut Resource) -> Result<()> {
        mask::mask(&mut resource.value);
        Ok(())
    }
}
