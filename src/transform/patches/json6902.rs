//! JSON patches (RFC 6902), applied as kustomize does it.
//!
//! A patched object makes a round trip through JSON there: its dates become text, its numbers 64-bit
//! floats. The library in between is lenient: it counts indices from the end, replaces what is not
//! there, and takes a missing value for null.
//!
//! Source: kustomize `api/filters/patchjson6902`, evanphx/json-patch v4 `patch.go`; go-yaml v2 for
//! patches that are written in YAML.

use std::collections::HashMap;
use std::sync::Arc;

use ecow::EcoString;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::json;
use crate::limits::Limits;
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml;
use crate::yaml::scalar::{self, Meaning};

/// Most elements that all operations of a patch together may move aside in lists.
const MAX_MOVED: usize = 50_000_000;

/// The operations of a patch, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations(Vec<Operation>);

/// One operation, unchecked: kustomize finds out what is wrong with it when it applies it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Operation {
    op: Option<EcoString>,
    path: Option<EcoString>,
    from: Option<EcoString>,
    value: Option<Value>,
    /// The JSON of the value, where it is not what we would write.
    written: Option<EcoString>,
}

/// An operation that cannot be applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which operation, from 0.
    pub operation: usize,
    /// One line.
    pub message: String,
    /// What there is instead, where that helps.
    pub hint: Option<String>,
    /// Whether the patch asks for too much rather than something wrong.
    pub is_limit: bool,
}

impl Operations {
    /// Reads a patch: JSON where it begins with `[`, otherwise YAML 1.1.
    ///
    /// # Errors
    /// Where the text is neither, or is no list of mappings.
    pub fn parse(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Self> {
        let is_json = text.first() == Some(&b'[');
        let value = if is_json {
            from_json(&json::read(text, file)?)
        } else {
            from_yaml(&yaml::read_first(text, file, limits)?)
                .map_err(|message| invalid(file, message))?
        };
        match value {
            Value::List(list) => {
                let operations: Option<Vec<_>> = list.iter().map(Operation::new).collect();
                let mut operations = operations.ok_or_else(|| {
                    invalid(file, "JSON patch holds something else than operations")
                })?;
                if is_json {
                    note_what_is_written(&mut operations, text);
                }
                Ok(Self(operations))
            }
            value if value.is_null() => Ok(Self::default()),
            other => {
                let message = format!("JSON patch is a {}, not a list", other.kind_name());
                Err(invalid(file, message))
            }
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies the operations in order.
    ///
    /// # Errors
    /// Where one does not fit the object; the object is lost then.
    pub fn apply(&self, object: &mut Value, limits: &Limits) -> std::result::Result<(), Failure> {
        let fail = |operation, problem: Problem| Failure {
            operation,
            message: problem.message,
            hint: problem.hint,
            is_limit: problem.is_limit,
        };
        freeze(object).map_err(|message| fail(0, Problem::new(message)))?;
        let mut work = Work { limits, copied: 0, moved: 0 };
        for (index, operation) in self.0.iter().enumerate() {
            operation.apply(object, &mut work).map_err(|problem| fail(index, problem))?;
        }
        if object.as_map().is_none() {
            let message = format!("patch turns the object into a {}", object.kind_name());
            return Err(fail(self.0.len().saturating_sub(1), Problem::new(message)));
        }
        Ok(())
    }
}

fn invalid(file: &Arc<str>, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, Place::file(file.clone()), message)
}

/// Keeps the text of what is tested: kustomize compares that and not what it means.
fn note_what_is_written(operations: &mut [Operation], text: &[u8]) {
    if !operations.iter().any(|operation| operation.op.as_deref() == Some("test")) {
        return;
    }
    let written: Option<Vec<HashMap<&str, &RawValue>>> = serde_json::from_slice(text).ok();
    for (operation, written) in operations.iter_mut().zip(written.into_iter().flatten()) {
        operation.written = written.get("value").map(|value| value.get().into());
    }
}

fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => null(),
        Json::Bool(value) => Value::bool(*value),
        Json::Number(number) => float(number.as_f64().unwrap_or_default()),
        Json::String(text) => string(text),
        Json::Array(list) => Value::List(list.iter().map(from_json).collect()),
        Json::Object(object) => {
            let entry = |(key, value): (&String, _)| (Key::from(key.as_str()), from_json(value));
            Value::Map(object.iter().map(entry).collect())
        }
    }
}

