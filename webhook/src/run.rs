//! The life of the webhook: from the command line to the last answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::certs::{self, CertError, Current, Owner, SharedAuthority};
use crate::config::{Config, TlsMode};
use crate::log;
use crate::metrics::Metrics;
use crate::render::{Parts, Renderer};
use crate::routes::{Phase, Routes};
use crate::server::Server;
use crate::source::Fetcher;

/// Why the webhook could not start.
#[derive(Debug)]
pub struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<CertError> for Failure {
    fn from(error: CertError) -> Self {
        Self(error.to_string())
    }
}

/// How the webhook ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Everything in flight was answered.
    Drained,
    /// Something in flight was cut off.
    CutOff,
}

/// A webhook that listens.
pub struct Webhook {
    server: Arc<Server>,
    phase: watch::Sender<Phase>,
    tls: (TcpListener, TlsAcceptor),
    plain: Option<TcpListener>,
    drain: (Duration, Duration),
}

/// A client of the API server that does not try again by itself: within a review there is no time for that.
///
/// # Errors
/// Where there is neither a kubeconfig nor a service account.
pub async fn client() -> Result<kube::Client, Failure> {
    let mut config = kube::Config::infer()
        .await
        .map_err(|error| Failure(format!("no way to an API server: {error}")))?;
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(3));
    kube::Client::try_from(config)
        .map_err(|error| Failure(format!("no way to an API server: {error}")))
}

impl Webhook {
    /// Gets a certificate and both ports; `program` is this one, for its [`workers`](crate::worker).
    ///
    /// # Errors
    /// Where one of them cannot be had.
    pub async fn start(
        config: &Config,
        client: kube::Client,
        program: PathBuf,
    ) -> Result<Self, Failure> {
        let metrics = Arc::new(Metrics::new());
        let current = Arc::new(Current::default());
        certify(config, &client, &current, &metrics).await?;
        let tls = certs::server_config(current, config.client_ca.as_deref(), !config.no_http2)?;
        let listener = bind(config.listen).await?;
        let plain = match config.listen_plain.0 {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let (phase, phases) = watch::channel(Phase::Starting);
        let renderer = renderer(config, client, program, metrics.clone());
        let routes = Routes {
            renderer,
            metrics,
            phase: phases,
            timeout: config.timeout,
            no_cross_namespace_refs: config.no_cross_namespace_refs,
            unknown: config.unknown,
        };
        Ok(Self {
            server: Server::new(routes, config.connections),
            phase,
            tls: (listener, TlsAcceptor::from(Arc::new(tls))),
            plain,
            drain: (config.drain_delay, config.drain_timeout),
        })
    }

    /// Where it listens: with TLS, and without.
    #[must_use]
    pub fn addresses(&self) -> (Option<std::net::SocketAddr>, Option<std::net::SocketAddr>) {
        let plain = self.plain.as_ref().and_then(|plain| plain.local_addr().ok());
        (self.tls.0.local_addr().ok(), plain)
    }

    /// Serves until `stop`, then drains: readiness goes first, new connections next, the last answers at the end.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> End {
        let Self { server, phase, tls: (listener, acceptor), plain, drain: (delay, timeout) } =
            self;
        let tls = tokio::spawn(server.clone().listen(listener, Some(acceptor)));
        // The plain port stays to the end: probes go on asking.
        let plain = plain.map(|plain| tokio::spawn(server.clone().listen(plain, None)));
        phase.send_replace(Phase::Serving);
        log::info("serving", &[]);
        stop.await;
        phase.send_replace(Phase::Draining);
        log::info("stopping: not ready any more", &[("connections", server.reviews().into())]);
        tokio::time::sleep(delay).await;
        tls.abort();
        phase.send_replace(Phase::Stopping);
        let end = drained(&server, timeout).await;
        if let Some(plain) = plain {
            plain.abort();
        }
        log::info("stopped", &[("cut_off", server.reviews().into())]);
        end
    }
}

async fn drained(server: &Server, timeout: Duration) -> End {
    let gone = async {
        while server.reviews() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(timeout, gone).await {
        Ok(()) => End::Drained,
        Err(_) => End::CutOff,
    }
}

async fn bind(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure(format!("cannot listen on {address}: {error}")))
}

fn renderer(
    config: &Config,
    client: kube::Client,
    program: PathBuf,
    metrics: Arc<Metrics>,
) -> Renderer {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let fetcher = Fetcher {
        hosts: config.artifact_hosts.clone(),
        limit_bytes: config.artifact_bytes,
        timeout: config.fetch_timeout,
    };
    Renderer::new(Parts {
        program,
        client,
        fetcher,
        unpacked_bytes: config.unpacked_bytes,
        memory_bytes: config.render_memory,
        permits: if config.renders == 0 { processors } else { config.renders },
        cache_bytes: config.cache_bytes,
        metrics,
    })
}

/// Gets the first certificate and sees to it that there is always one.
async fn certify(
    config: &Config,
    client: &kube::Client,
    current: &Arc<Current>,
    metrics: &Arc<Metrics>,
) -> Result<(), Failure> {
    match config.tls_mode {
        TlsMode::Files => {
            current.set(certs::load(&config.tls_dir)?);
            let dir = config.tls_dir.clone();
            tokio::spawn(certs::watch_files(dir, current.clone(), metrics.clone(), certs::POLL));
        }
        TlsMode::SelfMade => {
            let authority = SharedAuthority::new(client.clone(), owner(config));
            let issued = authority.issue(SystemTime::now()).await?;
            metrics.certificate_expiry.set(issued.expires as f64);
            current.set(issued.key);
            let last = (issued.expires, issued.authority);
            tokio::spawn(certs::keep_issued(authority, current.clone(), metrics.clone(), last));
        }
    }
    Ok(())
}

fn owner(config: &Config) -> Owner {
    let Config { namespace, service, .. } = config;
    let mut names = vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
    ];
    names.extend(config.dns_names.iter().cloned());
    Owner {
        namespace: namespace.clone(),
        secret: config.ca_secret.clone(),
        configuration: config.webhook_configuration.clone(),
        names,
    }
}
