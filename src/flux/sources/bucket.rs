//! A bucket of an object store that speaks S3.
//!
//! Source: source-controller `internal/controller/bucket_controller.go`, `internal/index/digest.go`; Amazon S3 API,
//! `ListObjectsV2`, `GetObject`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::api::Bucket;
use super::super::ignore::{FILE, Rules};
use super::Source;
use crate::archive;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::Memory;
use crate::remote::escapes::{escaped, unescaped};
use crate::remote::http;
use crate::remote::signature::{self, AccessKey, Signed, hex};

/// Most bytes of one page of a list: a thousand keys of at most 1,024 bytes, escaped.
const PAGE_BYTES: usize = 8 << 20;

/// Most bytes of a file with patterns.
const PATTERNS_BYTES: usize = 1 << 20;

/// Where a bucket is that says nothing of it.
const REGION: &str = "us-east-1";

/// An access key for a bucket. Its `Debug` shows nothing of it.
pub struct Key(AccessKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    /// A key and its secret.
    #[must_use]
    pub fn new(id: String, secret: String) -> Self {
        Self(AccessKey::new(id, secret, None))
    }
}

/// The files that a Bucket leads to.
///
/// # Errors
/// Where the store cannot be reached or refuses, speaks another language than S3, or holds too much.
pub fn bucket(object: &Bucket, key: Option<&Key>, limits: &archive::Limits) -> Result<Source> {
    let store = Store::new(object, key)?;
    let index = store.index(object, limits)?;
    let mut files = Memory::default();
    files.insert_directory("/");
    let mut left = limits.bytes;
    for name in index.keys() {
        let content = store.object(name, usize::try_from(left).unwrap_or(usize::MAX))?;
        left = left.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
        files.insert(name, content);
    }
    let revision = revision(&index);
    Ok(Source::new(Arc::new(files), PathBuf::from("/"), revision))
}

/// A bucket of a store.
struct Store<'a> {
    /// `https://host`
    base: String,
    host: String,
    region: &'a str,
    name: &'a str,
    shown: String,
    key: Option<&'a Key>,
}

