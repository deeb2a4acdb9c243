//! `flux diff --live`: what Flux would change in the cluster once it has what is in the working tree.
//!
//! Each Kustomization is asked about as the service account that Flux would apply it as. Applying and deleting are both
//! dry runs, so that admission and rights have their say, and nothing is written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use overlay::cluster::drift::{Coming, Deletion, Drift, Known, Standing, Wanted, drift};
use overlay::cluster::{Server, flux};
use overlay::error::{Error, ErrorKind, Place, Result, Warned, Warning};
use overlay::files::Disk;
use overlay::flux::Rendered;
use overlay::flux::api::Kustomization;
use overlay::flux::discover::drawing::named;
use overlay::flux::discover::{Asked, Found, Node, Outcome};
use overlay::flux::drift::{self as differences, Ignored};
use overlay::flux::helm::Earlier;
use overlay::flux::inventory::ObjectId;
use overlay::flux::report::{self, folder_line, line};
use overlay::flux::shown as status;
use overlay::flux::veil::{self, Veils};
use overlay::resource::Origin;
use overlay::yaml::Step;
use overlay::{Limits, Resource, json as objects};
use serde_json::{Value as Json, json};

use super::cluster::{self, Cluster, Need};
use super::rendered::{formatted, left_out};
use super::repository::{Checkout, Choice, Rules, Secrets, shown};
use super::tree::resource;
use crate::args::{Connection, FluxDiff, Inputs};
use crate::commands::session;
use crate::exit;
use crate::output::{Console, failure, visible};
use crate::settings::Settings;

/// Kustomizations that are asked about at the same time, as many as Flux reconciles.
///
/// Source: kustomize-controller `main.go`, `--concurrent`.
const AT_ONCE: usize = 4;

/// One run of the command.
struct Run<'a> {
    args: &'a FluxDiff,
    /// Whether the user asks in somebody's place already.
    is_impersonating: bool,
    settings: &'a Settings,
    console: &'a Console,
    cluster: &'a Cluster,
}

/// How Kustomizations are rendered: as they are applied, with what is encrypted masked, and with stand-ins for all that
/// is secret.
struct Ways<'a> {
    real: Rules<'a>,
    masked: Rules<'a>,
    veiled: Rules<'a>,
}

/// A Kustomization that is asked about.
struct Job<'n> {
    node: &'n Node,
    rendered: &'n Rendered,
    /// The same with stand-ins for secrets.
    stood_in: Option<&'n Node>,
    coming: &'n Coming,
}

/// A Kustomization, and what the cluster says about it.
struct Answer<'a> {
    node: &'a Node,
    /// Whom it was asked about as.
    account: Option<String>,
    objects: Vec<Object>,
    errors: Vec<Error>,
}

/// An object that would not stay as it is.
struct Object {
    id: ObjectId,
    /// `created` and so on.
    change: &'static str,
    /// What a person sees of it.
    text: String,
    changes: Vec<differences::Change>,
    reason: Option<String>,
}

/// Runs it; 1 says that there are changes.
///
/// # Errors
/// Where a name or a path is not there, or the cluster cannot be asked.
pub fn run(
    args: &FluxDiff,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    cluster::with(Need::Required, connection, settings, console, |cluster| {
        let Some(cluster) = cluster else { return Ok(exit::USAGE) };
        let is_impersonating = connection.impersonate.is_some();
        Run { args, is_impersonating, settings, console, cluster }.run()
    })
}

