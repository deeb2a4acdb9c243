//! What a sync would do, and in which order; nothing is written that is not in the plan.
//!
//! The plan is a function of what was rendered, what the server answered when it was asked to
//! pretend, and the inventory of the last sync.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::inventory::{Inventory, Key, Member, PART_OF};
use crate::resource::Origin;

/// An object as it is to be sent.
#[derive(Clone, Debug)]
pub struct Object {
    /// What addresses it.
    pub key: Key,
    /// The version of its kind that it is written in.
    pub version: String,
    /// The object itself.
    pub body: Json,
    /// Where it was written.
    pub origin: Origin,
    /// The hash of what is sent.
    pub fields: String,
}

/// A field that somebody else owns and that the overlay sets to another value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Conflict {
    /// The field, as the server prints it: `.spec.replicas`.
    pub field: String,
    /// Who owns it.
    pub manager: String,
    /// How the manager came to own it, in the server's words, where it was not by apply:
    /// `with subresource "scale" using apps/v1`.
    pub detail: String,
}

/// What the server answered when it was asked to pretend.
#[derive(Clone, Debug)]
pub enum Answer {
    /// There is no such object.
    Absent {
        /// What it would be made to; unknown where its kind or namespace is made by the same sync.
        merged: Option<Json>,
    },
    /// There is one.
    Present {
        /// As it is.
        live: Json,
        /// As it would be; unknown where its definition is changed by the same sync.
        merged: Option<Json>,
    },
    /// There is one with fields that somebody else owns.
    Owned {
        /// As it is.
        live: Json,
        /// The fields.
        conflicts: Vec<Conflict>,
    },
}

/// What happens to an object.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// It is made.
    Created,
    /// It is changed.
    Configured,
    /// It is as it should be, and is not written.
    Unchanged,
    /// It is deleted.
    Pruned,
    /// It is not written, since somebody else owns some of its fields.
    Conflict,
}

/// One object of the overlay and what happens to it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object, as a position in what was rendered.
    pub object: usize,
    /// What happens to it.
    pub action: Action,
    /// As it is.
    pub live: Option<Json>,
    /// As it would be, where the server said so.
    pub merged: Option<Json>,
    /// The fields that somebody else owns.
    pub conflicts: Vec<Conflict>,
}

/// One object that the overlay no longer has.
#[derive(Clone, Debug)]
pub struct Prune {
    /// Which object.
    pub key: Key,
    /// What is known about it.
    pub member: Member,
    /// What happens to it.
    pub fate: Fate,
}

/// What happens to an object that the overlay no longer has.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is deleted; as it is now.
    Deleted(Json),
    /// It is gone already.
    Gone,
    /// It stays, and is forgotten; the reason.
    Released(String),
    /// It stays, and is kept in mind; the reason.
    Kept(String),
}

/// What a sync would do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The objects to write, stage by stage: the next begins when the one before is done.
    pub stages: Vec<Vec<Change>>,
    /// What becomes of those that the overlay no longer has, in the order of their deletion.
    pub prunes: Vec<Prune>,
}

/// The order of stages: what others need to exist at all, what they run with, what runs, and what
/// may reject everybody's writes.
const STAGES: usize = 4;

/// The kinds of the first stages in the order in which they are written; everything else comes third.
///
/// Source of the order: fluxcd/pkg `ssa/sort.go`.
const FOUNDATIONS: &[&str] = &[
    "ResourceQuota",
    "LimitRange",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "RuntimeClass",
    "PriorityClass",
    "ServiceAccount",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "PersistentVolume",
    "PersistentVolumeClaim",
];

/// Kinds that are better there before those that use them, within the third stage.
const EARLY: &[&str] = &["Service", "Endpoints", "EndpointSlice", "NetworkPolicy"];

/// Kinds that stand between everybody and the server: a webhook whose Deployment is not there yet
/// would reject that Deployment.
const GUARDS: &[&str] = &[
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
];

/// Annotations by which an object says that it wants to stay when it is pruned.
const STAY: &[(&str, &str)] = &[
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ("helm.sh/resource-policy", "keep"),
    ("client.lifecycle.config.k8s.io/deletion", "detach"),
    ("cli-utils.sigs.k8s.io/on-remove", "keep"),
];

