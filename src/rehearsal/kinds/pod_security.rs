//! Pod Security: what a namespace lets its Pods do.
//!
//! Source: pod-security-admission 0.36 `policy/check_*.go`, `admission/admission.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::check::{At, Check};
use super::go;
use crate::rehearsal::{Failure, Kind};

/// How much Pods may do, from most to least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level, as some version of Kubernetes defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    level: Level,
    /// `None` is the latest.
    minor: Option<u32>,
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.minor {
            Some(minor) => write!(f, "{level}:v1.{minor}"),
            None => write!(f, "{level}:latest"),
        }
    }
}

/// What a namespace's labels say.
struct Policies {
    enforce: Policy,
    warn: Policy,
    /// Labels that cannot be read.
    wrong: Check,
}

const PREFIX: &str = "pod-security.kubernetes.io/";

fn policies(labels: &Value) -> Policies {
    let mut wrong = Check::default();
    let text = |name: &str| labels.get(format!("{PREFIX}{name}")).and_then(Value::as_str);
    let mut level = |name: &str, otherwise: Level| match text(name) {
        None => (Level::Privileged, false),
        Some("privileged") => (Level::Privileged, true),
        Some("baseline") => (Level::Baseline, true),
        Some("restricted") => (Level::Restricted, true),
        Some(other) => {
            let detail = "must be one of privileged, baseline, restricted";
            let path = format!("metadata.labels[{PREFIX}{name}]");
            wrong.invalid_as(path, go::quote(other), detail);
            (otherwise, false)
        }
    };
    let (enforce, enforced) = level("enforce", Level::Restricted);
    let (_, _) = level("audit", Level::Privileged);
    let (mut warn, _) = level("warn", Level::Privileged);
    let mut minor = |name: &str| -> Option<u32> {
        let text = text(name)?;
        if text == "latest" {
            return None;
        }
        let minor = text.strip_prefix("v1.").and_then(|minor| minor.parse().ok());
        if minor.is_none() {
            let path = format!("metadata.labels[{PREFIX}{name}]");
            wrong.invalid_as(path, go::quote(text), "must be \"latest\" or \"v1.x\"");
        }
        minor
    };
    let enforce_minor = minor("enforce-version");
    let _ = minor("audit-version");
    let mut warn_minor = minor("warn-version");
    // Who enforces is warned too, unless he says otherwise.
    if text("warn").is_none() && enforced && enforce > warn {
        warn = enforce;
        if text("warn-version").is_none() {
            warn_minor = enforce_minor;
        }
    }
    Policies {
        enforce: Policy { level: enforce, minor: enforce_minor },
        warn: Policy { level: warn, minor: warn_minor },
        wrong,
    }
}

/// The metadata and the spec of the Pods that an object is, or makes.
fn pod_of<'a>(kind: &Kind, object: &'a Value) -> Option<(&'a Value, &'a Value)> {
    let holder = match kind.pair() {
        ("", "Pod") => object,
        ("", "PodTemplate") => &object["template"],
        ("apps", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => &object["spec"]["template"],
        ("batch", "CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => return None,
    };
    holder["spec"].is_object().then(|| (&holder["metadata"], &holder["spec"]))
}

/// Checks a Pod, or the template of a workload, against the Pod Security labels of its namespace,
/// and returns the warnings. Comes after the validation.
///
/// # Errors
/// 403 with the server's text, where a Pod violates what is enforced.
pub fn check_pod_security(
    kind: &Kind,
    new: &Value,
    old: Option<&Value>,
    namespace: &Value,
) -> Result<Vec<String>, Failure> {
    let Some((metadata, spec)) = pod_of(kind, new) else { return Ok(Vec::new()) };
    let is_pod = kind.pair() == ("", "Pod");
    if is_pod && old.is_some_and(|old| same_images(spec, &old["spec"])) {
        return Ok(Vec::new());
    }
    let policies = policies(&namespace["metadata"]["labels"]);
    if is_pod {
        let found = violations(policies.enforce, metadata, spec);
        if !found.is_empty() {
            let name = new["metadata"]["name"].as_str().unwrap_or_default();
            let message =
                format!("violates PodSecurity \"{}\": {}", policies.enforce, detail(&found));
            return Err(super::admission::forbidden("pods", name, &message));
        }
    }
    let found = violations(policies.warn, metadata, spec);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!("would violate PodSecurity \"{}\": {}", policies.warn, detail(&found))])
}

