//! What the API server knows of each built-in kind: defaults, what a request may set, what is
//! valid, what may change, what it warns of.
//!
//! All of it is pure functions on JSON objects as the server's typed round trip leaves them: unknown
//! fields dropped, nulls dropped, quantities canonical. A write calls them in the server's order:
//!
//! 1. [`default`], when the body was decoded;
//! 2. [`admit`], the admission plugins that need nothing but the object; those that look at other
//!    objects are functions of their own, which take these: [`apply_limits`], [`check_limits`],
//!    [`check_quota`], [`check_pod_security`];
//! 3. [`prepare_create`] or [`prepare_update`];
//! 4. [`validate_create`] or [`validate_update`]: not empty means 422;
//! 5. [`warnings`];
//! 6. [`allocate`], which gives a Service its addresses and ports: not empty means 422.
//!
//! Source: Kubernetes 1.36 `pkg/registry/*/strategy.go`, `pkg/apis/*/v1/defaults.go`,
//! `pkg/apis/*/validation`, measured against a real server.

use serde_json::Value;

use crate::rehearsal::{Cause, Failure, Kind};

mod addresses;

pub use addresses::Addresses;

/// Sets what a decoded object leaves out and the server has defaults for.
pub fn default(kind: &Kind, object: &mut Value) {
    let _ = (kind, object);
}

/// Resets what a new object may not bring, and sets what the server decides: no status, generation
/// 1, finalizers, generated selectors and labels.
///
/// `metadata.uid` must be there already: a Job's generated selector holds it.
pub fn prepare_create(kind: &Kind, new: &mut Value) {
    let _ = (kind, new);
}

/// Resets what a request to this endpoint may not change, and counts the generation.
///
/// `subresource` is `None` for the object itself, else e.g. `status`.
pub fn prepare_update(kind: &Kind, subresource: Option<&str>, new: &mut Value, old: &Value) {
    let _ = (kind, subresource, new, old);
}

/// What is wrong with a new object, in the server's order; empty where it is valid.
pub fn validate_create(kind: &Kind, new: &Value) -> Vec<Cause> {
    let _ = (kind, new);
    Vec::new()
}

/// What is wrong with a changed object, or may not change, in the server's order.
pub fn validate_update(
    kind: &Kind,
    subresource: Option<&str>,
    new: &Value,
    old: &Value,
) -> Vec<Cause> {
    let _ = (kind, subresource, new, old);
    Vec::new()
}

/// The texts of the `Warning` headers of a write, in the server's order.
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    let _ = (kind, new, old);
    Vec::new()
}

/// Gives a Service its cluster IPs and node ports, from those that are free, and gives back those
/// that `old` no longer needs. Does nothing to other kinds.
///
/// A dry run works on a clone of `addresses`.
pub fn allocate(
    kind: &Kind,
    new: &mut Value,
    old: Option<&Value>,
    addresses: &mut Addresses,
) -> Vec<Cause> {
    let _ = (kind, new, old, addresses);
    Vec::new()
}

/// What the default admission plugins set or refuse that need no other object: tolerations and
/// priority of Pods, the finalizers of volumes. Runs after [`default`].
///
/// `old` is `None` for a create.
///
/// # Errors
/// Where a plugin refuses the object.
pub fn admit(
    kind: &Kind,
    subresource: Option<&str>,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    let _ = (kind, subresource, new, old);
    Ok(())
}

/// Sets the requests and limits that the LimitRanges of the namespace have as defaults.
pub fn apply_limits(kind: &Kind, new: &mut Value, limit_ranges: &[&Value]) {
    let _ = (kind, new, limit_ranges);
}

/// Refuses an object outside the LimitRanges of its namespace.
///
/// # Errors
/// 403 with the server's text.
pub fn check_limits(kind: &Kind, new: &Value, limit_ranges: &[&Value]) -> Result<(), Failure> {
    let _ = (kind, new, limit_ranges);
    Ok(())
}

/// Refuses an object that does not fit into the ResourceQuotas of its namespace, and returns their
/// new `status.used`, one for each quota.
///
/// # Errors
/// 403 with the server's text.
pub fn check_quota(
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
    quotas: &[&Value],
) -> Result<Vec<Value>, Failure> {
    let _ = (kind, new, old);
    Ok(quotas.iter().map(|quota| quota["status"]["used"].clone()).collect())
}

/// Checks a Pod, or the template of a workload, against the Pod Security labels of its namespace,
/// and returns the warnings.
///
/// # Errors
/// 403 with the server's text, where `enforce` is violated.
pub fn check_pod_security(
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
    namespace: &Value,
) -> Result<Vec<String>, Failure> {
    let _ = (kind, new, old, namespace);
    Ok(Vec::new())
}

/// Whether defaults and validation of a kind are ported, so that a rehearsal may be called exact.
pub fn ported(kind: &Kind) -> bool {
    let _ = kind;
    false
}
