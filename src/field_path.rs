//! Paths of fields as replacements and vars write them: `spec.containers.[name=web].env.0.value`.
//!
//! Parts stand between dots, `\.` is a dot within one. A part is a key of a mapping, the index of an
//! element, `[key=value]` for elements by one of their fields, `[=value]` for elements that are
//! scalars, or `*` for all elements. `[a.b/c]` is a key with dots.
//!
//! There are two ways to follow one: [`find`] looks up a single value, where `[key=value]` compares
//! texts; [`visit`] reaches every value that fits, where it is a regular expression. Kustomize uses
//! one for sources and the other for targets.
//!
//! Source: kustomize `kyaml/utils/pathsplitter.go`, `kyaml/yaml/{fns,match}.go`.

use ecow::EcoString;
use regex::Regex;

use crate::error::Result as BuildResult;
use crate::limits::Limits;
use crate::pattern;
use crate::value::{Key, Scalar, Style, Tag, Value};
use crate::yaml;

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

/// What [`visit`] has reached.
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

/// The one value at the end of a path, `None` where something on the way is missing or null.
///
/// # Errors
/// Where a part does not fit what it meets: a key a list, an index a mapping.
pub fn find<'v>(value: &'v Value, path: &[EcoString]) -> Outcome<Option<&'v Value>> {
    let mut value = value;
    for text in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let part = part(text)?;
        if value.is_null() {
            return Ok(None);
        }
        let found = match &part {
            Part::Key(key) => map_of(value, text)?.get(key),
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

/// As [`find`], for writing.
///
/// # Errors
/// As [`find`].
pub fn find_mut<'v>(value: &'v mut Value, path: &[EcoString]) -> Outcome<Option<&'v mut Value>> {
    let mut value = value;
    for text in path.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        let part = part(text)?;
        if value.is_null() {
            return Ok(None);
        }
        let found = match &part {
            Part::Key(key) => {
                map_of(value, text)?;
                value.get_mut(key)
            }
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

fn map_of<'v>(value: &'v Value, part: &str) -> Outcome<&'v crate::value::Map> {
    value.as_map().ok_or_else(|| misfit(part, "map", value))
}

fn list_of<'v>(value: &'v Value, part: &str) -> Outcome<&'v [Value]> {
    value.as_list().map(|list| list.as_slice()).ok_or_else(|| misfit(part, "list", value))
}

fn misfit(part: &str, expected: &str, value: &Value) -> String {
    format!("`{part}` needs a {expected}, found a {}", value.kind_name())
}

/// Which element a part names.
fn position(list: &[Value], part: &Part<'_>) -> Option<usize> {
    match part {
        Part::Index(at) => Some(*at).filter(|at| *at < list.len()),
        Part::Last => list.len().checked_sub(1),
        Part::Element("", text) => list.iter().position(|one| bare(one) == *text),
        Part::Element(key, text) => {
            list.iter().position(|one| one.get(key).map(bare) == Some(*text))
        }
        Part::Key(_) => None,
    }
}

/// The text of a scalar; lists and mappings have none.
fn bare(value: &Value) -> &str {
    match value {
        Value::Null => "null",
        value => value.as_text().unwrap_or_default(),
    }
}

/// Calls `set` for every value at the end of a path, and says what it has reached.
///
/// # Errors
/// Where a part does not fit what it meets, an index is out of bounds, an expression is none, or
/// `set` fails.
pub fn visit(
    value: &mut Value,
    path: &[EcoString],
    make: Make,
    set: &mut dyn FnMut(&mut Value) -> Outcome<()>,
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

/// One part of a path with what follows it.
struct Step<'a> {
    part: &'a EcoString,
    rest: &'a [EcoString],
    make: Make,
}

type Set<'a> = &'a mut dyn FnMut(&mut Value) -> Outcome<()>;

