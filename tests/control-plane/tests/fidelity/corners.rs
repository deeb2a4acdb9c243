//! Corners that the sequences seldom turn: each a few requests about an object of its own.

use serde_json::{Value, json};

use crate::exchange::Question;

const NAMESPACE: &str = "fidelity-corners";

/// Where a resource is; without a namespace where it is of the cluster.
struct Place {
    path: String,
}

impl Place {
    fn of(group: &str, plural: &str) -> Self {
        Self { path: format!("{group}/namespaces/{NAMESPACE}/{plural}") }
    }

    fn of_cluster(group: &str, plural: &str) -> Self {
        Self { path: format!("{group}/{plural}") }
    }

    fn create(&self, object: &Value) -> Question {
        Question::send("POST", self.path.clone(), object)
    }

    fn delete(&self, name: &str) -> Question {
        Question::send("DELETE", format!("{}/{name}", self.path), &json!({}))
    }

    fn table(&self) -> Question {
        let accept = Some("application/json;as=Table;v=v1;g=meta.k8s.io");
        Question { accept, ..Question::get(self.path.clone()) }
    }

    fn merge(&self, name: &str, patch: &Value) -> Question {
        self.patch(name, "application/merge-patch+json", patch)
    }

    fn apply(&self, name: &str, object: &Value) -> Question {
        self.patch(name, "application/apply-patch+yaml", object)
    }

    fn patch(&self, name: &str, content_type: &'static str, patch: &Value) -> Question {
        Question {
            method: "PATCH",
            path: format!("{}/{name}?fieldManager=corner", self.path),
            content_type: Some(content_type),
            body: patch.to_string(),
            ..Question::default()
        }
    }
}

fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = rest;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = name.into();
    object
}

/// What a webhook configuration counts as a change, and what it asks of conditions.
fn webhooks() -> Vec<Question> {
    let admission = "/apis/admissionregistration.k8s.io/v1";
    let place = Place::of_cluster(admission, "validatingwebhookconfigurations");
    let hook = |hook: Value| {
        let mut base = json!({
            "name": "a.example.org", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "failurePolicy": "Ignore",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["none.example.org"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}],
        });
        for (key, value) in hook.as_object().into_iter().flatten() {
            base[key] = value.clone();
        }
        let rest = json!({"webhooks": [base]});
        let kind = "ValidatingWebhookConfiguration";
        object("admissionregistration.k8s.io/v1", kind, "corner", rest)
    };
    let with_bundle = json!({"clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": ""}});
    let mut questions = vec![
        place.create(&hook(json!({}))),
        place.apply("corner", &hook(with_bundle.clone())),
        place.merge("corner", &json!({"metadata": {"labels": {"a": "b"}}})),
        place.merge("corner", &json!({"webhooks": [hook(with_bundle)["webhooks"][0]]})),
        place.merge(
            "corner",
            &json!({"webhooks": [hook(json!({"timeoutSeconds": 3}))["webhooks"][0]]}),
        ),
    ];
    for conditions in [
        json!([{"name": "a", "expression": "request.name == 'a'"}]),
        json!([{"name": "a", "expression": "request.name =="}]),
        json!([{"name": "a", "expression": "1"}]),
        json!([{"name": "a", "expression": "object.spec.x"}]),
        json!([{"name": "a", "expression": ""}]),
        json!([{"name": "", "expression": "true"}]),
        json!([{"name": "Not Valid!", "expression": "true"}]),
        json!([{"name": "a", "expression": "true"}, {"name": "a", "expression": "false"}]),
        json!([{"name": "a", "expression": "nothing.here"}]),
        json!([]),
    ] {
        questions.push(place.merge(
            "corner",
            &json!({"webhooks": [hook(json!({"matchConditions": conditions}))["webhooks"][0]]}),
        ));
    }
    questions.push(place.delete("corner"));
    questions
}

