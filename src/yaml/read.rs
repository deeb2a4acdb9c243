//! From YAML text to values.
//!
//! A file is first split as text, as kustomize does it, and of each piece the first document is read.
//! Nothing here recurses: the depth of a document is bounded by a number, not by the stack.
//!
//! Source: kustomize `kyaml/kio/byteio_reader.go`, `kyaml/yaml/rnode.go` (`deAnchor`).

use std::borrow::Cow;
use std::sync::Arc;

use ecow::{EcoString, EcoVec};
use memchr::memmem;
use rustc_hash::FxHashMap;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::scalar;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::value::{Key, Map, Scalar, Style, Tag, Value};

/// One step of the way into a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'a> {
    /// Into the value under a key.
    Key(&'a str),
    /// Into an element, from 0.
    Index(usize),
}

/// The documents of a file, split and read as kustomize reads resources: empty ones left out,
/// aliases and merge keys expanded.
///
/// # Errors
/// Where the text is no YAML or exceeds a limit; the error names `file`, line and column.
pub fn read(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Vec<Value>> {
    let text = decode(text, file, limits)?;
    let mut documents = Vec::new();
    for piece in pieces(&text) {
        let piece = piece.map_err(|bad| bad.error(file))?;
        if documents.len() >= limits.documents {
            let message = format!("more than {} documents", limits.documents);
            return Err(Error::new(ErrorKind::Limit, piece.place(file, 1, 1), message));
        }
        let document = Reader::new(&piece, file, limits).document()?;
        documents.extend(document.filter(|value| !value.is_null()));
    }
    Ok(documents)
}

/// The first document of a text, without splitting it first: kustomization files, configurations.
///
/// # Errors
/// As [`read`].
pub fn read_first(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Value> {
    let text = decode(text, file, limits)?;
    let piece = Piece { text: unmarked(&text), lines_before: 0 };
    let reader = Reader { yaml_1_1: true, ..Reader::new(&piece, file, limits) };
    Ok(reader.document()?.unwrap_or_default())
}

/// Line and column, from 1, of the value at the end of `path` in a document (from 0) of `text`;
/// for an entry of a mapping the place of its key.
#[must_use]
pub fn locate(text: &[u8], document: usize, path: &[Step<'_>]) -> Option<(u32, u32)> {
    let _ = (text, document, path);
    None
}

/// The text with the line breaks that kustomize gives it.
fn decode<'a>(text: &'a [u8], file: &Arc<str>, limits: &Limits) -> Result<Cow<'a, str>> {
    if text.len() > limits.file_bytes {
        let message = format!("larger than {} bytes", limits.file_bytes);
        return Err(Error::new(ErrorKind::Limit, Place::file(file.clone()), message));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let valid = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        let line = count(valid.matches('\n').count() + 1);
        let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count());
        let place = Place::new(file.clone(), line, count(column + 1));
        Error::new(ErrorKind::Invalid, place, "not UTF-8")
    })?;
    Ok(match memmem::find(text.as_bytes(), b"\r\n") {
        Some(_) => text.replace("\r\n", "\n").into(),
        None => text.into(),
    })
}

fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Line and column numbers beyond four milliards are no more than a hint.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A part of a file between two separators.
struct Piece<'a> {
    text: &'a str,
    lines_before: usize,
}

impl Piece<'_> {
    fn place(&self, file: &Arc<str>, line: usize, column: usize) -> Place {
        Place::new(file.clone(), count(self.lines_before + line), count(column))
    }
}

/// A line that begins with `---` and goes on with something other than a comment.
struct BadSeparator {
    line: usize,
    text: String,
}

impl BadSeparator {
    fn error(self, file: &Arc<str>) -> Error {
        let place = Place::new(file.clone(), count(self.line), 1);
        let message = format!("invalid document separator: {}", self.text);
        Error::new(ErrorKind::Invalid, place, message)
            .hint("let the document begin on the line after \"---\"")
    }
}

/// Splits at the pattern `\n---.*\n`, even within block scalars, as kustomize does.
fn pieces(text: &str) -> impl Iterator<Item = std::result::Result<Piece<'_>, BadSeparator>> {
    let mut rest = Some(text);
    let mut lines_before = 0;
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some((end, next)) = separator(text) else {
            return Some(Ok(Piece { text: unmarked(text), lines_before }));
        };
        let piece = Piece { text: unmarked(&text[..=end]), lines_before };
        lines_before += lines(&text[..=end]) + 1;
        let behind = text[end + 4..next].trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            let text = text[end..next].trim().to_owned();
            return Some(Err(BadSeparator { line: lines_before, text }));
        }
        rest = Some(&text[next..]);
        Some(Ok(piece))
    })
}

