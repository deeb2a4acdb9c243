//! `sync`: brings the cluster to what an overlay says.

use std::sync::Arc;
use std::time::Instant;

use overlay::Resources;
use overlay::cluster::{self, Options, Outcome, Review, Server, Wanted};
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::Disk;
use overlay::inventory::Owner;
use overlay::plan::Action;
use overlay::rehearsal::Grade;
use overlay::resource::Origin;
use overlay::yaml::Step;
use serde_json::{Value as Json, json};

use super::{build, session};
use crate::args::{self, DryRun};
use crate::exit;
use crate::identity;
use crate::output::progress::{self, Progress};
use crate::output::{Console, failure, plan, visible};
use crate::settings::Settings;
use crate::stage::{self, Stage};

/// What the command works on.
struct Sync<'a> {
    args: &'a args::Sync,
    settings: &'a Settings,
    console: &'a Console,
    progress: Arc<Progress>,
    resources: Resources,
    owner: Owner,
}

/// Runs it.
///
/// # Errors
/// Where the overlay does not build or the cluster cannot be asked; and where the sync is refused.
pub fn run(
    args: &args::Sync,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let is_json = args.output.is_some();
    let progress = Progress::new(console, is_json, settings.can_redraw, flags.verbosity);
    let progress = Arc::new(progress);
    let outcome = begin(args, flags, settings, console, &progress);
    progress.end();
    if let (true, Err(error)) = (is_json, &outcome) {
        let document = json!({ "event": "error", "error": failure(error) });
        progress.document(&document);
        summarize(&progress, exit::of(error), &[], None);
    }
    outcome
}

fn begin(
    args: &args::Sync,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
    progress: &Arc<Progress>,
) -> Result<u8> {
    let root = build::root(&args.overlay, settings)?;
    let resources =
        build::render(&root, &build::options(&args.render, settings), settings, console)?;
    let owner = identity::owner(&Disk::new(settings.directory.clone()), &root);
    let sync = Sync { args, settings, console, progress: Arc::clone(progress), resources, owner };
    if args.rehearsing.rehearse {
        return sync.rehearse(flags);
    }
    session::run(async {
        let server = session::connect(flags, settings, progress).await?;
        sync.against(&server).await
    })
}

impl Sync<'_> {
    /// The same, to a server that is made for it.
    fn rehearse(&self, flags: &args::Connection) -> Result<u8> {
        let namespace = flags.namespace.as_deref().unwrap_or("default");
        let rehearsing = &self.args.rehearsing;
        let stage = Stage::set(&rehearsing.beginning, self.settings, namespace)?;
        let least = rehearsing.strict.map(|strict| match strict {
            args::Strict::Exact => Grade::Exact,
            args::Strict::Structural => Grade::Structural,
        });
        least.map_or(Ok(()), |least| stage::demand(&stage, &self.resources, least))?;
        stage.api.ensure_namespace(namespace);
        stage.furnish(&self.resources);
        let code = session::run(async {
            let mut server = stage.server(namespace);
            session::listen(&mut server, &self.progress);
            self.against(&server).await
        })?;
        stage::tell(&stage, &self.resources, self.console);
        Ok(code)
    }

    async fn against(&self, server: &Server) -> Result<u8> {
        let begun = Instant::now();
        let options = self.options();
        let files = Disk::new(self.settings.directory.clone());
        let locate = |origin: &Origin, path: &[Step<'_>]| {
            session::locate(&files, self.settings, origin, path)
        };
        self.progress.begin("asking the server");
        let review = self.review(server, &options, &locate).await?;
        self.progress.end();
        self.show(&review, server);
        if let Some(code) = self.stops(&review).await? {
            return Ok(code);
        }
        self.progress.begin("applying");
        let progress = Arc::clone(&self.progress);
        let listener = move |event| progress.hear(&event);
        let outcome = cluster::carry_out(server, review, &options, &locate, &listener).await;
        self.progress.end();
        Ok(self.conclude(&outcome?, begun))
    }

    fn options(&self) -> Options {
        Options {
            manager: self.args.field_manager.clone(),
            force: self.args.force_conflicts,
            prune: self.args.prune,
            allow_empty: self.args.allow_empty,
            wait: self.args.wait.then_some(self.args.timeout),
        }
    }

    async fn review(
        &self,
        server: &Server,
        options: &Options,
        locate: &cluster::Locate<'_>,
    ) -> Result<Review> {
        let name = self.args.inventory.as_deref();
        let wanted = Wanted {
            resources: &self.resources,
            source: &cluster::digest(&self.resources)?,
            owner: &self.owner,
            location: &identity::location(&self.owner, &server.namespace, name),
            locate,
        };
        cluster::review(server, &wanted, options).await
    }

    /// Shows the plan.
    fn show(&self, review: &Review, server: &Server) {
        if !self.progress.is_json() {
            let heading = format!("{} -> {}", self.args.overlay, session::shown(server));
            self.console.print(&format!("{heading}\n{}", plan::text(review)));
            return;
        }
        for change in review.plan.changes() {
            let conflicts = change.conflicts.iter().map(
                |one| json!({ "field": one.field, "manager": one.manager, "detail": one.detail }),
            );
            self.progress.document(&json!({
                "event": "planned",
                "action": change.action.name(),
                "object": progress::object(review.key(change)),
                "conflicts": conflicts.collect::<Vec<_>>(),
            }));
        }
        for prune in review.plan.deletions() {
            self.progress.document(&json!({
                "event": "planned",
                "action": Action::Pruned.name(),
                "object": progress::object(&prune.key),
            }));
        }
    }

    /// The code to end with before anything is written, where that is the end.
    async fn stops(&self, review: &Review) -> Result<Option<u8>> {
        let errors: Vec<_> = review.failures.iter().chain(&review.conflicts).collect();
        if !errors.is_empty() {
            self.report(&errors);
            let code = if review.failures.is_empty() { exit::CONFLICT } else { exit::ERROR };
            self.say("nothing was written");
            self.finish(code, &errors, None);
            return Ok(Some(code));
        }
        if self.args.dry_run == DryRun::Server {
            self.finish(exit::OK, &[], None);
            return Ok(Some(exit::OK));
        }
        // Without changes there is nothing to ask for; what is unhealthy is still waited for.
        if review.plan.is_empty() || self.args.yes || self.args.rehearsing.rehearse {
            return Ok(None);
        }
        confirm(self.console, self.settings).await?;
        Ok(None)
    }

    fn conclude(&self, outcome: &Outcome, begun: Instant) -> u8 {
        let errors: Vec<_> = outcome.failures.iter().collect();
        self.report(&errors);
        for (key, health) in &outcome.unhealthy {
            let status = health.status.name();
            self.say(&format!("error: {key}: is {status}: {}", visible(&health.message)));
        }
        let code = code(outcome);
        let took = begun.elapsed();
        let last = match code {
            exit::OK => format!("in sync after {:.1}s", took.as_secs_f64()),
            exit::UNHEALTHY => match outcome.unhealthy.len() {
                1 => "applied, but 1 object is not healthy".to_owned(),
                many => format!("applied, but {many} objects are not healthy"),
            },
            _ => "not in sync; run it again to finish".to_owned(),
        };
        self.say(&format!("{}: {last}", counts(outcome)));
        self.finish(code, &errors, Some(outcome));
        code
    }

    fn report(&self, errors: &[&Error]) {
        if !self.progress.is_json() {
            errors.iter().for_each(|error| self.console.error(error));
        }
    }

    fn say(&self, line: &str) {
        if !self.progress.is_json() {
            self.console.say_line(line);
        }
    }

    fn finish(&self, code: u8, errors: &[&Error], outcome: Option<&Outcome>) {
        if self.progress.is_json() {
            summarize(&self.progress, code, errors, outcome);
        }
    }
}

