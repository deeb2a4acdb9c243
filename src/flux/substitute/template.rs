//! Text with `${variables}` in it: what Flux's dialect of the shell's parameter expansion accepts, and
//! what it makes of it.
//!
//! The dialect is not the shell's. A value that is set but empty takes the default whatever the operator
//! (`=`, `:=`, `:-`, `:+` and `:?` are one and the same), `${v-d}` is an error, lengths count bytes, `/`
//! replaces literal text and no pattern, and `$$` stands for `$` anywhere outside of an expression.
//!
//! Source: fluxcd/pkg `envsubst` 1.7 (`parse/scan.go`, `parse/parse.go`, `template.go`, `funcs.go`), and
//! what it was seen to do.

use std::fmt;

use super::glob;

/// How deep expressions may stand in one another, as defaults of defaults.
const DEPTH: usize = 100;

/// A text that was taken apart.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Clone, Debug)]
enum Part<'a> {
    /// Text that stands for itself.
    Text(&'a str),
    /// The same with escapes taken out.
    Unescaped(String),
    /// A variable with what is done to it.
    Call(Box<Call<'a>>),
}

#[derive(Clone, Debug)]
struct Call<'a> {
    variable: &'a str,
    /// Empty for the variable alone.
    operator: &'a str,
    arguments: Vec<Part<'a>>,
    /// Where its `${` begins, in bytes.
    at: usize,
}

/// Why a text cannot be expanded, and where in it the expression begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// In bytes from the beginning of the text.
    pub at: usize,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Something else stands where the expression should end or an operator should be.
    Malformed,
    /// No `}` after the name.
    Unclosed,
    /// No name after `${`.
    Nameless,
    /// An operator without its operand.
    NoOperand,
    /// A colon without an operator.
    NoOperator,
    /// A variable that nobody has given a value, where that is forbidden.
    Unset(String),
    /// Expressions in expressions in expressions.
    TooDeep,
    /// The result would exceed its limit.
    TooLarge,
    /// A pattern that takes too long to match.
    TooSlow,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("bad substitution"),
            Self::Unclosed => f.write_str("missing closing brace"),
            Self::Nameless => f.write_str("unable to parse variable name"),
            Self::NoOperand => f.write_str("unable to parse substitution within function"),
            Self::NoOperator => f.write_str("unable to parse default function"),
            Self::Unset(name) => write!(f, "variable not set (strict mode): \"{name}\""),
            Self::TooDeep => write!(f, "more than {DEPTH} expressions stand in one another"),
            Self::TooLarge => f.write_str("the result is too large"),
            Self::TooSlow => f.write_str("the pattern takes too long to match"),
        }
    }
}

type Parsed<T> = Result<T, Failure>;

impl<'a> Template<'a> {
    /// Takes `text` apart. What follows a NUL is not part of it.
    ///
    /// # Errors
    /// Where an expression is malformed.
    pub fn parse(text: &'a str) -> Parsed<Self> {
        let text = text.split('\0').next().unwrap_or_default();
        let mut scanner = Scanner { text, at: 0 };
        let mut parts = Vec::new();
        while !scanner.rest().is_empty() {
            parts.push(if scanner.begins() {
                scanner.call(0)?
            } else {
                scanner.text_until(|_| false, Escapes::Dollar)
            });
        }
        Ok(Self { parts })
    }

    /// Whether there is no expression and no escape in the text.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The text with every expression replaced; `value` tells what a variable stands for.
    ///
    /// A value is never looked at for expressions. Of a variable without a value, only operators that
    /// bring a default of their own make something.
    ///
    /// # Errors
    /// Where a variable has no value, or the result exceeds `limit` bytes.
    pub fn expand<'v>(
        &self,
        value: &dyn Fn(&str) -> Option<&'v [u8]>,
        limit: usize,
    ) -> Parsed<Vec<u8>> {
        let mut work = Work { value, limit, steps: glob::STEPS };
        let mut out = Vec::new();
        for part in &self.parts {
            work.part(part, &mut out)?;
        }
        Ok(out)
    }
}

