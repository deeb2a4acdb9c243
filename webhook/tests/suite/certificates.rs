//! Certificates from files and of the webhook's own making.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use overlay_webhook::certs::{self, Current, Owner, SharedAuthority};
use overlay_webhook::metrics::Metrics;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::fixture::{Cluster, Hook, client_config, write_pair};

const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/overlay-webhook";
const SECRET: &str = "/api/v1/namespaces/overlay-system/secrets/ca";

#[test]
fn loads_a_pair_and_refuses_halves() {
    let directory = tempfile::tempdir().unwrap();
    assert!(certs::load(directory.path()).unwrap_err().to_string().contains("tls.crt"));
    write_pair(directory.path());
    assert!(certs::load(directory.path()).is_ok());
    // A key of another certificate.
    let other = tempfile::tempdir().unwrap();
    write_pair(other.path());
    std::fs::copy(other.path().join("tls.key"), directory.path().join("tls.key")).unwrap();
    assert!(certs::load(directory.path()).is_err());
    std::fs::write(directory.path().join("tls.key"), "nonsense").unwrap();
    assert!(certs::load(directory.path()).is_err());
}

/// A new pair as the kubelet brings it: a new directory, and one rename of the link to it.
fn swap(mount: &Path, name: &str) {
    let fresh = mount.join(name);
    std::fs::create_dir(&fresh).unwrap();
    write_pair(&fresh);
    std::os::unix::fs::symlink(name, mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn a_swapped_directory_is_loaded_each_time_and_nonsense_is_not() {
    let mount = tempfile::tempdir().unwrap();
    swap(mount.path(), "..1");
    for file in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(format!("..data/{file}"), mount.path().join(file)).unwrap();
    }
    let (current, metrics) = (Arc::new(Current::default()), Arc::new(Metrics::new()));
    current.set(certs::load(mount.path()).unwrap());
    let every = Duration::from_millis(10);
    let watch = certs::watch_files(mount.path().into(), current.clone(), metrics.clone(), every);
    let watch = tokio::spawn(watch);
    for name in ["..2", "..3"] {
        let old = current.get().unwrap().cert.clone();
        swap(mount.path(), name);
        until("the new certificate", || current.get().unwrap().cert != old).await;
    }
    let old = current.get().unwrap().cert.clone();
    std::fs::write(mount.path().join("..3/tls.key"), "nonsense").unwrap();
    until("the error", || metrics.certificate_errors.get() > 2).await;
    assert_eq!(current.get().unwrap().cert, old);
    watch.abort();
}

#[tokio::test]
async fn clients_without_a_certificate_are_refused_where_one_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path());
    let ca = directory.path().join("tls.crt");
    let hook = Hook::with(&["--client-ca", ca.to_str().unwrap()]).await;
    let connect = |config: rustls::ClientConfig| async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let stream = TcpStream::connect(hook.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let trusting = client_config(hook.directory.path(), &[]);
    assert!(connect((*trusting).clone()).await.is_err());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&ca).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(directory.path().join("tls.key")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(hook.directory.path().join("tls.crt")).unwrap())
        .unwrap();
    let identified = rustls::ClientConfig::builder_with_provider(certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    assert!(connect(identified).await.unwrap().starts_with("HTTP/1.1 200"));
}

fn owner() -> Owner {
    Owner {
        namespace: "overlay-system".into(),
        secret: "ca".into(),
        configuration: "overlay-webhook".into(),
        names: vec!["overlay-webhook.overlay-system.svc".into(), "127.0.0.1".into()],
    }
}

async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.put(
        CONFIGURATION,
        json!({ "webhooks": [
            { "name": "a.overlay.dev", "clientConfig": {} },
            { "name": "b.overlay.dev", "clientConfig": { "caBundle": "b2xk" } },
        ] }),
    );
    cluster
}

fn bundle(cluster: &Cluster, index: usize) -> String {
    use base64::Engine;
    let configuration = cluster.get(CONFIGURATION).unwrap();
    let text = configuration["webhooks"][index]["clientConfig"]["caBundle"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
}

/// Whether a client that has the bundle, as the API server, trusts the leaf for the service's name.
fn trusts(bundle: &str, leaf: &CertificateDer<'_>, at: SystemTime) -> bool {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), certs::provider())
        .build()
        .unwrap();
    let now = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    ["overlay-webhook.overlay-system.svc", "127.0.0.1"].into_iter().all(|name| {
        verifier
            .verify_server_cert(leaf, &[], &ServerName::try_from(name).unwrap(), &[], now)
            .is_ok()
    })
}

#[tokio::test]
async fn replicas_share_one_authority_and_have_leaves_of_their_own() {
    let cluster = cluster().await;
    let now = SystemTime::now();
    let authority = || SharedAuthority::new(cluster.client(), owner());
    // Both at once: one of them finds that the other was quicker.
    let (one, two) = (authority(), authority());
    let (first, second) = tokio::join!(one.issue(now), two.issue(now));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.authority, second.authority);
    assert_ne!(first.key.cert, second.key.cert);
    for index in [0, 1] {
        let bundle = bundle(&cluster, index);
        assert!(trusts(&bundle, &first.key.cert[0], now));
        assert!(trusts(&bundle, &second.key.cert[0], now));
    }
    assert_eq!(cluster.asked("POST /api/v1/namespaces/overlay-system/secrets"), 2);
    // Nothing to do, nothing is written.
    let patches = cluster.asked("PATCH");
    authority().issue(now).await.unwrap();
    assert_eq!(cluster.asked("PATCH"), patches);
}

#[tokio::test]
async fn a_new_authority_is_trusted_beside_the_old_one() {
    let cluster = cluster().await;
    let start = SystemTime::now();
    let authority = SharedAuthority::new(cluster.client(), owner());
    let old = authority.issue(start).await.unwrap();
    // Two thirds of a year later it is replaced; a leaf of the old one may still be in use elsewhere.
    let later = start + Duration::from_secs(250 * 24 * 3600);
    let earlier = later - Duration::from_secs(24 * 3600 * 10);
    let kept = authority.issue(earlier).await.unwrap();
    assert_eq!(kept.authority, old.authority);
    let new = authority.issue(later).await.unwrap();
    assert_ne!(new.authority, old.authority);
    let bundle = bundle(&cluster, 0);
    assert!(trusts(&bundle, &new.key.cert[0], later));
    let same = SharedAuthority::new(cluster.client(), owner()).issue(later).await.unwrap();
    assert_eq!(same.authority, new.authority);
    assert!(bundle.contains(&old.authority) && bundle.contains(&new.authority));
}

#[tokio::test]
async fn a_secret_that_is_no_authority_is_an_error_that_does_not_quote_it() {
    let cluster = cluster().await;
    cluster.put(SECRET, json!({ "data": { "ca.crt": "eA==", "ca.key": "c2VjcmV0", "expires": "MQ==", "former.crt": "" } }));
    let issued = SharedAuthority::new(cluster.client(), owner()).issue(SystemTime::now()).await;
    let error = issued.err().unwrap().to_string();
    assert_eq!(error, "ca.key: is no private key");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let cluster = cluster().await;
    cluster.state.lock().unwrap().refuse = Some(403);
    let issued = SharedAuthority::new(cluster.client(), owner()).issue(SystemTime::now()).await;
    assert_eq!(issued.err().unwrap().to_string(), "cannot get \"ca\": refused");
}
