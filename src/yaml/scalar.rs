//! Which type the text of a plain scalar has, and how numbers are printed.
//!
//! Resources are read by go-yaml v3, kustomization files by v2, and both differ from YAML 1.2 in
//! ways that show: `0777` is octal, `1_000` a number, `2001-12-14` a time.
//!
//! Source: go-yaml `resolve.go` of v2 and v3; Go `strconv`, `time.Parse` and `encoding/json`.

use std::borrow::Cow;
use std::fmt::Write;

use super::scan::fold_again;
use super::write;
use crate::value::{Scalar, Style, Tag};

/// What a scalar means, as Go's decoder hands it to the encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer that needs the 64th bit.
    Uint(u64),
    /// Any other number; infinities and NaN have no JSON.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
}

/// The type that go-yaml v3 gives plain text: resources, patches.
#[must_use]
pub fn resolve(text: &str) -> Tag {
    let Some(first) = text.bytes().next() else { return Tag::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => resolve_number(text, first, true),
        b'~' | b'n' | b'N' if is_null(text) => Tag::Null,
        b't' | b'T' | b'f' | b'F' if core_bool(text).is_some() => Tag::Bool,
        b'<' if text == "<<" => Tag::Merge,
        _ => Tag::Str,
    }
}

/// The type that go-yaml v2 gives plain text, where `yes` and `n` are booleans: kustomization files,
/// JSON patches in YAML.
#[must_use]
pub fn resolve_v2(text: &str) -> Tag {
    let Some(first) = text.bytes().next() else { return Tag::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => resolve_number(text, first, false),
        b'~' | b'n' | b'N' if is_null(text) => Tag::Null,
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O'
            if bool_v2(text).is_some() =>
        {
            Tag::Bool
        }
        _ => Tag::Str,
    }
}

/// The value of a boolean word of YAML 1.1, as kustomization files and JSON patches know them.
#[must_use]
pub fn bool_v2(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => core_bool(text),
    }
}

/// What a scalar of a resource means.
///
/// # Errors
/// A message where the text does not agree with its tag: `!!int x`.
pub fn meaning(scalar: &Scalar) -> Result<Meaning<'_>, String> {
    let text = scalar.text.as_str();
    match scalar.style {
        Style::Quoted => Ok(Meaning::Text(Cow::Borrowed(text))),
        Style::Folded => Ok(Meaning::Text(refolded(text))),
        Style::QuotedAs(tag) if resolve(text) == tag => Ok(Meaning::Text(Cow::Borrowed(text))),
        Style::Plain | Style::Bare => plain_meaning(text, resolve(text)),
        Style::QuotedAs(tag) | Style::Tagged(tag) => tagged_meaning(text, tag),
    }
}

/// What a plain scalar means to go-yaml v2: kustomization files, JSON patches in YAML.
#[must_use]
pub fn meaning_v2(text: &str) -> Meaning<'_> {
    match resolve_v2(text) {
        Tag::Bool => Meaning::Bool(bool_v2(text).unwrap_or_default()),
        // Kept as it is written "for backward compatibility", as v2 says.
        Tag::Timestamp => Meaning::Text(Cow::Borrowed(text)),
        Tag::Int | Tag::Float => number(text, false).unwrap_or(Meaning::Text(Cow::Borrowed(text))),
        Tag::Null => Meaning::Null,
        Tag::Str | Tag::Binary | Tag::Merge => Meaning::Text(Cow::Borrowed(text)),
    }
}

/// What becomes of a folded text that kustomize prints and reads again, as it does on the way to JSON.
///
/// What cannot be a block is put in quotes, which keep it as it is.
fn refolded(text: &str) -> Cow<'_, str> {
    let ends_well = !text.ends_with("\n\n") && !text.starts_with([' ', '\n']);
    let is_one_line = ends_well && !text.trim_end_matches('\n').contains('\n');
    match is_one_line || !write::stays_block(text) {
        true => Cow::Borrowed(text),
        false => fold_again(text).map_or(Cow::Borrowed(text), Cow::Owned),
    }
}