/// Which characters lose a sign before them that keeps them from being read otherwise.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Escapes {
    /// None.
    No,
    /// `$$`.
    Dollar,
    /// `$$`, `\/` and `\\`.
    All,
}

impl Escapes {
    fn at(self, rest: &str) -> bool {
        match self {
            Self::No => false,
            Self::Dollar => rest.starts_with("$$"),
            Self::All => ["$$", "\\/", "\\\\"].iter().any(|escape| rest.starts_with(escape)),
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn begins(&self) -> bool {
        self.rest().starts_with("${")
    }

    /// Takes `token`, where it comes next.
    fn take(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    /// Takes all characters of a kind, which may be none.
    fn take_while(&mut self, is_kind: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !is_kind(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// The text up to the next expression or a character that `ends` it.
    fn text_until(&mut self, ends: impl Fn(char) -> bool, escapes: Escapes) -> Part<'a> {
        let start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = self.rest();
            // An escaped sign is never the end of the text, nor the beginning of an expression. Only the
            // first of three dollars before a brace escapes: the third one begins an expression.
            if !self.begins() && escapes.at(rest) {
                let text = unescaped.get_or_insert_with(|| self.text[start..self.at].to_owned());
                text.push_str(&rest[1..2]);
                self.at += 2;
                continue;
            }
            match rest.chars().next() {
                Some(c) if !self.begins() && !ends(c) => {
                    if let Some(text) = &mut unescaped {
                        text.push(c);
                    }
                    self.at += c.len_utf8();
                }
                _ => break,
            }
        }
        match unescaped {
            Some(text) => Part::Unescaped(text),
            None => Part::Text(&self.text[start..self.at]),
        }
    }

    /// An expression, whose `${` comes next.
    fn call(&mut self, depth: usize) -> Parsed<Part<'a>> {
        let at = self.at;
        let fail = |reason| Failure { at, reason };
        if depth == DEPTH {
            return Err(fail(Reason::TooDeep));
        }
        self.at += 2;
        if self.take("#") {
            let variable = self.take_while(is_name);
            if variable.is_empty() || !self.take("}") {
                return Err(fail(Reason::Malformed));
            }
            let call = Call { variable, operator: "#", arguments: Vec::new(), at };
            return Ok(Part::Call(Box::new(call)));
        }
        let variable = self.take_while(is_name);
        if variable.is_empty() {
            return Err(fail(Reason::Nameless));
        }
        let mut call = Call { variable, operator: "", arguments: Vec::new(), at };
        match self.rest().bytes().next() {
            Some(b':') => self.default_or_substring(&mut call, depth)?,
            Some(b'=') => self.default(&mut call, 1, depth)?,
            Some(b',' | b'^') => self.case(&mut call)?,
            Some(b'/') => self.replacement(&mut call, depth)?,
            Some(sign @ (b'#' | b'%')) => self.trimmed(&mut call, char::from(sign), depth)?,
            Some(b'}') => self.at += 1,
            _ => return Err(fail(Reason::Unclosed)),
        }
        Ok(Part::Call(Box::new(call)))
    }

    /// Takes the next `length` bytes for the operator.
    fn operator(&mut self, call: &mut Call<'a>, length: usize) {
        call.operator = &self.rest()[..length];
        self.at += length;
    }

    fn close(&mut self, call: &Call<'a>) -> Parsed<()> {
        if self.take("}") { Ok(()) } else { Err(call.fail(Reason::Malformed)) }
    }

    /// An operand: an expression or text, and not nothing.
    fn operand(
        &mut self,
        call: &mut Call<'a>,
        depth: usize,
        ends: impl Fn(char) -> bool,
        escapes: Escapes,
    ) -> Parsed<()> {
        let operand = if self.begins() {
            self.call(depth + 1)?
        } else {
            let before = self.at;
            let text = self.text_until(ends, escapes);
            if self.at == before {
                return Err(call.fail(Reason::NoOperand));
            }
            text
        };
        call.arguments.push(operand);
        Ok(())
    }

    fn default_or_substring(&mut self, call: &mut Call<'a>, depth: usize) -> Parsed<()> {
        match self.rest()[1..].chars().next() {
            Some('=' | '-' | '?' | '+') => self.default(call, 2, depth),
            // Upstream goes back by the width of the character that it looked at.
            Some(c) if c.is_ascii() => self.substring(call, depth),
            _ => Err(call.fail(Reason::Malformed)),
        }
    }

    /// `${v=d}`, `${v:-d}` …: everything up to the first brace that closes nothing else.
    fn default(&mut self, call: &mut Call<'a>, length: usize, depth: usize) -> Parsed<()> {
        self.operator(call, length);
        while !self.take("}") {
            self.operand(call, depth, |c| c == '}', Escapes::No)?;
        }
        Ok(())
    }

    /// `${v:offset}`, `${v:offset:length}`
    fn substring(&mut self, call: &mut Call<'a>, depth: usize) -> Parsed<()> {
        self.operator(call, 1);
        self.operand(call, depth, |c| matches!(c, ':' | '}'), Escapes::No)?;
        if self.take("}") {
            return Ok(());
        }
        if self.take_while(|c| c == ':').is_empty() {
            return Err(call.fail(Reason::Malformed));
        }
        self.operand(call, depth, |c| c == '}', Escapes::No)?;
        self.close(call)
    }

    /// `${v#p}`, `${v##p}`, `${v%p}`, `${v%%p}`
    fn trimmed(&mut self, call: &mut Call<'a>, sign: char, depth: usize) -> Parsed<()> {
        let is_double = self.rest()[1..].starts_with(sign);
        self.operator(call, 1 + usize::from(is_double));
        self.operand(call, depth, |c| c == '}', Escapes::No)?;
        self.close(call)
    }

    /// `${v/p/r}`, `${v//p/r}`, `${v/#p/r}`, `${v/%p/r}`
    fn replacement(&mut self, call: &mut Call<'a>, depth: usize) -> Parsed<()> {
        let is_double = self.rest()[1..].starts_with(['/', '#', '%']);
        self.operator(call, 1 + usize::from(is_double));
        self.operand(call, depth, |c| c == '/', Escapes::All)?;
        if self.take_while(|c| c == '/').is_empty() {
            return Err(call.fail(Reason::Malformed));
        }
        if self.take("}") {
            return Ok(());
        }
        self.operand(call, depth, |c| c == '}', Escapes::All)?;
        self.close(call)
    }

    /// `${v^}`, `${v^^}`, `${v,}`, `${v,,}`
    fn case(&mut self, call: &mut Call<'a>) -> Parsed<()> {
        let is_double = self.rest()[1..].starts_with([',', '^']);
        self.operator(call, 1 + usize::from(is_double));
        self.close(call)
    }
}

fn is_name(c: char) -> bool {
    // Upstream asks for Unicode's letters and decimal digits; the rules for names of variables are narrower.
    c.is_alphabetic() || c.is_numeric() || c == '_'
}

impl Call<'_> {
    fn fail(&self, reason: Reason) -> Failure {
        Failure { at: self.at, reason }
    }

    /// Whether the expression has something to say about a variable without a value.
    fn has_default(&self) -> bool {
        matches!(self.operator, "=" | ":-" | ":+" | ":=" | ":?")
    }
}

struct Work<'w, 'v> {
    value: &'w dyn Fn(&str) -> Option<&'v [u8]>,
    limit: usize,
    /// What is left for matching patterns.
    steps: u64,
}

impl Work<'_, '_> {
    fn part(&mut self, part: &Part<'_>, out: &mut Vec<u8>) -> Parsed<()> {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Unescaped(text) => out.extend_from_slice(text.as_bytes()),
            Part::Call(call) => {
                let made = self.call(call)?;
                if out.len() + made.len() > self.limit {
                    return Err(call.fail(Reason::TooLarge));
                }
                out.extend_from_slice(&made);
            }
        }
        Ok(())
    }

