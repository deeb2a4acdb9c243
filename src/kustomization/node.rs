//! From a YAML value to typed configuration, by the rules of the JSON decoder that kustomize uses.
//!
//! Field names match in any case, null leaves a field as it is, the last of equal keys wins. Every
//! problem of a file is collected with its place, so that one run shows them all.

use std::cell::RefCell;

use ecow::{EcoString, EcoVec, eco_format};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::nearest::nearest;
use crate::value::{Key, Map, Scalar, Style, Tag, Value};
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::{self, Step};

/// Which of kustomize's ways of reading configuration a file is subject to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Whether a field that nobody knows is an error.
    pub refuses_unknown: bool,
    /// Whether numbers and booleans are taken as text where text is wanted.
    pub takes_numbers_as_text: bool,
    /// Whether it was JSON before, to which `2.0` is 2.
    pub was_json: bool,
    /// Whether plain `yes`, `n` and the like are booleans.
    pub yaml_1_1: bool,
    /// Whether go-yaml itself reads it: names match exactly, and any word of YAML 1.1 is a boolean.
    pub directly: bool,
    /// Whether text takes a detour through JSON into YAML again, to which U+0085 is a line break.
    pub folds_next_lines: bool,
    /// Whether names of fields match in their exact case only, as the API server has them.
    pub exact_names: bool,
    /// Whether an object and its spec may get more fields from elsewhere, so that none is missing yet.
    pub is_partial: bool,
}

/// Something that can be read from a YAML value.
pub trait Decode {
    /// Sets what `node` says, and reports what it may not say.
    fn decode(&mut self, node: &Node<'_>);
}

/// A value with the way to it.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// The value itself.
    pub value: &'a Value,
    step: Option<Step<'a>>,
    parent: Option<&'a Self>,
    /// Whether it stands in a Go struct that is inlined into another one.
    is_inlined: bool,
    reader: &'a Reader<'a>,
}

struct Reader<'a> {
    rules: Rules,
    place: &'a dyn Fn(&[Step<'_>]) -> Place,
    problems: RefCell<Vec<Problem>>,
}

struct Problem {
    place: Place,
    message: String,
    hint: Option<String>,
}

impl Rules {
    /// The kustomization file: strict, YAML 1.1, text must be text.
    pub const KUSTOMIZATION: Self = Self {
        refuses_unknown: true,
        takes_numbers_as_text: false,
        was_json: false,
        yaml_1_1: true,
        directly: false,
        folds_next_lines: true,
        exact_names: false,
        is_partial: false,
    };
    /// Files of `configurations`.
    pub const CONFIGURATION: Self = Self {
        refuses_unknown: true,
        takes_numbers_as_text: true,
        was_json: false,
        yaml_1_1: true,
        directly: false,
        folds_next_lines: false,
        exact_names: false,
        is_partial: false,
    };
    /// Files that an entry of `replacements` or a plugin names.
    pub const FILE: Self = Self {
        refuses_unknown: false,
        takes_numbers_as_text: true,
        was_json: false,
        yaml_1_1: true,
        directly: false,
        folds_next_lines: false,
        exact_names: false,
        is_partial: false,
    };
    /// Configurations of plugins, which kustomize reads as resources first.
    pub const PLUGIN: Self = Self {
        refuses_unknown: false,
        takes_numbers_as_text: true,
        was_json: true,
        yaml_1_1: false,
        directly: false,
        folds_next_lines: true,
        exact_names: false,
        is_partial: false,
    };
    /// Objects of an API, read as strictly as `kubectl apply` has them validated.
    pub const OBJECT: Self = Self {
        refuses_unknown: true,
        takes_numbers_as_text: false,
        was_json: false,
        yaml_1_1: true,
        directly: false,
        folds_next_lines: false,
        exact_names: true,
        is_partial: false,
    };
    /// Configurations of the plugins for prefixes and suffixes.
    pub const AFFIXES: Self = Self { directly: true, ..Self::PLUGIN };
}