impl<'a> Store<'a> {
    fn new(object: &'a Bucket, key: Option<&'a Key>) -> Result<Self> {
        let shown = format!("Bucket/{}/{}", object.meta.namespace, object.meta.name);
        let refused = |message: String| {
            let error = Error::new(ErrorKind::Invalid, Place::file(shown.as_str()), message);
            Err(error.hint("--local-source has a directory stand for it"))
        };
        if !matches!(object.provider.as_str(), "" | "generic" | "aws") {
            return refused(format!("the provider \"{}\" is not asked here", object.provider));
        }
        let (host, name) = (object.endpoint.as_str(), object.bucket_name.as_str());
        let fits = |text: &str, more: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c) || more.contains(c);
            !text.is_empty() && text.chars().all(fits) && !text.contains("..")
        };
        if !fits(host, ":[]") || !fits(name, "_") {
            return refused(
                "its endpoint is no HOST:PORT, or its name is none of a bucket".to_owned(),
            );
        }
        let scheme = if object.insecure { "http" } else { "https" };
        let region = if object.region.is_empty() { REGION } else { &object.region };
        let base = format!("{scheme}://{host}");
        Ok(Self { base, host: host.to_owned(), region, name, shown, key })
    }

    /// The keys that count, with the tag of their content.
    fn index(&self, object: &Bucket, limits: &archive::Limits) -> Result<BTreeMap<String, String>> {
        let mut rules = Rules::default();
        match self.object(FILE, PATTERNS_BYTES) {
            Ok(patterns) => rules.add(&String::from_utf8_lossy(&patterns), &[]),
            Err(error) if error.message().contains("404") => {}
            Err(error) => return Err(error),
        }
        rules.add(object.ignore.as_deref().unwrap_or_default(), &[]);
        let mut index = BTreeMap::new();
        let mut token = String::new();
        loop {
            let page = self.page(&object.prefix, &token)?;
            for (name, tag) in self.entries(&page, limits)? {
                let is_folder = name.ends_with('/');
                if !is_folder && name != FILE && !rules.excludes(Path::new(&name), false) {
                    index.insert(name, tag);
                }
            }
            if index.len() > limits.entries {
                let message = format!("holds more than {} objects", limits.entries);
                return Err(self.error(ErrorKind::Limit, message));
            }
            match element(&page, "NextContinuationToken").map(unescaped_xml) {
                Some(next) if !next.is_empty() && next != token => token = next,
                _ => return Ok(index),
            }
        }
    }

    fn page(&self, prefix: &str, token: &str) -> Result<String> {
        // Sorted by name, as the signature wants them.
        let mut query = String::new();
        if !token.is_empty() {
            query = format!("continuation-token={}&", escaped(token, ""));
        }
        query += "encoding-type=url&list-type=2";
        if !prefix.is_empty() {
            query += &format!("&prefix={}", escaped(prefix, ""));
        }
        let page = self.get("", &query, PAGE_BYTES)?;
        let page = String::from_utf8_lossy(&page).into_owned();
        match page.contains("<ListBucketResult") {
            true => Ok(page),
            false => Err(self.error(ErrorKind::External, "answers with no list of a bucket")),
        }
    }

    /// Keys and tags of a page.
    fn entries(&self, page: &str, limits: &archive::Limits) -> Result<Vec<(String, String)>> {
        let mut entries = Vec::new();
        for part in page.split("<Contents>").skip(1) {
            let part = part.split("</Contents>").next().unwrap_or_default();
            let name = element(part, "Key").map(unescaped_xml).and_then(|name| unescaped(&name));
            let tag = element(part, "ETag").map(unescaped_xml).unwrap_or_default();
            let Some(name) = name else {
                return Err(self.error(ErrorKind::External, "lists a key that cannot be read"));
            };
            let odd = |part: &str| matches!(part, "." | "..");
            if name.split('/').any(odd)
                || name.contains(['\\', '\0'])
                || name.len() > limits.path_bytes
            {
                let shown = name.escape_debug();
                return Err(self.error(
                    ErrorKind::Forbidden,
                    format!("holds the key \"{shown}\", which is no path"),
                ));
            }
            entries.push((name, tag.trim_matches('"').to_owned()));
        }
        Ok(entries)
    }

    fn object(&self, name: &str, limit: usize) -> Result<bytes::Bytes> {
        self.get(&format!("/{}", escaped(name, "/")), "", limit)
    }

    fn get(&self, below: &str, query: &str, limit: usize) -> Result<bytes::Bytes> {
        let path = format!("/{}{below}", self.name);
        let (time, body) = (signature::now(), hex(&Sha256::digest(b"")));
        let mut headers = vec![("x-amz-content-sha256", body.as_str())];
        let signed = Signed {
            host: &self.host,
            region: self.region,
            service: "s3",
            method: "GET",
            path: &path,
            query,
            time: &time,
            headers: &headers.clone(),
            body: b"",
        };
        let authorization = self.key.map(|key| key.0.authorization(&signed));
        headers.push(("x-amz-date", &time));
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let joint = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{joint}{query}", self.base);
        let content = http::fetch_with(&url, &headers, limit);
        content.map_err(|error| error.within(Place::file(self.shown.as_str())))
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, Place::file(self.shown.as_str()), message)
    }
}

/// The digest over all keys and tags.
fn revision(index: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, tag) in index {
        hash.update(format!("{name} {tag}\n"));
    }
    format!("sha256:{}", hex(&hash.finalize()))
}

/// The text of the first element of a name that holds text only.
fn element<'t>(xml: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split('<').next()
}

fn unescaped_xml(text: &str) -> String {
    let entities = [
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_over_sorted_keys() {
        let index = [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())];
        // printf 'a 1\nb 2\n' | sha256sum
        assert_eq!(
            revision(&index.into()),
            "sha256:2951835de33689a441bfa61bc7af99b1f0305ca8ec0ab4dd508f14f57b27ca23"
        );
    }
}
