//! What a Kustomization writes on its objects, and what they may say about how they are treated.

use ecow::EcoString;

use super::api::{CommonMetadata, GROUP};
use crate::json;
use crate::resource::Resource;
use crate::value::{Map, Scalar, Value};

/// What an object's labels and annotations ask of Flux.
///
/// Source: kustomize-controller `internal/controller/kustomization_controller.go` (`apply`, `deleteObjects`);
/// fluxcd/pkg `ssa/utils/meta.go` (`AnyInMetadata`) for the comparison, which does not look at case.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wishes {
    /// It is neither applied nor deleted.
    pub unreconciled: bool,
    /// It is never deleted.
    pub unpruned: bool,
    /// It is made anew where a field cannot be changed.
    pub forced: bool,
    /// How it is applied.
    pub apply: Apply,
}

/// How an object is applied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Apply {
    /// What others have set is taken over.
    #[default]
    Override,
    /// What others have set stays.
    Merge,
    /// Only where it is not there.
    IfNotPresent,
    /// Not at all.
    Ignore,
}

impl Wishes {
    /// What the object asks for.
    #[must_use]
    pub fn of(resource: &Resource) -> Self {
        let says = |key: &str, wanted: &str| {
            let key = format!("{GROUP}/{key}");
            let in_map = |map: Option<&Map>| {
                let value = map.and_then(|map| map.get(&key)).and_then(Value::as_text);
                value.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
            };
            in_map(resource.labels()) || in_map(resource.annotations())
        };
        let apply = [
            ("Ignore", Apply::Ignore),
            ("IfNotPresent", Apply::IfNotPresent),
            ("Merge", Apply::Merge),
        ];
        let apply = apply.into_iter().find(|(word, _)| says("ssa", word));
        Self {
            unreconciled: says("reconcile", "disabled"),
            unpruned: says("prune", "disabled"),
            forced: says("force", "enabled"),
            apply: apply.map_or(Apply::Override, |(_, apply)| apply),
        }
    }

    /// Whether the object is sent to the server.
    #[must_use]
    pub fn is_applied(self) -> bool {
        !self.unreconciled && self.apply != Apply::Ignore
    }

    /// Whether the object may be deleted when it is gone from the source.
    #[must_use]
    pub fn is_pruned(self) -> bool {
        !self.unpruned && self.is_applied()
    }
}

/// Why Flux takes an object for one without labels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unread<'a> {
    /// They are no map, but this.
    NoMap(&'static str),
    /// The one with this key is no string.
    NoString(&'a str),
}

/// Whether Flux does not read the labels of an object: all of them are gone then.
///
/// Source: apimachinery `unstructured/helpers.go` (`NestedNullCoercingStringMap`), whose error nobody looks at.
pub(super) fn unread(labels: &Value) -> Option<Unread<'_>> {
    let is_read = |value: &Value| {
        // Most are, which takes no JSON to find out.
        value.as_scalar().is_some_and(Scalar::is_as_set)
            || value.is_null()
            || json::to_json(value).is_ok_and(|value| value.is_string())
    };
    match labels {
        labels if labels.is_null() => None,
        Value::Map(labels) => {
            let odd = labels.iter().find(|(_, value)| !is_read(value));
            odd.map(|(key, _)| Unread::NoString(&key.text))
        }
        labels => Some(Unread::NoMap(labels.kind_name())),
    }
}

/// Leaves an object the labels that Flux reads of it, which are strings.
pub fn read_labels(resource: &mut Resource) {
    let metadata = resource.value.get_mut("metadata");
    let Some(labels) = metadata.and_then(|metadata| metadata.get_mut("labels")) else { return };
    if unread(labels).is_some() {
        *labels = Value::map();
    }
    let labels = labels.as_map_mut().into_iter().flat_map(Map::iter_mut);
    labels.filter(|(_, label)| label.is_null()).for_each(|(_, label)| *label = Value::string(""));
}

/// Writes the name and namespace of the Kustomization on an object: whose it is.
pub fn own(resource: &mut Resource, name: &str, namespace: &str) {
    set(resource, "labels", &format!("{GROUP}/name"), name);
    set(resource, "labels", &format!("{GROUP}/namespace"), namespace);
}

/// Sets labels and annotations over those that are there.
pub fn set_common(resource: &mut Resource, common: &CommonMetadata) {
    let all = |pairs: &[(EcoString, EcoString)], field: &str, resource: &mut Resource| {
        for (key, value) in pairs {
            set(resource, field, key, value);
        }
    };
    all(&common.labels, "labels", resource);
    all(&common.annotations, "annotations", resource);
}

/// The same as Flux does it for Kustomizations: labels that it cannot read are gone where there are some to set.
///
/// Source: fluxcd/pkg `ssa/utils/meta.go` (`SetCommonMetadata`).
pub fn read_and_set_common(resource: &mut Resource, common: &CommonMetadata) {
    let is_read =
        resource.value.at(&["metadata", "labels"]).is_none_or(|one| unread(one).is_none());
    if is_read || !common.labels.is_empty() {
        read_labels(resource);
    }
    set_common(resource, common);
}

fn set(resource: &mut Resource, field: &str, key: &str, text: &str) {
    let place = resource.value.make(&["metadata", field]);
    let Some(place) = place else { return };
    if place.as_map().is_none() {
        *place = Value::map();
    }
    if let Some(map) = place.as_map_mut() {
        map.insert(key, Value::string(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::resource::Origin;

    fn resource(metadata: &str) -> Resource {
        let file: std::sync::Arc<str> = "a.yaml".into();
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n");
        let value = crate::yaml::read_first(text.as_bytes(), &file, &Limits::PERSON).expect("YAML");
        Resource::new(value, Origin { file, document: 0 })
    }

    #[test]
    fn labels_and_annotations_are_asked_in_any_case() {
        let wishes = |metadata: &str| Wishes::of(&resource(metadata));
        let key =
            |key: &str, value: &str| format!("{{kustomize.toolkit.fluxcd.io/{key}: {value}}}");
        let label = wishes(&format!("{{labels: {}}}", key("prune", "Disabled")));
        assert!(label.unpruned && label.is_applied() && !label.is_pruned());
        let annotation = wishes(&format!("{{annotations: {}}}", key("ssa", "ifnotpresent")));
        assert_eq!(annotation.apply, Apply::IfNotPresent);
        assert!(
            !wishes(&format!("{{annotations: {}}}", key("reconcile", "disabled"))).is_applied()
        );
        assert_eq!(wishes("{}"), Wishes::default());
    }

    #[test]
    fn what_is_common_wins() {
        let mut one = resource("{name: a, labels: {a: old, b: kept}}");
        own(&mut one, "app", "flux-system");
        let common = CommonMetadata {
            labels: vec![("a".into(), "1".into())],
            annotations: vec![("c".into(), "d".into())],
        };
        set_common(&mut one, &common);
        let text = |path: &[&str]| one.value.text_at(path).map(str::to_owned);
        assert_eq!(text(&["metadata", "labels", "a"]).as_deref(), Some("1"));
        assert_eq!(text(&["metadata", "labels", "b"]).as_deref(), Some("kept"));
        assert_eq!(
            text(&["metadata", "labels", "kustomize.toolkit.fluxcd.io/name"]).as_deref(),
            Some("app")
        );
        assert_eq!(text(&["metadata", "annotations", "c"]).as_deref(), Some("d"));
        assert_eq!(one.value.at(&["metadata", "labels", "a"]).and_then(Value::as_str), Some("1"));
    }
}
