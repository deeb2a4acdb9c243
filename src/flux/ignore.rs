//! Which files of a source its artifact leaves out: `.sourceignore` files, `spec.ignore` and what Flux leaves out anyway.
//!
//! The patterns look like those of `.gitignore` and are matched as go-git does, which differs from Git: a file below
//! an excluded directory can come back, and `**` stands only between slashes.
//!
//! Source: fluxcd/pkg `sourceignore/sourceignore.go`; go-git `plumbing/format/gitignore/pattern.go`.

use std::path::Path;

use crate::error::Result;
use crate::files::{FileKind, Files};
use crate::limits::Limits;

/// The name of the files with patterns.
pub const FILE: &str = ".sourceignore";

/// What Git keeps for itself. Source: `ExcludeVCS`.
const VERSION_CONTROL: &str = ".git/,.gitignore,.gitmodules,.gitattributes";

/// Media, archives, and the files of build services. Source: `ExcludeExt`, `ExcludeCI`, `ExcludeExtra`.
const DEFAULT: &str = "*.jpg,*.jpeg,*.gif,*.png,*.wmv,*.flv,*.tar.gz,*.zip,\
    .github/,.circleci/,.travis.yml,.gitlab-ci.yml,appveyor.yml,.drone.yml,cloudbuild.yaml,codeship-services.yml,codeship-steps.yml,\
    **/.goreleaser.yml,**/.sops.yaml,**/.flux.yaml";

/// Most directories that are searched for patterns.
const DIRECTORIES: usize = 100_000;

/// Most patterns of one source.
const PATTERNS: usize = 10_000;

/// Patterns, of which the last that matches counts.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    /// The directory that it is written in, from the root of the source.
    domain: Vec<String>,
    /// Between slashes.
    parts: Vec<String>,
    includes: bool,
    directories_only: bool,
    /// Whether there is a slash in it: then it is matched from its directory on.
    anchored: bool,
}

impl Rules {
    /// What is left out of every source, as if written in `domain`.
    #[must_use]
    pub fn default_in(domain: &[&str]) -> Self {
        let mut rules = Self::version_control_in(domain);
        rules.extend(DEFAULT.split(','), domain);
        rules
    }

    /// What belongs to Git.
    #[must_use]
    pub fn version_control_in(domain: &[&str]) -> Self {
        let mut rules = Self::default();
        rules.extend(VERSION_CONTROL.split(','), domain);
        rules
    }

    /// The rules of an artifact: its `.sourceignore` files, and `spec.ignore` last. What Flux leaves out anyway is left
    /// out only where none of these says anything; what belongs to Git always is.
    ///
    /// Source: fluxcd/pkg `artifact/storage/archive.go`, `SourceIgnoreFilter`.
    /// # Errors
    /// Where a directory or a file with patterns cannot be read.
    pub fn of_artifact(files: &dyn Files, root: &Path, spec: Option<&str>) -> Result<Self> {
        let own = Self::written(files, root, spec)?;
        let mut rules = match own.is_empty() {
            true => Self::default_in(&[]),
            false => Self::version_control_in(&[]),
        };
        rules.0.extend(own.0);
        Ok(rules)
    }

    /// The patterns that stand in `.sourceignore` files, and `more` last.
    ///
    /// # Errors
    /// As [`of_artifact`](Self::of_artifact).
    pub fn written(files: &dyn Files, root: &Path, more: Option<&str>) -> Result<Self> {
        let mut rules = Self::default();
        let mut left = DIRECTORIES;
        rules.load(files, root, &mut Vec::new(), &mut left)?;
        rules.add(more.unwrap_or_default(), &[]);
        Ok(rules)
    }

    /// The rules by which the flux program walks through a directory: what Flux leaves out anyway, and patterns of
    /// one's own besides.
    ///
    /// Source: fluxcd/pkg `kustomize/filters.go`.
    #[must_use]
    pub fn of_walk(own: Self) -> Self {
        let mut rules = Self::default_in(&[]);
        rules.0.extend(own.0);
        rules
    }

