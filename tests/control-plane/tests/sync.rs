//! The plugin against a real API server: what it writes, what it refuses, and what it says about it.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]
#![expect(clippy::disallowed_methods, reason = "writes and reads its own files")]

#[path = "../../../plugin/tests/support/outcome.rs"]
mod outcome;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use control_plane::programs::{self, Programs};
use control_plane::{ControlPlane, Result, shared};
use kubectl_overlay::output::{Console, Streams};
use kubectl_overlay::settings::Settings;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::outcome::Run;

/// A namespace of the server, and a folder with an overlay for it.
struct Site<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    folder: TempDir,
}

/// A stream that can be read later, and that tells of each write.
#[derive(Clone)]
struct Recorded {
    text: Arc<Mutex<String>>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.text.lock().unwrap().push_str(&text);
        (self.tell)(&text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn recorded(tell: Arc<dyn Fn(&str) + Send + Sync>) -> Recorded {
    Recorded { text: Arc::default(), tell }
}

impl<'a> Site<'a> {
    fn new(plane: &'a ControlPlane, name: &str) -> Result<Self> {
        let folder = tempfile::tempdir().unwrap();
        Ok(Self { plane, namespace: plane.namespace(name)?, folder })
    }

    /// Writes a file of the overlay; one without a kustomization gets one that lists it.
    fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Makes `objects` the whole overlay.
    fn overlay(&self, objects: &[Value]) {
        let text: Vec<_> = objects.iter().map(|object| format!("{object:#}\n")).collect();
        self.write("objects.yaml", &text.join("---\n"));
        let list = if objects.is_empty() { "[]" } else { "[objects.yaml]" };
        self.write("kustomization.yaml", &format!("resources: {list}\n"));
    }

    fn settings(&self) -> Settings {
        Settings {
            directory: self.folder.path().to_path_buf(),
            kubeconfig: Some(self.plane.kubeconfig().into()),
            ..Settings::default()
        }
    }

    fn run(&self, words: &[&str]) -> Run {
        self.run_with(words, &self.settings(), "", Arc::new(|_| {}))
    }

    fn run_with(
        &self,
        words: &[&str],
        settings: &Settings,
        input: &str,
        tell: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Run {
        let (out, err) = (recorded(Arc::new(|_| {})), recorded(tell));
        let console = Console::new(Streams {
            out: Box::new(anstream::StripStream::new(
                Box::new(out.clone()) as Box<dyn Write + Send>
            )),
            err: Box::new(anstream::StripStream::new(
                Box::new(err.clone()) as Box<dyn Write + Send>
            )),
            input: Box::new(std::io::Cursor::new(input.to_owned())),
        });
        let words = ["kubectl-overlay"].iter().chain(words).map(|word| (*word).to_owned());
        let words = words.chain(["-n".to_owned(), self.namespace.clone()]);
        let code = kubectl_overlay::run(words.map(Into::into), settings, &console);
        let text = |stream: &Recorded| stream.text.lock().unwrap().clone();
        Run { code, out: text(&out), err: text(&err) }
    }

    fn sync(&self) -> Run {
        self.run(&["sync", "--yes"])
    }

    fn path(&self, kind: &str, name: &str) -> String {
        let group = match kind {
            "deployments" => "apis/apps/v1",
            "rolebindings" | "roles" => "apis/rbac.authorization.k8s.io/v1",
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{kind}/{name}", self.namespace)
    }

    fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.plane.get(&self.path(kind, name)).ok()
    }
}

fn config_map(name: &str, value: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
        "data": { "key": value } })
}

fn deployment(app: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
        "replicas": 1,
        "selector": { "matchLabels": { "app": app } },
        "template": {
            "metadata": { "labels": { "app": app } },
            "spec": { "containers": [{ "name": "web", "image": "nginx" }] },
        },
    } })
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/nginx")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_example_is_created_changed_pruned_and_waited_for() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    plane.start_nodes()?;
    let site = Site::new(plane, "example")?;
    copy(&example(), site.folder.path());
    let sync = || site.run(&["sync", "production", "--yes"]);

    let first =
        sync().ends_with(0).shows("+ create     Deployment").says("1 created: in sync after");
    assert!(first.err.contains("ready      Deployment"), "{}", first.err);
    let nginx = site.get("deployments", "nginx").unwrap();
    assert_eq!(nginx["status"]["readyReplicas"], 3);
    site.run(&["status", "production"]).ends_with(0).shows("Current");

    let kustomization = "overlays/production/kustomization.yaml";
    let before = std::fs::read_to_string(site.folder.path().join(kustomization)).unwrap();
    let more = "configMapGenerator:\n- {name: settings, literals: [colour=blue]}\nreplicas:\n- {name: nginx, count: 2}\n";
    site.write(kustomization, &format!("{before}{more}"));
    sync().ends_with(0).shows("spec.replicas: 3 -> 2").says("1 created, 1 configured: in sync");

    site.write(kustomization, &before);
    sync().ends_with(0).shows("- prune      ConfigMap").says("1 configured, 1 pruned: in sync");
    let maps = plane.get(&format!("/api/v1/namespaces/{}/configmaps", site.namespace))?;
    let names: Vec<_> =
        maps["items"].as_array().unwrap().iter().map(|one| &one["metadata"]["name"]).collect();
    assert!(!names.iter().any(|name| name.as_str().unwrap().starts_with("settings-")), "{names:?}");
    Ok(())
}

