//! Reading a kustomization file: which field is called what, and what older files said instead.
//!
//! Accepts and refuses what kustomize does. Source: kustomize `api/types` (names and nesting),
//! `api/types/kustomization.go` (`FixKustomization`, `CheckEmpty`, `EnforceFields`).

use ecow::EcoString;

use super::node::{Decode, Node, Rules, decode_as, decode_into};
use super::{
    ConfigMapArgs, FieldOptions, FieldSpec, GeneratorOptions, HelmChart, HelmGlobals, Image,
    Kustomization, Labels, Patch, Replacement, ReplacementEntry, ReplacementSource,
    ReplacementTarget, Replicas, Selector, SortOptions, Source, Var,
};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::resource::{Behavior, Gvk};
use crate::value::{Scalar, Style, Value};
use crate::yaml::scalar::{self, Meaning};
use crate::yaml::{self, Step};

/// Reads a kustomization file, deprecated fields folded into their successors.
///
/// # Errors
/// Where it is no YAML, is empty, has a field that does not exist or of the wrong type, or is of
/// another kind or version.
pub fn decode(source: &Source, limits: &Limits) -> Result<Kustomization> {
    let value = yaml::read_first(&source.text, &source.file, limits)?;
    let mut file = File::default();
    let place = |path: &[Step<'_>]| source.place(path);
    decode_into(&value, Rules::KUSTOMIZATION, &place, |node| file.decode(node))
        .map_err(|error| file.misplaced(source).unwrap_or(error))?;
    file.check_type(source)?;
    file.check_not_empty(source)?;
    Ok(file.migrated())
}

/// Reads a kustomization file as Flux does: what nobody knows is left out, a number is text where text is due, and
/// nothing at all is fine too.
///
/// Source: fluxcd/pkg `kustomize/kustomize_generator.go`, which reads with `yaml.Unmarshal` and writes the file back.
///
/// # Errors
/// Where it is no YAML, has a field of the wrong type, or is of another kind or version.
pub fn decode_leniently(source: &Source, limits: &Limits) -> Result<Kustomization> {
    let value = yaml::read_first(&source.text, &source.file, limits)?;
    let mut file = File::default();
    let place = |path: &[Step<'_>]| source.place(path);
    let rules =
        Rules { refuses_unknown: false, takes_numbers_as_text: true, ..Rules::KUSTOMIZATION };
    if !value.is_null() {
        decode_into(&value, rules, &place, |node| file.decode(node))?;
    }
    file.check_type(source)?;
    Ok(file.migrated())
}

/// Reads a file that an entry of `replacements` names: one replacement or a list of them.
///
/// # Errors
/// Where it is neither, or holds a number that has no JSON.
pub fn replacements(source: &Source, limits: &Limits) -> Result<Vec<Replacement>> {
    let value = yaml::read_first(&source.text, &source.file, limits)?;
    let place = |path: &[Step<'_>]| source.place(path);
    if has_infinity(&value) {
        let message = "infinities and NaN have no JSON";
        return Err(Error::new(ErrorKind::Invalid, place(&[]), message));
    }
    match value {
        Value::List(_) => decode_as(&value, Rules::FILE, &place),
        Value::Map(_) => Ok(vec![decode_as(&value, Rules::FILE, &place)?]),
        Value::Null | Value::Scalar(_) => {
            let message = "neither a replacement nor a list of them";
            Err(Error::new(ErrorKind::Invalid, place(&[]), message))
        }
    }
}

/// Whether there is a number that JSON cannot say: what is read without a shape goes through it.
fn has_infinity(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Scalar(Scalar { text, style: Style::Plain }) => {
            matches!(scalar::meaning_v2(text), Meaning::Float(float) if !float.is_finite())
        }
        Value::Scalar(_) => false,
        Value::List(list) => list.iter().any(has_infinity),
        Value::Map(map) => map.iter().any(|(_, value)| has_infinity(value)),
    }
}

/// A kustomization file as it is written, deprecated fields beside their successors.
#[derive(Default)]
struct File {
    kind: EcoString,
    api_version: EcoString,
    /// The fields that are there and not null.
    present: Vec<&'static str>,
    image_tags: Vec<Image>,
    bases: Vec<EcoString>,
    inflations: Vec<Inflation>,
    /// Everything else.
    fields: Kustomization,
}

const API: &str = "kustomize.config.k8s.io/";

/// What is said of a file that says nothing but its type.
pub(crate) const EMPTY: &str = "kustomization file is empty";

/// Deprecated fields with their successors, in the order in which kustomize warns of them.
const DEPRECATED: [(&str, &str); 6] = [
    ("bases", "resources"),
    ("commonLabels", "labels"),
    ("imageTags", "images"),
    ("patchesJson6902", "patches"),
    ("patchesStrategicMerge", "patches"),
    ("vars", "replacements"),
];

impl File {
    fn check_type(&self, source: &Source) -> Result<()> {
        let refuse = |field: &str, found: &str, wanted: &str| {
            let place = source.place(&[Step::Key(field)]);
            let message = format!("{field} of a kustomization file is not \"{found}\"");
            let error = Error::new(ErrorKind::Invalid, place, message);
            Err(error.hint(format!("write \"{field}: {wanted}\", or leave it out")))
        };
        let version = match self.kind.as_str() {
            "" | "Kustomization" => "v1beta1",
            "Component" => "v1alpha1",
            other => return refuse("kind", other, "Kustomization"),
        };
        if self.api_version.is_empty() || self.api_version.strip_prefix(API) == Some(version) {
            return Ok(());
        }
        refuse("apiVersion", &self.api_version, &format!("{API}{version}"))
    }

    /// What is wrong with a file that is another object than a kustomization.
    fn misplaced(&self, source: &Source) -> Option<Error> {
        let is_ours = matches!(self.kind.as_str(), "" | "Kustomization" | "Component");
        if is_ours || self.api_version.starts_with(API) {
            return None;
        }
        let place = source.place(&[Step::Key("kind")]);
        let message = format!("a {} is no kustomization", self.kind);
        let error = Error::new(ErrorKind::Invalid, place, message);
        Some(error.hint("give the file another name, and list it under \"resources\""))
    }

    /// A file that says nothing but its type is refused; an empty list says something.
    fn check_not_empty(&self, source: &Source) -> Result<()> {
        let says = |field: &str| match field {
            // These are moved first, so that an empty one leaves no trace.
            "bases" => !self.bases.is_empty(),
            "imageTags" => !self.image_tags.is_empty(),
            "helmChartInflationGenerator" => !self.inflations.is_empty(),
            "namePrefix" => !self.fields.name_prefix.is_empty(),
            "nameSuffix" => !self.fields.name_suffix.is_empty(),
            "namespace" => !self.fields.namespace.is_empty(),
            "apiVersion" | "kind" => false,
            _ => true,
        };
        if self.present.iter().any(|field| says(field)) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Invalid, source.place(&[]), EMPTY);
        Err(error.hint("add \"resources:\" with what it renders"))
    }

    fn migrated(self) -> Kustomization {
        let mut fields = self.fields;
        fields.is_component = self.kind == "Component";
        let is_present = |field: &&str| self.present.contains(field);
        let deprecated = DEPRECATED.iter().filter(|(field, _)| is_present(field));
        fields.deprecated = deprecated.copied().collect();
        fields.resources.extend(self.bases);
        fields.images.extend(self.image_tags);
        let globals = Inflation::globals(&self.inflations);
        if fields.helm_globals.is_none() {
            fields.helm_globals = globals;
        }
        fields.helm_charts.extend(self.inflations.into_iter().map(Inflation::into_chart));
        fields
    }
}

/// Declares which field of a mapping goes where.
macro_rules! record {
    ($type:ty { $($name:literal: $($field:ident).+),+ $(,)? }) => {
        impl Decode for $type {
            fn decode(&mut self, node: &Node<'_>) {
                node.record(&[$($name),+], |name, node| match name {
                    $($name => self.$($field).+.decode(node),)+
                    _ => {}
                });
            }
        }
    };
}

impl Decode for File {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&FIELDS, |name, node| {
            self.present.retain(|present| *present != name);
            if !node.is_null() {
                self.present.push(name);
            }
            self.decode_field(name, node);
        });
    }
}

