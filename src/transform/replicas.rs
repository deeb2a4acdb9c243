//! `replicas`.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::fields::{self, Make, Path};
use crate::kustomization::{FieldSpec, Replicas};
use crate::nearest::nearest;
use crate::resource::{Gvk, Resource};
use crate::resources::Resources;
use crate::value::{Tag, Value};

/// Sets the count of every object that has or had the entry's name and a kind of `specs`.
///
/// A quoted count stays quoted, and so becomes a string.
///
/// Source: kustomize `api/internal/builtins/ReplicaCountTransformer.go`.
/// # Errors
/// Where there is no such object, or the field is no scalar; `place` is the kustomization's.
pub fn apply(
    resources: &mut Resources,
    replicas: &Replicas,
    specs: &[FieldSpec],
    place: impl FnOnce() -> Place,
) -> Result<()> {
    let count = ecow::eco_format!("{}", replicas.count);
    let mut set = |value: &mut Value| fields::set_typed(value, &count, Tag::Int);
    let mut found = false;
    for resource in resources.iter_mut().filter(|one| one.has_or_had_name(&replicas.name)) {
        for spec in specs {
            if !is_meant(resource, &replicas.name, &spec.gvk) {
                continue;
            }
            found = true;
            if !resource.gvk().is_selected(&spec.gvk) {
                continue;
            }
            let outcome = Path::of(spec).walk(&mut resource.value, Make::Scalar, &mut set);
            outcome.map_err(|problem| problem.of(resource))?;
        }
    }
    if found {
        return Ok(());
    }
    let error = missing(replicas, specs, place());
    let names =
        resources.iter().filter(|one| specs.iter().any(|spec| one.gvk().is_selected(&spec.gvk)));
    Err(match nearest(&replicas.name, names.map(Resource::name)) {
        Some(name) => error.hint(format!("there is one called \"{name}\"")),
        None => error,
    })
}

fn is_meant(resource: &Resource, name: &str, pattern: &Gvk) -> bool {
    let gvk = resource.gvk();
    let former = resource.former.iter().filter(|id| id.name == name);
    (resource.name() == name && gvk.is_selected(pattern))
        || former.map(|id| resource.former_gvk(id)).any(|gvk| gvk.is_selected(pattern))
}

fn missing(replicas: &Replicas, specs: &[FieldSpec], place: Place) -> Error {
    let mut kinds: Vec<&str> = specs.iter().map(|spec| spec.gvk.kind.as_str()).collect();
    kinds.dedup();
    let message =
        format!("replicas: no resource is named \"{}\" ({})", replicas.name, kinds.join(", "));
    Error::new(ErrorKind::Missing, place, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::transform::config::Config;
    use crate::transform::prefix;
    use crate::value::{Scalar, Style};

    fn deployment(name: &str, count: Option<Value>) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain("apps/v1"));
        value.set(&["kind"], Value::plain("Deployment"));
        value.set(&["metadata", "name"], Value::plain(name));
        if let Some(count) = count {
            value.set(&["spec", "replicas"], count);
        }
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn scaled(mut resources: Resources, name: &str) -> Result<Value> {
        let replicas = Replicas { name: name.into(), count: 3 };
        let place = || Place::file("kustomization.yaml");
        apply(&mut resources, &replicas, &Config::builtin().replicas, place)?;
        Ok(resources.as_slice()[0].value.at(&["spec", "replicas"]).unwrap().clone())
    }

    #[test]
    fn sets_an_integer_but_keeps_quotes() {
        let count = scaled(Resources::from(vec![deployment("a", None)]), "a").unwrap();
        assert_eq!(count, Value::int(3));
        let quoted = Value::Scalar(Scalar { text: "1".into(), style: Style::Quoted });
        let count = scaled(Resources::from(vec![deployment("a", Some(quoted))]), "a").unwrap();
        assert_eq!(count.as_scalar().unwrap().style, Style::QuotedAs(crate::value::Tag::Int));
    }

    #[test]
    fn former_names_count_too() {
        let mut resources = Resources::from(vec![deployment("a", None)]);
        prefix::prefix(&mut resources, "p-", &Config::builtin().name_prefix).unwrap();
        assert_eq!(scaled(resources.clone(), "a").unwrap(), Value::int(3));
        assert_eq!(scaled(resources, "p-a").unwrap(), Value::int(3));
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error() {
        assert!(scaled(Resources::from(vec![deployment("a", None)]), "b").is_err());
    }
}
