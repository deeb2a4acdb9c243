//! Which fields a transformer changes: kustomize's defaults, and what a layer adds to them.
//!
//! The tables are facts of kustomize 5.8.1, `api/internal/konfig/builtinpluginconsts`, here written
//! kind by kind. A layer adds to them with `configurations` and `crds`; what a base adds holds for
//! the layers above it too.

use std::sync::{Arc, LazyLock};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::json;
use crate::kustomization::node::{Decode, Node, Rules, decode_as};
use crate::kustomization::{FieldSpec, Source, decode_gvk};
use crate::limits::Limits;
use crate::resource::Gvk;
use crate::transform::sort;
use crate::value::{Map, Value};
use crate::yaml::{self, Step};

/// The fields of each transformer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `namePrefix`
    pub name_prefix: Vec<FieldSpec>,
    /// `nameSuffix`
    pub name_suffix: Vec<FieldSpec>,
    /// `namespace`
    pub namespace: Vec<FieldSpec>,
    /// `commonLabels`: labels and selectors
    pub common_labels: Vec<FieldSpec>,
    /// `labels`: what every entry of `labels` sets besides `metadata/labels`
    pub labels: Vec<FieldSpec>,
    /// `templateLabels`: labels of objects and of the templates in them
    pub template_labels: Vec<FieldSpec>,
    /// `commonAnnotations`
    pub common_annotations: Vec<FieldSpec>,
    /// `nameReference`
    pub name_references: Vec<References>,
    /// `varReference`
    pub var_references: VarReferences,
    /// `images`
    pub images: Vec<FieldSpec>,
    /// `replicas`
    pub replicas: Vec<FieldSpec>,
}

/// The fields that hold the name of an object of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// The kind that is referred to; blank parts match anything.
    pub target: Gvk,
    /// Where its name stands.
    pub fields: Vec<FieldSpec>,
}

/// The fields that vars are put into: kustomize's own are made once something asks for them, for few
/// kustomizations have vars.
#[derive(Clone, Debug)]
pub enum VarReferences {
    /// Kustomize's own.
    Builtin,
    /// These.
    Own(Vec<FieldSpec>),
}

impl VarReferences {
    /// All of them, in their order.
    #[must_use]
    pub fn specs(&self) -> &[FieldSpec] {
        static BUILTIN: LazyLock<Vec<FieldSpec>> = LazyLock::new(|| {
            let mut specs = tables::var_references();
            sort::by_kind(&mut specs, |spec| &spec.gvk);
            specs
        });
        match self {
            Self::Builtin => &BUILTIN,
            Self::Own(specs) => specs,
        }
    }

    fn specs_mut(&mut self) -> &mut Vec<FieldSpec> {
        match self {
            Self::Own(specs) => specs,
            Self::Builtin => {
                *self = Self::Own(self.specs().to_vec());
                self.specs_mut()
            }
        }
    }
}

impl Default for VarReferences {
    fn default() -> Self {
        Self::Own(Vec::new())
    }
}

impl PartialEq for VarReferences {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Builtin, Self::Builtin)) || self.specs() == other.specs()
    }
}

static BUILTIN: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(tables::config().sorted()));

impl Config {
    /// Kustomize's defaults.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// This one with `incoming` added, as kustomize adds the configuration of a layer or a base.
    ///
    /// A spec is left out where one is there already that `incoming`'s selects, even if `incoming`'s
    /// selects more; so adding `metadata/labels` of one kind loses the default for all kinds.
    ///
    /// Source: kustomize `api/types/fieldspec.go`, `api/internal/plugins/builtinconfig`.
    /// # Errors
    /// Where two specs of a field disagree on `create`.
    pub fn merged(
        self: &Arc<Self>,
        incoming: &Arc<Self>,
        place: impl FnOnce() -> Place,
    ) -> Result<Arc<Self>> {
        let nothing_new = Arc::ptr_eq(self, incoming) || **incoming == Self::default();
        if nothing_new {
            return Ok(Arc::clone(self));
        }
        if **self == Self::default() && Arc::ptr_eq(incoming, &BUILTIN) {
            return Ok(Arc::clone(incoming));
        }
        let mut config = Self::clone(self);
        config.add(incoming).map_err(|conflict| conflict.at(place()))?;
        Ok(Arc::new(config.sorted()))
    }

