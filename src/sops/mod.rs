//! Files and values that are encrypted with SOPS, read by a reader of our own.
//!
//! SOPS encrypts the leaves of a document with a key of its own, and that key for each recipient. So a file is read
//! into a tree, its `sops` entry tells who has the key, [one of the given keys](Keys) opens it, and
//! the leaves follow. What was decrypted goes to whoever asked and nowhere else: it lies in buffers that are
//! overwritten when they are dropped, and no type that holds it can be printed.
//!
//! | what | module |
//! |---|---|
//! | the five formats | `yaml`, `json` with binary, `dotenv`, `ini` |
//! | leaves, and the code over all of them | `value`, `tree` |
//! | who can decrypt, and a key in parts | `metadata`, `shamir` |
//! | the keys one has | [`keys`]: `age`, `pgp`, `cloud` |
//! | what Flux does with it | [`sources`] before a build, [`objects`] after it, [`mask`] in place of either; [`decryption`] |
//!
//! Source: SOPS 3.13, `sops.go`, `aes`, `stores`; kustomize-controller 1.9, `internal/decryptor`.

mod age;
#[cfg(feature = "sops-cloud")]
pub mod cloud;
pub mod decryption;
mod dotenv;
mod flat;
mod ini;
mod json;
pub mod keys;
pub mod mask;
mod metadata;
pub mod objects;
#[cfg_attr(not(feature = "openpgp"), path = "no_pgp.rs")]
mod pgp;
mod shamir;
pub mod sources;
mod tree;
mod value;
mod yaml;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

pub use keys::Keys;
pub use metadata::Recipient;

use crate::error::{Error, ErrorKind, Place, Result};
use metadata::Metadata;
use tree::Node;

/// Most bytes of one encrypted file. Source: kustomize-controller, `maxEncryptedFileSize`.
pub const FILE_BYTES: usize = 5 << 20;

/// Nesting of lists and mappings in one encrypted document.
const DEPTH: usize = 128;

/// What an encrypted file looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One text, in an envelope of JSON.
    Binary,
    /// Lines `KEY=value`.
    Dotenv,
    /// Sections of `key = value`.
    Ini,
    /// A JSON object.
    Json,
    /// YAML documents.
    Yaml,
}

/// Whether the code over all values is verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Integrity {
    /// As the `sops` program does.
    Verified,
    /// As Flux does: what kustomize adds to an object would break the code.
    Ignored,
}

impl Format {
    /// The format that a name tells; binary, where it tells none.
    ///
    /// Source: kustomize-controller, `formatForPath`; SOPS, `FormatForPath`.
    #[must_use]
    pub fn for_path(path: &str) -> Self {
        let ends = |end: &str| path.ends_with(end);
        if ends(".dockerconfigjson") || ends(".json") {
            Self::Json
        } else if ends(".yaml") || ends(".yml") {
            Self::Yaml
        } else if ends(".env") {
            Self::Dotenv
        } else if ends(".ini") {
            Self::Ini
        } else {
            Self::Binary
        }
    }

    /// The text by which Flux tells that a file of this format is encrypted.
    ///
    /// Source: kustomize-controller, `sopsFormatToMarkerBytes`.
    #[must_use]
    pub fn marker(self) -> &'static str {
        match self {
            Self::Binary | Self::Json => "\"mac\": \"ENC[",
            Self::Dotenv => "sops_mac=ENC[",
            Self::Ini => "[sops]",
            Self::Yaml => "mac: ENC[",
        }
    }

    /// Whether `content` has the marker of this format.
    #[must_use]
    pub fn marks(self, content: &[u8]) -> bool {
        memchr::memmem::find(content, self.marker().as_bytes()).is_some()
    }

    /// The format whose marker `content` has.
    ///
    /// Flux asks in no order; the most telling marker comes first here.
    #[must_use]
    pub fn detect(content: &[u8]) -> Option<Self> {
        [Self::Json, Self::Dotenv, Self::Yaml, Self::Ini].into_iter().find(|f| f.marks(content))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary",
            Self::Dotenv => "dotenv",
            Self::Ini => "INI",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        })
    }
}

