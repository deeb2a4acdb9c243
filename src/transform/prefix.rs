//! `namePrefix` and `nameSuffix`.

use ecow::{EcoString, EcoVec, eco_vec};

use crate::error::Result;
use crate::fields::{self, Chosen, Make, Path};
use crate::kustomization::FieldSpec;
use crate::resource::{Kind, Resource};
use crate::resources::Resources;
use crate::value::Value;

/// Which end of a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Prefix,
    Suffix,
}

/// Puts `prefix` before every name but those of CustomResourceDefinitions, APIServices and Namespaces.
///
/// Source: kustomize `api/internal/builtins/PrefixTransformer.go`.
/// # Errors
/// Where a field of `specs` is no scalar.
pub fn prefix(resources: &mut Resources, prefix: &str, specs: &[FieldSpec]) -> Result<()> {
    affix(resources, End::Prefix, prefix, specs)
}

/// Puts `suffix` behind every name; see [`prefix`].
///
/// # Errors
/// Where a field of `specs` is no scalar.
pub fn suffix(resources: &mut Resources, suffix: &str, specs: &[FieldSpec]) -> Result<()> {
    affix(resources, End::Suffix, suffix, specs)
}

fn affix(resources: &mut Resources, end: End, text: &str, specs: &[FieldSpec]) -> Result<()> {
    resources.change(|run| {
        let mut chosen = Chosen::new(specs);
        let texts = &eco_vec![EcoString::from(text)];
        for resource in run {
            let original = resource.original_kind();
            if is_skipped(original) {
                continue;
            }
            for path in &*chosen.of(original) {
                apply(resource, end, texts, path)?;
            }
        }
        Ok(())
    })
}

/// Whether names of this kind have a meaning of their own.
fn is_skipped(kind: Kind<'_>) -> bool {
    match kind.kind {
        "CustomResourceDefinition" | "Namespace" => true,
        "APIService" => kind.group == "apiregistration.k8s.io",
        _ => false,
    }
}

/// `texts` is the one text, as a list that all objects share.
fn apply(
    resource: &mut Resource,
    end: End,
    texts: &EcoVec<EcoString>,
    path: &Path<'_>,
) -> Result<()> {
    let text = texts.first().map_or("", EcoString::as_str);
    // An empty one is walked too: it may make fields, and refuses what is no scalar.
    if path.is("metadata/name") && !text.is_empty() {
        let history = match end {
            End::Prefix => &mut resource.prefixes,
            End::Suffix => &mut resource.suffixes,
        };
        if history.is_empty() {
            history.clone_from(texts);
        } else {
            history.push(text.into());
        }
        resource.remember_id();
    }
    if !path.selects(resource.as_kind()) {
        return Ok(());
    }
    let mut set = |value: &mut Value| fields::set_text(value, &joined(value, end, text));
    let outcome = path.walk(&mut resource.value, Make::Scalar, &mut set);
    outcome.map_err(|problem| problem.of(resource))
}

fn joined(value: &Value, end: End, text: &str) -> EcoString {
    let old = value.as_text().unwrap_or_default();
    match end {
        End::Prefix => ecow::eco_format!("{text}{old}"),
        End::Suffix => ecow::eco_format!("{old}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::transform::config::Config;
    use crate::value::Style;

    fn resource(api_version: &str, kind: &str, name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain(api_version));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain(name));
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    #[test]
    fn remembers_the_name_and_the_prefix() {
        let mut resources = Resources::from(vec![resource("v1", "ConfigMap", "e3")]);
        prefix(&mut resources, "1", &Config::builtin().name_prefix).unwrap();
        suffix(&mut resources, "-x", &Config::builtin().name_suffix).unwrap();
        let one = &resources.as_slice()[0];
        assert_eq!(one.name(), "1e3-x");
        let former: Vec<_> = one.former.iter().map(|id| id.name.as_str()).collect();
        assert_eq!(former, ["e3", "1e3"]);
        assert_eq!((&*one.prefixes, &*one.suffixes), (&["1".into()][..], &["-x".into()][..]));
    }

    #[test]
    fn an_empty_prefix_leaves_no_history() {
        let mut resources = Resources::from(vec![resource("v1", "ConfigMap", "a")]);
        prefix(&mut resources, "", &Config::builtin().name_prefix).unwrap();
        let one = &resources.as_slice()[0];
        assert!(one.former.is_empty() && one.prefixes.is_empty());
        let specs = [FieldSpec { path: "metadata".into(), ..FieldSpec::default() }];
        assert!(prefix(&mut resources, "", &specs).is_err());
    }

    #[test]
    fn the_new_name_is_plain_text() {
        let mut resources = Resources::from(vec![resource("v1", "ConfigMap", "e3")]);
        prefix(&mut resources, "1", &Config::builtin().name_prefix).unwrap();
        let name = resources.as_slice()[0].value.at(&["metadata", "name"]).unwrap();
        assert_eq!(name.as_scalar().unwrap().style, Style::Bare);
    }

    #[test]
    fn namespaces_of_any_group_keep_their_names() {
        let mut resources = Resources::from(vec![
            resource("x.io/v1", "Namespace", "a"),
            resource("apiregistration.k8s.io/v1", "APIService", "b"),
            resource("x.io/v1", "APIService", "c"),
        ]);
        prefix(&mut resources, "p-", &Config::builtin().name_prefix).unwrap();
        let names: Vec<_> = resources.iter().map(Resource::name).collect();
        assert_eq!(names, ["a", "b", "p-c"]);
    }
}