    /// What a file of `configurations` says.
    ///
    /// # Errors
    /// Where it is no YAML, or has a field that does not exist or of the wrong type.
    pub fn read(source: &Source, limits: &Limits) -> Result<Arc<Self>> {
        let value = yaml::read_first(&source.text, &source.file, limits)?;
        let place = |path: &[Step<'_>]| source.place(path);
        if let Some((key, path)) = twice(&value) {
            let message = format!("\"{key}\" stands there twice");
            return Err(Error::new(ErrorKind::Invalid, place(&path), message));
        }
        let config: Self = decode_as(&value, Rules::CONFIGURATION, &place)?;
        Ok(Arc::new(config.sorted()))
    }

    /// What a file of `crds` says: OpenAPI definitions by name, whose properties say with extensions
    /// which of them hold names, labels and annotations.
    ///
    /// Source: kustomize `api/internal/accumulator/loadconfigfromcrds.go`.
    /// # Errors
    /// Where it begins as JSON and is none, where it is no YAML, or a definition leads back to itself.
    pub fn read_crds(source: &Source, limits: &Limits) -> Result<Arc<Self>> {
        let place = || Place::file(source.file.clone());
        let value = match source.text.first() {
            Some(b'{') => json::from_json(&json::read(&source.text, &source.file)?),
            _ => yaml::read_first(&source.text, &source.file, limits)?,
        };
        let definitions = match &value {
            Value::Map(definitions) => definitions,
            _ if value.is_null() && !source.text.is_empty() => return Ok(Arc::default()),
            _ => {
                let message = "expected a mapping from names to OpenAPI definitions";
                return Err(Error::new(ErrorKind::Invalid, place(), message));
            }
        };
        let mut config = Arc::new(Self::default());
        for (name, definition) in definitions.iter() {
            if !(definition.is_null() || definition.as_map().is_some()) {
                let place = source.place(&[Step::Key(&name.text)]);
                let message = format!("\"{}\" is no OpenAPI definition", name.text);
                let hint = "a CustomResourceDefinition itself belongs under \"resources\"";
                return Err(Error::new(ErrorKind::Invalid, place, message).hint(hint));
            }
            let Some(properties) = properties(definitions, &name.text) else { continue };
            if !["kind", "apiVersion", "metadata"].iter().all(|key| properties.has(key)) {
                continue;
            }
            let kind = name.text.rsplit('.').next().unwrap_or_default().into();
            let mut found = Definitions {
                definitions,
                kind: Gvk { kind, ..Gvk::default() },
                config: Self::default(),
                depth: limits.depth,
            };
            found
                .visit(&name.text, &mut Vec::new())
                .map_err(|message| Error::new(ErrorKind::Limit, place(), message))?;
            config = config.merged(&Arc::new(found.config), place)?;
        }
        Ok(config)
    }

    fn add(&mut self, incoming: &Self) -> std::result::Result<(), Conflict> {
        let mut incoming = incoming.clone();
        for (list, more) in self.lists().into_iter().zip(incoming.lists()) {
            merge(list, more)?;
        }
        merge(self.var_references.specs_mut(), incoming.var_references.specs())?;
        for more in &incoming.name_references {
            match self.name_references.iter_mut().find(|have| have.target == more.target) {
                Some(have) => merge(&mut have.fields, &more.fields)?,
                None => self.name_references.push(more.clone()),
            }
        }
        Ok(())
    }

    /// All but the fields that vars are put into.
    fn lists(&mut self) -> [&mut Vec<FieldSpec>; 9] {
        [
            &mut self.name_prefix,
            &mut self.name_suffix,
            &mut self.namespace,
            &mut self.common_labels,
            &mut self.labels,
            &mut self.template_labels,
            &mut self.common_annotations,
            &mut self.images,
            &mut self.replicas,
        ]
    }

    /// Sorts as kustomize does after each merge: the order decides which spec hides which.
    fn sorted(mut self) -> Self {
        for list in self.lists() {
            sort::by_kind(list, |spec| &spec.gvk);
        }
        sort::by_kind(&mut self.name_references, |group| &group.target);
        if let VarReferences::Own(specs) = &mut self.var_references {
            sort::by_kind(specs, |spec| &spec.gvk);
        }
        self
    }
}

impl Decode for Config {
    fn decode(&mut self, node: &Node<'_>) {
        let names = &[
            "namePrefix",
            "nameSuffix",
            "namespace",
            "commonLabels",
            "labels",
            "templateLabels",
            "commonAnnotations",
            "nameReference",
            "varReference",
            "images",
            "replicas",
        ];
        node.record(names, |name, node| match name {
            "namePrefix" => self.name_prefix.decode(node),
            "nameSuffix" => self.name_suffix.decode(node),
            "namespace" => self.namespace.decode(node),
            "commonLabels" => self.common_labels.decode(node),
            "labels" => self.labels.decode(node),
            "templateLabels" => self.template_labels.decode(node),
            "commonAnnotations" => self.common_annotations.decode(node),
            "nameReference" => self.name_references.decode(node),
            "varReference" => self.var_references.specs_mut().decode(node),
            "images" => self.images.decode(node),
            _ => self.replicas.decode(node),
        });
    }
}

impl Decode for References {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["group", "version", "kind", "fieldSpecs"], |name, node| match name {
            "fieldSpecs" => self.fields.decode(node),
            name => decode_gvk(&mut self.target, name, node),
        });
    }
}

