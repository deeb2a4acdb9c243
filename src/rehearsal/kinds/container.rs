//! What the containers of a Pod must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::quantity::Quantity;
use super::service::port_or_name;
use super::volumes::Volumes;
use super::{go, names};

/// All containers of a Pod's spec.
pub(super) fn validate(check: &mut Check, spec: &At<'_>, volumes: &Volumes<'_>) {
    let claims: Vec<&str> =
        spec.get("resourceClaims").items().map(|claim| claim.text_of("name")).collect();
    let pod = Pod {
        volumes,
        claims: &claims,
        grace: spec.get("terminationGracePeriodSeconds").number(),
        never: spec.text_of("restartPolicy") == "Never",
        host_users: spec.value.get("hostUsers") != Some(&Value::Bool(false)),
        system: spec.get("os").text_of("name").to_owned(),
    };
    let containers = spec.get("containers");
    regular(check, &containers, &pod);
    initial(check, &spec.get("initContainers"), &containers, &pod);
    let mut seen = Vec::new();
    for container in spec.get("ephemeralContainers").items() {
        common(check, &container, &pod);
        if seen.contains(&container.text_of("name")) {
            check.duplicate(container.child("name"), go::quote(container.text_of("name")));
        }
        seen.push(container.text_of("name"));
    }
}

/// What containers need to know of their Pod.
struct Pod<'a> {
    volumes: &'a Volumes<'a>,
    claims: &'a [&'a str],
    grace: i64,
    never: bool,
    host_users: bool,
    system: String,
}

fn regular(check: &mut Check, containers: &At<'_>, pod: &Pod<'_>) {
    if containers.is_empty() {
        return check.required(&*containers.path, "");
    }
    let mut seen = Vec::new();
    for container in containers.items() {
        common(check, &container, pod);
        let name = container.get("name");
        if seen.contains(&name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        }
        seen.push(name.text());
        running(check, &container, pod);
        restart_policy(check, &container);
    }
    let mut ports = Vec::new();
    for container in containers.items() {
        host_ports(check, &container, &mut ports);
    }
}

fn initial(check: &mut Check, containers: &At<'_>, regular: &At<'_>, pod: &Pod<'_>) {
    let mut seen: Vec<_> =
        regular.items().map(|container| container.text_of("name").to_owned()).collect();
    for container in containers.items() {
        common(check, &container, pod);
        restart_policy(check, &container);
        let name = container.get("name");
        if seen.iter().any(|held| held == name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        } else if !name.text().is_empty() {
            seen.push(name.text().to_owned());
        }
        // The server counts from the start of the list for each of them.
        let first = At::new(format!("{}[0]", containers.path), container.value);
        host_ports(check, &first, &mut Vec::new());
        if container.text_of("restartPolicy") == "Always" {
            running(check, &container, pod);
            continue;
        }
        for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(key).is_there() {
                let detail = "may not be set for init containers without restartPolicy=Always";
                check.forbidden(container.child(key), detail);
            }
        }
        for policy in container.get("resizePolicy").items() {
            let restart = policy.get("restartPolicy");
            if restart.text() == "RestartContainer" {
                let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
                check.invalid(&restart, detail);
            }
        }
    }
}

/// What holds for every container.
fn common(check: &mut Check, container: &At<'_>, pod: &Pod<'_>) {
    let name = container.get("name");
    if name.text().is_empty() {
        check.required(&*name.path, "");
    } else {
        check.all(&name, names::dns_label(name.text()));
    }
    if container.text_of("image").is_empty() {
        check.required(container.child("image"), "");
    }
    let message = container.get("terminationMessagePolicy");
    check.one_of(&message, &["File", "FallbackToLogsOnError"]);
    ports(check, &container.get("ports"));
    for env in container.get("env").items() {
        let name = env.get("name");
        if name.text().is_empty() {
            check.required(&*name.path, "");
        } else {
            check.all(&name, names::env_name(name.text()));
        }
        env_source(check, &env, pod);
    }
    env_from(check, &container.get("envFrom"));
    mounts(check, container, pod.volumes);
    devices(check, container, pod.volumes);
    check.one_of(&container.get("imagePullPolicy"), &["Always", "IfNotPresent", "Never"]);
    resources(check, &container.get("resources"), pod.claims);
    resize(check, &container.get("resizePolicy"), pod.never);
    security_context(check, &container.get("securityContext"), pod.host_users);
}

