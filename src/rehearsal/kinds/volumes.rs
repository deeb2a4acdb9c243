//! What the volumes of a Pod must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::pod::Setting;
use super::{container, go, names};

/// The volumes that a Pod's containers can mount: those in which nothing is wrong.
#[derive(Default)]
pub(super) struct Volumes<'a> {
    list: Vec<(&'a str, &'a Value)>,
}

impl Volumes<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(held, _)| *held == name)
    }

    /// Whether a volume can be used as a device; `None` where there is none of the name.
    pub(super) fn is_block(&self, name: &str) -> Option<bool> {
        let (_, volume) = self.list.iter().find(|(held, _)| *held == name)?;
        Some(!volume["persistentVolumeClaim"].is_null() || !volume["ephemeral"].is_null())
    }
}

/// The kinds of source, in the order in which the server looks for them.
const SOURCES: &[&str] = &[
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

pub(super) fn validate<'a>(check: &mut Check, list: &At<'a>, setting: Setting<'_>) -> Volumes<'a> {
    let mut good = Volumes::default();
    let made: Vec<String> = match setting.name {
        Some(pod) if !pod.is_empty() => list
            .items()
            .filter(|volume| volume.get("ephemeral").is_there())
            .map(|volume| format!("{pod}-{}", volume.text_of("name")))
            .collect(),
        _ => Vec::new(),
    };
    for volume in list.items() {
        let before = check.causes.len();
        let name = volume.get("name");
        source(check, &volume, setting);
        if name.text().is_empty() {
            check.required(&*name.path, "");
        } else {
            check.all(&name, names::dns_label(name.text()));
        }
        if good.has(name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        }
        if check.causes.len() == before {
            good.list.push((name.text(), volume.value));
        }
        let claim = volume.get("persistentVolumeClaim").get("claimName");
        if made.iter().any(|made| made == claim.text()) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            check.invalid(&claim, detail);
        }
    }
    good
}

fn source(check: &mut Check, volume: &At<'_>, setting: Setting<'_>) {
    let mut one = false;
    let directory = volume.get("emptyDir");
    if directory.is_there() {
        one = true;
        let limit = directory.get("sizeLimit");
        if super::quantity::Quantity::of(limit.value).is_negative() {
            let detail = "SizeLimit field must be a valid resource quantity";
            check.forbidden(&*limit.path, detail);
        }
    }
    for key in SOURCES {
        let held = volume.get(key);
        if !held.is_there() {
            continue;
        }
        if one {
            let key = match *key {
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                key => key,
            };
            check.forbidden(volume.child(key), "may not specify more than 1 volume type");
            continue;
        }
        one = true;
        one_source(check, key, &held, volume, setting);
    }
    if !one {
        check.required(&*volume.path, "must specify a volume type");
    }
}

/// A field that must hold text.
fn needs(check: &mut Check, at: &At<'_>, key: &str) {
    if at.get(key).is_empty() {
        check.required(at.child(key), "");
    }
}

