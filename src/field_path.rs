//! Paths of fields as replacements and vars write them: `spec.containers.[name=web].env.0.value`.
//!
//! Parts stand between dots, `\.` is a dot within one. A part is a key of a mapping, the index of an
//! element, `[key=value]` for elements by one of their fields, `[=value]` for elements that are
//! scalars, or `*` for all elements. `[a.b/c]` is a key with dots.
//!
//! There are two ways to follow one: `find` looks up a single value, where `[key=value]` compares
//! texts; `visit` reaches every value that fits, where it is a regular expression. Kustomize uses
//! one for sources and the other for targets.
//!
//! Source: kustomize `kyaml/utils/pathsplitter.go`, `kyaml/yaml/{fns,match}.go`.

use ecow::EcoString;
use regex::Regex;

use crate::limits::Limits;
use crate::pattern;
use crate::value::{Scalar, Style, Tag, Value};
use crate::yaml;
use crate::yaml::nodes::{self, Content, Node};

/// Why a path could not be followed.
pub type Outcome<T> = std::result::Result<T, String>;

/// What stands at the end of a path that is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Make {
    /// Nothing is made.
    Nothing,
    /// A scalar without a type of its own.
    Scalar,
    /// An empty list.
    List,
    /// An empty mapping.
    Map,
}

/// What `visit` has reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// How many values there were.
    pub values: usize,
    /// How many of them stand in a text and were set in vain: the text stays as it is.
    pub lost: usize,
}

impl std::ops::AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        self.values += other.values;
        self.lost += other.lost;
    }
}

/// Splits a path at its dots.
#[must_use]
pub fn split(path: &str) -> Vec<EcoString> {
    let mut parts = Vec::new();
    let mut pieces = unescaped(path).into_iter();
    while let Some(mut part) = pieces.next() {
        if !part.starts_with('[') || part.ends_with(']') {
            parts.push(part);
            continue;
        }
        for piece in pieces.by_ref() {
            part.push('.');
            part.push_str(&piece);
            if part.ends_with(']') {
                break;
            }
        }
        let is_element = part.contains('=');
        parts.push(if is_element { part } else { part.trim_matches(['[', ']']).into() });
    }
    parts
}

/// The pieces between dots that no backslash precedes; a dot at the beginning does not count.
fn unescaped(path: &str) -> Vec<EcoString> {
    let path = path.strip_prefix('.').unwrap_or(path);
    let mut pieces: Vec<EcoString> = Vec::new();
    for piece in path.split('.') {
        match pieces.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push('.');
                last.push_str(piece);
            }
            _ => pieces.push(piece.into()),
        }
    }
    pieces
}

/// A part of a path that is followed by look-up.
enum Part<'a> {
    Key(&'a str),
    Index(usize),
    Last,
    Element(&'a str, &'a str),
}

fn part(text: &str) -> Outcome<Part<'_>> {
    match text.parse::<i64>() {
        Ok(index) => {
            let index = usize::try_from(index);
            return index.map(Part::Index).map_err(|_| format!("index {text} is negative"));
        }
        Err(_) if text == "-" => return Ok(Part::Last),
        Err(_) if text == "*" => return Err("`*` leads to more than one value".to_owned()),
        Err(_) => {}
    }
    match is_element(text) {
        true => element(text).map(|(key, value)| Part::Element(key, value)),
        false => Ok(Part::Key(text)),
    }
}

fn is_element(part: &str) -> bool {
    part.len() > 1 && part.starts_with('[') && part.ends_with(']')
}

/// The key and the value of `[key=value]`.
fn element(part: &str) -> Outcome<(&str, &str)> {
    let inside = &part[1..part.len() - 1];
    inside.split_once('=').ok_or_else(|| format!("`{part}` has to be `[key=value]`"))
}

/// An index that a target may name.
fn index(part: &str) -> Option<usize> {
    part.parse::<i64>().ok().and_then(|index| usize::try_from(index).ok())
}

