//! Names that follow renamed resources.
//!
//! A reference is a field that [`Config::name_references`] lists. It follows the object that once
//! had the name it holds, as long as exactly one object can be meant. The objects are indexed by
//! their former names and each referrer is walked once, so the cost grows with the size of the input.
//!
//! Source: kustomize `api/internal/accumulator/namereferencetransformer.go`, `api/filters/nameref`,
//! `api/resmap/reswrangler.go`.

use std::hash::{BuildHasher, Hash};
use std::sync::OnceLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::error::Result;
use crate::fields::{Change, New, Problem, Tree, rewrite_elements, set_text};
use crate::resource::{ByKind, Gvk, Id, Kind, Resource};
use crate::resources::Resources;
use crate::schema;
use crate::threads::Threads;
use crate::transform::config::Config;
use crate::value::{Tag, Value};
use crate::yaml::plain_key;
use crate::yaml::scalar;

/// Makes every reference hold the present name of the object that it meant.
///
/// # Errors
/// Where several objects can be meant, or a field is not of the form that its kind has.
pub fn follow(resources: &mut Resources, config: &Config) -> Result<()> {
    let threads = resources.threads().clone();
    let index = &Index::new(resources.as_slice(), &threads);
    let changed = threads.map_runs(&index.objects, |_, run| {
        let mut trees = ByKind::default();
        let mut changed = Vec::new();
        for object in run {
            let kind = object.resource.original_kind();
            let tree = &*trees.of(kind, || tree(config, kind));
            if !tree.is_empty() {
                let new = index.rewrite(object, tree);
                let new = new.map_err(|problem| problem.of(object.resource))?;
                changed.extend(new.map(|new| (object.position, new)));
            }
        }
        Ok(changed)
    });
    let changed: Vec<_> = changed.into_iter().collect::<Result<_>>()?;
    let mut changed = changed.into_iter().flatten().peekable();
    let mut new = |at| Some(changed.next_if(|(position, _)| *position == at)?.1);
    let objects = resources.iter_mut().enumerate();
    let mut objects: Vec<_> = objects.map(|(at, one)| (&mut one.value, new(at))).collect();
    threads.change_runs(&mut objects, |run| {
        run.iter_mut()
            .for_each(|(value, new)| new.take().into_iter().for_each(|new| new.put(value)));
        Ok(())
    })
}

/// What ends at a field: the kind that it may name.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    gvk: &'a Gvk,
    /// Whether `apiGroup` and `kind` beside the field have a say.
    is_role: bool,
}

/// The fields of one kind that hold names.
fn tree<'a>(config: &'a Config, kind: Kind<'_>) -> Tree<'a, Target<'a>> {
    let mut tree = Tree::default();
    for group in &config.name_references {
        for spec in group.fields.iter().filter(|spec| kind.is_selected(&spec.gvk)) {
            let is_role = spec.path.ends_with("roleRef/name");
            tree.insert(&spec.path, Target { gvk: &group.target, is_role });
        }
    }
    tree
}

/// Where an object is; two objects see each other where they share one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Scope<'a> {
    /// In no namespace, as far as is known.
    Cluster,
    /// In the namespace, `default` for a blank one.
    In(&'a str),
    /// In the namespace as it is written.
    Written(&'a str),
}

/// One object with what the look-ups ask for.
#[derive(Debug)]
struct Object<'a> {
    position: usize,
    resource: &'a Resource,
    scope: Scope<'a>,
    /// The hash of its first name in its scope; nearly all objects have had one name.
    first: u64,
}

/// Who was called what, where.
#[derive(Debug)]
struct Index<'a> {
    objects: Vec<Object<'a>>,
    /// Positions of the objects that once had the name, for each scope that they are in now.
    by_scope: ByScope<'a>,
    /// The same for all scopes together; only what is in none asks.
    by_name: OnceLock<FxHashMap<&'a str, Positions>>,
    /// Where the objects come from; few builds ask.
    origins: OnceLock<Origins<'a>>,
}

/// Which namespaces objects were written in.
#[derive(Debug, Default)]
struct Origins<'a> {
    /// The namespaces, with where an object of theirs is now, and with nothing.
    seen: FxHashSet<(&'a str, Option<Scope<'a>>)>,
    /// Positions of the objects that once had the name and were written in the namespace.
    by_name: FxHashMap<(&'a str, &'a str), Positions>,
}

