//! The values that a release gives its chart: those of ConfigMaps and Secrets in their order, then its own.
//!
//! Source: fluxcd/pkg `chartutil/values.go`, `ChartValuesFromReferences`.

use std::sync::Arc;

use serde_json::Value as Json;

use super::chart::written;
use super::set::{assign, assignments, is_shared, merge};
use crate::error::{Error, ErrorKind, Place, Result, Warning};
use crate::flux::api::{HelmRelease, ValuesReference};
use crate::flux::substitute::{Found, Kind, Lookup};
use crate::json;
use crate::kustomization::node::{Rules, decode_into};
use crate::limits::Limits;
use crate::value::{Map, Value};
use crate::yaml::{self, Step};

/// The key where a reference names none.
const KEY: &str = "values.yaml";

/// Where values of ConfigMaps and Secrets come from.
#[derive(Clone, Copy)]
pub struct References<'a> {
    /// Finds them.
    pub find: &'a Lookup<'a>,
    /// Whether what is not found is nowhere; else it may be in the cluster, and the release goes without it.
    pub is_complete: bool,
    /// Whether a text stands for that of a Secret that is not decrypted, or is it.
    pub is_masked: &'a Masked<'a>,
}

/// Tells the texts of Secrets that are not decrypted.
pub type Masked<'a> = dyn Fn(&str) -> bool + Sync + 'a;

/// Values, and what of them is secret. Its `Debug` shows neither.
#[derive(Clone, Default)]
pub(super) struct Composed {
    pub(super) values: Map,
    /// Texts from Secrets, the longest first.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Composed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composed").finish_non_exhaustive()
    }
}

impl Composed {
    /// All values of a release.
    ///
    /// # Errors
    /// Where a reference is not optional and not found, has not the key, or its text is none that its use asks for.
    pub(super) fn of(
        release: &HelmRelease,
        references: &References<'_>,
        limits: &Limits,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let own = release.values.as_ref().map(json::from_json);
        let mut own = own.as_ref().and_then(Value::as_map).cloned().unwrap_or_default();
        let mut composed = Self::default();
        for reference in &release.values_from {
            let within = |error: Error| match &reference.place {
                Some(place) => error.within(place.clone()),
                None => error,
            };
            let text = text(release, reference, references, warnings).map_err(within)?;
            let Some(text) = text else { continue };
            composed.lay(release, reference, &text, &mut own, limits).map_err(within)?;
        }
        merge(&mut composed.values, &own);
        composed.secrets.sort_by_key(|text| (std::cmp::Reverse(text.len()), text.clone()));
        composed.secrets.dedup();
        Ok(composed)
    }

    fn lay(
        &mut self,
        release: &HelmRelease,
        reference: &ValuesReference,
        text: &str,
        own: &mut Map,
        limits: &Limits,
    ) -> Result<()> {
        let refused = |message: String| {
            let shown = shown(release, reference);
            Error::new(ErrorKind::Invalid, Place::file(shown), message)
        };
        let is_secret = reference.kind == Kind::Secret;
        if reference.target_path.is_empty() {
            let values = mapping(text, limits)
                .map_err(|problem| refused(format!("\"{}\" {problem}", key(reference))))?;
            if is_secret {
                collect(&Value::Map(values.clone()), &mut self.secrets);
            }
            merge(&mut self.values, &values);
            return Ok(());
        }
        let problem =
            |problem| refused(format!("cannot be put at \"{}\": {problem}", reference.target_path));
        let assigned = assignments(&reference.target_path, text, reference.literal);
        let below = self.values.clone();
        merge(&mut self.values, own);
        let shared = own.clone();
        for assignment in assigned.map_err(problem)? {
            let set = |map: &mut Map| {
                let mut values = Value::Map(std::mem::take(map));
                let done = assign(&mut values, &assignment.path, &assignment.value);
                if let Value::Map(values) = values {
                    *map = values;
                }
                done.map_err(problem)
            };
            set(&mut self.values)?;
            if is_shared(&below, &shared, &assignment.path) {
                set(own)?;
            }
            if is_secret {
                collect(&assignment.value, &mut self.secrets);
            }
        }
        if is_secret {
            self.secrets.push(text.trim().to_owned());
        }
        Ok(())
    }

    /// An error without what is secret of the values.
    pub(super) fn hide_in(&self, error: Error) -> Error {
        error.hiding(&self.secrets)
    }
}

