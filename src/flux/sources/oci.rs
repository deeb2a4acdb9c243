//! OCI artifacts from a registry: the manifest, then one of its layers, which is an archive.
//!
//! Source: OCI distribution-spec 1.1; the token protocol of the Docker registry; source-controller
//! `internal/controller/ocirepository_controller.go`.

use std::fmt;
use std::io::Read as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::super::api::OciRepository;
use super::digest::Digest;
use super::version::{Range, Version};
use super::{ARCHIVE_BYTES, Content, Source, unpacked};
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::remote::escapes::escaped;
use crate::remote::http::agent;

/// Most bytes of a manifest. Source: OCI distribution-spec, "Pushing Manifests".
const MANIFEST_BYTES: usize = 4 << 20;

/// Most pages of tags.
const PAGES: usize = 100;

/// What a manifest may be.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// Who one is to a registry. Its `Debug` shows the name only.
#[derive(Clone)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password, or what serves as one.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Those for a host that the configuration of Docker has: a file, or a Secret's `.dockerconfigjson`.
    #[must_use]
    pub fn of_docker(configuration: &[u8], host: &str) -> Option<Self> {
        let json: serde_json::Value = serde_json::from_slice(configuration).ok()?;
        let auths = json.get("auths")?.as_object()?;
        let bare = |name: &str| {
            let name = name.split_once("://").map_or(name, |(_, name)| name);
            name.split('/').next().unwrap_or_default().to_owned()
        };
        let entry = auths.iter().find(|(name, _)| bare(name) == host)?.1;
        let text = |name: &str| Some(entry.get(name)?.as_str()?.to_owned());
        if let (Some(user), Some(password)) = (text("username"), text("password")) {
            return Some(Self { user, password });
        }
        let pair = String::from_utf8(STANDARD.decode(text("auth")?).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// As a header has it.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Manifest {
    layers: Vec<Described>,
    /// Of an index: manifests for platforms.
    manifests: Vec<Described>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Described {
    media_type: String,
    digest: String,
    platform: Platform,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: String,
    architecture: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Token {
    token: String,
    access_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// The files that an OCIRepository leads to.
///
/// # Errors
/// Where the registry cannot be reached or refuses, what comes has another digest, or no layer fits.
pub fn oci(
    object: &OciRepository,
    credentials: Option<&Credentials>,
    limits: &archive::Limits,
) -> Result<Source> {
    let mut registry = Registry::new(&object.url, object.insecure, credentials)?;
    let (reference, shown) = registry.reference(object)?;
    let (manifest, digest) = registry.manifest(&reference)?;
    let (manifest, digest) = match manifest.manifests.iter().find(|one| one.is_usual()) {
        Some(one) => registry.manifest(&one.digest)?,
        None => (manifest, digest),
    };
    let wanted = object.layer_media_type.as_str();
    let fits = |layer: &&Described| wanted.is_empty() || layer.media_type == wanted;
    let Some(layer) = manifest.layers.iter().find(fits) else {
        let message = match wanted {
            "" => "has no layer".to_owned(),
            wanted => format!("has no layer of the media type \"{wanted}\""),
        };
        return Err(registry.refused(ErrorKind::Missing, message));
    };
    let wanted = Digest::parse(&layer.digest, &registry.shown)?;
    let content = registry.get(&format!("blobs/{wanted}"), "*/*", ARCHIVE_BYTES)?;
    let source = unpacked(&content, &wanted, &registry.shown, limits)?;
    // A layer that is copied stays as it is.
    let source = match object.layer_operation.as_str() {
        "copy" => source,
        _ => source.into_artifact(&Content::ignoring(object.ignore.as_deref()))?,
    };
    Ok(Source { revision: format!("{shown}{digest}"), ..source })
}

impl Described {
    /// What Flux takes of an index.
    fn is_usual(&self) -> bool {
        self.platform.os == "linux" && self.platform.architecture == "amd64"
    }
}

/// A repository of a registry.
struct Registry<'a> {
    agent: Agent,
    /// `https://host/v2/name/`
    base: String,
    /// What messages call it.
    shown: String,
    secure: bool,
    credentials: Option<&'a Credentials>,
    authorization: Option<String>,
}

impl<'a> Registry<'a> {
    fn new(url: &str, insecure: bool, credentials: Option<&'a Credentials>) -> Result<Self> {
        let rest = url.strip_prefix("oci://").unwrap_or(url);
        let (host, name) = rest.split_once('/').unwrap_or((rest, ""));
        let odd = |c: char| c.is_whitespace() || matches!(c, '?' | '#' | '@' | '%' | '\\');
        if host.is_empty() || name.is_empty() || rest.contains(odd) || rest.contains("..") {
            let message = "is no address of a repository: oci://HOST/NAME";
            return Err(Error::new(ErrorKind::Invalid, Place::file(url), message));
        }
        let (host, name) = match (host, name.contains('/')) {
            ("docker.io" | "index.docker.io", true) => ("registry-1.docker.io", name.to_owned()),
            ("docker.io" | "index.docker.io", false) => {
                ("registry-1.docker.io", format!("library/{name}"))
            }
            (host, _) => (host, name.to_owned()),
        };
        let scheme = if insecure { "http" } else { "https" };
        Ok(Self {
            agent: agent(),
            base: format!("{scheme}://{host}/v2/{name}/"),
            shown: url.to_owned(),
            secure: !insecure,
            credentials,
            authorization: None,
        })
    }

    /// What of the repository, and how a revision begins.
    fn reference(&mut self, object: &OciRepository) -> Result<(String, String)> {
        let wanted = &object.reference;
        if !wanted.digest.is_empty() {
            return Ok((Digest::parse(&wanted.digest, &self.shown)?.to_string(), String::new()));
        }
        let tag = if wanted.semver.is_empty() {
            if wanted.tag.is_empty() { "latest".to_owned() } else { wanted.tag.to_string() }
        } else {
            self.newest(&wanted.semver, &wanted.semver_filter)?
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if tag.len() > 128 || !tag.bytes().all(fits) {
            return Err(
                self.refused(ErrorKind::Invalid, format!("\"{}\" is no tag", tag.escape_debug()))
            );
        }
        let shown = format!("{tag}@");
        Ok((tag, shown))
    }

    /// The tag with the highest version in a range.
    fn newest(&mut self, semver: &str, filter: &str) -> Result<String> {
        let range = Range::parse(semver).ok_or_else(|| {
            self.refused(
                ErrorKind::Invalid,
                format!("\"{}\" is no range of versions", semver.escape_debug()),
            )
        })?;
        let filter = regex::RegexBuilder::new(filter).size_limit(1 << 20).build();
        let filter: Regex = filter
            .map_err(|_| self.refused(ErrorKind::Invalid, "semverFilter is no expression"))?;
        let mut newest: Option<(Version, String)> = None;
        for tag in self.tags()? {
            if let Some(version) = Version::parse(&tag)
                && filter.is_match(&tag)
                && range.contains(&version)
                && newest.as_ref().is_none_or(|(best, _)| version > *best)
            {
                newest = Some((version, tag));
            }
        }
        newest.map(|(_, tag)| tag).ok_or_else(|| {
            self.refused(
                ErrorKind::Missing,
                format!("no tag is a version in the range \"{semver}\""),
            )
        })
    }

    fn tags(&mut self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let mut last = String::new();
        for _ in 0..PAGES {
            let path = format!("tags/list?n=1000&last={last}");
            let page = self.get(&path, "application/json", MANIFEST_BYTES)?;
            let page: Tags = self.json(&page)?;
            let page = page.tags.unwrap_or_default();
            let count = page.len();
            let next = page.last().cloned().unwrap_or_default();
            all.extend(page);
            if count < 1000 || next == last {
                break;
            }
            last = next;
        }
        Ok(all)
    }

    /// A manifest and its digest.
    fn manifest(&mut self, reference: &str) -> Result<(Manifest, Digest)> {
        let content = self.get(&format!("manifests/{reference}"), MANIFESTS, MANIFEST_BYTES)?;
        let hex: String =
            Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = Digest::parse(&hex, &self.shown)?;
        if reference.contains(':') {
            Digest::parse(reference, &self.shown)?.check(&content, &self.shown)?;
        }
        Ok((self.json(&content)?, digest))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, content: &[u8]) -> Result<T> {
        serde_json::from_slice(content)
            .map_err(|error| self.refused(ErrorKind::External, format!("answers no JSON: {error}")))
    }

    /// What is at a path of the repository; signs in where the registry asks for it.
    fn get(&mut self, path: &str, accept: &str, limit: usize) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.base);
        let mut response = self.send(&url, accept, self.authorization.clone())?;
        if response.status() == 401 && self.authorization.is_none() {
            self.authorization = self.sign_in(&response)?;
            if self.authorization.is_some() {
                response = self.send(&url, accept, self.authorization.clone())?;
            }
        }
        let status = response.status();
        if !status.is_success() {
            let what = path.split(['/', '?']).next().unwrap_or_default();
            let kind = match status.as_u16() {
                404 => ErrorKind::Missing,
                401 | 403 => ErrorKind::Denied,
                _ => ErrorKind::External,
            };
            return Err(self.refused(kind, format!("registry answers {status} for its {what}")));
        }
        self.body(response, limit)
    }

    fn send(
        &self,
        url: &str,
        accept: &str,
        authorization: Option<String>,
    ) -> Result<Response<Body>> {
        let mut request = self.agent.get(url).header("Accept", accept);
        if let Some(authorization) = authorization {
            request = request.header("Authorization", authorization);
        }
        request.call().map_err(|error| {
            self.refused(ErrorKind::External, format!("cannot ask the registry: {error}"))
        })
    }

    fn body(&self, mut response: Response<Body>, limit: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let reader = response.body_mut().as_reader();
        reader.take(most).read_to_end(&mut content).map_err(|error| {
            self.refused(ErrorKind::External, format!("cannot read the answer: {error}"))
        })?;
        if content.len() > limit {
            return Err(
                self.refused(ErrorKind::Limit, format!("answers with more than {limit} bytes"))
            );
        }
        Ok(content)
    }

    /// What the registry takes after it asked who one is.
    fn sign_in(&self, refusal: &Response<Body>) -> Result<Option<String>> {
        let challenge =
            refusal.headers().get("WWW-Authenticate").and_then(|value| value.to_str().ok());
        let challenge = challenge.unwrap_or_default();
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(self.credentials.map(Credentials::basic));
        }
        let parameter = |name: &str| parameter(parameters, name);
        let Some(realm) = parameter("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"))
        else {
            return Ok(None);
        };
        // A password goes over the network no more openly than to the registry itself.
        if self.secure && !realm.starts_with("https://") {
            return Err(self.refused(ErrorKind::Forbidden, "sends us elsewhere without encryption"));
        }
        let query: Vec<_> = ["service", "scope"]
            .iter()
            .filter_map(|name| Some(format!("{name}={}", escaped(parameter(name)?, "/:,"))))
            .collect();
        let joint = if realm.contains('?') { '&' } else { '?' };
        let url = format!("{realm}{joint}{}", query.join("&"));
        let response =
            self.send(&url, "application/json", self.credentials.map(Credentials::basic))?;
        if !response.status().is_success() {
            let message = format!("registry answers {} when signing in", response.status());
            return Err(self.refused(ErrorKind::Denied, message));
        }
        let token: Token = self.json(&self.body(response, MANIFEST_BYTES)?)?;
        let token = if token.token.is_empty() { token.access_token } else { token.token };
        Ok((!token.is_empty()).then(|| format!("Bearer {token}")))
    }

    fn refused(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, Place::file(self.shown.as_str()), message)
    }
}

/// The value of `name="value"` among others.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let at = parameters.match_indices(name).map(|(at, _)| at).find(|at| {
        let begins = parameters[..*at].chars().next_back().is_none_or(|c| matches!(c, ',' | ' '));
        begins && parameters[at + name.len()..].starts_with("=\"")
    })?;
    parameters[at + name.len() + 2..].split('"').next()
}
