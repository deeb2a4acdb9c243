//! What a resource or a subresource cannot set, and so nobody owns by it.
//!
//! Source: `GetResetFields` of the strategies below Kubernetes `pkg/registry`, of
//! kube-aggregator and of apiextensions-apiserver.

use ecow::EcoString;

use super::Filters;
use crate::rehearsal::Kind;
use crate::ssa::{FieldSet, Filter, Matcher, Path, PathElement};

const STATUS: &[&str] = &["status"];
const SPEC: &[&str] = &["spec"];
const METADATA: &[&str] = &["metadata"];

/// Of a built-in kind, in each of the given versions of it, e.g. `apps/v1`.
pub fn reset_fields<'v>(
    kind: &Kind,
    subresource: &str,
    versions: impl IntoIterator<Item = &'v str>,
) -> Filters {
    let filter = match (subresource, kind.pair()) {
        ("resize", _) => resize(),
        ("ephemeralcontainers", _) => Filter::Include(below(&["spec", "ephemeralContainers"])),
        ("" | "finalize", ("certificates.k8s.io", "CertificateSigningRequest")) => {
            exclude(&[SPEC, STATUS])
        }
        ("" | "finalize", _) => exclude(&[STATUS]),
        ("approval", _) => exclude(&[SPEC, &["status", "certificate"]]),
        ("status", pair) => exclude(by_status(pair)),
        _ => return Filters::new(),
    };
    in_versions(&filter, versions)
}

/// Of a custom resource in one version; `has_status` says whether it has a status subresource
/// there.
pub fn reset_fields_of_custom(version: &str, subresource: &str, has_status: bool) -> Filters {
    match subresource {
        "" if has_status => in_versions(&exclude(&[STATUS]), [version]),
        "status" => in_versions(&exclude(&[METADATA, SPEC]), [version]),
        _ => Filters::new(),
    }
}

fn in_versions<'v>(filter: &Filter, versions: impl IntoIterator<Item = &'v str>) -> Filters {
    versions.into_iter().map(|version| (EcoString::from(version), filter.clone())).collect()
}

/// What a write of the status cannot set.
fn by_status(pair: (&str, &str)) -> &'static [&'static [&'static str]] {
    match pair {
        ("apps", "Deployment") => &[SPEC, &["metadata", "labels"]],
        ("", "Pod") => {
            &[SPEC, &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]]
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => &[SPEC, &["status", "conditions"]],
        (
            "admissionregistration.k8s.io"
            | "apiregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "internal.apiserver.k8s.io"
            | "resource.k8s.io"
            | "scheduling.k8s.io"
            | "storage.k8s.io"
            | "storagemigration.k8s.io",
            _,
        )
        | (_, "ServiceCIDR") => &[METADATA, SPEC],
        _ => &[SPEC],
    }
}

fn exclude(paths: &[&[&str]]) -> Filter {
    Filter::Exclude(FieldSet::of(paths.iter().map(|names| Path::of_fields(names))))
}

/// A resize sets the resources of containers, whatever their names.
fn resize() -> Filter {
    let all = ["containers", "initContainers"].into_iter().flat_map(|list| {
        ["resources", "resizePolicy"].map(|field| below(&["spec", list, "*", field]))
    });
    Filter::Include(all.reduce(Matcher::or).unwrap_or_default())
}

/// What begins with these fields, `*` being any step.
fn below(names: &[&str]) -> Matcher {
    let step = |name: &&str| (*name != "*").then(|| PathElement::field(*name));
    Matcher::prefix(names.iter().map(step))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resize_owns_resources_alone() {
        let filters = reset_fields(&Kind::new("v1", "Pod"), "resize", ["v1"]);
        let set = FieldSet::from_json(&json!({"f:spec": {
            "f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}, "f:resources": {"f:limits": {}}}},
            "f:nodeName": {},
        }}));
        let text = set.expect("a set").filtered(&filters["v1"]).to_text();
        let want =
            r#"{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{"f:resources":{"f:limits":{}}}}}}"#;
        assert_eq!(text, want);
    }
}
