//! etcd and kube-apiserver, the servers that everything else talks to.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::{Doing, Error, Result};
use crate::group::Group;
use crate::identity::{ADMIN, GUEST, Identity, User};
use crate::programs::{self, Programs};
use crate::request::{Requests, wait};
use crate::{flux, kubeconfig, nodes};

/// Longest wait for a server to become ready; it takes 2 to 5 seconds on an idle machine.
pub(crate) const READY: Duration = Duration::from_secs(120);

/// Longest wait of [`ControlPlane::wait_for`], for something that takes seconds on an idle machine.
pub const LONGEST: Duration = Duration::from_secs(180);

/// How often a start is tried again because somebody took the port between its choice and its use.
const ATTEMPTS: usize = 3;

/// A running Kubernetes API server with its database; dropping it ends everything and removes its files.
pub struct ControlPlane {
    pub(crate) group: Group,
    pub(crate) programs: Programs,
    pub(crate) identity: Identity,
    pub(crate) requests: Requests,
    ports: Ports,
    server_url: String,
    kubeconfig: PathBuf,
    guest_kubeconfig: PathBuf,
    /// What was started besides, so that asking twice starts it once.
    started: Mutex<Vec<&'static str>>,
    namespaces: AtomicU32,
    files: AtomicU32,
}

/// Where the servers listen.
struct Ports {
    client: u16,
    peer: u16,
    secure: u16,
}

/// The control plane of this test binary, started by the first test that asks.
///
/// Where the programs cannot be had, says so on standard error and returns nothing, so that a test can be left out.
///
/// # Panics
/// Where the programs are there but do not start, and with `CI=true` also where they are not there.
pub fn shared() -> Option<&'static ControlPlane> {
    static SHARED: OnceLock<Result<Option<ControlPlane>>> = OnceLock::new();
    let start = || {
        Programs::for_a_test(programs::SERVER)?
            .map(|programs| ControlPlane::start_with(&programs))
            .transpose()
    };
    SHARED.get_or_init(start).as_ref().unwrap_or_else(|error| panic!("{error}")).as_ref()
}

impl ControlPlane {
    /// Builds the programs if need be, and starts a control plane.
    ///
    /// # Errors
    /// Where the programs cannot be built, or a server ends or does not become ready.
    pub fn start() -> Result<Self> {
        Self::start_with(&Programs::build(programs::SERVER)?)
    }

    /// Starts a control plane from programs that are there.
    ///
    /// # Errors
    /// Where a server ends or does not become ready.
    pub fn start_with(programs: &Programs) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::try_start(programs) {
                Err(error)
                    if attempt < ATTEMPTS
                        && error.to_string().contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn try_start(programs: &Programs) -> Result<Self> {
        let group = Group::new()?;
        let identity = Identity::write(&group.subfolder("identity")?)?;
        let [client, peer, secure] = free_ports()?;
        let ports = Ports { client, peer, secure };
        let server_url = format!("https://127.0.0.1:{secure}");
        let write =
            |name, users: &[_]| write_kubeconfig(&group, &identity, &server_url, name, users);
        let kubeconfig = write("kubeconfig", &[&ADMIN, &GUEST])?;
        let guest_kubeconfig = write("guest.kubeconfig", &[&GUEST, &ADMIN])?;
        let requests = Requests::new(&kubeconfig)?;
        start_etcd(&group, programs, &ports)?;
        start_apiserver(&group, programs, &identity, &ports)?;
        wait_until_ready(&group, &requests)?;
        Ok(Self {
            group,
            programs: programs.clone(),
            identity,
            requests,
            ports,
            server_url,
            kubeconfig,
            guest_kubeconfig,
            started: Mutex::default(),
            namespaces: AtomicU32::default(),
            files: AtomicU32::default(),
        })
    }

    /// Starts kube-controller-manager: Deployments get Pods, deleted owners take along what they own, and deleted
    /// namespaces vanish. Without nodes the Pods stay pending.
    ///
    /// # Errors
    /// Where it ends or does not begin to work.
    pub fn start_controllers(&self) -> Result<()> {
        self.once("controllers", || nodes::start_controllers(self))
    }

    /// Starts the controllers, a scheduler and pretended nodes: Deployments become ready by themselves.
    ///
    /// # Errors
    /// Where kwok cannot be built, or a server ends or does not begin to work.
    pub fn start_nodes(&self) -> Result<()> {
        self.start_controllers()?;
        self.once("nodes", || nodes::start_nodes(self))
    }

    /// Installs Flux's definitions and starts its source-controller and kustomize-controller, whose artifacts have
    /// URLs on loopback.
    ///
    /// # Errors
    /// Where the controllers cannot be built, end, or do not become ready.
    pub fn start_flux(&self) -> Result<()> {
        self.install_flux_definitions()?;
        self.once("flux", || flux::start(self))
    }

    /// Installs Flux's definitions and its namespace only.
    ///
    /// # Errors
    /// Where the modules that hold them cannot be built, or the server refuses them.
    pub fn install_flux_definitions(&self) -> Result<()> {
        self.once("flux definitions", || flux::install(self))
    }

    /// Creates a namespace whose name begins so and that no other test has.
    ///
    /// # Errors
    /// Where the server refuses it.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.create_namespace(&name)?;
        Ok(name)
    }

