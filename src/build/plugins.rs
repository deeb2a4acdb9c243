//! `generators`, `transformers` and `validators`: steps that stand in files of their own, or inline.
//!
//! Source: kustomize `api/internal/target/kusttarget.go` (`configureExternalGenerators` and its
//! sisters), `api/internal/plugins/loader/loader.go`.

use bytes::Bytes;
use ecow::EcoString;

use super::{Build, Gathered, Site};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::functions::{Function, Surroundings};
use crate::generate::{self, Inputs, hash};
use crate::kustomization::Source;
use crate::kustomization::plugin::{self, Affixes, NamespacePlugin, Plugin, Role, ValueAdd};
use crate::manifest;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::transform::metadata::{self, By};
use crate::transform::namespace::Namespace;
use crate::transform::patches::{self, Entry, LoadedPatch, PatchText};
use crate::transform::{annotations, images, labels, namespace, prefix, replicas, value_add};
use crate::value::Value;
use crate::yaml::{self, Step};

/// The objects that configure the steps of one field, in their order.
#[derive(Default)]
struct Configurations {
    resources: Resources,
    /// Of each object, the entry that led to it, and the text that holds it where it is a file.
    origins: Vec<(usize, Option<Bytes>)>,
}

/// One step, ready to run.
struct Configured {
    work: Work,
    place: Place,
    note: EcoString,
}

/// What a step does.
enum Work {
    Plugin(Plugin),
    Function(Function),
}

