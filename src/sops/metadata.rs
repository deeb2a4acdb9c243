//! The `sops` entry of a file: for whom its key is encrypted, which values are, and the code over them.
//!
//! Source: SOPS `stores/metadata.go`, `stores/stores.go`.

use std::fmt;

use super::tree::{Node, Part, entries};
use super::{Fault, Format, Step, flat};
use crate::error::ErrorKind;

/// Most recipients of one file.
const RECIPIENTS: usize = 1_000;

/// Most groups that hold a part of the key each: there are no more points to the polynomial.
const GROUPS: usize = 255;

/// What a file says about its encryption.
pub(super) struct Metadata {
    /// Any one of a group opens its part.
    pub(super) groups: Vec<Vec<SealedKey>>,
    /// How many parts make the key, where there is more than one group.
    pub(super) threshold: usize,
    pub(super) mac: String,
    pub(super) mac_only_encrypted: bool,
    /// RFC 3339 to the second: it is authenticated along with the code.
    pub(super) last_modified: String,
    pub(super) rule: Rule,
}

/// Which values are encrypted.
pub(super) enum Rule {
    EncryptedSuffix(String),
    UnencryptedSuffix(String),
    EncryptedRegex(String),
    UnencryptedRegex(String),
    EncryptedComment(String),
    UnencryptedComment(String),
}

/// The key of a file, or a part of it, as one recipient can open it.
pub(super) struct SealedKey {
    pub(super) recipient: Recipient,
    pub(super) sealed: String,
}

/// Who can decrypt a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recipient {
    /// Whoever has the secret key to this `age1…`.
    Age(String),
    /// Whoever has the OpenPGP key with this fingerprint.
    Pgp(String),
    /// Whoever may use a key of AWS KMS.
    AwsKms {
        /// The key.
        arn: String,
        /// The role that is taken on first; empty for none.
        role: String,
        /// What has to be said along with the request.
        context: Vec<(String, String)>,
    },
    /// Whoever may use this key of Google Cloud KMS.
    GcpKms(String),
    /// Whoever may use a key of Azure Key Vault.
    AzureKeyVault {
        /// The vault's address.
        vault: String,
        /// The key's name.
        name: String,
        /// The key's version.
        version: String,
    },
    /// Whoever may use a transit key of HashiCorp Vault or OpenBao.
    Vault {
        /// The server's address.
        address: String,
        /// Where the engine is mounted.
        engine: String,
        /// The key's name.
        key: String,
    },
    /// Whoever may use this key of Huawei Cloud KMS.
    HuaweiKms(String),
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(recipient) => write!(f, "age {}", shortened(recipient)),
            Self::Pgp(fingerprint) => write!(f, "OpenPGP {}", shortened(fingerprint)),
            Self::AwsKms { arn, .. } => write!(f, "AWS KMS {}", shortened(arn)),
            Self::GcpKms(key) => write!(f, "GCP KMS {}", shortened(key)),
            Self::AzureKeyVault { vault, name, .. } => {
                write!(f, "Azure Key Vault {}/keys/{}", shortened(vault), shortened(name))
            }
            Self::Vault { address, engine, key } => {
                let (address, engine) = (shortened(address), shortened(engine));
                write!(f, "Vault {address}/v1/{engine}/keys/{}", shortened(key))
            }
            Self::HuaweiKms(key) => write!(f, "Huawei Cloud KMS {}", shortened(key)),
        }
    }
}

/// Fit for a terminal: a post-quantum recipient of age has two thousand characters.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
    if text.chars().nth(120).is_some() {
        shown.truncate(shown.char_indices().nth(40).map_or(shown.len(), |(at, _)| at));
        shown.push('…');
    }
    shown
}

/// Takes the entry out of the documents.
pub(super) fn take(documents: &mut [Node], format: Format) -> Step<Metadata> {
    let found = match format {
        Format::Dotenv => flat::unflatten(take_prefixed(documents)?)?,
        Format::Ini => {
            let section = take_entry(documents)?;
            let pairs = entries(section.as_map().unwrap_or_default());
            let unescape = |text: &str| text.replace("\\n", "\n");
            flat::unflatten(
                pairs
                    .map(|(key, value)| {
                        (key.to_owned(), unescape(value.as_text().unwrap_or_default()))
                    })
                    .collect(),
            )?
        }
        Format::Yaml | Format::Json | Format::Binary => take_entry(documents)?,
    };
    read(&found)
}

fn not_found() -> Fault {
    Fault::invalid("sops metadata not found")
}

fn take_entry(documents: &mut [Node]) -> Step<Node> {
    let mut found = Vec::new();
    for (index, document) in documents.iter_mut().enumerate() {
        let Node::Map(parts) = document else { continue };
        let is_entry = |part: &mut Part| matches!(part, Part::Entry { key, .. } if key == "sops");
        let taken: Vec<_> = parts.extract_if(.., is_entry).collect();
        if index == 0 {
            found = taken;
        }
    }
    if found.len() > 1 {
        return Err(Fault::invalid("there is more than one \"sops\" entry"));
    }
    match found.pop() {
        Some(Part::Entry { value: value @ Node::Map(_), .. }) => Ok(value),
        Some(_) => Err(Fault::invalid("the \"sops\" entry is not a mapping")),
        None => Err(not_found()),
    }
}

