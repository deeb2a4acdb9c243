//! The Kustomization: what is built from where, with what, and how it is applied.

use ecow::EcoString;

use super::checked::Duration;
use super::{GROUP, Meta, checked, choice, each, fields, object};
use crate::error::{Place, Warning};
use crate::flux::substitute::{Kind, PostBuild, Reference, Strategy};
use crate::flux::{Image, Json6902Patch, Patch, Selector, Spec};
use crate::json;
use crate::kustomization::node::{Decode, Node};
use crate::value::Value;
use crate::yaml::Step;

/// A Kustomization of Flux.
#[derive(Clone, Debug, Default)]
pub struct Kustomization {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// Which version of the API it is written in.
    pub version: Version,
    /// What takes part in the build.
    pub spec: Spec,
    /// How often it is reconciled; required, but a file that is only built may lack it.
    pub interval: Option<Duration>,
    /// How long after a failure it is tried again; as the interval where it is not set.
    pub retry_interval: Option<Duration>,
    /// What applying and waiting may take.
    pub timeout: Option<Duration>,
    /// Whether what is gone from the source is deleted.
    pub prune: bool,
    /// What is done with the objects when the Kustomization is deleted.
    pub deletion_policy: DeletionPolicy,
    /// Where the files come from.
    pub source_ref: SourceRef,
    /// Labels and annotations for every object.
    pub common_metadata: Option<CommonMetadata>,
    /// What is put in after the build.
    pub post_build: Option<PostBuild>,
    /// How encrypted values are decrypted.
    pub decryption: Option<Decryption>,
    /// Kustomizations that come before this one.
    pub depends_on: Vec<Dependency>,
    /// Whether everything that is applied has to become healthy.
    pub wait: bool,
    /// Or what of it.
    pub health_checks: Vec<ObjectRef>,
    /// What health means for kinds that nobody knows.
    pub health_check_exprs: Vec<HealthCheckExpr>,
    /// Whether objects are made anew where a field cannot be changed.
    pub force: bool,
    /// What may drift.
    pub ignore: Vec<IgnoreRule>,
    /// Whether it is not reconciled.
    pub suspend: bool,
    /// The service account that applies it.
    pub service_account_name: EcoString,
    /// The cluster that it is applied to, where that is another one.
    pub kube_config: Option<KubeConfig>,
    /// What the controller has written, for objects of a cluster.
    pub status: Value,
}

/// The versions of the API.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Version {
    /// `v1`, the one that is served.
    #[default]
    V1,
    /// `v1beta2`, gone since Flux 2.8.
    V1Beta2,
    /// `v1beta1`, gone since Flux 2.7.
    V1Beta1,
}

/// What is done with the objects when their Kustomization is deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeletionPolicy {
    /// They are deleted if it prunes.
    #[default]
    MirrorPrune,
    /// They are deleted.
    Delete,
    /// They are deleted, and waited for.
    WaitForTermination,
    /// They stay.
    Orphan,
}

/// A source by name.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceRef {
    /// Empty for the group of sources.
    pub api_version: EcoString,
    /// One of Flux's kinds of sources.
    pub kind: EcoString,
    /// The name.
    pub name: EcoString,
    /// Empty for the namespace of who refers to it.
    pub namespace: EcoString,
}

/// `commonMetadata`
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CommonMetadata {
    /// Sorted by key.
    pub labels: Vec<(EcoString, EcoString)>,
    /// Sorted by key.
    pub annotations: Vec<(EcoString, EcoString)>,
}

/// `decryption`
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decryption {
    /// `sops`, there is no other.
    pub provider: EcoString,
    /// The Secret that holds keys.
    pub secret_ref: Option<EcoString>,
    /// The service account that asks key services.
    pub service_account_name: EcoString,
}

/// An entry of `dependsOn`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dependency {
    /// The name.
    pub name: EcoString,
    /// Empty for the namespace of who depends on it.
    pub namespace: EcoString,
    /// When it counts as ready, in CEL.
    pub ready_expr: EcoString,
}

