//! What a function gives back, and what becomes of the objects it was given.
//!
//! Source: kustomize `api/internal/plugins/utils/utils.go`.

use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};

use super::Surroundings;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::manifest;
use crate::resource::{Behavior, Gvk, Id, Resource};
use crate::resources::Resources;
use crate::value::Value;
use crate::yaml;

/// Tells a function's output which object of the input it is.
const ID: &str = "kustomize.config.k8s.io/id";

/// Whether the name of a made object gets a hash.
const NEEDS_HASH: &str = "kustomize.config.k8s.io/needs-hash";

/// How a made object meets one of its name.
const BEHAVIOR: &str = "kustomize.config.k8s.io/behavior";

/// The objects of a function's output: documents, or the items of a list.
pub(super) fn objects(output: &[u8], around: &Surroundings<'_>) -> Result<Vec<Resource>> {
    let file = "output of the function".into();
    let within = |error: Error| error.within(around.place.clone());
    let documents = yaml::read(output, &file, around.limits).map_err(within)?;
    let place = |document| Place { file: file.clone(), at: yaml::locate(output, document, &[]) };
    let mut objects = manifest::resources(&documents, output, &file, &place).map_err(within)?;
    for object in &mut objects {
        object.origin.file = around.place.file.clone();
    }
    Ok(objects)
}

/// The objects that a function which is not run leaves.
pub(super) fn objects_of(values: Vec<Value>, place: &Place) -> Result<Vec<Resource>> {
    manifest::resources(&values, b"", &place.file, &|_| place.clone())
}

/// An object as a function gets it, with kustomize's notes on its history.
pub(super) fn marked(resource: &Resource) -> Result<Value> {
    let mut value = resource.value.clone();
    let mut note = |key: &str, text: String| {
        if !text.is_empty() {
            value.set(&["metadata", "annotations", key], Value::string(text));
        }
    };
    note(ID, mark(resource)?);
    let former =
        |part: fn(&Id) -> &str| resource.former.iter().map(part).collect::<Vec<_>>().join(",");
    note(NAMES, former(|id| &id.name));
    note(NAMESPACES, former(|id| id.effective_namespace()));
    note(KINDS, former(|id| &id.gvk.kind));
    note(PREFIXES, resource.prefixes.join(","));
    note(SUFFIXES, resource.suffixes.join(","));
    let enabled = |is_set: bool| if is_set { "enabled".into() } else { String::new() };
    note(HASH, enabled(resource.needs_hash));
    note(MAY_CHANGE_NAME, enabled(resource.may_change_name));
    note(MAY_CHANGE_KIND, enabled(resource.may_change_kind));
    note(HELM, if resource.from_helm { "true".into() } else { String::new() });
    let behavior = resource.behavior.map(|behavior| match behavior {
        Behavior::Create => "create",
        Behavior::Merge => "merge",
        Behavior::Replace => "replace",
    });
    note(BEHAVIOR_NOTE, behavior.unwrap_or_default().into());
    Ok(value)
}

const NAMES: &str = "internal.config.kubernetes.io/previousNames";
const NAMESPACES: &str = "internal.config.kubernetes.io/previousNamespaces";
const KINDS: &str = "internal.config.kubernetes.io/previousKinds";
const PREFIXES: &str = "internal.config.kubernetes.io/prefixes";
const SUFFIXES: &str = "internal.config.kubernetes.io/suffixes";
const HASH: &str = "internal.config.kubernetes.io/needsHashSuffix";
const MAY_CHANGE_NAME: &str = "internal.config.kubernetes.io/allowNameChange";
const MAY_CHANGE_KIND: &str = "internal.config.kubernetes.io/allowKindChange";
const HELM: &str = "internal.config.kubernetes.io/helm-generated";
const BEHAVIOR_NOTE: &str = "internal.config.kubernetes.io/generatorBehavior";

