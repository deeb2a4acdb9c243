//! From YAML text to values.
//!
//! A file is first split as text, as kustomize does it, and of each piece the first document is read.
//! Nothing here recurses: the depth of a document is bounded by a number, not by the stack.
//!
//! Source: kustomize `kyaml/kio/byteio_reader.go`, `kyaml/yaml/rnode.go` (`deAnchor`).

use std::collections::HashSet;
use std::sync::Arc;

use ecow::EcoString;
use rustc_hash::FxHashMap;

use super::events::{Event, Events, Found, Opening};
use super::foot;
use super::pieces::{Piece, decode, pieces, whole};
use super::quick;
use super::scalar;
use super::scan::{Form, Malformed};
use super::write;
use crate::error::{Error, ErrorKind, Result};
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
    let mut quick = quick::Reader::new(limits.depth);
    for (number, piece) in pieces(&text).enumerate() {
        let piece = piece.map_err(|bad| bad.error(file))?;
        if number >= limits.documents {
            let message = format!("more than {} documents", limits.documents);
            let place = piece.place(file, 0);
            return Err(Error::new(ErrorKind::Limit, place, message));
        }
        let document = match quick.read(piece.text()) {
            Some(value) => Some(value),
            None => Reader::new(&piece, file, limits, Flavour::Resource).document()?,
        };
        documents.extend(document.filter(|value| !value.is_null()));
    }
    Ok(documents)
}

/// What the general reader alone makes of a text that is not split.
#[cfg(test)]
pub(super) fn read_generally(text: &str) -> Result<Option<Value>> {
    Reader::new(&whole(text), &Arc::from("a.yaml"), &Limits::PERSON, Flavour::Resource).document()
}

/// The first document of a text, without splitting it first: kustomization files, configurations.
///
/// Keys such as `y` are [typed](Key::typed), for YAML 1.1 takes them for booleans. Duplicate keys
/// stay, and it is the reader of the values that takes the last or refuses them.
///
/// # Errors
/// As [`read`].
pub fn read_first(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Value> {
    let text = decode(text, file, limits)?;
    let document = Reader::new(&whole(&text), file, limits, Flavour::Configuration).document()?;
    Ok(document.unwrap_or_default())
}

/// Line and column, from 1, of the value at the end of `path` in a document of `text`; for an entry
/// of a mapping the place of its key. Where the path goes on beyond what is there, the last place on
/// it that is.
///
/// `document` counts from 0 in what [`read`] gives, so empty documents do not count.
#[must_use]
pub fn locate(text: &[u8], document: usize, path: &[Step<'_>]) -> Option<(u32, u32)> {
    let file: Arc<str> = Arc::from("");
    let text = decode(text, &file, &Limits::PERSON).ok()?;
    let piece = written(&text).nth(document)??;
    let mut events = Events::new(piece.text(), 1);
    let (event, at) = events.next().ok()??;
    let mark = follow(&mut events, event, at, path);
    piece.place(&file, mark).at
}

/// The text of a document of a file.
pub(super) fn document(text: &[u8], document: usize) -> Option<String> {
    let text = decode(text, &Arc::from(""), &Limits::PERSON).ok()?;
    let piece = written(&text).nth(document)??;
    Some(piece.text().to_owned())
}

/// The pieces of a file that hold a document, which count as for [`locate`]; nothing in the place of one that
/// cannot be read.
fn written(text: &str) -> impl Iterator<Item = Option<Piece<'_>>> {
    pieces(text).filter_map(|piece| {
        let Ok(piece) = piece else { return Some(None) };
        let Ok(first) = Events::new(piece.text(), 1).next() else { return Some(None) };
        let (event, _) = first?;
        let is_empty = matches!(&event, Event::Scalar { text, form: Form::Plain, tag: None, .. }
            if scalar::resolve(text) == Tag::Null);
        (!is_empty).then_some(Some(piece))
    })
}

/// Which of `documents`, all of `text`, end with a block that keeps its line breaks and have a comment below.
///
/// The text is looked at once, and only where there is such a block.
#[must_use]
pub fn blocks_above_comments(text: &[u8], documents: &[Value]) -> Vec<bool> {
    let mut found = vec![false; documents.len()];
    if !documents.iter().any(|document| foot::last_block(document).is_some()) {
        return found;
    }
    let Ok(text) = decode(text, &Arc::from(""), &Limits::PERSON) else { return found };
    for ((found, document), piece) in found.iter_mut().zip(documents).zip(written(&text)) {
        *found = foot::last_block(document)
            .is_some_and(|block| piece.is_some_and(|piece| foot::has_comment(block, piece.text())));
    }
    found
}

/// Goes along `path` from a node whose first event is taken.
fn follow<'a>(events: &mut Events<'a>, event: Event<'a>, at: usize, path: &[Step<'_>]) -> usize {
    let (mut node, mut place) = (event, at);
    for step in path {
        let found = match (step, node) {
            (Step::Key(key), Event::Map(_)) => entry(events, key),
            (Step::Index(index), Event::List(_)) => element(events, *index),
            _ => None,
        };
        let Some((next, at)) = found else { break };
        (node, place) = (next, at);
    }
    place
}