fn ports(check: &mut Check, ports: &At<'_>) {
    let mut seen = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.text().is_empty() {
            let wrong = names::port_name(name.text());
            if !wrong.is_empty() {
                check.all(&name, wrong);
            } else if seen.contains(&name.text()) {
                check.duplicate(&*name.path, go::quote(name.text()));
            } else {
                seen.push(name.text());
            }
        }
        let number = port.get("containerPort");
        if number.number() == 0 {
            check.required(&*number.path, "");
        }
        for number in [number, port.get("hostPort")] {
            if number.number() != 0 {
                for message in names::port_number(number.number()) {
                    check.invalid(&number, message);
                }
            }
        }
        check.one_of(&port.get("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn host_ports(check: &mut Check, container: &At<'_>, seen: &mut Vec<String>) {
    for port in container.get("ports").items() {
        let host = port.get("hostPort");
        if host.number() == 0 {
            continue;
        }
        let key =
            format!("{}/{}/{}", port.text_of("protocol"), port.text_of("hostIP"), host.number());
        if seen.contains(&key) {
            check.duplicate(&*host.path, go::quote(&key));
        } else {
            seen.push(key);
        }
    }
}

/// Fields of a Pod that an environment variable may take its value from, in the server's order.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn env_source(check: &mut Check, env: &At<'_>, pod: &Pod<'_>) {
    let from = env.get("valueFrom");
    if !from.is_there() {
        return;
    }
    let mut sources = 0;
    let field = from.get("fieldRef");
    if field.is_there() {
        sources += 1;
        field_selector(check, &field, ENV_FIELDS);
    }
    let resource = from.get("resourceFieldRef");
    if resource.is_there() {
        sources += 1;
        resource_selector(check, &resource, false);
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        let reference = from.get(key);
        if reference.is_there() {
            sources += 1;
            key_selector(check, &reference);
        }
    }
    let file = from.get("fileKeyRef");
    if file.is_there() {
        sources += 1;
        file_selector(check, &file);
        let volume = file.get("volumeName");
        if !volume.text().is_empty() && !pod.volumes.has(volume.text()) {
            check.not_found(&*volume.path, go::quote(volume.text()));
        }
    }
    if sources == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, \
                      `secretKeyRef` or `fileKeyRef`";
        check.invalid_as(&*from.path, "\"\"", detail);
    } else if !env.text_of("value").is_empty() {
        let detail = "may not be specified when `value` is not empty";
        check.invalid_as(&*from.path, "\"\"", detail);
    } else if sources > 1 {
        let detail = "may not have more than one field specified at a time";
        check.invalid_as(&*from.path, "\"\"", detail);
    }
}

/// A field of a Pod; `fields` are those that are allowed without a key in brackets.
pub(super) fn field_selector(check: &mut Check, at: &At<'_>, fields: &[&str]) {
    if at.text_of("apiVersion").is_empty() {
        return check.required(at.child("apiVersion"), "");
    }
    let path = at.get("fieldPath");
    let text = path.text();
    if text.is_empty() {
        return check.required(&*path.path, "");
    }
    if at.text_of("apiVersion") != "v1" {
        let detail = format!(
            "error converting fieldPath: unsupported pod version: {}",
            at.text_of("apiVersion")
        );
        return check.invalid(&path, detail);
    }
    let subscript = text
        .strip_suffix("']")
        .and_then(|text| text.split_once("['"))
        .filter(|(path, _)| !path.is_empty());
    if let Some((base, key)) = subscript {
        match base {
            "metadata.annotations" => {
                let key = key.to_lowercase();
                for message in names::qualified_name(&key) {
                    check.invalid_as(&*at.path, go::quote(&key), message);
                }
            }
            "metadata.labels" => {
                for message in names::qualified_name(key) {
                    check.invalid_as(&*at.path, go::quote(key), message);
                }
            }
            _ => {
                let detail = format!(
                    "error converting fieldPath: field label does not support subscript: {text}"
                );
                check.invalid(&path, detail);
            }
        }
        return;
    }
    let known = [
        "metadata.annotations",
        "metadata.labels",
        "spec.restartPolicy",
        "spec.schedulerName",
        "status.phase",
        "spec.host",
    ];
    if !known.contains(&text) && !ENV_FIELDS.contains(&text) {
        let detail = format!("error converting fieldPath: field label not supported: {text}");
        return check.invalid(&path, detail);
    }
    let text = if text == "spec.host" { "spec.nodeName" } else { text };
    if !fields.contains(&text) {
        let shown = Value::from(text);
        check.unsupported(&At::new(&*path.path, &shown), fields);
    }
}

