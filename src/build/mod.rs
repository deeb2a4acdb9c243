//! A build: kustomize's order of steps, one line a step.
//!
//! `Build::layer` is one kustomization; the recursion goes through `Build::base` and
//! `Build::component`; `Build::finish` is what happens once, at the top.
//!
//! Source: kustomize `api/internal/target/kusttarget.go`, `api/krusty/kustomizer.go`.

mod fields;
mod plugins;
mod survey;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::files::{FileKind, Files, clean};
use crate::generate::{hash, helm};
use crate::kustomization::{self, Kustomization, Source};
use crate::layer::{Layer, Reader};
use crate::limits::Limits;
use crate::remote::Remote;
use crate::resource::Resource;
use crate::resources::{Hashed, Resources};
use crate::schema::{self, Relation, Schema};
use crate::store::Store;
use crate::threads::Threads;
use crate::tools::Tools;
use crate::transform::config::Config;
use crate::transform::metadata::{self, Notes};
use crate::transform::patches;
use crate::transform::sort;
use crate::transform::vars::Vars;
use crate::yaml::{self, Step};
use crate::{manifest, references};

/// In which order objects are returned where the top kustomization has no `sortOptions`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// By kind, what others refer to first.
    #[default]
    Legacy,
    /// As they were accumulated; this is what Flux applies.
    None,
}

/// What a caller decides about a build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Upper bounds of everything.
    pub limits: Limits,
    /// Whether files outside the directory of their kustomization may be read
    /// (`--load-restrictor LoadRestrictionsNone`).
    pub unrestricted: bool,
    /// The order of the result.
    pub order: Order,
    /// Where URLs are fetched; the webhook fetches none.
    pub remote: Option<Arc<Remote>>,
    /// Which programs may be run; the webhook runs none.
    pub tools: Tools,
    /// Whether everything gets kustomize's label, as with `buildMetadata: [managedByLabel]`.
    pub managed_by_label: bool,
    /// Which version of kustomize that label says; the one that this follows, where there is none.
    pub version: Option<&'static str>,
    /// What helps with a large build; nobody, unless the caller says so.
    pub threads: Threads,
}

/// Renders the kustomization in the directory `root`.
///
/// Warnings come with failures too.
pub fn build(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    root: &Path,
) -> Warned<Result<Resources>> {
    let mut build = Build::new(files, store, options);
    let output = build.run(root, None);
    Warned { output, warnings: build.warnings }
}

/// Renders `kustomization` as if it stood in the directory `root`.
///
/// This is how Flux's spec takes part: it is merged in memory, the tree is never written.
pub fn build_edited(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    root: &Path,
    edited: Edited,
) -> Warned<Result<Resources>> {
    let mut build = Build::new(files, store, options);
    let output = build.run(root, Some(edited));
    Warned { output, warnings: build.warnings }
}

/// Renders and prints many overlays at once, each as [`build`] and [`print()`] would, in their order.
///
/// They share what is parsed, and as many threads as the machine has cores.
pub fn build_all(
    files: &dyn Files,
    store: &Store,
    options: &Options,
    roots: &[PathBuf],
) -> Vec<Warned<Result<String>>> {
    let options = &Options { threads: Threads::default(), ..options.clone() };
    let next = AtomicUsize::new(0);
    let built: Vec<OnceLock<Warned<Result<String>>>> =
        roots.iter().map(|_| OnceLock::new()).collect();
    let work = || {
        while let Some((root, slot)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            roots.get(index).zip(built.get(index))
        } {
            let Warned { output, warnings } = build(files, store, options, root);
            let output = output.and_then(|resources| print(&resources, &options.limits));
            // Each index is handed out once, so the slot is empty.
            let _ = slot.set(Warned { output, warnings });
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(roots.len()) {
            // One that cannot be had is work for the others.
            let _ = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        }
        work();
    });
    built.into_iter().filter_map(OnceLock::into_inner).collect()
}

/// How many objects a file of objects counts for, when it is asked whether threads are worth it.
const READ_WEIGHT: usize = 6;

/// What a layer may take of the stack before the next one.
const LAYER_BYTES: usize = 512 << 10;

/// How many layers find room on every stack, of which none has less than 2 MiB. How much the first thread
/// has left is written in a file of the system that takes longer to read than a kustomization.
const SHALLOW: usize = 2;

/// The stack that layers go on on where there is no room for one more.
const STACK_BYTES: usize = 8 << 20;

