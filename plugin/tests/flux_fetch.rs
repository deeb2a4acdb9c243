//! `flux build`, `flux diff` and `flux tree` with `--fetch-sources`, from a real Git repository, and of an archive.
#![expect(clippy::unwrap_used, reason = "a helper of tests fails as they do")]

#[path = "../../tests/sources/server.rs"]
#[expect(dead_code, reason = "the library's tests use more of it")]
mod server;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::Digest as _;

/// Where the other repository seems to be.
const URL: &str = "https://git.example/shop";

/// A clone in which a Kustomization of another repository stands, and that repository.
struct Site {
    folder: tempfile::TempDir,
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
    command.args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
    let output = command.args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn object(kind: &str, api: &str, spec: &str) -> String {
    format!(
        "apiVersion: {api}.toolkit.fluxcd.io/v1\nkind: {kind}\nmetadata: {{name: shop, namespace: flux-system}}\nspec: {spec}\n---\n"
    )
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        let shop = site.folder.path().join("shop");
        std::fs::create_dir_all(shop.join("deploy")).unwrap();
        git(&shop, &["init", "--quiet"]);
        for (version, name) in [("v1.0.0", "first"), ("v1.1.0", "second"), ("v2.0.0", "third")] {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
            std::fs::write(shop.join("deploy/map.yaml"), text).unwrap();
            git(&shop, &["add", "."]);
            git(&shop, &["commit", "--quiet", "--message", name]);
            git(&shop, &["tag", version]);
        }
        site.declare("{semver: 1.0.x}");
        let fleet = site.fleet();
        git(&fleet, &["init", "--quiet"]);
        git(&fleet, &["add", "."]);
        git(&fleet, &["commit", "--quiet", "--message", "shop"]);
        site
    }

    fn fleet(&self) -> PathBuf {
        self.folder.path().join("fleet")
    }

    /// Has the source held at some reference.
    fn declare(&self, reference: &str) {
        let spec = format!("{{interval: 5m, url: '{URL}', ref: {reference}}}");
        let source = object("GitRepository", "source", &spec);
        let spec = "{interval: 5m, prune: true, path: deploy, sourceRef: {kind: GitRepository, name: shop}}";
        let kustomization = object("Kustomization", "kustomize", spec);
        std::fs::create_dir_all(self.fleet().join("clusters")).unwrap();
        let file = self.fleet().join("clusters/shop.yaml");
        std::fs::write(file, format!("{source}{kustomization}")).unwrap();
    }

    /// Exit code, standard output, standard error; Git finds the other repository on the disk.
    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let shop = self.folder.path().join("shop");
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-overlay"));
        command.arg("flux").args(words).current_dir(self.fleet());
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", URL);
        command.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", shop.display()));
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn builds_what_another_repository_has_at_the_version_that_is_declared() {
    let site = Site::new();
    let (code, out, err) = site.run(&["build", "shop", "--fetch-sources"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("name: first"), "{out}");

    site.declare("{branch: main}");
    let (code, out, _) = site.run(&["build", "shop", "--fetch-sources"]);
    assert!(code == 0 && out.contains("name: third"), "{out}");
}

#[test]
fn without_the_flag_it_is_said_to_be_elsewhere() {
    let site = Site::new();
    let (code, _, err) = site.run(&["build", "shop"]);
    let wanted = "the files of GitRepository/flux-system/shop are elsewhere";
    assert!(code == 1 && err.contains(wanted) && err.contains("--fetch-sources"), "{err}");
    let (code, _, err) = site.run(&["build", "shop", "--fetch-sources", "--offline"]);
    assert!(code == 1 && err.contains(wanted), "{err}");
}

#[test]
fn shows_what_another_version_would_change() {
    let site = Site::new();
    site.declare("{semver: 1.x}");
    let (code, out, _) = site.run(&["diff", "--fetch-sources"]);
    assert_eq!(code, 1, "{out}");
    for line in ["► ConfigMap/first deleted", "► ConfigMap/second created"] {
        assert!(out.contains(line), "{out}");
    }
}

#[test]
fn a_version_that_nobody_has_fails_where_it_is_declared() {
    let site = Site::new();
    site.declare("{semver: '>=3.0.0'}");
    let (code, out, err) = site.run(&["tree", "--fetch-sources"]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("no tag is a version in the range \">=3.0.0\""), "{err}");
    assert!(err.contains("clusters/shop.yaml:1:1"), "{err}");
}

/// The address of an archive of one file, and its digest.
fn published() -> (String, String) {
    let mut archive = tar::Builder::new(Vec::new());
    let text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: packed}\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, "deploy/map.yaml", &text[..]).unwrap();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&archive.into_inner().unwrap()).unwrap();
    let body = zipped.finish().unwrap();
    let digest: String = sha2::Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
    let address = server::serve(move |_| server::Answer::ok(body.clone()));
    (format!("http://{address}/shop.tar.gz"), format!("sha256:{digest}"))
}

#[test]
fn an_archive_stands_for_a_source_if_its_digest_is_right() {
    let site = Site::new();
    let (url, digest) = published();
    let source = format!("GitRepository/flux-system/shop={url}@{digest}");
    let (code, out, err) = site.run(&["build", "shop", "--local-source", &source]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("name: packed"), "{out}");

    for digest in [format!("@sha256:{}", "0".repeat(64)), String::new(), "@sha256:1".into()] {
        let source = format!("GitRepository/flux-system/shop={url}{digest}");
        let (code, out, err) = site.run(&["build", "shop", "--local-source", &source]);
        assert!(code == 1 && out.is_empty() && err.contains("digest"), "{err}");
    }
}