/// Gives the scalars of a patch that is written in YAML the types of YAML 1.1; of duplicate keys the
/// last wins.
pub(crate) fn from_yaml(value: &Value) -> std::result::Result<Value, String> {
    Ok(match value {
        Value::Null => null(),
        Value::List(list) => {
            Value::List(list.iter().map(from_yaml).collect::<std::result::Result<_, _>>()?)
        }
        Value::Map(map) => {
            let mut read = Map::default();
            for (key, value) in map.iter() {
                read.insert(key_text(key)?, from_yaml(value)?);
            }
            Value::Map(read)
        }
        Value::Scalar(scalar) => match scalar.style {
            Style::Plain => meant(scalar::meaning_v2(&scalar.text))?,
            Style::Bare | Style::Quoted | Style::Folded | Style::QuotedAs(_) | Style::Tagged(_) => {
                meant(scalar::meaning(scalar)?)?
            }
        },
    })
}

/// A key as JSON has it: `n` is the boolean `false` to YAML 1.1, and a string then.
fn key_text(key: &Key) -> std::result::Result<EcoString, String> {
    if !key.typed {
        return Ok(key.text.clone());
    }
    Ok(match scalar::meaning_v2(&key.text) {
        Meaning::Null => return Err("a key may not be null".to_owned()),
        Meaning::Bool(value) => ecow::eco_format!("{value}"),
        Meaning::Int(int) => ecow::eco_format!("{int}"),
        Meaning::Uint(int) => ecow::eco_format!("{int}"),
        Meaning::Float(float) => {
            let mut text = String::new();
            scalar::write_float(float, &mut text);
            text.into()
        }
        Meaning::Text(text) => text.as_ref().into(),
    })
}

/// Brings an object into the form that the way through JSON leaves it in.
///
/// # Errors
/// Where it has no JSON.
pub(crate) fn freeze(value: &mut Value) -> std::result::Result<(), String> {
    match value {
        Value::Null => *value = null(),
        Value::Scalar(scalar) => {
            if !is_frozen(scalar) {
                *value = meant(scalar::meaning(scalar)?)?;
            }
        }
        Value::List(list) => {
            if !list.iter().all(is_settled) {
                list.make_mut().iter_mut().try_for_each(freeze)?;
            }
        }
        Value::Map(map) => {
            check_keys(map)?;
            if !map.iter().all(|(_, value)| is_settled(value)) {
                map.iter_mut().try_for_each(|(_, value)| freeze(value))?;
            }
        }
    }
    Ok(())
}

/// Whether a value is a scalar that stays as it is, so that its parent need not be copied for it.
fn is_settled(value: &Value) -> bool {
    value.as_scalar().is_some_and(is_frozen)
}

fn is_frozen(scalar: &Scalar) -> bool {
    let text = scalar.text.as_str();
    match scalar.style {
        Style::Quoted => !stands_plainly(text),
        Style::Plain => is_short_number(text) || stands_plainly(text),
        Style::Tagged(Tag::Str) => stands_plainly(text),
        Style::Tagged(Tag::Bool) => matches!(text, "true" | "false"),
        // What a step put there has a type of its own from now on.
        Style::Bare | Style::Folded | Style::QuotedAs(_) | Style::Tagged(_) => false,
    }
}

