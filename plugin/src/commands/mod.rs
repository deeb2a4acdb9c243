//! The commands, one file each.

pub mod build;
pub mod completion;
pub mod version;

use overlay::error::Result;

use crate::args::{Args, Command, Program};
use crate::exit;
use crate::output::Console;
use crate::settings::Settings;

/// Runs the command and says the exit code.
pub fn run(args: &Args, program: Program, settings: &Settings, console: &mut Console) -> u8 {
    let outcome: Result<u8> = match &args.command {
        Command::Build(build) => build::run(build, settings, console),
        Command::Completion(completion) => Ok(completion::run(completion, program, console)),
        Command::Version(version) => Ok(version::run(version, console)),
    };
    outcome.unwrap_or_else(|error| {
        console.error(&error);
        exit::ERROR
    })
}
