//! ResourceQuotas: how much of what a namespace may hold.
//!
//! Source: Kubernetes 1.36 `pkg/quota/v1/evaluator/core`, apiserver
//! `pkg/admission/plugin/resourcequota/controller.go`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::quantity::Quantity;
use super::resources::{Amounts, amounts, of_pod, quality};
use crate::rehearsal::{Failure, Kind};

/// Refuses an object that does not fit into the ResourceQuotas of its namespace, and returns their
/// new `status.used`, one for each quota. Comes last, after the validation of a create or a change.
///
/// A quota whose status nobody has filled in yet refuses nothing, as in the server.
///
/// # Errors
/// 403 with the server's text.
pub fn check_quota(
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
    quotas: &[&Value],
) -> Result<Vec<Value>, Failure> {
    let unchanged = || quotas.iter().map(|quota| quota["status"]["used"].clone()).collect();
    // Only these are counted again when they change.
    let again = matches!(kind.pair(), ("", "Service" | "PersistentVolumeClaim"));
    if old.is_some() && !again {
        return Ok(unchanged());
    }
    let mut delta = usage(kind, new);
    if let Some(old) = old {
        let before = usage(kind, old);
        for (name, amount) in &mut delta {
            let less = before.get(name).copied().unwrap_or(Quantity::ZERO);
            let more = amount.minus(less);
            *amount = if more.is_negative() { Quantity::ZERO } else { more };
        }
        if delta.values().all(|amount| amount.is_zero()) {
            return Ok(unchanged());
        }
    }
    let refuse = |message: String| {
        let resource = plural(&kind.kind);
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        Err(refusal(&kind.group, &resource, name, &message))
    };
    let mut list = Vec::new();
    for quota in quotas {
        let hard = amounts(&quota["status"]["hard"]);
        let used = amounts(&quota["status"]["used"]);
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        let wanted: Amounts = delta
            .iter()
            .filter(|(name, _)| hard.contains_key(*name))
            .map(|(name, amount)| (name.clone(), *amount))
            .collect();
        let required: Vec<&String> = hard.keys().filter(|name| covers(kind, name)).collect();
        if required.is_empty() || !in_scope(kind, new, &quota["spec"]) {
            list.push(quota["status"]["used"].clone());
            continue;
        }
        if let Some(missing) = unspecified(kind, new, &required) {
            return refuse(format!("failed quota: {name}: must specify {missing}"));
        }
        let unknown: Vec<_> = required.iter().filter(|name| !used.contains_key(**name)).collect();
        if !unknown.is_empty() {
            let names: Vec<_> = required.iter().map(|name| name.as_str()).collect();
            let names = names.join(",");
            return refuse(format!("status unknown for quota: {name}, resources: {names}"));
        }
        let mut next = used.clone();
        let mut exceeded = Vec::new();
        for (name, amount) in &wanted {
            let sum = used.get(name).copied().unwrap_or(Quantity::ZERO).plus(*amount);
            if hard.get(name).is_some_and(|most| sum > *most) {
                exceeded.push(name.clone());
            }
            next.insert(name.clone(), sum);
        }
        if !exceeded.is_empty() {
            let shown = |list: &Amounts| {
                let one = |name: &String| list.get(name).map(|amount| format!("{name}={amount}"));
                exceeded.iter().filter_map(one).collect::<Vec<_>>().join(",")
            };
            return refuse(format!(
                "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
                shown(&wanted),
                shown(&used),
                shown(&hard)
            ));
        }
        let next: BTreeMap<_, _> =
            next.into_iter().map(|(name, amount)| (name, amount.to_string())).collect();
        list.push(json!(next));
    }
    Ok(list)
}

/// What an object uses, to be given back when it is deleted, and to be counted when a quota is new.
pub fn quota_usage(kind: &Kind, object: &Value) -> BTreeMap<String, String> {
    let list = usage(kind, object).into_iter();
    list.map(|(name, amount)| (name, amount.to_string())).collect()
}

fn refusal(group: &str, resource: &str, name: &str, message: &str) -> Failure {
    let shown = match group {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    };
    let mut failure = super::admission::forbidden(&shown, name, message);
    if let (Some(details), false) = (&mut failure.details, group.is_empty()) {
        details["kind"] = resource.into();
        details["group"] = group.into();
    }
    failure
}