/// Decrypts `content`, which is encrypted as `input`, and prints it as `output`.
///
/// `file` is who the content belongs to, for messages.
///
/// # Errors
/// Where the content is no such file, none of the keys opens it, it was changed, or `output` cannot hold it. The
/// message names recipients and never a value.
pub fn decrypt(
    content: &[u8],
    input: Format,
    output: Format,
    keys: &Keys,
    integrity: Integrity,
    file: &Arc<str>,
) -> Result<Zeroizing<Vec<u8>>> {
    let (mut documents, metadata) = load(content, input, file)?;
    open(&mut documents, &metadata, keys, integrity).map_err(|fault| fault.at(file))?;
    emit(&documents, output).map_err(|fault| fault.at(file))
}

/// Whether [`decrypt`] would work, without its output.
///
/// # Errors
/// As [`decrypt`].
pub fn probe(content: &[u8], input: Format, keys: &Keys, file: &Arc<str>) -> Result<()> {
    let (mut documents, metadata) = load(content, input, file)?;
    open(&mut documents, &metadata, keys, Integrity::Ignored).map_err(|fault| fault.at(file))
}

/// Who can decrypt `content`.
///
/// # Errors
/// Where it is no encrypted file of this format.
pub fn recipients(content: &[u8], input: Format, file: &Arc<str>) -> Result<Vec<Recipient>> {
    let (_, metadata) = load(content, input, file)?;
    Ok(metadata.groups.into_iter().flatten().map(|sealed| sealed.recipient).collect())
}

fn load(content: &[u8], input: Format, file: &Arc<str>) -> Result<(Vec<Node>, Metadata)> {
    if content.len() > FILE_BYTES {
        let message = format!("encrypted file is larger than {FILE_BYTES} bytes");
        return Err(Error::new(ErrorKind::Limit, Place::file(file.clone()), message));
    }
    let mut documents = match input {
        Format::Yaml => yaml::read(content, file)?,
        Format::Binary | Format::Json => vec![json::read(content).map_err(|f| f.at(file))?],
        Format::Dotenv => vec![dotenv::read(content).map_err(|f| f.at(file))?],
        Format::Ini => vec![ini::read(content).map_err(|f| f.at(file))?],
    };
    let metadata = metadata::take(&mut documents, input).map_err(|fault| fault.at(file))?;
    Ok((documents, metadata))
}

fn open(
    documents: &mut [Node],
    metadata: &Metadata,
    keys: &Keys,
    integrity: Integrity,
) -> Step<()> {
    let key = keys.data_key(metadata)?;
    let cipher = value::Cipher::new(&key)?;
    let code = tree::decrypt(documents, metadata, &cipher)?;
    match integrity {
        Integrity::Verified => tree::verify(&code, metadata, &cipher),
        Integrity::Ignored => Ok(()),
    }
}

fn emit(documents: &[Node], output: Format) -> Step<Zeroizing<Vec<u8>>> {
    let text = match (output, documents) {
        (Format::Yaml, documents) => yaml::write(documents)?,
        (Format::Json, [document]) => json::write(document)?,
        (Format::Binary, [document]) => json::write_binary(document)?,
        (Format::Dotenv, [document]) => dotenv::write(document)?,
        (Format::Ini, documents) => ini::write(documents)?,
        _ => return Err(Fault::invalid(format!("{output} holds exactly one document"))),
    };
    Ok(text)
}

/// A failure whose file the caller knows.
///
/// What is in it must be fit for a terminal: names and recipients, never a value.
struct Fault {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

type Step<T> = std::result::Result<T, Fault>;

impl Fault {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn at(self, file: &Arc<str>) -> Error {
        let error = Error::new(self.kind, Place::file(file.clone()), self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
