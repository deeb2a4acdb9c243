//! Git repositories by URL, and commits of a working tree.

use std::path::Path;
use std::process::Command;

use overlay::flux::api::{GitReference, GitRepository};
use overlay::flux::sources::{committed, git};
use overlay::remote::Remote;

use super::text;

pub(super) fn run(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
    command.args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
    let output = command.args(arguments).current_dir(directory).output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Commits a file with this content, and gives the commit.
fn commit(directory: &Path, content: &str) -> String {
    std::fs::create_dir_all(directory.join("app")).unwrap();
    std::fs::write(directory.join("app/a.yaml"), content).unwrap();
    run(directory, &["add", "."]);
    run(directory, &["commit", "--quiet", "--message", content]);
    run(directory, &["rev-parse", "HEAD"])
}

fn repository() -> (tempfile::TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    run(path, &["init", "--quiet"]);
    std::fs::write(path.join(".sourceignore"), "*.md\n").unwrap();
    std::fs::write(path.join("README.md"), "read me").unwrap();
    let mut commits = vec![commit(path, "one")];
    run(path, &["tag", "v1.0.0"]);
    commits.push(commit(path, "two"));
    run(path, &["tag", "--annotate", "--message", "v1.1.0", "v1.1.0"]);
    commits.push(commit(path, "three"));
    run(path, &["tag", "v2.0.0-rc.1"]);
    (folder, commits)
}

#[test]
fn only_what_is_to_be_checked_out_is_there() {
    let (folder, _) = repository();
    let cache = tempfile::tempdir().unwrap();
    let remote = Remote::new(cache.path().to_owned(), false);
    let names = |paths: &[&str]| {
        let reference = GitReference { branch: "main".into(), ..GitReference::default() };
        let url = format!("file://{}", folder.path().display()).into();
        let sparse_checkout = paths.iter().map(|path| (*path).into()).collect();
        let object = GitRepository { url, reference, sparse_checkout, ..GitRepository::default() };
        let source = git(&remote, &object)?;
        source.files.list(&source.root)
    };
    assert_eq!(names(&["app"]).unwrap(), [Path::new("app")]);
    // Where .sourceignore is not, it leaves nothing out.
    assert_eq!(names(&["README.md", "app/"]).unwrap(), ["README.md", "app"].map(Path::new));
    let error = names(&["app", "web"]).unwrap_err();
    assert!(error.message().starts_with("sparse checkout dir 'web' does not exist"), "{error}");
}

#[test]
fn every_kind_of_reference_leads_to_its_commit() {
    let (folder, commits) = repository();
    let cache = tempfile::tempdir().unwrap();
    let remote = Remote::new(cache.path().to_owned(), false);
    let fetched = |reference: GitReference| {
        let url = format!("file://{}", folder.path().display()).into();
        git(&remote, &GitRepository { url, reference, ..GitRepository::default() })
    };
    let reference = GitReference::default;
    for (wanted, content, revision) in [
        (
            GitReference { branch: "main".into(), ..reference() },
            "three",
            format!("main@sha1:{}", commits[2]),
        ),
        (
            GitReference { tag: "v1.0.0".into(), ..reference() },
            "one",
            format!("v1.0.0@sha1:{}", commits[0]),
        ),
        (
            GitReference { semver: "^1.0".into(), ..reference() },
            "two",
            format!("v1.1.0@sha1:{}", commits[1]),
        ),
        (
            GitReference { semver: ">=1.0.0-0".into(), ..reference() },
            "three",
            format!("v2.0.0-rc.1@sha1:{}", commits[2]),
        ),
        (
            GitReference { commit: commits[1].as_str().into(), ..reference() },
            "two",
            format!("sha1:{}", commits[1]),
        ),
        (
            GitReference {
                commit: commits[1].as_str().into(),
                branch: "main".into(),
                ..reference()
            },
            "two",
            format!("main@sha1:{}", commits[1]),
        ),
        (
            GitReference { name: "refs/heads/main".into(), ..reference() },
            "three",
            format!("refs/heads/main@sha1:{}", commits[2]),
        ),
    ] {
        let source = fetched(wanted).unwrap();
        assert_eq!(text(&source, "app/a.yaml").as_deref(), Some(content));
        assert_eq!(text(&source, "README.md"), None, ".sourceignore holds here too");
        assert_eq!(source.revision, revision);
    }
    let error = fetched(GitReference { semver: "^3".into(), ..reference() }).unwrap_err();
    assert!(error.message().contains("no tag is a version in the range"), "{error}");
    let error = fetched(GitReference { semver: "newest".into(), ..reference() }).unwrap_err();
    assert!(error.message().contains("is no range of versions"), "{error}");
    // Where nothing is said, Flux asks for master.
    let error = fetched(reference()).unwrap_err();
    assert!(error.message().contains("refs/heads/master"), "{error}");
}

#[test]
fn what_is_committed_leaves_out_changes_and_what_nobody_added() {
    let (folder, commits) = repository();
    let path = folder.path();
    std::fs::write(path.join("app/a.yaml"), "changed").unwrap();
    std::fs::write(path.join("app/new.yaml"), "new").unwrap();
    std::os::unix::fs::symlink("a.yaml", path.join("app/link.yaml")).unwrap();
    let source = committed(&path.join("app"), "HEAD", None).unwrap();
    assert_eq!(text(&source, "app/a.yaml").as_deref(), Some("three"));
    assert_eq!(text(&source, "app/new.yaml"), None);
    assert_eq!(text(&source, "README.md"), None);
    assert_eq!(source.revision, format!("main@sha1:{}", commits[2]));
    let source = committed(path, "v1.0.0", Some("app/")).unwrap();
    assert_eq!(text(&source, "app/a.yaml"), None);
    assert_eq!(source.revision, format!("v1.0.0@sha1:{}", commits[0]));
    let error = committed(path, "nowhere", None).unwrap_err();
    assert_eq!(error.message(), "there is no commit \"nowhere\"");
    let error = committed(path, "--all", None).unwrap_err();
    assert_eq!(error.message(), "a revision cannot begin with \"-\"");
}

#[test]
fn links_that_are_committed_are_not_in_the_artifact() {
    let (folder, _) = repository();
    std::os::unix::fs::symlink("a.yaml", folder.path().join("app/link.yaml")).unwrap();
    commit(folder.path(), "four");
    let source = committed(folder.path(), "HEAD", None).unwrap();
    assert_eq!(text(&source, "app/a.yaml").as_deref(), Some("four"));
    assert_eq!(text(&source, "app/link.yaml"), None);
}

#[test]
fn who_cannot_be_asked_for_versions_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let remote = Remote::new(cache.path().to_owned(), false);
    let reference = GitReference { semver: "1.x".into(), ..GitReference::default() };
    let url = "file:///nowhere/at/all".into();
    let object = GitRepository { url, reference, ..GitRepository::default() };
    let error = git(&remote, &object).err().unwrap().to_string();
    assert!(error.starts_with("file:///nowhere/at/all: git ls-remote failed"), "{error}");
}
