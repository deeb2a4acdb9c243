//! A kustomization file's fields, deprecated ones beside their successors.
//!
//! Field names, nesting and defaults are those of kustomize 5.8.1, `api/types`.

mod decode;
pub mod node;
pub mod plugin;

use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;

use crate::error::{Place, Warning};
use crate::resource::{Behavior, Gvk};
use crate::value::Value;
use crate::yaml::{self, Step};

pub(crate) use decode::{EMPTY, decode_gvk};
pub use decode::{decode, decode_leniently, replacements};

/// The text that a configuration was read from, for saying where in it something stands.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file as the user would type it.
    pub file: Arc<str>,
    /// Its content.
    pub text: Bytes,
}

/// A kustomization or component.
#[derive(Clone, Debug, Default)]
pub struct Kustomization {
    /// Whether `kind` is `Component`.
    pub is_component: bool,
    /// `openapi.path`
    pub openapi_path: Option<EcoString>,
    /// `openapi.version`
    pub openapi_version: Option<EcoString>,
    /// `namePrefix`
    pub name_prefix: EcoString,
    /// `nameSuffix`
    pub name_suffix: EcoString,
    /// `namespace`
    pub namespace: EcoString,
    /// `commonLabels`, sorted by key
    pub common_labels: Vec<(EcoString, EcoString)>,
    /// `labels`
    pub labels: Vec<Labels>,
    /// `commonAnnotations`, sorted by key
    pub common_annotations: Vec<(EcoString, EcoString)>,
    /// `patchesStrategicMerge`: paths or inline text
    pub patches_strategic_merge: Vec<EcoString>,
    /// `patchesJson6902`
    pub patches_json6902: Vec<Patch>,
    /// `patches`
    pub patches: Vec<Patch>,
    /// `images`, then the deprecated `imageTags`
    pub images: Vec<Image>,
    /// `replacements`
    pub replacements: Vec<ReplacementEntry>,
    /// `replicas`
    pub replicas: Vec<Replicas>,
    /// `vars`
    pub vars: Vec<Var>,
    /// `sortOptions`
    pub sort_options: Option<SortOptions>,
    /// `resources`, then the deprecated `bases`
    pub resources: Vec<EcoString>,
    /// `components`
    pub components: Vec<EcoString>,
    /// `crds`
    pub crds: Vec<EcoString>,
    /// `configMapGenerator`
    pub config_map_generator: Vec<ConfigMapArgs>,
    /// `secretGenerator`
    pub secret_generator: Vec<ConfigMapArgs>,
    /// `helmGlobals`
    pub helm_globals: Option<HelmGlobals>,
    /// `helmCharts`, then what the deprecated `helmChartInflationGenerator` says
    pub helm_charts: Vec<HelmChart>,
    /// `generatorOptions`
    pub generator_options: Option<GeneratorOptions>,
    /// `configurations`
    pub configurations: Vec<EcoString>,
    /// `generators`: paths or inline text
    pub generators: Vec<EcoString>,
    /// `transformers`: paths or inline text
    pub transformers: Vec<EcoString>,
    /// `validators`: paths or inline text
    pub validators: Vec<EcoString>,
    /// `buildMetadata`
    pub build_metadata: Vec<EcoString>,
    /// The deprecated fields that are present, each with its successor, in kustomize's order.
    pub deprecated: Vec<(&'static str, &'static str)>,
}

/// One entry of `labels`.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// Sorted by key.
    pub pairs: Vec<(EcoString, EcoString)>,
    /// `includeSelectors`
    pub include_selectors: bool,
    /// `includeTemplates`
    pub include_templates: bool,
    /// `fields`
    pub fields: Vec<FieldSpec>,
}

/// Which field of which kinds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSpec {
    /// Blank parts match anything.
    pub gvk: Gvk,
    /// Segments between `/`; `\/` is a slash within one, `[]` after one asserts a list.
    pub path: EcoString,
    /// Whether missing mappings are made on the way.
    pub create: bool,
}

/// Which resources: regular expressions anchored at both ends, and label selectors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selector {
    /// Group, version and kind.
    pub gvk: Gvk,
    /// `name`
    pub name: EcoString,
    /// `namespace`
    pub namespace: EcoString,
    /// `labelSelector`
    pub label_selector: EcoString,
    /// `annotationSelector`
    pub annotation_selector: EcoString,
}

/// One entry of `patches` or `patchesJson6902`.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// A file.
    pub path: EcoString,
    /// Or the patch itself.
    pub patch: EcoString,
    /// What it is applied to.
    pub target: Option<Selector>,
    /// `options.allowNameChange`
    pub allow_name_change: bool,
    /// `options.allowKindChange`
    pub allow_kind_change: bool,
}

/// One entry of `images`.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// A regular expression, as it happens.
    pub name: EcoString,
    /// `newName`
    pub new_name: EcoString,
    /// `newTag`
    pub new_tag: EcoString,
    /// `tagSuffix`
    pub tag_suffix: EcoString,
    /// `digest`
    pub digest: EcoString,
}

/// One entry of `replicas`.
#[derive(Clone, Debug, Default)]
pub struct Replicas {
    /// `name`
    pub name: EcoString,
    /// `count`
    pub count: i64,
}

/// One entry of `replacements`: in a file, or here.
#[derive(Clone, Debug)]
pub enum ReplacementEntry {
    /// A file that holds one replacement or a list of them.
    Path(EcoString),
    /// The replacement itself.
    Inline(Replacement),
}