/// Reads a `T` from `value`; `place` says where in the user's file a path leads to.
///
/// # Errors
/// Where the value does not have the shape of a `T`; all problems are in one error.
pub fn decode_as<T: Decode + Default>(
    value: &Value,
    rules: Rules,
    place: &dyn Fn(&[Step<'_>]) -> Place,
) -> Result<T> {
    let mut decoded = T::default();
    decode_into(value, rules, place, |node| decoded.decode(node))?;
    Ok(decoded)
}

/// Runs `decode` on the root of `value`, and turns what it reports into one error.
pub(crate) fn decode_into(
    value: &Value,
    rules: Rules,
    place: &dyn Fn(&[Step<'_>]) -> Place,
    decode: impl FnOnce(&Node<'_>),
) -> Result<()> {
    let reader = Reader { rules, place, problems: RefCell::default() };
    decode(&Node { value, step: None, parent: None, is_inlined: false, reader: &reader });
    match joined(reader.problems.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn joined(mut problems: Vec<Problem>) -> Option<Error> {
    problems.sort_by_key(|problem| problem.place.at);
    let alone = problems.len() == 1;
    let mut problems = problems.into_iter();
    let first = problems.next()?;
    if alone {
        let error = Error::new(ErrorKind::Invalid, first.place, first.message);
        return Some(match first.hint {
            Some(hint) => error.hint(hint),
            None => error,
        });
    }
    let mut message = with_hint(first.message, first.hint);
    for problem in problems {
        let more = with_hint(problem.message, problem.hint);
        message.push_str(&format!("\n{}: {more}", problem.place));
    }
    Some(Error::new(ErrorKind::Invalid, first.place, message))
}

fn with_hint(message: String, hint: Option<String>) -> String {
    match hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    }
}

impl<'a> Node<'a> {
    /// Reports a problem with this value.
    pub fn problem(&self, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem { place: self.place(), message: message.into(), hint };
        self.reader.problems.borrow_mut().push(problem);
    }

    /// Reports a problem with what stands under `key` of this mapping.
    pub fn problem_under(&self, key: &str, message: impl Into<String>, hint: Option<String>) {
        self.child(Step::Key(key), self.value).problem(message, hint);
    }

    /// Where the value stands in the user's file.
    #[must_use]
    pub fn place(&self) -> Place {
        (self.reader.place)(&self.path())
    }

    /// Whether everything that its reader would refuse is a problem, and not only what cannot be read.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.reader.rules.refuses_unknown
    }

    /// Whether more fields may come from elsewhere, so that none is missing yet: to an object and its spec.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.reader.rules.is_partial && self.path().len() < 2
    }

    /// Reports that this value is not `wanted`.
    pub fn expected(&self, wanted: &str) {
        self.wrong(wanted, || None);
    }

    /// The value as one of a Go struct that is inlined into another one: the library that takes
    /// numbers as text finds no types there, and leaves them numbers.
    ///
    /// Source: `sigs.k8s.io/yaml`, `convertToJSONableObject`.
    #[must_use]
    pub fn inlined(&self) -> Self {
        Self { is_inlined: true, ..*self }
    }

    /// Whether the value is null, however written.
    #[must_use]
    pub fn is_null(&self) -> bool {
        match self.value {
            Value::Scalar(scalar) => self.meaning(scalar) == Meaning::Null,
            value => value.is_null(),
        }
    }

    /// Calls `field` for every entry of a mapping whose name is in `names`, with that name.
    ///
    /// Entries come in the byte order of their keys, as kustomize has them after its detour through
    /// JSON: of `NAMEPREFIX` and `namePrefix` the second wins.
    pub fn record(&self, names: &[&'static str], mut field: impl FnMut(&'static str, &Node<'_>)) {
        for (key, text, value) in self.entries(names) {
            let node = self.child(Step::Key(&key.text), value);
            let rules = self.reader.rules;
            let is_exact = rules.directly || rules.exact_names;
            let is_it = |name: &&&str| {
                if is_exact { **name == text } else { is_same_name(name, &text) }
            };
            match names.iter().find(is_it) {
                Some(name) => field(name, &node),
                None if self.reader.rules.refuses_unknown => node.unknown(&text, names),
                None => {}
            }
        }
    }

    /// Calls `entry` for every entry of a mapping with its key as text, in byte order.
    pub fn each(&self, mut entry: impl FnMut(EcoString, &Node<'_>)) {
        for (key, text, value) in self.entries(&[]) {
            entry(text, &self.child(Step::Key(&key.text), value));
        }
    }

    /// Calls `element` for every element of a list.
    pub fn elements(&self, mut element: impl FnMut(&Node<'_>)) {
        match self.value {
            Value::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    element(&self.child(Step::Index(index), value));
                }
            }
            _ if self.is_null() => {}
            _ => self.wrong("a list", || self.list_hint()),
        }
    }

    /// The text of a scalar, where it is a string or may be taken as one; null is none.
    #[must_use]
    pub fn text(&self) -> Option<EcoString> {
        let Value::Scalar(scalar) = self.value else {
            if !self.is_null() {
                self.wrong("a string", || None);
            }
            return None;
        };
        match self.meaning(scalar) {
            Meaning::Null => None,
            Meaning::Text(text)
                if self.reader.rules.folds_next_lines && text.contains('\u{85}') =>
            {
                Some(yaml::fold_next_lines(&text).into())
            }
            Meaning::Text(text) => Some(text.into()),
            meaning if self.takes_numbers_as_text() => Some(self.number_text(&meaning)),
            _ => {
                self.wrong("a string", || Some(format!("put it in quotes: \"{}\"", scalar.text)));
                None
            }
        }
    }

    /// A boolean; null is none.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        if let Value::Scalar(scalar) = self.value {
            match self.meaning(scalar) {
                Meaning::Bool(value) => return Some(value),
                Meaning::Text(text) if self.reader.rules.directly => {
                    if let Some(value) = scalar::bool_v2(&text) {
                        return Some(value);
                    }
                }
                _ => {}
            }
        }
        if !self.is_null() {
            self.wrong("true or false", || None);
        }
        None
    }

    /// An integer, also one that is written as a float (`3.0`); null is none.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if self.is_null() {
            return None;
        }
        let number = match self.value {
            Value::Scalar(scalar) => match self.meaning(scalar) {
                Meaning::Int(int) => Some(int),
                Meaning::Float(float) => whole(float),
                _ => None,
            },
            _ => None,
        };
        if number.is_none() {
            self.wrong("an integer", || None);
        }
        number
    }

    /// The value with every type settled: no plain text is left, and all keys are strings.
    #[must_use]
    pub fn settled(&self) -> Value {
        match self.value {
            Value::Scalar(scalar) => settled(&self.meaning(scalar)),
            Value::Null => Value::Null,
            Value::List(_) => {
                let mut list = EcoVec::new();
                self.elements(|node| list.push(node.settled()));
                Value::List(list)
            }
            Value::Map(_) => {
                let mut map = Map::default();
                self.each(|key, node| map.push(Key::from(key), node.settled()));
                Value::Map(map)
            }
        }
    }

    fn child<'b>(&'b self, step: Step<'b>, value: &'b Value) -> Node<'b> {
        let Self { is_inlined, reader, .. } = *self;
        Node { value, step: Some(step), parent: Some(self), is_inlined, reader }
    }

    fn takes_numbers_as_text(&self) -> bool {
        let rules = self.reader.rules;
        rules.directly || rules.takes_numbers_as_text && !self.is_inlined
    }

    fn number_text(&self, meaning: &Meaning<'_>) -> EcoString {
        let Rules { was_json, directly, .. } = self.reader.rules;
        let Meaning::Float(float) = *meaning else { return printed(meaning) };
        match if was_json { scalar::through_json(float) } else { Meaning::Float(float) } {
            Meaning::Float(float) if !directly => narrow(float),
            meaning => printed(&meaning),
        }
    }

    fn path(&self) -> Vec<Step<'_>> {
        let mut path = Vec::new();
        let mut node = Some(self);
        while let Some(here) = node {
            path.extend(here.step);
            node = here.parent;
        }
        path.reverse();
        path
    }

    fn meaning<'s>(&self, scalar: &'s Scalar) -> Meaning<'s> {
        let as_text = || Meaning::Text(scalar.text.as_str().into());
        match scalar.style {
            Style::Plain if self.reader.rules.yaml_1_1 => scalar::meaning_v2(&scalar.text),
            _ => scalar::meaning(scalar).unwrap_or_else(|message| {
                self.problem(message, None);
                as_text()
            }),
        }
    }

    /// The entries in the order of their keys' text; of equal ones the last.
    fn entries(&self, names: &[&str]) -> Vec<(&'a Key, EcoString, &'a Value)> {
        let Value::Map(map) = self.value else {
            if !self.is_null() {
                self.wrong("a mapping", || self.mapping_hint(names));
            }
            return Vec::new();
        };
        let mut entries = Vec::with_capacity(map.len());
        for (key, value) in map.iter() {
            match self.key_text(key) {
                Some(text) => entries.push((key, text, value)),
                None => {
                    self.child(Step::Key(&key.text), value).problem("a key may not be null", None);
                }
            }
        }
        // Stable, so that the last of equal keys is the last of its run.
        entries.sort_by(|a, b| a.1.cmp(&b.1));
        entries.reverse();
        entries.dedup_by(|later, kept| later.1 == kept.1);
        entries.reverse();
        entries
    }

    fn key_text(&self, key: &Key) -> Option<EcoString> {
        if !key.typed {
            return Some(key.text.clone());
        }
        let scalar = Scalar { text: key.text.clone(), style: Style::Plain };
        match self.meaning(&scalar) {
            Meaning::Null => None,
            Meaning::Float(float) if float.is_nan() => Some(".nan".into()),
            Meaning::Float(float) if float.is_infinite() => {
                Some(if float > 0.0 { ".inf" } else { "-.inf" }.into())
            }
            Meaning::Float(float) => Some(narrow(float)),
            meaning => Some(printed(&meaning)),
        }
    }

    fn wrong(&self, wanted: &str, hint: impl FnOnce() -> Option<String>) {
        let found = self.found();
        let message = match self.name() {
            Some(name) => format!("\"{name}\" takes {wanted}, not {found}"),
            None => format!("expected {wanted}, not {found}"),
        };
        self.problem(message, hint());
    }

    /// The key under which the value stands, also for the elements of a list under that key.
    fn name(&self) -> Option<&str> {
        let mut node = Some(self);
        while let Some(here) = node {
            if let Some(Step::Key(key)) = here.step {
                return Some(key);
            }
            node = here.parent;
        }
        None
    }

    fn found(&self) -> String {
        match self.value {
            Value::Scalar(scalar) => match self.meaning(scalar) {
                Meaning::Bool(_) => format!("the boolean {}", scalar.text),
                Meaning::Text(_) => "a string".into(),
                Meaning::Null => "null".into(),
                _ => format!("the number {}", scalar.text),
            },
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Null => "null".into(),
        }
    }

    fn list_hint(&self) -> Option<String> {
        let text = self.value.as_text()?;
        (!text.contains('\n')).then(|| format!("begin its line with a dash: - {text}"))
    }

    /// Where text stands for a mapping, it is likely its path or its name.
    fn mapping_hint(&self, names: &[&str]) -> Option<String> {
        let text = self.value.as_text().filter(|text| !text.contains('\n'))?;
        let key = ["path", "name"].into_iter().find(|key| names.contains(key))?;
        Some(format!("write it as {key}: {text}"))
    }

    fn unknown(&self, name: &str, known: &[&str]) {
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => Some(format!("did you mean \"{near}\"?")),
            None if known.len() <= 12 => Some(format!("fields here are {}", known.join(", "))),
            None => None,
        };
        self.problem(format!("unknown field \"{name}\""), hint);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(float: f64) -> Option<i64> {
    // 2^63 itself is the first float that is too large.
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (in_range && float.fract() == 0.0).then_some(float as i64)
}