#[test]
fn a_second_sync_changes_nothing() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "twice")?;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
        "stringData": { "password": "hunter2" } });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "ports": [{ "port": 80 }], "selector": { "app": "web" } } });
    site.overlay(&[config_map("a", "1"), secret, service]);
    site.sync().ends_with(0).says("3 created: in sync");
    let versions = || {
        let list = plane.get(&format!("/api/v1/namespaces/{}/configmaps", site.namespace)).unwrap();
        let maps = list["items"].as_array().unwrap().clone();
        let all = maps
            .into_iter()
            .chain([site.get("secrets", "s").unwrap(), site.get("services", "web").unwrap()]);
        all.map(|one| one["metadata"]["resourceVersion"].clone()).collect::<Vec<_>>()
    };
    let before = versions();
    site.sync().ends_with(0).shows("3 unchanged").says("3 unchanged: in sync");
    assert_eq!(versions(), before);
    Ok(())
}

#[test]
fn a_field_of_somebody_else_conflicts_and_is_named() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "conflict")?;
    plane.apply(&site.path("configmaps", "a"), config_map("a", "theirs").to_string())?;
    site.overlay(&[config_map("a", "ours"), config_map("b", "ours")]);
    site.sync()
        .ends_with(3)
        .shows("! conflict   ConfigMap")
        .says(".data.key is owned by \"control-plane\"")
        .says("objects.yaml:")
        .says("--force-conflicts")
        .says("nothing was written");
    assert_eq!(site.get("configmaps", "a").unwrap()["data"]["key"], "theirs");
    assert!(site.get("configmaps", "b").is_none(), "nothing else was written either");
    site.run(&["diff"]).ends_with(2);

    site.run(&["sync", "--yes", "--force-conflicts"]).ends_with(0);
    assert_eq!(site.get("configmaps", "a").unwrap()["data"]["key"], "ours");
    Ok(())
}

#[test]
fn a_definition_and_its_object_are_in_one_overlay() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "definition")?;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.sync.example.org" },
        "spec": {
            "group": "sync.example.org", "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things", "singular": "thing" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "properties": { "size": { "type": "integer" } } },
                } } } }],
        },
    });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": format!("{}-inner", site.namespace) } });
    let thing = json!({ "apiVersion": "sync.example.org/v1", "kind": "Thing",
        "metadata": { "name": "one", "namespace": format!("{}-inner", site.namespace) }, "spec": { "size": 1 } });
    site.overlay(&[thing, namespace, definition]);
    site.run(&["diff"]).ends_with(1).shows("+kind: Thing");
    site.sync().ends_with(0).shows("+ create     Thing").says("3 created: in sync");
    site.sync().ends_with(0).says("3 unchanged");
    site.run(&["delete", "--yes", "--timeout", "60s"]);
    let gone = plane
        .get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.sync.example.org");
    assert!(gone.is_err() || !gone.unwrap()["metadata"]["deletionTimestamp"].is_null());
    Ok(())
}

