//! "This kind has that at this path": walking to the fields that a [`FieldSpec`] names.
//!
//! A path passes through lists unseen: `spec/containers/image` is the image of every container.
//! Specs are chosen once for each kind ([`Chosen`]), and a path is split when it is first chosen, so
//! the cost of a table does not grow with the number of objects.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use crate::error::{Error, Place};
use crate::kustomization::FieldSpec;
use crate::pattern;
use crate::resource::{ByKind, Kind, Resource};
use crate::twins::{Step, Way};
use crate::value::{Map, Scalar, Style, Tag, Value};
use crate::yaml::{self, plain_key};

/// What stands at the end of a path that is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Make {
    /// Nothing is made, whatever the spec says.
    Nothing,
    /// A null, for a setter of scalars.
    Scalar,
    /// A mapping.
    Map,
}

/// Why a field could not be reached or set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The field's path, as far as it is known.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

/// The outcome of a walk or of setting one field.
pub type Outcome = std::result::Result<(), Problem>;

/// A spec's path, split.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    spec: &'a FieldSpec,
    segments: Vec<Segment<'a>>,
}

/// One step of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment<'a> {
    /// The mapping key, without its `[]`.
    pub name: Cow<'a, str>,
    /// Whether `[]` asserts a list.
    pub list: bool,
}

/// An element of a list that a walk went through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element {
    /// How much of the path was left at the list.
    segments_left: usize,
    index: usize,
}

/// The specs of a list that concern each kind, found once per kind.
#[derive(Debug)]
pub struct Chosen<'a> {
    specs: &'a [FieldSpec],
    by_kind: ByKind<Rc<[Path<'a>]>>,
}

impl<'a> Chosen<'a> {
    /// Nothing is chosen yet.
    #[must_use]
    pub fn new(specs: &'a [FieldSpec]) -> Self {
        Self { specs, by_kind: ByKind::default() }
    }

    /// The paths of the specs that select `kind`, in the order of the list.
    pub fn of(&mut self, kind: Kind<'_>) -> Rc<[Path<'a>]> {
        let specs = self.specs;
        let paths = self.by_kind.of(kind, || {
            specs.iter().filter(|spec| kind.is_selected(&spec.gvk)).map(Path::of).collect()
        });
        Rc::clone(paths)
    }
}

impl<'a> Path<'a> {
    /// The path of a spec.
    #[must_use]
    pub fn of(spec: &'a FieldSpec) -> Self {
        Self { spec, segments: split(&spec.path) }
    }

    /// Whether the spec names this path.
    #[must_use]
    pub fn is(&self, path: &str) -> bool {
        self.spec.path == path
    }

    /// The kind that the spec is limited to, where it is.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        Some(self.spec.gvk.kind.as_str()).filter(|kind| !kind.is_empty())
    }

    /// Whether the spec concerns objects of `kind`.
    #[must_use]
    pub fn selects(&self, kind: Kind<'_>) -> bool {
        kind.is_selected(&self.spec.gvk)
    }

    /// Calls `set` for every field of `object` that the path leads to.
    ///
    /// What is missing is made where the spec says so and `make` names an end; lists are never made.
    /// Values that are not written to are not copied.
    ///
    /// Source: kustomize `api/filters/fieldspec/fieldspec.go`.
    /// # Errors
    /// Where a scalar stands in the way, or `set` fails.
    pub fn walk(
        &self,
        object: &mut Value,
        make: Make,
        set: &mut dyn FnMut(&mut Value) -> Outcome,
    ) -> Outcome {
        self.walk_in_lists(object, make, &mut |value, _| set(value))
    }

    /// As [`Path::walk`], and tells `set` which elements of lists it went through.
    ///
    /// # Errors
    /// As [`Path::walk`].
    pub fn walk_in_lists(
        &self,
        object: &mut Value,
        make: Make,
        set: &mut dyn FnMut(&mut Value, &[Element]) -> Outcome,
    ) -> Outcome {
        let make = if self.spec.create { make } else { Make::Nothing };
        if make == Make::Nothing && !leads_somewhere(object, &self.segments) {
            return Ok(());
        }
        let outcome = descend(object, &self.segments, make, &mut Vec::new(), set);
        outcome.map_err(|problem| Problem { path: self.spec.path.to_string(), ..problem })
    }

    /// The whole way to a field that was reached through these elements.
    #[must_use]
    pub fn way(&self, elements: &[Element]) -> Way {
        let mut way = Way::new();
        for (at, segment) in self.segments.iter().enumerate() {
            let left = self.segments.len() - at;
            let here = elements.iter().filter(|element| element.segments_left == left);
            way.extend(here.map(|element| Step::Index(element.index)));
            way.push(Step::Key(segment.name.as_ref().into()));
        }
        way
    }
}