/// What a path leads through: an object, or what a text within it holds.
pub(crate) trait Tree: Sized {
    /// A leaf that has no type but what its text looks like.
    fn leaf(text: &str) -> Self;
    /// An empty list.
    fn list() -> Self;
    /// An empty mapping.
    fn map() -> Self;
    /// The same as a node, without what is in it.
    fn alike(node: &Node) -> Self;
    /// What it is, for messages.
    fn kind_name(&self) -> &'static str;
    /// Whether it is null.
    fn is_null(&self) -> bool;
    /// Whether it is a leaf that was just made.
    fn is_blank(&self) -> bool;
    /// Whether it is a mapping.
    fn is_map(&self) -> bool;
    /// The text of a leaf, also of a null.
    fn text(&self) -> Option<&str>;
    /// The text of a leaf as look-ups compare it; lists and mappings have none.
    fn bare(&self) -> &str;
    /// How it is written, which is what expressions are compared with.
    fn written(&self) -> EcoString;
    /// The elements of a list.
    fn elements(&self) -> Option<&[Self]>;
    /// The same, for writing.
    fn elements_mut(&mut self) -> Option<&mut [Self]>;
    /// Adds an element to a list.
    fn push(&mut self, element: Self);
    /// The value under a key.
    fn field(&self, key: &str) -> Option<&Self>;
    /// The same, for writing.
    fn field_mut(&mut self, key: &str) -> Option<&mut Self>;
    /// Adds an entry to a mapping.
    fn insert(&mut self, key: &str, value: Self);
}

impl Tree for Value {
    fn leaf(text: &str) -> Self {
        Self::plain(text)
    }

    fn list() -> Self {
        Self::list()
    }

    fn map() -> Self {
        Self::map()
    }

    fn alike(node: &Node) -> Self {
        match &node.content {
            Content::Scalar(text, _) => Self::plain(text.clone()),
            Content::Alias(name) => Self::plain(name.clone()),
            Content::List(..) => Self::list(),
            Content::Map(..) => Self::map(),
        }
    }

    fn kind_name(&self) -> &'static str {
        self.kind_name()
    }

    fn is_null(&self) -> bool {
        self.is_null()
    }

    fn is_blank(&self) -> bool {
        *self == Self::plain("")
    }

    fn is_map(&self) -> bool {
        self.as_map().is_some()
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Null => Some(""),
            value => value.as_text(),
        }
    }

    fn bare(&self) -> &str {
        match self {
            Self::Null => "null",
            value => value.as_text().unwrap_or_default(),
        }
    }

    fn written(&self) -> EcoString {
        written(self)
    }

    fn elements(&self) -> Option<&[Self]> {
        self.as_list().map(|list| list.as_slice())
    }

    fn elements_mut(&mut self) -> Option<&mut [Self]> {
        self.as_list_mut().map(|list| list.make_mut())
    }

    fn push(&mut self, element: Self) {
        if let Some(list) = self.as_list_mut() {
            list.push(element);
        }
    }

    fn field(&self, key: &str) -> Option<&Self> {
        self.get(key)
    }

    fn field_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.get_mut(key)
    }

    fn insert(&mut self, key: &str, value: Self) {
        if let Some(map) = self.as_map_mut() {
            map.insert(key, value);
        }
    }
}

impl Tree for Node {
    fn leaf(text: &str) -> Self {
        Self::made(text)
    }

    fn list() -> Self {
        Self::list(Vec::new())
    }

    fn map() -> Self {
        Self::map(Vec::new())
    }

    fn alike(node: &Node) -> Self {
        node.clone()
    }