#[test]
fn what_a_user_may_not_do_is_named() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "forbidden")?;
    site.overlay(&[config_map("a", "1"), deployment("web")]);
    let as_guest = ["sync", "--yes", "--context", "guest"];
    site.run(&as_guest)
        .ends_with(1)
        .says("\"guest\" may not get configmaps in the namespace")
        .says("kubectl auth can-i get configmaps");

    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "maps" },
        "rules": [
            { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"] },
            { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"] },
        ] });
    plane.apply(&site.path("roles", "maps"), role.to_string())?;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "maps" },
        "roleRef": { "apiGroup": group, "kind": "Role", "name": "maps" },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": "guest" }] });
    plane.apply(&site.path("rolebindings", "maps"), binding.to_string())?;
    site.run(&as_guest)
        .ends_with(1)
        .says("objects.yaml:")
        .says("\"guest\" may not patch deployments.apps in the namespace")
        .says("nothing was written");
    assert!(site.get("configmaps", "a").is_none());
    Ok(())
}

#[test]
fn credentials_that_are_not_accepted_are_told_apart() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "expired")?;
    site.overlay(&[config_map("a", "1")]);
    site.run(&["sync", "--yes", "--token", "expired"])
        .ends_with(1)
        .says("does not accept the credentials (401)")
        .says("log in again");
    site.run(&["sync", "--yes", "--server", "https://127.0.0.1:1"])
        .ends_with(1)
        .says("error: https://127.0.0.1:1: cannot reach the API server: connection refused");
    Ok(())
}

#[test]
fn the_namespace_of_the_inventory_may_be_the_overlays_own() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let mut site = Site::new(plane, "own")?;
    site.namespace.push_str("-new");
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": site.namespace } });
    site.overlay(&[config_map("a", "1"), namespace.clone()]);
    site.sync().ends_with(0).says("2 created: in sync");
    site.sync().ends_with(0).says("2 unchanged: in sync");

    site.namespace.push_str("-not");
    site.overlay(&[namespace]);
    site.sync().ends_with(1).says("there is no namespace \"own-");
    Ok(())
}

#[test]
fn an_immutable_field_says_what_to_do() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "immutable")?;
    site.overlay(&[deployment("web")]);
    site.run(&["sync", "--yes", "--wait=false"]).ends_with(0);
    site.overlay(&[deployment("other")]);
    site.run(&["sync", "--yes", "--wait=false"])
        .ends_with(1)
        .says("spec.selector: ")
        .says("field is immutable")
        .says("kubectl delete deployment -n")
        .says("nothing was written");
    Ok(())
}

#[test]
fn a_missing_namespace_is_named() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "nowhere")?;
    let mut map = config_map("a", "1");
    map["metadata"]["namespace"] = "not-there".into();
    site.overlay(&[map]);
    site.sync()
        .ends_with(1)
        .says("there is no namespace \"not-there\"")
        .says("kubectl create namespace not-there");
    Ok(())
}

#[test]
fn unknown_kinds_and_fields_are_the_users_errors() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "unknown")?;
    let thing = |kind: &str, version: &str| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "x" } });
    site.overlay(&[thing("Gadget", "nowhere.example.org/v1")]);
    site.sync()
        .ends_with(1)
        .says("objects.yaml:2:3: the server knows no Gadget of nowhere.example.org/v1")
        .says("install its CustomResourceDefinition");
    site.overlay(&[thing("Deploymant", "apps/v1")]);
    site.sync().ends_with(1).says("did you mean Deployment?");
    site.overlay(&[thing("Deployment", "apps/v1beta1")]);
    site.sync().ends_with(1).says("it knows Deployment of apps/v1");

    let mut wrong = deployment("web");
    wrong["spec"]["replica"] = 3.into();
    site.overlay(&[wrong]);
    site.sync()
        .ends_with(1)
        .says("objects.yaml:")
        .says(".spec.replica: field not declared in schema");
    Ok(())
}