/// The value under `key` of the mapping that has just begun, with the place of its key.
fn entry<'a>(events: &mut Events<'a>, key: &str) -> Option<Found<'a>> {
    loop {
        let (event, at) = events.next().ok()??;
        match event {
            Event::End | Event::DocumentEnd => return None,
            Event::Scalar { text, .. } if text == key => {
                let (value, _) = events.next().ok()??;
                return Some((value, at));
            }
            event => skip(events, &event)?,
        }
        let (value, _) = events.next().ok()??;
        skip(events, &value)?;
    }
}

/// The element `index` of the list that has just begun.
fn element<'a>(events: &mut Events<'a>, index: usize) -> Option<Found<'a>> {
    for _ in 0..index {
        let (event, _) = events.next().ok()??;
        if matches!(event, Event::End | Event::DocumentEnd) {
            return None;
        }
        skip(events, &event)?;
    }
    events.next().ok()?.filter(|(event, _)| !matches!(event, Event::End))
}

/// Goes to the end of a node whose first event is taken.
fn skip(events: &mut Events<'_>, first: &Event<'_>) -> Option<()> {
    let mut open = usize::from(matches!(first, Event::List(_) | Event::Map(_)));
    while open > 0 {
        match events.next().ok()??.0 {
            Event::List(_) | Event::Map(_) => open += 1,
            Event::End => open -= 1,
            Event::DocumentEnd => return None,
            Event::Scalar { .. } | Event::Alias(_) => {}
        }
    }
    Some(())
}

/// Whose rules decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flavour {
    /// go-yaml v3, and what kustomize makes of aliases and merge keys.
    Resource,
    /// go-yaml v2, and what becomes of its values on the way through JSON.
    Configuration,
}

/// Reads one document out of a piece.
struct Reader<'a> {
    piece: &'a Piece<'a>,
    file: &'a Arc<str>,
    limits: &'a Limits,
    flavour: Flavour,
    open: Vec<Collection<'a>>,
    /// The values of all open lists, the innermost last, so that each list is allocated once.
    values: Vec<Value>,
    /// The entries of all open mappings likewise.
    entries: Vec<(Key, Value)>,
    anchors: FxHashMap<&'a str, Node>,
    /// Nodes that aliases have added.
    alias_nodes: usize,
}

/// A value with its size after all aliases are expanded.
#[derive(Clone, Debug)]
struct Node {
    value: Value,
    nodes: usize,
    /// Levels of lists and mappings.
    height: usize,
}

/// A list or mapping whose end is not reached.
struct Collection<'a> {
    opening: Opening<'a>,
    nodes: usize,
    height: usize,
    /// How many values or entries the collections around it have so far.
    from: usize,
    content: Content,
}

enum Content {
    List,
    Map(Keys),
}

/// What is open in a mapping whose end is not reached.
#[derive(Default)]
struct Keys {
    /// The key whose value comes next.
    key: Option<ReadKey>,
    /// Whether there was a merge key.
    merge: bool,
    /// What merge keys add, what wins first.
    merged: Vec<Value>,
}

enum ReadKey {
    Plain(Key),
    /// `<<`
    Merge,
    /// `"<<"`, which kustomize drops.
    Dropped,
}

impl<'a> Reader<'a> {
    fn new(piece: &'a Piece<'a>, file: &'a Arc<str>, limits: &'a Limits, flavour: Flavour) -> Self {
        Self {
            piece,
            file,
            limits,
            flavour,
            open: Vec::new(),
            values: Vec::new(),
            entries: Vec::new(),
            anchors: FxHashMap::default(),
            alias_nodes: 0,
        }
    }

    /// The document, or `None` where the piece has none.
    fn document(mut self) -> Result<Option<Value>> {
        if let Some(at) = self.piece.control_character() {
            return Err(self
                .error(at, "control characters are not allowed")
                .hint("remove the character, or write it as an escape in double quotes"));
        }
        let tokens_behind = match self.flavour {
            Flavour::Resource => 2,
            Flavour::Configuration => 1,
        };
        let mut events = Events::new(self.piece.text(), tokens_behind);
        let mut document = None;
        while let Some((event, at)) = events.next().map_err(|bad| self.malformed(&bad))? {
            if matches!(event, Event::DocumentEnd) {
                break;
            }
            document = self.event(event, at)?;
        }
        Ok(document)
    }