    fn call(&mut self, call: &Call<'_>) -> Parsed<Vec<u8>> {
        // All operands come first: one of them that is not set is an error, even where it is not used.
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let mut text = Vec::new();
            self.part(argument, &mut text)?;
            arguments.push(text);
        }
        let value = match (self.value)(call.variable) {
            Some(value) => value,
            None if call.has_default() => &[],
            None => return Err(call.fail(Reason::Unset(call.variable.to_owned()))),
        };
        self.apply(call, value, &arguments)
    }

    fn apply(&mut self, call: &Call<'_>, value: &[u8], operands: &[Vec<u8>]) -> Parsed<Vec<u8>> {
        let slow = |trimmed: Option<Vec<u8>>| trimmed.ok_or_else(|| call.fail(Reason::TooSlow));
        Ok(match (call.operator, operands) {
            ("#", []) => value.len().to_string().into_bytes(),
            ("^", _) => first(value, upper),
            ("^^", _) => all(value, upper),
            (",", _) => first(value, lower),
            (",,", _) => all(value, lower),
            (":", operands) => substring(value, operands),
            ("#", [pattern, ..]) => slow(glob::trim(value, pattern, false, &mut self.steps))?,
            ("##", [pattern, ..]) => slow(glob::trim(value, pattern, true, &mut self.steps))?,
            ("%", [pattern, ..]) => slow(glob::trim_end(value, pattern, false, &mut self.steps))?,
            ("%%", [pattern, ..]) => slow(glob::trim_end(value, pattern, true, &mut self.steps))?,
            ("/", [old, new @ ..]) => self.replace(call, value, old, new, 1)?,
            ("//", [old, new @ ..]) => self.replace(call, value, old, new, usize::MAX)?,
            ("/#", [old, new]) if value.starts_with(old) => {
                self.replace(call, value, old, std::slice::from_ref(new), 1)?
            }
            ("/%", [old, new]) if value.ends_with(old) => {
                [&value[..value.len() - old.len()], new.as_slice()].concat()
            }
            ("=" | ":-" | ":+" | ":=" | ":?", operands) if value.is_empty() => operands.concat(),
            _ => value.to_vec(),
        })
    }

    /// Literal text by literal text; empty text is found before each character and at the end.
    fn replace(
        &self,
        call: &Call<'_>,
        value: &[u8],
        old: &[u8],
        new: &[Vec<u8>],
        most: usize,
    ) -> Parsed<Vec<u8>> {
        let new = new.first().map_or(&[][..], Vec::as_slice);
        let mut out = Vec::with_capacity(value.len());
        let (mut rest, mut done) = (value, 0);
        while done < most {
            // An operand may come out empty: `${v//${w}/x}`.
            let Some(at) = (if old.is_empty() { Some(0) } else { memchr::memmem::find(rest, old) })
            else {
                break;
            };
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(new);
            if out.len() > self.limit {
                return Err(call.fail(Reason::TooLarge));
            }
            rest = &rest[at + old.len()..];
            done += 1;
            if old.is_empty() {
                if rest.is_empty() {
                    break;
                }
                let width = glob::width(rest);
                if done < most {
                    out.extend_from_slice(&rest[..width]);
                    rest = &rest[width..];
                }
            }
        }
        out.extend_from_slice(rest);
        Ok(out)
    }
}