#[test]
fn differences_hide_secrets_and_have_exit_codes() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "diff")?;
    let secret = |value: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" },
            "stringData": { "password": value, "user": "me" } })
    };
    site.overlay(&[secret("hunter2")]);
    let new = site.run(&["diff"]).ends_with(1).shows("+  password: '***'");
    assert!(!new.out.contains("aHVudGVyMg"), "{}", new.out);
    site.sync().ends_with(0);
    assert_eq!(site.run(&["diff"]).ends_with(0).out, "");

    site.overlay(&[secret("hunter3")]);
    let changed = site.run(&["diff"]).ends_with(1).shows("-  password: '*** (before)'");
    assert!(changed.out.contains("+  password: '*** (after)'"), "{}", changed.out);
    site.run(&["diff", "--server", "http://127.0.0.1:1"]).ends_with(2);

    let settings = Settings { external_diff: Some("diff -u -N".into()), ..site.settings() };
    let external = site.run_with(&["diff"], &settings, "", Arc::new(|_| {})).ends_with(1);
    assert!(
        external.out.contains("/LIVE-") && external.out.contains("/MERGED-"),
        "{}",
        external.out
    );

    site.overlay(&[]);
    site.run(&["diff"]).ends_with(1).shows("-kind: Secret");
    Ok(())
}

#[test]
fn an_overlay_that_renders_to_nothing_deletes_nothing() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "empty")?;
    site.overlay(&[config_map("a", "1"), config_map("b", "1")]);
    site.sync().ends_with(0);
    site.overlay(&[]);
    site.sync().ends_with(4).says("all 2 objects would be deleted").says("--allow-empty");
    assert!(site.get("configmaps", "a").is_some());
    site.run(&["sync", "--yes", "--allow-empty"]).ends_with(0).says("2 pruned");
    assert!(site.get("configmaps", "a").is_none());
    Ok(())
}

#[test]
fn only_what_is_ours_is_pruned() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "ours")?;
    let mut kept = config_map("kept", "1");
    kept["metadata"]["annotations"] = json!({ "kustomize.toolkit.fluxcd.io/prune": "disabled" });
    site.overlay(&[config_map("stays", "1"), config_map("replaced", "1"), kept]);
    site.sync().ends_with(0);
    plane.delete(&site.path("configmaps", "replaced"))?;
    plane.apply(
        &site.path("configmaps", "replaced"),
        config_map("replaced", "theirs").to_string(),
    )?;

    site.overlay(&[config_map("stays", "1")]);
    site.sync()
        .ends_with(0)
        .says("replaced: somebody has deleted it and made a new one")
        .says("kept: its annotation kustomize.toolkit.fluxcd.io/prune is disabled");
    assert_eq!(site.get("configmaps", "replaced").unwrap()["data"]["key"], "theirs");
    assert!(site.get("configmaps", "kept").is_some());
    // Both are forgotten.
    site.run(&["status"]).ends_with(0).shows("stays");
    let status = site.run(&["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["objects"].as_array().unwrap().len(), 1);
    Ok(())
}

#[test]
fn without_prune_what_is_dropped_stays_known() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "later")?;
    site.overlay(&[config_map("a", "1"), config_map("b", "1")]);
    site.sync().ends_with(0);
    site.overlay(&[config_map("a", "1")]);
    site.run(&["sync", "--yes", "--prune=false"]).ends_with(0);
    assert!(site.get("configmaps", "b").is_some());
    site.sync().ends_with(0).says("1 pruned");
    assert!(site.get("configmaps", "b").is_none());
    Ok(())
}

#[test]
fn a_secret_that_loses_a_key_loses_it_in_the_cluster() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "keys")?;
    let secret = |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": data });
    site.overlay(&[secret(json!({ "a": "1", "b": "2" }))]);
    site.sync().ends_with(0);
    site.overlay(&[secret(json!({ "a": "1" }))]);
    site.sync().ends_with(0);
    assert_eq!(site.get("secrets", "s").unwrap()["data"], json!({ "a": "MQ==" }));
    Ok(())
}

#[test]
fn nothing_is_written_without_a_yes() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "ask")?;
    site.overlay(&[config_map("a", "1")]);
    site.run(&["sync"]).ends_with(6).says("standard input is no terminal").says("--yes");
    let settings = Settings { can_ask: true, ..site.settings() };
    let answer = |text: &str| site.run_with(&["sync"], &settings, text, Arc::new(|_| {}));
    answer("n\n").ends_with(6).says("Go on? [y/N]").says("declined");
    answer("").ends_with(6);
    site.run(&["sync", "--dry-run=server"]).ends_with(0).shows("1 to create");
    assert!(site.get("configmaps", "a").is_none());
    answer("y\n").ends_with(0);
    assert!(site.get("configmaps", "a").is_some());
    Ok(())
}

