//! `flux tree`: draws the Kustomizations of a repository and what they render to, without a cluster.

use std::path::{Path, PathBuf};

use overlay::build::Options;
use overlay::error::{Error, ErrorKind, Place, Result, Warned};
use overlay::files::clean;
use overlay::flux::api::Kustomization;
use overlay::flux::discover::drawing::{Branch, draw, named};
use overlay::flux::discover::{Found, Local, Node, Outcome, Request, discover};
use overlay::flux::inventory::ObjectId;
use overlay::flux::sources::{Source, committed, working_tree};
use overlay::flux::{Rendered, Renderer};
use overlay::sops::decryption::Masking;
use overlay::store::Store;
use overlay::{json, yaml};
use serde_json::{Value as Json, json};

use crate::args::{DataFormat, FluxTree, Render};
use crate::commands::build;
use crate::commands::flux::charts;
use crate::exit;
use crate::output::{Console, visible};
use crate::settings::Settings;

/// What Flux's own kinds have in their group. Source: `flux tree --compact`.
const FLUX: &str = "toolkit.fluxcd.io";

/// Runs it.
///
/// # Errors
/// Where the directory, the revision or a local source cannot be read. What is wrong with the Kustomizations is shown,
/// and told by the exit code.
pub fn run(args: &FluxTree, settings: &Settings, console: &Console) -> Result<u8> {
    let entry = clean(&settings.directory.join(&args.path));
    let top = repository(&entry, settings);
    let (source, entry) = match &args.as_committed {
        Some(revision) => {
            let source = committed(&top, revision, None)?;
            let below = entry.strip_prefix(&top).unwrap_or(&entry).to_path_buf();
            let entry = clean(&source.root.join(below));
            (source, entry)
        }
        None => (working_tree(&top, &settings.directory, None)?, entry),
    };
    let local = args.local_sources.iter().map(|(name, path)| local(name, path, settings));
    let local = local.collect::<Result<Vec<_>>>()?;
    // Kustomizations are rendered beside each other already.
    let options = Options { threads: 1, ..build::options(&Render::default(), settings) };
    let store = Store::default();
    let render =
        |object: &Kustomization, source: &Source| rendered(object, source, &store, &options);
    let found = charts::using(&args.helm, settings, None, |charts| {
        let request = Request {
            repository: &source,
            entry: &entry,
            local: &local,
            limits: &options.limits,
            render: &render,
            charts,
        };
        discover(&request)
    })?;
    found.warnings.iter().for_each(|warning| console.warn(warning));
    match args.output {
        None => console.print(&visible(&text(&found, args.compact))),
        Some(format) => console.print(&data(&found, args.compact, format)?),
    }
    found.problems.iter().for_each(|problem| console.error(problem));
    if found.nodes.is_empty() && found.problems.is_empty() {
        let place = Place::file(source.files.shown(&entry));
        return Err(Error::new(
            ErrorKind::Missing,
            place,
            "there is no Kustomization of Flux in it",
        ));
    }
    Ok(if found.problems.is_empty() { exit::OK } else { exit::ERROR })
}

/// The top directory of the repository around a path; without one the working directory, or the path itself.
fn repository(path: &Path, settings: &Settings) -> PathBuf {
    let top = path.ancestors().find(|directory| directory.join(".git").exists());
    let around = path.starts_with(&settings.directory).then_some(&*settings.directory);
    let own = || if path.is_file() { path.parent() } else { None }.unwrap_or(path);
    top.or(around).unwrap_or_else(own).to_path_buf()
}

/// A directory that stands for `Kind/namespace/name`.
fn local(name: &str, path: &Path, settings: &Settings) -> Result<Local> {
    let mut parts = name.splitn(3, '/').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let (kind, namespace, name) = (part(), part(), part());
    let source = working_tree(&settings.directory.join(path), &settings.directory, None)?;
    Ok(Local { kind, namespace, name, source })
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

fn id(node: &Node) -> ObjectId {
    let meta = &node.object.meta;
    ObjectId {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        group: overlay::flux::api::GROUP.into(),
        kind: "Kustomization".into(),
    }
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
    let problems: Vec<_> = found.problems.iter().map(problem).collect();
    let data = json!({ "kustomizations": roots, "problems": problems });
    match format {
        DataFormat::Json => Ok(format!("{data:#}\n")),
        DataFormat::Yaml => {
            let mut text = String::new();
            yaml::write(&json::from_json(&data), &mut text)?;
            Ok(text)
        }
    }
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

fn resource(id: &ObjectId) -> Json {
    let ObjectId { namespace, name, group, kind } = id;
    json!({ "namespace": namespace.as_str(), "name": name.as_str(), "group": group.as_str(), "kind": kind.as_str() })
}

fn problem(error: &Error) -> Json {
    json!({
        "place": error.places()[0].to_string(),
        "message": error.message(),
        "hint": error.remedy().unwrap_or_default(),
    })
}