const FIELDS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "openapi",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "patches",
    "images",
    "imageTags",
    "replacements",
    "replicas",
    "vars",
    "sortOptions",
    "resources",
    "components",
    "crds",
    "bases",
    "configMapGenerator",
    "secretGenerator",
    "helmGlobals",
    "helmCharts",
    "helmChartInflationGenerator",
    "generatorOptions",
    "configurations",
    "generators",
    "transformers",
    "validators",
    "buildMetadata",
];

impl File {
    fn decode_field(&mut self, name: &str, node: &Node<'_>) {
        let fields = &mut self.fields;
        match name {
            "apiVersion" => self.api_version.decode(node),
            "kind" => self.kind.decode(node),
            "metadata" => Metadata::default().decode(node),
            "openapi" => decode_openapi(fields, node),
            "namePrefix" => fields.name_prefix.decode(node),
            "nameSuffix" => fields.name_suffix.decode(node),
            "namespace" => fields.namespace.decode(node),
            "commonLabels" => fields.common_labels.decode(node),
            "labels" => fields.labels.decode(node),
            "commonAnnotations" => fields.common_annotations.decode(node),
            "patchesStrategicMerge" => fields.patches_strategic_merge.decode(node),
            "patchesJson6902" => fields.patches_json6902.decode(node),
            "patches" => fields.patches.decode(node),
            "images" => fields.images.decode(node),
            "imageTags" => self.image_tags.decode(node),
            "replacements" => fields.replacements.decode(node),
            "replicas" => fields.replicas.decode(node),
            "vars" => fields.vars.decode(node),
            "sortOptions" => fields.sort_options.decode(node),
            "resources" => fields.resources.decode(node),
            "components" => fields.components.decode(node),
            "crds" => fields.crds.decode(node),
            "bases" => self.bases.decode(node),
            "configMapGenerator" => decode_config_maps(&mut fields.config_map_generator, node),
            "secretGenerator" => decode_secrets(&mut fields.secret_generator, node),
            "helmGlobals" => fields.helm_globals.decode(node),
            "helmCharts" => fields.helm_charts.decode(node),
            "helmChartInflationGenerator" => self.inflations.decode(node),
            "generatorOptions" => fields.generator_options.decode(node),
            "configurations" => fields.configurations.decode(node),
            "generators" => fields.generators.decode(node),
            "transformers" => fields.transformers.decode(node),
            "validators" => fields.validators.decode(node),
            "buildMetadata" => fields.build_metadata.decode(node),
            _ => {}
        }
    }
}