    /// Adds the patterns of a file that stands in the directory `domain`.
    pub fn add(&mut self, text: &str, domain: &[&str]) {
        let lines = text.lines();
        self.extend(lines.filter(|line| !line.starts_with('#') && !line.trim().is_empty()), domain);
    }

    fn extend<'a>(&mut self, patterns: impl Iterator<Item = &'a str>, domain: &[&str]) {
        let left = PATTERNS.saturating_sub(self.0.len());
        self.0.extend(patterns.take(left).map(|pattern| Pattern::new(pattern, domain)));
    }

    fn load(
        &mut self,
        files: &dyn Files,
        directory: &Path,
        domain: &mut Vec<String>,
        left: &mut usize,
    ) -> Result<()> {
        let file = directory.join(FILE);
        if files.kind(&file) == FileKind::File {
            let text = files.read(&file, Limits::WEBHOOK.file_bytes)?;
            let domain: Vec<_> = domain.iter().map(String::as_str).collect();
            self.add(&String::from_utf8_lossy(&text), &domain);
        }
        for name in files.list(directory)? {
            let path = directory.join(&name);
            let Some(name) = name.to_str().filter(|name| *name != ".git") else { continue };
            // A link to a directory is none: it might lead in circles.
            let real = files.canonical(directory).map(|directory| directory.join(name));
            if files.kind(&path) != FileKind::Directory
                || files.canonical(&path) != real
                || *left == 0
            {
                continue;
            }
            *left -= 1;
            domain.push(name.to_owned());
            self.load(files, &path, domain, left)?;
            domain.pop();
        }
        Ok(())
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any pattern brings back what others leave out.
    #[must_use]
    pub fn brings_back(&self) -> bool {
        self.0.iter().any(|pattern| pattern.includes)
    }

    /// Whether a path, from the root of the source, is left out.
    #[must_use]
    pub fn excludes(&self, path: &Path, is_directory: bool) -> bool {
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let last = self.0.iter().rev().find(|pattern| pattern.matches(&names, is_directory));
        last.is_some_and(|pattern| !pattern.includes)
    }
}

impl Pattern {
    fn new(text: &str, domain: &[&str]) -> Self {
        let (includes, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // Blanks at the end do not count, unless they are escaped.
        let text = if text.ends_with("\\ ") { text } else { text.trim_end_matches(' ') };
        let (directories_only, text) = match text.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            domain: domain.iter().map(|name| (*name).to_owned()).collect(),
            parts: text.split('/').map(str::to_owned).collect(),
            includes,
            directories_only,
            anchored: text.contains('/'),
        }
    }

    fn matches(&self, path: &[&str], is_directory: bool) -> bool {
        let within = path.len() > self.domain.len()
            && self.domain.iter().zip(path).all(|(wanted, name)| wanted == name);
        if !within {
            return false;
        }
        let path = &path[self.domain.len()..];
        match self.anchored {
            true => self.matches_path(path, is_directory),
            false => self.matches_name(path, is_directory),
        }
    }

    /// Any name on the path.
    fn matches_name(&self, path: &[&str], is_directory: bool) -> bool {
        let found = path.iter().position(|name| glob(self.parts[0].as_bytes(), name.as_bytes()));
        found.is_some_and(|at| !self.directories_only || is_directory || at + 1 < path.len())
    }

    /// The path from its beginning on; what lies below a match is matched too.
    fn matches_path(&self, mut path: &[&str], is_directory: bool) -> bool {
        let (mut matched, mut skips) = (false, false);
        for (at, part) in self.parts.iter().enumerate() {
            match part.as_str() {
                "" => skips = false,
                "**" if at + 1 == self.parts.len() => break,
                "**" => skips = true,
                part if part.contains("**") => return false,
                part => {
                    let fits = |name: &&str| glob(part.as_bytes(), name.as_bytes());
                    let found = match std::mem::take(&mut skips) {
                        true => path.iter().position(fits),
                        false => path.first().filter(|name| fits(name)).map(|_| 0),
                    };
                    let Some(found) = found else { return false };
                    path = &path[found + 1..];
                    matched = true;
                }
            }
        }
        matched && (!self.directories_only || is_directory || !path.is_empty())
    }
}

