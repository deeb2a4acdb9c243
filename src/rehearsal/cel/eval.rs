//! What an expression gives, and what that costs.
//!
//! Costs are counted as cel-go counts them, as far as what is walked goes: a step for each part of
//! an expression, and for each element or ten characters that a function looks at. Errors are texts
//! of cel-go. Source: cel-go `interpreter`, `interpreter/runtimecost.go`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions;
use super::parse::{Expr, Loop, LoopKind, Node, Operator};
use super::time::SECOND;
use super::value::{Key, Value};

/// Most steps that one expression may take. Source: apiserver `pkg/apis/cel/config.go`.
pub(super) const MOST_STEPS: u64 = 1_000_000;

pub(super) const TOO_EXPENSIVE: &str = "operation cancelled: actual cost limit exceeded";

/// Most bytes of text or elements that an expression may bring about.
const MOST_SIZE: usize = 1 << 22;

/// Variables and the steps that are left.
pub(super) struct Scope<'a> {
    names: Vec<(&'a str, Value)>,
    pub(super) steps: u64,
}

type Outcome = Result<Value, String>;

pub(super) fn no_overload() -> String {
    "no such overload".to_owned()
}

impl<'a> Scope<'a> {
    pub(super) fn new(variables: &'a [(&'a str, Value)]) -> Self {
        Self { names: variables.to_vec(), steps: 0 }
    }

    /// Counts steps.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), String> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS { Err(TOO_EXPENSIVE.to_owned()) } else { Ok(()) }
    }

    fn lookup(&self, name: &str) -> Option<&Value> {
        self.names.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn eval(&mut self, expr: &'a Expr) -> Outcome {
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Name(name) => {
                self.spend(1)?;
                match self.lookup(name) {
                    Some(value) => Ok(value.clone()),
                    None => functions::type_named(name)
                        .ok_or_else(|| format!("no such attribute(s): {name}")),
                }
            }
            Node::Select(operand, field, optional) => {
                let value = self.eval(operand)?;
                self.spend(1)?;
                select(&value, &Value::from(&**field), *optional)
            }
            Node::Has(operand, field) => {
                let value = self.eval(operand)?;
                self.spend(1)?;
                has(&value, field).map(Value::Bool)
            }
            Node::Index(operand, index, optional) => {
                let (value, index) = (self.eval(operand)?, self.eval(index)?);
                self.spend(1)?;
                select(&value, &index, *optional)
            }
            Node::Call(name, target, arguments) => self.call(name, target.as_deref(), arguments),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Not(operand) => match self.eval(operand)? {
                Value::Bool(flag) => self.spend(1).map(|()| Value::Bool(!flag)),
                _ => Err(no_overload()),
            },
            Node::Negate(operand) => {
                let value = self.eval(operand)?;
                self.spend(1)?;
                match value {
                    Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
                    Value::Double(number) => Ok(Value::Double(-number)),
                    Value::Duration(nanos) => {
                        nanos.checked_neg().map(Value::Duration).ok_or_else(overflow)
                    }
                    _ => Err(no_overload()),
                }
            }
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.binary(*operator, &left, &right)
            }
            Node::And(parts) => self.junction(parts, false),
            Node::Or(parts) => self.junction(parts, true),
            Node::If(condition, yes, no) => match self.eval(condition)? {
                Value::Bool(true) => self.eval(yes),
                Value::Bool(false) => self.eval(no),
                _ => Err(no_overload()),
            },
            Node::Loop(found) => self.run(found),
            Node::Bind(name, value, body) => {
                let value = self.eval(value)?;
                self.with(name, value, body)
            }
            Node::Optional(target, name, body, flat) => match self.eval(target)? {
                Value::Optional(None) => Ok(Value::Optional(None)),
                Value::Optional(Some(value)) => {
                    let value = self.with(name, (*value).clone(), body)?;
                    if *flat { Ok(value) } else { Ok(Value::Optional(Some(Arc::new(value)))) }
                }
                _ => Err(no_overload()),
            },
        }
    }

    fn with(&mut self, name: &'a str, value: Value, body: &'a Expr) -> Outcome {
        self.names.push((name, value));
        let outcome = self.eval(body);
        self.names.pop();
        outcome
    }

    /// `&&` and `||`: one side may fail where the other decides.
    fn junction(&mut self, parts: &'a [Expr], decides: bool) -> Outcome {
        let mut failed = None;
        for part in parts {
            match self.eval(part) {
                Ok(Value::Bool(flag)) if flag == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => {
                    failed.get_or_insert_with(no_overload);
                }
                Err(error) if error == TOO_EXPENSIVE => return Err(error),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        self.spend(1)?;
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn list(&mut self, elements: &'a [(Expr, bool)]) -> Outcome {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            match (self.eval(element)?, optional) {
                (Value::Optional(value), true) => {
                    values.extend(value.map(|value| (*value).clone()));
                }

                (value, false) => values.push(value),
                _ => return Err(no_overload()),
            }
        }
        self.spend(10)?;
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &'a [(Expr, Expr, bool)]) -> Outcome {
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let (key, value) = (self.eval(key)?, self.eval(value)?);
            let key = key.key().ok_or_else(|| "unsupported key type".to_owned())?;
            let value = match (value, optional) {
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(value)), true) => (*value).clone(),
                (value, false) => value,
                _ => return Err(no_overload()),
            };
            if map.insert(key, value).is_some() {
                return Err("Failed with repeated key".to_owned());
            }
        }
        self.spend(30)?;
        Ok(Value::Map(Arc::new(map)))
    }

    fn call(&mut self, name: &'a str, target: Option<&'a Expr>, arguments: &'a [Expr]) -> Outcome {
        let mut values = Vec::with_capacity(arguments.len() + 1);
        let mut qualified = None;
        if let Some(target) = target {
            match &target.node {
                // A function may have a dotted name, unless that is a variable.
                Node::Name(space) if self.lookup(space).is_none() && functions::is_space(space) => {
                    qualified = Some(format!("{space}.{name}"));
                }
                _ => values.push(self.eval(target)?),
            }
        }
        for argument in arguments {
            values.push(self.eval(argument)?);
        }
        let method = target.is_some() && qualified.is_none();
        let cost = values.iter().map(Value::size).fold(0, u64::saturating_add);
        self.spend(cost)?;
        functions::call(self, qualified.as_deref().unwrap_or(name), method, &values)
    }

    pub(super) fn binary(&mut self, operator: Operator, left: &Value, right: &Value) -> Outcome {
        match operator {
            Operator::Equal | Operator::Unequal => {
                self.spend(left.size().min(right.size()))?;
                Ok(Value::Bool(left.equals(right) == (operator == Operator::Equal)))
            }
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                self.spend(left.size().min(right.size()))?;
                let unordered = matches!((left, right), (Value::Quantity(_), _));
                let order = if unordered { None } else { left.compare(right) };
                let number = left.float().is_some() && right.float().is_some();
                match order {
                    None if number => Ok(Value::Bool(false)),
                    None => Err(no_overload()),
                    Some(order) => Ok(Value::Bool(match operator {
                        Operator::Less => order.is_lt(),
                        Operator::LessEqual => order.is_le(),
                        Operator::Greater => order.is_gt(),
                        _ => order.is_ge(),
                    })),
                }
            }
            Operator::In => match right {
                Value::List(list) => {
                    self.spend(right.size())?;
                    Ok(Value::Bool(list.iter().any(|element| element.equals(left))))
                }
                Value::Map(map) => {
                    self.spend(1)?;
                    Ok(Value::Bool(left.key().is_some_and(|key| map.contains_key(&key))))
                }
                _ => Err(no_overload()),
            },
            _ => self.arithmetic(operator, left, right),
        }
    }

    fn arithmetic(&mut self, operator: Operator, left: &Value, right: &Value) -> Outcome {
        use Operator::{Add, Divide, Modulo, Multiply, Subtract};
        self.spend(1)?;
        match (left, right) {
            (Value::Int(a), Value::Int(b)) => {
                let (a, b) = (*a, *b);
                let value = match operator {
                    Add => a.checked_add(b),
                    Subtract => a.checked_sub(b),
                    Multiply => a.checked_mul(b),
                    Divide if b == 0 => return Err("division by zero".to_owned()),
                    Divide => a.checked_div(b),
                    Modulo if b == 0 => return Err("modulus by zero".to_owned()),
                    _ => a.checked_rem(b),
                };
                value.map(Value::Int).ok_or_else(overflow)
            }
            (Value::UInt(a), Value::UInt(b)) => {
                let (a, b) = (*a, *b);
                let value = match operator {
                    Add => a.checked_add(b),
                    Subtract => a.checked_sub(b),
                    Multiply => a.checked_mul(b),
                    Divide if b == 0 => return Err("division by zero".to_owned()),
                    Divide => a.checked_div(b),
                    Modulo if b == 0 => return Err("modulus by zero".to_owned()),
                    _ => a.checked_rem(b),
                };
                value.map(Value::UInt).ok_or_else(|| "unsigned integer overflow".to_owned())
            }
            (Value::Double(a), Value::Double(b)) => match operator {
                Add => Ok(Value::Double(a + b)),
                Subtract => Ok(Value::Double(a - b)),
                Multiply => Ok(Value::Double(a * b)),
                Divide => Ok(Value::Double(a / b)),
                _ => Err(no_overload()),
            },
            (Value::Text(a), Value::Text(b)) if operator == Add => {
                self.spend(left.size().saturating_add(right.size()))?;
                if a.len() + b.len() > MOST_SIZE {
                    return Err(TOO_EXPENSIVE.to_owned());
                }
                Ok(format!("{a}{b}").into())
            }
            (Value::Bytes(a), Value::Bytes(b)) if operator == Add => {
                self.spend(left.size().saturating_add(right.size()))?;
                if a.len() + b.len() > MOST_SIZE {
                    return Err(TOO_EXPENSIVE.to_owned());
                }
                Ok(Value::Bytes([&**a, &**b].concat().into()))
            }
            (Value::List(a), Value::List(b)) if operator == Add => {
                // Elements are copied here, which the server's lists put off.
                self.spend(left.size().saturating_add(right.size()))?;
                Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()))
            }
            (Value::Timestamp(a), Value::Duration(b)) => {
                let nanos = match operator {
                    Add => Some(*b),
                    Subtract => b.checked_neg(),
                    _ => return Err(no_overload()),
                };
                let sum = nanos.and_then(|nanos| a.plus(nanos));
                sum.map(Value::Timestamp).ok_or_else(|| "timestamp overflow".to_owned())
            }
            (Value::Duration(a), Value::Timestamp(b)) if operator == Add => {
                let sum = b.plus(*a);
                sum.map(Value::Timestamp).ok_or_else(|| "timestamp overflow".to_owned())
            }
            (Value::Timestamp(a), Value::Timestamp(b)) if operator == Subtract => {
                a.since(*b).map(Value::Duration).ok_or_else(overflow)
            }
            (Value::Duration(a), Value::Duration(b)) => {
                let value = match operator {
                    Add => a.checked_add(*b),
                    Subtract => a.checked_sub(*b),
                    _ => return Err(no_overload()),
                };
                value.map(Value::Duration).ok_or_else(overflow)
            }
            _ => Err(no_overload()),
        }
    }

    fn run(&mut self, found: &'a Loop) -> Outcome {
        let range = self.eval(&found.range)?;
        // Pairs of index and element, or of key and value.
        let pairs: Vec<(Value, Value)> = match &range {
            Value::List(list) => {
                let index = |at: usize| Value::Int(i64::try_from(at).unwrap_or(i64::MAX));
                list.iter().enumerate().map(|(at, value)| (index(at), value.clone())).collect()
            }
            Value::Map(map) => {
                map.iter().map(|(key, value)| (Value::from(key.clone()), value.clone())).collect()
            }
            _ => return Err(no_overload()),
        };
        self.spend(range.size())?;
        let is_list = matches!(range, Value::List(_));
        let mut state = Found::default();
        for (key, value) in pairs {
            self.spend(1)?;
            let depth = self.names.len();
            match &found.second {
                Some(second) => {
                    self.names.push((&found.name, key.clone()));
                    self.names.push((second, value.clone()));
                }
                // One name is the element of a list, the key of a map.
                None => {
                    let element = if is_list { value.clone() } else { key.clone() };
                    self.names.push((&found.name, element));
                }
            }
            let done = self.turn(found, is_list, key, value, &mut state);
            self.names.truncate(depth);
            if let Some(value) = done? {
                return Ok(value);
            }
        }
        match found.kind {
            LoopKind::All => state.failed.map_or(Ok(Value::Bool(true)), Err),
            LoopKind::Exists => state.failed.map_or(Ok(Value::Bool(false)), Err),
            LoopKind::ExistsOne => Ok(Value::Bool(state.count == 1)),
            LoopKind::Filter | LoopKind::Map => Ok(Value::list(state.list)),
            LoopKind::TransformMap | LoopKind::TransformMapEntry => {
                Ok(Value::Map(Arc::new(state.map)))
            }
        }
    }

    /// One turn of a loop; a value where it is the last.
    fn turn(
        &mut self,
        found: &'a Loop,
        is_list: bool,
        key: Value,
        value: Value,
        state: &mut Found,
    ) -> Result<Option<Value>, String> {
        if let Some(condition) = &found.condition {
            match self.eval(condition)? {
                Value::Bool(true) => {}
                Value::Bool(false) => return Ok(None),
                _ => return Err(no_overload()),
            }
        }
        let outcome = self.eval(&found.body);
        match found.kind {
            LoopKind::All | LoopKind::Exists => {
                let decides = found.kind == LoopKind::Exists;
                match outcome {
                    Ok(Value::Bool(flag)) if flag == decides => {
                        return Ok(Some(Value::Bool(decides)));
                    }
                    Ok(Value::Bool(_)) => {}
                    Ok(_) => {
                        state.failed.get_or_insert_with(no_overload);
                    }
                    Err(error) if error == TOO_EXPENSIVE => return Err(error),
                    Err(error) => {
                        state.failed.get_or_insert(error);
                    }
                }
            }
            LoopKind::ExistsOne | LoopKind::Filter => match outcome? {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    state.count += 1;
                    match (found.kind, is_list) {
                        (LoopKind::Filter, true) => state.list.push(value),
                        (LoopKind::Filter, false) => state.list.push(key),
                        _ => {}
                    }
                }
                _ => return Err(no_overload()),
            },
            LoopKind::Map => state.list.push(outcome?),
            LoopKind::TransformMap => {
                let key = key.key().ok_or_else(no_overload)?;
                state.map.insert(key, outcome?);
            }
            LoopKind::TransformMapEntry => match outcome? {
                Value::Map(entry) => {
                    state.map.extend(entry.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                _ => return Err(no_overload()),
            },
        }
        Ok(None)
    }
}

