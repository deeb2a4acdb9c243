//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::source::Host;

const ABOUT: &str = "Admits Flux Kustomizations that build, and says why where one does not";

const DETAILS: &str = "\
Serves POST /validate for ValidatingWebhookConfigurations (AdmissionReview v1). For a Kustomization that is \
created or whose spec changes, it fetches the artifact of the source that spec.sourceRef names, renders \
spec.path as kustomize-controller would, and denies what does not build, with file, line and column. Deletion, \
status, metadata, unchanged specs and suspended objects are always admitted.";

const AFTER: &str = "\
Endpoints:
  /validate          reviews, on the TLS port
  /healthz, /readyz  probes, on both ports
  /metrics           OpenMetrics, on both ports

Exit codes:
  0  stopped by SIGTERM or SIGINT, everything in flight answered
  1  failed: no certificate, port taken, API server not to be had
  2  wrong usage
  3  stopped, but reviews in flight were cut off at --drain-timeout";

/// The command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "overlay-webhook", version, args_override_self = true, about = ABOUT, long_about = format!("{ABOUT}\n\n{DETAILS}"), after_help = AFTER)]
pub struct Config {
    /// Where reviews are served, with TLS
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443", env = "OVERLAY_LISTEN")]
    pub listen: SocketAddr,

    /// Where probes and metrics are served without TLS; "off" for nowhere
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", value_parser = address_or_off, env = "OVERLAY_LISTEN_PLAIN")]
    pub listen_plain: Plain,

    /// Serve HTTP/1.1 only
    #[arg(long)]
    pub no_http2: bool,

    /// Where the server's certificate comes from
    #[arg(long, value_enum, default_value_t = TlsMode::SelfMade, env = "OVERLAY_TLS_MODE", help_heading = "Certificates")]
    pub tls_mode: TlsMode,

    /// Directory with tls.crt and tls.key, for --tls-mode=files; read again when it changes
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/tls",
        env = "OVERLAY_TLS_DIR",
        help_heading = "Certificates"
    )]
    pub tls_dir: PathBuf,

    /// Certificates of the authority that clients have to be signed by; without, any client may ask
    #[arg(long, value_name = "FILE", env = "OVERLAY_CLIENT_CA", help_heading = "Certificates")]
    pub client_ca: Option<PathBuf>,

    /// The webhook's own namespace, where --tls-mode=self keeps its authority
    #[arg(
        long,
        value_name = "NAME",
        default_value = "overlay-system",
        env = "POD_NAMESPACE",
        help_heading = "Certificates"
    )]
    pub namespace: String,

    /// The Service that the certificate is made for, with --tls-mode=self
    #[arg(
        long,
        value_name = "NAME",
        default_value = "overlay-webhook",
        env = "OVERLAY_SERVICE",
        help_heading = "Certificates"
    )]
    pub service: String,

    /// More names or addresses that the certificate is made for, with --tls-mode=self
    #[arg(long = "dns-name", value_name = "NAME", help_heading = "Certificates")]
    pub dns_names: Vec<String>,

    /// The Secret that the replicas share their authority in, with --tls-mode=self
    #[arg(
        long,
        value_name = "NAME",
        default_value = "overlay-webhook-ca",
        env = "OVERLAY_CA_SECRET",
        help_heading = "Certificates"
    )]
    pub ca_secret: String,

    /// The ValidatingWebhookConfiguration that gets the authority's certificate, with --tls-mode=self
    #[arg(
        long,
        value_name = "NAME",
        default_value = "overlay-webhook",
        env = "OVERLAY_WEBHOOK_CONFIGURATION",
        help_heading = "Certificates"
    )]
    pub webhook_configuration: String,

    /// Hosts that artifacts may be fetched from, with a port where it is not 80
    #[arg(long = "artifact-host", value_name = "HOST[:PORT]", value_delimiter = ',', env = "OVERLAY_ARTIFACT_HOSTS",
          default_values = ["source-controller.flux-system.svc.cluster.local", "source-controller.flux-system.svc", "source-controller.flux-system"],
          help_heading = "Sources")]
    pub artifact_hosts: Vec<Host>,

    /// Refuse sources of other namespaces, as kustomize-controller does with the same flag
    #[arg(long, env = "OVERLAY_NO_CROSS_NAMESPACE_REFS", help_heading = "Sources")]
    pub no_cross_namespace_refs: bool,

    /// What becomes of a review whose build cannot be judged: source not readable, artifact not to be had or
    /// too large, out of time
    #[arg(long, value_enum, default_value_t = Unknown::Warn, env = "OVERLAY_UNKNOWN", help_heading = "Sources")]
    pub unknown: Unknown,

    /// Longest time for a review, in seconds; less where the API server waits less
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Limits")]
    pub timeout: Duration,

    /// Longest time for fetching an artifact, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "Limits")]
    pub fetch_timeout: Duration,

    /// How many artifacts are fetched or built at a time; 0 for one per processor
    #[arg(long, value_name = "COUNT", default_value_t = 0, help_heading = "Limits")]
    pub renders: usize,

    /// Bytes that a build may allocate; each has a process of its own
    #[arg(long, value_name = "BYTES", default_value_t = 448 << 20, help_heading = "Limits")]
    pub render_memory: u64,

    /// Open TLS connections; beyond, the one that is idle longest is closed
    #[arg(long, value_name = "COUNT", default_value_t = 512, help_heading = "Limits")]
    pub connections: usize,

    /// Bytes of a compressed artifact
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20, help_heading = "Limits")]
    pub artifact_bytes: usize,

    /// Bytes that an artifact may unpack to
    #[arg(long, value_name = "BYTES", default_value_t = 100 << 20, help_heading = "Limits")]
    pub unpacked_bytes: u64,

    /// Bytes of artifacts that are kept for the next review
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, help_heading = "Limits")]
    pub cache_bytes: usize,

    /// How long new connections are still taken after SIGTERM, in seconds: until everybody knows
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds, help_heading = "Limits")]
    pub drain_delay: Duration,

    /// How long reviews in flight are waited for after that, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds, help_heading = "Limits")]
    pub drain_timeout: Duration,
}