#[test]
fn events_are_documents_one_a_line() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "events")?;
    site.overlay(&[config_map("a", "1")]);
    let run = site.run(&["sync", "--yes", "-o", "json"]).ends_with(0);
    let events: Vec<Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["planned", "done", "health", "summary"]);
    assert_eq!(events[3]["result"], "in-sync");
    assert_eq!(run.err, "");

    let run = site.run(&["sync", "--yes", "-o", "json", "--token", "expired"]).ends_with(1);
    let last: Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exitCode"]), (&json!("summary"), &json!(1)));
    Ok(())
}

#[test]
fn what_does_not_become_healthy_has_a_code_of_its_own() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "unhealthy")?;
    let mut nowhere = deployment("web");
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = json!({ "nowhere": "at-all" });
    site.overlay(&[nowhere]);
    site.run(&["sync", "--yes", "--timeout", "1s"])
        .ends_with(5)
        .says("is InProgress")
        .says("1 created: applied, but 1 object");
    site.run(&["status"]).ends_with(5).shows("InProgress");
    Ok(())
}

#[test]
fn an_overlay_is_deleted_with_its_inventory() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "delete")?;
    site.overlay(&[config_map("a", "1"), config_map("b", "1")]);
    site.run(&["delete", "--yes"]).ends_with(1).says("was never synced to this namespace");
    site.sync().ends_with(0);
    site.run(&["delete"]).ends_with(6);
    site.run(&["delete", "--dry-run=server"]).ends_with(0).shows("2 to delete");
    site.run(&["delete", "--yes"]).ends_with(0).says("2 pruned");
    let maps = plane.get(&format!("/api/v1/namespaces/{}/configmaps", site.namespace))?;
    let left = maps["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["metadata"]["name"].as_str().unwrap());
    assert!(left.clone().all(|name| name == "kube-root-ca.crt"), "{:?}", left.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn two_overlays_do_not_share_an_inventory() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "shared")?;
    let kustomization = "configMapGenerator:\n- {name: x, literals: [a=b]}\n";
    site.write("one/kustomization.yaml", kustomization);
    site.write("two/kustomization.yaml", kustomization);
    site.run(&["sync", "one/", "--yes", "--inventory", "mine"]).ends_with(0);
    site.run(&["sync", "two/", "--yes", "--inventory", "mine"])
        .ends_with(4)
        .says("is the inventory of another overlay");
    plane.apply(&site.path("configmaps", "theirs"), config_map("theirs", "1").to_string())?;
    site.run(&["sync", "two/", "--yes", "--inventory", "theirs"])
        .ends_with(4)
        .says("exists already, and is no inventory of an overlay");
    Ok(())
}

#[test]
fn a_sync_that_the_server_did_not_survive_is_finished_by_the_next() -> Result<()> {
    let Some(programs) = Programs::for_a_test(programs::SERVER)? else { return Ok(()) };
    // Of its own: the others would not survive it either.
    let plane = Arc::new(ControlPlane::start_with(&programs)?);
    let site = Site::new(&plane, "interrupted")?;
    let objects: Vec<_> =
        (0..200).map(|number| config_map(&format!("map-{number}"), "1")).collect();
    site.overlay(&objects);
    let (killer, once) = (Arc::clone(&plane), std::sync::Once::new());
    let kill = move |text: &str| {
        if text.contains("created") {
            once.call_once(|| killer.kill("kube-apiserver"));
        }
    };
    let settings = site.settings();
    site.run_with(&["sync", "--yes"], &settings, "", Arc::new(kill))
        .ends_with(1)
        .says("cannot reach the API server")
        .says("run it again to finish");
    plane.restart_server()?;

    // What the interrupted sync has made, and the overlay no longer has, is known.
    site.overlay(&objects[100..]);
    site.sync().ends_with(0);
    let list = plane.get(&format!("/api/v1/namespaces/{}/configmaps", site.namespace))?;
    let names = list["items"].as_array().unwrap().iter();
    let ours = names.filter(|one| one["metadata"]["name"].as_str().unwrap().starts_with("map-"));
    assert_eq!(ours.count(), 100);
    Ok(())
}