/// Splits a path at its slashes; `\/` is a slash within a segment, and a first slash does not count.
///
/// Source: kustomize `kyaml/utils/pathsplitter.go`.
#[must_use]
pub fn split(path: &str) -> Vec<Segment<'_>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut segments: Vec<Cow<'_, str>> = Vec::with_capacity(8);
    for part in path.split('/') {
        match segments.last_mut() {
            Some(last) if last.ends_with('\\') => {
                let last = last.to_mut();
                last.pop();
                last.push('/');
                last.push_str(part);
            }
            _ => segments.push(Cow::Borrowed(part)),
        }
    }
    segments.into_iter().map(Segment::new).collect()
}

impl<'a> Segment<'a> {
    fn new(text: Cow<'a, str>) -> Self {
        match text.strip_suffix("[]").map(str::len) {
            Some(length) => Self { name: cut(text, length), list: true },
            None => Self { name: text, list: false },
        }
    }

    /// Refuses the names that kustomize takes for something other than a key of a mapping.
    ///
    /// # Errors
    /// Where the name is empty, a number, `-`, `*` or in brackets.
    pub fn check(&self) -> Outcome {
        let name = &*self.name;
        if name.is_empty() {
            return Err(Problem::new("a name between the slashes is empty"));
        }
        let is_element = match name.as_bytes()[0] {
            b'-' | b'+' | b'0'..=b'9' => name == "-" || name.parse::<i64>().is_ok(),
            b'*' => name == "*",
            b'[' => name.ends_with(']'),
            _ => false,
        };
        if is_element {
            return Err(Problem::new(format!(
                "{name:?} would be an element of a list, found a map"
            )));
        }
        Ok(())
    }
}

fn cut(text: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    }
}

/// Whether a walk that makes nothing would reach a field, change something or fail.
fn leads_somewhere(value: &Value, segments: &[Segment<'_>]) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        return true;
    };
    match value {
        Value::Null => false,
        Value::List(list) => list.iter().any(|element| leads_somewhere(element, segments)),
        Value::Map(map) => match map.get(&first.name) {
            Some(value) if value.is_null() => first.list || rest.is_empty(),
            Some(value) => leads_somewhere(value, rest),
            None => first.check().is_err(),
        },
        Value::Scalar(_) => !value.is_null(),
    }
}

