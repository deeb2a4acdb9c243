//! Regular expressions as Go reads them.
//!
//! Kustomize's selectors, image names and list elements are patterns of Go's `regexp`. The `regex`
//! crate has the same engine but another syntax at the edges: its `\d` knows Unicode, `[a&&b]`
//! intersects, `\<` is a word boundary, `{` must close. A pattern is rewritten before it is compiled.
//!
//! Source: <https://pkg.go.dev/regexp/syntax>.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use crate::error::ErrorKind;

/// Most repetitions that a counted repetition may ask for. Source: Go `regexp/syntax`.
const MOST_REPETITIONS: u32 = 1000;

/// The classes that may stand in `[[:name:]]`.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Compiles a pattern of Go's syntax to at most `size_bytes`.
///
/// # Errors
/// Where Go refuses the pattern, or it is larger than `size_bytes`; the text says why.
pub fn compile(pattern: &str, size_bytes: usize) -> Result<Regex, String> {
    let rewritten = Rewriter::new(pattern).run()?;
    let built = RegexBuilder::new(&rewritten).size_limit(size_bytes).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => TOO_LARGE.to_owned(),
        error => last_line(&error.to_string()),
    })
}

/// Why a pattern that exceeds its limit is refused.
const TOO_LARGE: &str = "the expression is too large";

/// The kind of error of which `why` is the message or the end of it, as [`compile`] gave it.
#[must_use]
pub fn kind(why: &str) -> ErrorKind {
    if why.ends_with(TOO_LARGE) { ErrorKind::Limit } else { ErrorKind::Invalid }
}

/// The crate's messages draw the pattern over several lines; the last one says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().next_back().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// One pass over a pattern.
struct Rewriter<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Whether the last thing was a repetition, which Go does not let be repeated.
    repeated: bool,
}

impl<'a> Rewriter<'a> {
    fn new(pattern: &'a str) -> Self {
        let out = String::with_capacity(pattern.len() + 8);
        Self { rest: pattern.chars().peekable(), out, repeated: false }
    }

    fn run(mut self) -> Result<String, String> {
        while let Some(c) = self.rest.next() {
            match c {
                '*' | '+' | '?' => self.repeat(c.into())?,
                '{' => self.counted()?,
                '[' => self.class()?,
                '\\' => self.escape()?,
                '(' => self.group()?,
                '.' | '^' | '$' | '|' | ')' => self.push(&c.to_string()),
                _ => self.literal(c),
            }
        }
        Ok(self.out)
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.repeated = false;
    }

    fn literal(&mut self, c: char) {
        let mut buffer = [0; 4];
        let escaped = regex::escape(c.encode_utf8(&mut buffer));
        self.push(&escaped);
    }

