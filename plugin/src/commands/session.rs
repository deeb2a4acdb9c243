//! What all commands that talk to a cluster begin with, and how they end.

use std::sync::Arc;

use overlay::cluster::{self, Connection, Event, Server};
use overlay::error::{Error, ErrorKind, Place, Result};
use overlay::files::{Disk, Files};
use overlay::resource::Origin;
use overlay::yaml::{self, Step};

use crate::args;
use crate::output::progress::Progress;
use crate::settings::Settings;

/// How large a file may be that is read again to find a line in it.
const SOURCE_BYTES: usize = 16 << 20;

/// Runs `work` until it is done, or the user interrupts.
///
/// # Errors
/// As `work`, and where it is interrupted.
pub fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| {
        Error::new(ErrorKind::Io, Place::file("this machine"), error.to_string())
    })?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            // What knows how to end is asked first.
            biased;
            outcome = work => outcome,
            () = interrupted() => Err(Error::new(
                ErrorKind::Cancelled,
                Place::file("interrupted"),
                "stopped before it was done",
            )
            .hint("run it again; it goes on where it stopped")),
        }
    });
    // A reading of standard input or a name look-up cannot be stopped, and nobody waits for it.
    runtime.shutdown_background();
    outcome
}

/// Waits for Ctrl-C, or for being told to end.
pub(super) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                _ = terminate.recv() => return,
            }
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The server that the flags mean; `progress` hears of requests and warnings.
///
/// # Errors
/// As [`cluster::connect`].
pub async fn connect(
    flags: &args::Connection,
    settings: &Settings,
    progress: &Arc<Progress>,
) -> Result<Server> {
    let mut server = server(flags, settings).await?;
    listen(&mut server, progress);
    Ok(server)
}

/// The server that the flags mean, and nobody hears of its requests.
///
/// # Errors
/// As [`cluster::connect`].
pub async fn server(flags: &args::Connection, settings: &Settings) -> Result<Server> {
    cluster::connect(&connection(flags, settings)).await
}

/// Lets `progress` hear of what a server is asked and says.
pub fn listen(server: &mut Server, progress: &Arc<Progress>) {
    let hearing = Arc::clone(progress);
    server.listen(Arc::new(move |event: Event| hearing.hear(&event)));
}

fn connection(flags: &args::Connection, settings: &Settings) -> Connection {
    let flags = flags.clone();
    let file = |path: std::path::PathBuf| settings.directory.join(path);
    Connection {
        files: settings.kubeconfig_files(flags.kubeconfig.as_deref()),
        is_named: flags.kubeconfig.is_some(),
        context: flags.context,
        cluster: flags.cluster,
        user: flags.user,
        namespace: flags.namespace,
        impersonate: flags.impersonate,
        impersonate_groups: flags.impersonate_groups,
        impersonate_uid: flags.impersonate_uid,
        server: flags.server,
        token: flags.token,
        certificate_authority: flags.certificate_authority.map(file),
        client_certificate: flags.client_certificate.map(file),
        client_key: flags.client_key.map(file),
        insecure: flags.insecure_skip_tls_verify,
        tls_server_name: flags.tls_server_name,
        timeout: Some(flags.request_timeout).filter(|timeout| !timeout.is_zero()),
        proxy: settings.proxy.clone(),
        no_proxy: settings.no_proxy.clone(),
    }
}

/// The line and column of `path` in the document that an object comes from, as far as it is there.
#[must_use]
pub fn locate(files: &Disk, settings: &Settings, origin: &Origin, path: &[Step<'_>]) -> Place {
    let whole = Place::file(origin.file.clone());
    let Ok(text) = files.read(&settings.directory.join(&*origin.file), SOURCE_BYTES) else {
        return whole;
    };
    match yaml::locate(&text, origin.document, path) {
        Some((line, column)) => Place::new(origin.file.clone(), line, column),
        None => whole,
    }
}

/// `default at https://… (context "kind")`, for the line above a plan.
#[must_use]
pub fn shown(server: &Server) -> String {
    let context = server.context.as_ref();
    let context = context.map_or_else(String::new, |name| format!(" (context \"{name}\")"));
    format!("namespace {} at {}{context}", server.namespace, server.address)
}
