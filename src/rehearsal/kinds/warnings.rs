//! What the server warns of: old versions, old fields, what is likely not meant.
//!
//! Source: Kubernetes 1.36 `pkg/api/*/warnings.go`, `pkg/registry/*/strategy.go`, the lifecycle of
//! the types of `k8s.io/api`.

use std::net::IpAddr;

use serde_json::Value;

use super::check::{At, join};
use super::quantity::Quantity;
use super::{go, names, same};
use crate::rehearsal::Kind;

/// Versions that a server of some minor between 1.29 and 1.37 serves and warns of: group, version,
/// kinds (empty for all), the minor that deprecates it, the one that no longer serves it, and what
/// to use instead where the server says so.
type Lifecycle =
    (&'static str, &'static str, &'static [&'static str], u32, Option<u32>, Option<&'static str>);

const DEPRECATED: &[Lifecycle] = &[
    ("", "v1", &["Endpoints"], 33, None, Some("discovery.k8s.io/v1 EndpointSlice")),
    ("", "v1", &["EndpointsList"], 33, None, Some("discovery.k8s.io/v1 EndpointSliceList")),
    ("", "v1", &["ComponentStatus", "ComponentStatusList"], 19, None, None),
    ("flowcontrol.apiserver.k8s.io", "v1beta3", &[], 29, Some(32), Some("v1")),
    (
        "admissionregistration.k8s.io",
        "v1beta1",
        &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
        37,
        Some(40),
        Some("v1"),
    ),
    ("admissionregistration.k8s.io", "v1beta1", &[], 31, Some(34), None),
    (
        "admissionregistration.k8s.io",
        "v1alpha1",
        &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
        35,
        Some(38),
        None,
    ),
    ("admissionregistration.k8s.io", "v1alpha1", &[], 29, Some(32), None),
    ("authentication.k8s.io", "v1alpha1", &[], 29, Some(32), None),
    ("authentication.k8s.io", "v1beta1", &[], 30, Some(33), None),
    ("networking.k8s.io", "v1beta1", &[], 34, Some(37), None),
    ("coordination.k8s.io", "v1alpha2", &[], 35, Some(38), None),
    ("coordination.k8s.io", "v1beta1", &[], 36, Some(39), None),
    ("certificates.k8s.io", "v1alpha1", &[], 34, Some(37), None),
    ("resource.k8s.io", "v1beta1", &[], 35, Some(38), None),
    ("resource.k8s.io", "v1beta2", &[], 36, Some(39), None),
    ("storage.k8s.io", "v1alpha1", &["VolumeAttributesClass"], 32, Some(35), None),
    ("storage.k8s.io", "v1beta1", &["VolumeAttributesClass"], 34, Some(37), None),
];

/// The warning of a server of version 1.`minor` for every request to a version that is on its way
/// out, reads too: it stands before all others.
pub fn deprecation(kind: &Kind, minor: u32) -> Option<String> {
    let (group, name) = kind.pair();
    let (_, _, _, since, removed, instead) = DEPRECATED.iter().find(|entry| {
        let (of, version, kinds, ..) = entry;
        *of == group && *version == kind.version && (kinds.is_empty() || kinds.contains(&name))
    })?;
    if minor < *since {
        return None;
    }
    let mut text = format!("{} {name} is deprecated in v1.{since}+", kind.api_version());
    if let Some(removed) = removed {
        text.push_str(&format!(", unavailable in v1.{removed}+"));
    }
    match instead {
        Some(version) if !version.contains(' ') => {
            text.push_str(&format!("; use {group}/{version} {name}"));
        }
        Some(other) => text.push_str(&format!("; use {other}")),
        None => {}
    }
    Some(text)
}

