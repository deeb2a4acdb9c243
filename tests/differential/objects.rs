//! Random Kubernetes objects, as people and odd tools write them.

use std::fmt::Write as _;

use crate::chance::Chance;
use crate::odd;

/// Few names, so that objects meet and refer to each other.
pub(crate) const NAMES: [&str; 8] =
    ["web", "api", "db", "cache", "e3", "worker-1", "a.b", "default"];

/// Few namespaces, for the same reason.
pub(crate) const NAMESPACES: [&str; 4] = ["shop", "default", "kube-system", "team-a"];

/// Kinds that are written with the fields below; the number says how often relative to the others.
pub(crate) const KINDS: [&str; 26] = [
    "Deployment",
    "Deployment",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Service",
    "Service",
    "ConfigMap",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Ingress",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
    "Namespace",
    "Pod",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "CustomResourceDefinition",
    "Widget",
];

/// Scalars that YAML 1.1, YAML 1.2 and JSON do not agree on, and texts that are hard to print.
const SCALARS: [&str; 58] = [
    "text",
    "1",
    "0",
    "-1",
    "010",
    "0x1F",
    "0o17",
    "1_000",
    "1.0",
    "1e3",
    "1e400",
    ".5",
    "12:30:45",
    "true",
    "yes",
    "on",
    "n",
    "Y",
    "null",
    "~",
    "''",
    "\"\"",
    "'null'",
    "\"1\"",
    "'yes'",
    "2001-12-14",
    "1.2.3",
    "a b",
    "'a: b'",
    "\"a\\nb\"",
    "\"a\\tb\"",
    "\"\\u00e9\"",
    "é",
    "日本",
    "\"\\U0001F600\"",
    "'#x'",
    "a#b",
    "'- x'",
    "'*a'",
    "'@a'",
    "'%a'",
    "\"{{ .x }}\"",
    "'  lead'",
    "\"trail \"",
    "18446744073709551616",
    "9007199254740993",
    "1234567.5",
    "123456789012345678",
    "0.1",
    "1e-7",
    "+1",
    "0b1",
    "08",
    "=",
    "<<x",
    "-x",
    "'-'",
    "long words that go on and on until the line is so long that it has to be folded somewhere near here, is it not",
];

/// A scalar as it is written.
pub(crate) fn scalar(chance: &mut Chance) -> String {
    if chance.percent(3) {
        return "|\n          first line\n\n            indented\n          last line".into();
    }
    chance.pick(&SCALARS).to_owned()
}

fn version(kind: &str) -> &'static str {
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => "apps/v1",
        "Job" | "CronJob" => "batch/v1",
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            "rbac.authorization.k8s.io/v1"
        }
        "NetworkPolicy" => "networking.k8s.io/v1",
        "PodDisruptionBudget" => "policy/v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        "Ingress" => "networking.k8s.io/v1",
        "HorizontalPodAutoscaler" => "autoscaling/v2",
        "Widget" => "example.com/v1alpha1",
        _ => "v1",
    }
}

/// `apiVersion` and `kind`, two lines.
pub(crate) fn head(kind: &str) -> String {
    format!("apiVersion: {}\nkind: {kind}\n", version(kind))
}

fn metadata(chance: &mut Chance, name: &str, out: &mut String) {
    let _ = writeln!(out, "metadata:\n  name: {name}");
    if chance.percent(25) {
        let _ = writeln!(out, "  namespace: {}", chance.pick(&NAMESPACES));
    }
    if chance.percent(40) {
        let _ = writeln!(
            out,
            "  labels:\n    app: {}\n    tier: \"{}\"",
            chance.pick(&NAMES),
            chance.below(3)
        );
        if chance.percent(10) {
            odd::entries(chance, 4, out);
        }
    }
    if chance.percent(25) {
        let _ = writeln!(out, "  annotations:\n    note: {}", scalar(chance));
        if chance.percent(20) {
            odd::entries(chance, 4, out);
        }
    } else if chance.percent(4) {
        out.push_str("  annotations: {}\n");
    }
}

