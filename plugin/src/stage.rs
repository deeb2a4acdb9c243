//! A Kubernetes API in memory to sync to, for `--rehearse`, `rehearse` and `try`.
//!
//! Its controllers run on a thread of their own, on a clock that goes faster than the wall's: a rollout
//! that takes seconds in a cluster is over in a moment.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use overlay::build::{Options, build};
use overlay::cluster::Server;
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{Disk, FileKind, Files};
use overlay::flux::sources;
use overlay::rehearsal::controllers::Controllers;
use overlay::rehearsal::{self, Grade, Kind, Rehearsal, front};
use overlay::store::Store;
use overlay::{Limits, Resource, Resources, json, layer, manifest, yaml};

use crate::args;
use crate::faults::Fault;
use crate::output::Console;
use crate::settings::Settings;

/// The field manager of what is there from the beginning, unless a revision of the same overlay is.
const BEFORE: &str = "before";

/// Between two steps of the controllers.
const PAUSE: Duration = Duration::from_millis(10);

/// A rehearsal with its controllers, which end with it.
pub struct Stage {
    /// The API.
    pub api: Rehearsal,
    /// The version of Kubernetes, e.g. `1.36`.
    pub version: String,
    ends: Arc<AtomicBool>,
    controllers: JoinHandle<()>,
}

impl Stage {
    /// An API of the version that `args` say, with what they say is there.
    ///
    /// # Errors
    /// Where the version is not known, or what is to be there cannot be read, rendered or applied.
    pub fn set(args: &args::Beginning, settings: &Settings, namespace: &str) -> Result<Self> {
        let minor = minor(&args.kubernetes)?;
        let options = rehearsal::Options { minor, ..rehearsal::Options::default() };
        let known = rehearsal::Rehearsal::new(&options);
        let api = known.ok_or_else(|| unknown_version(&args.kubernetes))?;
        for from in &args.from {
            for object in &state(from, settings)? {
                let body = json::to_json(&object.value)?;
                let applied = api.apply(&body, namespace, BEFORE);
                applied.map_err(|failure| {
                    let place = Place::file(object.origin.file.clone());
                    Error::new(ErrorKind::Invalid, place, failure.message)
                })?;
            }
        }
        let ends = Arc::new(AtomicBool::new(false));
        let (mut controllers, end) = (Controllers::new(&api), Arc::clone(&ends));
        controllers.settle(120);
        for fault in &args.faults {
            match fault.clone() {
                Fault::Pods(fault) => controllers.trouble(fault),
                Fault::Requests(fault) => api.inject(fault),
            }
        }
        let controllers = thread::spawn(move || controllers.run(PAUSE, &end));
        Ok(Self { api, version: format!("1.{minor}"), ends, controllers })
    }

    /// It, as a server to sync to. There has to be a runtime around.
    #[must_use]
    pub fn server(&self, namespace: &str) -> Server {
        let client = front::client(&self.api, namespace);
        let address = format!("Kubernetes {} in memory", self.version);
        Server::new(client, address, namespace.to_owned())
    }

    /// Makes the namespaces that objects are in, but do not come with them.
    pub fn furnish(&self, resources: &Resources) {
        for resource in resources {
            if !resource.namespace().is_empty() {
                self.api.ensure_namespace(resource.namespace());
            }
        }
    }

    /// How exactly each of the objects is rehearsed.
    pub fn grades<'a>(
        &self,
        resources: &'a Resources,
    ) -> impl Iterator<Item = (&'a Resource, Grade)> {
        let defined: Vec<_> = resources.iter().filter_map(defined).collect();
        let grade = move |resource: &'a Resource| {
            let kind = Kind::new(resource.api_version(), resource.kind());
            let comes_along = defined.contains(&(kind.group.clone(), kind.kind.clone()));
            (resource, if comes_along { Grade::Exact } else { self.api.grade(&kind) })
        };
        let grades: Vec<_> = resources.iter().map(grade).collect();
        grades.into_iter()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.controllers.thread().unpark();
    }
}

/// Group and kind that a definition among the objects defines.
fn defined(resource: &Resource) -> Option<(String, String)> {
    let is_definition = resource.kind() == "CustomResourceDefinition";
    let text = |path: &[&str]| resource.value.text_at(path).unwrap_or_default().to_owned();
    is_definition.then(|| (text(&["spec", "group"]), text(&["spec", "names", "kind"])))
}

