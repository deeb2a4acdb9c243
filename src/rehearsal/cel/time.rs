//! Times and durations as Go and CEL write them.

use crate::calendar::{date_of, days_to};

/// A moment, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Since 1970.
    pub seconds: i64,
    /// Of the second.
    pub nanos: u32,
}

/// The parts of a moment in one time zone.
pub(super) struct Parts {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    /// From 0, which is Sunday.
    pub(super) weekday: i64,
    /// From 0.
    pub(super) day_of_year: i64,
}

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// The first and the last second that CEL has: of the years 1 and 9999.
const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Digits only, as many as asked for.
fn number(text: &str, from: usize, to: usize) -> Option<i64> {
    let part = text.get(from..to)?;
    part.chars().all(|c| c.is_ascii_digit()).then(|| part.parse().ok())?
}

/// Whether a text is a date as RFC 3339 has it, e.g. `2020-02-29`.
pub fn is_date(text: &str) -> bool {
    text.len() == 10 && parse_date(text).is_some()
}

fn parse_date(text: &str) -> Option<i64> {
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 7)?, number(text, 8, 10)?);
    let dashes = text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let found = days_to(year, month, day);
    (dashes && (1..=12).contains(&month) && date_of(found) == (year, month, day)).then_some(found)
}

/// Reads a time of RFC 3339.
pub fn parse(text: &str) -> Option<Timestamp> {
    let day = parse_date(text)?;
    let (hour, minute, second) =
        (number(text, 11, 13)?, number(text, 14, 16)?, number(text, 17, 19)?);
    let marks = [(10, "T"), (13, ":"), (16, ":")];
    let placed = marks.iter().all(|(at, mark)| text.get(*at..at + 1) == Some(*mark));
    if !placed || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit())?;
        let digits = after.get(..end.min(9)).filter(|digits| !digits.is_empty())?;
        nanos = format!("{digits:0<9}").parse().ok()?;
        rest = &after[end..];
    }
    let offset = zone(rest)?;
    Some(Timestamp { seconds: day * 86_400 + hour * 3600 + minute * 60 + second - offset, nanos })
}

/// Seconds east of Greenwich: `Z`, `+01:00`; `UTC` and hours without a sign are for CEL.
pub(super) fn zone(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "UTC" | "Etc/UTC" | "GMT") {
        return Some(0);
    }
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let fits = text.len() == 5 && text.get(2..3) == Some(":");
    let (hour, minute) = (number(text, 0, 2)?, number(text, 3, 5)?);
    (fits && hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

/// As the API writes times, without a fraction.
pub fn show_seconds(seconds: i64) -> String {
    let Parts { year, month, day, hour, minute, second, .. } =
        Timestamp { seconds, nanos: 0 }.parts(0);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

impl Timestamp {
    pub(super) fn parts(self, offset: i64) -> Parts {
        let local = self.seconds.saturating_add(offset);
        let (day, of_day) = (local.div_euclid(86_400), local.rem_euclid(86_400));
        let (year, month, day_of_month) = date_of(day);
        Parts {
            year,
            month,
            day: day_of_month,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            weekday: (day + 4).rem_euclid(7),
            day_of_year: day - days_to(year, 1, 1),
        }
    }

    /// The moment so many nanoseconds later; `None` outside the years that CEL has.
    pub(super) fn plus(self, nanos: i64) -> Option<Self> {
        let total = i64::from(self.nanos) + nanos.rem_euclid(SECOND);
        let seconds = self.seconds.checked_add(nanos.div_euclid(SECOND) + total / SECOND)?;
        let nanos = u32::try_from(total % SECOND).ok()?;
        RANGE.contains(&seconds).then_some(Self { seconds, nanos })
    }

    /// Nanoseconds since another moment, where 64 bits hold them.
    pub(super) fn since(self, other: Self) -> Option<i64> {
        let seconds = self.seconds.checked_sub(other.seconds)?.checked_mul(SECOND)?;
        seconds.checked_add(i64::from(self.nanos) - i64::from(other.nanos))
    }
}

/// With a fraction where there is one, as Go's `RFC3339Nano`.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = show_seconds(self.seconds);
        if self.nanos == 0 {
            return f.write_str(&whole);
        }
        let fraction = format!("{:09}", self.nanos);
        write!(f, "{}.{}Z", whole.trim_end_matches('Z'), fraction.trim_end_matches('0'))
    }
}

/// Reads a duration of Go, e.g. `1h30m` or `-1.5s`, in nanoseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(end);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
            return None;
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut part = whole * unit;
        if let Some(fraction) = fraction.get(..fraction.len().min(18)).filter(|f| !f.is_empty()) {
            let digits: i128 = fraction.parse().ok()?;
            part += digits * unit / 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        }
        total += part;
        if total > i128::from(i64::MAX) {
            return None;
        }
        rest = after;
    }
    i64::try_from(sign * total).ok()
}

/// As CEL turns durations into text: seconds, with a fraction where there is one.
pub(super) fn show_duration(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (whole, fraction) = (size / 1_000_000_000, size % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}s");
    }
    let fraction = format!("{fraction:09}");
    format!("{sign}{whole}.{}s", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_back() {
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59.5Z", "0001-01-01T00:00:00Z"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("2020-01-01T01:00:00+01:00"), parse("2020-01-01T00:00:00Z"));
        assert_eq!(parse("2021-02-29T00:00:00Z"), None);
        assert_eq!(parse("2020-01-01T00:00:00"), None);
    }

    #[test]
    fn durations_add_their_parts() {
        assert_eq!(parse_duration("1h30m"), Some(5_400 * SECOND));
        assert_eq!(parse_duration("-1.5s"), Some(-SECOND * 3 / 2));
        assert_eq!(parse_duration("1d"), None);
        assert_eq!(show_duration(SECOND * 3 / 2), "1.5s");
    }
}
