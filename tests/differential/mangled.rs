//! Trees with a slip of the hand in one of their files: a line lost, doubled, moved, or with another value.

use crate::chance::Chance;
use crate::compare::Tree;

/// What stands where something else belongs.
const VALUES: [&str; 34] = [
    "",
    "null",
    "~",
    "''",
    "\"\"",
    "[]",
    "{}",
    "0",
    "-1",
    "1",
    "1.5",
    "1e3",
    "0x10",
    "010",
    "true",
    "yes",
    "'1'",
    "'true'",
    "text",
    "a b",
    "A",
    "[a]",
    "[1, 2]",
    "{a: b}",
    "[{name: web}]",
    "{name: web}",
    "!!str 5",
    "!!int 5",
    "!x y",
    "&n text",
    "*n",
    "|",
    "a: b",
    "\"open",
];

/// The same tree with one or two slips.
pub(crate) fn mangled(chance: &mut Chance, mut tree: Tree) -> Tree {
    let slips = if chance.percent(25) { 2 } else { 1 };
    for _ in 0..slips {
        slip(chance, &mut tree);
    }
    tree
}

/// A kustomization more often than what it lists.
fn file(chance: &mut Chance, tree: &Tree) -> String {
    let is_kustomization = chance.percent(60);
    // A broken file of `openapi` is refused, where the reference may never look at it; README says so.
    let fits = |name: &&String| {
        name.ends_with("kustomization.yaml") == is_kustomization && !name.ends_with("schema.json")
    };
    let mut names: Vec<&String> = tree.keys().filter(fits).collect();
    if names.is_empty() {
        names = tree.keys().collect();
    }
    names[chance.below(names.len())].clone()
}

fn slip(chance: &mut Chance, tree: &mut Tree) {
    let name = file(chance, tree);
    let Some(text) = tree.get_mut(&name) else { return };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if lines.is_empty() {
        return;
    }
    let at = chance.below(lines.len());
    let next = (at + 1) % lines.len();
    match chance.below(12) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines.swap(at, next),
        3 => lines[at].insert_str(0, "  "),
        4 => lines[at] = lines[at].strip_prefix("  ").unwrap_or(&lines[at]).to_owned(),
        5 => lines[at] = rekeyed(chance, &lines[at]),
        _ => lines[at] = revalued(chance, &lines[at]),
    }
    *text = lines.concat();
}

/// The line with another value behind its key or dash.
fn revalued(chance: &mut Chance, line: &str) -> String {
    let value = chance.pick(&VALUES);
    let head = match (line.find(": "), line.find(":\n"), line.find("- ")) {
        (Some(at), _, _) | (None, Some(at), _) => &line[..=at],
        (None, None, Some(at)) => &line[..=at],
        _ => return format!("{value}\n"),
    };
    format!("{head} {value}\n")
}

/// The line with another key.
fn rekeyed(chance: &mut Chance, line: &str) -> String {
    let start = line.len() - line.trim_start_matches([' ', '-']).len();
    let Some(end) = line.find(':').filter(|end| *end > start) else { return line.to_owned() };
    let key = &line[start..end];
    let key = match chance.below(6) {
        0 => key.to_uppercase(),
        1 => format!("\"{key}\""),
        2 => format!("{key} "),
        3 => format!("{key}s"),
        4 => chance.pick(&["unknown", "name", "kind", "5", "<<", "''"]).to_owned(),
        _ => format!("? {key}\n{}", " ".repeat(start)),
    };
    format!("{}{key}{}", &line[..start], &line[end..])
}
