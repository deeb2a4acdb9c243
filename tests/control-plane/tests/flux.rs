//! `flux diff --live` and `flux build --ask-cluster` against a real API server: what they say about rights, what they
//! read, and that they write nothing.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "../../../plugin/tests/support/outcome.rs"]
mod outcome;
#[path = "../../../plugin/tests/support/mod.rs"]
mod support;

use std::path::Path;

use control_plane::{ControlPlane, Result, shared};
use kubectl_overlay::settings::Settings;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::outcome::Run;
use crate::support::Recorder;

/// The key whose bytes are all 0x42.
const KEY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";

/// A Secret that is encrypted for it; its password is `canary-of-the-database`.
const ENCRYPTED: &str = include_str!("flux/database.yaml");

/// A namespace of the server, and a repository with one Kustomization for it.
struct Site<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    folder: TempDir,
}

impl<'a> Site<'a> {
    fn new(plane: &'a ControlPlane, name: &str) -> Result<Self> {
        plane.install_flux_definitions()?;
        let folder = tempfile::tempdir().unwrap();
        Ok(Self { plane, namespace: plane.namespace(name)?, folder })
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text.replace("NAMESPACE", &self.namespace)).unwrap();
    }

    /// Writes the Kustomization `apps`, which renders the directory of the same name.
    fn kustomization(&self, more: &str) -> String {
        let text = format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: apps, namespace: NAMESPACE}}\n\
             spec:\n  interval: 10m\n  prune: true\n  path: ./apps\n  targetNamespace: NAMESPACE\n\
             \x20 sourceRef: {{kind: GitRepository, name: flux-system}}\n{more}"
        );
        self.write("clusters/apps.yaml", &text);
        text.replace("NAMESPACE", &self.namespace)
    }

    fn run(&self, words: &[&str], kubeconfig: &Path) -> Run {
        let (out, err) = (Recorder::default(), Recorder::default());
        let settings = Settings {
            directory: self.folder.path().to_path_buf(),
            kubeconfig: Some(kubeconfig.into()),
            ..Settings::default()
        };
        let words = ["kubectl-overlay", "flux"].iter().chain(words);
        let code = support::run(words, &settings, out.stream(""), err.stream(""));
        Run { code, out: out.text(), err: err.text() }
    }

    /// What `flux diff --live` says, which must have written nothing.
    fn diff(&self, words: &[&str]) -> Run {
        let before = self.versions();
        let words = [&["diff", "clusters", "--live"], words].concat();
        let run = self.run(&words, self.plane.kubeconfig());
        assert_eq!(self.versions(), before, "{}\n{}", run.out, run.err);
        assert!(!format!("{}{}", run.out, run.err).contains("canary"), "{}\n{}", run.out, run.err);
        run
    }

    fn path(&self, kind: &str, name: &str) -> String {
        let group = match kind {
            "kustomizations" => "apis/kustomize.toolkit.fluxcd.io/v1",
            "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
            _ => "api/v1",
        };
        let slash = if name.is_empty() { "" } else { "/" };
        format!("/{group}/namespaces/{}/{kind}{slash}{name}", self.namespace)
    }

    /// All objects that could have been written, with their versions.
    fn versions(&self) -> Vec<String> {
        let kinds = ["configmaps", "secrets", "serviceaccounts", "kustomizations"];
        let lists = kinds.map(|kind| self.plane.get(&self.path(kind, "")).unwrap());
        let items = lists.iter().flat_map(|list| list["items"].as_array().unwrap());
        let version = |item: &Json| {
            format!("{} {}", item["metadata"]["name"], item["metadata"]["resourceVersion"])
        };
        items.map(version).collect()
    }

    fn apply(&self, kind: &str, object: &Json) -> Result<()> {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.plane.apply(&self.path(kind, name), object.to_string()).map(|_| ())
    }

    /// A ConfigMap that Flux has applied before.
    fn applied(&self, name: &str, data: &Json, owner: &str) -> Result<()> {
        let labels = json!({
            "kustomize.toolkit.fluxcd.io/name": owner,
            "kustomize.toolkit.fluxcd.io/namespace": self.namespace,
        });
        self.apply(
            "configmaps",
            &json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": data,
                "metadata": { "name": name, "labels": labels } }),
        )
    }

    /// The service account `deployer`, who may do with `resources` what Flux needs to.
    fn deployer(&self, resources: &[&str]) -> Result<()> {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "deployer" } });
        self.apply("serviceaccounts", &account)?;
        let version = "rbac.authorization.k8s.io/v1";
        let role = json!({ "apiVersion": version, "kind": "Role", "metadata": { "name": "deployer" },
            "rules": [{ "apiGroups": [""], "resources": resources, "verbs": ["get", "create", "patch", "delete"] }] });
        self.apply("roles", &role)?;
        let binding = json!({ "apiVersion": version, "kind": "RoleBinding", "metadata": { "name": "deployer" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer" },
            "subjects": [{ "kind": "ServiceAccount", "name": "deployer", "namespace": self.namespace }] });
        self.apply("rolebindings", &binding)
    }

    /// The Kustomization in the cluster, with these in its inventory.
    fn deployed(&self, text: &str, inventory: &[&str]) -> Result<()> {
        self.plane.apply(&self.path("kustomizations", "apps"), text)?;
        let entry = |name: &&str| json!({ "id": format!("{}_{name}__ConfigMap", self.namespace), "v": "v1" });
        let entries: Vec<_> = inventory.iter().map(entry).collect();
        let status = json!({ "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
            "metadata": { "name": "apps" }, "status": { "inventory": { "entries": entries } } });
        let path = self.path("kustomizations", "apps/status");
        self.plane.apply(&path, status.to_string()).map(|_| ())
    }
}

