//! The certificate that the server shows, fresh at every handshake.
//!
//! Either somebody else writes it to a directory ([`watch_files`]), or the webhook makes its own
//! ([`SharedAuthority`]): one authority in a Secret that all replicas share, and for each replica a leaf that never
//! leaves its memory. A certificate that cannot be loaded changes nothing: the old one is kept.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Request;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::log;
use crate::metrics::Metrics;

/// How often the directory and the clock are looked at. The wall clock: timers stand still while a machine sleeps.
pub const POLL: Duration = Duration::from_secs(10);
/// Largest file that is read as a certificate or key.
const PEM_BYTES: u64 = 1 << 20;
/// Life of the authority that replicas share.
const AUTHORITY_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Life of a replica's own certificate.
const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// What clocks may differ by.
const SKEW: Duration = Duration::from_secs(3600);
/// The name of both field manager and authority.
const NAME: &str = "overlay-webhook";

/// The certificate in use.
#[derive(Debug, Default)]
pub struct Current(ArcSwapOption<CertifiedKey>);

/// A certificate that cannot be had, with the reason.
#[derive(Debug)]
pub struct CertError(String);

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertError {}

fn failed(what: &str, why: impl fmt::Display) -> CertError {
    CertError(format!("{what}: {why}"))
}

impl Current {
    /// Shows `key` from the next handshake on.
    pub fn set(&self, key: CertifiedKey) {
        self.0.store(Some(Arc::new(key)));
    }

    /// What is shown now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
    }
}

/// The cryptography in use.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The server's side of TLS 1.2 and 1.3; with `client_ca`, clients have to show a certificate of it.
///
/// # Errors
/// Where the client authority cannot be read.
pub fn server_config(
    current: Arc<Current>,
    client_ca: Option<&Path>,
    http2: bool,
) -> Result<rustls::ServerConfig, CertError> {
    let provider = provider();
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("TLS", error))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider)
                    .build()
                    .map_err(|error| failed(&path.display().to_string(), error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(current);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if http2 {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(config)
}

fn roots(path: &Path) -> Result<RootCertStore, CertError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(&read(path)?, path)? {
        roots.add(certificate).map_err(|error| failed(&path.display().to_string(), error))?;
    }
    Ok(roots)
}

/// Loads `tls.crt` and `tls.key` of a directory, as a pair.
///
/// # Errors
/// Where one is missing or unreadable, or they do not belong together.
pub fn load(dir: &Path) -> Result<CertifiedKey, CertError> {
    // The kubelet swaps the directory that `..data` points to: both files are read from the same one.
    let dir = dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let chain = chain(&read(&certificate)?, &certificate)?;
    let pem = read(&key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| failed(&key.display().to_string(), error))?;
    CertifiedKey::from_der(chain, private, &provider())
        .map_err(|error| failed(&certificate.display().to_string(), error))
}

fn read(path: &Path) -> Result<Vec<u8>, CertError> {
    let shown = path.display().to_string();
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(PEM_BYTES).read_to_end(&mut content))
        .map_err(|error| failed(&shown, error))?;
    Ok(content)
}

fn chain(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let shown = path.display().to_string();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| failed(&shown, error))?;
    if chain.is_empty() {
        return Err(failed(&shown, "holds no certificate"));
    }
    Ok(chain)
}

/// Loads the directory again and again, and shows what is new and whole.
pub async fn watch_files(
    dir: PathBuf,
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    every: Duration,
) {
    let mut complained = String::new();
    loop {
        tokio::time::sleep(every).await;
        match load(&dir) {
            Ok(key) if current.get().is_some_and(|old| old.cert == key.cert) => complained.clear(),
            Ok(key) => {
                current.set(key);
                complained.clear();
                log::info("the certificate was loaded again", &[]);
            }
            Err(error) => {
                metrics.certificate_errors.inc();
                // Once for each reason, not once in ten seconds.
                let error = error.to_string();
                if error != complained {
                    log::error(
                        "the certificate cannot be loaded: the old one is kept",
                        &[("error", error.as_str().into())],
                    );
                    complained = error;
                }
            }
        }
    }
}

/// What the shared authority is for, and where it is kept.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The webhook's namespace.
    pub namespace: String,
    /// The Secret of the authority.
    pub secret: String,
    /// The ValidatingWebhookConfiguration that has to trust it.
    pub configuration: String,
    /// What leaves are made for.
    pub names: Vec<String>,
}

/// The authority that replicas share.
pub struct SharedAuthority {
    client: kube::Client,
    owner: Owner,
}

