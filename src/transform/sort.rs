//! `sortOptions`: the order of the output.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::kustomization::SortOptions;
use crate::resource::{Gvk, Kind, Resource};
use crate::resources::Resources;

/// The kinds that come first in the legacy order, first to last.
///
/// Source: kustomize `api/internal/builtins/SortOrderTransformer.go`, `defaultOrderFirst`.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// The kinds that come last in the legacy order.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts as the options of the top kustomization say; without any, in the legacy order.
///
/// # Errors
/// Where the options contradict each other, or name an order that does not exist.
pub fn apply(
    resources: &mut Resources,
    options: Option<&SortOptions>,
    place: impl FnOnce() -> Place,
) -> Result<()> {
    let Some(options) = options else {
        legacy(resources);
        return Ok(());
    };
    match (options.order.as_str(), &options.legacy) {
        ("legacy", None) => legacy(resources),
        ("legacy", Some((first, last))) => by_rank(resources, &ranks(first, last)),
        ("fifo", None) => {}
        ("fifo", Some(_)) => {
            let message = "sortOptions.legacySortOptions is set, but sortOptions.order is \"fifo\"";
            return Err(Error::new(ErrorKind::Invalid, place(), message));
        }
        (order, _) => {
            let message =
                format!("sortOptions.order must be \"fifo\" or \"legacy\", not \"{order}\"");
            return Err(Error::new(ErrorKind::Invalid, place(), message));
        }
    }
    Ok(())
}

/// Sorts by kustomize's table of kinds, then by group, version, kind, namespace and name.
pub fn legacy(resources: &mut Resources) {
    by_rank(resources, &ranks(&FIRST, &LAST));
}

/// Kinds to ranks: negative ones first, positive ones last, zero for all others.
fn ranks<'a>(first: &'a [impl AsRef<str>], last: &'a [impl AsRef<str>]) -> FxHashMap<&'a str, i64> {
    let before =
        first.iter().zip(-(first.len() as i64)..).map(|(kind, rank)| (kind.as_ref(), rank));
    let after = last.iter().zip(1..).map(|(kind, rank)| (kind.as_ref(), rank));
    before.chain(after).collect()
}

/// Sorts by the ranks of the kinds, then by the text of kind and id.
///
/// Source: kustomize `api/internal/builtins/SortOrderTransformer.go`, `kyaml/resid`.
fn by_rank(resources: &mut Resources, ranks: &FxHashMap<&str, i64>) {
    let order = order(resources, ranks);
    arrange(resources.as_mut_vec(), order);
}

/// Puts the element that is at `order[to]` at `to`, for each of them, without room for all of them twice.
fn arrange<T>(list: &mut [T], mut order: Vec<usize>) {
    for start in 0..order.len() {
        let mut to = start;
        // One that is where it belongs ends the round that leads to it.
        while order[to] != start {
            let from = std::mem::replace(&mut order[to], to);
            list.swap(to, from);
            to = from;
        }
        order[to] = to;
    }
}

/// The positions of the objects in the order in which they are printed. Each thread sorts its own, and
/// what is sorted already takes little to be put together.
fn order(resources: &Resources, ranks: &FxHashMap<&str, i64>) -> Vec<usize> {
    let sort = |first, run| Run::sorted(first, run, ranks);
    let mut runs = resources.threads().map_runs(resources.as_slice(), sort);
    if let [run] = runs.as_slice() {
        return run.keys.iter().map(|key| key.at).collect();
    }
    let mut numbers = FxHashMap::default();
    for run in &mut runs {
        run.number(&mut numbers);
    }
    let mut groups: Vec<_> = numbers.into_iter().collect();
    groups.sort_by_key(|(_, number)| *number);
    let places = places(groups.into_iter().map(|(group, _)| group), ranks);
    let mut keys: Vec<_> = runs.iter().flat_map(|run| &run.keys).collect();
    keys.sort_by(|one, other| one.cmp(other, &places));
    keys.into_iter().map(|key| key.at).collect()
}

/// What the objects of a kind in a namespace have in common.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Group<'a> {
    kind: Kind<'a>,
    namespace: &'a str,
}

/// Where the kind of each group stands among the others. There are few, so that they are compared first.
fn places<'a>(groups: impl Iterator<Item = Group<'a>>, ranks: &FxHashMap<&str, i64>) -> Vec<usize> {
    let mut kinds: Vec<_> = groups.map(|group| KindKey::of(group.kind, ranks)).zip(0..).collect();
    kinds.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut places = vec![0; kinds.len()];
    let alike = kinds.chunk_by(|(one, _), (other, _)| one.cmp(other).is_eq());
    for (place, alike) in alike.enumerate() {
        alike.iter().for_each(|(_, number): &(_, usize)| places[*number] = place);
    }
    places
}

