//! What autoscalers, disruption budgets, roles and their bindings must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/{autoscaling,policy,rbac}/validation/validation.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::quantity::Quantity;
use super::workload::{at_most_all, number_or_percent};
use super::{container, go, metadata, names};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn autoscaler(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.is_there() && least.number() < 1 {
        check.invalid(&least, "must be greater than or equal to 1");
    }
    if most.number() == 0 {
        check.required(&*most.path, "must be set and greater than 0");
    } else if most.number() < 0 {
        check.invalid(&most, "must be greater than or equal to 1");
    }
    if least.is_there() && most.number() < least.number() {
        let detail = "must be greater than or equal to `minReplicas`";
        check.invalid_as(&*most.path, most.number().to_string(), detail);
    }
    target_reference(check, &spec.get("scaleTargetRef"));
    let metrics = spec.get("metrics");
    let mut beyond_pods = false;
    for metric in metrics.items() {
        one_metric(check, &metric);
        beyond_pods |= matches!(metric.text_of("type"), "Object" | "External");
    }
    if least.is_there() && least.number() == 0 && !beyond_pods {
        let detail = "must specify at least one Object or External metric to support scaling to zero \
             replicas";
        check.forbidden(&*metrics.path, detail);
    }
    for direction in ["scaleUp", "scaleDown"] {
        scaling_rules(check, &spec.get("behavior").get(direction));
    }
}

fn target_reference(check: &mut Check, at: &At<'_>) {
    for key in ["kind", "name"] {
        let field = at.get(key);
        if field.text().is_empty() {
            check.required(&*field.path, "");
        } else {
            check.all(&field, names::path_segment(field.text()));
        }
    }
    let version = at.get("apiVersion");
    // An object that a metric describes may be of any version.
    if at.path.ends_with("describedObject") {
        return;
    }
    let core = ["Pod", "ReplicationController", "Service", "Node", "Namespace"];
    let group = version.text().contains('/');
    if version.text().matches('/').count() > 1 {
        let detail = format!("unexpected GroupVersion string: {}", version.text());
        check.invalid(&version, detail);
    } else if !group && (!core.contains(&at.text_of("kind")) || version.text() != "v1") {
        check.invalid_text(&version, "apiVersion must specify API group");
    }
}

/// The kinds of metric and the fields that hold them, in the order of the server's message.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

fn one_metric(check: &mut Check, metric: &At<'_>) {
    let kinds = METRICS.map(|(kind, _)| kind);
    let kind = metric.get("type");
    if kind.text().is_empty() {
        check.required(&*kind.path, "must specify a metric source type");
    }
    let known = kinds.contains(&kind.text());
    if !known {
        check.unsupported(&kind, &kinds);
    }
    let mut there = Vec::new();
    for key in ["object", "external", "pods", "resource", "containerResource"] {
        let source = metric.get(key);
        if source.is_there() {
            there.push(key);
            if there.len() == 1 {
                metric_source(check, key, &source);
            }
        }
    }
    let expected = METRICS.iter().find(|(name, _)| *name == kind.text()).map(|(_, key)| *key);
    match expected {
        Some(key) => {
            if !metric.get(key).is_there() {
                let detail = "must populate information for the given metric source";
                check.required(metric.child(key), detail);
            }
        }
        None => check.unsupported(&kind, &kinds),
    }
    if there.len() != 1 {
        for key in there.into_iter().filter(|key| Some(*key) != expected) {
            check.forbidden(metric.child(key), "must populate the given metric source only");
        }
    }
}

fn metric_source(check: &mut Check, key: &str, source: &At<'_>) {
    let target = source.get("target");
    let value = target.get("value");
    let (average, usage) = (target.get("averageValue"), target.get("averageUtilization"));
    match key {
        "resource" | "containerResource" => {
            let name = source.get("name");
            if name.text().is_empty() {
                check.required(&*name.path, "must specify a resource name");
            } else if key == "containerResource" {
                container::plain_resource_name(check, &name);
            }
            let container = source.get("container");
            if key == "containerResource" {
                if container.text().is_empty() {
                    check.required(&*container.path, "must specify a container");
                } else {
                    check.all(&container, names::dns_label(container.text()));
                }
            }
            metric_target(check, &target);
            if !usage.is_there() && !average.is_there() {
                let detail = "must set either a target raw value or a target utilization";
                check.required(&*usage.path, detail);
            }
            if usage.is_there() && average.is_there() {
                let detail = "may not set both a target raw value and a target utilization";
                check.forbidden(&*average.path, detail);
            }
            return;
        }
        "object" => target_reference(check, &source.get("describedObject")),
        _ => {}
    }
    let name = source.get("metric").get("name");
    if name.text().is_empty() {
        check.required(&*name.path, "must specify a metric name");
    } else {
        check.all(&name, names::path_segment(name.text()));
    }
    metric_target(check, &target);
    let detail = match key {
        "pods" if !average.is_there() => "must specify a positive target averageValue",
        "object" if !value.is_there() && !average.is_there() => {
            "must set either a target value or averageValue"
        }
        "external" if !value.is_there() && !average.is_there() => {
            "must set either a target value for metric or a per-pod target"
        }
        "external" if value.is_there() && average.is_there() => {
            let detail = "may not set both a target value for metric and a per-pod target";
            return check.forbidden(&*value.path, detail);
        }
        _ => return,
    };
    check.required(&*average.path, detail);
}