/// A document.
pub(crate) fn object(chance: &mut Chance, kind: &str, name: &str) -> String {
    let mut out = head(kind);
    metadata(chance, name, &mut out);
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => workload(chance, &mut out),
        "Job" => {
            out.push_str("spec:\n  template:\n");
            pod(chance, 4, &mut out);
        }
        "CronJob" => {
            out.push_str(
                "spec:\n  schedule: '*/5 * * * *'\n  jobTemplate:\n    spec:\n      template:\n",
            );
            pod(chance, 8, &mut out);
        }
        "Service" => service(chance, &mut out),
        "ConfigMap" => data(chance, "data", &mut out),
        "Secret" => {
            let field = chance.pick(&["stringData", "data"]);
            data(chance, field, &mut out);
        }
        "Role" | "ClusterRole" => {
            let names = chance.pick(&NAMES);
            let _ = writeln!(
                out,
                "rules:\n- apiGroups: [\"\"]\n  resources: [configmaps]\n  resourceNames: [{names}]\n  verbs: [get]"
            );
        }
        "RoleBinding" | "ClusterRoleBinding" => binding(chance, &mut out),
        "Ingress" => {
            let service = chance.pick(&NAMES);
            let _ = writeln!(
                out,
                "spec:\n  rules:\n  - host: a.example.com\n    http:\n      paths:\n      - path: /\n        pathType: Prefix\n        backend:\n          service:\n            name: {service}\n            port: {{number: 80}}"
            );
        }
        "PersistentVolumeClaim" => {
            out.push_str("spec:\n  accessModes: [ReadWriteOnce]\n  resources:\n    requests:\n      storage: 1Gi\n");
        }
        "HorizontalPodAutoscaler" => {
            let target = chance.pick(&NAMES);
            let _ = writeln!(
                out,
                "spec:\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {target}\n  maxReplicas: 3"
            );
        }
        "Widget" => widget(chance, &mut out),
        "Pod" => {
            out.push_str("spec:\n");
            containers(chance, 0, &mut out);
        }
        "NetworkPolicy" => {
            let (app, other) = (chance.pick(&NAMES), chance.pick(&NAMES));
            let _ = writeln!(
                out,
                "spec:\n  podSelector:\n    matchLabels:\n      app: {app}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels: {{app: {other}}}"
            );
        }
        "PodDisruptionBudget" => {
            let app = chance.pick(&NAMES);
            let _ = writeln!(
                out,
                "spec:\n  minAvailable: 50%\n  selector:\n    matchLabels: {{app: {app}}}"
            );
        }
        "CustomResourceDefinition" => out.push_str(
            "spec:\n  group: example.com\n  names: {kind: Widget, plural: widgets}\n  scope: Namespaced\n",
        ),
        _ => {}
    }
    out
}

fn workload(chance: &mut Chance, out: &mut String) {
    out.push_str("spec:\n");
    if chance.percent(60) {
        let count = chance.pick(&["1", "3", "'2'", "0"]);
        let _ = writeln!(out, "  replicas: {count}");
    }
    let app = chance.pick(&NAMES);
    let _ = writeln!(out, "  selector:\n    matchLabels:\n      app: {app}\n  template:");
    pod(chance, 4, out);
}

/// A pod template's `metadata` and `spec` at an indent.
fn pod(chance: &mut Chance, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let app = chance.pick(&NAMES);
    let _ = writeln!(out, "{pad}metadata:\n{pad}  labels:\n{pad}    app: {app}\n{pad}spec:");
    containers(chance, indent, out);
}

/// What a pod's `spec` at an indent holds.
fn containers(chance: &mut Chance, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let _ = writeln!(out, "{pad}  containers:");
    for at in 0..=chance.below(2) {
        let image = chance.pick(&[
            "nginx",
            "nginx:1.25",
            "example.com/team/app:v1",
            "busybox@sha256:abc",
            "'redis:6'",
        ]);
        let _ = writeln!(out, "{pad}  - name: c{at}\n{pad}    image: {image}");
        if chance.percent(40) {
            let value = chance.pick(&["plain", "'1'", "\"yes\"", "$(X)"]);
            let map = chance.pick(&NAMES);
            let _ = writeln!(
                out,
                "{pad}    env:\n{pad}    - name: A\n{pad}      value: {value}\n{pad}    - name: B\n{pad}      valueFrom:\n{pad}        configMapKeyRef: {{name: {map}, key: k}}"
            );
        }
        if chance.percent(20) {
            let _ = writeln!(
                out,
                "{pad}    args: [{}, \"$(X)\", 'a $(X) b', $$(X), \"$(Y)\"]",
                chance.pick(&["1", "-v", "'yes'"])
            );
        }
        if chance.percent(30) {
            let _ = writeln!(
                out,
                "{pad}    envFrom:\n{pad}    - secretRef: {{name: {}}}",
                chance.pick(&NAMES)
            );
        }
        if chance.percent(40) {
            let protocol = if chance.percent(40) {
                format!("\n{pad}      protocol: TCP")
            } else {
                String::new()
            };
            let _ = writeln!(
                out,
                "{pad}    ports:\n{pad}    - containerPort: 80\n{pad}      name: http{protocol}"
            );
        }
        if chance.percent(25) {
            let _ = writeln!(out, "{pad}    volumeMounts:\n{pad}    - {{name: v, mountPath: /v}}");
        }
    }
    if chance.percent(30) {
        let map = chance.pick(&NAMES);
        let _ = writeln!(
            out,
            "{pad}  volumes:\n{pad}  - name: v\n{pad}    configMap:\n{pad}      name: {map}"
        );
    }
    if chance.percent(20) {
        let _ = writeln!(out, "{pad}  serviceAccountName: {}", chance.pick(&NAMES));
    }
}