/// The stage of a kind, and its rank in it.
#[must_use]
pub fn rank(group: &str, kind: &str) -> (usize, usize) {
    let at = |list: &[&str]| list.iter().position(|one| *one == kind);
    match (group, kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") => (0, 0),
        ("", "Namespace") => (0, 1),
        _ => at(FOUNDATIONS)
            .map(|rank| (1, rank))
            .or_else(|| at(EARLY).map(|rank| (2, rank)))
            .or_else(|| at(GUARDS).map(|rank| (3, rank)))
            .unwrap_or((2, EARLY.len() + usize::from(is_custom(group)))),
    }
}

/// Whether the kinds of a group come with a controller that the overlay may hold as well: they are
/// made after it, and deleted before it, so that it can clean up behind them.
#[must_use]
pub fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// Makes the plan. `answers` belong to `objects` one by one, and `remains` are the members of the
/// inventory as they are now; `id` marks our members.
#[must_use]
pub fn plan(
    objects: &[Object],
    answers: Vec<Answer>,
    inventory: &Inventory,
    remains: &BTreeMap<Key, Json>,
    id: &str,
) -> Plan {
    let mut stages: Vec<Vec<Change>> = vec![Vec::new(); STAGES];
    let mut order: Vec<_> = answers.into_iter().enumerate().collect();
    order.sort_by_key(|(at, _)| (rank(&objects[*at].key.group, &objects[*at].key.kind), *at));
    for (at, answer) in order {
        let key = &objects[at].key;
        stages[rank(&key.group, &key.kind).0].push(change(at, answer));
    }
    let prunes = prunes(objects, &stages, inventory, remains, id);
    Plan { stages, prunes }
}

fn change(object: usize, answer: Answer) -> Change {
    let (action, live, merged, conflicts) = match answer {
        Answer::Absent { merged } => (Action::Created, None, merged, Vec::new()),
        Answer::Owned { live, conflicts } => (Action::Conflict, Some(live), None, conflicts),
        Answer::Present { live, merged } => {
            let same = merged.as_ref().is_some_and(|merged| is_same(&live, merged));
            let action = if same { Action::Unchanged } else { Action::Configured };
            (action, Some(live), merged, Vec::new())
        }
    };
    Change { object, action, live, merged, conflicts }
}

/// Whether applying changed nothing: not a field, nor who owns them.
///
/// The server returns the object as it is when there is nothing to write, old time stamps included.
fn is_same(live: &Json, merged: &Json) -> bool {
    let without = |object: &Json| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.remove("resourceVersion");
            metadata.remove("generation");
        }
        object
    };
    live == merged || without(live) == without(merged)
}

fn prunes(
    objects: &[Object],
    stages: &[Vec<Change>],
    inventory: &Inventory,
    remains: &BTreeMap<Key, Json>,
    id: &str,
) -> Vec<Prune> {
    let wanted: BTreeSet<_> = objects.iter().map(|object| &object.key).collect();
    let uids = stages.iter().flatten().filter_map(|change| uid(change.live.as_ref()?));
    let kept = Kept {
        uids: uids.collect(),
        namespaces: objects.iter().map(|object| object.key.namespace.as_str()).collect(),
        kinds: objects.iter().map(|o| (o.key.group.as_str(), o.key.kind.as_str())).collect(),
    };
    let dropped = inventory.members.iter().filter(|(key, _)| !wanted.contains(key));
    let mut prunes: Vec<_> = dropped
        .map(|(key, member)| Prune {
            key: key.clone(),
            member: member.clone(),
            fate: fate(key, member, remains.get(key), &kept, id),
        })
        .collect();
    // The reverse of how they were made.
    prunes.sort_by(|a, b| {
        let rank = |prune: &Prune| rank(&prune.key.group, &prune.key.kind);
        rank(b).cmp(&rank(a)).then_with(|| a.key.cmp(&b.key))
    });
    prunes
}

/// What the overlay still has, and would lose with something else.
struct Kept<'a> {
    uids: BTreeSet<&'a str>,
    namespaces: BTreeSet<&'a str>,
    kinds: BTreeSet<(&'a str, &'a str)>,
}

fn uid(object: &Json) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

fn fate(key: &Key, member: &Member, live: Option<&Json>, kept: &Kept<'_>, id: &str) -> Fate {
    let Some(live) = live else {
        return Fate::Gone;
    };
    if !live["metadata"]["deletionTimestamp"].is_null() {
        return Fate::Kept("is being deleted already".into());
    }
    if let Some(reason) = foreign(member, live, kept, id) {
        return Fate::Released(reason);
    }
    let annotations = &live["metadata"]["annotations"];
    if let Some((name, value)) = STAY.iter().find(|(name, value)| annotations[name] == *value) {
        return Fate::Released(format!("its annotation {name} is {value}"));
    }
    match in_use(key, live, kept) {
        Some(reason) => Fate::Kept(reason),
        None => Fate::Deleted(live.clone()),
    }
}

