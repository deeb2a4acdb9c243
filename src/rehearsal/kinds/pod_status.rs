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
    transitions(check, &status, old);
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
        let name = At::new(condition.child("Type"), &condition.value["type"]);
        if !OWN_CONDITIONS.contains(&name.text()) {
            check.all(&name, names::qualified_name(name.text()));
        }
    }
}

/// What has ended and is not to be started again stays so.
fn transitions(check: &mut Check, status: &At<'_>, old: &Value) {
    for (statuses, containers) in [
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
        ("ephemeralContainerStatuses", "ephemeralContainers"),
    ] {
        let before = At::new(status.child(statuses), &old["status"][statuses]);
        for was in before.items().filter(|was| has_ended(was.value)) {
            let is_same = |other: &Value| other["name"] == was.value["name"];
            if may_restart(&old["spec"], containers, &is_same, was.value) {
                continue;
            }
            let after = status.get(statuses).items();
            for _ in after.filter(|now| is_same(now.value) && !has_ended(now.value)) {
                let detail = "may not be transitioned to non-terminated state";
                check.forbidden(was.child("state"), detail);
            }
        }
    }
}

fn has_ended(status: &Value) -> bool {
    !status["state"]["terminated"].is_null()
}

/// Whether a container that has ended may be started again, which its own policy says before that of the Pod.
fn may_restart(
    spec: &Value,
    containers: &str,
    is_same: &dyn Fn(&Value) -> bool,
    status: &Value,
) -> bool {
    if containers == "ephemeralContainers" {
        return false;
    }
    let mut list = At::root(spec).get(containers).items();
    let container = list.find(|one| is_same(one.value));
    let has_rules = container.as_ref().is_some_and(|one| !one.get("restartPolicyRules").is_empty());
    let own = container.map(|one| one.text_of("restartPolicy")).filter(|own| !own.is_empty());
    match own.unwrap_or(spec["restartPolicy"].as_str().unwrap_or_default()) {
        "Always" => true,
        "OnFailure" => status["state"]["terminated"]["exitCode"].as_i64().unwrap_or_default() != 0,
        _ => has_rules,
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
            check.all(&At::new(name.path, made.value), names::dns_subdomain(made.text()));
        }
    }
}

/// At most one address of each family; those that were there may stay as they are.
fn addresses(check: &mut Check, list: &At<'_>, old: &Value) {
    let texts: Vec<_> = list.items().map(|one| one.text_of("ip")).collect();
    let was_there = |text: &str| {
        let mut before = old.as_array().into_iter().flatten();
        before.any(|one| one["ip"].as_str().unwrap_or_default() == text)
    };
    for one in list.items().filter(|one| !was_there(one.text_of("ip"))) {
        check.address(&At::new(one.path, &one.value["ip"]));
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