/// `openapi` is a mapping of anything; only two keys are looked at.
fn decode_openapi(fields: &mut Kustomization, node: &Node<'_>) {
    let mut entries: Vec<(EcoString, EcoString)> = Vec::new();
    entries.decode(node);
    for (key, value) in entries {
        match key.as_str() {
            "path" => fields.openapi_path = Some(value),
            "version" => fields.openapi_version = Some(value),
            _ => {}
        }
    }
}

/// `metadata` is checked and has no effect.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) name: EcoString,
    pub(super) namespace: EcoString,
    labels: Vec<(EcoString, EcoString)>,
    annotations: Vec<(EcoString, EcoString)>,
}

record!(Metadata {
    "name": name,
    "namespace": namespace,
    "labels": labels,
    "annotations": annotations,
});

record!(Labels {
    "pairs": pairs,
    "includeSelectors": include_selectors,
    "includeTemplates": include_templates,
    "fields": fields,
});

impl Decode for FieldSpec {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["group", "version", "kind", "path", "create"], |name, node| match name {
            "path" => self.path.decode(node),
            "create" => self.create.decode(node),
            name => decode_gvk(&mut self.gvk, name, node),
        });
    }
}

impl Decode for Selector {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&SELECTOR_FIELDS, |name, node| match name {
            "labelSelector" => self.label_selector.decode(node),
            "annotationSelector" => self.annotation_selector.decode(node),
            "name" => self.name.decode(&node.inlined()),
            "namespace" => self.namespace.decode(&node.inlined()),
            name => decode_gvk(&mut self.gvk, name, node),
        });
    }
}

