//! Fields of which not everything is allowed that their type can hold.

use std::time::Duration as Span;

use ecow::EcoString;

use crate::kustomization::node::{Decode, Node};
use crate::nearest::nearest;

/// Longest names: of objects, and of namespaces and the like.
///
/// Source: RFC 1123, as Kubernetes has it.
pub const MOST: (usize, usize) = (253, 63);

/// A length of time, as `1h30m`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Duration(pub Span);

/// One unit with what it is in nanoseconds.
type Unit = (&'static str, u64);

/// Longer names first: `ms` is no `m`.
const UNITS: [Unit; 4] =
    [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
/// What Go reads beyond that.
const SMALL_UNITS: [Unit; 4] = [("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000)];

impl Decode for Duration {
    fn decode(&mut self, node: &Node<'_>) {
        decode_duration(self, node, false);
    }
}

/// Reads a duration; hours are not allowed where `is_short`.
///
/// Source: the pattern on `interval` and `timeout`; Go `time.ParseDuration` where nobody validates.
pub(super) fn decode_duration(into: &mut Duration, node: &Node<'_>, is_short: bool) {
    let Some(text) = node.text() else { return };
    let units = if is_short { &UNITS[..3] } else { &UNITS };
    let parsed = parse(&text, units).or_else(|| {
        let all: Vec<Unit> = UNITS.into_iter().chain(SMALL_UNITS).collect();
        if node.is_strict() { None } else { parse(&text, &all) }
    });
    match parsed {
        Some(span) => into.0 = span,
        None => {
            let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
            let hint = format!(
                "numbers with units: {}; as in \"1{}\"",
                names.join(", "),
                names[names.len() - 1]
            );
            let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
            let hint = match days {
                Some(days) if !is_short => format!("a day is 24h: \"{}h\"", u64::from(days) * 24),
                _ => hint,
            };
            node.problem(format!("\"{text}\" is no duration"), Some(hint));
        }
    }
}

fn parse(text: &str, units: &[Unit]) -> Option<Span> {
    let mut rest = text;
    let mut nanoseconds: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let whole: u64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            (fraction, rest) = after.split_at(end);
            if fraction.is_empty() {
                return None;
            }
        }
        let (name, unit) = units.iter().find(|(name, _)| rest.starts_with(name))?;
        rest = &rest[name.len()..];
        let mut part = whole.checked_mul(*unit)?;
        let mut scale = *unit;
        for digit in fraction.bytes() {
            scale /= 10;
            part = part.checked_add(u64::from(digit - b'0') * scale)?;
        }
        nanoseconds = nanoseconds.checked_add(part)?;
    }
    // Go's durations have a sign.
    let fits = !text.is_empty() && i64::try_from(nanoseconds).is_ok();
    fits.then(|| Span::from_nanos(nanoseconds))
}

pub(super) fn not_one_of(node: &Node<'_>, text: &str, words: &[&str]) {
    // An empty word is a field that nobody has set, for all but the API server.
    if text.is_empty() && !node.is_strict() {
        return;
    }
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("one of {}", words.join(", ")),
    };
    node.problem(format!("\"{text}\" is not allowed here"), Some(hint));
}

/// Reports a word that is none of `words`; an empty one was not given.
pub(super) fn one_of(node: &Node<'_>, text: &str, words: &[&str]) {
    if !node.is_strict() || node.is_null() || words.contains(&text) {
        return;
    }
    not_one_of(node, text, words);
}

/// Reports text that is shorter or longer than allowed.
pub(super) fn length(node: &Node<'_>, text: &str, least: usize, most: usize) {
    if !node.is_strict() || node.is_null() {
        return;
    }
    let count = text.chars().count();
    if count < least {
        node.problem("may not be empty", Some("leave it out".to_owned()));
    } else if count > most {
        node.problem(format!("has {count} characters, {most} are allowed"), None);
    }
}

/// Reports text that is no expression, where these can be read; an empty one was not given.
pub(super) fn expression(node: &Node<'_>, text: &str) {
    #[cfg(feature = "rehearsal")]
    if node.is_strict()
        && !text.is_empty()
        && let Err(error) = crate::health::expressions::Expression::parse(text)
    {
        // The lines below show the expression once more.
        node.problem(error.lines().next().unwrap_or_default(), None);
    }
    #[cfg(not(feature = "rehearsal"))]
    let _ = (node, text);
}

/// Reports text that can be no object's name.
pub(super) fn name(node: &Node<'_>, text: &str) {
    if node.is_strict() && !node.is_null() && !is_domain(text) {
        let hint = "lower case letters, digits, - and ., at most 253".to_owned();
        node.problem(format!("\"{text}\" is no name for an object"), Some(hint));
    }
}

/// Reports text that can be no namespace's name.
pub(super) fn namespace(node: &Node<'_>, text: &str) {
    let is_one = text.len() <= MOST.1 && is_domain(text) && !text.contains('.');
    if node.is_strict() && !node.is_null() && !is_one {
        let hint = "lower case letters, digits and -, at most 63".to_owned();
        node.problem(format!("\"{text}\" is no name for a namespace"), Some(hint));
    }
}

/// Whether Kubernetes takes it for a name: labels of lower case letters, digits and `-`, joined by dots.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(allowed)
    };
    text.len() <= MOST.0 && text.split('.').all(is_label)
}

/// Reports an address that begins with none of the allowed schemes.
pub(super) fn scheme(node: &Node<'_>, text: &str, schemes: &[&str]) {
    let fits =
        |scheme: &&str| text.strip_prefix(*scheme).is_some_and(|rest| rest.starts_with("://"));
    if node.is_strict() && !node.is_null() && !schemes.iter().any(fits) {
        let hint = format!("schemes are {}", schemes.join(", "));
        node.problem(format!("\"{text}\" is no address that Flux takes"), Some(hint));
    }
}

/// The name of something in the same namespace.
pub(super) fn local_name(into: &mut Option<EcoString>, node: &Node<'_>) {
    let mut found = EcoString::new();
    node.record(&["name"], |_, node| found.decode(node));
    if found.is_empty() {
        super::need(node, &[], &["name"]);
    }
    *into = (!node.is_null()).then_some(found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_the_api_server_takes() {
        let millis = |text: &str| parse(text, &UNITS).map(|span| span.as_millis());
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("1.5h"), Some(5_400_000));
        assert_eq!(millis("1m500ms"), Some(60_500));
        for text in ["", "1", "1d", "-1m", "+1m", "1us", "1.m", ".5m", "m", "1 m", "99999999999h"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_domains() {
        for text in ["a", "a-b.c", "0"] {
            assert!(is_domain(text), "{text}");
        }
        for text in ["", "A", "a_b", "-a", "a-", "a..b", "ü"] {
            assert!(!is_domain(text), "{text}");
        }
        assert!(!is_domain(&"a".repeat(254)));
    }
}
