//! `sortOptions`: the order of the output.

use rustc_hash::FxHashMap;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::kustomization::SortOptions;
use crate::resource::{Gvk, Id};
use crate::resources::Resources;

/// The kinds that come first in the legacy order, first to last.
///
/// Source: kustomize `api/internal/builtins/SortOrderTransformer.go`, `defaultOrderFirst`.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// The kinds that come last in the legacy order.
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts as the options of the top kustomization say; without any, in the legacy order.
///
/// # Errors
/// Where the options contradict each other, or name an order that does not exist.
pub fn apply(
    resources: &mut Resources,
    options: Option<&SortOptions>,
    place: impl FnOnce() -> Place,
) -> Result<()> {
    let Some(options) = options else {
        legacy(resources);
        return Ok(());
    };
    match (options.order.as_str(), &options.legacy) {
        ("legacy", None) => legacy(resources),
        ("legacy", Some((first, last))) => by_rank(resources, &ranks(first, last)),
        ("fifo", None) => {}
        ("fifo", Some(_)) => {
            let message = "sortOptions.legacySortOptions is set, but sortOptions.order is \"fifo\"";
            return Err(Error::new(ErrorKind::Invalid, place(), message));
        }
        (order, _) => {
            let message =
                format!("sortOptions.order must be \"fifo\" or \"legacy\", not \"{order}\"");
            return Err(Error::new(ErrorKind::Invalid, place(), message));
        }
    }
    Ok(())
}

/// Sorts by kustomize's table of kinds, then by group, version, kind, namespace and name.
pub fn legacy(resources: &mut Resources) {
    by_rank(resources, &ranks(&FIRST, &LAST));
}

/// How kustomize orders kinds in its own tables.
#[must_use]
pub fn gvk_key(gvk: &Gvk) -> (i64, String) {
    let first = FIRST.iter().position(|kind| *kind == gvk.kind).map(|at| at as i64 - 22);
    let last = LAST.iter().position(|kind| *kind == gvk.kind).map(|at| at as i64 + 1);
    (first.or(last).unwrap_or(0), gvk_text(gvk))
}

/// Kinds to ranks: negative ones first, positive ones last, zero for all others.
fn ranks<'a>(first: &'a [impl AsRef<str>], last: &'a [impl AsRef<str>]) -> FxHashMap<&'a str, i64> {
    let before =
        first.iter().zip(-(first.len() as i64)..).map(|(kind, rank)| (kind.as_ref(), rank));
    let after = last.iter().zip(1..).map(|(kind, rank)| (kind.as_ref(), rank));
    before.chain(after).collect()
}

fn by_rank(resources: &mut Resources, ranks: &FxHashMap<&str, i64>) {
    resources.as_mut_vec().sort_by_cached_key(|resource| {
        let id = resource.id();
        let rank = ranks.get(id.gvk.kind.as_str()).copied().unwrap_or(0);
        let gvk = gvk_text(&id.gvk);
        // Kustomize compares Namespaces the other way round where one is of the core group, which
        // is no order if other kinds stand between them; so only where they have a rank of their own.
        let is_core = id.gvk.kind == "Namespace" && id.gvk.group.is_empty() && rank != 0;
        let gvk = if is_core { inverted(&gvk) } else { gvk.into_bytes() };
        (rank, !is_core, gvk, id_text(&id))
    });
}

/// Bytes that sort the other way round; the end counts as more than any byte.
fn inverted(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| !byte).chain([u8::MAX]).collect()
}

fn or<'a>(text: &'a str, blank: &'a str) -> &'a str {
    if text.is_empty() { blank } else { text }
}

fn gvk_text(gvk: &Gvk) -> String {
    [or(&gvk.group, "~G"), "_", or(&gvk.version, "~V"), "_", or(&gvk.kind, "~K")].concat()
}

fn id_text(id: &Id) -> String {
    let gvk = &id.gvk;
    let (kind, version) = (or(&gvk.kind, "[noKind]"), or(&gvk.version, "[noVer]"));
    let group = or(&gvk.group, "[noGrp]");
    let (namespace, name) = (or(&id.namespace, "~X"), or(&id.name, "~N"));
    [kind, ".", version, ".", group, "|", namespace, "|", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Origin, Resource};
    use crate::value::Value;

    fn resource(api_version: &str, kind: &str, namespace: &str, name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain(api_version));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain(name));
        if !namespace.is_empty() {
            value.set(&["metadata", "namespace"], Value::plain(namespace));
        }
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn names(resources: &Resources) -> Vec<&str> {
        resources.iter().map(Resource::name).collect()
    }

    fn sample() -> Resources {
        Resources::from(vec![
            resource(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "",
                "last",
            ),
            resource("v1", "ConfigMap", "", "blank"),
            resource("v1", "ConfigMap", "b", "a9"),
            resource("v1", "ConfigMap", "b", "a10"),
            resource("x.io/v1", "Foo", "", "foo"),
            resource("v1", "Namespace", "", "core"),
            resource("x.io/v1", "Namespace", "", "other"),
        ])
    }

    #[test]
    fn the_legacy_order_is_by_rank_then_bytes() {
        let mut resources = sample();
        apply(&mut resources, None, || Place::file("k")).unwrap();
        assert_eq!(names(&resources), ["core", "other", "a10", "a9", "blank", "foo", "last"]);
    }

    #[test]
    fn given_lists_replace_both_tables() {
        let mut resources = sample();
        let options =
            SortOptions { order: "legacy".into(), legacy: Some((vec!["Foo".into()], Vec::new())) };
        apply(&mut resources, Some(&options), || Place::file("k")).unwrap();
        assert_eq!(names(&resources)[0], "foo");
        assert_eq!(names(&resources)[1], "last");
    }

    #[test]
    fn refuses_unknown_orders() {
        let options = SortOptions { order: "up".into(), legacy: None };
        assert!(apply(&mut sample(), Some(&options), || Place::file("k")).is_err());
    }
}
