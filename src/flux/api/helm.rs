//! Charts, and their releases.

use ecow::EcoString;
use sha2::{Digest as _, Sha256};

use super::checked::{self, Duration};
use super::kustomization::{
    CommonMetadata, Dependency, HealthCheckExpr, KubeConfig, SourceRef, as_json, decode_reference,
};
use super::source::short;
use super::{Meta, choice, each, object};
use crate::error::Place;
use crate::flux::substitute::Kind;
use crate::flux::{Image, Patch};
use crate::kustomization::node::{Decode, Node};
use crate::value::Value;

/// A release of a chart.
#[derive(Clone, Debug, Default)]
pub struct HelmRelease {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// A chart of a repository.
    pub chart: Option<Chart>,
    /// Or a source that is a chart.
    pub chart_ref: Option<ChartRef>,
    /// The name of the release; made of those of object and target where it is empty.
    pub release_name: EcoString,
    /// Where it is installed; in its own namespace where it is empty.
    pub target_namespace: EcoString,
    /// Where Helm keeps its records; as the one of the object where it is empty.
    pub storage_namespace: EcoString,
    /// Values, over all others.
    pub values: Option<serde_json::Value>,
    /// Where more of them are; later ones win.
    pub values_from: Vec<ValuesReference>,
    /// Releases that come before this one.
    pub depends_on: Vec<Dependency>,
    /// How it is installed.
    pub install: Install,
    /// What an upgrade does with definitions of kinds.
    pub upgrade_crds: Crds,
    /// Whether its tests are run.
    pub runs_tests: bool,
    /// Patches on what the chart renders to.
    pub post_renderers: Vec<PostRenderer>,
    /// Which objects they are for.
    pub post_render_strategy: PostRenderStrategy,
    /// Labels and annotations for every object.
    pub common_metadata: Option<CommonMetadata>,
    /// What health means for kinds that nobody knows.
    pub health_check_exprs: Vec<HealthCheckExpr>,
    /// The cluster that it is installed in, where that is another one.
    pub kube_config: Option<KubeConfig>,
    /// The service account that installs it.
    pub service_account_name: EcoString,
    /// How often it is reconciled.
    pub interval: Option<Duration>,
    /// What each step may take.
    pub timeout: Option<Duration>,
    /// Whether it is not reconciled.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

/// A chart of a repository, as a release has it made.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The name in a repository of charts, a path in others.
    pub chart: EcoString,
    /// A range of versions; any where it is empty.
    pub version: EcoString,
    /// The repository.
    pub source_ref: SourceRef,
    /// Files with values in the source, later ones win.
    pub values_files: Vec<EcoString>,
    /// Whether some of them may be missing.
    pub ignore_missing_values_files: bool,
    /// `ChartVersion` or `Revision`.
    pub reconcile_strategy: EcoString,
}

/// A source that is a chart.
pub type ChartRef = SourceRef;

/// A ConfigMap or Secret with values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ValuesReference {
    /// Which of them.
    pub kind: Kind,
    /// Its name.
    pub name: EcoString,
    /// The key; `values.yaml` where it is empty.
    pub values_key: EcoString,
    /// Where in the values they go, in Helm's syntax; to the root where it is empty.
    pub target_path: EcoString,
    /// Whether it may be missing.
    pub optional: bool,
    /// Whether the text at the target is taken as it is.
    pub literal: bool,
    /// Where the reference is written.
    pub place: Option<Place>,
}

/// How a release is installed, as far as it decides on what is rendered.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Install {
    /// Whether the namespace is made.
    pub create_namespace: bool,
    /// What is done with definitions of kinds.
    pub crds: Crds,
    /// Whether hooks are left out.
    pub disable_hooks: bool,
    /// Whether objects are not held against the schemas of the cluster.
    pub disable_open_api_validation: bool,
    /// Whether values are not held against the schema of the chart.
    pub disable_schema_validation: bool,
}

/// What is done with definitions of kinds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Crds {
    /// As the step has it: installs create, upgrades skip.
    #[default]
    Unset,
    /// They are left out.
    Skip,
    /// Those that are not there are made.
    Create,
    /// All are made, or made anew.
    CreateReplace,
}

/// Which objects go through post-renderers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PostRenderStrategy {
    /// Hooks and all others, together.
    #[default]
    Combined,
    /// All others.
    NoHooks,
    /// Hooks and all others, each for themselves.
    Separate,
}

