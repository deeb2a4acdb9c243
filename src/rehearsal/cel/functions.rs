//! The functions that expressions may call.
//!
//! Source: the standard definitions of CEL, cel-go `ext/{strings,lists,sets,math,encoders}.go`,
//! apiserver `pkg/cel/library/{lists,regex,urls,ip,cidr,quantity,semver,format}.go`.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::eval::{Scope, no_overload, overflow, seconds};
use super::parse::Operator;
use super::time::{self, SECOND, Timestamp};
use super::value::{Semver, Url, Value};
use crate::pattern;

/// Most bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

type Outcome = Result<Value, String>;

/// Whether a word before a dot belongs to the names of functions.
pub(super) fn is_space(name: &str) -> bool {
    matches!(
        name,
        "base64"
            | "format"
            | "ip"
            | "jsonpatch"
            | "lists"
            | "math"
            | "optional"
            | "sets"
            | "strings"
    )
}

/// A type that has a name of its own.
pub(super) fn type_named(name: &str) -> Option<Value> {
    const TYPES: [&str; 10] =
        ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
    TYPES.into_iter().find(|known| *known == name).map(Value::Type)
}

/// A value as errors show it.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Double(number) => show_double(*number),
        Value::Bool(flag) => flag.to_string(),
        other => other.type_name().to_owned(),
    }
}

fn show_double(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        crate::rehearsal::crd::go_float_text(number)
    }
}

fn integer(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Calls a function. `method` says whether the first value stood before the dot.
pub(super) fn call(scope: &mut Scope<'_>, name: &str, method: bool, values: &[Value]) -> Outcome {
    let found = match (name, values) {
        ("size", [value]) => match value {
            Value::Text(text) => Some(integer(text.chars().count())),
            Value::Bytes(bytes) => Some(integer(bytes.len())),
            Value::List(list) => Some(integer(list.len())),
            Value::Map(map) => Some(integer(map.len())),
            _ => None,
        },
        ("dyn", [value]) => Some(value.clone()),
        ("type", [value]) => Some(Value::Type(value.type_name())),
        (
            "int" | "uint" | "double" | "string" | "bool" | "bytes" | "timestamp" | "duration",
            [value],
        ) if !method => {
            return convert(name, value);
        }
        _ => None,
    };
    if let Some(value) = found {
        return Ok(value);
    }
    let found = match values.first() {
        Some(Value::Text(text)) => text_function(scope, name, text, values)?,
        Some(Value::List(list)) => list_function(scope, name, list, values)?,
        Some(Value::Timestamp(time)) => time_function(name, *time, values),
        Some(Value::Duration(nanos)) => duration_function(name, *nanos, values),
        Some(Value::Optional(inner)) => optional_function(name, inner.as_deref(), values)?,
        Some(value @ (Value::Quantity(_) | Value::Semver(_))) => amount(name, value, values)?,
        Some(Value::Ip(_) | Value::Cidr(..)) => address(name, values)?,
        Some(Value::Url(url)) => url_function(name, url),
        Some(Value::Format(format)) => match (name, values) {
            ("validate", [_, Value::Text(text)]) => Some(format_faults(format, text)),
            _ => None,
        },
        _ => None,
    };
    match found {
        Some(value) => Ok(value),
        None => spaces(scope, name, values),
    }
}

fn convert(name: &str, value: &Value) -> Outcome {
    let range = |what: &str| format!("{what} overflow");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    let converted = match (name, value) {
        ("int", Value::Int(_))
        | ("uint", Value::UInt(_))
        | ("double", Value::Double(_))
        | ("string", Value::Text(_))
        | ("bool", Value::Bool(_))
        | ("bytes", Value::Bytes(_))
        | ("timestamp", Value::Timestamp(_))
        | ("duration", Value::Duration(_)) => Some(value.clone()),
        ("int", Value::UInt(number)) => {
            Some(Value::Int(i64::try_from(*number).map_err(|_| range("integer"))?))
        }
        ("int", Value::Double(number)) => {
            if number.is_nan() || number.abs() >= 9_223_372_036_854_775_808.0 {
                return Err(range("integer"));
            }
            Some(Value::Int(*number as i64))
        }
        ("int", Value::Text(text)) => text.parse().ok().map(Value::Int),
        ("int", Value::Timestamp(time)) => Some(Value::Int(time.seconds)),
        ("int", Value::Duration(nanos)) => Some(Value::Int(*nanos)),
        ("uint", Value::Int(number)) => {
            Some(Value::UInt(u64::try_from(*number).map_err(|_| range("unsigned integer"))?))
        }
        ("uint", Value::Double(number)) => {
            if number.is_nan() || *number < 0.0 || *number >= 18_446_744_073_709_551_616.0 {
                return Err(range("unsigned integer"));
            }
            Some(Value::UInt(*number as u64))
        }
        ("uint", Value::Text(text)) => text.parse().ok().map(Value::UInt),
        ("double", Value::Text(text)) => text.parse().ok().map(Value::Double),
        ("double", value) => value.float().map(Value::Double),
        ("string", Value::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).ok().map(Value::from),
        ("string", Value::Timestamp(time)) => Some(time.to_string().into()),
        ("string", Value::Duration(nanos)) => Some(time::show_duration(*nanos).into()),
        ("string", Value::Ip(address)) => Some(address.to_string().into()),
        ("string", Value::Cidr(address, length)) => Some(format!("{address}/{length}").into()),
        ("string", Value::Int(_) | Value::UInt(_) | Value::Double(_) | Value::Bool(_)) => {
            Some(show(value).into())
        }
        ("bool", Value::Text(text)) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        ("bytes", Value::Text(text)) => Some(Value::Bytes(text.as_bytes().into())),
        ("timestamp", Value::Text(text)) => time::parse(text).map(Value::Timestamp),
        ("timestamp", Value::Int(seconds)) => {
            Timestamp { seconds: *seconds, nanos: 0 }.plus(0).map(Value::Timestamp)
        }
        ("duration", Value::Text(text)) => time::parse_duration(text).map(Value::Duration),
        ("duration", Value::Int(count)) => seconds(*count).map(Value::Duration),
        _ => return Err(no_overload()),
    };
    let from = value.type_name();
    converted.ok_or_else(|| format!("type conversion error from '{from}' to '{name}'"))
}

/// A place in characters.
fn place(value: &Value, length: usize) -> Result<usize, String> {
    match value {
        Value::Int(at) => usize::try_from(*at)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| format!("index out of range: {at}")),
        _ => Err(no_overload()),
    }
}

