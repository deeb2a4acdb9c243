//! What a cluster's controllers make of objects, so that a sync has something to wait for.
//!
//! They are clients like any other: each [`step`](Controllers::step) lists, compares and writes through
//! [`Rehearsal::handle`], under the name that the real ones have in managed fields. There is one node,
//! pods are ready a second after they are bound, and nothing runs. Time is the rehearsal's own, so a
//! rollout takes as long as the caller lets the clock go on.
//!
//! Left out: what writes into specs (autoscalers, injectors), schedules (CronJob), endpoints.
//!
//! Source: Kubernetes `pkg/controller`; the states that `kstatus` tells apart.

mod ask;
mod cleanup;
mod daemon_set;
mod deployment;
mod job;
mod network;
mod pods;
mod replica_set;
mod sight;
mod stateful_set;
mod volumes;

use std::time::Duration;

use crate::rehearsal::Rehearsal;

use ask::Ask;

pub use pods::{PodFault, Trouble};

/// The name of the only node.
pub const NODE: &str = "rehearsal";

/// How far the clock goes in one step of [`Controllers::settle`].
const STEP: Duration = Duration::from_secs(1);

/// The controllers of one rehearsal.
#[derive(Debug)]
pub struct Controllers {
    api: Rehearsal,
    troubles: Vec<PodFault>,
    /// Up to where deletions were looked after.
    seen: u64,
}

impl Controllers {
    /// Controllers that look after `api`, which gets a node.
    #[must_use]
    pub fn new(api: &Rehearsal) -> Self {
        let controllers = Self { api: api.clone(), troubles: Vec::new(), seen: 0 };
        pods::make_node(&controllers.ask("kubelet"));
        controllers
    }

    /// Lets pods go wrong.
    pub fn trouble(&mut self, fault: PodFault) {
        self.troubles.push(fault);
    }

    /// One round of all of them; whether any of them wrote something.
    pub fn step(&mut self) -> bool {
        let before = self.api.revision();
        let manager = self.ask("kube-controller-manager");
        deployment::step(&manager);
        replica_set::step(&manager);
        stateful_set::step(&manager);
        daemon_set::step(&manager);
        job::step(&manager);
        volumes::step(&manager);
        network::step(&self.ask("cloud-controller-manager"));
        cleanup::namespaces(&manager);
        if self.api.has_deletions_since(self.seen) {
            cleanup::dependents(&manager);
        }
        self.seen = before;
        pods::schedule(&self.ask("kube-scheduler"), &self.troubles);
        pods::run(&self.ask("kubelet"), &self.troubles);
        self.api.revision() != before
    }

    /// Steps, a second each, until two of them in a row change nothing, but `most` of them at the
    /// longest; how many seconds that took.
    pub fn settle(&mut self, most: usize) -> usize {
        let mut quiet = 0;
        for second in 0..most {
            quiet = if self.step() { 0 } else { quiet + 1 };
            if quiet == 2 {
                return second + 1;
            }
            self.api.advance(STEP);
        }
        most
    }

    /// Moves the clock of the rehearsal on.
    pub fn advance(&self, by: Duration) {
        self.api.advance(by);
    }

