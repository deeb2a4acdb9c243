//! `rehearse --from-cluster`: a copy of a real cluster, made by somebody who may only read.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]
#![expect(clippy::disallowed_methods, reason = "reads and writes its own files")]

use std::path::Path;
use std::process::Command;

use control_plane::{ControlPlane, Result, condition, shared};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kubectl_overlay::output::{Console, Streams};
use kubectl_overlay::settings::Settings;
use serde_json::{Value, json};

const WEB: &str = "/apis/apps/v1/namespaces/copied/deployments/web";
const SECRET: &str = "/api/v1/namespaces/copied/secrets/key";
const THING: &str = "/apis/copy.example.org/v1/namespaces/copied/things/one";
const SERVICE: &str = "/api/v1/namespaces/copied/services/web";

/// Objects of several managers, and of a kind that is not built in.
fn furnish(plane: &ControlPlane) -> Result<()> {
    let object = |api_version: &str, kind: &str, name: &str, rest: Value| {
        let mut object = json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": name},
        });
        for (key, value) in rest.as_object().unwrap() {
            object[key] = value.clone();
        }
        object.to_string()
    };
    plane.apply("/api/v1/namespaces/copied", object("v1", "Namespace", "copied", json!({})))?;
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    let spec = json!({"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}});
    plane.apply(WEB, object("apps/v1", "Deployment", "web", spec))?;
    let scale = http::Request::patch(format!("{WEB}?fieldManager=scaler"))
        .header("content-type", "application/merge-patch+json")
        .body(br#"{"spec": {"replicas": 4}}"#.to_vec());
    assert_eq!(plane.exchange(scale.unwrap())?.status(), 200);
    plane.apply(SECRET, object("v1", "Secret", "key", json!({"stringData": {"a": "hidden"}})))?;
    let ports = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    plane.apply(SERVICE, object("v1", "Service", "web", ports))?;
    let definition = json!({"spec": {
        "group": "copy.example.org", "scope": "Namespaced",
        "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }}}],
    }});
    let name = "things.copy.example.org";
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    let group_version = "apiextensions.k8s.io/v1";
    plane.apply(&path, object(group_version, "CustomResourceDefinition", name, definition))?;
    plane.wait_for(&path, |object| condition(object, "Established"))?;
    plane.wait_for("/apis/copy.example.org/v1/namespaces/copied/things", |list| {
        list["items"].is_array()
    })?;
    plane
        .apply(THING, object("copy.example.org/v1", "Thing", "one", json!({"spec": {"a": "b"}})))?;
    // Whoever copies may read, and nothing else.
    let role =
        json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]});
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    let group_version = "rbac.authorization.k8s.io/v1";
    plane.apply(
        &format!("{roles}/clusterroles/reader"),
        object(group_version, "ClusterRole", "reader", role),
    )?;
    let binding = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest"}],
    });
    plane.apply(
        &format!("{roles}/clusterrolebindings/reader"),
        object(group_version, "ClusterRoleBinding", "reader", binding),
    )?;
    Ok(())
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs a rehearsal on a copy, and asks it for objects.
fn copy_of(kubeconfig: &Path, paths: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let (out, end) = (folder.path().join("out"), folder.path().join("end"));
    pipe(&out);
    pipe(&end);
    let settings = Settings {
        directory: folder.path().to_owned(),
        kubeconfig: Some(kubeconfig.into()),
        ..Settings::default()
    };
    let running = std::thread::spawn(move || {
        let console = Console::new(Streams {
            out: Box::new(std::io::sink()),
            err: Box::new(std::io::sink()),
            input: Box::new(std::io::empty()),
        });
        let script = "cat \"$KUBECONFIG\" > out; cat end";
        let script = format!("cd '{}'; {script}", settings.directory.display());
        let words = ["kubectl-overlay", "rehearse", "--from-cluster", "--", "sh", "-c", &script];
        kubectl_overlay::run(words.map(Into::into), &settings, &console)
    });
    let text = std::fs::read_to_string(&out).unwrap();
    let found = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        let mut found = Vec::new();
        for path in paths {
            let request = http::Request::get(*path).body(Vec::new()).unwrap();
            found.push(client.request::<Value>(request).await.unwrap());
        }
        found
    });
    std::fs::write(&end, "").unwrap();
    assert_eq!(running.join().unwrap(), 0);
    found
}

#[test]
fn a_cluster_is_copied_with_its_owners_and_only_read() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    furnish(plane)?;
    let paths = [WEB, SECRET, THING, SERVICE];
    let real = || paths.iter().map(|path| plane.get(path)).collect::<Result<Vec<_>>>();
    let before = real()?;
    let copied = copy_of(plane.guest_kubeconfig(), &paths);
    assert_eq!(real()?, before);
    for (mut copied, mut real) in copied.into_iter().zip(before) {
        for object in [&mut copied, &mut real] {
            object["metadata"]["resourceVersion"] = Value::Null;
            // Controllers go on with the copy.
            object["status"] = Value::Null;
            let owners = object["metadata"]["managedFields"].as_array_mut().unwrap();
            owners.retain(|entry| entry["subresource"] != "status");
            owners.retain(|entry| entry["manager"] != "kube-controller-manager");
            if let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") {
                annotations.retain(|name, _| !name.starts_with("deployment.kubernetes.io/"));
            }
            let metadata = object["metadata"].as_object_mut().unwrap();
            // The annotations of a Deployment count.
            metadata.remove("generation");
            metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        }
        assert_eq!(copied, real);
    }
    Ok(())
}