const SELECTOR_FIELDS: [&str; 7] =
    ["group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"];

/// One part of a kind, which is inlined wherever it stands.
pub(crate) fn decode_gvk(gvk: &mut Gvk, name: &str, node: &Node<'_>) {
    match name {
        "group" => gvk.group.decode(&node.inlined()),
        "version" => gvk.version.decode(&node.inlined()),
        _ => gvk.kind.decode(&node.inlined()),
    }
}

record!(Image {
    "name": name,
    "newName": new_name,
    "newTag": new_tag,
    "tagSuffix": tag_suffix,
    "digest": digest,
});

record!(Replicas { "name": name, "count": count });

record!(FieldOptions {
    "delimiter": delimiter,
    "index": index,
    "encoding": encoding,
    "create": create,
});

record!(GeneratorOptions {
    "labels": labels,
    "annotations": annotations,
    "disableNameSuffixHash": disable_name_suffix_hash,
    "immutable": immutable,
});

record!(HelmGlobals { "chartHome": chart_home, "configHome": config_home });

impl Decode for Patch {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["path", "patch", "target", "options"], |name, node| match name {
            "path" => self.path.decode(node),
            "patch" => self.patch.decode(node),
            "target" => self.target.decode(node),
            _ => decode_patch_options(self, node),
        });
    }
}

fn decode_patch_options(patch: &mut Patch, node: &Node<'_>) {
    node.record(&["allowNameChange", "allowKindChange"], |name, node| match name {
        "allowNameChange" => patch.allow_name_change.decode(node),
        _ => patch.allow_kind_change.decode(node),
    });
}

/// What an object is addressed by where a value is taken from.
const DEFAULT_FIELD_PATH: &str = "metadata.name";

impl Decode for ReplacementSource {
    fn decode(&mut self, node: &Node<'_>) {
        let names = &["group", "version", "kind", "name", "namespace", "fieldPath", "options"];
        node.record(names, |name, node| match name {
            "name" => self.name.decode(&node.inlined()),
            "namespace" => self.namespace.decode(&node.inlined()),
            "fieldPath" => self.field_path.decode(node),
            "options" => self.options.decode(node),
            name => decode_gvk(&mut self.gvk, name, node),
        });
        if self.field_path.is_empty() {
            self.field_path = DEFAULT_FIELD_PATH.into();
        }
    }
}

impl Decode for ReplacementTarget {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["select", "reject", "fieldPaths", "options"], |name, node| match name {
            "select" => self.select.decode(node),
            "reject" => self.reject.decode(node),
            "fieldPaths" => self.field_paths.decode(node),
            _ => self.options.decode(node),
        });
        if self.field_paths.is_empty() {
            self.field_paths.push(DEFAULT_FIELD_PATH.into());
        }
    }
}

record!(Replacement { "source": source, "sourceValue": source_value, "targets": targets });

impl Default for ReplacementEntry {
    fn default() -> Self {
        Self::Inline(Replacement::default())
    }
}

impl Decode for ReplacementEntry {
    fn decode(&mut self, node: &Node<'_>) {
        let mut path = EcoString::new();
        let mut inline = Replacement::default();
        node.record(&["source", "sourceValue", "targets", "path"], |name, node| match name {
            "source" => inline.source.decode(&node.inlined()),
            "sourceValue" => inline.source_value.decode(&node.inlined()),
            "targets" => inline.targets.decode(&node.inlined()),
            _ => path.decode(node),
        });
        if path.is_empty() {
            *self = Self::Inline(inline);
            return;
        }
        if inline.source.is_some() || !inline.targets.is_empty() {
            node.problem("a replacement has either \"path\" or \"source\" and \"targets\"", None);
        }
        *self = Self::Path(path);
    }
}

