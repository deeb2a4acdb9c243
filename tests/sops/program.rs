//! Files that the real `sops` encrypts: ours and `sops -d` agree byte for byte.

use std::path::PathBuf;
use std::process::{Command, Output};

use overlay::sops::{Format, Integrity, Keys, decrypt};
use x25519_dalek::{PublicKey, StaticSecret};

use super::file;

/// The program, and a folder and an age key to use it with.
pub(crate) struct Sops {
    program: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) secret: String,
    pub(crate) recipient: String,
}

/// A fresh key of age: the secret one and the public one.
pub(crate) fn age_key() -> (String, String) {
    let secret = StaticSecret::from(rand::random::<[u8; 32]>());
    let public = PublicKey::from(&secret);
    let secret = bech32("age-secret-key-", secret.as_bytes()).to_uppercase();
    (secret, bech32("age", public.as_bytes()))
}

fn bech32(prefix: &str, bytes: &[u8]) -> String {
    let mut bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    bits.resize(bits.len().div_ceil(5) * 5, false);
    let mut values: Vec<u32> = bits
        .chunks(5)
        .map(|five| five.iter().fold(0, |value, bit| value << 1 | u32::from(*bit)))
        .collect();
    let expanded = prefix.bytes().map(|b| b >> 5).chain([0]).chain(prefix.bytes().map(|b| b & 31));
    let all = expanded.map(u32::from).chain(values.iter().copied()).chain([0; 6]);
    let sum = 1 ^ all.fold(1u32, |sum, value| {
        let mixed = (sum & 0x1ff_ffff) << 5 ^ value;
        [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| sum >> 25 >> bit & 1 == 1)
            .fold(mixed, |mixed, (_, generator)| mixed ^ generator)
    });
    values.extend((0..6).map(|at| sum >> (5 * (5 - at)) & 31));
    let letters = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let text: String = values.iter().map(|value| char::from(letters[*value as usize])).collect();
    format!("{prefix}1{text}")
}

impl Sops {
    pub(crate) fn new() -> Option<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache =
            cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([cache.join("overlay-test-peers")]);
        let found = folders.map(|folder| folder.join("sops")).find(|program| program.is_file());
        let Some(program) = found else {
            assert!(std::env::var_os("CI").is_none(), "sops is needed: run tests/peers.sh");
            eprintln!("SKIPPED: there is no sops (tests/peers.sh brings it)");
            return None;
        };
        let (secret, recipient) = age_key();
        Some(Self { program, folder: tempfile::tempdir().unwrap(), secret, recipient })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        keys.add_age(&self.secret, &file()).unwrap();
        keys
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(&self.program)
            .args(["--disable-version-check"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("GNUPGHOME", self.folder.path())
            .env("SOPS_AGE_KEY", &self.secret)
            .output()
            .unwrap()
    }

    fn output(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "sops {arguments:?}: {error}");
        output.stdout
    }

    /// Encrypts `plain` for our key, or for whom `flags` name.
    pub(crate) fn encrypt(&self, name: &str, plain: &[u8], flags: &[&str]) -> Vec<u8> {
        std::fs::write(self.path(name), plain).unwrap();
        let ours = ["--age", &self.recipient];
        let named = flags.contains(&"--pgp") || self.path(".sops.yaml").exists();
        let recipients = if named { &[][..] } else { &ours };
        let encrypted = self.output(&[&["encrypt"], flags, recipients, &[name]].concat());
        std::fs::write(self.path(name), &encrypted).unwrap();
        encrypted
    }

    /// What the program makes of the file that was encrypted last under this name.
    pub(crate) fn decrypt(&self, name: &str) -> Vec<u8> {
        self.output(&["decrypt", name])
    }

    fn agrees(&self, name: &str, plain: &[u8], flags: &[&str]) {
        let encrypted = self.encrypt(name, plain, flags);
        let format = Format::for_path(name);
        let theirs = self.decrypt(name);
        let open =
            |integrity| decrypt(&encrypted, format, format, &self.keys(), integrity, &file());
        let ours =
            open(Integrity::Ignored).unwrap_or_else(|error| panic!("{name} {flags:?}: {error}"));
        if *ours != theirs {
            let (ours, theirs) = (String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs));
            let diff = similar::TextDiff::from_lines(&*theirs, &*ours);
            panic!("{name} {flags:?}:\n{}", diff.unified_diff());
        }
        assert!(open(Integrity::Verified).is_ok(), "{name} {flags:?}: the code does not verify");
    }
}

const YAML: &str = r#"# above everything
# in two lines
apiVersion: v1
kind: Secret
metadata:
  # above a nested key
  name: app
  labels: {a: b, "c": 'd'}
  annotations: {}