/// Whether a float prints a number as it is.
fn is_short_number(text: &str) -> bool {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    (1..6).contains(&text.len()) && !has_leading_zero && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether go-yaml v3 writes a string without quotes; those that it puts around others outlive them
/// in a later strategic merge.
///
/// Source: go-yaml v3 `encode.go` (`stringv`), `emitterc.go` (`yaml_emitter_analyze_scalar`).
fn stands_plainly(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let begins_well = match first {
        '-' | '?' | ':' => !text[1..].starts_with(' ') && text.len() > 1,
        first => !" #,[]{}&*!|>'\"%@`".contains(first),
    };
    let is_printable = |c: char| matches!(c, ' '..='~' | '\u{a0}'..) && c != '\u{feff}';
    let is_mapping = text.contains(": ") || text.ends_with(':');
    let is_cut_off = text.contains(" #") || text.ends_with(' ');
    let is_marker = text.starts_with("---") || text.starts_with("...");
    begins_well
        && !is_mapping
        && !is_cut_off
        && !is_marker
        && text.chars().all(is_printable)
        && scalar::resolve(text) == Tag::Str
        && scalar::bool_v2(text).is_none()
        && !is_base_60(text)
}

/// A number to the base 60, roughly: `12:30:45`.
fn is_base_60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.contains(':')
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'_' | b':' | b'.'))
}

pub(crate) fn check_keys(map: &Map) -> std::result::Result<(), String> {
    if let Some((key, _)) = map.iter().find(|(key, _)| key.typed) {
        return Err(format!("key {} is no string", key.text));
    }
    match map.twice() {
        Some(key) => Err(format!("key \"{}\" is there twice", key.text)),
        None => Ok(()),
    }
}

/// The scalar that go-yaml writes for a value out of JSON, where every number is a float.
fn meant(meaning: Meaning<'_>) -> std::result::Result<Value, String> {
    Ok(match meaning {
        Meaning::Null => null(),
        Meaning::Bool(value) => Value::bool(value),
        Meaning::Int(int) => float(int as f64),
        Meaning::Uint(int) => float(int as f64),
        Meaning::Float(number) if number.is_finite() => float(number),
        Meaning::Float(_) => return Err("infinities and NaN have no JSON".to_owned()),
        Meaning::Text(text) if text.contains('\n') && yaml::is_lost_as_block(&text) => {
            return Err(
                "kustomize cannot read text of several lines back that begins with a tab".into()
            );
        }
        Meaning::Text(text) => string(&text),
    })
}

/// A null that is written out: unlike a blank one it outlives a strategic merge.
pub(crate) fn null() -> Value {
    Value::Scalar(Scalar { text: "null".into(), style: Style::Tagged(Tag::Null) })
}

fn float(number: f64) -> Value {
    let mut text = String::new();
    scalar::write_float(number, &mut text);
    Value::plain(text)
}

fn string(text: &str) -> Value {
    let style = if stands_plainly(text) { Style::Plain } else { Style::Quoted };
    Value::Scalar(Scalar { text: text.into(), style })
}

/// Why an operation cannot be applied.
struct Problem {
    message: String,
    hint: Option<String>,
    is_limit: bool,
}

type Applied<T> = std::result::Result<T, Problem>;

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, is_limit: false }
    }

    fn limit(message: impl Into<String>) -> Self {
        Self { is_limit: true, ..Self::new(message) }
    }

    fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

/// What a patch has used up.
struct Work<'a> {
    limits: &'a Limits,
    /// Values that `copy` has added.
    copied: usize,
    /// Elements that were moved aside.
    moved: usize,
}

impl Work<'_> {
    /// Counts what `copy` adds; copies of copies grow without bound.
    fn copy(&mut self, value: &Value) -> Applied<()> {
        let most = self.limits.alias_nodes;
        self.copied = count(value, self.copied, most);
        if self.copied > most {
            return Err(Problem::limit(format!("copies add more than {most} values")));
        }
        Ok(())
    }

    fn shift(&mut self, elements: usize) -> Applied<()> {
        self.moved = self.moved.saturating_add(elements);
        if self.moved > MAX_MOVED {
            return Err(Problem::limit("too many changes within a long list"));
        }
        Ok(())
    }

    /// Whether `value` fits at the end of a path of so many steps.
    fn fits(&self, steps: usize, value: &Value) -> Applied<()> {
        let most = self.limits.depth;
        if !is_flat(value, most.saturating_sub(steps)) {
            return Err(Problem::limit(format!("nested deeper than {most} levels")));
        }
        Ok(())
    }
}

