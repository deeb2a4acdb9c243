//! Reads expressions.
//!
//! The grammar is that of the language definition; macros are expanded where they are read. Depth
//! is bounded as in cel-go, so that walking an expression needs bounded stack. Messages are those of
//! cel-go for the faults that people make. Source: <https://github.com/google/cel-spec>,
//! cel-go `parser/{parser,macro}.go`.

use super::value::Value;

/// How deep an expression may nest, and how many operators may stand in a row.
const MOST_DEPTH: u16 = 120;

/// What an expression consists of.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) node: Node,
    /// The character at which errors point.
    pub(super) at: usize,
    depth: u16,
}

impl Expr {
    /// Whether it is a name, or what is selected from one.
    pub(super) fn is_selection(&self) -> bool {
        match &self.node {
            Node::Name(_) => true,
            Node::Select(operand, _, false) | Node::Index(operand, _, false) => {
                operand.is_selection()
            }
            _ => false,
        }
    }

    /// Whether a variable is named here or below.
    pub(super) fn names(&self, variable: &str) -> bool {
        let is = |expr: &Self| expr.names(variable);
        match &self.node {
            Node::Literal(_) => false,
            Node::Name(name) => name == variable,
            Node::Select(operand, ..) | Node::Has(operand, _) => is(operand),
            Node::Not(operand) | Node::Negate(operand) => is(operand),
            Node::Index(a, b, _) | Node::Binary(_, a, b) | Node::Bind(_, a, b) => is(a) || is(b),
            Node::Optional(a, _, b, _) => is(a) || is(b),
            Node::Call(_, target, arguments) => {
                target.as_deref().is_some_and(is) || arguments.iter().any(is)
            }
            Node::List(elements) => elements.iter().any(|(element, _)| is(element)),
            Node::Map(entries) => entries.iter().any(|(key, value, _)| is(key) || is(value)),
            Node::And(parts) | Node::Or(parts) => parts.iter().any(is),
            Node::If(a, b, c) => is(a) || is(b) || is(c),
            Node::Loop(found) => {
                is(&found.range) || found.condition.as_ref().is_some_and(is) || is(&found.body)
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Name(String),
    /// A field of an object; with `?`, an optional.
    Select(Box<Expr>, String, bool),
    /// `has(a.b)`.
    Has(Box<Expr>, String),
    /// An element; with `?`, an optional.
    Index(Box<Expr>, Box<Expr>, bool),
    /// A function, on a value or alone.
    Call(String, Option<Box<Expr>>, Vec<Expr>),
    /// Elements; with `?`, only where they have a value.
    List(Vec<(Expr, bool)>),
    /// Keys and values; with `?`, only where they have a value.
    Map(Vec<(Expr, Expr, bool)>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A loop over the elements of a list or the keys of a map.
    Loop(Box<Loop>),
    /// `cel.bind(name, value, body)`.
    Bind(String, Box<Expr>, Box<Expr>),
    /// `a.optMap(name, body)`; `optFlatMap` where the body is an optional itself.
    Optional(Box<Expr>, String, Box<Expr>, bool),
}

/// A macro that loops.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) range: Expr,
    /// The element, or the index or key where there is a second name.
    pub(super) name: String,
    /// The value beside the index or key.
    pub(super) second: Option<String>,
    /// Which elements count, where `map` and its likes have a condition.
    pub(super) condition: Option<Expr>,
    pub(super) body: Expr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
    TransformMap,
    TransformMapEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    /// The name of its function, as errors say it.
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::Equal => "_==_",
            Self::Unequal => "_!=_",
            Self::Less => "_<_",
            Self::LessEqual => "_<=_",
            Self::Greater => "_>_",
            Self::GreaterEqual => "_>=_",
            Self::In => "@in",
            Self::Add => "_+_",
            Self::Subtract => "_-_",
            Self::Multiply => "_*_",
            Self::Divide => "_/_",
            Self::Modulo => "_%_",
        }
    }
}

/// Something wrong in an expression, as cel-go shows it.
pub(super) fn complain(source: &str, at: usize, message: &str) -> String {
    let before: Vec<char> = source.chars().take(at).collect();
    let line = before.iter().filter(|c| **c == '\n').count();
    let column = before.iter().rev().take_while(|c| **c != '\n').count();
    let text = source.lines().nth(line).unwrap_or_default().replace('\t', " ");
    let dots = ".".repeat(column);
    format!("ERROR: <input>:{}:{}: {message}\n | {text}\n | {dots}^", line + 1, column + 1)
}

/// Reads an expression.
pub(super) fn parse(source: &str) -> Result<Expr, String> {
    let tokens = tokens(source).map_err(|(at, message)| complain(source, at, &message))?;
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let parsed = parser.expression().and_then(|expr| match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected(parser.next, "<EOF>")),
    });
    parsed.map_err(|(at, message)| complain(source, at, &message))
}