impl Run<'_> {
    fn run(&self) -> Result<u8> {
        let progress = &self.cluster.progress;
        let mut choice = Choice::of(&self.args.chosen, self.settings)?;
        progress.begin("rendering");
        let mut inputs = self.args.inputs.clone();
        // It is at hand.
        inputs.ask_cluster = true;
        let ways = self.ways(&inputs, &choice)?;
        let render = |choice: &Choice| self.render(choice, &ways);
        let (found, stand_ins) = choice.settle(self.settings, render, |(found, _)| vec![found])?;
        progress.end();
        found.warnings.iter().for_each(|warning| self.console.warn(warning));
        if let Err(error) = choice.check(&[&found]) {
            found.problems.iter().for_each(|problem| self.console.error(problem));
            return Err(error);
        }
        one_cluster(&found, &choice)?;
        let coming = coming(&found, &choice);
        let mut jobs = Vec::new();
        for node in found.nodes.iter().filter(|node| choice.takes(node)) {
            let Outcome::Rendered(rendered) = &node.outcome else { continue };
            if !self.is_here(node) {
                continue;
            }
            let stood_in = stand_ins.nodes.iter().find(|other| same(other, node));
            jobs.push(Job { node, rendered, stood_in, coming: &coming });
        }
        let answers = self.cluster.wait(self.ask_all(jobs))?;
        progress.end();
        self.show(&found, &choice, &answers)
    }

    /// Whether the cluster that is asked is the one that a Kustomization is applied to.
    fn is_here(&self, node: &Node) -> bool {
        let name = shown(node);
        if node.object.kube_config.is_some() {
            self.console.say_line(format_args!("{name} is applied to another cluster: left out"));
            return false;
        }
        if node.object.suspend {
            let message = "is suspended: Flux applies it once it is resumed";
            self.console.say_line(format_args!("{name} {message}"));
        }
        true
    }

    fn ways<'i>(&'i self, inputs: &'i Inputs, choice: &Choice) -> Result<Ways<'i>> {
        let rules = |secrets| {
            let rules = Rules::new(inputs, secrets, Some(self.cluster), self.settings);
            rules.map(|rules| rules.remembering_for(choice, self.settings))
        };
        Ok(Ways {
            real: rules(Secrets::Revealed)?,
            masked: rules(Secrets::Masked)?,
            veiled: rules(Secrets::StandIns)?,
        })
    }

    /// All Kustomizations as they are applied, and with stand-ins for all that is secret.
    fn render(&self, choice: &Choice, ways: &Ways<'_>) -> Result<(Found, Found)> {
        let checkout =
            Checkout::around(&choice.path, &self.args.chosen.local_sources, self.settings)?;
        let source = checkout.tree()?;
        let limits = ways.real.options.limits;
        let earlier = Earlier::default();
        ways.real.with_beyond(&self.args.chosen, None, &earlier, |beyond| {
            let found =
                checkout.discover(&source, &limits, &|asked| ways.revealed(asked), beyond)?;
            let stand_ins = match found.nodes.iter().any(|node| node.object.has_secrets()) {
                true => checkout.discover(
                    &source,
                    &limits,
                    &|asked| ways.veiled.render(asked),
                    beyond,
                )?,
                false => Found::default(),
            };
            Ok((found, stand_ins))
        })
    }

    /// Asks about all of them, some at the same time; answers come in the order of the jobs.
    async fn ask_all<'n>(&self, jobs: Vec<Job<'n>>) -> Result<Vec<Answer<'n>>> {
        let known = Known::ask(&self.cluster.server).await?;
        let (done, all) = (Cell::new(0), jobs.len());
        let tell = || {
            let progress = &self.cluster.progress;
            progress.begin(&format!("asked about {} of {all} Kustomizations", done.get()));
        };
        let (known, done, tell) = (&known, &done, &tell);
        tell();
        let asked = jobs.into_iter().map(|job| async move {
            let answer = self.ask(job, known).await;
            done.set(done.get() + 1);
            tell();
            answer
        });
        let asked: Vec<_> = asked.collect();
        stream::iter(asked).buffered(AT_ONCE).try_collect().await
    }

    async fn ask<'n>(&self, job: Job<'n>, known: &Known) -> Result<Answer<'n>> {
        let Job { node, rendered, stood_in, coming } = job;
        let object = &node.object;
        let (namespace, name) = (&object.meta.namespace, &object.meta.name);
        let live = flux::kustomization(&self.cluster.server, namespace, name).await?;
        let before = live.as_ref().map(status::inventory).transpose()?.unwrap_or_default();
        let account = self.account(object);
        let server = account.as_ref().map(|account| self.cluster.server.as_user(account.clone()));
        let server = server.as_ref().unwrap_or(&self.cluster.server);
        let resources: Vec<Resource> = rendered.resources.iter().cloned().collect();
        let drift = self.drift(server, known, object, &resources, &before, coming).await?;
        let mut answer = Answer { node, account, objects: Vec::new(), errors: Vec::new() };
        let veils = veils(object, stood_in);
        for (resource, standing) in resources.iter().zip(drift.objects) {
            match standing {
                Ok(standing) => answer.objects.extend(seen(object, resource, standing, &veils)?),
                Err(error) => answer.errors.push(hidden(error, resource, &veils)?),
            }
        }
        for (id, deletion) in drift.deletions {
            match deletion {
                Ok(deletion) => answer.objects.extend(gone(id, deletion)),
                Err(error) => answer.errors.push(error),
            }
        }
        Ok(answer)
    }

    async fn drift(
        &self,
        server: &Server,
        known: &Known,
        owner: &Kustomization,
        resources: &[Resource],
        before: &[ObjectId],
        coming: &Coming,
    ) -> Result<Drift> {
        let (files, settings) = (Disk::new(self.settings.directory.clone()), self.settings);
        let locate =
            |origin: &Origin, path: &[Step<'_>]| session::locate(&files, settings, origin, path);
        let wanted = Wanted {
            owner,
            resources,
            before,
            coming,
            forces: true,
            tries_deletions: true,
            locate: &locate,
        };
        drift(server, known, &wanted).await
    }

    /// The user that Flux would apply a Kustomization as, where that is not the controller itself.
    ///
    /// Source: fluxcd/pkg `runtime/client/impersonation.go`.
    fn account(&self, object: &Kustomization) -> Option<String> {
        if !self.args.as_service_account || self.is_impersonating {
            return None;
        }
        let own = Some(object.service_account_name.as_str()).filter(|name| !name.is_empty());
        let name = own.or(self.args.default_service_account.as_deref())?;
        Some(format!("system:serviceaccount:{}:{name}", object.meta.namespace))
    }

    fn show(&self, found: &Found, choice: &Choice, answers: &[Answer<'_>]) -> Result<u8> {
        let chosen = found.nodes.iter().filter(|node| choice.takes(node));
        let unrendered = chosen.filter_map(|node| match &node.outcome {
            Outcome::Failed(error) => Some(error),
            _ => None,
        });
        let unrendered: Vec<_> = unrendered.collect();
        match self.args.output {
            Some(format) => self.console.print(&formatted(&data(answers, &unrendered), format)?),
            None => answers.iter().for_each(|answer| self.console.print(&text(answer))),
        }
        let failed = unrendered.into_iter();
        let failed: Vec<_> =
            failed.chain(answers.iter().flat_map(|answer| &answer.errors)).collect();
        failed.iter().for_each(|error| self.console.error(error));
        if choice.names.is_empty() {
            found.elsewhere.iter().for_each(|error| left_out(error, self.console));
        }
        for object in answers.iter().flat_map(|answer| &answer.objects) {
            if let Some(reason) = &object.reason {
                let name = named(&object.id);
                self.console.say_line(visible(&format!("{name} {}: {reason}", object.change)));
            }
        }
        let changes = answers.iter().flat_map(|answer| &answer.objects);
        let has_changes = changes.into_iter().any(|object| is_change(object.change));
        Ok(match (failed.is_empty(), has_changes) {
            (false, _) => exit::USAGE,
            (true, true) => exit::CHANGES,
            (true, false) => exit::OK,
        })
    }
}

impl Ways<'_> {
    /// Renders as Flux does, or masked where none of the keys at hand is the right one: then Secrets are compared by the
    /// names of their entries alone.
    fn revealed(&self, asked: &Asked<'_>) -> Warned<Result<Rendered>> {
        let rendered = self.real.render(asked);
        let Err(error) = &rendered.output else { return rendered };
        if asked.object.decryption.is_none() {
            return rendered;
        }
        let mut other = self.masked.render(asked);
        if other.output.is_err() {
            return rendered;
        }
        let message = format!(
            "compared by the names of its entries, since it does not decrypt: {}",
            error.message()
        );
        other.warnings.push(Warning { place: error.places()[0].clone(), message });
        other
    }
}

