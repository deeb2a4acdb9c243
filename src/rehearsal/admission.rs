//! The admission plugins that look at other objects than the one that is written.

use serde_json::{Value, json};

use crate::rehearsal::server::{Call, State};
use crate::rehearsal::store::{Key, Table};
use crate::rehearsal::{Failure, kinds};

/// Changes or refuses what is about to be written; `old` is `None` for a create.
pub(super) fn admit(
    state: &State,
    call: &mut Call,
    subresource: Option<&str>,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if old.is_none() && call.resource.namespaced {
        live_namespace(state, call, new)?;
    }
    if call.resource.custom {
        return Ok(());
    }
    kinds::admit(&call.resource.kind, subresource, new, old)
}

/// Refuses what would be created in a namespace that is not there or is being deleted.
///
/// Source: apiserver `pkg/admission/plugin/namespace/lifecycle/admission.go`.
fn live_namespace(state: &State, call: &Call, new: &Value) -> Result<(), Failure> {
    let namespace = &*call.spot.namespace;
    let Some(found) = find_namespace(state, namespace) else {
        let named = super::refusals::Named { group: "", resource: "namespaces", name: namespace };
        return Err(named.not_found());
    };
    if found["status"]["phase"] != "Terminating" {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let why = format!(
        "unable to create new content in namespace {namespace} because it is being terminated"
    );
    let mut failure = call.named_as(name).forbidden(&why);
    if let Some(details) = &mut failure.details {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    Err(failure)
}

/// A namespace, if it is there.
pub(super) fn find_namespace(state: &State, name: &str) -> Option<Value> {
    let table = Table { group: "".into(), resource: "namespaces".into() };
    state.store.get(&table, &Key::new("", name)).map(super::store::Stored::value)
}