#[test]
fn a_tenant_is_asked_about_as_itself() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live")?;
    site.deployer(&["configmaps"])?;
    let text = site.kustomization("  serviceAccountName: deployer\n");
    site.deployed(&text, &["web", "gone", "of-another", "kept", "not-there"])?;
    let ns = site.namespace.clone();
    site.applied("web", &json!({ "a": "1" }), "apps")?;
    site.applied("gone", &json!({}), "apps")?;
    site.applied("of-another", &json!({}), "another")?;
    site.apply(
        "configmaps",
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kept",
            "annotations": { "kustomize.toolkit.fluxcd.io/prune": "Disabled" },
            "labels": { "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": ns } } }),
    )?;
    let web = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: '2'}\n";
    site.write("apps/web.yaml", web);
    site.write("apps/new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n");
    let skipped =
        "metadata: {name: skipped, annotations: {kustomize.toolkit.fluxcd.io/ssa: Ignore}}";
    site.write("apps/skipped.yaml", &format!("apiVersion: v1\nkind: ConfigMap\n{skipped}\n"));
    let run = site.diff(&[]).ends_with(1);
    let run = run.shows(&format!("📁 Kustomization/{ns}/apps changed\n"));
    let run = run.shows(&format!("► ConfigMap/{ns}/new created\n"));
    let run = run.shows(&format!("► ConfigMap/{ns}/skipped skipped\n"));
    let run =
        run.shows(&format!("► ConfigMap/{ns}/web drifted\n\ndata.a\n± value change\n- 1\n+ 2\n"));
    let run = run.shows(&format!("► ConfigMap/{ns}/gone deleted\n"));
    let run = run.says(&format!("ConfigMap/{ns}/kept kept: it asks to be left alone"));
    let run = run.says(&format!("ConfigMap/{ns}/of-another kept: it belongs to another"));
    assert!(!run.out.contains("not-there"), "{}", run.out);
    let data: Json = serde_json::from_str(&site.diff(&["-o", "json"]).ends_with(1).out).unwrap();
    let account = format!("system:serviceaccount:{ns}:deployer");
    assert_eq!(data["kustomizations"][0]["askedAs"], account);

    site.write(
        "apps/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: canary}\n",
    );
    let denied = format!("\"{account}\" may not get secrets in the namespace \"{ns}\"");
    let run = site.diff(&[]).ends_with(2).says(&denied).says("apps/secret.yaml:1:1");
    assert!(!run.out.contains("deleted"), "nothing is deleted where something failed: {}", run.out);
    // Whoever asks as themselves may do more.
    let run = site.diff(&["--impersonate=false"]).ends_with(1);
    run.shows(&format!("► Secret/{ns}/s created\n")).shows("deleted");
    site.diff(&["--default-service-account", "nobody"]).ends_with(2).says(&account);
    Ok(())
}