/// Where the server's certificate comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum TlsMode {
    /// The webhook makes its own: an authority that all replicas share, and a leaf for each
    #[value(name = "self")]
    SelfMade,
    /// Somebody else puts them into --tls-dir
    Files,
}

/// What becomes of a review that cannot be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Unknown {
    /// Admitted with a warning
    Warn,
    /// Denied
    Deny,
}

/// An address, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plain(pub Option<SocketAddr>);

fn address_or_off(text: &str) -> Result<Plain, String> {
    if text == "off" {
        return Ok(Plain(None));
    }
    text.parse()
        .map(|address| Plain(Some(address)))
        .map_err(|_| "expected ADDRESS:PORT or off".to_owned())
}

/// Seconds, a whole or decimal number, with or without an `s`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds: f64 = number.parse().map_err(|_| "expected seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| *duration <= Duration::from_secs(3600))
        .ok_or_else(|| "expected 0 to 3600 seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn help_tells_the_exit_codes() {
        let help = Config::command().render_long_help().to_string();
        assert!(help.contains("Exit codes:"), "{help}");
    }

    #[test]
    fn hosts_have_ports() {
        let config = Config::try_parse_from(["x", "--artifact-host", "a.b.:81,c"]).unwrap();
        assert_eq!(config.artifact_hosts, ["a.b:81".parse().unwrap(), "c:80".parse().unwrap()]);
        assert!(Config::try_parse_from(["x", "--artifact-host", "a@b"]).is_err());
    }

    #[test]
    fn the_plain_port_can_be_switched_off() {
        let config = Config::try_parse_from(["x", "--listen-plain", "off"]).unwrap();
        assert_eq!(config.listen_plain, Plain(None));
    }

    #[test]
    fn refuses_times_that_are_none() {
        for text in ["-1", "NaN", "1e9", "x", ""] {
            assert!(Config::try_parse_from(["x", "--timeout", text]).is_err(), "{text}");
        }
    }
}