fn slice(chars: &[char]) -> Value {
    chars.iter().collect::<String>().into()
}

fn regex(pattern: &str) -> Result<regex::Regex, String> {
    pattern::compile(pattern, PATTERN_BYTES)
        .map_err(|error| format!("error parsing regexp: {error}"))
}

fn texts(list: impl Iterator<Item = String>) -> Value {
    Value::list(list.map(Value::from).collect())
}

fn text_function(
    scope: &mut Scope<'_>,
    name: &str,
    text: &Arc<str>,
    values: &[Value],
) -> Result<Option<Value>, String> {
    let chars = || text.chars().collect::<Vec<_>>();
    Ok(Some(match (name, &values[1..]) {
        ("contains", [Value::Text(part)]) => Value::Bool(text.contains(&**part)),
        ("startsWith", [Value::Text(part)]) => Value::Bool(text.starts_with(&**part)),
        ("endsWith", [Value::Text(part)]) => Value::Bool(text.ends_with(&**part)),
        ("matches", [Value::Text(pattern)]) => {
            scope.spend(values[0].size().saturating_mul(values[1].size()))?;
            Value::Bool(regex(pattern)?.is_match(text))
        }
        ("find", [Value::Text(pattern)]) => {
            scope.spend(values[0].size().saturating_mul(values[1].size()))?;
            Value::from(regex(pattern)?.find(text).map_or("", |found| found.as_str()))
        }
        ("findAll", [Value::Text(pattern), rest @ ..]) => {
            scope.spend(values[0].size().saturating_mul(values[1].size()))?;
            let most = match rest {
                [Value::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            let regex = regex(pattern)?;
            texts(regex.find_iter(text).take(most).map(|found| found.as_str().to_owned()))
        }
        ("charAt", [at]) => {
            let chars = chars();
            let at = place(at, chars.len())?;
            slice(&chars[at..(at + 1).min(chars.len())])
        }
        ("indexOf" | "lastIndexOf", [Value::Text(part), from @ ..]) => {
            find_text(name, &chars(), part, from.first())?
        }
        ("lowerAscii", []) => text.to_ascii_lowercase().into(),
        ("upperAscii", []) => text.to_ascii_uppercase().into(),
        ("trim", []) => text.trim().into(),
        ("reverse", []) => text.chars().rev().collect::<String>().into(),
        ("replace", [Value::Text(from), Value::Text(to), rest @ ..]) => {
            let most = match rest {
                [Value::Int(most)] => usize::try_from(*most).unwrap_or(usize::MAX),
                _ => usize::MAX,
            };
            let longest = (text.len() as u64 + 1).saturating_mul(to.len() as u64 + 1);
            scope.spend(longest / 10)?;
            text.replacen(&**from, to, most).into()
        }
        ("split", [Value::Text(separator), rest @ ..]) => split(text, separator, rest.first()),
        ("substring", [from, rest @ ..]) => {
            let chars = chars();
            let start = place(from, chars.len())?;
            let end = rest.first().map_or(Ok(chars.len()), |end| place(end, chars.len()))?;
            if start > end {
                return Err(format!("invalid substring range. start: {start}, end: {end}"));
            }
            slice(&chars[start..end])
        }
        ("format", [Value::List(arguments)]) => format_text(text, arguments)?.into(),
        ("join", _) => return Ok(None),
        ("url", []) => match Url::parse(text) {
            Some(url) => Value::Url(Arc::new(url)),
            None => return Err(format!("URL parse error during conversion from string: {text:?}")),
        },
        ("isURL", []) => Value::Bool(Url::parse(text).is_some()),
        ("ip", []) => match parse_ip(text) {
            Some(address) => Value::Ip(address),
            None => {
                return Err(format!(
                    "IP Address {text:?} parse error during conversion from string"
                ));
            }
        },
        ("isIP", []) => Value::Bool(parse_ip(text).is_some()),
        ("cidr", []) => match parse_cidr(text) {
            Some((address, length)) => Value::Cidr(address, length),
            None => {
                return Err(format!(
                    "network address parse error during conversion from string: {text:?}"
                ));
            }
        },
        ("isCIDR", []) => Value::Bool(parse_cidr(text).is_some()),
        ("quantity", []) => match parse_quantity(text) {
            Some(amount) => Value::Quantity(amount),
            None => {
                let error = "quantities must match the regular expression \
                    '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
                return Err(error.to_owned());
            }
        },
        ("isQuantity", []) => Value::Bool(parse_quantity(text).is_some()),
        ("semver", normalize) => match parse_semver(text, normalize) {
            Some(version) => Value::Semver(Arc::new(version)),
            None => return Err(format!("Invalid Semantic Version: {text:?}")),
        },
        ("isSemver", normalize) => Value::Bool(parse_semver(text, normalize).is_some()),
        _ => return Ok(None),
    }))
}

fn find_text(
    name: &str,
    chars: &[char],
    part: &str,
    from: Option<&Value>,
) -> Result<Value, String> {
    let part: Vec<char> = part.chars().collect();
    let last = chars.len().checked_sub(part.len());
    let fits = |at: &usize| chars[*at..*at + part.len()] == *part;
    let start = from.map(|from| place(from, chars.len())).transpose()?;
    let found = last.and_then(|last| match name {
        "indexOf" => (start.unwrap_or_default()..=last).find(fits),
        _ => (0..=last.min(start.unwrap_or(last))).rev().find(fits),
    });
    Ok(found.map_or(Value::Int(-1), integer))
}

fn split(text: &str, separator: &str, most: Option<&Value>) -> Value {
    let most = match most {
        Some(Value::Int(most)) => usize::try_from(*most).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    if most == 0 {
        return Value::list(Vec::new());
    }
    if separator.is_empty() {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        if parts.len() > most {
            let rest = parts.split_off(most - 1).concat();
            parts.push(rest);
        }
        return texts(parts.into_iter());
    }
    texts(text.splitn(most, separator).map(str::to_owned))
}

/// `'%s is %d'.format([…])`.
fn format_text(text: &str, arguments: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut precision = None;
        let mut verb = chars.next().ok_or("unexpected end of string")?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        if verb == '.' {
            let mut digits = String::new();
            verb = loop {
                let c = chars.next().ok_or("unexpected end of string")?;
                if !c.is_ascii_digit() {
                    break c;
                }
                digits.push(c);
            };
            precision = digits.parse::<usize>().ok().map(|count| count.min(100));
        }
        let argument = arguments.next().ok_or_else(|| "index 0 out of range".to_owned())?;
        let wrong = || format!("error during formatting: no such overload for %{verb}");
        match (verb, argument) {
            ('s', value) => out.push_str(&plain(value)),
            ('d', Value::Int(_) | Value::UInt(_)) => out.push_str(&show(argument)),
            ('d', Value::Double(number)) if !number.is_finite() => out.push_str(&show(argument)),
            ('f', value) => {
                let number = value.float().ok_or_else(wrong)?;
                out.push_str(&format!("{number:.*}", precision.unwrap_or(6)));
            }
            ('e', value) => {
                let number = value.float().ok_or_else(wrong)?;
                let shown = format!("{number:.*e}", precision.unwrap_or(6));
                let (digits, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
                let (sign, exponent) =
                    exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
                out.push_str(&format!("{digits}e{sign}{exponent:0>2}"));
            }
            ('b', Value::Int(number)) => {
                let sign = if *number < 0 { "-" } else { "" };
                out.push_str(&format!("{sign}{:b}", number.unsigned_abs()));
            }
            ('b', Value::UInt(number)) => out.push_str(&format!("{number:b}")),
            ('b', Value::Bool(flag)) => out.push_str(if *flag { "1" } else { "0" }),
            ('o', Value::Int(number)) => out.push_str(&format!("{number:o}")),
            ('o', Value::UInt(number)) => out.push_str(&format!("{number:o}")),
            ('x', Value::Int(number)) => out.push_str(&format!("{number:x}")),
            ('x', Value::UInt(number)) => out.push_str(&format!("{number:x}")),
            ('X', Value::Int(number)) => out.push_str(&format!("{number:X}")),
            ('X', Value::UInt(number)) => out.push_str(&format!("{number:X}")),
            ('x' | 'X', Value::Text(text)) => {
                for byte in text.bytes() {
                    let hex = format!("{byte:02x}");
                    out.push_str(&if verb == 'X' { hex.to_uppercase() } else { hex });
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(out)
}

/// As `%s` shows a value.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::List(list) => {
            let list: Vec<_> = list.iter().map(plain).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", show(&key.clone().into()), plain(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Timestamp(time) => time.to_string(),
        Value::Duration(nanos) => time::show_duration(*nanos),
        Value::Type(name) => (*name).to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Ip(address) => address.to_string(),
        Value::Cidr(address, length) => format!("{address}/{length}"),
        other => show(other),
    }
}

fn list_function(
    scope: &mut Scope<'_>,
    name: &str,
    list: &Arc<Vec<Value>>,
    values: &[Value],
) -> Result<Option<Value>, String> {
    let order = |a: &Value, b: &Value| a.compare(b).ok_or_else(no_overload);
    Ok(Some(match (name, &values[1..]) {
        ("isSorted", []) => {
            let mut sorted = true;
            for pair in list.windows(2) {
                sorted &= order(&pair[0], &pair[1])?.is_le();
            }
            Value::Bool(sorted)
        }
        ("sum", []) => {
            let mut sum = list.first().cloned().unwrap_or(Value::Int(0));
            for value in list.iter().skip(1) {
                sum = scope.binary(Operator::Add, &sum, value)?;
            }
            sum
        }
        ("min" | "max", []) => {
            let mut best = list.first().ok_or_else(|| format!("{name} called on empty list"))?;
            for value in list.iter() {
                let less = order(value, best)?.is_lt();
                let more = order(value, best)?.is_gt();
                if (name == "min" && less) || (name == "max" && more) {
                    best = value;
                }
            }
            best.clone()
        }
        ("indexOf", [wanted]) => {
            let found = list.iter().position(|value| value.equals(wanted));
            found.map_or(Value::Int(-1), integer)
        }
        ("lastIndexOf", [wanted]) => {
            let found = list.iter().rposition(|value| value.equals(wanted));
            found.map_or(Value::Int(-1), integer)
        }
        ("join", rest) => {
            let separator = match rest {
                [] => "",
                [Value::Text(separator)] => separator,
                _ => return Ok(None),
            };
            let mut parts = Vec::with_capacity(list.len());
            for value in list.iter() {
                match value {
                    Value::Text(text) => parts.push(&**text),
                    _ => return Err(no_overload()),
                }
            }
            parts.join(separator).into()
        }
        ("reverse", []) => Value::list(list.iter().rev().cloned().collect()),
        ("distinct", []) => {
            let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
            scope.spend(count.saturating_mul(count))?;
            let mut seen: Vec<Value> = Vec::new();
            for value in list.iter() {
                if !seen.iter().any(|known| known.equals(value)) {
                    seen.push(value.clone());
                }
            }
            Value::list(seen)
        }
        ("sort", []) => {
            for pair in list.windows(2) {
                order(&pair[0], &pair[1])?;
            }
            let mut sorted = list.to_vec();
            sorted.sort_by(|a, b| a.compare(b).unwrap_or(std::cmp::Ordering::Equal));
            Value::list(sorted)
        }
        ("slice", [from, to]) => {
            let (from, to) = (place(from, list.len())?, place(to, list.len())?);
            if from > to {
                return Err(format!(
                    "cannot slice({from}, {to}), start index must be less than or equal to end index"
                ));
            }
            Value::list(list[from..to].to_vec())
        }
        ("flatten", rest) => {
            let depth = match rest {
                [] => 1,
                [Value::Int(depth)] if *depth >= 0 => (*depth).min(16),
                _ => return Ok(None),
            };
            let mut out = Vec::new();
            flatten(list, depth, &mut out);
            scope.spend(u64::try_from(out.len()).unwrap_or(u64::MAX))?;
            Value::list(out)
        }
        ("first" | "last", []) => {
            let found = if name == "first" { list.first() } else { list.last() };
            Value::Optional(found.cloned().map(Arc::new))
        }
        ("sets.contains" | "sets.intersects" | "sets.equivalent", [other]) => {
            scope.spend(values[0].size().saturating_mul(values[1].size()))?;
            return sets(name, list, other).map(Some);
        }
        _ => return Ok(None),
    }))
}

fn flatten(list: &[Value], depth: i64, out: &mut Vec<Value>) {
    for value in list {
        match value {
            Value::List(inner) if depth > 0 => flatten(inner, depth - 1, out),
            value => out.push(value.clone()),
        }
    }
}

fn sets(name: &str, list: &[Value], other: &Value) -> Outcome {
    let Value::List(other) = other else { return Err(no_overload()) };
    let has = |list: &[Value], wanted: &Value| list.iter().any(|value| value.equals(wanted));
    let contains = other.iter().all(|value| has(list, value));
    Ok(Value::Bool(match name {
        "sets.contains" => contains,
        "sets.intersects" => other.iter().any(|value| has(list, value)),
        _ => contains && list.iter().all(|value| has(other, value)),
    }))
}

fn time_function(name: &str, at: Timestamp, values: &[Value]) -> Option<Value> {
    let offset = match &values[1..] {
        [] => 0,
        [Value::Text(zone)] => time::zone(zone)?,
        _ => return None,
    };
    let parts = at.parts(offset);
    Some(Value::Int(match name {
        "getFullYear" => parts.year,
        "getMonth" => parts.month - 1,
        "getDate" => parts.day,
        "getDayOfMonth" => parts.day - 1,
        "getDayOfWeek" => parts.weekday,
        "getDayOfYear" => parts.day_of_year,
        "getHours" => parts.hour,
        "getMinutes" => parts.minute,
        "getSeconds" => parts.second,
        "getMilliseconds" => i64::from(at.nanos / 1_000_000),
        _ => return None,
    }))
}

fn duration_function(name: &str, nanos: i64, values: &[Value]) -> Option<Value> {
    if values.len() != 1 {
        return None;
    }
    Some(Value::Int(match name {
        "getHours" => nanos / (3600 * SECOND),
        "getMinutes" => nanos / (60 * SECOND),
        "getSeconds" => nanos / SECOND,
        "getMilliseconds" => nanos % SECOND / 1_000_000,
        _ => return None,
    }))
}

fn optional_function(
    name: &str,
    inner: Option<&Value>,
    values: &[Value],
) -> Result<Option<Value>, String> {
    Ok(Some(match (name, inner, &values[1..]) {
        ("hasValue", inner, []) => Value::Bool(inner.is_some()),
        ("value", Some(value), []) | ("orValue", Some(value), [_]) => value.clone(),
        ("value", None, []) => return Err("optional.none() dereference".to_owned()),
        ("orValue", None, [other]) => other.clone(),
        ("or", Some(_), [_]) => values[0].clone(),
        ("or", None, [other @ Value::Optional(_)]) => other.clone(),
        _ => return Ok(None),
    }))
}

fn amount(name: &str, value: &Value, values: &[Value]) -> Result<Option<Value>, String> {
    let order = |other: &Value| match (value, other) {
        (Value::Semver(a), Value::Semver(b)) => Some(a.compare(b)),
        (Value::Quantity(a), Value::Quantity(b)) => Some(a.cmp(b)),
        _ => None,
    };
    Ok(Some(match (name, value, &values[1..]) {
        ("isGreaterThan", _, [other]) => Value::Bool(order(other).ok_or_else(no_overload)?.is_gt()),
        ("isLessThan", _, [other]) => Value::Bool(order(other).ok_or_else(no_overload)?.is_lt()),
        ("compareTo", _, [other]) => Value::Int(order(other).ok_or_else(no_overload)? as i64),
        ("major", Value::Semver(version), []) => number(version.numbers[0])?,
        ("minor", Value::Semver(version), []) => number(version.numbers[1])?,
        ("patch", Value::Semver(version), []) => number(version.numbers[2])?,
        ("sign", Value::Quantity(amount), []) => {
            Value::Int(i64::try_from(amount.signum()).unwrap_or_default())
        }
        ("isInteger", Value::Quantity(amount), []) => {
            Value::Bool(amount % BILLION == 0 && i64::try_from(amount / BILLION).is_ok())
        }
        ("asInteger", Value::Quantity(amount), []) => {
            let whole = (amount % BILLION == 0).then(|| i64::try_from(amount / BILLION).ok());
            Value::Int(whole.flatten().ok_or("cannot convert value to integer")?)
        }
        #[expect(clippy::cast_precision_loss, reason = "an approximation by its name")]
        ("asApproximateFloat", Value::Quantity(amount), []) => {
            Value::Double(*amount as f64 / BILLION as f64)
        }
        ("add" | "sub", Value::Quantity(amount), [other]) => {
            let other = match other {
                Value::Quantity(other) => *other,
                Value::Int(other) => i128::from(*other) * BILLION,
                _ => return Ok(None),
            };
            let sum = match name {
                "add" => amount.checked_add(other),
                _ => amount.checked_sub(other),
            };
            Value::Quantity(sum.ok_or_else(overflow)?)
        }
        _ => return Ok(None),
    }))
}

fn number(number: u64) -> Outcome {
    i64::try_from(number).map(Value::Int).map_err(|_| overflow())
}

const BILLION: i128 = 1_000_000_000;

/// Reads an amount, rounded up to a billionth.
fn parse_quantity(text: &str) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, suffix) = rest.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || digits.len() > 24 {
        return None;
    }
    let unscaled: i128 = format!("0{whole}{fraction}").parse().ok()?;
    // What is left is the number times ten to the `power`, times two to the `shift`.
    let (power, shift): (i32, u32) = match suffix {
        "" => (0, 0),
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        suffix => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            (exponent.parse::<i32>().ok().filter(|power| power.abs() <= 18)?, 0)
        }
    };
    let power = power + 9 - i32::try_from(fraction.len()).ok()?;
    let shifted = unscaled.checked_mul(1_i128.checked_shl(shift)?)?;
    let scale = 10_i128.checked_pow(power.unsigned_abs())?;
    let value = if power >= 0 {
        shifted.checked_mul(scale)?
    } else {
        shifted / scale + i128::from(shifted % scale != 0)
    };
    Some(if negative { -value } else { value })
}

fn parse_semver(text: &str, normalize: &[Value]) -> Option<Semver> {
    match normalize {
        [] | [Value::Bool(false)] => Semver::parse(text),
        [Value::Bool(true)] => {
            let text = text.strip_prefix('v').unwrap_or(text);
            let end = text.find(['-', '+']).unwrap_or(text.len());
            let (core, rest) = text.split_at(end);
            let mut parts: Vec<_> = core
                .split('.')
                .map(|part| match part.trim_start_matches('0') {
                    "" if !part.is_empty() => "0",
                    part => part,
                })
                .collect();
            while parts.len() < 3 {
                parts.push("0");
            }
            Semver::parse(&format!("{}{rest}", parts.join(".")))
        }
        _ => None,
    }
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    // Addresses of one family within the other, and zones, are refused.
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address = parse_ip(address)?;
    let plain = !length.is_empty()
        && length.chars().all(|c| c.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    let length: u8 = plain.then(|| length.parse().ok())??;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, length))
}

/// The bits of an address, from the left.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
    let kept = bits(address) & mask;
    match address {
        IpAddr::V4(_) => IpAddr::V4(u32::try_from(kept >> 96).unwrap_or_default().into()),
        IpAddr::V6(_) => IpAddr::V6(kept.into()),
    }
}

