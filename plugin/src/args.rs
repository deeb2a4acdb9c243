//! What may be typed.
//!
//! Flags that exist elsewhere have their names and meanings from there: connecting as in kubectl,
//! rendering as in `kubectl kustomize`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Args as _, FromArgMatches, Subcommand, ValueEnum};

use overlay::tools::Helm;

use crate::exit;
use crate::faults::Fault;

/// Under which name the program was called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// `kubectl overlay`
    Kubectl,
    /// `flux overlay`
    Flux,
    /// `kubectl_complete-overlay`: kubectl asks for completions.
    Completion,
}

impl Program {
    /// Reads it off the first word of the command line.
    #[must_use]
    pub fn of(word: Option<&OsString>) -> Self {
        let name = word.and_then(|word| Path::new(word).file_stem()).unwrap_or_default();
        match name.to_string_lossy().as_ref() {
            "flux-overlay" => Self::Flux,
            "kubectl_complete-overlay" => Self::Completion,
            _ => Self::Kubectl,
        }
    }

    /// How its user calls it.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Kubectl | Self::Completion => "kubectl overlay",
            Self::Flux => "flux overlay",
        }
    }
}

/// The parser, which speaks of itself by the name it was called by.
#[must_use]
pub fn command(program: Program) -> clap::Command {
    root(program).subcommands(commands(None))
}

/// The parser of one command line, the program's name first.
///
/// Where a command stands right behind it, all others are left out: to make them, and to give each the flags
/// of all, takes as long as a small build.
#[must_use]
pub fn command_for(program: Program, words: &[OsString]) -> clap::Command {
    let called = words.get(1).and_then(|word| word.to_str());
    root(program).subcommands(commands(called))
}

fn root(program: Program) -> clap::Command {
    let name = program.shown();
    let command = clap::Command::new(name)
        .bin_name(name)
        .display_name(name)
        .disable_help_subcommand(true)
        .infer_long_args(false)
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true);
    Connection::augment_args(command)
        .next_help_heading(None)
        .about("Renders, reviews and syncs Kustomize overlays")
}

/// A command line as a value, where it is one.
pub fn parse<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> Option<Args> {
    let matches = command(Program::Kubectl).try_get_matches_from(words).ok()?;
    Args::from_matches(matches).ok()
}

/// The command line.
#[derive(Clone, Debug)]
pub struct Args {
    /// How to reach the cluster.
    pub connection: Connection,

    /// What to do.
    pub command: Command,
}

impl Args {
    /// What the parser has found.
    ///
    /// # Errors
    /// Where it has found something else than its commands say, which no command line can cause.
    pub fn from_matches(mut matches: ArgMatches) -> Result<Self, clap::Error> {
        let connection = Connection::from_arg_matches_mut(&mut matches)?;
        Ok(Self { connection, command: Command::from_matches(&mut matches)? })
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// `build`
    Build(Build),
    /// `diff`
    Diff(Diff),
    /// `sync`
    Sync(Sync),
    /// `status`
    Status(Status),
    /// `delete`
    Delete(Delete),
    /// `flux`
    Flux(Flux),
    /// `rehearse`
    Rehearse(Rehearse),
    /// `try`
    Try(Try),
    /// `version`
    Version(Version),
    /// `completion`
    Completion(Completion),
}

/// All commands; where one of them is `called`, that one alone.
fn commands(called: Option<&str>) -> Vec<clap::Command> {
    let commands = [
        named::<Build>("build", "Print what an overlay renders to"),
        named::<Diff>("diff", "Show what a sync would change in the cluster")
            .ending(exit::DIFF_HELP),
        named::<Sync>("sync", "Bring the cluster to what an overlay says").ending(exit::HELP),
        named::<Status>("status", "Show the objects of an overlay and whether they are healthy")
            .ending(exit::STATUS_HELP),
        named::<Delete>("delete", "Delete the objects of an overlay from the cluster")
            .ending(exit::HELP),
        named::<Flux>("flux", "Do what the flux program does, without touching the files"),
        named::<Rehearse>(
            "rehearse",
            "Run a Kubernetes API in memory, for kubectl and every other client",
        ),
        named::<Try>("try", "Show the example, without a cluster"),
        named::<Version>("version", "Print the version"),
        named::<Completion>("completion", "Print a completion script for a shell, or for kubectl"),
    ];
    let called = called.filter(|called| commands.iter().any(|one| one.name == *called));
    let is_called = |one: &&Named| called.is_none_or(|called| called == one.name);
    commands.iter().filter(is_called).map(Named::command).collect()
}

/// A command by its name.
struct Named {
    name: &'static str,
    about: &'static str,
    /// What stands at the end of its help.
    end: Option<&'static str>,
    augment: fn(clap::Command) -> clap::Command,
}

fn named<T: clap::Args>(name: &'static str, about: &'static str) -> Named {
    Named { name, about, end: None, augment: T::augment_args }
}

impl Named {
    fn ending(self, help: &'static str) -> Self {
        Self { end: Some(help), ..self }
    }

