//! All Kustomizations of a repository: those that stand in its files, and those that they render in turn.
//!
//! What stands in a file may be patched before it is applied, so a Kustomization that another one renders counts as
//! rendered, and its file only tells where it stands. The ones that nobody renders are the roots. Each is rendered
//! once, those that do not wait for each other at the same time, and the order of the result depends on neither.

mod artifacts;
mod checks;
mod declared;
pub mod drawing;
mod fetched;
mod known;
mod own;
mod releases;
mod scan;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::Rendered;
use super::api::{self, Kustomization, Object, Reading, SourceRef};
use super::sources::Source;
use super::substitute::{Kind, Reference};
use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::files::{FileKind, Files, clean};
use crate::limits::Limits;
use crate::resource::{Origin, Resource};
use crate::yaml::{self, Step};

pub use fetched::{Beyond, Fetching};
pub use known::Known;
pub use releases::{Charts, Fetch, PullWith, Release};

/// Most Kustomizations of a repository.
const KUSTOMIZATIONS: usize = 20_000;

/// Renders one Kustomization.
pub type Render<'a> = dyn Fn(&Asked<'_>) -> Warned<Result<Rendered>> + Sync + 'a;

/// Finds a ConfigMap or Secret that is known without asking a cluster: kind, namespace, name.
pub type Find<'a> = dyn Fn(Kind, &str, &str) -> Option<Known> + Sync + 'a;

/// What is to be rendered.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The Kustomization.
    pub object: &'a Kustomization,
    /// The files of its source.
    pub source: &'a Source,
    /// What the other Kustomizations of its cluster render, and what stands in files near it.
    pub known: &'a Find<'a>,
}

/// Files that stand for a source of another name.
#[derive(Clone, Debug)]
pub struct Local {
    /// The kind, as `GitRepository`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The files.
    pub source: Source,
}

/// Where to look, and how to render.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The repository.
    pub repository: &'a Source,
    /// Where to look for Kustomizations that stand in files: a directory or a file.
    pub entry: &'a Path,
    /// What stands for sources other than the repository.
    pub local: &'a [Local],
    /// The [addresses](super::sources::address) that the repository was cloned from.
    pub remotes: &'a [String],
    /// Bounds of what is read.
    pub limits: &'a Limits,
    /// Renders one.
    pub render: &'a Render<'a>,
    /// What may be had from elsewhere.
    pub beyond: Beyond<'a>,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The Kustomizations; parents come before their children.
    pub nodes: Vec<Node>,
    /// Those that no other one renders.
    pub roots: Vec<usize>,
    /// The HelmReleases of all of them in their order, where these are rendered.
    pub releases: Vec<Release>,
    /// What Flux would fail at, or never finish.
    pub problems: Vec<Error>,
    /// Those whose files are neither here nor given: Flux may well have them.
    pub elsewhere: Vec<Error>,
    /// What it would do although its author hardly meant it.
    pub warnings: Vec<Warning>,
}

impl Found {
    /// The root that a Kustomization is below; its own index, where it is one.
    #[must_use]
    pub fn root(&self, index: usize) -> usize {
        root(&self.nodes, index)
    }
}

/// A Kustomization.
#[derive(Debug)]
pub struct Node {
    /// As its parent renders it; of a root as it stands in its file.
    pub object: Kustomization,
    /// Who renders it.
    pub parent: Option<usize>,
    /// Those that it renders, in the order of its inventory.
    pub children: Vec<usize>,
    /// What came of it.
    pub outcome: Outcome,
    /// Where it stands in a file, where it does.
    written: Option<(PathBuf, usize)>,
}

impl Node {
    /// The objects that it renders to; none where it does not render.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        let rendered = match &self.outcome {
            Outcome::Rendered(rendered) => Some(rendered),
            Outcome::Failed(_) | Outcome::Elsewhere => None,
        };
        rendered.into_iter().flat_map(|rendered| rendered.resources.iter())
    }
}