/// An object by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ObjectRef {
    /// Group and version; empty for `apps/v1` in health checks.
    pub api_version: EcoString,
    /// The kind.
    pub kind: EcoString,
    /// The name.
    pub name: EcoString,
    /// The namespace.
    pub namespace: EcoString,
}

/// An entry of `healthCheckExprs`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HealthCheckExpr {
    /// Group and version.
    pub api_version: EcoString,
    /// The kind; empty for all of the group.
    pub kind: EcoString,
    /// When the object is as it should be.
    pub current: EcoString,
    /// When it is on its way.
    pub in_progress: EcoString,
    /// When it has failed.
    pub failed: EcoString,
}

/// An entry of `ignore`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IgnoreRule {
    /// JSON pointers.
    pub paths: Vec<EcoString>,
    /// In which objects; in all without.
    pub target: Option<Selector>,
}

/// `kubeConfig`
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KubeConfig {
    /// A Secret with a kubeconfig, and the key it has there.
    pub secret_ref: Option<(EcoString, EcoString)>,
    /// Or a ConfigMap that says how to sign in.
    pub config_map_ref: Option<EcoString>,
}

impl Version {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "v1" => Some(Self::V1),
            "v1beta2" => Some(Self::V1Beta2),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        }
    }

    /// As it is written, and since when it is gone.
    fn removal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::V1 => None,
            Self::V1Beta2 => Some(("v1beta2", "Flux 2.8 (kustomize-controller 1.8)")),
            Self::V1Beta1 => Some(("v1beta1", "Flux 2.7 (kustomize-controller 1.7)")),
        }
    }
}

/// The fields of `spec`; those that v1 has dropped come last.
const SPEC: [&str; 30] = [
    "interval",
    "retryInterval",
    "timeout",
    "prune",
    "deletionPolicy",
    "sourceRef",
    "path",
    "targetNamespace",
    "namePrefix",
    "nameSuffix",
    "patches",
    "images",
    "components",
    "ignoreMissingComponents",
    "buildMetadata",
    "commonMetadata",
    "postBuild",
    "decryption",
    "dependsOn",
    "wait",
    "healthChecks",
    "healthCheckExprs",
    "force",
    "ignore",
    "suspend",
    "serviceAccountName",
    "kubeConfig",
    // What older versions lacked of the others does no harm there.
    "patchesStrategicMerge",
    "patchesJson6902",
    "validation",
];

/// How many of them v1 has.
const FIELDS: usize = 27;

/// The fields that v1 has dropped, each with what has taken its place.
const DROPPED: [(&str, &str); 3] = [
    ("patchesJson6902", "move its entries to \"patches\", each \"patch\" as text"),
    ("patchesStrategicMerge", "move its entries to \"patches\", each as the text of \"patch\""),
    ("validation", "leave it out: everything is validated by the server before it is applied"),
];

impl Kustomization {
    /// One that says nothing yet.
    pub(super) fn of(version: Version) -> Self {
        Self { version, ..Self::default() }
    }