    /// Takes an event in and gives the document back once it is whole.
    fn event(&mut self, event: Event<'a>, at: usize) -> Result<Option<Value>> {
        let (anchor, node) = match event {
            Event::Scalar { text, form, tag, anchor } => {
                if self.is_lost(&text, form, tag) {
                    let error = self.error(at, "a block of text that begins with a tab");
                    return Err(error
                        .hint("put it in double quotes: kustomize cannot read such blocks back"));
                }
                (anchor, Node { value: self.leaf(&text, form, tag), nodes: 1, height: 0 })
            }
            Event::Alias(name) => (None, self.alias(name, at)?),
            Event::List(opening) => return self.begin(opening, Content::List, at),
            Event::Map(opening) => {
                return self.begin(opening, Content::Map(Keys::default()), at);
            }
            Event::End => match self.open.pop() {
                Some(collection) => (collection.opening.anchor, self.finish(collection)),
                None => return Ok(None),
            },
            Event::DocumentEnd => return Ok(None),
        };
        if let Some(name) = anchor {
            self.anchors.insert(name, node.clone());
        }
        self.place(node, at)
    }

    fn begin(
        &mut self,
        opening: Opening<'a>,
        content: Content,
        at: usize,
    ) -> Result<Option<Value>> {
        if self.open.len() >= self.limits.depth {
            return Err(self.too_deep(at));
        }
        if self.at_key() {
            let braces = self.piece.text()[at..].starts_with('{');
            let error = self.error(at, "a key has to be a string");
            return Err(if braces {
                error.hint("put a value that begins with \"{{\" in quotes")
            } else {
                error
            });
        }
        // An older anchor of this name must not be found from within.
        if let Some(name) = opening.anchor {
            self.anchors.remove(name);
        }
        let from = match content {
            Content::List => self.values.len(),
            Content::Map(_) => self.entries.len(),
        };
        self.open.push(Collection { opening, nodes: 1, height: 1, from, content });
        Ok(None)
    }

    fn alias(&mut self, name: &str, at: usize) -> Result<Node> {
        let Some(node) = self.anchors.get(name) else {
            let within = self.open.iter().any(|open| open.opening.anchor == Some(name));
            let error = if within {
                format!("alias \"*{name}\" stands within the value that it repeats")
            } else {
                format!("alias \"*{name}\" repeats an anchor that is not there")
            };
            let error = self.error(at, error);
            return Err(if within {
                error
            } else {
                error.hint("put the value in quotes, if it is no alias; anchors do not reach beyond \"---\"")
            });
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
    fn place(&mut self, node: Node, at: usize) -> Result<Option<Value>> {
        let Some(parent) = self.open.last_mut() else { return Ok(Some(node.value)) };
        parent.nodes = parent.nodes.saturating_add(node.nodes);
        parent.height = parent.height.max(node.height + 1);
        match &mut parent.content {
            Content::List => self.values.push(node.value),
            Content::Map(keys) => {
                let added = keys.add(node.value, self.flavour, &mut self.entries);
                added.map_err(|message| self.error(at, message))?;
            }
        }
        Ok(None)
    }

    fn finish(&mut self, collection: Collection<'a>) -> Node {
        let value = match collection.content {
            Content::List => Value::List(self.values.drain(collection.from..).collect()),
            Content::Map(keys) if keys.merge => {
                let mut entries = self.entries.split_off(collection.from);
                keys.merge(&mut entries, self.flavour);
                Value::Map(entries.into_iter().collect())
            }
            Content::Map(_) => Value::Map(self.entries.drain(collection.from..).collect()),
        };
        Node { value, nodes: collection.nodes, height: collection.height }
    }

    /// Whether kustomize cannot read the text again once it has written it.
    fn is_lost(&self, text: &str, form: Form, tag: Option<Tag>) -> bool {
        matches!(form, Form::Literal | Form::Folded)
            && matches!(tag, None | Some(Tag::Str))
            && self.flavour == Flavour::Resource
            && write::is_lost_as_block(text)
    }

    fn leaf(&self, text: &str, form: Form, tag: Option<Tag>) -> Value {
        let plain = form == Form::Plain;
        let resource = self.flavour == Flavour::Resource;
        let style = match tag {
            Some(Tag::Str) if !plain => Style::Quoted,
            Some(Tag::Null) if text.is_empty() => return Value::Null,
            Some(tag) => Style::Tagged(tag),
            None if form == Form::Folded && resource => Style::Folded,
            None if !plain => Style::Quoted,
            // Kustomize prints the document once more before it looks at types, and in brackets it
            // puts the empty text and text with a colon in quotes. Until then blank is null.
            None if text.is_empty() && self.at_key() && resource => Style::Quoted,
            None if text.is_empty() && self.in_brackets() => Style::Tagged(Tag::Null),
            None => match scalar::resolve(text) {
                Tag::Null if text.is_empty() => return Value::Null,
                // A strategic merge tells a null that is written from one that is not.
                Tag::Null => Style::Tagged(Tag::Null),
                Tag::Timestamp if text.contains(':') && self.in_brackets() => Style::Quoted,
                _ => Style::Plain,
            },
        };
        Value::Scalar(Scalar { text: EcoString::from(text), style })
    }

    /// Whether a key comes next.
    fn at_key(&self) -> bool {
        let last = self.open.last().map(|open| &open.content);
        matches!(last, Some(Content::Map(Keys { key: None, .. })))
    }

    fn in_brackets(&self) -> bool {
        self.flavour == Flavour::Resource && self.open.last().is_some_and(|open| open.opening.flow)
    }

    fn malformed(&self, malformed: &Malformed) -> Error {
        let error = self.error(malformed.at, malformed.message.as_ref());
        match malformed.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn error(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, self.piece.place(self.file, at), message)
    }

    fn limit(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Limit, self.piece.place(self.file, at), message)
    }

    fn too_deep(&self, at: usize) -> Error {
        self.limit(at, format!("nested deeper than {} levels", self.limits.depth))
    }
}

impl Keys {
    /// Takes a key, or the value that belongs to the last one.
    fn add(
        &mut self,
        value: Value,
        flavour: Flavour,
        entries: &mut Vec<(Key, Value)>,
    ) -> std::result::Result<(), &'static str> {
        match self.key.take() {
            None => self.key = Some(read_key(value, flavour)?),
            Some(ReadKey::Plain(key)) => entries.push((key, value)),
            Some(ReadKey::Dropped) => {}
            Some(ReadKey::Merge) if flavour == Flavour::Configuration => {
                // There the merged entries take part in "the last one wins".
                self.merge = true;
                for source in sources(value)?.iter().rev() {
                    entries.extend(entries_of(source));
                }
            }
            Some(ReadKey::Merge) => {
                if std::mem::replace(&mut self.merge, true) {
                    return Err("a second merge key in one mapping");
                }
                self.merged = sources(value)?;
            }
        }
        Ok(())
    }

