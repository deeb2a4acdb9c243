//! The formats of texts that the server checks.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/validation/formats.go`, kube-openapi
//! `pkg/validation/strfmt`.

use std::net::Ipv6Addr;

use crate::rehearsal::cel::time;

/// What is checked in some way. Dashes do not count.
const KNOWN: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
];

fn normal(format: &str) -> String {
    format.replace('-', "")
}

/// Whether the server knows a format of texts; others have no effect.
pub(super) fn is_known(format: &str) -> bool {
    KNOWN.contains(&&*normal(format))
}

/// Whether a format, which may be one of numbers, is checked on a text.
pub(super) fn is_checked(format: &str) -> bool {
    is_known(format)
}

/// Whether a text has a format.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match &*normal(format) {
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "byte" => is_base64(text),
        "cidr" => is_cidr(text),
        "creditcard" => is_credit_card(text),
        "date" => time::is_date(text),
        "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "email" => is_email(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && is_hex(digits)
        }
        "hostname" => is_hostname(text),
        "ipv4" => is_ipv4(text),
        "ipv6" => text.contains(':') && text.parse::<Ipv6Addr>().is_ok(),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "k8slongname" => {
            (1..=253).contains(&text.len()) && text.split('.').all(super::text::is_label)
        }
        "k8sshortname" => (1..=63).contains(&text.len()) && super::text::is_label(text),
        "mac" => is_mac(text),
        "rgbcolor" => is_rgb(text),
        "ssn" => is_ssn(text),
        "uri" => is_uri(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && padding <= 2
        && body.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '/')
}

/// Leading zeros are let pass.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let four =
        parts.len() == 4 && parts.iter().all(|part| is_digits(part) && part.parse::<u8>().is_ok());
    // An IPv6 address that ends in an IPv4 one has dots too.
    four || (text.contains('.') && text.parse::<Ipv6Addr>().is_ok())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = if is_ipv4(address) && !address.contains(':') {
        32
    } else if address.parse::<Ipv6Addr>().is_ok() {
        128
    } else {
        return false;
    };
    is_digits(length) && length.parse::<u8>().is_ok_and(|length| length <= most)
}

fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match digit * (1 + u32::try_from(at % 2).unwrap_or_default()) {
            double @ 10.. => double - 9,
            single => single,
        })
        .sum();
    (13..=16).contains(&digits.len()) && sum.is_multiple_of(10)
}

/// A date and a time with `t` in any case, as RFC 3339 allows them.
fn is_date_time(text: &str) -> bool {
    if text.len() < 4 {
        return false;
    }
    let lower = text.to_lowercase();
    let Some((date, clock)) = lower.split_once('t') else { return false };
    if !time::is_date(date) {
        return false;
    }
    let part = |from: usize| clock.get(from..from + 2).filter(|part| is_digits(part));
    let number = |from: usize| part(from).and_then(|part| part.parse::<u32>().ok());
    let (Some(hour), Some(minute), Some(second)) = (number(0), number(3), number(6)) else {
        return false;
    };
    let colons = clock.get(2..3) == Some(":") && clock.get(5..6) == Some(":");
    let rest = clock.get(8..).unwrap_or_default();
    let zone = match rest.find(['z', '+', '-']) {
        Some(at) => {
            let (fraction, zone) = rest.split_at(at);
            let fraction_fits = fraction.is_empty()
                || (fraction.chars().count() > 1
                    && is_digits(fraction.trim_start_matches(|c: char| !c.is_ascii_digit())));
            fraction_fits && is_zone(zone)
        }
        None => false,
    };
    colons && zone && hour <= 23 && minute <= 59 && second <= 59
}

fn is_zone(zone: &str) -> bool {
    zone == "z"
        || (zone.len() == 6
            && zone.is_char_boundary(3)
            && zone.is_char_boundary(1)
            && zone[1..].split_once(':').is_some_and(|(hour, minute)| {
                hour.len() == 2 && minute.len() == 2 && is_digits(hour) && is_digits(minute)
            }))
}

/// A duration of Go, or numbers with the words of units.
fn is_duration(text: &str) -> bool {
    if time::parse_duration(text).is_some() {
        return true;
    }
    const UNITS: [&str; 8] = ["ns", "us", "ms", "s", "m", "h", "d", "w"];
    const WORDS: [&str; 11] =
        ["nano", "µs", "micro", "milli", "sec", "min", "hr", "hour", "day", "wk", "week"];
    let text = text.to_lowercase();
    let mut found = false;
    let mut rest = &*text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(rest.len());
        let (unit, after) = rest.split_at(end);
        if unit.is_empty() {
            continue;
        }
        found |= UNITS.contains(&unit) || WORDS.iter().any(|word| unit.starts_with(word));
        rest = after;
    }
    found
}

fn is_email(text: &str) -> bool {
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(at), Some(whole)) => &whole[at + 1..],
        _ => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let atoms = |part: &str| {
        part.split('.').all(|atom| {
            !atom.is_empty()
                && atom.chars().all(|c| {
                    c.is_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c)
                })
        })
    };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let literal = domain.starts_with('[') && domain.ends_with(']');
    (quoted || atoms(local)) && (literal || atoms(domain))
}

