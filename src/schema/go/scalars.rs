//! Scalars with rules of their own: quantities, times, bytes.

use std::cmp::Ordering;

use crate::calendar::{date_of, days_to};

/// A whole number of 64 bits in decimal digits.
///
/// Source: Go `strconv.ParseInt`.
///
/// # Errors
/// Where it is none, in Go's words.
pub fn int64(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        format!("strconv.ParseInt: parsing {text:?}: {why}")
    })
}

/// A quantity as Go prints it again, e.g. `0.1` as `100m` and `1024Mi` as `1Gi`.
///
/// Source: apimachinery `pkg/api/resource/quantity.go`, `ParseQuantity`, `CanonicalizeBytes`.
///
/// # Errors
/// Where it is none, in Go's words.
pub fn quantity(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "quantities must match the regular expression \
                         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = |text: &str, of: fn(&u8) -> bool| text.bytes().take_while(of).count();
    let (whole, rest) = unsigned.split_at(end(unsigned, u8::is_ascii_digit));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(end(rest, u8::is_ascii_digit)),
        None => ("", rest),
    };
    let letters = end(suffix, |byte| b"eEinumkKMGTP".contains(byte));
    let tail = suffix[letters..].trim_start_matches(['+', '-']);
    let signs = suffix.len() - letters - tail.len();
    if text.is_empty() || signs > 1 || !tail.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    let (base, exponent, form) = interpret(suffix).ok_or("unable to parse quantity's suffix")?;
    if whole.is_empty() && fraction.is_empty() {
        return Err("unable to parse numeric part of quantity");
    }
    let nano = nano(whole, fraction, base, exponent);
    Ok(print(negative, nano, form))
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Base, exponent and form that a suffix stands for.
fn interpret(suffix: &str) -> Option<(u128, i32, Form)> {
    let place = |list: &[&str]| list.iter().position(|known| *known == suffix);
    if let Some(at) = place(&DECIMAL) {
        return Some((10, (i32::try_from(at).ok()? - 3) * 3, Form::Decimal));
    }
    if let Some(at) = place(&BINARY) {
        return Some((1024, i32::try_from(at).ok()?, Form::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((10, exponent.parse().ok()?, Form::Exponent))
}

/// Greatest quantity, in units. Source: apimachinery, `maxAllowed`.
const MOST: u128 = i64::MAX as u128;
/// Thousand-millionths of a unit.
const NANO: u128 = 1_000_000_000;

/// The amount in thousand-millionths, rounded up, at most [`MOST`].
fn nano(whole: &str, fraction: &str, base: u128, exponent: i32) -> u128 {
    let most = MOST * NANO;
    // More digits than these cannot change the result but by rounding.
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let (kept, lost) = fraction.split_at(fraction.len().min(18));
    let digits = format!("{whole}{kept}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return u128::from(!lost.is_empty());
    }
    let Ok(mut amount) = digits.parse::<u128>() else { return most };
    let mut power = 9 - i32::try_from(kept.len()).unwrap_or_default();
    if base == 1024 {
        for _ in 0..exponent {
            amount = amount.saturating_mul(1024);
        }
    } else {
        power = power.saturating_add(exponent);
    }
    for _ in 0..power.clamp(0, 60) {
        amount = amount.saturating_mul(10);
    }
    let mut rest = !lost.is_empty();
    for _ in 0..power.min(0).unsigned_abs().min(60) {
        rest |= !amount.is_multiple_of(10);
        amount /= 10;
    }
    (amount + u128::from(rest)).min(most)
}

fn print(negative: bool, nano: u128, form: Form) -> String {
    if nano == 0 {
        return "0".into();
    }
    let sign = if negative { "-" } else { "" };
    if form == Form::Binary && nano >= 1024 * NANO {
        let mut units = nano.div_ceil(NANO);
        let mut power = 0;
        while power + 1 < BINARY.len() && units.is_multiple_of(1024) {
            units /= 1024;
            power += 1;
        }
        return format!("{sign}{units}{}", BINARY[power]);
    }
    let (mut amount, mut power) = (nano, 0);
    // Without bound for exponents, up to exa for suffixes.
    while amount.is_multiple_of(1000) && (form == Form::Exponent || power + 1 < DECIMAL.len()) {
        amount /= 1000;
        power += 1;
    }
    let exponent = (i32::try_from(power).unwrap_or_default() - 3) * 3;
    match form {
        Form::Exponent if exponent == 0 => format!("{sign}{amount}"),
        Form::Exponent => format!("{sign}{amount}e{exponent}"),
        _ => format!("{sign}{amount}{}", DECIMAL[power]),
    }
}

/// A time as Go prints it again: in UTC, to the second.
///
/// # Errors
/// Where it is none, in Go's words.
pub fn time(text: &str) -> Result<String, String> {
    let moment = Moment::read(text, "2006-01-02T15:04:05Z07:00")?;
    Ok(moment.print(false))
}

/// A time to the microsecond.
///
/// # Errors
/// Where it is none, in Go's words.
pub fn micro_time(text: &str) -> Result<String, String> {
    let moment = Moment::read(text, "2006-01-02T15:04:05.000000Z07:00")?;
    Ok(moment.print(true))
}

/// A time in UTC.
struct Moment {
    seconds: i64,
    micros: u32,
}

impl Moment {
    fn read(text: &str, layout: &str) -> Result<Self, String> {
        let whole = text;
        let mut rest = text;
        let cannot = |rest: &str, part: &str| {
            let (whole, rest) = (time_quote(whole), time_quote(rest));
            format!("parsing time {whole} as {layout:?}: cannot parse {rest} as {part:?}")
        };
        let range = |what: &str| format!("parsing time {}: {what} out of range", time_quote(whole));
        let mut number = |digits: usize, part: &str, before: &str| -> Result<i64, String> {
            rest = rest.strip_prefix(before).ok_or_else(|| cannot(rest, before))?;
            let found = rest.get(..digits).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let value = found.and_then(|text| text.parse().ok());
            let value = value.ok_or_else(|| cannot(rest, part))?;
            rest = &rest[digits..];
            Ok(value)
        };
        let year = number(4, "2006", "")?;
        let month = number(2, "01", "-")?;
        if !(1..=12).contains(&month) {
            return Err(range("month"));
        }
        let day = number(2, "02", "-")?;
        let hour = number(2, "15", "T")?;
        if hour > 23 {
            return Err(range("hour"));
        }
        let minute = number(2, "04", ":")?;
        if minute > 59 {
            return Err(range("minute"));
        }
        let second = number(2, "05", ":")?;
        if second > 59 {
            return Err(range("second"));
        }
        let mut micros = 0;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                let six = format!("{:0<6}", &fraction[..digits.min(6)]);
                micros = six.parse().unwrap_or_default();
                rest = &fraction[digits..];
            }
        }
        let offset = match rest.strip_prefix('Z') {
            Some(after) => {
                rest = after;
                0
            }
            None => {
                let zone = rest.get(..6).and_then(zone).ok_or_else(|| cannot(rest, "Z07:00"))?;
                rest = &rest[6..];
                zone
            }
        };
        if !rest.is_empty() {
            let (whole, rest) = (time_quote(whole), time_quote(rest));
            return Err(format!("parsing time {whole}: extra text: {rest}"));
        }
        if day < 1 || day > days_in(year, month) {
            return Err(range("day"));
        }
        let seconds =
            days_to(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        Ok(Self { seconds, micros })
    }

    fn print(&self, with_micros: bool) -> String {
        let (days, of_day) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = date_of(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        let micros = if with_micros { format!(".{:06}", self.micros) } else { String::new() };
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{micros}Z")
    }
}

/// Text in quotes as Go's package for time has it, which knows but ASCII. Source: Go `time/format.go`, `quote`.
fn time_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=0x7f => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// Seconds east of `+02:00`.
fn zone(text: &str) -> Option<i64> {
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |range| -> Option<i64> {
        let digits: &str = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (two(1..3)?, two(4..6)?);
    (text.get(3..4)? == ":" && hours <= 24 && minutes < 60)
        .then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Bytes in base64 as Go prints them again: without line breaks.
///
/// Source: Go `encoding/base64`, `decodeQuantum`.
///
/// # Errors
/// Where they are none, in Go's words.
pub fn base64(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let corrupt = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let skip = |mut at: usize| {
        while matches!(bytes.get(at), Some(b'\n' | b'\r')) {
            at += 1;
        }
        at
    };
    let (mut at, mut count) = (0, 0);
    // A quantum begins where `count` is a multiple of four.
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\n' | b'\r' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                out.push(char::from(byte));
                count += 1;
            }
            b'=' if count % 4 >= 2 => {
                if count % 4 == 2 {
                    at = skip(at);
                    match bytes.get(at) {
                        None => return corrupt(bytes.len()),
                        Some(b'=') => at += 1,
                        Some(_) => return corrupt(at - 1),
                    }
                }
                at = skip(at);
                if at < bytes.len() {
                    return corrupt(at);
                }
                return Ok(padded(out));
            }
            _ => return corrupt(at - 1),
        }
    }
    match count % 4 {
        0 => Ok(out),
        over => corrupt(at - over),
    }
}

/// Go ignores bits behind the last byte, and prints them as zero.
fn padded(mut out: String) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mask = match out.len().rem_euclid(4).cmp(&2) {
        Ordering::Equal => 0b11_0000,
        _ => 0b11_1100,
    };
    if let Some(last) = out.pop() {
        let value = LETTERS.iter().position(|&letter| char::from(letter) == last);
        out.push(char::from(LETTERS[value.unwrap_or_default() & mask]));
    }
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_64_bits() {
        assert_eq!(int64("+05"), Ok(5));
        assert_eq!(int64("-9223372036854775808"), Ok(i64::MIN));
        let refused = |text: &str, why: &str| {
            let error = format!("strconv.ParseInt: parsing {text:?}: {why}");
            assert_eq!(int64(text), Err(error));
        };
        refused("9223372036854775808", "value out of range");
        for text in ["", "-", "1_0", " 1", "0x1", "1.0"] {
            refused(text, "invalid syntax");
        }
    }

    #[test]
    fn quantities_are_canonical() {
        for (text, canonical) in [
            ("0.1", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000m", "1"),
            ("0.5Ki", "512"),
            ("100000", "100k"),
            ("1e3", "1e3"),
            ("1000e3", "1e6"),
            ("12E2", "1200"),
            ("0", "0"),
            ("0Ki", "0"),
            ("-0.25", "-250m"),
            ("+5", "5"),
            ("0.0000000001", "1n"),
            (".5", "500m"),
            ("1.", "1"),
            ("2048", "2048"),
            ("1025Ki", "1025Ki"),
            ("99999999999999999999", "9223372036854775807"),
            ("1E", "1E"),
            ("1.1Ki", "1127"),
        ] {
            assert_eq!(quantity(text).as_deref(), Ok(canonical), "{text}");
        }
        for wrong in ["", "x", "1x", "1.2.3", "1 Gi", "1m+-2"] {
            assert!(quantity(wrong).unwrap_err().starts_with("quantities must"), "{wrong}");
        }
        assert_eq!(quantity("1KK"), Err("unable to parse quantity's suffix"));
        assert_eq!(quantity("e3"), Err("unable to parse numeric part of quantity"));
    }

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(time("2024-02-29T23:30:00.25-01:00").as_deref(), Ok("2024-03-01T00:30:00Z"));
        assert_eq!(
            micro_time("1969-12-31T23:59:59.5Z").as_deref(),
            Ok("1969-12-31T23:59:59.500000Z")
        );
        assert_eq!(
            time("x").unwrap_err(),
            r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#
        );
        assert_eq!(
            time("ü\"\n").unwrap_err(),
            r#"parsing time "\xc3\xbc\"\x0a" as "2006-01-02T15:04:05Z07:00": cannot parse "\xc3\xbc\"\x0a" as "2006""#
        );
        assert_eq!(
            time("2024-13-01T00:00:00Z").unwrap_err(),
            r#"parsing time "2024-13-01T00:00:00Z": month out of range"#
        );
        assert_eq!(
            time("2023-02-29T00:00:00Z").unwrap_err(),
            r#"parsing time "2023-02-29T00:00:00Z": day out of range"#
        );
        assert!(time("2024-01-01T00:00:00Zé").is_err());
        assert!(time("2024-01-01T00:00:00é1234").is_err());
    }

    #[test]
    fn bytes_lose_their_line_breaks() {
        assert_eq!(base64("AQ\nI=").as_deref(), Ok("AQI="));
        assert_eq!(base64("AR==").as_deref(), Ok("AQ=="));
        for (text, at) in [("not base64!", 3), ("A", 0), ("AQI", 0), ("AQID=", 4), ("AQ==x", 4)] {
            let error = format!("illegal base64 data at input byte {at}");
            assert_eq!(base64(text), Err(error), "{text}");
        }
    }
}