    fn command(&self) -> clap::Command {
        let command = (self.augment)(clap::Command::new(self.name)).about(self.about);
        self.end.into_iter().fold(command, clap::Command::after_help)
    }
}

impl Command {
    fn from_matches(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, mut of) = matches.remove_subcommand().ok_or_else(missing)?;
        let of = &mut of;
        match name.as_str() {
            "build" => Build::from_arg_matches_mut(of).map(Self::Build),
            "diff" => Diff::from_arg_matches_mut(of).map(Self::Diff),
            "sync" => Sync::from_arg_matches_mut(of).map(Self::Sync),
            "status" => Status::from_arg_matches_mut(of).map(Self::Status),
            "delete" => Delete::from_arg_matches_mut(of).map(Self::Delete),
            "flux" => Flux::from_arg_matches_mut(of).map(Self::Flux),
            "rehearse" => Rehearse::from_arg_matches_mut(of).map(Self::Rehearse),
            "try" => Try::from_arg_matches_mut(of).map(Self::Try),
            "version" => Version::from_arg_matches_mut(of).map(Self::Version),
            "completion" => Completion::from_arg_matches_mut(of).map(Self::Completion),
            _ => Err(missing()),
        }
    }
}

/// Connecting, by kubectl's flags.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection, as for kubectl")]
pub struct Connection {
    /// The kubeconfig file, instead of those of KUBECONFIG
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The cluster of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// The user of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// The namespace of objects that name none, and of the inventory
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The user to impersonate
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub impersonate: Option<String>,
    /// A group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", hide_short_help = true)]
    pub impersonate_groups: Vec<String>,
    /// The uid to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID", hide_short_help = true)]
    pub impersonate_uid: Option<String>,
    /// The address of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// The bearer token
    #[arg(long, global = true, hide_short_help = true)]
    pub token: Option<String>,
    /// The file with the certificates of the API server's authority
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,
    /// The file with the client's certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<PathBuf>,
    /// The file with the client's key
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// Accept any certificate of the API server; insecure
    #[arg(long, global = true, value_name = "BOOL", hide_short_help = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub insecure_skip_tls_verify: Option<bool>,
    /// The name to expect in the API server's certificate
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// How long one request may take, e.g. 30s; 0 for no limit
    #[arg(long, global = true, value_name = "TIME", hide_short_help = true, default_value = "0",
          value_parser = duration)]
    pub request_timeout: Duration,
    /// How much to say about requests; from 6 each is named
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "LEVEL",
        hide_short_help = true,
        default_value_t = 0
    )]
    pub verbosity: u8,
}