/// `so_far` and the values within `value`, counted no further than just above `most`.
fn count(value: &Value, so_far: usize, most: usize) -> usize {
    if so_far > most {
        return so_far;
    }
    let total = so_far + 1;
    match value {
        Value::List(list) => list.iter().fold(total, |total, value| count(value, total, most)),
        Value::Map(map) => map.iter().fold(total, |total, (_, value)| count(value, total, most)),
        Value::Null | Value::Scalar(_) => total,
    }
}

/// Whether lists and mappings are nested at most `levels` deep.
fn is_flat(value: &Value, levels: usize) -> bool {
    let below = |value: &Value| levels > 0 && is_flat(value, levels - 1);
    match value {
        Value::List(list) => list.iter().all(below),
        Value::Map(map) => map.iter().all(|(_, value)| below(value)),
        Value::Null | Value::Scalar(_) => true,
    }
}

impl Operation {
    /// `None` for something other than a mapping; a null counts as one without fields.
    fn new(value: &Value) -> Option<Self> {
        if value.is_null() {
            return Some(Self::default());
        }
        value.as_map()?;
        let text = |key| value.get(key).and_then(Value::as_str).map(EcoString::from);
        Some(Self {
            op: text("op"),
            path: text("path"),
            from: text("from"),
            value: value.get("value").cloned(),
            written: None,
        })
    }

    fn apply(&self, object: &mut Value, work: &mut Work<'_>) -> Applied<()> {
        let op = self.op.as_deref().unwrap_or_default();
        match op {
            "add" => {
                let value = self.value.clone().unwrap_or_else(null);
                Target::find(object, self.path()?)?.add(value, work)
            }
            "remove" => Target::find(object, self.path()?)?.remove(work).map(drop),
            "replace" => self.replace(object, work),
            "move" => {
                let value = Target::find(object, self.from()?)?.remove(work)?;
                Target::find(object, self.path()?)?.add(value, work)
            }
            "copy" => {
                let value = Target::find(object, self.from()?)?.get()?.cloned();
                let value = value.unwrap_or_else(null);
                work.copy(&value)?;
                Target::find(object, self.path()?)?.add(value, work)
            }
            "test" => self.test(object),
            "" => Err(Problem::new("operation has no \"op\"")),
            other => {
                const KNOWN: [&str; 6] = ["add", "remove", "replace", "move", "copy", "test"];
                let near = crate::nearest::nearest(other, KNOWN);
                let hint = near.map(|near| format!("did you mean \"{near}\"?"));
                Err(Problem::new(format!("unknown operation \"{other}\"")).hint(hint))
            }
        }
    }

    fn path(&self) -> Applied<&str> {
        self.path.as_deref().ok_or_else(|| Problem::new("operation has no \"path\""))
    }

    fn from(&self) -> Applied<&str> {
        self.from.as_deref().ok_or_else(|| Problem::new("operation has no \"from\""))
    }

    fn replace(&self, object: &mut Value, work: &mut Work<'_>) -> Applied<()> {
        let path = self.path()?;
        let value = self.value.clone().unwrap_or_else(null);
        if path.is_empty() {
            return match value {
                Value::Map(_) | Value::List(_) => {
                    *object = value;
                    Ok(())
                }
                _ => Err(Problem::new("a whole object can be replaced by an object only")),
            };
        }
        let target = Target::find(object, path)?;
        target.get()?;
        target.set(value, work)
    }

    fn test(&self, object: &mut Value) -> Applied<()> {
        let path = self.path()?;
        let target;
        let found = if path.is_empty() {
            Some(&*object)
        } else {
            target = Target::find(object, path)?;
            target.get()?.filter(|value| !value.is_null())
        };
        let wanted = self.value.as_ref().filter(|value| !value.is_null());
        let equal = match (found, wanted) {
            (None, None) => true,
            (Some(found), Some(wanted)) => match &self.written {
                Some(written) => is_written(found, written),
                None => json_of(wanted).is_some_and(|written| is_written(found, &written)),
            },
            _ => false,
        };
        if equal {
            return Ok(());
        }
        let message = format!("test failed: the value at \"{path}\" is another one");
        let shown = found.and_then(json_of).filter(|_| found.is_some_and(is_leaf));
        Err(Problem::new(message).hint(shown.map(|json| format!("it is {json}"))))
    }
}

