//! Artifacts that an ArtifactGenerator puts together from parts of the repository.
//!
//! Source: source-watcher 2.x, `source.extensions.fluxcd.io/v1beta1`: copies are made in their order, a later one
//! over an earlier one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ecow::EcoString;

use super::Request;
use crate::error::{Error, ErrorKind, Place, Result};
use crate::files::{FileKind, Memory};
use crate::flux::api::SourceRef;
use crate::flux::ignore;
use crate::flux::sources::Source;
use crate::value::Value;

/// An object that makes artifacts.
pub(super) struct Generator {
    /// Its file, as it is shown.
    file: Arc<str>,
    namespace: String,
    /// Names that copies call sources by.
    sources: Vec<Input>,
    artifacts: Vec<Artifact>,
}

struct Input {
    alias: String,
    source: SourceRef,
}

struct Artifact {
    name: String,
    copies: Vec<Copy>,
}

struct Copy {
    from: String,
    to: String,
    exclude: Vec<String>,
}

impl Generator {
    /// Reads one, if it is one.
    pub(super) fn read(value: &Value, file: &Arc<str>) -> Option<Self> {
        let group = value.text_at(&["apiVersion"])?.split('/').next()?;
        if group != "source.extensions.fluxcd.io"
            || value.text_at(&["kind"]) != Some("ArtifactGenerator")
        {
            return None;
        }
        let namespace = text(value, &["metadata", "namespace"]);
        let inputs = list(value, &["spec", "sources"]).map(|input| {
            let field = |name: &str| EcoString::from(text(input, &[name]));
            let own = Some(field("namespace")).filter(|own| !own.is_empty());
            let source = SourceRef {
                api_version: EcoString::new(),
                kind: field("kind"),
                name: field("name"),
                namespace: own.unwrap_or_else(|| namespace.as_str().into()),
            };
            Input { alias: text(input, &["alias"]), source }
        });
        let artifacts = list(value, &["spec", "artifacts"]).map(|artifact| Artifact {
            name: text(artifact, &["name"]),
            copies: list(artifact, &["copy"])
                .map(|copy| Copy {
                    from: text(copy, &["from"]),
                    to: text(copy, &["to"]),
                    exclude: list(copy, &["exclude"])
                        .filter_map(Value::as_text)
                        .map(str::to_owned)
                        .collect(),
                })
                .collect(),
        });
        let file = file.clone();
        Some(Self { file, sources: inputs.collect(), artifacts: artifacts.collect(), namespace })
    }

    /// How many folders its file has in common with another one: of several clusters in a
    /// repository, each has its own.
    pub(super) fn nearness(&self, file: &Path) -> usize {
        let both = Path::new(&*self.file).components().zip(file.components());
        both.take_while(|(one, other)| one == other).count()
    }

    /// Whether it makes an artifact of this name.
    pub(super) fn makes(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.artifacts.iter().any(|artifact| artifact.name == name)
    }

    /// The artifact of the sources that `find` finds, or nothing where one of them is elsewhere.
    pub(super) fn artifact(
        &self,
        name: &str,
        request: &Request<'_>,
        find: &dyn Fn(&SourceRef) -> Result<Option<Source>>,
    ) -> Result<Option<Source>> {
        let mut files = Memory::default();
        files.insert_directory("/");
        let Some(artifact) = self.artifacts.iter().find(|artifact| artifact.name == name) else {
            return Ok(None);
        };
        for copy in &artifact.copies {
            let Some((alias, pattern)) =
                copy.from.strip_prefix('@').and_then(|from| from.split_once('/'))
            else {
                return Err(invalid(
                    name,
                    format!("copies from \"{}\", which is not @ALIAS/PATH", copy.from),
                ));
            };
            let Some(input) = self.sources.iter().find(|input| input.alias == alias) else {
                return Err(invalid(
                    name,
                    format!("copies from \"@{alias}\", which is none of its sources"),
                ));
            };
            let Some(source) = find(&input.source)? else { return Ok(None) };
            let Some(to) = copy.to.strip_prefix("@artifact/") else {
                return Err(invalid(
                    name,
                    format!("copies to \"{}\", which is not @artifact/PATH", copy.to),
                ));
            };
            copy_files(&source, pattern, to, &copy.exclude, request, &mut files)?;
        }
        Ok(Some(Source::new(Arc::new(files), PathBuf::from("/"), String::new())))
    }
}

