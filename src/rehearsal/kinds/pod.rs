//! What a Pod and a template of Pods must be.
//!
//! Source: Kubernetes 1.36 `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::check::{At, Check};
use super::{container, go, metadata, names, volumes};

/// What else is known where a Pod's spec stands.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// The name of the Pod, for claims that are made for it; none in a template.
    pub(super) name: Option<&'a str>,
}

/// The metadata and the spec of a Pod, as after a create or a change.
pub(super) fn validate(check: &mut Check, object: &Value) {
    let root = At::root(object);
    let (meta, spec) = (root.get("metadata"), root.get("spec"));
    pod_annotations(check, &meta.get("annotations"), &spec);
    let name = meta.text_of("name");
    spec_of(check, &spec, Setting { name: Some(name) });
    if spec.text_of("serviceAccountName").is_empty() {
        for volume in spec.get("volumes").items() {
            for source in volume.get("projected").get("sources").items() {
                let token = source.get("serviceAccountToken");
                if token.is_there() {
                    let detail = "must not be specified when serviceAccountName is not set";
                    check.forbidden(&*token.path, detail);
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get(list).items() {
            let image = container.get("image");
            if image.text().trim().len() != image.text().len() {
                check.invalid(&image, "must not have leading or trailing whitespace");
            }
        }
    }
}

/// What holds for a new Pod only.
pub(super) fn validate_create(check: &mut Check, object: &Value) {
    let spec = At::root(object).get("spec");
    if !spec.get("ephemeralContainers").is_empty() {
        check.forbidden(spec.child("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.text_of("nodeName").is_empty() && !spec.get("schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        check.forbidden(spec.child("nodeName"), detail);
    }
}

/// A template of Pods.
pub(super) fn template(check: &mut Check, at: &At<'_>) {
    let meta = at.get("metadata");
    // The server names these as if they stood beside the spec.
    let labels = At::new(at.child("labels"), meta.get("labels").value);
    metadata::labels(check, &labels);
    let annotations = At::new(at.child("annotations"), meta.get("annotations").value);
    metadata::annotations(check, &annotations);
    let spec = at.get("spec");
    pod_annotations(check, &annotations, &spec);
    spec_of(check, &spec, Setting { name: None });
    if !spec.get("ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        check.forbidden(spec.child("ephemeralContainers"), detail);
    }
}

fn pod_annotations(check: &mut Check, annotations: &At<'_>, spec: &At<'_>) {
    let mirror = "kubernetes.io/config.mirror";
    if let Some(value) = annotations.value.get(mirror)
        && spec.text_of("nodeName").is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        check.invalid_as(annotations.key(mirror), go::show(value), detail);
    }
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(value) = annotations.value.get(cost) {
        let text = value.as_str().unwrap_or_default();
        let plain = text == "0" || !text.trim_start_matches('-').starts_with('0');
        if text.parse::<i32>().is_err() || !plain || text.starts_with('+') {
            check.invalid_as(annotations.key(cost), go::show(value), "must be a 32bit integer");
        }
    }
}

fn spec_of(check: &mut Check, spec: &At<'_>, setting: Setting<'_>) {
    let grace = spec.get("terminationGracePeriodSeconds");
    if !grace.is_there() {
        check.required(&*grace.path, "");
    }
    let volumes = volumes::validate(check, &spec.get("volumes"), setting);
    claims(check, &spec.get("resourceClaims"));
    container::validate(check, spec, &volumes);
    pod_resources(check, spec);
    host_ports(check, spec, setting.name.is_some());
    let restart = spec.get("restartPolicy");
    check.one_of(&restart, &["Always", "OnFailure", "Never"]);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    check.one_of(&spec.get("dnsPolicy"), &policies);
    metadata::labels(check, &spec.get("nodeSelector"));
    security_context(check, spec);
    affinity(check, &spec.get("affinity"));
    dns_config(check, spec);
    for gate in spec.get("readinessGates").items() {
        let condition = gate.get("conditionType");
        check.all(&condition, names::qualified_name(condition.text()));
    }
    gates(check, &spec.get("schedulingGates"));
    spread(check, &spec.get("topologySpreadConstraints"));
    host_users(check, spec);
    for (key, rule) in [
        ("serviceAccountName", names::dns_subdomain as fn(&str) -> Vec<String>),
        ("nodeName", names::dns_subdomain),
    ] {
        named(check, &spec.get(key), rule);
    }
    let deadline = spec.get("activeDeadlineSeconds");
    if deadline.is_there() && !(1..=i64::from(i32::MAX)).contains(&deadline.number()) {
        check.invalid(&deadline, "must be between 1 and 2147483647, inclusive");
    }
    named(check, &spec.get("hostname"), names::dns_label);
    named(check, &spec.get("subdomain"), names::dns_label);
    tolerations(check, &spec.get("tolerations"));
    for alias in spec.get("hostAliases").items() {
        check.address(&alias.get("ip"));
        for name in alias.get("hostnames").items() {
            check.all(&name, names::dns_subdomain(name.text()));
        }
    }
    named(check, &spec.get("priorityClassName"), names::dns_subdomain);
    let class = spec.get("runtimeClassName");
    if class.is_there() {
        check.all(&class, names::dns_subdomain(class.text()));
    }
    let preemption = spec.get("preemptionPolicy");
    if preemption.is_there() {
        check.one_of(&preemption, &["PreemptLowerPriority", "Never"]);
    }
    if spec.get("overhead").is_there() {
        let limits = serde_json::json!({"limits": spec.get("overhead").value});
        container::resources(check, &At::new(spec.child("overhead"), &limits), &[]);
    }
    let system = spec.get("os");
    if system.is_there() {
        let name = system.get("name");
        if name.text().is_empty() {
            check.required(&*name.path, "");
        } else {
            // The server names the field above it.
            check.one_of(&At::new(&*system.path, name.value), &["linux", "windows"]);
        }
    }
}

/// A name that need not be there.
fn named(check: &mut Check, at: &At<'_>, rule: fn(&str) -> Vec<String>) {
    if !at.text().is_empty() {
        check.all(at, rule(at.text()));
    }
}

fn claims(check: &mut Check, claims: &At<'_>) {
    let mut seen = Vec::new();
    for claim in claims.items() {
        let name = claim.get("name");
        if name.text().is_empty() {
            check.required(&*name.path, "");
        } else {
            check.all(&name, names::dns_label(name.text()));
        }
        if seen.contains(&name.text()) {
            check.duplicate(&*name.path, go::quote(name.text()));
        }
        seen.push(name.text());
    }
}

fn pod_resources(check: &mut Check, spec: &At<'_>) {
    let own = spec.get("resources");
    if !own.is_there() {
        return;
    }
    if own.get("claims").is_there() {
        check.forbidden(own.child("claims"), "claims may not be set for Resources at pod-level");
    }
    container::resource_list(check, &own, container::Holder::Pod, &[]);
}

fn host_ports(check: &mut Check, spec: &At<'_>, is_pod: bool) {
    if !spec.get("hostNetwork").is_true() {
        return;
    }
    for container in spec.get("containers").items() {
        for port in container.get("ports").items() {
            let host = port.get("hostPort");
            let same = host.number() == port.get("containerPort").number();
            if (is_pod || host.number() != 0) && !same {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                check.invalid_as(&*host.path, host.number().to_string(), detail);
            }
        }
    }
}

fn id(check: &mut Check, at: &At<'_>) {
    if at.is_there() {
        for message in names::user_id(at.number()) {
            check.invalid(at, message);
        }
    }
}

fn security_context(check: &mut Check, spec: &At<'_>) {
    let context = spec.get("securityContext");
    if !context.is_there() {
        return;
    }
    for key in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(check, &context.get(key));
    }
    for group in context.get("supplementalGroups").items() {
        id(check, &group);
    }
    let share = spec.get("shareProcessNamespace");
    if share.is_true() && spec.get("hostPID").is_true() {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        check.invalid_as(context.child("shareProcessNamespace"), "true", detail);
    }
    sysctls(check, &context.get("sysctls"));
    let change = context.get("fsGroupChangePolicy");
    if change.is_there() {
        check.one_of(&change, &["Always", "OnRootMismatch"]);
    }
    container::seccomp(check, &context.get("seccompProfile"));
    container::app_armor(check, &context.get("appArmorProfile"));
    for (key, values) in [
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ] {
        let policy = context.get(key);
        if policy.is_there() {
            check.one_of(&policy, &values);
        }
    }
}

fn sysctls(check: &mut Check, list: &At<'_>) {
    let mut seen = Vec::new();
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = part.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(|byte| inner(*byte)))
            && bytes.iter().all(|byte| inner(*byte) || b"-_".contains(byte))
    };
    for sysctl in list.items() {
        let name = sysctl.get("name");
        let text = name.text();
        if text.is_empty() {
            check.required(&*name.path, "");
        } else if text.len() > 253 || !text.split(['.', '/']).all(part) {
            let detail = "must have at most 253 characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            check.invalid(&name, detail);
        } else if seen.contains(&text) {
            check.duplicate(&*name.path, go::quote(text));
        }
        seen.push(text);
    }
}

fn gates(check: &mut Check, gates: &At<'_>) {
    let mut seen = Vec::new();
    for gate in gates.items() {
        let name = gate.text_of("name");
        for message in names::qualified_name(name) {
            check.invalid_as(&*gate.path, go::quote(name), message);
        }
        if seen.contains(&name) {
            check.duplicate(&*gate.path, go::quote(name));
        }
        seen.push(name);
    }
}

fn host_users(check: &mut Check, spec: &At<'_>) {
    if spec.value.get("hostUsers") != Some(&Value::Bool(false)) {
        return;
    }
    for (key, what) in [("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.get(key).is_true() {
            let detail = format!("when `hostUsers` is false, {what} must be false");
            let _ = what;
            check.forbidden(spec.child(key), detail);
        }
    }
}

fn affinity(check: &mut Check, affinity: &At<'_>) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let node = affinity.get("nodeAffinity");
    if node.get(required).is_there() {
        node_selector(check, &node.get(required));
    }
    for term in node.get(preferred).items() {
        weight(check, &term);
        node_term(check, &term.get("preference"), false);
    }
    for key in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(key);
        for term in pods.get(required).items() {
            pod_term(check, &term);
        }
        for term in pods.get(preferred).items() {
            weight(check, &term);
            pod_term(check, &term.get("podAffinityTerm"));
        }
    }
}

