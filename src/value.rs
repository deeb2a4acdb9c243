//! The document every step works on: a copy-on-write tree of scalars, lists and maps.
//!
//! A clone is a count, so a base that fifty overlays share is parsed once and stays in memory once.
//! Scalars keep their text and how it was written; what type the text has is asked late
//! ([`Scalar::tag`]), as kustomize does: the prefix `1` before the name `e3` makes the number 1000.

use ecow::{EcoString, EcoVec};
use rustc_hash::FxHashSet;

use crate::yaml::scalar;

/// A YAML or JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing where a value should be; `null` and `~` are scalars, see [`Value::is_null`].
    #[default]
    Null,
    /// Text with the way it was written.
    Scalar(Scalar),
    /// A sequence.
    List(EcoVec<Self>),
    /// A mapping, in the order of its source.
    Map(Map),
}

/// A leaf: its text, and how the text says which type it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scalar {
    /// The text after unescaping and unfolding.
    pub text: EcoString,
    /// What decides on the type.
    pub style: Style,
}

/// What decides on the type of a scalar.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Style {
    /// Written without quotes: the text decides.
    Plain,
    /// Put there by a step, without quotes and tag: the text decides, also that of a later step,
    /// where a written scalar would keep the type it had.
    Bare,
    /// Quoted or literal: a string.
    Quoted,
    /// Folded: a string, whose lines may change when kustomize prints the object and reads it again.
    Folded,
    /// Quoted, but of a type that the text has to agree with: a merge put it into another's quotes.
    QuotedAs(Tag),
    /// The tag decides, and the text has to agree when it is printed.
    Tagged(Tag),
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Tag {
    /// `!!null`
    Null,
    /// `!!bool`
    Bool,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!str`, and every tag that nobody knows
    Str,
    /// `!!timestamp`
    Timestamp,
    /// `!!binary`
    Binary,
    /// `!!merge`, the plain `<<`
    Merge,
}

/// A mapping in the order of its source; duplicate keys are kept until the document is printed.
///
/// Look-ups go through the entries in turn: mappings in manifests are short.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(EcoVec<(Key, Value)>);

/// A mapping's key.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// The text; all look-ups go by it.
    pub text: EcoString,
    /// Whether it was written as something other than a string (`1:`, `true:`), which kustomize
    /// refuses when it prints the object and not earlier.
    pub typed: bool,
}

impl Value {
    /// A string, whatever its text looks like.
    pub fn string(text: impl Into<EcoString>) -> Self {
        Self::Scalar(Scalar { text: text.into(), style: Style::Tagged(Tag::Str) })
    }

    /// Text without quotes, whose type is read off it when it is printed.
    pub fn plain(text: impl Into<EcoString>) -> Self {
        Self::Scalar(Scalar { text: text.into(), style: Style::Plain })
    }

    /// Text put there by a step, of whatever type it looks like then; see [`Style::Bare`].
    pub fn bare(text: impl Into<EcoString>) -> Self {
        Self::Scalar(Scalar { text: text.into(), style: Style::Bare })
    }

    /// An integer.
    pub fn int(number: i64) -> Self {
        Self::Scalar(Scalar { text: ecow::eco_format!("{number}"), style: Style::Tagged(Tag::Int) })
    }

    /// A boolean.
    pub fn bool(value: bool) -> Self {
        let text = if value { "true" } else { "false" };
        Self::Scalar(Scalar { text: text.into(), style: Style::Tagged(Tag::Bool) })
    }

    /// An empty mapping.
    pub fn map() -> Self {
        Self::Map(Map::default())
    }

    /// An empty list.
    pub fn list() -> Self {
        Self::List(EcoVec::new())
    }

    /// The value under `key`, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The value under `key` for writing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_map_mut()?.get_mut(key)
    }

    /// The value at the end of a path of mapping keys.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The text at the end of a path of mapping keys; `None` for nulls, lists and mappings too.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).filter(|value| !value.is_null())?.as_text()
    }

    /// As [`Value::text_at`] for a path that the program knows: to compare it takes no call.
    #[inline]
    pub(crate) fn text_of<const N: usize>(&self, path: [&'static str; N]) -> Option<&str> {
        let mut value = self;
        for key in path {
            value = value.as_map()?.get(key)?;
        }
        match value {
            Self::Scalar(scalar) if !value.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of a scalar of any type, also of a written null.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of a scalar that is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Scalar(scalar) if scalar.tag() == Tag::Str => Some(&scalar.text),
            _ => None,
        }
    }

    /// A scalar of any type but null.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match self {
            Self::Scalar(scalar) if !self.is_null() => Some(scalar),
            _ => None,
        }
    }

    /// The mapping, where it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping for writing, where it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, where it is one.
    pub fn as_list(&self) -> Option<&EcoVec<Self>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The list for writing, where it is one.
    pub fn as_list_mut(&mut self) -> Option<&mut EcoVec<Self>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether this is null: [`Value::Null`] or a scalar tagged so.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Scalar(scalar) => scalar.style == Style::Tagged(Tag::Null),
            Self::List(_) | Self::Map(_) => false,
        }
    }

    /// `null`, `scalar`, `list` or `map`, for messages.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Scalar(_) => "scalar",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// The value at `path`, whose missing mappings are made on the way; an existing null on the way
    /// becomes a mapping.
    ///
    /// `None` where something on the way is a scalar or a list.
    pub fn make(&mut self, path: &[&str]) -> Option<&mut Self> {
        let mut value = self;
        for key in path {
            if value.is_null() {
                *value = Self::map();
            }
            value = value.as_map_mut()?.entry(key);
        }
        Some(value)
    }

    /// Sets `path` to `new`, making the mappings on the way; false where a scalar or list is in the way.
    pub fn set(&mut self, path: &[&str], new: Self) -> bool {
        self.make(path).map(|value| *value = new).is_some()
    }
}

impl Style {
    /// Whether the scalar stands in quotes or is a block.
    pub fn is_quoted(self) -> bool {
        matches!(self, Self::Quoted | Self::Folded | Self::QuotedAs(_))
    }

    /// The quotes of this style, around a text of another type.
    pub fn around(self, tag: Tag) -> Self {
        match (self, tag) {
            (Self::Folded, Tag::Str) => Self::Folded,
            (_, Tag::Str) => Self::Quoted,
            (_, tag) => Self::QuotedAs(tag),
        }
    }
}

impl Scalar {
    /// The type of the scalar under the rules for resources (go-yaml v3: YAML 1.2 booleans).
    pub fn tag(&self) -> Tag {
        match self.style {
            Style::Quoted | Style::Folded | Style::QuotedAs(_) => Tag::Str,
            Style::Tagged(tag) => tag,
            Style::Plain | Style::Bare => scalar::resolve(&self.text),
        }
    }

    /// Whether this is the same string as one that a step sets to its text.
    pub(crate) fn is_as_set(&self) -> bool {
        self.tag() == Tag::Str && !matches!(self.style, Style::Folded | Style::QuotedAs(_))
    }
}

/// Whether two keys are the same, which takes no call to find out where they are short.
#[inline]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8..=16 => ends::<8>(one) == ends::<8>(other),
        4..=7 => ends::<4>(one) == ends::<4>(other),
        _ => one == other,
    }
}

/// The first and the last bytes, which may overlap.
#[inline]
fn ends<const N: usize>(text: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (text.first_chunk(), text.last_chunk())
}

/// See [`Map::twice`].
const FEW: usize = 8;

impl Map {
    /// The value under `key`; of duplicate keys the first.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| is_same(&k.text, key)).map(|(_, value)| value)
    }

    /// The value under `key` for writing.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.at_mut(self.position(key)?)
    }

    /// Whether both are one mapping that nothing was written to since they were copied.
    pub(crate) fn is_one_with(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.as_slice(), other.0.as_slice())
    }

    /// Whether there is such a key.
    pub fn has(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// The value under `key`, with its position among the entries; of duplicate keys the first.
    pub(crate) fn find(&self, key: &str) -> Option<(usize, &Value)> {
        let mut entries = self.0.iter().enumerate();
        entries.find(|(_, (k, _))| is_same(&k.text, key)).map(|(at, (_, value))| (at, value))
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(k, _)| is_same(&k.text, key))
    }

    /// The value under `key`, which is added as null where it is missing.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let index = self.position(key).unwrap_or_else(|| {
            self.0.push((Key::from(key), Value::Null));
            self.0.len() - 1
        });
        &mut self.0.make_mut()[index].1
    }

    /// Sets `key`, in its old place or at the end.
    pub fn insert(&mut self, key: impl AsRef<str>, value: Value) {
        *self.entry(key.as_ref()) = value;
    }

    /// Appends without looking for the key: for readers, which keep duplicates.
    pub fn push(&mut self, key: Key, value: Value) {
        self.0.push((key, value));
    }

    /// The first key that stands there a second time.
    #[must_use]
    pub fn twice(&self) -> Option<&Key> {
        let mut keys = self.0.iter().map(|(key, _)| key);
        // Few keys are compared faster than they are hashed.
        if self.0.len() <= FEW {
            let before = |at| self.0.iter().take(at).map(|(key, _)| &key.text);
            let mut keys = keys.enumerate();
            return keys.find(|(at, key)| before(*at).any(|one| *one == key.text)).map(|it| it.1);
        }
        let mut seen = FxHashSet::default();
        keys.find(|key| !seen.insert(&key.text))
    }

    /// Takes `key` out; of duplicate keys the first.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let index = self.position(key)?;
        Some(self.0.remove(index).1)
    }

    /// Keeps the entries for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&Key, &mut Value) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// The entries in the order of the source.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> + DoubleEndedIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The entries with their values for writing.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&Key, &mut Value)> {
        self.0.make_mut().iter_mut().map(|(key, value)| (&*key, value))
    }

    /// The value of the entry at `index`, for writing.
    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut Value> {
        self.0.make_mut().get_mut(index).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Key, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T: Into<EcoString>> From<T> for Key {
    fn from(text: T) -> Self {
        Self { text: text.into(), typed: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_mappings_on_the_way() {
        let mut value = Value::Null;
        assert!(value.set(&["metadata", "name"], Value::plain("web")));
        assert_eq!(value.text_at(&["metadata", "name"]), Some("web"));
        assert!(!value.set(&["metadata", "name", "x"], Value::Null));
    }

    #[test]
    fn a_clone_is_not_changed_by_its_original() {
        let mut value = Value::map();
        value.set(&["a", "b"], Value::int(1));
        let copy = value.clone();
        value.set(&["a", "b"], Value::int(2));
        assert_eq!(copy.text_at(&["a", "b"]), Some("1"));
    }

    #[test]
    fn a_written_null_is_no_text_at_the_end_of_a_path() {
        let mut value = Value::map();
        let null = Scalar { text: "~".into(), style: Style::Tagged(Tag::Null) };
        value.set(&["name"], Value::Scalar(null));
        assert_eq!(value.text_at(&["name"]), None);
        assert_eq!(value.get("name").and_then(Value::as_text), Some("~"));
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<Value>() <= 24);
    }
}