/// Takes the notes back in: what a function dropped of them is forgotten.
fn adopt(resource: &mut Resource) {
    let list = |text: Option<String>| -> Vec<EcoString> {
        text.map(|text| text.split(',').map(EcoString::from).collect()).unwrap_or_default()
    };
    let is_enabled = |text: Option<String>| text.as_deref() == Some("enabled");
    let names = list(take(resource, NAMES));
    let namespaces = list(take(resource, NAMESPACES));
    let kinds = list(take(resource, KINDS));
    let gvk = resource.gvk();
    let former = names.into_iter().zip(namespaces).zip(kinds);
    resource.former = former
        .map(|((name, namespace), kind)| Id { gvk: Gvk { kind, ..gvk.clone() }, name, namespace })
        .collect();
    resource.prefixes = list(take(resource, PREFIXES)).into();
    resource.suffixes = list(take(resource, SUFFIXES)).into();
    resource.needs_hash = is_enabled(take(resource, HASH));
    resource.may_change_name = is_enabled(take(resource, MAY_CHANGE_NAME));
    resource.may_change_kind = is_enabled(take(resource, MAY_CHANGE_KIND));
    resource.from_helm = take(resource, HELM).as_deref() == Some("true");
    resource.behavior = take(resource, BEHAVIOR_NOTE).map(|text| match text.as_str() {
        "merge" => Behavior::Merge,
        "replace" => Behavior::Replace,
        _ => Behavior::Create,
    });
}

/// The id of an object as YAML.
fn mark(resource: &Resource) -> Result<String> {
    let Id { gvk, name, namespace } = resource.id();
    let mut id = Value::map();
    for (key, text) in [
        ("group", gvk.group),
        ("version", gvk.version),
        ("kind", gvk.kind),
        ("name", name),
        ("namespace", namespace),
    ] {
        if !text.is_empty() {
            id.set(&[key], Value::string(text));
        }
    }
    let mut text = String::new();
    yaml::write(&id, &mut text)?;
    Ok(text)
}

/// An object that a generator made, its wishes taken over.
pub(super) fn made(mut resource: Resource, place: &Place) -> Result<Resource> {
    resource.needs_hash = match take(&mut resource, NEEDS_HASH).as_deref() {
        None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => false,
        Some("1" | "t" | "T" | "true" | "True" | "TRUE") => true,
        Some(other) => {
            let message =
                format!("annotation {NEEDS_HASH} is neither true nor false but \"{other}\"");
            return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
        }
    };
    resource.behavior = Some(match take(&mut resource, BEHAVIOR).as_deref() {
        Some("merge") => Behavior::Merge,
        Some("replace") => Behavior::Replace,
        _ => Behavior::Create,
    });
    Ok(resource)
}

/// Takes an annotation out.
fn take(resource: &mut Resource, key: &str) -> Option<String> {
    resource.annotations()?.get(key)?;
    let metadata = resource.value.get_mut("metadata")?;
    let annotations = metadata.get_mut("annotations")?.as_map_mut()?;
    annotations.remove(key).map(|value| value.as_text().unwrap_or_default().to_owned())
}

/// Replaces the objects by those of the output: what has an id of the input takes its place, what
/// has not comes last, and what is not there any more is gone.
pub(super) fn update(
    resources: &mut Resources,
    outputs: Vec<Resource>,
    place: &Place,
) -> Result<()> {
    let resources = resources.as_mut_vec();
    let at = |(at, one): (usize, &Resource)| (canonical(&one.id()), at);
    let mut places: FxHashMap<Id, usize> = resources.iter().enumerate().map(at).collect();
    let mut given = FxHashSet::default();
    for mut output in outputs {
        take(&mut output, ID);
        adopt(&mut output);
        let id = canonical(&output.id());
        if !given.insert(id.clone()) {
            let message = format!("function gives two of {} \"{}\"", id.gvk.kind, id.name);
            return Err(Error::new(ErrorKind::Invalid, place.clone(), message));
        }
        match places.get(&id) {
            Some(at) => take_place(&mut resources[*at], output),
            None => {
                places.insert(id, resources.len());
                resources.push(output);
            }
        }
    }
    resources.retain(|one| given.contains(&canonical(&one.id())));
    Ok(())
}

/// What is known of an object beyond kustomize's notes stays with it.
fn take_place(old: &mut Resource, new: Resource) {
    let Resource { value, former, prefixes, suffixes, behavior, .. } = new;
    let kept = old.clone();
    *old = Resource {
        value,
        former,
        prefixes,
        suffixes,
        behavior,
        needs_hash: new.needs_hash,
        may_change_name: new.may_change_name,
        may_change_kind: new.may_change_kind,
        from_helm: new.from_helm,
        ..kept
    };
}

fn canonical(id: &Id) -> Id {
    Id { namespace: id.effective_namespace().into(), ..id.clone() }
}