/// A kustomization that is not what its file says.
#[derive(Clone, Debug)]
pub struct Edited {
    /// What is built.
    pub kustomization: Kustomization,
    /// Where errors point to.
    pub source: Source,
}

/// The documents of a build as kustomize prints them, separated by `---`.
///
/// # Errors
/// Where an object cannot be printed, or all together exceed the limit.
pub fn print(resources: &Resources, limits: &Limits) -> Result<String> {
    let mut pieces = pieces(resources, limits)?;
    Ok(if pieces.len() == 1 { pieces.swap_remove(0) } else { pieces.concat() })
}

/// As [`print()`], in the pieces in which several threads have printed it.
///
/// # Errors
/// As [`print()`].
pub fn pieces(resources: &Resources, limits: &Limits) -> Result<Vec<String>> {
    let all = resources.as_slice();
    let print_run = |first, run: &[Resource]| print_run(run, first == 0, limits);
    let mut pieces = resources.threads().map_runs(all, print_run);
    if pieces.len() == 1 {
        return pieces.swap_remove(0).map(|whole| vec![whole]);
    }
    let fits =
        |pieces: &Vec<String>| pieces.iter().map(String::len).sum::<usize>() <= limits.output_bytes;
    match pieces.into_iter().collect::<Result<Vec<_>>>().ok().filter(fits) {
        Some(pieces) => Ok(pieces),
        // Which object is one too many is found by counting from the first.
        None => Ok(vec![print_run(0, all)?]),
    }
}

/// About how many bytes an object takes.
const OBJECT_BYTES: usize = 512;

fn print_run(run: &[Resource], is_first: bool, limits: &Limits) -> Result<String> {
    let mut out = String::with_capacity(run.len() * OBJECT_BYTES);
    for (index, resource) in run.iter().enumerate() {
        if index > 0 || !is_first {
            out.push_str("---\n");
        }
        let place = || Place::file(resource.origin.file.clone());
        yaml::print(&resource.value, &mut out)
            .map_err(|error| error.located(|path| resource.place(path)))?;
        if out.len() > limits.output_bytes {
            let message = format!("output is larger than {} bytes", limits.output_bytes);
            return Err(Error::new(ErrorKind::Limit, place(), message));
        }
    }
    Ok(out)
}

/// A build that is under way.
struct Build<'a> {
    reader: Reader<'a>,
    store: &'a Store,
    order: Order,
    /// The built-in schema, or the custom one that came first.
    schema: Schema,
    /// Whether a kustomization has chosen the schema; later ones do not count then.
    has_schema: bool,
    /// Whether a kind was met that the built-in schema does not know the scope of.
    met_unknown_kind: bool,
    /// Whether a strategic merge patch was applied.
    has_merged: bool,
    /// Whether a custom schema joins the built-in one even so: Flux has loaded that before it builds.
    ///
    /// Source: fluxcd/pkg `kustomize/kustomize_generator.go`, `resetOpenAPIWithBuiltins`.
    joins_schema: bool,
    warnings: Vec<Warning>,
    /// What the top asks for; its bases follow it, whatever they say themselves.
    build_metadata: Vec<EcoString>,
    tools: Tools,
    /// Helm, once a chart has asked for it.
    helm: Option<helm::Session>,
    managed_by_label: bool,
    version: Option<&'static str>,
    threads: Threads,
}

/// What a file of objects holds.
struct Manifest {
    resources: Vec<Resource>,
    /// The hashes of their ids.
    ids: Vec<Hashed>,
    /// Whether one is of a kind that the built-in schema does not know the scope of.
    met_unknown_kind: bool,
}

/// What a layer has gathered so far.
#[derive(Default)]
struct Gathered {
    resources: Resources,
    config: Arc<Config>,
    vars: Vars,
}

/// A kustomization where it stands.
struct Site<'l> {
    layer: Layer<'l>,
    kustomization: Kustomization,
    source: Source,
    file_name: &'static str,
    /// The namespace of the nearest layer above that has one, for charts.
    namespace_above: EcoString,
}

