//! The key of a file as [age](https://age-encryption.org/v1) encrypts it, for X25519 and for the hybrid of ML-KEM-768
//! and X25519.
//!
//! What SOPS encrypts with age is a key of 32 bytes, so a reader of one small message is enough; the primitives are
//! those of RustCrypto. Passphrases are not among what SOPS uses, so nothing here works long on purpose.
//!
//! Source: C2SP `age.md`; filippo.io/age `x25519.go`, `pq.go`; draft-connolly-cfrg-xwing-kem; RFC 9180.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use ml_kem::kem::Decapsulate;
use ml_kem::{KemCore, MlKem768};
use sha2_10::Sha256;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::Fault;
use super::Step;

/// Most bytes of a message: SOPS encrypts keys of 32 bytes for one recipient.
const MESSAGE_BYTES: usize = 64 << 10;

/// Bytes of the key that encrypts a message.
const FILE_KEY_BYTES: usize = 16;

/// What follows a ciphertext to authenticate it.
const TAG_BYTES: usize = 16;

type Secret = Zeroizing<[u8; 32]>;

/// A secret key.
pub(super) enum Identity {
    X25519(Secret),
    /// The seed of both keys.
    Hybrid(Secret),
}

/// The secret keys of a key file: one a line, with comments.
pub(super) fn identities(text: &str) -> Step<Vec<Identity>> {
    let lines = text.lines().map(str::trim).enumerate();
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    keys.map(|(number, line)| {
        // The line itself may be a secret, whatever is wrong with it.
        identity(line).map_err(|problem| Fault::invalid(format!("line {} {problem}", number + 1)))
    })
    .collect()
}

fn identity(line: &str) -> Result<Identity, &'static str> {
    if line.starts_with("AGE-PLUGIN-") {
        return Err("is a key of an age plugin, and none is run here");
    }
    let (kind, secret) = bech32(line).ok_or("is no secret key of age")?;
    let secret =
        <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| "is a key of a wrong length")?;
    match kind.as_str() {
        "age-secret-key-" => Ok(Identity::X25519(Zeroizing::new(secret))),
        "age-secret-key-pq-" => Ok(Identity::Hybrid(Zeroizing::new(secret))),
        "age" | "age1pq" => Err("is a public key; a secret one begins with AGE-SECRET-KEY"),
        _ => Err("is a kind of key that is not known"),
    }
}

/// Prefix and bytes of a text in Bech32 of any length. Source: BIP 173.
fn bech32(text: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
    const LETTERS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let one_case = !text.bytes().any(|b| b.is_ascii_lowercase())
        || !text.bytes().any(|b| b.is_ascii_uppercase());
    if !one_case || !text.is_ascii() {
        return None;
    }
    let text = Zeroizing::new(text.to_ascii_lowercase());
    let (prefix, data) = text.rsplit_once('1')?;
    let values: Zeroizing<Vec<u8>> = Zeroizing::new(
        data.bytes()
            .map(|byte| {
                LETTERS.iter().position(|l| *l == byte).and_then(|at| u8::try_from(at).ok())
            })
            .collect::<Option<_>>()?,
    );
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    let checked = high.chain([0]).chain(low).chain(values.iter().copied());
    let sum = checked.fold(1u32, |sum, value| {
        let mixed = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        let bits = GENERATORS.iter().enumerate().filter(|(bit, _)| sum >> 25 >> bit & 1 == 1);
        bits.fold(mixed, |mixed, (_, generator)| mixed ^ generator)
    });
    let payload = values.len().checked_sub(6)?;
    if sum != 1 {
        return None;
    }
    let (mut bytes, mut buffer, mut bits) = (Zeroizing::new(Vec::with_capacity(payload)), 0u32, 0);
    for value in &values[..payload] {
        buffer = (buffer << 5 | u32::from(*value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from(buffer >> bits & 0xff));
        }
    }
    let rest = buffer & ((1 << bits) - 1);
    (bits < 5 && rest == 0).then(|| (prefix.to_owned(), bytes))
}

