//! What is wrong between Kustomizations: dependencies that are not there or wait for each other, sources that nobody has.

use std::collections::{BTreeMap, BTreeSet};

use super::declared::Declared;
use super::scan::Standing;
use super::{Found, Node, Outcome, Request, locate, read_rendered, root, shown};
use crate::error::{Error, ErrorKind};
use crate::flux::api::{self, Kustomization};
use crate::flux::drift::Ignored;
use crate::yaml::Step;

/// Adds what is wrong to the problems, in the order of the Kustomizations.
pub(super) fn check(request: &Request<'_>, found: &mut Found, sources: &[Declared]) {
    let mut problems = Vec::new();
    let edges = dependencies(request, &found.nodes, &mut problems);
    problems.extend(cycles(request, &found.nodes, &edges));
    problems.extend(found.nodes.iter().filter_map(|node| ignored(request, node)));
    for node in &found.nodes {
        if matches!(node.outcome, Outcome::Elsewhere) {
            found.elsewhere.push(elsewhere(request, node, sources));
        }
    }
    found.problems.append(&mut problems);
}

/// What is wrong with the rules on what may drift, which stops Flux only when it applies.
fn ignored(request: &Request<'_>, node: &Node) -> Option<Error> {
    let error = Ignored::new(&node.object.ignore, request.limits).err()?;
    let path = [Step::Key("spec"), Step::Key("ignore")];
    Some(error.at(locate(request, node.written.as_ref(), &node.object, &path)))
}

/// Adds what is wrong with sources and releases: with those that are rendered as they are then, unless they were
/// read for their charts already, and with other sources as they stand in their files.
pub(super) fn objects(request: &Request<'_>, found: &mut Found, standing: Vec<Standing>) {
    let origins = found.nodes.iter().flat_map(Node::resources).map(|one| &one.origin);
    let rendered: BTreeSet<_> = origins.map(|one| (one.file.clone(), one.document)).collect();
    for object in standing.into_iter().filter(|object| !rendered.contains(&object.at)) {
        found.problems.extend(object.refused);
        found.warnings.extend(object.warnings);
    }
    if request.beyond.charts.is_some() {
        return;
    }
    let Found { nodes, problems, warnings, .. } = found;
    for resource in nodes.iter().flat_map(Node::resources) {
        if ![api::SOURCE_GROUP, api::HELM_GROUP].contains(&resource.gvk().group.as_str()) {
            continue;
        }
        let read = read_rendered(request, resource);
        warnings.extend(read.warnings);
        problems.extend(read.output.err());
    }
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
    let fetches = match declared.is_empty() || request.beyond.sources.is_some() {
        true => "",
        false => ", and --fetch-sources fetches it",
    };
    let hint = format!("--local-source {name}=PATH has a directory stand for it{fetches}");
    Error::new(ErrorKind::Missing, place, message).hint(hint)
}

/// `GitRepository/namespace/name`
fn named(object: &Kustomization) -> String {
    let wanted = object.source();
    format!("{}/{}/{}", wanted.kind, wanted.namespace, wanted.name)
}
