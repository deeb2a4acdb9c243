//! What volumes, claims and classes of storage must be, and what of them may change.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`,
//! `pkg/apis/storage/validation/validation.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::check::{At, Check};
use super::quantity::Quantity;
use super::{diff, go, metadata, names, pod, same, volumes};

const ACCESS_MODES: &[&str] =
    &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access_modes(check: &mut Check, modes: &At<'_>) {
    let (mut pod, mut other) = (false, false);
    for mode in modes.items() {
        // The server names the list, not its element.
        let mode = At::new(&*modes.path, mode.value);
        check.one_of(&mode, ACCESS_MODES);
        if mode.text() == "ReadWriteOncePod" {
            pod = true;
        } else if ACCESS_MODES.contains(&mode.text()) {
            other = true;
        }
    }
    if pod && other {
        let detail = "may not use ReadWriteOncePod with other access modes";
        check.forbidden(&*modes.path, detail);
    }
}

fn volume_mode(check: &mut Check, mode: &At<'_>) {
    if mode.is_there() {
        check.one_of(mode, &["Block", "Filesystem"]);
    }
}

fn class_name(check: &mut Check, name: &At<'_>) {
    if !name.text().is_empty() {
        check.all(name, names::dns_subdomain(name.text()));
    }
}

/// The spec of a claim, of its own or in a template.
pub(super) fn claim_spec(check: &mut Check, spec: &At<'_>) {
    claim_spec_with(check, spec, false);
}

/// A claim whose sources were of any group may go on to have such.
pub(super) fn claim(check: &mut Check, object: &Value, old: Option<&Value>) {
    let any_group = old.is_some_and(|old| {
        ["dataSource", "dataSourceRef"].iter().any(|key| !old["spec"][*key]["apiGroup"].is_null())
    });
    claim_spec_with(check, &At::root(object).get("spec"), any_group);
}

fn claim_spec_with(check: &mut Check, spec: &At<'_>, any_group: bool) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        check.required(&*modes.path, "at least 1 access mode is required");
    }
    metadata::selector(check, &spec.get("selector"));
    access_modes(check, &modes);
    let path = format!("{}[storage]", spec.child("resources"));
    let storage = spec.get("resources").get("requests").get("storage");
    if !storage.is_there() {
        check.required(path, "");
    } else if Quantity::of(storage.value) <= Quantity::ZERO {
        check.invalid_as(path, go::show(storage.value), "must be greater than zero");
    }
    class_name(check, &spec.get("storageClassName"));
    volume_mode(check, &spec.get("volumeMode"));
    for key in ["dataSource", "dataSourceRef"] {
        data_source(check, &spec.get(key), any_group);
    }
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    let space = reference.get("namespace");
    if !space.text().is_empty() {
        if source.is_there() {
            let detail = "may not be specified when dataSourceRef.namespace is specified";
            check.invalid_as(&*spec.path, "{}", detail);
        }
    } else if source.is_there() && reference.is_there() {
        let parts = ["apiGroup", "kind", "name"];
        if parts.iter().any(|key| source.get(key).value != reference.get(key).value) {
            // The server shows the path of the field, which has nothing to show.
            check.invalid_as(&*spec.path, "{}", "must match dataSourceRef");
        }
    }
    class_name(check, &spec.get("volumeAttributesClassName"));
}

fn data_source(check: &mut Check, source: &At<'_>, any_group: bool) {
    if !source.is_there() {
        return;
    }
    for key in ["name", "kind"] {
        if source.text_of(key).is_empty() {
            check.required(source.child(key), "");
        }
    }
    let group = source.text_of("apiGroup");
    if group.is_empty() && source.text_of("kind") != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        check.invalid_as(&*source.path, go::quote(source.text_of("kind")), detail);
    }
    if !any_group {
        for message in names::dns_subdomain(group).into_iter().filter(|_| !group.is_empty()) {
            check.invalid_as(source.child("apiGroup"), go::quote(group), message);
        }
    }
}