fn address(name: &str, values: &[Value]) -> Result<Option<Value>, String> {
    let family = |address: &IpAddr| Value::Int(if address.is_ipv4() { 4 } else { 6 });
    Ok(Some(match (name, values) {
        ("family", [Value::Ip(address)]) => family(address),
        ("isUnspecified", [Value::Ip(address)]) => Value::Bool(address.is_unspecified()),
        ("isLoopback", [Value::Ip(address)]) => Value::Bool(address.is_loopback()),
        ("isLinkLocalMulticast", [Value::Ip(address)]) => Value::Bool(match address {
            IpAddr::V4(four) => four.octets()[..3] == [224, 0, 0],
            IpAddr::V6(six) => six.segments()[0] & 0xff0f == 0xff02,
        }),
        ("isLinkLocalUnicast", [Value::Ip(address)]) => Value::Bool(match address {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        }),
        ("isGlobalUnicast", [Value::Ip(address)]) => {
            let special = address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || match address {
                    IpAddr::V4(four) => four.is_broadcast() || four.is_link_local(),
                    IpAddr::V6(six) => six.is_unicast_link_local(),
                };
            Value::Bool(!special)
        }
        ("containsIP", [Value::Cidr(network, length), other]) => {
            let other = match other {
                Value::Ip(address) => *address,
                Value::Text(text) => parse_ip(text).ok_or_else(|| {
                    format!("IP Address {text:?} parse error during conversion from string")
                })?,
                _ => return Ok(None),
            };
            let same = other.is_ipv4() == network.is_ipv4();
            Value::Bool(same && masked(other, *length) == masked(*network, *length))
        }
        ("containsCIDR", [Value::Cidr(network, length), other]) => {
            let (other, other_length) = match other {
                Value::Cidr(address, length) => (*address, *length),
                Value::Text(text) => parse_cidr(text).ok_or_else(|| {
                    format!("network address parse error during conversion from string: {text:?}")
                })?,
                _ => return Ok(None),
            };
            let same = other.is_ipv4() == network.is_ipv4() && other_length >= *length;
            Value::Bool(same && masked(other, *length) == masked(*network, *length))
        }
        ("ip", [Value::Cidr(network, _)]) => Value::Ip(*network),
        ("masked", [Value::Cidr(network, length)]) => {
            Value::Cidr(masked(*network, *length), *length)
        }
        ("prefixLength", [Value::Cidr(_, length)]) => Value::Int((*length).into()),
        _ => return Ok(None),
    }))
}

