//! Single values by their path, in the syntax of Helm's `--set`: `a.b[0].c=value`.
//!
//! What is set may be secret, so no message repeats anything of it.
//!
//! Source: helm `pkg/strvals/parser.go`; fluxcd/pkg `chartutil/values.go`, `ReplacePathValue`.

use std::iter::Peekable;
use std::str::Chars;

use ecow::{EcoString, EcoVec};
use rustc_hash::FxHashMap;

use crate::value::{Key, Map, Value};

/// Highest index of a list. Source: helm `pkg/strvals`, `MaxIndex`.
const INDEX: usize = 65_536;

/// Most names within each other. Source: helm `pkg/strvals`, `MaxNestedNameLevel`.
const LEVELS: usize = 30;

/// One step to a value that is set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A value with where it goes.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub(super) path: Vec<Step>,
    pub(super) value: Value,
}

/// Why something cannot be set.
pub(super) type Problem = &'static str;

/// How the text of a value is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    /// Words that look like another type are of that type.
    Typed,
    /// All is text.
    Text,
}

/// What comes of a text for the value at a path: mostly one assignment, for text with commas may hold more.
///
/// A quoted text is no number, and a `literal` one has no syntax at all.
pub(super) fn assignments(
    path: &str,
    text: &str,
    literal: bool,
) -> Result<Vec<Assignment>, Problem> {
    let is_quoted = |quote| text.starts_with(quote) && text.ends_with(quote);
    if literal {
        // Such text is read as if everything that means something had been escaped.
        let mut found = Parser::new(&format!("{path}=x"), Reading::Text).all()?;
        let Some(last) = found.last_mut() else { return Ok(found) };
        last.value = Value::string(text);
        return Ok(found);
    }
    if is_quoted('\'') || is_quoted('"') {
        let bare = text.trim_matches(['\'', '"']);
        return Parser::new(&format!("{path}={bare}"), Reading::Text).all();
    }
    Parser::new(&format!("{path}={text}"), Reading::Typed).all()
}

struct Parser<'t> {
    rest: Peekable<Chars<'t>>,
    reading: Reading,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, reading: Reading) -> Self {
        Self { rest: text.chars().peekable(), reading }
    }

    fn all(mut self) -> Result<Vec<Assignment>, Problem> {
        let mut found = Vec::new();
        while let Some(assignment) = self.next()? {
            found.push(assignment);
        }
        Ok(found)
    }

    fn next(&mut self) -> Result<Option<Assignment>, Problem> {
        let mut path = Vec::new();
        loop {
            let levels = path.iter().filter(|step| matches!(step, Step::Key(_))).count();
            if levels > LEVELS {
                return Err("its path has too many names");
            }
            let (key, end) = self.until(&['=', '[', ',', '.']);
            match end {
                None if key.is_empty() => return Ok(None),
                None | Some(',') => {
                    return Err("a name in its path or behind a comma has no value");
                }
                Some('[') => {
                    path.push(Step::Key(key));
                    if !self.indices(&mut path)? {
                        continue;
                    }
                }
                Some('.') => {
                    path.push(Step::Key(key));
                    continue;
                }
                Some(_) => path.push(Step::Key(key)),
            }
            let value = self.value()?;
            return Ok(Some(Assignment { path, value }));
        }
    }

    /// Reads `0]`, `0][1]` and so on, and says whether the value follows rather than another name.
    fn indices(&mut self, path: &mut Vec<Step>) -> Result<bool, Problem> {
        loop {
            let (index, end) = self.until(&[']']);
            let index = index.parse().ok().filter(|index| *index <= INDEX && end.is_some());
            path.push(Step::Index(
                index.ok_or("an index in its path is no number from 0 to 65536")?,
            ));
            match self.until(&['[', '.', '=']) {
                (between, _) if !between.is_empty() => {
                    return Err("something follows an index in its path");
                }
                (_, Some('[')) => {}
                (_, Some('.')) => return Ok(false),
                (_, Some(_)) => return Ok(true),
                (_, None) => return Err("an index in its path has no value"),
            }
        }
    }

    fn value(&mut self) -> Result<Value, Problem> {
        if self.rest.next_if_eq(&'{').is_none() {
            let (text, _) = self.until(&[',']);
            return Ok(self.typed(&text));
        }
        let mut list = EcoVec::new();
        loop {
            let (text, end) = self.until(&[',', '}']);
            match end {
                None => return Err("a list in it does not end with \"}\""),
                Some('}') => {
                    list.push(self.typed(&text));
                    self.rest.next_if_eq(&',');
                    return Ok(Value::List(list));
                }
                Some(_) => list.push(self.typed(&text)),
            }
        }
    }

    /// The text up to one of the signs, which is consumed; behind `\` nothing is a sign.
    fn until(&mut self, signs: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(char) = self.rest.next() {
            match char {
                sign if signs.contains(&sign) => return (text, Some(sign)),
                '\\' => text.extend(self.rest.next()),
                char => text.push(char),
            }
        }
        (text, None)
    }

    fn typed(&self, text: &str) -> Value {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        let number = || text.parse::<i64>().ok().filter(|_| text == "0" || !text.starts_with('0'));
        match self.reading {
            Reading::Text => Value::string(text),
            Reading::Typed if is("true") => Value::bool(true),
            Reading::Typed if is("false") => Value::bool(false),
            Reading::Typed if is("null") => Value::Null,
            Reading::Typed => number().map_or_else(|| Value::string(text), Value::int),
        }
    }
}

