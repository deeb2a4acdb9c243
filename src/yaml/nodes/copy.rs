//! Values as nodes.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use ecow::EcoString;

use super::{Content, NULL, Node, Style, scalar};
use crate::value::{self, Key, Map, Scalar, Tag, Value};
use crate::yaml::write;

impl Node {
    /// A sequence that a step makes.
    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::new(Content::List(items, false), "!!seq")
    }

    /// A mapping that a step makes.
    pub(crate) fn map(entries: Vec<(Self, Self)>) -> Self {
        Self::new(Content::Map(entries, false), "!!map")
    }

    /// A value, written as nobody has written it.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::new(Content::Scalar(EcoString::new(), Style::Plain), NULL),
            Value::Scalar(scalar) => leaf(scalar),
            Value::List(list) => Self::list(list.iter().map(Self::of).collect()),
            Value::Map(map) => {
                Self::map(map.iter().map(|(key, value)| (of_key(key), Self::of(value))).collect())
            }
        }
    }

    /// A value, written as JSON.
    pub(crate) fn json(value: &Value) -> Self {
        let string = |text: &EcoString| Self::string(text, Style::Double);
        match value {
            Value::Scalar(scalar) if scalar.tag() == Tag::Str => string(&scalar.text),
            Value::Null | Value::Scalar(_) => Self::of(value),
            Value::List(list) => {
                let items = list.iter().map(Self::json).collect();
                Self::new(Content::List(items, true), "!!seq")
            }
            Value::Map(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                let entries =
                    entries.iter().map(|(key, value)| (string(&key.text), Self::json(value)));
                Self::new(Content::Map(entries.collect(), true), "!!map")
            }
        }
    }

    /// A value, written as go-yaml writes what a program has.
    pub(crate) fn encoded(value: &Value) -> Self {
        match value {
            Value::Scalar(scalar) if scalar.tag() == Tag::Str => Self::encoded_text(&scalar.text),
            Value::Null | Value::Scalar(_) => Self::of(value),
            Value::List(list) => Self::list(list.iter().map(Self::encoded).collect()),
            Value::Map(map) => Self::map(
                in_order(map)
                    .into_iter()
                    .map(|(key, value)| (Self::encoded_text(&key.text), Self::encoded(value)))
                    .collect(),
            ),
        }
    }

    /// Source: go-yaml v3 `encode.go`, `stringv`.
    fn encoded_text(text: &EcoString) -> Self {
        let is_text = scalar::plain_tag(text) == "!!str" && write::reads_as_text(text);
        let style = match text.contains('\n') {
            true => Style::Literal,
            false if is_text => Style::Plain,
            false => Style::Double,
        };
        Self::string(text, style)
    }

    fn string(text: &EcoString, style: Style) -> Self {
        Self::new(Content::Scalar(text.clone(), style), "!!str")
    }

    /// An item of a list of objects.
    pub(crate) fn item(&self, at: usize) -> Option<&Self> {
        let Content::Map(entries, _) = &self.content else { return None };
        let items = entries.iter().find(|(key, _)| key.text().is_some_and(|key| key == "items"));
        match &items?.1.content {
            Content::List(items, _) => items.get(at),
            Content::Scalar(..) | Content::Alias(_) | Content::Map(..) => None,
        }
    }

    /// A value, written as far as it can be as `source`, a node of `document`, was.
    pub(crate) fn copied(value: &Value, source: &Self, document: &Self) -> Self {
        let mut copier = Copier::default();
        copier.note_names(document);
        copier.copy(value, source)
    }
}

/// The entries of a mapping in the order in which they are printed.
fn in_order(map: &Map) -> Vec<(&Key, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    // That a key is there twice is found where it is printed.
    let _ = write::sort_entries(&mut entries);
    entries
}

fn leaf(scalar: &Scalar) -> Node {
    let text = scalar.text.clone();
    let is_lines = text.contains('\n');
    let new = |style, tag| Node::new(Content::Scalar(text.clone(), style), tag);
    match scalar.style {
        value::Style::Plain => new(Style::Plain, scalar::tag_of(&text)),
        value::Style::Bare => Node::made(text),
        value::Style::Quoted if is_lines => new(Style::Literal, "!!str"),
        value::Style::Quoted => new(Style::Double, "!!str"),
        value::Style::Folded => new(Style::Folded, "!!str"),
        value::Style::QuotedAs(tag) => new(Style::Double, scalar::tag(tag)),
        value::Style::Tagged(tag) => new(Style::Plain, scalar::tag(tag)),
    }
}

