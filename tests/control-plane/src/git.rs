//! A Git server on loopback, as source-controller clones over HTTP and SSH only.
//!
//! It hands each request to `git http-backend`, Git's own server side, which is a CGI program.
//! Source: <https://git-scm.com/docs/git-http-backend>, and RFC 3875 for its environment and its answer.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::error::{Doing, Error, Result};
use crate::request::{self, block_on};

/// Serves the repositories that it is told to make, until it is dropped.
pub struct GitServer {
    folder: TempDir,
    address: std::net::SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl GitServer {
    /// Starts a server without repositories.
    ///
    /// # Errors
    /// Where no folder can be made or no port be had.
    pub fn start() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("git-server-").tempdir().doing("make a folder")?;
        let listener = block_on(TcpListener::bind(("127.0.0.1", 0))).doing("listen for Git")?;
        let address = listener.local_addr().doing("listen for Git")?;
        let root: Arc<Path> = folder.path().join("served").into();
        std::fs::create_dir(&root).doing("make a folder")?;
        let accepting = request::runtime().spawn(accept(listener, root));
        Ok(Self { folder, address, accepting })
    }

    /// The URL of a repository.
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}.git", self.address)
    }

    /// Commits files to the branch `main` of a repository, which is made if it is not there, and returns the commit.
    ///
    /// The tree then holds these files and no others.
    ///
    /// # Errors
    /// Where Git is missing or fails.
    pub fn commit(&self, repository: &str, files: &[(&str, &str)]) -> Result<String> {
        let tree = self.folder.path().join("trees").join(repository);
        if !tree.exists() {
            self.create(repository, &tree)?;
        }
        git(&tree, &["rm", "-r", "-q", "--ignore-unmatch", "."])?;
        for (name, text) in files {
            write(&tree.join(name), text)?;
        }
        git(&tree, &["add", "--all"])?;
        git(&tree, &["commit", "-q", "--allow-empty", "-m", "change"])?;
        git(&tree, &["push", "-q", "origin", "main"])?;
        git(&tree, &["rev-parse", "HEAD"])
    }

    fn create(&self, repository: &str, tree: &Path) -> Result<()> {
        let bare = self.folder.path().join("served").join(format!("{repository}.git"));
        std::fs::create_dir_all(&bare).doing("make a repository")?;
        git(&bare, &["init", "-q", "--bare", "-b", "main"])?;
        std::fs::create_dir_all(tree).doing("make a work tree")?;
        git(tree, &["init", "-q", "-b", "main"])?;
        git(tree, &["remote", "add", "origin", &bare.to_string_lossy()])?;
        Ok(())
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn write(path: &PathBuf, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).doing("make a folder")?;
    }
    std::fs::write(path, text).doing(format_args!("write \"{}\"", path.display()))
}

/// Runs Git without the settings of whoever runs the test.
fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "commit.gpgSign=false",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        // Set where a test runs from a Git hook, and then of another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        .stdin(Stdio::null())
        .output()
        .doing("run \"git\"")?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(Error::new(format!("git {}: {}", arguments.join(" "), stderr.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn accept(listener: TcpListener, root: Arc<Path>) {
    while let Ok((stream, _)) = listener.accept().await {
        let root = Arc::clone(&root);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&root), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    root: Arc<Path>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(backend(&root, request).await.unwrap_or_else(|error| {
        let mut response = Response::new(Full::from(error.to_string()));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}

async fn backend(root: &Path, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.doing("read a request")?.to_bytes();
    let header = |name: &str| header(&head.headers, name);
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .doing("run \"git http-backend\"")?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may answer without having read everything.
        let _ = stdin.write_all(&body).await;
    }
    let output = child.wait_with_output().await.doing("run \"git http-backend\"")?;
    response(&output.stdout)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads a CGI answer: header lines, among them the status unless it is 200, then an empty line and the body.
fn response(output: &[u8]) -> Result<Response<Full<Bytes>>> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| Error::new("git http-backend answered without headers"))?;
    let mut builder = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        builder = match name {
            "Status" => builder.status(value.split(' ').next().unwrap_or_default()),
            _ => builder.header(name, value),
        };
    }
    builder
        .body(Full::from(output[end + 4..].to_vec()))
        .doing("read the answer of git http-backend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_can_be_cloned() {
        let server = GitServer::start().unwrap();
        server.commit("shop", &[("a/old.txt", "old")]).unwrap();
        let commit = server.commit("shop", &[("b/new.txt", "new")]).unwrap();
        let target = tempfile::tempdir().unwrap();
        git(target.path(), &["clone", "-q", &server.url("shop"), "copy"]).unwrap();
        let copy = target.path().join("copy");
        assert_eq!(git(&copy, &["rev-parse", "HEAD"]).unwrap(), commit);
        assert_eq!(git(&copy, &["ls-files"]).unwrap(), "b/new.txt");
    }

    #[test]
    fn a_repository_that_is_not_there_cannot_be_cloned() {
        let server = GitServer::start().unwrap();
        let target = tempfile::tempdir().unwrap();
        let error = git(target.path(), &["clone", "-q", &server.url("none"), "copy"]).unwrap_err();
        assert!(error.to_string().contains("not found"), "{error}");
    }
}