/// Puts a value where its path leads; mappings and lists on the way are made.
pub(super) fn assign(values: &mut Value, path: &[Step], value: &Value) -> Result<(), Problem> {
    let Some((step, rest)) = path.split_first() else {
        *values = value.clone();
        return Ok(());
    };
    match step {
        // An empty name is not set.
        Step::Key(key) if key.is_empty() => Ok(()),
        Step::Key(key) => {
            let map = values
                .as_map_mut()
                .ok_or("its path leads through something else than a mapping")?;
            let is_new = !map.has(key);
            let inner = map.entry(key);
            match rest.first() {
                Some(Step::Key(_)) if is_new => *inner = Value::map(),
                Some(Step::Index(_)) if is_new => *inner = Value::list(),
                _ => {}
            }
            assign(inner, rest, value)
        }
        Step::Index(index) => {
            let list =
                values.as_list_mut().ok_or("its path leads through something else than a list")?;
            while list.len() <= *index {
                list.push(Value::Null);
            }
            let Some(inner) = list.make_mut().get_mut(*index) else { return Ok(()) };
            match rest.first() {
                Some(Step::Key(_)) if inner.as_map().is_none() => *inner = Value::map(),
                Some(Step::Index(_)) if inner.is_null() => *inner = Value::list(),
                _ => {}
            }
            assign(inner, rest, value)
        }
    }
}

/// Lays mappings over mappings; everything else above takes the place of what is below.
///
/// Source: fluxcd/pkg `chartutil/merge.go`.
pub(super) fn merge(below: &mut Map, above: &Map) {
    // With an index, for there may be a million of them.
    let mut entries: Vec<(Key, Value)> = entries(below).collect();
    let mut places: FxHashMap<EcoString, usize> =
        entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
    for (key, value) in self::entries(above) {
        let Some(at) = places.get(&key.text) else {
            places.insert(key.text.clone(), entries.len());
            entries.push((key, value));
            continue;
        };
        match (&mut entries[*at].1, &value) {
            (Value::Map(inner), Value::Map(map)) => merge(inner, map),
            (inner, _) => *inner = value,
        }
    }
    *below = entries.into_iter().collect();
}

fn entries(map: &Map) -> impl Iterator<Item = (Key, Value)> + '_ {
    map.iter().map(|(key, value)| (key.clone(), value.clone()))
}

