//! What an entry of `resources` names, where it is no path: a file to download or a repository.
//!
//! Source: kustomize `api/internal/git/repospec.go`, whose reading of URLs this is.

use std::path::{Component, Path};
use std::time::Duration;

use super::escapes::unescaped;

/// How long a Git command may take where the URL does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(27);

/// The schemes that are known, in lower case.
const SCHEMES: [&str; 4] = ["ssh://", "https://", "http://", "file://"];

/// Something outside of the tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A file, by its http or https URL.
    File(String),
    /// A directory of a Git repository.
    Repository(Repository),
    /// An http or https URL that may be either: only its server can tell.
    Either(String, Repository),
}

/// A directory of a Git repository at one of its commits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repository {
    /// What `git fetch` takes.
    pub url: String,
    /// The directory within the repository, blank for its root.
    pub path: String,
    /// A branch, a tag or a commit; blank for the default branch.
    pub reference: String,
    /// The most that one Git command may take.
    pub timeout: Duration,
    /// Whether its submodules are wanted.
    pub submodules: bool,
    /// The entry itself.
    pub entry: String,
}

impl Repository {
    /// The directory as `originAnnotations` have it: kustomize calls the root `notCloned`.
    #[must_use]
    pub fn noted_path(&self) -> &str {
        if self.path.is_empty() { "notCloned" } else { &self.path }
    }

    /// Whether this one leads back to `other`, on whose way it was met.
    #[must_use]
    pub fn is_cycle_of(&self, other: &Self) -> bool {
        other.entry.starts_with(&self.entry)
    }
}

/// What an entry names, `None` for a path.
///
/// # Errors
/// Where it is a repository whose path leaves it.
pub fn read(entry: &str) -> Result<Option<Address>, String> {
    let repository = repository(entry)?;
    let lower = entry.to_ascii_lowercase();
    let is_web = lower.starts_with("http://") || lower.starts_with("https://");
    Ok(match repository {
        None if is_web => Some(Address::File(entry.to_owned())),
        None => None,
        Some(repository) if is_web && !is_marked(entry) => {
            Some(Address::Either(entry.to_owned(), repository))
        }
        Some(repository) => Some(Address::Repository(repository)),
    })
}

/// Whether a URL says by itself that it is a repository.
fn is_marked(entry: &str) -> bool {
    let (path, query) = entry.split_once('?').unwrap_or((entry, ""));
    let path = path.split_once("://").map_or(path, |(_, path)| path);
    path.contains("_git/")
        || path.contains("//")
        || path.contains(".git/")
        || path.ends_with(".git")
        || query.split('&').any(|pair| pair.starts_with("ref=") || pair.starts_with("version="))
}

