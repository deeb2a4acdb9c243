//! Buckets of a store that speaks S3, on this machine.

use overlay::flux::api::Bucket;
use overlay::flux::sources::Source;
use overlay::flux::sources::bucket::{Key, bucket};
use overlay::{ErrorKind, Result, archive};

use super::server::{Answer, serve};
use super::text;

const LIMITS: archive::Limits = archive::Limits::WEBHOOK;

/// A store with one bucket; it takes requests that are signed with one key.
fn store(objects: &'static [(&'static str, &'static str)]) -> String {
    let address = serve(move |request| {
        let authorization = request.header("authorization").unwrap_or_default();
        let is_signed = authorization.starts_with("AWS4-HMAC-SHA256 Credential=ID/")
            && authorization.contains(
                "/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date,",
            );
        if !is_signed {
            return Answer::status(403);
        }
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if let Some(key) = path.strip_prefix("/manifests/") {
            let key = key.replace("%20", " ");
            let found = objects.iter().find(|(name, _)| *name == key);
            return found.map_or(Answer::status(404), |(_, content)| Answer::ok(*content));
        }
        if path != "/manifests" {
            return Answer::status(404);
        }
        // Two keys a page.
        let token = query.split('&').find_map(|one| one.strip_prefix("continuation-token="));
        let prefix =
            query.split('&').find_map(|one| one.strip_prefix("prefix=")).unwrap_or_default();
        let prefix = prefix.replace("%2F", "/");
        let kept: Vec<_> = objects.iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
        let from = token.map_or(0, |token| token.trim_start_matches("t%2B").parse().unwrap());
        let contents: String = kept[from..]
            .iter()
            .take(2)
            .map(|(name, content)| {
                let (name, tag) = (name.replace(' ', "%20"), content.len());
                format!("<Contents><Key>{name}</Key><ETag>&quot;{tag}&quot;</ETag></Contents>")
            })
            .collect();
        let next = match from + 2 < kept.len() {
            true => format!("<NextContinuationToken>t+{}</NextContinuationToken>", from + 2),
            false => String::new(),
        };
        Answer::ok(format!(
            "<?xml version=\"1.0\"?><ListBucketResult>{contents}{next}</ListBucketResult>"
        ))
    });
    address.to_string()
}

fn object(endpoint: &str) -> Bucket {
    Bucket {
        endpoint: endpoint.into(),
        bucket_name: "manifests".into(),
        region: "eu-west-1".into(),
        insecure: true,
        ..Bucket::default()
    }
}

fn fetched(object: &Bucket, limits: &archive::Limits) -> Result<Source> {
    bucket(object, Some(&Key::new("ID".into(), "hunter2hunter2".into())), limits)
}

const OBJECTS: &[(&str, &str)] = &[
    (".sourceignore", "*.bak\n"),
    ("app/", ""),
    ("app/a b.yaml", "a: 1"),
    ("app/a.bak", "old"),
    ("app/deep/c.yaml", "c: 3"),
    ("logo.png", "png"),
    ("other/d.yaml", "d"),
];

#[test]
fn the_objects_of_all_pages_come_without_those_that_are_ignored() {
    let endpoint = store(OBJECTS);
    let source =
        fetched(&Bucket { ignore: Some("/other".into()), ..object(&endpoint) }, &LIMITS).unwrap();
    assert_eq!(text(&source, "app/a b.yaml").as_deref(), Some("a: 1"));
    assert_eq!(text(&source, "app/deep/c.yaml").as_deref(), Some("c: 3"));
    // What Flux leaves out of other sources by itself is not left out here.
    assert_eq!(text(&source, "logo.png").as_deref(), Some("png"));
    for gone in ["app/a.bak", "other/d.yaml", ".sourceignore"] {
        assert_eq!(text(&source, gone), None, "{gone}");
    }
    // printf 'app/a b.yaml 4\napp/deep/c.yaml 4\nlogo.png 3\n' | sha256sum
    assert_eq!(source.revision, super::digest(b"app/a b.yaml 4\napp/deep/c.yaml 4\nlogo.png 3\n"));
    let below =
        fetched(&Bucket { prefix: "app/deep".into(), ..object(&endpoint) }, &LIMITS).unwrap();
    assert_eq!(text(&below, "app/deep/c.yaml").as_deref(), Some("c: 3"));
    assert_eq!(text(&below, "app/a b.yaml"), None);
}

#[test]
fn a_store_that_refuses_or_holds_too_much_is_told() {
    let endpoint = store(OBJECTS);
    let error = bucket(&object(&endpoint), None, &LIMITS).unwrap_err();
    assert!(error.message().contains("server answers 403"), "{error}");
    let wrong = bucket(
        &object(&endpoint),
        Some(&Key::new("other".into(), "hunter2hunter2".into())),
        &LIMITS,
    );
    assert!(!wrong.unwrap_err().to_string().contains("hunter2"));
    let few = archive::Limits { entries: 2, ..LIMITS };
    assert_eq!(fetched(&object(&endpoint), &few).unwrap_err().kind(), ErrorKind::Limit);
    let small = archive::Limits { bytes: 5, ..LIMITS };
    assert_eq!(fetched(&object(&endpoint), &small).unwrap_err().kind(), ErrorKind::Limit);
    let elsewhere = Bucket { bucket_name: "none".into(), ..object(&endpoint) };
    assert!(fetched(&elsewhere, &LIMITS).unwrap_err().message().contains("404"));
    let azure = Bucket { provider: "azure".into(), ..object(&endpoint) };
    assert!(fetched(&azure, &LIMITS).unwrap_err().message().contains("is not asked here"));
    for odd in ["evil.example/path?", "host@other", "..", ""] {
        assert_eq!(fetched(&object(odd), &LIMITS).unwrap_err().kind(), ErrorKind::Invalid, "{odd}");
    }
}

#[test]
fn keys_that_climb_are_refused() {
    let endpoint = store(&[("../../etc/passwd", "x")]);
    let error = fetched(&object(&endpoint), &LIMITS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden, "{error}");
}

#[test]
fn what_is_no_store_is_told() {
    let address = serve(|request| match request.path.starts_with("/manifests/") {
        true => Answer::status(404),
        false => Answer::ok("<html>hello</html>"),
    });
    let error = fetched(&object(&address.to_string()), &LIMITS).unwrap_err();
    assert!(error.message().contains("answers with no list of a bucket"), "{error}");
}