/// One authority, with the key that signs.
struct Authority {
    certificate: String,
    key: KeyPair,
    expires: u64,
    /// The one before it, which leaves in use may still be signed by.
    former: String,
    version: String,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    metadata: Version,
    #[serde(default)]
    data: std::collections::BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

impl SharedAuthority {
    /// The authority in the owner's Secret, which is made where there is none.
    #[must_use]
    pub fn new(client: kube::Client, owner: Owner) -> Self {
        Self { client, owner }
    }

    /// Makes a leaf that the API server trusts: the authority is read or made, its certificate published, and then signs.
    ///
    /// # Errors
    /// Where the API server cannot be asked or refuses, or the Secret holds something else.
    pub async fn issue(&self, now: SystemTime) -> Result<Issued, CertError> {
        let authority = self.authority(seconds(now)).await?;
        // First the bundle, then the leaf: in between, both the old and the new one are trusted.
        self.publish(&authority.bundle()).await?;
        authority.issue(&self.owner.names, seconds(now))
    }

    async fn authority(&self, now: u64) -> Result<Authority, CertError> {
        // Two replicas may both find none or an old one: the server lets one of them write, the other reads that.
        for _ in 0..5 {
            match self.stored().await? {
                Some(authority) if !authority.is_due(now) => return Ok(authority),
                found => {
                    let fresh = Authority::generate(now, found.as_ref())?;
                    if self.store(&fresh, found.is_some()).await? {
                        return Ok(fresh);
                    }
                }
            }
        }
        Err(failed(&self.owner.secret, "somebody else changes it all the time"))
    }

    fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.owner.namespace)
    }

    async fn stored(&self) -> Result<Option<Authority>, CertError> {
        let path = format!("{}/{}", self.secrets(), self.owner.secret);
        let request = Request::get(path).body(Vec::new()).map_err(|e| failed("secret", e))?;
        match self.client.request::<Secret>(request).await {
            Ok(secret) => Authority::parse(&secret).map(Some),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(self.refused(&self.owner.secret, "get", &error)),
        }
    }

    /// Writes the authority; false where somebody else was quicker.
    async fn store(&self, authority: &Authority, exists: bool) -> Result<bool, CertError> {
        let body = authority.secret(&self.owner).to_string().into_bytes();
        let request = if exists {
            Request::put(format!("{}/{}", self.secrets(), self.owner.secret))
        } else {
            Request::post(self.secrets())
        };
        let request = request
            .header("Content-Type", "application/json")
            .body(body)
            .map_err(|e| failed("secret", e))?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(self.refused(&self.owner.secret, "write", &error)),
        }
    }

    /// Puts the bundle into every webhook of the configuration, by server-side apply: nobody else's field is touched.
    async fn publish(&self, bundle: &str) -> Result<(), CertError> {
        let name = &self.owner.configuration;
        let path =
            format!("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}");
        let request = Request::get(&path).body(Vec::new()).map_err(|e| failed(name, e))?;
        let found: Value = self
            .client
            .request(request)
            .await
            .map_err(|error| self.refused(name, "get", &error))?;
        let bundle = BASE64.encode(bundle);
        let Some(patch) = patch(&found, name, &bundle) else { return Ok(()) };
        let request = Request::patch(format!("{path}?fieldManager={NAME}&force=true"))
            .header("Content-Type", "application/apply-patch+yaml")
            .body(patch.to_string().into_bytes())
            .map_err(|e| failed(name, e))?;
        let patched = self.client.request::<Value>(request).await;
        patched.map(|_| ()).map_err(|error| self.refused(name, "patch", &error))
    }

    fn refused(&self, name: &str, verb: &str, error: &kube::Error) -> CertError {
        match error {
            kube::Error::Api(status) => failed(&format!("cannot {verb} {name:?}"), &status.message),
            _ => failed(&format!("cannot {verb} {name:?}"), "the API server cannot be reached"),
        }
    }
}

/// The patch that gives all webhooks of `found` the bundle; none where they have it.
fn patch(found: &Value, name: &str, bundle: &str) -> Option<Value> {
    let webhooks = found["webhooks"].as_array()?;
    if webhooks.iter().all(|webhook| webhook["clientConfig"]["caBundle"] == bundle) {
        return None;
    }
    let webhooks: Vec<Value> = webhooks
        .iter()
        .map(|webhook| json!({ "name": webhook["name"], "clientConfig": { "caBundle": bundle } }))
        .collect();
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": name },
        "webhooks": webhooks,
    }))
}

/// A leaf, and when to make the next.
pub struct Issued {
    /// What the server shows.
    pub key: CertifiedKey,
    /// When it expires, in seconds since 1970.
    pub expires: u64,
    /// Which authority signed it.
    pub authority: String,
}

