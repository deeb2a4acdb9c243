//! Built-in plugins: the steps of a build as objects, for `generators`, `transformers`, `validators`.
//!
//! Each configuration becomes what the field of the same step would have been, with the fields of
//! objects that it changes beside it, since a plugin has no defaults.
//!
//! Source: kustomize `api/internal/builtins` (names and nesting),
//! `api/internal/plugins/builtinhelpers/builtins.go` (which there are).

use ecow::EcoString;

use super::decode::{Metadata, config_map_args};
use super::node::{Decode, Node, Rules, decode_as, decode_into};
use super::{
    ConfigMapArgs, FieldSpec, HelmChart, HelmGlobals, Image, Patch, ReplacementEntry, Replicas,
    Selector, Source,
};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::nearest::nearest;
use crate::transform::namespace::Subjects;
use crate::value::Value;
use crate::yaml::{self, Step};

/// One built-in step with its configuration.
#[derive(Clone, Debug)]
pub enum Plugin {
    /// `ConfigMapGenerator`
    ConfigMap(ConfigMapArgs),
    /// `SecretGenerator`
    Secret(ConfigMapArgs),
    /// `HelmChartInflationGenerator`
    Helm(HelmGlobals, Box<HelmChart>),
    /// `IAMPolicyGenerator`
    IamPolicy(IamPolicy),
    /// `AnnotationsTransformer`: pairs, sorted by key, and where they go
    Annotations(Vec<(EcoString, EcoString)>, Vec<FieldSpec>),
    /// `HashTransformer`
    Hash,
    /// `ImageTagTransformer`
    Image(Image, Vec<FieldSpec>),
    /// `LabelTransformer`: pairs, sorted by key, and where they go
    Labels(Vec<(EcoString, EcoString)>, Vec<FieldSpec>),
    /// `NamespaceTransformer`
    Namespace(NamespacePlugin),
    /// `PatchJson6902Transformer`: always a JSON patch
    JsonPatch(Patch),
    /// `PatchStrategicMergeTransformer`: files, and inline documents
    StrategicMerge(Vec<EcoString>, EcoString),
    /// `PatchTransformer`: a patch of either sort
    Patch(Patch),
    /// `PrefixTransformer`, `SuffixTransformer` or, with both, `PrefixSuffixTransformer`
    Affixes(Affixes),
    /// `ReplacementTransformer`
    Replacements(Vec<ReplacementEntry>),
    /// `ReplicaCountTransformer`
    Replicas(Replicas, Vec<FieldSpec>),
    /// `ValueAddTransformer`
    ValueAdd(ValueAdd),
}

/// A Google service account that a Kubernetes one stands for.
#[derive(Clone, Debug, Default)]
pub struct IamPolicy {
    /// Which cloud; only `gke` is known.
    pub cloud: EcoString,
    /// `kubernetesService.name`
    pub name: EcoString,
    /// `kubernetesService.namespace`
    pub namespace: EcoString,
    /// `serviceAccount.name`
    pub account: EcoString,
    /// `serviceAccount.projectId`
    pub project: EcoString,
}

/// What a `NamespaceTransformer` says.
#[derive(Clone, Debug, Default)]
pub struct NamespacePlugin {
    /// `metadata.namespace`
    pub namespace: EcoString,
    /// Which fields, besides `metadata/namespace`.
    pub specs: Vec<FieldSpec>,
    /// Whether only blank fields are set.
    pub unset_only: bool,
    /// Which subjects of role bindings are moved.
    pub subjects: Subjects,
}

/// What is put around names; `None` where the plugin is not for it.
#[derive(Clone, Debug, Default)]
pub struct Affixes {
    /// `prefix`
    pub prefix: Option<EcoString>,
    /// `suffix`
    pub suffix: Option<EcoString>,
    /// Which fields.
    pub specs: Vec<FieldSpec>,
}

/// What a `ValueAddTransformer` says.
#[derive(Clone, Debug, Default)]
pub struct ValueAdd {
    /// Without it, the name of the directory of the kustomization.
    pub value: EcoString,
    /// Where it goes.
    pub targets: Vec<ValueTarget>,
    /// A file with more targets.
    pub targets_file: EcoString,
}

