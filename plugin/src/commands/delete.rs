//! `delete`: takes an overlay's objects out of the cluster again.

use std::sync::Arc;

use overlay::cluster::{Outcome, Server, Teardown, tear_down};
use overlay::error::Result;
use overlay::files::Disk;
use overlay::plan::Action;
use serde_json::json;

use super::{build, session, status, sync};
use crate::args::{self, DryRun};
use crate::exit;
use crate::identity;
use crate::output::progress::{self, Progress};
use crate::output::{Console, failure, plan};
use crate::settings::Settings;

/// Runs it.
///
/// # Errors
/// Where the overlay is not found, was never synced, or the cluster cannot be asked.
pub fn run(
    args: &args::Delete,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let root = build::root(&args.overlay, settings)?;
    let owner = identity::owner(&Disk::new(settings.directory.clone()), &root);
    let (is_json, can_redraw) = (args.output.is_some(), settings.can_redraw);
    let progress = Arc::new(Progress::new(console, is_json, can_redraw, flags.verbosity));
    let outcome = session::run(async {
        let server = session::connect(flags, settings, &progress).await?;
        let location = identity::location(&owner, &server.namespace, args.inventory.as_deref());
        let teardown = Teardown::review(&server, &location).await?;
        let teardown = teardown.ok_or_else(|| status::never_synced(&location))?;
        show(
            &teardown,
            &progress,
            console,
            &format!("{} -> {}", args.overlay, session::shown(&server)),
        );
        if args.dry_run == DryRun::Server {
            return Ok(None);
        }
        if !args.yes {
            sync::confirm(console, settings).await?;
        }
        end(args, &server, teardown, &progress).await.map(Some)
    });
    progress.end();
    if let (true, Err(error)) = (is_json, &outcome) {
        progress.document(&json!({ "event": "error", "error": failure(error) }));
        sync::summarize(&progress, exit::of(error), &[], None);
    }
    Ok(conclude(outcome?.as_ref(), &progress, console))
}

fn show(teardown: &Teardown, progress: &Progress, console: &Console, heading: &str) {
    if !progress.is_json() {
        let count = teardown.plan.count(Action::Pruned);
        let list = plan::prunes(&teardown.plan);
        console.print(&format!("{heading}\n{list}{count} to delete\n"));
        return;
    }
    for prune in teardown.plan.deletions() {
        progress.document(&json!({
            "event": "planned",
            "action": Action::Pruned.name(),
            "object": progress::object(&prune.key),
        }));
    }
}

async fn end(
    args: &args::Delete,
    server: &Server,
    teardown: Teardown,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    progress.begin("deleting");
    let hearing = Arc::clone(progress);
    let listener = move |event| hearing.hear(&event);
    tear_down(server, teardown, args.wait.then_some(args.timeout), &listener).await
}

fn conclude(outcome: Option<&Outcome>, progress: &Progress, console: &Console) -> u8 {
    let Some(outcome) = outcome else {
        return exit::OK;
    };
    let code = sync::code(outcome);
    if progress.is_json() {
        let errors: Vec<_> = outcome.failures.iter().collect();
        sync::summarize(progress, code, &errors, Some(outcome));
        return code;
    }
    outcome.failures.iter().for_each(|error| console.error(error));
    for (key, health) in &outcome.unhealthy {
        console.say_line(format_args!("error: {key}: {}", health.message));
    }
    console.say_line(sync::counts(outcome));
    code
}