impl Site<'_> {
    /// Where an entry of a list field stands.
    fn entry(&self, field: &str, index: usize) -> Place {
        self.source.place(&[Step::Key(field), Step::Index(index)])
    }

    /// The entry of a list field of patches.
    fn listed<'s>(&'s self, field: &'s str, index: usize) -> patches::Entry<'s> {
        patches::Entry::Listed { source: &self.source, field, index }
    }

    fn field(&self, field: &str) -> Place {
        self.source.place(&[Step::Key(field)])
    }

    /// Its own namespace, or the nearest above.
    fn namespace(&self) -> &EcoString {
        match &self.kustomization.namespace {
            own if own.is_empty() => &self.namespace_above,
            own => own,
        }
    }

    fn notes(&self) -> Notes {
        let directory = self.layer.origin.clone();
        let repository = self.layer.repository.as_ref();
        let repository =
            repository.map(|one| (one.url.as_str().into(), one.reference.as_str().into()));
        Notes { directory, file_name: self.file_name, repository }
    }
}

impl<'a> Build<'a> {
    fn new(files: &'a dyn Files, store: &'a Store, options: &Options) -> Self {
        let mut reader = Reader::new(files, options.limits, options.unrestricted);
        reader.remote.clone_from(&options.remote);
        Self {
            reader,
            store,
            order: options.order,
            schema: Schema::builtin(),
            has_schema: false,
            met_unknown_kind: false,
            has_merged: false,
            joins_schema: false,
            warnings: Vec::new(),
            build_metadata: Vec::new(),
            tools: options.tools.clone(),
            managed_by_label: options.managed_by_label,
            version: options.version,
            helm: None,
            threads: options.threads.clone(),
        }
    }

    fn run(&mut self, root: &Path, edited: Option<Edited>) -> Result<Resources> {
        let layer = self.reader.top(root)?;
        let site = match edited {
            None => self.site(layer)?,
            Some(Edited { kustomization, source }) => {
                self.joins_schema = true;
                let (file_name, namespace_above) = ("kustomization.yaml", EcoString::new());
                Site { layer, kustomization, source, file_name, namespace_above }
            }
        };
        self.build_metadata = site.kustomization.build_metadata.clone();
        let gathered = self.layer(&site, Gathered::default())?;
        self.finish(&site, gathered)
    }

