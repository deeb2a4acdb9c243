//! What the plain kinds must be: configuration, namespaces, limits, quotas, leases, priorities.
//!
//! Source: Kubernetes 1.36 `pkg/apis/{core,coordination,scheduling}/validation/validation.go`.

use base64::Engine;
use serde_json::Value;

use super::check::{At, Check};
use super::quantity::Quantity;
use super::{container, go, metadata, names, same};
use crate::rehearsal::Cause;

/// The bytes that the values of a ConfigMap or a Secret together may have.
const DATA_SIZE: usize = 1024 * 1024;

fn keys(check: &mut Check, data: &At<'_>) {
    for (key, _) in data.entries() {
        for message in names::config_key(key) {
            check.invalid_as(data.key(key), go::quote(key), message);
        }
    }
}

/// The bytes that base64 text stands for.
fn decoded_size(value: &Value) -> usize {
    let text = value.as_str().unwrap_or_default();
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

pub(super) fn config_map(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let (data, binary) = (root.get("data"), root.get("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        for message in names::config_key(key) {
            check.invalid_as(data.key(key), go::quote(key), message);
        }
        if binary.value.get(key).is_some() {
            let detail = "duplicate of key present in binaryData";
            check.invalid_as(data.key(key), go::quote(key), detail);
        }
        size += value.as_str().unwrap_or_default().len();
    }
    keys(check, &binary);
    size += binary.entries().into_iter().map(|(_, value)| decoded_size(value)).sum::<usize>();
    if size > DATA_SIZE {
        // The server names no field.
        check.too_long("[]", DATA_SIZE);
    }
}

/// What may not change once `immutable` is set.
pub(super) fn fixed_data(check: &mut Check, object: &Value, old: &Value, fields: &[&str]) {
    if old["immutable"] != true {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if object["immutable"] != true {
        check.forbidden("immutable", detail);
    }
    for key in fields {
        if !same(&object[*key], &old[*key]) {
            check.forbidden(*key, detail);
        }
    }
}

pub(super) fn secret(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let data = root.get("data");
    keys(check, &data);
    let size: usize = data.entries().into_iter().map(|(_, value)| decoded_size(value)).sum();
    if size > DATA_SIZE {
        check.too_long(&*data.path, DATA_SIZE);
    }
    // Null is no bytes, under a key that is there.
    let there = |key: &str| data.value.get(key).is_some();
    let mut need = |list: &[&str]| {
        for key in list.iter().filter(|key| !there(key)) {
            check.required(data.key(key), "");
        }
    };
    match root.text_of("type") {
        "kubernetes.io/service-account-token" => {
            let key = "kubernetes.io/service-account.name";
            let annotations = root.get("metadata").get("annotations");
            if annotations.text_of(key).is_empty() {
                check.required(annotations.key(key), "");
            }
        }
        "kubernetes.io/dockercfg" => {
            need(&[".dockercfg"]);
            json_object(check, &data, ".dockercfg");
        }
        "kubernetes.io/dockerconfigjson" => {
            need(&[".dockerconfigjson"]);
            json_object(check, &data, ".dockerconfigjson");
        }
        "kubernetes.io/basic-auth" => {
            let neither = !there("username") && !there("password");
            if neither {
                need(&["username", "password"]);
            }
        }
        "kubernetes.io/ssh-auth" => {
            let key = "ssh-privatekey";
            if data.text_of(key).is_empty() {
                check.required(data.key(key), "");
            }
        }
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn json_object(check: &mut Check, data: &At<'_>, key: &str) {
    let Some(text) = data.value.get(key).and_then(Value::as_str) else { return };
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = engine.decode(text).unwrap_or_default();
    let why = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(value) => {
            let kind = match value {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")
        }
        Err(_) => syntax(&bytes),
    };
    check.invalid_as(data.key(key), "\"<secret contents redacted>\"", why);
}

/// What Go says of text that is not JSON, as far as its first letters tell.
fn syntax(bytes: &[u8]) -> String {
    let text = bytes.trim_ascii_start();
    if text.is_empty() {
        return "unexpected end of JSON input".into();
    }
    for word in ["null", "true", "false"] {
        let same = text.iter().zip(word.bytes()).take_while(|(a, b)| **a == *b).count();
        if same == 0 {
            continue;
        }
        if same == word.len() {
            break;
        }
        return match text.get(same) {
            Some(byte) => format!(
                "invalid character '{}' in literal {word} (expecting '{}')",
                char::from(*byte),
                &word[same..=same]
            ),
            None => "unexpected end of JSON input".into(),
        };
    }
    let first = text[0];
    if !b"{[\"-0123456789".contains(&first) {
        let shown = match first {
            b'\'' => "\\''".to_owned(),
            byte => format!("{}'", char::from(byte)),
        };
        return format!("invalid character '{shown} looking for beginning of value");
    }
    "unexpected end of JSON input".into()
}

pub(super) fn fixed_type(check: &mut Check, object: &Value, old: &Value) {
    let kind = At::root(object).get("type");
    if *kind.value != old["type"] {
        check.invalid(&kind, "field is immutable");
    }
}

pub(super) fn namespace(check: &mut Check, object: &Value) {
    let finalizers = At::root(object).get("spec").get("finalizers");
    for finalizer in finalizers.items() {
        let list = At::new(&*finalizers.path, finalizer.value);
        namespace_finalizer(check, &list);
    }
}

/// A finalizer of a namespace's own list.
pub(super) fn namespace_finalizer(check: &mut Check, at: &At<'_>) {
    check.all(at, names::qualified_name(at.text()));
    metadata::kube_finalizer(check, at);
}

pub(super) fn lease(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let duration = spec.get("leaseDurationSeconds");
    if duration.is_there() && duration.number() <= 0 {
        check.invalid(&duration, "must be greater than 0");
    }
    check.not_negative(&spec.get("leaseTransitions"));
    let strategy = spec.text_of("strategy");
    if !spec.text_of("preferredHolder").is_empty() && strategy.is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        check.forbidden(spec.child("preferredHolder"), detail);
    }
}

/// The highest priority that users can give.
const HIGHEST: i64 = 1_000_000_000;

pub(super) fn priority_class(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let name = root.get("metadata").text_of("name");
    let value = root.get("value").number();
    if name.starts_with("system-") {
        let known = match name {
            "system-node-critical" => value == 2_000_001_000,
            "system-cluster-critical" => value == 2_000_000_000,
            _ => false,
        };
        if !known {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. \
                 error: {name} is not a known system priority class"
            );
            check.forbidden("metadata.name", detail);
        }
    } else if value > HIGHEST {
        let detail = format!("maximum allowed value of a user defined priority is {HIGHEST}");
        check.forbidden("value", detail);
    }
    let policy = root.get("preemptionPolicy");
    if policy.is_there() && policy.text().is_empty() {
        check.required(&*policy.path, "");
    } else if policy.is_there() {
        check.one_of(&policy, &["PreemptLowerPriority", "Never"]);
    }
}

pub(super) fn fixed_priority(check: &mut Check, object: &Value, old: &Value) {
    let root = At::root(object);
    if root.get("value").number() != old["value"].as_i64().unwrap_or(0) {
        check.forbidden("value", "may not be changed in an update.");
    }
    let policy = root.get("preemptionPolicy");
    if *policy.value != old["preemptionPolicy"] {
        check.invalid(&policy, "field is immutable");
    }
}

/// Names of resources that a quota may be about.
fn quota_name(check: &mut Check, path: &str, name: &str) {
    let shown = go::quote(name);
    let wrong = names::qualified_name(name);
    let plain = !name.contains('/');
    if wrong.is_empty() && plain && !container::is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        check.invalid_as(path, &shown, detail);
    }
    for message in wrong {
        check.invalid_as(path, &shown, message);
    }
    let known = container::is_standard(name) && name != "storage";
    if plain && !known {
        check.invalid_as(path, &shown, "must be a standard resource for quota");
    }
}

pub(super) fn quota_amounts(check: &mut Check, list: &At<'_>) {
    for (name, value) in list.entries() {
        let path = list.key(name);
        quota_name(check, &path, name);
        container::amount(check, &path, name, value);
    }
}

const SCOPES: &[&str] = &[
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "VolumeAttributesClass",
    "CrossNamespacePodAffinity",
];

fn scope_fits(scope: &str, resource: &str) -> bool {
    let counted = resource == "pods";
    let computed = matches!(
        resource,
        "cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu" | "requests.memory"
    );
    match scope {
        "Terminating"
        | "NotTerminating"
        | "NotBestEffort"
        | "PriorityClass"
        | "CrossNamespacePodAffinity" => counted || computed,
        "BestEffort" => counted,
        "VolumeAttributesClass" => {
            matches!(resource, "persistentvolumeclaims" | "requests.storage")
        }
        _ => true,
    }
}

pub(super) fn quota(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let hard = spec.get("hard");
    quota_amounts(check, &hard);
    let resources: Vec<&str> = hard
        .entries()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| container::is_standard(name) && *name != "storage")
        .collect();
    let scopes = spec.get("scopes");
    let list: Vec<&str> = scopes.items().map(|scope| scope.text()).collect();
    for scope in &list {
        if !SCOPES.contains(scope) {
            check.invalid(&scopes, "unsupported scope");
        }
        for _ in resources.iter().filter(|resource| !scope_fits(scope, resource)) {
            check.invalid(&scopes, "unsupported scope applied to resource");
        }
    }
    opposed(check, &list, &scopes.path, &go::show(scopes.value));
    let selector = spec.get("scopeSelector");
    if selector.is_there() {
        scope_selector(check, &selector, &resources, scopes.value);
    }
}

