//! Values as nodes.

use std::collections::HashMap;

use ecow::EcoString;

use super::{Content, Node, Style, scalar};
use crate::value::{self, Key, Scalar, Tag, Value};

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
            Value::Null => Self::new(Content::Scalar(EcoString::new(), Style::Plain), super::NULL),
            Value::Scalar(scalar) => leaf(scalar),
            Value::List(list) => Self::list(list.iter().map(Self::of).collect()),
            Value::Map(map) => {
                Self::map(map.iter().map(|(key, value)| (of_key(key), Self::of(value))).collect())
            }
        }
    }

    /// A value, written as far as it can be as `source`, a node of `document`, was.
    pub(crate) fn copied(value: &Value, source: &Self, document: &Self) -> Self {
        let mut copier = Copier::default();
        copier.note_names(document);
        copier.copy(value, source)
    }
}

fn leaf(scalar: &Scalar) -> Node {
    let text = scalar.text.clone();
    let new = |style, tag| Node::new(Content::Scalar(text.clone(), style), tag);
    match scalar.style {
        value::Style::Plain => new(Style::Plain, scalar::tag_of(&text)),
        value::Style::Bare => Node::made(text),
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
                let entries = map.iter().enumerate().map(|(at, (key, value))| {
                    let same = |(one, _): &&(Node, Node)| one.text() == Some(&key.text);
                    // Most maps are as they were written.
                    let there = entries.get(at).filter(same);
                    match there.or_else(|| entries.iter().find(same)) {
                        Some((key, node)) => (unnamed(key), self.copy(value, node)),
                        None => (of_key(key), Node::of(value)),
                    }
                });
                Content::Map(entries.collect(), *flow)
            }
            (Value::Null | Value::Scalar(_), Content::Scalar(text, style))
                if is_as_written(value, text, *style) =>
            {
                Content::Scalar(text.clone(), *style)
            }
            _ => return Node::of(value),
        };
        Node { content, anchor: EcoString::new(), ..source.clone() }
    }
}

fn unnamed(node: &Node) -> Node {
    Node { anchor: EcoString::new(), ..node.clone() }
}

/// Whether a leaf is still what was written.
fn is_as_written(value: &Value, text: &str, style: Style) -> bool {
    let is_plain = style == Style::Plain;
    match value {
        Value::Scalar(scalar) if scalar.text == text => match scalar.style {
            value::Style::Plain | value::Style::Tagged(_) => true,
            value::Style::Bare => is_plain,
            value::Style::Quoted | value::Style::Folded => !is_plain,
            value::Style::QuotedAs(_) => false,
        },
        value => value.is_null() && is_plain && text.is_empty(),
    }
}