/// One entry of `postRenderers`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PostRenderer {
    /// Patches.
    pub patches: Vec<Patch>,
    /// Images.
    pub images: Vec<Image>,
}

/// A repository of charts.
#[derive(Clone, Debug, Default)]
pub struct HelmRepository {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// `https`, `http` or `oci`.
    pub url: EcoString,
    /// `default` or `oci`.
    pub kind: EcoString,
    /// The Secret with credentials.
    pub secret_ref: Option<EcoString>,
    /// Whether they go to other hosts too.
    pub pass_credentials: bool,
    /// Whether the registry speaks plain HTTP.
    pub insecure: bool,
    /// How to sign in.
    pub provider: EcoString,
    /// How often its index is fetched.
    pub interval: Option<Duration>,
    /// What fetching may take.
    pub timeout: Option<Duration>,
    /// Whether it is not fetched.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

/// A chart of a repository.
#[derive(Clone, Debug, Default)]
pub struct HelmChart {
    /// Name, namespace and so on.
    pub meta: Meta,
    /// Which chart of which source.
    pub chart: Chart,
    /// How often it is looked for.
    pub interval: Option<Duration>,
    /// Whether it is not.
    pub suspend: bool,
    /// What the controller has written.
    pub status: Value,
}

const CHART_SOURCES: [&str; 3] = ["HelmRepository", "GitRepository", "Bucket"];

choice!(PostRenderStrategy {
    "combined" => Combined,
    "nohooks" => NoHooks,
    "separate" => Separate,
});

choice!(Crds { "Skip" => Skip, "Create" => Create, "CreateReplace" => CreateReplace });

object!(HelmRelease);

const RELEASE: [&str; 26] = [
    "chart",
    "chartRef",
    "interval",
    "kubeConfig",
    "suspend",
    "releaseName",
    "targetNamespace",
    "storageNamespace",
    "dependsOn",
    "timeout",
    "maxHistory",
    "serviceAccountName",
    "persistentClient",
    "driftDetection",
    "install",
    "upgrade",
    "test",
    "rollback",
    "uninstall",
    "valuesFrom",
    "values",
    "commonMetadata",
    "postRenderers",
    "postRenderStrategy",
    "waitStrategy",
    "healthCheckExprs",
];

impl HelmRelease {
    /// The name of the release: the one that is given, else composed of target namespace and name; a long one is cut.
    ///
    /// Source: helm-controller `api/v2/helmrelease_types.go`, `GetReleaseName`; `internal/release/name.go`.
    #[must_use]
    pub fn composed_name(&self) -> String {
        let name = match (self.release_name.as_str(), self.target_namespace.as_str()) {
            ("", "") => self.meta.name.to_string(),
            ("", target) => format!("{target}-{}", self.meta.name),
            (name, _) => name.to_owned(),
        };
        if name.len() <= RELEASE_NAME {
            return name;
        }
        let hash: String = Sha256::digest(name.as_bytes())
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let kept = name.char_indices().map(|(at, _)| at).take_while(|at| *at <= RELEASE_NAME - 13);
        format!("{}-{hash}", &name[..kept.last().unwrap_or(0)])
    }

    /// Where its objects go that name no namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        if self.target_namespace.is_empty() { &self.meta.namespace } else { &self.target_namespace }
    }

    fn decode_spec(&mut self, node: &Node<'_>) {
        let present =
            each(node, &RELEASE, &["interval"], |name, node| self.decode_field(name, node));
        if !node.is_strict() {
            return;
        }
        match (present.contains(&"chart"), present.contains(&"chartRef")) {
            (true, true) => {
                let message = "\"chart\" and \"chartRef\" exclude each other";
                node.problem_under("chartRef", message, None);
            }
            (false, false) => node.problem("needs \"chart\" or \"chartRef\"", None),
            _ => {}
        }
    }

