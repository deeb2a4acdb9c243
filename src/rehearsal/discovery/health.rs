//! `/healthz`, `/livez` and `/readyz`, which are always well here.

use super::Page;

/// The checks of a kube-apiserver, in the order in which `?verbose` lists them; measured of 1.36.
const CHECKS: [&str; 36] = [
    "ping",
    "log",
    "loopback-serving-certificate",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/max-in-flight-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
    "informer-sync",
    "shutdown",
];

/// How many of [`CHECKS`] stand before those of readiness alone.
const BEFORE_READINESS: usize = 34;

/// The checks of one of the three.
fn checks(of: &str) -> impl Iterator<Item = &'static str> {
    let ready = of == "readyz";
    let range = if ready { &CHECKS[..] } else { &CHECKS[..BEFORE_READINESS] };
    let not_ready = |check: &str| matches!(check, "etcd" | "loopback-serving-certificate");
    range.iter().copied().filter(move |check| !(ready && not_ready(check)))
}

/// `/healthz`, or the check below it.
pub(super) fn page(of: &str, check: &str, query: &str) -> Page {
    if !check.is_empty() {
        return match checks(of).any(|known| known == check) {
            true => Page::text(200, "ok"),
            false => Page::not_found(),
        };
    }
    if !query.split('&').any(|part| part.split('=').next() == Some("verbose")) {
        return Page::text(200, "ok");
    }
    let mut text: String = checks(of).map(|check| format!("[+]{check} ok\n")).collect();
    text.push_str(&format!("{of} check passed\n"));
    Page::text(200, text)
}

/// All paths of health.
pub(super) fn paths() -> impl Iterator<Item = String> {
    ["healthz", "livez", "readyz"].into_iter().flat_map(|of| {
        let below = checks(of).map(move |check| format!("/{of}/{check}"));
        std::iter::once(format!("/{of}")).chain(below)
    })
}