#[test]
fn who_may_not_delete_is_told_so() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-delete")?;
    let text = site.kustomization("");
    site.deployed(&text, &["gone"])?;
    site.applied("gone", &json!({}), "apps")?;
    site.write("apps/kustomization.yaml", "resources: []\n");
    site.diff(&[]).ends_with(1).shows("gone deleted");
    site.diff(&["--default-service-account", "nobody"]).ends_with(2).says("may not get configmaps");
    Ok(())
}

#[test]
fn a_denied_deletion_is_a_failure_and_without_prune_nothing_is_deleted() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-denied")?;
    site.deployer(&["configmaps"])?;
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "deployer" },
        "rules": [{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"] }] });
    site.apply("roles", &role)?;
    let account = "  serviceAccountName: deployer\n";
    let text = site.kustomization(account);
    site.deployed(&text, &["gone"])?;
    site.applied("gone", &json!({}), "apps")?;
    site.write("apps/new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n");
    let run = site.diff(&[]).ends_with(2).says("may not delete configmaps");
    // What would be applied is known all the same.
    let ns = site.namespace.clone();
    let run = run.shows(&format!("► ConfigMap/{ns}/new created\n"));
    assert!(!run.out.contains("gone"), "{}", run.out);
    let text = site.kustomization(account).replace("prune: true", "prune: false");
    site.write("clusters/apps.yaml", &text);
    let run = site.diff(&[]).ends_with(1);
    assert!(!run.out.contains("gone") && !run.err.contains("gone"), "{}\n{}", run.out, run.err);
    Ok(())
}

#[test]
fn what_is_applied_elsewhere_is_left_out_and_what_is_suspended_is_said() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-elsewhere")?;
    let ns = site.namespace.clone();
    site.write("apps/new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n");
    site.kustomization("  kubeConfig: {secretRef: {name: other-cluster}}\n");
    let run = site.diff(&[]).ends_with(0);
    let run = run.says(&format!("Kustomization/{ns}/apps is applied to another cluster: left out"));
    assert_eq!(run.out, "");
    let text = site.kustomization("  suspend: true\n");
    let run = site.diff(&[]).ends_with(1).shows(&format!("► ConfigMap/{ns}/new created\n"));
    run.says(&format!("Kustomization/{ns}/apps is suspended: Flux applies it once it is resumed"));
    // The same Kustomization for two clusters: only one of them can be asked.
    site.write("clusters/other/apps.yaml", &text);
    site.diff(&[]).ends_with(2).says("is there twice").says("as of two clusters");
    Ok(())
}

#[test]
fn several_kustomizations_are_asked_about_and_told_in_their_order() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-many")?;
    let ns = site.namespace.clone();
    let names: Vec<_> = (10..22).map(|number| format!("app-{number}")).collect();
    for name in &names {
        let text = site.kustomization("").replace("name: apps,", &format!("name: {name},"));
        site.write(&format!("clusters/{name}.yaml"), &text.replace("./apps", &format!("./{name}")));
        let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        site.write(&format!("{name}/a.yaml"), &object);
    }
    std::fs::remove_file(site.folder.path().join("clusters/apps.yaml")).unwrap();
    let run = site.diff(&[]).ends_with(1);
    let line =
        |name| format!("📁 Kustomization/{ns}/{name} changed\n► ConfigMap/{ns}/{name} created\n");
    assert_eq!(run.out, names.iter().map(line).collect::<String>());
    Ok(())
}

