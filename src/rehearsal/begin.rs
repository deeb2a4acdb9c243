//! The state in which a rehearsal begins: what is already in the cluster.

use std::sync::Arc;

use http::{Method, Request};
use serde_json::{Value, json};

use crate::rehearsal::catalogue::Resource;
use crate::rehearsal::faults::Within;
use crate::rehearsal::server::State;
use crate::rehearsal::store::Key;
use crate::rehearsal::{Failure, Kind, Rehearsal};

impl Rehearsal {
    /// Applies an object, taking over what it says; `manager` owns its fields then.
    ///
    /// A namespace that is not there is made: a state has no order.
    ///
    /// # Errors
    /// What the API refuses it with.
    pub fn apply(&self, object: &Value, namespace: &str, manager: &str) -> Result<(), Failure> {
        let resource = self.resource_of(object)?;
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().unwrap_or(namespace);
        let name = metadata["name"].as_str().unwrap_or_default();
        let root = if resource.kind.group.is_empty() { "/api" } else { "/apis" };
        let version = resource.kind.api_version();
        let plural = &resource.plural;
        let path = if resource.namespaced {
            self.ensure_namespace(namespace);
            format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}")
        } else {
            format!("{root}/{version}/{plural}/{name}")
        };
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{path}?fieldManager={manager}&force=true"))
            .header("content-type", "application/apply-patch+yaml")
            .extension(Within)
            .body(object.to_string().into())
            .map_err(|_| Failure::new(400, "BadRequest", format!("{name:?} cannot be a name")))?;
        let response = self.handle(request);
        if response.status().is_success() {
            return Ok(());
        }
        let code = response.status().as_u16();
        let status: Value =
            serde_json::from_slice(&response.into_body().into_bytes()).unwrap_or_default();
        Err(Failure::new(code, "", status["message"].as_str().unwrap_or_default()))
    }

    /// Takes over objects of a real cluster as they are, with their uids and managed fields; how many
    /// were left out because their kind is not served.
    ///
    /// They are there all at once: whoever looks sees no owner without its dependents.
    pub fn adopt(&self, objects: &[Value]) -> usize {
        let mut state = self.state();
        // Definitions first: the others may be of their kinds.
        let is_definition = |object: &&Value| object["kind"] == "CustomResourceDefinition";
        let (definitions, others): (Vec<_>, Vec<_>) = objects.iter().partition(is_definition);
        let all = definitions.into_iter().chain(others);
        all.filter(|object| state.adopt(object).is_none()).count()
    }

    /// Makes a namespace, where it is not there.
    pub fn ensure_namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let request = Request::post("/api/v1/namespaces")
            .header("content-type", "application/json")
            .extension(Within)
            .body(object.to_string().into());
        // One that is there already is as good, and a name that cannot be is told later.
        let _ = request.map(|request| self.handle(request));
    }

    fn resource_of(&self, object: &Value) -> Result<Arc<Resource>, Failure> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let kind = Kind::new(text("apiVersion"), text("kind"));
        self.served(&kind).ok_or_else(|| {
            Failure::new(
                404,
                "NotFound",
                format!("no kind {:?} of {}", kind.kind, kind.api_version()),
            )
        })
    }

    /// The resource of a kind, where it is served.
    pub(super) fn served(&self, kind: &Kind) -> Option<Arc<Resource>> {
        self.state().served(kind)
    }
}

impl State {
    fn served(&self, kind: &Kind) -> Option<Arc<Resource>> {
        self.catalogue.all().find(|resource| resource.kind == *kind).cloned()
    }

    fn adopt(&mut self, object: &Value) -> Option<()> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let resource = self.served(&Kind::new(text("apiVersion"), text("kind")))?;
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let namespace = if resource.namespaced { text("namespace") } else { "" };
        let mut object = object.clone();
        if resource.kind.pair() == ("", "Service") {
            self.addresses.hold(&object);
        }
        let key = Key::new(namespace, object["metadata"]["name"].as_str().unwrap_or_default());
        self.write(&resource, key, &mut object);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Options;

    fn api() -> Rehearsal {
        Rehearsal::new(&Options::default()).expect("the default minor is known")
    }

    fn get(api: &Rehearsal, path: &str) -> Value {
        let request = Request::get(path).body(Default::default()).expect("a request");
        serde_json::from_slice(&api.handle(request).into_body().into_bytes()).expect("JSON")
    }

    #[test]
    fn what_is_applied_is_owned() {
        let api = api();
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"},
            "data": {"key": "value"},
        });
        api.apply(&object, "default", "before").expect("applied");
        let map = get(&api, "/api/v1/namespaces/shop/configmaps/a");
        assert_eq!(map["metadata"]["managedFields"][0]["manager"], "before");
    }

    #[test]
    fn what_is_adopted_keeps_its_owners() {
        let api = api();
        let fields = json!([{
            "manager": "somebody", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:key": {}}}, "time": "2026-01-01T00:00:00Z",
        }]);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "value"},
            "metadata": {"name": "a", "namespace": "shop", "uid": "u", "managedFields": fields},
        });
        assert_eq!(api.adopt(&[object]), 0);
        let map = get(&api, "/api/v1/namespaces/shop/configmaps/a");
        assert_eq!(
            (&map["metadata"]["uid"], &map["metadata"]["managedFields"]),
            (&json!("u"), &fields)
        );
    }

    #[test]
    fn an_unknown_kind_is_left_out() {
        let object =
            json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}});
        assert_eq!(api().adopt(&[object]), 1);
    }
}
