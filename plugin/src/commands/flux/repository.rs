//! A repository with Kustomizations: where it is, which of them are meant, and how they are rendered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use overlay::archive::Limits as Bounds;
use overlay::build::Options;
use overlay::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use overlay::files::{Disk, FileKind, Files, clean};
use overlay::flux::api::Kustomization;
use overlay::flux::discover::drawing::named;
use overlay::flux::discover::{
    self, Asked, Beyond, Found, Known, Local, Node, Release, Render, Request,
};
use overlay::flux::helm::{Earlier, stood_in};
use overlay::flux::inventory::ObjectId;
use overlay::flux::sources::{Source, artifact, committed, working_tree};
use overlay::flux::substitute::{Found as Data, Kind, Objects, Reference};
use overlay::flux::trace::{Trace, Traced};
use overlay::flux::veil::stand_in;
use overlay::flux::{Decrypt, Rendered, Renderer, Untouched};
use overlay::nearest::nearest;
use overlay::remote::Remote;
use overlay::sops::decryption::{Finding, Masking, Revealing};
use overlay::sops::{Keys, mask, objects};
use overlay::store::Store;
use overlay::threads::Threads;
use overlay::{Limits, Value};

use super::beyond;
use super::cluster::Cluster;
use crate::args::{Chosen, Inputs, Render as RenderFlags, WithHelm};
use crate::commands::build;
use crate::settings::Settings;
use crate::{identity, keys};

/// Stand in a variable for a value that SOPS has encrypted, and for one of a Secret in the cluster. They are put into
/// YAML, where an asterisk would be an alias.
const ENCRYPTED: &str = "__SOPS__";
const SECRET: &str = "__SECRET__";

/// What decrypting would mask a configuration of Docker with.
const DOCKER_MASK: &str = "{\"mask\":\"**SOPS**\"}";

/// The names that are chosen, and the place in which they are looked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// Names as they were typed; all Kustomizations are meant where there is none.
    pub names: Vec<String>,
    /// Where to look.
    pub path: PathBuf,
}

impl Choice {
    /// Tells names from a path.
    ///
    /// # Errors
    /// Where there are two paths, or names besides `--all`.
    pub fn of(chosen: &Chosen, settings: &Settings) -> Result<Self> {
        let disk = Disk::new(settings.directory.clone());
        let is_path = |word: &&String| {
            let is_there = || disk.kind(&settings.directory.join(word)) != FileKind::Missing;
            word.starts_with(['.', '/']) || (chosen.all || word.contains('/')) && is_there()
        };
        let (paths, names): (Vec<_>, Vec<_>) = chosen.kustomizations.iter().partition(is_path);
        let refused = |word: &str, message: &str| {
            Err(Error::new(ErrorKind::Invalid, Place::file(word), message.to_owned()))
        };
        match (&paths[..], &names[..]) {
            ([_, second, ..], _) => refused(second, "only one place can be looked in"),
            (_, [name, ..]) if chosen.all => refused(name, "is no path, and --all takes no names"),
            _ => Ok(Self {
                path: paths.first().map_or(".", |path| path.as_str()).into(),
                names: names.into_iter().cloned().collect(),
            }),
        }
    }

    /// What `render` makes of what is chosen, once it is clear which of the words are names: that shows
    /// only when the Kustomizations are known, `found`. Where it may be called again, it should
    /// [remember](Rules::remembering_for).
    ///
    /// # Errors
    /// As `render`.
    pub fn settle<T>(
        &mut self,
        settings: &Settings,
        render: impl Fn(&Self) -> Result<T>,
        found: impl Fn(&T) -> Vec<&Found>,
    ) -> Result<T> {
        let rendered = render(self)?;
        match self.reread(&found(&rendered), settings) {
            None => Ok(rendered),
            Some(other) => {
                *self = other;
                render(self)
            }
        }
    }