/// Checks the labels of a Namespace, and the Pods that it has against a level that it is to enforce
/// from now on; returns the warnings.
///
/// # Errors
/// 422 where a label cannot be read.
pub fn check_namespace_security(
    new: &Value,
    old: Option<&Value>,
    pods: &[Value],
) -> Result<Vec<String>, Failure> {
    let after = policies(&new["metadata"]["labels"]);
    let before = old.map(|old| policies(&old["metadata"]["labels"]));
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    let known = before.as_ref().is_some_and(|old| old.wrong.causes == after.wrong.causes);
    if !after.wrong.causes.is_empty() && !known {
        return Err(Failure::invalid("", "Namespace", name, &after.wrong.causes));
    }
    let Some(before) = before else { return Ok(Vec::new()) };
    let (now, then) = (after.enforce, before.enforce);
    if now == then
        || now.level == Level::Privileged
        || (now.minor == then.minor && now.level <= then.level)
    {
        return Ok(Vec::new());
    }
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in pods {
        let list = violations(now, &pod["metadata"], &pod["spec"]);
        if !list.is_empty() {
            let reasons: Vec<_> = list.iter().map(|violation| &*violation.reason).collect();
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            found.entry(reasons.join(", ")).or_default().push(name);
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut list: Vec<_> = found
        .into_iter()
        .map(|(reasons, mut names)| {
            names.sort_unstable();
            match *names {
                [name] => format!("{name}: {reasons}"),
                [name, _] => format!("{name} (and 1 other pod): {reasons}"),
                _ => format!("{} (and {} other pods): {reasons}", names[0], names.len() - 1),
            }
        })
        .collect();
    list.sort_unstable();
    list.insert(
        0,
        format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level \"{now}\""),
    );
    Ok(list)
}

fn same_images(new: &Value, old: &Value) -> bool {
    let images = |spec: &Value| -> Vec<Vec<Value>> {
        ["containers", "initContainers", "ephemeralContainers"]
            .iter()
            .map(|list| {
                let list = spec[*list].as_array().into_iter().flatten();
                list.map(|container| container["image"].clone()).collect()
            })
            .collect()
    };
    images(new) == images(old)
}

/// What a Pod does that it may not.
struct Violation {
    reason: String,
    detail: String,
}

fn detail(list: &[Violation]) -> String {
    let shown = |violation: &Violation| match &*violation.detail {
        "" => violation.reason.clone(),
        detail => format!("{} ({detail})", violation.reason),
    };
    list.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn quoted<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> String {
    let list: Vec<_> = list.into_iter().map(|text| format!("\"{}\"", text.as_ref())).collect();
    list.join(", ")
}

fn containers_named(names: &[&str]) -> String {
    let word = if names.len() == 1 { "container" } else { "containers" };
    format!("{word} {}", quoted(names))
}

/// A Pod as the checks see it.
struct Subject<'a> {
    metadata: At<'a>,
    spec: At<'a>,
    context: At<'a>,
    containers: Vec<At<'a>>,
    minor: u32,
}

impl<'a> Subject<'a> {
    /// The names of the containers for whose security context something holds.
    fn named(&self, holds: impl Fn(&At<'a>) -> bool) -> Vec<&'a str> {
        self.containers
            .iter()
            .filter(|container| holds(&container.get("securityContext")))
            .map(|container| container.text_of("name"))
            .collect()
    }

    fn windows(&self) -> bool {
        self.minor >= 25 && self.spec.get("os").text_of("name") == "windows"
    }

    /// A Pod in a user namespace of its own may do more within it.
    fn own_users(&self) -> bool {
        self.minor >= 35 && self.spec.value.get("hostUsers") == Some(&Value::Bool(false))
    }
}

/// The newest definition of the levels.
const LATEST: u32 = 36;

fn violations(policy: Policy, metadata: &Value, spec: &Value) -> Vec<Violation> {
    if policy.level == Level::Privileged {
        return Vec::new();
    }
    let spec = At::root(spec);
    let containers = ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .flat_map(|list| spec.get(list).items())
        .collect();
    let subject = Subject {
        metadata: At::root(metadata),
        context: spec.get("securityContext"),
        spec,
        containers,
        minor: policy.minor.unwrap_or(LATEST),
    };
    let restricted = policy.level == Level::Restricted;
    let minor = subject.minor;
    let mut found = Vec::new();
    // In the order of the checks' names, baseline first.
    app_armor(&mut found, &subject);
    if !(restricted && minor >= 22) {
        capabilities(&mut found, &subject);
    }
    host_namespaces(&mut found, &subject);
    if !restricted {
        host_paths(&mut found, &subject);
    }
    host_ports(&mut found, &subject);
    if minor >= 34 {
        probe_hosts(&mut found, &subject);
    }
    privileged(&mut found, &subject);
    if !subject.own_users() {
        proc_mount(&mut found, &subject);
    }
    se_linux(&mut found, &subject);
    if !restricted && minor >= 19 {
        seccomp(&mut found, &subject, false);
    }
    sysctls(&mut found, &subject);
    host_process(&mut found, &subject);
    if !restricted {
        return found;
    }
    if minor >= 8 && !subject.windows() {
        escalation(&mut found, &subject);
    }
    if minor >= 22 && !subject.windows() {
        dropped_capabilities(&mut found, &subject);
    }
    volumes(&mut found, &subject);
    if !subject.own_users() {
        non_root(&mut found, &subject);
        if minor >= 23 {
            root_user(&mut found, &subject);
        }
    }
    if minor >= 19 && !subject.windows() {
        seccomp(&mut found, &subject, true);
    }
    found
}

fn add(found: &mut Vec<Violation>, reason: &str, detail: String) {
    found.push(Violation { reason: reason.to_owned(), detail });
}

fn app_armor(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let bad = |context: &At<'_>| {
        let kind = context.get("appArmorProfile").get("type");
        kind.is_there() && !matches!(kind.text(), "RuntimeDefault" | "Localhost")
    };
    let mut values = BTreeSet::new();
    let mut setters = Vec::new();
    let kind = |context: &At<'_>| context.get("appArmorProfile").text_of("type").to_owned();
    if bad(&subject.context) {
        setters.push("pod".to_owned());
        values.insert(kind(&subject.context));
    }
    let names = subject.named(bad);
    if !names.is_empty() {
        setters.push(containers_named(&names));
        let contexts = subject.containers.iter().map(|one| one.get("securityContext"));
        values.extend(contexts.filter(bad).map(|context| kind(&context)));
    }
    let mut shown: Vec<String> = values.into_iter().collect();
    let allowed =
        |value: &str| matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
    let annotations = subject.metadata.get("annotations");
    let forbidden: Vec<_> = annotations
        .entries()
        .into_iter()
        .filter(|(key, _)| key.starts_with("container.apparmor.security.beta.kubernetes.io/"))
        .map(|(key, value)| (key, value.as_str().unwrap_or_default()))
        .filter(|(_, value)| !allowed(value))
        .map(|(key, value)| format!("{key}={}", go::quote(value)))
        .collect();
    if !forbidden.is_empty() {
        setters.push(if forbidden.len() == 1 { "annotation" } else { "annotations" }.to_owned());
        shown.extend(forbidden);
    }
    if !setters.is_empty() {
        let plural = if shown.len() == 1 { "" } else { "s" };
        add(
            found,
            &format!("forbidden AppArmor profile{plural}"),
            format!(
                "{} must not set AppArmor profile type to {}",
                setters.join(" and "),
                quoted(shown)
            ),
        );
    }
}

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add other capabilities than these, and which.
fn added<'a>(subject: &Subject<'a>, allowed: &[&str]) -> (Vec<&'a str>, BTreeSet<&'a str>) {
    let extra = |context: &At<'a>| -> Vec<&'a str> {
        let list = context.get("capabilities").get("add");
        list.items().map(|one| one.text()).filter(|name| !allowed.contains(name)).collect()
    };
    let names = subject.named(|context| !extra(context).is_empty());
    let all = subject.containers.iter().flat_map(|one| extra(&one.get("securityContext")));
    (names, all.collect())
}

fn capabilities(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let (names, extra) = added(subject, CAPABILITIES);
    if !names.is_empty() {
        let detail = format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers_named(&names),
            quoted(extra)
        );
        add(found, "non-default capabilities", detail);
    }
}

