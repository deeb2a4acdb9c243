//! `labels` and `commonLabels`.

use ecow::EcoString;

use crate::error::{Place, Result};
use crate::fields::{self, Chosen, Make};
use crate::kustomization::{FieldSpec, Labels};
use crate::resources::Resources;
use crate::transform::config::{Config, merge};
use crate::value::Value;

/// Sets the pairs of one entry of `labels` on every object, and on what else the entry asks for.
///
/// `place` is the kustomization's, for specs that contradict each other.
/// # Errors
/// Where two specs disagree on `create`, or a field is no map.
pub fn apply(
    resources: &mut Resources,
    labels: &Labels,
    config: &Config,
    place: impl Fn() -> Place,
) -> Result<()> {
    let specs = specs(labels, config, &place)?;
    set(resources, &labels.pairs, &specs)
}

/// Sets `commonLabels`: labels and selectors of every object.
///
/// # Errors
/// Where a field is no map.
pub fn common(
    resources: &mut Resources,
    pairs: &[(EcoString, EcoString)],
    config: &Config,
) -> Result<()> {
    set(resources, pairs, &config.common_labels)
}

/// The fields that an entry sets.
///
/// Source: kustomize `api/internal/target/kusttarget_configplugin.go`, LabelTransformer.
fn specs(labels: &Labels, config: &Config, place: &dyn Fn() -> Place) -> Result<Vec<FieldSpec>> {
    let mut specs = labels.fields.clone();
    let mut add =
        |more: &[FieldSpec]| merge(&mut specs, more).map_err(|conflict| conflict.at(place()));
    add(&config.labels)?;
    if labels.include_selectors {
        add(&config.common_labels)?;
    } else {
        if labels.include_templates {
            add(&config.template_labels)?;
        }
        let own =
            FieldSpec { path: "metadata/labels".into(), create: true, ..FieldSpec::default() };
        add(&[own])?;
    }
    Ok(specs)
}

/// Sets `pairs` in the maps that `specs` lead to, as strings; annotations are set alike.
///
/// Source: kustomize `api/filters/labels/labels.go`.
/// # Errors
/// Where a field is no map.
pub fn set(
    resources: &mut Resources,
    pairs: &[(EcoString, EcoString)],
    specs: &[FieldSpec],
) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let mut chosen = Chosen::new(specs);
    let mut set_all = |value: &mut Value| {
        pairs.iter().try_for_each(|(key, text)| fields::set_entry(value, key, text))
    };
    for resource in resources.iter_mut() {
        for path in &*chosen.of(resource.gvk()) {
            let outcome = path.walk(&mut resource.value, Make::Map, &mut set_all);
            outcome.map_err(|problem| problem.of(resource))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Origin, Resource};

    fn resource(api_version: &str, kind: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain(api_version));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain("a"));
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn apply_to(resource: Resource, labels: &Labels) -> Result<Value> {
        let mut resources = Resources::from(vec![resource]);
        apply(&mut resources, labels, &Config::builtin(), || Place::file("kustomization.yaml"))?;
        Ok(resources.as_slice()[0].value.clone())
    }

    fn pairs() -> Vec<(EcoString, EcoString)> {
        vec![("app".into(), "on".into())]
    }

    #[test]
    fn labels_alone_reach_metadata_only() {
        let labels = Labels { pairs: pairs(), ..Labels::default() };
        let value = apply_to(resource("apps/v1", "Deployment"), &labels).unwrap();
        assert_eq!(value.at(&["metadata", "labels", "app"]), Some(&Value::string("on")));
        assert_eq!(value.get("spec"), None);
    }

    #[test]
    fn templates_and_selectors_are_made() {
        let labels = Labels { pairs: pairs(), include_templates: true, ..Labels::default() };
        let value = apply_to(resource("apps/v1", "Deployment"), &labels).unwrap();
        assert!(value.at(&["spec", "template", "metadata", "labels", "app"]).is_some());
        assert!(value.at(&["spec", "selector"]).is_none());
        let labels = Labels { pairs: pairs(), include_selectors: true, ..Labels::default() };
        let value = apply_to(resource("apps/v1", "Deployment"), &labels).unwrap();
        assert!(value.at(&["spec", "selector", "matchLabels", "app"]).is_some());
        assert!(value.at(&["spec", "template", "spec"]).is_none());
    }

    #[test]
    fn own_fields_that_disagree_conflict() {
        let spec = FieldSpec { path: "metadata/labels".into(), ..FieldSpec::default() };
        let labels = Labels { pairs: pairs(), fields: vec![spec], ..Labels::default() };
        assert!(apply_to(resource("v1", "ConfigMap"), &labels).is_err());
    }
}