impl Step<'_> {
    fn index(&self, value: &mut Value, at: usize, set: Set<'_>) -> Outcome<Found> {
        let length = self.length(value)?;
        if length == at && self.make != Make::Nothing {
            self.push(value, self.made())?;
        } else if length <= at {
            return Err(format!("index {at} is out of bounds: there are {length} elements"));
        }
        match value.as_list_mut().and_then(|list| list.make_mut().get_mut(at)) {
            Some(element) => visit(element, self.rest, self.make, set),
            None => Ok(Found::default()),
        }
    }

    fn elements(&self, value: &mut Value, set: Set<'_>) -> Outcome<Found> {
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
        self.push(value, element)?;
        Ok(found)
    }

    /// An element that `[key=text]` selects, with the rest of the path made in it; its text has no
    /// type of its own until it is known to stay.
    fn new_element(&self, key: &str, text: &str, set: Set<'_>) -> Outcome<(Value, Found)> {
        let settle = |value: &mut Value| {
            if *value == Value::plain("") {
                *value = Value::plain(text);
            }
        };
        if key.is_empty() {
            let mut element = Value::plain("");
            let found = visit(&mut element, &[], self.make, set)?;
            settle(&mut element);
            return Ok((element, found));
        }
        let entry = (Key::from(key), Value::plain(""));
        let mut element = Value::Map([entry].into_iter().collect());
        let found = visit(&mut element, self.rest, self.make, set)?;
        element.get_mut(key).map(settle);
        Ok((element, found))
    }

    fn matching(
        &self,
        value: &mut Value,
        key: &str,
        expression: &Regex,
        set: Set<'_>,
    ) -> Outcome<Found> {
        let Some(list) = value.as_list_mut() else { return Ok(Found::default()) };
        let fits = |element: &Value| {
            match key {
                "" => Some(element),
                key => element.get(key),
            }
            .is_some_and(|value| expression.is_match(&written(value)))
        };
        let mut found = Found::default();
        for at in 0..list.len() {
            if !list.get(at).is_some_and(&fits) {
                continue;
            }
            // A scalar ends the path, whatever follows.
            let rest = if key.is_empty() { &[] } else { self.rest };
            found += visit(&mut list.make_mut()[at], rest, self.make, set)?;
        }
        Ok(found)
    }

    fn every(&self, value: &mut Value, set: Set<'_>) -> Outcome<Found> {
        self.length(value)?;
        let Some(list) = value.as_list_mut() else { return Ok(Found::default()) };
        let mut found = Found::default();
        for element in list.make_mut() {
            found += visit(element, self.rest, self.make, set)?;
        }
        Ok(found)
    }

    fn field(&self, value: &mut Value, set: Set<'_>) -> Outcome<Found> {
        if value.is_null() {
            // Kustomize makes the field within a node that prints as null all the same.
            let made = usize::from(self.make != Make::Nothing);
            return Ok(Found { values: made, lost: made });
        }
        map_of(value, self.part)?;
        let Some(map) = value.as_map_mut() else { return Ok(Found::default()) };
        if !map.has(self.part) {
            if self.make == Make::Nothing {
                return Ok(Found::default());
            }
            map.insert(self.part, self.made());
        }
        let Some(field) = map.get_mut(self.part) else { return Ok(Found::default()) };
        match field {
            Value::Null | Value::Scalar(_) if !self.rest.is_empty() => self.detached(field, set),
            field => visit(field, self.rest, self.make, set),
        }
    }

    /// Follows the rest of the path in what a text holds, without writing it back.
    ///
    /// Kustomize does so where the direct way into the text failed: it finds the fields and sets
    /// them in a copy that nobody sees.
    fn detached(&self, field: &Value, set: Set<'_>) -> Outcome<Found> {
        let misfit = || misfit(&self.rest[0], "map", field);
        let mut inner = match field {
            Value::Null => return Err(misfit()),
            field if has_no_document(bare(field)) => return Err(misfit()),
            field => parse(bare(field)).map_err(|_| misfit())?,
        };
        let found = visit(&mut inner, self.rest, self.make, set)?;
        Ok(Found { lost: found.values, ..found })
    }

    /// How many elements a list has; a null counts as an empty one.
    fn length(&self, value: &Value) -> Outcome<usize> {
        if value.is_null() {
            return Ok(0);
        }
        list_of(value, self.part).map(<[Value]>::len)
    }

    fn push(&self, value: &mut Value, element: Value) -> Outcome<()> {
        match value {
            Value::List(list) => {
                list.push(element);
                Ok(())
            }
            value => Err(misfit(self.part, "list", value)),
        }
    }

    /// What is made where this part leads to: what the next part needs.
    fn made(&self) -> Value {
        match (self.rest.first(), self.make) {
            (Some(next), _) if is_element(next) || index(next).is_some() => Value::list(),
            (Some(_), _) | (None, Make::Map) => Value::map(),
            (None, Make::List) => Value::list(),
            (None, Make::Scalar | Make::Nothing) => Value::plain(""),
        }
    }
}

fn compile(text: &str) -> Outcome<Regex> {
    pattern::compile(text, Limits::WEBHOOK.regex_bytes)
        .map_err(|why| format!("\"{text}\" is not a regular expression: {why}"))
}

/// Whether there is nothing in a text but blanks and comments.
fn has_no_document(text: &str) -> bool {
    text.lines().map(str::trim_start).all(|line| line.is_empty() || line.starts_with('#'))
}

/// A text as YAML.
pub(crate) fn parse(text: &str) -> BuildResult<Value> {
    yaml::read_first(text.as_bytes(), &"".into(), &Limits::WEBHOOK)
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
        parse(text).expect("YAML")
    }

    fn found(text: &str, path: &str) -> Outcome<Option<String>> {
        let value = value(text);
        find(&value, &split(path)).map(|one| one.map(|one| bare(one).to_owned()))
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