fn is_hostname(text: &str) -> bool {
    let symbol = |c: char| c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace());
    let label = |label: &str| {
        let ends = label.chars().next().is_some_and(symbol)
            && label.chars().next_back().is_some_and(symbol);
        ends && label.len() <= 63 && label.chars().all(|c| symbol(c) || c == '-')
    };
    if text.len() > 255 || !text.split('.').all(label) {
        return false;
    }
    match text.rsplit_once('.') {
        None => true,
        Some((_, last)) => {
            let length = last.chars().count();
            (2..=63).contains(&length) && last.chars().all(char::is_alphabetic)
        }
    }
}

fn is_isbn10(text: &str) -> bool {
    let text = text.replace([' ', '-'], "");
    let mut sum = 0;
    for (at, c) in (1_u32..).zip(text.chars()) {
        let digit = match c {
            'X' if at == 10 => 10,
            c => match c.to_digit(10) {
                Some(digit) => digit,
                None => return false,
            },
        };
        sum += at * digit;
    }
    text.len() == 10 && sum % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let text = text.replace([' ', '-'], "");
    let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = digits.iter().zip([1, 3].into_iter().cycle()).map(|(a, b)| a * b).sum();
    text.len() == 13 && digits.len() == 13 && sum.is_multiple_of(10)
}

fn is_mac(text: &str) -> bool {
    let groups = |separator: char, width: usize, counts: &[usize]| {
        let parts: Vec<_> = text.split(separator).collect();
        counts.contains(&parts.len())
            && parts.iter().all(|part| part.len() == width && is_hex(part))
    };
    groups(':', 2, &[6, 8, 20]) || groups('-', 2, &[6, 8, 20]) || groups('.', 4, &[3, 4, 10])
}

fn is_rgb(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|text| text.strip_suffix(')'));
    let parts: Vec<_> = inner.unwrap_or_default().split(',').map(str::trim).collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            let whole = part.strip_suffix('%').unwrap_or(part);
            is_digits(whole)
                && whole.parse::<u8>().is_ok()
                && (whole == "0" || !whole.starts_with('0'))
        })
}

fn is_ssn(text: &str) -> bool {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let separators = text.len() - digits.len();
    digits.len() == 9 && is_digits(&digits) && separators <= 2
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return text.starts_with('/') };
    if text.starts_with('/') {
        return !text.contains(|c: char| c.is_ascii_control() || c == ' ');
    }
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    scheme_fits && !rest.is_empty() && !rest.contains(|c: char| c.is_ascii_control() || c == ' ')
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let hex = digits.len() == 32 && digits.iter().all(char::is_ascii_hexdigit);
    let dashes = text.char_indices().filter(|(_, c)| *c == '-').count();
    // Dashes stand only before the 9th, 13th, 17th and 21st digit.
    let mut seen = 0;
    let placed = text.chars().all(|c| {
        if c == '-' {
            matches!(seen, 8 | 12 | 16 | 20)
        } else {
            seen += 1;
            true
        }
    });
    let variant = |c: char| matches!(c.to_ascii_lowercase(), '8' | '9' | 'a' | 'b');
    hex && dashes <= 4
        && placed
        && !text.contains("--")
        && version
            .is_none_or(|version| digits[12] == version && (version == '3' || variant(digits[16])))
}

/// What is wrong with a text by one of the named formats of expressions.
pub(in crate::rehearsal) fn named_format_faults(format: &str, text: &str) -> Vec<String> {
    use super::text::{dns_1035_label, is_label, subdomain};
    let prefix = text.strip_suffix('-').map(|text| format!("{text}a"));
    let masked = prefix.as_deref().unwrap_or(text);
    let label = |text: &str| {
        (text.len() > 63 || !is_label(text)).then(|| {
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
             and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned()
        })
    };
    let fault = match format {
        "dns1123Label" => label(text),
        "dns1123LabelPrefix" => label(masked),
        "dns1123Subdomain" => subdomain(text),
        "dns1123SubdomainPrefix" => subdomain(masked),
        "dns1035Label" => dns_1035_label(text),
        "dns1035LabelPrefix" => dns_1035_label(masked),
        "uuid" | "byte" | "date" | "datetime" | "uri" => {
            (!holds(format, text)).then(|| format!("does not match the {format} format"))
        }
        _ => None,
    };
    fault.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_hold_as_the_server_reads_them() {
        for (format, good, bad) in [
            ("date-time", "2020-01-02T03:04:05.6Z", "2020-01-02 03:04:05"),
            ("date", "2020-02-29", "2021-02-29"),
            ("duration", "2 hours", "two hours"),
            ("email", "a.b@c.example", "a@"),
            ("ipv4", "010.0.0.1", "10.0.0.256"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("uuid", "123E4567-e89b-12d3-a456-426614174000", "123e4567"),
            ("byte", "YWJj", "YWJ"),
            ("hostname", "a-b.example", "a_b"),
            ("mac", "00:00:5e:00:53:01", "00:00"),
            ("uri", "http://a/b", "a b"),
            ("isbn10", "0321751043", "0321751044"),
            ("k8s-short-name", "a-b", "A"),
        ] {
            assert!(holds(format, good), "{format}: {good}");
            assert!(!holds(format, bad), "{format}: {bad}");
        }
    }
}
