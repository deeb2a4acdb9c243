//! Versions and ranges of them, as tags of repositories are chosen by.
//!
//! Source: <https://semver.org>; Masterminds `semver` 3, whose ranges Flux takes.

use std::cmp::Ordering;

/// A version: three numbers, and what leads up to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Version {
    numbers: [u64; 3],
    pre: Vec<Identifier>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Identifier {
    Number(u64),
    Text(String),
}

/// Versions any of whose alternatives holds.
#[derive(Debug)]
pub(super) struct Range(Vec<Vec<Bound>>);

#[derive(Debug)]
struct Bound {
    operator: Operator,
    version: Version,
    /// How many of the numbers are given.
    given: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Above,
    Below,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

impl Version {
    /// Reads `1.2.3-rc.1+build`, with or without a `v` before it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (version, given) = partial(text)?;
        (given == 3).then_some(version)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        };
        self.numbers.cmp(&other.numbers).then(pre)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A version of which the last numbers may be missing, or be `x`.
fn partial(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let text = text.split('+').next().unwrap_or_default();
    let (numbers, pre) = text.split_once('-').map_or((text, None), |(n, pre)| (n, Some(pre)));
    let mut version = Version { numbers: [0; 3], pre: Vec::new() };
    let mut given = 0;
    for (at, part) in numbers.split('.').enumerate() {
        if at > 2 {
            return None;
        }
        if matches!(part, "x" | "X" | "*") {
            return Some((version, given));
        }
        if part.len() > 1 && part.starts_with('0') || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        version.numbers[at] = part.parse().ok()?;
        given = at + 1;
    }
    for identifier in pre.into_iter().flat_map(|pre| pre.split('.')) {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if identifier.is_empty() || !identifier.bytes().all(fits) {
            return None;
        }
        version.pre.push(match identifier.parse() {
            Ok(number) => Identifier::Number(number),
            Err(_) => Identifier::Text(identifier.to_owned()),
        });
    }
    Some((version, given))
}

impl Range {
    /// Reads `>=1.2 <2 || 3.x`, `~1.2`, `^1`, `1.2 - 1.4`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let alternatives = text.split("||").map(alternative);
        Some(Self(alternatives.collect::<Option<_>>()?))
    }

    /// Whether a version is in it; one that leads up to a version only where the range has such too.
    pub(super) fn contains(&self, version: &Version) -> bool {
        self.0.iter().any(|bounds| bounds.iter().all(|bound| bound.holds(version)))
    }
}

fn alternative(text: &str) -> Option<Vec<Bound>> {
    if let Some((low, high)) = text.split_once(" - ") {
        let low = bound(&format!(">={}", low.trim()))?;
        return Some(vec![low, bound(&format!("<={}", high.trim()))?]);
    }
    // An operator may stand apart from its version.
    let mut words: Vec<String> = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if last.ends_with(['=', '<', '>', '~', '^', '!']) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
    }
    if words.is_empty() {
        return None;
    }
    words.iter().map(|word| bound(word)).collect()
}

fn bound(text: &str) -> Option<Bound> {
    let (operator, rest) = [
        (">=", Operator::AtLeast),
        ("=>", Operator::AtLeast),
        ("<=", Operator::AtMost),
        ("=<", Operator::AtMost),
        ("!=", Operator::Unequal),
        ("~>", Operator::Tilde),
        ("~", Operator::Tilde),
        ("^", Operator::Caret),
        (">", Operator::Above),
        ("<", Operator::Below),
        ("=", Operator::Equal),
        ("", Operator::Equal),
    ]
    .into_iter()
    .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))?;
    let (version, given) = partial(rest.trim())?;
    Some(Bound { operator, version, given })
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        if !version.pre.is_empty() && self.version.pre.is_empty() {
            return false;
        }
        let same = |numbers: usize| version.numbers[..numbers] == self.version.numbers[..numbers];
        let order = version.cmp(&self.version);
        let partial = self.given < 3;
        match self.operator {
            Operator::Equal if partial => same(self.given),
            Operator::Equal => order.is_eq(),
            Operator::Unequal if partial => !same(self.given),
            Operator::Unequal => order.is_ne(),
            Operator::Above if partial => order.is_gt() && !same(self.given),
            Operator::Above => order.is_gt(),
            Operator::Below => order.is_lt(),
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => order.is_le() || partial && same(self.given),
            Operator::Tilde => order.is_ge() && same(self.given.min(2)),
            Operator::Caret => {
                // All up to the first number that is not 0 stay.
                let first = self.version.numbers.iter().position(|number| *number > 0);
                order.is_ge() && same(first.map_or(self.given, |at| at + 1).min(self.given))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_as_those_of_masterminds() {
        for (range, version, wanted) in [
            ("1.2.3", "1.2.3", true),
            ("1.2", "v1.2.9", true),
            ("1.x", "1.9.0", true),
            ("*", "3.1.4", true),
            ("*", "3.1.4-rc.1", false),
            (">=1.0.0-0", "1.0.0-rc.1", true),
            (">= 1.2, < 2", "1.9.9", true),
            (">=1.2 <2", "2.0.0", false),
            (">1.2", "1.2.9", false),
            (">1.2", "1.3.0", true),
            ("<=1.2", "1.2.9", true),
            ("~1.2.3", "1.2.9", true),
            ("~1.2.3", "1.3.0", false),
            ("~1", "1.9.0", true),
            ("^1.2.3", "1.9.0", true),
            ("^0.2.3", "0.3.0", false),
            ("^0.0.3", "0.0.4", false),
            ("^0", "0.9.0", true),
            ("!=1.5.0", "1.5.0", false),
            ("1.2 - 1.4", "1.4.7", true),
            ("1.x || 3.x", "3.0.0", true),
            ("1.x || 3.x", "2.0.0", false),
        ] {
            let parsed = Version::parse(version).expect("a version");
            assert_eq!(
                Range::parse(range).expect("a range").contains(&parsed),
                wanted,
                "{range} {version}"
            );
        }
    }

    #[test]
    fn versions_are_ordered_and_odd_ones_refused() {
        let ordered = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-beta",
            "1.0.0-rc.2",
            "1.0.0-rc.11",
            "1.0.0",
            "1.0.1",
        ];
        assert!(ordered.windows(2).all(|pair| Version::parse(pair[0]) < Version::parse(pair[1])));
        for odd in ["1.2", "latest", "1.2.3.4", "01.2.3", "", "v", "1.2.x"] {
            assert!(Version::parse(odd).is_none(), "{odd}");
        }
        assert!(Range::parse("").is_none());
        assert!(Range::parse("a.b").is_none());
    }
}
