//! Finding the objects that patches are for, among many.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

use crate::kustomization::Selector;
use crate::nearest::nearest;
use crate::resource::{Id, Resource};
use crate::resources::Resources;
use crate::selector::Matcher;
use crate::threads::Threads;
use crate::value::Value;

/// The objects that patches change, found by any name that they have or had.
pub(super) struct Search<'a> {
    list: &'a mut Vec<Resource>,
    threads: Threads,
    /// Hashes of names with positions, sorted; made when it is asked for.
    names: Option<Vec<(u64, usize)>>,
    /// Removed objects stay as nulls until the end, so that positions hold.
    any_removed: bool,
}

/// That there is no such object, or more than one.
pub(super) struct NotOne {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Search<'a> {
    pub(super) fn new(resources: &'a mut Resources) -> Self {
        let threads = resources.threads().clone();
        Self { list: resources.as_mut_vec(), threads, names: None, any_removed: false }
    }

    pub(super) fn list(&self) -> &[Resource] {
        self.list
    }

    /// The object at a position, for writing; see [`Search::renamed`].
    pub(super) fn change(&mut self, at: usize) -> &mut Resource {
        &mut self.list[at]
    }

    /// To be called after a change that may have given the object another name than `before`.
    pub(super) fn renamed(&mut self, at: usize, before: &str) {
        if self.list[at].name() != before {
            self.names = None;
        }
    }

    pub(super) fn remove(&mut self, at: usize) {
        self.list[at].value = Value::Null;
        self.any_removed = true;
    }

    /// Drops what was removed.
    pub(super) fn finish(self) {
        if self.any_removed {
            self.list.retain(is_there);
        }
    }

    /// The positions of everything selected.
    pub(super) fn select(&mut self, matcher: &Matcher) -> Vec<usize> {
        let selected = |at: &usize| {
            let object = &self.list[*at];
            is_there(object) && matcher.matches(object)
        };
        match matcher.only_name() {
            // Most targets name one object.
            Some(name) => {
                let list = &*self.list;
                let names = self.names.get_or_insert_with(|| all_names(list, &self.threads));
                with_name(names, name).filter(selected).collect()
            }
            None => (0..self.list.len()).filter(selected).collect(),
        }
    }

