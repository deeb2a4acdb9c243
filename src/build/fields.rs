//! The fields of a kustomization that make and change objects, in kustomize's order.

use bytes::Bytes;

use super::{Build, Gathered, Site};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::generate::{self, Inputs, helm};
use crate::kustomization::{
    self, ConfigMapArgs, GeneratorOptions, HelmChart, HelmGlobals, Kustomization, Patch,
    Replacement, ReplacementEntry, Source,
};
use crate::nearest::nearest;
use crate::resource::Resource;
use crate::resources::Resources;
use crate::transform::config::Config;
use crate::transform::metadata;
use crate::transform::namespace::{Namespace, Subjects};
use crate::transform::patches::{self, Context, LoadedPatch, PatchText};
use crate::transform::{annotations, images, labels, namespace, prefix, replacements, replicas};
use crate::twins::part_with_annotations;
use crate::yaml::Step;

/// What makes an object of an entry of a generator.
pub(super) type Generator =
    fn(&ConfigMapArgs, Option<&GeneratorOptions>, &Inputs<'_>) -> Result<Resource>;

impl Build<'_> {
    /// `configMapGenerator`, `secretGenerator`, `helmCharts`, then `generators`.
    pub(super) fn generate(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
        let kustomization = &site.kustomization;
        let maps = kustomization.config_map_generator.iter().enumerate();
        for (index, args) in maps {
            self.warn_of_behavior(site, "configMapGenerator", index, args);
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
            self.warn_of_behavior(site, "secretGenerator", index, args);
            self.generated(site, gathered, "secretGenerator", index, args, generate::secret)?;
        }
        self.charts(site, gathered)?;
        self.plugin_generators(site, gathered)
    }

    /// Kustomize creates an object then, whatever was meant.
    fn warn_of_behavior(
        &mut self,
        site: &Site<'_>,
        field: &str,
        index: usize,
        args: &ConfigMapArgs,
    ) {
        let odd = &args.odd_behavior;
        if odd.is_empty() {
            return;
        }
        let path = [Step::Key(field), Step::Index(index), Step::Key("behavior")];
        let known = ["create", "merge", "replace"];
        let meant = match nearest(odd, known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are {}", known.join(", ")),
        };
        let message = format!("behavior \"{odd}\" is none, so the object is created; {meant}");
        self.warn(site.source.place(&path), message);
    }

    pub(super) fn charts(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
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
    pub(super) fn chart(
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

    pub(super) fn generated(
        &self,
        site: &Site<'_>,
        gathered: &mut Gathered,
        field: &'static str,
        index: usize,
        args: &ConfigMapArgs,
        generator: Generator,
    ) -> Result<()> {
        let read = |path: &str| self.reader.file(&site.layer, path).map(|(text, _)| text);
        let mut resource = made(site, field, index, args, generator, &read)?;
        let kind =
            if field == "configMapGenerator" { "ConfigMapGenerator" } else { "SecretGenerator" };
        if self.takes_notes() {
            metadata::note_generator([&mut resource], &site.notes().field(kind));
        }
        generate::absorb(&mut gathered.resources, resource, || site.entry(field, index))
    }

    /// The fields that change objects, in kustomize's order; it is not the order of the file.
    pub(super) fn transform(&mut self, site: &Site<'_>, gathered: &mut Gathered) -> Result<()> {
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

    pub(super) fn patches_strategic_merge(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
    ) -> Result<()> {
        let entries = site.kustomization.patches_strategic_merge.iter().enumerate();
        let texts: Vec<_> = entries
            .map(|(index, entry)| {
                let (path, inline) = patches::path_and_text(entry);
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
    pub(super) fn patches(&mut self, site: &Site<'_>, resources: &mut Resources) -> Result<()> {
        let loaded = self.loaded_patches(site, "patches", &site.kustomization.patches)?;
        let together = if self.takes_notes() { 1 } else { loaded.len().max(1) };
        for loaded in loaded.chunks(together) {
            self.patching(|context| patches::apply(resources, loaded, context))?;
            self.note(site, resources, "PatchTransformer");
        }
        Ok(())
    }

    pub(super) fn patches_json6902(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
    ) -> Result<()> {
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
    pub(super) fn patching(
        &mut self,
        step: impl FnOnce(&mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut context = Context {
            schema: &self.schema,
            limits: &self.reader.limits,
            warnings: &mut self.warnings,
            has_merged: &mut self.has_merged,
        };
        step(&mut context)
    }

    pub(super) fn loaded_patches<'p>(
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
    pub(super) fn patch_text<'p>(
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
    pub(super) fn labels(
        &self,
        site: &Site<'_>,
        resources: &mut Resources,
        config: &Config,
    ) -> Result<()> {
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

    pub(super) fn replacements(
        &mut self,
        site: &Site<'_>,
        resources: &mut Resources,
    ) -> Result<()> {
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
    pub(super) fn replacement_entries(
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
                    let source = self.source(site, path).map_err(referred)?;
                    self.replacements_file(&source, resources).map_err(referred)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn replacements_file(
        &mut self,
        source: &Source,
        resources: &mut Resources,
    ) -> Result<()> {
        let locate = |path: &[Step<'_>]| source.place(path);
        for replacement in kustomization::replacements(source, &self.reader.limits)? {
            self.replace(resources, &replacement, &locate)?;
        }
        Ok(())
    }

    pub(super) fn replace(
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
    pub(super) fn note(&self, site: &Site<'_>, resources: &mut Resources, transformer: &str) {
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

/// What an entry of a generator makes of the files that `read` gives.
pub(super) fn made(
    site: &Site<'_>,
    field: &'static str,
    index: usize,
    args: &ConfigMapArgs,
    generator: Generator,
    read: &dyn Fn(&str) -> Result<Bytes>,
) -> Result<Resource> {
    let entry = [Step::Key(field), Step::Index(index)];
    let place = |path: &[Step<'_>]| site.source.place(&[&entry, path].concat());
    let inputs = Inputs { file: &site.source.file, read, place: &place };
    generator(args, site.kustomization.generator_options.as_ref(), &inputs)
}
