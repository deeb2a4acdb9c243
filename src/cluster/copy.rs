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

/// The objects of every kind that may be listed, in the version that the server prefers.
///
/// # Errors
/// Where the server cannot be asked what it knows. Kinds that may not be listed are left out.
pub async fn everything(server: &Server) -> Result<Vec<Json>> {
    let kinds = Kinds::discover(server).await;
    let kinds = kinds.map_err(|failure| explain::connection(&failure, &server.address, None))?;
    let mut all = Vec::new();
    for (name, kind) in kinds.preferred().filter(|(name, _)| !PASSING.contains(name)) {
        match list(server, name, kind).await {
            Ok(objects) => all.extend(objects),
            // Reviews cannot be listed, and others may be none of our business.
            Err(Failure::Status(_)) => {}
            Err(failure) => return Err(explain::connection(&failure, &server.address, None)),
        }
    }
    Ok(all)
}

async fn list(server: &Server, name: &str, kind: &Kind) -> std::result::Result<Vec<Json>, Failure> {
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