fn url_function(name: &str, url: &Url) -> Option<Value> {
    let host = match url.host.strip_suffix(&*format!(":{}", url.port)) {
        Some(host) if !url.port.is_empty() => host,
        _ => &*url.host,
    };
    Some(match name {
        "getScheme" => url.scheme.as_str().into(),
        "getHost" => url.host.as_str().into(),
        "getHostname" => host.trim_start_matches('[').trim_end_matches(']').into(),
        "getPort" => url.port.as_str().into(),
        "getEscapedPath" => url.path.as_str().into(),
        "getQuery" => {
            let mut map: std::collections::BTreeMap<_, Vec<Value>> =
                std::collections::BTreeMap::new();
            for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let key = super::value::Key::Text(key.into());
                map.entry(key).or_default().push(value.into());
            }
            let map = map.into_iter().map(|(key, list)| (key, Value::list(list)));
            Value::Map(Arc::new(map.collect()))
        }
        _ => return None,
    })
}

/// Functions that stand alone, most within a space of names.
fn spaces(scope: &mut Scope<'_>, name: &str, values: &[Value]) -> Outcome {
    match (name, values) {
        ("optional.of", [value]) => Ok(Value::Optional(Some(Arc::new(value.clone())))),
        ("optional.none", []) => Ok(Value::Optional(None)),
        ("optional.ofNonZeroValue", [value]) => {
            let zero = match value {
                Value::Null | Value::Bool(false) | Value::Int(0) | Value::UInt(0) => true,
                Value::Double(number) => *number == 0.0,
                Value::Text(text) => text.is_empty(),
                Value::List(list) => list.is_empty(),
                Value::Map(map) => map.is_empty(),
                _ => false,
            };
            Ok(Value::Optional((!zero).then(|| Arc::new(value.clone()))))
        }
        ("strings.quote", [Value::Text(text)]) => Ok(crate::rehearsal::crd::go_quote(text).into()),
        ("lists.range", [Value::Int(count)]) => {
            let count = (*count).max(0);
            scope.spend(count.unsigned_abs())?;
            Ok(Value::list((0..count).map(Value::Int).collect()))
        }
        ("jsonpatch.escapeKey", [Value::Text(key)]) => {
            Ok(key.replace('~', "~0").replace('/', "~1").into())
        }
        ("base64.encode", [Value::Bytes(bytes)]) => Ok(STANDARD.encode(bytes).into()),
        ("base64.decode", [Value::Text(text)]) => {
            let bytes = STANDARD.decode(&**text);
            bytes.map(|bytes| Value::Bytes(bytes.into())).map_err(|error| error.to_string())
        }
        ("ip.isCanonical", [Value::Text(text)]) => {
            Ok(Value::Bool(parse_ip(text).is_some_and(|address| address.to_string() == **text)))
        }
        ("format.named", [Value::Text(name)]) => {
            Ok(Value::Optional(named_format(name).map(|format| Arc::new(Value::Format(format)))))
        }
        (name, []) if name.starts_with("format.") => {
            let format = named_format(name.trim_start_matches("format."));
            format.map(Value::Format).ok_or_else(no_overload)
        }
        (name, values) if name.starts_with("math.") => math(name, values),
        _ => Err(no_overload()),
    }
}