fn is_leaf(value: &Value) -> bool {
    matches!(value, Value::Scalar(_))
}

fn json_of(value: &Value) -> Option<String> {
    let mut text = String::new();
    json::write(value, &mut text).ok().map(|()| text)
}

/// Whether a JSON text is how kustomize writes a value, but for spaces and the order of keys: a
/// number or a string that is written otherwise is another one.
fn is_written(value: &Value, text: &str) -> bool {
    match value {
        Value::List(list) => serde_json::from_str::<Vec<&RawValue>>(text).is_ok_and(|texts| {
            let same = |(value, text): (_, &&RawValue)| is_written(value, text.get());
            list.len() == texts.len() && list.iter().zip(&texts).all(same)
        }),
        Value::Map(map) => {
            serde_json::from_str::<HashMap<String, &RawValue>>(text).is_ok_and(|texts| {
                let same = |(key, value): (&Key, _)| {
                    texts.get(key.text.as_str()).is_some_and(|text| is_written(value, text.get()))
                };
                map.len() == texts.len() && map.iter().all(same)
            })
        }
        Value::Scalar(_) | Value::Null => json_of(value).is_some_and(|json| json == text),
    }
}

/// The last step of a path, in the value that the others lead to.
struct Target<'a> {
    parent: &'a mut Value,
    key: String,
    path: &'a str,
    /// How many steps the path has.
    steps: usize,
}

impl<'a> Target<'a> {
    fn find(object: &'a mut Value, path: &'a str) -> Applied<Self> {
        let mut parent = object;
        // Whatever stands before the first slash is of no account.
        let mut steps = path.split('/').skip(1).map(unescape);
        let Some(mut key) = steps.next() else {
            return Err(Problem::new(format!("path \"{path}\" does not begin with a slash")));
        };
        let mut count = 1;
        for next in steps {
            parent = enter(parent, &key).map_err(|keys| {
                let message =
                    format!("path \"{path}\" leads nowhere: there is no \"{key}\" to go into");
                Problem::new(message).hint(near(&key, &keys))
            })?;
            key = next;
            count += 1;
        }
        Ok(Self { parent, key, path, steps: count })
    }

    /// What is there; of a mapping `None` where it has no such key.
    fn get(&self) -> Applied<Option<&Value>> {
        match &*self.parent {
            Value::List(list) => {
                let index = self.index(list.len())?;
                Ok(list.get(index))
            }
            value => Ok(value.get(&self.key)),
        }
    }

    /// The position that the last step means in a list of so many elements.
    fn index(&self, length: usize) -> Applied<usize> {
        let index = parse_index(&self.key).ok_or_else(|| {
            Problem::new(format!("\"{}\" in path \"{}\" is no index", self.key, self.path))
        })?;
        position(index, length).ok_or_else(|| {
            let message = format!("path \"{}\" names an element that is not there", self.path);
            Problem::new(message)
                .hint(length.checked_sub(1).map(|last| format!("the last index is {last}")))
        })
    }

    fn set(self, value: Value, work: &mut Work<'_>) -> Applied<()> {
        work.fits(self.steps, &value)?;
        let index = match &*self.parent {
            Value::List(list) => Some(self.index(list.len())?),
            _ => None,
        };
        match (self.parent, index) {
            (Value::List(list), Some(index)) => list.make_mut()[index] = value,
            (Value::Map(map), _) => map.insert(&self.key, value),
            _ => {}
        }
        Ok(())
    }

    fn add(self, value: Value, work: &mut Work<'_>) -> Applied<()> {
        let length = match &*self.parent {
            Value::List(list) => list.len(),
            _ => return self.set(value, work),
        };
        work.fits(self.steps, &value)?;
        // One behind the last is fine here, and `-1` means that.
        let index = if self.key == "-" { length } else { self.index(length + 1)? };
        work.shift(length - index)?;
        if let Value::List(list) = self.parent {
            list.insert(index, value);
        }
        Ok(())
    }

