//! Strategic merge: a patch that looks like the object, with lists that merge by key where the
//! schema says so.
//!
//! The result is kustomize's with all its accidents: an empty null disappears from whatever a patch
//! touches, an element without its key empties its list, and so on. Therefore the lists follow its
//! steps one by one where their elements are out of the ordinary; see `keyed` for those that are
//! not.
//!
//! Source: kustomize `kyaml/yaml/merge2`, `kyaml/yaml/walk`.

mod keyed;

use std::cell::RefCell;

use ecow::EcoVec;

use crate::schema::{Comments, Schema, Type};
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml::{self, scalar};

/// The key of an instruction within a patch.
const DIRECTIVE: &str = "$patch";

/// What a patch wants of its object that cannot be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// The way to the field in the patch, outermost first.
    pub path: Vec<Segment>,
    /// One line.
    pub message: String,
    /// Whether the patch is too large rather than wrong.
    pub is_limit: bool,
}

/// One step of the way into a patch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Segment {
    /// Into the value under a key.
    Key(String),
    /// Into an element, from 0.
    Index(usize),
}

type Merge<T> = std::result::Result<T, Conflict>;

/// Merges `patch` into `object`; `None` where the patch deletes it.
///
/// # Errors
/// Where both have different types of values at one place, or the patch gives an unknown instruction.
pub fn merge(schema: &Schema, object: &Value, patch: &Value) -> Merge<Option<Value>> {
    Ok(merge_commented(schema, None, object, patch)?.value)
}

/// What a merge made.
#[derive(Clone, Debug)]
pub struct Merged {
    /// `None` where the patch deletes the object.
    pub value: Option<Value>,
    /// What of the patch was lost on the way, one line each.
    pub lost: Vec<String>,
}

/// As [`merge`], with the schemas that are written beside fields of the object or the patch.
///
/// # Errors
/// As [`merge`].
pub fn merge_commented(
    schema: &Schema,
    comments: Option<&Comments>,
    object: &Value,
    patch: &Value,
) -> Merge<Merged> {
    let mut merged = object.clone();
    let known = comments.map(Type::commented).unwrap_or_default();
    let lost = RefCell::default();
    let outcome = Merger { schema, lost: &lost }.merge(&mut merged, patch.clone(), known)?;
    let value = match &outcome {
        Outcome::Gone => None,
        // A whole object cannot be replaced: kustomize forgets the new one.
        Outcome::Kept | Outcome::New(_) => Some(merged),
    };
    if matches!(outcome, Outcome::New(_)) {
        let message = "a whole object cannot be replaced, the patch has no effect";
        lost.borrow_mut().push(message.to_owned());
    }
    Ok(Merged { value, lost: lost.into_inner() })
}

/// What became of a value.
enum Outcome {
    /// It is to be taken out.
    Gone,
    /// It stays, changed in place.
    Kept,
    /// The patch's value takes its place.
    New(Value),
}

/// What a mapping or list in a patch asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

#[derive(Clone, Copy)]
struct Merger<'a> {
    schema: &'a Schema,
    /// What of the patch is lost, see [`Merged`].
    lost: &'a RefCell<Vec<String>>,
}

impl Conflict {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), is_limit: false }
    }

    fn limit(message: impl Into<String>) -> Self {
        Self { is_limit: true, ..Self::new(message) }
    }

    /// The same, seen from the mapping that holds the field.
    pub(super) fn within(mut self, key: &str) -> Self {
        self.path.insert(0, Segment::Key(key.to_owned()));
        self
    }

    /// The same, seen from the list that holds the element.
    fn at(mut self, index: usize) -> Self {
        self.path.insert(0, Segment::Index(index));
        self
    }
}

impl<'a> Merger<'a> {
    fn note_lost(self, message: String) {
        self.lost.borrow_mut().push(message);
    }

