//! What Ingresses, NetworkPolicies and lists of endpoints must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/{networking,discovery,core}/validation/validation.go`.

use std::net::IpAddr;

use serde_json::Value;

use super::check::{At, Check};
use super::{go, metadata, names, same, service};

pub(super) fn ingress(check: &mut Check, object: &Value, old: Option<&Value>) {
    let root = At::root(object);
    let spec = root.get("spec");
    let (rules, backend) = (spec.get("rules"), spec.get("defaultBackend"));
    if rules.is_empty() && !backend.is_there() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        check.invalid_as(&*spec.path, go::show(rules.value), detail);
    }
    if backend.is_there() {
        ingress_backend(check, &backend);
    }
    for rule in rules.items() {
        let host = rule.get("host");
        if !host.text().is_empty() {
            if names::is_ip(host.text()) {
                check.invalid(&host, "must be a DNS name, not an IP address");
            }
            check.all(&host, host_rule(host.text()));
        }
        let http = rule.get("http");
        if !http.is_there() {
            continue;
        }
        let paths = http.get("paths");
        if paths.is_empty() {
            check.required(&*paths.path, "");
        }
        paths.items().for_each(|path| http_path(check, &path));
    }
    for tls in spec.get("tls").items() {
        for host in tls.get("hosts").items() {
            check.all(&host, host_rule(host.text()));
        }
        let secret = tls.get("secretName");
        if !secret.text().is_empty() {
            check.all(&secret, names::dns_subdomain(secret.text()));
        }
    }
    let class = spec.get("ingressClassName");
    if class.is_there() {
        check.all(&class, names::dns_subdomain(class.text()));
    }
    let annotation = "kubernetes.io/ingress.class";
    let marked = &object["metadata"]["annotations"][annotation];
    if old.is_none() && class.is_there() && !marked.is_null() && marked != class.value {
        let detail = "must match `ingressClassName` when both are specified";
        check.invalid_as(format!("annotations.{annotation}"), go::show(marked), detail);
    }
}

fn host_rule(host: &str) -> Vec<String> {
    if host.contains('*') { names::wildcard_subdomain(host) } else { names::dns_subdomain(host) }
}

/// What may not be in the path of a request, and not at its end.
const BAD_PARTS: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDS: [&str; 2] = ["/..", "/."];

fn http_path(check: &mut Check, at: &At<'_>) {
    let kind = at.get("pathType");
    if !kind.is_there() {
        return check.required(&*kind.path, "pathType must be specified");
    }
    let path = at.get("path");
    let text = path.text();
    match kind.text() {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                check.invalid_text(&path, "must be an absolute path");
            }
            for part in BAD_PARTS.iter().filter(|part| text.contains(**part)) {
                check.invalid(&path, format!("must not contain '{part}'"));
            }
            for end in BAD_ENDS.iter().filter(|end| text.ends_with(**end)) {
                check.invalid(&path, format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                check.invalid(&path, "must be an absolute path");
            }
        }
        _ => check.unsupported(&kind, &["Exact", "ImplementationSpecific", "Prefix"]),
    }
    ingress_backend(check, &at.get("backend"));
}

fn ingress_backend(check: &mut Check, at: &At<'_>) {
    let (resource, service) = (at.get("resource"), at.get("service"));
    match (resource.is_there(), service.is_there()) {
        (true, true) => {
            let detail = "cannot set both resource and service backends";
            check.invalid_as(&*at.path, "\"\"", detail);
        }
        (true, false) => reference(check, &resource),
        (false, true) => {
            let name = service.get("name");
            if name.text().is_empty() {
                check.required(&*name.path, "");
            } else {
                check.all(&name, names::dns_label(name.text()));
            }
            let port = service.get("port");
            let (name, number) = (port.get("name"), port.get("number"));
            match (!name.text().is_empty(), number.number() != 0) {
                (true, true) => {
                    let detail = "cannot set both port name & port number";
                    check.invalid_as(&*at.path, "\"\"", detail);
                }
                (true, false) => check.all(&name, names::port_name(name.text())),
                (false, true) => {
                    for message in names::port_number(number.number()) {
                        check.invalid(&number, message);
                    }
                }
                (false, false) => check.required(&*at.path, "port name or number is required"),
            }
        }
        (false, false) => {
            let detail = "resource or service backend is required";
            check.invalid_as(&*at.path, "\"\"", detail);
        }
    }
}

/// A reference to an object of some kind.
fn reference(check: &mut Check, at: &At<'_>) {
    let group = at.get("apiGroup");
    if group.is_there() {
        check.all(&group, names::dns_subdomain(group.text()));
    }
    for key in ["kind", "name"] {
        let field = at.get(key);
        if field.text().is_empty() {
            check.required(&*field.path, "");
        } else {
            check.all(&field, names::path_segment(field.text()));
        }
    }
}

/// The most bytes of a controller's name.
const CONTROLLER: usize = 250;

