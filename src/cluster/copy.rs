//! All that a cluster has, to rehearse on a copy of it. Nothing is written.

use serde_json::Value as Json;

use super::discovery::{Kind, Kinds, escape};
use super::explain;
use super::request::{Call, Failure, Server};
use crate::error::Result;

/// How many objects one answer holds.
const PAGE: usize = 500;

/// What is of no use in a copy: it changes all the time, or is measured anew.
const PASSING: &[&str] = &["Event", "Lease", "NodeMetrics", "PodMetrics", "ComponentStatus"];

/// How often a list is begun anew that changed faster than it could be read.
const TURNS: usize = 5;

/// What a cluster has.
#[derive(Debug, Default)]
pub struct Copy {
    /// The objects, in the versions that the server prefers, with their managed fields.
    pub objects: Vec<Json>,
    /// The kinds that may not be listed, or cannot be at the moment.
    pub left_out: Vec<String>,
}

/// The objects of every kind that may be listed. It is only read.
///
/// # Errors
/// Where the server cannot be asked what it knows, or goes away.
pub async fn everything(server: &Server) -> Result<Copy> {
    let kinds = Kinds::discover(server).await;
    let kinds = kinds.map_err(|failure| explain::connection(&failure, &server.address, None))?;
    let mut copy = Copy::default();
    for (name, kind) in kinds.preferred().filter(|(name, _)| !PASSING.contains(name)) {
        match list(server, name, kind).await {
            Ok(objects) => copy.objects.extend(objects),
            // What can only be created, as reviews.
            Err(Failure::Status(status)) if matches!(status.code, 404 | 405) => {}
            Err(Failure::Status(_)) => copy.left_out.push(name.to_owned()),
            Err(failure) => return Err(explain::connection(&failure, &server.address, None)),
        }
    }
    Ok(copy)
}

async fn list(server: &Server, name: &str, kind: &Kind) -> std::result::Result<Vec<Json>, Failure> {
    let mut turn = 1;
    loop {
        match pages(server, name, kind).await {
            Err(Failure::Status(status)) if status.code == 410 && turn < TURNS => turn += 1,
            listed => return listed,
        }
    }
}

async fn pages(
    server: &Server,
    name: &str,
    kind: &Kind,
) -> std::result::Result<Vec<Json>, Failure> {
    let (path, mut next) = (kind.list_path(""), String::new());
    let mut all = Vec::new();
    loop {
        let mut page = server.call(&Call::get(format!("{path}?limit={PAGE}{next}"))).await?;
        let Json::Array(items) = page["items"].take() else { return Ok(all) };
        for mut item in items.into_iter().filter(Json::is_object) {
            item["apiVersion"] = kind.api_version().into();
            item["kind"] = name.into();
            all.push(item);
        }
        match page["metadata"]["continue"].as_str().unwrap_or_default() {
            "" => return Ok(all),
            token => next = format!("&continue={}", escape(token)),
        }
    }
}