/// Where a value is added.
#[derive(Clone, Debug, Default)]
pub struct ValueTarget {
    /// All resources without it.
    pub selector: Option<Selector>,
    /// Segments between `/`; never empty.
    pub field_path: EcoString,
    /// Where in a path the value goes, from 1; 0 replaces the whole text.
    pub position: usize,
}

const CONFIG_MAP_FIELDS: [&str; 7] =
    ["name", "namespace", "behavior", "literals", "files", "envs", "options"];
const SECRET_FIELDS: [&str; 8] =
    ["name", "namespace", "behavior", "literals", "files", "envs", "options", "type"];

/// The kinds of built-in generators.
const GENERATORS: [&str; 4] =
    ["ConfigMapGenerator", "SecretGenerator", "HelmChartInflationGenerator", "IAMPolicyGenerator"];

/// The kinds of built-in transformers.
const TRANSFORMERS: [&str; 14] = [
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "SuffixTransformer",
    "ValueAddTransformer",
];

/// Which list of a kustomization a plugin stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// `generators`
    Generator,
    /// `transformers` or `validators`
    Transformer,
}

/// Whether an object configures a built-in plugin; others are functions.
#[must_use]
pub fn is_builtin(value: &Value) -> bool {
    value.text_at(&["apiVersion"]) == Some("builtin")
}

/// Reads the configuration of a built-in plugin; `place` says where a path of it stands.
///
/// # Errors
/// Where there is no such plugin, it does not fit its role, or its configuration is no such.
pub fn decode(value: &Value, role: Role, place: &dyn Fn(&[Step<'_>]) -> Place) -> Result<Plugin> {
    let document = Document { value, place };
    let kind = document.kind(role)?;
    // Kustomize prints it for the plugin to read, and cannot print everything.
    yaml::write(value, &mut String::new()).map_err(|error| error.at(place(&[])))?;
    match kind {
        "ConfigMapGenerator" => Ok(Plugin::ConfigMap(document.args(&CONFIG_MAP_FIELDS)?)),
        "SecretGenerator" => Ok(Plugin::Secret(document.args(&SECRET_FIELDS)?)),
        "HelmChartInflationGenerator" => {
            let (mut globals, mut chart) = (HelmGlobals::default(), HelmChart::default());
            decode_into(value, Rules::PLUGIN, place, |node| {
                globals.decode(&node.inlined());
                chart.decode(&node.inlined());
            })?;
            Ok(Plugin::Helm(globals, Box::new(chart)))
        }
        "IAMPolicyGenerator" => document.read().map(Plugin::IamPolicy),
        "HashTransformer" => Ok(Plugin::Hash),
        "AnnotationsTransformer" => document.changed("annotations", Plugin::Annotations),
        "ImageTagTransformer" => document.changed("imageTag", Plugin::Image),
        "LabelTransformer" => document.changed("labels", Plugin::Labels),
        "ReplicaCountTransformer" => document.changed("replica", Plugin::Replicas),
        "NamespaceTransformer" => document.read().map(Plugin::Namespace),
        "PatchJson6902Transformer" => document.json_patch(),
        "PatchStrategicMergeTransformer" => document.strategic_merge(),
        "PatchTransformer" => document.read().map(Plugin::Patch),
        "PrefixTransformer" => document.affixes(&["prefix"]),
        "SuffixTransformer" => document.affixes(&["suffix"]),
        "PrefixSuffixTransformer" => document.affixes(&["prefix", "suffix"]),
        "ReplacementTransformer" => {
            let mut list = Vec::new();
            document.record(&["replacements"], |_, node| list.decode(node))?;
            Ok(Plugin::Replacements(list))
        }
        _ => document.value_add(),
    }
}

/// Reads a file with more targets of a `ValueAddTransformer`.
///
/// # Errors
/// Where it is no such file, or a target has no path.
pub fn value_targets(source: &Source, limits: &Limits) -> Result<Vec<ValueTarget>> {
    let value = yaml::read_first(&source.text, &source.file, limits)?;
    let mut targets = Vec::new();
    let place = |path: &[Step<'_>]| source.place(path);
    decode_into(&value, Rules::FILE, &place, |node| {
        node.record(&["targets"], |_, node| targets.decode(node));
    })?;
    Ok(targets)
}

/// A configuration that is being read.
#[derive(Clone, Copy)]
struct Document<'a> {
    value: &'a Value,
    place: &'a dyn Fn(&[Step<'_>]) -> Place,
}

