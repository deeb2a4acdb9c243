//! Sets of fields, as trees.
//!
//! A set holds paths. That a path is held says nothing of the paths that it begins with: an owner
//! of `.spec.replicas` need not own `.spec`.
//!
//! Source: structured-merge-diff `fieldpath/set.go`.

use std::cmp::Ordering;

use ecow::EcoVec;

use super::path::{Path, PathElement};
use super::schema::TypeRef;
use super::typed::Type;

/// Paths, in order. A copy costs as much as a count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(EcoVec<Node>);

/// A step at which a path of the set ends, or from which one goes on. One of the two is the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) element: PathElement,
    /// Whether the path that ends here is in the set.
    pub(super) member: bool,
    /// What goes on from here.
    pub(super) children: FieldSet,
}

impl Node {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }
}

impl FieldSet {
    /// A set of these paths.
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path);
        }
        set
    }

    /// Makes a set of nodes in any order; of nodes for the same step the first counts.
    pub(super) fn from_nodes(mut nodes: EcoVec<Node>) -> Self {
        if !nodes.is_sorted_by(|a, b| a.element < b.element) {
            let nodes = nodes.make_mut();
            nodes.sort_by(|a, b| a.element.cmp(&b.element));
            let mut kept: EcoVec<Node> = EcoVec::with_capacity(nodes.len());
            for node in nodes {
                if kept.last().is_none_or(|last| last.element != node.element) {
                    kept.push(node.clone());
                }
            }
            return Self(kept);
        }
        Self(nodes)
    }

    /// Holds no path.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many paths it holds.
    pub fn len(&self) -> usize {
        self.0.iter().map(|node| usize::from(node.member) + node.children.len()).sum()
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.0
    }

    fn find(&self, element: &PathElement) -> Result<usize, usize> {
        self.0.binary_search_by(|node| node.element.cmp(element))
    }

    pub(super) fn node(&self, element: &PathElement) -> Option<&Node> {
        self.0.get(self.find(element).ok()?)
    }

    /// Adds a path; the root has no owner, so the empty path is not added.
    pub fn insert(&mut self, path: &Path) {
        self.insert_steps(&path.0);
    }

    fn insert_steps(&mut self, steps: &[PathElement]) {
        let Some((first, rest)) = steps.split_first() else { return };
        let at = self.find(first).unwrap_or_else(|at| {
            let node = Node { element: first.clone(), member: false, children: Self::default() };
            self.0.insert(at, node);
            at
        });
        let node = &mut self.0.make_mut()[at];
        if rest.is_empty() {
            node.member = true;
        } else {
            node.children.insert_steps(rest);
        }
    }

    /// Whether it holds the path.
    pub fn has(&self, path: &Path) -> bool {
        let Some((last, way)) = path.0.split_last() else { return false };
        let mut set = self;
        for element in way {
            let Some(node) = set.node(element) else { return false };
            set = &node.children;
        }
        set.node(last).is_some_and(|node| node.member)
    }

    /// The paths that begin with that step, without it.
    pub fn under(&self, element: &PathElement) -> Self {
        self.node(element).map(|node| node.children.clone()).unwrap_or_default()
    }

    /// The paths of both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return other.clone();
        }
        let mut out = EcoVec::with_capacity(self.0.len().max(other.0.len()));
        for pair in Zip::new(self, other) {
            out.push(match pair {
                (Some(a), Some(b)) => Node {
                    element: a.element.clone(),
                    member: a.member || b.member,
                    children: a.children.union(&b.children),
                },
                (Some(node), None) | (None, Some(node)) => node.clone(),
                (None, None) => continue,
            });
        }
        Self(out)
    }

    /// The paths that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut out = EcoVec::new();
        if self.is_empty() || other.is_empty() {
            return Self(out);
        }
        for pair in Zip::new(self, other) {
            let (Some(a), Some(b)) = pair else { continue };
            let node = Node {
                element: a.element.clone(),
                member: a.member && b.member,
                children: a.children.intersection(&b.children),
            };
            if !node.is_empty() {
                out.push(node);
            }
        }
        Self(out)
    }

    /// The paths that are not in the other; those that lie beneath one of the other's stay.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.without(other, |a, b| a.children.difference(&b.children))
    }

    /// The paths that are not in the other and do not lie beneath one of the other's.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.without(other, |a, b| match b.member {
            true => Self::default(),
            false => a.children.recursive_difference(&b.children),
        })
    }

    fn without(&self, other: &Self, children: impl Fn(&Node, &Node) -> Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return self.clone();
        }
        let mut out = EcoVec::new();
        for pair in Zip::new(self, other) {
            let node = match pair {
                (Some(a), Some(b)) => Node {
                    element: a.element.clone(),
                    member: a.member && !b.member,
                    children: children(a, b),
                },
                (Some(a), None) => a.clone(),
                (None, _) => continue,
            };
            if !node.is_empty() {
                out.push(node);
            }
        }
        Self(out)
    }

    /// Whether each of its paths is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        Zip::new(self, other).all(|pair| match pair {
            (Some(a), Some(b)) => (b.member || !a.member) && a.children.is_within(&b.children),
            (Some(_), None) => false,
            (None, _) => true,
        })
    }

    /// The paths beneath which there is no other.
    #[must_use]
    pub fn leaves(&self) -> Self {
        Self(
            self.0
                .iter()
                .map(|node| Node {
                    element: node.element.clone(),
                    member: node.member && node.children.is_empty(),
                    children: node.children.leaves(),
                })
                .collect(),
        )
    }

    /// Adds the declared fields on the way to each path: an owner of `.spec.replicas` gets `.spec`,
    /// but an owner of `.data.a` not `.data.a`'s siblings, nor an element of a list.
    #[must_use]
    pub fn with_named_fields(&self, kind: Type<'_>) -> Self {
        self.with_named_fields_of(kind, Some(kind.root))
    }

    fn with_named_fields_of(&self, kind: Type<'_>, at: Option<TypeRef>) -> Self {
        let atom = at.and_then(|at| kind.shape(Some(at)).ok());
        let map = atom.as_ref().and_then(|atom| atom.map);
        let list = atom.as_ref().and_then(|atom| atom.list);
        let nodes = self.0.iter().map(|node| {
            if node.children.is_empty() {
                return node.clone();
            }
            let field = match (&node.element, map) {
                (PathElement::Field(name), Some((map, _))) => map.field(name),
                _ => None,
            };
            let below = match (&node.element, map, list) {
                (PathElement::Field(_), Some((map, _)), _) => {
                    field.map(|field| field.kind).or(map.element)
                }
                (PathElement::Key(_), _, Some((list, _))) => Some(list.element),
                _ => None,
            };
            Node {
                element: node.element.clone(),
                member: node.member || field.is_some(),
                children: node.children.with_named_fields_of(kind, below),
            }
        });
        Self(nodes.collect())
    }

    /// Calls `each` with every path: those that end at a step before those that go on from it.
    pub fn each(&self, each: &mut dyn FnMut(&[PathElement])) {
        self.each_after(&mut Vec::new(), each);
    }

    fn each_after(&self, way: &mut Vec<PathElement>, each: &mut dyn FnMut(&[PathElement])) {
        for node in self.0.iter().filter(|node| node.member) {
            way.push(node.element.clone());
            each(way);
            way.pop();
        }
        for node in self.0.iter().filter(|node| !node.children.is_empty()) {
            way.push(node.element.clone());
            node.children.each_after(way, each);
            way.pop();
        }
    }

    /// All paths, in the order of [`each`](Self::each).
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::with_capacity(self.len());
        self.each(&mut |way| paths.push(Path(way.to_vec())));
        paths
    }

    /// The paths that a filter leaves.
    #[must_use]
    pub fn filtered(&self, filter: &Filter) -> Self {
        match filter {
            Filter::Exclude(set) => self.recursive_difference(set),
            Filter::Include(matcher) => self.matched(matcher),
        }
    }

    fn matched(&self, matcher: &Matcher) -> Self {
        let Matcher::Steps(steps) = matcher else { return self.clone() };
        let nodes = self.0.iter().filter_map(|node| {
            let (_, below) = steps
                .iter()
                .find(|(step, _)| step.as_ref().is_none_or(|step| *step == node.element))?;
            let children = node.children.matched(below);
            let node = Node { element: node.element.clone(), member: node.member, children };
            (!node.is_empty()).then_some(node)
        });
        Self(nodes.collect())
    }
}