    fn decode_field(&mut self, name: &str, node: &Node<'_>) {
        match name {
            "chart" => {
                let mut chart = Chart::default();
                each(node, &["metadata", "spec"], &["spec"], |name, node| match name {
                    "metadata" => CommonMetadata::default().decode(node),
                    _ => chart.decode(node, &RELEASE_CHART),
                });
                self.chart = (!node.is_null()).then_some(chart);
            }
            "chartRef" => {
                let mut reference = ChartRef::default();
                let kinds = ["OCIRepository", "HelmChart", "ExternalArtifact"];
                decode_reference(&mut reference, node, &kinds);
                self.chart_ref = (!node.is_null()).then_some(reference);
            }
            "interval" => self.interval.decode(node),
            "timeout" => self.timeout.decode(node),
            "kubeConfig" => self.kube_config.decode(node),
            "suspend" => self.suspend.decode(node),
            "releaseName" => bounded(&mut self.release_name, node, RELEASE_NAME),
            "targetNamespace" => bounded(&mut self.target_namespace, node, checked::MOST.1),
            "storageNamespace" => bounded(&mut self.storage_namespace, node, checked::MOST.1),
            "serviceAccountName" => bounded(&mut self.service_account_name, node, checked::MOST.0),
            "dependsOn" => self.depends_on.decode(node),
            "install" => self.install.decode(node),
            "upgrade" => decode_upgrade(&mut self.upgrade_crds, node),
            "valuesFrom" => self.values_from.decode(node),
            "values" => {
                if node.value.as_map().is_none() && !node.is_null() {
                    node.expected("a mapping");
                }
                self.values = (!node.is_null()).then(|| as_json(node));
            }
            "commonMetadata" => self.common_metadata.decode(node),
            "postRenderers" => self.post_renderers.decode(node),
            "postRenderStrategy" => self.post_render_strategy.decode(node),
            "test" => decode_test(&mut self.runs_tests, node),
            "healthCheckExprs" => self.health_check_exprs.decode(node),
            "maxHistory" => {
                let _ = node.integer();
            }
            "persistentClient" => {
                let _ = node.boolean();
            }
            _ => {}
        }
    }
}

fn decode_test(runs: &mut bool, node: &Node<'_>) {
    let names = ["enable", "timeout", "ignoreFailures", "filters"];
    each(node, &names, &[], |name, node| match name {
        "enable" => runs.decode(node),
        "timeout" => Option::<Duration>::None.decode(node),
        "ignoreFailures" => {
            let _ = node.boolean();
        }
        _ => {}
    });
}

/// Longest name of a release.
const RELEASE_NAME: usize = 53;

fn bounded(into: &mut EcoString, node: &Node<'_>, most: usize) {
    into.decode(node);
    checked::length(node, into, 1, most);
}

/// The fields of a chart within a release.
const RELEASE_CHART: [&str; 8] = [
    "chart",
    "version",
    "sourceRef",
    "interval",
    "reconcileStrategy",
    "valuesFiles",
    "ignoreMissingValuesFiles",
    "verify",
];

impl Chart {
    fn decode(&mut self, node: &Node<'_>, names: &[&'static str]) {
        each(node, names, &["chart", "sourceRef"], |name, node| match name {
            "interval" => Option::<Duration>::None.decode(node),
            name => self.decode_field(name, node),
        });
    }

    fn decode_field(&mut self, name: &str, node: &Node<'_>) {
        match name {
            "chart" => bounded(&mut self.chart, node, 2048),
            "version" => self.version.decode(node),
            "sourceRef" => decode_reference(&mut self.source_ref, node, &CHART_SOURCES),
            "valuesFiles" => self.values_files.decode(node),
            "ignoreMissingValuesFiles" => self.ignore_missing_values_files.decode(node),
            "reconcileStrategy" => {
                self.reconcile_strategy.decode(node);
                checked::one_of(node, &self.reconcile_strategy, &["ChartVersion", "Revision"]);
            }
            _ => {}
        }
    }
}

impl Decode for ValuesReference {
    fn decode(&mut self, node: &Node<'_>) {
        self.place = Some(node.place());
        let names = ["kind", "name", "valuesKey", "targetPath", "optional", "literal"];
        each(node, &names, &["kind", "name"], |name, node| match name {
            "kind" => self.kind.decode(node),
            "name" => bounded(&mut self.name, node, checked::MOST.0),
            "valuesKey" => {
                self.values_key.decode(node);
                checked::length(node, &self.values_key, 0, checked::MOST.0);
            }
            "targetPath" => {
                self.target_path.decode(node);
                checked::length(node, &self.target_path, 0, 250);
            }
            "optional" => self.optional.decode(node),
            _ => self.literal.decode(node),
        });
    }
}

