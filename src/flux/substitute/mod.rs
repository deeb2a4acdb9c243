//! `postBuild`: variables in the text of every object that was built.
//!
//! An object is printed, expanded and read again, as Flux does it: what a variable brings in takes part in
//! deciding what type the scalar has. `x: ${n}` with the value `1` is a number, with the value `"1"` (quotes
//! included) a string, with nothing it is null; and it does not matter whether the file had quotes around
//! the reference, since printing drops them where they are not needed.
//!
//! Source: fluxcd/pkg `kustomize/kustomize_varsub.go`, kustomize-controller `kustomization_controller.go`
//! (`build`).

mod glob;
mod template;
mod variables;

use std::sync::Arc;

pub use template::{Failure, Reason, Template};
pub use variables::{
    Found, Kind, Lookup, Objects, PostBuild, Reference, Strategy, Variables, is_name,
};

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits::Limits;
use crate::resource::Resource;
use crate::transform::patches::json6902;
use crate::value::Value;
use crate::yaml;

/// The label or annotation that keeps an object as it is, where its value is `disabled`.
pub const SUBSTITUTE: &str = "kustomize.toolkit.fluxcd.io/substitute";

/// How variables are put in.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether a variable without value and default is an error; else it stands for nothing.
    pub strict: bool,
    /// What an object may grow to is the limit of a file.
    pub limits: &'a Limits,
}

/// Expands `text` as a whole, which is what `flux envsubst` does with each line.
///
/// # Errors
/// Where an expression is malformed, the result too large or, if `strict`, a variable has no value.
pub fn expand(
    text: &str,
    variables: &Variables,
    strict: bool,
    limit: usize,
) -> std::result::Result<Vec<u8>, Failure> {
    Template::parse(text)?.expand(&|name| variables.value(name, strict), limit)
}

/// Whether an object asks to be left alone: the value has to match exactly.
#[must_use]
pub fn is_disabled(resource: &Resource) -> bool {
    let says = |map: Option<&crate::value::Map>| {
        map.and_then(|map| map.get(SUBSTITUTE)).and_then(Value::as_text) == Some("disabled")
    };
    says(resource.labels()) || says(resource.annotations())
}

/// Puts variables into one object, and so gives all its scalars the types that reading it again does.
///
/// `place` finds where in the user's files a text of the object stands. No value of a variable is ever part
/// of an error.
///
/// # Errors
/// Where an expression is malformed or, by strict rules, a variable is not set; where the result is no
/// YAML any more.
pub fn substitute(
    resource: &mut Resource,
    variables: &Variables,
    rules: Rules<'_>,
    place: &dyn Fn(&Resource, &str) -> Place,
) -> Result<()> {
    if is_disabled(resource) {
        return Ok(());
    }
    let file = Place::file(resource.origin.file.clone());
    let mut text = String::new();
    yaml::write(&resource.value, &mut text).map_err(|error| error.at(file.clone()))?;
    let limit = rules.limits.file_bytes;
    let expanded = expand(&text, variables, rules.strict, limit)
        .map_err(|failure| refused(resource, &text, &failure, variables, place))?;
    let broken = |why: &str| broken(resource, &text, why, place);
    // Operators cut values by bytes, and Secrets hold any.
    let expanded = String::from_utf8(expanded).map_err(|_| broken("no UTF-8"))?;
    let name: Arc<str> = resource.origin.file.clone();
    let read = yaml::read_first(expanded.as_bytes(), &name, rules.limits)
        .map_err(|_| broken("no YAML"))?;
    let value = json6902::from_yaml(&read).map_err(|_| broken("no JSON"))?;
    if value.as_map().is_none() {
        return Err(broken("no object"));
    }
    resource.value = value;
    Ok(())
}

/// Who is meant, as Flux says it.
fn named(resource: &Resource) -> String {
    let id = resource.id();
    match id.namespace.as_str() {
        "" => format!("{} \"{}\"", id.gvk.kind, id.name),
        namespace => format!("{} \"{}\" in namespace \"{namespace}\"", id.gvk.kind, id.name),
    }
}

fn refused(
    resource: &Resource,
    text: &str,
    failure: &Failure,
    variables: &Variables,
    place: &dyn Fn(&Resource, &str) -> Place,
) -> Error {
    let reference = reference(text, failure.at);
    let place = place(resource, reference);
    let kind = match failure.reason {
        Reason::TooDeep | Reason::TooLarge | Reason::TooSlow => ErrorKind::Limit,
        _ => ErrorKind::Invalid,
    };
    let is_shown = may_show(resource, &place);
    let what = match &failure.reason {
        Reason::Unset(_) if !is_shown => "variable not set (strict mode)".to_owned(),
        Reason::Unset(_) => failure.reason.to_string(),
        reason if is_shown => format!("{reason} at \"{reference}\""),
        reason => reason.to_string(),
    };
    let error = Error::new(kind, place, format!("{}: {what}", named(resource)));
    let leave = format!("annotate the object with \"{SUBSTITUTE}: disabled\"");
    match &failure.reason {
        Reason::Unset(name) => match variables.nearest(name).filter(|_| is_shown) {
            Some(near) => error.hint(format!("there is a variable \"{near}\"")),
            None => error.hint(
                "give it a value in spec.postBuild or a default (${x:=default}); \
                 where it is not for Flux, write $${x}",
            ),
        },
        _ if kind == ErrorKind::Limit => error,
        _ => error.hint(format!("where it is not for Flux, write $${{, or {leave}")),
    }
}