impl Authority {
    fn generate(now: u64, former: Option<&Self>) -> Result<Self, CertError> {
        let key = KeyPair::generate().map_err(|error| failed("authority", error))?;
        let expires = now + AUTHORITY_LIFE.as_secs();
        let mut params = authority_params();
        set_life(&mut params, now.saturating_sub(SKEW.as_secs()), expires);
        let certificate =
            params.self_signed(&key).map_err(|error| failed("authority", error))?.pem();
        Ok(Self {
            certificate,
            key,
            expires,
            former: former
                .filter(|former| former.expires > now)
                .map(|former| former.certificate.clone())
                .unwrap_or_default(),
            version: former.map(|former| former.version.clone()).unwrap_or_default(),
        })
    }

    fn parse(secret: &Secret) -> Result<Self, CertError> {
        let field = |name: &str| {
            let text = secret
                .data
                .get(name)
                .ok_or_else(|| failed("the authority's Secret lacks", name))?;
            let bytes = BASE64.decode(text).map_err(|error| failed(name, error))?;
            String::from_utf8(bytes).map_err(|error| failed(name, error))
        };
        Ok(Self {
            certificate: field("ca.crt")?,
            // The message of the parser stays out: it is about a key.
            key: KeyPair::from_pem(&field("ca.key")?)
                .map_err(|_| failed("ca.key", "is no private key"))?,
            expires: field("expires")?.trim().parse().map_err(|error| failed("expires", error))?,
            former: field("former.crt")?,
            version: secret.metadata.resource_version.clone(),
        })
    }

    fn secret(&self, owner: &Owner) -> Value {
        let mut metadata = json!({
            "name": owner.secret,
            "namespace": owner.namespace,
            "labels": { "app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": NAME },
        });
        if !self.version.is_empty() {
            metadata["resourceVersion"] = self.version.as_str().into();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": metadata,
            "data": {
                "ca.crt": BASE64.encode(&self.certificate),
                "ca.key": BASE64.encode(self.key.serialize_pem()),
                "expires": BASE64.encode(self.expires.to_string()),
                "former.crt": BASE64.encode(&self.former),
            },
        })
    }

    /// Whether two thirds of its life are over.
    fn is_due(&self, now: u64) -> bool {
        now + AUTHORITY_LIFE.as_secs() / 3 > self.expires
    }

    fn bundle(&self) -> String {
        format!("{}{}", self.certificate, self.former)
    }

    fn issue(&self, names: &[String], now: u64) -> Result<Issued, CertError> {
        let key = KeyPair::generate().map_err(|error| failed("leaf", error))?;
        let expires = (now + LEAF_LIFE.as_secs()).min(self.expires);
        let mut params = CertificateParams::new(names).map_err(|error| failed("leaf", error))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        set_life(&mut params, now.saturating_sub(SKEW.as_secs()), expires);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::new(authority_params(), &self.key);
        let leaf = params.signed_by(&key, &issuer).map_err(|error| failed("leaf", error))?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = CertifiedKey::from_der(vec![leaf.der().clone()], private, &provider())
            .map_err(|error| failed("leaf", error))?;
        Ok(Issued { key, expires, authority: self.certificate.clone() })
    }
}

/// What every authority of ours has in common: from it and the key, its signature can be made again.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "overlay-webhook authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn set_life(params: &mut CertificateParams, from: u64, until: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from);
    params.not_after = epoch + Duration::from_secs(until);
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Keeps a leaf in `current` for good: a new one when two thirds of its life are over, or the authority was replaced.
pub async fn keep_issued(
    authority: SharedAuthority,
    current: Arc<Current>,
    metrics: Arc<Metrics>,
    mut issued: (u64, String),
) {
    let mut ticks = 0_u64;
    loop {
        tokio::time::sleep(POLL).await;
        ticks += 1;
        let now = seconds(SystemTime::now());
        let due = now + LEAF_LIFE.as_secs() / 3 > issued.0;
        // The Secret and the configuration are looked at once a minute: either may have been replaced.
        if !due && !ticks.is_multiple_of(6) {
            continue;
        }
        match authority.issue(SystemTime::now()).await {
            Ok(fresh) if due || fresh.authority != issued.1 => {
                // The API server has to hear of the bundle before it sees the leaf.
                tokio::time::sleep(POLL).await;
                metrics.certificate_expiry.set(fresh.expires as f64);
                issued = (fresh.expires, fresh.authority);
                current.set(fresh.key);
                log::info("a certificate was issued", &[("expires", issued.0.into())]);
            }
            Ok(_) => {}
            Err(error) => {
                metrics.certificate_errors.inc();
                log::error(
                    "the certificate cannot be renewed: the old one is kept",
                    &[("error", error.to_string().into())],
                );
            }
        }
    }
}
