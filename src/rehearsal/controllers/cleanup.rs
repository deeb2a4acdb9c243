//! What ends with something else: the contents of namespaces, and what is owned.
//!
//! Source: Kubernetes `pkg/controller/namespace`, `pkg/controller/garbagecollector`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ask::{Ask, is_ending, text};

/// Gives new namespaces what each has, and ends those that are to go.
pub(super) fn namespaces(ask: &Ask<'_>) {
    for namespace in ask.list("/api/v1/namespaces") {
        let name = text(&namespace["metadata"]["name"]);
        if is_ending(&namespace) {
            end(ask, &namespace, name);
        } else {
            furnish(ask, name);
        }
    }
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
    let mut left = false;
    for (root, plural) in ask.api.collections(true) {
        let place = format!("{root}/namespaces/{name}/{plural}");
        for object in ask.list(&place) {
            left = true;
            if !is_ending(&object) {
                let path = format!("{place}/{}", text(&object["metadata"]["name"]));
                ask.delete(&path, "Background");
            }
        }
    }
    if left {
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

/// Deletes what has lost its owners, and lets owners go whose dependents are gone.
pub(super) fn dependents(ask: &Ask<'_>) {
    let all = everything(ask);
    let there: BTreeSet<&str> = all.iter().map(Found::uid).collect();
    let owned = by_owner(&all);
    for found in &all {
        let mut owners = found.owners().peekable();
        let has_owners = owners.peek().is_some();
        if has_owners && !owners.any(|owner| there.contains(text(&owner["uid"]))) {
            if !is_ending(&found.object) {
                ask.delete(&found.path, "Background");
            }
        } else if is_ending(&found.object) {
            let_go(ask, found, owned.get(found.uid()).map_or(&[], Vec::as_slice));
        }
    }
}

/// The objects that each uid owns. Thousands may end at once, and each is looked up in here.
fn by_owner(all: &[Found]) -> BTreeMap<&str, Vec<&Found>> {
    let mut owned: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
    for found in all {
        // An owner may be named twice.
        let owners: BTreeSet<&str> = found.owners().map(|owner| text(&owner["uid"])).collect();
        for owner in owners {
            owned.entry(owner).or_default().push(found);
        }
    }
    owned
}

fn let_go(ask: &Ask<'_>, owner: &Found, dependents: &[&Found]) {
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
        let blocks = |one: &&&Found| {
            one.owners().any(|reference| {
                text(&reference["uid"]) == owner.uid() && reference["blockOwnerDeletion"] == true
            })
        };
        if !dependents.iter().any(|one| blocks(&one)) {
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

/// All objects of all kinds.
fn everything(ask: &Ask<'_>) -> Vec<Found> {
    let mut all = Vec::new();
    for (root, plural) in ask.api.collections(false) {
        for object in ask.list(&format!("{root}/{plural}")) {
            let metadata = &object["metadata"];
            let path = match text(&metadata["namespace"]) {
                "" => format!("{root}/{plural}/{}", text(&metadata["name"])),
                namespace => {
                    format!("{root}/namespaces/{namespace}/{plural}/{}", text(&metadata["name"]))
                }
            };
            all.push(Found { path, object });
        }
    }
    all
}