    /// Another reading, where a word that was taken for a name is none, but there is a directory or file of this name.
    fn reread(&self, found: &[&Found], settings: &Settings) -> Option<Self> {
        let is_name = |name: &String| {
            let one = Self { names: vec![name.clone()], path: PathBuf::new() };
            found.iter().flat_map(|found| &found.nodes).any(|node| one.takes(node))
        };
        let path = self.may_be_paths(settings).find(|name| !is_name(name))?.clone();
        let names = self.names.iter().filter(|name| **name != path).cloned().collect();
        Some(Self { names, path: path.into() })
    }

    /// The words that were taken for names, although there is a directory or file of this name.
    fn may_be_paths<'c>(&'c self, settings: &Settings) -> impl Iterator<Item = &'c String> {
        let disk = Disk::new(settings.directory.clone());
        let directory = settings.directory.clone();
        let is_there = move |name: &&String| {
            let kind = disk.kind(&directory.join(name));
            kind == FileKind::Directory || kind == FileKind::File
        };
        let has_path = self.path != Path::new(".");
        self.names.iter().filter(move |name| !has_path && is_there(name))
    }

    /// Whether a Kustomization is chosen.
    #[must_use]
    pub fn takes(&self, node: &Node) -> bool {
        let meta = &node.object.meta;
        let is_it = |name: &String| {
            *name == *meta.name || *name == format!("{}/{}", meta.namespace, meta.name)
        };
        self.names.is_empty() || self.names.iter().any(is_it)
    }

    /// Makes sure that all names are there, on one of these sides.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self, found: &[&Found]) -> Result<()> {
        let nodes = || found.iter().flat_map(|found| &found.nodes);
        for name in &self.names {
            let one = Self { names: vec![name.clone()], path: PathBuf::new() };
            if nodes().any(|node| one.takes(node)) {
                continue;
            }
            let place = Place::file(&*self.path.to_string_lossy());
            let message = format!("there is no Kustomization \"{name}\" in it");
            let error = Error::new(ErrorKind::Missing, place, message);
            let known = nodes().map(|node| node.object.meta.name.as_str());
            return Err(match nearest(name, known) {
                Some(near) => error.hint(format!("there is \"{near}\"")),
                None => error,
            });
        }
        if nodes().next().is_none() && found.iter().all(|found| found.problems.is_empty()) {
            let place = Place::file(&*self.path.to_string_lossy());
            let message = "there is no Kustomization of Flux in it";
            return Err(Error::new(ErrorKind::Missing, place, message));
        }
        Ok(())
    }
}

/// A repository on this machine, and where in it to look for Kustomizations.
pub struct Checkout {
    /// Its top directory.
    pub top: PathBuf,
    entry: PathBuf,
    remotes: Vec<String>,
    local: Vec<Local>,
    shown_from: PathBuf,
}

impl Checkout {
    /// The repository around `path`; without one the working directory counts, or the path itself.
    ///
    /// # Errors
    /// Where a directory that stands for a source cannot be read.
    pub fn around(
        path: &Path,
        local_sources: &[(String, PathBuf)],
        settings: &Settings,
    ) -> Result<Self> {
        let disk = Disk::new(settings.directory.clone());
        let real = |path: PathBuf| disk.canonical(&path).unwrap_or_else(|| clean(&path));
        let (entry, shown_from) =
            (real(settings.directory.join(path)), real(settings.directory.clone()));
        let is_top = |directory: &&Path| disk.kind(&directory.join(".git")) != FileKind::Missing;
        let repository = entry.ancestors().find(is_top);
        let around = entry.starts_with(&shown_from).then_some(&*shown_from);
        let parent = || (disk.kind(&entry) == FileKind::File).then(|| entry.parent()).flatten();
        let top = repository.or(around).or_else(parent).unwrap_or(&entry).to_path_buf();
        let remotes = identity::remotes(&disk, &top);
        let local = local_sources.iter().map(|(name, path)| local(name, path, settings));
        Ok(Self {
            remotes: remotes.into_iter().map(|(_, address)| address).collect(),
            local: local.collect::<Result<_>>()?,
            top,
            entry,
            shown_from,
        })
    }