    fn kind_name(&self) -> &'static str {
        match self.content {
            Content::Scalar(..) => "scalar",
            Content::Alias(_) => "alias",
            Content::List(..) => "list",
            Content::Map(..) => "map",
        }
    }

    fn is_null(&self) -> bool {
        self.is_null()
    }

    fn is_blank(&self) -> bool {
        self.tag.is_empty() && Tree::text(self) == Some("")
    }

    fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(..))
    }

    fn text(&self) -> Option<&str> {
        self.text().map(EcoString::as_str)
    }

    fn bare(&self) -> &str {
        Tree::text(self).unwrap_or_default()
    }

    fn written(&self) -> EcoString {
        self.write().into()
    }

    fn elements(&self) -> Option<&[Self]> {
        match &self.content {
            Content::List(items, _) => Some(items),
            _ => None,
        }
    }

    fn elements_mut(&mut self) -> Option<&mut [Self]> {
        match &mut self.content {
            Content::List(items, _) => Some(items),
            _ => None,
        }
    }

    fn push(&mut self, element: Self) {
        if let Content::List(items, _) = &mut self.content {
            items.push(element);
        }
    }

    fn field(&self, key: &str) -> Option<&Self> {
        let Content::Map(entries, _) = &self.content else { return None };
        entries.iter().find(|(one, _)| Tree::text(one) == Some(key)).map(|(_, value)| value)
    }

    fn field_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Content::Map(entries, _) = &mut self.content else { return None };
        entries.iter_mut().find(|(one, _)| Tree::text(one) == Some(key)).map(|(_, value)| value)
    }

    fn insert(&mut self, key: &str, value: Self) {
        if let Content::Map(entries, _) = &mut self.content {
            entries.push((Self::made(key), value));
        }
    }
}

/// The one value at the end of a path, `None` where something on the way is missing or null.
///
/// # Errors
/// Where a part does not fit what it meets: a key a list, an index a mapping.
pub(crate) fn find<'v, T: Tree>(value: &'v T, path: &[EcoString]) -> Outcome<Option<&'v T>> {
    let mut value = value;
    for text in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let part = part(text)?;
        if value.is_null() {
            return Ok(None);
        }
        let found = match &part {
            Part::Key(key) if value.is_map() => value.field(key),
            Part::Key(_) => return Err(misfit(text, "map", value)),
            Part::Index(_) | Part::Last | Part::Element(..) => {
                let list = list_of(value, text)?;
                position(list, &part).and_then(|at| list.get(at))
            }
        };
        match found {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// As `find`, for writing.
///
/// # Errors
/// As `find`.
pub fn find_mut<'v>(value: &'v mut Value, path: &[EcoString]) -> Outcome<Option<&'v mut Value>> {
    let mut value = value;
    for text in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let part = part(text)?;
        if value.is_null() {
            return Ok(None);
        }
        let found = match &part {
            Part::Key(key) if value.is_map() => value.get_mut(key),
            Part::Key(_) => return Err(misfit(text, "map", value)),
            Part::Index(_) | Part::Last | Part::Element(..) => {
                let at = position(list_of(value, text)?, &part);
                let list = value.as_list_mut();
                list.zip(at).and_then(|(list, at)| list.make_mut().get_mut(at))
            }
        };
        match found {
            Some(inner) => value = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

fn list_of<'v, T: Tree>(value: &'v T, part: &str) -> Outcome<&'v [T]> {
    value.elements().ok_or_else(|| misfit(part, "list", value))
}

fn misfit<T: Tree>(part: &str, expected: &str, value: &T) -> String {
    format!("`{part}` needs a {expected}, found a {}", value.kind_name())
}

/// Which element a part names.
fn position<T: Tree>(list: &[T], part: &Part<'_>) -> Option<usize> {
    match part {
        Part::Index(at) => Some(*at).filter(|at| *at < list.len()),
        Part::Last => list.len().checked_sub(1),
        Part::Element("", text) => list.iter().position(|one| one.bare() == *text),
        Part::Element(key, text) => {
            list.iter().position(|one| one.field(key).map(T::bare) == Some(*text))
        }
        Part::Key(_) => None,
    }
}

