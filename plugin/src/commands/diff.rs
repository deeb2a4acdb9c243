//! `diff`: shows what a sync would change.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use overlay::cluster::{self, Options, Review, Wanted};
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::Disk;
use overlay::inventory::Key;
use overlay::plan::{Action, Fate};
use overlay::resource::Origin;
use overlay::review::{pair, single};
use overlay::yaml::Step;
use serde_json::Value as Json;

use super::{build, session};
use crate::args;
use crate::exit;
use crate::identity;
use crate::output::progress::Progress;
use crate::output::{Console, diff};
use crate::settings::Settings;

/// An object before and after, as text, under a name.
struct Pair {
    name: String,
    before: String,
    after: String,
}

/// Runs it; 1 says that there are changes.
///
/// # Errors
/// Where the overlay does not build, or the cluster cannot be asked or would refuse an object.
pub fn run(
    args: &args::Diff,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let root = build::root(&args.overlay, settings)?;
    let resources =
        build::render(&root, &build::options(&args.render, settings), settings, console)?;
    let files = Disk::new(settings.directory.clone());
    let owner = identity::owner(&files, &root);
    let locate =
        |origin: &Origin, path: &[Step<'_>]| session::locate(&files, settings, origin, path);
    let progress = Arc::new(Progress::new(console, false, settings.can_redraw, flags.verbosity));
    let asked = session::run(async {
        let server = session::connect(flags, settings, &progress).await?;
        let location = identity::location(&owner, &server.namespace, args.inventory.as_deref());
        let source = &cluster::digest(&resources)?;
        let (owner, location) = (&owner, &location);
        let wanted = Wanted { resources: &resources, source, owner, location, locate: &locate };
        progress.begin("asking the server");
        cluster::review(&server, &wanted, &options(args)).await
    });
    progress.end();
    show(&asked?, settings, console)
}

fn options(args: &args::Diff) -> Options {
    Options {
        manager: args.field_manager.clone(),
        force: args.force_conflicts,
        prune: args.prune,
        // Nothing is written, so nothing has to be refused.
        allow_empty: true,
        wait: None,
    }
}

fn show(review: &Review, settings: &Settings, console: &Console) -> Result<u8> {
    let pairs = pairs(review)?;
    let has_changes = !pairs.is_empty();
    match &settings.external_diff {
        Some(program) if has_changes => external(program, &pairs, console)?,
        _ => {
            for Pair { name, before, after } in &pairs {
                console.print(&diff::unified(name, before, after, settings.colour));
            }
        }
    }
    let errors: Vec<_> = review.failures.iter().chain(&review.conflicts).collect();
    errors.iter().for_each(|error| console.error(error));
    Ok(match (errors.is_empty(), has_changes) {
        (false, _) => exit::USAGE,
        (true, true) => exit::CHANGES,
        (true, false) => exit::OK,
    })
}

/// The objects that change, in the order of the plan.
fn pairs(review: &Review) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for change in review.plan.changes() {
        if !matches!(change.action, Action::Created | Action::Configured) {
            continue;
        }
        let object = review.object(change);
        // What the server could not be asked about is shown as it is sent.
        let merged = change.merged.as_ref().unwrap_or(&object.body);
        add(&mut pairs, &object.key, &object.version, change.live.as_ref(), Some(merged))?;
    }
    for prune in &review.plan.prunes {
        if let Fate::Deleted(live) = &prune.fate {
            add(&mut pairs, &prune.key, &prune.member.version, Some(live), None)?;
        }
    }
    Ok(pairs)
}

fn add(
    pairs: &mut Vec<Pair>,
    key: &Key,
    version: &str,
    live: Option<&Json>,
    merged: Option<&Json>,
) -> Result<()> {
    let (live, merged) = match (live, merged) {
        (None, Some(merged)) => (None, Some(single(merged))),
        (live, merged) => pair(live, merged),
    };
    let (before, after) = (diff::document(live.as_ref())?, diff::document(merged.as_ref())?);
    if before != after {
        pairs.push(Pair { name: file_name(key, version), before, after });
    }
    Ok(())
}

/// `group.version.Kind.namespace.name`, as kubectl names the files for the program.
fn file_name(key: &Key, version: &str) -> String {
    let parts = [&key.group, version, &key.kind, &key.namespace, &key.name];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    // Names of roles may hold colons and slashes.
    parts.join(".").replace(['/', '\\', ':'], "-")
}

/// Lets the user's program show the differences between two folders.
///
/// Source: kubectl; the program may have arguments, and says with 1 that there are differences.
fn external(program: &str, pairs: &[Pair], console: &Console) -> Result<()> {
    let failed = |message: String| {
        Error::new(ErrorKind::External, Place::file("KUBECTL_EXTERNAL_DIFF"), message)
    };
    let folder = |name: &str| {
        let folder = tempfile::Builder::new().prefix(name).tempdir();
        folder.map_err(|error| failed(error.to_string()))
    };
    let (live, merged) = (folder("LIVE-")?, folder("MERGED-")?);
    let write = |folder: &Path, name: &str, text: &str| {
        std::fs::write(folder.join(name), text).map_err(|error| failed(error.to_string()))
    };
    for Pair { name, before, after } in pairs {
        write(live.path(), name, before)?;
        write(merged.path(), name, after)?;
    }
    let mut words = program.split_whitespace();
    let name = words.next().unwrap_or("diff");
    let output = Command::new(name).args(words).arg(live.path()).arg(merged.path()).output();
    let output = output.map_err(|error| failed(format!("`{name}` cannot be run: {error}")))?;
    console.print(&String::from_utf8_lossy(&output.stdout));
    console.say(&String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(failed(format!("`{name}` failed: {}", output.status))),
    }
}
