//! What a cluster's controllers make of objects, so that a sync has something to wait for.
//!
//! They are clients like any other: they compare and write through [`Rehearsal::handle`], under the
//! name that the real ones have in managed fields. What they look after in a [`step`](Controllers::step)
//! is what has changed since the last one, what owns that, and what waits for a time; so a step costs
//! what has happened, whatever else is there. There is one node, pods are ready a second after they are
//! bound, and nothing runs. Time is the rehearsal's own, so a rollout takes as long as the caller lets
//! the clock go on.
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use serde_json::Value;

use crate::rehearsal::Rehearsal;
use crate::rehearsal::waiting::Seat;

use ask::Ask;
use sight::{Place, Sight};

pub use pods::{PodFault, Trouble};

/// The name of the only node.
pub const NODE: &str = "rehearsal";

/// How far the clock goes in one step.
const STEP: Duration = Duration::from_secs(1);

/// The longest that something that was refused waits before it is tried again, in seconds; the
/// controllers of Kubernetes wait up to 1,000.
const LONGEST_REST: u64 = 600;

/// Looks after an object, and says when to look again if nothing happens.
type Look = fn(&Ask<'_>, &Value) -> Option<u64>;

const MANAGER: &str = "kube-controller-manager";

/// Who looks after which resource, in the order of their turns: what one makes, the next one sees.
const TURNS: [(&str, (&str, &str), Look); 9] = [
    (MANAGER, ("apps", "deployments"), deployment::look),
    (MANAGER, ("apps", "replicasets"), replica_set::look),
    (MANAGER, ("", "replicationcontrollers"), replica_set::look_at_old),
    (MANAGER, ("apps", "statefulsets"), stateful_set::look),
    (MANAGER, ("apps", "daemonsets"), daemon_set::look),
    (MANAGER, ("batch", "jobs"), job::look),
    (MANAGER, ("", "persistentvolumeclaims"), volumes::look),
    ("cloud-controller-manager", ("", "services"), network::look),
    (MANAGER, ("", "namespaces"), cleanup::look),
];

/// The controllers of one rehearsal.
#[derive(Debug)]
pub struct Controllers {
    api: Rehearsal,
    troubles: Vec<PodFault>,
    sight: Sight,
    /// What is to be looked after.
    due: BTreeSet<Place>,
    /// What has lost an owner, or waits for its dependents.
    tied: BTreeSet<Place>,
    /// What is to be looked after at a time, if nothing happens to it before.
    resting: BTreeMap<Place, Rest>,
    /// How many pods have an address.
    addresses: usize,
    seat: Seat,
}

/// Until when something rests, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: u64,
    /// How often it was refused.
    refused: u32,
}

