//! `namespace`.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::fields::{self, Chosen, Make, Outcome, Path, Problem};
use crate::kustomization::FieldSpec;
use crate::resource::{Kind, Resource};
use crate::resources::Resources;
use crate::schema;
use crate::value::{Tag, Value};

/// Which subjects of RoleBindings and ClusterRoleBindings are moved.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subjects {
    /// Those named `default`, of any kind.
    #[default]
    NamedDefault,
    /// All ServiceAccounts.
    ServiceAccounts,
    /// None.
    Nobody,
}

/// What the namespace transformer is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace<'a> {
    /// The namespace; an empty one changes nothing.
    pub name: &'a str,
    /// Which fields, besides `metadata/namespace`.
    pub specs: &'a [FieldSpec],
    /// Whether only blank fields are set.
    pub unset_only: bool,
    /// Which subjects of role bindings.
    pub subjects: Subjects,
}

/// Moves every object that is not known to be cluster-scoped into a namespace.
///
/// Objects that a Helm chart made are left alone: Helm was told the namespace.
///
/// Source: kustomize `api/internal/builtins/NamespaceTransformer.go`, `api/filters/namespace`.
/// # Errors
/// Where a field is no scalar, or two objects get one id.
pub fn apply(resources: &mut Resources, namespace: &Namespace<'_>) -> Result<()> {
    if namespace.name.is_empty() {
        return Ok(());
    }
    let own = &own_field();
    resources.change(|run| {
        let mut chosen = Chosen::new(namespace.specs);
        let own = Path::of(own);
        for resource in run.iter_mut().filter(|one| !one.from_helm) {
            resource.remember_id();
            let (traits, paths) = {
                let kind = resource.as_kind();
                (Traits::of(kind), chosen.of(kind))
            };
            let outcome = namespace.apply(&mut resource.value, traits, &own, &paths);
            outcome.map_err(|problem| problem.of(resource))?;
        }
        Ok::<_, Error>(())
    })?;
    refuse_conflicts(resources)
}

/// Where an object names its own namespace.
pub(super) fn own_field() -> FieldSpec {
    FieldSpec { path: OWN.into(), create: true, ..FieldSpec::default() }
}

/// What matters of the kind of an object.
#[derive(Clone, Copy)]
pub(super) struct Traits {
    is_cluster_scoped: bool,
    is_binding: bool,
    is_core: bool,
}

impl Traits {
    pub(super) fn of(kind: Kind<'_>) -> Self {
        Self {
            is_cluster_scoped: schema::is_cluster_scoped(kind),
            is_binding: is_binding(kind.kind),
            is_core: kind.group.is_empty() && kind.version == "v1",
        }
    }
}

impl Namespace<'_> {
    /// Moves one object; `own` is the path of [`own_field`], `paths` are those of the specs that
    /// concern its kind.
    pub(super) fn apply(
        &self,
        object: &mut Value,
        traits: Traits,
        own: &Path<'_>,
        paths: &[Path<'_>],
    ) -> Outcome {
        let Traits { is_cluster_scoped, is_binding, is_core } = traits;
        if !is_cluster_scoped {
            self.walk(object, own)?;
        }
        if is_binding {
            self.apply_to_subjects(object)?;
        }
        for path in paths {
            let is_name_of_other = !is_core && path.is("metadata/name");
            let is_subjects = is_binding && path.is("subjects/namespace") && is_binding_spec(path);
            if !path.is(OWN) && !is_name_of_other && !is_subjects {
                self.walk(object, path)?;
            }
        }
        Ok(())
    }

    fn walk(&self, object: &mut Value, path: &Path<'_>) -> Outcome {
        path.walk(object, Make::Scalar, &mut |value| self.set(value))
    }

    fn set(&self, value: &mut Value) -> Outcome {
        if self.unset_only && value.as_scalar().is_some_and(|scalar| !scalar.text.is_empty()) {
            return Ok(());
        }
        fields::set_typed(value, self.name, Tag::Str)
    }

    fn apply_to_subjects(&self, object: &mut Value) -> Outcome {
        let (key, text) = match self.subjects {
            Subjects::NamedDefault => ("name", "default"),
            Subjects::ServiceAccounts => ("kind", "ServiceAccount"),
            Subjects::Nobody => return Ok(()),
        };
        match object.get("subjects") {
            None => return Ok(()),
            Some(value) if value.is_null() => return Ok(()),
            Some(Value::List(_)) => {}
            Some(other) => return Err(unexpected("subjects", "list", other)),
        }
        let subjects = object.get_mut("subjects").and_then(Value::as_list_mut);
        for subject in subjects.into_iter().flat_map(|list| list.make_mut()) {
            if has(subject, key, text)? {
                let field = subject.as_map_mut().map(|map| map.entry("namespace"));
                field.map_or(Ok(()), |field| self.set(field))?;
            }
        }
        Ok(())
    }
}