/// What came of a Kustomization.
#[derive(Debug)]
pub enum Outcome {
    /// It renders.
    Rendered(Rendered),
    /// It does not.
    Failed(Error),
    /// Its source is not in this repository, and nothing stands for it.
    Elsewhere,
}

/// A Kustomization in a file.
struct Candidate {
    object: Kustomization,
    path: PathBuf,
    document: usize,
    covered: bool,
    /// Why the API server would refuse it as it stands.
    refused: Option<Error>,
    /// What it would do although its author hardly meant it, as it stands.
    warnings: Vec<Warning>,
}

/// What is about to be rendered.
struct Job {
    object: Kustomization,
    parent: Option<usize>,
    written: Option<(PathBuf, usize)>,
    /// Why the API server would refuse it.
    refused: Option<Error>,
}

/// Finds and renders all Kustomizations.
///
/// # Errors
/// Where the entry cannot be read, or there are too many. What is wrong with one of them is a problem of the result.
pub fn discover(request: &Request<'_>) -> Result<Found> {
    let scanned = scan::scan(request)?;
    let places = scanned.candidates.iter().enumerate().map(|(index, candidate)| {
        ((request.repository.files.shown(&candidate.path), candidate.document), index)
    });
    let mut search = Search {
        request,
        by_place: places.collect(),
        owners: BTreeMap::new(),
        generators: scanned.generators,
        sources: scanned.sources,
        artifacts: Mutex::default(),
        fetched: Mutex::default(),
        known: known::Store::new(scanned.files),
        candidates: scanned.candidates,
        found: Found { problems: scanned.problems, warnings: scanned.warnings, ..Found::default() },
    };
    search.run()?;
    if let Some(charts) = request.beyond.charts {
        releases::render(&mut search, charts);
    }
    let Search { mut found, sources, .. } = search;
    checks::objects(request, &mut found, scanned.objects);
    checks::check(request, &mut found, &sources);
    Ok(found)
}

struct Search<'a> {
    request: &'a Request<'a>,
    generators: Vec<artifacts::Generator>,
    /// The sources that are declared.
    sources: Vec<declared::Declared>,
    /// What was made of them, by index and namespace.
    artifacts: Mutex<BTreeMap<(usize, String), Result<Source>>>,
    /// What was fetched of them, likewise.
    fetched: Mutex<BTreeMap<(usize, String), fetched::Once>>,
    known: known::Store,
    candidates: Vec<Candidate>,
    /// Candidates by what their file is called, and the document.
    by_place: BTreeMap<(Arc<str>, usize), usize>,
    /// Who renders what is found or about to be, by root, namespace and name.
    owners: BTreeMap<(usize, String, String), Option<usize>>,
    found: Found,
}

