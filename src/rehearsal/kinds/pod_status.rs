//! What the status of a Pod may say.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`, `ValidatePodStatusUpdate`.

use serde_json::Value;

use super::check::{At, Check};
use super::{go, names};

/// Conditions that the system itself sets; all others are named like labels.
const OWN_CONDITIONS: [&str; 3] = ["Initialized", "PodScheduled", "Ready"];

pub(super) fn validate(check: &mut Check, new: &Value, old: &Value) {
    let status = At::new("status", &new["status"]);
    conditions(check, &status);
    let node = status.get("nominatedNodeName");
    if *node.value != old["status"]["nominatedNodeName"] && !node.text().is_empty() {
        check.all(&node, names::dns_subdomain(node.text()));
    }
    let observed = status.get("observedGeneration");
    if observed.number() < 0 {
        check.invalid(&observed, "must be a non-negative integer");
    }
    let class = status.get("qosClass");
    if *class.value != old["status"]["qosClass"] {
        check.invalid_text(&class, "field is immutable");
    }
    transitions(check, &status, new, old);
    claims(check, &status, new);
    addresses(check, &status.get("podIPs"), &old["status"]["podIPs"]);
    let hosts = status.get("hostIPs");
    if let Some(first) = hosts.items().next().map(|first| first.get("ip"))
        && first.text() != status.text_of("hostIP")
    {
        check.invalid_text(&first, "must be equal to `hostIP`");
    }
    addresses(check, &hosts, &old["status"]["hostIPs"]);
}

fn conditions(check: &mut Check, status: &At<'_>) {
    for condition in status.get("conditions").items() {
        let name = condition.text_of("type");
        if OWN_CONDITIONS.contains(&name) {
            continue;
        }
        for message in names::qualified_name(name) {
            check.invalid_as(condition.child("Type"), go::quote(name), message);
        }
    }
}

/// What has ended and is not to be started again stays so.
fn transitions(check: &mut Check, status: &At<'_>, new: &Value, old: &Value) {
    let policy = old["spec"]["restartPolicy"].as_str().unwrap_or_default();
    for (statuses, containers) in [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", "ephemeralContainers"),
    ] {
        let list = |object: &Value| object["status"][statuses].as_array().cloned();
        let (before, after) = (list(old).unwrap_or_default(), list(new).unwrap_or_default());
        for (at, was) in before.iter().enumerate() {
            let ended = &was["state"]["terminated"];
            let same = |other: &Value| other["name"] == was["name"];
            let container =
                old["spec"][containers].as_array().into_iter().flatten().find(|c| same(c));
            let policy = match containers {
                "ephemeralContainers" => "Never",
                _ => container.and_then(|one| one["restartPolicy"].as_str()).unwrap_or(policy),
            };
            let has_rules = container
                .and_then(|one| one["restartPolicyRules"].as_array())
                .is_some_and(|rules| !rules.is_empty());
            let may_restart = match policy {
                "Always" => true,
                "OnFailure" => ended["exitCode"].as_i64().unwrap_or_default() != 0,
                _ => has_rules,
            };
            if ended.is_null() || may_restart {
                continue;
            }
            let leaves = |now: &&Value| same(now) && now["state"]["terminated"].is_null();
            for _ in after.iter().filter(leaves) {
                let path = format!("{}[{at}].state", status.child(statuses));
                check.forbidden(path, "may not be transitioned to non-terminated state");
            }
        }
    }
}

fn claims(check: &mut Check, status: &At<'_>, new: &Value) {
    let claims = new["spec"]["resourceClaims"].as_array();
    for claim in status.get("resourceClaimStatuses").items() {
        let name = claim.get("name");
        if !claims.into_iter().flatten().any(|one| one["name"] == *name.value) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            check.invalid_text(&name, detail);
        }
        let made = claim.get("resourceClaimName");
        if made.is_there() {
            for message in names::dns_subdomain(made.text()) {
                check.invalid_as(&*name.path, go::quote(made.text()), message);
            }
        }
    }
}

/// At most one address of each family; those that were there may stay as they are.
fn addresses(check: &mut Check, list: &At<'_>, old: &Value) {
    let texts: Vec<_> = list.items().map(|one| one.text_of("ip").to_owned()).collect();
    let was_there = |text: &str| {
        let mut before = old.as_array().into_iter().flatten();
        before.any(|one| one["ip"].as_str().unwrap_or_default() == text)
    };
    for (one, text) in list.items().zip(&texts).filter(|(_, text)| !was_there(text)) {
        if let Some(fault) = names::address_fault(text) {
            check.invalid_as(&*one.path, go::quote(text), fault);
        }
    }
    if texts.len() < 2 {
        return;
    }
    let families: Vec<_> = texts.iter().map(|text| names::sloppy_address(text)).collect();
    let unreadable = families.iter().position(Option::is_none);
    if let Some(at) = unreadable {
        let why =
            format!("failed to check for dual stack with error:invalid IP[{at}]: {}", texts[at]);
        check.internal(&*list.path, why);
    }
    let both = |four: bool| families.iter().flatten().any(|ip| ip.is_ipv4() == four);
    if unreadable.is_some() || !both(true) || !both(false) || texts.len() > 2 {
        let shown: Vec<_> =
            texts.iter().map(|text| format!("{{\"IP\":{}}}", go::quote(text))).collect();
        let shown = format!("[{}]", shown.join(","));
        let detail = "may specify no more than one IP for each IP family";
        check.invalid_as(&*list.path, shown, detail);
    }
}
