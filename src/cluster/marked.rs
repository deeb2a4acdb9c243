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

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    fn kind() -> Kind {
        let (group, version) = ("apps".to_owned(), "v1".to_owned());
        Kind { group, version, plural: "deployments".into(), is_namespaced: true }
    }

    #[tokio::test]
    async fn items_get_their_kind_and_all_pages_are_read() {
        let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = kube::Client::new(service, "default");
        let server = Server::new(client, "http://mock".into(), "default".into());
        let pages = [
            json!({ "metadata": { "resourceVersion": "7", "continue": "a+b" },
                "items": [{ "metadata": { "name": "one" } }, null] }),
            json!({ "metadata": { "resourceVersion": "7" },
                "items": [{ "metadata": { "name": "two" } }] }),
        ];
        let serving = tokio::spawn(async move {
            let mut queries = Vec::new();
            for page in pages {
                let (request, send) = handle.next_request().await.expect("a page is asked for");
                queries.push(request.uri().query().unwrap_or_default().to_owned());
                send.send_response(Response::new(Body::from(page.to_string().into_bytes())));
            }
            queries
        });
        let marked =
            Marked::list(&server, "/x", &kind(), "Deployment", "id").await.expect("a list");
        let names: Vec<_> = marked.items.iter().map(name).collect();
        assert_eq!(names, ["one", "two"]);
        assert!(
            marked
                .items
                .iter()
                .all(|item| { item["kind"] == "Deployment" && item["apiVersion"] == "apps/v1" })
        );
        assert!(marked.watch_path("/x", "id").ends_with("&resourceVersion=7"));
        let queries = serving.await.expect("served");
        assert_eq!(queries[0], "labelSelector=applyset.kubernetes.io%2Fpart-of%3Did&limit=500");
        assert!(queries[1].ends_with("&continue=a%2Bb"));
    }
}
