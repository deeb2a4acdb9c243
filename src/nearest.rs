//! "Did you mean …?": the known word nearest to a misspelt one.

/// The candidate that is at most a third of its length away from `word`, the nearest and then the
/// first; case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &'a str| {
        let away = distance(&word.to_lowercase(), &candidate.to_lowercase());
        (away <= candidate.chars().count().max(3) / 3).then_some((away, candidate))
    };
    let found = candidates.into_iter().filter_map(near).min_by_key(|(away, _)| *away);
    found.map(|(_, candidate)| candidate)
}

/// How many characters have to be added, removed, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Longer words are no slips of the keyboard, and the table would be large.
    if from.len().max(to.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                let best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let is_swap =
                    i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
                if is_swap { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_keyboard() {
        assert_eq!(nearest("resuorces", ["replicas", "resources"]), Some("resources"));
        assert_eq!(nearest("NamePrefix", ["namePrefix"]), Some("namePrefix"));
        assert_eq!(nearest("spec", ["resources", "replicas"]), None);
    }
}
