//! The keys that one has, and how they open a file.
//!
//! They come from a file that `age-keygen` or `gpg --export-secret-keys` wrote, or from the entries of the Secret that
//! a Kustomization's `spec.decryption` names.
//!
//! Source: kustomize-controller `internal/decryptor`, `ImportKeys`; SOPS `sops.go`, `GetDataKeyWithKeyServices`.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

#[cfg(feature = "sops-cloud")]
use super::cloud::Accounts;
use super::metadata::{Metadata, Recipient, SealedKey};
use super::{Fault, Step, age, pgp, shamir};
use crate::error::Result;

/// Most recipients that a message names.
const NAMED: usize = 8;

/// What opens files. Its `Debug` counts keys and shows none.
#[derive(Default)]
pub struct Keys {
    age: Vec<age::Identity>,
    pgp: Vec<pgp::Identity>,
    /// Who one is to the services that keep keys.
    #[cfg(feature = "sops-cloud")]
    pub accounts: Accounts,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("age", &self.age.len())
            .field("pgp", &self.pgp.len())
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Whether there is nothing to open a file with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "sops-cloud")]
        if !self.accounts.is_empty() {
            return false;
        }
        self.age.is_empty() && self.pgp.is_empty()
    }

    /// Adds the secret keys of age that stand in `text`, one a line.
    ///
    /// # Errors
    /// Where a line is neither a key nor a comment; `from` says where the text comes from, and the text stays secret.
    pub fn add_age(&mut self, text: &str, from: &Arc<str>) -> Result<()> {
        self.age.extend(age::identities(text).map_err(|fault| fault.at(from))?);
        Ok(())
    }

    /// Adds the secret keys of an OpenPGP export, armoured or not.
    ///
    /// # Errors
    /// Where it is none, or its keys are protected by a passphrase.
    pub fn add_pgp(&mut self, export: &[u8], from: &Arc<str>) -> Result<()> {
        self.pgp.extend(pgp::identities(export).map_err(|fault| fault.at(from))?);
        Ok(())
    }

    /// Adds the keys of a file, whichever kind it is of.
    ///
    /// # Errors
    /// As [`Self::add_age`] and [`Self::add_pgp`].
    pub fn add_file(&mut self, content: &[u8], from: &Arc<str>) -> Result<()> {
        match std::str::from_utf8(content) {
            Ok(text) if !text.contains("-----BEGIN PGP") => self.add_age(text, from),
            _ => self.add_pgp(content, from),
        }
    }

    /// Adds one entry of the Secret that `spec.decryption.secretRef` names. What Flux takes for no key is left out.
    ///
    /// # Errors
    /// Where the entry's name promises a key that it does not hold.
    pub fn add_secret_entry(&mut self, name: &str, content: &[u8], secret: &str) -> Result<()> {
        let from: Arc<str> = format!("{secret}, entry \"{name}\"").into();
        if name.ends_with(".asc") {
            return self.add_pgp(content, &from);
        }
        if name.ends_with(".agekey") {
            let Ok(text) = std::str::from_utf8(content) else {
                return Err(Fault::invalid("not UTF-8").at(&from));
            };
            return self.add_age(text, &from);
        }
        #[cfg(feature = "sops-cloud")]
        self.accounts.add_secret_entry(name, content, &from)?;
        Ok(())
    }

    /// The key that a file's values are encrypted with.
    pub(super) fn data_key(&self, metadata: &Metadata) -> Step<Zeroizing<Vec<u8>>> {
        let mut problems = Vec::new();
        let mut parts = Vec::new();
        for group in &metadata.groups {
            parts.extend(self.part(group, &mut problems));
        }
        match &metadata.groups[..] {
            [_] => parts.pop().ok_or_else(|| refused(metadata, problems, None)),
            groups => {
                let needed =
                    if metadata.threshold == 0 { groups.len() } else { metadata.threshold };
                if parts.len() < needed {
                    return Err(refused(metadata, problems, Some((parts.len(), needed))));
                }
                shamir::combine(&parts)
            }
        }
    }

    /// What any one of a group opens.
    fn part(&self, group: &[SealedKey], problems: &mut Vec<String>) -> Option<Zeroizing<Vec<u8>>> {
        for SealedKey { recipient, sealed } in group {
            match self.open(recipient, sealed) {
                Ok(Some(part)) => return Some(part),
                Ok(None) => {}
                Err(problem) => problems.push(format!("{recipient}: {problem}")),
            }
        }
        None
    }

    /// What a recipient's message holds; `None` where none of the keys is for it.
    fn open(
        &self,
        recipient: &Recipient,
        sealed: &str,
    ) -> std::result::Result<Option<Zeroizing<Vec<u8>>>, String> {
        match recipient {
            Recipient::Age(_) => match age::open(sealed, &self.age) {
                age::Opened::Plain(key) => Ok(Some(key)),
                age::Opened::NotForUs => Ok(None),
                age::Opened::Broken(problem) => Err(problem.to_owned()),
            },
            Recipient::Pgp(_) => Ok(pgp::open(sealed, &self.pgp)),
            #[cfg(feature = "sops-cloud")]
            other => self.accounts.open(other, sealed),
            #[cfg(not(feature = "sops-cloud"))]
            _ => Err("this build talks to no key service".to_owned()),
        }
    }
}

/// Names who could have opened the file.
fn refused(metadata: &Metadata, problems: Vec<String>, parts: Option<(usize, usize)>) -> Fault {
    let mut message = match parts {
        Some((have, need)) => {
            format!(
                "cannot get sops data key: the keys at hand open {have} of the {need} groups it takes"
            )
        }
        None => "cannot get sops data key: none of the keys at hand opens it".to_owned(),
    };
    for problem in problems.iter().take(NAMED) {
        message.push_str("\n  ");
        message.push_str(problem);
    }
    let all: Vec<_> = metadata.groups.iter().flatten().collect();
    let mut names: Vec<_> = all.iter().take(NAMED).map(|key| key.recipient.to_string()).collect();
    if all.len() > NAMED {
        names.push(format!("{} more", all.len() - NAMED));
    }
    Fault::invalid(message).hint(format!("it is encrypted for {}", names.join(", ")))
}
