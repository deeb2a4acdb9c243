//! JSON objects in the order of their source, and the envelope of binary files.
//!
//! A reader of our own, since the order of keys counts in the code over the values, and numbers keep what they are.
//!
//! Source: SOPS `stores/json/store.go`; Go `encoding/json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::tree::{Node, Part, entries};
use super::{DEPTH, Fault, Step};
use crate::error::ErrorKind;
use crate::json::write_string;
use crate::yaml::scalar::write_json_float;

/// Reads an object; what follows it is not looked at.
pub(super) fn read(content: &[u8]) -> Step<Node> {
    let text = std::str::from_utf8(content).map_err(|_| Fault::invalid("not UTF-8"))?;
    let mut reader = Reader { text, at: 0, depth: 0 };
    if reader.next_byte() != Some(b'{') {
        return Err(reader.malformed("an object"));
    }
    reader.value()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    /// The next byte that is no blank; it stays.
    fn next_byte(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.next_byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self) -> Step<Node> {
        match self.next_byte() {
            Some(b'{') => self.collection(b'}', true).map(Node::Map),
            Some(b'[') => self.collection(b']', false).map(Node::List),
            Some(b'"') => self.string().map(Node::text),
            _ => self.word(),
        }
    }

    fn collection(&mut self, end: u8, map: bool) -> Step<Vec<Part>> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::new(ErrorKind::Limit, format!("nested deeper than {DEPTH} levels")));
        }
        self.at += 1;
        let mut parts = Vec::new();
        if !self.take(end) {
            loop {
                let key = if map { self.key()? } else { String::new() };
                parts.push(Part::Entry { key, value: self.value()? });
                if self.take(end) {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.malformed("\",\""));
                }
            }
        }
        self.depth -= 1;
        Ok(parts)
    }

    fn key(&mut self) -> Step<String> {
        if self.next_byte() != Some(b'"') {
            return Err(self.malformed("a key in double quotes"));
        }
        let key = self.string()?;
        if self.take(b':') { Ok(key) } else { Err(self.malformed("\":\"")) }
    }

    fn string(&mut self) -> Step<String> {
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(self.malformed("the end of a text")),
            }
        }
        let quoted = self.text.get(self.at..=end);
        let text = quoted.and_then(|quoted| serde_json::from_str(quoted).ok());
        let text = text.ok_or_else(|| self.malformed("a text"))?;
        self.at = end + 1;
        Ok(text)
    }

    fn word(&mut self) -> Step<Node> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        let word = &rest[..end.unwrap_or(rest.len())];
        let node = match word {
            "null" => Node::Null,
            "true" => Node::Bool(true),
            "false" => Node::Bool(false),
            _ if serde_json::from_str::<serde_json::Number>(word).is_err() => {
                return Err(self.malformed("a value"));
            }
            number => match (number.parse(), number.parse()) {
                (Ok(int), _) => Node::Int(int),
                (_, Ok(float)) => Node::Float(float),
                _ => return Err(self.malformed("a number")),
            },
        };
        self.at += word.len();
        Ok(node)
    }

    fn malformed(&self, expected: &str) -> Fault {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        Fault::invalid(format!("line {line} is no JSON: expected {expected}"))
    }
}

/// Prints an object as SOPS does: with tabs, and a line break at the end.
pub(super) fn write(document: &Node) -> Step<Zeroizing<Vec<u8>>> {
    // Grown in one piece where possible: what a growing buffer leaves behind is not overwritten.
    let mut out = String::with_capacity(4096);
    write_value(document, 0, &mut out)?;
    out.push('\n');
    Ok(Zeroizing::new(out.into_bytes()))
}

fn write_value(node: &Node, depth: usize, out: &mut String) -> Step<()> {
    match node {
        Node::Null => out.push_str("null"),
        Node::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
        Node::Int(int) => out.push_str(&int.to_string()),
        Node::Float(float) if float.is_finite() => write_json_float(*float, out),
        Node::Float(_) => return Err(Fault::invalid("infinities and NaN have no JSON")),
        Node::Text(text) | Node::Time(text) | Node::Comment(text) => write_string(text, out),
        Node::Bytes(bytes) => write_string(&STANDARD.encode(bytes), out),
        Node::Raw(bytes) => write_string(&String::from_utf8_lossy(bytes), out),
        Node::List(parts) => write_parts(parts, ['[', ']'], depth, out)?,
        Node::Map(parts) => write_parts(parts, ['{', '}'], depth, out)?,
    }
    Ok(())
}

fn write_parts(parts: &[Part], brackets: [char; 2], depth: usize, out: &mut String) -> Step<()> {
    out.push(brackets[0]);
    let mut empty = true;
    for (key, value) in entries(parts) {
        if !empty {
            out.push(',');
        }
        empty = false;
        line(depth + 1, out);
        if brackets[0] == '{' {
            write_string(key, out);
            out.push_str(": ");
        }
        write_value(value, depth + 1, out)?;
    }
    if !empty {
        line(depth, out);
    }
    out.push(brackets[1]);
    Ok(())
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n('\t', depth));
}

/// The one text of a binary file.
pub(super) fn write_binary(document: &Node) -> Step<Zeroizing<Vec<u8>>> {
    match document.get("data") {
        Some(Node::Text(text)) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Some(Node::Raw(bytes)) => Ok(bytes.clone()),
        _ => Err(Fault::invalid("no binary data found: the entry \"data\" is missing or no text")),
    }
}
