//! ConfigMaps made of files and literals.
//!
//! Source: kustomize `api/internal/generators/{configmap,utils}.go`, `kyaml/yaml/datamap.go`.

use base64::Engine;
use ecow::EcoString;

use super::{Inputs, pairs};
use crate::error::Result;
use crate::kustomization::{ConfigMapArgs, GeneratorOptions};
use crate::resource::{Origin, Resource};
use crate::value::{Map, Scalar, Style, Tag, Value};
use crate::yaml::{self, Step, plain_key, scalar};

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
            Ok(text) if text.contains('\n') && yaml::is_lost_as_block(text) => {
                let message = format!("the text under \"{}\" begins with a tab", pair.key);
                let error = inputs.invalid(&[], message);
                return Err(
                    error.hint("begin it with an empty line: kustomize cannot read such text back")
                );
            }
            Ok(text) => data.push(plain_key(&pair.key), datum(text)),
            Err(_) => binary_data.push(plain_key(&pair.key), datum(&base64(&pair.content))),
        }
    }
    for (field, map) in [("data", data), ("binaryData", binary_data)] {
        if !map.is_empty() {
            value.set(&[field], Value::Map(map));
        }
    }
    let options = Options::new(args, defaults);
    if let Some(field) = options.nameless() {
        let error =
            inputs.invalid(&[Step::Key("options")], format!("one of the {field} has no key"));
        return Err(error.hint("give it a key"));
    }
    Ok(options.generated(value, args, inputs))
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
    value.set(&["metadata", "name"], name(&args.name));
    if !args.namespace.is_empty() {
        value.set(&["metadata", "namespace"], name(&args.namespace));
    }
    Ok(value)
}

/// A name, in quotes where it looks like something other than a string: they stay when a prefix
/// comes before it, a tag would not.
fn name(text: &EcoString) -> Value {
    let looks_like_text = scalar::resolve_v2(text) == Tag::Str;
    let style = if looks_like_text { Style::Tagged(Tag::Str) } else { Style::Quoted };
    Value::Scalar(Scalar { text: text.clone(), style })
}

/// What the options of an entry and of the kustomization say together.
pub(super) struct Options<'a> {
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    immutable: bool,
    needs_hash: bool,
}

type Pairs<'a> = Vec<&'a (EcoString, EcoString)>;

impl<'a> Options<'a> {
    pub(super) fn new(args: &'a ConfigMapArgs, defaults: Option<&'a GeneratorOptions>) -> Self {
        static NONE: GeneratorOptions = GeneratorOptions::none();
        let (own, defaults) = (args.options.as_ref().unwrap_or(&NONE), defaults.unwrap_or(&NONE));
        let without_hash = own.disable_name_suffix_hash || defaults.disable_name_suffix_hash;
        Self {
            labels: merged(&own.labels, &defaults.labels),
            annotations: merged(&own.annotations, &defaults.annotations),
            immutable: own.immutable || defaults.immutable,
            needs_hash: !without_hash,
        }
    }

    /// The field in which something has an empty key.
    fn nameless(&self) -> Option<&'static str> {
        let fields = [("labels", &self.labels), ("annotations", &self.annotations)];
        let has_one = |pairs: &Pairs<'_>| pairs.iter().any(|(key, _)| key.is_empty());
        fields.into_iter().find(|(_, pairs)| has_one(pairs)).map(|(field, _)| field)
    }

    /// The object with what the options say.
    ///
    /// At an empty key kustomize stops setting labels and annotations; it sets them in the order
    /// of their keys, so that none is set of that field.
    pub(super) fn generated(
        &self,
        mut value: Value,
        args: &ConfigMapArgs,
        inputs: &Inputs<'_>,
    ) -> Resource {
        let nameless = self.nameless();
        for (field, pairs) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if nameless == Some(field) {
                value.set(&["metadata", field], Value::map());
                break;
            }
            if !pairs.is_empty() {
                let entry = |text: &EcoString| match field {
                    "labels" => Value::Scalar(Scalar { text: text.clone(), style: Style::Quoted }),
                    _ => yaml::set_string(text),
                };
                let entries = pairs.iter().map(|(name, text)| (plain_key(name), entry(text)));
                value.set(&["metadata", field], Value::Map(entries.collect()));
            }
        }
        if self.immutable {
            value.set(&["immutable"], Value::bool(true));
        }
        let origin = Origin { file: inputs.file.clone(), document: 0 };
        let mut resource = Resource::new(value, origin);
        resource.behavior = Some(args.behavior);
        resource.needs_hash = self.needs_hash;
        resource
    }
}

/// Both lists, sorted by key; of equal keys the own one.
fn merged<'a>(
    own: &'a [(EcoString, EcoString)],
    defaults: &'a [(EcoString, EcoString)],
) -> Pairs<'a> {
    let is_own = |(key, _): &&(EcoString, EcoString)| own.iter().any(|(known, _)| known == key);
    let mut merged: Pairs<'_> =
        own.iter().chain(defaults.iter().filter(|pair| !is_own(pair))).collect();
    merged.sort();
    merged
}

/// A datum as kustomize sets it; text of several lines is a block, which outlives it as quotes do.
pub(super) fn datum(text: &str) -> Value {
    match text.contains('\n') {
        true => Value::Scalar(Scalar { text: text.into(), style: Style::Quoted }),
        false => yaml::set_string(text),
    }
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

    fn made(args: &ConfigMapArgs, defaults: Option<&GeneratorOptions>) -> Resource {
        let read = |_: &str| Ok(Bytes::from_static(b"\xff\xfe"));
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        config_map(
            args,
            defaults,
            &Inputs { file: &"kustomization.yaml".into(), read: &read, place: &place },
        )
        .expect("valid")
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
    fn a_label_needs_a_key() {
        let own = Some(options(&[("", "x"), ("a", "y")]));
        let args = ConfigMapArgs { name: "c".into(), options: own, ..ConfigMapArgs::default() };
        let read = |_: &str| Ok(Bytes::new());
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        let inputs = Inputs { file: &"kustomization.yaml".into(), read: &read, place: &place };
        assert!(config_map(&args, None, &inputs).is_err());
        // Kustomize takes no notice of the same in a Secret, but for setting nothing more.
        let secret = super::super::secret(&args, None, &inputs).expect("accepted");
        assert_eq!(secret.labels().map(Map::len), Some(0));
    }

    #[test]
    fn long_base64_is_cut() {
        assert_eq!(base64(&[0; 51]).len(), 68);
        let cut = base64(&[0; 54]);
        assert_eq!(cut.split('\n').map(str::len).collect::<Vec<_>>(), [70, 2, 0]);
    }
}