/// Rendering, by the flags of `kubectl kustomize`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Rendering, as for kustomize")]
pub struct Render {
    /// Whether files may lie outside their kustomization's directory
    #[arg(
        long,
        value_name = "NAME",
        hide_short_help = true,
        default_value = "LoadRestrictionsRootOnly"
    )]
    pub load_restrictor: LoadRestrictor,
    /// Label everything app.kubernetes.io/managed-by, as kustomize does
    #[arg(long, hide_short_help = true)]
    pub enable_managedby_label: bool,
    /// Take remote bases as they were fetched last
    #[arg(long, hide_short_help = true)]
    pub offline: bool,
    /// Render Helm charts
    #[arg(long, hide_short_help = true)]
    pub enable_helm: bool,
    /// By which program charts are rendered.
    #[command(flatten)]
    pub program: HelmProgram,
    /// Let helm say more where it fails
    #[arg(long, hide_short_help = true)]
    pub helm_debug: bool,
    /// Run KRM functions
    #[arg(long, hide_short_help = true)]
    pub enable_alpha_plugins: bool,
    /// Run KRM functions that are programs of this machine
    #[arg(long, hide_short_help = true)]
    pub enable_exec: bool,
    /// Run functions in containers as the present user
    #[arg(long, hide_short_help = true)]
    pub as_current_user: bool,
    /// An environment variable of functions; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", hide_short_help = true)]
    pub env: Vec<String>,
    /// What functions in containers may see of this machine's files; may be repeated
    #[arg(long, value_name = "OPTIONS", hide_short_help = true)]
    pub mount: Vec<String>,
    /// Whether functions in containers may use the network
    #[arg(long, hide_short_help = true)]
    pub network: bool,
    /// The network of functions in containers
    #[arg(long, value_name = "NAME", hide_short_help = true, default_value = "bridge")]
    pub network_name: String,
}

/// The helm program, and what charts may ask it for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HelmProgram {
    /// The helm program
    #[arg(long, value_name = "PROGRAM", hide_short_help = true, default_value = "helm")]
    pub helm_command: String,
    /// API versions that charts may ask for; may be repeated
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub helm_api_versions: Vec<String>,
    /// The Kubernetes version that charts may ask for
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub helm_kube_version: Option<String>,
}

impl HelmProgram {
    /// What runs it; `debug` lets it say more where it fails.
    #[must_use]
    pub fn helm(&self, debug: bool) -> Helm {
        Helm {
            command: self.helm_command.clone().into(),
            kube_version: self.helm_kube_version.clone().unwrap_or_default(),
            api_versions: self.helm_api_versions.clone(),
            debug,
        }
    }
}

/// Whether files may lie outside their kustomization's directory, by kustomize's names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum LoadRestrictor {
    /// They may not.
    #[default]
    #[value(name = "LoadRestrictionsRootOnly")]
    RootOnly,
    /// They may.
    #[value(name = "LoadRestrictionsNone")]
    None,
}

/// The order of a build's output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Reorder {
    /// As accumulated
    None,
    /// By kind
    Legacy,
}

/// `build`
#[derive(Clone, Debug, clap::Args)]
pub struct Build {
    /// A directory, or the name of an overlay such as `production`
    ///
    /// A name is looked for in the working directory and, where nothing there has it, further up to the
    /// root of the repository: `production` is overlays/production, clusters/production,
    /// environments/production or envs/production, or one of these in a folder below.
    #[arg(default_value = ".")]
    pub overlay: String,
    /// Build all kustomizations in and below the directory that no other one refers to
    #[arg(long)]
    pub all: bool,
    /// With --all, build those too that another one refers to
    #[arg(long, requires = "all")]
    pub every: bool,
    /// Write to this file, or one file for each object into this directory; with --all one file
    /// for each overlay
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Order the objects this way, whatever the kustomization says
    #[arg(long, value_name = "ORDER", overrides_with = "reorder")]
    pub reorder: Option<Reorder>,
    /// How to render.
    #[command(flatten)]
    pub render: Render,
}