/// Lets a thread go on that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Controllers {
    /// Controllers that look after `api`, which gets a node.
    #[must_use]
    pub fn new(api: &Rehearsal) -> Self {
        let sight = Sight::default();
        pods::make_node(&Ask::new(api, &sight, "kubelet"));
        Self {
            api: api.clone(),
            troubles: Vec::new(),
            sight,
            due: BTreeSet::new(),
            tied: BTreeSet::new(),
            resting: BTreeMap::new(),
            addresses: 0,
            seat: api.state().waiting.seat_for_all(),
        }
    }

    /// Lets pods go wrong, those too that are there.
    pub fn trouble(&mut self, fault: PodFault) {
        self.troubles.push(fault);
        self.due.extend(self.api.places(ask::PODS));
    }

    /// One round of all of them; whether any of them wrote something.
    pub fn step(&mut self) -> bool {
        let before = self.api.revision();
        self.rouse();
        for (agent, resource, look) in TURNS {
            for place in self.take(resource) {
                self.look(agent, &place, look);
            }
        }
        self.notice();
        for place in std::mem::take(&mut self.tied) {
            let ask = Ask::new(&self.api, &self.sight, MANAGER);
            cleanup::look_at_ties(&ask, &place);
            if ask.was_refused() {
                self.rest(&place, None, true);
            }
        }
        let pods = self.take(ask::PODS);
        for place in &pods {
            if let Some(pod) = self.api.read(place) {
                let ask = Ask::new(&self.api, &self.sight, "kube-scheduler");
                pods::schedule(&ask, &pod, &self.troubles);
            }
        }
        let troubles = self.troubles.clone();
        for place in &pods {
            self.addresses += 1;
            let number = self.addresses;
            self.look("kubelet", place, |ask, pod| pods::run(ask, pod, number, &troubles));
        }
        self.api.revision() != before
    }

    /// Goes on until `ends`: with `pause` between the steps and a second of the rehearsal's time in each
    /// while something is under way, and not at all while nothing is. Whoever sets `ends` unparks the
    /// thread.
    pub fn run(&mut self, pause: Duration, ends: &AtomicBool) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while !ends.load(Ordering::Relaxed) {
            self.seat.wait(&waker);
            self.step();
            if !self.resting.is_empty() {
                self.api.advance(STEP);
            }
            if self.is_busy() {
                thread::sleep(pause);
            } else {
                thread::park();
            }
        }
    }

    /// Whether there is something to do, or to wait for.
    fn is_busy(&self) -> bool {
        let is_idle = self.due.is_empty() && self.tied.is_empty() && self.resting.is_empty();
        !is_idle || self.sight.seen() != self.api.revision()
    }

    /// Sees what has changed.
    fn notice(&mut self) {
        let touched = self.sight.follow(&self.api);
        self.tied.extend(touched.orphans);
        for place in touched.places {
            self.concern(place);
        }
    }

    fn concern(&mut self, place: Place) {
        if self.sight.is_ending(&place) {
            self.tied.insert(place.clone());
        }
        if place.is_of(ask::PODS) || TURNS.iter().any(|(_, resource, _)| place.is_of(*resource)) {
            self.due.insert(place);
        }
    }

    /// What has rested long enough is looked after in this step.
    fn rouse(&mut self) {
        let now = self.api.time();
        let over = self.resting.iter().filter(|(_, rest)| rest.until <= now);
        for place in over.map(|(place, _)| place.clone()).collect::<Vec<_>>() {
            self.concern(place);
        }
    }

    /// What is due of a resource, with what has changed just now.
    fn take(&mut self, resource: (&str, &str)) -> BTreeSet<Place> {
        self.notice();
        let due = std::mem::take(&mut self.due);
        let (taken, left) = due.into_iter().partition(|place| place.is_of(resource));
        self.due = left;
        taken
    }

    fn look(
        &mut self,
        agent: &'static str,
        place: &Place,
        look: impl FnOnce(&Ask<'_>, &Value) -> Option<u64>,
    ) {
        let ask = Ask::new(&self.api, &self.sight, agent);
        let until = self.api.read(place).and_then(|object| look(&ask, &object));
        let refused = ask.was_refused();
        self.rest(place, until, refused);
    }

    /// Lets something rest until a time; what was refused for twice as long each time.
    fn rest(&mut self, place: &Place, until: Option<u64>, refused: bool) {
        let before = self.resting.remove(place).map_or(0, |rest| rest.refused);
        let refused = if refused { before.saturating_add(1) } else { 0 };
        let again = (refused > 0).then(|| {
            let seconds = 1_u64.checked_shl(refused - 1).unwrap_or(LONGEST_REST);
            self.api.time().saturating_add(seconds.min(LONGEST_REST))
        });
        if let Some(until) = until.into_iter().chain(again).min() {
            self.resting.insert(place.clone(), Rest { until, refused });
        }
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::health::{self, Status};
    use crate::rehearsal::{Clock, Options};

    fn api() -> Rehearsal {
        let options = Options { clock: Clock::Fixed(1_790_000_000), ..Options::default() };
        Rehearsal::new(&options).expect("the default minor is known")
    }

    fn user(api: &Rehearsal) -> Ask<'_> {
        Ask::new(api, Box::leak(Box::default()), "user")
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

    const HASH: &str = "pod-template-hash";
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
    fn a_step_looks_at_nothing_where_nothing_happened() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        user(&api).create(DEPLOYMENTS, &workload("Deployment", "web", json!({"replicas": 3})));
        controllers.settle(60);
        controllers.step();
        assert!(!controllers.is_busy());
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        user(&api).create("/api/v1/namespaces/default/configmaps", &map);
        assert!(controllers.is_busy());
        assert!(!controllers.step());
        assert!(!controllers.is_busy());
    }

    #[test]
    fn what_is_refused_is_tried_again_ever_more_seldom() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}},
        });
        let quotas = "/api/v1/namespaces/default/resourcequotas";
        let mut quota = user(&api).create(quotas, &quota).expect("created");
        quota["status"] = json!({"hard": {"pods": "0"}, "used": {"pods": "0"}});
        assert!(user(&api).put(&format!("{quotas}/none/status"), &quota));
        user(&api).create(DEPLOYMENTS, &workload("Deployment", "web", json!({})));
        controllers.settle(30);
        assert!(user(&api).list(PODS).is_empty());
        let refused = controllers.resting.values().map(|rest| rest.refused).max();
        assert!(matches!(refused, Some(2..=6)), "{refused:?}");
        user(&api).delete(&format!("{quotas}/none"), "Background");
        api.advance(Duration::from_secs(LONGEST_REST));
        controllers.settle(60);
        assert_eq!(user(&api).list(PODS).len(), 1);
    }

    #[test]
    fn a_copy_of_a_cluster_stays_as_it_is() {
        let api = api();
        let mut controllers = Controllers::new(&api);
        let labels = |hash: &str| json!({"app": "web", HASH: hash});
        let template = json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        });
        let mut hashed = template.clone();
        hashed["metadata"]["labels"] = labels("6b7f");
        let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
        let ready = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1});
        let objects = [
            // Its owner is of a kind that is not here.
            json!({
                "apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "node-1", "containers": []},
                "metadata": {"name": "web-6b7f-x", "namespace": "default", "uid": "p", "labels": labels("6b7f"),
                    "ownerReferences": owner("ReplicaSet", "web-6b7f", "r")},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "status": ready,
                "metadata": {"name": "web-6b7f", "namespace": "default", "uid": "r", "labels": labels("6b7f"),
                    "ownerReferences": owner("Deployment", "web", "d")},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels("6b7f")}, "template": hashed},
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "status": ready,
                "metadata": {"name": "web", "namespace": "default", "uid": "d",
                    "ownerReferences": owner("Thing", "thing", "t")},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
            }),
        ];
        assert_eq!(api.adopt(&objects), 0);
        controllers.settle(30);
        assert!(user(&api).get(&format!("{DEPLOYMENTS}/web")).is_some());
        assert_eq!(user(&api).list("/apis/apps/v1/namespaces/default/replicasets").len(), 1);
        let pods = user(&api).list(PODS);
        assert_eq!(pods.len(), 1);
        assert_eq!(
            (&pods[0]["spec"]["nodeName"], &pods[0]["metadata"]["uid"]),
            (&json!("node-1"), &json!("p"))
        );
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