fn weight(check: &mut Check, term: &At<'_>) {
    let weight = term.get("weight");
    if !(1..=100).contains(&weight.number()) {
        let detail = "must be in the range 1-100";
        check.invalid_as(&*weight.path, weight.number().to_string(), detail);
    }
}

/// Which nodes are meant, by one of several terms.
pub(super) fn node_selector(check: &mut Check, selector: &At<'_>) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.is_empty() {
        check.required(&*terms.path, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(check, &term, true);
    }
}

fn node_term(check: &mut Check, term: &At<'_>, strict: bool) {
    for entry in term.get("matchExpressions").items() {
        let values = entry.get("values");
        match entry.text_of("operator") {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                    check.required(&*values.path, detail);
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let detail =
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                    check.forbidden(&*values.path, detail);
                }
            }
            "Gt" | "Lt" => {
                if values.len() != 1 {
                    let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                    check.required(&*values.path, detail);
                }
            }
            _ => check.invalid_text(&entry.get("operator"), "not a valid selector operator"),
        }
        metadata::label_key(check, &entry.child("key"), entry.text_of("key"));
        for value in values.items().filter(|_| strict) {
            check.all(&value, names::label_value(value.text()));
        }
    }
    for entry in term.get("matchFields").items() {
        let values = entry.get("values");
        if !matches!(entry.text_of("operator"), "In" | "NotIn") {
            check.invalid_text(&entry.get("operator"), "not a valid selector operator");
        } else if values.len() != 1 {
            let detail =
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            check.required(&*values.path, detail);
        }
        if entry.text_of("key") == "metadata.name" {
            for value in values.items() {
                check.all(&value, names::dns_subdomain(value.text()));
            }
        } else {
            check.invalid_text(&entry.get("key"), "not a valid field selector key");
        }
    }
}

