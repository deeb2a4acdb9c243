//! The cluster IPs and node ports of Services.
//!
//! Source: Kubernetes 1.36 `pkg/registry/core/service/{strategy.go,storage/alloc.go}`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::check::{At, Check};
use super::{go, service};
use crate::rehearsal::{Failure, Kind};

type Object = Map<String, Value>;

/// The first address of the range of cluster IPs, `10.96.0.0/16`.
const FIRST: u32 = u32::from_be_bytes([10, 96, 0, 0]);

/// Addresses up to this one are for those who ask for one: the server starts behind them.
const STATIC: u32 = FIRST + 256;

/// The last address, which is the broadcast one.
const LAST: u32 = FIRST + 0xffff;

/// The range of node ports.
const PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// The cluster IPs of `10.96.0.0/16` and the node ports of 30000–32767 that are in use.
///
/// The server draws free ones at random; here it is the lowest, so that a rehearsal says the same
/// thing twice.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// IPv4 addresses as numbers.
    pub ips: BTreeSet<u32>,
    /// Node ports; TCP and UDP share them, as in the server's own choice.
    pub ports: BTreeSet<u16>,
    /// In a dry run the server does not look whether an address that was asked for is free.
    pub dry_run: bool,
}

impl Addresses {
    /// Gives back what a deleted Service had.
    pub fn release(&mut self, service: &Value) {
        let spec = &service["spec"];
        for ip in spec["clusterIPs"].as_array().into_iter().flatten() {
            if let Some(ip) = ip.as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()) {
                self.ips.remove(&ip.into());
            }
        }
        for port in node_ports(spec) {
            self.ports.remove(&port);
        }
        if let Some(port) = number(&spec["healthCheckNodePort"]) {
            self.ports.remove(&port);
        }
    }

    /// Marks what a Service has, e.g. one of the start state.
    pub fn hold(&mut self, service: &Value) {
        let spec = &service["spec"];
        for ip in spec["clusterIPs"].as_array().into_iter().flatten() {
            if let Some(ip) = ip.as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()) {
                self.ips.insert(ip.into());
            }
        }
        self.ports.extend(node_ports(spec));
        self.ports.extend(number(&spec["healthCheckNodePort"]));
    }

    fn take_ip(&mut self, wanted: &str) -> Result<String, String> {
        if wanted.is_empty() {
            let free = (STATIC..LAST).chain(FIRST + 1..STATIC).find(|ip| !self.ips.contains(ip));
            let ip = free.ok_or("range is full")?;
            self.ips.insert(ip);
            return Ok(Ipv4Addr::from(ip).to_string());
        }
        let ip = wanted.parse::<Ipv4Addr>().map(u32::from).unwrap_or(0);
        if !(FIRST + 1..LAST).contains(&ip) {
            return Err(format!(
                "the provided IP ({wanted}) is not in the valid range. The range of valid IPs is \
                 10.96.0.0/16"
            ));
        }
        // The server's own Service has the first address.
        if !self.ips.insert(ip) || ip == FIRST + 1 && self.ips.len() == 1 {
            return Err("provided IP is already allocated".into());
        }
        Ok(wanted.to_owned())
    }

    fn take_port(&mut self, wanted: u16) -> Result<(), &'static str> {
        if self.dry_run {
            return Ok(());
        }
        if !PORTS.contains(&wanted) {
            return Err(
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            );
        }
        if self.ports.insert(wanted) { Ok(()) } else { Err("provided port is already allocated") }
    }

    fn next_port(&mut self) -> Option<u16> {
        // A dry run shows ports that are nobody's.
        let range = if self.dry_run { PORTS.end() + 2..=u16::MAX } else { PORTS };
        let free = range.clone().find(|port| !self.ports.contains(port))?;
        self.ports.insert(free);
        Some(free)
    }
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

fn node_ports(spec: &Value) -> Vec<u16> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| number(&port["nodePort"])).collect()
}

