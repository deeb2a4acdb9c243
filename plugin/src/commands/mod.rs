//! The commands, one file each.

pub mod build;
pub mod completion;
pub mod delete;
pub mod diff;
pub mod example;
pub mod flux;
pub mod rehearse;
pub mod session;
pub mod status;
pub mod sync;
pub mod version;

use crate::args::{Args, Command, FluxCommand, Program};
use crate::exit;
use crate::output::Console;
use crate::settings::Settings;

/// Runs the command and says the exit code.
pub fn run(args: &Args, program: Program, settings: &Settings, console: &Console) -> u8 {
    let connection = &args.connection;
    let outcome = match &args.command {
        Command::Build(build) => build::run(build, settings, console),
        Command::Diff(diff) => diff::run(diff, connection, settings, console),
        Command::Sync(sync) => sync::run(sync, connection, settings, console),
        Command::Status(status) => status::run(status, connection, settings, console),
        Command::Delete(delete) => delete::run(delete, connection, settings, console),
        Command::Flux(flux) => flux::run(flux, connection, settings, console),
        Command::Rehearse(rehearse) => rehearse::run(rehearse, connection, settings, console),
        Command::Try(one) => example::run(one, settings, console),
        Command::Version(version) => Ok(version::run(version, console)),
        Command::Completion(completion) => Ok(completion::run(completion, program, console)),
    };
    outcome.unwrap_or_else(|error| {
        console.error(&error);
        // As with `kubectl diff`, 1 is kept for "there are changes".
        if is_diff(&args.command) { exit::USAGE } else { exit::of(&error) }
    })
}

fn is_diff(command: &Command) -> bool {
    match command {
        Command::Diff(_) => true,
        Command::Flux(flux) => matches!(flux.command, FluxCommand::Diff(_)),
        _ => false,
    }
}