    fn site<'l>(&mut self, layer: Layer<'l>) -> Result<Site<'l>> {
        let (source, file_name) = self.reader.kustomization(&layer)?;
        let kustomization = kustomization::decode(&source, &self.reader.limits)?;
        self.warnings.extend(kustomization.deprecations(&source));
        let namespace_above = EcoString::new();
        Ok(Site { layer, kustomization, source, file_name, namespace_above })
    }

    fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.warnings.push(Warning { place, message: message.into() });
    }

    /// One kustomization; there is room on the stack for as many as [`Limits`] allow.
    fn layer(&mut self, site: &Site<'_>, gathered: Gathered) -> Result<Gathered> {
        let above = std::iter::successors(site.layer.parent, |layer| layer.parent);
        let outcome = if above.count() < SHALLOW {
            self.steps(site, gathered)
        } else {
            stacker::maybe_grow(LAYER_BYTES, STACK_BYTES, || self.steps(site, gathered))
        };
        outcome.map_err(|first| self.survey(site, first))
    }

    /// The steps of one kustomization, in kustomize's order.
    fn steps(&mut self, site: &Site<'_>, mut gathered: Gathered) -> Result<Gathered> {
        self.choose_schema(site)?;
        self.resources(site, &mut gathered)?;
        self.configure(site, &mut gathered)?;
        self.generate(site, &mut gathered)?;
        self.forbid_too_many(site, &gathered.resources)?;
        let mut gathered = self.components(site, gathered)?;
        self.transform(site, &mut gathered)?;
        self.plugin_transformers(site, &mut gathered)?;
        self.forbid_too_many(site, &gathered.resources)?;
        self.validate(site, &mut gathered)?;
        let place = |index| site.entry("vars", index);
        gathered.vars.merge(&site.kustomization.vars, &mut gathered.resources, &place)?;
        Ok(gathered)
    }

    fn forbid_too_many(&self, site: &Site<'_>, resources: &Resources) -> Result<()> {
        let most = self.reader.limits.resources;
        if resources.len() <= most {
            return Ok(());
        }
        let message = format!("build has more than {most} resources");
        Err(Error::new(ErrorKind::Limit, Place::file(site.source.file.clone()), message))
    }

    /// What happens once, to the result of all layers.
    fn finish(&mut self, site: &Site<'_>, gathered: Gathered) -> Result<Resources> {
        let Gathered { mut resources, config, vars } = gathered;
        hash::append(&mut resources)?;
        refuse_nameless(&resources)?;
        references::follow(&mut resources, &config)?;
        self.warnings.extend(vars.resolve(&mut resources, &config.var_references)?);
        drop_local(&mut resources)?;
        refuse_doubles(&resources)?;
        self.sort(site, &mut resources)?;
        let (notes, label) = (&self.build_metadata, self.managed_by_label);
        metadata::finish(&mut resources, notes, label, self.version)?;
        Ok(resources)
    }

    /// The entries of `resources`: files, directories, URLs. Files that are read before one of them fails
    /// are taken in all the same, so that every object that is there twice is told at once.
    fn resources(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        gathered.resources.work_on(&self.threads);
        let mut ahead = self.read_ahead(site);
        self.threads.ahead(|| drop(Config::builtin()));
        let objects = ahead.iter().flatten().map(|manifest| manifest.resources.len()).sum();
        gathered.resources.reserve(objects);
        let mut failed: Option<Error> = None;
        for (index, entry) in site.kustomization.resources.iter().enumerate() {
            let outcome = match ahead.get_mut(index).and_then(Option::take) {
                Some(manifest) => self.take_in(site, entry, manifest, gathered),
                None if failed.is_some() => continue,
                None => self.resource(site, entry, gathered),
            };
            let Err(error) = outcome else { continue };
            let error = error.within(site.entry("resources", index));
            failed = Some(match failed {
                None => error,
                Some(first) => first.and(error),
            });
        }
        failed.map_or(Ok(()), Err)
    }

    /// The files among the entries, read on several threads; nothing where one of them fails, for
    /// what is told then is the first failure in the order of the entries.
    fn read_ahead(&self, site: &Site<'_>) -> Vec<Option<Manifest>> {
        let entries = &site.kustomization.resources;
        let before = self.reader.left();
        let read = self.threads.map(entries, READ_WEIGHT, |entry| {
            let read = self.reader.near_file(&site.layer, entry)?;
            read.map(|read| self.manifest(read)).transpose()
        });
        read.into_iter().collect::<Result<_>>().unwrap_or_else(|_| {
            self.reader.go_back(before);
            Vec::new()
        })
    }

    fn resource(&mut self, site: &Site<'_>, entry: &str, gathered: &mut Gathered) -> Result<()> {
        let is_base = match self.reader.is_repository(&site.layer, entry)? {
            Some(is_repository) => is_repository,
            None => self.is_directory(site, entry),
        };
        if is_base {
            return self.base(site, entry, gathered);
        }
        let manifest = self.manifest(self.reader.file(&site.layer, entry)?)?;
        self.take_in(site, entry, manifest, gathered)
    }

    fn is_directory(&self, site: &Site<'_>, entry: &str) -> bool {
        self.reader.files.kind(&clean(&site.layer.directory.join(entry))) == FileKind::Directory
    }

    /// A file that an entry names.
    fn source(&self, site: &Site<'_>, entry: &str) -> Result<Source> {
        let (text, file) = self.reader.file(&site.layer, entry)?;
        Ok(Source { file, text })
    }

    /// Adds the objects of a file that is read.
    fn take_in(
        &mut self,
        site: &Site<'_>,
        entry: &str,
        mut manifest: Manifest,
        gathered: &mut Gathered,
    ) -> Result<()> {
        self.note_file(site, entry, &mut manifest);
        let into = &mut gathered.resources;
        for (resource, id) in manifest.resources.into_iter().zip(manifest.ids) {
            into.append_hashed(resource, id).map_err(|refused| doubled(into, refused))?;
        }
        Ok(())
    }

    /// Notes what a file that is read holds, and on its objects where they come from.
    fn note_file(&mut self, site: &Site<'_>, entry: &str, manifest: &mut Manifest) {
        self.met_unknown_kind |= manifest.met_unknown_kind;
        if self.takes_notes() {
            metadata::note_generator(&mut manifest.resources, &site.notes().file(entry));
        }
    }

    /// The objects of a file.
    fn manifest(&self, (text, file): (Bytes, Arc<str>)) -> Result<Manifest> {
        let documents = self.store.documents(&text, &file, &self.reader.limits)?;
        let place = |document| Place { file: file.clone(), at: yaml::locate(&text, document, &[]) };
        let mut resources = manifest::resources(&documents, &text, &file, &place)?;
        patches::note_comments(&mut resources, &text);
        resources.iter_mut().for_each(|one| one.text = Some(text.clone()));
        let met_unknown_kind = resources.iter().any(|one| !schema::has_scope(one.as_kind()));
        let ids = resources.iter().map(Hashed::id).collect();
        Ok(Manifest { resources, ids, met_unknown_kind })
    }

    /// A directory with a kustomization of its own.
    fn base(&mut self, site: &Site<'_>, entry: &str, gathered: &mut Gathered) -> Result<()> {
        let base = self.base_site(site, entry)?;
        let Gathered { resources, config, vars } = self.layer(&base, Gathered::default())?;
        if let Err(resources) = gathered.resources.adopt(resources) {
            append(&mut gathered.resources, resources)?;
        }
        gathered.config = gathered.config.merged(&config, || base.field("configurations"))?;
        gathered.vars.append(vars)
    }

    fn base_site<'l>(&mut self, site: &'l Site<'_>, entry: &str) -> Result<Site<'l>> {
        let layer = self.reader.descend(&site.layer, entry)?;
        let mut base = self.site(layer)?;
        base.namespace_above = site.namespace().clone();
        if base.kustomization.is_component {
            let error =
                Error::new(ErrorKind::Invalid, base.field("kind"), "a component is not a base");
            return Err(error.hint("list it under \"components\""));
        }
        Ok(base)
    }

    /// Components work on what their parent has gathered.
    fn components(&mut self, site: &Site<'_>, mut gathered: Gathered) -> Result<Gathered> {
        for (index, entry) in site.kustomization.components.iter().enumerate() {
            let place = || site.entry("components", index);
            gathered =
                self.component(site, entry, gathered).map_err(|error| error.within(place()))?;
        }
        Ok(gathered)
    }

    fn component(&mut self, site: &Site<'_>, entry: &str, gathered: Gathered) -> Result<Gathered> {
        let component = self.component_site(site, entry)?;
        let mut gathered = self.layer(&component, gathered)?;
        refuse_doubles(&gathered.resources)?;
        // Kustomize moves everything to an empty set, and so sifts the specs once more.
        let empty = Arc::new(Config::default());
        gathered.config = empty.merged(&gathered.config, || component.field("configurations"))?;
        Ok(gathered)
    }

    fn component_site<'l>(&mut self, site: &'l Site<'_>, entry: &str) -> Result<Site<'l>> {
        let layer = self.reader.descend(&site.layer, entry)?;
        let mut component = self.site(layer)?;
        component.namespace_above = site.namespace().clone();
        if !component.kustomization.is_component {
            let place = component.field("kind");
            let error = Error::new(ErrorKind::Invalid, place, "a kustomization is not a component");
            return Err(
                error.hint("list it under \"resources\", or write \"kind: Component\" there")
            );
        }
        Ok(component)
    }

    /// The first schema that is chosen on the way counts, the top's before its bases'.
    ///
    /// One that comes late does not take the place of the built-in one but joins it: kustomize has
    /// begun to use that by then.
    ///
    /// Source: kustomize `kyaml/openapi/openapi.go`, `SetSchema`, `initSchema`.
    fn choose_schema(&mut self, site: &Site<'_>) -> Result<()> {
        let Kustomization { openapi_path, openapi_version, .. } = &site.kustomization;
        let referred = |error: Error| error.within(site.field("openapi"));
        let file = match openapi_path {
            Some(entry) => Some(self.reader.file(&site.layer, entry).map_err(referred)?),
            None => None,
        };
        if self.has_schema {
            return Ok(());
        }
        let invalid =
            |message: &str| Error::new(ErrorKind::Invalid, site.field("openapi"), message);
        match (file, openapi_version.as_deref()) {
            (Some(_), Some(_)) => Err(invalid("\"openapi\" has both a path and a version")),
            (Some((text, file)), None) => {
                let value =
                    yaml::read_first(&text, &file, &self.reader.limits).map_err(referred)?;
                let is_over = self.has_merged || self.joins_schema;
                let relation = match (is_over, self.met_unknown_kind) {
                    (true, _) => Relation::Over,
                    (false, true) => Relation::Under,
                    (false, false) => Relation::Instead,
                };
                self.schema = Schema::from_openapi(&value, relation);
                self.has_schema = true;
                Ok(())
            }
            (None, None | Some("")) => Ok(()),
            (None, Some(schema::VERSION)) => {
                self.has_schema = true;
                Ok(())
            }
            (None, Some(version)) => {
                let error = invalid(&format!("schema \"{version}\" is not built in"));
                Err(error.hint(format!("use \"{}\", or a file with \"path\"", schema::VERSION)))
            }
        }
    }

    fn configure(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        let mut own = Arc::new(Config::default());
        for (index, entry) in site.kustomization.configurations.iter().enumerate() {
            let place = || site.entry("configurations", index);
            let more = self.configuration(site, entry, Config::read);
            own = own.merged(&more.map_err(|error| error.within(place()))?, place)?;
        }
        let own = Config::builtin().merged(&own, || site.field("configurations"))?;
        gathered.config = gathered.config.merged(&own, || site.field("configurations"))?;
        let mut derived = Arc::new(Config::default());
        for (index, entry) in site.kustomization.crds.iter().enumerate() {
            let place = || site.entry("crds", index);
            let more = self.configuration(site, entry, Config::read_crds);
            derived = derived.merged(&more.map_err(|error| error.within(place()))?, place)?;
        }
        gathered.config = gathered.config.merged(&derived, || site.field("crds"))?;
        Ok(())
    }

    fn configuration(
        &self,
        site: &Site<'_>,
        entry: &str,
        read: fn(&Source, &Limits) -> Result<Arc<Config>>,
    ) -> Result<Arc<Config>> {
        read(&self.source(site, entry)?, &self.reader.limits)
    }

    fn sort(&self, site: &Site<'_>, resources: &mut Resources) -> Result<()> {
        let options = site.kustomization.sort_options.as_ref();
        if options.is_none() && self.order == Order::None {
            return Ok(());
        }
        sort::apply(resources, options, || site.field("sortOptions"))
    }

    fn takes_notes(&self) -> bool {
        !self.build_metadata.is_empty()
    }
}