/// The texts of the `Warning` headers of a write to an object itself, in the server's order, apart
/// from [`deprecation`].
pub fn warnings(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut list = Warnings::default();
    let root = At::root(new);
    // Templates are looked at again only where they may have changed.
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let moved = old.is_none_or(|old| generation(old) != generation(new));
    match kind.pair() {
        ("", "Pod") if old.is_none() => {
            let what = "in the Pod's hostname";
            list.host_name(&root, what);
            list.pod("", &root.get("metadata"), &root.get("spec"), false);
        }
        ("", "PodTemplate") if moved => list.template(&root.get("template")),
        ("apps", "Deployment" | "ReplicaSet") | ("", "ReplicationController") => {
            if old.is_none() {
                list.host_name(&root, "in Pod names and hostnames");
            }
            if moved {
                list.template(&root.get("spec").get("template"));
            }
        }
        ("apps", "DaemonSet") => {
            let changed =
                old.is_none_or(|old| !same(&old["spec"]["template"], &new["spec"]["template"]));
            if changed {
                list.template(&root.get("spec").get("template"));
            }
        }
        ("apps", "StatefulSet") => list.stateful_set(&root, moved, old.is_none()),
        ("batch", "Job") => {
            if old.is_none() {
                list.host_name(&root, "in Pod names and hostnames");
            }
            if moved {
                list.job(&root.get("spec"));
            }
        }
        ("batch", "CronJob") => {
            if old.is_none() {
                list.host_name(&root, "in Pod names and hostnames");
            }
            let spec = root.get("spec");
            if moved {
                list.job(&spec.get("jobTemplate").get("spec"));
            }
            if old.is_some() && spec.text_of("schedule").contains("TZ") {
                list.add(
                    "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
                     https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for \
                     more details",
                );
            }
        }
        ("", "Service") => list.service(&root),
        ("", "PersistentVolume") => list.volume(&root),
        ("", "PersistentVolumeClaim") => {
            let annotation = "volume.beta.kubernetes.io/storage-class";
            let annotations = root.get("metadata").get("annotations");
            if annotations.value.get(annotation).is_some() {
                list.add(format!(
                    "{}: deprecated since v1.8; use \"storageClassName\" attribute instead",
                    annotations.key(annotation)
                ));
            }
            list.claim(&root.get("spec"));
        }
        ("", "Secret") => list.tls(&root),
        ("", "ServiceAccount") => {
            let annotation = "kubernetes.io/enforce-mountable-secrets";
            let marked = |object: &Value| !object["metadata"]["annotations"][annotation].is_null();
            if marked(new) && !old.is_some_and(marked) {
                list.add(format!(
                    "metadata.annotations[{annotation}]: deprecated in v1.32+; prefer separate \
                     namespaces to isolate access to mounted secrets"
                ));
            }
        }
        ("", "Endpoints") => {
            for subset in root.get("subsets").items() {
                for key in ["addresses", "notReadyAddresses"] {
                    for address in subset.get(key).items() {
                        list.ip(&address.get("ip"));
                    }
                }
            }
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            if old.is_none() && root.text_of("addressType") == "FQDN" {
                list.add("spec.addressType: FQDN endpoints are deprecated");
            }
            for endpoint in root.get("endpoints").items() {
                endpoint.get("addresses").items().for_each(|address| list.ip(&address));
            }
        }
        ("networking.k8s.io", "Ingress") if old.is_none() => {
            let annotation = "kubernetes.io/ingress.class";
            let annotations = root.get("metadata").get("annotations");
            if annotations.value.get(annotation).is_some()
                && !root.get("spec").get("ingressClassName").is_there()
            {
                list.add(format!(
                    "annotation {annotation:?} is deprecated, please use 'spec.ingressClassName' \
                     instead"
                ));
            }
        }
        ("networking.k8s.io", "NetworkPolicy") => {
            for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
                for rule in root.get("spec").get(rules).items() {
                    for peer in rule.get(peers).items() {
                        let block = peer.get("ipBlock");
                        list.cidr(&block.get("cidr"));
                        block.get("except").items().for_each(|except| list.cidr(&except));
                    }
                }
            }
        }
        ("storage.k8s.io", "StorageClass") => {
            for topology in root.get("allowedTopologies").items() {
                for entry in topology.get("matchLabelExpressions").items() {
                    if let Some(why) = old_label(entry.text_of("key")) {
                        list.add(format!("{}: {why}", entry.child("key")));
                    }
                }
            }
        }
        _ => {}
    }
    list.texts
}