/// The beginning of an expression, up to the end of its name.
fn reference(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    let name = rest.strip_prefix("${").unwrap_or_default();
    let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    // No name of a variable is so long.
    let length = if length > 64 { 0 } else { length };
    &rest[..rest.len() - name.len() + length]
}

/// Whether a text of the object may be quoted: of a Secret only what stands in the open in its file.
fn may_show(resource: &Resource, place: &Place) -> bool {
    resource.kind() != "Secret" || place.at.is_some()
}

/// What a value has made of the object cannot be shown: it may be secret. The references can.
fn broken(
    resource: &Resource,
    text: &str,
    what: &str,
    place: &dyn Fn(&Resource, &str) -> Place,
) -> Error {
    let mut references: Vec<&str> = Vec::new();
    for (at, _) in text.match_indices("${").take(100) {
        let one = reference(text, at);
        if !references.contains(&one) && references.len() < 5 {
            references.push(one);
        }
    }
    let place = place(resource, references.first().copied().unwrap_or_default());
    let replaced = match references.as_slice() {
        _ if !may_show(resource, &place) => "its variables".to_owned(),
        [] => "$$".to_owned(),
        references => {
            references.iter().map(|one| format!("{one}}}")).collect::<Vec<_>>().join(", ")
        }
    };
    let message = format!("{} is {what} any more with {replaced} replaced", named(resource));
    let error = Error::new(ErrorKind::Invalid, place, message);
    error.hint("let the value bring its own quotes, or write the reference within a longer text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;

    fn resource(text: &str) -> Resource {
        let file: Arc<str> = "app.yaml".into();
        let value = yaml::read_first(text.as_bytes(), &file, &Limits::PERSON).expect("YAML");
        Resource::new(value, Origin { file, document: 0 })
    }

    fn substituted(text: &str, pairs: &[(&str, &str)], strict: bool) -> Result<String> {
        let mut resource = resource(text);
        let variables: Variables = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let rules = Rules { strict, limits: &Limits::WEBHOOK };
        let place = |resource: &Resource, _: &str| Place::file(resource.origin.file.clone());
        substitute(&mut resource, &variables, rules, &place)?;
        let mut out = String::new();
        yaml::write(&resource.value, &mut out)?;
        Ok(out)
    }

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    #[test]
    fn the_value_decides_on_the_type_with_and_without_quotes() {
        let text =
            format!("{MAP}data:\n  quoted: \"${{n}}\"\n  plain: ${{n}}\n  within: \"a: ${{n}}\"\n");
        let of = |value: &str| {
            let out = substituted(&text, &[("n", value)], true).expect("valid");
            let fields: Vec<String> =
                out.lines().skip(2).take(3).map(str::trim).map(Into::into).collect();
            fields
        };
        assert_eq!(of("1"), ["plain: 1", "quoted: 1", "within: 'a: 1'"]);
        assert_eq!(of("\"1\""), ["plain: \"1\"", "quoted: \"1\"", "within: 'a: \"1\"'"]);
        assert_eq!(of("yes"), ["plain: true", "quoted: true", "within: 'a: yes'"]);
        assert_eq!(of(""), ["plain: null", "quoted: null", "within: 'a: '"]);
        assert_eq!(of("x"), ["plain: x", "quoted: x", "within: 'a: x'"]);
    }

    #[test]
    fn a_label_or_an_annotation_opts_out() {
        for field in ["labels", "annotations"] {
            let text = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  {field}:\n    {SUBSTITUTE}: disabled\ndata:\n  a: ${{x}}\n"
            );
            assert!(substituted(&text, &[], true).expect("left alone").contains("a: ${x}"));
            let other = text.replace("disabled", "Disabled");
            assert!(substituted(&other, &[], true).is_err());
        }
    }

    #[test]
    fn an_unset_variable_is_named_with_its_object_and_what_helps() {
        let error = substituted(
            &format!("{MAP}data: {{a: '${{regoin}}'}}\n"),
            &[("region", "canary-7")],
            true,
        )
        .expect_err("not set");
        let text = error.to_string();
        assert!(
            text.contains("ConfigMap \"a\": variable not set (strict mode): \"regoin\""),
            "{text}"
        );
        assert!(text.contains("there is a variable \"region\""), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }

    #[test]
    fn no_value_is_part_of_an_error() {
        for value in [
            "*canary",
            "&canary [",
            "!canary",
            "{canary",
            "canary: canary\u{7}",
            "\tcanary: [",
            "'canary",
        ] {
            let text = format!("{MAP}data:\n  a: ${{x}}\n");
            match substituted(&text, &[("x", value)], true) {
                Ok(_) => {}
                Err(error) => assert!(!error.to_string().contains("canary"), "{error}"),
            }
        }
    }

    #[test]
    fn an_object_cannot_grow_without_bounds() {
        let value = "x".repeat(1 << 20);
        let text = format!("{MAP}data:\n  a: {}\n", "${x}".repeat(1 << 10));
        let error = substituted(&text, &[("x", &value)], true).expect_err("a gigabyte");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}