#[test]
fn what_others_have_set_stays_as_flux_leaves_it() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-merge")?;
    site.kustomization("");
    site.applied("web", &json!({ "a": "1", "theirs": "x" }), "apps")?;
    let web = |wish: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web, annotations: {{kustomize.toolkit.fluxcd.io/ssa: {wish}}}}}\ndata: {{a: '{value}'}}\n"
        )
    };
    site.write("apps/web.yaml", &web("Merge", "2"));
    let run = site.diff(&[]).ends_with(1).shows("data.a\n± value change\n- 1\n+ 2\n");
    assert!(!run.out.contains("theirs"), "{}", run.out);
    site.write("apps/web.yaml", &web("IfNotPresent", "2"));
    site.diff(&[]).ends_with(0).shows("web skipped\n");
    site.write("apps/web.yaml", &web("Ignore", "2"));
    site.diff(&[]).ends_with(0).shows("web skipped\n");
    // What the cluster's object asks for counts as well.
    let ignored = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "web",
        "annotations": { "kustomize.toolkit.fluxcd.io/reconcile": "disabled" } }, "data": { "a": "1" } });
    site.apply("configmaps", &ignored)?;
    site.write("apps/web.yaml", &web("Override", "2"));
    site.diff(&[]).ends_with(0).shows("web skipped\n");
    Ok(())
}

#[test]
fn fields_that_flux_drops_are_no_failure() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-dropped")?;
    let ns = site.namespace.clone();
    site.kustomization("");
    site.write(
        "apps/web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}], selectr: {a: b}}\n",
    );
    site.diff(&[]).ends_with(1).shows(&format!("► Service/{ns}/web created\n"));
    // Of another type it is sent as it is, and refused.
    site.write(
        "apps/web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: x}\n",
    );
    site.diff(&[]).ends_with(2);
    Ok(())
}

#[test]
fn a_refusal_does_not_repeat_a_secret() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-refused")?;
    site.kustomization("  postBuild: {substituteFrom: [{kind: Secret, name: hidden}]}\n");
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "hidden" },
        "stringData": { "value": "canary no label" } });
    site.apply("secrets", &secret)?;
    site.write(
        "apps/web.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, labels: {a: '${value}'}}\n",
    );
    for output in [&[][..], &["-o", "json"]] {
        site.diff(output).ends_with(2).says("a valid label must");
    }
    Ok(())
}

#[test]
fn objects_that_cannot_be_changed_are_made_anew_where_that_is_allowed() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-force")?;
    site.deployer(&["configmaps"])?;
    let account = "  serviceAccountName: deployer\n";
    site.kustomization(account);
    let fixed = json!({ "apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
        "metadata": { "name": "fixed" }, "data": { "a": "1" } });
    site.apply("configmaps", &fixed)?;
    let changed = "apiVersion: v1\nkind: ConfigMap\nimmutable: true\nmetadata: {name: fixed}\ndata: {a: '2'}\n";
    site.write("apps/fixed.yaml", changed);
    site.diff(&[]).ends_with(2).says("field is immutable");
    site.kustomization(&format!("{account}  force: true\n"));
    site.diff(&[]).ends_with(1).shows("fixed recreated\n").says("field is immutable");
    site.kustomization(account);
    let forced = changed.replace(
        "name: fixed",
        "name: fixed, annotations: {kustomize.toolkit.fluxcd.io/force: Enabled}",
    );
    site.write("apps/fixed.yaml", &forced);
    site.diff(&[]).ends_with(1).shows("fixed recreated\n");
    // As well where only the object of the cluster asks for it.
    let mut asking = fixed.clone();
    asking["metadata"]["annotations"] = json!({ "kustomize.toolkit.fluxcd.io/force": "Enabled" });
    site.apply("configmaps", &asking)?;
    site.write("apps/fixed.yaml", changed);
    site.diff(&[]).ends_with(1).shows("fixed recreated\n");
    let merged = forced.replace("force: Enabled", "ssa: IfNotPresent");
    site.write("apps/fixed.yaml", &merged);
    site.diff(&[]).ends_with(0).shows("fixed skipped\n");
    Ok(())
}

#[test]
fn fields_that_may_drift_do() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-ignore")?;
    site.kustomization("  ignore: [{paths: [/data/a], target: {kind: ConfigMap}}]\n");
    site.applied("web", &json!({ "a": "1", "b": "1" }), "apps")?;
    site.write(
        "apps/web.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: '2', b: '1'}\n",
    );
    site.diff(&[]).ends_with(0);
    Ok(())
}