/// The name of a kind as paths have it.
pub(super) fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        lower
    } else if let Some(stem) = lower.strip_suffix('y') {
        format!("{stem}ies")
    } else if lower.ends_with('s') || lower.ends_with('x') {
        format!("{lower}es")
    } else {
        format!("{lower}s")
    }
}

fn counted_name(kind: &Kind) -> String {
    let name = plural(&kind.kind);
    match &*kind.group {
        "" => format!("count/{name}"),
        group => format!("count/{name}.{group}"),
    }
}

/// Kinds that quotas also count without the word `count/`.
fn short_name(kind: &Kind) -> Option<&'static str> {
    Some(match kind.pair() {
        ("", "ConfigMap") => "configmaps",
        ("", "Secret") => "secrets",
        ("", "ResourceQuota") => "resourcequotas",
        ("", "ReplicationController") => "replicationcontrollers",
        ("", "Service") => "services",
        ("", "PersistentVolumeClaim") => "persistentvolumeclaims",
        ("", "Pod") => "pods",
        _ => return None,
    })
}

/// Whether a quota on this resource is about this kind.
fn covers(kind: &Kind, resource: &str) -> bool {
    if counted_name(kind) == resource || short_name(kind) == Some(resource) {
        return true;
    }
    match kind.pair() {
        ("", "Pod") => {
            let bare = resource
                .strip_prefix("requests.")
                .or_else(|| resource.strip_prefix("limits."))
                .unwrap_or(resource);
            matches!(bare, "cpu" | "memory" | "ephemeral-storage")
                || bare.starts_with("hugepages-")
                || (resource.starts_with("requests.") && bare.contains('/'))
        }
        ("", "Service") => {
            matches!(resource, "services.nodeports" | "services.loadbalancers")
        }
        ("", "PersistentVolumeClaim") => {
            resource == "requests.storage" || resource.contains(".storageclass.storage.k8s.io/")
        }
        _ => false,
    }
}

fn usage(kind: &Kind, object: &Value) -> Amounts {
    let mut list = Amounts::new();
    list.insert(counted_name(kind), Quantity::whole(1));
    if kind.pair() == ("", "Pod") {
        let phase = object["status"]["phase"].as_str().unwrap_or_default();
        if !matches!(phase, "Succeeded" | "Failed") {
            list.insert("pods".into(), Quantity::whole(1));
            pod_usage(&mut list, &object["spec"]);
        }
        return list;
    }
    if let Some(name) = short_name(kind) {
        list.insert(name.into(), Quantity::whole(1));
    }
    let spec = &object["spec"];
    match kind.pair() {
        ("", "Service") => {
            let ports = i64::try_from(spec["ports"].as_array().map_or(0, Vec::len)).unwrap_or(0);
            let (nodes, balancers) = match spec["type"].as_str().unwrap_or_default() {
                "NodePort" => (ports, 0),
                "LoadBalancer" => {
                    let open = spec["allocateLoadBalancerNodePorts"] != false;
                    let asked = spec["ports"].as_array().into_iter().flatten();
                    let asked = asked.filter(|port| port["nodePort"].as_i64().unwrap_or(0) != 0);
                    let asked = i64::try_from(asked.count()).unwrap_or(0);
                    (if open { ports } else { asked }, 1)
                }
                _ => (0, 0),
            };
            list.insert("services.nodeports".into(), Quantity::whole(nodes));
            list.insert("services.loadbalancers".into(), Quantity::whole(balancers));
        }
        ("", "PersistentVolumeClaim") => {
            let storage = Quantity::of(&spec["resources"]["requests"]["storage"]);
            list.insert("requests.storage".into(), storage);
            if let Some(class) = spec["storageClassName"].as_str().filter(|name| !name.is_empty()) {
                let start = format!("{class}.storageclass.storage.k8s.io");
                list.insert(format!("{start}/persistentvolumeclaims"), Quantity::whole(1));
                list.insert(format!("{start}/requests.storage"), storage);
            }
        }
        _ => {}
    }
    list
}