type Fault = (usize, String);

#[derive(Clone, Debug)]
enum Token {
    Name(String),
    /// Within backquotes.
    Quoted(String),
    Literal(Value),
    Mark(&'static str),
    End,
}

const MARKS: [&str; 29] = [
    "==", "!=", "<=", ">=", "&&", "||", ".?", "[?", "{", "}", "[", "]", "(", ")", ".", ",", "-",
    "!", "?", ":", "+", "*", "/", "%", "<", ">", "=", "&", "|",
];

const OPERAND: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, \
    NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Where each token begins, and as it stands.
struct Spanned {
    token: Token,
    at: usize,
    text: String,
}

fn tokens(source: &str) -> Result<Vec<Spanned>, Fault> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        if c == '/' && chars.get(at + 1) == Some(&'/') {
            while chars.get(at).is_some_and(|c| *c != '\n') {
                at += 1;
            }
            continue;
        }
        let start = at;
        let token = if let Some((token, end)) = text_literal(&chars, at)? {
            at = end;
            token
        } else if c.is_ascii_digit()
            || (c == '.' && chars.get(at + 1).is_some_and(char::is_ascii_digit))
        {
            let (token, end) = number(&chars, at)?;
            at = end;
            token
        } else if c == '_' || c.is_ascii_alphabetic() {
            while chars.get(at).is_some_and(|c| *c == '_' || c.is_ascii_alphanumeric()) {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            match &*word {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "null" => Token::Literal(Value::Null),
                _ => Token::Name(word),
            }
        } else if c == '`' {
            let end = chars[at + 1..].iter().position(|c| *c == '`');
            let end = end.ok_or_else(|| recognition(start, c))? + at + 1;
            let word = chars[at + 1..end].iter().collect();
            at = end + 1;
            Token::Quoted(word)
        } else {
            let fits =
                |mark: &&str| mark.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
            let mark = MARKS.into_iter().find(|mark| fits(mark));
            let mark = mark.filter(|mark| !matches!(*mark, "=" | "&" | "|"));
            let mark = mark.ok_or_else(|| recognition(start, c))?;
            at += mark.len();
            Token::Mark(mark)
        };
        tokens.push(Spanned { token, at: start, text: chars[start..at].iter().collect() });
    }
    tokens.push(Spanned { token: Token::End, at: chars.len(), text: "<EOF>".to_owned() });
    Ok(tokens)
}

fn recognition(at: usize, c: char) -> Fault {
    (at, format!("Syntax error: token recognition error at: '{c}'"))
}

fn number(chars: &[char], start: usize) -> Result<(Token, usize), Fault> {
    let mut at = start;
    let digits = |at: &mut usize, fits: fn(&char) -> bool| {
        let from = *at;
        while chars.get(*at).is_some_and(fits) {
            *at += 1;
        }
        chars[from..*at].iter().collect::<String>()
    };
    let invalid = |kind: &str| (start, format!("Syntax error: invalid {kind} literal"));
    if chars[at] == '0' && matches!(chars.get(at + 1), Some('x' | 'X')) {
        at += 2;
        let text = digits(&mut at, char::is_ascii_hexdigit);
        if matches!(chars.get(at), Some('u' | 'U')) {
            let value = u64::from_str_radix(&text, 16).map_err(|_| invalid("uint"))?;
            return Ok((Token::Literal(Value::UInt(value)), at + 1));
        }
        let value = u64::from_str_radix(&text, 16).map_err(|_| invalid("int"))?;
        let value = i64::try_from(value).map_err(|_| invalid("int"))?;
        return Ok((Token::Literal(Value::Int(value)), at));
    }
    let mut text = digits(&mut at, char::is_ascii_digit);
    let mut float = false;
    if chars.get(at) == Some(&'.') && chars.get(at + 1).is_some_and(char::is_ascii_digit) {
        at += 1;
        float = true;
        text = format!("{text}.{}", digits(&mut at, char::is_ascii_digit));
    }
    if matches!(chars.get(at), Some('e' | 'E')) {
        let mut end = at + 1;
        let sign = match chars.get(end) {
            Some(sign @ ('+' | '-')) => {
                end += 1;
                sign.to_string()
            }
            _ => String::new(),
        };
        let exponent = digits(&mut end, char::is_ascii_digit);
        if !exponent.is_empty() {
            float = true;
            at = end;
            text = format!("{text}e{sign}{exponent}");
        }
    }
    if float {
        let value = text.parse().map_err(|_| invalid("double"))?;
        return Ok((Token::Literal(Value::Double(value)), at));
    }
    if matches!(chars.get(at), Some('u' | 'U')) {
        let value = text.parse().map_err(|_| invalid("uint"))?;
        return Ok((Token::Literal(Value::UInt(value)), at + 1));
    }
    match text.parse::<i64>() {
        Ok(value) => Ok((Token::Literal(Value::Int(value)), at)),
        // Only its negative is a number.
        Err(_) if text == "9223372036854775808" => Ok((Token::Literal(Value::UInt(1 << 63)), at)),
        Err(_) => Err(invalid("int")),
    }
}

