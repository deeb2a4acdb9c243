//! Asks the server what Flux would change, object by object, and writes nothing: applying and deleting are both
//! dry runs.
//!
//! Requests are made as kustomize-controller makes them, under its name and, where the caller says so, in the place of the
//! service account that it would impersonate.
//!
//! Source: kustomize-controller 1.9 `internal/controller/kustomization_controller.go` (`apply`, `prune`);
//! fluxcd/pkg `ssa/manager_diff.go`, `ssa/manager_apply.go`, `ssa/manager_delete.go`.

use std::collections::BTreeSet;

use futures::StreamExt;
use http::Method;
use serde_json::{Value as Json, json};

use super::Locate;
use super::ask::is_fatal;
use super::discovery::{Kind, Kinds};
use super::explain::{self, Asked};
use super::request::{AT_ONCE, Call, Failure, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::flux::api::{GROUP, Kustomization};
use crate::flux::drift::{Ignored, has_drifted};
use crate::flux::inventory::{self, ObjectId};
use crate::flux::marks::{Apply, Wishes};
use crate::flux::normalize;
use crate::inventory::Key;
use crate::json;
use crate::limits::Limits;
use crate::resource::{Origin, Resource};
use crate::yaml::Step;

/// The name under which Flux owns fields. Source: kustomize-controller `main.go`.
const MANAGER: &str = "kustomize-controller";

/// The kinds that a server knows.
pub struct Known(Kinds);

impl Known {
    /// Asks the server.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn ask(server: &Server) -> Result<Self> {
        Kinds::discover(server).await.map(Self).map_err(|failure| {
            explain::connection(&failure, &server.address, server.context.as_deref())
        })
    }
}

/// What other objects bring that are applied before: objects in or of these need not be known to the server yet.
#[derive(Clone, Debug, Default)]
pub struct Coming {
    namespaces: BTreeSet<String>,
    /// Groups and kinds.
    kinds: BTreeSet<(String, String)>,
}

impl Coming {
    /// Notes what an object brings.
    pub fn add(&mut self, resource: &Resource) {
        let text = |path: &[&str]| resource.value.text_at(path).unwrap_or_default().to_owned();
        let gvk = resource.gvk();
        match (gvk.group.as_str(), gvk.kind.as_str()) {
            ("", "Namespace") => {
                self.namespaces.insert(resource.name().to_owned());
            }
            ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                let kind = text(&["spec", "names", "kind"]);
                self.kinds.insert((text(&["spec", "group"]), kind));
            }
            _ => {}
        }
    }
}

/// What is asked.
pub struct Wanted<'a> {
    /// Whose objects they are.
    pub owner: &'a Kustomization,
    /// The objects.
    pub resources: &'a [Resource],
    /// What was applied before.
    pub before: &'a [ObjectId],
    /// What others bring.
    pub coming: &'a Coming,
    /// Whether objects are made anew where a field cannot be changed, if they or their owner say so.
    pub forces: bool,
    /// Whether the server is asked about deletions too; else they are only named.
    pub tries_deletions: bool,
    /// Finds lines for messages.
    pub locate: &'a Locate<'a>,
}

/// What would become of an object.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It would be made.
    Created,
    /// It would be changed.
    Drifted {
        /// As it is.
        live: Json,
        /// As it would be.
        merged: Json,
        /// What is sent.
        sent: Json,
    },
    /// It would be deleted and made anew.
    Recreated {
        /// As it is.
        live: Json,
        /// What is sent.
        sent: Json,
        /// Why changing it does not do.
        reason: String,
    },
    /// It is as it should be.
    Unchanged,
    /// It asks not to be applied.
    Skipped,
}

/// What would become of an object that is gone from the source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Deletion {
    /// It would be deleted.
    Deleted,
    /// It is not there any more.
    Gone,
    /// It stays; why.
    Stays(&'static str),
}

/// All answers, in the order in which objects are rendered and deleted.
#[derive(Debug, Default)]
pub struct Drift {
    /// Of the objects, by their place among them.
    pub objects: Vec<Result<Standing>>,
    /// Of those that are gone from the source; nothing where one of the objects failed.
    pub deletions: Vec<(ObjectId, Result<Deletion>)>,
}

/// Asks about all objects of a Kustomization.
///
/// # Errors
/// Where the server cannot be asked at all.
pub async fn drift(server: &Server, known: &Known, wanted: &Wanted<'_>) -> Result<Drift> {
    let ignored = Ignored::new(&wanted.owner.ignore, &Limits::PERSON)?;
    let asking = Asking { server, kinds: &known.0, wanted, ignored };
    let asked: Vec<_> = wanted.resources.iter().map(|one| asking.object(one)).collect();
    let mut answers = futures::stream::iter(asked).buffered(AT_ONCE);
    let mut drift = Drift::default();
    while let Some(answer) = answers.next().await {
        match answer {
            Err(error) if is_fatal(&error) => return Err(error),
            answer => drift.objects.push(answer),
        }
    }
    // As Flux: what could not be applied is no reason to delete anything.
    if wanted.owner.prune && drift.objects.iter().all(Result::is_ok) {
        drift.deletions = asking.deletions().await;
    }
    Ok(drift)
}