fn pod_usage(list: &mut Amounts, spec: &Value) {
    for (name, amount) in of_pod(spec, "requests") {
        if matches!(&*name, "cpu" | "memory" | "ephemeral-storage") {
            list.insert(name.clone(), amount);
        }
        if name.starts_with("hugepages-") {
            list.insert(name.clone(), amount);
        }
        list.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in of_pod(spec, "limits") {
        if matches!(&*name, "cpu" | "memory" | "ephemeral-storage") {
            list.insert(format!("limits.{name}"), amount);
        }
    }
}

/// Where a quota counts CPU or memory, every container must say how much it takes.
fn unspecified(kind: &Kind, new: &Value, required: &[&String]) -> Option<String> {
    if kind.pair() != ("", "Pod") {
        return None;
    }
    let spec = &new["spec"];
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for resource in required {
        let (key, name) = match resource.split_once('.') {
            Some(("limits", name)) => ("limits", name),
            Some(("requests", name)) => ("requests", name),
            _ => ("requests", resource.as_str()),
        };
        if !matches!(name, "cpu" | "memory") || !spec["resources"][key][name].is_null() {
            continue;
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array().into_iter().flatten() {
                if container["resources"][key][name].is_null() {
                    let name = container["name"].as_str().unwrap_or_default();
                    missing.entry(resource).or_default().push(name.to_owned());
                }
            }
        }
    }
    let list: Vec<_> = missing
        .into_iter()
        .map(|(resource, mut names)| {
            names.sort_unstable();
            names.dedup();
            format!("{resource} for: {}", names.join(","))
        })
        .collect();
    (!list.is_empty()).then(|| list.join("; "))
}

/// Whether a quota's scopes select an object; those of other kinds than Pods have none but that of
/// volume classes, which none of these has.
fn in_scope(kind: &Kind, new: &Value, spec: &Value) -> bool {
    let scopes = spec["scopes"].as_array().into_iter().flatten();
    let mut all: Vec<Value> =
        scopes.map(|scope| json!({"scopeName": scope, "operator": "Exists"})).collect();
    let selected = spec["scopeSelector"]["matchExpressions"].as_array();
    all.extend(selected.into_iter().flatten().cloned());
    if all.is_empty() {
        return true;
    }
    if kind.pair() != ("", "Pod") {
        return false;
    }
    let pod = &new["spec"];
    let ends = pod["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0);
    let best = quality(pod) == "BestEffort";
    all.iter().all(|entry| match entry["scopeName"].as_str().unwrap_or_default() {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => best,
        "NotBestEffort" => !best,
        "PriorityClass" => {
            let class = pod["priorityClassName"].as_str().unwrap_or_default();
            let named = entry["values"].as_array().into_iter().flatten().any(|v| v == class);
            match entry["operator"].as_str().unwrap_or_default() {
                "In" => named,
                "NotIn" => !named,
                "Exists" => !class.is_empty(),
                "DoesNotExist" => class.is_empty(),
                _ => false,
            }
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(hard: Value, used: Value) -> Value {
        json!({"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}})
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_fits_is_counted() {
        let kind = Kind::new("v1", "ConfigMap");
        let object = json!({"metadata": {"name": "b"}});
        let full = quota(json!({"count/configmaps": "1"}), json!({"count/configmaps": "1"}));
        let failure = check_quota(&kind, &object, None, &[&full]).unwrap_err();
        assert_eq!(
            failure.message,
            "configmaps \"b\" is forbidden: exceeded quota: q, requested: count/configmaps=1, \
             used: count/configmaps=1, limited: count/configmaps=1"
        );
        let free = quota(json!({"configmaps": "2"}), json!({"configmaps": "1"}));
        let used = check_quota(&kind, &object, None, &[&free]).unwrap();
        assert_eq!(used, [json!({"configmaps": "2"})]);
    }

    #[test]
    fn containers_must_say_what_a_quota_counts() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}});
        let quota = quota(json!({"limits.cpu": "1"}), json!({"limits.cpu": "0"}));
        let failure = check_quota(&Kind::new("v1", "Pod"), &pod, None, &[&quota]).unwrap_err();
        assert_eq!(
            failure.message,
            "pods \"p\" is forbidden: failed quota: q: must specify limits.cpu for: c"
        );
    }
}