pub(super) fn claim_changed(check: &mut Check, object: &Value, old: &Value) {
    let root = At::root(object);
    let mut new = object["spec"].clone();
    let mut before = old["spec"].clone();
    if before["volumeName"].as_str().unwrap_or_default().is_empty() {
        before["volumeName"] = new["volumeName"].clone();
    }
    let annotation = "volume.beta.kubernetes.io/storage-class";
    let marks = |object: &Value| object["metadata"]["annotations"][annotation].clone();
    if marks(object) != marks(old) {
        let path = format!("metadata.annotations[{annotation}]");
        let shown = go::quote(marks(object).as_str().unwrap_or_default());
        check.invalid_as(path, shown, "field is immutable");
    }
    // A claim that has no class yet may get the default one.
    let unbound = old["spec"]["storageClassName"].is_null() && marks(old).is_null();
    if unbound && !new["storageClassName"].is_null() {
        new["storageClassName"] = Value::Null;
    }
    if object["status"]["phase"] == "Bound" {
        if new["resources"]["requests"].is_object() {
            let size = old["spec"]["resources"]["requests"]["storage"].clone();
            new["resources"]["requests"]["storage"] = size;
        }
        new["volumeAttributesClassName"] = before["volumeAttributesClassName"].clone();
    }
    if !same(&new, &before) {
        let difference = diff::unified(
            &go::pretty_struct("PersistentVolumeClaimSpec", &before),
            &go::pretty_struct("PersistentVolumeClaimSpec", &new),
        );
        let detail = format!(
            "spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims\n{difference}"
        );
        check.forbidden("spec", detail);
    }
    let size = |object: &Value| Quantity::of(&object["spec"]["resources"]["requests"]["storage"]);
    let given = Quantity::of(&old["status"]["capacity"]["storage"]);
    if size(object) < size(old) && size(object) <= given {
        let path = "spec.resources.requests.storage";
        check.forbidden(path, "field can not be less than status.capacity");
    }
    fixed_volume_mode(check, &root, old);
    let class = &object["spec"]["volumeAttributesClassName"];
    if *class != old["spec"]["volumeAttributesClassName"]
        && !old["status"]["currentVolumeAttributesClassName"].is_null()
    {
        let current = "status.currentVolumeAttributesClassName is not nil";
        let to = match class.as_str() {
            None => "nil",
            Some("") => "empty string",
            Some(_) => return,
        };
        let detail = format!("update to {to} is forbidden when {current}");
        check.forbidden("spec.volumeAttributesClassName", detail);
    }
}

fn fixed_volume_mode(check: &mut Check, root: &At<'_>, old: &Value) {
    let mode = root.get("spec").get("volumeMode");
    if *mode.value != old["spec"]["volumeMode"] {
        check.invalid_as("volumeMode", go::show(mode.value), "field is immutable");
    }
}

/// The kinds of source of a volume, in the order in which the server looks for them.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(super) fn volume(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        check.required(&*modes.path, "");
    }
    access_modes(check, &modes);
    let capacity = spec.get("capacity");
    if capacity.is_empty() {
        check.required(&*capacity.path, "");
    }
    if !capacity.get("storage").is_there() || capacity.len() > 1 {
        let shown = go::show(capacity.value);
        let cause = crate::rehearsal::Cause::not_supported(&*capacity.path, &shown, &["storage"]);
        check.causes.push(cause);
    }
    for (name, value) in capacity.entries() {
        let path = capacity.key(name);
        let quantity = Quantity::of(value);
        if quantity.is_negative() {
            let shown = quantity.value().to_string();
            check.invalid_as(&*path, shown, "must be a valid resource quantity");
        }
        if quantity <= Quantity::ZERO {
            check.invalid_as(path, go::show(value), "must be greater than zero");
        }
    }
    let reclaim = spec.get("persistentVolumeReclaimPolicy");
    check.one_of(&reclaim, &["Delete", "Recycle", "Retain"]);
    let affinity = spec.get("nodeAffinity");
    if affinity.is_there() {
        let required = affinity.get("required");
        if required.is_there() {
            pod::node_selector(check, &required);
        } else {
            check.required(&*required.path, "must specify required node constraints");
        }
    }
    source(check, &spec, affinity.is_there());
    if spec.get("hostPath").text_of("path") == "/" && reclaim.text() == "Recycle" {
        check.forbidden(&*reclaim.path, "may not be 'recycle' for a hostPath mount of '/'");
    }
    class_name(check, &spec.get("storageClassName"));
    volume_mode(check, &spec.get("volumeMode"));
}

