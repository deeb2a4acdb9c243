//! Where the files of a render come from: the source's status, and the artifact that it publishes.
//!
//! A source's status is written by source-controller, but whoever may write it could point us anywhere.
//! So an artifact is fetched from the configured hosts only, at an address that is resolved once and then
//! dialled, without redirects or credentials, up to a size and a time; and what arrives counts only with its digest.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::net::TcpStream;

use crate::review::SourceRef;

/// Why a verdict could not be reached, where that is not the fault of the object under review.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// A constant, for counting.
    pub reason: &'static str,
    /// A line for whoever sent the object.
    pub message: String,
}

impl Trouble {
    /// A trouble of a kind that is counted as `reason`.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What a source has to offer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// There is an artifact.
    Ready(Artifact),
    /// The source exists, but has published nothing yet.
    NotReady,
    /// There is no such source.
    Missing,
}

/// A published archive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Artifact {
    /// Where it is.
    pub url: String,
    /// What it has to hash to.
    pub digest: Digest,
    /// Which state of the source it holds, e.g. `main@sha1:…`.
    pub revision: String,
}

/// A digest of one of the algorithms that are strong enough.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// Why an artifact could not be had.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is not there any more: sources keep few of their old artifacts.
    Gone,
    /// Anything else.
    Trouble(Trouble),
}

/// A host that artifacts may be fetched from; without a port it is the scheme's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    name: String,
    port: u16,
}

/// Fetches artifacts.
#[derive(Clone, Debug)]
pub struct Fetcher {
    /// Where from.
    pub hosts: Vec<Host>,
    /// Bytes of a compressed artifact.
    pub limit_bytes: usize,
    /// The whole fetch, from the resolution of the name to the last byte.
    pub timeout: Duration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    artifact: Option<Published>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Published {
    url: String,
    digest: String,
    revision: String,
}

/// What the source that an object names has published.
///
/// # Errors
/// Where the API server cannot be asked, refuses, or tells of an artifact that cannot be verified.
pub async fn look_up(client: &kube::Client, source: &SourceRef) -> Result<Lookup, Trouble> {
    let request = Request::get(source.api_path())
        .body(Vec::new())
        .map_err(|_| Trouble::new("source", format!("the source {source} has no valid name")))?;
    let found: Source = match client.request(request).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Lookup::Missing),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let message =
                format!("the webhook may not read the source {source}: its role is too narrow");
            return Err(Trouble::new("forbidden", message));
        }
        Err(kube::Error::Api(status)) => {
            let message = format!("the API server answers {} for the source {source}", status.code);
            return Err(Trouble::new("source", message));
        }
        Err(_) => {
            let message = format!("the API server cannot be asked for the source {source}");
            return Err(Trouble::new("source", message));
        }
    };
    let Some(published) = found.status.artifact else {
        return Ok(Lookup::NotReady);
    };
    let digest = Digest::parse(&published.digest)?;
    let Published { url, revision, .. } = published;
    Ok(Lookup::Ready(Artifact { url, digest, revision }))
}

impl Digest {
    /// Reads `algorithm:hex`; hex alone is SHA-256.
    ///
    /// Source: fluxcd/pkg `http/fetch/archive_fetcher.go`. It also knows BLAKE3, which we do not compute.
    ///
    /// # Errors
    /// Where there is none, or one of an algorithm that is weak or unknown.
    pub fn parse(text: &str) -> Result<Self, Trouble> {
        let trouble = |message: String| Trouble::new("digest", message);
        if text.is_empty() {
            return Err(trouble("the artifact has no digest".to_owned()));
        }
        let (name, hex) = text.split_once(':').unwrap_or(("sha256", text));
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            "blake3" => {
                return Err(trouble(
                    "the artifact's digest is BLAKE3, which is not supported".to_owned(),
                ));
            }
            _ => {
                return Err(trouble(
                    "the artifact's digest is of a weak or unknown algorithm".to_owned(),
                ));
            }
        };
        if hex.len() != length || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(trouble(format!(
                "the artifact's digest is not {length} hexadecimal digits"
            )));
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// Whether `content` hashes to it.
    #[must_use]
    pub fn matches(&self, content: &[u8]) -> bool {
        let hash = match self.algorithm {
            Algorithm::Sha256 => hex(&Sha256::digest(content)),
            Algorithm::Sha384 => hex(&Sha384::digest(content)),
            Algorithm::Sha512 => hex(&Sha512::digest(content)),
        };
        hash == self.hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        };
        write!(f, "{name}:{}", self.hex)
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl std::str::FromStr for Host {
    type Err = String;

    /// Reads `host` or `host:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let authority: http::uri::Authority =
            text.parse().map_err(|_| format!("{text:?} is no host or host:port"))?;
        if authority.host().is_empty() || text.contains('@') {
            return Err(format!("{text:?} is no host or host:port"));
        }
        Ok(Self { name: canonical(authority.host()), port: authority.port_u16().unwrap_or(80) })
    }
}