fn key(reference: &ValuesReference) -> &str {
    if reference.values_key.is_empty() { KEY } else { &reference.values_key }
}

fn shown(release: &HelmRelease, reference: &ValuesReference) -> String {
    format!("{}/{}/{}", reference.kind.name(), release.meta.namespace, reference.name)
}

/// What a reference leads to; nothing where the release goes without it.
fn text(
    release: &HelmRelease,
    reference: &ValuesReference,
    references: &References<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<String>> {
    let shown = shown(release, reference);
    let found = (references.find)(reference.kind, &release.meta.namespace, &reference.name)?;
    let mut warn = |message: &str| {
        let place = reference.place.clone().or_else(|| release.meta.place.clone());
        let place = place.unwrap_or_else(|| Place::file(shown.as_str()));
        warnings.push(Warning { place, message: format!("{shown} {message}") });
        Ok(None)
    };
    let Some(mut found) = found else {
        return match (reference.optional, references.is_complete) {
            (true, _) => Ok(None),
            (false, true) => Err(missing(&shown, "is not there".to_owned(), reference)),
            (false, false) => warn("is not in the repository: rendered without its values"),
        };
    };
    let Some(content) = found.remove(key(reference)) else {
        if reference.optional {
            return Ok(None);
        }
        let error = missing(&shown, format!("has no key \"{}\"", key(reference)), reference);
        return Err(error.hint(keys(&found)));
    };
    let Ok(text) = String::from_utf8(content) else {
        let message = format!("\"{}\" is no text", key(reference));
        return Err(Error::new(ErrorKind::Invalid, Place::file(shown), message));
    };
    if (references.is_masked)(&text) && reference.target_path.is_empty() {
        return warn("is encrypted: rendered without its values");
    }
    Ok(Some(text))
}

fn missing(shown: &str, message: String, reference: &ValuesReference) -> Error {
    let error = Error::new(ErrorKind::Missing, Place::file(shown), message);
    match reference.target_path.is_empty() {
        true => error,
        false => error.hint(format!("its value goes to \"{}\"", reference.target_path)),
    }
}

fn keys(found: &Found) -> String {
    let names: Vec<_> = found.keys().map(String::as_str).take(10).collect();
    if names.is_empty() {
        "it has no other keys".to_owned()
    } else {
        format!("it has {}", names.join(", "))
    }
}

/// The values that a text holds, as Flux and Helm read them: by way of JSON, with the words of YAML 1.1.
///
/// # Errors
/// Where it is no YAML, or no mapping. Messages may repeat what is read.
pub(super) fn read(text: &[u8], file: &Arc<str>, limits: &Limits) -> Result<Map> {
    let value = yaml::read_first(text, file, limits)?;
    let place = |path: &[Step<'_>]| Place { file: file.clone(), at: yaml::locate(text, 0, path) };
    let mut settled = Value::Null;
    decode_into(&value, Rules::OBJECT, &place, |node| settled = node.settled())?;
    match settled {
        Value::Map(map) => Ok(map),
        value if value.is_null() => Ok(Map::default()),
        _ => Err(Error::new(ErrorKind::Invalid, place(&[]), "is YAML, but no mapping")),
    }
}

/// As [`read`], with problems that can be shown whatever the text is.
fn mapping(text: &str, limits: &Limits) -> std::result::Result<Map, String> {
    let problem = |error: Error| {
        let at = error.places()[0].at;
        let at = at
            .map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"));
        format!("is no YAML of a mapping{at}")
    };
    read(text.as_bytes(), &"values".into(), limits).map_err(problem)
}

/// The entries of a Secret with what `stand_in` makes of all values in them: of each scalar of an entry that is a
/// mapping, as the values of charts are, and of the text of any other one.
///
/// What is not decrypted stays as it is, and so do booleans: they are no secrets, and charts branch on them.
#[must_use]
pub fn stood_in(
    found: Found,
    is_masked: &Masked<'_>,
    limits: &Limits,
    stand_in: &dyn Fn(&[u8]) -> String,
) -> Found {
    let entries = found.into_iter().map(|(key, content)| {
        let text = std::str::from_utf8(&content).unwrap_or_default();
        if is_masked(text) {
            return (key, content);
        }
        let values = mapping(text, limits).ok().filter(|values| !values.is_empty());
        let json = values.and_then(|values| json::to_json(&Value::Map(values)).ok());
        let stood_in = json.and_then(|mut values| {
            stand_in_all(&mut values, stand_in);
            written(&json::from_json(&values)).ok()
        });
        (key, stood_in.unwrap_or_else(|| stand_in(&content)).into_bytes())
    });
    entries.collect()
}

fn stand_in_all(value: &mut Json, stand_in: &dyn Fn(&[u8]) -> String) {
    match value {
        Json::Object(map) => map.values_mut().for_each(|one| stand_in_all(one, stand_in)),
        Json::Array(list) => list.iter_mut().for_each(|one| stand_in_all(one, stand_in)),
        Json::String(text) => *text = stand_in(text.as_bytes()),
        Json::Number(number) => *value = stand_in(number.to_string().as_bytes()).into(),
        Json::Bool(_) | Json::Null => {}
    }
}

/// The texts of all scalars.
fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Scalar(scalar) => into.push(scalar.text.to_string()),
        Value::List(list) => list.iter().for_each(|one| collect(one, into)),
        Value::Map(map) => map.iter().for_each(|(_, one)| collect(one, into)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flux::api::{self, Object, Reading};
    use crate::flux::veil::stand_in;

    fn release(spec: &str) -> HelmRelease {
        let text = format!(
            "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n\
             metadata: {{name: r, namespace: shop}}\nspec:\n  interval: 1m\n  \
             chartRef: {{kind: OCIRepository, name: c}}\n{spec}"
        );
        let read =
            api::read_file(text.as_bytes(), &"r.yaml".into(), Reading::Strict, &Limits::PERSON);
        match read.output.expect("a release").swap_remove(0).1 {
            Object::HelmRelease(release) => *release,
            _ => panic!("another kind"),
        }
    }

    fn found(kind: Kind, name: &str) -> Option<Found> {
        let pairs: &[(&str, &str)] = match (kind, name) {
            (Kind::ConfigMap, "words") => {
                &[("values.yaml", "a: yes\nb: 0x10\nc: 'no'\nd: 2020-01-01\ne: ~\n")]
            }
            (Kind::ConfigMap, "one") => {
                &[("values.yaml", "a: {x: 1, z: 1}\nb: 1\n"), ("word", "set")]
            }
            (Kind::ConfigMap, "two") => &[("values.yaml", "a: {z: 2}\nc: [1]\n"), ("odd", "- 1")],
            (Kind::Secret, "s") => {
                &[("values.yaml", "p: hunter2hunter2\n"), ("bad", "p: [hunter2")]
            }
            (Kind::Secret, "m") => &[("values.yaml", "MASK"), ("word", "MASK")],
            _ => return None,
        };
        Some(
            pairs.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect(),
        )
    }

    fn is_masked(text: &str) -> bool {
        text == "MASK"
    }

    #[test]
    fn secret_values_are_stood_in_for_where_they_are() {
        let entries = [
            ("values.yaml", "a: {b: hunter2hunter2, c: [1, true]}\n"),
            ("word", "hunter2hunter2"),
            ("hidden", "MASK"),
        ];
        let found = entries.map(|(key, text)| (key.to_owned(), text.as_bytes().to_vec()));
        let stood_in = stood_in(found.into(), &is_masked, &Limits::PERSON, &stand_in);
        let text = |key: &str| String::from_utf8_lossy(&stood_in[key]).into_owned();
        let secret = stand_in(b"hunter2hunter2");
        let values = format!("a:\n  b: {secret}\n  c:\n  - {}\n  - true\n", stand_in(b"1"));
        assert_eq!(text("values.yaml"), values);
        assert_eq!((text("word"), text("hidden")), (secret, "MASK".to_owned()));
    }

    fn composed(spec: &str, is_complete: bool) -> (Result<String>, usize) {
        let mut warnings = Vec::new();
        let find = |kind: Kind, namespace: &str, name: &str| {
            assert_eq!(namespace, "shop");
            Ok(found(kind, name))
        };
        let references = References { find: &find, is_complete, is_masked: &is_masked };
        let composed = Composed::of(&release(spec), &references, &Limits::PERSON, &mut warnings);
        let text = composed.map(|composed| {
            let mut out = String::new();
            json::write(&Value::Map(composed.values), &mut out).expect("has JSON");
            out
        });
        (text, warnings.len())
    }

    fn values(spec: &str) -> String {
        composed(spec, true).0.unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn later_references_win_and_own_values_win_over_all() {
        let from = "  valuesFrom: [{kind: ConfigMap, name: one}, {kind: ConfigMap, name: two}]\n";
        assert_eq!(values(from), r#"{"a":{"x":1,"z":2},"b":1,"c":[1]}"#);
        let both = format!("{from}  values: {{a: {{z: 3}}, b: null}}\n");
        assert_eq!(values(&both), r#"{"a":{"x":1,"z":3},"b":null,"c":[1]}"#);
    }

    #[test]
    fn words_are_those_of_yaml_1_1() {
        let from = "  valuesFrom: [{kind: ConfigMap, name: words}]\n";
        assert_eq!(values(from), r#"{"a":true,"b":16,"c":"no","d":"2020-01-01","e":null}"#);
    }

    #[test]
    fn a_target_wins_over_own_values_only_below_a_mapping_of_theirs() {
        let from = "  valuesFrom: [{kind: ConfigMap, name: one, valuesKey: word, targetPath: ";
        assert_eq!(values(&format!("{from}q.r}}]\n")), r#"{"q":{"r":"set"}}"#);
        assert_eq!(
            values(&format!("{from}q.r}}]\n  values: {{q: {{r: own}}}}\n")),
            r#"{"q":{"r":"set"}}"#
        );
        assert_eq!(values(&format!("{from}q}}]\n  values: {{q: own}}\n")), r#"{"q":"own"}"#);
        // The mapping is in both: what Flux writes to is a merged copy.
        let below = "  valuesFrom:\n  - {kind: ConfigMap, name: one}\n  \
                     - {kind: ConfigMap, name: one, valuesKey: word, targetPath: a.x}\n  values: {a: {x: own}}\n";
        assert_eq!(values(below), r#"{"a":{"x":"own","z":1},"b":1}"#);
    }

    #[test]
    fn what_is_missing_is_an_error_unless_it_may_be_elsewhere() {
        let from = "  valuesFrom: [{kind: ConfigMap, name: none}]\n";
        let (error, _) = composed(from, true);
        let error = error.expect_err("it is nowhere").to_string();
        assert_eq!(error, "ConfigMap/shop/none: is not there\n  from r.yaml:7:16");
        let (text, warnings) = composed(from, false);
        assert_eq!((text.expect("without it").as_str(), warnings), ("{}", 1));
        let optional = "  valuesFrom: [{kind: ConfigMap, name: none, optional: true}, \
                        {kind: ConfigMap, name: one, valuesKey: none, optional: true}]\n";
        assert_eq!(values(optional), "{}");
        let key = "  valuesFrom: [{kind: ConfigMap, name: one, valuesKey: none}]\n";
        let error = composed(key, false).0.expect_err("no such key").to_string();
        assert!(
            error.contains("has no key \"none\"")
                && error.contains("hint: it has values.yaml, word"),
            "{error}"
        );
    }

    #[test]
    fn encrypted_values_are_left_out_and_encrypted_words_masked() {
        let from = "  valuesFrom: [{kind: Secret, name: m}, \
                    {kind: Secret, name: m, valuesKey: word, targetPath: a}]\n";
        let (text, warnings) = composed(from, true);
        assert_eq!((text.expect("rendered").as_str(), warnings), (r#"{"a":"MASK"}"#, 1));
    }

    #[test]
    fn no_error_repeats_a_secret() {
        let from = "  valuesFrom: [{kind: Secret, name: s, valuesKey: bad}]\n";
        let error = composed(from, true).0.expect_err("no YAML").to_string();
        assert!(error.contains("\"bad\" is no YAML of a mapping (line 1"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let list = "  valuesFrom: [{kind: ConfigMap, name: two, valuesKey: odd}]\n";
        let error = composed(list, true).0.expect_err("a list");
        assert!(error.message().contains("\"odd\" is no YAML of a mapping"), "{error}");
        let find = |kind: Kind, _: &str, name: &str| Ok(found(kind, name));
        let references = References { find: &find, is_complete: true, is_masked: &is_masked };
        let release = release("  valuesFrom: [{kind: Secret, name: s}]\n");
        let composed =
            Composed::of(&release, &references, &Limits::PERSON, &mut Vec::new()).expect("values");
        let error =
            Error::new(ErrorKind::External, Place::file("a"), "bad password hunter2hunter2!");
        assert_eq!(composed.hide_in(error).message(), "bad password **!");
        assert!(!format!("{composed:?}").contains("hunter2"));
    }
}
