//! Addresses that come from outside: load balancers.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::ask::{Ask, is_ending, path, text};

/// Looks after a Service.
pub(super) fn look(ask: &Ask<'_>, service: &Value) -> Option<u64> {
    let wants = service["spec"]["type"] == "LoadBalancer" && !is_ending(service);
    let has = service["status"]["loadBalancer"]["ingress"].is_array();
    if wants && !has {
        ask.status(&path("v1", "services", service), service, &address(service));
    }
    None
}

/// Out of the addresses that are for documentation, the one that its cluster IP suggests.
fn address(service: &Value) -> Value {
    let own = text(&service["spec"]["clusterIP"]).parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let address = format!("203.0.113.{}", own.to_bits() % 250 + 1);
    json!({"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}})
}