impl Decode for Var {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["name", "objref", "fieldref"], |name, node| match name {
            "name" => self.name.decode(node),
            "objref" => decode_object_reference(self, node),
            _ => node.record(&["fieldPath"], |_, node| self.field_path.decode(node)),
        });
        if self.field_path.is_empty() {
            self.field_path = DEFAULT_FIELD_PATH.into();
        }
    }
}

/// `objref` may say `apiVersion` instead of group and version.
fn decode_object_reference(var: &mut Var, node: &Node<'_>) {
    let mut api_version = EcoString::new();
    let names = &["apiVersion", "group", "version", "kind", "name", "namespace"];
    node.record(names, |name, node| match name {
        "apiVersion" => api_version.decode(node),
        "name" => var.object_name.decode(node),
        "namespace" => var.object_namespace.decode(node),
        name => decode_gvk(&mut var.gvk, name, node),
    });
    let parts: Vec<&str> = api_version.split('/').collect();
    match parts[..] {
        [""] => {}
        [version] => var.gvk.version = version.into(),
        [group, version] => {
            var.gvk.group = group.into();
            var.gvk.version = version.into();
        }
        // Kustomize takes no notice of it then.
        _ => {}
    }
}

impl Decode for SortOptions {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["order", "legacySortOptions"], |name, node| match name {
            "order" => self.order.decode(node),
            _ if node.is_null() => self.legacy = None,
            _ => decode_legacy_order(self.legacy.get_or_insert_default(), node),
        });
    }
}

fn decode_legacy_order((first, last): &mut (Vec<EcoString>, Vec<EcoString>), node: &Node<'_>) {
    node.record(&["orderFirst", "orderLast"], |name, node| match name {
        "orderFirst" => first.decode(node),
        _ => last.decode(node),
    });
}

const CONFIG_MAP_FIELDS: [&str; 8] =
    ["name", "namespace", "behavior", "literals", "files", "envs", "env", "options"];
const SECRET_FIELDS: [&str; 9] =
    ["name", "namespace", "behavior", "literals", "files", "envs", "env", "options", "type"];

fn decode_config_maps(list: &mut Vec<ConfigMapArgs>, node: &Node<'_>) {
    list.clear();
    node.elements(|node| list.push(config_map_args(&CONFIG_MAP_FIELDS, node)));
}

fn decode_secrets(list: &mut Vec<ConfigMapArgs>, node: &Node<'_>) {
    list.clear();
    node.elements(|node| list.push(config_map_args(&SECRET_FIELDS, node)));
}

