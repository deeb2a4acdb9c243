//! Nothing that is secret gets into a message: canaries in every input, all output searched.

use std::sync::Arc;

use overlay::Limits;
use overlay::sops::{Format, Integrity, Keys, decrypt, mask, objects, probe, recipients};
use overlay::yaml;

use super::file;
use super::program::{Sops, age_key};

const CANARY: &str = "canary-7f3a91";

/// Everything that a failed step says.
fn said<T>(result: overlay::Result<T>) -> String {
    result.err().map(|error| format!("{error}\n{error:?}")).unwrap_or_default()
}

/// The text with one byte of each kind changed at many places.
fn broken(text: &str) -> impl Iterator<Item = String> + '_ {
    let steps = (0..text.len()).step_by(7);
    steps.flat_map(move |at| {
        ["", "\n", "[", "\"", "A", ":", "\u{0}"].into_iter().filter_map(move |with| {
            let (before, after) = (text.get(..at)?, text.get(at + 1..)?);
            Some(format!("{before}{with}{after}"))
        })
    })
}

#[test]
fn no_message_holds_a_secret() {
    let Some(sops) = Sops::new() else { return };
    let (right, wrong) = (sops.keys(), {
        let mut keys = Keys::default();
        keys.add_age(&age_key().0, &file()).unwrap();
        keys
    });
    let secrets = [CANARY, &sops.secret, &sops.secret.to_lowercase()];
    let mut messages = 0;
    let mut check = |said: String| {
        messages += usize::from(!said.is_empty());
        assert!(!secrets.iter().any(|secret| said.contains(secret)), "{said}");
    };
    for (name, plain) in [
        ("c.yaml", format!("kind: Secret\ndata:\n  a: {CANARY}\n  b: 12\n  # {CANARY}\n")),
        ("c.json", format!("{{\"a\": \"{CANARY}\", \"b\": [true]}}")),
        ("c.env", format!("A={CANARY}\n# {CANARY}\n")),
        ("c.ini", format!("[s]\na = {CANARY}\n")),
        ("c.bin", CANARY.to_owned()),
    ] {
        let encrypted = String::from_utf8(sops.encrypt(name, plain.as_bytes(), &[])).unwrap();
        let format = Format::for_path(name);
        for output in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
            check(said(decrypt(
                encrypted.as_bytes(),
                format,
                output,
                &right,
                Integrity::Verified,
                &file(),
            )));
        }
        check(said(decrypt(
            encrypted.as_bytes(),
            format,
            format,
            &wrong,
            Integrity::Verified,
            &file(),
        )));
        check(said(decrypt(
            plain.as_bytes(),
            format,
            format,
            &right,
            Integrity::Verified,
            &file(),
        )));
        for text in broken(&encrypted).step_by(if format == Format::Yaml { 1 } else { 5 }) {
            check(said(probe(text.as_bytes(), format, &right, &file())));
            check(said(recipients(text.as_bytes(), Format::Yaml, &file())));
        }
    }
    eprintln!("{messages} messages, none with a secret");
    assert!(messages > 500);
}

#[test]
fn no_key_is_shown() {
    let (secret, _) = age_key();
    let from: Arc<str> = "keys.txt".into();
    let mut keys = Keys::default();
    keys.add_age(&secret, &from).unwrap();
    assert!(!format!("{keys:?}").contains(&secret));
    for text in
        [&secret[..40], &format!("{secret}A"), &secret.replace('-', " "), "AGE-PLUGIN-X-1CANARY"]
    {
        let said = said(keys.add_age(text, &from));
        assert!(said.contains("keys.txt") && !said.contains(text), "{said}");
        assert!(!said.contains(&secret[16..30]), "{said}");
    }
    let export = format!(
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{CANARY}\n-----END PGP PRIVATE KEY BLOCK-----\n"
    );
    assert!(!said(keys.add_pgp(export.as_bytes(), &from)).contains(CANARY));
}

#[test]
fn a_masked_secret_holds_nothing_of_what_was_encrypted() {
    let Some(sops) = Sops::new() else { return };
    let plain = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{a: {CANARY}}}\n"
    );
    let flags = ["--encrypted-regex", "^(data|stringData)$"];
    let encrypted = sops.encrypt("m.yaml", plain.as_bytes(), &flags);
    let mut objects = yaml::read(&encrypted, &file(), &Limits::PERSON).unwrap();
    let probed = objects::probe(&objects[0], &sops.keys(), &file());
    assert!(probed.unwrap().is_ok());
    let without = objects::probe(&objects[0], &Keys::default(), &file());
    assert!(said(without.unwrap()).contains(&sops.recipient));
    assert!(mask::mask(&mut objects[0]));
    let mut masked = String::new();
    yaml::write(&objects[0], &mut masked).unwrap();
    assert_eq!(
        masked,
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\nstringData:\n  a: '**SOPS**'\n"
    );
}