    /// What is known about a value: by its place, or by its own kind where nothing is.
    fn type_of(self, known: Type<'a>, values: &[&Value]) -> Type<'a> {
        known.or(|| values.iter().find_map(|value| self.own_type(value)))
    }

    fn own_type(self, value: &Value) -> Option<Type<'a>> {
        let kind = value.get("kind")?.as_text().filter(|text| !text.is_empty())?;
        let version = value.get("apiVersion")?.as_text().filter(|text| !text.is_empty())?;
        self.schema.kind(version, kind)
    }

    /// Merges what the patch has into what is there.
    fn merge(self, old: &mut Value, new: Value, known: Type<'a>) -> Merge<Outcome> {
        if old.is_null() {
            // Also where both are null: the patch's own is never kept.
            return Ok(self.add(new, known)?.map_or(Outcome::Gone, Outcome::New));
        }
        if new.is_null() {
            return Ok(Outcome::Gone);
        }
        let place = self.type_of(known, &[old, &new]);
        match (old, new) {
            (old @ Value::Map(_), Value::Map(new)) => self.merge_maps(old, new, place),
            (old @ Value::List(_), Value::List(new)) => self.merge_lists(old, new, place),
            (Value::Scalar(_), new @ Value::Scalar(_)) => Ok(Outcome::New(new)),
            (old, new) => {
                let (old, new) = (old.kind_name(), new.kind_name());
                Err(Conflict::new(format!("patch has a {new} where the object has a {old}")))
            }
        }
    }

    fn merge_maps(self, old: &mut Value, mut new: Map, place: Type<'a>) -> Merge<Outcome> {
        match take_directive(&mut new)? {
            Directive::Delete => return Ok(Outcome::Gone),
            Directive::Replace => {
                self.settle_fields(&mut new, place)?;
                return Ok(Outcome::New(Value::Map(new)));
            }
            Directive::Merge => {}
        }
        let Value::Map(old) = old else { return Ok(Outcome::Kept) };
        self.keep_fields(old, &new, place)?;
        for (key, value) in sorted(&new) {
            let known = place.field(&key.text);
            let outcome = match old.get_mut(&key.text) {
                Some(field) => self.merge(field, value, known),
                None => self.add(value, known).map(|v| v.map_or(Outcome::Gone, Outcome::New)),
            };
            settle_field(old, key.clone(), outcome.map_err(|e| e.within(&key.text))?);
        }
        Ok(Outcome::Kept)
    }