/// Asks whether to go on.
///
/// # Errors
/// Where the answer is no, or nobody is there to ask.
pub async fn confirm(console: &Console, settings: &Settings) -> Result<()> {
    if !settings.can_ask {
        let message = "nobody can be asked: standard input is no terminal";
        return Err(Error::new(ErrorKind::Cancelled, Place::file("confirmation"), message)
            .hint("say --yes to go on without asking"));
    }
    // On a thread of its own, so that Ctrl-C is an answer too.
    let asking = console.clone();
    let answer = tokio::task::spawn_blocking(move || asking.confirm("Go on?")).await;
    if answer.unwrap_or(false) {
        return Ok(());
    }
    let message = "declined; nothing was written";
    Err(Error::new(ErrorKind::Cancelled, Place::file("confirmation"), message))
}

/// The exit code of what was done.
#[must_use]
pub fn code(outcome: &Outcome) -> u8 {
    let is_conflict = |error: &Error| error.kind() == ErrorKind::Conflict;
    match outcome.failures.as_slice() {
        [] if outcome.unhealthy.is_empty() => exit::OK,
        [] => exit::UNHEALTHY,
        failures if failures.iter().all(is_conflict) => exit::CONFLICT,
        _ => exit::ERROR,
    }
}

/// `2 created, 1 pruned`.
#[must_use]
pub fn counts(outcome: &Outcome) -> String {
    let counts = outcome.counts.iter().filter(|(_, count)| **count > 0);
    let parts: Vec<_> =
        counts.map(|(action, count)| format!("{count} {}", action.name())).collect();
    if parts.is_empty() { "nothing done".into() } else { parts.join(", ") }
}

/// The last document of a run.
pub fn summarize(progress: &Progress, code: u8, errors: &[&Error], outcome: Option<&Outcome>) {
    let outcome = outcome.cloned().unwrap_or_default();
    let counts: serde_json::Map<String, Json> =
        outcome.counts.iter().map(|(action, n)| (action.name().to_owned(), (*n).into())).collect();
    let unhealthy = outcome.unhealthy.iter().map(|(key, health)| {
        json!({ "object": progress::object(key), "status": health.status.name(), "message": health.message })
    });
    progress.document(&json!({
        "event": "summary",
        "result": exit::name(code),
        "exitCode": code,
        "counts": counts,
        "errors": errors.iter().map(|error| failure(error)).collect::<Vec<_>>(),
        "unhealthy": unhealthy.collect::<Vec<_>>(),
    }));
}
