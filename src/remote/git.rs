//! Checkouts by the `git` program, which has the user's credentials, proxies and protocols.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::{Repository, external, hash, keep, kept, unwritable};
use crate::error::{Error, ErrorKind, Place, Result};

/// How often a running command is looked after.
const TICK: Duration = Duration::from_millis(5);

/// The checkout of a repository below `directory`, fetched where it is not there.
///
/// # Errors
/// Where Git fails or takes too long, or `offline` is set and the commit is not there.
pub(super) fn checkout(
    directory: &Path,
    repository: &Repository,
    offline: bool,
) -> Result<PathBuf> {
    if repository.reference.starts_with('-') {
        // Git would take it for an option.
        let place = Place::file(repository.entry.as_str());
        return Err(Error::new(ErrorKind::Invalid, place, "a reference cannot begin with \"-\""));
    }
    let noted = directory.join("refs").join(hash(&repository.reference));
    let commit = match (is_commit(&repository.reference), offline) {
        (true, _) => Some(repository.reference.clone()),
        (false, true) => kept(&noted).and_then(|text| String::from_utf8(text.to_vec()).ok()),
        (false, false) => advertised(repository)?,
    };
    if let Some(commit) = commit.filter(|commit| is_commit(commit)) {
        let checkout = directory.join(name(&commit, repository));
        if checkout.is_dir() {
            note(&noted, &commit)?;
            return Ok(checkout);
        }
    }
    if offline {
        return Err(external(&repository.entry, "not fetched before, and the build is offline"));
    }
    let (commit, checkout) = fetch(directory, repository)?;
    note(&noted, &commit)?;
    Ok(checkout)
}

fn note(path: &Path, commit: &str) -> Result<()> {
    keep(path, commit.as_bytes()).map_err(|error| unwritable(path, &error))
}

/// A checkout's directory, which tells whether submodules are there.
fn name(commit: &str, repository: &Repository) -> String {
    if repository.submodules { format!("{commit}+submodules") } else { commit.to_owned() }
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that the server says a reference leads to; `None` where it does not say.
fn advertised(repository: &Repository) -> Result<Option<String>> {
    let reference = match repository.reference.as_str() {
        "" => "HEAD",
        reference => reference,
    };
    let arguments = ["ls-remote", "--", &repository.url, reference, &format!("{reference}^{{}}")];
    let listed = run(Path::new("."), &arguments, repository)?;
    let find = |name: String| {
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(_, listed)| *listed == name).map(|(commit, _)| commit.to_owned())
    };
    // The order in which Git looks a name up; a tag with a text of its own leads on to a commit.
    let names = ["", "refs/", "refs/tags/", "refs/heads/"];
    let found = names.iter().find_map(|prefix| {
        find(format!("{prefix}{reference}^{{}}")).or_else(|| find(format!("{prefix}{reference}")))
    });
    Ok(found)
}

/// Fetches one commit into a directory beside, which is then moved to its place.
fn fetch(directory: &Path, repository: &Repository) -> Result<(String, PathBuf)> {
    let part = directory.join(format!("part-{}", std::process::id()));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).map_err(|error| unwritable(&part, &error))?;
    let fetched = fill(&part, repository).and_then(|commit| {
        let checkout = directory.join(name(&commit, repository));
        move_to(&part, &checkout).map_err(|error| unwritable(&checkout, &error))?;
        Ok((commit, checkout))
    });
    if fetched.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    fetched
}

/// Another process may have been faster: its checkout is the same.
fn move_to(part: &Path, checkout: &Path) -> std::io::Result<()> {
    match fs::rename(part, checkout) {
        Err(_) if checkout.is_dir() => fs::remove_dir_all(part),
        moved => moved,
    }
}

fn fill(part: &Path, repository: &Repository) -> Result<String> {
    let Repository { url, reference, submodules, .. } = repository;
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    run(part, &["init", "--quiet"], repository)?;
    // Submodules with relative URLs are looked up from it.
    run(part, &["remote", "add", "--", "origin", url], repository)?;
    run(part, &["fetch", "--quiet", "--depth=1", "--", url, reference], repository)?;
    run(part, &["checkout", "--quiet", "FETCH_HEAD"], repository)?;
    if *submodules {
        run(part, &["submodule", "--quiet", "update", "--init", "--recursive"], repository)?;
    }
    let commit = run(part, &["rev-parse", "HEAD"], repository)?;
    let _ = fs::remove_dir_all(part.join(".git"));
    Ok(commit.trim().to_owned())
}

/// What a command prints.
fn run(directory: &Path, arguments: &[&str], repository: &Repository) -> Result<String> {
    let failed = |message: String| external(&repository.entry, message);
    let mut command = Command::new("git");
    command.args(arguments).current_dir(directory).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A checkout is its own repository, wherever a hook of another one may have started us.
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let child = command.spawn().map_err(|error| {
        failed(format!("cannot run git: {error}")).hint("remote bases need the \"git\" program")
    })?;
    let verb = arguments.first().copied().unwrap_or_default();
    match finished(child, repository.timeout) {
        Ok(Some((true, stdout, _))) => Ok(stdout),
        Ok(Some((false, _, stderr))) => {
            Err(failed(format!("git {verb} failed: {}", cause(&stderr))))
        }
        Ok(None) => Err(failed(format!("git {verb} took longer than {:?}", repository.timeout))
            .hint("\"?timeout=120\" in the URL gives it more time")),
        Err(error) => Err(failed(format!("git {verb} failed: {error}"))),
    }
}

