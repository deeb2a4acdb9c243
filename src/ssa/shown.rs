//! Values in messages, as Go's `fmt` prints them.

use std::fmt::Write;

use serde_json::{Number, Value};

use crate::yaml::scalar::write_json_float;

/// A value within a printed path. Source: structured-merge-diff `value/value.go`, `ToString`.
pub(super) fn in_path(value: &Value) -> String {
    let mut out = String::new();
    write_in_path(value, &mut out);
    out
}

fn write_in_path(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_quoted(text, out),
        Value::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_in_path(value, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            for (name, value) in map {
                let _ = write!(out, "{name}=");
                write_in_path(value, out);
            }
        }
    }
}

/// A value as Go prints it with `%v`, e.g. `map[a:1 b:[x y]]`.
#[must_use]
pub fn go_text(value: &Value) -> String {
    let mut out = String::new();
    write_plain(value, &mut out);
    out
}

/// `%v` of a value that holds `value`.
pub(super) fn plain(value: &Value) -> String {
    let mut out = String::from("&{");
    write_plain(value, &mut out);
    out.push('}');
    out
}

fn write_plain(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => out.push_str(text),
        Value::Array(list) => {
            out.push('[');
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write_plain(value, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (at, (name, value)) in sorted(map).into_iter().enumerate() {
                let space = if at > 0 { " " } else { "" };
                let _ = write!(out, "{space}{name}:");
                write_plain(value, out);
            }
            out.push(']');
        }
    }
}

/// `%#v` of a value that holds `value`.
pub(super) fn as_go(value: &Value) -> String {
    let mut out = String::from("&value.valueUnstructured{Value:");
    write_as_go(value, &mut out);
    out.push('}');
    out
}

fn write_as_go(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("interface {}(nil)"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_quoted(text, out),
        Value::Array(list) => {
            out.push_str("[]interface {}{");
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_as_go(value, out);
            }
            out.push('}');
        }
        Value::Object(map) => {
            out.push_str("map[string]interface {}{");
            for (at, (name, value)) in sorted(map).into_iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_quoted(name, out);
                out.push(':');
                write_as_go(value, out);
            }
            out.push('}');
        }
    }
}

/// `%T` of what a value holds.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn sorted(map: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by_key(|pair| pair.0);
    pairs
}

fn write_number(number: &Number, out: &mut String) {
    match (number.as_i64(), number.as_f64()) {
        (Some(int), _) => {
            let _ = write!(out, "{int}");
        }
        (None, Some(float)) => write_float(float, out),
        (None, None) => {}
    }
}

/// The shortest form, with an exponent of two digits or more below 1e-4 and from 1e21.
fn write_float(float: f64, out: &mut String) {
    let size = float.abs();
    if size == 0.0 || (1e-4..1e21).contains(&size) {
        let _ = write!(out, "{float}");
        return;
    }
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

/// A number as JSON has it in `FieldsV1`.
pub(super) fn write_json_number(number: &Number, out: &mut String) {
    match (number.as_i64(), number.as_f64()) {
        (Some(int), _) => {
            let _ = write!(out, "{int}");
        }
        (None, Some(float)) => write_json_float(float, out),
        (None, None) => {}
    }
}

/// Text in quotes as Go's `%q` has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_quoted(text, &mut out);
    out
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_printable(c) => out.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// Near to `strconv.IsPrint`: spaces, controls, formats and private characters are not printable.
fn is_printable(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}');
    !hidden && !c.is_control() && !c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_print_as_go_prints_them() {
        let value = json!({"b": [1, 2.5, null, true], "a": "x y"});
        assert_eq!(plain(&value), "&{map[a:x y b:[1 2.5 <nil> true]]}");
        let go = r#"map[string]interface {}{"a":"x y", "b":[]interface {}{1, 2.5, interface {}(nil), true}}"#;
        assert_eq!(as_go(&value), format!("&value.valueUnstructured{{Value:{go}}}"));
        assert_eq!(in_path(&json!(1e21)), "1e+21");
        assert_eq!(in_path(&json!(0.00001)), "1e-05");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(quoted("a\u{1}\u{a0}é\u{2028}\n"), r#""a\x01\u00a0é\u2028\n""#);
    }
}