/// Labels of nodes that have other names now.
fn old_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
        }
        "beta.kubernetes.io/instance-type" => {
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"
        }
        "app.kubernetes.io/created-by" => "deprecated since v1.9",
        "scheduler.alpha.kubernetes.io/preferAvoidPods" => {
            "deprecated since v1.22; use Taints and Tolerations instead"
        }
        "node-role.kubernetes.io/master" => "use \"node-role.kubernetes.io/control-plane\" instead",
        _ => return None,
    })
}

/// Annotations of Pods that do nothing any more.
const OLD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Volumes that are on their way out: as manifests name them, as the server does, and what it says.
const OLD_VOLUMES: [(&str, &str, &str); 7] = [
    (
        "photonPersistentDisk",
        "photonPersistentDisk",
        "deprecated in v1.11, non-functional in v1.16+",
    ),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
];

/// As above, but the server says it after what it says of claims.
const LATER_VOLUMES: [&str; 2] = ["cephfs", "rbd"];
const LATER: &str = "deprecated in v1.28, non-functional in v1.31+";

/// The texts, each once.
#[derive(Default)]
struct Warnings {
    texts: Vec<String>,
}

impl Warnings {
    fn add(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.texts.contains(&text) {
            self.texts.push(text);
        }
    }

    /// Names that are more than a label of the DNS.
    fn host_name(&mut self, root: &At<'_>, what: &str) {
        let wrong = names::dns_label(root.get("metadata").text_of("name"));
        if !wrong.is_empty() {
            self.add(format!(
                "metadata.name: this is used {what}, which can result in surprising behavior; a \
                 DNS label is recommended: [{}]",
                wrong.join(" ")
            ));
        }
    }

    fn template(&mut self, template: &At<'_>) {
        if template.is_there() {
            let (metadata, spec) = (template.get("metadata"), template.get("spec"));
            self.pod(&template.path, &metadata, &spec, true);
        }
    }

    fn job(&mut self, spec: &At<'_>) {
        let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
        if spec.text_of("completionMode") == "Indexed"
            && completions.number() > 100_000
            && parallelism.number() > 10_000
        {
            self.add(format!(
                "{}: In Indexed Jobs with a number of completions higher than 10^5 and a \
                 parallelism higher than 10^4, Kubernetes might not be able to track \
                 completedIndexes when a big number of indexes fail",
                spec.path
            ));
        }
        self.template(&spec.get("template"));
    }

    fn stateful_set(&mut self, root: &At<'_>, moved: bool, created: bool) {
        let spec = root.get("spec");
        if moved {
            self.template(&spec.get("template"));
        }
        for claim in spec.get("volumeClaimTemplates").items() {
            let path = if created { claim.path.clone() } else { claim.child("Spec") };
            self.claim(&At::new(path, claim.get("spec").value));
        }
        if spec.get("revisionHistoryLimit").number() < 0 {
            self.add(
                "spec.revisionHistoryLimit: a negative value retains all historical revisions; a \
                 value >= 0 is recommended",
            );
        }
    }

    /// An amount of bytes that is no whole number.
    fn bytes(&mut self, list: &At<'_>, name: &str) {
        let Some(value) = list.value.get(name) else { return };
        let quantity = Quantity::of(value);
        if quantity.milli() % 1000 != 0 {
            self.add(format!(
                "{}: fractional byte value {} is invalid, must be an integer",
                list.key(name),
                go::quote(&quantity.to_string())
            ));
        }
    }

    fn claim(&mut self, spec: &At<'_>) {
        let resources = spec.get("resources");
        self.bytes(&resources.get("requests"), "storage");
        self.bytes(&resources.get("limits"), "storage");
    }

    fn node_term(&mut self, term: &At<'_>, values: bool) {
        for entry in term.get("matchExpressions").items() {
            let key = entry.text_of("key");
            if let Some(why) = old_label(key) {
                self.add(format!("{}: {key} is {why}", entry.child("key")));
            }
            for value in entry.get("values").items().filter(|_| values) {
                for why in names::label_value(value.text()) {
                    self.add(format!("{}: {} is invalid, {why}", value.path, value.text()));
                }
            }
        }
    }

