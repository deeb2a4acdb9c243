//! Azure Key Vault, as an application with a secret.
//!
//! Source: Azure Key Vault REST API 7.4, `Decrypt`; OAuth 2.0 client credentials; SOPS `azkv/keysource.go`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{Answer, field, is_plain, post};
use crate::remote::escapes::escaped;
use crate::value::Value;

/// Where vaults are. Source: the clouds of the Azure SDK.
const HOSTS: [&str; 4] =
    [".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".managedhsm.azure.net"];

/// An application of a tenant.
pub struct AzureAccount {
    tenant: String,
    client: String,
    secret: Zeroizing<String>,
    authority: String,
    /// A vault that is asked though it is none of the public ones.
    vault: Option<String>,
}

impl AzureAccount {
    /// An application with its secret.
    #[must_use]
    pub fn new(tenant: String, client: String, secret: String) -> Self {
        let authority = "https://login.microsoftonline.com".to_owned();
        Self { tenant, client, secret: secret.into(), authority, vault: None }
    }

    /// Signs in, and asks a vault, at other addresses.
    #[must_use]
    pub fn at(self, authority: impl Into<String>, vault: impl Into<String>) -> Self {
        Self { authority: authority.into(), vault: Some(vault.into()), ..self }
    }

    /// Source: kustomize-controller `internal/sops/azkv/config.go`.
    pub(super) fn read(fields: &Value) -> Result<Self, &'static str> {
        let account = Self::new(
            field(fields, &["tenantId", "tenant"])?,
            field(fields, &["clientId", "appId"])?,
            field(fields, &["clientSecret", "password"])?,
        );
        let authority =
            fields.text_at(&["authorityHost"]).filter(|host| host.starts_with("https://"));
        let authority = authority.map_or(account.authority.clone(), str::to_owned);
        Ok(Self { authority, ..account })
    }

    pub(super) fn open(
        &self,
        vault: &str,
        name: &str,
        version: &str,
        sealed: &str,
    ) -> Answer<Zeroizing<Vec<u8>>> {
        if !self.trusts(vault) {
            return Err("is no address of a vault, so no credentials are sent there".to_owned());
        }
        if !is_plain(name) || !(version.is_empty() || is_plain(version)) {
            return Err("is no key of a vault".to_owned());
        }
        let token = self.token(vault)?;
        let version = if version.is_empty() { String::new() } else { format!("/{version}") };
        let vault = vault.trim_end_matches('/');
        let url = format!("{vault}/keys/{name}{version}/decrypt?api-version=7.4");
        let body = json!({ "alg": "RSA-OAEP-256", "value": sealed }).to_string();
        let headers = [("content-type", "application/json"), ("authorization", &*token)];
        let answer = post(&url, &headers, body.as_bytes())?;
        let value = answer.pointer("/value").and_then(Json::as_str);
        let bytes =
            value.and_then(|value| URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).ok());
        bytes.map(Zeroizing::new).ok_or_else(|| "the service answers without a key".to_owned())
    }

    fn trusts(&self, vault: &str) -> bool {
        if self.vault.as_deref() == Some(vault) {
            return true;
        }
        let host = vault.strip_prefix("https://").unwrap_or_default().trim_end_matches('/');
        is_plain(host) && !host.contains('/') && HOSTS.iter().any(|known| host.ends_with(known))
    }

    fn token(&self, vault: &str) -> Answer<Zeroizing<String>> {
        if !is_plain(&self.tenant) {
            return Err("the tenant is no name".to_owned());
        }
        let host = vault.split_once("://").map_or(vault, |(_, host)| host).trim_end_matches('/');
        let cloud = HOSTS.iter().find(|known| host.ends_with(*known)).unwrap_or(&HOSTS[0]);
        let body = Zeroizing::new(format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            escaped(&self.client, ""),
            escaped(&self.secret, ""),
            escaped(&format!("https://{}/.default", cloud.trim_start_matches('.')), "")
        ));
        let url =
            format!("{}/{}/oauth2/v2.0/token", self.authority.trim_end_matches('/'), self.tenant);
        let answer =
            post(&url, &[("content-type", "application/x-www-form-urlencoded")], body.as_bytes())?;
        let token = answer.pointer("/access_token").and_then(Json::as_str);
        token
            .map(|token| Zeroizing::new(format!("Bearer {token}")))
            .ok_or_else(|| "signing in gives no token".to_owned())
    }
}