    /// Whether anything that is secret is put into its objects.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        let mut references = self.post_build.iter().flat_map(|one| &one.substitute_from);
        self.decryption.is_some() || references.any(|reference| reference.kind == Kind::Secret)
    }

    /// What is not wrong, but hardly meant, and what has changed since its version.
    pub(super) fn complaints(
        &self,
        value: &Value,
        place: &dyn Fn(&[Step<'_>]) -> Place,
    ) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |path: &[&str], message: String| {
            let steps: Vec<Step<'_>> = path.iter().map(|key| Step::Key(key)).collect();
            warnings.push(Warning { place: place(&steps), message });
        };
        if let Some((version, since)) = self.version.removal() {
            warn(&["apiVersion"], format!("{version} is gone since {since}: write {GROUP}/v1"));
            for (field, instead) in DROPPED {
                if value.at(&["spec", field]).is_some_and(|value| !value.is_null()) {
                    warn(&["spec", field], format!("v1 has no \"{field}\": {instead}"));
                }
            }
        }
        if self.wait && !self.health_checks.is_empty() {
            warn(
                &["spec", "healthChecks"],
                "has no effect, since \"wait\" checks everything".into(),
            );
        }
        if !self.wait && self.health_checks.is_empty() && !self.health_check_exprs.is_empty() {
            let message = "has no effect without \"wait\" or \"healthChecks\"".into();
            warn(&["spec", "healthCheckExprs"], message);
        }
        warnings
    }

    fn decode_spec(&mut self, node: &Node<'_>) {
        let known = if self.version == Version::V1 { FIELDS } else { SPEC.len() };
        let needed = ["interval", "prune", "sourceRef"];
        each(node, &SPEC[..known], &needed, |name, node| self.decode_field(name, node));
    }

    fn decode_field(&mut self, name: &str, node: &Node<'_>) {
        match name {
            "interval" => self.interval.decode(node),
            "retryInterval" => self.retry_interval.decode(node),
            "timeout" => self.timeout.decode(node),
            "prune" => self.prune.decode(node),
            "deletionPolicy" => self.deletion_policy.decode(node),
            "sourceRef" => self.source_ref.decode(node),
            "commonMetadata" => self.common_metadata.decode(node),
            "postBuild" => self.post_build.decode(node),
            "decryption" => self.decryption.decode(node),
            "dependsOn" => self.depends_on.decode(node),
            "wait" => self.wait.decode(node),
            "healthChecks" => self.health_checks.decode(node),
            "healthCheckExprs" => self.health_check_exprs.decode(node),
            "force" => self.force.decode(node),
            "ignore" => self.ignore.decode(node),
            "suspend" => self.suspend.decode(node),
            "serviceAccountName" => self.service_account_name.decode(node),
            "kubeConfig" => self.kube_config.decode(node),
            name => decode_build(&mut self.spec, name, node),
        }
    }

    /// The time that applying and waiting may take; never under half a minute.
    ///
    /// Source: kustomize-controller `api/v1/kustomization_types.go`, `GetTimeout`.
    #[must_use]
    pub fn budget(&self) -> std::time::Duration {
        let least = std::time::Duration::from_secs(30);
        let interval = self.interval.unwrap_or_default().0;
        let budget = self.timeout.map_or(interval.saturating_sub(least), |timeout| timeout.0);
        budget.max(least)
    }

    /// The source that it names, its namespace filled in.
    #[must_use]
    pub fn source(&self) -> SourceRef {
        let mut source = self.source_ref.clone();
        if source.namespace.is_empty() {
            source.namespace = self.meta.namespace.clone();
        }
        source
    }

    /// Whether another one renders to the same from the same files and variables.
    #[must_use]
    pub fn renders_as(&self, other: &Self) -> bool {
        let names = |one: &Self| (one.meta.namespace.clone(), one.meta.name.clone());
        let after = |one: &Self| {
            one.post_build.as_ref().map(|one| {
                let from = one.substitute_from.iter();
                let from: Vec<_> = from.map(|r| (r.kind, r.name.clone(), r.optional)).collect();
                (one.strategy, one.substitute.clone(), from)
            })
        };
        names(self) == names(other)
            && self.spec == other.spec
            && self.common_metadata == other.common_metadata
            && self.decryption == other.decryption
            && after(self) == after(other)
    }
}

