//! `flux build kustomization`: prints what the `flux` program of that name prints.
//!
//! Nothing is written into the directory that is built, with or without `--in-memory-build`, and the cluster
//! is asked only for what is not at hand: the Kustomization without `--kustomization-file`, and what its
//! `substituteFrom` names without `--dry-run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use overlay::build::Options;
use overlay::cluster::{self, Server};
use overlay::error::{Error, ErrorKind, Place, Result, Warning};
use overlay::files::{Disk, Files};
use overlay::flux::api::{Kustomization, find_kustomization};
use overlay::flux::local::{self, LocalBuild};
use overlay::flux::substitute::{Found, Kind};
use overlay::remote::Remote;
use overlay::sops::decryption::Masking;
use overlay::store::Store;
use overlay::{Limits, Warned};

use crate::args::{Connection, FluxBuildKustomization};
use crate::commands::session;
use crate::exit;
use crate::output::Console;
use crate::output::progress::Progress;
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
    let (path, file) = check(args, settings)?;
    let namespace = connection.namespace.as_deref().unwrap_or(NAMESPACE);
    let job = Job { args, path, settings, console };
    let text = match &file {
        Some(file) => {
            let kustomization = job.read(file, namespace)?;
            if job.is_offline(&kustomization) {
                job.build(&kustomization, None)?
            } else {
                // Children that are in a cluster count as they are there, but they need not be.
                let is_needed = asks(&kustomization);
                job.with_cluster(connection, is_needed, |cluster| {
                    job.build(&kustomization, cluster)
                })?
            }
        }
        None => job.with_cluster(connection, true, |cluster| {
            let found = match cluster {
                Some(cluster) => cluster.kustomization(namespace, &args.name)?,
                None => None,
            };
            let kustomization = found.ok_or_else(|| missing(namespace, &args.name))?;
            job.build(&kustomization, cluster)
        })?,
    };
    console.print(&text);
    Ok(exit::OK)
}

/// The directory and the file that are named, absolute.
fn check(args: &FluxBuildKustomization, settings: &Settings) -> Result<(PathBuf, Option<PathBuf>)> {
    // In the words of the program itself, which people search for.
    let refused =
        |flag: &str, message: String| Error::new(ErrorKind::Invalid, Place::file(flag), message);
    let given = args.path.clone().unwrap_or_default();
    let path = overlay::files::clean(&settings.directory.join(&given));
    if given.as_os_str().is_empty() || !path.is_dir() {
        return Err(refused("--path", format!("invalid resource path {given:?}")));
    }
    let Some(file) = &args.kustomization_file else {
        if args.dry_run {
            let message = "dry-run mode requires a kustomization file".to_owned();
            return Err(refused("--dry-run", message).hint("name it with --kustomization-file"));
        }
        return Ok((path, None));
    };
    let full = settings.directory.join(file);
    if !full.is_file() {
        let message = format!("invalid kustomization file {file:?}");
        return Err(refused("--kustomization-file", message));
    }
    Ok((path, Some(full)))
}

/// Whether its variables are somewhere else.
fn asks(kustomization: &Kustomization) -> bool {
    kustomization.post_build.as_ref().is_some_and(|one| !one.substitute_from.is_empty())
}

fn missing(namespace: &str, name: &str) -> Error {
    let place = Place::file(format!("Kustomization/{namespace}/{name}"));
    let message = format!(
        "failed to get kustomization object: kustomizations.kustomize.toolkit.fluxcd.io \"{name}\" not found"
    );
    Error::new(ErrorKind::Missing, place, message)
        .hint("give it with --kustomization-file, or another namespace with -n")
}

/// One run of the command.
struct Job<'a> {
    args: &'a FluxBuildKustomization,
    path: PathBuf,
    settings: &'a Settings,
    console: &'a Console,
}

/// A cluster that is asked in the midst of a build.
struct Cluster<'a> {
    server: &'a Server,
    handle: tokio::runtime::Handle,
}

impl Cluster<'_> {
    fn kustomization(&self, namespace: &str, name: &str) -> Result<Option<Kustomization>> {
        self.handle.block_on(cluster::flux::kustomization(self.server, namespace, name))
    }

    fn variables(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Found>> {
        self.handle.block_on(cluster::flux::variables(self.server, kind, namespace, name))
    }
}

impl Job<'_> {
    fn read(&self, file: &Path, namespace: &str) -> Result<Kustomization> {
        let disk = Disk::new(self.settings.directory.clone());
        let limits = Limits::default();
        let text = disk.read(file, limits.file_bytes)?;
        let names = (self.args.name.as_str(), namespace);
        let Warned { output, warnings } =
            find_kustomization(&text, &disk.shown(file), names, &limits);
        warnings.iter().for_each(|warning| self.console.warn(warning));
        output
    }

    /// Whether everything is at hand.
    fn is_offline(&self, kustomization: &Kustomization) -> bool {
        self.args.dry_run || !asks(kustomization) && !self.args.recursive
    }

    /// Connects, and lets `work` ask the cluster from a thread that may wait; where it need not be asked,
    /// also without one.
    fn with_cluster<T>(
        &self,
        connection: &Connection,
        is_needed: bool,
        work: impl FnOnce(Option<&Cluster<'_>>) -> Result<T>,
    ) -> Result<T> {
        let progress = Arc::new(Progress::new(self.console, false, false, connection.verbosity));
        session::run(async {
            let server = match session::connect(connection, self.settings, &progress).await {
                Ok(server) => Some(server),
                Err(error) if is_needed => return Err(error),
                Err(error) => {
                    let place = error.places()[0].clone();
                    let message = format!("no cluster is asked: {}", error.message());
                    self.console.warn(&Warning { place, message });
                    None
                }
            };
            let handle = tokio::runtime::Handle::current();
            let cluster = server.as_ref().map(|server| Cluster { server, handle });
            tokio::task::block_in_place(|| work(cluster.as_ref()))
        })
    }

    fn build(
        &self,
        kustomization: &Kustomization,
        cluster: Option<&Cluster<'_>>,
    ) -> Result<String> {
        let files = Disk::new(self.settings.directory.clone());
        let cache = self.settings.cache.clone();
        let remote = cache.map(|cache| Arc::new(Remote::new(cache, false)));
        let options = Options { remote, ..Options::default() };
        let sources: BTreeMap<String, PathBuf> = (self.args.local_sources.iter())
            .map(|(source, path)| (source.clone(), self.settings.directory.join(path)))
            .collect();
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
            lookup: (!self.args.dry_run).then_some(&lookup),
            live: Some(&live),
            strict: self.args.strict_substitute,
            ignore: &self.args.ignore_paths,
            recursive: self.args.recursive,
            sources: &sources,
        };
        let Warned { output, warnings } = build.build(kustomization, &self.path);
        warnings.iter().for_each(|warning| self.console.warn(warning));
        local::print(&output?, options.limits.output_bytes)
    }
}
