//! `flux tree`: draws the Kustomizations of a repository and what they render to, without a cluster.

use overlay::build::Options;
use overlay::error::{Error, ErrorKind, Place, Result, Warned};
use overlay::flux::api::Kustomization;
use overlay::flux::discover::drawing::{Branch, draw, named};
use overlay::flux::discover::{Asked, Found, Node, Outcome};
use overlay::flux::helm::Earlier;
use overlay::flux::inventory::ObjectId;
use overlay::flux::sources::Source;
use overlay::flux::substitute::Kind;
use overlay::flux::{Rendered, Renderer};
use overlay::sops::decryption::Masking;
use overlay::store::Store;
use overlay::threads::Threads;
use serde_json::{Value as Json, json};

use super::rendered::formatted;
use super::repository::{Checkout, id};
use crate::args::{DataFormat, FluxTree, Render};
use crate::commands::build;
use crate::commands::flux::beyond;
use crate::exit;
use crate::output::{Console, failure, visible};
use crate::settings::Settings;

/// What Flux's own kinds have in their group. Source: `flux tree --compact`.
const FLUX: &str = "toolkit.fluxcd.io";

/// Runs it.
///
/// # Errors
/// Where the directory, the revision or a local source cannot be read. What is wrong with the Kustomizations is shown,
/// and told by the exit code.
pub fn run(args: &FluxTree, settings: &Settings, console: &Console) -> Result<u8> {
    let checkout = Checkout::around(&args.path, &args.local_sources, settings)?;
    let source = match &args.as_committed {
        Some(revision) => checkout.committed(revision)?,
        None => checkout.tree()?,
    };
    // Kustomizations are rendered beside each other already.
    let options =
        Options { threads: Threads::default(), ..build::options(&Render::default(), settings) };
    let store = Store::default();
    let render = |asked: &Asked<'_>| rendered(asked.object, asked.source, &store, &options);
    let nowhere = |_: Kind, _: &str, _: &str| Ok(None);
    let asked = beyond::Asked {
        helm: Some(&args.helm),
        fetches: args.fetch_sources,
        is_offline: args.offline,
        veils: false,
        values: &nowhere,
        credentials: &nowhere,
        is_complete: false,
        earlier: &Earlier::default(),
    };
    let found = beyond::using(&asked, settings, |beyond| {
        checkout.discover(&source, &options.limits, &render, beyond)
    })?;
    found.warnings.iter().for_each(|warning| console.warn(warning));
    match args.output {
        None => console.print(&visible(&text(&found, args.compact))),
        Some(format) => console.print(&data(&found, args.compact, format)?),
    }
    let problems: Vec<_> = found.problems.iter().chain(&found.elsewhere).collect();
    problems.iter().for_each(|problem| console.error(problem));
    if found.nodes.is_empty() && problems.is_empty() {
        let place = Place::file(&*args.path.to_string_lossy());
        let message = "there is no Kustomization of Flux in it";
        return Err(Error::new(ErrorKind::Missing, place, message));
    }
    Ok(if problems.is_empty() { exit::OK } else { exit::ERROR })
}

/// Variables that are in the cluster only are not there: then one without a value is no failure.
fn rendered(
    object: &Kustomization,
    source: &Source,
    store: &Store,
    options: &Options,
) -> Warned<Result<Rendered>> {
    let post_build = object.post_build.as_ref();
    let renderer = Renderer {
        files: &*source.files,
        root: &source.root,
        store,
        options,
        decrypt: &Masking::new(None),
        lookup: None,
        strict: post_build.is_none_or(|post_build| post_build.substitute_from.is_empty()),
        hidden: None,
    };
    renderer.render(object)
}

fn text(found: &Found, compact: bool) -> String {
    let trees = found.roots.iter().map(|root| draw(&branch(found, *root, compact)));
    trees.collect()
}

fn branch(found: &Found, index: usize, compact: bool) -> Branch {
    let node = &found.nodes[index];
    let branches = below(found, node, compact).into_iter().map(|(id, child)| match child {
        Some(child) => branch(found, child, compact),
        None => Branch { text: named(&id), branches: released(found, index, &id, compact) },
    });
    Branch { branches: branches.collect(), text: format!("{} ({})", named(&id(node)), about(node)) }
}

/// The objects of a release, where the object of that id is one that was rendered.
fn released(found: &Found, owner: usize, id: &ObjectId, compact: bool) -> Vec<Branch> {
    let objects = objects_of_release(found, owner, id, compact).into_iter();
    objects.map(|id| Branch { text: named(&id), branches: Vec::new() }).collect()
}