fn one_source(check: &mut Check, key: &str, held: &At<'_>, volume: &At<'_>, setting: Setting<'_>) {
    match key {
        "hostPath" => host_path(check, held),
        "secret" => {
            needs(check, held, "secretName");
            mode(check, &held.get("defaultMode"));
            held.get("items").items().for_each(|item| key_to_path(check, &item));
        }
        "configMap" => {
            needs(check, held, "name");
            mode(check, &held.get("defaultMode"));
            held.get("items").items().for_each(|item| key_to_path(check, &item));
        }
        "nfs" => nfs(check, held),
        "persistentVolumeClaim" => needs(check, held, "claimName"),
        "downwardAPI" => {
            mode(check, &held.get("defaultMode"));
            for file in held.get("items").items() {
                // The server names the volume, not the item.
                downward_file(check, &At::new(&*held.path, file.value));
            }
        }
        "projected" => projected(check, held),
        "csi" => csi(check, held),
        "ephemeral" => ephemeral(check, held, volume, setting),
        "image" => {
            let reference = held.get("reference");
            if reference.text().is_empty() {
                check.required(&*reference.path, "");
            }
            check.one_of(&held.get("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
        }
        "gitRepo" => {
            needs(check, held, "repository");
            descending(check, &held.child("directory"), held.text_of("directory"));
        }
        "iscsi" => ["targetPortal", "iqn"].iter().for_each(|key| needs(check, held, key)),
        "glusterfs" => ["endpoints", "path"].iter().for_each(|key| needs(check, held, key)),
        "rbd" => ["monitors", "image"].iter().for_each(|key| needs(check, held, key)),
        "cephfs" => needs(check, held, "monitors"),
        "cinder" | "awsElasticBlockStore" | "portworxVolume" => needs(check, held, "volumeID"),
        "gcePersistentDisk" => {
            // The server has another name for this one.
            let is_blank = held.text_of("pdName").is_empty();
            if is_blank {
                check.required(format!("{}.persistentDisk.pdName", volume.path), "");
            }
        }
        "flexVolume" => needs(check, held, "driver"),
        "azureFile" => ["secretName", "shareName"].iter().for_each(|key| needs(check, held, key)),
        "azureDisk" => ["diskName", "diskURI"].iter().for_each(|key| needs(check, held, key)),
        "vsphereVolume" => needs(check, held, "volumePath"),
        "photonPersistentDisk" => needs(check, held, "pdID"),
        _ => {}
    }
}

/// A path on the node.
pub(super) fn host_path(check: &mut Check, at: &At<'_>) {
    let path = at.get("path");
    if path.text().is_empty() {
        return check.required(&*path.path, "");
    }
    no_backsteps(check, &path.path, path.text());
    let kind = at.get("type");
    if kind.is_there() {
        check.one_of(
            &kind,
            &[
                "",
                "BlockDevice",
                "CharDevice",
                "Directory",
                "DirectoryOrCreate",
                "File",
                "FileOrCreate",
                "Socket",
            ],
        );
    }
}

/// A directory that a server shares.
pub(super) fn nfs(check: &mut Check, at: &At<'_>) {
    needs(check, at, "server");
    let path = at.get("path");
    if path.text().is_empty() {
        check.required(&*path.path, "");
    }
    if !path.text().starts_with('/') {
        check.invalid_text(&path, "must be an absolute path");
    }
}

fn csi(check: &mut Check, at: &At<'_>) {
    let driver = at.get("driver");
    csi_driver_name(check, &driver);
    let secret = at.get("nodePublishSecretRef");
    if secret.is_there() && secret.text_of("name").is_empty() {
        check.required(secret.child("name"), "");
    }
}

/// The name of a driver.
pub(super) fn csi_driver_name(check: &mut Check, driver: &At<'_>) {
    if driver.text().is_empty() {
        return check.required(&*driver.path, "");
    }
    if driver.text().len() > 63 {
        check.too_long(&*driver.path, 63);
    }
    for message in names::dns_subdomain(&driver.text().to_lowercase()) {
        check.invalid_text(driver, message);
    }
}

fn ephemeral(check: &mut Check, at: &At<'_>, volume: &At<'_>, setting: Setting<'_>) {
    let template = at.get("volumeClaimTemplate");
    if !template.is_there() {
        return check.required(&*template.path, "");
    }
    super::storage::claim_spec(check, &template.get("spec"));
    let Some(pod) = setting.name.filter(|pod| !pod.is_empty()) else { return };
    let name = volume.get("name");
    if name.text().is_empty() {
        return;
    }
    let claim = format!("{pod}-{}", name.text());
    for message in names::dns_subdomain(&claim) {
        check.invalid(&name, format!("PVC name {}: {message}", go::quote(&claim)));
    }
}

/// The permissions of a file.
fn mode(check: &mut Check, at: &At<'_>) {
    if at.is_there() && !(0..=0o777).contains(&at.number()) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        check.invalid(at, detail);
    }
}

fn key_to_path(check: &mut Check, at: &At<'_>) {
    needs(check, at, "key");
    needs(check, at, "path");
    local_path(check, &at.child("path"), at.text_of("path"));
    mode(check, &at.get("mode"));
}

fn downward_file(check: &mut Check, at: &At<'_>) {
    needs(check, at, "path");
    local_path(check, &at.child("path"), at.text_of("path"));
    let (field, resource) = (at.get("fieldRef"), at.get("resourceFieldRef"));
    if field.is_there() {
        let fields = [
            "metadata.annotations",
            "metadata.labels",
            "metadata.name",
            "metadata.namespace",
            "metadata.uid",
        ];
        container::field_selector(check, &field, &fields);
        if resource.is_there() {
            let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
            check.invalid_as(&*at.path, "\"resource\"", detail);
        }
    } else if resource.is_there() {
        container::resource_selector(check, &resource, true);
    } else {
        check.required(&*at.path, "one of fieldRef and resourceFieldRef is required");
    }
    mode(check, &at.get("mode"));
}

fn projected(check: &mut Check, at: &At<'_>) {
    mode(check, &at.get("defaultMode"));
    let mut paths: Vec<String> = Vec::new();
    for source in at.get("sources").items() {
        let mut count = 0;
        for key in ["secret", "configMap"] {
            let held = source.get(key);
            if !held.is_there() {
                continue;
            }
            count += 1;
            needs(check, &held, "name");
            for item in held.get("items").items() {
                key_to_path(check, &item);
                once(check, at, &mut paths, item.text_of("path"), held.text_of("name"));
            }
        }
        let downward = source.get("downwardAPI");
        if downward.is_there() {
            count += 1;
            for file in downward.get("items").items() {
                downward_file(check, &At::new(&*downward.path, file.value));
                let path = file.text_of("path");
                once(check, at, &mut paths, path, path);
            }
        }
        let token = source.get("serviceAccountToken");
        if token.is_there() {
            count += 1;
            let seconds = token.get("expirationSeconds");
            if seconds.number() < 600 {
                check.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds.number() > 1 << 32 {
                check.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            let path = token.text_of("path");
            if path.is_empty() {
                check.required(at.child("path"), "");
            } else {
                local_path(check, &at.child("path"), path);
            }
        }
        count += ["clusterTrustBundle", "podCertificate"]
            .iter()
            .filter(|key| source.get(key).is_there())
            .count();
        if count > 1 {
            let detail = "may not specify more than 1 volume type per source";
            check.forbidden(&*source.path, detail);
        }
    }
}

fn once(check: &mut Check, at: &At<'_>, paths: &mut Vec<String>, path: &str, shown: &str) {
    if path.is_empty() {
        return;
    }
    if paths.iter().any(|held| held == path) {
        check.invalid_as(&*at.path, go::quote(shown), "conflicting duplicate paths");
    } else {
        paths.push(path.to_owned());
    }
}

fn no_backsteps(check: &mut Check, path: &str, text: &str) {
    if text.split('/').any(|part| part == "..") {
        check.invalid_as(path, go::quote(text), "must not contain '..'");
    }
}

/// A path below the place where it stands.
pub(super) fn descending(check: &mut Check, path: &str, text: &str) {
    if text.starts_with('/') {
        check.invalid_as(path, go::quote(text), "must be a relative path");
    }
    no_backsteps(check, path, text);
}

/// The same, that does not look like one of the server's own files.
pub(super) fn local_path(check: &mut Check, path: &str, text: &str) {
    descending(check, path, text);
    if text.starts_with("..") && !text.starts_with("../") {
        check.invalid_as(path, go::quote(text), "must not start with '..'");
    }
}