/// `1.36` or `v1.36.2` as 36.
fn minor(version: &str) -> Result<u32> {
    let number = version.trim_start_matches('v').strip_prefix("1.");
    let number = number.and_then(|rest| rest.split('.').next()).and_then(|part| part.parse().ok());
    number.ok_or_else(|| unknown_version(version))
}

fn unknown_version(version: &str) -> Error {
    let message = format!("Kubernetes \"{version}\" is not known");
    let minors = overlay::schema::kubernetes::MINORS;
    Error::new(ErrorKind::Invalid, Place::file("--kubernetes"), message).hint(format!(
        "known are 1.{} to 1.{}",
        minors.start(),
        minors.end()
    ))
}

/// The objects that are there: of a file, a directory, or an overlay at a revision of Git.
fn state(from: &str, settings: &Settings) -> Result<Resources> {
    if let Some((overlay, revision)) = from.rsplit_once("@git:") {
        return at_revision(overlay, revision, settings);
    }
    let files = Disk::new(settings.directory.clone());
    let path = settings.directory.join(from);
    let options = Options::default();
    match files.kind(&path) {
        FileKind::Directory if layer::has_kustomization(&files, &path) => {
            build(&files, &Store::new(0), &options, &path).output
        }
        FileKind::Directory => in_directory(&files, &path),
        _ => Ok(manifests(&files, &path)?.into()),
    }
}

/// What the files of a directory hold, but not those below its directories.
fn in_directory(files: &Disk, path: &Path) -> Result<Resources> {
    let mut names = files.list(path)?;
    names.retain(|name| {
        let is = |end| name.extension().is_some_and(|found| found == end);
        ["json", "yaml", "yml"].into_iter().any(is)
    });
    if names.is_empty() {
        let place = Place::file(files.shown(path));
        let message = "there is no file .json, .yaml or .yml";
        let error = Error::new(ErrorKind::Invalid, place, message);
        return Err(error.hint("files below its directories are not read"));
    }
    let mut all = Vec::new();
    for name in names {
        all.extend(manifests(files, &path.join(name))?);
    }
    Ok(all.into())
}

fn manifests(files: &Disk, path: &Path) -> Result<Vec<Resource>> {
    let limits = Limits::default();
    let text = files.read(path, limits.file_bytes)?;
    let shown = files.shown(path);
    let documents = yaml::read(&text, &shown, &limits)?;
    manifest::resources(&documents, &text, &shown, &|document| Place {
        file: shown.clone(),
        at: yaml::locate(&text, document, &[]),
    })
}

fn at_revision(overlay: &str, revision: &str, settings: &Settings) -> Result<Resources> {
    let directory = crate::commands::build::root(overlay, settings)?;
    let source = sources::committed(&directory, revision, None)?;
    let top = std::process::Command::new("git")
        .arg("-C")
        .arg(&directory)
        .args(["rev-parse", "--show-prefix"])
        .output();
    let failed = |why: String| Error::new(ErrorKind::External, Place::file("git"), why);
    let top = top.map_err(|error| failed(error.to_string()))?;
    let below = String::from_utf8_lossy(&top.stdout).trim().to_owned();
    let root = source.root.join(below);
    build(&*source.files, &Store::new(0), &Options::default(), &root).output
}

/// Says how much of a rehearsal can be relied on.
pub fn tell(stage: &Stage, resources: &Resources, console: &Console) {
    let grades: Vec<_> = stage.grades(resources).collect();
    let exact = grades.iter().filter(|(_, grade)| *grade == Grade::Exact).count();
    let all = grades.len();
    console.say_line(format_args!(
        "rehearsed {exact} of {all} objects exactly, as Kubernetes {} would; not rehearsed: {}",
        stage.version,
        rehearsal::NOT_REHEARSED.join(", ")
    ));
    for (resource, grade) in grades.iter().filter(|(_, grade)| *grade != Grade::Exact) {
        console.say_line(format_args!("  {grade}: {} {}", resource.kind(), resource.name()));
    }
}

/// Refuses what is rehearsed less exactly than `least`.
///
/// # Errors
/// Names the first of such objects.
pub fn demand(stage: &Stage, resources: &Resources, least: Grade) -> Result<()> {
    let mut low = stage.grades(resources).filter(|(_, grade)| *grade < least);
    let Some((resource, grade)) = low.next() else { return Ok(()) };
    let more = low.count();
    let others = if more > 0 { format!(", and {more} others") } else { String::new() };
    let message =
        format!("{} {} is rehearsed as {grade} only{others}", resource.kind(), resource.name());
    Err(Error::new(ErrorKind::Refused, Place::file(resource.origin.file.clone()), message))
}
