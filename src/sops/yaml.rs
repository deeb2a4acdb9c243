//! YAML documents with their comments.
//!
//! What is printed is what go-yaml v3 prints of SOPS's tree, four spaces to a level: a file of a Secret's data holds
//! just these bytes.
//!
//! Source: SOPS `stores/yaml/store.go`; go-yaml v3 `encode.go`, `emitterc.go`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::tree::{Node, Part, Text};
use super::{DEPTH, FILE_BYTES, Fault, Step};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::value::Scalar;
use crate::yaml::commented;
use crate::yaml::scalar::{self, Meaning, timestamp, write_float};
use crate::yaml::write_line_v3;

/// Spaces to a level. Source: SOPS, `IndentDefault`.
const INDENT: usize = 4;

/// Longest key that stands on one line with its value. Source: go-yaml v3, `yaml_emitter_check_simple_key`.
const SIMPLE_KEY_BYTES: usize = 128;

/// Reads all documents.
pub(super) fn read(content: &[u8], file: &Arc<str>) -> Result<Vec<Node>> {
    let limits = Limits { file_bytes: FILE_BYTES, depth: DEPTH, ..Limits::WEBHOOK };
    let refused =
        |message: String| Error::new(ErrorKind::Invalid, Place::file(file.clone()), message);
    let documents = commented::read(content, file, &limits)?;
    documents
        .into_iter()
        .map(|document| match node(document).map_err(refused)? {
            document @ Node::Map(_) => Ok(document),
            Node::Null => Ok(Node::Map(Vec::new())),
            _ => Err(refused("every document has to be a mapping".to_owned())),
        })
        .collect()
}

fn node(from: commented::Node) -> std::result::Result<Node, String> {
    Ok(match from {
        commented::Node::Scalar(scalar) => leaf(&scalar)?,
        commented::Node::List(from) => Node::List(parts(from)?),
        commented::Node::Map(from) => {
            let parts = parts(from)?;
            let mut names = rustc_hash::FxHashSet::default();
            for (name, _) in super::tree::entries(&parts) {
                if !names.insert(name) {
                    return Err(format!("the key \"{}\" is there twice", name.escape_debug()));
                }
            }
            Node::Map(parts)
        }
    })
}

fn parts(from: Vec<commented::Part>) -> std::result::Result<Vec<Part>, String> {
    from.into_iter()
        .map(|part| {
            Ok(match part {
                commented::Part::Comment { text, inline } => {
                    Part::Comment { text: text.into(), inline }
                }
                commented::Part::Entry { key, value } => Part::Entry {
                    key: key.map_or(Ok(String::new()), text_key)?,
                    value: node(value)?,
                },
            })
        })
        .collect()
}

fn text_key(key: Scalar) -> std::result::Result<String, String> {
    match scalar::meaning(&key)? {
        Meaning::Text(_) if time(&key).is_none() => Ok(key.text.into()),
        _ => Err(format!("the key {} is no string", key.text.escape_debug())),
    }
}

/// The time that an unquoted scalar is.
fn time(scalar: &Scalar) -> Option<String> {
    let plain = scalar.tag() == crate::value::Tag::Timestamp;
    plain.then(|| timestamp(&scalar.text)).flatten()
}

fn leaf(scalar: &Scalar) -> std::result::Result<Node, String> {
    if let Some(time) = time(scalar) {
        return Ok(Node::Time(time.into()));
    }
    Ok(match scalar::meaning(scalar)? {
        Meaning::Null => Node::Null,
        Meaning::Bool(bool) => Node::Bool(bool),
        Meaning::Int(int) => Node::Int(int),
        Meaning::Uint(_) => {
            return Err("integers beyond 64 signed bits are not supported".to_owned());
        }
        Meaning::Float(float) => Node::Float(float),
        Meaning::Text(text) => Node::text(text),
    })
}

/// Prints all documents.
pub(super) fn write(documents: &[Node]) -> Step<Zeroizing<Vec<u8>>> {
    let mut writer = Writer {
        out: String::with_capacity(4096),
        column: 0,
        whitespace: true,
        indention: true,
        foot_indent: None,
        foot: String::new(),
        tail_line: String::new(),
    };
    for (index, document) in documents.iter().enumerate() {
        writer.document(document, index == 0)?;
    }
    Ok(Zeroizing::new(std::mem::take(&mut writer.out).into_bytes()))
}

/// What go-yaml's emitter remembers between two events.
struct Writer {
    out: String,
    column: usize,
    /// Whether the last character was a blank.
    whitespace: bool,
    /// Whether the line holds nothing but indentation and dashes.
    indention: bool,
    /// Where the last comment below something stands; what follows there is set off by an empty line.
    foot_indent: Option<usize>,
    /// A comment that goes below what is printed next.
    foot: String,
    /// A comment that goes behind what is printed next.
    tail_line: String,
}

