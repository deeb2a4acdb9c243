//! Placeholders of a transcript: `{UID1}` stands for one value, wherever it is.

use std::collections::HashMap;

use serde_json::Value;

/// What placeholders stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    values: HashMap<String, String>,
}

/// One piece of a text: plain, or the name of a placeholder.
enum Piece<'a> {
    Plain(&'a str),
    Place(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let tail = &rest[at + 1..];
        let end = tail
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit())
            .unwrap_or(tail.len());
        let is_place = end > 0
            && tail[end..].starts_with('}')
            && tail.starts_with(|c: char| c.is_ascii_uppercase());
        let split = if is_place { at } else { at + 1 };
        if split > 0 {
            pieces.push(Piece::Plain(&rest[..split]));
        }
        rest = &rest[split..];
        if is_place {
            pieces.push(Piece::Place(&tail[..end]));
            rest = &tail[end + 1..];
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Plain(rest));
    }
    pieces
}

fn class(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Those that stand for any value, each time anew.
fn is_free(name: &str) -> bool {
    matches!(name, "LISTRV" | "CURRENTRV" | "HASH" | "AGE" | "PROSE")
}

/// How much of a text a placeholder of a class takes.
fn length(class: &str, text: &str) -> usize {
    let while_in = |allowed: fn(char) -> bool| text.find(|c| !allowed(c)).unwrap_or(text.len());
    match class {
        "UID" => 36.min(text.len()),
        "RV" | "LISTRV" | "CURRENTRV" | "PORT" => while_in(|c| c.is_ascii_digit()),
        "RAND" => 5.min(text.len()),
        "TIME" => 20.min(text.len()),
        "IP" => while_in(|c| c.is_ascii_digit() || c == '.'),
        "HASH" | "CONTINUE" => while_in(|c| c.is_ascii_alphanumeric() || "+/=_-".contains(c)),
        "AGE" => while_in(|c| c.is_ascii_alphanumeric() || c == '<' || c == '>'),
        _ => text.len(),
    }
}

impl Bindings {
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.into(), value.into());
    }

    /// The text that a request is sent with; what is not bound yet gets a value that fits.
    pub(crate) fn fill(&mut self, text: &str) -> String {
        let mut filled = String::new();
        for piece in pieces(text) {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Place(name) => {
                    let free = match class(name) {
                        "RAND" => "bcdfg",
                        "IP" => "10.96.7.7",
                        "PORT" => "31777",
                        // An answer before should have had it, and was another one.
                        _ => "0",
                    };
                    if free != "0" && !self.values.contains_key(name) {
                        self.set(name, free);
                    }
                    filled.push_str(self.values.get(name).map_or(free, |value| value));
                }
            }
        }
        filled
    }

    /// The same for JSON, where a port stands for a number.
    pub(crate) fn fill_json(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        while let Some(at) = text.find("\"{PORT") {
            let end = at + 2 + text[at + 1..].find('"').expect("a string ends");
            let number = self.fill(&text[at + 1..end - 1]);
            text.replace_range(at..end, &number);
        }
        self.fill(&text)
    }

    /// Whether a text is as it should be; what is not bound yet becomes bound.
    pub(crate) fn text(&mut self, expected: &str, actual: &str) -> bool {
        let mut rest = actual;
        let mut bound = Vec::new();
        for piece in pieces(expected) {
            let wanted = match piece {
                Piece::Plain(text) => text.to_owned(),
                Piece::Place(name) if is_free(name) || !self.values.contains_key(name) => {
                    let taken = &rest[..floor(rest, length(class(name), rest))];
                    if taken.is_empty() {
                        return false;
                    }
                    if !is_free(name) {
                        // Different versions, uids and times have different names.
                        let distinct = matches!(class(name), "UID" | "RV" | "TIME");
                        let twin = |other: &String| {
                            class(other) == class(name) && self.values[other] == taken
                        };
                        if distinct && self.values.keys().any(twin) {
                            return false;
                        }
                        bound.push((name.to_owned(), taken.to_owned()));
                    }
                    taken.to_owned()
                }
                Piece::Place(name) => self.values[name].clone(),
            };
            match rest.strip_prefix(&*wanted) {
                Some(tail) => rest = tail,
                None => return false,
            }
        }
        if !rest.is_empty() {
            return false;
        }
        self.values.extend(bound);
        true
    }

    /// The first place where a value is not as it should be.
    pub(crate) fn difference(
        &mut self,
        expected: &Value,
        actual: &Value,
        path: &str,
    ) -> Option<String> {
        match (expected, actual) {
            (Value::String(expected), Value::String(_)) if expected == "{PROSE}" => None,
            (Value::String(expected), Value::String(actual)) if self.text(expected, actual) => None,
            (Value::String(expected), Value::Number(actual))
                if expected.starts_with('{') && self.text(expected, &actual.to_string()) =>
            {
                None
            }
            (Value::Object(expected), Value::Object(actual)) => {
                // The identity first, so that it is bound even where the rest differs.
                let mut first = None;
                for (key, value) in expected {
                    let key = self.fill_known(key);
                    let here = format!("{path}.{key}");
                    let found = match actual.get(&key) {
                        Some(actual) => self.difference(value, actual, &here),
                        None => Some(format!("{here}: missing, should be {}", short(value))),
                    };
                    first = first.or(found);
                }
                let known: Vec<_> = expected.keys().map(|key| self.fill_known(key)).collect();
                let more = actual.keys().find(|key| !known.contains(key));
                first.or_else(|| {
                    more.map(|key| format!("{path}.{key}: too much: {}", short(&actual[key])))
                })
            }
            (Value::Array(expected), Value::Array(actual)) => {
                let mut first = None;
                for (at, value) in expected.iter().enumerate() {
                    let here = format!("{path}[{at}]");
                    let found = match actual.get(at) {
                        Some(actual) => self.difference(value, actual, &here),
                        None => Some(format!("{here}: missing, should be {}", short(value))),
                    };
                    first = first.or(found);
                }
                let more = actual.get(expected.len());
                first.or_else(|| {
                    more.map(|more| {
                        format!("{path}[{}]: too much: {}", expected.len(), short(more))
                    })
                })
            }
            (expected, actual) if same(expected, actual) => None,
            (expected, actual) => {
                Some(format!("{path}: is {}, should be {}", short(actual), short(expected)))
            }
        }
    }

    fn fill_known(&self, key: &str) -> String {
        let mut filled = String::new();
        for piece in pieces(key) {
            match piece {
                Piece::Plain(text) => filled.push_str(text),
                Piece::Place(name) => match self.values.get(name) {
                    Some(value) => filled.push_str(value),
                    None => filled.push_str(&format!("{{{name}}}")),
                },
            }
        }
        filled
    }
}

fn same(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::String(_), _) => false,
        (a, b) => a == b,
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(700) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