impl Decode for Install {
    fn decode(&mut self, node: &Node<'_>) {
        let names = [
            "timeout",
            "strategy",
            "remediation",
            "disableTakeOwnership",
            "disableWait",
            "disableWaitForJobs",
            "disableHooks",
            "disableOpenAPIValidation",
            "disableSchemaValidation",
            "replace",
            "skipCRDs",
            "crds",
            "createNamespace",
            "serverSideApply",
        ];
        each(node, &names, &[], |name, node| match name {
            "timeout" => Option::<Duration>::None.decode(node),
            "strategy" | "remediation" => {}
            "crds" => self.crds.decode(node),
            "disableHooks" => self.disable_hooks.decode(node),
            "createNamespace" => self.create_namespace.decode(node),
            "disableOpenAPIValidation" => self.disable_open_api_validation.decode(node),
            "disableSchemaValidation" => self.disable_schema_validation.decode(node),
            "skipCRDs" => {
                if node.boolean() == Some(true) && self.crds == Crds::Unset {
                    self.crds = Crds::Skip;
                }
            }
            _ => {
                let _ = node.boolean();
            }
        });
    }
}

fn decode_upgrade(crds: &mut Crds, node: &Node<'_>) {
    let names = [
        "timeout",
        "strategy",
        "remediation",
        "disableTakeOwnership",
        "disableWait",
        "disableWaitForJobs",
        "disableHooks",
        "disableOpenAPIValidation",
        "disableSchemaValidation",
        "force",
        "preserveValues",
        "cleanupOnFail",
        "crds",
        "serverSideApply",
        "chartNameChangeStrategy",
    ];
    each(node, &names, &[], |name, node| match name {
        "timeout" => Option::<Duration>::None.decode(node),
        "crds" => crds.decode(node),
        "strategy" | "remediation" | "serverSideApply" | "chartNameChangeStrategy" => {}
        _ => {
            let _ = node.boolean();
        }
    });
}

impl Decode for PostRenderer {
    fn decode(&mut self, node: &Node<'_>) {
        each(node, &["kustomize"], &[], |_, node| {
            // The two others were there before v2.
            let names = ["patches", "images", "patchesStrategicMerge", "patchesJson6902"];
            each(node, &names, &[], |name, node| match name {
                "patches" => self.patches.decode(node),
                "images" => self.images.decode(node),
                _ => {}
            });
        });
    }
}

object!(HelmRepository);

impl HelmRepository {
    fn decode_spec(&mut self, node: &Node<'_>) {
        let names = [
            "url",
            "type",
            "secretRef",
            "passCredentials",
            "insecure",
            "provider",
            "interval",
            "timeout",
            "suspend",
            "certSecretRef",
            "accessFrom",
        ];
        let mut ignored = None;
        each(node, &names, &["url"], |name, node| match name {
            "url" => {
                self.url.decode(node);
                checked::scheme(node, &self.url, &["https", "http", "oci"]);
            }
            "type" => {
                self.kind.decode(node);
                checked::one_of(node, &self.kind, &["default", "oci"]);
            }
            "secretRef" => checked::local_name(&mut self.secret_ref, node),
            "passCredentials" => self.pass_credentials.decode(node),
            "insecure" => self.insecure.decode(node),
            "provider" => {
                self.provider.decode(node);
                checked::one_of(node, &self.provider, &["generic", "aws", "azure", "gcp"]);
            }
            "interval" => self.interval.decode(node),
            "timeout" => short(&mut self.timeout, node),
            "suspend" => self.suspend.decode(node),
            "certSecretRef" => checked::local_name(&mut ignored, node),
            _ => {}
        });
    }
}

object!(HelmChart);

impl HelmChart {
    fn decode_spec(&mut self, node: &Node<'_>) {
        let names = [
            "chart",
            "version",
            "sourceRef",
            "interval",
            "reconcileStrategy",
            "valuesFiles",
            "ignoreMissingValuesFiles",
            "verify",
            "suspend",
        ];
        let needed = ["chart", "sourceRef", "interval"];
        let present = each(node, &names, &needed, |name, node| match name {
            "interval" => self.interval.decode(node),
            "suspend" => self.suspend.decode(node),
            name => self.chart.decode_field(name, node),
        });
        let kind = self.chart.source_ref.kind.as_str();
        if node.is_strict() && present.contains(&"verify") && kind != "HelmRepository" {
            let message = "\"verify\" goes with a HelmRepository only";
            node.problem_under("verify", message, None);
        }
    }
}