fn plain_meaning(text: &str, tag: Tag) -> Result<Meaning<'_>, String> {
    let as_text = || Meaning::Text(Cow::Borrowed(text));
    Ok(match tag {
        Tag::Null => Meaning::Null,
        Tag::Bool => Meaning::Bool(core_bool(text).unwrap_or_default()),
        Tag::Int | Tag::Float => number(text, true).unwrap_or_else(as_text),
        Tag::Timestamp => return time_meaning(text),
        Tag::Str | Tag::Binary | Tag::Merge => as_text(),
    })
}

fn time_meaning(text: &str) -> Result<Meaning<'_>, String> {
    let time = timestamp(text).ok_or_else(|| disagrees(text, Tag::Timestamp))?;
    // Go reads a zone of 24 hours, and does not print it.
    let zone = time.split('T').nth(1).and_then(|clock| clock.split(['+', '-']).nth(1));
    if zone.is_some_and(|zone| zone >= "24") {
        return Err(format!("time \"{text}\" has a zone beyond 23 hours"));
    }
    Ok(Meaning::Text(time.into()))
}

fn tagged_meaning(text: &str, tag: Tag) -> Result<Meaning<'_>, String> {
    match tag {
        Tag::Str | Tag::Merge => return Ok(Meaning::Text(Cow::Borrowed(text))),
        // A blank in brackets: null to every step, but printed as the empty text.
        Tag::Null if text.is_empty() => return Ok(Meaning::Text(Cow::Borrowed(text))),
        Tag::Binary => return binary(text).map(|text| Meaning::Text(text.into())),
        Tag::Timestamp => return time_meaning(text),
        Tag::Null | Tag::Bool | Tag::Int | Tag::Float => {}
    }
    let found = match resolve(text) {
        // A time is looked for in untagged text only.
        Tag::Timestamp => Tag::Str,
        found => found,
    };
    match (tag, plain_meaning(text, found)?) {
        (Tag::Float, Meaning::Int(int)) => Ok(Meaning::Float(int as f64)),
        (_, meaning) if found == tag => Ok(meaning),
        _ => Err(disagrees(text, tag)),
    }
}

fn disagrees(text: &str, tag: Tag) -> String {
    format!("cannot read \"{text}\" as {}", tag_name(tag))
}

/// The short form of a tag.
pub(super) fn tag_name(tag: Tag) -> &'static str {
    match tag {
        Tag::Null => "!!null",
        Tag::Bool => "!!bool",
        Tag::Int => "!!int",
        Tag::Float => "!!float",
        Tag::Str => "!!str",
        Tag::Timestamp => "!!timestamp",
        Tag::Binary => "!!binary",
        Tag::Merge => "!!merge",
    }
}

/// The text of a `!!binary` scalar; bytes that are no UTF-8 become U+FFFD, as in Go's JSON.
fn binary(text: &str) -> Result<String, String> {
    use base64::Engine;
    // Go skips line breaks within base64, and nothing else.
    let joined: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(joined)
        .map_err(|_| "!!binary value is no base64".to_owned())?;
    // One for each byte, as Go counts them.
    Ok(bytes.utf8_chunks().fold(String::new(), |text, chunk| {
        text + chunk.valid() + &"\u{fffd}".repeat(chunk.invalid().len())
    }))
}

pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "~" | "null" | "Null" | "NULL")
}