/// Positions by a name and a scope, in little room: in the table stand numbers of names.
#[derive(Debug, Default)]
struct ByScope<'a> {
    table: HashTable<usize>,
    names: Vec<Named<'a>>,
}

#[derive(Debug)]
struct Named<'a> {
    hash: u64,
    name: &'a str,
    scope: Scope<'a>,
    positions: Positions,
}

fn hash(name: &str, scope: Scope<'_>) -> u64 {
    FxBuildHasher.hash_one((name, scope))
}

impl<'a> ByScope<'a> {
    fn reserve(&mut self, names: usize) {
        self.names.reserve(names);
        self.table.reserve(names, |at| self.names[*at].hash);
    }

    /// Notes an object once under a name in a scope, whose hash is known; objects come in their order.
    fn note(&mut self, hash: u64, name: &'a str, scope: Scope<'a>, position: usize) {
        let Self { table, names } = self;
        let is_it = |at: &usize| names[*at].is(hash, name, scope);
        match table.entry(hash, is_it, |at| names[*at].hash) {
            Entry::Occupied(known) => names[*known.get()].positions.add(position),
            Entry::Vacant(free) => {
                free.insert(names.len());
                let positions = Positions { first: position, others: Vec::new() };
                names.push(Named { hash, name, scope, positions });
            }
        }
    }

    fn get(&self, name: &str, scope: Scope<'_>) -> Option<&Positions> {
        let hash = hash(name, scope);
        let at = self.table.find(hash, |at| self.names[*at].is(hash, name, scope))?;
        Some(&self.names[*at].positions)
    }
}

impl Named<'_> {
    fn is(&self, hash: u64, name: &str, scope: Scope<'_>) -> bool {
        self.hash == hash && self.name == name && self.scope == scope
    }
}

/// Where the objects of one name are, in their order; most names have one.
#[derive(Debug)]
struct Positions {
    first: usize,
    others: Vec<usize>,
}

impl Positions {
    fn iter(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }

    fn add(&mut self, at: usize) {
        if *self.others.last().unwrap_or(&self.first) != at {
            self.others.push(at);
        }
    }
}

/// An object whose references are looked at.
struct Referrer<'a> {
    object: &'a Object<'a>,
    /// The namespaces of the ServiceAccounts that a RoleBinding names.
    account_namespaces: Vec<&'a str>,
    /// What `roleRef` names.
    role: Option<Gvk>,
}

impl<'a> Object<'a> {
    fn new(position: usize, resource: &'a Resource) -> Self {
        let scope = match resource.namespace() {
            _ if schema::is_cluster_scoped(resource.as_kind()) => Scope::Cluster,
            "" => Scope::In("default"),
            namespace => Scope::In(namespace),
        };
        let first = former_names(resource).next().map_or(0, |name| hash(name, scope));
        Self { position, resource, scope, first }
    }

    fn is_account(&self) -> bool {
        self.resource.kind() == "ServiceAccount"
    }

    /// Whether it had an id of a kind that `pattern` selects; group and version are today's.
    fn was(&self, pattern: &Gvk) -> bool {
        let Gvk { group, version, kind } = pattern;
        let is_of = |now: Kind<'_>| {
            (group.is_empty() || group == now.group)
                && (version.is_empty() || version == now.version)
        };
        let any = group.is_empty() && version.is_empty();
        let mut former = self.resource.former.iter();
        (any || is_of(self.resource.as_kind()))
            && former.any(|id| kind.is_empty() || *kind == id.gvk.kind)
    }

    /// The namespace it was written with, nothing for what lives outside of namespaces.
    fn original_namespace(&self) -> Option<&'a str> {
        match (self.resource.former.first(), self.scope) {
            (Some(id), _) => (!schema::is_cluster_scoped(&id.gvk)).then(|| or_default(id)),
            (None, Scope::In(namespace) | Scope::Written(namespace)) => Some(namespace),
            (None, Scope::Cluster) => None,
        }
    }
}

/// The names that an object had; some of them more than once, but never twice in a row.
fn former_names(resource: &Resource) -> impl Iterator<Item = &str> {
    let alike = resource.former.chunk_by(|one, next| one.name == next.name);
    alike.filter_map(|alike| alike.first().map(|id| id.name.as_str()))
}

