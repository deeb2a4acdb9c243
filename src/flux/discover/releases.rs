//! The HelmReleases of a repository: each that a Kustomization renders is rendered in turn, once all are found.
//!
//! What a release refers to may be rendered by any Kustomization: sources, ConfigMaps and Secrets are looked for among
//! all objects, those of the same root first, and only then elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Found, Search, parallel, read_rendered, root, written};
use crate::error::{Error, Result, Warned};
use crate::flux::api::{self, HelmRelease, Object, SourceRef};
use crate::flux::helm::chart::{Provider, Pull, Sources};
use crate::flux::helm::{Earlier, Masked, References, Releases, stood_in};
use crate::flux::inventory::ObjectId;
use crate::flux::sources::Source;
use crate::flux::substitute::{Kind, Lookup, Objects};
use crate::flux::veil::{Veils, stand_in};
use crate::resource::Resource;
use crate::tools::Helm;

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
    /// Finds ConfigMaps and Secrets with values that no Kustomization renders.
    pub values: &'a Lookup<'a>,
    /// Finds Secrets to sign in with that no Kustomization renders.
    pub credentials: &'a Lookup<'a>,
    /// Whether values that are not found are nowhere; else they may be in the cluster, and a release goes without them.
    pub is_complete: bool,
    /// Whether a text stands for that of a Secret that is not decrypted, or is it.
    pub is_masked: &'a Masked<'a>,
    /// Whether releases are rendered a second time with stand-ins for the values of Secrets, so that nobody need see these.
    pub veils: bool,
    /// What was rendered before.
    pub earlier: &'a Earlier,
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
    /// The same with stand-ins for values of Secrets, as far as they render; nothing where there are none, or nobody asked.
    pub stood_in: Option<Vec<Resource>>,
}

impl Release {
    /// What is secret of its objects.
    #[must_use]
    pub fn veils(&self) -> Veils<'_> {
        Veils::new(self.stood_in.as_ref())
    }
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
    for (job, (rendered, stood_in)) in jobs.into_iter().zip(outcomes) {
        let Warned { output: outcome, warnings } = rendered;
        search.found.warnings.extend(warnings);
        if let Err(error) = &outcome {
            search.found.problems.push(error.clone());
        }
        let Job { object, owner, .. } = job;
        search.found.releases.push(Release { object, owner, outcome, stood_in });
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
            let read = read_rendered(search.request, resource);
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
            let written = written(search.request, resource);
            let read = read_rendered(search.request, resource);
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
) -> (Warned<Result<Vec<Resource>>>, Option<Vec<Resource>>) {
    // A tree may hold several clusters with the same names: the own one first.
    let others = declared.iter().filter(|(root, _)| **root != own).map(|(_, one)| one);
    let near: Vec<&Declared> = declared.get(&own).into_iter().chain(others).collect();
    let known = |kind: Kind, namespace: &str, name: &str| {
        let found = near.iter().map(|declared| declared.data.find(kind, namespace, name));
        found.filter_map(Result::transpose).next().transpose()
    };
    let credentials = |kind: Kind, namespace: &str, name: &str| match known(kind, namespace, name)?
    {
        None => (charts.credentials)(kind, namespace, name),
        found => Ok(found),
    };
    let values = |kind: Kind, namespace: &str, name: &str| match known(kind, namespace, name)? {
        None => (charts.values)(kind, namespace, name),
        found => Ok(found),
    };
    let limits = search.request.limits;
    let stand_ins = |kind: Kind, namespace: &str, name: &str| {
        let found = values(kind, namespace, name)?;
        Ok(match kind {
            Kind::Secret => found.map(|found| stood_in(found, charts.is_masked, limits, &stand_in)),
            Kind::ConfigMap => found,
        })
    };
    let find_source =
        |wanted: &SourceRef| provider(search, charts, job, &near, &credentials, wanted);
    let pull = |repository: &api::HelmRepository, name: &str, version: &str| {
        let repository = declared_as(repository, &near).unwrap_or(repository);
        (charts.pull)(repository, name, version, &credentials)
    };
    let pull: &Pull<'_> = &pull;
    let render = |find: &Lookup<'_>| {
        let releases = Releases {
            helm: charts.helm,
            sources: Sources { find: &find_source, pull },
            references: References {
                find,
                is_complete: charts.is_complete,
                is_masked: charts.is_masked,
            },
            earlier: charts.earlier,
            limits,
        };
        releases.render(&job.object)
    };
    let mut rendered = render(&values);
    let from_secrets = job.object.values_from.iter().any(|one| one.kind == Kind::Secret);
    let veils = charts.veils && from_secrets && rendered.output.is_ok();
    // Where the chart refuses them, nothing tells what is secret: then all is.
    let stood_in = veils.then(|| render(&stand_ins).output.unwrap_or_default());
    if let Ok(resources) = &mut rendered.output {
        // A namespace that is there is not made.
        let there = near.first().map(|declared| declared.namespaces.as_slice()).unwrap_or_default();
        resources.retain(|resource| {
            resource.kind() != "Namespace"
                || resource.value.at(&["metadata", "annotations"]).is_some()
                || !there.iter().any(|name| name == resource.name())
        });
    }
    (rendered, stood_in)
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
fn declared_as<'d>(
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
