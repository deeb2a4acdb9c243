//! The objects that sequences are about, rendered through an overlay of their own.

use std::fmt::Write;
use std::path::Path;

use overlay::build::{Options, build};
use overlay::store::Store;
use overlay::{Memory, json};
use serde_json::Value;

use crate::chance::Chance;

/// What sequences choose from.
pub(crate) const OBJECTS: &str = include_str!("objects.yaml");

/// What every sequence may use objects of.
pub(crate) const DEFINITIONS: &str = include_str!("definitions.yaml");

/// One object and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) value: Value,
    pub(crate) kind: String,
    /// Of its collection.
    pub(crate) collection: String,
    pub(crate) path: String,
}

/// The documents of a stream of YAML.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let mut files = Memory::default();
    files.insert("objects.yaml", text.to_owned());
    files.insert("kustomization.yaml", "resources: [objects.yaml]\n");
    render(&files)
}

fn render(files: &Memory) -> Vec<Value> {
    let resources = build(files, &Store::new(0), &Options::default(), Path::new("/")).output;
    let resources = resources.unwrap_or_else(|why| panic!("the overlay builds: {why}"));
    resources.iter().map(|one| json::to_json(&one.value).expect("YAML that is JSON")).collect()
}

impl Object {
    /// All objects, through an overlay that is another one for each sequence.
    pub(crate) fn all(number: u64, namespace: &str, chance: &mut Chance) -> Vec<Self> {
        let mut files = Memory::default();
        files.insert("objects.yaml", OBJECTS);
        let mut overlay =
            format!("resources: [objects.yaml]\nnamespace: {namespace}\nnameSuffix: -n{number}\n");
        if chance.percent(30) {
            let selectors = chance.percent(50);
            write!(
                overlay,
                "labels:\n- pairs: {{part-of: shop, step: \"{number}\"}}\n  includeSelectors: {selectors}\n"
            )
            .expect("text has room");
        }
        if chance.percent(30) {
            overlay.push_str("images:\n- {name: shop/web, newTag: 2.0.0}\n- {name: small, digest: \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"}\n");
        }
        if chance.percent(30) {
            overlay.push_str("commonAnnotations: {rendered-by: overlay, multi: \"a\\nb\"}\n");
        }
        if chance.percent(20) {
            let count = chance.below(5);
            writeln!(overlay, "replicas:\n- {{name: web, count: {count}}}").expect("text has room");
        }
        files.insert("kustomization.yaml", overlay);
        render(&files).into_iter().map(Self::new).collect()
    }

    pub(crate) fn new(value: Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
        let group = version.split_once('/').map_or("", |(group, _)| group).to_owned();
        let root = if group.is_empty() { "/api" } else { "/apis" };
        let plural = plural(&kind);
        let collection = match value["metadata"]["namespace"].as_str() {
            Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{version}/{plural}"),
        };
        let path = format!("{collection}/{}", text(&value["metadata"]["name"]));
        Self { value, kind, collection, path }
    }

    pub(crate) fn is_namespaced(&self) -> bool {
        self.value["metadata"]["namespace"].is_string()
    }

    /// Whether it has a count that can be scaled.
    pub(crate) fn has_scale(&self) -> bool {
        let kinds = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "Gadget"];
        kinds.contains(&&*self.kind)
    }

    /// A status that somebody might write.
    pub(crate) fn status(&self) -> Option<Value> {
        let condition = serde_json::json!({
            "type": "Ready", "status": "True", "reason": "Checked", "message": "well",
            "lastTransitionTime": "2019-01-01T00:00:00Z",
        });
        Some(match &*self.kind {
            "Deployment" => serde_json::json!({
                "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1,
                "availableReplicas": 1, "unavailableReplicas": 1,
                "conditions": [{"type": "Available", "status": "False", "reason": "Few"}],
            }),
            "StatefulSet" => serde_json::json!({
                "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "currentReplicas": 3,
                "currentRevision": "db-1", "updateRevision": "db-1", "collisionCount": 0,
            }),
            "DaemonSet" => serde_json::json!({
                "observedGeneration": 1, "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
                "numberMisscheduled": 0, "numberReady": 1,
            }),
            "ReplicaSet" | "ReplicationController" => {
                serde_json::json!({"replicas": 1, "readyReplicas": 1, "observedGeneration": 1})
            }
            "Pod" => serde_json::json!({
                "phase": "Running", "podIP": "10.1.1.1", "podIPs": [{"ip": "10.1.1.1"}],
                "conditions": [condition],
            }),
            "Job" => {
                serde_json::json!({"active": 1, "ready": 1, "startTime": "2019-01-01T00:00:00Z"})
            }
            "CronJob" => serde_json::json!({"lastScheduleTime": "2019-01-01T00:00:00Z"}),
            "Service" => serde_json::json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
            "Ingress" => {
                serde_json::json!({"loadBalancer": {"ingress": [{"hostname": "lb.example.org"}]}})
            }
            "PersistentVolumeClaim" => {
                serde_json::json!({"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]})
            }
            "PersistentVolume" => serde_json::json!({"phase": "Released"}),
            "HorizontalPodAutoscaler" => serde_json::json!({
                "currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": null, "conditions": [condition],
            }),
            "PodDisruptionBudget" => serde_json::json!({
                "currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1, "expectedPods": 2,
                "observedGeneration": 1,
            }),
            "ResourceQuota" => serde_json::json!({
                "hard": {"count/jobs.batch": "10"}, "used": {"count/jobs.batch": "1"},
            }),
            "Gadget" => serde_json::json!({"replicas": 1, "selector": "app=x", "phase": "Running"}),
            _ => return None,
        })
    }
}

fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') && kind != "endpoints" => format!("{kind}es"),
        None if kind == "endpoints" => kind,
        None => format!("{kind}s"),
    }
}
