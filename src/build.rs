//! A build: kustomize's order of steps, one line a step.
//!
//! `Build::layer` is one kustomization; the recursion goes through `Build::base` and
//! `Build::component`; `Build::finish` is what happens once, at the top.
//!
//! Source: kustomize `api/internal/target/kusttarget.go`, `api/krusty/kustomizer.go`.

mod plugins;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use crate::files::{FileKind, Files, clean};
use crate::generate::{self, Inputs, hash, helm};
use crate::kustomization::{
    self, ConfigMapArgs, GeneratorOptions, HelmChart, HelmGlobals, Kustomization, Patch,
    Replacement, ReplacementEntry, Source,
};
use crate::layer::{Layer, Reader};
use crate::limits::Limits;
use crate::remote::Remote;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::schema::{self, Relation, Schema};
use crate::store::Store;
use crate::tools::Tools;
use crate::transform::config::Config;
use crate::transform::metadata::{self, Notes};
use crate::transform::namespace::{Namespace, Subjects};
use crate::transform::patches::{self, Context, LoadedPatch, PatchText};
use crate::transform::vars::Vars;
use crate::transform::{
    annotations, images, labels, namespace, prefix, replacements, replicas, sort,
};
use crate::twins::part_with_annotations;
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

/// Room for the recursion through as many layers as [`Limits::PERSON`] allows.
const STACK_BYTES: usize = 64 << 20;

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
    let mut out = String::new();
    for (index, resource) in resources.iter().enumerate() {
        if index > 0 {
            out.push_str("---\n");
        }
        let place = || Place::file(resource.origin.file.clone());
        yaml::write(&resource.value, &mut out).map_err(|error| error.at(place()))?;
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
    warnings: Vec<Warning>,
    /// What the top asks for; its bases follow it, whatever they say themselves.
    build_metadata: Vec<EcoString>,
    tools: Tools,
    /// Helm, once a chart has asked for it.
    helm: Option<helm::Session>,
    managed_by_label: bool,
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
            warnings: Vec::new(),
            build_metadata: Vec::new(),
            tools: options.tools.clone(),
            managed_by_label: options.managed_by_label,
            helm: None,
        }
    }

    fn run(&mut self, root: &Path, edited: Option<Edited>) -> Result<Resources> {
        let layer = self.reader.top(root)?;
        let site = match edited {
            None => self.site(layer)?,
            Some(Edited { kustomization, source }) => {
                let (file_name, namespace_above) = ("kustomization.yaml", EcoString::new());
                Site { layer, kustomization, source, file_name, namespace_above }
            }
        };
        self.build_metadata = site.kustomization.build_metadata.clone();
        self.choose_schema(&site)?;
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

    /// One kustomization, in kustomize's order of steps.
    fn layer(&mut self, site: &Site<'_>, mut gathered: Gathered) -> Result<Gathered> {
        self.resources(site, &mut gathered)?;
        self.configure(site, &mut gathered)?;
        self.generate(site, &mut gathered)?;
        let mut gathered = self.components(site, gathered)?;
        self.transform(site, &mut gathered)?;
        self.plugin_transformers(site, &mut gathered)?;
        self.validate(site, &mut gathered)?;
        let place = |index| site.entry("vars", index);
        gathered.vars.merge(&site.kustomization.vars, &mut gathered.resources, &place)?;
        Ok(gathered)
    }

    /// What happens once, to the result of all layers.
    fn finish(&mut self, site: &Site<'_>, gathered: Gathered) -> Result<Resources> {
        let Gathered { mut resources, config, vars } = gathered;
        hash::append(&mut resources)?;
        references::follow(&mut resources, &config)?;
        self.warnings.extend(vars.resolve(&mut resources, &config.var_references)?);
        drop_local(&mut resources)?;
        self.sort(site, &mut resources)?;
        metadata::finish(&mut resources, &self.build_metadata, self.managed_by_label);
        Ok(resources)
    }

    /// The entries of `resources`: files, directories, URLs.
    fn resources(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        for (index, entry) in site.kustomization.resources.iter().enumerate() {
            let place = || site.entry("resources", index);
            self.resource(site, entry, gathered).map_err(|error| error.within(place()))?;
        }
        Ok(())
    }

    fn resource(&mut self, site: &Site<'_>, entry: &str, gathered: &mut Gathered) -> Result<()> {
        let path = clean(&site.layer.directory.join(entry));
        let is_base = match self.reader.is_repository(&site.layer, entry)? {
            Some(is_repository) => is_repository,
            None => self.reader.files.kind(&path) == FileKind::Directory,
        };
        if is_base {
            return self.base(site, entry, gathered);
        }
        let resources = self.manifest(site, entry)?;
        append(&mut gathered.resources, resources)
    }

    /// The objects of a file.
    fn manifest(&mut self, site: &Site<'_>, entry: &str) -> Result<Vec<Resource>> {
        let (text, file) = self.reader.file(&site.layer, entry)?;
        let documents = self.store.documents(&text, &file, &self.reader.limits)?;
        let place = |document| Place { file: file.clone(), at: yaml::locate(&text, document, &[]) };
        let mut resources = manifest::resources(&documents, &file, &place)?;
        patches::note_comments(&mut resources, &text);
        self.met_unknown_kind |= resources.iter().any(|one| !schema::has_scope(&one.gvk()));
        if self.takes_notes() {
            metadata::note_generator(&mut resources, &site.notes().file(entry));
        }
        Ok(resources)
    }

    /// A directory with a kustomization of its own.
    fn base(&mut self, site: &Site<'_>, entry: &str, gathered: &mut Gathered) -> Result<()> {
        let layer = self.reader.descend(&site.layer, entry)?;
        let mut base = self.site(layer)?;
        base.namespace_above = site.namespace().clone();
        if base.kustomization.is_component {
            let error =
                Error::new(ErrorKind::Invalid, base.field("kind"), "a component is not a base");
            return Err(error.hint("list it under \"components\""));
        }
        self.choose_schema(&base)?;
        let Gathered { resources, config, vars } = self.layer(&base, Gathered::default())?;
        append(&mut gathered.resources, resources)?;
        gathered.config = gathered.config.merged(&config, || base.field("configurations"))?;
        gathered.vars.append(vars)
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
        self.choose_schema(&component)?;
        let mut gathered = self.layer(&component, gathered)?;
        // Kustomize moves everything to an empty set, and so sifts the specs once more.
        let empty = Arc::new(Config::default());
        gathered.config = empty.merged(&gathered.config, || component.field("configurations"))?;
        Ok(gathered)
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
                let relation = match (self.has_merged, self.met_unknown_kind) {
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
            let more = self.configuration(site, "configurations", index, entry, Config::read)?;
            own = own.merged(&more, || site.entry("configurations", index))?;
        }
        let own = Config::builtin().merged(&own, || site.field("configurations"))?;
        gathered.config = gathered.config.merged(&own, || site.field("configurations"))?;
        let mut derived = Arc::new(Config::default());
        for (index, entry) in site.kustomization.crds.iter().enumerate() {
            let more = self.configuration(site, "crds", index, entry, Config::read_crds)?;
            derived = derived.merged(&more, || site.entry("crds", index))?;
        }
        gathered.config = gathered.config.merged(&derived, || site.field("crds"))?;
        Ok(())
    }

    fn configuration(
        &self,
        site: &Site<'_>,
        field: &str,
        index: usize,
        entry: &str,
        read: fn(&Source, &Limits) -> Result<Arc<Config>>,
    ) -> Result<Arc<Config>> {
        let (text, file) = self.load(site, field, index, entry)?;
        let config = read(&Source { file, text }, &self.reader.limits);
        config.map_err(|error| error.within(site.entry(field, index)))
    }

    /// A file that an entry of a list field names.
    fn load(
        &self,
        site: &Site<'_>,
        field: &str,
        index: usize,
        entry: &str,
    ) -> Result<(Bytes, Arc<str>)> {
        self.reader.file(&site.layer, entry).map_err(|error| error.within(site.entry(field, index)))
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

    /// `configMapGenerator`, `secretGenerator`, `helmCharts`, then `generators`.
    fn generate(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        let kustomization = &site.kustomization;
        let maps = kustomization.config_map_generator.iter().enumerate();
        for (index, args) in maps {
            self.generated(
                site,
                gathered,
                "configMapGenerator",
                index,
                args,
                generate::config_map,
            )?;
        }
        for (index, args) in kustomization.secret_generator.iter().enumerate() {
            self.generated(site, gathered, "secretGenerator", index, args, generate::secret)?;
        }
        self.charts(site, gathered)?;
        self.plugin_generators(site, gathered)
    }

    fn charts(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        let none = HelmGlobals::default();
        let globals = site.kustomization.helm_globals.as_ref().unwrap_or(&none);
        for (index, chart) in site.kustomization.helm_charts.iter().enumerate() {
            let place = site.entry("helmCharts", index);
            let mut chart = chart.clone();
            if chart.namespace.is_empty() {
                chart.namespace = site.namespace().clone();
            }
            let mut made = self.chart(site, globals, &chart, &place)?;
            if self.takes_notes() {
                let note = site.notes().field("HelmChartInflationGenerator");
                metadata::note_generator(&mut made, &note);
            }
            for resource in made {
                generate::absorb(&mut gathered.resources, resource, || place.clone())?;
            }
        }
        Ok(())
    }

    /// The objects of one chart, which `place` asks for.
    fn chart(
        &mut self,
        site: &Site<'_>,
        globals: &HelmGlobals,
        chart: &HelmChart,
        place: &Place,
    ) -> Result<Vec<Resource>> {
        let Some(helm) = &self.tools.helm else {
            let message = "charts are rendered by a program, and those are switched off";
            let error = Error::new(ErrorKind::Forbidden, place.clone(), message);
            return Err(error.hint("allow it with --enable-helm"));
        };
        let mut session = match self.helm.take() {
            Some(session) => session,
            None => helm::Session::start(helm, self.reader.limits, place)?,
        };
        let read = |path: &str| self.reader.file(&site.layer, path).map(|(text, _)| text);
        let file = &site.source.file;
        let inputs = Inputs { file, read: &read, place: &|_| place.clone() };
        let chart = helm::Chart { chart, globals, directory: &site.layer.directory, inputs };
        let made = session.render(self.reader.files, &chart);
        self.helm = Some(session);
        made
    }

    fn generated(
        &self,
        site: &Site<'_>,
        gathered: &mut Gathered,
        field: &'static str,
        index: usize,
        args: &ConfigMapArgs,
        generator: Generator,
    ) -> Result<()> {
        let read = |path: &str| self.reader.file(&site.layer, path).map(|(text, _)| text);
        let entry = [Step::Key(field), Step::Index(index)];
        let place = |path: &[Step<'_>]| site.source.place(&[&entry, path].concat());
        let inputs = Inputs { file: &site.source.file, read: &read, place: &place };
        let defaults = site.kustomization.generator_options.as_ref();
        let mut resource = generator(args, defaults, &inputs)?;
        let kind =
            if field == "configMapGenerator" { "ConfigMapGenerator" } else { "SecretGenerator" };
        if self.takes_notes() {
            metadata::note_generator([&mut resource], &site.notes().field(kind));
        }
        generate::absorb(&mut gathered.resources, resource, || place(&[]))
    }

    /// The fields that change objects, in kustomize's order; it is not the order of the file.
    fn transform(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        let Gathered { resources, config, vars: _ } = gathered;
        let kustomization = &site.kustomization;
        self.patches_strategic_merge(site, resources)?;
        self.patches(site, resources)?;
        if !kustomization.namespace.is_empty() {
            namespace::apply(
                resources,
                &Namespace {
                    name: &kustomization.namespace,
                    specs: &config.namespace,
                    unset_only: false,
                    subjects: Subjects::default(),
                },
            )
            .map_err(|error| error.within(site.field("namespace")))?;
            self.note(site, resources, "NamespaceTransformer");
        }
        if !kustomization.name_prefix.is_empty() {
            prefix::prefix(resources, &kustomization.name_prefix, &config.name_prefix)?;
            self.note(site, resources, "PrefixTransformer");
        }
        if !kustomization.name_suffix.is_empty() {
            prefix::suffix(resources, &kustomization.name_suffix, &config.name_suffix)?;
            self.note(site, resources, "SuffixTransformer");
        }
        self.labels(site, resources, config)?;
        if !kustomization.common_annotations.is_empty() {
            annotations::apply(
                resources,
                &kustomization.common_annotations,
                &config.common_annotations,
            )?;
            self.note(site, resources, "AnnotationsTransformer");
        }
        self.patches_json6902(site, resources)?;
        for (index, replicas) in kustomization.replicas.iter().enumerate() {
            replicas::apply(resources, replicas, &config.replicas, || {
                site.entry("replicas", index)
            })?;
            self.note(site, resources, "ReplicaCountTransformer");
        }
        let limits = &self.reader.limits;
        let place = || site.field("images");
        images::apply(resources, &kustomization.images, &config.images, limits, place)?;
        for _ in &kustomization.images {
            self.note(site, resources, "ImageTagTransformer");
        }
        self.replacements(site, resources)
    }

    fn patches_strategic_merge(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
    ) -> Result<()> {
        let entries = site.kustomization.patches_strategic_merge.iter().enumerate();
        let texts: Vec<_> = entries
            .map(|(index, entry)| {
                let (path, inline) = if patches::is_inline(entry) {
                    ("", entry.as_str())
                } else {
                    (entry.as_str(), "")
                };
                let entry = site.listed("patchesStrategicMerge", index);
                self.patch_text(site, entry, path, inline)
            })
            .collect::<Result<_>>()?;
        if texts.is_empty() {
            return Ok(());
        }
        self.patching(|context| patches::apply_strategic(resources, &texts, context))?;
        self.note(site, resources, "PatchStrategicMergeTransformer");
        Ok(())
    }

    /// The entries are applied together, one by one only where each leaves a note.
    fn patches(&mut self, site: &Site<'_>, resources: &mut Resources) -> Result<()> {
        let loaded = self.loaded_patches(site, "patches", &site.kustomization.patches)?;
        let together = if self.takes_notes() { 1 } else { loaded.len().max(1) };
        for loaded in loaded.chunks(together) {
            self.patching(|context| patches::apply(resources, loaded, context))?;
            self.note(site, resources, "PatchTransformer");
        }
        Ok(())
    }

    fn patches_json6902(&mut self, site: &Site<'_>, resources: &mut Resources) -> Result<()> {
        let entries = &site.kustomization.patches_json6902;
        let loaded = self.loaded_patches(site, "patchesJson6902", entries)?;
        let together = if self.takes_notes() { 1 } else { loaded.len().max(1) };
        for loaded in loaded.chunks(together) {
            self.patching(|context| patches::apply_json6902(resources, loaded, context))?;
            self.note(site, resources, "PatchJson6902Transformer");
        }
        Ok(())
    }

    /// Calls a step that patches with what it needs to know.
    fn patching(&mut self, step: impl FnOnce(&mut Context<'_>) -> Result<()>) -> Result<()> {
        let mut context = Context {
            schema: &self.schema,
            limits: &self.reader.limits,
            warnings: &mut self.warnings,
            has_merged: &mut self.has_merged,
        };
        step(&mut context)
    }

    fn loaded_patches<'p>(
        &self,
        site: &'p Site<'_>,
        field: &'p str,
        entries: &'p [Patch],
    ) -> Result<Vec<LoadedPatch<'p>>> {
        let load = |(index, patch): (usize, &'p Patch)| {
            let text =
                self.patch_text(site, site.listed(field, index), &patch.path, &patch.patch)?;
            Ok(LoadedPatch { text, patch })
        };
        entries.iter().enumerate().map(load).collect()
    }

    /// The text of a patch, which stands in a file or in the entry itself.
    fn patch_text<'p>(
        &self,
        site: &Site<'_>,
        entry: patches::Entry<'p>,
        path: &str,
        inline: &str,
    ) -> Result<PatchText<'p>> {
        let inline = inline.trim();
        let invalid = |message: &str| Err(Error::new(ErrorKind::Invalid, entry.place(), message));
        match (path, inline) {
            ("", "") => invalid("patch has neither a path nor a text"),
            ("", inline) => {
                let text = Bytes::copy_from_slice(inline.as_bytes());
                Ok(PatchText { text, file: None, entry })
            }
            (path, "") => {
                let read = self.reader.file(&site.layer, path);
                let (text, file) = read.map_err(|error| error.within(entry.place()))?;
                Ok(PatchText { text, file: Some(file), entry })
            }
            _ => invalid("patch has both a path and a text"),
        }
    }

    /// Each entry of `labels`, then `commonLabels`, which is a step even where it is empty.
    fn labels(&self, site: &Site<'_>, resources: &mut Resources, config: &Config) -> Result<()> {
        let Kustomization { labels, common_labels, .. } = &site.kustomization;
        if labels.is_empty() && common_labels.is_empty() {
            return Ok(());
        }
        for (index, entry) in labels.iter().enumerate() {
            labels::apply(resources, entry, config, || site.entry("labels", index))?;
            self.note(site, resources, "LabelTransformer");
        }
        labels::common(resources, common_labels, config)?;
        self.note(site, resources, "LabelTransformer");
        Ok(())
    }

    fn replacements(&mut self, site: &Site<'_>, resources: &mut Resources) -> Result<()> {
        let entries = &site.kustomization.replacements;
        let field = [Step::Key("replacements")];
        let place = |path: &[Step<'_>]| site.source.place(&[&field, path].concat());
        self.replacement_entries(site, resources, entries, &place)?;
        if !entries.is_empty() {
            self.note(site, resources, "ReplacementTransformer");
        }
        Ok(())
    }

    /// `place` tells where something within the list of entries stands.
    fn replacement_entries(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
        entries: &[ReplacementEntry],
        place: &dyn Fn(&[Step<'_>]) -> Place,
    ) -> Result<()> {
        for (index, entry) in entries.iter().enumerate() {
            let at = [Step::Index(index)];
            match entry {
                ReplacementEntry::Inline(replacement) => {
                    let locate = |path: &[Step<'_>]| place(&[&at, path].concat());
                    self.replace(resources, replacement, &locate)?;
                }
                ReplacementEntry::Path(path) => {
                    let referred = |error: Error| error.within(place(&at));
                    let (text, file) = self.reader.file(&site.layer, path).map_err(referred)?;
                    let source = Source { file, text };
                    self.replacements_file(&source, resources).map_err(referred)?;
                }
            }
        }
        Ok(())
    }

    fn replacements_file(&mut self, source: &Source, resources: &mut Resources) -> Result<()> {
        let locate = |path: &[Step<'_>]| source.place(path);
        for replacement in kustomization::replacements(source, &self.reader.limits)? {
            self.replace(resources, &replacement, &locate)?;
        }
        Ok(())
    }

    fn replace(
        &mut self,
        resources: &mut Resources,
        replacement: &Replacement,
        locate: &dyn Fn(&[Step<'_>]) -> Place,
    ) -> Result<()> {
        let limits = self.reader.limits;
        self.warnings.extend(replacements::apply(resources, replacement, &limits, locate)?);
        Ok(())
    }

    /// Notes in every object that a transformer went over it, where the top asks for such notes.
    fn note(&self, site: &Site<'_>, resources: &mut Resources, transformer: &str) {
        resources.as_mut_vec().retain(|one| !one.is_blank());
        if self.takes_notes() {
            metadata::note_transformer(resources.iter_mut(), &site.notes().field(transformer));
            let asked = ["originAnnotations", "transformerAnnotations"];
            if self.build_metadata.iter().any(|option| asked.contains(&option.as_str())) {
                resources.iter_mut().for_each(|one| part_with_annotations(&mut one.twins));
            }
        }
    }
}

type Generator = fn(&ConfigMapArgs, Option<&GeneratorOptions>, &Inputs<'_>) -> Result<Resource>;

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

fn append(into: &mut Resources, resources: impl IntoIterator<Item = Resource>) -> Result<()> {
    for resource in resources {
        into.append(resource).map_err(|(refused, at)| duplicate(&refused, &into.as_slice()[at]))?;
    }
    Ok(())
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