fn dropped_capabilities(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let kept = subject.named(|context| {
        !context.get("capabilities").get("drop").items().any(|one| one.text() == "ALL")
    });
    let mut details = Vec::new();
    if !kept.is_empty() {
        details.push(format!(
            "{} must set securityContext.capabilities.drop=[\"ALL\"]",
            containers_named(&kept)
        ));
    }
    let (names, extra) = added(subject, &["NET_BIND_SERVICE"]);
    if !names.is_empty() {
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers_named(&names),
            quoted(extra)
        ));
    }
    if !details.is_empty() {
        add(found, "unrestricted capabilities", details.join("; "));
    }
}

fn host_namespaces(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let list: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .iter()
        .filter(|key| subject.spec.get(key).is_true())
        .map(|key| format!("{key}=true"))
        .collect();
    if !list.is_empty() {
        add(found, "host namespaces", list.join(", "));
    }
}

fn host_paths(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let volumes = subject.spec.get("volumes");
    let names: Vec<_> = volumes
        .items()
        .filter(|volume| volume.get("hostPath").is_there())
        .map(|volume| volume.text_of("name"))
        .collect();
    if !names.is_empty() {
        let word = if names.len() == 1 { "volume" } else { "volumes" };
        add(found, "hostPath volumes", format!("{word} {}", quoted(names)));
    }
}

