//! What differs between two states of a repository: which Kustomizations and releases come and go, and which of their
//! objects do or become others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::discover::{Found, Node, Outcome, Release};
use super::inventory::ObjectId;
use super::veil::{self, Veil, Veils};
use crate::error::{Error, Result};
use crate::json;
use crate::resource::Resource;

/// Two states, compared.
#[derive(Debug, Default)]
pub struct Comparison<'a> {
    /// The Kustomizations in the order of the later state; those that are gone come last.
    pub kustomizations: Vec<Compared<'a, Node>>,
    /// The releases of these, in the same order, where they were rendered.
    pub releases: Vec<Compared<'a, Release>>,
}

/// A Kustomization or release that is on at least one side.
#[derive(Debug)]
pub struct Compared<'a, T> {
    /// As it was.
    pub before: Option<&'a T>,
    /// As it is.
    pub after: Option<&'a T>,
    /// Its objects that differ: those that are there now in their order, then those that are gone.
    pub objects: Vec<Changed>,
    /// Why they cannot be compared, where they cannot.
    pub failure: Option<Failure<'a>>,
}

/// Why objects cannot be compared.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'a> {
    /// They did not render.
    Before(&'a Error),
    /// They do not render.
    After(&'a Error),
    /// The files are elsewhere.
    Elsewhere,
}

/// An object that differs. What is secret in it is hidden.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Which one.
    pub id: ObjectId,
    /// As it was; nothing where it is new.
    pub before: Option<Json>,
    /// As it is; nothing where it is gone.
    pub after: Option<Json>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is new.
    Created,
    /// It is another.
    Changed,
    /// It is gone.
    Deleted,
}

impl Change {
    /// As it is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
        }
    }

    fn of<T>(before: Option<&T>, after: Option<&T>) -> Self {
        match (before, after) {
            (None, _) => Self::Created,
            (_, None) => Self::Deleted,
            _ => Self::Changed,
        }
    }
}

impl Changed {
    /// How it differs.
    #[must_use]
    pub fn change(&self) -> Change {
        Change::of(self.before.as_ref(), self.after.as_ref())
    }
}

impl<'a, T> Compared<'a, T> {
    /// How it differs; nothing where it and its objects are the same.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let change = Change::of(self.before, self.after);
        (change != Change::Changed || !self.objects.is_empty()).then_some(change)
    }

    /// As it is, or where it is gone as it was.
    #[must_use]
    pub fn either(&self) -> Option<&'a T> {
        self.after.or(self.before)
    }
}

/// The objects of a Kustomization or release on one side.
struct Side<'a> {
    objects: std::result::Result<Vec<&'a Resource>, Absent<'a>>,
    veils: Veils<'a>,
}

/// Why there are no objects.
#[derive(Clone, Copy)]
enum Absent<'a> {
    Failed(&'a Error),
    Elsewhere,
}

impl<'a> From<&'a Node> for Side<'a> {
    fn from(node: &'a Node) -> Self {
        let objects = match &node.outcome {
            Outcome::Rendered(rendered) => Ok(rendered.resources.iter().collect()),
            Outcome::Failed(error) => Err(Absent::Failed(error)),
            Outcome::Elsewhere => Err(Absent::Elsewhere),
        };
        Self { objects, veils: Veils::default() }
    }
}

impl<'a> From<&'a Release> for Side<'a> {
    fn from(release: &'a Release) -> Self {
        let objects = release.outcome.as_ref().map(|objects| objects.iter().collect());
        Self { objects: objects.map_err(Absent::Failed), veils: release.veils() }
    }
}

/// A root: namespace, name and path.
type Root = (String, String, String);

/// A Kustomization or release: the root above it, its own namespace and name.
type Identity = (Root, String, String);

/// Compares all Kustomizations of two states that `is_wanted` picks, and their releases.
///
/// # Errors
/// Where an object cannot be written.
pub fn compare<'a>(
    before: &'a Found,
    after: &'a Found,
    is_wanted: &dyn Fn(&Node) -> bool,
) -> Result<Comparison<'a>> {
    let pairs = paired(nodes(before), nodes(after));
    let pairs = pairs
        .into_iter()
        .filter(|(_, one, other)| [one, other].into_iter().flatten().any(|node| is_wanted(node)));
    let mut comparison = Comparison::default();
    let mut broken = BTreeSet::new();
    for (identity, before, after) in pairs {
        let compared = one(before, after)?;
        if compared.failure.is_some() {
            broken.insert(identity);
        }
        comparison.kustomizations.push(compared);
    }
    for (_, was, is) in paired(releases(before), releases(after)) {
        let owners = [was.map(|one| (before, one)), is.map(|one| (after, one))];
        let mut owners = owners.into_iter().flatten().map(|(found, one)| (found, one.owner));
        // Of a Kustomization that does not render on one side, the releases there are not known.
        let is_known = |(found, owner): (&Found, usize)| !broken.contains(&identity(found, owner));
        let wants = |(found, owner): (&Found, usize)| is_wanted(&found.nodes[owner]);
        if owners.clone().any(wants) && owners.all(is_known) {
            comparison.releases.push(one(was, is)?);
        }
    }
    Ok(comparison)
}

