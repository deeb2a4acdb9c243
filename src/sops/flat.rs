//! Trees in one line a leaf: `age__list_0__map_enc=…`, as formats without nesting hold them.
//!
//! Source: SOPS `stores/flatten.go`.

use std::collections::BTreeMap;

use super::tree::{Node, Part};
use super::{Fault, Step};

/// Most steps to a leaf: key groups, group, recipients, recipient, context, name.
const STEPS: usize = 16;

#[derive(Default)]
struct Branch {
    leaf: Option<String>,
    names: BTreeMap<String, Self>,
    places: BTreeMap<usize, Self>,
}

enum Token<'a> {
    Name(&'a str),
    Place(usize),
}

/// The tree of some leaves.
pub(super) fn unflatten(pairs: Vec<(String, String)>) -> Step<Node> {
    let mut root = Branch::default();
    for (path, leaf) in pairs {
        let mut branch = &mut root;
        for token in tokens(&path)? {
            branch = match token {
                Token::Name(name) => branch.names.entry(name.to_owned()).or_default(),
                Token::Place(place) => branch.places.entry(place).or_default(),
            };
        }
        if branch.leaf.replace(leaf).is_some() {
            return Err(malformed());
        }
    }
    node(root)
}

fn malformed() -> Fault {
    Fault::invalid("the sops metadata is malformed")
}

fn tokens(path: &str) -> Step<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let (mut rest, mut list) = (path, false);
    loop {
        let map_at = rest.find("__map_");
        let list_at = rest.find("__list_");
        let at = map_at.into_iter().chain(list_at).min();
        let (token, behind) = rest.split_at(at.unwrap_or(rest.len()));
        tokens.push(match list {
            true => Token::Place(token.parse().map_err(|_| malformed())?),
            false => Token::Name(token),
        });
        if tokens.len() > STEPS {
            return Err(malformed());
        }
        if behind.is_empty() {
            return Ok(tokens);
        }
        list = at == list_at;
        rest = &behind[if list { "__list_".len() } else { "__map_".len() }..];
    }
}

fn node(branch: Branch) -> Step<Node> {
    let Branch { leaf, names, places } = branch;
    match (leaf, names.is_empty(), places.is_empty()) {
        (Some(leaf), true, true) => Ok(Node::text(leaf)),
        (None, _, true) => {
            let entry = |(key, branch)| Ok(Part::Entry { key, value: node(branch)? });
            Ok(Node::Map(names.into_iter().map(entry).collect::<Step<_>>()?))
        }
        (None, true, false) if places.keys().copied().eq(0..places.len()) => {
            let entry = |branch| Ok(Part::Entry { key: String::new(), value: node(branch)? });
            Ok(Node::List(places.into_values().map(entry).collect::<Step<_>>()?))
        }
        _ => Err(malformed()),
    }
}
