//! The servers work together: what later tests build on.

use std::time::Instant;

use control_plane::{ControlPlane, GitServer, LONGEST, Result, condition, shared};
use serde_json::{Value, json};

const NGINX: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: nginx
spec:
  replicas: 2
  selector:
    matchLabels:
      app: nginx
  template:
    metadata:
      labels:
        app: nginx
    spec:
      containers:
      - name: nginx
        image: nginx
";

#[test]
fn a_deployment_becomes_available_by_itself() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    plane.start_nodes()?;
    let namespace = plane.namespace("deployment")?;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/nginx");
    plane.apply(&path, NGINX)?;
    let deployment = plane.wait_for(&path, |object| condition(object, "Available"))?;
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    Ok(())
}

#[test]
fn guest_may_do_nothing_until_bound_to_a_role() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let namespace = plane.namespace("guest")?;
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let refusal = plane.get_with_token(plane.guest_token(), &path).unwrap_err().to_string();
    assert!(
        refusal.contains("configmaps is forbidden: User \"guest\" cannot list resource"),
        "{refusal}"
    );
    plane.apply(
        &format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/guest"),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "guest"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest"}],
        })
        .to_string(),
    )?;
    let deadline = Instant::now() + LONGEST;
    while let Err(error) = plane.get_with_token(plane.guest_token(), &path) {
        assert!(Instant::now() < deadline, "{error}");
    }
    Ok(())
}

#[test]
fn a_token_that_the_server_does_not_know_is_refused() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let error = plane.get_with_token("expired", "/api/v1/namespaces").unwrap_err().to_string();
    assert!(error.contains("Unauthorized"), "{error}");
    Ok(())
}

#[test]
fn a_killed_server_comes_back_with_what_it_had() -> Result<()> {
    let Some(shared) = shared() else { return Ok(()) };
    // One of its own, as others would notice.
    let plane = ControlPlane::start_with(shared.programs())?;
    let namespace = plane.namespace("kept")?;
    plane.kill("kube-apiserver");
    assert!(plane.get("/readyz").is_err());
    plane.restart_server()?;
    plane.get(&format!("/api/v1/namespaces/{namespace}"))?;
    Ok(())
}

#[test]
fn flux_applies_a_commit_and_the_next_one() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    plane.start_flux()?;
    let namespace = plane.namespace("flux")?;
    let git = GitServer::start()?;
    let commit = |word: &str| {
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  word: {word}\n"
        );
        git.commit(
            "shop",
            &[("app/map.yaml", &map), ("app/kustomization.yaml", "resources: [map.yaml]\n")],
        )
    };
    let first = commit("hello")?;
    let source =
        format!("/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories/shop");
    plane.apply(&source, git_repository(&git.url("shop")).to_string())?;
    // Its conditions are written a moment before its artifact.
    let repository = plane
        .wait_for(&source, |o| condition(o, "Ready") && o["status"]["artifact"].is_object())?;
    let artifact = &repository["status"]["artifact"];
    assert!(artifact["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{artifact}");
    assert_eq!(artifact["revision"], format!("main@sha1:{first}"));

    let kustomization =
        format!("/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations/shop");
    plane.apply(&kustomization, flux_kustomization(&namespace).to_string())?;
    plane.wait_for(&kustomization, |object| condition(object, "Ready"))?;
    let map = format!("/api/v1/namespaces/{namespace}/configmaps/greeting");
    assert_eq!(plane.get(&map)?["data"]["word"], "hello");

    commit("goodbye")?;
    plane.wait_for(&map, |object| object["data"]["word"] == "goodbye")?;
    Ok(())
}

fn git_repository(url: &str) -> Value {
    json!({
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "shop"},
        "spec": {"interval": "1s", "url": url, "ref": {"branch": "main"}},
    })
}

fn flux_kustomization(namespace: &str) -> Value {
    json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "shop"},
        "spec": {
            "interval": "1h",
            "path": "./app",
            "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "shop"},
            "targetNamespace": namespace,
        },
    })
}
