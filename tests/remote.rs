//! Builds over bases that Git fetches from a repository on this machine.

#![cfg(feature = "remote")]

use std::fs;
use std::process::Command;
use std::sync::Arc;

use overlay::build::{Options, build, print};
use overlay::files::Disk;
use overlay::limits::Limits;
use overlay::remote::Remote;
use overlay::store::Store;
use tempfile::TempDir;

/// A repository with a base that has a base, an overlay of it elsewhere, and a cache.
struct Trees {
    repository: TempDir,
    overlay: TempDir,
    cache: TempDir,
}

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

impl Trees {
    fn new() -> Self {
        let new = || tempfile::tempdir().expect("a temporary directory");
        let trees = Self { repository: new(), overlay: new(), cache: new() };
        trees.write("inner/r.yaml", OBJECT);
        trees.write("inner/kustomization.yaml", "resources: [r.yaml]\n");
        trees.write("base/kustomization.yaml", "resources: [../inner]\nnamePrefix: base-\n");
        trees.git(&["init", "--quiet"]);
        trees.commit();
        trees
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.repository.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
        command.args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
        let status = command.args(arguments).current_dir(self.repository.path()).status();
        assert!(status.expect("git runs").success(), "git {arguments:?}");
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }

    fn url(&self, rest: &str) -> String {
        format!("file://{}{rest}", self.repository.path().display())
    }

    fn build(&self, kustomization: &str) -> Result<String, String> {
        let remote = Remote::new(self.cache.path().to_owned(), false);
        self.build_with(kustomization, Some(Arc::new(remote)))
    }

    fn build_with(
        &self,
        kustomization: &str,
        remote: Option<Arc<Remote>>,
    ) -> Result<String, String> {
        let root = fs::canonicalize(self.overlay.path()).expect("a directory");
        fs::write(root.join("kustomization.yaml"), kustomization).expect("a file");
        let options = Options { remote, ..Options::default() };
        let built = build(&Disk::new(root.clone()), &Store::default(), &options, &root);
        let printed = built.output.and_then(|resources| print(&resources, &Limits::PERSON));
        printed.map_err(|error| error.to_string().replace(&self.url(""), "URL"))
    }
}

#[test]
fn a_base_of_a_repository_is_built_with_its_own_bases() {
    let trees = Trees::new();
    let kustomization = format!("resources: ['{}']\nnameSuffix: -s\n", trees.url("//base"));
    let output = trees.build(&kustomization).expect("built");
    assert_eq!(output, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: base-a-s\n");
}

#[test]
fn a_component_may_come_from_a_repository() {
    let trees = Trees::new();
    let component =
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: c-\n";
    trees.write("component/kustomization.yaml", component);
    trees.commit();
    let (base, component) = (trees.url("//inner"), trees.url("//component"));
    let output = trees.build(&format!("resources: ['{base}']\ncomponents: ['{component}']\n"));
    assert!(output.expect("built").contains("name: c-a\n"));
}

#[test]
fn origins_name_the_repository() {
    let trees = Trees::new();
    let url = trees.url("//base?ref=main");
    let kustomization = format!("resources: ['{url}']\nbuildMetadata: [originAnnotations]\n");
    let output = trees.build(&kustomization).expect("built").replace(&trees.url(""), "URL");
    assert!(output.contains("path: inner/r.yaml\n      repo: URL\n      ref: main\n"), "{output}");
}

#[cfg(unix)]
#[test]
fn nothing_leaves_a_repository() {
    let trees = Trees::new();
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::write(outside.path().join("kustomization.yaml"), "namePrefix: x\n").expect("a file");
    let link = trees.repository.path().join("link");
    std::os::unix::fs::symlink(outside.path(), link).expect("a link");
    trees.write("up/kustomization.yaml", "resources: [../link]\n");
    trees.commit();
    for base in ["//up", "//link"] {
        let url = trees.url(base);
        let error = trees.build(&format!("resources: ['{url}']\n")).expect_err("outside");
        assert!(error.contains("outside its repository"), "{error}");
    }
}

#[test]
fn a_directory_that_the_repository_lacks_is_named() {
    let trees = Trees::new();
    let url = trees.url("//nowhere");
    let error = trees.build(&format!("resources: ['{url}']\n")).expect_err("missing");
    assert!(error.contains("repository has no directory \"nowhere\""), "{error}");
}

#[test]
fn a_repository_that_leads_to_itself_is_a_cycle() {
    let trees = Trees::new();
    let url = trees.url("//base");
    trees.write("base/kustomization.yaml", &format!("resources: ['{url}']\n"));
    trees.commit();
    let error = trees.build(&format!("resources: ['{url}']\n")).expect_err("a cycle");
    assert!(error.contains("cycle of bases"), "{error}");
}

#[test]
fn a_build_that_fetches_nothing_says_so() {
    let trees = Trees::new();
    let kustomization = format!("resources: ['{}']\n", trees.url("//base"));
    let error = trees.build_with(&kustomization, None).expect_err("not fetched");
    assert!(error.starts_with("URL//base: is a URL, and this build fetches nothing"), "{error}");
}

#[test]
fn errors_in_a_repository_name_its_url() {
    let trees = Trees::new();
    trees.write("base/kustomization.yaml", "resources: [missing.yaml]\n");
    trees.commit();
    let url = trees.url("//base?ref=main");
    let error = trees.build(&format!("resources: ['{url}']\n")).expect_err("missing");
    assert_eq!(
        error,
        "URL//base/missing.yaml?ref=main: no such file or directory\n  \
         from URL//base/kustomization.yaml?ref=main:1:13\n  \
         from kustomization.yaml:1:13"
    );
}

#[test]
fn files_are_downloaded() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let trees = Trees::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/r.yaml", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let reader = BufReader::new(stream.try_clone().expect("a stream"));
        reader.lines().map_while(Result::ok).find(String::is_empty);
        let length = OBJECT.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{OBJECT}")
            .expect("sent");
    });
    let output = trees.build(&format!("resources: ['{url}']\nnamePrefix: p-\n"));
    assert!(output.expect("built").contains("name: p-a\n"));
}
