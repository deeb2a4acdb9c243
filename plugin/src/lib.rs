//! The plugin: one program that answers as `kubectl overlay` and as `flux overlay`.
//!
//! [`args`] says what may be typed, [`settings`] what is read from the environment, [`find`] which
//! directory an overlay's name means, [`identity`] whose objects it stands for, [`keys`] what opens encrypted
//! files, [`stage`] what is rehearsed on, [`faults`] what goes wrong there. Each command is a file of [`commands`]; everything that is
//! shown goes through [`output`], data to standard output and all else to standard error. The
//! library's error type is printed as it is; [`exit`] turns it into a code.

pub mod args;
pub mod commands;
pub mod exit;
pub mod faults;
pub mod find;
pub mod identity;
pub mod keys;
pub mod output;
pub mod settings;
pub mod stage;

use std::ffi::OsString;

use crate::output::Console;
use crate::settings::Settings;

/// Runs one command line, the program's name first, and says the exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    settings: &Settings,
    console: &Console,
) -> u8 {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let program = args::Program::of(arguments.first());
    if let Some(words) = asked_to_complete(program, &arguments) {
        return commands::completion::answer(&words, settings, console);
    }
    let command = args::command_for(program, &arguments);
    let matches = command.try_get_matches_from(arguments);
    match matches.and_then(args::Args::from_matches) {
        Ok(args) => commands::run(&args, program, settings, console),
        Err(error) => usage(&error, console),
    }
}

/// The words to complete, where that is what the command line asks for: kubectl calls another name, and
/// Flux says `__complete`. They are not parsed as a command line, which they are not yet.
fn asked_to_complete(program: args::Program, arguments: &[OsString]) -> Option<Vec<String>> {
    let mut words = arguments.iter().skip(1).peekable();
    if program != args::Program::Completion {
        words.next().filter(|word| *word == "__complete")?;
        words.next_if(|word| *word == "--");
    }
    Some(words.map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Shows help, or what is wrong with the command line.
fn usage(error: &clap::Error, console: &Console) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        console.say(&text.ansi().to_string());
        exit::USAGE
    } else {
        console.print(&text.ansi().to_string());
        exit::OK
    }
}
