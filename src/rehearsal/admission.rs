//! The admission plugins that look at other objects than the one that is written.

use serde_json::{Value, json};

use crate::rehearsal::options::Writing;
use crate::rehearsal::owners::Owners;
use crate::rehearsal::refusals::Named;
use crate::rehearsal::server::{Call, State};
use crate::rehearsal::store::{Key, Stored, Table};
use crate::rehearsal::{Failure, Kind, kinds, policy};

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
    let kind = &call.resource.kind;
    if call.resource.custom {
        return Ok(());
    }
    if old.is_none() {
        let classes = classes_of(state, kind.pair());
        kinds::apply_classes(kind, new, &classes.iter().collect::<Vec<_>>())?;
    }
    if kind.pair() == ("", "Pod") && subresource.is_none() {
        let ranges = objects(state, "", "limitranges", &call.spot.namespace);
        let ranges: Vec<_> = ranges.iter().collect();
        if old.is_none() {
            kinds::apply_limits(kind, new, &ranges);
        }
    }
    kinds::admit(kind, subresource, new, old)
}

/// Refuses what the checks of its namespace do not allow, once the object itself is valid; what the
/// quotas count changes.
pub(super) fn check(
    state: &mut State,
    call: &mut Call,
    new: &Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<(), Failure> {
    let whole = !call.resource.custom && call.subresource().is_none();
    let plain = whole && !call.spot.namespace.is_empty();
    let kind = &call.resource.kind;
    if whole && kind.pair() == ("", "Namespace") {
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        let pods = objects(state, "", "pods", name);
        let warnings = kinds::check_namespace_security(new, old, &pods)?;
        call.warnings.extend(warnings);
    }
    if is_limited(call, old) {
        let ranges = objects(state, "", "limitranges", &call.spot.namespace);
        kinds::check_limits(kind, new, &ranges.iter().collect::<Vec<_>>())?;
    }
    if plain {
        let namespace = &*call.spot.namespace;
        if let Some(home) = find_namespace(state, namespace) {
            call.warnings.extend(kinds::check_pod_security(kind, new, old, &home)?);
        }
    }
    ask_policies(state, call, new, old, dry_run)?;
    if !plain {
        return Ok(());
    }
    let kind = &call.resource.kind;
    let namespace = &*call.spot.namespace;
    let quotas = objects(state, "", "resourcequotas", namespace);
    if quotas.is_empty() {
        return Ok(());
    }
    let used = kinds::check_quota(kind, new, old, &quotas.iter().collect::<Vec<_>>())?;
    if !dry_run {
        count(state, namespace, quotas, used);
    }
    Ok(())
}

/// Whether LimitRanges count: of Pods for what is made or resized only.
///
/// Source: Kubernetes `plugin/pkg/admission/limitranger/admission.go`, `SupportsAttributes`.
fn is_limited(call: &Call, old: Option<&Value>) -> bool {
    match (call.resource.kind.pair(), call.subresource()) {
        (("", "Pod"), None) => old.is_none(),
        (("", "Pod"), part) => part == Some("resize"),
        (("", "PersistentVolumeClaim"), part) => part.is_none(),
        _ => false,
    }
}

/// Asks the ValidatingAdmissionPolicies.
fn ask_policies(
    state: &State,
    call: &mut Call,
    new: &Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<(), Failure> {
    let group = "admissionregistration.k8s.io";
    let bindings = objects(state, group, "validatingadmissionpolicybindings", "");
    if bindings.is_empty() {
        return Ok(());
    }
    let policies = objects(state, group, "validatingadmissionpolicies", "");
    let home = find_namespace(state, &call.spot.namespace);
    let request = policy::Request {
        operation: if old.is_some() { "UPDATE" } else { "CREATE" },
        kind: &call.resource.kind,
        resource: &call.resource.plural,
        subresource: call.subresource().unwrap_or_default(),
        name: new["metadata"]["name"].as_str().unwrap_or_default(),
        namespace: &call.spot.namespace,
        object: new,
        old: old.unwrap_or(&Value::Null),
        home: home.as_ref(),
        user: json!({"username": call.user.name, "groups": call.user.groups}),
        dry_run,
    };
    let parameters = |api_version: &str, kind: &str| {
        let wanted = Kind::new(api_version, kind);
        let found = state.catalogue.all().find(|resource| resource.kind == wanted);
        found.map_or_else(Vec::new, |resource| {
            state.store.list(&resource.table, "").map(|(_, stored)| stored.value()).collect()
        })
    };
    let warnings = policy::check(&request, &policies, &bindings, &parameters)?;
    call.warnings.extend(warnings);
    Ok(())
}

/// Notes what quotas count from now on.
fn count(state: &mut State, namespace: &str, quotas: Vec<Value>, used: Vec<Value>) {
    let Some(resource) = state.catalogue.find("", "v1", "resourcequotas").cloned() else { return };
    let owners = Owners::of(state, &resource, Some("status"));
    for (old, used) in quotas.into_iter().zip(used) {
        if old["status"]["used"] == used || used.is_null() {
            continue;
        }
        let mut quota = old.clone();
        quota["status"]["used"] = used;
        owners.updated(Some(&old), &mut quota, &Writing::of_server());
        let name = quota["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        state.write(&resource, Key::new(namespace, &name), &mut quota);
    }
}

/// The classes from which a kind takes something.
fn classes_of(state: &State, kind: (&str, &str)) -> Vec<Value> {
    match kind {
        ("", "Pod") => objects(state, "scheduling.k8s.io", "priorityclasses", ""),
        ("", "PersistentVolumeClaim") => objects(state, "storage.k8s.io", "storageclasses", ""),
        ("networking.k8s.io", "Ingress") => {
            objects(state, "networking.k8s.io", "ingressclasses", "")
        }
        _ => Vec::new(),
    }
}

/// The objects of a resource in a namespace.
pub(super) fn objects(state: &State, group: &str, resource: &str, namespace: &str) -> Vec<Value> {
    let table = Table { group: group.into(), resource: resource.into() };
    state.store.list(&table, namespace).map(|(_, stored)| stored.value()).collect()
}

/// Refuses what would be created in a namespace that is not there or is being deleted.
///
/// Source: apiserver `pkg/admission/plugin/namespace/lifecycle/admission.go`.
fn live_namespace(state: &State, call: &Call, new: &Value) -> Result<(), Failure> {
    let namespace = &*call.spot.namespace;
    let Some(found) = find_namespace(state, namespace) else {
        let named = Named { group: "", resource: "namespaces", name: namespace };
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
    state.store.get(&table, &Key::new("", name)).map(Stored::value)
}
