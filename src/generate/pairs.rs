//! The keys and values of a generated ConfigMap or Secret: from env files, literals and files.
//!
//! Source: kustomize `api/kv/kv.go`, `api/internal/generators/utils.go`.

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::FxHashSet;

use super::Inputs;
use crate::error::{Place, Result};
use crate::kustomization::ConfigMapArgs;
use crate::yaml::Step;

/// A key with its content, which need not be text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pair {
    pub(super) key: EcoString,
    pub(super) content: Bytes,
}

/// Longest line of an env file, in bytes; kustomize silently stops reading at a longer one.
/// Source: Go `bufio.MaxScanTokenSize`.
const LONGEST_LINE: usize = 65_535;

/// All pairs of a generator, sorted by key.
///
/// # Errors
/// Where a source cannot be read or parsed, or two of them say the same key.
pub(super) fn load(args: &ConfigMapArgs, inputs: &Inputs<'_>) -> Result<Vec<Pair>> {
    let mut pairs = Pairs { list: Vec::new(), keys: FxHashSet::default(), inputs, args };
    for (index, path) in args.envs.iter().enumerate() {
        let at = [Step::Key("envs"), Step::Index(index)];
        let content = (inputs.read)(path).map_err(|error| error.within((inputs.place)(&at)))?;
        pairs.add_lines(path, &content, &at)?;
    }
    for (index, literal) in args.literals.iter().enumerate() {
        pairs.add_literal(literal, &[Step::Key("literals"), Step::Index(index)])?;
    }
    for (index, source) in args.files.iter().enumerate() {
        pairs.add_file(source, &[Step::Key("files"), Step::Index(index)])?;
    }
    pairs.list.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(pairs.list)
}

struct Pairs<'a> {
    list: Vec<Pair>,
    keys: FxHashSet<EcoString>,
    inputs: &'a Inputs<'a>,
    args: &'a ConfigMapArgs,
}

