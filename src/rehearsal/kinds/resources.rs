//! Requests and limits of containers and Pods, added up.
//!
//! Source: component-helpers `resource/helpers.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::quantity::Quantity;

/// Amounts by name of the resource.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// The amounts under a key of `resources`.
pub(super) fn amounts(value: &Value) -> Amounts {
    let map = value.as_object().into_iter().flatten();
    map.map(|(name, value)| (name.clone(), Quantity::of(value))).collect()
}

fn add(sum: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        let total = sum.get(name).map_or(*quantity, |old| old.plus(*quantity));
        sum.insert(name.clone(), total);
    }
}

fn most(sum: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        if sum.get(name).is_none_or(|old| old < quantity) {
            sum.insert(name.clone(), *quantity);
        }
    }
}

/// What a Pod's containers have under `requests` or `limits` when the most of them run: all
/// containers with the sidecars, or one init container with the sidecars before it.
pub(super) fn of_containers(spec: &Value, key: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in spec["containers"].as_array().into_iter().flatten() {
        add(&mut sum, &amounts(&container["resources"][key]));
    }
    let mut sidecars = Amounts::new();
    let mut start = Amounts::new();
    for container in spec["initContainers"].as_array().into_iter().flatten() {
        let mut own = amounts(&container["resources"][key]);
        if container["restartPolicy"] == "Always" {
            add(&mut sum, &own);
            add(&mut sidecars, &own);
            own = sidecars.clone();
        } else {
            add(&mut own, &sidecars);
        }
        most(&mut start, &own);
    }
    most(&mut sum, &start);
    sum
}

/// What a whole Pod has under `requests` or `limits`: what it says for itself goes before the sum of
/// its containers; overhead is added.
pub(super) fn of_pod(spec: &Value, key: &str) -> Amounts {
    let mut sum = of_containers(spec, key);
    for (name, quantity) in amounts(&spec["resources"][key]) {
        if is_pod_level(&name) {
            sum.insert(name, quantity);
        }
    }
    let overhead = amounts(&spec["overhead"]);
    if key == "requests" {
        add(&mut sum, &overhead);
    } else {
        for (name, quantity) in overhead {
            if let Some(old) = sum.get_mut(&name) {
                *old = old.plus(quantity);
            }
        }
    }
    sum
}

/// The resources that a Pod may have for itself.
pub(super) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// Sets the requests of a Pod that has limits for itself.
pub(super) fn default_pod_level(spec: &mut Map<String, Value>) {
    let value = Value::Object(spec.clone());
    let limits = amounts(&value["resources"]["limits"]);
    let requests = amounts(&value["resources"]["requests"]);
    if limits.is_empty() && requests.is_empty() {
        return;
    }
    let mut new_limits = Vec::new();
    for (name, quantity) in of_containers(&value, "limits") {
        let asked = requests.contains_key(&name) || limits.contains_key(&name);
        if name.starts_with("hugepages-") && !asked {
            new_limits.push((name, quantity));
        }
    }
    let mut new_requests = Vec::new();
    if !limits.is_empty() {
        for (name, quantity) in of_containers(&value, "requests") {
            if matches!(&*name, "cpu" | "memory") && !requests.contains_key(&name) {
                new_requests.push((name, quantity));
            }
        }
        for (name, quantity) in limits {
            let set = requests.contains_key(&name) || new_requests.iter().any(|(n, _)| *n == name);
            if is_pod_level(&name) && !set {
                new_requests.push((name, quantity));
            }
        }
    }
    let Some(Value::Object(resources)) = spec.get_mut("resources") else { return };
    for (key, list) in [("limits", new_limits), ("requests", new_requests)] {
        if list.is_empty() {
            continue;
        }
        let map = resources.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(map) = map {
            map.extend(
                list.into_iter().map(|(name, quantity)| (name, quantity.to_string().into())),
            );
        }
    }
}

/// The quality of service of a Pod: `Guaranteed` where every container has limits for CPU and
/// memory that are its requests, `BestEffort` where none has either.
///
/// Source: Kubernetes `pkg/apis/core/helper/qos/qos.go`.
pub(super) fn quality(spec: &Value) -> &'static str {
    let counted = |value: &Value| -> Amounts {
        let mut list = amounts(value);
        list.retain(|name, quantity| matches!(&**name, "cpu" | "memory") && !quantity.is_zero());
        list
    };
    let own = &spec["resources"];
    let holders: Vec<&Value> = if own.is_object() && own.as_object().is_some_and(|m| !m.is_empty())
    {
        vec![own]
    } else {
        ["containers", "initContainers"]
            .iter()
            .flat_map(|list| spec[*list].as_array().into_iter().flatten())
            .map(|container| &container["resources"])
            .collect()
    };
    let mut requests = Amounts::new();
    let mut limits = Amounts::new();
    let mut guaranteed = true;
    for holder in holders {
        let asked = counted(&holder["requests"]);
        let limited = counted(&holder["limits"]);
        guaranteed &= limited.contains_key("cpu") && limited.contains_key("memory");
        add(&mut requests, &asked);
        add(&mut limits, &limited);
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    let same = requests.len() == limits.len()
        && requests.iter().all(|(name, quantity)| limits.get(name) == Some(quantity));
    if guaranteed && same { "Guaranteed" } else { "Burstable" }
}
