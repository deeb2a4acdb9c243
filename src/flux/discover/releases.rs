//! The HelmReleases of a repository: each that a Kustomization renders is rendered in turn, once all are found.
//!
//! What a release refers to may be rendered by any Kustomization: sources, ConfigMaps and Secrets are looked for among
//! all objects, those of the same root first, and only then elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Found, Search, located, parallel, root};
use crate::error::{Error, Place, Result, Warned};
use crate::flux::api::{self, HelmRelease, Object, Reading, SourceRef};
use crate::flux::helm::chart::{Provider, Pull, Sources};
use crate::flux::helm::{References, Releases};
use crate::flux::inventory::ObjectId;
use crate::flux::sources::Source;
use crate::flux::substitute::{Kind, Lookup, Objects};
use crate::resource::Resource;
use crate::tools::Helm;
use crate::yaml::Step;

/// Fetches the files of a source that is somewhere else; nothing where it is not to be fetched.
///
/// The second argument finds Secrets.
pub type Fetch<'a> = dyn Fn(&Object, &Lookup<'_>) -> Result<Option<Source>> + Sync + 'a;

/// Pulls a chart of a repository, with Secrets found by the last argument.
pub type PullWith<'a> =
    dyn Fn(&api::HelmRepository, &str, &str, &Lookup<'_>) -> Result<Source> + Sync + 'a;

/// How releases are rendered.
#[derive(Clone, Copy)]
pub struct Charts<'a> {
    /// The program.
    pub helm: &'a Helm,
    /// Fetches sources that are not in the repository.
    pub fetch: &'a Fetch<'a>,
    /// Asks repositories of charts.
    pub pull: &'a PullWith<'a>,
    /// Finds ConfigMaps and Secrets that no Kustomization renders.
    pub lookup: Option<&'a Lookup<'a>>,
    /// What stands for the text of a Secret that is not decrypted.
    pub mask: &'a str,
}

/// A HelmRelease.
#[derive(Debug)]
pub struct Release {
    /// As its Kustomization renders it.
    pub object: HelmRelease,
    /// The node of that.
    pub owner: usize,
    /// Its objects.
    pub outcome: Result<Vec<Resource>>,
}

/// What is about to be rendered.
struct Job {
    object: HelmRelease,
    owner: usize,
    written: Option<PathBuf>,
}

/// What all Kustomizations below one root render.
#[derive(Default)]
struct Declared {
    sources: BTreeMap<(String, String, String), Object>,
    /// ConfigMaps and Secrets.
    data: Objects,
    namespaces: Vec<String>,
}

/// Renders all releases and adds them to what was found.
pub(super) fn render(search: &mut Search<'_>, charts: &Charts<'_>) {
    let declared = declared(search);
    let jobs = jobs(search);
    let outcomes = parallel(&jobs, |job| {
        let own = root(&search.found.nodes, job.owner);
        outcome(search, charts, job, &declared, own)
    });
    for (job, Warned { output, warnings }) in jobs.into_iter().zip(outcomes) {
        search.found.warnings.extend(warnings);
        if let Err(error) = &output {
            search.found.problems.push(error.clone());
        }
        let Job { object, owner, .. } = job;
        search.found.releases.push(Release { object, owner, outcome: output });
    }
}