pub(super) fn ingress_class(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let controller = spec.get("controller");
    if controller.text().len() > CONTROLLER {
        check.too_long(&*controller.path, CONTROLLER);
    }
    domain_path(check, &controller);
    let parameters = spec.get("parameters");
    if !parameters.is_there() {
        return;
    }
    reference(check, &parameters);
    let (scope, namespace) = (parameters.get("scope"), parameters.get("namespace"));
    match scope.text() {
        "" if !scope.is_there() => check.required(&*scope.path, ""),
        "Namespace" => {
            if namespace.is_there() {
                check.all(&namespace, names::dns_label(namespace.text()));
            } else {
                check.required(&*namespace.path, "`parameters.scope` is set to 'Namespace'");
            }
        }
        "Cluster" => {
            if namespace.is_there() {
                check.forbidden(&*namespace.path, "`parameters.scope` is set to 'Cluster'");
            }
        }
        _ => check.unsupported(&scope, &["Cluster", "Namespace"]),
    }
}

/// `example.com/path`.
pub(super) fn domain_path(check: &mut Check, at: &At<'_>) {
    if at.text().is_empty() {
        return check.required(&*at.path, "");
    }
    let Some((domain, path)) = at.text().split_once('/') else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return check.invalid(at, detail);
    };
    if domain.is_empty() || path.is_empty() {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return check.invalid(at, detail);
    }
    for message in names::dns_subdomain(domain) {
        check.invalid_as(&*at.path, go::quote(domain), message);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    if !path.bytes().all(fits) {
        let detail = "Invalid path (regex used for validation is \
             '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        check.invalid_as(&*at.path, go::quote(path), detail);
    }
}

pub(super) fn fixed_controller(check: &mut Check, object: &Value, old: &Value) {
    let controller = At::root(object).get("spec").get("controller");
    if *controller.value != old["spec"]["controller"] {
        check.invalid_text(&controller, "field is immutable");
    }
}

pub(super) fn network_policy(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    metadata::selector(check, &spec.get("podSelector"));
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(rules).items() {
            rule.get("ports").items().for_each(|port| policy_port(check, &port));
            rule.get(peers).items().for_each(|peer| policy_peer(check, &peer));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        return check.invalid(&types, "may not specify more than two policyTypes");
    }
    for kind in types.items() {
        check.one_of(&kind, &["Ingress", "Egress"]);
    }
}

fn policy_port(check: &mut Check, at: &At<'_>) {
    let protocol = at.get("protocol");
    if protocol.is_there() {
        check.one_of(&protocol, &["TCP", "UDP", "SCTP"]);
    }
    let (port, end) = (at.get("port"), at.get("endPort"));
    match port.value {
        Value::Null => {
            if end.is_there() {
                check.invalid(&end, "may not be specified when `port` is not specified");
            }
        }
        Value::String(name) => {
            if end.is_there() {
                check.invalid(&end, "may not be specified when `port` is non-numeric");
            }
            check.all(&port, names::port_name(name));
        }
        _ => {
            for message in names::port_number(port.number()) {
                check.invalid(&port, message);
            }
            if !end.is_there() {
                return;
            }
            if end.number() < port.number() {
                let detail = "must be greater than or equal to `port`";
                check.invalid_as(&*end.path, port.number().to_string(), detail);
            }
            for message in names::port_number(end.number()) {
                check.invalid(&end, message);
            }
        }
    }
}

fn policy_peer(check: &mut Check, at: &At<'_>) {
    let block = at.get("ipBlock");
    let mut peers = 0;
    for key in ["podSelector", "namespaceSelector"] {
        let selector = at.get(key);
        if selector.is_there() {
            peers += 1;
            metadata::selector(check, &selector);
        }
    }
    if block.is_there() {
        peers += 1;
        ip_block(check, &block);
    }
    if peers == 0 {
        check.required(&*at.path, "must specify a peer");
    } else if peers > 1 && block.is_there() {
        check.forbidden(&*at.path, "may not specify both ipBlock and another peer");
    }
}

fn bits(ip: IpAddr, length: u8) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (true, u128::from(u32::from(ip)) >> (32 - length.min(32))),
        IpAddr::V6(ip) => {
            (false, u128::from(ip).checked_shr(128 - u32::from(length.min(128))).unwrap_or(0))
        }
    }
}

fn ip_block(check: &mut Check, at: &At<'_>) {
    let cidr = at.get("cidr");
    if cidr.text().is_empty() {
        return check.required(&*cidr.path, "");
    }
    check.network(&cidr);
    let Some((ip, length)) = names::cidr(cidr.text()) else { return };
    for except in at.get("except").items() {
        check.network(&except);
        let Some((inner, longer)) = names::cidr(except.text()) else { continue };
        if length >= longer || bits(ip, length) != bits(inner, length) {
            check.invalid(&except, "must be a strict subset of `cidr`");
        }
    }
}

/// The most endpoints, ports and addresses of a slice.
const ENDPOINTS: usize = 1000;
const PORTS: usize = 20000;
const ADDRESSES: usize = 100;