fn same(one: &Node, other: &Node) -> bool {
    let meta = |node: &Node| (node.object.meta.namespace.clone(), node.object.meta.name.clone());
    meta(one) == meta(other)
}

/// Refuses a repository of several clusters: the one that is asked can only be one of them.
fn one_cluster(found: &Found, choice: &Choice) -> Result<()> {
    let mut seen: BTreeMap<String, &Node> = BTreeMap::new();
    for node in found.nodes.iter().filter(|node| choice.takes(node)) {
        let Some(other) = seen.insert(shown(node), node) else { continue };
        let place = |node: &Node| node.object.meta.place.clone();
        let here = place(node).unwrap_or_else(|| Place::file(shown(node)));
        let there = place(other).map_or_else(String::new, |place| format!(", in {place}"));
        let message = format!("{} is there twice{there}: as of two clusters", shown(node));
        return Err(Error::new(ErrorKind::Invalid, here, message)
            .hint("name the directory of the cluster that is asked, as in `flux diff clusters/production --live`"));
    }
    Ok(())
}

/// What all Kustomizations of the cluster that is asked bring: those that are chosen, and what hangs with them on a root.
fn coming(found: &Found, choice: &Choice) -> Coming {
    let chosen = found.nodes.iter().enumerate().filter(|(_, node)| choice.takes(node));
    let roots: BTreeSet<usize> = chosen.map(|(index, _)| found.root(index)).collect();
    let mut coming = Coming::default();
    for (index, node) in found.nodes.iter().enumerate() {
        if roots.contains(&found.root(index)) {
            node.resources().for_each(|resource| coming.add(resource));
        }
    }
    coming
}

