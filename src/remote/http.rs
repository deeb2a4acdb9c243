//! Files by http and https, verified as this machine verifies.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{Answer, external};
use crate::error::{Error, ErrorKind, Place, Result};

/// Longest wait for a whole file.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Downloads a file of at most `limit` bytes; redirections are followed.
///
/// # Errors
/// Where the server cannot be reached, or the file is larger than `limit`.
pub(super) fn get(url: &str, limit: usize) -> Result<Answer> {
    ask(url, &[], limit)
}

/// As [`get`], signed in where there is an `authorization`; it does not go along with a redirection.
///
/// # Errors
/// As [`get`], and where the server refuses.
pub(crate) fn fetch(url: &str, authorization: Option<String>, limit: usize) -> Result<Bytes> {
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", &**value)).collect();
    fetch_with(url, &headers, limit)
}

/// As [`get`], with headers.
///
/// # Errors
/// As [`get`], and where the server refuses.
pub(crate) fn fetch_with(url: &str, headers: &[(&str, &str)], limit: usize) -> Result<Bytes> {
    match ask(url, headers, limit)? {
        Answer::Content(content) => Ok(content),
        Answer::Status(status) => Err(external(url, format!("server answers {status}"))),
    }
}

fn ask(url: &str, headers: &[(&str, &str)], limit: usize) -> Result<Answer> {
    let failed = |error: &dyn std::fmt::Display| external(url, format!("cannot download: {error}"));
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.call().map_err(|error| failed(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Ok(Answer::Status(status.to_string()));
    }
    let mut content = Vec::new();
    // One byte more than allowed tells a file that is too large.
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let body = response.body_mut().as_reader();
    body.take(most).read_to_end(&mut content).map_err(|error| failed(&error))?;
    if content.len() > limit {
        let message = format!("file is larger than {limit} bytes");
        return Err(Error::new(ErrorKind::Limit, Place::file(url), message));
    }
    Ok(Answer::Content(content.into()))
}

/// What talks to servers; a status that is no success is no error.
pub(crate) fn agent() -> Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider);
    let config = Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .user_agent("kubectl-overlay");
    config.build().new_agent()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives `answer` once.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/r.yaml", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let reader = BufReader::new(stream.try_clone().expect("a stream"));
            reader.lines().map_while(std::result::Result::ok).find(String::is_empty);
            stream.write_all(answer.as_bytes()).expect("an answer");
        });
        url
    }

    #[test]
    fn a_file_is_downloaded() {
        let url = serve("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na: b");
        assert!(matches!(get(&url, 4), Ok(Answer::Content(content)) if content == "a: b"));
    }

    #[test]
    fn a_file_is_bounded() {
        let url = serve("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na: b");
        assert_eq!(get(&url, 3).expect_err("too large").kind(), ErrorKind::Limit);
    }

    #[test]
    fn a_refusal_is_no_failure() {
        let url = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        assert!(matches!(get(&url, 9), Ok(Answer::Status(status)) if status == "404 Not Found"));
    }

    #[test]
    fn a_server_that_is_not_there_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        drop(listener);
        let error = get(&url, 9).expect_err("nobody listens");
        assert!(error.message().starts_with("cannot download: "), "{error}");
    }
}
