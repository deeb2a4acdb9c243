//! Makes a tree on which the two differ as small as it goes.

use crate::compare::{Kind, Reference, Tree, compare};

/// How many smaller trees are tried.
const TRIES: usize = 400;

/// The smallest tree found that differs in the same way.
pub(crate) fn shrink(reference: &Reference, mut tree: Tree, kind: Kind) -> Tree {
    let mut tries = TRIES;
    let mut differs = |tree: &Tree| {
        tries = tries.saturating_sub(1);
        tries > 0 && compare(reference, tree) == Err(kind)
    };
    loop {
        let before = tree.clone();
        for name in before.keys() {
            let mut smaller = tree.clone();
            smaller.remove(name);
            if differs(&smaller) {
                tree = smaller;
            }
        }
        for name in before.keys() {
            shrink_file(&mut tree, name, &mut differs);
        }
        if tree == before {
            return tree;
        }
    }
}

/// Takes out lines, each with those that are indented below it, the largest blocks first.
fn shrink_file(tree: &mut Tree, name: &str, differs: &mut dyn FnMut(&Tree) -> bool) {
    let mut at = 0;
    loop {
        let Some(text) = tree.get(name) else { return };
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        if at >= lines.len() {
            return;
        }
        let end = block_end(&lines, at);
        let rest: String = lines[..at].iter().chain(&lines[end..]).copied().collect();
        let mut smaller = tree.clone();
        smaller.insert(name.to_owned(), rest);
        if differs(&smaller) {
            *tree = smaller;
        } else {
            at += 1;
        }
    }
}

fn block_end(lines: &[&str], start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let own = indent(lines[start]);
    let below = lines[start + 1..].iter().take_while(|line| indent(line) > own);
    start + 1 + below.count()
}
