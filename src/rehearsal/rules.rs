//! What the kind of an object says of it: built-in kinds, definitions of kinds, and the kinds that
//! they define, asked alike.

use serde_json::{Value, json};

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::server::State;
use crate::rehearsal::{Cause, crd, create, custom, fields, kinds};
use crate::schema::go::int64;

/// Resets what a new object may not bring.
pub(super) fn prepare_create(state: &State, resource: &Resource, new: &mut Value) {
    if let Some(version) = resource.version() {
        version.prepare_create(new);
    } else if custom::defines(resource) {
        crd::object::prepare_create(new);
    } else {
        kinds::prepare_create(&resource.kind, new);
        fields::normalise(new, state.minor, &resource.kind);
    }
}

/// Resets what a request may not change.
pub(super) fn prepare_update(
    state: &State,
    resource: &Resource,
    subresource: Option<&str>,
    new: &mut Value,
    old: &Value,
) {
    let status = subresource == Some("status");
    if let Some(version) = resource.version() {
        match status {
            true => version.prepare_status(new, old),
            false => version.prepare_update(new, old),
        }
    } else if custom::defines(resource) {
        match status {
            true => crd::object::prepare_status(new, old),
            false => crd::object::prepare_update(new, old),
        }
    } else {
        kinds::prepare_update(&resource.kind, subresource, new, old);
        fields::normalise(new, state.minor, &resource.kind);
        if matches!(subresource, Some("ephemeralcontainers" | "resize")) {
            count_change(new, old);
        }
    }
}

/// A part of the spec that has a path of its own counts as the spec does.
fn count_change(new: &mut Value, old: &Value) {
    if new["spec"] != old["spec"] {
        count(new, old);
    }
}

fn count(new: &mut Value, old: &Value) {
    let next = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
    create::metadata(new).insert("generation".into(), next.into());
}

/// Does to an object that has empty lists or maps what the server does, which tells them from none: it counts them
/// as a change of a NetworkPolicy or of webhooks, and a claim without requests as one that had them.
///
/// Source: Kubernetes `pkg/registry/networking/networkpolicy/strategy.go`, which compares with `reflect`;
/// `pkg/apis/core/validation`, `ValidatePersistentVolumeClaimUpdate`.
pub(super) fn settle_hollow(resource: &Resource, new: &mut Value, old: &Value) {
    match resource.kind.pair() {
        ("networking.k8s.io", "NetworkPolicy")
        | (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => count(new, old),
        ("", "PersistentVolumeClaim") if new["spec"]["resources"]["requests"].is_null() => {
            new["spec"]["resources"]["requests"] = json!({});
        }
        _ => {}
    }
}

/// What is wrong with a new object.
pub(super) fn validate_create(resource: &Resource, new: &Value) -> Vec<Cause> {
    let mut metadata = kinds::validate_create(&resource.kind, new);
    drop_scope(resource, &mut metadata);
    if let Some(version) = resource.version() {
        return version.validate(new, metadata);
    }
    let mut causes = metadata;
    if custom::defines(resource) {
        causes.extend(crd::object::validate(new, None));
    }
    causes
}

/// What is wrong with a changed object; and texts of warnings, which only custom resources have.
pub(super) fn validate_update(
    resource: &Resource,
    subresource: Option<&str>,
    new: &Value,
    old: &Value,
) -> (Vec<Cause>, Vec<String>) {
    let mut metadata = kinds::validate_update(&resource.kind, subresource, new, old);
    drop_scope(resource, &mut metadata);
    let status = subresource == Some("status");
    if let Some(version) = resource.version() {
        let checked = match status {
            true => version.validate_status_update(new, old, metadata),
            false => version.validate_update(new, old, metadata),
        };
        return (checked.causes, checked.warnings);
    }
    let mut causes = metadata;
    if subresource == Some("resize") && quality(&new["spec"]) != quality(&old["spec"]) {
        let shown = old["status"]["qosClass"].to_string();
        let why = "Pod QOS Class may not change as a result of resizing";
        causes.push(Cause::invalid("spec", &shown, why));
    }
    if custom::defines(resource) {
        causes.extend(match status {
            true => crd::object::validate_status(new),
            false => crd::object::validate(new, Some(old)),
        });
    }
    (causes, Vec::new())
}

/// How surely the containers of a Pod get what they need.
///
/// Source: Kubernetes `pkg/apis/core/v1/helper/qos/qos.go`.
fn quality(spec: &Value) -> &'static str {
    let lists = [&spec["containers"], &spec["initContainers"]];
    let containers = || lists.iter().flat_map(|list| list.as_array().into_iter().flatten());
    let amount = |container: &Value, kind: &str, name: &str| {
        Some(container["resources"][kind][name].clone()).filter(|amount| !amount.is_null())
    };
    let names = ["cpu", "memory"];
    let asks = |container: &Value| {
        names.iter().any(|name| {
            amount(container, "requests", name).is_some()
                || amount(container, "limits", name).is_some()
        })
    };
    let is_sure = |container: &Value| {
        names.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && amount(container, "requests", name) == limit
        })
    };
    match () {
        () if !containers().any(asks) => "BestEffort",
        () if containers().all(is_sure) => "Guaranteed",
        () => "Burstable",
    }
}

/// Which custom kinds live in namespaces only their definitions know.
fn drop_scope(resource: &Resource, causes: &mut Vec<Cause>) {
    if resource.custom && !resource.namespaced {
        causes.retain(|cause| cause.field != "metadata.namespace");
    }
}

/// What a write warns of.
pub(super) fn warnings(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<String> {
    if let Some(version) = resource.version() {
        return version.warnings(new, old);
    }
    if custom::defines(resource) {
        return crd::object::warnings(new, old);
    }
    kinds::warnings(&resource.kind, new, old)
}

/// Sets what is absent and has a default, and what the server's own type holds elsewhere.
///
/// # Errors
/// Where the server cannot read that, in its words.
pub(super) fn default(resource: &Resource, object: &mut Value) -> Result<(), String> {
    if let Some(version) = resource.version() {
        version.default(object);
    } else if custom::defines(resource) {
        crd::object::complete(object);
    } else {
        kinds::default(&resource.kind, object);
        if resource.kind.pair() == ("apps", "DaemonSet") {
            return count_templates(object);
        }
    }
    Ok(())
}

/// Gives a DaemonSet the annotation that counts changes of its template.
///
/// The server's own type has a field for it, which is 0 in every object that says nothing of it, and
/// so whoever writes the object owns the annotation.
///
/// Source: Kubernetes `pkg/apis/apps/v1/conversion.go`.
fn count_templates(object: &mut Value) -> Result<(), String> {
    let metadata = create::metadata(object);
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    let Some(annotations) = annotations.as_object_mut() else { return Ok(()) };
    let count = annotations.entry(kinds::TEMPLATE_GENERATION).or_insert("0".into());
    *count = int64(count.as_str().unwrap_or_default())?.to_string().into();
    Ok(())
}

/// Whether a change must say which version of the object it is made to.
pub(super) fn needs_version(resource: &Resource) -> bool {
    resource.custom || !kinds::updates_unconditionally(&resource.kind)
}
