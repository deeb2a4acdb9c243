//! `labels` and `commonLabels`.

use std::sync::Arc;

use ecow::{EcoString, EcoVec};
use rustc_hash::FxHashMap;

use crate::error::{Place, Result};
use crate::fields::{self, Chosen, Element, Make, Path};
use crate::kustomization::{FieldSpec, Labels};
use crate::resource::{ByKind, Kind, Resource};
use crate::resources::Resources;
use crate::transform::config::{Config, merge};
use crate::twins::{Twins, Way};
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
        add(&[own()])?;
    }
    Ok(specs)
}

/// The labels of an object itself, made where there are none.
pub(super) fn own() -> FieldSpec {
    FieldSpec { path: "metadata/labels".into(), create: true, ..FieldSpec::default() }
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
    resources.change(|run| set_in_run(run, pairs, specs))
}

fn set_in_run(
    run: &mut [Resource],
    pairs: &[(EcoString, EcoString)],
    specs: &[FieldSpec],
) -> Result<()> {
    let mut chosen = Chosen::new(specs);
    let mut ways = Ways::default();
    for resource in run {
        let paths = chosen.of(resource.as_kind());
        let mut added = Vec::new();
        // One pair after the other: what is made for the first is there for a spec that makes nothing.
        for (index, (key, text)) in pairs.iter().enumerate() {
            for (at, path) in paths.iter().enumerate() {
                let mut set = |value: &mut Value, elements: &[Element]| {
                    if fields::set_entry(value, key, text)? {
                        added.push(Added { index, path: at, elements: elements.into() });
                    }
                    Ok(())
                };
                let outcome = path.walk_in_lists(&mut resource.value, Make::Map, &mut set);
                outcome.map_err(|problem| problem.of(resource))?;
            }
        }
        let _ = resource.settle_twins();
        ways.pair_off(resource, &paths, pairs, added);
    }
    Ok(())
}

/// An entry that was not there before.
struct Added {
    /// Which pair.
    index: usize,
    /// Which of the kind's paths led there.
    path: usize,
    elements: EcoVec<Element>,
}

/// Where the twins of each kind are, so that many objects share what is the same for all.
#[derive(Default)]
struct Ways(ByKind<FxHashMap<u64, Arc<[Way]>>>);

impl Ways {
    /// Remembers the entries that were added under the same key.
    fn pair_off(
        &mut self,
        resource: &mut Resource,
        paths: &[Path<'_>],
        pairs: &[(EcoString, EcoString)],
        added: Vec<Added>,
    ) {
        if added.len() < 2 {
            return;
        }
        for twins in added.chunk_by(|one, other| one.index == other.index) {
            if let [first, _, ..] = twins {
                let (key, text) = &pairs[first.index];
                let ways = self.of(resource.as_kind(), paths, twins);
                resource.twins.push(Twins::new(ways, key.clone(), Value::string(text.clone())));
            }
        }
    }

    fn of(&mut self, kind: Kind<'_>, paths: &[Path<'_>], twins: &[Added]) -> Arc<[Way]> {
        let mut ways = twins.iter().map(|one| paths[one.path].way(&one.elements));
        let is_plain = paths.len() <= 64 && twins.iter().all(|one| one.elements.is_empty());
        if !is_plain {
            return sorted(&mut ways);
        }
        let mask = twins.iter().fold(0, |mask, one| mask | 1 << one.path);
        let of_kind = self.0.of(kind, FxHashMap::default);
        Arc::clone(of_kind.entry(mask).or_insert_with(|| sorted(&mut ways)))
    }
}

fn sorted(ways: &mut dyn Iterator<Item = Way>) -> Arc<[Way]> {
    let mut ways: Vec<_> = ways.collect();
    ways.sort();
    ways.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;

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
        assert_eq!(value.at(&["metadata", "labels", "app"]), Some(&crate::yaml::set_string("on")));
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

    #[test]
    fn labels_that_were_added_together_are_set_together() {
        let both = Labels { pairs: pairs(), include_templates: true, ..Labels::default() };
        let mut one = resource("apps/v1", "Deployment");
        let mut resources = Resources::from(vec![one.clone()]);
        let (config, place) = (Config::builtin(), || Place::file("kustomization.yaml"));
        apply(&mut resources, &both, &config, place).unwrap();
        let other = Labels { pairs: vec![("app".into(), "b".into())], ..Labels::default() };
        apply(&mut resources, &other, &config, place).unwrap();
        let template = ["spec", "template", "metadata", "labels", "app"];
        assert_eq!(resources.as_slice()[0].value.text_at(&template), Some("b"));

        one.value.set(&template, Value::string("a"));
        let mut resources = Resources::from(vec![one]);
        apply(&mut resources, &both, &config, place).unwrap();
        apply(&mut resources, &other, &config, place).unwrap();
        assert_eq!(resources.as_slice()[0].value.text_at(&template), Some("on"));
    }
}