/// `diff`
#[derive(Clone, Debug, clap::Args)]
pub struct Diff {
    /// A directory, or the name of an overlay such as `production`
    ///
    /// A name is looked for in the working directory and, where nothing there has it, further up to the
    /// root of the repository: `production` is overlays/production, clusters/production,
    /// environments/production or envs/production, or one of these in a folder below.
    #[arg(default_value = ".")]
    pub overlay: String,
    /// Take over fields that others own
    #[arg(long)]
    pub force_conflicts: bool,
    /// The name under which fields are owned
    #[arg(long, value_name = "NAME", default_value = "overlay", hide_short_help = true)]
    pub field_manager: String,
    /// Show what would be deleted
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub prune: bool,
    /// The name of the inventory, instead of one derived from the overlay's place in its repository
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub inventory: Option<String>,
    /// How to render.
    #[command(flatten)]
    pub render: Render,
}

/// Whether and how to only pretend.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DryRun {
    /// Do it
    None,
    /// Ask the server what it would do, and write nothing
    Server,
}

/// `sync`
#[derive(Clone, Debug, clap::Args)]
pub struct Sync {
    /// A directory, or the name of an overlay such as `production`
    ///
    /// A name is looked for in the working directory and, where nothing there has it, further up to the
    /// root of the repository: `production` is overlays/production, clusters/production,
    /// environments/production or envs/production, or one of these in a folder below.
    #[arg(default_value = ".")]
    pub overlay: String,
    /// Do not ask; needed where standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Show the plan and stop
    #[arg(long, value_name = "HOW", default_value = "none", num_args = 0..=1,
          require_equals = true, default_missing_value = "server")]
    pub dry_run: DryRun,
    /// Delete what the last sync applied and the overlay no longer has
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub prune: bool,
    /// Delete everything where the overlay renders to nothing
    #[arg(long)]
    pub allow_empty: bool,
    /// Wait until all objects are healthy
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// Take over fields that others own
    #[arg(long)]
    pub force_conflicts: bool,
    /// The name under which fields are owned
    #[arg(long, value_name = "NAME", default_value = "overlay", hide_short_help = true)]
    pub field_manager: String,
    /// The name of the inventory, instead of one derived from the overlay's place in its repository
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub inventory: Option<String>,
    /// Print events as JSON, one a line, and a summary at the end
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<EventFormat>,
    /// What to rehearse on.
    #[command(flatten)]
    pub rehearsing: Rehearsing,
    /// How to render.
    #[command(flatten)]
    pub render: Render,
}

/// Syncing to a Kubernetes API in memory.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Rehearsing")]
pub struct Rehearsing {
    /// Sync to a Kubernetes API in memory, and say what a cluster would have said
    ///
    /// Nothing is asked of a cluster. Fields, their owners, defaults and validation are those of the
    /// API server; workloads become ready after a moment. Namespaces that objects name are taken to be
    /// there. The end says how exactly each object was rehearsed.
    #[arg(long)]
    pub rehearse: bool,
    /// Refuse what is not rehearsed as exactly as this
    #[arg(long, value_name = "GRADE", num_args = 0..=1, require_equals = true,
          default_missing_value = "exact", requires = "rehearse")]
    pub strict: Option<Strict>,
    /// What is there before.
    #[command(flatten)]
    pub beginning: Beginning,
}

/// How exactly something has to be rehearsed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Strict {
    /// Schema, defaults and validation are those of the API server
    Exact,
    /// The schema is known
    Structural,
}

/// What a rehearsal begins with.
#[derive(Clone, Debug, clap::Args)]
pub struct Beginning {
    /// The version of Kubernetes that is rehearsed
    #[arg(long, value_name = "VERSION", default_value = "1.36", hide_short_help = true)]
    pub kubernetes: String,
    /// Begin with these objects: a file, a directory, or OVERLAY@git:REVISION for what an overlay
    /// rendered to at a revision of Git; may be repeated
    ///
    /// A directory with a kustomization is built. Of any other one the files .json, .yaml and .yml are read, as
    /// by "kubectl apply -f DIRECTORY": those below its directories are not.
    #[arg(long, value_name = "STATE", hide_short_help = true)]
    pub from: Vec<String>,
    /// Let something go wrong, KIND[:KEY=VALUE,…]; may be repeated
    ///
    /// Of pods: crash-loop, image-pull, unschedulable, slow (seconds=60), each for pod=[NAMESPACE/]PREFIX
    /// or for all. Of requests: 409, 429 (seconds=1), 500, 503 for a server that is away, 504 for a
    /// request that is done and whose answer is lost; each with method=PATCH, path=TEXT that the path
    /// contains, after=0 requests that go right, times=1.
    #[arg(long = "fault", value_name = "FAULT", hide_short_help = true)]
    pub faults: Vec<Fault>,
}

