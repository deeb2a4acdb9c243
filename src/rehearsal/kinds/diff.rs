//! The difference of two texts as the server writes it into refusals of changes.
//!
//! It looks for the longest block of equal lines, then the same on both sides of it, and forgets
//! lines that are too common in long texts: Python's difflib, which Go's copies.
//!
//! Source: `apimachinery/pkg/util/diff/diff.go`, Python `difflib.SequenceMatcher`.

use std::collections::HashMap;

/// How many equal lines stand before and after a change.
const CONTEXT: usize = 3;

/// Texts with more lines than this have lines that are too common to match by.
const LONG: usize = 200;

/// One stretch of lines: what of the first becomes what of the second.
#[derive(Clone, Copy)]
struct Stretch {
    equal: bool,
    a: (usize, usize),
    b: (usize, usize),
}

/// The unified difference, without names of files; empty where the texts are equal.
pub(super) fn unified(a: &str, b: &str) -> String {
    let a: Vec<&str> = a.split('\n').collect();
    let b: Vec<&str> = b.split('\n').collect();
    let mut out = String::new();
    for group in groups(&stretches(&a, &b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let from = range(first.a.0, last.a.1);
        let to = range(first.b.0, last.b.1);
        out.push_str(&format!("@@ -{from} +{to} @@\n"));
        for stretch in &group {
            let mut lines = |sign: char, lines: &[&str]| {
                for line in lines {
                    out.push(sign);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            if stretch.equal {
                lines(' ', &a[stretch.a.0..stretch.a.1]);
            } else {
                lines('-', &a[stretch.a.0..stretch.a.1]);
                lines('+', &b[stretch.b.0..stretch.b.1]);
            }
        }
    }
    out
}

fn range(start: usize, stop: usize) -> String {
    match stop - start {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        length => format!("{},{length}", start + 1),
    }
}

/// Blocks of equal lines `(a, b, length)`, in order.
fn blocks(a: &[&str], b: &[&str]) -> Vec<(usize, usize, usize)> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if b.len() >= LONG {
        let common = b.len() / 100 + 1;
        places.retain(|_, list| list.len() <= common);
    }
    let mut found = Vec::new();
    let mut open = vec![(0, a.len(), 0, b.len())];
    while let Some((a0, a1, b0, b1)) = open.pop() {
        let (i, j, size) = longest(a, b, &places, (a0, a1), (b0, b1));
        if size > 0 {
            found.push((i, j, size));
            if a0 < i && b0 < j {
                open.push((a0, i, b0, j));
            }
            if i + size < a1 && j + size < b1 {
                open.push((i + size, a1, j + size, b1));
            }
        }
    }
    found.sort_unstable();
    let mut merged: Vec<(usize, usize, usize)> = Vec::new();
    for block in found {
        match merged.last_mut() {
            Some(last) if last.0 + last.2 == block.0 && last.1 + last.2 == block.1 => {
                last.2 += block.2;
            }
            _ => merged.push(block),
        }
    }
    merged
}

fn longest(
    a: &[&str],
    b: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    (a0, a1): (usize, usize),
    (b0, b1): (usize, usize),
) -> (usize, usize, usize) {
    let mut best = (a0, b0, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, line) in a.iter().enumerate().take(a1).skip(a0) {
        let mut next = HashMap::new();
        for &j in places.get(line).map(Vec::as_slice).unwrap_or_default() {
            if j < b0 {
                continue;
            }
            if j >= b1 {
                break;
            }
            let length = match j.checked_sub(1) {
                Some(before) => lengths.get(&before).copied().unwrap_or(0) + 1,
                None => 1,
            };
            next.insert(j, length);
            if length > best.2 {
                best = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    // Common lines take no part in the search but extend what it finds.
    let (mut i, mut j, mut size) = best;
    while i > a0 && j > b0 && a[i - 1] == b[j - 1] {
        i -= 1;
        j -= 1;
        size += 1;
    }
    while i + size < a1 && j + size < b1 && a[i + size] == b[j + size] {
        size += 1;
    }
    (i, j, size)
}

fn stretches(a: &[&str], b: &[&str]) -> Vec<Stretch> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (at_a, at_b, size) in blocks(a, b).into_iter().chain([(a.len(), b.len(), 0)]) {
        if i < at_a || j < at_b {
            out.push(Stretch { equal: false, a: (i, at_a), b: (j, at_b) });
        }
        (i, j) = (at_a + size, at_b + size);
        if size > 0 {
            out.push(Stretch { equal: true, a: (at_a, i), b: (at_b, j) });
        }
    }
    out
}

fn groups(stretches: &[Stretch]) -> Vec<Vec<Stretch>> {
    let mut all = stretches.to_vec();
    if let Some(first) = all.first_mut()
        && first.equal
    {
        first.a.0 = first.a.0.max(first.a.1.saturating_sub(CONTEXT));
        first.b.0 = first.b.0.max(first.b.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = all.last_mut()
        && last.equal
    {
        last.a.1 = last.a.1.min(last.a.0 + CONTEXT);
        last.b.1 = last.b.1.min(last.b.0 + CONTEXT);
    }
    let mut out = Vec::new();
    let mut group: Vec<Stretch> = Vec::new();
    for mut stretch in all {
        if stretch.equal && stretch.a.1 - stretch.a.0 > 2 * CONTEXT {
            let mut end = stretch;
            end.a.1 = end.a.1.min(end.a.0 + CONTEXT);
            end.b.1 = end.b.1.min(end.b.0 + CONTEXT);
            group.push(end);
            out.push(std::mem::take(&mut group));
            stretch.a.0 = stretch.a.0.max(stretch.a.1 - CONTEXT);
            stretch.b.0 = stretch.b.0.max(stretch.b.1 - CONTEXT);
        }
        group.push(stretch);
    }
    if group.iter().any(|stretch| !stretch.equal) {
        out.push(group);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_line_stands_between_three_equal_ones() {
        let a = "1\n2\n3\n4\n5\n6\n7\n8\n9";
        let b = a.replace('5', "five");
        assert_eq!(unified(a, &b), "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    }

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified("a\nb", "a\nb"), "");
    }
}