fn source(check: &mut Check, spec: &At<'_>, affinity: bool) {
    let mut one = false;
    for key in SOURCES {
        let held = spec.get(key);
        if !held.is_there() {
            continue;
        }
        if one && *key != "flexVolume" {
            let key = if *key == "cephfs" { "cephFS" } else { key };
            check.forbidden(spec.child(key), "may not specify more than 1 volume type");
            continue;
        }
        one = true;
        let mut needs = |key: &str| {
            if held.get(key).is_empty() {
                check.required(held.child(key), "");
            }
        };
        match *key {
            "awsElasticBlockStore" | "cinder" | "portworxVolume" => needs("volumeID"),
            "glusterfs" => ["endpoints", "path"].iter().for_each(|key| needs(key)),
            "rbd" => ["monitors", "image"].iter().for_each(|key| needs(key)),
            "cephfs" => needs("monitors"),
            "iscsi" => ["targetPortal", "iqn"].iter().for_each(|key| needs(key)),
            "flexVolume" => needs("driver"),
            "azureFile" => ["secretName", "shareName"].iter().for_each(|key| needs(key)),
            "azureDisk" => ["diskName", "diskURI"].iter().for_each(|key| needs(key)),
            "vsphereVolume" => needs("volumePath"),
            "hostPath" => volumes::host_path(check, &held),
            "nfs" => volumes::nfs(check, &held),
            "local" => {
                let path = held.get("path");
                if path.text().is_empty() {
                    check.required(&*path.path, "");
                } else {
                    let steps = path.text().split('/').any(|part| part == "..");
                    if steps {
                        check.invalid(&path, "must not contain '..'");
                    }
                }
                if !affinity {
                    let detail = "Local volume requires node affinity";
                    check.required(spec.child("nodeAffinity"), detail);
                }
            }
            "csi" => {
                volumes::csi_driver_name(check, &held.get("driver"));
                if held.text_of("volumeHandle").is_empty() {
                    check.required(held.child("volumeHandle"), "");
                }
            }
            _ => {}
        }
    }
    if !one {
        check.required(&*spec.path, "must specify a volume type");
    }
}

pub(super) fn volume_changed(check: &mut Check, object: &Value, old: &Value) {
    let spec = &object["spec"];
    let differs = SOURCES.iter().any(|key| {
        let (mut new, before) = (spec[*key].clone(), &old["spec"][*key]);
        // Where to expand may be told later.
        let may_come =
            *key == "csi" && before["controllerExpandSecretRef"].is_null() && before.is_object();
        if may_come && let Value::Object(new) = &mut new {
            new.remove("controllerExpandSecretRef");
        }
        !same(&new, before)
    });
    if differs {
        let difference = diff::unified(
            &go::pretty_struct("PersistentVolumeSource", &old["spec"]),
            &go::pretty_struct("PersistentVolumeSource", spec),
        );
        let detail =
            format!("spec.persistentvolumesource is immutable after creation\n{difference}");
        check.forbidden("spec.persistentvolumesource", detail);
    }
    fixed_volume_mode(check, &At::root(object), old);
    let affinity = &old["spec"]["nodeAffinity"];
    if !affinity.is_null() && !same_but_for_renamed(&spec["nodeAffinity"], affinity) {
        let shown = go::show_struct("*VolumeNodeAffinity", &spec["nodeAffinity"]);
        let detail = "field is immutable, except for updating from beta label to GA";
        check.invalid_as("nodeAffinity", shown, detail);
    }
}