/// An amount of a container's resources.
pub(super) fn resource_selector(check: &mut Check, at: &At<'_>, in_volume: bool) {
    let resource = at.get("resource");
    let name = resource.text();
    let known = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let pages = name.starts_with("requests.hugepages-") || name.starts_with("limits.hugepages-");
    if in_volume && at.text_of("containerName").is_empty() {
        check.required(at.child("containerName"), "");
    } else if name.is_empty() {
        check.required(&*resource.path, "");
    } else if !known.contains(&name) && !pages {
        check.unsupported(&resource, &known);
    }
    let divisor = Quantity::of(at.get("divisor").value);
    if divisor.is_zero() {
        return;
    }
    let text = divisor.to_string();
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let what = match name {
        "limits.cpu" | "requests.cpu" => {
            if !["1m", "1"].contains(&&*text) {
                let detail = "only divisor's values 1m and 1 are supported with the cpu resource";
                check.invalid_as(at.child("divisor"), go::quote(name), detail);
            }
            return;
        }
        "limits.memory" | "requests.memory" => "memory",
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => "local ephemeral storage",
        _ if pages => "hugepages",
        _ => return,
    };
    if !sizes.contains(&&*text) {
        let detail = format!(
            "only divisor's values {} are supported with the {what} resource",
            sizes.join(", ")
        );
        check.invalid_as(at.child("divisor"), go::quote(name), detail);
    }
}

fn key_selector(check: &mut Check, at: &At<'_>) {
    check.all(&at.get("name"), names::dns_subdomain(at.text_of("name")));
    let key = at.get("key");
    if key.text().is_empty() {
        check.required(&*key.path, "");
    } else {
        check.all(&key, names::config_key(key.text()));
    }
}

fn file_selector(check: &mut Check, at: &At<'_>) {
    let key = at.get("key");
    if key.text().is_empty() {
        check.required(&*key.path, "");
    } else {
        check.all(&key, names::env_name(key.text()));
    }
    let volume = at.get("volumeName");
    if volume.text().is_empty() {
        check.required(&*volume.path, "");
    } else {
        check.all(&volume, names::dns_label(volume.text()));
    }
    let path = at.get("path");
    if path.text().is_empty() {
        check.required(&*path.path, "");
    } else {
        super::volumes::local_path(check, &path.path, path.text());
    }
}

fn env_from(check: &mut Check, list: &At<'_>) {
    for env in list.items() {
        let prefix = env.get("prefix");
        if !prefix.text().is_empty() {
            check.all(&prefix, names::env_name(prefix.text()));
        }
        let mut sources = 0;
        for key in ["configMapRef", "secretRef"] {
            let reference = env.get(key);
            if !reference.is_there() {
                continue;
            }
            sources += 1;
            let name = reference.get("name");
            if name.text().is_empty() {
                check.required(&*name.path, "");
            } else {
                let masked = names::mask_trailing_dash(name.text());
                check.all(&name, names::dns_subdomain(&masked));
            }
        }
        let detail = match sources {
            0 => "must specify one of: `configMapRef` or `secretRef`",
            1 => continue,
            _ => "may not have more than one field specified at a time",
        };
        check.invalid_as(&*list.path, "\"\"", detail);
    }
}