fn core_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Whether text is an integer as it is printed: up to eighteen digits, the first of several no zero.
#[must_use]
pub fn is_plain_integer(text: &str) -> bool {
    let has_size = match text.as_bytes() {
        [b'0'..=b'9'] => true,
        [b'1'..=b'9', ..] => text.len() <= 18,
        _ => false,
    };
    has_size && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn resolve_number(text: &str, first: u8, v3: bool) -> Tag {
    if is_plain_integer(text) {
        return Tag::Int;
    }
    if first.is_ascii_digit() && timestamp(text).is_some() {
        return Tag::Timestamp;
    }
    match number(text, v3) {
        Some(Meaning::Float(_)) => Tag::Float,
        Some(_) => Tag::Int,
        None => Tag::Str,
    }
}

/// Reads a number; `octal` says whether `0o17` is one, which v3 added.
fn number(text: &str, octal: bool) -> Option<Meaning<'static>> {
    if let Some(special) = special_float(text) {
        return Some(Meaning::Float(special));
    }
    if text.starts_with('.') {
        return go_float(text).map(Meaning::Float);
    }
    // Most text that begins with a digit is an IP address, a version or a time span.
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'+' | b'-')) {
        return None;
    }
    let plain: Cow<'_, str> = match text.contains('_') {
        true => text.replace('_', "").into(),
        false => text.into(),
    };
    go_int(&plain)
        .or_else(|| decimal(&plain).map(Meaning::Float))
        .or_else(|| prefixed(&plain, "0b", 2))
        .or_else(|| if octal { prefixed(&plain, "0o", 8) } else { None })
}

fn special_float(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// `strconv.ParseInt(text, 0, 64)`, then `ParseUint`.
fn go_int(text: &str) -> Option<Meaning<'static>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let signed = digits.len() < text.len();
    let number = magnitude(digits)?;
    if negative {
        return 0i64.checked_sub_unsigned(number).map(Meaning::Int);
    }
    match i64::try_from(number) {
        Ok(int) => Some(Meaning::Int(int)),
        // `ParseUint` takes no sign.
        Err(_) if signed => None,
        Err(_) => Some(Meaning::Uint(number)),
    }
}

fn magnitude(digits: &str) -> Option<u64> {
    let bytes = digits.as_bytes();
    let (radix, digits) = match bytes {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    unsigned(digits, radix)
}

fn unsigned(digits: &str, radix: u32) -> Option<u64> {
    // Rust takes a sign here, Go does not.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// A prefix that Go takes off itself, so that a sign may follow it: `0b-1`.
fn prefixed(text: &str, prefix: &str, radix: u32) -> Option<Meaning<'static>> {
    if let Some(digits) = text.strip_prefix(prefix) {
        return i64::from_str_radix(digits, radix).map(Meaning::Int).ok();
    }
    let digits = text.strip_prefix('-')?.strip_prefix(prefix)?;
    0i64.checked_sub_unsigned(unsigned(digits, radix)?).map(Meaning::Int)
}

/// A float as go-yaml's pattern allows it: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let some_digits = |text: &str| !text.is_empty() && digits(text);
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => some_digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => some_digits(mantissa),
    };
    let exponent_fits =
        exponent.is_none_or(|e| some_digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    if !(mantissa_fits && exponent_fits) {
        return None;
    }
    // Too large a number is text, too small a one is zero.
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// `strconv.ParseFloat` for text that begins with a dot: single underscores between digits are fine.
fn go_float(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return decimal(text);
    }
    let bytes = text.as_bytes();
    let digit_at = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let well_placed = (0..bytes.len())
        .filter(|&i| bytes[i] == b'_')
        .all(|i| i > 0 && digit_at(i - 1) && digit_at(i + 1));
    if well_placed { decimal(&text.replace('_', "")) } else { None }
}

/// The time that plain text stands for, in RFC 3339 as Go prints it, e.g. `2001-12-14T00:00:00Z`.
///
/// Forms: `2006-1-2`, `2006-1-2T15:4:5.9Z07:00` (also with `t`) and `2006-1-2 15:4:5.9`.
#[must_use]
pub fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || bytes[4] != b'-' || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let year: u32 = text[..4].parse().ok()?;
    let mut rest = &bytes[5..];
    let month = one_or_two_digits(&mut rest)?;
    take(&mut rest, b'-')?;
    let day = one_or_two_digits(&mut rest)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let mut out = format!("{year:04}-{month:02}-{day:02}T");
    match rest {
        [] => out.push_str("00:00:00Z"),
        [b'T' | b't', time @ ..] => zone(clock(time, &mut out)?, &mut out)?,
        [b' ', ..] => {
            let time = rest.trim_ascii_start();
            if !clock(time, &mut out)?.is_empty() {
                return None;
            }
            out.push('Z');
        }
        _ => return None,
    }
    Some(out)
}