    fn pod(&mut self, path: &str, metadata: &At<'_>, spec: &At<'_>, template: bool) {
        let spec = At::new(join(path, "spec"), spec.value);
        let selector = spec.get("nodeSelector");
        for (key, _) in selector.entries() {
            if let Some(why) = old_label(key) {
                self.add(format!("{}: {why}", selector.key(key)));
            }
        }
        let affinity = spec.get("affinity");
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        let node = affinity.get("nodeAffinity");
        for term in node.get(required).get("nodeSelectorTerms").items() {
            self.node_term(&term, false);
        }
        for term in node.get(preferred).items() {
            self.node_term(&term.get("preference"), true);
        }
        self.spread(&spec);
        let annotations = At::new(
            join(&join(path, "metadata"), "annotations"),
            metadata.get("annotations").value,
        );
        for (key, why) in OLD_ANNOTATIONS {
            if annotations.value.get(key).is_some() {
                self.add(format!("{}: {why}", annotations.key(key)));
            }
        }
        self.volumes(&spec);
        self.doubles(&spec);
        for name in ["memory", "ephemeral-storage"] {
            self.bytes(&spec.get("overhead"), name);
        }
        let context = spec.get("securityContext");
        let profile = "use the \"seccompProfile\" field instead";
        let key = "seccomp.security.alpha.kubernetes.io/pod";
        if !context.get("seccompProfile").is_there() && annotations.value.get(key).is_some() {
            self.add(format!("{}: non-functional in v1.27+; {profile}", annotations.key(key)));
        }
        let all = || {
            ["initContainers", "containers", "ephemeralContainers"]
                .into_iter()
                .flat_map(|list| spec.get(list).items())
        };
        for container in all() {
            self.container(&container, &annotations, &context, template);
        }
        self.ports(all().collect());
        if spec.get("terminationGracePeriodSeconds").number() < 0 {
            self.add(format!(
                "{}: must be >= 0; negative values are invalid and will be treated as 1",
                spec.child("terminationGracePeriodSeconds")
            ));
        }
        for key in ["podAffinity", "podAntiAffinity"] {
            let pods = affinity.get(key);
            let terms = pods
                .get(required)
                .items()
                .chain(pods.get(preferred).items().map(|term| term.get("podAffinityTerm")));
            for term in terms {
                let selector = term.get("labelSelector");
                if !selector.is_there() {
                    self.add(format!("{}: {NO_SELECTOR}", selector.path));
                }
            }
        }
        for server in spec.get("dnsConfig").get("nameservers").items() {
            self.ip(&server);
        }
        for alias in spec.get("hostAliases").items() {
            self.ip(&alias.get("ip"));
        }
    }

    fn spread(&mut self, spec: &At<'_>) {
        for constraint in spec.get("topologySpreadConstraints").items() {
            let key = constraint.get("topologyKey");
            if let Some(why) = old_label(key.text()) {
                self.add(format!("{}: {} is {why}", key.path, key.text()));
            }
            let selector = constraint.get("labelSelector");
            if !selector.is_there() {
                self.add(format!("{}: {NO_SELECTOR}", selector.path));
            }
        }
    }

    fn volumes(&mut self, spec: &At<'_>) {
        for volume in spec.get("volumes").items() {
            for (key, shown, why) in OLD_VOLUMES {
                if volume.get(key).is_there() {
                    self.add(format!("{}: {why}", volume.child(shown)));
                }
            }
            let claim = volume.get("ephemeral").get("volumeClaimTemplate");
            if claim.is_there() {
                self.claim(&claim.get("spec"));
            }
            for key in LATER_VOLUMES {
                if volume.get(key).is_there() {
                    self.add(format!("{}: {LATER}", volume.child(key)));
                }
            }
        }
        for volume in spec.get("volumes").items() {
            self.overlaps(&volume);
        }
    }