/// The fields that take part in the build.
fn decode_build(spec: &mut Spec, name: &str, node: &Node<'_>) {
    match name {
        "path" => spec.path.decode(node),
        "targetNamespace" => {
            spec.target_namespace.decode(node);
            checked::length(node, &spec.target_namespace, 1, checked::MOST.1);
            if !spec.target_namespace.is_empty() && spec.target_namespace.len() <= checked::MOST.1 {
                checked::namespace(node, &spec.target_namespace);
            }
        }
        "namePrefix" => {
            spec.name_prefix.decode(node);
            checked::length(node, &spec.name_prefix, 1, AFFIX);
        }
        "nameSuffix" => {
            spec.name_suffix.decode(node);
            checked::length(node, &spec.name_suffix, 1, AFFIX);
        }
        "patches" => spec.patches.decode(node),
        "images" => spec.images.decode(node),
        "components" => spec.components.decode(node),
        "ignoreMissingComponents" => spec.ignore_missing_components.decode(node),
        "buildMetadata" => {
            spec.build_metadata.clear();
            node.elements(|node| {
                let text = node.text().unwrap_or_default();
                checked::one_of(node, &text, &["originAnnotations", "transformerAnnotations"]);
                spec.build_metadata.push(text.into());
            });
        }
        "patchesStrategicMerge" => {
            spec.patches_strategic_merge.clear();
            node.elements(|node| {
                if node.value.as_map().is_none() {
                    node.expected("a mapping");
                }
                spec.patches_strategic_merge.push(as_json(node));
            });
        }
        "patchesJson6902" => spec.patches_json6902.decode(node),
        "validation" => {
            let text = node.text().unwrap_or_default();
            checked::one_of(node, &text, &["none", "client", "server"]);
        }
        _ => {}
    }
}

/// Longest prefix and suffix of names.
const AFFIX: usize = 200;

/// A value of any shape.
pub(super) fn as_json(node: &Node<'_>) -> serde_json::Value {
    json::to_json(&node.settled()).unwrap_or_else(|error| {
        node.problem(error.message(), None);
        serde_json::Value::Null
    })
}

object!(Kustomization);

impl Decode for String {
    fn decode(&mut self, node: &Node<'_>) {
        if let Some(text) = node.text() {
            *self = text.into();
        }
    }
}

choice!(DeletionPolicy {
    "MirrorPrune" => MirrorPrune,
    "Delete" => Delete,
    "WaitForTermination" => WaitForTermination,
    "Orphan" => Orphan,
});

choice!(Strategy { "WithVariables" => WithVariables, "Always" => Always });

choice!(Kind { "ConfigMap" => ConfigMap, "Secret" => Secret });

/// The kinds of sources of a Kustomization.
const SOURCE_KINDS: [&str; 4] = ["GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"];

impl Decode for SourceRef {
    fn decode(&mut self, node: &Node<'_>) {
        decode_reference(self, node, &SOURCE_KINDS);
    }
}

/// A reference of which the kind and the name have to be there.
pub(super) fn decode_reference(into: &mut SourceRef, node: &Node<'_>, kinds: &[&str]) {
    each(node, &["apiVersion", "kind", "name", "namespace"], &["kind", "name"], |name, node| {
        match name {
            "apiVersion" => into.api_version.decode(node),
            "kind" => {
                into.kind.decode(node);
                checked::one_of(node, &into.kind, kinds);
            }
            "name" => {
                into.name.decode(node);
                checked::name(node, &into.name);
            }
            _ => {
                into.namespace.decode(node);
                checked::namespace(node, &into.namespace);
            }
        }
    });
}

fields!(CommonMetadata { "labels": labels, "annotations": annotations });

fields!(PostBuild {
    "substituteStrategy": strategy,
    "substitute": substitute,
    "substituteFrom": substitute_from,
});

impl Decode for Reference {
    fn decode(&mut self, node: &Node<'_>) {
        self.place = Some(node.place());
        each(node, &["kind", "name", "optional"], &["kind", "name"], |name, node| match name {
            "kind" => self.kind.decode(node),
            "name" => {
                self.name.decode(node);
                checked::length(node, &self.name, 1, checked::MOST.0);
            }
            _ => self.optional.decode(node),
        });
    }
}

