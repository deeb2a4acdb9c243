//! The objects that are marked as members of a set, kind by kind.

use serde_json::Value as Json;

use super::discovery::{Kind, escape};
use super::request::{Call, Failure, Server};
use crate::inventory::PART_OF;

/// How many objects one answer holds, so that no answer is very large.
const PAGE: usize = 500;

/// The members of one kind in one namespace, at one point in time.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) items: Vec<Json>,
    /// From where a watch goes on.
    pub(super) version: String,
}

/// The query that selects the members of the set `id`.
fn selector(id: &str) -> String {
    format!("labelSelector={}%3D{}", escape(PART_OF), escape(id))
}

impl Marked {
    /// Lists the members of the set `id` below `path`, where objects of `kind`, called `name`, are.
    pub(super) async fn list(
        server: &Server,
        path: &str,
        kind: &Kind,
        name: &str,
        id: &str,
    ) -> Result<Self, Failure> {
        let mut marked = Self::default();
        let mut next = String::new();
        loop {
            let query = format!("{path}?{}&limit={PAGE}{next}", selector(id));
            let mut page = server.call(&Call::get(query)).await?;
            marked.add(page["items"].take(), kind, name);
            let metadata = &page["metadata"];
            marked.version = metadata["resourceVersion"].as_str().unwrap_or_default().to_owned();
            match metadata["continue"].as_str().unwrap_or_default() {
                "" => return Ok(marked),
                token => next = format!("&continue={}", escape(token)),
            }
        }
    }

    /// The server names version and kind of a list once, and not of its items.
    fn add(&mut self, items: Json, kind: &Kind, name: &str) {
        let Json::Array(items) = items else { return };
        for mut item in items.into_iter().filter(Json::is_object) {
            item["apiVersion"] = kind.api_version().into();
            item["kind"] = name.into();
            self.items.push(item);
        }
    }

    /// The path of the watch that goes on from here.
    pub(super) fn watch_path(&self, path: &str, id: &str) -> String {
        let version = escape(&self.version);
        format!("{path}?watch=true&{}&resourceVersion={version}", selector(id))
    }
}

/// The name of an object; empty where it has none.
pub(super) fn name(object: &Json) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