/// What has to be hidden of a Kustomization's objects, given the same with stand-ins.
fn veils<'n>(object: &Kustomization, stood_in: Option<&'n Node>) -> Veils<'n> {
    Veils::new(object.has_secrets().then(|| stood_in.into_iter().flat_map(Node::resources)))
}

/// An error about an object without what is secret in it.
fn hidden(error: Error, resource: &Resource, veils: &Veils<'_>) -> Result<Error> {
    let object = objects::to_json(&resource.value)?;
    let veil = veils.of(resource)?;
    Ok(error.reworded(&|text| veil.hide_in(text, &object)))
}

/// What a person sees of an object; nothing where it stays as it is.
fn seen(
    owner: &Kustomization,
    resource: &Resource,
    standing: Standing,
    veils: &Veils<'_>,
) -> Result<Option<Object>> {
    let id = ObjectId::of(resource);
    let subject = named(&id);
    let plain = |id, change, text| Object { id, change, text, changes: Vec::new(), reason: None };
    let (live, merged, sent, reason) = match standing {
        Standing::Unchanged => return Ok(None),
        Standing::Created => {
            let text = line(&subject, report::Standing::Created);
            return Ok(Some(plain(id, "created", text)));
        }
        Standing::Skipped => {
            let text = line(&subject, report::Standing::Skipped);
            return Ok(Some(plain(id, "skipped", text)));
        }
        Standing::Drifted { live, merged, sent } => (live, merged, sent, None),
        Standing::Recreated { live, sent, reason } => (live, sent.clone(), sent, Some(reason)),
    };
    let ignored = Ignored::new(&owner.ignore, &Limits::default())?;
    let ignored: Vec<&str> = ignored.paths(resource).collect();
    let veil = veils.of(resource)?;
    let reason = reason.map(|reason| veil.hide_in(&reason, &sent));
    let text = report::drifted(&subject, (&live, &merged), &sent, &ignored, &veil)?;
    let Some(text) = text else { return Ok(None) };
    let (before, after) = veil::pair(Some(&live), Some(&merged), &veil);
    let changes = differences::differences(&before.unwrap_or_default(), &after.unwrap_or_default());
    Ok(Some(match reason {
        None => Object { id, change: "drifted", text, changes, reason },
        Some(_) => {
            let text = text.replacen(" drifted\n", " recreated\n", 1);
            Object { id, change: "recreated", text, changes, reason }
        }
    }))
}

fn gone(id: ObjectId, deletion: Deletion) -> Option<Object> {
    let (change, text, reason) = match deletion {
        Deletion::Gone => return None,
        Deletion::Deleted => ("deleted", line(&named(&id), report::Standing::Deleted), None),
        Deletion::Stays(reason) => ("kept", String::new(), Some(reason.to_owned())),
    };
    Some(Object { id, change, text, changes: Vec::new(), reason })
}

fn is_change(change: &str) -> bool {
    !matches!(change, "skipped" | "kept")
}

fn text(answer: &Answer<'_>) -> String {
    let parts: String = answer.objects.iter().map(|object| object.text.as_str()).collect();
    if parts.is_empty() {
        return String::new();
    }
    let is_changed = answer.objects.iter().any(|object| is_change(object.change));
    let word = if is_changed { "changed" } else { "unchanged" };
    visible(&format!("{}{parts}", folder_line(&shown(answer.node), word)))
}

fn data(answers: &[Answer<'_>], unrendered: &[&Error]) -> Json {
    let object = |object: &Object| {
        let mut entry = resource(&object.id);
        entry["change"] = object.change.into();
        if !object.changes.is_empty() {
            let changes = object.changes.iter();
            entry["differences"] = changes.map(differences::Change::operation).collect();
        }
        if let Some(reason) = &object.reason {
            entry["reason"] = reason.as_str().into();
        }
        entry
    };
    let kustomization = |answer: &Answer<'_>| {
        let meta = &answer.node.object.meta;
        json!({
            "namespace": meta.namespace.as_str(),
            "name": meta.name.as_str(),
            "askedAs": answer.account,
            "objects": answer.objects.iter().map(object).collect::<Vec<_>>(),
            "problems": answer.errors.iter().map(failure).collect::<Vec<_>>(),
        })
    };
    json!({
        "kustomizations": answers.iter().map(kustomization).collect::<Vec<_>>(),
        "problems": unrendered.iter().map(|error| failure(error)).collect::<Vec<_>>(),
    })
}