/// Where a node goes.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Within {
    List,
    Map,
}

impl Drop for Writer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.out);
    }
}

impl Writer {
    fn document(&mut self, document: &Node, first: bool) -> Step<()> {
        let Node::Map(parts) = document else {
            return Err(Fault::invalid("every document has to be a mapping"));
        };
        if !first {
            self.begin_line(0);
            self.indicator("---", true, false, false);
            self.begin_line(0);
        }
        if super::tree::entries(parts).next().is_none() {
            self.comments(&parts.iter().filter_map(comment).collect::<Vec<_>>(), 0);
            self.begin_line(0);
            self.word("{}");
        } else {
            self.map(parts, 0, false)?;
        }
        self.foot_indent = Some(0);
        self.end_foot(0);
        self.foot_indent = None;
        self.begin_line(0);
        Ok(())
    }

    /// The entries of a mapping; `hoisted` where the comments at its beginning are printed already.
    fn map(&mut self, parts: &[Part], indent: usize, hoisted: bool) -> Step<()> {
        let parts = if hoisted { &parts[leading(parts)..] } else { parts };
        let (mut heads, mut lines) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Comment { text, inline: false } => heads.push(text),
                Part::Comment { text, inline: true } => lines.push(text),
                Part::Entry { key, value } => {
                    self.comments(&heads, indent);
                    heads.clear();
                    self.begin_line(indent);
                    self.key(key, indent);
                    self.tail_line = joined(&lines);
                    lines.clear();
                    self.node(value, indent, Within::Map)?;
                }
            }
        }
        heads.extend(lines);
        if !heads.is_empty() {
            self.comments(&heads, indent);
            self.foot_indent = Some(indent);
        }
        Ok(())
    }

    fn key(&mut self, key: &str, indent: usize) {
        if key.len() <= SIMPLE_KEY_BYTES && !key.contains('\n') {
            self.line(key, true);
            self.indicator(":", false, false, false);
            return;
        }
        self.indicator("?", true, false, true);
        self.text(key, indent, Within::Map);
        self.begin_line(indent);
        self.indicator(":", true, false, true);
    }

    fn list(&mut self, parts: &[Part], indent: usize) -> Step<()> {
        let (mut heads, mut lines) = (Vec::new(), Vec::new());
        let last = parts.iter().rposition(|part| comment(part).is_none());
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::Comment { text, inline: false } => heads.push(text),
                Part::Comment { text, inline: true } => lines.push(text),
                Part::Entry { value, .. } => {
                    // What stands above the first key of an element stands above its dash.
                    if let Node::Map(inner) | Node::List(inner) = value {
                        heads.extend(inner[..leading(inner)].iter().filter_map(comment));
                    }
                    self.comments(&heads, indent);
                    heads.clear();
                    self.begin_line(indent);
                    self.indicator("-", true, false, true);
                    self.tail_line = joined(&lines);
                    lines.clear();
                    let below = match last {
                        Some(last) if last == index => {
                            let behind = || parts[index + 1..].iter();
                            let of = |inline| {
                                behind().filter(move |part| matches!(part, Part::Comment { inline: i, .. } if *i == inline))
                            };
                            joined(
                                &of(false).chain(of(true)).filter_map(comment).collect::<Vec<_>>(),
                            )
                        }
                        _ => String::new(),
                    };
                    match value {
                        Node::List(_) | Node::Map(_) if !is_empty(value) => {
                            self.node(value, indent, Within::List)?;
                            self.foot = below;
                        }
                        _ => {
                            self.foot = below;
                            self.node(value, indent, Within::List)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, indent: usize, within: Within) -> Step<()> {
        let deeper = deeper(indent, within);
        match node {
            Node::List(parts) | Node::Map(parts) if !is_empty(node) => {
                // Both are printed once the beginning of the collection is known.
                self.end_line_comment();
                self.end_foot(indent);
                return match node {
                    Node::List(_) => self.list(parts, deeper),
                    _ => self.map(parts, deeper, within == Within::List),
                };
            }
            Node::List(_) => self.word("[]"),
            Node::Map(_) => self.word("{}"),
            Node::Null => self.word("null"),
            Node::Bool(bool) => self.word(if *bool { "true" } else { "false" }),
            Node::Int(int) => self.word(&int.to_string()),
            Node::Float(float) => self.float(*float),
            Node::Time(text) => self.word(text),
            Node::Text(text) | Node::Comment(text) => self.text(text, indent, within),
            Node::Raw(bytes) => {
                self.word("!!binary");
                self.word(&Zeroizing::new(STANDARD.encode(bytes)));
            }
            Node::Bytes(bytes) => {
                let numbers = bytes.iter().map(|byte| Part::Entry {
                    key: String::new(),
                    value: Node::Int(i64::from(*byte)),
                });
                return self.node(&Node::List(numbers.collect()), indent, within);
            }
        }
        self.end_line_comment();
        self.end_foot(indent);
        Ok(())
    }

    fn float(&mut self, float: f64) {
        if float.is_nan() {
            return self.word(".nan");
        }
        if float.is_infinite() {
            return self.word(if float > 0.0 { ".inf" } else { "-.inf" });
        }
        let mut text = String::new();
        write_float(float, &mut text);
        self.word(&text);
    }

    fn text(&mut self, text: &str, indent: usize, within: Within) {
        if !self.line(text, false) {
            self.literal(text, deeper(indent, within));
        }
    }

    /// A text on one line, if it can be.
    fn line(&mut self, text: &str, key: bool) -> bool {
        let mut line = Zeroizing::new(String::new());
        let written = write_line_v3(text, key, &mut line);
        if written {
            self.word(&line);
        }
        written
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.indicator("|", true, false, false);
        if text.starts_with([' ', '\n', '\u{2028}', '\u{2029}']) {
            self.put("4");
        }
        let mut from_end = text.chars().rev().map(is_break);
        match (from_end.next(), from_end.next()) {
            (Some(true), Some(false)) => {}
            (Some(true), _) => self.put("+"),
            _ => self.put("-"),
        }
        if self.tail_line.is_empty() {
            self.put_break();
        }
        self.end_line_comment();
        self.whitespace = true;
        let mut fresh = true;
        for c in text.chars() {
            if is_break(c) {
                self.out.push(c);
                self.column = 0;
                self.indention = true;
                fresh = true;
            } else {
                if fresh {
                    self.begin_line(indent);
                }
                self.out.push(c);
                self.column += 1;
                self.indention = false;
                fresh = false;
            }
        }
    }

    /// Comments on lines of their own.
    fn comments(&mut self, texts: &[&Text], indent: usize) {
        for text in texts {
            self.begin_line(indent);
            self.put_comment(text);
        }
    }

    fn put_comment(&mut self, text: &str) {
        self.put("#");
        self.put(text);
        self.put_break();
        self.whitespace = true;
    }

    fn end_line_comment(&mut self) {
        let text = std::mem::take(&mut self.tail_line);
        if text.is_empty() {
            return;
        }
        if !self.whitespace {
            self.put(" ");
        }
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.put_break();
            }
            self.put(line);
        }
        self.put_break();
    }

    fn end_foot(&mut self, indent: usize) {
        let text = std::mem::take(&mut self.foot);
        if text.is_empty() {
            return;
        }
        for line in text.split('\n') {
            self.begin_line(indent);
            self.put(line);
            self.put_break();
        }
        self.foot_indent = Some(indent);
    }

    /// Goes to a column, on this line where nothing is in the way.
    fn begin_line(&mut self, indent: usize) {
        let in_the_way =
            !self.indention || self.column > indent || self.column == indent && !self.whitespace;
        if in_the_way {
            self.put_break();
        }
        if self.foot_indent == Some(indent) {
            self.put_break();
        }
        while self.column < indent {
            self.put(" ");
        }
        self.whitespace = true;
        self.foot_indent = None;
    }

    fn indicator(&mut self, text: &str, apart: bool, whitespace: bool, indention: bool) {
        if apart && !self.whitespace {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = whitespace;
        self.indention &= indention;
    }

    fn word(&mut self, text: &str) {
        if !self.whitespace {
            self.put(" ");
        }
        self.put(text);
        self.whitespace = false;
        self.indention = false;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.indention = true;
        self.whitespace = true;
    }
}

/// Elements of lists are set off by their dash, all else goes to the next level.
fn deeper(indent: usize, within: Within) -> usize {
    match within {
        Within::List => indent + 2,
        Within::Map => INDENT * ((indent + INDENT) / INDENT),
    }
}

fn comment(part: &Part) -> Option<&Text> {
    match part {
        Part::Comment { text, .. } => Some(text),
        Part::Entry { .. } => None,
    }
}

/// How many comments a collection begins with, those behind a value left out.
fn leading(parts: &[Part]) -> usize {
    if parts.iter().all(|part| comment(part).is_some()) {
        return 0;
    }
    parts.iter().take_while(|part| matches!(part, Part::Comment { inline: false, .. })).count()
}

fn is_empty(node: &Node) -> bool {
    match node {
        Node::List(parts) | Node::Map(parts) => super::tree::entries(parts).next().is_none(),
        _ => false,
    }
}

fn joined(texts: &[&Text]) -> String {
    let lines: Vec<_> = texts.iter().map(|text| format!("#{}", text.as_str())).collect();
    lines.join("\n")
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
