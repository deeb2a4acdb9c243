//! How a generated object meets one that is there already.
//!
//! Source: kustomize `api/resmap/reswrangler.go`, `appendReplaceOrMerge`;
//! `api/resource/resource.go`, `CopyMergeMetaDataFieldsFrom`.

use std::collections::BTreeMap;

use ecow::EcoString;

use super::config_map::datum;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::fields::rename;
use crate::resource::{Behavior, Id, Resource, Written};
use crate::resources::Resources;
use crate::value::{Map, Value};
use crate::yaml::plain_key;

/// Adds a generated object, or merges it with the one that has or had its id.
///
/// `place` is where the generator stands.
///
/// # Errors
/// Where it is to be created and is there already, or is to be merged and nothing is there.
pub fn absorb(resources: &mut Resources, new: Resource, place: impl Fn() -> Place) -> Result<()> {
    let id = new.id();
    let behavior = new.behavior.unwrap_or_default();
    match (resources.positions_ever(&id).as_slice(), behavior) {
        ([], Behavior::Create) => resources.append(new).map_err(|_| exists(&id, place())),
        ([], _) => Err(missing(&id, resources, place())),
        ([_], Behavior::Create) => Err(exists(&id, place())),
        ([at], _) => {
            let merged = merged(&resources.as_slice()[*at], new, behavior);
            resources.replace(*at, merged);
            Ok(())
        }
        (_, _) => {
            let message = format!("more than one {} was called {}", id.gvk.kind, called(&id));
            Err(Error::new(ErrorKind::Invalid, place(), message))
        }
    }
}

fn exists(id: &Id, place: Place) -> Error {
    let message = format!("{} {} is there already", id.gvk.kind, called(id));
    let error = Error::new(ErrorKind::Invalid, place, message);
    error.hint("to change it, add \"behavior: merge\" or \"behavior: replace\"")
}

fn missing(id: &Id, resources: &Resources, place: Place) -> Error {
    let message = format!("there is no {} {} to merge with or to replace", id.gvk.kind, called(id));
    let error = Error::new(ErrorKind::Missing, place, message);
    let same_kind = resources.iter().filter(|one| one.kind() == id.gvk.kind);
    match same_kind.clone().find(|one| one.name() == id.name) {
        Some(other) if other.namespace().is_empty() => {
            error.hint("the one of that name has no namespace")
        }
        Some(other) => {
            error.hint(format!("the one of that name is in namespace \"{}\"", other.namespace()))
        }
        None => match crate::nearest::nearest(&id.name, same_kind.map(Resource::name)) {
            Some(name) => error.hint(format!("there is one called \"{name}\"")),
            None => error,
        },
    }
}

fn called(id: &Id) -> String {
    match id.namespace.as_str() {
        "" => format!("\"{}\"", id.name),
        namespace => format!("\"{}\" in namespace \"{namespace}\"", id.name),
    }
}

/// The new object with name, history and metadata of the old one.
///
/// Fields other than data and the metadata named here are not taken over.
fn merged(old: &Resource, new: Resource, behavior: Behavior) -> Resource {
    let mut value = new.value;
    for field in ["labels", "annotations"] {
        let path = ["metadata", field];
        let both = united(old.value.at(&path), value.at(&path), &written);
        put(&mut value, &path, both);
    }
    take_name(&mut value, old);
    if behavior == Behavior::Merge {
        for field in ["data", "binaryData"] {
            let both = united(old.value.get(field), value.get(field), &meant);
            put(&mut value, &[field], both);
        }
    }
    let keeps_origin = behavior == Behavior::Merge && old.origin_annotation.is_some();
    let origin_annotation = match new.origin_annotation {
        Some(origin) if !keeps_origin => Some(origin),
        _ => old.origin_annotation.clone(),
    };
    // What kustomize notes about an object goes with the old one, but a hash needs both.
    Resource {
        value,
        needs_hash: old.needs_hash && new.needs_hash,
        origin_annotation,
        in_brackets: false,
        written: Written::Made,
        ..old.clone()
    }
}

/// The text of a label or an annotation: of a null too.
fn written(value: &Value) -> EcoString {
    value.as_text().unwrap_or_default().into()
}

/// The text of a datum: none of a null.
fn meant(value: &Value) -> EcoString {
    if value.is_null() { EcoString::new() } else { written(value) }
}

/// The entries of both as text, the new ones winning.
fn united(
    old: Option<&Value>,
    new: Option<&Value>,
    text: &dyn Fn(&Value) -> EcoString,
) -> BTreeMap<EcoString, EcoString> {
    let maps = [old, new].into_iter().flatten().filter_map(Value::as_map);
    maps.flat_map(Map::iter).map(|(key, value)| (key.text.clone(), text(value))).collect()
}