# above data
data:
  int: 42
  negative: -7
  big: 9007199254740993
  octal: 0o17
  hex: 0x1F
  float: 3.25
  tiny: 1e-9
  huge: 1.5e+30
  million: 1000000.0
  yes: true
  no: false
  null_value: null
  tilde: ~
  empty: ""
  date: 2001-12-14
  time: 2001-12-14t21:59:43.10-05:00
  # below the numbers and above the texts
  word: plain
  colon: "a: b"
  hash: "a #b"
  dash: "- x"
  star: "*x"
  quoted_number: "42"
  quoted_true: "true"
  old_true: "yes"
  base60: "12:30:45"
  leading: " x"
  trailing: "x "
  tab: "a\tb"
  quote: it's
  double: 'say "hi"'
  backslash: 'a\b'
  unicode: "grüße, ☃"
  emoji: "😀"
  bell: "\a"
  multi: |
    one
    two
  multi_keep: |+
    one

  multi_strip: |-
    one
      two
  multi_lead: "\n x\ny"
  multi_trail: "a \nb"
  folded: >
    one
    two

    three
  long: aaaaaaaaaa bbbbbbbbbb cccccccccc dddddddddd eeeeeeeeee ffffffffff gggggggggg hhhhhhhhhh iiiiiiiiii jjjjjjjjjj
  "key with: colon": 1
  "y": 2
  "": 3
  list:
    - a
    # above b
    - b
    - [c, [d, e], []]
    - k: v
      l: w
      # below w
    # above the next element
    - k: v
      nested:
        - deep:
            deeper: x
    -
    - ""
  plain_unencrypted: left as it is
  unencrypted_unencrypted:
    nested: also
# at the end
"#;

const JSON: &str = r#"{"a": "text", "n": 1, "f": 1.5, "e": 1e30, "t": true, "z": null, "empty": {}, "none": [],
 "nested": {"list": [1, "two", {"three": [3]}, [], [[]]], "html": "<&>", "unicode": "\u00e9\u2028😀", "quote": "\"\\\n\t"},
 "b_unencrypted": {"x": [1, "y"]}}"#;

const DOTENV: &str = "# a comment\nA=1\nB=with space and = sign\nMULTI=one\\ntwo\n#\nEMPTY=\nQUOTED=\"x\"\nC_unencrypted=plain\n";

const INI: &str = "; of the default section\ntop = level\n\n; of a section\n[section]\n; of a key\nkey = value\nlonger_key = two words\nhash = `a#b;c`\nempty =\nquoted = \"x y\"\nn = 42\n\n[other:one]\na = b=c\nx_unencrypted = plain\n";

#[test]
fn every_format_agrees() {
    let Some(sops) = Sops::new() else { return };
    sops.agrees("a.yaml", YAML.as_bytes(), &[]);
    sops.agrees("a.json", JSON.as_bytes(), &[]);
    sops.agrees("a.env", DOTENV.as_bytes(), &[]);
    sops.agrees("a.ini", INI.as_bytes(), &[]);
    sops.agrees("a.txt", b"any\ntext\n", &[]);
    sops.agrees("a.bin", &(0..=255).collect::<Vec<u8>>(), &[]);
    sops.agrees("b.yaml", b"a: 1\n---\n# second\nb: [x]\n---\nc: {d: e}\n", &[]);
    sops.agrees("c.yaml", b"a: x\n", &[]);
}

#[test]
fn every_rule_agrees() {
    let Some(sops) = Sops::new() else { return };
    for flags in [
        &["--encrypted-regex", "^(data|stringData)$"][..],
        &["--unencrypted-regex", "^(int|list|l.*)$"],
        &["--encrypted-suffix", "_unencrypted"],
        &["--unencrypted-suffix", "a"],
    ] {
        sops.agrees("rule.yaml", YAML.as_bytes(), flags);
    }
    for rule in [
        "encrypted_regex: ^data$\n    mac_only_encrypted: true",
        "unencrypted_suffix: _unencrypted\n    mac_only_encrypted: true",
        "encrypted_comment_regex: above",
        "unencrypted_comment_regex: above",
    ] {
        let age = &sops.recipient;
        let config = format!("creation_rules:\n  - age: {age}\n    {rule}\n");
        std::fs::write(sops.path(".sops.yaml"), config).unwrap();
        sops.agrees("only.yaml", YAML.as_bytes(), &[]);
    }
}

#[test]
fn a_key_in_parts_needs_enough_of_them() {
    let Some(sops) = Sops::new() else { return };
    let others = [age_key(), age_key()];
    let groups: String = [&sops.recipient, &others[0].1, &others[1].1]
        .iter()
        .map(|recipient| format!("      - age: [{recipient}]\n"))
        .collect();
    let config = format!("creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n{groups}");
    std::fs::write(sops.path(".sops.yaml"), config).unwrap();
    let encrypted = sops.encrypt("s.yaml", b"a: secret\n", &[]);
    let open = |secrets: &[&str]| {
        let mut keys = Keys::default();
        keys.add_age(&secrets.join("\n"), &file()).unwrap();
        let plain =
            decrypt(&encrypted, Format::Yaml, Format::Yaml, &keys, Integrity::Verified, &file());
        plain.map(|plain| plain.to_vec())
    };
    for pair in [[&sops.secret, &others[1].0], [&others[0].0, &others[1].0]] {
        assert_eq!(open(&pair.map(String::as_str)).unwrap(), b"a: secret\n");
    }
    let error = open(&[&sops.secret]).unwrap_err().to_string();
    assert!(error.contains("open 1 of the 2 groups"), "{error}");
    assert!(error.contains(&others[0].1), "{error}");
}