/// `rehearse`
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kubectl overlay rehearse -- bash                 # a shell whose kubectl talks to it
  kubectl overlay rehearse --from manifests/ -- kubectl apply --server-side -f new.yaml
  kubectl overlay rehearse --from production@git:HEAD~1 -- kubectl overlay sync production --yes")]
pub struct Rehearse {
    /// The port to listen on; any free one without it
    #[arg(long, default_value = "0")]
    pub port: u16,
    /// The address to listen on; this machine alone without it
    #[arg(long, hide_short_help = true)]
    pub address: Option<std::net::IpAddr>,
    /// What is there from the beginning.
    #[command(flatten)]
    pub beginning: Beginning,
    /// Begin with a copy of what the cluster of the kubeconfig has; it is only read
    ///
    /// Objects keep their uids and the owners of their fields. Secrets come along with their values: they
    /// are kept in memory alone, and whoever has the printed kubeconfig can read them. Pods of the cluster
    /// stay as they are; new ones run on a node of the rehearsal.
    #[arg(long)]
    pub from_cluster: bool,
    /// Run until stopped; that is so without a command
    #[arg(long, conflicts_with = "command")]
    pub until_stopped: bool,
    /// A command to run with KUBECONFIG set, which ends it
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// `try`
#[derive(Clone, Debug, clap::Args)]
pub struct Try {
    /// Keep the files of the example in this directory
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// The format of events.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum EventFormat {
    /// One JSON document a line
    Json,
}

/// The format of a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum DataFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The format of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TableFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// A table with more columns
    Wide,
}

/// `status`
#[derive(Clone, Debug, clap::Args)]
pub struct Status {
    /// A directory, or the name of an overlay such as `production`
    ///
    /// A name is looked for in the working directory and, where nothing there has it, further up to the
    /// root of the repository: `production` is overlays/production, clusters/production,
    /// environments/production or envs/production, or one of these in a folder below.
    #[arg(default_value = ".")]
    pub overlay: String,
    /// The format
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<TableFormat>,
    /// The name of the inventory, instead of one derived from the overlay's place in its repository
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub inventory: Option<String>,
}

/// `delete`
#[derive(Clone, Debug, clap::Args)]
pub struct Delete {
    /// A directory, or the name of an overlay such as `production`
    ///
    /// A name is looked for in the working directory and, where nothing there has it, further up to the
    /// root of the repository: `production` is overlays/production, clusters/production,
    /// environments/production or envs/production, or one of these in a folder below.
    #[arg(default_value = ".")]
    pub overlay: String,
    /// Do not ask; needed where standard input is no terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would be deleted and stop
    #[arg(long, value_name = "HOW", default_value = "none", num_args = 0..=1,
          require_equals = true, default_missing_value = "server")]
    pub dry_run: DryRun,
    /// Wait until all objects are gone
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL")]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
    /// The name of the inventory, instead of one derived from the overlay's place in its repository
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub inventory: Option<String>,
    /// Print events as JSON, one a line, and a summary at the end
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<EventFormat>,
}

/// `flux`
#[derive(Clone, Debug, clap::Args)]
pub struct Flux {
    /// What to do.
    #[command(subcommand)]
    pub command: FluxCommand,
}