fn metric_target(check: &mut Check, target: &At<'_>) {
    let kind = target.get("type");
    if kind.text().is_empty() {
        check.required(&*kind.path, "must specify a metric target type");
    }
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        check.invalid_text(&kind, "must be either Utilization, Value, or AverageValue");
    }
    for key in ["value", "averageValue"] {
        let value = target.get(key);
        if value.is_there() && Quantity::of(value.value) <= Quantity::ZERO {
            check.invalid(&value, "must be positive");
        }
    }
    let usage = target.get("averageUtilization");
    if usage.is_there() && usage.number() < 1 {
        check.invalid(&usage, "must be greater than 0");
    }
}

/// The longest window and period, in seconds.
const WINDOW: i64 = 3600;
const PERIOD: i64 = 1800;

fn scaling_rules(check: &mut Check, rules: &At<'_>) {
    if !rules.is_there() {
        return;
    }
    let window = rules.get("stabilizationWindowSeconds");
    if window.number() < 0 {
        check.invalid(&window, "must be greater than or equal to zero");
    }
    if window.number() > WINDOW {
        check.invalid(&window, format!("must be less than or equal to {WINDOW}"));
    }
    let select = rules.get("selectPolicy");
    if select.is_there() {
        check.one_of(&select, &["Disabled", "Max", "Min"]);
    }
    let policies = rules.get("policies");
    if policies.is_empty() {
        check.required(&*policies.path, "must specify at least one Policy");
    }
    for policy in policies.items() {
        check.one_of(&policy.get("type"), &["Percent", "Pods"]);
        let (value, period) = (policy.get("value"), policy.get("periodSeconds"));
        for field in [&value, &period] {
            if field.number() <= 0 {
                let detail = "must be greater than zero";
                check.invalid_as(&*field.path, field.number().to_string(), detail);
            }
        }
        if period.number() > PERIOD {
            check.invalid(&period, format!("must be less than or equal to {PERIOD}"));
        }
    }
    let tolerance = rules.get("tolerance");
    if Quantity::of(tolerance.value).is_negative() {
        check.invalid(&tolerance, "must be greater than or equal to 0");
    }
}

pub(super) fn disruption_budget(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let (least, most) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if least.is_there() && most.is_there() {
        let shown = go::show_struct("PodDisruptionBudgetSpec", spec.value);
        let detail = "minAvailable and maxUnavailable cannot be both set";
        check.invalid_as(&*spec.path, shown, detail);
    }
    for field in [least, most] {
        if field.is_there() {
            number_or_percent(check, &field);
            at_most_all(check, &field);
        }
    }
    metadata::selector(check, &spec.get("selector"));
    let eviction = spec.get("unhealthyPodEvictionPolicy");
    if eviction.is_there() {
        check.one_of(&eviction, &["AlwaysAllow", "IfHealthyBudget"]);
    }
}

pub(super) fn role(check: &mut Check, object: &Value, namespaced: bool) {
    let root = At::root(object);
    for rule in root.get("rules").items() {
        policy_rule(check, &rule, namespaced);
    }
    let aggregation = root.get("aggregationRule");
    if namespaced || !aggregation.is_there() {
        return;
    }
    let selectors = aggregation.get("clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        check.required(&*selectors.path, detail);
    }
    for selector in selectors.items() {
        metadata::selector(check, &selector);
        if metadata::matches(selector.value, &Value::Null).is_none() {
            check.invalid_as(&*selector.path, "null", "invalid label selector.");
        }
    }
}

fn policy_rule(check: &mut Check, rule: &At<'_>, namespaced: bool) {
    let (verbs, urls) = (rule.get("verbs"), rule.get("nonResourceURLs"));
    if verbs.is_empty() {
        check.required(&*verbs.path, "verbs must contain at least one value");
    }
    let (groups, resources) = (rule.get("apiGroups"), rule.get("resources"));
    if !urls.is_empty() {
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            check.invalid(&urls, detail);
        }
        if !groups.is_empty() || !resources.is_empty() || !rule.get("resourceNames").is_empty() {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            check.invalid(&urls, detail);
        }
        return;
    }
    if groups.is_empty() {
        check.required(&*groups.path, "resource rules must supply at least one api group");
    }
    if resources.is_empty() {
        check.required(&*resources.path, "resource rules must supply at least one resource");
    }
}

pub(super) fn role_binding(check: &mut Check, object: &Value, namespaced: bool) {
    let root = At::root(object);
    let role = root.get("roleRef");
    check.one_of(&role.get("apiGroup"), &[RBAC]);
    let kinds: &[&str] = match namespaced {
        true => &["Role", "ClusterRole"],
        false => &["ClusterRole"],
    };
    check.one_of(&role.get("kind"), kinds);
    let name = role.get("name");
    if name.text().is_empty() {
        check.required(&*name.path, "");
    } else {
        check.all(&name, names::path_segment(name.text()));
    }
    for subject in root.get("subjects").items() {
        let name = subject.get("name");
        if name.text().is_empty() {
            check.required(&*name.path, "");
        }
        let group = subject.get("apiGroup");
        match subject.text_of("kind") {
            "ServiceAccount" => {
                if !name.text().is_empty() {
                    check.all(&name, names::dns_subdomain(name.text()));
                }
                if !group.text().is_empty() {
                    check.unsupported(&group, &[""]);
                }
                if !namespaced && subject.text_of("namespace").is_empty() {
                    check.required(subject.child("namespace"), "");
                }
            }
            "User" | "Group" => check.one_of(&group, &[RBAC]),
            _ => check.unsupported(&subject.get("kind"), &["ServiceAccount", "User", "Group"]),
        }
    }
}

pub(super) fn fixed_role(check: &mut Check, object: &Value, old: &Value) {
    let role = At::root(object).get("roleRef");
    if *role.value != old["roleRef"] {
        let shown = go::show_struct("RoleRef", role.value);
        check.invalid_as(&*role.path, shown, "cannot change roleRef");
    }
}