/// What became of a message.
pub(super) enum Opened {
    Plain(Zeroizing<Vec<u8>>),
    /// It is for others.
    NotForUs,
    /// It is for one of the keys, but somebody changed it, or it is no message of age.
    Broken(&'static str),
}

struct Stanza<'a> {
    arguments: Vec<&'a str>,
    body: Vec<u8>,
}

/// Opens an armoured message with any of the keys.
pub(super) fn open(message: &str, identities: &[Identity]) -> Opened {
    let Some(bytes) = unarmoured(message) else { return Opened::Broken("is no message of age") };
    let Some((stanzas, header, mac, payload)) = parts(&bytes) else {
        return Opened::Broken("is no message of age");
    };
    let pairs = identities.iter().flat_map(|key| stanzas.iter().map(move |stanza| (key, stanza)));
    let Some(file_key) = pairs.filter_map(|(key, stanza)| key.unwrap(stanza)).next() else {
        return Opened::NotForUs;
    };
    let mac_key = derive(&[], b"header", &file_key);
    let code =
        <Hmac<Sha256> as Mac>::new_from_slice(&*mac_key).map(|code| code.chain_update(header));
    if !code.is_ok_and(|code| code.verify_slice(&mac).is_ok()) {
        return Opened::Broken("was changed: its header does not verify");
    }
    match decrypted(payload, &file_key) {
        Some(plain) => Opened::Plain(plain),
        None => Opened::Broken("was changed: its content does not decrypt"),
    }
}

fn unarmoured(message: &str) -> Option<Vec<u8>> {
    if message.len() > MESSAGE_BYTES {
        return None;
    }
    let inner = message.trim().strip_prefix("-----BEGIN AGE ENCRYPTED FILE-----")?;
    let inner = inner.strip_suffix("-----END AGE ENCRYPTED FILE-----")?;
    let joined: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(joined).ok()
}

type Parts<'a> = (Vec<Stanza<'a>>, &'a [u8], Vec<u8>, &'a [u8]);

/// Stanzas, what their code is over, that code, and the payload.
fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mark = memchr::memmem::find(bytes, b"\n--- ")? + 1;
    let header = &bytes[..mark + 3];
    let end = mark + memchr::memchr(b'\n', &bytes[mark..])?;
    let mac = STANDARD_NO_PAD.decode(&bytes[mark + 4..end]).ok()?;
    let mut lines = std::str::from_utf8(&bytes[..mark]).ok()?.lines();
    if lines.next()? != "age-encryption.org/v1" {
        return None;
    }
    let mut stanzas = Vec::new();
    while let Some(line) = lines.next() {
        let arguments = line.strip_prefix("-> ")?.split(' ').collect();
        let mut body = Vec::new();
        loop {
            let line = lines.next()?;
            body.extend(STANDARD_NO_PAD.decode(line).ok()?);
            if line.len() < 64 {
                break;
            }
        }
        stanzas.push(Stanza { arguments, body });
    }
    Some((stanzas, header, mac, &bytes[end + 1..]))
}

/// The payload, which has to be one chunk: the key of a file is no longer.
fn decrypted(payload: &[u8], file_key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = payload.split_at_checked(16)?;
    let key = derive(nonce, b"payload", file_key);
    let mut last = [0; 12];
    last[11] = 1;
    unseal(&key, &last, sealed)
}

fn unseal(key: &[u8; 32], nonce: &[u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    ChaCha20Poly1305::new(key.into()).decrypt(nonce.into(), sealed).ok().map(Zeroizing::new)
}

fn derive(salt: &[u8], info: &[u8], secret: &[u8]) -> Secret {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info, &mut *key)
        .expect("32 bytes are one block of SHA-256");
    key
}

