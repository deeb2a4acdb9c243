//! `flux build kustomization`: prints what the `flux` program of that name prints.
//!
//! Nothing is written into the directory that is built, with or without `--in-memory-build`, and the cluster
//! is asked only for what is not at hand: the Kustomization without `--kustomization-file`, and what its
//! `substituteFrom` names without `--dry-run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::build::Options;
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{Disk, Files};
use overlay::flux::api::{Kustomization, find_kustomization};
use overlay::flux::local::{self, LocalBuild};
use overlay::remote::Remote;
use overlay::sops::decryption::Masking;
use overlay::store::Store;
use overlay::{Limits, Resource, Warned};

use super::cluster::{self, Cluster, Need};
use crate::args::{Connection, FluxBuildKustomization, FluxLocal};
use crate::exit;
use crate::output::Console;
use crate::settings::Settings;

/// The namespace of Flux's own objects, where none is given.
const NAMESPACE: &str = "flux-system";

/// Runs it.
///
/// # Errors
/// Where something that is named does not exist, or does not build.
pub fn run(
    args: &FluxBuildKustomization,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
) -> Result<u8> {
    let (path, file) = check(&args.local, settings)?;
    if file.is_none() && args.dry_run {
        let message = "dry-run mode requires a kustomization file";
        let error = Error::new(ErrorKind::Invalid, Place::file("--dry-run"), message);
        return Err(error.hint("name it with --kustomization-file"));
    }
    let namespace = connection.namespace.as_deref().unwrap_or(NAMESPACE);
    let job = Job { args: &args.local, asks: !args.dry_run, settings, console };
    let given = file.as_ref().map(|file| job.read(file, namespace)).transpose()?;
    let need = match &given {
        Some(one) if args.dry_run || !asks(one) && !args.local.recursive => Need::None,
        // Children that are in a cluster count as they are there, but they need not be.
        Some(one) if !asks(one) => Need::Useful,
        _ => Need::Required,
    };
    let text = cluster::with(need, connection, settings, console, |cluster| {
        let kustomization = match (given, cluster) {
            (Some(given), _) => given,
            (None, Some(cluster)) => find(cluster, namespace, &args.local.name)?,
            (None, None) => return Err(missing(namespace, &args.local.name)),
        };
        let resources = job.build(&kustomization, &path, args.local.recursive, cluster)?;
        local::print(&resources, Limits::default().output_bytes)
    })?;
    console.print(&text);
    Ok(exit::OK)
}

/// The directory and the file that are named, absolute.
///
/// # Errors
/// Where one of them is not there.
pub(super) fn check(args: &FluxLocal, settings: &Settings) -> Result<(PathBuf, Option<PathBuf>)> {
    // In the words of the program itself, which people search for.
    let refused =
        |flag: &str, message: String| Error::new(ErrorKind::Invalid, Place::file(flag), message);
    let given = args.path.clone().unwrap_or_default();
    let path = overlay::files::clean(&settings.directory.join(&given));
    if given.as_os_str().is_empty() || !path.is_dir() {
        return Err(refused("--path", format!("invalid resource path {given:?}")));
    }
    let file = args.kustomization_file.as_ref().map(|file| settings.directory.join(file));
    if let (Some(given), Some(full)) = (&args.kustomization_file, &file)
        && !full.is_file()
    {
        let message = format!("invalid kustomization file {given:?}");
        return Err(refused("--kustomization-file", message));
    }
    Ok((path, file))
}

/// Whether its variables are somewhere else.
fn asks(kustomization: &Kustomization) -> bool {
    kustomization.post_build.as_ref().is_some_and(|one| !one.substitute_from.is_empty())
}

/// The Kustomization of that name in the cluster.
///
/// # Errors
/// Where there is none.
pub(super) fn find(cluster: &Cluster, namespace: &str, name: &str) -> Result<Kustomization> {
    cluster.kustomization(namespace, name)?.ok_or_else(|| missing(namespace, name))
}

fn missing(namespace: &str, name: &str) -> Error {
    let place = Place::file(format!("Kustomization/{namespace}/{name}"));
    let message = format!(
        "failed to get kustomization object: kustomizations.kustomize.toolkit.fluxcd.io \"{name}\" not found"
    );
    Error::new(ErrorKind::Missing, place, message)
        .hint("give it with --kustomization-file, or another namespace with -n")
}

/// A build of the program, with what it is told.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) args: &'a FluxLocal,
    /// Whether the cluster is asked for variables.
    pub(super) asks: bool,
    pub(super) settings: &'a Settings,
    pub(super) console: &'a Console,
}

impl Job<'_> {
    /// The Kustomization in a file.
    pub(super) fn read(&self, file: &Path, namespace: &str) -> Result<Kustomization> {
        let disk = Disk::new(self.settings.directory.clone());
        let limits = Limits::default();
        let text = disk.read(file, limits.file_bytes)?;
        let names = (self.args.name.as_str(), namespace);
        let Warned { output, warnings } =
            find_kustomization(&text, &disk.shown(file), names, &limits);
        warnings.iter().for_each(|warning| self.console.warn(warning));
        output
    }

    /// The directories that stand for sources.
    pub(super) fn sources(&self) -> BTreeMap<String, PathBuf> {
        let absolute = |path: &PathBuf| self.settings.directory.join(path);
        let sources = self.args.local_sources.iter();
        sources.map(|(source, path)| (source.clone(), absolute(path))).collect()
    }

    /// The objects of a Kustomization, built of a directory.
    pub(super) fn build(
        &self,
        kustomization: &Kustomization,
        path: &Path,
        recursive: bool,
        cluster: Option<&Cluster>,
    ) -> Result<Vec<Resource>> {
        let files = Disk::new(self.settings.directory.clone());
        let cache = self.settings.cache.clone();
        let remote = cache.map(|cache| Arc::new(Remote::new(cache, false)));
        let options = Options { remote, ..Options::default() };
        let lookup = |kind, namespace: &str, name: &str| match cluster {
            Some(cluster) => cluster.variables(kind, namespace, name),
            None => Ok(None),
        };
        let live = |namespace: &str, name: &str| match cluster {
            Some(cluster) => cluster.kustomization(namespace, name),
            None => Ok(None),
        };
        let build = LocalBuild {
            files: &files,
            store: &Store::default(),
            options: &options,
            decrypt: &Masking::new(None),
            lookup: self.asks.then_some(&lookup),
            live: Some(&live),
            strict: self.args.strict_substitute,
            ignore: &self.args.ignore_paths,
            recursive,
            sources: &self.sources(),
        };
        let Warned { output, warnings } = build.build(kustomization, path);
        warnings.iter().for_each(|warning| self.console.warn(warning));
        output
    }
}
