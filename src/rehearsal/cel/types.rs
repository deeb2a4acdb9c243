//! What is certain to be wrong with an expression before it runs: names that are not there, and
//! operators between types that have none.
//!
//! Types that are not known for certain are taken to fit; the server's checker refuses some of
//! these too. Source: cel-go `checker/checker.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::functions;
use super::parse::{Expr, Loop, LoopKind, Node, Operator, complain};
use super::value::Value;

/// What is known of a value before it is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Nothing.
    Dyn,
    /// A truth.
    Bool,
    /// A whole number.
    Int,
    /// A whole number without a sign.
    UInt,
    /// A float.
    Double,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// A moment.
    Timestamp,
    /// A duration.
    Duration,
    /// A list and its elements.
    List(Arc<Self>),
    /// A map with text keys and its values.
    Map(Arc<Self>),
    /// An object and its fields.
    Object(Arc<BTreeMap<String, Self>>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::UInt => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(value) => write!(f, "map(string, {value})"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}

impl Type {
    /// Whether values of two types may be compared for being equal.
    fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (Self::Object(_), Self::Object(_) | Self::Map(_)) => true,
            (Self::Map(_), Self::Object(_)) => true,
            (a, b) => a == b,
        }
    }
}

/// What is wrong with an expression that must give one of some types.
pub(super) fn check(source: &str, expr: &Expr, variables: &[(&str, Type)]) -> Result<Type, String> {
    let names = variables.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect();
    let mut checker = Checker { names, faults: Vec::new() };
    let found = checker.of(expr);
    let mut faults = checker.faults;
    if faults.is_empty() {
        return Ok(found);
    }
    faults.sort();
    let shown: Vec<_> = faults.iter().map(|(at, text)| complain(source, *at, text)).collect();
    Err(shown.join("\n"))
}

struct Checker {
    names: Vec<(String, Type)>,
    faults: Vec<(usize, String)>,
}