/// By root.
fn declared(search: &mut Search<'_>) -> BTreeMap<usize, Declared> {
    let mut all: BTreeMap<usize, Declared> = BTreeMap::new();
    let Found { nodes, problems, warnings, .. } = &mut search.found;
    for (index, node) in nodes.iter().enumerate() {
        let declared = all.entry(root(nodes, index)).or_default();
        declared.data.add_all(node.resources());
        for resource in node.resources() {
            let gvk = resource.gvk();
            if gvk.group.is_empty() && gvk.kind == "Namespace" {
                declared.namespaces.push(resource.name().to_owned());
            }
            if gvk.group != api::SOURCE_GROUP {
                continue;
            }
            let place = |_: &[Step<'_>]| Place::file(resource.origin.file.clone());
            let read = api::read(&resource.value, Reading::Strict, &place);
            warnings.extend(read.warnings);
            match read.output {
                Ok(Some(object)) => {
                    let id = ObjectId::of(resource);
                    let namespace = match id.namespace.as_str() {
                        "" => node.object.meta.namespace.to_string(),
                        namespace => namespace.to_owned(),
                    };
                    let key = (id.kind.to_string(), namespace, id.name.to_string());
                    declared.sources.insert(key, object);
                }
                Ok(None) => {}
                Err(error) => problems.push(error),
            }
        }
    }
    all
}

fn jobs(search: &mut Search<'_>) -> Vec<Job> {
    let mut jobs = Vec::new();
    let Found { nodes, problems, warnings, .. } = &mut search.found;
    for (owner, node) in nodes.iter().enumerate() {
        for resource in node.resources() {
            let gvk = resource.gvk();
            if gvk.group != api::HELM_GROUP || gvk.kind != "HelmRelease" {
                continue;
            }
            let file = &resource.origin.file;
            let path = search.request.repository.root.join(&**file);
            let is_it = search.request.repository.files.shown(&path) == *file;
            let written = is_it.then_some((path, resource.origin.document));
            let place = |path: &[Step<'_>]| {
                let found = written.as_ref().and_then(|at| located(search.request, at, path));
                found.unwrap_or_else(|| Place::file(file.clone()))
            };
            let read = api::read(&resource.value, Reading::Strict, &place);
            warnings.extend(read.warnings);
            match read.output {
                Ok(Some(Object::HelmRelease(mut object))) => {
                    if object.meta.namespace.is_empty() {
                        object.meta.namespace = node.object.meta.namespace.clone();
                    }
                    let written = written.map(|(path, _)| path);
                    jobs.push(Job { object: *object, owner, written });
                }
                Ok(_) => {}
                Err(error) => problems.push(error),
            }
        }
    }
    jobs
}

fn outcome(
    search: &Search<'_>,
    charts: &Charts<'_>,
    job: &Job,
    declared: &BTreeMap<usize, Declared>,
    own: usize,
) -> Warned<Result<Vec<Resource>>> {
    // A tree may hold several clusters with the same names: the own one first.
    let others = declared.iter().filter(|(root, _)| **root != own).map(|(_, one)| one);
    let near: Vec<&Declared> = declared.get(&own).into_iter().chain(others).collect();
    let lookup = |kind: Kind, namespace: &str, name: &str| {
        for declared in &near {
            if let Some(found) = declared.data.find(kind, namespace, name)? {
                return Ok(Some(found));
            }
        }
        match charts.lookup {
            Some(lookup) => lookup(kind, namespace, name),
            None => Ok(None),
        }
    };
    let find = |wanted: &SourceRef| provider(search, charts, job, &near, &lookup, wanted);
    let pull = |repository: &api::HelmRepository, name: &str, version: &str| {
        let repository = known(repository, &near).unwrap_or(repository);
        (charts.pull)(repository, name, version, &lookup)
    };
    let pull: &Pull<'_> = &pull;
    let releases = Releases {
        helm: charts.helm,
        sources: Sources { find: &find, pull },
        references: References {
            find: &lookup,
            is_complete: charts.lookup.is_some(),
            mask: charts.mask,
        },
        limits: search.request.limits,
    };
    let mut rendered = releases.render(&job.object);
    if let Ok(resources) = &mut rendered.output {
        // A namespace that is there is not made.
        let there = near.first().map(|declared| declared.namespaces.as_slice()).unwrap_or_default();
        resources.retain(|resource| {
            resource.kind() != "Namespace"
                || resource.value.at(&["metadata", "annotations"]).is_some()
                || !there.iter().any(|name| name == resource.name())
        });
    }
    rendered
}

fn provider(
    search: &Search<'_>,
    charts: &Charts<'_>,
    job: &Job,
    near: &[&Declared],
    secrets: &Lookup<'_>,
    wanted: &SourceRef,
) -> Result<Option<Provider>> {
    if let Some(source) = search.files(wanted, job.written.as_deref())? {
        return Ok(Some(Provider::Files(source)));
    }
    let SourceRef { kind, namespace, name, .. } = wanted;
    let key = (kind.to_string(), namespace.to_string(), name.to_string());
    let found = near.iter().find_map(|declared| declared.sources.get(&key));
    Ok(match found {
        None => None,
        Some(Object::HelmRepository(repository)) => Some(Provider::Repository(repository.clone())),
        Some(Object::HelmChart(chart)) => Some(Provider::Chart(chart.clone())),
        Some(object) => {
            let within = |error: Error| match &object.meta().place {
                Some(place) => error.within(place.clone()),
                None => error,
            };
            (charts.fetch)(object, secrets).map_err(within)?.map(Provider::Files)
        }
    })
}

/// The repository that is declared with the same address in the same namespace: it has credentials.
fn known<'d>(
    repository: &api::HelmRepository,
    near: &[&'d Declared],
) -> Option<&'d api::HelmRepository> {
    let bare = |url: &str| url.trim_end_matches('/').to_owned();
    let objects = near.iter().flat_map(|declared| declared.sources.iter());
    objects.into_iter().find_map(|((_, namespace, _), object)| match object {
        Object::HelmRepository(one)
            if *namespace == *repository.meta.namespace
                && bare(&one.url) == bare(&repository.url) =>
        {
            Some(&**one)
        }
        _ => None,
    })
}
