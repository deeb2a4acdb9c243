//! The chart: what it renders to, and what it refuses.

use std::path::PathBuf;
use std::process::{Command, Output};

use clap::Parser;
use overlay_webhook::config::{Config, TlsMode, Unknown};
use serde::Deserialize;
use serde_json::{Value, json};

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/overlay-webhook");

/// `helm`, from the path or from where `tests/peers.sh` puts it.
fn helm() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(cache.iter().flat_map(|cache| {
        ["overlay-test-peers", "overlay-peers/bin"].map(|name| cache.join(name))
    }));
    let found = folders.map(|folder| folder.join("helm")).find(|helm| helm.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "helm is needed: run tests/peers.sh");
        eprintln!("SKIPPED: there is no helm (tests/peers.sh brings it)");
    }
    found
}

fn run(helm: &PathBuf, arguments: &[&str]) -> Output {
    let home = std::env::temp_dir();
    let mut command = Command::new(helm);
    // Nobody's plugins and repositories.
    command.args(arguments).env("HELM_PLUGINS", home.join("none")).env_remove("KUBECONFIG");
    command.output().unwrap()
}

/// The objects that the chart renders to with these values.
fn template(helm: &PathBuf, values: &[&str]) -> Vec<Value> {
    let mut arguments = vec![
        "template",
        "release",
        CHART,
        "--namespace",
        "overlay-system",
        "--kube-version",
        "1.36.0",
    ];
    arguments.extend(values.iter().flat_map(|value| ["--set", value]));
    let output = run(helm, &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

fn refused(helm: &PathBuf, value: &str) -> String {
    let output = run(helm, &["template", "release", CHART, "--set", value]);
    assert!(!output.status.success(), "{value} is accepted");
    String::from_utf8(output.stderr).unwrap()
}

fn one<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let one = found.next().unwrap_or_else(|| panic!("there is no {kind}"));
    assert!(found.next().is_none(), "there is more than one {kind}");
    one
}

/// The command line of the container, as the webhook itself reads it.
fn config(objects: &[Value]) -> Config {
    let container = &one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    let arguments =
        container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    Config::try_parse_from(std::iter::once("overlay-webhook").chain(arguments)).unwrap()
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let Some(helm) = helm() else { return };
    for mode in ["self", "certManager"] {
        let output = run(&helm, &["lint", "--strict", CHART, "--set", &format!("tls.mode={mode}")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_webhook_understands_its_arguments() {
    let Some(helm) = helm() else { return };
    let config_of = |values: &[&str]| config(&template(&helm, values));
    let standard = config_of(&[]);
    assert_eq!(standard.tls_mode, TlsMode::SelfMade);
    assert_eq!(standard.unknown, Unknown::Warn);
    assert_eq!(standard.service, "release-overlay-webhook");
    assert_eq!(standard.artifact_hosts.len(), 3);
    let other = config_of(&[
        "tls.mode=certManager",
        "webhook.unknown=deny",
        "webhook.timeoutSeconds=30",
        "sources.noCrossNamespaceRefs=true",
        "sources.artifactHosts={source.example:9090}",
        "tls.clientCA.configMapName=clients",
        "extraArgs={--renders=4,--timeout=7}",
    ]);
    assert_eq!(other.tls_mode, TlsMode::Files);
    assert_eq!(other.unknown, Unknown::Deny);
    assert!(other.no_cross_namespace_refs);
    assert_eq!(other.artifact_hosts, ["source.example:9090".parse().unwrap()]);
    assert!(other.client_ca.is_some());
    // The last one counts, so that extraArgs can change anything.
    assert_eq!((other.renders, other.timeout.as_secs()), (4, 7));
}

#[test]
fn the_api_server_is_told_where_and_what_to_ask() {
    let Some(helm) = helm() else { return };
    let objects = template(&helm, &["webhook.excludedNamespaces={a,b}"]);
    let configuration = one(&objects, "ValidatingWebhookConfiguration");
    let webhook = &configuration["webhooks"][0];
    let service = one(&objects, "Service");
    assert_eq!(webhook["clientConfig"]["service"]["name"], service["metadata"]["name"]);
    assert_eq!(webhook["clientConfig"]["service"]["port"], service["spec"]["ports"][0]["port"]);
    assert_eq!(webhook["clientConfig"]["service"]["path"], "/validate");
    assert_eq!(webhook["rules"][0]["operations"], json!(["CREATE", "UPDATE"]));
    assert_eq!(webhook["rules"][0]["resources"], json!(["kustomizations"]));
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["failurePolicy"], "Ignore");
    let left_out = &webhook["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(left_out["operator"], "NotIn");
    assert_eq!(left_out["values"], json!(["overlay-system", "a", "b"]));
    // In mode self the webhook writes it, and nobody else may.
    assert!(webhook["clientConfig"].get("caBundle").is_none());
}

#[test]
fn selectors_find_the_pods() {
    let Some(helm) = helm() else { return };
    let objects = template(&helm, &[]);
    let deployment = one(&objects, "Deployment");
    let labels = deployment["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &one(&objects, "Service")["spec"]["selector"],
        &one(&objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        &one(&objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty());
        for (key, value) in selector {
            assert_eq!(labels.get(key), Some(value), "{key}");
        }
    }
}

#[test]
fn pods_are_restricted() {
    let Some(helm) = helm() else { return };
    let objects = template(&helm, &[]);
    let pod = &one(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
    let before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let config = config(&objects);
    let drain = (config.drain_delay + config.drain_timeout).as_secs();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > before + drain);
}

#[test]
fn rights_are_the_least() {
    let Some(helm) = helm() else { return };
    let objects = template(&helm, &[]);
    let rules = one(&objects, "ClusterRole")["rules"].as_array().unwrap();
    assert_eq!(rules[0]["verbs"], json!(["get"]));
    let configuration = &one(&objects, "ValidatingWebhookConfiguration")["metadata"]["name"];
    assert_eq!(rules[1]["resourceNames"], json!([configuration]));
    let secrets = &one(&objects, "Role")["rules"][1];
    assert_eq!(secrets["resourceNames"], json!([config(&objects).ca_secret]));
    let everything = serde_json::to_string(rules).unwrap();
    assert!(!everything.contains("\"*\"") && !everything.contains("secrets"));
    // With certificates of somebody else there is nothing to write.
    let objects = template(&helm, &["tls.mode=certManager"]);
    assert_eq!(one(&objects, "ClusterRole")["rules"].as_array().unwrap().len(), 1);
    assert!(objects.iter().all(|object| object["kind"] != "Role"));
}

#[test]
fn certificates_may_come_from_elsewhere() {
    let Some(helm) = helm() else { return };
    let own = template(&helm, &["tls.mode=certManager"]);
    assert_eq!(own.iter().filter(|object| object["kind"] == "Issuer").count(), 2);
    let theirs = template(&helm, &["tls.mode=certManager", "tls.certManager.issuerRef.name=ours"]);
    let certificate = one(&theirs, "Certificate");
    assert_eq!(certificate["spec"]["issuerRef"]["name"], "ours");
    let volume = &one(&theirs, "Deployment")["spec"]["template"]["spec"]["volumes"][0];
    assert_eq!(volume["secret"]["secretName"], certificate["spec"]["secretName"]);
    let annotations = &one(&theirs, "ValidatingWebhookConfiguration")["metadata"]["annotations"];
    assert_eq!(
        annotations["cert-manager.io/inject-ca-from"],
        "overlay-system/release-overlay-webhook"
    );
    let existing = template(
        &helm,
        &[
            "tls.mode=existingSecret",
            "tls.existingSecret.name=mine",
            "tls.existingSecret.caBundle=eA==",
        ],
    );
    let webhook = &one(&existing, "ValidatingWebhookConfiguration")["webhooks"][0];
    assert_eq!(webhook["clientConfig"]["caBundle"], "eA==");
}

#[test]
fn values_that_are_none_are_refused() {
    let Some(helm) = helm() else { return };
    for value in [
        "replicas=3",
        "tls.mode=none",
        "webhook.failurePolicy=ignore",
        "webhook.timeoutSeconds=31",
        "replicaCount=two",
        "extraArgs={timeout}",
    ] {
        assert!(refused(&helm, value).contains("schema"), "{value}");
    }
    assert!(refused(&helm, "tls.mode=existingSecret").contains("tls.existingSecret"));
}
