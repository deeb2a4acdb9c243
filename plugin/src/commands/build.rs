//! `build`: prints what an overlay renders to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::build::{Options, Order, build, build_all, pieces, print};
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{Disk, Files};
use overlay::remote::Remote;
use overlay::roots;
use overlay::store::Store;
use overlay::tools::{Functions, Tools};
use overlay::{Limits, Resources};

use crate::args::{self, LoadRestrictor, Render, Reorder};
use crate::exit;
use crate::find::find;
use crate::output::Console;
use crate::settings::Settings;

/// Runs it.
///
/// # Errors
/// Where the overlay is not found or does not build, or its output cannot be written.
pub fn run(args: &args::Build, settings: &Settings, console: &Console) -> Result<u8> {
    let options = Options { order: order(args.reorder), ..options(&args.render, settings) };
    if args.all {
        return run_all(args, &options, settings, console);
    }
    let resources = render(&root(&args.overlay, settings)?, &options, settings, console)?;
    match &args.output {
        None => console.print_all(&pieces(&resources, &options.limits)?),
        Some(path) => write(&settings.directory.join(path), &resources, &options.limits)?,
    }
    // The process is about to end, and takes them along faster than they can be taken apart.
    std::mem::forget(resources);
    Ok(exit::OK)
}

/// Builds every root below a directory, and tells at the end which ones failed.
fn run_all(
    args: &args::Build,
    options: &Options,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let files = Disk::new(settings.directory.clone());
    let roots = roots::find(&files, &settings.directory.join(&args.overlay), &options.limits)?;
    let roots = if args.every { roots.every } else { roots.unreferenced };
    let folder = args.output.as_ref().map(|path| settings.directory.join(path));
    let mut failures = Vec::new();
    let mut is_first = true;
    for (root, built) in roots.iter().zip(build_all(&files, &Store::default(), options, &roots)) {
        let shown = files.shown(root);
        built.warnings.iter().for_each(|warning| console.warn(warning));
        match (built.output, &folder) {
            (Err(error), _) => failures.push((shown, error)),
            (Ok(text), Some(folder)) => write_overlay(folder, &shown, &text)?,
            (Ok(text), None) if text.is_empty() => {}
            (Ok(text), None) => {
                let separator = if is_first { "" } else { "---\n" };
                console.print(&format!("{separator}# {shown}\n{text}"));
                is_first = false;
            }
        }
    }
    for (shown, error) in &failures {
        console.say_line(format_args!("{shown} does not build:"));
        console.error(error);
    }
    console.say_line(format_args!(
        "{} of {} overlays built",
        roots.len() - failures.len(),
        roots.len()
    ));
    Ok(if failures.is_empty() { exit::OK } else { exit::ERROR })
}

/// `overlays/production` becomes the file `overlays/production.yaml` of the folder.
fn write_overlay(folder: &Path, shown: &str, text: &str) -> Result<()> {
    let inside: PathBuf = Path::new(shown)
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect();
    let name = if inside.as_os_str().is_empty() { "overlay".into() } else { inside };
    let path = folder.join(format!("{}.yaml", name.display()));
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Io, Place::file(path.to_string_lossy()), error.to_string())
    };
    std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
    write_file(&path, text)
}

/// The directory that `typed` means.
///
/// # Errors
/// Where it is not found.
pub fn root(typed: &str, settings: &Settings) -> Result<PathBuf> {
    find(&Disk::new(settings.directory.clone()), &settings.directory, typed)
}

/// Renders the overlay in the directory `root`, and reports the warnings that come up.
///
/// # Errors
/// Where it does not build.
pub fn render(
    root: &Path,
    options: &Options,
    settings: &Settings,
    console: &Console,
) -> Result<Resources> {
    let files = Disk::new(settings.directory.clone());
    // One overlay seldom reads a file twice, and what nobody shares is changed in place.
    let built = build(&files, &Store::new(0), options, root);
    for warning in &built.warnings {
        console.warn(warning);
    }
    built.output
}

/// What the flags say about a build.
#[must_use]
pub fn options(render: &Render, settings: &Settings) -> Options {
    Options {
        limits: Limits::default(),
        unrestricted: render.load_restrictor == LoadRestrictor::None,
        order: Order::Legacy,
        remote: remote(render, settings),
        tools: tools(render, settings),
        managed_by_label: render.enable_managedby_label,
        version: None,
        threads: settings.threads.clone(),
    }
}

fn remote(render: &Render, settings: &Settings) -> Option<Arc<Remote>> {
    let cache = settings.cache.clone()?;
    Some(Arc::new(Remote::new(cache, render.offline)))
}

fn tools(render: &Render, settings: &Settings) -> Tools {
    let helm = render.program.helm(render.helm_debug);
    let functions = || Functions {
        exec: render.enable_exec,
        network: render.network,
        as_current_user: render.as_current_user,
        env: render.env.clone(),
        mounts: render.mount.clone(),
        home: settings.plugin_homes.iter().find(|home| home.exists()).cloned(),
    };
    Tools {
        helm: render.enable_helm.then_some(helm),
        functions: render.enable_alpha_plugins.then(functions),
    }
}

fn order(reorder: Option<Reorder>) -> Order {
    match reorder {
        Some(Reorder::None) => Order::None,
        Some(Reorder::Legacy) | None => Order::Legacy,
    }
}

/// Writes one file, or one for each object where `path` is a directory.
///
/// Source: `kustomize build -o`.
fn write(path: &Path, resources: &Resources, limits: &Limits) -> Result<()> {
    if !path.is_dir() {
        return write_file(path, &print(resources, limits)?);
    }
    for resource in resources {
        let one = print(&Resources::from(vec![resource.clone()]), limits)?;
        write_file(&path.join(file_name(resource)), &one)?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| {
        Error::new(ErrorKind::Io, Place::file(path.to_string_lossy()), error.to_string())
    })
}

/// `[namespace_]group_version_kind_name.yaml` in lower case.
///
/// Source: kustomize `commands/build/writer.go`.
fn file_name(resource: &overlay::Resource) -> String {
    let gvk = resource.gvk();
    let parts = [resource.namespace(), &gvk.group, &gvk.version, &gvk.kind, resource.name()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let name = parts.join("_").to_lowercase().replace('/', "_");
    format!("{name}.yaml")
}