fn service(chance: &mut Chance, out: &mut String) {
    out.push_str("spec:\n");
    if chance.percent(70) {
        let _ = writeln!(out, "  selector:\n    app: {}", chance.pick(&NAMES));
    }
    out.push_str("  ports:\n  - port: 80\n    targetPort: http\n");
    if chance.percent(40) {
        out.push_str("  - port: 443\n    name: https\n    protocol: TCP\n");
    }
}

fn data(chance: &mut Chance, field: &str, out: &mut String) {
    if chance.percent(10) {
        return;
    }
    let _ = writeln!(out, "{field}:");
    for key in ["k", "b.yaml", "A_b", "10", "2"].iter().take(1 + chance.below(5)) {
        let key = if key.starts_with(|c: char| c.is_ascii_digit()) {
            format!("'{key}'")
        } else {
            (*key).to_owned()
        };
        let _ = writeln!(out, "  {key}: {}", scalar(chance));
    }
    if chance.percent(15) {
        odd::entries(chance, 2, out);
    }
    if chance.percent(15) {
        let text = chance.pick(&STRUCTURED);
        let _ = writeln!(out, "  c.yaml: |");
        text.lines().for_each(|line| {
            let _ = writeln!(out, "    {line}");
        });
    }
}

/// Texts with fields `x.y` and `l`.
const STRUCTURED: [&str; 6] = [
    "x: {y: 1, z: [a, b]}\nl: [1, 2]",
    "# top\nx: &x # of x\n  y: old # of y\n  z: 'q'\nl:\n- *x\n- &l two\nm: *l",
    "{\"x\": {\"y\": 1}, \"l\": [1]}",
    "{\n  \"l\": [true],\n  \"x\": {\"y\": \"1\"}\n}",
    "base: &base\n  a: 1\nx:\n  <<: *base\n  y: !!str 5\nl: &l\n- a: b\n  c: d",
    "x:\n  y: |\n    text\n  z: >-\n    a\n    b\nl: []",
];

fn binding(chance: &mut Chance, out: &mut String) {
    let (role, account, namespace) =
        (chance.pick(&NAMES), chance.pick(&NAMES), chance.pick(&NAMESPACES));
    let kind = chance.pick(&["Role", "ClusterRole"]);
    let _ = writeln!(
        out,
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {role}\nsubjects:\n- kind: ServiceAccount\n  name: {account}\n  namespace: {namespace}"
    );
}

fn widget(chance: &mut Chance, out: &mut String) {
    out.push_str("spec:\n");
    for key in ["a", "B", "c d", "'1'", "x10", "x9"].iter().take(2 + chance.below(5)) {
        let _ = writeln!(out, "  {key}: {}", scalar(chance));
    }
    if chance.percent(50) {
        let (first, second) = (scalar(chance), chance.pick(&SCALARS));
        let _ = writeln!(
            out,
            "  list:\n  - {first}\n  - [{}, {{}}]\n  - name: {second}",
            chance.below(9)
        );
    }
    if chance.percent(25) {
        odd::entries(chance, 2, out);
    }
    if chance.percent(20) {
        out.push_str(
            "  anchored: &x {p: 1, q: two}\n  alias: *x\n  merged:\n    <<: *x\n    q: 3\n",
        );
    }
}