/// Sets a mapping of text; an empty one is gone.
fn put(value: &mut Value, path: &[&str], entries: BTreeMap<EcoString, EcoString>) {
    let Some((field, parents)) = path.split_last() else { return };
    let Some(parent) = value.make(parents).and_then(Value::as_map_mut) else { return };
    parent.remove(field);
    if !entries.is_empty() {
        let entries = entries.into_iter().map(|(name, text)| (plain_key(&name), datum(&text)));
        parent.insert(field, Value::Map(entries.collect()));
    }
}

/// Gives the object the present name and namespace of the old one.
fn take_name(value: &mut Value, old: &Resource) {
    let Some(metadata) = value.make(&["metadata"]).and_then(Value::as_map_mut) else { return };
    rename(metadata.entry("name"), old.name());
    if old.namespace().is_empty() {
        metadata.remove("namespace");
    } else {
        rename(metadata.entry("namespace"), old.namespace());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::value::{Scalar, Style, Tag};

    fn config_map(name: &str, data: &[(&str, &str)]) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::string("v1"));
        value.set(&["kind"], Value::string("ConfigMap"));
        value.set(&["metadata", "name"], Value::string(name));
        for (key, text) in data {
            value.set(&["data", key], Value::string(*text));
        }
        Resource::new(value, Origin { file: "kustomization.yaml".into(), document: 0 })
    }

    fn generated(name: &str, data: &[(&str, &str)], behavior: Behavior) -> Resource {
        let mut resource = config_map(name, data);
        resource.behavior = Some(behavior);
        resource.needs_hash = true;
        resource
    }

    fn place() -> Place {
        Place::file("kustomization.yaml")
    }

    #[test]
    fn merging_keeps_what_is_not_said() {
        let mut resources = Resources::default();
        absorb(&mut resources, generated("c", &[("a", "1"), ("b", "1")], Behavior::Create), place)
            .expect("new");
        absorb(&mut resources, generated("c", &[("a", "2")], Behavior::Merge), place)
            .expect("merged");
        let merged = &resources.as_slice()[0];
        assert_eq!(merged.value.text_at(&["data", "a"]), Some("2"));
        assert_eq!(merged.value.text_at(&["data", "b"]), Some("1"));
        assert!(merged.needs_hash);
    }

    #[test]
    fn what_is_no_text_is_merged_as_text() {
        let mut old = config_map("c", &[]);
        let null = Value::Scalar(Scalar { text: "null".into(), style: Style::Tagged(Tag::Null) });
        old.value.set(&["data", "n"], null);
        old.value.set(&["data", "l"], Value::list());
        old.value.set(&["data", "i"], Value::plain("0x1"));
        let mut resources = Resources::from(vec![old]);
        absorb(&mut resources, generated("c", &[], Behavior::Merge), place).expect("merged");
        let data = |key| resources.as_slice()[0].value.text_at(&["data", key]);
        assert_eq!((data("n"), data("l"), data("i")), (Some(""), Some(""), Some("0x1")));
    }

    #[test]
    fn replacing_forgets_the_data() {
        let mut resources = Resources::from(vec![config_map("c", &[("b", "1")])]);
        absorb(&mut resources, generated("c", &[("a", "2")], Behavior::Replace), place)
            .expect("replaced");
        let replaced = &resources.as_slice()[0];
        assert_eq!(replaced.value.text_at(&["data", "b"]), None);
        // A plain ConfigMap that is merged into gets no hash.
        assert!(!replaced.needs_hash);
    }

    #[test]
    fn an_object_is_found_by_a_former_name() {
        let mut old = config_map("c", &[]);
        old.remember_id();
        old.value.set(&["metadata", "name"], Value::plain("p-c"));
        let mut resources = Resources::from(vec![old]);
        absorb(&mut resources, generated("c", &[("a", "2")], Behavior::Merge), place)
            .expect("merged");
        assert_eq!(resources.as_slice()[0].name(), "p-c");
        assert_eq!(resources.as_slice()[0].former.len(), 1);
    }

    #[test]
    fn creating_twice_is_an_error_with_a_remedy() {
        let mut resources = Resources::from(vec![config_map("c", &[])]);
        let error = absorb(&mut resources, generated("c", &[], Behavior::Create), place)
            .expect_err("there already");
        assert!(error.remedy().expect("certain").contains("behavior: merge"));
    }

    #[test]
    fn merging_with_nothing_names_what_is_near() {
        let mut resources = Resources::from(vec![config_map("config", &[])]);
        let error = absorb(&mut resources, generated("confg", &[], Behavior::Merge), place)
            .expect_err("missing");
        assert_eq!(error.remedy(), Some("there is one called \"config\""));
    }
}