fn mounts(check: &mut Check, container: &At<'_>, volumes: &Volumes<'_>) {
    let list = container.get("volumeMounts");
    let devices: Vec<_> = container.get("volumeDevices").items().collect();
    let mut seen = Vec::new();
    for mount in list.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        if name.text().is_empty() {
            check.required(&*name.path, "");
        }
        if !volumes.has(name.text()) {
            check.not_found(&*name.path, go::quote(name.text()));
        }
        if path.text().is_empty() {
            check.required(&*path.path, "");
        }
        if seen.contains(&path.text()) {
            check.invalid_text(&path, "must be unique");
        }
        seen.push(path.text());
        if devices.iter().any(|device| device.text_of("name") == name.text()) {
            check.invalid_text(&name, "must not already exist in volumeDevices");
        }
        if devices.iter().any(|device| device.text_of("devicePath") == path.text()) {
            check.invalid_text(&path, "must not already exist as a path in volumeDevices");
        }
        let (sub, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
        if !sub.text().is_empty() {
            super::volumes::descending(check, &list.child("subPath"), sub.text());
        }
        if !expression.text().is_empty() {
            if !sub.text().is_empty() {
                check.invalid(&expression, "subPathExpr and subPath are mutually exclusive");
            }
            super::volumes::descending(check, &list.child("subPathExpr"), expression.text());
        }
        let propagation = mount.get("mountPropagation");
        if propagation.is_there() {
            let at = At::new(list.child("mountPropagation"), propagation.value);
            check.one_of(&at, &["Bidirectional", "HostToContainer", "None"]);
            let privileged = container.get("securityContext").get("privileged").is_true();
            if propagation.text() == "Bidirectional" && !privileged {
                let detail =
                    "Bidirectional mount propagation is available only to privileged containers";
                check.forbidden(&*at.path, detail);
            }
        }
        recursive(check, &list, &mount);
    }
}