/// What a loop has gathered.
#[derive(Default)]
struct Found {
    failed: Option<String>,
    count: usize,
    list: Vec<Value>,
    map: BTreeMap<Key, Value>,
}

pub(super) fn overflow() -> String {
    "integer overflow".to_owned()
}

/// A field, a key or an element.
fn select(value: &Value, index: &Value, optional: bool) -> Outcome {
    let found = match value {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => return select(inner, index, true),
        Value::Map(map) => {
            let key = index.key().ok_or_else(no_overload)?;
            map.get(&key).cloned()
        }
        Value::List(list) => {
            let at = match index {
                Value::Int(at) => usize::try_from(*at).ok(),
                Value::UInt(at) => usize::try_from(*at).ok(),
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked"
                )]
                Value::Double(at) if at.fract() == 0.0 && *at >= 0.0 => Some(*at as usize),
                _ => return Err(no_overload()),
            };
            at.and_then(|at| list.get(at)).cloned()
        }
        _ => return Err(no_overload()),
    };
    match (found, optional) {
        (Some(value), true) => Ok(Value::Optional(Some(Arc::new(value)))),
        (None, true) => Ok(Value::Optional(None)),
        (Some(value), false) => Ok(value),
        (None, false) => Err(match (value, index) {
            (Value::List(_), index) => format!("index out of bounds: {}", functions::show(index)),
            (_, index) => format!("no such key: {}", functions::show(index)),
        }),
    }
}

fn has(value: &Value, field: &str) -> Result<bool, String> {
    match value {
        Value::Map(map) => Ok(map.contains_key(&Key::Text(field.into()))),
        Value::Optional(Some(inner)) => has(inner, field),
        Value::Optional(None) => Ok(false),
        _ => Err(no_overload()),
    }
}

/// Nanoseconds of so many seconds.
pub(super) fn seconds(count: i64) -> Option<i64> {
    count.checked_mul(SECOND)
}
