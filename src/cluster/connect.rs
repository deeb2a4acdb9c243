//! Finds the server and the user, as kubectl does.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use serde_json::json;

use super::request::Server;
use crate::error::{Error, ErrorKind, Place, Result};

/// What the user says about the connection; the flags of kubectl.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The kubeconfig files, which are merged: the first that says something counts.
    pub files: Vec<PathBuf>,
    /// Whether the file was named on the command line, and so has to be there.
    pub is_named: bool,
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// `--as`
    pub impersonate: Option<String>,
    /// `--as-group`
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`
    pub impersonate_uid: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--token`
    pub token: Option<String>,
    /// `--certificate-authority`
    pub certificate_authority: Option<PathBuf>,
    /// `--client-certificate`
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`
    pub client_key: Option<PathBuf>,
    /// `--insecure-skip-tls-verify`
    pub insecure: Option<bool>,
    /// `--tls-server-name`
    pub tls_server_name: Option<String>,
    /// `--request-timeout`; `None` for no limit.
    pub timeout: Option<Duration>,
    /// `HTTPS_PROXY`, for clusters whose kubeconfig names no proxy.
    pub proxy: Option<String>,
    /// `NO_PROXY`: the hosts that are reached without it.
    pub no_proxy: String,
}

/// The longest time in which a connection has to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// The server that `connection` means; it is not asked anything yet.
///
/// # Errors
/// Where no kubeconfig is found, it lacks what is asked for, or credentials cannot be had.
pub async fn connect(connection: &Connection) -> Result<Server> {
    check_impersonation(connection)?;
    let merged = read(connection)?;
    let context = connection
        .context
        .clone()
        .or_else(|| merged.as_ref().and_then(|merged| merged.current_context.clone()));
    let own_proxy = merged.as_ref().and_then(|merged| proxy_of(merged, connection));
    let mut config = match merged {
        Some(merged) => configure(merged, connection).await?,
        None => without_files(connection)?,
    };
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    override_user(&mut config.auth_info, connection);
    config.proxy_url = proxy(own_proxy, &config.cluster_url, connection)?;
    if let Some(name) = &connection.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    let namespace = connection.namespace.clone().filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = kube::Client::try_from(config).map_err(|error| refused(&address, &error))?;
    let mut server = Server::new(client, address, namespace);
    server.context = context;
    server.timeout = connection.timeout;
    Ok(server)
}

/// An empty user would be nobody's impersonation: the request would go out as oneself.
fn check_impersonation(connection: &Connection) -> Result<()> {
    let flag = |name: &str, message: &str| {
        Err(Error::new(ErrorKind::Invalid, Place::file(name), message.to_owned()))
    };
    let (groups, uid) = (&connection.impersonate_groups, &connection.impersonate_uid);
    match &connection.impersonate {
        Some(user) if user.is_empty() => flag("--as", "the user to impersonate has no name"),
        None if !groups.is_empty() => flag("--as-group", "needs a user to impersonate, by --as"),
        None if uid.is_some() => flag("--as-uid", "needs a user to impersonate, by --as"),
        _ if groups.iter().any(String::is_empty) => {
            flag("--as-group", "the group to impersonate has no name")
        }
        _ => Ok(()),
    }
}

/// The kubeconfig files as one; `None` where there is none.
fn read(connection: &Connection) -> Result<Option<Kubeconfig>> {
    let mut merged: Option<Kubeconfig> = None;
    for file in &connection.files {
        let next = match Kubeconfig::read_from(file) {
            Ok(next) => next,
            // As for kubectl, a file of a list need not be there.
            Err(KubeconfigError::ReadConfig(error, _))
                if !connection.is_named && error.kind() == std::io::ErrorKind::NotFound =>
            {
                continue;
            }
            Err(error) => return Err(in_file(file, &error)),
        };
        merged = Some(match merged {
            None => next,
            Some(merged) => merged.merge(next).map_err(|error| in_file(file, &error))?,
        });
    }
    Ok(merged)
}

fn in_file(file: &std::path::Path, error: &KubeconfigError) -> Error {
    let mut place = Place::file(file.to_string_lossy());
    let message = match error {
        KubeconfigError::ReadConfig(error, _) => super::request::plain(&error.to_string()),
        // Its text repeats lines of the file, and with them credentials.
        KubeconfigError::Parse(error) => {
            place.at = position(&error.to_string());
            "is no kubeconfig: it cannot be read as one".to_owned()
        }
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Invalid, place, message)
}

/// The line and column that a message names.
fn position(message: &str) -> Option<(u32, u32)> {
    let mut words = message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.find(|word| *word == "line")?;
    let line = words.next()?.parse().ok()?;
    let column = words.next().filter(|word| *word == "column").and_then(|_| words.next());
    Some((line, column?.parse().ok()?))
}

async fn configure(mut merged: Kubeconfig, connection: &Connection) -> Result<kube::Config> {
    let wrong = |error: &KubeconfigError| {
        let known: Vec<_> = connection.files.iter().map(|file| file.to_string_lossy()).collect();
        Error::new(ErrorKind::Invalid, Place::file(known.join(":")), error.to_string())
    };
    override_cluster(&mut merged, connection);
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    match kube::Config::from_custom_kubeconfig(merged, &options).await {
        Ok(config) => Ok(config),
        // `--server` alone is enough, as for kubectl.
        Err(KubeconfigError::CurrentContextNotSet) => without_files(connection),
        Err(error) => Err(wrong(&error)),
    }
}

/// Puts the flags about the server into every cluster: which one is chosen is decided later.
fn override_cluster(merged: &mut Kubeconfig, connection: &Connection) {
    for cluster in merged.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        if let Some(server) = &connection.server {
            cluster.server = Some(server.clone());
        }
        if let Some(file) = &connection.certificate_authority {
            cluster.certificate_authority = Some(file.to_string_lossy().into_owned());
            cluster.certificate_authority_data = None;
        }
        if let Some(insecure) = connection.insecure {
            cluster.insecure_skip_tls_verify = Some(insecure);
            if insecure {
                cluster.certificate_authority = None;
                cluster.certificate_authority_data = None;
            }
        }
    }
}

/// The server of `--server`, or the one whose pod this is.
fn without_files(connection: &Connection) -> Result<kube::Config> {
    let nowhere = |message: &str| {
        Error::new(ErrorKind::Unreachable, Place::file("kubeconfig"), message.to_owned())
            .hint("name a file with --kubeconfig or KUBECONFIG, or a server with --server")
    };
    let Some(server) = &connection.server else {
        return kube::Config::incluster()
            .map_err(|_| nowhere("there is none, so no cluster is known"));
    };
    let url = server.parse().map_err(|_| {
        Error::new(ErrorKind::Invalid, Place::file("--server"), format!("\"{server}\" is no URL"))
    })?;
    let mut config = kube::Config::new(url);
    config.accept_invalid_certs = connection.insecure.unwrap_or(false);
    config.root_cert_file.clone_from(&connection.certificate_authority);
    Ok(config)
}

/// The proxy that the kubeconfig names for the chosen cluster.
fn proxy_of(merged: &Kubeconfig, connection: &Connection) -> Option<String> {
    let chosen = connection.context.as_ref().or(merged.current_context.as_ref())?;
    let context = merged.contexts.iter().find(|named| named.name == *chosen);
    let of_context = context.and_then(|named| Some(&named.context.as_ref()?.cluster));
    let cluster = connection.cluster.as_ref().or(of_context)?;
    let cluster = merged.clusters.iter().find(|named| named.name == *cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// The proxy to `server`: the kubeconfig's own, or the environment's.
///
/// kube reads the environment itself, but compares `NO_PROXY` with the proxy and not with the server.
fn proxy(
    own: Option<String>,
    server: &http::Uri,
    connection: &Connection,
) -> Result<Option<http::Uri>> {
    let host = server.host().unwrap_or_default();
    let of_environment = || {
        let is_direct =
            server.scheme_str() != Some("https") || is_direct(host, &connection.no_proxy);
        connection.proxy.clone().filter(|_| !is_direct)
    };
    let Some(url) = own.or_else(of_environment) else {
        return Ok(None);
    };
    let parsed = url.parse().map(Some);
    parsed.map_err(|_| {
        // It may hold a password.
        Error::new(ErrorKind::Invalid, Place::file("proxy"), "the address of the proxy is no URL")
    })
}

/// Whether `host` is reached without the proxy of the environment: it is this machine, or `list` has
/// it, a domain above it, or a network that it is in.
///
/// Source: Go `golang.org/x/net/http/httpproxy`, which kubectl goes by.
fn is_direct(host: &str, list: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    list.split(',').map(str::trim).filter(|one| !one.is_empty()).any(|one| {
        let domain = one.trim_start_matches('*').trim_start_matches('.');
        let is_within = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        one == "*"
            || one == host
            || address.is_none() && (domain == host || is_within())
            || address.is_some_and(|address| is_in_network(address, one))
    })
}

/// Whether `address` is in `network`, written `10.0.0.0/8`.
fn is_in_network(address: IpAddr, network: &str) -> bool {
    let Some((base, length)) = network.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            length <= 32 && (u64::from(a.to_bits() ^ b.to_bits()) >> (32 - length)) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differing = a.to_bits() ^ b.to_bits();
            length <= 128 && differing.checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn override_user(user: &mut AuthInfo, connection: &Connection) {
    let path = |file: &PathBuf| file.to_string_lossy().into_owned();
    if let Some(token) = &connection.token {
        // kube's type for secrets can only be had by reading one.
        let only: Option<AuthInfo> = serde_json::from_value(json!({ "token": token })).ok();
        user.token = only.and_then(|only| only.token);
        user.token_file = None;
        user.exec = None;
        user.auth_provider = None;
    }
    if let Some(file) = &connection.client_certificate {
        user.client_certificate = Some(path(file));
        user.client_certificate_data = None;
    }
    if let Some(file) = &connection.client_key {
        user.client_key = Some(path(file));
        user.client_key_data = None;
    }
    if connection.impersonate.is_some() {
        user.impersonate.clone_from(&connection.impersonate);
        user.impersonate_groups = Some(connection.impersonate_groups.clone());
        user.impersonate_uid.clone_from(&connection.impersonate_uid);
        user.impersonate_user_extra = None;
    }
}

fn refused(address: &str, error: &kube::Error) -> Error {
    let failure = super::request::Failure::of(error);
    super::explain::connection(&failure, address, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters:\n- {{name: c, cluster: {{server: '{server}'}}}}\n\
             users:\n- {{name: u, user: {{token: t}}}}\n\
             contexts:\n- {{name: a, context: {{cluster: c, user: u, namespace: shop}}}}\n"
        )
    }

    fn connection(files: &[(&tempfile::TempDir, &str)]) -> Connection {
        let files = files.iter().map(|(dir, text)| {
            let file = dir.path().join("config");
            std::fs::write(&file, text).expect("a new file");
            file
        });
        Connection { files: files.collect(), ..Connection::default() }
    }

    #[tokio::test]
    async fn the_first_file_that_says_something_counts() {
        let (one, two) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
        let (first, second) = (kubeconfig("http://one:1"), kubeconfig("http://two:2"));
        let connection = connection(&[(&one, &first), (&two, &second)]);
        let server = connect(&connection).await.expect("a server");
        assert_eq!((server.address.as_str(), server.namespace.as_str()), ("http://one:1", "shop"));
        assert_eq!(server.context.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn a_broken_file_is_named_without_its_credentials() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in [
            "users: [{name: u, user: {token: hunter2\n- : }\n",
            "users: [{name: u, user: hunter2}]\n",
        ] {
            let Err(error) = connect(&connection(&[(&dir, text)])).await else { panic!("{text}") };
            assert!(error.message().starts_with("is no kubeconfig"), "{error}");
            assert!(
                !error.to_string().contains("hunter2") && error.to_string().contains("config:1:"),
                "{error}"
            );
        }
        assert_eq!(position("it fails at line 12, column 3."), Some((12, 3)));
        assert_eq!(position("line up"), None);
    }

    #[tokio::test]
    async fn flags_count_more_than_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let connection = Connection {
            server: Some("http://three:3".into()),
            namespace: Some("other".into()),
            ..connection(&[(&dir, &kubeconfig("http://one:1"))])
        };
        let server = connect(&connection).await.expect("a server");
        assert_eq!(
            (server.address.as_str(), server.namespace.as_str()),
            ("http://three:3", "other")
        );
    }

    #[tokio::test]
    async fn a_server_is_enough() {
        let connection =
            Connection { server: Some("http://three:3".into()), ..Connection::default() };
        assert_eq!(connect(&connection).await.expect("a server").address, "http://three:3");
    }

    #[tokio::test]
    async fn an_unknown_context_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let connection = Connection {
            context: Some("nowhere".into()),
            ..connection(&[(&dir, &kubeconfig("http://one:1"))])
        };
        let error = connect(&connection).await.err().expect("no such context");
        assert!(error.to_string().contains("nowhere"), "{error}");
    }

    #[tokio::test]
    async fn empty_impersonation_is_refused() {
        let server = Some("http://one:1".to_owned());
        for connection in [
            Connection { impersonate: Some(String::new()), ..Connection::default() },
            Connection { impersonate_groups: vec!["g".into()], ..Connection::default() },
            Connection { impersonate_uid: Some("1".into()), ..Connection::default() },
            Connection {
                impersonate: Some("u".into()),
                impersonate_groups: vec![String::new()],
                ..Connection::default()
            },
        ] {
            let connection = Connection { server: server.clone(), ..connection };
            assert!(connect(&connection).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_named_file_has_to_be_there() {
        let missing = Connection { files: vec!["/nowhere/config".into()], ..Connection::default() };
        let named = Connection { is_named: true, ..missing };
        let error = connect(&named).await.err().expect("missing");
        assert!(error.to_string().starts_with("/nowhere/config: "), "{error}");
    }

    #[test]
    fn this_machine_and_listed_hosts_need_no_proxy() {
        for (host, list) in [
            ("localhost", ""),
            ("127.0.0.1", ""),
            ("[::1]", ""),
            ("api.example.org", "x, example.org"),
            ("api.example.org", ".example.org"),
            ("api.example.org", "*"),
            ("10.1.2.3", "10.0.0.0/8"),
            ("fd00::1", "fd00::/8"),
            ("10.1.2.3", "10.1.2.3"),
        ] {
            assert!(is_direct(host, list), "{host} {list}");
        }
        for (host, list) in [
            ("api.example.org", ""),
            ("badexample.org", "example.org"),
            ("11.1.2.3", "10.0.0.0/8,11.0.0.0/99"),
            ("10.1.2.3", "fd00::/8"),
        ] {
            assert!(!is_direct(host, list), "{host} {list}");
        }
    }

    #[test]
    fn the_proxy_of_the_kubeconfig_counts_more() {
        let connection =
            Connection { proxy: Some("http://environment:1".into()), ..Connection::default() };
        let of = |own: Option<&str>, server: &str| {
            let server = server.parse().expect("a URL");
            let proxy = proxy(own.map(str::to_owned), &server, &connection).expect("a proxy");
            proxy.map(|url| url.host().unwrap_or_default().to_owned())
        };
        assert_eq!(of(None, "https://api.example.org").as_deref(), Some("environment"));
        assert_eq!(of(Some("http://own:1"), "https://127.0.0.1").as_deref(), Some("own"));
        assert_eq!(of(None, "https://127.0.0.1:6443"), None);
        assert_eq!(of(None, "http://api.example.org"), None);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_credential_program_that_fails_is_quoted_but_not_its_output() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("login");
        std::fs::write(&program, "#!/bin/sh\necho s3cret; echo 'session is over' >&2; exit 3\n")
            .expect("a program");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a program");
        let exec = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{}', interactiveMode: Never}}",
            program.display()
        );
        let text = kubeconfig("http://one:1").replace("token: t", &exec);
        let error =
            connect(&connection(&[(&dir, &text)])).await.err().expect("it fails").to_string();
        assert!(error.contains("failed: session is over"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