/// Why this is not the object that we made, or no longer ours.
fn foreign(member: &Member, live: &Json, kept: &Kept<'_>, id: &str) -> Option<String> {
    let uid = uid(live);
    if member.uid.is_some() && member.uid.as_deref() != uid {
        return Some("somebody has deleted it and made a new one".into());
    }
    if uid.is_some_and(|uid| kept.uids.contains(uid)) {
        return Some("the overlay has it under another group".into());
    }
    if live["metadata"]["labels"][PART_OF] != id {
        return Some(format!("its label {PART_OF} says that it belongs to somebody else"));
    }
    let owners = live["metadata"]["ownerReferences"].as_array();
    owners
        .is_some_and(|owners| !owners.is_empty())
        .then(|| "another object owns it (ownerReferences)".into())
}

/// Why deleting it would take away something that the overlay still has.
fn in_use(key: &Key, live: &Json, kept: &Kept<'_>) -> Option<String> {
    let is_namespace = key.group.is_empty() && key.kind == "Namespace";
    if is_namespace && kept.namespaces.contains(key.name.as_str()) {
        return Some("objects of the overlay are in it".into());
    }
    let (group, kind) = (&live["spec"]["group"], &live["spec"]["names"]["kind"]);
    let is_definition = key.kind == "CustomResourceDefinition";
    let defines = (group.as_str().unwrap_or_default(), kind.as_str().unwrap_or_default());
    (is_definition && kept.kinds.contains(&defines))
        .then(|| "objects of the overlay are of this kind".into())
}

impl Action {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Pruned => "pruned",
            Self::Conflict => "conflict",
        }
    }
}

