//! What happens to the objects of a chart before they are applied: post-renderers, labels of the release, and what Helm
//! itself writes on what it installs.
//!
//! Source: helm-controller `internal/postrender`, `internal/action/crds.go`; helm `pkg/action/install.go`,
//! `pkg/action/validate.go`.

use rustc_hash::FxHashSet;

use super::output::Output;
use super::{chart, shown};
use crate::build::{Options, Order};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::Memory;
use crate::flux::api::{CommonMetadata, HELM_GROUP, HelmRelease, PostRenderStrategy};
use crate::flux::{Spec, marks, render};
use crate::limits::Limits;
use crate::resource::{Gvk, Origin, Resource};
use crate::resources::Resources;
use crate::schema;
use crate::store::Store;
use crate::value::Value;

/// Everything that is applied, in its order.
pub(super) fn applied(
    release: &HelmRelease,
    output: Output,
    limits: &Limits,
) -> Result<Vec<Resource>> {
    let Output { crds, objects, hooks } = output;
    let post = |resources| rendered(release, resources, limits);
    let (mut objects, mut hooks) = match release.post_render_strategy {
        PostRenderStrategy::NoHooks => (post(objects)?, hooks),
        PostRenderStrategy::Separate => (post(objects)?, post(hooks)?),
        PostRenderStrategy::Combined => {
            let all = post(objects.into_iter().chain(hooks).collect())?;
            all.into_iter().partition(|resource| !is_hook(resource))
        }
    };
    let cluster_scoped = cluster_scoped(crds.iter().chain(&objects));
    for resource in objects.iter_mut().chain(&mut hooks) {
        settle_namespace(resource, release.namespace(), &cluster_scoped);
    }
    objects.iter_mut().for_each(|resource| note_release(resource, release));
    let mut all: Vec<_> = namespace(release).into_iter().collect();
    all.extend(crds.into_iter().map(|mut crd| {
        marks::set_common(&mut crd, &origin(release));
        crd
    }));
    all.extend(objects);
    all.extend(hooks);
    Ok(all)
}

fn is_hook(resource: &Resource) -> bool {
    resource.value.at(&["metadata", "annotations", "helm.sh/hook"]).is_some()
}

/// What post-renderers make of objects; those that every release has come last.
fn rendered(
    release: &HelmRelease,
    mut resources: Vec<Resource>,
    limits: &Limits,
) -> Result<Vec<Resource>> {
    if resources.is_empty() {
        return Ok(resources);
    }
    for renderer in &release.post_renderers {
        let spec = Spec {
            patches: renderer.patches.clone(),
            images: renderer.images.clone(),
            ..Spec::default()
        };
        resources = kustomized(release, &resources, &spec, limits)?;
    }
    let origin = origin(release);
    for resource in &mut resources {
        if let Some(common) = &release.common_metadata {
            marks::set_common(resource, common);
        }
        marks::set_common(resource, &origin);
    }
    let resources = Resources::from(resources);
    match resources.doubled() {
        Some((_, second)) => Err(doubled(release, &resources.as_slice()[second])),
        None => Ok(resources.into_iter().collect()),
    }
}

fn doubled(release: &HelmRelease, resource: &Resource) -> Error {
    let message = format!(
        "chart renders {} \"{}\" twice, which Flux refuses",
        resource.kind(),
        resource.name()
    );
    Error::new(ErrorKind::Invalid, Place::file(shown(release)), message)
}

/// The objects as a kustomization of this spec builds them.
fn kustomized(
    release: &HelmRelease,
    resources: &[Resource],
    spec: &Spec,
    limits: &Limits,
) -> Result<Vec<Resource>> {
    let mut text = String::new();
    for resource in resources {
        text.push_str("---\n");
        text.push_str(&chart::written(&resource.value)?);
    }
    let mut files = Memory::default();
    files.insert("helm-output.yaml", text);
    let options = Options { limits: *limits, order: Order::None, ..Options::default() };
    let built = render(&files, &Store::new(0), &options, spec).output;
    let built = built.map_err(|error| error.within(Place::file("postRenderers")))?;
    let file: std::sync::Arc<str> = shown(release).into();
    let settled = |resource: Resource| {
        Resource::new(resource.value, Origin { file: file.clone(), document: 0 })
    };
    Ok(built.into_iter().map(settled).collect())
}

/// Whose objects they are.
fn origin(release: &HelmRelease) -> CommonMetadata {
    let labels = [("name", &release.meta.name), ("namespace", &release.meta.namespace)];
    CommonMetadata {
        labels: labels
            .map(|(key, value)| (format!("{HELM_GROUP}/{key}").into(), value.clone()))
            .into(),
        annotations: Vec::new(),
    }
}

/// What Helm writes on what it installs.
fn note_release(resource: &mut Resource, release: &HelmRelease) {
    let note = CommonMetadata {
        labels: vec![("app.kubernetes.io/managed-by".into(), "Helm".into())],
        annotations: vec![
            ("meta.helm.sh/release-name".into(), release.composed_name().into()),
            ("meta.helm.sh/release-namespace".into(), release.namespace().into()),
        ],
    };
    marks::set_common(resource, &note);
}

/// The kinds without namespaces that the chart itself defines.
fn cluster_scoped<'r>(
    resources: impl Iterator<Item = &'r Resource>,
) -> FxHashSet<(String, String)> {
    let text = |resource: &Resource, path: &[&str]| {
        resource.value.text_at(path).unwrap_or_default().to_owned()
    };
    let crds = resources.filter(|resource| {
        resource.kind() == "CustomResourceDefinition"
            && resource.value.text_at(&["spec", "scope"]) == Some("Cluster")
    });
    crds.map(|crd| (text(crd, &["spec", "group"]), text(crd, &["spec", "names", "kind"]))).collect()
}

/// Objects with no namespace go to that of the release, where their kind has any.
fn settle_namespace(
    resource: &mut Resource,
    namespace: &str,
    cluster_scoped: &FxHashSet<(String, String)>,
) {
    let Gvk { group, kind, .. } = resource.gvk();
    let is_defined = cluster_scoped.contains(&(group.to_string(), kind.to_string()));
    let has_none = is_defined || schema::is_cluster_scoped(&resource.gvk());
    if !has_none && resource.namespace().is_empty() && !namespace.is_empty() {
        resource.value.set(&["metadata", "namespace"], Value::string(namespace));
    }
}

/// The namespace that an installation makes where it is not there.
///
/// Source: helm `pkg/action/install.go`, where `CreateNamespace` is set.
fn namespace(release: &HelmRelease) -> Option<Resource> {
    let name = release.target_namespace.as_str();
    if !release.install.create_namespace || name.is_empty() {
        return None;
    }
    let mut value = Value::map();
    value.set(&["apiVersion"], Value::string("v1"));
    value.set(&["kind"], Value::string("Namespace"));
    value.set(&["metadata", "labels", "name"], Value::string(name));
    value.set(&["metadata", "name"], Value::string(name));
    Some(Resource::new(value, Origin { file: shown(release).into(), document: 0 }))
}
