//! What a person sees of an object: without the server's bookkeeping, and without secrets.

use serde_json::{Map, Value as Json};

/// Stands for a secret value that both sides have.
const HIDDEN: &str = "***";
const BEFORE: &str = "*** (before)";
const AFTER: &str = "*** (after)";

/// Repeats the whole object in an annotation, secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object before and after a change, as a person may see them.
///
/// Secret values are hidden on both sides; those that differ can still be told apart.
#[must_use]
pub fn pair(live: Option<&Json>, merged: Option<&Json>) -> (Option<Json>, Option<Json>) {
    let mut live = live.map(bare);
    let mut merged = merged.map(bare);
    if live.iter().chain(&merged).any(is_secret) {
        mask(&mut live, &mut merged);
    }
    (live, merged)
}

/// An object as a person may see it.
#[must_use]
pub fn single(object: &Json) -> Json {
    pair(Some(object), None).0.unwrap_or_default()
}

/// Without what changes with every write.
fn bare(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "generation", "uid", "selfLink"] {
            metadata.remove(field);
        }
        metadata.remove("creationTimestamp");
    }
    object
}

fn is_secret(object: &Json) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

fn mask(live: &mut Option<Json>, merged: &mut Option<Json>) {
    for field in ["data", "stringData"] {
        mask_values(of(live, &[field]), of(merged, &[field]));
    }
    for object in [live, merged] {
        if let Some(annotations) = of(object, &["metadata", "annotations"])
            && let Some(value) = annotations.get_mut(LAST_APPLIED)
        {
            *value = HIDDEN.into();
        }
    }
}

fn of<'a>(object: &'a mut Option<Json>, path: &[&str]) -> Option<&'a mut Map<String, Json>> {
    let object = object.as_mut()?;
    path.iter().try_fold(object, |value, key| value.get_mut(*key))?.as_object_mut()
}

fn mask_values(live: Option<&mut Map<String, Json>>, merged: Option<&mut Map<String, Json>>) {
    let mut none = Map::new();
    let mut nothing = Map::new();
    let live = live.unwrap_or(&mut none);
    let merged = merged.unwrap_or(&mut nothing);
    for (key, value) in live.iter_mut() {
        match merged.get_mut(key) {
            Some(other) if other == value => {
                *other = HIDDEN.into();
                *value = HIDDEN.into();
            }
            Some(other) => {
                *other = AFTER.into();
                *value = BEFORE.into();
            }
            None => *value = HIDDEN.into(),
        }
    }
    for (key, value) in merged {
        if !live.contains_key(key) {
            *value = HIDDEN.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bookkeeping_is_left_out() {
        let object = json!({ "kind": "ConfigMap", "metadata": { "name": "a", "uid": "1",
            "resourceVersion": "2", "managedFields": [] } });
        assert_eq!(single(&object), json!({ "kind": "ConfigMap", "metadata": { "name": "a" } }));
    }

    #[test]
    fn secrets_are_hidden_but_their_changes_show() {
        let secret = |data: Json| json!({ "apiVersion": "v1", "kind": "Secret", "data": data });
        let live = secret(json!({ "same": "YQ==", "other": "Yg==", "old": "Yw==" }));
        let merged = secret(json!({ "same": "YQ==", "other": "ZA==", "new": "ZQ==" }));
        let (live, merged) = pair(Some(&live), Some(&merged));
        assert_eq!(
            live.expect("was given")["data"],
            json!({ "same": "***", "other": "*** (before)", "old": "***" })
        );
        assert_eq!(
            merged.expect("was given")["data"],
            json!({ "same": "***", "other": "*** (after)", "new": "***" })
        );
    }

    #[test]
    fn the_copy_in_the_annotation_is_hidden_too() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret",
            "metadata": { "annotations": { LAST_APPLIED: "{\"data\":{\"a\":\"YQ==\"}}" } },
            "stringData": { "a": "a" } });
        let shown = single(&secret).to_string();
        assert!(!shown.contains("YQ==") && !shown.contains("\"a\":\"a\""), "{shown}");
    }

    #[test]
    fn a_secret_of_an_odd_shape_is_no_trouble() {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "data": ["x"], "metadata": 1 });
        let _ = pair(Some(&secret), Some(&json!(null)));
    }
}
