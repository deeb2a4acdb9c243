//! Remote bases from Git servers on loopback: over https with an authority of our own, and over ssh.
//!
//! Credentials and trust come to `git` as a user gives them, through its configuration and its
//! environment. A process cannot change its own environment safely, so each test starts this program
//! again with what it is to see.

#![cfg(all(unix, feature = "remote"))]

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use overlay::build::{Options, build, print};
use overlay::files::Disk;
use overlay::limits::Limits;
use overlay::remote::Remote;
use overlay::store::Store;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;

/// Tells this program, started again, what to build, and where the cache is.
const KUSTOMIZATION: &str = "OVERLAY_TEST_KUSTOMIZATION";
const CACHE: &str = "OVERLAY_TEST_CACHE";
const OFFLINE: &str = "OVERLAY_TEST_OFFLINE";

/// Not a test by itself: what the others start with an environment of their own.
#[test]
#[ignore = "the other tests start it"]
fn builds_what_the_environment_says() {
    let text = |name| std::env::var(name).expect("started by another test");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = fs::canonicalize(directory.path()).expect("a directory");
    fs::write(root.join("kustomization.yaml"), text(KUSTOMIZATION)).expect("a file");
    let offline = std::env::var_os(OFFLINE).is_some();
    let remote = Some(Arc::new(Remote::new(text(CACHE).into(), offline)));
    let options = Options { remote, ..Options::default() };
    let built = build(&Disk::new(root.clone()), &Store::default(), &options, &root);
    let printed = built.output.and_then(|resources| print(&resources, &Limits::PERSON));
    let said = printed.unwrap_or_else(|error| format!("refused: {error}"));
    std::io::stderr().write_all(format!("[[{said}]]").as_bytes()).expect("an open stderr");
}

/// A bare repository `base.git` with a base, and a cache.
struct Served {
    directory: TempDir,
}

impl Served {
    fn new() -> Self {
        let served = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        let work = served.path("work");
        fs::create_dir_all(work.join("base")).expect("a directory");
        git(&work, &["init", "--quiet"]);
        git(served.directory.path(), &["init", "--quiet", "--bare", "base.git"]);
        git(&served.path("base.git"), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
        served.commit("one");
        served
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes the base hold an object of this name.
    fn commit(&self, name: &str) {
        let work = self.path("work");
        let object = format!("kind: A\nmetadata: {{name: {name}}}\n");
        fs::write(work.join("base/r.yaml"), object).expect("a file");
        fs::write(work.join("base/kustomization.yaml"), "resources: [r.yaml]\n").expect("a file");
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "--message", name]);
        git(&work, &["push", "--quiet", "../base.git", "HEAD:main"]);
    }

    /// What a build over the URL says in this environment.
    fn build(&self, url: &str, environment: &[(&str, &str)]) -> String {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["builds_what_the_environment_says", "--exact", "--ignored", "--nocapture"]);
        command.env(KUSTOMIZATION, format!("resources: ['{url}']\nnamePrefix: p-\n"));
        command.env(CACHE, self.path("cache")).env("HOME", self.directory.path());
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_CONFIG_NOSYSTEM", "1");
        for proxy in ["http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        let Output { stderr, .. } =
            command.envs(environment.iter().copied()).output().expect("a program that runs");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let said = stderr.split_once("[[").and_then(|(_, rest)| rest.rsplit_once("]]"));
        said.map(|(said, _)| said.to_owned()).unwrap_or(stderr)
    }
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
    command.args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
    let status = command.args(arguments).current_dir(directory).status().expect("git runs");
    assert!(status.success(), "git {arguments:?}");
}

fn object(name: &str) -> String {
    format!("kind: A\nmetadata:\n  name: p-{name}\n")
}

/// A web server that hands requests on to `git http-backend`, for those who know the password.
struct Web {
    port: u16,
    /// The certificate of the authority, in PEM.
    authority: String,
    fetches: Arc<AtomicUsize>,
}

/// Name and password, as HTTP has them.
const PASSWORD: &str = "me:secret word";

impl Web {
    fn start(root: &Path) -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters =
            rcgen::CertificateParams::new(Vec::<String>::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&authority_key).expect("a certificate");
        let authority = certificate.pem();
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters =
            rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])
                .expect("parameters");
        let own = parameters.signed_by(&key, &issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![own.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a certificate with its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (config, root, fetches) =
            (Arc::new(config), root.to_owned(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&fetches);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, root, fetches) = (config.clone(), root.clone(), counted.clone());
                std::thread::spawn(move || {
                    let connection = rustls::ServerConnection::new(config).expect("a connection");
                    // A client that does not trust us hangs up; that is its answer.
                    let _ = answer(rustls::StreamOwned::new(connection, stream), &root, &fetches);
                });
            }
        });
        Self { port, authority, fetches }
    }
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

/// Answers one request, and closes the connection.
fn answer(stream: Tls, root: &Path, fetches: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let Some((method, target)) = lines.first().and_then(|line| line.split_once(' ')) else {
        return Ok(());
    };
    let target = target.split(' ').next().unwrap_or_default();
    let header = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    };
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(PASSWORD));
    if header("authorization") != Some(&expected) {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"git\"\r\n\
                       content-length: 0\r\nconnection: close\r\n\r\n";
        reader.get_mut().write_all(refusal.as_bytes())?;
        return close(reader.into_inner());
    }
    let mut body = Vec::new();
    match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => {
            (&mut reader).take(length).read_to_end(&mut body)?;
        }
        None if header("transfer-encoding").is_some() => read_chunks(&mut reader, &mut body)?,
        None => {}
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if method == "POST" && String::from_utf8_lossy(&body).contains("want ") {
        fetches.fetch_add(1, Ordering::SeqCst);
    }
    let mut backend = Command::new("git");
    backend.arg("http-backend").env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    backend.env("REQUEST_METHOD", method).env("PATH_INFO", path).env("QUERY_STRING", query);
    backend.env("CONTENT_TYPE", header("content-type").unwrap_or_default());
    backend.env("CONTENT_LENGTH", body.len().to_string());
    if let Some(protocol) = header("git-protocol") {
        backend.env("GIT_PROTOCOL", protocol);
    }
    if let Some(encoding) = header("content-encoding") {
        backend.env("HTTP_CONTENT_ENCODING", encoding);
    }
    let mut child = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().expect("a pipe").write_all(&body)?;
    let output = child.wait_with_output()?.stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(&output)?;
    close(reader.into_inner())
}

