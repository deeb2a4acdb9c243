//! What the default admission plugins do that need no other object.
//!
//! Source: Kubernetes 1.36 `plugin/pkg/admission/{defaulttolerationseconds,priority,
//! storage/storageobjectinuseprotection}`.

use serde_json::{Map, Value, json};

use crate::rehearsal::{Failure, Kind};

/// The classes that every cluster has, and their priorities.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// What the default admission plugins set or refuse that need no other object: tolerations and
/// priority of Pods, the finalizers of volumes. Runs after the defaults.
///
/// `old` is `None` for a create.
///
/// # Errors
/// Where a plugin refuses the object.
pub fn admit(
    kind: &Kind,
    subresource: Option<&str>,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if subresource.is_some() {
        return Ok(());
    }
    match (kind.pair(), old) {
        (("", "Pod"), None) => {
            prioritize(new, &[])?;
            tolerate(new);
        }
        (("", "PersistentVolumeClaim"), None) => protect(new, "kubernetes.io/pvc-protection"),
        (("", "PersistentVolume"), None) => protect(new, "kubernetes.io/pv-protection"),
        (("", "Pod"), Some(old)) => {
            // Only what the create decided may stay.
            if let Value::Object(object) = new
                && let Some(Value::Object(spec)) = object.get_mut("spec")
            {
                for key in ["priority", "preemptionPolicy"] {
                    if spec.get(key).is_none_or(Value::is_null) && !old["spec"][key].is_null() {
                        spec.insert(key.into(), old["spec"][key].clone());
                    }
                }
            }
            tolerate(new);
        }
        _ => {}
    }
    Ok(())
}

/// Sets what an object of this kind takes from the cluster's classes: a Pod its priority, a claim
/// and an Ingress their default class. `classes` are all objects of the kind of class that applies
/// (PriorityClass, StorageClass, IngressClass). Comes before [`admit`]; for creates only.
///
/// # Errors
/// Where a Pod names a class that does not exist.
pub fn apply_classes(kind: &Kind, new: &mut Value, classes: &[&Value]) -> Result<(), Failure> {
    match kind.pair() {
        ("", "Pod") => prioritize(new, classes)?,
        ("", "PersistentVolumeClaim") => {
            let annotation = "volume.beta.kubernetes.io/storage-class";
            let named = !new["spec"]["storageClassName"].is_null()
                || !new["metadata"]["annotations"][annotation].is_null();
            let marks = [
                "storageclass.kubernetes.io/is-default-class",
                "storageclass.beta.kubernetes.io/is-default-class",
            ];
            if let (false, Some(name)) = (named, default_class(classes, &marks)) {
                new["spec"]["storageClassName"] = name.into();
            }
        }
        ("networking.k8s.io", "Ingress") => {
            let named = !new["spec"]["ingressClassName"].is_null()
                || !new["metadata"]["annotations"]["kubernetes.io/ingress.class"].is_null();
            let marks = ["ingressclass.kubernetes.io/is-default-class"];
            if let (false, Some(name)) = (named, default_class(classes, &marks)) {
                new["spec"]["ingressClassName"] = name.into();
            }
        }
        _ => {}
    }
    Ok(())
}

/// The newest class that says it is the default; of those made in one second the first by name.
fn default_class(classes: &[&Value], marks: &[&str]) -> Option<String> {
    let text =
        |class: &Value, key: &str| class["metadata"][key].as_str().unwrap_or_default().to_owned();
    let mut marked: Vec<_> = classes
        .iter()
        .filter(|class| marks.iter().any(|mark| class["metadata"]["annotations"][*mark] == "true"))
        .map(|class| (text(class, "creationTimestamp"), text(class, "name")))
        .collect();
    marked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    marked.into_iter().next().map(|(_, name)| name)
}

fn prioritize(new: &mut Value, classes: &[&Value]) -> Result<(), Failure> {
    let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let wanted = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
    let never = "PreemptLowerPriority";
    let (priority, policy) = if wanted.is_empty() {
        let global = classes
            .iter()
            .filter(|class| class["globalDefault"] == true)
            .min_by_key(|class| class["value"].as_i64().unwrap_or(0));
        match global {
            Some(class) => {
                spec.insert("priorityClassName".into(), class["metadata"]["name"].clone());
                of_class(class, never)
            }
            None => (0, never.to_owned()),
        }
    } else if let Some((_, priority)) = SYSTEM_CLASSES.iter().find(|(name, _)| *name == wanted) {
        (*priority, never.to_owned())
    } else if let Some(class) = classes.iter().find(|class| class["metadata"]["name"] == wanted) {
        of_class(class, never)
    } else if spec.get("priority").is_some_and(Value::is_number) {
        // It was decided already, with the classes at hand.
        return Ok(());
    } else {
        let message = format!("no PriorityClass with name {wanted} was found");
        return Err(forbidden("pods", &name, &message));
    };
    if let Some(stated) = spec.get("priority").and_then(Value::as_i64)
        && stated != priority
    {
        let message = format!(
            "the integer value of priority ({stated}) must not be provided in pod spec; priority \
             admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(forbidden("pods", &name, &message));
    }
    spec.insert("priority".into(), priority.into());
    if let Some(stated) = spec.get("preemptionPolicy").and_then(Value::as_str)
        && stated != policy
    {
        let message = format!(
            "the string value of PreemptionPolicy ({stated}) must not be provided in pod spec; \
             priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(forbidden("pods", &name, &message));
    }
    spec.insert("preemptionPolicy".into(), policy.into());
    Ok(())
}

fn of_class(class: &Value, policy: &str) -> (i64, String) {
    let own = class["preemptionPolicy"].as_str().unwrap_or(policy);
    (class["value"].as_i64().unwrap_or(0), own.to_owned())
}

/// 403, as admission plugins refuse.
pub(super) fn forbidden(resource: &str, name: &str, message: &str) -> Failure {
    Failure {
        code: 403,
        reason: "Forbidden",
        message: format!("{resource} {name:?} is forbidden: {message}"),
        details: Some(json!({"name": name, "kind": resource})),
    }
}

/// A Pod stays five minutes on a node that is not ready or cannot be reached.
fn tolerate(new: &mut Value) {
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    let list = spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    let tolerated = |taint: &str| {
        list.iter().any(|toleration| {
            let text = |key: &str| toleration[key].as_str().unwrap_or_default();
            (text("key") == taint || text("key").is_empty())
                && (text("effect") == "NoExecute" || text("effect").is_empty())
        })
    };
    let missing: Vec<_> = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        .into_iter()
        .filter(|taint| !tolerated(taint))
        .map(|taint| {
            json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            })
        })
        .collect();
    if !missing.is_empty() {
        let list: Vec<_> = list.into_iter().chain(missing).collect();
        spec.insert("tolerations".into(), list.into());
    }
}

/// A volume is not gone before its users are.
fn protect(new: &mut Value, finalizer: &str) {
    let Value::Object(object) = new else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(metadata) = metadata else { return };
    let list = metadata.entry("finalizers").or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    if let Value::Array(list) = list
        && !list.iter().any(|name| name == finalizer)
    {
        list.push(finalizer.into());
    }
}