fn root(found: &Found, index: usize) -> Root {
    let root = &found.nodes[found.root(index)].object;
    let path = root.spec.path.trim_start_matches("./").trim_end_matches('/');
    (root.meta.namespace.to_string(), root.meta.name.to_string(), path.to_owned())
}

fn identity(found: &Found, index: usize) -> Identity {
    let meta = &found.nodes[index].object.meta;
    (root(found, index), meta.namespace.to_string(), meta.name.to_string())
}

fn nodes(found: &Found) -> impl Iterator<Item = (Identity, &Node)> {
    found.nodes.iter().enumerate().map(|(index, node)| (identity(found, index), node))
}

/// By the root alone: a release may go from one Kustomization to another.
fn releases(found: &Found) -> impl Iterator<Item = (Identity, &Release)> {
    found.releases.iter().map(|release| {
        let meta = &release.object.meta;
        ((root(found, release.owner), meta.namespace.to_string(), meta.name.to_string()), release)
    })
}

/// What is the same on both sides, in the order of the later one; what is gone comes last.
fn paired<'a, T>(
    before: impl Iterator<Item = (Identity, &'a T)>,
    after: impl Iterator<Item = (Identity, &'a T)>,
) -> Vec<(Identity, Option<&'a T>, Option<&'a T>)> {
    let before: Vec<_> = before.collect();
    let mut old: BTreeMap<Identity, &T> = before.iter().cloned().collect();
    let mut pairs: Vec<_> = after
        .map(|(identity, one)| {
            let was = old.remove(&identity);
            (identity, was, Some(one))
        })
        .collect();
    let gone = before.into_iter().filter_map(|(identity, _)| old.remove_entry(&identity));
    pairs.extend(gone.map(|(identity, one)| (identity, Some(one), None)));
    pairs
}

fn one<'a, T>(before: Option<&'a T>, after: Option<&'a T>) -> Result<Compared<'a, T>>
where
    Side<'a>: From<&'a T>,
{
    let (was, is) = (before.map(Side::from), after.map(Side::from));
    let failure = failure(was.as_ref(), is.as_ref());
    let objects = match failure {
        Some(_) => Vec::new(),
        None => objects(was.as_ref(), is.as_ref())?,
    };
    Ok(Compared { before, after, objects, failure })
}

fn failure<'a>(before: Option<&Side<'a>>, after: Option<&Side<'a>>) -> Option<Failure<'a>> {
    let absent = |side: Option<&Side<'a>>| side?.objects.as_ref().err().copied();
    match (absent(before), absent(after)) {
        (_, Some(Absent::Failed(error))) => Some(Failure::After(error)),
        (Some(Absent::Failed(error)), _) => Some(Failure::Before(error)),
        (Some(Absent::Elsewhere), _) | (_, Some(Absent::Elsewhere)) => Some(Failure::Elsewhere),
        (None, None) => None,
    }
}

/// What differs between the objects of two sides, by their ids. Kustomize and Flux let none be there twice.
fn objects(before: Option<&Side<'_>>, after: Option<&Side<'_>>) -> Result<Vec<Changed>> {
    let mut old: BTreeMap<ObjectId, &Resource> = BTreeMap::new();
    let mut order = Vec::new();
    for resource in resources(before) {
        let id = ObjectId::of(resource);
        order.push(id.clone());
        old.insert(id, resource);
    }
    let mut changed = Vec::new();
    for resource in resources(after) {
        let id = ObjectId::of(resource);
        let was = old.remove(&id);
        if was.is_some_and(|was| was.value == resource.value) {
            continue;
        }
        let was = was.map(|was| half(before, was)).transpose()?;
        changed.extend(object(id, was, Some(half(after, resource)?)));
    }
    for id in order {
        if let Some(resource) = old.remove(&id) {
            changed.extend(object(id, Some(half(before, resource)?), None));
        }
    }
    Ok(changed)
}

fn resources<'s>(side: Option<&'s Side<'_>>) -> impl Iterator<Item = &'s Resource> {
    side.into_iter().flat_map(|side| side.objects.iter().flatten().copied())
}

/// An object on one side, and what of it is secret.
type Half = (Json, Veil);

fn half(side: Option<&Side<'_>>, resource: &Resource) -> Result<Half> {
    let mut json = json::to_json(&resource.value)?;
    if let Some(object) = json.as_object_mut() {
        // When and by whom it was encrypted is not applied.
        object.remove("sops");
    }
    let veil = side.map(|side| side.veils.of(resource)).transpose()?;
    Ok((json, veil.unwrap_or_default()))
}

fn object(id: ObjectId, before: Option<Half>, after: Option<Half>) -> Option<Changed> {
    let ((was, veil), (is, other)) = (before.unzip(), after.unzip());
    if was == is {
        return None;
    }
    let veil = veil.unwrap_or_default().and(other.unwrap_or_default());
    let (before, after) = veil::pair(was.as_ref(), is.as_ref(), &veil);
    Some(Changed { id, before, after })
}