impl Plan {
    /// All changes in the order in which they are made.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.stages.iter().flatten()
    }

    /// The objects that are deleted.
    pub fn deletions(&self) -> impl Iterator<Item = &Prune> {
        self.prunes.iter().filter(|prune| matches!(prune.fate, Fate::Deleted(_)))
    }

    /// How many objects meet `action`.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        match action {
            Action::Pruned => self.deletions().count(),
            _ => self.changes().filter(|change| change.action == action).count(),
        }
    }

    /// Whether nothing is to be written or deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes().all(|change| change.action == Action::Unchanged)
            && self.deletions().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "applyset-x-v1";

    fn key(group: &str, kind: &str, namespace: &str, name: &str) -> Key {
        let [group, kind, namespace, name] = [group, kind, namespace, name].map(str::to_owned);
        Key { group, kind, namespace, name }
    }

    fn object(key: Key) -> Object {
        Object {
            key,
            version: "v1".into(),
            body: json!({}),
            origin: Origin { file: "a.yaml".into(), document: 0 },
            fields: String::new(),
        }
    }

    fn live(uid: &str) -> Json {
        json!({ "metadata": { "uid": uid, "labels": { PART_OF: ID } } })
    }

    fn fate_of(member_uid: Option<&str>, now: Option<Json>) -> Fate {
        let key = key("", "ConfigMap", "default", "old");
        let member = Member { uid: member_uid.map(str::to_owned), ..Member::default() };
        let members = BTreeMap::from([(key.clone(), member)]);
        let inventory = Inventory { members, ..Inventory::default() };
        let remains = now.map(|now| (key, now)).into_iter().collect();
        plan(&[], Vec::new(), &inventory, &remains, ID).prunes.remove(0).fate
    }

    #[test]
    fn definitions_come_first_and_webhooks_last() {
        let objects: Vec<_> = [
            key("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "", "w"),
            key("example.org", "Thing", "default", "t"),
            key("apps", "Deployment", "default", "d"),
            key("", "ConfigMap", "default", "c"),
            key("", "Namespace", "", "n"),
            key("apiextensions.k8s.io", "CustomResourceDefinition", "", "things.example.org"),
            key("", "Service", "default", "s"),
        ]
        .into_iter()
        .map(object)
        .collect();
        let answers = objects.iter().map(|_| Answer::Absent { merged: None }).collect();
        let plan = plan(&objects, answers, &Inventory::default(), &BTreeMap::new(), ID);
        let names: Vec<Vec<_>> = plan
            .stages
            .iter()
            .map(|stage| stage.iter().map(|c| objects[c.object].key.name.as_str()).collect())
            .collect();
        assert_eq!(
            names,
            [vec!["things.example.org", "n"], vec!["c"], vec!["s", "d", "t"], vec!["w"]]
        );
    }

    #[test]
    fn the_answer_decides_what_happens() {
        let objects = [object(key("", "ConfigMap", "default", "c"))];
        let action = |answer: Answer| {
            let plan = plan(&objects, vec![answer], &Inventory::default(), &BTreeMap::new(), ID);
            plan.stages[1][0].action
        };
        let present = |live: Json, merged: Json| Answer::Present { live, merged: Some(merged) };
        assert_eq!(action(Answer::Absent { merged: None }), Action::Created);
        assert_eq!(action(present(json!({"data": 1}), json!({"data": 1}))), Action::Unchanged);
        assert_eq!(action(present(json!({"data": 1}), json!({"data": 2}))), Action::Configured);
        let owned = Answer::Owned { live: json!({}), conflicts: Vec::new() };
        assert_eq!(action(owned), Action::Conflict);
        let unknown = Answer::Present { live: json!({}), merged: None };
        assert_eq!(action(unknown), Action::Configured);
    }

    #[test]
    fn what_the_overlay_no_longer_has_is_deleted() {
        assert_eq!(fate_of(Some("1"), Some(live("1"))), Fate::Deleted(live("1")));
        assert_eq!(fate_of(Some("1"), None), Fate::Gone);
    }

    #[test]
    fn a_member_of_an_interrupted_sync_is_deleted_by_its_label() {
        assert_eq!(fate_of(None, Some(live("1"))), Fate::Deleted(live("1")));
        let unlabelled = json!({ "metadata": { "uid": "1" } });
        assert!(matches!(fate_of(None, Some(unlabelled)), Fate::Released(_)));
    }

    #[test]
    fn another_object_of_the_same_name_is_left_alone() {
        assert!(matches!(fate_of(Some("1"), Some(live("2"))), Fate::Released(_)));
    }

    #[test]
    fn an_object_of_another_set_is_left_alone() {
        let mut other = live("1");
        other["metadata"]["labels"][PART_OF] = "applyset-y-v1".into();
        assert!(matches!(fate_of(Some("1"), Some(other)), Fate::Released(_)));
    }

    #[test]
    fn an_object_that_wants_to_stay_is_released() {
        let mut live = live("1");
        live["metadata"]["annotations"] =
            json!({ "kustomize.toolkit.fluxcd.io/prune": "disabled" });
        let reason = "its annotation kustomize.toolkit.fluxcd.io/prune is disabled";
        assert_eq!(fate_of(Some("1"), Some(live)), Fate::Released(reason.into()));
    }

    #[test]
    fn a_namespace_in_use_is_kept() {
        let namespace = key("", "Namespace", "", "shop");
        let inventory = Inventory {
            members: BTreeMap::from([(namespace.clone(), Member::default())]),
            ..Inventory::default()
        };
        let objects = [object(key("", "ConfigMap", "shop", "c"))];
        let remains = BTreeMap::from([(namespace, live("1"))]);
        let answers = vec![Answer::Absent { merged: None }];
        let plan = plan(&objects, answers, &inventory, &remains, ID);
        assert_eq!(plan.prunes[0].fate, Fate::Kept("objects of the overlay are in it".into()));
    }

    #[test]
    fn an_object_that_changed_its_group_is_not_deleted() {
        let old = key("extensions", "Ingress", "default", "web");
        let inventory = Inventory {
            members: BTreeMap::from([(old.clone(), Member::default())]),
            ..Inventory::default()
        };
        let objects = [object(key("networking.k8s.io", "Ingress", "default", "web"))];
        let answers = vec![Answer::Present { live: live("1"), merged: None }];
        let remains = BTreeMap::from([(old, live("1"))]);
        let plan = plan(&objects, answers, &inventory, &remains, ID);
        assert!(matches!(plan.prunes[0].fate, Fate::Released(_)));
    }

    #[test]
    fn deletion_is_the_reverse_of_creation() {
        let keys = [
            key("", "Namespace", "", "n"),
            key("", "ConfigMap", "n", "c"),
            key("apps", "Deployment", "n", "d"),
        ];
        let inventory = Inventory {
            members: keys.iter().map(|key| (key.clone(), Member::default())).collect(),
            ..Inventory::default()
        };
        let plan = plan(&[], Vec::new(), &inventory, &BTreeMap::new(), ID);
        let kinds: Vec<_> = plan.prunes.iter().map(|prune| prune.key.kind.as_str()).collect();
        assert_eq!(kinds, ["Deployment", "ConfigMap", "Namespace"]);
    }
}