/// Git's own reason: its last `fatal:` or `error:` line.
fn cause(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let told = lines()
        .find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")));
    told.or_else(|| lines().next_back()).unwrap_or("it does not say why").to_owned()
}

/// Waits for the end of a command; `None` where it had to be stopped.
fn finished(
    mut child: Child,
    timeout: Duration,
) -> std::io::Result<Option<(bool, String, String)>> {
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > timeout {
            // What it has started may hold the pipes open, so the readers are left to themselves.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(TICK);
    };
    let text = |receiver: Receiver<String>| receiver.recv().unwrap_or_default();
    Ok(Some((status.success(), text(stdout), text(stderr))))
}

/// Reads a pipe to its end beside the command, which would wait for it otherwise.
fn reader(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody waits for it where the command was stopped.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{Address, Remote};

    fn git(directory: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=n", "-c", "user.email=n@example.org"]);
        command.args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
        let status = command.args(arguments).current_dir(directory).status().expect("git runs");
        assert!(status.success(), "git {arguments:?}");
    }

    fn commit(directory: &Path, text: &str) {
        fs::create_dir_all(directory.join("base")).expect("a directory");
        fs::write(directory.join("base/r.yaml"), text).expect("a file");
        git(directory, &["add", "."]);
        git(directory, &["commit", "--quiet", "--message", text]);
    }

    fn repository(directory: &Path, query: &str) -> Repository {
        let entry = format!("file://{}//base{query}", directory.display());
        match crate::remote::read(&entry) {
            Ok(Some(Address::Repository(repository))) => repository,
            other => panic!("{entry} is no repository: {other:?}"),
        }
    }

    fn content(remote: &Remote, repository: &Repository) -> Result<String> {
        let root = remote.checkout(repository)?;
        let file = root.join(&repository.path).join("r.yaml");
        Ok(String::from_utf8(kept(&file).expect("a file").to_vec()).expect("text"))
    }

    #[test]
    fn a_branch_that_moved_is_seen_and_a_tag_stays() {
        let (source, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        git(source.path(), &["init", "--quiet"]);
        commit(source.path(), "one");
        git(source.path(), &["tag", "--annotate", "--message", "v1", "v1"]);
        let remote = |offline| Remote::new(cache.path().to_owned(), offline);
        let (tag, head) = (repository(source.path(), "?ref=v1"), repository(source.path(), ""));
        assert_eq!(content(&remote(false), &head).unwrap(), "one");
        commit(source.path(), "two");
        let first = remote(false);
        assert_eq!(content(&first, &head).unwrap(), "two");
        commit(source.path(), "three");
        assert_eq!(content(&first, &head).unwrap(), "two", "one build sees one state");
        assert_eq!(content(&remote(false), &tag).unwrap(), "one");
        assert_eq!(content(&remote(true), &head).unwrap(), "two", "offline, what was seen last");
    }

    #[test]
    fn a_commit_is_fetched_once() {
        let (source, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        git(source.path(), &["init", "--quiet"]);
        commit(source.path(), "one");
        let list = run(source.path(), &["rev-parse", "HEAD"], &repository(source.path(), ""));
        let pinned = repository(source.path(), &format!("?ref={}", list.unwrap().trim()));
        let remote = || Remote::new(cache.path().to_owned(), false);
        assert_eq!(content(&remote(), &pinned).unwrap(), "one");
        fs::rename(source.path().join(".git"), source.path().join("gone")).unwrap();
        assert_eq!(content(&remote(), &pinned).unwrap(), "one");
    }

    #[test]
    fn failures_say_what_git_says() {
        let (source, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        git(source.path(), &["init", "--quiet"]);
        commit(source.path(), "one");
        let remote = |offline| Remote::new(cache.path().to_owned(), offline);
        let missing = repository(source.path(), "?ref=nowhere");
        let error = content(&remote(false), &missing).expect_err("no such branch");
        assert_eq!(error.message(), "git fetch failed: couldn't find remote ref nowhere");
        let error = content(&remote(true), &missing).expect_err("offline");
        assert_eq!(error.message(), "not fetched before, and the build is offline");
        let option = repository(source.path(), "?ref=--upload-pack=x");
        let error = content(&remote(false), &option).expect_err("an option");
        assert_eq!(error.message(), "a reference cannot begin with \"-\"");
    }

    #[test]
    fn a_command_that_takes_too_long_is_stopped() {
        let child = Command::new("sleep").arg("60").stdout(Stdio::piped()).spawn().expect("sleeps");
        let outcome = finished(child, Duration::from_millis(20)).expect("stopped");
        assert!(outcome.is_none());
    }
}