/// Whether a value that is set after `above` was laid over `below` is set in `above` itself, too.
///
/// In Flux the two share what is only in one of them, so that such a value outlives `above` being laid over the
/// result once more.
pub(super) fn is_shared(below: &Map, above: &Map, path: &[Step]) -> bool {
    let [Step::Key(key), rest @ ..] = path else { return false };
    if rest.is_empty() {
        return false;
    }
    match (below.get(key).and_then(Value::as_map), above.get(key)) {
        (Some(below), Some(Value::Map(above))) => is_shared(below, above, rest),
        (_, Some(Value::Map(_) | Value::List(_))) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn set(before: &str, path: &str, text: &str, literal: bool) -> Result<String, Problem> {
        let mut values = json::from_json(&serde_json::from_str(before).expect("JSON"));
        for Assignment { path, value } in assignments(path, text, literal)? {
            assign(&mut values, &path, &value)?;
        }
        let mut out = String::new();
        json::write(&values, &mut out).expect("has JSON");
        Ok(out)
    }

    #[test]
    fn values_are_set_as_helm_sets_them() {
        for (before, path, text, wanted) in [
            ("{}", "a", "1", r#"{"a":1}"#),
            ("{}", "a", "01", r#"{"a":"01"}"#),
            ("{}", "a", "0", r#"{"a":0}"#),
            ("{}", "a", "TRUE", r#"{"a":true}"#),
            ("{}", "a", "null", r#"{"a":null}"#),
            ("{}", "a", "1.5", r#"{"a":"1.5"}"#),
            ("{}", "a", "\"1\"", r#"{"a":"1"}"#),
            ("{}", "a", "'true'", r#"{"a":"true"}"#),
            ("{}", "a", "", r#"{"a":""}"#),
            ("{}", "a", "{x,1}", r#"{"a":["x",1]}"#),
            ("{}", "a", r"x\,y", r#"{"a":"x,y"}"#),
            ("{}", "a", "x,b=y", r#"{"a":"x","b":"y"}"#),
            ("{}", "a.b.c", "x", r#"{"a":{"b":{"c":"x"}}}"#),
            ("{}", r"a\.b", "x", r#"{"a.b":"x"}"#),
            ("{}", "a[1].b", "x", r#"{"a":[null,{"b":"x"}]}"#),
            ("{}", "a[0][1]", "x", r#"{"a":[[null,"x"]]}"#),
            (r#"{"a":{"b":1,"c":2}}"#, "a.b", "x", r#"{"a":{"b":"x","c":2}}"#),
            (r#"{"a":[1,2]}"#, "a[0].b", "x", r#"{"a":[{"b":"x"},2]}"#),
        ] {
            assert_eq!(set(before, path, text, false).as_deref(), Ok(wanted), "{path}={text}");
        }
    }

    #[test]
    fn literal_text_has_no_syntax() {
        let text = r#"{"a": [1, 2], "b": "x\ny=z"}"#;
        let out = set("{}", "config", text, true).expect("it is set");
        let read: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(read["config"], text);
    }

    #[test]
    fn what_cannot_be_set_is_refused_without_its_text() {
        let deep = vec!["a"; 40].join(".");
        for (before, path, text) in [
            (r#"{"a":1}"#, "a.b", "SECRET"),
            (r#"{"a":null}"#, "a[0]", "SECRET"),
            ("{}", "a[65537]", "SECRET"),
            ("{}", "a[-1]", "SECRET"),
            ("{}", "a[0]b", "SECRET"),
            ("{}", "a", "x,SECRET"),
            ("{}", "a", "{x,SECRET"),
            ("{}", deep.as_str(), "SECRET"),
        ] {
            let problem = set(before, path, text, false).expect_err(path);
            assert!(!problem.contains("SECRET"), "{problem}");
        }
    }
}