fn or_default(id: &Id) -> &str {
    if id.namespace.is_empty() { "default" } else { &id.namespace }
}

/// Notes an object once under a key; objects come in their order.
fn note<K: Eq + Hash>(index: &mut FxHashMap<K, Positions>, key: K, object: &Object<'_>) {
    let first = Positions { first: object.position, others: Vec::new() };
    index.entry(key).or_insert(first).add(object.position);
}

impl<'a> Index<'a> {
    fn new(resources: &'a [Resource], threads: &Threads) -> Self {
        let objects = threads.map_runs(resources, |first, run| {
            let positions = (first..).zip(run);
            positions.map(|(at, one)| Object::new(at, one)).collect::<Vec<_>>()
        });
        let objects: Vec<_> = objects.into_iter().flatten().collect();
        let mut by_scope = ByScope::default();
        by_scope.reserve(objects.len());
        for object in &objects {
            let Object { position, scope, .. } = *object;
            for (index, name) in former_names(object.resource).enumerate() {
                let hash_in = |scope| hash(name, scope);
                let known = if index == 0 { object.first } else { hash_in(scope) };
                by_scope.note(known, name, scope, position);
                if scope != Scope::Cluster && object.is_account() {
                    let written = Scope::Written(object.resource.namespace());
                    by_scope.note(hash_in(written), name, written, position);
                }
            }
        }
        Self { objects, by_name: OnceLock::new(), by_scope, origins: OnceLock::new() }
    }