fn objects_of_release(found: &Found, owner: usize, id: &ObjectId, compact: bool) -> Vec<ObjectId> {
    let release = found.releases.iter().find(|release| {
        let meta = &release.object.meta;
        let namespace = id.namespace.is_empty() || id.namespace == meta.namespace;
        release.owner == owner && id.kind == "HelmRelease" && namespace && id.name == meta.name
    });
    let objects = release.and_then(|release| release.outcome.as_ref().ok());
    let ids = objects.into_iter().flatten().map(ObjectId::of);
    ids.filter(|id| !compact || id.group.contains(FLUX)).collect()
}

/// Where it renders from, what it waits for, and what is the matter with it.
fn about(node: &Node) -> String {
    let object = &node.object;
    let path = object.spec.path.as_str();
    let mut about = vec![if path.is_empty() { "./".to_owned() } else { path.to_owned() }];
    let dependencies = dependencies(object);
    if !dependencies.is_empty() {
        about.push(format!("after {}", dependencies.join(" and ")));
    }
    if object.suspend {
        about.push("suspended".to_owned());
    }
    match node.outcome {
        Outcome::Rendered(_) => {}
        Outcome::Failed(_) => about.push("fails".to_owned()),
        Outcome::Elsewhere => {
            let source = object.source();
            about.push(format!("files in {}/{}/{}", source.kind, source.namespace, source.name));
        }
    }
    about.join(", ")
}

/// By name in the own namespace.
fn dependencies(object: &Kustomization) -> Vec<String> {
    let named = |dependency: &overlay::flux::api::Dependency| {
        let other = dependency.namespace.as_str();
        match other.is_empty() || other == object.meta.namespace {
            true => dependency.name.to_string(),
            false => format!("{other}/{}", dependency.name),
        }
    };
    object.depends_on.iter().map(named).collect()
}

/// The objects of a Kustomization in the order of its inventory, with the Kustomizations among them that are followed.
fn below(found: &Found, node: &Node, compact: bool) -> Vec<(ObjectId, Option<usize>)> {
    let Outcome::Rendered(rendered) = &node.outcome else { return Vec::new() };
    let own = id(node);
    let ids = rendered.inventory.iter().map(|entry| entry.id.clone());
    let kept = ids.filter(|id| *id != own && (!compact || id.group.contains(FLUX)));
    let child = |wanted: &ObjectId| {
        node.children.iter().copied().find(|child| {
            let id = id(&found.nodes[*child]);
            let namespace = wanted.namespace.is_empty() || wanted.namespace == id.namespace;
            namespace
                && (&wanted.name, &wanted.group, &wanted.kind) == (&id.name, &id.group, &id.kind)
        })
    };
    kept.map(|id| {
        let child = child(&id);
        (id, child)
    })
    .collect()
}

fn data(found: &Found, compact: bool, format: DataFormat) -> Result<String> {
    let roots: Vec<_> = found.roots.iter().map(|root| tree(found, *root, compact)).collect();
    let problems: Vec<_> = found.problems.iter().chain(&found.elsewhere).map(failure).collect();
    let data = json!({ "kustomizations": roots, "problems": problems });
    formatted(&data, format)
}

fn tree(found: &Found, index: usize, compact: bool) -> Json {
    let node = &found.nodes[index];
    let object = &node.object;
    let source = object.source();
    let resources = below(found, node, compact).into_iter().map(|(id, child)| match child {
        Some(child) => tree(found, child, compact),
        None => match objects_of_release(found, index, &id, compact) {
            objects if objects.is_empty() => json!({ "resource": resource(&id) }),
            objects => {
                let objects = objects.iter().map(|id| json!({ "resource": resource(id) }));
                json!({ "resource": resource(&id), "resources": objects.collect::<Vec<_>>() })
            }
        },
    });
    let resources: Vec<_> = resources.collect();
    json!({
        "resource": resource(&id(node)),
        "path": object.spec.path.as_str(),
        "source": format!("{}/{}/{}", source.kind, source.namespace, source.name),
        "dependsOn": dependencies(object),
        "suspended": object.suspend,
        "state": match node.outcome {
            Outcome::Rendered(_) => "rendered",
            Outcome::Failed(_) => "failed",
            Outcome::Elsewhere => "elsewhere",
        },
        "resources": resources,
    })
}

/// An object by its names, as data.
pub(super) fn resource(id: &ObjectId) -> Json {
    let ObjectId { namespace, name, group, kind } = id;
    json!({ "namespace": namespace.as_str(), "name": name.as_str(), "group": group.as_str(), "kind": kind.as_str() })
}
