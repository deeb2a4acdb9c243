//! Services that keep keys: AWS KMS, Google Cloud KMS, Azure Key Vault and HashiCorp Vault, asked over HTTP.
//!
//! A file says which key it needs, and with that where to ask. So that no file can send credentials to a place of its
//! choice, each service is asked only where it is known to be: at its public addresses, or those that one names.

mod aws;
mod azure;
mod gcp;
mod vault;

use std::io::Read as _;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use zeroize::Zeroizing;

pub use aws::AwsKeys;
pub use azure::AzureAccount;
pub use gcp::GcpAccount;
pub use vault::VaultToken;

use super::Fault;
use super::metadata::Recipient;
use crate::error::Result;
use crate::limits::Limits;
use crate::remote::http::agent;
use crate::value::Value;
use crate::yaml;

/// Most bytes of an answer: a key has 32.
const ANSWER_BYTES: u64 = 1 << 20;

/// Most bytes of the credentials for one service.
const CREDENTIALS_BYTES: usize = 1 << 20;

/// Who one is to each service.
#[derive(Default)]
pub struct Accounts {
    /// To AWS KMS.
    pub aws: Option<AwsKeys>,
    /// To Azure Key Vault.
    pub azure: Option<AzureAccount>,
    /// To Google Cloud KMS.
    pub gcp: Option<GcpAccount>,
    /// To HashiCorp Vault or OpenBao.
    pub vault: Option<VaultToken>,
}

impl Accounts {
    /// Whether no service can be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.aws.is_none() && self.azure.is_none() && self.gcp.is_none() && self.vault.is_none()
    }

    /// Adds what an entry of Flux's Secret holds, if it is for a service.
    pub(super) fn add_secret_entry(
        &mut self,
        name: &str,
        content: &[u8],
        from: &Arc<str>,
    ) -> Result<()> {
        let refused = |problem: &'static str| Fault::invalid(problem).at(from);
        if content.len() > CREDENTIALS_BYTES {
            return Err(refused("is too large for credentials"));
        }
        let text = || std::str::from_utf8(content).map_err(|_| refused("not UTF-8"));
        // Messages of the YAML reader may quote what they read.
        let fields = || {
            let limits = Limits::WEBHOOK;
            yaml::read_first(content, from, &limits).map_err(|_| refused("is no YAML"))
        };
        match name {
            "sops.aws-kms" => self.aws = Some(AwsKeys::read(&fields()?).map_err(refused)?),
            "sops.azure-kv" => self.azure = Some(AzureAccount::read(&fields()?).map_err(refused)?),
            "sops.gcp-kms" => self.gcp = Some(GcpAccount::read(text()?).map_err(refused)?),
            "sops.vault-token" => self.vault = Some(VaultToken::new(text()?)),
            _ => {}
        }
        Ok(())
    }

    /// The key that a service opens; `None` where one is nobody to it.
    pub(super) fn open(
        &self,
        recipient: &Recipient,
        sealed: &str,
    ) -> Answer<Option<Zeroizing<Vec<u8>>>> {
        let opened = match recipient {
            Recipient::AwsKms { arn, role, context } => {
                self.aws.as_ref().map(|keys| keys.open(arn, role, context, sealed))
            }
            Recipient::AzureKeyVault { vault, name, version } => {
                self.azure.as_ref().map(|account| account.open(vault, name, version, sealed))
            }
            Recipient::GcpKms(key) => self.gcp.as_ref().map(|account| account.open(key, sealed)),
            Recipient::Vault { address, engine, key } => {
                self.vault.as_ref().map(|token| token.open(address, engine, key, sealed))
            }
            Recipient::HuaweiKms(_) => return Err("is asked by nobody here".to_owned()),
            Recipient::Age(_) | Recipient::Pgp(_) => None,
        };
        opened.transpose()
    }
}

/// What a service gives, or why not; it must be fit for a terminal.
type Answer<T> = std::result::Result<T, String>;

/// Posts a body and gives the JSON that is answered.
fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer<Json> {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response =
        request.send(body).map_err(|error| format!("cannot ask the service: {error}"))?;
    let status = response.status();
    let mut content = Zeroizing::new(Vec::new());
    let reader = response.body_mut().as_reader();
    reader
        .take(ANSWER_BYTES)
        .read_to_end(&mut content)
        .map_err(|error| format!("cannot read the answer: {error}"))?;
    let json: Option<Json> = serde_json::from_slice(&content).ok();
    if !status.is_success() {
        return Err(format!("the service answers {status}{}", said(json.as_ref())));
    }
    json.ok_or_else(|| "the service answers no JSON".to_owned())
}

/// Why a service refuses, in its own words.
fn said(json: Option<&Json>) -> String {
    let found = json.and_then(|json| {
        let text = |path: &str| json.pointer(path).and_then(Json::as_str);
        ["/error/message", "/message", "/Message", "/errors/0", "/error_description", "/__type"]
            .into_iter()
            .find_map(text)
    });
    let shown =
        |text: &str| text.chars().take(300).flat_map(char::escape_debug).collect::<String>();
    found.map_or_else(String::new, |text| format!(": {}", shown(text)))
}

/// The bytes that a field of an answer holds.
fn decoded(answer: &Json, field: &str) -> Answer<Zeroizing<Vec<u8>>> {
    let text = answer.pointer(field).and_then(Json::as_str);
    let bytes = text.and_then(|text| STANDARD.decode(text).ok());
    bytes.map(Zeroizing::new).ok_or_else(|| "the service answers without a key".to_owned())
}

/// A field that has to be there.
fn field(fields: &Value, names: &[&str]) -> std::result::Result<String, &'static str> {
    let found = names.iter().find_map(|name| fields.text_at(&[name]));
    found.map(str::to_owned).ok_or("lacks a field of these credentials")
}

/// Whether a name can stand in a path: what a file says must not lead elsewhere.
fn is_plain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
    !text.is_empty()
        && text.bytes().all(fits)
        && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
