//! HashiCorp Vault and OpenBao: their transit engine, with a token.
//!
//! Source: Vault HTTP API, "Transit secrets engine", `Decrypt Data`; SOPS `hcvault/keysource.go`.

use serde_json::json;
use zeroize::Zeroizing;

use super::{Answer, decoded, is_plain, post};

/// A token, and where it is sent.
pub struct VaultToken {
    token: Zeroizing<String>,
    /// The servers that are trusted; any that speaks https, where there are none.
    servers: Vec<String>,
}

impl VaultToken {
    /// A token for any server that speaks https, as Flux takes it.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self { token: Zeroizing::new(token.trim().to_owned()), servers: Vec::new() }
    }

    /// Sends it to these servers only.
    #[must_use]
    pub fn at(self, servers: impl IntoIterator<Item = String>) -> Self {
        Self { servers: servers.into_iter().collect(), ..self }
    }

    pub(super) fn open(
        &self,
        address: &str,
        engine: &str,
        key: &str,
        sealed: &str,
    ) -> Answer<Zeroizing<Vec<u8>>> {
        let trimmed = address.trim_end_matches('/');
        let known = self.servers.iter().any(|server| server.trim_end_matches('/') == trimmed);
        let is_trusted = known || self.servers.is_empty() && is_https(trimmed);
        if !is_trusted {
            return Err("is no server that is trusted, so the token is not sent there".to_owned());
        }
        let engine = engine.trim_matches('/');
        if !is_plain(engine) || !is_plain(key) {
            return Err("is no key of a transit engine".to_owned());
        }
        let url = format!("{trimmed}/v1/{engine}/decrypt/{key}");
        let body = json!({ "ciphertext": sealed }).to_string();
        let headers =
            [("content-type", "application/json"), ("x-vault-token", self.token.as_str())];
        decoded(&post(&url, &headers, body.as_bytes())?, "/data/plaintext")
    }
}

fn is_https(address: &str) -> bool {
    let host = address.strip_prefix("https://").unwrap_or_default();
    !host.is_empty() && !host.contains(['@', '?', '#', '\\']) && !host.contains(char::is_whitespace)
}