/// Offsets and lengths are bytes; negative ones count from the end. What is no number leaves the value whole.
fn substring(value: &[u8], operands: &[Vec<u8>]) -> Vec<u8> {
    let number = |operand: &Vec<u8>| {
        std::str::from_utf8(operand).ok().and_then(|text| text.parse::<i64>().ok())
    };
    let size = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let Some(start) = operands.first().and_then(number) else { return value.to_vec() };
    let start = if start < 0 { (size.saturating_add(start)).max(0) } else { start };
    let end = match operands.get(1) {
        None => size,
        Some(operand) => match number(operand) {
            None => return value.to_vec(),
            Some(length) if length < 0 => size.saturating_add(length),
            Some(length) => start.saturating_add(length),
        },
    };
    let at = |position: i64| usize::try_from(position.clamp(0, size)).unwrap_or(value.len());
    value.get(at(start)..at(end)).unwrap_or_default().to_vec()
}

fn all(value: &[u8], change: fn(char) -> char) -> Vec<u8> {
    String::from_utf8_lossy(value).chars().map(change).collect::<String>().into_bytes()
}

fn first(value: &[u8], change: fn(char) -> char) -> Vec<u8> {
    let width = glob::width(value);
    let mut out = all(&value[..width], change);
    out.extend_from_slice(&value[width..]);
    out
}