fn pod_term(check: &mut Check, term: &At<'_>) {
    metadata::selector(check, &term.get("labelSelector"));
    metadata::selector(check, &term.get("namespaceSelector"));
    for name in term.get("namespaces").items() {
        for message in names::dns_label(name.text()) {
            check.invalid_as(term.child("namespace"), go::quote(name.text()), message);
        }
    }
    let key = term.get("topologyKey");
    if key.text().is_empty() {
        check.required(&*key.path, "can not be empty");
    }
    metadata::label_key(check, &key.path, key.text());
}

fn dns_config(check: &mut Check, spec: &At<'_>) {
    let config = spec.get("dnsConfig");
    let servers = config.get("nameservers");
    if spec.text_of("dnsPolicy") == "None" {
        if !config.is_there() {
            let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
            return check.required(&*config.path, detail);
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return check.required(&*servers.path, detail);
        }
    }
    if servers.len() > 3 {
        check.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        check.address(&server);
    }
    let searches = config.get("searches");
    if searches.len() > 32 {
        check.invalid(&searches, "must not have more than 32 search paths");
    }
    let length: usize = searches.items().map(|search| search.len() + 1).sum();
    if length > 2049 {
        let detail =
            "must not have more than 2048 characters (including spaces) in the search list";
        check.invalid(&searches, detail);
    }
    for search in searches.items().filter(|search| search.text() != ".") {
        let text = search.text().strip_suffix('.').unwrap_or(search.text());
        for message in names::dns_subdomain_with_underscores(text) {
            check.invalid_as(&*search.path, go::quote(text), message);
        }
    }
    for option in config.get("options").items() {
        if option.text_of("name").is_empty() {
            check.required(&*option.path, "must not be empty");
        }
    }
}