/// The arguments of one generator, of which `names` are known.
pub(super) fn config_map_args(names: &[&'static str], node: &Node<'_>) -> ConfigMapArgs {
    let mut args = ConfigMapArgs::default();
    let mut env = EcoString::new();
    node.record(names, |name, node| {
        // All but the type stands in a struct that is inlined.
        let inlined = node.inlined();
        let node = if name == "type" { node } else { &inlined };
        match name {
            "name" => args.name.decode(node),
            "namespace" => args.namespace.decode(node),
            "behavior" => {
                args.behavior.decode(node);
                let odd = node.text().filter(|text| !is_behavior(text));
                args.odd_behavior = odd.unwrap_or_default();
            }
            "literals" => args.literals.decode(node),
            "files" => args.files.decode(node),
            "envs" => args.envs.decode(node),
            "env" => env.decode(node),
            "type" => args.secret_type.decode(node),
            _ => args.options.decode(node),
        }
    });
    if !env.is_empty() {
        args.envs.push(env);
    }
    args
}

fn is_behavior(text: &str) -> bool {
    matches!(text, "" | "create" | "merge" | "replace" | "unspecified")
}

/// Words that kustomize does not know mean `create`, and are no error.
impl Decode for Behavior {
    fn decode(&mut self, node: &Node<'_>) {
        let Some(text) = node.text() else { return };
        *self = match text.as_str() {
            "merge" => Self::Merge,
            "replace" => Self::Replace,
            _ => Self::Create,
        };
    }
}

impl Decode for HelmChart {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&HELM_CHART_FIELDS, |name, node| match name {
            "name" => self.name.decode(node),
            "version" => self.version.decode(node),
            "repo" => self.repo.decode(node),
            "releaseName" => self.release_name.decode(node),
            "namespace" => self.namespace.decode(node),
            "additionalValuesFiles" => self.additional_values_files.decode(node),
            "valuesFile" => self.values_file.decode(node),
            "valuesInline" => decode_values(&mut self.values_inline, node),
            "valuesMerge" => self.values_merge.decode(node),
            "includeCRDs" => self.include_crds.decode(node),
            "skipHooks" => self.skip_hooks.decode(node),
            "apiVersions" => self.api_versions.decode(node),
            "kubeVersion" => self.kube_version.decode(node),
            "nameTemplate" => self.name_template.decode(node),
            "skipTests" => self.skip_tests.decode(node),
            "debug" => self.debug.decode(node),
            _ => self.devel.decode(node),
        });
    }
}

const HELM_CHART_FIELDS: [&str; 17] = [
    "name",
    "version",
    "repo",
    "releaseName",
    "namespace",
    "additionalValuesFiles",
    "valuesFile",
    "valuesInline",
    "valuesMerge",
    "includeCRDs",
    "skipHooks",
    "apiVersions",
    "kubeVersion",
    "nameTemplate",
    "skipTests",
    "debug",
    "devel",
];

/// Values for a chart: a mapping of anything.
fn decode_values(values: &mut Option<Value>, node: &Node<'_>) {
    if node.value.as_map().is_none() && !node.is_null() {
        node.expected("a mapping");
    }
    values.decode(node);
}

/// One entry of the deprecated `helmChartInflationGenerator`.
#[derive(Default)]
struct Inflation {
    chart: HelmChart,
    globals: HelmGlobals,
    /// What no longer has an effect.
    ignored: EcoString,
    extra_args: Vec<EcoString>,
}

impl Decode for Inflation {
    fn decode(&mut self, node: &Node<'_>) {
        let chart = &mut self.chart;
        node.record(&INFLATION_FIELDS, |name, node| match name {
            "chartName" => chart.name.decode(node),
            "chartVersion" => chart.version.decode(node),
            "chartRepoUrl" => chart.repo.decode(node),
            "chartHome" => self.globals.chart_home.decode(node),
            "helmHome" => self.globals.config_home.decode(node),
            "values" => chart.values_file.decode(node),
            "valuesLocal" => decode_values(&mut chart.values_inline, node),
            "valuesMerge" => chart.values_merge.decode(node),
            "releaseName" => chart.release_name.decode(node),
            "extraArgs" => self.extra_args.decode(node),
            _ => self.ignored.decode(node),
        });
    }
}

const INFLATION_FIELDS: [&str; 13] = [
    "chartName",
    "chartVersion",
    "chartRepoUrl",
    "chartHome",
    "chartRepoName",
    "helmBin",
    "helmHome",
    "values",
    "valuesLocal",
    "valuesMerge",
    "releaseName",
    "releaseNamespace",
    "extraArgs",
];

impl Inflation {
    /// Of all charts the last that says something; kustomize has one home for all.
    fn globals(charts: &[Self]) -> Option<HelmGlobals> {
        let mut globals = HelmGlobals::default();
        for Self { globals: said, .. } in charts {
            if !said.chart_home.is_empty() {
                globals.chart_home = said.chart_home.clone();
            }
            if !said.config_home.is_empty() {
                globals.config_home = said.config_home.clone();
            }
        }
        let says = !(globals.chart_home.is_empty() && globals.config_home.is_empty());
        says.then_some(globals)
    }