fn of_key(key: &Key) -> Node {
    let tag = if key.typed { scalar::tag_of(&key.text) } else { scalar::tag(Tag::Str) };
    Node::new(Content::Scalar(key.text.clone(), Style::Plain), tag)
}

/// Finds what aliases stand for: kustomize puts it in their place.
#[derive(Default)]
struct Copier<'a> {
    names: HashMap<&'a str, &'a Node>,
}

impl<'a> Copier<'a> {
    fn note_names(&mut self, node: &'a Node) {
        if !node.anchor.is_empty() {
            self.names.insert(&node.anchor, node);
        }
        match &node.content {
            Content::Scalar(..) | Content::Alias(_) => {}
            Content::List(items, _) => items.iter().for_each(|item| self.note_names(item)),
            Content::Map(entries, _) => entries.iter().for_each(|(key, value)| {
                self.note_names(key);
                self.note_names(value);
            }),
        }
    }

    /// A value as `source` was written; what steps have changed is written anew.
    fn copy(&self, value: &Value, source: &'a Node) -> Node {
        let content = match (value, &source.content) {
            (_, Content::Alias(name)) => {
                let named = self.names.get(name.as_str());
                return named.map_or_else(|| Node::of(value), |named| self.copy(value, named));
            }
            (Value::List(list), Content::List(items, flow)) if list.len() == items.len() => {
                let items = list.iter().zip(items).map(|(value, item)| self.copy(value, item));
                Content::List(items.collect(), *flow)
            }
            (Value::Map(map), Content::Map(entries, flow)) => {
                let all = OnceCell::new();
                let copied = map.iter().enumerate().map(|(at, (key, value))| {
                    // Most maps are as they were written.
                    let there = entries.get(at).filter(|(one, _)| one.text() == Some(&key.text));
                    let all = || all.get_or_init(|| self.all(entries)).get(key.text.as_str());
                    match there.or_else(|| all().copied()) {
                        Some((key, node)) => (unnamed(key), self.copy(value, node)),
                        None => (of_key(key), Node::of(value)),
                    }
                });
                Content::Map(copied.collect(), *flow)
            }
            (Value::Null | Value::Scalar(_), Content::Scalar(text, style)) => {
                return copied_leaf(value, source, text, *style);
            }
            _ => return Node::of(value),
        };
        Node { content, ..unnamed(source) }
    }

    /// The entries of a map by their keys, and those of what is merged in.
    fn all(&self, entries: &'a [(Node, Node)]) -> HashMap<&'a str, &'a (Node, Node)> {
        let mut all = HashMap::new();
        let mut seen = HashSet::new();
        let mut queue = vec![entries];
        while let Some(entries) = queue.pop() {
            // A map that is merged in twice adds nothing.
            if !seen.insert(entries.as_ptr()) {
                continue;
            }
            for entry @ (key, node) in entries {
                match key.text() {
                    Some(key) if key == "<<" => queue.extend(self.sources(node).into_iter().rev()),
                    Some(key) => drop(all.entry(key.as_str()).or_insert(entry)),
                    None => {}
                }
            }
        }
        all
    }

    /// The maps that a merge key names.
    fn sources(&self, node: &'a Node) -> Vec<&'a [(Node, Node)]> {
        let named = |node: &'a Node| match &node.content {
            Content::Alias(name) => self.names.get(name.as_str()).copied(),
            _ => Some(node),
        };
        let nodes = match named(node).map(|node| &node.content) {
            Some(Content::List(items, _)) => items.iter().filter_map(named).collect(),
            _ => Vec::from_iter(named(node)),
        };
        let maps = nodes.into_iter().filter_map(|node| match &node.content {
            Content::Map(entries, _) => Some(entries.as_slice()),
            _ => None,
        });
        maps.collect()
    }
}

/// A leaf. Another text has no comments any more, but the quotes that were there.
fn copied_leaf(value: &Value, source: &Node, text: &EcoString, style: Style) -> Node {
    let is_plain = style == Style::Plain;
    match value {
        Value::Null if is_plain && text.is_empty() => unnamed(source),
        Value::Scalar(scalar) => match scalar.style {
            value::Style::Plain | value::Style::Tagged(_) if scalar.text == *text => {
                unnamed(source)
            }
            value::Style::Bare if is_plain && scalar.text == *text => unnamed(source),
            value::Style::Quoted | value::Style::Folded if !is_plain => {
                match scalar.text == *text {
                    true => unnamed(source),
                    false => Node::string(&scalar.text, style),
                }
            }
            _ => Node::of(value),
        },
        Value::Null | Value::List(_) | Value::Map(_) => Node::of(value),
    }
}

fn unnamed(node: &Node) -> Node {
    Node { anchor: EcoString::new(), ..node.clone() }
}