/// Whether a name is of a pattern with `*`, `?` and `[a-z]`.
pub(super) fn matches_name(pattern: &str, name: &str) -> bool {
    glob(pattern.as_bytes(), name.as_bytes())
}

/// One name: `*`, `?`, `[a-z]`, `[^a-z]` and `\`.
///
/// Source: Go `path/filepath.Match`.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on if what follows the last star does not fit.
    let (mut at, mut done, mut again) = (0, 0, None);
    loop {
        match pattern.get(at) {
            Some(b'*') => {
                again = Some((at + 1, done));
                at += 1;
                continue;
            }
            None if done == name.len() => return true,
            None => {}
            Some(_) => {
                if let Some(length) = name.get(done).and_then(|byte| one(&pattern[at..], *byte)) {
                    at += length;
                    done += 1;
                    continue;
                }
            }
        }
        match again {
            Some((behind, from)) if from < name.len() => {
                again = Some((behind, from + 1));
                (at, done) = (behind, from + 1);
            }
            _ => return false,
        }
    }
}

/// The bytes of the pattern that match a byte.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => {
            let negated = rest.first() == Some(&b'^');
            let mut at = usize::from(negated);
            let mut found = false;
            loop {
                let low = character(rest, &mut at)?;
                let high = match rest.get(at) {
                    Some(b'-') => {
                        at += 1;
                        character(rest, &mut at)?
                    }
                    _ => low,
                };
                found |= (low..=high).contains(&byte);
                if rest.get(at) == Some(&b']') {
                    return (found != negated).then_some(at + 2);
                }
            }
        }
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// A character of a class, which may be escaped.
fn character(class: &[u8], at: &mut usize) -> Option<u8> {
    if class.get(*at) == Some(&b'\\') {
        *at += 1;
    }
    let character = *class.get(*at)?;
    *at += 1;
    Some(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Memory;

    #[test]
    fn names_match_as_in_go() {
        for (pattern, name, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*", "", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b", "a1c", false),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[", "[", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!glob("*a".repeat(200).as_bytes(), "a".repeat(199).as_bytes()));
    }

    #[test]
    fn patterns_hold_where_they_are_written_and_the_last_one_wins() {
        let mut files = Memory::default();
        files.insert(".sourceignore", "*.md\n/charts/\n# comment\n!/charts/kept\n");
        files.insert("sub/.sourceignore", "secret.yaml\n!README.md\n");
        let rules = Rules::of_artifact(&files, Path::new("/"), Some("*.png\n!sub/*.png"))
            .expect("readable");
        for (path, wanted) in [
            ("README.md", true),
            ("sub/README.md", false),
            ("secret.yaml", false),
            ("sub/secret.yaml", true),
            ("charts/a.yaml", true),
            ("charts/kept", false),
            ("other/charts/a.yaml", false),
            ("a.png", true),
            ("sub/a.png", false),
            (".git/config", true),
            (".github/workflows/x.yaml", false),
            ("deep/er/.sops.yaml", false),
        ] {
            assert_eq!(rules.excludes(Path::new(path), false), wanted, "{path}");
        }
    }

    #[test]
    fn what_flux_leaves_out_anyway_counts_only_where_nothing_is_said() {
        let files = |patterns: &str| {
            let mut files = Memory::default();
            files.insert_directory("/");
            files.insert("deep/.sourceignore", patterns.to_owned());
            files
        };
        let excludes = |rules: Rules, path: &str| rules.excludes(Path::new(path), false);
        for (patterns, spec, wanted) in [
            ("", None, true),
            ("# none\n\n", Some(" \n# none"), true),
            ("", Some("/other"), false),
            ("other", None, false),
        ] {
            let (files, root) = (files(patterns), Path::new("/"));
            let rules = || Rules::of_artifact(&files, root, spec).expect("readable");
            for path in ["logo.png", ".github/a.yaml", "app/.sops.yaml"] {
                assert_eq!(excludes(rules(), path), wanted, "{patterns:?} {spec:?}: {path}");
            }
            assert!(excludes(rules(), ".gitignore"));
            let walk = Rules::of_walk(Rules::written(&files, root, spec).expect("readable"));
            assert!(excludes(walk, "logo.png"));
        }
    }
}
