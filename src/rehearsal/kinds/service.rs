//! What a Service must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::{go, metadata, names};

fn is_headless(spec: &Value) -> bool {
    spec["clusterIPs"].as_array().is_some_and(|ips| ips.len() == 1 && ips[0] == "None")
}

/// Whether it can be reached from outside of the cluster.
pub(super) fn is_open(spec: &Value) -> bool {
    match spec["type"].as_str().unwrap_or_default() {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => spec["externalIPs"].as_array().is_some_and(|ips| !ips.is_empty()),
        _ => false,
    }
}

pub(super) fn validate(check: &mut Check, object: &Value, old: Option<&Value>) {
    let root = At::root(object);
    let spec = root.get("spec");
    let headless = is_headless(spec.value);
    let kind = spec.text_of("type");
    annotations_agree(check, &root);
    let ports = spec.get("ports");
    if ports.is_empty() && !headless && kind != "ExternalName" {
        check.required(&*ports.path, "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            check.invalid_as("spec.clusterIPs[0]", "\"None\"", detail);
        }
        "ExternalName" => external_name(check, &spec),
        _ => {}
    }
    let many = ports.len() > 1;
    let mut seen = Vec::new();
    for port in ports.items() {
        service_port(check, &port, many, &mut seen);
    }
    metadata::labels(check, &spec.get("selector"));
    affinity(check, &spec);
    cluster_ips(check, &spec, old.map(|old| &old["spec"]));
    for ip in spec.get("externalIPs").items() {
        if check.address(&ip) {
            endpoint_ip(check, &ip);
        }
    }
    let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    check.one_of(&spec.get("type"), &types);
    if kind == "ClusterIP" {
        for port in ports.items().filter(|port| port.get("nodePort").number() != 0) {
            check.forbidden(port.child("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    doubles(check, &ports);
    source_ranges(check, &root, &spec);
    let allocate = spec.get("allocateLoadBalancerNodePorts");
    if allocate.is_there() && kind != "LoadBalancer" {
        check.forbidden(&*allocate.path, "may only be used when `type` is 'LoadBalancer'");
    }
    load_balancer_class(check, &spec, None);
    traffic(check, &spec);
}

pub(super) fn validate_update(check: &mut Check, object: &Value, old: &Value) {
    let root = At::root(object);
    let spec = root.get("spec");
    let before = &old["spec"];
    if spec.text_of("type") != "ExternalName" && before["type"] != "ExternalName" {
        released_ips(check, &spec, before);
        released_families(check, &spec, before);
    }
    load_balancer_class(check, &spec, Some(before));
    let needs =
        |spec: &Value| spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
    let port = spec.get("healthCheckNodePort");
    if needs(before) && needs(spec.value) && *port.value != before["healthCheckNodePort"] {
        check.forbidden(&*port.path, "field is immutable");
    }
    validate(check, object, Some(old));
}

fn annotations_agree(check: &mut Check, root: &At<'_>) {
    let annotations = root.get("metadata").get("annotations");
    let hints = "service.kubernetes.io/topology-aware-hints";
    let mode = "service.kubernetes.io/topology-mode";
    let (old, new) = (&annotations.value[hints], &annotations.value[mode]);
    if !old.is_null() && !new.is_null() && old != new {
        let detail = format!("must match annotations[{hints}] when both are specified");
        check.invalid_as(annotations.key(mode), go::show(new), detail);
    }
}

fn external_name(check: &mut Check, spec: &At<'_>) {
    for key in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let field = spec.get(key);
        if !field.is_empty() {
            check.forbidden(&*field.path, "may not be set for ExternalName services");
        }
    }
    let name = spec.get("externalName");
    let cname = name.text().strip_suffix('.').unwrap_or(name.text());
    if cname.is_empty() {
        check.required(&*name.path, "");
    } else {
        for message in names::dns_subdomain(cname) {
            check.invalid_as(&*name.path, go::quote(cname), message);
        }
    }
}

fn service_port<'a>(check: &mut Check, port: &At<'a>, many: bool, seen: &mut Vec<&'a str>) {
    let name = port.get("name");
    if name.text().is_empty() {
        if many {
            check.required(&*name.path, "");
        }
    } else {
        check.all(&name, names::dns_label(name.text()));
        if seen.contains(&name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        } else {
            seen.push(name.text());
        }
    }
    let number = port.get("port");
    for message in names::port_number(number.number()) {
        check.invalid_as(&*number.path, number.number().to_string(), message);
    }
    let protocol = port.get("protocol");
    check.one_of(&protocol, &["SCTP", "TCP", "UDP"]);
    port_or_name(check, &port.get("targetPort"));
    let protocol = port.get("appProtocol");
    if protocol.is_there() {
        check.all(&protocol, names::qualified_name(protocol.text()));
    }
}

/// A port by number or by name.
pub(super) fn port_or_name(check: &mut Check, at: &At<'_>) {
    match at.value {
        Value::String(name) => check.all(at, names::port_name(name)),
        _ => {
            for message in names::port_number(at.number()) {
                check.invalid_as(&*at.path, at.number().to_string(), message);
            }
        }
    }
}

fn affinity(check: &mut Check, spec: &At<'_>) {
    let affinity = spec.get("sessionAffinity");
    let config = spec.get("sessionAffinityConfig");
    check.one_of(&affinity, &["ClientIP", "None"]);
    if affinity.text() == "None" && config.is_there() {
        check.forbidden(&*config.path, "must not be set when session affinity is None");
    }
    if affinity.text() == "ClientIP" {
        let timeout = config.get("clientIP").get("timeoutSeconds");
        if !(1..=86400).contains(&timeout.number()) {
            let detail = "must be greater than 0 and less than 86400";
            check.invalid_as(&*timeout.path, timeout.number().to_string(), detail);
        }
    }
}

/// The cluster IPs, their families and the policy: what is looked at before addresses are given.
pub(super) fn cluster_ips(check: &mut Check, spec: &At<'_>, old: Option<&Value>) {
    if spec.text_of("type") == "ExternalName" {
        return;
    }
    let ips = spec.get("clusterIPs");
    let list: Vec<&str> = ips.items().map(|ip| ip.text()).collect();
    let one = spec.text_of("clusterIP");
    match (one, list.first()) {
        ("", None) => {}
        ("", Some(_)) => {
            check.invalid(&ips, "must be empty when `clusterIP` is not specified");
        }
        (_, None) => check.required(&*ips.path, ""),
        (one, Some(first)) if one != *first => {
            check.invalid(&ips, "first value must match `clusterIP`");
        }
        _ => {}
    }
    let families = spec.get("ipFamilies");
    let mut seen = Vec::new();
    for family in families.items() {
        check.one_of(&family, &["IPv4", "IPv6"]);
        if seen.contains(&family.text()) {
            check.duplicate(&*family.path, go::quote(family.text()));
        }
        seen.push(family.text());
    }
    let policy = spec.get("ipFamilyPolicy");
    if policy.is_there() {
        check.one_of(&policy, &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    }
    let existing = |ip: &Value| {
        let old = old.and_then(|old| old["clusterIPs"].as_array());
        old.is_some_and(|old| old.contains(ip))
    };
    let mut wrong = false;
    for (at, ip) in ips.items().enumerate() {
        if at == 0 && ip.text() == "None" {
            if list.len() > 1 {
                wrong = true;
                check.invalid(&ips, "'None' must be the first and only value");
            }
            continue;
        }
        if !existing(ip.value) && !check.address(&ip) {
            wrong = true;
        }
    }
    if list.len() > 2 {
        check.invalid(&ips, "may only hold up to 2 values");
    }
    if wrong {
        return;
    }
    let six = |ip: &str| ip.contains(':');
    if list.len() > 1 && list.iter().all(|ip| six(ip) == six(list[0])) {
        check.invalid(&ips, "may specify no more than one IP for each IP family");
    }
    if is_headless(spec.value) {
        return;
    }
    for (at, (ip, family)) in ips.items().zip(families.items()).enumerate() {
        let wanted = match family.text() {
            "IPv4" if six(ip.text()) => "IPv4",
            "IPv6" if !six(ip.text()) => "IPv6",
            _ => continue,
        };
        check
            .invalid(&ip, format!("expected an {wanted} value as indicated by `ipFamilies[{at}]`"));
    }
}

/// An address that traffic can be sent to.
pub(super) fn endpoint_ip(check: &mut Check, at: &At<'_>) {
    use std::net::IpAddr;
    let Some(ip) = names::sloppy_address(at.text()) else {
        check.invalid_text(at, "must be a valid IP address");
        return;
    };
    if ip.is_unspecified() {
        check.invalid(at, format!("may not be unspecified ({ip})"));
    }
    if ip.is_loopback() {
        check.invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (link, group) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    if link {
        check.invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if group {
        let detail = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
        check.invalid(at, detail);
    }
}

fn doubles(check: &mut Check, ports: &At<'_>) {
    let mut seen = Vec::new();
    for port in ports.items() {
        let node = port.get("nodePort");
        if node.number() == 0 {
            continue;
        }
        let key = (port.text_of("protocol"), node.number());
        if seen.contains(&key) {
            check.duplicate(&*node.path, node.number().to_string());
        }
        seen.push(key);
    }
    let mut seen = Vec::new();
    for port in ports.items() {
        let key = (port.text_of("protocol"), port.get("port").number());
        if seen.contains(&key) {
            let key = serde_json::json!({"protocol": key.0, "port": key.1});
            check.duplicate(&*port.path, go::show_struct("ServicePort", &key));
        }
        seen.push(key);
    }
}

fn source_ranges(check: &mut Check, root: &At<'_>, spec: &At<'_>) {
    let ranges = spec.get("loadBalancerSourceRanges");
    let balanced = spec.text_of("type") == "LoadBalancer";
    let only = "may only be used when `type` is 'LoadBalancer'";
    if !ranges.is_empty() {
        // The server names the field so.
        let path = "spec.LoadBalancerSourceRanges";
        if !balanced {
            check.forbidden(path, only);
        }
        for (at, range) in ranges.items().enumerate() {
            let text = range.text().trim();
            if let Some(fault) = names::network_fault(text) {
                check.invalid_as(format!("{path}[{at}]"), go::quote(text), fault);
            }
        }
        return;
    }
    let key = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let annotations = root.get("metadata").get("annotations");
    let Some(text) = annotations.value.get(key).and_then(Value::as_str) else { return };
    let path = annotations.key(key);
    if !balanced {
        check.forbidden(&*path, only);
    }
    for range in text.trim().split(',').map(str::trim) {
        let fault = names::network_fault(range).filter(|_| !text.trim().is_empty());
        if let Some(fault) = fault {
            check.invalid_as(&*path, go::quote(range), fault);
        }
    }
}

fn load_balancer_class(check: &mut Check, spec: &At<'_>, old: Option<&Value>) {
    let class = spec.get("loadBalancerClass");
    let balanced = spec.text_of("type") == "LoadBalancer";
    let was_balanced = old.filter(|old| balanced && old["type"] == "LoadBalancer");
    if was_balanced.is_some_and(|old| *class.value != old["loadBalancerClass"]) {
        check.invalid(&class, "may not change once set");
    }
    if !class.is_there() {
        return;
    }
    if balanced {
        check.all(&class, names::qualified_name(class.text()));
    } else {
        check.forbidden(&*class.path, "may only be used when `type` is 'LoadBalancer'");
    }
}

fn traffic(check: &mut Check, spec: &At<'_>) {
    let policy = spec.get("externalTrafficPolicy");
    if is_open(spec.value) {
        if policy.text().is_empty() {
            check.required(&*policy.path, "");
        } else {
            check.one_of(&policy, &["Cluster", "Local"]);
        }
    } else if !policy.text().is_empty() {
        check.invalid(&policy, "may only be set for externally-accessible services");
    }
    let health = spec.get("healthCheckNodePort");
    let needed = spec.text_of("type") == "LoadBalancer" && policy.text() == "Local";
    if !needed && health.number() != 0 {
        let detail =
            "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        check.invalid(&health, detail);
    } else if needed && health.number() == 0 {
        check.required(&*health.path, "");
    } else if needed {
        for message in names::port_number(health.number()) {
            check.invalid(&health, message);
        }
    }
    let internal = spec.get("internalTrafficPolicy");
    let routed = matches!(spec.text_of("type"), "NodePort" | "LoadBalancer" | "ClusterIP");
    if !internal.is_there() && routed {
        check.required(&*internal.path, "");
    } else if internal.is_there() {
        check.one_of(&internal, &["Cluster", "Local"]);
    }
    let distribution = spec.get("trafficDistribution");
    if distribution.is_there() {
        check.one_of(&distribution, &["PreferClose", "PreferSameZone", "PreferSameNode"]);
    }
}

fn released_ips(check: &mut Check, spec: &At<'_>, old: &Value) {
    if is_headless(spec.value) && is_headless(old) {
        return;
    }
    let ips = spec.get("clusterIPs");
    let list = ips.value.as_array().map(Vec::as_slice).unwrap_or_default();
    let before = old["clusterIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = go::show(ips.value);
    let mut wrong = |at: usize, detail: &str| {
        check.invalid_as(format!("{}[{at}]", ips.path), &shown, detail);
    };
    if list.len() == before.len() {
        for (at, ip) in before.iter().enumerate() {
            if *ip != list[at] {
                wrong(at, "may not change once set");
            }
        }
        return;
    }
    if list.is_empty() {
        wrong(0, "primary clusterIP can not be unset");
    }
    if let (Some(now), Some(then)) = (list.first(), before.first())
        && now != then
    {
        wrong(0, "may not change once set");
    }
    if before.len() > list.len() && list.len() == 1 {
        single_stack(check, spec, "clusterIP");
    }
}

fn single_stack(check: &mut Check, spec: &At<'_>, what: &str) {
    let policy = spec.get("ipFamilyPolicy");
    if policy.text() != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        check.invalid(&policy, detail);
    }
}

fn released_families(check: &mut Check, spec: &At<'_>, old: &Value) {
    if is_headless(spec.value) || is_headless(old) {
        return;
    }
    let families = spec.get("ipFamilies");
    let list = families.value.as_array().map(Vec::as_slice).unwrap_or_default();
    let before = old["ipFamilies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = format!("{}[0]", families.path);
    if list.len() == before.len() {
        for (now, then) in list.iter().zip(before) {
            if now != then {
                check.invalid_as(&*path, go::show(families.value), "may not change once set");
            }
        }
        return;
    }
    let ips = go::show(spec.get("clusterIPs").value);
    if before.len() > list.len() && spec.get("clusterIPs").is_empty() {
        check.invalid_as(&*path, go::show(families.value), "primary ipFamily can not be unset");
    }
    if let (Some(now), Some(then)) = (list.first(), before.first())
        && now != then
    {
        check.invalid_as(&*path, ips, "may not change once set");
    }
    if before.len() > list.len() && list.len() == 1 {
        single_stack(check, spec, "ipFamily");
    }
}
