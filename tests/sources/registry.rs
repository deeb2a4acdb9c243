//! OCI artifacts from a registry, and archives by URL.

use std::sync::{Arc, Mutex};

use overlay::flux::api::{OciReference, OciRepository};
use overlay::flux::sources::oci::{Credentials, oci};
use overlay::flux::sources::{Source, artifact};
use overlay::remote::Remote;
use overlay::{ErrorKind, archive};

use super::server::{Answer, serve};
use super::{digest, text};

const LIMITS: archive::Limits = archive::Limits::WEBHOOK;

/// What a registry asks of who comes.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Asks {
    Nothing,
    Basic,
    Token,
}

/// A registry with one artifact, tagged with a few versions; it notes the paths that it was asked for.
fn registry(asks: Asks, layer: Vec<u8>, claimed: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let manifest = format!(
        r#"{{"schemaVersion": 2, "layers": [
            {{"mediaType": "application/vnd.cncf.flux.content.v1.tar+gzip", "digest": "{claimed}"}},
            {{"mediaType": "other", "digest": "{claimed}"}}]}}"#
    );
    let address = serve(move |request| {
        noted.lock().unwrap().push(request.path.clone());
        let authorization = request.header("authorization").unwrap_or_default();
        if request.path.starts_with("/token?") {
            let basic = authorization == "Basic dXNlcjpwYXNz";
            return if basic { Answer::ok(r#"{"token": "t0k3n"}"#) } else { Answer::status(401) };
        }
        let host = request.header("host").unwrap_or_default();
        let challenge = match asks {
            Asks::Basic if authorization != "Basic dXNlcjpwYXNz" => "Basic realm=\"r\"".to_owned(),
            Asks::Token if authorization != "Bearer t0k3n" => {
                format!(
                    "Bearer realm=\"http://{host}/token\",service=\"reg\",scope=\"repository:org/app:pull\""
                )
            }
            _ => String::new(),
        };
        if !challenge.is_empty() {
            return Answer::status(401).with("www-authenticate", challenge);
        }
        let path = request.path.strip_prefix("/v2/org/app/").unwrap_or_default();
        match path.split_once('/') {
            Some(("tags", _)) => {
                Answer::ok(r#"{"tags": ["latest", "1.0.0", "1.2.0", "2.0.0", "1.9.0-rc.1"]}"#)
            }
            Some(("manifests", "none")) => Answer::status(404),
            Some(("manifests", _)) => Answer::ok(manifest.clone()),
            Some(("blobs", _)) => Answer::ok(layer.clone()),
            _ => Answer::status(404),
        }
    });
    (format!("oci://{address}/org/app"), seen)
}

fn fetched(
    url: &str,
    reference: OciReference,
    credentials: Option<&Credentials>,
) -> overlay::Result<Source> {
    let url = url.into();
    let object = OciRepository { url, reference, insecure: true, ..OciRepository::default() };
    oci(&object, credentials, &LIMITS)
}

fn credentials() -> Credentials {
    let json = br#"{"auths": {"https://registry.example/v1/": {"auth": "dXNlcjpwYXNz"}}}"#;
    Credentials::of_docker(json, "registry.example").unwrap()
}

#[test]
fn an_artifact_is_fetched_from_a_registry_that_asks_anything() {
    let layer = super::archive(&[("app/a.yaml", b"a: 1"), (".git/config", b"x")]);
    for asks in [Asks::Nothing, Asks::Basic, Asks::Token] {
        let (url, _) = registry(asks, layer.clone(), &digest(&layer));
        let source = fetched(&url, OciReference::default(), Some(&credentials())).unwrap();
        assert_eq!(text(&source, "app/a.yaml").as_deref(), Some("a: 1"));
        assert!(source.revision.starts_with("latest@sha256:"), "{}", source.revision);
        if asks != Asks::Nothing {
            let error = fetched(&url, OciReference::default(), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        }
    }
    assert!(!format!("{:?}", credentials()).contains("pass"));
}

#[test]
fn an_artifact_is_without_what_is_ignored_unless_its_layer_is_copied() {
    let layer = super::archive(&[("a.yaml", b"a"), ("b.yaml", b"b"), ("c.png", b"c")]);
    let (url, _) = registry(Asks::Nothing, layer.clone(), &digest(&layer));
    let has = |ignore: Option<&str>, operation: &str| {
        let object = OciRepository {
            url: url.as_str().into(),
            ignore: ignore.map(Into::into),
            layer_operation: operation.into(),
            insecure: true,
            ..OciRepository::default()
        };
        let source = oci(&object, None, &LIMITS).unwrap();
        ["a.yaml", "b.yaml", "c.png"].map(|path| text(&source, path).is_some())
    };
    assert_eq!(has(None, ""), [true, true, false]);
    assert_eq!(has(Some("/b.yaml"), "extract"), [true, false, true]);
    assert_eq!(has(Some("/b.yaml"), "copy"), [true, true, true]);
}

#[test]
fn the_highest_version_of_a_range_is_taken() {
    let layer = super::archive(&[("a", b"")]);
    let (url, seen) = registry(Asks::Nothing, layer.clone(), &digest(&layer));
    let reference = OciReference { semver: "1.x".into(), ..OciReference::default() };
    assert!(fetched(&url, reference, None).unwrap().revision.starts_with("1.2.0@sha256:"));
    assert!(seen.lock().unwrap().contains(&"/v2/org/app/manifests/1.2.0".to_owned()));
    let reference = OciReference {
        semver: "*".into(),
        semver_filter: "^1\\.".into(),
        ..OciReference::default()
    };
    assert!(fetched(&url, reference, None).unwrap().revision.starts_with("1.2.0@"));
}

#[test]
fn what_does_not_hash_as_it_should_is_refused() {
    let layer = super::archive(&[("a", b"")]);
    let (url, _) = registry(Asks::Nothing, layer.clone(), &digest(b"something else"));
    let error = fetched(&url, OciReference::default(), None).unwrap_err();
    assert!(error.message().contains("it is damaged or another artifact"), "{error}");
    let (url, _) = registry(Asks::Nothing, layer.clone(), &digest(&layer));
    let other = OciReference { digest: digest(b"other").into(), ..OciReference::default() };
    let error = fetched(&url, other, None).unwrap_err();
    assert!(error.message().contains("it is damaged or another artifact"), "{error}");
    let none = OciReference { tag: "none".into(), ..OciReference::default() };
    let error = fetched(&url, none, None).unwrap_err();
    assert_eq!(error.message(), "registry answers 404 Not Found for its manifests");
    let odd = OciReference { tag: "a/../b".into(), ..OciReference::default() };
    assert!(fetched(&url, odd, None).unwrap_err().message().contains("is no tag"));
    assert!(fetched("oci://host", OciReference::default(), None).is_err());
}

#[test]
fn the_layer_of_a_media_type_is_taken() {
    let layer = super::archive(&[("a", b"")]);
    let (url, _) = registry(Asks::Nothing, layer.clone(), &digest(&layer));
    let object = |layer: &str| OciRepository {
        url: url.as_str().into(),
        insecure: true,
        layer_media_type: layer.into(),
        ..OciRepository::default()
    };
    assert!(oci(&object("other"), None, &LIMITS).is_ok());
    let error = oci(&object("missing"), None, &LIMITS).unwrap_err();
    assert_eq!(error.message(), "has no layer of the media type \"missing\"");
}

#[test]
fn an_archive_by_url_needs_its_digest() {
    let good = super::archive(&[("app/a.yaml", b"a: 1")]);
    let bomb = super::archive(&[("zeros", &vec![0; 8 << 20])]);
    let climbing = super::archive(&[("../a", b"")]);
    let files = [("/good", good.clone()), ("/bomb", bomb.clone()), ("/climbing", climbing.clone())];
    let address =
        serve(move |request| match files.iter().find(|(path, _)| *path == request.path) {
            Some((_, content)) => Answer::ok(content.clone()),
            None => Answer::status(404),
        });
    let cache = tempfile::tempdir().unwrap();
    let remote = Remote::new(cache.path().to_owned(), false);
    let limits = archive::Limits { bytes: 1 << 20, ..LIMITS };
    let get = |path: &str, digest: &str| {
        artifact(&remote, &format!("http://{address}{path}"), digest, &limits)
    };
    let source = get("/good", &digest(&good)).unwrap();
    assert_eq!(text(&source, "app/a.yaml").as_deref(), Some("a: 1"));
    assert_eq!(source.revision, digest(&good));
    assert!(get("/good", digest(&good).trim_start_matches("sha256:")).is_ok());
    for (path, digest, wanted) in [
        ("/good", digest(b"other"), "it is damaged or another artifact"),
        ("/good", String::new(), "is no digest"),
        ("/good", "md5:00".to_owned(), "are not known"),
        ("/good", "sha256:xyz".to_owned(), "is no digest"),
        ("/bomb", digest(&bomb), "unpacks to more than"),
        ("/climbing", digest(&climbing), "leaves the archive"),
        ("/missing", digest(&good), "server answers 404"),
    ] {
        let error = get(path, &digest).unwrap_err();
        assert!(error.message().contains(wanted), "{path}: {error}");
    }
}