fn opposed(check: &mut Check, list: &[&str], path: &str, shown: &str) {
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| list.contains(scope)) {
            check.invalid_as(path, shown, "conflicting scopes");
        }
    }
}

fn scope_selector(check: &mut Check, selector: &At<'_>, resources: &[&str], scopes: &Value) {
    let path = selector.child("matchExpressions");
    let mut list = Vec::new();
    for entry in selector.get("matchExpressions").items() {
        let scope = entry.text_of("scopeName");
        let operator = entry.text_of("operator");
        let values = entry.get("values");
        if !SCOPES.contains(&scope) {
            let detail = "unsupported scope";
            check.invalid_as(format!("{path}.scopeName"), go::quote(scope), detail);
        }
        for _ in resources.iter().filter(|resource| !scope_fits(scope, resource)) {
            let detail = "unsupported scope applied to resource";
            check.invalid_as(&*path, go::show(selector.value), detail);
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass")
            && SCOPES.contains(&scope)
            && operator != "Exists"
        {
            let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                 ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                 ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            check.invalid_as(format!("{path}.operator"), go::quote(operator), detail);
        }
        match operator {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let detail = "must be at least one value when `operator` is 'In' or 'NotIn' \
                                  for scope selector";
                    check.required(format!("{path}.values"), detail);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' \
                                  for scope selector";
                    check.invalid_as(format!("{path}.values"), go::show(values.value), detail);
                }
            }
            _ => {
                let detail = "not a valid selector operator";
                check.invalid_as(format!("{path}.operator"), go::quote(operator), detail);
            }
        }
        list.push(scope);
    }
    opposed(check, &list, &path, &go::show(scopes));
}

