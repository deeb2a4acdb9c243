//! What is wrong between Kustomizations: dependencies that are not there or wait for each other, sources that nobody has.

use std::collections::BTreeMap;

use super::declared::Declared;
use super::{Found, Node, Outcome, Request, locate, root, shown};
use crate::error::{Error, ErrorKind};
use crate::flux::api::Kustomization;
use crate::yaml::Step;

/// Adds what is wrong to the problems, in the order of the Kustomizations.
pub(super) fn check(request: &Request<'_>, found: &mut Found, sources: &[Declared]) {
    let mut problems = Vec::new();
    let edges = dependencies(request, &found.nodes, &mut problems);
    problems.extend(cycles(request, &found.nodes, &edges));
    for node in &found.nodes {
        if matches!(node.outcome, Outcome::Elsewhere) {
            found.elsewhere.push(elsewhere(request, node, sources));
        }
    }
    found.problems.append(&mut problems);
}

/// What each waits for, by the place in `dependsOn`.
type Edges = Vec<Vec<(usize, usize)>>;

fn dependencies(request: &Request<'_>, nodes: &[Node], problems: &mut Vec<Error>) -> Edges {
    let mut by_name: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let meta = &node.object.meta;
        by_name.entry((meta.namespace.to_string(), meta.name.to_string())).or_default().push(index);
    }
    let mut edges = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let mut own = Vec::new();
        for (at, dependency) in node.object.depends_on.iter().enumerate() {
            let namespace = match dependency.namespace.as_str() {
                "" => node.object.meta.namespace.to_string(),
                namespace => namespace.to_owned(),
            };
            let named = by_name.get(&(namespace.clone(), dependency.name.to_string()));
            let named = named.map(Vec::as_slice).unwrap_or_default();
            // A tree may hold several clusters with the same names: the own one first.
            let near = named.iter().find(|other| root(nodes, **other) == root(nodes, index));
            match near.or_else(|| named.first()) {
                Some(other) => own.push((*other, at)),
                None => {
                    let message =
                        format!("depends on {namespace}/{}, which is not there", dependency.name);
                    problems.push(problem(request, node, at, message, nodes, &dependency.name));
                }
            }
        }
        edges.push(own);
    }
    edges
}

fn problem(
    request: &Request<'_>,
    node: &Node,
    at: usize,
    message: String,
    nodes: &[Node],
    wanted: &str,
) -> Error {
    let path = [Step::Key("spec"), Step::Key("dependsOn"), Step::Index(at)];
    let place = locate(request, node.written.as_ref(), &node.object, &path);
    let error = Error::new(ErrorKind::Missing, place, message);
    let names = nodes.iter().map(|node| node.object.meta.name.as_str());
    match crate::nearest::nearest(wanted, names) {
        Some(name) => error.hint(format!("there is \"{name}\"")),
        None => error,
    }
}

/// The circles of dependencies, each once.
fn cycles(request: &Request<'_>, nodes: &[Node], edges: &Edges) -> Vec<Error> {
    let mut problems = Vec::new();
    let mut done = vec![false; nodes.len()];
    let mut place_on_path = vec![None; nodes.len()];
    for start in 0..nodes.len() {
        // Each with the next dependency to look at: a stack of our own, for chains may be long.
        let mut path = vec![(start, 0)];
        while let Some((node, next)) = path.pop() {
            if done[node] {
                continue;
            }
            if next == 0 {
                place_on_path[node] = Some(path.len());
            }
            let Some((other, at)) = edges[node].get(next) else {
                done[node] = true;
                place_on_path[node] = None;
                continue;
            };
            path.push((node, next + 1));
            match place_on_path[*other] {
                Some(from) => problems.push(cycle(request, nodes, &path[from..], *at)),
                None => path.push((*other, 0)),
            }
        }
    }
    problems
}

fn cycle(request: &Request<'_>, nodes: &[Node], circle: &[(usize, usize)], at: usize) -> Error {
    let first = circle.first().map_or(0, |(node, _)| *node);
    let last = circle.last().map_or(first, |(node, _)| *node);
    let names: Vec<_> = circle.iter().map(|(node, _)| shown(&nodes[*node].object)).collect();
    let path = [Step::Key("spec"), Step::Key("dependsOn"), Step::Index(at)];
    let place = locate(request, nodes[last].written.as_ref(), &nodes[last].object, &path);
    let message = format!(
        "waits for itself, so that none of these ever becomes ready: {} -> {}",
        names.join(" -> "),
        shown(&nodes[first].object)
    );
    Error::new(ErrorKind::Invalid, place, message)
}

fn elsewhere(request: &Request<'_>, node: &Node, sources: &[Declared]) -> Error {
    let wanted = node.object.source();
    let declared: Vec<_> = sources.iter().filter(|source| source.is(&wanted)).collect();
    let path = [Step::Key("spec"), Step::Key("sourceRef")];
    let place = locate(request, node.written.as_ref(), &node.object, &path);
    let name = named(&node.object);
    let message = match declared.iter().find_map(|source| source.held(request)) {
        Some(held) => format!("{name} is this repository, but held at the {held}"),
        None if declared.is_empty() => format!("there is no {name}"),
        None => format!("the files of {name} are elsewhere"),
    };
    let hint = format!("--local-source {name}=PATH has a directory stand for it");
    Error::new(ErrorKind::Missing, place, message).hint(hint)
}

/// `GitRepository/namespace/name`
fn named(object: &Kustomization) -> String {
    let wanted = object.source();
    format!("{}/{}/{}", wanted.kind, wanted.namespace, wanted.name)
}
