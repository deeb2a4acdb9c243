//! What a table shows of custom resources, and what field selectors see of them.
//!
//! Source: apiextensions-apiserver `pkg/registry/customresource/tableconvertor`, client-go
//! `util/jsonpath`.

use serde_json::{Value, json};

use super::text::go_json;
use crate::rehearsal::cel::time;

/// One of `additionalPrinterColumns`.
#[derive(Clone, Debug)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub type_name: String,
    format: String,
    description: String,
    priority: i64,
    path: String,
    steps: Option<Vec<Step>>,
}

/// The column that every table has.
const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, \
    although some resources may allow a client to request the generation of an appropriate name \
    automatically. Name is primarily intended for creation idempotence and configuration \
    definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// The column that a table has where the definition names none.
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object \
    was created. It is not guaranteed to be set in happens-before order across separate \
    operations. Clients may not set this value. It is represented in RFC3339 form and is in \
    UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The columns of one version of a kind.
pub(super) fn parse(columns: &Value) -> Vec<Column> {
    match columns.as_array().filter(|list| !list.is_empty()) {
        Some(list) => list.iter().map(Column::parse).collect(),
        None => vec![Column {
            description: AGE.to_owned(),
            ..Column::parse(
                &json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}),
            )
        }],
    }
}

/// The `columnDefinitions` of a table.
pub(super) fn definitions(columns: &[Column]) -> Vec<Value> {
    let name = json!({
        "name": "Name", "type": "string", "format": "name", "description": NAME, "priority": 0,
    });
    std::iter::once(name).chain(columns.iter().map(Column::definition)).collect()
}

/// The cells of one object after its name; `now` is in seconds since 1970.
pub(super) fn cells(columns: &[Column], object: &Value, now: i64) -> Vec<Value> {
    columns.iter().map(|column| column.cell(object, now)).collect()
}

impl Column {
    fn parse(column: &Value) -> Self {
        let text = |key: &str| column[key].as_str().unwrap_or_default().to_owned();
        let path = text("jsonPath");
        Self {
            name: text("name"),
            type_name: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or_default(),
            steps: parse_path(&path),
            path,
        }
    }

    fn definition(&self) -> Value {
        let description = match &*self.description {
            "" => format!("Custom resource definition column (in JSONPath format): {}", self.path),
            own => own.to_owned(),
        };
        json!({
            "name": self.name, "type": self.type_name, "format": self.format,
            "description": description, "priority": self.priority,
        })
    }

    fn cell(&self, object: &Value, now: i64) -> Value {
        let found = self.steps.as_deref().and_then(|steps| find(object, steps));
        let Some(value) = found.as_ref().and_then(|found| found.first()) else {
            return Value::Null;
        };
        match (&*self.type_name, value) {
            (_, Value::Null) if self.type_name != "string" => Value::Null,
            ("string", value) => print(value).into(),
            ("integer", Value::Number(number)) => match number.as_i64() {
                Some(_) => (*value).clone(),
                #[expect(clippy::cast_possible_truncation, reason = "as the server converts it")]
                None => number.as_f64().map(|float| float as i64).into(),
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => (*value).clone(),
            ("date", Value::String(text)) => match time::parse(text) {
                Some(time) => human_duration(now.saturating_sub(time.seconds)).into(),
                None => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

/// A value as text, as a path in a template prints it.
fn print(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => go_json(value),
    }
}

/// What a selector compares, as text.
pub(super) fn select(object: &Value, path: &str) -> String {
    let found = parse_path(path).and_then(|steps| find(object, &steps));
    match found.as_deref() {
        Some([value, ..]) => print(value),
        _ => String::new(),
    }
}

/// How long something is ago, as tables show it. Source: apimachinery `pkg/util/duration`.
fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |whole: i64, first: &str, part: i64, second: &str| match part {
        0 => format!("{whole}{first}"),
        part => format!("{whole}{first}{part}{second}"),
    };
    match seconds {
        ..=-2 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        seconds if seconds < 10 * MINUTE => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        seconds if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        seconds if seconds < 8 * HOUR => two(seconds / HOUR, "h", seconds / MINUTE % 60, "m"),
        seconds if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        seconds if seconds < 8 * DAY => two(seconds / DAY, "d", seconds / HOUR % 24, "h"),
        seconds if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        seconds if seconds < 8 * YEAR => two(seconds / YEAR, "y", seconds / DAY % 365, "d"),
        seconds => format!("{}y", seconds / YEAR),
    }
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    /// `[*]` or `.*`.
    All,
    /// `..name`: the field anywhere below.
    Descend,
    /// `[?(@.type=="Ready")]`: a path, an operator and what is compared with.
    Filter(Vec<Self>, String, Value),
    /// `[?(@.type)]`.
    Exists(Vec<Self>),
}

/// Reads a path; `None` where it is not one of the forms known here.
fn parse_path(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Descend);
            rest = after;
            if !rest.starts_with('[') {
                rest = name(rest, &mut steps)?;
            }
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() && steps.is_empty() {
                break;
            }
            rest = name(after, &mut steps)?;
        } else if let Some(after) = rest.strip_prefix("[?(") {
            let end = after.find(")]")?;
            steps.push(filter(&after[..end])?);
            rest = &after[end + 2..];
        } else if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
        } else {
            return None;
        }
    }
    Some(steps)
}