fn host_ports(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let ports = |container: &At<'_>| -> Vec<String> {
        let list = container.get("ports");
        let list = list.items().map(|port| port.get("hostPort").number());
        list.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let bad: Vec<_> = subject.containers.iter().filter(|one| !ports(one).is_empty()).collect();
    let names: Vec<_> = bad.iter().map(|one| one.text_of("name")).collect();
    let ports: BTreeSet<_> = bad.iter().flat_map(|one| ports(one)).collect();
    if !names.is_empty() {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let word = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
        let list = ports.into_iter().collect::<Vec<_>>().join(", ");
        add(found, "hostPort", format!("{} {verb} {word} {list}", containers_named(&names)));
    }
}

fn probe_hosts(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let hosts = |container: &At<'_>| -> Vec<String> {
        let lifecycle = container.get("lifecycle");
        let handlers = ["livenessProbe", "readinessProbe", "startupProbe"]
            .map(|probe| container.get(probe))
            .into_iter()
            .chain(["postStart", "preStop"].map(|hook| lifecycle.get(hook)));
        handlers
            .flat_map(|handler| {
                ["httpGet", "tcpSocket"].map(|key| handler.get(key).text_of("host").to_owned())
            })
            .filter(|host| !host.is_empty())
            .collect()
    };
    let bad: Vec<_> = subject.containers.iter().filter(|one| !hosts(one).is_empty()).collect();
    let names: BTreeSet<_> = bad.iter().map(|one| one.text_of("name")).collect();
    let names: Vec<_> = names.into_iter().collect();
    let hosts: BTreeSet<_> = bad.iter().flat_map(|one| hosts(one)).collect();
    if !names.is_empty() {
        let verb = if names.len() == 1 { "uses" } else { "use" };
        let plural = if hosts.len() == 1 { "" } else { "s" };
        let detail = format!(
            "{} {verb} probe or lifecycle host{plural} {}",
            containers_named(&names),
            quoted(hosts)
        );
        add(found, "probe or lifecycle host", detail);
    }
}

