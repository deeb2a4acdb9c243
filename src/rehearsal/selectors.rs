//! Label and field selectors of list and watch requests.
//!
//! Source: apimachinery `pkg/labels/selector.go`, `pkg/fields/selector.go`; refusals are measured.

use serde_json::Value;

use crate::rehearsal::{Failure, refusals::bad_request};

/// What an object's labels must be. All requirements must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    Absent,
    Greater,
    Less,
}

impl Labels {
    /// From the text of a `labelSelector` parameter.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        Parser { tokens: tokens(text), at: 0 }.selector().map(Self).map_err(bad_request)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object has these labels.
    pub(super) fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels.get(&self.key).and_then(Value::as_str);
        let listed = |value| self.values.iter().any(|listed| listed == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let limit = self.values.first().and_then(|value| number(value));
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::Greater => value.and_then(number).zip(limit).is_some_and(|(a, b)| a > b),
            Operator::Less => value.and_then(number).zip(limit).is_some_and(|(a, b)| a < b),
        }
    }
}

/// Words and signs of a selector; the signs are `( ) , ! = == != < >`.
fn tokens(text: &str) -> Vec<String> {
    let special = |c: char| matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<');
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '=' | '!' if rest[1..].starts_with('=') => 2,
            first if special(first) => 1,
            _ => rest.find(|c| special(c) || char::is_whitespace(c)).unwrap_or(rest.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
}

impl Parser {
    /// The next token, empty at the end.
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token)
    }

    fn take(&mut self) -> String {
        let token = self.peek().to_owned();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                "" => return Ok(requirements),
                token if is_word(token) || token == "!" => {}
                token => {
                    return Err(format!(
                        "found '{token}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
            let requirement = self.requirement();
            requirements
                .push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
            match &*self.take() {
                "" => return Ok(requirements),
                "," if is_word(self.peek()) || self.peek() == "!" => {}
                "," => {
                    return Err(format!("found '{}', expected: identifier after ','", self.peek()));
                }
                token => return Err(format!("found '{token}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == "!";
        if absent {
            self.take();
        }
        let key = self.take();
        if !is_word(&key) {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let bare = |operator| Requirement { key: key.clone(), operator, values: Vec::new() };
        if absent {
            return Ok(bare(Operator::Absent));
        }
        if matches!(self.peek(), "" | ",") {
            return Ok(bare(Operator::Exists));
        }
        let operator = self.take();
        let (operator, values) = match &*operator {
            "in" => (Operator::In, self.values()?),
            "notin" => (Operator::NotIn, self.values()?),
            "=" | "==" => (Operator::In, vec![self.value()?]),
            "!=" => (Operator::NotIn, vec![self.value()?]),
            ">" => (Operator::Greater, vec![self.value()?]),
            "<" => (Operator::Less, vec![self.value()?]),
            other => {
                return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        if matches!(operator, Operator::Greater | Operator::Less)
            && values[0].parse::<i64>().is_err()
        {
            return Err(format!(
                "values[0][{key}]: Invalid value: {:?}: for 'Gt', 'Lt' operators, the value must \
                 be an integer",
                values[0]
            ));
        }
        Ok(Requirement { key, operator, values })
    }

    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), "" | ",") {
            return Ok(String::new());
        }
        let value = self.take();
        if is_word(&value) {
            Ok(value)
        } else {
            Err(format!("found '{value}', expected: identifier"))
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.take();
        if open != "(" {
            return Err(format!("found '{open}' expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            match &*self.take() {
                ")" => return Ok(values),
                "," => {
                    // An empty place between commas is an empty value.
                    if matches!(self.peek(), "," | ")") {
                        values.push(String::new());
                    }
                }
                word if is_word(word) => values.push(word.to_owned()),
                other => return Err(format!("found '{other}', expected: ',', ')' or identifier")),
            }
        }
    }
}

fn is_word(token: &str) -> bool {
    !matches!(token, "" | "=" | "==" | "!=" | "!" | "(" | ")" | "," | ">" | "<")
}

/// What some fields of an object must be, or must not be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, bool, String)>);

impl Fields {
    /// From the text of a `fieldSelector` parameter.
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        let mut terms = Vec::new();
        for term in split(text) {
            let (at, length, equal) = ["!=", "==", "="]
                .into_iter()
                .filter_map(|sign| Some((term.find(sign)?, sign.len(), sign != "!=")))
                .min_by_key(|(at, length, _)| (*at, 2 - length))
                .ok_or_else(|| {
                    bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"))
                })?;
            let value = unescape(&term[at + length..]);
            terms.push((term[..at].to_owned(), equal, value));
        }
        Ok(Self(terms))
    }

    /// The paths that are asked about, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, ..)| &**path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the fields of an object are as they must be. A field that is not there is empty.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, equal, wanted)| (field(object, path) == *wanted) == *equal)
    }
}

/// A field as field selectors see it.
fn field(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, key| value.get(key));
    match (path, found) {
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(Value::Null) | None) => match path {
            "spec.unschedulable" | "spec.hostNetwork" => "false".into(),
            "status.replicas" | "status.successful" => "0".into(),
            _ => String::new(),
        },
        (_, Some(other)) => other.to_string(),
    }
}

fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.retain(|term| !term.is_empty());
    terms
}

fn unescape(text: &str) -> String {
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        plain.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(selector: &str, labels: &Value) -> bool {
        Labels::read(selector).unwrap().matches(labels)
    }

    #[test]
    fn all_requirements_must_hold() {
        let labels = json!({"app": "web", "tier": "3"});
        for good in ["", "app", "app=web,tier==3", "app in (web,db)", "!gone", "none!=x", "tier>2"]
        {
            assert!(chosen(good, &labels), "{good}");
        }
        for bad in ["app=db", "app,!tier", "app notin (web)", "tier<3", "gone", "app in ()"] {
            assert!(!chosen(bad, &labels), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_as_the_server_says_it() {
        let why = |text| Labels::read(text).unwrap_err().message;
        assert_eq!(why("i in"), "unable to parse requirement: found '' expected: '('");
        assert_eq!(why("=x"), "found '=', expected: !, identifier, or 'end of string'");
        assert_eq!(why("a,"), "found '', expected: identifier after ','");
        assert_eq!(
            why("a b"),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"
        );
    }

    #[test]
    fn fields_are_compared_as_text() {
        let object = json!({"metadata": {"name": "a,b"}, "spec": {"replicas": 1}});
        let fields = |text| Fields::read(text).unwrap();
        assert!(fields(r"metadata.name=a\,b,spec.replicas==1").matches(&object));
        assert!(!fields("metadata.name!=a,spec.replicas!=1").matches(&object));
        assert!(Fields::read("nonsense").unwrap_err().message.contains("can't understand"));
    }
}
