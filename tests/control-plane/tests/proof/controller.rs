//! What kustomize-controller applied, field by field, with its inventory and its digest, and what we render.
//!
//! An object is the same if applying ours in the controller's name, forced, would change nothing: neither a value nor
//! which fields the controller owns.

use std::process::Command;
use std::sync::Arc;

use control_plane::{ControlPlane, GitServer, condition, shared};
use overlay::build::Options;
use overlay::flux::api::{Kustomization, find_kustomization};
use overlay::flux::inventory::{ObjectId, gone};
use overlay::flux::marks::{Apply, Wishes};
use overlay::flux::sources::{Source, artifact};
use overlay::flux::substitute::{Kind, Objects};
use overlay::flux::{Renderer, normalize};
use overlay::remote::Remote;
use overlay::sops::Keys;
use overlay::sops::decryption::Revealing;
use overlay::store::Store;
use overlay::{Limits, Resource, archive, json, yaml};
use serde_json::{Value, json};
use similar::TextDiff;

use crate::shape::{BASE, Names, Shape, shapes};

/// In whose name kustomize-controller applies.
const MANAGER: &str = "kustomize-controller";

/// All shapes in one repository, each with a namespace of its own.
struct Fleet {
    plane: &'static ControlPlane,
    git: GitServer,
    /// The namespace of the GitRepository.
    source: String,
    members: Vec<Member>,
    cache: tempfile::TempDir,
}

/// A Kustomization of the cluster.
struct Member {
    shape: Shape,
    namespace: String,
    /// What we render for the commit before: who it is, and whether it may be deleted.
    before: Vec<(ObjectId, bool)>,
}

/// What we make of a Kustomization.
struct Ours {
    resources: Vec<Resource>,
    inventory: Vec<Value>,
    digest: String,
}