fn privileged(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let names = subject.named(|context| context.get("privileged").is_true());
    if !names.is_empty() {
        let detail =
            format!("{} must not set securityContext.privileged=true", containers_named(&names));
        add(found, "privileged", detail);
    }
}

fn proc_mount(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let bad = |context: &At<'_>| {
        let mount = context.get("procMount");
        mount.is_there() && mount.text() != "Default"
    };
    let names = subject.named(bad);
    let contexts = subject.containers.iter().map(|one| one.get("securityContext"));
    let values: BTreeSet<_> =
        contexts.filter(bad).map(|context| context.text_of("procMount").to_owned()).collect();
    if !names.is_empty() {
        let detail = format!(
            "{} must not set securityContext.procMount to {}",
            containers_named(&names),
            quoted(values)
        );
        add(found, "procMount", detail);
    }
}

fn se_linux(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let engine = subject.minor >= 31;
    let allowed = |kind: &str| {
        matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t")
            || (engine && kind == "container_engine_t")
    };
    fn options<'a>(context: &At<'a>) -> At<'a> {
        context.get("seLinuxOptions")
    }
    let bad = |context: &At<'_>| {
        let options = options(context);
        !allowed(options.text_of("type"))
            || !options.text_of("user").is_empty()
            || !options.text_of("role").is_empty()
    };
    let mut setters = Vec::new();
    if bad(&subject.context) {
        setters.push("pod".to_owned());
    }
    let names = subject.named(bad);
    if !names.is_empty() {
        setters.push(containers_named(&names));
    }
    if setters.is_empty() {
        return;
    }
    let contexts: Vec<_> = std::iter::once(subject.context.clone())
        .chain(subject.containers.iter().map(|one| one.get("securityContext")))
        .map(|context| options(&context))
        .collect();
    let kinds: BTreeSet<_> = contexts
        .iter()
        .map(|options| options.text_of("type"))
        .filter(|kind| !allowed(kind))
        .collect();
    let mut data = Vec::new();
    if !kinds.is_empty() {
        let word = if kinds.len() == 1 { "type" } else { "types" };
        data.push(format!("{word} {}", quoted(kinds)));
    }
    for key in ["user", "role"] {
        if contexts.iter().any(|options| !options.text_of(key).is_empty()) {
            data.push(format!("{key} may not be set"));
        }
    }
    let detail = format!(
        "{} set forbidden securityContext.seLinuxOptions: {}",
        setters.join(" and "),
        data.join("; ")
    );
    add(found, "seLinuxOptions", detail);
}

fn seccomp(found: &mut Vec<Violation>, subject: &Subject<'_>, must: bool) {
    fn kind<'a>(context: &At<'a>) -> At<'a> {
        context.get("seccompProfile").get("type")
    }
    let there = |context: &At<'_>| context.get("seccompProfile").is_there();
    let good = |context: &At<'_>| matches!(kind(context).text(), "Localhost" | "RuntimeDefault");
    let bad = |context: &At<'_>| there(context) && !good(context);
    let mut setters = Vec::new();
    let mut values = BTreeSet::new();
    if bad(&subject.context) {
        setters.push("pod".to_owned());
        values.insert(kind(&subject.context).text());
    }
    let names = subject.named(bad);
    if !names.is_empty() {
        setters.push(containers_named(&names));
        let contexts = subject.containers.iter().map(|one| one.get("securityContext"));
        values.extend(contexts.filter(bad).map(|context| kind(&context).text()));
    }
    if !setters.is_empty() {
        let detail = format!(
            "{} must not set securityContext.seccompProfile.type to {}",
            setters.join(" and "),
            quoted(values)
        );
        return add(found, "seccompProfile", detail);
    }
    let pod = there(&subject.context);
    let silent = subject.named(|context| !there(context) && !pod);
    if must && !silent.is_empty() {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \
             \"Localhost\"",
            containers_named(&silent)
        );
        add(found, "seccompProfile", detail);
    }
}