/// Unicode's simple mapping: one character for one.
fn upper(c: char) -> char {
    let shifted = |by: u32| char::from_u32(u32::from(c) + by).unwrap_or(c);
    match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => shifted(8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shifted(9),
        _ => single(c.to_uppercase(), c),
    }
}

fn lower(c: char) -> char {
    match c {
        '\u{130}' => 'i',
        _ => single(c.to_lowercase(), c),
    }
}

fn single(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, variables: &[(&str, &str)]) -> Result<String, String> {
        let value = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
        };
        let template = Template::parse(text).map_err(|failure| failure.reason.to_string())?;
        let out = template.expand(&value, 1 << 20).map_err(|failure| failure.reason.to_string())?;
        Ok(String::from_utf8(out).expect("the inputs are cut between characters"))
    }

    #[test]
    fn a_value_is_never_expanded_again() {
        assert_eq!(expand("${a}", &[("a", "${b}"), ("b", "x")]), Ok("${b}".into()));
        assert_eq!(expand("${x:=${a}}", &[("a", "$${b}")]), Ok("$${b}".into()));
    }

    #[test]
    fn negative_lengths_count_from_the_end() {
        let cases = [
            ("${v:2:-1}", "llo worl"),
            ("${v:0:-3}", "hello wo"),
            ("${v:8:-8}", ""),
            ("${v:${n}:-1}", "orl"),
        ];
        for (text, wanted) in cases {
            assert_eq!(
                expand(text, &[("v", "hello world"), ("n", "-4")]),
                Ok(wanted.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn offsets_beyond_any_number_leave_the_value() {
        assert_eq!(expand("${v:99999999999999999999}", &[("v", "a")]), Ok("a".into()));
        let text = "${v:9223372036854775807:9223372036854775807}";
        assert_eq!(expand(text, &[("v", "a")]), Ok(String::new()));
    }

    #[test]
    fn the_result_is_bounded() {
        let value = "x".repeat(1 << 10);
        let text = "${v}".repeat(1 << 11);
        assert_eq!(expand(&text, &[("v", &value)]), Err("the result is too large".into()));
        let text = "${v//x/xxxxxxxxxxxxxxxx}".to_owned();
        let value = "x".repeat(1 << 17);
        assert_eq!(expand(&text, &[("v", &value)]), Err("the result is too large".into()));
    }

    #[test]
    fn the_depth_is_bounded() {
        let text = format!("{}{}", "${a:=".repeat(100_000), "}".repeat(100_000));
        assert_eq!(
            expand(&text, &[]),
            Err("more than 100 expressions stand in one another".into())
        );
    }

    #[test]
    fn a_slow_pattern_is_an_error() {
        let (value, pattern) = ("a".repeat(1 << 16), "*a".repeat(1 << 10));
        let text = format!("${{v#{pattern}b}}");
        assert_eq!(
            expand(&text, &[("v", &value)]),
            Err("the pattern takes too long to match".into())
        );
    }

    #[test]
    fn replacing_nothing_puts_the_text_between_all_characters() {
        assert_eq!(expand("${v//${e}/-}", &[("v", "aé"), ("e", "")]), Ok("-a-é-".into()));
        assert_eq!(expand("${v/${e}/-}", &[("v", "aé"), ("e", "")]), Ok("-aé".into()));
    }

    #[test]
    fn a_prefix_without_a_replacement_stays() {
        assert_eq!(expand("${v/#a/}", &[("v", "ab")]), Ok("ab".into()));
        assert_eq!(expand("${v/a/}", &[("v", "ab")]), Ok("b".into()));
    }

    #[test]
    fn letters_keep_their_count_when_their_case_changes() {
        assert_eq!(expand("${v^^}", &[("v", "straße")]), Ok("STRAßE".into()));
    }
}