fn recursive(check: &mut Check, list: &At<'_>, mount: &At<'_>) {
    let recursive = mount.get("recursiveReadOnly");
    if !recursive.is_there() {
        return;
    }
    let at = At::new(list.child("recursiveReadOnly"), recursive.value);
    match recursive.text() {
        "Disabled" => {}
        mode @ ("Enabled" | "IfPossible") => {
            if !mount.get("readOnly").is_true() {
                let detail = "may only be specified when readOnly is true";
                check.forbidden(&*at.path, detail);
            }
            let propagation = mount.text_of("mountPropagation");
            if !matches!(propagation, "" | "None") {
                let detail = format!(
                    "may only be specified when mountPropagation is None or not specified, got \
                     {mode}"
                );
                check.forbidden(&*at.path, detail);
            }
        }
        _ => check.unsupported(&at, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(check: &mut Check, container: &At<'_>, volumes: &Volumes<'_>) {
    let mounts: Vec<_> = container.get("volumeMounts").items().collect();
    let (mut paths, mut held) = (Vec::new(), Vec::new());
    for device in container.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        if name.text().is_empty() {
            check.required(&*name.path, "");
        }
        if held.contains(&name.text()) {
            check.invalid_text(&name, "must be unique");
        }
        match volumes.is_block(name.text()) {
            Some(true) => {}
            Some(false) => {
                let detail = "can only use volume source type of PersistentVolumeClaim or \
                              Ephemeral for block mode";
                check.invalid_text(&name, detail);
            }
            None => check.not_found(&*name.path, go::quote(name.text())),
        }
        if path.text().is_empty() {
            check.required(&*path.path, "");
        }
        if paths.contains(&path.text()) {
            check.invalid_text(&path, "must be unique");
        }
        if path.text().split('/').any(|part| part == "..") {
            check.invalid(&path, "can not contain backsteps ('..')");
        } else {
            paths.push(path.text());
        }
        if mounts.iter().any(|mount| mount.text_of("name") == name.text()) {
            check.invalid_text(&name, "must not already exist in volumeMounts");
        }
        if mounts.iter().any(|mount| mount.text_of("mountPath") == path.text()) {
            check.invalid_text(&path, "must not already exist as a path in volumeMounts");
        }
        held.push(name.text());
    }
}

/// Whose resources they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Container,
    Pod,
}

/// Requests and limits of a container.
pub(super) fn resources(check: &mut Check, at: &At<'_>, claims: &[&str]) {
    resource_list(check, at, Holder::Container, claims);
}

fn is_native(name: &str) -> bool {
    !name.contains('/')
        || name.split('/').next().is_some_and(|domain| domain.contains("kubernetes.io"))
}

/// Names of resources without a domain that Kubernetes knows.
pub(super) fn is_standard(name: &str) -> bool {
    matches!(
        name,
        "cpu"
            | "memory"
            | "ephemeral-storage"
            | "requests.cpu"
            | "requests.memory"
            | "requests.ephemeral-storage"
            | "limits.cpu"
            | "limits.memory"
            | "limits.ephemeral-storage"
            | "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "persistentvolumeclaims"
            | "configmaps"
            | "storage"
            | "requests.storage"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || name.starts_with("hugepages-")
        || name.starts_with("requests.hugepages-")
}

/// Amounts of these are whole numbers.
pub(super) fn is_counted(name: &str) -> bool {
    matches!(
        name,
        "pods"
            | "resourcequotas"
            | "services"
            | "replicationcontrollers"
            | "secrets"
            | "configmaps"
            | "persistentvolumeclaims"
            | "services.nodeports"
            | "services.loadbalancers"
    ) || !is_native(name)
}

fn overcommits(name: &str) -> bool {
    is_native(name) && !name.starts_with("hugepages-")
}

/// The name of a resource that a container has.
pub(super) fn plain_resource_name(check: &mut Check, at: &At<'_>) {
    resource_name(check, &at.path, at.text(), Holder::Container);
}

fn resource_name(check: &mut Check, path: &str, name: &str, holder: Holder) {
    let shown = go::quote(name);
    let wrong = names::qualified_name(name);
    let plain = !name.contains('/');
    if wrong.is_empty() && plain && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        check.invalid_as(path, &shown, detail);
    }
    for message in wrong {
        check.invalid_as(path, &shown, message);
    }
    let pages = name.starts_with("hugepages-");
    match holder {
        Holder::Pod => {
            if !matches!(name, "cpu" | "memory") && !pages {
                let list = ["cpu", "hugepages-", "memory"].map(go::quote).join(", ");
                check.causes.push(crate::rehearsal::Cause {
                    reason: "FieldValueNotSupported",
                    message: format!("Unsupported value: {shown}: supported values: {list}"),
                    field: path.to_owned(),
                });
            }
        }
        Holder::Container if plain => {
            if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !pages {
                check.invalid_as(path, &shown, "must be a standard resource for containers");
            }
        }
        Holder::Container => {
            let extended = !is_native(name)
                && !name.starts_with("requests.")
                && names::qualified_name(&format!("requests.{name}")).is_empty();
            if !is_native(name) && !extended {
                check.invalid_as(path, &shown, "doesn't follow extended resource name standard");
            }
        }
    }
}

/// An amount that may not be negative, and whole where the resource is counted.
pub(super) fn amount(check: &mut Check, path: &str, name: &str, value: &Value) {
    let quantity = Quantity::of(value);
    if quantity.is_negative() {
        check.invalid_as(path, go::show(value), "must be greater than or equal to 0");
    }
    if is_counted(name) && quantity.milli() % 1000 != 0 {
        check.invalid_as(path, go::show(value), "must be an integer");
    }
}

fn huge_page(check: &mut Check, path: &str, name: &str, value: &Value) {
    let Some(size) = name.strip_prefix("hugepages-").and_then(Quantity::parse) else { return };
    let quantity = Quantity::of(value);
    if size.milli() > 0 && (quantity.milli() % size.milli() != 0) {
        let detail = format!("{quantity} is not positive integer multiple of {name}");
        check.invalid_as(path, go::show(value), detail);
    }
}

pub(super) fn resource_list(check: &mut Check, at: &At<'_>, holder: Holder, claims: &[&str]) {
    let (limits, requests) = (at.get("limits"), at.get("requests"));
    for (name, value) in limits.entries() {
        let path = limits.key(name);
        resource_name(check, &path, name, holder);
        amount(check, &path, name, value);
        huge_page(check, &path, name, value);
    }
    for (name, value) in requests.entries() {
        let path = requests.key(name);
        resource_name(check, &path, name, holder);
        amount(check, &path, name, value);
        let quantity = Quantity::of(value);
        match limits.value.get(name) {
            Some(limit) => {
                let shown = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
                let limit = Quantity::of(limit);
                if quantity != limit && !overcommits(name) {
                    let detail = format!("must be equal to {name} limit of {shown}");
                    check.invalid_as(&*requests.path, go::show(value), detail);
                } else if quantity > limit {
                    let detail = format!("must be less than or equal to {name} limit of {shown}");
                    check.invalid_as(&*requests.path, go::show(value), detail);
                }
            }
            None if !overcommits(name) => {
                let detail = "Limit must be set for non overcommitable resources";
                check.required(&*limits.path, detail);
            }
            None => {}
        }
        huge_page(check, &path, name, value);
    }
    let all = || limits.entries().into_iter().chain(requests.entries()).map(|(name, _)| name);
    if all().any(|name| name.starts_with("hugepages-"))
        && !all().any(|name| matches!(name, "cpu" | "memory"))
    {
        check.forbidden(&*at.path, "HugePages require cpu or memory");
    }
    let mut seen = Vec::new();
    for claim in at.get("claims").items() {
        let name = claim.get("name");
        if name.text().is_empty() {
            check.required(&*name.path, "");
        } else {
            if seen.contains(&name.text()) {
                check.duplicate(&*claim.path, go::quote(name.text()));
            }
            seen.push(name.text());
            if !claims.contains(&name.text()) {
                check.not_found(&*claim.path, go::quote(name.text()));
            }
        }
    }
}

fn resize(check: &mut Check, list: &At<'_>, never: bool) {
    let mut seen = Vec::new();
    for policy in list.items() {
        let (name, restart) = (policy.get("resourceName"), policy.get("restartPolicy"));
        if seen.contains(&name.text()) {
            check.duplicate(&*policy.path, go::quote(name.text()));
        }
        seen.push(name.text());
        for (field, values) in
            [(&name, ["cpu", "memory"]), (&restart, ["NotRequired", "RestartContainer"])]
        {
            if field.text().is_empty() {
                check.required(&*list.path, "");
            } else {
                check.one_of(&At::new(&*list.path, field.value), &values);
            }
        }
        if never && restart.text() != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            check.invalid_as(&*list.path, go::quote(restart.text()), detail);
        }
    }
}