    fn into_chart(self) -> HelmChart {
        self.chart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Kustomization> {
        let text = text.to_owned().into();
        decode(&Source { file: "kustomization.yaml".into(), text }, &Limits::PERSON)
    }

    fn refusal(text: &str) -> Error {
        read(text).expect_err("refused")
    }

    fn message(text: &str) -> String {
        refusal(text).message().to_owned()
    }

    #[test]
    fn names_match_in_any_case_and_the_exact_one_wins() {
        let fields = read("NAMEPREFIX: a-\nnamePrefix: b-\nNameSuffix: -c\n").expect("valid");
        assert_eq!((fields.name_prefix.as_str(), fields.name_suffix.as_str()), ("b-", "-c"));
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        assert_eq!(read("namePrefix: a-\nnamePrefix: b-\n").expect("valid").name_prefix, "b-");
    }

    #[test]
    fn an_unknown_field_has_the_nearest_as_hint() {
        let error = refusal("resuorces: []\n");
        assert_eq!(error.message(), "unknown field \"resuorces\"");
        assert_eq!(error.remedy(), Some("did you mean \"resources\"?"));
        let error = refusal("images:\n- name: a\n  tag: b\n");
        assert_eq!(
            error.remedy(),
            Some("fields here are name, newName, newTag, tagSuffix, digest")
        );
    }

    #[test]
    fn numbers_and_words_of_yaml_1_1_are_no_text() {
        assert_eq!(message("namePrefix: 1\n"), "\"namePrefix\" takes a string, not the number 1");
        assert_eq!(message("commonLabels: {a: y}\n"), "\"a\" takes a string, not the boolean y");
        assert_eq!(refusal("namespace: 1\n").remedy(), Some("put it in quotes: \"1\""));
        assert!(read("namePrefix: 2001-01-01\n").is_ok());
    }

    #[test]
    fn yes_is_a_boolean_and_a_quoted_one_is_not() {
        let fields = read("labels: [{pairs: {a: b}, includeSelectors: yes}]\n").expect("valid");
        assert!(fields.labels[0].include_selectors);
        assert!(read("labels: [{includeSelectors: 'yes'}]\n").is_err());
    }

    #[test]
    fn keys_are_what_yaml_1_1_makes_of_them() {
        let fields = read("commonAnnotations: {y: a, 'n': b, 12: c, 1.50: d}\n").expect("valid");
        let keys: Vec<_> = fields.common_annotations.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["1.5", "12", "n", "true"]);
        assert!(read("commonLabels: {~: a}\n").is_err());
    }

    #[test]
    fn a_next_line_character_is_folded() {
        assert_eq!(read("namePrefix: \"a \\x85 b\"\n").expect("valid").name_prefix, "a b");
    }

    #[test]
    fn null_is_nothing() {
        let fields = read("namePrefix: ~\nresources:\nnamespace: a\ncommonLabels: {a: }\n");
        let fields = fields.expect("valid");
        assert_eq!(fields.name_prefix, "");
        assert_eq!(fields.common_labels, [("a".into(), "".into())]);
    }

    #[test]
    fn a_list_is_written_as_one() {
        let error = refusal("resources: r.yaml\n");
        assert_eq!(error.message(), "\"resources\" takes a list, not a string");
        assert_eq!(error.remedy(), Some("begin its line with a dash: - r.yaml"));
    }

