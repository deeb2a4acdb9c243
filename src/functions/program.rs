//! Kustomize's older plugins: programs in a directory of their own, found by the kind of their
//! configuration.
//!
//! Source: kustomize `api/internal/plugins/{loader,execplugin}`.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use ecow::EcoString;

use super::{Surroundings, outcome};
use crate::error::{Error, ErrorKind, Place, Result};
use crate::kustomization::node::{Decode, Node, Rules, decode_as};
use crate::resource::Resource;
use crate::tools::{Call, Functions};
use crate::value::Value;
use crate::yaml;

/// A program with the arguments that its configuration gives it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<EcoString>,
    /// A file with more arguments, one a line.
    pub(super) arguments_file: EcoString,
}

/// The fields that stand for arguments.
#[derive(Default)]
struct Arguments {
    one_liner: EcoString,
    from_file: EcoString,
}

/// Bytes of the longest variable that is set. Source: `maxArgStringLength` of kustomize.
const LONGEST_VARIABLE: usize = 131_071;

impl Program {
    /// The program for a kind of configuration: `GROUP/VERSION/kind/Kind` in the plugins' home.
    pub(super) fn find(config: &Resource, functions: &Functions, place: &Place) -> Result<Self> {
        let gvk = config.gvk();
        let missing = |message: String| Error::new(ErrorKind::Missing, place.clone(), message);
        let Some(home) = &functions.home else {
            let message =
                format!("{} says no function, and there is no directory of plugins", gvk.kind);
            let error = missing(message);
            return Err(error.hint("add the annotation config.kubernetes.io/function"));
        };
        let directory =
            home.join(gvk.group.as_str()).join(gvk.version.as_str()).join(gvk.kind.to_lowercase());
        let path = directory.join(gvk.kind.as_str());
        if !path.is_file() {
            let error = missing(format!("there is no plugin \"{}\"", path.display()));
            return Err(error.hint("put the program there; plugins written in Go are not run"));
        }
        let arguments: Arguments = decode_as(&config.value, Rules::PLUGIN, &|_| place.clone())?;
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, place.clone(), message);
        let split = split(&arguments.one_liner);
        Ok(Self {
            path,
            arguments: split.ok_or_else(|| invalid("a quote of \"argsOneLiner\" has no end"))?,
            arguments_file: arguments.from_file,
        })
    }

    /// Adds the arguments that stand in a file.
    pub(super) fn add_arguments(&mut self, text: &str) {
        let lines = text.split('\n').map(|line| line.trim_start_matches(' '));
        self.arguments.extend(lines.filter(|line| !line.is_empty()).map(EcoString::from));
    }

    /// Runs it on objects; it finds its configuration in a file, the first argument.
    pub(super) fn run(
        &self,
        config: &Value,
        items: &[Value],
        around: &mut Surroundings<'_>,
    ) -> Result<Vec<Resource>> {
        let io = |error: std::io::Error| {
            let message = format!("cannot write the configuration of a plugin: {error}");
            Error::new(ErrorKind::Io, around.place.clone(), message)
        };
        let config = written(std::slice::from_ref(config))?;
        let mut file = tempfile::Builder::new().prefix("overlay-plugin-").tempfile().map_err(io)?;
        file.write_all(config.as_bytes()).map_err(io)?;
        let mut arguments: Vec<OsString> = vec![file.path().into()];
        arguments.extend(self.arguments.iter().map(|one| OsString::from(one.as_str())));
        let environment: [(OsString, OsString); 2] = [
            ("KUSTOMIZE_PLUGIN_CONFIG_STRING".into(), config.into()),
            ("KUSTOMIZE_PLUGIN_CONFIG_ROOT".into(), around.directory.into()),
        ];
        let fits = |(name, value): &&(_, _)| {
            let (name, value): (&OsString, &OsString) = (name, value);
            name.len() + 1 + value.len() <= LONGEST_VARIABLE
        };
        let environment: Vec<_> = environment.iter().filter(fits).cloned().collect();
        let input = written(items)?;
        let call = Call {
            program: &self.path,
            arguments: &arguments,
            environment: &environment,
            directory: Some(around.directory),
            input: input.as_bytes(),
            limit: around.limits.output_bytes,
            time: None,
        };
        let output = around.run(&call)?;
        outcome::objects(&output, around)
    }
}

fn written(documents: &[Value]) -> Result<String> {
    let mut text = String::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            text.push_str("---\n");
        }
        yaml::write(document, &mut text)?;
    }
    Ok(text)
}

/// The words of a line as a shell has them; `None` where a quote has no end.
fn split(line: &str) -> Option<Vec<EcoString>> {
    let mut words = Vec::new();
    let mut word = EcoString::new();
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quote != Some('\'') => word.extend(letters.next()),
            '\'' | '"' if quote.is_none() => quote = Some(letter),
            _ if quote == Some(letter) => quote = None,
            '#' if quote.is_none() => break,
            _ if letter.is_whitespace() && quote.is_none() => {
                words.push(std::mem::take(&mut word));
            }
            _ => word.push(letter),
        }
    }
    words.push(word);
    // An empty pair of quotes is no word either.
    words.retain(|word| !word.is_empty());
    quote.is_none().then_some(words)
}

impl Decode for Arguments {
    fn decode(&mut self, node: &Node<'_>) {
        node.record(&["argsOneLiner", "argsFromFile"], |name, node| match name {
            "argsOneLiner" => self.one_liner.decode(node),
            _ => self.from_file.decode(node),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_like_a_shell_does() {
        let words = |line| split(line).map(|words| words.join("|"));
        assert_eq!(words("a  'b c' \"d\\\"e\" f\\ g").as_deref(), Some("a|b c|d\"e|f g"));
        assert_eq!(words("a # b").as_deref(), Some("a"));
        assert_eq!(words("a''b ''").as_deref(), Some("ab"));
        assert_eq!(words("'a"), None);
    }
}
