//! What differs between two states of a repository: which Kustomizations come and go, and which of their objects
//! do or become others.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::discover::{Found, Node, Outcome};
use super::inventory::ObjectId;
use super::veil::{self, Veil};
use crate::error::{Error, Result};
use crate::json;
use crate::resource::Resource;

/// A Kustomization that is on at least one side.
#[derive(Debug)]
pub struct Compared<'a> {
    /// As it was.
    pub before: Option<&'a Node>,
    /// As it is.
    pub after: Option<&'a Node>,
    /// Its objects that differ: those that are there now in their order, then those that are gone.
    pub objects: Vec<Changed>,
    /// Why they cannot be compared, where they cannot.
    pub failure: Option<Failure<'a>>,
}

/// Why the objects of a Kustomization cannot be compared.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'a> {
    /// It did not render.
    Before(&'a Error),
    /// It does not render.
    After(&'a Error),
    /// Its files are elsewhere.
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

impl Compared<'_> {
    /// How the Kustomization differs; nothing where it and its objects are the same.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let change = Change::of(self.before, self.after);
        (change != Change::Changed || !self.objects.is_empty()).then_some(change)
    }

    /// The Kustomization as it is, or where it is gone as it was.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        self.after.or(self.before)
    }
}

/// Which Kustomization it is: the name and path of the root above it, and its own name.
type Identity = (String, String, String, String, String);

/// Compares all Kustomizations of two states that `is_wanted` picks, in the order of the later one; those that are
/// gone come last.
///
/// # Errors
/// Where an object cannot be written.
pub fn compare<'a>(
    before: &'a Found,
    after: &'a Found,
    is_wanted: &dyn Fn(&Node) -> bool,
) -> Result<Vec<Compared<'a>>> {
    let mut old: BTreeMap<Identity, &Node> = BTreeMap::new();
    for (index, node) in before.nodes.iter().enumerate() {
        old.insert(identity(before, index), node);
    }
    let mut compared = Vec::new();
    for (index, node) in after.nodes.iter().enumerate() {
        let was = old.remove(&identity(after, index));
        if is_wanted(node) || was.is_some_and(is_wanted) {
            compared.push(one(was, Some(node))?);
        }
    }
    let order = (0..before.nodes.len()).map(|index| identity(before, index));
    for node in order.filter_map(|identity| old.remove(&identity)) {
        if is_wanted(node) {
            compared.push(one(Some(node), None)?);
        }
    }
    Ok(compared)
}

fn identity(found: &Found, index: usize) -> Identity {
    let (own, root) = (&found.nodes[index].object, &found.nodes[found.root(index)].object);
    let text = |text: &str| text.to_owned();
    let path = root.spec.path.trim_start_matches("./").trim_end_matches('/');
    (
        text(&root.meta.namespace),
        text(&root.meta.name),
        text(path),
        text(&own.meta.namespace),
        text(&own.meta.name),
    )
}

fn one<'a>(before: Option<&'a Node>, after: Option<&'a Node>) -> Result<Compared<'a>> {
    let failure = failure(before, after);
    let objects = match failure {
        Some(_) => Vec::new(),
        None => objects(before, after)?,
    };
    Ok(Compared { before, after, objects, failure })
}

fn failure<'a>(before: Option<&'a Node>, after: Option<&'a Node>) -> Option<Failure<'a>> {
    let outcome = |node: Option<&'a Node>| node.map(|node| &node.outcome);
    match (outcome(before), outcome(after)) {
        (_, Some(Outcome::Failed(error))) => Some(Failure::After(error)),
        (Some(Outcome::Failed(error)), _) => Some(Failure::Before(error)),
        (Some(Outcome::Elsewhere), _) | (_, Some(Outcome::Elsewhere)) => Some(Failure::Elsewhere),
        _ => None,
    }
}

/// What differs between the objects of two nodes, by their ids. Kustomize lets none be there twice.
fn objects(before: Option<&Node>, after: Option<&Node>) -> Result<Vec<Changed>> {
    let mut old: BTreeMap<ObjectId, &Resource> = BTreeMap::new();
    let mut order = Vec::new();
    for resource in before.into_iter().flat_map(Node::resources) {
        let id = ObjectId::of(resource);
        order.push(id.clone());
        old.insert(id, resource);
    }
    let mut changed = Vec::new();
    for resource in after.into_iter().flat_map(Node::resources) {
        let id = ObjectId::of(resource);
        changed.extend(object(id.clone(), old.remove(&id), Some(resource))?);
    }
    for id in order {
        if let Some(resource) = old.remove(&id) {
            changed.extend(object(id, Some(resource), None)?);
        }
    }
    Ok(changed)
}

fn object(
    id: ObjectId,
    before: Option<&Resource>,
    after: Option<&Resource>,
) -> Result<Option<Changed>> {
    if let (Some(before), Some(after)) = (before, after)
        && before.value == after.value
    {
        return Ok(None);
    }
    let json =
        |resource: Option<&Resource>| resource.map(|one| json::to_json(&one.value)).transpose();
    let (mut before, mut after) = (json(before)?, json(after)?);
    for object in [&mut before, &mut after].into_iter().flatten().filter_map(Json::as_object_mut) {
        // When and by whom it was encrypted is not applied.
        object.remove("sops");
    }
    if before == after {
        return Ok(None);
    }
    let (before, after) = veil::pair(before.as_ref(), after.as_ref(), &Veil::default());
    Ok(Some(Changed { id, before, after }))
}
