//! What Git has of a working tree at a revision: neither changes nor files that nobody added.
//!
//! The `git` program reads it; no file of the tree is touched.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::super::ignore::{FILE, Rules};
use super::included::including;
use super::{Content, Source};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::Memory;

/// Most bytes of all files of a revision.
const TOTAL_BYTES: u64 = 1 << 30;

/// Most files of a revision.
const FILES: usize = 500_000;

/// A file of a revision.
struct Blob<'a> {
    id: &'a str,
    path: &'a str,
}

/// The repository around `directory` at a revision, from its top directory on.
///
/// # Errors
/// Where there is no repository or no such revision, Git fails, or the revision is too large.
pub fn committed(directory: &Path, revision: &str, ignore: Option<&str>) -> Result<Source> {
    let commit = commit(directory, revision)?;
    let shown = format!("{}sha1:{commit}", branch(directory, revision));
    at(directory, &commit, &shown, &Content::ignoring(ignore))
}

/// The files of a commit; `shown` is how Flux writes that.
fn at(directory: &Path, commit: &str, shown: &str, content: &Content) -> Result<Source> {
    let listing = output(directory, &["ls-tree", "-r", "-z", "--full-tree", commit], None)?;
    let listing = String::from_utf8_lossy(&listing);
    let mut blobs: Vec<_> = listing.split('\0').filter_map(blob).take(FILES + 1).collect();
    if blobs.len() > FILES {
        return Err(too_large(directory, format!("holds more than {FILES} files")));
    }
    if let Some(sparse) = &content.sparse {
        blobs.retain(|blob| sparse.takes(blob.path));
        sparse.check(|path| {
            blobs.iter().any(|blob| Path::new("/").join(blob.path).starts_with(path))
        })?;
    }
    let of_rules = |blob: &&Blob<'_>| blob.path.rsplit('/').next() == Some(FILE);
    let root = Path::new("/");
    let patterns = Arc::new(memory(directory, blobs.iter().filter(of_rules))?);
    let patterns = including(patterns, root, content.here())?;
    let rules = Rules::of_artifact(&*patterns, root, content.ignore.as_deref())?;
    let kept = blobs.iter().filter(|blob| !rules.excludes(Path::new(blob.path), false));
    let files = Arc::new(memory(directory, kept)?);
    let source = Source::new(files, root.to_path_buf(), shown.to_owned());
    // What is included has yet to be filtered.
    let source = match content.included.is_empty() {
        true => source,
        false => source.into_artifact(content)?,
    };
    let (directory, commit, shown) = (directory.to_path_buf(), commit.to_owned(), shown.to_owned());
    let remade = move |content: &Content| at(&directory, &commit, &shown, content);
    Ok(Source { remade: Some(Arc::new(remade)), ..source })
}

/// The commit of the repository around `directory` where two revisions have parted.
///
/// # Errors
/// Where one of them is not there, or they have nothing in common.
pub fn merge_base(directory: &Path, one: &str, other: &str) -> Result<String> {
    let one = commit(directory, one)?;
    let other = commit(directory, other)?;
    line(directory, &["merge-base", &one, &other])
}

/// The commit that a revision means.
fn commit(directory: &Path, revision: &str) -> Result<String> {
    if revision.starts_with('-') {
        let place = Place::file(revision);
        return Err(Error::new(ErrorKind::Invalid, place, "a revision cannot begin with \"-\""));
    }
    line(directory, &["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])
        .map_err(|error| {
            let shown = directory.to_string_lossy();
            let message = format!("there is no commit \"{revision}\"");
            let missing = Error::new(ErrorKind::Missing, Place::file(&*shown), message);
            if error.kind() == ErrorKind::External { missing } else { error }
        })
}

/// `main@`, where the revision is a branch or a tag, or what is checked out is a branch.
fn branch(directory: &Path, revision: &str) -> String {
    let name = line(directory, &["rev-parse", "--abbrev-ref", revision]).unwrap_or_default();
    if name.is_empty() || name == "HEAD" { String::new() } else { format!("{name}@") }
}

/// A regular file; links, and what belongs to other repositories, are not in an artifact.
fn blob(entry: &str) -> Option<Blob<'_>> {
    let (about, path) = entry.split_once('\t')?;
    let id = about.strip_prefix("100644 blob ").or_else(|| about.strip_prefix("100755 blob "))?;
    Some(Blob { id, path })
}

fn memory<'a>(directory: &Path, blobs: impl Iterator<Item = &'a Blob<'a>>) -> Result<Memory> {
    let blobs: Vec<_> = blobs.collect();
    let wanted: String = blobs.iter().flat_map(|blob| [blob.id, "\n"]).collect();
    let contents = output(directory, &["cat-file", "--batch"], Some(wanted))?;
    let mut files = Memory::default();
    files.insert_directory("/");
    let mut rest = &contents[..];
    for Blob { path, .. } in blobs {
        let Some((content, behind)) = next_content(rest) else {
            return Err(failed(directory, format!("git gave no content for \"{path}\"")));
        };
        files.insert(path, content.to_vec());
        rest = behind;
    }
    Ok(files)
}

/// `ID blob SIZE`, a line break, as many bytes, a line break.
fn next_content(output: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', output)?;
    let about = std::str::from_utf8(&output[..end]).ok()?;
    let size = about.rsplit(' ').next()?.parse().ok()?;
    let (content, rest) = output[end + 1..].split_at_checked(size)?;
    Some((content, rest.get(1..)?))
}

fn line(directory: &Path, arguments: &[&str]) -> Result<String> {
    let output = output(directory, arguments, None)?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// What Git prints.
pub(super) fn output(
    directory: &Path,
    arguments: &[&str],
    input: Option<String>,
) -> Result<Vec<u8>> {
    let mut command = Command::new("git");
    command.arg("-C").arg(directory).args(arguments).env("LC_ALL", "C");
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    command.env("GIT_TERMINAL_PROMPT", "0");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let io = |error: std::io::Error| failed(directory, format!("cannot run git: {error}"));
    let mut child = command.spawn().map_err(io)?;
    let stdin = child.stdin.take();
    // Beside reading: each waits for the other once a pipe is full.
    let writer = std::thread::spawn(move || {
        stdin.zip(input).map(|(mut stdin, input)| stdin.write_all(input.as_bytes()))
    });
    let stderr = child.stderr.take();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(64 << 10).read_to_string(&mut text);
        }
        text
    });
    let mut content = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(TOTAL_BYTES + 1).read_to_end(&mut content).map_err(io)?;
    }
    let over = u64::try_from(content.len()).unwrap_or(u64::MAX) > TOTAL_BYTES;
    if over {
        let _ = child.kill();
    }
    let status = child.wait().map_err(io)?;
    let _ = writer.join();
    let said = errors.join().unwrap_or_default();
    if over {
        return Err(too_large(directory, format!("holds more than {TOTAL_BYTES} bytes")));
    }
    if !status.success() {
        let verb = arguments.first().copied().unwrap_or_default();
        let cause = said.lines().next_back().unwrap_or("it does not say why");
        let cause = cause.strip_prefix("fatal: ").unwrap_or(cause);
        return Err(failed(directory, format!("git {verb} failed: {cause}")));
    }
    Ok(content)
}

fn failed(directory: &Path, message: String) -> Error {
    Error::new(ErrorKind::External, Place::file(&*directory.to_string_lossy()), message)
}

fn too_large(directory: &Path, message: String) -> Error {
    Error::new(ErrorKind::Limit, Place::file(&*directory.to_string_lossy()), message)
}
