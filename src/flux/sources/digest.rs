//! What an artifact has to hash to.
//!
//! Source: fluxcd/pkg `http/fetch/archive_fetcher.go`: a digest without an algorithm is SHA-256, and none is refused.

use std::fmt;

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::error::{Error, ErrorKind, Place, Result};

/// A digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// Reads `sha256:…`, `sha384:…`, `sha512:…` or the bare hash of the first; `shown` is what it is of.
    ///
    /// # Errors
    /// Where it is none of these.
    pub fn parse(text: &str, shown: &str) -> Result<Self> {
        let (name, hex) = text.split_once(':').unwrap_or(("sha256", text));
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha384" => Algorithm::Sha384,
            "sha512" => Algorithm::Sha512,
            _ => {
                return Err(invalid(
                    shown,
                    format!("digests of the algorithm \"{}\" are not known", name.escape_debug()),
                ));
            }
        };
        let digits = hex.len() == algorithm.digits() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            let message = format!("\"{}\" is no digest", text.escape_debug());
            return Err(invalid(shown, message).hint("it has to be of the form sha256:HEX"));
        }
        Ok(Self { algorithm, hex: hex.to_ascii_lowercase() })
    }

    /// The one that Flux gives what it makes itself.
    #[must_use]
    pub fn sha256(content: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, hex: Algorithm::Sha256.hash(content) }
    }

    /// Compares with what came.
    ///
    /// # Errors
    /// Where it hashes to something else.
    pub fn check(&self, content: &[u8], shown: &str) -> Result<()> {
        let found = self.algorithm.hash(content);
        if found == self.hex {
            return Ok(());
        }
        let found = Self { algorithm: self.algorithm, hex: found };
        let message =
            format!("has the digest {found}, and not {self}: it is damaged or another artifact");
        Err(invalid(shown, message))
    }
}

fn invalid(shown: &str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, Place::file(shown), message)
}

impl Algorithm {
    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    fn hash(self, content: &[u8]) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Sha256 => hex(&Sha256::digest(content)),
            Self::Sha384 => hex(&Sha384::digest(content)),
            Self::Sha512 => hex(&Sha512::digest(content)),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        };
        write!(f, "{name}:{}", self.hex)
    }
}