impl Decode for Decryption {
    fn decode(&mut self, node: &Node<'_>) {
        each(
            node,
            &["provider", "secretRef", "serviceAccountName"],
            &["provider"],
            |name, node| match name {
                "provider" => {
                    self.provider.decode(node);
                    checked::one_of(node, &self.provider, &["sops"]);
                }
                "secretRef" => checked::local_name(&mut self.secret_ref, node),
                _ => self.service_account_name.decode(node),
            },
        );
    }
}

impl Decode for Dependency {
    fn decode(&mut self, node: &Node<'_>) {
        each(node, &["name", "namespace", "readyExpr"], &["name"], |name, node| match name {
            "name" => self.name.decode(node),
            "namespace" => self.namespace.decode(node),
            _ => {
                self.ready_expr.decode(node);
                checked::expression(node, &self.ready_expr);
            }
        });
    }
}

fields!(ObjectRef {
    "apiVersion": api_version,
    "kind": kind,
    "name": name,
    "namespace": namespace,
} needs "kind", "name");

impl Decode for HealthCheckExpr {
    fn decode(&mut self, node: &Node<'_>) {
        let names = ["apiVersion", "kind", "current", "inProgress", "failed"];
        each(node, &names, &["apiVersion", "current"], |name, node| {
            let text = match name {
                "apiVersion" => return self.api_version.decode(node),
                "kind" => return self.kind.decode(node),
                "current" => &mut self.current,
                "inProgress" => &mut self.in_progress,
                _ => &mut self.failed,
            };
            text.decode(node);
            checked::expression(node, text);
        });
    }
}

impl Decode for IgnoreRule {
    fn decode(&mut self, node: &Node<'_>) {
        each(node, &["paths", "target"], &["paths"], |name, node| match name {
            "paths" => {
                self.paths.decode(node);
                node.elements(pointer);
            }
            _ => self.target.decode(node),
        });
    }
}

/// Source: RFC 6901.
fn pointer(node: &Node<'_>) {
    let Some(text) = node.value.as_text() else { return };
    if node.is_strict() && !text.is_empty() && !text.starts_with('/') {
        let hint = format!("begin it with a slash: \"/{}\"", text.replace('.', "/"));
        node.problem(format!("\"{text}\" is no JSON pointer"), Some(hint));
    }
}

impl Decode for KubeConfig {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["configMapRef", "secretRef"], |name, node| match name {
            "configMapRef" => checked::local_name(&mut self.config_map_ref, node),
            _ if node.is_null() => {}
            _ => {
                let (mut secret, mut key) = (EcoString::new(), EcoString::new());
                each(node, &["name", "key"], &["name"], |name, node| match name {
                    "name" => secret.decode(node),
                    _ => key.decode(node),
                });
                self.secret_ref = Some((secret, key));
            }
        });
        if !node.is_strict() {
            return;
        }
        match (&self.config_map_ref, &self.secret_ref) {
            (Some(_), Some(_)) => {
                let message = "\"secretRef\" and \"configMapRef\" exclude each other";
                node.problem_under("secretRef", message, None);
            }
            (None, None) => {
                node.problem("needs \"secretRef\" or \"configMapRef\"", None);
            }
            _ => {}
        }
    }
}

fields!(Patch { "patch": patch, "target": target } needs "patch");

fields!(Selector {
    "group": group,
    "version": version,
    "kind": kind,
    "namespace": namespace,
    "name": name,
    "labelSelector": label_selector,
    "annotationSelector": annotation_selector,
});

fields!(Image {
    "name": name,
    "newName": new_name,
    "newTag": new_tag,
    "digest": digest,
} needs "name");

impl Decode for Json6902Patch {
    fn decode(&mut self, node: &Node<'_>) {
        each(node, &["patch", "target"], &["patch", "target"], |name, node| match name {
            "patch" => {
                self.patch.clear();
                node.elements(|node| self.patch.push(as_json(node)));
            }
            _ => self.target.decode(node),
        });
    }
}