fn spread(check: &mut Check, list: &At<'_>) {
    let all: Vec<_> = list.items().collect();
    for (at, constraint) in all.iter().enumerate() {
        let skew = constraint.get("maxSkew");
        if skew.number() <= 0 {
            let detail = "must be greater than zero";
            check.invalid_as(&*skew.path, skew.number().to_string(), detail);
        }
        let key = constraint.get("topologyKey");
        if key.text().is_empty() {
            check.required(&*key.path, "can not be empty");
        }
        let action = constraint.get("whenUnsatisfiable");
        check.one_of(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        let again = all[at + 1..].iter().any(|other| {
            ["topologyKey", "whenUnsatisfiable"]
                .iter()
                .all(|key| other.text_of(key) == constraint.text_of(key))
        });
        if again {
            let path = constraint.child("{topologyKey, whenUnsatisfiable}");
            check.duplicate(path, go::quote(&format!("{{{}, {}}}", key.text(), action.text())));
        }
        let domains = constraint.get("minDomains");
        if domains.is_there() {
            if domains.number() <= 0 {
                check.invalid(&domains, "must be greater than zero");
            }
            if action.text() != "DoNotSchedule" {
                let detail = format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.text()
                );
                check.invalid(&domains, detail);
            }
        }
        for key in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.get(key);
            if policy.is_there() {
                check.one_of(&policy, &["Honor", "Ignore"]);
            }
        }
        metadata::selector(check, &constraint.get("labelSelector"));
    }
}

/// Which taints a Pod puts up with.
pub(super) fn tolerations(check: &mut Check, list: &At<'_>) {
    for toleration in list.items() {
        let (key, operator) = (toleration.text_of("key"), toleration.get("operator"));
        let value = go::quote(toleration.text_of("value"));
        if !key.is_empty() {
            metadata::label_key(check, &toleration.child("key"), key);
        } else if operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all \
                          values and all keys\"";
            check.invalid_text(&operator, detail);
        }
        let effect = toleration.get("effect");
        if toleration.get("tolerationSeconds").is_there() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            check.invalid_text(&effect, detail);
        }
        match operator.text() {
            "Equal" | "" => {
                let wrong = names::label_value(toleration.text_of("value"));
                if !wrong.is_empty() {
                    check.invalid_as(&*operator.path, &value, wrong.join(";"));
                }
            }
            "Exists" => {
                if !toleration.text_of("value").is_empty() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    check.invalid_as(&*operator.path, &value, detail);
                }
            }
            "Lt" | "Gt" => check.unsupported(&operator, &["Equal", "Exists", "Lt", "Gt"]),
            _ => check.unsupported(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            check.one_of(&effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}