fn take(rest: &mut &[u8], expected: u8) -> Option<()> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    (first == expected).then_some(())
}

fn one_or_two_digits(rest: &mut &[u8]) -> Option<u32> {
    let length = rest.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let number = rest[..length].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    *rest = &rest[length..];
    Some(number)
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Copies `15:4:5.9` to `out` in full and gives back what follows it.
fn clock<'a>(mut rest: &'a [u8], out: &mut String) -> Option<&'a [u8]> {
    let hour = one_or_two_digits(&mut rest)?;
    take(&mut rest, b':')?;
    let minute = one_or_two_digits(&mut rest)?;
    take(&mut rest, b':')?;
    let second = one_or_two_digits(&mut rest)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let _ = write!(out, "{hour:02}:{minute:02}:{second:02}");
    let [b'.' | b',', b'0'..=b'9', ..] = rest else { return Some(rest) };
    let length = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, after) = rest[1..].split_at(length);
    // Nanoseconds, cut off, without zeros at the end.
    let kept = &fraction[..length.min(9)];
    let kept = &kept[..kept.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1)];
    if !kept.is_empty() {
        out.push('.');
        out.extend(kept.iter().map(|&b| char::from(b)));
    }
    Some(after)
}

fn zone(mut rest: &[u8], out: &mut String) -> Option<()> {
    if rest == b"Z" {
        out.push('Z');
        return Some(());
    }
    if rest.len() != 6 {
        return None;
    }
    let sign = char::from(rest[0]);
    rest = &rest[1..];
    let hours = one_or_two_digits(&mut rest)?;
    take(&mut rest, b':')?;
    let minutes = one_or_two_digits(&mut rest)?;
    if !matches!(sign, '+' | '-') || !rest.is_empty() || hours > 24 || minutes > 60 {
        return None;
    }
    if hours == 0 && minutes == 0 {
        out.push('Z');
    } else {
        let _ = write!(out, "{sign}{:02}:{:02}", hours + minutes / 60, minutes % 60);
    }
    Some(())
}

/// Appends a float as Go's `FormatFloat(float, 'g', -1, 64)` prints it: `1.5`, `1e+20`, `1e-07`.
pub fn write_float(float: f64, out: &mut String) {
    let exponent = decimal_exponent(float);
    // Go's shortest form changes to an exponent at 21 digits, but go-yaml's at 6.
    if (-4..6).contains(&exponent) {
        let _ = write!(out, "{float}");
    } else {
        write_scientific(float, 2, out);
    }
}

/// Appends a float as Go's JSON prints it: with an exponent below 1e-6 and from 1e21.
pub fn write_json_float(float: f64, out: &mut String) {
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write_scientific(float, 1, out);
    } else {
        let _ = write!(out, "{float}");
    }
}

/// What a float is to Go once it was JSON: an integer, where it is a whole number that fits 64 bits.
#[must_use]
pub fn through_json(float: f64) -> Meaning<'static> {
    let mut text = String::new();
    write_json_float(float, &mut text);
    match meaning_v2(&text) {
        Meaning::Int(int) => Meaning::Int(int),
        Meaning::Uint(int) => Meaning::Uint(int),
        _ => Meaning::Float(float),
    }
}

fn decimal_exponent(float: f64) -> i32 {
    if float == 0.0 {
        return 0;
    }
    let text = format!("{float:e}");
    text.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or_default()
}

/// `exponent_digits` is the least number of digits in the exponent.
fn write_scientific(float: f64, exponent_digits: usize, out: &mut String) {
    let text = format!("{float:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let _ = write!(out, "{mantissa}e{sign}{exponent:0>exponent_digits$}");
}
