//! `status`: the objects of an overlay and how they are.

use std::sync::Arc;

use overlay::cluster::{Standing, survey};
use overlay::error::{Error, ErrorKind, Result};
use overlay::files::Disk;
use overlay::health::Status;
use overlay::inventory::Location;
use overlay::{json, yaml};
use serde_json::{Value as Json, json};

use super::{build, session};
use crate::args::{self, TableFormat};
use crate::exit;
use crate::identity;
use crate::output::progress::Progress;
use crate::output::{Console, table, visible};
use crate::settings::Settings;

/// Runs it.
///
/// # Errors
/// Where the overlay is not found, was never synced, or the cluster cannot be asked.
pub fn run(
    args: &args::Status,
    flags: &args::Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let root = build::root(&args.overlay, settings)?;
    let owner = identity::owner(&Disk::new(settings.directory.clone()), &root);
    let progress = Arc::new(Progress::new(console, false, false, flags.verbosity));
    let standings = session::run(async {
        let server = session::connect(flags, settings, &progress).await?;
        let location = identity::location(&owner, &server.namespace, args.inventory.as_deref());
        survey(&server, &location).await?.ok_or_else(|| never_synced(&location))
    })?;
    console.print(&show(&standings, args.output)?);
    Ok(code(&standings))
}

/// What is said of an overlay without an inventory.
pub(super) fn never_synced(location: &Location) -> Error {
    let message = "there is no such inventory: the overlay was never synced to this namespace";
    Error::new(ErrorKind::Missing, location.place(), message)
        .hint("check --namespace and --context, or sync it first")
}

fn code(standings: &[Standing]) -> u8 {
    let is_fine = |standing: &Standing| standing.health.status == Status::Current;
    if standings.iter().all(is_fine) { exit::OK } else { exit::UNHEALTHY }
}

fn show(standings: &[Standing], format: Option<TableFormat>) -> Result<String> {
    Ok(match format {
        None => columns(standings, false),
        Some(TableFormat::Wide) => columns(standings, true),
        Some(TableFormat::Json) => format!("{:#}\n", document(standings)),
        Some(TableFormat::Yaml) => {
            let mut text = String::new();
            yaml::write(&json::from_json(&document(standings)), &mut text)?;
            text
        }
    })
}

fn columns(standings: &[Standing], is_wide: bool) -> String {
    let mut headings = vec!["NAMESPACE", "KIND", "NAME", "STATUS", "MESSAGE"];
    if is_wide {
        headings.splice(4..4, ["API VERSION", "CREATED", "UID"]);
    }
    let row = |standing: &Standing| {
        let Standing { key, member, health, created } = standing;
        let mut row = vec![
            key.namespace.clone(),
            key.kind.clone(),
            key.name.clone(),
            health.status.name().to_owned(),
            visible(&health.message).replace('\n', " "),
        ];
        if is_wide {
            let version = api_version(standing);
            row.splice(4..4, [version, created.clone(), member.uid.clone().unwrap_or_default()]);
        }
        row
    };
    table::table(&headings, &standings.iter().map(row).collect::<Vec<_>>())
}

fn api_version(standing: &Standing) -> String {
    match standing.key.group.as_str() {
        "" => standing.member.version.clone(),
        group => format!("{group}/{}", standing.member.version),
    }
}

fn document(standings: &[Standing]) -> Json {
    let objects = standings.iter().map(|standing| {
        json!({
            "apiVersion": api_version(standing),
            "kind": standing.key.kind,
            "namespace": standing.key.namespace,
            "name": standing.key.name,
            "uid": standing.member.uid,
            "created": standing.created,
            "status": standing.health.status.name(),
            "message": standing.health.message,
        })
    });
    json!({ "objects": objects.collect::<Vec<_>>() })
}