#[test]
fn variables_and_keys_come_from_the_cluster_and_are_not_shown() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-keys")?;
    let ns = site.namespace.clone();
    site.kustomization(
        "  decryption: {provider: sops, secretRef: {name: sops-age}}\n\
         \x20 postBuild: {substituteFrom: [{kind: ConfigMap, name: vars}, {kind: Secret, name: hidden}]}\n",
    );
    let secret = |name: &str, data: Json| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data });
    site.apply("secrets", &secret("sops-age", json!({ "age.agekey": KEY })))?;
    site.apply("secrets", &secret("hidden", json!({ "password": "canary-one" })))?;
    site.apply("secrets", &secret("database", json!({ "password": "canary-two" })))?;
    let vars = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "vars" }, "data": { "host": "shop" } });
    site.apply("configmaps", &vars)?;
    site.applied("web", &json!({ "url": "https://shop:canary-old@db", "host": "old" }), "apps")?;
    site.write("apps/database.yaml", ENCRYPTED);
    let web = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {url: 'https://${host}:${password}@db', host: '${host}'}\n";
    site.write("apps/web.yaml", web);
    let run = site.diff(&[]).ends_with(1);
    let run = run.shows(&format!("► Secret/{ns}/database drifted\n"));
    let run = run.shows("password\n± value change\n- *** (before)\n+ *** (after)\n");
    let run = run.shows("data.url\n± value change\n- *** (before)\n+ *** (after)\n");
    run.shows("data.host\n± value change\n- old\n+ shop\n");

    let build = |words: &[&str]| {
        site.run(&[&["build", "clusters", "--ask-cluster"], words].concat(), plane.kubeconfig())
    };
    let masked = build(&[]).ends_with(0).says("the keys at hand decrypt all of it");
    assert!(!masked.out.contains("canary"), "{}", masked.out);
    let masked = masked.shows("url: https://shop:__SECRET__@db").shows("password: '**SOPS**'");
    drop(masked);
    build(&["--decrypt"])
        .ends_with(0)
        .shows("url: https://shop:canary-one@db")
        .shows("password: canary-of-the-database");

    // Without the key, Secrets are compared by the names of their entries.
    plane.delete(&site.path("secrets", "sops-age"))?;
    let run = site.diff(&[]).ends_with(1).says("does not decrypt");
    assert!(!run.out.contains("Secret/"), "{}", run.out);
    let guest = site.run(&["build", "clusters", "--ask-cluster"], plane.guest_kubeconfig());
    guest.ends_with(1).says("\"guest\" may not get configmaps");
    Ok(())
}

#[test]
fn what_comes_first_need_not_be_there() -> Result<()> {
    let Some(plane) = shared() else { return Ok(()) };
    let site = Site::new(plane, "live-first")?;
    let ns = site.namespace.clone();
    site.kustomization("");
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things.{ns}.example") },
        "spec": { "group": format!("{ns}.example"), "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }] } });
    site.write("apps/definition.yaml", &definition.to_string());
    site.write(
        "apps/thing.yaml",
        "apiVersion: NAMESPACE.example/v1\nkind: Thing\nmetadata: {name: a}\n",
    );
    for name in ["first", "second"] {
        site.write(&format!("clusters/{name}.yaml"), &format!(
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {{name: {name}, namespace: {ns}}}\n\
             spec: {{interval: 10m, prune: true, path: ./{name}, sourceRef: {{kind: GitRepository, name: flux-system}}}}\n"
        ));
    }
    let namespace = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {ns}-new}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {ns}-new}}\n"
    );
    site.write("first/a.yaml", &namespace);
    // Of one Kustomization, in a namespace that another one brings.
    let within = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: within, namespace: {ns}-new}}\n"
    );
    site.write("second/within.yaml", &within);
    let run = site.diff(&[]).ends_with(1);
    let run = run.shows(&format!("► ConfigMap/{ns}-new/within created\n"));
    let run = run.shows(&format!("► Thing/{ns}/a created\n"));
    let run = run.shows(&format!("► Namespace/{ns}-new created\n"));
    run.shows(&format!("► ConfigMap/{ns}-new/a created\n"));
    site.write("apps/definition.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    site.diff(&[]).ends_with(2).says("no matches for kind \"Thing\"");
    Ok(())
}
