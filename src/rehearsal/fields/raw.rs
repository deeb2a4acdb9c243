//! JSON as it was written: double keys are kept, and what is wrong is said in Go's words.
//!
//! Source: Go `encoding/json/scanner.go`, of which the server uses a copy, sigs.k8s.io/json.

use rustc_hash::FxHashSet;
use serde_json::{Map, Number, Value};

/// Deepest nesting that is read. Go allows 10,000 levels, which no object has.
const MAX_DEPTH: usize = 512;

/// A value with the keys of objects in the order of the text, doubles included.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The text of a number.
    Number(String),
    /// Text without its escapes.
    String(String),
    /// `[…]`
    List(Vec<Self>),
    /// `{…}`
    Map(Vec<(String, Self)>),
}

impl Raw {
    /// Reads JSON.
    ///
    /// # Errors
    /// As Go words them, e.g. `unexpected end of JSON input`.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        reader.space();
        let value = reader.value("looking for beginning of value", 0)?;
        reader.space();
        match reader.peek() {
            None => Ok(value),
            Some(_) => Err(reader.unexpected("after top-level value")),
        }
    }

    /// What Go calls the type in `cannot unmarshal …`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// The value under a key; the last where there are several.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => {
                entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The keys that are there twice, as complaints: `duplicate field "metadata.labels.a"`.
    pub fn doubles(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.find_doubles(&mut String::new(), &mut found);
        found
    }

    fn find_doubles(&self, path: &mut String, found: &mut Vec<String>) {
        let length = path.len();
        match self {
            Self::List(list) => {
                for (at, value) in list.iter().enumerate() {
                    path.push_str(&format!("[{at}]"));
                    value.find_doubles(path, found);
                    path.truncate(length);
                }
            }
            Self::Map(entries) => {
                let mut seen = FxHashSet::default();
                for (key, value) in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(key);
                    if !seen.insert(key) {
                        found.push(format!("duplicate field \"{path}\""));
                    }
                    value.find_doubles(path, found);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Plain JSON, the last of double keys.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(text) => number(text),
            Self::String(text) => Value::String(text.clone()),
            Self::List(list) => list.iter().map(Self::to_value).collect(),
            Self::Map(entries) => {
                let entry = |(key, value): &(String, Self)| (key.clone(), value.to_value());
                Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
            }
        }
    }
}

impl From<&Value> for Raw {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.to_string()),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            Value::Object(object) => {
                Self::Map(object.iter().map(|(key, value)| (key.clone(), value.into())).collect())
            }
        }
    }
}

/// A number as Go's decoder for the Kubernetes API takes it where no type says more: an integer if it
/// is written as one and fits, else a float. A float without a fraction is printed without one.
pub(super) fn number(text: &str) -> Value {
    if let Ok(int) = text.parse::<i64>() {
        return int.into();
    }
    float(text.parse().unwrap_or_default())
}

/// A float, as an integer if it is one that is printed in full.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn float(float: f64) -> Value {
    if float.fract() == 0.0 && float.abs() < 1e18 {
        return (float as i64).into();
    }
    Number::from_f64(float).into()
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The complaint about what comes next.
    fn unexpected(&self, context: &str) -> String {
        match self.peek() {
            None => "unexpected end of JSON input".into(),
            Some(byte) => format!("invalid character {} {context}", quoted(byte)),
        }
    }

    fn value(&mut self, context: &str, depth: usize) -> Result<Raw, String> {
        if depth > MAX_DEPTH {
            return Err(match self.peek() {
                Some(byte @ (b'[' | b'{')) => {
                    format!("invalid character {} exceeded max depth", quoted(byte))
                }
                _ => "exceeded max depth".into(),
            });
        }
        match self.peek() {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Raw::String),
            Some(b't') => self.word("true", Raw::Bool(true)),
            Some(b'f') => self.word("false", Raw::Bool(false)),
            Some(b'n') => self.word("null", Raw::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected(context)),
        }
    }

    fn word(&mut self, word: &str, value: Raw) -> Result<Raw, String> {
        for (at, &letter) in word.as_bytes().iter().enumerate() {
            if self.peek() != Some(letter) {
                let expected = quoted(letter);
                debug_assert!(at > 0, "the first letter was seen");
                return Err(self.unexpected(&format!("in literal {word} (expecting {expected})")));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected(context));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Raw, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Raw::Number(String::from_utf8_lossy(&self.text[start..self.at]).into_owned()))
    }

    fn list(&mut self, depth: usize) -> Result<Raw, String> {
        self.at += 1;
        let mut list = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Raw::List(list));
        }
        loop {
            self.space();
            list.push(self.value("looking for beginning of value", depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Raw::List(list));
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Raw, String> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Raw::Map(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("looking for beginning of object key string"));
            }
            let key = self.string()?;
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("after object key"));
            }
            self.at += 1;
            self.space();
            let value = self.value("looking for beginning of value", depth + 1)?;
            entries.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Raw::Map(entries));
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    // What is no UTF-8 becomes the replacement character, as in Go.
                    return Ok(match String::from_utf8(out) {
                        Ok(text) => text,
                        Err(bad) => String::from_utf8_lossy(bad.as_bytes()).into_owned(),
                    });
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(byte) if byte >= 0x20 => {
                    out.push(byte);
                    self.at += 1;
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let c = match self.peek() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(byte @ (b'\\' | b'/' | b'"')) => char::from(byte),
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    /// One character, of two escapes if it needs them; half of one is the replacement character.
    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        if first < 0xdc00 && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16
                + digit.ok_or_else(|| self.unexpected("in \\u hexadecimal character escape"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

/// A byte as Go shows it in quotes.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        0x20..0x7f | 0xa1..=0xac | 0xae.. => format!("'{}'", char::from(byte)),
        0x7f => r"'\x7f'".into(),
        0x80.. => format!("'\\u{byte:04x}'"),
        byte => format!("'\\x{byte:02x}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Raw::read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn complaints_are_those_of_go() {
        assert_eq!(complaint(""), "unexpected end of JSON input");
        assert_eq!(complaint("{\"a\":"), "unexpected end of JSON input");
        assert_eq!(
            complaint("{nonsense"),
            "invalid character 'n' looking for beginning of object key string"
        );
        assert_eq!(complaint("nope"), "invalid character 'o' in literal null (expecting 'u')");
        assert_eq!(complaint("{} x"), "invalid character 'x' after top-level value");
        assert_eq!(complaint("[1 2]"), "invalid character '2' after array element");
        assert_eq!(complaint("\"\u{1}\""), "invalid character '\\x01' in string literal");
        assert_eq!(complaint(&"[".repeat(100_000)), "invalid character '[' exceeded max depth");
    }

    #[test]
    fn double_keys_are_kept_and_the_last_counts() {
        let raw = Raw::read(br#"{"a":1,"b":[true,null],"a":"\ud83d\ude00\ud83d"}"#).unwrap();
        let Raw::Map(entries) = &raw else { panic!("{raw:?}") };
        assert_eq!(entries.len(), 3);
        assert_eq!(raw.doubles(), ["duplicate field \"a\""]);
        assert_eq!(raw.get("a").and_then(Raw::as_str), Some("😀\u{fffd}"));
        assert_eq!(raw.to_value()["b"], serde_json::json!([true, null]));
    }

    #[test]
    fn numbers_without_a_fraction_are_whole() {
        assert_eq!(number("1.0"), 1);
        assert_eq!(number("1e3"), 1000);
        assert_eq!(number("0.5"), 0.5);
        assert_eq!(number("9223372036854775807"), i64::MAX);
    }
}
