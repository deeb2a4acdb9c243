//! ConfigMaps made of files and literals.
//!
//! Source: kustomize `api/internal/generators/{configmap,utils}.go`, `kyaml/yaml/datamap.go`.

use base64::Engine;
use ecow::{EcoString, EcoVec};

use super::{Inputs, pairs};
use crate::error::Result;
use crate::kustomization::{ConfigMapArgs, GeneratorOptions};
use crate::resource::{Origin, Resource};
use crate::value::{Key, Map, Tag, Value};
use crate::yaml::scalar;

/// Makes the ConfigMap that an entry of `configMapGenerator` describes.
///
/// Text goes to `data`, anything else to `binaryData`.
///
/// # Errors
/// Where it has no name, a source cannot be read or parsed, or two of them say the same key.
pub fn config_map(
    args: &ConfigMapArgs,
    defaults: Option<&GeneratorOptions>,
    inputs: &Inputs<'_>,
) -> Result<Resource> {
    let mut value = base("ConfigMap", args, inputs)?;
    let (mut data, mut binary_data) = (Map::default(), Map::default());
    for pair in pairs::load(args, inputs)? {
        match std::str::from_utf8(&pair.content) {
            Ok(text) => data.push(key(&pair.key), Value::string(text)),
            Err(_) => binary_data.push(key(&pair.key), Value::string(base64(&pair.content))),
        }
    }
    for (field, map) in [("data", data), ("binaryData", binary_data)] {
        if !map.is_empty() {
            value.set(&[field], Value::Map(map));
        }
    }
    Ok(generated(value, args, defaults, inputs))
}

/// An object of a core kind with a name.
pub(super) fn base(kind: &str, args: &ConfigMapArgs, inputs: &Inputs<'_>) -> Result<Value> {
    if args.name.is_empty() {
        let error = inputs.invalid(&[], format!("generated {kind} has no name"));
        return Err(error.hint("add \"name:\""));
    }
    let mut value = Value::map();
    value.set(&["apiVersion"], Value::string("v1"));
    value.set(&["kind"], Value::string(kind));
    value.set(&["metadata", "name"], Value::string(args.name.clone()));
    if !args.namespace.is_empty() {
        value.set(&["metadata", "namespace"], Value::string(args.namespace.clone()));
    }
    Ok(value)
}

/// The object with what its options say.
pub(super) fn generated(
    mut value: Value,
    args: &ConfigMapArgs,
    defaults: Option<&GeneratorOptions>,
    inputs: &Inputs<'_>,
) -> Resource {
    let none = GeneratorOptions::default();
    let (own, defaults) = (args.options.as_ref().unwrap_or(&none), defaults.unwrap_or(&none));
    for (field, own, defaults) in [
        ("labels", &own.labels, &defaults.labels),
        ("annotations", &own.annotations, &defaults.annotations),
    ] {
        let merged = merged(own, defaults);
        if !merged.is_empty() {
            value.set(&["metadata", field], Value::Map(entries(merged)));
        }
    }
    if own.immutable || defaults.immutable {
        value.set(&["immutable"], Value::bool(true));
    }
    let origin = Origin { file: (inputs.place)(&[]).file, document: 0 };
    let mut resource = Resource::new(value, origin);
    resource.behavior = Some(args.behavior);
    resource.needs_hash = !(own.disable_name_suffix_hash || defaults.disable_name_suffix_hash);
    resource
}

type Pairs<'a> = EcoVec<&'a (EcoString, EcoString)>;

/// Both lists, sorted by key; of equal keys the own one.
fn merged<'a>(
    own: &'a [(EcoString, EcoString)],
    defaults: &'a [(EcoString, EcoString)],
) -> Pairs<'a> {
    let is_own = |(key, _): &&(EcoString, EcoString)| own.iter().any(|(known, _)| known == key);
    let mut merged: Vec<_> =
        own.iter().chain(defaults.iter().filter(|pair| !is_own(pair))).collect();
    merged.sort();
    merged.into_iter().collect()
}

fn entries(pairs: Pairs<'_>) -> Map {
    // Kustomize takes the empty key for the mapping itself, and ends up with an empty one.
    if pairs.iter().any(|(key, _)| key.is_empty()) {
        return Map::default();
    }
    pairs.iter().map(|(name, value)| (key(name), Value::string(value.clone()))).collect()
}

/// A key as kustomize writes it, without quotes: `1` becomes a number, which it then cannot print.
pub(super) fn key(text: &EcoString) -> Key {
    Key { text: text.clone(), typed: scalar::resolve(text) != Tag::Str }
}

/// Longest line of encoded content. Source: kustomize `kyaml/yaml/datamap.go`, `encodeBase64`.
const LINE: usize = 70;

/// Base64, cut into lines once it is as long as one.
pub(super) fn base64(content: &[u8]) -> EcoString {
    let encoded = base64::engine::general_purpose::STANDARD.encode(content);
    if encoded.len() < LINE {
        return encoded.into();
    }
    let mut cut = EcoString::with_capacity(encoded.len() + encoded.len() / LINE + 1);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        cut.push_str(line);
        cut.push('\n');
        rest = after;
    }
    cut
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::Place;
    use crate::yaml::Step;

    fn made(args: &ConfigMapArgs, defaults: Option<&GeneratorOptions>) -> Resource {
        let read = |_: &str| Ok(Bytes::from_static(b"\xff\xfe"));
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        config_map(args, defaults, &Inputs { read: &read, place: &place }).expect("valid")
    }

    fn options(labels: &[(&str, &str)]) -> GeneratorOptions {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        GeneratorOptions { labels, ..GeneratorOptions::default() }
    }

    #[test]
    fn what_is_no_text_goes_to_binary_data() {
        let files = vec!["b".into()];
        let args = ConfigMapArgs { name: "c".into(), files, ..ConfigMapArgs::default() };
        let resource = made(&args, None);
        assert_eq!(resource.value.text_at(&["binaryData", "b"]), Some("//4="));
        assert_eq!(resource.value.get("data"), None);
        assert!(resource.needs_hash);
    }

    #[test]
    fn own_labels_win_over_the_defaults() {
        let own = Some(options(&[("a", "own")]));
        let args = ConfigMapArgs { name: "c".into(), options: own, ..ConfigMapArgs::default() };
        let resource = made(&args, Some(&options(&[("a", "x"), ("b", "default")])));
        assert_eq!(resource.value.text_at(&["metadata", "labels", "a"]), Some("own"));
        assert_eq!(resource.value.text_at(&["metadata", "labels", "b"]), Some("default"));
    }

    #[test]
    fn an_empty_label_empties_all() {
        let own = Some(options(&[("", "x"), ("a", "y")]));
        let args = ConfigMapArgs { name: "c".into(), options: own, ..ConfigMapArgs::default() };
        assert_eq!(made(&args, None).labels().map(Map::len), Some(0));
    }

    #[test]
    fn long_base64_is_cut() {
        assert_eq!(base64(&[0; 51]).len(), 68);
        let cut = base64(&[0; 54]);
        assert_eq!(cut.split('\n').map(str::len).collect::<Vec<_>>(), [70, 2, 0]);
    }
}