/// What to do of what the flux program does.
#[derive(Clone, Debug, Subcommand)]
pub enum FluxCommand {
    /// Print what the Kustomizations of a repository render to
    Build(FluxBuild),
    /// Show what changes: between two revisions, or in the cluster
    #[command(after_help = exit::FLUX_DIFF_HELP)]
    Diff(FluxDiff),
    /// Draw the Kustomizations of a repository, and name what is wrong between them
    Tree(FluxTree),
}

/// `flux tree`
#[derive(Clone, Debug, clap::Args)]
pub struct FluxTree {
    /// The directory or file of the repository in which to look for Kustomizations
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: PathBuf,
    /// List objects of Flux only
    #[arg(long)]
    pub compact: bool,
    /// Directories that stand in for sources, e.g. GitRepository/flux-system/app=./app; may be repeated
    #[arg(long = "local-source", value_name = "SOURCE=PATH", value_delimiter = ',', value_parser = local_source)]
    pub local_sources: Vec<(String, PathBuf)>,
    /// Fetch the sources that are declared and neither this repository nor given: Git and OCI repositories, buckets
    #[arg(long)]
    pub fetch_sources: bool,
    /// Take what Git has at a revision, by default HEAD, instead of the working tree
    #[arg(long, value_name = "REVISION", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD")]
    pub as_committed: Option<String>,
    /// Print data instead of a drawing
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<DataFormat>,
    /// How releases are rendered.
    #[command(flatten)]
    pub helm: WithHelm,
    /// Pull no charts and fetch no sources
    #[arg(long, help_heading = "HelmReleases", hide_short_help = true)]
    pub offline: bool,
}

/// How `HelmReleases` are rendered.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "HelmReleases")]
pub struct WithHelm {
    /// Render `HelmReleases` too, by the helm program
    ///
    /// Values are merged as Flux merges them, post-renderers run, and objects get the labels and the namespace
    /// of their release, as if it was installed. Charts come from the repository, from what --local-source
    /// names, or from where their source says. The objects of a release come after those of the Kustomization that
    /// it is of, under its own heading.
    #[arg(long)]
    pub with_helm: bool,
    /// By which program charts are rendered.
    #[command(flatten)]
    pub program: HelmProgram,
}

/// Which Kustomizations, and where they are looked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Chosen {
    /// Names of Kustomizations, as NAME or NAMESPACE/NAME, and a directory or file in which to look for them
    ///
    /// Without names all are meant. What begins with a dot or a slash is a path, and so is what exists and either
    /// contains a slash or is the name of no Kustomization; without a path the working directory counts.
    #[arg(value_name = "NAME|PATH")]
    pub kustomizations: Vec<String>,
    /// Take all Kustomizations, which is so without names
    #[arg(long)]
    pub all: bool,
    /// Directories that stand in for sources, e.g. GitRepository/flux-system/app=./app; may be repeated
    ///
    /// A source is this repository anyway where it is called flux-system, where it is declared with the URL of a
    /// remote of this checkout, or where a Kustomization is found in the directory that it renders.
    /// The archive of an artifact stands for one too, by its URL and digest: <https://host/app.tar.gz@sha256:...>
    #[arg(long = "local-source", value_name = "SOURCE=PATH", value_delimiter = ',', value_parser = local_source)]
    pub local_sources: Vec<(String, PathBuf)>,
    /// Fetch the sources that are declared and neither this repository nor given: Git and OCI repositories, buckets
    ///
    /// Secrets to sign in with are taken from the files, from --variables-from, or with --ask-cluster from the
    /// cluster; Git signs in as the git program does.
    #[arg(long)]
    pub fetch_sources: bool,
}

/// Where variables and keys come from.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Variables and keys")]
pub struct Inputs {
    /// Take `ConfigMaps` and Secrets that variables are in from the files of this directory first
    ///
    /// Then what the Kustomizations of the repository render counts, and what stands in its files.
    #[arg(long, value_name = "DIR")]
    pub variables_from: Option<PathBuf>,
    /// Ask the cluster for variables that are nowhere else, and for the keys that spec.decryption names
    #[arg(long)]
    pub ask_cluster: bool,
    /// Fail where a variable has neither a value nor a default, or its `ConfigMap` or Secret is not found,
    /// as the controller does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub strict_substitute: bool,
    /// A file with keys of age or an export of `GnuPG`, besides those of `SOPS_AGE_KEY` and `SOPS_AGE_KEY_FILE`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Take remote bases as they were fetched last, pull no charts and fetch no sources
    #[arg(long, hide_short_help = true)]
    pub offline: bool,
}