/// What is left of the ports of a Service when its type changes.
fn services() -> Vec<Question> {
    let place = Place::of("/api/v1", "services");
    let ports = json!([{"name": "a", "port": 80, "nodePort": 31990}, {"name": "b", "port": 81, "nodePort": 31991}]);
    let service = |name: &str, spec: Value| object("v1", "Service", name, json!({"spec": spec}));
    let node = json!({"type": "NodePort", "ports": ports});
    vec![
        place.create(&service("ports", node.clone())),
        place.merge("ports", &json!({"spec": {"type": "ClusterIP"}})),
        place.merge("ports", &json!({"spec": node})),
        place.merge("ports", &json!({"spec": {"type": "ClusterIP", "ports": [{"name": "a", "port": 80, "nodePort": 31990}, {"name": "b", "port": 81, "nodePort": 31992}]}})),
        place.merge("ports", &json!({"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false}})),
        place.merge("ports", &json!({"spec": {"type": "ExternalName", "externalName": "example.org"}})),
        place.delete("ports"),
    ]
}

/// Nothing where replicas should be, in a Deployment and in its scale.
fn scales() -> Vec<Question> {
    let place = Place::of("/apis/apps/v1", "deployments");
    let spec = json!({
        "selector": {"matchLabels": {"a": "b"}}, "replicas": 2,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
    });
    let scaled = object("autoscaling/v1", "Scale", "web", json!({"spec": {"replicas": 3}}));
    vec![
        place.create(&object("apps/v1", "Deployment", "web", json!({"spec": spec}))),
        place.merge("web/scale", &json!({"spec": {"replicas": null}})),
        place.merge("web/scale", &json!({"spec": null})),
        place.apply("web/scale", &scaled),
        place.merge("web/scale", &json!({"spec": {"replicas": 5}})),
        place.merge("web", &json!({"spec": {"replicas": null}})),
        place.delete("web"),
    ]
}

/// Lists and maps with nothing in them, within a list that one manager applies.
fn empties() -> Vec<Question> {
    let place = Place::of("/apis/apps/v1", "deployments");
    let deployment = |container: Value, more: Value| {
        let mut container = container;
        container["name"] = "a".into();
        container["image"] = "b".into();
        let mut spec = json!({
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec["template"]["spec"][key] = value.clone();
        }
        object("apps/v1", "Deployment", "empties", json!({"spec": spec}))
    };
    let full = json!({"env": [{"name": "x", "value": "y"}], "resources": {"limits": {"cpu": "1"}}, "command": ["a"]});
    let empty = json!({"env": [], "resources": {}, "command": [], "securityContext": {}, "volumeMounts": [], "ports": []});
    let nulls = json!({"env": null, "resources": null, "command": null, "lifecycle": null});
    vec![
        place.apply("empties", &deployment(full.clone(), json!({}))),
        place.apply("empties", &deployment(empty.clone(), json!({"volumes": [], "nodeSelector": {}}))),
        place.apply("empties", &deployment(full.clone(), json!({"tolerations": [], "affinity": {}}))),
        place.apply("empties", &deployment(nulls, json!({"tolerations": null, "affinity": null}))),
        place.merge("empties", &json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "c", "env": []}]}}}})),
        place.apply("empties", &deployment(empty, json!({}))),
        place.delete("empties"),
    ]
}

/// Access modes in another order, and twice.
fn volumes() -> Vec<Question> {
    let place = Place::of("/api/v1", "persistentvolumeclaims");
    let claim = |name: &str, modes: &[&str]| {
        let spec = json!({"accessModes": modes, "resources": {"requests": {"storage": "1Gi"}}});
        object("v1", "PersistentVolumeClaim", name, json!({"spec": spec}))
    };
    let volumes = Place::of_cluster("/api/v1", "persistentvolumes");
    let volume = |name: &str, modes: &[&str]| {
        let spec = json!({"accessModes": modes, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp"}});
        object("v1", "PersistentVolume", name, json!({"spec": spec}))
    };
    let orders: [&[&str]; 6] = [
        &["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce"],
        &["ReadOnlyMany", "ReadOnlyMany"],
        &["ReadWriteOncePod"],
        &["ReadWriteOncePod", "ReadWriteOnce"],
        &["Whatever"],
        &[],
    ];
    let mut questions = Vec::new();
    for (at, modes) in orders.iter().enumerate() {
        questions.push(place.create(&claim(&format!("claim-{at}"), modes)));
        questions.push(volumes.create(&volume(&format!("corner-{at}"), modes)));
    }
    questions.push(place.table());
    for at in 0..orders.len() {
        questions.push(volumes.delete(&format!("corner-{at}")));
    }
    questions
}

/// All of them.
pub(crate) fn questions() -> Vec<Question> {
    [webhooks(), services(), scales(), empties(), volumes()].concat()
}