struct Asking<'a> {
    server: &'a Server,
    kinds: &'a Kinds,
    wanted: &'a Wanted<'a>,
    ignored: Ignored,
}

/// An object on its way to the server.
struct Sending<'a> {
    resource: &'a Resource,
    kind: &'a Kind,
    key: Key,
    body: Json,
}

impl Asking<'_> {
    async fn object(&self, resource: &Resource) -> Result<Standing> {
        let wishes = Wishes::of(resource);
        if !wishes.is_applied() {
            return Ok(Standing::Skipped);
        }
        let gvk = resource.gvk();
        let Some(kind) = self.kinds.find(&gvk.group, &gvk.version, &gvk.kind) else {
            return self.unknown(resource);
        };
        let sending = self.sending(resource, kind)?;
        let live =
            self.find(&sending.key, kind).await.map_err(|f| self.explain(&f, "get", &sending))?;
        let there = live.as_ref().map(|live| Wishes::of(&read(live))).unwrap_or_default();
        let only_where_absent = live.is_some() && wishes.apply == Apply::IfNotPresent;
        if !there.is_applied() || only_where_absent {
            return Ok(Standing::Skipped);
        }
        let is_forced = wishes.forced || there.forced;
        let path =
            format!("{}?fieldManager={MANAGER}&force=true&dryRun=All", kind.path(&sending.key));
        match (self.server.call(&Call::apply(path, &sending.body)).await, live) {
            (Ok(merged), Some(live)) => Ok(self.compared(sending, live, merged)),
            (Ok(_), None) => Ok(Standing::Created),
            (Err(failure), live) => self.refused(failure, sending, live, is_forced).await,
        }
    }

    /// What a dry run comes to.
    fn compared(&self, sending: Sending<'_>, live: Json, merged: Json) -> Standing {
        let ignored: Vec<&str> = self.ignored.paths(sending.resource).collect();
        if has_drifted(&live, &merged, &ignored) {
            Standing::Drifted { live, merged, sent: sending.body }
        } else {
            Standing::Unchanged
        }
    }

    fn sending<'s>(&self, resource: &'s Resource, kind: &'s Kind) -> Result<Sending<'s>> {
        let mut body = json::to_json(&resource.value)?;
        normalize::object(&mut body);
        normalize::drop_broken_bundle(&mut body);
        let namespace = if kind.is_namespaced { resource.namespace() } else { "" };
        let key = Key {
            group: kind.group.clone(),
            kind: resource.kind().to_owned(),
            namespace: namespace.to_owned(),
            name: resource.name().to_owned(),
        };
        if kind.is_namespaced && namespace.is_empty() {
            let place = (self.wanted.locate)(&resource.origin, &[Step::Key("metadata")]);
            let message = format!("{} namespace not specified", subject(resource));
            let error = Error::new(ErrorKind::Invalid, place, message);
            return Err(error.hint("set it, or spec.targetNamespace of the Kustomization"));
        }
        Ok(Sending { resource, kind, key, body })
    }

    fn unknown(&self, resource: &Resource) -> Result<Standing> {
        let gvk = resource.gvk();
        let kinds = &self.wanted.coming.kinds;
        if kinds.contains(&(gvk.group.to_string(), gvk.kind.to_string())) {
            return Ok(Standing::Created);
        }
        let place = (self.wanted.locate)(&resource.origin, &[Step::Key("kind")]);
        let (version, kind) = (gvk.api_version(), &gvk.kind);
        let message = format!(
            "{} dry-run failed: no matches for kind \"{kind}\" in version \"{version}\"",
            subject(resource)
        );
        Err(Error::new(ErrorKind::Missing, place, message)
            .hint("its CustomResourceDefinition is neither in the cluster nor in what is rendered"))
    }

    async fn find(&self, key: &Key, kind: &Kind) -> std::result::Result<Option<Json>, Failure> {
        self.server.find(&kind.path(key)).await
    }

    /// What it means that the server refuses to apply an object.
    async fn refused(
        &self,
        failure: Failure,
        sending: Sending<'_>,
        live: Option<Json>,
        is_forced: bool,
    ) -> Result<Standing> {
        let Some(status) = failure.status() else {
            return Err(self.explain(&failure, "patch", &sending));
        };
        let is_namespace = status.code == 404 && status.kind == "namespaces";
        if is_namespace && self.wanted.coming.namespaces.contains(&sending.key.namespace) {
            return Ok(Standing::Created);
        }
        if is_namespace {
            let place = (self.wanted.locate)(&sending.resource.origin, &[]);
            let message = format!("{} not found: {}", subject(sending.resource), status.message);
            return Err(Error::new(ErrorKind::Missing, place, message));
        }
        let is_immutable =
            matches!(status.code, 409 | 422) || normalize::is_immutable(&status.message);
        let is_forced = self.wanted.forces && (is_forced || self.wanted.owner.force);
        let error = self.explain(&failure, "patch", &sending);
        match live {
            Some(live) if is_immutable && is_forced => {
                // It would be deleted first: whoever may not, cannot.
                self.delete(&sending.key, sending.kind).await?;
                Ok(Standing::Recreated {
                    live,
                    sent: sending.body,
                    reason: error.message().to_owned(),
                })
            }
            _ => Err(error),
        }
    }

    fn explain(&self, failure: &Failure, verb: &str, sending: &Sending<'_>) -> Error {
        let sent = crate::plan::Object {
            key: sending.key.clone(),
            version: sending.kind.version.clone(),
            body: Json::Null,
            origin: sending.resource.origin.clone(),
            fields: String::new(),
        };
        let resource = sending.kind.resource();
        explain::resource(failure, self.server, verb, &resource, &sent, self.wanted.locate)
    }

    /// What is gone from the source, in the order in which Flux deletes.
    async fn deletions(&self) -> Vec<(ObjectId, Result<Deletion>)> {
        let rendered: Vec<ObjectId> = self.wanted.resources.iter().map(ObjectId::of).collect();
        let mut gone: Vec<&ObjectId> = inventory::gone(self.wanted.before, &rendered);
        gone.sort_by(|one, other| inventory::order(other, one));
        let asked = gone.into_iter().map(|id| async move { (id.clone(), self.deletion(id).await) });
        let asked: Vec<_> = asked.collect();
        futures::stream::iter(asked).buffered(AT_ONCE).collect().await
    }

    async fn deletion(&self, id: &ObjectId) -> Result<Deletion> {
        if !self.wanted.tries_deletions {
            return Ok(Deletion::Deleted);
        }
        // Where its kind is gone, so is the object.
        let Some(kind) = self.kinds.near(&id.group, "", &id.kind) else {
            return Ok(Deletion::Gone);
        };
        let key = Key {
            group: id.group.to_string(),
            kind: id.kind.to_string(),
            namespace: if kind.is_namespaced { id.namespace.to_string() } else { String::new() },
            name: id.name.to_string(),
        };
        let live = self.find(&key, kind).await;
        let live = live.map_err(|failure| self.explain_deletion(&failure, "get", kind, &key))?;
        let Some(live) = live else { return Ok(Deletion::Gone) };
        if !self.is_ours(&live) {
            return Ok(Deletion::Stays("it belongs to another Kustomization by now"));
        }
        if !Wishes::of(&read(&live)).is_pruned() {
            return Ok(Deletion::Stays("it asks to be left alone"));
        }
        self.delete(&key, kind).await.map(|()| Deletion::Deleted)
    }

    /// Whether its labels name our Kustomization.
    fn is_ours(&self, live: &Json) -> bool {
        let meta = &self.wanted.owner.meta;
        let label = |name: &str| live["metadata"]["labels"][format!("{GROUP}/{name}")].as_str();
        label("name") == Some(&*meta.name) && label("namespace") == Some(&*meta.namespace)
    }

    /// Asks whether an object could be deleted.
    async fn delete(&self, key: &Key, kind: &Kind) -> Result<()> {
        // With a body, the server looks for options nowhere else.
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "propagationPolicy": "Background", "dryRun": ["All"],
        });
        let call = Call::send(Method::DELETE, format!("{}?dryRun=All", kind.path(key)), &options);
        match self.server.call(&call).await {
            Ok(_) => Ok(()),
            Err(Failure::Status(status)) if status.code == 404 => Ok(()),
            Err(failure) => Err(self.explain_deletion(&failure, "delete", kind, key)),
        }
    }

    fn explain_deletion(&self, failure: &Failure, verb: &str, kind: &Kind, key: &Key) -> Error {
        let resource = kind.resource();
        let asked = Asked { verb, resource: &resource, key, place: None };
        explain::object(failure, self.server, &asked)
    }
}

/// `Kind/namespace/name`, as Flux names objects.
fn subject(resource: &Resource) -> String {
    match resource.namespace() {
        "" => format!("{}/{}", resource.kind(), resource.name()),
        namespace => format!("{}/{namespace}/{}", resource.kind(), resource.name()),
    }
}

/// An object of the server, to be asked for its wishes.
fn read(live: &Json) -> Resource {
    Resource::new(json::from_json(live), Origin { file: "the cluster".into(), document: 0 })
}
