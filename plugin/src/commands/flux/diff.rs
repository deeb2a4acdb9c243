//! `flux diff kustomization`: shows what the `flux` program of that name shows.
//!
//! As there, the user asks the cluster and not the service account of the Kustomization, objects that would be made anew
//! are failures, and deletions are named without asking for them; `flux diff --live` does all of these.

use std::path::Path;
use std::sync::Arc;

use overlay::cluster::drift::{Coming, Deletion, Known, Standing, Wanted, drift};
use overlay::error::{Error, Result};
use overlay::files::Disk;
use overlay::flux::api::Kustomization;
use overlay::flux::discover::drawing::named;
use overlay::flux::drift::Ignored;
use overlay::flux::inventory::ObjectId;
use overlay::flux::report::{self, folder, line};
use overlay::flux::veil::Veil;
use overlay::flux::{local, shown};
use overlay::resource::Origin;
use overlay::yaml::Step;
use overlay::{Limits, Resource};

use super::build::{self, Job};
use super::cluster::{self, Cluster, Need};
use crate::args::{Connection, FluxDiffKustomization};
use crate::commands::session;
use crate::exit;
use crate::output::{Console, visible};
use crate::settings::Settings;

/// The namespace of Flux's own objects, where none is given.
const NAMESPACE: &str = "flux-system";

/// What is shown, and what is said.
#[derive(Default)]
struct Report {
    text: String,
    has_changed: bool,
    errors: Vec<Error>,
}

/// Runs it; 1 says that there are changes.
///
/// # Errors
/// Where something that is named does not exist, or does not build, or the cluster cannot be asked.
pub fn run(
    args: &FluxDiffKustomization,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let (path, file) = build::check(&args.local, settings)?;
    let namespace = connection.namespace.as_deref().unwrap_or(NAMESPACE);
    let job = Job { args: &args.local, asks: true, settings, console };
    let given = file.as_ref().map(|file| job.read(file, namespace)).transpose()?;
    let report = cluster::with(Need::Required, connection, settings, console, |cluster| {
        let Some(cluster) = cluster else { return Ok(Report::default()) };
        let live = cluster.kustomization(namespace, &args.local.name)?;
        let kustomization = match (given, live) {
            (Some(given), Some(live)) => Kustomization { status: live.status, ..given },
            (Some(given), None) if args.ignore_not_found => given,
            (None, Some(live)) => live,
            (_, None) => {
                return build::find(cluster, namespace, &args.local.name)
                    .map(|_| Report::default());
            }
        };
        let known = cluster.wait(Known::ask(&cluster.server))?;
        let comparison = Comparison { job, cluster, known: Arc::new(known) };
        comparison.level(&kustomization, &path, &mut Vec::new())
    })?;
    console.print(&visible(&report.text));
    report.errors.iter().for_each(|error| console.error(error));
    Ok(match (report.errors.is_empty(), report.has_changed) {
        (false, _) => exit::USAGE,
        (true, true) => exit::CHANGES,
        (true, false) => exit::OK,
    })
}

struct Comparison<'a> {
    job: Job<'a>,
    cluster: &'a Cluster,
    known: Arc<Known>,
}

impl Comparison<'_> {
    /// A Kustomization, and those within it that are in the cluster.
    fn level(
        &self,
        kustomization: &Kustomization,
        path: &Path,
        above: &mut Vec<ObjectId>,
    ) -> Result<Report> {
        let resources = self.job.build(kustomization, path, false, Some(self.cluster))?;
        let (files, settings) = (Disk::new(self.job.settings.directory.clone()), self.job.settings);
        let locate =
            |origin: &Origin, path: &[Step<'_>]| session::locate(&files, settings, origin, path);
        let before = shown::inventory(kustomization)?;
        let wanted = Wanted {
            owner: kustomization,
            resources: &resources,
            before: &before,
            coming: &Coming::default(),
            forces: false,
            tries_deletions: false,
            locate: &locate,
        };
        let drift = self.cluster.wait(drift(&self.cluster.server, &self.known, &wanted))?;
        let mut report = Report::default();
        for (resource, standing) in resources.iter().zip(drift.objects) {
            match standing {
                Ok(standing) => {
                    self.object(kustomization, resource, &standing, above, &mut report)?;
                }
                Err(error) => report.errors.push(error),
            }
        }
        for (id, deletion) in drift.deletions {
            if deletion? == Deletion::Deleted {
                report.has_changed = true;
                report.text.push_str(&line(&named(&id), report::Standing::Deleted));
            }
        }
        Ok(report)
    }

    fn object(
        &self,
        kustomization: &Kustomization,
        resource: &Resource,
        standing: &Standing,
        above: &mut Vec<ObjectId>,
        report: &mut Report,
    ) -> Result<()> {
        let id = ObjectId::of(resource);
        let subject = named(&id);
        match standing {
            Standing::Created => {
                report.has_changed = true;
                report.text.push_str(&line(&subject, report::Standing::Created));
                return Ok(());
            }
            Standing::Skipped => {
                report.text.push_str(&line(&subject, report::Standing::Skipped));
            }
            Standing::Drifted { live, merged, sent } => {
                let ignored = Ignored::new(&kustomization.ignore, &Limits::default())?;
                let paths: Vec<&str> = ignored.paths(resource).collect();
                let shown =
                    report::drifted(&subject, (live, merged), sent, &paths, &Veil::default())?;
                report.has_changed |= shown.is_some();
                report.text.extend(shown);
            }
            Standing::Recreated { .. } | Standing::Unchanged => {}
        }
        if self.job.args.recursive {
            self.within(kustomization, resource, &id, above, report)?;
        }
        Ok(())
    }

    /// What a Kustomization among the objects changes in turn.
    fn within(
        &self,
        kustomization: &Kustomization,
        resource: &Resource,
        id: &ObjectId,
        above: &mut Vec<ObjectId>,
        report: &mut Report,
    ) -> Result<()> {
        let Some(child) = local::read(resource)? else { return Ok(()) };
        let is_itself = child.meta.name == kustomization.meta.name
            && child.meta.namespace == kustomization.meta.namespace;
        if is_itself || above.contains(id) {
            return Ok(());
        }
        let subject = named(id);
        if child.kube_config.is_some() {
            let text = format!("⚠️ {subject} skipped: diff not supported for remote clusters\n");
            report.text.push_str(&text);
            return Ok(());
        }
        let path = local::directory(&child, &self.job.sources())?;
        let live = build::find(self.cluster, &child.meta.namespace, &child.meta.name)?;
        above.push(id.clone());
        let within = self.level(&live, &path, above)?;
        above.pop();
        if within.has_changed {
            report.has_changed = true;
            report.text.push_str(&folder(&subject));
            report.text.push_str(&within.text);
        }
        report.errors.extend(within.errors);
        Ok(())
    }
}
