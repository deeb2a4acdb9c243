//! Words that the server's refusals of CRDs and custom resources are made of.

use serde_json::Value;

use crate::rehearsal::Cause;

pub(in crate::rehearsal) use crate::rehearsal::kinds::go::quote;

/// What the server prints for the path of the object itself.
const NO_PATH: &str = "<nil>";

/// A field of what stands at `path`.
pub(super) fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A key of a map, or of a list with keys, at `path`.
pub(super) fn key(path: &str, key: &str) -> String {
    format!("{path}[{key}]")
}

/// An element of the list at `path`.
pub(super) fn index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// A cause at a path, which may be that of the object itself.
pub(super) fn cause(reason: &'static str, path: &str, message: String) -> Cause {
    let field = if path.is_empty() { NO_PATH } else { path };
    Cause { reason, message, field: field.to_owned() }
}

/// A value that may not be.
pub(super) fn invalid(path: &str, value: &Value, detail: &str) -> Cause {
    cause("FieldValueInvalid", path, format!("Invalid value: {}: {detail}", show(value)))
}

/// The same for text.
pub(super) fn invalid_text(path: &str, value: &str, detail: &str) -> Cause {
    cause("FieldValueInvalid", path, format!("Invalid value: {}: {detail}", quote(value)))
}

/// A value that must be there.
pub(super) fn required(path: &str, detail: &str) -> Cause {
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    cause("FieldValueRequired", path, format!("Required value{detail}"))
}

/// A value that may not be there.
pub(super) fn forbidden(path: &str, detail: &str) -> Cause {
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    cause("FieldValueForbidden", path, format!("Forbidden{detail}"))
}

/// A value that is there twice.
pub(super) fn duplicate(path: &str, value: &Value) -> Cause {
    cause("FieldValueDuplicate", path, format!("Duplicate value: {}", show(value)))
}

/// A value that is not one of a list.
pub(super) fn not_supported(path: &str, value: &Value, supported: &[String]) -> Cause {
    let supported: Vec<_> = supported.iter().map(|text| quote(text)).collect();
    let supported = supported.join(", ");
    let message = format!("Unsupported value: {}: supported values: {supported}", show(value));
    cause("FieldValueNotSupported", path, message)
}

/// A value as the server shows it: text in quotes, the rest as Go writes JSON.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        value => go_json(value),
    }
}

/// JSON as Go writes it, where `<`, `>` and `&` are escaped and whole floats have no point.
pub(super) fn go_json(value: &Value) -> String {
    match value {
        Value::Number(number) => go_number(number),
        Value::String(text) => escape(&Value::from(text.as_str()).to_string()),
        Value::Array(list) => {
            let list: Vec<_> = list.iter().map(go_json).collect();
            format!("[{}]", list.join(","))
        }
        Value::Object(map) => {
            let fields: Vec<_> = map
                .iter()
                .map(|(name, value)| {
                    let name = escape(&Value::from(name.as_str()).to_string());
                    format!("{name}:{}", go_json(value))
                })
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        value => value.to_string(),
    }
}

fn escape(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A number as Go writes it in JSON.
fn go_number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go_float(float, 1e21, 1e-6),
        _ => number.to_string(),
    }
}

/// A float as Go's `%v` prints it.
pub(in crate::rehearsal) fn go_float_value(float: f64) -> String {
    go_float(float, 1e21, 1e-4)
}

/// The shortest digits, with an exponent from `large` up and below `small`.
fn go_float(float: f64, large: f64, small: f64) -> String {
    let size = float.abs();
    if size != 0.0 && (size < small || size >= large) {
        let text = format!("{float:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{float}")
}

const DNS_LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters \
    or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
    'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// What is wrong with a label of the DNS that begins with a letter; with several faults, joined.
pub(super) fn dns_1035_label(text: &str) -> Option<String> {
    let mut faults = Vec::new();
    if text.len() > 63 {
        faults.push("must be no more than 63 characters".to_owned());
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !is_label(text) {
        faults.push(DNS_LABEL_1035.to_owned());
    }
    (!faults.is_empty()).then(|| faults.join(","))
}

/// What is wrong with a name with dots.
pub(super) fn subdomain(text: &str) -> Option<String> {
    let mut faults = Vec::new();
    if text.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    if !text.split('.').all(is_label) {
        faults.push(SUBDOMAIN.to_owned());
    }
    (!faults.is_empty()).then(|| faults.join(","))
}

/// Whether text is letters, digits and dashes between letters and digits.
pub(super) fn is_label(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