    /// Positions of the objects that once had the name.
    fn by_name(&self) -> &FxHashMap<&'a str, Positions> {
        self.by_name.get_or_init(|| {
            let mut by_name = FxHashMap::default();
            for object in &self.objects {
                former_names(object.resource).for_each(|name| note(&mut by_name, name, object));
            }
            by_name
        })
    }

    fn rewrite(&'a self, object: &'a Object<'a>, tree: &Tree<'_, Target<'_>>) -> Change {
        let referrer = Referrer::new(object)?;
        tree.rewrite(&object.resource.value, &mut |value, targets| {
            self.rewrite_field(&referrer, value, targets)
        })
    }

    fn rewrite_field(
        &'a self,
        referrer: &Referrer<'a>,
        value: &Value,
        targets: &[Target<'_>],
    ) -> Change {
        match value {
            Value::List(list) => rewrite_elements(list, &mut |element| match element {
                Value::List(_) => Err(Problem::new("expected a scalar or a map, found a list")),
                _ => self.rewrite_field(referrer, element, targets),
            }),
            Value::Scalar(_) if !value.is_null() => self.rewrite_scalar(referrer, value, targets),
            Value::Map(_) => self.rewrite_map(referrer, value, targets),
            Value::Null | Value::Scalar(_) => Ok(None),
        }
    }

    fn rewrite_scalar(
        &'a self,
        referrer: &Referrer<'a>,
        value: &Value,
        targets: &[Target<'_>],
    ) -> Change {
        let mut new: Option<Value> = None;
        for target in targets {
            let name = new.as_ref().unwrap_or(value).as_text().unwrap_or_default();
            let meant = self.meant(referrer, name, *target, None)?.map(|one| one.resource.name());
            if let Some(now) = meant.filter(|now| *now != name) {
                set_text(new.get_or_insert_with(|| value.clone()), now)?;
            }
        }
        Ok(new.map(New::Whole))
    }

    fn rewrite_map(
        &'a self,
        referrer: &Referrer<'a>,
        value: &Value,
        targets: &[Target<'_>],
    ) -> Change {
        let mut new: Option<Value> = None;
        for target in targets {
            let map = new.as_ref().unwrap_or(value);
            let Some(name) = map.get("name") else {
                return Err(Problem::new("expected a map with a \"name\""));
            };
            let name = name.as_text().unwrap_or_default();
            let namespace = map.get("namespace").map(|one| one.as_text().unwrap_or_default());
            let Some(meant) = self.meant(referrer, name, *target, Some(namespace))? else {
                continue;
            };
            let meant = meant.resource;
            if meant.name() != name || !meant.namespace().is_empty() {
                point_to(new.get_or_insert_with(|| value.clone()), meant)?;
            }
        }
        Ok(new.map(New::Whole))
    }

    /// The one object that `name` means; of the same name and, where `map` holds the namespace
    /// beside it, namespace, any will do.
    fn meant(
        &'a self,
        referrer: &Referrer<'a>,
        name: &str,
        target: Target<'_>,
        map: Option<Option<&str>>,
    ) -> std::result::Result<Option<&'a Object<'a>>, Problem> {
        let role = referrer.role.as_ref().filter(|_| target.is_role);
        let mut candidates = match map {
            Some(Some(namespace)) => self.visible_in(referrer, name, namespace),
            _ => self.visible(referrer, name),
        };
        candidates.retain(|one| one.was(target.gvk) && role.is_none_or(|role| one.was(role)));
        if candidates.len() != 1 {
            narrow(&mut candidates, referrer.object.resource);
        }
        let same = |other: &&Object<'_>| {
            let (one, other) = (candidates[0].resource, other.resource);
            one.name() == other.name() && (map.is_none() || one.namespace() == other.namespace())
        };
        if !candidates.is_empty() && !candidates.iter().all(same) {
            return Err(ambiguous(name, &candidates));
        }
        Ok(candidates.first().copied())
    }

    /// The objects that were called `name` once and that the referrer can see, in order.
    fn visible(&'a self, referrer: &Referrer<'a>, name: &str) -> Vec<&'a Object<'a>> {
        let Scope::In(_) = referrer.object.scope else {
            let all = self.by_name().get(name).into_iter().flat_map(Positions::iter);
            return all.map(|at| &self.objects[at]).collect();
        };
        let mut positions: Vec<usize> = Vec::new();
        for scope in referrer.scopes() {
            let named = self.by_scope.get(name, scope);
            positions.extend(named.into_iter().flat_map(Positions::iter));
        }
        positions.sort_unstable();
        positions.dedup();
        positions.into_iter().map(|at| &self.objects[at]).collect()
    }

    /// Those of them that were written in `namespace`, if it is known, or else are in it now.
    fn visible_in(
        &'a self,
        referrer: &Referrer<'a>,
        name: &str,
        namespace: &str,
    ) -> Vec<&'a Object<'a>> {
        let by_origin = self.any_was_in(referrer, namespace);
        if referrer.object.scope == Scope::Cluster {
            let named = match by_origin {
                true => self.origins().by_name.get(&(name, namespace)),
                false => self.by_scope.get(name, Scope::In(namespace)),
            };
            let named = named.into_iter().flat_map(Positions::iter);
            return named.map(|at| &self.objects[at]).collect();
        }
        let mut candidates = self.visible(referrer, name);
        candidates.retain(|one| match one.scope {
            _ if by_origin => one.original_namespace() == Some(namespace),
            Scope::In(now) => now == namespace,
            Scope::Cluster | Scope::Written(_) => false,
        });
        candidates
    }

    /// Whether any object that the referrer can see was written in `namespace`.
    fn any_was_in(&'a self, referrer: &Referrer<'a>, namespace: &str) -> bool {
        let seen = &self.origins().seen;
        match referrer.object.scope {
            Scope::Cluster => seen.contains(&(namespace, None)),
            _ => referrer.scopes().any(|scope| seen.contains(&(namespace, Some(scope)))),
        }
    }

    fn origins(&'a self) -> &'a Origins<'a> {
        self.origins.get_or_init(|| Origins::new(&self.objects))
    }
}

impl<'a> Origins<'a> {
    fn new(objects: &'a [Object<'a>]) -> Self {
        let mut origins = Self::default();
        for object in objects {
            let Some(namespace) = object.original_namespace() else { continue };
            let seen = &mut origins.seen;
            seen.insert((namespace, None));
            seen.insert((namespace, Some(object.scope)));
            if object.scope != Scope::Cluster {
                let written = Scope::Written(object.resource.namespace());
                seen.insert((namespace, Some(written)));
            }
            for name in former_names(object.resource) {
                note(&mut origins.by_name, (name, namespace), object);
            }
        }
        origins
    }
}