/// A key that a mapping has twice, and the way to that mapping.
fn twice(value: &Value) -> Option<(&str, Vec<Step<'_>>)> {
    let behind = |step, value| {
        let (key, mut path) = twice(value)?;
        path.insert(0, step);
        Some((key, path))
    };
    match value {
        Value::Map(map) => {
            let here = map.twice().map(|key| (key.text.as_str(), Vec::new()));
            here.or_else(|| map.iter().find_map(|(key, one)| behind(Step::Key(&key.text), one)))
        }
        Value::List(list) => {
            list.iter().enumerate().find_map(|(at, one)| behind(Step::Index(at), one))
        }
        Value::Null | Value::Scalar(_) => None,
    }
}

/// One definition of a file of `crds`, and what its properties amount to.
struct Definitions<'a> {
    definitions: &'a Map,
    kind: Gvk,
    config: Config,
    depth: usize,
}

/// The properties of a definition.
fn properties<'a>(definitions: &'a Map, name: &str) -> Option<&'a Map> {
    let definition = definitions.get(name)?;
    let schema = definition.get("Schema").or_else(|| definition.get("schema"))?;
    schema.get("properties")?.as_map()
}

/// The text of an extension, whose name may be written in any case.
fn extension<'a>(property: &'a Value, name: &str) -> Option<&'a str> {
    let mut entries = property.as_map()?.iter();
    entries.find(|(key, _)| key.text.eq_ignore_ascii_case(name))?.1.as_str()
}