    fn remove(self, work: &mut Work<'_>) -> Applied<Value> {
        let index = match &*self.parent {
            Value::List(list) => Some((self.index(list.len())?, list.len())),
            _ => None,
        };
        match (self.parent, index) {
            (Value::List(list), Some((index, length))) => {
                work.shift(length - index)?;
                Ok(list.remove(index))
            }
            (Value::Map(map), _) if map.has(&self.key) => {
                Ok(map.remove(&self.key).unwrap_or_default())
            }
            (parent, _) => {
                let message = format!("path \"{}\" is not there: no \"{}\"", self.path, self.key);
                let keys = keys_of(parent);
                Err(Problem::new(message).hint(near(&self.key, &keys)))
            }
        }
    }
}

/// The list or mapping under `key`; where there is none, the keys that there are.
fn enter<'a>(
    parent: &'a mut Value,
    key: &str,
) -> std::result::Result<&'a mut Value, Vec<EcoString>> {
    let is_container = |value: &Value| matches!(value, Value::Map(_) | Value::List(_));
    match parent {
        Value::List(list) => {
            let index = parse_index(key).and_then(|index| position(index, list.len()));
            let index = index.filter(|&at| is_container(&list[at])).ok_or_else(Vec::new)?;
            Ok(&mut list.make_mut()[index])
        }
        parent if parent.get(key).is_some_and(is_container) => {
            parent.get_mut(key).ok_or_else(Vec::new)
        }
        parent => Err(keys_of(parent)),
    }
}

/// The position of an index in a list of so many elements, counted from its end where it is negative.
fn position(index: i64, length: usize) -> Option<usize> {
    let from_end = || length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?);
    usize::try_from(index).ok().or_else(from_end).filter(|&index| index < length)
}

