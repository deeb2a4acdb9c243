//! Built-in kinds that are served in several versions with different fields.
//!
//! Only HorizontalPodAutoscalers differ: `autoscaling/v1` has one metric, and keeps what it has no
//! field for in annotations. All others differ in nothing but the version.
//!
//! Source: Kubernetes `pkg/apis/autoscaling/v1/conversion.go`.

use serde_json::{Map, Value, json};

use crate::rehearsal::catalogue::Resource;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

/// Whether the version of a resource is not the one that is kept.
pub(super) fn is_needed(resource: &Resource) -> bool {
    !resource.custom && *resource.kind.version != *resource.stored
}

/// Whether a built-in kind has other fields in other versions.
pub(super) fn differs(resource: &Resource) -> bool {
    resource.kind.pair() == ("autoscaling", "HorizontalPodAutoscaler")
}

/// From the version that is kept to that of a resource.
pub(super) fn from_stored(resource: &Resource, object: &mut Value) {
    if is_needed(resource) && differs(resource) {
        autoscaler_to_v1(object);
    }
}

/// From the version of a resource to the one that is kept.
pub(super) fn to_stored(resource: &Resource, object: &mut Value) {
    if is_needed(resource) && differs(resource) {
        autoscaler_to_v2(object);
    }
}

fn autoscaler_to_v1(object: &mut Value) {
    let Some(mut spec) =
        object.get_mut("spec").and_then(|spec| spec.as_object_mut().map(std::mem::take))
    else {
        return;
    };
    let metrics = spec.remove("metrics");
    let behavior = spec.remove("behavior");
    let is_cpu = |metric: &Value| {
        metric["type"] == "Resource"
            && metric["resource"]["name"] == "cpu"
            && metric["resource"]["target"]["type"] == "Utilization"
    };
    let mut others = Vec::new();
    for metric in metrics.as_ref().and_then(Value::as_array).into_iter().flatten() {
        if is_cpu(metric) && !spec.contains_key("targetCPUUtilizationPercentage") {
            let target = metric["resource"]["target"]["averageUtilization"].clone();
            spec.insert("targetCPUUtilizationPercentage".into(), target);
        } else {
            others.push(metric.clone());
        }
    }
    object["spec"] = spec.into();
    if !others.is_empty() {
        annotate(object, METRICS, Value::Array(others).to_string());
    }
    if let Some(behavior) = behavior {
        annotate(object, BEHAVIOR, behavior_text(&behavior));
    }
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    // A count that is always written there, and never here.
    status.entry("currentReplicas").or_insert_with(|| 0.into());
    let conditions = status.remove("conditions");
    let current = status.remove("currentMetrics");
    for (name, value) in [(CONDITIONS, conditions), (CURRENT, current)] {
        if let Some(value) =
            value.filter(|value| value.as_array().is_some_and(|list| !list.is_empty()))
        {
            annotate(object, name, value.to_string());
        }
    }
}

fn autoscaler_to_v2(object: &mut Value) {
    let metrics = take_annotation(object, METRICS);
    let behavior = take_annotation(object, BEHAVIOR);
    let conditions = take_annotation(object, CONDITIONS);
    let current = take_annotation(object, CURRENT);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let mut list = metrics.and_then(|metrics| metrics.as_array().cloned()).unwrap_or_default();
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            list.insert(
                0,
                json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}),
            );
        }
        if !list.is_empty() {
            spec.insert("metrics".into(), list.into());
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".into(), with_api_names(behavior));
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|key, value| key != "currentReplicas" || *value != 0);
    }
    for (name, value) in [("conditions", conditions), ("currentMetrics", current)] {
        if let Some(value) = value
            && let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        {
            status.insert(name.into(), value);
        }
    }
}

/// A behavior as the server notes it: by a type whose fields have no names but those of Go.
fn behavior_text(behavior: &Value) -> String {
    let policy = |policy: &Value| {
        let [kind, value, period] = ["type", "value", "periodSeconds"].map(|key| &policy[key]);
        format!(r#"{{"Type":{kind},"Value":{value},"PeriodSeconds":{period}}}"#)
    };
    let rules = |rules: &Value| {
        if rules.is_null() {
            return "null".to_owned();
        }
        let [window, select, tolerance] =
            ["stabilizationWindowSeconds", "selectPolicy", "tolerance"].map(|key| &rules[key]);
        let policies = match rules["policies"].as_array() {
            Some(list) => format!("[{}]", list.iter().map(policy).collect::<Vec<_>>().join(",")),
            None => "null".to_owned(),
        };
        format!(
            r#"{{"StabilizationWindowSeconds":{window},"SelectPolicy":{select},"Policies":{policies},"Tolerance":{tolerance}}}"#
        )
    };
    let [up, down] = ["scaleUp", "scaleDown"].map(|key| rules(&behavior[key]));
    format!(r#"{{"ScaleUp":{up},"ScaleDown":{down}}}"#)
}

/// The same with the names of the API, whichever it has.
fn with_api_names(value: Value) -> Value {
    let lower = |mut key: String| {
        key.get_mut(..1).into_iter().for_each(str::make_ascii_lowercase);
        key
    };
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (lower(key), with_api_names(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(with_api_names).collect(),
        other => other,
    }
}

fn annotate(object: &mut Value, name: &str, value: String) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| Map::new().into());
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(name.into(), value.into());
    }
}

fn take_annotation(object: &mut Value, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = annotations.remove(name)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(value.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_metric_survives_the_way_there_and_back() {
        let metric = |name: &str| {
            let target = json!({"type": "Utilization", "averageUtilization": 50});
            json!({"type": "Resource", "resource": {"name": name, "target": target}})
        };
        let before = json!({
            "metadata": {"name": "a"},
            "spec": {"maxReplicas": 3, "metrics": [metric("cpu"), metric("memory")], "behavior": {"scaleUp": {}}},
        });
        let mut object = before.clone();
        autoscaler_to_v1(&mut object);
        assert_eq!(object["spec"], json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}));
        autoscaler_to_v2(&mut object);
        assert_eq!(object, before);
    }
}