impl Checker {
    fn of(&mut self, expr: &Expr) -> Type {
        match &expr.node {
            Node::Literal(value) => match value {
                Value::Bool(_) => Type::Bool,
                Value::Int(_) => Type::Int,
                Value::UInt(_) => Type::UInt,
                Value::Double(_) => Type::Double,
                Value::Text(_) => Type::Text,
                Value::Bytes(_) => Type::Bytes,
                _ => Type::Dyn,
            },
            Node::Name(name) => self.name(expr.at, name),
            Node::Select(operand, field, optional) => {
                let found = self.select(expr.at, operand, field);
                if *optional { Type::Dyn } else { found }
            }
            Node::Has(operand, field) => {
                self.select(expr.at, operand, field);
                Type::Bool
            }
            Node::Index(operand, index, optional) => {
                let of = self.of(operand);
                self.of(index);
                match of {
                    Type::List(element) | Type::Map(element) if !optional => (*element).clone(),
                    _ => Type::Dyn,
                }
            }
            Node::Call(name, target, arguments) => self.call(name, target.as_deref(), arguments),
            Node::List(elements) => {
                let mut kind = None;
                for (element, optional) in elements {
                    let found = if *optional { Type::Dyn } else { self.of(element) };
                    kind = Some(match kind {
                        None => found,
                        Some(kind) if kind == found => kind,
                        Some(_) => Type::Dyn,
                    });
                }
                Type::List(Arc::new(kind.unwrap_or(Type::Dyn)))
            }
            Node::Map(entries) => {
                for (key, value, _) in entries {
                    self.of(key);
                    self.of(value);
                }
                Type::Dyn
            }
            Node::Not(operand) => {
                let found = self.of(operand);
                self.bools(expr.at, "!_", &[found])
            }
            Node::Negate(operand) => self.of(operand),
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.of(left), self.of(right));
                self.binary(expr.at, *operator, left, right)
            }
            Node::And(parts) | Node::Or(parts) => {
                let name = if matches!(expr.node, Node::And(_)) { "_&&_" } else { "_||_" };
                let found: Vec<_> = parts.iter().map(|part| self.of(part)).collect();
                self.bools(expr.at, name, &found)
            }
            Node::If(condition, yes, no) => {
                let condition = self.of(condition);
                let (yes, no) = (self.of(yes), self.of(no));
                if !condition.fits(&Type::Bool) {
                    self.overload(expr.at, "_?_:_", &[condition, yes.clone(), no.clone()]);
                }
                if yes == no { yes } else { Type::Dyn }
            }
            Node::Loop(found) => self.run(found),
            Node::Bind(name, value, body) => {
                let value = self.of(value);
                self.with(&[(name, value)], body)
            }
            Node::Optional(target, name, body, _) => {
                self.of(target);
                self.with(&[(name, Type::Dyn)], body);
                Type::Dyn
            }
        }
    }

    fn with(&mut self, names: &[(&str, Type)], body: &Expr) -> Type {
        let depth = self.names.len();
        self.names.extend(names.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())));
        let found = self.of(body);
        self.names.truncate(depth);
        found
    }

    fn name(&mut self, at: usize, name: &str) -> Type {
        if let Some((_, kind)) = self.names.iter().rev().find(|(known, _)| known == name) {
            return kind.clone();
        }
        if functions::type_named(name).is_none() {
            let text = format!("undeclared reference to '{name}' (in container '')");
            self.faults.push((at, text));
        }
        Type::Dyn
    }

    fn select(&mut self, at: usize, operand: &Expr, field: &str) -> Type {
        match self.of(operand) {
            Type::Object(fields) => match fields.get(field) {
                Some(kind) => kind.clone(),
                None => {
                    self.faults.push((at, format!("undefined field '{field}'")));
                    Type::Dyn
                }
            },
            Type::Map(value) => (*value).clone(),
            Type::Dyn => Type::Dyn,
            other => {
                let text = format!("type '{other}' does not support field selection");
                self.faults.push((at, text));
                Type::Dyn
            }
        }
    }

    fn overload(&mut self, at: usize, name: &str, types: &[Type]) {
        // Objects have names that are made up anew each time.
        if types.iter().any(|kind| matches!(kind, Type::Object(_))) {
            return;
        }
        let types: Vec<_> = types.iter().map(ToString::to_string).collect();
        let types = types.join(", ");
        self.faults
            .push((at, format!("found no matching overload for '{name}' applied to '({types})'")));
    }

    fn bools(&mut self, at: usize, name: &str, types: &[Type]) -> Type {
        if types.len() <= 2 && types.iter().any(|kind| !kind.fits(&Type::Bool)) {
            self.overload(at, name, types);
        }
        Type::Bool
    }

    fn binary(&mut self, at: usize, operator: Operator, left: Type, right: Type) -> Type {
        use Operator::{Add, Equal, In, Unequal};
        let ordered = |kind: &Type| {
            !matches!(kind, Type::List(_) | Type::Map(_) | Type::Object(_) | Type::Dyn)
        };
        let number = |kind: &Type| matches!(kind, Type::Int | Type::UInt | Type::Double);
        let (fits, gives) = match operator {
            Equal | Unequal => (left.fits(&right), Type::Bool),
            In => return Type::Bool,
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let mixed = number(&left) && number(&right);
                let known = ordered(&left) && ordered(&right);
                (!known || mixed || left == right, Type::Bool)
            }
            _ => {
                let certain = [&left, &right].into_iter().all(|kind| {
                    matches!(kind, Type::Bool | Type::Int | Type::UInt | Type::Double | Type::Text)
                });
                let fits = match &left {
                    Type::Bool => false,
                    Type::Text => operator == Add && left == right,
                    kind => *kind == right,
                };
                let gives = if left == right { left.clone() } else { Type::Dyn };
                (!certain || fits, gives)
            }
        };
        if !fits {
            self.overload(at, operator.function(), &[left, right]);
        }
        gives
    }

    fn call(&mut self, name: &str, target: Option<&Expr>, arguments: &[Expr]) -> Type {
        if let Some(target) = target {
            let space = match &target.node {
                Node::Name(space) => {
                    functions::is_space(space) && !self.names.iter().any(|(name, _)| name == space)
                }
                _ => false,
            };
            if !space {
                self.of(target);
            }
        }
        for argument in arguments {
            self.of(argument);
        }
        match name {
            "size" | "indexOf" | "lastIndexOf" | "int" => Type::Int,
            "contains" | "startsWith" | "endsWith" | "matches" | "isSorted" | "isIP" | "isCIDR"
            | "isURL" | "isQuantity" | "isSemver" | "hasValue" => Type::Bool,
            "string" | "lowerAscii" | "upperAscii" | "trim" | "join" | "substring" | "replace"
            | "format" => Type::Text,
            "double" => Type::Double,
            "uint" => Type::UInt,
            _ => Type::Dyn,
        }
    }

    fn run(&mut self, found: &Loop) -> Type {
        let (first, second, list) = match self.of(&found.range) {
            Type::List(element) if found.second.is_some() => (Type::Int, (*element).clone(), true),
            Type::List(element) => ((*element).clone(), (*element).clone(), true),
            Type::Map(value) => (Type::Text, (*value).clone(), false),
            _ => (Type::Dyn, Type::Dyn, false),
        };
        let mut names = vec![(&*found.name, first.clone())];
        if let Some(name) = &found.second {
            names.push((name, second));
        }
        if let Some(condition) = &found.condition {
            self.with(&names, condition);
        }
        let body = self.with(&names, &found.body);
        match found.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
            LoopKind::Filter if list => Type::List(Arc::new(first)),
            LoopKind::Map => Type::List(Arc::new(body)),
            _ => Type::Dyn,
        }
    }
}