#[test]
fn what_flux_applies_is_what_we_render() {
    let Some(plane) = shared() else { return };
    if !has_gpg() {
        return;
    }
    plane.start_flux().unwrap();
    let mut fleet = Fleet::new(plane);
    let mut wrong = Vec::new();
    for second in [false, true] {
        let commit = fleet.commit(second);
        if !second {
            fleet.apply();
        }
        wrong.extend(fleet.judge(&commit));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The controller runs it for OpenPGP.
fn has_gpg() -> bool {
    let found = Command::new("gpg").arg("--version").output().is_ok();
    if !found {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "gpg is needed; tests/packages.sh brings it"
        );
        eprintln!(
            "SKIPPED: there is no gpg, which kustomize-controller needs; tests/packages.sh brings it"
        );
    }
    found
}

impl Fleet {
    fn new(plane: &'static ControlPlane) -> Self {
        let git = GitServer::start().unwrap();
        git.commit("base", BASE).unwrap();
        let source = plane.namespace("fleet").unwrap();
        let url = git.url("");
        let member = |shape: Shape| {
            let namespace = plane.namespace(&shape.name).unwrap();
            let names = Names {
                namespace: &namespace,
                source: &source,
                git: url.trim_end_matches("/.git"),
            };
            Member { shape: shape.placed(&names), namespace, before: Vec::new() }
        };
        let members = shapes().into_iter().map(member).collect();
        Self { plane, git, source, members, cache: tempfile::tempdir().unwrap() }
    }

    fn commit(&self, second: bool) -> String {
        let files: Vec<(String, &str)> =
            self.members.iter().flat_map(|member| member.shape.files(second)).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        format!("main@sha1:{}", self.git.commit("fleet", &files).unwrap())
    }

    fn source_path(&self) -> String {
        let group = "/apis/source.toolkit.fluxcd.io/v1";
        format!("{group}/namespaces/{}/gitrepositories/fleet", self.source)
    }

    /// Creates the source, what is in the cluster before, and the Kustomizations.
    fn apply(&self) {
        let source = json!({
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": { "name": "fleet" },
            "spec": {
                "interval": "1s",
                "url": self.git.url("fleet"),
                "ref": { "branch": "main" },
            },
        });
        self.plane.apply(&self.source_path(), source.to_string()).unwrap();
        self.plane.wait_for(&self.source_path(), |o| o["status"]["artifact"].is_object()).unwrap();
        for member in &self.members {
            for text in [member.shape.cluster(), member.shape.kustomization()] {
                for object in documents(text) {
                    self.plane.apply(&path(self.plane, &object), object.to_string()).unwrap();
                }
            }
        }
    }

    /// Waits until all of a commit is reconciled, and says what differs.
    fn judge(&mut self, revision: &str) -> Vec<String> {
        let is_current = |object: &Value| object["status"]["artifact"]["revision"] == revision;
        let source = self.plane.wait_for(&self.source_path(), is_current).unwrap();
        let published = &source["status"]["artifact"];
        let text = |field: &str| published[field].as_str().unwrap();
        let remote = Arc::new(Remote::new(self.cache.path().join("remote"), false));
        let limits = archive::Limits::default();
        let source = artifact(&remote, text("url"), text("digest"), &limits).unwrap();
        let mut wrong = Vec::new();
        for member in &mut self.members {
            let live = reconciled(self.plane, member, revision);
            match member.judge(self.plane, &live, &source, &remote) {
                Ok(said) => eprintln!("{}: {said}", member.shape.name),
                Err(error) => wrong.push(format!("{} at {revision}:\n{error}", member.shape.name)),
            }
        }
        wrong
    }
}

/// The Kustomization of the cluster once the controller is done with a revision, whether it is content or not.
fn reconciled(plane: &ControlPlane, member: &Member, revision: &str) -> Value {
    let object = documents(member.shape.kustomization()).remove(0);
    let is_done = |object: &Value| {
        let status = &object["status"];
        let ready = status["conditions"].as_array().into_iter().flatten();
        let failed =
            ready.filter(|one| one["type"] == "Ready" && one["status"] == "False").any(|one| {
                matches!(one["reason"].as_str(), Some("BuildFailed" | "ReconciliationFailed"))
            });
        let is_applied = status["lastAppliedRevision"] == revision && condition(object, "Ready");
        is_applied || failed && status["lastAttemptedRevision"] == revision
    };
    plane.wait_for(&path(plane, &object), is_done).unwrap()
}

impl Member {
    fn judge(
        &mut self,
        plane: &ControlPlane,
        live: &Value,
        source: &Source,
        remote: &Arc<Remote>,
    ) -> Result<String, String> {
        let conditions = live["status"]["conditions"].as_array().unwrap().iter();
        let said =
            || conditions.clone().find(|one| one["type"] == "Ready").unwrap()["message"].clone();
        let ours =
            self.render(source, remote).map_err(|error| format!("{error}\nFlux: {}", said()))?;
        if !condition(live, "Ready") {
            return Err(format!("Flux refuses it: {}", said()));
        }
        let theirs = &live["status"];
        let mut problems = Vec::new();
        if theirs["inventory"]["entries"] != json!(ours.inventory) {
            let ours = json!(ours.inventory);
            problems.push(difference("inventory", &theirs["inventory"]["entries"], &ours));
        }
        if theirs["history"][0]["digest"] != ours.digest {
            problems.push(format!("digest {} and ours {}", theirs["history"][0], ours.digest));
        }
        let outcomes = ours.resources.iter().map(|resource| self.compare(plane, resource));
        problems.extend(outcomes.filter_map(Result::err));
        let now: Vec<(ObjectId, bool)> = ours
            .resources
            .iter()
            .map(|one| (ObjectId::of(one), Wishes::of(one).is_pruned()))
            .collect();
        problems.extend(self.unpruned(plane, &now));
        self.before = now;
        if problems.is_empty() {
            let (objects, entries) = (ours.resources.len(), ours.inventory.len());
            return Ok(format!(
                "{objects} objects and {entries} entries are equal, and the digest"
            ));
        }
        Err(problems.join("\n"))
    }

    fn render(&self, source: &Source, remote: &Arc<Remote>) -> Result<Ours, String> {
        let (kustomization, objects) = self.read();
        let mut keys = Keys::default();
        if let Some(name) =
            kustomization.decryption.as_ref().and_then(|one| one.secret_ref.as_ref())
        {
            let entries = objects.find(Kind::Secret, &self.namespace, name).unwrap().unwrap();
            for (entry, content) in &entries {
                keys.add_secret_entry(entry, content, name).map_err(|error| error.to_string())?;
            }
        }
        let lookup = |kind, namespace: &str, name: &str| objects.find(kind, namespace, name);
        let renderer = Renderer {
            files: &*source.files,
            root: &source.root,
            store: &Store::default(),
            options: &Options { remote: Some(Arc::clone(remote)), ..Options::default() },
            decrypt: &Revealing { keys: kustomization.decryption.is_some().then_some(&keys) },
            lookup: Some(&lookup),
            strict: true,
            hidden: None,
        };
        let rendered = renderer.render(&kustomization).output.map_err(|error| error.to_string())?;
        let entry = |one: &overlay::flux::inventory::Entry| json!({ "id": one.id.to_string(), "v": one.version.as_str() });
        Ok(Ours {
            inventory: rendered.inventory.iter().map(entry).collect(),
            digest: renderer.digest(&kustomization).map_err(|error| error.to_string())?,
            resources: rendered.resources.into_iter().collect(),
        })
    }

    /// The Kustomization as it stands in its file, and what there is in the cluster for it.
    fn read(&self) -> (Kustomization, Objects) {
        let file: Arc<str> = "kustomization".into();
        let names = (self.shape.name.as_str(), self.namespace.as_str());
        let text = self.shape.kustomization().as_bytes();
        let kustomization =
            find_kustomization(text, &file, names, &Limits::default()).output.unwrap();
        let mut objects = Objects::default();
        for object in documents(self.shape.cluster()) {
            objects.add(&json::from_json(&object), &file);
        }
        (kustomization, objects)
    }

    fn compare(&self, plane: &ControlPlane, resource: &Resource) -> Result<(), String> {
        let wishes = Wishes::of(resource);
        let name = ObjectId::of(resource).to_string();
        let mut object = json::to_json(&resource.value).unwrap();
        normalize::object(&mut object);
        let path = path(plane, &object);
        let live = plane.get(&path);
        let is_present = documents(self.shape.cluster()).iter().any(|one| {
            one["kind"] == object["kind"] && one["metadata"]["name"] == object["metadata"]["name"]
        });
        let is_left = !wishes.is_applied() || wishes.apply == Apply::IfNotPresent && is_present;
        if is_left {
            let is_managed = live.is_ok_and(|live| {
                let managers = live["metadata"]["managedFields"].as_array().cloned();
                managers.into_iter().flatten().any(|one| one["manager"] == MANAGER)
            });
            return if is_managed { Err(format!("{name} is applied")) } else { Ok(()) };
        }
        let live = live.map_err(|error| format!("{name}: {error}"))?;
        let ours = plane.dry_run(&path, object.to_string(), MANAGER);
        let ours = ours.map_err(|error| format!("{name}: {error}"))?;
        if live == ours { Ok(()) } else { Err(difference(&name, &live, &ours)) }
    }

    /// What was rendered before, is not any more, and is there or gone against its wishes.
    fn unpruned(&self, plane: &ControlPlane, now: &[(ObjectId, bool)]) -> Vec<String> {
        let ids =
            |list: &[(ObjectId, bool)]| list.iter().map(|one| one.0.clone()).collect::<Vec<_>>();
        let (before, now) = (ids(&self.before), ids(now));
        let pruned = |id: &ObjectId| self.before.iter().any(|one| one.0 == *id && one.1);
        let problem = |id: &&ObjectId| {
            let core = json!({
                "apiVersion": "v1",
                "kind": id.kind.as_str(),
                "metadata": { "name": id.name.as_str(), "namespace": id.namespace.as_str() },
            });
            plane.get(&path(plane, &core)).is_ok() == pruned(id)
        };
        let wrong = gone(&before, &now).into_iter().filter(problem);
        wrong.map(|id| format!("{id}: whether it is pruned")).collect()
    }
}

fn difference(name: &str, theirs: &Value, ours: &Value) -> String {
    let (theirs, ours) = (format!("{theirs:#}\n"), format!("{ours:#}\n"));
    let diff = TextDiff::from_lines(&theirs, &ours);
    format!("{name}: - is Flux's, + ours\n{}", diff.unified_diff())
}

/// The documents of a text as JSON.
fn documents(text: &str) -> Vec<Value> {
    let documents = yaml::read(text.as_bytes(), &"text".into(), &Limits::default()).unwrap();
    documents.iter().map(|one| json::to_json(one).unwrap()).collect()
}

/// Where the API server has an object, as it says itself.
fn path(plane: &ControlPlane, object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let group = match version.contains('/') {
        true => format!("/apis/{version}"),
        false => format!("/api/{version}"),
    };
    let kinds = plane.get(&group).unwrap();
    let is_it =
        |kind: &&Value| kind["kind"] == object["kind"] && !text(&kind["name"]).contains('/');
    let kind = kinds["resources"].as_array().unwrap().iter().find(is_it);
    let kind = kind.unwrap_or_else(|| panic!("{} has no {}", group, object["kind"]));
    let (plural, name) = (text(&kind["name"]), text(&object["metadata"]["name"]));
    let name = name.replace(':', "%3A");
    match kind["namespaced"] == true {
        true => {
            format!("{group}/namespaces/{}/{plural}/{name}", text(&object["metadata"]["namespace"]))
        }
        false => format!("{group}/{plural}/{name}"),
    }
}