impl<'a> Referrer<'a> {
    fn new(object: &'a Object<'a>) -> std::result::Result<Self, Problem> {
        let value = &object.resource.value;
        check_api_version(value)?;
        let is_binding = object.scope != Scope::Cluster && object.resource.kind() == "RoleBinding";
        let account_namespaces = if is_binding { account_namespaces(value)? } else { Vec::new() };
        let role = value.get("roleRef").and_then(|role| {
            let group = role.get("apiGroup")?.as_text().unwrap_or_default().into();
            let kind = role.get("kind")?.as_text().unwrap_or_default().into();
            Some(Gvk { group, version: Default::default(), kind })
        });
        Ok(Self { object, account_namespaces, role })
    }

    /// Where a namespaced referrer looks.
    fn scopes(&self) -> impl Iterator<Item = Scope<'a>> {
        let accounts = self.account_namespaces.iter().map(|namespace| Scope::Written(namespace));
        [Scope::Cluster, self.object.scope].into_iter().chain(accounts)
    }
}

/// The namespaces of the ServiceAccounts among the subjects of a RoleBinding.
///
/// kustomize dies of a subject that is no map, and of a kind that is no string beside a namespace.
fn account_namespaces(binding: &Value) -> std::result::Result<Vec<&str>, Problem> {
    let subjects = binding.get("subjects").and_then(Value::as_list).into_iter().flatten();
    let mut namespaces = Vec::new();
    for subject in subjects {
        if subject.as_map().is_none() {
            let message = format!("expected a map, found a {}", subject.kind_name());
            return Err(Problem { path: "subjects".into(), message });
        }
        let Some((namespace, kind)) = subject.get("namespace").zip(subject.get("kind")) else {
            continue;
        };
        if text_of(kind, "subjects/kind")? == "ServiceAccount" {
            namespaces.push(text_of(namespace, "subjects/namespace")?);
        }
    }
    Ok(namespaces)
}

fn text_of<'a>(value: &'a Value, path: &str) -> std::result::Result<&'a str, Problem> {
    let problem = || Problem { path: path.into(), message: "expected a string".into() };
    value.as_str().ok_or_else(problem)
}

/// kustomize takes the `null` of a referrer for its text in one place and for nothing in another, and refuses it.
fn check_api_version(referrer: &Value) -> std::result::Result<(), Problem> {
    let written = referrer.get("apiVersion").filter(|value| value.is_null());
    match written.and_then(Value::as_text) {
        Some(text) if !text.is_empty() => Err(Problem {
            path: "apiVersion".into(),
            message: format!("expected a string, found `{text}`"),
        }),
        _ => Ok(()),
    }
}

/// Prefers the objects that went through the same layers as the referrer.
fn narrow(candidates: &mut Vec<&Object<'_>>, referrer: &Resource) {
    let fits = |one: &Object<'_>, blank_fits: bool| {
        let one = one.resource;
        end_alike(&one.prefixes, &referrer.prefixes, blank_fits)
            && end_alike(&one.suffixes, &referrer.suffixes, blank_fits)
    };
    candidates.retain(|one| fits(one, true));
    if candidates.len() > 1 {
        candidates.retain(|one| fits(one, false));
    }
}

/// Whether one list is the end of the other.
fn end_alike<T: PartialEq>(one: &[T], other: &[T], blank_fits: bool) -> bool {
    match (one.is_empty(), other.is_empty()) {
        (true, true) => true,
        (true, false) | (false, true) => blank_fits,
        (false, false) => one.ends_with(other) || other.ends_with(one),
    }
}

/// Writes the name and namespace of `meant` into a map.
fn point_to(map: &mut Value, meant: &Resource) -> std::result::Result<(), Problem> {
    if let Some(name) = map.get_mut("name") {
        set_text(name, meant.name())?;
    }
    let namespace = meant.namespace();
    if namespace.is_empty() {
        return Ok(());
    }
    match (map.get_mut("namespace"), scalar::resolve_v2(namespace)) {
        (Some(field), _) => return set_text(field, namespace),
        (None, Tag::Str) => insert(map, Value::plain(namespace)),
        (None, _) => insert(map, Value::string(namespace)),
    }
    Ok(())
}

fn insert(map: &mut Value, namespace: Value) {
    if let Some(map) = map.as_map_mut() {
        map.push(plain_key("namespace"), namespace);
    }
}