pub(super) fn fixed_scopes(check: &mut Check, object: &Value, old: &Value) {
    let sorted = |object: &Value| {
        let list = object["spec"]["scopes"].as_array().into_iter().flatten();
        let mut list: Vec<_> = list.filter_map(Value::as_str).map(str::to_owned).collect();
        list.sort_unstable();
        list.dedup();
        list
    };
    if sorted(object) != sorted(old) {
        let scopes = At::root(object).get("spec").get("scopes");
        check.invalid(&scopes, "field is immutable");
    }
}

pub(super) fn limit_range(check: &mut Check, object: &Value) {
    let limits = At::root(object).get("spec").get("limits");
    let mut seen = Vec::new();
    for limit in limits.items() {
        let kind = limit.get("type");
        let wrong = names::qualified_name(kind.text());
        let standard = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text());
        if wrong.is_empty() && !kind.text().contains('/') && !standard {
            check.invalid(&kind, "must be a standard limit type or fully qualified");
        }
        check.all(&kind, wrong);
        if seen.contains(&kind.text()) {
            check.duplicate(&*kind.path, go::quote(kind.text()));
        }
        seen.push(kind.text());
        limit_names(check, &limit);
        limit_amounts(check, &limit);
    }
}

fn limit_names(check: &mut Check, limit: &At<'_>) {
    let pods = matches!(limit.text_of("type"), "Pod" | "Container");
    let named = |check: &mut Check, key: &str| {
        let list = limit.get(key);
        for (name, value) in list.entries() {
            let path = list.key(name);
            if pods {
                let one = serde_json::json!({ name: value });
                let mut inner = Check::default();
                let holder = serde_json::json!({"limits": one});
                container::resources(&mut inner, &At::new("", &holder), &[]);
                let names = inner.causes.into_iter().filter(|cause| {
                    cause.message.contains("must be a standard")
                        || cause.message.contains("name part")
                        || cause.message.contains("extended resource")
                });
                check.causes.extend(names.map(|cause| Cause { field: path.clone(), ..cause }));
            } else {
                let wrong = names::qualified_name(name);
                if wrong.is_empty() && !name.contains('/') && !container::is_standard(name) {
                    let detail = "must be a standard resource type or fully qualified";
                    check.invalid_as(&*path, go::quote(name), detail);
                }
                for message in wrong {
                    check.invalid_as(&*path, go::quote(name), message);
                }
            }
        }
    };
    named(check, "max");
    named(check, "min");
    if limit.text_of("type") == "Pod" {
        for key in ["default", "defaultRequest"] {
            if !limit.get(key).is_empty() {
                let detail = "may not be specified when `type` is 'Pod'";
                check.forbidden(limit.child(key), detail);
            }
        }
    } else {
        named(check, "default");
        named(check, "defaultRequest");
    }
    if limit.text_of("type") == "PersistentVolumeClaim"
        && !limit.get("min").get("storage").is_there()
        && !limit.get("max").get("storage").is_there()
    {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        check.required(limit.child("limits"), detail);
    }
    named(check, "maxLimitRequestRatio");
}