    fn ask(&self, agent: &'static str) -> Ask<'_> {
        Ask::new(&self.api, agent)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::health::{self, Status};
    use crate::rehearsal::{Clock, Options};

    fn api() -> Rehearsal {
        let options = Options { clock: Clock::Fixed(1_790_000_000), ..Options::default() };
        Rehearsal::new(&options).expect("the default minor is known")
    }

    fn user(api: &Rehearsal) -> Ask<'_> {
        Ask::new(api, "user")
    }

    fn workload(kind: &str, name: &str, spec: Value) -> Value {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "a", "image": "a"}]},
                },
            },
        });
        for (key, value) in spec.as_object().expect("an object") {
            object["spec"][key] = value.clone();
        }
        object
    }

    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
    const PODS: &str = "/api/v1/namespaces/default/pods";

    fn state(api: &Rehearsal, path: &str) -> (Status, Value) {
        let mut object = user(api).get(path).expect("it is there");
        let (version, kind) = if path.starts_with("/apis/apps") {
            ("apps/v1", if path.contains("statefulsets") { "StatefulSet" } else { "Deployment" })
        } else {
            ("batch/v1", "Job")
        };
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        (health::health(&object).status, object)
    }

    #[test]
    fn a_deployment_becomes_ready_and_rolls_over() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        user(&api).create(DEPLOYMENTS, &workload("Deployment", "web", json!({"replicas": 3})));
        assert_eq!(state(&api, &format!("{DEPLOYMENTS}/web")).0, Status::InProgress);
        assert!(controllers.settle(60) < 60);
        let (status, mut web) = state(&api, &format!("{DEPLOYMENTS}/web"));
        assert_eq!(status, Status::Current);
        assert_eq!(user(&api).list(PODS).len(), 3);

        web["spec"]["template"]["spec"]["containers"][0]["image"] = "b".into();
        assert!(user(&api).put(&format!("{DEPLOYMENTS}/web"), &web));
        assert!(controllers.settle(120) < 120);
        assert_eq!(state(&api, &format!("{DEPLOYMENTS}/web")).0, Status::Current);
        let pods = user(&api).list(PODS);
        assert_eq!(pods.len(), 3);
        assert!(pods.iter().all(|pod| pod["spec"]["containers"][0]["image"] == "b"));
        assert_eq!(user(&api).list("/apis/apps/v1/namespaces/default/replicasets").len(), 2);
    }

    #[test]
    fn pods_that_crash_keep_a_deployment_from_being_ready() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        controllers.trouble(PodFault {
            namespace: "default".into(),
            prefix: "web-".into(),
            trouble: Trouble::CrashLoop,
        });
        user(&api).create(
            DEPLOYMENTS,
            &workload("Deployment", "web", json!({"progressDeadlineSeconds": 30})),
        );
        controllers.settle(60);
        api.advance(Duration::from_secs(40));
        controllers.step();
        let (status, web) = state(&api, &format!("{DEPLOYMENTS}/web"));
        assert_eq!(status, Status::Failed, "{:#}", web["status"]);
    }

    #[test]
    fn deleting_a_deployment_takes_its_pods_along() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        user(&api).create(DEPLOYMENTS, &workload("Deployment", "web", json!({})));
        controllers.settle(60);
        assert_eq!(user(&api).list(PODS).len(), 1);
        user(&api).delete(&format!("{DEPLOYMENTS}/web"), "Foreground");
        controllers.settle(60);
        assert!(user(&api).get(&format!("{DEPLOYMENTS}/web")).is_none());
        assert!(user(&api).list(PODS).is_empty());
    }

    #[test]
    fn orphans_stay() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        user(&api).create(DEPLOYMENTS, &workload("Deployment", "web", json!({})));
        controllers.settle(60);
        user(&api).delete(&format!("{DEPLOYMENTS}/web"), "Orphan");
        controllers.settle(60);
        assert!(user(&api).get(&format!("{DEPLOYMENTS}/web")).is_none());
        assert_eq!(user(&api).list(PODS).len(), 1);
    }

    #[test]
    fn a_stateful_set_has_numbered_pods_with_volumes() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        let claim = json!({
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        let spec = json!({"replicas": 2, "serviceName": "db", "volumeClaimTemplates": [claim]});
        let path = "/apis/apps/v1/namespaces/default/statefulsets";
        user(&api).create(path, &workload("StatefulSet", "db", spec));
        assert!(controllers.settle(60) < 60);
        assert_eq!(state(&api, &format!("{path}/db")).0, Status::Current);
        let names: Vec<_> =
            user(&api).list(PODS).iter().map(|pod| pod["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["db-0", "db-1"]);
        let claims = user(&api).list("/api/v1/namespaces/default/persistentvolumeclaims");
        assert!(
            claims.len() == 2 && claims.iter().all(|claim| claim["status"]["phase"] == "Bound")
        );
    }

    #[test]
    fn a_job_completes_and_a_daemon_set_has_a_pod_on_the_node() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        let mut job = workload("Job", "once", json!({"completions": 2}));
        job["apiVersion"] = "batch/v1".into();
        job["spec"].as_object_mut().expect("a spec").remove("selector");
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
        let jobs = "/apis/batch/v1/namespaces/default/jobs";
        assert!(user(&api).create(jobs, &job).is_some());
        let sets = "/apis/apps/v1/namespaces/default/daemonsets";
        user(&api).create(sets, &workload("DaemonSet", "agent", json!({})));
        assert!(controllers.settle(60) < 60);
        assert_eq!(state(&api, &format!("{jobs}/once")).0, Status::Current);
        let agent = user(&api).get(&format!("{sets}/agent")).expect("it is there");
        assert_eq!(agent["status"]["numberReady"], 1);
    }

    #[test]
    fn a_namespace_ends_with_what_is_in_it() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
        user(&api).create("/api/v1/namespaces", &space);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        user(&api).create("/api/v1/namespaces/shop/configmaps", &map);
        controllers.settle(20);
        assert!(user(&api).get("/api/v1/namespaces/shop/serviceaccounts/default").is_some());
        user(&api).delete("/api/v1/namespaces/shop", "Background");
        controllers.settle(20);
        assert!(user(&api).get("/api/v1/namespaces/shop").is_none());
        assert!(user(&api).get("/api/v1/namespaces/shop/configmaps/a").is_none());
    }
}