    /// The files as they are.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn tree(&self) -> Result<Source> {
        working_tree(&self.top, &self.shown_from, None)
    }

    /// The files that Git has at a revision, under the names that they have now.
    ///
    /// # Errors
    /// Where there is no such revision.
    pub fn committed(&self, revision: &str) -> Result<Source> {
        let source = committed(&self.top, revision, None)?;
        Ok(source.mounted(&self.top, &self.shown_from))
    }

    /// Finds and renders all Kustomizations in some state of the files.
    ///
    /// # Errors
    /// Where the place to look in is not there.
    pub fn discover(
        &self,
        source: &Source,
        limits: &Limits,
        render: &Render<'_>,
        beyond: &Beyond<'_>,
    ) -> Result<Found> {
        let request = Request {
            repository: source,
            entry: &self.entry,
            local: &self.local,
            remotes: &self.remotes,
            limits,
            render,
            beyond: *beyond,
        };
        discover::discover(&request)
    }

    /// Whether the place to look in is there in some state of the files.
    #[must_use]
    pub fn has_entry(&self, source: &Source) -> bool {
        source.files.kind(&self.entry) != FileKind::Missing
    }
}

/// A directory, or an archive, that stands for `Kind/namespace/name`.
fn local(name: &str, path: &Path, settings: &Settings) -> Result<Local> {
    let mut parts = name.splitn(3, '/').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let (kind, namespace, name) = (part(), part(), part());
    let source = match archive(path) {
        Some((url, digest)) => {
            let cache = settings.cache.clone().ok_or_else(|| {
                let message = "there is no place to keep what is fetched";
                let error = Error::new(ErrorKind::Missing, Place::file(url), message);
                error.hint("set HOME or XDG_CACHE_HOME")
            })?;
            artifact(&Remote::new(cache, false), url, digest, &Bounds::WEBHOOK)?
        }
        None => working_tree(&settings.directory.join(path), &settings.directory, None)?,
    };
    Ok(Local { kind, namespace, name, source })
}

/// The address of an archive and its digest, where a path is `https://…@sha256:…`.
fn archive(path: &Path) -> Option<(&str, &str)> {
    let text = path
        .to_str()
        .filter(|text| ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)))?;
    let parts = text.rsplit_once('@').filter(|(_, digest)| digest.contains(':'));
    Some(parts.unwrap_or((text, "")))
}

/// What becomes of secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Secrets {
    /// What is encrypted is masked, and the keys are tried on it.
    Masked,
    /// What is encrypted is decrypted.
    Revealed,
    /// What is encrypted stays so, and all values of Secrets are stood in for.
    StandIns,
}

/// Renders Kustomizations, with their variables from wherever they are.
pub struct Rules<'a> {
    /// What is parsed already.
    pub store: Store,
    /// Limits, and what may be fetched.
    pub options: Options,
    /// What becomes of secrets.
    pub secrets: Secrets,
    inputs: &'a Inputs,
    settings: &'a Settings,
    folder: Option<Objects>,
    cluster: Option<&'a Cluster>,
    /// What the cluster has said.
    asked: Mutex<BTreeMap<Address, Option<Data>>>,
    /// What opens files, by the Secret that more of it comes from.
    rings: Mutex<BTreeMap<(String, String), Arc<Keys>>>,
    findings: Mutex<BTreeMap<(String, String), Vec<Finding>>>,
    /// What was rendered before, where it may be needed again.
    memory: Option<Mutex<Memory>>,
    repeated: AtomicUsize,
}

