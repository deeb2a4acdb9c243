//! Charts of a HelmRepository: its index says which versions there are and where; a registry is asked for its tags.
//!
//! Source: source-controller 1.9 `internal/helm/repository`, `internal/helm/helm.go`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::api::{HelmRepository, OciReference, OciRepository};
use super::digest::Digest;
use super::oci::{Credentials, oci};
use super::version::{Range, Version};
use super::{Source, unpacked};
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::remote::http;
use crate::value::Value;
use crate::yaml;

/// Most bytes of an index. Source: source-controller `internal/helm/helm.go`, `MaxIndexSize`.
const INDEX_BYTES: usize = 50 << 20;

/// Most bytes of an archive. Source: the same, `MaxChartSize`.
const CHART_BYTES: usize = 10 << 20;

/// Which layer of an artifact is a chart.
const MEDIA_TYPE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// Repositories of charts, each of which is asked for the same thing once.
#[derive(Debug, Default)]
pub struct Charts {
    /// By address and user.
    indexes: Mutex<HashMap<(String, String), Arc<Value>>>,
    /// By address, user, name and version.
    pulled: Mutex<HashMap<[String; 4], Source>>,
}

/// One entry of an index.
struct Entry<'a> {
    version: Version,
    text: &'a str,
    created: &'a str,
    value: &'a Value,
}

impl Charts {
    /// A chart of a version, or the newest one of a range; the newest of all where nothing is said.
    ///
    /// # Errors
    /// Where the repository cannot be reached or refuses, has no such chart, or what comes is not what the index says.
    pub fn pull(
        &self,
        repository: &HelmRepository,
        (name, version): (&str, &str),
        credentials: Option<&Credentials>,
        limits: &archive::Limits,
    ) -> Result<Source> {
        let url = repository.url.trim_end_matches('/');
        let user = credentials.map(|credentials| credentials.user.clone()).unwrap_or_default();
        let key = [url.to_owned(), user, name.to_owned(), version.to_owned()];
        if let Some(source) = lock(&self.pulled).get(&key) {
            return Ok(source.clone());
        }
        let source = match url.starts_with("oci://") {
            true => artifact(repository, url, (name, version), credentials, limits)?,
            false => self.download(repository, url, (name, version), credentials, limits)?,
        };
        lock(&self.pulled).insert(key, source.clone());
        Ok(source)
    }

    fn download(
        &self,
        repository: &HelmRepository,
        url: &str,
        (name, version): (&str, &str),
        credentials: Option<&Credentials>,
        limits: &archive::Limits,
    ) -> Result<Source> {
        let index = self.index(url, credentials)?;
        let entry = choose(&index, name, version)
            .map_err(|(kind, message)| Error::new(kind, Place::file(url), message))?;
        let address =
            entry.value.get("urls").and_then(Value::as_list).and_then(|urls| urls.first());
        let Some(address) = address.and_then(Value::as_text) else {
            let message = format!("says of no place where {name} {} is", entry.text);
            return Err(Error::new(ErrorKind::Missing, Place::file(url), message));
        };
        let address = resolved(url, address);
        let is_trusted = repository.pass_credentials || origin(&address) == origin(url);
        let credentials = credentials.filter(|_| is_trusted);
        let content = http::fetch(&address, credentials.map(Credentials::basic), CHART_BYTES)?;
        let source = match entry.value.text_at(&["digest"]).filter(|digest| !digest.is_empty()) {
            Some(digest) => {
                unpacked(&content, &Digest::parse(digest, &address)?, &address, limits)?
            }
            None => {
                let files = archive::unpack(&content, limits)
                    .map_err(|error| error.within(Place::file(address.as_str())))?;
                Source::new(Arc::new(files), "/".into(), String::new())
            }
        };
        Ok(Source { revision: entry.text.to_owned(), ..source })
    }