    /// Reads an object or a list, e.g. `/api/v1/namespaces/default/pods`.
    ///
    /// # Errors
    /// With what the server says, also where there is no such object.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.requests.get(path)
    }

    /// Reads an object until it is as wanted, and returns it.
    ///
    /// # Errors
    /// After [`LONGEST`], with the object or the refusal that was seen last.
    pub fn wait_for(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = String::new();
        wait(&format!("what is awaited of {path}"), LONGEST, || {
            let seen = self.get(path);
            last = seen.as_ref().map_or_else(ToString::to_string, |object| format!("{object:#}"));
            Ok(seen.ok().filter(&wanted))
        })
        .map_err(|error| Error::new(format!("{error}; the last of it:\n{last}")))
    }

    /// Reads as the one with that token.
    ///
    /// # Errors
    /// With what the server says, also where it does not know them or they may not.
    pub fn get_with_token(&self, token: &str, path: &str) -> Result<Value> {
        Requests::new(&self.kubeconfig_with_token(token)?)?.get(path)
    }

    /// Creates or completes an object given as YAML or JSON, by server-side apply as the manager `control-plane`.
    ///
    /// # Errors
    /// With what the server says.
    pub fn apply(&self, path: &str, object: impl Into<Vec<u8>>) -> Result<Value> {
        self.requests.apply(path, object)
    }

    /// What applying an object in the name of a manager, forced, would come to; nothing is written.
    ///
    /// # Errors
    /// With what the server says.
    pub fn dry_run(&self, path: &str, object: impl Into<Vec<u8>>, manager: &str) -> Result<Value> {
        let path = format!("{path}?fieldManager={manager}&force=true&dryRun=All");
        self.requests.send("PATCH", &path, "application/apply-patch+yaml", object.into())
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// With what the server says, also where there is no such object.
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.requests.send("DELETE", path, "application/json", Vec::new())
    }

    /// Sends a request as it is, as the user `admin`, and returns the answer as it is, refusals too.
    ///
    /// # Errors
    /// Where there is no answer.
    pub fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Bytes>> {
        self.requests.exchange(request)
    }

    pub(crate) fn create_namespace(&self, name: &str) -> Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.requests.apply(&format!("/api/v1/namespaces/{name}"), object.to_string())?;
        Ok(())
    }

    /// Starts kube-apiserver again after [`Self::kill`], at the same address and with what it had stored.
    ///
    /// # Errors
    /// Where it ends or does not become ready.
    pub fn restart_server(&self) -> Result<()> {
        self.kill("kube-apiserver");
        start_apiserver(&self.group, &self.programs, &self.identity, &self.ports)?;
        wait_until_ready(&self.group, &self.requests)
    }

    /// Kills one server, e.g. `kube-apiserver`, as a crash would.
    pub fn kill(&self, server: &str) {
        self.group.kill(server);
    }

    /// The end of what a server has printed, for messages.
    pub fn log(&self, server: &str) -> String {
        self.group.log_tail(server)
    }

    /// The programs it was started from.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A kubeconfig with the contexts `admin`, which is current, and `guest`.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig whose current context is that of `guest`.
    ///
    /// Nothing is allowed to guest but to discover the API, until a test binds a role to the user `guest`.
    pub fn guest_kubeconfig(&self) -> &Path {
        &self.guest_kubeconfig
    }

    /// The server's address, e.g. `https://127.0.0.1:41231`.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The certificate that the server's own is checked with.
    pub fn ca_file(&self) -> &Path {
        &self.identity.ca_file
    }

    /// The bearer token of the user `admin`, who may do everything.
    pub fn admin_token(&self) -> &'static str {
        ADMIN.token
    }

    /// The bearer token of the user `guest`.
    pub fn guest_token(&self) -> &'static str {
        GUEST.token
    }

    /// Writes a kubeconfig with another token, e.g. one that the server does not know.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn kubeconfig_with_token(&self, token: &str) -> Result<PathBuf> {
        let user = User { name: "stranger", groups: &[], token };
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        write_kubeconfig(
            &self.group,
            &self.identity,
            &self.server_url,
            &format!("{number}.kubeconfig"),
            &[&user],
        )
    }

    /// A folder that goes with the control plane, for files of tests.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        self.group.subfolder(&format!("scratch/{name}"))
    }

    fn once(&self, name: &'static str, start: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut started = self.started.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !started.contains(&name) {
            start()?;
            started.push(name);
        }
        Ok(())
    }
}