/// Kind, namespace and name.
type Address = (&'static str, String, String);

/// What was rendered, by namespace and name.
type Memory = BTreeMap<(String, String), Vec<Done>>;

/// A render, and what it was made of.
struct Done {
    object: Kustomization,
    /// Where its source began: what was fetched at another commit lies elsewhere, beside this one.
    root: PathBuf,
    variables: Variables,
    trace: Trace,
    rendered: Rendered,
    warnings: Vec<Warning>,
}

/// What a Kustomization's references lead to, by kind and name.
type Variables = BTreeMap<(&'static str, String), Option<Data>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Rules<'a> {
    /// The rules that flags state.
    ///
    /// # Errors
    /// Where the directory with variables cannot be read.
    pub fn new(
        inputs: &'a Inputs,
        secrets: Secrets,
        cluster: Option<&'a Cluster>,
        settings: &'a Settings,
    ) -> Result<Self> {
        let flags = RenderFlags { offline: inputs.offline, ..RenderFlags::default() };
        // Kustomizations are rendered beside each other already.
        let options = Options { threads: Threads::default(), ..build::options(&flags, settings) };
        let store = Store::default();
        let folder = inputs.variables_from.as_ref().map(|path| {
            let disk = Disk::new(settings.directory.clone());
            let path = settings.directory.join(path);
            let real = disk.canonical(&path).unwrap_or(path);
            Objects::in_folder(&disk, &store, &options.limits, &real)
        });
        Ok(Self {
            folder: folder.transpose()?,
            store,
            options,
            secrets,
            inputs,
            settings,
            cluster,
            asked: Mutex::default(),
            rings: Mutex::default(),
            findings: Mutex::default(),
            memory: None,
            repeated: AtomicUsize::new(0),
        })
    }

    /// The same, and what was rendered is remembered: it need not be rendered again from files that are the same.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { memory: Some(Mutex::default()), ..self }
    }

    /// The same, which [remember](Self::remembering) where what is chosen may be read in another way.
    #[must_use]
    pub fn remembering_for(self, choice: &Choice, settings: &Settings) -> Self {
        let is_open = choice.may_be_paths(settings).next().is_some();
        if is_open { self.remembering() } else { self }
    }

    /// How often a render was not needed.
    #[must_use]
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// What is encrypted, by namespace and name of the Kustomization that it belongs to.
    #[must_use]
    pub fn findings(self) -> BTreeMap<(String, String), Vec<Finding>> {
        self.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders one Kustomization.
    pub fn render(&self, asked: &Asked<'_>) -> Warned<Result<Rendered>> {
        let mut warnings = Vec::new();
        let output = self.run(asked, &mut warnings);
        Warned { output, warnings }
    }

    fn run(&self, asked: &Asked<'_>, warnings: &mut Vec<Warning>) -> Result<Rendered> {
        let keys = self.keys(asked.object, warnings)?;
        let variables = self.variables(asked, keys.as_deref(), warnings)?;
        if let Some(rendered) = self.recalled(asked, &variables, warnings) {
            return Ok(rendered);
        }
        let Some(memory) = &self.memory else {
            return self.rendered(
                asked,
                &*asked.source.files,
                keys.as_deref(),
                &variables,
                warnings,
            );
        };
        let traced = Traced::new(&*asked.source.files);
        let from = warnings.len();
        let rendered = self.rendered(asked, &traced, keys.as_deref(), &variables, warnings)?;
        let done = Done {
            object: asked.object.clone(),
            variables,
            root: asked.source.root.clone(),
            trace: traced.trace(),
            rendered: rendered.clone(),
            warnings: warnings[from..].to_vec(),
        };
        lock(memory).entry(names(asked.object)).or_default().push(done);
        Ok(rendered)
    }

    /// What was rendered before from the same.
    fn recalled(
        &self,
        asked: &Asked<'_>,
        variables: &Variables,
        warnings: &mut Vec<Warning>,
    ) -> Option<Rendered> {
        let memory = lock(self.memory.as_ref()?);
        let done = memory.get(&names(asked.object))?.iter().find(|done| {
            done.object.renders_as(asked.object)
                && done.root == asked.source.root
                && done.variables == *variables
                && done.trace.holds(&*asked.source.files)
        })?;
        self.repeated.fetch_add(1, Ordering::Relaxed);
        warnings.extend(done.warnings.iter().cloned());
        Some(done.rendered.clone())
    }

    fn rendered(
        &self,
        asked: &Asked<'_>,
        files: &dyn Files,
        keys: Option<&Keys>,
        variables: &Variables,
        warnings: &mut Vec<Warning>,
    ) -> Result<Rendered> {
        let lookup = |kind: Kind, _: &str, name: &str| {
            Ok(variables.get(&(kind.name(), name.to_owned())).cloned().flatten())
        };
        let masking = Masking::new(keys);
        let revealing = Revealing { keys };
        let decrypt: &dyn Decrypt = match self.secrets {
            Secrets::Masked => &masking,
            Secrets::Revealed => &revealing,
            Secrets::StandIns => &Untouched,
        };
        let renderer = Renderer {
            files,
            root: &asked.source.root,
            store: &self.store,
            options: &self.options,
            decrypt,
            lookup: Some(&lookup),
            strict: self.inputs.strict_substitute,
            hidden: None,
        };
        let rendered = renderer.render(asked.object);
        warnings.extend(rendered.warnings);
        let findings = masking.findings();
        if !findings.is_empty() {
            lock(&self.findings).entry(names(asked.object)).or_default().extend(findings);
        }
        rendered.output
    }

    /// What a Kustomization's files are opened with; nothing where it does not say that they are encrypted.
    fn keys(
        &self,
        object: &Kustomization,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Arc<Keys>>> {
        let Some(decryption) = &object.decryption else { return Ok(None) };
        if self.secrets == Secrets::StandIns {
            return Ok(None);
        }
        let secret = decryption.secret_ref.clone().unwrap_or_default();
        let key = (object.meta.namespace.to_string(), secret.to_string());
        if let Some(ring) = lock(&self.rings).get(&key) {
            return Ok(Some(Arc::clone(ring)));
        }
        let mut ring = keys::keys(&self.inputs.keys, self.settings)?;
        if !secret.is_empty() && self.inputs.ask_cluster {
            let shown = format!("Secret/{}/{}", key.0, key.1);
            let entries = match self.ask(Kind::Secret, &key.0, &key.1) {
                Err(error) if error.kind() == ErrorKind::Denied => {
                    let (place, message) = (error.places()[0].clone(), error.message().to_owned());
                    warnings.push(Warning { place, message });
                    None
                }
                entries => entries?,
            };
            for (name, content) in entries.into_iter().flatten() {
                ring.add_secret_entry(&name, &content, &shown)?;
            }
        }
        let ring = Arc::new(ring);
        lock(&self.rings).insert(key, Arc::clone(&ring));
        Ok(Some(ring))
    }

    /// What the cluster has, where it is asked.
    fn ask(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Data>> {
        let Some(cluster) = self.cluster.filter(|_| self.inputs.ask_cluster) else {
            return Ok(None);
        };
        let key = (kind.name(), namespace.to_owned(), name.to_owned());
        if let Some(known) = lock(&self.asked).get(&key) {
            return Ok(known.clone());
        }
        let answer = cluster.variables(kind, namespace, name)?;
        lock(&self.asked).insert(key, answer.clone());
        Ok(answer)
    }

    fn variables(
        &self,
        asked: &Asked<'_>,
        keys: Option<&Keys>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Variables> {
        let mut variables = Variables::new();
        let references = asked.object.post_build.iter().flat_map(|one| &one.substitute_from);
        for reference in references {
            let found =
                self.find(reference, asked, keys).map_err(|error| match &reference.place {
                    Some(place) => error.within(place.clone()),
                    None => error,
                })?;
            let found = match found {
                None if !reference.optional => Some(self.missing(reference, asked, warnings)?),
                found => found,
            };
            variables.insert((reference.kind.name(), reference.name.to_string()), found);
        }
        Ok(variables)
    }

    /// Gives `work` what fetches sources and renders releases, where that is asked for: with values and credentials
    /// from wherever they are.
    pub fn with_beyond<T>(
        &self,
        chosen: &Chosen,
        helm: Option<&WithHelm>,
        earlier: &Earlier,
        work: impl FnOnce(&Beyond<'_>) -> T,
    ) -> T {
        let values = |kind: Kind, namespace: &str, name: &str| {
            if let Some(given) = self.given(kind, namespace, name)? {
                return Ok(Some(given));
            }
            let answer = self.ask(kind, namespace, name)?;
            Ok(match (self.secrets, kind) {
                (Secrets::Masked, Kind::Secret) => answer.map(|data| {
                    let limits = &self.options.limits;
                    stood_in(data, &beyond::is_masked, limits, &|_| SECRET.to_owned())
                }),
                _ => answer,
            })
        };
        let credentials =
            |kind: Kind, namespace: &str, name: &str| match self.given(kind, namespace, name)? {
                None => self.ask(kind, namespace, name),
                given => Ok(given),
            };
        let asked = beyond::Asked {
            helm,
            fetches: chosen.fetch_sources,
            is_offline: self.inputs.offline,
            veils: self.secrets == Secrets::StandIns,
            values: &values,
            credentials: &credentials,
            is_complete: self.cluster.is_some() && self.inputs.ask_cluster,
            earlier,
        };
        beyond::using(&asked, self.settings, work)
    }

    /// What the directory of `--variables-from` has.
    fn given(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Data>> {
        let found = self.folder.as_ref().map(|folder| folder.find(kind, namespace, name));
        Ok(found.transpose()?.flatten())
    }

    /// What a reference leads to: in the given directory, in the repository, in the cluster.
    fn find(
        &self,
        reference: &Reference,
        asked: &Asked<'_>,
        keys: Option<&Keys>,
    ) -> Result<Option<Data>> {
        let (kind, name) = (reference.kind, reference.name.as_str());
        let namespace = asked.object.meta.namespace.as_str();
        let is_secret = kind == Kind::Secret;
        let hidden = |data: Data| match self.secrets {
            Secrets::StandIns if is_secret => stand_ins(data),
            _ => data,
        };
        if let Some(data) = self.given(kind, namespace, name)? {
            return Ok(Some(hidden(data)));
        }
        if let Some(known) = (asked.known)(kind, namespace, name) {
            return self.known(known, kind, namespace, name, keys).map(Some);
        }
        let answer = self.ask(kind, namespace, name)?;
        Ok(answer.map(|data| match self.secrets {
            Secrets::Masked if is_secret => {
                data.into_keys().map(|key| (key, SECRET.into())).collect()
            }
            _ => hidden(data),
        }))
    }

    /// The data of what the repository has.
    fn known(
        &self,
        mut known: Known,
        kind: Kind,
        namespace: &str,
        name: &str,
        keys: Option<&Keys>,
    ) -> Result<Data> {
        if kind == Kind::Secret && self.secrets == Secrets::StandIns {
            return Ok(stand_ins(texts(&known.value)));
        }
        if kind == Kind::Secret && !known.is_rendered {
            match keys.filter(|_| self.secrets == Secrets::Revealed) {
                Some(keys) => {
                    objects::decrypt(&mut known.value, keys, &known.file)?;
                }
                None => {
                    mask::mask(&mut known.value);
                }
            }
        }
        let mut objects = Objects::default();
        objects.add(&known.value, &known.file);
        // Wherever it is, it was found for this namespace.
        let data = objects.find(kind, namespace, name)?.unwrap_or_default();
        let plain = |value: Vec<u8>| match value.as_slice() {
            text if text == mask::MASK.as_bytes() || text == DOCKER_MASK.as_bytes() => {
                ENCRYPTED.into()
            }
            _ => value,
        };
        Ok(data.into_iter().map(|(key, value)| (key, plain(value))).collect())
    }

    /// What stands for a ConfigMap or Secret that is nowhere.
    fn missing(
        &self,
        reference: &Reference,
        asked: &Asked<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Data> {
        let (kind, name) = (reference.kind.name(), &reference.name);
        let place = reference.place.clone().or_else(|| asked.object.meta.place.clone());
        let place = place.unwrap_or_else(|| Place::file("spec.postBuild.substituteFrom"));
        let namespace = &asked.object.meta.namespace;
        let message =
            format!("substitute from '{kind}/{name}': there is none in namespace \"{namespace}\"");
        if !self.inputs.strict_substitute {
            warnings.push(Warning { place, message });
            return Ok(Data::new());
        }
        let error = Error::new(ErrorKind::Missing, place, message);
        Err(error.hint(match self.cluster.is_some() && self.inputs.ask_cluster {
            true => "write \"optional: true\" where it may be missing",
            false => {
                "give it in a file of --variables-from DIR, take it from the cluster with --ask-cluster, or \
                 leave it out with --strict-substitute=false"
            }
        }))
    }
}

fn stand_ins(data: Data) -> Data {
    data.into_iter().map(|(key, value)| (key, stand_in(&value).into())).collect()
}

/// The entries of a Secret as they are written, encrypted or not.
fn texts(secret: &Value) -> Data {
    let maps = ["data", "stringData"].into_iter().filter_map(|field| secret.get(field)?.as_map());
    let entries = maps.flat_map(|map| map.iter());
    entries
        .map(|(key, value)| {
            let text = value.as_text().unwrap_or_default();
            (key.text.to_string(), text.as_bytes().to_vec())
        })
        .collect()
}

fn names(object: &Kustomization) -> (String, String) {
    (object.meta.namespace.to_string(), object.meta.name.to_string())
}

/// The object that a node is.
#[must_use]
pub fn id(node: &Node) -> ObjectId {
    let meta = &node.object.meta;
    ObjectId {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        group: overlay::flux::api::GROUP.into(),
        kind: "Kustomization".into(),
    }
}

/// `Kustomization/namespace/name`
#[must_use]
pub fn shown(node: &Node) -> String {
    named(&id(node))
}

/// `HelmRelease/namespace/name`
#[must_use]
pub fn shown_release(release: &Release) -> String {
    let meta = &release.object.meta;
    format!("HelmRelease/{}/{}", meta.namespace, meta.name)
}

#[cfg(test)]
mod tests {
    use overlay::Memory;
    use overlay::flux::discover::Outcome;

    use super::*;
    use crate::args::{self, Command, FluxCommand};

    fn inputs() -> Inputs {
        let args = args::parse(["kubectl-overlay", "flux", "diff"]).expect("a command line");
        match args.command {
            Command::Flux(args::Flux { command: FluxCommand::Diff(diff) }) => diff.inputs,
            other => panic!("{other:?}"),
        }
    }

    fn kustomization(name: &str, more: &str) -> String {
        format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: flux-system}}\n\
             spec: {{interval: 5m, prune: true, path: ./{name}, sourceRef: {{kind: GitRepository, name: flux-system}}{more}}}\n---\n"
        )
    }

    /// Two Kustomizations, one of which takes its variable from a Secret.
    fn source(web: &str, password: &str) -> Source {
        let from = ", postBuild: {substituteFrom: [{kind: Secret, name: hidden}]}";
        let mut files = Memory::default();
        let both = kustomization("web", "") + &kustomization("database", from);
        files.insert("clusters/all.yaml", both);
        let hidden = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: hidden, namespace: flux-system}}\nstringData: {{password: {password}}}\n"
        );
        files.insert("clusters/secret.yaml", hidden);
        let config_map = |value: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: '{value}'}}\n"
            )
        };
        files.insert("web/a.yaml", config_map(web));
        files.insert("database/a.yaml", config_map("${password}"));
        Source::new(Arc::new(files), "/".into(), String::new())
    }

    fn found(source: &Source, rules: &Rules<'_>) -> Found {
        let checkout = Checkout {
            top: "/".into(),
            entry: "/clusters".into(),
            remotes: Vec::new(),
            local: Vec::new(),
            shown_from: "/".into(),
        };
        let limits = rules.options.limits;
        let found =
            checkout.discover(source, &limits, &|asked| rules.render(asked), &Beyond::default());
        let found = found.expect("a directory");
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        found
    }

    fn text(found: &Found) -> String {
        let outcomes = found.nodes.iter().filter_map(|node| match &node.outcome {
            Outcome::Rendered(rendered) => Some(&rendered.resources),
            _ => None,
        });
        let print = |resources| overlay::build::print(resources, &Limits::default());
        outcomes.map(|resources| print(resources).expect("printable")).collect()
    }

    #[test]
    fn what_is_the_same_is_rendered_once() {
        let (inputs, settings) = (inputs(), Settings::default());
        let rules = Rules::new(&inputs, Secrets::StandIns, None, &settings).expect("rules");
        let rules = rules.remembering();
        let before = found(&source("1", "canary-one"), &rules);
        assert_eq!(rules.repeated(), 0);
        let after = found(&source("2", "canary-one"), &rules);
        assert_eq!(rules.repeated(), 1);
        assert_ne!(text(&before), text(&after));
        found(&source("2", "canary-one"), &rules);
        assert_eq!(rules.repeated(), 3);
        // A variable is no file, and counts all the same.
        let other = found(&source("2", "canary-two"), &rules);
        assert_eq!(rules.repeated(), 4);
        assert_ne!(text(&after), text(&other));
        assert!(!(text(&before) + &text(&other)).contains("canary"));
    }

    #[test]
    fn a_word_that_turns_out_to_be_a_directory_costs_no_second_render() {
        let (inputs, chosen) = (inputs(), |word: &str| Chosen {
            kustomizations: vec![word.to_owned()],
            all: false,
            local_sources: Vec::new(),
            fetch_sources: false,
        });
        let settings =
            Settings { directory: env!("CARGO_MANIFEST_DIR").into(), ..Settings::default() };
        let source = source("1", "2");
        for (word, path, repeated) in [("src", "src", 2), ("web", ".", 0)] {
            let mut choice = Choice::of(&chosen(word), &settings).expect("a name");
            let rules = Rules::new(&inputs, Secrets::StandIns, None, &settings).expect("rules");
            let rules = rules.remembering_for(&choice, &settings);
            let render = |_: &Choice| Ok(found(&source, &rules));
            choice.settle(&settings, render, |found| vec![found]).expect("a directory");
            assert_eq!((choice.path.as_path(), rules.repeated()), (Path::new(path), repeated));
        }
    }

    #[test]
    fn a_source_may_be_an_archive_with_its_digest() {
        let of = |text: &'static str| archive(Path::new(text));
        assert_eq!(of("https://h/a.tar.gz@sha256:ab"), Some(("https://h/a.tar.gz", "sha256:ab")));
        assert_eq!(of("http://u@h/a.tar.gz"), Some(("http://u@h/a.tar.gz", "")));
        assert_eq!((of("./https://h"), of("/a@sha256:b")), (None, None));
    }

    #[test]
    fn words_are_names_or_a_place() {
        let settings = Settings { directory: "/".into(), ..Settings::default() };
        let choice = |words: &[&str], all| {
            let kustomizations = words.iter().map(|word| (*word).to_owned()).collect();
            let chosen =
                Chosen { kustomizations, all, local_sources: Vec::new(), fetch_sources: false };
            Choice::of(&chosen, &settings)
                .ok()
                .map(|choice| (choice.names, choice.path.to_string_lossy().into_owned()))
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(choice(&[], false), Some((names(&[]), ".".into())));
        assert_eq!(choice(&["a", "n/b"], false), Some((names(&["a", "n/b"]), ".".into())));
        assert_eq!(choice(&["a", "./clusters"], false), Some((names(&["a"]), "./clusters".into())));
        assert!(choice(&["./a", "./b"], false).is_none());
        assert!(choice(&["nowhere-at-all"], true).is_none());
    }
}
