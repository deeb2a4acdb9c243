//! Encrypted values in what a person reads: each becomes `**SOPS**`, as the `flux` program shows it.
//!
//! Source: flux2 `internal/build/build.go`, `maskSopsData`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::value::{Map, Value};

/// What stands for an encrypted value.
pub const MASK: &str = "**SOPS**";

/// The same where a configuration of Docker has to be.
const DOCKER_MASK: &str = "{\"mask\":\"**SOPS**\"}";

/// Masks the encrypted values of an object and says whether there were any. Only Secrets have what is masked.
///
/// A wholly encrypted Secret loses its `sops` entry and all its values; else those that are encrypted files, for which
/// the mask is in base64 in `stringData` too.
pub fn mask(object: &mut Value) -> bool {
    if object.text_at(&["kind"]) != Some("Secret") {
        return false;
    }
    let whole = is_encrypted(object);
    let docker = object.text_at(&["type"]) == Some("kubernetes.io/dockerconfigjson");
    if let Some(map) = object.as_map_mut().filter(|_| whole) {
        map.remove("sops");
    }
    let text = if docker { DOCKER_MASK } else { MASK };
    let encoded = STANDARD.encode(text);
    let mut masked = whole;
    if let Some(data) = object.get_mut("data").and_then(Value::as_map_mut) {
        let text = if whole { &encoded } else { &STANDARD.encode(MASK) };
        masked |= replace(data, text, |value| whole || holds_file(&decoded(value)));
    }
    if let Some(data) = object.get_mut("stringData").and_then(Value::as_map_mut) {
        let text = if whole { text } else { &STANDARD.encode(MASK) };
        masked |= replace(data, text, |value| whole || holds_file(value.as_bytes()));
    }
    masked
}

/// Whether an object is encrypted as a whole: it has a `sops` entry with a code.
///
/// Source: kustomize-controller, `isSOPSEncryptedResource`.
#[must_use]
pub fn is_encrypted(object: &Value) -> bool {
    object.text_at(&["sops", "mac"]).is_some_and(|mac| !mac.is_empty())
}

fn replace(data: &mut Map, with: &str, masks: impl Fn(&str) -> bool) -> bool {
    let mut replaced = false;
    for (_, value) in data.iter_mut() {
        if value.as_text().is_some_and(&masks) {
            *value = Value::string(with);
            replaced = true;
        }
    }
    replaced
}

/// Base64 as people wrap it.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(joined).unwrap_or_default()
}

fn holds_file(content: &[u8]) -> bool {
    let holds = |text: &str| memchr::memmem::find(content, text.as_bytes()).is_some();
    holds("sops") && holds("ENC[")
}