/// The repository that an entry names, if it names one.
fn repository(entry: &str) -> Result<Option<Repository>, String> {
    if Path::new(entry).is_absolute() {
        return Ok(None);
    }
    let (address, query) = entry.split_once('?').unwrap_or((entry, ""));
    let Some((host, rest)) = host(address) else { return Ok(None) };
    let Some((repository, path)) = split(&rest, host == "file://") else { return Ok(None) };
    if repository.is_empty() {
        return Ok(None);
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    if leaves(path) {
        return Err(format!("path \"{path}\" leaves the repository"));
    }
    let query = Query::read(query);
    Ok(Some(Repository {
        url: format!("{host}{repository}"),
        path: path.to_owned(),
        reference: query.reference,
        timeout: query.timeout,
        submodules: query.submodules,
        entry: entry.to_owned(),
    }))
}

fn strip_prefix_of_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Scheme, user and host as Git takes them, and what follows them.
fn host(address: &str) -> Option<(String, String)> {
    let address = strip_prefix_of_any_case(address, "git::").unwrap_or(address);
    let schemes = SCHEMES.iter();
    let found = schemes.filter_map(|s| strip_prefix_of_any_case(address, s).map(|rest| (*s, rest)));
    let (scheme, rest) = found.clone().next().unwrap_or(("", address));
    if scheme == "file://" {
        return Some((scheme.to_owned(), rest.to_owned()));
    }
    let (user, rest) = user(rest);
    let is_github = ["github.com/", "github.com:"]
        .iter()
        .any(|github| strip_prefix_of_any_case(rest, github).is_some());
    // `user@host:path`, as scp has it.
    let is_scp = scheme.is_empty() && (!user.is_empty() || is_github);
    if scheme.is_empty() && !is_scp {
        return None;
    }
    let (host, path) = match separator(rest, is_scp) {
        Some(at) => (&rest[..=at], &rest[at + 1..]),
        None => (rest, ""),
    };
    let host = match (is_github, scheme == "ssh://" || !user.is_empty()) {
        (true, true) => format!("{user}github.com:"),
        (true, false) => "https://github.com/".to_owned(),
        (false, _) if host.is_empty() => return None,
        (false, _) => format!("{scheme}{user}{host}"),
    };
    Some((host, path.to_owned()))
}

/// `user@` at the beginning, and what follows it.
fn user(text: &str) -> (&str, &str) {
    let Some(at) = text.find('@') else { return ("", text) };
    let name = &text.as_bytes()[..at];
    let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    if is_name { text.split_at(at + 1) } else { ("", text) }
}

/// Where the host ends: at a slash, or at a colon before it where scp's way is meant.
fn separator(text: &str, is_scp: bool) -> Option<usize> {
    let slash = text.find('/');
    let colon = text.find(':').filter(|_| is_scp);
    match (slash, colon) {
        (None, colon) => colon,
        (Some(slash), Some(colon)) if colon > 0 && colon < slash => Some(colon),
        (slash, _) => slash,
    }
}

/// The repository and the path in it: at a marker, or after owner and name.
fn split(text: &str, is_file: bool) -> Option<(&str, &str)> {
    if let Some(at) = text.find("_git/") {
        let start = at + "_git/".len();
        let end = text[start..].find('/').map_or(text.len(), |slash| start + slash);
        return Some((&text[..end], text.get(end + 1..).unwrap_or_default()));
    }
    if let Some(parts) = text.split_once("//") {
        return Some(parts);
    }
    if let Some(at) = text.find(".git") {
        return Some(text.split_at(at + ".git".len()));
    }
    if is_file {
        return Some((text, ""));
    }
    let (owner, rest) = text.split_once('/')?;
    let name = rest.split_once('/').map_or(rest, |(name, _)| name);
    let end = owner.len() + 1 + name.len();
    Some((&text[..end], text.get(end + 1..).unwrap_or_default()))
}

/// Whether a path climbs above where it begins.
fn leaves(path: &str) -> bool {
    let clean = crate::files::clean(Path::new(path));
    clean.components().next() == Some(Component::ParentDir)
}

/// What a URL asks for behind its `?`; what cannot be read is as if it were not there.
struct Query {
    reference: String,
    timeout: Duration,
    submodules: bool,
}

impl Query {
    fn read(text: &str) -> Self {
        let pairs = pairs(text).unwrap_or_default();
        let get = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        Self {
            reference: get("ref").or_else(|| get("version")).unwrap_or_default().to_owned(),
            timeout: get("timeout").and_then(timeout).unwrap_or(DEFAULT_TIMEOUT),
            submodules: get("submodules").and_then(boolean).unwrap_or(true),
        }
    }
}

/// `None` where one of them is broken: then none of them counts.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if pair.contains(';') {
            return None;
        }
        Some((unescaped(key)?, unescaped(value)?))
    });
    pairs.collect()
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Seconds, or a duration as Go writes it: `1m30s`, `500ms`.
fn timeout(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds)).filter(|timeout| !timeout.is_zero());
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit() || c == '.');
        let unit_end = unit_end.map_or(rest.len(), |at| end + at);
        total += number * unit_seconds(&rest[end..unit_end])?;
        rest = &rest[unit_end..];
    }
    Duration::try_from_secs_f64(total).ok().filter(|timeout| !timeout.is_zero())
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" | "μs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(entry: &str) -> Option<(String, String, String)> {
        let repository = repository(entry).expect("no path that leaves")?;
        Some((repository.url, repository.path, repository.reference))
    }

    fn is(entry: &str, url: &str, path: &str, reference: &str) {
        assert_eq!(parts(entry), Some((url.into(), path.into(), reference.into())), "{entry}");
    }

    #[test]
    fn repositories_are_split_at_markers() {
        is("https://github.com/o/r/a/b?ref=v1", "https://github.com/o/r", "a/b", "v1");
        is("https://git.example.org/o/r.git/a", "https://git.example.org/o/r.git", "a", "");
        is("https://git.example.org/o/deep/r//a", "https://git.example.org/o/deep/r", "a", "");
        is("https://dev.azure.com/o/p/_git/r/a/b", "https://dev.azure.com/o/p/_git/r", "a/b", "");
        is("file:///srv/git/r", "file:///srv/git/r", "", "");
        is("file:///srv/git/r//a?version=x", "file:///srv/git/r", "a", "x");
        is("ssh://git@example.org:2222/o/r/a", "ssh://git@example.org:2222/o/r", "a", "");
    }

    #[test]
    fn github_has_ways_of_its_own() {
        is("github.com/o/r/a", "https://github.com/o/r", "a", "");
        is("GitHub.com/o/r", "https://github.com/o/r", "", "");
        is("git@github.com:o/r.git//a", "git@github.com:o/r.git", "a", "");
        is("git@github.com/o/r/a", "git@github.com:o/r", "a", "");
        is("ssh://git@github.com/o/r", "git@github.com:o/r", "", "");
        is("git::https://github.com/o/r", "https://github.com/o/r", "", "");
    }

    #[test]
    fn odd_urls_are_split_as_kustomize_splits_them() {
        is("https://git@github.com/o.git/r", "git@github.com:o.git", "r", "");
        is("ssh://github.com/o/r//a", "github.com:o/r", "a", "");
        is("http://github.com/o/r", "https://github.com/o/r", "", "");
        is("github.com:o/r?ref=v1", "https://github.com/o/r", "", "v1");
        is("HTTPS://github.com/o/r", "https://github.com/o/r", "", "");
        is("GIT::https://example.com/o/r.git.git/a", "https://example.com/o/r.git", ".git/a", "");
        is("https://example.com/o/r.gitx/a", "https://example.com/o/r.git", "x/a", "");
        is("https://github.com/o//r//a", "https://github.com/o", "r//a", "");
        is("https://github.com/o/r//./a", "https://github.com/o/r", "./a", "");
        is("https://github.com/../o/r", "https://github.com/../o", "r", "");
        is("git@ssh.dev.azure.com:v3/o/r/a", "git@ssh.dev.azure.com:v3/o", "r/a", "");
        is("git@gitlab.com:o/p/_git/r//a", "git@gitlab.com:o/p/_git/r", "a", "");
        is("file:///o/../r/x", "file:///o/../r/x", "", "");
        is("git::file:///o/r/a", "file:///o/r/a", "", "");
        is("user@:o/r.git/a", "user@:o/r.git", "a", "");
        is("http://[::1]:8080/o/r/a", "http://[::1]:8080/o/r", "a", "");
    }

    #[test]
    fn scp_needs_a_user() {
        is("git@example.org:o/r/a?ref=main", "git@example.org:o/r", "a", "main");
        assert_eq!(parts("example.org:o/r"), None);
    }

    #[test]
    fn paths_are_no_repositories() {
        for entry in
            ["a.yaml", "../base", "example.org/o/r", "/srv/r", ".", "https://example.org/r"]
        {
            assert_eq!(parts(entry), None, "{entry}");
        }
        assert!(repository("https://github.com/o/r/../../x").is_err());
    }

    #[test]
    fn only_unmarked_urls_are_asked_for() {
        let address = |entry| read(entry).expect("no path that leaves");
        assert!(matches!(address("https://example.org/r.yaml"), Some(Address::File(_))));
        assert!(matches!(address("https://example.org/a/r.yaml"), Some(Address::Either(..))));
        assert!(matches!(address("https://example.org/a/r?ref=x"), Some(Address::Repository(_))));
        assert_eq!(address("base"), None);
    }

    #[test]
    fn queries_say_how_to_fetch() {
        let read = |query: &str| {
            let query = Query::read(query);
            (query.reference, query.timeout.as_millis(), query.submodules)
        };
        assert_eq!(read(""), (String::new(), 27_000, true));
        assert_eq!(
            read("version=a&ref=b%2Fc&timeout=60&submodules=0"),
            ("b/c".into(), 60_000, false)
        );
        assert_eq!(read("timeout=1m0.5s").1, 60_500);
        assert_eq!(read("timeout=-1&submodules=perhaps"), (String::new(), 27_000, true));
        assert_eq!(read("ref=%zz").0, "");
    }
}