/// A number as Go's `strconv.Atoi` reads it: `-1` and `+1` are fine.
fn parse_index(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// `~1` is a slash and `~0` a tilde.
fn unescape(step: &str) -> String {
    if !step.contains('~') {
        return step.to_owned();
    }
    let mut text = String::with_capacity(step.len());
    let mut rest = step;
    while let Some(at) = rest.find('~') {
        text.push_str(&rest[..at]);
        let (plain, taken) = match &rest.as_bytes()[at..] {
            [b'~', b'1', ..] => ('/', 2),
            [b'~', b'0', ..] => ('~', 2),
            _ => ('~', 1),
        };
        text.push(plain);
        rest = &rest[at + taken..];
    }
    text + rest
}

/// The keys that a hint may name; not of huge mappings.
fn keys_of(value: &Value) -> Vec<EcoString> {
    let map = value.as_map().filter(|map| map.len() <= 100);
    map.into_iter().flat_map(|map| map.iter().map(|(key, _)| key.text.clone())).collect()
}

fn near(key: &str, keys: &[EcoString]) -> Option<String> {
    let near = crate::nearest::nearest(key, keys.iter().map(EcoString::as_str))?;
    (near != key).then(|| format!("there is \"{near}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(object: &str, patch: &str) -> std::result::Result<String, String> {
        patched_within(object, patch, &Limits::PERSON)
    }

    fn patched_within(
        object: &str,
        patch: &str,
        limits: &Limits,
    ) -> std::result::Result<String, String> {
        let file: Arc<str> = "p.yaml".into();
        let mut value = yaml::read_first(object.as_bytes(), &file, limits).expect("YAML");
        let operations =
            Operations::parse(patch.as_bytes(), &file, limits).map_err(|e| e.to_string())?;
        operations.apply(&mut value, limits).map_err(|failure| failure.message)?;
        let mut text = String::new();
        crate::json::write(&value, &mut text).expect("printable");
        Ok(text)
    }

    fn one(object: &str, operation: &str) -> std::result::Result<String, String> {
        patched(object, &format!("- {operation}"))
    }

    #[test]
    fn numbers_become_floats_and_dates_text() {
        let object = "{a: 9007199254740993, b: 2001-12-14, c: 010, d: 1.0}";
        let expected = r#"{"a":9007199254740992,"b":"2001-12-14T00:00:00Z","c":8,"d":1}"#;
        assert_eq!(patched(object, "[]").expect("fits"), expected);
    }

    #[test]
    fn yaml_words_of_a_patch_are_booleans() {
        let added = one("{}", "{op: add, path: /a, value: yes}").expect("fits");
        assert_eq!(added, r#"{"a":true}"#);
        let key = one("{}", "{op: add, path: /a, value: {n: 1, 010: x, 'y': z}}").expect("fits");
        assert_eq!(key, r#"{"a":{"8":"x","false":1,"y":"z"}}"#);
        let json = patched("{}", r#"[{"op": "add", "path": "/a", "value": "yes"}]"#);
        assert_eq!(json.expect("fits"), r#"{"a":"yes"}"#);
    }

    #[test]
    fn indices_count_from_the_end_too() {
        let list = "{a: [1, 2, 3]}";
        assert_eq!(one(list, "{op: remove, path: /a/-1}").expect("fits"), r#"{"a":[1,2]}"#);
        assert_eq!(
            one(list, "{op: add, path: /a/-1, value: 4}").expect("fits"),
            r#"{"a":[1,2,3,4]}"#
        );
        assert_eq!(
            one(list, "{op: add, path: /a/-, value: 4}").expect("fits"),
            r#"{"a":[1,2,3,4]}"#
        );
        assert_eq!(
            one(list, "{op: add, path: /a/3, value: 4}").expect("fits"),
            r#"{"a":[1,2,3,4]}"#
        );
        assert!(one(list, "{op: add, path: /a/4, value: 4}").is_err());
        assert!(one(list, "{op: replace, path: /a/3, value: 4}").is_err());
        assert!(one(list, "{op: remove, path: /a/-4}").is_err());
        assert!(one(list, "{op: remove, path: /a/99999999999999999999}").is_err());
    }

    #[test]
    fn replaces_a_key_that_is_not_there() {
        assert_eq!(one("{}", "{op: replace, path: /a, value: 1}").expect("fits"), r#"{"a":1}"#);
        assert!(one("{}", "{op: replace, path: /a/b, value: 1}").is_err());
        assert!(one("{}", "{op: remove, path: /a}").is_err());
    }

    #[test]
    fn copies_and_moves() {
        assert_eq!(
            one("{a: 1}", "{op: move, from: /a, path: /b~1c}").expect("fits"),
            r#"{"b/c":1}"#
        );
        assert_eq!(
            one("{a: [1]}", "{op: copy, from: /a, path: /a/0}").expect("fits"),
            r#"{"a":[[1],1]}"#
        );
        assert_eq!(one("{}", "{op: copy, from: /x, path: /a}").expect("fits"), r#"{"a":null}"#);
        assert!(one("{}", "{op: move, from: /x, path: /a}").is_err());
    }

    #[test]
    fn tests_compare_values() {
        assert!(one("{a: {b: [1, x]}}", "{op: test, path: /a, value: {b: [1, x]}}").is_ok());
        assert!(one("{a: 1}", "{op: test, path: /a, value: '1'}").is_err());
        assert!(one("{a: 1}", "{op: test, path: /b, value: null}").is_ok());
    }

    #[test]
    fn a_patch_is_a_list_of_mappings() {
        assert!(patched("{}", "a: 1").is_err());
        assert!(patched("{}", "[1]").is_err());
        assert_eq!(patched("{}", "[null]").expect_err("empty"), "operation has no \"op\"");
        assert!(patched("{}", "[{}").is_err());
        assert_eq!(
            one("{}", "{op: frob, path: /a}").expect_err("unknown"),
            "unknown operation \"frob\""
        );
    }

    #[test]
    fn copies_of_copies_are_bounded() {
        let mut patch = String::new();
        for _ in 0..64 {
            patch.push_str("- {op: copy, from: /a, path: /a/-}\n");
        }
        let message = patched("{a: [1]}", &patch).expect_err("too many");
        assert!(
            message.starts_with("copies add more than") || message.starts_with("nested deeper"),
            "{message}"
        );
        let limits = Limits { depth: 5, ..Limits::PERSON };
        let add = "- {op: add, path: /a/b/c/d, value: {e: {f: 1}}}";
        let deep = patched_within("{a: {b: {c: {}}}}", add, &limits);
        assert_eq!(deep.expect_err("too deep"), "nested deeper than 5 levels");
    }
}
