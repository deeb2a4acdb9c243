//! `completion`: scripts that let a shell complete the command line, and kubectl's own protocol.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use clap_complete::Shell;
use overlay::files::Disk;
use overlay::flux::Rendered;
use overlay::flux::discover::{Asked, Beyond};
use overlay::{Limits, Warned};

use super::flux::repository::Checkout;
use crate::args::{self, Program};
use crate::exit;
use crate::find;
use crate::output::Console;
use crate::settings::Settings;

/// The positional of commands that take names of Kustomizations.
const KUSTOMIZATIONS: &str = "kustomizations";

/// What kubectl calls to complete the words of its plugin `overlay`.
const SCRIPT: &str = "#!/bin/sh\nexec kubectl-overlay __complete -- \"$@\"\n";

/// Ends the answer: complete files where there are no candidates, or nothing else.
///
/// Source: Cobra, `ShellCompDirective`.
const OR_FILES: &str = ":0";
const OR_NOTHING: &str = ":4";

/// Prints the script of a shell.
pub fn run(args: &args::Completion, program: Program, console: &Console) -> u8 {
    let shell = match args.shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
        args::Shell::Powershell => Shell::PowerShell,
        args::Shell::Kubectl => {
            console.print(SCRIPT);
            return exit::OK;
        }
    };
    // Shells complete the word that is typed first, so the scripts are for the program's own name;
    // kubectl completes its plugins by other means.
    let name = program.shown().replace(' ', "-");
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(program), name, &mut script);
    console.print(&String::from_utf8_lossy(&script));
    exit::OK
}

/// Prints the candidates for the last of `words`, one a line with its description behind a tab, and
/// what is to be done without any.
pub fn answer(words: &[String], settings: &Settings, console: &Console) -> u8 {
    let (last, before) =
        words.split_last().map_or(("", words), |(last, rest)| (last.as_str(), rest));
    let mut root = args::command(Program::Kubectl);
    root.build();
    let command = before.iter().fold(&root, |at, word| at.find_subcommand(word).unwrap_or(at));
    let value = before.last().and_then(|word| option(command, word));
    let candidates = match value {
        Some(option) => values(option),
        None if last.starts_with('-') => flags(command),
        None => [subcommands(command), words_of(command, settings)].concat(),
    };
    let takes_files = value.is_some_and(|option| values(option).is_empty());
    let mut text = String::new();
    for (candidate, about) in candidates.iter().filter(|(word, _)| word.starts_with(last)) {
        let _ = match about.as_str() {
            "" => writeln!(text, "{candidate}"),
            about => writeln!(text, "{candidate}\t{about}"),
        };
    }
    let is_place = |one: &clap::Arg| one.get_id() == "overlay" || one.get_id() == KUSTOMIZATIONS;
    let takes_place = command.get_positionals().any(is_place);
    let is_open = takes_files || (value.is_none() && takes_place && !last.starts_with('-'));
    console.print(&format!("{text}{}\n", if is_open { OR_FILES } else { OR_NOTHING }));
    exit::OK
}

type Candidate = (String, String);

/// The option that `word` is, where the next word is its value.
fn option<'a>(command: &'a clap::Command, word: &str) -> Option<&'a clap::Arg> {
    let is_named = |one: &&clap::Arg| {
        let long = one.get_long().is_some_and(|long| word == format!("--{long}"));
        long || one.get_short().is_some_and(|short| word == format!("-{short}"))
    };
    let takes_value =
        |one: &&clap::Arg| one.get_action().takes_values() && !one.is_require_equals_set();
    command.get_arguments().filter(is_named).find(takes_value)
}

fn values(option: &clap::Arg) -> Vec<Candidate> {
    let values = option.get_possible_values();
    values.iter().map(|value| (value.get_name().to_owned(), about(value.get_help()))).collect()
}

fn flags(command: &clap::Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|one| !one.is_hide_set());
    let flag = |one: &clap::Arg| Some((format!("--{}", one.get_long()?), about(one.get_help())));
    shown.filter_map(flag).collect()
}

fn subcommands(command: &clap::Command) -> Vec<Candidate> {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    shown.map(|one| (one.get_name().to_owned(), about(one.get_about()))).collect()
}

/// The words that a command takes: the names of overlays or Kustomizations, or the values of its first word.
fn words_of(command: &clap::Command, settings: &Settings) -> Vec<Candidate> {
    let Some(word) = command.get_positionals().next() else {
        return Vec::new();
    };
    if word.get_id() == KUSTOMIZATIONS {
        return kustomizations(settings);
    }
    if word.get_id() != "overlay" {
        return values(word);
    }
    let files = Disk::new(settings.directory.clone());
    let shown = |path: &std::path::Path| overlay::Files::shown(&files, path).to_string();
    let names = find::names(&files, &settings.directory);
    names.into_iter().map(|(name, path)| (name, shown(&path))).collect()
}

/// The Kustomizations that stand in files, with what they render.
fn kustomizations(settings: &Settings) -> Vec<Candidate> {
    let unrendered = |_: &Asked<'_>| Warned { output: Ok(Rendered::default()), warnings: vec![] };
    let found = Checkout::around(Path::new("."), &[], settings).and_then(|checkout| {
        checkout.discover(&checkout.tree()?, &Limits::default(), &unrendered, &Beyond::default())
    });
    let nodes = found.map(|found| found.nodes).unwrap_or_default();
    let names = nodes
        .into_iter()
        .map(|node| (node.object.meta.name.to_string(), node.object.spec.path.clone()));
    names.collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}
