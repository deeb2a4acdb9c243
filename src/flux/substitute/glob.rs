//! Shell patterns for `#` and `%`: `*` is anything, `?` one character, `[a-z]` one of a class, a backslash
//! takes the meaning from what follows.
//!
//! A malformed pattern trims nothing. It counts as malformed only where matching comes upon the fault.
//!
//! Source: fluxcd/pkg `envsubst/path`, `envsubst/funcs.go`.

/// What matching may cost in one document, in comparisons: well below a second.
pub(super) const STEPS: u64 = 20_000_000;

/// Why a match has no answer.
enum Stop {
    Malformed,
    Slow,
}

/// How many bytes the first character takes; of what is no UTF-8, one.
pub(super) fn width(bytes: &[u8]) -> usize {
    decode(bytes).1
}

fn decode(bytes: &[u8]) -> (char, usize) {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(c) => (c, c.len_utf8()),
        None => (char::REPLACEMENT_CHARACTER, head.len().min(1)),
    }
}

/// `value` without the shortest or longest beginning that matches; `None` where that takes too long.
pub(super) fn trim(
    value: &[u8],
    pattern: &[u8],
    longest: bool,
    steps: &mut u64,
) -> Option<Vec<u8>> {
    let mut shortest = None;
    for end in (1..=value.len()).rev() {
        match matches(pattern, &value[..end], steps) {
            Err(Stop::Malformed) => return Some(value.to_vec()),
            Err(Stop::Slow) => return None,
            Ok(false) => {}
            Ok(true) if longest => return Some(value[end..].to_vec()),
            Ok(true) => shortest = Some(end),
        }
    }
    Some(value[shortest.unwrap_or(0)..].to_vec())
}

/// The same at the end: value and pattern are turned round, with whatever that makes of a class.
pub(super) fn trim_end(
    value: &[u8],
    pattern: &[u8],
    longest: bool,
    steps: &mut u64,
) -> Option<Vec<u8>> {
    trim(&reversed(value), &reversed(pattern), longest, steps).map(|left| reversed(&left))
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).chars().rev().collect::<String>().into_bytes()
}

/// Whether all of `text` matches. The pattern is a sequence of pieces without a star; a piece behind a
/// star is looked for from left to right, and its first place is as good as any, unless it is the last.
fn matches(mut pattern: &[u8], mut text: &[u8], steps: &mut u64) -> Result<bool, Stop> {
    while !pattern.is_empty() {
        let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
        pattern = &pattern[stars..];
        let (piece, rest) = pattern.split_at(piece_length(pattern));
        pattern = rest;
        if stars > 0 && piece.is_empty() {
            return Ok(true);
        }
        let is_last = pattern.is_empty();
        let mut from = 0;
        text = loop {
            match begins(piece, &text[from..], steps)? {
                Some(left) if left.is_empty() || !is_last => break left,
                _ if stars == 0 || from == text.len() => return Ok(false),
                _ => from += 1,
            }
        };
    }
    Ok(text.is_empty())
}

/// Where the next star is that means something.
fn piece_length(pattern: &[u8]) -> usize {
    let (mut at, mut in_class) = (0, false);
    while at < pattern.len() {
        match pattern[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    at.min(pattern.len())
}

/// What is left of `text` behind the piece, where it begins with that.
fn begins<'t>(
    mut piece: &[u8],
    mut text: &'t [u8],
    steps: &mut u64,
) -> Result<Option<&'t [u8]>, Stop> {
    while let Some((sign, after)) = piece.split_first() {
        *steps = steps.checked_sub(1).ok_or(Stop::Slow)?;
        let Some(byte) = text.first() else { return Ok(None) };
        match sign {
            b'[' => {
                let (c, width) = decode(text);
                text = &text[width..];
                let (is_in, rest) = class(after, c)?;
                if !is_in {
                    return Ok(None);
                }
                piece = rest;
            }
            b'?' => {
                text = &text[width(text)..];
                piece = after;
            }
            sign => {
                let (sign, after) = match sign {
                    b'\\' => after.split_first().ok_or(Stop::Malformed)?,
                    sign => (sign, after),
                };
                if sign != byte {
                    return Ok(None);
                }
                text = &text[1..];
                piece = after;
            }
        }
    }
    Ok(Some(text))
}

/// Whether `c` is in the class whose `[` is taken, and what follows its `]`.
fn class(mut piece: &[u8], c: char) -> Result<(bool, &[u8]), Stop> {
    let is_negated = piece.first() == Some(&b'^');
    if is_negated {
        piece = &piece[1..];
    }
    let (mut is_in, mut ranges) = (false, 0);
    loop {
        if ranges > 0 && piece.first() == Some(&b']') {
            return Ok((is_in != is_negated, &piece[1..]));
        }
        let (low, rest) = member(piece)?;
        let (high, rest) = match rest.first() {
            Some(b'-') => member(&rest[1..])?,
            _ => (low, rest),
        };
        is_in |= (low..=high).contains(&c);
        ranges += 1;
        piece = rest;
    }
}

/// One character of a class; more has to follow.
fn member(piece: &[u8]) -> Result<(char, &[u8]), Stop> {
    let piece = match piece.first() {
        None | Some(b'-' | b']') => return Err(Stop::Malformed),
        Some(b'\\') => &piece[1..],
        Some(_) => piece,
    };
    let (c, width) = decode(piece);
    let is_valid = width > 0 && !(c == char::REPLACEMENT_CHARACTER && width == 1);
    match &piece[width..] {
        rest if is_valid && !rest.is_empty() => Ok((c, rest)),
        _ => Err(Stop::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest(value: &str, pattern: &str) -> String {
        let left = trim(value.as_bytes(), pattern.as_bytes(), false, &mut STEPS.clone());
        String::from_utf8(left.expect("short")).expect("cut between characters")
    }

    #[test]
    fn classes_take_ranges_and_negation() {
        assert_eq!(shortest("banana", "[a-c]"), "anana");
        assert_eq!(shortest("banana", "[^a]"), "anana");
        assert_eq!(shortest("banana", "[^b]"), "banana");
        assert_eq!(shortest("-x", "[\\-]"), "x");
    }

    #[test]
    fn a_malformed_pattern_trims_nothing() {
        for pattern in ["[", "[]a]", "[a", "[a-", "a\\", "[\\"] {
            assert_eq!(shortest("a", pattern), "a", "{pattern}");
        }
    }

    #[test]
    fn a_piece_that_fits_at_several_places_may_be_the_last() {
        assert_eq!(shortest("abcbc", "*bc"), "bc");
        let longest = trim(b"abcbc", b"*bc", true, &mut STEPS.clone());
        assert_eq!(longest.expect("short"), b"");
    }
}
