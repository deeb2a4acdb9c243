//! Sources that are not at hand, fetched with the credentials that their Secrets hold.
//!
//! Source: source-controller 1.9 `internal/controller`, the `getSecret` of each kind.

use super::charts::Charts;
use super::oci::{Credentials, oci};
use super::{Source, git};
use crate::archive;
use crate::error::Result;
use crate::flux::api::{HelmRepository, Meta, Object};
use crate::flux::substitute::{Found, Kind, Lookup};
use crate::remote::Remote;

/// Where to fetch from.
#[derive(Clone, Copy)]
pub struct Elsewhere<'a> {
    /// Git repositories, where there is a place to keep them.
    pub remote: Option<&'a Remote>,
    /// Repositories of charts.
    pub charts: &'a Charts,
    /// How much an archive may hold.
    pub limits: archive::Limits,
}

impl Elsewhere<'_> {
    /// The files of a source, or nothing where it is of a kind that is not fetched. A Secret that is not known is
    /// none: then nobody signs in.
    ///
    /// # Errors
    /// Where it cannot be fetched.
    pub fn fetch(&self, object: &Object, secrets: &Lookup<'_>) -> Result<Option<Source>> {
        match object {
            Object::GitRepository(repository) => {
                self.remote.map(|remote| git(remote, repository)).transpose()
            }
            Object::OciRepository(repository) => {
                let secret = secret(&repository.meta, repository.secret_ref.as_deref(), secrets)?;
                let credentials = secret.and_then(|secret| credentials(&secret, &repository.url));
                oci(repository, credentials.as_ref(), &self.limits).map(Some)
            }
            #[cfg(feature = "sops-cloud")]
            Object::Bucket(bucket) => {
                let secret = secret(&bucket.meta, bucket.secret_ref.as_deref(), secrets)?;
                let key = secret.and_then(|secret| {
                    Some(super::bucket::Key::new(
                        text(&secret, "accesskey")?,
                        text(&secret, "secretkey")?,
                    ))
                });
                super::bucket::bucket(bucket, key.as_ref(), &self.limits).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// A chart of a repository.
    ///
    /// # Errors
    /// Where it cannot be pulled.
    pub fn pull(
        &self,
        repository: &HelmRepository,
        name: &str,
        version: &str,
        secrets: &Lookup<'_>,
    ) -> Result<Source> {
        let secret = secret(&repository.meta, repository.secret_ref.as_deref(), secrets)?;
        let credentials = secret.and_then(|secret| credentials(&secret, &repository.url));
        self.charts.pull(repository, (name, version), credentials.as_ref(), &self.limits)
    }
}

fn secret(meta: &Meta, name: Option<&str>, secrets: &Lookup<'_>) -> Result<Option<Found>> {
    match name {
        Some(name) => secrets(Kind::Secret, &meta.namespace, name),
        None => Ok(None),
    }
}

fn text(secret: &Found, key: &str) -> Option<String> {
    String::from_utf8(secret.get(key)?.clone()).ok()
}

/// Name and password, or what a configuration of Docker has for the host.
fn credentials(secret: &Found, url: &str) -> Option<Credentials> {
    if let (Some(user), Some(password)) = (text(secret, "username"), text(secret, "password")) {
        return Some(Credentials { user, password });
    }
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next()?;
    Credentials::of_docker(secret.get(".dockerconfigjson")?, host)
}