    /// Files of one volume that stand in each other's way.
    fn overlaps(&mut self, volume: &At<'_>) {
        let name = go::quote(volume.text_of("name"));
        let paths = |held: &At<'_>, source: &str| -> Vec<(String, String)> {
            let items = held.get("items");
            items.items().map(|item| (item.text_of("path").to_owned(), source.to_owned())).collect()
        };
        for (key, what, named) in [
            ("configMap", "ConfigMap ", "name"),
            ("secret", "Secret ", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ] {
            let held = volume.get(key);
            let shown = match named {
                "" => what.to_owned(),
                named => format!("{what}{}", go::quote(held.text_of(named))),
            };
            let mut seen = Vec::new();
            for path in paths(&held, "") {
                self.overlap(&name, &shown, &mut seen, path);
            }
        }
        let projected = volume.get("projected");
        let mut seen = Vec::new();
        for source in projected.get("sources").items() {
            if source.is_empty() {
                self.add(format!("volume {name} (Projected) has no sources provided"));
            }
            let token = source.get("serviceAccountToken");
            let list = if source.get("configMap").get("items").is_there() {
                let held = source.get("configMap");
                paths(&held, &format!("ConfigMap {}", go::quote(held.text_of("name"))))
            } else if source.get("secret").get("items").is_there() {
                let held = source.get("secret");
                paths(&held, &format!("Secret {}", go::quote(held.text_of("name"))))
            } else if source.get("downwardAPI").get("items").is_there() {
                paths(&source.get("downwardAPI"), "DownwardAPI")
            } else if token.is_there() {
                vec![(token.text_of("path").to_owned(), "ServiceAccountToken".to_owned())]
            } else {
                Vec::new()
            };
            for path in list {
                self.overlap(&name, "Projected", &mut seen, path);
            }
        }
    }

    fn overlap(
        &mut self,
        volume: &str,
        what: &str,
        seen: &mut Vec<(String, String)>,
        (path, source): (String, String),
    ) {
        let path = path.trim_end_matches('/').to_owned();
        let shown = |(path, source): &(String, String)| match &**source {
            "" => go::quote(path),
            source => format!("{} ({source})", go::quote(path)),
        };
        let this = (path, source);
        let within = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
        for other in seen.iter().filter(|other| !other.0.is_empty() && !this.0.is_empty()) {
            if within(&other.0, &this.0) || within(&this.0, &other.0) {
                let text = format!(
                    "volume {volume} ({what}): overlapping paths: {} with {}",
                    shown(&this),
                    shown(other)
                );
                if !self.texts.contains(&text) {
                    self.texts.push(text);
                }
            }
        }
        seen.push(this);
    }

    fn doubles(&mut self, spec: &At<'_>) {
        let mut seen = Vec::new();
        for alias in spec.get("hostAliases").items() {
            let ip = alias.get("ip");
            if seen.contains(&ip.text()) {
                self.add(format!("{}: duplicate ip {}", ip.path, go::quote(ip.text())));
            }
            seen.push(ip.text());
        }
        let mut seen = Vec::new();
        let secrets = spec.get("imagePullSecrets");
        for secret in secrets.items() {
            let name = secret.get("name");
            if seen.contains(&name.text()) {
                self.add(format!("{}: duplicate name {}", name.path, go::quote(name.text())));
            }
            seen.push(name.text());
        }
        for secret in secrets.items().filter(|secret| secret.text_of("name").is_empty()) {
            self.add(format!("{}: invalid empty name \"\"", secret.child("name")));
        }
    }

    fn container(
        &mut self,
        container: &At<'_>,
        annotations: &At<'_>,
        pod: &At<'_>,
        template: bool,
    ) {
        let name = container.text_of("name");
        let context = container.get("securityContext");
        let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
        if !context.get("seccompProfile").is_there() && annotations.value.get(&key).is_some() {
            self.add(format!(
                "{}: non-functional in v1.27+; use the \"seccompProfile\" field instead",
                annotations.key(&key)
            ));
        }
        let key = format!("container.apparmor.security.beta.kubernetes.io/{name}");
        let profile = "appArmorProfile";
        if template
            && !context.get(profile).is_there()
            && !pod.get(profile).is_there()
            && annotations.value.get(&key).is_some()
        {
            self.add(format!(
                "{}: deprecated since v1.30; use the \"appArmorProfile\" field instead",
                annotations.key(&key)
            ));
        }
        let resources = container.get("resources");
        for name in ["memory", "ephemeral-storage"] {
            self.bytes(&resources.get("limits"), name);
            self.bytes(&resources.get("requests"), name);
        }
        let mut seen = Vec::new();
        for env in container.get("env").items() {
            let name = env.text_of("name");
            if !seen.contains(&name) {
                seen.push(name);
                continue;
            }
            // A later value may be made of the earlier one.
            let reference = format!("$({name})");
            let value = env.text_of("value");
            let extends = !env.get("valueFrom").is_there()
                && value != reference
                && value.contains(&reference);
            if !extends {
                self.add(format!(
                    "{}: hides previous definition of {}, which may be dropped when using apply",
                    env.path,
                    go::quote(name)
                ));
            }
        }
    }