/// Where the line before the next separator ends and where the line after it begins.
fn separator(text: &str) -> Option<(usize, usize)> {
    let end = memmem::find(text.as_bytes(), b"\n---")?;
    let next = memchr::memchr(b'\n', &text.as_bytes()[end + 1..])?;
    Some((end, end + 1 + next + 1))
}

fn lines(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

/// Reads one document out of a piece.
struct Reader<'a> {
    piece: &'a Piece<'a>,
    file: &'a Arc<str>,
    limits: &'a Limits,
    open: Vec<Collection>,
    anchors: FxHashMap<usize, Node>,
    /// Nodes that aliases have added.
    alias_nodes: usize,
    /// Whether keys such as `y` and `on` are booleans, as go-yaml v2 has it.
    yaml_1_1: bool,
}

/// A value with its size after all aliases are expanded.
#[derive(Clone, Debug)]
struct Node {
    value: Value,
    nodes: usize,
    /// Levels of lists and mappings.
    height: usize,
    /// Written as `<<` without quotes.
    merge: bool,
}

/// A list or mapping whose end is not reached.
struct Collection {
    anchor: usize,
    nodes: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(EcoVec<Value>),
    Map { entries: Map, key: Option<(Key, bool)>, merged: Vec<Value> },
}

impl Node {
    fn leaf(value: Value) -> Self {
        Self { value, nodes: 1, height: 0, merge: false }
    }
}

impl<'a> Reader<'a> {
    fn new(piece: &'a Piece<'a>, file: &'a Arc<str>, limits: &'a Limits) -> Self {
        Self {
            piece,
            file,
            limits,
            open: Vec::new(),
            anchors: FxHashMap::default(),
            alias_nodes: 0,
            yaml_1_1: false,
        }
    }

    /// The document, or `None` where the piece has none.
    fn document(mut self) -> Result<Option<Value>> {
        let mut parser = Parser::new_from_str(self.piece.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.malformed(&error))?;
            if matches!(event, Event::StreamEnd) {
                break;
            }
            if let Some(node) = self.event(event, span.start)? {
                return Ok(Some(node.value));
            }
        }
        Ok(None)
    }

    /// Takes an event in and gives the document back once it is whole.
    fn event(&mut self, event: Event<'_>, at: Marker) -> Result<Option<Node>> {
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, leaf(&text, style, tag.as_deref())),
            Event::Alias(anchor) => (0, self.alias(anchor, at)?),
            Event::SequenceStart(anchor, _) => {
                return self.begin(anchor, Content::List(EcoVec::new()), at);
            }
            Event::MappingStart(anchor, _) => {
                let entries = Map::default();
                return self.begin(anchor, Content::Map { entries, key: None, merged: vec![] }, at);
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(collection) => (collection.anchor, collection.end()),
                None => return Ok(None),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => return Ok(None),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node, at)
    }

    fn begin(&mut self, anchor: usize, content: Content, at: Marker) -> Result<Option<Node>> {
        if self.open.len() >= self.limits.depth {
            return Err(self.too_deep(at));
        }
        self.open.push(Collection { anchor, nodes: 1, height: 1, content });
        Ok(None)
    }

    fn alias(&mut self, anchor: usize, at: Marker) -> Result<Node> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.error(at, "alias stands within the value that it repeats"));
        };
        let node = node.clone();
        self.alias_nodes = self.alias_nodes.saturating_add(node.nodes);
        if self.alias_nodes > self.limits.alias_nodes {
            let message = format!("aliases add more than {} nodes", self.limits.alias_nodes);
            return Err(self.limit(at, message));
        }
        if self.open.len() + node.height > self.limits.depth {
            return Err(self.too_deep(at));
        }
        Ok(node)
    }

    /// Puts a finished node into the collection that is open, if any.
    fn place(&mut self, node: Node, at: Marker) -> Result<Option<Node>> {
        let Some(parent) = self.open.last_mut() else { return Ok(Some(node)) };
        parent.nodes = parent.nodes.saturating_add(node.nodes);
        parent.height = parent.height.max(node.height + 1);
        if let Err(message) = parent.add(node, self.yaml_1_1) {
            return Err(self.error(at, message));
        }
        Ok(None)
    }

    fn malformed(&self, error: &ScanError) -> Error {
        let at = error.marker();
        let line = self.piece.text.lines().nth(at.line().saturating_sub(1)).unwrap_or_default();
        let indentation = &line[..line.len() - line.trim_start().len()];
        if let Some(tab) = indentation.find('\t') {
            let place = self.piece.place(self.file, at.line(), tab + 1);
            return Error::new(ErrorKind::Invalid, place, "a tab is used as indentation")
                .hint("indent with spaces");
        }
        self.error(*at, error.info())
    }

    fn error(&self, at: Marker, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, self.at(at), message)
    }

    fn limit(&self, at: Marker, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Limit, self.at(at), message)
    }

    fn too_deep(&self, at: Marker) -> Error {
        self.limit(at, format!("nested deeper than {} levels", self.limits.depth))
    }

    fn at(&self, at: Marker) -> Place {
        self.piece.place(self.file, at.line(), at.col() + 1)
    }
}

