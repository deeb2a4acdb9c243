//! A document between reading and printing: its leaves are decrypted in place, and counted into the code that
//! tells whether anybody changed them.
//!
//! Which leaves are encrypted is a rule over the names on the way to them, or over the comments above them.
//!
//! Source: SOPS `sops.go`, `Tree.Decrypt`, `shouldBeEncrypted`, `ToBytes`.

use regex::Regex;
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use super::metadata::{Metadata, Rule};
use super::value::Cipher;
use super::{DEPTH, Fault, Step};
use crate::error::ErrorKind;

/// Text that is overwritten when it is dropped.
pub(super) type Text = Zeroizing<String>;

/// A value. It has no `Debug`: it may hold a secret.
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A time, as RFC 3339 writes it.
    Time(Text),
    Text(Text),
    Bytes(Zeroizing<Vec<u8>>),
    /// Text that is not UTF-8, which a Go string may hold: binary files.
    Raw(Zeroizing<Vec<u8>>),
    /// An element of a list that was a comment before it was encrypted.
    Comment(Text),
    List(Vec<Part>),
    Map(Vec<Part>),
}

/// A piece of a list or mapping.
pub(super) enum Part {
    /// Without its `#`; `inline` where it stands behind the next value.
    Comment { text: Text, inline: bool },
    /// An entry; in lists the key is empty.
    Entry { key: String, value: Node },
}

/// What the code over encrypted values begins with, where it leaves out the others.
/// Source: SOPS, `MACOnlyEncryptedInitialization`: the SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Bytes of a compiled rule.
const REGEX_BYTES: usize = 1 << 20;

impl Node {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Zeroizing::new(text.into()))
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Time(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&[Part]> {
        match self {
            Self::Map(parts) => Some(parts),
            _ => None,
        }
    }

    /// The value under a key.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        entries(self.as_map()?).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// The entries, without comments.
pub(super) fn entries(parts: &[Part]) -> impl Iterator<Item = (&str, &Node)> {
    parts.iter().filter_map(|part| match part {
        Part::Entry { key, value } => Some((key.as_str(), value)),
        Part::Comment { .. } => None,
    })
}

/// Decrypts all documents and gives the code over their values, in hexadecimal capitals.
pub(super) fn decrypt(
    documents: &mut [Node],
    metadata: &Metadata,
    cipher: &Cipher,
) -> Step<String> {
    let mut walk = Walk {
        rule: Compiled::new(&metadata.rule),
        only_encrypted: metadata.mac_only_encrypted,
        cipher,
        code: Sha512::new(),
        path: Vec::new(),
        comments: Vec::new(),
    };
    if metadata.mac_only_encrypted {
        walk.code.update(ONLY_ENCRYPTED);
    }
    for document in documents {
        walk.node(document)?;
    }
    let hex = walk.code.finalize().iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(hex)
}

/// Compares the code with the one in the file.
pub(super) fn verify(code: &str, metadata: &Metadata, cipher: &Cipher) -> Step<()> {
    let stored = cipher.open(&metadata.mac, &metadata.last_modified).map_err(|problem| {
        Fault::invalid(format!("the code over all values does not decrypt: {problem}"))
    })?;
    if stored.as_text() == Some(code) {
        return Ok(());
    }
    Err(Fault::invalid(
        "failed to verify sops data integrity: the file was changed after it was encrypted",
    ))
}

struct Walk<'a> {
    rule: Compiled<'a>,
    only_encrypted: bool,
    cipher: &'a Cipher,
    code: Sha512,
    path: Vec<String>,
    /// Of each open collection the comments since its last entry.
    comments: Vec<Vec<Text>>,
}