fn close(mut stream: Tls) -> std::io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()
}

fn read_chunks(reader: &mut BufReader<Tls>, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).unwrap_or_default();
        reader.take(length).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}

#[test]
fn over_https_trust_and_credentials_are_those_of_git() {
    let served = Served::new();
    let web = Web::start(served.directory.path());
    let authority = served.path("authority.pem");
    fs::write(&authority, &web.authority).expect("a file");
    let authority = authority.to_str().expect("text");
    let url = format!("https://127.0.0.1:{}/base.git//base?ref=main", web.port);

    let untrusted = served.build(&url, &[]);
    assert!(untrusted.starts_with("refused: ") && untrusted.contains("certificate"), "{untrusted}");
    let trusts = ("GIT_SSL_CAINFO", authority);
    let unknown = served.build(&url, &[trusts]);
    assert!(
        unknown.starts_with("refused: ") && unknown.contains("git ls-remote failed"),
        "{unknown}"
    );

    // As a user's ~/.gitconfig has it.
    let helper =
        "[credential]\n\thelper = \"!f() { echo username=me; echo 'password=secret word'; }; f\"\n";
    fs::write(served.path(".gitconfig"), helper).expect("a file");
    assert_eq!(served.build(&url, &[trusts]), object("one"));
    assert_eq!(web.fetches.load(Ordering::SeqCst), 1);
    // What is there is not fetched again, in whatever form the URL is written.
    assert_eq!(served.build(&format!("git::{url}"), &[trusts]), object("one"));
    assert_eq!(web.fetches.load(Ordering::SeqCst), 1);

    // A branch that has moved is seen; offline, what was seen last is what there is.
    served.commit("two");
    assert_eq!(served.build(&url, &[trusts, (OFFLINE, "1")]), object("one"));
    assert_eq!(served.build(&url, &[trusts]), object("two"));
    assert_eq!(served.build(&url, &[(OFFLINE, "1")]), object("two"));
    assert_eq!(web.fetches.load(Ordering::SeqCst), 2);
}

/// The server of OpenSSH, started for one user on loopback.
struct Ssh {
    child: Child,
    port: u16,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a line of the server's log says that it can be reached.
fn is_listening(line: String) -> bool {
    line.contains("Server listening")
}

impl Ssh {
    /// The server; without it the test is skipped loudly, and fails in CI.
    fn find() -> Option<&'static str> {
        let programs = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
        let found = programs.into_iter().find(|path| Path::new(path).exists());
        if found.is_none() {
            let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!is_ci, "sshd is needed; tests/packages.sh brings it");
            let message =
                b"SKIPPED: no sshd; tests/packages.sh brings it, or the package openssh-server\n";
            std::io::stderr().write_all(message).expect("an open stderr");
        }
        found
    }

    fn start(program: &str, served: &Served) -> Self {
        for key in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(served.path(key));
            assert!(command.status().expect("ssh-keygen runs").success(), "no key was made");
        }
        fs::copy(served.path("user.pub"), served.path("authorized")).expect("a public key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let directory = served.directory.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {directory}/host\nPidFile none\n\
             AuthorizedKeysFile {directory}/authorized\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin yes\n"
        );
        fs::write(served.path("sshd.conf"), config).expect("a file");
        // As root the server insists on this directory.
        let _ = fs::create_dir_all("/run/sshd");
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(served.path("sshd.conf"));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut started = Self { child: command.spawn().expect("sshd starts"), port };
        let stderr = BufReader::new(started.child.stderr.take().expect("a pipe"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let mut said = Vec::new();
        let listens = lines.by_ref().inspect(|line| said.push(line.clone())).any(is_listening);
        assert!(listens, "sshd does not listen: {said:?}");
        // The rest has to go somewhere, or the server would wait.
        std::thread::spawn(move || lines.for_each(drop));
        started
    }
}

#[test]
fn over_ssh_keys_are_those_of_git() {
    let Some(program) = Ssh::find() else { return };
    let served = Served::new();
    let ssh = Ssh::start(program, &served);
    let user = Command::new("id").arg("--user").arg("--name").output().expect("a user").stdout;
    let user = String::from_utf8(user).expect("text");
    let repository = served.path("base.git");
    let url = format!(
        "ssh://{}@127.0.0.1:{}{}//base?ref=main",
        user.trim(),
        ssh.port,
        repository.display()
    );
    let options = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let stranger = served.build(&url, &[("GIT_SSH_COMMAND", &format!("ssh -F none {options}"))]);
    assert!(stranger.starts_with("refused: "), "{stranger}");
    let key = served.path("user");
    let command = format!("ssh -F none {options} -o IdentitiesOnly=yes -i {}", key.display());
    let environment = [("GIT_SSH_COMMAND", command.as_str())];
    assert_eq!(served.build(&url, &environment), object("one"));
    assert_eq!(served.build(&format!("git::{url}"), &environment), object("one"));
    served.commit("two");
    assert_eq!(served.build(&url, &environment), object("two"));
}