/// Which fields have owners.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All but these and what lies beneath them.
    Exclude(FieldSet),
    /// Only those that match.
    Include(Matcher),
}

/// Paths by their first steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Matcher {
    /// Whatever follows.
    #[default]
    Everything,
    /// Paths with one of these steps, `None` being any, that then match what stands with the step.
    /// The first step that fits counts.
    Steps(Vec<(Option<PathElement>, Self)>),
}

impl Matcher {
    /// Matches paths that begin so, `None` being any step.
    pub fn prefix(steps: impl DoubleEndedIterator<Item = Option<PathElement>>) -> Self {
        steps.rev().fold(Self::Everything, |below, step| Self::Steps(vec![(step, below)]))
    }

    /// Matches what either matches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let (Self::Steps(mut steps), Self::Steps(others)) = (self, other) else {
            return Self::Everything;
        };
        for (step, below) in others {
            match steps.iter_mut().find(|(known, _)| *known == step) {
                Some((_, known)) => *known = std::mem::take(known).or(below),
                None => steps.push((step, below)),
            }
        }
        steps.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Steps(steps)
    }
}

/// Walks two sets side by side, in order.
struct Zip<'a> {
    a: &'a [Node],
    b: &'a [Node],
}

impl<'a> Zip<'a> {
    fn new(a: &'a FieldSet, b: &'a FieldSet) -> Self {
        Self { a: &a.0, b: &b.0 }
    }
}