/// Where most objects hold their namespace.
const OWN: &str = "metadata/namespace";

fn is_binding(kind: &str) -> bool {
    kind == "RoleBinding" || kind == "ClusterRoleBinding"
}

fn is_binding_spec(path: &Path<'_>) -> bool {
    path.kind().is_some_and(is_binding)
}

fn has(subject: &Value, key: &str, text: &str) -> std::result::Result<bool, Problem> {
    match subject {
        _ if subject.is_null() => Ok(false),
        Value::Map(map) => match map.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Scalar(scalar)) => Ok(scalar.text == text),
            Some(other) => Err(unexpected(&format!("subjects/{key}"), "scalar", other)),
        },
        other => Err(unexpected("subjects", "list of maps", other)),
    }
}

fn unexpected(path: &str, wanted: &str, found: &Value) -> Problem {
    let message = format!("expected a {wanted}, found a {}", found.kind_name());
    Problem { path: path.to_owned(), message }
}

/// Looks for two objects of one id.
///
/// Kustomize looks after each object; as all get the same namespace, looking once finds the same.
fn refuse_conflicts(resources: &Resources) -> Result<()> {
    match resources.doubled_by(id) {
        None => Ok(()),
        Some((first, second)) => {
            let list = resources.as_slice();
            Err(conflict(&list[second], &list[first]))
        }
    }
}

fn id(resource: &Resource) -> (&str, &str, &str, Option<&str>) {
    let namespace = match resource.namespace() {
        _ if schema::is_cluster_scoped(resource.as_kind()) => None,
        "" => Some("default"),
        namespace => Some(namespace),
    };
    (resource.api_version(), resource.kind(), resource.name(), namespace)
}

fn conflict(one: &Resource, other: &Resource) -> Error {
    let message = format!(
        "namespace \"{}\" makes two of {} \"{}\": the other is from {}",
        one.namespace(),
        one.kind(),
        one.name(),
        other.origin.file
    );
    Error::new(ErrorKind::Invalid, Place::file(one.origin.file.clone()), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Origin;
    use crate::transform::config::Config;

    fn resource(api_version: &str, kind: &str, name: &str) -> Resource {
        let mut value = Value::map();
        value.set(&["apiVersion"], Value::plain(api_version));
        value.set(&["kind"], Value::plain(kind));
        value.set(&["metadata", "name"], Value::plain(name));
        Resource::new(value, Origin { file: "a.yaml".into(), document: 0 })
    }

    fn moved(resources: Vec<Resource>) -> Result<Vec<Resource>> {
        let mut resources = Resources::from(resources);
        let config = Config::builtin();
        let namespace =
            Namespace { name: "shop", specs: &config.namespace, ..Namespace::default() };
        apply(&mut resources, &namespace)?;
        Ok(resources.as_mut_vec().drain(..).collect())
    }

    #[test]
    fn remembers_the_id_even_if_nothing_changes() {
        let moved = moved(vec![resource("v1", "ConfigMap", "a")]).unwrap();
        assert_eq!(moved[0].namespace(), "shop");
        assert_eq!(moved[0].former[0].namespace, "default");
    }

    #[test]
    fn only_core_namespaces_are_renamed() {
        let moved =
            moved(vec![resource("v1", "Namespace", "a"), resource("x.io/v1", "Namespace", "a")]);
        let moved = moved.unwrap();
        assert_eq!((moved[0].name(), moved[1].name()), ("shop", "a"));
    }

    #[test]
    fn two_objects_that_fall_together_conflict() {
        let mut other = resource("v1", "ConfigMap", "a");
        other.value.set(&["metadata", "namespace"], Value::plain("other"));
        assert!(moved(vec![resource("v1", "ConfigMap", "a"), other]).is_err());
    }

    #[test]
    fn subjects_named_default_are_moved() {
        let mut binding = resource("rbac.authorization.k8s.io/v1", "RoleBinding", "a");
        let mut subject = Value::map();
        subject.set(&["kind"], Value::plain("User"));
        subject.set(&["name"], Value::plain("default"));
        let mut other = subject.clone();
        other.set(&["name"], Value::plain("x"));
        binding.value.set(&["subjects"], Value::List([subject, other].into_iter().collect()));
        let moved = moved(vec![binding]).unwrap();
        let subjects = moved[0].value.get("subjects").and_then(Value::as_list).unwrap();
        assert_eq!(subjects[0].text_at(&["namespace"]), Some("shop"));
        assert_eq!(subjects[1].text_at(&["namespace"]), None);
    }
}
