//! What a Kustomization has applied, as its status lists it.
//!
//! Source: kustomize-controller `internal/inventory`; fluxcd/cli-utils `pkg/object/objmetadata.go`;
//! fluxcd/pkg `ssa/sort.go` and `ssa/manager_apply.go` (`ApplyAllStaged`) for the order.

use std::cmp::Ordering;
use std::fmt;

use ecow::EcoString;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::resource::Resource;

/// An object as an inventory names it.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectId {
    /// Empty for what lives outside namespaces.
    pub namespace: EcoString,
    /// The name.
    pub name: EcoString,
    /// Empty for the core group.
    pub group: EcoString,
    /// The kind.
    pub kind: EcoString,
}

/// One entry of `status.inventory.entries`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// Which object.
    pub id: ObjectId,
    /// The version of its group.
    pub version: EcoString,
}

/// The kinds of which names may hold colons: `system:node` and the like.
const ROLES: [&str; 4] = ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
const ROLE_GROUP: &str = "rbac.authorization.k8s.io";

/// What a colon becomes in an id, whose parts are separated by single ones.
const COLON: &str = "__";

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, group, kind } = self;
        let is_role = group == ROLE_GROUP && ROLES.contains(&kind.as_str());
        let name = if is_role { name.replace(":", COLON) } else { name.clone() };
        write!(f, "{namespace}_{name}_{group}_{kind}")
    }
}

impl ObjectId {
    /// The id of an object.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        let gvk = resource.gvk();
        Self {
            namespace: resource.namespace().into(),
            name: resource.name().into(),
            group: gvk.group,
            kind: gvk.kind,
        }
    }

    /// Reads an id: the namespace from the left, kind and group from the right, the rest is the name.
    ///
    /// # Errors
    /// Where there are not four parts.
    pub fn parse(text: &str) -> Result<Self> {
        let parts = || {
            let (namespace, rest) = text.split_once('_')?;
            let (rest, kind) = rest.rsplit_once('_')?;
            let (name, group) = rest.rsplit_once('_')?;
            Some((namespace, name, group, kind))
        };
        let Some((namespace, name, group, kind)) = parts() else {
            let message = format!("\"{text}\" is no entry of an inventory");
            let error = Error::new(ErrorKind::Invalid, Place::file("status.inventory"), message);
            return Err(error.hint("entries read namespace_name_group_kind"));
        };
        let name = name.replace(COLON, ":").into();
        let (namespace, group, kind) = (namespace.into(), group.into(), kind.into());
        Ok(Self { namespace, name, group, kind })
    }
}

/// What of `before` is not in `after`, each once, in the order of `before`.
#[must_use]
pub fn gone<'i>(before: &'i [ObjectId], after: &[ObjectId]) -> Vec<&'i ObjectId> {
    let after: std::collections::BTreeSet<&ObjectId> = after.iter().collect();
    let mut seen = std::collections::BTreeSet::new();
    before.iter().filter(|id| !after.contains(id) && seen.insert(*id)).collect()
}

/// Kinds that others need, in the order in which they are written.
const FIRST: [&str; 23] = [
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that come after everything else.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// The order in which Flux writes objects of one stage; backwards it deletes them.
#[must_use]
pub fn order(one: &ObjectId, other: &ObjectId) -> Ordering {
    let rank = |id: &ObjectId| {
        let at = |kinds: &[&str]| kinds.iter().position(|kind| *kind == id.kind);
        at(&FIRST).or_else(|| at(&LAST).map(|at| FIRST.len() + 1 + at)).unwrap_or(FIRST.len())
    };
    rank(one)
        .cmp(&rank(other))
        .then_with(|| (&one.group, &one.kind).cmp(&(&other.group, &other.kind)))
        .then_with(|| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)))
}

/// Which stage an object is written in: definitions, classes, kinds that were asked for, everything else.
///
/// Source: fluxcd/pkg `ssa/utils/is.go`, `ssa/manager_apply.go`.
#[must_use]
pub fn stage(api_version: &str, kind: &str, asked: &[(EcoString, EcoString)]) -> usize {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let is = |wanted: &str| kind.eq_ignore_ascii_case(wanted);
    let is_definition = is("CustomResourceDefinition") && group == "apiextensions.k8s.io"
        || is("Namespace") && api_version == "v1"
        || is("ClusterRole") && group == ROLE_GROUP;
    if is_definition {
        0
    } else if kind.ends_with("Class") {
        1
    } else if asked.iter().any(|(one, other)| one == group && other == kind) {
        2
    } else {
        3
    }
}

/// The kinds of a list as `apps/Deployment,ConfigMap`: pairs of group and kind.
///
/// Source: fluxcd/pkg `ssa/utils/meta.go`, `ParseGroupKindSet`.
#[must_use]
pub fn kinds(text: &str) -> Vec<(EcoString, EcoString)> {
    let pair = |item: &str| {
        let (group, kind) = item.trim().split_once('/').unwrap_or(("", item.trim()));
        (group.into(), kind.into())
    };
    if text.is_empty() { Vec::new() } else { text.split(',').map(pair).collect() }
}

/// Whether an object is a Job.
#[must_use]
pub fn is_job(api_version: &str, kind: &str) -> bool {
    kind == "Job" && api_version.starts_with("batch/")
}

/// Whether an object is a Job that is deleted some time after it has ended: that it is gone says that all
/// went well.
#[must_use]
pub fn vanishes(object: &serde_json::Value) -> bool {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    is_job(text("apiVersion"), text("kind")) && object["spec"]["ttlSecondsAfterFinished"].is_i64()
}

/// The inventory that Flux writes once all objects are applied, in its order.
///
/// Objects that ask not to be applied are in it too.
#[must_use]
pub fn entries<'r>(resources: impl IntoIterator<Item = &'r Resource>) -> Vec<Entry> {
    let mut staged: Vec<(usize, Entry)> = resources
        .into_iter()
        .map(|resource| {
            let version = resource.gvk().version;
            let stage = stage(resource.api_version(), resource.kind(), &[]);
            (stage, Entry { id: ObjectId::of(resource), version })
        })
        .collect();
    staged.sort_by(|(stage, one), (other_stage, other)| {
        stage.cmp(other_stage).then_with(|| order(&one.id, &other.id))
    });
    staged.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_way_there_and_back() {
        for text in [
            "ns_app_apps_Deployment",
            "_app__Namespace",
            "ns_a_b__ConfigMap",
            "_system__node_rbac.authorization.k8s.io_ClusterRole",
        ] {
            let id = ObjectId::parse(text).expect("valid");
            assert_eq!(id.to_string(), text);
        }
        assert!(ObjectId::parse("a_b_c").is_err());
    }

    #[test]
    fn definitions_come_before_classes_before_the_rest() {
        assert_eq!(stage("v1", "Namespace", &[]), 0);
        assert_eq!(stage("example.com/v1", "Namespace", &[]), 3);
        assert_eq!(stage("storage.k8s.io/v1", "StorageClass", &[]), 1);
        assert_eq!(stage("apps/v1", "Deployment", &kinds("apps/Deployment")), 2);
    }
}