impl Build<'_> {
    /// The entries of `generators`.
    pub(super) fn plugin_generators(
        &mut self,
        site: &Site<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        for step in self.plugins(site, "generators", &site.kustomization.generators)? {
            let mut made = self.generate_by_plugin(site, &step)?;
            if self.takes_notes() {
                metadata::note_generator(&mut made, &step.note);
            }
            for resource in made {
                generate::absorb(&mut gathered.resources, resource, || step.place.clone())?;
            }
        }
        Ok(())
    }

    /// The entries of `transformers`.
    pub(super) fn plugin_transformers(
        &mut self,
        site: &Site<'_>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        for step in self.plugins(site, "transformers", &site.kustomization.transformers)? {
            self.run_plugin(site, &mut gathered.resources, &step)?;
            gathered.resources.as_mut_vec().retain(|one| !one.is_blank());
            if self.takes_notes() {
                metadata::note_transformer(gathered.resources.iter_mut(), &step.note);
            }
        }
        Ok(())
    }

    /// The entries of `validators`: transformers that may change nothing but a label of theirs.
    pub(super) fn validate(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        for step in self.plugins(site, "validators", &site.kustomization.validators)? {
            let before = gathered.resources.clone();
            self.run_plugin(site, &mut gathered.resources, &step)?;
            if let Some(changed) = first_change(&before, &gathered.resources) {
                let message = format!("validator changes {changed}");
                let error = Error::new(ErrorKind::Invalid, step.place, message);
                return Err(error.hint("list it under \"transformers\""));
            }
        }
        Ok(())
    }

    fn plugins(
        &mut self,
        site: &Site<'_>,
        field: &'static str,
        entries: &[EcoString],
    ) -> Result<Vec<Configured>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let role = if field == "generators" { Role::Generator } else { Role::Transformer };
        let configurations = self.configurations(site, field, entries)?;
        let both = configurations.resources.iter().zip(&configurations.origins);
        both.map(|(resource, (entry, text))| {
            let place = |path: &[Step<'_>]| match text {
                Some(text) => {
                    let file = resource.origin.file.clone();
                    Place { file, at: yaml::locate(text, resource.origin.document, path) }
                }
                None => site.entry(field, *entry),
            };
            let at = || site.entry(field, *entry);
            let work = self.work(site, resource, role, &place).map_err(|error| match text {
                Some(_) => error.within(at()),
                None => error,
            })?;
            Ok(Configured { work, place: place(&[]), note: self.plugin_note(site, resource) })
        })
        .collect()
    }

    fn work(
        &self,
        site: &Site<'_>,
        configuration: &Resource,
        role: Role,
        place: &dyn Fn(&[Step<'_>]) -> Place,
    ) -> Result<Work> {
        if plugin::is_builtin(&configuration.value) {
            return plugin::decode(&configuration.value, role, place).map(Work::Plugin);
        }
        let Some(functions) = &self.tools.functions else {
            let message =
                format!("{} is a function, and those are switched off", configuration.kind());
            let at = place(&[Step::Key("apiVersion")]);
            return Err(Error::new(ErrorKind::Forbidden, at, message).hint(
                "built-in plugins have \"apiVersion: builtin\"; \
                 for others use --enable-alpha-plugins",
            ));
        };
        let mut function = Function::new(configuration, functions, &self.reader.limits, place)?;
        if let Some(path) = function.arguments_file() {
            let (text, _) = self.reader.file(&site.layer, path)?;
            function.add_arguments(&String::from_utf8_lossy(&text));
        }
        Ok(Work::Function(function))
    }

    /// Reads the entries; kustomize takes all inline ones before the files.
    fn configurations(
        &mut self,
        site: &Site<'_>,
        field: &'static str,
        entries: &[EcoString],
    ) -> Result<Configurations> {
        let mut found = Configurations::default();
        let mut paths = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match self.inline(site, &site.entry(field, index), entry) {
                Ok(resources) => found.add(resources, index, None)?,
                // No path has more than one line.
                Err(error) if entry.contains('\n') => return Err(error),
                Err(_) => paths.push((index, entry)),
            }
        }
        for (index, entry) in paths {
            let read = self.configuration_file(site, entry, index, &mut found);
            read.map_err(|error| error.within(site.entry(field, index)))?;
        }
        Ok(found)
    }

    fn inline(&self, site: &Site<'_>, place: &Place, text: &str) -> Result<Vec<Resource>> {
        let file = &site.source.file;
        let documents = yaml::read(text.as_bytes(), file, &self.reader.limits)
            .map_err(|error| error.at(place.clone()))?;
        let mut resources =
            manifest::resources(&documents, text.as_bytes(), file, &|_| place.clone())?;
        if self.takes_notes() {
            metadata::note_generator(&mut resources, &site.notes().file(site.file_name));
        }
        Ok(resources)
    }

    fn configuration_file(
        &mut self,
        site: &Site<'_>,
        entry: &str,
        index: usize,
        found: &mut Configurations,
    ) -> Result<()> {
        if self.is_directory(site, entry) {
            let mut gathered = Gathered::default();
            self.base(site, entry, &mut gathered)?;
            return found.add(gathered.resources, index, None);
        }
        let (text, file) = self.reader.file(&site.layer, entry)?;
        let mut manifest = self.manifest((text.clone(), file))?;
        self.note_file(site, entry, &mut manifest);
        found.add(manifest.resources, index, Some(&text))
    }

    /// What the objects that a step makes or changes are annotated with.
    fn plugin_note(&self, site: &Site<'_>, configuration: &Resource) -> EcoString {
        if !self.takes_notes() {
            return EcoString::new();
        }
        let by = By {
            api_version: configuration.api_version(),
            kind: configuration.kind(),
            name: configuration.name(),
            namespace: configuration.namespace(),
        };
        match &configuration.origin_annotation {
            Some(origin) => metadata::configured_by(origin, by),
            None => site.notes().configured(site.file_name, by),
        }
    }

    fn generate_by_plugin(&mut self, site: &Site<'_>, step: &Configured) -> Result<Vec<Resource>> {
        let plugin = match &step.work {
            Work::Function(function) => {
                return self
                    .with_function(site, function, step, |around| function.generate(around));
            }
            Work::Plugin(Plugin::Helm(globals, chart)) => {
                return self.chart(site, globals, chart, &step.place);
            }
            Work::Plugin(plugin) => plugin,
        };
        let read = |path: &str| self.reader.file(&site.layer, path).map(|(text, _)| text);
        let place = |_: &[Step<'_>]| step.place.clone();
        let inputs = Inputs { file: &step.place.file, read: &read, place: &place };
        match plugin {
            Plugin::ConfigMap(args) => Ok(vec![generate::config_map(args, None, &inputs)?]),
            Plugin::Secret(args) => Ok(vec![generate::secret(args, None, &inputs)?]),
            Plugin::IamPolicy(policy) => Ok(vec![generate::iam_policy(policy, &step.place)?]),
            _ => Ok(Vec::new()),
        }
    }

    fn run_plugin(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
        step: &Configured,
    ) -> Result<()> {
        let plugin = match &step.work {
            Work::Function(function) => {
                return self.with_function(site, function, step, |around| {
                    function.transform(resources, around)
                });
            }
            Work::Plugin(plugin) => plugin,
        };
        match plugin {
            Plugin::Annotations(pairs, specs) => annotations::apply(resources, pairs, specs),
            Plugin::Hash => hash::append(resources),
            Plugin::Image(image, specs) => {
                let (limits, place) = (&self.reader.limits, || step.place.clone());
                images::apply(resources, std::slice::from_ref(image), specs, limits, place)
            }
            Plugin::Labels(pairs, specs) => labels::set(resources, pairs, specs),
            Plugin::Namespace(plugin) => set_namespace(resources, plugin),
            Plugin::Affixes(affixes) => put_affixes(resources, affixes),
            Plugin::Replacements(entries) => {
                self.replacement_entries(site, resources, entries, &|_| step.place.clone())
            }
            Plugin::Replicas(replicas, specs) => {
                replicas::apply(resources, replicas, specs, || step.place.clone())
            }
            Plugin::ValueAdd(plugin) => self.add_value(site, resources, plugin),
            Plugin::Patch(patch) => {
                let text = self.patch_text(
                    site,
                    Entry::At(step.place.clone()),
                    &patch.path,
                    &patch.patch,
                )?;
                let loaded = [LoadedPatch { text, patch }];
                self.patching(|context| patches::apply(resources, &loaded, context))
            }
            Plugin::JsonPatch(patch) => {
                let text = self.patch_text(
                    site,
                    Entry::At(step.place.clone()),
                    &patch.path,
                    &patch.patch,
                )?;
                let loaded = [LoadedPatch { text, patch }];
                self.patching(|context| patches::apply_json6902(resources, &loaded, context))
            }
            Plugin::StrategicMerge(paths, inline) => {
                let texts = self.strategic_texts(site, step, paths, inline)?;
                self.patching(|context| patches::apply_strategic(resources, &texts, context))
            }
            Plugin::ConfigMap(_) | Plugin::Secret(_) | Plugin::Helm(..) | Plugin::IamPolicy(_) => {
                Ok(())
            }
        }
    }

    /// Runs a function where the kustomization stands.
    fn with_function<T>(
        &mut self,
        site: &Site<'_>,
        function: &Function,
        step: &Configured,
        run: impl FnOnce(&mut Surroundings<'_>) -> Result<T>,
    ) -> Result<T> {
        if function.is_ignored() {
            self.warn(
                step.place.clone(),
                "function is not run: it names no container, \
                 and programs are run with --enable-exec only",
            );
        }
        let allowed = self.tools.functions.clone().unwrap_or_default();
        run(&mut Surroundings {
            functions: &allowed,
            limits: &self.reader.limits,
            directory: &site.layer.directory,
            place: &step.place,
            warnings: &mut self.warnings,
        })
    }

    fn strategic_texts(
        &self,
        site: &Site<'_>,
        step: &Configured,
        paths: &[EcoString],
        inline: &EcoString,
    ) -> Result<Vec<PatchText<'static>>> {
        let of = |entry: &EcoString| {
            let (path, text) = patches::path_and_text(entry);
            self.patch_text(site, Entry::At(step.place.clone()), path, text)
        };
        let mut texts: Vec<_> = paths.iter().map(of).collect::<Result<_>>()?;
        if !inline.is_empty() {
            let text = Bytes::copy_from_slice(inline.as_bytes());
            texts.push(PatchText { text, file: None, entry: Entry::At(step.place.clone()) });
        }
        Ok(texts)
    }

    fn add_value(
        &self,
        site: &Site<'_>,
        resources: &mut Resources,
        plugin: &ValueAdd,
    ) -> Result<()> {
        let mut targets = plugin.targets.clone();
        if !plugin.targets_file.is_empty() {
            let (text, file) = self.reader.file(&site.layer, &plugin.targets_file)?;
            let source = Source { file, text };
            targets.extend(plugin::value_targets(&source, &self.reader.limits)?);
        }
        let directory = site.layer.directory.file_name().unwrap_or_default().to_string_lossy();
        let text = if plugin.value.is_empty() { &*directory } else { &plugin.value };
        value_add::apply(resources, text, &targets)
    }
}

impl Configurations {
    fn add(
        &mut self,
        resources: impl IntoIterator<Item = Resource>,
        entry: usize,
        text: Option<&Bytes>,
    ) -> Result<()> {
        super::append(&mut self.resources, resources)?;
        self.origins.resize(self.resources.len(), (entry, text.cloned()));
        Ok(())
    }
}

fn set_namespace(resources: &mut Resources, plugin: &NamespacePlugin) -> Result<()> {
    let NamespacePlugin { namespace, specs, unset_only, subjects } = plugin;
    let (unset_only, subjects) = (*unset_only, *subjects);
    namespace::apply(resources, &Namespace { name: namespace, specs, unset_only, subjects })
}

fn put_affixes(resources: &mut Resources, affixes: &Affixes) -> Result<()> {
    if let Some(text) = &affixes.prefix {
        prefix::prefix(resources, text, &affixes.specs)?;
    }
    if let Some(text) = &affixes.suffix {
        prefix::suffix(resources, text, &affixes.specs)?;
    }
    Ok(())
}

/// The label that a validator may leave. Source: kustomize `api/konfig/general.go`.
const VALIDATED_BY: &str = "validated-by";

/// The first object that is there in one set and not in the other, but for the label of validators.
fn first_change(before: &Resources, after: &Resources) -> Option<String> {
    let named = |one: &Resource| format!("{} \"{}\"", one.kind(), one.name());
    let differ = |one: &Resource, two: &Resource| {
        one.value != unlabelled(two) || one.former.len() != two.former.len()
    };
    let changed = before.iter().zip(after).find(|(one, two)| differ(one, two));
    let longer = if before.len() > after.len() { before } else { after };
    let uneven = || longer.as_slice().get(before.len().min(after.len()));
    changed.map(|(one, _)| one).or_else(uneven).map(named)
}

fn unlabelled(resource: &Resource) -> Value {
    let mut value = resource.value.clone();
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_map_mut) else {
        return value;
    };
    if let Some(Value::Map(labels)) = metadata.get_mut("labels")
        && labels.remove(VALIDATED_BY).is_some()
        && labels.is_empty()
    {
        metadata.remove("labels");
    }
    value
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::build::{Options, build, print};
    use crate::error::{ErrorKind, Result};
    use crate::files::Memory;
    use crate::limits::Limits;
    use crate::store::Store;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    const PREFIX: &str = "apiVersion: builtin\nkind: PrefixTransformer\n\
         metadata: {name: p}\nprefix: p-\nfieldSpecs: [{path: metadata/name}]\n";

    fn rendered(files: &[(&str, &str)]) -> Result<String> {
        let mut memory = Memory::default();
        memory.insert("map.yaml", MAP);
        for (path, text) in files {
            memory.insert(path, (*text).to_owned());
        }
        let options = Options::default();
        let built = build(&memory, &Store::default(), &options, Path::new("/"));
        print(&built.output?, &Limits::PERSON)
    }

    fn inline(field: &str, plugin: &str) -> String {
        let block = plugin.replace('\n', "\n  ");
        format!("resources: [map.yaml]\n{field}:\n- |-\n  {block}\n")
    }

    #[test]
    fn a_transformer_may_stand_in_a_file_a_directory_or_here() {
        let here = inline("transformers", PREFIX);
        let file = "resources: [map.yaml]\ntransformers: [prefix.yaml]\n";
        let directory = "resources: [map.yaml]\ntransformers: [base]\n";
        let others = [
            ("prefix.yaml", PREFIX),
            ("base/p.yaml", PREFIX),
            ("base/kustomization.yaml", "resources: [p.yaml]\n"),
        ];
        for kustomization in [&here, file, directory] {
            let files = [&[("kustomization.yaml", kustomization)], &others[..]].concat();
            let output = rendered(&files).expect("valid");
            assert!(output.ends_with("name: p-a\n"), "{output}");
        }
    }

    #[test]
    fn a_generator_has_a_hash_and_no_defaults() {
        let generator = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\n\
             literals: [a=b]\n";
        let kustomization =
            format!("generatorOptions: {{labels: {{a: b}}}}\n{}", inline("generators", generator));
        let output = rendered(&[("kustomization.yaml", &kustomization)]).expect("valid");
        assert!(output.contains("name: g-4h2mbtbbt6\n"), "{output}");
        assert!(!output.contains("labels"), "{output}");
    }

    #[test]
    fn a_validator_may_only_leave_its_label() {
        let labels = |label: &str| {
            inline(
                "validators",
                &format!(
                    "apiVersion: builtin\nkind: LabelTransformer\nmetadata: {{name: l}}\n\
                     labels: {{{label}: x}}\nfieldSpecs: [{{path: metadata/labels, create: true}}]"
                ),
            )
        };
        assert!(rendered(&[("kustomization.yaml", &labels("validated-by"))]).is_ok());
        let error = rendered(&[("kustomization.yaml", &labels("a"))]).expect_err("changed");
        assert_eq!(error.message(), "validator changes ConfigMap \"a\"");
    }

    #[test]
    fn a_plugin_of_ones_own_is_switched_off() {
        let own = "apiVersion: example.com/v1\nkind: Foo\nmetadata: {name: f}\n";
        let kustomization = inline("transformers", own);
        let error = rendered(&[("kustomization.yaml", &kustomization)]).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    }

    #[test]
    fn broken_inline_text_is_not_taken_for_a_path() {
        let kustomization = "transformers:\n- |-\n  a: b\n  c: [\n";
        let error = rendered(&[("kustomization.yaml", kustomization)]).expect_err("refused");
        assert!(!error.message().contains("no such file"), "{error}");
    }
}
