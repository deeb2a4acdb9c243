//! Addresses that come from outside: load balancers.

use serde_json::{Value, json};

use super::ask::{Ask, is_ending, path};

pub(super) fn step(ask: &Ask<'_>) {
    for (number, service) in ask.list("/api/v1/services").into_iter().enumerate() {
        let wants = service["spec"]["type"] == "LoadBalancer" && !is_ending(&service);
        let has = service["status"]["loadBalancer"]["ingress"].is_array();
        if wants && !has {
            ask.status(&path("v1", "services", &service), &service, &address(number));
        }
    }
}

/// Out of the addresses that are for documentation.
fn address(number: usize) -> Value {
    let address = format!("203.0.113.{}", number % 250 + 1);
    json!({"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}})
}