impl Search<'_> {
    fn run(&mut self) -> Result<()> {
        loop {
            let roots = self.next_roots();
            if roots.is_empty() {
                return Ok(());
            }
            let mut jobs: Vec<Job> = roots
                .into_iter()
                .map(|index| {
                    let candidate = &mut self.candidates[index];
                    candidate.covered = true;
                    self.found.warnings.append(&mut candidate.warnings);
                    let written = Some((candidate.path.clone(), candidate.document));
                    let (object, refused) = (candidate.object.clone(), candidate.refused.take());
                    Job { object, parent: None, written, refused }
                })
                .collect();
            while !jobs.is_empty() {
                let (ready, mut waiting) = self.ready(jobs);
                waiting.extend(self.level(ready)?);
                jobs = waiting;
            }
        }
    }

    /// Of the Kustomizations in files that nobody rendered so far those that lie below the path of no other one.
    fn next_roots(&self) -> Vec<usize> {
        let open: Vec<usize> =
            (0..self.candidates.len()).filter(|index| !self.candidates[*index].covered).collect();
        let mut by_path: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
        for index in &open {
            if let Some(path) = self.path_in_repository(*index) {
                by_path.entry(path).or_default().push(*index);
            }
        }
        let is_below = |index: usize| {
            let mut above = self.candidates[index].path.ancestors().skip(1);
            above.any(|directory| {
                let here = by_path.get(directory);
                here.is_some_and(|here| here.len() > 1 || here[0] != index)
            })
        };
        let roots: Vec<_> = open.iter().copied().filter(|index| !is_below(*index)).collect();
        match roots.is_empty() {
            // Each lies below another one: begin somewhere.
            true => open.into_iter().take(1).collect(),
            false => roots,
        }
    }

    /// The directory that a candidate renders, where that is in the repository.
    fn path_in_repository(&self, index: usize) -> Option<PathBuf> {
        let Candidate { object, path, .. } = &self.candidates[index];
        self.is_own(object, Some(path)).then(|| directory(self.request.repository, object))
    }

    fn is_own(&self, object: &Kustomization, written: Option<&Path>) -> bool {
        let told = own::is_own(self.request, &self.sources, &object.source());
        told.unwrap_or_else(|| own::holds(self.request, object, written))
    }

    /// Those that can be rendered now, and those that wait for the ConfigMaps and Secrets that others render.
    ///
    /// Where all of them wait, what they wait for comes from elsewhere: then those go first that depend on no
    /// other one.
    fn ready(&self, jobs: Vec<Job>) -> (Vec<Job>, Vec<Job>) {
        let (waiting, ready): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| self.waits(job));
        if !ready.is_empty() {
            return (ready, waiting);
        }
        let names: BTreeSet<_> = waiting.iter().map(|job| owned_name(&job.object)).collect();
        let depends = |job: &Job| {
            let namespace = &job.object.meta.namespace;
            job.object.depends_on.iter().any(|other| {
                let of = if other.namespace.is_empty() { namespace } else { &other.namespace };
                names.contains(&(of.to_string(), other.name.to_string()))
            })
        };
        let (waiting, ready): (Vec<_>, Vec<_>) = waiting.into_iter().partition(depends);
        if ready.is_empty() { (waiting, ready) } else { (ready, waiting) }
    }

    fn waits(&self, job: &Job) -> bool {
        let references = job.object.post_build.iter().flat_map(|one| &one.substitute_from);
        let (root, namespace) = (self.root_of(job), &job.object.meta.namespace);
        let is_there = |reference: &Reference| {
            self.known.rendered(root, reference.kind, namespace, &reference.name).is_some()
        };
        references.into_iter().any(|reference| !is_there(reference))
    }

    /// The root that a job is below; nothing where it is to be one itself.
    fn root_of(&self, job: &Job) -> Option<usize> {
        job.parent.map(|parent| root(&self.found.nodes, parent))
    }

    /// Renders some Kustomizations and gives those that they render.
    fn level(&mut self, jobs: Vec<Job>) -> Result<Vec<Job>> {
        let total = self.found.nodes.len() + jobs.len();
        if total > KUSTOMIZATIONS {
            let place = Place::file(self.request.repository.files.shown(self.request.entry));
            let message = format!("more than {KUSTOMIZATIONS} Kustomizations");
            return Err(Error::new(ErrorKind::Limit, place, message));
        }
        let outcomes = parallel(&jobs, |job| self.outcome(job));
        let mut next = Vec::new();
        let mut told: HashSet<Warning> = self.found.warnings.iter().cloned().collect();
        for (job, mut outcome) in jobs.into_iter().zip(outcomes) {
            // What several Kustomizations have in common is told once.
            outcome.warnings.retain(|warning| told.insert(warning.clone()));
            self.found.warnings.append(&mut outcome.warnings);
            self.add(job, outcome.output, &mut next);
        }
        Ok(next)
    }

    fn outcome(&self, job: &Job) -> Warned<Outcome> {
        let unwarned = |output| Warned { output, warnings: Vec::new() };
        if let Some(error) = &job.refused {
            return unwarned(Outcome::Failed(error.clone()));
        }
        let source = match self.source(job) {
            Ok(Some(source)) => source,
            Ok(None) => return unwarned(Outcome::Elsewhere),
            Err(error) => return unwarned(Outcome::Failed(error)),
        };
        let directory = directory(&source, &job.object);
        if source.files.kind(&directory) != FileKind::Directory {
            let path = &job.object.spec.path;
            let message = format!("spec.path \"{path}\" is no directory of its source");
            let place = locate(
                self.request,
                job.written.as_ref(),
                &job.object,
                &[Step::Key("spec"), Step::Key("path")],
            );
            let error = Error::new(ErrorKind::Missing, place, message);
            let file = job.written.as_ref().map(|(path, _)| path.as_path());
            let below = directory.strip_prefix(&source.root).unwrap_or(&directory);
            return unwarned(Outcome::Failed(
                match self.leaves_out(&job.object.source(), file, below) {
                    Some(hint) => error.hint(hint),
                    None => error,
                },
            ));
        }
        let rendered = self.render(job, &source);
        let output = match rendered.output {
            Ok(rendered) => Outcome::Rendered(rendered),
            Err(error) => Outcome::Failed(error),
        };
        Warned { output, warnings: rendered.warnings }
    }

    fn render(&self, job: &Job, source: &Source) -> Warned<Result<Rendered>> {
        let root = self.root_of(job);
        let near = job.written.as_ref().map(|(path, _)| path.as_path());
        let known = |kind, namespace: &str, name: &str| {
            let rendered = self.known.rendered(root, kind, namespace, name);
            let written = || self.known.written(self.request, near, kind, namespace, name);
            rendered.or_else(written).cloned()
        };
        (self.request.render)(&Asked { object: &job.object, source, known: &known })
    }

    /// The files that a Kustomization is rendered from; `None` where they are elsewhere.
    fn source(&self, job: &Job) -> Result<Option<Source>> {
        let file = job.written.as_ref().map(|(path, _)| path.as_path());
        let wanted = job.object.source();
        let mut above = Vec::new();
        match self.at_hand(&wanted, file, &mut above)? {
            None if self.is_own(&job.object, file) => {
                self.artifact(self.request.repository, &wanted, file, &mut above).map(Some)
            }
            None => self.fetched(&wanted, file, &mut above),
            source => Ok(source),
        }
    }

    /// The files of a source, for what stands in a file; `None` where they are elsewhere.
    fn files(&self, wanted: &SourceRef, file: Option<&Path>) -> Result<Option<Source>> {
        self.files_within(wanted, file, &mut Vec::new())
    }

    /// The same for a source that others include: these are `above`.
    fn files_within(
        &self,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Option<Source>> {
        match self.at_hand(wanted, file, above)? {
            None => self.fetched(wanted, file, above),
            source => Ok(source),
        }
    }

    /// The same without what has to be fetched.
    fn at_hand(
        &self,
        wanted: &SourceRef,
        file: Option<&Path>,
        above: &mut Vec<String>,
    ) -> Result<Option<Source>> {
        let local = self.request.local.iter().find(|local| {
            local.kind == wanted.kind
                && local.name == wanted.name
                && local.namespace == wanted.namespace
        });
        if let Some(local) = local {
            return self.artifact(&local.source, wanted, file, above).map(Some);
        }
        if wanted.kind == "ExternalArtifact" {
            let shown = file.map(|path| self.request.repository.files.shown(path));
            let near = |generator: &&artifacts::Generator| {
                shown.as_ref().map_or(0, |shown| generator.nearness(Path::new(&**shown)))
            };
            let find = |input: &SourceRef| match input.kind.as_str() {
                "ExternalArtifact" => Ok(None),
                _ => self.files(input, file),
            };
            // The first of those that are equally near.
            let makers = self.generators.iter().rev();
            let generator = makers
                .filter(|generator| generator.makes(&wanted.namespace, &wanted.name))
                .max_by_key(near);
            return generator
                .map(|generator| generator.artifact(&wanted.name, self.request, &find))
                .transpose()
                .map(Option::flatten);
        }
        let is_own = own::is_own(self.request, &self.sources, wanted) == Some(true);
        let own = is_own.then_some(self.request.repository);
        own.map(|own| self.artifact(own, wanted, file, above)).transpose()
    }

    /// Takes what came of a job in, and queues the Kustomizations among its objects.
    fn add(&mut self, job: Job, outcome: Outcome, next: &mut Vec<Job>) {
        let index = self.found.nodes.len();
        let Job { object, parent, written, refused: _ } = job;
        if let Some(parent) = parent {
            self.found.nodes[parent].children.push(index);
        } else {
            self.found.roots.push(index);
        }
        let mut children = Vec::new();
        match &outcome {
            Outcome::Failed(error) => self.found.problems.push(error.clone()),
            Outcome::Rendered(rendered) => {
                let root = parent.map_or(index, |parent| root(&self.found.nodes, parent));
                self.known.add(root, rendered.resources.iter());
                for resource in rendered.resources.iter() {
                    let Origin { file, document } = &resource.origin;
                    let declared = declared::Declared::read(&resource.value, file, *document);
                    self.sources.extend(declared);
                    children.extend(self.child(resource, &object, index));
                }
            }
            Outcome::Elsewhere => {}
        }
        if parent.is_none() {
            let (namespace, name) = name_of(&object);
            self.owners.insert((index, namespace.to_owned(), name.to_owned()), None);
        }
        self.found.nodes.push(Node { object, parent, children: Vec::new(), outcome, written });
        children.retain(|child| self.is_new(child, index));
        next.extend(children);
    }

    /// The Kustomization that an object is.
    fn child(&mut self, resource: &Resource, owner: &Kustomization, parent: usize) -> Option<Job> {
        let gvk = resource.gvk();
        if gvk.group != api::GROUP || gvk.kind != "Kustomization" {
            return None;
        }
        let file = &resource.origin.file;
        let stands = self.by_place.get(&(file.clone(), resource.origin.document));
        let written = match stands {
            Some(index) => {
                let candidate = &mut self.candidates[*index];
                candidate.covered = true;
                Some((candidate.path.clone(), candidate.document))
            }
            // Beyond the entry, where files were not looked through.
            None => written(self.request, resource),
        };
        let read = read_rendered(self.request, resource);
        self.found.warnings.extend(read.warnings);
        match read.output {
            Ok(Some(Object::Kustomization(mut object))) => {
                if object.meta.namespace.is_empty() {
                    object.meta.namespace = owner.meta.namespace.clone();
                }
                Some(Job { object: *object, parent: Some(parent), written, refused: None })
            }
            Ok(_) => None,
            Err(error) => {
                self.found.problems.push(error);
                None
            }
        }
    }

    /// Whether a child is neither its own parent, which is how `flux bootstrap` lays it out, nor there already.
    fn is_new(&mut self, child: &Job, parent: usize) -> bool {
        let same =
            |index: usize| name_of(&self.found.nodes[index].object) == name_of(&child.object);
        if same(parent) {
            return false;
        }
        let ancestors =
            std::iter::successors(Some(parent), |index| self.found.nodes[*index].parent);
        let circle: Vec<usize> = ancestors.collect();
        let Some(at) = circle.iter().position(|index| same(*index)) else {
            return !self.is_double(child, parent);
        };
        let names: Vec<_> =
            circle[..=at].iter().rev().map(|i| shown(&self.found.nodes[*i].object)).collect();
        let message = format!(
            "renders itself through others: {} -> {}",
            names.join(" -> "),
            shown(&child.object)
        );
        let place = locate(self.request, child.written.as_ref(), &child.object, &[]);
        self.found.problems.push(Error::new(ErrorKind::Invalid, place, message));
        false
    }

    /// Whether another Kustomization of the same cluster renders it too: then both would own it.
    fn is_double(&mut self, child: &Job, parent: usize) -> bool {
        let root = root(&self.found.nodes, parent);
        let (namespace, name) = name_of(&child.object);
        let key = (root, namespace.to_owned(), name.to_owned());
        let Some(other) = self.owners.get(&key) else {
            self.owners.insert(key, Some(parent));
            return false;
        };
        let by = |index: usize| shown(&self.found.nodes[index].object);
        let message = match other {
            Some(other) if *other == parent => {
                format!("{} renders {} twice", by(parent), shown(&child.object))
            }
            Some(other) => {
                format!(
                    "{} is rendered by {} and by {}",
                    shown(&child.object),
                    by(*other),
                    by(parent)
                )
            }
            None => format!("{} is rendered by {} too", shown(&child.object), by(parent)),
        };
        let place = locate(self.request, child.written.as_ref(), &child.object, &[]);
        self.found.problems.push(Error::new(ErrorKind::Invalid, place, message));
        true
    }
}

