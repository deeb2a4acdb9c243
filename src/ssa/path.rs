//! The way to a field, and the order in which fields stand.
//!
//! Source: structured-merge-diff `fieldpath/element.go`, `fieldpath/path.go`, `value/value.go`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use ecow::EcoString;
use serde_json::{Number, Value};

use super::shown;

/// One step from a value to a part of it.
///
/// Steps are equal where their values are: `80` and `80.0` name the same element.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A field of an object or a key of a map.
    Field(EcoString),
    /// The element of a list that has these fields, in order of name.
    Key(Arc<[(EcoString, Value)]>),
    /// The element of a set that is this scalar.
    Value(Arc<Value>),
    /// The element at this place.
    Index(i64),
}

impl PathElement {
    /// The field of that name.
    pub fn field(name: impl Into<EcoString>) -> Self {
        Self::Field(name.into())
    }

    /// The element with these fields, in any order.
    pub fn key<N: Into<EcoString>>(fields: impl IntoIterator<Item = (N, Value)>) -> Self {
        let mut fields: Vec<_> =
            fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        fields.sort_by(|a: &(EcoString, Value), b| a.0.cmp(&b.0));
        Self::Key(fields.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => compare_keys(a, b),
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

/// As in conflicts and errors: `.image`, `[name="a"]`, `[="x"]`, `[0]`.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", shown::in_path(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", shown::in_path(value)),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// The steps from the root of an object to a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<PathElement>);

impl Path {
    /// A path over named fields alone.
    pub fn of_fields(names: &[&str]) -> Self {
        Self(names.iter().map(|name| PathElement::field(*name)).collect())
    }
}

/// E.g. `.spec.containers[name="a"].image`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}

fn compare_keys(a: &[(EcoString, Value)], b: &[(EcoString, Value)]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let order = a.0.cmp(&b.0).then_with(|| compare_values(&a.1, &b.1));
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Orders values of any kind: numbers, text, booleans, lists, maps, null.
pub fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let unequal = a.iter().zip(b).map(|(a, b)| compare_values(a, b)).find(|o| o.is_ne());
            unequal.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_maps(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// Integers exactly, all else as floats.
fn compare_numbers(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return a.cmp(&b);
    }
    let (a, b) = (a.as_f64().unwrap_or_default(), b.as_f64().unwrap_or_default());
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

type Object = serde_json::Map<String, Value>;

fn compare_maps(a: &Object, b: &Object) -> Ordering {
    let (mut a, mut b): (Vec<_>, Vec<_>) = (a.iter().collect(), b.iter().collect());
    a.sort_by_key(|pair| pair.0);
    b.sort_by_key(|pair| pair.0);
    for (a, b) in a.iter().zip(&b) {
        let order = a.0.cmp(b.0).then_with(|| compare_values(a.1, b.1));
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Whether two values are the same, `1` and `1.0` among them.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => compare_values(a, b).is_eq(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_print_as_the_server_prints_them() {
        let path = Path(vec![
            PathElement::field("spec"),
            PathElement::key([("protocol", json!("TCP")), ("port", json!(80.0))]),
            PathElement::Value(json!("a\"b").into()),
            PathElement::Index(3),
        ]);
        assert_eq!(path.to_string(), r#".spec[port=80,protocol="TCP"][="a\"b"][3]"#);
    }

    #[test]
    fn steps_stand_fields_first_then_keys_values_and_places() {
        let mut steps = [
            PathElement::Index(0),
            PathElement::Value(json!(true).into()),
            PathElement::Value(json!("a").into()),
            PathElement::Value(json!(3).into()),
            PathElement::key([("a", json!(8080))]),
            PathElement::key([("a", json!(443))]),
            PathElement::field("b"),
            PathElement::field("a"),
        ];
        steps.sort();
        let shown: Vec<_> = steps.iter().map(ToString::to_string).collect();
        let want = [".a", ".b", "[a=443]", "[a=8080]", "[=3]", "[=\"a\"]", "[=true]", "[0]"];
        assert_eq!(shown, want);
    }

    #[test]
    fn numbers_are_equal_by_value() {
        assert!(same(&json!({"a": [1]}), &json!({"a": [1.0]})));
        assert!(!same(&json!({"a": null}), &json!({})));
        assert_eq!(PathElement::Value(json!(1).into()), PathElement::Value(json!(1.0).into()));
    }
}