fn write_kubeconfig(
    group: &Group,
    identity: &Identity,
    server_url: &str,
    name: &str,
    users: &[&User<'_>],
) -> Result<PathBuf> {
    let path = group.folder().join(name);
    std::fs::write(&path, kubeconfig::write(server_url, &identity.ca, users))
        .doing("write a kubeconfig")?;
    Ok(path)
}

fn wait_until_ready(group: &Group, requests: &Requests) -> Result<()> {
    let ready = wait("a ready kube-apiserver", READY, || {
        group.check("etcd")?;
        group.check("kube-apiserver")?;
        // Until it listens, and then until it is ready, the request fails.
        Ok(requests.get("/readyz").ok())
    });
    match ready {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(format!("{error}\n{}", group.log_tail("kube-apiserver")))),
    }
}

/// Nothing that it stores need survive a crash, so it is not made to reach the disk.
fn start_etcd(group: &Group, programs: &Programs, ports: &Ports) -> Result<()> {
    let client = format!("http://127.0.0.1:{}", ports.client);
    let peer = format!("http://127.0.0.1:{}", ports.peer);
    group.start(
        "etcd",
        Command::new(programs.program("etcd"))
            .arg("--data-dir=etcd-data")
            .arg("--unsafe-no-fsync")
            .arg("--log-level=warn")
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}")),
    )
}

/// The ServiceAccount admission is off, as it would refuse Pods where no controller makes service accounts.
fn start_apiserver(
    group: &Group,
    programs: &Programs,
    identity: &Identity,
    ports: &Ports,
) -> Result<()> {
    group.start(
        "kube-apiserver",
        Command::new(programs.program("kube-apiserver"))
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", ports.client))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={}", ports.secure))
            .arg(flag("--tls-cert-file", &identity.certificate))
            .arg(flag("--tls-private-key-file", &identity.key))
            .arg(flag("--token-auth-file", &identity.tokens))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("--service-account-signing-key-file", &identity.service_account_key))
            .arg(flag("--service-account-key-file", &identity.service_account_public_key))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--authorization-mode=RBAC")
            .arg("--disable-admission-plugins=ServiceAccount")
            .arg("--allow-privileged=true")
            .arg("--endpoint-reconciler-type=none"),
    )
}

/// Whether an object's status has the condition of that type with the value `True`.
pub fn condition(object: &Value, name: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|list| list.iter().any(|c| c["type"] == name && c["status"] == "True"))
}

/// `NAME=PATH`.
pub(crate) fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Ports of 127.0.0.1 that nobody listened on a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).doing("find a free port")?;
        *port = listener.local_addr().doing("find a free port")?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
