//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:str]`.
//!
//! The path to the value is part of what is authenticated, so values cannot be moved about in a file.
//!
//! Source: SOPS `aes/cipher.go`.

use aes_gcm::aead::AeadInPlace;
use aes_gcm::aead::generic_array::ArrayLength;
use aes_gcm::aead::generic_array::typenum::{U12, U16, U32};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::tree::Node;
use super::{Fault, Step};

/// The key of one file.
pub(super) struct Cipher {
    key: Zeroizing<[u8; 32]>,
    /// SOPS makes nonces of 32 bytes.
    usual: AesGcm<Aes256, U32>,
}

struct Sealed<'a> {
    data: Zeroizing<Vec<u8>>,
    nonce: Vec<u8>,
    tag: Vec<u8>,
    kind: &'a str,
}

/// What is wrong with a value; the words must follow "the value at …".
type Problem = &'static str;

const NOT_ENCRYPTED: Problem = "does not match sops' data format";
const NOT_BASE64: Problem = "has parts that are not base64";
const NOT_OURS: Problem =
    "does not decrypt: it was changed, moved, or encrypted with another data key";
const NOT_ITS_TYPE: Problem = "does not have the type that it was encrypted with";

impl Cipher {
    pub(super) fn new(key: &[u8]) -> Step<Self> {
        let Ok(key) = <[u8; 32]>::try_from(key) else {
            return Err(Fault::invalid("cannot get sops data key: it does not have 32 bytes"));
        };
        let key = Zeroizing::new(key);
        Ok(Self { usual: AesGcm::new((&*key).into()), key })
    }

    /// The value of an encrypted text; the empty text stands for itself.
    pub(super) fn open(&self, sealed: &str, additional_data: &str) -> Result<Node, Problem> {
        if sealed.is_empty() {
            return Ok(Node::text(""));
        }
        let Sealed { mut data, nonce, tag, kind } = parse(sealed)?;
        let more = additional_data.as_bytes();
        match nonce.len() {
            32 => unseal(&self.usual, &nonce, more, &mut data, &tag)?,
            12 => unseal::<U12>(&AesGcm::new((&*self.key).into()), &nonce, more, &mut data, &tag)?,
            16 => unseal::<U16>(&AesGcm::new((&*self.key).into()), &nonce, more, &mut data, &tag)?,
            _ => return Err("has a nonce of a length that nobody uses"),
        }
        typed(data, kind)
    }
}

fn unseal<N: ArrayLength<u8>>(
    cipher: &AesGcm<Aes256, N>,
    nonce: &[u8],
    additional_data: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Result<(), Problem> {
    if tag.len() != 16 {
        return Err(NOT_OURS);
    }
    let (nonce, tag) = (Nonce::<N>::from_slice(nonce), Tag::from_slice(tag));
    cipher.decrypt_in_place_detached(nonce, additional_data, data, tag).map_err(|_| NOT_OURS)
}

fn parse(text: &str) -> Result<Sealed<'_>, Problem> {
    let parts = || {
        let rest = text.strip_prefix("ENC[AES256_GCM,data:")?;
        let (rest, kind) = rest[..rest.rfind(']')?].rsplit_once(",type:")?;
        let (rest, tag) = rest.rsplit_once(",tag:")?;
        let (data, nonce) = rest.rsplit_once(",iv:")?;
        Some((data, nonce, tag, kind))
    };
    let (data, nonce, tag, kind) = parts().ok_or(NOT_ENCRYPTED)?;
    let decode = |part: &str| STANDARD.decode(part).map_err(|_| NOT_BASE64);
    Ok(Sealed {
        data: Zeroizing::new(decode(data)?),
        nonce: decode(nonce)?,
        tag: decode(tag)?,
        kind,
    })
}

fn typed(data: Zeroizing<Vec<u8>>, kind: &str) -> Result<Node, Problem> {
    if kind == "bytes" {
        return Ok(Node::Bytes(data));
    }
    let Ok(text) = std::str::from_utf8(&data) else {
        return if kind == "str" { Ok(Node::Raw(data)) } else { Err(NOT_ITS_TYPE) };
    };
    Ok(match kind {
        "str" => Node::text(text),
        "comment" => Node::Comment(Zeroizing::new(text.to_owned())),
        "time" => Node::Time(Zeroizing::new(text.to_owned())),
        "int" => Node::Int(text.parse().map_err(|_| NOT_ITS_TYPE)?),
        "float" => Node::Float(float(text).ok_or(NOT_ITS_TYPE)?),
        "bool" => Node::Bool(bool(text).ok_or(NOT_ITS_TYPE)?),
        _ => return Err("has a type that nobody knows"),
    })
}

/// Source: Go `strconv.ParseFloat`.
fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Source: Go `strconv.ParseBool`.
fn bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
