//! Artifacts that are not what they should be, or not where.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::{Behaviour, GOOD, Hook, SOURCE, archive, creation, digest};

/// Admitted, with a warning that says `why`; and denied where that is configured.
async fn unknown(publish: impl Fn(&Hook), why: &str) {
    let review = creation(json!({ "path": "deploy" }));
    let hook = Hook::with(&["--fetch-timeout=0.5"]).await;
    publish(&hook);
    let response = hook.review(&review).await;
    assert_eq!(response["allowed"], true, "{response}");
    let warning = response["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains(why), "{response}");
    let hook = Hook::with(&["--fetch-timeout=0.5", "--unknown=deny"]).await;
    publish(&hook);
    let response = hook.review(&review).await;
    assert_eq!(response["allowed"], false, "{response}");
    assert!(response["status"]["message"].as_str().unwrap().contains(why), "{response}");
}

#[tokio::test]
async fn only_configured_hosts_are_dialled() {
    let content = archive(GOOD);
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/x.tar.gz",
        "http://127.0.0.1:10250/pods",
        "https://kubernetes.default.svc/api",
        "file:///etc/passwd",
        "http://",
        "/x.tar.gz",
        "",
    ] {
        let publish = |hook: &Hook| hook.cluster.publish(url, &digest(&content));
        unknown(publish, "the artifact's URL").await;
    }
}

#[tokio::test]
async fn credentials_before_an_allowed_host_are_refused_and_after_it_do_not_fool() {
    let content = archive(GOOD);
    let publish = |hook: &Hook| {
        let address = hook.artifacts.address;
        hook.cluster.publish(&format!("http://u:p@{address}/x"), &digest(&content));
    };
    unknown(publish, "holds credentials").await;
    let publish = |hook: &Hook| {
        let address = hook.artifacts.address;
        hook.cluster.publish(&format!("http://{address}@169.254.169.254/x"), &digest(&content));
    };
    unknown(publish, "the artifact's URL").await;
}

#[tokio::test]
async fn the_right_address_with_another_port_is_another_host() {
    let content = archive(GOOD);
    let publish = |hook: &Hook| {
        let port = hook.cluster.address.port();
        hook.cluster.publish(&format!("http://127.0.0.1:{port}/x"), &digest(&content));
    };
    unknown(publish, "not on an allowed host").await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let content = archive(GOOD);
    let publish = |hook: &Hook| {
        let good = hook.artifacts.set("/good", Behaviour::Content(content.clone()));
        let url = hook.artifacts.set("/moved", Behaviour::Redirect(good));
        hook.cluster.publish(&url, &digest(&content));
    };
    unknown(publish, "redirect").await;
}