impl Collection {
    fn add(&mut self, node: Node, yaml_1_1: bool) -> std::result::Result<(), &'static str> {
        match &mut self.content {
            Content::List(list) => list.push(node.value),
            Content::Map { key: unset @ None, .. } => {
                let merge = node.merge;
                *unset = Some((key(node.value, yaml_1_1)?, merge));
            }
            Content::Map { entries, key, merged } => match key.take() {
                Some((_, true)) => *merged = sources(node.value)?,
                Some((key, false)) => entries.push(key, node.value),
                None => {}
            },
        }
        Ok(())
    }

    fn end(self) -> Node {
        let value = match self.content {
            Content::List(list) => Value::List(list),
            Content::Map { mut entries, merged, .. } => {
                for source in &merged {
                    merge(&mut entries, source);
                }
                Value::Map(entries)
            }
        };
        Node { value, nodes: self.nodes, height: self.height, merge: false }
    }
}

fn leaf(text: &str, style: ScalarStyle, tag: Option<&saphyr_parser::Tag>) -> Node {
    let plain = style == ScalarStyle::Plain;
    let style = match tag.and_then(known_tag) {
        Some(Tag::Str) if !plain => Style::Quoted,
        Some(tag) => Style::Tagged(tag),
        None if plain => Style::Plain,
        None => Style::Quoted,
    };
    let merge = style == Style::Tagged(Tag::Merge) || style == Style::Plain && text == "<<";
    let value = if style == Style::Plain && text.is_empty() {
        Value::Null
    } else if style == Style::Plain && scalar::resolve(text) == Tag::Null {
        // A strategic merge tells a null that is written from one that is not.
        Value::Scalar(Scalar { text: EcoString::from(text), style: Style::Tagged(Tag::Null) })
    } else {
        Value::Scalar(Scalar { text: EcoString::from(text), style })
    };
    Node { merge, ..Node::leaf(value) }
}

/// What a written tag says about a scalar; `None` for the `!` that says nothing.
fn known_tag(tag: &saphyr_parser::Tag) -> Option<Tag> {
    let suffix = match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("" | "!", "" | "!") => return None,
        ("tag:yaml.org,2002:", suffix) => suffix,
        (_, suffix) => suffix.strip_prefix("tag:yaml.org,2002:").unwrap_or_default(),
    };
    Some(match suffix {
        "null" => Tag::Null,
        "bool" => Tag::Bool,
        "int" => Tag::Int,
        "float" => Tag::Float,
        "timestamp" => Tag::Timestamp,
        "binary" => Tag::Binary,
        "merge" => Tag::Merge,
        _ => Tag::Str,
    })
}

fn key(value: Value, yaml_1_1: bool) -> std::result::Result<Key, &'static str> {
    match value {
        Value::Null => Ok(Key { text: "null".into(), typed: true }),
        Value::Scalar(scalar) => {
            let tag = match scalar.style {
                Style::Plain if yaml_1_1 => scalar::resolve_v2(&scalar.text),
                _ => scalar.tag(),
            };
            Ok(Key { typed: !matches!(tag, Tag::Str | Tag::Merge), text: scalar.text })
        }
        Value::List(_) | Value::Map(_) => Err("a key has to be a string"),
    }
}

/// The mappings that a merge key names, those that win first.
fn sources(value: Value) -> std::result::Result<Vec<Value>, &'static str> {
    const MESSAGE: &str = "merge key needs a mapping or a list of mappings";
    match value {
        Value::Map(_) => Ok(vec![value]),
        Value::List(list) if list.iter().all(|value| value.as_map().is_some()) => {
            Ok(list.iter().cloned().collect())
        }
        _ => Err(MESSAGE),
    }
}

fn merge(entries: &mut Map, source: &Value) {
    for (key, value) in source.as_map().into_iter().flat_map(Map::iter) {
        if !entries.has(&key.text) {
            entries.push(key.clone(), value.clone());
        }
    }
}