impl Identity {
    fn unwrap(&self, stanza: &Stanza<'_>) -> Option<Zeroizing<Vec<u8>>> {
        if stanza.body.len() != FILE_KEY_BYTES + TAG_BYTES {
            return None;
        }
        match (self, &stanza.arguments[..]) {
            (Self::X25519(secret), ["X25519", share]) => {
                let share = <[u8; 32]>::try_from(STANDARD_NO_PAD.decode(share).ok()?).ok()?;
                let secret = StaticSecret::from(**secret);
                let shared = secret.diffie_hellman(&PublicKey::from(share));
                let salt = [share, *PublicKey::from(&secret).as_bytes()].concat();
                let key = derive(&salt, b"age-encryption.org/v1/X25519", shared.as_bytes());
                shared.was_contributory().then(|| unseal(&key, &[0; 12], &stanza.body)).flatten()
            }
            (Self::Hybrid(seed), ["mlkem768x25519", share]) => {
                let shared = decapsulated(seed, &STANDARD_NO_PAD.decode(share).ok()?)?;
                let (key, nonce) = schedule(&shared, b"age-encryption.org/mlkem768x25519");
                unseal(&key, &nonce, &stanza.body)
            }
            _ => None,
        }
    }
}

/// The shared secret of X-Wing. Source: draft-connolly-cfrg-xwing-kem, 5.
fn decapsulated(seed: &Secret, share: &[u8]) -> Option<Secret> {
    /// Bytes of the part that is ML-KEM's.
    const KEM_BYTES: usize = 1088;
    let (sealed, point) = share.split_at_checked(KEM_BYTES)?;
    let point = <[u8; 32]>::try_from(point).ok()?;
    let mut expanded = Zeroizing::new([0; 96]);
    sha3::Shake256::default().chain(seed.as_slice()).finalize_xof().read(&mut *expanded);
    let array = |from: usize| <[u8; 32]>::try_from(&expanded[from..from + 32]).ok();
    let (decapsulation, _) =
        MlKem768::generate_deterministic(&array(0)?.into(), &array(32)?.into());
    let first =
        decapsulation.decapsulate(&ml_kem::Ciphertext::<MlKem768>::try_from(sealed).ok()?).ok()?;
    let secret = StaticSecret::from(array(64)?);
    let second = secret.diffie_hellman(&PublicKey::from(point));
    let combined = <sha3::Sha3_256 as sha3::Digest>::new()
        .chain(first.as_slice())
        .chain(second.as_bytes())
        .chain(point)
        .chain(PublicKey::from(&secret).as_bytes())
        .chain(br"\.//^\");
    Some(Zeroizing::new(sha3::Digest::finalize(combined).into()))
}

/// Key and nonce of the only message. Source: RFC 9180, 5.1, base mode.
fn schedule(shared: &Secret, info: &[u8]) -> (Secret, [u8; 12]) {
    // MLKEM768-X25519, HKDF-SHA256, ChaCha20-Poly1305.
    const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
    let extract = |salt: &[u8], label: &[u8], secret: &[u8]| {
        let labelled = Zeroizing::new([b"HPKE-v1", SUITE, label, secret].concat());
        Hkdf::<Sha256>::extract(Some(salt), &labelled)
    };
    let (psk, _) = extract(&[], b"psk_id_hash", &[]);
    let (info, _) = extract(&[], b"info_hash", info);
    let context = [&[0][..], &psk, &info].concat();
    let (_, secret) = extract(shared.as_slice(), b"secret", &[]);
    let expand = |label: &[u8], length: u8, out: &mut [u8]| {
        let labelled = [&[0, length][..], b"HPKE-v1", SUITE, label, &context].concat();
        secret.expand(&labelled, out).expect("32 bytes are one block of SHA-256");
    };
    let (mut key, mut nonce) = (Zeroizing::new([0; 32]), [0; 12]);
    expand(b"key", 32, &mut *key);
    expand(b"base_nonce", 12, &mut nonce);
    (key, nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bech32_and_refuses_a_changed_letter() {
        // The first is a vector of BIP 173.
        assert!(bech32("A12UEL5L").is_some_and(|(prefix, data)| prefix == "a" && data.is_empty()));
        assert!(bech32("A12UEL5M").is_none());
        assert!(bech32("A12uel5l").is_none());
        assert!(bech32("1").is_none());
        assert!(bech32("").is_none());
    }

    #[test]
    fn never_repeats_a_line_that_is_no_key() {
        let Err(fault) = identities("# mine\nAGE-SECRET-KEY-1CANARY") else { panic!("no key") };
        assert_eq!(fault.message, "line 2 is no secret key of age");
    }
}