/// A text or bytes literal, with its prefix.
fn text_literal(chars: &[char], start: usize) -> Result<Option<(Token, usize)>, Fault> {
    let (mut at, mut raw, mut bytes) = (start, false, false);
    while let Some(c) = chars.get(at) {
        match c {
            'r' | 'R' if !raw => raw = true,
            'b' | 'B' if !bytes => bytes = true,
            _ => break,
        }
        at += 1;
    }
    let Some(&quote) = chars.get(at).filter(|c| matches!(c, '"' | '\'')) else { return Ok(None) };
    let triple = chars.get(at + 1) == Some(&quote) && chars.get(at + 2) == Some(&quote);
    let width = if triple { 3 } else { 1 };
    at += width;
    let mut out = Vec::new();
    loop {
        let c = *chars.get(at).ok_or_else(|| recognition(start, quote))?;
        let closes = c == quote && (1..width).all(|i| chars.get(at + i) == Some(&quote));
        if closes {
            at += width;
            break;
        }
        if !triple && matches!(c, '\n' | '\r') {
            return Err(recognition(start, quote));
        }
        if c == '\\' && !raw {
            at = escape(chars, at, bytes, &mut out)?;
        } else if c == '\\' {
            push(&mut out, c);
            at += 1;
            if let Some(next) = chars.get(at) {
                push(&mut out, *next);
                at += 1;
            }
        } else {
            push(&mut out, c);
            at += 1;
        }
    }
    let value = if bytes {
        Value::Bytes(out.into())
    } else {
        let text = String::from_utf8(out).map_err(|_| recognition(start, quote))?;
        Value::from(text)
    };
    Ok(Some((Token::Literal(value), at)))
}

fn push(out: &mut Vec<u8>, c: char) {
    let mut buffer = [0; 4];
    out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
}

fn escape(chars: &[char], at: usize, bytes: bool, out: &mut Vec<u8>) -> Result<usize, Fault> {
    let wrong = || (at, "Syntax error: token recognition error at: '\\'".to_owned());
    let c = *chars.get(at + 1).ok_or_else(wrong)?;
    let plain = match c {
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        '\\' | '\'' | '"' | '`' | '?' => Some(c),
        _ => None,
    };
    if let Some(c) = plain {
        push(out, c);
        return Ok(at + 2);
    }
    let (from, width, radix) = match c {
        'x' | 'X' => (at + 2, 2, 16),
        'u' => (at + 2, 4, 16),
        'U' => (at + 2, 8, 16),
        '0'..='3' => (at + 1, 3, 8),
        _ => return Err(wrong()),
    };
    let digits: String = chars.get(from..from + width).ok_or_else(wrong)?.iter().collect();
    let code = u32::from_str_radix(&digits, radix).map_err(|_| wrong())?;
    match u8::try_from(code) {
        Ok(byte) if bytes && matches!(c, 'x' | 'X' | '0'..='3') => out.push(byte),
        _ => push(out, char::from_u32(code).ok_or_else(wrong)?),
    }
    Ok(from + width)
}