/// Gives a Service its families, cluster IPs and node ports, and gives back those that `old` no
/// longer needs. Does nothing to other kinds.
///
/// It comes before `prepare_create` and `prepare_update`. Work on a clone of `addresses`, and keep
/// it only where the write succeeds and is no dry run.
///
/// # Errors
/// 422 where something cannot be had, 500 where a change gives two ports of a protocol the same node port.
pub fn allocate(
    kind: &Kind,
    new: &mut Value,
    old: Option<&Value>,
    addresses: &mut Addresses,
) -> Result<(), Failure> {
    if kind.pair() != ("", "Service") {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let before = old.map(|old| &old["spec"]);
    if let Some(before) = before {
        patch_what_was_allocated(spec, before);
    }
    normalize(spec, before);
    let mut check = Check::default();
    families(&mut check, spec, before);
    if check.causes.is_empty() {
        take_ips(&mut check, &name, spec, before, addresses);
    }
    if check.causes.is_empty() {
        take_ports(&mut check, spec, before, addresses)?;
    }
    match check.causes.is_empty() {
        true => Ok(()),
        false => Err(Failure::invalid("", "Service", &name, &check.causes)),
    }
}

fn text<'a>(spec: &'a Object, key: &str) -> &'a str {
    spec.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn count(spec: &Object, key: &str) -> usize {
    spec.get(key).and_then(Value::as_array).map_or(0, Vec::len)
}

fn needs_ip(kind: &str) -> bool {
    kind != "ExternalName"
}

fn needs_port(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}

fn needs_health(spec: &Value) -> bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
}