    /// The position of the one object that has or had this id.
    pub(super) fn find(&mut self, id: &Id) -> Result<usize, NotOne> {
        let list = &*self.list;
        let names = self.names.get_or_insert_with(|| all_names(list, &self.threads));
        let is_it = |at: &usize| is_there(&list[*at]) && has_or_had(&list[*at], id);
        let found: Vec<_> = with_name(names, &id.name).filter(is_it).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(self.missing(id)),
            [one, other, ..] => {
                let of = |at: usize| named(&self.list[at]);
                Err(NotOne {
                    message: format!(
                        "patch matches more than one resource: {} is or was the name of {} and {}",
                        shown(id),
                        of(*one),
                        of(*other)
                    ),
                    hint: None,
                })
            }
        }
    }

    fn missing(&self, id: &Id) -> NotOne {
        let message = format!("patch matches no resource: {}", shown(id));
        NotOne { message, hint: self.hint(&id.gvk.kind, &id.name, Some(id)) }
    }

    /// What a selector that selects nothing might have meant.
    pub(super) fn nothing_selected(&self, target: &Selector) -> String {
        let Selector { gvk, name, .. } = target;
        let what = match (gvk.kind.as_str(), name.as_str()) {
            ("", "") => "its target selects nothing".to_owned(),
            ("", name) => format!("its target \"{name}\" selects nothing"),
            (kind, "") => format!("its target {kind} selects nothing"),
            (kind, name) => format!("its target {kind} \"{name}\" selects nothing"),
        };
        match self.hint(&gvk.kind, name, None) {
            Some(hint) => format!("{what}; {hint}"),
            None => what,
        }
    }

    /// What there is in place of something that is not.
    fn hint(&self, kind: &str, name: &str, id: Option<&Id>) -> Option<String> {
        let there = || self.list.iter().filter(|one| is_there(one));
        if let Some(other) = there().find(|one| one.name() == name && one.kind() == kind) {
            let difference = match id {
                Some(id) if other.gvk() != id.gvk => {
                    format!("with apiVersion \"{}\"", other.api_version())
                }
                _ => format!("in namespace \"{}\"", other.namespace()),
            };
            return Some(format!("{kind} \"{name}\" is there {difference}"));
        }
        let of_kind = || there().filter(|one| one.kind() == kind).map(Resource::name);
        if let Some(near) = nearest(name, of_kind()) {
            return Some(format!("there is a {kind} \"{near}\""));
        }
        if let Some(other) = there().find(|one| !name.is_empty() && one.name() == name) {
            return Some(format!("\"{name}\" is a {} here", other.kind()));
        }
        let names = listed(of_kind());
        if !names.is_empty() {
            return Some(format!("there is {kind} {names}"));
        }
        let kinds = listed(there().map(Resource::kind));
        (!kinds.is_empty()).then(|| format!("there are objects of kind {kinds}"))
    }

    /// Whether two objects have one id now.
    pub(super) fn check_ids(&self) -> Result<(), String> {
        let mut seen = std::collections::HashMap::new();
        for (at, one) in self.list.iter().enumerate().filter(|(_, one)| is_there(one)) {
            let mut id = one.id();
            id.namespace = id.effective_namespace().into();
            if let Some(before) = seen.insert(id, at) {
                let name = named(&self.list[before]);
                return Err(format!("patch gives two resources the same id: {name}"));
            }
        }
        Ok(())
    }
}

/// Whether the object has or had this id. Of a former id kustomize remembers the kind, not the version.
fn has_or_had(object: &Resource, id: &Id) -> bool {
    let is_former = |former: &Id| {
        let former = Id { gvk: object.former_gvk(former), ..former.clone() };
        former.is_same(id)
    };
    object.id().is_same(id) || object.former.iter().any(is_former)
}

fn is_there(resource: &Resource) -> bool {
    !resource.value.is_null()
}

fn all_names(list: &[Resource], threads: &Threads) -> Vec<(u64, usize)> {
    let mut names = threads.map_runs(list, names_of).concat();
    names.sort_unstable();
    names.dedup();
    names
}

fn names_of(first: usize, run: &[Resource]) -> Vec<(u64, usize)> {
    let mut names = Vec::with_capacity(run.len());
    for (at, one) in (first..).zip(run) {
        names.push((hash(one.name()), at));
        names.extend(one.former.iter().map(|id| (hash(&id.name), at)));
    }
    names
}

/// The positions of what has or had a name, without others but for colliding hashes, in order.
fn with_name(names: &[(u64, usize)], name: &str) -> impl Iterator<Item = usize> {
    let wanted = hash(name);
    let start = names.partition_point(|(hash, _)| *hash < wanted);
    names[start..].iter().take_while(move |(hash, _)| *hash == wanted).map(|(_, at)| *at)
}

fn hash(name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    hasher.finish()
}

/// At most five different names, quoted.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut few: Vec<&str> = Vec::new();
    let mut more = false;
    for name in names {
        if !few.contains(&name) {
            more = few.len() == 5;
            if more {
                break;
            }
            few.push(name);
        }
    }
    let quoted: Vec<_> = few.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ") + if more { ", …" } else { "" }
}

/// An object as messages call it: `Deployment "web" in namespace "shop"`.
pub(super) fn named(resource: &Resource) -> String {
    shown(&resource.id())
}

fn shown(id: &Id) -> String {
    let Id { gvk, name, namespace } = id;
    if namespace.is_empty() {
        format!("{} \"{name}\"", gvk.kind)
    } else {
        format!("{} \"{name}\" in namespace \"{namespace}\"", gvk.kind)
    }
}