/// Some of the objects, sorted by one thread.
struct Run<'a> {
    groups: Vec<Group<'a>>,
    keys: Vec<SortKey<'a>>,
}

impl<'a> Run<'a> {
    /// `first` come before it.
    fn sorted(first: usize, run: &'a [Resource], ranks: &FxHashMap<&str, i64>) -> Self {
        let mut numbers = FxHashMap::default();
        let mut groups = Vec::new();
        let key = |(at, resource): (usize, &'a Resource)| {
            let group = Group { kind: resource.as_kind(), namespace: resource.namespace() };
            let number = *numbers.entry(group).or_insert_with(|| {
                groups.push(group);
                groups.len() - 1
            });
            SortKey::of(at, resource, number)
        };
        let mut keys: Vec<_> = (first..).zip(run).map(key).collect();
        let places = places(groups.iter().copied(), ranks);
        keys.sort_by(|one, other| one.cmp(other, &places));
        Self { groups, keys }
    }

    /// Has the keys say the numbers that the groups have in all runs together.
    fn number(&mut self, numbers: &mut FxHashMap<Group<'a>, usize>) {
        let number = |group| {
            let next = numbers.len();
            *numbers.entry(group).or_insert(next)
        };
        let of_all: Vec<_> = self.groups.iter().copied().map(number).collect();
        self.keys.iter_mut().for_each(|key| key.group = of_all[key.group]);
    }
}

/// What decides on the place of a kind.
struct KindKey<'a> {
    rank: i64,
    /// Kustomize compares Namespaces the other way round where one is of the core group, which is no
    /// order if other kinds stand between them; so only where they have a rank of their own.
    is_core: bool,
    kind: Kind<'a>,
}

impl<'a> KindKey<'a> {
    fn of(kind: Kind<'a>, ranks: &FxHashMap<&str, i64>) -> Self {
        let rank = ranks.get(kind.kind).copied().unwrap_or(0);
        let is_core = kind.kind == "Namespace" && kind.group.is_empty() && rank != 0;
        Self { rank, is_core, kind }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let by_text = || match self.is_core {
            true => kind_order(other.kind, self.kind),
            false => kind_order(self.kind, other.kind),
        };
        self.rank.cmp(&other.rank).then_with(|| other.is_core.cmp(&self.is_core)).then_with(by_text)
    }
}

/// What decides on the place of an object.
struct SortKey<'a> {
    at: usize,
    /// The number of its group.
    group: usize,
    /// How its name begins, in the order of the bytes; mostly that is all of it.
    head: u128,
    name: &'a str,
    resource: &'a Resource,
}

impl<'a> SortKey<'a> {
    fn of(at: usize, resource: &'a Resource, group: usize) -> Self {
        let name = or(resource.name(), "~N");
        let mut head = [0; 16];
        let length = name.len().min(head.len());
        head[..length].copy_from_slice(&name.as_bytes()[..length]);
        Self { at, group, head: u128::from_be_bytes(head), name, resource }
    }

    /// `places` are those of the groups.
    fn cmp(&self, other: &Self, places: &[usize]) -> Ordering {
        if self.group == other.group {
            return self.head.cmp(&other.head).then_with(|| self.name.cmp(other.name));
        }
        let place = |one: &Self| places[one.group];
        place(self).cmp(&place(other)).then_with(|| text_order(&self.id(), &other.id()))
    }

    fn id(&self) -> [&str; 9] {
        let Kind { group, version, kind } = self.resource.as_kind();
        let (kind, version) = (or(kind, "[noKind]"), or(version, "[noVer]"));
        let group = or(group, "[noGrp]");
        let namespace = or(self.resource.namespace(), "~X");
        [kind, ".", version, ".", group, "|", namespace, "|", self.name]
    }
}

/// Sorts as kustomize sorts field specs: by the ranks of their kinds among the default ones, then by the
/// texts of these.
pub(super) fn by_kind<T>(list: &mut Vec<T>, gvk: impl Fn(&T) -> &Gvk) {
    let mut ranked: Vec<(i64, T)> = Vec::with_capacity(list.len());
    for one in list.drain(..) {
        let kind = &gvk(&one).kind;
        // Most stand beside others of their kind.
        let known = ranked.last().filter(|(_, last)| gvk(last).kind == *kind);
        let rank = known.map_or_else(|| rank(kind), |(rank, _)| *rank);
        ranked.push((rank, one));
    }
    ranked.sort_by(|(rank, one), (other_rank, other)| {
        rank.cmp(other_rank).then_with(|| kind_order(gvk(one).as_kind(), gvk(other).as_kind()))
    });
    list.extend(ranked.into_iter().map(|(_, one)| one));
}