/// Calls `set` for every value at the end of a path, and says what it has reached.
///
/// # Errors
/// Where a part does not fit what it meets, an index is out of bounds, an expression is none, or
/// `set` fails.
pub(crate) fn visit<T: Tree>(
    value: &mut T,
    path: &[EcoString],
    make: Make,
    set: Set<'_, T>,
) -> Outcome<Found> {
    let Some((part, rest)) = path.split_first() else {
        return set(value).map(|()| Found { values: 1, lost: 0 });
    };
    let step = Step { part, rest, make };
    if let Some(at) = index(part) {
        step.index(value, at, set)
    } else if is_element(part) {
        step.elements(value, set)
    } else if part == "*" {
        step.every(value, set)
    } else {
        step.field(value, set)
    }
}

/// What is called for the values at the end of a path.
type Set<'a, T> = &'a mut dyn FnMut(&mut T) -> Outcome<()>;

/// One part of a path with what follows it.
struct Step<'a> {
    part: &'a EcoString,
    rest: &'a [EcoString],
    make: Make,
}

impl Step<'_> {
    fn index<T: Tree>(&self, value: &mut T, at: usize, set: Set<'_, T>) -> Outcome<Found> {
        let length = self.length(value)?;
        if length == at && self.make != Make::Nothing {
            let mut element = self.made();
            let found = visit(&mut element, self.rest, self.make, set)?;
            return Ok(add(value, element, found));
        }
        match value.elements_mut().and_then(|list| list.get_mut(at)) {
            Some(element) => visit(element, self.rest, self.make, set),
            None => Err(format!("index {at} is out of bounds: there are {length} elements")),
        }
    }

    fn elements<T: Tree>(&self, value: &mut T, set: Set<'_, T>) -> Outcome<Found> {
        let (key, text) = element(self.part)?;
        self.length(value)?;
        let expression = compile(text)?;
        let found = self.matching(value, key, &expression, set)?;
        if found.values > 0 || self.make == Make::Nothing {
            return Ok(found);
        }
        if !expression.is_match(text) {
            // Kustomize would add elements for ever.
            return Err(format!("`{}` does not select the element that it creates", self.part));
        }
        let (element, found) = self.new_element(key, text, set)?;
        Ok(add(value, element, found))
    }

    /// An element that `[key=text]` selects, with the rest of the path made in it; its text has no
    /// type of its own until it is known to stay.
    fn new_element<T: Tree>(&self, key: &str, text: &str, set: Set<'_, T>) -> Outcome<(T, Found)> {
        let settle = |value: &mut T| {
            if value.is_blank() {
                *value = T::leaf(text);
            }
        };
        if key.is_empty() {
            let mut element = T::leaf("");
            let found = visit(&mut element, &[], self.make, set)?;
            settle(&mut element);
            return Ok((element, found));
        }
        let mut element = T::map();
        element.insert(key, T::leaf(""));
        let found = visit(&mut element, self.rest, self.make, set)?;
        element.field_mut(key).map(settle);
        Ok((element, found))
    }

    fn matching<T: Tree>(
        &self,
        value: &mut T,
        key: &str,
        expression: &Regex,
        set: Set<'_, T>,
    ) -> Outcome<Found> {
        let fits = |element: &T| {
            match key {
                "" => Some(element),
                key => element.field(key),
            }
            .is_some_and(|value| expression.is_match(&value.written()))
        };
        let mut found = Found::default();
        for at in 0..value.elements().map_or(0, <[T]>::len) {
            if !value.elements().and_then(|list| list.get(at)).is_some_and(&fits) {
                continue;
            }
            // A scalar ends the path, whatever follows.
            let rest = if key.is_empty() { &[] } else { self.rest };
            if let Some(element) = value.elements_mut().and_then(|list| list.get_mut(at)) {
                found += visit(element, rest, self.make, set)?;
            }
        }
        Ok(found)
    }

    fn every<T: Tree>(&self, value: &mut T, set: Set<'_, T>) -> Outcome<Found> {
        self.length(value)?;
        let mut found = Found::default();
        for element in value.elements_mut().unwrap_or_default() {
            found += visit(element, self.rest, self.make, set)?;
        }
        Ok(found)
    }

    fn field<T: Tree>(&self, value: &mut T, set: Set<'_, T>) -> Outcome<Found> {
        if value.is_null() {
            // Kustomize makes the field within a node that prints as null all the same.
            let made = usize::from(self.make != Make::Nothing);
            return Ok(Found { values: made, lost: made });
        }
        if !value.is_map() {
            return Err(misfit(self.part, "map", value));
        }
        if value.field(self.part).is_none() {
            if self.make == Make::Nothing {
                return Ok(Found::default());
            }
            value.insert(self.part, self.made());
        }
        let Some(field) = value.field_mut(self.part) else { return Ok(Found::default()) };
        match field.text() {
            Some(text) if !self.rest.is_empty() => match nodes::read(text, Limits::WEBHOOK.depth) {
                Some(document) => self.detached(document.root, set),
                None => Err(misfit(&self.rest[0], "map", field)),
            },
            _ => visit(field, self.rest, self.make, set),
        }
    }

    /// Follows the rest of the path in what a text holds, without writing it back.
    ///
    /// Kustomize does so where the direct way into the text failed: it finds the fields and sets
    /// them in a copy that nobody sees.
    fn detached<T: Tree>(&self, mut inner: Node, set: Set<'_, T>) -> Outcome<Found> {
        let mut try_set = |node: &mut Node| set(&mut T::alike(node));
        let found = visit(&mut inner, self.rest, self.make, &mut try_set)?;
        Ok(Found { lost: found.values, ..found })
    }

    /// How many elements a list has; a null counts as an empty one.
    fn length<T: Tree>(&self, value: &T) -> Outcome<usize> {
        match value.elements() {
            Some(list) => Ok(list.len()),
            None if value.is_null() => Ok(0),
            None => Err(misfit(self.part, "list", value)),
        }
    }

    /// What is made where this part leads to: what the next part needs.
    fn made<T: Tree>(&self) -> T {
        match (self.rest.first(), self.make) {
            (Some(next), _) if is_element(next) || index(next).is_some() => T::list(),
            (Some(_), _) | (None, Make::Map) => T::map(),
            (None, Make::List) => T::list(),
            (None, Make::Scalar | Make::Nothing) => T::leaf(""),
        }
    }
}