/// How to start, to watch and to stop a container that goes on running.
fn running(check: &mut Check, container: &At<'_>, pod: &Pod<'_>) {
    let lifecycle = container.get("lifecycle");
    for key in ["postStart", "preStop"] {
        let hook = lifecycle.get(key);
        if hook.is_there() {
            handler(check, &hook, pod.grace, true);
        }
    }
    let signal = lifecycle.get("stopSignal");
    if signal.is_there() && pod.system.is_empty() {
        let detail = "may not be set for containers with empty `spec.os.name`";
        check.forbidden(&*signal.path, detail);
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.get(key);
        if !probe.is_there() {
            continue;
        }
        handler(check, &probe, pod.grace, false);
        for key in [
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ] {
            check.not_negative(&probe.get(key));
        }
        let grace = probe.get("terminationGracePeriodSeconds");
        if grace.is_there() && grace.number() <= 0 {
            check.invalid(&grace, "must be greater than 0");
        }
        if key == "readinessProbe" {
            if grace.is_there() {
                check.invalid(&grace, "must not be set for readinessProbes");
            }
        } else if probe.get("successThreshold").number() != 1 {
            check.invalid(&probe.get("successThreshold"), "must be 1");
        }
    }
}

fn handler(check: &mut Check, at: &At<'_>, grace: i64, hook: bool) {
    let kinds: &[&str] = match hook {
        true => &["exec", "httpGet", "tcpSocket", "sleep"],
        false => &["exec", "httpGet", "tcpSocket", "grpc"],
    };
    let mut one = false;
    for key in kinds {
        let action = at.get(key);
        if !action.is_there() {
            continue;
        }
        if one {
            check.forbidden(&*action.path, "may not specify more than 1 handler type");
            continue;
        }
        one = true;
        match *key {
            "exec" => {
                if action.get("command").is_empty() {
                    check.required(action.child("command"), "");
                }
            }
            "httpGet" => {
                if action.text_of("path").is_empty() {
                    check.required(action.child("path"), "");
                }
                port_or_name(check, &action.get("port"));
                check.one_of(&action.get("scheme"), &["HTTP", "HTTPS"]);
                for header in action.get("httpHeaders").items() {
                    let name = header.text_of("name");
                    let fits =
                        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                    if name.is_empty() || !name.bytes().all(fits) {
                        let detail = "a valid HTTP header must consist of alphanumeric characters \
                             or '-' (e.g. 'X-Header-Name', regex used for validation is \
                             '[-A-Za-z0-9]+')";
                        check.invalid_as(action.child("httpHeaders"), go::quote(name), detail);
                    }
                }
            }
            "sleep" => {
                let seconds = action.get("seconds").number();
                if seconds < 0 || seconds > grace {
                    let detail = format!(
                        "must be non-negative and less than terminationGracePeriodSeconds ({grace})"
                    );
                    check.invalid_as(&*action.path, seconds.to_string(), detail);
                }
            }
            _ => port_or_name(check, &action.get("port")),
        }
    }
    if !one {
        check.required(&*at.path, "must specify a handler type");
    }
}