pub(super) fn endpoint_slice(check: &mut Check, object: &Value, old: Option<&Value>) {
    let root = At::root(object);
    let kind = root.get("addressType");
    if kind.text().is_empty() {
        check.required(&*kind.path, "");
    } else {
        check.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    }
    let ports = root.get("ports");
    if ports.len() > PORTS {
        check.too_many(&*ports.path, ports.len(), PORTS);
    } else {
        let mut seen = Vec::new();
        for port in ports.items() {
            let name = port.get("name");
            if !name.text().is_empty() {
                check.all(&name, names::dns_label(name.text()));
            }
            if seen.contains(&name.text()) {
                check.duplicate(&*name.path, go::quote(name.text()));
            } else {
                seen.push(name.text());
            }
            check.one_of(&port.get("protocol"), &["SCTP", "TCP", "UDP"]);
            let protocol = port.get("appProtocol");
            if protocol.is_there() {
                check.all(&protocol, names::qualified_name(protocol.text()));
            }
        }
    }
    if old.is_none_or(|old| !same(&old["endpoints"], &object["endpoints"])) {
        slice_endpoints(check, &root.get("endpoints"), kind.text());
    }
}

fn slice_address(check: &mut Check, list: &At<'_>, address: &At<'_>, kind: &str) {
    if !check.address(address) {
        return;
    }
    let Ok(ip) = address.text().parse::<IpAddr>() else { return };
    if (kind == "IPv4") != ip.is_ipv4() {
        let detail = format!("must be an {kind} address");
        check.invalid_as(&*list.path, go::show(address.value), detail);
    } else if ip.to_string() != address.text() {
        check.invalid(address, format!("must be in canonical form (\"{ip}\")"));
    }
    service::endpoint_ip(check, address);
}

fn slice_endpoints(check: &mut Check, list: &At<'_>, kind: &str) {
    if list.len() > ENDPOINTS {
        return check.too_many(&*list.path, list.len(), ENDPOINTS);
    }
    for endpoint in list.items() {
        let addresses = endpoint.get("addresses");
        if addresses.is_empty() {
            check.required(&*addresses.path, "must contain at least 1 address");
        } else if addresses.len() > ADDRESSES {
            check.too_many(&*addresses.path, addresses.len(), ADDRESSES);
        }
        for address in addresses.items() {
            match kind {
                "IPv4" | "IPv6" => slice_address(check, &addresses, &address, kind),
                "FQDN" => {
                    let text = address.text().strip_suffix('.').unwrap_or(address.text());
                    for message in names::dns_subdomain(text) {
                        check.invalid(&address, message);
                    }
                }
                _ => {}
            }
        }
        let node = endpoint.get("nodeName");
        if node.is_there() {
            check.all(&node, names::dns_subdomain(node.text()));
        }
        let host = endpoint.get("hostname");
        if host.is_there() {
            check.all(&host, names::dns_label(host.text()));
        }
        hints(check, &endpoint.get("hints"));
    }
}

/// The most zones, or nodes, that are hinted at.
const HINTS: usize = 8;

fn hints(check: &mut Check, hints: &At<'_>) {
    for (key, rule) in [
        ("forZones", names::label_value as fn(&str) -> Vec<String>),
        ("forNodes", names::dns_subdomain),
    ] {
        let list = hints.get(key);
        if list.len() > HINTS {
            return check.too_many(&*list.path, list.len(), HINTS);
        }
        let mut seen = Vec::new();
        for entry in list.items() {
            let name = entry.get("name");
            if seen.contains(&name.text()) {
                check.duplicate(&*name.path, go::quote(name.text()));
            } else {
                seen.push(name.text());
            }
            check.all(&name, rule(name.text()));
        }
    }
}

pub(super) fn fixed_address_type(check: &mut Check, object: &Value, old: &Value) {
    let kind = At::root(object).get("addressType");
    if *kind.value != old["addressType"] {
        check.invalid_text(&kind, "field is immutable");
    }
}

pub(super) fn endpoints(check: &mut Check, object: &Value, old: Option<&Value>) {
    if old.is_some_and(|old| same(&old["subsets"], &object["subsets"])) {
        return;
    }
    for subset in At::root(object).get("subsets").items() {
        let (ready, other) = (subset.get("addresses"), subset.get("notReadyAddresses"));
        if ready.is_empty() && other.is_empty() {
            check.required(&*subset.path, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ready.items().chain(other.items()) {
            let ip = address.get("ip");
            check.address(&ip);
            let host = address.get("hostname");
            if !host.text().is_empty() {
                check.all(&host, names::dns_label(host.text()));
            }
            let node = address.get("nodeName");
            if node.is_there() {
                check.all(&node, names::dns_subdomain(node.text()));
            }
            service::endpoint_ip(check, &ip);
        }
        let ports = subset.get("ports");
        for port in ports.items() {
            let name = port.get("name");
            if name.text().is_empty() {
                if ports.len() > 1 {
                    check.required(&*name.path, "");
                }
            } else {
                check.all(&name, names::dns_label(name.text()));
            }
            let number = port.get("port");
            for message in names::port_number(number.number()) {
                check.invalid_as(&*number.path, number.number().to_string(), message);
            }
            check.one_of(&port.get("protocol"), &["SCTP", "TCP", "UDP"]);
        }
    }
}