fn take_prefixed(documents: &mut [Node]) -> Step<Vec<(String, String)>> {
    let Some(Node::Map(parts)) = documents.first_mut() else { return Err(not_found()) };
    let ours =
        |part: &mut Part| matches!(part, Part::Entry { key, .. } if key.starts_with("sops_"));
    let pairs: Vec<_> = parts
        .extract_if(.., ours)
        .filter_map(|part| match part {
            Part::Entry { key, value } => {
                Some((key["sops_".len()..].to_owned(), value.as_text()?.to_owned()))
            }
            Part::Comment { .. } => None,
        })
        .collect();
    if pairs.is_empty() { Err(not_found()) } else { Ok(pairs) }
}

fn read(found: &Node) -> Step<Metadata> {
    let groups = groups(found)?;
    let recipients = groups.iter().map(Vec::len).sum::<usize>();
    if recipients > RECIPIENTS || groups.len() > GROUPS {
        let message = format!("encrypted for more than {RECIPIENTS} recipients or {GROUPS} groups");
        return Err(Fault::new(ErrorKind::Limit, message));
    }
    if recipients == 0 {
        return Err(Fault::invalid("no recipients in the \"sops\" entry"));
    }
    Ok(Metadata {
        groups,
        threshold: text(found, "shamir_threshold").parse().unwrap_or_default(),
        mac: text(found, "mac"),
        mac_only_encrypted: matches!(text(found, "mac_only_encrypted").as_str(), "true" | "1"),
        last_modified: to_the_second(&text(found, "lastmodified")),
        rule: rule(found)?,
    })
}

/// Go prints the time that it read without fractions.
fn to_the_second(time: &str) -> String {
    let Some((whole, rest)) = time.split_once('.') else { return time.to_owned() };
    let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{whole}{zone}")
}

fn rule(found: &Node) -> Step<Rule> {
    type Maker = fn(String) -> Rule;
    let makers: [(&str, Maker); 6] = [
        ("unencrypted_suffix", Rule::UnencryptedSuffix),
        ("encrypted_suffix", Rule::EncryptedSuffix),
        ("unencrypted_regex", Rule::UnencryptedRegex),
        ("encrypted_regex", Rule::EncryptedRegex),
        ("unencrypted_comment_regex", Rule::UnencryptedComment),
        ("encrypted_comment_regex", Rule::EncryptedComment),
    ];
    let mut rules = makers
        .into_iter()
        .map(|(name, make)| (text(found, name), make))
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, make)| make(text));
    let rule = rules.next();
    if rules.next().is_some() {
        return Err(Fault::invalid(
            "the \"sops\" entry has more than one rule for what is encrypted",
        ));
    }
    Ok(rule.unwrap_or_else(|| Rule::UnencryptedSuffix("_unencrypted".to_owned())))
}

fn groups(found: &Node) -> Step<Vec<Vec<SealedKey>>> {
    let whole = group(found);
    if !whole.is_empty() {
        return Ok(vec![whole]);
    }
    let groups: Vec<_> = list(found, "key_groups").map(group).collect();
    if groups.iter().any(Vec::is_empty) {
        return Err(Fault::invalid("the \"sops\" entry has a group without recipients"));
    }
    Ok(groups)
}

/// The keys of a group, in the order in which SOPS tries them: those that are at hand first.
fn group(found: &Node) -> Vec<SealedKey> {
    type Maker = fn(&Node) -> Recipient;
    let kinds: [(&str, Maker); 7] = [
        ("age", |key| Recipient::Age(text(key, "recipient"))),
        ("pgp", |key| Recipient::Pgp(text(key, "fp"))),
        ("kms", |key| Recipient::AwsKms {
            arn: text(key, "arn"),
            role: text(key, "role"),
            context: context(key),
        }),
        ("gcp_kms", |key| Recipient::GcpKms(text(key, "resource_id"))),
        ("hckms", |key| Recipient::HuaweiKms(text(key, "key_id"))),
        ("azure_kv", |key| Recipient::AzureKeyVault {
            vault: text(key, "vault_url"),
            name: text(key, "name"),
            version: text(key, "version"),
        }),
        ("hc_vault", |key| Recipient::Vault {
            address: text(key, "vault_address"),
            engine: text(key, "engine_path"),
            key: text(key, "key_name"),
        }),
    ];
    let keys = kinds.into_iter().flat_map(|(name, make)| {
        list(found, name)
            .map(move |key| SealedKey { recipient: make(key), sealed: text(key, "enc") })
    });
    keys.take(RECIPIENTS + 1).collect()
}

fn context(key: &Node) -> Vec<(String, String)> {
    let parts = key.get("context").and_then(Node::as_map).unwrap_or_default();
    entries(parts)
        .map(|(name, value)| (name.to_owned(), value.as_text().unwrap_or_default().to_owned()))
        .collect()
}

fn list<'a>(found: &'a Node, name: &str) -> impl Iterator<Item = &'a Node> + use<'a> {
    let parts = match found.get(name) {
        Some(Node::List(parts)) => parts.as_slice(),
        _ => &[],
    };
    entries(parts).map(|(_, value)| value)
}

/// A leaf as text, whatever its type.
fn text(found: &Node, name: &str) -> String {
    match found.get(name) {
        Some(Node::Text(text) | Node::Time(text)) => text.to_string(),
        Some(Node::Bool(bool)) => bool.to_string(),
        Some(Node::Int(int)) => int.to_string(),
        _ => String::new(),
    }
}