#[test]
fn openpgp_keys_open_files_armoured_or_not() {
    use pgp::composed::{ArmorOptions, KeyType, SignedPublicKey};
    use pgp::ser::Serialize;
    let Some(sops) = Sops::new() else { return };
    let key = pgp_key(KeyType::Ed25519Legacy);
    let public = SignedPublicKey::from(key.clone());
    // SOPS reads this file where no GnuPG is there.
    std::fs::write(sops.path("pubring.gpg"), public.to_bytes().unwrap()).unwrap();
    std::fs::write(sops.path("secring.gpg"), key.to_bytes().unwrap()).unwrap();
    let fingerprint = pgp::types::KeyDetails::fingerprint(&public).to_string().to_uppercase();
    let encrypted = sops.encrypt("p.yaml", YAML.as_bytes(), &["--pgp", &fingerprint]);
    let theirs = sops.decrypt("p.yaml");
    let armoured = key.to_armored_bytes(ArmorOptions::default()).unwrap();
    for export in [armoured, key.to_bytes().unwrap()] {
        let mut keys = Keys::default();
        keys.add_file(&export, &file()).unwrap();
        let ours =
            decrypt(&encrypted, Format::Yaml, Format::Yaml, &keys, Integrity::Verified, &file());
        assert_eq!(*ours.unwrap(), theirs);
    }
    let mut keys = Keys::default();
    let error = keys.add_pgp(&public.to_bytes().unwrap(), &file()).unwrap_err();
    assert!(error.message().contains("no export of secret keys"), "{error}");
    let other = pgp_key(KeyType::Ed25519Legacy);
    keys.add_pgp(&other.to_bytes().unwrap(), &file()).unwrap();
    let error =
        decrypt(&encrypted, Format::Yaml, Format::Yaml, &keys, Integrity::Verified, &file());
    assert!(error.err().unwrap().to_string().contains(&fingerprint));
}

pub(crate) fn pgp_key(primary: pgp::composed::KeyType) -> pgp::composed::SignedSecretKey {
    use pgp::composed::{EncryptionCaps, KeyType, SecretKeyParamsBuilder, SubkeyParamsBuilder};
    use pgp::crypto::ecc_curve::ECCCurve;
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(KeyType::ECDH(ECCCurve::Curve25519Legacy)).can_encrypt(EncryptionCaps::All);
    let mut params = SecretKeyParamsBuilder::default();
    params
        .key_type(primary)
        .can_certify(true)
        .can_sign(true)
        .primary_user_id("test <test@example.com>".into())
        .subkeys(vec![subkey.build().unwrap()]);
    params.build().unwrap().generate(rand::thread_rng()).unwrap()
}

#[test]
fn what_was_changed_or_moved_is_refused() {
    let Some(sops) = Sops::new() else { return };
    let encrypted = sops.encrypt("t.yaml", b"a: one\nb: two\nc_unencrypted: x\n", &[]);
    let text = String::from_utf8(encrypted).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let value = |at: usize| lines[at].split_once(": ").unwrap().1;
    let open = |text: &str, integrity| {
        decrypt(text.as_bytes(), Format::Yaml, Format::Yaml, &sops.keys(), integrity, &file())
    };
    let swapped = text.replace(value(0), "@").replace(value(1), value(0)).replace('@', value(1));
    let error = open(&swapped, Integrity::Ignored).err().unwrap();
    assert!(error.message().contains("the value at \"a\" does not decrypt"), "{error}");
    let changed = text.replace("c_unencrypted: x", "c_unencrypted: y");
    let error = open(&changed, Integrity::Verified).err().unwrap();
    assert!(error.message().contains("failed to verify sops data integrity"), "{error}");
    assert!(open(&changed, Integrity::Ignored).is_ok());
    let removed = lines[1..].join("\n");
    assert!(open(&removed, Integrity::Verified).is_err());
    let plain = text.replace(value(0), "plain");
    let error = open(&plain, Integrity::Ignored).err().unwrap();
    assert!(error.message().contains("does not match sops' data format"), "{error}");
}

#[test]
fn formats_convert_where_flux_asks_for_it() {
    let Some(sops) = Sops::new() else { return };
    let encrypted = sops.encrypt("d.env", b"A=1\nB=two\n", &[]);
    let open = |output| {
        decrypt(&encrypted, Format::Dotenv, output, &sops.keys(), Integrity::Ignored, &file())
    };
    assert_eq!(&**open(Format::Json).unwrap(), b"{\n\t\"A\": \"1\",\n\t\"B\": \"two\"\n}\n");
    assert_eq!(&**open(Format::Yaml).unwrap(), b"A: \"1\"\nB: two\n");
    assert!(open(Format::Binary).is_err());
}