fn rank(kind: &str) -> i64 {
    let first = FIRST.iter().position(|first| *first == kind).map(|at| at as i64 - 22);
    let last = || LAST.iter().position(|last| *last == kind).map(|at| at as i64 + 1);
    first.or_else(last).unwrap_or(0)
}

fn kind_order(one: Kind<'_>, other: Kind<'_>) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    text_order(&kind_text(one), &kind_text(other))
}

/// The order of the texts that the parts make together.
fn text_order<const N: usize>(one: &[&str; N], other: &[&str; N]) -> Ordering {
    let bytes = |parts: &[&'_ str; N]| -> Vec<u8> { parts.concat().into_bytes() };
    match one.iter().zip(other).find(|(one, other)| one != other) {
        None => Ordering::Equal,
        // Where one part does not begin the other, the first difference is within them.
        Some((one, other)) if !one.starts_with(other) && !other.starts_with(one) => one.cmp(other),
        Some(_) => bytes(one).cmp(&bytes(other)),
    }
}

fn or<'a>(text: &'a str, blank: &'a str) -> &'a str {
    if text.is_empty() { blank } else { text }
}

/// `group_version_kind`.
fn kind_text(kind: Kind<'_>) -> [&str; 5] {
    [or(kind.group, "~G"), "_", or(kind.version, "~V"), "_", or(kind.kind, "~K")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Origin, Resource};
    use crate::value::Value;

    fn resource(api_version: &str, kind: &str, namespace: &str, name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain(api_version));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain(name));
        if !namespace.is_empty() {
            value.set(&["metadata", "namespace"], Value::plain(namespace));
        }
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn names(resources: &Resources) -> Vec<&str> {
        resources.iter().map(Resource::name).collect()
    }

    fn sample() -> Resources {
        Resources::from(vec![
            resource(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "",
                "last",
            ),
            resource("v1", "ConfigMap", "", "blank"),
            resource("v1", "ConfigMap", "b", "a9"),
            resource("v1", "ConfigMap", "b", "a10"),
            resource("x.io/v1", "Foo", "", "foo"),
            resource("v1", "Namespace", "", "core"),
            resource("x.io/v1", "Namespace", "", "other"),
        ])
    }

    #[test]
    fn what_is_arranged_is_in_the_order_of_the_positions() {
        let mut list = ['a', 'b', 'c', 'd', 'e', 'f'];
        arrange(&mut list, vec![2, 1, 5, 4, 3, 0]);
        assert_eq!(list, ['c', 'b', 'f', 'e', 'd', 'a']);
    }

    #[test]
    fn names_that_begin_alike_are_compared_to_their_end() {
        let written = ["abcdefghijklmnop-2", "abcdefghijklmnop-10", "abcdefghijklmnop", "ab"];
        let of = |name: &&str| resource("v1", "ConfigMap", "", name);
        let mut resources = Resources::from(written.iter().map(of).collect::<Vec<_>>());
        legacy(&mut resources);
        let sorted = ["ab", "abcdefghijklmnop", "abcdefghijklmnop-10", "abcdefghijklmnop-2"];
        assert_eq!(names(&resources), sorted);
    }

    #[test]
    fn the_legacy_order_is_by_rank_then_bytes() {
        let mut resources = sample();
        apply(&mut resources, None, || Place::file("k")).unwrap();
        assert_eq!(names(&resources), ["core", "other", "a10", "a9", "blank", "foo", "last"]);
    }

    #[test]
    fn given_lists_replace_both_tables() {
        let mut resources = sample();
        let options =
            SortOptions { order: "legacy".into(), legacy: Some((vec!["Foo".into()], Vec::new())) };
        apply(&mut resources, Some(&options), || Place::file("k")).unwrap();
        assert_eq!(names(&resources)[0], "foo");
        assert_eq!(names(&resources)[1], "last");
    }

    #[test]
    fn refuses_unknown_orders() {
        let options = SortOptions { order: "up".into(), legacy: None };
        assert!(apply(&mut sample(), Some(&options), || Place::file("k")).is_err());
    }
}