/// Adds an element to a list. Kustomize adds it to a null too, which prints as null all the same.
fn add<T: Tree>(list: &mut T, element: T, found: Found) -> Found {
    if list.elements().is_none() {
        return Found { lost: found.values, ..found };
    }
    list.push(element);
    found
}

fn compile(text: &str) -> Outcome<Regex> {
    pattern::compile(text, Limits::WEBHOOK.regex_bytes)
        .map_err(|why| format!("\"{text}\" is not a regular expression: {why}"))
}

/// A value as it is written, which is what expressions are compared with: strings that would be
/// read as something else have their quotes.
fn written(value: &Value) -> EcoString {
    match value {
        Value::Null => "null".into(),
        Value::Scalar(scalar) => written_scalar(scalar),
        Value::List(_) | Value::Map(_) => {
            let mut text = String::new();
            match yaml::write(value, &mut text) {
                Ok(()) => text.trim().into(),
                Err(_) => EcoString::new(),
            }
        }
    }
}

fn written_scalar(scalar: &Scalar) -> EcoString {
    let text = &scalar.text;
    let is_quoted = match scalar.style {
        Style::Plain | Style::Bare => false,
        Style::Quoted | Style::Folded | Style::QuotedAs(_) => true,
        Style::Tagged(tag) => tag == Tag::Str && yaml::scalar::resolve(text) != Tag::Str,
    };
    if is_quoted { ecow::eco_format!("\"{text}\"") } else { text.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        yaml::read_first(text.as_bytes(), &"".into(), &Limits::WEBHOOK).expect("YAML")
    }

    fn found(text: &str, path: &str) -> Outcome<Option<String>> {
        let value = value(text);
        find(&value, &split(path)).map(|one| one.map(|one| one.bare().to_owned()))
    }

    fn set(text: &str, path: &str, make: Make) -> Outcome<String> {
        let mut value = value(text);
        let found = visit(&mut value, &split(path), make, &mut |one| {
            *one = Value::plain("X");
            Ok(())
        })?;
        let mut out = String::new();
        yaml::write(&value, &mut out).expect("printable");
        Ok(format!("{} {}", found.values, out.trim().replace('\n', ", ")))
    }

    #[test]
    fn splits_at_dots_that_are_not_escaped() {
        assert_eq!(split(r"a.b\.c.d"), ["a", "b.c", "d"]);
        assert_eq!(split("a.[b.c/d].e"), ["a", "b.c/d", "e"]);
        assert_eq!(split("a.[k=b.c].e"), ["a", "[k=b.c]", "e"]);
        assert_eq!(split(".a"), ["a"]);
        assert_eq!(split("[a"), ["a"]);
    }

    #[test]
    fn finds_one_value() {
        let text = "l: [{k: a, v: 1}, {k: b, v: 2}]\np: [x, y]\nz: ~";
        assert_eq!(found(text, "l.[k=b].v"), Ok(Some("2".into())));
        assert_eq!(found(text, "l.0.v"), Ok(Some("1".into())));
        assert_eq!(found(text, "l.-.v"), Ok(Some("2".into())));
        assert_eq!(found(text, "p.[=y]"), Ok(Some("y".into())));
        assert_eq!(found(text, "l.[k=c].v"), Ok(None));
        assert_eq!(found(text, "p.7"), Ok(None));
        assert_eq!(found(text, "z.a"), Ok(None));
        assert!(found(text, "p.-1").is_err());
        assert!(found(text, "p.*").is_err());
        assert!(found(text, "p.a").is_err());
        assert!(found(text, "l.[k]").is_err());
    }

    #[test]
    fn visits_every_value_that_fits() {
        let text = "l: [{k: a1, v: 1}, {k: a2, v: 2}, {k: b}]";
        assert_eq!(
            set(text, "l.[k=a].v", Make::Nothing),
            Ok("2 l:, - k: a1,   v: X, - k: a2,   v: X, - k: b".into())
        );
        assert_eq!(
            set(text, "l.*.k", Make::Nothing),
            Ok("3 l:, - k: X,   v: 1, - k: X,   v: 2, - k: X".into())
        );
        assert_eq!(set("p: [x, y]", "p.[=y]", Make::Nothing), Ok("1 p:, - x, - X".into()));
        assert!(set("p: [x]", "p.a", Make::Nothing).is_err());
    }

    #[test]
    fn makes_what_is_missing() {
        assert_eq!(set("{}", "a.b.c", Make::Scalar), Ok("1 a:,   b:,     c: X".into()));
        assert_eq!(set("{}", "a.[k=w].c", Make::Scalar), Ok("1 a:, - c: X,   k: w".into()));
        assert_eq!(set("a: [x]", "a.1", Make::Scalar), Ok("1 a:, - x, - X".into()));
        assert!(set("a: [x]", "a.2", Make::Scalar).is_err());
        assert_eq!(set("{}", "a.b", Make::Nothing), Ok("0 {}".into()));
    }

    #[test]
    fn an_element_that_does_not_match_itself_is_refused() {
        assert!(set("a: []", "a.[k=^x$].c", Make::Scalar).is_err());
    }

    #[test]
    fn what_is_set_inside_a_text_is_lost() {
        assert_eq!(set("a: 'b: 1'", "a.b", Make::Nothing), Ok("1 a: 'b: 1'".into()));
    }
}
