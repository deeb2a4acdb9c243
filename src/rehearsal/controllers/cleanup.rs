//! What ends with something else: the contents of namespaces, and what is owned.
//!
//! Source: Kubernetes `pkg/controller/namespace`, `pkg/controller/garbagecollector`.

use serde_json::{Value, json};

use super::ask::{Ask, is_ending, text};
use super::sight::Place;

/// Gives a namespace what each has, or ends it if it is to go.
pub(super) fn look(ask: &Ask<'_>, namespace: &Value) -> Option<u64> {
    let name = text(&namespace["metadata"]["name"]);
    if is_ending(namespace) {
        end(ask, namespace, name);
    } else {
        furnish(ask, name);
    }
    None
}

fn furnish(ask: &Ask<'_>, namespace: &str) {
    let own = [
        ("serviceaccounts", "ServiceAccount", "default", json!({})),
        ("configmaps", "ConfigMap", "kube-root-ca.crt", json!({"ca.crt": ""})),
    ];
    for (plural, kind, name, data) in own {
        let place = format!("/api/v1/namespaces/{namespace}/{plural}");
        if ask.get(&format!("{place}/{name}")).is_some() {
            continue;
        }
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        if kind == "ConfigMap" {
            object["data"] = data;
        }
        ask.create(&place, &object);
    }
}

fn end(ask: &Ask<'_>, namespace: &Value, name: &str) {
    let left = ask.api.contents(name);
    for found in left.iter().filter_map(|place| Found::read(ask, place)) {
        if !is_ending(&found.object) {
            ask.delete(&found.path, "Background");
        }
    }
    if !left.is_empty() {
        return;
    }
    let mut namespace = namespace.clone();
    namespace["spec"]["finalizers"] = json!([]);
    ask.put(&format!("/api/v1/namespaces/{name}/finalize"), &namespace);
    if ask.get(&format!("/api/v1/namespaces/{name}")).is_some() {
        ask.delete(&format!("/api/v1/namespaces/{name}"), "Background");
    }
}

/// One object, and where it is.
struct Found {
    path: String,
    object: Value,
}

impl Found {
    fn read(ask: &Ask<'_>, place: &Place) -> Option<Self> {
        Some(Self { path: ask.api.path(place)?, object: ask.api.read(place)? })
    }

    fn uid(&self) -> &str {
        text(&self.object["metadata"]["uid"])
    }

    fn owners(&self) -> impl Iterator<Item = &Value> {
        self.object["metadata"]["ownerReferences"].as_array().into_iter().flatten()
    }

    fn has_finalizer(&self, name: &str) -> bool {
        let finalizers = self.object["metadata"]["finalizers"].as_array();
        finalizers.into_iter().flatten().any(|one| one == name)
    }
}

/// Deletes an object that has lost its owners, and lets one go whose dependents are gone.
pub(super) fn look_at_ties(ask: &Ask<'_>, place: &Place) {
    let Some(found) = Found::read(ask, place) else { return };
    if is_ending(&found.object) {
        let dependents = ask.sight.dependents(&found.object);
        let dependents: Vec<_> = dependents.filter_map(|place| Found::read(ask, place)).collect();
        let_go(ask, &found, &dependents);
        return;
    }
    let mut owners = found.owners().peekable();
    let has_owners = owners.peek().is_some();
    if has_owners && !owners.any(|owner| ask.sight.is_there(text(&owner["uid"]))) {
        ask.delete(&found.path, "Background");
    }
}

fn let_go(ask: &Ask<'_>, owner: &Found, dependents: &[Found]) {
    if owner.has_finalizer("orphan") {
        for dependent in dependents {
            let mut object = dependent.object.clone();
            if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|one| text(&one["uid"]) != owner.uid());
            }
            ask.put(&dependent.path, &object);
        }
        release(ask, owner, "orphan");
    } else if owner.has_finalizer("foregroundDeletion") {
        for dependent in dependents.iter().filter(|one| !is_ending(&one.object)) {
            ask.delete(&dependent.path, "Foreground");
        }
        let blocks = |one: &Found| {
            one.owners().any(|reference| {
                text(&reference["uid"]) == owner.uid() && reference["blockOwnerDeletion"] == true
            })
        };
        if !dependents.iter().any(blocks) {
            release(ask, owner, "foregroundDeletion");
        }
    }
}

fn release(ask: &Ask<'_>, found: &Found, finalizer: &str) {
    let Some(mut object) = ask.get(&found.path) else { return };
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|one| one != finalizer);
    }
    ask.put(&found.path, &object);
}