/// `flux build`
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  kubectl overlay flux build --all clusters/production
  kubectl overlay flux build apps --variables-from ci/variables -o json
  kubectl overlay flux build apps --decrypt --keys age.key
  kubectl overlay flux build apps --with-helm
  kubectl overlay flux build kustomization apps --path ./apps --kustomization-file apps.yaml --dry-run"
)]
pub struct FluxBuild {
    /// One of a directory, by the flags of the flux program.
    #[command(subcommand)]
    pub one: Option<FluxBuildOne>,
    /// Which ones.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Take what Git has at a revision, by default HEAD, instead of the working tree
    #[arg(long, value_name = "REVISION", num_args = 0..=1, require_equals = true, default_missing_value = "HEAD")]
    pub as_committed: Option<String>,
    /// Print encrypted values in plain, and those of variables from Secrets of the cluster
    ///
    /// Without it they are masked, and it is said whether they could be decrypted with the keys at hand.
    #[arg(long)]
    pub decrypt: bool,
    /// Print YAML documents, which is so without it, or JSON
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<DataFormat>,
    /// Where variables and keys come from.
    #[command(flatten)]
    pub inputs: Inputs,
    /// How releases are rendered: their objects come after those of their Kustomization.
    #[command(flatten)]
    pub helm: WithHelm,
}

/// What to build.
#[derive(Clone, Debug, Subcommand)]
pub enum FluxBuildOne {
    /// Print what a Kustomization would apply of a local directory
    #[command(visible_alias = "ks")]
    Kustomization(FluxBuildKustomization),
}

/// `flux build kustomization`, with the flags of `flux build kustomization`
#[derive(Clone, Debug, clap::Args)]
pub struct FluxBuildKustomization {
    /// What is built.
    #[command(flatten)]
    pub local: FluxLocal,
    /// Ask no cluster: variables from `ConfigMaps` and Secrets are left out
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub dry_run: bool,
}

/// What the flux program takes for one Kustomization of a local directory.
#[derive(Clone, Debug, clap::Args)]
pub struct FluxLocal {
    /// The name of the Kustomization
    pub name: String,
    /// The directory with the manifests
    #[arg(long, value_name = "PATH")]
    pub path: Option<PathBuf>,
    /// The file that the Kustomization is in, instead of the cluster
    #[arg(long, value_name = "FILE")]
    pub kustomization_file: Option<PathBuf>,
    /// Leave out files by patterns as in .gitignore; may be repeated
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    pub ignore_paths: Vec<String>,
    /// Fail where a variable has neither a value nor a default, as the controller does
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub strict_substitute: bool,
    /// Take the Kustomizations that come out of it, too
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub recursive: bool,
    /// Directories that stand in for sources, e.g. GitRepository/flux-system/app=./app; may be repeated
    #[arg(long, value_name = "SOURCE=PATH", value_delimiter = ',', value_parser = local_source)]
    pub local_sources: Vec<(String, PathBuf)>,
    /// Accepted for flux's sake: nothing is written to the directory in any case
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true, hide_short_help = true)]
    pub in_memory_build: bool,
}