/// Names are compared without case and without the dot that marks them as absolute.
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

impl Fetcher {
    /// The verified content of an artifact.
    ///
    /// # Errors
    /// Where the URL is not allowed, the server does not deliver in time, delivers too much, or
    /// something that has another digest.
    pub async fn fetch(&self, artifact: &Artifact) -> Result<Bytes, Refusal> {
        let trouble =
            |reason, message: String| Err(Refusal::Trouble(Trouble::new(reason, message)));
        let (uri, host) = self.allowed(&artifact.url).map_err(Refusal::Trouble)?;
        let content = match tokio::time::timeout(self.timeout, self.download(&uri, &host)).await {
            Ok(content) => content?,
            Err(_) => {
                let message = format!("the artifact did not arrive within {:?}", self.timeout);
                return trouble("fetch-timeout", message);
            }
        };
        if !artifact.digest.matches(&content) {
            return trouble(
                "digest",
                "the artifact does not have the digest that its source tells".to_owned(),
            );
        }
        Ok(content)
    }

    /// The URL, read once, where it is one that may be fetched.
    fn allowed(&self, url: &str) -> Result<(Uri, Host), Trouble> {
        let refused = |message: &str| Trouble::new("artifact-url", message);
        let uri: Uri = url.parse().map_err(|_| refused("the artifact's URL is no URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(refused("the artifact's URL is not http"));
        }
        let authority = uri.authority().ok_or_else(|| refused("the artifact's URL has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("the artifact's URL holds credentials"));
        }
        let host =
            Host { name: canonical(authority.host()), port: authority.port_u16().unwrap_or(80) };
        if !self.hosts.contains(&host) {
            return Err(refused("the artifact's URL is not on an allowed host (--artifact-host)"));
        }
        Ok((uri, host))
    }

    async fn download(&self, uri: &Uri, host: &Host) -> Result<Bytes, Refusal> {
        let address = resolve(host).await.map_err(Refusal::Trouble)?;
        let failed = || {
            let message = "the artifact's server cannot be reached or broke off";
            Refusal::Trouble(Trouble::new("fetch", message))
        };
        let stream = TcpStream::connect(address).await.map_err(|_| failed())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| failed())?;
        // Ends with this future, whichever way that ends.
        let _connection = Aborted(tokio::spawn(connection));
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("overlay-webhook/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|_| failed())?;
        let response = sender.send_request(request).await.map_err(|_| failed())?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refusal::Gone),
            status if status.is_redirection() => {
                let message =
                    "the artifact's server answers with a redirect, which is not followed";
                return Err(Refusal::Trouble(Trouble::new("redirect", message)));
            }
            status => {
                let message = format!("the artifact's server answers {}", status.as_u16());
                return Err(Refusal::Trouble(Trouble::new("fetch", message)));
            }
        }
        match Limited::new(response.into_body(), self.limit_bytes).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let message = format!("the artifact is larger than {} bytes", self.limit_bytes);
                Err(Refusal::Trouble(Trouble::new("artifact-size", message)))
            }
            Err(_) => Err(failed()),
        }
    }
}

/// The address to dial, which is the one that was looked at: a name that resolves to something else a
/// moment later changes nothing.
async fn resolve(host: &Host) -> Result<SocketAddr, Trouble> {
    let literal = host.name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, host.port));
    }
    let addresses = tokio::net::lookup_host((host.name.as_str(), host.port)).await;
    addresses
        .map_err(|_| Trouble::new("resolve", "the artifact's host has no address"))?
        .find(|address| is_ordinary(address.ip()))
        .ok_or_else(|| {
            Trouble::new("artifact-url", "the artifact's host has no address that may be dialled")
        })
}

/// Whether a name may stand for it: the machine itself and its metadata service are no artifact servers.
fn is_ordinary(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let special = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !(special || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// A task that ends with its owner.
struct Aborted<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Aborted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