    #[test]
    fn whole_floats_are_integers() {
        let count = |text: &str| read(&format!("replicas: [{{name: a, count: {text}}}]\n"));
        assert_eq!(count("3.0").expect("valid").replicas[0].count, 3);
        assert_eq!(count("0x10").expect("valid").replicas[0].count, 16);
        for refused in ["1.5", "'3'", "1e30", "18446744073709551615"] {
            assert!(count(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn only_an_empty_file_is_empty() {
        for empty in ["", "# x\n", "kind: Component\n", "namePrefix: ''\n", "bases: []\n"] {
            assert_eq!(message(empty), "kustomization file is empty", "{empty:?}");
        }
        for something in ["resources: []\n", "metadata: {}\n", "openapi: {}\n"] {
            assert!(read(something).is_ok(), "{something:?}");
        }
    }

    #[test]
    fn only_two_kinds_with_their_version_are_read() {
        assert!(read("kind: Foo\nresources: []\n").is_err());
        let v1beta1 = "apiVersion: kustomize.config.k8s.io/v1beta1\n";
        assert!(read(&format!("{v1beta1}resources: []\n")).is_ok());
        assert!(read(&format!("{v1beta1}kind: Component\nresources: []\n")).is_err());
        assert!(read("apiVersion: v1\nresources: []\n").is_err());
        assert!(read("kind: Component\nresources: []\n").expect("valid").is_component);
    }

    #[test]
    fn deprecated_fields_come_after_their_successors() {
        let fields = read(
            "vars: []\nbases: [b]\nresources: [a]\nimageTags: [{name: old}]\nimages: [{name: new}]\n\
             configMapGenerator: [{name: c, env: e, envs: [d]}]\n\
             helmChartInflationGenerator: [{chartName: h, chartHome: one}, {chartHome: two}]\n",
        );
        let fields = fields.expect("valid");
        assert_eq!(fields.resources, ["a", "b"]);
        assert_eq!(fields.images[1].name, "old");
        assert_eq!(fields.config_map_generator[0].envs, ["d", "e"]);
        assert_eq!(fields.helm_charts[0].name, "h");
        assert_eq!(fields.helm_globals.expect("moved").chart_home, "two");
        let deprecated: Vec<_> = fields.deprecated.iter().map(|(field, _)| *field).collect();
        assert_eq!(deprecated, ["bases", "imageTags", "vars"]);
    }

    #[test]
    fn a_replacement_is_here_or_in_a_file() {
        let fields = read("replacements: [{path: r.yaml}, {source: {kind: A}, targets: []}]\n");
        let fields = fields.expect("valid");
        assert!(
            matches!(&fields.replacements[0], ReplacementEntry::Path(path) if path == "r.yaml")
        );
        let ReplacementEntry::Inline(inline) = &fields.replacements[1] else { panic!("inline") };
        assert_eq!(inline.source.as_ref().expect("said").field_path, "metadata.name");
        assert!(read("replacements: [{path: r.yaml, source: {kind: A}}]\n").is_err());
    }

    #[test]
    fn an_object_reference_takes_an_api_version() {
        let fields = read("vars: [{name: A, objref: {apiVersion: apps/v1, kind: D, name: d}}]\n");
        let var = &fields.expect("valid").vars[0];
        assert_eq!((var.gvk.group.as_str(), var.gvk.version.as_str()), ("apps", "v1"));
        assert_eq!(var.field_path, "metadata.name");
    }

    #[test]
    fn files_of_replacements_take_numbers_as_text() {
        let source = |text: &'static str| Source { file: "r.yaml".into(), text: text.into() };
        let one = source("source: {kind: A, fieldPath: 1}\nmisspelt: 2\n");
        let list = replacements(&one, &Limits::PERSON).expect("valid");
        assert_eq!(list[0].source.as_ref().expect("said").field_path, "1");
        // But not in what Go inlines.
        assert!(replacements(&source("source: {name: 1}\n"), &Limits::PERSON).is_err());
        let two = source("- {source: {kind: A}}\n- {source: {kind: B}}\n");
        assert_eq!(replacements(&two, &Limits::PERSON).expect("valid").len(), 2);
        assert!(replacements(&source(""), &Limits::PERSON).is_err());
    }

    #[test]
    fn all_problems_of_a_file_are_reported_at_once() {
        let error = refusal("nameprefx: a\nresources: r.yaml\n").to_string();
        assert!(error.contains("nameprefx") && error.contains("takes a list"), "{error}");
    }
}
