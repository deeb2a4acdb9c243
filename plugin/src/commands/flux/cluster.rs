//! A cluster that is asked in the midst of a render.

use std::sync::Arc;

use overlay::cluster::{self, Server};
use overlay::error::{Result, Warning};
use overlay::flux::api::Kustomization;
use overlay::flux::substitute::{Found, Kind};
use tokio::runtime::Handle;

use crate::args::Connection;
use crate::commands::session;
use crate::output::Console;
use crate::output::progress::Progress;
use crate::settings::Settings;

/// The server, and what waits for its answers.
pub struct Cluster {
    /// The server.
    pub server: Server,
    /// Where it is said what is being done.
    pub progress: Arc<Progress>,
    handle: Handle,
}

/// Whether there has to be a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// None is asked.
    None,
    /// It is asked where it can be.
    Useful,
    /// Nothing works without.
    Required,
}

impl Cluster {
    /// The Kustomization of that name; `None` where there is none.
    ///
    /// # Errors
    /// Where the server cannot be asked, or its answer cannot be read.
    pub fn kustomization(&self, namespace: &str, name: &str) -> Result<Option<Kustomization>> {
        self.wait(cluster::flux::kustomization(&self.server, namespace, name))
    }

    /// The data of a ConfigMap or Secret; `None` where there is none.
    ///
    /// # Errors
    /// Where the server cannot be asked, or the user may not read it.
    pub fn variables(&self, kind: Kind, namespace: &str, name: &str) -> Result<Option<Found>> {
        self.wait(cluster::flux::variables(&self.server, kind, namespace, name))
    }

    /// What a request comes to.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }
}

/// Connects, and lets `work` ask the cluster from a thread that may wait; where it need not be asked, also without one.
///
/// # Errors
/// As `work`, and where there is no cluster though one is required.
pub fn with<T>(
    need: Need,
    connection: &Connection,
    settings: &Settings,
    console: &Console,
    work: impl FnOnce(Option<&Cluster>) -> Result<T>,
) -> Result<T> {
    if need == Need::None {
        return work(None);
    }
    let (can_redraw, verbosity) = (settings.can_redraw, connection.verbosity);
    let progress = Arc::new(Progress::new(console, false, can_redraw, verbosity));
    let outcome = session::run(async {
        let cluster = match session::connect(connection, settings, &progress).await {
            Ok(server) => {
                let progress = Arc::clone(&progress);
                Some(Cluster { server, progress, handle: Handle::current() })
            }
            Err(error) if need == Need::Required => return Err(error),
            Err(error) => {
                let place = error.places()[0].clone();
                let message = format!("no cluster is asked: {}", error.message());
                console.warn(&Warning { place, message });
                None
            }
        };
        tokio::task::block_in_place(|| work(cluster.as_ref()))
    });
    progress.end();
    outcome
}