fn restart_policy(check: &mut Check, container: &At<'_>) {
    let policy = container.get("restartPolicy");
    let rules = container.get("restartPolicyRules");
    if policy.is_there() {
        check.one_of(&policy, &["Always", "Never", "OnFailure"]);
    } else if !rules.is_empty() {
        check.required(&*policy.path, "must specify restartPolicy when restart rules are used");
    }
    if rules.len() > 20 {
        check.too_many(&*rules.path, rules.len(), 20);
    }
    for rule in rules.items() {
        check.one_of(&rule.get("action"), &["Restart", "RestartAllContainers"]);
        let codes = rule.get("exitCodes");
        if codes.is_there() {
            check.one_of(&codes.get("operator"), &["In", "NotIn"]);
        } else {
            check.required(&*codes.path, "must be specified");
        }
    }
}

fn security_context(check: &mut Check, context: &At<'_>, host_users: bool) {
    if !context.is_there() {
        return;
    }
    for key in ["runAsUser", "runAsGroup"] {
        let id = context.get(key);
        if id.is_there() {
            for message in names::user_id(id.number()) {
                check.invalid(&id, message);
            }
        }
    }
    let mount = context.get("procMount");
    if mount.is_there() {
        check.one_of(&mount, &["Default", "Unmasked"]);
        if host_users && mount.text() == "Unmasked" {
            check.invalid(&mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    seccomp(check, &context.get("seccompProfile"));
    if context.value.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        let shown = || go::show_struct("SecurityContext", context.value);
        if context.get("privileged").is_true() {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            check.invalid_as(&*context.path, shown(), detail);
        }
        for added in context.get("capabilities").get("add").items() {
            if added.text() == "CAP_SYS_ADMIN" {
                let detail = "cannot set `allowPrivilegeEscalation` to false and \
                              `capabilities.Add` CAP_SYS_ADMIN";
                check.invalid_as(&*context.path, shown(), detail);
            }
        }
    }
    app_armor(check, &context.get("appArmorProfile"));
}

/// Which system calls are filtered.
pub(super) fn seccomp(check: &mut Check, profile: &At<'_>) {
    if !profile.is_there() {
        return;
    }
    let kind = profile.get("type");
    if kind.text().is_empty() {
        check.required(&*kind.path, "type is required when seccompProfile is set");
    } else {
        check.one_of(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
    }
    let local = profile.get("localhostProfile");
    match (kind.text() == "Localhost", local.is_there()) {
        (true, false) => {
            check.required(&*local.path, "must be set when seccomp type is Localhost");
        }
        (true, true) => super::volumes::descending(check, &local.path, local.text()),
        (false, true) => {
            let shown = go::show_struct("SeccompProfile", profile.value);
            let detail = "can only be set when seccomp type is Localhost";
            check.invalid_as(&*local.path, shown, detail);
        }
        (false, false) => {}
    }
}

/// What AppArmor allows.
pub(super) fn app_armor(check: &mut Check, profile: &At<'_>) {
    if !profile.is_there() {
        return;
    }
    let kind = profile.get("type");
    let local = profile.get("localhostProfile");
    match kind.text() {
        "Localhost" => {
            if !local.is_there() {
                let detail = "must be set when AppArmor type is Localhost";
                check.required(&*local.path, detail);
            } else if local.text().trim().is_empty() {
                check.required(&*local.path, "must be set when AppArmor type is Localhost");
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if local.is_there() {
                let detail = "can only be set when AppArmor type is Localhost";
                check.invalid(&local, detail);
            }
        }
        "" => check.required(&*kind.path, "type is required when appArmorProfile is set"),
        _ => check.unsupported(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]),
    }
}