/// `flux diff`
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct FluxDiff {
    /// One of a directory, by the flags of the flux program.
    #[command(subcommand)]
    pub one: Option<FluxDiffOne>,
    /// Which ones.
    #[command(flatten)]
    pub chosen: Chosen,
    /// Compare A with B, by default HEAD with the working tree; both are rendered, and no cluster is asked
    ///
    /// A..B compares two revisions of Git, A...B where B has left A with B. Without B it is the working tree that is compared,
    /// as for A alone.
    #[arg(long, value_name = "A..B")]
    pub revision: Option<String>,
    /// Ask the cluster what Flux would change, by dry runs; nothing is written
    ///
    /// Each Kustomization is asked about as its own service account, as Flux would.
    #[arg(long, conflicts_with_all = ["revision", "with_helm"])]
    pub live: bool,
    /// With --live, ask as the service accounts of the Kustomizations; not so with --as
    #[arg(long = "impersonate", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub as_service_account: bool,
    /// With --live, the service account of Kustomizations that name none, as for the controller
    #[arg(long, value_name = "NAME", requires = "live")]
    pub default_service_account: Option<String>,
    /// Print data
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<DataFormat>,
    /// Where variables and keys come from.
    #[command(flatten)]
    pub inputs: Inputs,
    /// How releases are rendered.
    #[command(flatten)]
    pub helm: WithHelm,
}

/// What to compare.
#[derive(Clone, Debug, Subcommand)]
pub enum FluxDiffOne {
    /// Show what a Kustomization would change in the cluster, built of a local directory
    #[command(visible_alias = "ks", after_help = exit::DIFF_HELP)]
    Kustomization(FluxDiffKustomization),
}

/// `flux diff kustomization`, with the flags of `flux diff kustomization`
#[derive(Clone, Debug, clap::Args)]
pub struct FluxDiffKustomization {
    /// What is built.
    #[command(flatten)]
    pub local: FluxLocal,
    /// Accepted for flux's sake
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "true", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true, hide_short_help = true)]
    pub progress_bar: bool,
    /// Go on where the Kustomization is not in the cluster, with the one of --kustomization-file
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value = "false", action = ArgAction::Set, value_name = "BOOL",
          hide_default_value = true, hide_possible_values = true)]
    pub ignore_not_found: bool,
}

/// A source with its directory.
fn local_source(text: &str) -> Result<(String, PathBuf), String> {
    let wrong = || format!("{text:?} names no source: write Kind/namespace/name=path");
    let (source, path) = text.split_once('=').ok_or_else(wrong)?;
    if source.split('/').count() != 3 || path.is_empty() {
        return Err(wrong());
    }
    Ok((source.to_owned(), path.into()))
}

/// `version`
#[derive(Clone, Debug, clap::Args)]
pub struct Version {
    /// The format
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<DataFormat>,
}

/// `completion`
#[derive(Clone, Debug, clap::Args)]
pub struct Completion {
    /// The shell
    pub shell: Shell,
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// `PowerShell`
    Powershell,
    /// kubectl; save it as `kubectl_complete-overlay` in a folder of PATH
    Kubectl,
}

/// A duration as Go writes it (`1h30m`, `90s`, `0.5s`), or a bare number of seconds.
///
/// Source: Go `time.ParseDuration`; kubectl takes the bare number for `--request-timeout`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it as in 30s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (amount, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let amount: f64 = amount.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(amount * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command(Program::Kubectl).debug_assert();
    }

    #[test]
    fn the_name_decides_who_is_called() {
        let of = |word: &str| Program::of(Some(&word.into()));
        assert_eq!(of("/usr/bin/kubectl-overlay"), Program::Kubectl);
        assert_eq!(of("flux-overlay.exe"), Program::Flux);
        assert_eq!(of("kubectl_complete-overlay"), Program::Completion);
    }

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        for wrong in ["5 m", "m", "-5m", "5w", "1e400s", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn switches_can_be_turned_off() {
        let parse = |words: &[&str]| parse(words).expect("valid").command;
        let Command::Sync(sync) = parse(&["x", "sync", "a", "--prune=false", "--wait=false"])
        else {
            panic!("another command");
        };
        assert!(!sync.prune && !sync.wait);
        let Command::Sync(sync) = parse(&["x", "sync", "--prune", "a"]) else {
            panic!("another command");
        };
        assert!(sync.prune && sync.overlay == "a");
    }
}
