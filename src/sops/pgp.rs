//! The key of a file as OpenPGP encrypts it, opened with exported secret keys.
//!
//! Source: SOPS `pgp/keysource.go`; RFC 9580.

use std::io::{Cursor, Read};

use pgp::composed::{Message, PublicOrSecret, SignedSecretKey};
use pgp::types::Password;
use zeroize::Zeroizing;

use super::{Fault, Step};

/// Most bytes of an exported keyring.
const KEYRING_BYTES: usize = 16 << 20;

/// Most bytes of a message: SOPS encrypts keys of 32 bytes.
const MESSAGE_BYTES: usize = 256 << 10;

/// Most bytes of what is in a message, however much it says it unpacks to.
const CONTENT_BYTES: u64 = 4 << 10;

/// Most compressions around each other.
const LAYERS: usize = 4;

/// A secret key with its subkeys.
pub(super) struct Identity(Box<SignedSecretKey>);

/// The secret keys of an export of GnuPG, armoured or not. Public ones are left out.
pub(super) fn identities(bytes: &[u8]) -> Step<Vec<Identity>> {
    let refused = |why: &str| Fault::invalid(format!("{why} of OpenPGP"));
    if bytes.len() > KEYRING_BYTES {
        return Err(refused("is too large for an export"));
    }
    let unreadable = || refused("is no export of secret keys");
    // What the parser says may quote what it parsed.
    let (keys, _) =
        PublicOrSecret::from_reader_many(Cursor::new(bytes)).map_err(|_| unreadable())?;
    let mut found = Vec::new();
    for key in keys {
        if let PublicOrSecret::Secret(key) = key.map_err(|_| unreadable())? {
            let locked = |params: &pgp::types::SecretParams| params.is_encrypted();
            let all_locked = locked(key.primary_key.secret_params())
                && key.secret_subkeys.iter().all(|subkey| locked(subkey.key.secret_params()));
            if all_locked {
                let hint = "export it without one, as Flux needs it too";
                return Err(refused("is protected by a passphrase, the export").hint(hint));
            }
            found.push(Identity(Box::new(key)));
        }
    }
    if found.is_empty() { Err(unreadable()) } else { Ok(found) }
}

/// Opens an armoured message with any of the keys; `None` where none of them does.
pub(super) fn open(message: &str, identities: &[Identity]) -> Option<Zeroizing<Vec<u8>>> {
    if message.len() > MESSAGE_BYTES {
        return None;
    }
    identities.iter().find_map(|identity| content(message, identity))
}

fn content(message: &str, identity: &Identity) -> Option<Zeroizing<Vec<u8>>> {
    let (message, _) = Message::from_armor(Cursor::new(message.as_bytes())).ok()?;
    let mut message = message.decrypt(&Password::empty(), &identity.0).ok()?;
    for _ in 0..LAYERS {
        if !message.is_compressed() {
            break;
        }
        message = message.decompress().ok()?;
    }
    let mut content = Zeroizing::new(Vec::with_capacity(256));
    // Reading to the end verifies the code of the message.
    message.take(CONTENT_BYTES).read_to_end(&mut content).ok()?;
    Some(content)
}