    fn repeat(&mut self, operator: String) -> Result<(), String> {
        if self.repeated {
            return Err(format!("`{operator}` repeats a repetition"));
        }
        self.out.push_str(&operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}`; anything else after a brace is text.
    fn counted(&mut self) -> Result<(), String> {
        let inside: String = self.rest.clone().take_while(|&c| c != '}').collect();
        let closed = self.rest.clone().nth(inside.chars().count()).is_some();
        let Some((least, most)) = bounds(&inside).filter(|_| closed) else {
            self.literal('{');
            return Ok(());
        };
        if least > MOST_REPETITIONS || most.is_some_and(|m| m > MOST_REPETITIONS || m < least) {
            return Err(format!("invalid repeat count `{{{inside}}}`"));
        }
        self.rest.nth(inside.chars().count());
        self.repeat(format!("{{{inside}}}"))
    }

    /// An opening parenthesis with the flags and names that Go knows.
    fn group(&mut self) -> Result<(), String> {
        self.push("(");
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        while let Some(c) = self.rest.next() {
            match c {
                'P' | '<' => return self.group_name(c),
                'i' | 'm' | 's' | 'U' | '-' => self.out.push(c),
                ':' | ')' => {
                    self.out.push(c);
                    return Ok(());
                }
                _ => break,
            }
        }
        Err("invalid or unsupported group syntax after `(?`".to_owned())
    }

    fn group_name(&mut self, first: char) -> Result<(), String> {
        if first == 'P' && self.rest.next_if_eq(&'<').is_none() {
            return Err("invalid named group".to_owned());
        }
        self.out.push_str("P<");
        for c in self.rest.by_ref() {
            self.out.push(c);
            if c == '>' {
                return Ok(());
            }
        }
        Err("invalid named group".to_owned())
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.rest.peek().copied() {
            Some('Q') => {
                self.rest.next();
                self.quoted();
            }
            Some(c @ ('A' | 'z' | 'B')) => {
                self.rest.next();
                self.push(&format!("\\{c}"));
            }
            Some('b') => {
                self.rest.next();
                self.push(r"(?-u:\b)");
            }
            _ => {
                let item = self.escaped_item()?;
                match item {
                    Item::Char(c) => self.literal(c),
                    Item::Class(class) => self.push(&class),
                }
            }
        }
        Ok(())
    }

    /// `\Q…\E`: text as it stands.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(c);
        }
    }

    /// What follows a backslash, where it may stand inside brackets too.
    fn escaped_item(&mut self) -> Result<Item, String> {
        let c = self.rest.next().ok_or("trailing backslash at the end of the expression")?;
        Ok(match c {
            'd' => Item::Class("[0-9]".into()),
            'D' => Item::Class("[^0-9]".into()),
            's' => Item::Class(r"[\t\n\f\r ]".into()),
            'S' => Item::Class(r"[^\t\n\f\r ]".into()),
            'w' => Item::Class("[0-9A-Za-z_]".into()),
            'W' => Item::Class("[^0-9A-Za-z_]".into()),
            'p' | 'P' => Item::Class(self.unicode_class(c)?),
            'a' => Item::Char('\x07'),
            'f' => Item::Char('\x0C'),
            't' => Item::Char('\t'),
            'n' => Item::Char('\n'),
            'r' => Item::Char('\r'),
            'v' => Item::Char('\x0B'),
            'x' => Item::Char(self.hexadecimal()?),
            '0'..='7' => Item::Char(self.octal(c)?),
            c if c.is_ascii_punctuation() => Item::Char(c),
            c => return Err(format!("invalid escape sequence `\\{c}`")),
        })
    }

    fn unicode_class(&mut self, sign: char) -> Result<String, String> {
        let first = self.rest.next().ok_or("invalid character class range")?;
        if first != '{' {
            return Ok(format!("\\{sign}{first}"));
        }
        let name: String = self.rest.by_ref().take_while(|&c| c != '}').collect();
        let Some(negated) = name.strip_prefix('^') else {
            return Ok(format!("\\{sign}{{{name}}}"));
        };
        let sign = if sign == 'p' { 'P' } else { 'p' };
        Ok(format!("\\{sign}{{{negated}}}"))
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits: String = if self.rest.next_if_eq(&'{').is_some() {
            self.rest.by_ref().take_while(|&c| c != '}').collect()
        } else {
            self.rest.by_ref().take(2).collect()
        };
        let is_plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| is_plain);
        let c = code.and_then(char::from_u32);
        c.ok_or_else(|| format!("invalid escape sequence `\\x{digits}`"))
    }

    /// `\123`; one digit alone would be a reference to a group, which Go does not have.
    fn octal(&mut self, first: char) -> Result<char, String> {
        let mut code = first.to_digit(8).unwrap_or_default();
        let mut digits = 1;
        while digits < 3 {
            let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)) else { break };
            self.rest.next();
            code = code * 8 + digit;
            digits += 1;
        }
        if first != '0' && digits == 1 {
            return Err(format!("invalid escape sequence `\\{first}`"));
        }
        char::from_u32(code).ok_or_else(|| "invalid escape sequence".to_owned())
    }

    /// A class in brackets, every character of it written as its code.
    fn class(&mut self) -> Result<(), String> {
        let mut class = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            class.push('^');
        }
        let mut is_first = true;
        loop {
            match self.rest.peek() {
                None => return Err("missing closing `]`".to_owned()),
                Some(']') if !is_first => break,
                Some(_) => {}
            }
            self.class_item(&mut class)?;
            is_first = false;
        }
        self.rest.next();
        class.push(']');
        self.push(&class);
        Ok(())
    }

    fn class_item(&mut self, class: &mut String) -> Result<(), String> {
        if let Some(name) = self.named_class()? {
            class.push_str(&name);
            return Ok(());
        }
        let low = match self.class_char()? {
            Item::Class(inner) => {
                class.push_str(&inner);
                return Ok(());
            }
            Item::Char(c) => c,
        };
        let mut ahead = self.rest.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
        if !is_range {
            push_code(class, low);
            return Ok(());
        }
        self.rest.next();
        let Item::Char(high) = self.class_char()? else {
            return Err("invalid character class range".to_owned());
        };
        if high < low {
            return Err(format!("invalid character class range `{low}-{high}`"));
        }
        push_code(class, low);
        class.push('-');
        push_code(class, high);
        Ok(())
    }

    fn class_char(&mut self) -> Result<Item, String> {
        match self.rest.next() {
            Some('\\') => self.escaped_item(),
            Some(c) => Ok(Item::Char(c)),
            None => Err("missing closing `]`".to_owned()),
        }
    }

    /// `[:alpha:]` or `[:^alpha:]`.
    fn named_class(&mut self) -> Result<Option<String>, String> {
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('[') || ahead.next() != Some(':') {
            return Ok(None);
        }
        let text: String = ahead.collect();
        let Some((name, _)) = text.split_once(":]") else { return Ok(None) };
        if !NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("invalid character class `[:{name}:]`"));
        }
        self.rest.nth(name.chars().count() + 3);
        Ok(Some(format!("[:{name}:]")))
    }
}

/// One thing of a pattern that may stand inside brackets.
enum Item {
    Char(char),
    Class(String),
}

fn push_code(class: &mut String, c: char) {
    // Writing to a string cannot fail.
    let _ = write!(class, "\\x{{{:X}}}", u32::from(c));
}

/// The numbers of a counted repetition; `None` where it is none.
fn bounds(inside: &str) -> Option<(u32, Option<u32>)> {
    match inside.split_once(',') {
        None => number(inside).map(|n| (n, Some(n))),
        Some((least, "")) => number(least).map(|n| (n, None)),
        Some((least, most)) => Some((number(least)?, Some(number(most)?))),
    }
}

/// A count without leading zeros; what is too long for a number is too large in any case.
fn number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some(digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let anchored = format!("^(?:{pattern})$");
        compile(&anchored, 1 << 20).expect("a pattern that Go takes").is_match(text)
    }

    fn refusal(pattern: &str) -> String {
        compile(pattern, 1 << 20).expect_err("a pattern that Go refuses")
    }

    #[test]
    fn classes_are_ascii() {
        assert!(matches(r"\d+\w\s", "12_ "));
        assert!(!matches(r"\d", "٣"));
        assert!(!matches(r"\w", "é"));
        assert!(matches(r"[\d.]+", "1.2"));
        assert!(matches(r"[[:alpha:]]+[^[:digit:]]", "abc-"));
        assert!(matches(r"\p{Greek}\P{^Greek}\pL", "αβx"));
    }

    #[test]
    fn characters_that_mean_more_elsewhere_are_text() {
        assert!(matches("[a&&b]+", "a&b"));
        assert!(matches("[[a]", "["));
        assert!(matches("[]a]+", "]a"));
        assert!(matches("[a-]+", "-a"));
        assert!(matches(r"\<a\>", "<a>"));
        assert!(matches("a{x", "a{x"));
        assert!(matches("a{,2}", "a{,2}"));
        assert!(matches(r"\Qa.b\E.", "a.bc"));
        assert!(matches(r"\x41\x{42}\103", "ABC"));
        assert!(matches("a b#c", "a b#c"));
    }

    #[test]
    fn counted_repetitions_are_bounded() {
        assert!(matches("a{2,3}b{2}c{1,}", "aabbc"));
        assert_eq!(refusal("a{1001}"), "invalid repeat count `{1001}`");
        assert_eq!(refusal("a{3,2}"), "invalid repeat count `{3,2}`");
        assert_eq!(refusal("a**"), "`*` repeats a repetition");
    }

    #[test]
    fn refuses_what_go_refuses() {
        for pattern in ["(", "*a", "[a", "[b-a]", r"\1", r"\y", r"a\", "(?x)a", "(?=a)", r"\pX"] {
            assert!(compile(pattern, 1 << 20).is_err(), "{pattern}");
        }
    }

    #[test]
    fn size_is_bounded() {
        assert_eq!(refusal("((a{100}){100}){100}"), "the expression is too large");
    }
}