    fn index(&self, url: &str, credentials: Option<&Credentials>) -> Result<Arc<Value>> {
        let user = credentials.map(|credentials| credentials.user.clone()).unwrap_or_default();
        let key = (url.to_owned(), user);
        // Held while it is fetched: whoever wants the same waits for it.
        let mut indexes = lock(&self.indexes);
        if let Some(index) = indexes.get(&key) {
            return Ok(index.clone());
        }
        let address = format!("{url}/index.yaml");
        let content = http::fetch(&address, credentials.map(Credentials::basic), INDEX_BYTES)?;
        let limits = Limits { depth: 100, alias_nodes: 1_000, ..Limits::PERSON };
        let index = Arc::new(yaml::read_first(&content, &address.as_str().into(), &limits)?);
        indexes.insert(key, index.clone());
        Ok(index)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held left at worst an entry out: the map is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A chart of a registry.
fn artifact(
    repository: &HelmRepository,
    url: &str,
    (name, version): (&str, &str),
    credentials: Option<&Credentials>,
    limits: &archive::Limits,
) -> Result<Source> {
    let reference = match Version::parse(version) {
        // A tag has no `+`. Source: helm `pkg/registry`.
        Some(_) => OciReference { tag: version.replace('+', "_").into(), ..Default::default() },
        None => OciReference { semver: range(version).into(), ..Default::default() },
    };
    let object = OciRepository {
        url: format!("{url}/{name}").into(),
        reference,
        layer_media_type: MEDIA_TYPE.into(),
        insecure: repository.insecure,
        ..OciRepository::default()
    };
    oci(&object, credentials, limits)
}

fn range(version: &str) -> &str {
    if version.is_empty() { "*" } else { version }
}

/// The entry of an index that has the version, else the newest of the range.
fn choose<'a>(
    index: &'a Value,
    name: &str,
    version: &str,
) -> std::result::Result<Entry<'a>, (ErrorKind, String)> {
    let entries = index.at(&["entries", name]).and_then(Value::as_list);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else {
        let message = format!("has no chart \"{}\"", name.escape_debug());
        return Err((ErrorKind::Missing, message));
    };
    let entries: Vec<Entry<'_>> = entries.iter().filter_map(Entry::read).collect();
    if let Some(exact) = entries.iter().position(|entry| entry.text == version) {
        return Ok(entries.into_iter().nth(exact).expect("a position within"));
    }
    let Some(range) = Range::parse(range(version)) else {
        let message = format!("\"{}\" is no range of versions", version.escape_debug());
        return Err((ErrorKind::Invalid, message));
    };
    let fitting = entries.into_iter().filter(|entry| range.contains(&entry.version));
    // What differs in nothing but its build is newer where it was made later.
    let order = |one: &Entry<'_>, other: &Entry<'_>| {
        one.version.cmp(&other.version).then_with(|| one.created.cmp(other.created))
    };
    fitting.max_by(order).ok_or_else(|| {
        let message = format!("has no version of {name} in the range \"{version}\"");
        (ErrorKind::Missing, message)
    })
}

impl<'a> Entry<'a> {
    fn read(value: &'a Value) -> Option<Self> {
        let text = value.text_at(&["version"])?;
        let created = value.text_at(&["created"]).unwrap_or_default();
        Some(Self { version: Version::parse(text)?, text, created, value })
    }
}

/// An address that an index has, as seen from the index.
fn resolved(url: &str, address: &str) -> String {
    match address.contains("://") {
        true => address.to_owned(),
        false if address.starts_with('/') => format!("{}{address}", origin(url)),
        false => format!("{url}/{address}"),
    }
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |end| host + end);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(version: &str) -> std::result::Result<String, String> {
        let text = "entries:\n  app:\n  - {version: 1.0.0}\n  - {version: 1.2.0+a, created: 2020-01-01}\n  \
                    - {version: 1.2.0+b, created: 2021-01-01}\n  - {version: 2.0.0-rc.1}\n  - {version: odd}\n";
        let index = yaml::read_first(text.as_bytes(), &"index.yaml".into(), &Limits::PERSON);
        let chosen =
            choose(&index.expect("YAML"), "app", version).map(|entry| entry.text.to_owned());
        chosen.map_err(|(_, message)| message)
    }

    #[test]
    fn an_index_is_asked_for_versions_and_ranges() {
        assert_eq!(chosen("").as_deref(), Ok("1.2.0+b"));
        assert_eq!(chosen("1.2.0+a").as_deref(), Ok("1.2.0+a"));
        assert_eq!(chosen("2.0.0-rc.1").as_deref(), Ok("2.0.0-rc.1"));
        assert_eq!(chosen("~1.0").as_deref(), Ok("1.0.0"));
        assert!(chosen("3.x").is_err_and(|message| message.contains("no version of app")));
        assert!(chosen("x y").is_err_and(|message| message.contains("is no range")));
    }

    #[test]
    fn addresses_of_an_index_may_be_relative() {
        for (address, wanted) in [
            ("app-1.tgz", "https://host:8443/charts/app-1.tgz"),
            ("/app-1.tgz", "https://host:8443/app-1.tgz"),
            ("https://other/app-1.tgz", "https://other/app-1.tgz"),
        ] {
            assert_eq!(resolved("https://host:8443/charts", address), wanted);
        }
        assert_eq!(origin("https://host"), "https://host");
    }
}