impl<'a> Iterator for Zip<'a> {
    type Item = (Option<&'a Node>, Option<&'a Node>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.a.first(), self.b.first()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.element.cmp(&b.element),
        };
        let a = if order.is_le() { pop(&mut self.a) } else { None };
        let b = if order.is_ge() { pop(&mut self.b) } else { None };
        Some((a, b))
    }
}

fn pop<'a>(nodes: &mut &'a [Node]) -> Option<&'a Node> {
    let (first, rest) = nodes.split_first()?;
    *nodes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> FieldSet {
        FieldSet::of(paths.iter().map(|path| Path::of_fields(&path.split('.').collect::<Vec<_>>())))
    }

    fn shown(set: &FieldSet) -> String {
        set.paths().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn operations_take_a_path_apart_from_what_lies_beneath_it() {
        let (a, b) = (set(&["a", "a.b", "a.c", "d.e"]), set(&["a", "a.b", "d", "f"]));
        assert_eq!(shown(&a.union(&b)), ".a .d .f .a.b .a.c .d.e");
        assert_eq!(shown(&a.intersection(&b)), ".a .a.b");
        assert_eq!(shown(&a.difference(&b)), ".a.c .d.e");
        assert_eq!(shown(&a.recursive_difference(&b)), "");
        assert_eq!(shown(&a.recursive_difference(&set(&["a.b"]))), ".a .a.c .d.e");
        assert_eq!(shown(&a.leaves()), ".a.b .a.c .d.e");
        assert!(set(&["a.b"]).is_within(&a) && !set(&["d"]).is_within(&a));
        assert_eq!((a.len(), a.has(&Path::of_fields(&["d"]))), (4, false));
    }

    #[test]
    fn a_matcher_keeps_what_lies_beneath_its_steps() {
        let field = |name| Some(PathElement::field(name));
        let matcher = Matcher::prefix([field("a"), None, field("x")].into_iter())
            .or(Matcher::prefix([field("d")].into_iter()));
        let all = set(&["a", "a.b.x.y", "a.c.y", "d", "d.e", "f"]);
        assert_eq!(shown(&all.filtered(&Filter::Include(matcher))), ".a .d .a.b.x.y .d.e");
        assert_eq!(shown(&all.filtered(&Filter::Exclude(set(&["a.b", "d"])))), ".a .f .a.c.y");
    }
}