impl Pairs<'_> {
    fn add(&mut self, key: &str, content: Bytes, at: &[Step<'_>]) -> Result<()> {
        let key = EcoString::from(key);
        if !self.keys.insert(key.clone()) {
            let message = format!("key \"{key}\" of \"{}\" is there already", self.args.name);
            return Err(self.inputs.invalid(at, message));
        }
        self.list.push(Pair { key, content });
        Ok(())
    }

    /// `key=value`, of whose value one pair of quotes is taken off.
    fn add_literal(&mut self, literal: &str, at: &[Step<'_>]) -> Result<()> {
        match literal.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                self.add(key, Bytes::copy_from_slice(unquoted(value).as_bytes()), at)
            }
            _ => {
                let error = self.inputs.invalid(at, "literal has no key");
                Err(error.hint("write it as key=value"))
            }
        }
    }

    /// A path, or `key=path`.
    fn add_file(&mut self, source: &str, at: &[Step<'_>]) -> Result<()> {
        let (key, path) = self.file_source(source, at)?;
        let read = (self.inputs.read)(path);
        let content = read.map_err(|error| error.within((self.inputs.place)(at)))?;
        self.add(key, content, at)
    }

    fn file_source<'s>(&self, source: &'s str, at: &[Step<'_>]) -> Result<(&'s str, &'s str)> {
        let Some((key, path)) = source.split_once('=') else {
            return Ok((base_name(source), source));
        };
        let message = if path.contains('=') {
            format!("neither the key nor the path of file \"{source}\" may contain \"=\"")
        } else if key.is_empty() {
            format!("file \"{source}\" has no key before \"=\"")
        } else if path.is_empty() {
            format!("file \"{source}\" has no path after \"=\"")
        } else {
            return Ok((key, path));
        };
        Err(self.inputs.invalid(at, message).hint("write it as path or as key=path"))
    }

    fn add_lines(&mut self, path: &str, content: &[u8], at: &[Step<'_>]) -> Result<()> {
        let ended = content.strip_suffix(b"\n").unwrap_or(content);
        if ended.is_empty() {
            return Ok(());
        }
        for (number, line) in (1..).zip(ended.split(|byte| *byte == b'\n')) {
            if line.len() > LONGEST_LINE {
                return Ok(());
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Ok(text) = std::str::from_utf8(line) else {
                let error = self.inputs.invalid(at, "line is not UTF-8");
                return Err(error.at(Place::new(path, number, 1)).within((self.inputs.place)(at)));
            };
            let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
            self.add_line(text, at)?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str, at: &[Step<'_>]) -> Result<()> {
        // Only the beginning is trimmed, and nothing is unquoted.
        let line = line.trim_start();
        if line.starts_with('#') {
            return Ok(());
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if key.is_empty() {
            return Ok(());
        }
        self.add(key, Bytes::copy_from_slice(value.as_bytes()), at)
    }
}

/// The text without the equal quotes around it.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// The last segment of a path, as Go's `path.Base` has it.
fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        Some("") | None if path.is_empty() => ".",
        Some("") | None => "/",
        Some(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn pairs(args: &ConfigMapArgs, file: &'static [u8]) -> Result<Vec<(String, String)>> {
        let read = |_: &str| Ok(Bytes::from_static(file));
        let place = |_: &[Step<'_>]| Place::file("kustomization.yaml");
        let pairs =
            load(args, &Inputs { file: &"kustomization.yaml".into(), read: &read, place: &place })?;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Ok(pairs.iter().map(|pair| (pair.key.to_string(), text(&pair.content))).collect())
    }

    fn literals(literals: &[&str]) -> Result<Vec<(String, String)>> {
        let literals = literals.iter().copied().map(EcoString::from).collect();
        pairs(&ConfigMapArgs { literals, ..ConfigMapArgs::default() }, b"")
    }

    fn env(content: &'static [u8]) -> Result<Vec<(String, String)>> {
        let envs = vec!["x.env".into()];
        pairs(&ConfigMapArgs { envs, ..ConfigMapArgs::default() }, content)
    }

    fn files(sources: &[&str]) -> Result<Vec<(String, String)>> {
        let files = sources.iter().copied().map(EcoString::from).collect();
        pairs(&ConfigMapArgs { files, ..ConfigMapArgs::default() }, b"x")
    }

    fn value(pairs: Result<Vec<(String, String)>>) -> String {
        pairs.expect("valid").swap_remove(0).1
    }

    fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
        let error: Error = result.expect_err("refused");
        error.message().to_owned()
    }

    #[test]
    fn one_pair_of_equal_quotes_is_taken_off_a_literal() {
        assert_eq!(value(literals(&["a=\"q\""])), "q");
        assert_eq!(value(literals(&["a=''q''"])), "'q'");
        assert_eq!(value(literals(&["a=\"q'"])), "\"q'");
        assert_eq!(value(literals(&["a=\""])), "\"");
        assert_eq!(value(literals(&["a=b=c"])), "b=c");
    }

    #[test]
    fn a_literal_needs_a_key() {
        assert_eq!(message(literals(&["=b"])), "literal has no key");
        assert_eq!(message(literals(&["a"])), "literal has no key");
    }

    #[test]
    fn a_key_is_said_once() {
        assert!(message(literals(&["a=1", "a=2"])).contains("there already"));
    }

    #[test]
    fn env_lines_keep_what_follows_the_key() {
        let pairs = env(b"\xef\xbb\xbfA=1 \r\n\n # no\n  B='x'\nHOME\n=y\n").expect("valid");
        let expected = [("A", "1 "), ("B", "'x'"), ("HOME", "")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn env_lines_are_utf_8() {
        assert_eq!(message(env(b"a=b\nc=\xff\n")), "line is not UTF-8");
    }

    #[test]
    fn a_file_is_called_by_its_base_name_or_its_key() {
        let keys: Vec<_> = files(&["a/b.txt", "k=c/d"]).expect("valid").into_iter().collect();
        assert_eq!(keys.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["b.txt", "k"]);
        assert!(message(files(&["=x"])).contains("no key"));
        assert!(message(files(&["x="])).contains("no path"));
        assert!(message(files(&["a=b=c"])).contains("may contain"));
    }

    #[test]
    fn base_names_are_those_of_go() {
        for (path, name) in [("", "."), ("/", "/"), ("a/", "a"), ("a/b", "b"), ("..", "..")] {
            assert_eq!(base_name(path), name);
        }
    }
}