    /// Walks the fields that the patch does not mention, for what a walk does to them.
    fn keep_fields(self, old: &mut Map, new: &Map, place: Type<'a>) -> Merge<()> {
        let unsettled: Vec<Key> = old
            .iter()
            .filter(|(key, value)| {
                !new.has(&key.text) && !self.is_settled(value, place.field(&key.text))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in unsettled {
            let known = place.field(&key.text);
            let Some(field) = old.get_mut(&key.text) else { continue };
            let outcome = self.keep(field, known).map_err(|e| e.within(&key.text))?;
            settle_field(old, key, outcome);
        }
        Ok(())
    }

    fn merge_lists(
        self,
        old: &mut Value,
        mut new: EcoVec<Value>,
        place: Type<'a>,
    ) -> Merge<Outcome> {
        let Some(keys) = place.merge_keys() else {
            return Ok(Outcome::New(Value::List(new)));
        };
        let elements = place.elements();
        match take_list_directive(&mut new)? {
            Directive::Delete => Ok(Outcome::Gone),
            Directive::Replace => {
                let list = keyed::settle(self, new, &keys, elements)?;
                Ok(Outcome::New(Value::List(list)))
            }
            Directive::Merge => {
                if let Value::List(list) = old {
                    *list = keyed::merge(self, std::mem::take(list), new, &keys, elements)?;
                }
                Ok(Outcome::Kept)
            }
        }
    }

    /// Whether a walk changes nothing in a value that the patch does not mention.
    fn is_settled(self, value: &Value, known: Type<'a>) -> bool {
        match value {
            // An empty null, unlike a written one, goes.
            Value::Null => false,
            Value::Scalar(scalar) => {
                !(value.is_null() && scalar.text.is_empty() || wants_quotes(scalar))
            }
            Value::List(list) => {
                let place = self.type_of(known, &[value]);
                place.merge_keys().is_none_or(|keys| {
                    keyed::is_settled(list, &keys, |element| {
                        self.is_settled(element, place.elements())
                    })
                })
            }
            Value::Map(map) => {
                let place = self.type_of(known, &[value]);
                map.iter().all(|(key, value)| self.is_settled(value, place.field(&key.text)))
            }
        }
    }

    /// Walks a value that the patch does not mention.
    fn keep(self, old: &mut Value, known: Type<'a>) -> Merge<Outcome> {
        let place = self.type_of(known, &[old]);
        match old {
            Value::Null => return Ok(Outcome::Gone),
            Value::Scalar(_) if old.is_null() => {
                let stays = self.is_settled(old, known);
                return Ok(if stays { Outcome::Kept } else { Outcome::Gone });
            }
            Value::Scalar(scalar) => quote(scalar),
            Value::Map(map) => self.keep_fields(map, &Map::default(), place)?,
            Value::List(list) => {
                if let Some(keys) = place.merge_keys() {
                    let elements = place.elements();
                    *list = keyed::keep(self, std::mem::take(list), &keys, elements)?;
                }
            }
        }
        Ok(Outcome::Kept)
    }

    /// What a value of the patch becomes where the object has none.
    fn add(self, new: Value, known: Type<'a>) -> Merge<Option<Value>> {
        let place = self.type_of(known, &[&new]);
        match new {
            Value::Map(mut map) => {
                // An unknown instruction is a field like others here.
                if take_directive(&mut map).unwrap_or(Directive::Merge) == Directive::Delete {
                    return Ok(None);
                }
                self.settle_fields(&mut map, place)?;
                Ok(Some(Value::Map(map)))
            }
            Value::List(list) => self.settle_list(list, place).map(|list| Some(Value::List(list))),
            new => Ok(Some(new).filter(|new| !new.is_null())),
        }
    }

    /// Settles the fields of a mapping that the patch brings; nulls vanish.
    fn settle_fields(self, map: &mut Map, place: Type<'a>) -> Merge<()> {
        for (key, mut value) in sorted(map) {
            let known = place.field(&key.text);
            let stays = self.settle(&mut value, known).map_err(|e| e.within(&key.text))?;
            if stays {
                map.insert(&key.text, quoted(value));
            } else {
                map.remove(&key.text);
            }
        }
        Ok(())
    }

    /// Settles a value within what the patch brings; false where it goes.
    fn settle(self, new: &mut Value, known: Type<'a>) -> Merge<bool> {
        let place = self.type_of(known, &[new]);
        match new {
            Value::Map(map) => {
                if take_directive(map)? == Directive::Delete {
                    return Ok(false);
                }
                self.settle_fields(map, place)?;
            }
            Value::List(list) if place.merge_keys().is_some() => {
                if take_list_directive(list)? == Directive::Delete {
                    return Ok(false);
                }
                *list = self.settle_list(std::mem::take(list), place)?;
            }
            Value::List(_) => {}
            Value::Null | Value::Scalar(_) => return Ok(!new.is_null()),
        }
        Ok(true)
    }

    fn settle_list(self, list: EcoVec<Value>, place: Type<'a>) -> Merge<EcoVec<Value>> {
        match place.merge_keys() {
            Some(keys) => keyed::settle(self, list, &keys, place.elements()),
            None => Ok(list),
        }
    }
}

/// The entries of a mapping by the bytes of their keys, of duplicate keys the first.
fn sorted(map: &Map) -> Vec<(Key, Value)> {
    let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    entries.sort_by(|a, b| a.0.text.cmp(&b.0.text));
    entries.dedup_by(|later, first| later.0.text == first.0.text);
    entries
}

/// Writes the outcome for a field into its mapping.
fn settle_field(map: &mut Map, key: Key, outcome: Outcome) {
    match outcome {
        Outcome::Kept => {}
        Outcome::Gone => drop(map.remove(&key.text)),
        Outcome::New(value) => match map.get_mut(&key.text) {
            Some(old) => {
                let styled = restyle(old, value);
                *old = styled;
            }
            None => map.push(key, quoted(value)),
        },
    }
}

/// Whether kustomize puts quotes around the text once it sets a field to it: what is text to
/// resources and something else under YAML 1.1. They outlive the text, see [`restyle`].
fn wants_quotes(scalar: &Scalar) -> bool {
    let text = scalar.text.as_str();
    match scalar.style {
        Style::Plain => scalar::bool_v2(text).is_some() && scalar::resolve(text) == Tag::Str,
        Style::Bare | Style::Tagged(Tag::Str) => yaml::is_no_text(text),
        Style::Quoted | Style::Folded | Style::QuotedAs(_) | Style::Tagged(_) => false,
    }
}

fn quote(scalar: &mut Scalar) {
    if wants_quotes(scalar) {
        scalar.style = Style::Quoted;
    }
}

fn quoted(mut value: Value) -> Value {
    if let Value::Scalar(scalar) = &mut value {
        quote(scalar);
    }
    value
}

/// Gives a new scalar the quotes of the one it replaces: kustomize keeps them, and with them the type.
fn restyle(old: &Value, new: Value) -> Value {
    let Value::Scalar(scalar) = new else { return new };
    let quotes = old.as_scalar().map(|old| old.style).filter(|style| style.is_quoted());
    let style = match (quotes, scalar.style) {
        (Some(_), Style::Tagged(tag)) if scalar::resolve(&scalar.text) != tag => scalar.style,
        (Some(quotes), Style::QuotedAs(_)) => quotes.around(Tag::Str),
        (Some(quotes), _) => quotes.around(scalar.tag()),
        (None, Style::Quoted | Style::Folded) => Style::Tagged(Tag::Str),
        (None, style) => style,
    };
    Value::Scalar(Scalar { style, ..scalar })
}

fn directive(text: &str) -> Merge<Directive> {
    match text {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        other => {
            Err(Conflict::new(format!("unknown patch strategy \"{other}\"")).within(DIRECTIVE))
        }
    }
}

/// Takes the instruction out of a mapping of the patch.
fn take_directive(map: &mut Map) -> Merge<Directive> {
    let Some(value) = map.get(DIRECTIVE) else { return Ok(Directive::Merge) };
    let found = directive(value_text(value))?;
    map.remove(DIRECTIVE);
    Ok(found)
}

/// Takes the instruction for a whole list, an element with nothing else, out of a list of the patch.
fn take_list_directive(list: &mut EcoVec<Value>) -> Merge<Directive> {
    let Some(at) = list.iter().position(|one| one.get(DIRECTIVE).is_some()) else {
        return Ok(Directive::Merge);
    };
    let found = match &list[at] {
        Value::Map(map) if map.len() == 1 => map.get(DIRECTIVE).map(value_text),
        _ => None,
    };
    let Some(text) = found else { return Ok(Directive::Merge) };
    let found = directive(text)?;
    let text = text.to_owned();
    keyed::remove_all(list, DIRECTIVE, &text);
    Ok(found)
}

/// The text by which kustomize compares values; lists and mappings have none.
fn value_text(value: &Value) -> &str {
    match value {
        Value::Scalar(scalar) => &scalar.text,
        Value::Null | Value::List(_) | Value::Map(_) => "",
    }
}

/// Whether kustomize holds the value for empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Null => true,
        Value::Scalar(_) => value.is_null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn read(text: &str) -> Value {
        crate::yaml::read_first(text.as_bytes(), &"a.yaml".into(), &Limits::PERSON).expect("YAML")
    }

    /// `object` and `patch` are the content of a pod.
    fn merged(object: &str, patch: &str) -> Merge<String> {
        let pod = |content: &str| read(&format!("{{apiVersion: v1, kind: Pod, {content}}}"));
        let merged = merge(&Schema::builtin(), &pod(object), &pod(patch))?;
        let mut merged = merged.unwrap_or_default();
        for key in ["apiVersion", "kind"] {
            merged.as_map_mut().and_then(|map| map.remove(key));
        }
        let mut text = String::new();
        crate::json::write(&merged, &mut text).expect("printable");
        Ok(text.replace('"', ""))
    }

    fn spec(object: &str, patch: &str) -> String {
        let text = merged(&format!("spec: {object}"), &format!("spec: {patch}")).expect("fits");
        let inner = text.strip_prefix("{spec:").and_then(|text| text.strip_suffix('}'));
        inner.expect("a spec").to_owned()
    }

    #[test]
    fn elements_of_the_patch_come_first() {
        let merged = spec(
            "{containers: [{name: a, tty: true}, {name: b}]}",
            "{containers: [{name: c}, {name: b, stdin: true}]}",
        );
        assert_eq!(merged, "{containers:[{name:c},{name:b,stdin:true},{name:a,tty:true}]}");
    }

    #[test]
    fn with_two_keys_new_elements_come_first_and_others_stay() {
        let port =
            |number, name| format!("{{containerPort: {number}, protocol: TCP, name: {name}}}");
        let merged = spec(
            &format!("{{containers: [{{name: a, ports: [{}, {}]}}]}}", port(1, "x"), port(2, "y")),
            &format!("{{containers: [{{name: a, ports: [{}, {}]}}]}}", port(2, "z"), port(3, "n")),
        );
        let ports: Vec<_> =
            merged.match_indices("name:").map(|(at, _)| &merged[at + 5..=at + 5]).collect();
        assert_eq!(ports, ["a", "n", "x", "z"]);
    }

    #[test]
    fn lists_without_a_strategy_are_replaced() {
        assert_eq!(
            spec("{tolerations: [{key: a}]}", "{tolerations: [{key: b}]}"),
            "{tolerations:[{key:b}]}"
        );
    }

    #[test]
    fn only_written_nulls_outlive_a_patch() {
        assert_eq!(spec("{a: , b: null, c: ~}", "{d: {e: null}}"), "{b:null,c:null,d:{}}");
    }

    #[test]
    fn a_replaced_scalar_keeps_its_quotes() {
        assert_eq!(merged("a: 'x', b: 1", "a: 5, b: '2'").expect("fits"), "{a:5,b:2}");
        let patched = merge(&Schema::builtin(), &read("{a: 'x'}"), &read("{a: 5}")).expect("fits");
        let value = patched.expect("there");
        assert_eq!(value.get("a").and_then(Value::as_str), Some("5"));
    }

    #[test]
    fn an_element_that_is_to_replace_another_has_no_effect() {
        let merged = spec(
            "{containers: [{name: a, tty: true}]}",
            "{containers: [{name: a, $patch: replace}]}",
        );
        assert_eq!(merged, "{containers:[{name:a,tty:true}]}");
    }

    #[test]
    fn a_list_can_be_replaced_and_an_element_deleted() {
        let base = "{containers: [{name: a}, {name: b}]}";
        assert_eq!(
            spec(base, "{containers: [{$patch: replace}, {name: c}]}"),
            "{containers:[{name:c}]}"
        );
        assert_eq!(
            spec(base, "{containers: [{$patch: delete, name: a}]}"),
            "{containers:[{name:b}]}"
        );
        assert_eq!(spec(base, "{containers: [{$patch: delete}]}"), "{}");
    }

    #[test]
    fn the_place_of_a_conflict_is_named() {
        let conflict = merged(
            "spec: {containers: [{name: a, image: x}]}",
            "spec: {containers: [{name: a, image: [x]}]}",
        )
        .expect_err("types differ");
        let key = |key: &str| Segment::Key(key.to_owned());
        assert_eq!(
            conflict.path,
            [key("spec"), key("containers"), Segment::Index(0), key("image")]
        );
        assert_eq!(conflict.message, "patch has a list where the object has a scalar");
    }

    #[test]
    fn an_unknown_instruction_is_refused() {
        assert!(merged("spec: {a: 1}", "spec: {$patch: remove}").is_err());
    }
}