/// A value copied from one resource into fields of others.
#[derive(Clone, Debug, Default)]
pub struct Replacement {
    /// `source`
    pub source: Option<ReplacementSource>,
    /// `sourceValue`
    pub source_value: Option<EcoString>,
    /// `targets`
    pub targets: Vec<ReplacementTarget>,
}

/// Where a replacement takes its value from.
#[derive(Clone, Debug, Default)]
pub struct ReplacementSource {
    /// Exact, blank parts match anything.
    pub gvk: Gvk,
    /// `name`
    pub name: EcoString,
    /// `namespace`
    pub namespace: EcoString,
    /// `fieldPath`, `metadata.name` by default
    pub field_path: EcoString,
    /// `options`
    pub options: Option<FieldOptions>,
}

/// Where a replacement puts its value.
#[derive(Clone, Debug, Default)]
pub struct ReplacementTarget {
    /// `select`
    pub select: Option<Selector>,
    /// `reject`
    pub reject: Vec<Selector>,
    /// `fieldPaths`
    pub field_paths: Vec<EcoString>,
    /// `options`
    pub options: Option<FieldOptions>,
}

/// `options` of a replacement's source or target.
#[derive(Clone, Debug, Default)]
pub struct FieldOptions {
    /// `delimiter`
    pub delimiter: EcoString,
    /// `index`
    pub index: i64,
    /// `encoding`
    pub encoding: EcoString,
    /// `create`
    pub create: bool,
}

/// One entry of `vars`.
#[derive(Clone, Debug, Default)]
pub struct Var {
    /// `name`
    pub name: EcoString,
    /// `objref`: group, version, kind
    pub gvk: Gvk,
    /// `objref.name`
    pub object_name: EcoString,
    /// `objref.namespace`
    pub object_namespace: EcoString,
    /// `fieldref.fieldPath`, `metadata.name` by default
    pub field_path: EcoString,
}

/// `sortOptions`
#[derive(Clone, Debug, Default)]
pub struct SortOptions {
    /// `order`: empty, `legacy` or `fifo`
    pub order: EcoString,
    /// `legacySortOptions`: orderFirst, orderLast
    pub legacy: Option<(Vec<EcoString>, Vec<EcoString>)>,
}

/// One entry of `configMapGenerator` or `secretGenerator`.
#[derive(Clone, Debug, Default)]
pub struct ConfigMapArgs {
    /// `name`
    pub name: EcoString,
    /// `namespace`
    pub namespace: EcoString,
    /// `behavior`
    pub behavior: Behavior,
    /// What `behavior` says where that is none: then it means nothing.
    pub odd_behavior: EcoString,
    /// `literals`
    pub literals: Vec<EcoString>,
    /// `files`
    pub files: Vec<EcoString>,
    /// `envs`, then the deprecated `env`
    pub envs: Vec<EcoString>,
    /// `type`, secrets only
    pub secret_type: EcoString,
    /// `options`
    pub options: Option<GeneratorOptions>,
}

/// `generatorOptions`, and `options` of one generator.
#[derive(Clone, Debug, Default)]
pub struct GeneratorOptions {
    /// Sorted by key.
    pub labels: Vec<(EcoString, EcoString)>,
    /// Sorted by key.
    pub annotations: Vec<(EcoString, EcoString)>,
    /// `disableNameSuffixHash`
    pub disable_name_suffix_hash: bool,
    /// `immutable`
    pub immutable: bool,
}

/// `helmGlobals`
#[derive(Clone, Debug, Default)]
pub struct HelmGlobals {
    /// `chartHome`
    pub chart_home: EcoString,
    /// `configHome`
    pub config_home: EcoString,
}

/// One entry of `helmCharts`.
#[derive(Clone, Debug, Default)]
pub struct HelmChart {
    /// `name`
    pub name: EcoString,
    /// `version`
    pub version: EcoString,
    /// `repo`
    pub repo: EcoString,
    /// `releaseName`
    pub release_name: EcoString,
    /// `namespace`
    pub namespace: EcoString,
    /// `additionalValuesFiles`
    pub additional_values_files: Vec<EcoString>,
    /// `valuesFile`
    pub values_file: EcoString,
    /// `valuesInline`
    pub values_inline: Option<Value>,
    /// `valuesMerge`
    pub values_merge: EcoString,
    /// `includeCRDs`
    pub include_crds: bool,
    /// `skipHooks`
    pub skip_hooks: bool,
    /// `apiVersions`
    pub api_versions: Vec<EcoString>,
    /// `kubeVersion`
    pub kube_version: EcoString,
    /// `nameTemplate`
    pub name_template: EcoString,
    /// `skipTests`
    pub skip_tests: bool,
    /// `debug`
    pub debug: bool,
    /// `devel`
    pub devel: bool,
}

impl Kustomization {
    /// A warning for each deprecated field; `source` is the file that was decoded.
    pub fn deprecations(&self, source: &Source) -> impl Iterator<Item = Warning> {
        self.deprecated.iter().map(|(field, successor)| Warning {
            place: source.place(&[Step::Key(field)]),
            message: format!("\"{field}\" is deprecated, \"{successor}\" has taken its place"),
        })
    }
}

impl GeneratorOptions {
    /// Options that say nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            labels: Vec::new(),
            annotations: Vec::new(),
            disable_name_suffix_hash: false,
            immutable: false,
        }
    }
}

impl Source {
    /// The place of the value at the end of `path`, or the file alone where it cannot be found.
    ///
    /// Reads the text again: only errors ask.
    #[must_use]
    pub fn place(&self, path: &[Step<'_>]) -> Place {
        let at = yaml::locate(&self.text, 0, path);
        Place { file: self.file.clone(), at }
    }
}
