//! Quantities: `500m`, `1Gi`, `2e3`.
//!
//! Source: apimachinery `pkg/api/resource/quantity.go`.

use std::cmp::Ordering;

/// The smallest part a quantity can have is a thousand-millionth.
const NANO: i128 = 1_000_000_000;

/// How a quantity was written, which is how it and sums with it are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

/// An amount of a resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity {
    /// In thousand-millionths; what is too large stays at the largest.
    nano: i128,
    format: Format,
}

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    pub(super) const ZERO: Self = Self { nano: 0, format: Format::Decimal };

    /// A whole number.
    pub(super) fn whole(number: i64) -> Self {
        Self { nano: i128::from(number) * NANO, format: Format::Decimal }
    }

    /// `None` where it is not a quantity.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') {
            return None;
        }
        let (format, factor) = scale(suffix)?;
        let mut digits = whole.bytes().chain(part.bytes()).map(|digit| i128::from(digit - b'0'));
        // Digits × factor / 10^places, in nano and rounded up, without loss within the range.
        let mut mantissa: i128 = 0;
        let mut overflow = false;
        for digit in &mut digits {
            match mantissa.checked_mul(10).and_then(|value| value.checked_add(digit)) {
                Some(value) => mantissa = value,
                None => overflow = true,
            }
        }
        let places = i32::try_from(part.len()).ok()?;
        let power = factor.ten + 9 - places;
        let scaled = mantissa.checked_mul(factor.times);
        let nano = match (scaled, overflow) {
            _ if mantissa == 0 && !overflow => 0,
            (Some(scaled), false) => match u32::try_from(power) {
                Ok(up) => 10i128
                    .checked_pow(up)
                    .and_then(|ten| scaled.checked_mul(ten))
                    .unwrap_or(i128::MAX),
                Err(_) => match 10i128.checked_pow(power.unsigned_abs()) {
                    Some(ten) => scaled / ten + i128::from(scaled % ten != 0),
                    None => i128::from(scaled != 0),
                },
            },
            _ => i128::MAX,
        };
        Some(Self { nano: if negative { -nano } else { nano }, format })
    }

    /// What a manifest holds: text or a number; 0 where it is none.
    pub(super) fn of(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::parse(text).unwrap_or(Self::ZERO),
            serde_json::Value::Number(number) => {
                Self::parse(&number.to_string()).unwrap_or(Self::ZERO)
            }
            _ => Self::ZERO,
        }
    }

    pub(super) fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// The whole number that it is, rounded up.
    pub(super) fn value(self) -> i128 {
        self.nano / NANO + i128::from(self.nano % NANO > 0)
    }

    pub(super) fn is_zero(self) -> bool {
        self.nano == 0
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano.saturating_add(other.nano), format }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        let format = if self.nano == 0 { other.format } else { self.format };
        Self { nano: self.nano.saturating_sub(other.nano), format }
    }

    /// In thousandths, rounded up, as ratios are computed.
    pub(super) fn milli(self) -> i128 {
        let million = 1_000_000;
        self.nano / million + i128::from(self.nano % million > 0)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.nano.cmp(&other.nano))
    }
}

/// The canonical form: no fraction, the largest suffix that leaves none.
impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let small = self.nano.abs() < 1024 * NANO;
        if self.format == Format::Binary && !small {
            let mut number = self.nano / NANO + i128::from(self.nano % NANO > 0);
            let mut suffix = "";
            for next in BINARY {
                if number % 1024 != 0 {
                    break;
                }
                number /= 1024;
                suffix = next;
            }
            return write!(f, "{number}{suffix}");
        }
        let mut number = self.nano;
        let mut at = 0;
        while at + 1 < DECIMAL.len() && number % 1000 == 0 {
            number /= 1000;
            at += 1;
        }
        let (suffix, power) = DECIMAL[at];
        match (self.format, power) {
            (Format::Exponent, 0) | (Format::Decimal | Format::Binary, _) => {
                write!(f, "{number}{suffix}")
            }
            (Format::Exponent, power) => write!(f, "{number}e{power}"),
        }
    }
}

struct Factor {
    times: i128,
    ten: i32,
}

fn scale(suffix: &str) -> Option<(Format, Factor)> {
    if let Some((_, ten)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Format::Decimal, Factor { times: 1, ten: *ten }));
    }
    if let Some(at) = BINARY.iter().position(|name| *name == suffix) {
        let times = 1i128 << (10 * (at + 1));
        return Some((Format::Binary, Factor { times, ten: 0 }));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let ten: i32 = exponent.parse().ok()?;
    (ten.abs() <= 60).then_some((Format::Exponent, Factor { times: 1, ten }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_compared_by_amount() {
        for (a, b) in [("1", "1000m"), ("1Gi", "1024Mi"), ("2e3", "2k"), ("0.5", "500m")] {
            assert_eq!(Quantity::parse(a).unwrap(), Quantity::parse(b).unwrap(), "{a} {b}");
        }
        assert!(Quantity::parse("1Gi").unwrap() > Quantity::parse("1G").unwrap());
        assert!(Quantity::parse("lots").is_none());
        assert!(Quantity::parse("1GiB").is_none());
    }

    #[test]
    fn sums_are_printed_in_the_form_of_the_first() {
        let sum = |a, b| Quantity::parse(a).unwrap().plus(Quantity::parse(b).unwrap()).to_string();
        assert_eq!(sum("500m", "500m"), "1");
        assert_eq!(sum("1Gi", "512Mi"), "1536Mi");
        assert_eq!(sum("1500m", "1"), "2500m");
    }
}