fn named_format(name: &str) -> Option<&'static str> {
    const FORMATS: [&str; 12] = [
        "byte",
        "date",
        "datetime",
        "dns1035Label",
        "dns1035LabelPrefix",
        "dns1123Label",
        "dns1123LabelPrefix",
        "dns1123Subdomain",
        "dns1123SubdomainPrefix",
        "labelValue",
        "qualifiedName",
        "uuid",
    ];
    FORMATS.into_iter().find(|known| *known == name).or((name == "uri").then_some("uri"))
}

/// An optional list of what is wrong.
fn format_faults(format: &str, text: &str) -> Value {
    let faults = crate::rehearsal::crd::named_format_faults(format, text);
    if faults.is_empty() {
        Value::Optional(None)
    } else {
        Value::Optional(Some(Arc::new(texts(faults.into_iter()))))
    }
}

fn math(name: &str, values: &[Value]) -> Outcome {
    let list: Vec<Value> = match values {
        [Value::List(list)] => list.to_vec(),
        values => values.to_vec(),
    };
    match (name, values) {
        ("math.greatest" | "math.least", _) => {
            let mut best = list.first().cloned().ok_or_else(no_overload)?;
            for value in &list {
                let order = value.compare(&best).ok_or_else(no_overload)?;
                if (name == "math.greatest" && order.is_gt())
                    || (name == "math.least" && order.is_lt())
                {
                    best = value.clone();
                }
            }
            Ok(best)
        }
        ("math.abs", [Value::Int(number)]) => {
            number.checked_abs().map(Value::Int).ok_or_else(overflow)
        }
        ("math.abs", [Value::UInt(_)]) => Ok(values[0].clone()),
        ("math.sign", [Value::Int(number)]) => Ok(Value::Int(number.signum())),
        ("math.sign", [Value::UInt(number)]) => Ok(Value::UInt((*number).min(1))),
        ("math.bitAnd", [Value::Int(a), Value::Int(b)]) => Ok(Value::Int(a & b)),
        ("math.bitOr", [Value::Int(a), Value::Int(b)]) => Ok(Value::Int(a | b)),
        ("math.bitXor", [Value::Int(a), Value::Int(b)]) => Ok(Value::Int(a ^ b)),
        ("math.bitNot", [Value::Int(a)]) => Ok(Value::Int(!a)),
        ("math.isNaN", [Value::Double(number)]) => Ok(Value::Bool(number.is_nan())),
        ("math.isInf", [Value::Double(number)]) => Ok(Value::Bool(number.is_infinite())),
        ("math.isFinite", [Value::Double(number)]) => Ok(Value::Bool(number.is_finite())),
        (_, [Value::Double(number)]) => Ok(Value::Double(match name {
            "math.abs" => number.abs(),
            "math.ceil" => number.ceil(),
            "math.floor" => number.floor(),
            "math.round" => number.round(),
            "math.trunc" => number.trunc(),
            "math.sqrt" => number.sqrt(),
            "math.sign" if *number == 0.0 => 0.0,
            "math.sign" => number.signum(),
            _ => return Err(no_overload()),
        })),
        _ => Err(no_overload()),
    }
}