/// Reads a field name, in which a backslash takes the meaning from a dot.
fn name<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    if name.is_empty() {
        return None;
    }
    steps.push(if name == "*" { Step::All } else { Step::Field(name) });
    Some(&text[end..])
}

/// Where the bracket closes, outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some(at),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(text) = unquote(inner) {
        return Some(Step::Field(text));
    }
    inner.parse().ok().map(Step::Index)
}

fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\'", "'").replace("\\\"", "\""))
}

fn filter(text: &str) -> Option<Step> {
    for operator in ["==", "!=", "<=", ">=", "<", ">"] {
        if let Some((left, right)) = text.split_once(operator) {
            let left = parse_path(left.trim().strip_prefix('@')?)?;
            let right = right.trim();
            let right = match unquote(right) {
                Some(text) => text.into(),
                None => serde_json::from_str(right).ok()?,
            };
            return Some(Step::Filter(left, operator.to_owned(), right));
        }
    }
    parse_path(text.trim().strip_prefix('@')?).map(Step::Exists)
}

/// The values at a path; `None` where the path does not fit the value.
fn find<'a>(value: &'a Value, steps: &[Step]) -> Option<Vec<&'a Value>> {
    let mut values = vec![value];
    for step in steps {
        let mut next = Vec::new();
        for value in values {
            take(value, step, &mut next)?;
        }
        values = next;
    }
    Some(values)
}

fn take<'a>(value: &'a Value, step: &Step, out: &mut Vec<&'a Value>) -> Option<()> {
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => out.extend(map.get(name)),
        // A field of anything else is missing, which is let pass.
        (Step::Field(_), _) => {}
        (Step::Index(at), Value::Array(list)) => {
            let at = if *at < 0 { *at + i64::try_from(list.len()).ok()? } else { *at };
            out.push(list.get(usize::try_from(at).ok()?)?);
        }
        (Step::All, Value::Array(list)) => out.extend(list),
        (Step::All, Value::Object(map)) => out.extend(map.values()),
        (Step::Descend, value) => descend(value, out),
        (Step::Filter(path, operator, right), Value::Array(list)) => {
            out.extend(list.iter().filter(|element| {
                let left = find(element, path);
                left.and_then(|left| left.first().copied())
                    .is_some_and(|left| holds(left, operator, right))
            }));
        }
        (Step::Exists(path), Value::Array(list)) => out.extend(
            list.iter()
                .filter(|element| find(element, path).is_some_and(|found| !found.is_empty())),
        ),
        (Step::Index(_) | Step::Filter(..) | Step::Exists(_), Value::Null) | (Step::All, _) => {}
        _ => return None,
    }
    Some(())
}

fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    out.push(value);
    match value {
        Value::Array(list) => list.iter().for_each(|value| descend(value, out)),
        Value::Object(map) => map.values().for_each(|value| descend(value, out)),
        _ => {}
    }
}

fn holds(left: &Value, operator: &str, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    };
    match operator {
        "==" => order.is_some_and(std::cmp::Ordering::is_eq),
        "!=" => order.is_some_and(std::cmp::Ordering::is_ne),
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        _ => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(object: &Value, path: &str) -> Option<Vec<Value>> {
        Some(find(object, &parse_path(path)?)?.into_iter().cloned().collect())
    }

    #[test]
    fn paths_reach_fields_elements_and_what_a_filter_picks() {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "x"}},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        let ready = r#".status.conditions[?(@.type=="Ready")].status"#;
        assert_eq!(look(&object, ready), Some(vec![json!("True")]));
        assert_eq!(look(&object, r".metadata.labels.a\.b/c"), Some(vec![json!("x")]));
        assert_eq!(look(&object, ".metadata.labels['a.b/c']"), Some(vec![json!("x")]));
        assert_eq!(look(&object, ".status.conditions[1].type"), Some(vec![json!("Other")]));
        assert_eq!(look(&object, ".status.conditions[*].type").unwrap().len(), 2);
        assert_eq!(look(&object, ".none.at.all"), Some(vec![]));
    }

    #[test]
    fn ages_are_short() {
        let shown = [5, 130, 3700, 200_000].map(human_duration);
        assert_eq!(shown, ["5s", "2m10s", "61m", "2d7h"]);
    }
}