fn ports_of(spec: &mut Object) -> impl Iterator<Item = &mut Object> {
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    ports.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// A client that sends a Service as it wrote it keeps what it was given.
fn patch_what_was_allocated(spec: &mut Object, old: &Value) {
    let kind = text(spec, "type").to_owned();
    let before = old["type"].as_str().unwrap_or_default();
    if needs_ip(before) && needs_ip(&kind) {
        if text(spec, "clusterIP").is_empty()
            && let Some(ip) = old.get("clusterIP")
        {
            spec.insert("clusterIP".into(), ip.clone());
        }
        if count(spec, "clusterIPs") == 0
            && let Some(ips) = old.get("clusterIPs")
        {
            spec.insert("clusterIPs".into(), ips.clone());
        }
    }
    if needs_port(before) && needs_port(&kind) {
        let wanted = node_ports(&Value::Object(spec.clone()));
        let used: Vec<_> =
            node_ports(old).into_iter().filter(|port| wanted.contains(port)).collect();
        for port in ports_of(spec) {
            if port.get("nodePort").and_then(number).is_some() {
                continue;
            }
            let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
            let named = |held: &&Value| held["name"].as_str().unwrap_or_default() == name;
            let held = old["ports"].as_array().into_iter().flatten().rfind(named);
            if let Some(given) = held.and_then(|held| number(&held["nodePort"]))
                && !used.contains(&given)
            {
                port.insert("nodePort".into(), given.into());
            }
        }
    }
    if needs_health(old) && needs_health(&Value::Object(spec.clone())) {
        let key = "healthCheckNodePort";
        if spec.get(key).and_then(Value::as_i64).unwrap_or(0) == 0
            && let Some(port) = old.get(key)
        {
            spec.insert(key.into(), port.clone());
        }
    }
}

/// The one cluster IP and the list of them say the same.
fn normalize(spec: &mut Object, old: Option<&Value>) {
    let ip = text(spec, "clusterIP").to_owned();
    let Some(old) = old else {
        if !ip.is_empty() && count(spec, "clusterIPs") == 0 {
            spec.insert("clusterIPs".into(), json!([ip]));
        }
        return;
    };
    let before = old["clusterIP"].as_str().unwrap_or_default();
    if old["clusterIPs"].as_array().is_some_and(|ips| !ips.is_empty())
        && count(spec, "clusterIPs") == 0
        && before == ip
    {
        spec.insert("clusterIPs".into(), old["clusterIPs"].clone());
    }
    if before != ip && spec.get("clusterIPs").unwrap_or(&Value::Null) == &old["clusterIPs"] {
        if ip.is_empty() {
            spec.remove("clusterIPs");
        } else {
            spec.insert("clusterIPs".into(), json!([ip]));
        }
    }
}

/// Which families of addresses a Service has, on a cluster that has IPv4 alone.
fn families(check: &mut Check, spec: &mut Object, old: Option<&Value>) {
    if text(spec, "type") == "ExternalName" {
        return;
    }
    let headless = text(spec, "clusterIP") == "None"
        && spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty);
    if spec.get("ipFamilyPolicy").is_none_or(Value::is_null) {
        let kept = old.map(|old| &old["ipFamilyPolicy"]).filter(|policy| !policy.is_null());
        let policy = match kept {
            Some(policy) => policy.clone(),
            None if headless => "RequireDualStack".into(),
            None => "SingleStack".into(),
        };
        spec.insert("ipFamilyPolicy".into(), policy);
    }
    service::cluster_ips(check, &At::new("spec", &Value::Object(spec.clone())), old);
    if !check.causes.is_empty() {
        return;
    }
    let single = text(spec, "ipFamilyPolicy") == "SingleStack";
    let policy = go::quote(text(spec, "ipFamilyPolicy"));
    if single {
        for (key, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
            if count(spec, key) == 2 {
                let detail = format!(
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are \
                     specified"
                );
                check.invalid_as("spec.ipFamilyPolicy", &policy, detail);
            }
        }
    }
    let ips: Vec<String> = spec
        .get("clusterIPs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|ip| ip.as_str().unwrap_or_default().to_owned())
        .collect();
    let mut list: Vec<Value> =
        spec.get("ipFamilies").and_then(Value::as_array).cloned().unwrap_or_default();
    for (at, ip) in ips.iter().enumerate() {
        if ip == "None" {
            break;
        }
        if at >= list.len() {
            if ip.parse::<Ipv4Addr>().is_ok() {
                list.push("IPv4".into());
            } else {
                let family = if ip.contains(':') { "IPv6" } else { "unknown" };
                let shown = go::show(&json!(ips));
                let detail = format!("{family} is not configured on this cluster");
                check.invalid_as(format!("spec.clusterIPs[{at}]"), shown, detail);
            }
        }
    }
    if !check.causes.is_empty() {
        return;
    }
    if headless {
        if list.is_empty() {
            list.push("IPv4".into());
        }
        if list.len() < 2 && !single {
            let second = if list[0] == "IPv4" { "IPv6" } else { "IPv4" };
            list.push(second.into());
        }
        spec.insert("ipFamilies".into(), list.into());
        return;
    }
    if text(spec, "ipFamilyPolicy") == "RequireDualStack" {
        let detail = "this cluster is not configured for dual-stack services";
        check.invalid_as("spec.ipFamilyPolicy", &policy, detail);
    }
    for (at, family) in list.iter().enumerate() {
        if family != "IPv4" {
            let detail = "not configured on this cluster";
            check.invalid_as(format!("spec.ipFamilies[{at}]"), go::show(family), detail);
        }
    }
    if list.is_empty() {
        list.push("IPv4".into());
    }
    spec.insert("ipFamilies".into(), list.into());
}

fn take_ips(
    check: &mut Check,
    name: &str,
    spec: &mut Object,
    old: Option<&Value>,
    addresses: &mut Addresses,
) {
    let external = text(spec, "type") == "ExternalName";
    if let Some(old) = old {
        let was_external = old["type"] == "ExternalName";
        if external && !was_external {
            for ip in old["clusterIPs"].as_array().into_iter().flatten() {
                if let Some(Ok(ip)) = ip.as_str().map(str::parse::<Ipv4Addr>) {
                    addresses.ips.remove(&ip.into());
                }
            }
        }
        if external || !was_external {
            return;
        }
    }
    if external {
        return;
    }
    let mut ips: Vec<String> = spec
        .get("clusterIPs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|ip| ip.as_str().unwrap_or_default().to_owned())
        .collect();
    if ips.first().is_some_and(|ip| ip == "None") {
        return;
    }
    if ips.is_empty() {
        ips.push(String::new());
    }
    let wanted = ips[0].clone();
    let taken = addresses.take_ip(&wanted).and_then(|ip| match name {
        // The server keeps addresses as objects, which refer to the Service by its name.
        "" if !addresses.dry_run => Err(format!(
            "IPAddress.networking.k8s.io {} is invalid: spec.parentRef.name: Required value",
            go::quote(&ip)
        )),
        _ => Ok(ip),
    });
    match taken {
        Ok(ip) => {
            ips[0].clone_from(&ip);
            spec.insert("clusterIP".into(), ip.into());
            spec.insert("clusterIPs".into(), json!(ips));
        }
        Err(why) => {
            let at = if wanted.is_empty() { String::new() } else { format!(" {wanted}") };
            let detail = format!("failed to allocate IP{at}: {why}");
            check.invalid_as("spec.clusterIPs", go::show(&json!(ips)), detail);
        }
    }
}

fn take_ports(
    check: &mut Check,
    spec: &mut Object,
    old: Option<&Value>,
    addresses: &mut Addresses,
) -> Result<(), Failure> {
    let kind = text(spec, "type").to_owned();
    let absent = Value::Null;
    let old = old.unwrap_or(&absent);
    let before = node_ports(old);
    if needs_port(&kind) {
        let open = kind == "NodePort"
            || spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
        let mut given: Vec<(i64, u16)> = Vec::new();
        let mut taken: Vec<(String, u16)> = Vec::new();
        for (at, port) in ports_of(spec).enumerate() {
            let own = port.get("port").and_then(Value::as_i64).unwrap_or(0);
            let asked = port.get("nodePort").and_then(number);
            let shared = given.iter().find(|(number, _)| *number == own).map(|(_, node)| *node);
            let node = match (asked, shared) {
                (Some(asked), shared) => {
                    let is_new = shared != Some(asked) && !before.contains(&asked);
                    if is_new && let Err(why) = addresses.take_port(asked) {
                        let path = format!("spec.ports[{at}].nodePort");
                        check.invalid_as(path, asked.to_string(), why);
                        return Ok(());
                    }
                    asked
                }
                (None, _) if !open => continue,
                // Ports of one number, for TCP and UDP, share their node port.
                (None, Some(shared)) if old.is_null() => shared,
                (None, _) => match addresses.next_port() {
                    Some(free) => free,
                    None => continue,
                },
            };
            port.insert("nodePort".into(), node.into());
            given.push((own, node));
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or_default();
            let pair = (protocol.to_owned(), node);
            if !old.is_null() && taken.contains(&pair) {
                let message = format!("duplicate nodePort: {{{protocol} {node}}}");
                return Err(Failure::new(500, "", message));
            }
            taken.push(pair);
        }
    }
    let after = node_ports(&Value::Object(spec.clone()));
    for port in before {
        if !after.contains(&port) || !needs_port(&kind) {
            addresses.ports.remove(&port);
        }
    }
    let key = "healthCheckNodePort";
    let needs = needs_health(&Value::Object(spec.clone()));
    match (needs_health(old), needs) {
        (false, true) => match spec.get(key).and_then(number) {
            Some(port) => {
                addresses.ports.insert(port);
            }
            None => {
                // What is no port is left for the validation.
                if spec.get(key).and_then(Value::as_i64).unwrap_or(0) == 0
                    && let Some(port) = addresses.next_port()
                {
                    spec.insert(key.into(), port.into());
                }
            }
        },
        (true, false) => {
            if let Some(port) = number(&old[key]) {
                addresses.ports.remove(&port);
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a Service of another type had, and was not changed by hand, goes with the type.
pub(super) fn drop_what_the_type_has_not(object: &mut Object, old: &Value) {
    let old = &old["spec"];
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let kind = text(spec, "type").to_owned();
    let before = old["type"].as_str().unwrap_or_default();
    let unchanged = |spec: &Object, key: &str| spec.get(key).unwrap_or(&Value::Null) == &old[key];
    if needs_ip(before) && kind == "ExternalName" {
        if unchanged(spec, "clusterIPs") {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            if unchanged(spec, key) {
                spec.remove(key);
            }
        }
    }
    if needs_port(before)
        && !needs_port(&kind)
        && node_ports(&Value::Object(spec.clone())) == node_ports(old)
    {
        for port in ports_of(spec) {
            port.remove("nodePort");
        }
    }
    let key = "healthCheckNodePort";
    if needs_health(old) && !needs_health(&Value::Object(spec.clone())) && unchanged(spec, key) {
        spec.remove(key);
    }
    if before == "LoadBalancer" && kind != "LoadBalancer" {
        for key in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(spec, key) {
                spec.remove(key);
            }
        }
    }
    if service::is_open(old)
        && !service::is_open(&Value::Object(spec.clone()))
        && unchanged(spec, "externalTrafficPolicy")
    {
        spec.remove("externalTrafficPolicy");
    }
    if needs_ip(before) && kind == "ExternalName" && unchanged(spec, "internalTrafficPolicy") {
        spec.remove("internalTrafficPolicy");
    }
    if kind != "LoadBalancer"
        && let Some(status) = object.entry("status").or_insert_with(|| json!({})).as_object_mut()
    {
        status.insert("loadBalancer".into(), json!({}));
    }
}
