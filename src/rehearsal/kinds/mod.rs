//! What the API server knows of each built-in kind: defaults, what a request may set, what is
//! valid, what may change, what it warns of.
//!
//! All of it is pure functions on JSON objects as the server's typed round trip leaves them: unknown
//! fields dropped, nulls dropped, quantities canonical. A write calls them in the server's order:
//!
//! 1. [`default`], when the body was decoded;
//! 2. the admission that changes objects: [`apply_classes`] and [`apply_limits`] for a create, which
//!    take other objects, then [`admit`];
//! 3. [`allocate`], which gives a Service its addresses and ports: not empty means 422;
//! 4. [`prepare_create`] or [`prepare_update`];
//! 5. [`validate_create`] or [`validate_update`]: not empty means 422;
//! 6. [`warnings`], after [`deprecation`], which reads have too;
//! 7. the admission that only looks: [`check_limits`] for a create, [`check_pod_security`] and
//!    [`check_namespace_security`], and last [`check_quota`].
//!
//! Source: Kubernetes 1.36 `pkg/registry/*/strategy.go`, `pkg/apis/*/v1/defaults.go`,
//! `pkg/apis/*/validation`, measured against a real server.

use serde_json::Value;

mod addresses;
mod admission;
mod check;
mod config;
mod container;
mod cron;
mod defaults;
mod diff;
pub(in crate::rehearsal) mod go;
mod go_types;
mod job_status;
mod limits;
mod metadata;
mod names;
mod network;
mod pod;
mod pod_security;
mod pod_status;
mod policy;
mod prepare;
mod quantity;
mod quotas;
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
pub use limits::{apply_limits, check_limits};
pub use pod_security::{check_namespace_security, check_pod_security};
pub use prepare::{TEMPLATE_GENERATION, prepare_create, prepare_update, updates_unconditionally};
pub use quotas::{check_quota, quota_usage};
pub use validate::{ported, validate_create, validate_update};
pub use warnings::{deprecation, warnings};

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
