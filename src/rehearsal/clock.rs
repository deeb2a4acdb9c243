//! The time of a rehearsal: the machine's, or one that stands still until it is moved.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::calendar::{date_of, days_to};

/// Where the time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock, plus what the rehearsal was moved on by.
    System,
    /// This many seconds after 1970, plus what the rehearsal was moved on by: the same run gives
    /// the same answers.
    Fixed(u64),
}

impl Clock {
    /// Seconds since 1970 in UTC, `moved` later than the clock says.
    pub(super) fn seconds(self, moved: Duration) -> u64 {
        let base = match self {
            Self::Fixed(seconds) => seconds,
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
            }
        };
        base.saturating_add(moved.as_secs())
    }
}

/// As the API writes times, e.g. `2026-01-31T08:05:09Z`.
pub(super) fn text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date_of(days.cast_signed());
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of a time as the API writes it, fractions of a second left out.
pub(super) fn read(text: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok().map(i64::from);
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    let (hour, minute, second) = (part(11..13)?, part(14..16)?, part(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !text.ends_with('Z') {
        return None;
    }
    let seconds = days_to(year, month, day.max(1)) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read_alike() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(text(seconds), expected);
            assert_eq!(read(expected), Some(seconds));
        }
        assert_eq!(read("yesterday"), None);
    }
}