    fn ports(&mut self, containers: Vec<At<'_>>) {
        let ports: Vec<At<'_>> =
            containers.iter().flat_map(|container| container.get("ports").items()).collect();
        for (at, port) in ports.iter().enumerate() {
            let (ip, host) = (port.text_of("hostIP"), port.get("hostPort").number());
            let key = |port: &At<'_>| {
                (port.get("containerPort").number(), port.text_of("protocol").to_owned())
            };
            for other in ports[..at].iter().filter(|other| key(other) == key(port)) {
                let (other_ip, other_host) =
                    (other.text_of("hostIP"), other.get("hostPort").number());
                let what = if ip == other_ip && host == other_host {
                    "duplicate"
                } else if host == 0 || other_host == 0 {
                    "overlapping"
                } else if host == other_host && ip.is_empty() != other_ip.is_empty() {
                    "dangerously ambiguous"
                } else {
                    continue;
                };
                self.add(format!("{}: {what} port definition with {}", port.path, other.path));
            }
        }
        for (at, port) in ports.iter().enumerate() {
            let name = port.text_of("name");
            if name.is_empty() {
                continue;
            }
            if let Some(first) = ports[..at].iter().find(|other| other.text_of("name") == name) {
                self.add(format!(
                    "{}: duplicate port name {} with {first}, services and probes that select \
                     ports by name will use {first}",
                    port.path,
                    go::quote(name),
                    first = first.path,
                ));
            }
        }
    }

    fn service(&mut self, root: &At<'_>) {
        let hints = "service.kubernetes.io/topology-aware-hints";
        if !root.value["metadata"]["annotations"][hints].is_null() {
            self.add(format!(
                "annotation {hints} is deprecated, please use service.kubernetes.io/topology-mode \
                 instead"
            ));
        }
        let spec = root.get("spec");
        let ips = spec.get("clusterIPs");
        let headless = ips.len() == 1 && ips.value[0] == "None";
        let external = spec.get("externalIPs");
        if headless {
            if !spec.text_of("loadBalancerIP").is_empty() {
                self.add("spec.loadBalancerIP is ignored for headless services");
            }
            if !external.is_empty() {
                self.add("spec.externalIPs is ignored for headless services");
            }
            if spec.text_of("sessionAffinity") != "None" {
                self.add("spec.SessionAffinity is ignored for headless services");
            }
        } else {
            ips.items().for_each(|ip| self.ip(&ip));
        }
        external.items().for_each(|ip| self.ip(&ip));
        let named = spec.text_of("type") == "ExternalName";
        if !external.is_empty() && !headless && !named {
            self.add(
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
            );
        }
        self.ip(&spec.get("loadBalancerIP"));
        spec.get("loadBalancerSourceRanges").items().for_each(|range| self.cidr(&range));
        if named && !external.is_empty() {
            self.add("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
        }
        if !named && !spec.text_of("externalName").is_empty() {
            self.add("spec.externalName is ignored when spec.type is not \"ExternalName\"");
        }
        if spec.text_of("trafficDistribution") == "PreferClose" {
            self.add(
                "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
            );
        }
    }

    fn volume(&mut self, root: &At<'_>) {
        let annotations = root.get("metadata").get("annotations");
        for (key, why) in [
            (
                "volume.beta.kubernetes.io/storage-class",
                "deprecated since v1.8; use \"storageClassName\" attribute instead",
            ),
            (
                "volume.beta.kubernetes.io/mount-options",
                "deprecated since v1.31; use \"mountOptions\" attribute instead",
            ),
        ] {
            if annotations.value.get(key).is_some() {
                self.add(format!("{}: {why}", annotations.key(key)));
            }
        }
        let spec = root.get("spec");
        if spec.text_of("persistentVolumeReclaimPolicy") == "Recycle" {
            self.add(
                "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. \
                 Instead, the recommended approach is to use dynamic provisioning.",
            );
        }
        for term in spec.get("nodeAffinity").get("required").get("nodeSelectorTerms").items() {
            self.node_term(&term, false);
        }
        if spec.get("cephfs").is_there() {
            self.add(format!("spec.cephfs: {LATER}"));
        }
        for (key, shown, why) in OLD_VOLUMES {
            if matches!(key, "photonPersistentDisk" | "scaleIO" | "storageos" | "glusterfs")
                && spec.get(key).is_there()
            {
                self.add(format!("spec.{shown}: {why}"));
            }
        }
        if spec.get("rbd").is_there() {
            self.add(format!("spec.rbd: {LATER}"));
        }
    }

    /// A certificate and its key that cannot be read at all; whether they belong together is not
    /// looked at.
    fn tls(&mut self, root: &At<'_>) {
        use base64::Engine;
        if root.text_of("type") != "kubernetes.io/tls" {
            return;
        }
        let engine = base64::engine::general_purpose::STANDARD;
        for (key, what) in [("tls.crt", "certificate"), ("tls.key", "key")] {
            let bytes = engine.decode(root.get("data").text_of(key)).unwrap_or_default();
            if !bytes.windows(11).any(|part| part == b"-----BEGIN ") {
                return self.add(format!("tls: failed to find any PEM data in {what} input"));
            }
        }
    }

    /// An address that is written in another way than it is printed.
    fn ip(&mut self, at: &At<'_>) {
        if let Ok(ip @ IpAddr::V6(six)) = at.text().parse::<IpAddr>() {
            if let Some(four) = six.to_ipv4_mapped() {
                self.add(format!(
                    "{}: non-standard IP address {} is invalid: use \"{four}\"",
                    at.path,
                    go::quote(at.text())
                ));
            } else if ip.to_string() != at.text() {
                self.add(format!(
                    "{}: IPv6 address {} should be in RFC 5952 canonical format (\"{ip}\")",
                    at.path,
                    go::quote(at.text())
                ));
            }
        }
    }

    /// A network whose address has bits behind its prefix, or is written in another way.
    fn cidr(&mut self, at: &At<'_>) {
        let text = at.text().trim();
        let Some((ip, length)) = names::cidr(text) else { return };
        let (base, bits) = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                (IpAddr::from((u32::from(ip) & mask).to_be_bytes()), 32)
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                (IpAddr::from((u128::from(ip) & mask).to_be_bytes()), 128)
            }
        };
        let shown = go::quote(at.text());
        if base != ip {
            self.add(format!(
                "{}: CIDR value {shown} is ambiguous in this context (should be \
                 \"{base}/{length}\" or \"{ip}/{bits}\"?)",
                at.path
            ));
        } else if ip.is_ipv6() && format!("{ip}/{length}") != text {
            self.add(format!(
                "{}: IPv6 CIDR value {shown} should be in RFC 5952 canonical format \
                 (\"{ip}/{length}\")",
                at.path
            ));
        }
    }
}

/// In warnings of selectors.
const NO_SELECTOR: &str = "a null labelSelector results in matching no pod";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_deprecated_from_some_minor_on() {
        let flow = Kind::new("flowcontrol.apiserver.k8s.io/v1beta3", "FlowSchema");
        assert_eq!(
            deprecation(&flow, 29).unwrap(),
            "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema is deprecated in v1.29+, unavailable \
             in v1.32+; use flowcontrol.apiserver.k8s.io/v1 FlowSchema"
        );
        let endpoints = Kind::new("v1", "Endpoints");
        assert_eq!(deprecation(&endpoints, 32), None);
        assert_eq!(
            deprecation(&endpoints, 36).unwrap(),
            "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
        );
        assert_eq!(deprecation(&Kind::new("apps/v1", "Deployment"), 37), None);
    }
}