impl<'a> Definitions<'a> {
    fn visit(&mut self, name: &str, path: &mut Vec<&'a str>) -> std::result::Result<(), String> {
        if path.len() > self.depth {
            return Err(format!("definition \"{name}\" is nested too deeply"));
        }
        for (key, property) in properties(self.definitions, name).into_iter().flat_map(Map::iter) {
            path.push(&key.text);
            self.note(property, path);
            if let Some(reference) = property.text_at(&["$ref"]) {
                self.visit(reference, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    /// Adds what the extensions of one property say.
    fn note(&mut self, property: &Value, path: &[&str]) {
        let spec = FieldSpec { gvk: self.kind.clone(), path: path.join("/").into(), create: false };
        let lists = [
            ("x-kubernetes-annotation", &mut self.config.common_annotations),
            ("x-kubernetes-label-selector", &mut self.config.common_labels),
            ("x-kubernetes-identity", &mut self.config.name_prefix),
        ];
        for (name, list) in lists {
            if extension(property, name).is_some() {
                list.push(spec.clone());
            }
        }
        let version = extension(property, "x-kubernetes-object-ref-api-version");
        let kind = extension(property, "x-kubernetes-object-ref-kind");
        let (Some(version), Some(kind)) = (version, kind) else { return };
        let name = extension(property, "x-kubernetes-object-ref-name-key").unwrap_or("name");
        let target = Gvk { version: version.into(), kind: kind.into(), ..Gvk::default() };
        let path = ecow::eco_format!("{}/{name}", spec.path);
        let fields = vec![FieldSpec { path, ..spec }];
        self.config.name_references.push(References { target, fields });
    }
}

/// Two specs of the same field of which one creates what is missing and one does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    path: String,
}

impl Conflict {
    /// The error at the place that brought in the second spec.
    #[must_use]
    pub fn at(&self, place: Place) -> Error {
        let message =
            format!("conflicting field specs: two disagree on `create` of \"{}\"", self.path);
        Error::new(ErrorKind::Invalid, place, message)
    }
}

/// Adds the specs of `more` that select none of those that are there.
///
/// # Errors
/// Where one that is there disagrees on `create`.
pub fn merge(list: &mut Vec<FieldSpec>, more: &[FieldSpec]) -> std::result::Result<(), Conflict> {
    for spec in more {
        let same = |have: &&FieldSpec| have.path == spec.path && have.gvk.is_selected(&spec.gvk);
        match list.iter().find(same) {
            Some(have) if have.create != spec.create => {
                return Err(Conflict { path: spec.path.to_string() });
            }
            Some(_) => {}
            None => list.push(spec.clone()),
        }
    }
    Ok(())
}

/// The defaults.
mod tables {
    use ecow::EcoString;

    use super::{Config, References, VarReferences};
    use crate::kustomization::FieldSpec;
    use crate::resource::Gvk;

    /// Group, version and kind; blank parts match anything.
    type Kind = (&'static str, &'static str, &'static str);

    /// Kinds, and the paths that each of them has.
    type Table = &'static [(&'static [Kind], &'static [&'static str])];

    const fn any(kind: &'static str) -> Kind {
        ("", "", kind)
    }

    const DEPLOYMENT: Kind = any("Deployment");
    const REPLICA_SET: Kind = any("ReplicaSet");
    const DAEMON_SET: Kind = any("DaemonSet");
    const STATEFUL_SET: Kind = any("StatefulSet");
    const CRON_JOB: Kind = any("CronJob");
    const INGRESS: Kind = any("Ingress");
    const AUTOSCALER: Kind = any("HorizontalPodAutoscaler");
    const RBAC: &str = "rbac.authorization.k8s.io";
    const ADMISSION: &str = "admissionregistration.k8s.io";

    const NAMESPACE: Table = &[
        (&[any("Namespace")], &["+metadata/name"]),
        (&[("apiregistration.k8s.io", "", "APIService")], &["+spec/service/namespace"]),
        (
            &[("apiextensions.k8s.io", "", "CustomResourceDefinition")],
            &["spec/conversion/webhook/clientConfig/service/namespace"],
        ),
    ];

    const TEMPLATE_LABELS: Table = &[
        (&[any("")], &["+metadata/labels"]),
        (
            &[
                ("", "v1", "ReplicationController"),
                DEPLOYMENT,
                REPLICA_SET,
                DAEMON_SET,
                ("apps", "", "StatefulSet"),
                ("batch", "", "Job"),
            ],
            &["+spec/template/metadata/labels"],
        ),
        (&[("apps", "", "StatefulSet")], &["+spec/volumeClaimTemplates[]/metadata/labels"]),
        (
            &[("batch", "", "CronJob")],
            &[
                "+spec/jobTemplate/metadata/labels",
                "+spec/jobTemplate/spec/template/metadata/labels",
            ],
        ),
    ];

    const SELECTORS: Table = &[
        (&[("", "v1", "Service"), ("", "v1", "ReplicationController")], &["+spec/selector"]),
        (
            &[DEPLOYMENT, REPLICA_SET, DAEMON_SET, ("apps", "", "StatefulSet")],
            &["+spec/selector/matchLabels"],
        ),
        (
            &[("apps", "", "Deployment"), ("apps", "", "StatefulSet")],
            &[
                "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
            ],
        ),
        (
            &[("batch", "", "Job"), ("policy", "", "PodDisruptionBudget")],
            &["spec/selector/matchLabels"],
        ),
        (&[("batch", "", "CronJob")], &["spec/jobTemplate/spec/selector/matchLabels"]),
        (
            &[("networking.k8s.io", "", "NetworkPolicy")],
            &[
                "spec/podSelector/matchLabels",
                "spec/ingress/from/podSelector/matchLabels",
                "spec/egress/to/podSelector/matchLabels",
            ],
        ),
    ];

    const ANNOTATIONS: Table = &[
        (&[any("")], &["+metadata/annotations"]),
        (
            &[
                ("", "v1", "ReplicationController"),
                DEPLOYMENT,
                REPLICA_SET,
                DAEMON_SET,
                STATEFUL_SET,
                ("batch", "", "Job"),
            ],
            &["+spec/template/metadata/annotations"],
        ),
        (
            &[("batch", "", "CronJob")],
            &[
                "+spec/jobTemplate/metadata/annotations",
                "+spec/jobTemplate/spec/template/metadata/annotations",
            ],
        ),
    ];

    const IMAGES: Table = &[(
        &[any("")],
        &[
            "+spec/containers[]/image",
            "+spec/initContainers[]/image",
            "+spec/volumes[]/image/reference",
            "+spec/template/spec/containers[]/image",
            "+spec/template/spec/initContainers[]/image",
            "+spec/template/spec/volumes[]/image/reference",
        ],
    )];

    const REPLICAS: Table = &[(
        &[DEPLOYMENT, any("ReplicationController"), REPLICA_SET, STATEFUL_SET],
        &["+spec/replicas"],
    )];

    /// Where a pod's spec stands in the kinds that may name a ConfigMap or Secret.
    const CONFIGURED_PODS: &[(Kind, &str)] = &[
        (("", "v1", "Pod"), "spec"),
        (any("PodTemplate"), "template/spec"),
        (DEPLOYMENT, "spec/template/spec"),
        (REPLICA_SET, "spec/template/spec"),
        (DAEMON_SET, "spec/template/spec"),
        (STATEFUL_SET, "spec/template/spec"),
        (any("Job"), "spec/template/spec"),
        (CRON_JOB, "spec/jobTemplate/spec/template/spec"),
    ];

    /// Where a pod's spec stands in the kinds that may name what pods run with; kustomize forgot
    /// ReplicaSet and PodTemplate.
    const RUN_PODS: &[(Kind, &str)] = &[
        (any("Pod"), "spec"),
        (STATEFUL_SET, "spec/template/spec"),
        (DEPLOYMENT, "spec/template/spec"),
        (any("ReplicationController"), "spec/template/spec"),
        (CRON_JOB, "spec/jobTemplate/spec/template/spec"),
        (any("Job"), "spec/template/spec"),
        (DAEMON_SET, "spec/template/spec"),
    ];

    /// Who refers to a kind by name: pods at paths below their spec, and others.
    struct Referrers {
        target: Kind,
        pods: &'static [(Kind, &'static str)],
        in_pods: &'static [&'static str],
        others: Table,
    }

    const SCALED: Table = &[(&[AUTOSCALER], &["spec/scaleTargetRef/name"])];

    const fn scaled(kind: &'static str) -> Referrers {
        Referrers { target: any(kind), pods: &[], in_pods: &[], others: SCALED }
    }

    const REFERENCES: &[Referrers] = &[
        scaled("Deployment"),
        scaled("ReplicationController"),
        scaled("ReplicaSet"),
        scaled("StatefulSet"),
        Referrers {
            target: ("", "v1", "ConfigMap"),
            pods: CONFIGURED_PODS,
            in_pods: &[
                "volumes/configMap/name",
                "containers/env/valueFrom/configMapKeyRef/name",
                "initContainers/env/valueFrom/configMapKeyRef/name",
                "containers/envFrom/configMapRef/name",
                "initContainers/envFrom/configMapRef/name",
                "volumes/projected/sources/configMap/name",
            ],
            others: &[
                (&[any("Node")], &["spec/configSource/configMap"]),
                (&[any("Role"), any("ClusterRole")], &["rules/resourceNames"]),
                (
                    &[INGRESS],
                    &[
                        r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap",
                    ],
                ),
            ],
        },
        Referrers {
            target: ("", "v1", "Secret"),
            pods: CONFIGURED_PODS,
            in_pods: &[
                "volumes/secret/secretName",
                "containers/env/valueFrom/secretKeyRef/name",
                "initContainers/env/valueFrom/secretKeyRef/name",
                "containers/envFrom/secretRef/name",
                "initContainers/envFrom/secretRef/name",
                "imagePullSecrets/name",
                "volumes/projected/sources/secret/name",
            ],
            others: &[
                (
                    &[INGRESS],
                    &[
                        "spec/tls/secretName",
                        r"metadata/annotations/ingress.kubernetes.io\/auth-secret",
                        r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret",
                        r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret",
                    ],
                ),
                (&[any("ServiceAccount")], &["imagePullSecrets/name"]),
                (
                    &[any("StorageClass")],
                    &[
                        "parameters/secretName",
                        "parameters/adminSecretName",
                        "parameters/userSecretName",
                        "parameters/secretRef",
                    ],
                ),
                (&[any("Role"), any("ClusterRole")], &["rules/resourceNames"]),
                (
                    &[("serving.knative.dev", "v1", "Service")],
                    &["spec/template/spec/containers/env/valueFrom/secretKeyRef/name"],
                ),
                (&[any("PersistentVolume")], &["spec/azureFile/secretName"]),
            ],
        },
        Referrers {
            target: ("", "v1", "Service"),
            pods: &[],
            in_pods: &[],
            others: &[
                (&[("apps", "", "StatefulSet")], &["spec/serviceName"]),
                (
                    &[INGRESS],
                    &[
                        "spec/rules/http/paths/backend/serviceName",
                        "spec/backend/serviceName",
                        "spec/rules/http/paths/backend/service/name",
                        "spec/defaultBackend/service/name",
                    ],
                ),
                (&[("apiregistration.k8s.io", "", "APIService")], &["spec/service/name"]),
                (
                    &[
                        (ADMISSION, "", "ValidatingWebhookConfiguration"),
                        (ADMISSION, "", "MutatingWebhookConfiguration"),
                    ],
                    &["webhooks/clientConfig/service"],
                ),
            ],
        },
        Referrers {
            target: (RBAC, "", "Role"),
            pods: &[],
            in_pods: &[],
            others: &[(&[(RBAC, "", "RoleBinding")], &["roleRef/name"])],
        },
        Referrers {
            target: (RBAC, "", "ClusterRole"),
            pods: &[],
            in_pods: &[],
            others: &[(
                &[(RBAC, "", "RoleBinding"), (RBAC, "", "ClusterRoleBinding")],
                &["roleRef/name"],
            )],
        },
        Referrers {
            target: ("", "v1", "ServiceAccount"),
            pods: RUN_PODS,
            in_pods: &["serviceAccountName"],
            others: &[(
                &[(RBAC, "", "RoleBinding"), (RBAC, "", "ClusterRoleBinding")],
                &["subjects"],
            )],
        },
        Referrers {
            target: ("", "v1", "PersistentVolumeClaim"),
            pods: RUN_PODS,
            in_pods: &["volumes/persistentVolumeClaim/claimName"],
            others: &[],
        },
        Referrers {
            target: ("", "v1", "PersistentVolume"),
            pods: &[],
            in_pods: &[],
            others: &[
                (&[any("PersistentVolumeClaim")], &["spec/volumeName"]),
                (&[any("ClusterRole")], &["rules/resourceNames"]),
            ],
        },
        Referrers {
            target: ("storage.k8s.io", "v1", "StorageClass"),
            pods: &[],
            in_pods: &[],
            others: &[
                (
                    &[any("PersistentVolume"), any("PersistentVolumeClaim")],
                    &["spec/storageClassName"],
                ),
                (&[STATEFUL_SET], &["spec/volumeClaimTemplates/spec/storageClassName"]),
            ],
        },
        Referrers {
            target: ("scheduling.k8s.io", "v1", "PriorityClass"),
            pods: RUN_PODS,
            in_pods: &["priorityClassName"],
            others: &[],
        },
        Referrers {
            // The group holds a version too, in kustomize, and so never matches.
            target: ("networking.k8s.io/v1", "v1", "IngressClass"),
            pods: &[],
            in_pods: &[],
            others: &[(&[INGRESS], &["spec/ingressClassName"])],
        },
        Referrers {
            target: (ADMISSION, "", "ValidatingAdmissionPolicy"),
            pods: &[],
            in_pods: &[],
            others: &[(
                &[(ADMISSION, "", "ValidatingAdmissionPolicyBinding")],
                &["spec/policyName"],
            )],
        },
    ];

    /// Where a pod's spec stands in the kinds whose containers may hold `$(VAR)`.
    const VAR_PODS: &[(&str, &str)] = &[
        ("CronJob", "spec/jobTemplate/spec/template/spec"),
        ("DaemonSet", "spec/template/spec"),
        ("Deployment", "spec/template/spec"),
        ("Job", "spec/template/spec"),
        ("Pod", "spec"),
        ("ReplicaSet", "spec/template/spec"),
        ("StatefulSet", "spec/template/spec"),
    ];

    const VAR_IN_PODS: &[&str] = &[
        "containers/args",
        "containers/command",
        "containers/env/value",
        "containers/volumeMounts/mountPath",
        "initContainers/args",
        "initContainers/command",
        "initContainers/env/value",
        "initContainers/volumeMounts/mountPath",
    ];

    const VAR_OTHERS: Table = &[
        (&[any("")], &["metadata/labels", "metadata/annotations"]),
        (&[any("Pod")], &["spec/volumes/nfs/server"]),
        (
            &[DAEMON_SET, DEPLOYMENT, any("Job"), REPLICA_SET],
            &["spec/template/spec/volumes/nfs/server"],
        ),
        // Kustomize's paths: one misses the pod's spec, one is that of a volume in a claim.
        (&[CRON_JOB], &["spec/jobTemplate/spec/template/volumes/nfs/server"]),
        (&[STATEFUL_SET], &["spec/volumeClaimTemplates/spec/nfs/server"]),
        (&[DEPLOYMENT], &["spec/template/metadata/annotations"]),
        (&[INGRESS], &["spec/rules/host", "spec/tls/hosts", "spec/tls/secretName"]),
        (&[any("Service")], &["spec/ports/port", "spec/ports/targetPort"]),
        (&[any("PersistentVolume")], &["spec/nfs/server"]),
    ];

    /// All tables as lists of specs.
    pub(super) fn config() -> Config {
        let name = FieldSpec { path: "metadata/name".into(), ..FieldSpec::default() };
        Config {
            name_prefix: vec![name.clone()],
            name_suffix: vec![name],
            namespace: specs(NAMESPACE),
            common_labels: [specs(SELECTORS), specs(TEMPLATE_LABELS)].concat(),
            labels: Vec::new(),
            template_labels: specs(TEMPLATE_LABELS),
            common_annotations: specs(ANNOTATIONS),
            name_references: REFERENCES.iter().map(references).collect(),
            var_references: VarReferences::Builtin,
            images: specs(IMAGES),
            replicas: specs(REPLICAS),
        }
    }

    fn count(table: Table) -> usize {
        table.iter().map(|(kinds, paths)| kinds.len() * paths.len()).sum()
    }

    fn specs(table: Table) -> Vec<FieldSpec> {
        let mut specs = Vec::with_capacity(count(table));
        add(&mut specs, table);
        specs
    }

    /// Adds the specs of a table. A path with `+` before it is created where it is missing.
    fn add(specs: &mut Vec<FieldSpec>, table: Table) {
        for (kinds, paths) in table {
            for gvk in kinds.iter().map(gvk) {
                specs.extend(paths.iter().map(|path| FieldSpec {
                    gvk: gvk.clone(),
                    path: path.trim_start_matches('+').into(),
                    create: path.starts_with('+'),
                }));
            }
        }
    }

    fn gvk(&(group, version, kind): &Kind) -> Gvk {
        Gvk { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Adds what stands in the pods of a kind.
    fn below(specs: &mut Vec<FieldSpec>, kind: &Kind, pod: &str, paths: &[&str]) {
        let gvk = gvk(kind);
        specs.extend(paths.iter().map(|path| FieldSpec {
            gvk: gvk.clone(),
            path: join(pod, path),
            create: false,
        }));
    }

    fn join(pod: &str, path: &str) -> EcoString {
        let mut joined = EcoString::with_capacity(pod.len() + 1 + path.len());
        joined.push_str(pod);
        joined.push('/');
        joined.push_str(path);
        joined
    }

    fn references(referrers: &Referrers) -> References {
        let Referrers { target, pods, in_pods, others } = referrers;
        let mut fields = Vec::with_capacity(pods.len() * in_pods.len() + count(others));
        for (kind, pod) in *pods {
            below(&mut fields, kind, pod, in_pods);
        }
        add(&mut fields, others);
        References { target: gvk(target), fields }
    }

    pub(super) fn var_references() -> Vec<FieldSpec> {
        let mut specs = Vec::with_capacity(VAR_PODS.len() * VAR_IN_PODS.len() + count(VAR_OTHERS));
        for (kind, pod) in VAR_PODS {
            below(&mut specs, &any(kind), pod, VAR_IN_PODS);
        }
        add(&mut specs, VAR_OTHERS);
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: &str, path: &str, create: bool) -> FieldSpec {
        let gvk = Gvk { kind: kind.into(), ..Gvk::default() };
        FieldSpec { gvk, path: path.into(), create }
    }

    fn labels(specs: &[FieldSpec]) -> Arc<Config> {
        Arc::new(Config { common_labels: specs.to_vec(), ..Config::default() })
    }

    #[test]
    fn the_tables_are_as_long_as_kustomizes() {
        let config = Config::builtin();
        let references: usize = config.name_references.iter().map(|group| group.fields.len()).sum();
        // One of kustomize's 167 stands there twice.
        assert_eq!((config.name_references.len(), references), (16, 166));
        assert_eq!(config.common_labels.len(), 32);
        assert_eq!(config.template_labels.len(), 10);
        assert_eq!(config.common_annotations.len(), 9);
        assert_eq!(config.var_references.specs().len(), 72);
    }

    #[test]
    fn a_spec_that_selects_one_that_is_there_is_left_out() {
        let have = labels(&[spec("Foo", "a/b", true)]);
        let place = || Place::file("kustomization.yaml");
        let merged = have.merged(&labels(&[spec("", "a/b", true)]), place).unwrap();
        assert_eq!(merged.common_labels, [spec("Foo", "a/b", true)]);
        let merged = labels(&[spec("", "a/b", true)]).merged(&have, place).unwrap();
        assert_eq!(merged.common_labels.len(), 2);
    }

    #[test]
    fn specs_that_disagree_on_create_conflict() {
        let place = || Place::file("kustomization.yaml");
        let have = labels(&[spec("Foo", "a/b", true)]);
        assert!(have.merged(&labels(&[spec("Foo", "a/b", false)]), place).is_err());
    }

    #[test]
    fn the_defaults_alone_are_shared() {
        let place = || Place::file("kustomization.yaml");
        let empty = Arc::new(Config::default());
        let one = empty.merged(&Config::builtin(), place).unwrap();
        assert!(Arc::ptr_eq(&one, &Config::builtin()));
        assert!(Arc::ptr_eq(&one.merged(&Config::builtin(), place).unwrap(), &one));
    }

    fn source(text: &str) -> Source {
        Source { file: "config.yaml".into(), text: bytes::Bytes::from(text.to_owned()) }
    }

    #[test]
    fn reads_configurations() {
        let text = "
varReference:
- kind: Foo
  path: spec/x
nameReference:
- kind: ConfigMap
  version: v1
  fieldSpecs:
  - {kind: Foo, path: spec/name}
";
        let config = Config::read(&source(text), &Limits::PERSON).unwrap();
        assert_eq!(config.var_references.specs(), [spec("Foo", "spec/x", false)]);
        assert_eq!(config.name_references[0].target.kind, "ConfigMap");
        assert_eq!(config.name_references[0].fields, [spec("Foo", "spec/name", false)]);
        assert!(Config::read(&source("nameReferences: []"), &Limits::PERSON).is_err());
        let twice = "images: [{path: a, path: b}]";
        assert!(Config::read(&source(twice), &Limits::PERSON).is_err());
    }

    #[test]
    fn reads_crds() {
        let text = r#"{"x.io/v1.Foo": {"Schema": {"properties": {
            "kind": {}, "apiVersion": {}, "metadata": {}, "spec": {"$ref": "x.io/v1.Spec"}}}},
            "x.io/v1.Spec": {"Schema": {"properties": {"secretRef": {
            "x-kubernetes-object-ref-api-version": "v1", "x-kubernetes-object-ref-kind": "Secret"},
            "selector": {"x-kubernetes-label-selector": ""}}}}}"#;
        let config = Config::read_crds(&source(text), &Limits::PERSON).unwrap();
        assert_eq!(config.common_labels, [spec("Foo", "spec/selector", false)]);
        assert_eq!(config.name_references[0].fields, [spec("Foo", "spec/secretRef/name", false)]);
    }

    #[test]
    fn a_definition_of_itself_ends() {
        let text = r#"{"Foo": {"Schema": {"properties": {"kind": {}, "apiVersion": {},
            "metadata": {}, "spec": {"$ref": "Foo"}}}}}"#;
        assert!(Config::read_crds(&source(text), &Limits::WEBHOOK).is_err());
        let itself = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n";
        assert!(Config::read_crds(&source(itself), &Limits::PERSON).is_err());
    }
}