fn limit_amounts(check: &mut Check, limit: &At<'_>) {
    let pod = limit.text_of("type") == "Pod";
    let of = |key: &str, name: &str| -> Option<(Quantity, Value)> {
        if pod && key.starts_with("default") {
            return None;
        }
        let value = limit.value.get(key)?.get(name)?;
        Some((Quantity::of(value), value.clone()))
    };
    let mut keys: Vec<&str> = Vec::new();
    for key in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        if pod && key.starts_with("default") {
            continue;
        }
        let list = limit.get(key);
        keys.extend(list.entries().into_iter().map(|(name, _)| name));
    }
    keys.sort_unstable();
    keys.dedup();
    for name in keys {
        let (least, most) = (of("min", name), of("max", name));
        let (default, request) = (of("default", name), of("defaultRequest", name));
        let ratio = of("maxLimitRequestRatio", name);
        // Which is larger than which, whose place is named, whose value is shown, and the words.
        let comparisons = [
            (&least, &most, "min", 0, "min value {a} is greater than max value {b}"),
            (
                &least,
                &request,
                "defaultRequest",
                1,
                "min value {a} is greater than default request value {b}",
            ),
            (
                &request,
                &most,
                "defaultRequest",
                0,
                "default request value {a} is greater than max value {b}",
            ),
            (
                &request,
                &default,
                "defaultRequest",
                0,
                "default request value {a} is greater than default limit value {b}",
            ),
            (&least, &default, "default", 0, "min value {a} is greater than default value {b}"),
            (&default, &most, "default", 1, "default value {a} is greater than max value {b}"),
        ];
        for (a, b, place, shown, words) in comparisons {
            let (Some((low, a)), Some((high, b))) = (a, b) else { continue };
            if low > high {
                let words = words.replace("{a}", &plain(a)).replace("{b}", &plain(b));
                let shown = go::show(if shown == 0 { a } else { b });
                check.invalid_as(limit.get(place).key(name), shown, words);
            }
        }
        let Some((quantity, value)) = ratio else { continue };
        let path = limit.get("maxLimitRequestRatio").key(name);
        if quantity < Quantity::whole(1) {
            let detail = format!("ratio {} is less than 1", plain(&value));
            check.invalid_as(&*path, go::show(&value), detail);
        }
        if let (Some((low, _)), Some((high, _))) = (least, most) {
            #[expect(clippy::cast_precision_loss, reason = "the server computes it so")]
            let (given, limit) =
                (quantity.milli() as f64 / 1000.0, high.milli() as f64 / low.milli() as f64);
            if given > limit {
                let detail =
                    format!("ratio {} is greater than max/min = {limit:.6}", plain(&value));
                check.invalid_as(path, go::show(&value), detail);
            }
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
