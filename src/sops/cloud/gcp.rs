//! Google Cloud KMS, as a service account.
//!
//! Source: Cloud KMS REST API v1, `cryptoKeys.decrypt`; RFC 7523; SOPS `gcpkms/keysource.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use serde_json::{Value as Json, json};
use sha2_10::Sha256;
use zeroize::Zeroizing;

use super::{Answer, decoded, is_plain, now, post};
use crate::remote::escapes::escaped;

/// What the account may do. Source: SOPS asks for it too.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Where tokens of service accounts come from.
const TOKENS: &str = "https://oauth2.googleapis.com/token";

/// A service account, or a token that somebody got already.
pub struct GcpAccount {
    identity: Identity,
    tokens: String,
    service: String,
}

enum Identity {
    Key { email: String, key: Box<SigningKey<Sha256>> },
    Token(Zeroizing<String>),
}

impl GcpAccount {
    /// Somebody who has an access token.
    #[must_use]
    pub fn with_token(token: String) -> Self {
        Self::of(Identity::Token(token.into()))
    }

    /// Gets tokens, and asks KMS, at other addresses.
    #[must_use]
    pub fn at(self, tokens: impl Into<String>, service: impl Into<String>) -> Self {
        Self { tokens: tokens.into(), service: service.into(), ..self }
    }

    fn of(identity: Identity) -> Self {
        let service = "https://cloudkms.googleapis.com".to_owned();
        Self { identity, tokens: TOKENS.to_owned(), service }
    }

    /// Reads the key file of a service account.
    ///
    /// # Errors
    /// Where it is none; the words do not repeat it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let json: Json = serde_json::from_str(text.trim()).map_err(|_| "is no JSON")?;
        let field = |name: &str| json.get(name).and_then(Json::as_str);
        if field("type").is_some_and(|kind| kind != "service_account") {
            return Err("is no key of a service account, and nothing else is supported");
        }
        let key = field("private_key").ok_or("has no private_key")?;
        let key =
            RsaPrivateKey::from_pkcs8_pem(key).map_err(|_| "has a private_key that is none")?;
        let email = field("client_email").ok_or("has no client_email")?.to_owned();
        Ok(Self::of(Identity::Key { email, key: Box::new(SigningKey::new(key)) }))
    }

    pub(super) fn open(&self, key: &str, sealed: &str) -> Answer<Zeroizing<Vec<u8>>> {
        if !key.starts_with("projects/") || !is_plain(key) {
            return Err("is no name of a key".to_owned());
        }
        let token = self.token()?;
        let url = format!("{}/v1/{key}:decrypt", self.service.trim_end_matches('/'));
        let body = json!({ "ciphertext": sealed }).to_string();
        let headers = [("content-type", "application/json"), ("authorization", &*token)];
        decoded(&post(&url, &headers, body.as_bytes())?, "/plaintext")
    }

    fn token(&self) -> Answer<Zeroizing<String>> {
        let (email, key) = match &self.identity {
            Identity::Token(token) => {
                return Ok(Zeroizing::new(format!("Bearer {}", token.as_str())));
            }
            Identity::Key { email, key } => (email, key),
        };
        let issued = now();
        let claims = json!({
            "iss": email, "scope": SCOPE, "aud": self.tokens, "iat": issued, "exp": issued + 600,
        });
        let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed =
            format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        let signature =
            key.try_sign(signed.as_bytes()).map_err(|_| "the private key cannot sign")?;
        let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()));
        let kind = escaped("urn:ietf:params:oauth:grant-type:jwt-bearer", "");
        let body = Zeroizing::new(format!("grant_type={kind}&assertion={assertion}"));
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = post(&self.tokens, &form, body.as_bytes())?;
        let token = answer.pointer("/access_token").and_then(Json::as_str);
        token
            .map(|token| Zeroizing::new(format!("Bearer {token}")))
            .ok_or_else(|| "signing in gives no token".to_owned())
    }
}