/// A float as sigs.k8s.io/yaml has it where text is due: with as many digits as 32 bits have.
#[expect(clippy::cast_possible_truncation, reason = "digits are lost there too")]
fn narrow(float: f64) -> EcoString {
    let narrow = float as f32;
    if narrow.is_nan() {
        return "NaN".into();
    }
    if narrow.is_infinite() {
        return if narrow > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let mut text = String::new();
    // The shortest text of 32 bits is the shortest of the 64 bits nearest to it.
    scalar::write_float(narrow.to_string().parse().unwrap_or(float), &mut text);
    text.into()
}

/// A number or boolean as Go prints it after having read it.
fn printed(meaning: &Meaning<'_>) -> EcoString {
    match meaning {
        Meaning::Null => EcoString::new(),
        Meaning::Bool(value) => eco_format!("{value}"),
        Meaning::Int(int) => eco_format!("{int}"),
        Meaning::Uint(int) => eco_format!("{int}"),
        Meaning::Float(float) => {
            let mut text = String::new();
            scalar::write_float(*float, &mut text);
            text.into()
        }
        Meaning::Text(text) => text.as_ref().into(),
    }
}

fn settled(meaning: &Meaning<'_>) -> Value {
    let tag = match meaning {
        Meaning::Null => return Value::Null,
        Meaning::Bool(_) => Tag::Bool,
        Meaning::Int(_) | Meaning::Uint(_) => Tag::Int,
        Meaning::Float(_) => Tag::Float,
        Meaning::Text(_) => Tag::Str,
    };
    Value::Scalar(Scalar { text: printed(meaning), style: Style::Tagged(tag) })
}

/// Whether a field of `name` is meant by `written`, as Go's JSON decoder folds case.
fn is_same_name(name: &str, written: &str) -> bool {
    fn fold(letter: char) -> char {
        match letter {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        }
    }
    name.chars().map(fold).eq(written.chars().map(fold))
}

impl Decode for EcoString {
    fn decode(&mut self, node: &Node<'_>) {
        if let Some(text) = node.text() {
            *self = text;
        }
    }
}

impl Decode for bool {
    fn decode(&mut self, node: &Node<'_>) {
        if let Some(value) = node.boolean() {
            *self = value;
        }
    }
}

impl Decode for i64 {
    fn decode(&mut self, node: &Node<'_>) {
        if let Some(number) = node.integer() {
            *self = number;
        }
    }
}

impl<T: Decode + Default> Decode for Vec<T> {
    fn decode(&mut self, node: &Node<'_>) {
        self.clear();
        node.elements(|node| {
            let mut element = T::default();
            element.decode(node);
            self.push(element);
        });
    }
}

impl<T: Decode + Default> Decode for Option<T> {
    fn decode(&mut self, node: &Node<'_>) {
        if node.is_null() {
            *self = None;
        } else {
            self.get_or_insert_default().decode(node);
        }
    }
}

/// A mapping of strings to strings, sorted by key.
impl Decode for Vec<(EcoString, EcoString)> {
    fn decode(&mut self, node: &Node<'_>) {
        if node.is_null() {
            self.clear();
        }
        node.each(|key, node| {
            let value = node.text().unwrap_or_default();
            match self.binary_search_by(|(known, _)| known.cmp(&key)) {
                Ok(at) => self[at].1 = value,
                Err(at) => self.insert(at, (key, value)),
            }
        });
    }
}

/// Values of any shape.
impl Decode for Value {
    fn decode(&mut self, node: &Node<'_>) {
        *self = node.settled();
    }
}