/// Kernel parameters that do not reach beyond the Pod, and the minor from which they are known so.
const SYSCTLS: &[(&str, u32)] = &[
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

fn sysctls(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let list = subject.context.get("sysctls");
    let bad: Vec<_> = list
        .items()
        .map(|sysctl| sysctl.text_of("name"))
        .filter(|name| {
            !SYSCTLS.iter().any(|(known, since)| known == name && *since <= subject.minor)
        })
        .collect();
    if !bad.is_empty() {
        add(found, "forbidden sysctls", bad.join(", "));
    }
}

fn host_process(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let bad = |context: &At<'_>| context.get("windowsOptions").get("hostProcess").is_true();
    let mut setters = Vec::new();
    if bad(&subject.context) {
        setters.push("pod".to_owned());
    }
    let names = subject.named(bad);
    if !names.is_empty() {
        setters.push(containers_named(&names));
    }
    if !setters.is_empty() {
        let detail = format!(
            "{} must not set securityContext.windowsOptions.hostProcess=true",
            setters.join(" and ")
        );
        add(found, "hostProcess", detail);
    }
}

fn escalation(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let key = "allowPrivilegeEscalation";
    let names = subject.named(|context| context.value.get(key) != Some(&Value::Bool(false)));
    if !names.is_empty() {
        let detail = format!("{} must set securityContext.{key}=false", containers_named(&names));
        add(found, "allowPrivilegeEscalation != false", detail);
    }
}

fn volumes(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let volumes = subject.spec.get("volumes");
    let bad: Vec<_> = volumes
        .items()
        .filter(|volume| !allowed.iter().any(|key| volume.get(key).is_there()))
        .collect();
    let kinds: BTreeSet<_> = bad
        .iter()
        .map(|volume| {
            let source =
                volume.entries().into_iter().map(|(key, _)| key).find(|key| *key != "name");
            source.unwrap_or("unknown")
        })
        .collect();
    if !bad.is_empty() {
        let (word, verb) = if bad.len() == 1 { ("volume", "uses") } else { ("volumes", "use") };
        let plural = if kinds.len() == 1 { "" } else { "s" };
        let detail = format!(
            "{word} {} {verb} restricted volume type{plural} {}",
            quoted(bad.iter().map(|volume| volume.text_of("name"))),
            quoted(kinds)
        );
        add(found, "restricted volume types", detail);
    }
}

fn non_root(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let key = "runAsNonRoot";
    let says = |context: &At<'_>, what: bool| context.value.get(key) == Some(&Value::Bool(what));
    let mut setters = Vec::new();
    if says(&subject.context, false) {
        setters.push("pod".to_owned());
    }
    let names = subject.named(|context| says(context, false));
    if !names.is_empty() {
        setters.push(containers_named(&names));
    }
    if !setters.is_empty() {
        let detail = format!("{} must not set securityContext.{key}=false", setters.join(" and "));
        return add(found, "runAsNonRoot != true", detail);
    }
    let pod = says(&subject.context, true);
    let silent = subject.named(|context| !context.get(key).is_there() && !pod);
    if !silent.is_empty() {
        let detail =
            format!("pod or {} must set securityContext.{key}=true", containers_named(&silent));
        add(found, "runAsNonRoot != true", detail);
    }
}

fn root_user(found: &mut Vec<Violation>, subject: &Subject<'_>) {
    let bad = |context: &At<'_>| {
        let user = context.get("runAsUser");
        user.is_there() && user.number() == 0
    };
    let mut setters = Vec::new();
    if bad(&subject.context) {
        setters.push("pod".to_owned());
    }
    let names = subject.named(bad);
    if !names.is_empty() {
        setters.push(containers_named(&names));
    }
    if !setters.is_empty() {
        add(found, "runAsUser=0", format!("{} must not set runAsUser=0", setters.join(" and ")));
    }
}
