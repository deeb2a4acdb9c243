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
        Command::Diff(diff) => apart(|| diff::run(diff, connection, settings, console)),
        Command::Sync(sync) => apart(|| sync::run(sync, connection, settings, console)),
        Command::Status(status) => apart(|| status::run(status, connection, settings, console)),
        Command::Delete(delete) => apart(|| delete::run(delete, connection, settings, console)),
        Command::Flux(flux) => apart(|| flux::run(flux, connection, settings, console)),
        Command::Rehearse(one) => apart(|| rehearse::run(one, connection, settings, console)),
        Command::Try(one) => apart(|| example::run(one, settings, console)),
        Command::Version(version) => Ok(version::run(version, console)),
        Command::Completion(completion) => {
            apart(|| Ok(completion::run(completion, program, console)))
        }
    };
    outcome.unwrap_or_else(|error| {
        console.error(&error);
        // As with `kubectl diff`, 1 is kept for "there are changes".
        if is_diff(&args.command) { exit::USAGE } else { exit::of(&error) }
    })
}

/// Runs a command in a frame of its own: in one for all of them each would take as much of the stack as
/// the largest.
#[inline(never)]
fn apart<T>(command: impl FnOnce() -> T) -> T {
    command()
}

fn is_diff(command: &Command) -> bool {
    match command {
        Command::Diff(_) => true,
        Command::Flux(flux) => matches!(flux.command, FluxCommand::Diff(_)),
        _ => false,
    }
}
