//! LimitRanges: what containers ask for that do not say it, and what they may ask for.
//!
//! Source: Kubernetes 1.36 `plugin/pkg/admission/limitranger/admission.go`.

use serde_json::{Map, Value};

use super::admission::forbidden;
use super::check::At;
use super::quantity::Quantity;
use super::resources::{Amounts, amounts, of_containers};
use crate::rehearsal::{Failure, Kind};

/// Sets the requests and limits that the LimitRanges of the namespace have as defaults. Comes with
/// the plugins that change objects, for creates of Pods only.
pub fn apply_limits(kind: &Kind, new: &mut Value, limit_ranges: &[&Value]) {
    if kind.pair() != ("", "Pod") {
        return;
    }
    for range in limit_ranges {
        let mut limits = Map::new();
        let mut requests = Map::new();
        for limit in At::root(range).get("spec").get("limits").items() {
            if limit.text_of("type") == "Container" {
                requests.extend(object(&limit.value["defaultRequest"]));
                limits.extend(object(&limit.value["default"]));
            }
        }
        let mut said = Vec::new();
        for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
            let held = new["spec"].get_mut(list).and_then(Value::as_array_mut);
            for container in held.into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                for (key, defaults) in [("requests", &requests), ("limits", &limits)] {
                    let set = fill(container, key, defaults);
                    if !set.is_empty() {
                        let kind = key.trim_end_matches('s');
                        said.push(format!("{} {kind} for {what} {name}", set.join(", ")));
                    }
                }
            }
        }
        if !said.is_empty() {
            let text = format!("LimitRanger plugin set: {}", said.join("; "));
            new["metadata"]["annotations"]["kubernetes.io/limit-ranger"] = text.into();
        }
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Adds what is not there, and says what that was.
fn fill(container: &mut Value, key: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, value) in defaults {
        let held = &mut container["resources"][key];
        if held.get(name).is_none() {
            held[name] = value.clone();
            set.push(name.clone());
        }
    }
    set.sort_unstable();
    set
}

/// Refuses an object outside the LimitRanges of its namespace. Comes after the validation of a
/// create.
///
/// # Errors
/// 403 with the server's text.
pub fn check_limits(kind: &Kind, new: &Value, limit_ranges: &[&Value]) -> Result<(), Failure> {
    let resource = match kind.pair() {
        ("", "Pod") => "pods",
        ("", "PersistentVolumeClaim") => "persistentvolumeclaims",
        _ => return Ok(()),
    };
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    for range in limit_ranges {
        let mut wrong = Vec::new();
        for limit in range["spec"]["limits"].as_array().into_iter().flatten() {
            match (resource, limit["type"].as_str().unwrap_or_default()) {
                ("pods", "Container") => {
                    for list in ["containers", "initContainers"] {
                        for container in new["spec"][list].as_array().into_iter().flatten() {
                            let held = &container["resources"];
                            let (asked, most) =
                                (amounts(&held["requests"]), amounts(&held["limits"]));
                            compare(&mut wrong, limit, &asked, &most, true);
                        }
                    }
                }
                ("pods", "Pod") => {
                    let own = |key: &str| {
                        let mut sum = of_containers(&new["spec"], key);
                        let said = amounts(&new["spec"]["resources"][key]);
                        sum.extend(
                            said.into_iter()
                                .filter(|(name, _)| matches!(&**name, "cpu" | "memory")),
                        );
                        sum
                    };
                    compare(&mut wrong, limit, &own("requests"), &own("limits"), true);
                }
                ("persistentvolumeclaims", "PersistentVolumeClaim") => {
                    let asked = amounts(&new["spec"]["resources"]["requests"]);
                    compare(&mut wrong, limit, &asked, &Amounts::new(), false);
                }
                _ => {}
            }
        }
        wrong.dedup();
        match &*wrong {
            [] => {}
            [one] => return Err(forbidden(resource, name, one)),
            many => return Err(forbidden(resource, name, &format!("[{}]", many.join(", ")))),
        }
    }
    Ok(())
}

fn compare(wrong: &mut Vec<String>, limit: &Value, asked: &Amounts, most: &Amounts, pods: bool) {
    let kind = limit["type"].as_str().unwrap_or_default();
    for (name, least) in amounts(&limit["min"]) {
        let start = format!("minimum {name} usage per {kind} is {least}");
        match (asked.get(&name), most.get(&name)) {
            (None, _) => wrong.push(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < least => {
                wrong.push(format!("{start}, but request is {request}"));
            }
            (_, Some(limit)) if *limit < least => {
                wrong.push(format!("{start}, but limit is {limit}"));
            }
            _ => {}
        }
    }
    for (name, top) in amounts(&limit["max"]) {
        let start = format!("maximum {name} usage per {kind} is {top}");
        let request = asked.get(&name).filter(|request| **request > top);
        match (most.get(&name), pods) {
            (None, true) => wrong.push(format!("{start}.  No limit is specified")),
            (Some(limit), true) if *limit > top => {
                wrong.push(format!("{start}, but limit is {limit}"));
            }
            (None, false) if !asked.contains_key(&name) => {
                wrong.push(format!("{start}.  No request is specified"));
            }
            _ => wrong.extend(request.map(|request| format!("{start}, but request is {request}"))),
        }
    }
    if !pods {
        return;
    }
    for (name, ratio) in amounts(&limit["maxLimitRequestRatio"]) {
        let start = format!("{name} max limit to request ratio per {kind} is {ratio}");
        let there = |list: &Amounts| list.get(&name).copied().filter(|amount| !amount.is_zero());
        let (Some(request), Some(limit)) = (there(asked), there(most)) else {
            let what = if there(asked).is_none() { "request" } else { "limit" };
            wrong.push(format!("{start}, but no {what} is specified or {what} is 0"));
            continue;
        };
        let provided = quotient(limit, request);
        if provided * 1000.0 > quotient(ratio, Quantity::whole(1)) * 1000.0 {
            wrong.push(format!("{start}, but provided ratio is {provided:.6}"));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "the server computes it so")]
fn quotient(a: Quantity, b: Quantity) -> f64 {
    a.milli() as f64 / b.milli() as f64
}