impl<'a> Document<'a> {
    fn kind(&self, role: Role) -> Result<&'a str> {
        let kind = self.value.text_at(&["kind"]).unwrap_or_default();
        let (known, others, field): (&[&str], &[&str], _) = match role {
            Role::Generator => (&GENERATORS, &TRANSFORMERS, "transformers"),
            Role::Transformer => (&TRANSFORMERS, &GENERATORS, "generators"),
        };
        if known.contains(&kind) {
            return Ok(kind);
        }
        let at = &[Step::Key("kind")];
        if others.contains(&kind) {
            let error = self.invalid(at, format!("{kind} is for \"{field}\""));
            return Err(error.hint("list it there"));
        }
        let error = self.invalid(at, format!("there is no built-in plugin \"{kind}\""));
        Err(match nearest(kind, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean \"{near}\"?")),
            None => error.hint(format!("there are {}", known.join(", "))),
        })
    }

    fn invalid(&self, path: &[Step<'_>], message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Invalid, (self.place)(path), message)
    }

    fn read<T: Decode + Default>(&self) -> Result<T> {
        decode_as(self.value, Rules::PLUGIN, self.place)
    }

    fn record(
        &self,
        names: &[&'static str],
        field: impl FnMut(&'static str, &Node<'_>),
    ) -> Result<()> {
        decode_into(self.value, Rules::PLUGIN, self.place, |node| node.record(names, field))
    }

    /// One field, and the fields of objects that it changes.
    fn changed<T: Decode + Default>(
        &self,
        field: &'static str,
        plugin: fn(T, Vec<FieldSpec>) -> Plugin,
    ) -> Result<Plugin> {
        let (mut said, mut specs) = (T::default(), Vec::new());
        self.record(&[field, "fieldSpecs"], |name, node| match name {
            "fieldSpecs" => specs.decode(node),
            _ => said.decode(node),
        })?;
        Ok(plugin(said, specs))
    }

    /// A generator's arguments; name and namespace may stand in `metadata` instead.
    fn args(&self, names: &[&'static str]) -> Result<ConfigMapArgs> {
        let (mut args, mut metadata) = (ConfigMapArgs::default(), Metadata::default());
        decode_into(self.value, Rules::PLUGIN, self.place, |node| {
            args = config_map_args(names, &node.inlined());
            node.record(&["metadata"], |_, node| metadata.decode(node));
        })?;
        if args.name.is_empty() {
            args.name = metadata.name;
        }
        if args.namespace.is_empty() {
            args.namespace = metadata.namespace;
        }
        Ok(args)
    }

    fn json_patch(&self) -> Result<Plugin> {
        let mut patch = Patch::default();
        self.record(&["path", "jsonOp", "target"], |name, node| match name {
            "path" => patch.path.decode(node),
            "jsonOp" => patch.patch.decode(node),
            _ => patch.target.decode(node),
        })?;
        if patch.target.as_ref().is_none_or(|target| target.name.is_empty()) {
            return Err(self.invalid(&[Step::Key("target")], "patch has no \"target\" with a name"));
        }
        Ok(Plugin::JsonPatch(patch))
    }

    fn strategic_merge(&self) -> Result<Plugin> {
        let (mut paths, mut inline) = (Vec::<EcoString>::new(), EcoString::new());
        self.record(&["paths", "patches"], |name, node| match name {
            "paths" => paths.decode(node),
            _ => inline.decode(node),
        })?;
        if paths.is_empty() && inline.is_empty() {
            return Err(self.invalid(&[], "neither \"paths\" nor \"patches\" says a patch"));
        }
        Ok(Plugin::StrategicMerge(paths, inline))
    }

    fn affixes(&self, affixes: &[&'static str]) -> Result<Plugin> {
        let mut plugin = Affixes::default();
        let mut specs: Option<Vec<FieldSpec>> = None;
        for affix in affixes {
            let mut text = EcoString::new();
            let names = [*affix, "fieldSpecs"];
            decode_into(self.value, Rules::AFFIXES, self.place, |node| {
                node.record(&names, |name, node| match name {
                    "fieldSpecs" => specs.decode(node),
                    _ => text.decode(node),
                });
            })?;
            match *affix {
                "prefix" => plugin.prefix = Some(text),
                _ => plugin.suffix = Some(text),
            }
        }
        let missing = || {
            let error = self.invalid(&[], "plugin has no \"fieldSpecs\"");
            error.hint("for all names, add \"fieldSpecs: [{path: metadata/name}]\"")
        };
        plugin.specs = specs.ok_or_else(missing)?;
        Ok(Plugin::Affixes(plugin))
    }

    fn value_add(&self) -> Result<Plugin> {
        let mut plugin = ValueAdd::default();
        self.record(&["value", "targets", "targetFilePath"], |name, node| match name {
            "value" => plugin.value.decode(node),
            "targets" => plugin.targets.decode(node),
            _ => plugin.targets_file.decode(node),
        })?;
        plugin.value = plugin.value.trim().into();
        if plugin.targets.is_empty() && plugin.targets_file.is_empty() {
            return Err(self.invalid(&[], "plugin has no \"targets\""));
        }
        Ok(Plugin::ValueAdd(plugin))
    }
}

impl Decode for IamPolicy {
    fn decode(&mut self, node: &Node<'_>) {
        node.inlined().record(&["cloud", "kubernetesService", "serviceAccount"], |name, node| {
            match name {
                "cloud" => self.cloud.decode(node),
                "kubernetesService" => {
                    node.record(&["name", "namespace"], |name, node| match name {
                        "name" => self.name.decode(node),
                        _ => self.namespace.decode(node),
                    });
                }
                _ => node.record(&["name", "projectId"], |name, node| match name {
                    "name" => self.account.decode(node),
                    _ => self.project.decode(node),
                }),
            }
        });
    }
}

impl Decode for NamespacePlugin {
    fn decode(&mut self, node: &Node<'_>) {
        let mut metadata = Metadata::default();
        let names = &["metadata", "fieldSpecs", "unsetOnly", "setRoleBindingSubjects"];
        node.record(names, |name, node| match name {
            "metadata" => metadata.decode(node),
            "fieldSpecs" => self.specs.decode(node),
            "unsetOnly" => self.unset_only.decode(node),
            _ => self.subjects.decode(node),
        });
        self.namespace = metadata.namespace;
    }
}

impl Decode for Subjects {
    fn decode(&mut self, node: &Node<'_>) {
        *self = match node.text().as_deref() {
            None | Some("" | "defaultOnly") => Self::NamedDefault,
            Some("allServiceAccounts") => Self::ServiceAccounts,
            Some("none") => Self::Nobody,
            Some(_) => return node.expected("defaultOnly, allServiceAccounts or none"),
        };
    }
}

impl Decode for ValueTarget {
    fn decode(&mut self, node: &Node<'_>) {
        let mut position = 0_i64;
        node.record(&["selector", "fieldPath", "filePathPosition"], |name, node| match name {
            "selector" => self.selector.decode(node),
            "fieldPath" => self.field_path.decode(node),
            _ => position.decode(node),
        });
        if self.field_path.is_empty() {
            node.problem("target has no \"fieldPath\"", None);
        }
        match usize::try_from(position) {
            Ok(position) => self.position = position,
            Err(_) => node.problem("\"filePathPosition\" is negative", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, text: &str) -> Result<Plugin> {
        let text = format!("apiVersion: builtin\n{text}");
        let file = "plugin.yaml".into();
        let documents = yaml::read(text.as_bytes(), &file, &Limits::PERSON)?;
        assert!(is_builtin(&documents[0]));
        decode(&documents[0], role, &|_| Place::file(file.clone()))
    }

    fn transformer(text: &str) -> Result<Plugin> {
        read(Role::Transformer, text)
    }

    #[test]
    fn a_generator_may_be_named_by_its_metadata() {
        let text =
            "kind: ConfigMapGenerator\nmetadata: {name: c, namespace: n}\nenvs: [e]\nenv: x\n";
        let Ok(Plugin::ConfigMap(args)) = read(Role::Generator, text) else { panic!("one") };
        assert_eq!((args.name.as_str(), args.namespace.as_str()), ("c", "n"));
        // Kustomize moves `env` only where it reads a kustomization file.
        assert_eq!(args.envs, ["e"]);
    }

    #[test]
    fn numbers_are_text_and_unknown_fields_nothing() {
        let inlined = "kind: ConfigMapGenerator\nmetadata: {name: c}\nliterals: [1]\n";
        assert!(read(Role::Generator, inlined).is_err());
        let text = "kind: LabelTransformer\nmetadata: {name: l}\nlabels: {a: 1}\nfoo: bar\n";
        let Ok(Plugin::Labels(pairs, specs)) = transformer(text) else { panic!("one") };
        assert_eq!(pairs, [("a".into(), "1".into())]);
        assert_eq!(specs, []);
    }

    #[test]
    fn words_of_yaml_1_1_are_text_in_a_plugin() {
        let text = "kind: PrefixTransformer\nmetadata: {name: l}\nprefix: on\nfieldSpecs: []\n";
        let Ok(Plugin::Affixes(affixes)) = transformer(text) else { panic!("one") };
        assert_eq!(affixes.prefix.as_deref(), Some("on"));
        assert_eq!(affixes.suffix, None);
    }

    #[test]
    fn affixes_are_read_more_laxly() {
        let text = |create: &str| {
            format!(
                "kind: PrefixTransformer\nprefix: 1\nfieldSpecs: [{{path: a, create: {create}}}]\n"
            )
        };
        let Ok(Plugin::Affixes(affixes)) = transformer(&text("yes")) else { panic!("one") };
        assert_eq!(affixes.prefix.as_deref(), Some("1"));
        assert!(affixes.specs[0].create);
        assert!(transformer(&text("[]")).is_err());
        let other = "kind: LabelTransformer\nfieldSpecs: [{path: a, create: yes}]\n";
        assert!(transformer(other).is_err());
    }

    #[test]
    fn what_cannot_be_printed_is_no_configuration() {
        assert!(transformer("kind: HashTransformer\na: {b: 1, b: 2}\n").is_err());
    }

    #[test]
    fn affixes_need_to_be_told_where_they_go() {
        let error = transformer("kind: PrefixTransformer\nmetadata: {name: l}\nprefix: a\n");
        assert_eq!(error.expect_err("refused").message(), "plugin has no \"fieldSpecs\"");
    }

    #[test]
    fn a_generator_is_no_transformer() {
        let error = transformer("kind: SecretGenerator\n").expect_err("refused");
        assert_eq!(error.message(), "SecretGenerator is for \"generators\"");
        let error = transformer("kind: LabelsTransformer\n").expect_err("refused");
        assert_eq!(error.remedy(), Some("did you mean \"LabelTransformer\"?"));
        assert!(transformer("kind: SortOrderTransformer\n").is_err());
    }

    #[test]
    fn subjects_have_three_words() {
        let text =
            |word: &str| format!("kind: NamespaceTransformer\nsetRoleBindingSubjects: {word}\n");
        let Ok(Plugin::Namespace(plugin)) = transformer(&text("none")) else { panic!("one") };
        assert_eq!(plugin.subjects, Subjects::Nobody);
        assert!(transformer(&text("some")).is_err());
    }

    #[test]
    fn a_value_needs_targets() {
        assert!(transformer("kind: ValueAddTransformer\nvalue: x\n").is_err());
        let text = "kind: ValueAddTransformer\nvalue: ' x '\ntargets:\n- fieldPath: a/b\n";
        let Ok(Plugin::ValueAdd(plugin)) = transformer(text) else { panic!("one") };
        assert_eq!(plugin.value, "x");
        let text = "kind: ValueAddTransformer\ntargets:\n- filePathPosition: -1\n";
        assert!(transformer(text).is_err());
    }
}
