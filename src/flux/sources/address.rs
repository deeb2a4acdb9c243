//! The address of a repository, however its URL is written.

/// `host/path` of a URL: without credentials, and the same for HTTPS and SSH.
#[must_use]
pub fn address(url: &str) -> String {
    let (is_url, rest) = url.split_once("://").map_or((false, url), |(_, rest)| (true, rest));
    let (host, path) = match (is_url, rest.find(['/', ':'])) {
        // `user:secret@host`: the colon does not end the host.
        (true, _) => rest.split_once('/').unwrap_or((rest, "")),
        (false, Some(at)) => (&rest[..at], rest[at..].trim_start_matches(':')),
        (false, None) => ("", rest),
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host).to_lowercase();
    let path = path.trim_matches('/').trim_end_matches(".git");
    if host.is_empty() { path.to_owned() } else { format!("{host}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_address() {
        for url in [
            "https://github.com/example/shop",
            "https://me:secret@github.com/example/shop.git",
            "https://GitHub.com:443/example/shop/",
            "git@github.com:example/shop.git",
            "ssh://git@github.com/example/shop.git",
        ] {
            assert_eq!(address(url), "github.com/example/shop", "{url}");
        }
    }
}