fn ambiguous(name: &str, candidates: &[&Object<'_>]) -> Problem {
    let shown: Vec<String> = candidates
        .iter()
        .take(3)
        .map(|one| format!("{} \"{}\"", one.resource.kind(), one.resource.name()))
        .collect();
    let more = if candidates.len() > shown.len() { ", …" } else { "" };
    Problem::new(format!("\"{name}\" could mean any of {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Place;
    use crate::limits::Limits;
    use crate::resource::Origin;
    use crate::transform::{namespace, prefix};
    use crate::yaml;

    fn read(text: &str) -> Resources {
        let values = yaml::read(text.as_bytes(), &Arc::from("a.yaml"), &Limits::PERSON).unwrap();
        let origin = || Origin { file: "a.yaml".into(), document: 0 };
        Resources::from(
            values.into_iter().map(|value| Resource::new(value, origin())).collect::<Vec<_>>(),
        )
    }

    fn prefixed(text: &str) -> Resources {
        let mut resources = read(text);
        prefix::prefix(&mut resources, "p-", &Config::builtin().name_prefix).unwrap();
        resources
    }

    fn followed(mut resources: Resources) -> Resources {
        follow(&mut resources, &Config::builtin()).unwrap();
        resources
    }

    fn value(resources: &Resources, at: usize) -> &Value {
        &resources.as_slice()[at].value
    }

    #[test]
    fn a_reference_follows_its_object() {
        let text = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec:
  containers:
  - env:
    - valueFrom: {configMapKeyRef: {name: a}}
    - valueFrom: {secretKeyRef: {name: a}}
";
        let resources = followed(prefixed(text));
        let container =
            &value(&resources, 1).at(&["spec", "containers"]).unwrap().as_list().unwrap()[0];
        let env = container.get("env").unwrap().as_list().unwrap();
        assert_eq!(env[0].text_at(&["valueFrom", "configMapKeyRef", "name"]), Some("p-a"));
        assert_eq!(env[1].text_at(&["valueFrom", "secretKeyRef", "name"]), Some("a"));
    }

    #[test]
    fn other_namespaces_are_out_of_sight() {
        let text = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: x}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: y}
spec: {volumes: [{configMap: {name: a}}]}
";
        let resources = followed(prefixed(text));
        let volumes = value(&resources, 1).at(&["spec", "volumes"]).unwrap().as_list().unwrap();
        assert_eq!(volumes[0].text_at(&["configMap", "name"]), Some("a"));
    }

    #[test]
    fn subjects_get_name_and_namespace() {
        let text = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: a}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: b}
subjects: [{kind: ServiceAccount, name: a}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}
";
        let mut resources = prefixed(text);
        let config = Config::builtin();
        let shop =
            namespace::Namespace { name: "shop", specs: &config.namespace, ..Default::default() };
        namespace::apply(&mut resources, &shop).unwrap();
        let resources = followed(resources);
        let subjects = value(&resources, 1).get("subjects").unwrap().as_list().unwrap();
        assert_eq!(subjects[0].text_at(&["name"]), Some("p-a"));
        assert_eq!(subjects[0].text_at(&["namespace"]), Some("shop"));
        assert_eq!(value(&resources, 1).text_at(&["roleRef", "name"]), Some("a"));
    }

    #[test]
    fn the_layer_of_the_referrer_decides_between_namesakes() {
        let text = "
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
";
        let pod = "
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {volumes: [{configMap: {name: a}}]}
";
        let mut both = Vec::new();
        for layer in ["one-", "two-"] {
            let mut resources = read(&format!("{text}---{pod}"));
            prefix::prefix(&mut resources, layer, &Config::builtin().name_prefix).unwrap();
            both.append(resources.as_mut_vec());
        }
        let resources = followed(Resources::from(both));
        let volumes = value(&resources, 3).at(&["spec", "volumes"]).unwrap().as_list().unwrap();
        assert_eq!(volumes[0].text_at(&["configMap", "name"]), Some("two-a"));
    }

    #[test]
    fn a_scalar_in_the_way_is_refused_even_if_nothing_was_renamed() {
        let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: text
";
        let error = follow(&mut read(text), &Config::builtin()).unwrap_err();
        assert_eq!(error.places(), [Place::file("a.yaml")]);
        assert!(error.message().contains("\"spec\""), "{error}");
    }
}