/// Whether a volume is where it was; its beta labels may have become the present ones.
fn same_but_for_renamed(new: &Value, old: &Value) -> bool {
    let renamed = |key: &str| match key {
        "beta.kubernetes.io/arch" => "kubernetes.io/arch",
        "beta.kubernetes.io/os" => "kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region" => "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone" => "topology.kubernetes.io/zone",
        "beta.kubernetes.io/instance-type" => "node.kubernetes.io/instance-type",
        // As in the server, where a key without another name may be emptied.
        _ => "",
    };
    let mut old = old.clone();
    let terms = |affinity: &Value| -> Vec<(usize, usize, &'static str, String)> {
        let mut found = Vec::new();
        let list = affinity["required"]["nodeSelectorTerms"].as_array();
        for (at, term) in list.into_iter().flatten().enumerate() {
            for part in ["matchExpressions", "matchFields"] {
                for (step, entry) in term[part].as_array().into_iter().flatten().enumerate() {
                    let key = entry["key"].as_str().unwrap_or_default().to_owned();
                    found.push((at, step, part, key));
                }
            }
        }
        found
    };
    let before = terms(&old);
    for (at, step, part, key) in terms(new) {
        let was = before.iter().find(|entry| (entry.0, entry.1, entry.2) == (at, step, part));
        if was.is_some_and(|was| was.3 != key && renamed(&was.3) == key) {
            old["required"]["nodeSelectorTerms"][at][part][step]["key"] = key.into();
        }
    }
    same(new, &old)
}

/// The bytes that the parameters of a class together may have, and their number.
const PARAMETERS_SIZE: usize = 256 * 1024;
const PARAMETERS: usize = 512;

pub(super) fn class(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let provisioner = root.get("provisioner");
    if provisioner.text().is_empty() {
        check.required(&*provisioner.path, "");
    } else {
        let lower = provisioner.text().to_lowercase();
        for message in names::qualified_name(&lower) {
            check.invalid_as(&*provisioner.path, go::quote(&lower), message);
        }
    }
    let parameters = root.get("parameters");
    if parameters.len() > PARAMETERS {
        check.too_long("provisioner parameters", PARAMETERS);
    }
    let mut size = 0;
    for (key, value) in parameters.entries() {
        if key.is_empty() {
            check.invalid_as(&*parameters.path, "\"\"", "field can not be empty.");
        }
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > PARAMETERS_SIZE {
        check.too_long(&*parameters.path, PARAMETERS_SIZE);
    }
    let reclaim = root.get("reclaimPolicy");
    if !reclaim.text().is_empty() {
        check.one_of(&reclaim, &["Delete", "Retain"]);
    }
    check.one_of(&root.get("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"]);
    let mut seen = Vec::new();
    for topology in root.get("allowedTopologies").items() {
        let terms = topology_terms(check, &topology);
        if terms.is_empty() {
            // The server compares with as many empty ones as there are.
            for _ in root.get("allowedTopologies").items() {
                check.duplicate(topology.child("matchLabelExpressions"), "\"\"");
            }
        }
        for _ in seen.iter().filter(|other| **other == terms) {
            check.duplicate(topology.child("matchLabelExpressions"), "\"\"");
        }
        seen.push(terms);
    }
}

/// The values of each label that one topology asks for.
fn topology_terms<'a>(
    check: &mut Check,
    topology: &At<'a>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut terms = BTreeMap::new();
    for entry in topology.get("matchLabelExpressions").items() {
        let values = entry.get("values");
        if values.is_empty() {
            check.required(&*values.path, "");
        }
        let mut set = BTreeSet::new();
        for value in values.items() {
            if !set.insert(value.text()) {
                check.duplicate(&*value.path, go::quote(value.text()));
            }
        }
        let key = entry.text_of("key");
        metadata::label_key(check, &entry.child("key"), key);
        if terms.insert(key, set).is_some() {
            check.duplicate(entry.child("key"), go::quote(key));
        }
    }
    terms
}

pub(super) fn class_changed(check: &mut Check, object: &Value, old: &Value) {
    let root = At::root(object);
    for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        let field = root.get(key);
        if !same(field.value, &old[key]) {
            let detail = "field is immutable";
            if key == "provisioner" {
                check.invalid_text(&field, detail);
            } else {
                check.invalid(&field, detail);
            }
        }
    }
}
