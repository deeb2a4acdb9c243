//! The resources that a server serves: the built-in ones of its minor, and those that
//! CustomResourceDefinitions add.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::rehearsal::Kind;
use crate::rehearsal::crd::{Definition, Version};
use crate::rehearsal::store::Table;
use crate::schema::kubernetes::Minor;

/// One resource in one version.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) kind: Kind,
    pub(super) plural: Arc<str>,
    pub(super) list_kind: String,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<String>,
    /// Name and verbs of each.
    pub(super) subresources: Vec<(String, Vec<String>)>,
    /// Where its objects are, in every version.
    pub(super) table: Table,
    /// The version in which they are there.
    pub(super) stored: Arc<str>,
    /// Whether a CustomResourceDefinition adds it.
    pub(super) custom: bool,
    /// That definition.
    pub(super) definition: Option<Arc<Definition>>,
}

impl Resource {
    /// What its definition says of its version.
    pub(super) fn version(&self) -> Option<&Version> {
        self.definition.as_ref()?.version(&self.kind.version)
    }

    /// Whether a request may do this to it, or to a part of it.
    pub(super) fn allows(&self, subresource: &str, verb: &str) -> bool {
        let verbs = match subresource {
            "" => Some(&self.verbs),
            _ => self
                .subresources
                .iter()
                .find(|(name, _)| name == subresource)
                .map(|(_, verbs)| verbs),
        };
        verbs.is_some_and(|verbs| verbs.iter().any(|allowed| allowed == verb))
    }

    pub(super) fn has(&self, subresource: &str) -> bool {
        subresource.is_empty() || self.subresources.iter().any(|(name, _)| name == subresource)
    }
}

/// Group, version and plural.
type Address = (Arc<str>, Arc<str>, Arc<str>);

/// All resources.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    resources: BTreeMap<Address, Arc<Resource>>,
    /// The groups of built-in resources: unknown kinds in them are refused in other words than
    /// those of unknown groups.
    groups: BTreeSet<String>,
}

impl Catalogue {
    /// The resources that a server of a minor begins with.
    pub(super) fn built_in(minor: &'static Minor) -> Self {
        let mut catalogue = Self::default();
        for given in minor.served() {
            let group: Arc<str> = given.group.into();
            let plural: Arc<str> = given.name.into();
            let owned = |verbs: &[&str]| verbs.iter().map(|&verb| verb.to_owned()).collect();
            let resource = Resource {
                kind: Kind {
                    group: given.group.into(),
                    version: given.version.into(),
                    kind: given.kind.kind.into(),
                },
                list_kind: format!("{}List", given.kind.kind),
                plural: Arc::clone(&plural),
                namespaced: given.namespaced,
                verbs: owned(&given.verbs),
                subresources: minor
                    .subresources(given)
                    .map(|part| (part.name.to_owned(), owned(&part.verbs)))
                    .collect(),
                table: table(&group, &plural),
                stored: stored(given.group, given.name, given.version).into(),
                custom: false,
                definition: None,
            };
            catalogue.groups.insert(given.group.to_owned());
            catalogue.resources.insert((group, given.version.into(), plural), resource.into());
        }
        catalogue
    }

    /// The resource at a path.
    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.into(), version.into(), plural.into()))
    }

    /// The resource in all versions of its group.
    pub(super) fn versions<'a>(
        &'a self,
        resource: &'a Resource,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        let (group, plural) = (&*resource.kind.group, &resource.plural);
        self.all().filter(move |other| other.kind.group == group && other.plural == *plural)
    }

    /// All resources, by group, version and plural.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Whether built-in resources are in that group.
    pub(super) fn has_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    pub(super) fn add(&mut self, resource: Resource) {
        let address = (
            Arc::clone(&resource.table.group),
            resource.kind.version.as_str().into(),
            Arc::clone(&resource.plural),
        );
        self.resources.insert(address, resource.into());
    }

    /// Takes out what definitions have added.
    pub(super) fn remove_custom(&mut self) {
        self.resources.retain(|_, resource| !resource.custom);
    }

    /// Where the objects of custom kinds are.
    pub(super) fn custom_tables(&self) -> Vec<Table> {
        self.all().filter(|resource| resource.custom).map(|found| found.table.clone()).collect()
    }

    /// The resource whose objects are in a table, in the version in which they are kept if that is
    /// served.
    pub(super) fn of_table(&self, table: &Table) -> Option<&Arc<Resource>> {
        let all = || self.all().filter(|resource| resource.table == *table);
        all().find(|resource| *resource.kind.version == *resource.stored).or_else(|| all().next())
    }
}

/// Objects that are served in two groups are in one table.
fn table(group: &Arc<str>, plural: &Arc<str>) -> Table {
    let group = match (&**group, &**plural) {
        ("events.k8s.io", "events") => "".into(),
        _ => Arc::clone(group),
    };
    Table { group, resource: Arc::clone(plural) }
}

/// The version in which objects are kept: the first one for which nothing is lost.
fn stored<'a>(group: &str, plural: &str, version: &'a str) -> &'a str {
    match (group, plural) {
        ("autoscaling", "horizontalpodautoscalers") => "v2",
        // All other kinds have the same fields in each version that they are served in.
        _ => version,
    }
}
