//! Claims: each gets a volume that is made for it.

use serde_json::{Value, json};

use super::ask::{Ask, is_ending, path, text};

/// Looks after a claim.
pub(super) fn look(ask: &Ask<'_>, claim: &Value) -> Option<u64> {
    if is_ending(claim) {
        release(ask, claim);
    } else if claim["status"]["phase"] != "Bound" {
        bind(ask, claim);
    }
    None
}

fn bind(ask: &Ask<'_>, claim: &Value) {
    let spec = &claim["spec"];
    let name = match text(&spec["volumeName"]) {
        "" => format!("pvc-{}", text(&claim["metadata"]["uid"])),
        chosen => chosen.to_owned(),
    };
    let capacity = json!({"storage": spec["resources"]["requests"]["storage"]});
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": capacity, "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete", "volumeMode": spec["volumeMode"],
            "storageClassName": spec["storageClassName"],
            "hostPath": {"path": format!("/rehearsal/{name}")},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": claim["metadata"]["name"],
                "namespace": claim["metadata"]["namespace"], "uid": claim["metadata"]["uid"],
            },
        },
    });
    if let Some(spec) = volume["spec"].as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    let place = format!("/api/v1/persistentvolumes/{name}");
    let made = ask.create("/api/v1/persistentvolumes", &volume).or_else(|| ask.get(&place));
    let Some(volume) = made else { return };
    ask.status(&place, &volume, &json!({"phase": "Bound"}));
    let place = path("v1", "persistentvolumeclaims", claim);
    if spec["volumeName"].is_null() {
        let mut claim = claim.clone();
        claim["spec"]["volumeName"] = name.into();
        ask.put(&place, &claim);
    }
    let status =
        json!({"phase": "Bound", "accessModes": spec["accessModes"], "capacity": capacity});
    if let Some(claim) = ask.get(&place) {
        ask.status(&place, &claim, &status);
    }
}

/// Takes away what protects a claim, once no pod uses it.
fn release(ask: &Ask<'_>, claim: &Value) {
    if ask.sight.is_used(claim) {
        return;
    }
    let mut claim = claim.clone();
    if let Some(finalizers) = claim["metadata"]["finalizers"].as_array_mut() {
        finalizers.retain(|one| one != "kubernetes.io/pvc-protection");
    }
    ask.put(&path("v1", "persistentvolumeclaims", &claim), &claim);
    let volume = text(&claim["spec"]["volumeName"]);
    if !volume.is_empty() {
        remove_volume(ask, volume);
    }
}

fn remove_volume(ask: &Ask<'_>, name: &str) {
    let place = format!("/api/v1/persistentvolumes/{name}");
    ask.delete(&place, "Background");
    let Some(mut volume) = ask.get(&place).filter(is_ending) else { return };
    volume["metadata"]["finalizers"] = json!([]);
    ask.put(&place, &volume);
}