/// The directory that a Kustomization renders.
fn directory(source: &Source, object: &Kustomization) -> PathBuf {
    let below = clean(&Path::new("/").join(object.spec.path.trim_start_matches('/')));
    clean(&source.root.join(below.strip_prefix("/").unwrap_or(&below)))
}

/// The root that a node is below.
fn root(nodes: &[Node], index: usize) -> usize {
    std::iter::successors(Some(index), |index| nodes[*index].parent).last().unwrap_or(index)
}

fn owned_name(object: &Kustomization) -> (String, String) {
    let (namespace, name) = name_of(object);
    (namespace.to_owned(), name.to_owned())
}

fn name_of(object: &Kustomization) -> (&str, &str) {
    (&object.meta.namespace, &object.meta.name)
}

/// `namespace/name`
pub(super) fn shown(object: &Kustomization) -> String {
    match name_of(object) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

/// Where something of a Kustomization stands, as far as that is known.
fn locate(
    request: &Request<'_>,
    written: Option<&(PathBuf, usize)>,
    object: &Kustomization,
    path: &[Step<'_>],
) -> Place {
    let located = written.and_then(|written| located(request, written, path));
    let place = located.or_else(|| object.meta.place.clone());
    place.unwrap_or_else(|| Place::file(format!("Kustomization/{}", shown(object))))
}

fn located(request: &Request<'_>, written: &(PathBuf, usize), path: &[Step<'_>]) -> Option<Place> {
    let files = &request.repository.files;
    let text = files.read(&written.0, request.limits.file_bytes).ok()?;
    Some(Place { file: files.shown(&written.0), at: yaml::locate(&text, written.1, path) })
}

/// Where an object stands that is rendered, where that is a file of the repository.
fn written(request: &Request<'_>, resource: &Resource) -> Option<(PathBuf, usize)> {
    let file = &resource.origin.file;
    let path = request.repository.root.join(&**file);
    let is_it = request.repository.files.shown(&path) == *file;
    is_it.then_some((path, resource.origin.document))
}

/// Reads an object of Flux that is rendered, as strictly as the API server.
fn read_rendered(request: &Request<'_>, resource: &Resource) -> Warned<Result<Option<Object>>> {
    let written = written(request, resource);
    let place = |path: &[Step<'_>]| {
        let found = written.as_ref().and_then(|written| located(request, written, path));
        found.unwrap_or_else(|| Place::file(resource.origin.file.clone()))
    };
    api::read(&resource.value, Reading::Strict, &place)
}

/// What `run` makes of each, in the order of `items`, computed on all cores.
fn parallel<T: Sync, U: Send>(items: &[T], run: impl Fn(&T) -> U + Sync) -> Vec<U> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = cores.min(items.len());
    if workers < 2 {
        return items.iter().map(run).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, run(item)));
        }
    };
    let mut results: BTreeMap<usize, U> = BTreeMap::new();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for handle in handles {
            match handle.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    results.into_values().collect()
}

/// The text of a file and what it is called.
fn read(request: &Request<'_>, path: &Path) -> Result<(bytes::Bytes, Arc<str>)> {
    let files: &dyn Files = &*request.repository.files;
    Ok((files.read(path, request.limits.file_bytes)?, files.shown(path)))
}