#[tokio::test]
async fn what_arrives_counts_only_with_its_digest() {
    let content = archive(GOOD);
    let other = digest(b"something else");
    let cases: [(&str, &str); 6] = [
        (&other, "does not have the digest"),
        ("", "has no digest"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "weak or unknown"),
        ("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "weak or unknown"),
        ("sha256:xyz", "not 64 hexadecimal digits"),
        ("blake3:00", "not supported"),
    ];
    for (digest, why) in cases {
        let publish = |hook: &Hook| {
            let url = hook.artifacts.set("/a", Behaviour::Content(content.clone()));
            hook.cluster.publish(&url, digest);
        };
        unknown(publish, why).await;
    }
}

#[tokio::test]
async fn longer_digests_and_bare_ones_are_understood() {
    use sha2::{Digest, Sha384, Sha512};
    let hook = Hook::start().await;
    let content = archive(GOOD);
    let url = hook.artifacts.set("/a", Behaviour::Content(content.clone()));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    for text in [
        format!("sha384:{}", hex(&Sha384::digest(&content))),
        format!("sha512:{}", hex(&Sha512::digest(&content))),
        digest(&content)["sha256:".len()..].to_owned(),
    ] {
        hook.cluster.publish(&url, &text);
        let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
        assert_eq!(response["auditAnnotations"]["verdict"], "allowed: built", "{text}: {response}");
    }
}

#[tokio::test]
async fn a_slow_server_is_cut_off() {
    let started = Instant::now();
    let content = archive(GOOD);
    let publish = |hook: &Hook| {
        let late = Behaviour::Late(Duration::from_secs(60), content.clone());
        hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
    };
    unknown(publish, "did not arrive within").await;
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_server_that_fails_is_no_fault_of_the_object() {
    let content = archive(GOOD);
    let publish = |hook: &Hook| {
        let url = hook.artifacts.set("/a", Behaviour::Status(500));
        hook.cluster.publish(&url, &digest(&content));
    };
    unknown(publish, "answers 500").await;
    let publish = |hook: &Hook| {
        hook.cluster.publish(&format!("http://{}/x", hook.artifacts.address), &digest(&content));
    };
    // Gone, and the source, asked again, knows of no other.
    unknown(publish, "not there any more").await;
}

#[tokio::test]
async fn an_artifact_that_was_replaced_meanwhile_is_looked_up_again() {
    let hook = Hook::start().await;
    let content = archive(GOOD);
    let url = hook.artifacts.set("/new", Behaviour::Content(content.clone()));
    hook.cluster.publish(&format!("http://{}/old", hook.artifacts.address), &digest(b"old"));
    // Replaced while the old one is asked for.
    hook.artifacts.set("/old", Behaviour::Late(Duration::from_millis(300), Vec::new()));
    hook.artifacts.set("/old", Behaviour::Status(404));
    let (cluster, artifacts) = (hook.cluster.clone(), hook.artifacts.clone());
    let swap = tokio::spawn(async move {
        while artifacts.served() == 0 {
            tokio::task::yield_now().await;
        }
        cluster.publish(&url, &digest(&content));
    });
    let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
    swap.await.unwrap();
    // Which of the two is seen is a matter of microseconds; neither is a failure.
    let said = response.to_string();
    assert!(said.contains("allowed: built") || said.contains("not there any more"), "{said}");
}

#[tokio::test]
async fn an_artifact_that_is_too_large_is_refused() {
    let content = archive(GOOD);
    let review = creation(json!({ "path": "deploy" }));
    let length = (content.len() - 1).to_string();
    for (flag, why) in
        [("--artifact-bytes", "larger than"), ("--unpacked-bytes", "unpacks to more than")]
    {
        let hook = Hook::with(&[flag, &length]).await;
        let url = hook.artifacts.set("/a", Behaviour::Content(content.clone()));
        hook.cluster.publish(&url, &digest(&content));
        let response = hook.review(&review).await;
        assert!(response["warnings"][0].as_str().unwrap_or_default().contains(why), "{response}");
    }
}

#[tokio::test]
async fn an_archive_that_climbs_is_refused() {
    let publish = |hook: &Hook| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..9].copy_from_slice(b"../escape");
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(0);
        header.set_cksum();
        let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(encoder);
        tar.append(&header, std::io::empty()).unwrap();
        let content = tar.into_inner().unwrap().finish().unwrap();
        let url = hook.artifacts.set("/a", Behaviour::Content(content.clone()));
        hook.cluster.publish(&url, &digest(&content));
    };
    unknown(publish, "leaves the archive").await;
}

#[tokio::test]
async fn an_api_server_that_refuses_is_named_as_the_cause() {
    for (code, why) in [(403, "role is too narrow"), (500, "answers 500")] {
        let publish = |hook: &Hook| hook.cluster.state.lock().unwrap().refuse = Some(code);
        unknown(publish, why).await;
    }
}

#[tokio::test]
async fn a_status_of_nonsense_is_no_crash() {
    let hook = Hook::start().await;
    for status in
        [json!(7), json!({ "artifact": "x" }), json!({ "artifact": { "url": 7 } }), Value::Null]
    {
        hook.cluster.put(SOURCE, json!({ "status": status }));
        let response = hook.review(&creation(json!({ "path": "deploy" }))).await;
        assert_eq!(response["allowed"], true, "{status}");
        assert!(response["warnings"][0].is_string(), "{status}");
    }
}
