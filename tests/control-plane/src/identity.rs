//! Who is who: the server's certificate, the key that signs service accounts' tokens, and the users.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::error::{Doing, Result};

/// Somebody with a token.
pub(crate) struct User<'a> {
    pub(crate) name: &'a str,
    pub(crate) groups: &'a [&'a str],
    pub(crate) token: &'a str,
}

/// The one who may do everything.
pub(crate) const ADMIN: User<'static> =
    User { name: "admin", groups: &["system:masters"], token: "token-of-admin" };
/// The one who may do what a test lets them do, which at first is to look what API there is.
pub(crate) const GUEST: User<'static> =
    User { name: "guest", groups: &["guests"], token: "token-of-guest" };

/// The files that the servers are given.
pub(crate) struct Identity {
    pub(crate) ca: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) service_account_key: PathBuf,
    pub(crate) service_account_public_key: PathBuf,
    pub(crate) tokens: PathBuf,
}

impl Identity {
    /// Writes new certificates, keys and the list of users into a folder.
    pub(crate) fn write(folder: &Path) -> Result<Self> {
        let authority = authority().doing("make a certificate authority")?;
        let (certificate, key) = leaf(&authority).doing("make a certificate")?;
        let service_accounts = KeyPair::generate().doing("make a key")?;
        let ca = authority.certificate;
        Ok(Self {
            ca_file: file(folder, "ca.crt", &ca)?,
            certificate: file(folder, "server.crt", &certificate)?,
            key: file(folder, "server.key", &key)?,
            service_account_key: file(
                folder,
                "service-account.key",
                &service_accounts.serialize_pem(),
            )?,
            // The server takes the public key only out of a key in a format of RSA's or elliptic curves' own.
            service_account_public_key: file(
                folder,
                "service-account.pub",
                &service_accounts.public_key_pem(),
            )?,
            tokens: file(folder, "tokens.csv", &tokens(&[ADMIN, GUEST]))?,
            ca,
        })
    }
}

struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Result<Authority, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "control-plane");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?.pem();
    Ok(Authority { certificate, issuer: Issuer::new(params, key) })
}

fn leaf(authority: &Authority) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    Ok((params.signed_by(&key, &authority.issuer)?.pem(), key.serialize_pem()))
}

/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file>.
fn tokens(users: &[User<'_>]) -> String {
    let mut text = String::new();
    for user in users {
        let _ = writeln!(
            text,
            "{},{},{},\"{}\"",
            user.token,
            user.name,
            user.name,
            user.groups.join(",")
        );
    }
    text
}

fn file(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text).doing(format_args!("write \"{}\"", path.display()))?;
    Ok(path)
}