fn copy_files(
    source: &Source,
    pattern: &str,
    to: &str,
    exclude: &[String],
    request: &Request<'_>,
    out: &mut Memory,
) -> Result<()> {
    let wild = |part: &&str| part.contains(['*', '?', '[']);
    let fixed: PathBuf = pattern.split('/').take_while(|part| !wild(part)).collect();
    let rest: Vec<&str> =
        pattern.split('/').skip_while(|part| !wild(part)).filter(|part| !part.is_empty()).collect();
    let base = source.root.join(&fixed);
    if source.files.kind(&base) == FileKind::File {
        let name = base.file_name().map(PathBuf::from).unwrap_or_default();
        let target =
            if to.is_empty() || to.ends_with('/') { Path::new(to).join(name) } else { to.into() };
        out.insert(target, source.files.read(&base, request.limits.file_bytes)?);
        return Ok(());
    }
    // Without a pattern the directory itself is copied.
    let target = match rest.is_empty() {
        true => Path::new(to).join(base.file_name().unwrap_or_default()),
        false => PathBuf::from(to),
    };
    let pattern = if rest.is_empty() { vec!["**"] } else { rest };
    let mut queue = vec![(base, PathBuf::new())];
    while let Some((directory, below)) = queue.pop() {
        for name in source.files.list(&directory)? {
            let (path, below) = (directory.join(&name), below.join(&name));
            match source.files.kind(&path) {
                FileKind::Directory => queue.push((path, below)),
                FileKind::File
                    if fits(&pattern, &below)
                        && !exclude.iter().any(|one| excluded(one, &below)) =>
                {
                    out.insert(
                        target.join(&below),
                        source.files.read(&path, request.limits.file_bytes)?,
                    );
                    if out.bytes() > request.limits.total_bytes {
                        let message =
                            format!("holds more than {} bytes", request.limits.total_bytes);
                        return Err(Error::new(ErrorKind::Limit, Place::file(to), message));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn excluded(pattern: &str, path: &Path) -> bool {
    fits(&pattern.split('/').collect::<Vec<_>>(), path)
}

/// Whether a path is of a pattern in which `**` stands for any number of names.
fn fits(pattern: &[&str], path: &Path) -> bool {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    // For each name the places of the pattern that lead there, so that many stars take no more time.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    let spread = |reached: &mut Vec<bool>| {
        for (at, part) in pattern.iter().enumerate() {
            reached[at + 1] |= reached[at] && *part == "**";
        }
    };
    spread(&mut reached);
    for name in &names {
        let mut next = vec![false; pattern.len() + 1];
        for (at, part) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match *part {
                "**" => next[at] = true,
                part => next[at + 1] |= ignore::matches_name(part, name),
            }
        }
        spread(&mut next);
        reached = next;
    }
    reached[pattern.len()]
}

fn invalid(name: &str, message: String) -> Error {
    Error::new(ErrorKind::Invalid, Place::file(format!("ExternalArtifact/{name}")), message)
}

fn text(value: &Value, path: &[&str]) -> String {
    value.text_at(path).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, path: &[&str]) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.at(path).and_then(Value::as_list).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stars_stand_for_any_number_of_names() {
        for (pattern, path, wanted) in [
            ("**", "a/b/c.yaml", true),
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a/b.yaml", false),
            ("**/*.yaml", "b.yaml", true),
            ("**/*.yaml", "a/b/c.yaml", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/d", false),
        ] {
            assert_eq!(excluded(pattern, Path::new(path)), wanted, "{pattern} {path}");
        }
    }
}