fn descend(
    value: &mut Value,
    segments: &[Segment<'_>],
    make: Make,
    elements: &mut Vec<Element>,
    set: &mut dyn FnMut(&mut Value, &[Element]) -> Outcome,
) -> Outcome {
    let Some((first, rest)) = segments.split_first() else {
        return set(value, elements);
    };
    match value {
        Value::Null => Ok(()),
        Value::List(list) => {
            for (index, value) in list.make_mut().iter_mut().enumerate() {
                elements.push(Element { segments_left: segments.len(), index });
                descend(value, segments, make, elements, set)?;
                elements.pop();
            }
            Ok(())
        }
        Value::Map(map) => {
            first.check()?;
            let makes = make != Make::Nothing && !first.list;
            if makes && !map.has(&first.name) {
                map.push(plain_key(&first.name), Value::Null);
            }
            let Some(field) = map.get_mut(&first.name) else {
                return Ok(());
            };
            if field.is_null() {
                settle_null(field, first, makes && (!rest.is_empty() || make == Make::Map));
            }
            descend(field, rest, make, elements, set)
        }
        Value::Scalar(_) if value.is_null() => Ok(()),
        Value::Scalar(_) => {
            Err(Problem::new("expected a map or a list on the way, found a scalar"))
        }
    }
}

/// What becomes of a null on the way: `[]` makes it an empty list, a spec that creates makes it a map.
fn settle_null(field: &mut Value, segment: &Segment<'_>, wants_map: bool) {
    if segment.list {
        *field = Value::list();
    } else if wants_map {
        *field = Value::map();
    }
}

/// Replaces the text of a scalar and keeps its quotes; without quotes the text decides on the type.
///
/// # Errors
/// Where the value is a list or a map.
pub fn set_text(value: &mut Value, text: &str) -> Outcome {
    put(value, text, Style::Bare)
}

/// Sets a scalar whatever was there, as kustomize sets names: quotes stay, a tag does not.
pub fn rename(value: &mut Value, text: &str) {
    let style = match value {
        Value::Scalar(scalar) if scalar.style.is_quoted() => scalar.style.around(Tag::Str),
        _ => Style::Bare,
    };
    *value = Value::Scalar(Scalar { text: text.into(), style });
}

/// Replaces the text of a scalar and gives it a type; quotes win over the type.
///
/// # Errors
/// Where the value is a list or a map.
pub fn set_typed(value: &mut Value, text: &str, tag: Tag) -> Outcome {
    put(value, text, Style::Tagged(tag))
}

fn put(value: &mut Value, text: &str, style: Style) -> Outcome {
    let style = match value {
        Value::Scalar(old) if old.style.is_quoted() => match style {
            Style::Tagged(tag) => old.style.around(tag),
            _ => old.style.around(Tag::Str),
        },
        Value::Scalar(_) | Value::Null => style,
        Value::List(_) | Value::Map(_) => {
            return Err(Problem::new(format!("expected a scalar, found a {}", value.kind_name())));
        }
    };
    *value = Value::Scalar(Scalar { text: text.into(), style });
    Ok(())
}

/// Sets a string under `key`, as labels and annotations are set; true where there was none.
///
/// # Errors
/// Where the value is no map, or the key is empty.
pub fn set_entry(value: &mut Value, key: &str, text: &str) -> std::result::Result<bool, Problem> {
    match value {
        // Kustomize hangs the entry on the null, which is printed as a null all the same.
        _ if value.is_null() => Ok(false),
        Value::Map(_) if key.is_empty() => Err(Problem::new("an empty key cannot be set")),
        Value::Map(map) => {
            let old = map.get_mut(key);
            let is_new = old.is_none();
            match old {
                Some(old) => {
                    set_typed(old, text, Tag::Str).unwrap_or_else(|_| *old = Value::string(text));
                }
                None => map.push(plain_key(key), yaml::set_string(text)),
            }
            Ok(is_new)
        }
        _ => Err(Problem::new(format!("expected a map, found a {}", value.kind_name()))),
    }
}

impl Problem {
    /// A problem with the field itself.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The problem as seen from the map that has the field under `key`.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        let tail = std::mem::take(&mut self.path);
        self.path = if tail.is_empty() { key.to_owned() } else { format!("{key}/{tail}") };
        self
    }

    /// The error about `resource`.
    #[must_use]
    pub fn of(&self, resource: &Resource) -> Error {
        let place = Place::file(resource.origin.file.clone());
        let message = format!("{} \"{}\": {self}", resource.kind(), resource.name());
        Error::new(pattern::kind(&self.message), place, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "field \"{}\": ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Many paths as one tree, so that an object is walked once for all of them.
///
/// Nothing is ever made on the way, and what does not change is not copied.
#[derive(Clone, Debug)]
pub struct Tree<'a, T> {
    ends: Vec<T>,
    branches: Vec<(Segment<'a>, Self)>,
}

/// What is new of a value, where anything is.
pub type Change = std::result::Result<Option<New>, Problem>;

/// What is new of a value: found by looking at it, and put in place later without a copy of the rest.
#[derive(Clone, Debug, PartialEq)]
pub enum New {
    /// All of it.
    Whole(Value),
    /// Some of its elements or entries.
    Parts(News),
}

/// What is new of the elements of a list or the entries of a mapping, with their positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News(Vec<(usize, New)>);

impl New {
    /// Puts it in the place of what it was found in.
    pub fn put(self, value: &mut Value) {
        match (self, value) {
            (Self::Whole(new), value) => *value = new,
            (Self::Parts(parts), Value::List(list)) => {
                let elements = list.make_mut();
                for (at, new) in parts.0 {
                    if let Some(element) = elements.get_mut(at) {
                        new.put(element);
                    }
                }
            }
            (Self::Parts(parts), Value::Map(map)) => {
                for (at, new) in parts.0 {
                    if let Some(field) = map.at_mut(at) {
                        new.put(field);
                    }
                }
            }
            (Self::Parts(_), Value::Null | Value::Scalar(_)) => {}
        }
    }

    /// What becomes of `value`, in which it was found.
    #[must_use]
    pub fn of(self, value: &Value) -> Value {
        let mut value = value.clone();
        self.put(&mut value);
        value
    }
}

impl<T> Default for Tree<'_, T> {
    fn default() -> Self {
        Self { ends: Vec::new(), branches: Vec::new() }
    }
}

impl<'a, T> Tree<'a, T> {
    /// Adds a path; what ends at the same field is kept in the order in which it was added.
    pub fn insert(&mut self, path: &'a str, end: T) {
        let mut tree = self;
        for segment in split(path) {
            let at = tree.branches.iter().position(|(other, _)| *other == segment);
            let at = at.unwrap_or_else(|| {
                tree.branches.push((segment, Self::default()));
                tree.branches.len() - 1
            });
            tree = &mut tree.branches[at].1;
        }
        tree.ends.push(end);
    }

    /// Whether there is no path.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.branches.is_empty()
    }

    /// Calls `change` for every field that a path leads to, with what ends there, and tells what is new of
    /// the object, if anything is.
    ///
    /// # Errors
    /// Where a scalar stands in the way, or `change` fails.
    pub fn rewrite(&self, value: &Value, change: &mut dyn FnMut(&Value, &[T]) -> Change) -> Change {
        let changed = if self.ends.is_empty() { None } else { change(value, &self.ends)? };
        if self.branches.is_empty() {
            return Ok(changed);
        }
        let Some(changed) = changed else { return self.rewrite_below(value, change) };
        let mut whole = changed.of(value);
        let below = self.rewrite_below(&whole, change)?;
        below.into_iter().for_each(|new| new.put(&mut whole));
        Ok(Some(New::Whole(whole)))
    }

    fn rewrite_below(
        &self,
        value: &Value,
        change: &mut dyn FnMut(&Value, &[T]) -> Change,
    ) -> Change {
        match value {
            Value::Null => Ok(None),
            Value::List(list) => {
                rewrite_elements(list, &mut |element| self.rewrite_below(element, change))
            }
            Value::Map(map) => {
                let mut parts = News::default();
                for (segment, tree) in &self.branches {
                    tree.rewrite_field(segment, map, &mut parts, change)?;
                }
                Ok(parts.end())
            }
            Value::Scalar(_) if value.is_null() => Ok(None),
            Value::Scalar(_) => {
                Err(Problem::new("expected a map or a list on the way, found a scalar"))
            }
        }
    }

    /// `parts` is what is new of the map, to which this adds.
    fn rewrite_field(
        &self,
        segment: &Segment<'_>,
        map: &Map,
        parts: &mut News,
        change: &mut dyn FnMut(&Value, &[T]) -> Change,
    ) -> Outcome {
        let Some((at, field)) = map.find(&segment.name) else { return segment.check() };
        // Another spec that spells the way with `[]` has been there.
        let mut known = parts.take(at).map(|new| new.of(field));
        // An asserted list that is null becomes an empty one, even if nothing is done to it.
        if segment.list && known.as_ref().unwrap_or(field).is_null() {
            known = Some(Value::list());
        }
        let changed = self.rewrite(known.as_ref().unwrap_or(field), change);
        let changed = changed.map_err(|problem| problem.under(&segment.name))?;
        let new = match (known, changed) {
            (None, changed) => changed,
            (Some(whole), None) => Some(New::Whole(whole)),
            (Some(whole), Some(changed)) => Some(New::Whole(changed.of(&whole))),
        };
        parts.add(at, new);
        Ok(())
    }
}

impl News {
    /// Adds what is new of one part, where anything is.
    pub fn add(&mut self, at: usize, new: Option<New>) {
        let Some(new) = new else { return };
        if self.0.is_empty() {
            // Most have one alone, and all are kept until the last object is looked at.
            self.0.reserve_exact(1);
        }
        self.0.push((at, new));
    }

    fn take(&mut self, at: usize) -> Option<New> {
        let known = self.0.iter().position(|(other, _)| *other == at)?;
        Some(self.0.remove(known).1)
    }

    /// What is new of the whole, where anything is.
    #[must_use]
    pub fn end(self) -> Option<New> {
        (!self.0.is_empty()).then_some(New::Parts(self))
    }
}

/// The elements of a list that `change` changes.
///
/// # Errors
/// Where `change` fails.
pub fn rewrite_elements(list: &[Value], change: &mut dyn FnMut(&Value) -> Change) -> Change {
    let mut parts = News::default();
    for (at, element) in list.iter().enumerate() {
        parts.add(at, change(element)?);
    }
    Ok(parts.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Key;

    pub(crate) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::Map(entries.into_iter().map(|(k, v)| (Key::from(k), v)).collect::<Map>())
    }

    fn list<const N: usize>(elements: [Value; N]) -> Value {
        Value::List(elements.into_iter().collect())
    }

    fn spec(path: &str, create: bool) -> FieldSpec {
        FieldSpec { path: path.into(), create, ..FieldSpec::default() }
    }

    fn names(path: &str) -> Vec<String> {
        split(path)
            .into_iter()
            .map(|s| format!("{}{}", s.name, if s.list { "!" } else { "" }))
            .collect()
    }

    #[test]
    fn splits_at_slashes_that_are_not_escaped() {
        assert_eq!(names("spec/containers[]/image"), ["spec", "containers!", "image"]);
        assert_eq!(names(r"metadata/annotations/a.io\/b"), ["metadata", "annotations", "a.io/b"]);
        assert_eq!(names("/a/b"), ["a", "b"]);
    }

    #[test]
    fn walks_through_lists() {
        let mut value = map([(
            "a",
            list([
                map([("b", Value::plain("x"))]),
                Value::Null,
                map([]),
                map([("b", Value::Null)]),
            ]),
        )]);
        let spec = spec("a/b", false);
        let mut count = 0;
        let mut set = |_: &mut Value| {
            count += 1;
            Ok(())
        };
        Path::of(&spec).walk(&mut value, Make::Map, &mut set).unwrap();
        assert_eq!(count, 2);
    }

    #[test]
    fn makes_what_is_missing_only_where_the_spec_says_so() {
        let mut value = map([("a", Value::Null)]);
        let mut set = |value: &mut Value| set_typed(value, "1", Tag::Int);
        Path::of(&spec("a/b/c", false)).walk(&mut value, Make::Scalar, &mut set).unwrap();
        assert_eq!(value, map([("a", Value::Null)]));
        Path::of(&spec("a/b/c", true)).walk(&mut value, Make::Scalar, &mut set).unwrap();
        assert_eq!(value.text_at(&["a", "b", "c"]), Some("1"));
        Path::of(&spec("x[]/c", true)).walk(&mut value, Make::Scalar, &mut set).unwrap();
        assert_eq!(value.get("x"), None);
    }

    #[test]
    fn refuses_a_scalar_on_the_way() {
        let mut value = map([("a", Value::plain("x"))]);
        let problem =
            Path::of(&spec("a/b", false)).walk(&mut value, Make::Nothing, &mut |_| Ok(()));
        let problem = problem.unwrap_err();
        assert_eq!(
            problem.to_string(),
            "field \"a/b\": expected a map or a list on the way, found a scalar"
        );
    }

    #[test]
    fn a_walk_that_finds_nothing_copies_nothing() {
        let mut value = map([("a", map([("b", Value::plain("x"))]))]);
        let copy = value.clone();
        Path::of(&spec("a/c", false)).walk(&mut value, Make::Nothing, &mut |_| Ok(())).unwrap();
        let (Value::Map(one), Value::Map(two)) = (&value, &copy) else { unreachable!() };
        assert!(std::ptr::eq(one.get("a").unwrap(), two.get("a").unwrap()));
    }

    #[test]
    fn keeps_quotes_over_types() {
        let mut value = Value::Scalar(Scalar { text: "1".into(), style: Style::Quoted });
        set_typed(&mut value, "3", Tag::Int).unwrap();
        assert_eq!(value.as_scalar().unwrap().style, Style::QuotedAs(Tag::Int));
    }

    #[test]
    fn a_tree_walks_once_and_copies_only_what_changes() {
        let mut tree = Tree::default();
        tree.insert("a/b", 1);
        tree.insert("a/c/d", 2);
        tree.insert("a/b", 3);
        let value = map([
            ("a", list([map([("b", Value::plain("x"))]), map([("c", map([("e", Value::Null)]))])])),
            ("z", map([])),
        ]);
        let mut seen = Vec::new();
        let mut change = |value: &Value, ends: &[i32]| {
            seen.push((value.clone(), ends.to_vec()));
            Ok(Some(New::Whole(Value::plain("y"))))
        };
        let new = tree.rewrite(&value, &mut change).unwrap().unwrap().of(&value);
        assert_eq!(seen, [(Value::plain("x"), vec![1, 3])]);
        let elements = new.get("a").and_then(Value::as_list).unwrap();
        assert_eq!(elements[0].text_at(&["b"]), Some("y"));
        assert!(tree.rewrite(&new, &mut |_, _| Ok(None)).unwrap().is_none());
    }

    #[test]
    fn a_tree_names_the_path_of_a_problem() {
        let mut tree = Tree::default();
        tree.insert("a/b/c", ());
        let value = map([("a", map([("b", Value::plain("x"))]))]);
        let problem = tree.rewrite(&value, &mut |_, _| Ok(None)).unwrap_err();
        assert_eq!(problem.path, "a/b");
    }

    #[test]
    fn an_asserted_list_that_is_null_becomes_an_empty_one() {
        let mut tree = Tree::default();
        tree.insert("a[]/b", ());
        let value = map([("a", Value::Null)]);
        let new = tree.rewrite(&value, &mut |_, _| Ok(None)).unwrap().unwrap();
        assert_eq!(new.of(&value), map([("a", Value::list())]));
    }

    #[test]
    fn a_second_way_to_a_field_finds_what_the_first_has_changed() {
        let mut tree = Tree::default();
        tree.insert("a/b", "1");
        tree.insert("a[]/b", "2");
        let value = map([("a", list([map([("b", Value::plain("x"))])]))]);
        let mut change = |value: &Value, ends: &[&str]| {
            let text = format!("{}{}", value.as_text().unwrap_or_default(), ends.concat());
            Ok(Some(New::Whole(Value::plain(text))))
        };
        let new = tree.rewrite(&value, &mut change).unwrap().unwrap().of(&value);
        let elements = new.get("a").and_then(Value::as_list).unwrap();
        assert_eq!(elements[0].text_at(&["b"]), Some("x12"));
    }
}