struct Parser {
    tokens: Vec<Spanned>,
    next: usize,
    depth: u16,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(found) if *found == mark);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), Fault> {
        if self.take(mark) {
            return Ok(());
        }
        Err(self.unexpected(self.next, &format!("'{mark}'")))
    }

    fn unexpected(&self, token: usize, expected: &str) -> Fault {
        let Spanned { at, text, .. } = &self.tokens[token];
        (*at, format!("Syntax error: mismatched input '{text}' expecting {expected}"))
    }

    fn leaf(at: usize, node: Node) -> Expr {
        Expr { node, at, depth: 1 }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err((self.at(), "expression recursion limit exceeded: 250".to_owned()));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn expression(&mut self) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let condition = parser.either()?;
            let at = parser.at();
            if !parser.take("?") {
                return Ok(condition);
            }
            let yes = parser.either()?;
            parser.expect(":")?;
            let no = parser.expression()?;
            let depth = condition.depth.max(yes.depth).max(no.depth);
            if depth >= MOST_DEPTH {
                return Err((at, "expression recursion limit exceeded: 250".to_owned()));
            }
            let node = Node::If(Box::new(condition), Box::new(yes), Box::new(no));
            Ok(Expr { node, at, depth: depth + 1 })
        })
    }

    fn either(&mut self) -> Result<Expr, Fault> {
        self.row("||", Self::both, Node::Or)
    }

    fn both(&mut self) -> Result<Expr, Fault> {
        self.row("&&", Self::relation, Node::And)
    }

    fn row(
        &mut self,
        mark: &str,
        part: fn(&mut Self) -> Result<Expr, Fault>,
        node: fn(Vec<Expr>) -> Node,
    ) -> Result<Expr, Fault> {
        let first = part(self)?;
        let at = self.at();
        let mut parts = vec![first];
        while self.take(mark) {
            parts.push(part(self)?);
        }
        if parts.len() == 1 {
            return parts.pop().ok_or_else(|| (at, String::new()));
        }
        let depth = parts.iter().map(|part| part.depth).max().unwrap_or_default();
        if depth >= MOST_DEPTH {
            return Err((at, "expression recursion limit exceeded: 250".to_owned()));
        }
        Ok(Expr { node: node(parts), at, depth: depth + 1 })
    }

    fn relation(&mut self) -> Result<Expr, Fault> {
        let mut left = self.sum()?;
        loop {
            let at = self.at();
            let operator = match self.peek() {
                Token::Mark("==") => Operator::Equal,
                Token::Mark("!=") => Operator::Unequal,
                Token::Mark("<") => Operator::Less,
                Token::Mark("<=") => Operator::LessEqual,
                Token::Mark(">") => Operator::Greater,
                Token::Mark(">=") => Operator::GreaterEqual,
                Token::Name(name) if name == "in" => Operator::In,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.sum()?;
            left = self.binary(at, operator, left, right)?;
        }
    }

    fn sum(&mut self) -> Result<Expr, Fault> {
        let mut left = self.product()?;
        loop {
            let at = self.at();
            let operator = match self.peek() {
                Token::Mark("+") => Operator::Add,
                Token::Mark("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.product()?;
            left = self.binary(at, operator, left, right)?;
        }
    }

    fn product(&mut self) -> Result<Expr, Fault> {
        let mut left = self.unary()?;
        loop {
            let at = self.at();
            let operator = match self.peek() {
                Token::Mark("*") => Operator::Multiply,
                Token::Mark("/") => Operator::Divide,
                Token::Mark("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.unary()?;
            left = self.binary(at, operator, left, right)?;
        }
    }

    fn binary(
        &self,
        at: usize,
        operator: Operator,
        left: Expr,
        right: Expr,
    ) -> Result<Expr, Fault> {
        let depth = left.depth.max(right.depth);
        if depth >= MOST_DEPTH {
            return Err((at, "expression recursion limit exceeded: 250".to_owned()));
        }
        let node = Node::Binary(operator, Box::new(left), Box::new(right));
        Ok(Expr { node, at, depth: depth + 1 })
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        for mark in ["!", "-"] {
            let mut count = 0;
            while self.take(mark) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            let expr = self.deeper(Self::member)?;
            if mark == "-"
                && let Node::Literal(Value::Int(_) | Value::Double(_) | Value::UInt(_)) = &expr.node
                && count == 1
            {
                return match expr.node {
                    Node::Literal(Value::Int(value)) => {
                        Ok(Self::leaf(at, Node::Literal(Value::Int(-value))))
                    }
                    Node::Literal(Value::Double(value)) => {
                        Ok(Self::leaf(at, Node::Literal(Value::Double(-value))))
                    }
                    Node::Literal(Value::UInt(value)) if value == 1 << 63 => {
                        Ok(Self::leaf(at, Node::Literal(Value::Int(i64::MIN))))
                    }
                    node => {
                        let inner = Expr { node, at, depth: 1 };
                        Ok(Self::leaf(at, Node::Negate(Box::new(inner))))
                    }
                };
            }
            if count % 2 == 0 {
                return Ok(expr);
            }
            let depth = expr.depth;
            let inner = Box::new(expr);
            let node = if mark == "!" { Node::Not(inner) } else { Node::Negate(inner) };
            return Ok(Expr { node, at, depth: depth.saturating_add(1) });
        }
        self.member()
    }

    fn member(&mut self) -> Result<Expr, Fault> {
        let mut expr = self.primary()?;
        loop {
            let at = self.at();
            if expr.depth >= MOST_DEPTH {
                return Err((at, "expression recursion limit exceeded: 250".to_owned()));
            }
            let depth = expr.depth + 1;
            if self.take(".") {
                let name_at = self.at();
                let name = self.field()?;
                let open = self.at();
                if !self.take("(") {
                    expr = Expr { node: Node::Select(Box::new(expr), name, false), at, depth };
                    continue;
                }
                let arguments = self.arguments(")")?;
                expr = self.method(name_at, open, expr, name, arguments)?;
            } else if self.take(".?") {
                let name = self.field()?;
                expr = Expr { node: Node::Select(Box::new(expr), name, true), at, depth };
            } else if matches!(self.peek(), Token::Mark("[" | "[?")) {
                let optional = matches!(self.peek(), Token::Mark("[?"));
                self.next += 1;
                let index = self.expression()?;
                self.expect("]")?;
                let depth = depth.max(index.depth.saturating_add(1));
                let node = Node::Index(Box::new(expr), Box::new(index), optional);
                expr = Expr { node, at, depth };
            } else {
                return Ok(expr);
            }
        }
    }

    fn field(&mut self) -> Result<String, Fault> {
        match self.peek().clone() {
            Token::Name(name) | Token::Quoted(name) => {
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected(self.next, "IDENTIFIER")),
        }
    }

    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>, Fault> {
        let mut arguments = Vec::new();
        if self.take(close) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.take(close) {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }

    fn primary(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        let token = self.peek().clone();
        match token {
            Token::Literal(value) => {
                self.next += 1;
                Ok(Self::leaf(at, Node::Literal(value)))
            }
            Token::Mark(".") => {
                self.next += 1;
                self.primary()
            }
            Token::Name(name) => {
                self.next += 1;
                let open = self.at();
                if !self.take("(") {
                    return Ok(Self::leaf(at, Node::Name(name)));
                }
                let arguments = self.arguments(")")?;
                self.function(open, name, arguments)
            }
            Token::Mark("(") => {
                self.next += 1;
                let expr = self.expression()?;
                self.expect(")")?;
                Ok(expr)
            }
            Token::Mark("[" | "[?") => self.list(at),
            Token::Mark("{") => self.map(at),
            _ => Err(self.unexpected(self.next, OPERAND)),
        }
    }

    fn list(&mut self, at: usize) -> Result<Expr, Fault> {
        let mut optional = matches!(self.peek(), Token::Mark("[?"));
        self.next += 1;
        let mut elements = Vec::new();
        while !self.take("]") {
            optional |= self.take("?");
            elements.push((self.expression()?, optional));
            optional = false;
            if !self.take(",") {
                self.expect("]")?;
                break;
            }
        }
        let below: Vec<_> = elements.iter().map(|(expr, _)| expr.depth).collect();
        self.compound(at, Node::List(elements), &below)
    }

    fn map(&mut self, at: usize) -> Result<Expr, Fault> {
        self.next += 1;
        let mut entries = Vec::new();
        while !self.take("}") {
            let optional = self.take("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?, optional));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        let below: Vec<_> =
            entries.iter().map(|(key, value, _)| key.depth.max(value.depth)).collect();
        self.compound(at, Node::Map(entries), &below)
    }

    fn compound(&self, at: usize, node: Node, below: &[u16]) -> Result<Expr, Fault> {
        let depth = below.iter().max().copied().unwrap_or_default() + 1;
        if depth > MOST_DEPTH {
            return Err((at, "expression recursion limit exceeded: 250".to_owned()));
        }
        Ok(Expr { node, at, depth })
    }

    fn function(&self, at: usize, name: String, mut arguments: Vec<Expr>) -> Result<Expr, Fault> {
        let below: Vec<_> = arguments.iter().map(|expr| expr.depth).collect();
        if name == "has" && arguments.len() == 1 {
            let argument = arguments.remove(0);
            return match argument.node {
                Node::Select(operand, field, false) => {
                    self.compound(at, Node::Has(operand, field), &below)
                }
                _ => Err((at, "invalid argument to has() macro".to_owned())),
            };
        }
        self.compound(at, Node::Call(name, None, arguments), &below)
    }

    fn method(
        &self,
        name_at: usize,
        at: usize,
        target: Expr,
        name: String,
        arguments: Vec<Expr>,
    ) -> Result<Expr, Fault> {
        let mut below: Vec<_> = arguments.iter().map(|expr| expr.depth).collect();
        below.push(target.depth);
        let variable = |expr: &Expr| match &expr.node {
            Node::Name(name) => Ok(name.clone()),
            _ => Err((expr.at, "argument must be a simple name".to_owned())),
        };
        let is_cel = matches!(&target.node, Node::Name(name) if name == "cel");
        if is_cel && name == "bind" && arguments.len() == 3 {
            let bound = variable(&arguments[0])?;
            let [_, value, body] = <[Expr; 3]>::try_from(arguments)
                .map_err(|_| (at, "cel.bind takes three arguments".to_owned()))?;
            let node = Node::Bind(bound, Box::new(value), Box::new(body));
            return self.compound(at, node, &below);
        }
        if matches!(&*name, "optMap" | "optFlatMap") && arguments.len() == 2 {
            let bound = variable(&arguments[0])?;
            let flat = name == "optFlatMap";
            let body = arguments.into_iter().nth(1).unwrap_or_else(|| target.clone());
            let node = Node::Optional(Box::new(target), bound, Box::new(body), flat);
            return self.compound(at, node, &below);
        }
        let count = arguments.len();
        // The names, whether there is a condition before the body.
        let shape = match (&*name, count) {
            ("all", 2 | 3) => Some((LoopKind::All, count == 3, false)),
            ("exists", 2 | 3) => Some((LoopKind::Exists, count == 3, false)),
            ("exists_one" | "existsOne", 2 | 3) => Some((LoopKind::ExistsOne, count == 3, false)),
            ("filter", 2) => Some((LoopKind::Filter, false, false)),
            ("map", 2 | 3) => Some((LoopKind::Map, false, count == 3)),
            ("transformList", 3 | 4) => Some((LoopKind::Map, true, count == 4)),
            ("transformMap", 3 | 4) => Some((LoopKind::TransformMap, true, count == 4)),
            ("transformMapEntry", 3 | 4) => Some((LoopKind::TransformMapEntry, true, count == 4)),
            _ => None,
        };
        let Some((kind, two, conditional)) = shape else {
            let node = Node::Call(name, Some(Box::new(target)), arguments);
            return self.compound(name_at.min(at).max(at), node, &below);
        };
        let first = variable(&arguments[0])?;
        let second = if two { Some(variable(&arguments[1])?) } else { None };
        let mut rest = arguments.into_iter().skip(if two { 2 } else { 1 });
        let missing = || (at, "a macro without a body".to_owned());
        let condition = if conditional { Some(rest.next().ok_or_else(missing)?) } else { None };
        let body = rest.next().ok_or_else(missing)?;
        let node = Node::Loop(Box::new(Loop {
            kind,
            range: target,
            name: first,
            second,
            condition,
            body,
        }));
        self.compound(at, node, &below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_shown_where_they_are() {
        let error = parse("self +").unwrap_err();
        let expected = "ERROR: <input>:1:7: Syntax error: mismatched input '<EOF>' expecting {'[', \
            '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, \
            BYTES, IDENTIFIER}\n | self +\n | ......^";
        assert_eq!(error, expected);
    }

    #[test]
    fn depth_is_bounded_however_it_comes_about() {
        for source in [
            format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
            vec!["1"; 5000].join("+"),
            format!("a{}", ".b".repeat(5000)),
            format!("{}1", "-".repeat(5000)),
            format!("{}true", "a ? b : ".repeat(5000)),
            format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
        ] {
            let _ = parse(&source);
        }
        assert!(parse(&vec!["true"; 5000].join("&&")).is_ok());
        assert!(parse(&"!".repeat(5000)).is_err());
    }
}