impl Walk<'_> {
    fn node(&mut self, node: &mut Node) -> Step<()> {
        match node {
            Node::Null => Ok(()),
            Node::List(parts) => self.parts(parts, false),
            Node::Map(parts) => self.parts(parts, true),
            leaf => self.leaf(leaf),
        }
    }

    fn parts(&mut self, parts: &mut [Part], map: bool) -> Step<()> {
        if self.comments.len() > DEPTH {
            return Err(Fault::new(ErrorKind::Limit, "the document is nested too deep"));
        }
        self.comments.push(Vec::new());
        for part in parts {
            match part {
                Part::Comment { text, .. } => self.comment(text),
                Part::Entry { key, value } => {
                    if map {
                        self.path.push(key.clone());
                    }
                    self.node(value)?;
                    if map {
                        self.path.pop();
                    }
                    if let Some(comments) = self.comments.last_mut() {
                        comments.clear();
                    }
                    if let Node::Comment(text) = value {
                        *part = Part::Comment { text: std::mem::take(text), inline: false };
                    }
                }
            }
        }
        self.comments.pop();
        Ok(())
    }

    /// A comment that does not decrypt was not encrypted: older versions left them as they were.
    fn comment(&mut self, text: &mut Text) {
        if self.rule.reads_comments()
            && let Some(comments) = self.comments.last_mut()
        {
            comments.push(text.clone());
        }
        if !self.encrypted(true) {
            return;
        }
        let plain = self.cipher.open(text, &self.additional_data());
        if let Ok(Node::Text(plain) | Node::Comment(plain)) = plain {
            *text = plain;
        }
    }

    fn leaf(&mut self, leaf: &mut Node) -> Step<()> {
        let encrypted = self.encrypted(false);
        if encrypted {
            let Some(sealed) = leaf.as_text() else {
                return Err(self.fault("is not encrypted, though its name says so"));
            };
            let plain = self.cipher.open(sealed, &self.additional_data());
            *leaf = plain.map_err(|problem| self.fault(problem))?;
        }
        if encrypted || !self.only_encrypted {
            self.count(leaf);
        }
        Ok(())
    }

    fn count(&mut self, leaf: &Node) {
        match leaf {
            Node::Text(text) | Node::Time(text) => self.code.update(text.as_bytes()),
            Node::Bytes(bytes) | Node::Raw(bytes) => self.code.update(bytes.as_slice()),
            Node::Bool(bool) => self.code.update(if *bool { "True" } else { "False" }),
            Node::Int(int) => self.code.update(int.to_string()),
            // Go prints all digits here, never an exponent, and so does Rust.
            Node::Float(float) => self.code.update(float.to_string()),
            Node::Null | Node::Comment(_) | Node::List(_) | Node::Map(_) => {}
        }
    }

    fn additional_data(&self) -> String {
        self.path.join(":") + ":"
    }

    fn encrypted(&self, comment: bool) -> bool {
        self.rule.holds(&self.path, &self.comments, comment)
    }

    fn fault(&self, problem: &str) -> Fault {
        Fault::invalid(format!("the value at \"{}\" {problem}", self.path.join(".")))
    }
}

/// A rule with its expression; one that does not compile matches nothing, as in SOPS.
struct Compiled<'a> {
    rule: &'a Rule,
    regex: Option<Regex>,
}

impl<'a> Compiled<'a> {
    fn new(rule: &'a Rule) -> Self {
        let compile =
            |text: &str| regex::RegexBuilder::new(text).size_limit(REGEX_BYTES).build().ok();
        let regex = match rule {
            Rule::EncryptedSuffix(_) | Rule::UnencryptedSuffix(_) => None,
            Rule::EncryptedRegex(text)
            | Rule::UnencryptedRegex(text)
            | Rule::EncryptedComment(text)
            | Rule::UnencryptedComment(text) => compile(text),
        };
        Self { rule, regex }
    }

    fn reads_comments(&self) -> bool {
        matches!(self.rule, Rule::EncryptedComment(_) | Rule::UnencryptedComment(_))
    }

    fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }

    fn holds(&self, path: &[String], comments: &[Vec<Text>], comment: bool) -> bool {
        match self.rule {
            Rule::EncryptedSuffix(suffix) => path.iter().any(|name| name.ends_with(suffix)),
            Rule::UnencryptedSuffix(suffix) => !path.iter().any(|name| name.ends_with(suffix)),
            Rule::EncryptedRegex(_) => path.iter().any(|name| self.matches(name)),
            Rule::UnencryptedRegex(_) => !path.iter().any(|name| self.matches(name)),
            Rule::UnencryptedComment(_) => {
                !comments.iter().flatten().any(|text| self.matches(text))
            }
            Rule::EncryptedComment(_) => {
                // A comment does not decide on itself.
                let own = usize::from(comment);
                let last = comments.len().saturating_sub(1);
                comments.iter().enumerate().any(|(index, texts)| {
                    let hidden = if index == last { own } else { 0 };
                    texts[..texts.len().saturating_sub(hidden)]
                        .iter()
                        .any(|text| self.matches(text))
                })
            }
        }
    }
}
