//! A Kubernetes API in memory that the program reaches through a kubeconfig.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use overlay::rehearsal::front::{self, Front};
use overlay::rehearsal::{Options, Rehearsal};
use serde_json::{Value as Json, json};
use tempfile::NamedTempFile;

/// The API, and who serves it until the end of the test.
pub(crate) struct Served {
    pub(crate) api: Rehearsal,
    kubeconfig: NamedTempFile,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    /// An API that knows the kinds of Flux, with these namespaces.
    pub(crate) fn new(namespaces: &[&str]) -> Self {
        let api = Rehearsal::new(&Options::default()).unwrap();
        for (group, kind, plural) in [
            ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
            ("source.toolkit.fluxcd.io", "GitRepository", "gitrepositories"),
        ] {
            api.apply(&definition(group, kind, plural), "", "test").unwrap();
        }
        namespaces.iter().for_each(|name| api.ensure_namespace(name));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let front = Front::new(listener.local_addr().unwrap()).unwrap();
        let mut kubeconfig = NamedTempFile::new().unwrap();
        kubeconfig.write_all(&front.kubeconfig("default")).unwrap();
        runtime.spawn(front::serve(api.clone(), listener, front));
        Self { api, kubeconfig, _runtime: runtime }
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        self.kubeconfig.path()
    }

    /// The version of all of it, which every write raises.
    pub(crate) fn version(&self) -> String {
        let request = http::Request::get("/api/v1/configmaps").body(bytes::Bytes::new()).unwrap();
        let list: Json =
            serde_json::from_slice(&self.api.handle(request).into_body().into_bytes()).unwrap();
        list["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }

    /// Applies objects as Flux does.
    pub(crate) fn apply(&self, objects: &[Json]) {
        for object in objects {
            self.api.apply(object, "default", "kustomize-controller").unwrap_or_else(|failure| {
                panic!("{}: {object:#}", failure.message);
            });
        }
    }
}

fn definition(group: &str, kind: &str, plural: &str) -> Json {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group,
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    })
}