    fn merge(&self, entries: &mut Vec<(Key, Value)>, flavour: Flavour) {
        if flavour == Flavour::Configuration {
            entries.reverse();
            keep_first(entries, 0);
            entries.reverse();
        } else {
            // Duplicates among the entries themselves stay: they are an error later.
            let own = entries.len();
            entries.extend(self.merged.iter().flat_map(entries_of));
            keep_first(entries, own);
        }
    }
}

/// Drops the entries from `own` on whose key is there before.
fn keep_first(entries: &mut Vec<(Key, Value)>, own: usize) {
    // Not the fast hash of the rest: the keys may be hostile, and there may be a million.
    let mut seen = HashSet::with_capacity(entries.len());
    let mut index = 0;
    entries.retain(|(key, _)| {
        index += 1;
        seen.insert(key.clone()) || index <= own
    });
}

fn entries_of(source: &Value) -> impl Iterator<Item = (Key, Value)> {
    source.as_map().into_iter().flat_map(Map::iter).map(|(key, value)| (key.clone(), value.clone()))
}

fn read_key(value: Value, flavour: Flavour) -> std::result::Result<ReadKey, &'static str> {
    let scalar = match value {
        Value::Scalar(scalar) => scalar,
        Value::Null => return Ok(ReadKey::Plain(Key { text: EcoString::new(), typed: true })),
        Value::List(_) | Value::Map(_) => return Err("a key has to be a string"),
    };
    let merge = match scalar.style {
        Style::Plain | Style::Bare => scalar.text == "<<",
        Style::Tagged(tag) => tag == Tag::Merge,
        Style::Quoted | Style::Folded | Style::QuotedAs(_) => false,
    };
    let tag = match scalar.style {
        Style::Plain if flavour == Flavour::Configuration => scalar::resolve_v2(&scalar.text),
        _ => scalar.tag(),
    };
    Ok(match flavour {
        _ if merge => ReadKey::Merge,
        Flavour::Resource if scalar.text == "<<" => ReadKey::Dropped,
        _ => ReadKey::Plain(Key { typed: tag != Tag::Str, text: scalar.text }),
    })
}

/// The mappings that a merge key names, those that win first.
fn sources(value: Value) -> std::result::Result<Vec<Value>, &'static str> {
    match value {
        Value::Map(_) => Ok(vec![value]),
        Value::List(list) if list.iter().all(|value| value.as_map().is_some()) => {
            Ok(list.iter().cloned().collect())
        }
        _ => Err("a merge key needs a mapping or a list of mappings"),
    }
}