/// What the annotation that keeps an object out of the output says where it does not.
const LOCAL: &str = "config.kubernetes.io/local-config";

/// Drops the objects that are configuration for tools: annotated so, with anything but `false`.
///
/// # Errors
/// Where a step has left an object without the name or the kind that it came with.
fn drop_local(resources: &mut Resources) -> Result<()> {
    for resource in &*resources {
        let kind = resource.kind();
        let message = match (kind, resource.name()) {
            ("", name) => format!("\"{name}\" is left without a kind"),
            (kind, "") if !kind.ends_with("List") => format!("{kind} is left without a name"),
            _ => continue,
        };
        let place = Place::file(resource.origin.file.clone());
        return Err(Error::new(ErrorKind::Invalid, place, message));
    }
    let is_local = |resource: &Resource| {
        let value = resource.annotations().and_then(|annotations| annotations.get(LOCAL));
        value.is_some_and(|value| value.as_text() != Some("false"))
    };
    if resources.iter().any(is_local) {
        resources.as_mut_vec().retain(|resource| !is_local(resource));
    }
    Ok(())
}

/// Refuses objects that lost their name on the way; kustomize panics over them.
fn refuse_nameless(resources: &Resources) -> Result<()> {
    let was_nameless = |one: &Resource| one.former.iter().any(|id| id.name.is_empty());
    let was_named = |one: &Resource| one.former.iter().any(|id| !id.name.is_empty());
    match resources.iter().find(|one| was_nameless(one) && was_named(one)) {
        None => Ok(()),
        Some(one) => {
            let message = format!("{} has lost its name", one.kind());
            Err(Error::new(ErrorKind::Invalid, Place::file(one.origin.file.clone()), message))
        }
    }
}

/// Two objects that replacements or vars have given one name would overwrite each other.
///
/// Source: kustomize `api/resmap/factory.go`, `FromResourceSlice`, which panics.
fn refuse_doubles(resources: &Resources) -> Result<()> {
    let Some((first, second)) = resources.doubled() else { return Ok(()) };
    Err(duplicate(&resources.as_slice()[second], &resources.as_slice()[first]))
}

fn append(into: &mut Resources, resources: impl IntoIterator<Item = Resource>) -> Result<()> {
    for resource in resources {
        into.append(resource).map_err(|refused| doubled(into, refused))?;
    }
    Ok(())
}

/// That an object has the id of the one at a position.
fn doubled(resources: &Resources, (refused, at): (Box<Resource>, usize)) -> Error {
    duplicate(&refused, &resources.as_slice()[at])
}

fn duplicate(refused: &Resource, first: &Resource) -> Error {
    let id = refused.id();
    let place = Place::file(refused.origin.file.clone());
    let namespace = if id.namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace \"{}\"", id.namespace)
    };
    let message = format!("{} \"{}\"{namespace} is there already", id.gvk.kind, id.name);
    Error::new(ErrorKind::Invalid, place, message)
        .hint(format!("the other one is in {}", first.origin.file))
}
